/* SPDX-License-Identifier: PostgreSQL
 *
 * What the config wants made of a SQL Server's values (bad_text, trim_blanks, time_zone), put into the
 * columns of a pairing, where copy, stream, re-read and sink all find it; and the time zones it names, whose
 * offsets the target is asked for once a session.
 */
#ifndef LEGACY_MSSQL_POLICY_H
#define LEGACY_MSSQL_POLICY_H

#include "mssql/catalog.h"
#include "mssql/value_zone.h"
#include "pgsql/conn.h"
#include "pgsql/pair.h"

/* What the config says of a column; never NULL. */
const struct config_values *mssql_policy_of(const struct config *config, const struct ms_catalog_table *table,
                                            const char *column);
/* Can values of this type go into timestamptz only with a stated zone? */
bool mssql_policy_needs_zone(const struct ms_type *type);

/* Into all columns. Findings: a column of `values` that the legacy has not; a timestamptz for which no zone
 * is stated: such a table becomes unfit. */
void mssql_policy_put(const struct config *config, const struct ms_catalog *source, struct pairing *pairing);
/* The same where the SQL Server is the sink: its columns take their zone from there. */
void mssql_policy_put_back(const struct config *config, const struct ms_catalog *sink,
                           struct pairing *pairing);

struct mssql_zone {
    char *name;
    bool unknown, loaded;
    struct ms_zone zone;
};

struct mssql_zones {
    struct mssql_zone **zones;
    uint32_t count;
};

/* Zones that the config names and the target does not know are findings; tables that need one become unfit.
 * What is known already is not asked again. */
MUST_CHECK bool mssql_zones_look(struct mssql_zones *self, const struct config *config,
                                 struct pg_conn *target, struct pairing *pairing, struct error *err);
/* After that: gives the columns that need one their zone, reading it from the target if this is the first
 * time. It takes seconds a zone. `self` outlives the tables' use. */
MUST_CHECK bool mssql_zones_bind(struct mssql_zones *self, struct pg_conn *target, struct pairing *pairing,
                                 struct error *err);
void mssql_zones_free(struct mssql_zones *self);

#endif
