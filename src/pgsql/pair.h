/* SPDX-License-Identifier: PostgreSQL
 *
 * Pairs source relations with sink relations under the config's `tables`, `names` and `schemas`, column by
 * column, and says everything that does not fit. Both `crossfade check` and the replicator use it, so
 * they can't disagree. Also orders tables by foreign key (rank) and deals them to lanes: tables joined by
 * a foreign key on either side go to one lane.
 */
#ifndef PGSQL_PAIR_H
#define PGSQL_PAIR_H

#include "model/config.h"
#include "model/table.h"
#include "pgsql/catalog.h"

enum pair_level { PAIR_OK, PAIR_WARN, PAIR_FAIL };

struct pair_finding {
    enum pair_level level;
    const char *code; /* stable: table_missing, column_missing, type_mismatch, no_key, … */
    char *object;     /* schema.table or schema.table.column, as the source has it */
    char *text;
    char *sql; /* the exact SQL that mends it, or NULL */
};

struct pairing {
    struct table_set tables;
    /* Those with a FAIL finding, with the columns that do fit: for a table that streamed already and drifted.
     */
    struct table_set unfit;
    struct pair_finding *findings;
    uint32_t finding_count;
    bool
        binary; /* every carried column may come in binary (see column.wire_oid): pgoutput `binary` is safe */
    int lanes;  /* how many are used; 1 where there is no table */
};

/* Never fails for what the catalogs hold: tables with a FAIL finding are in `unfit`, not in `tables`.
 * False only for a config that names tables that can't be understood. Lanes are dealt by size, which
 * changes: whoever resumes from a lane's position keeps the lanes that were dealt first. */
MUST_CHECK bool pair_tables(const struct config *config, const struct pg_catalog *source, int source_version,
                            const struct pg_catalog *sink, struct pairing *out, struct error *err);
/* For the stream from the target to the legacy: the same tables, with the target's as source. from_schema and
 * from_name are the target's; `from` stays the legacy's schema.name, by which states, wishes and metrics know
 * the table in either direction, and so is `to`. What can't go back is a finding. */
MUST_CHECK bool pair_tables_back(const struct config *config, const struct pg_catalog *legacy,
                                 int legacy_version, const struct pg_catalog *target, int target_version,
                                 struct pairing *out, struct error *err);
void pairing_free(struct pairing *self); /* the table_set too, unless taken (count set to 0) */

/* Adds a finding; `object` and `sql` are copied, sql may be NULL. */
void pairing_add(struct pairing *self, enum pair_level level, const char *code, const char *object,
                 const char *sql, const char *fmt, ...) PRINTF_LIKE(6, 7);

#endif
