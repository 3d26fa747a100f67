/* SPDX-License-Identifier: PostgreSQL
 *
 * decimal and money. SQL Server keeps a decimal as a magnitude of up to 38 digits and a scale, which fits 128
 * bits; PostgreSQL keeps groups of four decimal digits around the decimal point.
 */
#include "mssql/value_part.h"

#include <assert.h>
#include <endian.h>

enum { DIGITS_MAX = 38, GROUPS_MAX = 12, NUMERIC_NEGATIVE = 0x4000 };

static const uint16_t small_power[4] = {1, 10, 100, 1000};

static ms_u128 power10(unsigned n)
{
    static const uint64_t low[20] = {UINT64_C(1),
                                     UINT64_C(10),
                                     UINT64_C(100),
                                     UINT64_C(1000),
                                     UINT64_C(10000),
                                     UINT64_C(100000),
                                     UINT64_C(1000000),
                                     UINT64_C(10000000),
                                     UINT64_C(100000000),
                                     UINT64_C(1000000000),
                                     UINT64_C(10000000000),
                                     UINT64_C(100000000000),
                                     UINT64_C(1000000000000),
                                     UINT64_C(10000000000000),
                                     UINT64_C(100000000000000),
                                     UINT64_C(1000000000000000),
                                     UINT64_C(10000000000000000),
                                     UINT64_C(100000000000000000),
                                     UINT64_C(1000000000000000000),
                                     UINT64_C(10000000000000000000)};
    assert(n <= DIGITS_MAX);
    return n < 20 ? low[n] : (ms_u128)low[19] * low[n - 19];
}

/* Bytes of a magnitude below 10^precision. */
static unsigned magnitude_bytes(unsigned precision)
{
    static const uint8_t bytes[DIGITS_MAX + 1] = {0,  1,  1,  2,  2,  3,  3,  3,  4,  4,  5,  5,  5,
                                                  6,  6,  7,  7,  8,  8,  8,  9,  9,  10, 10, 10, 11,
                                                  11, 12, 12, 13, 13, 13, 14, 14, 15, 15, 15, 16, 16};
    return bytes[precision];
}

/* Groups of four digits, the least significant first; the first one filled up behind the last digit. */
static unsigned split_groups(ms_u128 magnitude, unsigned scale, uint16_t groups[GROUPS_MAX])
{
    unsigned n = 0;
    unsigned rest = scale % 4;
    if (rest) {
        unsigned power = small_power[rest];
        groups[n++] = (uint16_t)((unsigned)(magnitude % power) * small_power[4 - rest]);
        magnitude /= power;
    }
    while (magnitude >> 64) {
        uint64_t chunk = (uint64_t)(magnitude % UINT64_C(10000000000000000));
        magnitude /= UINT64_C(10000000000000000);
        for (int i = 0; i < 4; i++, chunk /= 10000)
            groups[n++] = (uint16_t)(chunk % 10000);
    }
    for (uint64_t left = (uint64_t)magnitude; left; left /= 10000)
        groups[n++] = (uint16_t)(left % 10000);
    return n;
}

void ms_value_put_numeric(struct buffer *out, bool negative, ms_u128 magnitude, unsigned scale)
{
    uint16_t groups[GROUPS_MAX];
    unsigned count = split_groups(magnitude, scale, groups);
    unsigned first = 0; /* zeros behind are not written */
    while (first < count && groups[first] == 0)
        first++;
    uint16_t head[4] = {htobe16((uint16_t)(count - first)), 0, 0, htobe16((uint16_t)scale)};
    if (first < count) {
        int weight = (int)count - 1 - (int)((scale + 3) / 4);
        head[1] = htobe16((uint16_t)weight);
        head[2] = negative ? htobe16(NUMERIC_NEGATIVE) : 0;
    }
    char *at = buffer_extend(out, sizeof(head) + 2 * (size_t)(count - first));
    memcpy(at, head, sizeof(head));
    at += sizeof(head);
    for (unsigned i = count; i > first; i--, at += 2) {
        uint16_t group = htobe16(groups[i - 1]);
        memcpy(at, &group, 2);
    }
}

