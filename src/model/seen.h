/* SPDX-License-Identifier: PostgreSQL
 *
 * What was handed out of a table last, by hashes: captures that read more than what has changed (a window of
 * time, a whole table) tell by it what is news. A row is known by its key's bytes; 128 bits stand for its
 * values as they came.
 *
 * One pass: begin, is_news for each row, end. `part` divides the rows into such that one pass reads and
 * others don't; a row is of the part that it was seen in last.
 */
#ifndef MODEL_SEEN_H
#define MODEL_SEEN_H

#include <stddef.h>

#include "base/buffer.h"
#include "base/map.h"
#include "model/change.h"

struct seen {
    struct map rows;
    struct buffer key, text;
    uint32_t pass;
};

void seen_free(struct seen *self); /* zeroed is fine */
void seen_begin(struct seen *self);
/* Has it changed since it was seen last, or was it not there? `gone`: the row counts as deleted, whatever its
 * values. Remembered. */
bool seen_is_news(struct seen *self, const struct table *table, const struct value *row, bool gone,
                  unsigned part);
/* Forgets the rows of that part that this pass did not see; how many. */
size_t seen_end(struct seen *self, unsigned part);

#endif
