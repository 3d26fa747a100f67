/* SPDX-License-Identifier: PostgreSQL
 *
 * Characters. db-lib hands out UTF-8; rows it can't convert are read again as varbinary in UTF-16LE, which a
 * datum of a binary type in a character column means. PostgreSQL has neither NUL nor half a surrogate pair:
 * the column's policy says what becomes of them, on both paths alike.
 */
#include "mssql/value_part.h"

#include <endian.h>

#include "base/utf8.h"

static const char replacement[] = "\xEF\xBF\xBD"; /* U+FFFD */

static bool has_wide_or_nul(uint64_t eight)
{
    const uint64_t high = UINT64_C(0x8080808080808080);
    const uint64_t ones = UINT64_C(0x0101010101010101);
    return ((eight | (eight - ones)) & high) != 0; /* without high bits, only a NUL borrows */
}

/* Bytes before the first that PostgreSQL refuses: NUL, or no UTF-8. */
static size_t clean_length(const char *text, size_t length)
{
    size_t i = 0;
    while (i < length) {
        while (length - i >= 8) {
            uint64_t eight;
            memcpy(&eight, text + i, 8);
            if (has_wide_or_nul(eight))
                break;
            i += 8;
        }
        if (i == length)
            break;
        unsigned char c = (unsigned char)text[i];
        size_t n = c == 0 ? 0 : c < 0x80 ? 1 : utf8_length(text + i, length - i);
        if (n == 0)
            return i;
        i += n;
    }
    return i;
}

static bool refuse(struct error *err, bool nul, size_t at)
{
    return error_set(
        err, ERROR_DATA,
        "%s at character or byte %zu, which PostgreSQL can't hold - correct the row, or set the column's "
        "bad_text, which is refuse, to strip or replace",
        nul ? "a NUL character" : "half a surrogate pair or a byte that is no character", at + 1);
}

static bool put_utf8(const struct ms_codec *self, const char *text, size_t length, struct buffer *out,
                     struct error *err)
{
    size_t before = out->length;
    if (self->policy.bad_text == MS_BAD_TEXT_PASS) {
        buffer_put(out, text, length);
        return true;
    }
    for (size_t i = 0;;) {
        size_t n = clean_length(text + i, length - i);
        buffer_put(out, text + i, n);
        i += n;
        if (i == length)
            return true;
        if (self->policy.bad_text == MS_BAD_TEXT_REFUSE) {
            out->length = before;
            return refuse(err, text[i] == '\0', i);
        }
        if (self->policy.bad_text == MS_BAD_TEXT_REPLACE)
            buffer_puts(out, replacement);
        i++;
    }
}