static bool read_decimal(const struct ms_codec *self, const struct ms_datum *datum, bool *negative,
                         ms_u128 *magnitude, unsigned *scale, struct error *err)
{
    const unsigned char *p = datum->data;
    if ((datum->type != MS_WIRE_NUMERIC && datum->type != MS_WIRE_DECIMAL) || datum->length < 4)
        return ms_value_unexpected(self, datum, err);
    unsigned precision = p[0];
    *scale = p[1];
    if (precision < 1 || precision > DIGITS_MAX || *scale > precision || p[2] > 1 ||
        datum->length < 3 + magnitude_bytes(precision))
        return ms_value_unexpected(self, datum, err);
    *negative = p[2] == 1;
    ms_u128 v = 0;
    for (unsigned i = 0; i < magnitude_bytes(precision); i++)
        v = v << 8 | p[3 + i];
    if (v >= power10(precision))
        return ms_value_unexpected(self, datum, err);
    *magnitude = v;
    return true;
}

MS_DECODE(ms_value_decode_decimal)
{
    bool negative;
    ms_u128 magnitude;
    unsigned scale;
    if (!read_decimal(self, datum, &negative, &magnitude, &scale, err))
        return false;
    ms_value_put_numeric(out, negative, magnitude, scale);
    return true;
}

MS_DECODE(ms_value_decode_decimal_int)
{
    bool negative;
    ms_u128 magnitude;
    unsigned scale;
    if (!read_decimal(self, datum, &negative, &magnitude, &scale, err))
        return false;
    if (magnitude % power10(scale) != 0)
        return error_set(err, ERROR_DATA, "a decimal with a fraction is no integer - choose numeric");
    magnitude /= power10(scale);
    ms_u128 limit = ((ms_u128)1 << (self->width * 8 - 1)) - !negative;
    if (magnitude > limit)
        return error_set(err, ERROR_DATA, "a decimal is out of range of a %u byte integer - choose numeric",
                         self->width);
    uint64_t big = htobe64(negative ? -(uint64_t)magnitude : (uint64_t)magnitude);
    buffer_put(out, (const char *)&big + 8 - self->width, self->width);
    return true;
}

MS_DECODE(ms_value_decode_money)
{
    int64_t v;
    if (datum->type == MS_WIRE_MONEY && datum->length == 8) {
        uint64_t high = (uint32_t)ms_get_i32(datum->data);
        v = (int64_t)(high << 32 | (uint32_t)ms_get_i32((const char *)datum->data + 4));
    } else if (datum->type == MS_WIRE_MONEY4 && datum->length == 4) {
        v = ms_get_i32(datum->data);
    } else {
        return ms_value_unexpected(self, datum, err);
    }
    ms_value_put_numeric(out, v < 0, ms_value_magnitude(v), 4);
    return true;
}

static bool too_many(struct error *err, unsigned precision, unsigned scale)
{
    return error_set(err, ERROR_DATA, "the number does not fit decimal(%u,%u) - its digits would be lost",
                     precision, scale);
}

/* magnitude * factor + digits, below 10^38. */
static bool push(ms_u128 *magnitude, unsigned factor, unsigned digits)
{
    ms_u128 v;
    if (__builtin_mul_overflow(*magnitude, (ms_u128)factor, &v) ||
        __builtin_add_overflow(v, (ms_u128)digits, magnitude))
        return false;
    return *magnitude < power10(DIGITS_MAX);
}

/* The last group holds up to three digits too many: they must be zeros. `places`: how many of its four count.
 */
static bool push_last(ms_u128 *magnitude, int places, unsigned digits)
{
    if (places >= 4)
        return push(magnitude, 10000, digits);
    if (places <= 0 || digits % small_power[4 - places] != 0)
        return false;
    return push(magnitude, small_power[places], digits / small_power[4 - places]);
}

static bool read_numeric_binary(const struct value *value, unsigned precision, unsigned scale, bool *negative,
                                ms_u128 *magnitude, struct error *err)
{
    const char *p = value->data;
    unsigned count = value->length >= 8 ? ms_get_b16(p) : 0;
    if (value->length < 8 || value->length != 8 + 2 * (size_t)count)
        return error_set(err, ERROR_DATA, "no numeric - %u bytes", value->length);
    int weight = (int16_t)ms_get_b16(p + 2);
    unsigned sign = ms_get_b16(p + 4);
    if (sign != 0 && sign != NUMERIC_NEGATIVE)
        return error_set(err, ERROR_DATA, "NaN and infinity are no values of decimal");
    *negative = sign != 0;
    *magnitude = 0;
    while (count && ms_get_b16(p + 8 + 2 * (size_t)(count - 1)) == 0)
        count--;
    for (unsigned i = 0; i < count; i++) {
        unsigned digits = ms_get_b16(p + 8 + 2 * (size_t)i);
        int places = i + 1 < count ? 4 : 4 * (weight - (int)i) + (int)scale + 4;
        if (digits > 9999 || !push_last(magnitude, places, digits))
            return too_many(err, precision, scale);
    }
    /* Zeros between the last group and the last place. */
    for (int zeros = 4 * (weight - (int)count + 1) + (int)scale; count && zeros > 0 && *magnitude; zeros--) {
        if (!push(magnitude, 10, 0))
            return too_many(err, precision, scale);
    }
    return true;
}

