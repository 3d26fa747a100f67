# SPDX-License-Identifier: PostgreSQL
"""The application on a SQL Server: writers that insert, update, delete and move keys until told to stop. What they do
follows from the seed; when the server goes away they wait and go on."""
import random
import threading
import time
import uuid

import pymssql

SCHEMA = """
CREATE TABLE dbo.school (id int NOT NULL PRIMARY KEY, name nvarchar(40) NOT NULL, CONSTRAINT uq_school UNIQUE (name))
CREATE TABLE dbo.student (id int NOT NULL PRIMARY KEY, school int NULL REFERENCES dbo.school (id), name nvarchar(60) NULL, gpa decimal(6,3) NULL,
 seen datetime2(3) NULL, active bit NOT NULL, notes nvarchar(max) NULL)
CREATE TABLE dbo.mark (student int NOT NULL, code nvarchar(10) NOT NULL, n float NULL, PRIMARY KEY (code, student))
CREATE TABLE dbo.event (g uniqueidentifier NOT NULL PRIMARY KEY, body varbinary(max) NULL)
CREATE TABLE dbo.log (a int NULL, b varchar(20) NULL)
CREATE TABLE dbo.hot (id int NOT NULL PRIMARY KEY, n bigint NOT NULL, pad varchar(10) NULL)
"""
TARGET = """
CREATE TABLE school (id int PRIMARY KEY, name varchar(40) NOT NULL UNIQUE);
CREATE TABLE student (id int PRIMARY KEY, school int REFERENCES school, name varchar(60), gpa numeric(6,3), seen timestamp(3), active boolean NOT NULL, notes text);
CREATE TABLE mark (student int, code varchar(10), n float8, PRIMARY KEY (code, student));
CREATE TABLE event (g uuid PRIMARY KEY, body bytea);
CREATE TABLE log (a int, b varchar(20));
CREATE TABLE hot (id int PRIMARY KEY, n bigint NOT NULL, pad varchar(10));
"""
# pymssql brings datetime2 with the precision of datetime: as text from both
SEEN = "CONVERT(varchar(23), [seen], 121)", "to_char(seen, 'YYYY-MM-DD HH24:MI:SS.MS')"
TABLES = ("school", "student", "mark", "event", "log", "hot")


def fill(source, rows):
    """`rows` students, and what belongs to them."""
    c = source.connect()
    with c.cursor() as cur:
        cur.execute("INSERT INTO dbo.school VALUES " + ", ".join(f"({i}, N'School {i}')" for i in range(20)))
        cur.execute("INSERT INTO dbo.hot VALUES " + ", ".join(f"({i}, 0, 'x')" for i in range(10)))
        for first in range(0, rows, 200):
            n = range(first, min(rows, first + 200))
            cur.execute("INSERT INTO dbo.student VALUES " + ", ".join(
                f"({i}, {i % 20}, N'Student {i}', {i % 4000 / 1000}, '2024-01-01T00:00:00.123', {i % 2}, {'NULL' if i % 3 else f'N{chr(39)}note é {i}{chr(39)}'})" for i in n))
            cur.execute("INSERT INTO dbo.mark VALUES " + ", ".join(f"({i}, N'{'cC'[i % 2]}{i % 9}', {i / 3})" for i in n))
            cur.execute("INSERT INTO dbo.log VALUES " + ", ".join(f"({i % 50}, 'b{i % 7}')" for i in n))
    c.close()


class SqlServerLoad:
    def __init__(self, source, writers=2, seed=1, rows=1000, pause=0.0):
        self.source, self.rows, self.pause = source, rows, pause
        self.stopping = threading.Event()
        self.done, self.errors = [0] * writers, []
        self.threads = [threading.Thread(target=self._write, args=(i, random.Random(seed * 1000 + i)), daemon=True) for i in range(writers)]

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *exc):
        self.stopping.set()
        for t in self.threads:
            t.join(60)

    def stop(self):
        self.stopping.set()
        for t in self.threads:
            t.join(60)
            assert not t.is_alive(), "a writer hangs"
        assert not self.errors, f"the application was hurt: {self.errors[0]}"

    @property
    def transactions(self):
        return sum(self.done)

    def _write(self, me, rnd):
        c = None
        while not self.stopping.is_set():
            try:
                c = c or self.source.connect(autocommit=False)
                with c.cursor() as cur:
                    for _ in range(rnd.choice((1, 1, 1, 2, 5, 20))):
                        cur.execute(self._one(rnd, me))
                c.rollback() if rnd.random() < 0.05 else c.commit()
                self.done[me] += 1
                self.stopping.wait(self.pause)
            except pymssql.IntegrityError:
                c.rollback()
            except pymssql.Error:  # a deadlock, or the server is away: a connection of its own next time
                try:
                    c and c.close()
                except pymssql.Error:
                    pass
                c = None
                time.sleep(0.05)
            except Exception as e:
                self.errors.append(repr(e))
                return
        if c is not None:
            c.close()

    def _one(self, rnd, me):
        a, kind = rnd.randrange(self.rows), rnd.randrange(14)
        if kind < 2:
            return f"UPDATE dbo.hot SET n = n + 1, pad = '{rnd.choice('abc') * 3}' WHERE id = {rnd.randrange(10)}"
        if kind == 2:
            return f"INSERT INTO dbo.student VALUES ({rnd.randrange(10**6, 10**9)}, {rnd.randrange(20)}, N'new 𝄞 {a}', NULL, SYSUTCDATETIME(), 1, {rnd.choice(('NULL', 'REPLICATE(CONVERT(nvarchar(max), N''n''), 9000)')).replace(chr(39) * 2, chr(39))})"
        if kind == 3:
            return f"UPDATE dbo.student SET gpa = {rnd.randrange(4000) / 1000}, seen = SYSUTCDATETIME() WHERE id BETWEEN {a} AND {a + 3}"
        if kind == 4:
            return f"UPDATE dbo.student SET notes = {rnd.choice(('NULL', 'N' + chr(39) * 2, 'N' + chr(39) + 'y' * 3000 + chr(39)))} WHERE id = {a}"
        if kind == 5:
            return f"DELETE FROM dbo.student WHERE id = {a}"
        if kind == 6:
            return f"INSERT INTO dbo.event VALUES ('{uuid.UUID(int=rnd.getrandbits(128))}', CONVERT(varbinary(max), REPLICATE('z', {rnd.choice((0, 10, 5000))})))"
        if kind == 7:
            return f"DELETE FROM dbo.event WHERE g < '{uuid.UUID(int=rnd.getrandbits(128))}' AND body IS NOT NULL"
        if kind == 8:  # a key moves, far or to a free neighbour
            return f"UPDATE dbo.mark SET student = student + {rnd.choice((1, 100000, -3))} WHERE student = {a}"
        if kind == 9:  # only its case
            return f"UPDATE dbo.mark SET code = {rnd.choice(('UPPER', 'LOWER'))}(code) WHERE student = {a}"
        if kind == 10:  # deleted and used again
            return f"DELETE FROM dbo.student WHERE id = {a}; INSERT INTO dbo.student VALUES ({a}, {rnd.randrange(20)}, N'again', 1, NULL, 0, N'again')"
        if kind == 11:
            return f"INSERT INTO dbo.log VALUES ({rnd.randrange(50)}, {rnd.choice(('NULL', chr(39) + 'new' + chr(39)))})"
        if kind == 12:
            return f"UPDATE dbo.log SET b = 'u{rnd.randrange(9)}' WHERE a = {rnd.randrange(50)}"
        return f"DELETE TOP (1) FROM dbo.log WHERE a = {rnd.randrange(50)}"
