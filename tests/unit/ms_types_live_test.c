/* SPDX-License-Identifier: PostgreSQL
 *
 * What a SQL Server really sends of each type, through db-lib and the codec: boundary values written as
 * T-SQL, read by the expression of the type table. What a server can't express is told and left out: an
 * emulator's limits are not ours. Without CROSSFADE_TEST_SQLSERVER the test skips.
 */
#include "mssql/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sybfront.h>
#include <sybdb.h>
#include <cmocka.h>

#include "ms_live.h"

struct sent {
    enum ms_type_id type;
    int max_length, precision, scale;
    uint32_t oid;
    const char *sql;  /* T-SQL of the value, assigned to a column of the type */
    const char *text; /* what PostgreSQL would write */
};

static const struct sent values[] = {
    {MS_BIT, 1, 1, 0, MS_OID_BOOL, "1", "t"},
    {MS_TINYINT, 1, 3, 0, MS_OID_INT2, "255", "255"},
    {MS_SMALLINT, 2, 5, 0, MS_OID_INT2, "-32768", "-32768"},
    {MS_INT, 4, 10, 0, MS_OID_INT4, "-2147483648", "-2147483648"},
    {MS_BIGINT, 8, 19, 0, MS_OID_INT8, "-9223372036854775808", "-9223372036854775808"},
    {MS_DECIMAL, 17, 38, 38, MS_OID_NUMERIC, "0.99999999999999999999999999999999999999",
     "0.99999999999999999999999999999999999999"},
    {MS_DECIMAL, 17, 38, 0, MS_OID_NUMERIC, "-99999999999999999999999999999999999999",
     "-99999999999999999999999999999999999999"},
    {MS_DECIMAL, 9, 18, 4, MS_OID_NUMERIC, "-12345.6789", "-12345.6789"},
    {MS_MONEY, 8, 19, 4, MS_OID_NUMERIC, "-922337203685477.5808", "-922337203685477.5808"},
    {MS_MONEY, 8, 19, 4, MS_OID_NUMERIC, "922337203685477.5807", "922337203685477.5807"},
    {MS_SMALLMONEY, 4, 10, 4, MS_OID_NUMERIC, "-214748.3648", "-214748.3648"},
    {MS_FLOAT, 8, 53, 0, MS_OID_FLOAT8, "1.7976931348623157e308", "1.7976931348623157e+308"},
    {MS_REAL, 4, 24, 0, MS_OID_FLOAT4, "-3.4028235e38", "-3.4028235e+38"},
    {MS_DATE, 3, 10, 0, MS_OID_DATE, "'0001-01-01'", "0001-01-01"},
    {MS_DATE, 3, 10, 0, MS_OID_DATE, "'9999-12-31'", "9999-12-31"},
    {MS_TIME, 5, 15, 6, MS_OID_TIME, "'23:59:59.999999'", "23:59:59.999999"},
    {MS_TIME, 3, 8, 0, MS_OID_TIME, "'23:59:59'", "23:59:59"},
    {MS_SMALLDATETIME, 4, 16, 0, MS_OID_TIMESTAMP, "'2079-06-06 23:59'", "2079-06-06 23:59:00"},
    {MS_DATETIME, 8, 23, 3, MS_OID_TIMESTAMP, "'1753-01-01'", "1753-01-01 00:00:00"},
    {MS_DATETIME, 8, 23, 3, MS_OID_TIMESTAMP, "'9999-12-31 23:59:59.997'", "9999-12-31 23:59:59.997"},
    {MS_DATETIME, 8, 23, 3, MS_OID_TIMESTAMP, "'2000-01-01 00:00:00.003'", "2000-01-01 00:00:00.003"},
    {MS_DATETIME2, 8, 26, 6, MS_OID_TIMESTAMP, "'0001-01-01 00:00:00.000001'", "0001-01-01 00:00:00.000001"},
    {MS_DATETIME2, 8, 26, 6, MS_OID_TIMESTAMP, "'9999-12-31 23:59:59.999999'", "9999-12-31 23:59:59.999999"},
    {MS_DATETIME2, 7, 23, 3, MS_OID_TIMESTAMP, "'2000-02-29 12:34:56.789'", "2000-02-29 12:34:56.789"},
    {MS_DATETIMEOFFSET, 10, 33, 6, MS_OID_TIMESTAMPTZ, "'2024-02-28 19:30:00 +14:00'",
     "2024-02-28 05:30:00+00"},
    {MS_DATETIMEOFFSET, 10, 33, 6, MS_OID_TIMESTAMPTZ, "'2024-02-28 19:30:00.5 -14:00'",
     "2024-02-29 09:30:00.5+00"},
    {MS_CHAR, 6, 0, 0, MS_OID_BPCHAR, "'ab'", "ab    "},
    {MS_VARCHAR, 20, 0, 0, MS_OID_VARCHAR, "'ab  '", "ab  "},
    {MS_VARCHAR, 20, 0, 0, MS_OID_VARCHAR, "''", ""},
    {MS_VARCHAR, -1, 0, 0, MS_OID_TEXT, "REPLICATE('x', 5)", "xxxxx"},
    {MS_NCHAR, 8, 0, 0, MS_OID_BPCHAR, "N'\xC3\xA9'", "\xC3\xA9   "},
    {MS_NVARCHAR, 40, 0, 0, MS_OID_VARCHAR, "N'\xC3\xA9 \xE4\xB8\xAD \xF0\x9F\x98\x80'",
     "\xC3\xA9 \xE4\xB8\xAD \xF0\x9F\x98\x80"},
    {MS_NVARCHAR, -1, 0, 0, MS_OID_TEXT, "N''", ""},
    {MS_TEXT, 16, 0, 0, MS_OID_TEXT, "'abc'", "abc"},
    {MS_NTEXT, 16, 0, 0, MS_OID_TEXT, "N'\xC3\xA9'", "\xC3\xA9"},
    {MS_BINARY, 4, 0, 0, MS_OID_BYTEA, "0x00FF", "\\x00ff0000"},
    {MS_VARBINARY, 10, 0, 0, MS_OID_BYTEA, "0x00FF5C27", "\\x00ff5c27"},
    {MS_VARBINARY, 10, 0, 0, MS_OID_BYTEA, "0x", "\\x"},
    {MS_VARBINARY, -1, 0, 0, MS_OID_BYTEA, "0x0102", "\\x0102"},
    {MS_IMAGE, 16, 0, 0, MS_OID_BYTEA, "0x0102", "\\x0102"},
    {MS_UNIQUEIDENTIFIER, 16, 0, 0, MS_OID_UUID, "'00112233-4455-6677-8899-AABBCCDDEEFF'",
     "00112233-4455-6677-8899-aabbccddeeff"},
    {MS_XML, -1, 0, 0, MS_OID_XML, "N'<a b=\"1\">x</a>'", "<a b=\"1\">x</a>"},
    {MS_SQL_VARIANT, 8016, 0, 0, MS_OID_TEXT, "CONVERT(int, 42)", "42"},
    {MS_SQL_VARIANT, 8016, 0, 0, MS_OID_TEXT, "CONVERT(varbinary(4), 0x0A0B)", "0x0A0B"},
    {MS_HIERARCHYID, 892, 0, 0, MS_OID_TEXT, "'/1/2/'", "/1/2/"},
    {MS_GEOMETRY, -1, 0, 0, MS_OID_TEXT, "geometry::STGeomFromText('POINT (1 2 3 4)', 4326)",
     "SRID=4326;POINT (1 2 3 4)"},
};

