/* SPDX-License-Identifier: PostgreSQL
 *
 * How a SQL Server's tables look to everything above the driver: as PostgreSQL tables whose columns have
 * carrier types (mssql/type.h). Pairing is then PostgreSQL's own, with the same rules and messages.
 */
#ifndef LEGACY_MSSQL_BRIDGE_H
#define LEGACY_MSSQL_BRIDGE_H

#include "mssql/catalog.h"
#include "pgsql/pair.h"

/* Pairs under the config. Each column's carrier is the sink column's own type where that is offered, else the
 * default. source_oid of a table is its object id. What only a SQL Server can have (an unknown type, Always
 * Encrypted, a carrier that changes values) is a finding too. */
MUST_CHECK bool mssql_bridge_pair(const struct config *config, const struct ms_catalog *source,
                                  const struct pg_catalog *sink, struct pairing *out, struct error *err);

/* For the way back (pair_tables_back). Columns that the server alone fills are left out. */
MUST_CHECK bool mssql_bridge_pair_back(const struct config *config, const struct ms_catalog *legacy,
                                       const struct pg_catalog *target, int target_version,
                                       struct pairing *out, struct error *err);

/* The source as such a catalog, with each column's default carrier: for `crossfade check` and for DDL.
 * `types` is any PostgreSQL's catalog. Closed with pg_catalog_free. */
void mssql_bridge_catalog(const struct ms_catalog *source, const struct pg_catalog *types,
                          struct pg_catalog *out);

#endif
