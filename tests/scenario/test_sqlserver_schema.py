# SPDX-License-Identifier: PostgreSQL
"""`crossfade schema` from a SQL Server: what it prints loads without an error, keeps what it can of keys, defaults, checks,
indexes and foreign keys, names what it can't, and then check has nothing to mend."""
import re

import pytest

from lib.leaving import Leaving, fails, find
from lib.sqlserver import SqlServer


@pytest.fixture(scope="module")
def server(base, template):
    s = SqlServer(base, "schema", template).start()
    yield s
    s.stop()


@pytest.fixture
def leaving(make_pipeline, legacy_server, target_server, server):
    source = server.create_database()
    pipeline = make_pipeline(legacy_server, target_server)
    pipeline.roles()
    yield Leaving(pipeline, source)
    source.drop()


EVERY_TYPE = """CREATE TABLE dbo.Every (Id int NOT NULL IDENTITY(1,1) CONSTRAINT PK_Every PRIMARY KEY, cBit bit NOT NULL, cTiny tinyint NULL, cSmall smallint NULL,
 cBig bigint NULL, cDec decimal(38,38) NULL, cNum numeric(10,2) NULL, cMoney money NULL, cSmallMoney smallmoney NULL, cFloat float NULL, cReal real NULL,
 cDate date NULL, cTime time(7) NULL, cSmallDate smalldatetime NULL, cDatetime datetime NULL, cDatetime2 datetime2(7) NULL, cOffset datetimeoffset(3) NULL,
 cChar char(10) NULL, cVarchar varchar(50) NULL, cVarcharMax varchar(max) NULL, cText text NULL, cNchar nchar(10) NULL, cNvarchar nvarchar(4000) NULL,
 cNvarcharMax nvarchar(max) NULL, cNtext ntext NULL, cBinary binary(8) NULL, cVarbinary varbinary(20) NULL, cVarbinaryMax varbinary(max) NULL, cImage image NULL,
 cGuid uniqueidentifier NULL, cXml xml NULL, cVariant sql_variant NULL, cVersion rowversion NOT NULL)"""


def columns(target, table):
    return dict(target.query("SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0", (table,)))


def test_every_type(leaving):
    """A table of every type loads with the types of crossfade-types(7), and check has nothing to mend"""
    leaving.run(EVERY_TYPE)
    leaving.capture("Every")
    leaving.load(leaving.schema())
    found = columns(leaving.target, "public.every")
    for name, kind in {"id": "integer", "c_bit": "boolean", "c_tiny": "smallint", "c_dec": "numeric(38,38)", "c_money": "numeric(19,4)",
                       "c_time": "time(6) without time zone", "c_datetime": "timestamp(3) without time zone",
                       "c_datetime2": "timestamp(6) without time zone", "c_offset": "timestamp(3) with time zone", "c_char": "character(10)",
                       "c_nvarchar": "character varying(4000)", "c_varchar_max": "text", "c_guid": "uuid", "c_xml": "xml",
                       "c_image": "bytea", "c_version": "bytea"}.items():
        assert found[name] == kind, (name, found)
    assert leaving.schema() == "-- The target lacks no table of this pipeline.\n"
    leaving.pipeline.roles()
    code, out, err = leaving.pipeline.crossfade("install")
    assert code == 0, out + err
    leaving.run("INSERT INTO dbo.Every (cBit, cTiny, cDate, cTime, cSmallDate, cDatetime, cDatetime2, cOffset, cText, cNtext, cXml, cVariant, cNvarcharMax, cDec, cMoney) VALUES "
                "(1, 255, '0001-01-01', '23:59:59.123456', '2000-01-01 10:00', '1753-01-01', '2000-01-01', '2000-01-01 00:00:00 +01:00', 't', N'n', N'<a/>', 5, N'x', 0.5, 1)")
    code, findings = leaving.check("--data")
    assert not fails(findings), fails(findings)
    assert not find(findings, "query_failed"), find(findings, "query_failed")


