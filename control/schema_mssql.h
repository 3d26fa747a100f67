/* SPDX-License-Identifier: PostgreSQL
 *
 * DDL from a SQL Server's catalog; what its files share. Built for systems with FreeTDS.
 */
#ifndef CONTROL_SCHEMA_MSSQL_H
#define CONTROL_SCHEMA_MSSQL_H

#include "control/schema_run.h"
#include "legacy/mssql_expression.h"

struct schema_mssql {
    struct schema *base; /* its source is the SQL Server's catalog with carrier types */
    struct ms_catalog catalog;
    PGresult *constraints; /* of the target: relation, name */
    char **taken;          /* "scope.name" of what may not be called so again */
    size_t taken_count;
};

/* A table while its DDL is written. */
struct schema_mssql_table {
    struct schema_mssql *self;
    const struct ms_catalog_table *from;
    const struct pg_relation *target; /* NULL: not there yet */
    char *schema, *name;              /* on the target */
    struct mssql_expression_rules rules;
};

/* CREATE TABLE with defaults, checks and the key, and what is left out of it as comments. */
void schema_mssql_create(const struct schema_mssql_table *t);
/* Indexes that are not the primary key. `keys`: only the unique ones of a table that has no other key, which
 * `create` leaves to this; else the others. */
void schema_mssql_indexes(const struct schema_mssql_table *t, bool keys);
void schema_mssql_foreign_keys(const struct schema_mssql_table *t);

/* A table of the pipeline that is on the target, or will be; false for any other. Freed with _leave. */
bool schema_mssql_enter(struct schema_mssql *self, int32_t object_id, struct schema_mssql_table *out);
void schema_mssql_leave(struct schema_mssql_table *t);

/* What a column is called on the target, malloc'ed; NULL: it has not got it. `context` is the table. */
char *schema_mssql_column(void *context, const struct ms_catalog_column *c);
/* The expression of a computed column that the target can keep too. */
bool schema_mssql_computed(const struct schema_mssql_table *t, const struct ms_catalog_column *c,
                           struct buffer *sql, struct buffer *why);
/* `wanted` by the config's rule, cut to what PostgreSQL takes, with a number if it is taken; malloc'ed. Index
 * names of one schema differ there, and only those of one table here. */
char *schema_mssql_name(struct schema_mssql *self, const char *scope, const char *wanted);
/* The same of a constraint's or index's name; one that the SQL Server made up (PK__Album__2660A24EE6FE0719)
 * becomes table_<suffix>. */
char *schema_mssql_constraint(const struct schema_mssql_table *t, const char *scope, const char *wanted,
                              const char *suffix);
/* Lines of comment, whatever line ends the text has. */
void schema_mssql_comment(const struct schema_mssql *self, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
