/* SPDX-License-Identifier: PostgreSQL
 *
 * Changes on their way to crossfade.parked and crossfade.quarantine: gathered while a batch is applied,
 * written by sets in the same transaction, in source order.
 */
#ifndef PGSQL_WAITING_H
#define PGSQL_WAITING_H

#include "pgsql/lane.h"

void waiting_park(struct pg_sink *s, const struct batch *batch, size_t index);
/* why NULL: it waits for an earlier change of its key. */
void waiting_hold(struct pg_sink *s, const struct batch *batch, size_t index, const struct error *why);

/* The table has passed park_limit: what is parked is deleted with this transaction, a tombstone stays (a row
 * with an empty change), and the owner is told that only a new copy helps. */
void waiting_overflow(struct pg_sink *s, struct lane_table *t);
/* Everything of this table in quarantine goes with this transaction. */
void waiting_drop_held(struct pg_sink *s, struct lane_table *t);

/* Where the lists stand, to take back what a rolled-back group added. */
struct waiting_mark {
    size_t parked, held;
};
struct waiting_mark waiting_mark(const struct pg_sink *s);
void waiting_rewind(struct pg_sink *s, struct waiting_mark mark);

/* Queues what there is into the open exchange. */
MUST_CHECK bool waiting_send(struct pg_sink *s, struct error *err);

/* Empties the lists: the transaction has been committed, or its piece released. */
void waiting_clear(struct pg_sink *s);
void waiting_free(struct waiting *self);

#endif
