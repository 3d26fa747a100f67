/* SPDX-License-Identifier: PostgreSQL
 *
 * The keys whose changes wait in crossfade.quarantine, as the lane remembers them. pg_sink.h has what the
 * owner may do with them.
 */
#ifndef PGSQL_QUARANTINE_H
#define PGSQL_QUARANTINE_H

#include "pgsql/lane.h"

/* Reads them for all of the lane's tables. */
MUST_CHECK bool quarantine_load(struct pg_sink *s, struct error *err);
void quarantine_forget(struct lane_table *t);

#endif
