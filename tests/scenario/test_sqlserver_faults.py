# SPDX-License-Identifier: PostgreSQL
"""Faults at random with a SQL Server as the legacy: kill -9, SIGSTOP, cut, dead and stalled connections, sessions killed, the
capture job paused, a crash of the target, Redis flushed, under a write load; then both sides equal by an independent query.
CROSSFADE_FAULT_ROUNDS (5), CROSSFADE_FAULT_SEED (printed)."""
import os
import random
import time

import pytest

from lib.load_sqlserver import SCHEMA, SEEN, TABLES, TARGET, SqlServerLoad, fill
from lib.process import wait_for

ROUNDS = int(os.environ.get("CROSSFADE_FAULT_ROUNDS", "5"))
SEED = int(os.environ.get("CROSSFADE_FAULT_SEED", random.SystemRandom().randrange(10**6)))


class Faults:
    def __init__(self, moving, replicators, tcp, proxy, redis, rnd):
        self.m, self.replicators, self.tcp, self.proxy, self.redis, self.rnd = moving, replicators, tcp, proxy, redis, rnd
        self.kinds = ["kill", "kill", "freeze", "cut", "cut", "die", "die", "stall", "refuse", "crash_target", "flush", "kill_sessions", "terminate"]
        if moving.server.is_standin:
            self.kinds += ["capture_job", "capture_job"]

    def once(self):
        name = self.rnd.choice(self.kinds)
        getattr(self, name)()
        return name

    def pause(self, low=0.05, high=1.0):
        time.sleep(self.rnd.uniform(low, high))

    def kill(self):
        r = self.rnd.choice(self.replicators)
        r.kill9()
        self.pause()
        r.start()

    def freeze(self):
        r = self.rnd.choice(self.replicators)
        r.freeze()
        self.pause(0.2, 3)
        r.thaw()

    def either(self):
        return self.rnd.choice([self.tcp, self.tcp, self.proxy])

    def cut(self):
        for _ in range(self.rnd.randint(1, 3)):
            self.either().cut()
            self.pause(0.01, 0.3)

    def die(self):
        """In the middle of an answer."""
        self.tcp.limit(self.rnd.choice([1, 50, 700, 5000, 40000]))
        self.pause()

    def stall(self):
        proxy = self.either()
        proxy.stall()
        self.pause(0.2, 2)
        proxy.flow()

    def refuse(self):
        proxy = self.either()
        proxy.refuse()
        self.pause(0.2, 1.5)
        proxy.refuse(False)

    def crash_target(self):
        self.m.target.server.crash()
        self.pause(0.05, 0.3)
        self.m.target.server.start()

    def flush(self):
        self.redis.client().flushall()

    def kill_sessions(self):
        for (spid,) in self.m.source.query("SELECT s.session_id FROM sys.dm_exec_sessions AS s WHERE s.program_name LIKE N'crossfade:%'"):
            if self.rnd.random() < 0.7:
                try:
                    self.m.source.execute(f"KILL {spid}")
                except Exception:  # it has ended meanwhile
                    continue

    def terminate(self):
        self.m.target.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'crossfade:%%' AND random() < 0.7")

    def capture_job(self):
        self.m.job("stop")
        self.pause(0.2, 1.5)
        self.m.job("start")


def caught_up(r, want):
    """Whoever runs the pipeline now: it may change hands once more after the last fault."""
    try:
        return r.http("/readyz")[0] == 200 and r.stream()["applied"] >= want
    except (OSError, KeyError, IndexError, ValueError, TypeError):
        return False


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_faults(round_, moving, make_redis, make_proxy, make_tcp_proxy):
    """Whatever is killed, stopped or cut at random, both sides end up equal"""
    seed = SEED * 1000 + round_
    print(f"CROSSFADE_FAULT_SEED={SEED} round {round_}")
    rnd = random.Random(seed)
    m, p, redis = moving, moving.pipeline, make_redis().start()
    p.config["redis"] = {"url": redis.url}
    p.config["lease_ttl"] = "2s"
    p.config["memory_limit"] = rnd.choice(["16MB", "64MB"])
    p.config["stream"].update({"batch_changes": rnd.choice([50, 1000, 20000]), "lanes": rnd.choice([0, 1, 3])})
    p.config["backfill"] = {"workers": rnd.choice([1, 2, 3]), "chunk_rows": rnd.choice([100, 500])}
    if rnd.random() < 0.5:
        p.config["backfill"]["rate_limit"] = "200kB"
    m.selects["student", "seen"], m.target_selects["student", "seen"] = SEEN
    m.prepare(SCHEMA, TARGET, captured=TABLES)
    fill(m.source, 1000)
    tcp, proxy = make_tcp_proxy(m.server.host, m.server.port), make_proxy(m.target.server)
    p.config["legacy"].update(host="127.0.0.1", port=tcp.port)
    p.config["target"]["conninfo"] = p.config["target"]["conninfo"].replace(m.target.server.dir, proxy.dir)
    replicators = [p.start() for _ in range(rnd.choice([1, 1, 2]))]
    faults, done = Faults(m, replicators, tcp, proxy, redis, rnd), []
    with SqlServerLoad(m.source, seed=seed, pause=0.02) as load:
        end = time.monotonic() + rnd.uniform(5, 8)
        while time.monotonic() < end:
            faults.pause(0.05, 1.2)
            done.append(faults.once())
        load.stop()
    tcp.limit(None)
    try:
        assert load.transactions > 10
        want = m.captured()
        wait_for(lambda: any(caught_up(r, want) for r in replicators if r.running), 60, "one of them has caught up")
        m.assert_equal()
        for r in replicators:
            assert r.running, f"ended with {r.status_code}\n{r.tail()}"
    except AssertionError as e:
        logs = "" if "--- log of" in str(e) else "".join("\n" + r.tail() for r in replicators)
        raise AssertionError(f"CROSSFADE_FAULT_SEED={SEED} round {round_}: {done}\n{e}{logs}") from None
