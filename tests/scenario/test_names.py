# SPDX-License-Identifier: PostgreSQL
"""Names and shapes that break careless SQL."""
import re

from psycopg2 import sql

SCHEMAS = ["public", 'Weird "Schema".x', "select"]
NAMES = ["CamelCase", 'quo"te', "apo'strophe", "dot.ted", "with space", "select", "ünïcödé", "x" * 63, "back\\slash", "percent%s", "new\nline", "$1", "{brace},"]


def test_names(pipeline):
    """Quoted names, names with dots, quotes, blanks and line ends, key words, 63 bytes: tables, columns, keys, schemas"""
    made = []
    for database in (pipeline.legacy, pipeline.target):
        c = database.connect()
        with c.cursor() as cur:
            cur.execute("SET ROLE app_owner")
            for s in SCHEMAS:
                if s != "public":
                    cur.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(s)))
                for i, n in enumerate(NAMES):
                    other = NAMES[(i + 3) % len(NAMES)]
                    table = sql.Identifier(s, n)
                    cur.execute(sql.SQL("CREATE TABLE {} ({} int, {} text, v int, PRIMARY KEY ({}, v))").format(
                        table, sql.Identifier(n), sql.Identifier(other), sql.Identifier(n)))
                    cur.execute(sql.SQL("CREATE INDEX {} ON {} ({})").format(sql.Identifier(("i" + n)[:60]), table, sql.Identifier(other)))
                    if database is pipeline.legacy:
                        made.append((table, sql.Identifier(n), sql.Identifier(other)))
                        cur.execute(sql.SQL("INSERT INTO {} SELECT i, 'a' || i, 1 FROM generate_series(1, 20) i").format(table))
        c.close()
    pipeline.prepare()
    code, findings = pipeline.check()
    assert code == 0, [f for f in findings if f["level"] == "fail"]
    r = pipeline.start(ready=True)
    pipeline.assert_equal()
    c = pipeline.legacy.connect()
    with c.cursor() as cur:
        for table, key, other in made:
            cur.execute(sql.SQL("UPDATE {} SET {} = 'it''s' WHERE {} = 3").format(table, other, key))
            cur.execute(sql.SQL("UPDATE {} SET {} = 100 WHERE {} = 4").format(table, key, key))
            cur.execute(sql.SQL("DELETE FROM {} WHERE {} = 5").format(table, key))
            cur.execute(sql.SQL("INSERT INTO {} VALUES (50, '', 2)").format(table))
        cur.execute(sql.SQL("TRUNCATE {}").format(made[0][0]))
    c.close()
    pipeline.wait_equal(r)
    shown = {m for line in r.metrics() for m in re.findall(r'table="((?:[^"\\]|\\.)*)"', line)}
    escaped = {n.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for n in NAMES}
    assert {f"public.{n}" for n in escaped} <= shown, shown
    assert {f"public.{n}" for n in NAMES} <= set(r.tables())


def test_names_as_listed_in_the_config(pipeline):
    """Tables listed one by one, with quotes and dots in their names; others are left alone"""
    pipeline.both('CREATE TABLE "A.b" (id int PRIMARY KEY); CREATE TABLE plain (id int PRIMARY KEY); CREATE TABLE not_listed (id int PRIMARY KEY);')
    pipeline.legacy.execute('INSERT INTO "A.b" VALUES (1); INSERT INTO plain VALUES (2); INSERT INTO not_listed VALUES (3)')
    pipeline.config["tables"] = ['public."A.b"', "plain"]
    pipeline.prepare()
    r = pipeline.start(ready=True)
    pipeline.legacy.execute('INSERT INTO "A.b" VALUES (11); INSERT INTO plain VALUES (12); INSERT INTO not_listed VALUES (13)')
    pipeline.wait_equal(r, only=["A.b", "plain"])
    assert pipeline.target.one("SELECT count(*) FROM not_listed") == 0


