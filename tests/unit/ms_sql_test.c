/* SPDX-License-Identifier: PostgreSQL
 *
 * T-SQL quoting: nothing that a name or a value holds ends the literal it stands in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mssql/sql.h"

static void is(struct buffer *b, const char *wanted)
{
    assert_string_equal(buffer_text(b), wanted);
    buffer_free(b);
}

static void identifiers_are_bracketed(void **state)
{
    (void)state;
    struct buffer b = {0};
    ms_sql_ident(&b, "Student");
    is(&b, "[Student]");
    ms_sql_ident(&b, "a]b]]; DROP TABLE x--");
    is(&b, "[a]]b]]]]; DROP TABLE x--]");
    ms_sql_ident(&b, "[x]");
    is(&b, "[[x]]]");
    ms_sql_qualified(&b, "d.bo", "O'Hara \"x\"");
    is(&b, "[d.bo].[O'Hara \"x\"]");
    ms_sql_column(&b, "t", "Größe");
    is(&b, "[t].[Größe]");
    static const char *const names[] = {"a", "b]"};
    ms_sql_columns(&b, "t", names, 2);
    is(&b, "[t].[a], [t].[b]]]");
    ms_sql_columns(&b, NULL, names, 1);
    is(&b, "[a]");
}

static void literals_are_unicode_and_doubled(void **state)
{
    (void)state;
    struct buffer b = {0};
    ms_sql_literal(&b, "");
    is(&b, "N''");
    ms_sql_literal(&b, "it's 'x' \\");
    is(&b, "N'it''s ''x'' \\'");
    ms_sql_literal(&b, "\xF0\x9F\x98\x80");
    is(&b, "N'\xF0\x9F\x98\x80'");
}

static void a_nul_goes_as_bytes(void **state)
{
    (void)state;
    struct buffer b = {0};
    ms_sql_literal_slice(&b, (struct slice){"a\0\xC3\xA9\xF0\x9F\x98\x80", 8});
    is(&b, "CONVERT(nvarchar(max), 0x61000000E9003DD800DE)");
    ms_sql_literal_slice(&b, (struct slice){"a\0'", 2});
    is(&b, "CONVERT(nvarchar(max), 0x61000000)");
}

static void binary_and_conversions(void **state)
{
    (void)state;
    struct buffer b = {0};
    ms_sql_hex(&b, "", 0);
    is(&b, "0x");
    ms_sql_hex(&b, "\x00\x0f\xfe", 3);
    is(&b, "0x000FFE");
    ms_sql_convert_hex(&b, "binary(10)", "\x01", 1);
    is(&b, "CONVERT(binary(10), 0x01)");
    ms_sql_convert_text(&b, "datetime2(7)", slice_of("2020-01-01T00:00:00"), 126);
    is(&b, "CONVERT(datetime2(7), N'2020-01-01T00:00:00', 126)");
    ms_sql_convert_text(&b, "nvarchar(5)", slice_of("a'b"), -1);
    is(&b, "CONVERT(nvarchar(5), N'a''b')");
}

static void integers_at_their_ends(void **state)
{
    (void)state;
    struct buffer b = {0};
    static const int64_t values[] = {1, -2, INT64_MAX, INT64_MIN};
    ms_sql_ints(&b, values, 4);
    is(&b, "1, -2, 9223372036854775807, CONVERT(bigint, 0x8000000000000000)");
    ms_sql_ints(&b, values, 0);
    is(&b, "NULL");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identifiers_are_bracketed), cmocka_unit_test(literals_are_unicode_and_doubled),
        cmocka_unit_test(a_nul_goes_as_bytes),       cmocka_unit_test(binary_and_conversions),
        cmocka_unit_test(integers_at_their_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
