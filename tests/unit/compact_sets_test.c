/* SPDX-License-Identifier: PostgreSQL
 *
 * The shape of plans: order of rows, of sets and of tables, column sets, skipped changes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <endian.h>

#include "base/mem.h"
#include "model/compact.h"

enum { WIDE = 130 };

struct fixture {
    struct batch *batch;
    struct arena *arena;
    struct table tables[3]; /* ranks 0, 1, 2: grandparent, parent, child */
    struct column columns[3][WIDE];
    uint16_t keys[3][2];
    struct compact_options options;
};

static int setup(void **state)
{
    static const struct transaction begin = {.xid = 1};
    struct fixture *f = mem_alloc(sizeof(*f));
    f->batch = batch_new();
    f->arena = arena_new();
    batch_begin(f->batch, &begin);
    for (uint32_t t = 0; t < 3; t++) {
        f->tables[t] = (struct table){.id = t,
                                      .rank = (int)t,
                                      .columns = f->columns[t],
                                      .column_count = 3,
                                      .key = f->keys[t],
                                      .key_count = 1,
                                      .key_hashable = true,
                                      .state = TABLE_STREAMING};
        f->columns[t][0].key = f->columns[t][0].key_bytewise = true;
    }
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    batch_free(f->batch);
    arena_free(f->arena);
    free(f);
    return 0;
}

static struct value text(const char *s)
{
    return (struct value){s, (uint32_t)strlen(s), VALUE_TEXT};
}

static void add(struct fixture *f, int t, enum change_op op, const char *k)
{
    struct value row[WIDE] = {text(k), text("a"), text("b")};
    struct value old[WIDE] = {text(k)};
    struct change c = {.table = &f->tables[t], .op = op, .row = row};
    if (op == CHANGE_DELETE) {
        c.row = NULL;
        c.old = old;
        c.old_kind = OLD_KEY;
    }
    batch_append(f->batch, &c);
}

static void add_move(struct fixture *f, int t, const char *from, const char *to)
{
    struct value row[WIDE] = {text(to), text("a"), text("b")};
    struct value old[WIDE] = {text(from)};
    batch_append(
        f->batch,
        &(struct change){
            .table = &f->tables[t], .op = CHANGE_UPDATE, .row = row, .old = old, .old_kind = OLD_KEY});
}

static struct net_plan plan_all(struct fixture *f, const unsigned char *skip)
{
    return compact(f->batch, 0, f->batch->count, skip, &f->options, f->arena);
}

/* "D2 D0 U1 …": operation and table, X for exact; with how many rows. */
static void assert_steps(const struct net_plan *plan, const char *expected)
{
    char out[400] = "";
    for (size_t i = 0; i < plan->count; i++) {
        const struct net_step *s = &plan->steps[i];
        size_t at = strlen(out);
        if (s->op == NET_EXACT)
            snprintf(out + at, sizeof(out) - at, "%sX%u", at ? " " : "", s->table->id);
        else
            snprintf(out + at, sizeof(out) - at, "%s%c%u:%zu", at ? " " : "", "DUIS"[s->op], s -> table -> id,
                     s -> count);
    }
    assert_string_equal(out, expected);
}

static void children_go_first_and_come_last(void **state)
{
    struct fixture *f = *state;
    f->options.dependency_order = true;
    for (int t = 0; t < 3; t++) {
        add(f, t, CHANGE_INSERT, "1");
        add(f, (t + 1) % 3, CHANGE_DELETE, "2");
        add(f, t, CHANGE_UPDATE, "3");
    }
    struct net_plan plan = plan_all(f, NULL);
    assert_steps(&plan, "D2:1 D1:1 D0:1 U0:1 I0:1 U1:1 I1:1 U2:1 I2:1");
}

static void a_barrier_cuts_all_tables_only_with_foreign_keys(void **state)
{
    struct fixture *f = *state;
    add(f, 0, CHANGE_INSERT, "1");
    add(f, 1, CHANGE_INSERT, "1");
    add_move(f, 1, "5", "6");
    add_move(f, 1, "6", "7");
    add(f, 1, CHANGE_UPDATE, "1");
    add(f, 0, CHANGE_UPDATE, "1");
    struct net_plan plan = plan_all(f, NULL);
    assert_steps(&plan, "I1:1 X1 X1 I0:1 U1:1");
    f->options.dependency_order = true;
    plan = plan_all(f, NULL);
    assert_steps(&plan, "I0:1 I1:1 X1 X1 U0:1 U1:1");
}

static void impossible_history_goes_as_it_came(void **state)
{
    struct fixture *f = *state;
    add(f, 0, CHANGE_INSERT, "1");
    add(f, 0, CHANGE_INSERT, "2");
    add(f, 0, CHANGE_UPDATE, "1");
    add(f, 0, CHANGE_INSERT, "1");
    add(f, 0, CHANGE_DELETE, "1");
    struct net_plan plan = plan_all(f, NULL);
    assert_steps(&plan, "I0:1 X0 X0 X0 X0");
    assert_ptr_equal(plan.steps[1].exact, &f->batch->changes[0]);
    assert_ptr_equal(plan.steps[2].exact, &f->batch->changes[2]);
    assert_ptr_equal(plan.steps[4].exact, &f->batch->changes[4]);
}

