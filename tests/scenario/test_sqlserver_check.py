# SPDX-License-Identifier: PostgreSQL
"""`crossfade check` of a SQL Server: the estate, change data capture, kinds of tables and columns, and --data on both
sides; each matter seen once as it should not be, and what is printed mends it where a test can run it."""
import os
import re

import pymssql
import pytest

from lib.leaving import Leaving, fails, find, one
from lib.process import wait_for
from lib.replicator import TOP
from lib.sqlserver import SqlServer

SIMPLE = ("CREATE TABLE dbo.Student (Id int NOT NULL CONSTRAINT PK_Student PRIMARY KEY, Name nvarchar(40) NULL)",)


@pytest.fixture(scope="module")
def server(base, template):
    s = SqlServer(base, "check", template).start()
    yield s
    s.stop()


@pytest.fixture
def leaving(make_pipeline, legacy_server, target_server, server):
    source = server.create_database()
    pipeline = make_pipeline(legacy_server, target_server)
    pipeline.roles()
    yield Leaving(pipeline, source)
    source.drop()


def standin(leaving, sql, args=None):
    """The database's private PostgreSQL, for facts that no T-SQL makes."""
    if not leaving.source.server.is_standin:
        pytest.skip("only the stand-in can be told this")
    with leaving.source.server.pg.connect(leaving.source.name) as c, c.cursor() as cur:
        cur.execute(sql, args)


def ready(leaving, *statements, tables=("Student",)):
    """Captured, loaded on the target, installed: nothing to mend."""
    leaving.run(*(statements or SIMPLE))
    leaving.capture(*tables)
    leaving.load(leaving.schema())
    leaving.pipeline.roles()
    code, out, err = leaving.pipeline.crossfade("install")
    assert code == 0, out + err
    return leaving


def test_nothing_to_mend(leaving):
    """As the DBA prepared it: no fail, every matter of the estate has its line"""
    code, findings = ready(leaving).check()
    assert code == 0 and not fails(findings), fails(findings)
    assert not find(findings, "query_failed"), find(findings, "query_failed")
    for name in ("version", "compatibility", "edition", "login", "log_reuse", "catalog_collation", "clock", "agent", "capture_job",
                 "retention", "rights", "size", "table"):
        one(findings, name, "ok")
    one(findings, "encryption", "warn")
    job = one(findings, "capture_job", "ok")
    assert "@pollinginterval = 1" in job["sql"] and "5 s" in job["text"]
    assert "0 x 10" in job["text"] and "500" in job["text"]


def test_capture_is_off(leaving):
    """Database and table without change data capture: the T-SQL that is printed turns it on"""
    leaving.run(*SIMPLE)
    leaving.load(leaving.schema())
    leaving.pipeline.roles()
    code, findings = leaving.check()
    assert code == 1
    leaving.run(one(findings, "cdc_disabled", "fail")["sql"])
    code, findings = leaving.check()
    leaving.run(one(findings, "not_captured", "fail", "dbo.Student")["sql"])
    assert leaving.pipeline.crossfade("install")[0] == 0
    code, findings = leaving.check()
    assert code == 0, fails(findings)


def test_settings_of_the_database(leaving):
    """Compatibility level, SNAPSHOT isolation: said, and mended by what is printed"""
    ready(leaving)
    leaving.run(f"ALTER DATABASE [{leaving.source.name}] SET COMPATIBILITY_LEVEL = 110")
    code, findings = leaving.check()
    assert code == 1
    leaving.run(one(findings, "compatibility", "fail")["sql"])
    leaving.run(one(findings, "snapshot_isolation", "warn")["sql"])
    code, findings = leaving.check()
    assert code == 0
    one(findings, "snapshot_isolation", "ok")
    one(findings, "compatibility", "ok")


@pytest.mark.parametrize("edition, product, level", [
    ("4", "16.0.1000.6", "fail"), ("2", "13.0.1601.5", "fail"), ("2", "13.0.4001.0", "ok"),
    ("3", "13.0.1601.5", "ok")])
def test_editions(leaving, edition, product, level):
    """Express and early Standard have no capture job"""
    ready(leaving)
    try:
        standin(leaving, "INSERT INTO standin.settings VALUES ('server.engineedition', %s), ('server.productversion', %s)", (edition, product))
        code, findings = leaving.check()
        one(findings, "edition", level)
    finally:
        standin(leaving, "DELETE FROM standin.settings WHERE name LIKE 'server.%%'")


