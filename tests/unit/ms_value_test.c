/* SPDX-License-Identifier: PostgreSQL
 *
 * The value codec without any server: every boundary value there and back, what is lost by declaration, and
 * refusals. ms_value_live_test asks PostgreSQL about the same values.
 */
#include "mssql/value.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ms_cases.h"

#if __has_include(<sybdb.h>)
#include <stddef.h>
#include <sybfront.h>
#include <sybdb.h>
_Static_assert(sizeof(DBDATETIMEALL) == sizeof(struct ms_datetimeall), "DBDATETIMEALL");
_Static_assert(offsetof(DBDATETIMEALL, offset) == offsetof(struct ms_datetimeall, offset), "DBDATETIMEALL");
_Static_assert(sizeof(DBNUMERIC) == sizeof(struct ms_numeric), "DBNUMERIC");
_Static_assert(offsetof(DBNUMERIC, array) == offsetof(struct ms_numeric, array), "DBNUMERIC");
_Static_assert((int)SYBIMAGE == MS_WIRE_IMAGE && (int)SYBTEXT == MS_WIRE_TEXT &&
                   (int)SYBVARBINARY == MS_WIRE_VARBINARY && (int)SYBVARCHAR == MS_WIRE_VARCHAR &&
                   (int)SYBMSDATE == MS_WIRE_DATE && (int)SYBMSTIME == MS_WIRE_TIME &&
                   (int)SYBMSDATETIME2 == MS_WIRE_DATETIME2 &&
                   (int)SYBMSDATETIMEOFFSET == MS_WIRE_DATETIMEOFFSET && (int)SYBBINARY == MS_WIRE_BINARY &&
                   (int)SYBCHAR == MS_WIRE_CHAR && (int)SYBINT1 == MS_WIRE_INT1 &&
                   (int)SYBBIT == MS_WIRE_BIT && (int)SYBINT2 == MS_WIRE_INT2 &&
                   (int)SYBINT4 == MS_WIRE_INT4 && (int)SYBDATETIME4 == MS_WIRE_DATETIME4 &&
                   (int)SYBREAL == MS_WIRE_REAL && (int)SYBMONEY == MS_WIRE_MONEY &&
                   (int)SYBDATETIME == MS_WIRE_DATETIME && (int)SYBFLT8 == MS_WIRE_FLT8 &&
                   (int)SYBNTEXT == MS_WIRE_NTEXT && (int)SYBNVARCHAR == MS_WIRE_NVARCHAR &&
                   (int)SYBBITN == MS_WIRE_BITN && (int)SYBDECIMAL == MS_WIRE_DECIMAL &&
                   (int)SYBNUMERIC == MS_WIRE_NUMERIC && (int)SYBMONEY4 == MS_WIRE_MONEY4 &&
                   (int)SYBINT8 == MS_WIRE_INT8,
               "the numbers of sybdb.h");

static void test_bits_of_datetimeall(void **state)
{
    (void)state;
    DBDATETIMEALL theirs;
    struct ms_datetimeall ours;
    memset(&theirs, 0, sizeof(theirs));
    theirs.time_prec = 5;
    theirs.has_offset = 1;
    memcpy(&ours, &theirs, sizeof(ours));
    assert_int_equal(ours.time_prec, 5);
    assert_true(ours.has_offset && !ours.has_date && !ours.has_time);
}
#else
static void test_bits_of_datetimeall(void **state)
{
    (void)state;
    skip();
}
#endif

static struct ms_column_type column(enum ms_type_id type, int max_length, int precision, int scale)
{
    return (struct ms_column_type){.type = ms_type_at(type),
                                   .max_length = (int16_t)max_length,
                                   .precision = (uint8_t)precision,
                                   .scale = (uint8_t)scale};
}

static struct ms_codec codec_for(const struct ms_column_type *c, uint32_t oid,
                                 const struct ms_value_policy *policy)
{
    struct ms_codec codec;
    const struct ms_carrier *carrier = ms_type_offers(c->type, oid);
    assert_non_null(carrier);
    ms_codec_make(c, carrier, policy, &codec);
    return codec;
}

