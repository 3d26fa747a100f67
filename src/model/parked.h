/* SPDX-License-Identifier: PostgreSQL
 *
 * The encoding in which a change waits in crossfade.parked and crossfade.quarantine: self-contained, by
 * column name, so that it survives a restart and a changed column order. Pure. Any bytes are safe to decode.
 */
#ifndef MODEL_PARKED_H
#define MODEL_PARKED_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"
#include "model/change.h"

/* Appended to `out`. Columns are named as change->table has them, which may be a wider table than the one
 * that is carried (drift). `transaction` gives xid, positions and commit time. */
void parked_encode(const struct change *change, const struct transaction *transaction, struct buffer *out);

/* Values point into `data`, the rest is in the arena; change->transaction is 0. A value of a column that the
 * table no longer carries, or one in the binary format of another type than the column now has, is
 * ERROR_TABLE; a column that the encoding lacks is VALUE_ABSENT. */
MUST_CHECK bool parked_decode(struct slice data, struct table *table, struct arena *arena, struct change *out,
                              struct transaction *transaction, struct error *err);

/* For people who look at it without the table: its columns' names and source types as they were then, into
 * the zeroed `out` (everything in the arena; not for table_free), which parked_decode then takes. */
MUST_CHECK bool parked_columns(struct slice data, struct arena *arena, struct table *out, struct error *err);

#endif