def test_jobs(leaving):
    """The Agent stands still; the jobs' settings and what is printed about them"""
    ready(leaving)
    leaving.run("EXEC sys.sp_cdc_change_job @job_type = N'cleanup', @retention = 600")
    standin(leaving, "SELECT standin.set('agent_running', '0')")
    code, findings = leaving.check()
    one(findings, "agent", "fail")
    found = one(findings, "retention", "warn")
    assert "10 h" in found["text"]
    leaving.run(found["sql"])
    code, findings = leaving.check()
    one(findings, "retention", "ok")


def test_capture_stands_still(leaving):
    """The mapping of LSNs to times is old, the log scan fails, __$command_id is missing after an upgrade"""
    ready(leaving)
    wait_for(lambda: leaving.source.one("SELECT COUNT(*) FROM cdc.lsn_time_mapping") > 0, 30, "capture has begun")
    leaving.run("EXEC sys.sp_cdc_stop_job N'capture'")
    standin(leaving, "UPDATE cdc.lsn_time_mapping SET tran_end_time = (clock_timestamp() AT TIME ZONE 'UTC' - interval '1 hour')::timestamp::sys.datetime")
    standin(leaving, "INSERT INTO standin.cdc_error (session_id, entry_time, error_number, message) "
            "VALUES (1, clock_timestamp() AT TIME ZONE 'UTC' - interval '5 minutes', 9002, 'the log is full')")
    standin(leaving, 'ALTER TABLE cdc."dbo_Student_CT" DROP COLUMN "__$command_id"')
    code, findings = leaving.check()
    assert code == 1
    assert "sp_cdc_start_job" in one(findings, "capture_delay", "fail")["sql"]
    assert "9002" in one(findings, "capture_errors", "warn")["text"]
    leaving.run(one(findings, "command_id_missing", "fail", "dbo.Student")["sql"])
    code, findings = leaving.check()
    assert not find(findings, "command_id_missing")


def test_availability(leaving):
    """A database of an availability group, one that is published, one whose files are encrypted; a readable secondary"""
    ready(leaving)
    name = leaving.source.name

    def put(what, value):
        standin(leaving, "SELECT standin.set_database_property(%s, %s, %s::jsonb)", (name, what, value))
    put("replica_id", '"6f9619ff-8b86-d011-b42d-00c04fc964ff"')
    put("is_published", "1")
    put("is_encrypted", "1")
    code, findings = leaving.check()
    assert code == 0, fails(findings)
    for what in ("availability_group", "transactional_replication", "tde"):
        one(findings, what, "ok", name)
    put("is_read_only", "1")
    code, findings = leaving.check()
    assert code == 1
    one(findings, "availability_group", "fail", name)
    put("replica_id", "null")
    code, findings = leaving.check()
    one(findings, "read_only", "fail", name)


def test_captured_columns(leaving):
    """A column that the capture instance leaves out: the second instance that is printed has it"""
    leaving.run("CREATE TABLE dbo.Student (Id int NOT NULL CONSTRAINT PK_Student PRIMARY KEY, Name nvarchar(40) NULL)")
    ready(leaving, "SELECT 1 AS a")
    leaving.run("ALTER TABLE dbo.Student ADD Grade int NULL")
    leaving.load('ALTER TABLE student ADD COLUMN grade int')
    code, findings = leaving.check()
    found = one(findings, "capture_incomplete", "fail", "dbo.Student")
    assert "Grade" in found["text"]
    leaving.run(found["sql"])
    code, findings = leaving.check()
    assert not find(findings, "capture_incomplete")
    one(findings, "two_instances", "ok", "dbo.Student")


