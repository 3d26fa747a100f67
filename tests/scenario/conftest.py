# SPDX-License-Identifier: PostgreSQL
"""Fixtures: private servers (one pair a module, their data directory copied from one initdb a session), and for each
test a pipeline with databases of its own. Everything lives under one short directory and ends with the session."""
import itertools
import os
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from lib.pipeline import Pipeline, make_databases  # noqa: E402
from lib.postgres import PgServer, Template, versions  # noqa: E402
from lib.proxy import Proxy, TcpProxy  # noqa: E402
from lib.redis_server import RedisServer  # noqa: E402
from lib.sqlserver import SqlServer  # noqa: E402
from lib.sqlserver_pipeline import SqlServerPipeline  # noqa: E402

_number = itertools.count(1)


def pytest_generate_tests(metafunc):
    if "pgbin" in metafunc.fixturenames:
        metafunc.parametrize("pgbin", versions(), scope="module")


@pytest.fixture(scope="session")
def base():
    path = tempfile.mkdtemp(prefix="cf-", dir=os.environ.get("CROSSFADE_TEST_DIR", "/tmp"))
    os.chmod(path, 0o755)
    yield path
    if os.environ.get("CROSSFADE_TEST_KEEP"):
        print(f"\nkept: {path}")
    else:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def template(base):
    return Template(base)


@pytest.fixture(scope="module")
def make_server(base, template):
    """make_server(name, bindir=None, settings=None) gives a started server that ends with the module."""
    servers = []

    def make(name, bindir=None, settings=None, start=True):
        server = PgServer(base, f"{name}{next(_number)}", template, bindir, settings)
        servers.append(server)
        return server.start() if start else server

    yield make
    for s in servers:
        s.stop("immediate")
        if not os.environ.get("CROSSFADE_TEST_KEEP"):
            shutil.rmtree(s.dir, ignore_errors=True)


@pytest.fixture(scope="module")
def legacy_server(make_server):
    return make_server("l")


@pytest.fixture(scope="module")
def target_server(make_server):
    return make_server("t")


@pytest.fixture(scope="module")
def redis_server(base):
    server = RedisServer(base, f"r{next(_number)}").start()
    yield server
    server.stop()


@pytest.fixture
def make_redis(base):
    """make_redis(*options) gives a Redis of the test's own, not started."""
    made = []

    def make(*options):
        r = RedisServer(base, f"r{next(_number)}", options)
        made.append(r)
        return r

    yield make
    for r in made:
        r.kill()


@pytest.fixture
def make_pipeline(base):
    """make_pipeline(legacy_server, target_server, redis) gives a Pipeline that is cleared away after the test."""
    made = []

    def make(legacy_server, target_server, redis=None):
        name = f"p{next(_number)}"
        directory = os.path.join(base, name)
        os.makedirs(directory, mode=0o755)
        legacy, target = make_databases(legacy_server, target_server, name)
        p = Pipeline(name, directory, legacy, target, redis)
        made.append(p)
        return p

    yield make
    problems = []
    for p in made:
        try:
            p.close()
        except AssertionError as e:
            problems.append(str(e))
    assert not problems, "\n".join(problems)


@pytest.fixture
def pipeline(make_pipeline, legacy_server, target_server, redis_server):
    return make_pipeline(legacy_server, target_server, redis_server)


@pytest.fixture(scope="session")
def sql_server(base, template):
    """The SQL Server that is named, or one stand-in for all."""
    server = SqlServer(base, f"ms{next(_number)}", template).start()
    yield server
    server.stop()


@pytest.fixture
def moving(make_pipeline, sql_server, target_server):
    """A pipeline from a new, empty database of the SQL Server; see lib/sqlserver_pipeline.py."""
    m = SqlServerPipeline(make_pipeline(None, target_server), sql_server.create_database())
    yield m
    m.close()


@pytest.fixture
def make_proxy(base):
    """make_proxy(server) gives a relay in front of it; proxy.dir is the host to connect to."""
    made = []

    def make(server):
        p = Proxy(os.path.join(base, f"x{next(_number)}"), os.path.join(server.dir, ".s.PGSQL.5432"))
        made.append(p)
        return p

    yield make
    for p in made:
        p.close()


@pytest.fixture
def make_tcp_proxy():
    """make_tcp_proxy(host, port) gives a relay on a port of its own: proxy.port of 127.0.0.1."""
    made = []

    def make(host, port):
        made.append(TcpProxy(host, port))
        return made[-1]

    yield make
    for p in made:
        p.close()


@pytest.fixture(scope="session")
def clock_shim(base):
    """clock_shim(hours) is an environment under which a process's wall clock is that far off."""
    import subprocess
    source, library = os.path.join(base, "clock.c"), os.path.join(base, "clock.so")
    with open(source, "w") as f:
        f.write(r"""
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long off(void) { const char *h = getenv("CLOCK_SHIM_HOURS"); return h ? atol(h) * 3600 : 0; }
int clock_gettime(clockid_t id, struct timespec *ts) {
    int r = (int)syscall(SYS_clock_gettime, id, ts);
    if (r == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) ts->tv_sec += off();
    return r;
}
int gettimeofday(struct timeval *tv, void *tz) {
    struct timespec ts; (void)tz; clock_gettime(CLOCK_REALTIME, &ts);
    tv->tv_sec = ts.tv_sec; tv->tv_usec = ts.tv_nsec / 1000; return 0;
}
time_t time(time_t *t) { struct timespec ts; clock_gettime(CLOCK_REALTIME, &ts); if (t) *t = ts.tv_sec; return ts.tv_sec; }
""")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-w", "-o", library, source], check=True)

    def env(hours):
        asan = os.environ.get("ASAN_OPTIONS", "detect_leaks=1:exitcode=99") + ":verify_asan_link_order=0"
        return {"LD_PRELOAD": library, "CLOCK_SHIM_HOURS": str(hours), "ASAN_OPTIONS": asan}
    return env
