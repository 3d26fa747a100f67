/* SPDX-License-Identifier: PostgreSQL
 *
 * Keeps the mirror of DESIGN.md section 9 in Redis, asynchronously: at most one command is under way, and
 * nothing ever waits for it. Redis away, flushed, read-only, or holding another type at our key only makes
 * the status `degraded`.
 */
#ifndef REPLICATOR_REDIS_MIRROR_H
#define REPLICATOR_REDIS_MIRROR_H

#include <event2/event.h>

#include "base/log.h"
#include "model/config.h"
#include "replicator/stats.h"

struct redis_mirror;

struct redis_mirror_options {
    struct event_base *base;
    const struct config *config;
    struct log *log;
    struct stats *stats;
};

/* NULL if the config names no Redis. */
struct redis_mirror *redis_mirror_start(const struct redis_mirror_options *options);
void redis_mirror_free(struct redis_mirror *self);
/* Something may have changed: sends it, now or when the command under way is answered. */
void redis_mirror_update(struct redis_mirror *self);

#endif