static bool read_numeric_text(const struct value *value, unsigned precision, unsigned scale, bool *negative,
                              ms_u128 *magnitude, struct error *err)
{
    const char *p = value->data;
    const char *end = p + value->length;
    int places = -1; /* digits after the point so far */
    bool any = false;
    *magnitude = 0;
    *negative = p < end && *p == '-';
    for (p += *negative; p < end; p++) {
        if (*p == '.' && places < 0) {
            places = 0;
            continue;
        }
        if (*p < '0' || *p > '9')
            return error_set(err, ERROR_DATA,
                             "no number of decimal - NaN, infinity or %u bytes of other text", value->length);
        any = true;
        if (places >= 0 && ++places > (int)scale) {
            if (*p != '0')
                return too_many(err, precision, scale);
        } else if (!push(magnitude, 10, (unsigned)(*p - '0'))) {
            return too_many(err, precision, scale);
        }
    }
    if (!any)
        return error_set(err, ERROR_DATA, "no number of decimal - %u bytes of text", value->length);
    for (int i = places < 0 ? 0 : places; i < (int)scale; i++) {
        if (!push(magnitude, 10, 0))
            return too_many(err, precision, scale);
    }
    return true;
}

bool ms_value_read_numeric(const struct value *value, unsigned precision, unsigned scale, bool *negative,
                           ms_u128 *magnitude, struct error *err)
{
    bool good = value->kind == VALUE_TEXT
                    ? read_numeric_text(value, precision, scale, negative, magnitude, err)
                    : read_numeric_binary(value, precision, scale, negative, magnitude, err);
    if (!good)
        return false;
    if (*magnitude >= power10(precision))
        return too_many(err, precision, scale);
    if (*magnitude == 0)
        *negative = false;
    return true;
}

static void bind_decimal(const struct ms_codec *self, bool negative, ms_u128 magnitude, struct buffer *out,
                         struct ms_bound *bound)
{
    struct ms_numeric n = {.precision = self->precision, .scale = self->scale};
    n.array[0] = negative;
    for (unsigned i = magnitude_bytes(self->precision); i > 0; i--, magnitude >>= 8)
        n.array[i] = (uint8_t)magnitude;
    memcpy(ms_value_bind(out, MS_WIRE_NUMERIC, sizeof(n), bound), &n, sizeof(n));
}

MS_ENCODE(ms_value_encode_decimal)
{
    bool negative;
    ms_u128 magnitude;
    if (!ms_value_read_numeric(value, self->precision, self->scale, &negative, &magnitude, err))
        return false;
    bind_decimal(self, negative, magnitude, out, bound);
    return true;
}

MS_ENCODE(ms_value_encode_decimal_int)
{
    int64_t v;
    if (!ms_value_read_int(self, value, &v, err))
        return false;
    ms_u128 magnitude = ms_value_magnitude(v);
    if (magnitude >= power10(self->precision - self->scale))
        return too_many(err, self->precision, self->scale);
    bind_decimal(self, v < 0, magnitude * power10(self->scale), out, bound);
    return true;
}

MS_ENCODE(ms_value_encode_money)
{
    bool negative;
    ms_u128 magnitude;
    bool small = self->type == MS_SMALLMONEY;
    if (!ms_value_read_numeric(value, small ? 10 : 19, 4, &negative, &magnitude, err))
        return false;
    ms_u128 limit = (ms_u128)(small ? INT32_MAX : INT64_MAX) + negative;
    if (magnitude > limit)
        return error_set(err, ERROR_DATA, "the number is out of range of %s", ms_type_at(self->type)->name);
    uint64_t bits = negative ? -(uint64_t)magnitude : (uint64_t)magnitude;
    uint32_t words[2] = {(uint32_t)(bits >> 32), (uint32_t)bits};
    if (small)
        memcpy(ms_value_bind(out, MS_WIRE_MONEY4, 4, bound), &words[1], 4);
    else
        memcpy(ms_value_bind(out, MS_WIRE_MONEY, 8, bound), words, 8);
    return true;
}
