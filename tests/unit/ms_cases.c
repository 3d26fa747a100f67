/* SPDX-License-Identifier: PostgreSQL */
#include "ms_cases.h"

#include <assert.h>
#include <string.h>

/* 100 ns. */
#define SECOND INT64_C(10000000)
#define DAY    (86400 * SECOND)

struct run {
    void (*each)(const struct ms_case *c, void *context);
    void *context;
    struct ms_column_type column;
};

static void set(struct run *r, enum ms_type_id type, int max_length, int precision, int scale)
{
    r->column = (struct ms_column_type){.type = ms_type_at(type),
                                        .max_length = (int16_t)max_length,
                                        .precision = (uint8_t)precision,
                                        .scale = (uint8_t)scale};
}

static void give(struct run *r, uint32_t oid, uint8_t wire, const void *data, size_t length, const char *text,
                 bool changes)
{
    struct ms_case c = {.column = r->column, .oid = oid, .text = text, .changes = changes};
    const void *at = data;
    if (length <= sizeof(c.data)) {
        if (length)
            memcpy(c.data, data, length);
        at = c.data;
    }
    c.datum = (struct ms_datum){.data = at, .length = (uint32_t)length, .type = wire};
    r->each(&c, r->context);
}

static void integer(struct run *r, enum ms_type_id type, uint8_t wire, size_t width, uint32_t oid, int64_t v,
                    const char *text)
{
    set(r, type, (int)width, 0, 0);
    give(r, oid, wire, &v, width, text, false); /* little-endian hosts */
}

static void integers(struct run *r)
{
    static const uint32_t carriers[] = {MS_OID_INT2, MS_OID_INT4, MS_OID_INT8, MS_OID_NUMERIC};
    integer(r, MS_BIT, MS_WIRE_BIT, 1, MS_OID_BOOL, 0, "f");
    integer(r, MS_BIT, MS_WIRE_BIT, 1, MS_OID_BOOL, 1, "t");
    for (int i = 0; i < 4; i++) {
        integer(r, MS_BIT, MS_WIRE_BIT, 1, carriers[i], 0, "0");
        integer(r, MS_BIT, MS_WIRE_BIT, 1, carriers[i], 1, "1");
        integer(r, MS_TINYINT, MS_WIRE_INT1, 1, carriers[i], 0, "0");
        integer(r, MS_TINYINT, MS_WIRE_INT1, 1, carriers[i], 255, "255");
        integer(r, MS_SMALLINT, MS_WIRE_INT2, 2, carriers[i], INT16_MIN, "-32768");
        integer(r, MS_SMALLINT, MS_WIRE_INT2, 2, carriers[i], INT16_MAX, "32767");
    }
    for (int i = 1; i < 4; i++) {
        integer(r, MS_INT, MS_WIRE_INT4, 4, carriers[i], INT32_MIN, "-2147483648");
        integer(r, MS_INT, MS_WIRE_INT4, 4, carriers[i], 0, "0");
        integer(r, MS_INT, MS_WIRE_INT4, 4, carriers[i], INT32_MAX, "2147483647");
    }
    for (int i = 2; i < 4; i++) {
        integer(r, MS_BIGINT, MS_WIRE_INT8, 8, carriers[i], INT64_MIN, "-9223372036854775808");
        integer(r, MS_BIGINT, MS_WIRE_INT8, 8, carriers[i], 0, "0");
        integer(r, MS_BIGINT, MS_WIRE_INT8, 8, carriers[i], INT64_C(10000000000000000), "10000000000000000");
        integer(r, MS_BIGINT, MS_WIRE_INT8, 8, carriers[i], INT64_MAX, "9223372036854775807");
    }
}

