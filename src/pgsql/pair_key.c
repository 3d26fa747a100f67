/* SPDX-License-Identifier: PostgreSQL
 *
 * By what rows are found. The source logs of an old row what its replica identity says, so only that index's
 * columns can be a key, or any unique ones where the identity is the full row. A table without identity must
 * not be published for updates and deletes, for the application's own would then fail (hazard 36): it goes to
 * the insert-only publication, loudly.
 */
#include "pgsql/pair_columns.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pgsql/sql.h"

/* A key while it is chosen: indexes into the source relation's columns. */
struct key_columns {
    const uint16_t *columns;
    uint16_t count;
};

static bool usable(const struct pg_index *x)
{
    return x->unique && x->valid && !x->partial && !x->deferrable && !x->has_expressions;
}

static enum table_identity identity_of(const struct pg_relation *rel)
{
    switch (rel->identity) {
    case 'n':
        return IDENTITY_NOTHING;
    case 'f':
        return IDENTITY_FULL;
    case 'i':
        return IDENTITY_INDEX;
    default:
        return IDENTITY_DEFAULT;
    }
}

/* The index whose columns are logged of an old row; NULL for full and for none. */
static const struct pg_index *identity_index(const struct pg_relation *rel)
{
    for (uint16_t i = 0; i < rel->index_count; i++) {
        const struct pg_index *x = &rel->indexes[i];
        if (!usable(x))
            continue;
        if ((rel->identity == 'd' && x->primary) || (rel->identity == 'i' && x->replica_identity))
            return x;
    }
    return NULL;
}

static bool has_identity(const struct pg_relation *rel)
{
    return rel->identity == 'f' || identity_index(rel);
}

static bool within(const struct pg_catalog *catalog, const struct pg_relation *leaf, uint32_t root)
{
    for (int depth = 0; leaf && leaf->parent && depth < 100; depth++) {
        if (leaf->parent == root)
            return true;
        leaf = pg_catalog_by_oid(catalog, leaf->parent);
    }
    return false;
}

/* What a leaf logs counts, not what its root says. */
static bool leaves_have_identity(struct pair_work *work)
{
    const struct pg_catalog *catalog = work->sides->source;
    bool all = true;
    for (uint32_t i = 0; i < catalog->count; i++) {
        const struct pg_relation *leaf = &catalog->relations[i];
        if (!leaf->is_partition || leaf->kind != 'r' || !within(catalog, leaf, work->source->oid))
            continue;
        all &= has_identity(leaf);
        if (leaf->identity != work->source->identity)
            pair_say(
                work, PAIR_WARN, "partition_identity", NULL, NULL,
                "the replica identity of partition %s.%s is not that of the table - what a partition logs "
                "of an old row is what counts",
                leaf->schema, leaf->name);
    }
    return all;
}

/* The best unique index none of whose columns may be null: the primary key, else the one with fewest columns.
 */
static const struct pg_index *unique_index(const struct pg_relation *rel)
{
    const struct pg_index *best = NULL;
    for (uint16_t i = 0; i < rel->index_count; i++) {
        const struct pg_index *x = &rel->indexes[i];
        bool good = usable(x) && x->column_count > 0;
        for (uint16_t j = 0; good && j < x->column_count; j++)
            good = rel->columns[x->columns[j]].not_null;
        if (good && x->primary)
            return x;
        if (good && (!best || x->column_count < best->column_count))
            best = x;
    }
    return best;
}

/* Same columns, in whatever order. */
static bool same_columns(struct key_columns a, struct key_columns b)
{
    if (a.count != b.count)
        return false;
    for (uint16_t i = 0; i < a.count; i++) {
        bool found = false;
        for (uint16_t j = 0; j < b.count; j++)
            found |= a.columns[i] == b.columns[j];
        if (!found)
            return false;
    }
    return true;
}

static struct key_columns of_index(const struct pg_index *x)
{
    return x ? (struct key_columns){x->columns, x->column_count} : (struct key_columns){NULL, 0};
}

static void full_identity_sql(const struct pair_work *work, struct buffer *sql)
{
    buffer_puts(sql, "ALTER TABLE ");
    sql_qualified(sql, work->source->schema, work->source->name);
    buffer_puts(sql, " REPLICA IDENTITY FULL;");
}

