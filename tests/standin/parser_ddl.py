# SPDX-License-Identifier: PostgreSQL
"""CREATE, ALTER, DROP."""
from . import ast, lexer
from .parser_query import QueryParser


class DdlParser(QueryParser):
    def create(self):
        line = self.token.line
        self.expect("CREATE")
        if self.accept("OR", "ALTER"):
            return self.module(line, True)
        unique = self.accept("UNIQUE")
        clustered = self.accept("CLUSTERED")
        if not clustered:
            self.accept("NONCLUSTERED")
        if self.accept("INDEX"):
            return self.create_index(line, unique, clustered)
        if self.accept("TABLE"):
            return self.create_table(line)
        if self.accept("SCHEMA"):
            out = ast.Definition(line, "schema", [self.name()])
            if self.accept("AUTHORIZATION"):
                self.name()
            return out
        if self.accept("DATABASE"):
            out = ast.Definition(line, "database", [self.name()])
            if self.accept("COLLATE"):
                out.args["collation"] = self.any_word()
            return out
        if self.accept("TYPE"):
            name = self.dotted()
            self.expect("FROM")
            start = self.i
            type_ = self.type()
            out = ast.Definition(line, "type", name, {"type": type_, "text": self.source(start), "nullable": True})
            if self.accept("NOT", "NULL"):
                out.args["nullable"] = False
            else:
                self.accept("NULL")
            return out
        if self.accept("SYNONYM"):
            name = self.dotted()
            self.expect("FOR")
            return ast.Definition(line, "synonym", name, {"target": self.dotted()})
        if self.accept("SEQUENCE"):
            self.fail()
        return self.module(line, False)

    def module(self, line, alter):
        """VIEW, TRIGGER and PROCEDURE; a trigger's and a procedure's text is the rest of the batch."""
        if self.accept("VIEW"):
            name = self.dotted()
            columns = self.name_list() if self.is_op("(") else []
            self.expect("AS")
            start = self.i
            query = self.query()
            return ast.Definition(line, "view", name, {"columns": columns, "query": query, "text": self.source(start), "alter": alter})
        if self.accept("TRIGGER"):
            return self.trigger(line, alter)
        if self.accept("PROCEDURE") or self.accept("PROC"):
            return self.procedure(line, alter)
        self.fail()

    def trigger(self, line, alter):
        name = self.dotted()
        self.expect("ON")
        if self.accept("DATABASE"):
            self.fail()
        table = self.dotted()
        if self.accept("WITH"):
            self.expect("EXECUTE", "AS")
            self.advance()
        timing = "INSTEAD OF" if self.accept("INSTEAD", "OF") else "AFTER"
        if timing == "AFTER" and not self.accept("AFTER"):
            self.expect("FOR")
        events = [self.any_word().upper()]
        while self.accept_op(","):
            events.append(self.any_word().upper())
        if self.accept("NOT", "FOR", "REPLICATION"):
            pass
        self.expect("AS")
        return ast.Definition(line, "trigger", name, {"table": table, "timing": timing, "events": events, "text": self.rest(), "alter": alter})

    def procedure(self, line, alter):
        name = self.dotted()
        parenthesis = self.accept_op("(")
        parameters = []
        while self.token.kind == lexer.VARIABLE:
            parameter = self.advance().value
            self.accept("AS")
            type_ = self.type()
            default = self.expression() if self.accept_op("=") else None
            output = self.accept("OUTPUT") or self.accept("OUT")
            parameters.append((parameter, type_, default, output))
            if not self.accept_op(","):
                break
        if parenthesis:
            self.expect_op(")")
        self.expect("AS")
        return ast.Definition(line, "procedure", name, {"parameters": parameters, "text": self.rest(), "alter": alter})

    def rest(self):
        start = self.i
        while self.token.kind != lexer.END:
            self.advance()
        if start == self.i:
            self.fail()
        return self.text[self.tokens[start].at:]

    # -- tables --------------------------------------------------------------------------------------------------------
    def create_table(self, line):
        out = ast.CreateTable(line, self.object_name())
        self.table_body(out)
        if self.accept("ON"):
            self.any_word()
            if self.is_op("("):
                self.name_list()
        if self.accept("TEXTIMAGE_ON"):
            self.any_word()
        if self.accept("WITH"):
            self.skip_parenthesis()
        return out

    def table_body(self, out):
        self.expect_op("(")
        while True:
            if self.is_word("CONSTRAINT", "PRIMARY", "UNIQUE", "FOREIGN", "CHECK"):
                out.constraints.append(self.constraint())
            elif self.is_word("INDEX") and self.peek().kind in (lexer.WORD, lexer.QUOTED) and not self.is_op(",", ")", at=2):
                out.indexes.append(self.inline_index(out))
            else:
                out.columns.append(self.column(out))
            if not self.accept_op(","):
                break
            if self.is_op(")"):
                break
        self.expect_op(")")

    def inline_index(self, table):
        line = self.advance().line
        name = self.any_word()
        unique = self.accept("UNIQUE")
        clustered = self.accept("CLUSTERED")
        if not clustered:
            self.accept("NONCLUSTERED")
        return ast.CreateIndex(line, name, table.name, self.key_columns(), unique, clustered)

    def key_columns(self):
        self.expect_op("(")
        out = []
        while True:
            name = self.any_word()
            descending = self.accept("DESC")
            if not descending:
                self.accept("ASC")
            out.append((name, descending))
            if not self.accept_op(","):
                break
        self.expect_op(")")
        return out

    def constraint(self):
        name = self.any_word() if self.accept("CONSTRAINT") else None
        return self.constraint_body(name)

    def constraint_body(self, name, column=None):
        out = ast.Constraint("", name)
        if self.accept("PRIMARY", "KEY") or self.is_word("UNIQUE"):
            out.kind = "unique" if self.accept("UNIQUE") else "primary"
            if self.accept("CLUSTERED"):
                out.clustered = True
            elif self.accept("NONCLUSTERED"):
                out.clustered = False
            out.columns = self.key_columns() if self.is_op("(") else [(column, False)]
            self.index_options()
        elif self.accept("FOREIGN", "KEY"):
            out.kind = "foreign"
            out.columns = [(c, False) for c in (self.name_list() if self.is_op("(") else [column])]
            self.references(out)
        elif self.is_word("REFERENCES"):
            out.kind, out.columns = "foreign", [(column, False)]
            self.references(out)
        elif self.accept("CHECK"):
            out.kind = "check"
            self.accept("NOT", "FOR", "REPLICATION")
            start = self.i
            self.expect_op("(")
            out.expr = self.condition()
            self.expect_op(")")
            out.text = self.source(start)
        elif self.accept("DEFAULT"):
            out.kind = "default"
            start = self.i
            out.expr = self.expression()
            out.text = self.source(start)
            if self.accept("FOR"):
                out.column = self.any_word()
        else:
            self.fail()
        return out

    def references(self, out):
        self.expect("REFERENCES")
        out.target = self.dotted()
        out.target_columns = self.name_list() if self.is_op("(") else []
        while self.accept("ON"):
            event = self.any_word().upper()
            if self.accept("NO", "ACTION"):
                action = "NO ACTION"
            elif self.accept("CASCADE"):
                action = "CASCADE"
            else:
                self.expect("SET")
                action = "SET " + self.any_word().upper()
            setattr(out, "on_" + event.lower(), action)
        self.accept("NOT", "FOR", "REPLICATION")

    def index_options(self):
        if self.is_word("WITH") and self.is_op("(", at=1):
            self.advance()
            self.skip_parenthesis()
        elif self.accept("WITH", "FILLFACTOR"):
            self.expect_op("=")
            self.integer()
        if self.is_word("ON") and self.peek().kind in (lexer.WORD, lexer.QUOTED) and not self.is_word("DELETE", "UPDATE", at=1):
            self.i += 2

    def skip_parenthesis(self):
        self.expect_op("(")
        depth = 1
        while depth:
            if self.token.kind == lexer.END:
                self.fail()
            depth += 1 if self.is_op("(") else -1 if self.is_op(")") else 0
            self.advance()

    def column(self, table):
        name = self.any_word()
        out = ast.ColumnDef(name)
        if self.accept("AS"):
            start = self.i
            out.computed = self.expression()
            out.computed_text = self.source(start)
            out.persisted = self.accept("PERSISTED")
            if self.accept("NOT", "NULL"):
                out.nullable = False
        else:
            start = self.i
            if self.is_word("TIMESTAMP") and self.is_op(",", ")", at=1):
                self.i = start
            out.type = self.type()
            out.type_name = self.source(start)
        while self.column_option(out, table):
            pass
        return out

    def column_option(self, out, table):
        if self.accept("NOT", "NULL"):
            out.nullable = False
        elif self.accept("NULL"):
            out.nullable = True
        elif self.accept("IDENTITY"):
            out.identity = (1, 1)
            if self.accept_op("("):
                seed = self.integer()
                self.expect_op(",")
                out.identity = (seed, self.integer())
                self.expect_op(")")
            self.accept("NOT", "FOR", "REPLICATION")
        elif self.accept("COLLATE"):
            out.collation = self.any_word()
        elif self.accept("SPARSE"):
            out.sparse = True
        elif self.accept("ROWGUIDCOL"):
            out.rowguid = True
        elif self.accept("MASKED"):
            self.expect("WITH")
            self.expect_op("(")
            self.expect("FUNCTION")
            self.expect_op("=")
            out.masked = self.advance().value
            self.expect_op(")")
        elif self.is_word("CONSTRAINT", "PRIMARY", "UNIQUE", "FOREIGN", "REFERENCES", "CHECK", "DEFAULT"):
            constraint_name = self.any_word() if self.accept("CONSTRAINT") else None
            c = self.constraint_body(constraint_name, out.name)
            if c.kind == "default":
                out.default, out.default_text, out.default_name = c.expr, c.text, c.name
            elif c.kind == "check":
                out.constraints.append(c)
            else:
                table.constraints.append(c)
        elif self.is_word("INDEX"):
            table.indexes.append(self.column_index(out, table))
        else:
            return False
        return True

    def column_index(self, column, table):
        line = self.advance().line
        name = self.any_word()
        unique, clustered = self.accept("UNIQUE"), self.accept("CLUSTERED")
        if not clustered:
            self.accept("NONCLUSTERED")
        columns = self.key_columns() if self.is_op("(") else [(column.name, False)]
        return ast.CreateIndex(line, name, table.name, columns, unique, clustered)

    def create_index(self, line, unique, clustered):
        out = ast.CreateIndex(line, self.any_word(), unique=unique, clustered=clustered)
        self.expect("ON")
        out.table = self.object_name()
        out.columns = self.key_columns()
        if self.accept("INCLUDE"):
            out.include = self.name_list()
        if self.accept("WHERE"):
            start = self.i
            out.where = self.condition()
            out.where_text = self.source(start)
        self.index_options()
        return out

    # -- ALTER and DROP ------------------------------------------------------------------------------------------------
    def alter(self):
        line = self.token.line
        self.expect("ALTER")
        if self.accept("TABLE"):
            return self.alter_table(line)
        if self.accept("DATABASE"):
            return self.alter_database(line)
        if self.accept("INDEX"):
            name = self.any_word()
            self.expect("ON")
            table = self.object_name()
            action = self.any_word().upper()
            if action not in ("DISABLE", "REBUILD", "REORGANIZE"):
                self.fail()
            self.index_options()
            return ast.AlterTable(line, table, "index", (name, action))
        return self.module(line, True)

    def alter_database(self, line):
        name = "" if self.accept("CURRENT") else self.name()
        self.expect("SET")
        start = self.i
        while self.token.kind not in (lexer.END,) and not self.is_op(";"):
            self.advance()
        return ast.Definition(line, "alter database", [name], {"text": self.source(start)})

    def alter_table(self, line):
        name = self.object_name()
        out = ast.AlterTable(line, name)
        check = None
        if self.accept("WITH"):
            check = self.any_word().upper()
        if self.accept("ADD"):
            out.action, out.args = "add", ast.CreateTable(line, name)
            while True:
                if self.is_word("CONSTRAINT", "PRIMARY", "UNIQUE", "FOREIGN", "CHECK", "DEFAULT"):
                    out.args.constraints.append(self.constraint())
                else:
                    out.args.columns.append(self.column(out.args))
                if not self.accept_op(","):
                    break
            if check == "NOCHECK":
                for c in out.args.constraints:
                    c.text = "NOCHECK"
        elif self.accept("DROP"):
            out.action, out.args = "drop", []
            while True:
                kind = "column" if self.accept("COLUMN") else "constraint"
                if kind == "constraint":
                    self.accept("CONSTRAINT")
                if_exists = self.accept("IF", "EXISTS")
                out.args.append((kind, self.any_word(), if_exists))
                if not self.accept_op(","):
                    break
        elif self.accept("ALTER", "COLUMN"):
            out.action, out.args = "alter", self.column(ast.CreateTable(line, name))
        elif self.is_word("ENABLE", "DISABLE"):
            enable = self.advance().upper == "ENABLE"
            if self.accept("CHANGE_TRACKING"):
                track = False
                if self.accept("WITH"):
                    self.expect_op("(")
                    self.expect("TRACK_COLUMNS_UPDATED")
                    self.expect_op("=")
                    track = self.any_word().upper() == "ON"
                    self.expect_op(")")
                out.action, out.args = "change tracking", (enable, track)
            else:
                self.expect("TRIGGER")
                out.action, out.args = "trigger", (enable, self.trigger_names())
        elif self.is_word("CHECK", "NOCHECK"):
            on = self.advance().upper == "CHECK"
            self.expect("CONSTRAINT")
            out.action, out.args = "check", (on, self.any_word(), check)
        else:
            self.fail()
        return out

    def trigger_names(self):
        if self.accept("ALL"):
            return ["ALL"]
        out = [self.any_word()]
        while self.accept_op(","):
            out.append(self.any_word())
        return out

    def drop(self):
        line = self.token.line
        self.expect("DROP")
        for kind in ("TABLE", "VIEW", "INDEX", "SCHEMA", "DATABASE", "TRIGGER", "PROCEDURE", "PROC", "TYPE", "SYNONYM", "USER", "LOGIN"):
            if self.accept(kind):
                break
        else:
            self.fail()
        out = ast.Drop(line, {"PROC": "PROCEDURE"}.get(kind, kind), [], self.accept("IF", "EXISTS"))
        while True:
            out.names.append(self.object_name())
            if kind == "INDEX" and self.accept("ON"):
                out.on = self.object_name()
            if not self.accept_op(","):
                return out
