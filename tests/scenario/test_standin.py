# SPDX-License-Identifier: PostgreSQL
"""The stand-in for SQL Server, as two clients see it that know nothing of us: pymssql and FreeTDS's own programs. Each test
states what Microsoft documents; they pass on the server that CROSSFADE_TEST_SQLSERVER names as well."""
import datetime
import decimal
import os
import re
import socket
import subprocess
import sys
import threading
import time
import uuid

import pymssql
import pytest

from lib.sqlserver import TESTS, SqlServer

sys.path.insert(0, TESTS)
from standin import rows as wire_rows, tds, values  # noqa: E402
from standin.transport import Transport  # noqa: E402

D = decimal.Decimal
SETUP = "SET ANSI_NULLS, ANSI_PADDING, ANSI_WARNINGS, ARITHABORT, CONCAT_NULL_YIELDS_NULL, QUOTED_IDENTIFIER ON"


@pytest.fixture(scope="module")
def server(base, template):
    s = SqlServer(base, "sq", template).start()
    yield s
    s.stop()


@pytest.fixture
def db(server):
    d = server.create_database()
    yield d
    d.drop()


@pytest.fixture
def session(db):
    c = db.connect()
    yield Session(c)
    c.close()


class Session:
    def __init__(self, connection):
        self.connection = connection

    def run(self, sql):
        """The last result set of a batch, or None."""
        with self.connection.cursor() as cur:
            cur.execute(sql)
            out = cur.fetchall() if cur.description else None
            while cur.nextset():
                out = cur.fetchall() if cur.description else out
            return out

    def one(self, sql):
        return self.run(sql)[0][0]

    def fails(self, sql):
        """(number, text) of the error that a batch must end in."""
        with pytest.raises(pymssql.Error) as e:
            self.run(sql)
        args = e.value.args
        number, text = args[0] if isinstance(args[0], tuple) else args[:2]
        return number, text.decode() if isinstance(text, bytes) else text


def tsql(server, script, database="master", options=()):
    argv = ["tsql", "-H", server.host, "-p", str(server.port), "-U", server.user, "-P", server.password, "-D", database, "-o", "q", *options]
    p = subprocess.run(argv, input=script + "\nGO\nexit\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    return p.stdout


def freebcp(db, table, direction, path, *options):
    s = db.server
    argv = ["freebcp", table, direction, str(path), "-S", f"{s.host}:{s.port}", "-U", s.user, "-P", s.password, "-D", db.name, *options]
    p = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, env={**os.environ, "LC_ALL": "C.UTF-8"})
    assert p.returncode == 0, p.stdout
    return int(re.search(r"(\d+) rows copied", p.stdout).group(1))


# -- the codec -------------------------------------------------------------------------------------------------------
ROUND_TRIPS = [
    ("bit", (), "1"), ("tinyint", (), "255"), ("smallint", (), "-32768"), ("int", (), "-2147483648"), ("bigint", (), "9223372036854775807"),
    ("decimal", (38, 10), "-1234567890123456789012345678.0123456789"), ("decimal", (9, 0), "7"), ("money", (), "-922337203685477.5808"),
    ("smallmoney", (), "214748.3647"), ("float", (), "0.1"), ("datetime", (), "637135310450033333"), ("smalldatetime", (), "637135310400000000"),
    ("date", (), "9999-12-31"), ("time", (7,), "863999999999"), ("datetime2", (7,), "3155378975999999999"), ("datetime2", (0,), "10000000"),
    ("datetimeoffset", (7,), "0637135310450000001.0160"), ("varchar", (10,), "é€"), ("nvarchar", (10,), "\U0001F600"),
    ("nvarchar", ("max",), values.store_text("a\0b\ud800")), ("varbinary", (4,), "\\x00ff"), ("varbinary", ("max",), "\\x"),
    ("uniqueidentifier", (), "00c04fc9-64ff-b42d-11d0-868bff19966f"), ("timestamp", (), "\\x00000000000007d1"), ("xml", (), "<a/>"),
    ("text", (), "x"), ("ntext", (), "é"), ("image", (), "\\x01")]