static bool some_unique(const struct pg_relation *rel, struct key_columns key)
{
    for (uint16_t i = 0; i < rel->index_count; i++) {
        if (usable(&rel->indexes[i]) && same_columns(of_index(&rel->indexes[i]), key))
            return true;
    }
    return false;
}

/* The config's own key. The columns go to *storage. */
static struct key_columns config_key(struct pair_work *work, bool identity, uint16_t **storage)
{
    const struct config_table *entry = work->entry;
    struct key_columns key = {NULL, 0};
    *storage = mem_alloc(sizeof(**storage) * (size_t)entry->key_count);
    for (int i = 0; i < entry->key_count; i++) {
        const struct pg_column *c = pg_relation_column(work->source, entry->key[i]);
        if (!c) {
            pair_say(work, PAIR_FAIL, "key_missing", entry->key[i], NULL,
                     "the config's key names a column that the table does not have");
            return (struct key_columns){NULL, 0};
        }
        (*storage)[i] = (uint16_t)(c - work->source->columns);
    }
    key = (struct key_columns){*storage, (uint16_t)entry->key_count};
    struct buffer sql = {0};
    full_identity_sql(work, &sql);
    if (identity && work->source->identity != 'f' &&
        !same_columns(key, of_index(identity_index(work->source))))
        pair_say(work, PAIR_FAIL, "key_not_identity", NULL, buffer_text(&sql),
                 "the config's key is not the table's replica identity, so the source does not log its old "
                 "values");
    else if (!some_unique(work->source, key))
        pair_say(
            work, PAIR_WARN, "key_unverified", NULL, NULL,
            "no unique index of the source has exactly the config's key columns - crossfade check --data "
            "looks for doubles");
    buffer_free(&sql);
    return key;
}

static struct key_columns choose(struct pair_work *work, bool identity, uint16_t **storage)
{
    if (work->entry && work->entry->key_count > 0)
        return config_key(work, identity, storage);
    const struct pg_index *x = identity_index(work->source);
    return of_index(x ? x : unique_index(work->source));
}

static int carried_as(const struct table *t, const char *source)
{
    for (uint16_t i = 0; i < t->column_count; i++) {
        if (strcmp(t->columns[i].source, source) == 0)
            return i;
    }
    return -1;
}

static bool is_numeric(const struct pg_type_info *t)
{
    return t && strcmp(t->schema, "pg_catalog") == 0 && strcmp(t->name, "numeric") == 0;
}

/* Hashable where both sides' equality is that of the bytes and no value is changed on the way. */
static void key_flags(const struct pair_work *work, struct column *c, const struct pg_column *from)
{
    int32_t smod = c->source_type.modifier, tmod = c->sink_type.modifier;
    const struct pg_type_info *s = pg_catalog_base_type(work->sides->source, c->source_type.oid, &smod);
    const struct pg_type_info *t = pg_catalog_base_type(work->sides->sink, c->sink_type.oid, &tmod);
    const struct pg_column *to = pg_relation_column(work->sink, c->sink);
    struct pair_type fit;
    pair_type_judge(work->sides, &c->source_type, &c->sink_type, &fit);
    c->key = true;
    bool numeric = is_numeric(s), sink_numeric = is_numeric(t);
    bool faithful = pair_type_refuses_only(&fit);
    c->key_numeric = faithful && numeric && sink_numeric;
    bool padded = t && s && strcmp(t->name, "bpchar") == 0 && strcmp(s->name, "bpchar") != 0;
    c->key_bytewise = faithful && !padded && pair_type_bytewise(s, smod, from->deterministic) &&
                      (sink_numeric || pair_type_bytewise(t, tmod, to->deterministic));
    pair_type_free(&fit);
}

static void set_key(struct pair_work *work, struct key_columns key)
{
    struct table *t = work->table;
    t->key = mem_alloc(sizeof(*t->key) * (size_t)(key.count + 1));
    t->key_hashable = key.count > 0;
    for (uint16_t i = 0; i < key.count; i++) {
        const struct pg_column *from = &work->source->columns[key.columns[i]];
        int at = carried_as(t, from->name);
        if (at < 0) {
            if (!work->failed)
                pair_say(work, PAIR_FAIL, "key_not_carried", from->name, NULL,
                         "a column of the key is not carried to the target");
            return;
        }
        struct column *c = &t->columns[at];
        key_flags(work, c, from);
        t->key_hashable &= c->key_bytewise || c->key_numeric;
        t->key[t->key_count++] = (uint16_t)at;
    }
}

