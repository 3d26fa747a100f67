/* SPDX-License-Identifier: PostgreSQL
 *
 * Why these forms: a bound comes back as a literal of exactly the column's type and collation, so that
 * neither side of the comparison is converted (a varchar column compared with nvarchar would be ordered by
 * other rules than its index, and not found by it).
 *
 *   integers, bit, decimal, uniqueidentifier   their text
 *   money                                      style 2: four digits
 *   float, real                                style 3: 17 digits, documented as lossless (2016 on)
 *   date, smalldatetime, datetime, datetime2   style 126 (ISO 8601): no language or DATEFORMAT comes in
 *   time, datetimeoffset                       style 121, read back as the default form of these types
 *   binary, rowversion, hierarchyid            hex, style 1
 *   all character types                        hex of the UTF-16: NUL, lone surrogates and every blank come
 * back
 */
#include "mssql/keyset.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "mssql/sql.h"

enum form {
    FORM_NONE,
    FORM_PLAIN,
    FORM_MONEY,
    FORM_FLOAT,
    FORM_DATE,
    FORM_TIME,
    FORM_BINARY,
    FORM_HIERARCHY,
    FORM_UNICODE, /* nchar, nvarchar */
    FORM_CODEPAGE /* char, varchar */
};

static enum form form_of(const struct ms_column_type *type)
{
    if (!type->type || ms_type_is_large(type))
        return FORM_NONE;
    switch (type->type->id) {
    case MS_BIT:
    case MS_TINYINT:
    case MS_SMALLINT:
    case MS_INT:
    case MS_BIGINT:
    case MS_DECIMAL:
    case MS_NUMERIC:
    case MS_UNIQUEIDENTIFIER:
        return FORM_PLAIN;
    case MS_MONEY:
    case MS_SMALLMONEY:
        return FORM_MONEY;
    case MS_FLOAT:
    case MS_REAL:
        return FORM_FLOAT;
    case MS_DATE:
    case MS_SMALLDATETIME:
    case MS_DATETIME:
    case MS_DATETIME2:
        return FORM_DATE;
    case MS_TIME:
    case MS_DATETIMEOFFSET:
        return FORM_TIME;
    case MS_BINARY:
    case MS_VARBINARY:
    case MS_ROWVERSION:
        return FORM_BINARY;
    case MS_HIERARCHYID:
        return FORM_HIERARCHY;
    case MS_NCHAR:
    case MS_NVARCHAR:
        return FORM_UNICODE;
    case MS_CHAR:
    case MS_VARCHAR:
        return FORM_CODEPAGE;
    case MS_TEXT:
    case MS_NTEXT:
    case MS_IMAGE:
    case MS_XML:
    case MS_SQL_VARIANT:
    case MS_GEOMETRY:
    case MS_GEOGRAPHY:
    case MS_TYPE_COUNT:
        break;
    }
    return FORM_NONE;
}

/* --- making one --- */

