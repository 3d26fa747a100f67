/* SPDX-License-Identifier: PostgreSQL
 *
 * `crossfade check --data` on the target, with a SQL Server's eyes: what is there that could not go back.
 * Keys that its collations take for one ('a', 'A' and 'a '), and values outside the range of its types. A
 * warning each: the way forward does not mind.
 */
#include "control/check_mssql.h"

#include <stdlib.h>
#include <string.h>

#include "pgsql/sql.h"

struct way_back {
    struct check_mssql *self;
    const struct table *table;
    const struct ms_catalog_table *from;
};

static const struct column *carried(const struct way_back *w, const struct ms_catalog_column *c)
{
    for (uint16_t i = 0; i < w->table->column_count; i++) {
        if (strcmp(w->table->columns[i].source, c->name) == 0)
            return &w->table->columns[i];
    }
    return NULL;
}

static void from_table(const struct way_back *w, struct buffer *sql)
{
    buffer_puts(sql, w->table->sink_partitioned ? " FROM " : " FROM ONLY ");
    sql_qualified(sql, w->table->to_schema, w->table->to_name);
}

/* --- keys --- */

/* A text as the collation compares it. */
static void fold(const struct ms_catalog_column *c, const char *sink, int version, struct buffer *out)
{
    bool accents = !c->accent_sensitive && version >= 130000;
    buffer_puts(out, accents ? "regexp_replace(normalize(" : "");
    buffer_puts(out, c->case_sensitive ? "rtrim(" : "lower(rtrim(");
    sql_ident(out, sink);
    buffer_puts(out, c->case_sensitive ? "::text, ' ')" : "::text, ' '))");
    buffer_puts(out, accents ? ", NFD), '[\\u0300-\\u036f]', '', 'g')" : "");
}

/* False: nothing in it that compares otherwise here. */
static bool key_lists(const struct way_back *w, const struct ms_index *x, struct buffer *folded,
                      struct buffer *plain)
{
    bool texts = false;
    for (uint16_t i = 0; i < x->column_count; i++) {
        const struct ms_catalog_column *c = &w->from->columns[x->columns[i].column];
        const struct column *to = carried(w, c);
        if (x->columns[i].included)
            continue;
        if (!to)
            return false;
        buffer_puts(folded, folded->length ? ", " : "");
        buffer_puts(plain, plain->length ? ", " : "");
        if (c->type.type && c->type.type->characters) {
            fold(c, to->sink, w->self->check->target.conn.version, folded);
            texts = true;
        } else {
            sql_ident(folded, to->sink);
        }
        sql_ident(plain, to->sink);
    }
    return texts;
}

static void scan_key(const struct way_back *w, const struct ms_index *x)
{
    struct buffer folded = {0}, plain = {0}, sql = {0};
    PGresult *r = NULL;
    if (key_lists(w, x, &folded, &plain)) {
        buffer_printf(&sql,
                      "SELECT count(*), min(low), min(high) FROM (SELECT min(ROW(%s)::text) AS low,"
                      " max(ROW(%s)::text) AS high",
                      buffer_text(&plain), buffer_text(&plain));
        from_table(w, &sql);
        buffer_printf(&sql, " GROUP BY %s HAVING count(*) > 1) d", buffer_text(&folded));
        r = check_rows(w->self->check, &w->self->check->target, buffer_text(&sql));
    }
    if (r && strcmp(PQgetvalue(r, 0, 0), "0") != 0)
        check_say(w->self->check, PAIR_WARN, "data_collides", w->table->from, NULL,
                  "%s key(s) of the target's %s are one key to the legacy's %s, whose collation sees no "
                  "difference: %s and %s, for example - the way back would refuse them",
                  PQgetvalue(r, 0, 0), w->table->to, x->name, PQgetvalue(r, 0, 1), PQgetvalue(r, 0, 2));
    else if (r)
        check_say(w->self->check, PAIR_OK, "data", w->table->from, NULL,
                  "no keys of the target's %s are one to the legacy's %s", w->table->to, x->name);
    PQclear(r);
    buffer_free(&folded);
    buffer_free(&plain);
    buffer_free(&sql);
}

/* --- values --- */

