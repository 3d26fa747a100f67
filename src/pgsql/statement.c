/* SPDX-License-Identifier: PostgreSQL
 *
 * Keyed statements, set-based and for one row, which differ only in where a value comes from: a column of
 * unnest, u.p1, or a parameter, $1. Keys are compared with their own type's =, never IS NOT DISTINCT FROM, so
 * that the key's index serves them.
 */
#include "pgsql/statement.h"

#include <assert.h>
#include <stdlib.h>

#include "pgsql/sql.h"
#include "pgsql/statement_part.h"

enum { OID_TEXT = 25 };

void statement_free(struct statement *self)
{
    buffer_free(&self->sql);
    free(self->params);
    *self = (struct statement){0};
}

uint32_t statement_wire_oid(const struct column *column)
{
    if (column->wire_oid)
        return column->wire_oid;
    return column->sink_type.base_oid ? column->sink_type.base_oid : column->sink_type.oid;
}

bool statement_can_set(const struct table *table, const uint64_t *mask, const uint64_t *text_mask)
{
    for (uint16_t i = 0; i < table->column_count; i++) {
        const struct column *c = &table->columns[i];
        bool splits = c->sink_type.category == 'A' || c->sink_type.category == 'C';
        bool as_text = statement_part_has(text_mask, i) || statement_wire_oid(c) == OID_TEXT;
        if (splits && !as_text && (c->key || statement_part_has(mask, i)))
            return false;
    }
    return true;
}

/* A key column is set only where equal keys may differ in their bytes (1.0 and 1.00): the one that is set
 * last is the one that counts. */
static bool is_set(const struct table *table, const uint64_t *mask, uint16_t i)
{
    const struct column *c = &table->columns[i];
    return statement_part_has(mask, i) && !c->sink_identity_always && !(c->key && c->key_bytewise);
}

static bool any_set(const struct table *table, const uint64_t *mask)
{
    for (uint16_t i = 0; i < table->column_count; i++) {
        if (is_set(table, mask, i))
            return true;
    }
    return false;
}

/* GENERATED ALWAYS columns outside the key can't be set: the row is matched only if it needn't be. */
static bool is_pinned(const struct table *table, const uint64_t *mask, uint16_t i)
{
    const struct column *c = &table->columns[i];
    return statement_part_has(mask, i) && c->sink_identity_always && !c->key;
}

static void add_row_params(struct statement_part *p, const uint64_t *mask, bool update)
{
    for (uint16_t i = 0; i < p->table->column_count; i++) {
        if (update ? is_set(p->table, mask, i) || is_pinned(p->table, mask, i) : statement_part_has(mask, i))
            statement_part_param(p, i, false);
    }
}

static bool any_pinned(const struct table *table, const uint64_t *mask)
{
    for (uint16_t i = 0; i < table->column_count; i++) {
        if (is_pinned(table, mask, i))
            return true;
    }
    return false;
}

/* " AND (t.n = …)": they are what they are to become; or not. */
static void put_pinned(const struct statement_part *p, const uint64_t *mask, bool same)
{
    struct buffer *sql = &p->out->sql;
    if (!any_pinned(p->table, mask))
        return;
    const char *lead = same ? " AND (t." : " AND NOT (t.";
    for (uint16_t i = 0; i < p->table->column_count; i++) {
        if (!is_pinned(p->table, mask, i))
            continue;
        buffer_puts(sql, lead);
        sql_ident(sql, p->table->columns[i].sink);
        buffer_puts(sql, " = ");
        statement_part_value(p, i, false);
        lead = " AND t.";
    }
    buffer_putc(sql, ')');
}