static void nothing_is_left_of_a_row_that_came_and_went(void **state)
{
    struct fixture *f = *state;
    add(f, 0, CHANGE_INSERT, "1");
    add(f, 0, CHANGE_DELETE, "1");
    struct net_plan plan = plan_all(f, NULL);
    assert_steps(&plan, "");
    f->tables[0].state = TABLE_CATCHUP; /* a copy may have seen it */
    plan = plan_all(f, NULL);
    assert_steps(&plan, "D0:1");
}

static void add_again(struct fixture *f, int t, const char *k, bool partial_after)
{
    add(f, t, CHANGE_DELETE, k);
    add(f, t, CHANGE_INSERT, k);
    if (!partial_after)
        return;
    struct value row[WIDE] = {text(k), {NULL, 0, VALUE_ABSENT}, text("c")};
    batch_append(f->batch, &(struct change){.table = &f->tables[t], .op = CHANGE_UPDATE, .row = row});
}

/* Deleted and inserted again, whole: one statement where nothing can tell, with every column. */
static void a_row_that_comes_again_is_updated_in_place(void **state)
{
    struct fixture *f = *state;
    add_again(f, 0, "1", false);
    add_again(f, 0, "2", true); /* what the update leaves out, the insert brought */
    add(f, 0, CHANGE_UPDATE, "3");
    struct net_plan plan = plan_all(f, NULL);
    assert_steps(&plan, "U0:3");
    assert_int_equal(plan.steps[0].mask[0], 7);
    assert_memory_equal(plan.steps[0].rows[1].row[1].data, "a", 1);
    assert_memory_equal(plan.steps[0].rows[1].row[2].data, "c", 1);
    assert_ptr_equal(plan.steps[0].rows[0].last, &f->batch->changes[1]);
}

/* Where something could tell, it stays two. */
static void a_row_that_comes_again_is_two_where_it_shows(void **state)
{
    struct fixture *f = *state;
    add_again(f, 0, "1", false);
    f->tables[0].sink_extra_columns = true; /* their defaults come back */
    struct net_plan plan = plan_all(f, NULL);
    assert_steps(&plan, "D0:1 I0:1");
    f->tables[0].sink_extra_columns = false;
    f->columns[0][2].sink_identity_always = true; /* no UPDATE sets it */
    plan = plan_all(f, NULL);
    assert_steps(&plan, "D0:1 I0:1");
    f->columns[0][2].sink_identity_always = false;
    f->columns[0][0].key_bytewise = false; /* 1.0 and 1.00 are one key and not one value */
    plan = plan_all(f, NULL);
    assert_steps(&plan, "D0:1 I0:1");
    f->columns[0][0].key_bytewise = true;
    plan = plan_all(f, NULL);
    assert_steps(&plan, "U0:1");
    add(f, 0, CHANGE_DELETE, "1"); /* and gone at last */
    plan = plan_all(f, NULL);
    assert_steps(&plan, "D0:1");
    f->tables[0].state = TABLE_CATCHUP;
    plan = plan_all(f, NULL);
    assert_steps(&plan, "D0:1");
}

static void skipped_changes_are_out(void **state)
{
    static const unsigned char skip[] = {0, 1, 0, 1};
    struct fixture *f = *state;
    add(f, 1, CHANGE_INSERT, "0");
    add(f, 0, CHANGE_INSERT, "1");
    add(f, 0, CHANGE_INSERT, "2");
    add(f, 0, CHANGE_INSERT, "3");
    add_move(f, 0, "1", "4");
    struct net_plan plan = compact(f->batch, 1, 4, skip, &f->options, f->arena);
    assert_steps(&plan, "I0:2");
    assert_ptr_equal(plan.steps[0].rows[1].last, &f->batch->changes[3]);
}

static void column_sets_beyond_a_word(void **state)
{
    struct fixture *f = *state;
    struct value row[WIDE];
    f->tables[0].column_count = WIDE;
    for (int n = 0; n < 4; n++) {
        char k[2] = {(char)('a' + n), 0};
        for (int i = 0; i < WIDE; i++)
            row[i] = text("v");
        row[0] = text(k);
        if (n > 1)
            row[n == 3 ? 128 : 63] = (struct value){NULL, 0, VALUE_ABSENT};
        batch_append(f->batch, &(struct change){.table = &f->tables[0], .op = CHANGE_UPDATE, .row = row});
    }
    struct net_plan plan = plan_all(f, NULL);
    assert_steps(&plan, "U0:2 U0:1 U0:1");
    assert_true(plan.steps[0].mask[0] == UINT64_MAX && plan.steps[0].mask[1] == UINT64_MAX &&
                plan.steps[0].mask[2] == 3);
    assert_true(plan.steps[1].mask[0] == UINT64_MAX >> 1 && plan.steps[1].mask[2] == 3);
    assert_true(plan.steps[2].mask[0] == UINT64_MAX && plan.steps[2].mask[2] == 2);
}

/* --- order of rows --- */

