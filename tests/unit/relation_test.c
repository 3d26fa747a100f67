/* SPDX-License-Identifier: PostgreSQL
 *
 * Announced relations against the tables they are mapped to: places of columns, and every kind of drift
 * with the SQL that is proposed for it.
 */
#include "pgsql/relation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/mem.h"

enum { INT4 = 23, TEXT = 25, VARCHAR = 1043, NUMERIC = 1700, MOOD = 20001 };

struct fixture {
    struct table_set tables;
    struct table *table; /* public.t (id int key, name varchar(40), n numeric(10,2)), target app."T" */
    struct relation_set set;
    struct pgoutput_column columns[8];
    struct pgoutput_message m;
    struct relation *relation;
};

static void add_column(struct table *t, const char *name, uint32_t oid, int32_t modifier, const char *display)
{
    t->columns = mem_grow(t->columns, (size_t)t->column_count + 1, sizeof(*t->columns));
    t->columns[t->column_count++] = (struct column){
        .source = mem_strdup(name),
        .sink = mem_strdup(name),
        .source_type = {.oid = oid, .modifier = modifier, .display = mem_strdup(display)},
    };
}

static struct pgoutput_column column(const char *name, uint32_t oid, int32_t modifier)
{
    return (struct pgoutput_column){.name = name, .type_oid = oid, .type_modifier = modifier};
}

static int setup(void **state)
{
    struct fixture *f = mem_alloc(sizeof(*f));
    struct table *t = f->table = table_new();
    t->from_schema = mem_strdup("public");
    t->from_name = mem_strdup("t");
    t->to_schema = mem_strdup("app");
    t->to_name = mem_strdup("T");
    t->from = mem_strdup("public.t");
    t->to = mem_strdup("app.T");
    add_column(t, "id", INT4, -1, "integer");
    add_column(t, "name", VARCHAR, 44, "character varying(40)");
    add_column(t, "n", NUMERIC, 655366, "numeric(10,2)");
    t->columns[0].key = true;
    t->key = mem_alloc(sizeof(*t->key));
    t->key_count = 1;
    table_set_add(&f->tables, t);
    f->set.tables = &f->tables;
    f->columns[0] = column("id", INT4, -1);
    f->columns[0].key = true;
    f->columns[1] = column("name", VARCHAR, 44);
    f->columns[2] = column("n", NUMERIC, 655366);
    f->m = (struct pgoutput_message){.kind = PGOUTPUT_RELATION,
                                     .relation = 7,
                                     .schema = "public",
                                     .name = "t",
                                     .replica_identity = 'd',
                                     .columns = f->columns,
                                     .column_count = 3};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    relation_set_free(&f->set);
    table_set_free(&f->tables);
    free(f);
    return 0;
}

static bool announce(struct fixture *f)
{
    return relation_set_announce(&f->set, &f->m, NULL, NULL, &f->relation);
}

static void drifts(struct fixture *f, const char *text)
{
    assert_true(announce(f));
    assert_string_equal(f->relation->drift, text);
    assert_false(f->relation->straight && f->relation->extra_count);
}

static void a_table_that_fits_is_taken_as_it_comes(void **state)
{
    struct fixture *f = *state;
    assert_null(relation_set_get(&f->set, 7));
    assert_false(announce(f));
    assert_ptr_equal(relation_set_get(&f->set, 7), f->relation);
    assert_null(relation_set_get(&f->set, 8));
    assert_ptr_equal(f->relation->table, f->table);
    assert_true(f->relation->straight);
    assert_true(f->relation->identity[0]);
    assert_false(f->relation->identity[1]);
}

static void another_order_is_no_drift(void **state)
{
    struct fixture *f = *state;
    struct pgoutput_column id = f->columns[0];
    f->columns[0] = f->columns[2];
    f->columns[2] = id;
    assert_false(announce(f));
    assert_false(f->relation->straight);
    assert_int_equal(f->relation->column[0], 2);
    assert_int_equal(f->relation->column[1], 1);
    assert_int_equal(f->relation->column[2], 0);
    assert_true(f->relation->identity[2]);
}

