# SPDX-License-Identifier: PostgreSQL
"""Functions and @@variables whose value the session knows, and CHANGETABLE."""
import re

from . import ast
from .errors import SqlError
from .render import q, quote

VERSION = ("Microsoft SQL Server 2022 (RTM) - 16.0.1000.6 (X64) - stand-in of Crossfade's test suite over PostgreSQL\n"
           "\tDeveloper Edition (64-bit)")


def _int(value):
    return "NULL::int4" if value is None else f"({value})::int4"


def system_variable(engine, name):
    """@@name as PostgreSQL SQL."""
    o, c = engine.options, engine.connection
    n = name.upper()
    simple = {"@@ROWCOUNT": engine.rowcount, "@@TRANCOUNT": c.trancount, "@@ERROR": engine.last_error, "@@OPTIONS": o.word(),
              "@@LOCK_TIMEOUT": o.lock_timeout, "@@TEXTSIZE": o.textsize, "@@NESTLEVEL": engine.answer.depth, "@@MAX_PRECISION": 38,
              "@@MICROSOFTVERSION": 268436456, "@@PROCID": 0, "@@FETCH_STATUS": -1, "@@LANGID": 0}
    if n in simple:
        return _int(simple[n])
    if n == "@@SPID":
        return f"({engine.session.spid})::int2"
    if n == "@@DATEFIRST":
        return f"({o.datefirst})::sys.tinyint"
    if n == "@@IDENTITY":
        return "NULL::numeric(38,0)" if engine.scope_identity is None else f"({engine.scope_identity})::numeric(38,0)"
    texts = {"@@VERSION": VERSION, "@@SERVERNAME": engine.session.config.name, "@@SERVICENAME": "MSSQLSERVER", "@@LANGUAGE": o.language}
    if n in texts:
        return f"{quote(texts[n])}::sys.nvarchar(300)"
    if n == "@@DBTS":
        return "standin.dbts()"
    raise SqlError(137, f'Must declare the scalar variable "{name}".', 15, 2)


def session_function(engine, name, args):
    """Functions of the session's state as SQL, or None for another function's name."""
    c, caught = engine.connection, engine.caught[-1] if engine.caught else None
    if name == "scope_identity" and not args:
        return system_variable(engine, "@@IDENTITY")
    if name == "xact_state" and not args:
        return f"({-1 if c.doomed else 1 if c.trancount else 0})::int2"
    if name in ("error_number", "error_severity", "error_state", "error_line") and not args:
        return _int(caught and {"error_number": caught.number, "error_severity": caught.severity, "error_state": caught.state,
                                "error_line": caught.line}[name])
    if name == "error_message":
        return "NULL::sys.nvarchar(4000)" if caught is None else f"{quote(caught.text)}::sys.nvarchar(4000)"
    if name == "error_procedure":
        return "NULL::sys.nvarchar(128)" if caught is None or not caught.procedure else f"{quote(caught.procedure)}::sys.nvarchar(128)"
    if name == "sessionproperty" and len(args) == 1 and isinstance(args[0], ast.Literal):
        flag = args[0].value.upper()
        if flag in ("ANSI_NULLS", "ANSI_PADDING", "ANSI_WARNINGS", "ARITHABORT", "CONCAT_NULL_YIELDS_NULL", "NUMERIC_ROUNDABORT", "QUOTED_IDENTIFIER"):
            return f"standin.to_variant(({int(engine.options[flag])})::int4)"
        return "NULL::sys.sql_variant"
    return None


def format_message(text, args):
    """RAISERROR's printf: %s %d %i %u %x, widths ignored."""
    args = iter(args)

    def one(m):
        if m.group(1) == "%":
            return "%"
        value = next(args, None)
        return "(null)" if value is None else str(value)
    return re.sub(r"%(?:[-+0# ]*\d*(?:\.\d+)?)?(%|s|d|i|u|x|X|o|I64d)", one, text or "")


def changetable(engine, node, info, renderer):
    """CHANGETABLE as a call of the function that change tracking made for the table."""
    kind = node.kind.lower()
    with engine.pg.cursor() as cur:
        cur.execute("SELECT standin.ct_name(%s, %s)", [info.oid, kind])
        name = cur.fetchone()[0]
    call = name if "." in name else f"standin.{q(name)}"
    if kind == "changes":
        return f"{call}({renderer.cast_bigint(node.args[0])})"
    columns, keys = node.args
    pairs = [f"{q(renderer._column_of(info, c.parts[-1]))} => {renderer.expr(k)}" for c, k in zip(columns, keys)]
    return f"{call}({', '.join(pairs)})"


