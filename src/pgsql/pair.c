/* SPDX-License-Identifier: PostgreSQL
 *
 * Which tables, and to where. Chooses the source relations that the config means, finds each one's sink
 * relation, has columns and key paired, and keeps what fits. Invariants: a table in `tables` has no FAIL
 * finding; no sink table is written by two source tables, unless they are partitions of one table (sources
 * before 13 can't publish through the root).
 */
#include "pgsql/pair.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "pgsql/pair_back.h"
#include "pgsql/pair_columns.h"
#include "pgsql/pair_names.h"
#include "pgsql/pair_order.h"
#include "pgsql/sql.h"

enum { VIA_ROOT = 130000, BINARY_STREAM = 140000 };

struct pairer {
    struct pair_sides sides; /* the legacy is the source, whatever the direction */
    struct pair_sides back;  /* the other way round; its config is NULL unless that is the direction */
    struct pairing *out;
    const struct config_table **taken; /* by source relation: the entry that named it */
};

void pairing_add(struct pairing *self, enum pair_level level, const char *code, const char *object,
                 const char *sql, const char *fmt, ...)
{
    struct buffer text = {0};
    va_list ap;
    va_start(ap, fmt);
    buffer_vprintf(&text, fmt, ap);
    va_end(ap);
    if ((self->finding_count & (self->finding_count + 1)) == 0) /* 0, 1, 3, 7, … are full */
        self->findings =
            mem_grow(self->findings, 2 * ((size_t)self->finding_count + 1), sizeof(*self->findings));
    self->findings[self->finding_count++] = (struct pair_finding){.level = level,
                                                                  .code = code,
                                                                  .object = mem_strdup(object),
                                                                  .text = mem_strdup(buffer_text(&text)),
                                                                  .sql = mem_strdup(sql)};
    buffer_free(&text);
}

static char *joined(const char *schema, const char *name)
{
    struct buffer out = {0};
    buffer_printf(&out, "%s.%s", schema, name);
    return buffer_detach(&out);
}

static const char *group_of(const struct config *config, const struct pg_relation *rel,
                            const struct config_table *entry)
{
    if (entry && entry->group)
        return entry->group;
    for (int i = 0; i < config->group_count; i++) {
        for (int j = 0; j < config->groups[i].table_count; j++) {
            if (pair_name_means(config->groups[i].tables[j], rel->schema, rel->name))
                return config->groups[i].name;
        }
    }
    return "default";
}

/* `to` as the config has it: in full, or a name in the mapped schema. */
static const struct pg_relation *find_written(const struct pairer *self, const char *written,
                                              const char *schema)
{
    const struct pg_relation *found = pg_catalog_find(self->sides.sink, schema, written);
    for (uint32_t i = 0; !found && i < self->sides.sink->count; i++) {
        const struct pg_relation *rel = &self->sides.sink->relations[i];
        bool bare = strcmp(written, rel->name) == 0;
        if (!bare && pair_name_means(written, rel->schema, rel->name))
            found = rel;
    }
    return found;
}

/* Where it goes; *schema and *name (malloc'ed) are what it would be called if it is not there. */
static const struct pg_relation *find_sink(const struct pairer *self, const struct pg_relation *rel,
                                           const struct config_table *entry, char **schema, char **name)
{
    const struct config *config = self->sides.config;
    const char *mapped = pair_schema(config, rel->schema);
    if (entry && entry->to) {
        pair_name_split(entry->to, schema, name);
        if (!*schema)
            *schema = mem_strdup(mapped);
        return find_written(self, entry->to, mapped);
    }
    *schema = mem_strdup(mapped);
    *name = pair_name(config, rel->name);
    const struct pg_relation *found = pg_catalog_find(self->sides.sink, *schema, *name);
    const struct pg_relation *parent =
        rel->parent ? pg_catalog_by_oid(self->sides.source, rel->parent) : NULL;
    if (found || !parent)
        return found;
    free(*schema);
    free(*name);
    return find_sink(self, parent, entry, schema, name);
}

