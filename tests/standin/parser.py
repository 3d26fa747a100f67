# SPDX-License-Identifier: PostgreSQL
"""Batches: statements, and the procedural ones. What is not understood raises 102 near the word that was not."""
from . import ast, lexer
from .parser_ddl import DdlParser

ON_OFF_OPTIONS = frozenset("""ANSI_NULLS ANSI_PADDING ANSI_WARNINGS ARITHABORT ARITHIGNORE CONCAT_NULL_YIELDS_NULL QUOTED_IDENTIFIER
ANSI_NULL_DFLT_ON ANSI_NULL_DFLT_OFF NUMERIC_ROUNDABORT IMPLICIT_TRANSACTIONS CURSOR_CLOSE_ON_COMMIT NOCOUNT XACT_ABORT ANSI_DEFAULTS
FMTONLY NOEXEC PARSEONLY NO_BROWSETABLE REMOTE_PROC_TRANSACTIONS FORCEPLAN SHOWPLAN_ALL SHOWPLAN_TEXT SHOWPLAN_XML""".split())
VALUE_OPTIONS = ("LANGUAGE", "DATEFORMAT", "DATEFIRST", "ROWCOUNT", "LOCK_TIMEOUT", "TEXTSIZE", "DEADLOCK_PRIORITY", "CONTEXT_INFO",
                 "QUERY_GOVERNOR_COST_LIMIT")


