# SPDX-License-Identifier: PostgreSQL
"""A SQL Server as the legacy, by change data capture: moved, followed, tables that join later, capture switched off."""
import os
import threading
import time

import pytest

from lib.process import wait_for
from lib.sqlserver import SqlServer

SOURCE = """
CREATE TABLE dbo.student (id int NOT NULL PRIMARY KEY, name nvarchar(40) NULL, price decimal(10,2) NULL, at datetime2(3) NULL,
 flag bit NOT NULL, tiny tinyint NULL, note nvarchar(max) NULL)
CREATE TABLE dbo.enrolled (code varchar(10) NOT NULL, n bigint NOT NULL, g uniqueidentifier NULL, CONSTRAINT pk_enrolled PRIMARY KEY (code, n))
"""
# n is narrower than the source's: cast on the way
TARGET = """
CREATE TABLE student (id int PRIMARY KEY, name varchar(40), price numeric(10,2), at timestamp(3), flag boolean NOT NULL, tiny smallint, note text);
CREATE TABLE enrolled (code text, n int, g uuid, PRIMARY KEY (code, n));
"""


@pytest.fixture(scope="module")
def server(base, template):
    s = SqlServer(base, "sm", template).start()
    yield s
    s.stop()


class Moved:
    """A pipeline from a database of the SQL Server to one of the target's."""

    def __init__(self, pipeline, source):
        self.pipeline, self.source = pipeline, source
        secret = os.path.join(pipeline.dir, "secret")
        with open(secret, "w") as f:
            f.write(source.server.password)
        os.chmod(secret, 0o600)
        pipeline.config["legacy"] = {"kind": "sqlserver", "host": source.server.host, "port": source.server.port, "database": source.name,
                                     "user": source.server.user, "password": f"file:{secret}", "encrypt": "off", "capture": "cdc"}
        pipeline.config["schemas"] = {"dbo": "public"}

    def capture(self, *tables):
        for t in tables:
            self.source.execute(f"EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'{t}', @role_name = NULL, "
                                "@supports_net_changes = 0")

    def prepare(self):
        self.source.execute(SOURCE)
        self.source.execute("EXEC sys.sp_cdc_enable_db")
        self.capture("student", "enrolled")
        self.pipeline.on(self.pipeline.target, TARGET)
        self.pipeline.roles()
        code, out, err = self.pipeline.crossfade("install")
        assert code == 0, out + err
        return self

    def rows(self, table, columns):
        """Of both sides, as text that both write alike."""
        ours = self.pipeline.target.query(f"SELECT {columns} FROM {table}")
        theirs = self.source.query(f"SELECT {columns} FROM dbo.{table}")
        return sorted(map(repr, ours)), sorted(map(repr, theirs))

    def equal(self, replicator=None, deadline=60):
        checks = (("student", "id, name, price, at, flag, tiny, note"), ("enrolled", "code, n"))

        def same():
            assert replicator is None or replicator.running, replicator.tail()
            return all(ours == theirs for ours, theirs in (self.rows(*c) for c in checks))
        wait_for(same, deadline, "both sides are equal")


@pytest.fixture
def moved(make_pipeline, legacy_server, target_server, server):
    p = make_pipeline(legacy_server, target_server)
    source = server.create_database()
    yield Moved(p, source).prepare()
    for r in p.replicators:
        r.end()
    source.drop()


def fill(source, first, last):
    for i in range(first, last + 1):
        source.execute(f"INSERT INTO dbo.student VALUES ({i}, N'naïve {i}', {i}.25, '2020-01-01T10:00:00.123', {i % 2}, {i % 200}, N'note {i}')")
    source.execute(f"INSERT INTO dbo.enrolled VALUES ('a', {first}, '6F9619FF-8B86-D011-B42D-00C04FC964FF'), ('b', {first}, NULL)")


