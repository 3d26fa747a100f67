# SPDX-License-Identifier: PostgreSQL
"""Names of a session's database: tables and their columns without regard to case, types of results."""
import ctypes
import ctypes.util
from dataclasses import dataclass, field

from . import tds, values
from .errors import SqlError
from .render import q
from .values import SqlType

_libpq = ctypes.CDLL(ctypes.util.find_library("pq") or "libpq.so.5")
_libpq.PQfmod.argtypes = [ctypes.c_void_p, ctypes.c_int]
_libpq.PQfmod.restype = ctypes.c_int


@dataclass
class TableInfo:
    schema: str
    name: str
    oid: int
    kind: str
    columns: dict                       # lower name -> spelling, in the table's order
    not_null: set = field(default_factory=set)
    facts: dict = field(default_factory=dict)   # spelling -> Fact
    temporary: bool = False

    @property
    def qualified(self):
        return q(self.name) if self.temporary else f"{q(self.schema)}.{q(self.name)}"

    @property
    def identity(self):
        return next((n for n, f in self.facts.items() if f.identity), None)


@dataclass
class Fact:
    """What the registry knows of a column."""
    type: SqlType
    nullable: bool
    identity: bool
    computed: bool
    attnum: int = 0


def registry_type(row):
    """SqlType of a row of standin.column: ms_type, max_length, prec, scale, collation."""
    name, length, precision, scale, collation = row
    return SqlType(values.SYNONYMS.get(name, name), length, precision or 0, scale or 0, collation or "")


class Names:
    SYSTEM = {"master": {"sys": "sys", "dbo": "dbo"}, "tempdb": {"sys": "sys"}, "msdb": {"dbo": "msdb_dbo", "sys": "sys"}}

    def __init__(self, engine):
        self.engine = engine
        self.tables, self.types, self.schemas, self.by_oid = {}, {}, None, {}

    def forget(self):
        """After DDL, or when PostgreSQL knows better."""
        self.tables.clear()
        self.by_oid.clear()
        self.schemas = None

    def _rows(self, sql, args=None):
        with self.engine.pg.cursor() as cur:
            cur.execute(sql, args)
            return cur.fetchall()

    def schema(self, name):
        """The schema's spelling."""
        if self.schemas is None:
            self.schemas = {r[0].lower(): r[0] for r in self._rows("SELECT nspname FROM pg_namespace")}
        return self.schemas.get(name.lower(), name)

    def place(self, parts):
        """(schema, name) of a name of up to three parts; another database than ours is not understood."""
        parts = list(parts)
        schema = parts[-2] if len(parts) > 1 and parts[-2] else "dbo"
        if len(parts) > 3:
            raise SqlError(7202, f"Could not find server '{parts[0]}' in sys.servers.", 11, 2)
        if len(parts) == 3 and parts[0] and parts[0].lower() != self.engine.session.database.lower():
            mapped = self.SYSTEM.get(parts[0].lower(), {}).get(schema.lower())
            if mapped is None or (parts[0].lower() == "master" and mapped == "dbo"):
                raise SqlError(208, f"Invalid object name '{'.'.join(parts)}'.")
            return mapped, parts[-1]
        if len(parts) > 1 and schema.upper() == "INFORMATION_SCHEMA":
            return "information_schema", parts[-1].lower()
        return self.schema(schema), parts[-1]

    def table(self, parts):
        """TableInfo of a table or view, or None. #t and @t are temporary tables; an unqualified name is dbo's, then sys's."""
        key = tuple(p.lower() for p in parts)
        if key not in self.tables:
            self.tables[key] = self._find(parts)
            if self.tables[key] is None:
                del self.tables[key]
                return None
        return self.tables[key]

    def _find(self, parts):
        name = parts[-1]
        if name.startswith(("#", "@")):
            where, args = "c.relnamespace = pg_my_temp_schema()", []
            name = self.engine.table_variable(name) if name.startswith("@") else name
        else:
            schema, name = self.place(parts)
            where, args = "n.nspname = %s", [schema]
        rows = self._rows("SELECT n.nspname, c.relname, c.oid, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                          f"WHERE {where} AND lower(c.relname) = lower(%s) AND c.relkind IN ('r', 'v', 'p', 'm') "
                          "ORDER BY c.relname = %s DESC LIMIT 1", args + [name, name])
        if not rows:
            return None
        schema, name, oid, kind = rows[0]
        out = TableInfo(schema, name, oid, kind, {}, temporary=schema.startswith("pg_temp"))
        self._describe(out)
        return out

    def _describe(self, info):
        for name, number, not_null, ms, length, prec, scale, nullable, collation, seed, computed in self._rows(
                "SELECT a.attname, a.attnum, a.attnotnull, c.ms_type, c.max_length, c.prec, c.scale, c.nullable, c.collation, "
                "c.identity_seed IS NOT NULL, c.computed IS NOT NULL FROM pg_attribute a LEFT JOIN standin.\"column\" c "
                "ON c.relid = a.attrelid AND c.attnum = a.attnum WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped "
                "ORDER BY a.attnum", [info.oid]):
            info.columns[name.lower()] = name
            if not_null:
                info.not_null.add(name.lower())
            if ms:
                info.facts[name] = Fact(registry_type((ms, length, prec, scale, collation)), nullable, bool(seed), bool(computed), number)

    def function_columns(self, parts):
        """Names of the columns that a table function returns."""
        schema = self.schema(parts[-2]) if len(parts) > 1 else "sys"
        rows = self._rows("SELECT proargnames, proargmodes::text[] FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace "
                          "WHERE n.nspname = %s AND lower(proname) = lower(%s)", [schema, parts[-1]])
        return [n for names, modes in rows for n, m in zip(names or [], modes or []) if m in ("t", "o")]

    def routine(self, parts):
        """Spelling of a function."""
        schema = self.schema(parts[-2]) if len(parts) > 1 and parts[-2] else "sys"
        rows = self._rows("SELECT proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = %s AND "
                          "lower(proname) = lower(%s) ORDER BY proname = %s DESC LIMIT 1", [schema, parts[-1], parts[-1]])
        if not rows:
            raise SqlError(4121, f'Cannot find either column "{parts[0]}" or the user-defined function or aggregate "{".".join(parts)}", '
                                 "or the name is ambiguous.", 16)
        return rows[0][0]

    def collation(self, name):
        if name.lower() in ("database_default", "catalog_default"):
            return 'sys."Latin1_General_CI_AS"'
        rows = self._rows("SELECT collname FROM pg_collation WHERE collnamespace = 'sys'::regnamespace AND lower(collname) = lower(%s)", [name])
        if rows:
            return f"sys.{q(rows[0][0])}"
        self.engine.make_collation(name)
        return f"sys.{q(name)}"

    # -- types of results ------------------------------------------------------------------------------------------------
    def type_of(self, oid, typmod):
        """SqlType of a result column. Length 8000 of text and scale -1 of numeric mean: not known, look at the values."""
        if oid not in self.types:
            for o, schema, name in self._rows("SELECT t.oid, n.nspname, t.typname FROM pg_type t JOIN pg_namespace n ON "
                                              "n.oid = t.typnamespace WHERE n.nspname IN ('sys', 'pg_catalog')"):
                self.types[o] = (schema, name)
        schema, name = self.types.get(oid, ("pg_catalog", "text"))
        if schema == "sys":
            return _sys_type(name, typmod)
        return _pg_type(name, typmod)

    def facts_of(self, oid, attnum):
        """(Fact, table name) of a result column that is a table's column."""
        if oid not in self.by_oid:
            rows = self._rows("SELECT n.nspname, c.relname, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = %s", [oid])
            if not rows:
                return None, ""
            info = TableInfo(rows[0][0], rows[0][1], oid, rows[0][2], {})
            self._describe(info)
            self.by_oid[oid] = ({f.attnum: f for f in info.facts.values()}, f"{info.schema}.{info.name}")
        facts, name = self.by_oid[oid]
        return facts.get(attnum), name


