/* SPDX-License-Identifier: PostgreSQL
 *
 * How values of a PostgreSQL table's columns are written into a SQL Server table's. A source type that is a
 * carrier of the column's type goes as that; integers of another width are read by their width and checked
 * against the column; anything that comes as text goes into characters.
 *
 * Computed and rowversion columns are the server's: they are never written. text, ntext and image are written
 * like their (max) kin; only change data capture has no values of them.
 */
#include "mssql/ms_sink_part.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "mssql/sql.h"

static bool is_integer(uint32_t oid)
{
    return oid == MS_OID_INT2 || oid == MS_OID_INT4 || oid == MS_OID_INT8;
}

/* PostgreSQL types whose binary format is their text. */
static bool is_text(const struct type *t)
{
    enum { OID_CHAR = 18, OID_NAME = 19 };
    return t->base_oid == MS_OID_TEXT || t->base_oid == MS_OID_VARCHAR || t->base_oid == MS_OID_BPCHAR ||
           t->base_oid == OID_NAME || t->base_oid == MS_OID_JSON || t->base_oid == MS_OID_XML ||
           t->kind == 'e';
}

static bool find_carrier(const struct ms_type *type, const struct type *source, struct ms_carrier *out)
{
    uint32_t oid = source->base_oid ? source->base_oid : source->oid;
    const struct ms_carrier *c = ms_type_offers(type, oid);
    if (c) {
        *out = *c;
        return true;
    }
    if (is_integer(oid) && type->id <= MS_BIGINT) {
        *out = (struct ms_carrier){.convert = MS_CONVERT_INT, .oid = oid, .fit = MS_CHECKED};
        return true;
    }
    if (is_text(source) && type->carriers[0].convert == MS_CONVERT_TEXT) {
        *out = type->carriers[0];
        return true;
    }
    const struct ms_carrier *text = is_text(source) ? ms_type_offers(type, MS_OID_TEXT) : NULL;
    if (text)
        *out = *text;
    return text != NULL;
}

/* Types that '=' and CONVERT to bytes can't tell rows by. */
static bool is_incomparable(enum ms_type_id id)
{
    return id == MS_SQL_VARIANT || id == MS_HIERARCHYID || id == MS_GEOMETRY || id == MS_GEOGRAPHY;
}

static bool has_code_page(const struct ms_column_type *type)
{
    enum ms_type_id id = type->type->id;
    return (id == MS_CHAR || id == MS_VARCHAR || id == MS_TEXT) && !type->is_utf8;
}

static void describe(const struct ms_catalog_column *c, struct ms_sink_column *out)
{
    struct buffer name = {0};
    ms_sql_ident(&name, c->name);
    out->name = buffer_detach(&name);
    out->type = c->type;
    out->collation = mem_strdup(c->type.collation);
    out->type.collation = out->collation;
    out->identity = c->identity;
    out->skipped = c->computed || (c->type.type && c->type.type->id == MS_ROWVERSION) || c->generated_always;
    out->code_page = c->type.type && has_code_page(&c->type);
}

static bool make_column(const struct table *t, uint16_t at, const struct ms_catalog_column *c,
                        const struct ms_value_policy *policy, struct ms_sink_column *out, struct error *err)
{
    const struct column *column = &t->columns[at];
    describe(c, out);
    if (out->skipped && !column->key)
        return true;
    if (out->skipped)
        return error_set(err, ERROR_TABLE,
                         "%s: key column %s is the server's to fill (computed or rowversion)", t->to,
                         c->name);
    if (!c->type.type || c->encrypted || c->column_set)
        return error_set(err, ERROR_TABLE, "%s: column %s of type %s can't be written", t->to, c->name,
                         c->type_name);
    if (!find_carrier(c->type.type, &column->source_type, &out->carrier))
        return error_set(err, ERROR_TABLE, "%s: column %s of type %s takes no values of PostgreSQL's %s",
                         t->to, c->name, c->type_name, column->source_type.display);
    if (t->key_count == 0 && is_incomparable(c->type.type->id))
        return error_set(err, ERROR_TABLE,
                         "%s: it has no key, and rows can't be found by column %s of type %s - give it a key",
                         t->to, c->name, c->type_name);
    if (column->policy.time_zone && !column->policy.zone)
        return error_set(err, ERROR_TABLE, "%s: column %s: time zone %s is not known to the target", t->to,
                         c->name, column->policy.time_zone);
    struct ms_value_policy own = policy ? *policy : (struct ms_value_policy){0};
    if (column->policy.zone)
        own.zone = column->policy.zone;
    ms_codec_make(&out->type, &out->carrier, &own, &out->codec);
    return true;
}

