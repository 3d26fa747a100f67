# SPDX-License-Identifier: PostgreSQL
"""`crossfade check`: every matter that it looks at, seen once as it should be and once as it should not; and that the
SQL it prints mends what it says. Bad input that also stops the replicator is in test_bad_input.py."""
import json
import os
import re
import subprocess
import time

import psycopg2
import pytest

from lib.pipeline import SOURCE_ROLE, TARGET_ROLE
from lib.replicator import program

SIMPLE = """CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TABLE u (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, t_id int REFERENCES t, n numeric(8,2));
INSERT INTO t VALUES (1, 'a'), (2, 'b');"""


def simple(pipeline, more="", **kw):
    pipeline.both(SIMPLE.split("INSERT")[0] + more)
    pipeline.on(pipeline.legacy, "INSERT" + SIMPLE.split("INSERT")[1])
    return pipeline.prepare(**kw)


def find(findings, code, thing=None):
    return [f for f in findings if f["code"] == code and (thing is None or f["object"] == thing)]


def one(findings, code, level, thing=None):
    found = find(findings, code, thing)
    assert found, f"no finding {code} about {thing}: {json.dumps(findings, indent=1)}"
    assert found[0]["level"] == level, found[0]
    return found[0]


def fails(findings):
    return [f for f in findings if f["level"] == "fail"]


def test_least_privilege_roles_are_enough(pipeline):
    """As the roles that conf/ makes, on a plain schema: nothing to mend, exit status 0"""
    simple(pipeline)
    code, findings = pipeline.check()
    assert code == 0 and not fails(findings), fails(findings)
    assert not find(findings, "query_failed"), find(findings, "query_failed")
    for name in ("wal_level", "slots", "senders", "replication_connect", "schema_crossfade", "origin", "replica_role",
                 "rights", "publication", "size", "clock", "redis"):
        one(findings, name, "ok")
    for role, database in ((SOURCE_ROLE, pipeline.legacy), (TARGET_ROLE, pipeline.target)):
        assert not database.one("SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls FROM pg_roles WHERE rolname = %s", (role,))


def test_output_is_stable(pipeline):
    """--json has findings of level, code, object, text, sql and nothing else; the table has one line a finding"""
    simple(pipeline)
    code, findings = pipeline.check()
    assert findings and all(list(f) == ["level", "code", "object", "text", "sql"] for f in findings)
    assert all(f["level"] in ("ok", "warn", "fail") and f["code"] and f["object"] and f["text"] for f in findings)
    assert not any("\n" in str(v) for f in findings for v in f.values())
    _, out, _ = pipeline.crossfade("check")
    assert len(out.splitlines()) == len(findings) + 1


def test_check_changes_nothing(pipeline):
    """Nothing is left behind on either server"""
    pipeline.both("CREATE TABLE t (id int PRIMARY KEY)")
    pipeline.roles()
    before = pipeline.target.query("SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'crossfade'::regnamespace")
    pipeline.crossfade("check", "--data")
    assert pipeline.legacy.one("SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE %s", (pipeline.slot + "%",)) == 0
    assert pipeline.legacy.one("SELECT count(*) FROM pg_publication") == 0
    assert before == pipeline.target.query("SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'crossfade'::regnamespace")


