/* SPDX-License-Identifier: PostgreSQL */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "state/mirror.h"

static void a_mirror_is_one_fenced_command(void **state)
{
    (void)state;
    struct mirror mirror;
    struct mirror_command command;
    mirror_init(&mirror, "school", 12);
    mirror.whole = true;
    mirror_set_offsets(&mirror, "forward",
                       &(struct mirror_offsets){.received = position_lsn(0x16B3748), .lag_bytes = INT64_MAX});
    mirror_set(&mirror, MIRROR_STATE, "table:public.t", "%s", "stre aming\n\"");
    mirror_encode(&mirror, &command);
    static const char *const want[] = {"EVAL",
                                       NULL,
                                       "4",
                                       "crossfade:school:epoch",
                                       "crossfade:school:offsets",
                                       "crossfade:school:state",
                                       "crossfade:school:flags",
                                       "12",
                                       "crossfade:school:events",
                                       "1",
                                       "5",
                                       "forward.received",
                                       "0/16B3748",
                                       "forward.applied",
                                       "",
                                       "forward.confirmed",
                                       "",
                                       "forward.lag_bytes",
                                       "9223372036854775807",
                                       "forward.lag_ms",
                                       "0",
                                       "1",
                                       "table:public.t",
                                       "stre aming\n\"",
                                       "0"};
    assert_int_equal(command.argc, sizeof(want) / sizeof(want[0]));
    for (int i = 0; i < command.argc; i++) {
        if (want[i])
            assert_string_equal(command.argv[i], want[i]);
        assert_int_equal(command.lengths[i], strlen(command.argv[i]));
    }
    mirror_command_free(&command);
    mirror_free(&mirror);
}

static void an_empty_mirror_still_tells_the_epoch(void **state)
{
    (void)state;
    struct mirror mirror;
    struct mirror_command command;
    mirror_init(&mirror, "p", 1);
    mirror_encode(&mirror, &command);
    assert_int_equal(command.argc, 13);
    assert_string_equal(command.argv[7], "1");
    assert_string_equal(command.argv[9], "0"); /* without tables none is known to have left */
    assert_string_equal(command.argv[12], "0");
    mirror_command_free(&command);
    mirror_free(&mirror);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mirror_is_one_fenced_command),
        cmocka_unit_test(an_empty_mirror_still_tells_the_epoch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
