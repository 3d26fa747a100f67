/* SPDX-License-Identifier: PostgreSQL
 *
 * Pairs twice. First every column is text, which goes into any type: that tells which sink column each one
 * meets. Then each gets the carrier equal to that column's type, if it is offered, else its default one, and
 * what comes out counts.
 *
 * Change data capture logs the whole old row, so a table's identity is FULL and its key any unique index;
 * that a key's equality is its collation's does not matter, because what comes are the bytes of the stored
 * row.
 */
#include "legacy/mssql_bridge.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "legacy/mssql_policy.h"

enum { VERSION = 150000, PAGE_BYTES = 8192 };

/* The carriers chosen so far: by table, then column of the SQL Server catalog; 0: the default. */
struct bridge {
    const struct config *config; /* NULL: no zone is stated */
    const struct ms_catalog *source;
    const struct pg_catalog *types;
    const uint32_t *const *chosen; /* NULL: none */
    bool all_text;
    bool back; /* it will be written to */
    int target_version;
};

static const char *const displays[][2] = {
    {"bool", "boolean"},        {"int2", "smallint"},
    {"int4", "integer"},        {"int8", "bigint"},
    {"float4", "real"},         {"float8", "double precision"},
    {"bpchar", "character"},    {"varchar", "character varying"},
    {"timestamp", "timestamp"}, {"timestamptz", "timestamp"},
    {"time", "time"},
};

/* As format_type() writes it. */
static char *display(const char *name, int32_t modifier)
{
    struct buffer out = {0};
    const char *shown = name;
    for (size_t i = 0; i < sizeof(displays) / sizeof(displays[0]); i++) {
        if (strcmp(displays[i][0], name) == 0)
            shown = displays[i][1];
    }
    buffer_puts(&out, shown);
    if (modifier >= 0 && strcmp(name, "numeric") == 0)
        buffer_printf(&out, "(%d,%d)", (modifier - 4) >> 16 & 0xffff, (modifier - 4) & 0x7ff);
    else if (modifier >= 0)
        buffer_printf(&out, "(%d)", strncmp(name, "time", 4) == 0 ? modifier : modifier - 4);
    if (strcmp(name, "timestamptz") == 0)
        buffer_puts(&out, " with time zone");
    else if (strncmp(name, "time", 4) == 0)
        buffer_puts(&out, " without time zone");
    return buffer_detach(&out);
}

static void put_type(const struct bridge *b, uint32_t oid, int32_t modifier, const char *unknown,
                     struct type *out)
{
    const struct pg_type_info *t = oid ? pg_catalog_type(b->types, oid) : NULL;
    *out = (struct type){.oid = t ? oid : 0,
                         .modifier = modifier,
                         .name = mem_strdup(t ? t->quoted : unknown),
                         .display = t ? display(t->name, modifier) : mem_strdup(unknown),
                         .kind = t ? t->kind : 'b',
                         .category = t ? t->category : 'X',
                         .base_oid = t ? oid : 0};
}

/* Can its values be told as moments? */
static bool has_zone(const struct bridge *b, uint32_t table, const struct ms_catalog_column *c)
{
    return !mssql_policy_needs_zone(c->type.type) ||
           (b->config && mssql_policy_of(b->config, &b->source->tables[table], c->name)->time_zone);
}

static void column_type(const struct bridge *b, uint32_t table, uint16_t column, struct type *out)
{
    const struct ms_catalog_column *c = &b->source->tables[table].columns[column];
    if (!c->type.type || c->encrypted) {
        put_type(b, 0, -1, c->type_name, out);
        return;
    }
    uint32_t wanted = b->chosen ? b->chosen[table][column] : 0;
    const struct ms_carrier *carrier = wanted ? ms_type_offers(c->type.type, wanted) : NULL;
    if (!carrier || (wanted == MS_OID_TIMESTAMPTZ && !has_zone(b, table, c)))
        carrier = ms_type_carrier(c->type.type);
    if (b->all_text)
        put_type(b, MS_OID_TEXT, -1, c->type_name, out);
    else
        put_type(b, carrier->oid, ms_type_modifier(&c->type, carrier), c->type_name, out);
}

