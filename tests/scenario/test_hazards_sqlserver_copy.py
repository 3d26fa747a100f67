# SPDX-License-Identifier: PostgreSQL
"""HAZARDS.md 16, 18, 25, 37, 38, 47, 50, 52 to 54, with a SQL Server as the legacy: keys of all kinds in chunks under writes,
values, a transaction larger than memory, another history, dead links. Titled by the hazard's number and text."""
import os
import random
import re
import threading
import time
import uuid

import pymssql
import pytest

from lib.process import wait_for

T = "CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY, v nvarchar(40) NULL)"
T_PG = "CREATE TABLE t (id int PRIMARY KEY, v text);"


def ends(m, code, *patterns, deadline=40):
    r = m.pipeline.start("--until-caught-up")
    assert r.wait_exit(deadline) == code, r.tail()
    for p in patterns:
        assert re.search(p, r.log, re.I), f"no {p!r} in\n{r.tail()}"
    return r


def insert(source, table, rows, piece=200):
    """Rows are tuples of T-SQL literals."""
    c = source.connect()
    with c.cursor() as cur:
        for i in range(0, len(rows), piece):
            cur.execute(f"INSERT INTO dbo.{table} VALUES " + ", ".join("(" + ", ".join(r) + ")" for r in rows[i:i + piece]))
    c.close()


# -- keys ----------------------------------------------------------------------------------------------------------------

KEYS = {
    "guid": ("uniqueidentifier NOT NULL", "uuid", lambda i, rnd: f"'{uuid.UUID(int=rnd.getrandbits(128))}'"),
    "nvarchar": ("nvarchar(30) NOT NULL", "text", lambda i, rnd: "N'" + rnd.choice(["k", "K", "_", "-", "é", "Z", "ß", "あ"]) + rnd.choice("aAbB-_ 9") + f"{i}'"),
    "varchar": ("varchar(20) COLLATE Latin1_General_BIN2 NOT NULL", "text", lambda i, rnd: "'" + rnd.choice("aAzZ_-") + f"{i}'"),
    "decimal": ("decimal(20,6) NOT NULL", "numeric(20,6)", lambda i, rnd: f"{rnd.randint(-10**9, 10**9)}.{i:06d}"),
    "datetime": ("datetime2(7) NOT NULL", "timestamp", lambda i, rnd: f"'20{rnd.randint(10, 30)}-0{rnd.randint(1, 9)}-11T10:00:00.{i:06d}0'"),
    "varbinary": ("varbinary(16) NOT NULL", "bytea", lambda i, rnd: f"0x{rnd.getrandbits(32):08x}{i:04x}"),
}


@pytest.mark.parametrize("kind", KEYS)
def test_18_keys_order_differently(moving, kind):
    """18: keys that the two servers order differently: the server orders, bounds are carried untouched, nothing is skipped"""
    ms, pg, make = KEYS[kind]
    rnd = random.Random(18)
    m = moving
    m.pipeline.config["backfill"] = {"workers": 2, "chunk_rows": 40}
    if kind == "datetime":
        m.selects["t", "k"], m.target_selects["t", "k"] = (x.format(c="k") for x in DATETIME)
    m.prepare(f"CREATE TABLE dbo.t (k {ms} PRIMARY KEY, n int NOT NULL)", f"CREATE TABLE t (k {pg} PRIMARY KEY, n int NOT NULL);")
    insert(m.source, "t", [(make(i, rnd), str(i)) for i in range(430)])
    m.pipeline.move()
    assert m.target.one("SELECT count(*) FROM t") == 430
    assert m.target.one("SELECT count(*) FROM crossfade.chunk WHERE pipeline = %s", (m.pipeline.name,)) >= 5, "not in chunks"
    m.assert_equal()
    m.source.execute("UPDATE dbo.t SET n = n + 1000 WHERE n % 3 = 0; DELETE FROM dbo.t WHERE n % 7 = 1")
    m.pipeline.move()
    m.assert_equal()