static void a_column_left_out_on_purpose_is_no_drift(void **state)
{
    struct fixture *f = *state;
    f->table->ignored = mem_alloc(sizeof(char *));
    f->table->ignored[f->table->ignored_count++] = mem_strdup("secret");
    f->columns[f->m.column_count++] = column("secret", TEXT, -1);
    assert_false(announce(f));
    assert_false(f->relation->straight);
    assert_int_equal(f->relation->column[3], RELATION_NOWHERE);
    assert_int_equal(f->relation->extra_count, 0);
}

static void a_column_added(void **state)
{
    struct fixture *f = *state;
    f->columns[f->m.column_count++] = column("x\"y", VARCHAR, 24);
    drifts(f,
           "column \"x\"y\" (character varying(20)) was added on the source, the target has no such column - "
           "ALTER TABLE \"app\".\"T\" ADD COLUMN \"x\"\"y\" character varying(20) - then crossfade resume");
    assert_int_equal(f->relation->extra_count, 1);
    assert_string_equal(f->relation->extra[0].name, "x\"y");
    assert_int_equal(f->relation->extra[0].type_oid, VARCHAR);
    assert_int_equal(f->relation->extra_at[3], 0);
}

static void a_column_added_of_an_announced_and_of_an_unknown_type(void **state)
{
    struct fixture *f = *state;
    struct pgoutput_message type = {
        .kind = PGOUTPUT_TYPE, .type_oid = MOOD, .schema = "public", .name = "Mood"};
    relation_set_announce_type(&f->set, &type);
    relation_set_announce_type(&f->set, &type);
    f->columns[f->m.column_count++] = column("m", MOOD, -1);
    f->columns[f->m.column_count++] = column("u", MOOD + 1, -1);
    assert_true(announce(f));
    assert_non_null(strstr(f->relation->drift, "ADD COLUMN \"m\" \"public\".\"Mood\"; "));
    assert_non_null(strstr(f->relation->drift, "ADD COLUMN \"u\" type 20002"));
}

static void a_column_dropped(void **state)
{
    struct fixture *f = *state;
    f->columns[1] = f->columns[2];
    f->m.column_count = 2;
    drifts(f, "column \"name\" is not in the source's changes: it was dropped there, or not yet added when "
              "they were "
              "made - ALTER TABLE \"app\".\"T\" DROP COLUMN \"name\" - then crossfade resume");
    assert_int_equal(f->relation->column[1], 2);
}

static void a_column_renamed(void **state)
{
    struct fixture *f = *state;
    f->columns[1].name = "nom";
    drifts(f, "column \"name\" was renamed to \"nom\" on the source, it seems - "
              "ALTER TABLE \"app\".\"T\" RENAME COLUMN \"name\" TO \"nom\" - then crossfade resume");
    assert_int_equal(f->relation->extra_count, 1);
}

static void one_gone_and_two_come_is_no_rename(void **state)
{
    struct fixture *f = *state;
    f->columns[1].name = "nom";
    f->columns[f->m.column_count++] = column("other", VARCHAR, 44);
    assert_true(announce(f));
    assert_null(strstr(f->relation->drift, "RENAME"));
    assert_non_null(strstr(f->relation->drift, "DROP COLUMN \"name\""));
}

static void a_column_retyped_is_kept_apart(void **state)
{
    struct fixture *f = *state;
    f->columns[2].type_oid = 20;
    f->columns[2].type_modifier = -1;
    drifts(f, "column \"n\" is now bigint on the source, it was numeric(10,2) - "
              "ALTER TABLE \"app\".\"T\" ALTER COLUMN \"n\" TYPE bigint - then crossfade resume");
    assert_int_equal(f->relation->column[2], RELATION_NOWHERE);
    assert_int_equal(f->relation->extra[f->relation->extra_at[2]].type_oid, 20);
}

