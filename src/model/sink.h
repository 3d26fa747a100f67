/* SPDX-License-Identifier: PostgreSQL
 *
 * Where a lane applies batches; one thread, one connection, one progress row. A driver embeds struct
 * sink first.
 */
#ifndef MODEL_SINK_H
#define MODEL_SINK_H

#include "base/error.h"
#include "model/batch.h"

/* What one apply did, counted for metrics. Indexed counters are per table id, owned by the caller. */
struct sink_counts {
    uint64_t inserted, updated, deleted, truncated; /* source changes, not compacted rows */
    uint64_t missing, existing; /* conflicts: row to change not there; row to insert already there */
    uint64_t parked, quarantined;
    uint64_t reread; /* keys put on the re-read list */
};

struct sink_result {
    struct position applied;   /* of the last commit in the sink; unchanged by an incomplete batch */
    uint64_t flush_needed;     /* sink's own log position after that commit */
    uint64_t flushed;          /* how far the sink's log was durable when asked, in the same terms */
    bool replayed;             /* the set-based form failed and the batch was replayed exactly */
    struct error why_replayed; /* kind ERROR_NONE if not */
};

struct sink;

struct sink_ops {
    /* Applies it and moves the progress row, in one sink transaction (left open if !batch->complete).
     * `counts` has one element per table id. A table that must stop (ERROR_TABLE) is reported through
     * sink_events, not by failing. False: ERROR_RETRY / ERROR_FENCED / ERROR_FATAL; the transaction is gone
     * and the sink is only to be freed; the batch may be applied again from its start elsewhere. */
    bool (*apply)(struct sink *self, const struct batch *batch, struct sink_counts *counts,
                  struct sink_result *out, struct error *err);
    /* How far is the sink's log durable now? `force`: all that is committed shall be (unless a transaction is
     * open). */
    bool (*flushed)(struct sink *self, bool force, uint64_t *out, struct error *err);
    void (*cancel)(struct sink *self); /* from any thread */
    void (*free)(struct sink *self);
};

/* What the sink tells its owner besides results; called in the lane's thread. */
struct sink_events {
    void *context;
    /* The table can't go on: from now on its changes are parked (the sink has already begun to). */
    void (*table_stopped)(void *context, struct table *table, enum table_state state, const char *reason);
    void (*conflict)(void *context, const struct table *table, const char *kind, const char *key_text);
};

struct sink {
    const struct sink_ops *ops;
};

#endif
