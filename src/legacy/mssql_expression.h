/* SPDX-License-Identifier: PostgreSQL
 *
 * T-SQL scalar expressions, as the catalog keeps those of defaults, checks, filters and computed columns, in
 * PostgreSQL's SQL. What is translated means the same on both sides, or lets more through: a translated check
 * never refuses a row that the SQL Server took. Everything else is refused with a reason, never guessed.
 *
 * Texts compare without regard to trailing blanks, and to case where the column's collation ignores it; the
 * order of texts is the collation's and is not translated. A condition on the present time is refused: rows
 * that were good when they were written would be refused later. Pure.
 */
#ifndef LEGACY_MSSQL_EXPRESSION_H
#define LEGACY_MSSQL_EXPRESSION_H

#include "base/buffer.h"
#include "mssql/catalog.h"

struct mssql_expression_rules {
    const struct ms_catalog_table *table; /* whose columns may be named; NULL: none */
    /* What a column is called on the target, malloc'ed; NULL: the target has not got it. */
    char *(*name)(void *context, const struct ms_catalog_column *column);
    void *context;
    int target_version; /* of PostgreSQL: 150000 */
};

/* A check or a filter: a predicate. False: `why` (appended to) says what stands in the way, and nothing is
 * appended to `out`. */
bool mssql_expression_condition(const struct mssql_expression_rules *rules, const char *text,
                                struct buffer *out, struct buffer *why);
/* A value for this column: a default, or (immutable) a computed column. */
bool mssql_expression_value(const struct mssql_expression_rules *rules, const struct ms_catalog_column *of,
                            bool immutable, const char *text, struct buffer *out, struct buffer *why);

#endif
