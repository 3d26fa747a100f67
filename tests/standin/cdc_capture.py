# SPDX-License-Identifier: PostgreSQL
"""The capture job of one database: reads the log, writes change tables and cdc.lsn_time_mapping.

1. It is asynchronous: every @pollinginterval seconds it scans, up to @maxscans times, at most @maxtrans transactions a
   scan (sys.sp_cdc_add_job (Transact-SQL)); what a scan finds it commits in one transaction, in commit order.
2. A scan begins with a message of its own in the log, and ends when it reads that message or has its transactions.
3. Where it stands is standin.cdc_state.last_commit, written in the same transaction: what the slot sends again after a
   crash is skipped.
4. Values of sp_cdc_change_job are read when the job starts. Settings of tests (standin.settings) are read at each scan:
   poll_ms (instead of @pollinginterval), capture_delay_ms (before a scan), idle_entry_s (300).
5. It holds advisory lock (21830, 1) while it writes, as do disabling and moving watermarks."""
import json
import select
import struct
import time

import psycopg2
import psycopg2.extras

from . import cdc_pgoutput
from .cdc_rows import Column, Instance, copy_line

EPOCH_2000 = 946684800
FLUSH_BYTES = 4 << 20


class Stopped(Exception):
    """The job is to end."""


class Scan:
    """What one scan has found so far."""

    def __init__(self):
        self.transactions, self.commands, self.ddl, self.caught_up = 0, 0, 0, False
        self.buffers, self.size, self.mapping, self.end = {}, 0, [], None


class Transaction:
    def __init__(self, commit, micros, xid):
        self.commit, self.time, self.xid = commit, EPOCH_2000 + micros / 1e6, xid
        self.first, self.command = None, 0
        self.last_lsn, self.slot, self.notes, self.start = None, 0, [], None