NORTHWIND = """CREATE TABLE dbo.Customers (CustomerID nchar(5) NOT NULL CONSTRAINT PK_Customers PRIMARY KEY, CompanyName nvarchar(40) NOT NULL)
CREATE TABLE dbo.Orders (OrderID int NOT NULL IDENTITY(100,5) CONSTRAINT PK_Orders PRIMARY KEY, CustomerID nchar(5) NULL,
 Freight money NULL CONSTRAINT DF_Freight DEFAULT ((0)), Placed datetime NOT NULL CONSTRAINT DF_Placed DEFAULT (getdate()), Gid uniqueidentifier NOT NULL DEFAULT (newid()),
 Open1 bit NOT NULL DEFAULT ((1)), Note nvarchar(50) NULL DEFAULT (N'none'), State varchar(10) NOT NULL,
 CONSTRAINT CK_State CHECK ([State]='open' OR [State]='closed'), CONSTRAINT CK_Freight CHECK ([Freight]>=(0)),
 CONSTRAINT CK_Placed CHECK ([Placed]<=getdate()),
 CONSTRAINT FK_Orders_Customers FOREIGN KEY (CustomerID) REFERENCES dbo.Customers (CustomerID) ON DELETE CASCADE)
CREATE TABLE dbo.[Order Details] (OrderID int NOT NULL, [Line No] smallint NOT NULL, Amount decimal(10,2) NOT NULL, CONSTRAINT PK_OD PRIMARY KEY (OrderID, [Line No]),
 CONSTRAINT FK_OD FOREIGN KEY (OrderID) REFERENCES dbo.Orders (OrderID))
CREATE TABLE dbo.Staff (Id int NOT NULL CONSTRAINT PK_Staff PRIMARY KEY, Boss int NULL CONSTRAINT FK_Boss REFERENCES dbo.Staff (Id))"""
INDEXES = """CREATE INDEX [I X] ON dbo.Orders (CustomerID, Placed DESC) INCLUDE (Note)
CREATE UNIQUE INDEX UX_Open ON dbo.Orders (Gid) WHERE ([Open1]=(1))
CREATE INDEX I_X ON dbo.[Order Details] (Amount)
CREATE UNIQUE INDEX UX ON dbo.Staff (Boss, Id)"""


def test_keys_defaults_checks(leaving):
    """Northwind's kind of schema: keys, an identity that goes on, foreign keys, filtered and including indexes, defaults, checks"""
    leaving.run(*re.split(r"\n(?=CREATE)", NORTHWIND + "\n" + INDEXES))
    leaving.run("INSERT INTO dbo.Customers VALUES (N'ALFKI', N'A')",
                "INSERT INTO dbo.Orders (CustomerID, State) VALUES (N'ALFKI', 'OPEN'), (N'ALFKI', 'closed  ')")
    ddl = leaving.schema()
    leaving.load(ddl)
    t = leaving.target
    t.execute("INSERT INTO customers VALUES ('ALFKI', 'A')")
    t.execute("INSERT INTO orders (customer_id, state) VALUES ('ALFKI', 'OPEN'), ('ALFKI', 'closed  ')")
    assert t.query("SELECT order_id, freight, open1, note FROM orders ORDER BY 1")[0] == (110, 0, True, "none")
    assert t.one("SELECT count(*) FROM orders WHERE gid IS NOT NULL AND abs(extract(epoch FROM placed - localtimestamp)) < 60") == 2
    for bad in ("INSERT INTO orders (state) VALUES ('other')", "INSERT INTO orders (state, freight) VALUES ('open', -1)",
                "INSERT INTO orders (state, customer_id) VALUES ('open', 'NOONE')"):
        with pytest.raises(Exception, match="violates"):
            t.execute(bad)
    assert "CK_Placed: no check - it depends on the present time" in ddl
    assert t.one("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'fk_orders_customers'").endswith("ON DELETE CASCADE")
    assert t.one("SELECT count(*) FROM pg_constraint WHERE contype = 'f'") == 3
    defs = [r[0] for r in t.query("SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'")]
    assert any("(customer_id, placed DESC) INCLUDE (note)" in d for d in defs), defs
    assert any("(gid) WHERE (open1 = true)" in d or "(gid) WHERE open1" in d for d in defs), defs
    assert sum(" ON public.order_details USING btree (amount)" in d for d in defs) == 1, defs
    assert leaving.schema("--section", "post").count("CREATE") == 0


