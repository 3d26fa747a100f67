# SPDX-License-Identifier: PostgreSQL
"""A private Redis on a Unix socket."""
import os
import shutil
import signal

import redis

from .process import server_user, spawn, wait_for


class RedisServer:
    def __init__(self, base, name="redis", options=()):
        self.dir = os.path.join(base, name)
        self.socket = os.path.join(self.dir, "redis.sock")
        self.log = os.path.join(self.dir, "log")
        self.user = server_user()
        self.options = list(options)
        self.process = None
        os.makedirs(self.dir, mode=0o755)
        if self.user:
            shutil.chown(self.dir, self.user)

    @property
    def url(self):
        return f"unix:{self.socket}"

    def start(self, deadline=10):
        self.process = spawn(["redis-server", "--port", "0", "--unixsocket", self.socket, "--unixsocketperm", "777",
                              "--dir", self.dir, "--save", "", "--appendonly", "no", *self.options],
                             self.log, user=self.user)
        wait_for(lambda: self.client().ping(), deadline, "redis answers")
        return self

    def client(self, **kw):
        return redis.Redis(unix_socket_path=self.socket, decode_responses=True, socket_timeout=5, **kw)

    def stop(self):
        self._end(signal.SIGTERM)

    def kill(self):
        self._end(signal.SIGKILL)

    def _end(self, sig):
        if self.process and self.process.poll() is None:
            self.process.send_signal(sig)
            self.process.send_signal(signal.SIGCONT)
            self.process.wait(20)
        if os.path.exists(self.socket):
            os.unlink(self.socket)
