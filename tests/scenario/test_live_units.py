# SPDX-License-Identifier: PostgreSQL
"""The cmocka programs that want a real server: CROSSFADE_TEST_PG is a private one's administrator."""
import glob
import os
import subprocess

import pytest

from lib.postgres import Database
from lib.replicator import BUILD, TOP, environment


def live_programs():
    out = []
    for source in sorted(glob.glob(os.path.join(TOP, "tests", "unit", "*_test.c"))):
        with open(source) as f:
            text = f.read()
            if "CROSSFADE_TEST_PG" in text or '"live.h"' in text:
                out.append(os.path.basename(source)[:-2])
    return out


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
