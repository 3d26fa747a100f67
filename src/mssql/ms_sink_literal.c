/* SPDX-License-Identifier: PostgreSQL
 *
 * Encoded values (value.h) as T-SQL constants. sp_executesql takes constants only, no expressions: so dates
 * are text in the one form that no DATEFORMAT changes, numbers are decimal constants, and the parameter's
 * declared type does the rest.
 */
#include "mssql/ms_sink_part.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "mssql/sql.h"
#include "mssql/value_part.h"

/* --- numbers --- */

static void put_u128(ms_u128 v, unsigned scale, bool negative, struct buffer *out)
{
    char digits[48];
    size_t n = sizeof(digits);
    unsigned written = 0;
    do {
        if (scale && written == scale)
            digits[--n] = '.';
        digits[--n] = (char)('0' + (int)(v % 10));
        v /= 10;
        written++;
    } while (v || written <= scale);
    if (negative)
        buffer_putc(out, '-');
    buffer_put(out, digits + n, sizeof(digits) - n);
}

static void put_decimal(const char *data, struct buffer *out)
{
    struct ms_numeric n;
    ms_u128 v = 0;
    memcpy(&n, data, sizeof(n));
    /* As many bytes as the precision needs, behind the sign. */
    static const uint8_t bytes[39] = {1,  2,  2,  3,  3,  4,  4,  4,  5,  5,  6,  6,  6,
                                      7,  7,  8,  8,  9,  9,  9,  10, 10, 11, 11, 11, 12,
                                      12, 13, 13, 14, 14, 14, 15, 15, 16, 16, 16, 17, 17};
    for (int i = 1; i < bytes[n.precision]; i++)
        v = v << 8 | n.array[i];
    put_u128(v, n.scale, n.array[0] && v, out);
}

static void put_money(int64_t v, struct buffer *out)
{
    put_u128(ms_value_magnitude(v), 4, v < 0, out);
}

static void put_float(double v, struct buffer *out)
{
    char text[40];
    snprintf(text, sizeof(text), "%.17g", v);
    buffer_puts(out, text);
    if (!strchr(text, 'e'))
        buffer_puts(out, "e0");
}

/* --- dates --- */

/* Days since 1900-01-01 to a civil date. */
static void put_date(int64_t days, struct buffer *out)
{
    int64_t z = days + 693901; /* days since 0000-03-01 */
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    int64_t day = doy - (153 * mp + 2) / 5 + 1;
    int64_t month = mp < 10 ? mp + 3 : mp - 9;
    int64_t year = yoe + era * 400 + (month <= 2);
    buffer_printf(out, "%04lld-%02lld-%02lld", (long long)year, (long long)month, (long long)day);
}

static void put_clock(uint64_t t100ns, int digits, struct buffer *out)
{
    uint64_t seconds = t100ns / 10000000;
    buffer_printf(out, "%02llu:%02llu:%02llu", (unsigned long long)(seconds / 3600),
                  (unsigned long long)(seconds / 60 % 60), (unsigned long long)(seconds % 60));
    if (digits == 7)
        buffer_printf(out, ".%07llu", (unsigned long long)(t100ns % 10000000));
    else if (digits == 3)
        buffer_printf(out, ".%03llu", (unsigned long long)(t100ns % 10000000 / 10000));
}

static void put_all(uint8_t type, const char *data, struct buffer *out)
{
    struct ms_datetimeall all;
    memcpy(&all, data, sizeof(all));
    buffer_puts(out, "N'");
    if (type != MS_WIRE_TIME)
        put_date(all.date, out);
    if (type == MS_WIRE_DATETIME2 || type == MS_WIRE_DATETIMEOFFSET)
        buffer_putc(out, 'T');
    if (type != MS_WIRE_DATE)
        put_clock(all.time, 7, out);
    if (type == MS_WIRE_DATETIMEOFFSET)
        buffer_puts(out, "+00:00");
    buffer_putc(out, '\'');
}