/* Values that the server alone makes. */
static bool made_there(const struct ms_catalog_column *c)
{
    return c->generated_always || (c->type.type && c->type.type->id == MS_ROWVERSION);
}

static void put_columns(const struct bridge *b, uint32_t table, struct pg_relation *rel)
{
    const struct ms_catalog_table *t = &b->source->tables[table];
    rel->columns = mem_alloc(((size_t)t->column_count + 1) * sizeof(*rel->columns));
    for (uint16_t i = 0; i < t->column_count; i++) {
        const struct ms_catalog_column *c = &t->columns[i];
        struct pg_column *to = &rel->columns[rel->column_count++];
        *to = (struct pg_column){.name = mem_strdup(c->name),
                                 .not_null = !c->nullable,
                                 .deterministic = true,
                                 .identity = c->identity ? 'd' : '\0',
                                 /* computed from other columns: change tables bring NULL */
                                 .generated =
                                     c->computed || c->column_set || (b->back && made_there(c)) ? 's' : '\0',
                                 .has_default = c->default_text != NULL,
                                 .number = (int16_t)(i + 1)};
        column_type(b, table, i, &to->type);
    }
}

static void put_indexes(const struct ms_catalog_table *t, struct pg_relation *rel)
{
    rel->indexes = mem_alloc(((size_t)t->index_count + 1) * sizeof(*rel->indexes));
    for (uint16_t i = 0; i < t->index_count; i++) {
        const struct ms_index *x = &t->indexes[i];
        bool plain =
            x->kind == MS_INDEX_CLUSTERED || x->kind == MS_INDEX_NONCLUSTERED || x->kind == MS_INDEX_HASH;
        if (!plain || !x->name)
            continue;
        struct pg_index *to = &rel->indexes[rel->index_count++];
        *to = (struct pg_index){.schema = mem_strdup(t->schema),
                                .name = mem_strdup(x->name),
                                .unique = x->unique,
                                .primary = x->primary,
                                .partial = x->filter != NULL,
                                .valid = !x->disabled};
        to->columns = mem_alloc(((size_t)x->key_count + 1) * sizeof(*to->columns));
        for (uint16_t k = 0; k < x->column_count; k++) {
            if (!x->columns[k].included)
                to->columns[to->column_count++] = x->columns[k].column;
        }
    }
}

static void put_relation(const struct bridge *b, uint32_t table, struct pg_relation *rel)
{
    const struct ms_catalog_table *t = &b->source->tables[table];
    *rel = (struct pg_relation){.oid = (uint32_t)t->object_id,
                                .schema = mem_strdup(t->schema),
                                .name = mem_strdup(t->name),
                                .kind = 'r',
                                .persistence = 'p',
                                .identity = 'f',
                                .rows = t->rows,
                                .bytes = t->pages < 0 ? -1 : t->pages * PAGE_BYTES,
                                .trigger_count = t->trigger_count,
                                .check_count = t->check_count,
                                .schema_usage = true,
                                .can_select = t->can_select,
                                .can_insert = t->can_insert,
                                .can_update = t->can_update,
                                .can_delete = t->can_delete};
    put_columns(b, table, rel);
    put_indexes(t, rel);
}

static int by_name(const void *a, const void *b)
{
    const struct pg_relation *x = a, *y = b;
    int order = strcmp(x->schema, y->schema);
    return order ? order : strcmp(x->name, y->name);
}

static bool carries(uint32_t oid)
{
    for (int id = 0; id < MS_TYPE_COUNT; id++) {
        if (ms_type_offers(ms_type_at((enum ms_type_id)id), oid))
            return true;
    }
    return oid == MS_OID_TEXT;
}

