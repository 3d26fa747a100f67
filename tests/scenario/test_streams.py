# SPDX-License-Identifier: PostgreSQL
"""What a stream carries and how it is dealt out: prepared transactions, chosen identities, lanes, shared targets; and
what it leaves on the source: nothing but publication and slot."""
import signal
import subprocess
import time

from lib.compare import differences
from lib.load import FILL, SCHEMA

from lib.postgres import lsn_number

from lib.replicator import environment, program

def test_prepared_transactions(make_server, target_server, make_pipeline, redis_server):
    """Two-phase commits come when they are committed, those rolled back never; one that stays open holds nothing up"""
    server = make_server("l", settings={"max_prepared_transactions": "10"})
    p = make_pipeline(server, target_server, redis_server)
    p.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    p.prepare()
    r = p.start(ready=True)
    p.legacy.psql("""
        BEGIN; INSERT INTO t VALUES (1, 'committed later'); PREPARE TRANSACTION 'yes';
        BEGIN; INSERT INTO t VALUES (2, 'never'); PREPARE TRANSACTION 'no';
        BEGIN; INSERT INTO t VALUES (3, 'open'); PREPARE TRANSACTION 'open';
        INSERT INTO t VALUES (4, 'in between');""")
    p.wait_applied(r)
    assert p.target.query("SELECT id FROM t") == [(4,)]
    p.legacy.psql("COMMIT PREPARED 'yes'; ROLLBACK PREPARED 'no'; UPDATE t SET v = v || '!' WHERE id = 1;")
    p.wait_equal(r)
    r.kill9()
    p.legacy.psql("COMMIT PREPARED 'open'")
    r.start()
    r.wait_ready()
    p.wait_equal(r)
    assert p.target.query("SELECT id, v FROM t ORDER BY id") == [(1, "committed later!"), (3, "open"), (4, "in between")]

def test_identity_by_an_index(pipeline):
    """REPLICA IDENTITY USING INDEX, with and without a primary key, and its columns updated"""
    pipeline.both("""CREATE TABLE a (id int PRIMARY KEY, code text NOT NULL, v text);
        CREATE UNIQUE INDEX a_code ON a (code); ALTER TABLE a REPLICA IDENTITY USING INDEX a_code;
        CREATE TABLE b (x int NOT NULL, y text NOT NULL, big text); CREATE UNIQUE INDEX b_xy ON b (y, x);
        ALTER TABLE b REPLICA IDENTITY USING INDEX b_xy;""")
    pipeline.legacy.execute("""INSERT INTO a SELECT i, 'c' || i, 'v' FROM generate_series(1, 200) i;
        ALTER TABLE b ALTER big SET STORAGE EXTERNAL; INSERT INTO b SELECT i, 'y' || i % 7, repeat('x', 5000) FROM generate_series(1, 50) i""")
    pipeline.prepare()
    r = pipeline.start(ready=True)
    pipeline.legacy.psql("""
        UPDATE a SET v = 'w' WHERE id < 50; UPDATE a SET code = code || '.' WHERE id BETWEEN 40 AND 60; UPDATE a SET id = id + 1000 WHERE id > 150;
        DELETE FROM a WHERE code = 'c7'; UPDATE b SET x = x + 100 WHERE x % 3 = 0; UPDATE b SET y = 'moved', x = -x WHERE x < 10;
        DELETE FROM b WHERE y = 'y5';
        BEGIN; UPDATE a SET code = 'tmp' WHERE id = 1; UPDATE a SET code = 'c1' WHERE id = 2; UPDATE a SET code = 'c2' WHERE id = 1; COMMIT;""")
    pipeline.wait_equal(r)
    assert all(t["conflicts"] == 0 for t in r.tables().values()), r.tables()

def test_lanes_go_each_at_its_own_pace(pipeline):
    """Two independent tables, two lanes: a lock on one table's target holds only its own lane up; each resumes from its
    own row; tables that a foreign key joins share one"""
    pipeline.config["stream"] = {"lanes": 2}
    pipeline.both("""CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY, v text);
        CREATE TABLE b_child (id int PRIMARY KEY, b_id int REFERENCES b ON DELETE CASCADE);""")
    pipeline.prepare()
    r = pipeline.start(ready=True)
    pipeline.legacy.execute("INSERT INTO a VALUES (0, 'x'); INSERT INTO b VALUES (0, 'x'); INSERT INTO b_child VALUES (0, 0)")
    pipeline.wait_equal(r)
    assert sorted(pipeline.positions()) == [0, 1]
    locker = pipeline.target.connect()
    locker.autocommit = False
    with locker.cursor() as cur:
        cur.execute("LOCK TABLE a IN ACCESS EXCLUSIVE MODE")
        pipeline.legacy.psql("\n".join(f"INSERT INTO a VALUES ({i}, 'a'); INSERT INTO b VALUES ({i}, 'b'); INSERT INTO b_child VALUES ({i}, {i});"
                                       for i in range(1, 40)))
        r.wait(lambda: pipeline.target.one("SELECT count(*) FROM b_child") == 40, 30, "the other lane goes on")
        r.wait(lambda: len({lsn_number(p) for p in pipeline.positions().values()}) == 2, 10, "the rows stand apart")
        assert lsn_number(r.stream()["applied"]) == min(lsn_number(p) for p in pipeline.positions().values())
        assert lsn_number(pipeline.confirmed()) <= min(lsn_number(p) for p in pipeline.positions().values())
        r.kill9()
    locker.rollback()
    locker.close()
    apart = {lane: lsn_number(p) for lane, p in pipeline.positions().items()}
    assert len(set(apart.values())) == 2, apart
    pipeline.legacy.psql("DELETE FROM b WHERE id = 3; UPDATE a SET v = 'z' WHERE id < 5;")
    r.start()
    r.wait_ready()
    pipeline.wait_equal(r)
    assert all(t["conflicts"] == 0 for t in r.tables().values()), "nothing was applied twice"