/* What the legacy's type can't hold of its carrier's values, behind the column's name. */
static const struct {
    enum ms_type_id id;
    const char *kind; /* of the target: its type's category */
    const char *after;
} limits[] = {
    {MS_TINYINT, "N", " NOT BETWEEN 0 AND 255"},
    {MS_DATETIME, "D", "::timestamp NOT BETWEEN '1753-01-01' AND '9999-12-31 23:59:59.997'"},
    {MS_SMALLDATETIME, "D", "::timestamp NOT BETWEEN '1900-01-01' AND '2079-06-06 23:59:29'"},
    {MS_DATE, "D", "::timestamp NOT BETWEEN '0001-01-01' AND '9999-12-31'"},
    {MS_DATETIME2, "D", "::timestamp NOT BETWEEN '0001-01-01' AND '9999-12-31 23:59:59.999999'"},
    {MS_DATETIMEOFFSET, "D", "::timestamptz NOT BETWEEN '0001-01-02' AND '9999-12-30'"},
    {MS_MONEY, "N", "::numeric NOT BETWEEN -922337203685477.5808 AND 922337203685477.5807"},
    {MS_SMALLMONEY, "N", "::numeric NOT BETWEEN -214748.3648 AND 214748.3647"},
    {MS_FLOAT, "N", "::float8 IN ('NaN', 'Infinity', '-Infinity')"},
    {MS_REAL, "N", "::float8 IN ('NaN', 'Infinity', '-Infinity')"},
    {MS_DECIMAL, "N", "::numeric = 'NaN'"},
    {MS_NUMERIC, "N", "::numeric = 'NaN'"},
};

static bool condition(const struct way_back *w, const struct ms_catalog_column *c, const struct column *to,
                      struct buffer *out)
{
    int32_t modifier = to->sink_type.modifier;
    const struct pg_type_info *base =
        pg_catalog_base_type(&w->self->check->target.catalog, to->sink_type.oid, &modifier);
    uint32_t length = ms_type_length(&c->type);
    for (size_t i = 0; base && i < sizeof(limits) / sizeof(limits[0]); i++) {
        if (limits[i].id != c->type.type->id || *limits[i].kind != base->category)
            continue;
        sql_ident(out, to->sink);
        buffer_puts(out, limits[i].after);
        return true;
    }
    bool shorter = base && base->category == 'S' && c->type.type->characters && length > 0 &&
                   (base->oid == MS_OID_TEXT || modifier < 4 || (uint32_t)(modifier - 4) > length);
    if (shorter) {
        buffer_puts(out, "length(rtrim(");
        sql_ident(out, to->sink);
        buffer_printf(out, "::text, ' ')) > %u", length);
    }
    return shorter;
}

static void scan_column(const struct way_back *w, const struct ms_catalog_column *c, const struct column *to)
{
    struct buffer bad = {0}, sql = {0};
    PGresult *r = NULL;
    char *name = check_mssql_name(w->from, c);
    if (condition(w, c, to, &bad)) {
        buffer_puts(&sql, "SELECT count(*), min(ROW(");
        for (uint16_t i = 0; i < (w->table->key_count ? w->table->key_count : 1); i++) {
            buffer_puts(&sql, i ? ", " : "");
            sql_ident(&sql, w->table->columns[w->table->key_count ? w->table->key[i] : i].sink);
        }
        buffer_puts(&sql, ")::text)");
        from_table(w, &sql);
        buffer_printf(&sql, " WHERE %s", buffer_text(&bad));
        r = check_rows(w->self->check, &w->self->check->target, buffer_text(&sql));
    }
    if (r && strcmp(PQgetvalue(r, 0, 0), "0") != 0)
        check_say(w->self->check, PAIR_WARN, "data_way_back", name, NULL,
                  "%s value(s) of the target don't fit %s - the way back would refuse them; the row with key "
                  "%s, for example",
                  PQgetvalue(r, 0, 0), c->type_name, PQgetvalue(r, 0, 1));
    PQclear(r);
    free(name);
    buffer_free(&bad);
    buffer_free(&sql);
}

void check_mssql_collisions(struct check_mssql *self)
{
    struct error err = {0};
    if (!pg_exec(&self->check->target.conn, "SET statement_timeout = 0", &err))
        check_mssql_failed(self, "target", &err);
    for (uint32_t i = 0; i < self->check->pairing.tables.count; i++) {
        struct way_back w = {.self = self, .table = self->check->pairing.tables.tables[i]};
        w.from = ms_catalog_by_id(&self->catalog, (int32_t)w.table->source_oid);
        for (uint16_t k = 0; w.from && k < w.from->index_count; k++) {
            const struct ms_index *x = &w.from->indexes[k];
            if (x->unique && !x->filter && !x->disabled && x->name)
                scan_key(&w, x);
        }
        for (uint16_t k = 0; w.from && k < w.from->column_count; k++) {
            const struct ms_catalog_column *c = &w.from->columns[k];
            const struct column *to = carried(&w, c);
            if (to && c->type.type)
                scan_column(&w, c, to);
        }
    }
}