def test_names_that_the_server_made_up(leaving):
    """PK__T__3214EC07F7A9B1C2 becomes t_pkey"""
    leaving.run("CREATE TABLE dbo.T (Id int NOT NULL PRIMARY KEY, P int NULL REFERENCES dbo.T (Id), Q int NULL REFERENCES dbo.T (Id), CHECK ([P]>(0)))")
    leaving.load(leaving.schema())
    names = [r[0] for r in leaving.target.query("SELECT conname FROM pg_constraint WHERE conrelid = 't'::regclass ORDER BY 1")]
    assert names == ["t_check", "t_fkey", "t_fkey_2", "t_pkey"], names
    assert "ALTER" not in leaving.schema("--section", "post")


def test_sections(leaving):
    """pre makes tables with keys, post the rest, and only what is not there yet"""
    leaving.run(*re.split(r"\n(?=CREATE)", NORTHWIND + "\n" + INDEXES))
    pre = leaving.schema("--section", "pre")
    assert "FOREIGN KEY" not in pre and "CREATE TABLE" in pre and "PRIMARY KEY" in pre
    leaving.load(pre)
    post = leaving.schema("--section", "post")
    assert "CREATE TABLE" not in post and post.count("FOREIGN KEY") == 3 and post.count("INDEX") == 4
    leaving.load(post)
    again = leaving.schema("--section", "post")
    assert "CREATE" not in again and "ALTER" not in again, again


def test_odd_names_and_what_is_not_translated(leaving):
    """Names with brackets, quotes, line ends and umlauts; every refusal is a comment, never part of a statement"""
    leaving.run('CREATE TABLE dbo.[T "q" ]]b] ([a"b] int NOT NULL PRIMARY KEY, [c]]d] int NULL DEFAULT (abs(-1)), [Größe] nvarchar(10) NULL, '
                "[e\nf; DROP TABLE x; --] nvarchar(10) NULL DEFAULT (suser_sname()), s varchar(5) NULL)")
    leaving.run("ALTER TABLE dbo.[T \"q\" ]]b] ADD CONSTRAINT [ck\n;DROP SCHEMA public] CHECK ([s] LIKE '[a-c]%')")
    leaving.pipeline.config["names"] = "as_is"
    ddl = leaving.schema()
    leaving.load(ddl)
    assert set(columns(leaving.target, '"T ""q"" ]b"')) == {'a"b', "c]d", "Größe", "e\nf; DROP TABLE x; --", "s"}
    assert "no check - LIKE has no classes" in ddl and "suser_sname" in ddl
    assert leaving.schema() == "-- The target lacks no table of this pipeline.\n"


def test_a_table_without_a_primary_key(leaving):
    """Its unique index comes with the table, so that check is content before post"""
    leaving.run("CREATE TABLE dbo.Loose (a int NOT NULL, b nvarchar(20) NOT NULL, c bigint NOT NULL IDENTITY(5,1), v AS (a * 2), "
                "CONSTRAINT UQ_Loose UNIQUE (a, b))")
    leaving.capture("Loose")
    leaving.load(leaving.schema("--section", "pre"))
    leaving.pipeline.roles()
    assert leaving.pipeline.crossfade("install")[0] == 0
    code, findings = leaving.check()
    assert not fails(findings), fails(findings)
    assert not find(findings, "target_key_missing")
    leaving.target.execute("INSERT INTO loose (a, b) VALUES (3, 'x')")
    assert leaving.target.query("SELECT a, c, v FROM loose") == [(3, 5, 6)]
    assert "CREATE" not in leaving.schema("--section", "post")


