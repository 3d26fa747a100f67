/* SPDX-License-Identifier: PostgreSQL
 *
 * A PostgreSQL lane: compacted, set-based, exactly-once apply. Each batch is one pipelined round trip:
 * BEGIN, crossfade.advance (compare-and-set on epoch and previous position, raises CF002), the steps of
 * the compacted plan with their row counts expected (crossfade.expect raises CF001), COMMIT, and the sink's
 * WAL positions. When that fails for its data the transaction is rolled back and replayed exactly.
 *
 * Memory of its own: the plan of a batch, and a few MB of parameters on their way (more only for a
 * single row that is larger).
 */
#ifndef PGSQL_PG_SINK_H
#define PGSQL_PG_SINK_H

#include "model/sink.h"
#include "pgsql/conn.h"

struct pg_sink_options {
    struct pg_conn_options conn; /* apply is set by us */
    const char *stream;          /* "forward" or "reverse" */
    int lane;
    int64_t epoch;
    const struct table_set *tables; /* outlives the sink; `state` of this lane's tables is changed by it */
    struct sink_events events;
    int64_t park_limit;       /* bytes per table */
    int64_t quarantine_limit; /* rows per table */
};

/* Connects, sets up the origin crossfade_<pipeline>_<lane> where rights allow, claims the lane's progress
 * row under the epoch (ERROR_FENCED if a higher one is there) and returns its position (POSITION_NONE: new).
 * Tables with changes waiting in crossfade.parked go on parking, whatever their state, until drained.
 * ERROR_RETRY while a predecessor's session still holds the origin. */
MUST_CHECK bool pg_sink_open(const struct pg_sink_options *options, struct sink **out,
                             struct position *position, struct error *err);

/* False where the role may not use origins: the loop marker of rule 7 is then the progress row. */
bool pg_sink_has_origin(const struct sink *sink);

/* The functions below are for a lane between batches, outside a half-applied source transaction. A table that
 * stops is reported through table_stopped, with nothing of it changed, and they return true; false as
 * sink_ops.apply. */

/* Applies up to max_rows (and a few MB) of the table's parked changes in order and deletes them, in one
 * transaction. The table goes on parking until *empty. In TABLE_CATCHUP the changes converge (after a
 * recopy); else they are applied as they came. */
MUST_CHECK bool pg_sink_drain_parked(struct sink *sink, struct table *table, size_t max_rows, bool *empty,
                                     struct error *err);

/* A table is copied anew: what is parked or in quarantine of it, and the mark that park_limit was passed, are
 * deleted; its state is the caller's business. */
MUST_CHECK bool pg_sink_forget_parked(struct sink *sink, struct table *table, struct error *err);

/* Applies these rows of crossfade.quarantine, with all others that share a key with them: each row's story
 * folded to its last word. What is refused again stays, with the new reason. Ids of other lanes' tables are
 * passed over. */
MUST_CHECK bool pg_sink_retry_quarantine(struct sink *sink, const int64_t *ids, size_t count,
                                         struct error *err);
/* Deletes these rows: their changes are given up. A key without rows is free again. */
MUST_CHECK bool pg_sink_skip_quarantine(struct sink *sink, const int64_t *ids, size_t count,
                                        struct error *err);

#endif
