# SPDX-License-Identifier: PostgreSQL
"""The operator's command line against real servers: what it says is what is there, what it wishes is done."""
import json

import pytest

from lib import load

SCHEMA = """CREATE TABLE a (id int PRIMARY KEY, v text);
            CREATE TABLE b (id int PRIMARY KEY, v text);"""
ROWS = """INSERT INTO a SELECT i, 'a' || i FROM generate_series(1, 500) i;
          INSERT INTO b SELECT i, 'b' || i FROM generate_series(1, 500) i;"""


@pytest.fixture
def prepared(pipeline):
    pipeline.both(SCHEMA)
    pipeline.on(pipeline.legacy, ROWS)
    return pipeline.prepare()


def control(pipeline, *args, code=0, **kw):
    got, out, err = pipeline.crossfade(*args, **kw)
    assert got == code, f"crossfade {' '.join(args)}: {got}, not {code}\n{out}{err}"
    return out + err


def status(pipeline):
    return json.loads(control(pipeline, "status", "--json"))


def states(pipeline):
    return {t["from"]: t["state"] for g in status(pipeline)["groups"] for t in g["tables"]}


@pytest.mark.parametrize("args, named", [
    ((), "which command"), (("nonsense",), "nonsense"), (("cutover", "--all"), "not available"),
    (("rollback",), "not available"), (("why", "t", "1"), "not available"), (("status",), "-c FILE"),
    (("pause", "--json"), "--json"), (("status", "extra", "-c", "x"), "too many"), (("quarantine", "-c", "x"), "too few"),
    (("status", "-c", "/nonexistent/x.json"), "/nonexistent/x.json")])
def test_usage_errors_end_with_2_and_name_themselves(args, named):
    """A wrong command line ends with 2 and tells what is wrong with it"""
    from lib.replicator import crossfade
    code, out, err = crossfade(*args)
    assert code == 2
    assert named in err and out == ""


def test_install_twice_and_by_an_administrator(pipeline):
    """install may be run again, and what --print shows serves an administrator"""
    pipeline.both(SCHEMA)
    pipeline.roles()
    assert "is now" in control(pipeline, "install")
    assert "was already" in control(pipeline, "install")
    pipeline.target.execute("DROP SCHEMA crossfade CASCADE")
    script = control(pipeline, "install", "--print")
    for _ in range(2):
        pipeline.target.psql(script)
    assert "was already" in control(pipeline, "install")
    control(pipeline, "pause")
    pipeline.target.execute("INSERT INTO crossfade.version VALUES (99)")
    assert "99" in control(pipeline, "install", code=4)
    assert "99" in control(pipeline, "status", code=4)


def test_a_server_that_is_away_is_3(pipeline):
    """Commands end with 3 when the target can't be reached; status of the source is only missing"""
    pipeline.both(SCHEMA)
    pipeline.prepare()
    pipeline.config["legacy"]["conninfo"] = "host=/nonexistent dbname=x user=y"
    assert status(pipeline)["streams"][0]["lag_bytes"] is None
    assert "/nonexistent" in control(pipeline, "offsets", code=3)
    pipeline.config["target"]["conninfo"] = "host=/nonexistent dbname=x user=y"
    for command in ("status", "offsets", "pause", "install"):
        assert "/nonexistent" in control(pipeline, command, code=3)


def test_status_with_and_without_a_replicator(prepared):
    """status says the same over HTTP as from what is stored, as far as that knows"""
    p = prepared
    assert status(p)["role"] is None
    r = p.start(ready=True)
    live = status(p)
    assert live["role"] == "active" and live["groups"][0]["tables"][0]["rate_rows_s"] is not None
    assert "active" in control(p, "status")
    p.wait_equal(r)
    r.stop()
    stored = status(p)
    assert stored["role"] is None and stored["epoch"] == live["epoch"]
    assert set(live) >= set(stored), "keys that only the stored status has"
    for key in ("from", "to", "state", "rows_copied", "quarantined", "parked"):
        assert [t[key] for t in stored["groups"][0]["tables"]] == [t[key] for t in live["groups"][0]["tables"]], key
    assert [g["name"] for g in stored["groups"]] == [g["name"] for g in live["groups"]]
    assert "not running" in control(p, "status")