/* The bytes that come back mean the same as the datum that came. */
static void assert_same(const struct ms_case *c, const struct ms_bound *bound, const char *data)
{
    const char *at = data + bound->offset;
    if (bound->type == MS_WIRE_CHAR) {
        struct buffer expected = {0};
        size_t length = c->datum.length;
        const char *text = c->datum.data;
        while ((c->column.type->id == MS_CHAR || c->column.type->id == MS_NCHAR) && length &&
               text[length - 1] == ' ')
            length--;
        assert_true(ms_value_utf16((struct slice){text, length}, &expected));
        assert_int_equal(bound->length, expected.length);
        assert_memory_equal(at, buffer_text(&expected), expected.length);
        buffer_free(&expected);
        return;
    }
    assert_int_equal(bound->length, c->datum.length);
    if (bound->length)
        assert_memory_equal(at, c->datum.data, bound->length);
}

static void back(const struct ms_codec *codec, const struct ms_case *c, struct value value)
{
    struct buffer out = {0};
    struct ms_bound bound;
    struct error err = {0};
    buffer_puts(&out, "x"); /* so that alignment has work to do */
    if (!ms_value_encode(codec, &value, &out, &bound, &err))
        fail_msg("%s %s: %s", c->column.type->name, c->text, err.text);
    assert_false(bound.null);
    assert_int_equal(bound.offset % 8, 0);
    assert_true(bound.offset + bound.length <= out.length);
    if (!c->changes)
        assert_same(c, &bound, out.data);
    buffer_free(&out);
}

static void there_and_back(const struct ms_case *c, void *context)
{
    struct ms_codec codec = codec_for(&c->column, c->oid, NULL);
    struct buffer out = {0};
    struct error err = {0};
    if (!ms_value_decode(&codec, &c->datum, &out, &err))
        fail_msg("%s %s: %s", c->column.type->name, c->text, err.text);
    back(&codec, c, (struct value){buffer_text(&out), (uint32_t)out.length, VALUE_BINARY});
    back(&codec, c, (struct value){c->text, (uint32_t)strlen(c->text), VALUE_TEXT});
    buffer_free(&out);
    ++*(int *)context;
}

static void test_there_and_back(void **state)
{
    (void)state;
    int cases = 0;
    ms_cases_each(there_and_back, &cases);
    assert_true(cases > 190);
}

/* Hex of the datum in the carrier's format, or the error's text. */
static const char *decoded(const struct ms_codec *codec, struct ms_datum datum)
{
    static char text[1300];
    struct buffer out = {0};
    struct error err = {0};
    buffer_puts(&out, "kept");
    if (ms_value_decode(codec, &datum, &out, &err)) {
        for (size_t i = 4; i < out.length && i < 400; i++)
            snprintf(text + 2 * (i - 4), 3, "%02x", (unsigned char)out.data[i]);
        text[2 * (out.length - 4)] = '\0';
    } else {
        assert_int_equal(err.kind, ERROR_DATA);
        assert_int_equal(out.length, 4);
        snprintf(text, sizeof(text), "%s", err.text);
    }
    buffer_free(&out);
    return text;
}

static struct ms_datum utf8(const char *text, size_t length)
{
    return (struct ms_datum){text, (uint32_t)length, MS_WIRE_CHAR};
}

static struct ms_datum raw(const char *text, size_t length)
{
    return (struct ms_datum){text, (uint32_t)length, MS_WIRE_BINARY};
}

#define UTF8(text) utf8(text, sizeof(text) - 1)
#define RAW(text)  raw(text, sizeof(text) - 1)

