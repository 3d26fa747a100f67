/* SPDX-License-Identifier: PostgreSQL
 *
 * Indexes and foreign keys of a table of a SQL Server. A unique index takes one NULL there, so it says NULLS
 * NOT DISTINCT where the target knows that. Included columns that could make an entry longer than PostgreSQL
 * takes are left out: an index must never refuse a row that the SQL Server took.
 */
#include <stdlib.h>
#include <string.h>

#include "control/schema_mssql.h"
#include "pgsql/pair_names.h"
#include "pgsql/sql.h"

enum { ENTRY_BYTES = 2600, OTHER_BYTES = 16 }; /* a third of a page, less its head */

/* At most, in UTF-8. */
static size_t entry_bytes(const struct ms_catalog_column *c)
{
    uint32_t length = ms_type_length(&c->type);
    if (ms_type_is_large(&c->type))
        return ENTRY_BYTES;
    if (c->type.type->id == MS_BINARY || c->type.type->id == MS_VARBINARY)
        return length;
    return c->type.type->characters ? (size_t)length * 3 : OTHER_BYTES;
}

static bool is_key_of_its_own(const struct ms_catalog_table *t, const struct ms_index *x)
{
    for (uint16_t i = 0; i < t->index_count; i++) {
        if (t->indexes[i].primary)
            return false;
    }
    return x->unique && !x->filter;
}

/* Has the target one of the same columns, as unique? */
static bool target_has(const struct schema_mssql_table *t, const struct ms_index *x)
{
    const struct pg_relation *to = t->target;
    for (uint16_t i = 0; to && i < to->index_count; i++) {
        const struct pg_index *y = &to->indexes[i];
        bool same = y->column_count == x->key_count && y->unique == x->unique &&
                    y->partial == (x->filter != NULL) && !y->has_expressions;
        uint16_t at = 0;
        for (uint16_t k = 0; same && k < x->column_count; k++) {
            if (x->columns[k].included)
                continue;
            char *name = pair_name(t->self->base->config, t->from->columns[x->columns[k].column].name);
            same = strcmp(to->columns[y->columns[at++]].name, name) == 0;
            free(name);
        }
        if (same)
            return true;
    }
    return false;
}

struct lists {
    struct buffer keys, included, left_out;
    size_t bytes;
    bool nullable, whole;
};

static void put_column(const struct schema_mssql_table *t, const struct ms_index_column *x, struct lists *out)
{
    const struct ms_catalog_column *c = &t->from->columns[x->column];
    char *name = schema_mssql_column((void *)(uintptr_t)t, c);
    struct buffer *list = x->included ? &out->included : &out->keys;
    size_t bytes = c->type.type ? entry_bytes(c) : 0;
    out->whole &= name != NULL || x->included;
    out->nullable |= !x->included && c->nullable;
    if (!name || (x->included && out->bytes + bytes > ENTRY_BYTES)) {
        if (x->included)
            buffer_printf(&out->left_out, "%s%s", out->left_out.length ? ", " : "", c->name);
    } else {
        buffer_puts(list, list->length ? ", " : "");
        sql_ident(list, name);
        buffer_puts(list, x->descending ? " DESC" : "");
        out->bytes += bytes;
    }
    free(name);
}

/* Why it can't be made; NULL: it can. Its filter is appended. */
static const char *obstacle(const struct schema_mssql_table *t, const struct ms_index *x,
                            const struct lists *lists, struct buffer *filter, struct buffer *why)
{
    struct mssql_expression_rules rules = t->rules;
    rules.name = schema_mssql_column;
    if (x->kind == MS_INDEX_XML)
        return "an index of xml has no like there";
    if (x->kind == MS_INDEX_SPATIAL)
        return "an index of shapes is PostGIS's";
    if (x->kind == MS_INDEX_CLUSTERED_COLUMNSTORE || x->kind == MS_INDEX_NONCLUSTERED_COLUMNSTORE)
        return "columnstore has no like there";
    if (x->disabled)
        return "it is disabled";
    if (!lists->whole || lists->keys.length == 0)
        return "the target has not all of its columns";
    if (x->filter && !mssql_expression_condition(&rules, x->filter, filter, why)) {
        buffer_printf(why, ": %s", x->filter);
        return buffer_text(why);
    }
    return NULL;
}

static void put_index(const struct schema_mssql_table *t, const struct ms_index *x, const struct lists *lists,
                      const char *filter)
{
    struct buffer sql = {0};
    char *name = schema_mssql_constraint(t, t->schema, x->name, "key");
    buffer_puts(&sql, x->unique ? "CREATE UNIQUE INDEX " : "CREATE INDEX ");
    sql_ident(&sql, name);
    buffer_puts(&sql, " ON ");
    sql_qualified(&sql, t->schema, t->name);
    buffer_printf(&sql, " (%s)", buffer_text(&lists->keys));
    if (lists->included.length)
        buffer_printf(&sql, " INCLUDE (%s)", buffer_text(&lists->included));
    if (x->unique && lists->nullable && t->self->base->sink.version >= 150000)
        buffer_puts(&sql, " NULLS NOT DISTINCT");
    if (*filter)
        buffer_printf(&sql, " WHERE %s", filter);
    fprintf(t->self->base->out, "%s;\n", buffer_text(&sql));
    buffer_free(&sql);
    free(name);
}