def test_18_composite_key(moving):
    """18: a composite key of a text in mixed case, a GUID and a descending number, in chunks"""
    rnd = random.Random(19)
    m = moving
    m.pipeline.config["backfill"] = {"workers": 2, "chunk_rows": 40}
    m.prepare("CREATE TABLE dbo.t (a nvarchar(10) NOT NULL, g uniqueidentifier NOT NULL, b int NOT NULL, v int NULL, "
              "CONSTRAINT pk_t PRIMARY KEY (a, b DESC, g))",
              "CREATE TABLE t (a text, g uuid, b int, v int, PRIMARY KEY (a, b, g));")
    insert(m.source, "t", [(f"N'{rnd.choice('aAbBéÉzZ')}{rnd.randint(0, 4)}'", f"'{uuid.UUID(int=rnd.getrandbits(128))}'", str(rnd.randint(-5, 5)), str(i)) for i in range(400)])
    m.pipeline.move()
    m.assert_equal()
    m.source.execute("UPDATE dbo.t SET a = N'moved', b = b + 100 WHERE v % 5 = 0; DELETE FROM dbo.t WHERE v % 11 = 0")
    m.pipeline.move()
    m.assert_equal()


def test_37_keyless_table(moving):
    """37: a table without a key: copied under a boundary that is exact, its rows matched with their multiplicity"""
    m = moving.prepare("CREATE TABLE dbo.log (a int NULL, b varchar(20) NULL)", "CREATE TABLE log (a int, b text);")
    insert(m.source, "log", [(str(i % 7), "NULL" if i % 5 == 0 else f"'b{i % 3}'") for i in range(200)])
    ended = threading.Event()

    def write():
        i = 0
        while not ended.is_set():
            m.source.execute(f"INSERT INTO dbo.log VALUES ({i % 7}, 'new'); DELETE FROM dbo.log WHERE a = {i % 3} AND b = 'new'")
            i += 1
    writer = threading.Thread(target=write)
    writer.start()
    try:
        r = m.pipeline.start(ready=True)
    finally:
        ended.set()
        writer.join()
    m.source.execute("UPDATE dbo.log SET b = 'twice' WHERE a = 1; DELETE FROM dbo.log WHERE a = 2")
    m.wait_equal(r)


def test_38_chunks_under_writes(moving):
    """38: keys that move between chunks, are deleted and used again while the chunks are read: in both sides once"""
    m = moving
    m.pipeline.config["backfill"] = {"workers": 2, "chunk_rows": 50, "rate_limit": "100kB"}
    m.prepare("CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY, v nvarchar(40) NULL, big nvarchar(max) NULL, u varchar(20) NULL)",
              "CREATE TABLE t (id int PRIMARY KEY, v text, big text, u text UNIQUE);")
    insert(m.source, "t", [(str(i), f"N'v{i}'", "REPLICATE(N'x', 200)", f"'u{i}'") for i in range(1000)], 100)
    ended = threading.Event()
    counts = [0]

    def write(seed):
        rnd = random.Random(seed)
        c = m.source.connect()
        with c.cursor() as cur:
            while not ended.is_set():
                a = rnd.randrange(1000)
                statement = rnd.choice([
                    f"UPDATE dbo.t SET id = id + 100000 WHERE id = {a}",
                    f"UPDATE dbo.t SET id = id - 100000 WHERE id = {a + 100000}",
                    f"DELETE FROM dbo.t WHERE id = {a}",
                    f"DELETE FROM dbo.t WHERE id = {a}; INSERT INTO dbo.t VALUES ({a}, N'again', N'new', NULL)",
                    f"UPDATE dbo.t SET v = N'w{rnd.random()}' WHERE id BETWEEN {a} AND {a + 5}",
                    f"UPDATE dbo.t SET big = NULL WHERE id = {a}"])
                try:
                    cur.execute(statement)
                    counts[0] += 1
                except pymssql.IntegrityError:
                    continue  # the key is taken
        c.close()
    writers = [threading.Thread(target=write, args=(i,)) for i in range(2)]
    for w in writers:
        w.start()
    try:
        r = m.pipeline.start(ready=True)
    finally:
        ended.set()
        for w in writers:
            w.join()
    assert counts[0] > 20
    m.wait_equal(r)
    assert all(t["quarantined"] == t["parked"] == 0 for t in r.tables().values())


# -- values --------------------------------------------------------------------------------------------------------------

