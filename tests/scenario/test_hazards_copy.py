# SPDX-License-Identifier: PostgreSQL
"""HAZARDS.md, what bites between the copy and the stream: each test's first line is the hazard."""
import json
import time

import pytest

from lib.load import FILL, SCHEMA, Load
from lib.process import wait_for


def school(pipeline, rows=4000, **backfill):
    pipeline.config["backfill"] = {"workers": 2, **backfill}
    pipeline.both(SCHEMA)
    pipeline.on(pipeline.legacy, FILL.format(n=rows))
    return pipeline.prepare()


def copying(pipeline):
    """Some chunk is done, not all are."""
    rows = pipeline.target.query("SELECT state FROM crossfade.chunk WHERE pipeline = %s", (pipeline.name,))
    return any(s == "done" for (s,) in rows)


def test_06_table_published_while_a_writer_is_open(pipeline):
    """6: table added to a publication while a writer was open: its rows are in neither snapshot nor stream"""
    pipeline.both("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY, v text);")
    pipeline.config["tables"] = ["public.a"]
    pipeline.prepare(publish="TABLE a")
    r = pipeline.start(ready=True)
    r.stop()
    writer = pipeline.legacy.connect()
    writer.autocommit = False
    with writer.cursor() as cur:
        cur.execute("INSERT INTO b SELECT i, 'open' FROM generate_series(1, 100) i")
    pipeline.legacy.execute(f"SET lock_timeout = '3s'; ALTER PUBLICATION crossfade_{pipeline.name} ADD TABLE b")
    pipeline.config["tables"] = ["public.a", "public.b"]
    r = pipeline.start()
    time.sleep(1.5)
    with writer.cursor() as cur:
        cur.execute("INSERT INTO b SELECT i, 'later' FROM generate_series(101, 200) i")
    writer.commit()
    writer.close()
    r.wait_ready()
    pipeline.wait_equal(r)
    assert pipeline.target.one("SELECT count(*) FROM b") == 200


def test_07_slot_first_then_the_snapshot(pipeline):
    """7: position read before the slot existed: rows written while everything is being set up arrive"""
    school(pipeline, 300)
    with Load(pipeline.legacy, writers=3, rows=300) as load:
        r = pipeline.start(ready=True)
        load.stop()
    pipeline.wait_equal(r)


def test_29_killed_copy_is_not_called_done(pipeline):
    """29: a killed COPY left the table marked as copied: killed over and over in the copy, every row arrives once"""
    school(pipeline, 6000, rate_limit="600kB", chunk_rows=500)
    with Load(pipeline.legacy, rows=6000, pause=0.01) as load:
        r = pipeline.start()
        for _ in range(3):
            time.sleep(1.2)
            r.kill9()
            done = pipeline.target.query("SELECT table_name, seq, xmin::text FROM crossfade.chunk WHERE state = 'done'")
            r.start()
            wait_for(lambda: r.http("/healthz")[0] == 200, 30)
            later = pipeline.target.query("SELECT table_name, seq, xmin::text FROM crossfade.chunk WHERE state = 'done'")
            assert set(done) <= set(later), "a finished chunk was copied again"
        r.kill9()
        pipeline.config["backfill"].pop("rate_limit")
        r = pipeline.start(ready=True)
        load.stop()
    pipeline.wait_equal(r)


@pytest.mark.parametrize("side", ["legacy", "target"])
def test_30_lost_link_is_not_the_end_of_the_copy(pipeline, make_proxy, side):
    """30: lost connection read as "copy complete": cut in the middle of the copy, it goes on and every row arrives"""
    school(pipeline, 6000, rate_limit="800kB", chunk_rows=1000)
    database = getattr(pipeline, side)
    proxy = make_proxy(database.server)
    pipeline.config[side]["conninfo"] = pipeline.config[side]["conninfo"].replace(database.server.dir, proxy.dir)
    r = pipeline.start()
    for _ in range(3):
        time.sleep(1)
        proxy.cut()
    pipeline.config["backfill"]["rate_limit"] = "0kB"
    r.kill9()
    pipeline.config["backfill"].pop("rate_limit")
    r = pipeline.start(ready=True)
    pipeline.wait_equal(r)


def test_36_keyless_table_in_the_publication(pipeline):
    """36: publishing a keyless table makes the application's own UPDATE and DELETE fail: check refuses it"""
    pipeline.both("CREATE TABLE k (id int PRIMARY KEY); CREATE TABLE log (at timestamptz, what text);")
    pipeline.prepare(publish="ALL TABLES")
    code, findings = pipeline.check()
    assert code == 1, findings
    about = [f for f in findings if f["level"] == "fail" and "log" in (f["object"] or "")]
    assert about and about[0]["sql"], findings