/* datetime: 1/300 s, shown as milliseconds that end in 0, 3 or 7 and read back as the same. */
static void put_datetime(int32_t days, uint32_t ticks, struct buffer *out)
{
    buffer_puts(out, "N'");
    put_date(days, out);
    buffer_putc(out, 'T');
    put_clock((ticks * UINT64_C(10) + 1) / 3 * 10000, 3, out);
    buffer_putc(out, '\'');
}

/* --- characters and bytes --- */

static void put_utf8(uint32_t c, struct buffer *out)
{
    if (c < 0x80) {
        buffer_putc(out, (char)c);
    } else if (c < 0x800) {
        buffer_putc(out, (char)(0xC0 | c >> 6));
        buffer_putc(out, (char)(0x80 | (c & 63)));
    } else if (c < 0x10000) {
        buffer_putc(out, (char)(0xE0 | c >> 12));
        buffer_putc(out, (char)(0x80 | (c >> 6 & 63)));
        buffer_putc(out, (char)(0x80 | (c & 63)));
    } else {
        buffer_putc(out, (char)(0xF0 | c >> 18));
        buffer_putc(out, (char)(0x80 | (c >> 12 & 63)));
        buffer_putc(out, (char)(0x80 | (c >> 6 & 63)));
        buffer_putc(out, (char)(0x80 | (c & 63)));
    }
}

/* The codec made it from UTF-8: pairs are whole and there is no NUL. */
static void put_characters(const char *data, uint32_t length, struct buffer *out)
{
    buffer_puts(out, "N'");
    for (uint32_t i = 0; i + 1 < length; i += 2) {
        uint32_t c = (uint32_t)(unsigned char)data[i] | (uint32_t)(unsigned char)data[i + 1] << 8;
        if (c >= 0xD800 && c < 0xDC00 && i + 3 < length) {
            uint32_t low = (uint32_t)(unsigned char)data[i + 2] | (uint32_t)(unsigned char)data[i + 3] << 8;
            c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
            i += 2;
        }
        if (c == '\'')
            buffer_putc(out, '\'');
        put_utf8(c, out);
    }
    buffer_putc(out, '\'');
}

static void put_unique(const char *data, struct buffer *out)
{
    static const unsigned char order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    buffer_puts(out, "N'");
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            buffer_putc(out, '-');
        buffer_printf(out, "%02X", (unsigned char)data[order[i]]);
    }
    buffer_putc(out, '\'');
}

static double real_of(const char *data)
{
    float narrow;
    memcpy(&narrow, data, sizeof(narrow));
    return narrow;
}

static double float_of(const char *data)
{
    double wide;
    memcpy(&wide, data, sizeof(wide));
    return wide;
}

void ms_sink_literal(const struct ms_bound *bound, const char *bytes, struct buffer *out)
{
    const char *data = bytes + bound->offset;
    if (bound->null) {
        buffer_puts(out, "NULL");
        return;
    }
    switch ((unsigned)bound->type) {
    case MS_WIRE_BIT:
    case MS_WIRE_INT1:
        buffer_printf(out, "%u", *(const unsigned char *)data);
        break;
    case MS_WIRE_INT2:
        buffer_printf(out, "%d", ms_get_i16(data));
        break;
    case MS_WIRE_INT4:
        buffer_printf(out, "%ld", (long)ms_get_i32(data));
        break;
    case MS_WIRE_INT8: /* the least one is a decimal constant and converts */
        buffer_printf(out, "%lld", (long long)ms_get_i64(data));
        break;
    case MS_WIRE_FLT8:
        put_float(float_of(data), out);
        break;
    case MS_WIRE_REAL:
        put_float(real_of(data), out);
        break;
    case MS_WIRE_NUMERIC:
        put_decimal(data, out);
        break;
    case MS_WIRE_MONEY:
        put_money((int64_t)((uint64_t)(uint32_t)ms_get_i32(data) << 32 | (uint32_t)ms_get_i32(data + 4)),
                  out);
        break;
    case MS_WIRE_MONEY4:
        put_money(ms_get_i32(data), out);
        break;
    case MS_WIRE_DATETIME:
        put_datetime(ms_get_i32(data), (uint32_t)ms_get_i32(data + 4), out);
        break;
    case MS_WIRE_DATETIME4:
        put_datetime((uint16_t)ms_get_i16(data), (uint32_t)(uint16_t)ms_get_i16(data + 2) * 18000u, out);
        break;
    case MS_WIRE_DATE:
    case MS_WIRE_TIME:
    case MS_WIRE_DATETIME2:
    case MS_WIRE_DATETIMEOFFSET:
        put_all(bound->type, data, out);
        break;
    case MS_WIRE_CHAR:
        put_characters(data, bound->length, out);
        break;
    case MS_WIRE_VARBINARY:
        ms_sql_hex(out, data, bound->length);
        break;
    case MS_WIRE_UNIQUE:
        put_unique(data, out);
        break;
    default:
        assert(false && "a type that the codec does not bind");
    }
}