def test_25_one_key_there_three_here(moving):
    """25: 'a', 'A' and 'a ' are one key there: a key that changes only its case or blanks changes here, too"""
    m = moving.prepare("CREATE TABLE dbo.t (k varchar(10) NOT NULL PRIMARY KEY, v int NULL) INSERT INTO dbo.t VALUES ('a', 1), ('b', 2), ('c', 3)",
                       "CREATE TABLE t (k text PRIMARY KEY, v int);")
    r = m.pipeline.start(ready=True)
    m.source.execute("UPDATE dbo.t SET k = 'A' WHERE k = 'a'; UPDATE dbo.t SET k = 'b ' WHERE k = 'b'; UPDATE dbo.t SET v = 9 WHERE k = 'a'")
    m.source.execute("DELETE FROM dbo.t WHERE k = 'C'; INSERT INTO dbo.t VALUES ('C ', 4); UPDATE dbo.t SET v = v + 10 WHERE k IN ('B', 'c')")
    m.wait_equal(r)
    assert sorted(m.target.query("SELECT k, v FROM t")) == [("A", 9), ("C ", 14), ("b ", 12)]


def test_25_nul_and_lone_surrogates(moving):
    """25: NUL and half a surrogate pair, which no PostgreSQL text holds: their keys go to quarantine, others go on"""
    m = moving.prepare(T + " INSERT INTO dbo.t VALUES (1, N'one'), (2, N'two')", T_PG)
    r = m.pipeline.start(ready=True)
    m.source.execute("UPDATE dbo.t SET v = N'before' + NCHAR(0) + N'after' WHERE id = 1")
    m.source.execute("UPDATE dbo.t SET v = NCHAR(55357) + N'x' WHERE id = 2; INSERT INTO dbo.t VALUES (3, N'good 𝄞')")
    r.wait(lambda: r.tables()["dbo.t"]["quarantined"] == 2, 30, "they are refused")
    r.wait(lambda: m.target.query("SELECT id, v FROM t ORDER BY id") == [(1, "one"), (2, "two"), (3, "good 𝄞")], 30, "the other row is there")
    assert r.tables()["dbo.t"]["state"] == "streaming"
    assert m.target.query("SELECT DISTINCT sqlstate FROM crossfade.quarantine") == [("22021",)]


def test_47_session_settings(moving):
    """47: a DB-Library session has ANSI_WARNINGS and others off: ours are pinned, as a trigger sees them in our writes"""
    m = moving.prepare(T + " INSERT INTO dbo.t VALUES (1, N'one')", T_PG)
    names = ("ANSI_NULLS", "ANSI_PADDING", "ANSI_WARNINGS", "ARITHABORT", "CONCAT_NULL_YIELDS_NULL", "QUOTED_IDENTIFIER", "NUMERIC_ROUNDABORT")
    m.source.execute("CREATE TABLE dbo.seen (n int NOT NULL IDENTITY(1,1) PRIMARY KEY, " + ", ".join(f"{n} int NULL" for n in names) + ", x int NULL)")
    m.source.execute("CREATE TRIGGER crossfade.look ON crossfade.marker AFTER INSERT, UPDATE AS INSERT INTO dbo.seen VALUES ("
                     + ", ".join(f"CONVERT(int, SESSIONPROPERTY('{n}'))" for n in names) + ", @@OPTIONS & 16384)")
    m.pipeline.config["tables"] = ["dbo.t"]
    m.pipeline.move()
    rows = m.source.query("SELECT " + ", ".join(names) + ", x FROM dbo.seen")
    assert rows and set(rows) == {(1, 1, 1, 1, 1, 1, 0, 16384)}, rows


