/* SPDX-License-Identifier: PostgreSQL
 *
 * The alarm for a stream that reads on while nothing is applied (hazard 1). It looks at no clock: whoever
 * asks says what time it is.
 */
#ifndef REPLICATOR_STALL_H
#define REPLICATOR_STALL_H

#include "model/position.h"

/* Zero-initialised. */
struct stall {
    struct position at; /* where applying stood when it moved last, or had nothing to do */
    int64_t since_ms;
    bool seen; /* at and since_ms are set */
};

/* True when `applied` has stood still below `received` for `limit_ms`; and again after as long once more. */
bool stall_look(struct stall *self, struct position applied, struct position received, int64_t now_ms,
                int64_t limit_ms);

#endif
