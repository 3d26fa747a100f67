# SPDX-License-Identifier: PostgreSQL
"""HAZARDS.md 8 to 15, 19 and what else change data capture does, with a SQL Server as the legacy: titled by the hazard's
number and text."""
import re

import pytest

from lib.process import wait_for

STUDENT = "CREATE TABLE dbo.student (id int NOT NULL PRIMARY KEY, name nvarchar(40) NULL, note nvarchar(max) NULL)"
STUDENT_PG = "CREATE TABLE student (id int PRIMARY KEY, name varchar(40), note text);"
QUIET = "CREATE TABLE dbo.quiet (id int NOT NULL PRIMARY KEY, v varchar(20) NULL)"
QUIET_PG = "CREATE TABLE quiet (id int PRIMARY KEY, v text);"
BOTH = (f"{STUDENT} {QUIET} INSERT INTO dbo.student VALUES (1, N'one', N'long'), (2, N'two', NULL) INSERT INTO dbo.quiet VALUES (1, 'q')",
        STUDENT_PG + QUIET_PG)


def ends(m, code, *patterns, deadline=40):
    """The service, or one run of it, ends with this status and says why."""
    r = m.pipeline.start("--until-caught-up")
    assert r.wait_exit(deadline) == code, r.tail()
    for p in patterns:
        assert re.search(p, r.log, re.I), f"no {p!r} in\n{r.tail()}"
    return r


def recopy(m, *tables):
    for t in tables:
        code, out, err = m.pipeline.crossfade("recopy", "--table", f"dbo.{t}")
        assert code == 0, f"recopy {t}: {code}\n{out}{err}"


def test_08_clean_up_of_a_quiet_table(moving):
    """8: clean-up of a quiet table's history is no loss: its instance is judged alone, and by where we stand"""
    m = moving.prepare(*BOTH)
    m.pipeline.move()
    r = m.pipeline.start(ready=True)
    for i in range(5):
        m.source.execute(f"INSERT INTO dbo.student VALUES ({10 + i}, N'x', NULL)")
    m.wait_equal(r)
    m.clean_up()
    m.source.execute("UPDATE dbo.quiet SET v = 'at last'; UPDATE dbo.student SET name = N'y'")
    m.wait_equal(r)
    assert {t["state"] for t in r.tables().values()} == {"streaming"}


def test_08_history_of_one_table_gone(moving):
    """8: history of one table cleaned away unread: that table stops, the others go on; a new copy mends it"""
    m = moving.prepare(*BOTH)
    m.pipeline.move()
    m.source.execute("UPDATE dbo.quiet SET v = 'unread'")
    at = m.captured()
    m.source.execute("UPDATE dbo.student SET name = N'read'")
    m.captured()
    m.source.execute(f"EXEC sys.sp_cdc_cleanup_change_table @capture_instance = N'dbo_quiet', @low_water_mark = {at}, @threshold = 5000")
    r = m.pipeline.start()
    reason = m.wait_state(r, "quiet", "stopped")
    assert "recopy" in reason and "dbo.quiet" in reason, reason
    m.source.execute("INSERT INTO dbo.student VALUES (3, N'on', NULL); INSERT INTO dbo.quiet VALUES (7, 'later')")
    m.wait_equal(r, "student")
    assert m.target.query("SELECT id, v FROM quiet") == [(1, "q")]
    recopy(m, "quiet")
    m.wait_equal(r)
    m.source.execute("DELETE FROM dbo.quiet WHERE id = 1")
    m.wait_equal(r)


def test_08_retention_passed(moving):
    """8: stopped for longer than the retention: exit status 4 and the repair, which works; nothing is skipped"""
    m = moving.prepare(*BOTH)
    m.pipeline.move()
    m.source.execute("UPDATE dbo.student SET name = N'lost'; UPDATE dbo.quiet SET v = 'lost'")
    m.captured()
    m.source.execute("DELETE FROM dbo.student WHERE id = 2; INSERT INTO dbo.quiet VALUES (2, 'kept')")
    m.captured()
    m.clean_up()
    ends(m, 4, "clean-up passed|retention", "recopy")
    assert ("one",) in m.target.query("SELECT name FROM student"), "something was applied"
    recopy(m, "student", "quiet")
    m.pipeline.move()
    m.assert_equal()


