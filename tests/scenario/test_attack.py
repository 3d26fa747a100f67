# SPDX-License-Identifier: PostgreSQL
"""Attacks on the correctness core: situations that are legal, rare and were once got wrong. Each test's docstring tells
the story."""
import os
import signal
import threading
import time

import pytest

from lib.process import wait_for


def start(pipeline, ddl, rows="", **kw):
    pipeline.both(ddl)
    if rows:
        pipeline.legacy.psql(rows)
    pipeline.prepare(**kw)
    return pipeline.start(ready=True)


def resume(pipeline, table):
    code, out, err = pipeline.crossfade("resume", "--table", table)
    assert code == 0, out + err


def recopy(pipeline, table):
    code, out, err = pipeline.crossfade("recopy", "--table", table)
    assert code == 0, out + err


def wait_state(r, table, state, deadline=40):
    r.wait(lambda: r.table_state(table) == state, deadline, f"{table} is {state}")


def test_values_of_a_new_column_that_came_while_parked(pipeline):
    """A column is added on the source and set in rows that were there before: those UPDATEs wait while the table has
    drifted, and what they said of the new column must not be forgotten when the table rejoins"""
    r = start(pipeline, "CREATE TABLE t (id int PRIMARY KEY, v text);", "INSERT INTO t SELECT i, 'v' FROM generate_series(1, 20) i")
    pipeline.legacy.psql("ALTER TABLE t ADD COLUMN extra int; UPDATE t SET extra = id WHERE id <= 5; INSERT INTO t VALUES (100, 'n', 7);")
    wait_state(r, "public.t", "drift")
    r.wait(lambda: r.tables()["public.t"]["parked"] == 6, 20, "six changes are parked")
    pipeline.on(pipeline.target, "ALTER TABLE t ADD COLUMN extra int")
    resume(pipeline, "public.t")
    wait_state(r, "public.t", "streaming")
    pipeline.wait_equal(r)


def test_table_left_out_of_the_config_for_a_while(pipeline):
    """A table is taken out of the config, the stream goes on without it, then it is put back: what it missed is neither
    parked nor applied, so it must not claim to be streaming with a hole in it"""
    pipeline.config["tables"] = ["public.a", "public.b"]
    r = start(pipeline, "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY);",
              "INSERT INTO a SELECT generate_series(1, 10); INSERT INTO b SELECT generate_series(1, 10);")
    r.stop()
    pipeline.config["tables"] = ["public.a"]
    r = pipeline.start(ready=True)
    pipeline.legacy.psql("INSERT INTO a VALUES (11); INSERT INTO b VALUES (11);")
    pipeline.wait_equal(r, only=["a"])
    r.stop()
    pipeline.config["tables"] = ["public.a", "public.b"]
    r = pipeline.start(ready=True)
    pipeline.legacy.psql("INSERT INTO a VALUES (12); INSERT INTO b VALUES (12);")
    pipeline.wait_equal(r, only=["a"])
    state = r.tables()["public.b"]
    assert state["state"] == "stopped" and "recopy" in state["reason"], state
    recopy(pipeline, "public.b")
    wait_state(r, "public.b", "streaming")
    pipeline.wait_equal(r)


def test_table_left_the_publication_for_a_while(pipeline):
    """Somebody takes a table out of the publication, rows are written, the replicator starts anew and could put it back
    by itself: the rows written in between never come, so that must not happen silently"""
    pipeline.both("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY);")
    pipeline.prepare(publish="TABLE a, b")
    pipeline.legacy.execute("GRANT app_owner TO crossfade_source; GRANT CREATE ON DATABASE " + pipeline.legacy.name + " TO crossfade_source")
    pipeline.legacy.execute(f"ALTER PUBLICATION crossfade_{pipeline.name} OWNER TO crossfade_source")
    r = pipeline.start(ready=True)
    r.stop()
    pipeline.legacy.psql(f"ALTER PUBLICATION crossfade_{pipeline.name} DROP TABLE b; INSERT INTO a VALUES (1); INSERT INTO b VALUES (1);")
    r = pipeline.start(ready=True)
    pipeline.legacy.psql("INSERT INTO a VALUES (2); INSERT INTO b VALUES (2);")
    pipeline.wait_equal(r, only=["a"])
    state = r.tables()["public.b"]
    assert state["state"] == "stopped" and "recopy" in state["reason"], state
    recopy(pipeline, "public.b")
    wait_state(r, "public.b", "streaming")
    pipeline.wait_equal(r)


