# SPDX-License-Identifier: PostgreSQL
"""HAZARDS.md, what bites while changes stream: each test's first line is the hazard."""
import os
import threading
import time

import pytest

from lib.load import FILL, SCHEMA, Load
from lib.postgres import lsn_number
from lib.process import wait_for

SMALL = "CREATE TABLE t (id int PRIMARY KEY, v text, n int DEFAULT 0);"


def small(pipeline, rows=100, ddl=SMALL, start=True, **kw):
    pipeline.both(ddl)
    if rows:
        pipeline.legacy.execute(f"INSERT INTO t (id, v) SELECT i, 'v' || i FROM generate_series(1, {rows}) i")
    pipeline.prepare(**kw)
    return pipeline.start(ready=True) if start else None


def resume(pipeline, table):
    code, out, err = pipeline.crossfade("resume", "--table", table)
    assert code == 0, f"crossfade resume: {code}\n{out}{err}"


def test_01_resume_at_a_whole_commit(pipeline):
    """1: resuming by searching for the last event skipped events: killed again and again under load, nothing is lost"""
    pipeline.both(SCHEMA)
    pipeline.on(pipeline.legacy, FILL.format(n=1000))
    pipeline.prepare()
    r = pipeline.start(ready=True)
    with Load(pipeline.legacy, rows=1000) as load:
        for _ in range(4):
            before = load.transactions
            wait_for(lambda: load.transactions > before + 60, 30)
            r.kill9()
            r.start()
        load.stop()
    r.wait_ready()
    pipeline.wait_equal(r)
    # One database end to end: nothing was applied twice either, or it would have been counted.
    assert all(t["conflicts"] == 0 for t in r.tables().values()), r.tables()


def test_02_transactions_are_whole(pipeline):
    """2: several events share one LSN, a restart dropped the rest: a reader of the target never sees half a transaction"""
    pipeline.both("CREATE TABLE t (tx int, i int, PRIMARY KEY (tx, i));")
    pipeline.prepare()
    r = pipeline.start(ready=True)
    bad, stop = [], threading.Event()

    def look():
        c = pipeline.target.connect()
        cur = c.cursor()
        while not stop.is_set():
            cur.execute("SELECT tx, count(*) FROM t GROUP BY tx HAVING count(*) <> 100")
            bad.extend(cur.fetchall())
        c.close()
    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    for tx in range(120):
        pipeline.legacy.execute("INSERT INTO t SELECT %s, i FROM generate_series(1, 100) i", (tx,))
        if tx % 40 == 20:
            r.kill9()
            r.start()
    r.wait_ready()
    pipeline.wait_equal(r)
    stop.set()
    thread.join(10)
    assert not bad, f"half transactions were visible: {bad[:5]}"


def test_03_slot_made_anew_under_the_same_name(pipeline):
    """3: slot dropped and re-created under the same name, a silent hole: exit 4, nothing written"""
    r = small(pipeline)
    r.stop()
    pipeline.legacy.execute("INSERT INTO t VALUES (1000, 'in the hole')")
    pipeline.legacy.execute("SELECT pg_drop_replication_slot(%s)", (pipeline.slot,))
    pipeline.legacy.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", (pipeline.slot,))
    pipeline.legacy.execute("INSERT INTO t VALUES (1001, 'after it')")
    r = pipeline.start()
    assert r.wait_exit(30) == 4, r.tail()
    assert "slot" in r.log and "recopy" in r.log, r.tail()
    assert pipeline.target.one("SELECT count(*) FROM t WHERE id >= 1000") == 0


def test_04_slot_gone(pipeline):
    """4: logical slot lost at fail-over: stops with exit 4 and says what was lost"""
    r = small(pipeline)
    r.stop()
    pipeline.legacy.execute("SELECT pg_drop_replication_slot(%s)", (pipeline.slot,))
    r = pipeline.start()
    assert r.wait_exit(30) == 4, r.tail()
    assert pipeline.slot in r.log
    assert pipeline.target.one("SELECT count(*) FROM t") == 100


