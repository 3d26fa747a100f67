# SPDX-License-Identifier: PostgreSQL
"""What is wrong with a SQL Server legacy at the start, or while it runs: each has its own clear message and the exit status
of the manual, and nothing is lost."""
import re

import pymssql
import pytest

from lib.process import free_port

T = "CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY, v nvarchar(40) NULL) INSERT INTO dbo.t VALUES (1, N'one')"
T_PG = "CREATE TABLE t (id int PRIMARY KEY, v text);"


def bare(m):
    """Tables on either side, nothing of change data capture, nothing installed there; ours is on the target."""
    m.source.execute(T)
    m.pipeline.on(m.target, T_PG)
    m.pipeline.roles()
    m.pipeline.config["connect_timeout"] = "2s"
    return m


def one_shot(m, code, *patterns, deadline=40):
    r = m.pipeline.start("--until-caught-up")
    assert r.wait_exit(deadline) == code, r.tail()
    for p in patterns:
        assert re.search(p, r.log, re.I), f"no {p!r} in\n{r.tail()}"
    r.assert_clean()
    return r


def check(m, code, *patterns):
    got, out, err = m.pipeline.crossfade("check")
    assert got == code, f"check: {got}\n{out}{err}"
    for p in patterns:
        assert re.search(p, out + err, re.I), f"no {p!r} in\n{out}{err}"


def test_unreachable_server(moving):
    """An unreachable server: 3, after connect_timeout, naming the side and the address"""
    m = bare(moving)
    port = free_port()
    m.pipeline.config["legacy"]["port"] = port
    one_shot(m, 3, "legacy", f"127.0.0.1.*{port}|unreachable|refused")
    check(m, 3, "legacy", "127.0.0.1|unreachable|refused")
    code, out, err = m.pipeline.crossfade("install")
    assert code == 3 and "legacy" in out + err, (code, out, err)


def test_silent_server(moving):
    """Something that listens and never answers: 3, in about connect_timeout"""
    import socket
    m = bare(moving)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        m.pipeline.config["legacy"]["port"] = listener.getsockname()[1]
        one_shot(m, 3, "legacy", deadline=20)


def test_wrong_password(moving):
    """A wrong password: 3, the server's words, and never the password"""
    m = bare(moving)
    try:
        pymssql.connect(server=m.server.host, port=str(m.server.port), user=m.server.user, password="Wrong-Secret-7", database="master").close()
        pytest.skip("this server lets every password in")
    except pymssql.Error:
        m.password("Wrong-Secret-7")
    r = one_shot(m, 3, "legacy", "18456|login failed")
    check(m, 3, "18456|login failed")
    assert "Wrong-Secret-7" not in r.log


def test_wrong_database(moving):
    """A database that is not there: 3, its name in the message"""
    m = bare(moving)
    m.pipeline.config["legacy"]["database"] = "no_such_database"
    one_shot(m, 3, "no_such_database")
    check(m, 3, "no_such_database")


def test_capture_off(moving):
    """Change data capture is off for the database: 3 and the T-SQL that switches it on; check says 1"""
    m = bare(moving)
    m.need_sessions()
    one_shot(m, 3, "change data capture", "not on|sp_cdc_enable_db")
    check(m, 1, "cdc_disabled|change data capture is not on", "sp_cdc_enable_db")
    assert m.target.one("SELECT count(*) FROM t") == 0


def test_table_without_capture(moving):
    """One table is not captured: named, with its T-SQL; nothing is copied before it is"""
    m = bare(moving)
    m.source.execute("CREATE TABLE dbo.u (id int NOT NULL PRIMARY KEY)")
    m.pipeline.on(m.target, "CREATE TABLE u (id int PRIMARY KEY);")
    m.pipeline.roles()
    m.enable_cdc()
    m.capture("t")
    one_shot(m, 3, "dbo.u", "capture")
    check(m, 1, "sp_cdc_enable_table.*N?'u'")
    assert m.target.one("SELECT count(*) FROM t") == 0
    m.capture("u")
    m.pipeline.move()
    m.assert_equal()


def test_agent_does_not_run(moving):
    """SQL Server Agent is stopped: check says so; a start waits for the marker and says for what, and goes on when it runs"""
    m = moving.prepare(T, T_PG)
    m.knob(agent_running=0)
    m.source.execute("UPDATE dbo.t SET v = N'nobody captures this'")
    check(m, 1, "agent")
    r = m.pipeline.start()
    r.wait_log("waiting for a marker", 30)
    assert r.running and m.target.one("SELECT count(*) FROM t") == 0
    m.knob(agent_running=1)
    m.wait_equal(r)


def test_missing_right(moving):
    """A right that our login has not: named by check with its GRANT"""
    m = moving.prepare(T, T_PG)
    m.standin("INSERT INTO standin.denied VALUES ('sa', 'SELECT', 'dbo.t')")
    m.standin("INSERT INTO standin.not_member VALUES ('sa', 'db_owner')")
    check(m, 1, "right_missing|may not", "GRANT SELECT")


def test_target_table_missing(moving):
    """A table that the target has not: 3 and its name; `crossfade schema` prints it, and then it goes"""
    m = bare(moving)
    m.enable_cdc()
    m.source.execute("CREATE TABLE dbo.extra (id int NOT NULL PRIMARY KEY, at datetime2(3) NULL) INSERT INTO dbo.extra VALUES (1, '2020-01-01')")
    m.capture("t", "extra")
    one_shot(m, 3, "extra")
    code, out, err = m.pipeline.crossfade("schema")
    assert code == 0 and "extra" in out, (code, out, err)
    m.pipeline.on(m.target, out)
    m.pipeline.roles()
    m.pipeline.move()
    m.assert_equal()


def test_type_that_does_not_fit(moving):
    """A value that the target's narrower type can't hold: the row is refused by name, the others go on"""
    m = moving.prepare("CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY, n bigint NULL) INSERT INTO dbo.t VALUES (1, 1)", "CREATE TABLE t (id int PRIMARY KEY, n int);")
    r = m.pipeline.start(ready=True)
    m.source.execute("INSERT INTO dbo.t VALUES (2, 3000000000); INSERT INTO dbo.t VALUES (3, 3)")
    r.wait(lambda: r.tables()["dbo.t"]["quarantined"] == 1, 30, "the row is in quarantine")
    r.wait(lambda: m.target.query("SELECT id FROM t ORDER BY 1") == [(1,), (3,)], 30, "the others go on")
    m.pipeline.on(m.target, "ALTER TABLE t ALTER n TYPE bigint;")
    code, out, err = m.pipeline.crossfade("quarantine", "list")
    assert code == 0 and "dbo.t" in out, (code, out, err)


@pytest.mark.parametrize("key, value, pattern", [
    ("encrypt", "maybe", "encrypt"), ("port", 0, "port"), ("capture", "logical", "capture"), ("password", "literal", "password"), ("conninfo", "host=x", "conninfo")])
def test_bad_config(moving, key, value, pattern):
    """A wrong value in `legacy`: 2, with file, key and what is allowed"""
    m = bare(moving)
    m.pipeline.config["legacy"][key] = value
    code, out, err = m.pipeline.crossfade("check")
    assert code == 2 and pattern in out + err, (code, out, err)
    assert m.pipeline.start("--until-caught-up").wait_exit(20) == 2
