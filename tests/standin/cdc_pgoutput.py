# SPDX-License-Identifier: PostgreSQL
"""PostgreSQL's own log, decoded: the messages of the plugin pgoutput, version 1 (PostgreSQL documentation, "Logical
Replication Message Formats"). Bytes in, tuples out; no connection, no state.

A column of a row is bytes (its text form), None (NULL) or UNCHANGED (a stored-apart value the update did not touch)."""
import struct

UNCHANGED = object()
_HEAD = struct.Struct(">QqI")
_U16, _U32, _U64 = struct.Struct(">H"), struct.Struct(">I"), struct.Struct(">Q")


def _text(data, at):
    end = data.index(b"\0", at)
    return data[at:end].decode(), end + 1


def _row(data, at, size_of=_U32.unpack_from):
    (count,) = _U16.unpack_from(data, at)
    at += 2
    row = []
    add = row.append
    for _ in range(count):
        kind = data[at]
        if kind == 0x74:  # t
            start = at + 5
            at = start + size_of(data, at + 1)[0]
            add(data[start:at])
        else:
            add(None if kind == 0x6E else UNCHANGED)
            at += 1
    return row, at


def decode(data):
    """(kind, …) of one message:
    B: commit lsn, commit time in microseconds since 2000, xid      C: commit lsn, end lsn
    R: relation oid, column names                                   M: prefix, content
    I: oid, None, new     U: oid, old, new     D: oid, old, None    other kinds: only the kind"""
    kind = chr(data[0])
    if kind == "B":
        return (kind, *_HEAD.unpack_from(data, 1))
    if kind == "C":
        return kind, _U64.unpack_from(data, 2)[0], _U64.unpack_from(data, 10)[0]
    if kind in "IUD":
        (oid,) = _U32.unpack_from(data, 1)
        old = new = None
        at = 5
        if chr(data[at]) in "OK":
            old, at = _row(data, at + 1)
        if kind != "D":
            new, at = _row(data, at + 1)
        return kind, oid, old, new
    if kind == "R":
        (oid,) = _U32.unpack_from(data, 1)
        _, at = _text(data, 5)
        _, at = _text(data, at)
        (count,) = _U16.unpack_from(data, at + 1)
        at += 3
        names = []
        for _ in range(count):
            name, at = _text(data, at + 1)
            names.append(name)
            at += 8
        return kind, oid, names
    if kind == "M":
        prefix, at = _text(data, 10)
        (size,) = _U32.unpack_from(data, at)
        return kind, prefix, data[at + 4:at + 4 + size]
    return (kind,)