def test_04_another_database_behind_the_same_name(make_pipeline, legacy_server, target_server, redis_server):
    """4: what answers at the legacy's address is not the legacy: exit 4"""
    p = make_pipeline(legacy_server, target_server, redis_server)
    r = small(p)
    r.stop()
    other = make_pipeline(legacy_server, target_server, redis_server)
    other.both(SMALL)
    other.prepare()
    other.legacy.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", (f"{p.slot}_x",))
    p.config["legacy"]["conninfo"] = other.legacy.conninfo("crossfade_source")
    r = p.start()
    assert r.wait_exit(30) == 4, r.tail()
    assert p.target.one("SELECT count(*) FROM t") == 100


def test_05_idle_tables_keep_no_wal(pipeline, legacy_server):
    """5: idle tables keep WAL for days: while another database writes, the slot follows, and never goes backwards"""
    r = small(pipeline)
    legacy_server.execute(f"CREATE DATABASE {pipeline.name}_busy")
    from lib.postgres import Database
    busy = Database(legacy_server, f"{pipeline.name}_busy")
    busy.execute("CREATE TABLE b (v text)")
    seen = [lsn_number(pipeline.confirmed())]
    busy.execute("INSERT INTO b SELECT repeat('x', 1000) FROM generate_series(1, 30000)")
    want = lsn_number(pipeline.legacy.lsn())

    def follows():
        seen.append(lsn_number(pipeline.confirmed()))
        return seen[-1] >= want
    r.wait(follows, 25, "the slot is confirmed past what the other database wrote")
    assert seen == sorted(seen), "confirmed went backwards"
    position = pipeline.positions()
    assert all(lsn_number(p) >= seen[-1] for p in position.values()), f"confirmed {seen[-1]:x} is ahead of the row {position}"
    busy.server.execute(f"DROP DATABASE {pipeline.name}_busy")


def test_15_unchanged_large_values(pipeline):
    """15: unchanged large values written as NULL: an update that does not touch them leaves them as they are"""
    pipeline.both("CREATE TABLE t (id int PRIMARY KEY, n int, big text, other text); ALTER TABLE t ALTER big SET STORAGE EXTERNAL;")
    pipeline.legacy.execute("INSERT INTO t SELECT i, 0, repeat(md5(i::text), 4000), repeat(md5(i::text), 300) FROM generate_series(1, 20) i")
    pipeline.prepare()
    r = pipeline.start(ready=True)
    for sql in ("UPDATE t SET n = n + 1", "UPDATE t SET id = id + 1000 WHERE id <= 5",
                "UPDATE t SET other = NULL WHERE id = 7", "UPDATE t SET big = 'short' WHERE id = 8",
                "UPDATE t SET n = 5 WHERE id = 8",
                "WITH d AS (DELETE FROM t WHERE id = 9) UPDATE t SET n = 9 WHERE id = 10"):
        pipeline.legacy.execute(sql)
    c = pipeline.legacy.connect()
    c.autocommit = False
    with c.cursor() as cur:  # in one transaction: changed with the value, and then without it
        cur.execute("UPDATE t SET big = repeat('new', 40000) WHERE id = 11")
        cur.execute("UPDATE t SET n = 11 WHERE id = 11")
        cur.execute("UPDATE t SET id = 3000 WHERE id = 11")
        cur.execute("INSERT INTO t VALUES (11, 1, repeat('again', 30000), NULL)")
        cur.execute("UPDATE t SET n = 2 WHERE id = 11")
    c.commit()
    c.close()
    pipeline.wait_equal(r)
    assert pipeline.target.one("SELECT count(*) FROM t WHERE big IS NULL") == 0


