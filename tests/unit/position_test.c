/* SPDX-License-Identifier: PostgreSQL
 *
 * Positions of every kind, as text and in order.
 */
#include "model/position.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void round_trip(const char *text)
{
    struct position p;
    char back[POSITION_TEXT_SIZE];
    assert_true(position_parse(text, &p));
    assert_string_equal(position_format(p, back), text);
}

static void every_kind_reads_back_what_it_wrote(void **state)
{
    (void)state;
    round_trip("");
    round_trip("16/B374D848");
    round_trip("0/0");
    round_trip("0x0000002A000001F80003");
    round_trip("0xFFFFFFFFFFFFFFFFFFFF");
    round_trip("{\"version\": 123}");
    round_trip("{\"rowversion\": 18446744073709551615}");
    round_trip("{\"time\": 1700000000000000}");
    round_trip("{\"poll\": 0}");
}

static void other_texts_are_refused(void **state)
{
    static const char *const bad[] = {"16",
                                      "16/",
                                      "0x12",
                                      "0x0000002A000001F8000G",
                                      "{}",
                                      "{\"version\": }",
                                      "{\"other\": 1}",
                                      "{\"version\": -1}",
                                      "{\"version\": 18446744073709551616}",
                                      "{\"version\": 1} x",
                                      "{\"version\": 1.5}"};
    struct position p;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (position_parse(bad[i], &p))
            fail_msg("%s was taken", bad[i]);
    }
    assert_true(position_parse("{\"version\":7}", &p)); /* as jsonb or another writer has it */
    assert_int_equal(p.low, 7);
}

static void an_lsn_of_ten_bytes_keeps_them_in_order(void **state)
{
    static const unsigned char low[10] = {0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    static const unsigned char high[10] = {0, 1, 0, 0, 0, 0, 0, 0, 0, 1};
    unsigned char back[10];
    char text[POSITION_TEXT_SIZE];
    (void)state;
    assert_true(position_compare(position_cdc(low), position_cdc(high)) < 0);
    assert_true(position_compare(position_cdc(high), position_cdc(high)) == 0);
    assert_true(position_compare((struct position){0}, position_cdc(low)) < 0);
    assert_string_equal(position_format(position_cdc(high), text), "0x00010000000000000001");
    position_cdc_bytes(position_cdc(high), back);
    assert_memory_equal(back, high, sizeof(back));
}

static void bytes_are_known_of_a_wal_only(void **state)
{
    static const unsigned char lsn[10] = {1};
    uint64_t bytes = 1;
    (void)state;
    assert_true(position_distance(position_lsn(100), position_lsn(350), &bytes));
    assert_int_equal(bytes, 250);
    assert_true(position_distance(position_lsn(350), position_lsn(100), &bytes));
    assert_int_equal(bytes, 0);
    assert_false(position_distance(position_cdc(lsn), position_cdc(lsn), &bytes));
    assert_false(position_distance((struct position){0}, position_lsn(1), &bytes));
    assert_false(position_distance(position_cursor(POSITION_VERSION, 1), position_cursor(POSITION_VERSION, 9),
                                   &bytes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_reads_back_what_it_wrote),
        cmocka_unit_test(other_texts_are_refused),
        cmocka_unit_test(an_lsn_of_ten_bytes_keeps_them_in_order),
        cmocka_unit_test(bytes_are_known_of_a_wal_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
