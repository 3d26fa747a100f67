# SPDX-License-Identifier: PostgreSQL
"""Change data capture's background process: python3 -m standin.cdc --pg <conninfo>. The procedures, functions and tables are
SQL (sql/3*.sql); what runs by itself is cdc_jobs.py."""
import argparse
import ctypes
import os
import signal
import subprocess
import sys

_PR_SET_PDEATHSIG = 1


def start(conninfo):
    """Starts the process, which ends with its parent; returns [Popen]."""
    libc = ctypes.CDLL(None)
    tests = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return [subprocess.Popen([sys.executable, "-m", f"{__package__}.cdc", "--pg", conninfo], cwd=tests, stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM))]


def main():
    p = argparse.ArgumentParser(prog="standin.cdc", description=__doc__)
    p.add_argument("--pg", required=True, help="conninfo of a superuser on the private PostgreSQL")
    from . import cdc_jobs
    cdc_jobs.serve(p.parse_args().pg)


if __name__ == "__main__":
    main()