def test_rights(leaving):
    """A login without SELECT, without UNMASK over a masked column, without sight of the jobs"""
    ready(leaving)
    s = leaving.source.server
    standin(leaving, "INSERT INTO standin.denied VALUES (%s, 'SELECT', 'dbo.Student'), (%s, 'VIEW DATABASE STATE', NULL), (%s, 'UNMASK', NULL)", (s.user,) * 3)
    standin(leaving, "INSERT INTO standin.column_more (relid, attnum, masking_function) VALUES ('dbo.\"Student\"'::regclass, 2, 'default()')")
    code, findings = leaving.check()
    assert code == 1
    assert one(findings, "right_missing", "fail", "dbo.Student")["sql"].startswith("GRANT SELECT ON [dbo].[Student]")
    one(findings, "masked", "fail", "dbo.Student")
    assert one(findings, "right_view_state", "warn")["sql"] == f"GRANT VIEW DATABASE STATE TO [{s.user}];"
    assert not find(findings, "right_view_definition")
    standin(leaving, "INSERT INTO standin.denied VALUES (%s, 'VIEW DEFINITION', NULL), (%s, 'SELECT', 'cdc')", (s.user,) * 2)
    code, findings = leaving.check()
    one(findings, "right_view_definition", "warn")
    one(findings, "right_missing", "fail", "schema cdc")


def test_kinds_of_tables_and_columns(leaving):
    """Temporal, memory-optimised, graph, Always Encrypted, row security, views named as tables"""
    ready(leaving, "CREATE TABLE dbo.A (Id int NOT NULL PRIMARY KEY, T text NULL, V varchar(10) COLLATE Latin1_General_CS_AS NULL, C AS (Id + 1), R rowversion NOT NULL)",
          "CREATE TABLE dbo.B (Id int NOT NULL PRIMARY KEY, S varchar(20) NULL)", tables=("A", "B"))
    leaving.run("CREATE VIEW dbo.Seen AS SELECT Id FROM dbo.A")
    standin(leaving, "INSERT INTO standin.table_more (relid, properties) VALUES ('dbo.\"B\"'::regclass, '{\"temporal_type\": 1, \"is_memory_optimized\": 1, \"is_node\": 1}')")
    standin(leaving, "INSERT INTO standin.column_more (relid, attnum, encryption_type) VALUES ('dbo.\"B\"'::regclass, 2, 1)")
    leaving.run("INSERT INTO dbo.A (Id) VALUES (1), (2)")
    standin(leaving, "INSERT INTO standin.policy (name, relid, predicate) VALUES ('hide', 'dbo.\"A\"'::regclass, 'x')")
    leaving.pipeline.config["tables"] = ["dbo.A", "dbo.B", "dbo.Seen"]
    code, findings = leaving.check()
    for name in ("temporal", "memory_optimized", "always_encrypted"):
        one(findings, name, "fail", "dbo.B")
    one(findings, "graph", "warn", "dbo.B")
    one(findings, "capture_large", "warn", "dbo.A")
    one(findings, "capture_computed", "ok", "dbo.A")
    one(findings, "capture_rowversion", "ok", "dbo.A")
    one(findings, "capture_collation", "warn", "dbo.A")
    one(findings, "row_security", "warn", "dbo.A")
    one(findings, "not_a_table", "fail", "dbo.Seen")
    one(findings, "text_replication_limit", "warn")