def test_36_application_can_still_update_a_keyless_table(pipeline):
    """36: published for inserts only, the application's UPDATE and DELETE of a keyless table still work"""
    pipeline.both("CREATE TABLE k (id int PRIMARY KEY); CREATE TABLE log (at int, what text);")
    pipeline.legacy.execute("INSERT INTO log SELECT i, 'x' FROM generate_series(1, 500) i; INSERT INTO k VALUES (1)")
    pipeline.prepare()
    r = pipeline.start(ready=True)
    pipeline.legacy.execute("INSERT INTO log VALUES (1, 'again'), (1, 'again')")
    pipeline.wait_equal(r)
    pipeline.legacy.execute("DELETE FROM log WHERE at < 10")
    pipeline.legacy.execute("UPDATE log SET what = 'y' WHERE at = 20")


@pytest.mark.parametrize("identity", ["NOTHING", "FULL"])
def test_37_keyless_table_under_load(pipeline, identity):
    """37: a keyless table's rows matched to the stream by LSN lost 50 to 150 rows a run: copied under load, none lost, none doubled"""
    pipeline.both(f"CREATE TABLE log (w int, n int, pad text); ALTER TABLE log REPLICA IDENTITY {identity}; CREATE TABLE k (id int PRIMARY KEY);")
    pipeline.legacy.execute("INSERT INTO log SELECT 0, i, 'p' FROM generate_series(1, 60000) i")
    pipeline.config["backfill"] = {"workers": 2, "rate_limit": "1MB"}
    pipeline.prepare()
    import threading
    stop = threading.Event()

    def write(w):
        c = pipeline.legacy.connect()
        c.autocommit = False
        n = 0
        with c.cursor() as cur:
            while not stop.is_set():
                for _ in range(1 + n % 3):
                    cur.execute("SAVEPOINT s; INSERT INTO log VALUES (%s, %s, 'live')", (w, n))
                    n += 1
                if identity == "FULL" and n % 7 == 0:
                    cur.execute("DELETE FROM log WHERE ctid = (SELECT ctid FROM log WHERE w = 0 LIMIT 1)")
                if n % 11 == 0:
                    c.rollback()
                else:
                    c.commit()
        c.close()
    writers = [threading.Thread(target=write, args=(w,), daemon=True) for w in (1, 2, 3)]
    for t in writers:
        t.start()
    try:
        r = pipeline.start()
        r.wait(lambda: pipeline.target.one("SELECT count(*) FROM crossfade.chunk WHERE pipeline = %s", (pipeline.name,)) > 0, 30)
        time.sleep(0.7)
        r.kill9()  # interrupted, it starts over
        r.start()
        r.wait_ready(90)
    finally:
        stop.set()
        for t in writers:
            t.join(20)
    pipeline.wait_equal(r)
    assert pipeline.target.one("SELECT count(*) FROM log WHERE w > 0") > 100


def test_38_key_moved_between_chunks(pipeline):
    """38: key moved between two chunks read at different times: the row is in neither"""
    pipeline.config["backfill"] = {"workers": 1, "chunk_rows": 1000, "rate_limit": "400kB"}
    pipeline.both("CREATE TABLE t (id bigint PRIMARY KEY, v text, big text); ALTER TABLE t ALTER big SET STORAGE EXTERNAL;"
                  "CREATE TABLE u (id int PRIMARY KEY, code text UNIQUE);")
    pipeline.legacy.execute("INSERT INTO t SELECT i, repeat('x', 50), CASE WHEN i % 500 = 0 THEN repeat(md5(i::text), 200) END FROM generate_series(1, 20000) i;"
                            "INSERT INTO u SELECT i, 'c' || i FROM generate_series(1, 2000) i")
    pipeline.prepare()
    import random
    rnd = random.Random(38)
    r = pipeline.start()
    c = pipeline.legacy.connect()
    end = time.monotonic() + 90
    moves = 0
    with c.cursor() as cur:
        while time.monotonic() < end and (moves < 300 or not _ready(r)):
            a, b = rnd.randint(1, 20000), rnd.randint(20001, 40000)
            if rnd.random() < 0.5:
                a, b = b, a
            cur.execute("UPDATE t SET id = %s WHERE id = %s AND NOT EXISTS (SELECT FROM t WHERE id = %s)", (b, a, b))
            big = rnd.randrange(1, 41) * 500
            cur.execute("UPDATE t SET v = v || '.' WHERE id = %s", (big,))  # its large value is not sent
            cur.execute("UPDATE t SET id = -id WHERE abs(id) = %s", (big,))
            x, y = rnd.sample(range(1, 2001), 2)
            cur.execute("DELETE FROM u WHERE id = %s RETURNING code", (x,))
            row = cur.fetchone()
            if row:
                cur.execute("INSERT INTO u VALUES (%s, %s) ON CONFLICT DO NOTHING", (y + 5000, row[0]))
            moves += 1
            assert r.running, r.tail()
    c.close()
    r.wait_ready(60)
    pipeline.wait_equal(r)
    assert pipeline.target.one("SELECT count(*) FROM crossfade.reread WHERE pipeline = %s", (pipeline.name,)) == 0