static void one_index(const struct schema_mssql_table *t, const struct ms_index *x)
{
    struct lists lists = {.whole = true};
    struct buffer filter = {0}, why = {0};
    for (uint16_t i = 0; i < x->column_count; i++)
        put_column(t, &x->columns[i], &lists);
    const char *no = obstacle(t, x, &lists, &filter, &why);
    if (no)
        schema_mssql_comment(t->self, "%s.%s: no index %s - %s", t->from->schema, t->from->name, x->name, no);
    else
        put_index(t, x, &lists, buffer_text(&filter));
    if (!no && lists.left_out.length)
        schema_mssql_comment(t->self,
                             "%s.%s: index %s without its included columns %s - not there, or too long",
                             t->from->schema, t->from->name, x->name, buffer_text(&lists.left_out));
    if (!no && lists.bytes > ENTRY_BYTES)
        schema_mssql_comment(
            t->self, "%s.%s: index %s takes no row whose key is longer than about 2,600 bytes in UTF-8",
            t->from->schema, t->from->name, x->name);
    buffer_free(&lists.keys);
    buffer_free(&lists.included);
    buffer_free(&lists.left_out);
    buffer_free(&filter);
    buffer_free(&why);
}

void schema_mssql_indexes(const struct schema_mssql_table *t, bool keys)
{
    for (uint16_t i = 0; i < t->from->index_count; i++) {
        const struct ms_index *x = &t->from->indexes[i];
        if (!x->name || x->primary || is_key_of_its_own(t->from, x) != keys || target_has(t, x))
            continue;
        one_index(t, x);
    }
    /* The keys of a table that is there, if it lacks them. */
    for (uint16_t i = 0; !keys && t->target && i < t->from->index_count; i++) {
        const struct ms_index *x = &t->from->indexes[i];
        if (x->name && !x->primary && is_key_of_its_own(t->from, x) && !target_has(t, x))
            one_index(t, x);
    }
}

/* --- foreign keys --- */

static const char *const actions[] = {"NO ACTION", "CASCADE", "SET NULL", "SET DEFAULT"};

static bool put_columns(const struct schema_mssql_table *t, const int32_t *ids, uint16_t count,
                        struct buffer *out)
{
    for (uint16_t i = 0; i < count; i++) {
        const struct ms_catalog_column *c = NULL;
        for (uint16_t k = 0; k < t->from->column_count; k++) {
            if (t->from->columns[k].id == ids[i])
                c = &t->from->columns[k];
        }
        char *name = c ? schema_mssql_column((void *)(uintptr_t)t, c) : NULL;
        if (!name)
            return false;
        buffer_puts(out, i ? ", " : "");
        sql_ident(out, name);
        free(name);
    }
    return true;
}

static bool has_constraint(const struct schema_mssql_table *t, const char *name)
{
    const PGresult *r = t->self->constraints;
    for (int i = 0; t->target && i < PQntuples(r); i++) {
        if (strtoul(PQgetvalue(r, i, 0), NULL, 10) == t->target->oid &&
            strcmp(PQgetvalue(r, i, 1), name) == 0)
            return true;
    }
    return false;
}

static const char *put_foreign_key(const struct schema_mssql_table *t, const struct schema_mssql_table *to,
                                   const struct ms_foreign_key *f, const char *name, struct buffer *sql)
{
    struct buffer from = {0}, into = {0};
    const char *no = NULL;
    if (!put_columns(t, f->child_columns, f->column_count, &from) ||
        !put_columns(to, f->parent_columns, f->column_count, &into))
        no = "the target has not all of its columns";
    buffer_puts(sql, "ALTER TABLE ");
    sql_qualified(sql, t->schema, t->name);
    buffer_puts(sql, " ADD CONSTRAINT ");
    sql_ident(sql, name);
    buffer_printf(sql, " FOREIGN KEY (%s) REFERENCES ", buffer_text(&from));
    sql_qualified(sql, to->schema, to->name);
    buffer_printf(sql, " (%s)", buffer_text(&into));
    if (f->on_delete > 0 && f->on_delete < 4)
        buffer_printf(sql, " ON DELETE %s", actions[f->on_delete]);
    if (f->on_update > 0 && f->on_update < 4)
        buffer_printf(sql, " ON UPDATE %s", actions[f->on_update]);
    buffer_puts(sql, f->not_trusted ? " NOT VALID;\n" : ";\n");
    buffer_free(&from);
    buffer_free(&into);
    return no;
}

static void one_foreign_key(const struct schema_mssql_table *t, const struct ms_foreign_key *f)
{
    struct schema_mssql_table to;
    struct buffer sql = {0}, scope = {0};
    buffer_printf(&scope, "%s.%s", t->schema, t->name);
    char *name = schema_mssql_constraint(t, buffer_text(&scope), f->name, "fkey");
    const char *no = NULL;
    bool there = has_constraint(t, name), entered = schema_mssql_enter(t->self, f->parent, &to);
    if (f->disabled)
        no = "it is disabled, so that its rows may have no parent";
    else if (!entered)
        no = "the table it refers to is not of this pipeline";
    else
        no = put_foreign_key(t, &to, f, name, &sql);
    if (!there && no)
        schema_mssql_comment(t->self, "%s.%s: no foreign key %s - %s", t->from->schema, t->from->name,
                             f->name, no);
    else if (!there)
        fputs(buffer_text(&sql), t->self->base->out);
    if (entered)
        schema_mssql_leave(&to);
    buffer_free(&sql);
    buffer_free(&scope);
    free(name);
}

void schema_mssql_foreign_keys(const struct schema_mssql_table *t)
{
    const struct ms_catalog *c = &t->self->catalog;
    for (uint32_t i = 0; i < c->foreign_key_count; i++) {
        if (c->foreign_keys[i].child == t->from->object_id)
            one_foreign_key(t, &c->foreign_keys[i]);
    }
}
