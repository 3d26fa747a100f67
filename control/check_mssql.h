/* SPDX-License-Identifier: PostgreSQL
 *
 * `crossfade check` of a SQL Server legacy, shared by its parts. Built for systems with FreeTDS.
 */
#ifndef CONTROL_CHECK_MSSQL_H
#define CONTROL_CHECK_MSSQL_H

#include "control/check_run.h"
#include "mssql/estate.h"

struct check_mssql {
    struct check *check;
    struct ms_conn conn;
    struct ms_catalog catalog;
    struct ms_estate_server server;
    struct ms_estate_objects objects;
};

/* The parts. `tables`: those of the pipeline, whether or not they pair. */
void check_mssql_server(struct check_mssql *self);  /* version, edition, settings, connection, clock */
void check_mssql_capture(struct check_mssql *self); /* jobs, capture instances, what each capture needs */
void check_mssql_tables(struct check_mssql *self);  /* rights, kinds of tables and columns */
void check_mssql_data(struct check_mssql *self);    /* paired */
void check_mssql_collisions(struct check_mssql *self);

/* Is it one of the pipeline's? */
bool check_mssql_wants(const struct check_mssql *self, const struct ms_catalog_table *t);
enum capture_kind check_mssql_kind(const struct check_mssql *self, const struct ms_catalog_table *t);
bool check_mssql_uses_cdc(const struct check_mssql *self); /* any table */
/* "schema.table" for findings; malloc'ed. */
char *check_mssql_name(const struct ms_catalog_table *t, const struct ms_catalog_column *c);
/* A statement failed: a finding. Returns false. */
bool check_mssql_failed(struct check_mssql *self, const char *object, const struct error *err);

#endif