TYPES = [  # T-SQL type, PostgreSQL type, values, how pymssql is asked for it (None: as it is)
    ("bit", "boolean", ["0", "1"], None),
    ("tinyint", "smallint", ["0", "255"], None),
    ("smallint", "smallint", ["-32768", "32767"], None),
    ("int", "integer", ["-2147483648", "2147483647"], None),
    ("bigint", "bigint", ["-9223372036854775808", "9223372036854775807"], None),
    ("decimal(38,0)", "numeric(38,0)", ["-" + "9" * 38, "9" * 38, "0"], None),
    ("decimal(38,38)", "numeric(38,38)", ["0." + "9" * 38, "-0." + "0" * 37 + "1"], None),
    ("numeric(10,2)", "numeric(10,2)", ["-99999999.99", "0.01", "100"], None),
    ("money", "numeric(19,4)", ["-922337203685477.5808", "922337203685477.5807", "0.0001"], None),
    ("smallmoney", "numeric(10,4)", ["-214748.3648", "214748.3647"], None),
    ("float", "double precision", ["-1.7976931348623157E308", "2.2250738585072014E-308", "0.1", "0"], None),
    ("real", "real", ["-3.4028235E38", "1.17549435E-38", "0.5"], None),
    ("date", "date", ["'0001-01-01'", "'9999-12-31'", "'2000-02-29'"], None),
    ("time(7)", "time(6)", ["'00:00:00'", "'23:59:59.999999'", "'12:34:56.123456'"], "CONVERT(varchar(15), CONVERT(time(6), [{c}]))"),
    ("time(0)", "time(0)", ["'23:59:59'"], "CONVERT(varchar(15), [{c}])"),
    ("smalldatetime", "timestamp", ["'1900-01-01T00:00:00'", "'2079-06-06T23:59:00'"], None),
    ("datetime", "timestamp(3)", ["'1753-01-01T00:00:00'", "'9999-12-31T23:59:59.997'", "'2020-05-05T10:00:00.003'"], None),
    ("datetime2(6)", "timestamp", ["'0001-01-01T00:00:00'", "'9999-12-31T23:59:59.999999'", "'1582-10-10T01:02:03.000001'"], None),
    ("datetime2(0)", "timestamp(0)", ["'2020-05-05T10:00:01'"], None),
    ("datetimeoffset(6)", "timestamptz", ["'2020-05-05T10:00:00.123456+05:30'", "'1990-01-01T00:00:00-12:00'", "'0001-01-02T00:00:00+14:00'"],
     "LEFT(CONVERT(varchar(40), SWITCHOFFSET([{c}], '+00:00'), 121), 26)"),
    ("char(5)", "char(5)", ["'ab'", "'äöü€ß'", "''"], None),
    ("varchar(20)", "varchar(20)", ["''", "'  x '", "'é€ÿ'"], None),
    ("varchar(max)", "text", ["''", "REPLICATE(CONVERT(varchar(max), 'x'), 70000)"], None),
    ("nchar(4)", "char(4)", ["N'あ'", "N'𝄞x'"], None),
    ("nvarchar(20)", "varchar(20)", ["N''", "N'𝄞あé'", "N'it''s'"], None),
    ("nvarchar(max)", "text", ["N''", "REPLICATE(CONVERT(nvarchar(max), N'あx'), 20000)"], None),
    ("binary(4)", "bytea", ["0x", "0xDEADBEEF", "0x0102"], None),
    ("varbinary(20)", "bytea", ["0x", "0x00FF00"], None),
    ("varbinary(max)", "bytea", ["0x", "CONVERT(varbinary(max), REPLICATE(CONVERT(varchar(max), 'b'), 9000))"], None),
    ("uniqueidentifier", "uuid", ["'00000000-0000-0000-0000-000000000000'", "'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF'", "'6F9619FF-8B86-D011-B42D-00C04FC964FF'"], None),
    ("xml", "text", ["N'<a b=\"1\">é</a>'"], "CONVERT(nvarchar(max), [{c}])"),
    ("sql_variant", "text", ["CONVERT(int, 5)", "N'text'"], "CONVERT(nvarchar(100), [{c}])"),
    ("rowversion", "bytea", None, "CONVERT(binary(8), [{c}])"),
    ("sysname", "text", ["N'dbo'"], None),
]
# pymssql cuts it to milliseconds
DATETIME = "CONVERT(varchar(26), CONVERT(datetime2(6), [{c}]), 121)", "to_char({c}, 'YYYY-MM-DD HH24:MI:SS.US')"
CANONICAL_PG = {"time(7)": "to_char({c}, 'HH24:MI:SS.US')", "time(0)": "to_char({c}, 'HH24:MI:SS')",
                "datetimeoffset(6)": "to_char({c} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')", "real": "{c}::float8"}


