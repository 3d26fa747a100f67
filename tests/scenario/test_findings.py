# SPDX-License-Identifier: PostgreSQL
"""`crossfade check`: findings that need a server, a role or a table made for them; the rest is in test_check.py."""
import json
import time

import pytest

from lib.pipeline import TARGET_ROLE
from lib.process import wait_for

ONE = "CREATE TABLE t (id int PRIMARY KEY, v text);"


def find(findings, code, level, thing=None):
    found = [f for f in findings if f["code"] == code and (thing is None or f["object"] == thing)]
    assert found, f"no finding {code} about {thing}: {json.dumps(findings, indent=1)}"
    assert found[0]["level"] == level, found[0]
    return found[0]


def test_nothing_to_carry(pipeline):
    """No table at all, or none with a column"""
    pipeline.roles()
    pipeline.publish("ALL TABLES")
    code, findings = pipeline.check()
    assert code == 1
    find(findings, "no_tables", "fail")
    pipeline.both("CREATE TABLE z ()")
    pipeline.roles()
    find(pipeline.check()[1], "no_columns", "fail", "public.z")


def test_no_publication(pipeline):
    """The printed CREATE PUBLICATION is what is missing"""
    pipeline.both(ONE)
    pipeline.roles()
    code, findings = pipeline.check()
    assert code == 1
    pipeline.legacy.execute(find(findings, "publication_missing", "fail")["sql"])
    code, findings = pipeline.check()
    assert code == 0, findings


def test_keys_and_identities(pipeline):
    """Keys that are compared by the server alone; a partition with another replica identity than its table"""
    pipeline.legacy.execute("CREATE EXTENSION citext")
    pipeline.target.execute("CREATE EXTENSION citext")
    pipeline.both("""CREATE TABLE c (k citext PRIMARY KEY);
        CREATE TABLE p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p DEFAULT;""")
    pipeline.on(pipeline.legacy, "ALTER TABLE p1 REPLICA IDENTITY FULL")
    pipeline.prepare()
    _, findings = pipeline.check()
    find(findings, "key_not_bytewise", "ok", "public.c")
    assert "p1" in find(findings, "partition_identity", "warn", "public.p")["text"]


def test_exclusion_constraint_of_the_target_alone(pipeline):
    """An exclusion constraint that the legacy has not"""
    pipeline.both("CREATE TABLE t (id int PRIMARY KEY, r int4range)")
    pipeline.on(pipeline.target, "ALTER TABLE t ADD EXCLUDE USING gist (r WITH &&)")
    pipeline.prepare()
    find(pipeline.check()[1], "exclusion_extra", "warn", "public.t")


def test_values_that_no_query_can_judge(pipeline):
    """check --data says which columns it did not look at"""
    pipeline.both("CREATE TABLE t (id int PRIMARY KEY, v inet)")
    pipeline.on(pipeline.target, "ALTER TABLE t ALTER v TYPE cidr")
    pipeline.legacy.execute("INSERT INTO t VALUES (1, '10.0.0.1/8')")
    pipeline.prepare()
    code, out, err = pipeline.crossfade("check", "--data", "--json")
    assert "inet" in find(json.loads(out)["findings"], "data_not_scanned", "warn", "public.t.v")["text"]


def test_owner_of_the_target_tables(pipeline):
    """Without membership in the owner indexes stay: a warning with the GRANT that mends it"""
    pipeline.both(ONE)
    pipeline.prepare(owner_on_target=False)
    code, findings = pipeline.check()
    assert code == 0, findings
    f = find(findings, "not_owner", "warn")
    assert TARGET_ROLE in f["sql"]
    pipeline.target.execute(f["sql"])
    assert not [f for f in pipeline.check()[1] if f["code"] == "not_owner"]


def test_no_redis_in_the_config(pipeline):
    """No redis at all is said, and no failure"""
    pipeline.both(ONE)
    pipeline.prepare()
    del pipeline.config["redis"]
    code, findings = pipeline.check()
    assert code == 0
    find(findings, "redis_missing", "warn")


def test_slot_that_is_not_ours(pipeline):
    """A slot of our name that somebody else made: of another plugin, or of ours"""
    pipeline.both(ONE)
    pipeline.prepare()
    for plugin in ("test_decoding", "pgoutput"):
        pipeline.legacy.execute("SELECT pg_create_logical_replication_slot(%s, %s)", (pipeline.slot, plugin))
        code, findings = pipeline.check()
        assert code == 1
        f = find(findings, "slot_taken", "fail", pipeline.slot)
        assert pipeline.move(expect=3)
        pipeline.legacy.execute(f["sql"])
    pipeline.move()


def test_nothing_free_on_the_servers(make_server, make_pipeline, redis_server):
    """No free slot, no free WAL sender, no room for origins: each with the setting to raise"""
    legacy = make_server("l", settings={"max_replication_slots": "1", "max_wal_senders": "0"})
    target = make_server("t", settings={"max_replication_slots": "1"})
    p = make_pipeline(legacy, target, redis_server)
    p.both(ONE)
    p.prepare()
    legacy.execute("SELECT pg_create_physical_replication_slot('theirs')")
    target.execute("SELECT pg_replication_origin_create('theirs')")
    code, findings = p.check()
    assert code == 1
    assert "max_replication_slots" in find(findings, "no_free_slot", "fail")["sql"]
    assert "max_wal_senders" in find(findings, "no_free_sender", "fail")["sql"]
    assert "max_replication_slots" in find(findings, "origin_slots", "warn")["sql"]


def test_slot_that_has_lost_its_wal(make_server, target_server, make_pipeline, redis_server):
    """max_slot_wal_keep_size took the WAL: check says that the slot is lost, the replicator ends with 4, nothing is applied"""
    server = make_server("l", settings={"max_slot_wal_keep_size": "1MB", "max_wal_size": "32MB", "min_wal_size": "32MB"})
    p = make_pipeline(server, target_server, redis_server)
    p.both(ONE)
    p.prepare()
    p.move()
    p.legacy.execute("INSERT INTO t VALUES (1, 'unread')")

    def lose():
        for _ in range(4):
            server.execute("CREATE TABLE waste AS SELECT repeat('x', 100) FROM generate_series(1, 50000); DROP TABLE waste")
            server.one("SELECT pg_switch_wal()")
        server.execute("CHECKPOINT")
        return server.one("SELECT wal_status FROM pg_replication_slots WHERE slot_name = %s", (p.slot,)) == "lost"

    wait_for(lose, 60, "the slot is lost")
    code, findings = p.check()
    assert code == 1
    find(findings, "slot_lost", "fail", p.slot)
    r = p.move(expect=4)
    assert "has lost WAL" in r.log
    assert p.target.one("SELECT count(*) FROM t") == 0
    # what the message offers
    code, out, err = p.crossfade("finish", "--yes")
    assert code == 1 and "DROP PUBLICATION" in out, out + err  # the administrator's; all else is gone
    p.target.execute("TRUNCATE t")
    p.move()
    p.assert_equal()


def test_idle_slots_of_version_18(pgbin, make_server, target_server, make_pipeline, redis_server):
    """A server that gives up idle slots is named"""
    server = make_server("l", pgbin)
    if server.version < 180000:
        pytest.skip("18 and later")
    server.set(idle_replication_slot_timeout="'1min'")
    p = make_pipeline(server, target_server, redis_server)
    p.both(ONE)
    p.prepare()
    time.sleep(0.5)
    assert "1min" in find(p.check()[1], "idle_replication_slot_timeout", "warn")["text"]