static void test_numeric_bytes(void **state)
{
    (void)state;
    static const struct {
        int precision, scale;
        const char *digits, *hex;
    } cases[] = {
        {5, 2, "0", "0000000000000002"},
        {9, 4, "12345678", "000200000000000404d2162e"},
        {9, 2, "-12345",
         "000200004000000200"
         "7b1194"},
        {38, 38, "1",
         "0001fff60000002600"
         "64"},
        {9, 0, "10000", "00010001000000000001"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unsigned char data[35];
        struct ms_column_type c = column(MS_DECIMAL, 17, cases[i].precision, cases[i].scale);
        struct ms_codec codec = codec_for(&c, MS_OID_NUMERIC, NULL);
        ms_cases_decimal((unsigned)cases[i].precision, (unsigned)cases[i].scale, cases[i].digits, data);
        assert_string_equal(decoded(&codec, (struct ms_datum){data, 35, MS_WIRE_NUMERIC}), cases[i].hex);
    }
}

static void test_nul_and_lone_surrogates_by_policy(void **state)
{
    (void)state;
    struct ms_column_type c = column(MS_NVARCHAR, 40, 0, 0);
    struct ms_value_policy policy = {.bad_text = MS_BAD_TEXT_REFUSE};
    struct ms_codec codec = codec_for(&c, MS_OID_VARCHAR, &policy);
    assert_non_null(strstr(decoded(&codec, UTF8("ab\0c")), "a NUL character at character or byte 3"));
    assert_non_null(strstr(decoded(&codec, RAW("a\0\0\0")), "a NUL character at character or byte 2"));
    assert_non_null(strstr(decoded(&codec, RAW("a\0\x3D\xD8")), "half a surrogate pair"));
    assert_non_null(strstr(decoded(&codec, UTF8("abcdefghijk\xED\xA0\x80")), "half a surrogate pair"));
    policy.bad_text = MS_BAD_TEXT_STRIP;
    codec = codec_for(&c, MS_OID_VARCHAR, &policy);
    assert_string_equal(decoded(&codec, UTF8("ab\0c\0")), "616263");
    assert_string_equal(decoded(&codec, RAW("a\0\x3D\xD8"
                                            "b\0\x00\xDE\0\0")),
                        "6162");
    policy.bad_text = MS_BAD_TEXT_REPLACE;
    codec = codec_for(&c, MS_OID_VARCHAR, &policy);
    assert_string_equal(decoded(&codec, UTF8("\0c")), "efbfbd63");
    assert_string_equal(decoded(&codec, RAW("\x00\xDE"
                                            "b\0\x3D\xD8")),
                        "efbfbd62efbfbd");
    assert_string_equal(decoded(&codec, RAW("\x3D\xD8\x00\xDE")), "f09f9880");
    assert_string_equal(decoded(&codec, RAW("\x3D\xD8\x3D\xD8\x00\xDE")), "efbfbdf09f9880");
    assert_string_equal(decoded(&codec, RAW("\xFF\xFF\xE9\0")), "efbfbfc3a9");
    assert_string_equal(decoded(&codec, RAW("")), "");
    /* No text of PostgreSQL's, which refuses the row. */
    policy.bad_text = MS_BAD_TEXT_PASS;
    codec = codec_for(&c, MS_OID_VARCHAR, &policy);
    assert_string_equal(decoded(&codec, UTF8("a\0c")), "610063");
    assert_string_equal(decoded(&codec, RAW("a\0\x3D\xD8\0\0")), "61eda0bd00");
    assert_string_equal(decoded(&codec, RAW("\x3D\xD8\x00\xDE")), "f09f9880");
}

/* Both readers take several characters at a time: a NUL is seen at every place of every length. */
static void test_a_nul_at_any_place(void **state)
{
    (void)state;
    struct ms_column_type c = column(MS_NVARCHAR, 80, 0, 0);
    struct ms_codec codec = codec_for(&c, MS_OID_VARCHAR, NULL);
    for (size_t n = 1; n <= 20; n++) {
        for (size_t at = 0; at <= n; at++) {
            char text[20], units[40] = {0}, expected[50];
            memset(text, 'x', n);
            if (at < n)
                text[at] = '\0';
            for (size_t i = 0; i < n; i++)
                units[2 * i] = text[i];
            snprintf(expected, sizeof(expected), "a NUL character at character or byte %zu,", at + 1);
            if (at < n) {
                assert_non_null(strstr(decoded(&codec, utf8(text, n)), expected));
                assert_non_null(strstr(decoded(&codec, raw(units, 2 * n)), expected));
            } else {
                assert_int_equal(strspn(decoded(&codec, utf8(text, n)), "78"), 2 * n);
                assert_int_equal(strspn(decoded(&codec, raw(units, 2 * n)), "78"), 2 * n);
            }
        }
    }
}

static void test_blanks_of_char(void **state)
{
    (void)state;
    struct ms_column_type c = column(MS_NCHAR, 8, 0, 0);
    struct ms_value_policy policy = {.trim_blanks = true};
    struct ms_codec codec = codec_for(&c, MS_OID_TEXT, &policy);
    assert_string_equal(decoded(&codec, UTF8("ab  ")), "6162");
    assert_string_equal(decoded(&codec, UTF8("    ")), "");
    codec = codec_for(&c, MS_OID_BPCHAR, &policy);
    assert_string_equal(decoded(&codec, UTF8("ab")), "61622020"); /* ANSI_PADDING OFF left it short */
    assert_string_equal(decoded(&codec, UTF8("\xC3\xA9\xC3\xA9\xC3\xA9")), "c3a9c3a9c3a920");
}

static void test_xml_declaration_is_left_out(void **state)
{
    (void)state;
    struct ms_column_type c = column(MS_XML, -1, 0, 0);
    struct ms_codec codec = codec_for(&c, MS_OID_XML, NULL);
    assert_string_equal(decoded(&codec, UTF8("<?xml version=\"1.0\" encoding=\"utf-16\"?><a/>")), "3c612f3e");
    assert_string_equal(decoded(&codec, UTF8("<?xmlish ?><a/>")), "3c3f786d6c697368203f3e3c612f3e");
    struct buffer out = {0};
    struct ms_bound bound;
    struct error err = {0};
    struct value v = {"<?xml version=\"1.0\"?><a/>", 25, VALUE_TEXT};
    assert_true(ms_value_encode(&codec, &v, &out, &bound, &err));
    assert_int_equal(bound.length, 8);
    buffer_free(&out);
}

static void test_copy_field(void **state)
{
    (void)state;
    struct ms_column_type c = column(MS_NVARCHAR, 40, 0, 0);
    struct ms_codec codec = codec_for(&c, MS_OID_VARCHAR, NULL);
    struct buffer out = {0};
    struct error err = {0};
    struct ms_datum null = {NULL, 0, MS_WIRE_CHAR}, empty = UTF8(""), some = UTF8("ab"), bad = UTF8("\0");
    assert_true(ms_value_copy_field(&codec, &null, &out, &err));
    assert_true(ms_value_copy_field(&codec, &empty, &out, &err));
    assert_true(ms_value_copy_field(&codec, &some, &out, &err));
    assert_false(ms_value_copy_field(&codec, &bad, &out, &err));
    assert_int_equal(out.length, 14);
    assert_memory_equal(out.data, "\xFF\xFF\xFF\xFF\0\0\0\0\0\0\0\2ab", 14);
    buffer_free(&out);
}

static void test_null_goes_back_as_null(void **state)
{
    (void)state;
    struct ms_column_type c = column(MS_INT, 4, 0, 0);
    struct ms_codec codec = codec_for(&c, MS_OID_INT4, NULL);
    struct buffer out = {0};
    struct ms_bound bound;
    struct error err = {0};
    struct value v = {NULL, 0, VALUE_NULL};
    assert_true(ms_value_encode(&codec, &v, &out, &bound, &err));
    assert_true(bound.null && bound.length == 0 && bound.varlen == 0);
    buffer_free(&out);
}

/* What bcp is told: -1 for fixed types and for what is empty, where it then finds a NUL. */
static void test_lengths_for_bcp(void **state)
{
    (void)state;
    static const struct {
        enum ms_type_id type;
        uint32_t oid;
        const char *text;
        int32_t varlen;
    } cases[] = {
        {MS_INT, MS_OID_INT4, "1", -1},
        {MS_DATE, MS_OID_DATE, "2000-01-01", -1},
        {MS_UNIQUEIDENTIFIER, MS_OID_UUID, "00112233-4455-6677-8899-aabbccddeeff", -1},
        {MS_DECIMAL, MS_OID_NUMERIC, "1", 35},
        {MS_DATETIME2, MS_OID_TIMESTAMP, "2000-01-01 00:00:00", 16},
        {MS_NVARCHAR, MS_OID_VARCHAR, "ab", 4},
        {MS_NVARCHAR, MS_OID_VARCHAR, "", -1},
        {MS_NCHAR, MS_OID_BPCHAR, "  ", -1},
        {MS_VARBINARY, MS_OID_BYTEA, "\\x01", 1},
        {MS_VARBINARY, MS_OID_BYTEA, "\\x", -1},
    };
    struct buffer out = {0};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ms_column_type c = column(cases[i].type, 8, 10, 2);
        struct ms_codec codec = codec_for(&c, cases[i].oid, NULL);
        struct value v = {cases[i].text, (uint32_t)strlen(cases[i].text), VALUE_TEXT};
        struct ms_bound bound;
        struct error err = {0};
        if (!ms_value_encode(&codec, &v, &out, &bound, &err))
            fail_msg("%s: %s", cases[i].text, err.text);
        buffer_puts(&out, "more");
        assert_int_equal(bound.varlen, cases[i].varlen);
        assert_true(bound.length > 0 || out.data[bound.offset] == '\0');
    }
    buffer_free(&out);
}

