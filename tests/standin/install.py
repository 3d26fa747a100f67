# SPDX-License-Identifier: PostgreSQL
"""Prepares the private PostgreSQL: the template database with the stand-in's types, functions and views, and the system
databases as copies of it."""
import glob
import importlib
import os

import psycopg2

TEMPLATE = "standin_template"
SYSTEM_DATABASES = ("master", "tempdb", "model", "msdb")


def connect(conninfo, database):
    c = psycopg2.connect(conninfo, dbname=database)
    c.autocommit = True
    return c


def scripts():
    """SQL files in the order of their names."""
    return sorted(glob.glob(os.path.join(os.path.dirname(os.path.abspath(__file__)), "sql", "*.sql")))


def prepare(conninfo):
    """Idempotent: a PostgreSQL that has `master` is left as it is."""
    c = connect(conninfo, "postgres")
    try:
        with c.cursor() as cur:
            cur.execute("SELECT datname FROM pg_database")
            there = {row[0] for row in cur.fetchall()}
            if "master" in there:
                return
            if TEMPLATE in there:
                cur.execute(f'DROP DATABASE "{TEMPLATE}"')
            cur.execute("ALTER ROLE CURRENT_USER SET TimeZone = 'UTC'")  # the server's own zone, for the jobs' sessions too
            cur.execute(f'CREATE DATABASE "{TEMPLATE}" TEMPLATE template0 ENCODING UTF8 LC_COLLATE "C" LC_CTYPE "C"')
            _load(conninfo)
            for name in reversed(SYSTEM_DATABASES):
                cur.execute(f'CREATE DATABASE "{name}" TEMPLATE "{TEMPLATE}"')
    finally:
        c.close()


def _load(conninfo):
    c = connect(conninfo, TEMPLATE)
    try:
        for path in scripts():
            with open(path, encoding="utf-8") as f, c.cursor() as cur:
                try:
                    cur.execute("SET client_min_messages = error; SET check_function_bodies = off; RESET search_path")
                    cur.execute(f.read())
                except psycopg2.Error as e:
                    raise SystemExit(f"standin: {os.path.basename(path)}: {e}")
    finally:
        c.close()


def start_jobs(conninfo):
    """The background processes (capture job and its like) of the modules that have some: start(conninfo) -> processes."""
    jobs = []
    for name in ("cdc",):
        if importlib.util.find_spec(f"{__package__}.{name}") is not None:
            start = getattr(importlib.import_module(f"{__package__}.{name}"), "start", None)
            if start:
                jobs += start(conninfo)
    return jobs
