/* SPDX-License-Identifier: PostgreSQL
 *
 * The pieces that apply statements are put together from; only for statement.c and statement_exact.c.
 * Parameters are first all added, then written: a set-based statement lists them in its FROM.
 */
#ifndef PGSQL_STATEMENT_PART_H
#define PGSQL_STATEMENT_PART_H

#include "pgsql/statement.h"

struct statement_part {
    const struct table *table;
    const uint64_t *text_mask;
    struct statement *out;
};

void statement_part_start(struct statement_part *self, const struct table *table, const uint64_t *text_mask,
                          bool set_based, struct statement *out);
bool statement_part_has(const uint64_t *mask, uint16_t column);

/* Adds a parameter unless it is there; its number from 0. */
uint16_t statement_part_param(struct statement_part *self, uint16_t column, bool from_key);
/* The same for all key columns, from the key side. */
void statement_part_key_params(struct statement_part *self);
/* The value of a parameter that was added, as an expression of the sink's type. */
void statement_part_value(const struct statement_part *self, uint16_t column, bool from_key);

/* [ONLY ]"schema"."table" AS t */
void statement_part_relation(const struct statement_part *self, bool only);
/* The rows of the arrays, AS u(p1, …[, n]). */
void statement_part_unnest(const struct statement_part *self, bool ordinality);
/* t."k" = … AND … */
void statement_part_key_match(const struct statement_part *self);
/* ("a", "b") of the mask; false, and nothing written, if it is empty. */
bool statement_part_columns(const struct statement_part *self, const uint64_t *mask);
/* The key's columns, "a", "b". */
void statement_part_key_columns(const struct statement_part *self);
bool statement_part_identity_always(const struct table *table, const uint64_t *mask);

#endif
