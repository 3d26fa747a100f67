/* SPDX-License-Identifier: PostgreSQL */
#include "model/parked.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct column columns[] = {
    {.source = (char[]){"id"}, .source_type = {.oid = 23}, .key = true},
    {.source = (char[]){"name"}, .source_type = {.oid = 25}},
    {.source = (char[]){"big \"one\""}, .source_type = {.oid = 17}},
};
static struct column reordered[] = {
    {.source = (char[]){"big \"one\""}, .source_type = {.oid = 17}},
    {.source = (char[]){"id"}, .source_type = {.oid = 23}, .key = true},
    {.source = (char[]){"added"}, .source_type = {.oid = 25}},
    {.source = (char[]){"name"}, .source_type = {.oid = 25}},
};

static struct value row[] = {
    {"\0\0\0\5", 4, VALUE_BINARY},
    {"", 0, VALUE_TEXT},
    {NULL, 0, VALUE_ABSENT},
};
static struct value old[] = {
    {"\0\0\0\4", 4, VALUE_BINARY},
    {NULL, 0, VALUE_NULL},
    {"a\0b", 3, VALUE_BINARY},
};

struct fixture {
    struct table table;
    struct table changed;
    struct transaction transaction;
    struct change change;
    struct arena *arena;
    struct buffer bytes;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->arena = arena_new();
    f->table = (struct table){.columns = columns, .column_count = 3};
    f->table.from = strdup("public.t");
    f->changed = f->table;
    f->changed.columns = reordered;
    f->changed.column_count = 4;
    f->transaction = (struct transaction){.xid = 4000000000U,
                                          .end = position_lsn(0x123456789aULL),
                                          .commit = position_lsn(7),
                                          .commit_time_us = -5};
    f->change = (struct change){.table = &f->table,
                                .op = CHANGE_UPDATE,
                                .old_kind = OLD_FULL,
                                .row = row,
                                .old = old,
                                .transaction = 9};
    parked_encode(&f->change, &f->transaction, &f->bytes);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    arena_free(f->arena);
    buffer_free(&f->bytes);
    free(f->table.from);
    free(f);
    return 0;
}

static void assert_value(const struct value *a, const struct value *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->length, b->length);
    if (a->length)
        assert_memory_equal(a->data, b->data, a->length);
}

static void comes_back_as_it_was(void **state)
{
    struct fixture *f = *state;
    struct change c;
    struct transaction t;
    struct error err;

    assert_true(
        parked_decode((struct slice){f->bytes.data, f->bytes.length}, &f->table, f->arena, &c, &t, &err));
    assert_int_equal(c.op, CHANGE_UPDATE);
    assert_int_equal(c.old_kind, OLD_FULL);
    for (int i = 0; i < 3; i++) {
        assert_value(&c.row[i], &row[i]);
        assert_value(&c.old[i], &old[i]);
    }
    assert_int_equal(t.xid, 4000000000U);
    assert_true(position_compare(t.end, f->transaction.end) == 0);
    assert_true(position_compare(t.commit, f->transaction.commit) == 0);
    assert_int_equal(t.commit_time_us, -5);
}

static void a_truncate_has_no_rows(void **state)
{
    struct fixture *f = *state;
    struct change c = {
        .table = &f->table, .op = CHANGE_TRUNCATE, .truncate_restart = true, .truncate_group = 3};
    struct transaction t;
    struct error err;

    buffer_clear(&f->bytes);
    parked_encode(&c, &f->transaction, &f->bytes);
    assert_true(
        parked_decode((struct slice){f->bytes.data, f->bytes.length}, &f->changed, f->arena, &c, &t, &err));
    assert_int_equal(c.op, CHANGE_TRUNCATE);
    assert_true(c.truncate_restart);
    assert_false(c.truncate_cascade);
    assert_int_equal(c.truncate_group, 3);
    assert_null(c.row);
    assert_null(c.old);
}

static void columns_are_found_by_name(void **state)
{
    struct fixture *f = *state;
    struct change c;
    struct transaction t;
    struct error err;

    assert_true(
        parked_decode((struct slice){f->bytes.data, f->bytes.length}, &f->changed, f->arena, &c, &t, &err));
    assert_value(&c.row[1], &row[0]);
    assert_value(&c.row[3], &row[1]);
    assert_int_equal(c.row[0].kind, VALUE_ABSENT);
    assert_int_equal(c.row[2].kind, VALUE_ABSENT);
    assert_value(&c.old[0], &old[2]);
}

static void a_value_without_a_column_is_refused(void **state)
{
    struct fixture *f = *state;
    struct change c;
    struct transaction t;
    struct error err;

    f->table.column_count = 2; /* "big" is not carried any more; the old row has a value for it */
    assert_false(
        parked_decode((struct slice){f->bytes.data, f->bytes.length}, &f->table, f->arena, &c, &t, &err));
    assert_int_equal(err.kind, ERROR_TABLE);
    assert_non_null(strstr(err.text, "big"));
}

static void binary_of_another_type_is_refused(void **state)
{
    struct fixture *f = *state;
    struct change c;
    struct transaction t;
    struct error err;
    struct column other[3];

    memcpy(other, columns, sizeof(other));
    other[0].source_type.oid = 20;
    f->table.columns = other;
    assert_false(
        parked_decode((struct slice){f->bytes.data, f->bytes.length}, &f->table, f->arena, &c, &t, &err));
    assert_int_equal(err.kind, ERROR_TABLE);
    assert_non_null(strstr(err.text, "another type"));
}

static void any_shorter_or_damaged_bytes_are_refused_or_safe(void **state)
{
    struct fixture *f = *state;
    struct change c;
    struct transaction t;
    struct error err;

    for (size_t n = 0; n < f->bytes.length; n++) {
        char *copy = malloc(n ? n : 1); /* of exact size, for the sanitizer */
        memcpy(copy, f->bytes.data, n);
        assert_false(parked_decode((struct slice){copy, n}, &f->table, f->arena, &c, &t, &err));
        assert_int_equal(err.kind, ERROR_TABLE);
        free(copy);
    }
    for (size_t n = 0; n < f->bytes.length; n++) {
        f->bytes.data[n] = (char)(f->bytes.data[n] ^ 0x55);
        (void)!parked_decode((struct slice){f->bytes.data, f->bytes.length}, &f->table, f->arena, &c, &t,
                             &err);
        f->bytes.data[n] = (char)(f->bytes.data[n] ^ 0x55);
    }
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(comes_back_as_it_was),
        CASE(a_truncate_has_no_rows),
        CASE(columns_are_found_by_name),
        CASE(a_value_without_a_column_is_refused),
        CASE(binary_of_another_type_is_refused),
        CASE(any_shorter_or_damaged_bytes_are_refused_or_safe),
    };
    return cmocka_run_group_tests_name("parked", tests, NULL, NULL);
}
