# SPDX-License-Identifier: PostgreSQL
"""Redis is a mirror: whatever happens to it, replication goes on, nothing is lost, and status says `degraded`."""
import shutil
import signal
import os

import pytest

from lib.load import FILL, SCHEMA, Load


def start(pipeline, redis, ready=True):
    pipeline.config["redis"] = {"url": redis.url}
    pipeline.both(SCHEMA)
    pipeline.on(pipeline.legacy, FILL.format(n=300))
    pipeline.prepare()
    return pipeline.start(ready=ready)


def degraded(r, want=True, deadline=30):
    r.wait(lambda: r.status()["degraded"] is want, deadline, f"degraded is {want}")


def still_moves(pipeline, r):
    with Load(pipeline.legacy, rows=300) as load:
        r.wait(lambda: load.transactions > 40, 30)
        load.stop()
    pipeline.wait_equal(r)


def mirrored(pipeline, r, redis, **kw):
    """Redis shows at least what is applied now."""
    want = r.stream()["applied"]
    key = f"crossfade:{pipeline.name}:offsets"
    r.wait(lambda: (redis.client(**kw).hget(key, "forward.applied") or "") >= want, 30, "Redis follows")


def test_down_at_start(pipeline, make_redis):
    """Redis down at start: replication starts; Redis up later: the mirror is there"""
    redis = make_redis()
    r = start(pipeline, redis)
    degraded(r)
    still_moves(pipeline, r)
    redis.start()
    degraded(r, False)
    mirrored(pipeline, r, redis)


def test_down_later(pipeline, make_redis):
    """Redis down later: replication goes on; it comes back empty: the mirror is written anew"""
    redis = make_redis().start()
    r = start(pipeline, redis)
    degraded(r, False)
    redis.kill()
    degraded(r)
    still_moves(pipeline, r)
    redis.start()
    degraded(r, False)
    mirrored(pipeline, r, redis)
    state = redis.client().keys(f"crossfade:{pipeline.name}:*")
    assert f"crossfade:{pipeline.name}:epoch" in state, state


def test_flushed(pipeline, make_redis):
    """Redis flushed: nothing is lost, a restart decides by the sink's rows, the mirror is complete again"""
    redis = make_redis().start()
    r = start(pipeline, redis)
    redis.client().flushall()
    still_moves(pipeline, r)
    mirrored(pipeline, r, redis)
    r.kill9()
    redis.client().flushall()
    r.start()
    r.wait_ready()
    still_moves(pipeline, r)
    mirrored(pipeline, r, redis)


def test_restored_from_an_old_dump(pipeline, make_redis):
    """Redis restored from an old dump: its old positions and flags decide nothing"""
    redis = make_redis().start()
    r = start(pipeline, redis)
    mirrored(pipeline, r, redis)
    redis.client().save()
    shutil.copy(os.path.join(redis.dir, "dump.rdb"), os.path.join(redis.dir, "old.rdb"))
    still_moves(pipeline, r)
    r.kill9()
    redis.kill()
    shutil.copy(os.path.join(redis.dir, "old.rdb"), os.path.join(redis.dir, "dump.rdb"))
    redis.start()
    r.start()
    r.wait_ready()
    still_moves(pipeline, r)
    mirrored(pipeline, r, redis)
    assert all(t["conflicts"] == 0 for t in r.tables().values()), "something was applied twice"


def test_a_table_that_left_leaves_the_mirror(pipeline, redis_server):
    """A table taken out of the config is no longer in Redis; the flags, by which applications route, stay"""
    pipeline.both("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)")
    pipeline.prepare()
    redis = redis_server.client()
    state, flags = (f"crossfade:{pipeline.name}:{name}" for name in ("state", "flags"))
    pipeline.config["tables"] = ["public.a", "public.b"]
    pipeline.config["groups"] = {"old": {"tables": ["public.b"]}, "kept": {"tables": ["public.a"]}}
    r = pipeline.start(ready=True)
    everything = {"pipeline": "streaming", "group:old": "streaming", "group:kept": "streaming",
                  "table:public.a": "streaming", "table:public.b": "streaming"}
    r.wait(lambda: redis.hgetall(state) == everything, 20, "everything is there")
    before = redis.hgetall(flags)
    listener = redis.pubsub(ignore_subscribe_messages=True)
    listener.subscribe(f"crossfade:{pipeline.name}:events")
    r.stop()
    del pipeline.config["groups"]["old"]
    pipeline.config["tables"] = ["public.a"]
    r = pipeline.start(ready=True)
    left = {"pipeline": "streaming", "group:kept": "streaming", "table:public.a": "streaming"}
    r.wait(lambda: redis.hgetall(state) == left, 20, f"only what is left: {redis.hgetall(state)}")
    told = set()
    r.wait(lambda: told.add((listener.get_message() or {}).get("data")) or {"table:public.b ", "group:old "} <= told, 10,
           "and it was told")
    after = redis.hgetall(flags)
    assert {k: v for k, v in after.items() if not k.endswith("epoch")} == {k: v for k, v in before.items() if not k.endswith("epoch")}


