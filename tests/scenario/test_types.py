# SPDX-License-Identifier: PostgreSQL
"""Every built-in type, with the values at its ends: copied, streamed as insert and as update, to the same and to a
different type."""
import pytest

VALUES = {
    "smallint": ["-32768", "32767", "0"],
    "integer": ["-2147483648", "2147483647"],
    "bigint": ["-9223372036854775808", "9223372036854775807"],
    "numeric": ["'NaN'", "0", "'-0.00'", "1e-1000", "repeat('9', 1000)::numeric", "('0.' || repeat('1', 1000))::numeric", "1.0", "1.00", "1e131071"],
    "numeric(10,3)": ["1234567.891", "'NaN'"],
    "real": ["'NaN'", "'Infinity'", "'-Infinity'", "1e-45", "3.4028235e38", "'-0'", "0.1"],
    "double precision": ["'NaN'", "'Infinity'", "'-Infinity'", "5e-324", "1.7976931348623157e308", "'-0'", "0.1", "0.30000000000000004"],
    "money": ["'-92233720368547758.08'", "'92233720368547758.07'"],
    "boolean": ["true", "false"],
    "text": ["''", "'NULL'", "'\\\\N'", "E'a\\tb\\nc\\\\d\\r'", "'𝄞é漢字'", "repeat('x', 100000)", "chr(1114109)", "E'\\x01'"],
    "varchar(10)": ["''", "'0123456789'", "'a b '"],
    "char(5)": ["''", "'ab'", "'abcde'"],
    '"char"': ["'a'", "''", "'\\200'"],
    "name": ["'n'", "repeat('n', 63)"],
    "bytea": ["''", "'\\x00'", "decode(repeat('00ff5c0a', 10000), 'hex')"],
    "date": ["'4713-01-01 BC'", "'5874897-12-31'", "'infinity'", "'-infinity'", "'2000-02-29'", "'0001-01-01 BC'"],
    "time": ["'00:00'", "'24:00:00'", "'23:59:59.999999'"],
    "timetz": ["'00:00+15:59:59'", "'24:00:00-15:59:59'"],
    "timestamp": ["'4713-01-01 00:00:00 BC'", "'294276-12-31 23:59:59.999999'", "'infinity'", "'-infinity'"],
    "timestamptz": ["'4713-01-02 00:00:00+00 BC'", "'294276-12-31 23:59:59.999999+00'", "'infinity'", "'-infinity'", "'1883-11-18 12:00:00-05'"],
    "timestamptz(3)": ["'2024-01-01 00:00:00.123+00'"],
    "interval": ["'178000000 years'", "'-178000000 years'", "'1 mon -1 day +1 us'", "'0'"],
    "uuid": ["'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"],
    "json": ["'null'", "'{\"a\": 1, \"a\": 2}'", "'  [1 ,2]  '", "'\"\\u00e9\"'", "'1e1000'"],
    "jsonb": ["'null'", "'{\"a\": [1.50, \"x\", null]}'", "'\"𝄞\"'", "'1e1000'", "'{}'"],
    "jsonpath": ["'$.a[*] ? (@ > 1)'"],
    "xml": ["'<a>é</a>'"],
    "bit(3)": ["B'101'", "B'000'"],
    "bit varying": ["B''", "repeat('10', 1000)::bit varying"],
    "inet": ["'0.0.0.0'", "'::1/128'", "'10.1.2.3/8'", "'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'"],
    "cidr": ["'10.0.0.0/8'", "'::/0'"],
    "macaddr": ["'ff:ff:ff:ff:ff:ff'"],
    "macaddr8": ["'00:00:00:00:00:00:00:01'"],
    "point": ["'(1.5,-2e300)'", "'(NaN,Infinity)'"],
    "line": ["'{1,2,3}'"], "lseg": ["'[(0,0),(1,1)]'"], "box": ["'(1,1),(0,0)'"], "path": ["'[(0,0),(1,1)]'", "'((0,0),(1,1))'"],
    "polygon": ["'((0,0),(1,1),(2,0))'"], "circle": ["'<(0,0),1>'"],
    "tsvector": ["''", "'a:1A b:2,3 ''q q'''"], "tsquery": ["'a & !b | ''c d'''", "''"],
    "int4range": ["'empty'", "'(,)'", "'[1,5)'"], "numrange": ["'[1.0,1.00]'"], "tstzrange": ["'[2024-01-01 00:00Z,infinity]'"], "daterange": ["'(,2024-01-01)'"],
    "int4multirange": ["'{}'", "'{[1,2),[5,)}'"],
    "integer[]": ["'{}'", "'{NULL}'", "'{{1,2},{3,NULL}}'", "'[-5:-4]={1,2}'"],
    "text[]": ["'{}'", "'{\"\",NULL,\"NULL\",\"a,b\",\"{\\\"}\"}'"],
    "bytea[]": ["ARRAY['\\x00'::bytea, NULL]"], "numeric[]": ["'{NaN,1.10}'"], "timestamptz[]": ["'{infinity,\"2024-01-01 00:00Z\"}'"], "jsonb[]": ["ARRAY['{\"a\": \"}\"}'::jsonb]"],
    "oid": ["0", "4294967295"], "xid": ["'4294967295'"], "cid": ["'5'"], "tid": ["'(4294967295,65535)'"], "xid8": ["'18446744073709551615'"],
    "pg_lsn": ["'FFFFFFFF/FFFFFFFF'", "'0/0'"], "pg_snapshot": ["'10:20:10,14,15'"], "txid_snapshot": ["'10:20:10'"],
    "regclass": ["'pg_class'", "0"], "regtype": ["'int4'"], "regproc": ["0"], "oidvector": ["'1 2 3'"], "int2vector": ["'1 -2'"],
    "mood": ["'sad'", "'so \"so\"'"], "mood[]": ["'{sad,NULL}'"],
    "pos": ["7"], "pos[]": ["'{1,2}'"], "pair": ["'(1,\"a,\"\"b\")'", "'(,)'"], "pair[]": ["ARRAY['(1,x)'::pair, NULL]"], "pos_pair": ["'(3,y)'"],
    "mood_range": ["'[a,z)'"], "hstore": ["'a=>1, b=>NULL'", "''"], "citext": ["'MiXed'"], "ltree": ["'a.b.c'"],
}
DDL = """CREATE TYPE mood AS ENUM ('happy', 'so "so"', 'sad'); CREATE DOMAIN pos AS int CHECK (VALUE > 0);
CREATE TYPE pair AS (a int, b text); CREATE DOMAIN pos_pair AS pair; CREATE TYPE mood_range AS RANGE (subtype = text);"""
EXTENSIONS = "CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION ltree;"


