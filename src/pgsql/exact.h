/* SPDX-License-Identifier: PostgreSQL
 *
 * One source change as scalar statements, queued into the open exchange: as it came (streaming), or so that
 * it converges whatever the copy saw (catchup, DESIGN.md rule 6).
 */
#ifndef PGSQL_EXACT_H
#define PGSQL_EXACT_H

#include "pgsql/lane.h"

/* The new row with unchanged large values filled in from a full old row. */
const struct value *exact_row(struct pg_sink *s, const struct change *c);
/* Has it every carried column? */
bool exact_is_whole(const struct table *table, const struct value *row);

/* Can the row be found at all? A keyless table needs the whole old row. */
bool exact_is_possible(const struct change *c);

/* As it came. One row is to be touched: the answer of the statement with this tag tells. `checked`: an INSERT
 * of a row that is there raises CF001 or 23505. Not for TRUNCATE. */
MUST_CHECK bool exact_send(struct pg_sink *s, const struct change *c, bool checked, uint32_t tag,
                           struct error *err);

/* So that it converges; no answer needs to be looked at. */
MUST_CHECK bool exact_send_converge(struct pg_sink *s, const struct change *c, uint32_t tag,
                                    struct error *err);

/* What a change is sent as: by its table's state. */
bool exact_converges(const struct change *c);

/* The published list of one TRUNCATE. */
MUST_CHECK bool exact_send_truncate(struct pg_sink *s, const struct table *const *tables, uint32_t count,
                                    bool restart, uint32_t tag, struct error *err);

/* One row of a net form. */
MUST_CHECK bool exact_send_net(struct pg_sink *s, const struct table *table, enum net_op op,
                               const uint64_t *mask, const struct value *key, const struct value *row,
                               bool expect, uint32_t tag, struct error *err);
/* The change's key(s) go to the re-read list. */
MUST_CHECK bool exact_send_reread(struct pg_sink *s, const struct table *table, const struct value *key,
                                  bool only_missing, uint32_t tag, struct error *err);

/* Bits of the columns that a row has. */
void exact_mask(const struct table *table, const struct value *row, uint64_t mask[LANE_MASK_WORDS]);

#endif