static struct table *table_begin(const struct pairer *self, const struct pg_relation *rel,
                                 const struct config_table *entry)
{
    struct table *t = table_new();
    t->from_schema = mem_strdup(rel->schema);
    t->from_name = mem_strdup(rel->name);
    t->from = joined(rel->schema, rel->name);
    t->group = mem_strdup(group_of(self->sides.config, rel, entry));
    t->source_oid = rel->oid;
    t->source_rows = rel->rows;
    t->source_bytes = rel->bytes;
    t->source_partitioned = rel->kind == 'p';
    return t;
}

static void say_table_missing(struct pair_work *work, const char *schema, const char *name)
{
    struct buffer sql = {0};
    pair_create_table(work->sides, work->source, schema, name, &sql);
    pair_say(work, PAIR_FAIL, "table_missing", NULL, buffer_text(&sql),
             "the target has no table %s.%s - crossfade schema prints the whole DDL", schema, name);
    buffer_free(&sql);
}

static void say_paired(struct pair_work *work)
{
    const struct table *t = work->table;
    struct buffer key = {0};
    for (uint16_t i = 0; i < t->key_count; i++)
        buffer_printf(&key, "%s%s", i ? ", " : "", t->columns[t->key[i]].source);
    pair_say(work, PAIR_OK, "table", NULL, NULL, "goes to %s, %u columns, %s%s%s", t->to,
             (unsigned)t->column_count, t->key_count ? "key (" : "no key", buffer_text(&key),
             t->key_count ? ")" : "");
    buffer_free(&key);
}

static bool pair_with(struct pair_work *work)
{
    struct table *t = work->table;
    t->to_schema = mem_strdup(work->sink->schema);
    t->to_name = mem_strdup(work->sink->name);
    t->to = joined(work->sink->schema, work->sink->name);
    t->sink_oid = work->sink->oid;
    t->sink_partitioned = work->sink->kind == 'p';
    pair_columns(work);
    if (!work->failed)
        pair_key(work);
    return !work->failed;
}

/* Its changes can at least be kept as they come: paired with itself, and nothing more said. */
static void pair_with_itself(struct pair_work *work)
{
    const struct pair_sides *sides = work->sides;
    struct config config = *sides->config;
    const struct pair_sides alone = {&config, sides->source, sides->source, sides->source_version};
    config.names = NAMES_AS_IS;
    config.schema_count = 0;
    work->sides = &alone;
    work->sink = work->source;
    work->quiet = true;
    work->failed = false;
    (void)pair_with(work);
    work->sides = sides;
}

/* False: it does not fit. */
static bool pair_relation(struct pairer *self, struct pair_work *work)
{
    char *schema, *name;
    work->sink = find_sink(self, work->source, work->entry, &schema, &name);
    if (!work->sink)
        say_table_missing(work, schema, name);
    free(schema);
    free(name);
    if (self->back.config)
        return work->sink && pair_back(work, &self->back);
    if (work->sink)
        return pair_with(work);
    pair_with_itself(work);
    return false;
}

/* Unlogged tables leave no WAL to stream. */
static bool refuse_unlogged(struct pair_work *work)
{
    if (work->source->persistence != 'u')
        return false;
    struct buffer sql = {0};
    buffer_puts(&sql, "ALTER TABLE ");
    sql_qualified(&sql, work->source->schema, work->source->name);
    buffer_puts(&sql, " SET LOGGED;");
    pair_say(work, work->entry ? PAIR_FAIL : PAIR_WARN, "unlogged", NULL, buffer_text(&sql),
             "unlogged, so its changes can't be streamed - it is not carried");
    buffer_free(&sql);
    return true;
}

static void add_relation(struct pairer *self, const struct pg_relation *rel, const struct config_table *entry)
{
    struct pair_work work = {.sides = &self->sides,
                             .source = rel,
                             .entry = entry,
                             .table = table_begin(self, rel, entry),
                             .out = self->out};
    if (refuse_unlogged(&work)) {
        table_free(work.table);
        return;
    }
    if (!pair_relation(self, &work)) {
        if (work.table->to) /* else there is nothing to stream from */
            table_set_add(&self->out->unfit, work.table);
        else
            table_free(work.table);
        return;
    }
    say_paired(&work);
    self->out->binary &= work.binary;
    table_set_add(&self->out->tables, work.table);
}

