# SPDX-License-Identifier: PostgreSQL
"""Are two databases equal? Asked of the servers themselves, by a query that shares nothing with the programs under
test: per table the number of rows and a digest of the sorted multiset of their rows as text."""
from psycopg2 import sql

TABLES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence = 'p'
   AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'crossfade') ORDER BY 1, 2"""
COLUMNS = """
SELECT attname, atttypid::regtype::text FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attname"""
SESSION = "SET extra_float_digits = 3; SET datestyle = 'ISO, MDY'; SET intervalstyle = 'postgres'; SET timezone = 'UTC'; SET bytea_output = 'hex'; SET search_path = pg_catalog"


def tables(database):
    return database.query(TABLES)


def _columns(connection, table):
    with connection.cursor() as cur:
        cur.execute(COLUMNS, (sql.Identifier(*table).as_string(connection),))
        return dict(cur.fetchall())


def _row(columns, exact):
    """A row as text. Floats by their bits where versions differ: before 12 servers wrote them in other digits."""
    send = {"real": "float4send", "double precision": "float8send"} if exact else {}
    return sql.SQL("ROW({})::text").format(sql.SQL(", ").join(
        sql.SQL("pg_catalog.{}({})").format(sql.Identifier(send[t]), sql.Identifier(c)) if t in send else sql.Identifier(c)
        for c, t in columns.items()))


def digest(database, table, columns=None, exact=False):
    """(rows, digest) of a table given as (schema, name)."""
    c = database.connect()
    try:
        with c.cursor() as cur:
            cur.execute(SESSION)
            columns = columns or _columns(c, table)
            row = _row(columns, exact)
            cur.execute(sql.SQL("SELECT count(*), md5(coalesce(string_agg(m, '' ORDER BY m), '')) "
                                "FROM (SELECT md5({}) AS m FROM {}) s").format(row, sql.Identifier(*table)))
            return cur.fetchone()
    finally:
        c.close()


def rows(database, table, columns, exact=False, limit=200000):
    c = database.connect()
    try:
        with c.cursor() as cur:
            cur.execute(SESSION)
            row = _row(columns, exact)
            cur.execute(sql.SQL("SELECT {} FROM {} LIMIT %s").format(row, sql.Identifier(*table)), (limit,))
            return [r[0] for r in cur.fetchall()]
    finally:
        c.close()


def columns_of(database, table):
    c = database.connect()
    try:
        return _columns(c, table)
    finally:
        c.close()


def differences(legacy, target, renames=None, only=None):
    """A list of texts, one a table that is not equal; empty when all are. Columns are those of the legacy."""
    out = []
    exact = min(legacy.server.version, target.server.version) < 120000
    for table in tables(legacy):
        if only is not None and table[1] not in only:
            continue
        other = (renames or {}).get(table, table)
        columns = columns_of(legacy, table)
        a, b = digest(legacy, table, columns, exact), digest(target, other, columns, exact)
        if a != b:
            out.append(f"{'.'.join(table)}: legacy {a}, target {b}\n" + _sample(legacy, target, table, other, columns, exact))
    return out


def _sample(legacy, target, table, other, columns, exact):
    from collections import Counter
    a, b = Counter(rows(legacy, table, columns, exact)), Counter(rows(target, other, columns, exact))
    lines = [f"   - only legacy x{n}: {r[:300]}" for r, n in sorted((a - b).items())[:5]]
    lines += [f"   + only target x{n}: {r[:300]}" for r, n in sorted((b - a).items())[:5]]
    return "\n".join(lines)