def test_46_clean_up_between_check_and_read(moving):
    """46: low watermarks moved while the rows are still there: read or not, they are not trusted"""
    m = moving.prepare(*BOTH)
    m.pipeline.move()
    m.source.execute("UPDATE dbo.student SET name = N'a'; UPDATE dbo.quiet SET v = 'a'")
    m.captured()
    m.source.execute("UPDATE dbo.student SET name = N'b'; UPDATE dbo.quiet SET v = 'b'")
    m.captured()
    m.knob(cleanup_pause_ms=20000)
    low = "SELECT sys.fn_cdc_get_min_lsn(N'dbo_student')"
    was = m.source.one(low)
    m.clean_up(wait=False)
    wait_for(lambda: m.source.one(low) != was, 30, "the low watermark has moved")
    assert m.source.one("SELECT COUNT(*) FROM cdc.dbo_student_CT WHERE __$operation = 4") == 4, "rows are deleted already"
    ends(m, 4, "recopy")
    assert m.target.query("SELECT v FROM quiet") == [("q",)], "something was applied"


def test_09_low_endpoint_of_zeros(moving):
    """9: a low endpoint of all zeros is a missing right, never "nothing to look at": said, and nothing is passed over"""
    m = moving
    m.source.execute(BOTH[0])
    m.enable_cdc()
    m.capture("student")
    m.source.execute("EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'quiet', @role_name = N'readers', @supports_net_changes = 0")
    m.pipeline.on(m.target, BOTH[1])
    m.pipeline.roles()
    code, out, err = m.pipeline.crossfade("install")
    assert code == 0, out + err
    m.pipeline.move()
    m.standin("INSERT INTO standin.not_member VALUES ('sa', 'readers'), ('sa', 'db_owner')")
    m.source.execute("UPDATE dbo.quiet SET v = 'more'; UPDATE dbo.student SET name = N'more'")
    m.pipeline.config["connect_timeout"] = "3s"
    r = m.pipeline.start()
    r.wait_log("zeros", 30)
    assert m.target.one("SELECT v FROM quiet") == "q"
    m.standin("DELETE FROM standin.not_member")
    m.wait_equal(r)


def test_10_order_across_tables(moving):
    """10: changes of one transaction in several tables come in the order they were made: foreign keys hold all the time"""
    m = moving.prepare(
        "CREATE TABLE dbo.parent (id int NOT NULL PRIMARY KEY, v int NULL) "
        "CREATE TABLE dbo.child (id int NOT NULL PRIMARY KEY, parent int NOT NULL REFERENCES dbo.parent (id), u varchar(10) NULL) "
        "INSERT INTO dbo.parent VALUES (1, 1), (2, 2) INSERT INTO dbo.child VALUES (1, 1, 'a'), (2, 2, 'b')",
        "CREATE TABLE parent (id int PRIMARY KEY, v int); CREATE TABLE child (id int PRIMARY KEY, parent int NOT NULL REFERENCES parent, u text UNIQUE);")
    r = m.pipeline.start(ready=True)
    c = m.source.connect(autocommit=False)
    cur = c.cursor()
    for i in range(10, 22):
        cur.execute(f"INSERT INTO dbo.parent VALUES ({i}, 0)")
        cur.execute(f"INSERT INTO dbo.child VALUES ({i}, {i}, 'c{i}')")
        cur.execute(f"UPDATE dbo.child SET parent = {i} WHERE id = 1")
        cur.execute(f"UPDATE dbo.child SET u = NULL WHERE id = {i}; UPDATE dbo.child SET u = 'c{i}' WHERE id = 2; UPDATE dbo.child SET u = 'b' WHERE id = 2")
        if i % 3 == 0:
            cur.execute(f"DELETE FROM dbo.child WHERE id = {i}; UPDATE dbo.child SET parent = 2 WHERE id = 1; DELETE FROM dbo.parent WHERE id = {i}")
            cur.execute(f"INSERT INTO dbo.parent VALUES ({i}, 9); INSERT INTO dbo.child VALUES ({i}, {i}, 'again')")
            cur.execute(f"UPDATE dbo.child SET u = NULL WHERE id = {i}; UPDATE dbo.child SET parent = {i} WHERE id = 2")
        if i % 4 == 0:
            c.commit()
    c.commit()
    c.close()
    m.wait_equal(r)
    assert all(t["quarantined"] == t["parked"] == t["conflicts"] == 0 for t in r.tables().values())


def test_11_capture_job_is_behind(moving):
    """11: what the capture job has read is not what is committed: the copy begins behind a marker that was captured"""
    m = moving.prepare(*BOTH)
    m.job("stop")
    m.source.execute("UPDATE dbo.student SET name = N'before the marker'; DELETE FROM dbo.student WHERE id = 2")
    r = m.pipeline.start()
    r.wait_log("waiting for a marker", 30)
    m.source.execute("INSERT INTO dbo.student VALUES (5, N'behind it', NULL); UPDATE dbo.quiet SET v = 'behind it'")
    assert m.target.one("SELECT count(*) FROM student") == 0, "copied already"
    m.job("start")
    m.wait_equal(r)
    assert all(t["conflicts"] == 0 for t in r.tables().values())


