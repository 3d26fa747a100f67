# SPDX-License-Identifier: PostgreSQL
"""The replicator as a service: HTTP, signals, systemd's notifications, logs, back-off."""
import json
import os
import re
import signal
import socket
import time

from lib.load import FILL, SCHEMA, Load
from lib.postgres import lsn_number
from lib.process import wait_for


def school(pipeline, rows=300, **kw):
    pipeline.both(SCHEMA)
    pipeline.on(pipeline.legacy, FILL.format(n=rows))
    return pipeline.prepare(**kw)


def test_http(pipeline, legacy_server):
    """/healthz, /readyz, /status and /metrics say what DESIGN.md pins down"""
    pipeline.config["backfill"] = {"workers": 1, "rate_limit": "50kB"}
    school(pipeline, 2000)
    legacy_server.set(max_slot_wal_keep_size="'64MB'")
    r = pipeline.start()
    r.wait(lambda: r.http("/healthz")[0] == 200, 20, "/healthz")
    assert r.http("/readyz")[0] == 503, "not ready while copying"
    assert r.http("/nothing")[0] == 404
    r.kill9()
    pipeline.config["backfill"] = {"workers": 2}
    r = pipeline.start(ready=True)
    pipeline.legacy.execute("UPDATE hot SET n = n + 1; DELETE FROM keyed_by_text WHERE k = 'k1'; INSERT INTO district VALUES (99, 'x')")
    pipeline.wait_equal(r)
    s = r.status()
    assert set(s) >= {"version", "pipeline", "role", "degraded", "epoch", "streams", "groups", "last_reconcile"}
    assert (s["pipeline"], s["role"], s["degraded"], s["last_reconcile"]) == (pipeline.name, "active", False, None)
    assert set(s["streams"][0]) >= {"name", "direction", "received", "applied", "confirmed", "lag_bytes", "lag_ms"}
    assert s["streams"][0]["name"] == "forward" and s["streams"][0]["direction"] == "forward"
    table = next(t for t in s["groups"][0]["tables"] if t["from"] == "public.student")
    assert set(table) >= {"from", "to", "state", "reason", "rows_copied", "rows_total", "eta_s", "rate_rows_s", "quarantined", "parked", "conflicts"}
    assert s["groups"][0]["name"] == "default" and s["groups"][0]["live"] == "legacy" and not s["groups"][0]["frozen"]
    m = r.metrics()
    for name in ("up", "lag_bytes", "lag_seconds", "position_bytes", "rows_total", "bytes_total", "batch_rows", "batch_seconds",
                 "retained_wal_bytes", "quarantined", "parked_rows", "conflicts_total", "errors_total", "memory_bytes"):
        assert any(k.startswith(f"crossfade_{name}") for k in m), f"no metric crossfade_{name}"
    r.wait(lambda: pipeline.legacy.execute("INSERT INTO event SELECT gen_random_uuid(), now(), '{}', repeat('x', 3000) FROM generate_series(1, 500)")
           or any(k.startswith("crossfade_slot_limit_seconds") for k in r.metrics()), 60, "a limit of the slot is foreseen")
    legacy_server.set(max_slot_wal_keep_size="-1")
    labelled = [k for k in m if k.startswith("crossfade_rows_total") and 'table="public.hot"' in k and 'op="update"' in k]
    assert labelled and m[labelled[0]] >= 10, labelled
    assert all(f'pipeline="{pipeline.name}"' in k for k in m if k.startswith("crossfade_") and "{" in k)


def test_metrics_are_well_formed(pipeline):
    """/metrics parses as the Prometheus text format: HELP and TYPE for each, histogram buckets that rise"""
    school(pipeline, 50)
    r = pipeline.start(ready=True)
    pipeline.legacy.execute("UPDATE hot SET n = n + 1")
    pipeline.wait_equal(r)
    body = r.http("/metrics")[1]
    typed = dict(re.findall(r"^# TYPE (\S+) (\S+)$", body, re.M))
    helped = set(re.findall(r"^# HELP (\S+) \S", body, re.M))
    buckets = {}
    for line in body.splitlines():
        if line.startswith("#") or not line:
            continue
        m = re.fullmatch(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)*\})? (\S+)', line)
        assert m, f"not the text format: {line}"
        float(m[3])
        base = re.sub(r"_(bucket|sum|count)$", "", m[1]) if m[1] not in typed else m[1]
        assert base in typed and base in helped, f"no TYPE or HELP for {m[1]}"
        if m[1].endswith("_bucket"):
            key = m[1] + re.sub(r'le="[^"]*",?', "", m[2])
            assert float(m[3]) >= buckets.get(key, 0)
            buckets[key] = float(m[3])
    assert buckets


