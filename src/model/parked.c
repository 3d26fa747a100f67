/* SPDX-License-Identifier: PostgreSQL
 *
 * Layout, big-endian: version, operation, kind of old row, flags (bit 0 RESTART IDENTITY, 1 CASCADE, 2 has a
 * new row, 3 has an old row); truncate group u32; xid u32; commit and end position (kind u8, high u16, low
 * u64 each); commit time i64; column count u16; per column: name length u16, name, source type oid u32, then
 * the new and the old value where the flags say so (kind u8; length u32 and bytes unless absent or NULL).
 * Columns are the carried ones, then those that the table has no place for (struct extra_column).
 * Invariant: decode(encode(c)) is c for every change of an unchanged table.
 */
#include "model/parked.h"

#include <assert.h>
#include <string.h>

enum { PARKED_VERSION = 1 };
enum { FLAG_RESTART = 1, FLAG_CASCADE = 2, FLAG_ROW = 4, FLAG_OLD = 8 };

static void put_position(struct buffer *out, struct position p)
{
    buffer_put_u8(out, (uint8_t)p.kind);
    buffer_put_u16(out, p.high);
    buffer_put_u64(out, p.low);
}

static void put_value(struct buffer *out, const struct value *v)
{
    buffer_put_u8(out, (uint8_t)v->kind);
    if (v->kind == VALUE_TEXT || v->kind == VALUE_BINARY) {
        buffer_put_u32(out, v->length);
        buffer_put(out, v->data, v->length);
    }
}

static void put_named(const char *name, uint32_t type_oid, const struct value *row, const struct value *old,
                      struct buffer *out)
{
    size_t length = strlen(name);

    assert(length <= UINT16_MAX);
    buffer_put_u16(out, (uint16_t)length);
    buffer_put(out, name, length);
    buffer_put_u32(out, type_oid);
    if (row)
        put_value(out, row);
    if (old)
        put_value(out, old);
}

static const struct extra_column *find_extra(const struct change *change, const char *name)
{
    for (uint16_t i = 0; i < change->extra_count; i++)
        if (strcmp(change->extra[i].name, name) == 0)
            return &change->extra[i];
    return NULL;
}

static bool is_carried(const struct table *table, const char *name)
{
    for (uint16_t i = 0; i < table->column_count; i++)
        if (strcmp(table->columns[i].source, name) == 0)
            return true;
    return false;
}

/* A column whose type has changed is written as what it is now: the table will know that type when the change
 * is read back, or refuse it. */
static void put_columns(const struct change *change, struct buffer *out)
{
    const struct table *table = change->table;
    static const struct value absent = {.kind = VALUE_ABSENT};

    for (uint16_t i = 0; i < table->column_count; i++) {
        const struct column *column = &table->columns[i];
        const struct extra_column *now = find_extra(change, column->source);
        const struct value *row = change->row ? &change->row[i] : NULL;
        if (now && row && row->kind == VALUE_ABSENT)
            row = &now->value;
        put_named(column->source, now ? now->type_oid : column->source_type.oid, row,
                  change->old ? &change->old[i] : NULL, out);
    }
    for (uint16_t i = 0; i < change->extra_count; i++) {
        const struct extra_column *extra = &change->extra[i];
        if (!is_carried(table, extra->name))
            put_named(extra->name, extra->type_oid, change->row ? &extra->value : NULL,
                      change->old ? &absent : NULL, out);
    }
}

static uint16_t count_columns(const struct change *change)
{
    uint16_t count = change->table->column_count;

    for (uint16_t i = 0; i < change->extra_count; i++)
        count = (uint16_t)(count + !is_carried(change->table, change->extra[i].name));
    return count;
}

