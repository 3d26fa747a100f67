# SPDX-License-Identifier: PostgreSQL
"""Values of a SQL Server that the target has not, or has in another way: what the config says of them holds in the copy, in the
stream and where rows are read again (HAZARDS.md 25)."""
import json

import pytest

from lib.pipeline import TARGET_ROLE, run_roles_script
from lib.process import wait_for

A_NUL = "CONVERT(nvarchar(20), 0x610000006200)"  # a NUL b
A_HALF = "CONVERT(nvarchar(20), 0x61003DD86200)"  # a, half a pair, b
A_PAIR = "N'a\U0001F600b'"
OTHERS = "CREATE TABLE dbo.a (id int NOT NULL PRIMARY KEY, v nvarchar(20) NULL) CREATE TABLE dbo.c (id int NOT NULL PRIMARY KEY, v varchar(20) NULL)"
B = "CREATE TABLE dbo.b (id int NOT NULL PRIMARY KEY, v nvarchar(20) NULL, w varchar(20) NULL, big nvarchar(max) NULL)"
TARGET = """CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY, v varchar(20), w text, big text);
CREATE TABLE c (id int PRIMARY KEY, v text);"""
FILL = "INSERT INTO dbo.a VALUES (1, N'one'), (2, NULL); INSERT INTO dbo.c VALUES (1, 'one'); INSERT INTO dbo.b VALUES (1, N'good', 'good', N'good')"


def rows(m, table, columns="*"):
    return sorted(m.target.query(f"SELECT {columns} FROM {table}"))


def tables(m, **values):
    """The tables of the pipeline, with entries for those that are named."""
    m.pipeline.config["tables"] = [{"from": f"dbo.{t}", **values.get(t, {})} for t in ("a", "b", "c")]


def recopy(m, table):
    code, out, err = m.pipeline.crossfade("recopy", "--table", f"dbo.{table}")
    assert code == 0, out + err


def states(r):
    return {name: t["state"] for name, t in r.tables().items()}


@pytest.mark.parametrize("bad, what", [(A_NUL, "a NUL character"), (A_HALF, "half a surrogate pair")], ids=["NUL", "half a pair"])
def test_25_refused_in_the_copy(moving, bad, what):
    """25: NUL bytes in one of several tables stop that one alone, which names row, column and policies; with one it moves"""
    m = moving.prepare(f"{OTHERS} {B} {FILL}; INSERT INTO dbo.b VALUES (7, {bad}, NULL, NULL)", TARGET)
    r = m.pipeline.start()
    reason = m.wait_state(r, "b", "stopped")
    for part in ("dbo.b", "column v", "id = 7", what, "refuse", "strip", "replace"):
        assert part in reason, reason
    m.source.execute("INSERT INTO dbo.a VALUES (3, N'on'); INSERT INTO dbo.c VALUES (3, 'on')")
    m.wait_equal(r, "a", "c")
    wait_for(lambda: states(r) == {"dbo.a": "streaming", "dbo.b": "stopped", "dbo.c": "streaming"}, 30, "the others stream")
    r.stop()
    for policy, text in (("strip", "ab"), ("replace", "a\ufffdb")):
        tables(m, b={"values": {"v": {"bad_text": policy}}})
        recopy(m, "b")
        r = m.pipeline.start()
        m.wait_state(r, "b", "streaming")
        assert rows(m, "b", "id, v") == [(1, "good"), (7, text)]
        r.stop()


