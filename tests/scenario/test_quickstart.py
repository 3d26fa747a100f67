# SPDX-License-Identifier: PostgreSQL
"""./quickstart where it stops before it builds anything, and from a SQL Server as a whole, with the programs that are built."""
import os
import shutil
import subprocess

import pytest

from lib.process import server_user
from lib.replicator import BUILD, TOP


@pytest.fixture
def quickstart(base):
    """Runs a copy of it as an ordinary user, with programs of the test's own in front of the system's."""
    top = os.path.join(base, "quick")
    bin_ = os.path.join(top, "bin")
    os.makedirs(bin_)
    shutil.copy(os.path.join(TOP, "quickstart"), top)
    user = server_user()
    if user:
        shutil.chown(top, user)

    def run(*args, timeout=60, **programs):
        for name, script in programs.items():
            path = os.path.join(bin_, name.replace("_", "-"))
            with open(path, "w") as f:
                f.write("#!/bin/sh\n" + script + "\n")
            os.chmod(path, 0o755)
        prefix = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        p = subprocess.run([*prefix, os.path.join(top, "quickstart"), *args], cwd="/", stdin=subprocess.DEVNULL, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout,
                           env={**{k: v for k, v in os.environ.items() if k.startswith(("CROSSFADE_TEST", "ASAN", "UBSAN"))}, "PATH": f"{bin_}:{os.environ['PATH']}", "HOME": top, "CI": "true"})
        return p.returncode, p.stdout, p.stderr
    run.top = top
    yield run
    shutil.rmtree(top, ignore_errors=True)


NONE = {"dpkg_query": "exit 1", "apt_get": "echo apt-get was run; exit 1"}


@pytest.mark.parametrize("command", [(), ("check",)])
def test_packages_without_root(quickstart, command):
    """Neither root nor sudo without a password: prints the one line to run and exits 2; asks nothing, installs nothing"""
    code, out, err = quickstart(*command, sudo="[ \"$1\" = -n ] || { echo asked; read x; }; exit 1", **NONE)
    assert code == 2, out + err
    lines = [line for line in err.splitlines() if "apt-get install" in line]
    assert len(lines) == 1 and lines[0].strip().startswith("sudo apt-get update && sudo apt-get install -y"), err
    for package in ["libpq-dev", "redis-tools", *(["python3-pytest"] if command else [])]:
        assert f" {package} " in lines[0] + " "
    assert "asked" not in out + err and "apt-get was run" not in out + err


def test_too_little_memory(quickstart):
    """It says so before anything is made, and exits 2"""
    code, out, err = quickstart(awk="echo 100")
    assert code == 2 and "not enough memory" in err, out + err


def test_too_little_disk(quickstart):
    """So it does for the disk, with the option that asks for less"""
    code, out, err = quickstart(df="echo head; echo 'a b c 900 e'", dpkg_query="echo installed")
    assert code == 2 and "not enough disk" in err and "--rows" in err, out + err


@pytest.mark.parametrize("args", [("--rows", "many"), ("--nonsense",), ("chek",)])
def test_usage(quickstart, args):
    """What it does not know is a usage error"""
    assert quickstart(*args)[0] == 2


def test_sqlserver(quickstart):
    """From a SQL Server: every look of it, all tables equal under load; clean leaves no process and no directory"""
    for name in ("configure", "conf", "demo", "tests"):
        os.symlink(os.path.join(TOP, name), os.path.join(quickstart.top, name))
    state = os.path.join(quickstart.top, ".quickstart")
    os.makedirs(os.path.join(state, "build"))
    for name in ("config.status", "crossfade", "crossfade-replicator"):
        os.symlink(os.path.join(BUILD, name), os.path.join(state, "build", name))
    user = server_user()
    if user:
        for d in (state, os.path.join(state, "build")):
            shutil.chown(d, user)
    programs = {"dpkg_query": "echo installed", "make": "exit 0"}
    run = None
    try:
        code, out, err = quickstart("sqlserver", "--rows", "10000", timeout=600, **programs)
        run = open(os.path.join(state, "run")).read().strip()
        assert code == 0, out + err
        assert out.count(" equal\n") == 15 and "NOT EQUAL" not in out, out
        assert "0 to mend first" in out and "15 of 15 tables streaming" in out, out
        assert int(open(os.path.join(run, "load.log")).read().split()[0]) > 50
    finally:
        code, out, err = quickstart("clean", **programs)
    assert code == 0 and run and not os.path.exists(run) and not os.path.exists(state), out + err
    left = subprocess.run(["pgrep", "-f", run], stdout=subprocess.PIPE, text=True).stdout
    assert not left, subprocess.run(["ps", "-fp", ",".join(left.split())], stdout=subprocess.PIPE, text=True).stdout
