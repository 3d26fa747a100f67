# SPDX-License-Identifier: PostgreSQL
"""Tokens of the server's answers and of the client's requests (MS-TDS 2.2.6, 2.2.7): bytes in, bytes out, no I/O."""
import struct
from dataclasses import dataclass

# Token types (MS-TDS 2.2.7)
ALTMETADATA, COLINFO, COLMETADATA, DONE, DONEPROC, DONEINPROC = 0x88, 0xA5, 0x81, 0xFD, 0xFE, 0xFF
ENVCHANGE, ERROR, INFO, LOGINACK, NBCROW, ORDER, RETURNSTATUS, RETURNVALUE, ROW = (
    0xE3, 0xAA, 0xAB, 0xAD, 0xD2, 0xA9, 0x79, 0xAC, 0xD1)
FEATUREEXTACK = 0xAE

# Status of DONE (2.2.7.6)
DONE_FINAL, DONE_MORE, DONE_ERROR, DONE_INXACT, DONE_COUNT, DONE_ATTN, DONE_SRVERROR = 0, 1, 2, 4, 0x10, 0x20, 0x100

# ENVCHANGE (2.2.7.9)
ENV_DATABASE, ENV_LANGUAGE, ENV_PACKET_SIZE, ENV_COLLATION, ENV_BEGIN, ENV_COMMIT, ENV_ROLLBACK = 1, 2, 4, 7, 8, 9, 10

# Latin1_General_CI_AS: LCID 0x0409 would be SQL_Latin1; 0x0409 | fIgnoreCase | fIgnoreKana | fIgnoreWidth (2.2.5.1.2)
COLLATION_CI = struct.pack("<IB", 0x0409 | 0x00D00000, 0)
COLLATION_BIN2 = struct.pack("<IB", 0x0409 | 0x02000000, 0)
COLLATION_UTF8 = struct.pack("<IB", 0x0409 | 0x00D00000 | 0x04000000, 0)

VERSION_74, VERSION_73A, VERSION_73B, VERSION_72 = 0x74000004, 0x730A0003, 0x730B0003, 0x72090002

# Flags of a column (2.2.7.4)
COL_NULLABLE, COL_CASE, COL_UPDATABLE, COL_IDENTITY, COL_COMPUTED = 0x0001, 0x0002, 0x0008, 0x0010, 0x0020


