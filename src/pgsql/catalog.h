/* SPDX-License-Identifier: PostgreSQL
 *
 * What a PostgreSQL server says about its relations: read in a few set queries for any number of tables
 * (1,000 tables start in under 5 s).
 */
#ifndef PGSQL_CATALOG_H
#define PGSQL_CATALOG_H

#include "model/table.h"
#include "pgsql/conn.h"

struct pg_column {
    char *name;
    struct type type;
    bool not_null;
    bool has_default;
    char identity;  /* pg_attribute.attidentity: '\0', 'a', 'd' */
    char generated; /* pg_attribute.attgenerated: '\0', 's', 'v' */
    int16_t number; /* attnum */
};

struct pg_index {
    char *schema;
    char *name;
    uint16_t *columns; /* indexes into the relation's columns; expressions: UINT16_MAX */
    uint16_t column_count;
    bool unique, primary, replica_identity, partial, deferrable, valid, has_expressions;
};

struct pg_relation {
    uint32_t oid;
    char *schema;
    char *name;
    char kind;        /* r p f v m */
    char persistence; /* p u t */
    char identity;    /* d n f i */
    bool is_partition;
    bool has_children; /* plain inheritance */
    bool row_security; /* relrowsecurity */
    bool force_row_security;
    int64_t rows;     /* reltuples, -1 unknown; partitions summed */
    int64_t bytes;    /* pg_table_size, partitions summed */
    struct pg_column *columns;
    uint16_t column_count;
    struct pg_index *indexes;
    uint16_t index_count;
    int trigger_count;     /* user triggers, enabled 'O' */
    int always_triggers;   /* enabled 'A' or 'R': they do fire under replica role */
    bool owned;            /* the connected role is a member of the owner */
    bool can_select, can_insert, can_update, can_delete, can_truncate;
};

struct pg_foreign_key {
    char *name;
    uint32_t child, parent; /* oids */
};

struct pg_catalog {
    struct pg_relation *relations;
    uint32_t count;
    struct pg_foreign_key *foreign_keys;
    uint32_t foreign_key_count;
};

/* Ordinary and partitioned tables outside the system schemas and outside our own schema `crossfade`.
 * Partitions are listed (is_partition) so that checks can see them; pairing skips them. */
MUST_CHECK bool pg_catalog_read(struct pg_conn *conn, struct pg_catalog *out, struct error *err);
void pg_catalog_free(struct pg_catalog *self);
const struct pg_relation *pg_catalog_find(const struct pg_catalog *self, const char *schema, const char *name);

#endif
