/* SPDX-License-Identifier: PostgreSQL
 *
 * What a PostgreSQL server says about its relations: read in a few set queries for any number of tables
 * (1,000 tables start in under 5 s).
 */
#ifndef PGSQL_CATALOG_H
#define PGSQL_CATALOG_H

#include "model/table.h"
#include "pgsql/conn.h"

/* One row of pg_type, with what pairing has to know of it. */
struct pg_type_info {
    uint32_t oid;
    char *schema;
    char *name;            /* plain */
    char *quoted;          /* "schema"."name" as far as quoting is needed: safe behind `::` */
    char kind;             /* typtype: b c d e r m p */
    char category;         /* typcategory */
    uint32_t base_oid;     /* of a domain: what it is over (may be a domain again), else 0 */
    int32_t base_modifier; /* of a domain: the modifier it gives its base */
    uint32_t element_oid;  /* of an array: its element type, else 0 */
    uint32_t subtype_oid;  /* of a range or multirange: its element type, else 0 */
    bool has_binary;       /* it has a send and a receive function */
    char **labels;         /* of an enum, in its order */
    uint32_t label_count;
};

struct pg_column {
    char *name;
    struct type type;
    bool not_null;
    bool has_default;   /* a default or a generation expression */
    bool deterministic; /* its collation, if it has one: equal means equal bytes */
    char identity;      /* pg_attribute.attidentity: '\0', 'a', 'd' */
    char generated;     /* pg_attribute.attgenerated: '\0', 's', 'v' */
    char *expression;   /* of a generated column, else NULL */
    int16_t number;     /* attnum */
};

struct pg_index {
    char *schema;
    char *name;
    uint16_t *columns; /* key columns (not INCLUDE) as indexes into the relation's columns; expressions:
                          UINT16_MAX */
    uint16_t column_count;
    bool unique, primary, replica_identity, partial, deferrable, valid, has_expressions;
};

struct pg_relation {
    uint32_t oid;
    char *schema;
    char *name;
    char kind;        /* r p */
    char persistence; /* p u */
    char identity;    /* d n f i */
    bool is_partition;
    uint32_t parent;   /* of a partition: the relation it is a part of, else 0 */
    bool is_child;     /* of plain inheritance */
    bool of_extension; /* made by CREATE EXTENSION */
    bool has_children; /* plain inheritance */
    bool row_security; /* relrowsecurity */
    bool force_row_security;
    int64_t rows;  /* reltuples, -1 unknown; partitions summed */
    int64_t bytes; /* pg_table_size, partitions summed */
    struct pg_column *columns;
    uint16_t column_count;
    struct pg_index *indexes;
    uint16_t index_count;
    int trigger_count;   /* user triggers, enabled 'O' */
    int always_triggers; /* enabled 'A' or 'R': they do fire under replica role */
    int check_count;     /* CHECK constraints */
    int exclusion_count; /* EXCLUDE constraints */
    bool owned;          /* the connected role is a member of the owner */
    bool schema_usage;   /* it may use the schema */
    bool can_select, can_insert, can_update, can_delete, can_truncate;
};

struct pg_foreign_key {
    char *name;
    uint32_t child, parent; /* oids */
};

struct pg_catalog {
    struct pg_relation *relations; /* by schema and name */
    uint32_t count;
    struct pg_foreign_key *foreign_keys;
    uint32_t foreign_key_count;
    struct pg_type_info *types; /* by oid */
    uint32_t type_count;
};

/* Ordinary and partitioned tables, temporary ones excepted, outside the system schemas and outside our own
 * schema `crossfade`. Partitions are listed (is_partition) so that checks can see them. */
MUST_CHECK bool pg_catalog_read(struct pg_conn *conn, struct pg_catalog *out, struct error *err);
void pg_catalog_free(struct pg_catalog *self);
const struct pg_relation *pg_catalog_find(const struct pg_catalog *self, const char *schema,
                                          const char *name);
const struct pg_relation *pg_catalog_by_oid(const struct pg_catalog *self, uint32_t oid);

/* NULL if there is no such type. Types must be sorted by oid. */
const struct pg_type_info *pg_catalog_type(const struct pg_catalog *self, uint32_t oid);
/* The type a domain is over, through domains over domains; any other type is its own. *modifier becomes the
 * innermost modifier given. */
const struct pg_type_info *pg_catalog_base_type(const struct pg_catalog *self, uint32_t oid,
                                                int32_t *modifier);

const struct pg_column *pg_relation_column(const struct pg_relation *self, const char *name);

#endif
