# SPDX-License-Identifier: PostgreSQL
"""The cmocka programs that want a real server: CROSSFADE_TEST_PG is a private one's administrator, CROSSFADE_TEST_SQLSERVER
the SQL Server that is named so, else the stand-in."""
import glob
import os
import subprocess

import pytest

from lib.postgres import Database
from lib.replicator import BUILD, TOP, environment
from lib.sqlserver import SqlServer


def programs_with(*marks):
    out = []
    for source in sorted(glob.glob(os.path.join(TOP, "tests", "unit", "*_test.c"))):
        with open(source) as f:
            text = f.read()
            if any(mark in text for mark in marks):
                out.append(os.path.basename(source)[:-2])
    return out


def live_programs():
    return programs_with("CROSSFADE_TEST_PG", '"live.h"')


def sqlserver_programs():
    return programs_with("CROSSFADE_TEST_SQLSERVER", '"ms_live.h"')


def has_freetds():
    path = os.path.join(BUILD, "config.h")
    if not os.path.exists(path):
        return True
    with open(path) as f:
        return "#define HAVE_FREETDS 1" in f.read()


@pytest.fixture(scope="module")
def sqlserver(base, template):
    """(variables) of a SQL Server; the stand-in has TLS with a certificate for localhost."""
    if os.environ.get("CROSSFADE_TEST_SQLSERVER"):
        yield {k: os.environ[k] for k in ("CROSSFADE_TEST_SQLSERVER", "CROSSFADE_TEST_SQLSERVER_CA") if k in os.environ}
        return
    cert, key = os.path.join(base, "ms-cert.pem"), os.path.join(base, "ms-key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert], check=True, stderr=subprocess.DEVNULL)
    server = SqlServer(base, "ms-units", template, ["--tls", cert, key])
    try:
        server.start()
        yield {"CROSSFADE_TEST_SQLSERVER": f"localhost:{server.port}:{server.user}:{server.password}",
               "CROSSFADE_TEST_SQLSERVER_CA": cert}
    finally:
        server.stop()


@pytest.mark.skipif(not has_freetds(), reason="the build is without FreeTDS")
@pytest.mark.parametrize("name", sqlserver_programs())
def test_sqlserver_unit(name, sqlserver):
    """A unit program against a SQL Server"""
    path = os.path.join(BUILD, "tests", "unit", name)
    if not os.access(path, os.X_OK):
        pytest.fail(f"{path} is not built (make check builds it)")
    p = subprocess.run([path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
                       env=environment({**sqlserver, "srcdir": TOP}), cwd=os.path.join(BUILD))
    assert p.returncode == 0, p.stdout[-6000:]
    assert "PASSED" in p.stdout, p.stdout[-2000:]
    assert "[  SKIPPED ]" not in p.stdout or "CROSSFADE_TEST_SQLSERVER_CA" not in sqlserver, p.stdout[-2000:]


@pytest.mark.parametrize("name", live_programs())
def test_live_unit(name, make_server, request):
    """A unit program against a real server"""
    path = os.path.join(BUILD, "tests", "unit", name)
    if not os.access(path, os.X_OK):
        pytest.fail(f"{path} is not built (make check builds it)")
    server = make_server("u")
    server.execute("CREATE DATABASE live")
    conninfo = Database(server, "live").conninfo()
    p = subprocess.run([path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
                       env=environment({"CROSSFADE_TEST_PG": conninfo, "srcdir": TOP}), cwd=os.path.join(BUILD))
    assert p.returncode == 0, p.stdout[-6000:]
    assert "PASSED" in p.stdout and "[  SKIPPED ]" not in p.stdout, p.stdout[-2000:]