/* The seventh digit is cut; not every engine keeps it. */
static const struct sent seventh[] = {
    {MS_TIME, 5, 16, 7, MS_OID_TIME, "'23:59:59.9999999'", "23:59:59.999999"},
    {MS_DATETIME2, 8, 27, 7, MS_OID_TIMESTAMP, "'9999-12-31 23:59:59.9999999'", "9999-12-31 23:59:59.999999"},
    {MS_DATETIMEOFFSET, 10, 34, 7, MS_OID_TIMESTAMPTZ, "'2024-02-29 23:59:59.9999999 +00:00'",
     "2024-02-29 23:59:59.999999+00"},
};

struct fixture {
    struct ms_conn conn;
    const struct sent *sent;
    struct ms_codec codec;
    struct buffer value;
    int rows;
    bool null_seen;
};

static bool take_row(void *context, struct ms_conn *conn, struct error *err)
{
    struct fixture *f = context;
    struct ms_datum datum = ms_column(conn, 0);
    if (!datum.data) {
        f->null_seen = true;
        return true;
    }
    f->rows++;
    return ms_value_decode(&f->codec, &datum, &f->value, err);
}

/* Text to the column as the sink for the way back will do it: by bcp into a staging column, then assigned. */
static bool written(struct fixture *f, const struct ms_column_type *column, const struct ms_carrier *carrier)
{
    struct buffer sql = {0}, bytes = {0};
    struct ms_bound bound;
    struct error err = {0};
    struct value v = {f->sent->text, (uint32_t)strlen(f->sent->text), VALUE_TEXT};
    ms_live_exec(&f->conn, "TRUNCATE TABLE dbo.crossfade_value");
    buffer_puts(&sql, "CREATE TABLE #staged (v ");
    ms_type_staging(column, carrier, &sql);
    buffer_puts(&sql, " NULL)");
    ms_live_exec(&f->conn, buffer_text(&sql));
    if (!ms_value_encode(&f->codec, &v, &bytes, &bound, &err))
        fail_msg("%s: %s", f->sent->text, err.text);
    ms_conn_call(&f->conn);
    DBPROCESS *db = f->conn.db;
    BYTE *at = (BYTE *)bytes.data + bound.offset;
    bool good = bcp_init(db, "#staged", NULL, NULL, DB_IN) == SUCCEED &&
                bcp_bind(db, at, 0, bound.varlen, NULL, 0, bound.type, 1) == SUCCEED &&
                bcp_sendrow(db) == SUCCEED && bcp_collen(db, 0, 1) == SUCCEED && bcp_sendrow(db) == SUCCEED &&
                bcp_done(db) == 2;
    if (!ms_conn_called(&f->conn, good, &err))
        fail_msg("%s %s: %s", column->type->name, f->sent->text, err.text);
    buffer_clear(&sql);
    buffer_puts(&sql, "INSERT INTO dbo.crossfade_value (v) SELECT ");
    ms_type_assign(column, carrier, "s.[v]", &sql);
    buffer_puts(&sql, " FROM #staged AS s");
    good = ms_exec(&f->conn, buffer_text(&sql), &err);
    if (!good)
        print_message("not on this server: %s: %s\n", column->type->name, err.text);
    ms_live_exec(&f->conn, "DROP TABLE #staged");
    buffer_free(&sql);
    buffer_free(&bytes);
    return good;
}

