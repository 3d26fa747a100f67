/* SPDX-License-Identifier: PostgreSQL
 *
 * Pairing on catalogs made by hand: which tables, which columns, which key, which lane, and what is said
 * about what does not fit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pgsql/pair.h"
#include "pgsql/pair_names.h"
#include "pgsql/pair_type.h"

/* -------------------------------------------------------------------------------- catalogs by hand */

enum { MOOD = 20000, MOOD_ARRAY, SHORT, EMAIL, POINTY, CITEXT };

static const struct {
    uint32_t oid;
    const char *name;
    char kind, category;
    uint32_t base, element;
} types[] = {
    {16, "bool", 'b', 'B', 0, 0},
    {17, "bytea", 'b', 'U', 0, 0},
    {20, "int8", 'b', 'N', 0, 0},
    {21, "int2", 'b', 'N', 0, 0},
    {23, "int4", 'b', 'N', 0, 0},
    {25, "text", 'b', 'S', 0, 0},
    {114, "json", 'b', 'U', 0, 0},
    {701, "float8", 'b', 'N', 0, 0},
    {1007, "_int4", 'b', 'A', 0, 23},
    {1042, "bpchar", 'b', 'S', 0, 0},
    {1043, "varchar", 'b', 'S', 0, 0},
    {1082, "date", 'b', 'D', 0, 0},
    {1114, "timestamp", 'b', 'D', 0, 0},
    {1700, "numeric", 'b', 'N', 0, 0},
    {2205, "regclass", 'b', 'N', 0, 0},
    {2950, "uuid", 'b', 'U', 0, 0},
    {3802, "jsonb", 'b', 'U', 0, 0},
    {MOOD, "mood", 'e', 'E', 0, 0},
    {MOOD_ARRAY, "_mood", 'b', 'A', 0, MOOD},
    {SHORT, "short", 'd', 'S', 1043, 0},
    {EMAIL, "email", 'd', 'S', 25, 0},
    {POINTY, "pointy", 'c', 'C', 0, 0},
    {CITEXT, "citext", 'b', 'S', 0, 0},
};
enum { TYPES = sizeof(types) / sizeof(types[0]) };

static void make_types(struct pg_catalog *c, const char *schema)
{
    c->types = mem_alloc(sizeof(*c->types) * TYPES);
    c->type_count = TYPES;
    for (size_t i = 0; i < TYPES; i++) {
        const char *own = types[i].oid < MOOD ? "pg_catalog" : schema;
        char quoted[80];
        snprintf(quoted, sizeof(quoted), "%s.%s", own, types[i].name);
        c->types[i] = (struct pg_type_info){.oid = types[i].oid,
                                            .schema = mem_strdup(own),
                                            .name = mem_strdup(types[i].name),
                                            .quoted = mem_strdup(quoted),
                                            .kind = types[i].kind,
                                            .category = types[i].category,
                                            .base_oid = types[i].base,
                                            .base_modifier = types[i].oid == SHORT ? 4 + 8 : -1,
                                            .element_oid = types[i].element,
                                            .has_binary = true};
    }
}

static void add_label(struct pg_catalog *c, const char *label)
{
    struct pg_type_info *t = &c->types[pg_catalog_type(c, MOOD) - c->types];
    t->labels = mem_grow(t->labels, t->label_count + 1, sizeof(*t->labels));
    t->labels[t->label_count++] = mem_strdup(label);
}

static struct pg_relation *add_table(struct pg_catalog *c, const char *schema, const char *name)
{
    c->relations = mem_grow(c->relations, c->count + 1, sizeof(*c->relations));
    struct pg_relation *rel = &c->relations[c->count++];
    *rel = (struct pg_relation){.oid = 30000 + c->count,
                                .schema = mem_strdup(schema),
                                .name = mem_strdup(name),
                                .kind = 'r',
                                .persistence = 'p',
                                .identity = 'd'};
    return rel;
}

static struct pg_column *add_column(struct pg_catalog *c, struct pg_relation *rel, const char *name,
                                    uint32_t oid, int32_t modifier)
{
    const struct pg_type_info *t = pg_catalog_type(c, oid);
    int32_t ignored = -1;
    rel->columns = mem_grow(rel->columns, rel->column_count + 1u, sizeof(*rel->columns));
    struct pg_column *column = &rel->columns[rel->column_count++];
    *column = (struct pg_column){.name = mem_strdup(name),
                                 .type = {.oid = oid,
                                          .modifier = modifier,
                                          .name = mem_strdup(t->quoted),
                                          .display = mem_strdup(t->name),
                                          .kind = t->kind,
                                          .category = t->category,
                                          .base_oid = pg_catalog_base_type(c, oid, &ignored)->oid,
                                          .element_oid = t->element_oid},
                                 .deterministic = true,
                                 .number = (int16_t)rel->column_count};
    return column;
}