static void test_a_row_beyond_two_gigabytes_is_refused(void **state)
{
    (void)state;
    struct ms_column_type c = column(MS_NVARCHAR, -1, 0, 0);
    struct ms_codec codec = codec_for(&c, MS_OID_TEXT, NULL);
    struct value v = {"", 1u << 30, VALUE_TEXT}; /* not read */
    struct buffer out = {0};
    struct ms_bound bound;
    struct error err = {0};
    assert_false(ms_value_encode(&codec, &v, &out, &bound, &err));
    assert_int_equal(err.kind, ERROR_DATA);
}

/* Every codec with every length of every wire type: no crash, ERROR_DATA or a value. */
static void test_other_types_are_refused(void **state)
{
    (void)state;
    static const uint8_t wires[] = {0,  34, 35, 36, 37, 39, 40, 41,  42,  43,  45,  47,  48,  50, 52,
                                    56, 58, 59, 60, 61, 62, 99, 103, 104, 106, 108, 122, 127, 255};
    unsigned char data[40];
    memset(data, 0xFE, sizeof(data));
    for (int t = 0; t < MS_TYPE_COUNT; t++) {
        struct ms_column_type c = column((enum ms_type_id)t, 8, 10, 2);
        for (const struct ms_carrier *k = c.type->carriers; k->convert != MS_CONVERT_NONE; k++) {
            struct ms_codec codec = codec_for(&c, k->oid, NULL);
            for (size_t w = 0; w < sizeof(wires); w++) {
                for (uint32_t n = 0; n <= sizeof(data); n++)
                    (void)decoded(&codec, (struct ms_datum){data, n, wires[w]});
            }
            assert_non_null(
                strstr(decoded(&codec, (struct ms_datum){data, 3, 255}), "type number 255 of 3 bytes"));
        }
    }
}

