/* SPDX-License-Identifier: PostgreSQL
 *
 * What SQL Server and db-lib say, and the kind and text that is made of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "mssql/ms_error.h"

static void say(struct ms_messages *m, int number, int severity, const char *text)
{
    ms_messages_add_server(m, number, 1, severity, 3, "", text);
}

static void numbers_have_their_kind(void **state)
{
    (void)state;
    static const struct {
        enum error_kind kind;
        int numbers[20];
    } known[] = {
        {ERROR_RETRY, {1205, 1222, 3952, 3960, 3961, 10928, 40197, 40501, 40613, 49918, 9002, 701}},
        {ERROR_DATA, {2601, 2627, 547, 515, 8115, 8152, 2628, 245, 241}},
        {ERROR_REFUSED, {208, 229, 4060, 18456, 4711, 313, 334, 468, 1934, 102, 207}},
        {ERROR_FATAL, {823, 824, MS_RAISED_FATAL}},
        {ERROR_FENCED, {MS_RAISED_FENCED}},
    };
    for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++) {
        for (int i = 0; known[k].numbers[i]; i++) {
            if (ms_error_kind(known[k].numbers[i], 16) != known[k].kind)
                fail_msg("error %d is not %s", known[k].numbers[i], error_kind_name(known[k].kind));
        }
    }
    assert_int_equal(ms_error_kind(99999, 16), ERROR_REFUSED);
    assert_int_equal(ms_error_kind(60000, 17), ERROR_RETRY);
    assert_int_equal(ms_error_kind(60000, 20), ERROR_RETRY);
    static const int link[] = {20003, 20017, 20047, 20004, 20006};
    for (size_t i = 0; i < sizeof(link) / sizeof(link[0]); i++)
        assert_int_equal(ms_client_kind(link[i]), ERROR_RETRY);
    assert_int_equal(ms_client_kind(2401), ERROR_DATA);
    assert_int_equal(ms_client_kind(2402), ERROR_DATA);
    assert_int_equal(ms_client_kind(2403), ERROR_DATA);
    assert_int_equal(ms_client_kind(20026), ERROR_REFUSED);
}

static void the_first_significant_message_wins(void **state)
{
    (void)state;
    struct ms_messages m = {0};
    struct error err;
    say(&m, 5701, 10, "Changed database context to 'x'.");
    assert_false(ms_messages_failed(&m));
    say(&m, 2627, 14, "Violation of PRIMARY KEY constraint 'pk'. The duplicate key value is (1).");
    say(&m, 3621, 16, "The statement has been terminated.");
    ms_messages_add_client(&m, 20018, 0, "General SQL Server error: Check messages from the SQL Server");
    assert_true(ms_messages_failed(&m));
    assert_false(ms_error_from(&err, "legacy", &m));
    assert_int_equal(err.kind, ERROR_DATA);
    assert_string_equal(err.code, "2627");
    assert_string_equal(err.text,
                        "legacy: Violation of PRIMARY KEY constraint 'pk'. The duplicate key value is (1) "
                        "(line 3, error 2627)");
}

static void noise_gives_way_to_what_comes_later(void **state)
{
    (void)state;
    struct ms_messages m = {0};
    struct error err;
    say(&m, 3616, 16, "An error was raised during trigger execution.");
    ms_messages_add_server(&m, 547, 0, 16, 7, "dbo.tr", "The INSERT statement\nconflicted.");
    assert_false(ms_error_from(&err, "legacy", &m));
    assert_string_equal(err.text, "legacy: The INSERT statement conflicted (dbo.tr line 7, error 547)");
}

static void a_deadlock_behind_a_rows_error_is_retried(void **state)
{
    (void)state;
    struct ms_messages m = {0};
    struct error err;
    say(&m, 2627, 14, "Violation of UNIQUE KEY");
    say(&m, 1205, 13, "Transaction (Process ID 52) was deadlocked");
    assert_false(ms_error_from(&err, "legacy", &m));
    assert_int_equal(err.kind, ERROR_RETRY);
}

static void replaced_characters_do_not_fail_a_command(void **state)
{
    (void)state;
    struct ms_messages m = {0};
    ms_messages_add_client(&m, 2403, 0, "Some character(s) could not be converted");
    assert_true(m.damaged);
    assert_false(ms_messages_failed(&m));
    ms_messages_add_client(&m, 2401, 0, "cut");
    assert_true(ms_messages_failed(&m));
    assert_int_equal(m.client, 2401);
}

static void of_the_library_the_cause_is_told_not_the_end(void **state)
{
    (void)state;
    struct ms_messages m = {0};
    struct error err;
    ms_messages_add_client(&m, 20047, 0, "DBPROCESS is dead or not enabled");
    ms_messages_add_client(&m, 20004, 104, "Read from the server failed");
    ms_messages_add_client(&m, 20047, 0, "DBPROCESS is dead or not enabled");
    assert_false(ms_error_from(&err, "legacy", &m));
    assert_int_equal(err.kind, ERROR_RETRY);
    assert_string_equal(err.text,
                        "legacy: Read from the server failed - Connection reset by peer (error 20004)");
    ms_messages_clear(&m);
    assert_false(ms_error_from(&err, "legacy", &m));
    assert_int_equal(err.kind, ERROR_RETRY);
    ms_messages_add_client(&m, 20003, 115, "Adaptive Server connection timed out");
    assert_false(ms_error_from(&err, "legacy", &m));
    assert_string_equal(err.text, "legacy: the server did not answer in time (error 20003)");
}

static void long_texts_are_cut_between_characters(void **state)
{
    (void)state;
    struct ms_messages m = {0};
    struct error err;
    char text[3000];
    for (size_t i = 0; i + 1 < sizeof(text); i += 2)
        memcpy(text + i, "\xC3\xA9", 2);
    text[sizeof(text) - 2] = '\0';
    text[sizeof(text) - 1] = '\0';
    say(&m, 50000, 16, text);
    assert_int_equal(strlen(m.text), 798);
    assert_false(ms_error_from(&err, "legacy", &m));
    assert_non_null(strstr(err.text, "(line 3, error 50000)"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_have_their_kind),
        cmocka_unit_test(the_first_significant_message_wins),
        cmocka_unit_test(noise_gives_way_to_what_comes_later),
        cmocka_unit_test(a_deadlock_behind_a_rows_error_is_retried),
        cmocka_unit_test(replaced_characters_do_not_fail_a_command),
        cmocka_unit_test(of_the_library_the_cause_is_told_not_the_end),
        cmocka_unit_test(long_texts_are_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