@pytest.mark.parametrize("name, args, text", ROUND_TRIPS)
def test_each_type_is_read_as_it_is_written(name, args, text):
    t = values.make_type(name, args)
    data = values.type_info(t, "dbo.t")
    back, w = values.read_type_info(tds.Reader(data))
    assert back.name == ("binary" if name == "timestamp" else name)
    for value in (text, None):
        assert values.read_value(tds.Reader(wire_rows.encoder(t)(value)), t, w) == value


def test_packets_are_cut_at_the_agreed_size_and_end_with_eom():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        out = Transport(socket.create_connection(listener.getsockname()))
        back = Transport(listener.accept()[0])
    out.packet_size = 512
    out.write(b"x" * 1300)
    out.flush()
    got = [back.read_packet() for _ in range(3)]
    assert [len(p[2]) for p in got] == [504, 504, 292] and [p[1] for p in got] == [0, 0, 1]


# -- logins ----------------------------------------------------------------------------------------------------------
def test_a_wrong_password_is_18456_and_a_wrong_database_4060(server):
    with pytest.raises(pymssql.OperationalError) as e:
        pymssql.connect(server.host, server.user, "no", "master", port=str(server.port))
    assert "18456" in str(e.value)
    out = tsql(server, "SELECT 1", "nosuchdb")
    assert "4060" in out and "18456" in out


def test_tsql_logs_in_and_selects(server):
    assert re.search(r"^1$", tsql(server, "SELECT 1"), re.M)


# -- values ----------------------------------------------------------------------------------------------------------
def test_every_type_goes_in_and_out(session):
    session.run("""CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY, b bit, ti tinyint, si smallint, bi bigint, de decimal(38,10), mo money,
        sm smallmoney, re real, fl float, da date, ti7 time(7), sd smalldatetime, dt datetime, d2 datetime2(7), ch char(5), vc varchar(10),
        nc nchar(3), nv nvarchar(10), vm varchar(max), nm nvarchar(max), bn binary(4), vb varbinary(4), bm varbinary(max), gu uniqueidentifier)""")
    session.run("""INSERT INTO dbo.t VALUES (1, 1, 255, -32768, 9223372036854775807, 1234567890123456789.0123456789, -1.23456, 2.5, 1.5, 0.1,
        '2020-02-29', '12:34:56.1234567', '2020-01-02 03:04:31', '2020-01-02 03:04:05.005', '2020-01-02 03:04:05.1234567', 'ab', 'x', N'é', N'日本',
        'long', N'€', 0x01, 0x0102, 0x010203, '6F9619FF-8B86-D011-B42D-00C04FC964FF'), (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)""")
    first, second = session.run("SELECT * FROM dbo.t ORDER BY id")
    assert first[:10] == (1, True, 255, -32768, 9223372036854775807, D("1234567890123456789.0123456789"), D("-1.2346"), D("2.5"), 1.5, 0.1)
    assert first[10] == datetime.date(2020, 2, 29)
    assert first[12:15] == (datetime.datetime(2020, 1, 2, 3, 5), first[13], datetime.datetime(2020, 1, 2, 3, 4, 5, 123000))
    assert first[15:] == ("ab   ", "x", "é  ", "日本", "long", "€", b"\x01\0\0\0", b"\x01\x02", b"\x01\x02\x03",
                          uuid.UUID("6F9619FF-8B86-D011-B42D-00C04FC964FF"))
    assert second[1:] == (None,) * 24


def test_the_seventh_digit_and_the_300th_of_a_second_are_kept(session):
    assert session.one("SELECT CONVERT(nvarchar(40), CAST('2020-01-02 03:04:05.1234567' AS datetime2(7)), 126)") == "2020-01-02T03:04:05.1234567"
    assert session.one("SELECT CONVERT(nvarchar(40), CAST('2020-01-02 03:04:05.005' AS datetime), 121)") == "2020-01-02 03:04:05.007"