static void put_update(struct statement_part *p, const uint64_t *mask)
{
    const struct table *t = p->table;
    struct buffer *sql = &p->out->sql;
    statement_part_key_params(p);
    add_row_params(p, mask, true);
    bool set = any_set(t, mask);
    buffer_puts(sql, set ? "UPDATE " : "SELECT 1 FROM ");
    statement_part_relation(p, true);
    const char *lead = " SET ";
    for (uint16_t i = 0; i < t->column_count; i++) {
        if (!is_set(t, mask, i))
            continue;
        buffer_puts(sql, lead);
        sql_ident(sql, t->columns[i].sink);
        buffer_puts(sql, " = ");
        statement_part_value(p, i, false);
        lead = ", ";
    }
    if (p->out->set_based) {
        buffer_puts(sql, set ? " FROM " : ", ");
        statement_part_unnest(p, false);
    }
    buffer_puts(sql, " WHERE ");
    statement_part_key_match(p);
    put_pinned(p, mask, true);
}

static void put_delete(struct statement_part *p)
{
    struct buffer *sql = &p->out->sql;
    statement_part_key_params(p);
    buffer_puts(sql, "DELETE FROM ");
    statement_part_relation(p, true);
    if (p->out->set_based) {
        buffer_puts(sql, " USING ");
        statement_part_unnest(p, false);
    }
    buffer_puts(sql, " WHERE ");
    statement_part_key_match(p);
}

/* "INSERT INTO t (…) SELECT …" without what may follow the source rows. */
static void put_insert(struct statement_part *p, const uint64_t *mask)
{
    struct buffer *sql = &p->out->sql;
    buffer_puts(sql, "INSERT INTO ");
    statement_part_relation(p, false);
    buffer_putc(sql, ' ');
    statement_part_columns(p, mask);
    if (statement_part_identity_always(p->table, mask))
        buffer_puts(sql, " OVERRIDING SYSTEM VALUE");
    const char *lead = " SELECT ";
    for (uint16_t i = 0; i < p->table->column_count; i++) {
        if (!statement_part_has(mask, i))
            continue;
        buffer_puts(sql, lead);
        statement_part_value(p, i, false);
        lead = ", ";
    }
    if (p->out->set_based) {
        buffer_puts(sql, " FROM ");
        statement_part_unnest(p, false);
    }
}

static void put_missing_where(struct statement_part *p, bool there, const uint64_t *mask)
{
    struct buffer *sql = &p->out->sql;
    buffer_puts(sql, there ? "EXISTS (SELECT 1 FROM " : "NOT EXISTS (SELECT 1 FROM ");
    statement_part_relation(p, true);
    buffer_puts(sql, " WHERE ");
    statement_part_key_match(p);
    put_pinned(p, mask, true);
    buffer_putc(sql, ')');
}

static void put_conflict(struct statement_part *p, const uint64_t *mask, bool overwrite)
{
    const struct table *t = p->table;
    struct buffer *sql = &p->out->sql;
    buffer_puts(sql, " ON CONFLICT (");
    statement_part_key_columns(p);
    buffer_puts(sql, overwrite ? ") DO UPDATE SET " : ") DO NOTHING");
    if (!overwrite)
        return;
    const char *lead = "";
    for (uint16_t i = 0; i < t->column_count; i++) {
        if (!is_set(t, mask, i))
            continue;
        buffer_puts(sql, lead);
        sql_ident(sql, t->columns[i].sink);
        buffer_puts(sql, " = excluded.");
        sql_ident(sql, t->columns[i].sink);
        lead = ", ";
    }
}

/* An UPSERT can't set a GENERATED ALWAYS column: a row that has another value there goes first. The INSERT
 * reads this CTE, so that it runs before. */
static void put_pinned_delete(struct statement_part *p, const uint64_t *mask)
{
    struct buffer *sql = &p->out->sql;
    buffer_puts(sql, "d AS (DELETE FROM ");
    statement_part_relation(p, true);
    if (p->out->set_based) {
        buffer_puts(sql, " USING ");
        statement_part_unnest(p, false);
    }
    buffer_puts(sql, " WHERE ");
    statement_part_key_match(p);
    put_pinned(p, mask, false);
    buffer_puts(sql, " RETURNING 1)");
}

static void add_insert_params(struct statement_part *p, const uint64_t *mask, bool upsert)
{
    add_row_params(p, mask, false);
    if (upsert && (!p->table->sink_key_arbiter || any_pinned(p->table, mask)))
        statement_part_key_params(p);
}

