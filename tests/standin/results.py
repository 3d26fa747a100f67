# SPDX-License-Identifier: PostgreSQL
"""Answers: rows of PostgreSQL as COLMETADATA and ROW tokens, and the DONE tokens between them."""
from . import names, rows, tds, values
from .values import with_collation

FIRST, CHUNK = 64, 4000
SELECT_COMMAND, INSERT_COMMAND, DELETE_COMMAND, UPDATE_COMMAND = 0xC1, 0xC3, 0xC4, 0xC5


class Answer:
    """The DONE tokens of one message. Each is held back until the next token or the end, since MORE must be known."""

    def __init__(self, session):
        self.session = session
        self.held = None
        self.depth = 0        # procedures being executed

    def write(self, data):
        self.release(True)
        self.session.write(data)

    def release(self, more):
        if self.held is None:
            return
        token, status, command, count = self.held
        self.held = None
        self.session.write(tds.done(token, status | (tds.DONE_MORE if more else 0), command, count))

    def done(self, command=0, count=None, error=False):
        self.release(True)
        status = (tds.DONE_COUNT if count is not None else 0) | (tds.DONE_ERROR if error else 0)
        self.held = (tds.DONEINPROC if self.depth else tds.DONE, status, command, count or 0)

    def done_procedure(self, status):
        """RETURNSTATUS and DONEPROC of a procedure that ends."""
        self.release(True)
        self.session.write(tds.returnstatus(status))
        self.held = (tds.DONEPROC, 0, 0xE0, 0)

    def finish(self):
        if self.held is None:
            self.held = (tds.DONE, 0, 0, 0)
        self.release(False)


class ResultWriter:
    """Writes one result set: metadata from the first rows fetched, then rows as they come."""

    def __init__(self, engine, answer):
        self.engine, self.answer = engine, answer
        self.count = 0
        self._encode = None

    def begin(self, cursor, first_rows):
        n = self.engine.names
        types, columns = [], []
        mods = names.typmods(cursor)
        for i, d in enumerate(cursor.description):
            t = n.type_of(d.type_code, mods[i])
            fact, table = n.facts_of(d.table_oid, d.table_column) if d.table_oid and d.table_column else (None, "")
            if fact is not None and fact.type.name == t.name:
                t = fact.type
            elif fact is not None and {fact.type.name, t.name} == {"decimal", "numeric"}:
                t = fact.type
            t = names.settle(t, [r[i] for r in first_rows])
            if fact is not None:
                t = with_collation(t, fact.type.collation)
            types.append(t)
            name = "" if d.name == "?column?" else d.name
            columns.append((name, names.column_flags(fact), values.type_info(t, table), values.user_type(t)))
        self.answer.write(tds.colmetadata(columns))
        self._encode = rows.compile_rows(self.cut(types))

    def cut(self, types):
        """SET TEXTSIZE cuts what is longer."""
        limit = self.engine.options.textsize
        if limit in (-1, 0, 2147483647):
            return types
        return [rows.Limited(t, limit) if t.length < 0 or t.name in ("text", "ntext", "image") else t for t in types]

    def rows(self, some):
        if some:
            self.answer.session.write(self._encode(some))
            self.count += len(some)