def tables():
    """(name, type, values)"""
    return [(f"t{i}", t, v) for i, (t, v) in enumerate(VALUES.items())]


def test_every_type(pipeline):
    """Every built-in type with extreme values: copied, inserted, updated and deleted, all equal"""
    for d in (pipeline.legacy, pipeline.target):
        # oids of types made on both sides differ
        if d is pipeline.target:
            d.execute("CREATE TYPE waste AS ENUM ('a'); CREATE TYPE waste2 AS (a int); CREATE DOMAIN waste3 AS int")
        d.execute(EXTENSIONS)
    pipeline.both(DDL + "".join(f"CREATE TABLE {n} (id int PRIMARY KEY, v {t}, n int DEFAULT 0);" for n, t, _ in tables()))

    def fill(offset):
        return "".join(f"INSERT INTO {n} (id, v) VALUES ({offset + i}, {v});\n" for n, _, values in tables() for i, v in enumerate([*values, "NULL"]))
    pipeline.legacy.psql("SET standard_conforming_strings = on;" + fill(0))
    pipeline.prepare()
    r = pipeline.start(ready=True)
    bad = {k: v for k, v in r.tables().items() if v["state"] != "streaming"}
    assert not bad, bad
    pipeline.assert_equal()
    pipeline.legacy.psql(fill(1000))
    pipeline.wait_equal(r)
    # each value turned into each other one of its table, and rows with only another column changed
    pipeline.legacy.psql("".join(f"UPDATE {n} a SET v = (SELECT v FROM {n} b WHERE b.id = 1000 + (a.id + 1) % {len(v) + 1}) WHERE id < 1000; UPDATE {n} SET n = 1 WHERE id >= 1000;"
                                 f"UPDATE {n} SET id = id + 5000 WHERE id > 1000; DELETE FROM {n} WHERE id = 0;\n" for n, _, v in tables()))
    pipeline.wait_equal(r, 90)
    # and as one backlog in one transaction
    r.stop()
    pipeline.legacy.psql("BEGIN;" + "".join(f"DELETE FROM {n};" for n, _, _ in tables()) + fill(0) + fill(1000) + "COMMIT;")
    r = pipeline.start(ready=True)
    pipeline.wait_equal(r, 90)
    # and by way of what is parked
    assert pipeline.crossfade("pause", "--group", "default")[0] == 0
    r.wait(lambda: all(t["state"] == "paused" for t in r.tables().values()), 30, "all are paused")
    pipeline.legacy.psql("".join(f"UPDATE {n} a SET v = (SELECT v FROM {n} b WHERE b.id = 1000 + (a.id + 1) % {len(v) + 1}) WHERE id < 1000; UPDATE {n} SET n = 2 WHERE id > 1000;"
                                 f"UPDATE {n} SET id = id + 5000 WHERE id > 1000; DELETE FROM {n} WHERE id = 0;\n" for n, _, v in tables()))
    pipeline.wait_applied(r, 90)
    assert all(t["parked"] > 0 for t in r.tables().values())
    assert pipeline.crossfade("resume", "--group", "default")[0] == 0
    r.wait(lambda: all(t["state"] == "streaming" for t in r.tables().values()), 60, "all stream again")
    pipeline.wait_equal(r, 90)
    assert all(t["quarantined"] == 0 for t in r.tables().values())