def test_killed_while_older_writers_are_waited_out(pipeline):
    """A table joins the publication while a writer is open; the replicator waits for it, is killed and starts again: the
    publication has not changed this time, and still the writer has to be waited for"""
    pipeline.both("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY);")
    pipeline.prepare(publish="TABLE a")
    pipeline.legacy.execute("GRANT app_owner TO crossfade_source; GRANT CREATE ON DATABASE " + pipeline.legacy.name + " TO crossfade_source")
    pipeline.legacy.execute(f"ALTER PUBLICATION crossfade_{pipeline.name} OWNER TO crossfade_source")
    pipeline.config["tables"] = ["public.a"]
    r = pipeline.start(ready=True)
    r.stop()
    writer = pipeline.legacy.connect()
    writer.autocommit = False
    writer.cursor().execute("INSERT INTO b SELECT generate_series(1, 10)")
    pipeline.config["tables"] = ["public.a", "public.b"]
    r = pipeline.start()
    r.wait_log("waiting for transactions", 20)
    r.kill9()
    r = pipeline.start()
    r.wait_log("waiting for transactions", 20)
    assert r.stop()[1] < 5
    r = pipeline.start()
    time.sleep(2)
    writer.commit()
    writer.close()
    r.wait_ready()
    pipeline.wait_equal(r)


def test_paused_before_its_copy_then_resumed(pipeline):
    """A table is paused before it was ever copied; resumed while the others stream, it is copied then"""
    pipeline.both("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY);")
    pipeline.legacy.psql("INSERT INTO a SELECT generate_series(1, 10); INSERT INTO b SELECT generate_series(1, 10);")
    pipeline.prepare()
    code, out, err = pipeline.crossfade("pause", "--table", "public.b")
    assert code == 0, out + err
    r = pipeline.start(ready=True)
    pipeline.legacy.psql("INSERT INTO a VALUES (11); INSERT INTO b VALUES (11);")
    pipeline.wait_equal(r, only=["a"])
    assert pipeline.target.one("SELECT count(*) FROM b") == 0
    resume(pipeline, "public.b")
    wait_state(r, "public.b", "streaming")
    pipeline.wait_equal(r)


def test_truncate_of_two_tables_at_the_border_of_a_batch(pipeline):
    """TRUNCATE parent, child is one statement or refused: it must not be cut in two where a batch is full"""
    pipeline.config["stream"] = {"batch_changes": 100}
    r = start(pipeline, "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p);")
    for n in range(97, 103):
        pipeline.legacy.psql(f"BEGIN; INSERT INTO p SELECT generate_series(1, {n}); TRUNCATE p, c; INSERT INTO p VALUES ({n}); COMMIT; DELETE FROM p;")
    pipeline.legacy.psql("INSERT INTO p VALUES (1)")
    pipeline.wait_equal(r)
    assert all(t["state"] == "streaming" for t in r.tables().values()), r.tables()


def test_stopped_while_the_target_is_locked(pipeline):
    """Somebody holds a lock on a table of the target, the lane waits for it: SIGTERM ends the service within 5 s, and
    nothing is lost"""
    r = start(pipeline, "CREATE TABLE t (id int PRIMARY KEY, v text);")
    c = pipeline.target.connect()
    c.autocommit = False
    c.cursor().execute("LOCK TABLE t IN EXCLUSIVE MODE")
    pipeline.legacy.psql("INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1, 200000) i; INSERT INTO t VALUES (0, 'later');")
    wait_for(lambda: pipeline.target.one("SELECT count(*) FROM pg_locks WHERE NOT granted"), 20, "the lane waits")
    code, seconds = r.stop()
    assert code == 0 and seconds < 5
    c.rollback()
    c.close()
    r = pipeline.start(ready=True)
    pipeline.wait_equal(r)