def test_moved_and_followed(moved):
    """Copied, then followed: inserts, updates, deletes, a key change, a large value that does not change with its row"""
    fill(moved.source, 1, 30)
    moved.pipeline.move()
    moved.equal()
    r = moved.pipeline.start(ready=True)
    moved.source.execute("UPDATE dbo.student SET name = N'new' WHERE id = 1; DELETE FROM dbo.student WHERE id = 2")
    moved.source.execute("UPDATE dbo.student SET note = REPLICATE(CONVERT(nvarchar(max), N'x'), 9000) WHERE id = 3")
    moved.source.execute("UPDATE dbo.student SET tiny = 10 WHERE id = 3")
    moved.source.execute("UPDATE dbo.student SET id = 200 WHERE id = 4; UPDATE dbo.enrolled SET n = 77 WHERE code = 'a'")
    fill(moved.source, 40, 45)
    moved.equal(r)
    stream = r.status()["streams"][0]
    assert stream["applied"].startswith("0x") and len(stream["applied"]) == 22
    assert stream["lag_bytes"] is None and stream["lag_ms"] is not None
    # kill -9, and on from the same commit
    r.kill9()
    moved.source.execute("UPDATE dbo.student SET price = price + 1")
    moved.equal(moved.pipeline.start(ready=True))


def test_table_joins_later_while_written(moved):
    """11: tables captured long after the pipeline began, with a key and without, written to all the while"""
    fill(moved.source, 1, 5)
    moved.pipeline.move()
    source = moved.source
    source.execute("CREATE TABLE dbo.keyed (a int NOT NULL PRIMARY KEY, b varchar(10) NULL)")
    source.execute("CREATE TABLE dbo.bare (a int NULL, b varchar(10) NULL)")
    for i in range(9):
        source.execute(f"INSERT INTO dbo.keyed VALUES ({i}, 'r'); INSERT INTO dbo.bare VALUES ({i % 3}, 'r')")
    moved.capture("keyed", "bare")
    moved.pipeline.on(moved.pipeline.target, "CREATE TABLE keyed (a int PRIMARY KEY, b varchar(10)); CREATE TABLE bare (a int, b varchar(10))")
    moved.pipeline.roles()
    ended = threading.Event()

    def write():
        i = 100
        while not ended.is_set():
            source.execute(f"INSERT INTO dbo.keyed VALUES ({i}, 'n'); INSERT INTO dbo.bare VALUES ({i % 7}, 'n'); DELETE FROM dbo.keyed WHERE a = {i - 5}")
            i += 1
            time.sleep(0.05)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        r = moved.pipeline.start(ready=True)
    finally:
        ended.set()
        writer.join()
    source.execute("DELETE FROM dbo.bare WHERE a = 1; UPDATE dbo.bare SET b = 'u' WHERE a = 2")

    def same():
        assert r.running, r.tail()
        return all(ours == theirs for ours, theirs in (moved.rows("keyed", "a, b"), moved.rows("bare", "a, b")))
    wait_for(same, 60, "both sides are equal")
    assert all(t["state"] == "streaming" for t in r.tables().values()), r.tables()


def test_13_capture_switched_off_and_on(moved):
    """13: capture switched off and on for a table: that one stops and says so, the others go on; a new copy mends it"""
    fill(moved.source, 1, 5)
    moved.pipeline.move()
    moved.source.execute("EXEC sys.sp_cdc_disable_table @source_schema = N'dbo', @source_name = N'enrolled', @capture_instance = N'all'")
    moved.source.execute("INSERT INTO dbo.enrolled VALUES ('lost', 1, NULL)")
    moved.capture("enrolled")
    r = moved.pipeline.start()
    wait_for(lambda: r.tables().get("public.enrolled", r.tables().get("dbo.enrolled", {})).get("state") == "stopped", 60, "the table is stopped")
    moved.source.execute("UPDATE dbo.student SET name = N'goes on'")
    wait_for(lambda: moved.rows("student", "id, name")[0] == moved.rows("student", "id, name")[1], 60, "the other goes on")
    r.stop()
    code, out, err = moved.pipeline.crossfade("recopy", "--table", "dbo.enrolled")
    assert code == 0, out + err
    moved.pipeline.move()
    moved.equal()
