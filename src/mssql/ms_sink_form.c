/* SPDX-License-Identifier: PostgreSQL
 *
 * One change as T-SQL: an EXEC of sp_executesql whose statement text depends on the table and the columns
 * only, so that its plan is found again, with the values as parameters. Each statement THROWs when it did not
 * touch one row.
 *
 * Text is compared with a key in the column's own collation and type, so that its index serves; without a key
 * rows are matched by the bytes of every column, as 'a', 'A' and 'a ' are one value to most collations, and
 * TOP (1) takes one of several equal ones.
 */
#include "mssql/ms_sink_part.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "mssql/sql.h"

/* --- expressions --- */

bool ms_sink_encode(const struct ms_sink_column *column, const struct value *value, struct buffer *bytes,
                    struct ms_bound *bound, struct error *err)
{
    if (ms_value_encode(&column->codec, value, bytes, bound, err))
        return true;
    return error_prefix(err, "column %s", column->name);
}

static void put_collated(const struct ms_sink_column *column, const char *value, struct buffer *out)
{
    buffer_puts(out, value);
    if (column->collation)
        buffer_printf(out, " COLLATE %s", column->collation);
}

void ms_sink_match(const struct ms_sink_column *column, const char *value, bool staged, struct buffer *out)
{
    switch ((unsigned)column->type.type->id) {
    case MS_CHAR:
    case MS_VARCHAR: /* else the column would be converted, not the value */
        buffer_puts(out, "CONVERT(");
        ms_type_declare(&column->type, out);
        buffer_puts(out, ", ");
        put_collated(column, value, out);
        buffer_putc(out, ')');
        break;
    case MS_NCHAR:
    case MS_NVARCHAR: /* two columns' collations would conflict (468); a variable gives way */
        if (staged)
            put_collated(column, value, out);
        else
            buffer_puts(out, value);
        break;
    default:
        ms_type_assign(&column->type, &column->carrier, value, out);
    }
}

/* Both sides as bytes; their lengths too, as 0x01 equals 0x0100. */
static void put_bytes_match(const struct ms_sink_column *c, const char *type, const char *value,
                            struct buffer *out)
{
    struct buffer have = {0}, want = {0};
    if (type) {
        buffer_printf(&have, "CONVERT(%s, %s)", type, c->name);
        buffer_printf(&want, "CONVERT(%s, ", type);
        put_collated(c, value, &want);
        buffer_putc(&want, ')');
    } else {
        buffer_puts(&have, c->name);
        buffer_puts(&want, value);
    }
    buffer_printf(out,
                  "CONVERT(varbinary(max), %s) = CONVERT(varbinary(max), %s) AND DATALENGTH(%s) = "
                  "DATALENGTH(%s)",
                  buffer_text(&have), buffer_text(&want), buffer_text(&have), buffer_text(&want));
    buffer_free(&have);
    buffer_free(&want);
}

/* For a table without a key. */
static void put_whole_match(const struct ms_sink_column *c, const char *value, struct buffer *out)
{
    struct buffer type = {0};
    switch ((unsigned)c->type.type->id) {
    case MS_CHAR:
    case MS_VARCHAR:
    case MS_NCHAR:
    case MS_NVARCHAR:
        ms_type_declare(&c->type, &type);
        put_bytes_match(c, buffer_text(&type), value, out);
        break;
    case MS_TEXT:
        put_bytes_match(c, "varchar(max)", value, out);
        break;
    case MS_NTEXT:
        put_bytes_match(c, "nvarchar(max)", value, out);
        break;
    case MS_XML:
        buffer_printf(out,
                      "CONVERT(varbinary(max), CONVERT(nvarchar(max), %s)) = "
                      "CONVERT(varbinary(max), CONVERT(nvarchar(max), CONVERT(xml, %s, 1)))",
                      c->name, value);
        break;
    case MS_BINARY:
        ms_type_declare(&c->type, &type);
        put_bytes_match(c, buffer_text(&type), value, out);
        break;
    case MS_VARBINARY:
    case MS_IMAGE:
        put_bytes_match(c, "varbinary(max)", value, out);
        break;
    default:
        buffer_printf(out, "%s = %s", c->name, value);
    }
    buffer_free(&type);
}

