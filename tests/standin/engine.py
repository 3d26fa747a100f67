# SPDX-License-Identifier: PostgreSQL
"""Runs batches: control of flow here, queries and changes through PostgreSQL. Errors end a statement, a batch or a
transaction as documented under XACT_ABORT and TRY...CATCH."""
import time

from . import ast, ddl, functions, modules, parser, procedures, render, tds, values
from .connection import Connection
from .dml import Dml
from .errors import SqlError
from .names import Names
from .options import Options
from .results import (CHUNK, DELETE_COMMAND, FIRST, INSERT_COMMAND, SELECT_COMMAND, UPDATE_COMMAND, Answer, ResultWriter)

# After these the batch goes on with the next statement (unless XACT_ABORT is on).
STATEMENT_ERRORS = frozenset((2627, 2601, 547, 515, 8134, 8152, 2628, 220, 8115, 512, 3902, 3903, 544, 545, 229, 3930, 50000, 535, 517, 4711, 334))


class Return(Exception):
    def __init__(self, value=0):
        self.value = value


class LoopControl(Exception):
    pass


class BatchEnd(Exception):
    """The batch ends; its error is already sent."""


class Frame:
    """Variables of a batch or procedure."""

    def __init__(self):
        self.variables = {}
        self.table_variables = {}