def test_every_type(moving):
    """Boundary values of every type, and NULL, copied and then streamed, are the same by each side's own driver"""
    m = moving
    columns, pg = [], []
    m.pipeline.config["backfill"] = {"workers": 1, "chunk_rows": 2}
    for i, (ms, target, values, ask) in enumerate(TYPES):
        null = "" if values is None else " NULL"
        columns.append(f"c{i} {ms}{null}")
        pg.append(f"c{i} {target}")
        if ask:
            m.selects["t", f"c{i}"] = ask.format(c=f"c{i}")
        if ms.startswith("datetime2"):
            m.selects["t", f"c{i}"], m.target_selects["t", f"c{i}"] = (x.format(c=f"c{i}") for x in DATETIME)
        if ms in CANONICAL_PG:
            m.target_selects["t", f"c{i}"] = CANONICAL_PG[ms].format(c=f"c{i}")
    m.prepare("CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY, " + ", ".join(columns) + ")",
              "CREATE TABLE t (id int PRIMARY KEY, " + ", ".join(pg) + ");")
    named = [f"c{i}" for i, t in enumerate(TYPES) if t[2] is not None]

    def fill(first):
        rows = max(len(t[2]) for t in TYPES if t[2])
        for k in range(rows + 1):
            row = [t[2][k] if k < len(t[2]) else "NULL" for t in TYPES if t[2] is not None]
            m.source.execute(f"INSERT INTO dbo.t (id, {', '.join(named)}) VALUES ({first + k}, {', '.join(row)})")
    fill(1)
    m.pipeline.move()
    m.assert_equal()
    r = m.pipeline.start(ready=True)
    fill(100)
    for i, (_, _, values, _) in enumerate(TYPES):
        if values:
            m.source.execute(f"UPDATE dbo.t SET c{i} = {values[-1]} WHERE id IN (1, 102, 104)")
    m.wait_equal(r)
    assert all(t["quarantined"] == t["parked"] == t["conflicts"] == 0 for t in r.tables().values())


# -- large ---------------------------------------------------------------------------------------------------------------