/* --- parameters --- */

void ms_sink_put_misfit(const struct ms_sink_column *c, const char *value, const char *from,
                        struct buffer *out)
{
    struct buffer test = {0}, text = {0};
    if (ms_type_misfit(&c->type, value, &test)) {
        buffer_printf(&text, "the code page of column %s lacks one of its characters", c->name);
        if (*from)
            buffer_printf(out, "IF EXISTS (SELECT 1 FROM %s AND %s) THROW %d, ", from, buffer_text(&test),
                          MS_RAISED_DATA);
        else
            buffer_printf(out, "IF %s THROW %d, ", buffer_text(&test), MS_RAISED_DATA);
        ms_sql_literal(out, buffer_text(&text));
        buffer_printf(out, ", %d; ", MS_THROW_CHARACTERS);
    }
    buffer_free(&test);
    buffer_free(&text);
}

bool ms_sink_has_other_than_ascii(const struct value *v)
{
    for (uint32_t i = 0; v->data && i < v->length; i++)
        if ((unsigned char)v->data[i] >= 0x80)
            return true;
    return false;
}

/* Declares and assigns @<prefix><at>. Characters for which a code page has no place are looked for first. */
static bool add_parameter(struct ms_sink *s, const struct ms_sink_table *t, char prefix, uint16_t at,
                          const struct value *value, struct error *err)
{
    const struct ms_sink_column *c = &t->columns[at];
    struct ms_bound bound;
    char name[16];
    buffer_clear(&s->bytes);
    if (!ms_sink_encode(c, value, &s->bytes, &bound, err))
        return false;
    snprintf(name, sizeof(name), "@%c%u", prefix, at);
    buffer_printf(&s->declared, "%s%s ", s->declared.length ? ", " : "", name);
    ms_sink_parameter(c, &s->declared);
    buffer_printf(&s->assigned, ", %s = ", name);
    ms_sink_literal(&bound, buffer_text(&s->bytes), &s->assigned);
    if (c->code_page && prefix == 'p' && ms_sink_has_other_than_ascii(value))
        ms_sink_put_misfit(c, name, "", &s->inner);
    return true;
}

static void begin_statement(struct ms_sink *s)
{
    buffer_clear(&s->inner);
    buffer_clear(&s->declared);
    buffer_clear(&s->assigned);
}

static void end_statement(struct ms_sink *s)
{
    buffer_puts(&s->sql, "EXEC sys.sp_executesql ");
    ms_sql_literal_slice(&s->sql, (struct slice){buffer_text(&s->inner), s->inner.length});
    if (s->declared.length) {
        buffer_puts(&s->sql, ", ");
        ms_sql_literal_slice(&s->sql, (struct slice){s->declared.data, s->declared.length});
        buffer_put(&s->sql, s->assigned.data, s->assigned.length);
    }
    buffer_puts(&s->sql, ";\n");
}

static void put_expect(struct buffer *out)
{
    buffer_printf(out, "; IF @@ROWCOUNT <> 1 THROW %d, N'not one row', %d", MS_RAISED_DATA, MS_THROW_COUNT);
}

