# SPDX-License-Identifier: PostgreSQL
"""A SQL Server as the legacy by the captures that poll its tables: what each must bring, and what stops it."""
import pytest

from lib.polled import Polled
from lib.process import wait_for
from lib.sqlserver import SqlServer

CAPTURES = ("change_tracking", "rowversion", "timestamp", "snapshot")


@pytest.fixture(scope="module")
def server(base, template):
    s = SqlServer(base, "sp", template).start()
    yield s
    s.stop()


@pytest.fixture
def make_polled(make_pipeline, legacy_server, target_server, server):
    made = []

    def make(capture, **kw):
        p = Polled(make_pipeline(legacy_server, target_server), server.create_database(), capture)
        made.append(p)
        return p.prepare(**kw)

    yield make
    for p in made:
        p.close()


@pytest.mark.parametrize("capture", CAPTURES)
def test_moved_and_followed(make_polled, capture):
    """Copied, then followed: inserts, updates, deletes, a key change; kill -9, and on from the same cursor"""
    m = make_polled(capture)
    m.fill(1, 30)
    m.pipeline.move()
    m.wait_equal(deadline=1)
    r = m.pipeline.start(ready=True)
    m.update("student", "name = N'new'", "id = 1")
    m.update("student", "note = REPLICATE(CONVERT(nvarchar(max), N'x'), 9000)", "id = 3")
    m.run("DELETE FROM dbo.student WHERE id = 2")
    m.update("student", "id = 200", "id = 4")
    m.update("enrolled", "n = 77", "code = 'a'")
    m.fill(40, 45)
    m.wait_equal(r)
    stream = r.status()["streams"][0]
    assert stream["applied"].startswith("{"), stream
    conflicts = [t["conflicts"] for g in r.status()["groups"] for t in g["tables"]]
    assert conflicts == [0, 0]
    r.kill9()
    m.update("student", "price = price + 1", "1 = 1")
    m.run("DELETE FROM dbo.student WHERE id = 5")
    m.fill(50, 52)
    m.wait_equal(m.pipeline.start(ready=True))


@pytest.mark.parametrize("capture", CAPTURES)
def test_commit_held_open_across_polls(make_polled, capture):
    """19, 49: a transaction that wrote first and commits last is not passed by, over many polls and a kill -9"""
    m = make_polled(capture)
    m.fill(1, 5)
    m.pipeline.move()
    r = m.pipeline.start(ready=True)
    late = m.source.connect(autocommit=False)
    cur = late.cursor()
    cur.execute("INSERT INTO dbo.student (id, name, flag) VALUES (500, N'late', 1); UPDATE dbo.student SET name = N'late', changed = SYSUTCDATETIME() WHERE id = 1")
    for i in range(10, 16):
        m.fill(i, i)
    if capture != "rowversion":
        m.wait_equal(r)
    before = r.stream()["received"]
    r.kill9()
    r = m.pipeline.start(ready=True)
    m.fill(20, 22)
    if capture == "rowversion":
        wait_for(lambda: "wait for a transaction" in r.log, 30, "the log says who holds the bound back")
        assert r.stream()["received"] == before
    late.commit()
    late.close()
    m.wait_equal(r)
    assert m.pipeline.target.one("SELECT count(*) FROM student WHERE name = 'late'") == 2


def test_rowversion_round_is_cut(make_polled):
    """A round never holds more than so many rows of a table: what is left comes at once"""
    m = make_polled("rowversion")
    m.fill(1, 2)
    m.pipeline.move()
    r = m.pipeline.start(ready=True)
    m.run("WITH n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 25000) INSERT INTO dbo.enrolled (code, n) "
          "SELECT 'r', i FROM n OPTION (MAXRECURSION 0)")
    m.wait_equal(r)


def stopped(pipeline, replicator, table):
    def look():
        assert replicator.running, replicator.tail()
        for g in replicator.status()["groups"]:
            for t in g["tables"]:
                if t["from"] == table and t["state"] == "stopped":
                    return t["reason"]
    return wait_for(look, 60, f"{table} has stopped")


def test_truncated_table_is_copied_anew(make_polled):
    """23: TRUNCATE resets a table's change tracking: it stops, the other goes on, recopy mends it"""
    m = make_polled("change_tracking")
    m.fill(1, 20)
    m.pipeline.move()
    r = m.pipeline.start(ready=True)
    m.run("TRUNCATE TABLE dbo.student")
    assert "recopy" in stopped(m.pipeline, r, "dbo.student")
    m.run("INSERT INTO dbo.enrolled (code, n) VALUES ('z', 9)")
    m.fill(30, 32)
    assert m.pipeline.crossfade("recopy", "--table", "dbo.student")[0] == 0
    m.wait_equal(r)


