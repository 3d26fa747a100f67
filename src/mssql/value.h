/* SPDX-License-Identifier: PostgreSQL
 *
 * The value codec: what db-lib delivers (TDS 7.4) to PostgreSQL's binary format of the column's carrier, and
 * back to what bcp_bind takes. Pure: no I/O, no allocation but the buffer's growth, no FreeTDS; the structs
 * and numbers below are db-lib's own by layout (a unit test compares them with sybdb.h where it is
 * installed).
 *
 * The codec of a column is made once; then one indirect call converts a value. Whatever is not a value of
 * the column (a wrong length or type, out of range, characters PostgreSQL can't hold) is ERROR_DATA with a
 * text, and what was appended is taken back. The text names no column: the caller prefixes it.
 *
 * Rounding, stated once, the same in copy, stream, reverse and reconcile:
 *  - PostgreSQL keeps 6 fractional digits, SQL Server up to 7: the seventh is cut off, so that no value
 * leaves its day, its year 9999 or its order (23:59:59.9999999 is 23:59:59.999999). Cutting twice changes
 * nothing.
 *  - datetime is 1/300 s: it is what SQL Server shows, milliseconds that end in 0, 3 or 7.
 *  - on the way back a value is rounded to the column's digits to the nearest, as SQL Server assigns, but
 * never past the end of the day (time) or of the type's range: there it is cut. Decimals are never rounded:
 *    digits that don't fit are refused.
 */
#ifndef MSSQL_VALUE_H
#define MSSQL_VALUE_H

#include "base/buffer.h"
#include "base/error.h"
#include "model/change.h"
#include "mssql/datum.h"
#include "mssql/type.h"
#include "mssql/value_zone.h"

/* db-lib's type numbers (sybdb.h: SYBINT4 …), as dbcoltype() gives and bcp_bind() takes them. */
enum ms_wire {
    MS_WIRE_IMAGE = 34,
    MS_WIRE_TEXT = 35,
    MS_WIRE_UNIQUE = 36,
    MS_WIRE_VARBINARY = 37,
    MS_WIRE_VARCHAR = 39,
    MS_WIRE_DATE = 40,
    MS_WIRE_TIME = 41,
    MS_WIRE_DATETIME2 = 42,
    MS_WIRE_DATETIMEOFFSET = 43,
    MS_WIRE_BINARY = 45,
    MS_WIRE_CHAR = 47,
    MS_WIRE_INT1 = 48,
    MS_WIRE_BIT = 50,
    MS_WIRE_INT2 = 52,
    MS_WIRE_INT4 = 56,
    MS_WIRE_DATETIME4 = 58,
    MS_WIRE_REAL = 59,
    MS_WIRE_MONEY = 60,
    MS_WIRE_DATETIME = 61,
    MS_WIRE_FLT8 = 62,
    MS_WIRE_NTEXT = 99,
    MS_WIRE_NVARCHAR = 103,
    MS_WIRE_BITN = 104,
    MS_WIRE_DECIMAL = 106,
    MS_WIRE_NUMERIC = 108,
    MS_WIRE_MONEY4 = 122,
    MS_WIRE_INT8 = 127
};

/* DBDATETIMEALL. */
struct ms_datetimeall {
    uint64_t time;  /* 100 ns since midnight; datetimeoffset: UTC */
    int32_t date;   /* days since 1900-01-01; datetimeoffset: UTC */
    int16_t offset; /* minutes east of UTC */
    uint16_t time_prec : 3, unused : 10, has_time : 1, has_date : 1, has_offset : 1;
};

/* DBNUMERIC. */
struct ms_numeric {
    uint8_t precision;
    uint8_t scale;
    uint8_t array[33]; /* [0]: 1 = negative; then the magnitude, big-endian, as long as the precision needs */
};

/* One value as bcp takes it: `length` bytes at `offset` of the buffer, aligned to 8. An empty value has a NUL
 * there, so that bcp, told -1, measures none. */
struct ms_bound {
    uint32_t offset;
    uint32_t length;
    int32_t varlen; /* for bcp_bind and bcp_collen: -1 for fixed types and for what is empty, 0 for NULL */
    uint8_t type; /* enum ms_wire; characters: MS_WIRE_CHAR, but in UTF-16LE, which bcp passes on as it is */
    bool null;
};

/* What to do with characters that PostgreSQL has not: NUL, and half a surrogate pair. */
enum ms_bad_text {
    MS_BAD_TEXT_REFUSE,  /* the row is refused as data: the default */
    MS_BAD_TEXT_STRIP,   /* left out */
    MS_BAD_TEXT_REPLACE, /* U+FFFD in its place */
    /* As it is (half a pair in three bytes): no text of PostgreSQL's. A change goes on so that the sink
     * refuses that row alone, as data. Not for the config. */
    MS_BAD_TEXT_PASS
};

/* What the config says of a column. Zero-initialised: the defaults. */
struct ms_value_policy {
    enum ms_bad_text bad_text;
    bool trim_blanks; /* char and nchar to text and varchar: without trailing blanks (else all kept) */
    const struct ms_zone *zone; /* of naive date-times in timestamptz; NULL: UTC. Borrowed */
};

struct ms_codec {
    bool (*decode)(const struct ms_codec *self, const struct ms_datum *datum, struct buffer *out,
                   struct error *err);
    bool (*encode)(const struct ms_codec *self, const struct value *value, struct buffer *out,
                   struct ms_bound *bound, struct error *err);
    enum ms_type_id type;
    uint32_t oid;     /* of the carrier */
    int32_t modifier; /* of the carrier */
    uint8_t precision, scale;
    uint8_t width;  /* of an integer carrier, in bytes */
    bool is_utf8;   /* char, varchar: `limit` counts UTF-8 bytes, else UTF-16 units */
    uint32_t limit; /* declared length of characters or bytes; 0: none */
    struct ms_value_policy policy;
};

/* The codec of a column for one of its type's carriers. */
void ms_codec_make(const struct ms_column_type *column, const struct ms_carrier *carrier,
                   const struct ms_value_policy *policy, struct ms_codec *out);

/* Appends the value, which is not NULL, in the carrier's binary format. On failure `out` is as it was. */
MUST_CHECK static inline bool ms_value_decode(const struct ms_codec *codec, const struct ms_datum *datum,
                                              struct buffer *out, struct error *err)
{
    return codec->decode(codec, datum, out, err);
}

/* The same as a field of COPY BINARY: a length of 4 bytes before it, -1 for NULL. */
MUST_CHECK bool ms_value_copy_field(const struct ms_codec *codec, const struct ms_datum *datum,
                                    struct buffer *out, struct error *err);

/* The way back, from the carrier's binary or text format (VALUE_BINARY, VALUE_TEXT, VALUE_NULL; not
 * VALUE_ABSENT). The bytes are appended to `out`, which may move: point into it when the row is complete. */
MUST_CHECK bool ms_value_encode(const struct ms_codec *codec, const struct value *value, struct buffer *out,
                                struct ms_bound *bound, struct error *err);

/* UTF-8 to UTF-16LE, appended. False, nothing appended: not UTF-8. */
MUST_CHECK bool ms_value_utf16(struct slice text, struct buffer *out);

#endif
