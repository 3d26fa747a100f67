# SPDX-License-Identifier: PostgreSQL
"""A relay in front of a server's Unix socket, by which a test cuts, refuses or stalls connections."""
import os
import socket
import threading


class Proxy:
    def __init__(self, directory, target, name=".s.PGSQL.5432"):
        os.makedirs(directory, mode=0o755, exist_ok=True)
        self.dir = directory
        self.path = os.path.join(directory, name)
        self.target = target
        self.refusing = False
        self.flowing = threading.Event()
        self.flowing.set()
        self.lock = threading.Lock()
        self.links = set()
        self.closed = False
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        os.chmod(self.path, 0o777)
        self.listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while not self.closed:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            if self.refusing:
                near.close()
                continue
            try:
                far = self._connect()
            except OSError:
                near.close()
                continue
            with self.lock:
                self.links.add((near, far))
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(a, b, (near, far)), daemon=True).start()

    def _connect(self):
        far = socket.socket(socket.AF_UNIX)
        try:
            far.connect(self.target)
        except OSError:
            far.close()
            raise
        return far

    def _allowed(self, data, to_client):
        """What of it is let through; nothing: the link ends."""
        return data

    def _pump(self, source, sink, link):
        try:
            while True:
                data = source.recv(65536)
                self.flowing.wait()
                if not data:
                    break
                allowed = self._allowed(data, source is link[1])
                sink.sendall(allowed)
                if len(allowed) < len(data):
                    self.left = None
                    self.cuts += 1
                    break
        except OSError:
            pass
        self._end(link)

    def _end(self, link):
        with self.lock:
            self.links.discard(link)
        for s in link:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def cut(self):
        """Breaks every connection; new ones are let through."""
        with self.lock:
            links = list(self.links)
        for link in links:
            self._end(link)

    def refuse(self, on=True):
        self.refusing = on
        if on:
            self.cut()

    def stall(self):
        """Connections stay open and nothing passes."""
        self.flowing.clear()

    def flow(self):
        self.flowing.set()

    def close(self):
        self.closed = True
        self.flowing.set()
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.cut()


class TcpProxy(Proxy):
    """The same in front of a TCP port. limit(n): the n-th byte from the server is the last, then the link is dead."""

    def __init__(self, host, port):
        self.dir = self.path = None
        self.target = (host, port)
        self.refusing, self.closed = False, False
        self.flowing = threading.Event()
        self.flowing.set()
        self.lock = threading.Lock()
        self.links = set()
        self.left, self.cuts = None, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _connect(self):
        return socket.create_connection(self.target)

    def limit(self, count):
        self.left = count

    def _allowed(self, data, to_client):
        if self.left is None or not to_client:
            return data
        with self.lock:
            data, self.left = data[:self.left], self.left - len(data)
        return data
