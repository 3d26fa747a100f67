# SPDX-License-Identifier: PostgreSQL
"""Packets and TLS under the tokens (MS-TDS 2.2.3, 3.3.5.1).

A message is a run of packets of one type whose last carries EOM. During the TLS handshake the TLS records travel inside
PRELOGIN packets; afterwards the packets travel inside TLS, or only LOGIN7 does. A reader thread may read while the
session writes: the SSLObject works on memory only and is guarded by one lock."""
import socket
import ssl
import struct
import threading

SQL_BATCH, RPC, RESPONSE, ATTENTION, BULK_LOAD = 0x01, 0x03, 0x04, 0x06, 0x07
TRANSACTION_MANAGER, LOGIN7, PRELOGIN = 0x0E, 0x10, 0x12
EOM, IGNORE, RESET, RESET_KEEP = 0x01, 0x02, 0x08, 0x10
HEADER = struct.Struct(">BBHHBB")
MIN_PACKET, MAX_PACKET = 512, 32767


class Closed(Exception):
    """The client has gone."""


class Transport:
    def __init__(self, sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.packet_size = 4096
        self.spid = 0
        self._tls = None
        self._bio_in = self._bio_out = None
        self._lock = threading.Lock()
        self._plain = bytearray()
        self._out = bytearray()
        self._packet_id = 0

    # -- bytes ---------------------------------------------------------------------------------------------------
    def _recv(self):
        try:
            data = self.sock.recv(65536)
        except OSError as e:
            raise Closed(str(e))
        if not data:
            raise Closed("end of stream")
        return data

    def _fill(self):
        data = self._recv()
        if self._tls is None:
            self._plain += data
            return
        with self._lock:
            self._bio_in.write(data)
            while True:
                try:
                    got = self._tls.read(65536)
                except (ssl.SSLWantReadError, ssl.SSLZeroReturnError, ssl.SSLEOFError):
                    break
                if not got:
                    break
                self._plain += got

    def _take(self, n):
        while len(self._plain) < n:
            self._fill()
        out = bytes(self._plain[:n])
        del self._plain[:n]
        return out

    def _send(self, data):
        if self._tls is not None:
            with self._lock:
                self._tls.write(data)
                data = self._bio_out.read()
        try:
            self.sock.sendall(data)
        except OSError as e:
            raise Closed(str(e))

    # -- packets and messages --------------------------------------------------------------------------------------
    def read_packet(self):
        """(type, status, payload) of the next packet."""
        kind, status, length, _, _, _ = HEADER.unpack(self._take(8))
        if length < 8:
            raise Closed(f"packet of {length} bytes")
        return kind, status, self._take(length - 8)

    def read_message(self):
        """(type, payload, reset) of the next whole message; None as payload when the client told us to ignore it. reset: the
        session is to be reset first (RESETCONNECTION)."""
        parts, reset = [], False
        while True:
            kind, status, data = self.read_packet()
            parts.append(data)
            reset = reset or bool(status & (RESET | RESET_KEEP))
            if status & EOM:
                return kind, None if status & IGNORE else b"".join(parts), reset

    def write(self, data, kind=RESPONSE):
        """Adds to the message; full packets leave at once."""
        self._out += data
        room = self.packet_size - 8
        if len(self._out) <= room:
            return
        pieces, at, end = [], 0, len(self._out)
        while end - at > room:
            pieces.append(self._header(kind, 0, room))
            pieces.append(bytes(self._out[at:at + room]))
            at += room
        del self._out[:at]
        self._send(b"".join(pieces))

    def flush(self, kind=RESPONSE):
        """Ends the message: the rest leaves in a packet with EOM."""
        data = self._header(kind, EOM, len(self._out)) + bytes(self._out)
        self._out.clear()
        self._packet_id = 0
        self._send(data)

    def _header(self, kind, status, length):
        self._packet_id = (self._packet_id + 1) & 0xFF
        return HEADER.pack(kind, status, length + 8, self.spid, self._packet_id, 0)

    # -- TLS -------------------------------------------------------------------------------------------------------
    def start_tls(self, context):
        """Handshake with the records inside PRELOGIN packets (MS-TDS 3.2.5.2, 3.3.5.2)."""
        bio_in, bio_out = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(bio_in, bio_out, server_side=True)
        while True:
            done = False
            try:
                tls.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as e:
                raise Closed(str(e))
            if bio_out.pending:
                self.write(bio_out.read(), PRELOGIN)
                self.flush(PRELOGIN)
            if done:
                break
            _, _, data = self.read_packet()
            bio_in.write(data)
        left, self._plain = bytes(self._plain), bytearray()
        self._tls, self._bio_in, self._bio_out = tls, bio_in, bio_out
        if left:
            bio_in.write(left)

    def stop_tls(self):
        """Login-only encryption: what follows LOGIN7 travels in clear."""
        self._tls = None

    def close(self):
        try:
            self.sock.close()
        except OSError:
            pass


def server_context(certificate, key):
    """TLS 1.2 only: the session tickets that TLS 1.3 sends after the handshake have no place in TDS 7.4."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context
