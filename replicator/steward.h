/* SPDX-License-Identifier: PostgreSQL
 *
 * The thread that keeps the lease while the pipeline runs: heartbeats on the target, listens for the
 * operator's wishes there, and asks the source how much WAL it keeps for us. Holds its own connections, so
 * that nothing the other threads do can delay a heartbeat.
 */
#ifndef REPLICATOR_STEWARD_H
#define REPLICATOR_STEWARD_H

#include "base/log.h"
#include "model/config.h"
#include "replicator/stats.h"
#include "state/lease.h"

struct steward;

struct steward_options {
    const struct config *config;
    struct log *log;
    struct stats *stats;
    struct lease lease;             /* held */
    void (*changed)(void *context); /* steward's thread; must only wake */
    void *context;
};

struct steward *steward_start(const struct steward_options *options);
/* Ends the thread; `release` gives the lease back first. */
void steward_free(struct steward *self, bool release);
/* False when the lease is lost (ERROR_FENCED), or could not be renewed for a whole lease_ttl (ERROR_RETRY).
 */
MUST_CHECK bool steward_ok(struct steward *self, struct error *err);
/* Rises whenever a wish may have been written. */
unsigned steward_wishes(struct steward *self);

#endif