class Engine:
    def __init__(self, session):
        self.session = session
        self.options = Options(session.login.odbc)
        self.connection = Connection(session, self.options)
        self.names = Names(self)
        self.frame = Frame()
        self.answer = Answer(session)
        self.rowcount, self.last_error, self.scope_identity = 0, 0, None
        self.caught = []           # errors of the CATCH blocks we are in
        self.in_try = 0
        self.table_number = 0
        self.trigger_depth = 0

    @property
    def pg(self):
        return self.connection.pg

    def open(self, database):
        """Connects; database names are found without regard to case."""
        name = self.find_database(database)
        if name is None or not self.connection.open(name):
            raise SqlError(4060, f'Cannot open database "{database}" requested by the login. The login failed.', 11)
        self.session.database = name
        self.names = Names(self)

    def find_database(self, database):
        from . import install
        c = install.connect(self.session.config.pg, "master")
        try:
            with c.cursor() as cur:
                cur.execute("SELECT datname FROM pg_database WHERE lower(datname) = lower(%s) AND datname NOT IN "
                            "('template0', 'template1', 'postgres', 'standin_template')", [database])
                row = cur.fetchone()
                return row[0] if row else None
        finally:
            c.close()

    def close(self):
        self.connection.close()

    def cancel(self):
        self.connection.cancel()

    def reset(self):
        """RESETCONNECTION (MS-TDS 2.2.3.1.2): what a new login would have."""
        if self.connection.trancount:
            self.connection.rollback()
        self.options.__init__(self.session.login.odbc)
        self.connection.command("DISCARD TEMP")
        self.connection.apply_options()
        self.names.forget()
        self.rowcount, self.last_error, self.scope_identity = 0, 0, None

    def cancelled(self):
        """After Attention: the statement is undone, the transaction stays unless XACT_ABORT says otherwise."""
        self.answer = Answer(self.session)
        if self.options["XACT_ABORT"] and self.connection.trancount:
            self.connection.rollback()

    # -- what the renderer asks ----------------------------------------------------------------------------------------------
    @property
    def ansi_warnings(self):
        return self.options["ANSI_WARNINGS"]

    def table(self, parts):
        return self.names.table(parts)

    def schema(self, name):
        return self.names.schema(name)

    def routine(self, parts):
        return self.names.routine(parts)

    def collation(self, name):
        return self.names.collation(name)

    def make_collation(self, name):
        ddl.make_collation(self, name)

    def function_columns(self, parts):
        return self.names.function_columns(parts)

    def identity_insert(self, info):
        return self.options.identity_insert == info.oid

    def function(self, name, args):
        return functions.session_function(self, name, args)

    def system_variable(self, name):
        return functions.system_variable(self, name)

    def changetable(self, node, info, renderer):
        return functions.changetable(self, node, info, renderer)

    def variable(self, name):
        try:
            return self.frame.variables[name.lower()]
        except KeyError:
            raise SqlError(137, f'Must declare the scalar variable "{name}".', 15, 2)

    def table_variable(self, name):
        found = self.frame.table_variables.get(name.lower())
        if found is None:
            raise SqlError(1087, f'Must declare the table variable "{name}".', 15, 2)
        return found

    # -- batches -----------------------------------------------------------------------------------------------------------
    def batch(self, text):
        """A language batch: its tokens, the final DONE included."""
        self.frame = Frame()
        self.answer = Answer(self.session)
        self.caught, self.in_try = [], 0
        self.run_text(text)
        self.answer.finish()

    @property
    def statement_text(self):
        return self._text

    def names_alias(self, name):
        return False

    def run_text(self, text):
        """Parses and runs; errors are sent, never raised."""
        self._text = text
        try:
            try:
                statements = parser.parse(text, self.options["QUOTED_IDENTIFIER"])
                self.run_all(statements)
            except SqlError as e:
                self.fail(e)
        except (Return, BatchEnd):
            pass
        except LoopControl:
            self.fail(SqlError(135, "Cannot use a BREAK statement outside the scope of a WHILE statement.", 15))
        finally:
            self.drop_table_variables()
        if self.connection.doomed and self.connection.trancount and not self.answer.depth:
            self.env(self.connection.rollback())
            self.send_error(SqlError(3998, "Uncommittable transaction is detected at the end of the batch. The transaction is rolled back.", 16))

    def run_all(self, statements):
        for s in statements:
            self.run(s)

    def run(self, s):
        """One statement; decides what its error ends."""
        self.session.check_attention()
        try:
            getattr(self, "do_" + type(s).__name__.lower())(s)
            if not isinstance(s, (ast.If, ast.Block, ast.While, ast.TryCatch)):
                self.last_error = 0
        except SqlError as e:
            self.session.check_attention()
            if not e.line:
                e.line = s.line
            self.after_error(e, s)

    def after_error(self, e, s):
        self.last_error = e.number
        c = self.connection
        if e.rolled_back and c.trancount:
            if self.in_try and e.number != 1205:
                c.doomed = True
            else:
                self.env(c.rollback())
        aborting = self.options["XACT_ABORT"] and not getattr(e, "raised", False) and e.severity > 10
        if self.in_try:
            said = getattr(e, "raised", False) or getattr(e, "thrown", False)     # by RAISERROR or THROW: only XACT_ABORT dooms
            if c.trancount and (aborting or (e.number not in STATEMENT_ERRORS and not said)):
                c.doomed = True
            raise e
        if aborting and c.trancount:
            self.env(c.rollback())
        if aborting or e.rolled_back or (e.number not in STATEMENT_ERRORS and not getattr(e, "raised", False)) or getattr(e, "thrown", False):
            raise e
        self.fail(e)

    def send_error(self, e):
        self.answer.release(True)
        if e.number != 3617:
            self.session.write_error(e)

    def fail(self, e):
        """The ERROR token and the DONE of the statement that failed."""
        self.last_error = e.number
        self.send_error(e)
        self.answer.done(error=True)

    def env(self, token):
        if token is not None:
            self.answer.write(token)

    # -- expressions ---------------------------------------------------------------------------------------------------------
    def evaluate(self, e, target=None):
        """(stored text, SqlType) of an expression, converted to target when given."""
        if isinstance(e, ast.Literal) and target is None:
            if e.kind == "integer" and int(e.value) <= 2147483647:
                return e.value, values.make_type("int")
            if e.kind in ("string", "nstring"):
                n = "nvarchar" if e.kind == "nstring" else "varchar"
                return values.store_text(e.value), values.SqlType(n, 8000)
        node = ast.Cast(e, target) if target is not None else e
        with self.connection.atomic():
            r = render.Renderer(self)
            r.declare(node)
            sql = f"SELECT ({r.expr(node)}) AS v"
            with self.pg.cursor() as cur:
                cur.execute(f"SELECT v, v::pg_catalog.text FROM ({sql}) AS x")
                from .names import typmods
                t = target or self.names.type_of(cur.description[0].type_code, typmods(cur)[0])
                text = cur.fetchone()[1]
        if target is None:
            from .names import settle
            t = settle(t, [text])
        if t.name == "bit" and text in ("true", "false"):
            text = "1" if text == "true" else "0"
        return text, t

    def text_of(self, e):
        """An expression as a Python string, or None."""
        if isinstance(e, str) or e is None:
            return e
        text, t = self.evaluate(ast.Cast(e, values.SqlType("nvarchar", values.MAX)))
        return None if text is None else values.load_text(text)

    def condition(self, e):
        with self.connection.atomic():
            r = render.Renderer(self)
            r.declare(e)
            return bool(self.connection.rows(f"SELECT CASE WHEN {r.expr(e)} THEN 1 ELSE 0 END")[0][0])

    # -- queries ---------------------------------------------------------------------------------------------------------------
    def do_query(self, s):
        query = s.query
        r = render.Renderer(self)
        if getattr(query, "into", None):
            return ddl.select_into(self, query)
        items = getattr(query, "items", [])
        if any(i.variable for i in items):
            return self.select_variables(query)
        r.declare(query)
        r.sent = True
        sql = r.query(query, True)
        if self.options.rowcount:
            sql = f"SELECT * FROM ({sql}) AS x LIMIT {self.options.rowcount}"
        self.send_query(sql)

    def select_variables(self, query):
        if not all(i.variable for i in query.items):
            raise SqlError(141, "A SELECT statement that assigns a value to a variable must not be combined with data-retrieval operations.", 15)
        targets = [i.variable for i in query.items]
        for i in query.items:
            i.expr, i.variable = ast.Cast(i.expr, self.variable(i.variable)[1]), None
            i.alias = f"v{query.items.index(i)}"
        try:
            with self.connection.atomic():
                r = render.Renderer(self)
                r.declare(query)
                rows = self.connection.rows("SELECT " + ", ".join(f"v{n}::pg_catalog.text" for n in range(len(targets))) + f" FROM ({r.query(query)}) AS x")
            if rows:
                for name, value in zip(targets, rows[-1]):
                    self.frame.variables[name.lower()] = (value, self.variable(name)[1])
        finally:
            for i, name in zip(query.items, targets):
                i.expr, i.variable, i.alias = i.expr.operand, name, None
        self.rowcount = len(rows)

    def send_query(self, sql):
        """Rows through a cursor, so that a large result needs no memory."""
        writer = ResultWriter(self, self.answer)
        if self.options.fmtonly:
            sql = f"SELECT * FROM ({sql}) AS x LIMIT 0" if " LIMIT " in sql or " ORDER BY " in sql else sql + " LIMIT 0"
        with self.connection.atomic():
            with self.pg.cursor() as cur:
                cur.execute(f"DECLARE standin_c NO SCROLL CURSOR FOR {sql}")
                cur.execute(f"FETCH {FIRST} FROM standin_c")
                some = cur.fetchall()
                writer.begin(cur, some)
                writer.rows(some)
                while len(some) in (FIRST, CHUNK):
                    self.session.check_attention()
                    cur.execute(f"FETCH {CHUNK} FROM standin_c")
                    some = cur.fetchall()
                    writer.rows(some)
                cur.execute("CLOSE standin_c")
        self.rowcount = writer.count
        self.answer.done(SELECT_COMMAND, writer.count)

    def send_direct(self, sql, command, verb):
        """A changing statement that also returns rows (OUTPUT)."""
        with self.connection.atomic(verb):
            with self.pg.cursor() as cur:
                cur.execute(sql)
                count = cur.rowcount
                some = cur.fetchall() if cur.description else None
                if some is not None:
                    writer = ResultWriter(self, self.answer)
                    writer.begin(cur, some)
                    writer.rows(some)
        self.changed(command, count)

    def changed(self, command, count):
        self.rowcount = count
        self.answer.done(command, None if self.options["NOCOUNT"] else count)

    # -- changes -----------------------------------------------------------------------------------------------------------------
    def do_insert(self, s):
        if isinstance(s.source, ast.Execute):
            return procedures.insert_exec(self, s)
        d = Dml(self)
        with self.connection.atomic("INSERT"):
            sql, info, identity = d.insert(s)
            modules.check_output(self, info, s.output, "INSERT")
            instead = modules.instead_of(self, info, "INSERT")
            if instead:
                return modules.refuse_instead(info)
            with self.pg.cursor() as cur:
                cur.execute(sql)
                count = cur.rowcount
                some = cur.fetchall() if cur.description else None
                if identity:
                    self.scope_identity = some[-1][0] if some else self.scope_identity
                    if self.identity_insert(info) and some:
                        ddl.move_identity(self, info, max(x[0] for x in some))
                elif some is not None:
                    writer = ResultWriter(self, self.answer)
                    writer.begin(cur, some)
                    writer.rows(some)
            modules.after(self, info, "INSERT")
        self.changed(INSERT_COMMAND, count)

    def do_update(self, s):
        self.change(s, "UPDATE", UPDATE_COMMAND)

    def do_delete(self, s):
        self.change(s, "DELETE", DELETE_COMMAND)

    def change(self, s, verb, command):
        d = Dml(self)
        with self.connection.atomic(verb):
            sql, info = getattr(d, verb.lower())(s)
            modules.check_output(self, info, s.output, verb)
            if modules.instead_of(self, info, verb):
                modules.refuse_instead(info)
            with self.pg.cursor() as cur:
                cur.execute(sql)
                count = cur.rowcount
                if cur.description:
                    some = cur.fetchall()
                    writer = ResultWriter(self, self.answer)
                    writer.begin(cur, some)
                    writer.rows(some)
            modules.after(self, info, verb)
        self.changed(command, count)

    def do_truncate(self, s):
        ddl.truncate(self, s)
        self.changed(0, 0)

    def do_createtable(self, s):
        ddl.create_table(self, s)

    def do_altertable(self, s):
        ddl.alter_table(self, s)

    def do_createindex(self, s):
        ddl.create_index(self, s)

    def do_drop(self, s):
        ddl.drop(self, s)

    def do_definition(self, s):
        ddl.define(self, s)

    # -- control of flow -----------------------------------------------------------------------------------------------------------
    def do_block(self, s):
        self.run_all(s.body)

    def do_if(self, s):
        if self.condition(s.condition):
            self.run(s.then)
        elif s.otherwise is not None:
            self.run(s.otherwise)

    def do_while(self, s):
        while self.condition(s.condition):
            try:
                self.run(s.body)
            except LoopControl as e:
                if e.args[0] == "break":
                    return

    def do_trycatch(self, s):
        self.in_try += 1
        try:
            self.run(s.body)
            return
        except SqlError as e:
            caught = e
        finally:
            self.in_try -= 1
        self.caught.append(caught)
        try:
            self.run(s.handler)
        finally:
            self.caught.pop()

    def do_declare(self, s):
        for name, t, e in s.items:
            if isinstance(t, ast.CreateTable):
                self.table_number += 1
                real = f"{name}_{self.table_number}"
                self.frame.table_variables[name.lower()] = real
                ddl.create_table(self, ast.CreateTable(t.line, [real], t.columns, t.constraints, t.indexes), temporary=True)
            else:
                self.frame.variables[name.lower()] = (None, t)
                if e is not None:
                    self.frame.variables[name.lower()] = self.evaluate(e, t)

    def drop_table_variables(self):
        for real in self.frame.table_variables.values():
            if not self.connection.doomed:
                with self.connection.atomic():
                    self.connection.command(f"DROP TABLE IF EXISTS {render.q(real)}")
            self.names.forget()
        self.frame.table_variables = {}

    def do_setvariable(self, s):
        _, t = self.variable(s.name)
        e = s.expr if s.op == "=" else ast.Binary(s.op[0], ast.Variable(s.name), s.expr)
        self.frame.variables[s.name.lower()] = self.evaluate(e, t)

    def do_setoption(self, s):
        o = self.options
        if s.names == ["ISOLATION"]:
            if s.value == "SNAPSHOT" and self.connection.trancount and o.isolation != "SNAPSHOT":
                raise SqlError(3951, f"Transaction failed in database '{self.session.database}' because the statement was run under snapshot isolation but the "
                                     "transaction did not start in snapshot isolation. You cannot change the isolation level of the transaction to snapshot "
                                     "after the transaction has started unless the transaction was originally started under snapshot isolation level.", 16)
            o.isolation = s.value
        elif s.names == ["IDENTITY_INSERT"]:
            self.set_identity_insert(*s.value)
        elif isinstance(s.value, bool):
            for name in s.names:
                o.set_flag(name, s.value)
        else:
            o.set_value(s.names[0], self.text_of(s.value) if not (isinstance(s.value, ast.Literal) and s.value.kind == "string") else s.value.value)
        self.connection.apply_options()

    def set_identity_insert(self, name, on):
        info = self.table(name)
        if info is None:
            raise SqlError(1088, f'Cannot find the object "{".".join(name)}" because it does not exist or you do not have permissions.', 16, 11)
        if not info.identity:
            raise SqlError(8106, f"Table '{info.name}' does not have the identity property. Cannot perform SET operation.", 16)
        o = self.options
        if on and o.identity_insert not in (None, info.oid):
            raise SqlError(8107, f"IDENTITY_INSERT is already ON for another table. Cannot perform SET operation for table '{info.schema}.{info.name}'.", 16)
        o.identity_insert = info.oid if on else None if o.identity_insert == info.oid else o.identity_insert

    def do_execute(self, s):
        procedures.execute(self, s)

    def do_simple(self, s):
        getattr(self, "simple_" + s.kind.replace(" ", "_"))(s)

    def simple_nothing(self, s):
        self.answer.done()

    def simple_print(self, s):
        self.answer.release(True)
        self.session.write_info(0, self.text_of(s.args[0]) or " ", 1, 0, s.line)

    def simple_raiserror(self, s):
        args, options = s.args
        first, severity = args[0], int(self.text_of(args[1]))
        state = int(self.text_of(args[2])) if len(args) > 2 else 1
        text, number = self.text_of(first), 50000
        if isinstance(first, ast.Literal) and first.kind == "integer":
            number, text = int(first.value), f"Error {first.value}, severity {severity}, state {state} was raised, but no message with that error number was found."
        text = functions.format_message(text, [self.text_of(a) for a in args[3:]])
        if severity <= 10:
            self.answer.release(True)
            self.session.write_info(number if severity else 50000, text, state, severity, s.line)
            return
        e = SqlError(number, text, severity, state, s.line)
        e.raised = True
        raise e

    def simple_throw(self, s):
        if not s.args:
            if not self.caught:
                raise SqlError(10704, "To rethrow an error, a THROW statement must be used inside a CATCH block. Insert the THROW statement inside a CATCH "
                                      "block, or add error parameters to the THROW statement.", 15)
            e = self.caught[-1]
        else:
            number, text, state = (self.text_of(a) for a in s.args)
            e = SqlError(int(number), text, 16, int(state), s.line)
        e.thrown = True
        raise e

    def simple_begin(self, s):
        self.env(self.connection.begin())
        self.answer.done()

    def simple_commit(self, s):
        self.env(self.connection.commit())
        self.answer.done()

    def simple_rollback(self, s):
        self.env(self.connection.rollback(self.text_of(s.args[0])))
        self.names.forget()
        self.answer.done()

    def simple_save(self, s):
        self.connection.save(self.text_of(s.args[0]))
        self.answer.done()

    def simple_break(self, s):
        raise LoopControl("break")

    def simple_continue(self, s):
        raise LoopControl("continue")

    def simple_return(self, s):
        raise Return(int(self.text_of(s.args[0]) or 0) if s.args else 0)

    def simple_use(self, s):
        self.use(s.args[0])

    def use(self, name):
        found = self.find_database(name)
        if found is None:
            raise SqlError(911, f"Database '{name}' does not exist. Make sure that the name is entered correctly.", 16)
        old = self.session.database
        if found != old:
            if self.connection.trancount:
                raise SqlError(102, "stand-in: USE in a transaction", 15)
            self.open(found)
        self.answer.write(tds.envchange_text(tds.ENV_DATABASE, found, old))
        self.session.write_info(5701, f"Changed database context to '{found}'.", 2)

    def simple_waitfor(self, s):
        hours, minutes, seconds = (self.text_of(s.args[0]).split(":") + ["0", "0"])[:3]
        end = time.monotonic() + int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        while time.monotonic() < end:
            self.session.check_attention()
            time.sleep(min(0.02, max(end - time.monotonic(), 0)))
        self.answer.done()

    def simple_kill(self, s):
        procedures.kill(self, int(self.text_of(s.args[0])))
        self.answer.done()

    def simple_dbcc(self, s):
        procedures.dbcc(self, *s.args)
        self.answer.done()

    def simple_permission(self, s):
        procedures.permission(self, *s.args)
        self.answer.done()

    def simple_insert_bulk(self, s):
        from . import bulk
        bulk.prepare(self, *s.args)
        self.answer.done()

    # -- the transaction manager's requests ----------------------------------------------------------------------------------------
    def transaction_request(self, kind, level, reader):
        self.answer = Answer(self.session)
        levels = {1: "READ UNCOMMITTED", 2: "READ COMMITTED", 3: "REPEATABLE READ", 4: "SERIALIZABLE", 5: "SNAPSHOT"}
        if kind == 5:
            if level:
                self.options.isolation = levels.get(level, self.options.isolation)
            token = self.connection.begin()
        elif kind == 7:
            token = self.connection.commit()
        elif kind == 8:
            token = self.connection.rollback()
        else:
            token = self.connection.save(reader.take(reader.u8()).decode("utf-16-le"))
        self.env(token)


