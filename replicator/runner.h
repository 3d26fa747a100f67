/* SPDX-License-Identifier: PostgreSQL
 *
 * The pipeline's machine, in a thread of its own: connect, lease, prepare, backfill, catch up, finish,
 * stream. Everything it decides is read from the target and the source at each start, so that it may be
 * killed between any two steps. Failures that can pass lead to back-off and a new start from "connect";
 * only protection of data stops it for good.
 */
#ifndef REPLICATOR_RUNNER_H
#define REPLICATOR_RUNNER_H

#include "base/log.h"
#include "model/config.h"
#include "replicator/stats.h"

struct runner;

struct runner_options {
    const struct config *config;
    struct log *log;
    struct stats *stats;
    bool until_caught_up; /* ends by itself, exit status 0, once caught up; and with 3 when a server can't be
                             reached within connect_timeout */
    /* Called in the runner's thread whenever something changed that the main loop shows or must act on
     * (state, end). Must only wake the loop. */
    void (*changed)(void *context);
    void *context;
};

/* Starts the thread. */
struct runner *runner_start(const struct runner_options *options);
/* Asks it to drain and end; returns at once. Safe to call again. */
void runner_stop(struct runner *self);
/* True once it has ended; *exit_status as in DESIGN.md section 7. */
bool runner_ended(struct runner *self, int *exit_status);
/* Joins (waits for the end) and frees. */
void runner_free(struct runner *self);
/* New reloadable values. */
void runner_set_rate_limit(struct runner *self, int64_t bytes_per_s);

#endif
