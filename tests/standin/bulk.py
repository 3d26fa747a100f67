# SPDX-License-Identifier: PostgreSQL
"""Bulk load: INSERT BULK names the columns, then a BulkLoadBCP message brings COLMETADATA and ROWs (MS-TDS 2.2.6.1). They go
through COPY, straight into the table where the types agree, else through a temporary table and casts.

As documented triggers don't run. Unlike SQL Server foreign keys and CHECKs hold even without CHECK_CONSTRAINTS, and a NULL
stays NULL even without KEEP_NULLS unless the column has a default."""
import io
import itertools

import psycopg2

from . import ddl, tds, values
from .errors import SqlError, unknown_object
from .render import pg_type, q
from .results import Answer

_ESCAPE = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
SLICE = 5000


class Target:
    """What INSERT BULK announced."""

    def __init__(self, info, columns, hints):
        self.info, self.columns, self.hints = info, columns, hints


def prepare(engine, name, columns, hints):
    info = engine.table(name)
    if info is None:
        raise unknown_object(".".join(name))
    names = []
    for column, _ in columns:
        if column.lower() not in info.columns:
            raise SqlError(207, f"Invalid column name '{column}'.")
        names.append(info.columns[column.lower()])
    engine.session.bulk_target = Target(info, names, hints)


def serve(session, data):
    """The message after it: rows in, DONE with their number out."""
    engine, target = session.engine, session.bulk_target
    session.bulk_target = None
    if target is None:
        raise SqlError(4002, "stand-in: bulk data without INSERT BULK", 16)
    engine.answer = Answer(session)
    r = tds.Reader(data)
    try:
        types = _metadata(r)
        if len(types) != len(target.columns):
            raise SqlError(4804, "Premature end-of-message while reading bulk data: other columns than INSERT BULK named.", 16)
        count = load(engine, target, types, r)
    except SqlError as e:
        engine.fail(e)
    else:
        engine.rowcount = count
        _move_identity(engine, target)
        engine.answer.done(0xF0, count)
    engine.answer.finish()


def _move_identity(engine, target):
    """As after an INSERT with values of its own the identity goes on behind them."""
    info = target.info
    if info.identity in target.columns:
        end = engine.connection.rows(f"SELECT max({q(info.identity)}) FROM {info.qualified}")[0][0]
        if end is not None:
            ddl.move_identity(engine, info, end)


def _metadata(r):
    if r.u8() != tds.COLMETADATA:
        raise SqlError(4002, "stand-in: bulk data without COLMETADATA", 16)
    out = []
    for _ in range(r.u16()):
        r.take(6)
        t, w = values.read_type_info(r)
        if w.framing == "long":
            r.us_varchar()
        r.b_varchar()
        out.append((t, w))
    return out


def rows(r, types):
    """Lines of COPY's text format."""
    while r.left():
        token = r.u8()
        if token in (tds.DONE, tds.DONEPROC, tds.DONEINPROC):
            return
        if token == tds.ROW:
            row = [values.read_value(r, t, w) for t, w in types]
        elif token == tds.NBCROW:
            nulls = r.take((len(types) + 7) // 8)
            row = [None if nulls[i // 8] >> (i % 8) & 1 else values.read_value(r, t, w) for i, (t, w) in enumerate(types)]
        else:
            raise SqlError(4002, f"stand-in: token 0x{token:02X} in bulk data", 16)
        yield "\t".join("\\N" if v is None else v.translate(_ESCAPE) for v in row) + "\n"


def _agrees(fact, t):
    """Whether the text of a wire value is the stored text of the column."""
    if fact is None:
        return False
    have, want = t.name, fact.type.name
    if want in values.CHARACTER and have in values.CHARACTER:
        return want not in ("char", "nchar")
    if want in ("time", "datetime2", "datetimeoffset") and t.scale > fact.type.scale:
        return False    # COPY does not round them
    binary = ("binary", "varbinary", "image")
    if want == "binary":
        return False
    return have == want or (have in binary and want in binary) or {have, want} == {"decimal", "numeric"}


def load(engine, target, types, r):
    info, c = target.info, engine.connection
    direct = all(_agrees(info.facts.get(n), t) for n, (t, _) in zip(target.columns, types))
    names = ", ".join(q(n) for n in target.columns)
    with c.atomic("BULK INSERT"):
        try:
            if direct:
                return _copy(engine, f"{info.qualified} ({names})", rows(r, types))
            listed = ", ".join(f"c{i} {_bare(t)}" for i, (t, _) in enumerate(types))
            c.command(f"CREATE TEMPORARY TABLE standin_bulk ({listed}) ON COMMIT DROP")
            _copy(engine, "standin_bulk", rows(r, types))
            cast = ", ".join(_cast(engine, info.facts.get(n), i) for i, n in enumerate(target.columns))
            count = c.command(f"INSERT INTO {info.qualified} ({names}) SELECT {cast} FROM standin_bulk")
            c.command("DROP TABLE standin_bulk")
            return count
        except psycopg2.DataError as e:
            if e.pgcode == "22001":
                raise SqlError(4815, "Received an invalid column length from the bcp client.", 16)
            raise


def _bare(t):
    """A wire type without its length."""
    text = pg_type(t)
    return text.partition("(")[0] if t.name in values.CHARACTER + values.BINARY and t.name not in ("char", "nchar", "binary") else \
        {"char": "sys.varchar", "nchar": "sys.nvarchar", "binary": "sys.varbinary"}.get(t.name, text)


def _cast(engine, fact, i):
    if fact is None or (engine.ansi_warnings and fact.type.name in values.CHARACTER):
        return f"c{i}"
    return f"c{i}::{pg_type(fact.type)}"


def _copy(engine, target, lines):
    count = 0
    with engine.pg.cursor() as cur:
        while True:
            some = list(itertools.islice(lines, SLICE))
            if not some:
                return count
            engine.session.check_attention()
            cur.copy_expert(f"COPY {target} FROM STDIN", io.StringIO("".join(some)))
            count += len(some)