@pytest.mark.parametrize("identity", ["key", "FULL"])
def test_every_type_as_a_key(pipeline, identity):
    """Every type that can be a key, as the primary key or in a replica identity full table: found again by each value"""
    for d in (pipeline.legacy, pipeline.target):
        d.execute(EXTENSIONS)
    pipeline.both(DDL)
    skip = {"json", "xml", "point", "line", "lseg", "box", "path", "polygon", "circle", "jsonpath", "xid", "cid", "txid_snapshot", "pg_snapshot"}
    chosen = []
    for n, t, v in tables():
        if t in skip and identity == "key":
            continue
        chosen.append((n, t, v))
        if identity == "key":
            pipeline.both(f"CREATE TABLE {n} (v {t} PRIMARY KEY, n int);")
        else:
            pipeline.both(f"CREATE TABLE {n} (v {t}, n int); ALTER TABLE {n} REPLICA IDENTITY FULL;")
    conflict = " ON CONFLICT DO NOTHING" if identity == "key" else ""
    fill = "".join(f"INSERT INTO {n} VALUES ({v[0]}, 0){conflict};\n" for n, _, v in chosen)
    pipeline.legacy.psql(fill)
    pipeline.prepare()
    r = pipeline.start(ready=True)
    pipeline.assert_equal()
    more = "".join(f"INSERT INTO {n} VALUES ({x}, {i}){conflict};\n" for n, _, v in chosen for i, x in enumerate(v[1:], 1))
    pipeline.legacy.psql(more)
    pipeline.wait_equal(r)
    pipeline.legacy.psql("".join(f"UPDATE {n} SET n = n + 10; \n" for n, _, _ in chosen))
    pipeline.wait_equal(r)
    pipeline.legacy.psql("".join(f"DELETE FROM {n} WHERE n = 10;\n" for n, _, _ in chosen))
    pipeline.wait_equal(r)
    assert all(t["quarantined"] == 0 and t["conflicts"] == 0 for t in r.tables().values()), r.tables()


PAIRS = [("smallint", "bigint", "-32768"), ("integer", "numeric", "2147483647"), ("real", "double precision", "0.5"), ("varchar(20)", "text", "'é x'"),
         ("text", "varchar(50)", "'short'"), ("json", "jsonb", "'{\"a\": 1}'"), ("timestamp", "timestamptz", "'2024-06-01 12:00:00'"), ("char(4)", "text", "'ab'"),
         ("mood", "text", "'sad'"), ("text", "mood", "'happy'"), ("uuid", "text", "'00000000-0000-0000-0000-000000000001'"), ("integer[]", "bigint[]", "'{1,NULL}'"),
         ("inet", "text", "'10.0.0.1/8'"), ("pos", "integer", "5"), ("integer", "pos", "6"), ("numeric", "numeric(12,4)", "1.5")]