static char *put_code_point(char *at, uint32_t c)
{
    if (c < 0x80) {
        *at++ = (char)c;
    } else if (c < 0x800) {
        *at++ = (char)(0xC0 | c >> 6);
        *at++ = (char)(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        *at++ = (char)(0xE0 | c >> 12);
        *at++ = (char)(0x80 | (c >> 6 & 0x3F));
        *at++ = (char)(0x80 | (c & 0x3F));
    } else {
        *at++ = (char)(0xF0 | c >> 18);
        *at++ = (char)(0x80 | (c >> 12 & 0x3F));
        *at++ = (char)(0x80 | (c >> 6 & 0x3F));
        *at++ = (char)(0x80 | (c & 0x3F));
    }
    return at;
}

static uint32_t unit_at(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

/* Units 1 to 0x7F in front, four at a time, as bytes to `at`. How many. */
static size_t narrow_ascii(const unsigned char *p, size_t units, char *at)
{
    size_t i = 0;
    for (; units - i >= 4; i += 4) {
        uint64_t w;
        memcpy(&w, p + 2 * i, 8);
        w = le64toh(w);
        if ((w | (w - UINT64_C(0x0001000100010001))) & UINT64_C(0xFF80FF80FF80FF80))
            break;
        w = (w | w >> 8) & UINT64_C(0x0000FFFF0000FFFF);
        uint32_t four = htole32((uint32_t)(w | w >> 16));
        memcpy(at + i, &four, 4);
    }
    return i;
}

/* Characters 0 to 0x7F in front, four at a time, as units to `at`. How many. */
static size_t widen_ascii(const unsigned char *p, size_t length, unsigned char *at)
{
    size_t i = 0;
    for (; length - i >= 4; i += 4) {
        uint32_t four;
        memcpy(&four, p + i, 4);
        four = le32toh(four);
        if (four & 0x80808080)
            break;
        uint64_t w = (four | (uint64_t)four << 16) & UINT64_C(0x0000FFFF0000FFFF);
        w = htole64((w | w << 8) & UINT64_C(0x00FF00FF00FF00FF));
        memcpy(at + 2 * i, &w, 8);
    }
    return i;
}

/* One unit becomes at most three bytes, a pair four. */
static bool put_utf16(const struct ms_codec *self, const struct ms_datum *datum, struct buffer *out,
                      struct error *err)
{
    const unsigned char *p = datum->data;
    size_t units = datum->length / 2;
    size_t before = out->length;
    if (datum->length % 2)
        return ms_value_unexpected(self, datum, err);
    char *start = buffer_extend(out, 3 * units);
    char *at = start;
    for (size_t i = 0; i < units; i++) {
        size_t ascii = narrow_ascii(p + 2 * i, units - i, at);
        at += ascii;
        i += ascii;
        if (i == units)
            break;
        uint32_t c = unit_at(p + 2 * i);
        uint32_t next = i + 1 < units ? unit_at(p + 2 * i + 2) : 0;
        bool surrogate = c >= 0xD800 && c < 0xE000;
        if (surrogate && c < 0xDC00 && next >= 0xDC00 && next < 0xE000) {
            at = put_code_point(at, 0x10000 + ((c - 0xD800) << 10) + (next - 0xDC00));
            i++;
        } else if (c && !surrogate) {
            at = put_code_point(at, c);
        } else if (self->policy.bad_text == MS_BAD_TEXT_REFUSE) {
            out->length = before;
            return refuse(err, c == 0, i);
        } else if (self->policy.bad_text != MS_BAD_TEXT_STRIP) {
            at = put_code_point(at, self->policy.bad_text == MS_BAD_TEXT_PASS ? c : 0xFFFD);
        }
    }
    out->length = before + (size_t)(at - start);
    out->data[out->length] = '\0';
    return true;
}

static bool put_characters(const struct ms_codec *self, const struct ms_datum *datum, struct buffer *out,
                           struct error *err)
{
    switch (datum->type) {
    case MS_WIRE_CHAR:
    case MS_WIRE_VARCHAR:
    case MS_WIRE_TEXT:
    case MS_WIRE_NTEXT:
    case MS_WIRE_NVARCHAR:
        return put_utf8(self, datum->data, datum->length, out, err);
    case MS_WIRE_BINARY:
    case MS_WIRE_VARBINARY:
    case MS_WIRE_IMAGE:
        return put_utf16(self, datum, out, err);
    default:
        return ms_value_unexpected(self, datum, err);
    }
}

static bool is_fixed(const struct ms_codec *self)
{
    return self->type == MS_CHAR || self->type == MS_NCHAR;
}

static size_t without_blanks(const char *text, size_t length)
{
    while (length && text[length - 1] == ' ')
        length--;
    return length;
}

/* An XML declaration in front, with what it says of an encoding that is no longer true. */
static size_t declaration_length(const char *text, size_t length)
{
    if (length < 6 || memcmp(text, "<?xml", 5) != 0 || !strchr(" \t\r\n", text[5]))
        return 0;
    const char *end = memmem(text, length, "?>", 2);
    return end ? (size_t)(end - text) + 2 : 0;
}

MS_DECODE(ms_value_decode_text)
{
    size_t before = out->length;
    if (!put_characters(self, datum, out, err))
        return false;
    size_t length = out->length - before;
    if (self->policy.trim_blanks && is_fixed(self)) {
        out->length = before + without_blanks(out->data + before, length);
    } else if (self->type == MS_XML) {
        size_t skip = declaration_length(out->data + before, length);
        memmove(out->data + before, out->data + before + skip, length - skip);
        out->length -= skip;
    }
    return true;
}

MS_DECODE(ms_value_decode_bpchar)
{
    size_t before = out->length;
    if (!put_characters(self, datum, out, err))
        return false;
    size_t characters = 0;
    for (const char *p = out->data + before; p < out->data + out->length; p++)
        characters += ((unsigned char)*p & 0xC0) != 0x80;
    if (self->modifier >= 4 && characters < (size_t)self->modifier - 4) {
        size_t pad = (size_t)self->modifier - 4 - characters;
        memset(buffer_extend(out, pad), ' ', pad);
    }
    return true;
}

MS_DECODE(ms_value_decode_jsonb)
{
    size_t before = out->length;
    buffer_put_u8(out, 1); /* the format's version */
    if (put_characters(self, datum, out, err))
        return true;
    out->length = before;
    return false;
}

bool ms_value_utf16(struct slice text, struct buffer *out)
{
    size_t before = out->length;
    const unsigned char *p = (const unsigned char *)text.data;
    unsigned char *at = (unsigned char *)buffer_extend(out, 2 * text.length);
    unsigned char *start = at;
    for (size_t i = 0; i < text.length;) {
        size_t ascii = widen_ascii(p + i, text.length - i, at);
        at += 2 * ascii;
        i += ascii;
        if (i == text.length)
            break;
        uint32_t c = p[i];
        size_t n = c < 0x80 ? 1 : utf8_length(text.data + i, text.length - i);
        if (n == 0) {
            out->length = before;
            return false;
        }
        if (n > 1) {
            c &= 0xFFu >> (n + 1);
            for (size_t k = 1; k < n; k++)
                c = c << 6 | (p[i + k] & 0x3F);
        }
        i += n;
        if (c >= 0x10000) {
            uint32_t high = 0xD800 + ((c - 0x10000) >> 10);
            *at++ = (unsigned char)high;
            *at++ = (unsigned char)(high >> 8);
            c = 0xDC00 + (c & 0x3FF);
        }
        *at++ = (unsigned char)c;
        *at++ = (unsigned char)(c >> 8);
    }
    out->length = before + (size_t)(at - start);
    return true;
}

static bool bind_characters(const struct ms_codec *self, struct slice text, struct buffer *out,
                            struct ms_bound *bound, struct error *err)
{
    if (is_fixed(self)) /* the server fills it up again */
        text.length = without_blanks(text.data, text.length);
    if (self->type == MS_XML) {
        size_t skip = declaration_length(text.data, text.length);
        text = (struct slice){text.data + skip, text.length - skip};
    }
    size_t before = out->length;
    ms_value_bind(out, MS_WIRE_CHAR, 0, bound);
    if (!ms_value_utf16(text, out)) {
        out->length = before;
        return error_set(err, ERROR_DATA, "the text is not UTF-8");
    }
    ms_value_bind_end(out, bound);
    size_t length = self->is_utf8 ? text.length : bound->length / 2;
    if (self->limit && length > self->limit) {
        out->length = before;
        return error_set(err, ERROR_DATA, "text of %zu %s is too long for %s(%u)", length,
                         self->is_utf8 ? "bytes" : "UTF-16 units", ms_type_at(self->type)->name, self->limit);
    }
    return true;
}

MS_ENCODE(ms_value_encode_text)
{
    return bind_characters(self, ms_value_slice(value), out, bound, err);
}

MS_ENCODE(ms_value_encode_jsonb)
{
    struct slice text = ms_value_slice(value);
    if (value->kind == VALUE_BINARY) {
        if (text.length < 1 || text.data[0] != 1)
            return ms_value_malformed(self, value, err);
        text = (struct slice){text.data + 1, text.length - 1};
    }
    return bind_characters(self, text, out, bound, err);
}
