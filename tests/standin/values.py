# SPDX-License-Identifier: PostgreSQL
"""SQL Server's types on the wire, both ways (MS-TDS 2.2.5.4 to 2.2.5.6).

Inside the stand-in a value is PostgreSQL's text of the type of schema sys that stores it (README.md): times are counts of
100 ns, binaries '\\x…', text UTF-8 with NUL and lone surrogates moved to a private plane. `decode` turns wire bytes into
that text; rows.py compiles the way back from `encoder`."""
import re
import struct
from dataclasses import dataclass, replace

from . import tds

DAY = 864_000_000_000          # 100 ns in a day
DAYS_1900 = 693_595            # from 0001-01-01 to 1900-01-01
MAX = -1                       # max_length of varchar(max) and its like


@dataclass(frozen=True)
class SqlType:
    """A type as sys.columns would describe it: max_length in bytes, -1 for max."""
    name: str
    length: int = 0
    precision: int = 0
    scale: int = 0
    collation: str = ""

    def declaration(self):
        if self.name in ("char", "varchar", "binary", "varbinary"):
            return f"{self.name}({'max' if self.length < 0 else self.length})"
        if self.name in ("nchar", "nvarchar"):
            return f"{self.name}({'max' if self.length < 0 else self.length // 2})"
        if self.name in ("decimal", "numeric"):
            return f"{self.name}({self.precision},{self.scale})"
        if self.name in ("time", "datetime2", "datetimeoffset"):
            return f"{self.name}({self.scale})"
        return self.name


_FIXED = {"bit": (1, 1, 0), "tinyint": (1, 3, 0), "smallint": (2, 5, 0), "int": (4, 10, 0), "bigint": (8, 19, 0),
          "money": (8, 19, 4), "smallmoney": (4, 10, 4), "real": (4, 24, 0), "float": (8, 53, 0), "date": (3, 10, 0),
          "smalldatetime": (4, 16, 0), "datetime": (8, 23, 3), "uniqueidentifier": (16, 0, 0), "timestamp": (8, 0, 0),
          "xml": (-1, 0, 0), "sql_variant": (8016, 0, 0), "text": (16, 0, 0), "ntext": (16, 0, 0), "image": (16, 0, 0),
          "hierarchyid": (892, 0, 0), "geometry": (-1, 0, 0), "geography": (-1, 0, 0)}
_TIME = {"time": {0: (3, 8), 1: (3, 10), 2: (3, 11), 3: (4, 12), 4: (4, 13), 5: (5, 14), 6: (5, 15), 7: (5, 16)}}
SYNONYMS = {"integer": "int", "dec": "decimal", "rowversion": "timestamp", "character": "char", "double precision": "float",
            "national character varying": "nvarchar", "character varying": "varchar", "national character": "nchar",
            "char varying": "varchar", "national char varying": "nvarchar", "national char": "nchar",
            "national text": "ntext", "binary varying": "varbinary"}
CHARACTER = ("char", "varchar", "nchar", "nvarchar", "text", "ntext")
UNITS = "UTF-16"    # "collation" of a varbinary whose value is the text that it is made of
UNICODE = ("nchar", "nvarchar", "ntext", "xml")
BINARY = ("binary", "varbinary", "image", "timestamp", "hierarchyid", "geometry", "geography")
CHAR_LENGTH_DEFAULT = 1


def decimal_bytes(precision):
    """Storage of decimal by precision: 5, 9, 13 or 17 bytes."""
    return 5 if precision <= 9 else 9 if precision <= 19 else 13 if precision <= 28 else 17


def make_type(name, args=(), default_length=1):
    """SqlType of a declaration such as nvarchar(10); raises ValueError for a name that is no type."""
    name = SYNONYMS.get(name.lower(), name.lower())
    if name == "sysname":
        return SqlType("nvarchar", 256)
    if name == "float" and args and int(args[0]) <= 24:
        name = "real"
    if name in _FIXED:
        length, precision, scale = _FIXED[name]
        return SqlType(name, length, precision, scale)
    if name in ("decimal", "numeric"):
        precision = int(args[0]) if args else 18
        scale = int(args[1]) if len(args) > 1 else 0
        if not (1 <= precision <= 38 and 0 <= scale <= precision):
            raise ValueError(f"decimal({precision},{scale})")
        return SqlType(name, decimal_bytes(precision), precision, scale)
    if name in ("time", "datetime2", "datetimeoffset"):
        scale = int(args[0]) if args else 7
        if not 0 <= scale <= 7:
            raise ValueError(f"{name}({scale})")
        time_length = 3 if scale <= 2 else 4 if scale <= 4 else 5
        length = time_length + {"time": 0, "datetime2": 3, "datetimeoffset": 5}[name]
        precision = {"time": 8, "datetime2": 19, "datetimeoffset": 26}[name] + (scale + 1 if scale else 0)
        return SqlType(name, length, precision, scale)
    if name in ("char", "varchar", "nchar", "nvarchar", "binary", "varbinary"):
        if args and str(args[0]).lower() == "max":
            if name in ("char", "nchar", "binary"):
                raise ValueError(f"{name}(max)")
            return SqlType(name, MAX)
        n = int(args[0]) if args else default_length
        limit = 4000 if name.startswith("n") else 8000
        if not 1 <= n <= limit:
            raise ValueError(f"{name}({n})")
        return SqlType(name, n * 2 if name.startswith("n") else n)
    raise ValueError(name)


