/* SPDX-License-Identifier: PostgreSQL */
#include "mssql/value.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "mssql/value_part.h"

bool ms_value_unexpected(const struct ms_codec *self, const struct ms_datum *datum, struct error *err)
{
    return error_set(err, ERROR_DATA, "no value of %s - the server sent type number %u of %u bytes",
                     ms_type_at(self->type)->name, datum->type, datum->length);
}

bool ms_value_malformed(const struct ms_codec *self, const struct value *value, struct error *err)
{
    return error_set(err, ERROR_DATA, "no value for %s - %u bytes of %s can't be read",
                     ms_type_at(self->type)->name, value->length,
                     value->kind == VALUE_TEXT ? "text" : "binary");
}

/* db-lib's fixed types take no length. */
static bool is_fixed_type(uint8_t type)
{
    switch (type) {
    case MS_WIRE_CHAR:
    case MS_WIRE_VARBINARY:
    case MS_WIRE_NUMERIC:
    case MS_WIRE_TIME:
    case MS_WIRE_DATETIME2:
    case MS_WIRE_DATETIMEOFFSET:
        return false;
    default:
        return true;
    }
}

char *ms_value_bind(struct buffer *out, uint8_t type, size_t size, struct ms_bound *bound)
{
    size_t pad = (8 - out->length % 8) % 8;
    buffer_extend(out, pad);
    assert(out->length + size <= INT32_MAX);
    *bound = (struct ms_bound){.offset = (uint32_t)out->length, .length = (uint32_t)size, .type = type};
    bound->varlen = is_fixed_type(type) ? -1 : (int32_t)size;
    return buffer_extend(out, size);
}

void ms_value_bind_end(struct buffer *out, struct ms_bound *bound)
{
    assert(out->length <= INT32_MAX);
    bound->length = (uint32_t)(out->length - bound->offset);
    bound->varlen = (int32_t)bound->length;
    if (bound->length == 0) {
        buffer_putc(out, '\0');
        bound->varlen = -1;
    }
}

/* Integers of any width; the server sends a column's own, an expression may widen it. */
static bool datum_int(const struct ms_datum *datum, int64_t *out)
{
    switch (datum->type) {
    case MS_WIRE_BIT:
    case MS_WIRE_BITN:
    case MS_WIRE_INT1:
        *out = datum->length == 1 ? *(const uint8_t *)datum->data : 0;
        return datum->length == 1;
    case MS_WIRE_INT2:
        *out = datum->length == 2 ? ms_get_i16(datum->data) : 0;
        return datum->length == 2;
    case MS_WIRE_INT4:
        *out = datum->length == 4 ? ms_get_i32(datum->data) : 0;
        return datum->length == 4;
    case MS_WIRE_INT8:
        *out = datum->length == 8 ? ms_get_i64(datum->data) : 0;
        return datum->length == 8;
    default:
        return false;
    }
}

static bool fits_width(int64_t v, unsigned width)
{
    return width == 8 || (width == 4 && v == (int32_t)v) || (width == 2 && v == (int16_t)v);
}

static void put_int(struct buffer *out, int64_t v, unsigned width)
{
    if (width == 4)
        buffer_put_u32(out, (uint32_t)v);
    else if (width == 8)
        buffer_put_u64(out, (uint64_t)v);
    else
        buffer_put_u16(out, (uint16_t)v);
}

static MS_DECODE(decode_bool)
{
    int64_t v;
    if (!datum_int(datum, &v) || v < 0 || v > 1)
        return ms_value_unexpected(self, datum, err);
    buffer_put_u8(out, (uint8_t)v);
    return true;
}

static MS_DECODE(decode_int)
{
    int64_t v;
    if (!datum_int(datum, &v))
        return ms_value_unexpected(self, datum, err);
    if (!fits_width(v, self->width))
        return error_set(err, ERROR_DATA, "%lld is out of range of a %u byte integer", (long long)v,
                         self->width);
    put_int(out, v, self->width);
    return true;
}

static MS_DECODE(decode_int_numeric)
{
    int64_t v;
    if (!datum_int(datum, &v))
        return ms_value_unexpected(self, datum, err);
    ms_value_put_numeric(out, v < 0, ms_value_magnitude(v), 0);
    return true;
}