@pytest.mark.parametrize("policy, text", [("strip", "ab"), ("replace", "a\ufffdb")], ids=["strip", "replace"])
def test_25_one_rule_in_copy_and_stream(moving, policy, text):
    """25: NUL and halves of pairs by one rule in copy, stream and where rows are read again; whole pairs are left alone"""
    def insert(first):
        return (f"INSERT INTO dbo.b VALUES ({first}, {A_NUL}, CONVERT(varchar(20), 0x610062), CONVERT(nvarchar(max), {A_NUL})), "
                f"({first + 1}, {A_HALF}, 'x', CONVERT(nvarchar(max), {A_HALF})), ({first + 2}, {A_PAIR}, 'x', {A_PAIR})")
    m = moving.prepare(f"{OTHERS} {B} {FILL}; {insert(10)}", TARGET)
    m.pipeline.config["legacy"]["bad_text"] = policy
    m.pipeline.move()
    r = m.pipeline.start(ready=True)
    m.source.execute(insert(20))
    m.source.execute("UPDATE dbo.b SET id = id + 100 WHERE id = 11")
    m.target.execute("DELETE FROM b WHERE id = 10")  # so its change brings too little: it is read again
    m.source.execute("UPDATE dbo.b SET w = 'again' WHERE id = 10")
    m.source.execute("INSERT INTO dbo.b VALUES (99, N'last', NULL, NULL)")
    pair = "a\U0001F600b"
    expected = [(1, "good", "good", "good"), (10, text, "again", text), (12, pair, "x", pair), (20, text, text, text), (21, text, "x", text),
                (22, pair, "x", pair), (99, "last", None, None), (111, text, "x", text)]

    def same():
        assert r.running, r.tail()
        return rows(m, "b") == expected
    try:
        wait_for(same, 60, "the rows are there")
    except AssertionError:
        raise AssertionError(f"{rows(m, 'b')}\nnot\n{expected}\n{r.tail()}") from None
    assert set(states(r).values()) == {"streaming"}
    wait_for(lambda: "read again" in r.log, 30, "it was read again")


def test_25_refused_in_the_stream(moving):
    """25: a change that brings a NUL is quarantined with its key; its table and the others go on"""
    m = moving.prepare(f"{OTHERS} {B} {FILL}; INSERT INTO dbo.b VALUES (2, N'good', NULL, NULL)", TARGET)
    m.pipeline.move()
    r = m.pipeline.start(ready=True)
    m.source.execute(f"INSERT INTO dbo.b VALUES (7, {A_NUL}, NULL, NULL), (8, N'on', NULL, NULL)")
    m.source.execute(f"UPDATE dbo.b SET v = {A_HALF} WHERE id = 2")
    wait_for(lambda: r.tables()["dbo.b"]["quarantined"] == 2, 60, "both are in quarantine")  # one batch would be mended as a whole
    m.source.execute("UPDATE dbo.b SET v = N'mended' WHERE id = 2; UPDATE dbo.b SET w = 'on' WHERE id = 1; INSERT INTO dbo.a VALUES (3, N'on')")
    wait_for(lambda: r.tables()["dbo.b"]["quarantined"] == 3, 60, "three changes are in quarantine")
    m.wait_equal(r, "a", "c")
    wait_for(lambda: rows(m, "b", "id, v, w") == [(1, "good", "on"), (2, "good", None), (8, "on", None)], 60, "the others went on")
    assert states(r) == {"dbo.a": "streaming", "dbo.b": "streaming", "dbo.c": "streaming"}
    code, out, err = m.pipeline.crossfade("quarantine", "list")
    assert code == 0 and "22021" in out and "dbo.b" in out, out + err


def test_refused_in_a_key(moving):
    """A key with a NUL can't be quarantined by it: its table stops and says so, the others go on"""
    m = moving.prepare("CREATE TABLE dbo.a (id int NOT NULL PRIMARY KEY, v nvarchar(20) NULL) "
                       "CREATE TABLE dbo.k (code nvarchar(20) NOT NULL PRIMARY KEY) INSERT INTO dbo.k VALUES (N'x')",
                       "CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE k (code text PRIMARY KEY);")
    m.pipeline.move()
    r = m.pipeline.start(ready=True)
    m.source.execute(f"INSERT INTO dbo.k VALUES ({A_NUL})")
    m.source.execute("INSERT INTO dbo.a VALUES (1, N'on')")
    m.wait_equal(r, "a")
    reason = wait_for(lambda: r.tables()["dbo.k"]["state"] in ("drift", "stopped") and r.tables()["dbo.k"]["reason"], 60, "dbo.k stands")
    assert "dbo.k" in reason and "column code" in reason and "a NUL character" in reason, reason


