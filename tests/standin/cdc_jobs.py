# SPDX-License-Identifier: PostgreSQL
"""SQL Server Agent, as far as change data capture needs it: one thread a database that has it enabled, which runs the
capture job and the clean-up job when standin.job wants them.

The clean-up job runs when a test starts it (sys.sp_cdc_start_job 'cleanup'; the real one has a nightly schedule): it
moves all low watermarks in one transaction, waits cleanup_pause_ms (a test's chance to read in between), deletes in
steps of @threshold, each a transaction. Setting retention_s stands for @retention where minutes are too coarse."""
import sys
import threading
import time
import traceback

import psycopg2

from .cdc_capture import Capture, Stopped

ENABLED = """SELECT datname FROM pg_database WHERE NOT datistemplate AND datallowconn
    AND shobj_description(oid, 'pg_database') ~ '"is_cdc_enabled": *1'"""


class DatabaseJobs(threading.Thread):
    """The jobs of one database. Ends when change data capture is disabled or the database is gone."""

    def __init__(self, conninfo, database):
        super().__init__(name=f"cdc {database}", daemon=True)
        self.conninfo = psycopg2.extensions.make_dsn(conninfo, dbname=database)
        self.database = database
        self.ctl = None
        self._looked = (0.0, False)

    def run(self):
        while True:
            try:
                self.ctl = psycopg2.connect(self.conninfo, application_name="standin agent")
                self.ctl.autocommit = True
                while self._enabled():
                    self._step()
                self._forget_slot()
                return
            except psycopg2.OperationalError as e:
                if "does not exist" in str(e):
                    return
            except psycopg2.Error:
                traceback.print_exc(file=sys.stderr)
            finally:
                if self.ctl is not None:
                    self.ctl.close()
                    self.ctl = None
            time.sleep(0.2)

    def _all(self, sql, args=None):
        with self.ctl.cursor() as cur:
            cur.execute(sql, args)
            return cur.fetchall() if cur.description else []

    def _enabled(self):
        return self._all("SELECT coalesce(standin.database_property('is_cdc_enabled'), '0')")[0][0] == "1"

    def _wanted(self):
        """Whether the capture job is to go on; asked often, looked up every 50 ms."""
        now = time.monotonic()
        if now - self._looked[0] > 0.05:
            row = self._all("SELECT wanted FROM standin.job WHERE job_type = 'capture'")
            self._looked = (now, bool(row and row[0][0]) and self._agent_runs())
        return self._looked[1]

    def _agent_runs(self):
        return self._all("SELECT standin.setting('agent_running', '1')")[0][0] == "1"

    def _step(self):
        jobs = dict(self._all("SELECT job_type, wanted FROM standin.job"))
        if self._agent_runs():
            if jobs.get("cleanup"):
                self._run("cleanup", self._clean_up)
            if jobs.get("capture"):
                self._run("capture", self._capture)
        time.sleep(0.05)

    def _run(self, kind, work):
        self._all("UPDATE standin.job SET running = true, started = clock_timestamp()::timestamp, runs = runs + 1, message = NULL WHERE job_type = %s", (kind,))
        message = None
        try:
            work()
        except Stopped:
            pass
        except psycopg2.Error as e:
            message = str(e).strip()
            if self.ctl.closed:
                raise
            if self._enabled():
                print(f"standin: {self.database}: {kind}: {message}", file=sys.stderr, flush=True)
                self._all("INSERT INTO standin.cdc_error (error_number, message) VALUES (22864, %s)", (message,))
            time.sleep(0.5)
        self._all("UPDATE standin.job SET running = false, ended = clock_timestamp()::timestamp, message = %s WHERE job_type = %s", (message, kind))

    def _capture(self):
        capture = Capture(self.conninfo, lambda: self._wanted())
        side = threading.Thread(target=self._clean_meanwhile, daemon=True)
        self._capturing = True
        side.start()
        try:
            capture.run()
            if not capture.continuous:
                self._all("UPDATE standin.job SET wanted = false WHERE job_type = 'capture'")
        finally:
            self._capturing = False
            capture.close()
            side.join()

    def _clean_meanwhile(self):
        """The clean-up job while the capture job runs: on a connection of its own."""
        try:
            c = psycopg2.connect(self.conninfo, application_name="standin clean-up")
        except psycopg2.Error:
            return
        c.autocommit = True
        try:
            while self._capturing:
                with c.cursor() as cur:
                    cur.execute("UPDATE standin.job SET running = true, runs = runs + 1, started = clock_timestamp()::timestamp "
                                "WHERE job_type = 'cleanup' AND wanted AND NOT running RETURNING 1")
                    if cur.fetchone():
                        clean_up(c)
                time.sleep(0.05)
        except psycopg2.Error as e:
            print(f"standin: {self.database}: clean-up: {e}", file=sys.stderr, flush=True)
        finally:
            c.close()

    def _clean_up(self):
        clean_up(self.ctl)

    def _forget_slot(self):
        """The slot of a database that is no longer enabled: sp_cdc_enable_db makes a new one under the same lock."""
        self._all("SELECT pg_advisory_lock(21830, 3)")
        if not self._enabled():
            self._all("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database() "
                      "AND slot_name LIKE 'standin%' AND NOT active")


def clean_up(c):
    """One run of the clean-up job over an autocommit connection."""
    with c.cursor() as cur:
        cur.execute("SELECT retention, threshold FROM msdb_dbo.cdc_jobs WHERE job_type::pg_catalog.text = 'cleanup'")
        retention, threshold = cur.fetchone()
        cur.execute("SELECT standin.setting('retention_s', ''), standin.setting('cleanup_pause_ms', '0')")
        seconds, pause = cur.fetchone()
        cur.execute("SELECT standin.cdc_move_watermarks(%s)", (float(seconds) / 60 if seconds else retention,))
        time.sleep(int(pause) / 1000)
        while True:
            cur.execute("SELECT standin.cdc_delete_old(%s)", (threshold,))
            if cur.fetchone()[0] == 0:
                break
        cur.execute("UPDATE standin.job SET wanted = false, running = false, ended = clock_timestamp()::timestamp WHERE job_type = 'cleanup'")


def serve(conninfo):
    """Never returns: looks for databases that have change data capture, and runs a thread for each."""
    threads = {}
    c = None
    while True:
        try:
            if c is None or c.closed:
                c = psycopg2.connect(conninfo, dbname="postgres", application_name="standin agent")
                c.autocommit = True
            with c.cursor() as cur:
                cur.execute(ENABLED)
                for (name,) in cur.fetchall():
                    if name not in threads or not threads[name].is_alive():
                        threads[name] = DatabaseJobs(conninfo, name)
                        threads[name].start()
        except psycopg2.Error:
            c = None
        time.sleep(0.1)