void ms_cases_decimal(unsigned precision, unsigned scale, const char *digits, unsigned char out[35])
{
    static const unsigned bytes[] = {0,  1,  1,  2,  2,  3,  3,  3,  4,  4,  5,  5,  5,
                                     6,  6,  7,  7,  8,  8,  8,  9,  9,  10, 10, 10, 11,
                                     11, 12, 12, 13, 13, 13, 14, 14, 15, 15, 15, 16, 16};
    memset(out, 0, 35);
    out[0] = (unsigned char)precision;
    out[1] = (unsigned char)scale;
    out[2] = *digits == '-';
    for (const char *p = digits + (*digits == '-'); *p; p++) {
        unsigned carry = (unsigned)(*p - '0');
        for (unsigned i = bytes[precision]; i > 0; i--) {
            carry += out[2 + i] * 10u;
            out[2 + i] = (unsigned char)carry;
            carry >>= 8;
        }
        assert(carry == 0);
    }
}

static void decimal(struct run *r, int precision, int scale, uint32_t oid, const char *digits,
                    const char *text)
{
    unsigned char data[35];
    ms_cases_decimal((unsigned)precision, (unsigned)scale, digits, data);
    set(r, MS_DECIMAL, 17, precision, scale);
    give(r, oid, MS_WIRE_NUMERIC, data, sizeof(data), text, false);
    set(r, MS_NUMERIC, 17, precision, scale);
    give(r, oid, MS_WIRE_DECIMAL, data, sizeof(data), text, false);
}

static void decimals(struct run *r)
{
    uint32_t n = MS_OID_NUMERIC;
    decimal(r, 1, 0, n, "0", "0");
    decimal(r, 1, 0, n, "-9", "-9");
    decimal(r, 1, 1, n, "9", "0.9");
    decimal(r, 18, 4, n, "0", "0.0000");
    decimal(r, 18, 4, n, "1", "0.0001");
    decimal(r, 18, 4, n, "10000", "1.0000");
    decimal(r, 18, 4, n, "-999999999999999999", "-99999999999999.9999");
    decimal(r, 10, 2, n, "1000000", "10000.00");
    decimal(r, 10, 3, n, "7", "0.007");
    decimal(r, 19, 0, n, "9999999999999999999", "9999999999999999999");
    decimal(r, 20, 0, n, "18446744073709551616", "18446744073709551616");
    decimal(r, 20, 5, n, "10000000000000000000", "100000000000000.00000");
    decimal(r, 38, 0, n, "99999999999999999999999999999999999999", "99999999999999999999999999999999999999");
    decimal(r, 38, 0, n, "-99999999999999999999999999999999999999",
            "-99999999999999999999999999999999999999");
    decimal(r, 38, 0, n, "10000000000000000000000000000000000000", "10000000000000000000000000000000000000");
    decimal(r, 38, 0, n, "1", "1");
    decimal(r, 38, 38, n, "99999999999999999999999999999999999999",
            "0.99999999999999999999999999999999999999");
    decimal(r, 38, 38, n, "1", "0.00000000000000000000000000000000000001");
    decimal(r, 38, 38, n, "-12345678901234567890123456789012345678",
            "-0.12345678901234567890123456789012345678");
    decimal(r, 38, 37, n, "12345678901234567890123456789012345678",
            "1.2345678901234567890123456789012345678");
    decimal(r, 38, 19, n, "99999999999999999999999999999999999999",
            "9999999999999999999.9999999999999999999");
    decimal(r, 38, 10, n, "10000000000", "1.0000000000");
    decimal(r, 18, 0, MS_OID_INT8, "-999999999999999999", "-999999999999999999");
    decimal(r, 19, 0, MS_OID_INT8, "9223372036854775807", "9223372036854775807");
    decimal(r, 19, 0, MS_OID_INT8, "-9223372036854775808", "-9223372036854775808");
    decimal(r, 38, 4, MS_OID_INT8, "120000", "12");
    decimal(r, 10, 0, MS_OID_INT4, "2147483647", "2147483647");
    decimal(r, 5, 0, MS_OID_INT2, "-32768", "-32768");
}