static bool sink_index_is_key(const struct pair_work *work, const struct pg_index *x)
{
    const struct table *t = work->table;
    if (x->column_count != t->key_count)
        return false;
    for (uint16_t i = 0; i < x->column_count; i++) {
        bool found = false;
        if (x->columns[i] == UINT16_MAX)
            return false;
        for (uint16_t j = 0; j < t->key_count; j++)
            found |= strcmp(work->sink->columns[x->columns[i]].name, t->columns[t->key[j]].sink) == 0;
        if (!found)
            return false;
    }
    return true;
}

static void key_list(const struct table *t, struct buffer *out)
{
    buffer_putc(out, '(');
    for (uint16_t i = 0; i < t->key_count; i++) {
        buffer_puts(out, i ? ", " : "");
        sql_ident(out, t->columns[t->key[i]].sink);
    }
    buffer_putc(out, ')');
}

static void say_no_sink_key(struct pair_work *work, bool deferrable, bool has_primary)
{
    struct buffer sql = {0};
    if (has_primary) {
        buffer_puts(&sql, "CREATE UNIQUE INDEX ON ");
        sql_qualified(&sql, work->sink->schema, work->sink->name);
        buffer_putc(&sql, ' ');
        key_list(work->table, &sql);
    } else {
        buffer_puts(&sql, "ALTER TABLE ");
        sql_qualified(&sql, work->sink->schema, work->sink->name);
        buffer_puts(&sql, " ADD PRIMARY KEY ");
        key_list(work->table, &sql);
    }
    buffer_putc(&sql, ';');
    if (deferrable)
        pair_say(
            work, PAIR_WARN, "target_key_deferrable", NULL, buffer_text(&sql),
            "the target's unique constraint on the key is deferrable and can't arbitrate an upsert - rows "
            "are deleted and inserted instead");
    else
        pair_say(
            work, PAIR_WARN, "target_key_missing", NULL, buffer_text(&sql),
            "the target has no unique index on exactly the key - changes look for their rows without one, "
            "which is slow, and doubles are not refused");
    buffer_free(&sql);
}

static void sink_arbiter(struct pair_work *work)
{
    bool deferrable = false, has_primary = false;
    for (uint16_t i = 0; i < work->sink->index_count; i++) {
        const struct pg_index *x = &work->sink->indexes[i];
        has_primary |= x->primary;
        if (!x->unique || !x->valid || x->partial || x->has_expressions || !sink_index_is_key(work, x))
            continue;
        deferrable |= x->deferrable;
        work->table->sink_key_arbiter |= !x->deferrable;
    }
    if (work->table->key_count > 0 && !work->table->sink_key_arbiter)
        say_no_sink_key(work, deferrable, has_primary);
}

static void say_identity(struct pair_work *work)
{
    struct buffer sql = {0};
    full_identity_sql(work, &sql);
    if (work->table->insert_only)
        pair_say(
            work, PAIR_WARN, "insert_only", NULL, buffer_text(&sql),
            "no replica identity%s - only its inserts and truncates are streamed; an update or delete there "
            "does not reach the target",
            work->table->key_count ? "" : " and no key");
    else if (work->table->key_count == 0)
        pair_say(
            work, PAIR_WARN, "no_key", NULL, NULL,
            "no key - each change looks for its row by the whole old row, which is slow, and the copy is one "
            "long read under one snapshot");
    else if (!work->table->key_hashable)
        pair_say(work, PAIR_OK, "key_not_bytewise", NULL, NULL,
                 "equality of the key is not that of its bytes - its changes are applied one by one");
    buffer_free(&sql);
}

void pair_key(struct pair_work *work)
{
    uint16_t *storage = NULL;
    struct table *t = work->table;
    t->identity = identity_of(work->source);
    bool identity = work->source->kind == 'p' ? leaves_have_identity(work) && has_identity(work->source)
                                              : has_identity(work->source);
    t->insert_only = !identity;
    set_key(work, choose(work, identity, &storage));
    free(storage);
    if (work->failed)
        return;
    sink_arbiter(work);
    say_identity(work);
}
