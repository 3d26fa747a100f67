/* SPDX-License-Identifier: PostgreSQL
 *
 * The relations that a logical stream has announced, each held against the table it is mapped to: which
 * message column is which table column, what the table has no place for, and whether it still fits
 * (hazard 34). No I/O.
 */
#ifndef PGSQL_RELATION_H
#define PGSQL_RELATION_H

#include "base/map.h"
#include "model/change.h"
#include "pgsql/pgoutput.h"

enum { RELATION_NOWHERE = UINT16_MAX };

struct relation {
    uint32_t oid;
    char *schema;
    char *name;
    struct table *table; /* NULL: not one of the pipeline's tables, its changes are skipped */
    bool partition;      /* a leaf of the table, which is its root */
    uint16_t column_count;
    uint16_t *column;           /* message column to table column, or RELATION_NOWHERE */
    uint16_t *extra_at;         /* message column to `extra`, or RELATION_NOWHERE */
    bool *identity;             /* message column is part of the replica identity */
    bool straight;              /* message columns are the table's columns, in its order */
    struct extra_column *extra; /* what the table has no place for; values are not set */
    uint16_t extra_count;
    char drift[800]; /* why it does not fit, empty if it does */
};

struct relation_set {
    const struct table_set *tables;
    struct map by_oid;
    struct map types;      /* oid to struct announced_type */
    struct relation *last; /* the one asked for last */
};

void relation_set_free(struct relation_set *self);

/* NULL: not announced. */
struct relation *relation_set_get(struct relation_set *self, uint32_t oid);

/* A Type message: its name is needed when a column of that type drifts. */
void relation_set_announce_type(struct relation_set *self, const struct pgoutput_message *m);

/* A Relation message. `root_schema`, `root_name`: of the partitioned table that it is a leaf of, or NULL.
 * True if there is news for the owner: it does not fit, and not for the reasons told before. */
bool relation_set_announce(struct relation_set *self, const struct pgoutput_message *m,
                           const char *root_schema, const char *root_name, struct relation **out);

#endif
