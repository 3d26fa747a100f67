# SPDX-License-Identifier: PostgreSQL
"""bench/run's points ms1 to ms4: a SQL Server as the legacy. The server is the one that CROSSFADE_TEST_SQLSERVER names, else the
stand-in of tests/standin, which is far slower than any SQL Server: where a server is the bound the line says so, by the CPU
time of the client beside the clock."""
import decimal
import os
import random
import socket
import subprocess
import threading
import time
import uuid

from lib.pipeline import OWNER, TARGET_ROLE, Pipeline, run_roles_script
from lib.postgres import Database, PgServer, Template
from lib.process import run, wait_for
from lib.redis_server import RedisServer
from lib.replicator import BUILD
from lib.sqlserver import SqlServer

FIELD = "\x1f"
COLUMNS = """id int NOT NULL PRIMARY KEY, big bigint NOT NULL, small smallint NULL, tiny tinyint NULL, flag bit NOT NULL, price decimal(18,4) NULL,
 amount money NULL, ratio float NULL, born date NULL, at datetime2(3) NOT NULL, stamp datetime NULL, g uniqueidentifier NULL, name nvarchar(60) NULL,
 code varchar(20) NULL, data varbinary(40) NULL"""
TARGET = """id int PRIMARY KEY, big bigint NOT NULL, small smallint, tiny smallint, flag boolean NOT NULL, price numeric(18,4), amount numeric(19,4),
 ratio double precision, born date, at timestamp(3) NOT NULL, stamp timestamp(3), g uuid, name varchar(60), code varchar(20), data bytea"""


