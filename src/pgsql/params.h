/* SPDX-License-Identifier: PostgreSQL
 *
 * Parameters of apply statements: for a set, one array a column in the protocol's binary format, nearly a
 * memcpy of the values; for a row, the values themselves. The memory is kept from one use to the next. Pure.
 */
#ifndef PGSQL_PARAMS_H
#define PGSQL_PARAMS_H

#include "base/buffer.h"
#include "model/compact.h"
#include "pgsql/pipe.h"
#include "pgsql/statement.h"

struct params {
    struct buffer bytes; /* arrays of a set; NUL-terminated texts of a row */
    const char **values;
    int *lengths;
    int *formats;
    int count, capacity;
    char expected[8];
};

void params_free(struct params *self);

/* How many of the step's rows from `first` on, at least one and at most max_rows, go into one statement:
 * together under `bytes` (or one row alone) and each column in one kind, text or binary. The columns that
 * come as text are set in `text_mask` ((column_count + 63) / 64 words). *text: are there any? */
size_t params_fit(const struct net_step *step, size_t first, size_t max_rows, size_t bytes,
                  uint64_t *text_mask, bool *text);

/* Arrays for `count` > 0 rows; the expected row count is added where the statement is checked. */
void params_set(struct params *self, const struct statement *statement, const struct net_row *rows,
                size_t count);

/* The same for one row of a scalar statement, with count 1 expected. Points into the row. */
void params_row(struct params *self, const struct statement *statement, const struct value *key,
                const struct value *row);

/* One more at the end, of type text. It must outlive the use. */
void params_add_text(struct params *self, const char *text);

/* For pipe_execute; valid until the next change of self. */
struct pipe_args params_args(const struct params *self);

#endif