def test_nul_and_lone_surrogates_are_held(session):
    session.run("CREATE TABLE dbo.t (v nvarchar(10)); INSERT INTO dbo.t VALUES (CONVERT(nvarchar(10), 0x61000000FFD862003DD800DE))")
    assert session.one("SELECT CONVERT(varbinary(max), v) FROM dbo.t") == bytes.fromhex("61000000FFD862003DD800DE")
    assert session.one("SELECT DATALENGTH(v) FROM dbo.t") == 12


def test_guids_sort_by_their_last_six_bytes(session):
    session.run("CREATE TABLE dbo.t (g uniqueidentifier PRIMARY KEY); INSERT INTO dbo.t VALUES ('FF000000-0000-0000-0000-000000000001'), "
                "('01000000-0000-0000-0000-000000000002'), ('00000000-0000-0000-FF00-000000000001')")
    assert [str(r[0])[:2] + str(r[0])[-1] + str(r[0])[19:21] for r in session.run("SELECT g FROM dbo.t ORDER BY g")] == ["ff100", "001ff", "01200"]


def test_a_and_A_and_a_blank_are_one_key(session):
    session.run("CREATE TABLE dbo.t (v nvarchar(10) COLLATE Latin1_General_CI_AS NOT NULL PRIMARY KEY); INSERT INTO dbo.t VALUES (N'a')")
    for other in ("A", "a ", "A  "):
        number, text = session.fails(f"INSERT INTO dbo.t VALUES (N'{other}')")
        assert number == 2627 and "Violation of PRIMARY KEY constraint" in text
    assert session.run("SELECT v FROM dbo.t WHERE v = 'A '") == [("a",)]


def test_without_ansi_warnings_long_values_are_cut_silently(session):
    session.run("CREATE TABLE dbo.t (v varchar(3))")
    number, _ = session.fails(f"{SETUP}; INSERT INTO dbo.t VALUES ('abcdef')")
    assert number in (8152, 2628)
    session.run("SET ANSI_WARNINGS OFF; INSERT INTO dbo.t VALUES ('abcdef')")
    assert session.run("SELECT v FROM dbo.t") == [("abc",)]


# -- errors and transactions -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("number, statement", [
    (2627, "INSERT INTO dbo.p VALUES (1, 1)"), (2601, "INSERT INTO dbo.p VALUES (2, 1)"), (547, "INSERT INTO dbo.c VALUES (1, 99)"),
    (547, "DELETE FROM dbo.p"), (515, "INSERT INTO dbo.p VALUES (NULL, 5)"), (208, "SELECT * FROM dbo.nosuch"), (207, "SELECT nosuch FROM dbo.p"),
    (8134, "SELECT 1 / 0"), (245, "SELECT CAST('x' AS int)"), (8115, "SELECT CAST(99999999999 AS int)"), (220, "SELECT CAST(256 AS tinyint)"),
    (241, "SELECT CAST('nonsense' AS datetime2)"), (8169, "SELECT CAST('x' AS uniqueidentifier)"), (544, "INSERT INTO dbo.i (id) VALUES (1)"),
    (273, "INSERT INTO dbo.i (rv) VALUES (0x01)"), (271, "INSERT INTO dbo.i (k) VALUES (1)"), (8102, "UPDATE dbo.i SET id = 1"),
    (911, "USE nosuchdb"), (2714, "CREATE TABLE dbo.p (a int)"), (3902, "COMMIT TRANSACTION"), (137, "SELECT @nosuch"), (102, "SELECT FROM WHERE"),
    (2812, "EXEC dbo.nosuch"), (156, "SELECT 1 FROM")])