def test_wrong_password(pipeline, make_redis):
    """Redis with a password that we do not have: degraded, said why, and replication goes on"""
    redis = make_redis()
    redis.start()
    redis.client().config_set("requirepass", "sesame")
    r = start(pipeline, redis)
    degraded(r)
    still_moves(pipeline, r)
    r.wait_log(r"(?i)redis.*(auth|password)", 10)
    assert "sesame" not in r.log


def test_password(pipeline, make_redis):
    """Redis with a password: taken from the environment, never shown"""
    redis = make_redis()
    redis.start()
    redis.client().config_set("requirepass", "sesame")
    pipeline.config["redis"] = {"url": redis.url, "password": "env:REDIS_SECRET"}
    pipeline.both(SCHEMA)
    pipeline.on(pipeline.legacy, FILL.format(n=50))
    pipeline.roles()
    pipeline.publish()
    assert pipeline.crossfade("install", env={"REDIS_SECRET": "sesame"})[0] == 0
    r = pipeline.start(ready=True, env={"REDIS_SECRET": "sesame"})
    degraded(r, False)
    mirrored(pipeline, r, redis, password="sesame")
    assert "sesame" not in r.log


def test_read_only_replica(pipeline, make_redis):
    """Redis is a read-only replica: degraded, and replication goes on"""
    redis = make_redis().start()
    redis.client().replicaof("127.0.0.1", "1")
    r = start(pipeline, redis)
    degraded(r)
    still_moves(pipeline, r)


def test_another_type_at_our_key(pipeline, make_redis):
    """Redis holds another type at our key: degraded, said which, and replication goes on"""
    redis = make_redis().start()
    redis.client().set(f"crossfade:{pipeline.name}:offsets", "a string")
    r = start(pipeline, redis)
    degraded(r)
    still_moves(pipeline, r)
    r.wait_log(r"(?i)redis.*(wrongtype|another type|wrong kind)", 10)
    redis.client().delete(f"crossfade:{pipeline.name}:offsets")
    degraded(r, False, 60)
    mirrored(pipeline, r, redis)


def test_a_higher_epoch(pipeline, make_redis):
    """Redis holds a higher epoch than ours (of a target that was made anew): degraded, said what to do, and replication goes on"""
    redis = make_redis().start()
    key = f"crossfade:{pipeline.name}:epoch"
    redis.client().set(key, "1000")
    r = start(pipeline, redis)
    degraded(r)
    still_moves(pipeline, r)
    r.wait_log(f"DEL {key}", 10)
    assert redis.client().hgetall(f"crossfade:{pipeline.name}:flags") == {}, "written below its epoch"
    redis.client().delete(key)
    degraded(r, False, 60)
    mirrored(pipeline, r, redis)


def test_frozen(pipeline, make_redis):
    """Redis answers no more (stopped, link up): nothing waits for it"""
    redis = make_redis().start()
    r = start(pipeline, redis)
    redis.process.send_signal(signal.SIGSTOP)
    try:
        still_moves(pipeline, r)
        assert r.http("/healthz")[0] == 200
        degraded(r, True, 60)
    finally:
        redis.process.send_signal(signal.SIGCONT)
    degraded(r, False, 60)


@pytest.mark.parametrize("how", ["flushed", "down"])
def test_offsets_explains(pipeline, make_redis, how):
    """crossfade offsets shows sink, slot and Redis side by side, also when Redis is flushed or down"""
    import json
    redis = make_redis().start()
    r = start(pipeline, redis)
    mirrored(pipeline, r, redis)
    r.stop()
    if how == "flushed":
        redis.client().flushall()
    else:
        redis.kill()
    code, out, err = pipeline.crossfade("offsets", "--json")
    assert code == 0, out + err
    j = json.loads(out)
    assert j["pipeline"] == pipeline.name
    assert j["sink"] and j["slot"]["exists"] and j["decision"]["action"]
    code, out, _ = pipeline.crossfade("offsets")
    assert code == 0 and pipeline.confirmed() in out