class Capture:
    """Owns two connections: one that writes, one that reads the log. `wanted()` says whether to go on."""

    def __init__(self, conninfo, wanted):
        self.wanted = wanted
        self.conninfo = conninfo
        self.db = psycopg2.connect(conninfo, application_name="standin capture")
        self.ctl = psycopg2.connect(conninfo, application_name="standin capture control")
        self.ctl.autocommit = True
        self.log = None
        self.stream = None
        self.sent = self.met = 0
        self.names, self.instances, self.by_source = {}, {}, {}
        self._columns = None

    def close(self):
        for c in (self.log, self.db, self.ctl):
            try:
                if c is not None:
                    c.close()
            except psycopg2.Error:
                pass

    # -- settings ---------------------------------------------------------------------------------------------------
    def _one(self, sql, args=None):
        with self.ctl.cursor() as cur:
            cur.execute(sql, args)
            return cur.fetchone()

    def _setting(self, name, otherwise):
        return self._one("SELECT standin.setting(%s, %s)", (name, otherwise))[0]

    def open(self):
        self.maxtrans, self.maxscans, self.interval, self.continuous = self._one(
            "SELECT maxtrans, maxscans, pollinginterval, continuous::int FROM msdb_dbo.cdc_jobs WHERE job_type::pg_catalog.text = 'capture'")
        slot, last = self._one("SELECT slot, (last_commit - '0/0'::pg_lsn)::bigint FROM standin.cdc_state")
        self.last_commit = int(last)
        self.log = psycopg2.connect(self.conninfo, connection_factory=psycopg2.extras.LogicalReplicationConnection,
                                    application_name="standin log")
        self.stream = self.log.cursor()
        self.stream.start_replication(slot_name=slot, decode=False, options={
            "proto_version": "1", "publication_names": "standin_cdc", "messages": "true"})

    # -- the job --------------------------------------------------------------------------------------------------
    def run(self):
        """Until not wanted any more, or once when the job is not continuous."""
        self.open()
        while True:
            for _ in range(self.maxscans):
                self._wait(int(self._setting("capture_delay_ms", "0")) / 1000)
                if self.scan().caught_up:
                    break
            if not self.continuous:
                return
            poll = self._setting("poll_ms", "")
            self._wait(int(poll) / 1000 if poll else self.interval)

    def _wait(self, seconds):
        end = time.monotonic() + seconds
        next_sign = time.monotonic() + 10
        while True:
            if not self.wanted():
                raise Stopped()
            left = end - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, 0.05))
            if time.monotonic() > next_sign:  # the walsender ends after wal_sender_timeout without a sign
                self.stream.send_feedback()
                next_sign += 10

    def scan(self):
        scan = Scan()
        started = time.time()
        with self.db.cursor() as cur:
            cur.execute("SELECT pg_advisory_xact_lock(21830, 1)")
            cur.execute("SELECT standin.setting('lsn_shift', '274877906944')::bigint")
            self.shift = cur.fetchone()[0]
            self._load(cur)
            self.sent += 1
            self._one("SELECT pg_logical_emit_message(true, 'standin.poll', %s::pg_catalog.text)", (str(self.sent),))
            while not scan.caught_up and scan.transactions < self.maxtrans:
                self._transaction(cur, scan)
            self._finish(cur, scan, started)
        self.db.commit()
        if scan.end:
            self.stream.send_feedback(flush_lsn=scan.end, reply=False)
        return scan

    def _read(self):
        while True:
            message = self.stream.read_message()
            if message is not None:
                return message
            if not self.wanted():
                raise Stopped()
            select.select([self.log], [], [], 0.1)

    def _transaction(self, cur, scan):
        """Reads one transaction from the log to its end."""
        t = None
        while True:
            message = self._read()
            m = cdc_pgoutput.decode(message.payload)
            if m[0] == "B":
                t = Transaction(*m[1:])
                old = t.commit <= self.last_commit
            elif m[0] == "C":
                scan.end = m[2]
                self.last_commit = max(self.last_commit, t.commit)
                self._end(cur, scan, t)
                return
            elif m[0] == "R":
                self.names[m[1]] = m[2]
                for i in self.by_source.get(m[1], ()):
                    self._place(cur, i)
            elif old:
                continue
            elif m[0] == "M":
                self._note(cur, scan, t, *m[1:])
            elif m[0] in "IUD":
                self._change(cur, scan, t, message.data_start, m)

    def lsn(self, number, slot=1):
        return struct.pack(">qH", number + self.shift, slot)

    def _change(self, cur, scan, t, lsn, m):
        kind, source, old, new = m
        if lsn == t.last_lsn:
            t.slot += 1
        else:
            t.last_lsn, t.slot = lsn, 1
        seqval = b"%016x%04x" % (lsn + self.shift, min(t.slot, 65535))
        start = t.start = t.start or self.lsn(t.commit).hex().encode()
        first = t.command
        for i in self.by_source.get(source, ()):
            command, rows = first, i.rows(kind, old, new)
            for n, (operation, mask, values) in enumerate(rows):
                if n == 0 or operation == 2:  # the two rows of an update share one command
                    command += 1
                line = copy_line(start, seqval, operation, mask.hex().encode(), values, command if i.has_command_id else None)
                lines = scan.buffers.setdefault(i.oid, [])
                lines.append(line)
                scan.size += len(line)
            if rows:
                t.first = t.first or lsn
                t.command = max(t.command, command)
                scan.commands += len(rows)
        if scan.size > FLUSH_BYTES:
            self._flush(cur, scan)

    def _note(self, cur, scan, t, prefix, content):
        """Messages that procedures and schema changes left in the log."""
        if prefix == "standin.poll":
            self.met = int(content)
        elif prefix == "standin.enable":
            t.notes.append(("enable", int(content)))
        elif prefix == "standin.ddl":
            scan.ddl += 1
            note = json.loads(content)
            self._flush(cur, scan)
            cur.execute("SELECT standin.cdc_apply_ddl(%s, %s, %s, %s, %s, %s)",
                        (note["relid"], note["command"], self.lsn(t.commit), note["time"], json.dumps(note["types"]), json.dumps(note["columns"])))
            self._load(cur)

    def _end(self, cur, scan, t):
        for _, oid in t.notes:
            cur.execute("UPDATE cdc.change_tables SET start_lsn = %s::bytea::sys.binary(10) WHERE object_id = %s AND start_lsn IS NULL",
                        (self.lsn(t.commit), oid))
        if t.first:
            scan.transactions += 1
            scan.mapping.append((self.lsn(t.commit), t.time, struct.pack(">IH", t.xid, 0), self.lsn(t.first)))
        elif t.notes:  # the page calls these entries "for which there are no change tables entries"
            scan.mapping.append((self.lsn(t.commit), t.time, b"\0", self.lsn(t.commit)))
        if self.met == self.sent:
            scan.caught_up = True

    # -- what is captured -------------------------------------------------------------------------------------------
    def _load(self, cur):
        """The capture instances as they are now."""
        cur.execute("""
            SELECT i.change_relid, i.source_relid, i.capture_instance,
                (SELECT array_agg(DISTINCT n) FROM pg_index x, unnest((x.indkey::int2[])[0:x.indnkeyatts - 1]) n
                 WHERE x.indrelid = i.source_relid AND x.indisunique), k.column_name::pg_catalog.text COLLATE "C", k.column_id,
                k.column_type::pg_catalog.text, c.max_length, k.is_computed::int,
                EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = i.change_relid AND a.attname = '__$command_id')
            FROM standin.cdc_instance i JOIN cdc.captured_columns k ON k.object_id = i.change_relid::int
                JOIN standin.all_columns c ON c.attrelid = i.change_relid AND c.attname = k.column_name::pg_catalog.text COLLATE "C"
            ORDER BY i.change_relid, k.column_ordinal""")
        found = {}
        for oid, source, name, unique, column, attnum, ms_type, max_length, computed, has_command in cur.fetchall():
            entry = found.setdefault(oid, (source, name, unique or [], has_command, []))
            entry[4].append(Column(column, attnum, ms_type, max_length, computed))
        self.instances, self.by_source = {}, {}
        for oid, (source, name, unique, has_command, columns) in found.items():
            i = Instance(oid, source, name, columns, unique)
            i.has_command_id = has_command
            self.instances[oid] = i
            self.by_source.setdefault(source, []).append(i)
            if source in self.names:
                self._place(cur, i)

    def _place(self, cur, instance):
        cur.execute("SELECT columns FROM standin.cdc_source WHERE relid = %s", (instance.source,))
        row = cur.fetchone()
        numbers = row[0] if row else {}
        instance.place([numbers.get(n) for n in self.names[instance.source]])

    # -- writing --------------------------------------------------------------------------------------------------------
    def _flush(self, cur, scan):
        for oid, lines in scan.buffers.items():
            i = self.instances.get(oid)
            if i is None or not lines:
                continue
            names = ["__$start_lsn", "__$seqval", "__$operation", "__$update_mask"]
            names += ["__$command_id"] if i.has_command_id else []
            names += [c.name for c in i.columns]
            columns = ", ".join('"' + n.replace('"', '""') + '"' for n in names)
            table = i.name.replace('"', '""') + "_CT"
            if not i.has_command_id:
                lines = [_without_command(line) for line in lines]
            cur.copy_expert(f'COPY cdc."{table}" ({columns}) FROM STDIN', _Lines(lines))
        scan.buffers, scan.size = {}, 0

    def _finish(self, cur, scan, started):
        self._flush(cur, scan)
        if scan.mapping:
            cur.execute("""
                INSERT INTO cdc.lsn_time_mapping (start_lsn, tran_begin_time, tran_end_time, tran_id, tran_begin_lsn)
                SELECT l::sys.binary(10), t::sys.datetime, t::sys.datetime, i::sys.varbinary(10), b::sys.binary(10)
                FROM (SELECT l, to_timestamp(s)::timestamp AS t, i, b FROM unnest(%s::bytea[], %s::float8[], %s::bytea[], %s::bytea[])
                    AS x(l, s, i, b)) AS y""", tuple(map(list, zip(*scan.mapping))))
        elif scan.caught_up:
            self._idle(cur)
        cur.execute("UPDATE standin.cdc_state SET last_commit = '0/0'::pg_lsn + %s::numeric, sessions = sessions + 1 RETURNING sessions",
                    (self.last_commit,))
        (number,) = cur.fetchone()
        cur.execute("""
            INSERT INTO standin.cdc_scan (session_id, start_time, end_time, start_lsn, end_lsn, last_commit_lsn, last_commit_time, tran_count,
                command_count, schema_change_count, first_begin_lsn, empty_scan_count)
            SELECT %s, to_timestamp(%s)::timestamp, clock_timestamp()::timestamp, %s, %s, %s, to_timestamp(%s)::timestamp, %s, %s, %s, %s,
                CASE WHEN %s > 0 THEN 0 ELSE 1 + coalesce((SELECT empty_scan_count FROM standin.cdc_scan ORDER BY session_id DESC LIMIT 1), 0) END""",
                    (number, started, *((scan.mapping[0][0], scan.mapping[-1][0], scan.mapping[-1][0], scan.mapping[-1][1]) if scan.mapping
                                        else (None, self.lsn(self.last_commit), None, None)),
                     scan.transactions, scan.commands, scan.ddl, scan.mapping[0][3] if scan.mapping else None, scan.transactions))
        cur.execute("DELETE FROM standin.cdc_scan WHERE session_id < %s", (number - 200,))

    def _idle(self, cur):
        """An entry without a transaction every idle_entry_s seconds of no change, tran_id 0x00. That there are such entries is
        documented (cdc.lsn_time_mapping); that they come every five minutes is seen, no page tells."""
        cur.execute("""
            INSERT INTO cdc.lsn_time_mapping (start_lsn, tran_begin_time, tran_end_time, tran_id, tran_begin_lsn)
            SELECT %s::bytea::sys.binary(10), t, t, '\\x00'::bytea::sys.varbinary(10), %s::bytea::sys.binary(10)
            FROM (SELECT clock_timestamp()::timestamp::sys.datetime) AS x(t)
            WHERE coalesce((SELECT m.tran_end_time::timestamp FROM cdc.lsn_time_mapping m ORDER BY m.start_lsn DESC LIMIT 1), '-infinity')
                <= clock_timestamp()::timestamp - standin.setting('idle_entry_s', '300')::float8 * interval '1 s'
              AND EXISTS (SELECT FROM standin.cdc_instance)
            ON CONFLICT DO NOTHING""", (self.lsn(self.last_commit), self.lsn(self.last_commit)))


def _without_command(line):
    fields = line.split(b"\t", 5)
    del fields[4]
    return b"\t".join(fields)


class _Lines:
    """What copy_expert reads from."""

    def __init__(self, lines):
        self._lines, self._at = lines, 0

    def read(self, _size):
        if self._at >= len(self._lines):
            return b""
        end = min(self._at + 500, len(self._lines))
        out = b"".join(self._lines[self._at:end])
        self._at = end
        return out
