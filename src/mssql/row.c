/* SPDX-License-Identifier: PostgreSQL */
#include "mssql/row.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "mssql/sql.h"

/* --- the plan --- */

static bool is_key(const struct table *table, uint16_t column)
{
    for (uint16_t i = 0; i < table->key_count; i++) {
        if (table->key[i] == column)
            return true;
    }
    return false;
}

static struct ms_value_policy policy_of(const struct column *c)
{
    static const enum ms_bad_text bad_text[] = {[BAD_TEXT_REFUSE] = MS_BAD_TEXT_REFUSE,
                                                [BAD_TEXT_STRIP] = MS_BAD_TEXT_STRIP,
                                                [BAD_TEXT_REPLACE] = MS_BAD_TEXT_REPLACE};
    return (struct ms_value_policy){.bad_text = bad_text[c->policy.bad_text],
                                    .trim_blanks = c->policy.trim_blanks,
                                    .zone = c->policy.zone};
}

/* The codec of changes: a row with text that is refused can be quarantined by its key, so it goes on. */
static void make_change_codec(const struct table *table, uint16_t i, struct ms_row_column *out)
{
    out->change = out->codec;
    if (out->codec.policy.bad_text == MS_BAD_TEXT_REFUSE && table->key_count && !is_key(table, i))
        out->change.policy.bad_text = MS_BAD_TEXT_PASS;
}

static bool make_column(const struct ms_catalog_table *source, const struct column *c,
                        const struct ms_value_policy *policy, int64_t value_limit, struct ms_row_column *out,
                        struct error *err)
{
    const struct ms_value_policy own = policy_of(c);
    const struct ms_catalog_column *from = ms_catalog_column(source, c->source);
    if (!from)
        return error_set(err, ERROR_TABLE, "column %s is not there any more", c->source);
    const struct ms_carrier *carrier =
        from->type.type ? ms_type_offers(from->type.type, c->source_type.oid) : NULL;
    if (!carrier)
        return error_set(err, ERROR_TABLE, "column %s: %s can't be carried as %s", c->source, from->type_name,
                         c->source_type.display ? c->source_type.display : "the type it was paired with");
    if (c->policy.time_zone && !c->policy.zone)
        return error_set(err, ERROR_TABLE, "column %s: time zone %s is not known to the target", c->source,
                         c->policy.time_zone);
    out->type = from->type;
    out->type.collation = mem_strdup(from->type.collation);
    out->name = mem_strdup(c->source);
    enum ms_type_id id = from->type.type->id;
    out->lob = id == MS_TEXT || id == MS_NTEXT || id == MS_IMAGE;
    out->large = ms_type_is_large(&from->type);
    out->length_at = out->large && value_limit > 0 ? 0 : -1;
    ms_codec_make(&out->type, carrier, policy ? policy : &own, &out->codec);
    return true;
}

bool ms_row_plan_make(const struct ms_catalog_table *source, const struct table *table,
                      const struct ms_value_policy *policies, int64_t value_limit, struct ms_row_plan *out,
                      struct error *err)
{
    *out = (struct ms_row_plan){.table = table, .utf16 = source->utf16, .value_limit = value_limit};
    out->columns = mem_alloc((table->column_count + (size_t)1) * sizeof(*out->columns));
    for (uint16_t i = 0; i < table->column_count; i++) {
        struct ms_row_column *c = &out->columns[i];
        out->count = (uint16_t)(i + 1);
        if (!make_column(source, &table->columns[i], policies ? &policies[i] : NULL, value_limit, c, err))
            return error_prefix(err, "%s", table->from);
        make_change_codec(table, i, c);
        c->at = out->width++;
        if (c->length_at >= 0)
            c->length_at = out->width++;
    }
    return true;
}

void ms_row_plan_free(struct ms_row_plan *self)
{
    for (uint16_t i = 0; i < self->count; i++) {
        free(self->columns[i].name);
        free((char *)(uintptr_t)self->columns[i].type.collation);
    }
    free(self->columns);
    *self = (struct ms_row_plan){0};
}

/* --- the select list --- */

static void put_column(const struct ms_row_plan *self, const struct ms_row_column *c, const char *quoted,
                       struct buffer *out)
{
    const struct ms_type *type = c->type.type;
    const struct ms_carrier *carrier = ms_type_offers(type, c->codec.oid);
    bool text = (carrier->convert == MS_CONVERT_TEXT || carrier->convert == MS_CONVERT_BPCHAR ||
                 carrier->convert == MS_CONVERT_JSONB) &&
                self->utf16;
    if (text && (type->id == MS_NCHAR || type->id == MS_NVARCHAR))
        buffer_printf(out, c->large ? "CONVERT(varbinary(max), %s)" : "CONVERT(varbinary(8000), %s)", quoted);
    else if (text && (type->id == MS_NTEXT || c->type.is_utf8))
        ms_type_select_raw(quoted, out);
    else
        ms_type_select(&c->type, carrier, quoted, out);
}

