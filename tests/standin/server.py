# SPDX-License-Identifier: PostgreSQL
"""Accepts clients, one process each, and speaks the opening of TDS with them: PRELOGIN, TLS, LOGIN7 (MS-TDS 3.3.5)."""
import os
import signal
import socket
import struct
import sys
import traceback

from . import tds, transport
from .errors import SqlError
from .session import Session


class Config:
    """What the command line said."""

    def __init__(self, pg, user, password, tls=None, encryption="on", name="STANDIN", logins=None):
        self.pg, self.name, self.encryption = pg, name, encryption
        self.logins = {user.lower(): password, **(logins or {})}
        self.context = transport.server_context(*tls) if tls else None


class Server:
    def __init__(self, config, host, port):
        self.config = config
        self.socket = socket.create_server((host, port), backlog=128)
        self.port = self.socket.getsockname()[1]
        self._next_spid = 51

    def serve(self):
        """Never returns. Children are reaped by the kernel."""
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            client, _ = self.socket.accept()
            spid, self._next_spid = self._next_spid, self._next_spid + 1 if self._next_spid < 32000 else 51
            if os.fork() == 0:
                self.socket.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                code = 0
                try:
                    _serve_client(self.config, client, spid)
                except transport.Closed:
                    pass
                except Exception:
                    traceback.print_exc()
                    code = 1
                sys.stderr.flush()
                os._exit(code)
            client.close()


def _serve_client(config, client, spid):
    t = transport.Transport(client)
    t.spid = spid
    login, encryption = _open(config, t)
    if login is None:
        return
    if encryption == "login":
        t.stop_tls()
    session = Session(config, t, spid, login)
    try:
        answer = _log_in(config, t, session, login)
    except SqlError as e:
        t.write(tds.message(tds.ERROR, e.number, e.state, e.severity, e.text, config.name))
        if e.number == 4060:
            t.write(tds.message(tds.ERROR, 18456, 1, 14, f"Login failed for user '{login.user}'.", config.name))
        t.write(tds.done(tds.DONE, tds.DONE_ERROR))
        t.flush()
        t.close()
        return
    t.write(answer)
    t.flush()
    t.packet_size = session.packet_size
    session.run()


def _open(config, t):
    """(Login, encryption) after PRELOGIN and TLS; encryption is none, login or all."""
    kind, data, _ = t.read_message()
    if kind == transport.LOGIN7:
        return tds.parse_login7(data), "none"
    if kind != transport.PRELOGIN:
        return None, "none"
    asked = (tds.parse_prelogin(data).get(tds.PL_ENCRYPTION) or b"\x02")[0]
    answer, encryption = _agree(config, asked)
    t.write(tds.prelogin([(tds.PL_VERSION, struct.pack(">BBHH", 16, 0, 1000, 0)), (tds.PL_ENCRYPTION, bytes([answer])),
                          (tds.PL_INSTOPT, b"\x00"), (tds.PL_THREADID, b""), (tds.PL_MARS, b"\x00")]))
    t.flush()
    if encryption == "refused":
        t.close()
        return None, encryption
    if encryption != "none":
        t.start_tls(config.context)
    kind, data, _ = t.read_message()
    if kind != transport.LOGIN7:
        return None, encryption
    return tds.parse_login7(data), encryption


def _agree(config, asked):
    """The table of 2.2.6.5: what the server answers to the client's wish, and what follows."""
    if config.context is None:
        if asked in (tds.ENCRYPT_ON, tds.ENCRYPT_REQ):
            return tds.ENCRYPT_NOT_SUP, "refused"
        return tds.ENCRYPT_NOT_SUP, "none"
    required = config.encryption == "required"
    if asked == tds.ENCRYPT_NOT_SUP:
        return (tds.ENCRYPT_REQ, "refused") if required else (tds.ENCRYPT_NOT_SUP, "none")
    if asked == tds.ENCRYPT_OFF:
        return (tds.ENCRYPT_REQ, "all") if required else (tds.ENCRYPT_OFF, "login")
    return (tds.ENCRYPT_REQ if required else tds.ENCRYPT_ON), "all"


def _log_in(config, t, session, login):
    """Checks the login and returns the tokens of success (3.3.5.5)."""
    if login.sspi:
        raise SqlError(18452, "Login failed. The login is from an untrusted domain and cannot be used with Integrated "
                              "authentication.", 14)
    if session.check_password(login.user, login.password) is False:
        raise SqlError(18456, f"Login failed for user '{login.user}'.", 14)
    if login.version < 0x73000000 and login.version != 0:
        raise SqlError(18456, f"stand-in: TDS 0x{login.version:08X} is older than 7.3", 14)
    session.open(login.database or "master")
    size = login.packet_size or 4096
    session.packet_size = min(max(size, transport.MIN_PACKET), transport.MAX_PACKET)
    name = config.name
    out = [tds.envchange_text(tds.ENV_DATABASE, session.database, "master"),
           tds.message(tds.INFO, 5701, 2, 0, f"Changed database context to '{session.database}'.", name),
           tds.envchange_bytes(tds.ENV_COLLATION, tds.COLLATION_CI),
           tds.envchange_text(tds.ENV_LANGUAGE, "us_english", ""),
           tds.message(tds.INFO, 5703, 1, 0, "Changed language setting to us_english.", name),
           tds.loginack(min(login.version, tds.VERSION_74) or tds.VERSION_74),
           tds.envchange_text(tds.ENV_PACKET_SIZE, str(session.packet_size), "4096")]
    if 0x0A in login.features:  # UTF8_SUPPORT
        out.append(tds.feature_ext_ack([(0x0A, b"\x01")]))
    out.append(tds.done(tds.DONE, tds.DONE_FINAL))
    return b"".join(out)
