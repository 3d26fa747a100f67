/* SPDX-License-Identifier: PostgreSQL
 *
 * What `crossfade offsets` says a start would decide.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "control/offsets_facts.h"

static struct offsets_facts sample(struct store_progress lanes[2])
{
    struct pgsql_fingerprint fp = {.system_id = "73",
                                   .database = "s",
                                   .timeline = 1,
                                   .slot = "crossfade_p",
                                   .publication = "crossfade_p",
                                   .slot_start = position_lsn(0x100)};
    lanes[0] = (struct store_progress){.lane = 0, .position = position_lsn(0x300), .epoch = 4};
    lanes[1] = (struct store_progress){.lane = 1, .position = position_lsn(0x200), .epoch = 4};
    return (struct offsets_facts){.epoch = 4,
                                  .lanes = lanes,
                                  .lane_count = 2,
                                  .stored = fp,
                                  .has_stored = true,
                                  .now = fp,
                                  .slot = {.exists = true, .confirmed = position_lsn(0x200)}};
}

static void decides(const struct offsets_facts *facts, enum offsets_decision want, const char *named)
{
    struct buffer words = {0};
    assert_int_equal(offsets_decide(facts, &words), want);
    if (!strstr(buffer_text(&words), named))
        fail_msg("\"%s\" does not tell \"%s\"", buffer_text(&words), named);
    buffer_free(&words);
}

static void resumes_where_the_slowest_lane_stands(void **state)
{
    (void)state;
    struct store_progress lanes[2];
    struct offsets_facts f = sample(lanes);
    decides(&f, OFFSETS_RESUME, "resume at 0/200");
    f.slot.confirmed = position_lsn(0x1ff);
    decides(&f, OFFSETS_RESUME, "resume at 0/200");
    f.lane_count = 0; /* the slot was made, nothing has been applied yet */
    f.slot.confirmed = position_lsn(0x100);
    decides(&f, OFFSETS_RESUME, "resume at 0/100");
    f = sample(lanes);
    f.now.timeline = 2;
    decides(&f, OFFSETS_RESUME, "timeline 1");
}

static void a_first_start_a_standby_and_a_missing_source_are_told_apart(void **state)
{
    (void)state;
    struct store_progress lanes[2];
    struct offsets_facts f = sample(lanes);
    snprintf(f.holder, sizeof(f.holder), "host:1:2");
    decides(&f, OFFSETS_STANDBY, "host:1:2");
    snprintf(f.source_error, sizeof(f.source_error), "no route");
    decides(&f, OFFSETS_WAIT, "no route");
    f = (struct offsets_facts){0};
    decides(&f, OFFSETS_FIRST, "begin");
}

/* Hazards 3, 4 and 41. */
static void whatever_contradicts_our_place_is_refused(void **state)
{
    (void)state;
    struct store_progress lanes[2];
    struct offsets_facts f = sample(lanes);
    f.slot.confirmed = position_lsn(0x201);
    decides(&f, OFFSETS_REFUSE, "0/201");
    f = sample(lanes);
    f.slot.exists = false;
    decides(&f, OFFSETS_REFUSE, "gone");
    f = sample(lanes);
    f.slot.lost = true;
    decides(&f, OFFSETS_REFUSE, "max_slot_wal_keep_size");
    f = sample(lanes);
    snprintf(f.now.system_id, sizeof(f.now.system_id), "74");
    decides(&f, OFFSETS_REFUSE, "74");
    snprintf(f.holder, sizeof(f.holder), "host:1:2"); /* also while somebody runs */
    decides(&f, OFFSETS_REFUSE, "74");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resumes_where_the_slowest_lane_stands),
        cmocka_unit_test(a_first_start_a_standby_and_a_missing_source_are_told_apart),
        cmocka_unit_test(whatever_contradicts_our_place_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
