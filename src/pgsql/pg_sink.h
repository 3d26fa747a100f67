/* SPDX-License-Identifier: PostgreSQL
 *
 * A PostgreSQL lane: compacted, set-based, exactly-once apply. Each batch is one pipelined round trip:
 * BEGIN, crossfade.advance (compare-and-set on epoch and previous position, raises CF002), the steps of
 * the compacted plan with their row counts expected (crossfade.expect raises CF001), COMMIT, and the sink's
 * WAL positions. When that fails for its data the transaction is rolled back and replayed exactly.
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
    int64_t park_limit;          /* bytes */
    int64_t quarantine_limit;    /* rows per table */
};

/* Connects, sets up the origin crossfade_<pipeline>_<lane> where rights allow, claims the lane's progress
 * row under the epoch (ERROR_FENCED if a higher one is there) and returns its position (POSITION_NONE: new). */
MUST_CHECK bool pg_sink_open(const struct pg_sink_options *options, struct sink **out, struct position *position,
                             struct error *err);

#endif
