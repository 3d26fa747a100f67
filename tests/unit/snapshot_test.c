/* SPDX-License-Identifier: PostgreSQL */
#include "pgsql/snapshot.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct snapshot parse(const char *text)
{
    struct snapshot s;

    assert_true(snapshot_parse(text, &s));
    return s;
}

static void sees_what_was_finished_when_it_was_taken(void **state)
{
    struct snapshot s = parse("10:20:10,14,19");

    (void)state;
    assert_true(snapshot_sees(&s, 3));
    assert_true(snapshot_sees(&s, 9));
    assert_false(snapshot_sees(&s, 10));
    assert_true(snapshot_sees(&s, 11));
    assert_false(snapshot_sees(&s, 14));
    assert_true(snapshot_sees(&s, 18));
    assert_false(snapshot_sees(&s, 19));
    assert_false(snapshot_sees(&s, 20));
    assert_false(snapshot_sees(&s, 1000));
    snapshot_free(&s);
}

static void an_empty_list_sees_all_below_xmax(void **state)
{
    struct snapshot s = parse("755:755:");

    (void)state;
    assert_true(snapshot_sees(&s, 754));
    assert_false(snapshot_sees(&s, 755));
    snapshot_free(&s);
}

static void transaction_ids_wrap_around(void **state)
{
    /* epoch 1: 4294967296 + 100; one still running from before the wrap */
    struct snapshot s = parse("4294967290:4294967396:4294967290,4294967300");

    (void)state;
    assert_true(snapshot_sees(&s, 4294967200U));
    assert_false(snapshot_sees(&s, 4294967290U));
    assert_true(snapshot_sees(&s, 4294967295U));
    assert_true(snapshot_sees(&s, 3));
    assert_false(snapshot_sees(&s, 4));
    assert_true(snapshot_sees(&s, 99));
    assert_false(snapshot_sees(&s, 100));
    assert_false(snapshot_sees(&s, 2000000000U));
    snapshot_free(&s);
}

static void the_stream_passes_the_wrap_after_the_snapshot(void **state)
{
    struct snapshot s = parse("4294967000:4294967290:");

    (void)state;
    assert_false(snapshot_sees(&s, 5)); /* next epoch */
    assert_true(snapshot_sees(&s, 4294967289U));
    snapshot_free(&s);
}

static void what_is_no_snapshot_is_refused(void **state)
{
    const char *bad[] = {
        "",         "10",        "10:20",       "20:10:", "0:10:",   "10:20:9",
        "10:20:20", "10:20:12,", "10:20:12,11", "-1:20:", "10:20:x", "99999999999999999999:1:"};
    struct snapshot s;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(snapshot_parse(bad[i], &s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sees_what_was_finished_when_it_was_taken),
        cmocka_unit_test(an_empty_list_sees_all_below_xmax),
        cmocka_unit_test(transaction_ids_wrap_around),
        cmocka_unit_test(the_stream_passes_the_wrap_after_the_snapshot),
        cmocka_unit_test(what_is_no_snapshot_is_refused),
    };
    return cmocka_run_group_tests_name("snapshot", tests, NULL, NULL);
}
