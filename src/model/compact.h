/* SPDX-License-Identifier: PostgreSQL
 *
 * Compaction: the net effect of a stretch of changes, per key, column by column, as a short list of
 * steps that a sink executes in order. Pure: no I/O; everything it makes lives in the arena.
 *
 * Invariant: executing the steps in order leaves the same rows as executing the changes in order, for
 * every sink state that the source's history allows (STREAMING), respectively converges to the source
 * once the stream has passed the last copy (CONVERGE; DESIGN.md rule 6).
 */
#ifndef MODEL_COMPACT_H
#define MODEL_COMPACT_H

#include <stddef.h>

#include "base/arena.h"
#include "model/batch.h"

enum net_op {
    NET_DELETE, /* by key */
    NET_UPDATE, /* by key, the columns of `mask` */
    NET_INSERT, /* the row must not be there; without a key: one more row */
    NET_UPSERT, /* CONVERGE only: insert or overwrite, by key */
    NET_EXACT   /* one change, as it came: key change, TRUNCATE, keyless update or delete, key not hashable.
                   Those of one TRUNCATE statement (truncate_group) are adjacent */
};

/* One row of a set. `key` and `row` have table->column_count values (key: only key columns matter). */
struct net_row {
    const struct value *key;
    const struct value *row; /* NULL for NET_DELETE */
    const struct change
        *last; /* the last change that made it: for messages; of a key change it may have the other key */
};

/* One step: rows of one table, one operation and one column set; or one exact change. */
struct net_step {
    struct table *table;
    enum net_op op;
    const uint64_t
        *mask; /* NET_UPDATE/INSERT/UPSERT: bit i = column i provided; (column_count+63)/64 words */
    struct net_row *rows; /* sorted by key bytes (hazard 28); without a key in source order */
    size_t count;
    const struct change *exact; /* NET_EXACT */
};

struct net_plan {
    struct net_step *steps;
    size_t count;
};

struct compact_options {
    bool dependency_order; /* foreign keys fire on the sink: deletes children first, inserts parents first */
};

/* Plans changes [first, first+count) of the batch. A table that table_converges() is planned to CONVERGE,
 * every other as STREAMING. Changes of parked tables must have been taken out by the caller: `skip` (may be
 * NULL) has one byte a change, skip[0] for the change `first`, nonzero = leave out. The plan lives in
 * `arena`. */
struct net_plan compact(const struct batch *batch, size_t first, size_t count, const unsigned char *skip,
                        const struct compact_options *options, struct arena *arena);

#endif
