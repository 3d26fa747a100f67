# SPDX-License-Identifier: PostgreSQL
"""T-SQL's expressions and queries as PostgreSQL SQL.

Types do most of the work (sql/0*.sql). What is left: names found without regard to case, literals with their SQL Server
type, the few forms PostgreSQL writes otherwise, NULLs first, and the case-insensitive collation where no column brings
its own."""
import dataclasses

from . import ast, values
from .errors import SqlError, syntax, unknown_object

CI = 'sys."Latin1_General_CI_AS"'
COMPARISON = ("=", "<>", "<", ">", "<=", ">=")
TEXT_FUNCTIONS = frozenset("LEFT RIGHT SUBSTRING UPPER LOWER LTRIM RTRIM TRIM REPLACE STUFF CONCAT DB_NAME SPACE CHAR NCHAR QUOTENAME".split())
PLAIN = {"abs": "abs", "ceiling": "ceiling", "floor": "floor", "round": "round", "power": "power", "sqrt": "sqrt", "sign": "sign", "exp": "exp",
         "nullif": "nullif", "coalesce": "coalesce", "isnull": "coalesce", "max": "max", "min": "min", "avg": "sys.avg", "sum": "sys.sum",
         "first_value": "first_value", "last_value": "last_value", "lag": "lag", "lead": "lead", "stdev": "stddev", "greatest": "greatest"}
RANKING = ("row_number", "rank", "dense_rank", "ntile")
PG_TYPES = {"int": "int4", "bigint": "int8", "smallint": "int2", "float": "float8", "real": "float4", "date": "date"}


def q(name):
    return '"' + name.replace('"', '""') + '"'


def quote(text):
    """A PostgreSQL string constant."""
    return "'" + values.store_text(text).replace("'", "''") + "'"


def pg_type(t):
    """The type that stores a SqlType; fractions of time are written one more (00_types.sql)."""
    n = t.name
    if n in PG_TYPES:
        return PG_TYPES[n]
    if n in ("decimal", "numeric"):
        return f"numeric({t.precision},{t.scale})"
    if n in ("time", "datetime2", "datetimeoffset"):
        return f'sys."{n}"({t.scale + 1})'
    if t.length < 0 and n in ("varchar", "nvarchar", "varbinary"):
        return f"sys.{n}max"
    if n in ("char", "varchar", "binary", "varbinary"):
        return f'sys."{n}"({t.length})'
    if n in ("nchar", "nvarchar"):
        return f'sys."{n}"({max(t.length // 2, 1)})'
    return f'sys."{n}"'


def typed(text, t):
    """A stored text as a constant of its type."""
    return f"NULL::{pg_type(t)}" if text is None else f"{quote_stored(text)}::{pg_type(t)}"


def quote_stored(text):
    return "'" + text.replace("'", "''") + "'"


def walk(node):
    """Every node of a tree."""
    if isinstance(node, (list, tuple)):
        for x in node:
            yield from walk(x)
    elif dataclasses.is_dataclass(node) and not isinstance(node, (type, values.SqlType)):
        yield node
        for f in dataclasses.fields(node):
            yield from walk(getattr(node, f.name))


class Scope:
    """Names of one statement."""

    def __init__(self):
        self.sources = {}    # lower alias -> [(spelling, TableInfo or None)]
        self.columns = {}    # lower name -> spelling, of everything in the statement
        self.ctes = {}
        self.opaque = False  # some source's columns are not known
        self.outer = False