def resident(r):
    with open(f"/proc/{r.process.pid}/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_16_huge_transaction(moving):
    """16: one transaction of 200,000 rows under a small memory limit: applied whole, within the ceiling"""
    m = moving
    m.pipeline.config["memory_limit"] = "16MB"
    m.prepare("CREATE TABLE dbo.seed (n int NOT NULL PRIMARY KEY) CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY, v nvarchar(40) NULL)",
              T_PG + "CREATE TABLE seed (n int PRIMARY KEY);", captured=["seed", "t"])
    insert(m.source, "seed", [(str(i),) for i in range(1, 449)], 448)
    r = m.pipeline.start(ready=True)
    m.wait_equal(r)
    before, peak, ended = resident(r), [0], threading.Event()

    def watch():
        while not ended.wait(0.02):
            peak[0] = max(peak[0], resident(r))
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        m.source.execute("INSERT INTO dbo.t SELECT TOP (200000) a.n * 1000 + b.n, N'row of one transaction' FROM dbo.seed AS a CROSS JOIN dbo.seed AS b")
        partly = []

        def whole():
            n = m.target.one("SELECT count(*) FROM t")
            if n not in (0, 200000):
                partly.append(n)
            return n == 200000
        r.wait(whole, 120, "200,000 rows")
    finally:
        ended.set()
        watcher.join()
    assert not partly, "seen in pieces"
    m.source.execute("UPDATE dbo.t SET v = N'behind' WHERE id = 1001")
    m.wait_equal(r)
    if "SANITIZED" not in os.environ.get("CROSSFADE_TEST", ""):
        assert peak[0] - before < 24 << 20, f"{(peak[0] - before) >> 20} MB above the {before >> 20} MB of before"


# -- another history, and what is not ours to read ---------------------------------------------------------------------------

@pytest.mark.parametrize("other", [False, True], ids=["over itself", "as another database"])
def test_50_restored(moving, other):
    """50: the database was restored: LSNs have gone back: exit status 4, the repair is named, nothing is skipped"""
    m = moving.prepare(T + " INSERT INTO dbo.t VALUES (1, N'one')", T_PG)
    m.pipeline.move()
    at = m.captured()
    m.source.execute("; ".join(f"INSERT INTO dbo.t VALUES ({i}, N'gone')" for i in range(10, 40)))
    m.captured()
    m.pipeline.move()
    m.job("stop")
    m.source.execute("DELETE FROM dbo.t WHERE id >= 10")
    m.standin("SELECT standin.restore(decode(%s, 'hex'), %s)", (at[2:], other))
    m.job("start")
    m.source.execute("INSERT INTO dbo.t VALUES (2, N'after the restore')")
    m.captured()
    ends(m, 4, "restore|another database", "recopy|finish")
    assert m.target.one("SELECT count(*) FROM t WHERE v = 'gone'") == 30


def test_50_restored_while_streaming(moving):
    """50: the same while we stream: the service ends with 4, it does not sit idle"""
    m = moving.prepare(T + " INSERT INTO dbo.t VALUES (1, N'one')", T_PG)
    r = m.pipeline.start(ready=True)
    at = m.captured()
    m.source.execute("; ".join(f"INSERT INTO dbo.t VALUES ({i}, N'gone')" for i in range(10, 40)))
    m.captured()
    m.wait_equal(r)
    m.job("stop")
    m.source.execute("DELETE FROM dbo.t WHERE id >= 10")
    m.standin("SELECT standin.restore(decode(%s, 'hex'))", (at[2:],))
    m.job("start")
    assert r.wait_exit(40) == 4, r.tail()
    assert re.search("beyond|restored", r.log), r.tail()


def test_52_masked_column(moving):
    """52: a masked column that our login sees as 'XXXX' is not copied; with UNMASK it is"""
    m = moving.prepare(T + " INSERT INTO dbo.t VALUES (1, N'one')", T_PG)
    m.standin("INSERT INTO standin.column_more (relid, attnum, masking_function) SELECT attrelid, attnum, 'default()' FROM pg_attribute "
              "WHERE attrelid = 'dbo.t'::regclass AND attname = 'v'")
    m.standin("INSERT INTO standin.denied VALUES ('sa', 'UNMASK', NULL)")
    code, findings = m.pipeline.check()
    assert code == 1 and [f for f in findings if f["code"] == "masked" and f["level"] == "fail"], findings
    m.pipeline.config["connect_timeout"] = "3s"
    ends(m, 3, "mask", "UNMASK")
    assert m.target.one("SELECT count(*) FROM t") == 0
    m.standin("DELETE FROM standin.denied")
    m.pipeline.move()
    m.assert_equal()


def test_52_row_security(moving):
    """52: a security policy that hides rows from our login is found by check"""
    m = moving.prepare(T + " INSERT INTO dbo.t VALUES (1, N'one')", T_PG)
    m.standin("INSERT INTO standin.policy (name, relid, predicate) SELECT 'hides', 'dbo.t'::regclass, 'f(id)'")
    code, findings = m.pipeline.check()
    assert [f for f in findings if f["code"] == "row_security" and "hides" in f["text"]], findings


def cpu(r):
    with open(f"/proc/{r.process.pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_53_dead_link(moving, make_tcp_proxy):
    """53: a link that dies in the middle of an answer: noticed, no spinning, and on from where it stood"""
    m = moving
    m.prepare(T, T_PG)
    proxy = make_tcp_proxy(m.server.host, m.server.port)
    m.pipeline.config["legacy"]["port"] = proxy.port
    insert(m.source, "t", [(str(i), "N'x'") for i in range(500)])
    r = m.pipeline.start(ready=True)
    for i in range(2):
        proxy.limit(2000)  # bytes, then it is dead
        m.source.execute(f"UPDATE dbo.t SET v = N'round {i}'")
        wait_for(lambda: proxy.cuts > i, 20, "the link was cut")
        proxy.refuse()
        begin, began = cpu(r), time.monotonic()
        r.wait(lambda: time.monotonic() - began > 1, 5, "a second")
        assert cpu(r) - begin < 0.7, "spinning"
        proxy.refuse(False)
        m.wait_equal(r)


def test_54_partition_switch(moving):
    """54: SWITCH moves rows that change data capture never shows: refused by check"""
    m = moving
    m.source.execute("CREATE TABLE dbo.other (id int NOT NULL PRIMARY KEY)")
    m.standin("SET search_path = dbo, sys, pg_catalog; CREATE TABLE dbo.parts (id int NOT NULL, v int, PRIMARY KEY (id)) PARTITION BY RANGE (id); "
              "CREATE TABLE dbo.parts_1 PARTITION OF dbo.parts FOR VALUES FROM (0) TO (100); "
              "CREATE TABLE dbo.parts_2 PARTITION OF dbo.parts FOR VALUES FROM (100) TO (200)")
    m.enable_cdc()
    m.capture("parts")
    m.pipeline.on(m.target, "CREATE TABLE parts (id int PRIMARY KEY, v int);")
    m.pipeline.roles()
    m.pipeline.config["tables"] = ["dbo.parts"]
    code, out, err = m.pipeline.crossfade("install")
    assert code == 0, out + err
    code, findings = m.pipeline.check()
    assert code == 1 and [f for f in findings if f["code"] == "partition_switch" and f["level"] == "fail" and "parts" in f["object"]], findings
    m.disable("parts")
    m.capture("parts", options=", @allow_partition_switch = 0")
    code, findings = m.pipeline.check()
    assert not [f for f in findings if f["code"] == "partition_switch" and f["level"] == "fail"], findings