struct refusal {
    enum ms_type_id type;
    int max_length, precision, scale;
    uint32_t oid;
    const char *text, *why;
};

static void test_refused_on_the_way_back(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        {MS_BIT, 1, 0, 0, MS_OID_INT2, "2", "out of range of bit"},
        {MS_TINYINT, 1, 0, 0, MS_OID_INT2, "-1", "out of range of tinyint"},
        {MS_TINYINT, 1, 0, 0, MS_OID_INT2, "256", "out of range of tinyint"},
        {MS_SMALLINT, 2, 0, 0, MS_OID_INT4, "32768", "out of range of smallint"},
        {MS_INT, 4, 0, 0, MS_OID_INT8, "2147483648", "out of range of int"},
        {MS_BIGINT, 8, 0, 0, MS_OID_NUMERIC, "9223372036854775808", "out of range of bigint"},
        {MS_BIGINT, 8, 0, 0, MS_OID_NUMERIC, "1.5", "digits would be lost"},
        {MS_DECIMAL, 5, 5, 2, MS_OID_NUMERIC, "1000.00", "does not fit decimal(5,2)"},
        {MS_DECIMAL, 5, 5, 2, MS_OID_NUMERIC, "1.001", "does not fit decimal(5,2)"},
        {MS_DECIMAL, 5, 5, 2, MS_OID_NUMERIC, "NaN", "NaN"},
        {MS_DECIMAL, 17, 38, 0, MS_OID_NUMERIC, "100000000000000000000000000000000000000", "does not fit"},
        {MS_DECIMAL, 5, 5, 2, MS_OID_INT8, "1000", "does not fit"},
        {MS_MONEY, 8, 19, 4, MS_OID_NUMERIC, "922337203685477.5808", "out of range of money"},
        {MS_SMALLMONEY, 4, 10, 4, MS_OID_NUMERIC, "-214748.3649", "out of range of smallmoney"},
        {MS_FLOAT, 8, 53, 0, MS_OID_FLOAT8, "NaN", "NaN and infinity"},
        {MS_FLOAT, 8, 53, 0, MS_OID_FLOAT8, "-Infinity", "NaN and infinity"},
        {MS_REAL, 4, 24, 0, MS_OID_FLOAT8, "0.1", "no single precision"},
        {MS_REAL, 4, 24, 0, MS_OID_FLOAT8, "1e39", "no single precision"},
        {MS_DATE, 3, 0, 0, MS_OID_DATE, "infinity", "infinity"},
        {MS_DATE, 3, 0, 0, MS_OID_DATE, "0044-03-15 BC", "before Christ"},
        {MS_DATE, 3, 0, 0, MS_OID_DATE, "10000-01-01", "past 9999"},
        {MS_DATE, 3, 0, 0, MS_OID_TIMESTAMP, "2000-01-01 00:00:01", "does not fit a date"},
        {MS_TIME, 5, 0, 7, MS_OID_TIME, "24:00:00", "out of range of time"},
        {MS_DATETIME, 8, 23, 3, MS_OID_TIMESTAMP, "1752-12-31 23:59:59", "out of range of datetime"},
        {MS_SMALLDATETIME, 4, 16, 0, MS_OID_TIMESTAMP, "2079-06-07 00:00:00",
         "out of range of smalldatetime"},
        {MS_SMALLDATETIME, 4, 16, 0, MS_OID_TIMESTAMP, "1899-12-31 23:59:59",
         "out of range of smalldatetime"},
        {MS_DATETIMEOFFSET, 10, 0, 7, MS_OID_TIMESTAMPTZ, "9999-12-31 23:59:59-01",
         "out of range of datetimeoffset"},
        {MS_UNIQUEIDENTIFIER, 16, 0, 0, MS_OID_UUID, "00112233-4455-6677-8899-aabbccddeefg", "can't be read"},
        {MS_VARBINARY, 3, 0, 0, MS_OID_BYTEA, "\\x01020304", "too long for varbinary(3)"},
        {MS_VARBINARY, 3, 0, 0, MS_OID_BYTEA, "\\x0g", "can't be read"},
        {MS_NVARCHAR, 4, 0, 0, MS_OID_VARCHAR, "\xF0\x9F\x98\x80.", "too long for nvarchar(2)"},
        {MS_VARCHAR, 2, 0, 0, MS_OID_VARCHAR, "abc", "too long for varchar(2)"},
        {MS_NVARCHAR, 4, 0, 0, MS_OID_VARCHAR, "\xFF", "not UTF-8"},
    };
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        const struct refusal *r = &refusals[i];
        struct ms_column_type c = column(r->type, r->max_length, r->precision, r->scale);
        struct ms_codec codec = codec_for(&c, r->oid, NULL);
        struct value v = {r->text, (uint32_t)strlen(r->text), VALUE_TEXT};
        struct buffer out = {0};
        struct ms_bound bound;
        struct error err = {0};
        if (ms_value_encode(&codec, &v, &out, &bound, &err))
            fail_msg("%s took %s", c.type->name, r->text);
        assert_int_equal(err.kind, ERROR_DATA);
        if (!strstr(err.text, r->why))
            fail_msg("%s %s: %s", c.type->name, r->text, err.text);
        assert_int_equal(out.length, 0);
        buffer_free(&out);
    }
}

