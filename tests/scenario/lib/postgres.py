# SPDX-License-Identifier: PostgreSQL
"""Private PostgreSQL servers on a Unix socket in a short directory, and databases on them."""
import os
import shutil
import signal
import subprocess

import psycopg2
import psycopg2.extras

from .process import run, server_user, spawn, wait_for

DEBIAN_BIN = "/usr/lib/postgresql/15/bin"

SETTINGS = {
    "listen_addresses": "''", "port": "5432", "wal_level": "logical", "max_wal_senders": "20",
    "max_replication_slots": "40", "max_connections": "120", "shared_buffers": "64MB", "fsync": "off",
    "full_page_writes": "off", "max_wal_size": "4GB", "logging_collector": "off", "log_min_messages": "warning",
    "deadlock_timeout": "200ms", "timezone": "'Europe/Paris'", "max_worker_processes": "16",
}


def pg_bin():
    return os.environ.get("CROSSFADE_TEST_PGBIN", DEBIAN_BIN)


def versions():
    """Directories of PostgreSQL programs to try: CROSSFADE_TEST_PG_VERSIONS (colon-separated bin directories, or roots
    that hold native/bin or bin), else Debian's only."""
    out = []
    for d in filter(None, os.environ.get("CROSSFADE_TEST_PG_VERSIONS", "").split(":")):
        for sub in ("", "bin", "native/bin"):
            if os.path.exists(os.path.join(d, sub, "postgres")):
                out.append(os.path.join(d, sub))
                break
        else:
            raise RuntimeError(f"no PostgreSQL programs under {d}")
    return out or [pg_bin()]


class Template:
    """initdb once per session and set of programs; servers begin as copies of it."""

    def __init__(self, base):
        self.base = base
        self.made = {}

    def get(self, bindir):
        if bindir not in self.made:
            path = os.path.join(self.base, f"template{len(self.made)}")
            user = server_user()
            os.makedirs(path, mode=0o700)
            if user:
                shutil.chown(path, user)
            run([os.path.join(bindir, "initdb"), "-D", path, "-U", "postgres", "-A", "trust", "-E", "UTF8",
                 "--locale=C", "--nosync"], user=user)
            self.made[bindir] = path
        return self.made[bindir]


class PgServer:
    def __init__(self, base, name, template, bindir=None, settings=None):
        self.bindir = bindir or pg_bin()
        self.name = name
        self.dir = os.path.join(base, name)
        self.data = os.path.join(self.dir, "data")
        self.log = os.path.join(self.dir, "log")
        self.user = server_user()
        self.process = None
        os.makedirs(self.dir, mode=0o755)
        open(self.log, "w").close()
        subprocess.run(["cp", "-a", "--reflink=auto", template.get(self.bindir), self.data], check=True)
        if self.user:
            shutil.chown(self.dir, self.user)
        self.settings = dict(SETTINGS, unix_socket_directories=f"'{self.dir}'", **(settings or {}))
        # Roles whose name begins with pw_ need their password; everyone else is trusted.
        with open(os.path.join(self.data, "pg_hba.conf"), "w") as f:
            f.write("local all pw_app scram-sha-256\nlocal all all trust\nlocal replication all trust\n"
                    "host all all 127.0.0.1/32 scram-sha-256\n")
        self.write_settings()

    def write_settings(self):
        with open(os.path.join(self.data, "postgresql.auto.conf"), "w") as f:
            f.writelines(f"{k} = {v}\n" for k, v in self.settings.items())

    def set(self, **settings):
        """Changes settings and reloads."""
        self.settings.update(settings)
        self.write_settings()
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGHUP)

    def start(self, deadline=30):
        assert self.process is None or self.process.poll() is not None, "already running"
        self.process = spawn([os.path.join(self.bindir, "postgres"), "-D", self.data], self.log, user=self.user,
                             death_signal=signal.SIGINT)
        try:
            wait_for(self._up, deadline, f"server {self.name} accepts connections")
        except AssertionError:
            with open(self.log) as f:
                raise AssertionError(f"server {self.name} did not start:\n{f.read()[-3000:]}")
        return self

    def _up(self):
        assert self.process.poll() is None, f"server {self.name} ended: see {self.log}"
        self.connect("postgres").close()
        return True

    def stop(self, how="fast", deadline=60):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal({"fast": signal.SIGINT, "immediate": signal.SIGQUIT}[how])
        try:
            self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(30)

    def crash(self):
        """As a power cut would leave it (the kernel keeps its pages): the postmaster ends its children at once."""
        self.stop("immediate")

    def restart(self, how="fast"):
        self.stop(how)
        return self.start()

    def connect(self, database, user="postgres", **kw):
        c = psycopg2.connect(host=self.dir, port=5432, dbname=database, user=user, connect_timeout=10, **kw)
        c.autocommit = True
        return c

    def version_of_data(self):
        """Its major, also while it is down."""
        with open(os.path.join(self.data, "PG_VERSION")) as f:
            return int(f.read().split(".")[0])

    @property
    def version(self):
        c = self.connect("postgres")
        try:
            return c.server_version
        finally:
            c.close()

    def execute(self, sql, args=None):
        Database(self, "postgres").execute(sql, args)

    def query(self, sql, args=None):
        return Database(self, "postgres").query(sql, args)

    def one(self, sql, args=None):
        return Database(self, "postgres").one(sql, args)


class Database:
    """One database as its administrator sees it. Every call is a session of its own, so that nothing of the test
    holds a snapshot; `connect` is for tests that want one."""

    def __init__(self, server, name):
        self.server = server
        self.name = name

    def conninfo(self, user="postgres", **more):
        more = {"host": self.server.dir, "port": 5432, "dbname": self.name, "user": user, **more}
        return " ".join(f"{k}='{v}'" for k, v in more.items())

    def connect(self, user="postgres", **kw):
        return self.server.connect(self.name, user, **kw)

    def _run(self, sql, args, fetch, user):
        c = self.connect(user)
        try:
            with c.cursor() as cur:
                cur.execute(sql, args)
                return cur.fetchall() if fetch else None
        finally:
            c.close()

    def execute(self, sql, args=None, user="postgres"):
        self._run(sql, args, False, user)

    def query(self, sql, args=None, user="postgres"):
        return self._run(sql, args, True, user)

    def one(self, sql, args=None, user="postgres"):
        rows = self._run(sql, args, True, user)
        return rows[0][0] if rows else None

    def psql(self, script=None, *args, user="postgres"):
        """Runs a script through psql, as a person would; returns its output."""
        argv = [os.path.join(DEBIAN_BIN, "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", self.conninfo(user), *args]
        p = subprocess.run(argv, input=script, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert p.returncode == 0, f"psql: {p.stdout}"
        return p.stdout

    def lsn(self):
        return self.one("SELECT pg_current_wal_lsn()::text")


def lsn_number(text):
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)