static void a_key_column_retyped_is_in_both(void **state)
{
    struct fixture *f = *state;
    f->columns[0].type_oid = 20;
    assert_true(announce(f));
    assert_int_equal(f->relation->column[0], 0);
    assert_int_equal(f->relation->extra_at[0], 0);
}

static void another_length_is_drift_but_the_value_has_its_place(void **state)
{
    struct fixture *f = *state;
    f->columns[1].type_modifier = 54;
    assert_true(announce(f));
    assert_non_null(strstr(f->relation->drift, "TYPE character varying(50)"));
    assert_true(f->relation->straight);
}

static void a_key_outside_the_replica_identity(void **state)
{
    struct fixture *f = *state;
    f->columns[0].key = false;
    drifts(
        f,
        "key column \"id\" is no longer part of the source's replica identity - on the source: ALTER TABLE "
        "\"public\".\"t\" REPLICA IDENTITY DEFAULT (or FULL) - then crossfade resume");
    f->table->identity = IDENTITY_NOTHING; /* it was so from the start: only inserts come */
    assert_false(announce(f));
}

static void the_same_drift_is_told_once(void **state)
{
    struct fixture *f = *state;
    f->columns[f->m.column_count++] = column("x", TEXT, -1);
    assert_true(announce(f));
    assert_false(announce(f));
    f->columns[f->m.column_count++] = column("y", TEXT, -1);
    assert_true(announce(f));
    f->m.column_count = 3;
    assert_false(announce(f));
    assert_string_equal(f->relation->drift, "");
    f->m.column_count = 4;
    assert_true(announce(f));
}

static void a_partition_is_its_root(void **state)
{
    struct fixture *f = *state;
    f->m.name = "t_2026";
    assert_false(relation_set_announce(&f->set, &f->m, "public", "t", &f->relation));
    assert_ptr_equal(f->relation->table, f->table);
    assert_true(f->relation->partition);
}

static void a_relation_of_no_table(void **state)
{
    struct fixture *f = *state;
    f->m.schema = ""; /* pg_catalog */
    f->m.name = "fresh";
    assert_true(announce(f));
    assert_null(f->relation->table);
    assert_non_null(strstr(f->relation->drift, "pg_catalog.fresh is in the publication"));
    assert_false(announce(f));
}

static void long_texts_are_cut_between_characters(void **state)
{
    struct fixture *f = *state;
    char names[5][64];
    for (int i = 0; i < 5; i++) {
        for (int k = 0; k < 31; k++)
            memcpy(names[i] + 2 * k, "ä", 2);
        names[i][62] = (char)('a' + i);
        names[i][63] = '\0';
        f->columns[f->m.column_count++] = column(names[i] + i % 2, TEXT, -1);
    }
    assert_true(announce(f));
    assert_true(strlen(f->relation->drift) < sizeof(f->relation->drift));
    assert_non_null(strstr(f->relation->drift, "... - ALTER TABLE"));
    assert_non_null(strstr(f->relation->drift, "... - then crossfade resume"));
    for (const char *cut = f->relation->drift; (cut = strstr(cut, "... - ")); cut++)
        assert_true((cut[-1] & 0x80) == 0 || (cut[-1] & 0xC0) == 0x80); /* whole: no lone first byte */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_table_that_fits_is_taken_as_it_comes),
        TEST(another_order_is_no_drift),
        TEST(a_column_left_out_on_purpose_is_no_drift),
        TEST(a_column_added),
        TEST(a_column_added_of_an_announced_and_of_an_unknown_type),
        TEST(a_column_dropped),
        TEST(a_column_renamed),
        TEST(one_gone_and_two_come_is_no_rename),
        TEST(a_column_retyped_is_kept_apart),
        TEST(a_key_column_retyped_is_in_both),
        TEST(another_length_is_drift_but_the_value_has_its_place),
        TEST(a_key_outside_the_replica_identity),
        TEST(the_same_drift_is_told_once),
        TEST(a_partition_is_its_root),
        TEST(a_relation_of_no_table),
        TEST(long_texts_are_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
