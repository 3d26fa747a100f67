# SPDX-License-Identifier: PostgreSQL
"""A SQL Server for the tests: the one that CROSSFADE_TEST_SQLSERVER=host:port:user:password names, else the stand-in of
tests/standin over a private PostgreSQL."""
import itertools
import os
import signal
import sys

import pymssql

from .postgres import PgServer
from .process import free_port, spawn, wait_for

TESTS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PASSWORD = "Crossfade-1"
_number = itertools.count(1)


class SqlServer:
    """start() and stop(); execute() and query() are sessions of their own, as an administrator's."""

    def __init__(self, base, name, template, options=(), settings=None):
        self.given = os.environ.get("CROSSFADE_TEST_SQLSERVER")
        self.process = None
        if self.given:
            self.host, port, self.user, self.password = self.given.split(":", 3)
            self.port = int(port)
            return
        self.pg = PgServer(base, name, template, settings=settings)
        self.host, self.user, self.password, self.port = "127.0.0.1", "sa", PASSWORD, None
        self.log = os.path.join(self.pg.dir, "standin.log")
        self.options = list(options)

    @property
    def is_standin(self):
        return not self.given

    def start(self):
        if self.given:
            return self
        self.pg.start()
        return self.start_front()

    def start_front(self):
        """The stand-in alone, over the PostgreSQL that runs; on the same port again after stop_front."""
        self.port = self.port or free_port()
        argv = [sys.executable, "-m", "standin", "--pg", f"host={self.pg.dir} port=5432 user=postgres", "--listen",
                f"127.0.0.1:{self.port}", "--user", self.user, "--password", self.password, *self.options]
        self.process = spawn(argv, self.log, env={**os.environ, "PYTHONPATH": TESTS, "PYTHONDONTWRITEBYTECODE": "1"}, death_signal=signal.SIGTERM)
        try:
            wait_for(self._up, 60, "the stand-in accepts logins")
        except AssertionError:
            with open(self.log) as f:
                raise AssertionError(f"the stand-in did not start:\n{f.read()[-3000:]}")
        return self

    def _up(self):
        assert self.process.poll() is None, f"the stand-in ended: see {self.log}"
        self.connect("master").close()
        return True

    def stop_front(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)

    def stop(self):
        if self.given:
            return
        self.stop_front()
        self.pg.stop("immediate")

    # -- sessions ------------------------------------------------------------------------------------------------------
    def connect(self, database="master", autocommit=True, **kw):
        return pymssql.connect(server=self.host, port=str(self.port), user=self.user, password=self.password, database=database,
                               autocommit=autocommit, login_timeout=20, timeout=kw.pop("timeout", 60), **kw)

    def _run(self, sql, args, database, fetch):
        c = self.connect(database)
        try:
            with c.cursor() as cur:
                cur.execute(sql, args) if args is not None else cur.execute(sql)
                if fetch:
                    return cur.fetchall()
                while cur.nextset():
                    pass
        finally:
            c.close()

    def execute(self, sql, args=None, database="master"):
        self._run(sql, args, database, False)

    def query(self, sql, args=None, database="master"):
        return self._run(sql, args, database, True)

    def one(self, sql, args=None, database="master"):
        rows = self.query(sql, args, database)
        return rows[0][0] if rows else None

    def create_database(self, name=None):
        """An empty database of the test's own."""
        name = name or f"cf{os.getpid()}_{next(_number)}"
        self.execute(f"CREATE DATABASE [{name}]")
        return MsDatabase(self, name)


class MsDatabase:
    def __init__(self, server, name):
        self.server, self.name = server, name

    def execute(self, sql, args=None):
        self.server.execute(sql, args, self.name)

    def query(self, sql, args=None):
        return self.server.query(sql, args, self.name)

    def one(self, sql, args=None):
        return self.server.one(sql, args, self.name)

    def connect(self, **kw):
        return self.server.connect(self.name, **kw)

    def drop(self):
        self.server.execute(f"DROP DATABASE IF EXISTS [{self.name}]")
