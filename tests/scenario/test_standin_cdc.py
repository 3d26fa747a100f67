# SPDX-License-Identifier: PostgreSQL
"""The stand-in's system side, asked through its private PostgreSQL, and at the end as a client of SQL Server would: change data capture, its job and its clean-up, change
tracking, rowversion, a restored database, the system views. What each test claims is what Microsoft documents; the
page is named where the SQL is (tests/standin/sql)."""
import itertools
import os
import signal
import sys
import time

import psycopg2
import pymssql
import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from lib.process import wait_for  # noqa: E402
from lib.sqlserver import SqlServer  # noqa: E402
from standin import cdc, install  # noqa: E402

_number = itertools.count(1)
ZERO = "00" * 10
IN_ORDER = 'ORDER BY "__$start_lsn"::bytea, "__$command_id", "__$seqval"::bytea, "__$operation"'


class Agent:
    """The process with the jobs."""

    def __init__(self, conninfo):
        self.conninfo, self.process = conninfo, None

    def start(self):
        self.process, = cdc.start(self.conninfo)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)


class Database:
    def __init__(self, server, name):
        self.server, self.name = server, name
        self.connection = self.connect()

    def connect(self):
        c = self.server.connect(self.name)
        with c.cursor() as cur:
            cur.execute("SET search_path = dbo, pg_catalog, sys")
        return c

    def __call__(self, sql, args=None, c=None):
        with (c or self.connection).cursor() as cur:
            cur.execute(sql, args)
            return cur.fetchall() if cur.description else None

    def one(self, sql, args=None):
        return self(sql, args)[0][0]

    def fails(self, number, sql):
        """Whether the statement ends with this error number of SQL Server."""
        with pytest.raises(psycopg2.Error) as e:
            self(sql)
        assert e.value.pgcode == "MS000" and e.value.diag.message_primary.startswith(f"{number}|"), str(e.value)

    def enable(self, table="t", columns="id int PRIMARY KEY, v sys.nvarchar(50)", poll_ms=30, **more):
        """A table of these columns, captured."""
        if self.one("SELECT sys.object_id(%s)", (f"dbo.{table}",)) is None:
            self(f"CREATE TABLE dbo.{table} ({columns})")
        if self.one("SELECT is_cdc_enabled::int FROM sys.databases WHERE database_id = sys.db_id()") == 0:
            self("SELECT sys.sp_cdc_enable_db()")
            self("SELECT standin.set('poll_ms', %s)", (str(poll_ms),))
        arguments = {"source_schema": "dbo", "source_name": table, "role_name": None, **more}
        self("SELECT sys.sp_cdc_enable_table(%s)" % ", ".join(f"{k} => %({k})s" for k in arguments), arguments)
        name = more.get("capture_instance", f"dbo_{table}")
        wait_for(lambda: self.start_lsn(name) is not None, 30, "the capture job has met the new instance")

    def start_lsn(self, instance):
        return self.one("SELECT encode(start_lsn::bytea, 'hex') FROM cdc.change_tables WHERE capture_instance::pg_catalog.text = %s", (instance,))

    def min_lsn(self, instance):
        return self.one("SELECT encode(sys.fn_cdc_get_min_lsn(%s)::bytea, 'hex')", (instance,))

    def max_lsn(self):
        return self.one("SELECT encode(sys.fn_cdc_get_max_lsn()::bytea, 'hex')")

    def changes(self, columns, instance="dbo_t"):
        return self(f'SELECT {columns} FROM cdc."{instance}_CT" {IN_ORDER}')

    def wait_changes(self, count, columns='"__$operation", id, v', instance="dbo_t"):
        wait_for(lambda: len(self.changes("1", instance)) >= count, 30, f"{count} rows in cdc.{instance}_CT")
        rows = self.changes(columns, instance)
        assert len(rows) == count
        return rows

    def job(self, what, kind="capture"):
        self(f"SELECT sys.sp_cdc_{what}_job(%s)", (kind,))
        if what == "stop":
            wait_for(lambda: not self.one("SELECT running FROM standin.job WHERE job_type = %s", (kind,)), 30, "the job has stopped")

    def version(self):
        return self.one("SELECT sys.change_tracking_current_version()")


@pytest.fixture(scope="module")
def server(make_server):
    s = make_server("s")
    install.prepare(f"host={s.dir} user=postgres")
    return s


@pytest.fixture(scope="module")
def agent(server):
    a = Agent(f"host={server.dir} user=postgres")
    a.start()
    yield a
    a.kill()


@pytest.fixture
def db(server, agent):
    name = f"db{next(_number)}"
    server.execute(f"CREATE DATABASE {name} TEMPLATE standin_template")
    d = Database(server, name)
    yield d
    d.connection.close()
    c = server.connect("master")
    with c.cursor() as cur:
        cur.execute("SELECT standin.release_database(%s)", (name,))
        cur.execute(f"DROP DATABASE {name} WITH (FORCE)")
    c.close()


# -- change data capture ---------------------------------------------------------------------------------------------

def test_capture_is_asynchronous(db):
    """Nothing is in the change table while the job is stopped; everything is after it was started again."""
    db.enable()
    db.job("stop")
    db.fails(22022, "SELECT sys.sp_cdc_stop_job()")
    wait = "SELECT log_reuse_wait_desc::pg_catalog.text FROM sys.databases WHERE database_id = sys.db_id()"
    wait_for(lambda: db.one(wait) == "REPLICATION", 30, "the log waits for the job")
    before = db.max_lsn()
    db("INSERT INTO dbo.t VALUES (1, 'a')")
    time.sleep(0.3)
    assert db.changes("1") == [] and db.max_lsn() == before
    db.job("start")
    assert db.wait_changes(1) == [(2, 1, "a")]
    assert db.max_lsn() > before and db.one(wait) == "NOTHING"
    assert db("SELECT encode(start_lsn::bytea, 'hex') FROM cdc.lsn_time_mapping WHERE tran_id::bytea <> '\\x00'") == db.changes(
        "encode(\"__$start_lsn\"::bytea, 'hex')")


