/* SPDX-License-Identifier: PostgreSQL */
#include "pgsql/publication.h"

#include "pgsql/sql.h"

/* pg_publication_tables lists the leaves of a partitioned table unless it is published through its root; that
 * it is there itself, the catalogs say. */
static const char listed[] =
    "SELECT t.schemaname, t.tablename FROM pub JOIN pg_catalog.pg_publication_tables t USING (pubname)"
    " UNION SELECT n.nspname, c.relname FROM pub p JOIN pg_catalog.pg_class c ON c.relkind IN ('r', 'p')"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    "  WHERE p.puballtables AND c.relkind = 'p' OR EXISTS ("
    "   SELECT FROM pg_catalog.pg_publication_rel r WHERE r.prpubid = p.oid AND r.prrelid = c.oid)";
static const char by_schema[] =
    " UNION SELECT n.nspname, c.relname FROM pub p"
    "  JOIN pg_catalog.pg_publication_namespace s ON s.pnpubid = p.oid"
    "  JOIN pg_catalog.pg_class c ON c.relnamespace = s.pnnspid AND c.relkind = 'p'"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace";

void publication_tables_sql(struct buffer *out, int version, const char *publication)
{
    buffer_puts(out, "WITH pub AS (SELECT oid, pubname, puballtables FROM pg_catalog.pg_publication"
                     " WHERE pubname = ");
    sql_literal(out, publication);
    buffer_puts(out, ") ");
    buffer_puts(out, listed);
    if (version >= 150000)
        buffer_puts(out, by_schema);
}