class Parser(DdlParser):
    def batch(self):
        out = []
        while self.token.kind != lexer.END:
            if self.accept_op(";"):
                continue
            out.append(self.statement(first=not out))
        return out

    def statement(self, first=False):
        t = self.token
        if t.kind == lexer.OPERATOR and t.text == "(":
            return ast.Query(t.line, self.query())
        if t.kind != lexer.WORD:
            if first and t.kind == lexer.QUOTED:
                return self.execute_body(t.line)
            self.fail()
        method = getattr(self, "stmt_" + t.upper.lower(), None)
        if method is None:
            if first and self.is_name() and not (self.peek().kind == lexer.END and ":" in t.text):
                return self.execute_body(t.line)
            self.fail()
        out = method()
        if self.token.kind == lexer.OPERATOR and self.token.text == ";":
            self.advance()
        return out

    def body(self):
        while self.accept_op(";"):
            pass
        return self.statement()

    # -- queries and changes -------------------------------------------------------------------------------------------
    def stmt_select(self):
        line = self.token.line
        out = ast.Query(line, self.query())
        self.option_clause()
        return out

    def option_clause(self):
        """FOR BROWSE / XML are not understood; OPTION (…) is a hint."""
        if self.is_word("OPTION") and self.is_op("(", at=1):
            self.advance()
            self.skip_parenthesis()

    def stmt_with(self):
        line = self.token.line
        self.expect("WITH")
        ctes = self.ctes()
        for word in ("INSERT", "UPDATE", "DELETE"):
            if self.is_word(word):
                out = getattr(self, "stmt_" + word.lower())()
                out.ctes = ctes
                return out
        query = self.query()
        query.ctes = ctes
        self.option_clause()
        return ast.Query(line, query)

    def stmt_insert(self):
        line = self.token.line
        self.expect("INSERT")
        if self.is_word("BULK"):
            return self.insert_bulk(line)
        out = ast.Insert(line)
        if self.accept("TOP"):
            out.top = self.top()[0]
        self.accept("INTO")
        out.table = ast.Table(self.object_name())
        self.hints(out.table)
        if self.is_op("(") and not self.is_word("SELECT", at=1):
            out.columns = self.name_list()
        out.output = self.output()
        if self.accept("DEFAULT", "VALUES"):
            out.source = None
        elif self.accept("VALUES"):
            out.source = ast.Values(self.value_rows())
        elif self.is_word("EXEC", "EXECUTE"):
            out.source = self.stmt_exec()
        else:
            out.source = self.query()
        self.option_clause()
        return out

    def insert_bulk(self, line):
        """INSERT BULK table (column type [COLLATE c], …) [WITH (hints)] (MS-TDS 2.2.6.1)."""
        self.expect("BULK")
        table = self.object_name()
        columns = []
        self.expect_op("(")
        while True:
            name = self.any_word()
            type_ = self.type()
            if self.accept("COLLATE"):
                self.any_word()
            columns.append((name, type_))
            if not self.accept_op(","):
                break
        self.expect_op(")")
        hints = []
        if self.accept("WITH"):
            self.expect_op("(")
            while not self.accept_op(")"):
                if self.token.kind == lexer.END:
                    self.fail()
                hints.append(self.advance().text.upper())
        return ast.Simple(line, "insert bulk", [table, columns, hints])

    def output(self):
        if not self.accept("OUTPUT"):
            return None
        out = ast.Output(self.items())
        if self.accept("INTO"):
            out.into = self.object_name()
            if self.is_op("("):
                out.columns = self.name_list()
        return out

    def stmt_update(self):
        line = self.token.line
        self.expect("UPDATE")
        if self.accept("STATISTICS"):
            return ast.Simple(line, "nothing", [self.object_name()])
        out = ast.Update(line)
        if self.accept("TOP"):
            out.top = self.top()[0]
        out.table = ast.Table(self.object_name())
        self.hints(out.table)
        self.expect("SET")
        while True:
            out.sets.append(self.assignment())
            if not self.accept_op(","):
                break
        out.output = self.output()
        if self.accept("FROM"):
            out.source = self.sources()
        if self.accept("WHERE"):
            out.where = self.condition()
        self.option_clause()
        return out

    def assignment(self):
        variable = None
        if self.token.kind == lexer.VARIABLE:
            variable = self.advance().value
            self.expect_op("=")
            if not (self.is_name() and self.is_op("=", at=1)):
                return None, variable, self.expression()
        column = ast.Column(self.dotted())
        for op in ("+=", "-=", "*=", "/=", "%=", "&=", "|=", "^="):
            if self.accept_op(op):
                return column, variable, ast.Binary(op[0], column, self.expression())
        self.expect_op("=")
        return column, variable, self.expression()

    def stmt_delete(self):
        line = self.token.line
        self.expect("DELETE")
        out = ast.Delete(line)
        if self.accept("TOP"):
            out.top = self.top()[0]
        self.accept("FROM")
        out.table = ast.Table(self.object_name())
        self.hints(out.table)
        out.output = self.output()
        if self.accept("FROM"):
            out.source = self.sources()
        if self.accept("WHERE"):
            out.where = self.condition()
        self.option_clause()
        return out

    def stmt_truncate(self):
        line = self.token.line
        self.expect("TRUNCATE", "TABLE")
        return ast.Truncate(line, ast.Table(self.object_name()))

    def stmt_create(self):
        return self.create()

    def stmt_alter(self):
        return self.alter()

    def stmt_drop(self):
        return self.drop()

    def stmt_enable(self):
        return self.enable_trigger(True)

    def stmt_disable(self):
        return self.enable_trigger(False)

    def enable_trigger(self, enable):
        line = self.advance().line
        self.expect("TRIGGER")
        names = ["ALL"] if self.accept("ALL") else [".".join(self.dotted()).split(".")[-1]]
        while self.accept_op(","):
            names.append(self.dotted()[-1])
        self.expect("ON")
        return ast.AlterTable(line, self.object_name(), "trigger", (enable, names))

    # -- control of flow -------------------------------------------------------------------------------------------------
    def stmt_begin(self):
        line = self.token.line
        self.expect("BEGIN")
        if self.accept("TRY"):
            return self.try_catch(line)
        if self.accept("TRAN") or self.accept("TRANSACTION"):
            return ast.Simple(line, "begin", [self.transaction_name()])
        if self.is_word("DISTRIBUTED"):
            self.fail()
        return ast.Block(line, self.until_end())

    def until_end(self):
        out = []
        while not self.accept("END"):
            if self.token.kind == lexer.END:
                self.fail()
            if self.accept_op(";"):
                continue
            out.append(self.statement())
        return out

    def try_catch(self, line):
        body = self.until_end()
        self.expect("TRY")
        self.accept_op(";")
        self.expect("BEGIN", "CATCH")
        handler = self.until_end()
        self.expect("CATCH")
        return ast.TryCatch(line, ast.Block(line, body), ast.Block(line, handler))

    def transaction_name(self):
        if self.token.kind == lexer.VARIABLE:
            return ast.Variable(self.advance().value)
        return self.advance().value if self.is_name() and self.token.upper not in self.statement_words() else None

    @staticmethod
    def statement_words():
        return {"THROW", "ENABLE", "DISABLE"}

    def stmt_commit(self):
        line = self.advance().line
        if not (self.accept("TRAN") or self.accept("TRANSACTION") or self.accept("WORK")):
            return ast.Simple(line, "commit", [None])
        return ast.Simple(line, "commit", [self.transaction_name()])

    def stmt_rollback(self):
        line = self.advance().line
        if not (self.accept("TRAN") or self.accept("TRANSACTION") or self.accept("WORK")):
            return ast.Simple(line, "rollback", [None])
        return ast.Simple(line, "rollback", [self.transaction_name()])

    def stmt_save(self):
        line = self.advance().line
        if not self.accept("TRAN"):
            self.expect("TRANSACTION")
        return ast.Simple(line, "save", [self.transaction_name()])

    def stmt_if(self):
        line = self.token.line
        self.expect("IF")
        condition = self.condition()
        then = self.body()
        mark = self.i
        while self.accept_op(";"):
            pass
        if self.accept("ELSE"):
            return ast.If(line, condition, then, self.body())
        self.i = mark
        return ast.If(line, condition, then)

    def stmt_while(self):
        line = self.token.line
        self.expect("WHILE")
        condition = self.condition()
        return ast.While(line, condition, self.body())

    def stmt_break(self):
        return ast.Simple(self.advance().line, "break")

    def stmt_continue(self):
        return ast.Simple(self.advance().line, "continue")

    def stmt_return(self):
        line = self.advance().line
        if self.token.kind in (lexer.INTEGER, lexer.VARIABLE) or self.is_op("(", "-"):
            return ast.Simple(line, "return", [self.expression()])
        return ast.Simple(line, "return", [])

    def stmt_declare(self):
        line = self.token.line
        self.expect("DECLARE")
        out = ast.Declare(line)
        while True:
            if self.token.kind != lexer.VARIABLE:
                self.fail()
            name = self.advance().value
            self.accept("AS")
            if self.accept("TABLE"):
                table = ast.CreateTable(line, [name])
                self.table_body(table)
                out.items.append((name, table, None))
            else:
                if self.is_word("CURSOR"):
                    self.fail()
                type_ = self.type()
                out.items.append((name, type_, self.expression() if self.accept_op("=") else None))
            if not self.accept_op(","):
                return out

    def stmt_set(self):
        line = self.token.line
        self.expect("SET")
        if self.token.kind == lexer.VARIABLE:
            name = self.advance().value
            for op in ("=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^="):
                if self.accept_op(op):
                    return ast.SetVariable(line, name, op, self.expression())
            self.fail()
        if self.accept("TRANSACTION", "ISOLATION", "LEVEL"):
            return ast.SetOption(line, ["ISOLATION"], self.isolation_level())
        if self.accept("IDENTITY_INSERT"):
            return ast.SetOption(line, ["IDENTITY_INSERT"], (self.object_name(), self.on_off()))
        if self.accept("STATISTICS"):
            self.any_word()
            self.on_off()
            return ast.Simple(line, "nothing")
        if self.is_word(*VALUE_OPTIONS):
            name = self.advance().upper
            if self.token.kind in (lexer.WORD, lexer.QUOTED):
                return ast.SetOption(line, [name], ast.Literal("string", self.any_word()))
            return ast.SetOption(line, [name], self.factor())
        names = []
        while True:
            if not self.is_word(*ON_OFF_OPTIONS):
                self.fail()
            names.append(self.advance().upper)
            if not self.accept_op(","):
                break
        return ast.SetOption(line, names, self.on_off())

    def on_off(self):
        if self.accept("ON"):
            return True
        self.expect("OFF")
        return False

    def isolation_level(self):
        for words in (("READ", "UNCOMMITTED"), ("READ", "COMMITTED"), ("REPEATABLE", "READ"), ("SNAPSHOT",), ("SERIALIZABLE",)):
            if self.accept(*words):
                return " ".join(words)
        self.fail()

    # -- the rest ----------------------------------------------------------------------------------------------------------
    def stmt_print(self):
        return ast.Simple(self.advance().line, "print", [self.expression()])

    def stmt_raiserror(self):
        line = self.advance().line
        self.expect_op("(")
        args = self.expression_list()
        self.expect_op(")")
        options = []
        if self.accept("WITH"):
            options = [self.any_word().upper()]
            while self.accept_op(","):
                options.append(self.any_word().upper())
        return ast.Simple(line, "raiserror", [args, options])

    def stmt_throw(self):
        line = self.advance().line
        if self.token.kind in (lexer.END,) or self.is_op(";") or self.is_word("END"):
            return ast.Simple(line, "throw", [])
        args = self.expression_list()
        if len(args) != 3:
            self.fail()
        return ast.Simple(line, "throw", args)

    def stmt_use(self):
        line = self.advance().line
        return ast.Simple(line, "use", [self.name()])

    def stmt_waitfor(self):
        line = self.advance().line
        self.expect("DELAY")
        return ast.Simple(line, "waitfor", [self.expression()])

    def stmt_checkpoint(self):
        return ast.Simple(self.advance().line, "nothing")

    def stmt_kill(self):
        return ast.Simple(self.advance().line, "kill", [self.expression()])

    def stmt_dbcc(self):
        line = self.advance().line
        name = self.any_word().upper()
        args = []
        if self.accept_op("("):
            while not self.accept_op(")"):
                if self.token.kind == lexer.END:
                    self.fail()
                args.append(self.advance().value)
                self.accept_op(",")
        if self.accept("WITH"):
            self.any_word()
        return ast.Simple(line, "dbcc", [name, args])

    def stmt_grant(self):
        return self.permission("GRANT")

    def stmt_deny(self):
        return self.permission("DENY")

    def stmt_revoke(self):
        return self.permission("REVOKE")

    def permission(self, kind):
        line = self.advance().line
        permissions = [self.permission_name()]
        while self.accept_op(","):
            permissions.append(self.permission_name())
        target = None
        if self.accept("ON"):
            if self.token.kind == lexer.WORD and self.is_op("::", at=1):
                self.i += 2
            elif self.accept("OBJECT"):
                self.accept_op("::")
            target = self.dotted()
        if not self.accept("TO"):
            self.expect("FROM")
        return ast.Simple(line, "permission", [kind, permissions, target, self.any_word()])

    def permission_name(self):
        words = []
        while self.token.kind == lexer.WORD and not self.is_word("ON", "TO", "FROM"):
            words.append(self.advance().upper)
        return " ".join(words)

    def stmt_exec(self):
        line = self.advance().line
        return self.execute_body(line)

    stmt_execute = stmt_exec

    def execute_body(self, line):
        out = ast.Execute(line)
        if self.accept_op("("):
            out.text = self.expression()
            self.expect_op(")")
            return out
        if self.token.kind == lexer.VARIABLE and self.is_op("=", at=1):
            out.result = self.advance().value
            self.advance()
        if self.token.kind == lexer.VARIABLE:
            out.name = [self.advance().value]
        else:
            out.name = self.dotted()
        if self.token.kind == lexer.END or not self.starts_argument():
            return out
        while True:
            out.args.append(self.argument())
            if not self.accept_op(","):
                return out

    def starts_argument(self):
        t = self.token
        return (t.kind in (lexer.STRING, lexer.NSTRING, lexer.INTEGER, lexer.DECIMAL, lexer.FLOAT, lexer.BINARY, lexer.VARIABLE,
                           lexer.QUOTED, lexer.MONEY)
                or self.is_op("-") or self.is_word("NULL", "DEFAULT")
                or (t.kind == lexer.WORD and self.is_name() and getattr(self, "stmt_" + t.value.lower(), None) is None))

    def argument(self):
        name = None
        if self.token.kind == lexer.VARIABLE and self.is_op("=", at=1):
            name = self.advance().value
            self.advance()
        if self.token.kind == lexer.WORD and self.is_name():
            expr = ast.Literal("string", self.advance().value)
        else:
            expr = self.factor()
        output = self.accept("OUTPUT") or self.accept("OUT")
        return name, expr, output


def parse(text, quoted_identifier=True):
    """Statements of a batch."""
    return Parser(text, quoted_identifier).batch()
