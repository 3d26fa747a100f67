# SPDX-License-Identifier: PostgreSQL
"""A pipeline whose legacy is a database of a SQL Server, and the independent question whether both sides are equal:
pymssql asks the one, psycopg2 the other, and values are compared as Python has them."""
import os
import uuid
from collections import Counter

import pymssql
import pytest

from .process import wait_for

COLUMNS = """
SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"""
TABLES = """
SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1"""


def canonical(value):
    """Equal values are equal and hash alike: Decimal, int and bool do already."""
    if isinstance(value, (memoryview, bytearray)):
        return bytes(value)
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, float) and value == 0:
        return 0.0
    return value


def bag(rows):
    return Counter(tuple(canonical(v) for v in r) for r in rows)


class SqlServerPipeline:
    """`source` is the SQL Server's database, `target` the other one; `pipeline` has the programs."""

    def __init__(self, pipeline, source):
        self.pipeline, self.source, self.target = pipeline, source, pipeline.target
        self.server = source.server
        self.selects, self.target_selects = {}, {}  # (table, column): how that side is to be asked for it
        self.secret = os.path.join(pipeline.dir, "secret")
        self.password(self.server.password)
        pipeline.config["legacy"] = {
            "kind": "sqlserver", "host": self.server.host, "port": self.server.port, "database": source.name,
            "user": self.server.user, "password": f"file:{self.secret}", "encrypt": "off", "capture": "cdc"}
        pipeline.config["schemas"] = {"dbo": "public"}
        pipeline.config["stream"] = {"poll_interval": "100ms"}

    def password(self, text):
        with open(self.secret, "w") as f:
            f.write(text)
        os.chmod(self.secret, 0o600)

    # -- the server

    def standin(self, sql, args=None):
        """What no SQL Server can be asked for by a test: an administrator of what stands behind the stand-in."""
        if not self.server.is_standin:
            pytest.skip("takes a hand inside the server: only the stand-in's can be reached")
        c = self.server.pg.connect(self.source.name)
        try:
            with c.cursor() as cur:
                cur.execute(sql, args)
                return cur.fetchall() if cur.description else None
        finally:
            c.close()

    def knob(self, **settings):
        for name, value in settings.items():
            self.standin("SELECT standin.set(%s, %s)", (name, str(value)))

    def need_cdc(self):
        if not self.server.is_standin and not self.server.one("SELECT CASE WHEN OBJECT_ID(N'sys.sp_cdc_enable_db') IS NULL THEN 0 ELSE 1 END"):
            pytest.skip("this server has no change data capture")

    def need_sessions(self):
        """Every session of ours reads back what it has set."""
        try:
            self.source.query("SELECT @@TEXTSIZE")
        except pymssql.Error:
            pytest.skip("this server has no @@TEXTSIZE, so that no session of ours passes the look at its settings")

    def enable_cdc(self):
        self.need_cdc()
        self.source.execute("EXEC sys.sp_cdc_enable_db")
        if self.server.is_standin:
            self.knob(poll_ms=30)

    def capture(self, *tables, instance=None, options=""):
        for t in tables:
            name = f", @capture_instance = N'{instance}'" if instance else ""
            try:
                self.source.execute(f"EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'{t}', @role_name = NULL, "
                                    f"@supports_net_changes = 0{name}{options}")
            except pymssql.Error as e:
                if e.args[0] not in (22855, 22856):  # warnings about partitions, which pymssql takes for errors
                    raise
        wait_for(lambda: not self.source.query("SELECT 1 FROM cdc.change_tables WHERE start_lsn IS NULL"), 60, "the capture job has met the instances")

    def disable(self, table, instance="all"):
        self.source.execute(f"EXEC sys.sp_cdc_disable_table @source_schema = N'dbo', @source_name = N'{table}', @capture_instance = N'{instance}'")

    def job(self, what, kind="capture"):
        """sp_cdc_stop_job or sp_cdc_start_job, and until that is so."""
        self.source.execute(f"EXEC sys.sp_cdc_{what}_job @job_type = N'{kind}'")
        if what == "stop":
            wait_for(lambda: not self.standin("SELECT 1 FROM standin.job WHERE job_type = %s AND running", (kind,)), 30, "the job has stopped")

    def clean_up(self, wait=True):
        """The clean-up job, with nothing worth keeping."""
        self.knob(retention_s=0)
        self.job("start", "cleanup")
        if wait:
            wait_for(lambda: not self.standin("SELECT 1 FROM standin.job WHERE job_type = 'cleanup' AND wanted"), 30, "cleaned up")

    def captured(self):
        """Until the capture job has read all that was committed before. Gives that LSN."""
        token = str(uuid.uuid4())
        self.source.execute(f"INSERT INTO crossfade.marker VALUES (N'{token[:30]}', '{token}', SYSUTCDATETIME())")
        found = wait_for(lambda: self.source.query(f"SELECT [__$start_lsn] FROM cdc.crossfade_marker_CT WHERE token = '{token}'"), 60,
                         "the capture job has come that far")
        return "0x" + found[0][0].hex().upper()

    # -- preparation

    def prepare(self, source, target, captured=None, roles=True):
        """Tables of either side; all of the source's are captured unless named."""
        self.need_cdc()
        self.source.execute(source)
        self.enable_cdc()
        if captured is None:
            captured = [r[0] for r in self.source.query("SELECT t.name FROM sys.tables AS t JOIN sys.schemas AS s ON s.schema_id = t.schema_id "
                                                        "WHERE s.name = N'dbo' AND t.is_ms_shipped = 0 ORDER BY t.name")]
        self.capture(*captured)
        self.pipeline.on(self.target, target)
        if roles:
            self.pipeline.roles()
            code, out, err = self.pipeline.crossfade("install")
            assert code == 0, f"crossfade install: {code}\n{out}{err}"
        return self

    # -- are they equal?

    def rows(self, table):
        """(the source's rows, the target's), as bags."""
        columns = [r[0] for r in self.target.query(COLUMNS, (f'public."{table}"',))]
        ask = ", ".join(self.selects.get((table, c), f"[{c}]") for c in columns)
        theirs = self.source.query(f"SELECT {ask} FROM [dbo].[{table}]")
        ask = ", ".join(self.target_selects.get((table, c), f'"{c}"') for c in columns)
        ours = self.target.query(f'SELECT {ask} FROM public."{table}"'.replace("%", "%%"))
        return bag(theirs), bag(ours)

    def tables(self):
        return [r[0] for r in self.target.query(TABLES)]

    def differences(self, tables=None):
        out = []
        for t in tables or self.tables():
            theirs, ours = self.rows(t)
            if theirs != ours:
                lines = [f"   - only legacy x{n}: {str(r)[:300]}" for r, n in list((theirs - ours).items())[:5]]
                lines += [f"   + only target x{n}: {str(r)[:300]}" for r, n in list((ours - theirs).items())[:5]]
                out.append(f"{t}: legacy {sum(theirs.values())}, target {sum(ours.values())} rows\n" + "\n".join(lines))
        return out

    def assert_equal(self, *tables):
        found = self.differences(tables or None)
        assert not found, "not equal:\n" + "\n".join(found) + "".join("\n" + r.tail() for r in self.pipeline.replicators[-2:])

    def wait_equal(self, replicator, *tables, deadline=60):
        found = [None]

        def same():
            found[0] = self.differences(tables or None)
            return not found[0]
        try:
            replicator.wait(same, deadline, "both sides are equal")
        except AssertionError as e:
            raise AssertionError("not equal:\n" + "\n".join(found[0] or []) + f"\n{e}") from None

    def wait_state(self, replicator, table, state, deadline=60):
        """Gives the reason."""
        def look():
            t = replicator.tables().get(f"dbo.{table}")
            return t and t["state"] == state and (t["reason"] or True)
        return replicator.wait(look, deadline, f"dbo.{table} is {state}")

    def close(self):
        for r in self.pipeline.replicators:
            if r.running:
                r.end()
        self.source.drop()
