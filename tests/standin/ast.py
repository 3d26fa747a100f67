# SPDX-License-Identifier: PostgreSQL
"""What the parser makes: expressions, queries, statements."""
from dataclasses import dataclass, field
from typing import Any, List, Optional


@dataclass
class Literal:
    kind: str          # integer decimal float string nstring binary money null default
    value: str = ""


@dataclass
class Variable:
    name: str          # @x, or @@x


@dataclass
class Column:
    parts: List[str]


@dataclass
class Star:
    qualifier: List[str]


@dataclass
class Binary:
    op: str            # arithmetic, comparison, AND, OR
    left: Any
    right: Any


@dataclass
class Unary:
    op: str            # + - ~ NOT
    operand: Any


@dataclass
class Call:
    name: List[str]
    args: List[Any]
    distinct: bool = False
    star: bool = False
    over: Any = None   # Over
    quoted: bool = False


@dataclass
class Over:
    partition: List[Any]
    order: List[Any]
    frame: str = ""


@dataclass
class Cast:
    operand: Any
    type: Any          # SqlType
    style: Any = None
    trying: bool = False
    convert: bool = False


@dataclass
class Case:
    operand: Any
    whens: List[Any]
    otherwise: Any


@dataclass
class Subquery:
    query: Any


@dataclass
class Exists:
    query: Any


@dataclass
class In:
    operand: Any
    items: Any         # list or query
    negated: bool


@dataclass
class Between:
    operand: Any
    low: Any
    high: Any
    negated: bool


@dataclass
class Like:
    operand: Any
    pattern: Any
    escape: Any
    negated: bool


@dataclass
class IsNull:
    operand: Any
    negated: bool


@dataclass
class Collate:
    operand: Any
    name: str


@dataclass
class AtTimeZone:
    operand: Any
    zone: Any


# Queries
@dataclass
class Item:
    expr: Any
    alias: Optional[str] = None
    variable: Optional[str] = None   # SELECT @v = expr


@dataclass
class Order:
    expr: Any
    descending: bool = False


@dataclass
class Table:
    name: List[str]
    alias: Optional[str] = None
    hints: List[str] = field(default_factory=list)
    args: Optional[List[Any]] = None     # a table function
    columns: List[str] = field(default_factory=list)


@dataclass
class Changetable:
    """CHANGETABLE(CHANGES t, v) or CHANGETABLE(VERSION t, (cols), (values))."""
    kind: str
    table: List[str]
    args: List[Any]
    alias: Optional[str] = None
    columns: List[str] = field(default_factory=list)


@dataclass
class Derived:
    query: Any
    alias: Optional[str] = None
    columns: List[str] = field(default_factory=list)


@dataclass
class Values:
    rows: List[List[Any]]


@dataclass
class Join:
    kind: str
    left: Any
    right: Any
    on: Any = None


@dataclass
class Select:
    items: List[Item]
    distinct: bool = False
    top: Any = None
    top_percent: bool = False
    into: Optional[List[str]] = None
    source: Any = None
    where: Any = None
    group: List[Any] = field(default_factory=list)
    having: Any = None
    order: List[Order] = field(default_factory=list)
    offset: Any = None
    fetch: Any = None
    ctes: List[Any] = field(default_factory=list)
    for_xml: str = ""


@dataclass
class SetOperation:
    op: str
    left: Any
    right: Any
    order: List[Order] = field(default_factory=list)
    offset: Any = None
    fetch: Any = None
    ctes: List[Any] = field(default_factory=list)
    into: Any = None


# Statements; each has `line`.
@dataclass
class Statement:
    line: int = 0


@dataclass
class Query(Statement):
    query: Any = None


@dataclass
class Output:
    items: List[Item]
    into: Optional[List[str]] = None
    columns: List[str] = field(default_factory=list)