CHECKS = ["([a]>=(0) AND [a]<=(150))", "[a] BETWEEN 1 AND 5", "[a] IN (1, 2) OR [a] IS NULL", "NOT [a] IN (1, 2)", "[a] % 2 = 0", "([a]+(1))*(2)>(4)", "-[a] < 0",
          "[b]=(1)", "[b]<>(0) OR [a]=(2)", "[s]='M' OR [s]='F'", "[s]<>'m'", "[s] LIKE 'a%'", "[s] NOT LIKE '%b'", "[s] LIKE 'a_'", "[s] IN ('m', 'ab')",
          "LEN([s])>(1)", "LEN([s])=(2)", "UPPER([s])=[s]", "ISNULL([a],(7))=(7)", "[n]='ab'", "[n] LIKE N'AB%'", "[n] LIKE N'a_c'", "LEFT([s],(1))='a'",
          "[d]>='20000101'", "[d] < '2000-06-15T12:00:00'", "YEAR([d])>(1999)", "DATEPART(month,[d])=(6)", "[m]>=(0)", "[m]=(1.5)", "[c]='ab'", "LEN([c])=(2)",
          "CASE WHEN [a]>(3) THEN (1) ELSE (0) END=(1)", "COALESCE([a],(0))>(0)", "ABS([a])<(3)", "[a]=(1) AND ([b]=(1) OR [m]>(2))"]
ROWS = ["0, 0, 'M', N'ab', '1999-12-31', 0, 'ab'", "1, 1, 'm ', N'AB ', '2000-01-01', 1.5, 'AB'", "2, 0, 'F', N'abc', '2000-06-15T12:00:00', -1, 'a'",
        "7, 1, 'ab', N'', '2000-06-15T11:59:59.997', 3, 'abc'", "-4, 0, 'AB', N'x', '2024-06-30', 2.25, ''", "NULL, NULL, NULL, NULL, NULL, NULL, NULL",
        "4, 1, 'a ', N'ab', '1753-01-01', 99, 'B'", "150, 1, ' a', N' AB', '9999-12-31', 1.5, 'ab   '"]


def test_no_check_is_stricter_than_the_legacys(leaving):
    """Whatever row the SQL Server takes under a check, the target takes under its translation; most of them are as strict"""
    for i, check in enumerate(CHECKS):
        leaving.run(f"CREATE TABLE dbo.c{i} (id int NOT NULL PRIMARY KEY, a int NULL, b bit NULL, s varchar(10) NULL, n nvarchar(10) NULL, d datetime NULL, m money NULL, "
                    f"c char(5) NULL, CONSTRAINT ck{i} CHECK ({check}))")
    ddl = leaving.schema()
    leaving.load(ddl)
    assert "no check" not in ddl, [line for line in ddl.splitlines() if "no check" in line]
    stricter, laxer = [], []
    with leaving.source.connect() as legacy, legacy.cursor() as cursor:
        for i, check in enumerate(CHECKS):
            for k, row in enumerate(ROWS):
                taken = []
                try:
                    cursor.execute(f"INSERT INTO dbo.c{i} VALUES ({k}, {row})")
                    taken.append(True)
                except Exception as e:
                    assert "547" in str(e), (check, row, e)
                    taken.append(False)
                bit = {"0": "false", "1": "true"}.get(row.split(", ")[1], "NULL")
                parts = row.replace("N'", "'").split(", ")
                parts[1] = bit
                try:
                    leaving.target.execute(f"INSERT INTO c{i} VALUES ({k}, {', '.join(parts)})")
                    taken.append(True)
                except Exception as e:
                    assert "violates check" in str(e), (check, row, e)
                    taken.append(False)
                if taken[0] != taken[1]:
                    (stricter if taken[0] else laxer).append((check, row))
    assert not stricter, stricter
    assert not laxer, laxer