def test_the_sql_mends(pipeline):
    """Running the SQL of each failure leaves none (hazard 36 among them)"""
    pipeline.both("CREATE TABLE ok (id int PRIMARY KEY)")
    pipeline.on(pipeline.legacy, """CREATE TYPE mood AS ENUM ('calm', 'it''s');
        CREATE TABLE gone (id int PRIMARY KEY, "Q""x" text NOT NULL);
        CREATE TABLE thin (id int PRIMARY KEY, extra numeric(8,2));
        CREATE TABLE feels (id int PRIMARY KEY, m mood);
        CREATE TABLE keyless (a int);
        CREATE TABLE secret (id int PRIMARY KEY); ALTER TABLE secret ENABLE ROW LEVEL SECURITY""")
    pipeline.on(pipeline.target, """CREATE TYPE mood AS ENUM ('calm');
        CREATE TABLE thin (id int PRIMARY KEY, must int NOT NULL);
        CREATE TABLE feels (id int PRIMARY KEY, m mood);
        CREATE TABLE keyless (a int);
        CREATE TABLE secret (id int PRIMARY KEY)""")
    pipeline.roles()
    pipeline.legacy.execute(f"CREATE PUBLICATION crossfade_{pipeline.name} FOR ALL TABLES WITH (publish = 'insert, update')")
    pipeline.legacy.execute(f"REVOKE SELECT ON ok FROM {SOURCE_ROLE}")
    pipeline.target.execute(f"REVOKE INSERT, DELETE ON ok FROM {TARGET_ROLE}")
    pipeline.legacy.execute(f"ALTER ROLE {SOURCE_ROLE} NOREPLICATION")
    on_target = {"table_missing", "column_missing", "column_extra", "enum_label_missing"}
    seen = set()
    try:
        for _ in range(4):
            code, findings = pipeline.check()
            if not fails(findings):
                break
            assert code == 1
            for f in fails(findings):
                seen.add(f["code"])
                if f["sql"]:
                    side = pipeline.target if f["code"] in on_target or TARGET_ROLE in f["sql"] else pipeline.legacy
                    side.execute(f["sql"])
            pipeline.target.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA public TO {TARGET_ROLE}"
                                    if "right_missing" in seen else "SELECT 1")
        assert not fails(findings), fails(findings)
    finally:
        pipeline.legacy.execute(f"ALTER ROLE {SOURCE_ROLE} REPLICATION NOBYPASSRLS")
    assert seen >= {"table_missing", "column_missing", "column_extra", "enum_label_missing", "right_missing", "row_security",
                    "keyless_published", "publication_operations", "right_replication"}, seen


def test_publishing_a_keyless_table_is_refused(pipeline):
    """Hazard 36: the application's own UPDATE fails on it, and check says so before anybody wonders"""
    pipeline.both("CREATE TABLE keyless (a int); CREATE TABLE t (id int PRIMARY KEY)")
    pipeline.roles()
    pipeline.legacy.execute("INSERT INTO keyless VALUES (1)")
    pipeline.legacy.execute(f"CREATE PUBLICATION crossfade_{pipeline.name} FOR ALL TABLES")
    with pytest.raises(psycopg2.Error, match="replica identity"):
        pipeline.legacy.execute("UPDATE keyless SET a = 2")
    code, findings = pipeline.check()
    f = one(findings, "keyless_published", "fail", "public.keyless")
    assert code == 1 and f["sql"] == 'ALTER TABLE "public"."keyless" REPLICA IDENTITY FULL;'


def test_a_keyless_table_apart_is_only_a_warning(pipeline):
    """In an insert-only publication of its own it hurts nobody; check says what does not come"""
    pipeline.both("CREATE TABLE keyless (a int); CREATE TABLE t (id int PRIMARY KEY)")
    pipeline.prepare()
    code, findings = pipeline.check()
    assert code == 0, fails(findings)
    one(findings, "insert_only", "warn", "public.keyless")
    assert not find(findings, "keyless_published")


def test_publication_that_thins(pipeline):
    """A row filter or column list would keep rows or columns from the target"""
    pipeline.both("CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE u (id int PRIMARY KEY, v text)")
    pipeline.roles()
    pipeline.legacy.execute(f"CREATE PUBLICATION crossfade_{pipeline.name} FOR TABLE t WHERE (id > 5), TABLE u (id)")
    code, findings = pipeline.check()
    assert code == 1
    assert "row filter" in one(findings, "publication_filter", "fail", "public.t")["text"]
    assert "column list" in one(findings, "publication_filter", "fail", "public.u")["text"]
    for f in find(findings, "publication_filter"):
        pipeline.legacy.execute(f["sql"])
    assert not find(pipeline.check()[1], "publication_filter")


