# SPDX-License-Identifier: PostgreSQL
"""Row encoders, compiled once a result set: one Python function that turns rows as psycopg2 hands them out into ROW
tokens (MS-TDS 2.2.7.19). One expression a column; NULL is the first thing each one asks for."""
import struct
from datetime import date

from . import values
from .values import DAY, DAYS_1900, decimal_bytes

_P = {name: struct.Struct(fmt).pack for name, fmt in {
    "p_b_b": "<BB", "p_b_h": "<Bh", "p_b_i": "<Bi", "p_b_q": "<Bq", "p_b_f": "<Bf", "p_b_d": "<Bd", "p_b_iI": "<BiI",
    "p_b_HH": "<BHH", "p_H": "<H", "p_plp": "<QI", "p_I": "<I"}.items()}
NULL_BYTE, NULL_SHORT, NULL_PLP, NULL_VARIANT = b"\x00", b"\xff\xff", b"\xff" * 8, b"\x00" * 4


class Limited:
    """A long type under SET TEXTSIZE."""

    def __init__(self, t, limit):
        self._type, self.limit = t, limit

    def __getattr__(self, name):
        return getattr(self._type, name)


def short(data):
    return _P["p_H"](len(data)) + data


def plp(data):
    """PLP with its length known: one chunk, or none for an empty value."""
    n = len(data)
    if n == 0:
        return b"\x00" * 12
    return _P["p_plp"](n, n) + data + b"\x00\x00\x00\x00"


def long_text(data):
    return b"\x10" + b"dummy textptr\x00\x00\x00" + b"dummyTS\x00" + _P["p_I"](len(data)) + data


def decimal(text, scale, size):
    whole, _, fraction = text.partition(".")
    if len(fraction) != scale:
        fraction = fraction.ljust(scale, "0")[:scale]
    number = int(whole + fraction)
    sign = b"\x01"
    if number < 0:
        sign, number = b"\x00", -number
    return bytes((size,)) + sign + number.to_bytes(size - 1, "little")


def money_units(text):
    whole, _, fraction = text.partition(".")
    return int(whole + fraction.ljust(4, "0")[:4])


def money(text):
    units = money_units(text)
    return _P["p_b_iI"](8, units >> 32, units & 0xFFFFFFFF)


def smallmoney(text):
    return _P["p_b_i"](4, money_units(text))