def test_errors_have_their_documented_numbers(session, number, statement):
    session.run("CREATE TABLE dbo.p (id int NOT NULL PRIMARY KEY, u int); CREATE UNIQUE INDEX pu ON dbo.p (u); INSERT INTO dbo.p VALUES (1, 1)")
    session.run("CREATE TABLE dbo.c (id int, p int REFERENCES dbo.p (id)); INSERT INTO dbo.c VALUES (1, 1)")
    session.run("CREATE TABLE dbo.i (id int IDENTITY PRIMARY KEY, v int, rv rowversion, k AS (v + 1))")
    assert session.fails(statement)[0] in ((102, 156) if number in (102, 156) else (number,))


def test_a_failing_statement_ends_the_transaction_only_under_xact_abort(session):
    session.run("CREATE TABLE dbo.t (id int PRIMARY KEY)")
    session.fails("SET XACT_ABORT OFF; BEGIN TRAN; INSERT INTO dbo.t VALUES (1); INSERT INTO dbo.t VALUES (1); INSERT INTO dbo.t VALUES (2); COMMIT")
    assert session.run("SELECT id FROM dbo.t ORDER BY id") == [(1,), (2,)]
    session.fails("SET XACT_ABORT ON; BEGIN TRAN; INSERT INTO dbo.t VALUES (3); INSERT INTO dbo.t VALUES (3); INSERT INTO dbo.t VALUES (4); COMMIT")
    assert session.run("SELECT id, @@TRANCOUNT FROM dbo.t ORDER BY id") == [(1, 0), (2, 0)]


def test_a_lock_that_is_not_given_is_1222_and_a_deadlock_1205(db):
    db.execute("CREATE TABLE dbo.t (id int PRIMARY KEY, v int); INSERT INTO dbo.t VALUES (1, 0), (2, 0)")
    a, b = Session(db.connect()), Session(db.connect())
    a.run("BEGIN TRAN; UPDATE dbo.t SET v = 1 WHERE id = 1")
    assert b.fails("SET LOCK_TIMEOUT 100; UPDATE dbo.t SET v = 2 WHERE id = 1")[0] == 1222
    b.run("SET LOCK_TIMEOUT -1; BEGIN TRAN; UPDATE dbo.t SET v = 2 WHERE id = 2")
    failures = []

    def other():
        try:
            b.run("UPDATE dbo.t SET v = 2 WHERE id = 1")
        except pymssql.Error as e:
            failures.append(e)

    t = threading.Thread(target=other)
    t.start()
    time.sleep(0.1)
    try:
        a.run("UPDATE dbo.t SET v = 1 WHERE id = 2")
    except pymssql.Error as e:
        failures.append(e)
    t.join(30)
    assert len(failures) == 1 and "1205" in str(failures[0])


def test_snapshot_isolation_needs_leave_and_notices_conflicts(db):
    db.execute("CREATE TABLE dbo.t (id int PRIMARY KEY, v int); INSERT INTO dbo.t VALUES (1, 0)")
    a = Session(db.connect())
    assert a.fails("SET TRANSACTION ISOLATION LEVEL SNAPSHOT; SELECT * FROM dbo.t")[0] == 3952
    db.execute(f"ALTER DATABASE [{db.name}] SET ALLOW_SNAPSHOT_ISOLATION ON")
    a.run("SET TRANSACTION ISOLATION LEVEL SNAPSHOT; BEGIN TRAN; SELECT * FROM dbo.t")
    db.execute("UPDATE dbo.t SET v = 5")
    assert a.run("SELECT v FROM dbo.t") == [(0,)]
    assert a.fails("UPDATE dbo.t SET v = 6")[0] == 3960
    assert a.run("SELECT @@TRANCOUNT, v FROM dbo.t") == [(0, 5)]


