/* SPDX-License-Identifier: PostgreSQL
 *
 * One mapped table, seen from both sides: which source relation goes to which sink relation, column by
 * column, and by which key rows are found. Built once per run from the two catalogs and the config,
 * constant while streaming, except for `state`, which changes only while all lanes are idle (they meet).
 */
#ifndef MODEL_TABLE_H
#define MODEL_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "model/config.h"
#include "model/position.h"

enum table_state {
    TABLE_INIT,
    TABLE_BACKFILL,
    TABLE_CATCHUP,
    TABLE_STREAMING,
    TABLE_DRIFT,   /* its source definition no longer fits; changes are parked */
    TABLE_STOPPED, /* refused for its data or by policy, or paused with --table/--group; changes are parked */
    TABLE_PAUSED
};

/* What the source logs of the old row (pg_class.relreplident). */
enum table_identity { IDENTITY_DEFAULT, IDENTITY_INDEX, IDENTITY_FULL, IDENTITY_NOTHING };

/* A column's type in one database. Names are already quoted for SQL and carry no length:
 * pg_catalog.int4, public.mood, pg_catalog."bit". */
struct type {
    uint32_t oid;
    int32_t modifier;     /* atttypmod, -1 if none */
    char *name;           /* quoted, schema-qualified, without modifier: safe to paste behind `::` */
    char *display;        /* format_type(): for people and DDL */
    char kind;            /* pg_type.typtype: b c d e r m p */
    char category;        /* pg_type.typcategory: A is array */
    uint32_t base_oid;    /* of a domain: its base type, else oid */
    uint32_t element_oid; /* of an array: its element type, else 0 */
};

/* What the config wants made of a source's values: the same in copy, stream, re-read and reverse. Made when
 * the tables are paired, then only read, by any thread. All zero: the defaults. */
struct column_policy {
    enum bad_text bad_text;
    bool trim_blanks;
    const char *time_zone; /* the config's; NULL: none stated, or not needed */
    const void *zone;      /* its offsets, of the driver's own; outlives the tables' use */
};

struct column {
    char *source; /* plain name, not quoted */
    char *sink;
    struct type source_type;
    struct type sink_type; /* of a domain, `name` is its base type's: a cast to the domain would cut silently
                              what is too long, an assignment refuses it */
    bool key;              /* part of the key */
    bool key_bytewise;     /* equal values have equal bytes in the wire format, so keys can be hashed */
    bool key_numeric;      /* numeric: equal but for the display scale (1.0, 1.00) */
    bool not_null;         /* on the sink */
    bool sink_identity_always; /* GENERATED ALWAYS AS IDENTITY: INSERT needs OVERRIDING SYSTEM VALUE */
    /* How a value travels to the sink as an array element: the parameter's element type, and whether
     * the SQL has to cast it to sink_type. Set by the sink's driver. */
    uint32_t wire_oid;
    bool wire_cast;
    struct column_policy policy;
};

struct table {
    uint32_t id; /* index in its table_set */
    char *from_schema;
    char *from_name;
    char *to_schema;
    char *to_name;
    /* schema.name for people, state rows and metrics; in the reverse direction both are the legacy's, so that
     * a table's states keep their name. */
    char *from;
    char *to;
    char *group;
    uint32_t source_oid;
    uint32_t sink_oid;

    struct column *columns; /* the columns that are carried, in the source's order */
    uint16_t column_count;
    char **ignored; /* source columns left out on purpose (config, generated): no drift when they come */
    uint16_t ignored_count;
    uint16_t *key; /* indexes into columns, in the order of the key's index; empty if keyless */
    uint16_t key_count;
    bool key_hashable; /* every key column is bytewise or numeric */
    enum table_identity identity;

    bool insert_only; /* no replica identity: published by <publication>_insert; updates and deletes don't
                         come */
    bool copy_binary; /* every carried column has the same binary format on both sides: COPY BINARY is safe */
    bool source_partitioned; /* read through the root; else read FROM ONLY: inheritance children come by
                                themselves */
    bool sink_shared; /* several source tables end in this sink table: TRUNCATE of one can't be carried */
    bool sink_partitioned;
    bool sink_has_arrays;    /* some carried column is an array: unnest would flatten it */
    bool sink_key_arbiter;   /* the sink has a non-deferrable unique index on exactly the key */
    bool sink_extra_columns; /* the sink has columns that are not carried */
    /* Its capture tells what a row is now, not what was done to it: always applied so that it converges, and
     * no row is missing or already there by mistake. */
    bool net_changes;
    int rank;            /* foreign-key depth: parents before children */
    int lane;            /* which lane carries it */
    const char *capture; /* how its changes are captured, as the config writes it; static; NULL: not known */
    enum table_state state;
    int64_t source_rows; /* estimate, -1 unknown */
    int64_t source_bytes;
    /* Keyless tables in catchup: pg_snapshot text under which it was copied, or the position up to which its
     * copy holds every commit; changes of transactions in it are skipped. NULL otherwise. */
    char *copied_snapshot;
    /* Not streaming yet: what the source captures of it begins there, and its copy was begun later, so what
     * was before is in the copy. POSITION_NONE where the source has no such border. */
    struct position captured_from;
};

struct table_set {
    struct table **tables;
    uint32_t count;
};

struct table *table_new(void);
void table_free(struct table *self);

void table_set_add(struct table_set *self, struct table *table); /* takes it over, sets id */
void table_set_free(struct table_set *self);
struct table *table_set_find(const struct table_set *self, const char *from_schema, const char *from_name);
struct table *table_set_named(const struct table_set *self, const char *from); /* by `from` text */

const char *table_state_name(enum table_state state); /* init, backfill, … as DESIGN.md section 5 */
bool table_state_parse(const char *name, enum table_state *out);
/* True where changes are applied so that they converge whatever the sink has (DESIGN.md rule 6). */
static inline bool table_converges(const struct table *self)
{
    return self->state == TABLE_CATCHUP || self->net_changes;
}
/* True where changes are parked instead of applied. */
bool table_is_parked(const struct table *self);

#endif