/* Read by itself, or through its root? */
static bool listed_by_itself(const struct pairer *self, const struct pg_relation *rel)
{
    if (self->sides.source_version >= VIA_ROOT)
        return !rel->is_partition;
    return rel->kind == 'r';
}

/* An extension makes its tables and their rows itself, on either side. */
static bool leave_to_extension(struct pairer *self, const struct pg_relation *rel)
{
    if (!rel->of_extension)
        return false;
    char *object = joined(rel->schema, rel->name);
    pairing_add(self->out, PAIR_OK, "extension_table", object, NULL,
                "belongs to an extension - it is carried only if `tables` names it");
    free(object);
    return true;
}

static void add_all(struct pairer *self)
{
    const struct pg_catalog *source = self->sides.source;
    for (uint32_t i = 0; i < source->count; i++) {
        const struct pg_relation *rel = &source->relations[i];
        if (listed_by_itself(self, rel) && !leave_to_extension(self, rel))
            add_relation(self, rel, NULL);
    }
}

static void add_once(struct pairer *self, uint32_t at, const struct config_table *entry)
{
    const struct pg_relation *rel = &self->sides.source->relations[at];
    if (self->taken[at]) {
        if (self->taken[at] != entry)
            pairing_add(self->out, PAIR_FAIL, "table_twice", entry->from, NULL,
                        "lines %d and %d of the config both name table %s.%s", self->taken[at]->line,
                        entry->line, rel->schema, rel->name);
        return;
    }
    self->taken[at] = entry;
    add_relation(self, rel, entry);
}

/* Before 13 a partitioned table is carried leaf by leaf. */
static void add_leaves(struct pairer *self, uint32_t root, const struct config_table *entry)
{
    const struct pg_catalog *source = self->sides.source;
    for (uint32_t i = 0; i < source->count; i++) {
        const struct pg_relation *rel = &source->relations[i];
        if (!rel->is_partition || rel->parent != root)
            continue;
        if (rel->kind == 'p')
            add_leaves(self, rel->oid, entry);
        else
            add_once(self, i, entry);
    }
}

static bool add_entry(struct pairer *self, const struct config_table *entry, struct error *err)
{
    const struct pg_catalog *source = self->sides.source;
    int64_t found = -1;
    for (uint32_t i = 0; i < source->count; i++) {
        const struct pg_relation *rel = &source->relations[i];
        if (!pair_name_means(entry->from, rel->schema, rel->name))
            continue;
        if (found >= 0)
            return error_set(
                err, ERROR_CONFIG, "%s:%d: tables: \"%s\" may be %s.%s or %s.%s - write it with its schema",
                self->sides.config->path, entry->line, entry->from, source->relations[found].schema,
                source->relations[found].name, rel->schema, rel->name);
        found = i;
    }
    if (found < 0) {
        pairing_add(self->out, PAIR_FAIL, "source_table_missing", entry->from, NULL,
                    "line %d of the config names a table that the legacy database does not have",
                    entry->line);
        return true;
    }
    const struct pg_relation *rel = &source->relations[found];
    if (listed_by_itself(self, rel))
        add_once(self, (uint32_t)found, entry);
    else if (rel->kind == 'p')
        add_leaves(self, rel->oid, entry);
    else
        pairing_add(self->out, PAIR_FAIL, "partition", entry->from, NULL,
                    "a partition - it is carried through its table: name that one instead");
    return true;
}

static uint32_t root_of(const struct pg_catalog *catalog, uint32_t oid)
{
    for (int depth = 0; depth < 100; depth++) {
        const struct pg_relation *rel = pg_catalog_by_oid(catalog, oid);
        if (!rel || !rel->parent)
            return oid;
        oid = rel->parent;
    }
    return oid;
}