# -- text ----------------------------------------------------------------------------------------------------------
_PUA = 0x10F000
_PUA_NUL = 0x10F800
_to_store = {i: _PUA + i - 0xD800 for i in range(0xD800, 0xE000)}
_to_store[0] = _PUA_NUL
_from_store = {v: k for k, v in _to_store.items()}
_NEEDS_STORE = re.compile("[\x00\ud800-\udfff]")
_NEEDS_LOAD = re.compile(f"[{chr(_PUA)}-{chr(_PUA_NUL)}]")


def store_text(text):
    """A Python string (lone surrogates, NUL) in the form PostgreSQL can hold."""
    return text.translate(_to_store) if _NEEDS_STORE.search(text) else text


def load_text(text):
    return text.translate(_from_store) if _NEEDS_LOAD.search(text) else text


def utf16(text):
    """UTF-16LE of stored text."""
    if text.isascii():
        return text.encode("utf-16-le")
    return load_text(text).encode("utf-16-le", "surrogatepass")


def from_utf16(data):
    return store_text(data.decode("utf-16-le", "surrogatepass"))


def cp1252(text):
    """Code page 1252 of stored text, '?' for what it lacks."""
    if text.isascii():
        return text.encode("ascii")
    return load_text(text).encode("cp1252", "replace")


def from_cp1252(data):
    text = data.decode("cp1252", "replace")
    return store_text(text) if "\0" in text else text


def utf8(text):
    return load_text(text).encode("utf-8", "replace")


# -- TYPE_INFO (2.2.5.6) -------------------------------------------------------------------------------------------
_INTN = {"tinyint": 1, "smallint": 2, "int": 4, "bigint": 8}
_N_TYPES = {"bit": (0x68, 1), "real": (0x6D, 4), "float": (0x6D, 8), "money": (0x6E, 8), "smallmoney": (0x6E, 4),
            "datetime": (0x6F, 8), "smalldatetime": (0x6F, 4), "uniqueidentifier": (0x24, 16)}
_TIME_TYPES = {"time": 0x29, "datetime2": 0x2A, "datetimeoffset": 0x2B}
_VAR_TYPES = {"varchar": 0xA7, "char": 0xAF, "nvarchar": 0xE7, "nchar": 0xEF, "varbinary": 0xA5, "binary": 0xAD}


def collation_bytes(t):
    name = t.collation.upper()
    if "UTF8" in name:
        return tds.COLLATION_UTF8
    return tds.COLLATION_BIN2 if "_BIN" in name else tds.COLLATION_CI


def type_info(t, table=""):
    """TYPE_INFO of a column; the long types name their table (2.2.7.4)."""
    n = t.name
    if n in _INTN:
        return bytes([0x26, _INTN[n]])
    if n in _N_TYPES:
        return bytes(_N_TYPES[n])
    if n in ("decimal", "numeric"):
        return bytes([0x6A if n == "decimal" else 0x6C, decimal_bytes(t.precision), t.precision, t.scale])
    if n == "date":
        return b"\x28"
    if n in _TIME_TYPES:
        return bytes([_TIME_TYPES[n], t.scale])
    if n in _VAR_TYPES:
        size = 0xFFFF if t.length < 0 else t.length
        collation = collation_bytes(t) if n in CHARACTER else b""
        return struct.pack("<BH", _VAR_TYPES[n], size) + collation
    if n == "timestamp":
        return struct.pack("<BH", 0xAD, 8)
    if n == "xml":
        return b"\xf1\x00"
    if n == "sql_variant":
        return struct.pack("<BI", 0x62, 8009)
    if n in ("hierarchyid", "geometry", "geography"):
        return (struct.pack("<BH", 0xF0, 892 if n == "hierarchyid" else 0xFFFF) + tds.b_varchar("") + tds.b_varchar("sys")
                + tds.b_varchar(n) + tds.us_varchar("Microsoft.SqlServer.Types"))
    if n in ("text", "ntext", "image"):
        code = {"text": 0x23, "ntext": 0x63, "image": 0x22}[n]
        size = 0x7FFFFFFE if n == "ntext" else 0x7FFFFFFF
        parts = [p for p in table.split(".") if p]
        return (struct.pack("<BI", code, size) + (b"" if n == "image" else collation_bytes(t)) + bytes([len(parts)])
                + b"".join(tds.us_varchar(p) for p in parts))
    raise ValueError(n)


