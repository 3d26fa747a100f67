# SPDX-License-Identifier: PostgreSQL
"""A pipeline from a database of a SQL Server whose tables are polled, by any of the captures that do."""
import os

from .process import wait_for

SOURCE = """
CREATE TABLE dbo.student (id int NOT NULL PRIMARY KEY, name nvarchar(40) NULL, price decimal(10,2) NULL, at datetime2(3) NULL, flag bit NOT NULL,
 tiny tinyint NULL, note nvarchar(max) NULL, changed datetime2(3) NULL DEFAULT SYSUTCDATETIME(), gone bit NOT NULL DEFAULT 0, version rowversion)
CREATE TABLE dbo.enrolled (code varchar(10) NOT NULL, n bigint NOT NULL, note nvarchar(20) NULL, changed datetime2(3) NULL DEFAULT SYSUTCDATETIME(),
 version rowversion, CONSTRAINT pk_enrolled PRIMARY KEY (code, n))
CREATE INDEX student_version ON dbo.student (version)
CREATE INDEX enrolled_version ON dbo.enrolled (version)
CREATE INDEX student_changed ON dbo.student (changed)
"""
# n is narrower than the source's: cast on the way
TARGET = """
CREATE TABLE student (id int PRIMARY KEY, name varchar(40), price numeric(10,2), at timestamp(3), flag boolean NOT NULL, tiny smallint, note text,
 changed timestamp(3), gone boolean NOT NULL, version bytea);
CREATE TABLE enrolled (code text, n int, note text, changed timestamp(3), version bytea, PRIMARY KEY (code, n));
"""
CHECKED = (("student", "id, name, price, at, flag, tiny, note"), ("enrolled", "code, n, note"))


class Polled:
    def __init__(self, pipeline, source, capture):
        self.pipeline, self.source, self.capture = pipeline, source, capture
        secret = os.path.join(pipeline.dir, "secret")
        with open(secret, "w") as f:
            f.write(source.server.password)
        os.chmod(secret, 0o600)
        c = pipeline.config
        c["legacy"] = {"kind": "sqlserver", "host": source.server.host, "port": source.server.port, "database": source.name,
                       "user": source.server.user, "password": f"file:{secret}", "encrypt": "off", "capture": capture}
        c["schemas"] = {"dbo": "public"}
        c["stream"] = {"poll_interval": "50ms"}
        c["max_deletes"] = 0.5

    def prepare(self, snapshot=True):
        self.source.execute(SOURCE)
        if snapshot:
            self.source.server.execute(f"ALTER DATABASE [{self.source.name}] SET ALLOW_SNAPSHOT_ISOLATION ON")
        if self.capture == "change_tracking":
            self.source.execute(f"ALTER DATABASE [{self.source.name}] SET CHANGE_TRACKING = ON (CHANGE_RETENTION = 2 DAYS, AUTO_CLEANUP = ON)")
            for t, _ in CHECKED:
                self.source.execute(f"ALTER TABLE dbo.{t} ENABLE CHANGE_TRACKING")
        if self.capture == "timestamp":
            self.pipeline.config["tables"] = [{"from": "dbo.student", "updated_at": "changed", "overlap": "1min", "soft_delete": "gone"},
                                              {"from": "dbo.enrolled", "updated_at": "changed", "overlap": "1min"}]
        self.pipeline.on(self.pipeline.target, TARGET)
        self.pipeline.roles()
        code, out, err = self.pipeline.crossfade("install")
        assert code == 0, out + err
        return self

    def run(self, *statements):
        for s in statements:
            self.source.execute(s)

    def fill(self, first, last):
        for i in range(first, last + 1):
            self.run(f"INSERT INTO dbo.student (id, name, price, at, flag, tiny, note) VALUES ({i}, N'naïve {i}', {i}.25, "
                     f"'2020-01-01T10:00:00.123', {i % 2}, {i % 200}, N'note {i}')")
        self.run(f"INSERT INTO dbo.enrolled (code, n, note) VALUES ('a', {first}, N'x'), ('b', {first}, NULL)")

    def update(self, table, what, where):
        """As the application does, by whatever its capture needs."""
        self.run(f"UPDATE dbo.{table} SET {what}, changed = SYSUTCDATETIME() WHERE {where}")

    def rows(self, table, columns):
        ours = self.pipeline.target.query(f"SELECT {columns} FROM {table}")
        theirs = self.source.query(f"SELECT {columns} FROM dbo.{table}")
        return sorted(map(repr, ours)), sorted(map(repr, theirs))

    def same(self):
        return all(ours == theirs for ours, theirs in (self.rows(*c) for c in CHECKED))

    def wait_equal(self, replicator=None, deadline=60):
        def look():
            assert replicator is None or replicator.running, replicator.tail()
            return self.same()
        try:
            wait_for(look, deadline, "both sides are equal")
        except AssertionError:
            raise AssertionError("\n".join(f"{t}: target {a}\n   source {b}" for t, c in CHECKED for a, b in [self.rows(t, c)] if a != b)
                                 + "".join(r.tail() for r in self.pipeline.replicators[-1:]))

    def close(self):
        for r in self.pipeline.replicators:
            r.end()
        self.source.drop()