def test_a_paused_table_waits_and_the_others_stream(prepared):
    """pause --table parks one table's changes; resume applies them in order"""
    p = prepared
    r = p.start(ready=True)
    assert "public.a" in control(p, "pause", "--table", "a")
    r.wait(lambda: r.table_state("public.a") == "paused", 20, "a is paused")
    p.legacy.execute("UPDATE a SET v = 'x' WHERE id <= 10")
    p.legacy.execute("UPDATE a SET v = v || 'y' WHERE id <= 5; DELETE FROM a WHERE id = 1; UPDATE b SET v = 'z'")
    p.wait_applied(r)
    assert p.target.one("SELECT count(*) FROM b WHERE v = 'z'") == 500
    assert p.target.one("SELECT count(*) FROM a WHERE v LIKE 'x%'") == 0
    assert p.target.one("SELECT count(*) FROM crossfade.parked") == 16
    assert "still paused: table:public.a" in control(p, "resume")
    control(p, "resume", "--table", "public.a")
    r.wait(lambda: r.table_state("public.a") == "streaming", 30, "a streams again")
    p.wait_equal(r)
    assert p.target.one("SELECT count(*) FROM crossfade.parked") == 0


def test_a_group_and_everything_can_be_paused(prepared):
    """pause --group holds its tables only; pause without an option stops reading"""
    p = prepared
    p.config["groups"] = {"one": {"tables": ["a"]}, "two": {"tables": ["b"]}}
    r = p.start(ready=True)
    assert "no group" in control(p, "pause", "--group", "three", code=2)
    control(p, "pause", "--group", "one")
    r.wait(lambda: r.table_state("public.a") == "paused", 20, "a is paused")
    assert r.table_state("public.b") == "streaming"
    control(p, "resume", "--group", "one")
    r.wait(lambda: r.table_state("public.a") == "streaming", 30, "a streams")
    control(p, "pause")
    r.wait(lambda: status(p).get("paused"), 20, "all is paused")
    p.legacy.execute("UPDATE b SET v = 'later'")
    before = p.positions()
    control(p, "resume")
    p.wait_equal(r)
    assert p.positions() != before


def test_recopy_copies_one_table_again(prepared):
    """recopy brings back what somebody has spoilt in the target, while others stream"""
    p = prepared
    r = p.start(ready=True)
    p.wait_equal(r)
    p.target.execute("UPDATE a SET v = 'spoilt' WHERE id < 100; DELETE FROM a WHERE id > 400")
    assert "which table" in control(p, "recopy", code=2)
    control(p, "recopy", "--table", "a")
    r.wait(lambda: r.log.count("public.a: copied") == 2, 60, "a is copied again")
    r.wait(lambda: r.table_state("public.a") == "streaming", 60, "a streams again")
    p.wait_equal(r)
    assert p.target.query("SELECT * FROM crossfade.wish WHERE key = 'recopy'") == []


@pytest.mark.parametrize("cut", [False, True])
def test_recopy_under_load(pipeline, cut):
    """recopy of keyed and keyless tables while the application writes, and with kill -9 in its middle: equal, others stream on"""
    p = pipeline
    p.both(load.SCHEMA)
    p.on(p.legacy, load.FILL.format(n=4000))
    p.prepare()
    r = p.start(ready=True)
    again = ["student", "hot", "full_identity", "moving", "keyed_by_text"]
    with load.Load(p.legacy, rows=4000, writers=2, pause=0.002) as writers:
        r.wait(lambda: writers.transactions > 50, 30)
        for t in again:
            p.target.execute(f"SET session_replication_role = replica; DELETE FROM {t} WHERE ctid IN (SELECT ctid FROM {t} ORDER BY random() LIMIT 5)")
            control(p, "recopy", "--table", t)
        if cut:
            r.wait(lambda: any(r.table_state(f"public.{t}") == "backfill" for t in again), 30, "the copy begins")
            r.kill9()
            r.start()
        seen = writers.transactions
        r.wait(lambda: p.target.query("SELECT * FROM crossfade.wish WHERE key = 'recopy'") == [], 60, "it was taken up")
        r.wait(lambda: all(t["state"] == "streaming" for t in r.tables().values()) and len(r.tables()) == 10, 90, "all stream")
        r.wait(lambda: writers.transactions > seen + 50, 30)
        writers.stop()
    p.wait_equal(r)
    assert all(t["quarantined"] == 0 and t["parked"] == 0 for t in r.tables().values())


