# SPDX-License-Identifier: PostgreSQL
"""Other PostgreSQL versions (CROSSFADE_TEST_PG_VERSIONS; else Debian's alone) on either side: copy, stream, restart."""
import os
import shutil

import pytest

from lib.load import FILL, SCHEMA, Load
from lib.postgres import Database


def move(p):
    old = p.legacy.server.version < 110000
    # gen_random_uuid is built in from 13
    for d in (p.legacy, p.target):
        if d.server.version < 130000:
            d.execute("CREATE FUNCTION gen_random_uuid() RETURNS uuid LANGUAGE sql AS 'SELECT md5(random()::text || clock_timestamp())::uuid'")
    p.both(SCHEMA)
    p.on(p.legacy, FILL.format(n=1000))
    p.prepare()
    code, findings = p.check()
    assert code == 0, [f for f in findings if f["level"] == "fail"]
    with Load(p.legacy, rows=1000, pause=0.002) as load:
        r = p.start(ready=True)
        before = load.transactions
        r.wait(lambda: load.transactions > before + 50, 30)
        load.stop()
    p.wait_equal(r)
    if not old:
        p.legacy.execute("TRUNCATE event")
        p.wait_equal(r)
    r.kill9()
    p.legacy.execute("UPDATE hot SET n = n + 1; UPDATE student SET notes = repeat('k', 20000) WHERE id < 5; UPDATE student SET gpa = 1 WHERE id < 5")
    r.start()
    r.wait_ready()
    p.wait_equal(r)


@pytest.fixture
def server_of(make_server):
    made = {}

    def get(side, bindir):
        if (side, bindir) not in made:
            made[side, bindir] = make_server(side, bindir)
        return made[side, bindir]
    return get


def test_legacy_version(pgbin, server_of, target_server, make_pipeline, redis_server):
    """A legacy of this version to Debian's PostgreSQL"""
    move(make_pipeline(server_of("l", pgbin), target_server, redis_server))


def test_target_version(pgbin, server_of, legacy_server, make_pipeline, redis_server):
    """Debian's PostgreSQL to a target of this version"""
    server = server_of("t", pgbin)
    if server.version < 120000:
        p = make_pipeline(legacy_server, server, redis_server)
        p.both("CREATE TABLE t (id int PRIMARY KEY);")
        p.roles()
        code, out, err = p.crossfade("check")
        assert code in (1, 3) and "12" in out + err, (code, out, err)
        return
    move(make_pipeline(legacy_server, server, redis_server))


def recovery(server, on):
    """The server comes back as a hot standby, or as a primary."""
    server.stop()
    old = server.version_of_data() < 12
    signal = os.path.join(server.data, "recovery.conf" if old else "standby.signal")
    if on:
        with open(signal, "w") as f:
            f.write("standby_mode = on\n" if old else "")
        if server.user:
            shutil.chown(signal, server.user)
    elif os.path.exists(signal):
        os.unlink(signal)
    server.start()


def test_legacy_is_a_standby(pgbin, make_server, target_server, make_pipeline, redis_server):
    """A hot standby as the legacy is refused by check and at the start, also where it could decode (16 and later); the
    service waits for a primary. Its missing slot is not taken for a lost one"""
    server = make_server("l", pgbin, settings={"hot_standby": "on"})
    p = make_pipeline(server, target_server, redis_server)
    p.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    p.legacy.execute("INSERT INTO t SELECT i, 'v' FROM generate_series(1, 100) i")
    p.prepare()
    recovery(server, True)
    code, findings = p.check()
    assert code == 1 and [f for f in findings if f["code"] == "standby" and f["level"] == "fail"], findings
    r = p.move(expect=3)
    assert "is a standby" in r.log and "target_session_attrs" in r.log
    r = p.start()
    r.wait_log("is a standby")
    recovery(server, False)
    r.wait_ready()
    p.wait_equal(r)
    r.stop()
    # it goes on only where its slot is
    slot = f"crossfade_{p.name}"
    assert server.one("SELECT count(*) FROM pg_replication_slots WHERE slot_name = %s", (slot,)) == 1
    server.execute(f"SELECT pg_drop_replication_slot('{slot}')")
    recovery(server, True)
    assert "is a standby" in p.move(expect=3).log
    recovery(server, False)
    assert "is gone" in p.move(expect=4).log


def test_same_version_on_both_sides(pgbin, server_of, make_pipeline, redis_server):
    """This version on both sides"""
    if Database(server_of("l", pgbin), "postgres").server.version < 120000:
        pytest.skip("a target is 12 or later")
    move(make_pipeline(server_of("l", pgbin), server_of("t", pgbin), redis_server))
