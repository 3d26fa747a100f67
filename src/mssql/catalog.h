/* SPDX-License-Identifier: PostgreSQL
 *
 * What a SQL Server says about one database: read in a few set queries for any number of tables, without a
 * look at a single row of theirs. Tables of our own (schema crossfade), of change data capture and of the
 * system are left out. Facts only: what they mean for a copy or a stream is decided by check and by the
 * bridge.
 *
 * Order: by object id; columns by column id; index columns in key order, included ones last.
 */
#ifndef MSSQL_CATALOG_H
#define MSSQL_CATALOG_H

#include <stdbool.h>
#include <stdint.h>

#include "model/position.h"
#include "mssql/conn.h"
#include "mssql/type.h"

struct ms_catalog_column {
    char *name;
    int32_t id;                 /* column_id */
    char *type_name;            /* sys.types.name of the column's own type, an alias type's too */
    struct ms_column_type type; /* type.type NULL: not in our table of types, refused by type_name */
    bool nullable, identity, computed, persisted, sparse, column_set, rowguid, filestream, hidden;
    bool masked;                                             /* dynamic data masking */
    bool encrypted;                                          /* Always Encrypted */
    int generated_always;                                    /* 1, 2: period columns of a temporal table */
    bool case_sensitive, accent_sensitive, binary_collation; /* of type.collation */
    char *default_text;                                      /* as T-SQL has it, NULL: none */
    char *computed_text;
    char *identity_seed, *identity_increment, *identity_last; /* integers as text; last NULL: none yet */
};

enum ms_index_kind {
    MS_INDEX_HEAP = 0,
    MS_INDEX_CLUSTERED = 1,
    MS_INDEX_NONCLUSTERED = 2,
    MS_INDEX_XML = 3,
    MS_INDEX_SPATIAL = 4,
    MS_INDEX_CLUSTERED_COLUMNSTORE = 5,
    MS_INDEX_NONCLUSTERED_COLUMNSTORE = 6,
    MS_INDEX_HASH = 7
};

struct ms_index_column {
    uint16_t column; /* index into the table's columns */
    bool descending, included;
};

struct ms_index {
    char *name; /* NULL: the heap */
    enum ms_index_kind kind;
    bool unique, primary, constraint, disabled;
    char *filter; /* NULL: none */
    struct ms_index_column *columns;
    uint16_t column_count; /* included ones too */
    uint16_t key_count;
};

/* A capture instance of a table. */
struct ms_capture {
    int32_t object_id;     /* of the change table */
    char *name;            /* capture_instance */
    char *table;           /* name of the change table in schema cdc */
    char *created;         /* ISO text, as the server has it */
    struct position start; /* from here on it has the table's changes; clean-up moves it */
    bool denied;           /* min LSN came as zeros: a right is missing */
    bool drop_pending, partition_switch;
    bool has_command_id; /* false: sp_cdc_vupgrade was not run */
    uint16_t *columns;   /* [ordinal - 1]: index into the table's columns, UINT16_MAX: dropped since */
    bool *computed;      /* [ordinal - 1] */
    char **column_names; /* [ordinal - 1] */
    uint16_t column_count;
};

struct ms_check {
    char *name, *text;
    bool disabled;
};

struct ms_catalog_table {
    int32_t object_id;
    char *schema;
    char *name;
    int temporal; /* sys.tables.temporal_type: 0, 1 history, 2 system-versioned */
    bool memory_optimized, external, filetable, cdc, replicated, node, edge, columnstore;
    bool can_select, can_insert, can_update, can_delete, can_alter;
    char *filter_policy; /* an enabled security policy that filters rows; NULL: none */
    bool change_tracking, change_tracking_columns;
    int64_t min_valid_version; /* of change tracking; -1: none or denied */
    int trigger_count;         /* enabled ones */
    bool utf16;                /* the server's: nvarchar is UTF-16 to varbinary, as documented; others that
                                  speak T-SQL differ */
    int64_t rows, pages;       /* pages of 8 kB, large values included; -1 unknown */
    struct ms_catalog_column *columns;
    uint16_t column_count;
    struct ms_index *indexes;
    uint16_t index_count;
    struct ms_check *checks;
    uint16_t check_count;
    struct ms_capture *captures; /* at most two, the older first */
    uint16_t capture_count;
};

struct ms_foreign_key {
    int32_t object_id;
    char *name;
    int32_t child, parent; /* object ids */
    bool disabled, not_trusted;
    int on_delete, on_update;                /* 0 no action, 1 cascade, 2 set null, 3 set default */
    int32_t *child_columns, *parent_columns; /* column ids */
    uint16_t column_count;
};

struct ms_database {
    int32_t id;
    char *name;
    int compatibility;
    char *collation;
    bool snapshot_allowed; /* ALLOW_SNAPSHOT_ISOLATION is fully on */
    bool read_committed_snapshot, cdc, change_tracking, encrypted, read_only;
    int recovery_model; /* 1 full, 2 bulk-logged, 3 simple */
    char *log_reuse_wait;
    bool view_state, unmask, owner; /* rights of this login */
    int zone_minutes;               /* the server's clock, east of UTC */
};

struct ms_catalog {
    struct ms_database database;
    struct ms_catalog_table *tables; /* by object id */
    uint32_t count;
    struct ms_foreign_key *foreign_keys;
    uint32_t foreign_key_count;
};

MUST_CHECK bool ms_catalog_read(struct ms_conn *conn, struct ms_catalog *out, struct error *err);
void ms_catalog_free(struct ms_catalog *self); /* zeroed is fine */

/* Names as the server has them; a database whose collation ignores case is searched so too (ASCII). NULL:
 * none. */
const struct ms_catalog_table *ms_catalog_find(const struct ms_catalog *self, const char *schema,
                                               const char *name);
const struct ms_catalog_table *ms_catalog_by_id(const struct ms_catalog *self, int32_t object_id);
const struct ms_catalog_column *ms_catalog_column(const struct ms_catalog_table *table, const char *name);
/* The index into table->columns, -1 if there is none. */
int ms_catalog_column_at(const struct ms_catalog_table *table, const char *name);

/* From the name of a collation. */
void ms_catalog_collation(const char *name, bool *case_sensitive, bool *accent_sensitive, bool *binary,
                          bool *utf8);

#endif
