/* SPDX-License-Identifier: PostgreSQL
 *
 * One apply lane: a thread with a sink, and two batches that change hands between it and the capture
 * thread. While the lane applies one, capture fills the other and offers it at every source commit; the
 * lane takes what is offered the moment it is free (natural batching: idle, that is one transaction;
 * loaded, thousands). A lane that is quicker than its source would commit hundreds of small batches a second,
 * each with a round trip, a progress row and a commit, and take the processor from whom it waits for: after a
 * batch of many transactions the next one gathers, for at most 50 ms from the one before. Whoever waits for
 * the lane (a meet, a full batch, a drain) ends that at once.
 *
 * Ownership of the filling batch is one atomic word: CAPTURE (being written), OFFERED (at a boundary, the
 * lane may take it, capture may take it back) or TAKEN (the lane's; capture goes on with the other one, which
 * the lane emptied before it took this one). Only capture moves away from CAPTURE and TAKEN, so neither side
 * ever waits for the other except where a limit says so.
 */
#ifndef REPLICATOR_LANE_H
#define REPLICATOR_LANE_H

#include <pthread.h>
#include <stdatomic.h>

#include "model/batch.h"
#include "model/sink.h"
#include "replicator/stats.h"

struct lane;

struct lane_options {
    int number;
    struct sink *sink;        /* taken over */
    struct position position; /* where its progress row stands */
    struct stats *stats;
    uint32_t table_count;
    size_t batch_memory;  /* a batch that holds more is offered even in the middle of a transaction */
    size_t batch_changes; /* a batch with more is offered and waited for at the next commit */
    /* Called in the lane's thread after each batch, each durability step and on failure. Must only wake. */
    void (*changed)(void *context);
    void *context;
};

struct lane_view {
    struct position applied; /* its progress row */
    struct position durable; /* … as the sink has it on disk */
    bool busy;               /* something offered or being applied */
    bool failed;
    int64_t end_time_us; /* source commit time of what was applied last */
};

struct lane *lane_start(const struct lane_options *options);
/* Ends the thread: `drain` applies what is offered first, otherwise a running statement is cancelled. Frees
 * all. */
void lane_free(struct lane *self, bool drain);

/* --- capture thread --- */
/* The batch to write into; it is capture's until the next lane_offer. */
struct batch *lane_filling(struct lane *self);
/* At a boundary: let the lane have it. Nothing happens for an empty one. */
void lane_offer(struct lane *self);
/* Has the filling batch reached a limit, so that capture should offer and wait? */
bool lane_full(const struct lane *self);
/* Waits until the lane has taken what was offered, or the deadline. True: taken (or it was never offered). */
bool lane_wait_taken(struct lane *self, int64_t deadline_ms);
/* When it next has nothing to apply, the lane makes what it has committed durable instead of waiting for
 * that. */
void lane_settle(struct lane *self);
/* There is a backlog: batches gather for so long, however small the last one was. Until lane_hurry. */
void lane_backlog(struct lane *self, int64_t gather_ms);
/* Nothing more is expected soon: what is offered is taken now instead of gathering. */
void lane_hurry(struct lane *self);
/* Waits until nothing is offered or being applied. */
bool lane_wait_idle(struct lane *self, int64_t deadline_ms);

/* --- any thread --- */
struct lane_view lane_look(struct lane *self);
/* The failure; only after view.failed. */
void lane_error(struct lane *self, struct error *err);
/* Its sink, to be used by another thread only while the lane is idle and capture is held (a meet). */
struct sink *lane_sink(struct lane *self);

#endif
