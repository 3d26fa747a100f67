/* SPDX-License-Identifier: PostgreSQL
 *
 * What a lane applies in one go: changes in source order, whole transactions, with the position they
 * lead to. Filled by the capture side, applied and reset by the lane; it belongs to one of them at a
 * time. A source transaction larger than the batch's share of memory comes as several batches of which
 * only the last is `complete`; they are applied in one sink transaction (each under its savepoint).
 *
 * Invariants: `complete` says that the last change belongs to a finished transaction; `end` moves only
 * with batch_commit or batch_advance; a change refers to a transaction of this same batch.
 */
#ifndef MODEL_BATCH_H
#define MODEL_BATCH_H

#include <stddef.h>

#include "base/arena.h"
#include "model/change.h"

struct batch {
    struct arena *arena;
    struct change *changes;
    size_t count;
    size_t capacity;
    struct transaction *transactions;
    size_t transaction_count;
    size_t transaction_capacity;
    struct position end; /* position after applying it; POSITION_NONE if nothing has committed yet */
    int64_t end_time_us; /* source commit time of the last transaction, 0 if it only advances */
    bool complete;       /* not in the middle of a source transaction */
    bool continues;      /* its first change continues the transaction of the batch before */
    size_t bytes;        /* wire bytes of the values held */
    int64_t first_us;    /* monotonic, when the first change came */
};

struct batch *batch_new(void);
void batch_free(struct batch *self);
void batch_reset(struct batch *self); /* empty, complete, not continuing */

/* A transaction begins (or continues in this batch). */
void batch_begin(struct batch *self, const struct transaction *transaction);
/* Deep copy of the change into the batch's arena. */
void batch_append(struct batch *self, const struct change *change);
/* The transaction begun last is whole; `transaction->end` becomes `end`. */
void batch_commit(struct batch *self, const struct transaction *transaction);
/* Nothing of this lane up to there. Only between transactions. */
void batch_advance(struct batch *self, struct position end);

/* Memory held, to be compared with the batch's share of memory_limit. */
size_t batch_memory(const struct batch *self);

#endif