def test_16_transaction_ten_times_the_ceiling(pipeline):
    """16: one huge transaction exhausts memory: ten times memory_limit goes through, atomically"""
    pipeline.config["memory_limit"] = "16MB"
    r = small(pipeline, 10)
    pipeline.legacy.execute("INSERT INTO t SELECT i, repeat(md5(i::text), 16), i FROM generate_series(1000, 301000) i")
    pipeline.wait_equal(r, 120)
    with open(f"/proc/{r.process.pid}/status") as f:
        peak = next(int(line.split()[1]) for line in f if line.startswith("VmHWM")) // 1024
    if "SANITIZED" not in os.environ.get("CROSSFADE_TEST", ""):
        assert peak < 80, f"peak {peak} MB with memory_limit 16 MB"
    assert peak < 600


def test_17_transaction_across_batches(pipeline):
    """17: a transaction across a batch border applied twice: killed in the middle of it, a table that could hold doubles holds none"""
    pipeline.config["stream"] = {"batch_changes": 100}
    pipeline.both("CREATE TABLE t (id int, v text); ALTER TABLE t REPLICA IDENTITY FULL;")
    pipeline.prepare()
    r = pipeline.start(ready=True)
    for round_ in range(3):
        pipeline.legacy.execute("INSERT INTO t SELECT i, 'r%s' FROM generate_series(1, 8000) i", (round_,))
        time.sleep(0.05 + 0.2 * round_)
        r.kill9()
        r.start()
    r.wait_ready()
    pipeline.wait_equal(r)


def test_28_deadlock_is_retried(pipeline):
    """28: concurrent writers deadlock with the apply: it is retried, and nothing is quarantined"""
    r = small(pipeline, 200)
    c = pipeline.target.connect()
    for attempt in range(3):
        c.autocommit = False
        with c.cursor() as cur:
            cur.execute("UPDATE t SET n = n WHERE id = 200")
            pipeline.legacy.execute("UPDATE t SET v = %s", (f"a{attempt}",))
            time.sleep(0.3)  # the apply now holds the others and waits for 200
            try:
                cur.execute("SET LOCAL deadlock_timeout = '10s'; UPDATE t SET n = n WHERE id = 1")
            except Exception:
                pass
        c.rollback()
    c.close()
    pipeline.wait_equal(r)
    assert r.tables()["public.t"]["quarantined"] == 0


def test_31_a_value_of_60_megabytes(pipeline):
    """31: an endless text column: streamed whole, or refused with a reason; never a crash"""
    pipeline.config["memory_limit"] = "64MB"
    r = small(pipeline)
    pipeline.legacy.execute("INSERT INTO t VALUES (5000, repeat('0123456789', 6000000))")
    pipeline.legacy.execute("UPDATE t SET n = 1 WHERE id = 5")
    r.wait(lambda: pipeline.target.one("SELECT n FROM t WHERE id = 5") == 1
           or r.table_state("public.t") == "stopped", 90, "the change behind the value, or the table stopped")
    if r.table_state("public.t") == "stopped":
        assert r.tables()["public.t"]["reason"]
    else:
        pipeline.wait_equal(r)


MOVES = """
INSERT INTO t SELECT i, 'm' || i FROM generate_series(1000, 1040) i;
BEGIN; UPDATE t SET id = -1 WHERE id = 1; UPDATE t SET id = 1 WHERE id = 2; UPDATE t SET id = 2 WHERE id = -1; COMMIT;
BEGIN; DELETE FROM t WHERE id = 3; INSERT INTO t VALUES (3, 'again'); DELETE FROM t WHERE id = 3; INSERT INTO t VALUES (3, 'and again'); COMMIT;
BEGIN; UPDATE t SET id = 5000 WHERE id = 4; INSERT INTO t VALUES (4, 'reused'); UPDATE t SET v = 'moved' WHERE id = 5000; COMMIT;
BEGIN; INSERT INTO t VALUES (6000, 'born'); UPDATE t SET id = 6001 WHERE id = 6000; DELETE FROM t WHERE id = 6001; COMMIT;
BEGIN; UPDATE t SET id = id + 100000; UPDATE t SET id = id - 100000; COMMIT;
BEGIN; DELETE FROM t WHERE id = 10; UPDATE t SET id = 10 WHERE id = 11; UPDATE t SET id = 11 WHERE id = 12; COMMIT;
UPDATE t SET id = id + 200000, v = v || '+' WHERE id BETWEEN 20 AND 60;
BEGIN; INSERT INTO t VALUES (7000, 'a'); SAVEPOINT s; UPDATE t SET v = 'no' WHERE id = 7000; ROLLBACK TO s; SAVEPOINT s2; UPDATE t SET v = 'yes' WHERE id = 7000; COMMIT;
"""