/* The value that came and the text that is meant give the same bytes for the way back. */
static void assert_means(struct fixture *f)
{
    struct buffer out = {0};
    struct ms_bound came, meant;
    struct error err = {0};
    struct value v = {buffer_text(&f->value), (uint32_t)f->value.length, VALUE_BINARY};
    struct value t = {f->sent->text, (uint32_t)strlen(f->sent->text), VALUE_TEXT};
    if (!ms_value_encode(&f->codec, &v, &out, &came, &err) ||
        !ms_value_encode(&f->codec, &t, &out, &meant, &err))
        fail_msg("%s: %s", f->sent->sql, err.text);
    if (came.length != meant.length ||
        memcmp(out.data + came.offset, out.data + meant.offset, came.length) != 0)
        fail_msg("%s of %s is not %s", f->sent->sql,
                 f->codec.type < MS_TYPE_COUNT ? ms_type_at(f->codec.type)->name : "", f->sent->text);
    buffer_free(&out);
}

/* False: the server does not know the type. */
static bool stored(struct fixture *f, const struct ms_column_type *column)
{
    struct buffer sql = {0};
    struct error err = {0};
    buffer_puts(&sql, "IF OBJECT_ID(N'dbo.crossfade_value') IS NOT NULL DROP TABLE dbo.crossfade_value");
    ms_live_exec(&f->conn, buffer_text(&sql));
    buffer_clear(&sql);
    buffer_puts(&sql, "CREATE TABLE dbo.crossfade_value (v ");
    ms_type_declare(column, &sql);
    buffer_puts(&sql, " NULL)");
    bool good = ms_exec(&f->conn, buffer_text(&sql), &err);
    buffer_clear(&sql);
    buffer_printf(
        &sql,
        "INSERT INTO dbo.crossfade_value (v) VALUES (%s); INSERT INTO dbo.crossfade_value (v) VALUES (NULL)",
        f->sent->sql);
    good = good && ms_exec(&f->conn, buffer_text(&sql), &err);
    if (!good)
        print_message("not on this server: %s %s: %s\n", column->type->name, f->sent->sql, err.text);
    buffer_free(&sql);
    return good;
}