def test_sigterm_within_5_s_under_load(pipeline):
    """SIGTERM under load: drains and exits with 0 within 5 s"""
    school(pipeline)
    r = pipeline.start(ready=True)
    with Load(pipeline.legacy, rows=300):
        time.sleep(1)
        code, seconds = r.stop()
    assert code == 0 and seconds < 5.5, (code, seconds, r.tail())


def test_sigterm_in_the_copy(pipeline):
    """SIGTERM in the copy: exits with 0 within 5 s, and goes on afterwards"""
    pipeline.config["backfill"] = {"rate_limit": "200kB"}
    school(pipeline, 5000)
    r = pipeline.start()
    r.wait(lambda: pipeline.target.one("SELECT count(*) FROM crossfade.chunk WHERE pipeline = %s", (pipeline.name,)) > 0, 30)
    code, seconds = r.stop()
    assert code == 0 and seconds < 5.5, (code, seconds)
    del pipeline.config["backfill"]["rate_limit"]
    pipeline.move()
    pipeline.assert_equal()


def test_sigterm_while_a_server_hangs(pipeline, make_proxy):
    """SIGTERM while the target answers nothing: exits within 5 s all the same"""
    proxy = make_proxy(pipeline.target.server)
    school(pipeline)
    pipeline.config["target"]["conninfo"] = pipeline.config["target"]["conninfo"].replace(pipeline.target.server.dir, proxy.dir)
    r = pipeline.start(ready=True)
    proxy.stall()
    pipeline.legacy.execute("UPDATE hot SET n = 1")
    time.sleep(1)
    assert r.http("/healthz")[0] == 200, "the loop turns while the target hangs"
    _, seconds = r.stop(8)
    assert seconds < 6.5, seconds
    proxy.flow()


def test_sighup(pipeline):
    """SIGHUP takes over what is reloadable and says what is not; a broken file changes nothing"""
    school(pipeline)
    r = pipeline.start(ready=True)
    changed = dict(pipeline.config, log={"level": "debug"}, memory_limit="99MB", backfill={"rate_limit": "5MB"})
    with open(r.config_path, "w") as f:
        json.dump(changed, f)
    r.signal(signal.SIGHUP)
    r.wait_log(r"memory_limit.*restart|restart.*memory_limit", 10)
    r.wait_log(r"rate_limit", 10)
    with open(r.config_path, "w") as f:
        f.write('{"pipeline": ')
    r.signal(signal.SIGHUP)
    r.wait_log(re.escape(os.path.basename(r.config_path)) + r":1", 10)
    assert r.http("/readyz")[0] == 200
    pipeline.wait_equal(r)