struct rounding {
    enum ms_type_id type;
    int scale;
    uint32_t oid;
    const char *in, *out;
};

/* Back and forth again: what a value of PostgreSQL becomes. */
static void test_rounded_on_the_way_back(void **state)
{
    (void)state;
    static const struct rounding roundings[] = {
        {MS_DATETIME, 3, MS_OID_TIMESTAMP, "2000-01-01 00:00:00.001", "2000-01-01 00:00:00"},
        {MS_DATETIME, 3, MS_OID_TIMESTAMP, "2000-01-01 00:00:00.002", "2000-01-01 00:00:00.003"},
        {MS_DATETIME, 3, MS_OID_TIMESTAMP, "2000-01-01 00:00:00.004", "2000-01-01 00:00:00.003"},
        {MS_DATETIME, 3, MS_OID_TIMESTAMP, "2000-01-01 00:00:00.005", "2000-01-01 00:00:00.007"},
        {MS_DATETIME, 3, MS_OID_TIMESTAMP, "2000-01-01 23:59:59.998", "2000-01-01 23:59:59.997"},
        {MS_DATETIME, 3, MS_OID_TIMESTAMP, "2000-01-01 23:59:59.999", "2000-01-02 00:00:00"},
        {MS_DATETIME, 3, MS_OID_TIMESTAMP, "9999-12-31 23:59:59.999", "9999-12-31 23:59:59.997"},
        {MS_SMALLDATETIME, 0, MS_OID_TIMESTAMP, "2000-01-01 23:59:29", "2000-01-01 23:59:00"},
        {MS_SMALLDATETIME, 0, MS_OID_TIMESTAMP, "2000-01-01 23:59:30", "2000-01-02 00:00:00"},
        {MS_SMALLDATETIME, 0, MS_OID_TIMESTAMP, "2079-06-06 23:59:59", "2079-06-06 23:59:00"},
        {MS_DATETIME2, 0, MS_OID_TIMESTAMP, "2000-01-01 00:00:00.5", "2000-01-01 00:00:01"},
        {MS_DATETIME2, 3, MS_OID_TIMESTAMP, "2000-01-01 23:59:59.9995", "2000-01-02 00:00:00"},
        {MS_DATETIME2, 3, MS_OID_TIMESTAMP, "9999-12-31 23:59:59.999999", "9999-12-31 23:59:59.999"},
        {MS_DATETIME2, 7, MS_OID_TIMESTAMP, "9999-12-31 23:59:59.999999", "9999-12-31 23:59:59.999999"},
        {MS_TIME, 0, MS_OID_TIME, "23:59:59.999999", "23:59:59"},
        {MS_TIME, 3, MS_OID_TIME, "00:00:00.0005", "00:00:00.001"},
        {MS_DATETIMEOFFSET, 7, MS_OID_TIMESTAMPTZ, "2000-01-01 00:00:00+05:30", "1999-12-31 18:30:00+00"},
    };
    for (size_t i = 0; i < sizeof(roundings) / sizeof(roundings[0]); i++) {
        const struct rounding *r = &roundings[i];
        struct ms_column_type c = column(r->type, 8, 0, r->scale);
        struct ms_codec codec = codec_for(&c, r->oid, NULL);
        struct value in = {r->in, (uint32_t)strlen(r->in), VALUE_TEXT};
        struct value want = {r->out, (uint32_t)strlen(r->out), VALUE_TEXT};
        struct buffer out = {0};
        struct ms_bound a, b;
        struct error err = {0};
        if (!ms_value_encode(&codec, &in, &out, &a, &err) || !ms_value_encode(&codec, &want, &out, &b, &err))
            fail_msg("%s: %s", r->in, err.text);
        if (a.length != b.length || memcmp(out.data + a.offset, out.data + b.offset, a.length) != 0)
            fail_msg("%s is not %s in %s", r->in, r->out, c.type->name);
        buffer_free(&out);
    }
}