static void put_net_insert(struct statement_part *p, const uint64_t *mask, bool upsert)
{
    struct buffer *sql = &p->out->sql;
    bool arbiter = p->table->sink_key_arbiter;
    bool pinned = upsert && any_pinned(p->table, mask);
    put_insert(p, mask);
    if (pinned)
        buffer_puts(sql, " WHERE (SELECT pg_catalog.count(*) FROM d) >= 0");
    if (upsert && !arbiter) {
        buffer_puts(sql, pinned ? " AND " : " WHERE ");
        put_missing_where(p, false, mask);
    }
    if (arbiter)
        put_conflict(p, mask, upsert && any_set(p->table, mask));
}

/* True if the form's count is the number of rows it was given, when all is well. */
static bool is_countable(const struct table *table, enum net_op op, const uint64_t *mask)
{
    return op != NET_UPSERT || (table->sink_key_arbiter && any_set(table, mask));
}

void statement_net(const struct table *table, enum net_op op, const uint64_t *mask, const uint64_t *text_mask,
                   bool set_based, bool expect, struct statement *out)
{
    struct statement_part p;
    assert(op != NET_EXACT && (table->key_count > 0 || op == NET_INSERT));
    assert(!set_based || statement_can_set(table, op == NET_DELETE ? NULL : mask, text_mask));
    statement_part_start(&p, table, text_mask, set_based, out);
    out->checked = expect && is_countable(table, op, mask);
    if (op == NET_INSERT || op == NET_UPSERT)
        add_insert_params(&p, mask, op == NET_UPSERT);
    const char *with = "WITH ";
    if (op == NET_UPSERT && any_pinned(table, mask)) {
        buffer_puts(&out->sql, "WITH ");
        put_pinned_delete(&p, mask);
        with = out->checked ? ", " : " ";
    }
    if (out->checked)
        buffer_printf(&out->sql, "%sn AS (", with);
    else if (with[0] == ' ')
        buffer_putc(&out->sql, ' ');
    if (op == NET_DELETE)
        put_delete(&p);
    else if (op == NET_UPDATE)
        put_update(&p, mask);
    else
        put_net_insert(&p, mask, op == NET_UPSERT);
    if (!out->checked)
        return;
    if (op != NET_UPDATE || any_set(table, mask))
        buffer_puts(&out->sql, " RETURNING 1");
    buffer_printf(&out->sql, ") SELECT crossfade.expect((SELECT count(*) FROM n), $%u::pg_catalog.int8)",
                  out->param_count + 1u);
}

void statement_find(const struct table *table, const uint64_t *text_mask, bool there, struct statement *out)
{
    struct statement_part p;
    statement_part_start(&p, table, text_mask, true, out);
    statement_part_key_params(&p);
    buffer_puts(&out->sql, "SELECT u.n FROM ");
    statement_part_unnest(&p, true);
    buffer_puts(&out->sql, " WHERE ");
    put_missing_where(&p, there, NULL);
    buffer_puts(&out->sql, " ORDER BY u.n");
}

void statement_reread(const struct table *table, const uint64_t *text_mask, bool set_based, bool only_missing,
                      struct statement *out)
{
    struct statement_part p;
    statement_part_start(&p, table, text_mask, set_based, out);
    statement_part_key_params(&p);
    buffer_printf(&out->sql,
                  "INSERT INTO crossfade.reread (pipeline, table_name, key) SELECT $%u::pg_catalog.text, "
                  "$%u::pg_catalog.text, ARRAY[",
                  out->param_count + 1u, out->param_count + 2u);
    for (uint16_t i = 0; i < table->key_count; i++) {
        buffer_puts(&out->sql, i ? ", (" : "(");
        statement_part_value(&p, table->key[i], true);
        buffer_puts(&out->sql, ")::pg_catalog.text");
    }
    buffer_putc(&out->sql, ']');
    if (set_based) {
        buffer_puts(&out->sql, " FROM ");
        statement_part_unnest(&p, false);
    }
    if (only_missing) {
        buffer_puts(&out->sql, " WHERE ");
        put_missing_where(&p, false, NULL);
    }
    buffer_puts(&out->sql, " ON CONFLICT DO NOTHING");
}
