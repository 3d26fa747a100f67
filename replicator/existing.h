/* SPDX-License-Identifier: PostgreSQL
 *
 * Rows that a target table holds before its copy begins. A table that has chunk rows has begun: what it holds
 * is ours and is never judged or removed here.
 */
#ifndef REPLICATOR_EXISTING_H
#define REPLICATOR_EXISTING_H

#include "model/config.h"
#include "replicator/chunk.h"

/* The rule of the config for a table. */
enum existing_rule existing_rule(const struct config *config, const struct table *table);

/* Empties those that are to be emptied and looks into those that must be empty. reasons[i] (malloc'ed) says
 * why tables[i] may not be copied, NULL if it may. False only for what concerns all. */
MUST_CHECK bool existing_settle(struct pg_conn *target, const struct config *config, int64_t epoch,
                                const struct chunk_table *tables, uint32_t count, char **reasons,
                                struct error *err);

/* Empties one table inside the caller's transaction: TRUNCATE, or DELETE where that is refused and no trigger
 * can carry it further. Never CASCADE. */
MUST_CHECK bool existing_empty(struct pg_conn *target, const struct table *table, struct error *err);

#endif
