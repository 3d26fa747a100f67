/* SPDX-License-Identifier: PostgreSQL
 *
 * The type table: every row says what it must, catalog rows find theirs, and the T-SQL around a column.
 */
#include "mssql/type.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "mssql/value.h"

static struct ms_column_type column(enum ms_type_id type, int max_length, int precision, int scale)
{
    return (struct ms_column_type){.type = ms_type_at(type),
                                   .max_length = (int16_t)max_length,
                                   .precision = (uint8_t)precision,
                                   .scale = (uint8_t)scale};
}

static void check_carrier(const struct ms_type *type, const struct ms_carrier *carrier)
{
    struct ms_column_type c = {.type = type, .max_length = 8, .precision = 10, .scale = 2};
    struct ms_codec codec;
    ms_codec_make(&c, carrier, NULL, &codec); /* asserts that there are functions */
    assert_int_equal(codec.oid, carrier->oid);
    assert_ptr_equal(ms_type_offers(type, carrier->oid), carrier); /* no oid twice */
    assert_int_equal(carrier->fit == MS_EXACT, carrier->note == NULL);
}

static void test_every_row_is_complete(void **state)
{
    (void)state;
    for (int i = 0; i < MS_TYPE_COUNT; i++) {
        const struct ms_type *t = ms_type_at((enum ms_type_id)i);
        int carriers = 0;
        assert_non_null(t->name);
        assert_non_null(t->range);
        assert_ptr_equal(ms_type_named(t->name), t);
        assert_ptr_equal(ms_type_find(t->system_type_id, t->name), t);
        assert_true(t->cdc || t->cdc_note);
        for (const struct ms_carrier *c = t->carriers; c->convert != MS_CONVERT_NONE; c++, carriers++)
            check_carrier(t, c);
        assert_true(carriers > 0 && carriers < MS_CARRIERS_MAX);
        assert_true(t->loss == NULL || ms_type_carrier(t)->fit == MS_LOSSY);
    }
}

static void test_catalog_rows_find_their_type(void **state)
{
    (void)state;
    assert_int_equal(ms_type_find(231, "sysname")->id, MS_NVARCHAR);
    assert_int_equal(ms_type_find(56, "StudentId")->id, MS_INT); /* an alias type */
    assert_int_equal(ms_type_find(240, "geography")->id, MS_GEOGRAPHY);
    assert_null(ms_type_find(240, "MyPoint"));
    assert_null(ms_type_find(244, "json"));
    assert_int_equal(ms_type_named("rowversion")->id, MS_ROWVERSION);
    assert_null(ms_type_named("Int"));
}

static int32_t modifier(struct ms_column_type c, uint32_t oid)
{
    return ms_type_modifier(&c, ms_type_offers(c.type, oid));
}

static void test_modifiers(void **state)
{
    (void)state;
    assert_int_equal(modifier(column(MS_DECIMAL, 17, 38, 38), MS_OID_NUMERIC), (38 << 16 | 38) + 4);
    assert_int_equal(modifier(column(MS_DECIMAL, 17, 18, 0), MS_OID_INT8), -1);
    assert_int_equal(modifier(column(MS_MONEY, 8, 19, 4), MS_OID_NUMERIC), (19 << 16 | 4) + 4);
    assert_int_equal(modifier(column(MS_SMALLMONEY, 4, 10, 4), MS_OID_NUMERIC), (10 << 16 | 4) + 4);
    assert_int_equal(modifier(column(MS_BIGINT, 8, 19, 0), MS_OID_NUMERIC), -1);
    assert_int_equal(modifier(column(MS_NVARCHAR, 200, 0, 0), MS_OID_VARCHAR), 104);
    assert_int_equal(modifier(column(MS_NVARCHAR, -1, 0, 0), MS_OID_VARCHAR), -1);
    assert_int_equal(modifier(column(MS_VARCHAR, 8000, 0, 0), MS_OID_VARCHAR), 8004);
    assert_int_equal(modifier(column(MS_NCHAR, 20, 0, 0), MS_OID_BPCHAR), 14);
    assert_int_equal(modifier(column(MS_NCHAR, 20, 0, 0), MS_OID_TEXT), -1);
    assert_int_equal(modifier(column(MS_DATETIME2, 8, 27, 7), MS_OID_TIMESTAMP), 6);
    assert_int_equal(modifier(column(MS_DATETIME2, 6, 19, 0), MS_OID_TIMESTAMPTZ), 0);
    assert_int_equal(modifier(column(MS_DATETIME, 8, 23, 3), MS_OID_TIMESTAMP), 3);
    assert_int_equal(modifier(column(MS_SMALLDATETIME, 4, 16, 0), MS_OID_TIMESTAMP), 0);
    assert_int_equal(modifier(column(MS_TIME, 5, 16, 7), MS_OID_TIME), 6);
    assert_int_equal(modifier(column(MS_DATE, 3, 10, 0), MS_OID_DATE), -1);
}

