/* SPDX-License-Identifier: PostgreSQL */
#include "replicator/stall.h"

bool stall_look(struct stall *self, struct position applied, struct position received, int64_t now_ms,
                int64_t limit_ms)
{
    bool moves = !self->seen || position_compare(applied, self->at) != 0;
    if (moves || position_compare(applied, received) >= 0) {
        *self = (struct stall){.at = applied, .since_ms = now_ms, .seen = true};
        return false;
    }
    if (now_ms - self->since_ms < limit_ms)
        return false;
    self->since_ms = now_ms;
    return true;
}