def test_low_endpoint_is_unknown_until_the_job_met_the_instance(db):
    db("CREATE TABLE dbo.t (id int PRIMARY KEY)")
    db("SELECT sys.sp_cdc_enable_db(), standin.set('agent_running', '0')")
    db("SELECT sys.sp_cdc_enable_table('dbo', 't', role_name => NULL)")
    assert db.start_lsn("dbo_t") is None and db.min_lsn("dbo_t") == ZERO
    db("SELECT standin.set('agent_running', '1')")
    wait_for(lambda: db.start_lsn("dbo_t"), 30)
    assert db.min_lsn("dbo_t") == db.start_lsn("dbo_t") <= db.max_lsn()


def test_a_poll_takes_maxtrans_times_maxscans(db):
    """Parameters of sp_cdc_change_job count from the next start of the job on."""
    db.enable()
    db("SELECT sys.sp_cdc_change_job(maxtrans => 2, maxscans => 3, pollinginterval => 3600), standin.set('poll_ms', '')")
    db.job("stop")
    for i in range(20):
        db("INSERT INTO dbo.t VALUES (%s, NULL)", (i,))
    db.job("start")
    db.wait_changes(6)
    time.sleep(0.3)
    assert [r[0] for r in db.changes("id")] == list(range(6))
    db.job("stop")
    db.job("start")
    db.wait_changes(12)


def test_rows_of_a_transaction_in_order_across_tables(db):
    """One commit LSN, __$command_id rising over all tables; an aborted part is not there."""
    db.enable("t")
    db.enable("u")
    c = db.connect()
    c.autocommit = False
    db("INSERT INTO dbo.t VALUES (1, 'a'); INSERT INTO dbo.u VALUES (1, 'b'); SAVEPOINT s; INSERT INTO dbo.t VALUES (9, 'x'); "
       "ROLLBACK TO s; UPDATE dbo.t SET v = 'c' WHERE id = 1; DELETE FROM dbo.u WHERE id = 1", c=c)
    c.commit()
    c.close()
    db.wait_changes(2, instance="dbo_u")
    columns = '"__$command_id", "__$operation", id, v'
    rows = [("t", *r) for r in db.wait_changes(3, columns)] + [("u", *r) for r in db.changes(columns, "dbo_u")]
    assert sorted(rows, key=lambda r: (r[1], r[2])) == [
        ("t", 1, 2, 1, "a"), ("u", 2, 2, 1, "b"), ("t", 3, 3, 1, "a"), ("t", 3, 4, 1, "c"), ("u", 4, 1, 1, "b")]
    lsns = set(db.changes('"__$start_lsn"::pg_catalog.text') + db.changes('"__$start_lsn"::pg_catalog.text', "dbo_u"))
    assert len(lsns) == 1