def user_type(t):
    return 0x50 if t.name == "timestamp" else 0


@dataclass(frozen=True)
class Wire:
    """How a received type's values are framed: fixed size, 1, 2 or 4 bytes of length, PLP, or a text pointer."""
    code: int
    framing: str
    size: int = 0
    utf8: bool = False


_FIXED_CODES = {0x1F: ("int", 0), 0x30: ("tinyint", 1), 0x32: ("bit", 1), 0x34: ("smallint", 2), 0x38: ("int", 4),
                0x3A: ("smalldatetime", 4), 0x3B: ("real", 4), 0x3C: ("money", 8), 0x3D: ("datetime", 8),
                0x3E: ("float", 8), 0x7A: ("smallmoney", 4), 0x7F: ("bigint", 8)}
_SIZED = {0x26: {1: "tinyint", 2: "smallint", 4: "int", 8: "bigint"}, 0x68: {1: "bit"}, 0x6D: {4: "real", 8: "float"},
          0x6E: {4: "smallmoney", 8: "money"}, 0x6F: {4: "smalldatetime", 8: "datetime"}, 0x24: {16: "uniqueidentifier"}}


def read_type_info(r):
    """(SqlType, Wire) of a TYPE_INFO that a client sends."""
    code = r.u8()
    if code in _FIXED_CODES:
        name, size = _FIXED_CODES[code]
        return make_type(name), Wire(code, "fixed", size)
    if code in _SIZED:
        size = r.u8()
        return make_type(_SIZED[code].get(size) or next(iter(_SIZED[code].values()))), Wire(code, "byte", size)
    if code in (0x6A, 0x6C, 0x37, 0x3F):
        _, precision, scale = r.unpack("BBB")
        return make_type("decimal" if code in (0x6A, 0x37) else "numeric", (precision, scale)), Wire(code, "byte")
    if code == 0x28:
        return make_type("date"), Wire(code, "byte")
    if code in (0x29, 0x2A, 0x2B):
        scale = r.u8()
        name = {0x29: "time", 0x2A: "datetime2", 0x2B: "datetimeoffset"}[code]
        return make_type(name, (scale,)), Wire(code, "byte", scale)
    if code in _VAR_TYPES.values():
        name = {v: k for k, v in _VAR_TYPES.items()}[code]
        size, is_utf8 = r.u16(), False
        if name in CHARACTER:
            is_utf8 = bool(int.from_bytes(r.take(5)[:4], "little") & 0x04000000)
        return (SqlType(name, MAX if size == 0xFFFF else size),
                Wire(code, "plp" if size == 0xFFFF else "short", size, is_utf8))
    if code in (0x25, 0x27, 0x2D, 0x2F):
        size = r.u8()
        name = {0x25: "varbinary", 0x27: "varchar", 0x2D: "binary", 0x2F: "char"}[code]
        if name in CHARACTER:
            r.take(5)
        return SqlType(name, size), Wire(code, "byte")
    if code in (0x23, 0x63, 0x22):
        name = {0x23: "text", 0x63: "ntext", 0x22: "image"}[code]
        r.u32()
        if name != "image":
            r.take(5)
        return make_type(name), Wire(code, "long")
    if code == 0xF1:
        if r.u8():
            r.b_varchar(), r.b_varchar(), r.us_varchar()
        return make_type("xml"), Wire(code, "plp")
    if code == 0x62:
        r.u32()
        return make_type("sql_variant"), Wire(code, "variant")
    if code == 0xF0:
        r.u16()
        r.b_varchar(), r.b_varchar()
        name = r.b_varchar().lower()
        r.us_varchar()
        return make_type(name), Wire(code, "plp")
    raise ValueError(f"data type 0x{code:02X}")


def read_plp(r):
    """PLP_BODY (2.2.5.2.3): chunks until an empty one."""
    total = r.u64()
    if total == 0xFFFFFFFFFFFFFFFF:
        return None
    parts = []
    while True:
        n = r.u32()
        if n == 0:
            return b"".join(parts)
        parts.append(r.take(n))


def read_value(r, t, w, text_pointer=True):
    """The stored text of the next value, or None. RPC parameters and BCP rows of long types have no text pointer but
    4 bytes of length (text_pointer False)."""
    if w.framing == "fixed":
        return decode(t, r.take(w.size), w) if w.size else None
    if w.framing == "byte":
        n = r.u8()
        return None if n == 0 and t.name not in CHARACTER + BINARY else decode(t, r.take(n), w)
    if w.framing == "short":
        n = r.u16()
        return None if n == 0xFFFF else decode(t, r.take(n), w)
    if w.framing == "plp":
        data = read_plp(r)
        return None if data is None else decode(t, data, w)
    if w.framing == "long":
        if text_pointer:
            n = r.u8()
            if n == 0:
                return None
            r.take(n + 8)
        n = r.u32()
        return None if n == 0xFFFFFFFF else decode(t, r.take(n), w)
    return _read_variant(r)