def test_killed_between_the_copy_and_its_keys(pipeline):
    """Killed when every row is copied and no key's index is back yet: the next start makes them before it catches up"""
    r = start(pipeline, "CREATE TABLE t (id int PRIMARY KEY, v text UNIQUE);", "INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 1000) i")
    r.stop()
    pipeline.target.psql(f"""
        UPDATE crossfade.state SET value = '{{"state": "catchup"}}' WHERE object = 'table:public.t' AND key = 'state';
        INSERT INTO crossfade.saved_ddl (pipeline, table_name, kind, name, ddl, drop_ddl, position) VALUES
          ('{pipeline.name}', 'public.t', 'index', 't_pkey', 'CREATE UNIQUE INDEX t_pkey ON public.t USING btree (id)', '', 0),
          ('{pipeline.name}', 'public.t', 'constraint', 't_pkey', 'ALTER TABLE public.t ADD CONSTRAINT t_pkey PRIMARY KEY USING INDEX t_pkey', '', 0);
        ALTER TABLE t DROP CONSTRAINT t_pkey;""")
    pipeline.legacy.psql("UPDATE t SET v = 'w' || id; INSERT INTO t VALUES (2000, 'n'); DELETE FROM t WHERE id < 10; UPDATE t SET id = -id WHERE id < 20;")
    r = pipeline.start(ready=True)
    wait_state(r, "public.t", "streaming")
    pipeline.wait_equal(r)
    assert pipeline.target.one("SELECT count(*) FROM pg_index WHERE indrelid = 't'::regclass AND indisprimary") == 1


def test_recopy_of_a_table_that_still_does_not_fit(pipeline):
    """A drifted table is to be copied anew though the target still lacks the column: nothing is emptied for nothing, and
    once the column is there it is copied"""
    r = start(pipeline, "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE o (id int PRIMARY KEY);", "INSERT INTO t SELECT i, 'v' FROM generate_series(1, 20) i")
    pipeline.legacy.psql("ALTER TABLE t ADD COLUMN extra int; UPDATE t SET extra = id WHERE id <= 5; INSERT INTO t VALUES (100, 'n', 7);")
    wait_state(r, "public.t", "drift")
    recopy(pipeline, "public.t")
    pipeline.legacy.execute("INSERT INTO o VALUES (1)")
    time.sleep(3)
    r.wait(lambda: pipeline.target.one("SELECT count(*) FROM o") == 1, 30, "the other table goes on")
    assert r.table_state("public.t") in ("drift", "stopped"), r.tables()["public.t"]
    pipeline.on(pipeline.target, "ALTER TABLE t ADD COLUMN extra int")
    recopy(pipeline, "public.t")
    wait_state(r, "public.t", "streaming")
    pipeline.wait_equal(r)


def test_rows_read_again_stay_within_the_memory_limit(pipeline):
    """A thousand rows of a megabyte each are on the re-read list: they are not all held at once"""
    pipeline.config["memory_limit"] = "32MB"
    pipeline.both("CREATE TABLE t (id int PRIMARY KEY, n int, v text); ALTER TABLE t ALTER v SET STORAGE EXTERNAL;")
    pipeline.prepare()
    r = pipeline.start(ready=True)
    pipeline.legacy.execute("INSERT INTO t SELECT i, 0, repeat('x', 1000000) FROM generate_series(1, 200) i")
    pipeline.wait_applied(r)
    r.stop()
    pipeline.target.execute("DELETE FROM t")
    pipeline.target.execute("UPDATE crossfade.state SET value = '{\"state\": \"catchup\"}' WHERE object = 'table:public.t' AND key = 'state'")
    pipeline.legacy.execute("UPDATE t SET n = 1")
    r = pipeline.start(ready=True)
    wait_state(r, "public.t", "streaming")
    pipeline.wait_equal(r)
    with open(f"/proc/{r.process.pid}/status") as f:
        peak = next(int(line.split()[1]) for line in f if line.startswith("VmHWM")) // 1024
    if "SANITIZED" not in os.environ.get("CROSSFADE_TEST", ""):
        assert peak < 100, f"{peak} MB"


def test_keyless_table_forgets_its_snapshot(pipeline):
    """The snapshot of a keyless table's copy says which transactions the stream leaves out; once the stream has passed
    them it has to go, or months later, when transaction ids have wrapped around, a pause and resume would lose rows"""
    r = start(pipeline, "CREATE TABLE t (a int, b text); ALTER TABLE t REPLICA IDENTITY FULL;", "INSERT INTO t SELECT i % 5, 'x' FROM generate_series(1, 100) i")
    assert pipeline.target.query("SELECT DISTINCT snapshot FROM crossfade.chunk") == [(None,)]
    assert pipeline.crossfade("pause", "--table", "public.t")[0] == 0
    wait_state(r, "public.t", "paused")
    pipeline.legacy.psql("INSERT INTO t SELECT i % 5, 'y' FROM generate_series(1, 20) i; DELETE FROM t WHERE a = 1;")
    r.wait(lambda: r.tables()["public.t"]["parked"] > 0, 20, "changes are parked")
    resume(pipeline, "public.t")
    wait_state(r, "public.t", "streaming")
    pipeline.wait_equal(r)