void ms_sink_parameter(const struct ms_sink_column *column, struct buffer *out)
{
    uint32_t length = ms_type_length(&column->type);
    bool bytes = column->carrier.convert == MS_CONVERT_BYTES;
    switch ((unsigned)column->type.type->id) {
    case MS_CHAR:
    case MS_VARCHAR:
    case MS_NCHAR:
    case MS_NVARCHAR:
        buffer_puts(out, length && length <= 4000 ? "nvarchar(4000)" : "nvarchar(max)");
        break;
    case MS_TEXT:
    case MS_NTEXT:
    case MS_XML:
        buffer_puts(out, "nvarchar(max)");
        break;
    case MS_SQL_VARIANT:
        buffer_puts(out, "nvarchar(4000)");
        break;
    case MS_BINARY:
    case MS_VARBINARY:
        buffer_puts(out, length ? "varbinary(8000)" : "varbinary(max)");
        break;
    case MS_IMAGE:
        buffer_puts(out, "varbinary(max)");
        break;
    case MS_HIERARCHYID:
        buffer_puts(out, bytes ? "varbinary(892)" : "nvarchar(4000)");
        break;
    case MS_GEOMETRY:
    case MS_GEOGRAPHY:
        buffer_puts(out, bytes ? "varbinary(max)" : "nvarchar(max)");
        break;
    default:
        ms_type_declare(&column->type, out);
    }
}

uint8_t ms_sink_wire(const struct ms_sink_column *column)
{
    static const uint8_t wires[MS_TYPE_COUNT] = {
        [MS_BIT] = MS_WIRE_BIT,
        [MS_TINYINT] = MS_WIRE_INT1,
        [MS_SMALLINT] = MS_WIRE_INT2,
        [MS_INT] = MS_WIRE_INT4,
        [MS_BIGINT] = MS_WIRE_INT8,
        [MS_DECIMAL] = MS_WIRE_NUMERIC,
        [MS_NUMERIC] = MS_WIRE_NUMERIC,
        [MS_MONEY] = MS_WIRE_MONEY,
        [MS_SMALLMONEY] = MS_WIRE_MONEY4,
        [MS_FLOAT] = MS_WIRE_FLT8,
        [MS_REAL] = MS_WIRE_REAL,
        [MS_DATE] = MS_WIRE_DATE,
        [MS_TIME] = MS_WIRE_TIME,
        [MS_SMALLDATETIME] = MS_WIRE_DATETIME4,
        [MS_DATETIME] = MS_WIRE_DATETIME,
        [MS_DATETIME2] = MS_WIRE_DATETIME2,
        [MS_DATETIMEOFFSET] = MS_WIRE_DATETIMEOFFSET,
        [MS_UNIQUEIDENTIFIER] = MS_WIRE_UNIQUE,
    };
    uint8_t wire = wires[column->type.type->id];
    if (wire)
        return wire;
    return column->carrier.convert == MS_CONVERT_BYTES ? MS_WIRE_VARBINARY : MS_WIRE_CHAR;
}