class Notify:
    def __init__(self, directory):
        self.path = os.path.join(directory, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(0.2)
        self.lines = []

    def seen(self, text):
        try:
            while True:
                self.lines += self.socket.recv(65536).decode().splitlines()
        except (socket.timeout, BlockingIOError):
            pass
        return [line for line in self.lines if line.startswith(text)]


def test_sd_notify(pipeline):
    """systemd is told READY, STATUS and WATCHDOG, and STOPPING at the end"""
    school(pipeline)
    n = Notify(pipeline.dir)
    r = pipeline.start(env={"NOTIFY_SOCKET": n.path, "WATCHDOG_USEC": "2000000"})
    r.wait(lambda: n.seen("READY=1"), 20, "READY=1")
    r.wait(lambda: n.seen("STATUS="), 20, "STATUS=")
    r.wait(lambda: len(n.seen("WATCHDOG=1")) >= 3, 10, "WATCHDOG=1")
    r.wait_ready()
    r.stop()
    assert n.seen("STOPPING=1")


def test_standby_is_ready_for_systemd(pipeline):
    """A standby is a started service too: READY is sent, or systemd would kill it"""
    school(pipeline)
    pipeline.start(ready=True)
    n = Notify(pipeline.dir)
    second = pipeline.start(env={"NOTIFY_SOCKET": n.path, "WATCHDOG_USEC": "2000000"})
    second.wait(lambda: n.seen("READY=1"), 20, "READY=1")
    second.wait(lambda: len(n.seen("WATCHDOG=1")) >= 2, 10, "WATCHDOG=1")


def test_log_as_json(pipeline):
    """The log as JSON: ts, level, pipeline and msg on every line, and no secret"""
    school(pipeline)
    pipeline.config["log"] = {"format": "json", "level": "debug"}
    pipeline.config["target"]["conninfo"] += " application_name=x"
    r = pipeline.start(ready=True)
    r.stop()
    lines = [json.loads(line) for line in r.log.splitlines()]
    assert lines
    for line in lines:
        assert set(line) >= {"ts", "level", "pipeline", "msg"}, line
        assert line["pipeline"] == pipeline.name


def test_servers_go_away_and_come_back(make_server, make_pipeline, redis_server):
    """Server restarts: the service waits with a growing pause, never exits, and goes on"""
    p = make_pipeline(make_server("l"), make_server("t"), redis_server)
    school(p)
    r = p.start(ready=True)
    for server in (p.legacy.server, p.target.server):
        server.stop()
        time.sleep(4)
        assert r.running
        assert r.http("/healthz")[0] == 200 and r.http("/readyz")[0] != 200
        server.start()
        r.wait_ready(30)
        p.legacy.execute("UPDATE hot SET n = n + 1")
        p.wait_equal(r)
    tries = len(re.findall(r"(?i)error|warning", r.log))
    assert tries < 120, f"{tries} lines of complaint in 8 s: no back-off"


def test_both_servers_crash(make_server, make_pipeline, redis_server):
    """Both servers crash in the middle of it (immediate shutdown): both sides equal afterwards"""
    p = make_pipeline(make_server("l"), make_server("t"), redis_server)
    school(p)
    r = p.start(ready=True)
    with Load(p.legacy, rows=300) as load:
        for server in (p.target.server, p.legacy.server, p.target.server):
            before = load.transactions
            wait_for(lambda: load.transactions > before + 30, 30)
            server.crash()
            server.start()
        load.stop()
    r.wait_ready(60)
    p.wait_equal(r)


def test_fast_shutdown_of_the_source(make_server, make_pipeline, target_server, redis_server):
    """A source that is shut down while idle waits until what it has sent is confirmed: that comes at once, and the row in
    the target is there first"""
    server = make_server("fast")
    p = make_pipeline(server, target_server, redis_server)
    p.both("CREATE TABLE t (id int PRIMARY KEY)")
    p.prepare()
    r = p.start(ready=True)
    server.execute("CREATE TABLE other (i int)")
    p.legacy.execute("INSERT INTO t VALUES (1)")
    p.wait_applied(r)
    for i in range(3):
        # WAL of another database, which nothing but the ten-second round would confirm
        time.sleep(1)
        server.execute("INSERT INTO other VALUES (1)")
        begin = time.monotonic()
        server.stop()
        took = time.monotonic() - begin
        row = p.positions()[0]
        server.start()
        assert took < 3, f"shutdown {i} took {took:.1f} s"
        assert lsn_number(p.confirmed()) <= lsn_number(row), "confirmed what the row does not hold"
        r.wait_ready()
    p.legacy.execute("INSERT INTO t VALUES (2)")
    p.wait_equal(r)


def test_silent_peer_is_noticed(pipeline, make_proxy):
    """A link that is up and says nothing for a while: the walsender keeps us, and the stream goes on"""
    proxy = make_proxy(pipeline.legacy.server)
    school(pipeline)
    pipeline.config["legacy"]["conninfo"] = pipeline.config["legacy"]["conninfo"].replace(pipeline.legacy.server.dir, proxy.dir)
    r = pipeline.start(ready=True)
    proxy.stall()
    pipeline.legacy.execute("UPDATE hot SET n = 5")
    time.sleep(3)
    proxy.flow()
    pipeline.wait_equal(r)


def test_walsender_timeout_while_apply_is_stuck(make_server, make_pipeline, redis_server):
    """Standby status goes out on a timer even when apply is stuck behind a lock"""
    p = make_pipeline(make_server("l", settings={"wal_sender_timeout": "2s"}), make_server("t"), redis_server)
    school(p)
    r = p.start(ready=True)
    pid = p.legacy.one("SELECT active_pid FROM pg_replication_slots WHERE slot_name = %s", (p.slot,))
    c = p.target.connect()
    c.autocommit = False
    c.cursor().execute("LOCK TABLE hot")
    p.legacy.execute("UPDATE hot SET n = n + 1")
    time.sleep(6)
    assert p.legacy.one("SELECT active_pid FROM pg_replication_slots WHERE slot_name = %s", (p.slot,)) == pid, "the walsender cut us off"
    c.rollback()
    c.close()
    p.wait_equal(r)


def test_status_command(pipeline):
    """crossfade status shows the same as /status, as text and as JSON"""
    school(pipeline)
    r = pipeline.start(ready=True)
    code, out, err = pipeline.crossfade("status", "--json")
    assert code == 0, out + err
    j = json.loads(out)
    assert j["role"] == "active" and len(j["groups"][0]["tables"]) == 10
    code, out, _ = pipeline.crossfade("status")
    assert code == 0 and "public.student" in out and "streaming" in out
    r.stop()
    code, out, err = pipeline.crossfade("status", "--json")
    assert code == 0 and len(json.loads(out)["groups"][0]["tables"]) == 10, out + err


def test_pause_and_resume_everything(pipeline):
    """pause stops reading, status says so; resume goes on, nothing is lost"""
    school(pipeline)
    r = pipeline.start(ready=True)
    assert pipeline.crossfade("pause")[0] == 0
    r.wait(lambda: r.http("/readyz")[0] != 200, 20, "paused")
    pipeline.legacy.execute("UPDATE hot SET n = 424242")
    time.sleep(1.5)
    assert pipeline.target.one("SELECT count(*) FROM hot WHERE n = 424242") == 0
    assert pipeline.crossfade("resume")[0] == 0
    r.wait_ready(30)
    pipeline.wait_equal(r)


def test_pause_a_group(pipeline):
    """pause --group parks that group's changes in order, the others stream on; resume drains the park"""
    pipeline.config["groups"] = {"people": {"tables": ["public.student", "public.enrolment"]},
                                 "rest": {"tables": ["public.district", "public.school", "public.section", "public.event", "public.hot",
                                                     "public.keyed_by_text", "public.moving", "public.full_identity"]}}
    school(pipeline)
    r = pipeline.start(ready=True)
    assert pipeline.crossfade("pause", "--group", "people")[0] == 0
    r.wait(lambda: r.table_state("public.student") == "paused", 20, "paused")
    pipeline.legacy.execute("UPDATE student SET name = 'p' WHERE id <= 20; DELETE FROM enrolment WHERE student_id <= 5; DELETE FROM student WHERE id <= 5; UPDATE hot SET n = 7")
    r.wait(lambda: pipeline.target.one("SELECT count(*) FROM hot WHERE n = 7") == 10, 20, "the other group streams on")
    assert pipeline.target.one("SELECT count(*) FROM student WHERE name = 'p'") == 0
    r.wait(lambda: r.tables()["public.student"]["parked"] > 0, 20, "parked")
    r.kill9()  # the park is in the target
    r.start()
    r.wait(lambda: r.table_state("public.student") == "paused", 30, "still paused")
    assert pipeline.crossfade("resume", "--group", "people")[0] == 0
    r.wait(lambda: r.table_state("public.student") == "streaming", 30, "streams again")
    pipeline.wait_equal(r)
    assert pipeline.target.one("SELECT count(*) FROM crossfade.parked") == 0


def test_help_and_version():
    """Both programs explain themselves and refuse what they do not know with 2"""
    import subprocess
    from lib.replicator import environment, program
    for name in ("crossfade", "crossfade-replicator"):
        for args, code in ((["--help"], 0), (["--version"], 0), (["--nonsense"], 2), ([], 2)):
            p = subprocess.run([program(name), *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(), timeout=20)
            assert p.returncode == code, (name, args, p.returncode, p.stdout)
            assert p.stdout.strip(), (name, args)