static void assert_text(struct buffer *out, const char *expected)
{
    assert_string_equal(buffer_text(out), expected);
    buffer_free(out);
}

static void test_declarations(void **state)
{
    (void)state;
    static const struct {
        enum ms_type_id type;
        int max_length, precision, scale;
        const char *text;
    } cases[] = {
        {MS_DECIMAL, 17, 38, 38, "decimal(38,38)"},
        {MS_NVARCHAR, 200, 0, 0, "nvarchar(100)"},
        {MS_NVARCHAR, -1, 0, 0, "nvarchar(max)"},
        {MS_VARCHAR, 8000, 0, 0, "varchar(8000)"},
        {MS_VARBINARY, -1, 0, 0, "varbinary(max)"},
        {MS_BINARY, 16, 0, 0, "binary(16)"},
        {MS_DATETIME2, 8, 27, 7, "datetime2(7)"},
        {MS_TIME, 5, 16, 0, "time(0)"},
        {MS_DATETIMEOFFSET, 8, 0, 3, "datetimeoffset(3)"},
        {MS_DATETIME, 8, 23, 3, "datetime"},
        {MS_ROWVERSION, 8, 0, 0, "rowversion"},
        {MS_NTEXT, 16, 0, 0, "ntext"},
        {MS_XML, -1, 0, 0, "xml"},
        {MS_FLOAT, 8, 53, 0, "float"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer out = {0};
        struct ms_column_type c =
            column(cases[i].type, cases[i].max_length, cases[i].precision, cases[i].scale);
        ms_type_declare(&c, &out);
        assert_text(&out, cases[i].text);
    }
}

static void test_large_types(void **state)
{
    (void)state;
    struct ms_column_type max = column(MS_VARBINARY, -1, 0, 0), some = column(MS_VARBINARY, 8000, 0, 0);
    struct ms_column_type text = column(MS_TEXT, 16, 0, 0);
    assert_true(ms_type_is_large(&max) && ms_type_is_large(&text) && !ms_type_is_large(&some));
    assert_int_equal(ms_type_length(&max), 0);
    assert_int_equal(ms_type_length(&text), 0);
    assert_int_equal(ms_type_length(&some), 8000);
}

typedef void (*around)(const struct ms_column_type *, const struct ms_carrier *, const char *,
                       struct buffer *);

static void assert_around(around function, enum ms_type_id type, uint32_t oid, const char *expected)
{
    struct buffer out = {0};
    struct ms_column_type c = column(type, 892, 0, 0);
    function(&c, ms_type_offers(c.type, oid), "t.[G]", &out);
    assert_text(&out, expected);
}

static void test_how_it_is_read_and_written(void **state)
{
    (void)state;
    assert_around(ms_type_select, MS_INT, MS_OID_INT4, "t.[G]");
    assert_around(ms_type_select, MS_XML, MS_OID_XML, "CONVERT(nvarchar(max), t.[G])");
    assert_around(ms_type_select, MS_HIERARCHYID, MS_OID_TEXT, "t.[G].ToString()");
    assert_around(ms_type_select, MS_HIERARCHYID, MS_OID_BYTEA, "CONVERT(varbinary(892), t.[G])");
    assert_around(ms_type_select, MS_GEOMETRY, MS_OID_TEXT,
                  "N'SRID=' + CONVERT(nvarchar(11), t.[G].STSrid) + N';' + t.[G].AsTextZM()");
    assert_around(ms_type_select, MS_GEOGRAPHY, MS_OID_BYTEA, "CONVERT(varbinary(max), t.[G])");
    assert_around(ms_type_assign, MS_INT, MS_OID_INT4, "t.[G]");
    assert_around(ms_type_assign, MS_XML, MS_OID_XML, "CONVERT(xml, t.[G], 1)");
    assert_around(ms_type_assign, MS_HIERARCHYID, MS_OID_TEXT, "hierarchyid::Parse(t.[G])");
    assert_around(ms_type_assign, MS_GEOGRAPHY, MS_OID_TEXT,
                  "geography::STGeomFromText(STUFF(t.[G], 1, CHARINDEX(N';', t.[G]), N''), "
                  "CONVERT(int, SUBSTRING(t.[G], 6, CHARINDEX(N';', t.[G]) - 6)))");
    struct buffer out = {0};
    ms_type_select_raw("[a]", &out);
    assert_text(&out, "CONVERT(varbinary(max), CONVERT(nvarchar(max), [a]))");
    struct ms_column_type variant = column(MS_SQL_VARIANT, 8016, 0, 0);
    ms_type_select(&variant, ms_type_carrier(variant.type), "[v]", &out);
    assert_non_null(strstr(buffer_text(&out), "SQL_VARIANT_PROPERTY([v], 'BaseType')"));
    assert_null(strstr(buffer_text(&out), "%s"));
    buffer_free(&out);
}

static void assert_staging(enum ms_type_id type, int max_length, uint32_t oid, const char *expected)
{
    struct buffer out = {0};
    struct ms_column_type c = column(type, max_length, 10, 2);
    ms_type_staging(&c, ms_type_offers(c.type, oid), &out);
    assert_text(&out, expected);
}

static void test_staging_columns(void **state)
{
    (void)state;
    assert_staging(MS_INT, 4, MS_OID_INT8, "int");
    assert_staging(MS_DECIMAL, 9, MS_OID_NUMERIC, "decimal(10,2)");
    assert_staging(MS_CHAR, 10, MS_OID_BPCHAR, "nvarchar(10) COLLATE DATABASE_DEFAULT");
    assert_staging(MS_NVARCHAR, 8000, MS_OID_VARCHAR, "nvarchar(4000) COLLATE DATABASE_DEFAULT");
    assert_staging(MS_VARCHAR, 8000, MS_OID_VARCHAR, "nvarchar(max) COLLATE DATABASE_DEFAULT");
    assert_staging(MS_TEXT, 16, MS_OID_TEXT, "nvarchar(max) COLLATE DATABASE_DEFAULT");
    assert_staging(MS_BINARY, 16, MS_OID_BYTEA, "varbinary(16)");
    assert_staging(MS_IMAGE, 16, MS_OID_BYTEA, "varbinary(max)");
    assert_staging(MS_DATETIME2, 8, MS_OID_TIMESTAMP, "datetime2(7)");
    assert_staging(MS_ROWVERSION, 8, MS_OID_BYTEA, "binary(8)");
    assert_staging(MS_GEOMETRY, -1, MS_OID_TEXT, "nvarchar(max) COLLATE DATABASE_DEFAULT");
}

/* '?' instead of a character that the code page has not would be written without an error. */
static void test_characters_outside_the_code_page(void **state)
{
    (void)state;
    struct buffer out = {0};
    struct ms_column_type c = column(MS_VARCHAR, 10, 0, 0);
    c.collation = "Latin1_General_CI_AS";
    assert_true(ms_type_misfit(&c, "s.[n]", &out));
    assert_text(&out,
                "CONVERT(nvarchar(max), CONVERT(varchar(max), s.[n] COLLATE Latin1_General_CI_AS)) COLLATE "
                "Latin1_General_BIN2 <> s.[n] COLLATE Latin1_General_BIN2");
    c.is_utf8 = true;
    assert_false(ms_type_misfit(&c, "s.[n]", &out));
    c = column(MS_NVARCHAR, 10, 0, 0);
    assert_false(ms_type_misfit(&c, "s.[n]", &out));
    assert_int_equal(out.length, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_is_complete),
        cmocka_unit_test(test_catalog_rows_find_their_type),
        cmocka_unit_test(test_modifiers),
        cmocka_unit_test(test_declarations),
        cmocka_unit_test(test_large_types),
        cmocka_unit_test(test_how_it_is_read_and_written),
        cmocka_unit_test(test_staging_columns),
        cmocka_unit_test(test_characters_outside_the_code_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