static void money(struct run *r, int64_t v, const char *text)
{
    int32_t words[2] = {(int32_t)(v >> 32), (int32_t)(uint32_t)v};
    set(r, MS_MONEY, 8, 19, 4);
    give(r, MS_OID_NUMERIC, MS_WIRE_MONEY, words, 8, text, false);
}

static void smallmoney(struct run *r, int32_t v, const char *text)
{
    set(r, MS_SMALLMONEY, 4, 10, 4);
    give(r, MS_OID_NUMERIC, MS_WIRE_MONEY4, &v, 4, text, false);
}

static void real(struct run *r, float v, const char *text, const char *wide)
{
    set(r, MS_REAL, 4, 24, 0);
    give(r, MS_OID_FLOAT4, MS_WIRE_REAL, &v, 4, text, false);
    give(r, MS_OID_FLOAT8, MS_WIRE_REAL, &v, 4, wide, false);
}

static void floating(struct run *r, double v, const char *text)
{
    set(r, MS_FLOAT, 8, 53, 0);
    give(r, MS_OID_FLOAT8, MS_WIRE_FLT8, &v, 8, text, false);
}

static void approximate(struct run *r)
{
    money(r, INT64_MIN, "-922337203685477.5808");
    money(r, INT64_MAX, "922337203685477.5807");
    money(r, 0, "0.0000");
    money(r, -1, "-0.0001");
    money(r, 10000, "1.0000");
    smallmoney(r, INT32_MIN, "-214748.3648");
    smallmoney(r, INT32_MAX, "214748.3647");
    smallmoney(r, -1, "-0.0001");
    real(r, 3.40282347e38f, "3.4028235e+38", "3.4028234663852886e+38");
    real(r, -1.17549435e-38f, "-1.1754944e-38", "-1.1754943508222875e-38");
    real(r, 0.1f, "0.1", "0.10000000149011612");
    real(r, -0.0f, "-0", "-0");
    floating(r, 1.7976931348623157e308, "1.7976931348623157e+308");
    floating(r, -2.2250738585072014e-308, "-2.2250738585072014e-308");
    floating(r, 5e-324, "5e-324");
    floating(r, 0.1, "0.1");
    floating(r, -0.0, "-0");
}

static void all(struct run *r, enum ms_type_id type, int scale, uint32_t oid, int32_t date, int64_t time,
                const char *text, bool changes)
{
    uint8_t wire = type == MS_DATE        ? MS_WIRE_DATE
                   : type == MS_TIME      ? MS_WIRE_TIME
                   : type == MS_DATETIME2 ? MS_WIRE_DATETIME2
                                          : MS_WIRE_DATETIMEOFFSET;
    struct ms_datetimeall v = {.time = (uint64_t)time, .date = date, .time_prec = (unsigned)scale & 7u};
    v.has_time = type != MS_DATE;
    v.has_date = type != MS_TIME;
    v.has_offset = type == MS_DATETIMEOFFSET;
    set(r, type, 8, 0, scale);
    give(r, oid, wire, &v, sizeof(v), text, changes);
}

