# SPDX-License-Identifier: PostgreSQL
"""Command line: prepares the private PostgreSQL when it is new, prints the port, serves until killed."""
import argparse
import sys

from . import install
from .server import Config, Server


def main():
    p = argparse.ArgumentParser(prog="standin", description=__doc__)
    p.add_argument("--pg", required=True, help="conninfo of a superuser on the private PostgreSQL")
    p.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT")
    p.add_argument("--user", default="sa")
    p.add_argument("--password", required=True)
    p.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    p.add_argument("--encryption", choices=("on", "required"), default="on", help="with --tls: offered or demanded")
    p.add_argument("--name", default="STANDIN", help="@@SERVERNAME")
    a = p.parse_args()
    install.prepare(a.pg)
    host, _, port = a.listen.rpartition(":")
    server = Server(Config(a.pg, a.user, a.password, a.tls, a.encryption, a.name), host, int(port))
    jobs = install.start_jobs(a.pg)
    print(server.port, flush=True)
    try:
        server.serve()
    except KeyboardInterrupt:
        pass
    finally:
        for job in jobs:
            job.terminate()


if __name__ == "__main__":
    sys.exit(main())