static uint64_t next_random(uint64_t *r)
{
    *r ^= *r << 13;
    *r ^= *r >> 7;
    *r ^= *r << 17;
    return *r;
}

/* Keys of one shape; shape 0 int4, 1 (const, int8), 2 text with a long common beginning, 3 short texts and
 * empty ones. */
static void shaped_key(int shape, uint64_t n, char out[2][64], struct value row[3])
{
    uint64_t big = htobe64(n);
    row[1] = text("a");
    row[2] = text("b");
    if (shape == 0) {
        memcpy(out[0], (char *)&big + 4, 4);
        row[0] = (struct value){out[0], 4, VALUE_BINARY};
    } else if (shape == 1) {
        memcpy(out[1], &big, 8);
        row[0] = (struct value){"const", 5, VALUE_BINARY};
        row[1] = (struct value){out[1], 8, VALUE_BINARY};
    } else if (shape == 2) {
        int length = snprintf(out[0], sizeof(out[0]), "https://example.org/%08u", (unsigned)n);
        row[0] = (struct value){out[0], (uint32_t)length, VALUE_TEXT};
    } else {
        int length = snprintf(out[0], sizeof(out[0]), "%x", (unsigned)(n % 5000));
        row[0] = (struct value){out[0], n % 7 ? (uint32_t)length : 0, VALUE_TEXT};
    }
}

static void fill_shape(struct fixture *f, int shape, size_t count, bool backwards)
{
    char out[2][64];
    struct value row[3];
    f->tables[0].key_count = shape == 1 ? 2 : 1;
    f->keys[0][1] = 1;
    f->columns[0][1].key = f->columns[0][1].key_bytewise = shape == 1;
    for (size_t i = 0; i < count; i++) {
        uint64_t r = 0x9E3779B97F4A7C15u * ((backwards ? count - 1 - i : i) + 1);
        shaped_key(shape, next_random(&r) % 1000000, out, row);
        batch_append(f->batch, &(struct change){.table = &f->tables[0], .op = CHANGE_UPDATE, .row = row});
    }
}

static void rows_have_one_order_however_they_came(void **state)
{
    struct fixture *f = *state;
    for (int shape = 0; shape < 4; shape++) {
        for (size_t count = 30; count < 100000; count *= 30) {
            size_t first = f->batch->count;
            fill_shape(f, shape, count, false);
            fill_shape(f, shape, count, true);
            struct net_plan a = compact(f->batch, first, count, NULL, &f->options, f->arena);
            struct net_plan b = compact(f->batch, first + count, count, NULL, &f->options, f->arena);
            assert_int_equal(a.count, 1);
            assert_int_equal(a.steps[0].count, b.steps[0].count);
            for (size_t i = 0; i < a.steps[0].count; i++) {
                const struct value *x = a.steps[0].rows[i].key, *y = b.steps[0].rows[i].key;
                for (int k = 0; k < f->tables[0].key_count; k++) {
                    assert_int_equal(x[k].length, y[k].length);
                    assert_memory_equal(x[k].data, y[k].data, x[k].length);
                }
                const struct value *before = i ? a.steps[0].rows[i - 1].key : NULL;
                if (before && shape < 3) /* their own order */
                    assert_true(memcmp(before[shape == 1].data, x[shape == 1].data, x[shape == 1].length) <
                                0);
            }
        }
    }
}

/* A small set sorts like a part of a large one. */
static void small_and_large_sets_agree(void **state)
{
    struct fixture *f = *state;
    for (int shape = 0; shape < 4; shape++) {
        size_t first = f->batch->count;
        fill_shape(f, shape, 3000, false);
        struct net_plan all = compact(f->batch, first, 3000, NULL, &f->options, f->arena);
        struct net_plan few = compact(f->batch, first, 20, NULL, &f->options, f->arena);
        size_t at = 0;
        for (size_t i = 0; i < few.steps[0].count; i++) {
            const struct value *want = few.steps[0].rows[i].key;
            int k = shape == 1;
            while (at < all.steps[0].count &&
                   (all.steps[0].rows[at].key[k].length != want[k].length ||
                    memcmp(all.steps[0].rows[at].key[k].data, want[k].data, want[k].length) != 0))
                at++;
            assert_true(at < all.steps[0].count);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(children_go_first_and_come_last, setup, teardown),
        cmocka_unit_test_setup_teardown(a_barrier_cuts_all_tables_only_with_foreign_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(impossible_history_goes_as_it_came, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_left_of_a_row_that_came_and_went, setup, teardown),
        cmocka_unit_test_setup_teardown(a_row_that_comes_again_is_updated_in_place, setup, teardown),
        cmocka_unit_test_setup_teardown(a_row_that_comes_again_is_two_where_it_shows, setup, teardown),
        cmocka_unit_test_setup_teardown(skipped_changes_are_out, setup, teardown),
        cmocka_unit_test_setup_teardown(column_sets_beyond_a_word, setup, teardown),
        cmocka_unit_test_setup_teardown(rows_have_one_order_however_they_came, setup, teardown),
        cmocka_unit_test_setup_teardown(small_and_large_sets_agree, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
