/* SPDX-License-Identifier: PostgreSQL
 *
 * What the parts of the codec share. Nobody else includes it.
 */
#ifndef MSSQL_VALUE_PART_H
#define MSSQL_VALUE_PART_H

#include <string.h>

#include "mssql/value.h"

__extension__ typedef unsigned __int128 ms_u128;

enum {
    MS_EPOCH_DAYS = 36524,      /* from 1900-01-01 to 2000-01-01 */
    MS_DATE_FIRST = -693595,    /* 0001-01-01, days since 1900-01-01 */
    MS_DATE_LAST = 2958463,     /* 9999-12-31 */
    MS_DATETIME_FIRST = -53690, /* 1753-01-01 */
    MS_SMALLDATETIME_LAST = 65535
};

#define MS_DAY_US INT64_C(86400000000)

#define MS_DECODE(name)                                                                                      \
    bool name(const struct ms_codec *self, const struct ms_datum *datum, struct buffer *out,                 \
              struct error *err)
#define MS_ENCODE(name)                                                                                      \
    bool name(const struct ms_codec *self, const struct value *value, struct buffer *out,                    \
              struct ms_bound *bound, struct error *err)

MS_DECODE(ms_value_decode_decimal);
MS_ENCODE(ms_value_encode_decimal);
MS_DECODE(ms_value_decode_decimal_int);
MS_ENCODE(ms_value_encode_decimal_int);
MS_DECODE(ms_value_decode_money);
MS_ENCODE(ms_value_encode_money);
MS_DECODE(ms_value_decode_date);
MS_ENCODE(ms_value_encode_date);
MS_DECODE(ms_value_decode_time);
MS_ENCODE(ms_value_encode_time);
MS_DECODE(ms_value_decode_timestamp);
MS_ENCODE(ms_value_encode_timestamp);
MS_DECODE(ms_value_decode_timestamptz);
MS_ENCODE(ms_value_encode_timestamptz);
MS_DECODE(ms_value_decode_text);
MS_ENCODE(ms_value_encode_text);
MS_DECODE(ms_value_decode_bpchar);
MS_DECODE(ms_value_decode_jsonb);
MS_ENCODE(ms_value_encode_jsonb);

/* numeric in binary, from and to a magnitude with `scale` digits after the point. */
void ms_value_put_numeric(struct buffer *out, bool negative, ms_u128 magnitude, unsigned scale);
MUST_CHECK bool ms_value_read_numeric(const struct value *value, unsigned precision, unsigned scale,
                                      bool *negative, ms_u128 *magnitude, struct error *err);

/* An integer of the carrier's width, from its binary form or its text. */
MUST_CHECK bool ms_value_read_int(const struct ms_codec *self, const struct value *value, int64_t *out,
                                  struct error *err);

/* date in days since 1900, time in microseconds, timestamp in microseconds since 2000, from the text that
 * PostgreSQL writes with DateStyle ISO. A zone's offset is taken off. */
MUST_CHECK bool ms_value_parse_date(struct slice text, int64_t *days, struct error *err);
MUST_CHECK bool ms_value_parse_time(struct slice text, int64_t *us, struct error *err);
MUST_CHECK bool ms_value_parse_timestamp(struct slice text, int64_t *us, struct error *err);

/* ERROR_DATA; what came, where a value of the column was due. Both return false. */
bool ms_value_unexpected(const struct ms_codec *self, const struct ms_datum *datum, struct error *err);
bool ms_value_malformed(const struct ms_codec *self, const struct value *value, struct error *err);

/* Room of `size` bytes at a multiple of 8. */
char *ms_value_bind(struct buffer *out, uint8_t type, size_t size, struct ms_bound *bound);
/* For values of any length, which were appended at bound->offset. */
void ms_value_bind_end(struct buffer *out, struct ms_bound *bound);

static inline int16_t ms_get_i16(const void *p)
{
    int16_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline int32_t ms_get_i32(const void *p)
{
    int32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline int64_t ms_get_i64(const void *p)
{
    int64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

/* Big-endian. */
static inline uint16_t ms_get_b16(const void *p)
{
    const unsigned char *b = p;
    return (uint16_t)(b[0] << 8 | b[1]);
}

static inline uint32_t ms_get_b32(const void *p)
{
    return (uint32_t)ms_get_b16(p) << 16 | ms_get_b16((const char *)p + 2);
}

static inline uint64_t ms_get_b64(const void *p)
{
    return (uint64_t)ms_get_b32(p) << 32 | ms_get_b32((const char *)p + 4);
}

/* |v|, of the least integer too. */
static inline uint64_t ms_value_magnitude(int64_t v)
{
    return v < 0 ? UINT64_C(0) - (uint64_t)v : (uint64_t)v;
}

static inline struct slice ms_value_slice(const struct value *value)
{
    return (struct slice){value->data, value->length};
}

#endif