def test_recopy_that_the_target_refuses(prepared):
    """recopy of a table that can't be emptied without touching others: refused with the reason, and it streams on"""
    p = prepared
    p.on(p.target, "CREATE TABLE child (id int PRIMARY KEY, a int REFERENCES a ON DELETE CASCADE)")
    p.target.execute("REVOKE SET ON PARAMETER session_replication_role FROM crossfade_target")
    try:
        r = p.start(ready=True)
        p.target.execute("INSERT INTO child VALUES (1, 1)")
        control(p, "recopy", "--table", "a")
        r.wait(lambda: "foreign key" in r.tables()["public.a"]["reason"], 30, "it says why")
        assert p.target.query("SELECT * FROM crossfade.wish WHERE key = 'recopy'") == []
        r.wait_ready()
        p.legacy.execute("UPDATE a SET v = 'on' WHERE id = 2; UPDATE b SET v = 'on' WHERE id = 2")
        p.wait_equal(r)
        assert r.table_state("public.a") == "streaming" and p.target.one("SELECT count(*) FROM child") == 1
    finally:
        p.target.execute("GRANT SET ON PARAMETER session_replication_role TO crossfade_target")


def test_quarantine_shows_retries_and_skips(prepared):
    """A refused row is listed with its reason, shown with its values, applied by retry and forgotten by skip"""
    p = prepared
    r = p.start(ready=True)
    p.wait_equal(r)
    p.target.execute("ALTER TABLE a ADD CONSTRAINT short CHECK (length(v) < 20)")
    p.legacy.execute("UPDATE a SET v = repeat('long ', 10) WHERE id IN (7, 8)")
    r.wait(lambda: p.target.one("SELECT count(*) FROM crossfade.quarantine") == 2, 30, "two rows in quarantine")
    rows = json.loads(control(p, "quarantine", "list", "--json"))
    assert [x["sqlstate"] for x in rows] == ["23514", "23514"] and all("short" in x["message"] for x in rows)
    shown = json.loads(control(p, "quarantine", "show", rows[0]["id"], "--json"))
    assert shown["new"]["v"] == "long " * 10 and shown["new"]["id"] in ("7", "8")
    assert "long long" in control(p, "quarantine", "show", rows[0]["id"])
    control(p, "quarantine", "retry", "999999", code=1)
    control(p, "quarantine", "retry", "x", code=2)
    p.target.execute("ALTER TABLE a DROP CONSTRAINT short")
    control(p, "quarantine", "retry", rows[0]["id"])
    control(p, "quarantine", "skip", rows[1]["id"])
    r.wait(lambda: p.target.one("SELECT count(*) FROM crossfade.quarantine") == 0, 30, "quarantine is empty")
    good, bad = shown["new"]["id"], {"7": "8", "8": "7"}[shown["new"]["id"]]
    assert p.target.one(f"SELECT v FROM a WHERE id = {good}") == "long " * 10
    assert p.target.one(f"SELECT v FROM a WHERE id = {bad}") == f"a{bad}"
    assert "nothing" in control(p, "quarantine", "list")


