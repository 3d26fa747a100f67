/* SPDX-License-Identifier: PostgreSQL
 *
 * The keys of one table whose changes wait in quarantine (DESIGN.md rule 9). Once a key is held every later
 * change of it, under the old or the new key, is, and a key change takes the other key along. Pure; one
 * thread. A zeroed struct is an empty set.
 */
#ifndef MODEL_HELD_H
#define MODEL_HELD_H

#include "base/buffer.h"
#include "base/map.h"
#include "model/change.h"

struct held {
    struct map keys; /* key bytes; the value is the malloc'ed copy */
    struct buffer probe;
    struct value *row; /* the new row, with what an unchanged large key value was */
    size_t row_capacity;
};

void held_free(struct held *self); /* zeroes it */

/* Does the change touch a held key? Never TRUNCATE. */
bool held_has(struct held *self, const struct change *change);
/* Holds its keys: the old one and the new one. */
void held_add(struct held *self, const struct change *change);
bool held_is_empty(const struct held *self);

#endif