static bool read_back(struct fixture *f, const struct ms_column_type *column,
                      const struct ms_carrier *carrier)
{
    struct buffer sql = {0};
    struct error err = {0};
    f->rows = 0;
    f->null_seen = false;
    buffer_clear(&f->value);
    buffer_puts(&sql, "SELECT ");
    ms_type_select(column, carrier, "t.[v]", &sql);
    buffer_puts(&sql, " FROM dbo.crossfade_value AS t");
    bool read = ms_query(&f->conn, buffer_text(&sql), take_row, f, &err);
    if (!read && err.kind == ERROR_DATA)
        fail_msg("%s %s: %s", column->type->name, f->sent->sql, err.text);
    if (!read)
        print_message("not on this server: %s: %s\n", column->type->name, err.text);
    buffer_free(&sql);
    if (!read)
        return false;
    assert_int_equal(f->rows, 1);
    assert_true(f->null_seen); /* and '' is no NULL */
    assert_means(f);
    return true;
}

static bool check(struct fixture *f, const struct sent *sent, bool back)
{
    struct ms_column_type column = {.type = ms_type_at(sent->type),
                                    .max_length = (int16_t)sent->max_length,
                                    .precision = (uint8_t)sent->precision,
                                    .scale = (uint8_t)sent->scale};
    const struct ms_carrier *carrier = ms_type_offers(column.type, sent->oid);
    f->sent = sent;
    ms_codec_make(&column, carrier, NULL, &f->codec);
    return stored(f, &column) && (!back || written(f, &column, carrier)) && read_back(f, &column, carrier);
}

static void test_what_the_server_sends(void **state)
{
    struct fixture *f = *state;
    int seen = 0;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        seen += check(f, &values[i], false);
    print_message("%d of %zu values\n", seen, sizeof(values) / sizeof(values[0]));
    assert_true(seen >= 35);
}

static void test_back_by_bulk_copy(void **state)
{
    struct fixture *f = *state;
    int seen = 0;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        seen += check(f, &values[i], true);
    print_message("%d of %zu values\n", seen, sizeof(values) / sizeof(values[0]));
    assert_true(seen >= 35);
}

static void test_the_seventh_digit_is_cut(void **state)
{
    struct fixture *f = *state;
    if (strcmp(ms_live_ask(&f->conn, "SELECT CONVERT(varchar(30), CONVERT(time(7), '23:59:59.9999999'))"),
               "23:59:59.9999999") != 0)
        skip();
    for (size_t i = 0; i < sizeof(seventh) / sizeof(seventh[0]); i++)
        assert_true(check(f, &seventh[i], false));
}

static struct config_sqlserver server;

static int setup(void **state)
{
    static struct fixture f;
    struct ms_conn_options options = ms_live_options(&server, "types");
    struct error err = {0};
    options.bulk = true;
    if (!ms_conn_open(&f.conn, &options, &err))
        fail_msg("%s", err.text);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    ms_live_exec(&f->conn, "IF OBJECT_ID(N'dbo.crossfade_value') IS NOT NULL DROP TABLE dbo.crossfade_value");
    ms_conn_close(&f->conn);
    buffer_free(&f->value);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_the_server_sends),
        cmocka_unit_test(test_back_by_bulk_copy),
        cmocka_unit_test(test_the_seventh_digit_is_cut),
    };
    server = ms_live_need();
    return cmocka_run_group_tests(tests, setup, teardown);
}