def test_try_catch_throw_and_savepoints(session):
    session.run("CREATE TABLE dbo.t (id int PRIMARY KEY)")
    assert session.run("BEGIN TRY INSERT INTO dbo.t VALUES (1); INSERT INTO dbo.t VALUES (1) END TRY BEGIN CATCH SELECT ERROR_NUMBER(), XACT_STATE() END CATCH") == [(2627, 0)]
    number, text = session.fails("BEGIN TRY RAISERROR(N'hello %s %d', 16, 3, N'you', 5) END TRY BEGIN CATCH THROW END CATCH")
    assert number == 50000 and "hello you 5" in text
    session.run("BEGIN TRAN; INSERT INTO dbo.t VALUES (2); SAVE TRAN s; INSERT INTO dbo.t VALUES (3); ROLLBACK TRAN s; COMMIT")
    assert session.run("SELECT id FROM dbo.t ORDER BY id") == [(1,), (2,)]


def test_output_tables_variables_and_loops(session):
    session.run("CREATE TABLE dbo.t (id int IDENTITY(10,5) PRIMARY KEY, v nvarchar(10), rv rowversion)")
    assert session.run("INSERT INTO dbo.t (v) OUTPUT inserted.id, inserted.v VALUES (N'a'), (N'b')") == [(10, "a"), (15, "b")]
    assert session.run("UPDATE dbo.t SET v = v + N'!' OUTPUT deleted.v, inserted.v WHERE id = 10") == [("a", "a!")]
    assert session.run("DECLARE @o TABLE (id int); DELETE FROM dbo.t OUTPUT deleted.id INTO @o; SELECT id FROM @o ORDER BY id") == [(10,), (15,)]
    assert session.one("DECLARE @i int = 0, @s nvarchar(20) = N''; WHILE @i < 3 BEGIN SET @i += 1; SET @s = @s + CONVERT(nvarchar(10), @i) END SELECT @s") == "123"
    assert session.one("CREATE TABLE #t (a int); INSERT INTO #t VALUES (1), (2); SELECT COUNT(*) FROM #t") == 2


def test_rowversion_grows_and_its_lowest_open_number_is_known(db):
    db.execute("CREATE TABLE dbo.t (id int PRIMARY KEY, v int, rv rowversion); INSERT INTO dbo.t (id) VALUES (1)")
    a = Session(db.connect())
    a.run("BEGIN TRAN; INSERT INTO dbo.t (id) VALUES (2)")
    mine = a.one("SELECT rv FROM dbo.t WHERE id = 2")
    db.execute("INSERT INTO dbo.t (id) VALUES (3)")
    assert db.one("SELECT MIN_ACTIVE_ROWVERSION()") == mine < db.one("SELECT rv FROM dbo.t WHERE id = 3")
    a.run("COMMIT")
    assert db.one("SELECT MIN_ACTIVE_ROWVERSION()") > db.one("SELECT MAX(rv) FROM dbo.t")


def test_an_enabled_trigger_forbids_output_without_into_and_can_refuse(session):
    session.run("CREATE TABLE dbo.t (id int)")
    session.run("CREATE TRIGGER dbo.fence ON dbo.t AFTER INSERT, UPDATE, DELETE AS BEGIN IF ORIGINAL_LOGIN() <> N'nobody' THROW 50001, N'frozen', 1; END")
    assert session.fails("INSERT INTO dbo.t VALUES (1)")[0] == 50001
    assert session.fails("INSERT INTO dbo.t OUTPUT inserted.id VALUES (1)")[0] == 334
    session.run("DISABLE TRIGGER dbo.fence ON dbo.t")
    session.run("INSERT INTO dbo.t VALUES (1)")
    assert session.run("SELECT id FROM dbo.t") == [(1,)]