static struct pg_index *add_index(struct pg_relation *rel, bool primary, int count, ...)
{
    va_list ap;
    rel->indexes = mem_grow(rel->indexes, rel->index_count + 1u, sizeof(*rel->indexes));
    struct pg_index *x = &rel->indexes[rel->index_count++];
    *x = (struct pg_index){.schema = mem_strdup("public"),
                           .name = mem_strdup("x"),
                           .unique = true,
                           .primary = primary,
                           .valid = true,
                           .columns = mem_alloc(sizeof(uint16_t) * (size_t)count),
                           .column_count = (uint16_t)count};
    va_start(ap, count);
    for (int i = 0; i < count; i++) {
        x->columns[i] = (uint16_t)va_arg(ap, int);
        if (primary)
            rel->columns[x->columns[i]].not_null = true;
    }
    va_end(ap);
    return x;
}

/* id of that type, primary key, and v of that type. */
static struct pg_relation *simple(struct pg_catalog *c, const char *name, uint32_t id, uint32_t v,
                                  int32_t modifier)
{
    struct pg_relation *rel = add_table(c, "public", name);
    add_column(c, rel, "id", id, -1);
    add_column(c, rel, "v", v, modifier);
    add_index(rel, true, 1, 0);
    return rel;
}

struct both {
    struct config config;
    struct pg_catalog source, sink;
    struct pairing out;
    int version;
};

static int setup(void **state)
{
    struct both *b = mem_alloc(sizeof(*b));
    static char path[] = "test.json";
    b->config = (struct config){.path = path, .all_tables = true, .stream_lanes = 4};
    b->version = 150000;
    make_types(&b->source, "public");
    make_types(&b->sink, "public");
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct both *b = *state;
    pairing_free(&b->out);
    pg_catalog_free(&b->source);
    pg_catalog_free(&b->sink);
    free(b);
    return 0;
}

static void run(struct both *b)
{
    struct error err = {0};
    pairing_free(&b->out);
    assert_true(pair_tables(&b->config, &b->source, b->version, &b->sink, &b->out, &err));
}

static const struct pair_finding *finding(const struct both *b, const char *code, const char *object)
{
    for (uint32_t i = 0; i < b->out.finding_count; i++) {
        const struct pair_finding *f = &b->out.findings[i];
        if (strcmp(f->code, code) == 0 && (!object || strcmp(f->object, object) == 0))
            return f;
    }
    return NULL;
}

static void says(const struct both *b, enum pair_level level, const char *code, const char *object)
{
    const struct pair_finding *f = finding(b, code, object);
    if (!f)
        fail_msg("no finding %s about %s", code, object);
    assert_int_equal(f->level, level);
}

static struct table *only(const struct both *b)
{
    assert_int_equal(b->out.tables.count, 1);
    return b->out.tables.tables[0];
}

/* -------------------------------------------------------------------------------- tables and columns */

static void a_table_like_its_twin_is_carried_in_binary_by_its_primary_key(void **state)
{
    struct both *b = *state;
    simple(&b->source, "t", 20, 25, -1);
    simple(&b->sink, "t", 20, 25, -1);
    run(b);
    struct table *t = only(b);
    assert_string_equal(t->from, "public.t");
    assert_int_equal(t->column_count, 2);
    assert_int_equal(t->key_count, 1);
    assert_true(t->key_hashable && t->sink_key_arbiter && t->copy_binary && !t->insert_only && b->out.binary);
    assert_int_equal(t->columns[0].wire_oid, 20);
    assert_false(t->columns[0].wire_cast || t->sink_extra_columns);
    assert_string_equal(t->group, "default");
}

static void a_missing_table_and_a_missing_column_are_named_with_their_ddl(void **state)
{
    struct both *b = *state;
    simple(&b->source, "gone", 23, 25, -1);
    simple(&b->source, "t", 23, 25, -1);
    struct pg_relation *to = add_table(&b->sink, "public", "t");
    add_column(&b->sink, to, "id", 23, -1);
    add_index(to, true, 1, 0);
    run(b);
    assert_int_equal(b->out.tables.count, 0);
    says(b, PAIR_FAIL, "table_missing", "public.gone");
    says(b, PAIR_FAIL, "column_missing", "public.t.v");
    assert_string_equal(finding(b, "column_missing", NULL)->sql,
                        "ALTER TABLE \"public\".\"t\" ADD COLUMN \"v\" text;");
    assert_non_null(strstr(finding(b, "table_missing", NULL)->sql, "PRIMARY KEY (\"id\")"));
}

/* Even where its types are not on the target: one finding is enough, and what may be parked is carried whole.
 */