UNKNOWN_LENGTH = -2


def _sys_type(name, typmod):
    if name in ("varcharmax", "nvarcharmax", "varbinarymax"):
        return SqlType(name[:-3], values.MAX)
    if name in ("units", "unitsmax"):
        return SqlType("varbinary", 8000 if name == "units" else values.MAX, collation=values.UNITS)
    if name in ("varchar", "char", "binary", "varbinary"):
        return SqlType(name, typmod - 4 if typmod > 4 else UNKNOWN_LENGTH)
    if name in ("nvarchar", "nchar"):
        return SqlType(name, 2 * (typmod - 4) if typmod > 4 else UNKNOWN_LENGTH)
    if name in ("time", "datetime2", "datetimeoffset"):
        return values.make_type(name, (typmod - 5 if 5 <= typmod <= 12 else 7,))
    return values.make_type(name)


def _pg_type(name, typmod):
    simple = {"int2": "smallint", "int4": "int", "int8": "bigint", "oid": "bigint", "float4": "real", "float8": "float", "bool": "bit", "date": "date",
              "xid8": "bigint"}
    if name in simple:
        return values.make_type(simple[name])
    if name == "numeric":
        if typmod >= 4:
            return values.make_type("numeric", ((typmod - 4) >> 16 & 0xFFFF, (typmod - 4) & 0x7FF))
        return SqlType("numeric", 17, 38, -1)
    if name == "bytea":
        return SqlType("varbinary", UNKNOWN_LENGTH)
    return SqlType("nvarchar", UNKNOWN_LENGTH)


def typmods(cursor):
    """Type modifiers of a psycopg2 cursor's result: psycopg2 does not tell those of our types."""
    pointer = cursor.pgresult_ptr
    return [_libpq.PQfmod(pointer, i) for i in range(len(cursor.description))]


def settle(t, column):
    """A type whose size was not known, from the values of the first rows."""
    present = [v for v in column if v is not None]
    if t.length == UNKNOWN_LENGTH:
        limit = 8000
        if t.name in ("nvarchar", "nchar"):
            longest = 2 * max((len(v) for v in present), default=0)
        elif t.name in ("binary", "varbinary"):
            longest = max((len(v) // 2 - 1 for v in present), default=0)
        else:
            longest = max((len(v) for v in present), default=0)
        name = {"char": "varchar", "nchar": "nvarchar", "binary": "varbinary"}.get(t.name, t.name)
        return SqlType(name, limit if longest <= limit else values.MAX, 0, 0, t.collation)
    if t.scale == -1:
        scale = max((len(str(v).partition(".")[2]) for v in present), default=0)
        return values.make_type("numeric", (38, min(scale, 38)))
    return t


def column_flags(fact):
    if fact is None:
        return tds.COL_NULLABLE | tds.COL_UPDATABLE
    flags = tds.COL_UPDATABLE
    if fact.nullable:
        flags |= tds.COL_NULLABLE
    if fact.identity:
        flags = (flags & ~tds.COL_UPDATABLE) | tds.COL_IDENTITY
    if fact.computed:
        flags = (flags & ~tds.COL_UPDATABLE) | tds.COL_COMPUTED
    return flags