MOMENTS = ["0001-01-01 00:00:00", "1883-11-18 12:05:00", "1900-01-01 00:00:00", "1969-12-31 23:59:59.999", "2024-03-10 01:59:59.999", "2024-03-10 02:00:00",
           "2024-03-10 02:30:00", "2024-03-10 03:00:00", "2024-11-03 00:59:59.999", "2024-11-03 01:00:00", "2024-11-03 01:30:00", "2024-11-03 02:00:00",
           "2024-03-31 02:30:00", "2024-10-27 02:30:00", "2449-12-31 23:59:59", "2700-07-04 02:30:00", "9999-12-31 23:59:59.997"]
ZONED = """CREATE TABLE dbo.z (id int NOT NULL, at datetime2(3) NOT NULL, raw datetime2(3) NULL, b datetime NULL, b_raw datetime NULL,
 d date NULL, d_raw date NULL, note nvarchar(max) NULL, PRIMARY KEY (at, id))"""
ZONED_PG = """CREATE TABLE z (id int, at timestamptz, raw timestamp, b timestamptz, b_raw timestamp, d timestamptz, d_raw date, note text, PRIMARY KEY (at, id));"""
ZONED_DIFFERENCES = """SELECT id, at, raw, b, b_raw, d, d_raw FROM z WHERE at IS DISTINCT FROM raw AT TIME ZONE 'America/Chicago'
 OR b IS DISTINCT FROM b_raw AT TIME ZONE 'Europe/Berlin' OR d IS DISTINCT FROM d_raw::timestamp AT TIME ZONE 'America/Chicago'"""


def zoned(first):
    values = []
    for i, at in enumerate(MOMENTS):
        b = f"'{at.replace(' ', 'T')}'" if at >= "1753" else "NULL"
        values.append(f"({first + i}, '{at}', '{at}', {b}, {b}, '{at[:10]}', '{at[:10]}', N'n')")
    return "INSERT INTO dbo.z VALUES " + ", ".join(values)


def test_time_zones(moving):
    """Naive times into timestamptz by the stated zone, as the target has it: gaps, overlaps, first and last years, in copy, stream, re-read"""
    m = moving.prepare(f"{ZONED} {zoned(0)}", ZONED_PG)
    m.pipeline.config["legacy"]["time_zone"] = "America/Chicago"
    m.pipeline.config["tables"] = [{"from": "dbo.z", "values": {"b": {"time_zone": "Europe/Berlin"}}}]
    m.pipeline.move()
    assert m.target.query(ZONED_DIFFERENCES) == []
    assert m.target.query("SELECT count(*), count(DISTINCT at) > 10 FROM z") == [(len(MOMENTS), True)]
    r = m.pipeline.start(ready=True)
    m.source.execute(zoned(100))
    m.source.execute("UPDATE dbo.z SET id = id + 1000 WHERE id < 5")
    m.target.execute("DELETE FROM z WHERE id IN (9, 10)")  # read again, by the local time
    m.source.execute("UPDATE dbo.z SET b = '2001-07-01', b_raw = '2001-07-01' WHERE id IN (9, 10)")

    def there():
        assert r.running, r.tail()
        return m.target.query("SELECT count(*), count(*) FILTER (WHERE id >= 1000), count(*) FILTER (WHERE b_raw = '2001-07-01') FROM z") == \
            [(2 * len(MOMENTS), 5, 2)]
    wait_for(there, 60, "the rows are there")
    assert m.target.query(ZONED_DIFFERENCES) == []
    wait_for(lambda: "read again" in r.log, 30, "they were read again")
    naive = sorted(m.source.query("SELECT id, CONVERT(varchar(30), raw, 121) FROM dbo.z"))
    assert naive == sorted(m.target.query("SELECT id, to_char(raw, 'YYYY-MM-DD HH24:MI:SS.MS') FROM z"))


