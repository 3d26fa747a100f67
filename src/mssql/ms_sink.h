/* SPDX-License-Identifier: PostgreSQL
 *
 * A SQL Server lane: compacted, set-based, exactly-once apply for the way back. Each batch is one
 * transaction; its first write is the compare-and-set of the lane's row in crossfade.progress on (epoch,
 * previous position), which THROWs 51002 when nothing matched. That row is captured, and so is the loop
 * marker of DESIGN.md rule 7. Large sets come by bulk copy into a session's temp table before the transaction
 * begins; then one T-SQL batch deletes, updates and inserts by sets, each with its row count expected
 * (51001), and commits. When that fails for its data the transaction is rolled back and replayed exactly.
 *
 * Rights it needs: SELECT, INSERT, UPDATE, DELETE on each table; ALTER on tables with an identity column (for
 * IDENTITY_INSERT); SELECT, INSERT, UPDATE, DELETE on schema crossfade. ms_sink_rights tells what is missing.
 *
 * COMMIT waits for the disk unless the database has DELAYED_DURABILITY = FORCED, which open refuses: so what
 * is applied is durable.
 */
#ifndef MSSQL_MS_SINK_H
#define MSSQL_MS_SINK_H

#include "model/sink.h"
#include "mssql/catalog.h"
#include "mssql/conn.h"
#include "mssql/value.h"

struct ms_sink_options {
    struct ms_conn_options conn; /* bulk is set by us */
    const char *stream;          /* "reverse" */
    int lane;
    int64_t epoch;
    const struct table_set *tables;   /* outlives the sink; `state` of this lane's tables is changed by it.
                                         Their   `to` side is the SQL Server's */
    const struct ms_catalog *catalog; /* of the sink's database; only while opening */
    struct ms_value_policy policy;    /* zone of naive date-times; the zone outlives the sink */
    struct sink_events events;
    int64_t park_limit;       /* bytes per table */
    int64_t quarantine_limit; /* rows per table */
    size_t set_rows;          /* from so many rows on a set is one statement; 0: the default */
    size_t bulk_rows;         /* … and comes by bulk copy; 0: the default; SIZE_MAX: never */
};

/* Connects, claims the lane's progress row under the epoch (ERROR_FENCED if a higher one is there) and
 * returns its position (POSITION_NONE: new). ERROR_REFUSED where crossfade's tables are missing
 * (marker_install with `progress`). Tables with changes waiting in crossfade.parked go on parking, whatever
 * their state, until drained. A table whose columns SQL Server's can't take is stopped through table_stopped.
 * Ranks of the tables are set by the sink's foreign keys. */
MUST_CHECK bool ms_sink_open(const struct ms_sink_options *options, struct sink **out,
                             struct position *position, struct error *err);

/* The functions below are for a lane between batches, outside a half-applied source transaction. A table that
 * stops is reported through table_stopped, with nothing of it changed, and they return true; false as
 * sink_ops.apply. */

/* Applies up to max_rows of the table's parked changes in order, as they came, and deletes them, in one
 * transaction. The table goes on parking until *empty. */
MUST_CHECK bool ms_sink_drain_parked(struct sink *sink, struct table *table, size_t max_rows, bool *empty,
                                     struct error *err);
/* What is parked or in quarantine of it, and the mark that park_limit was passed, are deleted. */
MUST_CHECK bool ms_sink_forget_parked(struct sink *sink, struct table *table, struct error *err);

/* Applies these rows of crossfade.quarantine, with all others that share a key with them, in source order.
 * What is refused again is there under a new id, with the new reason. */
MUST_CHECK bool ms_sink_retry_quarantine(struct sink *sink, const int64_t *ids, size_t count,
                                         struct error *err);
/* Deletes these rows: their changes are given up. A key without rows is free again. */
MUST_CHECK bool ms_sink_skip_quarantine(struct sink *sink, const int64_t *ids, size_t count,
                                        struct error *err);

/* For check: what the login of this connection lacks for the reverse direction of these tables, as GRANT
 * statements to `user`, one a line, appended to `out`; nothing is appended if it lacks none. */
MUST_CHECK bool ms_sink_rights(struct ms_conn *conn, const struct table_set *tables,
                               const struct ms_catalog *catalog, const char *user, struct buffer *out,
                               struct error *err);
/* For check: why this table can't be written to as it is mapped; false: it can. */
bool ms_sink_unfit(const struct table *table, const struct ms_catalog *catalog, struct error *why);

#endif