def b_varchar(text):
    """B_VARCHAR: one byte of length in characters, UTF-16."""
    data = text.encode("utf-16-le")[:510]
    return bytes([len(data) // 2]) + data


def us_varchar(text):
    """US_VARCHAR: two bytes of length in characters, UTF-16."""
    data = text.encode("utf-16-le", "surrogatepass")[:65534]
    return struct.pack("<H", len(data) // 2) + data


def message(token, number, state, severity, text, server, procedure="", line=1):
    """ERROR or INFO (2.2.7.10, 2.2.7.13)."""
    body = (struct.pack("<iBB", number, state & 0xFF, severity & 0xFF) + us_varchar(text[:4000]) + b_varchar(server)
            + b_varchar(procedure) + struct.pack("<I", line))
    return struct.pack("<BH", token, len(body)) + body


def done(token, status, command=0, count=0):
    """DONE, DONEPROC, DONEINPROC (2.2.7.6): the row count has 8 bytes since TDS 7.2."""
    return struct.pack("<BHHQ", token, status, command, count)


def envchange_text(kind, new, old):
    body = bytes([kind]) + b_varchar(new) + b_varchar(old)
    return struct.pack("<BH", ENVCHANGE, len(body)) + body


def envchange_bytes(kind, new, old=b""):
    """Collation and transaction descriptors travel as B_VARBYTE."""
    body = bytes([kind, len(new)]) + new + bytes([len(old)]) + old
    return struct.pack("<BH", ENVCHANGE, len(body)) + body


def loginack(version, program="Microsoft SQL Server", program_version=(16, 0, 1000 >> 8, 1000 & 0xFF)):
    """LOGINACK (2.2.7.14): interface SQL_TSQL, TDS version big-endian."""
    body = (b"\x01" + struct.pack(">I", version) + b_varchar(program) + bytes(program_version[:2])
            + bytes([program_version[2] & 0xFF, program_version[3] & 0xFF]))
    return struct.pack("<BH", LOGINACK, len(body)) + body


def returnstatus(value):
    return struct.pack("<Bi", RETURNSTATUS, value)


def returnvalue(ordinal, name, type_info, data, status=1):
    """RETURNVALUE (2.2.7.18): an output parameter (status 1)."""
    return (struct.pack("<BH", RETURNVALUE, ordinal) + b_varchar(name) + bytes([status]) + struct.pack("<IH", 0, 0)
            + type_info + data)


def order(columns):
    return struct.pack(f"<BH{len(columns)}H", ORDER, 2 * len(columns), *columns)


def colmetadata(columns):
    """COLMETADATA (2.2.7.4) of (name, flags, type_info bytes, user type) tuples; no column: 0xFFFF."""
    if not columns:
        return struct.pack("<BH", COLMETADATA, 0xFFFF)
    out = [struct.pack("<BH", COLMETADATA, len(columns))]
    for name, flags, type_info, user_type in columns:
        out.append(struct.pack("<IH", user_type, flags) + type_info + b_varchar(name))
    return b"".join(out)


def feature_ext_ack(features):
    """FEATUREEXTACK (2.2.7.11)."""
    out = bytes([FEATUREEXTACK])
    for identifier, data in features:
        out += struct.pack("<BI", identifier, len(data)) + data
    return out + b"\xff"


class Reader:
    """Reads little-endian fields of a message; raises ValueError when it ends early."""

    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def left(self):
        return len(self.data) - self.at

    def take(self, n):
        if n < 0 or self.at + n > len(self.data):
            raise ValueError(f"message ends early: {n} bytes wanted at {self.at} of {len(self.data)}")
        out = self.data[self.at:self.at + n]
        self.at += n
        return out

    def unpack(self, fmt):
        s = struct.Struct("<" + fmt)
        return s.unpack(self.take(s.size))

    def u8(self):
        return self.take(1)[0]

    def u16(self):
        return int.from_bytes(self.take(2), "little")

    def u32(self):
        return int.from_bytes(self.take(4), "little")

    def u64(self):
        return int.from_bytes(self.take(8), "little")

    def b_varchar(self):
        return self.take(2 * self.u8()).decode("utf-16-le", "surrogatepass")

    def us_varchar(self):
        return self.take(2 * self.u16()).decode("utf-16-le", "surrogatepass")


def skip_all_headers(reader):
    """ALL_HEADERS (2.2.5.3); returns the transaction descriptor the client believes in, or 0."""
    start = reader.at
    total = reader.u32()
    descriptor = 0
    while reader.at < start + total:
        length, kind = reader.unpack("IH")
        body = reader.take(length - 6)
        if kind == 2 and len(body) >= 8:
            descriptor = int.from_bytes(body[:8], "little")
    return descriptor


@dataclass
class Login:
    """What LOGIN7 says (2.2.6.4)."""
    version: int
    packet_size: int
    odbc: bool
    host: str
    user: str
    password: str
    app: str
    library: str
    database: str
    features: dict
    sspi: bool


def _password(data):
    """Undoes the obfuscation: each byte XOR 0xA5, then its nibbles swapped."""
    return bytes((((b ^ 0xA5) & 0x0F) << 4) | ((b ^ 0xA5) >> 4) for b in data).decode("utf-16-le")


def parse_login7(data):
    version, packet_size = struct.unpack_from("<II", data, 4)
    flags2, flags3 = data[25], data[27]

    def field(at, raw=False):
        offset, length = struct.unpack_from("<HH", data, at)
        piece = data[offset:offset + 2 * length]
        return piece if raw else piece.decode("utf-16-le", "surrogatepass")

    features = {}
    if flags3 & 0x10:
        offset, length = struct.unpack_from("<HH", data, 56)
        at = struct.unpack_from("<I", data, offset)[0] if length >= 4 else len(data)
        while at < len(data) and data[at] != 0xFF:
            size = struct.unpack_from("<I", data, at + 1)[0]
            features[data[at]] = data[at + 5:at + 5 + size]
            at += 5 + size
    return Login(version, packet_size, bool(flags2 & 2), field(36), field(40), _password(field(44, True)), field(48),
                 field(60), field(68), features, bool(flags2 & 0x80))


# PRELOGIN (2.2.6.5)
PL_VERSION, PL_ENCRYPTION, PL_INSTOPT, PL_THREADID, PL_MARS, PL_TRACEID, PL_FEDAUTH, PL_NONCE = range(8)
ENCRYPT_OFF, ENCRYPT_ON, ENCRYPT_NOT_SUP, ENCRYPT_REQ = range(4)


def parse_prelogin(data):
    options, at = {}, 0
    while at < len(data) and data[at] != 0xFF:
        token, offset, length = struct.unpack_from(">BHH", data, at)
        options[token] = data[offset:offset + length]
        at += 5
    return options


def prelogin(options):
    """Bytes of a PRELOGIN answer out of (token, data) pairs."""
    at, head, body = 5 * len(options) + 1, b"", b""
    for token, data in options:
        head += struct.pack(">BHH", token, at + len(body), len(data))
        body += data
    return head + b"\xff" + body