static void a_missing_table_is_said_once_and_kept_for_parking(void **state)
{
    struct both *b = *state;
    simple(&b->source, "Gone", 23, MOOD, -1);
    b->sink.type_count -= 6;
    b->config.names = NAMES_SNAKE_CASE;
    run(b);
    b->sink.type_count += 6;
    assert_int_equal(b->out.finding_count, 1);
    says(b, PAIR_FAIL, "table_missing", "public.Gone");
    assert_int_equal(b->out.unfit.count, 1);
    assert_int_equal(b->out.unfit.tables[0]->column_count, 2);
    assert_int_equal(b->out.unfit.tables[0]->key_count, 1);
}

static void a_target_column_that_would_refuse_every_insert_fails(void **state)
{
    struct both *b = *state;
    simple(&b->source, "t", 23, 25, -1);
    add_column(&b->sink, simple(&b->sink, "t", 23, 25, -1), "must", 23, -1)->not_null = true;
    run(b);
    says(b, PAIR_FAIL, "column_extra", "public.t.must");
    b->sink.relations[0].columns[2].has_default = true;
    run(b);
    says(b, PAIR_OK, "column_extra", "public.t.must");
    assert_true(only(b)->sink_extra_columns);
}

static void generated_columns_of_either_side_are_left_out_and_said(void **state)
{
    struct both *b = *state;
    struct pg_relation *from = simple(&b->source, "t", 23, 25, -1);
    struct pg_column *g = add_column(&b->source, from, "g", 23, -1);
    g->generated = 's';
    g->has_default = true;
    g->expression = mem_strdup("id * 2");
    simple(&b->sink, "t", 23, 25, -1);
    b->sink.relations[0].columns[1].generated = 's';
    run(b);
    struct table *t = only(b);
    assert_int_equal(t->column_count, 1);
    assert_int_equal(t->ignored_count, 2);
    says(b, PAIR_WARN, "generated_not_carried", "public.t.g");
    says(b, PAIR_WARN, "sink_generated", "public.t.v");
    assert_non_null(
        strstr(finding(b, "generated_not_carried", NULL)->sql, "GENERATED ALWAYS AS (id * 2) STORED"));
}

static void names_and_schemas_follow_the_config(void **state)
{
    struct both *b = *state;
    static char dbo[] = "dbo", school[] = "school";
    struct config_schema schema = {dbo, school};
    b->config.names = NAMES_SNAKE_CASE;
    b->config.schemas = &schema;
    b->config.schema_count = 1;
    struct pg_relation *from = add_table(&b->source, "dbo", "StudentGrade");
    add_column(&b->source, from, "StudentID", 23, -1);
    add_index(from, true, 1, 0);
    struct pg_relation *to = add_table(&b->sink, "school", "student_grade");
    add_column(&b->sink, to, "student_id", 23, -1);
    add_index(to, true, 1, 0);
    run(b);
    assert_string_equal(only(b)->to, "school.student_grade");
    assert_string_equal(only(b)->columns[0].sink, "student_id");
}

static void snake_case_of(const char *name, const char *expected)
{
    const struct config config = {.names = NAMES_SNAKE_CASE};
    char *got = pair_name(&config, name);
    assert_string_equal(got, expected);
    free(got);
}

static void snake_case_keeps_words_together(void **state)
{
    (void)state;
    snake_case_of("StudentID", "student_id");
    snake_case_of("HTTPServer2Name", "http_server2_name");
    snake_case_of("already_snake", "already_snake");
    snake_case_of("Grade Level", "grade_level");
    snake_case_of("ABC", "abc");
    snake_case_of("Größe", "größe");
}

static void a_written_name_may_hold_dots_and_quotes(void **state)
{
    (void)state;
    assert_true(pair_name_means("public.t", "public", "t"));
    assert_true(pair_name_means("t", "public", "t"));
    assert_true(pair_name_means("a.b.c", "a", "b.c"));
    assert_true(pair_name_means("a.b.c", "a.b", "c"));
    assert_true(pair_name_means("\"My.Schema\".\"t.\"\"q\"", "My.Schema", "t.\"q"));
    assert_false(pair_name_means("other.t", "public", "t"));
    assert_false(pair_name_means("T", "public", "t"));
}

/* -------------------------------------------------------------------------------- which tables */

static char from_a[] = "public.a", from_t[] = "t", to_b[] = "b";

static void a_listed_table_that_is_not_there_or_twice_is_said(void **state)
{
    struct both *b = *state;
    struct config_table list[] = {
        {.from = from_a, .line = 3}, {.from = from_t, .line = 4}, {.from = from_t, .line = 5}};
    b->config.all_tables = false;
    b->config.tables = list;
    b->config.table_count = 3;
    simple(&b->source, "t", 23, 25, -1);
    simple(&b->sink, "t", 23, 25, -1);
    run(b);
    says(b, PAIR_FAIL, "source_table_missing", "public.a");
    says(b, PAIR_FAIL, "table_twice", "t");
    assert_int_equal(b->out.tables.count, 1);
}