def test_11_capture_job_paused(moving):
    """11: the capture job is paused while we stream: its lag is shown apart from ours, and nothing is lost when it goes on"""
    m = moving.prepare(*BOTH)
    r = m.pipeline.start(ready=True)
    m.wait_equal(r)
    m.job("stop")
    m.source.execute("UPDATE dbo.student SET name = N'paused'; INSERT INTO dbo.quiet VALUES (9, 'paused')")
    r.wait(lambda: capture_lag(r) > 3000, 30, "the capture job's lag is shown")
    assert r.stream()["lag_ms"] < 3000, "counted as ours"
    assert m.target.one("SELECT count(*) FROM quiet") == 1
    m.job("start")
    m.wait_equal(r)
    # it is the age of the newest commit that was captured
    r.wait(lambda: m.source.execute("UPDATE dbo.quiet SET v = 'again' WHERE id = 9") or capture_lag(r) < 3000, 30, "the capture job's lag goes back")


def capture_lag(r):
    return r.stream()["capture_lag_ms"]


def test_12_second_instance(moving):
    """12: a second capture instance after a schema change: handed over where it begins, nothing lost in between"""
    m = moving.prepare(*BOTH)
    m.pipeline.config["tables"] = [{"from": "dbo.student", "to": "student"}, {"from": "dbo.quiet", "to": "quiet"}]
    r = m.pipeline.start(ready=True)
    m.source.execute("INSERT INTO dbo.student VALUES (10, N'before', N'n')")
    m.wait_equal(r)
    # as a DBA does it: a new instance, then the old one away
    m.source.execute("EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'student', @role_name = NULL, "
                     "@capture_instance = N'student_2', @supports_net_changes = 0")
    for i in range(20, 40):
        m.source.execute(f"INSERT INTO dbo.student VALUES ({i}, N'between', N'n'); UPDATE dbo.student SET name = N'u{i}' WHERE id < {i - 3}")
    m.wait_equal(r)
    m.disable("student", "dbo_student")
    m.source.execute("UPDATE dbo.student SET name = N'after' WHERE id < 30; DELETE FROM dbo.student WHERE id = 1")
    m.wait_equal(r)
    assert m.source.query("SELECT capture_instance FROM cdc.change_tables WHERE source_object_id = OBJECT_ID(N'dbo.student')") == [("student_2",)]
    assert {t["state"] for t in r.tables().values()} == {"streaming"}
    # and the third start finds the new one, too
    r.stop()
    m.source.execute("UPDATE dbo.student SET name = N'stopped meanwhile'")
    m.pipeline.move()
    m.assert_equal()


def test_12_column_added(moving):
    """12: a column is added: the table stops at that change, and after a second instance and a new copy it goes on with it"""
    m = moving.prepare(*BOTH)
    r = m.pipeline.start(ready=True)
    m.source.execute("ALTER TABLE dbo.student ADD extra int NULL")
    m.source.execute("INSERT INTO dbo.student VALUES (10, N'with', N'n', 5); UPDATE dbo.quiet SET v = 'goes on'")
    reason = m.wait_state(r, "student", "stopped")
    assert "extra" in reason, reason
    m.wait_equal(r, "quiet")
    m.capture("student", instance="student_2")
    m.disable("student", "dbo_student")
    m.pipeline.on(m.target, "ALTER TABLE student ADD extra int;")
    recopy(m, "student")
    m.wait_equal(r)
    m.source.execute("UPDATE dbo.student SET extra = extra + 1; INSERT INTO dbo.student VALUES (11, N'new', NULL, 6)")
    m.wait_equal(r)


def test_13_database_switched_off_and_on(moving):
    """13: change data capture of the database switched off and on: unread history is gone: 4, until all is copied anew"""
    m = moving.prepare(*BOTH)
    m.pipeline.move()
    m.source.execute("UPDATE dbo.student SET name = N'unread'")
    m.source.execute("EXEC sys.sp_cdc_disable_db")
    ends(m, 4, "capture")
    m.source.execute("INSERT INTO dbo.student VALUES (3, N'unseen', NULL)")
    m.enable_cdc()
    m.capture("student", "quiet")
    m.source.execute("INSERT INTO dbo.student VALUES (4, N'seen', NULL)")
    r = ends(m, 4, "recopy")
    assert m.target.one("SELECT count(*) FROM student") == 2
    code, out, err = m.pipeline.crossfade("install")
    assert code == 0, out + err
    recopy(m, "student", "quiet")
    m.pipeline.move()
    m.assert_equal()


