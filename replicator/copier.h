/* SPDX-License-Identifier: PostgreSQL
 *
 * One copy worker: a source and a sink connection and the copy of one chunk at a time, which is one source
 * snapshot and one sink transaction, the chunk's row included.
 */
#ifndef REPLICATOR_COPIER_H
#define REPLICATOR_COPIER_H

#include "replicator/chunk.h"
#include "replicator/crew.h"
#include "replicator/stats.h"
#include "replicator/throttle.h"

struct copier_options {
    const struct config *config;
    struct stats *stats;
    struct throttle *throttle;
    int64_t epoch;
};

struct copier {
    const struct copier_options *options;
    struct crew_member *member;
    struct legacy_copy *source;
    struct pg_conn sink;
    bool connected;
};

void copier_init(struct copier *self, const struct copier_options *options, struct crew_member *member);
void copier_close(struct copier *self);

/* Connects, unless it is. The other functions do that by themselves. */
MUST_CHECK bool copier_connect(struct copier *self, struct error *err);
/* Plans the table's next chunk over this copier's connections. */
MUST_CHECK bool copier_plan(struct copier *self, struct chunk_table *table, struct chunk *out, bool *found,
                            struct error *err);
/* Copies it. `upsert`: rows that are there already are overwritten. Sets table->copied_snapshot of a keyless
 * one. The kind of a failure says whose it is: ERROR_TABLE this table's, anything else everybody's. */
MUST_CHECK bool copier_copy(struct copier *self, const struct chunk_table *table, const struct chunk *chunk,
                            bool upsert, struct error *err);
/* Stores the table's present state; with `flush` durably, and everything committed before it too. */
MUST_CHECK bool copier_put_state(struct copier *self, const struct table *table, const char *reason,
                                 bool flush, struct error *err);

#endif