static bool is_carried(const struct table *t, const struct ms_catalog_table *c, int at)
{
    for (uint16_t i = 0; i < t->column_count; i++)
        if (ms_catalog_column_at(c, t->columns[i].sink) == ms_catalog_column_at(c, c->columns[at].name))
            return true;
    return false;
}

static void find_extra(struct ms_sink_table *self, const struct ms_catalog_table *c)
{
    self->extra = mem_alloc((c->column_count + 1u) * sizeof(*self->extra));
    for (int i = 0; i < c->column_count; i++) {
        struct ms_sink_column *e = &self->extra[self->extra_count];
        if (is_carried(self->table, c, i))
            continue;
        describe(&c->columns[i], e);
        self->extra_count++;
    }
}

static bool is_referenced(const struct ms_catalog *catalog, int32_t object_id)
{
    for (uint32_t i = 0; i < catalog->foreign_key_count; i++)
        if (catalog->foreign_keys[i].parent == object_id)
            return true;
    return false;
}

bool ms_sink_table_make(struct ms_sink_table *self, const struct ms_catalog *catalog,
                        const struct ms_value_policy *policy, struct error *err)
{
    struct table *t = self->table;
    const struct ms_catalog_table *c = ms_catalog_find(catalog, t->to_schema, t->to_name);
    struct buffer name = {0};
    self->identity = -1;
    if (!c)
        return error_set(err, ERROR_TABLE, "%s: there is no such table in %s", t->to, catalog->database.name);
    if (c->external || c->temporal == 1)
        return error_set(err, ERROR_TABLE, "%s: external and history tables can't be written to", t->to);
    if (t->column_count > 64 * MS_MASK_WORDS)
        return error_set(err, ERROR_TABLE, "%s: more than %d columns", t->to, 64 * MS_MASK_WORDS);
    ms_sql_qualified(&name, c->schema, c->name);
    self->name = buffer_detach(&name);
    self->columns = mem_alloc((t->column_count + 1u) * sizeof(*self->columns));
    for (uint16_t i = 0; i < t->column_count; i++) {
        const struct ms_catalog_column *column = ms_catalog_column(c, t->columns[i].sink);
        if (!column)
            return error_set(err, ERROR_TABLE, "%s: there is no column %s", t->to, t->columns[i].sink);
        if (!make_column(t, i, column, policy, &self->columns[i], err))
            return false;
        if (column->identity)
            self->identity = i;
    }
    find_extra(self, c);
    /* 4711 and 4712 say no to the others; without ALTER it is 1088. */
    self->can_truncate = c->can_alter && !c->cdc && !c->replicated && !c->change_tracking &&
                         !c->memory_optimized && !c->temporal && !is_referenced(catalog, c->object_id);
    self->usable = true;
    return true;
}

static void free_columns(struct ms_sink_column *columns, uint16_t count)
{
    for (uint16_t i = 0; columns && i < count; i++) {
        free(columns[i].name);
        free(columns[i].collation);
    }
    free(columns);
}

void ms_sink_table_free(struct ms_sink_table *self)
{
    free_columns(self->columns, self->table->column_count);
    free_columns(self->extra, self->extra_count);
    free(self->name);
    ms_sink_forget_keys(self);
}

bool ms_sink_unfit(const struct table *table, const struct ms_catalog *catalog, struct error *why)
{
    struct table copy = *table;
    struct ms_sink_table t = {.table = &copy};
    bool ok = ms_sink_table_make(&t, catalog, NULL, why);
    ms_sink_table_free(&t);
    return !ok;
}

/* --- order by foreign keys --- */

static struct table *table_of(const struct table_set *tables, const struct ms_catalog *catalog,
                              int32_t object_id)
{
    const struct ms_catalog_table *c = ms_catalog_by_id(catalog, object_id);
    for (uint32_t i = 0; c && i < tables->count; i++) {
        struct table *t = tables->tables[i];
        if (ms_catalog_find(catalog, t->to_schema, t->to_name) == c)
            return t;
    }
    return NULL;
}

/* A cycle has no order: after as many rounds as there are tables its ranks are as good as any, and what
 * collides with it is replayed in source order. */
void ms_sink_table_rank(const struct table_set *tables, const struct ms_catalog *catalog)
{
    bool moved = true;
    for (uint32_t i = 0; i < tables->count; i++)
        tables->tables[i]->rank = 0;
    for (uint32_t round = 0; moved && round < tables->count; round++) {
        moved = false;
        for (uint32_t i = 0; i < catalog->foreign_key_count; i++) {
            const struct ms_foreign_key *f = &catalog->foreign_keys[i];
            struct table *child = table_of(tables, catalog, f->child);
            const struct table *parent = table_of(tables, catalog, f->parent);
            if (!child || !parent || child == parent || child->rank > parent->rank)
                continue;
            child->rank = parent->rank + 1;
            moved = true;
        }
    }
}
