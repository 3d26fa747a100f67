# SPDX-License-Identifier: PostgreSQL
"""A pipeline that leaves a SQL Server: the database there, and what points the config at it."""
import json
import os

from .postgres import Database

class Leaving:
    def __init__(self, pipeline, source, names="snake_case"):
        self.pipeline, self.source, self.target = pipeline, source, pipeline.target
        self.secret = os.path.join(pipeline.dir, "secret")
        self.login(source.server.user, source.server.password)
        pipeline.config["schemas"] = {"dbo": "public"}
        pipeline.config["names"] = names

    def login(self, user, password):
        with open(self.secret, "w") as f:
            f.write(password)
        os.chmod(self.secret, 0o600)
        self.pipeline.config["legacy"] = {
            "kind": "sqlserver", "host": self.source.server.host, "port": self.source.server.port, "database": self.source.name,
            "user": user, "password": f"file:{self.secret}", "encrypt": "off", "capture": "cdc"}

    def run(self, *statements):
        for s in statements:
            self.source.execute(s)

    def capture(self, *tables):
        """Change data capture of the database and of these tables of dbo."""
        self.run("IF NOT EXISTS (SELECT 1 FROM sys.databases AS d WHERE d.database_id = DB_ID() AND d.is_cdc_enabled = 1) EXEC sys.sp_cdc_enable_db")
        for t in tables:
            schema, _, name = t.rpartition(".")
            self.run(f"EXEC sys.sp_cdc_enable_table @source_schema = N'{schema or 'dbo'}', @source_name = N'{name}', @role_name = NULL, "
                     "@supports_net_changes = 0")

    def schema(self, *args):
        code, out, err = self.pipeline.crossfade("schema", *args)
        assert code == 0, f"crossfade schema: {code}\n{out}{err}"
        return out

    def load(self, ddl):
        """As the target's administrator; any error is one."""
        self.target.psql("SET client_min_messages = warning;\n" + ddl)

    def check(self, *args):
        """(exit status, findings)"""
        code, out, err = self.pipeline.crossfade("check", "--json", *args)
        assert code in (0, 1), f"crossfade check: {code}\n{out}{err}"
        return code, json.loads(out)["findings"]


def find(findings, code, thing=None):
    return [f for f in findings if f["code"] == code and (thing is None or f["object"] == thing)]


def one(findings, code, level, thing=None):
    found = find(findings, code, thing)
    assert found, f"no finding {code} about {thing}: {json.dumps(findings, indent=1)}"
    assert found[0]["level"] == level, found[0]
    return found[0]


def fails(findings):
    return [f for f in findings if f["level"] == "fail"]
