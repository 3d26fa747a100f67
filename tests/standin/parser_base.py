# SPDX-License-Identifier: PostgreSQL
"""The parser's cursor over tokens, and names and types, which everything needs."""
from . import lexer, values
from .errors import SqlError, syntax

# Words that end an expression or a source: never an alias without AS.
RESERVED = frozenset("""
ADD ALL ALTER AND ANY AS ASC AUTHORIZATION BACKUP BEGIN BETWEEN BREAK BROWSE BULK BY CASCADE CASE CHECK CHECKPOINT CLOSE CLUSTERED COALESCE
COLLATE COLUMN COMMIT COMPUTE CONSTRAINT CONTAINS CONTINUE CONVERT CREATE CROSS CURRENT CURRENT_DATE CURRENT_TIMESTAMP CURRENT_USER CURSOR
DATABASE DBCC DEALLOCATE DECLARE DEFAULT DELETE DENY DESC DISTINCT DISTRIBUTED DOUBLE DROP ELSE END ERRLVL ESCAPE EXCEPT EXEC EXECUTE EXISTS
EXIT EXTERNAL FETCH FILE FILLFACTOR FOR FOREIGN FREETEXT FROM FULL FUNCTION GOTO GRANT GROUP HAVING HOLDLOCK IDENTITY IDENTITY_INSERT
IDENTITYCOL IF IN INDEX INNER INSERT INTERSECT INTO IS JOIN KEY KILL LEFT LIKE LINENO LOAD MERGE NATIONAL NOCHECK NONCLUSTERED NOT NULL NULLIF
OF OFF OFFSETS ON OPEN OPTION OR ORDER OUTER OVER PERCENT PIVOT PLAN PRECISION PRIMARY PRINT PROC PROCEDURE PUBLIC RAISERROR READ READTEXT
RECONFIGURE REFERENCES REPLICATION RESTORE RESTRICT RETURN REVERT REVOKE RIGHT ROLLBACK ROWCOUNT ROWGUIDCOL RULE SAVE SCHEMA SELECT
SESSION_USER SET SETUSER SHUTDOWN SOME STATISTICS SYSTEM_USER TABLE TABLESAMPLE TEXTSIZE THEN TO TOP TRAN TRANSACTION TRIGGER TRUNCATE
TRY_CONVERT TSEQUAL UNION UNIQUE UNPIVOT UPDATE UPDATETEXT USE USER VALUES VARYING VIEW WAITFOR WHEN WHERE WHILE WITH WITHIN WRITETEXT
""".split())
# Not reserved in T-SQL, but after a source they begin a clause.
NOT_ALIAS = RESERVED | {"OUTPUT", "OFFSET", "THROW", "APPLY"}


class Cursor:
    def __init__(self, text, quoted_identifier=True):
        self.text = text
        self.tokens = lexer.tokenize(text, quoted_identifier)
        self.i = 0

    @property
    def token(self):
        return self.tokens[self.i]

    def peek(self, n=1):
        return self.tokens[min(self.i + n, len(self.tokens) - 1)]

    def advance(self):
        t = self.tokens[self.i]
        if self.i < len(self.tokens) - 1:
            self.i += 1
        return t

    def fail(self, token=None):
        t = token or self.token
        raise syntax(t.text or "end of batch", t.line)

    def is_word(self, *words, at=0):
        t = self.peek(at) if at else self.token
        return t.kind == lexer.WORD and t.upper in words

    def accept(self, *words):
        """Takes the words if all of them come next."""
        for n, w in enumerate(words):
            t = self.peek(n)
            if t.kind != lexer.WORD or t.upper != w:
                return False
        self.i += len(words)
        return True

    def expect(self, *words):
        for w in words:
            if not self.accept(w):
                self.fail()

    def is_op(self, *ops, at=0):
        t = self.peek(at) if at else self.token
        return t.kind == lexer.OPERATOR and t.text in ops

    def accept_op(self, op):
        if self.is_op(op):
            self.i += 1
            return True
        return False

    def expect_op(self, op):
        if not self.accept_op(op):
            self.fail()

    def is_name(self):
        t = self.token
        return t.kind == lexer.QUOTED or (t.kind == lexer.WORD and t.upper not in RESERVED)

    def name(self):
        if not self.is_name():
            self.fail()
        return self.advance().value

    def any_word(self):
        """A name even where it is a reserved word."""
        if self.token.kind not in (lexer.WORD, lexer.QUOTED):
            self.fail()
        return self.advance().value

    def dotted(self):
        """a.b.c; an empty part (db..t) stands for the default schema."""
        parts = [self.name()]
        while self.is_op("."):
            self.advance()
            if self.is_op("."):
                parts.append("")
                continue
            parts.append(self.any_word())
        return parts

    def object_name(self):
        """A table name; @t is a table variable."""
        if self.token.kind == lexer.VARIABLE:
            return [self.advance().value]
        return self.dotted()

    def name_list(self):
        """(a, b, c)"""
        self.expect_op("(")
        out = [self.any_word()]
        while self.accept_op(","):
            out.append(self.any_word())
        self.expect_op(")")
        return out

    def source(self, start):
        """Text from the token number `start` up to here."""
        if start >= self.i:
            return ""
        last = self.tokens[self.i - 1]
        return self.text[self.tokens[start].at:last.at + len(last.text)]

    def integer(self):
        negative = self.accept_op("-")
        if self.token.kind != lexer.INTEGER:
            self.fail()
        value = int(self.advance().value)
        return -value if negative else value

    def type(self, default_length=1):
        """A data type; names of two words (double precision, character varying, national …) included."""
        t = self.token
        if t.kind not in (lexer.WORD, lexer.QUOTED):
            self.fail()
        name = self.advance().value.lower()
        if name == "sys" and self.accept_op("."):
            name = self.any_word().lower()
        if name == "dbo" and self.accept_op("."):
            name = self.any_word().lower()
        if name == "double":
            self.expect("PRECISION")
            name = "float"
        if name == "national":
            name += " " + self.any_word().lower()
        if name.split()[-1] in ("char", "character", "binary") and self.accept("VARYING"):
            name += " varying"
        args = []
        if self.is_op("("):
            self.advance()
            while not self.accept_op(")"):
                if self.token.kind == lexer.INTEGER or self.is_word("MAX"):
                    args.append(self.advance().value)
                else:
                    self.fail()
                self.accept_op(",")
        return self.make_type(name, args, default_length, t)

    def make_type(self, name, args, default_length, token):
        try:
            return values.make_type(name, args, default_length)
        except ValueError:
            pass
        alias = self.alias_type(name)
        if alias is not None:
            return alias
        raise SqlError(2715, f"Column, parameter, or variable #1: Cannot find data type {token.value}.", 16, 6, token.line)

    def alias_type(self, name):
        return None