@pytest.mark.parametrize("count", [8, 9, 17, 40])
def test_update_mask_is_read_from_its_last_byte(db, count):
    """Hazard 14."""
    names = [f"c{i}" for i in range(1, count)]
    db.enable(columns="id int PRIMARY KEY, " + ", ".join(f"{n} int" for n in names))
    db("INSERT INTO dbo.t (id) VALUES (1)")
    db("UPDATE dbo.t SET c1 = 1")
    db(f"UPDATE dbo.t SET {names[-1]} = 1, c3 = 3")
    db("DELETE FROM dbo.t")
    rows = db.wait_changes(6, '"__$operation", "__$update_mask"::bytea')
    masks = [int.from_bytes(bytes(m), "big") for _, m in rows]
    assert [len(bytes(m)) for _, m in rows] == [(count + 7) // 8] * 6
    full = (1 << count) - 1
    assert masks == [full, 2, 2, 1 << (count - 1) | 8, 1 << (count - 1) | 8, full]
    changed = db("SELECT sys.fn_cdc_has_column_changed('dbo_t', column_name::pg_catalog.text, %s)::int FROM cdc.captured_columns "
                 "ORDER BY column_ordinal", (bytes(rows[3][1]),))
    assert [c for c, in changed] == [int(i in (3, count - 1)) for i in range(count)]


def test_null_rules_of_large_and_computed_columns(db):
    db("CREATE TABLE dbo.t (id int PRIMARY KEY, n int, big sys.nvarcharmax, old sys.ntext, twice int GENERATED ALWAYS AS (n * 2) STORED)")
    db("INSERT INTO standin.column (relid, attnum, ms_type, max_length, prec, scale, nullable, computed) "
       "VALUES ('dbo.t'::regclass, 5, 'int', 4, 10, 0, true, '([n]*(2))')")
    db.enable()
    large = "x" * 20000  # stored apart
    db("INSERT INTO dbo.t VALUES (1, 1, %s, 'o')", (large,))
    db("UPDATE dbo.t SET n = 2")
    db("UPDATE dbo.t SET big = 'y'")
    db("DELETE FROM dbo.t")
    assert db.wait_changes(6, '"__$operation", n, big, old, twice') == [
        (2, 1, large, "o", None),
        (3, 1, None, None, None), (4, 2, large, "o", None),
        (3, 2, large, None, None), (4, 2, "y", "o", None),
        (1, 2, "y", None, None)]


def test_update_of_a_unique_column_is_delete_and_insert(db):
    """KB 3030352. The pair has one __$seqval."""
    db.enable(columns="id int PRIMARY KEY, v sys.nvarchar(50), code int UNIQUE, CONSTRAINT both_of UNIQUE (v, id)")
    db("INSERT INTO dbo.t VALUES (1, 'a', 7)")
    db("UPDATE dbo.t SET id = 2")
    db("UPDATE dbo.t SET code = 8")
    rows = db.wait_changes(5, '"__$operation", "__$command_id", id, code, "__$seqval"::pg_catalog.text')
    assert [r[:4] for r in rows] == [(2, 1, 1, 7), (1, 1, 1, 7), (2, 2, 2, 7), (1, 1, 2, 7), (2, 2, 2, 8)]
    assert rows[1][4] == rows[2][4] and rows[3][4] == rows[4][4]


def test_update_without_change_leaves_no_row(db):
    db.enable(captured_column_list="[id], v", columns="id int PRIMARY KEY, v sys.nvarchar(50), other int")
    db("INSERT INTO dbo.t VALUES (1, 'a', 1)")
    db("UPDATE dbo.t SET v = 'a'; UPDATE dbo.t SET other = 2")
    db("INSERT INTO dbo.t VALUES (2, 'b', 1)")
    assert db.wait_changes(2) == [(2, 1, "a"), (2, 2, "b")]


def test_min_lsn_is_zero_for_a_wrong_name_or_a_missing_right(db):
    """Hazard 9."""
    db.enable(role_name="readers")
    assert db.min_lsn("dbo_nothing") == ZERO and db.min_lsn("DBO_T") == db.start_lsn("dbo_t") != ZERO
    db("INSERT INTO standin.not_member VALUES ('app', 'readers')")
    db("SET standin.login = 'app'")
    assert db.min_lsn("dbo_t") == ZERO


def test_at_most_two_instances_and_unique_names(db):
    db.enable()
    db.fails(22926, "SELECT sys.sp_cdc_enable_table('dbo', 't', role_name => NULL)")
    db.enable(capture_instance="second")
    db("INSERT INTO dbo.t VALUES (1, 'a')")
    assert db.wait_changes(1) == db.wait_changes(1, instance="second")
    db.fails(22962, "SELECT sys.sp_cdc_enable_table('dbo', 't', capture_instance => 'third', role_name => NULL)")
    db.fails(22960, "SELECT sys.sp_cdc_disable_table('dbo', 't', 'third')")
    db("SELECT sys.sp_cdc_disable_table('dbo', 't', 'dbo_t')")
    db("INSERT INTO dbo.t VALUES (2, 'b')")
    db.wait_changes(2, instance="second")
    assert db.min_lsn("dbo_t") == ZERO
    assert db.one("SELECT is_tracked_by_cdc::int FROM sys.tables WHERE object_id = sys.object_id('dbo.t')") == 1
    db("SELECT sys.sp_cdc_disable_table('dbo', 't', 'all')")
    assert db.one("SELECT is_tracked_by_cdc::int FROM sys.tables WHERE object_id = sys.object_id('dbo.t')") == 0


def test_errors_of_enabling(db):
    db("CREATE TABLE dbo.t (id int PRIMARY KEY, v int); CREATE TABLE dbo.heap (v int)")
    db.fails(22901, "SELECT sys.sp_cdc_enable_table('dbo', 't', role_name => NULL)")
    db("SELECT sys.sp_cdc_enable_db()")
    db.fails(201, "SELECT sys.sp_cdc_enable_table('dbo', 't')")
    db.fails(22931, "SELECT sys.sp_cdc_enable_table('dbo', 'nothing', role_name => NULL)")
    db.fails(22930, "SELECT sys.sp_cdc_enable_table('dbo', 't', role_name => NULL, captured_column_list => 'id, w')")
    db.fails(22943, "SELECT sys.sp_cdc_enable_table('dbo', 't', role_name => NULL, captured_column_list => 'v')")
    db.fails(22939, "SELECT sys.sp_cdc_enable_table('dbo', 'heap', role_name => NULL, supports_net_changes => 1)")
    db.fails(22985, "SELECT sys.sp_cdc_disable_table('dbo', 't', 'all')")
    db("SELECT sys.sp_cdc_enable_table('dbo', 'heap', role_name => NULL)")
    db.fails(22990, "SELECT sys.sp_cdc_change_job(pollinginterval => 86401)")
    db.fails(22995, "SELECT sys.sp_cdc_change_job('capture', retention => 1)")
    db.fails(22992, "SELECT sys.sp_cdc_change_job('other')")
    db("INSERT INTO standin.not_member VALUES ('app', 'db_owner'); SET standin.login = 'app'")
    db.fails(22904, "SELECT sys.sp_cdc_enable_table('dbo', 't', role_name => NULL)")


def test_truncate_is_refused(db):
    db.enable()
    db.fails(4711, "TRUNCATE dbo.t")
    db("SELECT sys.sp_cdc_disable_table('dbo', 't', 'all')")
    db("TRUNCATE dbo.t")


def test_schema_changes(db):
    """A new column is not captured, a dropped one is NULL, a new type is followed; each has its line of history."""
    db.enable(columns="id int PRIMARY KEY, v sys.nvarchar(5), w int")
    db.job("stop")
    db("INSERT INTO dbo.t VALUES (1, 'a', 1)")
    db("ALTER TABLE dbo.t ADD extra int")
    db("ALTER TABLE dbo.t ALTER v TYPE sys.nvarchar(50)")
    db("INSERT INTO dbo.t VALUES (2, %s, 2, 2)", ("b" * 50,))
    db("ALTER TABLE dbo.t DROP w")
    db("ALTER TABLE dbo.t ADD w int")  # not the captured one
    db("INSERT INTO dbo.t (id, w) VALUES (3, 3)")
    db.job("start")
    assert db.wait_changes(3, "id, v, w") == [(1, "a", 1), (2, "b" * 50, 2), (3, None, None)]
    history = db("SELECT required_column_update::int, ddl_command::pg_catalog.text, ddl_lsn IS NOT NULL FROM cdc.ddl_history ORDER BY ddl_lsn::bytea")
    assert [(h[0], h[1].split(" dbo.t ")[1].split()[0], h[2]) for h in history] == [
        (0, "ADD", True), (1, "ALTER", True), (0, "DROP", True), (0, "ADD", True)]
    assert db.one("SELECT max_length FROM sys.columns WHERE object_id = sys.object_id('cdc.dbo_t_CT') AND column_id = 7") == 100


def test_a_dropped_source_takes_its_instances_along(db):
    """Its primary key alone can't be dropped."""
    db.enable()
    db.fails(22979, "ALTER TABLE dbo.t DROP CONSTRAINT t_pkey")
    db("DROP TABLE dbo.t")
    assert db("SELECT 1 FROM cdc.change_tables") == [] and db.one("SELECT sys.object_id('cdc.dbo_t_CT')") is None


def test_clean_up_moves_low_watermarks_before_it_deletes(db):
    """Hazard 46 rests on this: a reader that finds min LSN where it was has lost nothing."""
    db.enable("t")
    db.enable("quiet")
    db("INSERT INTO dbo.t SELECT g, NULL FROM generate_series(1, 50) g")
    db.wait_changes(50)
    db("SELECT standin.set('retention_s', '0'), standin.set('cleanup_pause_ms', '1500'), sys.sp_cdc_change_job('cleanup', threshold => 7)")
    old = db.min_lsn("dbo_t")
    time.sleep(0.1)
    db("INSERT INTO dbo.t VALUES (99, 'last')")
    db.wait_changes(51)
    last = db.max_lsn()
    db.job("start", "cleanup")
    wait_for(lambda: db.min_lsn("dbo_t") != old, 30, "low watermark moved")
    assert db.min_lsn("dbo_t") == db.min_lsn("dbo_quiet") == last
    assert len(db.changes("1")) == 51, "deleted together with the move"
    wait_for(lambda: len(db.changes("1")) == 1, 30, "old rows deleted")
    assert db.changes("id") == [(99,)]
    wait_for(lambda: db.one("SELECT encode(start_lsn::bytea, 'hex') FROM cdc.lsn_time_mapping ORDER BY start_lsn::bytea") == last, 30,
             "old entries deleted")


def test_clean_up_of_one_instance(db):
    db.enable()
    for i in range(4):
        db("INSERT INTO dbo.t VALUES (%s, NULL)", (i,))
    db.wait_changes(4)
    lsns = [bytes(r[0]) for r in db.changes('"__$start_lsn"::bytea')]
    db.fails(22957, "SELECT sys.sp_cdc_cleanup_change_table('dbo_t', '\\x00000000000000000001')")
    db.fails(22981, "SELECT sys.sp_cdc_cleanup_change_table('nothing', NULL)")
    between = db.one("SELECT '0x' || encode(sys.fn_cdc_increment_lsn(%s)::bytea, 'hex')", (lsns[1],))
    db.fails(22964, f"SELECT sys.sp_cdc_cleanup_change_table('dbo_t', '\\x{between[2:]}')")
    db("SELECT sys.sp_cdc_cleanup_change_table('dbo_t', %s)", (lsns[2],))
    assert db.changes("id") == [(2,), (3,)] and db.min_lsn("dbo_t") == lsns[2].hex()


def test_idle_entries(db):
    """max LSN goes on without changes; such entries have transaction id 0x00."""
    db.enable()
    db("SELECT standin.set('idle_entry_s', '0.2')")
    before = db.max_lsn()
    db.server.execute("SELECT pg_logical_emit_message(true, 'other', 'other work')")
    wait_for(lambda: db.max_lsn() > before, 30, "an idle entry")
    assert {bytes(r[0]) for r in db("SELECT tran_id::bytea FROM cdc.lsn_time_mapping")} == {b"\0"}


def test_time_of_lsns(db):
    db.enable()
    db("INSERT INTO dbo.t VALUES (1, NULL)")
    db.wait_changes(1)
    assert db.one('SELECT abs(extract(epoch FROM clock_timestamp()::timestamp - sys.fn_cdc_map_lsn_to_time("__$start_lsn"::bytea)::timestamp)) < 60 '
                  'FROM cdc."dbo_t_CT"')
    assert db.one("SELECT sys.fn_cdc_map_time_to_lsn('largest less than or equal', clock_timestamp()::timestamp::sys.datetime)::bytea "
                  "= sys.fn_cdc_get_max_lsn()::bytea")
    assert db.one("SELECT sys.fn_cdc_map_time_to_lsn('smallest greater than', clock_timestamp()::timestamp::sys.datetime)") is None
    assert db.one("SELECT encode(sys.fn_cdc_increment_lsn('\\x000000010000ffffffff'::bytea)::bytea, 'hex')") == "00000001000100000000"
    assert db.one("SELECT encode(sys.fn_cdc_decrement_lsn('\\x00000001000100000000'::bytea)::bytea, 'hex')") == "000000010000ffffffff"


def test_disabled_and_enabled_again_is_another_history(db):
    """Hazard 13: the change table has another object_id and create_date, its rows are gone."""
    db.enable()
    db("INSERT INTO dbo.t VALUES (1, NULL)")
    db.wait_changes(1)
    before = db("SELECT object_id, create_date FROM cdc.change_tables")
    max_before = db.max_lsn()
    db("SELECT sys.sp_cdc_disable_db()")
    assert db.one("SELECT is_cdc_enabled::int FROM sys.databases WHERE database_id = sys.db_id()") == 0
    db("INSERT INTO dbo.t VALUES (2, NULL)")
    db.enable()
    after = db("SELECT object_id, create_date FROM cdc.change_tables")
    assert after[0][0] != before[0][0] and after[0][1] != before[0][1]
    db("INSERT INTO dbo.t VALUES (3, NULL)")
    assert db.wait_changes(1, "id") == [(3,)] and db.min_lsn("dbo_t") > max_before


def test_restore_sets_lsns_back(db):
    """Hazard 50."""
    db.enable()
    db("INSERT INTO dbo.t VALUES (1, NULL)")
    db.wait_changes(1)
    point = db.max_lsn()
    ids = "SELECT database_guid, recovery_fork_guid FROM sys.database_recovery_status WHERE database_id = sys.db_id()"
    guids = db(ids)[0]
    db("INSERT INTO dbo.t SELECT g, repeat('x', 50) FROM generate_series(2, 500) g")
    db.wait_changes(500)
    beyond = db.max_lsn()
    db("DELETE FROM dbo.t WHERE id > 1; INSERT INTO dbo.t VALUES (0, NULL)")
    db.wait_changes(1000)
    db("SELECT standin.restore(decode(%s, 'hex'))", (point,))
    assert db.max_lsn() == point and db.changes("id") == [(1,)]
    assert db(ids)[0][0] == guids[0] and db(ids)[0][1] != guids[1]
    db("INSERT INTO dbo.t VALUES (600, NULL)")
    db.wait_changes(2)
    assert point < db.max_lsn() < beyond
    assert db.one("SELECT count(*) FROM msdb_dbo.restorehistory") == 1


def test_command_id_is_missing_until_vupgrade(db):
    db.enable()
    db('ALTER TABLE cdc."dbo_t_CT" DROP "__$command_id"')
    db("INSERT INTO dbo.t VALUES (1, 'a')")
    wait_for(lambda: db('SELECT 1 FROM cdc."dbo_t_CT"'), 30)
    assert db.one("SELECT sys.columnproperty(sys.object_id('cdc.dbo_t_CT'), '__$command_id', 'ColumnId')") is None
    db("SELECT sys.sp_cdc_vupgrade()")
    db("INSERT INTO dbo.t VALUES (2, 'b')")
    wait_for(lambda: len(db('SELECT 1 FROM cdc."dbo_t_CT"')) == 2, 30)
    assert sorted(db('SELECT id, "__$command_id" FROM cdc."dbo_t_CT"')) == [(1, None), (2, 1)]


def test_killed_job_neither_loses_nor_repeats(db, agent):
    db.enable()
    db("SELECT sys.sp_cdc_change_job(maxtrans => 20)")
    for round_ in range(3):
        for i in range(100):
            db("INSERT INTO dbo.t VALUES (%s, NULL)", (round_ * 100 + i,))
            if i == 50:
                agent.kill()
        agent.start()
    db.wait_changes(300)
    assert db.changes("id") == [(i,) for i in range(300)]


def test_log_scan_sessions(db):
    db.enable()
    db("INSERT INTO dbo.t VALUES (1, 'a'); UPDATE dbo.t SET v = 'b'")
    db.wait_changes(3)
    total = db("SELECT scan_phase::pg_catalog.text, tran_count, command_count, error_count FROM sys.dm_cdc_log_scan_sessions WHERE session_id = 0")[0]
    assert total == ("Aggregate", 1, 3, 0)
    wait_for(lambda: db.one("SELECT empty_scan_count FROM sys.dm_cdc_log_scan_sessions ORDER BY session_id DESC LIMIT 1") > 0, 30)


def test_capture_job_can_be_slowed(db):
    db.enable()
    db("SELECT standin.set('capture_delay_ms', '1500')")
    time.sleep(0.2)
    started = time.monotonic()
    db("INSERT INTO dbo.t VALUES (1, 'a')")
    db.wait_changes(1)
    assert time.monotonic() - started > 0.5


def test_all_changes_function(db):
    db.enable()
    db("INSERT INTO dbo.t VALUES (1, 'a')")
    db("UPDATE dbo.t SET v = 'b'")
    db.wait_changes(3)
    call = 'SELECT "__$operation", v FROM cdc.fn_cdc_get_all_changes_dbo_t(sys.fn_cdc_get_min_lsn(\'dbo_t\')::bytea, sys.fn_cdc_get_max_lsn()::bytea, %s)'
    assert db(call, ("all",)) == [(2, "a"), (4, "b")]
    assert db(call, ("all update old",)) == [(2, "a"), (3, "a"), (4, "b")]
    db.fails(313, "SELECT * FROM cdc.fn_cdc_get_all_changes_dbo_t('\\x00000000000000000001', sys.fn_cdc_get_max_lsn()::bytea, 'all')")


# -- change tracking, rowversion ---------------------------------------------------------------------------------------

@pytest.fixture
def tracked(db):
    """(database, CHANGETABLE(CHANGES dbo.t, v) as (key, operation, creation version))"""
    db("SELECT standin.ct_database(current_database()::pg_catalog.text, true, 2, 'DAYS', true)")
    db("CREATE TABLE dbo.t (id int PRIMARY KEY, a int, b int)")
    db("SELECT standin.ct_enable('dbo.t'::regclass, true)")
    name = db.one("SELECT standin.ct_name('dbo.t'::regclass, 'changes')")
    return db, lambda v: db(f'SELECT id, "SYS_CHANGE_OPERATION"::pg_catalog.text, "SYS_CHANGE_VERSION" FROM {name}({v}) ORDER BY id')


def test_changes_are_net_and_relative_to_the_version(tracked):
    db, changes = tracked
    db("INSERT INTO dbo.t VALUES (1, 1, 1), (2, 2, 2), (3, 3, 3)")
    assert db.version() == 1 and changes(0) == [(1, "I", 1), (2, "I", 1), (3, "I", 1)]
    db("UPDATE dbo.t SET a = 5 WHERE id = 1")
    db("DELETE FROM dbo.t WHERE id = 2")
    assert changes(1) == [(1, "U", 2), (2, "D", 3)] and changes(0) == [(1, "I", 2), (2, "D", 3), (3, "I", 1)]
    db("INSERT INTO dbo.t VALUES (2, 9, 9)")
    assert changes(1)[1] == (2, "U", 4), "deleted and inserted again is an update of all columns"
    db("UPDATE dbo.t SET id = 30 WHERE id = 3")
    assert changes(4) == [(3, "D", 5), (30, "I", 5)], "a changed key is a delete and an insert"


def test_changed_columns_and_context(tracked):
    db, _ = tracked
    name = db.one("SELECT standin.ct_name('dbo.t'::regclass, 'changes')")
    db("INSERT INTO dbo.t VALUES (1, 1, 1)")
    db("SELECT standin.ct_context('\\xcafe')")
    db("UPDATE dbo.t SET a = 2")
    db("SELECT standin.ct_context(NULL)")
    mask, context = db(f'SELECT "SYS_CHANGE_COLUMNS"::bytea, "SYS_CHANGE_CONTEXT"::bytea FROM {name}(1)')[0]
    assert bytes(context) == b"\xca\xfe"
    assert [db.one("SELECT sys.change_tracking_is_column_in_mask(%s, %s)::int", (i, bytes(mask))) for i in (2, 3)] == [1, 0]
    db("UPDATE dbo.t SET a = 3, b = 3")
    assert db.one(f'SELECT "SYS_CHANGE_COLUMNS" FROM {name}(2)') is None, "all non-key columns in one operation"
    assert db.one(f'SELECT "SYS_CHANGE_CONTEXT" FROM {name}(2)') is None
    version = db.one("SELECT standin.ct_name('dbo.t'::regclass, 'version')")
    assert db(f'SELECT "SYS_CHANGE_VERSION", id FROM {version}("id" => 1)') == [(3, 1)] and db(f'SELECT 1 FROM {version}("id" => 2)') == []


def test_versions_are_in_the_order_of_commits(tracked):
    """A transaction held open gets its version when it commits, not when it wrote (hazard 19)."""
    db, changes = tracked
    db("INSERT INTO dbo.t VALUES (1, 1, 1), (2, 2, 2)")
    c = db.connect()
    c.autocommit = False
    db("UPDATE dbo.t SET a = 7 WHERE id = 1", c=c)
    db("UPDATE dbo.t SET a = 8 WHERE id = 2")
    seen = db.version()
    assert changes(1) == [(2, "U", 2)] and seen == 2
    c.commit()
    c.close()
    assert changes(seen) == [(1, "U", 3)]


def test_truncate_and_clean_up_move_the_valid_version(tracked):
    db, changes = tracked
    valid = "SELECT sys.change_tracking_min_valid_version(sys.object_id('dbo.t'))"
    assert db.one(valid) == 0
    db("INSERT INTO dbo.t VALUES (1, 1, 1)")
    db("UPDATE dbo.t SET a = 2")
    db("SELECT standin.ct_cleanup('0 s')")
    assert db.one(valid) == 2 and changes(0) == [] and db.version() == 2
    db("TRUNCATE dbo.t")
    assert db.one(valid) == db.version() == 3
    db("INSERT INTO dbo.t VALUES (5, 5, 5)")
    assert changes(3) == [(5, "I", 4)]
    assert db.one("SELECT sys.change_tracking_min_valid_version(1)") is None


def test_errors_of_change_tracking(db):
    db("CREATE TABLE dbo.t (id int PRIMARY KEY); CREATE TABLE dbo.heap (id int)")
    db.fails(22088, "SELECT standin.ct_enable('dbo.t'::regclass)")
    assert db.version() is None
    db("SELECT standin.ct_database(current_database()::pg_catalog.text, true)")
    db.fails(5088, "SELECT standin.ct_database(current_database()::pg_catalog.text, true)")
    db.fails(4997, "SELECT standin.ct_enable('dbo.heap'::regclass)")
    db.fails(22105, "SELECT standin.ct_name('dbo.t'::regclass, 'changes')")
    db.fails(4998, "SELECT standin.ct_disable('dbo.t'::regclass)")
    db("SELECT standin.ct_enable('dbo.t'::regclass)")
    db.fails(4996, "SELECT standin.ct_enable('dbo.t'::regclass)")
    db.fails(22115, "SELECT standin.ct_database(current_database()::pg_catalog.text, false)")


def test_min_active_rowversion_is_held_back_by_an_open_writer(db):
    """Hazard 49: rowversions are drawn when a row is written, not when its transaction commits."""
    draw = "SELECT encode(standin.next_rowversion()::bytea, 'hex')"
    active = "SELECT encode(standin.min_active_rowversion()::bytea, 'hex')"
    first = db.one(draw)
    assert db.one(active) > first
    c = db.connect()
    c.autocommit = False
    held = db(draw, c=c)[0][0]
    later = db.one(draw)
    assert first < held < later and first < db.one(active) <= held
    c.commit()
    c.close()
    assert db.one(active) > later


# -- system views ------------------------------------------------------------------------------------------------------

def test_catalog_of_a_table(db):
    db("CREATE SCHEMA sales; CREATE TABLE sales.\"Order\" (id int NOT NULL, line int NOT NULL, name sys.nvarchar(20), price numeric(12, 3), note sys.nvarcharmax, "
       "CONSTRAINT pk_order PRIMARY KEY (id, line), CONSTRAINT positive CHECK (price > 0))")
    db("CREATE TABLE dbo.item (id int PRIMARY KEY, order_id int, line int, CONSTRAINT fk_item FOREIGN KEY (order_id, line) REFERENCES sales.\"Order\" ON DELETE CASCADE)")
    db("CREATE INDEX by_line ON dbo.item (line DESC) INCLUDE (order_id) WHERE line > 3")
    oid = db.one("SELECT sys.object_id('SALES.[order]')")
    assert oid == db.one("SELECT 'sales.\"Order\"'::regclass::oid::int") and db.one("SELECT sys.object_id('sales.Order', 'V')") is None
    assert db("SELECT c.name::pg_catalog.text, t.name::pg_catalog.text, c.max_length, c.precision::int, c.scale::int, c.is_nullable::int FROM sys.columns c "
              "JOIN sys.types t ON t.user_type_id = c.user_type_id WHERE c.object_id = %s ORDER BY c.column_id", (oid,)) == [
        ("id", "int", 4, 10, 0, 0), ("line", "int", 4, 10, 0, 0), ("name", "nvarchar", 40, 0, 0, 1), ("price", "decimal", 9, 12, 3, 1),
        ("note", "nvarchar", -1, 0, 0, 1)]
    assert db("SELECT i.name::pg_catalog.text, i.type::int, i.is_unique::int, i.is_primary_key::int, i.has_filter::int FROM sys.indexes i WHERE i.object_id = "
              "sys.object_id('dbo.item') ORDER BY i.index_id") == [("item_pkey", 1, 1, 1, 0), ("by_line", 2, 0, 0, 1)]
    assert db("SELECT column_id, key_ordinal::int, is_descending_key::int, is_included_column::int FROM sys.index_columns WHERE object_id = "
              "sys.object_id('dbo.item') AND index_id = 2 ORDER BY index_column_id") == [(3, 1, 1, 0), (2, 0, 0, 1)]
    assert db("SELECT f.delete_referential_action_desc::pg_catalog.text, k.parent_column_id, k.referenced_column_id FROM sys.foreign_keys f JOIN sys.foreign_key_columns k "
              "ON k.constraint_object_id = f.object_id WHERE f.name::pg_catalog.text = 'fk_item' AND f.referenced_object_id = %s ORDER BY 2", (oid,)) == [
        ("CASCADE", 2, 1), ("CASCADE", 3, 2)]
    assert db.one("SELECT sys.index_col('sales.[Order]', 1, 2)") == "line"
    db("INSERT INTO sales.\"Order\" VALUES (1, 1, 'a', 1, NULL)")
    db("ANALYZE")
    assert db.one("SELECT sum(p.rows) FROM sys.partitions p WHERE p.object_id = %s AND p.index_id IN (0, 1)", (oid,)) == 1
    assert db.one("SELECT sum(a.used_pages) FROM sys.partitions p JOIN sys.allocation_units a ON a.container_id = p.partition_id WHERE p.object_id = %s", (oid,)) >= 1


def test_rights_and_properties(db):
    db("CREATE TABLE dbo.t (id int PRIMARY KEY)")
    right = "SELECT sys.has_perms_by_name('dbo.t', 'OBJECT', %s)"
    assert db.one(right, ("SELECT",)) == 1 and db.one("SELECT sys.has_perms_by_name('dbo.no', 'OBJECT', 'SELECT')") is None
    db("INSERT INTO standin.denied VALUES ('app', 'SELECT', 'dbo.t'), ('app', 'UNMASK', NULL); SET standin.login = 'app'")
    assert db.one(right, ("SELECT",)) == 0 and db.one(right, ("INSERT",)) == 1
    assert db.one("SELECT sys.has_perms_by_name(sys.db_name()::pg_catalog.text, 'DATABASE', 'UNMASK')") == 0
    assert db.one("SELECT sys.suser_sname()") == "app"
    assert db.one("SELECT sys.serverproperty('EngineEdition')") == "3" and db.one("SELECT sys.serverproperty('nothing')") is None
    db("SELECT standin.set_database_property(current_database()::pg_catalog.text, 'snapshot_isolation_state', '1')")
    assert db.one("SELECT snapshot_isolation_state_desc FROM sys.databases WHERE database_id = sys.db_id()") == "ON"


# -- the same as a client of SQL Server sees it ------------------------------------------------------------------------

@pytest.fixture(scope="module")
def sql_server(base, template):
    s = SqlServer(base, f"q{next(_number)}", template).start()
    yield s
    s.stop()


@pytest.fixture
def ms(sql_server):
    d = sql_server.create_database()
    yield d
    d.drop()


def enable_cdc(ms, *tables):
    ms.execute("EXEC sys.sp_cdc_enable_db")
    if ms.server.is_standin:
        c = ms.server.pg.connect(ms.name)
        with c.cursor() as cur:
            cur.execute("SELECT standin.set('poll_ms', '30')")
        c.close()
    for t in tables:
        ms.execute(f"EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'{t}', @role_name = NULL")
    wait_for(lambda: not ms.query("SELECT 1 FROM cdc.change_tables WHERE start_lsn IS NULL"), 60, "low endpoints are known")


def raises(number, call, *args):
    with pytest.raises(pymssql.Error) as e:
        call(*args)
    assert e.value.args[0] == number, e.value


def test_tds_captured_rows(ms):
    ms.execute("CREATE TABLE dbo.Orders (Id int NOT NULL IDENTITY(1,1) CONSTRAINT PK_Orders PRIMARY KEY, Name nvarchar(50) NOT NULL, "
               "Big nvarchar(max), Price decimal(12,2), Twice AS (Price*2), Ver rowversion)")
    enable_cdc(ms, "Orders")
    before = ms.one("SELECT sys.fn_cdc_get_max_lsn()")
    ms.execute("INSERT INTO dbo.Orders (Name, Big, Price) VALUES (N'a', N'x', 1.5), (N'b', NULL, 2.5)")
    ms.execute("UPDATE dbo.Orders SET Name = N'c' WHERE Id = 1")
    ms.execute("DELETE FROM dbo.Orders WHERE Id = 2")
    wait_for(lambda: ms.one("SELECT COUNT(*) FROM cdc.dbo_Orders_CT") == 5, 60, "captured")
    rows = ms.query("EXEC sys.sp_executesql N'SELECT x.[__$start_lsn], x.[__$operation], x.[__$update_mask], x.[Id], x.[Name], x.[Big], x.[Price], x.[Twice], "
                    "x.[Ver] FROM [cdc].[dbo_Orders_CT] AS x WHERE x.[__$start_lsn] > @from AND x.[__$start_lsn] <= @to ORDER BY x.[__$start_lsn], "
                    "x.[__$command_id], x.[__$seqval], x.[__$operation]', N'@from binary(10), @to binary(10)', "
                    f"@from = 0x{before.hex()}, @to = 0x{ms.one('SELECT sys.fn_cdc_get_max_lsn()').hex()}")
    # Id, Name, Big, Price, Twice, Ver are bits 0 to 5; an update writes a new rowversion.
    assert [(r[1], r[2], r[3], r[4], r[5], str(r[6]), r[7]) for r in rows] == [
        (2, b"\x3f", 1, "a", "x", "1.50", None), (2, b"\x3f", 2, "b", None, "2.50", None), (3, b"\x22", 1, "a", None, "1.50", None),
        (4, b"\x22", 1, "c", "x", "1.50", None), (1, b"\x3f", 2, "b", None, "2.50", None)]
    assert rows[0][0] == rows[1][0] < rows[2][0] == rows[3][0] < rows[4][0] and all(len(r[8]) == 8 for r in rows)
    assert rows[2][8] < rows[3][8]
    assert {r[0] for r in ms.query("SELECT start_lsn FROM cdc.lsn_time_mapping WHERE tran_id <> 0x00")} == {r[0] for r in rows}
    assert ms.one("SELECT sys.fn_cdc_get_min_lsn(N'nothing')") == b"\0" * 10
    help_ = ms.query("EXEC sys.sp_cdc_help_change_data_capture")[0]
    assert help_[:3] == ("dbo", "Orders", "dbo_Orders") and help_[10] == "PK_Orders" and help_[13] == "[Id]"


def test_tds_error_numbers(ms):
    ms.execute("CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY)")
    raises(22901, ms.execute, "EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N't', @role_name = NULL")
    enable_cdc(ms, "t")
    raises(22926, ms.execute, "EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N't', @role_name = NULL")
    raises(4711, ms.execute, "TRUNCATE TABLE dbo.t")
    raises(22990, ms.execute, "EXEC sys.sp_cdc_change_job @pollinginterval = 86401")
    raises(8145, ms.execute, "EXEC sys.sp_cdc_change_job @nothing = 1")


def test_tds_schema_change(ms):
    ms.execute("CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY, v varchar(5))")
    enable_cdc(ms, "t")
    ms.execute("ALTER TABLE dbo.t ADD w int NULL")
    ms.execute("ALTER TABLE dbo.t ALTER COLUMN v varchar(50) NULL")
    ms.execute("INSERT INTO dbo.t VALUES (1, REPLICATE('x', 50), 1)")
    wait_for(lambda: ms.one("SELECT COUNT(*) FROM cdc.dbo_t_CT") == 1, 60, "captured")
    assert ms.query("SELECT id, v FROM cdc.dbo_t_CT") == [(1, "x" * 50)]
    history = ms.query("SELECT required_column_update, ddl_command FROM cdc.ddl_history ORDER BY ddl_lsn")
    assert [bool(h[0]) for h in history] == [False, True]
    assert "ADD w int" in history[0][1] and "ALTER COLUMN v varchar(50)" in history[1][1]
    assert ms.query("SELECT t.name, c.max_length FROM sys.columns AS c JOIN sys.types AS t ON t.user_type_id = c.user_type_id "
                    "WHERE c.object_id = OBJECT_ID(N'cdc.dbo_t_CT') AND c.name = N'v'") == [("varchar", 50)]


def test_tds_change_tracking(ms):
    ms.execute("CREATE TABLE dbo.t (a int NOT NULL, b nvarchar(10) NOT NULL, c int, PRIMARY KEY (a, b))")
    raises(22088, ms.execute, "ALTER TABLE dbo.t ENABLE CHANGE_TRACKING")
    ms.execute(f"ALTER DATABASE [{ms.name}] SET CHANGE_TRACKING = ON (CHANGE_RETENTION = 2 DAYS, AUTO_CLEANUP = ON)")
    ms.execute("ALTER TABLE dbo.t ENABLE CHANGE_TRACKING WITH (TRACK_COLUMNS_UPDATED = ON)")
    base = ms.one("SELECT CHANGE_TRACKING_CURRENT_VERSION()")
    ms.execute("INSERT INTO dbo.t VALUES (1, N'x', 1), (2, N'y', 2)")
    middle = ms.one("SELECT CHANGE_TRACKING_CURRENT_VERSION()")
    ms.execute("UPDATE dbo.t SET c = 5 WHERE a = 1; DELETE FROM dbo.t WHERE a = 2")
    changes = ("SELECT ct.SYS_CHANGE_OPERATION, ct.a, ct.b, t.c FROM CHANGETABLE(CHANGES dbo.t, %d) AS ct LEFT JOIN dbo.t AS t ON t.a = ct.a AND t.b = ct.b "
               "ORDER BY ct.a")
    assert ms.query(changes % base) == [("I", 1, "x", 5), ("D", 2, "y", None)]
    assert ms.query(changes % middle) == [("U", 1, "x", 5), ("D", 2, "y", None)]
    assert ms.one("SELECT CHANGE_TRACKING_MIN_VALID_VERSION(OBJECT_ID(N'dbo.t'))") <= base
    assert ms.query("SELECT is_track_columns_updated_on FROM sys.change_tracking_tables WHERE object_id = OBJECT_ID(N'dbo.t')") == [(True,)]


def test_tds_rowversion_of_an_open_writer(ms):
    ms.execute("CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY, v int, rv rowversion)")
    ms.execute("INSERT INTO dbo.t (id) VALUES (1), (2)")
    c = ms.connect(autocommit=False)
    cur = c.cursor()
    cur.execute("UPDATE dbo.t SET v = 1 WHERE id = 1")
    ms.execute("UPDATE dbo.t SET v = 1 WHERE id = 2")
    later = ms.one("SELECT rv FROM dbo.t WHERE id = 2")
    bound = ms.one("SELECT MIN_ACTIVE_ROWVERSION()")
    cur.execute("SELECT rv FROM dbo.t WHERE id = 1")
    held = cur.fetchone()[0]
    assert bound <= held < later <= ms.one("SELECT @@DBTS")
    c.commit()
    c.close()
    assert ms.one("SELECT MIN_ACTIVE_ROWVERSION()") > later
