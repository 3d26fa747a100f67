/* SPDX-License-Identifier: PostgreSQL
 *
 * Threads and bucket of the bulk copy, without a server.
 */
#include "replicator/crew.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"
#include "replicator/throttle.h"

static void pause_ms(int ms)
{
    struct timespec t = {.tv_sec = 0, .tv_nsec = (long)ms * 1000000L};
    nanosleep(&t, NULL);
}

static bool count_up(void *context, struct crew_member *member, struct error *err)
{
    (void)err;
    atomic_fetch_add((_Atomic int *)context, 1 << (8 * crew_number(member)));
    return true;
}

static void every_member_works_once(void **state)
{
    (void)state;
    struct error err = {0};
    _Atomic int seen = 0;
    _Atomic bool cancel = false;
    assert_true(crew_run(3, count_up, &seen, &cancel, &err));
    assert_int_equal(atomic_load(&seen), 0x010101);
    assert_true(crew_run(1, count_up, &seen, NULL, &err));
}

/* The first one fails, the others see it and end with errors of their own, which are consequences. */
static bool fail_first(void *context, struct crew_member *member, struct error *err)
{
    (void)context;
    if (crew_number(member) == 0)
        return error_set(err, ERROR_FENCED, "the cause");
    while (!crew_stopping(member))
        pause_ms(1);
    return error_set(err, ERROR_RETRY, "a consequence");
}

static void the_first_failure_is_the_crews(void **state)
{
    (void)state;
    struct error err = {0};
    _Atomic bool cancel = false;
    assert_false(crew_run(4, fail_first, NULL, &cancel, &err));
    assert_int_equal(err.kind, ERROR_FENCED);
    assert_string_equal(err.text, "the cause");
}

static bool wait_for_stop(void *context, struct crew_member *member, struct error *err)
{
    if (crew_number(member) == 0)
        atomic_store((_Atomic bool *)context, true);
    while (!crew_stopping(member))
        pause_ms(1);
    return error_set(err, ERROR_RETRY, "interrupted");
}

static void cancel_is_heard_soon(void **state)
{
    (void)state;
    struct error err = {0};
    _Atomic bool cancel = false;
    int64_t begun = clock_ms();
    assert_false(crew_run(2, wait_for_stop, &cancel, &cancel, &err));
    assert_int_equal(err.kind, ERROR_CANCELED);
    assert_in_range(clock_ms() - begun, 0, 900);
}

static bool stop_flag(const void *context)
{
    return *(const bool *)context;
}

static void the_bucket_keeps_the_rate(void **state)
{
    (void)state;
    _Atomic int64_t limit = 1000000;
    bool stop = false;
    struct throttle t;
    throttle_init(&t, &limit);
    int64_t begun = clock_ms();
    for (int i = 0; i < 30; i++)
        assert_true(throttle_take(&t, 10000, stop_flag, &stop));
    assert_in_range(clock_ms() - begun, 190, 2000); /* 300 kB less the burst of a tenth of a second */
    atomic_store(&limit, 0);
    begun = clock_ms();
    assert_true(throttle_take(&t, 1000000000, stop_flag, &stop));
    assert_in_range(clock_ms() - begun, 0, 100);
    atomic_store(&limit, 1);
    stop = true;
    begun = clock_ms();
    assert_false(throttle_take(&t, 1000000, stop_flag, &stop));
    assert_in_range(clock_ms() - begun, 0, 100);
    throttle_destroy(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_member_works_once),
        cmocka_unit_test(the_first_failure_is_the_crews),
        cmocka_unit_test(cancel_is_heard_soon),
        cmocka_unit_test(the_bucket_keeps_the_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