static void dates(struct run *r)
{
    all(r, MS_DATE, 0, MS_OID_DATE, -693595, 0, "0001-01-01", false);
    all(r, MS_DATE, 0, MS_OID_DATE, 2958463, 0, "9999-12-31", false);
    all(r, MS_DATE, 0, MS_OID_DATE, 0, 0, "1900-01-01", false);
    all(r, MS_DATE, 0, MS_OID_DATE, 36583, 0, "2000-02-29", false);
    all(r, MS_DATE, 0, MS_OID_DATE, -1, 0, "1899-12-31", false);
    all(r, MS_DATE, 0, MS_OID_TIMESTAMP, -693595, 0, "0001-01-01 00:00:00", false);
    all(r, MS_DATE, 0, MS_OID_TIMESTAMP, 2958463, 0, "9999-12-31 00:00:00", false);
    all(r, MS_DATE, 0, MS_OID_TIMESTAMPTZ, 2958463, 0, "9999-12-31 00:00:00+00", false);
    all(r, MS_TIME, 7, MS_OID_TIME, 0, 0, "00:00:00", false);
    all(r, MS_TIME, 7, MS_OID_TIME, 0, DAY - 1, "23:59:59.999999", true);
    all(r, MS_TIME, 6, MS_OID_TIME, 0, DAY - 10, "23:59:59.999999", false);
    all(r, MS_TIME, 7, MS_OID_TIME, 0, 12345670, "00:00:01.234567", false);
    all(r, MS_TIME, 7, MS_OID_TIME, 0, 12345675, "00:00:01.234567", true);
    all(r, MS_TIME, 0, MS_OID_TIME, 0, DAY - SECOND, "23:59:59", false);
    all(r, MS_TIME, 3, MS_OID_TIME, 0, DAY - SECOND / 1000, "23:59:59.999", false);
    all(r, MS_DATETIME2, 7, MS_OID_TIMESTAMP, -693595, 0, "0001-01-01 00:00:00", false);
    all(r, MS_DATETIME2, 7, MS_OID_TIMESTAMP, 2958463, DAY - 1, "9999-12-31 23:59:59.999999", true);
    all(r, MS_DATETIME2, 7, MS_OID_TIMESTAMP, 45289, DAY - 1, "2023-12-31 23:59:59.999999", true);
    all(r, MS_DATETIME2, 6, MS_OID_TIMESTAMP, 45289, DAY - 10, "2023-12-31 23:59:59.999999", false);
    all(r, MS_DATETIME2, 7, MS_OID_TIMESTAMP, -1, 10, "1899-12-31 00:00:00.000001", false);
    all(r, MS_DATETIME2, 7, MS_OID_TIMESTAMP, -1, 9, "1899-12-31 00:00:00", true);
    all(r, MS_DATETIME2, 0, MS_OID_TIMESTAMP, 2958463, DAY - SECOND, "9999-12-31 23:59:59", false);
    all(r, MS_DATETIME2, 3, MS_OID_TIMESTAMP, 36524, SECOND / 1000, "2000-01-01 00:00:00.001", false);
    all(r, MS_DATETIME2, 7, MS_OID_TIMESTAMPTZ, 36524, SECOND, "2000-01-01 00:00:01+00", false);
    all(r, MS_DATETIME2, 7, MS_OID_TIMESTAMPTZ, -693595, 0, "0001-01-01 00:00:00+00", false);
    all(r, MS_DATETIME2, 7, MS_OID_DATE, 2958463, 0, "9999-12-31", false);
    all(r, MS_DATETIMEOFFSET, 7, MS_OID_TIMESTAMPTZ, -693595, 0, "0001-01-01 00:00:00+00", false);
    all(r, MS_DATETIMEOFFSET, 7, MS_OID_TIMESTAMPTZ, 2958463, DAY - 1, "9999-12-31 23:59:59.999999+00", true);
    all(r, MS_DATETIMEOFFSET, 6, MS_OID_TIMESTAMPTZ, 2958463, DAY - 10, "9999-12-31 23:59:59.999999+00",
        false);
}

/* 2024-02-28 19:30+14:00 and -14:00, and a column with three digits: the instant stays, the offset goes. */
static void offsets(struct run *r)
{
    struct ms_datetimeall v = {
        .time = (uint64_t)(5 * 3600 + 1800) * (uint64_t)SECOND, .date = 45348, .offset = 840};
    v.has_time = v.has_date = v.has_offset = 1;
    set(r, MS_DATETIMEOFFSET, 8, 0, 7);
    give(r, MS_OID_TIMESTAMPTZ, MS_WIRE_DATETIMEOFFSET, &v, sizeof(v), "2024-02-28 05:30:00+00", true);
    v.offset = -840;
    v.date = 45349;
    v.time = (uint64_t)(9 * 3600 + 1800) * (uint64_t)SECOND;
    give(r, MS_OID_TIMESTAMPTZ, MS_WIRE_DATETIMEOFFSET, &v, sizeof(v), "2024-02-29 09:30:00+00", true);
}

