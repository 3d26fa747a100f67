# SPDX-License-Identifier: PostgreSQL
"""The stream from the target back to a PostgreSQL legacy: `"direction": "reverse"`."""
import json

import psycopg2
import pytest

from lib.pipeline import SOURCE_ROLE, TARGET_ROLE, run_roles_script
from lib.postgres import lsn_number
from lib.process import wait_for
from lib.replicator import crossfade

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
    assert r.stop()[0] == 0, r.tail()


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