@pytest.mark.parametrize("count", [9, 17, 40])
def test_14_masks(moving, count):
    """14: update masks are read from their last byte: over 9, 17 and 40 columns, large ones among them, one at a time"""
    large = [i for i in range(1, count) if i % 3 == 2]
    columns = [f"c{i}" for i in range(count)]
    types = ["int NOT NULL PRIMARY KEY"] + ["nvarchar(max) NULL" if i in large else "int NULL" for i in range(1, count)]
    pg = ["int PRIMARY KEY"] + ["text" if i in large else "int" for i in range(1, count)]
    values = ", ".join(["{id}"] + [f"N'long {i}'" if i in large else str(i) for i in range(1, count)])
    m = moving.prepare("CREATE TABLE dbo.wide (" + ", ".join(f"{c} {t}" for c, t in zip(columns, types)) + ") "
                       f"INSERT INTO dbo.wide VALUES ({values.format(id=1)})",
                       "CREATE TABLE wide (" + ", ".join(f"{c} {t}" for c, t in zip(columns, pg)) + ");")
    r = m.pipeline.start(ready=True)
    m.source.execute("; ".join(f"INSERT INTO dbo.wide VALUES ({values.format(id=100 + i)})" for i in range(1, count)))
    m.source.execute("; ".join(f"UPDATE dbo.wide SET c{i} = {f'CONCAT(c{i}, N{chr(39)}+{chr(39)})' if i in large else f'c{i} + 1000'} WHERE c0 IN (1, {100 + i})"
                               for i in range(1, count)))
    m.source.execute("; ".join(f"UPDATE dbo.wide SET c{i} = NULL WHERE c0 = {100 + i}" for i in range(1, count)))
    m.wait_equal(r)
    assert all(t["quarantined"] == t["parked"] == t["conflicts"] == 0 for t in r.tables().values())


def test_15_unchanged_large_value(moving):
    """15: a large value that did not change is not touched: neither NULL nor written anew, also with its key moved"""
    m = moving.prepare(*BOTH)
    r = m.pipeline.start(ready=True)
    m.wait_equal(r)
    m.target.execute("UPDATE student SET note = 'untouched' WHERE id = 1")
    m.source.execute("UPDATE dbo.student SET name = N'changed' WHERE id = 1")
    wait_for(lambda: m.target.one("SELECT name FROM student WHERE id = 1") == "changed", 30, "applied")
    assert m.target.one("SELECT note FROM student WHERE id = 1") == "untouched"
    m.source.execute("UPDATE dbo.student SET note = REPLICATE(CONVERT(nvarchar(max), N'ü𝄞'), 20000) WHERE id = 1")
    m.wait_equal(r)
    m.source.execute("UPDATE dbo.student SET id = 77 WHERE id = 1; UPDATE dbo.student SET note = NULL WHERE id = 2")
    m.wait_equal(r)
    # an update of a row that is missing here can't be built from what came: it is fetched, never made up
    m.target.execute("DELETE FROM student WHERE id = 77")
    m.source.execute("UPDATE dbo.student SET name = N'partly' WHERE id = 77")
    r.wait(lambda: r.tables()["dbo.student"]["conflicts"] or r.tables()["dbo.student"]["parked"] or r.tables()["dbo.student"]["quarantined"]
           or m.target.one("SELECT count(*) FROM student WHERE id = 77"), 30, "the missing row is seen")
    assert m.target.query("SELECT id FROM student WHERE id = 77 AND note IS NULL") == []


def test_19_transaction_held_open(moving):
    """19: a transaction that commits late, behind others that began later, is not missed by any poll"""
    m = moving.prepare(*BOTH)
    r = m.pipeline.start(ready=True)
    late = m.source.connect(autocommit=False)
    cur = late.cursor()
    cur.execute("INSERT INTO dbo.student VALUES (50, N'late', N'x'); DELETE FROM dbo.student WHERE id = 2")
    for i in range(3):
        m.source.execute(f"INSERT INTO dbo.student VALUES ({60 + i}, N'early', NULL); UPDATE dbo.quiet SET v = 'n{i}'")
        wait_for(lambda: m.target.one("SELECT count(*) FROM student WHERE id = %s", (60 + i,)) == 1, 30, "the other transaction is applied")
        assert m.target.one("SELECT count(*) FROM student WHERE id IN (2, 50)") == 1, "applied before it was committed"
    cur.execute("UPDATE dbo.student SET name = N'later' WHERE id = 50")
    late.commit()
    late.close()
    m.wait_equal(r)


def test_truncate_is_refused(moving):
    """33: TRUNCATE of a captured table: the server refuses it, so nothing can be missed"""
    m = moving.prepare(*BOTH)
    r = m.pipeline.start(ready=True)
    with pytest.raises(Exception, match="4711"):
        m.source.execute("TRUNCATE TABLE dbo.student")
    m.source.execute("DELETE FROM dbo.student")
    m.wait_equal(r)
    assert m.target.one("SELECT count(*) FROM student") == 0
