# SPDX-License-Identifier: PostgreSQL
"""The unit tests that want a server (those that read CROSSFADE_TEST_PG), each on a private one of every version."""
import glob
import os
import subprocess

import pytest

from lib.replicator import BUILD, TOP, environment

UNITS = os.path.join(TOP, "tests", "unit")


def live_units():
    for path in sorted(glob.glob(os.path.join(UNITS, "*_test.c"))):
        with open(path) as f:
            text = f.read()
        if "CROSSFADE_TEST_PG" in text or '"live.h"' in text:
            yield os.path.basename(path)[:-2]


@pytest.fixture(scope="module")
def server(make_server, pgbin):
    return make_server("u", pgbin)


@pytest.mark.parametrize("unit", live_units())
def test_unit_on_a_server(server, unit):
    """The unit test passes, and is not skipped, on a server of this version"""
    program = os.path.join(BUILD, "tests", "unit", unit)
    assert os.access(program, os.X_OK), f"{program} is not built (make check_PROGRAMS)"
    conninfo = f"host={server.dir} user=postgres"
    p = subprocess.run([program], env=environment({"CROSSFADE_TEST_PG": conninfo, "srcdir": TOP}), text=True,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, cwd=os.path.join(BUILD))
    assert p.returncode == 0, p.stdout[-6000:]