def test_row_read_again_that_the_target_refuses(pipeline):
    """A row was refused and its quarantined INSERT skipped; the application changes it without its large value, so it has to
    be read again, and the target refuses it once more: that table stops, the others go on"""
    pipeline.both("CREATE TABLE t (id int PRIMARY KEY, n int, v text); ALTER TABLE t ALTER v SET STORAGE EXTERNAL; CREATE TABLE o (id int PRIMARY KEY);")
    pipeline.on(pipeline.target, "ALTER TABLE t ADD CONSTRAINT small CHECK (n < 100)")
    pipeline.prepare()
    r = pipeline.start(ready=True)
    pipeline.legacy.execute("INSERT INTO t SELECT i, CASE WHEN i = 3 THEN 200 ELSE i END, repeat('x', 10000) FROM generate_series(1, 5) i")
    r.wait(lambda: r.tables()["public.t"]["quarantined"] == 1, 20, "the row is in quarantine")
    number = pipeline.target.one("SELECT id FROM crossfade.quarantine")
    assert pipeline.crossfade("quarantine", "skip", str(number))[0] == 0
    r.wait(lambda: pipeline.target.one("SELECT count(*) FROM crossfade.quarantine") == 0, 20, "skipped")
    pipeline.legacy.execute("UPDATE t SET n = n + 1 WHERE id = 3")
    wait_state(r, "public.t", "stopped")
    assert "small" in r.tables()["public.t"]["reason"], r.tables()["public.t"]
    pipeline.legacy.execute("INSERT INTO o VALUES (1)")
    pipeline.wait_equal(r, only=["o"])
    pipeline.on(pipeline.target, "ALTER TABLE t DROP CONSTRAINT small")
    pipeline.legacy.execute("UPDATE t SET n = 7 WHERE id = 4; DELETE FROM t WHERE id = 5")
    resume(pipeline, "public.t")
    wait_state(r, "public.t", "streaming")
    pipeline.wait_equal(r)


@pytest.mark.parametrize("side", ["legacy", "target"])
def test_stopped_while_a_server_is_frozen(pipeline, legacy_server, target_server, side):
    """A server's machine is frozen: even a cancel request is never answered; SIGTERM ends the service within 5 s"""
    server = legacy_server if side == "legacy" else target_server
    r = start(pipeline, "CREATE TABLE t (id int PRIMARY KEY);")
    server.process.send_signal(signal.SIGSTOP)
    try:
        code, seconds = r.stop()
        assert code == 0 and seconds < 5
    finally:
        server.process.send_signal(signal.SIGCONT)


LEAVES = """CREATE TABLE m (id int, k int, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
CREATE TABLE m1 PARTITION OF m FOR VALUES IN (1); CREATE TABLE m2 PARTITION OF m FOR VALUES IN (2);"""


def test_partitions_that_share_a_table_of_the_target(make_pipeline, make_server, pgbin):
    """Before 13 partitions are carried one by one into one table: neither TRUNCATE nor recopy of one may empty the others'
    rows"""
    legacy, target = make_server("l", pgbin), make_server("t", pgbin)
    if legacy.version >= 130000 or legacy.version < 110000:
        pytest.skip("not such a version")
    pipeline = make_pipeline(legacy, target)
    pipeline.on(pipeline.legacy, LEAVES)
    pipeline.on(pipeline.target, "CREATE TABLE m (id int, k int, PRIMARY KEY (id, k))")
    pipeline.legacy.execute("INSERT INTO m SELECT i, 1 + i % 2 FROM generate_series(1, 100) i")
    pipeline.config["tables"] = [{"from": "public.m", "to": "public.m"}]
    pipeline.prepare()
    r = pipeline.start(ready=True)
    pipeline.legacy.psql("TRUNCATE m; INSERT INTO m SELECT i, 1 + i % 2 FROM generate_series(1, 50) i")
    pipeline.wait_equal(r, only=["m"])
    pipeline.legacy.psql("TRUNCATE m1; INSERT INTO m VALUES (7, 1), (700, 2)")
    wait_state(r, "public.m1", "stopped")
    r.wait(lambda: pipeline.target.one("SELECT count(*) FROM m WHERE k = 2") == 26, 20, "the other partition is whole")
    recopy(pipeline, "public.m1")
    wait_state(r, "public.m1", "streaming")
    wait_state(r, "public.m2", "streaming")
    pipeline.wait_equal(r, only=["m"])