static void test_binary_values_that_are_none(void **state)
{
    (void)state;
    char data[40];
    memset(data, 0x7F, sizeof(data));
    for (int t = 0; t < MS_TYPE_COUNT; t++) {
        struct ms_column_type c = column((enum ms_type_id)t, 8, 10, 2);
        for (const struct ms_carrier *k = c.type->carriers; k->convert != MS_CONVERT_NONE; k++) {
            struct ms_codec codec = codec_for(&c, k->oid, NULL);
            for (uint32_t n = 0; n < sizeof(data); n++) {
                struct value v = {data, n, n % 2 ? VALUE_TEXT : VALUE_BINARY};
                struct buffer out = {0};
                struct ms_bound bound;
                struct error err = {0};
                if (!ms_value_encode(&codec, &v, &out, &bound, &err))
                    assert_int_equal(err.kind, ERROR_DATA);
                else
                    assert_true(bound.offset + bound.length <= out.length);
                buffer_free(&out);
            }
        }
    }
}

/* A zone one hour east, two from 2000-01-02 00:00 UTC on: local times from 01:00 to 02:00 do not exist. */
static void test_zone_of_naive_datetimes(void **state)
{
    (void)state;
    const int64_t hour = INT64_C(3600000000), change = 24 * hour;
    struct ms_zone zone = {0};
    ms_zone_add(&zone, false, -1000 * change, 3600);
    ms_zone_add(&zone, false, change + hour, 3600);
    ms_zone_add(&zone, false, change + 2 * hour, 7200);
    ms_zone_add(&zone, true, -1000 * change, 3600);
    ms_zone_add(&zone, true, change, 7200);
    struct ms_value_policy policy = {.zone = &zone};
    struct ms_column_type c = column(MS_DATETIME2, 8, 0, 7);
    struct ms_codec codec = codec_for(&c, MS_OID_TIMESTAMPTZ, &policy);
    struct ms_datetimeall v = {.time = 0, .date = 36524, .has_date = 1, .has_time = 1, .time_prec = 7};
    struct ms_datum d = {&v, sizeof(v), MS_WIRE_DATETIME2};
    assert_string_equal(decoded(&codec, d), "ffffffff296c5c00"); /* 1999-12-31 23:00 */
    for (v.date = 36520; v.date < 36530; v.date++) {
        struct buffer out = {0};
        struct ms_bound bound;
        struct error err = {0};
        assert_true(ms_value_decode(&codec, &d, &out, &err));
        struct value back_value = {out.data, 8, VALUE_BINARY};
        struct buffer bytes = {0};
        assert_true(ms_value_encode(&codec, &back_value, &bytes, &bound, &err));
        assert_memory_equal(bytes.data + bound.offset, &v, sizeof(v));
        buffer_free(&out);
        buffer_free(&bytes);
    }
    /* A cycle later the same. */
    assert_int_equal(ms_zone_to_utc(&zone, INT64_C(146097) * 86400000000 * 2 + 3 * change),
                     INT64_C(146097) * 86400000000 * 2 + 3 * change - 2 * hour);
    ms_zone_free(&zone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bits_of_datetimeall),
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_numeric_bytes),
        cmocka_unit_test(test_nul_and_lone_surrogates_by_policy),
        cmocka_unit_test(test_a_nul_at_any_place),
        cmocka_unit_test(test_blanks_of_char),
        cmocka_unit_test(test_xml_declaration_is_left_out),
        cmocka_unit_test(test_copy_field),
        cmocka_unit_test(test_null_goes_back_as_null),
        cmocka_unit_test(test_lengths_for_bcp),
        cmocka_unit_test(test_a_row_beyond_two_gigabytes_is_refused),
        cmocka_unit_test(test_other_types_are_refused),
        cmocka_unit_test(test_refused_on_the_way_back),
        cmocka_unit_test(test_rounded_on_the_way_back),
        cmocka_unit_test(test_binary_values_that_are_none),
        cmocka_unit_test(test_zone_of_naive_datetimes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