def test_publication_of_partitions(pipeline):
    """A TRUNCATE of one partition: unseen when published through the root, which is said; by partition it stops the table"""
    pipeline.both("""CREATE TABLE p (id int, d date, PRIMARY KEY (id, d)) PARTITION BY RANGE (d);
        CREATE TABLE p1 PARTITION OF p DEFAULT""")
    pipeline.roles()
    pipeline.legacy.execute(f"CREATE PUBLICATION crossfade_{pipeline.name} FOR ALL TABLES")
    code, findings = pipeline.check()
    assert code == 0, fails(findings)
    one(findings, "publication_via_root", "ok", "public.p")
    pipeline.legacy.execute(f"ALTER PUBLICATION crossfade_{pipeline.name} SET (publish_via_partition_root = true)")
    code, findings = pipeline.check()
    assert code == 0, fails(findings)
    f = one(findings, "publication_via_root", "warn", "public.p")
    pipeline.legacy.execute(f["sql"])
    one(pipeline.check()[1], "publication_via_root", "ok", "public.p")


def test_publication_of_some_leaves(pipeline):
    """A partitioned table of which only leaves are published by name is not published: the next leaf would be missed"""
    pipeline.both("""CREATE TABLE p (id int, d date, PRIMARY KEY (id, d)) PARTITION BY RANGE (d);
        CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (MINVALUE) TO ('2024-01-01');
        CREATE TABLE p2 PARTITION OF p DEFAULT""")
    pipeline.roles()
    name = f"crossfade_{pipeline.name}"
    for leaves in ("p1", "p1, p2"):
        pipeline.legacy.execute(f"DROP PUBLICATION IF EXISTS {name}; CREATE PUBLICATION {name} FOR TABLE {leaves}")
        code, findings = pipeline.check()
        assert code == 1
        f = one(findings, "publication_incomplete", "fail", name)
    pipeline.legacy.execute(f["sql"])
    code, findings = pipeline.check()
    assert code == 0, fails(findings)
    one(findings, "publication", "ok", name)
    pipeline.legacy.execute("INSERT INTO p VALUES (1, '2020-01-01'), (2, '2025-01-01')")
    pipeline.move()
    pipeline.assert_equal()


def test_what_the_target_does_with_rows(pipeline):
    """Triggers, foreign keys, checks and unique indexes that only the target has"""
    simple(pipeline)
    pipeline.on(pipeline.target, """CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER a BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f();
        CREATE TRIGGER b BEFORE UPDATE ON u FOR EACH ROW EXECUTE FUNCTION f(); ALTER TABLE u ENABLE ALWAYS TRIGGER b;
        CREATE TABLE elsewhere (id int PRIMARY KEY);
        ALTER TABLE t ADD CHECK (v <> 'x'), ADD UNIQUE (v);
        ALTER TABLE u ADD CONSTRAINT away FOREIGN KEY (t_id) REFERENCES elsewhere""")
    code, findings = pipeline.check()
    assert code == 0, fails(findings)
    assert "do not fire" in one(findings, "triggers", "warn", "public.t")["text"]
    one(findings, "triggers_always", "warn", "public.u")
    one(findings, "check_extra", "warn", "public.t")
    one(findings, "unique_extra", "warn", "public.t")
    assert "elsewhere" in one(findings, "foreign_key_outside", "warn", "public.u")["text"]


def test_without_the_replica_role_triggers_fire(pipeline):
    """Without session_replication_role the same triggers are said to fire, and cycles of foreign keys to be impossible"""
    pipeline.both("""CREATE TABLE a (id int PRIMARY KEY, b int); CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a);
        ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b""")
    pipeline.prepare()
    pipeline.on(pipeline.target, """CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER a BEFORE UPDATE ON a FOR EACH ROW EXECUTE FUNCTION f()""")
    pipeline.target.execute(f"REVOKE SET ON PARAMETER session_replication_role FROM {TARGET_ROLE}")
    try:
        _, findings = pipeline.check()
        f = one(findings, "replica_role", "warn")
        one(findings, "triggers", "warn", "public.a")
        one(findings, "foreign_key_cycle", "warn")
    finally:
        pipeline.target.execute(f["sql"])
    one(pipeline.check()[1], "replica_role", "ok")