/* Two tables into one: only partitions of one table may; then TRUNCATE of one can't be carried. */
static void check_shared(struct pairer *self)
{
    struct map by_sink = {0};
    struct table_set kept = {0};
    struct table_set *set = &self->out->tables;
    for (uint32_t i = 0; i < set->count; i++) {
        struct table *t = set->tables[i];
        struct map_entry *e =
            map_at(&by_sink, (struct slice){(const char *)&t->sink_oid, sizeof(t->sink_oid)});
        struct table *first = e->value;
        if (!first) {
            e->value = t;
        } else if (root_of(self->sides.source, t->source_oid) ==
                       root_of(self->sides.source, first->source_oid) &&
                   t->source_oid != first->source_oid) {
            first->sink_shared = t->sink_shared = true;
            pairing_add(
                self->out, PAIR_WARN, "target_shared", t->from, NULL,
                "several partitions go to %s - a TRUNCATE of one of them can't be carried and stops it",
                t->to);
        } else {
            pairing_add(self->out, PAIR_FAIL, "target_shared", t->from, NULL,
                        "goes to %s, where %s goes already - give one of them another \"to\"", t->to,
                        first->from);
            table_free(t);
            continue;
        }
        table_set_add(&kept, t);
    }
    map_free(&by_sink);
    free(set->tables);
    *set = kept;
}

/* A group's table that is misspelt would be cut over with another group. */
static void check_groups(struct pairer *self)
{
    const struct config *config = self->sides.config;
    for (int g = 0; g < config->group_count; g++) {
        for (int i = 0; i < config->groups[g].table_count; i++) {
            const char *written = config->groups[g].tables[i];
            bool found = false;
            for (uint32_t t = 0; t < self->sides.source->count && !found; t++)
                found = pair_name_means(written, self->sides.source->relations[t].schema,
                                        self->sides.source->relations[t].name);
            if (!found)
                pairing_add(self->out, PAIR_FAIL, "group_table_missing", written, NULL,
                            "group %s of the config names a table that the legacy database does not have",
                            config->groups[g].name);
        }
    }
}

static bool run(struct pairer *self, struct error *err)
{
    const struct config *config = self->sides.config;
    bool good = true;
    self->taken = mem_alloc(sizeof(*self->taken) * (size_t)(self->sides.source->count + 1));
    if (config->all_tables)
        add_all(self);
    for (int i = 0; good && !config->all_tables && i < config->table_count; i++)
        good = add_entry(self, &config->tables[i], err);
    free(self->taken);
    if (!good) {
        pairing_free(self->out);
        return false;
    }
    check_shared(self);
    check_groups(self);
    self->out->lanes =
        pair_order(self->back.config ? &self->back : &self->sides, &self->out->tables, config->stream_lanes);
    return true;
}

bool pair_tables(const struct config *config, const struct pg_catalog *source, int source_version,
                 const struct pg_catalog *sink, struct pairing *out, struct error *err)
{
    *out = (struct pairing){.binary = source_version >= BINARY_STREAM};
    struct pairer self = {.sides = {config, source, sink, source_version}, .out = out};
    return run(&self, err);
}

bool pair_tables_back(const struct config *config, const struct pg_catalog *legacy, int legacy_version,
                      const struct pg_catalog *target, int target_version, struct pairing *out,
                      struct error *err)
{
    *out = (struct pairing){.binary = target_version >= BINARY_STREAM};
    struct pairer self = {.sides = {config, legacy, target, legacy_version},
                          .back = {config, target, legacy, target_version},
                          .out = out};
    return run(&self, err);
}

void pairing_free(struct pairing *self)
{
    for (uint32_t i = 0; i < self->finding_count; i++) {
        free(self->findings[i].object);
        free(self->findings[i].text);
        free(self->findings[i].sql);
    }
    free(self->findings);
    table_set_free(&self->tables);
    table_set_free(&self->unfit);
    *self = (struct pairing){0};
}
