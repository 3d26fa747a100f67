/* SPDX-License-Identifier: PostgreSQL */
#include "mssql/sql.h"

#include <inttypes.h>
#include <string.h>

#include "base/utf8.h"

static void put_doubled(struct buffer *out, struct slice text, char quote)
{
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] == quote)
            buffer_putc(out, quote);
        buffer_putc(out, text.data[i]);
    }
}

void ms_sql_ident(struct buffer *out, const char *name)
{
    buffer_putc(out, '[');
    put_doubled(out, slice_of(name), ']');
    buffer_putc(out, ']');
}

void ms_sql_qualified(struct buffer *out, const char *schema, const char *name)
{
    ms_sql_ident(out, schema);
    buffer_putc(out, '.');
    ms_sql_ident(out, name);
}

void ms_sql_column(struct buffer *out, const char *alias, const char *name)
{
    if (alias) {
        ms_sql_ident(out, alias);
        buffer_putc(out, '.');
    }
    ms_sql_ident(out, name);
}

void ms_sql_columns(struct buffer *out, const char *alias, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i)
            buffer_puts(out, ", ");
        ms_sql_column(out, alias, names[i]);
    }
}

void ms_sql_hex(struct buffer *out, const void *data, size_t size)
{
    static const char digits[] = "0123456789ABCDEF";
    const unsigned char *bytes = data;
    buffer_puts(out, "0x");
    for (size_t i = 0; i < size; i++) {
        buffer_putc(out, digits[bytes[i] >> 4]);
        buffer_putc(out, digits[bytes[i] & 15]);
    }
}

/* The code point of the character of `length` bytes (as utf8_length gave it). */
static uint32_t code_point(const char *data, size_t length)
{
    static const unsigned char first[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    uint32_t c = (unsigned char)data[0] & first[length];
    for (size_t i = 1; i < length; i++)
        c = c << 6 | ((unsigned char)data[i] & 0x3F);
    return c;
}

static void put_unit(struct buffer *out, uint32_t unit)
{
    buffer_putc(out, (char)(unit & 0xFF));
    buffer_putc(out, (char)(unit >> 8));
}

static void put_utf16(struct buffer *out, struct slice text)
{
    for (size_t i = 0; i < text.length;) {
        size_t n = utf8_length(text.data + i, text.length - i);
        uint32_t c = n ? code_point(text.data + i, n) : 0xFFFD;
        if (c >= 0x10000) {
            put_unit(out, 0xD800 + ((c - 0x10000) >> 10));
            put_unit(out, 0xDC00 + ((c - 0x10000) & 0x3FF));
        } else {
            put_unit(out, c);
        }
        i += n ? n : 1;
    }
}

void ms_sql_literal_slice(struct buffer *out, struct slice text)
{
    if (text.length && memchr(text.data, '\0', text.length)) {
        struct buffer units = {0};
        put_utf16(&units, text);
        ms_sql_convert_hex(out, "nvarchar(max)", units.data, units.length);
        buffer_free(&units);
        return;
    }
    buffer_puts(out, "N'");
    put_doubled(out, text, '\'');
    buffer_putc(out, '\'');
}

void ms_sql_literal(struct buffer *out, const char *text)
{
    ms_sql_literal_slice(out, slice_of(text));
}

void ms_sql_convert_hex(struct buffer *out, const char *type, const void *data, size_t size)
{
    buffer_printf(out, "CONVERT(%s, ", type);
    ms_sql_hex(out, data, size);
    buffer_putc(out, ')');
}

void ms_sql_convert_text(struct buffer *out, const char *type, struct slice text, int style)
{
    buffer_printf(out, "CONVERT(%s, ", type);
    ms_sql_literal_slice(out, text);
    if (style >= 0)
        buffer_printf(out, ", %d", style);
    buffer_putc(out, ')');
}

void ms_sql_int(struct buffer *out, int64_t value)
{
    /* -9223372036854775808 would be a minus before a number that is no bigint. */
    if (value == INT64_MIN)
        buffer_puts(out, "CONVERT(bigint, 0x8000000000000000)");
    else
        buffer_printf(out, "%" PRId64, value);
}

void ms_sql_ints(struct buffer *out, const int64_t *values, size_t count)
{
    if (count == 0)
        buffer_puts(out, "NULL");
    for (size_t i = 0; i < count; i++) {
        if (i)
            buffer_puts(out, ", ");
        ms_sql_int(out, values[i]);
    }
}