void parked_encode(const struct change *change, const struct transaction *transaction, struct buffer *out)
{
    int flags = (change->truncate_restart ? FLAG_RESTART : 0) |
                (change->truncate_cascade ? FLAG_CASCADE : 0) | (change->row ? FLAG_ROW : 0) |
                (change->old ? FLAG_OLD : 0);
    uint16_t count = change->row || change->old ? count_columns(change) : 0;

    buffer_put_u8(out, PARKED_VERSION);
    buffer_put_u8(out, (uint8_t)change->op);
    buffer_put_u8(out, (uint8_t)change->old_kind);
    buffer_put_u8(out, (uint8_t)flags);
    buffer_put_u32(out, change->truncate_group);
    buffer_put_u32(out, transaction->xid);
    put_position(out, transaction->commit);
    put_position(out, transaction->end);
    buffer_put_u64(out, (uint64_t)transaction->commit_time_us);
    buffer_put_u16(out, count);
    if (count)
        put_columns(change, out);
}

/* Reads off the front; after the first shortage everything is zero and `ok` stays false. */
struct reader {
    const unsigned char *at;
    size_t left;
    bool ok;
};

static const char *take(struct reader *r, size_t size)
{
    const unsigned char *at = r->at;

    if (!r->ok || r->left < size) {
        r->ok = false;
        return NULL;
    }
    r->at += size;
    r->left -= size;
    return (const char *)at;
}

static uint64_t take_uint(struct reader *r, size_t size)
{
    const char *at = take(r, size);
    uint64_t v = 0;

    for (size_t i = 0; at && i < size; i++)
        v = v << 8 | (unsigned char)at[i];
    return v;
}

static struct position take_position(struct reader *r)
{
    struct position p = {.kind = (enum position_kind)take_uint(r, 1)};

    p.high = (uint16_t)take_uint(r, 2);
    p.low = take_uint(r, 8);
    if (p.kind >= POSITION_KINDS)
        r->ok = false;
    return p;
}

static struct value take_value(struct reader *r)
{
    struct value v = {.kind = (enum value_kind)take_uint(r, 1)};

    if (v.kind > VALUE_BINARY)
        r->ok = false;
    if (v.kind == VALUE_TEXT || v.kind == VALUE_BINARY) {
        v.length = (uint32_t)take_uint(r, 4);
        v.data = take(r, v.length);
    }
    return r->ok ? v : (struct value){0};
}

/* The carried column of that name, or column_count. `hint` is where it was when nothing has changed. */
static uint16_t find_column(const struct table *table, struct slice name, uint16_t hint)
{
    if (hint < table->column_count && slice_equal(slice_of(table->columns[hint].source), name))
        return hint;
    for (uint16_t i = 0; i < table->column_count; i++)
        if (slice_equal(slice_of(table->columns[i].source), name))
            return i;
    return table->column_count;
}

static bool is_ignored(const struct table *table, struct slice name)
{
    for (uint16_t i = 0; i < table->ignored_count; i++)
        if (slice_equal(slice_of(table->ignored[i]), name))
            return true;
    return false;
}

static bool place_value(const struct table *table, uint16_t column, struct slice name, uint32_t type_oid,
                        struct value v, struct value *row, struct error *err)
{
    if (v.kind == VALUE_ABSENT || is_ignored(table, name))
        return true;
    if (column == table->column_count)
        return error_set(err, ERROR_TABLE,
                         "a waiting change of %s has a value for column \"%.*s\", which is not carried - run "
                         "crossfade recopy --table %s, or carry the column",
                         table->from, (int)name.length, name.data, table->from);
    if (v.kind == VALUE_BINARY && type_oid != table->columns[column].source_type.oid)
        return error_set(
            err, ERROR_TABLE,
            "a waiting change of %s has column \"%.*s\" in the binary format of another type (oid "
            "%u) than it has now - run crossfade recopy --table %s",
            table->from, (int)name.length, name.data, type_oid, table->from);
    row[column] = v;
    return true;
}

static bool decode_columns(struct reader *r, int flags, const struct table *table, struct change *out,
                           struct error *err)
{
    uint16_t count = (uint16_t)take_uint(r, 2);

