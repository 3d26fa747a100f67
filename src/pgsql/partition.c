/* SPDX-License-Identifier: PostgreSQL */
#include "pgsql/partition.h"

#include <stdlib.h>

#include "base/mem.h"

/* By hand instead of pg_partition_tree(), which 10 and 11 lack. */
static const char read_sql[] =
    "WITH RECURSIVE tree (root, leaf, kind) AS ("
    " SELECT oid, oid, relkind FROM pg_catalog.pg_class WHERE relkind = 'p' AND NOT relispartition"
    " UNION ALL"
    " SELECT t.root, c.oid, c.relkind FROM tree t"
    " JOIN pg_catalog.pg_inherits i ON i.inhparent = t.leaf"
    " JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid)"
    " SELECT t.leaf, n.nspname, r.relname, pg_catalog.count(*) OVER (PARTITION BY t.root)"
    " FROM tree t JOIN pg_catalog.pg_class r ON r.oid = t.root"
    " JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace WHERE t.kind <> 'p'";

static struct slice leaf_key(const uint32_t *leaf)
{
    return (struct slice){(const char *)leaf, sizeof(*leaf)};
}

void partition_map_free(struct partition_map *self)
{
    for (size_t i = 0; i < self->count; i++) {
        free(self->partitions[i].root_schema);
        free(self->partitions[i].root_name);
    }
    free(self->partitions);
    map_free(&self->by_leaf);
    *self = (struct partition_map){0};
}

bool partition_map_read(struct partition_map *self, struct pg_conn *conn, struct error *err)
{
    PGresult *r = pg_query(conn, read_sql, 0, NULL, err);
    if (!r)
        return false;
    partition_map_free(self);
    self->count = (size_t)PQntuples(r);
    self->partitions = mem_alloc((self->count + 1) * sizeof(*self->partitions));
    for (size_t i = 0; i < self->count; i++) {
        struct partition *p = &self->partitions[i];
        p->leaf = (uint32_t)strtoul(PQgetvalue(r, (int)i, 0), NULL, 10);
        p->root_schema = mem_strdup(PQgetvalue(r, (int)i, 1));
        p->root_name = mem_strdup(PQgetvalue(r, (int)i, 2));
        p->leaves = (uint32_t)strtoul(PQgetvalue(r, (int)i, 3), NULL, 10);
        map_at(&self->by_leaf, leaf_key(&p->leaf))->value = p;
    }
    PQclear(r);
    return true;
}

const struct partition *partition_map_find(const struct partition_map *self, uint32_t leaf)
{
    return map_get(&self->by_leaf, leaf_key(&leaf));
}
