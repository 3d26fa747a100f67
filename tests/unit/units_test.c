/* SPDX-License-Identifier: PostgreSQL
 *
 * Sizes and durations: every unit, both ends of the range, and what is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/units.h"

struct sample {
    const char *text;
    int64_t value;
};

static void sizes_are_powers_of_1024(void **state)
{
    (void)state;
    static const struct sample good[] = {{"0", 0},
                                         {"1", 1},
                                         {"0MB", 0},
                                         {"512B", 512},
                                         {"1kB", 1024},
                                         {"64MB", INT64_C(64) << 20},
                                         {"64 MB", INT64_C(64) << 20},
                                         {"10GB", INT64_C(10) << 30},
                                         {"3TB", INT64_C(3) << 40},
                                         {"007", 7},
                                         {"9223372036854775807", INT64_MAX},
                                         {"8388607TB", INT64_C(8388607) << 40}};
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        int64_t n = -1;
        struct error err = {0};
        assert_true(units_parse_size(good[i].text, &n, &err));
        assert_int_equal(n, good[i].value);
    }
}

static void durations_are_milliseconds(void **state)
{
    (void)state;
    static const struct sample good[] = {{"0", 0},
                                         {"1ms", 1},
                                         {"10s", 10000},
                                         {"2 min", 120000},
                                         {"1h", 3600000},
                                         {"7d", 604800000},
                                         {"9223372036854775807ms", INT64_MAX}};
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        int64_t n = -1;
        struct error err = {0};
        assert_true(units_parse_duration(good[i].text, &n, &err));
        assert_int_equal(n, good[i].value);
    }
}

struct refusal {
    const char *text;
    const char *wanted;
};

static void bad_sizes_say_what_is_allowed(void **state)
{
    (void)state;
    static const struct refusal bad[] = {{"", "not a size"},
                                         {"MB", "not a size"},
                                         {"-1", "not a size"},
                                         {"+1", "not a size"},
                                         {" 1", "not a size"},
                                         {"1.5GB", "unknown unit"},
                                         {"1mb", "unknown unit"},
                                         {"1KB", "unknown unit"},
                                         {"1MiB", "unknown unit"},
                                         {"1MB ", "unknown unit"},
                                         {"1  MB", "unknown unit"},
                                         {"1 ", "unknown unit"},
                                         {"1s", "unknown unit"},
                                         {"9223372036854775808", "too large to count"},
                                         {"8388608TB", "too large to count"},
                                         {"99999999999999999999999B", "too large to count"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        int64_t n;
        struct error err = {0};
        assert_false(units_parse_size(bad[i].text, &n, &err));
        assert_int_equal(err.kind, ERROR_CONFIG);
        assert_non_null(strstr(err.text, bad[i].wanted));
        assert_non_null(strstr(err.text, "allowed: a whole number of bytes, or with kB, MB, GB or TB"));
    }
}

static void bad_durations_say_what_is_allowed(void **state)
{
    (void)state;
    static const struct refusal bad[] = {{"", "not a duration"},
                                         {"10", "unknown unit"},
                                         {"10m", "unknown unit"},
                                         {"10S", "unknown unit"},
                                         {"10sec", "unknown unit"},
                                         {"1h30min", "unknown unit"},
                                         {"1e3s", "unknown unit"},
                                         {"18446744073709551616", "unknown unit"},
                                         {"106751991168d", "too large to count"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        int64_t n;
        struct error err = {0};
        assert_false(units_parse_duration(bad[i].text, &n, &err));
        assert_non_null(strstr(err.text, bad[i].wanted));
        assert_non_null(strstr(err.text, "allowed: a whole number with ms, s, min, h or d"));
    }
}

static void what_is_formatted_parses_back(void **state)
{
    (void)state;
    static const int64_t numbers[] = {0,
                                      1,
                                      999,
                                      1000,
                                      1023,
                                      1024,
                                      1025,
                                      60000,
                                      90000,
                                      86400000,
                                      INT64_C(5) << 30,
                                      INT64_MAX,
                                      INT64_MAX - 807};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
        char text[UNITS_TEXT_SIZE];
        int64_t n = -1;
        struct error err = {0};
        assert_true(units_parse_size(units_format_size(numbers[i], text), &n, &err));
        assert_int_equal(n, numbers[i]);
        assert_true(units_parse_duration(units_format_duration(numbers[i], text), &n, &err));
        assert_int_equal(n, numbers[i]);
    }
    char text[UNITS_TEXT_SIZE];
    assert_string_equal(units_format_size(INT64_C(64) << 20, text), "64MB");
    assert_string_equal(units_format_size(1025, text), "1025B");
    assert_string_equal(units_format_duration(90000, text), "90s");
    assert_string_equal(units_format_duration(0, text), "0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_powers_of_1024),      cmocka_unit_test(durations_are_milliseconds),
        cmocka_unit_test(bad_sizes_say_what_is_allowed), cmocka_unit_test(bad_durations_say_what_is_allowed),
        cmocka_unit_test(what_is_formatted_parses_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