def test_target_that_holds_rows(pipeline):
    """Rows that are there already are refused, unless the config says what becomes of them"""
    simple(pipeline)
    pipeline.target.execute("INSERT INTO t VALUES (9, 'old')")
    code, findings = pipeline.check()
    assert code == 1
    one(findings, "target_not_empty", "fail", "public.t")
    assert not find(findings, "target_not_empty", "public.u")
    pipeline.config["backfill"]["existing"] = "upsert"
    assert pipeline.check()[0] == 0


def test_data_scan_counts_and_names_rows(pipeline):
    """--data finds each value that the target would refuse or round, and says which row"""
    pipeline.on(pipeline.legacy, """CREATE TABLE t (id int PRIMARY KEY, big int8, long text, num numeric, u text, b bit(4), j json, maybe text, m text);
        INSERT INTO t VALUES (1, 1, 'ab', 1.25, gen_random_uuid()::text, '0000', '{}', 'x', 'calm'),
          (2, 3000000000, 'abcdef', 12345.6, 'nonsense', '0001', '{"a": "\\u0000"}', NULL, 'angry'),
          (3, -3000000000, 'é€𝄞ab', 1.256, gen_random_uuid()::text, '0000', '{}', 'y', 'calm')""")
    pipeline.on(pipeline.target, """CREATE TYPE mood AS ENUM ('calm');
        CREATE TABLE t (id int PRIMARY KEY, big int4, long varchar(5), num numeric(5,2), u uuid, b bit(8), j jsonb, maybe text NOT NULL, m mood)""")
    pipeline.prepare()
    code, findings = pipeline.check()
    assert code == 0 and not find(findings, "data_refused")
    code, out, err = pipeline.crossfade("check", "--data", "--json")
    findings = json.loads(out)["findings"]
    assert code == 1
    counts = {f["object"].rsplit(".", 1)[1]: int(f["text"].split()[0]) for f in find(findings, "data_refused")}
    assert counts == {"big": 2, "long": 1, "num": 1, "u": 1, "b": 3, "j": 1, "maybe": 1, "m": 1}, counts
    assert "(2)" in one(findings, "data_refused", "fail", "public.t.long")["text"]
    assert one(findings, "data_changed", "warn", "public.t.num")["text"].startswith("1 ")
    # The word of the scan against the server's own.
    for column, kind in (("big", "int4"), ("num", "numeric(5,2)"), ("u", "uuid"), ("j", "jsonb")):
        bad = 0
        for (value,) in pipeline.legacy.query(f"SELECT {column}::text FROM t"):
            try:
                pipeline.target.query(f"SELECT %s::{kind}", (value,))
            except psycopg2.Error:
                bad += 1
        assert bad == counts[column], column


def test_data_scan_of_constraints(pipeline):
    """--data holds the rows against unique indexes, checks and foreign keys that only the target has"""
    pipeline.on(pipeline.legacy, """CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY, a_id int, w text);
        INSERT INTO a VALUES (1, 'x'), (2, 'x'), (3, NULL), (4, NULL); INSERT INTO b VALUES (1, 1, 'ok'), (2, 77, 'bad'), (3, NULL, 'bad')""")
    pipeline.on(pipeline.target, """CREATE TABLE a (id int PRIMARY KEY, v text CONSTRAINT once UNIQUE);
        CREATE TABLE b (id int PRIMARY KEY, a_id int CONSTRAINT up REFERENCES a, w text CONSTRAINT good CHECK (w <> 'bad'))""")
    pipeline.prepare()
    code, findings = pipeline.check()
    assert code == 0, fails(findings)
    code, out, _ = pipeline.crossfade("check", "--data", "--json")
    refused = {f["text"].split(" of the target")[0].rsplit(" ", 1)[1]: f["text"] for f in find(json.loads(out)["findings"], "data_refused")}
    assert code == 1 and set(refused) == {"once", "up", "good"}, refused
    assert refused["once"].startswith("1 ") and "(x)" in refused["once"]
    assert refused["up"].startswith("1 ") and "(2)" in refused["up"] and "77" not in refused["up"]
    assert refused["good"].startswith("2 ")


