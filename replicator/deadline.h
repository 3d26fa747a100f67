/* SPDX-License-Identifier: PostgreSQL
 *
 * Waiting for a condition until a moment of the monotonic clock (clock_ms), whatever the wall clock does.
 */
#ifndef REPLICATOR_DEADLINE_H
#define REPLICATOR_DEADLINE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

void deadline_cond_init(pthread_cond_t *cond);
/* The mutex is held. False when the deadline has passed; true also without cause: look at what is waited for.
 */
bool deadline_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t deadline_ms);

#endif