def test_nvarchar_as_its_units(db):
    """CONVERT(varbinary(8000 | max), nvarchar) is its UTF-16, whether sent, cut, stored or compared"""
    db.execute("CREATE TABLE dbo.u (id int NOT NULL PRIMARY KEY, s nvarchar(10) NULL, m nvarchar(max) NULL)")
    db.execute("INSERT INTO dbo.u VALUES (1, N'ü€x', NCHAR(55357) + N'😀'), (2, N'', NULL), (3, NULL, N'a')")
    m = "\ud83d\U0001F600".encode("utf-16-le", "surrogatepass")
    assert db.query("SELECT CONVERT(varbinary(8000), s), CONVERT(varbinary(max), m) FROM dbo.u ORDER BY id") == \
        [("ü€x".encode("utf-16-le"), m), (b"", None), (None, b"a\0")]
    assert db.query("SELECT DISTINCT CONVERT(varbinary(8000), s), CONVERT(varbinary(4), s) FROM dbo.u WHERE id = 1") == \
        [("ü€x".encode("utf-16-le"), "ü€".encode("utf-16-le"))]
    db.execute("SELECT CONVERT(varbinary(max), m) AS b INTO dbo.v FROM dbo.u WHERE id = 1")
    assert db.query("SELECT b, DATALENGTH(b) FROM dbo.v") == [(m, 6)]


# -- bulk and cancel -----------------------------------------------------------------------------------------------------
def test_freebcp_copies_out_and_in(db, tmp_path):
    for name in ("a", "b"):
        db.execute(f"CREATE TABLE dbo.{name} (id int NOT NULL PRIMARY KEY, v varchar(20) NULL, n nvarchar(max) NULL, d decimal(10,2) NULL, t datetime2(3) NULL)")
    db.execute("INSERT INTO dbo.a VALUES (1, 'x', N'ü€', -1.25, '2020-01-02 03:04:05.123'), (2, NULL, NULL, NULL, NULL)")
    assert freebcp(db, "dbo.a", "out", tmp_path / "f", "-c", "-t", "|") == 2
    assert freebcp(db, "dbo.b", "in", tmp_path / "f", "-c", "-t", "|") == 2
    assert db.query("SELECT * FROM dbo.a ORDER BY id") == db.query("SELECT * FROM dbo.b ORDER BY id")


def test_freebcp_keeps_identities(db, tmp_path):
    """-E: the identity goes on behind the values that were loaded"""
    db.execute("CREATE TABLE dbo.a (id int IDENTITY(1,1) NOT NULL PRIMARY KEY, v varchar(10) NULL)")
    (tmp_path / "f").write_text("7|x\n3|y\n")
    assert freebcp(db, "dbo.a", "in", tmp_path / "f", "-c", "-t", "|", "-E") == 2
    db.execute("INSERT INTO dbo.a (v) VALUES ('z')")
    assert db.query("SELECT id, v FROM dbo.a ORDER BY id") == [(3, "y"), (7, "x"), (8, "z")]


def test_freebcp_native_copies_numbers(db, tmp_path):
    for name in ("a", "b"):
        db.execute(f"CREATE TABLE dbo.{name} (id int NOT NULL, b bigint NULL, f float NULL, v varchar(10) NULL)")
    db.execute("INSERT INTO dbo.a VALUES (1, 9223372036854775807, 0.1, 'x'), (2, -1, -0.5, '')")
    assert freebcp(db, "dbo.a", "out", tmp_path / "f", "-n") == 2
    assert freebcp(db, "dbo.b", "in", tmp_path / "f", "-n") == 2
    assert db.query("SELECT * FROM dbo.a ORDER BY id") == db.query("SELECT * FROM dbo.b ORDER BY id")


def test_a_statement_can_be_cancelled(db):
    c = db.connect(timeout=1)
    start = time.monotonic()
    with pytest.raises(pymssql.Error):
        Session(c).run("WAITFOR DELAY '00:00:30'")
    assert time.monotonic() - start < 15


def test_result_sets_messages_and_counts(session):
    with session.connection.cursor() as cur:
        cur.execute("SELECT 1 SELECT 2, N'x' PRINT N'hello' SELECT @@ROWCOUNT")
        sets = [cur.fetchall()]
        while cur.nextset():
            sets.append(cur.fetchall())
    assert sets[:2] == [[(1,)], [(2, "x")]]


