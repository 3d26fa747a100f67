# SPDX-License-Identifier: PostgreSQL
"""Faults at random: kill -9, SIGSTOP, cut and stalled connections, crashes of either server and of Redis, under a write
load; then both sides equal by an independent query. CROSSFADE_FAULT_ROUNDS (20), CROSSFADE_FAULT_SEED (printed)."""
import os
import random
import time

import pytest

from lib.load import FILL, SCHEMA, Load
from lib.postgres import lsn_number
from lib.process import wait_for

ROUNDS = int(os.environ.get("CROSSFADE_FAULT_ROUNDS", "20"))
SEED = int(os.environ.get("CROSSFADE_FAULT_SEED", random.SystemRandom().randrange(10**6)))


class Faults:
    def __init__(self, pipeline, replicators, proxies, redis, rnd):
        self.p, self.replicators, self.proxies, self.redis, self.rnd = pipeline, replicators, proxies, redis, rnd

    def once(self):
        name = self.rnd.choice(["kill", "kill", "freeze", "cut", "cut", "stall", "refuse", "crash_legacy", "crash_target", "restart_target",
                                "crash_redis", "flush", "terminate"])
        getattr(self, name)()
        return name

    def pause(self, low=0.05, high=1.5):
        time.sleep(self.rnd.uniform(low, high))

    def kill(self):
        r = self.rnd.choice(self.replicators)
        r.kill9()
        self.pause()
        r.start()

    def freeze(self):
        r = self.rnd.choice(self.replicators)
        r.freeze()
        self.pause(0.2, 4)
        r.thaw()

    def cut(self):
        for _ in range(self.rnd.randint(1, 4)):
            self.rnd.choice(self.proxies).cut()
            self.pause(0.01, 0.4)

    def stall(self):
        proxy = self.rnd.choice(self.proxies)
        proxy.stall()
        self.pause(0.2, 3)
        proxy.flow()

    def refuse(self):
        proxy = self.rnd.choice(self.proxies)
        proxy.refuse()
        self.pause(0.2, 2)
        proxy.refuse(False)

    def crash_legacy(self):
        self.p.legacy.server.crash()
        self.pause(0.05, 0.5)
        self.p.legacy.server.start()

    def crash_target(self):
        self.p.target.server.crash()
        self.pause(0.05, 0.5)
        self.p.target.server.start()

    def restart_target(self):
        self.p.target.server.restart()

    def crash_redis(self):
        self.redis.kill()
        self.pause()
        self.redis.start()

    def flush(self):
        self.redis.client().flushall()

    def terminate(self):
        database = self.rnd.choice([self.p.legacy, self.p.target])
        database.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'crossfade:%%' AND random() < 0.7")


@pytest.fixture(scope="module")
def servers(make_server):
    """Their crashes are postmaster and backends killed at once; what was written stays in the kernel (fsync is off)."""
    return make_server("l"), make_server("t")


def caught_up(r, want):
    """Whoever runs the pipeline now: it may change hands once more after the last fault."""
    try:
        if r.http("/readyz")[0] != 200:
            return False
        applied = r.stream()["applied"]
    except (OSError, KeyError, IndexError, ValueError):
        return False
    return bool(applied) and lsn_number(applied) >= want


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_faults(round_, servers, make_pipeline, make_redis, make_proxy):
    """Whatever is killed, stopped or cut at random, both sides end up equal"""
    seed = SEED * 1000 + round_
    print(f"CROSSFADE_FAULT_SEED={SEED} round {round_}")
    rnd = random.Random(seed)
    redis = make_redis().start()
    p = make_pipeline(*servers, redis)
    p.config["lease_ttl"] = "2s"
    p.config["memory_limit"] = rnd.choice(["16MB", "64MB"])
    p.config["stream"] = {"batch_changes": rnd.choice([50, 1000, 20000]), "lanes": rnd.choice([0, 1, 3])}
    p.config["backfill"] = {"workers": rnd.choice([1, 2, 3]), "chunk_rows": rnd.choice([200, 1000])}
    if rnd.random() < 0.5:
        p.config["backfill"]["rate_limit"] = "2MB"
    proxies = []
    for side, database in (("legacy", p.legacy), ("target", p.target)):
        proxy = make_proxy(database.server)
        proxies.append(proxy)
        p.config[side]["conninfo"] = p.config[side]["conninfo"].replace(database.server.dir, proxy.dir)
    p.both(SCHEMA)
    p.on(p.legacy, FILL.format(n=1500))
    p.prepare()
    replicators = [p.start() for _ in range(rnd.choice([1, 1, 2]))]
    faults = Faults(p, replicators, proxies, redis, rnd)
    done = []
    with Load(p.legacy, rows=1500, seed=seed, pause=0.002) as load:
        end = time.monotonic() + rnd.uniform(6, 10)
        while time.monotonic() < end:
            faults.pause(0.05, 1.2)
            done.append(faults.once())
        load.stop()
    try:
        want = lsn_number(p.legacy.lsn())
        wait_for(lambda: any(caught_up(r, want) for r in replicators if r.running), 90, "one of them has caught up")
        p.assert_equal()
        for r in replicators:
            assert r.running, f"ended with {r.status_code}\n{r.tail()}"
    except AssertionError as e:
        raise AssertionError(f"CROSSFADE_FAULT_SEED={SEED} round {round_}: {done}\n{e}") from None