def test_time_zones_on_the_way_back(moving):
    """Moments of the target become the local times of the stated zone, of the hour that comes twice too"""
    m = moving.prepare("CREATE TABLE dbo.w (id int NOT NULL PRIMARY KEY, at datetime2(3) NULL, b datetime NULL)",
                       "CREATE TABLE w (id int PRIMARY KEY, at timestamptz, b timestamptz);")
    run_roles_script(m.target, "roles-source.sql", TARGET_ROLE)
    m.target.execute(f"CREATE PUBLICATION crossfade_{m.pipeline.name}_reverse FOR TABLE w")
    m.pipeline.config["legacy"]["time_zone"] = "America/Chicago"
    m.pipeline.config["tables"] = [{"from": "dbo.w", "values": {"b": {"time_zone": "Europe/Berlin"}}}]
    m.pipeline.config["groups"] = {"default": {"direction": "forward"}}
    m.pipeline.move()
    m.pipeline.config["groups"] = {"default": {"direction": "reverse"}}
    r = m.pipeline.start(ready=True)
    moments = ["1800-01-01 00:00Z", "2024-03-10 07:59:59.999Z", "2024-03-10 08:00Z", "2024-11-03 06:30Z", "2024-11-03 07:30Z", "2024-03-31 01:00Z",
               "2024-10-27 00:30Z", "2024-10-27 01:30Z", "2600-07-04 12:00Z", "9999-12-31 12:00Z"]
    m.target.execute("INSERT INTO w VALUES " + ", ".join(f"({i}, '{at}', '{at.replace('.999', '')}')" for i, at in enumerate(moments)))
    ours = m.target.query("SELECT id, to_char(at AT TIME ZONE 'America/Chicago', 'YYYY-MM-DD HH24:MI:SS.MS'), "
                          "to_char(b AT TIME ZONE 'Europe/Berlin', 'YYYY-MM-DD HH24:MI:SS.MS') FROM w ORDER BY id")

    def theirs():
        return m.source.query("SELECT id, CONVERT(varchar(30), at, 121), CONVERT(varchar(30), b, 121) FROM dbo.w ORDER BY id")
    r.wait(lambda: len(theirs()) == len(moments), 60, "the rows are there")
    assert theirs() == ours


def findings(m):
    code, out, err = m.pipeline.crossfade("check", "--json")
    return code, {(f["code"], f["object"]): f["text"] for f in json.loads(out)["findings"] if f["level"] == "fail"}


def refused_start(m, *parts):
    r = m.pipeline.start("--until-caught-up")
    assert r.wait_exit(40) != 0, r.tail()
    for p in parts:
        assert p in r.log, f"no {p!r} in\n{r.tail()}"


def test_check_data_knows_the_policy(moving):
    """check --data: what PostgreSQL refuses fails, what bad_text takes care of is a warning"""
    m = moving.prepare(f"{OTHERS} {B} {FILL}; INSERT INTO dbo.b VALUES (7, {A_NUL}, NULL, NULL)", TARGET)
    for policy, level, name in (("refuse", "fail", "data_refused"), ("strip", "warn", "data_changed")):
        m.pipeline.config["legacy"]["bad_text"] = policy
        out = m.pipeline.crossfade("check", "--data", "--json")[1]
        found = [(f["level"], f["code"]) for f in json.loads(out)["findings"] if f["object"] == "dbo.b.v" and "NUL" in f["text"]]
        assert found == [(level, name)], out


def test_time_zone_findings(moving):
    """No zone for a timestamptz, a zone that the target does not know, a rule for a column that is not there: findings, at start and in check"""
    m = moving.prepare(ZONED, ZONED_PG)
    m.pipeline.config["tables"] = [{"from": "dbo.z", "values": {"b": {"time_zone": "Europe/Berlin"}}}]
    code, found = findings(m)
    assert code == 1 and ("time_zone_missing", "dbo.z.at") in found and ("time_zone_missing", "dbo.z.d") in found, found
    assert ("time_zone_missing", "dbo.z.b") not in found
    assert "set time_zone" in found["time_zone_missing", "dbo.z.at"]
    refused_start(m, "dbo.z.at", "set time_zone")
    m.pipeline.config["legacy"]["time_zone"] = "Mars/Olympus"
    code, found = findings(m)
    assert code == 1 and ("time_zone_unknown", "legacy.time_zone") in found and ("time_zone_unknown", "dbo.z.at") in found, found
    refused_start(m, "Mars/Olympus", "pg_timezone_names")
    m.pipeline.config["legacy"]["time_zone"] = "america/chicago"
    m.pipeline.config["tables"] = [{"from": "dbo.z", "values": {"no": {"bad_text": "strip"}}}]
    code, found = findings(m)
    assert list(found) == [("values_column_missing", "dbo.z.no")], found
    refused_start(m, "dbo.z.no")
    m.pipeline.config["tables"] = "all"
    m.pipeline.move()


