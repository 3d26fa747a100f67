# SPDX-License-Identifier: PostgreSQL
"""What a change becomes in a change table: cdc.<capture_instance>_CT (Transact-SQL).

Operations 1 delete, 2 insert, 3 and 4 update (before, after). All bits of the mask are set for 1 and 2, those of the
changed columns for 3 and 4; the first captured column is the lowest bit of the LAST byte.

NULL rules of the page: computed columns always; text, ntext and image for 1 and 3; the max types for 3 unless the
column changed. Columns that the source no longer has: NULL.

Two things the page leaves open. An update that changes no captured column gives no row here (the log of SQL Server
has nothing to say of it, either). An update of a column of any unique index comes as delete and insert: "FIX: The
change table is ordered incorrectly for updated rows" (KB 3030352) speaks of that pair, trace flag 8207 switches it off.
The two rows share __$seqval and have consecutive __$command_id; of the latter no page says more than that it rises."""
from .cdc_pgoutput import UNCHANGED

DELETE, INSERT, BEFORE, AFTER = 1, 2, 3, 4
OLD_LOBS = ("text", "ntext", "image")


class Column:
    """A captured column. kind: plain, computed, lob (text, ntext, image) or max."""

    def __init__(self, name, attnum, ms_type, max_length, computed):
        self.name, self.attnum = name, attnum
        self.kind = ("computed" if computed else "lob" if ms_type in OLD_LOBS
                     else "max" if max_length == -1 and ms_type in ("varchar", "nvarchar", "varbinary") else "plain")


def mask_of(positions, count):
    """The update mask with these 0-based columns set."""
    mask = bytearray((count + 7) // 8)
    for i in positions:
        mask[-1 - i // 8] |= 1 << (i % 8)
    return bytes(mask)


class Instance:
    """A capture instance: its columns in order, and where they and the columns of unique indexes are in the source's rows."""

    def __init__(self, oid, source, name, columns, unique):
        self.oid, self.source, self.name, self.columns, self.unique = oid, source, name, columns, unique
        self.full_mask = mask_of(range(len(columns)), len(columns))
        self.places = None
        self.has_command_id = True

    def place(self, attnums):
        """attnums of the source's columns, in the order in which its rows come."""
        where = {n: i for i, n in enumerate(attnums)}
        self.places = [None if c.kind == "computed" else where.get(c.attnum) for c in self.columns]
        self.unique_places = {i for i, n in enumerate(attnums) if n in self.unique}
        self.straight = None not in self.places
        self.last = max((p for p in self.places if p is not None), default=-1)
        self.special = any(c.kind in ("lob", "max") for c in self.columns)

    def _pick(self, row, operation, changed=()):
        """The captured columns' values. The fast way is for the usual case: nothing to blank out, every column there."""
        if self.straight and len(row) > self.last and (operation in (INSERT, AFTER) or not self.special):
            return [row[p] for p in self.places]
        out = []
        for i, (place, column) in enumerate(zip(self.places, self.columns)):
            value = None if place is None or place >= len(row) else row[place]
            if operation in (DELETE, BEFORE) and column.kind == "lob":
                value = None
            elif operation == BEFORE and column.kind == "max" and i not in changed:
                value = None
            out.append(value)
        return out

    def rows(self, kind, old, new):
        """[(operation, mask, values)] of one change; at most two."""
        if kind == "I":
            return [(INSERT, self.full_mask, self._pick(new, INSERT))]
        if kind == "D":
            return [(DELETE, self.full_mask, self._pick(old, DELETE))]
        if UNCHANGED in new:
            new = [o if n is UNCHANGED else n for o, n in zip(old, new)]
        differ = {p for p, (o, n) in enumerate(zip(old, new)) if o != n}
        if differ & self.unique_places:
            return [(DELETE, self.full_mask, self._pick(old, DELETE)), (INSERT, self.full_mask, self._pick(new, INSERT))]
        changed = {i for i, p in enumerate(self.places) if p in differ}
        if not changed:
            return []
        mask = mask_of(changed, len(self.columns))
        return [(BEFORE, mask, self._pick(old, BEFORE, changed)), (AFTER, mask, self._pick(new, AFTER))]


def copy_fields(values):
    """Values in the text format of COPY, tabs between them. PostgreSQL's text has no byte 0, so that it can mark places
    until the rest is escaped."""
    joined = b"\0T".join([b"\0N" if v is None else v for v in values])
    if b"\\" in joined:
        joined = joined.replace(b"\\", b"\\\\")
    if b"\n" in joined or b"\r" in joined or b"\t" in joined:
        joined = joined.replace(b"\n", b"\\n").replace(b"\r", b"\\r").replace(b"\t", b"\\t")
    return joined.replace(b"\0T", b"\t").replace(b"\0N", b"\\N")


def copy_line(start_lsn, seqval, operation, mask, values, command_id):
    """A row of a change table for COPY; the order is that of Capture's column list. LSNs and mask in hex."""
    return b"\\\\x%s\t\\\\x%s\t%d\t\\\\x%s\t%s\t%s\n" % (
        start_lsn, seqval, operation, mask, b"" if command_id is None else b"%d" % command_id, copy_fields(values))
