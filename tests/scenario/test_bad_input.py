# SPDX-License-Identifier: PostgreSQL
"""What is wrong at the first start or in a one-shot command: each has its own clear message, the exit status of the
manual, and nothing is lost."""
import json
import os
import re
import shutil
import subprocess

import pytest

from lib.postgres import Database
from lib.process import server_user, wait_for
from lib.replicator import crossfade


def simple(pipeline, **kw):
    pipeline.both("CREATE TABLE t (id int PRIMARY KEY, v text, n int); CREATE TABLE o (id int PRIMARY KEY);")
    pipeline.legacy.execute("INSERT INTO t SELECT i, 'v', i FROM generate_series(1, 100) i; INSERT INTO o VALUES (1)")
    return pipeline.prepare(**kw)


def one_shot(pipeline, code, *patterns, deadline=40):
    """--until-caught-up ends with that status, and its log has the patterns."""
    r = pipeline.start("--until-caught-up")
    assert r.wait_exit(deadline) == code, r.tail()
    for p in patterns:
        assert re.search(p, r.log, re.I), f"no {p!r} in\n{r.tail()}"
    r.assert_clean()
    return r


def check_fails(pipeline, *patterns):
    code, out, err = pipeline.crossfade("check")
    assert code == 1, f"check: {code}\n{out}{err}"
    for p in patterns:
        assert re.search(p, out, re.I), f"no {p!r} in\n{out}"


# -- servers

@pytest.mark.parametrize("side", ["legacy", "target"])
def test_unreachable_server(pipeline, side):
    """An unreachable server: 3, after connect_timeout, naming the side and the address"""
    simple(pipeline)
    pipeline.config["connect_timeout"] = "2s"
    pipeline.config[side]["conninfo"] = f"host=/tmp/nowhere-{pipeline.name} dbname=x user=y"
    one_shot(pipeline, 3, side, "nowhere")
    code, out, err = pipeline.crossfade("check")
    assert code == 3 and side in out + err and "nowhere" in out + err, (code, out, err)


@pytest.mark.parametrize("side", ["legacy", "target"])
def test_wrong_password(pipeline, side):
    """A wrong password: 3, the server's words, and never the password"""
    simple(pipeline)
    database = getattr(pipeline, side)
    database.execute("DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pw_app') THEN CREATE ROLE pw_app LOGIN PASSWORD 'right'; END IF; END $$")
    pipeline.config[side]["conninfo"] = database.conninfo("pw_app")
    pipeline.config[side]["password"] = "env:SECRET"
    pipeline.config["connect_timeout"] = "3s"
    env = {"SECRET": "wr0ng-s3cret"}
    code, out, err = pipeline.crossfade("check", env=env)
    assert code == 3 and "password" in out + err, (code, out, err)
    r = pipeline.replicator(env=env).start("--until-caught-up")
    assert r.wait_exit(30) == 3, r.tail()
    assert "password authentication failed" in r.log
    assert "wr0ng-s3cret" not in r.log + out + err


def test_wrong_database(pipeline):
    """A database that is not there: 3, by its name"""
    simple(pipeline)
    pipeline.config["connect_timeout"] = "3s"
    pipeline.config["target"]["conninfo"] = pipeline.config["target"]["conninfo"].replace(f"'{pipeline.target.name}'", "'no_such_db'")
    one_shot(pipeline, 3, "no_such_db")


def test_role_without_rights(pipeline):
    """A missing right on the target: check names it with its GRANT; the copy does not pretend"""
    simple(pipeline)
    pipeline.target.execute("REVOKE INSERT ON t FROM crossfade_target; REVOKE app_owner FROM crossfade_target")
    check_fails(pipeline, r"\bt\b", "GRANT")
    r = pipeline.start()
    r.wait(lambda: re.search("permission denied|GRANT", r.log), 30)
    assert pipeline.target.one("SELECT count(*) FROM t") == 0


def test_source_role_without_select(pipeline):
    """A missing SELECT on the legacy: check names the table and the GRANT"""
    simple(pipeline)
    pipeline.legacy.execute("REVOKE SELECT ON t FROM crossfade_source")
    check_fails(pipeline, r"\bt\b", "GRANT SELECT")