def test_doubles_of_a_configured_key(pipeline):
    """A key that only the config vouches for is looked through for doubles"""
    pipeline.both("CREATE TABLE t (a int NOT NULL, b text); ALTER TABLE t REPLICA IDENTITY FULL")
    pipeline.on(pipeline.legacy, "INSERT INTO t VALUES (1, 'x'), (1, 'y'), (2, 'z')")
    pipeline.config["tables"] = [{"from": "public.t", "key": ["a"]}]
    pipeline.prepare()
    one(pipeline.check()[1], "key_unverified", "warn", "public.t")
    code, out, _ = pipeline.crossfade("check", "--data", "--json")
    assert code == 1
    assert "(1)" in one(json.loads(out)["findings"], "data_doubles", "fail", "public.t")["text"]


def test_what_is_not_carried(pipeline):
    """Large objects, sequences, unlogged tables, extensions: reported, not passed over"""
    simple(pipeline)
    pipeline.legacy.execute("SELECT lo_create(0)")
    pipeline.legacy.execute("CREATE UNLOGGED TABLE fleeting (id int PRIMARY KEY)")
    pipeline.legacy.execute("CREATE EXTENSION citext")
    pipeline.both("CREATE TABLE top (id int PRIMARY KEY); CREATE TABLE below (PRIMARY KEY (id)) INHERITS (top)")
    pipeline.roles()
    code, findings = pipeline.check()
    assert code == 0, fails(findings)
    one(findings, "large_objects", "warn")
    one(findings, "sequences", "warn")
    one(findings, "unlogged", "warn", "public.fleeting")
    one(findings, "inherited", "ok", "public.top")
    assert one(findings, "extension_missing", "warn", "citext")["sql"] == 'CREATE EXTENSION "citext";'


def test_retention_limits(make_server, target_server, make_pipeline, redis_server):
    """Settings by which the server gives up on us are named"""
    server = make_server("l", settings={"max_slot_wal_keep_size": "64MB", "wal_sender_timeout": "2s"})
    p = simple(make_pipeline(server, target_server, redis_server))
    _, findings = p.check()
    assert "64MB" in one(findings, "max_slot_wal_keep_size", "warn")["text"]
    one(findings, "wal_sender_timeout", "warn")


def test_sql_ascii(pipeline):
    """A database whose texts nobody has checked"""
    server = pipeline.legacy.server
    server.execute(f"CREATE DATABASE {pipeline.name}_ascii ENCODING 'SQL_ASCII' TEMPLATE template0")
    try:
        pipeline.config["legacy"]["conninfo"] = pipeline.config["legacy"]["conninfo"].replace(
            f"dbname='{pipeline.name}'", f"dbname='{pipeline.name}_ascii'")
        pipeline.roles()
        one(pipeline.check()[1], "sql_ascii", "warn", "legacy")
    finally:
        server.execute(f"DROP DATABASE {pipeline.name}_ascii")


def test_one_database_for_both(pipeline):
    """Legacy and target must not be the same"""
    simple(pipeline)
    pipeline.config["target"]["conninfo"] = pipeline.config["legacy"]["conninfo"]
    code, findings = pipeline.check()
    assert code == 1
    one(findings, "same_database", "fail")


