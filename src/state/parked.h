/* SPDX-License-Identifier: PostgreSQL
 *
 * The encoding in which a change waits in crossfade.parked and crossfade.quarantine: self-contained, by
 * column name, so that it survives a restart and a changed column order. Pure.
 */
#ifndef STATE_PARKED_H
#define STATE_PARKED_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"
#include "model/change.h"

void parked_encode(const struct change *change, const struct transaction *transaction, struct buffer *out);
/* Values point into `data`. A column that the table no longer carries is ERROR_TABLE; one the encoding lacks is
 * VALUE_ABSENT. */
MUST_CHECK bool parked_decode(struct slice data, struct table *table, struct arena *arena, struct change *out,
                              struct transaction *transaction, struct error *err);

#endif