/* WHERE … by the key, or by the whole row. Parameters @k<column>. */
static bool put_where(struct ms_sink *s, const struct ms_sink_table *t, const struct value *by,
                      struct error *err)
{
    const struct table *table = t->table;
    uint16_t count = table->key_count ? table->key_count : table->column_count;
    const char *lead = " WHERE ";
    for (uint16_t i = 0; i < count; i++) {
        uint16_t at = table->key_count ? table->key[i] : i;
        const struct ms_sink_column *c = &t->columns[at];
        char name[16];
        if (c->skipped)
            continue;
        buffer_puts(&s->inner, lead);
        lead = " AND ";
        if (by[at].kind == VALUE_NULL) {
            buffer_printf(&s->inner, "%s IS NULL", c->name);
            continue;
        }
        snprintf(name, sizeof(name), "@k%u", at);
        if (table->key_count) {
            buffer_printf(&s->inner, "%s = ", c->name);
            ms_sink_match(c, name, false, &s->inner);
        } else {
            put_whole_match(c, name, &s->inner);
        }
        if (!add_parameter(s, t, 'k', at, &by[at], err))
            return false;
    }
    return true;
}

static void put_assigned(const struct ms_sink_column *c, uint16_t at, struct buffer *out)
{
    char name[16];
    snprintf(name, sizeof(name), "@p%u", at);
    ms_type_assign(&c->type, &c->carrier, name, out);
}

static bool is_written(const struct ms_sink_table *t, const struct value *row, uint16_t at)
{
    return row[at].kind != VALUE_ABSENT && !t->columns[at].skipped;
}

/* Parameters @p<column> of what the row has. */
static bool add_row(struct ms_sink *s, const struct ms_sink_table *t, const struct value *row,
                    struct error *err)
{
    for (uint16_t i = 0; i < t->table->column_count; i++)
        if (is_written(t, row, i) && !add_parameter(s, t, 'p', i, &row[i], err))
            return false;
    return true;
}

/* INSERT INTO t (…) VALUES (…); `carried`: columns that the row lacks come from variables @m<column>, and
 * those the mapping does not know from @e<n>. */
static void put_insert(struct ms_sink *s, const struct ms_sink_table *t, const struct value *row,
                       bool carried)
{
    struct buffer *sql = &s->inner;
    struct buffer values = {0};
    bool identity = t->identity >= 0 && row[t->identity].kind != VALUE_ABSENT;
    const char *comma = "";
    if (identity)
        buffer_printf(sql, "SET IDENTITY_INSERT %s ON; ", t->name);
    buffer_printf(sql, "INSERT INTO %s (", t->name);
    for (uint16_t i = 0; i < t->table->column_count; i++) {
        const struct ms_sink_column *c = &t->columns[i];
        if (c->skipped || (!carried && row[i].kind == VALUE_ABSENT))
            continue;
        buffer_printf(sql, "%s%s", comma, c->name);
        buffer_puts(&values, comma);
        comma = ", ";
        if (row[i].kind == VALUE_ABSENT)
            buffer_printf(&values, "@m%u", i);
        else
            put_assigned(c, i, &values);
    }
    for (uint16_t i = 0; carried && i < t->extra_count; i++)
        if (!t->extra[i].skipped) {
            buffer_printf(sql, ", %s", t->extra[i].name);
            buffer_printf(&values, ", @e%u", i);
        }
    buffer_printf(sql, ") VALUES (%s)", buffer_text(&values));
    put_expect(sql);
    if (identity)
        buffer_printf(sql, "; SET IDENTITY_INSERT %s OFF", t->name);
    buffer_free(&values);
}

bool ms_sink_put_insert(struct ms_sink *s, const struct ms_sink_table *t, const struct value *row,
                        struct error *err)
{
    begin_statement(s);
    if (!add_row(s, t, row, err))
        return false;
    put_insert(s, t, row, false);
    end_statement(s);
    return true;
}

static bool same_value(const struct value *a, const struct value *b)
{
    return a->kind == b->kind && a->length == b->length &&
           (a->length == 0 || memcmp(a->data, b->data, a->length) == 0);
}

/* Set by UPDATE: not what already is so, and never an identity column. */
static bool is_set(const struct ms_sink_table *t, const struct value *by, const struct value *row,
                   uint16_t at)
{
    bool same = (t->table->columns[at].key || t->table->key_count == 0) && same_value(&by[at], &row[at]);
    return is_written(t, row, at) && !t->columns[at].identity && !same;
}