def test_two_pipelines_of_one_target(make_pipeline, legacy_server, target_server, redis_server):
    """Two legacy databases into one target database, at the same time: leases, progress and origins are apart"""
    first = make_pipeline(legacy_server, target_server, redis_server)
    second = make_pipeline(legacy_server, target_server, redis_server)
    first.config["tables"] = ["public.one"]
    second.config["tables"] = ["public.two"]
    second.target, second.own_target = first.target, second.target
    second.config["target"] = first.config["target"]
    for p, table in ((first, "one"), (second, "two")):
        p.both(f"CREATE TABLE {table} (id int PRIMARY KEY, v text)")
        p.legacy.execute(f"INSERT INTO {table} SELECT i, 'v' FROM generate_series(1, 1000) i")
    first.prepare()
    second.prepare()
    a, b = first.start(), second.start()
    try:
        a.wait_ready()
        b.wait_ready()
        for r in (a, b):
            first.legacy.execute("UPDATE one SET v = v || '.' WHERE id < 100")
            second.legacy.execute("UPDATE two SET v = v || '.' WHERE id < 100")
            r.kill9()
            r.start()
            r.wait_ready()
        for p, r in ((first, a), (second, b)):
            p.wait_applied(r)
            assert not differences(p.legacy, p.target), p.name
            assert all(t["conflicts"] == 0 for t in r.tables().values())
        assert {x for x, in first.target.query("SELECT pipeline FROM crossfade.lease")} == {first.name, second.name}
        b.stop()
        code, out, err = second.crossfade("finish", "--yes")
        assert "dropped" in out, out + err
        first.legacy.execute("UPDATE one SET v = 'still'")
        first.wait_equal(a, only=["one"])
        assert first.target.query("SELECT DISTINCT pipeline FROM crossfade.progress") == [(first.name,)]
    finally:
        second.target = second.own_target
        for r in (a, b):
            r.end()

def test_nothing_of_ours_stays_on_the_source(pipeline):
    """On the source there is a slot and the publication, before, while and after; no table, function, trigger or type"""
    objects = """SELECT 'c', oid FROM pg_class UNION ALL SELECT 'p', oid FROM pg_proc UNION ALL SELECT 't', oid FROM pg_trigger
        UNION ALL SELECT 'y', oid FROM pg_type UNION ALL SELECT 'n', oid FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_' ORDER BY 1, 2"""
    pipeline.both(SCHEMA)
    pipeline.on(pipeline.legacy, FILL.format(n=300))
    pipeline.prepare()
    before = pipeline.legacy.query(objects)
    r = pipeline.start(ready=True)
    pipeline.wait_equal(r)
    assert pipeline.legacy.query(objects) == before
    assert pipeline.legacy.query("SELECT slot_name FROM pg_replication_slots WHERE database = %s", (pipeline.legacy.name,)) == [(pipeline.slot,)]
    r.stop()
    assert pipeline.legacy.query(objects) == before

def test_the_largest_table_is_copied_first_and_all_are_analysed(pipeline):
    """One worker: the largest table's chunks are done before the smallest's; statistics are there at the end"""
    pipeline.config["backfill"] = {"workers": 1, "chunk_rows": 1000}
    pipeline.both("CREATE TABLE a_small (id int PRIMARY KEY, v text); CREATE TABLE m_large (id int PRIMARY KEY, v text); CREATE TABLE z_middle (id int PRIMARY KEY, v text)")
    for table, n in (("a_small", 100), ("m_large", 30000), ("z_middle", 8000)):
        pipeline.legacy.execute(f"INSERT INTO {table} SELECT i, repeat('x', 50) FROM generate_series(1, {n}) i; ANALYZE {table}")
    pipeline.prepare()
    pipeline.move()
    pipeline.assert_equal()
    order = pipeline.target.query("""SELECT table_name, min(x), max(x) FROM (SELECT table_name, xmin::text::bigint AS x FROM crossfade.chunk WHERE state = 'done') s
        GROUP BY 1 ORDER BY 2""")
    assert [o[0] for o in order] == ["public.m_large", "public.z_middle", "public.a_small"], order
    assert order[0][2] < order[2][1], order
    assert pipeline.target.query("SELECT relname, reltuples::int FROM pg_class WHERE relname IN ('a_small', 'm_large', 'z_middle') ORDER BY 1") == [
        ("a_small", 100), ("m_large", 30000), ("z_middle", 8000)]

