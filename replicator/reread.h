/* SPDX-License-Identifier: PostgreSQL
 *
 * The re-read list of rule 6: keys whose row the stream could not build during catchup. Each is read from
 * the source as it is now and upserted or deleted in the target; the stream then has to pass the position
 * read afterwards before the tables may be called streaming.
 */
#ifndef REPLICATOR_REREAD_H
#define REPLICATOR_REREAD_H

#include "legacy/legacy.h"

/* Works the list off for all tables (lanes idle). *count: how many keys were done. If any was done or
 * refused, *past is where the source ended after the last row was read: catchup lasts until the stream
 * has passed it. A row that is refused stays on the list, and refusals[table id] says why (malloc'ed; the
 * array is the caller's); it may only be too new for the rows around it. Without the array a refusal is a
 * failure. */
MUST_CHECK bool reread_run(struct legacy *legacy, const struct legacy_notes *notes,
                           const struct table_set *tables, char **refusals, uint64_t *count,
                           struct position *past, struct error *err);

#endif