def datetime(text):
    days, ticks = divmod(int(text), DAY)
    return _P["p_b_iI"](8, days - DAYS_1900, (ticks * 3 + 50000) // 100000)


def smalldatetime(text):
    days, ticks = divmod(int(text), DAY)
    return _P["p_b_HH"](4, days - DAYS_1900, ticks // 600_000_000)


def time_width(scale):
    return 3 if scale <= 2 else 4 if scale <= 4 else 5


def time_of(scale):
    width, unit = time_width(scale), 10 ** (7 - scale)
    prefix = bytes((width,))
    return lambda text: prefix + (int(text) // unit).to_bytes(width, "little")


def datetime2_of(scale):
    width, unit = time_width(scale), 10 ** (7 - scale)
    prefix = bytes((width + 3,))

    def encode(text):
        days, ticks = divmod(int(text), DAY)
        return prefix + (ticks // unit).to_bytes(width, "little") + days.to_bytes(3, "little")
    return encode


def datetimeoffset_of(scale):
    width, unit = time_width(scale), 10 ** (7 - scale)
    prefix = bytes((width + 5,))

    def encode(text):
        whole, _, minutes = text.partition(".")
        days, ticks = divmod(int(whole), DAY)
        offset = int(minutes.ljust(4, "0")[:4]) - 1000 if minutes else -1000
        return (prefix + (ticks // unit).to_bytes(width, "little") + days.to_bytes(3, "little")
                + struct.pack("<h", offset))
    return encode


def date_of(value):
    if isinstance(value, str):
        value = date.fromisoformat(value)
    return b"\x03" + (value.toordinal() - 1).to_bytes(3, "little")


def binary(text):
    return bytes.fromhex(text[2:])


def uuid(text):
    return b"\x10" + values.uuid_bytes(text)


def variant(text):
    """sql_variant (2.2.5.5.4): base type, property bytes, value."""
    declaration, _, value = text.partition(":")
    name, _, args = declaration.rstrip(")").partition("(")
    t = values.make_type(name, [a for a in args.split(",") if a])
    n = t.name
    if n in ("char", "varchar", "nchar", "nvarchar"):
        data = values.utf16(value) if n.startswith("n") else values.cp1252(value)
        code = values._VAR_TYPES[n]
        info = values.collation_bytes(t) + struct.pack("<H", 8000 if t.length < 0 else t.length)
    elif n in ("binary", "varbinary"):
        code, data, info = values._VAR_TYPES[n], binary(value), struct.pack("<H", t.length)
    elif n == "uniqueidentifier":
        code, data, info = 0x24, values.uuid_bytes(value), b""
    else:
        data = encoder(t)(value)[1:]
        if n in ("decimal", "numeric"):
            code, info = 0x6C, bytes((t.precision, t.scale))
        elif n in ("time", "datetime2", "datetimeoffset"):
            code, info = values._TIME_TYPES[n], bytes((t.scale,))
        elif n == "date":
            code, info = 0x28, b""
        else:
            code, info = {v[0]: k for k, v in values._FIXED_CODES.items() if k != 0x1F}[n], b""
    body = bytes((code, len(info))) + info + data
    return struct.pack("<I", len(body)) + body


def expression(t, var, env, slot):
    """(Python expression of a non-NULL value, bytes of NULL) for one column; env gets what the expression names."""
    n = t.name
    if n == "bit":
        return f"(ONE if {var} in TRUE else ZERO)", "NB"
    if n in ("tinyint", "smallint", "int", "bigint"):
        pack, size = {"tinyint": ("p_b_b", 1), "smallint": ("p_b_h", 2), "int": ("p_b_i", 4), "bigint": ("p_b_q", 8)}[n]
        return f"{pack}({size}, int({var}))", "NB"
    if n == "float":
        return f"p_b_d(8, float({var}))", "NB"
    if n == "real":
        return f"p_b_f(4, float({var}))", "NB"
    if n in ("decimal", "numeric"):
        return f"decimal({var}, {t.scale}, {decimal_bytes(t.precision)})", "NB"
    if n in ("money", "smallmoney", "datetime", "smalldatetime"):
        return f"{n}({var})", "NB"
    if n in ("time", "datetime2", "datetimeoffset"):
        env[f"t{slot}"] = {"time": time_of, "datetime2": datetime2_of, "datetimeoffset": datetimeoffset_of}[n](t.scale)
        return f"t{slot}({var})", "NB"
    if n == "date":
        return f"date_of({var})", "NB"
    if n == "uniqueidentifier":
        return f"uuid({var})", "NB"
    if n == "sql_variant":
        return f"variant({var})", "NV"
    if n in values.BINARY:
        data = f"utf16({var})" if t.collation == values.UNITS else f"binary({var})"
    elif n in values.UNICODE:
        data = f"utf16({var})"
    elif n not in values.CHARACTER:
        raise ValueError(n)
    else:
        data = f"{'utf8' if 'UTF8' in t.collation.upper() else 'cp1252'}({var})"
    if isinstance(t, Limited):
        data += f"[:{t.limit}]"
    if n in ("text", "ntext", "image"):
        return f"long_text({data})", "NB"
    if t.length < 0 or n in ("xml", "hierarchyid", "geometry", "geography"):
        return f"plp({data})", "NP"
    return f"short({data})", "NS"


def _environment():
    env = dict(_P)
    env.update(ONE=b"\x01\x01", ZERO=b"\x01\x00", TRUE=frozenset(("1", "t", True, 1)), NB=NULL_BYTE, NS=NULL_SHORT,
               NP=NULL_PLP, NV=NULL_VARIANT, decimal=decimal, money=money, smallmoney=smallmoney, datetime=datetime,
               smalldatetime=smalldatetime, date_of=date_of, uuid=uuid, variant=variant, binary=binary, short=short,
               plp=plp, long_text=long_text, utf16=values.utf16, utf8=values.utf8, cp1252=values.cp1252)
    return env


def compile_rows(types):
    """encode(rows) -> bytes of ROW tokens."""
    env = _environment()
    names = [f"c{i}" for i in range(len(types))]
    parts = []
    for i, t in enumerate(types):
        text, null = expression(t, names[i], env, i)
        parts.append(f"{null} if {names[i]} is None else {text}")
    target = ", ".join(names) + ("," if len(names) == 1 else "")
    source = (f"def encode(rows):\n    out = []\n    add = out.extend\n    for {target} in rows:\n"
              f"        add((ROW, {', '.join(parts)},))\n    return b''.join(out)\n")
    env["ROW"] = b"\xd1"
    exec(compile(source, "<row encoder>", "exec"), env)  # the text is ours: no name or value of a client is in it
    return env["encode"]


def encoder(t):
    """encode(text) -> bytes of one value with its length, NULL included."""
    env = _environment()
    text, null = expression(t, "v", env, 0)
    return eval(f"lambda v: {null} if v is None else {text}", env)
