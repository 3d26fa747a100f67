/* SPDX-License-Identifier: PostgreSQL
 *
 * Is this replication slot still the one that the sink's position belongs to? Asked before each
 * START_REPLICATION (rule 4, hazards 3 and 41).
 */
#ifndef PGSQL_SLOT_H
#define PGSQL_SLOT_H

#include <stdint.h>

#include "pgsql/conn.h"

/* True if streaming may start at `start`. ERROR_FATAL: the slot is gone, lost, of another kind or database,
 * or confirmed beyond `start`, the server's WAL ends before it, or a publication is gone (insert_publication
 * may be NULL: there is none). ERROR_RETRY: another session holds it. Plain SQL without parameters, so a
 * walsender session will do. */
MUST_CHECK bool slot_check(struct pg_conn *conn, const char *slot, const char *publication,
                           const char *insert_publication, uint64_t start, struct error *err);

#endif
