/* SPDX-License-Identifier: PostgreSQL
 *
 * One table's columns and key, from both relations. Part of pairing.
 */
#ifndef PGSQL_PAIR_COLUMNS_H
#define PGSQL_PAIR_COLUMNS_H

#include "pgsql/pair.h"
#include "pgsql/pair_type.h"

/* One table while it is being paired. */
struct pair_work {
    const struct pair_sides *sides;
    const struct pg_relation *source;
    const struct pg_relation *sink;
    const struct config_table *entry; /* NULL: by `all` */
    struct table *table;
    struct pairing *out;
    bool binary; /* of this table's columns */
    bool failed;
    bool quiet; /* findings are not kept */
};

/* Fills columns, ignored and the flags that follow from them. */
void pair_columns(struct pair_work *work);
/* The column goes to that one, unless the types don't fit. */
void pair_carry(struct pair_work *work, const struct pg_column *c, const struct pg_column *to);
/* It does not come, and that is no drift. */
void pair_ignore(struct pair_work *work, const char *name);
/* After the columns: identity, key, key flags, insert_only, sink_key_arbiter. */
void pair_key(struct pair_work *work);

/* CREATE TABLE for a sink table like the source relation, without defaults, indexes and constraints other
 * than the key and NOT NULL. */
void pair_create_table(const struct pair_sides *sides, const struct pg_relation *source,
                       const char *to_schema, const char *to_name, struct buffer *out);

/* A finding about the table, or about one of its columns (NULL: the table). FAIL marks the work failed. */
void pair_say(struct pair_work *work, enum pair_level level, const char *code, const char *column,
              const char *sql, const char *fmt, ...) PRINTF_LIKE(6, 7);

#endif