HOLD_WISH = """
CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN OLD; END $$;
CREATE TRIGGER hold BEFORE DELETE ON crossfade.wish FOR EACH ROW EXECUTE FUNCTION public.hold();
ALTER TABLE crossfade.wish ENABLE ALWAYS TRIGGER hold;
"""


def test_recopy_forgets_at_once_what_waited(pipeline):
    """recopy empties the table and forgets what was parked and quarantined in one transaction: killed right after it, the
    next start brings nothing old back"""
    pipeline.config["park_limit"] = "1MB"
    r = start(pipeline, "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE o (id int PRIMARY KEY);")
    assert pipeline.crossfade("pause", "--table", "public.t")[0] == 0
    wait_state(r, "public.t", "paused")
    pipeline.legacy.execute("INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 3000) i")
    r.wait(lambda: pipeline.target.one("SELECT count(*) FROM crossfade.parked WHERE change = ''") == 1, 20, "park_limit is passed")
    r.stop()
    pipeline.target.execute(HOLD_WISH)
    recopy(pipeline, "public.t")
    resume(pipeline, "public.t")
    r = pipeline.start()
    wait_for(lambda: pipeline.target.one("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"), 20, "it is at the wish")
    r.kill9()
    pipeline.target.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
    pipeline.target.execute("DROP TRIGGER hold ON crossfade.wish; DELETE FROM crossfade.wish WHERE key = 'recopy'")
    r = pipeline.start(ready=True)
    wait_state(r, "public.t", "streaming")
    pipeline.wait_equal(r)


def test_row_read_again_before_its_commit_shows(pipeline):
    """A commit that waits for a synchronous standby is in the WAL, streamed and applied here, and not yet to be seen on the
    source: a row that is read again at that moment must not come back older than what was applied"""
    r = start(pipeline, "CREATE TABLE t (id int PRIMARY KEY, v text, big text); ALTER TABLE t ALTER big SET STORAGE EXTERNAL;",
              "INSERT INTO t SELECT i, 'old', repeat(md5(i::text), 200) FROM generate_series(1, 10) i")
    pipeline.on(pipeline.target, "DELETE FROM t WHERE id = 5")
    writer = threading.Thread(target=lambda: pipeline.legacy.psql("UPDATE t SET v = 'new' WHERE id = 5"))
    pipeline.legacy.psql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    try:
        pipeline.legacy.psql("SELECT pg_reload_conf()")
        wait_for(lambda: pipeline.legacy.one("SHOW synchronous_standby_names") == "nobody", 10)
        writer.start()
        r.wait(lambda: r.tables()["public.t"]["conflicts"] == 1, 30, "the update finds no row to change")
        time.sleep(1.5)
        assert pipeline.target.one("SELECT count(*) FROM t WHERE v = 'old' AND id = 5") == 0
    finally:
        pipeline.legacy.psql("ALTER SYSTEM RESET synchronous_standby_names")
        pipeline.legacy.psql("SELECT pg_reload_conf()")
    writer.join(30)
    r.wait(lambda: pipeline.target.one("SELECT count(*) FROM t") == 10, 30, "the row is there again")
    pipeline.wait_equal(r)


def test_until_caught_up_of_a_paused_pipeline(pipeline):
    """--until-caught-up must not wait for ever for what is paused, nor call it caught up"""
    r = start(pipeline, "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY);", "INSERT INTO t VALUES (1)")
    r.stop()
    for what in ((), ("--table", "public.t")):
        code, out, err = pipeline.crossfade("pause", *what)
        assert code == 0, out + err
        pipeline.move(expect=1)
        code, out, err = pipeline.crossfade("resume", *what)
        assert code == 0, out + err
    pipeline.move()
    pipeline.assert_equal()
