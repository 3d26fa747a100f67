# SPDX-License-Identifier: PostgreSQL
"""What ./quickstart sqlserver does on the SQL Server, as its administrator and its application would: without Crossfade.

  district.py FILE ping|create|size|capture|last|drop      FILE: host:port:user:password:database of the SQL Server
  district.py FILE fill ROWS                     about so many, the same ones each time
  district.py FILE load ROWS RATE                the application, until SIGTERM
  district.py FILE compare CONNINFO              every table of both sides
"""
import concurrent.futures
import datetime
import decimal
import hashlib
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid

import pymssql

HERE = os.path.dirname(os.path.abspath(__file__))
TABLES = ("District", "Term", "School", "Staff", "Student", "Guardian", "StudentGuardian", "Course", "Section", "Enrolment", "Attendance",
          "Assessment", "Result", "TermGrade", "Document")
FIELD, ROW = "\x1f", "\x1e"


class Server:
    def __init__(self, path):
        with open(path) as f:
            self.host, self.port, self.user, rest = f.read().rstrip("\n").split(":", 3)
        self.password, _, self.database = rest.rpartition(":")

    def connect(self, database=None, autocommit=True):
        return pymssql.connect(server=self.host, port=self.port, user=self.user, password=self.password, autocommit=autocommit,
                               database=database or self.database, login_timeout=20, timeout=300, appname="school")

    def run(self, sql, database=None):
        c = self.connect(database)
        with c.cursor() as cur:
            for batch in re.split(r"(?m)^GO$", re.sub(r"(?m)^--.*$", "", sql)):
                cur.execute(batch)
        c.close()

    def rows(self, sql):
        c = self.connect()
        with c.cursor() as cur:
            cur.execute(sql)
            out = cur.fetchall()
        c.close()
        return out


def script(name):
    with open(os.path.join(HERE, name)) as f:
        return f.read()


def ping(server):
    try:
        server.connect("master").close()
    except pymssql.Error as e:
        raise SystemExit(str(e))


def create(server):
    drop(server)
    server.run(f"CREATE DATABASE [{server.database}]", "master")
    server.run(script("school.sql"))


def drop(server):
    server.run(f"DROP DATABASE IF EXISTS [{server.database}]", "master")


# ------------------------------------------------------------------------------------------------------------- rows

