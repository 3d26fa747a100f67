/* SPDX-License-Identifier: PostgreSQL
 *
 * The rows. Ranges are those of Microsoft's Transact-SQL reference, "Data types". Texts go into the manual as
 * they are: one or more sentences without the full stop at the end, no mdoc in them.
 */
#include "mssql/type.h"

#include <assert.h>

#define INT2(fit, note)                                                                                      \
    {                                                                                                        \
        MS_CONVERT_INT, MS_OID_INT2, MS_MODIFIER_NONE, fit, note                                             \
    }
#define INT4(fit, note)                                                                                      \
    {                                                                                                        \
        MS_CONVERT_INT, MS_OID_INT4, MS_MODIFIER_NONE, fit, note                                             \
    }
#define INT8(fit, note)                                                                                      \
    {                                                                                                        \
        MS_CONVERT_INT, MS_OID_INT8, MS_MODIFIER_NONE, fit, note                                             \
    }
#define INT_NUMERIC                                                                                          \
    {                                                                                                        \
        MS_CONVERT_INT_NUMERIC, MS_OID_NUMERIC, MS_MODIFIER_NONE, MS_EXACT, NULL                             \
    }

#define DECIMAL_CARRIERS                                                                                     \
    {                                                                                                        \
        {MS_CONVERT_DECIMAL, MS_OID_NUMERIC, MS_MODIFIER_DECIMAL, MS_EXACT, NULL},                           \
            {MS_CONVERT_DECIMAL_INT, MS_OID_INT8, MS_MODIFIER_NONE, MS_CHECKED, whole},                      \
            {MS_CONVERT_DECIMAL_INT, MS_OID_INT4, MS_MODIFIER_NONE, MS_CHECKED, whole},                      \
            {MS_CONVERT_DECIMAL_INT, MS_OID_INT2, MS_MODIFIER_NONE, MS_CHECKED, whole},                      \
    }

/* Carriers of characters; the first is given. */
#define TEXT_CARRIER(oid, modifier)                                                                          \
    {                                                                                                        \
        MS_CONVERT_TEXT, oid, modifier, MS_CHECKED, no_place                                                 \
    }
#define JSON_CARRIERS                                                                                        \
    {MS_CONVERT_TEXT, MS_OID_JSON, MS_MODIFIER_NONE, MS_CHECKED, json_text},                                 \
        {MS_CONVERT_JSONB, MS_OID_JSONB, MS_MODIFIER_NONE, MS_LOSSY, jsonb_text},                            \
    {                                                                                                        \
        MS_CONVERT_TEXT, MS_OID_XML, MS_MODIFIER_NONE, MS_CHECKED, xml_text                                  \
    }
#define CHAR_CARRIERS                                                                                        \
    {                                                                                                        \
        {MS_CONVERT_BPCHAR, MS_OID_BPCHAR, MS_MODIFIER_LENGTH, MS_CHECKED, no_place},                        \
            TEXT_CARRIER(MS_OID_TEXT, MS_MODIFIER_NONE), TEXT_CARRIER(MS_OID_VARCHAR, MS_MODIFIER_LENGTH),   \
    }
#define VARCHAR_CARRIERS                                                                                     \
    {                                                                                                        \
        TEXT_CARRIER(MS_OID_VARCHAR, MS_MODIFIER_LENGTH), TEXT_CARRIER(MS_OID_TEXT, MS_MODIFIER_NONE),       \
            JSON_CARRIERS,                                                                                   \
    }
#define LONG_CARRIERS                                                                                        \
    {                                                                                                        \
        TEXT_CARRIER(MS_OID_TEXT, MS_MODIFIER_NONE), TEXT_CARRIER(MS_OID_VARCHAR, MS_MODIFIER_NONE),         \
            JSON_CARRIERS,                                                                                   \
    }
#define BYTES_CARRIERS                                                                                       \
    {                                                                                                        \
        {MS_CONVERT_BYTES, MS_OID_BYTEA, MS_MODIFIER_NONE, MS_EXACT, NULL},                                  \
    }
#define TIMESTAMPS(fit, note)                                                                                \
    {MS_CONVERT_TIMESTAMP, MS_OID_TIMESTAMP, MS_MODIFIER_SECONDS, fit, note},                                \
        {MS_CONVERT_TIMESTAMPTZ, MS_OID_TIMESTAMPTZ, MS_MODIFIER_SECONDS, MS_LOSSY, by_zone},                \
    {                                                                                                        \
        MS_CONVERT_DATE, MS_OID_DATE, MS_MODIFIER_NONE, MS_CHECKED, "a time other than midnight is refused"  \
    }
