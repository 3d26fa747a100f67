# SPDX-License-Identifier: PostgreSQL
"""One client: its messages, the reader thread that notices Attention, and the answers (MS-TDS 3.3.5.6 to 3.3.5.9)."""
import hmac
import queue
import sys
import threading
import traceback

from . import bulk, engine, rpc, tds, transport
from .errors import Cancelled, SqlError

RESET = -1


class Session:
    def __init__(self, config, t, spid, login):
        self.config, self.transport, self.spid, self.login = config, t, spid, login
        self.packet_size = 4096
        self.database = "master"
        self.engine = engine.Engine(self)
        self.bulk_target = None
        self._inbox = queue.Queue()
        self._attention = threading.Event()

    def check_password(self, user, password):
        known = self.config.logins.get(user.lower())
        return known is not None and hmac.compare_digest(known.encode(), password.encode())

    def open(self, database):
        """Connects to the database; 4060 when there is none of that name."""
        self.engine.open(database)

    # -- tokens out ------------------------------------------------------------------------------------------------
    def write(self, data):
        if self._attention.is_set():
            raise Cancelled()
        self.transport.write(data)

    def write_error(self, e):
        self.transport.write(tds.message(tds.ERROR, e.number, e.state, e.severity, e.text, self.config.name, e.procedure,
                                         e.line or 1))

    def write_info(self, number, text, state=1, severity=0, line=1):
        self.write(tds.message(tds.INFO, number, state, severity, text, self.config.name, "", line))

    def check_attention(self):
        if self._attention.is_set():
            raise Cancelled()

    # -- messages in -------------------------------------------------------------------------------------------------
    def run(self):
        """Serves messages until the client goes."""
        threading.Thread(target=self._read, daemon=True).start()
        try:
            while True:
                kind, data = self._inbox.get()
                if kind is None:
                    return
                if kind == transport.ATTENTION:
                    self._acknowledge()
                elif kind == RESET:
                    self.engine.reset()
                elif data is not None:
                    self._serve(kind, data)
        finally:
            self.engine.close()
            self.transport.close()

    def _read(self):
        try:
            while True:
                kind, data, reset = self.transport.read_message()
                if reset:
                    self._inbox.put((RESET, b""))
                if kind == transport.ATTENTION:
                    self._attention.set()
                    self.engine.cancel()
                self._inbox.put((kind, data))
        except (transport.Closed, OSError, ValueError):
            self._attention.set()
            self.engine.cancel()
            self._inbox.put((None, None))

    def _acknowledge(self):
        self._attention.clear()
        self.transport.write(tds.done(tds.DONE, tds.DONE_ATTN))
        self.transport.flush()

    def _serve(self, kind, data):
        try:
            if kind == transport.SQL_BATCH:
                r = tds.Reader(data)
                tds.skip_all_headers(r)
                self.engine.batch(data[r.at:].decode("utf-16-le", "surrogatepass"))
            elif kind == transport.RPC:
                rpc.serve(self, data)
            elif kind == transport.BULK_LOAD:
                bulk.serve(self, data)
            elif kind == transport.TRANSACTION_MANAGER:
                self._transaction_manager(data)
            else:
                raise SqlError(4002, f"The incoming tabular data stream (TDS) protocol stream is incorrect (packet type {kind}).")
        except Cancelled:
            self.engine.cancelled()
            return
        except transport.Closed:
            raise
        except SqlError as e:
            self._fail(e)
        except Exception as e:  # a bug of the stand-in must be seen by the test, not hang it
            traceback.print_exc(file=sys.stderr)
            sys.stderr.flush()
            self._fail(SqlError(50000, f"stand-in: {type(e).__name__}: {e}", 16))
        if self._attention.is_set():
            self.engine.cancelled()
            return
        self.transport.flush()

    def _fail(self, e):
        self.write_error(e)
        self.transport.write(tds.done(tds.DONE, tds.DONE_ERROR))

    def _transaction_manager(self, data):
        """TM requests (2.2.6.9): begin, commit, rollback, save."""
        r = tds.Reader(data)
        tds.skip_all_headers(r)
        kind = r.u16()
        level = r.u8() if kind == 5 else 0
        if kind not in (5, 7, 8, 9):
            raise SqlError(4002, f"stand-in: transaction manager request {kind}")
        self.engine.transaction_request(kind, level, r)
        self.write(tds.done(tds.DONE, tds.DONE_FINAL))