static void a_name_that_two_schemas_have_is_a_config_error(void **state)
{
    struct both *b = *state;
    struct config_table list[] = {{.from = from_t, .line = 4}};
    struct error err = {0};
    b->config.all_tables = false;
    b->config.tables = list;
    b->config.table_count = 1;
    simple(&b->source, "t", 23, 25, -1);
    add_table(&b->source, "other", "t");
    assert_false(pair_tables(&b->config, &b->source, b->version, &b->sink, &b->out, &err));
    assert_int_equal(err.kind, ERROR_CONFIG);
    assert_non_null(strstr(err.text, "test.json:4"));
}

static void two_tables_into_one_are_refused(void **state)
{
    struct both *b = *state;
    struct config_table list[] = {{.from = from_a, .to = to_b, .line = 3}, {.from = to_b, .line = 4}};
    b->config.all_tables = false;
    b->config.tables = list;
    b->config.table_count = 2;
    simple(&b->source, "a", 23, 25, -1);
    simple(&b->source, "b", 23, 25, -1);
    simple(&b->sink, "b", 23, 25, -1);
    run(b);
    says(b, PAIR_FAIL, "target_shared", "public.b");
    assert_string_equal(only(b)->from, "public.a");
}

static void partitions_go_through_their_root_or_one_by_one_before_13(void **state)
{
    struct both *b = *state;
    struct pg_relation *root = simple(&b->source, "p", 23, 25, -1);
    root->kind = 'p';
    uint32_t oid = root->oid;
    for (int i = 0; i < 2; i++) {
        struct pg_relation *leaf = simple(&b->source, i ? "p2" : "p1", 23, 25, -1);
        leaf->is_partition = true;
        leaf->parent = oid;
    }
    simple(&b->sink, "p", 23, 25, -1)->kind = 'p';
    run(b);
    assert_string_equal(only(b)->from, "public.p");
    assert_true(only(b)->source_partitioned && only(b)->sink_partitioned && !only(b)->sink_shared);
    b->version = 120000;
    run(b);
    assert_int_equal(b->out.tables.count, 2);
    for (int i = 0; i < 2; i++) {
        assert_string_equal(b->out.tables.tables[i]->to, "public.p");
        assert_true(b->out.tables.tables[i]->sink_shared);
        assert_int_equal(b->out.tables.tables[i]->lane, b->out.tables.tables[0]->lane);
    }
    assert_false(b->out.binary);
}

static void an_extensions_table_is_carried_only_if_named(void **state)
{
    struct both *b = *state;
    struct config_table list[] = {{.from = from_t, .line = 4}};
    simple(&b->source, "t", 23, 25, -1)->of_extension = true;
    simple(&b->sink, "t", 23, 25, -1);
    run(b);
    says(b, PAIR_OK, "extension_table", "public.t");
    assert_int_equal(b->out.tables.count, 0);
    b->config.all_tables = false;
    b->config.tables = list;
    b->config.table_count = 1;
    run(b);
    assert_int_equal(b->out.tables.count, 1);
}

static void groups_are_found_by_name_and_a_misspelt_table_is_said(void **state)
{
    struct both *b = *state;
    static char name[] = "staff", missing[] = "tt";
    char *tables[] = {from_t, missing};
    struct config_group group = {.name = name, .tables = tables, .table_count = 2};
    b->config.groups = &group;
    b->config.group_count = 1;
    simple(&b->source, "t", 23, 25, -1);
    simple(&b->sink, "t", 23, 25, -1);
    run(b);
    assert_string_equal(only(b)->group, "staff");
    says(b, PAIR_FAIL, "group_table_missing", "tt");
}

static void an_unlogged_table_is_not_carried(void **state)
{
    struct both *b = *state;
    simple(&b->source, "t", 23, 25, -1)->persistence = 'u';
    simple(&b->sink, "t", 23, 25, -1);
    run(b);
    says(b, PAIR_WARN, "unlogged", "public.t");
    assert_int_equal(b->out.tables.count, 0);
}

/* -------------------------------------------------------------------------------- types */

static struct type plain(const struct pg_catalog *c, uint32_t oid, int32_t modifier)
{
    const struct pg_type_info *t = pg_catalog_type(c, oid);
    return (struct type){.oid = oid, .modifier = modifier, .kind = t->kind, .element_oid = t->element_oid};
}

