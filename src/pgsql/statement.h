/* SPDX-License-Identifier: PostgreSQL
 *
 * The SQL of every apply form, as text, from a table and a column set. Pure. Forms (DESIGN.md section 3):
 * set-based over unnest($1::t[], …), scalar for one row, exact (one source change), TRUNCATE.
 */
#ifndef PGSQL_STATEMENT_H
#define PGSQL_STATEMENT_H

#include "base/buffer.h"
#include "model/compact.h"

/* One parameter of a statement: which column, from which side of the row. */
struct statement_param {
    uint16_t column;
    bool from_key; /* the key the row has now, else the new row */
};

struct statement {
    struct buffer sql;
    struct statement_param *params; /* in order $1.. */
    uint16_t param_count;           /* the expected row count, where the form has one, is one more at the end */
    bool set_based;                 /* parameters are arrays */
    bool checked;                   /* raises CF001 when the row count is not the expected one */
};

void statement_free(struct statement *self);

/* A keyed set, or with set_based=false a single row. `mask` as in compact.h; `expect` adds the count check
 * (crossfade.expect) inside the statement. UPSERT's arbiter is the key; DELETE and UPDATE match by key. */
void statement_net(const struct table *table, enum net_op op, const uint64_t *mask, bool set_based, bool expect,
                   struct statement *out);

#endif
