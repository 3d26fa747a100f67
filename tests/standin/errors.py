# SPDX-License-Identifier: PostgreSQL
"""Errors as SQL Server numbers them, and PostgreSQL's errors in those numbers."""
import re


class SqlError(Exception):
    """An ERROR token to be: number, class (severity), state, text, line, procedure."""

    def __init__(self, number, text, severity=16, state=1, line=0, procedure=""):
        super().__init__(f"{number}: {text}")
        self.number, self.text, self.severity, self.state = number, text, severity, state
        self.line, self.procedure = line, procedure
        self.dooms = False      # the transaction can only be rolled back
        self.rolled_back = False  # the server has rolled the transaction back (1205, 3960)


def syntax(token_text, line=0):
    return SqlError(102, f"Incorrect syntax near '{token_text}'.", 15, 1, line)


def unknown_object(name):
    return SqlError(208, f"Invalid object name '{name}'.", 16, 1)


class Cancelled(Exception):
    """Attention arrived while a statement ran."""


def _raised(diag_message):
    """A stand-in function's own error: number|class|state|text."""
    number, severity, state, text = diag_message.split("|", 3)
    return SqlError(int(number), text, int(severity), int(state))


def _object(diag):
    schema = diag.schema_name or "dbo"
    name = diag.table_name or ""
    return f"{'dbo' if schema.startswith('pg_temp') else schema}.{name}"


def _unique(diag, is_primary_or_unique):
    values = re.search(r"\)=\((.*)\) (?:already exists|is duplicated)", diag.message_detail or "", re.S)
    value = f" The duplicate key value is ({values.group(1)})." if values else ""
    name, target = diag.constraint_name, _object(diag)
    if is_primary_or_unique:
        kind = "PRIMARY KEY" if is_primary_or_unique == "p" else "UNIQUE KEY"
        return SqlError(2627, f"Violation of {kind} constraint '{name}'. Cannot insert duplicate key in object '{target}'."
                              f"{value}", 14)
    return SqlError(2601, f"Cannot insert duplicate key row in object '{target}' with unique index '{name}'.{value}", 14)


def _foreign_key(diag, verb, database):
    deleting = "still referenced" in (diag.message_detail or "")
    kind = "REFERENCE" if deleting else "FOREIGN KEY"
    return SqlError(547, f"The {verb} statement conflicted with the {kind} constraint \"{diag.constraint_name}\". The conflict "
                         f"occurred in database \"{database}\", table \"{_object(diag)}\".", 16, 0)


_INPUT = re.compile(r'invalid input syntax for type (?:sys\.)?"?([\w ]+)"?: "(.*)"', re.S)
_TYPES = {"integer": "int", "smallint": "smallint", "bigint": "bigint", "numeric": "numeric", "double precision": "float",
          "real": "real", "uuid": "uniqueidentifier", "uniqueidentifier": "uniqueidentifier"}


def from_postgres(e, verb="INSERT", database="", kind_of_constraint=lambda diag: None):
    """The SqlError for a psycopg2 error. kind_of_constraint(diag) gives 'p', 'u' or None for a plain unique index."""
    diag = e.diag
    code, text = e.pgcode or "", diag.message_primary or str(e)
    if code == "MS000":
        return _raised(text)
    if code == "23505":
        return _unique(diag, kind_of_constraint(diag))
    if code == "23503":
        return _foreign_key(diag, verb, database)
    if code == "23514":
        return SqlError(547, f"The {verb} statement conflicted with the CHECK constraint \"{diag.constraint_name}\". The conflict "
                             f"occurred in database \"{database}\", table \"{_object(diag)}\".", 16, 0)
    if code == "23502":
        return SqlError(515, f"Cannot insert the value NULL into column '{diag.column_name}', table '{database}.{_object(diag)}'; "
                             f"column does not allow nulls. {verb} fails.", 16, 2)
    if code == "40P01":
        out = SqlError(1205, "Transaction was deadlocked on lock resources with another process and has been chosen as the "
                             "deadlock victim. Rerun the transaction.", 13, 45)
        out.rolled_back = True
        return out
    if code == "55P03":
        return SqlError(1222, "Lock request time out period exceeded.", 16, 45)
    if code == "40001":
        out = SqlError(3960, "Snapshot isolation transaction aborted due to update conflict. You cannot use snapshot isolation to "
                             f"access table directly or indirectly in database '{database}' to update, delete, or insert the row "
                             "that has been modified or deleted by another transaction. Retry the transaction or change the "
                             "isolation level for the update/delete statement.", 16, 2)
        out.rolled_back = True
        return out
    if code in ("42P01", "3F000"):
        m = re.search(r'"(.*?)"', text)
        return SqlError(208, f"Invalid object name '{m.group(1) if m else text}'.")
    if code == "42703":
        m = re.search(r'column "?([^" ]+(?: [^" ]+)*?)"? (?:of|does)', text)
        return SqlError(207, f"Invalid column name '{m.group(1).split('.')[-1] if m else text}'.")
    if code == "42501":
        m = re.search(r"for \w+ (\S+)", text)
        name = (m.group(1) if m else text).strip('"')
        return SqlError(229, f"The {verb} permission was denied on the object '{name}', database '{database}', schema 'dbo'.", 14, 5)
    if code == "22012":
        return SqlError(8134, "Divide by zero error encountered.", 16, 1)
    if code == "22003":
        m = re.search(r"(smallint|integer|bigint|numeric|tinyint)", text)
        name = _TYPES.get(m.group(1), m.group(1)) if m else "numeric"
        return SqlError(8115, f"Arithmetic overflow error converting expression to data type {name}.", 16, 2)
    if code == "22001":
        return SqlError(8152, "String or binary data would be truncated.", 16, 13)
    if code == "22P02":
        m = _INPUT.match(text)
        if m and m.group(1) in ("uuid", "uniqueidentifier"):
            return SqlError(8169, "Conversion failed when converting from a character string to uniqueidentifier.", 16, 2)
        if m and m.group(1) in ("numeric", "double precision", "real"):
            return SqlError(8114, f"Error converting data type varchar to {_TYPES[m.group(1)]}.", 16, 5)
        if m:
            return SqlError(245, f"Conversion failed when converting the varchar value '{m.group(2)}' to data type "
                                 f"{_TYPES.get(m.group(1), m.group(1))}.", 16, 1)
    if code == "42P07":
        m = re.search(r'"(.*)"', text)
        return SqlError(2714, f"There is already an object named '{m.group(1) if m else ''}' in the database.", 16, 6)
    if code == "21000" and "more than one row" in text:
        return SqlError(512, "Subquery returned more than 1 value. This is not permitted when the subquery follows =, !=, <, <= , "
                             ">, >= or when the subquery is used as an expression.", 16, 1)
    if code == "42883" and "function" in text:
        m = re.search(r"function (?:sys\.)?(.*?)\(", text)
        name = (m.group(1) if m else "").strip('"')
        return SqlError(195, f"'{name}' is not a recognized built-in function name ({text}).", 15, 10)
    if code in ("42883", "42804", "42846"):
        return SqlError(206, f"Operand type clash: {text}", 16, 2)
    if code == "57014":
        return SqlError(3617, "", 0, 0)
    return SqlError(50000, f"stand-in: PostgreSQL {code}: {text}", 16, 1)