@pytest.mark.parametrize("trim", [False, True], ids=["kept", "trimmed"])
def test_trailing_blanks(moving, trim):
    """Blanks that fill char up: as the config says in text and varchar, always there in char; one rule in copy and stream"""
    m = moving.prepare("CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY, a char(5) NULL, b char(5) NULL, c nchar(5) NULL, d varchar(5) NULL) "
                       "INSERT INTO dbo.t VALUES (1, 'ab', 'ab', N'ä', 'ab  '), (2, '', '', N'', '')",
                       "CREATE TABLE t (id int PRIMARY KEY, a text, b char(5), c varchar(5), d text);")
    m.pipeline.config["legacy"]["trim_blanks"] = trim
    m.pipeline.move()
    r = m.pipeline.start(ready=True)
    m.source.execute("INSERT INTO dbo.t VALUES (3, 'ab', 'ab', N'ä', 'ab  '), (4, '', '', N'', '')")
    wait_for(lambda: len(rows(m, "t")) == 4, 60, "the rows are there")
    a, c, e = ("ab", "ä", "") if trim else ("ab   ", "ä    ", "     ")
    expected = [(a, "ab   ", c, "ab  "), (e, "     ", e, "")]
    assert rows(m, "t") == [(i + 1, *expected[i % 2]) for i in range(4)], r.tail()


def test_value_limit(moving):
    """31: a value over value_limit stops its table and names the row, in copy and stream; below it any goes through"""
    big = "CONVERT(nvarchar(max), REPLICATE(CONVERT(nvarchar(max), N'x'), {}))"
    m = moving.prepare(f"{OTHERS} {B} {FILL}; INSERT INTO dbo.b VALUES (7, NULL, NULL, {big.format(40000)})", TARGET)
    m.pipeline.config["value_limit"] = "64kB"
    r = m.pipeline.start()
    reason = m.wait_state(r, "b", "stopped")
    for part in ("dbo.b", "column big", "id = 7", "80000 bytes", "value_limit"):
        assert part in reason, reason
    m.wait_equal(r, "a", "c")
    r.stop()
    m.source.execute("DELETE FROM dbo.b WHERE id = 7")
    recopy(m, "b")
    m.pipeline.move()
    r = m.pipeline.start(ready=True)
    m.source.execute(f"INSERT INTO dbo.b VALUES (8, NULL, NULL, {big.format(40000)})")
    m.source.execute("INSERT INTO dbo.a VALUES (3, N'on')")
    m.wait_equal(r, "a", "c")
    reason = wait_for(lambda: r.tables()["dbo.b"]["state"] in ("drift", "stopped") and r.tables()["dbo.b"]["reason"], 60, "dbo.b stands")
    for part in ("dbo.b", "column big", "id = 8", "80000 bytes", "value_limit"):
        assert part in reason, reason
    r.stop()
    m.pipeline.config["value_limit"] = "64MB"
    m.source.execute(f"INSERT INTO dbo.b VALUES (9, NULL, NULL, {big.format(10000000)})")
    recopy(m, "b")
    m.pipeline.move()
    r = m.pipeline.start(ready=True)
    m.source.execute(f"INSERT INTO dbo.b VALUES (10, NULL, NULL, {big.format(10000000)})")
    wait_for(lambda: rows(m, "b", "id, length(big)") == [(1, 4), (8, 40000), (9, 10000000), (10, 10000000)], 90, "twenty megabytes are there")
    assert r.running, r.tail()
