/* SPDX-License-Identifier: PostgreSQL
 *
 * The bulk copy (DESIGN.md rule 6). Called from the runner's thread, uses copy workers (threads) of its own,
 * each with one source and one sink connection.
 */
#ifndef REPLICATOR_BACKFILL_H
#define REPLICATOR_BACKFILL_H

#include "base/log.h"
#include "model/config.h"
#include "model/table.h"
#include "pgsql/conn.h"
#include "replicator/stats.h"

struct backfill_options {
    const struct config *config;
    struct log *log;
    struct stats *stats;
    int64_t epoch;
    struct table **tables; /* those to copy: state INIT or BACKFILL; largest first is our business */
    uint32_t table_count;
    _Atomic int64_t *rate_limit; /* bytes/s for all workers together, 0 none; may change at any time */
    _Atomic bool *cancel;        /* set by anyone: ends with ERROR_CANCELED within a second */
};

/* Copies what is not copied yet, chunk by chunk, and leaves each finished table in TABLE_CATCHUP (state row
 * too). A keyless table's snapshot ends up in table->copied_snapshot. Returns when all are done. A table that
 * can't be copied for its own reasons (its data, its rights) is put into TABLE_STOPPED with the reason and
 * the others go on; ERROR_RETRY / FENCED / FATAL end the whole. Idempotent: called again after a crash it
 * goes on where it was. Where the config says so it defers the indexes of the tables it copies, and only of
 * those (indexes.h); restoring them is the caller's. */
MUST_CHECK bool backfill_run(const struct backfill_options *options, struct error *err);

/* For a table that is to be copied anew: its chunk rows and re-read keys go, its target table is emptied, in
 * one fenced transaction. The next backfill_run copies it. Its changes must be parked or not be streamed yet.
 */
MUST_CHECK bool backfill_forget(struct pg_conn *target, const char *pipeline, int64_t epoch,
                                const struct table *table, struct error *err);

#endif