@pytest.mark.parametrize("identity", ["DEFAULT", "FULL"])
def test_32_keys_updated_swapped_and_used_again(pipeline, identity):
    """32: primary key updated, swapped between two rows, or re-used within one transaction"""
    pipeline.both(SMALL + f"ALTER TABLE t REPLICA IDENTITY {identity};")
    pipeline.legacy.execute("INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 100) i")
    pipeline.prepare()
    r = pipeline.start(ready=True)
    pipeline.legacy.psql(MOVES)
    pipeline.wait_equal(r)
    # and as one backlog, where everything is compacted into one batch
    r.stop()
    pipeline.legacy.psql("DELETE FROM t; INSERT INTO t SELECT i, 'w' || i FROM generate_series(1, 100) i;" + MOVES)
    r = pipeline.start(ready=True)
    pipeline.wait_equal(r)
    assert r.tables()["public.t"]["conflicts"] == 0


NOTED = """
CREATE TABLE seen (n serial PRIMARY KEY, op text, id int);
GRANT INSERT ON seen TO PUBLIC; GRANT USAGE ON seen_n_seq TO PUBLIC;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
 INSERT INTO public.seen (op, id) VALUES (left(TG_OP, 1), coalesce(NEW.id, OLD.id)); RETURN NULL; END $$;
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION note();
ALTER TABLE t ENABLE ALWAYS TRIGGER note;
"""


def test_32_key_used_again_in_one_batch(pipeline):
    """32: rows deleted and inserted again under their keys in one batch: updated in place where nothing can tell, with
    unchanged large values after it, secondary unique values that wander, and a row that the target refuses"""
    pipeline.both("CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE, big text, n int);")
    pipeline.on(pipeline.target, NOTED)
    pipeline.on(pipeline.target, "ALTER TABLE t ADD CHECK (n < 1000)")
    pipeline.legacy.execute("ALTER TABLE t ALTER big SET STORAGE EXTERNAL; INSERT INTO t SELECT i, i, 'v', i FROM generate_series(1, 20) i")
    pipeline.config["tables"] = ["public.t"]
    pipeline.prepare(publish="TABLE t")
    r = pipeline.start(ready=True)
    r.stop()
    pipeline.target.execute("TRUNCATE seen")
    pipeline.legacy.psql("""
        BEGIN; DELETE FROM t WHERE id <= 4; INSERT INTO t SELECT i, i, repeat('x', 9000), 0 FROM generate_series(1, 4) i;
        UPDATE t SET n = 5 WHERE id IN (1, 2);
        DELETE FROM t WHERE id = 5; INSERT INTO t VALUES (5, 105, NULL, NULL);
        DELETE FROM t WHERE id = 6; INSERT INTO t VALUES (6, 6, 'short', 6); DELETE FROM t WHERE id = 6; COMMIT;""")
    r = pipeline.start(ready=True)
    pipeline.wait_equal(r, only=["t"])
    seen = pipeline.target.query("SELECT string_agg(op, '' ORDER BY n), id FROM seen GROUP BY id ORDER BY id")
    assert seen == [("U", 1), ("U", 2), ("U", 3), ("U", 4), ("U", 5), ("D", 6)], seen
    r.stop()
    pipeline.legacy.psql("""
        BEGIN; DELETE FROM t WHERE id IN (7, 8); INSERT INTO t VALUES (7, 8, 'seven', 7), (8, 7, 'eight', 8); COMMIT;
        BEGIN; DELETE FROM t WHERE id = 9; INSERT INTO t VALUES (9, 9, repeat('y', 9000), 1000); COMMIT;
        UPDATE t SET u = 109 WHERE id = 9;
        BEGIN; DELETE FROM t WHERE id = 10; INSERT INTO t VALUES (10, 9, 'takes nine''s', 0); COMMIT;""")
    r = pipeline.start(ready=True)
    pipeline.wait_applied(r)
    assert pipeline.target.query("SELECT id, u, big FROM t WHERE id IN (7, 8, 9, 10) ORDER BY id") == [
        (7, 8, "seven"), (8, 7, "eight"), (10, 9, "takes nine's")]
    r.wait(lambda: r.tables()["public.t"]["quarantined"] == 2, 20, "the refused row and its update")
    pipeline.on(pipeline.target, "ALTER TABLE t DROP CONSTRAINT t_n_check")
    first = str(pipeline.target.one("SELECT min(id) FROM crossfade.quarantine WHERE pipeline = %s", (pipeline.name,)))
    code, out, err = pipeline.crossfade("quarantine", "retry", first)
    assert code == 0, out + err
    r.wait(lambda: pipeline.target.one("SELECT count(*) FROM t") == 19, 30, "it is there")
    pipeline.wait_equal(r, only=["t"])