def test_source_role_without_replication(pipeline):
    """A role without REPLICATION: 3, with the ALTER ROLE"""
    simple(pipeline)
    pipeline.config["connect_timeout"] = "3s"
    pipeline.legacy.execute("ALTER ROLE crossfade_source NOREPLICATION")
    try:
        check_fails(pipeline, "REPLICATION")
        one_shot(pipeline, 3, "replication")
    finally:
        pipeline.legacy.execute("ALTER ROLE crossfade_source REPLICATION")


def test_wal_level_replica(make_server, target_server, make_pipeline, redis_server):
    """wal_level=replica: check says what to set and that it needs a restart; the one-shot ends with 3"""
    p = make_pipeline(make_server("l", settings={"wal_level": "replica"}), target_server, redis_server)
    simple(p)
    p.config["connect_timeout"] = "3s"
    check_fails(p, "wal_level", "restart")
    one_shot(p, 3, "wal_level")


def test_no_free_slot(make_server, target_server, make_pipeline, redis_server):
    """No free slot: check counts them; the one-shot ends with 3; nothing is left behind"""
    server = make_server("l", settings={"max_replication_slots": "1"})
    p = make_pipeline(server, target_server, redis_server)
    simple(p)
    p.config["connect_timeout"] = "3s"
    server.execute("SELECT pg_create_physical_replication_slot('taken')")
    check_fails(p, "slot")
    one_shot(p, 3, "slot")
    server.execute("SELECT pg_drop_replication_slot('taken')")
    p.move()
    p.assert_equal()


def test_slot_of_another_plugin(pipeline):
    """The slot's name is taken by another plugin's slot: refused by name, the slot is left alone"""
    simple(pipeline)
    pipeline.config["connect_timeout"] = "3s"
    pipeline.legacy.execute("SELECT pg_create_logical_replication_slot(%s, 'test_decoding')", (pipeline.slot,))
    r = pipeline.start("--until-caught-up")
    assert r.wait_exit(40) in (3, 4), r.tail()
    assert pipeline.slot in r.log
    assert pipeline.legacy.one("SELECT plugin FROM pg_replication_slots WHERE slot_name = %s", (pipeline.slot,)) == "test_decoding"


def test_slot_used_by_another(pipeline):
    """The slot is in use by somebody else: said, retried, and not torn from them"""
    simple(pipeline)
    pipeline.config["connect_timeout"] = "3s"
    pipeline.move()
    p = subprocess.Popen(["pg_recvlogical", "-h", pipeline.legacy.server.dir, "-U", "postgres", "-d", pipeline.legacy.name, "-S", pipeline.slot,
                          "--start", "-o", "proto_version=1", "-o", f"publication_names=crossfade_{pipeline.name}", "-f", "/dev/null", "-F", "0"],
                         stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: pipeline.legacy.one("SELECT active FROM pg_replication_slots WHERE slot_name = %s", (pipeline.slot,)), 20)
        pipeline.legacy.execute("INSERT INTO o VALUES (9)")
        r = pipeline.start()
        r.wait_log("slot", 20)
        assert p.poll() is None, "the other client was thrown out"
    finally:
        p.kill()
        p.wait()


def test_no_publication(pipeline):
    """No publication, and no right to make one: check prints the statement"""
    simple(pipeline)
    pipeline.legacy.execute(f"DROP PUBLICATION crossfade_{pipeline.name}")
    check_fails(pipeline, f'CREATE PUBLICATION "?crossfade_{pipeline.name}')
    pipeline.config["connect_timeout"] = "3s"
    one_shot(pipeline, 3, "publication")


# -- tables

def test_target_table_missing(pipeline):
    """A target table is missing: check names it and `crossfade schema`"""
    simple(pipeline)
    pipeline.target.execute("DROP TABLE t")
    check_fails(pipeline, r"\bt\b", "crossfade schema")
    code, out, err = pipeline.crossfade("schema")
    assert code == 0 and "CREATE TABLE public.t" in out and "public.o" not in out, out + err
    pipeline.target.psql("SET ROLE app_owner;" + out)
    pipeline.roles()
    pipeline.move()
    pipeline.assert_equal()


def test_target_column_missing(pipeline):
    """A target column is missing: check names it with the ALTER TABLE"""
    simple(pipeline)
    pipeline.target.execute("ALTER TABLE t DROP COLUMN n")
    check_fails(pipeline, r"ALTER TABLE .*t.* ADD COLUMN .*n")


def test_type_that_cannot_hold(pipeline):
    """A target column's type has no way to hold the source's values: check says which"""
    simple(pipeline)
    pipeline.target.execute("ALTER TABLE t ALTER n TYPE date USING NULL")
    check_fails(pipeline, r"\bn\b", "integer", "date")


