/* SPDX-License-Identifier: PostgreSQL
 *
 * Rows of a table as the bytes of COPY … FROM STDIN (FORMAT binary): header, tuples, trailer, converted
 * directly from what db-lib hands out.
 *
 * For a keyed table: ms_copy_open once, then ms_keyset_border and ms_copy_run for each chunk, on any
 * connection. Each run is one reading transaction: SNAPSHOT where the database allows it, else READ
 * COMMITTED; never NOLOCK. That meets the stream exactly because the stream began at a marker before the
 * first run (marker.h), and is replayed.
 *
 * For a keyless table, which no replay can mend, the boundary must be exact:
 *   1. ms_copy_lock on connection A: waits out all writers of the table, and keeps new ones waiting;
 *   2. marker_write on connection B, and its position taken: P;
 *   3. with a snapshot: ms_copy_begin on connection C, then ms_copy_unlock on A, so that the lock was short;
 * without: C is A, and the lock lasts as long as the copy;
 *   4. ms_copy_rows on C, then ms_copy_end; P's text becomes table->copied_snapshot, and the stream leaves
 * out the table's changes up to P.
 */
#ifndef MSSQL_COPY_OUT_H
#define MSSQL_COPY_OUT_H

#include <stdatomic.h>

#include "mssql/keyset.h"
#include "mssql/row.h"

struct ms_copy {
    struct ms_row_plan plan;
    struct ms_keyset key;
    char *from;
    bool snapshot;         /* reads under SNAPSHOT isolation */
    bool memory_optimized; /* needs its own hint, and no SNAPSHOT session */
};

/* `table` and the policies as in ms_row_plan_make; the catalog is not kept. `out` is to be closed in any
 * case. */
MUST_CHECK bool ms_copy_open(const struct ms_catalog *catalog, const struct table *table,
                             const struct ms_value_policy *policies, int64_t value_limit, struct ms_copy *out,
                             struct error *err);
void ms_copy_close(struct ms_copy *self);

/* Takes a piece, about 128 kB: may block to keep a rate. False with err set stops the copy. */
typedef bool ms_copy_put(void *context, const char *data, size_t size, struct error *err);

/* begin, rows, end. Rows with low < key <= high; either NULL: open. *passed (may be NULL) grows while rows go
 * by; *rows is their number once the server has said that these were all (hazard 30). A row that can't be
 * carried is ERROR_TABLE. On false nothing is open on the connection, or it is dead. */
MUST_CHECK bool ms_copy_run(struct ms_conn *conn, const struct ms_copy *self, char *const *low,
                            char *const *high, ms_copy_put *put, void *context, _Atomic uint64_t *passed,
                            uint64_t *rows, struct error *err);

/* The parts. begin fixes what is seen (SNAPSHOT) by reading once. */
MUST_CHECK bool ms_copy_begin(struct ms_conn *conn, const struct ms_copy *self, struct error *err);
MUST_CHECK bool ms_copy_rows(struct ms_conn *conn, const struct ms_copy *self, char *const *low,
                             char *const *high, ms_copy_put *put, void *context, _Atomic uint64_t *passed,
                             uint64_t *rows, struct error *err);
MUST_CHECK bool ms_copy_end(struct ms_conn *conn, struct error *err);

/* A shared lock on the whole table, in a transaction that ms_copy_unlock (or ms_copy_end) ends. ERROR_RETRY
 * when writers hold it up for longer than the session's LOCK_TIMEOUT. */
MUST_CHECK bool ms_copy_lock(struct ms_conn *conn, const struct ms_copy *self, struct error *err);
MUST_CHECK bool ms_copy_unlock(struct ms_conn *conn, struct error *err);

/* The framing, for tests. */
void ms_copy_header(struct buffer *out);
void ms_copy_trailer(struct buffer *out);

#endif
