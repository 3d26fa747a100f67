# SPDX-License-Identifier: PostgreSQL
"""Child processes that never outlive the test run, and waiting with a deadline."""
import ctypes
import os
import pwd
import signal
import socket
import subprocess
import time

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def wait_for(condition, deadline=30.0, what=None, step=0.02):
    """Calls condition until it returns something true, and returns that. Exceptions count as "not yet"; the last
    one is shown when the deadline passes."""
    end = time.monotonic() + deadline
    last = None
    while True:
        try:
            value = condition()
            last = None
            if value:
                return value
        except AssertionError:
            raise
        except Exception as e:  # a server that is not there yet, for one
            last = e
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline:g} s: {what or condition.__name__}"
                                 + (f" (last error: {last!r})" if last else ""))
        time.sleep(step)


def server_user():
    """Who runs the servers: ourselves, or an unprivileged system user when we are root."""
    if os.geteuid() != 0:
        return None
    names = [os.environ.get("CROSSFADE_TEST_USER"), "postgres", "nobody"]
    for name in names:
        try:
            if name and pwd.getpwnam(name).pw_uid != 0:
                return name
        except KeyError:
            continue
    raise RuntimeError("no unprivileged user to run servers as")


def _as_user(user):
    if user is None:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def run(argv, user=None, check=True, timeout=120, **kw):
    p = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout,
                       cwd="/", **_as_user(user), **kw)
    if check and p.returncode != 0:
        raise RuntimeError(f"{argv[0]} ended with {p.returncode}:\n{p.stdout}")
    return p


def spawn(argv, log, user=None, death_signal=signal.SIGKILL, **kw):
    """Starts a process whose output is appended to the file `log` and which dies when we do."""
    number = int(death_signal)

    def die_with_parent():
        _libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)

    with open(log, "ab") as out:
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd="/",
                                preexec_fn=die_with_parent, **_as_user(user), **kw)


_next_port = 20000 + os.getpid() % 9000


def free_port():
    """A free TCP port on loopback below the range the kernel gives out by itself."""
    global _next_port
    while True:
        _next_port = 20000 + (_next_port - 19999) % 12000
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", _next_port))
                return _next_port
            except OSError:
                continue
