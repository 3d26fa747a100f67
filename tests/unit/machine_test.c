/* SPDX-License-Identifier: PostgreSQL
 *
 * The pipeline's machine: the ways that must be there, and that no phase is a dead end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "replicator/machine.h"

enum { PHASES = PHASE_STOPPED + 1, EVENTS = EVENT_END + 1 };

static enum stats_phase after(enum stats_phase from, enum machine_event event)
{
    const struct machine_transition *t = machine_next(from, event);
    if (!t)
        fail_msg("%s can't end so", stats_phase_name(from));
    assert_int_equal(t->event, event);
    assert_true(t->why && *t->why);
    return t->to;
}

static void a_first_start_ends_streaming(void **state)
{
    static const struct {
        enum machine_event event;
        enum stats_phase phase;
    } way[] = {{EVENT_OK, PHASE_STANDBY},    {EVENT_AGAIN, PHASE_STANDBY}, {EVENT_OK, PHASE_PREPARE},
               {EVENT_AGAIN, PHASE_PREPARE}, {EVENT_OK, PHASE_BACKFILL},   {EVENT_AGAIN, PHASE_PREPARE},
               {EVENT_OK, PHASE_BACKFILL},   {EVENT_OK, PHASE_CATCHUP},    {EVENT_AGAIN, PHASE_PREPARE},
               {EVENT_OK, PHASE_BACKFILL},   {EVENT_OK, PHASE_CATCHUP},    {EVENT_OK, PHASE_FINISH},
               {EVENT_OK, PHASE_STREAMING},  {EVENT_AGAIN, PHASE_PREPARE}};
    enum stats_phase at = PHASE_CONNECT;
    (void)state;
    for (size_t i = 0; i < sizeof(way) / sizeof(way[0]); i++) {
        at = after(at, way[i].event);
        assert_int_equal(at, way[i].phase);
    }
}

/* Whatever happens to a phase from outside has its answer in every phase. */
static void failures_lead_to_one_place_from_everywhere(void **state)
{
    (void)state;
    for (int p = 0; p < PHASES; p++) {
        assert_int_equal(after((enum stats_phase)p, EVENT_LOST), PHASE_BACKOFF);
        assert_int_equal(after((enum stats_phase)p, EVENT_FENCED), PHASE_CONNECT);
        assert_int_equal(after((enum stats_phase)p, EVENT_UNSAFE), PHASE_STOPPED);
        assert_int_equal(after((enum stats_phase)p, EVENT_END), PHASE_STOPPED);
    }
    assert_int_equal(after(PHASE_BACKOFF, EVENT_OK), PHASE_CONNECT);
}

/* Can `to` be reached by OK and AGAIN alone? */
static bool leads(enum stats_phase from, enum stats_phase to)
{
    bool seen[PHASES] = {false};
    seen[from] = true;
    for (int round = 0; round < PHASES; round++) {
        for (int p = 0; p < PHASES; p++) {
            for (int e = EVENT_OK; seen[p] && e <= EVENT_AGAIN; e++) {
                const struct machine_transition *t = machine_next((enum stats_phase)p, (enum machine_event)e);
                if (t)
                    seen[t->to] = true;
            }
        }
    }
    return seen[to];
}

static void no_phase_is_a_dead_end(void **state)
{
    (void)state;
    for (int p = 0; p < PHASE_STOPPED; p++) {
        assert_true(leads((enum stats_phase)p, PHASE_STREAMING));
        assert_true(p == PHASE_BACKOFF || leads(PHASE_CONNECT, (enum stats_phase)p));
        assert_false(leads((enum stats_phase)p, PHASE_STOPPED)); /* only what fails, or is asked to, stops */
        assert_false(leads((enum stats_phase)p, PHASE_BACKOFF) && p != PHASE_BACKOFF);
    }
    for (int e = EVENT_OK; e <= EVENT_AGAIN; e++)
        assert_null(machine_next(PHASE_STOPPED, (enum machine_event)e));
}

/* Nothing is written before the lease is held, and nothing streams strictly before the copies are passed. */
static void no_phase_is_skipped(void **state)
{
    (void)state;
    for (int p = 0; p < PHASES; p++) {
        for (int e = 0; e < EVENTS; e++) {
            const struct machine_transition *t = machine_next((enum stats_phase)p, (enum machine_event)e);
            if (!t)
                continue;
            assert_true(t->to != PHASE_PREPARE || p >= PHASE_STANDBY);
            assert_true(t->to != PHASE_STREAMING || p == PHASE_FINISH);
            assert_true(t->to != PHASE_FINISH || p == PHASE_CATCHUP);
            assert_true(t->to != PHASE_BACKFILL || p == PHASE_PREPARE);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_first_start_ends_streaming),
        cmocka_unit_test(failures_lead_to_one_place_from_everywhere),
        cmocka_unit_test(no_phase_is_a_dead_end),
        cmocka_unit_test(no_phase_is_skipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
