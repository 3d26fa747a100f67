/* SPDX-License-Identifier: PostgreSQL
 *
 * One row event as the source told it. Values stay in the wire format they came in.
 *
 * A column is three-valued: a value, NULL, or not provided (an unchanged TOASTed value, a column outside
 * the old key). Nobody may turn "not provided" into NULL (hazard 15).
 */
#ifndef MODEL_CHANGE_H
#define MODEL_CHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "model/position.h"
#include "model/table.h"

enum value_kind {
    VALUE_ABSENT = 0, /* not provided */
    VALUE_NULL,
    VALUE_TEXT,  /* the type's text output, UTF-8, no NUL at the end */
    VALUE_BINARY /* the type's binary send format */
};

struct value {
    const char *data; /* NULL for ABSENT and NULL */
    uint32_t length;
    enum value_kind kind;
};

enum change_op { CHANGE_INSERT, CHANGE_UPDATE, CHANGE_DELETE, CHANGE_TRUNCATE };

/* What the source sent of the old row. */
enum old_row { OLD_NONE, OLD_KEY, OLD_FULL };

struct transaction {
    uint32_t xid;
    struct position end;    /* end of the commit: where to resume after it; at BEGIN only where it is known */
    struct position commit; /* where the commit record begins; known from the first row on */
    int64_t commit_time_us; /* wall clock of the source, microseconds since 1970 UTC */
    bool own;               /* applied by ourselves from the other side: dropped (rule 7) */
};

/* A source column that the table has no place for: it was added, renamed or re-typed since the mapping was
 * written (hazard 34). Comes only with drifted tables, so that parking loses no value. A column whose type
 * oid changed is here with its new type and VALUE_ABSENT in `row`; a key column is in both. */
struct extra_column {
    const char *name;
    uint32_t type_oid; /* on the source */
    struct value value;
};

struct change {
    struct table *table;
    enum change_op op;
    enum old_row old_kind;
    bool truncate_restart;   /* RESTART IDENTITY */
    bool truncate_cascade;   /* the source said CASCADE; the published list is complete, we never cascade */
    uint32_t truncate_group; /* changes of one TRUNCATE statement have the same number, not 0 */
    uint32_t transaction;    /* index into the batch's transactions */
    struct value *row;       /* column_count values: the new row (INSERT, UPDATE), else NULL */
    struct value *old;       /* column_count values: old key or old row, else NULL */
    const struct extra_column *extra; /* of the new row; whoever copies a change copies these too */
    uint16_t extra_count;
};

/* The values by which the sink finds the row: old key if the source sent one, else the new row's. */
static inline const struct value *change_key_row(const struct change *c)
{
    return c->old ? c->old : c->row;
}

/* True if an UPDATE brought an old key that differs, byte for byte, from the new row's key. */
bool change_moves_key(const struct change *c);

/* The key's bytes in a canonical form for hashing and comparing, appended to `out` (kind, length, bytes
 * of each key column; numerics without their display scale). Only for tables with key_hashable. */
struct buffer;
void change_key_bytes(const struct table *table, const struct value *row, struct buffer *out);

/* For people: {"id": 42}-like text of the key or of a keyless row's first columns, cut to `size`. */
char *change_key_text(const struct table *table, const struct value *row, char *out, uint32_t size);

#endif