#define CLR_CARRIERS(fit, note)                                                                              \
    {                                                                                                        \
        {MS_CONVERT_TEXT, MS_OID_TEXT, MS_MODIFIER_NONE, fit, note},                                         \
            {MS_CONVERT_BYTES, MS_OID_BYTEA, MS_MODIFIER_NONE, MS_EXACT, NULL},                              \
    }

static const char whole[] = "a value with a fraction or out of range is refused";
static const char no_place[] = "exactly, but for NUL characters and lone surrogates";
static const char json_text[] = "as text; what is no JSON is refused by PostgreSQL";
static const char jsonb_text[] =
    "blanks, the order of keys and double keys are lost; what is no JSON is refused by PostgreSQL";
static const char xml_text[] = "as text; what is no XML is refused by PostgreSQL";
static const char by_zone[] = "read as local time of the column's time_zone, which must be set: times in the "
                              "hour that a clock change skips come back moved";
static const char seventh[] = "the seventh fractional digit is cut off";
static const char thirds[] = "exactly; back, a value is rounded to the nearest 1/300 s";
static const char minutes[] = "exactly; back, a value is rounded to the nearest minute";
static const char bad_text[] = "NUL and lone surrogates: refuse (default), strip or replace, per column";
static const char code_page[] =
    "NUL and bytes that are no character of the code page: refuse (default), strip or replace, "
    "per column. Characters written on PostgreSQL that the code page has not are refused on "
    "the way back";
static const char blanks[] =
    "NUL and lone surrogates: refuse (default), strip or replace, per column. Trailing blanks: "
    "filled up to the length as char; kept or trimmed, per column, in text and varchar; "
    "trimmed on the way back";
static const char large_cdc[] = "in an update's old row only if it changed; unchanged it is not provided";
static const char text_cdc[] =
    "change tables have NULL for it in deletes and old rows: it is read from the table again, by key";
static const char rounded[] = "as text, what the server rounds of coordinates";
static const char wkt[] =
    "as SRID=n; and well-known text with Z and M; coordinates may be rounded by the server as it writes them";
static const char path[] = "as its path, which is exact; back, a text that is no path is refused";
static const char clr_policy[] =
    "read by the server's own method; a value it can't parse on the way back is refused";
static const char clr_cdc[] = "a change of the table's definition while changes wait stops the capture job "
                              "(Microsoft's KB 4538384)";