def test_data(leaving):
    """--data counts what the target would refuse or change, with keys to find it by"""
    ready(leaving, "CREATE TABLE dbo.D (Id int NOT NULL CONSTRAINT PK_D PRIMARY KEY, S nvarchar(40) NULL, At datetime2(7) NULL, N decimal(12,4) NULL, B bigint NULL, "
          "M nvarchar(max) NULL, Z int NULL, F decimal(9,3) NULL, P money NULL)", tables=("D",))
    leaving.load("ALTER TABLE d ALTER n TYPE numeric(6,2), ALTER b TYPE int, ALTER s TYPE varchar(5), ALTER z SET NOT NULL, ALTER f TYPE smallint, ALTER p TYPE numeric(19,0)")
    leaving.run("INSERT INTO dbo.D VALUES (1, N'good', '2020-01-01T00:00:00.123456', 1.25, 5, N'x', 1, 5, 7)")
    code, findings = leaving.check("--data")
    assert code == 0, fails(findings)
    assert find(findings, "data"), [f["text"] for f in find(findings, "query_failed")]
    leaving.run("INSERT INTO dbo.D VALUES (2, N'a' + NCHAR(0), '2020-01-01T00:00:00.1234567', 1.2345, 5000000000, N'b' + NCHAR(55357), 1, 1.5, 1.5)",
                "INSERT INTO dbo.D VALUES (3, N'too long', NULL, 123456, NULL, NCHAR(56832) + N'x', NULL, 40000, NULL)",
                "INSERT INTO dbo.D VALUES (4, NULL, NULL, NULL, NULL, N'a pair ' + NCHAR(55357) + NCHAR(56832) + N' is good', 1, -3, -9)")
    code, findings = leaving.check("--data")
    assert code == 1

    def counted(name, thing, text, count, *keys):
        found = [f for f in find(findings, name, "dbo.D." + thing) if text in f["text"]]
        assert len(found) == 1, (name, thing, text, findings)
        assert found[0]["text"].startswith(f"{count} value(s)"), found
        assert all(f"({k})" in found[0]["text"] for k in keys), found
    counted("data_refused", "S", "NUL", 1, 2)
    counted("data_refused", "S", "longer", 1, 3)
    counted("data_refused", "M", "surrogate", 2, 2, 3)
    counted("data_changed", "At", "fractional digits", 1, 2)
    counted("data_changed", "N", "after the point", 1, 2)
    counted("data_refused", "N", "before the point", 1, 3)
    counted("data_refused", "B", "range", 1, 2)
    counted("data_refused", "F", "range", 2, 2, 3)
    counted("data_changed", "P", "after the point", 1, 2)
    counted("data_refused", "Z", "are null", 1, 3)


def test_data_on_the_way_back(leaving):
    """Keys of the target that the legacy's collation takes for one, and values its types can't hold"""
    ready(leaving, "CREATE TABLE dbo.K (Code nvarchar(10) COLLATE Latin1_General_CI_AI NOT NULL CONSTRAINT PK_K PRIMARY KEY, At datetime NULL, T tinyint NULL)", tables=("K",))
    leaving.target.execute("INSERT INTO k VALUES ('a', '1700-01-01', 300), ('A', NULL, 5), ('b', NULL, 1), ('b ', NULL, 1), ('é', NULL, 1), ('e', NULL, 1), ('c', NULL, 1)")
    leaving.pipeline.config["backfill"] = {"existing": "upsert"}
    code, findings = leaving.check("--data")
    assert code == 0, fails(findings)
    found = one(findings, "data_collides", "warn", "dbo.K")
    assert found["text"].startswith("3 key(s)"), found
    assert "fit datetime" in one(findings, "data_way_back", "warn", "dbo.K.At")["text"]
    one(findings, "data_way_back", "warn", "dbo.K.T")


def test_least_privilege_login_is_enough(leaving):
    """As the login that conf/roles-sqlserver.sql makes: it reads, check misses no right, and it writes no table of the application"""
    server = leaving.source.server
    if server.is_standin:
        pytest.skip("the stand-in makes no logins: every one may do everything that is not denied")
    ready(leaving)
    login, password = f"cf_{leaving.source.name}", "Least-privilege-1"
    with open(os.path.join(TOP, "conf", "roles-sqlserver.sql")) as f:
        script = f.read().replace("$(login)", login).replace("$(password)", password)
    with leaving.source.connect() as c, c.cursor() as cursor:
        for batch in re.split(r"(?m)^GO$", script):
            cursor.execute(batch)
    try:
        leaving.login(login, password)
        code, findings = leaving.check("--data")
        assert code == 0, fails(findings)
        for name in ("right_missing", "right_view_state", "right_view_definition", "query_failed", "capture_denied"):
            assert not find(findings, name), find(findings, name)
        with pymssql.connect(server=server.host, port=str(server.port), user=login, password=password, database=leaving.source.name) as c:
            with c.cursor() as cursor, pytest.raises(pymssql.Error, match="229"):
                cursor.execute("INSERT INTO dbo.Student VALUES (1, N'x')")
    finally:
        leaving.source.execute(f"DROP USER [{login}]")
        server.execute(f"DROP LOGIN [{login}]")


def test_unreachable(leaving):
    """Exit status 3 and one finding when the server is not there"""
    leaving.pipeline.config["legacy"]["port"] = 1
    leaving.pipeline.config["connect_timeout"] = "2s"
    code, out, err = leaving.pipeline.crossfade("check", "--json")
    assert code == 3 and '"unreachable"' in out, out + err