static void put_types(const struct pg_catalog *from, struct pg_catalog *out)
{
    out->types = mem_alloc(((size_t)from->type_count + 1) * sizeof(*out->types));
    for (uint32_t i = 0; i < from->type_count; i++) {
        const struct pg_type_info *t = &from->types[i];
        if (!carries(t->oid))
            continue;
        struct pg_type_info *to = &out->types[out->type_count++];
        *to = *t;
        to->schema = mem_strdup(t->schema);
        to->name = mem_strdup(t->name);
        to->quoted = mem_strdup(t->quoted);
        to->labels = NULL;
        to->label_count = 0;
    }
}

static void build(const struct bridge *b, struct pg_catalog *out)
{
    const struct ms_catalog *s = b->source;
    *out = (struct pg_catalog){.count = s->count, .foreign_key_count = s->foreign_key_count};
    out->relations = mem_alloc(((size_t)s->count + 1) * sizeof(*out->relations));
    for (uint32_t i = 0; i < s->count; i++)
        put_relation(b, i, &out->relations[i]);
    qsort(out->relations, s->count, sizeof(*out->relations), by_name);
    out->foreign_keys = mem_alloc(((size_t)s->foreign_key_count + 1) * sizeof(*out->foreign_keys));
    for (uint32_t i = 0; i < s->foreign_key_count; i++)
        out->foreign_keys[i] = (struct pg_foreign_key){.name = mem_strdup(s->foreign_keys[i].name),
                                                       .child = (uint32_t)s->foreign_keys[i].child,
                                                       .parent = (uint32_t)s->foreign_keys[i].parent};
    put_types(b->types, out);
}

void mssql_bridge_catalog(const struct ms_catalog *source, const struct pg_catalog *types,
                          struct pg_catalog *out)
{
    struct bridge b = {.source = source, .types = types};
    build(&b, out);
}

static bool pair(const struct config *config, const struct bridge *b, const struct pg_catalog *sink,
                 struct pairing *out, struct error *err)
{
    struct pg_catalog as_pg;
    build(b, &as_pg);
    bool ok = b->back ? pair_tables_back(config, &as_pg, VERSION, sink, b->target_version, out, err)
                      : pair_tables(config, &as_pg, VERSION, sink, out, err);
    pg_catalog_free(&as_pg);
    return ok;
}

/* The type of the target's column that each one meets, by the first pairing. */
static void choose(const struct bridge *b, const struct table_set *tables, uint32_t **chosen)
{
    const struct ms_catalog *source = b->source;
    for (uint32_t i = 0; i < tables->count; i++) {
        const struct table *t = tables->tables[i];
        const struct ms_catalog_table *from =
            ms_catalog_by_id(source, (int32_t)(b->back ? t->sink_oid : t->source_oid));
        for (uint16_t c = 0; from && c < t->column_count; c++) {
            const struct column *column = &t->columns[c];
            int at = ms_catalog_column_at(from, b->back ? column->sink : column->source);
            int32_t ignored;
            const struct pg_type_info *type = pg_catalog_base_type(
                b->types, b->back ? column->source_type.oid : column->sink_type.oid, &ignored);
            if (at >= 0 && type)
                chosen[from - source->tables][at] = type->oid;
        }
    }
}

static bool is_characters(uint32_t oid)
{
    return oid == MS_OID_TEXT || oid == MS_OID_VARCHAR || oid == MS_OID_BPCHAR || oid == MS_OID_JSON ||
           oid == MS_OID_XML;
}

/* Values come in their carrier's binary format, never as text: where pairing would have text sent, the
 * carrier is sent and cast. */
static void fix_wires(const struct table_set *tables)
{
    for (uint32_t i = 0; i < tables->count; i++) {
        struct table *t = tables->tables[i];
        for (uint16_t c = 0; c < t->column_count; c++) {
            struct column *column = &t->columns[c];
            if (column->wire_oid == MS_OID_TEXT && !is_characters(column->source_type.oid)) {
                column->wire_oid = column->source_type.oid;
                column->wire_cast = true;
            }
        }
    }
}

