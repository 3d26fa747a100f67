# SPDX-License-Identifier: PostgreSQL
"""The stream from the target back to a PostgreSQL legacy: `"direction": "reverse"`."""
import json

import pytest

from lib.pipeline import SOURCE_ROLE, TARGET_ROLE, run_roles_script
from lib.postgres import lsn_number
from lib.process import wait_for

SCHEMA = """
CREATE TABLE school (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE student (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, school_id int REFERENCES school,
 name varchar(40), notes text, tags text[], at timestamptz, twice int GENERATED ALWAYS AS (school_id * 2) STORED);
CREATE TABLE mark (student_id bigint REFERENCES student ON DELETE CASCADE, term int, value numeric(6,2), PRIMARY KEY (student_id, term));
"""
FILL = """
INSERT INTO school SELECT n, 'school ' || n FROM generate_series(1, 20) n;
INSERT INTO student (school_id, name, notes, tags, at) SELECT n % 20 + 1, 'name ' || n, repeat('x', n % 50), ARRAY['a', NULL], '2026-01-01'
  FROM generate_series(1, 300) n;
INSERT INTO mark SELECT n, 1, n / 3.0 FROM generate_series(1, 300) n;
"""
REVERSE = {"default": {"direction": "reverse"}}
FORWARD = {"default": {"direction": "forward"}}


def let_back(pipeline):
    """What an administrator grants for the way back: on each side what the other one has for the way forth."""
    run_roles_script(pipeline.legacy, "roles-target.sql", SOURCE_ROLE)
    run_roles_script(pipeline.target, "roles-source.sql", TARGET_ROLE)
    pipeline.target.execute(f"CREATE PUBLICATION crossfade_{pipeline.name}_reverse FOR TABLE school, student, mark")


@pytest.fixture
def both(pipeline):
    """Equal on both sides, and the way back is prepared."""
    pipeline.both(SCHEMA)
    for side in (pipeline.legacy, pipeline.target):
        pipeline.on(side, FILL)
    pipeline.prepare()
    let_back(pipeline)
    pipeline.config["groups"] = REVERSE
    return pipeline


def applied_back(pipeline, r, deadline=60):
    want = lsn_number(pipeline.target.lsn())
    r.wait(lambda: (lambda s: s["applied"] and lsn_number(s["applied"]) >= want)(r.stream()), deadline, "the way back has caught up")


def write(target, n):
    target.execute(f"INSERT INTO school VALUES ({1000 + n}, 'new {n}')")
    target.execute(f"INSERT INTO student (school_id, name, notes) VALUES ({1000 + n}, 'n{n}', repeat(md5('{n}'), 2000))")
    target.execute(f"UPDATE student SET name = 'again {n}' WHERE id % 7 = {n % 7}")
    target.execute(f"UPDATE school SET id = id + 5000 WHERE id = {1000 + n} AND NOT EXISTS (SELECT FROM student s WHERE s.school_id = school.id)")
    target.execute(f"DELETE FROM student WHERE id = {n + 1}")
    target.execute(f"INSERT INTO mark VALUES ({200 + n}, 2, 1.5) ON CONFLICT DO NOTHING")


def test_changes_of_the_target_reach_the_legacy(both):
    """Inserts, updates, deletes, key changes and large values go back; status, offsets and Redis name the stream reverse"""
    r = both.start(ready=True)
    s = r.stream()
    assert (s["name"], s["direction"]) == ("reverse", "reverse")
    for n in range(5):
        write(both.target, n)
    both.target.execute("UPDATE mark SET term = term + 10 WHERE student_id < 50")
    both.target.execute("TRUNCATE mark")
    both.target.execute("INSERT INTO mark VALUES (250, 1, 3)")
    applied_back(both, r)
    both.assert_equal()
    assert all(t["state"] == "streaming" and t["conflicts"] == 0 for t in r.tables().values()), r.tables()
    assert both.legacy.query("SELECT stream, lane FROM crossfade.progress ORDER BY 2")[0] == ("reverse", 0)
    assert both.target.query("SELECT 1 FROM crossfade.progress") == []
    assert both.target.one("SELECT count(*) FROM crossfade.state WHERE object = 'stream:reverse' AND key = 'fingerprint'") == 1
    redis = both.redis.client()
    wait_for(lambda: redis.hget(f"crossfade:{both.name}:offsets", "reverse.applied"), 20, "the mirror has the stream's positions")
    assert 'crossfade_lag_bytes{pipeline="%s",stream="reverse"}' % both.name in r.metrics()
    assert r.stop()[0] == 0, r.tail()
    code, out, err = both.crossfade("status", "--json")
    assert code == 0, err
    stream = json.loads(out)["streams"][0]
    assert (stream["name"], stream["direction"], stream["applied"]) == ("reverse", "reverse", both.legacy.one(
        "SELECT position FROM crossfade.progress ORDER BY position::pg_lsn LIMIT 1")), stream
    code, out, err = both.crossfade("offsets", "--json")
    assert code == 0, err
    offsets = json.loads(out)
    assert {lane["stream"] for lane in offsets["sink"]} == {"reverse"}, offsets
    assert offsets["slot"]["name"] == f"crossfade_{both.name}_reverse" and offsets["slot"]["exists"], offsets
    assert offsets["decision"]["action"] == "resume", offsets