static void type_pairs_are_judged_one_by_one(void **state)
{
    struct both *b = *state;
    enum { NUM_10_2 = 4 + (10 << 16 | 2), NUM_12_2 = 4 + (12 << 16 | 2), NUM_12_4 = 4 + (12 << 16 | 4) };
    static const struct {
        uint32_t from, to;
        int32_t from_mod, to_mod;
        enum pair_fit fit;
        bool same_binary, stream_binary;
        const char *code;
    } cases[] = {
        {23, 23, -1, -1, PAIR_FIT, true, true, NULL},
        {21, 23, -1, -1, PAIR_FIT, false, true, NULL},
        {23, 1700, -1, -1, PAIR_FIT, false, true, NULL},
        {20, 23, -1, -1, PAIR_RISKY, false, true, "range_narrower"},
        {23, 1700, -1, NUM_10_2, PAIR_RISKY, false, true, "precision_narrower"},
        {1043, 25, 14, -1, PAIR_FIT, true, true, NULL},
        {1043, 1043, 14, 24, PAIR_FIT, true, true, NULL},
        {1043, 1043, 24, 14, PAIR_RISKY, true, true, "length_narrower"},
        {25, 1043, -1, 14, PAIR_RISKY, true, true, "length_narrower"},
        {25, SHORT, -1, -1, PAIR_RISKY, true, true, "length_narrower"},
        {EMAIL, EMAIL, -1, -1, PAIR_FIT, true, true, NULL},
        {25, EMAIL, -1, -1, PAIR_RISKY, true, true, "domain"},
        {1700, 1700, NUM_10_2, NUM_12_4, PAIR_FIT, true, true, NULL},
        {1700, 1700, NUM_12_2, NUM_10_2, PAIR_RISKY, true, true, "precision_narrower"},
        {1700, 1700, NUM_12_4, NUM_12_2, PAIR_RISKY, true, true, "precision_narrower"},
        {1700, 1700, -1, NUM_12_2, PAIR_RISKY, true, true, "precision_narrower"},
        {701, 1700, -1, -1, PAIR_RISKY, false, false, "type_differs"},
        {114, 3802, -1, -1, PAIR_RISKY, false, false, "type_differs"},
        {25, 2950, -1, -1, PAIR_RISKY, false, false, "type_differs"},
        {2950, 25, -1, -1, PAIR_FIT, false, false, NULL},
        {1114, 1082, -1, -1, PAIR_UNFIT, false, false, "type_mismatch"},
        {1114, 1114, -1, 3, PAIR_RISKY, true, true, "precision_narrower"},
        {16, 23, -1, -1, PAIR_UNFIT, false, false, "type_mismatch"},
        {2205, 2205, -1, -1, PAIR_FIT, false, false, NULL},
        {POINTY, POINTY, -1, -1, PAIR_FIT, false, false, NULL},
        {MOOD, MOOD, -1, -1, PAIR_FIT, true, true, NULL},
        {MOOD, 25, -1, -1, PAIR_FIT, true, true, NULL},
        {MOOD_ARRAY, MOOD_ARRAY, -1, -1, PAIR_FIT, false, false, NULL},
        {1007, 1007, -1, -1, PAIR_FIT, true, true, NULL},
        {1007, 23, -1, -1, PAIR_UNFIT, false, false, "type_mismatch"},
        {25, CITEXT, -1, -1, PAIR_RISKY, true, true, "type_differs"},
    };
    const struct pair_sides sides = {&b->config, &b->source, &b->sink, 150000};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct type from = plain(&b->source, cases[i].from, cases[i].from_mod);
        struct type to = plain(&b->sink, cases[i].to, cases[i].to_mod);
        struct pair_type out;
        pair_type_judge(&sides, &from, &to, &out);
        if (out.fit != cases[i].fit || out.same_binary != cases[i].same_binary ||
            out.stream_binary != cases[i].stream_binary || (!out.code != !cases[i].code) ||
            (out.code && strcmp(out.code, cases[i].code) != 0))
            fail_msg("case %zu: fit %d, same %d, stream %d, code %s", i, (int)out.fit, out.same_binary,
                     out.stream_binary, out.code ? out.code : "none");
        pair_type_free(&out);
    }
}

static void an_enum_label_that_the_target_lacks_fails_with_its_ddl(void **state)
{
    struct both *b = *state;
    add_label(&b->source, "calm");
    add_label(&b->source, "it's");
    add_label(&b->sink, "calm");
    simple(&b->source, "t", 23, MOOD, -1);
    simple(&b->sink, "t", 23, MOOD, -1);
    run(b);
    says(b, PAIR_FAIL, "enum_label_missing", "public.t.v");
    assert_string_equal(finding(b, "enum_label_missing", NULL)->sql,
                        "ALTER TYPE public.mood ADD VALUE 'it''s';");
    add_label(&b->sink, "it's");
    run(b);
    assert_int_equal(only(b)->columns[1].wire_oid, 25);
    assert_true(only(b)->columns[1].wire_cast && b->out.binary);
}

/* A cast to the domain would cut what is too long without a word; assignment refuses it. */
static void a_domain_is_reached_through_its_base_type(void **state)
{
    struct both *b = *state;
    simple(&b->source, "t", 23, SHORT, -1);
    simple(&b->sink, "t", 23, SHORT, -1);
    run(b);
    const struct column *c = &only(b)->columns[1];
    assert_string_equal(c->sink_type.name, "pg_catalog.varchar");
    assert_int_equal(c->wire_oid, 1043);
    assert_false(c->wire_cast);
}