class SqlBench:
    """A SQL Server, a target, a Redis; one pipeline of one database a point."""

    def __init__(self, base, settings, rows):
        self.base, self.rows, self.count = base, rows, 0
        template = Template(base)
        self.server = SqlServer(base, "m", template, settings=settings).start()
        self.target = PgServer(base, "t", template, settings=settings).start()
        self.redis = RedisServer(base).start()
        self.version = self.server.one("SELECT @@VERSION").splitlines()[0].strip()
        self.databases = []
        self.conf = os.path.join(base, "freetds.conf")
        with open(self.conf, "w") as f:
            f.write(f"[bench]\nhost = {self.server.host}\nport = {self.server.port}\ntds version = 7.4\nclient charset = UTF-8\n")

    def close(self):
        for d in self.databases:
            try:
                d.drop()
            except Exception as e:  # noqa: BLE001  the servers go away in any case
                print(f"database {d.name} was not dropped: {e}")
        self.server.stop()
        self.target.stop("immediate")
        self.redis.kill()

    # -- the legacy side

    def database(self):
        d = self.server.create_database()
        self.databases.append(d)
        return d

    def enable(self, source):
        """Whether this server has change data capture."""
        try:
            source.execute("EXEC sys.sp_cdc_enable_db")
            if self.server.is_standin:
                Database(self.server.pg, source.name).one("SELECT standin.set('poll_ms', '100')")
            return True
        except Exception as e:  # noqa: BLE001  pymssql has many
            print(f"no change data capture here: {str(e)[:200]}")
            return False

    def capture(self, source, *tables):
        for t in tables:
            source.execute(f"EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'{t}', @role_name = NULL, @supports_net_changes = 0")

    def freebcp(self, source, table, way, path, *options):
        """Seconds"""
        s = self.server
        begin = time.monotonic()
        run(["freebcp", f"dbo.{table}", way, path, "-c", "-t", FIELD, "-S", "bench", "-U", s.user, "-P", s.password, "-D", source.name, *options],
            timeout=7200, env={**os.environ, "FREETDSCONF": self.conf})
        return time.monotonic() - begin

    def fetch(self, source, query):
        """(rows, seconds, CPU seconds) of plain db-lib"""
        p = run([os.path.join(BUILD, "bench", "ms_fetch"), "bench", self.server.user, source.name, query], timeout=7200,
                env={**os.environ, "FREETDSCONF": self.conf, "MS_PASSWORD": self.server.password})
        rows, _, wall, cpu = p.stdout.split()
        return int(rows), float(wall), float(cpu)

    # -- the pipeline

    def pipeline(self, source, ddl, port=None, **config):
        self.count += 1
        name = f"m{self.count}"
        directory = os.path.join(self.base, name)
        os.makedirs(directory)
        self.target.execute(f'CREATE DATABASE "{name}"')
        if not self.target.one("SELECT count(*) FROM pg_roles WHERE rolname = %s", (OWNER,)):
            self.target.execute(f"CREATE ROLE {OWNER} NOLOGIN")
        target = Database(self.target, name)
        target.execute(f'GRANT ALL ON SCHEMA public TO {OWNER}; GRANT CREATE ON DATABASE "{name}" TO {OWNER}')
        p = Pipeline(name, directory, target, target, self.redis)
        secret = os.path.join(directory, "secret")
        with open(secret, "w") as f:
            f.write(self.server.password)
        os.chmod(secret, 0o600)
        p.config["legacy"] = {"kind": "sqlserver", "host": self.server.host if port is None else "127.0.0.1", "port": port or self.server.port,
                              "database": source.name, "user": self.server.user, "password": f"file:{secret}",
                              "encrypt": "off" if self.server.is_standin else "request", "capture": "cdc"}
        p.config["schemas"] = {"dbo": "public"}
        p.config.update(config)
        p.on(target, ddl)
        run_roles_script(target, "roles-target.sql", TARGET_ROLE)
        target.execute(f"GRANT {OWNER} TO {TARGET_ROLE}")
        code, out, err = p.crossfade("install")
        assert code == 0, f"crossfade install: {code}\n{out}{err}"
        return p

    def end(self, p):
        for r in p.replicators:
            r.end()


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_kb(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM"))


def percentile(values, p):
    return sorted(values)[min(len(values) - 1, int(len(values) * p))]


def bound(cpu, wall, who="the server is the bound: the client waits for it"):
    """In words, where the client waited for most of the time."""
    return f"; {who} {100 * (1 - cpu / wall):.0f} % of the time" if cpu < 0.6 * wall else ""


BOTH = "the servers are the bound: the replicator waits for the legacy or the target"

# ---------------------------------------------------------------------------------------------------- ms1: backfill

def mixed(source, rows):
    """A thousand rows of values, doubled until there are enough."""
    def literal(v):
        return "NULL" if v is None else str(v) if isinstance(v, (int, float, decimal.Decimal)) else v if v.startswith(("0x", "N'")) else f"'{v}'"

    def row(i):
        none = i % 13 == 0
        return (i, i * 1_000_003, i % 30000, i % 200, i % 2, None if none else decimal.Decimal(i * 7919 % 10**9) / 10000,
                decimal.Decimal(i * 31 % 10**7) / 100, i / 7, f"{1950 + i % 60}-{1 + i % 12:02}-{1 + i % 28:02}",
                f"2024-03-{1 + i % 28:02} {i % 24:02}:{i % 60:02}:{i * 7 % 60:02}.{i % 1000:03}", "2024-05-06T07:08:09",
                str(uuid.UUID(int=i * 0x9E3779B97F4A7C15F39CC0605CEDC835 % (1 << 128))), None if none else f"N'Zoë Example no. {i}'", f"code-{i % 1000}",
                f"0x{i * 2654435761 % (1 << 64):016x}")
    for first in range(1, 1001, 200):
        source.execute("INSERT INTO dbo.b VALUES " + ", ".join(f"({', '.join(map(literal, row(i)))})" for i in range(first, first + 200)))
    have, names = 1000, ", ".join(c.split()[0] for c in TARGET.split(",") if not c[0].isdigit())
    while have < rows:
        n = min(have, rows - have)
        source.execute(f"INSERT INTO dbo.b ({names}) SELECT {names.replace('id,', f'id + {have},', 1)} FROM dbo.b WHERE id <= {n}")
        have += n


def copy_alone(p, path):
    """Seconds that COPY BINARY of the same rows takes into the same table."""
    c = p.target.connect()
    c.autocommit = True
    with c.cursor() as cur:
        with open(path, "wb") as f:
            cur.copy_expert("COPY b TO STDOUT (FORMAT binary)", f, 1 << 20)
        cur.execute("TRUNCATE b")
        cur.execute("CHECKPOINT")
        begin = time.monotonic()
        with open(path, "rb") as f:
            cur.copy_expert("COPY b FROM STDIN (FORMAT binary)", f, 1 << 20)
        seconds = time.monotonic() - begin
    c.close()
    return seconds


def copy_text(p, path):
    """What freebcp wrote: into text columns, since its dates are not PostgreSQL's."""
    names = [c.split()[0] for c in TARGET.split(",") if not c[0].isdigit()]
    c = p.target.connect()
    c.autocommit = True
    with c.cursor() as cur:
        cur.execute(f"CREATE TABLE peer ({', '.join(f'{n} text' for n in names)})")
        cur.execute("CHECKPOINT")
        begin = time.monotonic()
        with open(path, "rb") as f:
            cur.copy_expert(f"COPY peer FROM STDIN (DELIMITER E'\\x1f', NULL '')", f, 1 << 20)
        seconds = time.monotonic() - begin
    c.close()
    return seconds


def watch_copy(r, total):
    """(seconds from the first row counted to the last, CPU seconds of the replicator meanwhile)"""
    first = None
    while True:
        assert r.running, r.tail()
        try:
            copied = sum(t["rows_copied"] for t in r.tables().values())
        except OSError:
            continue    # not listening yet
        now, cpu = time.monotonic(), cpu_seconds(r.process.pid)
        if copied == 0:
            first = (now, cpu)
        elif copied >= total:
            return now - first[0], cpu - first[1]
        time.sleep(0.02)


def point_ms1(b, report):
    source = b.database()
    path = os.path.join(b.base, "rows")
    cdc = b.enable(source)
    source.execute(f"CREATE TABLE dbo.b ({COLUMNS})")
    mixed(source, b.rows)
    config = {"backfill": {"workers": 1}}
    if cdc:
        b.capture(source, "b")
    else:
        config["tables"] = [{"from": "dbo.b", "capture": "timestamp", "updated_at": "at", "overlap": "1min"}]
    p = b.pipeline(source, f"CREATE TABLE b ({TARGET});", **config)
    if not cdc:
        p.config["legacy"]["capture"] = "timestamp"
    rows, fetch, fetch_cpu = b.fetch(source, "SELECT * FROM dbo.b")
    assert rows == b.rows, rows
    r = p.start()
    ours, ours_cpu = watch_copy(r, b.rows)
    r.wait_ready(300)
    r.stop()
    again = b.fetch(source, "SELECT * FROM dbo.b")
    fetch, fetch_cpu = (fetch + again[1]) / 2, (fetch_cpu + again[2]) / 2    # around ours: other people's load moves
    assert p.target.one("SELECT count(*) FROM b") == b.rows
    copy = copy_alone(p, os.path.join(b.base, "binary"))
    out = b.freebcp(source, "b", "out", path)
    peer = copy_text(p, path)
    slower = max(fetch, copy)
    report("ms1", f"backfill of {b.rows:,} rows of 15 columns, one worker: crossfade {ours:.2f} s (CPU {ours_cpu:.2f} s) = {ours / slower:.2f} x the slower "
                  f"(wanted 1.25) of db-lib's fetch {fetch:.2f} s (CPU {fetch_cpu:.2f} s) and COPY FROM {copy:.2f} s; freebcp {out:.2f} s, then COPY as text "
                  f"{peer:.2f} s: {out + peer:.2f} s. {b.version}{bound(fetch_cpu, fetch)}", ours <= 1.25 * slower)
    b.end(p)


# -------------------------------------------------------------------------------------------------------- ms2: CDC

INSERT_TICK = "INSERT INTO dbo.tick (id, at) VALUES ({0}, SYSUTCDATETIME())"
TICK = "CREATE TABLE dbo.tick (id int NOT NULL PRIMARY KEY, at datetime2(3) NOT NULL)"


def captured(source, table, where, deadline=1800):
    """Waits until the change table has it: (when, its commit's LSN as a position is written)"""
    def look():
        return source.query(f"SELECT TOP (1) [__$start_lsn] FROM [cdc].[dbo_{table}_CT] WHERE {where}")
    rows = wait_for(look, deadline, f"{where} captured", 0.05)
    return time.monotonic(), "0x" + bytes(rows[0][0]).hex().upper()


def applied(r, lsn, deadline=1800):
    """Waits until everything up to the LSN is in the target, in all lanes."""
    def look():
        assert r.running, r.tail()
        at = r.stream()["applied"]
        return at and at >= lsn
    wait_for(look, deadline, f"applied passes {lsn}", 0.005)
    return time.monotonic()


def churn(source, first, last, step, rate, seconds, out):
    """Updates rows first … last in transactions of `step` rows, `rate` rows a second. step None: until `seconds` are over."""
    c = source.connect(timeout=600)
    cur = c.cursor()
    at, begin = first, time.monotonic()
    while time.monotonic() - begin < seconds:
        cur.execute(f"UPDATE dbo.c SET v = v + 1, at = SYSUTCDATETIME() WHERE id >= {at} AND id < {at + step}")
        out[0] += step
        at = at + step if at + 2 * step <= last + 1 else first
        time.sleep(max(0.0, begin + out[0] / rate - time.monotonic()))
    c.close()


def write(source, rows, rate, seconds, writers=2):
    """(rows changed, seconds)"""
    counts, threads, begin = [[0] for _ in range(writers)], [], time.monotonic()
    share = rows // writers
    for i, count in enumerate(counts):
        threads.append(threading.Thread(target=churn, args=(source, 1 + i * share, (i + 1) * share, 1000, rate / writers, seconds, count)))
        threads[-1].start()
    for t in threads:
        t.join()
    return sum(c[0] for c in counts), time.monotonic() - begin


def fill(source, table, rows):
    """Doubled from a thousand rows of (id, v, at, name)."""
    source.execute(f"INSERT INTO dbo.{table} (id, v, at, name) VALUES " +
                   ", ".join(f"({i}, {i}, '2024-01-01 00:00:00', N'Zoë Example no. {i}')" for i in range(1, 1001)))
    have = 1000
    while have < rows:
        n = min(have, rows - have)
        source.execute(f"INSERT INTO dbo.{table} (id, v, at, name) SELECT id + {have}, v, at, name FROM dbo.{table} WHERE id <= {n}")
        have += n


def ms2_rate(b, report, rate=20_000, rows=40_000):
    source = b.database()
    if not b.enable(source):
        return report("ms2", f"not available: no change data capture. {b.version}", None)
    seconds = max(3, min(30, b.rows // 33_000))
    source.execute(TICK + "; CREATE TABLE dbo.c (id int NOT NULL PRIMARY KEY, v int NOT NULL, at datetime2(3) NOT NULL, name nvarchar(40) NULL)")
    fill(source, "c", rows)
    b.capture(source, "c", "tick")
    p = b.pipeline(source, "CREATE TABLE tick (id int PRIMARY KEY, at timestamp(3)); CREATE TABLE c (id int PRIMARY KEY, v int NOT NULL, "
                           "at timestamp(3) NOT NULL, name varchar(40));")
    r = p.start(ready=True)
    begin = time.monotonic()
    changed, took = write(source, rows, rate, seconds)
    source.execute(INSERT_TICK.format(1))
    seen, lsn = captured(source, "tick", "id = 1")
    there = applied(r, lsn)
    made = changed / took
    server = "" if made >= 0.95 * rate and seen - begin - took < 2 else \
        f" The server is the bound: it takes {made:,.0f} changed rows/s and captures {changed / (seen - begin):,.0f}/s."
    report("ms2", f"{changed:,} rows changed at {made:,.0f}/s: all captured {seen - begin - took:.2f} s after the last, in the target {there - seen:.2f} s after that "
                  f"(wanted: 20,000/s kept up with).{server} {b.version}", there - seen < 2 if made >= 0.95 * rate and not server else None)
    r.stop()
    changed, took = write(source, rows, 1e9, seconds)
    source.execute(INSERT_TICK.format(2))
    _, lsn = captured(source, "tick", "id = 2")
    begin = time.monotonic()
    r = p.start(ready=True)
    cpu = cpu_seconds(r.process.pid)
    there = applied(r, lsn) - begin
    cpu = cpu_seconds(r.process.pid)
    report("ms2", f"a captured backlog of {changed:,} changed rows: applied {there:.2f} s after the start = {changed / there:,.0f} rows/s, CPU {cpu:.2f} s "
                  f"= {changed / cpu:,.0f} rows/s of a core (wanted 20,000){bound(cpu, there, BOTH)}", changed / there >= rate)
    ours = p.target.one("SELECT sum(v::bigint) FROM c")
    assert ours == source.one("SELECT SUM(CONVERT(bigint, v)) FROM dbo.c"), "the sums differ"
    b.end(p)


class Counter:
    """A relay that counts what the client sends: whole TDS messages and bytes, by connection."""

    def __init__(self, host, port):
        self.to = (host, port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.links = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(self.to)
            for s in (near, far):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            count = {"messages": 0, "sent": 0, "received": 0}
            self.links.append(count)
            threading.Thread(target=self._up, args=(near, far, count), daemon=True).start()
            threading.Thread(target=self._down, args=(far, near, count), daemon=True).start()

    def _up(self, near, far, count):
        held = b""
        try:
            while data := near.recv(65536):
                far.sendall(data)
                count["sent"] += len(data)
                held += data
                while len(held) >= 8 and len(held) >= (size := int.from_bytes(held[2:4], "big")) >= 8:
                    count["messages"] += held[1] & 1    # the last packet of its message
                    held = held[size:]
            far.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def _down(self, far, near, count):
        try:
            while data := far.recv(65536):
                near.sendall(data)
                count["received"] += len(data)
            near.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.listener.close()


def ms2_idle(b, report, tables=100, seconds=10, interval=0.2):
    source = b.database()
    if not b.enable(source):
        return
    for i in range(tables):
        source.execute(f"CREATE TABLE dbo.t{i} (id int NOT NULL PRIMARY KEY, v nvarchar(20) NULL); INSERT INTO dbo.t{i} VALUES (1, N'a')")
    b.capture(source, *(f"t{i}" for i in range(tables)))
    relay = Counter(b.server.host, b.server.port)
    p = b.pipeline(source, "".join(f"CREATE TABLE t{i} (id int PRIMARY KEY, v varchar(20));\n" for i in range(tables)), port=relay.port,
                   stream={"poll_interval": f"{int(interval * 1000)}ms"})
    p.config["legacy"]["encrypt"] = "off"    # the relay reads along
    r = p.start(ready=True)
    time.sleep(3)
    before, cpu = [dict(c) for c in relay.links], cpu_seconds(r.process.pid)
    time.sleep(seconds)
    after = [dict(c) for c in relay.links]
    cpu = cpu_seconds(r.process.pid) - cpu
    spent = [{k: z[k] - a[k] for k in z} for a, z in zip(before, after)]
    busiest = max(spent, key=lambda c: c["messages"])
    others = sum(c["messages"] for c in spent) - busiest["messages"]
    polls = seconds / interval
    n = max(busiest["messages"], 1)
    report("ms2", f"{tables} captured tables, idle: {busiest['messages']} messages on the stream's connection in {seconds} s = "
                  f"{busiest['messages'] / polls:.2f} a poll_interval of {interval * 1000:.0f} ms (wanted 1: one round trip), {busiest['sent'] / n:.0f} bytes "
                  f"out and {busiest['received'] / n:.0f} back each; {others} on others; CPU {100 * cpu / seconds:.1f} %",
           0 < busiest["messages"] <= polls + 1)
    b.end(p)
    relay.close()


def first_seen(source, ids, seen, ended):
    """When each row of tick was not yet in the change table, for the last time: no later than it became visible."""
    c = source.connect()
    cur = c.cursor()
    while not ended.is_set():
        begin = time.monotonic()
        cur.execute("SELECT MAX(id) FROM [cdc].[dbo_tick_CT]")
        top = cur.fetchone()[0] or 0
        for i in list(ids):
            if top >= i:
                ids.discard(i)
            else:
                seen[i] = max(begin, seen[i])
        time.sleep(0.001)
    c.close()


def ms2_latency(b, report, interval=0.1):
    source = b.database()
    if not b.enable(source):
        return
    samples = max(30, min(500, b.rows // 2000))
    if b.server.is_standin:
        Database(b.server.pg, source.name).one("SELECT standin.set('poll_ms', '30')")
    source.execute(TICK)
    b.capture(source, "tick")
    p = b.pipeline(source, "CREATE TABLE tick (id int PRIMARY KEY, at timestamp(3));", stream={"poll_interval": f"{int(interval * 1000)}ms"})
    r = p.start(ready=True)
    ids, seen, ended, rnd, late = set(), {}, threading.Event(), random.Random(7), []
    watcher = threading.Thread(target=first_seen, args=(source, ids, seen, ended))
    watcher.start()
    c = p.target.connect()
    c.autocommit = True
    cur = c.cursor()
    writer = source.connect().cursor()
    try:
        for i in range(1, samples + 11):
            seen[i] = time.monotonic()
            ids.add(i)
            writer.execute(INSERT_TICK.format(i))
            begin = time.monotonic()
            while True:
                cur.execute("SELECT 1 FROM tick WHERE id = %s", (i,))
                if cur.fetchone():
                    break
                assert time.monotonic() - begin < 60 and r.running, f"tick {i} did not arrive\n{r.tail()}"
                time.sleep(0.0005)
            if i > 10:
                late.append((time.monotonic() - seen[i]) * 1000)
            time.sleep(rnd.uniform(0, interval))
    finally:
        ended.set()
        watcher.join()
    p50, p99 = percentile(late, 0.5), percentile(late, 0.99)
    report("ms2", f"visible in the change table to visible in the target, {samples} rows one by one: p50 {p50:.1f} ms, p99 {p99:.1f} ms "
                  f"(wanted poll_interval + 20 ms = {interval * 1000 + 20:.0f} ms)", p99 <= interval * 1000 + 20)
    b.end(p)


def point_ms2(b, report):
    ms2_rate(b, report)
    ms2_idle(b, report)
    ms2_latency(b, report)


# ------------------------------------------------------------------------------------------------------ ms3, ms4

def point_ms3(b, report):
    report("ms3", f"reverse, 50,000 changed rows against freebcp in: not available: the sink is not wired to a pipeline (bench/ms_apply measures it alone). {b.version}", None)


def point_ms4(b, report):
    source = b.database()
    if not b.enable(source):
        return report("ms4", f"not available: no change data capture. {b.version}", None)
    source.execute(TICK + "; CREATE TABLE dbo.seed (id int NOT NULL PRIMARY KEY, v int NOT NULL, at datetime2(3) NOT NULL, name nvarchar(40) NULL); "
                   "CREATE TABLE dbo.big (id int NOT NULL PRIMARY KEY, v int NOT NULL, at datetime2(3) NOT NULL, name nvarchar(40) NULL)")
    step = min(b.rows, 10_000)
    fill(source, "seed", step)
    b.capture(source, "big", "tick")
    p = b.pipeline(source, "CREATE TABLE tick (id int PRIMARY KEY, at timestamp(3)); CREATE TABLE big (id int PRIMARY KEY, v int NOT NULL, at timestamp(3) NOT NULL, "
                           "name varchar(40));", memory_limit="64MB", tables=["dbo.big", "dbo.tick"])
    r = p.start(ready=True)
    idle = peak_kb(r.process.pid)
    c = source.connect(autocommit=False, timeout=3600)
    with c.cursor() as cur:
        for first in range(0, b.rows, step):
            cur.execute(f"INSERT INTO dbo.big (id, v, at, name) SELECT id + {first}, v, at, name FROM dbo.seed")
    c.commit()
    c.close()
    source.execute(INSERT_TICK.format(1))
    seen, lsn = captured(source, "tick", "id = 1", 7200)
    cpu = cpu_seconds(r.process.pid)
    there = applied(r, lsn, 7200) - seen
    cpu = cpu_seconds(r.process.pid) - cpu
    peak = peak_kb(r.process.pid)
    rows = p.target.one("SELECT count(*) FROM big")
    assert rows == source.one("SELECT COUNT(*) FROM dbo.big"), rows
    report("ms4", f"one transaction of {rows:,} rows, memory_limit 64 MB: peak RSS {peak / 1024:.0f} MB (wanted 100; idle {idle / 1024:.0f}), in the target "
                  f"{there:.1f} s after it was captured. {b.version}{bound(cpu, there, BOTH)}", peak < 100 * 1024)
    b.end(p)
