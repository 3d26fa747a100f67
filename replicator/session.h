/* SPDX-License-Identifier: PostgreSQL
 *
 * One life of an active pipeline, between getting the lease and losing a connection: the parts that
 * replicator/runner.c's machine drives. Everything here may be thrown away and made again at any moment; what
 * counts is in the databases. Used by the runner's thread, but for session_cancel and session_wake.
 *
 * A table changes state (paused, resumed, copied anew, drained) only between two streams: the stream is
 * drained and ended, session_prepare reads the states again, and a new stream begins at the same position.
 */
#ifndef REPLICATOR_SESSION_H
#define REPLICATOR_SESSION_H

#include "replicator/runner.h"
#include "state/lease.h"

struct session;

struct session_options {
    const struct config *config;
    struct log *log;
    struct stats *stats;
    struct lease lease; /* held */
    _Atomic int64_t *rate_limit;
    _Atomic bool
        *cancel; /* set by anyone who wants an end, and by us when a part fails; long work then returns */
    void (*changed)(void *context); /* any thread; must only wake */
    void *context;
};

/* Connects to both sides and starts the steward. */
MUST_CHECK bool session_open(const struct session_options *options, struct session **out, struct error *err);
/* `drain`: what has been read is applied and confirmed first (bounded to a few seconds). `release`: the lease
 * too. */
void session_close(struct session *self, bool drain, bool release);
/* From any thread: ends statements that may take long. */
void session_cancel(struct session *self);

/* Ends a running stream; then tables, publication, slot, lanes, states, and the operator's wishes. */
MUST_CHECK bool session_prepare(struct session *self, struct error *err);
/* Is the whole pipeline paused? Then nothing but waiting for wishes is to be done. */
bool session_paused(const struct session *self);

/* What a step found. */
enum session_next {
    SESSION_ON,    /* go on with the next step */
    SESSION_AGAIN, /* states have changed or should: prepare anew */
    SESSION_DONE,  /* follow: everything up to the end asked for is applied and durable */
    SESSION_FAILED /* err */
};
/* Copies what is to be copied, and says SESSION_AGAIN then: the target has other indexes now. While other
 * tables stream already the stream runs meanwhile. */
enum session_next session_backfill(struct session *self, struct error *err);
/* Starts the stream, and returns when it has passed everything the copies may have seen with an empty re-read
 * list: in a meet if anything was catching up. */
enum session_next session_catch_up(struct session *self, struct error *err);
/* Indexes and constraints back, states to streaming; leaves the meet. */
enum session_next session_finish(struct session *self, struct error *err);
/* Streams until something else is to be done; `until_end`: until the source's end as it was after the last
 * copy. */
enum session_next session_follow(struct session *self, bool until_end, struct error *err);
/* Paused: waits for wishes. */
enum session_next session_idle(struct session *self, struct error *err);
/* Is a table stopped, drifted or paused? (`--until-caught-up` then ends with 1.) */
bool session_any_stopped(const struct session *self);

#endif
