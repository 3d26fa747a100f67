/* SPDX-License-Identifier: PostgreSQL */
#include "pgsql/statement_part.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pgsql/sql.h"
#include "pgsql/type_name.h"

enum { OID_TEXT = 25 };

void statement_part_start(struct statement_part *self, const struct table *table, const uint64_t *text_mask,
                          bool set_based, struct statement *out)
{
    *out = (struct statement){.set_based = set_based};
    *self = (struct statement_part){.table = table, .text_mask = set_based ? text_mask : NULL, .out = out};
    out->params = mem_grow(NULL, (size_t)table->column_count * 2, sizeof(*out->params));
}

bool statement_part_has(const uint64_t *mask, uint16_t column)
{
    return mask && (mask[column / 64] >> (column % 64) & 1);
}

static int find_param(const struct statement_part *self, uint16_t column, bool from_key)
{
    for (uint16_t i = 0; i < self->out->param_count; i++) {
        if (self->out->params[i].column == column && self->out->params[i].from_key == from_key)
            return i;
    }
    return -1;
}

static bool as_text(const struct statement_part *self, uint16_t column)
{
    return statement_part_has(self->text_mask, column);
}

uint16_t statement_part_param(struct statement_part *self, uint16_t column, bool from_key)
{
    int found = find_param(self, column, from_key);
    if (found >= 0)
        return (uint16_t)found;
    uint32_t oid = as_text(self, column) ? OID_TEXT : statement_wire_oid(&self->table->columns[column]);
    uint16_t at = self->out->param_count++;
    self->out->params[at] = (struct statement_param){column, from_key, oid};
    return at;
}

void statement_part_key_params(struct statement_part *self)
{
    for (uint16_t i = 0; i < self->table->key_count; i++)
        statement_part_param(self, self->table->key[i], true);
}

/* The type that a value is sent as. Where that is the source's type, to be cast, it is one of PostgreSQL's
 * own and has the same name on the sink; under a domain of the source it has to be named anew. */
static void put_wire_name(const struct statement_part *self, uint16_t column)
{
    const struct column *c = &self->table->columns[column];
    struct buffer *sql = &self->out->sql;
    if (as_text(self, column) || c->wire_oid == OID_TEXT)
        buffer_puts(sql, "pg_catalog.text");
    else if (!c->wire_cast || c->wire_oid != c->source_type.base_oid)
        buffer_puts(sql, c->sink_type.name);
    else if (c->source_type.kind != 'd' || !type_name(sql, c->wire_oid, -1))
        buffer_puts(sql, c->source_type.name);
}

static bool needs_cast(const struct statement_part *self, uint16_t column)
{
    return as_text(self, column) || self->table->columns[column].wire_cast;
}

void statement_part_value(const struct statement_part *self, uint16_t column, bool from_key)
{
    struct buffer *sql = &self->out->sql;
    int at = find_param(self, column, from_key);
    assert(at >= 0);
    buffer_printf(sql, self->out->set_based ? "u.p%d" : "$%d::", at + 1);
    if (!self->out->set_based)
        put_wire_name(self, column);
    if (needs_cast(self, column))
        buffer_printf(sql, "::%s", self->table->columns[column].sink_type.name);
}

/* A partitioned table is its partitions; anything else only itself: the source publishes children by
 * inheritance as tables of their own. */
void statement_part_relation(const struct statement_part *self, bool only)
{
    struct buffer *sql = &self->out->sql;
    if (only && !self->table->sink_partitioned)
        buffer_puts(sql, "ONLY ");
    sql_qualified(sql, self->table->to_schema, self->table->to_name);
    buffer_puts(sql, " AS t");
}

/* Sets in a target list advance together and give row by row; the same in FROM is stored first, read after.
 */
static void put_rows(const struct statement_part *self)
{
    struct buffer *sql = &self->out->sql;
    for (uint16_t i = 0; i < self->out->param_count; i++) {
        buffer_printf(sql, "%sunnest($%u::", i ? ", " : "(SELECT ", i + 1u);
        put_wire_name(self, self->out->params[i].column);
        buffer_printf(sql, "[]) AS p%u", i + 1u);
    }
    buffer_puts(sql, ") AS u");
}

void statement_part_unnest(const struct statement_part *self, bool ordinality)
{
    struct buffer *sql = &self->out->sql;
    if (!ordinality) {
        put_rows(self);
        return;
    }
    buffer_puts(sql, "unnest(");
    for (uint16_t i = 0; i < self->out->param_count; i++) {
        buffer_printf(sql, "%s$%u::", i ? ", " : "", i + 1u);
        put_wire_name(self, self->out->params[i].column);
        buffer_puts(sql, "[]");
    }
    buffer_puts(sql, ") WITH ORDINALITY AS u(");
    for (uint16_t i = 0; i < self->out->param_count; i++)
        buffer_printf(sql, "%sp%u", i ? ", " : "", i + 1u);
    buffer_puts(sql, ", n)");
}

/* search_path is empty in our sessions; an extension's type has its own = beside it. */
static void put_equals(struct buffer *sql, const struct type *type)
{
    static const char catalog[] = "pg_catalog.";
    const char *name = type->name;
    const char *dot = NULL;
    bool quoted = false;
    for (const char *p = name; *p && !dot; p++) {
        if (*p == '"')
            quoted = !quoted;
        else if (*p == '.' && !quoted)
            dot = p;
    }
    if (!dot || type->kind != 'b' || type->category == 'A' ||
        strncmp(name, catalog, sizeof(catalog) - 1) == 0) {
        buffer_puts(sql, " = ");
        return;
    }
    buffer_puts(sql, " OPERATOR(");
    buffer_put(sql, name, (size_t)(dot - name));
    buffer_puts(sql, ".=) ");
}

void statement_part_key_match(const struct statement_part *self)
{
    const struct table *t = self->table;
    struct buffer *sql = &self->out->sql;
    assert(t->key_count > 0);
    for (uint16_t i = 0; i < t->key_count; i++) {
        buffer_puts(sql, i ? " AND t." : "t.");
        sql_ident(sql, t->columns[t->key[i]].sink);
        put_equals(sql, &t->columns[t->key[i]].sink_type);
        statement_part_value(self, t->key[i], true);
    }
}

bool statement_part_columns(const struct statement_part *self, const uint64_t *mask)
{
    struct buffer *sql = &self->out->sql;
    bool any = false;
    for (uint16_t i = 0; i < self->table->column_count; i++) {
        if (!statement_part_has(mask, i))
            continue;
        buffer_puts(sql, any ? ", " : "(");
        sql_ident(sql, self->table->columns[i].sink);
        any = true;
    }
    if (any)
        buffer_putc(sql, ')');
    return any;
}

void statement_part_key_columns(const struct statement_part *self)
{
    for (uint16_t i = 0; i < self->table->key_count; i++) {
        if (i)
            buffer_puts(&self->out->sql, ", ");
        sql_ident(&self->out->sql, self->table->columns[self->table->key[i]].sink);
    }
}

bool statement_part_identity_always(const struct table *table, const uint64_t *mask)
{
    for (uint16_t i = 0; i < table->column_count; i++) {
        if (table->columns[i].sink_identity_always && statement_part_has(mask, i))
            return true;
    }
    return false;
}
