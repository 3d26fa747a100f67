/* SPDX-License-Identifier: PostgreSQL
 *
 * Any bytes as a SQL Server value of any type and as a PostgreSQL value on the way back: refused as data or
 * converted, nothing read outside, nothing left behind by a refusal; what was carried exactly comes back to
 * the same bytes.
 *
 * Input: type, carrier, scale, policy, wire type, direction, then the value.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "mssql/value.h"

enum { HEAD = 6 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool decode(const struct ms_codec *codec, struct ms_datum datum, struct buffer *out)
{
    struct error err = {0};
    size_t before = out->length;
    if (ms_value_decode(codec, &datum, out, &err))
        return true;
    assert(err.kind == ERROR_DATA && err.text[0] && out->length == before);
    return false;
}

static bool encode(const struct ms_codec *codec, struct value value, struct buffer *out,
                   struct ms_bound *bound)
{
    struct error err = {0};
    if (!ms_value_encode(codec, &value, out, bound, &err)) {
        assert(err.kind == ERROR_DATA && err.text[0]);
        return false;
    }
    assert(!bound->null && bound->offset % 8 == 0 && bound->offset + bound->length <= out->length);
    return true;
}

/* As the server would send it; characters as they are re-read in UTF-16. */
static struct ms_datum sent(const struct ms_bound *bound, const struct buffer *bytes)
{
    uint8_t type = bound->type == MS_WIRE_CHAR ? MS_WIRE_BINARY : bound->type;
    return (struct ms_datum){buffer_text(bytes) + bound->offset, bound->length, type};
}

static void forth(const struct ms_codec *codec, const struct ms_carrier *carrier, struct ms_datum datum)
{
    struct buffer first = {0}, bytes = {0}, second = {0};
    struct ms_bound bound;
    if (decode(codec, datum, &first) &&
        encode(codec, (struct value){buffer_text(&first), (uint32_t)first.length, VALUE_BINARY}, &bytes,
               &bound)) {
        bool same_scale =
            carrier->convert != MS_CONVERT_DECIMAL || ((const uint8_t *)datum.data)[1] == codec->scale;
        bool again = decode(codec, sent(&bound, &bytes), &second);
        assert(again || bound.type == MS_WIRE_CHAR);
        if (carrier->fit == MS_EXACT && same_scale) {
            assert(again && second.length == first.length);
            assert(first.length == 0 || memcmp(first.data, second.data, first.length) == 0);
        }
    }
    buffer_free(&first);
    buffer_free(&bytes);
    buffer_free(&second);
}

static void back(const struct ms_codec *codec, struct value value)
{
    struct buffer bytes = {0}, out = {0};
    struct ms_bound bound;
    if (encode(codec, value, &bytes, &bound))
        assert(decode(codec, sent(&bound, &bytes), &out) || bound.type == MS_WIRE_CHAR);
    buffer_free(&bytes);
    buffer_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEAD)
        return 0;
    const struct ms_type *type = ms_type_at((enum ms_type_id)(data[0] % MS_TYPE_COUNT));
    unsigned count = 0;
    while (type->carriers[count].convert != MS_CONVERT_NONE)
        count++;
    const struct ms_carrier *carrier = &type->carriers[data[1] % count];
    bool decimal = type->id == MS_DECIMAL || type->id == MS_NUMERIC;
    struct ms_column_type column = {.type = type,
                                    .max_length = data[2] & 0x80 ? -1 : 16,
                                    .precision = decimal ? 38 : 0,
                                    .scale = (uint8_t)((data[2] & 0x7F) % (decimal ? 39 : 8)),
                                    .is_utf8 = (data[3] & 8) != 0};
    struct ms_value_policy policy = {.bad_text = (enum ms_bad_text)(data[3] % 3), .trim_blanks = data[3] & 4};
    struct ms_codec codec;
    ms_codec_make(&column, carrier, &policy, &codec);
    struct ms_datum datum = {data + HEAD, (uint32_t)(size - HEAD), data[4]};
    struct value value = {(const char *)data + HEAD, (uint32_t)(size - HEAD),
                          data[5] & 2 ? VALUE_TEXT : VALUE_BINARY};
    if (data[5] & 1)
        back(&codec, value);
    else
        forth(&codec, carrier, datum);
    return 0;
}
