/* SPDX-License-Identifier: PostgreSQL
 *
 * PostgreSQL logical replication as a struct source: walsender session, pgoutput decoding, Relation
 * tracking against the table set, our own origins dropped, standby status on a timer.
 *
 * SOURCE_DRIFT with table NULL: a relation of the publication that is not in the table set; told once, its
 * changes are skipped. Leaf partitions published by their own names are their root. A TRUNCATE of some leaves
 * only is SOURCE_DRIFT of the root: nothing else of it is handed out. `confirm` may be called from any
 * thread.
 */
#ifndef PGSQL_LOGICAL_SOURCE_H
#define PGSQL_LOGICAL_SOURCE_H

#include "model/source.h"
#include "pgsql/conn.h"

struct logical_source_options {
    struct pg_conn_options conn; /* replication is set by us */
    const char *slot;
    const char *publication;
    const char *insert_publication; /* a second one, for tables without a replica identity; NULL: none */
    struct position start;          /* resume here: where the slowest lane stands */
    bool binary;                    /* ask for binary values (source 14 or newer) */
    /* Origins named by this and a lane (no '_' in it) are our own: of their transactions only BEGIN and
     * COMMIT are handed out, own = true (rule 7). May be NULL. */
    const char *origin_prefix;
    const struct table_set *tables; /* constant; outlives the source */
    int status_interval_ms;         /* standby status at least so often */
};

/* Connects and starts streaming. ERROR_FATAL if the slot is gone or already past `start`. */
MUST_CHECK bool logical_source_open(const struct logical_source_options *options, struct source **out,
                                    struct error *err);

/* End of WAL the server last told, and the highest LSN handed out: for lag figures; any thread. */
void logical_source_progress(const struct source *self, uint64_t *server_end, uint64_t *received);

#endif
