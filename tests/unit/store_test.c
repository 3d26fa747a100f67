/* SPDX-License-Identifier: PostgreSQL
 *
 * The pure parts: is it the same history? What touches a server is in lease_test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "legacy/legacy_pgsql_fingerprint.h"
#include "state/store.h"

static struct pgsql_fingerprint sample(void)
{
    return (struct pgsql_fingerprint){.system_id = "7300000000000000001",
                                      .database = "school",
                                      .timeline = 2,
                                      .slot = "crossfade_school",
                                      .publication = "crossfade_school",
                                      .slot_start = position_lsn(0x1000)};
}

static void refuses(const struct pgsql_fingerprint *now, const char *named)
{
    struct pgsql_fingerprint stored = sample();
    struct error err = {0};
    assert_false(pgsql_fingerprint_compare(&stored, now, &err));
    assert_int_equal(err.kind, ERROR_FATAL);
    assert_non_null(strstr(err.text, named));
}

static void the_same_history_is_known_again(void **state)
{
    (void)state;
    struct pgsql_fingerprint stored = sample(), now = sample();
    struct error err = {0};
    assert_true(pgsql_fingerprint_compare(&stored, &now, &err));
    now.slot[0] = '\0';
    now.publication[0] = '\0';
    now.slot_start = (struct position){0};
    now.timeline = 3; /* whether that is right is asked of the history */
    assert_true(pgsql_fingerprint_compare(&stored, &now, &err));
}

static void another_history_is_refused_and_named(void **state)
{
    (void)state;
    struct pgsql_fingerprint now = sample();
    snprintf(now.system_id, sizeof(now.system_id), "7300000000000000002");
    refuses(&now, "7300000000000000002");
    now = sample();
    snprintf(now.database, sizeof(now.database), "other");
    refuses(&now, "database");
    now = sample();
    snprintf(now.slot, sizeof(now.slot), "other");
    refuses(&now, "slot");
    now = sample();
    now.timeline = 1;
    refuses(&now, "timeline");
    now = sample();
    now.slot_start = position_lsn(0x2000); /* hazard 3: made anew under the same name */
    refuses(&now, "0/2000");
}

static const char history[] = "1\t0/3000000\tno recovery target specified\n\n"
                              "2\tA/5000000\tbefore 2026-01-01\n";

static void a_fail_over_after_our_position_is_accepted(void **state)
{
    (void)state;
    struct error err = {0};
    assert_true(pgsql_fingerprint_timeline_ok(history, 1, position_lsn(0x3000000), &err));
    assert_true(pgsql_fingerprint_timeline_ok(history, 2, position_lsn(UINT64_C(0xA04FFFFFF)), &err));
}

/* Hazard 4. */
static void a_fail_over_before_our_position_is_refused(void **state)
{
    (void)state;
    struct error err = {0};
    assert_false(pgsql_fingerprint_timeline_ok(history, 1, position_lsn(0x3000001), &err));
    assert_int_equal(err.kind, ERROR_FATAL);
    assert_non_null(strstr(err.text, "0/3000000"));
    assert_false(pgsql_fingerprint_timeline_ok(history, 3, position_lsn(1), &err));
    assert_int_equal(err.kind, ERROR_FATAL);
    assert_false(pgsql_fingerprint_timeline_ok("", 1, position_lsn(1), &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_history_is_known_again),
        cmocka_unit_test(another_history_is_refused_and_named),
        cmocka_unit_test(a_fail_over_after_our_position_is_accepted),
        cmocka_unit_test(a_fail_over_before_our_position_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