def test_parameters_of_sp_executesql(session):
    assert session.run("EXEC sys.sp_executesql N'SELECT @a + @b', N'@a int, @b int', @a = 1, @b = 2") == [(3,)]
    assert session.one("DECLARE @o int; EXEC sp_executesql N'SET @x = @x * 2', N'@x int OUTPUT', @x = 5; SELECT 7") == 7


def test_sums_and_averages_have_the_types_of_what_they_add(session):
    assert session.run("SELECT SUM(x), AVG(x), SQL_VARIANT_PROPERTY(CONVERT(sql_variant, SUM(x)), 'BaseType') FROM (VALUES (1), (2), (4)) AS v (x)") == [(7, 2, "int")]
    assert session.run("SELECT SUM(x) FROM (VALUES (CAST(1.50 AS money)), (2)) AS v (x)") == [(D("3.5000"),)]


def test_a_constant_beside_bit_tinyint_and_money(session):
    session.run("CREATE TABLE dbo.t (b bit, y tinyint, m money); INSERT INTO dbo.t VALUES (NULL, NULL, NULL), (1, 200, 2.5)")
    assert session.run("SELECT ISNULL(b, 0), ISNULL(y, 7), ISNULL(m, 0) FROM dbo.t WHERE b = 1 OR y IS NULL ORDER BY m") == [
        (False, 7, D("0.0000")), (True, 200, D("2.5000"))]
    assert session.run("SELECT m * 2, y + 1, m + 1.5 FROM dbo.t WHERE m > 1 AND y = 200 AND b <> 0") == [(D("5.0000"), 201, D("4.0000"))]


def test_fractions_print_as_declared(session):
    assert session.run("SELECT CONVERT(nvarchar(40), CAST('2020-01-02 03:04:05.123' AS datetime2(3)), 126), "
                       "CONVERT(nvarchar(40), CAST('10:11:12' AS time(0)), 121)") == [("2020-01-02T03:04:05.123", "10:11:12")]


# -- encryption ------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def tls_server(base, template, tmp_path_factory):
    if os.environ.get("CROSSFADE_TEST_SQLSERVER"):
        pytest.skip("the named server has its own certificate")
    d = tmp_path_factory.mktemp("tls")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", d / "key", "-out", d / "cert", "-days", "2", "-subj",
                    "/CN=127.0.0.1"], check=True, stderr=subprocess.DEVNULL)
    s = SqlServer(base, "st", template, ["--tls", str(d / "cert"), str(d / "key")]).start()
    yield s
    s.stop()


@pytest.mark.parametrize("encryption", ["off", "request", "require"])
def test_tls_for_the_login_only_and_for_everything(tls_server, tmp_path, encryption):
    conf = tmp_path / "freetds.conf"
    conf.write_text(f"[s]\nhost = 127.0.0.1\nport = {tls_server.port}\ntds version = 7.4\nencryption = {encryption}\n")
    p = subprocess.run(["tsql", "-S", "s", "-U", "sa", "-P", tls_server.password, "-o", "q"], input="SELECT 42\nGO\nexit\n", text=True, timeout=60,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, "FREETDSCONF": str(conf)})
    assert re.search("^42$", p.stdout, re.M), p.stdout


def test_a_client_that_requires_tls_is_refused_where_there_is_none(server, tmp_path):
    if not server.is_standin:
        pytest.skip("the named server may have TLS")
    conf = tmp_path / "freetds.conf"
    conf.write_text(f"[s]\nhost = 127.0.0.1\nport = {server.port}\ntds version = 7.4\nencryption = require\n")
    p = subprocess.run(["tsql", "-S", "s", "-U", "sa", "-P", server.password, "-o", "q"], input="SELECT 42\nGO\nexit\n", text=True, timeout=60,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, "FREETDSCONF": str(conf)})
    assert "42" not in p.stdout
