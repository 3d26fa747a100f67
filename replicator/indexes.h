/* SPDX-License-Identifier: PostgreSQL
 *
 * Indexes, constraints and foreign keys of target tables that would slow the copy down or break the
 * convergence of catchup (rule 6): dropped with their DDL saved in crossfade.saved_ddl in the same
 * transaction, made again from there, in parallel, whatever happened in between.
 */
#ifndef REPLICATOR_INDEXES_H
#define REPLICATOR_INDEXES_H

#include "base/log.h"
#include "model/config.h"
#include "model/table.h"
#include "pgsql/conn.h"

/* Saves and drops, for tables that are about to be copied and whose owner we may act as; tables we don't own
 * are left as they are (check has warned). The key's own index goes too unless something outside needs it.
 * Fenced. */
MUST_CHECK bool indexes_defer(struct pg_conn *target, const char *pipeline, int64_t epoch,
                              struct table *const *tables, uint32_t count, struct error *err);

enum indexes_phase {
    INDEXES_KEYS, /* the index that is the key's arbiter: after the copy, before catchup */
    INDEXES_ALL /* everything else: after catchup; foreign keys last, NOT VALID then VALIDATE where allowed */
};
/* Makes again what is saved for this pipeline, largest first, by up to `jobs` connections at once; each
 * object's saved row goes in the transaction that makes it. Then ANALYZE (phase ALL). A foreign key or unique
 * index that the data refuses stays saved, is reported (warning with the server's text) and does not fail the
 * rest. */
MUST_CHECK bool indexes_restore(const struct config *config, struct log *log, int64_t epoch,
                                enum indexes_phase phase, struct table *const *tables, uint32_t count,
                                int jobs, _Atomic bool *cancel, struct error *err);
/* Any left to restore for this pipeline? */
MUST_CHECK bool indexes_pending(struct pg_conn *target, const char *pipeline, bool *pending,
                                struct error *err);

#endif
