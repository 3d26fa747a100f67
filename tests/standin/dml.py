# SPDX-License-Identifier: PostgreSQL
"""INSERT, UPDATE, DELETE as PostgreSQL statements."""
from . import ast, values
from .errors import SqlError, syntax, unknown_object
from .render import Renderer, pg_type, q, walk

OLD = "standin_old"     # the row before, for OUTPUT deleted.*


class Dml(Renderer):
    def target(self, table):
        """TableInfo of the changed table, which may be named by its alias in FROM."""
        info = None
        if len(table.name) == 1:
            known = self.scope.sources.get(table.name[0].lower())
            info = next((i for _, i in known or [] if i), None)
        info = info or self.session.table(table.name)
        if info is None:
            raise unknown_object(".".join(table.name))
        if info.kind == "v":
            raise SqlError(4406, f"stand-in: '{info.name}' is a view", 16)
        return info

    def coerced(self, text, info, column):
        """A value on its way into a column: with ANSI_WARNINGS OFF what is too long is cut, by an explicit cast."""
        fact = info.facts.get(column)
        if text in ("DEFAULT",) or fact is None:
            return text
        t = fact.type
        if t.name in ("char", "varchar", "nchar", "nvarchar", "binary", "varbinary") and not self.session.ansi_warnings:
            return f"({text})::{pg_type(t)}"
        if t.name in ("int", "smallint", "bigint", "tinyint"):
            return text
        return text

    # -- INSERT --------------------------------------------------------------------------------------------------------
    def insert(self, s):
        info = self.session.table(s.table.name)
        if info is None:
            raise unknown_object(".".join(s.table.name))
        self.declare([s.source, s.ctes, s.top], s.ctes)
        ctes = self.with_clause(s.ctes) if s.ctes else ""
        columns = self.insert_columns(s, info)
        names = f" ({', '.join(q(c) for c in columns)})" if columns else ""
        if s.source is None:
            body = " DEFAULT VALUES"
            names = ""
        else:
            body = " " + self.insert_body(s, info, columns)
        text = f"{ctes}INSERT INTO {info.qualified}{names}{body}"
        self.renamed = {"inserted": (info.name, info)}
        returning = self.returning(s.output, info)
        if s.output is None and info.identity:
            return f"{text} RETURNING {q(info.identity)}", info, True
        return self.with_output(text, returning, s.output), info, False

    def insert_columns(self, s, info):
        if s.columns:
            out = []
            for c in s.columns:
                if c.lower() not in info.columns:
                    raise SqlError(207, f"Invalid column name '{c}'.")
                out.append(info.columns[c.lower()])
        else:
            out = [c for c in info.columns.values() if not self.supplied(info, c)]
        for c in out:
            fact = info.facts.get(c)
            if fact and fact.type.name == "timestamp":
                raise SqlError(273, "Cannot insert an explicit value into a timestamp column. Use INSERT with a column list to exclude the "
                                    "timestamp column, or insert a DEFAULT into the timestamp column.")
            if fact and fact.computed:
                raise SqlError(271, f"The column \"{c}\" cannot be modified because it is either a computed column or is the result of a UNION operator.")
            if fact and fact.identity and s.columns and not self.session.identity_insert(info):
                raise SqlError(544, f"Cannot insert explicit value for identity column in table '{info.name}' when IDENTITY_INSERT is set to OFF.")
        if self.session.identity_insert(info) and info.identity and s.columns and info.identity not in out:
            raise SqlError(545, f"Explicit value must be specified for identity column in table '{info.name}' either when IDENTITY_INSERT is set to "
                                "ON or when a replication user is inserting into a NOT FOR REPLICATION identity column.")
        return out

    def supplied(self, info, c):
        """Columns an INSERT without a list leaves out: identity, computed, rowversion."""
        fact = info.facts.get(c)
        return fact is not None and (fact.identity or fact.computed or fact.type.name == "timestamp")

    def insert_body(self, s, info, columns):
        if isinstance(s.source, ast.Values):
            rows = []
            for row in s.source.rows:
                if len(row) != len(columns):
                    if len(row) > len(columns):
                        raise SqlError(213, "Column name or number of supplied values does not match table definition.")
                    raise SqlError(109 if s.columns else 213, "There are more columns in the INSERT statement than values specified in the VALUES clause. The number of "
                                   "values in the VALUES clause must match the number of columns specified in the INSERT statement."
                                   if s.columns else "Column name or number of supplied values does not match table definition.")
                rows.append("(" + ", ".join(self.coerced(self.expr(e), info, c) for e, c in zip(row, columns)) + ")")
            if len(rows) == 1:
                return "VALUES " + ", ".join(rows)
            # PostgreSQL wants one type a column of VALUES; an INSERT … SELECT UNION ALL would too: cast each to the column.
            return "VALUES " + ", ".join("(" + ", ".join(self.cast_to(self.expr(e), info, c) for e, c in zip(row, columns)) + ")"
                                         for row in s.source.rows)
        if isinstance(s.source, ast.Select) and len(s.source.items) == len(columns):
            for item, c in zip(s.source.items, columns):
                self.cast_constant(item, info.facts.get(c))
        query = self.query(s.source)
        limit = f" LIMIT ({self.expr(s.top)})::int8" if s.top is not None else ""
        if self.session.ansi_warnings or not any(self.coerced("x", info, c) != "x" for c in columns):
            return query + limit
        names = [f"c{i}" for i in range(len(columns))]
        listed = ", ".join(self.coerced(n, info, c) for n, c in zip(names, columns))
        return f"SELECT {listed} FROM ({query}) AS x ({', '.join(names)}){limit}"

    @staticmethod
    def cast_constant(item, fact):
        """A constant in SELECT gets its column's type at once; else PostgreSQL would convert it for every row."""
        plain = fact and fact.type.name not in values.CHARACTER + values.BINARY
        if plain and isinstance(item.expr, ast.Literal) and item.expr.kind not in ("null", "default"):
            item.expr = ast.Cast(item.expr, fact.type)

    def cast_to(self, text, info, column):
        """Every row of a VALUES list must have the column's type; too long a value must still fail, so no length here."""
        fact = info.facts.get(column)
        if fact is None or text == "DEFAULT":
            return text
        if not self.session.ansi_warnings:
            return f"({text})::{pg_type(fact.type)}"
        bare = pg_type(fact.type)
        if fact.type.name in ("char", "varchar", "nchar", "nvarchar", "binary", "varbinary"):
            bare = bare.partition("(")[0]
            if fact.type.name in ("char", "nchar"):
                bare = {"char": "sys.varchar", "nchar": "sys.nvarchar"}[fact.type.name]
        return f"({text})::{bare}"

    # -- UPDATE and DELETE -----------------------------------------------------------------------------------------------
    def update(self, s):
        self.declare([s.table, s.source, s.where, s.ctes, [e for _, _, e in s.sets]], s.ctes)
        info = self.target(s.table)
        alias = self.target_alias(s, info)
        ctes = self.with_clause(s.ctes) if s.ctes else ""
        sets, computed = [], []
        for column, variable, e in s.sets:
            if column is None or variable is not None:
                raise syntax(variable or "SET")
            name = self._column_of(info, column.parts[-1])
            fact = info.facts.get(name)
            if fact and fact.identity:
                raise SqlError(8102, f"Cannot update identity column '{name}'.")
            if fact and fact.type.name == "timestamp":
                raise SqlError(272, "Cannot update a timestamp column.")
            if fact and fact.computed:
                raise SqlError(271, f"The column \"{name}\" cannot be modified because it is either a computed column or is the result of a UNION operator.")
            value = self.coerced(self.expr(e), info, name)
            if s.source is not None and value != "DEFAULT":
                computed.append(f"NULL::{pg_type(fact.type)}" if value == "NULL" and fact else value)
                value = f"standin_rows.v{len(computed) - 1}"
            sets.append(f"{q(name)} = {value}")
        sources, conditions = self.change_sources(s, info, alias, computed)
        text = f"{ctes}UPDATE {info.qualified} AS {q(alias)} SET {', '.join(sets)}"
        if sources:
            text += " FROM " + ", ".join(sources)
        if conditions:
            text += " WHERE " + " AND ".join(conditions)
        self.renamed = {"inserted": (alias, info), "deleted": (OLD, info)}
        return self.with_output(text, self.returning(s.output, info), s.output), info

    def delete(self, s):
        self.declare([s.table, s.source, s.where, s.ctes], s.ctes)
        info = self.target(s.table)
        alias = self.target_alias(s, info)
        ctes = self.with_clause(s.ctes) if s.ctes else ""
        sources, conditions = self.change_sources(s, info, alias)
        text = f"{ctes}DELETE FROM {info.qualified} AS {q(alias)}"
        if sources:
            text += " USING " + ", ".join(sources)
        if conditions:
            text += " WHERE " + " AND ".join(conditions)
        self.renamed = {"deleted": (alias, info)}
        return self.with_output(text, self.returning(s.output, info), s.output), info

    def target_alias(self, s, info):
        """The name under which SET and WHERE speak of the changed table."""
        if s.source is None:
            return info.name
        return "standin_target"

    def change_sources(self, s, info, alias, computed=()):
        """FROM and WHERE of a change. With FROM the changed rows are found by a subquery over T-SQL's own FROM and joined by
        their ctid; the first match of a row wins, as which one does is not defined in T-SQL either."""
        sources, conditions = [], []
        if s.source is not None:
            spelling = self.source_alias(s, info)
            needed = f"{q(spelling)}.ctid AS standin_ctid"
            raise_from = self.source(s.source)
            where = f" WHERE {self.expr(s.where)}" if s.where is not None else ""
            limit = f" LIMIT ({self.expr(s.top)})::int8" if s.top is not None else ""
            listed = "".join(f", {e} AS v{i}" for i, e in enumerate(computed))
            sources.append(f"(SELECT DISTINCT ON (1) {needed}{listed} FROM {raise_from}{where}{limit}) AS standin_rows")
            conditions.append(f"{q(alias)}.ctid = standin_rows.standin_ctid")
        elif s.top is not None:
            where = f" WHERE {self.expr(s.where)}" if s.where is not None else ""
            conditions.append(f"{q(alias)}.ctid = ANY (ARRAY(SELECT ctid FROM {info.qualified}{where} LIMIT ({self.expr(s.top)})::int8 FOR UPDATE))")
        elif s.where is not None:
            conditions.append(self.expr(s.where))
        if isinstance(s, ast.Update) and s.output is not None and self.mentions_deleted(s.output):
            before = ", ".join(f"{q(c)} AS {q(OLD + c)}" for c in info.columns.values())
            sources.append(f"(SELECT ctid AS standin_ctid, {before} FROM {info.qualified}) AS {OLD}")
            conditions.append(f"{q(alias)}.ctid = {OLD}.standin_ctid")
        return sources, conditions

    def source_alias(self, s, info):
        for known in self.scope.sources.values():
            for spelling, i in known:
                if i is info or (i and i.oid == info.oid):
                    if len(s.table.name) == 1 and s.table.name[0].lower() == spelling.lower():
                        return spelling
        for known in self.scope.sources.values():
            for spelling, i in known:
                if i and i.oid == info.oid:
                    return spelling
        raise unknown_object(".".join(s.table.name))

    @staticmethod
    def mentions_deleted(output):
        return any((isinstance(n, ast.Column) and len(n.parts) > 1 and n.parts[-2].lower() == "deleted")
                   or (isinstance(n, ast.Star) and n.qualifier and n.qualifier[-1].lower() == "deleted") for n in walk(output.items))

    # -- OUTPUT ------------------------------------------------------------------------------------------------------------
    def returning(self, output, info):
        if output is None:
            return ""
        items = []
        for i in output.items:
            if isinstance(i.expr, ast.Star):
                name = (i.expr.qualifier or ["inserted"])[-1].lower()
                alias = self.renamed.get(name, (info.name, info))[0]
                prefix = OLD if alias == OLD else ""
                items += [f"{q(alias)}.{q(prefix + c)} AS {q(c)}" for c in info.columns.values()]
            else:
                items.append(self.item(i, False))
        return " RETURNING " + ", ".join(items)

    def with_output(self, text, returning, output):
        if output is None:
            return text
        if output.into is None:
            return text + returning
        into = self.session.table(output.into)
        if into is None:
            raise unknown_object(".".join(output.into))
        names = [self._column_of(into, c) for c in output.columns] or [c for c in into.columns.values() if not self.supplied(into, c)]
        return (f"WITH standin_changed AS ({text}{returning}) INSERT INTO {into.qualified} ({', '.join(q(n) for n in names)}) "
                "SELECT * FROM standin_changed")