static bool put_update(struct ms_sink *s, const struct ms_sink_table *t, const struct value *by,
                       const struct value *row, struct error *err)
{
    const char *lead = " SET ";
    struct buffer sets = {0};
    bool ok = true;
    for (uint16_t i = 0; ok && row && i < t->table->column_count; i++) {
        if (!is_set(t, by, row, i))
            continue;
        buffer_printf(&sets, "%s%s = ", lead, t->columns[i].name);
        put_assigned(&t->columns[i], i, &sets);
        lead = ", ";
        ok = add_parameter(s, t, 'p', i, &row[i], err);
    }
    if (ok && sets.length == 0)
        buffer_printf(&s->inner, "IF NOT EXISTS (SELECT 1 FROM %s", t->name);
    else if (ok)
        buffer_printf(&s->inner, "UPDATE %s%s%s", t->table->key_count ? "" : "TOP (1) ", t->name,
                      buffer_text(&sets));
    ok = ok && put_where(s, t, by, err);
    /* An identity column can't be set: it must be what it is. */
    int id = t->identity;
    if (ok && row && id >= 0 && !t->table->columns[id].key && t->table->key_count &&
        is_written(t, row, (uint16_t)id)) {
        buffer_printf(&s->inner, " AND %s = @p%d", t->columns[id].name, id);
        ok = add_parameter(s, t, 'p', (uint16_t)id, &row[id], err);
    }
    if (ok && sets.length == 0)
        buffer_printf(&s->inner, ") THROW %d, N'not one row', %d", MS_RAISED_DATA, MS_THROW_COUNT);
    else if (ok)
        put_expect(&s->inner);
    buffer_free(&sets);
    return ok;
}

bool ms_sink_put_update(struct ms_sink *s, const struct ms_sink_table *t, const struct value *by,
                        const struct value *row, struct error *err)
{
    begin_statement(s);
    if (!put_update(s, t, by, row, err))
        return false;
    end_statement(s);
    return true;
}

bool ms_sink_put_delete(struct ms_sink *s, const struct ms_sink_table *t, const struct value *by,
                        struct error *err)
{
    begin_statement(s);
    buffer_printf(&s->inner, "DELETE %sFROM %s", t->table->key_count ? "" : "TOP (1) ", t->name);
    if (!put_where(s, t, by, err))
        return false;
    put_expect(&s->inner);
    end_statement(s);
    return true;
}

/* A variable of a column's type; the old large types have none. */
static void put_variable(const struct ms_sink_column *c, char prefix, uint16_t at, struct buffer *declared,
                         struct buffer *read, const char **comma)
{
    buffer_printf(declared, "%s@%c%u ", *comma, prefix, at);
    enum ms_type_id id = c->type.type ? c->type.type->id : MS_TYPE_COUNT;
    if (id == MS_TEXT || id == MS_NTEXT)
        buffer_puts(declared, "nvarchar(max)");
    else if (id == MS_IMAGE)
        buffer_puts(declared, "varbinary(max)");
    else if (id == MS_TYPE_COUNT)
        buffer_puts(declared, "varbinary(max)");
    else
        ms_type_declare(&c->type, declared);
    buffer_printf(read, "%s@%c%u = %s", *comma, prefix, at, c->name);
    *comma = ", ";
}