static void one_column_of_names_turns_binary_off_for_the_stream_and_its_table(void **state)
{
    struct both *b = *state;
    simple(&b->source, "a", 23, 2205, -1);
    simple(&b->sink, "a", 23, 2205, -1);
    simple(&b->source, "b", 23, 23, -1);
    simple(&b->sink, "b", 23, 23, -1);
    run(b);
    assert_false(b->out.binary || b->out.tables.tables[0]->copy_binary);
    assert_true(b->out.tables.tables[1]->copy_binary);
}

/* -------------------------------------------------------------------------------- keys */

static void keys_are_hashed_only_where_equal_means_equal_bytes(void **state)
{
    struct both *b = *state;
    static const struct {
        uint32_t oid;
        int32_t modifier;
        bool bytewise, numeric;
    } cases[] = {{23, -1, true, false},    {25, -1, true, false},   {2950, -1, true, false},
                 {MOOD, -1, true, false},  {1042, 14, true, false}, {1042, -1, false, false},
                 {1700, -1, false, true},  {701, -1, false, false}, {CITEXT, -1, false, false},
                 {3802, -1, false, false}, {1007, -1, false, false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        simple(&b->source, "t", cases[i].oid, 25, -1)->columns[0].type.modifier = cases[i].modifier;
        simple(&b->sink, "t", cases[i].oid, 25, -1)->columns[0].type.modifier = cases[i].modifier;
        run(b);
        const struct column *c = &only(b)->columns[0];
        if (c->key_bytewise != cases[i].bytewise || c->key_numeric != cases[i].numeric ||
            only(b)->key_hashable != (cases[i].bytewise || cases[i].numeric))
            fail_msg("case %zu: bytewise %d, numeric %d", i, c->key_bytewise, c->key_numeric);
        teardown(state);
        setup(state);
        b = *state;
    }
}

static void a_text_key_with_a_nondeterministic_collation_is_not_hashed(void **state)
{
    struct both *b = *state;
    simple(&b->source, "t", 25, 25, -1);
    simple(&b->sink, "t", 25, 25, -1);
    b->sink.relations[0].columns[0].deterministic = false;
    run(b);
    assert_false(only(b)->key_hashable);
}

/* Hazard 36. */
static void a_table_without_identity_goes_to_the_insert_only_publication(void **state)
{
    struct both *b = *state;
    struct pg_relation *from = add_table(&b->source, "public", "t");
    add_column(&b->source, from, "v", 25, -1);
    struct pg_relation *to = add_table(&b->sink, "public", "t");
    add_column(&b->sink, to, "v", 25, -1);
    run(b);
    assert_true(only(b)->insert_only);
    says(b, PAIR_WARN, "insert_only", "public.t");
    assert_string_equal(finding(b, "insert_only", NULL)->sql,
                        "ALTER TABLE \"public\".\"t\" REPLICA IDENTITY FULL;");
    b->source.relations[0].identity = 'f';
    run(b);
    assert_false(only(b)->insert_only);
    assert_int_equal(only(b)->key_count, 0);
    says(b, PAIR_WARN, "no_key", "public.t");
}

static void the_replica_identity_index_is_the_key_in_its_own_order(void **state)
{
    struct both *b = *state;
    struct pg_relation *from = simple(&b->source, "t", 23, 25, -1);
    from->columns[1].not_null = true;
    from->identity = 'i';
    add_index(from, false, 2, 1, 0)->replica_identity = true;
    simple(&b->sink, "t", 23, 25, -1);
    run(b);
    assert_int_equal(only(b)->key_count, 2);
    assert_int_equal(only(b)->key[0], 1);
    assert_int_equal(only(b)->key[1], 0);
    assert_false(only(b)->sink_key_arbiter);
    says(b, PAIR_WARN, "target_key_missing", "public.t");
}

static void a_deferrable_primary_key_is_no_identity_and_no_arbiter(void **state)
{
    struct both *b = *state;
    simple(&b->source, "t", 23, 25, -1);
    simple(&b->sink, "t", 23, 25, -1)->indexes[0].deferrable = true;
    run(b);
    assert_false(only(b)->sink_key_arbiter);
    says(b, PAIR_WARN, "target_key_deferrable", "public.t");
    b->source.relations[0].indexes[0].deferrable = true;
    run(b);
    assert_true(only(b)->insert_only);
}

static void a_configured_key_must_be_what_the_source_logs(void **state)
{
    struct both *b = *state;
    static char v[] = "v";
    char *key[] = {v};
    struct config_table list[] = {{.from = from_t, .key = key, .key_count = 1, .line = 2}};
    b->config.all_tables = false;
    b->config.tables = list;
    b->config.table_count = 1;
    simple(&b->source, "t", 23, 25, -1);
    simple(&b->sink, "t", 23, 25, -1);
    run(b);
    says(b, PAIR_FAIL, "key_not_identity", "public.t");
    b->source.relations[0].identity = 'f';
    run(b);
    says(b, PAIR_WARN, "key_unverified", "public.t");
    assert_int_equal(only(b)->key[0], 1);
}

/* -------------------------------------------------------------------------------- order and lanes */

static void link_tables(struct pg_catalog *c, int child, int parent)
{
    c->foreign_keys = mem_grow(c->foreign_keys, c->foreign_key_count + 1, sizeof(*c->foreign_keys));
    c->foreign_keys[c->foreign_key_count++] =
        (struct pg_foreign_key){mem_strdup("fk"), c->relations[child].oid, c->relations[parent].oid};
}

static struct both *six_tables(void **state)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f"};
    struct both *b = *state;
    for (int i = 0; i < 6; i++) {
        simple(&b->source, names[i], 23, 25, -1)->bytes = 1000 * (i + 1);
        simple(&b->sink, names[i], 23, 25, -1);
    }
    return b;
}