def test_standby_is_refused(pipeline, make_server, target_server, make_pipeline, redis_server):
    """The source must be a primary"""
    server = make_server("l", start=False)
    open(os.path.join(server.data, "standby.signal"), "w").close()
    if server.user:
        import shutil
        shutil.chown(os.path.join(server.data, "standby.signal"), server.user)
    server.settings["primary_conninfo"] = "'host=/nowhere'"
    server.write_settings()
    server.start()
    simple(pipeline)
    pipeline.config["legacy"]["conninfo"] = f"host={server.dir} dbname=postgres user=postgres"
    code, findings = pipeline.check()
    assert code == 1
    one(findings, "standby", "fail", "legacy")


@pytest.mark.parametrize("how", ["down", "password", "type", "replica"])
def test_redis(pipeline, make_redis, how):
    """Nothing about Redis is a failure, everything is said"""
    simple(pipeline)
    r = make_redis()
    pipeline.config["redis"] = {"url": r.url}
    code_of = {"down": "redis_unreachable", "password": "redis_unreachable", "type": "redis_type", "replica": "redis_readonly"}
    if how != "down":
        r.start()
    if how == "password":
        r.client().config_set("requirepass", "geheim")
    if how == "type":
        r.client().set(f"crossfade:{pipeline.name}:offsets", "mine")
    if how == "replica":
        r.client().execute_command("REPLICAOF", "127.0.0.1", "1")
    code, findings = pipeline.check()
    assert code == 0, fails(findings)
    f = one(findings, code_of[how], "warn")
    if how == "type":
        assert f["object"] == f"crossfade:{pipeline.name}:offsets" and "string" in f["text"]


@pytest.mark.parametrize("side", ["legacy", "target"])
def test_every_version(pgbin, side, make_server, make_pipeline, redis_server):
    """On each version, as either side: no query of check fails, the roles' SQL runs, nothing is to be mended"""
    servers = [make_server("l", pgbin if side == "legacy" else None), make_server("t", pgbin if side == "target" else None)]
    if side == "target" and servers[1].version < 120000:
        pytest.skip("too old to be a target")
    p = make_pipeline(servers[0], servers[1], redis_server)
    p.both("""CREATE TYPE mood AS ENUM ('a'); CREATE DOMAIN short AS varchar(3);
        CREATE TABLE t (id int PRIMARY KEY, m mood, s short, a int[], n numeric(5,2) CHECK (n > 0), UNIQUE (s));
        CREATE TABLE u (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, t int REFERENCES t, v varchar(5))""")
    p.on(p.target, "ALTER TABLE u ALTER v TYPE varchar(4)")
    p.prepare()
    code, out, err = p.crossfade("check", "--data", "--json")
    findings = json.loads(out)["findings"]
    assert code == 0, fails(findings)
    assert not find(findings, "query_failed"), find(findings, "query_failed")
    one(findings, "length_narrower", "warn", "public.u.v")
    one(findings, "data", "ok", "public.u.v")
    one(findings, "replica_role", "ok")
    one(findings, "origin", "ok" if servers[1].version >= 140000 else "warn")


def test_a_thousand_tables(pipeline):
    """A thousand tables are looked at in under five seconds"""
    ddl = "DO $$ BEGIN FOR i IN 1..1000 LOOP EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, a text, b numeric, c timestamptz)', i); END LOOP; END $$"
    pipeline.both(ddl)
    pipeline.prepare()
    begin = time.monotonic()
    code, findings = pipeline.check()
    assert code == 0, fails(findings)[:3]
    assert len(find(findings, "table")) == 1000
    assert time.monotonic() - begin < (20 if "SANITIZED" in os.environ.get("CROSSFADE_TEST", "") else 5)


# ---------------------------------------------------------------------------------------------------- schema