static bool int_of(const struct value *value, int64_t *out)
{
    if (value->kind == VALUE_BINARY) {
        switch (value->length) {
        case 2:
            *out = (int16_t)ms_get_b16(value->data);
            return true;
        case 4:
            *out = (int32_t)ms_get_b32(value->data);
            return true;
        case 8:
            *out = (int64_t)ms_get_b64(value->data);
            return true;
        default:
            return false;
        }
    }
    char text[24];
    if (value->length == 0 || value->length >= sizeof(text))
        return false;
    memcpy(text, value->data, value->length);
    text[value->length] = '\0';
    char *end;
    errno = 0;
    *out = strtoll(text, &end, 10);
    return !errno && end == text + value->length;
}

bool ms_value_read_int(const struct ms_codec *self, const struct value *value, int64_t *out,
                       struct error *err)
{
    bool width = value->kind == VALUE_TEXT || value->length == self->width;
    return (width && int_of(value, out) && fits_width(*out, self->width)) ||
           ms_value_malformed(self, value, err);
}

static bool bind_int(const struct ms_codec *self, int64_t v, struct buffer *out, struct ms_bound *bound,
                     struct error *err)
{
    static const struct {
        enum ms_type_id id;
        uint8_t wire, width;
        int64_t min, max;
    } kinds[] = {
        {MS_BIT, MS_WIRE_BIT, 1, 0, 1},
        {MS_TINYINT, MS_WIRE_INT1, 1, 0, 255},
        {MS_SMALLINT, MS_WIRE_INT2, 2, INT16_MIN, INT16_MAX},
        {MS_INT, MS_WIRE_INT4, 4, INT32_MIN, INT32_MAX},
        {MS_BIGINT, MS_WIRE_INT8, 8, INT64_MIN, INT64_MAX},
    };
    assert(self->type <= MS_BIGINT && kinds[self->type].id == self->type);
    if (v < kinds[self->type].min || v > kinds[self->type].max)
        return error_set(err, ERROR_DATA, "%lld is out of range of %s", (long long)v,
                         ms_type_at(self->type)->name);
    uint64_t little = htole64((uint64_t)v);
    uint8_t width = kinds[self->type].width;
    memcpy(ms_value_bind(out, kinds[self->type].wire, width, bound), &little, width);
    return true;
}

static MS_ENCODE(encode_bool)
{
    if (value->length != 1)
        return ms_value_malformed(self, value, err);
    bool text = value->kind == VALUE_TEXT;
    char c = value->data[0];
    if (text ? c != 't' && c != 'f' : c != 0 && c != 1)
        return ms_value_malformed(self, value, err);
    return bind_int(self, text ? c == 't' : c, out, bound, err);
}

static MS_ENCODE(encode_int)
{
    int64_t v;
    return ms_value_read_int(self, value, &v, err) && bind_int(self, v, out, bound, err);
}

static MS_ENCODE(encode_int_numeric)
{
    bool negative;
    ms_u128 magnitude;
    if (!ms_value_read_numeric(value, 19, 0, &negative, &magnitude, err))
        return false;
    if (magnitude > (ms_u128)INT64_MAX + negative)
        return error_set(err, ERROR_DATA, "the value is out of range of %s", ms_type_at(self->type)->name);
    return bind_int(self, negative ? (int64_t) - (uint64_t)magnitude : (int64_t)magnitude, out, bound, err);
}

static MS_DECODE(decode_float)
{
    double wide;
    float narrow;
    uint64_t bits8;
    uint32_t bits4;
    bool single = datum->type == MS_WIRE_REAL && datum->length == 4;
    if (!single && (datum->type != MS_WIRE_FLT8 || datum->length != 8))
        return ms_value_unexpected(self, datum, err);
    if (single && self->width == 4) {
        memcpy(&bits4, datum->data, 4);
        buffer_put_u32(out, bits4);
        return true;
    }
    if (self->width == 4)
        return ms_value_unexpected(self, datum, err);
    if (single) {
        memcpy(&narrow, datum->data, 4);
        wide = narrow;
    } else {
        memcpy(&wide, datum->data, 8);
    }
    memcpy(&bits8, &wide, 8);
    buffer_put_u64(out, bits8);
    return true;
}

static bool read_float(const struct value *value, double *out)
{
    if (value->kind == VALUE_BINARY && value->length == 4) {
        uint32_t bits = ms_get_b32(value->data);
        float narrow;
        memcpy(&narrow, &bits, 4);
        *out = narrow;
        return true;
    }
    if (value->kind == VALUE_BINARY) {
        uint64_t bits = value->length == 8 ? ms_get_b64(value->data) : 0;
        memcpy(out, &bits, 8);
        return value->length == 8;
    }
    char text[64];
    char *end;
    if (value->length == 0 || value->length >= sizeof(text))
        return false;
    memcpy(text, value->data, value->length);
    text[value->length] = '\0';
    *out = strtod(text, &end);
    return end == text + value->length;
}