static void datetime(struct run *r, uint32_t oid, int32_t days, int32_t thirds, const char *text)
{
    int32_t words[2] = {days, thirds};
    set(r, MS_DATETIME, 8, 23, 3);
    give(r, oid, MS_WIRE_DATETIME, words, 8, text, false);
}

static void smalldatetime(struct run *r, uint32_t oid, uint16_t days, uint16_t minutes, const char *text)
{
    uint16_t words[2] = {days, minutes};
    set(r, MS_SMALLDATETIME, 4, 16, 0);
    give(r, oid, MS_WIRE_DATETIME4, words, 4, text, false);
}

static void datetimes(struct run *r)
{
    uint32_t t = MS_OID_TIMESTAMP;
    datetime(r, t, -53690, 0, "1753-01-01 00:00:00");
    datetime(r, t, 2958463, 25919999, "9999-12-31 23:59:59.997");
    datetime(r, t, 0, 0, "1900-01-01 00:00:00");
    datetime(r, t, 0, 1, "1900-01-01 00:00:00.003");
    datetime(r, t, 0, 2, "1900-01-01 00:00:00.007");
    datetime(r, t, 0, 3, "1900-01-01 00:00:00.01");
    datetime(r, t, -1, 25919998, "1899-12-31 23:59:59.993");
    datetime(r, t, 36524, 25919997, "2000-01-01 23:59:59.99");
    datetime(r, MS_OID_DATE, 36583, 0, "2000-02-29");
    datetime(r, MS_OID_TIMESTAMPTZ, 36583, 299, "2000-02-29 00:00:00.997+00");
    smalldatetime(r, t, 0, 0, "1900-01-01 00:00:00");
    smalldatetime(r, t, 65535, 1439, "2079-06-06 23:59:00");
    smalldatetime(r, MS_OID_TIMESTAMPTZ, 45289, 1, "2023-12-31 00:01:00+00");
    smalldatetime(r, MS_OID_DATE, 65535, 0, "2079-06-06");
}

static void characters(struct run *r, enum ms_type_id type, int max_length, uint32_t oid, const char *in,
                       const char *text)
{
    set(r, type, max_length, 0, 0);
    uint8_t wire = type == MS_TEXT || type == MS_NTEXT || type == MS_XML ? MS_WIRE_TEXT : MS_WIRE_CHAR;
    give(r, oid, wire, in, strlen(in), text, false);
}

/* U+1F600, a surrogate pair in UTF-16; U+10FFFF; U+FFFD; U+E000; a combining accent. */
#define WIDE "\xF0\x9F\x98\x80 \xF4\x8F\xBF\xBF \xEF\xBF\xBD \xEE\x80\x80 e\xCC\x81 \xC3\xA9"