def test_schema_makes_the_target(pipeline):
    """What `crossfade schema` prints, run in an empty target, leaves nothing for check to say about tables"""
    pipeline.on(pipeline.legacy, """CREATE SCHEMA "Ö d"; CREATE TYPE "Ö d".mood AS ENUM ('a', 'b'); CREATE DOMAIN mail AS text CHECK (VALUE LIKE '%@%');
        CREATE SEQUENCE shared; CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TABLE "Ö d"."t.""q" (id int PRIMARY KEY DEFAULT nextval('shared'), m "Ö d".mood, e mail);
        CREATE TABLE p (id int, d date, PRIMARY KEY (id, d)) PARTITION BY RANGE (d); CREATE TABLE p1 PARTITION OF p DEFAULT;
        CREATE TABLE c (id serial PRIMARY KEY, t int REFERENCES "Ö d"."t.""q", n int GENERATED ALWAYS AS IDENTITY, g int GENERATED ALWAYS AS (1) STORED, UNIQUE (n));
        CREATE INDEX ON c (g); CREATE TRIGGER tr BEFORE INSERT ON c FOR EACH ROW EXECUTE FUNCTION f();
        COMMENT ON TABLE c IS 'hello'; CREATE VIEW v AS SELECT * FROM c""")
    pipeline.roles()
    for section in ("pre", "post"):
        code, out, err = pipeline.crossfade("schema", "--section", section)
        assert code == 0, err
        pipeline.target.psql(f"SET ROLE app_owner;\n{out}")
    pipeline.roles()
    pipeline.publish()
    code, findings = pipeline.check()
    assert code == 0, fails(findings)
    assert not find(findings, "unique_extra") and not find(findings, "foreign_key_extra") and not find(findings, "check_extra")
    count = "SELECT count(*) FROM pg_{0} WHERE {1}::regclass::text = 'c'"
    for catalog, column in (("index", "indrelid"), ("constraint", "nullif(conrelid, 0)"), ("trigger", "tgrelid"), ("attrdef", "adrelid")):
        assert pipeline.target.one(count.format(catalog, column)) == pipeline.legacy.one(count.format(catalog, column)), catalog
    assert pipeline.target.one("SELECT obj_description('c'::regclass)") == "hello"
    assert pipeline.target.one("SELECT to_regclass('v') IS NULL")
    assert "lacks no table" in pipeline.crossfade("schema")[1]
    again = pipeline.crossfade("schema", "--section", "post")[1]
    assert not re.search("CREATE|ALTER", again), again


def test_schema_prints_only_what_is_missing(pipeline):
    """One table missing beside others and their types: only that one"""
    pipeline.both("CREATE TYPE mood AS ENUM ('a'); CREATE TABLE there (id int PRIMARY KEY, m mood)")
    pipeline.on(pipeline.legacy, "CREATE TABLE gone (id serial PRIMARY KEY, m mood, t int REFERENCES there)")
    pipeline.roles()
    code, out, err = pipeline.crossfade("schema")
    assert code == 0, err
    assert "CREATE TABLE public.gone" in out and "gone_id_seq" in out and "FOREIGN KEY" in out
    assert "CREATE TYPE" not in out and "CREATE TABLE public.there" not in out
    pipeline.target.psql(out)
    assert "lacks no table" in pipeline.crossfade("schema")[1]


def test_schema_under_other_names(pipeline):
    """pg_dump can't rename: then the DDL comes from the catalog, and says what it leaves out"""
    pipeline.on(pipeline.legacy, """CREATE TABLE "StudentGrade" ("StudentID" int PRIMARY KEY, "Grade" numeric(4,2) NOT NULL)""")
    pipeline.config["names"] = "snake_case"
    pipeline.prepare()
    code, out, err = pipeline.crossfade("schema")
    assert code == 0, err
    assert out.startswith("--") and "yours to add" in out
    pipeline.on(pipeline.target, out)
    pipeline.roles()
    code, findings = pipeline.check()
    assert code == 0, fails(findings)


