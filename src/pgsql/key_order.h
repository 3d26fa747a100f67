/* SPDX-License-Identifier: PostgreSQL
 *
 * How a server orders and compares a table's key. Sessions of ours have an empty search_path, so operators
 * outside pg_catalog (citext, ltree …) would be missed, or worse, replaced by those of a type they cast to:
 * their schemas have to be put on the path where keys are compared (hazard 18).
 */
#ifndef PGSQL_KEY_ORDER_H
#define PGSQL_KEY_ORDER_H

#include "model/table.h"
#include "pgsql/conn.h"

/* *path: text for SET search_path, malloc'ed; NULL if pg_catalog alone does. `sink` says which side `conn`
 * is. */
MUST_CHECK bool key_order_path(struct pg_conn *conn, const struct table *table, bool sink, char **path,
                               struct error *err);

struct key_order {
    bool indexed; /* a plain btree with the key's columns in front, none of them nullable, in the order of
                     ORDER BY */
    double correlation; /* of the heap with the first key column, 0 to 1; 1 if unknown */
};
/* On the source. */
MUST_CHECK bool key_order_read(struct pg_conn *source, const struct table *table, struct key_order *out,
                               struct error *err);

#endif
