/* SPDX-License-Identifier: PostgreSQL
 *
 * The chunks of a table's copy: planned in key order, each from the end of the one before, and stored in
 * crossfade.chunk before their reading begins, so that after a crash the same borders are met again. The
 * server orders; bounds are text that is carried back to it untouched.
 */
#ifndef REPLICATOR_CHUNK_H
#define REPLICATOR_CHUNK_H

#include "legacy/legacy.h"

struct chunk {
    int32_t seq;
    char **low, **high; /* low < key <= high; NULL is open. One block each, as sql_array_parse makes them */
};

void chunk_free(struct chunk *self);

/* One table's copy. Not locked: one thread plans a table at a time. */
struct chunk_table {
    struct table *table;
    bool whole;         /* one chunk: keyless, small, or without an index in the key's order */
    int64_t chunk_rows; /* not whole: how many make a chunk */
    bool known;         /* looked at the source for the above */
    bool started;       /* there are chunk rows: what the target holds is ours */
    struct chunk *redo; /* planned before we came, not done */
    size_t redo_count;
    int32_t next_seq;
    char **next_low;                /* highest planned bound */
    bool exhausted;                 /* the last chunk is planned */
    uint64_t rows_done, bytes_done; /* of chunks that were done when loaded */
    bool rekeyed;                   /* the stored bounds are not of today's key: nothing may be copied */
};

void chunk_table_free(struct chunk_table *self); /* not the table */

/* Reads what is planned and done for these tables; sets copied_snapshot of finished keyless ones. */
MUST_CHECK bool chunk_load(struct pg_conn *target, const char *pipeline, struct chunk_table *tables,
                           uint32_t count, struct error *err);

/* What a chunk should hold; `rows`, if not 0, overrides. */
struct chunk_size {
    int64_t bytes;
    int64_t rows;
};
/* Looks at the table on the source, once, and decides how it is cut. Before the first chunk_next. */
MUST_CHECK bool chunk_look(struct legacy_copy *source, struct chunk_table *self, struct chunk_size size,
                           struct error *err);

/* The next chunk to copy, stored as planned under the epoch; *found false if all are handed out.
 * */
MUST_CHECK bool chunk_next(struct legacy_copy *source, struct pg_conn *target, const char *pipeline,
                           int64_t epoch, struct chunk_table *self, struct chunk *out, bool *found,
                           struct error *err);

/* In the transaction that copied the rows, last before its COMMIT. snapshot: NULL or of a keyless table. */
MUST_CHECK bool chunk_done(struct pg_conn *target, const char *pipeline, int64_t epoch,
                           const struct table *table, const struct chunk *chunk, uint64_t rows,
                           uint64_t bytes, const char *snapshot, struct error *err);

#endif
