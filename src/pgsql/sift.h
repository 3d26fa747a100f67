/* SPDX-License-Identifier: PostgreSQL
 *
 * Decides, change by change in source order, what is applied, what is parked behind earlier changes of a
 * stopped table, what joins a quarantined key, and what a keyless table's copy has already seen.
 */
#ifndef PGSQL_SIFT_H
#define PGSQL_SIFT_H

#include "pgsql/lane.h"

enum sift_fate {
    SIFT_APPLY = 0,
    SIFT_PARK, /* is in s->waiting now */
    SIFT_HOLD, /* quarantined, is in s->waiting now */
    SIFT_LEAVE /* nothing to do */
};

enum sift_fate sift_change(struct pg_sink *s, const struct batch *batch, size_t index);

/* Quarantines a change that was refused, unless that can't be (no key, or over the limit): then the table
 * stops and the change is parked. Returns what became of it. */
enum sift_fate sift_refuse(struct pg_sink *s, const struct batch *batch, size_t index,
                           const struct error *why);

/* The table stops for this reason; the change is parked. */
enum sift_fate sift_stop(struct pg_sink *s, const struct batch *batch, size_t index, const struct error *why);

/* Puts both keys of a change into the table's set of quarantined keys. */
void sift_add_keys(struct pg_sink *s, const struct change *change);
/* Is one of its keys there? */
bool sift_is_held(struct pg_sink *s, const struct change *change);

#endif