def test_a_paused_table_waits_in_the_legacy(both):
    """Changes of a paused table are parked in the legacy, finish does not lose them, and resume applies them in order"""
    r = both.start(ready=True)
    assert both.crossfade("pause", "--table", "public.mark")[0] == 0
    r.wait(lambda: r.table_state("public.mark") == "paused", 30, "paused")
    both.target.execute("INSERT INTO mark VALUES (300, 7, 1); UPDATE mark SET value = 2 WHERE student_id = 300 AND term = 7")
    write(both.target, 6)
    applied_back(both, r)
    assert both.legacy.query("SELECT 1 FROM mark WHERE student_id = 300 AND term = 7") == []
    assert both.legacy.one("SELECT count(*) FROM crossfade.parked") >= 2
    assert r.stop()[0] == 0
    code, out, err = both.crossfade("finish", "--yes")
    assert code == 1 and "of the reverse direction" in err, out + err
    r = both.start()
    assert both.crossfade("resume", "--table", "public.mark")[0] == 0
    r.wait(lambda: r.table_state("public.mark") == "streaming", 30, "streaming again")
    applied_back(both, r)
    both.assert_equal()
    assert both.legacy.one("SELECT count(*) FROM crossfade.parked") == 0
    assert not any(t["conflicts"] for t in r.tables().values()), r.tables()


def test_check_looks_at_the_way_back(both):
    """check says what the way back lacks: the right to write, a replica identity, a key - and nothing of the way forth"""
    code, findings = both.check()
    assert code == 0, [f for f in findings if f["level"] == "fail"]
    assert {"right_back", "wal_level"} <= {f["code"] for f in findings if f["level"] == "ok"}
    both.legacy.execute(f"REVOKE UPDATE ON mark FROM {SOURCE_ROLE}")
    both.target.execute("ALTER TABLE school REPLICA IDENTITY NOTHING")
    both.target.execute("ALTER TABLE student ADD COLUMN only_here int")
    both.on(both.legacy, "CREATE TABLE loose (a int)")
    both.on(both.target, "CREATE TABLE loose (a int); ALTER TABLE loose REPLICA IDENTITY FULL")
    both.roles()
    both.legacy.execute(f"REVOKE UPDATE ON mark FROM {SOURCE_ROLE}")
    code, findings = both.check()
    found = {(f["level"], f["code"], f["object"]) for f in findings}
    assert code == 1
    assert {("fail", "right_back", "legacy"), ("fail", "no_identity", "public.school"), ("fail", "no_key", "public.loose"),
            ("warn", "column_not_back", "public.student.only_here")} <= found, found


def test_finish_takes_the_way_back_away_too(both):
    """finish drops the slot and the publication in the target and our rows in the legacy"""
    r = both.start(ready=True)
    write(both.target, 1)
    applied_back(both, r)
    assert r.stop()[0] == 0
    both.target.execute(f"ALTER PUBLICATION crossfade_{both.name}_reverse OWNER TO {TARGET_ROLE}")
    code, out, err = both.crossfade("finish", "--yes")
    assert code in (0, 1), out + err
    assert f"slot crossfade_{both.name}_reverse: dropped" in out, out
    assert both.target.query("SELECT 1 FROM pg_replication_slots WHERE slot_name = %s", (f"crossfade_{both.name}_reverse",)) == []
    assert both.target.query("SELECT 1 FROM pg_publication WHERE pubname = %s", (f"crossfade_{both.name}_reverse",)) == []
    assert both.legacy.query("SELECT 1 FROM crossfade.progress") == []