static void parents_come_before_children_and_stay_in_one_lane(void **state)
{
    struct both *b = six_tables(state);
    link_tables(&b->source, 0, 1); /* a -> b -> c, by a key of either side */
    link_tables(&b->sink, 1, 2);
    run(b);
    struct table **t = b->out.tables.tables;
    assert_int_equal(t[2]->rank, 0);
    assert_int_equal(t[1]->rank, 1);
    assert_int_equal(t[0]->rank, 2);
    assert_int_equal(t[0]->lane, t[1]->lane);
    assert_int_equal(t[1]->lane, t[2]->lane);
    assert_int_equal(b->out.lanes, 4); /* abc, d, e, f */
    for (int i = 3; i < 6; i++)
        assert_int_not_equal(t[i]->lane, t[0]->lane);
}

static void a_cycle_of_foreign_keys_ends(void **state)
{
    struct both *b = six_tables(state);
    link_tables(&b->source, 0, 1);
    link_tables(&b->source, 1, 0);
    link_tables(&b->source, 2, 2);
    run(b);
    assert_int_equal(b->out.tables.tables[0]->lane, b->out.tables.tables[1]->lane);
    assert_int_equal(b->out.tables.tables[2]->rank, 0);
}

static void lanes_carry_about_the_same(void **state)
{
    struct both *b = six_tables(state);
    int64_t load[2] = {0};
    b->config.stream_lanes = 2;
    run(b);
    assert_int_equal(b->out.lanes, 2);
    for (int i = 0; i < 6; i++)
        load[b->out.tables.tables[i]->lane] += b->out.tables.tables[i]->source_bytes;
    assert_true(llabs(load[0] - load[1]) <= 1000);
}

static void without_tables_there_is_one_lane(void **state)
{
    struct both *b = *state;
    run(b);
    assert_int_equal(b->out.lanes, 1);
    assert_int_equal(b->out.tables.count, 0);
}

/* -------------------------------------------------------------------------------- the way back */

static void run_back(struct both *b)
{
    struct error err = {0};
    pairing_free(&b->out);
    assert_true(pair_tables_back(&b->config, &b->source, b->version, &b->sink, b->version, &b->out, &err));
}

static void the_way_back_turns_names_and_columns_round(void **state)
{
    struct both *b = *state;
    static char dbo[] = "dbo", school[] = "school", all[] = "default";
    struct config_schema schema = {dbo, school};
    struct config_group group = {.name = all, .direction = DIRECTION_REVERSE};
    b->config.names = NAMES_SNAKE_CASE;
    b->config.schemas = &schema;
    b->config.schema_count = 1;
    b->config.groups = &group;
    b->config.group_count = 1;
    struct pg_relation *legacy = add_table(&b->source, "dbo", "StudentGrade");
    add_column(&b->source, legacy, "StudentID", 23, -1);
    add_column(&b->source, legacy, "Made", 25, -1)->generated = 's';
    add_column(&b->source, legacy, "LegacyOnly", 25, -1);
    add_column(&b->source, legacy, "FirstName", 25, -1);
    add_index(legacy, true, 1, 0);
    struct pg_relation *target = add_table(&b->sink, "school", "student_grade");
    add_column(&b->sink, target, "first_name", 25, -1);
    add_column(&b->sink, target, "student_id", 23, -1);
    add_column(&b->sink, target, "made", 25, -1);
    add_column(&b->sink, target, "target_only", 25, -1);
    add_column(&b->sink, target, "twice", 23, -1)->generated = 's';
    add_index(target, true, 1, 1);
    run_back(b);
    const struct table *t = only(b);
    assert_string_equal(t->from, "dbo.StudentGrade");
    assert_string_equal(t->to, "dbo.StudentGrade");
    assert_string_equal(t->from_schema, "school");
    assert_string_equal(t->from_name, "student_grade");
    assert_string_equal(t->to_schema, "dbo");
    assert_string_equal(t->to_name, "StudentGrade");
    assert_int_equal(t->column_count, 2);
    assert_string_equal(t->columns[0].source, "first_name");
    assert_string_equal(t->columns[0].sink, "FirstName");
    assert_string_equal(t->columns[1].sink, "StudentID");
    assert_int_equal(t->key_count, 1);
    assert_int_equal(t->key[0], 1);
    assert_int_equal(t->ignored_count, 3);
    assert_true(t->sink_key_arbiter && t->sink_extra_columns);
    says(b, PAIR_WARN, "column_not_back", "dbo.StudentGrade.target_only");
    says(b, PAIR_WARN, "column_not_back", "dbo.StudentGrade.twice");
    says(b, PAIR_OK, "generated", "dbo.StudentGrade.made");
    b->source.relations[0].columns[2].not_null = true;
    run_back(b);
    says(b, PAIR_FAIL, "column_extra", "dbo.StudentGrade.LegacyOnly");
    b->config.groups = NULL;
    b->config.group_count = 0;
}

