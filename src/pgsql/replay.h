/* SPDX-License-Identifier: PostgreSQL
 *
 * The exact replay of a batch (DESIGN.md section 3): every change in source order, pipelined in groups, each
 * row count seen; conflicts are mended, refused rows quarantined, tables that can't go on stopped.
 */
#ifndef PGSQL_REPLAY_H
#define PGSQL_REPLAY_H

#include "pgsql/apply.h"

struct replay {
    struct pg_sink *s;
    const struct batch *batch;
    unsigned char *fates;
    struct sink_counts *counts;
    bool has_group; /* the savepoint cf_group is there */
    bool failed;    /* and has to be rolled back to before anything else */
};

/* Begins an exchange under a fresh savepoint; ends it. A failure that is the row's or table's leaves
 * replay_close true, in pipe.failure; the next replay_open rolls it back. */
MUST_CHECK bool replay_open(struct replay *r, struct error *err);
MUST_CHECK bool replay_close(struct replay *r, struct error *err);
/* Queues the TRUNCATE that begins with change `first`, of the tables that are not parked; returns how many
 * changes it is. */
size_t replay_send_truncate(struct replay *r, size_t first, bool *ok, struct error *err);

/* Rolls back what was tried and applies the batch up to and with its COMMIT. `fates` (enum sift_fate, by
 * change) is filled. False as sink_ops.apply. */
MUST_CHECK bool replay_batch(struct pg_sink *s, const struct batch *batch, unsigned char *fates,
                             struct sink_counts *counts, struct sink_result *out, struct error *err);

/* The changes of the batch inside a transaction that the caller has opened and will end; parked and
 * quarantined ones are left in s->waiting. */
MUST_CHECK bool replay_changes(struct pg_sink *s, const struct batch *batch, unsigned char *fates,
                               struct sink_counts *counts, struct error *err);

#endif
