/* SPDX-License-Identifier: PostgreSQL
 *
 * Which leaf partition belongs to which partitioned table. A publication without publish_via_partition_root
 * names the leaves in its messages; the pipeline's table is the root.
 */
#ifndef PGSQL_PARTITION_H
#define PGSQL_PARTITION_H

#include "base/map.h"
#include "pgsql/conn.h"

struct partition {
    uint32_t leaf;
    uint32_t leaves; /* of the root, all in all */
    char *root_schema;
    char *root_name;
};

struct partition_map {
    struct partition *partitions;
    size_t count;
    struct map by_leaf;
};

/* Reads them all, in the place of what was there. */
MUST_CHECK bool partition_map_read(struct partition_map *self, struct pg_conn *conn, struct error *err);
void partition_map_free(struct partition_map *self);
const struct partition *partition_map_find(const struct partition_map *self, uint32_t leaf); /* or NULL */

#endif