static bool is_collation_name(const char *name)
{
    return *name &&
           name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

static void refuse(struct ms_keyset *self, const char *column, const char *why)
{
    self->supported = false;
    snprintf(self->reason, sizeof(self->reason), "key column %.100s %s", column, why);
}

static void add_part(struct ms_keyset *self, const struct ms_catalog_column *c)
{
    struct ms_keyset_part *part = &self->parts[self->count++];
    struct buffer type = {0};
    part->name = mem_strdup(c->name);
    part->form = (int)form_of(&c->type);
    if (part->form == FORM_NONE) {
        refuse(self, c->name, "is of a type without order or text");
        return;
    }
    if (c->type.type->id == MS_ROWVERSION)
        buffer_puts(&type, "binary(8)");
    else
        ms_type_declare(&c->type, &type);
    part->type = buffer_detach(&type);
    if (c->nullable)
        refuse(self, c->name, "allows NULL");
    if (part->form != FORM_UNICODE && part->form != FORM_CODEPAGE)
        return;
    if (!c->type.collation || !is_collation_name(c->type.collation))
        refuse(self, c->name, "has no collation that can be named");
    else
        part->collation = mem_strdup(c->type.collation);
}

/* Does the index begin with the key's columns in their order? */
static bool leads(const struct ms_index *index, const struct ms_catalog_table *table,
                  const struct ms_keyset *key)
{
    bool rowstore = index->kind == MS_INDEX_CLUSTERED || index->kind == MS_INDEX_NONCLUSTERED;
    if (!rowstore || index->disabled || index->filter || index->key_count < key->count)
        return false;
    for (uint16_t i = 0; i < key->count; i++) {
        if (strcmp(table->columns[index->columns[i].column].name, key->parts[i].name) != 0)
            return false;
    }
    return true;
}

static void look_for_index(const struct ms_catalog_table *table, struct ms_keyset *self)
{
    const struct ms_index *best = NULL;
    for (uint16_t i = 0; i < table->index_count; i++) {
        const struct ms_index *index = &table->indexes[i];
        if (!leads(index, table, self))
            continue;
        if (!best || index->kind == MS_INDEX_CLUSTERED)
            best = index;
    }
    if (!best)
        return;
    self->indexed = true;
    self->clustered = best->kind == MS_INDEX_CLUSTERED;
    for (uint16_t i = 0; i < self->count; i++)
        self->parts[i].descending = best->columns[i].descending;
}

void ms_keyset_make(const struct ms_catalog_table *table, const char *const *columns, uint16_t count,
                    struct ms_keyset *out)
{
    struct buffer from = {0};
    *out = (struct ms_keyset){.supported = count > 0};
    ms_sql_qualified(&from, table->schema, table->name);
    out->from = buffer_detach(&from);
    out->parts = mem_alloc((count + (size_t)1) * sizeof(*out->parts));
    if (count == 0)
        snprintf(out->reason, sizeof(out->reason), "the table has no key");
    for (uint16_t i = 0; i < count; i++) {
        const struct ms_catalog_column *c = ms_catalog_column(table, columns[i]);
        if (!c) {
            refuse(out, columns[i], "is not there");
            return;
        }
        add_part(out, c);
    }
    if (out->supported)
        look_for_index(table, out);
}

void ms_keyset_free(struct ms_keyset *self)
{
    for (uint16_t i = 0; i < self->count; i++) {
        free(self->parts[i].name);
        free(self->parts[i].type);
        free(self->parts[i].collation);
    }
    free(self->parts);
    free(self->from);
    *self = (struct ms_keyset){0};
}

/* --- SQL --- */

void ms_keyset_texts(const struct ms_keyset *self, struct buffer *out)
{
    static const struct {
        const char *before, *after;
    } forms[] = {
        [FORM_PLAIN] = {"CONVERT(nvarchar(41), ", ")"},
        [FORM_MONEY] = {"CONVERT(nvarchar(41), ", ", 2)"},
        [FORM_FLOAT] = {"CONVERT(nvarchar(41), ", ", 3)"},
        [FORM_DATE] = {"CONVERT(nvarchar(41), ", ", 126)"},
        [FORM_TIME] = {"CONVERT(nvarchar(41), ", ", 121)"},
        [FORM_BINARY] = {"CONVERT(varchar(max), CONVERT(varbinary(max), ", "), 1)"},
        [FORM_HIERARCHY] = {"CONVERT(varchar(max), CONVERT(varbinary(max), ", "), 1)"},
        [FORM_UNICODE] = {"CONVERT(varchar(max), CONVERT(varbinary(max), ", "), 1)"},
        [FORM_CODEPAGE] = {"CONVERT(varchar(max), CONVERT(varbinary(max), CONVERT(nvarchar(max), ", ")), 1)"},
    };
    for (uint16_t i = 0; i < self->count; i++) {
        buffer_puts(out, i ? ", " : "");
        buffer_puts(out, forms[self->parts[i].form].before);
        ms_sql_column(out, "t", self->parts[i].name);
        buffer_puts(out, forms[self->parts[i].form].after);
    }
}

void ms_keyset_order(const struct ms_keyset *self, struct buffer *out)
{
    for (uint16_t i = 0; i < self->count; i++) {
        buffer_puts(out, i ? ", " : "");
        ms_sql_column(out, "t", self->parts[i].name);
        buffer_puts(out, self->parts[i].descending ? " DESC" : "");
    }
}

static void put_bound(const struct ms_keyset_part *part, const char *text, struct buffer *out)
{
    switch ((enum form)part->form) {
    case FORM_PLAIN:
    case FORM_MONEY:
    case FORM_FLOAT:
    case FORM_TIME:
        ms_sql_convert_text(out, part->type, slice_of(text), -1);
        break;
    case FORM_DATE:
        ms_sql_convert_text(out, part->type, slice_of(text), 126);
        break;
    case FORM_BINARY:
        ms_sql_convert_text(out, part->type, slice_of(text), 1);
        break;
    case FORM_HIERARCHY:
        buffer_puts(out, "CONVERT(hierarchyid, ");
        ms_sql_convert_text(out, "varbinary(892)", slice_of(text), 1);
        buffer_putc(out, ')');
        break;
    case FORM_UNICODE:
        buffer_printf(out, "CONVERT(%s, ", part->type);
        ms_sql_convert_text(out, "varbinary(max)", slice_of(text), 1);
        buffer_printf(out, ") COLLATE %s", part->collation);
        break;
    case FORM_CODEPAGE:
        buffer_printf(out, "CONVERT(%s, CONVERT(nvarchar(max), ", part->type);
        ms_sql_convert_text(out, "varbinary(max)", slice_of(text), 1);
        buffer_printf(out, ") COLLATE %s)", part->collation);
        break;
    case FORM_NONE:
        assert(part->form != FORM_NONE);
    }
}

void ms_keyset_expand(const struct ms_keyset_term *terms, uint16_t count, bool behind, struct buffer *out)
{
    const struct ms_keyset_term *t = &terms[0];
    bool last = count == 1;
    bool up = behind != t->descending;
    if (!t->value) {
        assert(behind && !t->descending && !last); /* NULL is before every value */
        buffer_printf(out, "(%s IS NOT NULL OR (%s IS NULL AND ", t->column, t->column);
        ms_keyset_expand(terms + 1, (uint16_t)(count - 1), behind, out);
        buffer_puts(out, "))");
        return;
    }
    if (last) {
        buffer_printf(out, "%s %s%s %s", t->column, up ? ">" : "<", behind ? "" : "=", t->value);
        return;
    }
    buffer_printf(out, "(%s %s %s AND (%s %s %s OR (%s = %s AND ", t->column, up ? ">=" : "<=", t->value,
                  t->column, up ? ">" : "<", t->value, t->column, t->value);
    ms_keyset_expand(terms + 1, (uint16_t)(count - 1), behind, out);
    buffer_puts(out, ")))");
}

void ms_keyset_predicate(const struct ms_keyset *self, bool behind, char *const *bound, struct buffer *out)
{
    struct ms_keyset_term *terms = mem_alloc(self->count * sizeof(*terms));
    for (uint16_t i = 0; i < self->count; i++) {
        struct buffer column = {0}, value = {0};
        ms_sql_column(&column, "t", self->parts[i].name);
        put_bound(&self->parts[i], bound[i], &value);
        terms[i] = (struct ms_keyset_term){.column = buffer_detach(&column),
                                           .value = buffer_detach(&value),
                                           .descending = self->parts[i].descending};
    }
    ms_keyset_expand(terms, self->count, behind, out);
    for (uint16_t i = 0; i < self->count; i++) {
        free((char *)(uintptr_t)terms[i].column);
        free((char *)(uintptr_t)terms[i].value);
    }
    free(terms);
}

void ms_keyset_where(const struct ms_keyset *self, char *const *low, char *const *high, struct buffer *out)
{
    if (low) {
        buffer_puts(out, " WHERE ");
        ms_keyset_predicate(self, true, low, out);
    }
    if (high) {
        buffer_puts(out, low ? " AND " : " WHERE ");
        ms_keyset_predicate(self, false, high, out);
    }
}

/* --- the next border --- */

struct border {
    const struct ms_keyset *key;
    char **high;
};

/* One block: the pointers, then the texts. */
static char **pack(const struct buffer *texts, const size_t *at, uint16_t count)
{
    size_t head = count * sizeof(char *);
    char **block = mem_alloc(head + texts->length + 1);
    char *text = (char *)block + head;
    memcpy(text, buffer_text(texts), texts->length);
    for (uint16_t i = 0; i < count; i++)
        block[i] = text + at[i];
    return block;
}

static bool take_border(void *context, struct ms_conn *conn, struct error *err)
{
    struct border *b = context;
    uint16_t n = b->key->count;
    struct buffer texts = {0};
    size_t *at = mem_alloc(n * sizeof(*at));
    bool ok = true;
    for (uint16_t i = 0; i < n && ok; i++) {
        at[i] = texts.length;
        ok = ms_column_text(conn, i, &texts);
        buffer_putc(&texts, '\0');
    }
    if (ok)
        b->high = pack(&texts, at, n);
    else
        error_set(err, ERROR_TABLE, "a key of %s is NULL where the catalog says it can't be", b->key->from);
    free(at);
    buffer_free(&texts);
    return ok;
}

bool ms_keyset_border(struct ms_conn *conn, const struct ms_keyset *self, char *const *low, int64_t rows,
                      char ***high, struct error *err)
{
    assert(self->supported && rows > 0);
    struct border b = {.key = self};
    struct buffer sql = {0};
    buffer_puts(&sql, "SELECT ");
    ms_keyset_texts(self, &sql);
    buffer_printf(&sql, " FROM %s AS [t]", self->from);
    ms_keyset_where(self, low, NULL, &sql);
    buffer_puts(&sql, " ORDER BY ");
    ms_keyset_order(self, &sql);
    buffer_printf(&sql, " OFFSET %" PRId64 " ROWS FETCH NEXT 1 ROWS ONLY", rows - 1);
    bool ok = ms_query(conn, buffer_text(&sql), take_border, &b, err);
    buffer_free(&sql);
    *high = b.high;
    if (!ok) {
        free(b.high);
        *high = NULL;
    }
    return ok;
}
