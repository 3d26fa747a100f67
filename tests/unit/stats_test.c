/* SPDX-License-Identifier: PostgreSQL */
#include "replicator/stats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char name_a[] = "public.a", name_b[] = "public.b", name_c[] = "public.c", group_x[] = "x";

static struct table make(uint32_t id, char *name, char *group)
{
    return (struct table){.id = id, .from = name, .to = name, .group = group, .source_rows = 10 + id};
}

static void republishing_keeps_counters_by_name(void **state)
{
    (void)state;
    struct stats *s = stats_new("demo");
    struct table a = make(0, name_a, NULL), b = make(1, name_b, group_x);
    struct table *first[] = {&a, &b};
    struct table_set set = {first, 2};
    stats_publish_tables(s, &set);
    assert_string_equal(s->tables[0].group, "default");
    assert_string_equal(s->tables[1].group, "x");
    atomic_fetch_add(&s->tables[1].inserted, 7);
    stats_reason(s, 1, TABLE_STOPPED, "because");

    struct table c = make(0, name_c, NULL);
    b.id = 1;
    b.state = TABLE_CATCHUP;
    a.id = 2;
    struct table *second[] = {&c, &b, &a};
    set = (struct table_set){second, 3};
    stats_publish_tables(s, &set);
    assert_int_equal(s->table_count, 3);
    assert_int_equal(atomic_load(&s->tables[0].inserted), 0);
    assert_int_equal(atomic_load(&s->tables[1].inserted), 7);
    assert_int_equal(atomic_load(&s->tables[1].state), TABLE_CATCHUP);
    assert_int_equal(atomic_load(&s->tables[1].rows_total), 11);
    assert_string_equal(s->tables[1].reason, "because");

    struct table *third[] = {&b};
    b.id = 0;
    set = (struct table_set){third, 1};
    stats_publish_tables(s, &set);
    assert_int_equal(atomic_load(&s->tables[0].inserted), 7);
    stats_free(s);
}

static void long_texts_are_cut_and_unknown_ids_ignored(void **state)
{
    (void)state;
    struct stats *s = stats_new("demo");
    struct table a = make(0, name_a, NULL);
    struct table *list[] = {&a};
    struct table_set set = {list, 1};
    stats_publish_tables(s, &set);
    char text[2000];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    stats_reason(s, 0, TABLE_DRIFT, text);
    stats_conflict(s, 0, text);
    stats_reason(s, 99, TABLE_DRIFT, text);
    stats_conflict(s, 99, text);
    assert_int_equal(strlen(s->tables[0].reason), STATS_REASON_SIZE - 1);
    assert_int_equal(strlen(s->tables[0].conflict_sample), STATS_REASON_SIZE - 1);
    assert_int_equal(atomic_load(&s->tables[0].state), TABLE_DRIFT);
    stats_free(s);
}

static void errors_are_counted_by_kind(void **state)
{
    (void)state;
    struct stats *s = stats_new("demo");
    struct error err;
    error_set(&err, ERROR_RETRY, "link lost");
    stats_error(s, &err);
    stats_error(s, &err);
    error_set(&err, ERROR_CANCELED, "stopped");
    stats_error(s, &err);
    assert_int_equal(atomic_load(&s->errors[ERROR_RETRY]), 2);
    assert_int_equal(atomic_load(&s->errors[ERROR_CANCELED]), 1);
    assert_string_equal(s->last_error, "stopped");
    stats_free(s);
}

static void histogram_bounds_are_inclusive_and_open_above(void **state)
{
    (void)state;
    struct stats_histogram h = {0};
    stats_observe(&h, stats_bounds_rows, 0);
    stats_observe(&h, stats_bounds_rows, 1);
    stats_observe(&h, stats_bounds_rows, 2);
    stats_observe(&h, stats_bounds_rows, 10000001);
    assert_int_equal(atomic_load(&h.bucket[0]), 2);
    assert_int_equal(atomic_load(&h.bucket[1]), 1);
    uint64_t within = 0;
    for (int i = 0; i < STATS_BUCKETS; i++)
        within += atomic_load(&h.bucket[i]);
    assert_int_equal(within, 3);
    assert_int_equal(atomic_load(&h.count), 4);
    assert_int_equal(atomic_load(&h.sum), 10000004);
    for (int i = 1; i < STATS_BUCKETS; i++) {
        assert_true(stats_bounds_us[i] > stats_bounds_us[i - 1]);
        assert_true(stats_bounds_rows[i] > stats_bounds_rows[i - 1]);
    }
}

static void names_match_the_enums(void **state)
{
    (void)state;
    assert_string_equal(stats_role_name(STATS_STOPPING), "stopping");
    assert_string_equal(stats_phase_name(PHASE_CONNECT), "connect");
    assert_string_equal(stats_phase_name(PHASE_STREAMING), "streaming");
    assert_string_equal(stats_phase_name(PHASE_STOPPED), "stopped");
}

static void *write_positions(void *argument)
{
    struct stats_position *p = argument;
    for (uint64_t i = 1; i <= 200000; i++)
        stats_position_put(p, (struct position){.kind = POSITION_CDC, .high = (uint16_t)i, .low = i});
    return NULL;
}

static void a_position_is_read_whole_while_it_moves(void **state)
{
    struct stats_position p = {0};
    struct position seen = stats_position_get(&p);
    pthread_t writer;
    (void)state;
    assert_int_equal(seen.kind, POSITION_NONE);
    assert_int_equal(pthread_create(&writer, NULL, write_positions, &p), 0);
    while (seen.low < 200000) {
        struct position now = stats_position_get(&p);
        assert_int_equal(now.high, (uint16_t)now.low);
        assert_true(now.low >= seen.low);
        seen = now;
    }
    pthread_join(writer, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(republishing_keeps_counters_by_name),
        cmocka_unit_test(long_texts_are_cut_and_unknown_ids_ignored),
        cmocka_unit_test(errors_are_counted_by_kind),
        cmocka_unit_test(histogram_bounds_are_inclusive_and_open_above),
        cmocka_unit_test(names_match_the_enums),
        cmocka_unit_test(a_position_is_read_whole_while_it_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