def test_33_truncate(pipeline):
    """33: TRUNCATE, with CASCADE, with RESTART IDENTITY, of several tables: carried over"""
    pipeline.both("""CREATE TABLE t (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, v text);
                     CREATE TABLE child (id int PRIMARY KEY, t int REFERENCES t); CREATE TABLE other (id int PRIMARY KEY);""")
    fill = "INSERT INTO t (v) SELECT 'a' FROM generate_series(1, 50); INSERT INTO child SELECT i, NULL FROM generate_series(1, 50) i; INSERT INTO other SELECT generate_series(1, 50)"
    pipeline.legacy.execute(fill)
    pipeline.prepare()
    r = pipeline.start(ready=True)
    for sql in ("TRUNCATE child", "TRUNCATE t, child", "TRUNCATE t CASCADE", "TRUNCATE t RESTART IDENTITY CASCADE", "TRUNCATE other, t, child"):
        pipeline.legacy.execute("TRUNCATE t, child, other")
        pipeline.legacy.execute(fill)
        pipeline.legacy.execute(sql)
        pipeline.legacy.execute("INSERT INTO other VALUES (1000)")
        pipeline.wait_equal(r)
    pipeline.legacy.psql("BEGIN; INSERT INTO other VALUES (1); TRUNCATE other; INSERT INTO other VALUES (2); TRUNCATE child; COMMIT;")
    pipeline.wait_equal(r)
    assert pipeline.target.query("SELECT id FROM other") == [(2,)]


def test_33_truncate_restarts_identities(pipeline):
    """33: RESTART IDENTITY restarts the target's sequences, a TRUNCATE without it leaves them alone"""
    pipeline.both("CREATE TABLE t (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, v text); CREATE TABLE s (id serial PRIMARY KEY);")
    pipeline.legacy.execute("INSERT INTO t (v) VALUES ('a'); INSERT INTO s DEFAULT VALUES")
    pipeline.prepare()
    r = pipeline.start(ready=True)
    last = "SELECT (SELECT last_value FROM t_id_seq), (SELECT last_value FROM s_id_seq)"
    pipeline.target.execute("SELECT setval('t_id_seq', 500), setval('s_id_seq', 600)")
    pipeline.legacy.execute("TRUNCATE t, s")
    pipeline.wait_equal(r)
    assert pipeline.target.query(last) == [(500, 600)]
    pipeline.legacy.execute("INSERT INTO t (v) VALUES ('b'); TRUNCATE t, s RESTART IDENTITY")
    pipeline.wait_equal(r)
    assert pipeline.target.query(last) == [(1, 1)]


