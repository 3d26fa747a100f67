/* SPDX-License-Identifier: PostgreSQL
 *
 * One run of `crossfade schema`, shared by its parts.
 */
#ifndef CONTROL_SCHEMA_RUN_H
#define CONTROL_SCHEMA_RUN_H

#include <stdio.h>

#include "pgsql/pair.h"

struct schema {
    const struct config *config;
    const char *section; /* "pre", "post"; NULL: both */
    FILE *out;
    struct pg_conn legacy, sink;
    struct pg_catalog source, target;
    bool *missing; /* by source relation: looked at; in section post also those that are there */
    uint32_t count;
};

/* What the table is called on the target; both malloc'ed. */
void schema_target_name(const struct schema *self, const struct pg_relation *rel, char **schema, char **name);

/* Fills `missing` and `count` from what pairing found. */
void schema_mark_missing(struct schema *self, const struct pairing *pairing);

/* By pg_dump and pg_restore, whose list is cut to what the missing tables need. */
MUST_CHECK bool schema_dump(struct schema *self, struct error *err);
/* From the catalog: tables, columns, NOT NULL, primary and unique keys, enums; names what it leaves out. */
MUST_CHECK bool schema_own(struct schema *self, struct error *err);
/* From a SQL Server, which it connects to itself; builds with FreeTDS only. */
MUST_CHECK bool schema_mssql(struct schema *self, struct error *err);

#endif