def test_to_another_type(pipeline):
    """A target column of another type that can hold the value: by text, copied and streamed"""
    pipeline.both(DDL)
    for i, (a, b, _) in enumerate(PAIRS):
        pipeline.on(pipeline.legacy, f"CREATE TABLE t{i} (id int PRIMARY KEY, v {a});")
        pipeline.on(pipeline.target, f"CREATE TABLE t{i} (id bigint PRIMARY KEY, v {b});")
        pipeline.legacy.execute(f"INSERT INTO t{i} VALUES (1, {PAIRS[i][2]}), (2, NULL)")
    pipeline.prepare()
    r = pipeline.start(ready=True)
    for i, (_, _, v) in enumerate(PAIRS):
        pipeline.legacy.execute(f"INSERT INTO t{i} VALUES (3, {v}); UPDATE t{i} SET v = {v} WHERE id = 2; DELETE FROM t{i} WHERE id = 1")
    pipeline.wait_applied(r)
    for i, (a, b, _) in enumerate(PAIRS):
        # a cast from char(n) takes its blanks away; they are part of what is carried
        want = "format('%s', v)" if a in ("mood", "char(4)") else f"v::{b}::text"
        x = pipeline.legacy.query(f"SET timezone = 'UTC'; SELECT id, {want} FROM t{i} ORDER BY id")
        y = pipeline.target.query(f"SET timezone = 'UTC'; SELECT id, v::text FROM t{i} ORDER BY id")
        assert x == y, (a, b, x, y, r.tables()[f"public.t{i}"])


KEYS = [("char(4)", "text", ["'ab'", "'abcd'", "''"]), ("integer", "bigint", ["-1", "7", "0"]), ("integer", "numeric", ["-1", "7", "0"]),
        ("bigint", "integer", ["5", "6", "7"]), ("numeric", "numeric(20,4)", ["1.5", "2", "3.00"]), ("numeric", "numeric", ["1.0", "2.50", "0"]),
        ("varchar(9)", "text", ["'a'", "'A'", "'é '"]), ("uuid", "text", ["'00000000-0000-0000-0000-000000000001'", "'00000000-0000-0000-0000-00000000000a'", "gen_random_uuid()"]),
        ("text", "uuid", ["'00000000-0000-0000-0000-000000000001'", "'00000000-0000-0000-0000-00000000000a'", "'00000000-0000-0000-0000-00000000000b'"]),
        ("integer", "text", ["10", "9", "-3"]), ("mood", "text", ["'sad'", "'happy'", "'so \"so\"'"]), ("text", "mood", ["'sad'", "'happy'", "'so \"so\"'"]),
        ("date", "timestamp", ["'2024-02-29'", "'infinity'", "'0001-01-01 BC'"]), ("pos", "bigint", ["1", "2", "3"]), ("integer", "pos", ["1", "2", "3"]),
        ("text", "varchar(30)", ["'x'", "''", "' '"]), ("integer[]", "bigint[]", ["'{1,2}'", "'{}'", "'{NULL}'"]), ("inet", "text", ["'10.0.0.1'", "'10.0.0.0/8'", "'::1'"])]


def test_keys_of_another_type(pipeline):
    """A key whose type differs on the target: rows are found by it, moved, deleted, and upserted from one backlog"""
    pipeline.both(DDL)
    for i, (a, b, values) in enumerate(KEYS):
        pipeline.on(pipeline.legacy, f"CREATE TABLE t{i} (k {a} PRIMARY KEY, v int);")
        pipeline.on(pipeline.target, f"CREATE TABLE t{i} (k {b} PRIMARY KEY, v int);")
        pipeline.legacy.execute(f"INSERT INTO t{i} VALUES ({values[0]}, 0), ({values[1]}, 1)")

    def equal(step):
        pipeline.wait_applied(r)
        for i, (a, b, _) in enumerate(KEYS):
            cast = "" if b == "text" else f"::{b}"
            x = pipeline.legacy.query(f"SELECT format('%s', k{cast}), v FROM t{i}")
            y = pipeline.target.query(f"SELECT format('%s', k), v FROM t{i}")
            assert sorted(x) == sorted(y), (step, a, b, x, y, r.tables()[f"public.t{i}"])

    def each(statement):
        return "".join(statement.format(t=f"t{i}", a=v[0], b=v[1], c=v[2]) + ";\n" for i, (_, _, v) in enumerate(KEYS))
    pipeline.prepare()
    r = pipeline.start(ready=True)
    equal("copied")
    pipeline.legacy.psql(each("UPDATE {t} SET v = v + 10"))
    equal("updated")
    pipeline.legacy.psql(each("UPDATE {t} SET k = {c}, v = v + 1 WHERE v = 10"))
    equal("moved")
    pipeline.legacy.psql(each("INSERT INTO {t} VALUES ({a}, 5); DELETE FROM {t} WHERE v = 11 AND k = {b}"))
    equal("deleted")
    r.stop()
    swap = "BEGIN; DELETE FROM {t}; INSERT INTO {t} VALUES ({a}, 1), ({b}, 2); UPDATE {t} SET k = {c} WHERE v = 1; UPDATE {t} SET k = {a} WHERE v = 2; UPDATE {t} SET k = {b} WHERE v = 1; COMMIT"
    pipeline.legacy.psql(each(swap) + each("UPDATE {t} SET v = v * 2; UPDATE {t} SET v = v + 1 WHERE v = 4"))
    r = pipeline.start(ready=True)
    equal("from one backlog")
    bad = {k: t for k, t in r.tables().items() if t["conflicts"] or t["quarantined"] or t["state"] != "streaming"}
    assert not bad, bad


