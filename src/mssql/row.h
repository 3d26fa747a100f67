/* SPDX-License-Identifier: PostgreSQL
 *
 * The carried columns of a table as one SELECT reads them and one row gives them: the same for a copy, for
 * change tables and for rows that are read again, so that a value looks the same whichever way it came.
 *
 * Unicode columns are read as their UTF-16 bytes and decoded by us: the client library would replace or cut
 * half a surrogate pair (SQLSERVER.md fact 8). Beside each large column stands its DATALENGTH; a value longer
 * than value_limit is refused, never cut.
 */
#ifndef MSSQL_ROW_H
#define MSSQL_ROW_H

#include "base/arena.h"
#include "model/table.h"
#include "mssql/catalog.h"
#include "mssql/value.h"

struct ms_row_column {
    struct ms_codec codec;  /* of rows that are copied */
    struct ms_codec change; /* of changes: text that is refused goes on, for the sink to refuse that row */
    struct ms_column_type type;
    char *name;
    bool large;    /* may come "not provided" from change tables */
    bool lob;      /* text, ntext, image: change tables never bring it */
    int at;        /* its place in the row */
    int length_at; /* of DATALENGTH; -1: none */
};

struct ms_row_plan {
    const struct table *table; /* borrowed */
    struct ms_row_column *columns;
    uint16_t count; /* table->column_count */
    int width;      /* result columns in all */
    bool utf16;     /* Unicode columns come as their bytes */
    int64_t value_limit;
};

/* `table` has carriers as source types (columns[i].source_type.oid). policies: one a table column, or NULL
 * for those of the table's columns; copied. value_limit 0: none. ERROR_TABLE: a column is gone, or its
 * carrier is not offered by its type. `out` is to be freed in any case. */
MUST_CHECK bool ms_row_plan_make(const struct ms_catalog_table *source, const struct table *table,
                                 const struct ms_value_policy *policies, int64_t value_limit,
                                 struct ms_row_plan *out, struct error *err);
void ms_row_plan_free(struct ms_row_plan *self);

/* The select list, of alias [t], or another one. */
void ms_row_select(const struct ms_row_plan *self, struct buffer *out);
void ms_row_select_of(const struct ms_row_plan *self, const char *alias, struct buffer *out);

/* The present row, whose columns begin at `first`, as a tuple of COPY BINARY. On failure `out` is as it was;
 * the error names table, column and key, ERROR_DATA. */
MUST_CHECK bool ms_row_copy(const struct ms_row_plan *self, struct ms_conn *conn, int first,
                            struct buffer *out, struct error *err);
/* The same as values of a change in the arena, all provided. `scratch` is cleared first. */
MUST_CHECK bool ms_row_values(const struct ms_row_plan *self, struct ms_conn *conn, int first,
                              struct buffer *scratch, struct arena *arena, struct value **out,
                              struct error *err);
/* Of an old row: only the key's columns are provided, whatever the others hold; a keyless table's all. */
MUST_CHECK bool ms_row_old_values(const struct ms_row_plan *self, struct ms_conn *conn, int first,
                                  struct buffer *scratch, struct arena *arena, struct value **out,
                                  struct error *err);

#endif