static void what_can_not_be_found_again_does_not_go_back(void **state)
{
    struct both *b = *state;
    static char all[] = "default", other[] = "other";
    struct config_group groups[] = {{.name = all, .direction = DIRECTION_REVERSE},
                                    {.name = other, .direction = DIRECTION_FORWARD}};
    b->config.groups = groups;
    b->config.group_count = 2;
    simple(&b->source, "gone", 23, 25, -1);
    simple(&b->source, "loose", 23, 25, -1);
    simple(&b->source, "mute", 23, 25, -1);
    add_column(&b->sink, add_table(&b->sink, "public", "loose"), "id", 23, -1);
    b->sink.relations[0].identity = 'f';
    b->source.relations[1].columns[0].not_null = false;
    simple(&b->sink, "mute", 23, 25, -1)->identity = 'n';
    run_back(b);
    assert_int_equal(b->out.tables.count, 0);
    assert_int_equal(b->out.unfit.count, 2);
    says(b, PAIR_FAIL, "table_missing", "public.gone");
    says(b, PAIR_FAIL, "no_key", "public.loose");
    says(b, PAIR_FAIL, "no_identity", "public.mute");
    groups[0].direction = DIRECTION_FORWARD;
    groups[1].direction = DIRECTION_REVERSE;
    assert_false(config_is_reverse(&b->config));
    b->config.groups = &groups[1];
    b->config.group_count = 1;
    b->sink.relations[1].identity = 'd';
    run_back(b);
    says(b, PAIR_FAIL, "direction_mixed", "public.mute");
    b->config.groups = NULL;
    b->config.group_count = 0;
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_table_like_its_twin_is_carried_in_binary_by_its_primary_key),
        T(a_missing_table_and_a_missing_column_are_named_with_their_ddl),
        T(a_missing_table_is_said_once_and_kept_for_parking),
        T(a_target_column_that_would_refuse_every_insert_fails),
        T(generated_columns_of_either_side_are_left_out_and_said),
        T(names_and_schemas_follow_the_config),
        T(snake_case_keeps_words_together),
        T(a_written_name_may_hold_dots_and_quotes),
        T(a_listed_table_that_is_not_there_or_twice_is_said),
        T(a_name_that_two_schemas_have_is_a_config_error),
        T(two_tables_into_one_are_refused),
        T(partitions_go_through_their_root_or_one_by_one_before_13),
        T(an_extensions_table_is_carried_only_if_named),
        T(groups_are_found_by_name_and_a_misspelt_table_is_said),
        T(an_unlogged_table_is_not_carried),
        T(type_pairs_are_judged_one_by_one),
        T(an_enum_label_that_the_target_lacks_fails_with_its_ddl),
        T(a_domain_is_reached_through_its_base_type),
        T(one_column_of_names_turns_binary_off_for_the_stream_and_its_table),
        T(keys_are_hashed_only_where_equal_means_equal_bytes),
        T(a_text_key_with_a_nondeterministic_collation_is_not_hashed),
        T(a_table_without_identity_goes_to_the_insert_only_publication),
        T(the_replica_identity_index_is_the_key_in_its_own_order),
        T(a_deferrable_primary_key_is_no_identity_and_no_arbiter),
        T(a_configured_key_must_be_what_the_source_logs),
        T(parents_come_before_children_and_stay_in_one_lane),
        T(a_cycle_of_foreign_keys_ends),
        T(lanes_carry_about_the_same),
        T(without_tables_there_is_one_lane),
        T(the_way_back_turns_names_and_columns_round),
        T(what_can_not_be_found_again_does_not_go_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