def test_all_history_lost_ends_with_4(make_polled):
    """46: every table's history was cleaned up while nobody read: exit 4, nothing applied"""
    m = make_polled("change_tracking")
    m.fill(1, 5)
    m.pipeline.move()
    m.fill(6, 9)
    for t in ("student", "enrolled"):
        m.run(f"ALTER TABLE dbo.{t} DISABLE CHANGE_TRACKING", f"UPDATE dbo.{t} SET note = N'z'", f"ALTER TABLE dbo.{t} ENABLE CHANGE_TRACKING")
    r = m.pipeline.start("--until-caught-up")
    assert r.wait_exit(60) == 4, r.tail()
    assert "recopy" in r.log


def test_too_many_missing_rows_stop_the_table(make_polled):
    """48: more rows gone than max_deletes allows: nothing is deleted, the table stops and says why"""
    m = make_polled("rowversion")
    m.pipeline.config["max_deletes"] = 0.05
    m.fill(1, 40)
    m.pipeline.move()
    r = m.pipeline.start(ready=True)
    m.run("DELETE FROM dbo.student WHERE id <= 2")
    m.wait_equal(r)
    m.run("DELETE FROM dbo.student WHERE id <= 20")
    assert "max_deletes" in stopped(m.pipeline, r, "dbo.student")
    assert m.pipeline.target.one("SELECT count(*) FROM student") == 38
    assert m.pipeline.crossfade("recopy", "--table", "dbo.student")[0] == 0
    m.wait_equal(r)


def test_mixed_captures_are_refused(make_polled):
    m = make_polled("rowversion")
    m.pipeline.config["tables"] = [{"from": "dbo.student", "capture": "change_tracking"}, "dbo.enrolled"]
    code, findings = m.pipeline.check()
    assert code == 1 and "capture_mixed" in [f["code"] for f in findings]
    assert m.pipeline.start("--until-caught-up").wait_exit(60) == 3


def test_times_that_are_null_soft_deletes_and_what_is_sent(make_polled):
    """Timestamp: rows without a time come after a sweep, a soft delete is a delete, and a window read again sends nothing"""
    m = make_polled("timestamp")
    m.fill(1, 10)
    m.run("UPDATE dbo.student SET gone = 1 WHERE id = 9")
    m.pipeline.move()
    ours = m.pipeline.target
    assert ours.one("SELECT count(*) FROM student WHERE id = 9") == 0
    r = m.pipeline.start(ready=True)
    m.run("INSERT INTO dbo.student (id, name, flag, changed) VALUES (90, N'no time', 1, NULL)")
    wait_for(lambda: ours.one("SELECT count(*) FROM student WHERE id = 90") == 1, 60, "the row without a time came")
    m.update("student", "gone = 1", "id = 8")
    wait_for(lambda: ours.one("SELECT count(*) FROM student WHERE id = 8") == 0, 60, "the soft delete came")
    m.update("student", "gone = 0", "id = 8")
    wait_for(lambda: ours.one("SELECT count(*) FROM student WHERE id = 8") == 1, 60, "it came back")
    changed = ours.one("SELECT sum(n_tup_ins + n_tup_upd) FROM pg_stat_user_tables WHERE relname IN ('student', 'enrolled')")
    m.update("enrolled", "note = N'last'", "code = 'a'")
    wait_for(lambda: ours.one("SELECT count(*) FROM enrolled WHERE note = 'last'") == 1, 60, "the last change came")
    rows = "SELECT xmin::text, id FROM student ORDER BY id"
    before = ours.query(rows)
    m.update("enrolled", "note = N'more'", "code = 'a'")
    wait_for(lambda: ours.one("SELECT count(*) FROM enrolled WHERE note = 'more'") == 1, 60, "one more came")
    assert [x for x in ours.query(rows) if x[1] != 90] == [x for x in before if x[1] != 90], changed


def test_snapshot_sends_only_what_differs(make_polled):
    """Snapshot: after a restart too, only rows that differ from the sink's are written"""
    m = make_polled("snapshot")
    m.fill(1, 12)
    m.pipeline.move()
    ours = m.pipeline.target
    rows = "SELECT id, xmin::text FROM student ORDER BY id"
    before = dict(ours.query(rows))
    m.run("UPDATE dbo.student SET name = N'other' WHERE id = 3", "DELETE FROM dbo.student WHERE id = 4", "INSERT INTO dbo.student (id, flag) VALUES (99, 0)")
    r = m.pipeline.start(ready=True)
    m.wait_equal(r)
    after = dict(ours.query(rows))
    assert {i for i in before if after.get(i) != before[i]} == {3, 4}