def fake_pg_dump(directory, version):
    path = os.path.join(directory, "pg_dump")
    with open(path, "w") as f:
        f.write(f"""#!/bin/sh
printf '%s\\n' "$@" >> {directory}/argv
printf '%s' "$PGPASSWORD" > {directory}/password
[ "$1" = --version ] && echo 'pg_dump (PostgreSQL) {version}' && exit 0
exit 7
""")
    os.chmod(path, 0o755)
    return {"PG_DUMP": path}


def test_schema_refuses_an_older_pg_dump(pipeline):
    """A pg_dump older than the server is refused with that reason"""
    pipeline.on(pipeline.legacy, "CREATE TABLE gone (id int PRIMARY KEY)")
    pipeline.roles()
    code, out, err = pipeline.crossfade("schema", env=fake_pg_dump(pipeline.dir, "9.6.24"))
    assert code == 2 and "too old" in err and "PG_DUMP" in err and not out
    code, out, err = pipeline.crossfade("schema", env={"PG_DUMP": "/nowhere/pg_dump"})
    assert code == 2 and "/nowhere/pg_dump" in err


def test_schema_keeps_the_password_off_the_command_line(pipeline):
    """The password goes by the environment, never by argv, and pg_dump's failure is ours"""
    pipeline.on(pipeline.legacy, "CREATE TABLE gone (id int PRIMARY KEY)")
    pipeline.roles()
    secret = "pa'ss \\word"
    pipeline.config["legacy"]["password"] = "env:LEGACY_SECRET"
    env = dict(fake_pg_dump(pipeline.dir, "99.1"), LEGACY_SECRET=secret)
    code, out, err = pipeline.crossfade("schema", env=env)
    assert code == 3, err
    assert open(os.path.join(pipeline.dir, "password")).read() == secret
    assert "word" not in open(os.path.join(pipeline.dir, "argv")).read()
    assert "word" not in err


def test_pooler_in_transaction_mode_is_refused(pipeline, base):
    """PgBouncer between: refused in transaction mode, a warning in session mode"""
    pgbouncer = os.environ.get("CROSSFADE_TEST_PGBOUNCER", "/usr/sbin/pgbouncer")
    if not os.path.exists(pgbouncer):
        pytest.skip("pgbouncer is not installed")
    simple(pipeline)
    for mode, level in (("transaction", "fail"), ("session", "warn")):
        directory = os.path.join(base, f"{pipeline.name}-{mode}")
        os.makedirs(directory)
        os.chmod(directory, 0o777)
        ini = os.path.join(directory, "pgbouncer.ini")
        with open(os.path.join(directory, "users"), "w") as f:
            f.write(f'"{SOURCE_ROLE}" ""\n"{TARGET_ROLE}" ""\n')
        with open(ini, "w") as f:
            f.write(f"[databases]\n{pipeline.name} = host={pipeline.target.server.dir} port=5432\n[pgbouncer]\nlisten_addr =\n"
                    f"unix_socket_dir = {directory}\nlisten_port = 6432\npool_mode = {mode}\nauth_type = trust\n"
                    f"auth_file = {directory}/users\nlogfile = {directory}/log\nignore_startup_parameters = extra_float_digits,options\n")
        argv = [pgbouncer, ini]
        process = subprocess.Popen(argv, user=pipeline.target.server.user or None, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 10
            while not os.path.exists(os.path.join(directory, ".s.PGSQL.6432")):
                assert time.monotonic() < deadline, open(os.path.join(directory, "log")).read()
                time.sleep(0.05)
            pipeline.config["target"]["conninfo"] = f"host={directory} port=6432 dbname={pipeline.name} user={TARGET_ROLE}"
            code, out, err = pipeline.crossfade("check", "--json")
            one(json.loads(out)["findings"], "pooler", level, "target")
        finally:
            process.terminate()
            process.wait(10)


def test_unknown_options_are_usage_errors(pipeline):
    """Exit status 2"""
    simple(pipeline)
    assert pipeline.crossfade("check", "--nonsense")[0] == 2
    assert pipeline.crossfade("schema", "--section", "middle")[0] == 2
    assert os.path.exists(program("crossfade"))