def test_conflicts_are_counted_and_shown_with_a_sample(pipeline):
    """A row that is missing and one that is there already: the source wins, both are counted, the last one is shown"""
    pipeline.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    pipeline.legacy.execute("INSERT INTO t SELECT i, 'v' FROM generate_series(1, 10) i")
    pipeline.prepare()
    r = pipeline.start(ready=True)
    pipeline.target.execute("DELETE FROM t WHERE id = 3; INSERT INTO t VALUES (77, 'in the way')")
    pipeline.legacy.execute("UPDATE t SET v = 'w' WHERE id = 3")
    r.wait(lambda: r.tables()["public.t"]["conflicts"] == 1, 20, "the missing row is counted")
    assert "missing" in r.tables()["public.t"]["conflict_sample"] and "3" in r.tables()["public.t"]["conflict_sample"]
    pipeline.legacy.execute("INSERT INTO t VALUES (77, 'theirs')")
    r.wait(lambda: r.tables()["public.t"]["conflicts"] == 2, 20, "the existing one, too")
    assert "77" in r.tables()["public.t"]["conflict_sample"]
    pipeline.wait_equal(r)
    m = r.metrics()
    assert sum(v for k, v in m.items() if k.startswith("crossfade_conflicts_total")) == 2
    code, out, err = pipeline.crossfade("status")
    assert code == 0 and "77" in out, out + err

def test_no_secret_is_shown_anywhere(pipeline):
    """Passwords that work appear in no log at debug level, no status, no metric and on no command line"""
    secret = "S3cr3t'\\ quoted"
    for side in ("legacy", "target"):
        database = getattr(pipeline, side)
        database.execute("DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pw_app') THEN CREATE ROLE pw_app LOGIN; END IF; END $$")
        database.execute("ALTER ROLE pw_app SUPERUSER PASSWORD %s", (secret,))
        pipeline.config[side]["conninfo"] = database.conninfo("pw_app")
        pipeline.config[side]["password"] = "env:SECRET"
    pipeline.config["log"] = {"level": "debug"}
    pipeline.both("CREATE TABLE t (id int PRIMARY KEY)")
    pipeline.legacy.execute("INSERT INTO t VALUES (1)")
    pipeline.publish()
    env = {"SECRET": secret}
    try:
        r = pipeline.start(ready=True, env=env)
        shown = r.http("/status")[1] + r.http("/metrics")[1] + open(f"/proc/{r.process.pid}/cmdline").read()
        for command in ("check", "status", "offsets"):
            code, out, err = pipeline.crossfade(command, env=env)
            assert code == 0, out + err
            shown += out + err
        pipeline.legacy.server.one("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'pw_app'")
        r.wait_log("terminat|closed|lost")
        r.stop()
        assert "S3cr3t" not in shown + r.log
    finally:
        for side in ("legacy", "target"):
            getattr(pipeline, side).execute("ALTER ROLE pw_app NOSUPERUSER PASSWORD 'right'")

def test_time_until_wal_limits_bite_while_paused(make_server, target_server, make_pipeline, redis_server):
    """Paused, nothing is read: status and metrics show how much WAL waits and when the source would throw it away"""
    server = make_server("l", settings={"max_slot_wal_keep_size": "256MB"})
    p = make_pipeline(server, target_server, redis_server)
    p.both("CREATE TABLE t (id serial PRIMARY KEY, v text)")
    p.prepare()
    r = p.start(ready=True)
    assert p.crossfade("pause")[0] == 0
    r.wait(lambda: r.http("/readyz")[0] != 200, 20, "paused")

    def limit():
        p.legacy.execute("INSERT INTO t (v) SELECT repeat('x', 1000) FROM generate_series(1, 2000)")
        s = r.status()["streams"]
        return s and s[0].get("slot_limit_s") is not None and r.metrics()

    m = r.wait(limit, 40, "a time is shown")
    value = next(v for k, v in m.items() if k.startswith("crossfade_slot_limit_seconds"))
    assert 0 <= value < 100000
    assert next(v for k, v in m.items() if k.startswith("crossfade_retained_wal_bytes")) > 1000000
    assert p.crossfade("resume")[0] == 0
    r.wait_ready()
    p.wait_equal(r)

def test_status_is_watched(pipeline):
    """status --watch prints again and again, also while the replicator is away, until it is interrupted"""
    pipeline.both("CREATE TABLE t (id int PRIMARY KEY)")
    pipeline.prepare()
    r = pipeline.start(ready=True)
    w = subprocess.Popen([program("crossfade"), "status", "-c", pipeline.write_config(), "--watch", "--json"], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True, env=environment(), cwd="/",
                         preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # ignored below a shell's `&`
    try:
        for _ in range(3):
            assert '"role"' in w.stdout.readline()
        r.stop()
        begin = time.monotonic()
        for _ in range(3):
            assert w.stdout.readline()
        assert time.monotonic() - begin < 30 and w.poll() is None
    finally:
        w.send_signal(signal.SIGINT)
        w.communicate(timeout=20)