def test_33_truncate_that_the_target_refuses(pipeline):
    """33: a TRUNCATE the target refuses is never ignored: the table stops and shows the statement, the others go on"""
    r = small(pipeline, 10, SMALL + "CREATE TABLE o (id int PRIMARY KEY);")
    pipeline.target.psql("SET ROLE app_owner; CREATE TABLE public.extra (id int REFERENCES public.t); INSERT INTO public.extra VALUES (1);")
    pipeline.legacy.psql("TRUNCATE t; INSERT INTO t VALUES (77, 'x'); INSERT INTO o VALUES (1);")
    r.wait(lambda: r.table_state("public.t") == "stopped", 30, "table t stops")
    assert "TRUNCATE" in r.tables()["public.t"]["reason"]
    r.wait(lambda: pipeline.target.one("SELECT count(*) FROM o") == 1, 20, "table o goes on")
    assert pipeline.target.one("SELECT count(*) FROM t") == 10
    assert r.tables()["public.t"]["parked"] > 0
    pipeline.target.execute("DROP TABLE extra")
    resume(pipeline, "public.t")
    r.wait(lambda: r.table_state("public.t") == "streaming", 30, "table t streams again")
    pipeline.wait_equal(r, only=["t", "o"])


DRIFTS = {
    "added": ("ALTER TABLE t ADD COLUMN extra int DEFAULT 5", "INSERT INTO t (id, v, extra) VALUES (500, 'x', 9)"),
    "dropped": ("ALTER TABLE t DROP COLUMN n", "INSERT INTO t (id, v) VALUES (500, 'x')"),
    "renamed": ("ALTER TABLE t RENAME COLUMN v TO w", "INSERT INTO t (id, w) VALUES (500, 'x')"),
    "retyped": ("ALTER TABLE t ALTER COLUMN n TYPE bigint", "INSERT INTO t (id, v, n) VALUES (500, 'x', 5000000000)"),
}


@pytest.mark.parametrize("kind", DRIFTS)
def test_34_column_changes_while_streaming(pipeline, kind):
    """34: column added, dropped, renamed or re-typed on the source: only that table stops, the ALTER is proposed, it rejoins"""
    alter, write = DRIFTS[kind]
    r = small(pipeline, 20, SMALL + "CREATE TABLE o (id int PRIMARY KEY);")
    pipeline.legacy.execute("INSERT INTO t (id, v) VALUES (400, 'before')")
    pipeline.legacy.execute(alter)
    pipeline.legacy.execute(write)
    pipeline.legacy.execute("INSERT INTO o VALUES (1)")
    pipeline.legacy.execute("UPDATE t SET id = 501 WHERE id = 500")
    r.wait(lambda: pipeline.target.one("SELECT count(*) FROM o") == 1, 30, "the other table streams on")
    r.wait(lambda: r.tables()["public.t"]["parked"] >= 1, 30, "its changes are parked")
    state = r.tables()["public.t"]
    assert state["state"] == "drift", state
    assert state["reason"] and "ALTER TABLE" in state["reason"], state
    pipeline.on(pipeline.target, alter)
    resume(pipeline, "public.t")
    r.wait(lambda: r.table_state("public.t") == "streaming", 30, "the table rejoins")
    pipeline.legacy.execute("DELETE FROM t WHERE id = 3")
    pipeline.wait_equal(r)
    assert r.tables()["public.t"]["parked"] == 0


def test_41_slot_confirmed_ahead_of_the_sink(pipeline, target_server):
    """41: the target lost its last seconds (restored from a backup): exit 4 instead of a silent hole"""
    r = small(pipeline)
    pipeline.legacy.execute("INSERT INTO t VALUES (900, 'in the backup')")
    pipeline.wait_equal(r)
    r.stop()
    name = pipeline.target.name
    target_server.execute(f"CREATE DATABASE {name}_backup TEMPLATE {name}")
    r = pipeline.start(ready=True)
    pipeline.legacy.execute("INSERT INTO t VALUES (901, 'after it')")
    pipeline.wait_equal(r)
    want = lsn_number(pipeline.legacy.lsn())
    pipeline.legacy.execute("SELECT pg_logical_emit_message(true, 'a', 'b')")
    r.wait(lambda: lsn_number(pipeline.confirmed()) >= want, 25, "confirmed")
    r.stop()
    target_server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    target_server.execute(f"ALTER DATABASE {name}_backup RENAME TO {name}")
    r = pipeline.start()
    assert r.wait_exit(30) == 4, r.tail()
    assert pipeline.target.one("SELECT count(*) FROM t WHERE id = 901") == 0
    assert "recopy" in r.log, r.tail()