class Renderer:
    """Renders one statement. `session` gives table(parts), variable(name), system_variable(name), function(name, args)."""

    def __init__(self, session):
        self.session = session
        self.scope = Scope()
        self.renamed = {}    # inserted, deleted -> source
        self.sent = False    # the query's rows go to the client as they are

    # -- names ---------------------------------------------------------------------------------------------------------
    def declare(self, tree, ctes=()):
        """Learns the names of a statement's sources before anything is written."""
        s = self.scope
        for name, columns, _ in ctes:
            s.ctes[name.lower()] = name
            self._add(columns)
        for node in walk(tree):
            for name, columns, _ in getattr(node, "ctes", None) or []:
                s.ctes[name.lower()] = name
                self._add(columns)
        for node in walk(tree):
            if isinstance(node, ast.Table):
                self._declare_table(node)
            elif isinstance(node, (ast.Derived, ast.Changetable)):
                if node.alias:
                    s.sources.setdefault(node.alias.lower(), []).append((node.alias, None))
                self._add(node.columns)
                if isinstance(node, ast.Changetable):
                    self._declare_changetable(node)
            elif isinstance(node, ast.Item) and node.alias:
                self._add([node.alias])
            elif isinstance(node, ast.Join) and node.kind in ("LEFT", "RIGHT", "FULL", "OUTER APPLY"):
                s.outer = True
        return self

    def _add(self, names):
        for n in names:
            self.scope.columns.setdefault(n.lower(), n)

    def _declare_changetable(self, node):
        info = self.session.table(node.table)
        if info is None:
            raise unknown_object(".".join(node.table))
        self._add(info.columns.values())
        self._add(["SYS_CHANGE_VERSION", "SYS_CHANGE_CREATION_VERSION", "SYS_CHANGE_OPERATION", "SYS_CHANGE_COLUMNS", "SYS_CHANGE_CONTEXT"])

    def _declare_table(self, node):
        s = self.scope
        info = None
        if node.args is not None:
            s.opaque = True
            self._add(self.session.function_columns(node.name))
        elif not (len(node.name) == 1 and node.name[0].lower() in s.ctes):
            info = self.session.table(node.name)
        spelling = node.alias or (info.name if info else node.name[-1])
        self._add(node.columns)
        s.sources.setdefault(spelling.lower(), []).append((spelling, info))
        if info:
            self._add(info.columns.values())

    def column(self, node):
        parts = [p for p in node.parts]
        name = parts[-1]
        if len(parts) >= 2:
            qualifier = parts[-2].lower()
            if qualifier in self.renamed:
                alias, info = self.renamed[qualifier]
                prefix = alias if alias == "standin_old" else ""    # dml.OLD
                return f"{q(alias)}.{q(prefix + self._column_of(info, name))}"
            known = self.scope.sources.get(qualifier)
            if known is None:
                raise SqlError(4104, f'The multi-part identifier "{".".join(parts)}" could not be bound.', 16)
            for spelling, info in known:
                if info and name.lower() in info.columns:
                    return f"{q(spelling)}.{q(info.columns[name.lower()])}"
            spelling, info = known[0]
            if info and all(i for _, i in known):
                raise SqlError(207, f"Invalid column name '{name}'.")
            return f"{q(spelling)}.{q(self.scope.columns.get(name.lower(), name))}"
        found = self.scope.columns.get(name.lower())
        if found is None:
            if self.scope.opaque:
                return q(name)
            raise SqlError(207, f"Invalid column name '{name}'.")
        return q(found)

    @staticmethod
    def _column_of(info, name):
        if name.lower() not in info.columns:
            raise SqlError(207, f"Invalid column name '{name}'.")
        return info.columns[name.lower()]

    # -- expressions -----------------------------------------------------------------------------------------------------
    def expr(self, e):
        return getattr(self, "x_" + type(e).__name__.lower())(e)

    def exprs(self, items):
        return ", ".join(self.expr(i) for i in items)

    def x_literal(self, e):
        k, v = e.kind, e.value
        if k == "integer":
            return v
        if k == "decimal":
            digits = v.replace(".", "").lstrip("0")
            scale = len(v.partition(".")[2])
            return f"{v if not v.startswith('.') else '0' + v}::numeric({max(len(digits), scale, 1)},{scale})"
        if k == "float":
            return f"{v}::float8"
        if k == "string":
            return f'{quote(v)}::sys."varchar"({max(len(v), 1)})' if len(v) <= 8000 else f"{quote(v)}::sys.varcharmax"
        if k == "nstring":
            return f"{quote(v)}::sys.nvarchar({max(len(v), 1)})" if len(v) <= 4000 else f"{quote(v)}::sys.nvarcharmax"
        if k == "binary":
            digits = v[2:]
            digits = "0" * (len(digits) % 2) + digits
            return f"'\\x{digits}'::sys.varbinary" + (f"({len(digits) // 2})" if 0 < len(digits) <= 16000 else "")
        if k == "money":
            return f"{v[1:]}::numeric::sys.money"
        if k == "part":
            return f"'{v}'::pg_catalog.text"
        if k == "default":
            return "DEFAULT"
        return "NULL"

    def x_variable(self, e):
        if e.name.startswith("@@"):
            return self.session.system_variable(e.name)
        text, t = self.session.variable(e.name)
        return typed(text, t)

    def x_column(self, e):
        return self.column(e)

    def x_star(self, e):
        if not e.qualifier:
            return "*"
        name = e.qualifier[-1].lower()
        if name in self.renamed:
            return q(self.renamed[name][0]) + ".*"
        known = self.scope.sources.get(name)
        if known is None:
            raise SqlError(4104, f'The multi-part identifier "{".".join(e.qualifier)}.*" could not be bound.', 16)
        return q(known[0][0]) + ".*"

    def is_text(self, e):
        """Whether an expression without columns is text whose comparison needs a collation."""
        if isinstance(e, ast.Literal):
            return e.kind in ("string", "nstring")
        if isinstance(e, ast.Variable):
            return not e.name.startswith("@@") and self.session.variable(e.name)[1].name in values.CHARACTER
        if isinstance(e, ast.Cast):
            return e.type.name in values.CHARACTER
        if isinstance(e, ast.Call):
            return e.name[-1].upper() in TEXT_FUNCTIONS or (e.name[-1].upper() == "ISNULL" and self.is_text(e.args[0]))
        return isinstance(e, ast.Binary) and e.op == "+" and (self.is_text(e.left) or self.is_text(e.right))

    def has_column(self, e):
        return any(isinstance(n, (ast.Column, ast.Subquery, ast.Collate)) for n in walk(e))

    def compared(self, left, *others):
        """The left side of a comparison, with the database's collation when nothing else brings one."""
        text = self.expr(left)
        if self.is_text(left) and not any(self.has_column(x) for x in (left, *others)):
            return f"({text} COLLATE {CI})"
        return text

    def x_binary(self, e):
        if e.op in ("AND", "OR"):
            return f"({self.expr(e.left)} {e.op} {self.expr(e.right)})"
        if e.op in COMPARISON:
            return f"({self.compared(e.left, e.right)} {e.op} {self.expr(e.right)})"
        if " " in e.op:
            op, quantifier = e.op.split()
            return f"({self.expr(e.left)} {op} {quantifier} {self.expr(e.right)})"
        return f"({self.expr(e.left)} {'#' if e.op == '^' else e.op} {self.expr(e.right)})"

    def x_unary(self, e):
        return f"({e.op} {self.expr(e.operand)})"

    def x_call(self, e):
        name = e.name[-1].lower()
        if len(e.name) > 1 and e.name[-2].lower() not in ("sys", ""):
            return f"{q(self.session.schema(e.name[-2]))}.{q(self.session.routine(e.name))}({self.exprs(e.args)})"
        out = self.plain_call(name, e)
        if e.over is not None:
            out = f"{out} OVER ({self.window(e.over)})"
            if name in RANKING or name in ("count", "count_big"):
                out = f"({out})::int8"
        return out

    def plain_call(self, name, e):
        special = self.session.function(name, e.args)
        if special is not None:
            return special
        if name in ("count", "count_big"):
            inner = "*" if e.star else ("DISTINCT " if e.distinct else "") + self.exprs(e.args)
            return f"count({inner})" if name == "count_big" or e.over is not None else f"count({inner})::int4"
        if name in RANKING:
            return f"{name}({self.exprs(e.args)})"
        if name in ("current_timestamp",):
            return "sys.getdate()"
        if name in ("current_user", "session_user", "user"):
            return "sys.user_name()"
        if name == "system_user":
            return "sys.suser_sname()"
        if name == "string_agg":
            return f"string_agg(({self.expr(e.args[0])})::text, ({self.expr(e.args[1])})::text)::sys.nvarcharmax"
        if name == "concat":
            return f"concat({', '.join(f'standin.to_ntext({self.expr(a)}, 0)' for a in e.args)})::sys.nvarcharmax"
        if name in PLAIN:
            return f"{PLAIN[name]}({'DISTINCT ' if e.distinct else ''}{self.exprs(e.args)})"
        return f'sys.{q(name)}({self.exprs(e.args)})'

    def window(self, over):
        parts = []
        if over.partition:
            parts.append("PARTITION BY " + self.exprs(over.partition))
        if over.order:
            parts.append("ORDER BY " + self.order_list(over.order))
        if over.frame:
            parts.append(over.frame)
        return " ".join(parts)

    def x_cast(self, e):
        t, target = e.type, pg_type(e.type)
        if isinstance(e.operand, ast.Literal) and e.operand.kind == "null":
            return f"NULL::{target}"
        x = self.expr(e.operand)
        style = self.expr(e.style) if e.style is not None else "0"
        if e.trying:
            if t.name in values.CHARACTER:
                return f"standin.to_{'n' if t.name in values.UNICODE else ''}text({x}, {style})::{target}"
            return f"(standin.try_cast(standin.to_ntext({x}, 0), {quote(target)}))::text::{target}"
        if t.name in values.CHARACTER:
            text = f"standin.to_{'n' if t.name in values.UNICODE else ''}text({x}, {style})"
            return f"{self.cut_fraction(text, e.operand)}::{target}"
        if t.name in ("binary", "varbinary", "image", "timestamp"):
            return f"standin.to_binary({x}, {style})::{target}"
        if t.name in ("int", "bigint", "smallint", "tinyint"):
            return f"standin.to_int8({x})::{target}"
        if t.name == "sql_variant":
            return f"standin.to_variant({x})"
        return f"({x})::{target}"

    def cut_fraction(self, text, operand):
        """datetime2(n), time(n) and datetimeoffset(n) print n digits; the functions print 7, as the type alone says no more."""
        t = operand.type if isinstance(operand, ast.Cast) else None
        if isinstance(operand, ast.Column):
            name = operand.parts[-1].lower()
            infos = [i for known in self.scope.sources.values() for _, i in known if i and name in i.columns]
            facts = [i.facts.get(i.columns[name]) for i in infos]
            t = facts[0].type if facts and facts[0] and len({f.type if f else None for f in facts}) == 1 else None
        if t is None or t.name not in ("datetime2", "time", "datetimeoffset") or t.scale == 7:
            return text
        pattern, keep = (f"(\\.\\d{{{t.scale}}})\\d+", "\\1") if t.scale else ("\\.\\d+", "")
        return f"regexp_replace({text} COLLATE \"C\", '{pattern}', '{keep}')"

    def x_case(self, e):
        head = "CASE"
        parts = []
        for when, then in e.whens:
            if e.operand is not None:
                when = ast.Binary("=", e.operand, when)
            parts.append(f"WHEN {self.expr(when)} THEN {self.expr(then)}")
        otherwise = f" ELSE {self.expr(e.otherwise)}" if e.otherwise is not None else ""
        return f"({head} {' '.join(parts)}{otherwise} END)"

    def x_subquery(self, e):
        return f"({self.query(e.query)})"

    def x_exists(self, e):
        return f"EXISTS ({self.query(e.query)})"

    def x_in(self, e):
        word = "NOT IN" if e.negated else "IN"
        if isinstance(e.items, list):
            return f"({self.compared(e.operand, e.items)} {word} ({self.exprs(e.items)}))"
        return f"({self.expr(e.operand)} {word} ({self.query(e.items)}))"

    def x_between(self, e):
        left = self.compared(e.operand, e.low, e.high)
        word = "NOT BETWEEN" if e.negated else "BETWEEN"
        return f"({left} {word} {self.expr(e.low)} AND {self.expr(e.high)})"

    def x_like(self, e):
        args = [self.expr(e.operand), self.expr(e.pattern)] + ([self.expr(e.escape)] if e.escape is not None else [])
        return f"({'NOT ' if e.negated else ''}sys.\"like\"({', '.join(args)}))"

    def x_isnull(self, e):
        return f"({self.expr(e.operand)} IS {'NOT ' if e.negated else ''}NULL)"

    def x_collate(self, e):
        return f"({self.expr(e.operand)} COLLATE {self.session.collation(e.name)})"

    def x_attimezone(self, e):
        zone = e.zone
        if isinstance(zone, ast.Literal) and zone.value.upper() == "UTC":
            return f"(({self.expr(e.operand)})::sys.datetimeoffset)"
        raise syntax("AT TIME ZONE")

    # -- queries -----------------------------------------------------------------------------------------------------------
    def query(self, node, top_level=False):
        ctes = ""
        if getattr(node, "ctes", None):
            ctes = self.with_clause(node.ctes)
        if isinstance(node, ast.Values):
            return "VALUES " + ", ".join(f"({self.exprs(r)})" for r in node.rows)
        if isinstance(node, ast.SetOperation):
            body = f"{self.set_side(node.left)} {node.op} {self.set_side(node.right)}"
        else:
            body = self.select(node, top_level)
        if node.order:
            body += " ORDER BY " + self.order_list(node.order)
        return ctes + body + self.limit(node)

    def set_side(self, node):
        return f"({self.query(node)})"

    def with_clause(self, ctes):
        out = []
        for name, columns, query in ctes:
            listed = f" ({', '.join(q(c) for c in columns)})" if columns else ""
            out.append(f"{q(name)}{listed} AS ({self.query(query)})")
        return "WITH RECURSIVE " + ", ".join(out) + " "

    def select(self, node, top_level=False):
        out = ["SELECT"]
        if node.distinct:
            out.append("DISTINCT")
        out.append(", ".join(self.item(i, top_level and not node.distinct) for i in node.items))
        if node.source is not None:
            out.append("FROM " + self.source(node.source))
        if node.where is not None:
            out.append("WHERE " + self.expr(node.where))
        if node.group:
            out.append("GROUP BY " + self.exprs(node.group))
        if node.having is not None:
            out.append("HAVING " + self.expr(node.having))
        return " ".join(out)

    def item(self, item, top_level):
        e = item.expr
        if top_level and isinstance(e, ast.Literal) and e.kind == "null":
            text = "NULL::int4"
        elif self.sent and top_level and item.alias is None and self.is_units(e):
            text = f"({self.expr(e.operand)})::pg_catalog.text::sys.units{'max' if e.type.length < 0 else ''}"
        else:
            text = self.expr(e)
        if item.alias is not None:
            return f"{text} AS {q(item.alias)}"
        if isinstance(e, ast.Column):
            return text if text.endswith(q(e.parts[-1])) else f"{text} AS {q(e.parts[-1])}"
        return text if isinstance(e, ast.Star) else f'{text} AS "?column?"'

    def is_units(self, e):
        """CONVERT(varbinary(8000 | max), column) of an nvarchar that is not cut by it."""
        if not (isinstance(e, ast.Cast) and e.type.name == "varbinary" and isinstance(e.operand, ast.Column)) or e.trying or e.style is not None:
            return False
        name = e.operand.parts[-1].lower()
        facts = [i.facts.get(i.columns[name]) for known in self.scope.sources.values() for _, i in known if i and name in i.columns]
        return bool(facts) and all(f is not None and f.type.name == "nvarchar" and (e.type.length < 0 or (e.type.length == 8000 and f.type.length >= 0))
                                   for f in facts)

    def limit(self, node):
        top = getattr(node, "top", None)
        if top is not None:
            if node.top_percent:
                raise syntax("PERCENT")
            return f" LIMIT ({self.expr(top)})::int8"
        out = ""
        if node.offset is not None:
            out += f" OFFSET ({self.expr(node.offset)})::int8"
        if node.fetch is not None:
            out += f" LIMIT ({self.expr(node.fetch)})::int8"
        return out

    def order_list(self, items):
        """SQL Server sorts NULL first; where a column can't be NULL nothing is said, so that indexes serve."""
        out = []
        for o in items:
            text = self.expr(o.expr) if not (isinstance(o.expr, ast.Literal) and o.expr.kind == "integer") else o.expr.value
            nulls = "" if self.never_null(o.expr) else " NULLS LAST" if o.descending else " NULLS FIRST"
            out.append(text + (" DESC" if o.descending else "") + nulls)
        return ", ".join(out)

    def never_null(self, e):
        if not isinstance(e, ast.Column) or self.scope.outer:
            return False
        name = e.parts[-1].lower()
        infos = [i for sources in self.scope.sources.values() for _, i in sources]
        holders = [i for i in infos if i and name in i.columns]
        return len(holders) >= 1 and all(name in i.not_null for i in holders) and all(infos)

    def source(self, node):
        return getattr(self, "s_" + type(node).__name__.lower())(node)

    def s_table(self, node):
        alias = f" AS {q(node.alias)}" if node.alias else ""
        if node.columns:
            alias += f" ({', '.join(q(c) for c in node.columns)})"
        if node.args is not None:
            schema = self.session.schema(node.name[-2]) if len(node.name) > 1 else "sys"
            return f"{q(schema)}.{q(self.session.routine(node.name))}({self.exprs(node.args)}){alias}"
        if len(node.name) == 1 and node.name[0].lower() in self.scope.ctes:
            return q(self.scope.ctes[node.name[0].lower()]) + alias
        info = self.session.table(node.name)
        if info is None:
            raise unknown_object(".".join(node.name))
        return info.qualified + alias

    def s_derived(self, node):
        alias = f" AS {q(node.alias)}" if node.alias else ""
        if node.columns:
            alias += f" ({', '.join(q(c) for c in node.columns)})"
        return f"({self.query(node.query)}){alias}"

    def s_changetable(self, node):
        info = self.session.table(node.table)
        call = self.session.changetable(node, info, self)
        alias = f" AS {q(node.alias)}" if node.alias else ""
        return call + alias

    def s_join(self, node):
        left, right = self.source(node.left), self.source(node.right)
        if isinstance(node.right, ast.Join):
            right = f"({right})"
        if node.kind == "CROSS":
            return f"{left} CROSS JOIN {right}"
        if node.kind == "CROSS APPLY":
            return f"{left} CROSS JOIN LATERAL {right}"
        if node.kind == "OUTER APPLY":
            return f"{left} LEFT JOIN LATERAL {right} ON true"
        return f"{left} {node.kind} JOIN {right} ON {self.expr(node.on)}"

    def cast_bigint(self, e):
        return "NULL::int8" if isinstance(e, ast.Literal) and e.kind == "null" else f"({self.expr(e)})::int8"