def test_value_that_the_type_cannot_hold(pipeline):
    """A text that the target's integer can't read: check warns, the copy stops that table with the server's words, mended it is copied"""
    simple(pipeline)
    pipeline.target.execute("ALTER TABLE t ALTER v TYPE int USING NULL")
    code, findings = pipeline.check()
    assert code == 0 and [f["level"] for f in findings if f["object"] == "public.t.v"] == ["warn"], findings
    one_shot(pipeline, 1, "t", 'invalid input syntax for type integer: "v"')
    pipeline.target.execute("ALTER TABLE t ALTER v TYPE text")
    assert pipeline.crossfade("recopy", "--table", "t")[0] == 0
    pipeline.move()
    pipeline.assert_equal()


def test_extra_not_null_column(pipeline):
    """The target has a NOT NULL column without default that nothing fills: check fails"""
    simple(pipeline)
    pipeline.target.execute("ALTER TABLE t ADD COLUMN must int NOT NULL")
    check_fails(pipeline, "must")


def test_table_in_the_config_that_is_not_there(pipeline):
    """The config lists a table that the legacy does not have: said by name"""
    simple(pipeline)
    pipeline.config["tables"] = ["public.t", "public.no_such_table"]
    code, out, err = pipeline.crossfade("check")
    assert code in (1, 2) and "no_such_table" in out + err, (code, out, err)


# -- in between

def test_statement_timeout_of_the_role(pipeline):
    """statement_timeout set for our roles: pinned away, the copy does not die of it"""
    simple(pipeline)
    pipeline.legacy.execute("ALTER ROLE crossfade_source SET statement_timeout = '50ms'; INSERT INTO t SELECT i, repeat('x', 500), 1 FROM generate_series(1000, 60000) i")
    pipeline.target.execute("ALTER ROLE crossfade_target SET statement_timeout = '50ms'")
    try:
        pipeline.move()
        pipeline.assert_equal()
    finally:
        pipeline.legacy.execute("ALTER ROLE crossfade_source RESET statement_timeout")
        pipeline.target.execute("ALTER ROLE crossfade_target RESET statement_timeout")


def test_lock_on_the_target(pipeline):
    """Somebody locks the target's table for a while: waited out"""
    simple(pipeline)
    c = pipeline.target.connect()
    c.autocommit = False
    c.cursor().execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
    r = pipeline.start()
    r.wait(lambda: r.http("/healthz")[0] == 200, 20)
    wait_for(lambda: pipeline.target.one("SELECT count(*) FROM pg_locks WHERE NOT granted") or "crossfade" in r.log, 10)
    c.rollback()
    c.close()
    r.wait_ready(60)
    pipeline.wait_equal(r)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_disk_full_on_the_target(pipeline, base, target_server):
    """Disk full on the target: said with the server's words, retried, and it goes on when there is room"""
    mount = os.path.join(base, f"small-{pipeline.name}")
    os.makedirs(mount)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "none", mount], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("no right to mount here")
    try:
        space = os.path.join(mount, "space")
        os.makedirs(space, mode=0o700)
        if server_user():
            shutil.chown(space, server_user())
        target_server.execute(f"CREATE TABLESPACE small LOCATION '{space}'")
        target_server.execute("GRANT CREATE ON TABLESPACE small TO PUBLIC")
        pipeline.on(pipeline.legacy, "CREATE TABLE t (id int PRIMARY KEY, v text);")
        pipeline.on(pipeline.target, "CREATE TABLE t (id int PRIMARY KEY, v text) TABLESPACE small;")
        pipeline.legacy.execute("INSERT INTO t SELECT i, 'v' FROM generate_series(1, 10) i")
        pipeline.prepare()
        r = pipeline.start(ready=True)
        pipeline.legacy.execute("INSERT INTO t SELECT i, repeat(md5(i::text), 60) FROM generate_series(1000, 25000) i")
        r.wait_log("(?i)no space left|disk full|could not extend", 60)
        assert r.running
        assert r.tables()["public.t"]["quarantined"] == 0, "a full disk is no fault of the rows"
        pipeline.legacy.execute("DELETE FROM t WHERE id > 1000")
        subprocess.run(["mount", "-o", "remount,size=400m", mount], check=True)
        pipeline.wait_equal(r, 90)
        r.end()
    finally:
        wait_for(lambda: target_server.execute('DROP TABLE IF EXISTS t') or True, 1)
        Database(target_server, pipeline.target.name).execute("DROP TABLE IF EXISTS t")
        wait_for(lambda: target_server.execute("DROP TABLESPACE IF EXISTS small") or True, 20)
        subprocess.run(["umount", "-l", mount])