def test_columns_dropped_and_in_another_order(pipeline):
    """Dropped columns, another column order on the target, extra columns there with defaults"""
    pipeline.on(pipeline.legacy, "CREATE TABLE t (gone int, id int PRIMARY KEY, a text, gone2 text, b numeric, c date); ALTER TABLE t DROP gone; ALTER TABLE t DROP gone2;")
    pipeline.on(pipeline.target, "CREATE TABLE t (c date, x1 int, b numeric, extra text DEFAULT 'here', a text, id int PRIMARY KEY, stamp timestamptz DEFAULT now()); ALTER TABLE t DROP x1;")
    pipeline.legacy.execute("INSERT INTO t SELECT i, 'a' || i, i / 3.0, date '2024-01-01' + i FROM generate_series(1, 300) i")
    pipeline.prepare()
    r = pipeline.start(ready=True)
    pipeline.legacy.execute("INSERT INTO t VALUES (1000, 'n', 1, NULL); UPDATE t SET b = -1 WHERE id < 10; UPDATE t SET id = 2000 WHERE id = 11; DELETE FROM t WHERE id = 12")
    pipeline.wait_equal(r)
    assert pipeline.target.one("SELECT count(*) FROM t WHERE extra IS DISTINCT FROM 'here'") == 0


def test_snake_case_and_schemas(pipeline):
    """names: snake_case, and schemas mapped"""
    pipeline.legacy.psql('SET ROLE app_owner; CREATE SCHEMA "Old"; CREATE TABLE "Old"."StudentGrade" ("Id" int PRIMARY KEY, "FirstName" text, "SchoolID" int);'
                         'INSERT INTO "Old"."StudentGrade" VALUES (1, \'a\', 2);')
    pipeline.target.psql("SET ROLE app_owner; CREATE SCHEMA app; CREATE TABLE app.student_grade (id int PRIMARY KEY, first_name text, school_id int);")
    pipeline.config.update(names="snake_case", schemas={"Old": "app"})
    pipeline.prepare()
    r = pipeline.start(ready=True)
    pipeline.legacy.execute('INSERT INTO "Old"."StudentGrade" VALUES (5, \'b\', 3); UPDATE "Old"."StudentGrade" SET "FirstName" = \'c\' WHERE "Id" = 1')
    pipeline.wait_applied(r)
    assert pipeline.target.query("SELECT * FROM app.student_grade ORDER BY id") == [(1, "c", 2), (5, "b", 3)]


def test_1600_columns(pipeline):
    """A table with 1,600 columns: copied, inserted, updated"""
    n = 1599
    ddl = "CREATE TABLE wide (id int PRIMARY KEY, " + ", ".join(f"c{i} {'int' if i % 3 else 'boolean'}" for i in range(n)) + ");"
    pipeline.both(ddl)
    values = "INSERT INTO wide SELECT g, " + ", ".join(("g" if i % 2 else "NULL::int") if i % 3 else "g % 2 = 0" for i in range(n)) + " FROM generate_series(%s, %s) g"
    values = values.replace("g % 2", "g %% 2")
    pipeline.legacy.execute(values, (1, 30))
    pipeline.prepare()
    r = pipeline.start(ready=True)
    pipeline.legacy.execute(values, (100, 140))
    pipeline.legacy.execute("UPDATE wide SET c1598 = -1, c4 = 9 WHERE id < 20")
    pipeline.legacy.execute("UPDATE wide SET id = id + 1000 WHERE id < 5")
    pipeline.wait_equal(r)


def test_column_without_value_columns(pipeline):
    """A table that is nothing but its key, and one without any column"""
    pipeline.both("CREATE TABLE k (a int, b text, PRIMARY KEY (b, a)); CREATE TABLE p (id int PRIMARY KEY);")
    pipeline.legacy.execute("INSERT INTO k SELECT i, 'x' FROM generate_series(1, 10) i")
    pipeline.prepare()
    r = pipeline.start(ready=True)
    pipeline.legacy.execute("INSERT INTO k VALUES (100, 'y'); UPDATE k SET a = 200 WHERE a = 1; DELETE FROM k WHERE a = 2; UPDATE k SET a = a WHERE a = 3; INSERT INTO p VALUES (1)")
    pipeline.wait_equal(r)