bool ms_sink_put_rewrite(struct ms_sink *s, const struct ms_sink_table *t, const struct value *by,
                         const struct value *row, struct error *err)
{
    struct buffer declared = {0}, read = {0};
    const char *comma = "";
    begin_statement(s);
    bool ok = add_row(s, t, row, err);
    for (uint16_t i = 0; i < t->table->column_count; i++)
        if (row[i].kind == VALUE_ABSENT && !t->columns[i].skipped)
            put_variable(&t->columns[i], 'm', i, &declared, &read, &comma);
    for (uint16_t i = 0; i < t->extra_count; i++)
        if (!t->extra[i].skipped)
            put_variable(&t->extra[i], 'e', i, &declared, &read, &comma);
    size_t where = 0, where_end = 0;
    if (ok && declared.length) {
        buffer_printf(&s->inner, "DECLARE %s; SELECT %s FROM %s", buffer_text(&declared), buffer_text(&read),
                      t->name);
        where = s->inner.length;
        ok = put_where(s, t, by, err);
        where_end = s->inner.length;
        buffer_puts(&s->inner, "; ");
    }
    buffer_printf(&s->inner, "DELETE FROM %s", t->name);
    if (ok && where_end) { /* the same words again, the parameters are there */
        struct buffer again = {0};
        buffer_put(&again, s->inner.data + where, where_end - where);
        buffer_put(&s->inner, again.data, again.length);
        buffer_free(&again);
    } else if (ok) {
        ok = put_where(s, t, by, err);
    }
    put_expect(&s->inner);
    buffer_puts(&s->inner, "; ");
    put_insert(s, t, row, true);
    if (ok)
        end_statement(s);
    buffer_free(&declared);
    buffer_free(&read);
    return ok;
}

void ms_sink_put_truncate(struct ms_sink *s, const struct ms_sink_table *t)
{
    buffer_printf(&s->sql, t->can_truncate ? "TRUNCATE TABLE %s;\n" : "DELETE FROM %s;\n", t->name);
}

/* --- changes --- */

bool ms_sink_is_whole(const struct table *table, const struct value *row)
{
    for (uint16_t i = 0; i < table->column_count; i++)
        if (row[i].kind == VALUE_ABSENT)
            return false;
    return true;
}

bool ms_sink_is_possible(const struct change *c)
{
    if (c->op == CHANGE_INSERT || c->op == CHANGE_TRUNCATE || c->table->key_count > 0)
        return true;
    return c->old_kind == OLD_FULL && ms_sink_is_whole(c->table, c->old);
}

const struct value *ms_sink_row(struct ms_sink *s, const struct change *c)
{
    uint16_t n = c->table->column_count;
    if (!c->row || !c->old || ms_sink_is_whole(c->table, c->row))
        return c->row;
    struct value *row = arena_copy(s->arena, c->row, (size_t)n * sizeof(*row));
    for (uint16_t i = 0; i < n; i++) {
        bool has_old = c->old_kind == OLD_FULL || c->table->columns[i].key;
        if (row[i].kind == VALUE_ABSENT && has_old)
            row[i] = c->old[i];
    }
    return row;
}

/* Does it give the identity column another value, as far as the change itself tells? */
static bool moves_identity(const struct ms_sink_table *t, const struct change *c, const struct value *row)
{
    int id = t->identity;
    if (id < 0 || !c->old || row[id].kind == VALUE_ABSENT || c->old[id].kind == VALUE_ABSENT)
        return false;
    bool known = c->old_kind == OLD_FULL || t->table->columns[id].key;
    return known && !same_value(&c->old[id], &row[id]);
}

bool ms_sink_put_change(struct ms_sink *s, const struct change *c, struct error *err)
{
    const struct ms_sink_table *t = ms_sink_lane(s, c->table);
    const struct value *row = ms_sink_row(s, c);
    assert(ms_sink_is_possible(c));
    switch (c->op) {
    case CHANGE_INSERT:
        return ms_sink_put_insert(s, t, row, err);
    case CHANGE_DELETE:
        return ms_sink_put_delete(s, t, change_key_row(c), err);
    case CHANGE_UPDATE:
        if (moves_identity(t, c, row))
            return ms_sink_put_rewrite(s, t, c->old, row, err);
        return ms_sink_put_update(s, t, change_key_row(c), row, err);
    case CHANGE_TRUNCATE:
        break;
    }
    assert(false && "TRUNCATE is a list");
    return false;
}