static void texts(struct run *r)
{
    static const enum ms_type_id variable[] = {MS_VARCHAR, MS_NVARCHAR};
    static const enum ms_type_id large[] = {MS_VARCHAR, MS_NVARCHAR, MS_TEXT, MS_NTEXT};
    for (int i = 0; i < 2; i++) {
        characters(r, variable[i], 80, MS_OID_VARCHAR, "", "");
        characters(r, variable[i], 80, MS_OID_VARCHAR, " ", " ");
        characters(r, variable[i], 80, MS_OID_VARCHAR, "a trailing blank  ", "a trailing blank  ");
        characters(r, variable[i], 80, MS_OID_TEXT, WIDE, WIDE);
        characters(r, variable[i], 80, MS_OID_JSON, "{\"a\":  1}", "{\"a\":  1}");
        characters(r, variable[i], 80, MS_OID_JSONB, "{\"a\": 1}", "{\"a\": 1}");
        characters(r, variable[i], 80, MS_OID_XML, "<a>b</a>", "<a>b</a>");
    }
    for (int i = 0; i < 4; i++) {
        characters(r, large[i], i < 2 ? -1 : 16, MS_OID_TEXT, "", "");
        characters(r, large[i], i < 2 ? -1 : 16, MS_OID_TEXT, WIDE " \x01\x7F\r\n", WIDE " \x01\x7F\r\n");
    }
    characters(r, MS_NCHAR, 20, MS_OID_BPCHAR, "ab        ", "ab        ");
    characters(r, MS_NCHAR, 20, MS_OID_TEXT, "ab        ", "ab        ");
    characters(r, MS_CHAR, 5, MS_OID_BPCHAR, "     ", "     ");
    characters(r, MS_CHAR, 5, MS_OID_VARCHAR, "abcde", "abcde");
    characters(r, MS_XML, -1, MS_OID_XML, "<a b=\"1\">\xC3\xA9<c/></a>", "<a b=\"1\">\xC3\xA9<c/></a>");
    characters(r, MS_XML, -1, MS_OID_TEXT, "text <b/> fragment", "text <b/> fragment");
    characters(r, MS_SQL_VARIANT, 8016, MS_OID_TEXT, "42", "42");
    characters(r, MS_HIERARCHYID, 892, MS_OID_TEXT, "/1/2.5/", "/1/2.5/");
    characters(r, MS_GEOGRAPHY, -1, MS_OID_TEXT, "SRID=4326;POINT (1 2 3 4)", "SRID=4326;POINT (1 2 3 4)");
}

static void binary(struct run *r, enum ms_type_id type, int max_length, uint32_t oid, uint8_t wire,
                   const void *data, size_t length, const char *text)
{
    set(r, type, max_length, 0, 0);
    give(r, oid, wire, data, length, text, false);
}

static void binaries(struct run *r)
{
    static const unsigned char odd[] = {0, 0xFF, '\\', '\'', 0x80, 0};
    static const unsigned char uuid[16] = {0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66,
                                           0x88, 0x99, 0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF};
    static const unsigned char zero[16];
    static const unsigned char version[8] = {0, 0, 0, 0, 0, 0, 0x07, 0xD1};
    static const unsigned char last[8] = {0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
    uint32_t b = MS_OID_BYTEA;
    binary(r, MS_VARBINARY, 10, b, MS_WIRE_VARBINARY, odd, 0, "\\x");
    binary(r, MS_VARBINARY, -1, b, MS_WIRE_BINARY, odd, sizeof(odd), "\\x00ff5c278000");
    binary(r, MS_BINARY, 6, b, MS_WIRE_BINARY, odd, sizeof(odd), "\\x00ff5c278000");
    binary(r, MS_IMAGE, 16, b, MS_WIRE_IMAGE, odd, sizeof(odd), "\\x00ff5c278000");
    binary(r, MS_GEOMETRY, -1, b, MS_WIRE_BINARY, odd, sizeof(odd), "\\x00ff5c278000");
    binary(r, MS_UNIQUEIDENTIFIER, 16, MS_OID_UUID, MS_WIRE_UNIQUE, uuid, 16,
           "00112233-4455-6677-8899-aabbccddeeff");
    binary(r, MS_UNIQUEIDENTIFIER, 16, MS_OID_UUID, MS_WIRE_UNIQUE, zero, 16,
           "00000000-0000-0000-0000-000000000000");
    binary(r, MS_ROWVERSION, 8, b, MS_WIRE_BINARY, version, 8, "\\x00000000000007d1");
    binary(r, MS_ROWVERSION, 8, MS_OID_INT8, MS_WIRE_BINARY, version, 8, "2001");
    binary(r, MS_ROWVERSION, 8, MS_OID_INT8, MS_WIRE_BINARY, last, 8, "9223372036854775807");
}

void ms_cases_each(void (*each)(const struct ms_case *c, void *context), void *context)
{
    struct run r = {.each = each, .context = context};
    integers(&r);
    decimals(&r);
    approximate(&r);
    dates(&r);
    offsets(&r);
    datetimes(&r);
    texts(&r);
    binaries(&r);
}