void ms_row_select(const struct ms_row_plan *self, struct buffer *out)
{
    ms_row_select_of(self, "t", out);
}

void ms_row_select_of(const struct ms_row_plan *self, const char *alias, struct buffer *out)
{
    struct buffer quoted = {0};
    for (uint16_t i = 0; i < self->count; i++) {
        const struct ms_row_column *c = &self->columns[i];
        buffer_clear(&quoted);
        ms_sql_column(&quoted, alias, c->name);
        buffer_puts(out, i ? ", " : "");
        put_column(self, c, buffer_text(&quoted), out);
        if (c->length_at >= 0)
            buffer_printf(out, ", DATALENGTH(%s)", buffer_text(&quoted));
    }
    buffer_free(&quoted);
}

/* --- rows --- */

/* The row's key (or its first columns) as text, for a message. */
static bool bad_value(const struct ms_row_plan *self, struct ms_conn *conn, int first,
                      const struct ms_row_column *c, struct error *err)
{
    const struct table *t = self->table;
    struct buffer key = {0};
    uint16_t n = t->key_count ? t->key_count : t->column_count < 3 ? t->column_count : 3;
    for (uint16_t i = 0; i < n; i++) {
        const struct ms_row_column *k = &self->columns[t->key_count ? t->key[i] : i];
        buffer_printf(&key, "%s%s = ", i ? ", " : "", k->name);
        if (!ms_column_text(conn, first + k->at, &key))
            buffer_puts(&key, "NULL");
    }
    error_prefix(err, "%s: column %s where %.200s", t->from, c->name, buffer_text(&key));
    buffer_free(&key);
    return false;
}

static bool within_limit(const struct ms_row_plan *self, struct ms_conn *conn, int first,
                         const struct ms_row_column *c, struct error *err)
{
    int64_t length = ms_column_int(conn, first + c->length_at);
    if (length <= self->value_limit)
        return true;
    return error_set(err, ERROR_DATA,
                     "a value of %" PRId64 " bytes is over value_limit (%" PRId64
                     ") - raise it, leave the column out, or shorten the value",
                     length, self->value_limit);
}

bool ms_row_copy(const struct ms_row_plan *self, struct ms_conn *conn, int first, struct buffer *out,
                 struct error *err)
{
    size_t start = out->length;
    buffer_put_u16(out, self->count);
    for (uint16_t i = 0; i < self->count; i++) {
        const struct ms_row_column *c = &self->columns[i];
        struct ms_datum d = ms_column(conn, first + c->at);
        if ((c->length_at < 0 || within_limit(self, conn, first, c, err)) &&
            ms_value_copy_field(&c->codec, &d, out, err))
            continue;
        out->length = start;
        return bad_value(self, conn, first, c, err);
    }
    return true;
}

static bool read_values(const struct ms_row_plan *self, struct ms_conn *conn, int first, bool key_only,
                        struct buffer *scratch, struct arena *arena, struct value **out, struct error *err)
{
    struct value *row = arena_alloc(arena, (self->count + (size_t)1) * sizeof(*row));
    buffer_clear(scratch);
    for (uint16_t i = 0; i < self->count; i++) {
        const struct ms_row_column *c = &self->columns[i];
        row[i] = (struct value){.kind = VALUE_ABSENT};
        if (key_only && !is_key(self->table, i))
            continue;
        struct ms_datum d = ms_column(conn, first + c->at);
        size_t start = scratch->length;
        row[i] = (struct value){.kind = d.data ? VALUE_BINARY : VALUE_NULL};
        if (!d.data)
            continue;
        if ((c->length_at >= 0 && !within_limit(self, conn, first, c, err)) ||
            !ms_value_decode(&c->change, &d, scratch, err))
            return bad_value(self, conn, first, c, err);
        row[i].length = (uint32_t)(scratch->length - start);
    }
    const char *at = arena_copy(arena, buffer_text(scratch), scratch->length);
    for (uint16_t i = 0; i < self->count; i++) {
        if (row[i].kind != VALUE_BINARY)
            continue;
        row[i].data = at;
        at += row[i].length;
    }
    *out = row;
    return true;
}

bool ms_row_values(const struct ms_row_plan *self, struct ms_conn *conn, int first, struct buffer *scratch,
                   struct arena *arena, struct value **out, struct error *err)
{
    return read_values(self, conn, first, false, scratch, arena, out, err);
}

bool ms_row_old_values(const struct ms_row_plan *self, struct ms_conn *conn, int first,
                       struct buffer *scratch, struct arena *arena, struct value **out, struct error *err)
{
    return read_values(self, conn, first, self->table->key_count > 0, scratch, arena, out, err);
}
