/* SPDX-License-Identifier: PostgreSQL */
#include "pgsql/params.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct column columns[] = {{.key = true}, {.key = false}, {.key = false}};
static uint16_t key[] = {0};
static struct table table = {.columns = columns, .column_count = 3, .key = key, .key_count = 1};
static struct statement_param both[] = {{0, true, 23}, {2, false, 25}};

static void an_array_is_in_the_servers_binary_format(void **state)
{
    struct value rows[2][3] = {
        {{"\0\0\0\1", 4, VALUE_BINARY}, {0}, {NULL, 0, VALUE_NULL}},
        {{"\0\0\0\2", 4, VALUE_BINARY}, {0}, {"ab", 2, VALUE_BINARY}},
    };
    struct net_row net[] = {{.key = rows[0], .row = rows[0]}, {.key = rows[1], .row = rows[1]}};
    struct statement st = {.params = both, .param_count = 2, .set_based = true, .checked = true};
    struct params p = {0};
    static const char ids[] = "\0\0\0\1\0\0\0\0\0\0\0\27\0\0\0\2\0\0\0\1\0\0\0\4\0\0\0\1\0\0\0\4\0\0\0\2";
    static const char texts[] = "\0\0\0\1\0\0\0\1\0\0\0\31\0\0\0\2\0\0\0\1\377\377\377\377\0\0\0\2ab";

    (void)state;
    params_set(&p, &st, net, 2);
    struct pipe_args a = params_args(&p);
    assert_int_equal(a.count, 3);
    assert_int_equal(a.lengths[0], sizeof(ids) - 1);
    assert_memory_equal(a.values[0], ids, sizeof(ids) - 1);
    assert_int_equal(a.lengths[1], sizeof(texts) - 1);
    assert_memory_equal(a.values[1], texts, sizeof(texts) - 1);
    assert_int_equal(a.formats[0], 1);
    assert_memory_equal(a.values[2], "\0\0\0\0\0\0\0\2", 8);
    params_set(&p, &st, net, 1); /* and again, in the same memory */
    assert_int_equal(params_args(&p).lengths[0], 28);
    params_free(&p);
}

static void a_row_is_sent_as_it_came(void **state)
{
    struct value row[3] = {{"\0\0\0\1", 4, VALUE_BINARY}, {0}, {"abXX", 2, VALUE_TEXT}};
    struct statement st = {.params = both, .param_count = 2};
    struct params p = {0};

    (void)state;
    params_row(&p, &st, row, row);
    params_add_text(&p, "more");
    struct pipe_args a = params_args(&p);
    assert_int_equal(a.count, 3);
    assert_ptr_equal(a.values[0], row[0].data);
    assert_int_equal(a.formats[0], 1);
    assert_string_equal(a.values[1], "ab"); /* ends in a NUL */
    assert_int_equal(a.formats[1], 0);
    assert_string_equal(a.values[2], "more");
    row[2] = (struct value){NULL, 0, VALUE_NULL};
    params_row(&p, &st, row, row);
    assert_null(params_args(&p).values[1]);
    row[2] = (struct value){NULL, 0, VALUE_BINARY};
    params_row(&p, &st, row, row);
    assert_non_null(params_args(&p).values[1]); /* empty is not NULL */
    assert_int_equal(params_args(&p).lengths[1], 0);
    params_free(&p);
}

static void pieces_end_at_a_size_and_where_a_kind_changes(void **state)
{
    struct value rows[6][3];
    struct net_row net[6];
    uint64_t mask = 5, text_mask;
    struct net_step step = {.table = &table, .op = NET_UPDATE, .mask = &mask, .rows = net, .count = 6};
    bool text;

    (void)state;
    for (int i = 0; i < 6; i++) {
        rows[i][0] = (struct value){"\0\0\0\1", 4, VALUE_BINARY};
        rows[i][1] = (struct value){0}; /* not in the mask */
        rows[i][2] = (struct value){"0123456789", 10, i < 4 ? VALUE_BINARY : VALUE_TEXT};
        net[i] = (struct net_row){.key = rows[i], .row = rows[i]};
    }
    rows[5][2] = (struct value){NULL, 0, VALUE_NULL};
    assert_int_equal(params_fit(&step, 0, 100, 1000, &text_mask, &text), 4);
    assert_false(text);
    assert_int_equal(text_mask, 0);
    assert_int_equal(params_fit(&step, 4, 100, 1000, &text_mask, &text), 2);
    assert_true(text);
    assert_int_equal(text_mask, 4);
    assert_int_equal(params_fit(&step, 0, 3, 1000, &text_mask, &text), 3);
    assert_int_equal(params_fit(&step, 0, 100, 70, &text_mask, &text), 2); /* 30 bytes each */
    assert_int_equal(params_fit(&step, 0, 100, 5, &text_mask, &text), 1);  /* one always goes */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_array_is_in_the_servers_binary_format),
        cmocka_unit_test(a_row_is_sent_as_it_came),
        cmocka_unit_test(pieces_end_at_a_size_and_where_a_kind_changes),
    };
    return cmocka_run_group_tests_name("params", tests, NULL, NULL);
}
