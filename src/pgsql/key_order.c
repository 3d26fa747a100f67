/* SPDX-License-Identifier: PostgreSQL */
#include "pgsql/key_order.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/mem.h"
#include "pgsql/sql.h"

enum { FIRST_NORMAL_OID = 16384 };

static const struct type *key_type(const struct table *table, uint16_t i, bool sink)
{
    const struct column *c = &table->columns[table->key[i]];
    return sink ? &c->sink_type : &c->source_type;
}

bool key_order_path(struct pg_conn *conn, const struct table *table, bool sink, char **path,
                    struct error *err)
{
    static const char sql[] =
        "SELECT string_agg(DISTINCT pg_catalog.quote_ident(n.nspname), ', ')"
        "  FROM pg_catalog.pg_opclass c"
        "  JOIN pg_catalog.pg_am m ON m.oid = c.opcmethod AND m.amname = 'btree'"
        "  JOIN pg_catalog.pg_amop a ON a.amopfamily = c.opcfamily AND a.amopstrategy = 3"
        "   AND a.amoplefttype = c.opcintype AND a.amoprighttype = c.opcintype"
        "  JOIN pg_catalog.pg_operator o ON o.oid = a.amopopr"
        "  JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace"
        " WHERE c.opcdefault AND c.opcintype = ANY ($1::oid[])"
        "   AND n.nspname <> 'pg_catalog'";
    struct buffer oids = {0};
    bool ask = false;
    *path = NULL;
    for (uint16_t i = 0; i < table->key_count; i++) {
        const struct type *t = key_type(table, i, sink);
        uint32_t oid = t->base_oid ? t->base_oid : t->oid;
        buffer_printf(&oids, "%s%" PRIu32, i ? "," : "{", oid);
        ask = ask || oid >= FIRST_NORMAL_OID;
    }
    buffer_puts(&oids, "}");
    bool ok = true;
    if (ask) {
        const char *params[] = {buffer_text(&oids)};
        PGresult *r = pg_query(conn, sql, 1, params, err);
        ok = r != NULL;
        if (r && !PQgetisnull(r, 0, 0))
            *path = mem_strdup(PQgetvalue(r, 0, 0));
        PQclear(r);
    }
    buffer_free(&oids);
    return ok;
}

bool key_order_read(struct pg_conn *source, const struct table *table, struct key_order *out,
                    struct error *err)
{
    static const char sql[] =
        "SELECT coalesce((SELECT s.correlation FROM pg_catalog.pg_stats s"
        "                  JOIN pg_catalog.pg_namespace n ON n.nspname = s.schemaname"
        "                  WHERE n.oid = r.relnamespace AND s.tablename = r.relname"
        "                    AND s.attname = ($2::text[])[1] AND NOT s.inherited), 1),"
        "       EXISTS (SELECT 1 FROM pg_catalog.pg_index i"
        "                JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid"
        "                JOIN pg_catalog.pg_am m ON m.oid = c.relam AND m.amname = 'btree'"
        "               WHERE i.indrelid = r.oid AND i.indisvalid AND i.indpred IS NULL"
        "                 AND cardinality($2::text[]) ="
        "                     (SELECT count(*) FROM unnest(i.indkey::int2[], i.indclass::oid[],"
        "                             i.indcollation::oid[]) WITH ORDINALITY k(attnum, class, coll, ord)"
        "                      JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum = k.attnum"
        "                      JOIN pg_catalog.pg_opclass o ON o.oid = k.class"
        "                      WHERE a.attname = ($2::text[])[k.ord] AND a.attnotnull AND o.opcdefault"
        "                        AND (k.coll = 0 OR k.coll = a.attcollation)))"
        "  FROM pg_catalog.pg_class r WHERE r.oid = $1::oid";
    struct buffer oid = {0}, names = {0};
    const char **keys = mem_alloc((size_t)table->key_count * sizeof(*keys) + 1);
    for (uint16_t i = 0; i < table->key_count; i++)
        keys[i] = table->columns[table->key[i]].source;
    buffer_printf(&oid, "%" PRIu32, table->source_oid);
    sql_array(&names, keys, table->key_count);
    const char *params[] = {buffer_text(&oid), buffer_text(&names)};
    PGresult *r = pg_query(source, sql, 2, params, err);
    bool ok = r != NULL;
    *out = (struct key_order){.correlation = 1};
    if (r && PQntuples(r) == 1) {
        out->correlation = fabs(strtod(PQgetvalue(r, 0, 0), NULL));
        out->indexed = PQgetvalue(r, 0, 1)[0] == 't';
    }
    PQclear(r);
    free(keys);
    buffer_free(&oid);
    buffer_free(&names);
    return ok;
}