/* What is lost is the seventh fractional digit, and the column has none. */
static bool only_digits(const struct ms_column_type *type, const struct ms_carrier *carrier)
{
    bool naive = carrier->oid == MS_OID_TIMESTAMP || carrier->oid == MS_OID_TIME;
    bool zoned = carrier->oid == MS_OID_TIMESTAMPTZ && type->type->id == MS_DATETIMEOFFSET;
    return type->scale <= 6 && (type->type->id == MS_DATETIME2 || type->type->id == MS_TIME || zoned) &&
           (naive || zoned);
}

static void say_column(const struct ms_catalog_table *t, const struct ms_catalog_column *c,
                       const struct column *carried, struct pairing *out)
{
    struct buffer object = {0};
    buffer_printf(&object, "%s.%s.%s", t->schema, t->name, c->name);
    const struct ms_carrier *carrier =
        c->type.type ? ms_type_offers(c->type.type, carried->source_type.oid) : NULL;
    if (carrier && carrier->fit == MS_LOSSY && !only_digits(&c->type, carrier))
        pairing_add(out, PAIR_WARN, "value_changes", buffer_text(&object), NULL, "%s read as %s - %s",
                    c->type_name, carried->source_type.display, carrier->note);
    buffer_free(&object);
}

static void say_columns(const struct ms_catalog *source, struct pairing *out)
{
    for (uint32_t i = 0; i < out->tables.count; i++) {
        const struct table *t = out->tables.tables[i];
        const struct ms_catalog_table *from = ms_catalog_by_id(source, (int32_t)t->source_oid);
        for (uint16_t c = 0; from && c < t->column_count; c++) {
            const struct ms_catalog_column *column = ms_catalog_column(from, t->columns[c].source);
            if (column)
                say_column(from, column, &t->columns[c], out);
        }
    }
}

/* b->types is the target's catalog. */
static bool pair_twice(const struct config *config, struct bridge *b, struct pairing *out, struct error *err)
{
    const struct ms_catalog *source = b->source;
    uint32_t **chosen = mem_alloc(((size_t)source->count + 1) * sizeof(*chosen));
    for (uint32_t i = 0; i < source->count; i++)
        chosen[i] = mem_alloc(((size_t)source->tables[i].column_count + 1) * sizeof(**chosen));
    struct pairing first;
    b->all_text = true;
    bool ok = pair(config, b, b->types, &first, err);
    if (ok) {
        choose(b, &first.tables, chosen);
        choose(b, &first.unfit, chosen);
        pairing_free(&first);
        b->config = config;
        b->chosen = (const uint32_t *const *)chosen;
        b->all_text = false;
        ok = pair(config, b, b->types, out, err);
        b->chosen = NULL;
    }
    for (uint32_t i = 0; i < source->count; i++)
        free(chosen[i]);
    free(chosen);
    return ok;
}

bool mssql_bridge_pair(const struct config *config, const struct ms_catalog *source,
                       const struct pg_catalog *sink, struct pairing *out, struct error *err)
{
    struct bridge b = {.source = source, .types = sink};
    if (!pair_twice(config, &b, out, err))
        return false;
    fix_wires(&out->tables);
    fix_wires(&out->unfit);
    mssql_policy_put(config, source, out);
    say_columns(source, out);
    return true;
}

bool mssql_bridge_pair_back(const struct config *config, const struct ms_catalog *legacy,
                            const struct pg_catalog *target, int target_version, struct pairing *out,
                            struct error *err)
{
    struct bridge b = {.source = legacy, .types = target, .back = true, .target_version = target_version};
    if (!pair_twice(config, &b, out, err))
        return false;
    out->binary = target_version >= 140000; /* the sink reads any type's binary format or refuses the table */
    return true;
}