@pytest.mark.parametrize("cut", [False, True])
def test_quarantine_under_load(pipeline, cut):
    """Constraints of the target refuse rows while the application writes: with them gone, retry brings everything, also
    when the replicator is killed in between; without them gone, what it did not refuse goes on"""
    p = pipeline
    p.config["quarantine_limit"] = 100000
    p.both(load.SCHEMA)
    p.on(p.legacy, load.FILL.format(n=1000))
    p.prepare()
    checks = {"hot": "n % 20 <> 7", "student": "gpa < 3.5", "keyed_by_text": "v % 10 <> 3", "moving": "id <> trunc(id) + 0.5 AND v <> 'v3.'"}
    r = p.start(ready=True)
    for t, c in checks.items():
        p.target.execute(f"ALTER TABLE {t} ADD CONSTRAINT strict CHECK ({c}) NOT VALID")

    def ids():
        return [x["id"] for x in json.loads(control(p, "quarantine", "list", "--json"))]

    def retry():
        # what an earlier retry brings in is no longer there to be named
        r.wait(lambda: p.target.query("SELECT * FROM crossfade.wish WHERE object = 'quarantine'") == [], 30, "retried")
        left = ids()
        if left:
            control(p, "quarantine", "retry", *left)
    with load.Load(p.legacy, rows=1000, writers=2, pause=0.002) as writers:
        r.wait(lambda: len(ids()) > 100 and writers.transactions > 600, 90, "much is refused")
        retry()
        if cut:
            r.kill9()
            r.start().wait_ready()
        for t in checks:
            p.target.execute(f"ALTER TABLE {t} DROP CONSTRAINT strict")
        retry()
        writers.stop()
    p.wait_applied(r)
    retry()
    r.wait(lambda: not ids(), 60, "nothing left")
    p.wait_equal(r)
    assert all(t["state"] == "streaming" for t in r.tables().values()), r.tables()


def test_offsets_tell_what_a_start_decides(prepared):
    """first, standby, resume and refuse: what offsets says is what the replicator then does"""
    p = prepared

    def decision(code=0):
        return json.loads(control(p, "offsets", "--json", code=code))["decision"]["action"]

    assert decision() == "first"
    r = p.start(ready=True)
    assert decision() == "standby"
    p.wait_equal(r)
    r.stop()
    assert decision() == "resume"
    text = control(p, "offsets")
    assert f"resume at {p.positions()[0]}" in text and p.confirmed() in text
    p.legacy.one("SELECT pg_drop_replication_slot(%s)", (p.slot,))
    assert decision(4) == "refuse"
    assert p.start().wait_exit(30) == 4


def test_finish_takes_everything_away(prepared, redis_server):
    """finish refuses while a replicator runs; then slot, rows and mirror are gone and a new start copies again"""
    p = prepared
    r = p.start(ready=True)
    p.wait_equal(r)
    assert "running" in control(p, "finish", "--yes", code=1)
    control(p, "finish", input="", code=2)
    r.stop()
    p.target.execute(f"INSERT INTO crossfade.parked (pipeline, table_name, position, change) VALUES ('{p.name}', 'a', '', '')")
    assert "--discard" in control(p, "finish", "--yes", code=1)
    assert p.confirmed() is not None
    origins = "SELECT roname FROM pg_replication_origin WHERE roname LIKE %s"
    assert p.target.query(origins, (f"crossfade_{p.name}_%",)) != []
    # The publication is the administrator's: its DROP is printed, and the answer is 1.
    assert "DROP PUBLICATION" in control(p, "finish", "--yes", "--discard", code=1)
    assert p.legacy.query("SELECT 1 FROM pg_replication_slots WHERE slot_name = %s", (p.slot,)) == []
    assert p.target.one("SELECT count(*) FROM crossfade.progress") == 0
    epoch = p.target.one("SELECT epoch FROM crossfade.lease")
    assert epoch > 1, "a zombie of the old run must stay fenced"
    assert redis_server.client().keys(f"crossfade:{p.name}:*") == []
    p.legacy.execute(f"DROP PUBLICATION crossfade_{p.name}")
    control(p, "finish", "--yes")
    assert p.target.query(origins, (f"crossfade_{p.name}_%",)) == []
    p.target.execute("TRUNCATE a, b")
    p.publish()
    p.move()
    p.assert_equal()