def sizes(rows):
    return {"students": max(rows // 20, 200), "courses": max(rows // 2000, 20), "schools": max(rows // 5000, 10),
            "sections": max(rows // 100, 100), "assessments": max(rows // 200, 50)}


def moment(base, seconds):
    return (base + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S")


def day(first, days):
    return (first + datetime.timedelta(days=days)).isoformat()


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


def guid(text):
    return str(uuid.UUID(md5(text)))


def made(n):
    """{table: its rows}, in the order of the columns"""
    date, time_ = datetime.date, datetime.datetime
    first = ("Ana", "Björn", "Chloé", "Đức", "Emre", "小明", "Grace", "O'Neil")
    students, schools, sections, courses = n["students"], n["schools"], n["sections"], n["courses"]
    yield "Term", ((i, f"Term {i}", day(date(2020, 8, 15), i * 120), day(date(2020, 12, 1), i * 120)) for i in range(1, 9))
    yield "School", ((i, 1 + i % 20, f"School No. {i}", f"555-{i:04}", f"07:{30 + i % 6:02}:00", f"{i * 1009 % 900000}.2500")
                     for i in range(1, schools + 1))
    yield "Staff", ((guid(f"staff{i}"), 1 + i % schools, f"Teacher {md5(str(i))}", f"teacher{i}@example.org", day(date(1990, 1, 1), i % 12000),
                     decimal.Decimal(3000000 + i * 7919 % 5000000) / 100, int(i % 17 != 0)) for i in range(1, sections + 1))
    yield "Student", ((i, 1 + i % schools, first[i % 8], f"Family {i % 9973}", day(date(2004, 1, 1), i % 4000), 1 + i % 12,
                       f"student{i}@example.org" if i % 11 else None, f'{{"bus": {i % 40}, "note": "{"花粉症 " * (i % 9)}"}}',
                       moment(time_(2024, 9, 1), i) + f".{i % 1000:03}") for i in range(1, students + 1))
    yield "Guardian", ((i, f"Guardian {i}", f"+1-312-{i}" if i % 5 else None, f"{i} Main St, 60{i % 900:03}")
                       for i in range(1, students * 7 // 5 + 1))
    yield "StudentGuardian", ((1 + i % students, i, "father" if i % 2 else "mother", int(i % 3 == 0)) for i in range(1, students * 7 // 5 + 1))
    yield "Course", ((i, f"C-{i}", f"Course {i}", ("0.50", "1.00", "1.50", "2.00")[i % 4]) for i in range(1, courses + 1))
    yield "Section", ((i, 1 + i % schools, 1 + i % courses, 1 + i % 8, guid(f"staff{i}"), moment(time_(2024, 9, 2, 8), i % 300 * 3600) + " -05:00",
                       f"R{i % 60}") for i in range(1, sections + 1))
    yield "Enrolment", ((s, section, ("applied", "active", "active", "completed")[(s + section) % 4], moment(time_(2024, 8, 1, 12), s % 500 * 60))
                        for s in range(1, students + 1) for section in sorted({1 + (s * 31 + k * 1009) % sections for k in range(4)}))
    yield "Attendance", ((s, day(date(2024, 9, 2), k), 400 - s * k % 60, 'late: "bus"' if (s + k) % 50 == 0 else None)
                         for s in range(1, students + 1) for k in range(6))
    yield "Assessment", ((i, 1 + i % sections, f"Quiz {i}", day(date(2024, 9, 10), i % 90), f"{20 + i % 80}.00")
                         for i in range(1, n["assessments"] + 1))
    yield "Result", ((i, 1 + i * 7 % n["assessments"], 1 + i % students, decimal.Decimal(i * 13 % 2000) / 100, i / 7, moment(time_(2024, 10, 1), i) + ".500",
                      "well done" if i % 20 == 0 else None) for i in range(1, students * 4 + 1))
    yield "TermGrade", ((s, 1 + s % 8, 1 + s % courses, ("A", "B+", "C", "F")[s % 4], decimal.Decimal(s * 17 % 4000) / 1000)
                        for s in range(1, students + 1))
    yield "Document", ((guid(f"doc{i}"), 1 + i % students, "report", md5(str(i)), md5(str(i)) * (i % 200) or None, moment(time_(2024, 1, 1), i * 60))
                       for i in range(1, students // 10 + 1))


def bulk(server, directory, table, lines):
    """One table through freebcp, as text in UTF-8."""
    identity = ["-E"] if server.rows(f"SELECT 1 FROM sys.columns WHERE object_id = OBJECT_ID(N'dbo.{table}') AND is_identity = 1") else []
    path = os.path.join(directory, table)
    with open(path, "w", newline="") as f:
        for line in lines:
            f.write(FIELD.join("" if v is None else str(v) for v in line) + ROW)
    p = subprocess.run(["freebcp", f"dbo.{table}", "in", path, "-c", "-t", FIELD, "-r", ROW, *identity, "-b", "20000", "-S", "school", "-U", server.user,
                        "-P", server.password, "-D", server.database], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       env={**os.environ, "FREETDSCONF": os.path.join(directory, "freetds.conf")})
    os.unlink(path)
    if p.returncode:
        raise SystemExit(f"freebcp of {table} failed: {p.stdout[-2000:]}")


def insert(server, table, columns, lines):
    """A table that freebcp has no conversion for (datetimeoffset): as statements of up to 500 rows."""
    lines = [f"({', '.join(str(v) if isinstance(v, int) else f'{chr(39)}{v}{chr(39)}' for v in line)})" for line in lines]
    server.run(f"SET IDENTITY_INSERT dbo.{table} ON\nGO\n" +
               "\nGO\n".join(f"INSERT INTO dbo.{table} ({columns}) VALUES {', '.join(lines[i:i + 500])}" for i in range(0, len(lines), 500)))


def fill(server, rows):
    districts = ", ".join(f"({i}, 'D{i:04}', N'District {i}', N'<settings zone=\"America/Chicago\"><lunch>{i % 3}</lunch></settings>')"
                          for i in range(1, 21))
    server.run(f"INSERT INTO dbo.District (Id, Code, Name, Settings) VALUES {districts}")
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as directory:
        with open(os.path.join(directory, "freetds.conf"), "w") as f:
            f.write(f"[school]\nhost = {server.host}\nport = {server.port}\ntds version = 7.4\nclient charset = UTF-8\n")
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(insert, server, t, "Id, SchoolId, CourseId, TermId, TeacherId, MeetsAt, Room", lines) if t == "Section" else
                         pool.submit(bulk, server, directory, t, lines) for t, lines in made(sizes(rows))]:
                done.result()
    server.run(script("keys.sql"))


def size(server):
    version = server.rows("SELECT @@VERSION")[0][0].splitlines()[0].strip()
    count = sum(server.rows(f"SELECT COUNT(*) FROM dbo.[{t}]")[0][0] for t in TABLES)
    print(f"  {len(TABLES)} tables, {count} rows in {version}")


def capture(server):
    """As the administrator: CDC for every table of the application's, until the capture job has come to all of them. `crossfade
    install` switched the database on."""
    for t in TABLES:
        server.run(f"EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'{t}', @role_name = NULL, @supports_net_changes = 0")
    deadline = time.monotonic() + 120
    while any(not any(low or b"") for low, in server.rows("SELECT sys.fn_cdc_get_min_lsn(c.capture_instance) FROM cdc.change_tables AS c")):
        if time.monotonic() > deadline:
            raise SystemExit("the capture job does nothing: is SQL Server Agent running?")
        time.sleep(0.2)


# ------------------------------------------------------------------------------------------------------------- load

def transaction(rnd, n):
    """A score is recorded, an absence noted, a profile edited; now and then a student arrives, leaves or withdraws."""
    s, t, a = rnd.randint(1, n["students"]), rnd.randint(1, n["students"]), rnd.randint(1, n["assessments"])
    dice, on = rnd.randint(1, 100), day(datetime.date(2025, 1, 1), rnd.randint(0, 400))
    sql = [f"INSERT INTO dbo.Result (AssessmentId, StudentId, Points, Raw, RecordedAt) "
           f"SELECT {a}, Id, {dice / 4}, {dice / 3!r}, SYSUTCDATETIME() FROM dbo.Student WHERE Id = {s}",
           f"UPDATE dbo.Student SET UpdatedAt = SYSUTCDATETIME(), Profile = N'{{\"bus\": {dice % 40}, \"seen\": {dice}}}' WHERE Id = {s}",
           f"UPDATE dbo.Attendance SET Minutes = {dice} WHERE StudentId = {t} AND Day = '{on}'",
           f"IF @@ROWCOUNT = 0 INSERT INTO dbo.Attendance (StudentId, Day, Minutes) SELECT Id, '{on}', {dice} FROM dbo.Student WHERE Id = {t}"]
    if dice < 10:
        sql += [f"INSERT INTO dbo.Student (SchoolId, FirstName, LastName, Born, Grade) VALUES ({1 + dice}, N'New', N'Student', '2015-05-05', 3)",
                f"UPDATE dbo.Document SET Kind = N'revised' WHERE StudentId = {t}"]
    elif dice < 13:
        sql += [f"DELETE FROM dbo.Student WHERE Id = {t}"]
    elif dice < 30:
        sql += [f"UPDATE dbo.Enrolment SET Status = 'withdrawn' WHERE StudentId = {t}",
                f"DELETE FROM dbo.Result WHERE Id = (SELECT MIN(Id) FROM dbo.Result WHERE StudentId = {t})"]
    return "BEGIN TRANSACTION;\n" + ";\n".join(sql) + ";\nCOMMIT TRANSACTION"


def load(server, rows, rate):
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(1))
    n, rnd, c = sizes(rows), random.Random(7), server.connect()
    cur, begin, done = c.cursor(), time.monotonic(), 0
    while not ended:
        try:
            cur.execute(transaction(rnd, n))
            while cur.nextset():
                pass
        except pymssql.OperationalError as e:
            if e.args[0] != 1205:    # a deadlock's victim is tried again
                raise
            cur.execute("IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION")
        done += 1
        time.sleep(max(0.0, begin + done / rate - time.monotonic()))
    c.close()
    print(f"{done} transactions in {time.monotonic() - begin:.1f} s")


def last(server):
    """Writes once more, waits for the capture job to see it, and prints the commit's LSN."""
    token = f"last {time.time_ns()}"
    server.run(f"UPDATE dbo.Term SET Name = N'{token}' WHERE Id = 1")
    deadline = time.monotonic() + 120
    instance = server.rows("SELECT capture_instance FROM cdc.change_tables WHERE source_object_id = OBJECT_ID(N'dbo.Term')")[0][0]
    while time.monotonic() < deadline:
        seen = server.rows(f"SELECT [__$start_lsn] FROM cdc.[{instance}_CT] WHERE Name = N'{token}' AND [__$operation] = 4")
        if seen:
            print("0x" + bytes(seen[0][0]).hex().upper())
            return
        time.sleep(0.2)
    raise SystemExit("the capture job did not see the last change in two minutes: is SQL Server Agent running?")


# ---------------------------------------------------------------------------------------------------------- compare

def snake(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def canonical(v):
    """The same text for the same value, whichever driver handed it out."""
    if v is None:
        return "~"
    if isinstance(v, bool):
        return str(int(v))
    if isinstance(v, (bytes, memoryview)):
        return bytes(v).hex()
    if isinstance(v, decimal.Decimal):
        return f"{v.normalize():f}"
    if isinstance(v, datetime.datetime) and v.tzinfo:
        return v.astimezone(datetime.timezone.utc).isoformat()
    if isinstance(v, datetime.datetime):
        return v.isoformat(" ", "microseconds")
    if isinstance(v, (datetime.date, datetime.time)):
        return v.isoformat()
    return repr(v) if isinstance(v, float) else str(v)


def exact(column, kind):
    """pymssql hands out datetime2 with the precision of datetime, and datetimeoffset not at all: as text, at UTC."""
    if kind == "datetimeoffset":
        return f"CONVERT(nvarchar(30), CONVERT(datetime2(6), SWITCHOFFSET([{column}], '+00:00')), 121)"
    return f"CONVERT(nvarchar(30), CONVERT(datetime2(6), [{column}]), 121)" if kind == "datetime2" else f"[{column}]"


def digest(cur):
    count, whole = 0, 0
    for row in cur:
        count += 1
        text = FIELD.join(map(canonical, row))
        whole = (whole + int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16], "big")) % (1 << 128)
    return count, f"{whole:032x}"


def compare(server, conninfo):
    """Rows and the sum of the rows' hashes of every table, asked of either side by a driver that Crossfade does not use."""
    import psycopg2
    print(f"  {'table':<20} {'rows':>10}  {'digest (legacy)':<32}")
    legacy, target, bad = server.connect(), psycopg2.connect(conninfo), 0
    for t in TABLES:
        with legacy.cursor() as cur:
            cur.execute(f"SELECT c.name, TYPE_NAME(c.user_type_id) FROM sys.columns AS c WHERE c.object_id = OBJECT_ID(N'dbo.{t}') ORDER BY c.column_id")
            columns = cur.fetchall()
            cur.execute(f"SELECT {', '.join(exact(c, kind) for c, kind in columns)} FROM dbo.[{t}]")
            ours = digest(cur)
        with target.cursor("rows") as cur:
            cur.itersize = 20000
            utc = {"datetimeoffset": " AT TIME ZONE 'UTC'"}
            cur.execute("SELECT " + ", ".join(f'"{snake(c)}"' + utc.get(kind, "") for c, kind in columns) + f' FROM public."{snake(t)}"')
            theirs = digest(cur)
        same = ours == theirs
        print(f"  {t:<20} {ours[0]:>10}  {ours[1]}  {'equal' if same else 'NOT EQUAL: %d %s' % theirs}", flush=True)
        bad += not same
    return 1 if bad else 0


def main(argv):
    server, command, args = Server(argv[1]), argv[2], argv[3:]
    if command == "fill":
        return fill(server, int(args[0]))
    if command == "load":
        return load(server, int(args[0]), int(args[1]))
    if command == "compare":
        return compare(server, args[0])
    return {"ping": ping, "create": create, "size": size, "capture": capture, "last": last, "drop": drop}[command](server)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