    for (uint16_t i = 0; r->ok && i < count; i++) {
        struct slice name = {.length = take_uint(r, 2)};
        name.data = take(r, name.length);
        uint32_t type_oid = (uint32_t)take_uint(r, 4);
        struct value row = flags & FLAG_ROW ? take_value(r) : (struct value){0};
        struct value old = flags & FLAG_OLD ? take_value(r) : (struct value){0};

        if (!r->ok)
            break;
        uint16_t column = find_column(table, name, i);
        if (!place_value(table, column, name, type_oid, row, out->row, err) ||
            !place_value(table, column, name, type_oid, old, out->old, err))
            return false;
    }
    if (!r->ok || r->left != 0)
        return error_set(err, ERROR_TABLE,
                         "a waiting change of %s is damaged - run crossfade recopy --table %s", table->from,
                         table->from);
    return true;
}

static struct value *empty_row(const struct table *table, struct arena *arena)
{
    size_t size = (size_t)table->column_count * sizeof(struct value);

    return memset(arena_alloc(arena, size), 0, size); /* VALUE_ABSENT */
}

bool parked_decode(struct slice data, struct table *table, struct arena *arena, struct change *out,
                   struct transaction *transaction, struct error *err)
{
    struct reader r = {(const unsigned char *)data.data, data.length, true};

    if (take_uint(&r, 1) != PARKED_VERSION)
        return error_set(
            err, ERROR_TABLE,
            "a waiting change of %s is in an unknown encoding - was it written by a newer version?",
            table->from);
    *out = (struct change){.table = table};
    *transaction = (struct transaction){0};
    out->op = (enum change_op)take_uint(&r, 1);
    out->old_kind = (enum old_row)take_uint(&r, 1);
    if (out->op > CHANGE_TRUNCATE || out->old_kind > OLD_FULL)
        r.ok = false;
    int flags = (int)take_uint(&r, 1);
    out->truncate_restart = (flags & FLAG_RESTART) != 0;
    out->truncate_cascade = (flags & FLAG_CASCADE) != 0;
    out->truncate_group = (uint32_t)take_uint(&r, 4);
    transaction->xid = (uint32_t)take_uint(&r, 4);
    transaction->commit = take_position(&r);
    transaction->end = take_position(&r);
    transaction->commit_time_us = (int64_t)take_uint(&r, 8);
    if (flags & FLAG_ROW)
        out->row = empty_row(table, arena);
    if (flags & FLAG_OLD)
        out->old = empty_row(table, arena);
    return decode_columns(&r, flags, table, out, err);
}

bool parked_columns(struct slice data, struct arena *arena, struct table *out, struct error *err)
{
    struct reader r = {(const unsigned char *)data.data, data.length, true};

    (void)take(&r, 3);
    int flags = (int)take_uint(&r, 1);
    (void)take(&r, 8);
    (void)take_position(&r);
    (void)take_position(&r);
    (void)take(&r, 8);
    uint16_t count = (uint16_t)take_uint(&r, 2);
    size_t size = sizeof(struct column) * count;
    out->columns = memset(arena_alloc(arena, size ? size : 1), 0, size);
    for (uint16_t i = 0; r.ok && i < count; i++) {
        struct slice name = {.length = take_uint(&r, 2)};
        name.data = take(&r, name.length);
        out->columns[i].source_type.oid = (uint32_t)take_uint(&r, 4);
        if (flags & FLAG_ROW)
            (void)take_value(&r);
        if (flags & FLAG_OLD)
            (void)take_value(&r);
        if (!r.ok)
            break;
        char *copy = arena_copy(arena, name.data, name.length + 1);
        copy[name.length] = '\0';
        out->columns[i].source = copy;
    }
    out->column_count = count;
    return r.ok || error_set(err, ERROR_DATA, "the waiting change is damaged");
}
