# SPDX-License-Identifier: PostgreSQL
"""The programs under test: crossfade-replicator as a process to watch and hurt, crossfade as a command."""
import http.client
import json
import os
import re
import signal
import subprocess
import time

from .process import spawn, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.abspath(os.path.join(HERE, "..", "..", ".."))
BUILD = os.path.abspath(os.environ.get("CROSSFADE_BUILD", TOP))

# What a sanitizer prints when it has found something.
SANITIZER = re.compile(r"ERROR: (Address|Leak|Thread)Sanitizer|WARNING: ThreadSanitizer|runtime error: |"
                       r"Assertion .* failed|assertion .* failed")

COUNTS = ("rows_copied", "rows_total", "rate_rows_s", "parked", "quarantined", "conflicts")


def program(name):
    path = os.path.join(BUILD, name)
    assert os.access(path, os.X_OK), f"{path} is not built (CROSSFADE_BUILD names the build directory)"
    return path


def environment(extra=None):
    env = {k: v for k, v in os.environ.items() if not k.startswith("PG") and k != "NOTIFY_SOCKET"}
    env.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0:exitcode=99:allocator_may_return_null=0")
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1:exitcode=99")
    env.setdefault("TSAN_OPTIONS", "exitcode=99:halt_on_error=0")
    env["LC_ALL"] = "C.UTF-8"
    env.update(extra or {})
    return env


def crossfade(*args, input=None, env=None, timeout=120):
    """Runs `crossfade ARGS`; (exit status, stdout, stderr)."""
    p = subprocess.run([program("crossfade"), *args], input=input, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       text=True, timeout=timeout, env=environment(env), cwd="/")
    assert not SANITIZER.search(p.stderr), f"crossfade {' '.join(args)}:\n{p.stderr[-6000:]}"
    assert p.returncode >= 0, f"crossfade {' '.join(args)} died of signal {-p.returncode}\n{p.stderr[-3000:]}"
    return p.returncode, p.stdout, p.stderr


class Replicator:
    def __init__(self, config_path, log, http_port=None, env=None, args=()):
        self.config_path = config_path
        self.log_path = log
        self.http_port = http_port
        self.env = env or {}
        self.args = list(args)
        self.process = None
        self.killed = False

    def start(self, *args):
        assert not self.running
        self.killed = False
        wrap = os.environ.get("CROSSFADE_WRAP", "").split()
        self.process = spawn([*wrap, program("crossfade-replicator"), "-c", self.config_path, *self.args, *args],
                             self.log_path, env=environment(self.env))
        return self

    # -- the process

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    @property
    def status_code(self):
        return self.process.poll()

    def signal(self, number):
        self.process.send_signal(number)

    def kill9(self):
        """As the kernel's out-of-memory killer does it."""
        self.killed = True
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(20)

    def freeze(self):
        self.signal(signal.SIGSTOP)

    def thaw(self):
        self.signal(signal.SIGCONT)

    def wait_exit(self, deadline=30):
        """The exit status, which has to come within the deadline."""
        try:
            return self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {deadline:g} s\n{self.tail()}")

    def stop(self, deadline=5):
        """SIGTERM; returns (exit status, seconds). Sanitizers are slow to report at exit, so they get longer."""
        begin = time.monotonic()
        self.signal(signal.SIGTERM)
        code = self.wait_exit(deadline + (15 if "SANITIZED" in os.environ.get("CROSSFADE_TEST", "") else 0))
        return code, time.monotonic() - begin

    def end(self):
        """For fixtures: away with it, whatever state it is in; a sanitizer's report fails the test."""
        if self.running:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGABRT)
                try:
                    self.process.wait(10)
                except subprocess.TimeoutExpired:
                    self.process.kill()
                    self.process.wait(10)
                raise AssertionError(f"did not end on SIGTERM within 20 s\n{self.tail()}")
        self.assert_clean()

    def assert_clean(self):
        text = self.log
        assert not SANITIZER.search(text), f"sanitizer or assertion in {self.log_path}:\n{_around(text)}"
        code = self.process.poll() if self.process else None
        assert code is None or code >= 0 or self.killed, f"died of signal {-code}\n{self.tail()}"

    # -- its log

    @property
    def log(self):
        try:
            with open(self.log_path, errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def tail(self, lines=40):
        return "--- log of the replicator\n" + "\n".join(self.log.splitlines()[-lines:])

    def wait_log(self, pattern, deadline=30):
        try:
            return wait_for(lambda: re.search(pattern, self.log), deadline, f"log line {pattern!r}")
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.tail()}") from None

    # -- HTTP

    def http(self, path, timeout=10):
        """(status, body)"""
        c = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=timeout)
        try:
            c.request("GET", path)
            r = c.getresponse()
            return r.status, r.read().decode()
        finally:
            c.close()

    def status(self):
        code, body = self.http("/status")
        assert code == 200, f"/status: {code} {body}"
        return json.loads(body)

    def stream(self):
        streams = self.status()["streams"]
        assert streams, "no stream in /status"
        return streams[0]

    def tables(self):
        """{name: its status}"""
        out = {}
        for group in self.status()["groups"]:
            for t in group["tables"]:
                assert all(isinstance(t[k], int) for k in COUNTS), f"counts are numbers: {t}"
                out[t["from"]] = t
        return out

    def table_state(self, name):
        return self.tables()[name]["state"]

    def metrics(self):
        """{'crossfade_rows_total{table="…"}': 3.0}"""
        code, body = self.http("/metrics")
        assert code == 200
        out = {}
        for line in body.splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                out[name] = float(value)
        return out

    def wait(self, condition, deadline=60, what=None):
        """wait_for that fails at once when the process has ended."""
        def look():
            if not self.running:
                raise AssertionError(f"the replicator ended with {self.status_code}\n{self.tail()}")
            return condition()
        try:
            return wait_for(look, deadline, what)
        except AssertionError as e:
            text = str(e)
            raise AssertionError(text if "--- log of" in text else f"{text}\n{self.tail()}") from None

    def wait_ready(self, deadline=60):
        self.wait(lambda: self.http("/readyz")[0] == 200, deadline, "/readyz says 200")
        return self


def _around(text, size=6000):
    m = SANITIZER.search(text)
    return text[max(0, m.start() - 500):m.start() + size]
