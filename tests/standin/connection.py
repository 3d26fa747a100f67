# SPDX-License-Identifier: PostgreSQL
"""One PostgreSQL connection of a session: transactions with SQL Server's counting, statements with their own savepoint."""
import contextlib
import struct

import psycopg2
import psycopg2.extensions

from . import install, tds
from .errors import SqlError, from_postgres

# Everything that is not a small number or text arrives as text.
_RAW_OIDS = (1082, 1083, 1114, 1184, 1266, 1700, 17, 114, 3802, 1000, 1005, 1007, 1016, 1009)
_RAW = psycopg2.extensions.new_type(_RAW_OIDS, "STANDIN_RAW", lambda value, cursor: value)


class Connection:
    def __init__(self, session, options):
        self.session, self.options = session, options
        self.pg = None
        self.trancount = 0
        self.doomed = False
        self.number = 0          # of the transaction, for its descriptor
        self.savepoints = []
        self.level = 0
        self.applied = {}        # settings as PostgreSQL has them
        self.verb = "SELECT"
        self.snapshot_allowed = None

    def open(self, database):
        try:
            pg = install.connect(self.session.config.pg, database)
        except psycopg2.OperationalError as e:
            if "does not exist" in str(e):
                return False
            raise
        psycopg2.extensions.register_type(_RAW, pg)
        self.close()
        self.pg, self.applied = pg, {}
        login = self.session.login
        program = f"standin {self.session.spid} {login.user.replace(' ', '_')} {login.app}"
        self.command("SET search_path = dbo, sys; SET client_min_messages = info; SET extra_float_digits = 1; SET TimeZone = 'UTC'; "
                     f"SET application_name = {_q(program.encode('ascii', 'replace').decode()[:63])}; "
                     + "".join(f"SET standin.{k} = {_q(v)}; " for k, v in (("spid", str(self.session.spid)), ("login", login.user),
                                                                        ("app", login.app), ("host", login.host))))
        self.apply_options()
        return True

    def close(self):
        if self.pg is not None:
            self.pg.close()
            self.pg = None

    def cancel(self):
        if self.pg is not None and not self.pg.closed:
            try:
                self.pg.cancel()
            except psycopg2.Error:
                pass

    def apply_options(self):
        wanted = {f"standin.{k}": v for k, v in self.options.for_views().items()}
        wanted["standin.date_format"] = self.options.dateformat
        wanted["lock_timeout"] = str(self.options.pg_lock_timeout())
        changed = {k: v for k, v in wanted.items() if self.applied.get(k) != v}
        if changed:
            self.command("; ".join(f"SET {k} = {_q(v)}" for k, v in changed.items()))
            self.applied.update(changed)

    # -- statements ------------------------------------------------------------------------------------------------------
    def error(self, e):
        out = from_postgres(e, self.verb, self.session.database, self.constraint_kind)
        if out.number == 3960 and self.options.isolation != "SNAPSHOT":
            out = SqlError(1205, "Transaction was deadlocked on lock resources with another process and has been chosen as the "
                                 "deadlock victim. Rerun the transaction.", 13, 45)
            out.rolled_back = True
        return out

    def constraint_kind(self, diag):
        """'p' or 'u' for a constraint, None for a plain unique index. Asked on a connection of its own: ours is aborted."""
        c = install.connect(self.session.config.pg, self.session.database)
        try:
            with c.cursor() as cur:
                cur.execute("SELECT contype FROM pg_constraint WHERE conname = %s AND contype IN ('p', 'u') LIMIT 1", [diag.constraint_name])
                row = cur.fetchone()
                if row:
                    return row[0]
                cur.execute("SELECT 1 FROM pg_class WHERE relname = %s AND relkind = 'i'", [diag.constraint_name])
                return None if cur.fetchone() else "p"
        finally:
            c.close()

    def command(self, sql, args=None):
        with self.pg.cursor() as cur:
            cur.execute(sql, args)
            return cur.rowcount

    def rows(self, sql, args=None):
        with self.pg.cursor() as cur:
            cur.execute(sql, args)
            return cur.fetchall()

    @contextlib.contextmanager
    def atomic(self, verb="SELECT"):
        """A statement: all or nothing, inside the client's transaction or one of its own. Raises SqlError."""
        self.verb = verb
        if self.doomed and verb != "SELECT":
            raise SqlError(3930, "The current transaction cannot be committed and cannot support operations that write to the log file. Roll back the "
                                 "transaction.", 16)
        self.check_snapshot()
        outer = self.trancount > 0 or self.level > 0
        self.level += 1     # a trigger's statements are inside their statement's
        mark = f"standin{self.level}"
        try:
            try:
                self.command(f"SAVEPOINT {mark}" if outer else f"BEGIN ISOLATION LEVEL {self.options.pg_isolation()}")
                yield
                self.verb = verb
                self.command(f"RELEASE {mark}" if outer else "COMMIT")
            except psycopg2.Error as e:
                raise self.error(e)
        except BaseException:
            self._undo(outer, mark)
            raise
        finally:
            self.level -= 1

    def _undo(self, outer, mark):
        if self.pg.closed:
            raise SqlError(596, "Cannot continue the execution because the session is in the kill state.", 21)
        if self.pg.info.transaction_status != psycopg2.extensions.TRANSACTION_STATUS_IDLE:
            self.command(f"ROLLBACK TO {mark}; RELEASE {mark}" if outer else "ROLLBACK")

    def check_snapshot(self):
        if self.options.isolation != "SNAPSHOT":
            return
        allowed = self.rows("SELECT coalesce((shobj_description(oid, 'pg_database')::jsonb ->> 'snapshot_isolation_state')::int, 0) FROM pg_database "
                            "WHERE datname = current_database() AND shobj_description(oid, 'pg_database') LIKE '{%'")
        if not allowed or allowed[0][0] != 1:
            raise SqlError(3952, f"Snapshot isolation transaction failed accessing database '{self.session.database}' because snapshot isolation is not "
                                 "allowed in this database. Use ALTER DATABASE to allow snapshot isolation.", 16)

    # -- transactions ------------------------------------------------------------------------------------------------------
    def _changed(self, kind):
        d = struct.pack("<Q", self.number)
        new, old = (d, b"") if kind == tds.ENV_BEGIN else (b"", d)
        return tds.envchange_bytes(kind, new, old)

    def begin(self):
        """The token to send, or None when a transaction was only nested."""
        self.trancount += 1
        if self.trancount > 1:
            return None
        self.number += 1
        self.doomed = False
        self.command(f"BEGIN ISOLATION LEVEL {self.options.pg_isolation()}")
        return self._changed(tds.ENV_BEGIN)

    def commit(self):
        if self.trancount == 0:
            raise SqlError(3902, "The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.", 16)
        if self.doomed:
            raise SqlError(3930, "The current transaction cannot be committed and cannot support operations that write to the log file. Roll back the "
                                 "transaction.", 16)
        if self.trancount > 1:
            self.trancount -= 1
            return None
        self.trancount = 0
        self.savepoints.clear()
        try:
            self.command("COMMIT")
        except psycopg2.Error as e:
            raise self.error(e)
        return self._changed(tds.ENV_COMMIT)

    def rollback(self, name=None):
        if self.trancount == 0:
            raise SqlError(3903, "The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.", 16)
        if name is not None and name.lower() in self.savepoints:
            self.command(f"ROLLBACK TO {_name(name)}")
            return None
        self.trancount = 0
        self.doomed = False
        self.savepoints.clear()
        self.command("ROLLBACK")
        return self._changed(tds.ENV_ROLLBACK)

    def save(self, name):
        if self.trancount == 0:
            raise SqlError(628, "Cannot issue SAVE TRANSACTION when there is no active transaction.", 16, 0)
        self.command(f"SAVEPOINT {_name(name)}")
        self.savepoints.append(name.lower())


def _q(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "''").replace("\0", "") + "'" if "\\" not in text else \
        "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _name(name):
    return '"sv_' + name.lower().replace('"', '""') + '"'
