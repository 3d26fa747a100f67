/* SPDX-License-Identifier: PostgreSQL
 *
 * A token bucket that several threads draw from. The limit belongs to somebody else and may change at any
 * time; a change counts from the next look, at most 50 ms later.
 */
#ifndef REPLICATOR_THROTTLE_H
#define REPLICATOR_THROTTLE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct throttle {
    pthread_mutex_t mutex;
    _Atomic int64_t *limit; /* bytes/s, 0: none; NULL: never one */
    double tokens;          /* bytes that may pass now; below 0: taken ahead */
    int64_t filled_us;
};

void throttle_init(struct throttle *self, _Atomic int64_t *limit);
void throttle_destroy(struct throttle *self);
/* Takes `bytes` and waits until they are covered. False as soon as `stopping(context)` says so. */
bool throttle_take(struct throttle *self, size_t bytes, bool (*stopping)(const void *context),
                   const void *context);

#endif