static MS_ENCODE(encode_float)
{
    double wide;
    if (!read_float(value, &wide))
        return ms_value_malformed(self, value, err);
    if (!isfinite(wide))
        return error_set(err, ERROR_DATA, "NaN and infinity are no values of %s",
                         ms_type_at(self->type)->name);
    if (self->type == MS_FLOAT) {
        memcpy(ms_value_bind(out, MS_WIRE_FLT8, 8, bound), &wide, 8);
        return true;
    }
    float narrow = (float)wide;
    /* The text of a float4 is read as the double nearest to it: only a float8 must be a float4 exactly. */
    if (isinf(narrow) || (self->width == 8 && (double)narrow != wide))
        return error_set(err, ERROR_DATA, "%.17g is no single precision number, as real has them", wide);
    memcpy(ms_value_bind(out, MS_WIRE_REAL, 4, bound), &narrow, 4);
    return true;
}

/* The first three fields are little-endian in SQL Server, big-endian in PostgreSQL. Both ways. */
static void swap_uuid(const unsigned char *in, unsigned char *out)
{
    static const unsigned char order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    for (int i = 0; i < 16; i++)
        out[i] = in[order[i]];
}

static MS_DECODE(decode_uuid)
{
    if (datum->type != MS_WIRE_UNIQUE || datum->length != 16)
        return ms_value_unexpected(self, datum, err);
    swap_uuid(datum->data, (unsigned char *)buffer_extend(out, 16));
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_hex(const char *text, size_t bytes, unsigned char *out)
{
    for (size_t i = 0; i < bytes; i++) {
        int high = hex_digit(text[2 * i]);
        int low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static bool parse_uuid(struct slice text, unsigned char out[16])
{
    const char *t = text.data;
    return text.length == 36 && t[8] == '-' && t[13] == '-' && t[18] == '-' && t[23] == '-' &&
           parse_hex(t, 4, out) && parse_hex(t + 9, 2, out + 4) && parse_hex(t + 14, 2, out + 6) &&
           parse_hex(t + 19, 2, out + 8) && parse_hex(t + 24, 6, out + 10);
}

static MS_ENCODE(encode_uuid)
{
    unsigned char plain[16];
    if (value->kind == VALUE_TEXT) {
        if (!parse_uuid(ms_value_slice(value), plain))
            return ms_value_malformed(self, value, err);
    } else {
        if (value->length != 16)
            return ms_value_malformed(self, value, err);
        memcpy(plain, value->data, 16);
    }
    swap_uuid(plain, (unsigned char *)ms_value_bind(out, MS_WIRE_UNIQUE, 16, bound));
    return true;
}

static bool is_bytes(const struct ms_datum *datum)
{
    return datum->type == MS_WIRE_BINARY || datum->type == MS_WIRE_VARBINARY || datum->type == MS_WIRE_IMAGE;
}

static MS_DECODE(decode_bytes)
{
    if (!is_bytes(datum) || (self->limit && datum->length > self->limit))
        return ms_value_unexpected(self, datum, err);
    buffer_put(out, datum->data, datum->length);
    return true;
}

static MS_ENCODE(encode_bytes)
{
    bool text = value->kind == VALUE_TEXT;
    size_t length = value->length;
    if (text) {
        if (length < 2 || length % 2 || value->data[0] != '\\' || value->data[1] != 'x')
            return ms_value_malformed(self, value, err);
        length = (length - 2) / 2;
    }
    if (self->limit && length > self->limit)
        return error_set(err, ERROR_DATA, "%zu bytes are too long for %s(%u)", length,
                         ms_type_at(self->type)->name, self->limit);
    size_t before = out->length;
    char *at = ms_value_bind(out, MS_WIRE_VARBINARY, length, bound);
    if (text && !parse_hex(value->data + 2, length, (unsigned char *)at)) {
        out->length = before;
        return ms_value_malformed(self, value, err);
    }
    if (!text && length)
        memcpy(at, value->data, length);
    ms_value_bind_end(out, bound);
    return true;
}

static MS_DECODE(decode_rowversion)
{
    if (!is_bytes(datum) || datum->length != 8)
        return ms_value_unexpected(self, datum, err);
    uint64_t v = ms_get_b64(datum->data);
    if (v > INT64_MAX)
        return error_set(err, ERROR_DATA, "rowversion %llu is out of range of bigint - choose bytea",
                         (unsigned long long)v);
    buffer_put_u64(out, v);
    return true;
}

static MS_ENCODE(encode_rowversion)
{
    int64_t v;
    if (!ms_value_read_int(self, value, &v, err))
        return false;
    if (v < 0)
        return error_set(err, ERROR_DATA, "%lld is no rowversion", (long long)v);
    uint64_t big = htobe64((uint64_t)v);
    memcpy(ms_value_bind(out, MS_WIRE_VARBINARY, 8, bound), &big, 8);
    return true;
}

static unsigned carrier_width(uint32_t oid)
{
    switch (oid) {
    case MS_OID_INT2:
        return 2;
    case MS_OID_INT4:
    case MS_OID_FLOAT4:
        return 4;
    default:
        return 8;
    }
}

void ms_codec_make(const struct ms_column_type *column, const struct ms_carrier *carrier,
                   const struct ms_value_policy *policy, struct ms_codec *out)
{
    static const struct {
        MS_DECODE((*decode));
        MS_ENCODE((*encode));
    } by_convert[MS_CONVERT_COUNT] = {
        [MS_CONVERT_BOOL] = {decode_bool, encode_bool},
        [MS_CONVERT_INT] = {decode_int, encode_int},
        [MS_CONVERT_INT_NUMERIC] = {decode_int_numeric, encode_int_numeric},
        [MS_CONVERT_DECIMAL] = {ms_value_decode_decimal, ms_value_encode_decimal},
        [MS_CONVERT_DECIMAL_INT] = {ms_value_decode_decimal_int, ms_value_encode_decimal_int},
        [MS_CONVERT_MONEY] = {ms_value_decode_money, ms_value_encode_money},
        [MS_CONVERT_FLOAT] = {decode_float, encode_float},
        [MS_CONVERT_DATE] = {ms_value_decode_date, ms_value_encode_date},
        [MS_CONVERT_TIME] = {ms_value_decode_time, ms_value_encode_time},
        [MS_CONVERT_TIMESTAMP] = {ms_value_decode_timestamp, ms_value_encode_timestamp},
        [MS_CONVERT_TIMESTAMPTZ] = {ms_value_decode_timestamptz, ms_value_encode_timestamptz},
        [MS_CONVERT_TEXT] = {ms_value_decode_text, ms_value_encode_text},
        [MS_CONVERT_BPCHAR] = {ms_value_decode_bpchar, ms_value_encode_text},
        [MS_CONVERT_JSONB] = {ms_value_decode_jsonb, ms_value_encode_jsonb},
        [MS_CONVERT_BYTES] = {decode_bytes, encode_bytes},
        [MS_CONVERT_UUID] = {decode_uuid, encode_uuid},
        [MS_CONVERT_ROWVERSION_INT8] = {decode_rowversion, encode_rowversion},
    };
    assert(by_convert[carrier->convert].decode && by_convert[carrier->convert].encode);
    *out = (struct ms_codec){
        .decode = by_convert[carrier->convert].decode,
        .encode = by_convert[carrier->convert].encode,
        .type = column->type->id,
        .oid = carrier->oid,
        .modifier = ms_type_modifier(column, carrier),
        .precision = column->precision,
        .scale = column->scale,
        .width = (uint8_t)carrier_width(carrier->oid),
        .is_utf8 = column->is_utf8,
        .limit = ms_type_length(column),
    };
    if (policy)
        out->policy = *policy;
}

bool ms_value_copy_field(const struct ms_codec *codec, const struct ms_datum *datum, struct buffer *out,
                         struct error *err)
{
    if (!datum->data) {
        buffer_put_u32(out, UINT32_MAX);
        return true;
    }
    size_t before = out->length;
    buffer_extend(out, 4);
    if (!codec->decode(codec, datum, out, err)) {
        out->length = before;
        return false;
    }
    uint32_t length = htobe32((uint32_t)(out->length - before - 4));
    memcpy(out->data + before, &length, 4);
    return true;
}

bool ms_value_encode(const struct ms_codec *codec, const struct value *value, struct buffer *out,
                     struct ms_bound *bound, struct error *err)
{
    assert(value->kind != VALUE_ABSENT);
    if (value->kind == VALUE_NULL) {
        *bound = (struct ms_bound){.offset = (uint32_t)out->length, .null = true};
        return true;
    }
    /* The most any value needs: UTF-16 of ASCII, or a struct. */
    if (out->length + 2 * (size_t)value->length + 64 > INT32_MAX)
        return error_set(err, ERROR_DATA, "a value of %u bytes makes a row of more than 2 GB", value->length);
    return codec->encode(codec, value, out, bound, err);
}