def _ready(r):
    try:
        return r.http("/readyz")[0] == 200
    except OSError:
        return False


def test_42_row_security_does_not_thin_the_copy(pipeline):
    """42: row security thins the copy without an error: the copy fails and check says so"""
    pipeline.both("CREATE TABLE t (id int PRIMARY KEY, owner text); CREATE TABLE o (id int PRIMARY KEY);")
    pipeline.legacy.execute("INSERT INTO t SELECT i, CASE WHEN i <= 3 THEN 'crossfade_source' ELSE 'x' END FROM generate_series(1, 10) i; INSERT INTO o VALUES (1)")
    pipeline.on(pipeline.legacy, "ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (owner = current_user);")
    pipeline.prepare()
    code, findings = pipeline.check()
    assert code == 1
    assert any(f["level"] == "fail" and "row security" in f["text"].lower() for f in findings), findings
    r = pipeline.start()
    r.wait(lambda: pipeline.target.one("SELECT count(*) FROM o") == 1, 30, "the other table is copied")
    r.wait(lambda: r.table_state("public.t") == "stopped", 30, "the table stops")
    assert pipeline.target.one("SELECT count(*) FROM t") == 0
    assert "row-level security" in r.tables()["public.t"]["reason"].lower() or "row security" in r.tables()["public.t"]["reason"].lower()


@pytest.mark.parametrize("existing", ["refuse", "upsert", "truncate"])
def test_target_that_already_holds_rows(pipeline, existing):
    """Target tables that already hold rows are refused unless the config says upsert or truncate"""
    pipeline.both("CREATE TABLE t (id int PRIMARY KEY, v text);")
    pipeline.legacy.execute("INSERT INTO t SELECT i, 'new' FROM generate_series(1, 100) i")
    pipeline.target.execute("INSERT INTO t VALUES (5, 'old')" + (", (5000, 'only here')" if existing == "truncate" else ""))
    if existing != "refuse":
        pipeline.config["backfill"]["existing"] = existing
    pipeline.prepare()
    if existing == "refuse":
        r = pipeline.start("--until-caught-up")
        assert r.wait_exit(40) != 0, r.tail()
        assert "existing" in r.log, r.tail()
        assert pipeline.target.query("SELECT * FROM t") == [(5, "old")]
    else:
        pipeline.move()
        pipeline.assert_equal()


def test_recopy_while_the_others_stream(pipeline):
    """crossfade recopy makes one table equal again while others stream"""
    school(pipeline, 1000)
    with Load(pipeline.legacy, rows=1000, pause=0.005) as load:
        r = pipeline.start(ready=True)
        for table, spoil in (("event", "DELETE FROM event"), ("moving", "UPDATE moving SET v = 'wrong'")):
            # one table and one lock each, or the lanes and we might wait for each other
            pipeline.target.execute(f"BEGIN; LOCK TABLE {table} IN EXCLUSIVE MODE; {spoil}; COMMIT")
        code, out, err = pipeline.crossfade("recopy", "--table", "public.event")
        assert code == 0, out + err
        code, out, err = pipeline.crossfade("recopy", "--table", "public.moving")
        assert code == 0, out + err
        r.wait(lambda: pipeline.target.one("SELECT count(*) FROM moving WHERE v = 'wrong'") == 0, 60, "moving is copied anew")
        r.wait(lambda: all(t["state"] == "streaming" for t in r.tables().values())
               and not pipeline.target.query("SELECT 1 FROM crossfade.wish WHERE key = 'recopy'"), 60, "all stream again")
        load.stop()
    pipeline.wait_equal(r)


def test_rate_limit_changes_by_sighup(pipeline):
    """rate_limit is kept, and raised by SIGHUP while the copy runs"""
    import signal
    pipeline.config["backfill"] = {"workers": 2, "rate_limit": "100kB"}
    pipeline.both("CREATE TABLE t (id int PRIMARY KEY, v text);")
    pipeline.legacy.execute("INSERT INTO t SELECT i, repeat('x', 200) FROM generate_series(1, 10000) i")
    pipeline.prepare()
    begin = time.monotonic()
    r = pipeline.start()
    time.sleep(4)
    assert not _ready(r), f"2 MB at 100 kB/s were copied in {time.monotonic() - begin:.1f} s"
    pipeline.config["backfill"]["rate_limit"] = "100MB"
    with open(r.config_path, "w") as f:
        json.dump(pipeline.config, f)
    r.signal(signal.SIGHUP)
    r.wait_ready(20)
    pipeline.wait_equal(r)
