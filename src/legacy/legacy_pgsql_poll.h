/* SPDX-License-Identifier: PostgreSQL
 *
 * A PostgreSQL legacy whose tables are polled (pgsql/poll.h): no slot, no publication, nothing of ours there.
 * The position is taken before the first row is copied and stored with the fingerprint.
 */
#ifndef LEGACY_LEGACY_PGSQL_POLL_H
#define LEGACY_LEGACY_PGSQL_POLL_H

#include "legacy/legacy.h"

/* Not by logical replication. */
bool pgsql_is_polled(const struct config *config);

/* As legacy_driver.open, where it is polled. */
MUST_CHECK bool pgsql_poll_open(const struct legacy_options *options, struct legacy **out, struct error *err);

/* What stands in the way of the capture, logical replication included; and where tables are polled they are
 * marked as such whose changes converge. */
void pgsql_poll_findings(const struct config *config, const struct pg_catalog *source,
                         struct pairing *pairing);

#endif