def _read_variant(r):
    n = r.u32()
    if n == 0:
        return None
    inner = tds.Reader(r.take(n))
    code, props = inner.unpack("BB")
    info = inner.take(props)
    if code in _FIXED_CODES:
        name, size = _FIXED_CODES[code]
        t, w = make_type(name), Wire(code, "fixed", size)
    elif code == 0x24:
        t, w = make_type("uniqueidentifier"), Wire(code, "fixed", 16)
    elif code in (0x6A, 0x6C):
        t, w = make_type("decimal", (info[0], info[1])), Wire(code, "fixed")
    elif code == 0x28:
        t, w = make_type("date"), Wire(code, "fixed")
    elif code in (0x29, 0x2A, 0x2B):
        t = make_type({0x29: "time", 0x2A: "datetime2", 0x2B: "datetimeoffset"}[code], (info[0],))
        w = Wire(code, "fixed", info[0])
    else:
        name = {v: k for k, v in _VAR_TYPES.items()}.get(code)
        if name is None:
            raise ValueError(f"sql_variant of type 0x{code:02X}")
        t, w = SqlType(name, int.from_bytes(info[-2:], "little")), Wire(code, "fixed")
    return variant_text(t, decode(t, inner.take(inner.left()), w))


def variant_text(t, text):
    """A sql_variant is stored as its base type's declaration, a colon and the value."""
    return f"{t.declaration()}:{text}"


def uuid_text(b):
    """A GUID is stored with its bytes in the order SQL Server compares them: the last six first."""
    h = (b[10:16] + b[8:10] + b[6:8] + b[4:6] + b[0:4]).hex()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def uuid_bytes(text):
    b = bytes.fromhex(text.replace("-", ""))
    return b[12:16] + b[10:12] + b[8:10] + b[6:8] + b[0:6]


def _time_ticks(data, scale):
    return int.from_bytes(data, "little") * 10 ** (7 - scale)


def float_text(value):
    return repr(value)


def decode(t, data, w):
    """Stored text of a value's bytes."""
    n = t.name
    if n in ("tinyint", "bit"):
        return str(data[0])
    if n in ("smallint", "int", "bigint"):
        return str(int.from_bytes(data, "little", signed=True))
    if n in ("nchar", "nvarchar", "ntext", "xml"):
        return from_utf16(data[2:] if n == "xml" and data[:2] == b"\xff\xfe" else data)
    if n in ("char", "varchar", "text"):
        return store_text(data.decode("utf-8", "replace")) if w.utf8 else from_cp1252(data)
    if n in BINARY:
        return "\\x" + data.hex()
    if n in ("decimal", "numeric"):
        value = int.from_bytes(data[1:], "little")
        return ("" if data[0] else "-") + (_with_point(value, t.scale) if t.scale else str(value))
    if n in ("float", "real"):
        return repr(struct.unpack("<d" if len(data) == 8 else "<f", data)[0])
    if n == "money":
        high, low = struct.unpack("<iI", data)
        return _money(high << 32 | low)
    if n == "smallmoney":
        return _money(struct.unpack("<i", data)[0])
    if n == "datetime":
        days, ticks = struct.unpack("<iI", data)
        return str((days + DAYS_1900) * DAY + (ticks * 100000 + 1) // 3)
    if n == "smalldatetime":
        days, minutes = struct.unpack("<HH", data)
        return str((days + DAYS_1900) * DAY + minutes * 600_000_000)
    if n == "date":
        return date_text(int.from_bytes(data, "little"))
    if n == "time":
        return str(_time_ticks(data, t.scale))
    if n == "datetime2":
        return str(int.from_bytes(data[-3:], "little") * DAY + _time_ticks(data[:-3], t.scale))
    if n == "datetimeoffset":
        offset = struct.unpack("<h", data[-2:])[0]
        ticks = int.from_bytes(data[-5:-2], "little") * DAY + _time_ticks(data[:-5], t.scale)
        return f"{ticks:019d}.{offset + 1000:04d}"
    if n == "uniqueidentifier":
        return uuid_text(data)
    raise ValueError(n)


def _with_point(value, scale):
    digits = str(value).rjust(scale + 1, "0")
    return f"{digits[:-scale]}.{digits[-scale:]}"


def _money(value):
    return ("-" if value < 0 else "") + _with_point(abs(value), 4)


def date_text(days):
    from datetime import date
    return date.fromordinal(days + 1).isoformat()


def with_collation(t, name):
    return replace(t, collation=name) if name else t