def test_41_confirmed_never_passes_the_progress_row(pipeline):
    """41: confirmed <= durable progress, at every moment"""
    pipeline.both(SCHEMA)
    pipeline.on(pipeline.legacy, FILL.format(n=500))
    pipeline.prepare()
    r = pipeline.start(ready=True)
    with Load(pipeline.legacy, rows=500) as load:
        end = time.monotonic() + 6
        while time.monotonic() < end:
            confirmed = pipeline.confirmed()  # first this one, then the row
            rows = pipeline.positions()
            assert all(lsn_number(p) >= lsn_number(confirmed) for p in rows.values()), (confirmed, rows)
        load.stop()
    pipeline.wait_equal(r)


def test_43_session_settings_of_the_databases(pipeline):
    """43: text follows the source database's DateStyle and extra_float_digits: pinned in every session"""
    for d in (pipeline.legacy, pipeline.target):
        for setting in ("datestyle = 'German, DMY'", "extra_float_digits = -10", "intervalstyle = 'sql_standard'",
                        "bytea_output = 'escape'", "timezone = 'Asia/Kathmandu'", "lc_monetary = 'C'",
                        "standard_conforming_strings = off", "xmloption = 'document'"):
            d.execute(f"ALTER DATABASE {d.name} SET {setting}")
    pipeline.target.execute(f"ALTER DATABASE {pipeline.target.name} SET datestyle = 'ISO, MDY'")
    pipeline.both("""CREATE DOMAIN odd AS float8; CREATE TYPE pair AS (d date, f float8);
        CREATE TABLE t (id int PRIMARY KEY, d date, f float8, i interval, b bytea, ts timestamptz, p pair, a date[], o odd, r daterange, fs float4[]);""")
    row = "(%s, '2024-03-04', 0.1::float8 + 0.2, '-1 day 02:03:04.5', '\\\\x00ff5c', '2024-01-01 12:00Z', '(2024-05-06,0.30000000000000004)', '{2024-07-08}', 1.0/3, '[2024-01-02,2024-02-03)', '{0.1,1e-30}')"
    for i in (1, 2):
        pipeline.legacy.execute("SET standard_conforming_strings = off; SET datestyle = 'ISO'; INSERT INTO t VALUES " + row % i)
    pipeline.prepare()
    r = pipeline.start(ready=True)
    pipeline.legacy.execute("SET standard_conforming_strings = off; SET datestyle = 'ISO'; INSERT INTO t VALUES " + row % 3)
    pipeline.legacy.execute("UPDATE t SET f = 1.0000000000000002, i = '1 year' WHERE id = 1")
    pipeline.wait_equal(r)


def test_45_progress_row_stays_hot(pipeline):
    """45: progress row bloats: its updates are HOT, its table stays small"""
    r = small(pipeline, 1)
    c = pipeline.legacy.connect()
    with c.cursor() as cur:
        for i in range(1500):
            cur.execute("UPDATE t SET n = %s WHERE id = 1", (i,))
            if i % 10 == 0:
                time.sleep(0.01)  # not so much load that hundreds share one commit
    c.close()
    pipeline.wait_equal(r)
    r.stop()
    wait_for(lambda: pipeline.target.one("SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'progress'") > 10, 15)
    updates, hot, size = pipeline.target.query("SELECT n_tup_upd, n_tup_hot_upd, pg_relation_size(relid) FROM pg_stat_user_tables WHERE relname = 'progress'")[0]
    assert hot >= 0.9 * updates, (updates, hot)
    assert size <= 1024 * 1024, size
