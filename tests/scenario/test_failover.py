# SPDX-License-Identifier: PostgreSQL
"""Two replicators of one pipeline: one runs, one stands by; who runs is decided in the target alone."""
import time

import pytest

from lib.load import FILL, SCHEMA, Load
from lib.process import wait_for

TTL = 5


def pair(pipeline, rows=500):
    pipeline.config["lease_ttl"] = f"{TTL}s"
    pipeline.both(SCHEMA)
    pipeline.on(pipeline.legacy, FILL.format(n=rows))
    pipeline.prepare()
    first = pipeline.start(ready=True)
    second = pipeline.start()
    second.wait(lambda: second.status()["role"] == "standby", 30, "the second stands by")
    return first, second


def epoch(pipeline):
    return pipeline.target.one("SELECT epoch FROM crossfade.lease WHERE pipeline = %s", (pipeline.name,))


def applied_by(pipeline, replicator, since, deadline):
    """Seconds until a row written now is in the target."""
    n = pipeline.legacy.one("UPDATE hot SET n = n + 1000000 WHERE id = 3 RETURNING n")
    replicator.wait(lambda: pipeline.target.one("SELECT n FROM hot WHERE id = 3") >= n, deadline, "a new row is applied")
    return time.monotonic() - since


def test_standby_stays_standby(pipeline):
    """The second stands by, does not answer ready, and takes nothing over while the first is alive"""
    first, second = pair(pipeline)
    before = epoch(pipeline)
    with Load(pipeline.legacy, rows=500) as load:
        end = time.monotonic() + TTL + 3
        while time.monotonic() < end:
            assert second.status()["role"] == "standby"
            assert second.http("/readyz")[0] != 200
            assert second.http("/healthz")[0] == 200
            time.sleep(0.3)
        load.stop()
    assert epoch(pipeline) == before
    pipeline.wait_equal(first)


def test_one_shot_does_not_stand_by_for_ever(pipeline):
    """--until-caught-up while another process runs the pipeline ends with 3 after connect_timeout and lease_ttl, says
    why, and harms nothing; after a kill -9 of the other it waits the lease out and does its work"""
    pipeline.config["connect_timeout"] = "1s"
    first, second = pair(pipeline)
    second.end()
    before = epoch(pipeline)
    begin = time.monotonic()
    r = pipeline.move(expect=3)
    assert TTL <= time.monotonic() - begin < TTL + 5
    assert "another process runs this pipeline" in r.log
    assert epoch(pipeline) == before
    pipeline.wait_equal(first)
    first.kill9()
    pipeline.legacy.execute("INSERT INTO keyed_by_text VALUES ('late', 1)")
    pipeline.move()
    assert epoch(pipeline) == before + 1
    pipeline.assert_equal()


def test_takes_over_after_kill_9(pipeline):
    """After kill -9 of the first, the second applies in less than lease_ttl + 1 s, and the epoch is one higher"""
    first, second = pair(pipeline)
    before = epoch(pipeline)
    with Load(pipeline.legacy, rows=500) as load:
        time.sleep(1)
        first.kill9()
        took = applied_by(pipeline, second, time.monotonic(), TTL + 20)
        load.stop()
    assert took < TTL + 1, f"took over after {took:.1f} s"
    assert epoch(pipeline) == before + 1
    assert second.status()["role"] == "active"
    pipeline.wait_equal(second)


def test_takes_over_at_once_after_a_clean_stop(pipeline):
    """A clean stop gives the lease back: the second does not wait for lease_ttl"""
    first, second = pair(pipeline)
    first.stop()
    took = applied_by(pipeline, second, time.monotonic(), TTL + 20)
    assert took < TTL - 1, f"took over after {took:.1f} s"


@pytest.mark.parametrize("with_redis", [True, False], ids=["redis", "no redis"])
def test_39_40_frozen_leader(pipeline, with_redis, make_redis):
    """39, 40: a stopped leader still holds progress row, slot and origin: it is taken over; awake again it writes nothing and stands by"""
    redis = make_redis().start()
    pipeline.config["redis"] = {"url": redis.url}
    first, second = pair(pipeline)
    before = epoch(pipeline)
    with Load(pipeline.legacy, rows=500) as load:
        time.sleep(1)
        if not with_redis:
            redis.kill()
        first.freeze()
        took = applied_by(pipeline, second, time.monotonic(), TTL + 20)
        assert took < TTL + 1, f"took over after {took:.1f} s"
        first.thaw()
        first.wait(lambda: first.status()["role"] == "standby", 30, "the first becomes standby")
        time.sleep(TTL + 1)  # no duel
        load.stop()
    assert epoch(pipeline) == before + 1, "the lease went back and forth"
    assert second.status()["role"] == "active"
    pipeline.wait_equal(second)
    # and back again
    second.kill9()
    first.wait(lambda: first.status()["role"] == "active", TTL + 20, "the first takes over again")
    first.wait_ready()
    pipeline.wait_equal(first)
    assert epoch(pipeline) == before + 2


def test_40_frozen_in_the_middle_of_a_transaction(pipeline):
    """40: stopped leader with an open apply transaction: its row locks do not hang the successor, nothing is doubled"""
    pipeline.config["stream"] = {"batch_changes": 100}
    pipeline.config["lease_ttl"] = f"{TTL}s"
    pipeline.both("CREATE TABLE t (id int, v text); ALTER TABLE t REPLICA IDENTITY FULL; CREATE TABLE hot (id int PRIMARY KEY, n bigint);")
    pipeline.legacy.execute("INSERT INTO hot VALUES (3, 0)")
    pipeline.prepare()
    first = pipeline.start(ready=True)
    second = pipeline.start()
    second.wait(lambda: second.status()["role"] == "standby", 30)
    pipeline.legacy.execute("INSERT INTO t SELECT i, 'x' FROM generate_series(1, 60000) i")
    wait_for(lambda: pipeline.target.one("SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND backend_xid IS NOT NULL", (pipeline.target.name,)) > 0, 20)
    first.freeze()
    took = applied_by(pipeline, second, time.monotonic(), TTL + 30)
    first.thaw()
    first.wait(lambda: first.status()["role"] == "standby", 30, "the first becomes standby")
    pipeline.wait_equal(second)
    assert took < TTL + 15


@pytest.mark.parametrize("hours", [-26, 26])
def test_35_clocks_differ(pipeline, hours, clock_shim):
    """35: clock steps back, two hosts' clocks differ: no decision depends on a wall clock"""
    pipeline.config["lease_ttl"] = f"{TTL}s"
    pipeline.both(SCHEMA)
    pipeline.on(pipeline.legacy, FILL.format(n=300))
    pipeline.prepare()
    first = pipeline.start(ready=True)
    second = pipeline.start(env=clock_shim(hours))
    second.wait(lambda: second.status()["role"] == "standby", 30, "the second stands by")
    before = epoch(pipeline)
    time.sleep(TTL + 2)
    assert epoch(pipeline) == before and second.status()["role"] == "standby"
    first.kill9()
    second.wait_ready(TTL + 20)
    with Load(pipeline.legacy, rows=300) as load:
        second.wait(lambda: load.transactions > 50, 30)
        load.stop()
    pipeline.wait_equal(second)
    assert int(second.stream()["lag_ms"]) >= 0