static const struct ms_type types[MS_TYPE_COUNT] = {
    {MS_BIT,
     "bit",
     104,
     false,
     "0 and 1",
     NULL,
     NULL,
     true,
     NULL,
     {{MS_CONVERT_BOOL, MS_OID_BOOL, MS_MODIFIER_NONE, MS_EXACT, NULL},
      INT2(MS_EXACT, NULL),
      INT4(MS_EXACT, NULL),
      INT8(MS_EXACT, NULL),
      INT_NUMERIC}},
    {MS_TINYINT,
     "tinyint",
     48,
     false,
     "0 to 255",
     NULL,
     "what is below 0 or above 255 is refused on the way back",
     true,
     NULL,
     {INT2(MS_EXACT, NULL), INT4(MS_EXACT, NULL), INT8(MS_EXACT, NULL), INT_NUMERIC}},
    {MS_SMALLINT,
     "smallint",
     52,
     false,
     "-32768 to 32767",
     NULL,
     NULL,
     true,
     NULL,
     {INT2(MS_EXACT, NULL), INT4(MS_EXACT, NULL), INT8(MS_EXACT, NULL), INT_NUMERIC}},
    {MS_INT,
     "int",
     56,
     false,
     "-2147483648 to 2147483647",
     NULL,
     NULL,
     true,
     NULL,
     {INT4(MS_EXACT, NULL), INT8(MS_EXACT, NULL), INT_NUMERIC}},
    {MS_BIGINT,
     "bigint",
     127,
     false,
     "-9223372036854775808 to 9223372036854775807",
     NULL,
     NULL,
     true,
     NULL,
     {INT8(MS_EXACT, NULL), INT_NUMERIC}},
    {MS_DECIMAL, "decimal", 106, false, "up to 38 digits, 0 to all of them after the point", NULL,
     "digits that don't fit are refused on the way back, never rounded; so are NaN and infinity", true, NULL,
     DECIMAL_CARRIERS},
    {MS_NUMERIC, "numeric", 108, false, "as decimal", NULL, "as decimal", true, NULL, DECIMAL_CARRIERS},
    {MS_MONEY,
     "money",
     60,
     false,
     "-922337203685477.5808 to 922337203685477.5807",
     NULL,
     "digits that don't fit are refused on the way back, never rounded",
     true,
     NULL,
     {{MS_CONVERT_MONEY, MS_OID_NUMERIC, MS_MODIFIER_MONEY, MS_EXACT, NULL}}},
    {MS_SMALLMONEY,
     "smallmoney",
     122,
     false,
     "-214748.3648 to 214748.3647",
     NULL,
     "digits that don't fit are refused on the way back, never rounded",
     true,
     NULL,
     {{MS_CONVERT_MONEY, MS_OID_NUMERIC, MS_MODIFIER_MONEY, MS_EXACT, NULL}}},
    {MS_FLOAT,
     "float",
     62,
     false,
     "finite double precision",
     NULL,
     "NaN and infinity are refused on the way back",
     true,
     NULL,
     {{MS_CONVERT_FLOAT, MS_OID_FLOAT8, MS_MODIFIER_NONE, MS_EXACT, NULL}}},
    {MS_REAL,
     "real",
     59,
     false,
     "finite single precision",
     NULL,
     "NaN and infinity are refused on the way back",
     true,
     NULL,
     {{MS_CONVERT_FLOAT, MS_OID_FLOAT4, MS_MODIFIER_NONE, MS_EXACT, NULL},
      {MS_CONVERT_FLOAT, MS_OID_FLOAT8, MS_MODIFIER_NONE, MS_CHECKED,
       "back, a value that is no single precision number is refused"}}},
    {MS_DATE,
     "date",
     40,
     false,
     "0001-01-01 to 9999-12-31",
     NULL,
     "dates out of range and infinity are refused on the way back",
     true,
     NULL,
     {{MS_CONVERT_DATE, MS_OID_DATE, MS_MODIFIER_NONE, MS_EXACT, NULL},
      {MS_CONVERT_TIMESTAMP, MS_OID_TIMESTAMP, MS_MODIFIER_NONE, MS_CHECKED,
       "as midnight; another time is refused on the way back"},
      {MS_CONVERT_TIMESTAMPTZ, MS_OID_TIMESTAMPTZ, MS_MODIFIER_NONE, MS_LOSSY,
       "as midnight, local time of the column's time_zone, which must be set; another time is refused on the "
       "way "
       "back"}}},
    {MS_TIME,
     "time",
     41,
     false,
     "00:00:00 to 23:59:59.9999999, 0 to 7 fractional digits",
     seventh,
     "24:00:00 is refused on the way back",
     true,
     NULL,
     {{MS_CONVERT_TIME, MS_OID_TIME, MS_MODIFIER_SECONDS, MS_LOSSY, seventh}}},
    {MS_SMALLDATETIME,
     "smalldatetime",
     58,
     false,
     "1900-01-01 00:00 to 2079-06-06 23:59, whole minutes",
     NULL,
     "back, a value is rounded to the nearest minute; out of range it is refused",
     true,
     NULL,
     {TIMESTAMPS(MS_LOSSY, minutes)}},
    {MS_DATETIME,
     "datetime",
     61,
     false,
     "1753-01-01 to 9999-12-31 23:59:59.997 in steps of 1/300 s, shown as milliseconds that end in 0, 3 or 7",
     NULL,
     "back, a value is rounded to the nearest step; out of range it is refused",
     true,
     NULL,
     {TIMESTAMPS(MS_LOSSY, thirds)}},
    {MS_DATETIME2,
     "datetime2",
     42,
     false,
     "0001-01-01 to 9999-12-31 23:59:59.9999999, 0 to 7 fractional digits",
     seventh,
     "back, a value is rounded to the column's digits; infinity and what is out of range are refused",
     true,
     NULL,
     {TIMESTAMPS(MS_LOSSY, seventh)}},
    {MS_DATETIMEOFFSET,
     "datetimeoffset",
     43,
     false,
     "0001-01-01 to 9999-12-31 23:59:59.9999999 in UTC, offset -14:00 to +14:00, 0 to 7 fractional digits",
     "the offset (the instant stays), and the seventh fractional digit is cut off",
     "comes back with offset +00:00",
     true,
     NULL,
     {{MS_CONVERT_TIMESTAMPTZ, MS_OID_TIMESTAMPTZ, MS_MODIFIER_SECONDS, MS_LOSSY,
       "the offset is lost (the instant stays), and the seventh fractional digit is cut off"}}},
    {MS_CHAR, "char", 175, true, "1 to 8000 bytes in the collation's code page, or UTF-8", NULL, blanks, true,
     NULL, CHAR_CARRIERS},
    {MS_VARCHAR, "varchar", 167, true, "1 to 8000 bytes in the collation's code page, or UTF-8; max: 2 GB",
     NULL, code_page, true, large_cdc, VARCHAR_CARRIERS},
    {MS_TEXT, "text", 35, true, "2 GB in the collation's code page", NULL, code_page, false, text_cdc,
     LONG_CARRIERS},
    {MS_NCHAR, "nchar", 239, true, "1 to 4000 UTF-16 units", NULL, blanks, true, NULL, CHAR_CARRIERS},
    {MS_NVARCHAR, "nvarchar", 231, true, "1 to 4000 UTF-16 units; max: 2 GB", NULL, bad_text, true, large_cdc,
     VARCHAR_CARRIERS},
    {MS_NTEXT, "ntext", 99, true, "2 GB of UTF-16", NULL, bad_text, false, text_cdc, LONG_CARRIERS},
    {MS_BINARY, "binary", 173, false, "1 to 8000 bytes", NULL,
     "shorter values are filled up with zeros by the server on the way back", true, NULL, BYTES_CARRIERS},
    {MS_VARBINARY, "varbinary", 165, false, "1 to 8000 bytes; max: 2 GB", NULL,
     "values longer than the column are refused on the way back", true, large_cdc, BYTES_CARRIERS},
    {MS_IMAGE, "image", 34, false, "2 GB", NULL, NULL, false, text_cdc, BYTES_CARRIERS},
    {MS_UNIQUEIDENTIFIER,
     "uniqueidentifier",
     36,
     false,
     "16 bytes",
     NULL,
     "the two sides sort it differently: the server that is read orders",
     true,
     NULL,
     {{MS_CONVERT_UUID, MS_OID_UUID, MS_MODIFIER_NONE, MS_EXACT, NULL}}},
    {MS_ROWVERSION,
     "timestamp",
     189,
     false,
     "8 bytes, written by the server alone",
     NULL,
     "left out on the way back: the server gives a new one",
     true,
     "as binary(8)",
     {{MS_CONVERT_BYTES, MS_OID_BYTEA, MS_MODIFIER_NONE, MS_EXACT, NULL},
      {MS_CONVERT_ROWVERSION_INT8, MS_OID_INT8, MS_MODIFIER_NONE, MS_CHECKED,
       "what is 2^63 or more is refused"}}},
    {MS_XML,
     "xml",
     241,
     false,
     "2 GB, documents and fragments",
     NULL,
     "PostgreSQL must be built with libxml and refuses what is not well-formed to it. An XML "
     "declaration is left out on both ways",
     true,
     large_cdc,
     {{MS_CONVERT_TEXT, MS_OID_XML, MS_MODIFIER_NONE, MS_CHECKED, xml_text},
      TEXT_CARRIER(MS_OID_TEXT, MS_MODIFIER_NONE)}},
    {MS_SQL_VARIANT,
     "sql_variant",
     98,
     false,
     "up to 8000 bytes of any type without max",
     "the base type",
     "comes back as nvarchar, whatever it was",
     true,
     NULL,
     {{MS_CONVERT_TEXT, MS_OID_TEXT, MS_MODIFIER_NONE, MS_LOSSY,
       "the base type is lost; floating point is written with 17 digits, money with 4, binary as 0x and "
       "digits"}}},
    {MS_HIERARCHYID, "hierarchyid", 240, false, "up to 892 bytes", NULL, clr_policy, true, clr_cdc,
     CLR_CARRIERS(MS_CHECKED, path)},
    {MS_GEOMETRY, "geometry", 240, false, "2 GB", rounded, clr_policy, true, clr_cdc,
     CLR_CARRIERS(MS_LOSSY, wkt)},
    {MS_GEOGRAPHY, "geography", 240, false, "2 GB", rounded, clr_policy, true, clr_cdc,
     CLR_CARRIERS(MS_LOSSY, wkt)},
};

const struct ms_type *ms_type_at(enum ms_type_id id)
{
    assert((unsigned)id < MS_TYPE_COUNT && types[id].id == id);
    return &types[id];
}
