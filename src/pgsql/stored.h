/* SPDX-License-Identifier: PostgreSQL
 *
 * Changes read back from crossfade.parked or crossfade.quarantine, as a batch in the order they were made.
 */
#ifndef PGSQL_STORED_H
#define PGSQL_STORED_H

#include "pgsql/lane.h"

struct stored {
    struct batch batch; /* changes and transactions are in the lane's arena, values in `result` */
    int64_t *ids;       /* seq or id, by change; in the arena */
    PGresult *result;
};

/* The query gives (int8, bytea) of changes of this table, in order. ERROR_TABLE if one can't be decoded. */
MUST_CHECK bool stored_read(struct pg_sink *s, struct table *table, const char *sql, int count,
                            const char *const *values, struct stored *out, struct error *err);
void stored_free(struct stored *self);

/* BEGIN and the fence. */
MUST_CHECK bool stored_begin(struct pg_sink *s, struct error *err);
/* Replays the batch as if the table were not parked, writes what is quarantined again, and leaves the
 * transaction open. ERROR_TABLE if the table stopped: call stored_rollback. */
MUST_CHECK bool stored_apply(struct pg_sink *s, struct lane_table *t, const struct stored *stored,
                             struct error *err);
MUST_CHECK bool stored_commit(struct pg_sink *s, struct error *err);
/* Ends the transaction and forgets what was gathered; err stays as it is. */
void stored_rollback(struct pg_sink *s);
/* After it: the table goes on parking and its owner knows why. */
void stored_stopped(struct pg_sink *s, struct lane_table *t, struct error *err);

#endif