# -- the config file

def config_error(pipeline, text, *patterns):
    path = pipeline.write_config(text)
    for name in ("check", "status"):
        code, out, err = crossfade(name, "-c", path)
        assert code == 2, f"{name}: {code}\n{out}{err}"
        for p in patterns:
            assert re.search(p, out + err), f"no {p!r} in\n{out}{err}"
    r = pipeline.replicator()
    pipeline.write_config(text)
    with open(r.config_path, "w") as f:
        f.write(text)
    assert r.start().wait_exit(20) == 2, r.tail()
    for p in patterns:
        assert re.search(p, r.log), f"no {p!r} in\n{r.tail()}"


def test_config_every_error_is_listed(pipeline):
    """Unknown keys, wrong types, values out of range, a missing secret: all listed, with file:line and the allowed values"""
    text = json.dumps(pipeline.config, indent=1)
    lines = text.splitlines()
    lines[1:1] = [' "no_such_key": 1,', ' "memory_limit": "many",', ' "park_limit": -5,', ' "names": "Camel",']
    name = f"{pipeline.name}.json"
    config_error(pipeline, "\n".join(lines), re.escape(name) + r":2:.*no_such_key", r":3:.*memory_limit", r":4:.*park_limit", r":5:.*names.*as_is")


def test_config_missing_secret(pipeline):
    """A secret that is not there: by its name, before any connection"""
    pipeline.config["target"]["password"] = "env:NO_SUCH_SECRET"
    config_error(pipeline, json.dumps(pipeline.config, indent=1), "NO_SUCH_SECRET")


def test_config_literal_password(pipeline):
    """A literal password is refused, and not repeated"""
    pipeline.config["target"]["password"] = "hunter2-literal"
    path = pipeline.write_config()
    code, out, err = crossfade("check", "-c", path)
    assert code == 2 and "password" in out + err and "hunter2" not in out + err, (code, out, err)
    pipeline.config["target"].pop("password")
    pipeline.config["target"]["conninfo"] += " password=hunter2-literal"
    path = pipeline.write_config()
    code, out, err = crossfade("check", "-c", path)
    assert code == 2 and "password" in out + err and "hunter2" not in out + err, (code, out, err)


@pytest.mark.parametrize("what", ["truncated", "nul", "empty", "50 MB", "not there", "a directory", "deep", "binary"])
def test_config_broken(pipeline, what):
    """Config truncated, with a NUL, empty, of 50 MB, missing: 2 with the file's name, quickly"""
    text = json.dumps(pipeline.config, indent=1)
    path = pipeline.write_config({"truncated": text[:len(text) // 2], "empty": "", "deep": "[" * 200000}.get(what, text))
    if what == "nul":
        with open(path, "wb") as f:
            f.write(text[:40].encode() + b"\0" + text[40:].encode())
    elif what == "50 MB":
        with open(path, "w") as f:
            f.write(text.replace('"tables": "all"', '"tables": [' + ", ".join(['"public.aaaaaaaaaaaaaaaaaaaaaaaaaa"'] * 1400000) + "]"))
    elif what == "not there":
        os.unlink(path)
    elif what == "a directory":
        os.unlink(path)
        os.mkdir(path)
    elif what == "binary":
        with open(path, "wb") as f:
            f.write(bytes(range(256)) * 100)
    code, out, err = crossfade("check", "-c", path, timeout=30)
    assert code == 2, (code, (out + err)[:3000])
    assert os.path.basename(path) in out + err, (out + err)[:3000]
    assert len(out + err) < 200000


def test_check_accepts_the_sample(pipeline):
    """The sample config in conf/ is good as it stands, but for its secrets and servers"""
    import glob
    from lib.replicator import TOP
    samples = glob.glob(os.path.join(TOP, "conf", "*.json*"))
    assert samples, "no sample config in conf/"
    for s in samples:
        code, out, err = crossfade("check", "-c", s, env={"CROSSFADE_LEGACY_PASSWORD": "x", "CROSSFADE_TARGET_PASSWORD": "x", "CROSSFADE_REDIS_PASSWORD": "x"})
        assert code != 2, f"{s}: {out}{err}"