def test_a_successor_fences_its_predecessor(both):
    """A stopped process that wakes up after another took over applies nothing more to the legacy"""
    first = both.start(ready=True)
    first.freeze()
    second = both.replicator()
    second.start()
    second.wait_ready(60)
    write(both.target, 2)
    applied_back(both, second)
    epoch = both.legacy.one("SELECT max(epoch) FROM crossfade.progress")
    first.thaw()
    write(both.target, 3)
    applied_back(both, second)
    both.assert_equal()
    assert both.legacy.one("SELECT min(epoch) FROM crossfade.progress") == epoch == both.legacy.one("SELECT epoch FROM crossfade.lease")
    assert not any(t["conflicts"] for t in second.tables().values()), second.tables()


def test_a_restored_legacy_is_noticed(both):
    """A legacy that has lost its tail ends the way back with exit status 4: the slot is ahead of its progress row"""
    r = both.start(ready=True)
    before = both.legacy.query("SELECT lane, position FROM crossfade.progress")
    write(both.target, 4)
    applied_back(both, r)
    both.target.execute("SELECT pg_switch_wal()")
    write(both.target, 5)
    applied_back(both, r)
    assert r.stop()[0] == 0
    for lane, position in before:
        both.legacy.execute("UPDATE crossfade.progress SET position = %s WHERE lane = %s", (position, lane))
    r = both.start()
    assert r.wait_exit(60) == 4, r.tail()


def test_killed_at_any_moment_it_goes_on(both):
    """kill -9 in the middle of the way back: nothing is lost and nothing applied twice"""
    r = both.start(ready=True)
    for n in range(6):
        for k in range(3):
            write(both.target, 3 * n + k)
        r.kill9()
        r = both.start()
    r.wait_ready(60)
    applied_back(both, r)
    both.assert_equal()
    assert all(t["conflicts"] == 0 for t in r.tables().values()), r.tables()


def test_there_and_back_again(both):
    """Forth, back, forth: neither direction sends back what the other one has written"""
    both.config["groups"] = FORWARD
    both.target.execute("TRUNCATE school, student, mark")
    r = both.start(ready=True)
    both.wait_equal(r)
    assert r.stop()[0] == 0
    both.config["groups"] = REVERSE
    r = both.start(ready=True)
    write(both.target, 1)
    applied_back(both, r)
    both.assert_equal()
    back = {t: v["conflicts"] for t, v in r.tables().items()}
    assert not any(back.values()), back
    assert r.stop()[0] == 0
    both.config["groups"] = FORWARD
    r = both.start(ready=True)
    both.legacy.execute("UPDATE school SET name = 'forth again' WHERE id = 3")
    both.wait_equal(r)
    assert not any(v["conflicts"] for v in r.tables().values()), r.tables()
    assert r.metrics()['crossfade_rows_total{pipeline="%s",group="default",table="public.student",op="update"}' % both.name] == 0


def test_unfinished_forward_copies_are_no_ground_to_go_back(both):
    """While a table is still being copied forward the way back is refused, with the table's name"""
    both.config["groups"] = FORWARD
    both.target.execute("TRUNCATE school, student, mark")
    both.move()
    both.target.execute("""UPDATE crossfade.state SET value = '{"state": "catchup"}' WHERE object = 'table:public.mark' AND key = 'state'""")
    both.config["groups"] = REVERSE
    r = both.start("--until-caught-up")
    assert r.wait_exit(60) != 0
    assert "public.mark is in state catchup" in r.tail()


def test_directions_are_not_mixed(both):
    """Two groups with two directions, and both in one, are refused with what is allowed"""
    both.config["groups"] = {"a": {"tables": ["school"], "direction": "reverse"}, "b": {"tables": ["mark"], "direction": "forward"}}
    code, out, err = both.crossfade("status")
    assert code == 2 and "allowed: the same direction for all groups" in err
    both.config["groups"] = {"default": {"direction": "both"}}
    code, out, err = both.crossfade("status")
    assert code == 2 and "allowed: forward, reverse" in err