def test_value_that_does_not_fit(pipeline):
    """A value that the target's column cannot hold: quarantined with its later changes, the others go on; retry after the repair"""
    import json
    pipeline.on(pipeline.legacy, "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE o (id int PRIMARY KEY);")
    pipeline.on(pipeline.target, "CREATE TABLE t (id int PRIMARY KEY, v varchar(5)); CREATE TABLE o (id int PRIMARY KEY);")
    pipeline.legacy.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    pipeline.prepare()
    r = pipeline.start(ready=True)
    # one by one: of what comes in one batch only a key's last word is written
    pipeline.legacy.psql("UPDATE t SET v = 'much too long' WHERE id = 1; UPDATE t SET v = 'ok' WHERE id = 2;")
    r.wait(lambda: r.tables()["public.t"]["quarantined"] == 1, 30, "the value is set aside")
    pipeline.legacy.psql("UPDATE t SET v = 'fits' WHERE id = 1; INSERT INTO o VALUES (1);")
    r.wait(lambda: pipeline.target.one("SELECT count(*) FROM o") == 1, 30)
    r.wait(lambda: r.tables()["public.t"]["quarantined"] >= 2, 20, "the key's later change waits too")
    assert pipeline.target.query("SELECT id, v FROM t ORDER BY 1") == [(1, "a"), (2, "ok")]
    code, out, _ = pipeline.crossfade("quarantine", "--json", "list")
    assert code == 0
    listed = json.loads(out)
    rows = listed if isinstance(listed, list) else next(v for v in listed.values() if isinstance(v, list))
    assert len(rows) == 2
    code, out, _ = pipeline.crossfade("quarantine", "show", str(rows[0]["id"]))
    assert code == 0 and "22001" in out
    pipeline.on(pipeline.target, "ALTER TABLE t ALTER v TYPE text")
    code, out, err = pipeline.crossfade("quarantine", "retry", *[str(x["id"]) for x in rows])
    assert code == 0, out + err
    r.wait(lambda: r.tables()["public.t"]["quarantined"] == 0, 30, "retried")
    pipeline.wait_equal(r)


def test_generated_and_identity_columns(pipeline):
    """Generated columns are computed by the target, identity columns keep the source's values"""
    pipeline.both("""CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int, b int GENERATED ALWAYS AS (a * 2) STORED,
                                     c bigint GENERATED BY DEFAULT AS IDENTITY);
                     CREATE TABLE u (id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) STORED);""")
    pipeline.legacy.execute("INSERT INTO t (a) SELECT generate_series(1, 50); INSERT INTO u SELECT generate_series(1, 50), 7; DELETE FROM t WHERE id < 10")
    pipeline.prepare()
    r = pipeline.start(ready=True)
    pipeline.legacy.execute("INSERT INTO t (a) VALUES (500); UPDATE t SET a = 1 WHERE id = 20; UPDATE t SET id = DEFAULT WHERE id = 21; UPDATE u SET a = 9 WHERE id < 5; DELETE FROM u WHERE id > 40")
    pipeline.wait_equal(r)


def test_values_of_100_megabytes(pipeline):
    """Empty and 100 MB values are copied and streamed whole"""
    pipeline.config["memory_limit"] = "256MB"
    pipeline.config["value_limit"] = "512MB"
    pipeline.both("CREATE TABLE t (id int PRIMARY KEY, b bytea, s text); ALTER TABLE t ALTER b SET STORAGE EXTERNAL, ALTER s SET STORAGE EXTERNAL;")
    big = "decode(repeat('00ff', 50000000), 'hex')"
    pipeline.legacy.execute(f"INSERT INTO t VALUES (1, {big}, ''), (2, '', 'x')")
    pipeline.prepare()
    r = pipeline.start(ready=True, deadline=120)
    pipeline.legacy.execute(f"INSERT INTO t VALUES (3, {big}, 'y'); UPDATE t SET s = 'z'")
    pipeline.wait_equal(r, 120)
