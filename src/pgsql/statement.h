/* SPDX-License-Identifier: PostgreSQL
 *
 * The SQL of every apply form, as text, from a table and a column set. Pure. Forms (DESIGN.md section 3):
 * set-based over unnest($1::t[], …), scalar for one row, exact (one source change), TRUNCATE.
 *
 * Parameters need no declared types: every $n is cast where it first stands. How a value is sent:
 * - scalar and exact forms: as it came; VALUE_TEXT with format 0, VALUE_BINARY with format 1, VALUE_NULL as
 * NULL;
 * - set-based forms: one array in binary format, its element type `statement_param.oid`: text (25) for the
 *   columns of `text_mask`, whose elements are the text of the values, else the column's wire type, whose
 * elements are the values as they came. Casts never shorten a value: none carries a length, so that the
 * assignment to the column checks it.
 *
 * The number of rows touched: the command tag's, for every form (PQcmdTuples), unless `checked`.
 */
#ifndef PGSQL_STATEMENT_H
#define PGSQL_STATEMENT_H

#include "base/buffer.h"
#include "model/compact.h"

/* One parameter of a statement: which column, from which side of the row. */
struct statement_param {
    uint16_t column;
    bool from_key; /* net_row.key, respectively change_key_row(): the key the row has now; else the new row */
    uint32_t oid;  /* the parameter's type; set-based: the type of its elements */
};

struct statement {
    struct buffer sql;
    struct statement_param *params; /* in order $1.. */
    uint16_t
        param_count; /* further parameters (int8 expected row count; texts of statement_reread) come behind */
    bool set_based;  /* parameters are arrays */
    bool checked; /* $(param_count + 1) is the expected row count (int8); raises CF001 when it is another */
};

void statement_free(struct statement *self);

/* False if a set of these columns (and the key) can't go through unnest: it would flatten arrays
 * and make columns of a composite's fields, if they come in binary (as text they are fine). Then use
 * set_based=false, row by row. */
bool statement_can_set(const struct table *table, const uint64_t *mask, const uint64_t *text_mask);

/* The type a value of that column is sent as, unless it is sent as text. */
uint32_t statement_wire_oid(const struct column *column);

/* A keyed set, or with set_based=false a single row. `mask` as in compact.h; `text_mask` (may be NULL: none;
 * only read when set_based) has the columns whose values come as VALUE_TEXT. `expect` adds the count check
 * inside the statement; out->checked says whether it is there (not for an UPSERT that has nothing to update).
 * NET_DELETE and NET_UPDATE match by key. NET_INSERT skips a row whose key is there (that shows in the
 * count); without table->sink_key_arbiter it raises 23505 instead. NET_UPSERT's arbiter is the key; without
 * sink_key_arbiter it only inserts what is not there: run the NET_UPDATE of the same mask before it. A
 * GENERATED ALWAYS identity column can't be set: where its value differs NET_UPDATE leaves the row, which
 * shows in the count (statement_exact can do it); NET_UPSERT puts the row in anew. A keyless table knows
 * NET_INSERT alone. */
void statement_net(const struct table *table, enum net_op op, const uint64_t *mask, const uint64_t *text_mask,
                   bool set_based, bool expect, struct statement *out);

/* One source change as it came. `mask`: the columns that the new row brings (INSERT, UPDATE), key columns
 * among them. `old_full`: match by the whole old row, one row of several that are equal (keyless tables; the
 * old row must have every column); else by key. An UPDATE sets key columns too. Touches exactly one row, or
 * none: then the row was missing. INSERT raises 23505 if the row is there. Not for CHANGE_TRUNCATE. */
void statement_exact(const struct table *table, enum change_op op, bool old_full, const uint64_t *mask,
                     struct statement *out);

/* The published list in one statement, never CASCADE; no parameters. */
void statement_truncate(const struct table *const *tables, uint32_t count, bool restart, struct buffer *out);

/* Which rows are (not) there, by key: int8 ordinals (1..) of the array elements whose row is `there`, in
 * order. Set-based: names the conflicts behind a short count. */
void statement_find(const struct table *table, const uint64_t *text_mask, bool there, struct statement *out);

/* Puts keys on the re-read list, as text in key order, ON CONFLICT DO NOTHING; with `only_missing` those
 * without a row in the table. $(param_count + 1) is the pipeline, $(param_count + 2) the table's `from`, both
 * text. */
void statement_reread(const struct table *table, const uint64_t *text_mask, bool set_based, bool only_missing,
                      struct statement *out);

#endif