@dataclass
class Insert(Statement):
    table: Any = None
    columns: List[str] = field(default_factory=list)
    source: Any = None            # Values, query, Exec or None for DEFAULT VALUES
    output: Any = None
    ctes: List[Any] = field(default_factory=list)
    top: Any = None


@dataclass
class Update(Statement):
    table: Any = None
    sets: List[Any] = field(default_factory=list)   # (Column or None, variable or None, expr)
    source: Any = None
    where: Any = None
    output: Any = None
    top: Any = None
    ctes: List[Any] = field(default_factory=list)


@dataclass
class Delete(Statement):
    table: Any = None
    source: Any = None
    where: Any = None
    output: Any = None
    top: Any = None
    ctes: List[Any] = field(default_factory=list)


@dataclass
class Truncate(Statement):
    table: Any = None


@dataclass
class ColumnDef:
    name: str
    type: Any = None
    nullable: Optional[bool] = None
    identity: Any = None
    default: Any = None
    default_name: Optional[str] = None
    default_text: str = ""
    computed: Any = None
    computed_text: str = ""
    persisted: bool = False
    collation: str = ""
    sparse: bool = False
    rowguid: bool = False
    masked: str = ""
    type_name: str = ""
    constraints: List[Any] = field(default_factory=list)


@dataclass
class Constraint:
    kind: str                      # primary unique foreign check default
    name: Optional[str] = None
    columns: List[Any] = field(default_factory=list)   # (name, descending)
    clustered: Optional[bool] = None
    expr: Any = None
    text: str = ""
    target: Any = None
    target_columns: List[str] = field(default_factory=list)
    on_delete: str = ""
    on_update: str = ""
    column: str = ""


@dataclass
class CreateTable(Statement):
    name: List[str] = field(default_factory=list)
    columns: List[ColumnDef] = field(default_factory=list)
    constraints: List[Constraint] = field(default_factory=list)
    indexes: List[Any] = field(default_factory=list)


@dataclass
class AlterTable(Statement):
    name: List[str] = field(default_factory=list)
    action: str = ""
    args: Any = None


@dataclass
class CreateIndex(Statement):
    name: str = ""
    table: List[str] = field(default_factory=list)
    columns: List[Any] = field(default_factory=list)
    unique: bool = False
    clustered: bool = False
    include: List[str] = field(default_factory=list)
    where: Any = None
    where_text: str = ""


@dataclass
class Drop(Statement):
    kind: str = ""
    names: List[Any] = field(default_factory=list)
    if_exists: bool = False
    on: Any = None


@dataclass
class Definition(Statement):
    """CREATE or ALTER of a schema, database, view, trigger, procedure: a kind, a name, the rest."""
    kind: str = ""
    name: List[str] = field(default_factory=list)
    args: dict = field(default_factory=dict)


@dataclass
class Block(Statement):
    body: List[Any] = field(default_factory=list)


@dataclass
class If(Statement):
    condition: Any = None
    then: Any = None
    otherwise: Any = None


@dataclass
class While(Statement):
    condition: Any = None
    body: Any = None


@dataclass
class TryCatch(Statement):
    body: Any = None
    handler: Any = None


@dataclass
class Declare(Statement):
    items: List[Any] = field(default_factory=list)   # (name, SqlType or CreateTable, expr or None)


@dataclass
class SetVariable(Statement):
    name: str = ""
    op: str = "="
    expr: Any = None


@dataclass
class SetOption(Statement):
    names: List[str] = field(default_factory=list)
    value: Any = None


@dataclass
class Execute(Statement):
    name: List[str] = field(default_factory=list)
    args: List[Any] = field(default_factory=list)    # (name or None, expr, output)
    text: Any = None                                  # EXEC (expr)
    result: str = ""


@dataclass
class Simple(Statement):
    """PRINT, RAISERROR, THROW, BEGIN TRAN and others that have a few expressions."""
    kind: str = ""
    args: List[Any] = field(default_factory=list)
