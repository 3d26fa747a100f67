/* SPDX-License-Identifier: PostgreSQL
 *
 * The table of SQL Server's types, one row each: what it holds, which PostgreSQL types can carry it (the
 * first is the default and what `crossfade schema` writes), what is lost with each, how it is read in
 * T-SQL, what change data capture makes of it. crossfade-types(7) tells the same and a check compares them.
 * Pure: no FreeTDS, no server.
 *
 * A carrier is the PostgreSQL type in whose binary format values of a column are handed out. Everything
 * above the driver sees a column of that type. Pairing chooses the carrier equal to the sink column's type if
 * it is offered, else the default one, and PostgreSQL casts.
 */
#ifndef MSSQL_TYPE_H
#define MSSQL_TYPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

/* In the order of the table and the manual. */
enum ms_type_id {
    MS_BIT,
    MS_TINYINT,
    MS_SMALLINT,
    MS_INT,
    MS_BIGINT,
    MS_DECIMAL,
    MS_NUMERIC,
    MS_MONEY,
    MS_SMALLMONEY,
    MS_FLOAT,
    MS_REAL,
    MS_DATE,
    MS_TIME,
    MS_SMALLDATETIME,
    MS_DATETIME,
    MS_DATETIME2,
    MS_DATETIMEOFFSET,
    MS_CHAR,
    MS_VARCHAR,
    MS_TEXT,
    MS_NCHAR,
    MS_NVARCHAR,
    MS_NTEXT,
    MS_BINARY,
    MS_VARBINARY,
    MS_IMAGE,
    MS_UNIQUEIDENTIFIER,
    MS_ROWVERSION,
    MS_XML,
    MS_SQL_VARIANT,
    MS_HIERARCHYID,
    MS_GEOMETRY,
    MS_GEOGRAPHY,
    MS_TYPE_COUNT
};

/* PostgreSQL's well-known oids that carry something. */
enum ms_carrier_oid {
    MS_OID_BOOL = 16,
    MS_OID_BYTEA = 17,
    MS_OID_INT8 = 20,
    MS_OID_INT2 = 21,
    MS_OID_INT4 = 23,
    MS_OID_TEXT = 25,
    MS_OID_JSON = 114,
    MS_OID_XML = 142,
    MS_OID_FLOAT4 = 700,
    MS_OID_FLOAT8 = 701,
    MS_OID_BPCHAR = 1042,
    MS_OID_VARCHAR = 1043,
    MS_OID_DATE = 1082,
    MS_OID_TIME = 1083,
    MS_OID_TIMESTAMP = 1114,
    MS_OID_TIMESTAMPTZ = 1184,
    MS_OID_NUMERIC = 1700,
    MS_OID_UUID = 2950,
    MS_OID_JSONB = 3802
};

/* How a value gets from one to the other; value.c has one pair of functions for each. */
enum ms_convert {
    MS_CONVERT_NONE, /* ends a list of carriers */
    MS_CONVERT_BOOL,
    MS_CONVERT_INT, /* bit and all integers to int2, int4, int8 */
    MS_CONVERT_INT_NUMERIC,
    MS_CONVERT_DECIMAL, /* decimal to numeric */
    MS_CONVERT_DECIMAL_INT,
    MS_CONVERT_MONEY, /* both kinds of money to numeric */
    MS_CONVERT_FLOAT,
    MS_CONVERT_DATE,
    MS_CONVERT_TIME,
    MS_CONVERT_TIMESTAMP,   /* date and all naive date-times */
    MS_CONVERT_TIMESTAMPTZ, /* naive date-times by a zone, and datetimeoffset */
    MS_CONVERT_TEXT,        /* all characters to text, varchar, json, xml */
    MS_CONVERT_BPCHAR,      /* filled up with blanks to the carrier's length */
    MS_CONVERT_JSONB,
    MS_CONVERT_BYTES, /* binary to bytea */
    MS_CONVERT_UUID,
    MS_CONVERT_ROWVERSION_INT8,
    MS_CONVERT_COUNT
};

/* Where the carrier's modifier comes from. */
enum ms_modifier {
    MS_MODIFIER_NONE,    /* -1 */
    MS_MODIFIER_DECIMAL, /* numeric(precision, scale) of the column */
    MS_MODIFIER_MONEY,   /* numeric(19,4), numeric(10,4) */
    MS_MODIFIER_LENGTH,  /* varchar(n), char(n): characters as declared; of `max`: none */
    MS_MODIFIER_SECONDS  /* timestamp(n): the column's fractional digits, at most 6 */
};

enum ms_fit {
    MS_EXACT,   /* every value is held and comes back as it was */
    MS_CHECKED, /* what the carrier can't hold is refused as data, nothing changes */
    MS_LOSSY    /* a value may change, as `note` says */
};

struct ms_carrier {
    enum ms_convert convert;
    uint32_t oid;
    enum ms_modifier modifier;
    enum ms_fit fit;
    const char *note; /* what is lost or refused; NULL if MS_EXACT */
};

enum { MS_CARRIERS_MAX = 8 };

struct ms_type {
    enum ms_type_id id;
    const char *name;       /* sys.types.name of the base type */
    uint8_t system_type_id; /* sys.types; hierarchyid, geometry and geography share 240 */
    bool characters;        /* has a collation */
    const char *range;      /* what it holds */
    const char *loss;       /* with the default carrier; NULL: nothing */
    const char *policy;     /* what is refused or changed by declaration; NULL: nothing to decide */
    bool cdc;               /* change data capture carries its values */
    const char *cdc_note;   /* what it makes of them; NULL: nothing special */
    struct ms_carrier carriers[MS_CARRIERS_MAX]; /* the default first; ended by MS_CONVERT_NONE */
};

/* A column's type as sys.columns gives it. */
struct ms_column_type {
    const struct ms_type *type;
    int16_t max_length; /* bytes; -1 for max */
    uint8_t precision;
    uint8_t scale;
    bool is_utf8;          /* char, varchar with a UTF-8 collation: max_length counts UTF-8 bytes */
    const char *collation; /* borrowed; NULL where there is none */
};

/* The row of a base type; MS_TYPE_COUNT rows in all. */
const struct ms_type *ms_type_at(enum ms_type_id id);
/* By sys.columns.system_type_id, which for an alias type (sysname too) is its base's. CLR types share
 * one id (240): they are told by `name`, sys.types.name of the column's user_type_id. NULL: a type not in the
 * table (CLR types of the user's own, types younger than this program): refused by name, never guessed. */
const struct ms_type *ms_type_find(uint8_t system_type_id, const char *name);
/* By sys.types.name of a base type; timestamp and rowversion are the same one. NULL if there is none. */
const struct ms_type *ms_type_named(const char *name);

/* As T-SQL declares it: decimal(10,2), nvarchar(max), datetime2(3). Appended; no collation. */
void ms_type_declare(const struct ms_column_type *column, struct buffer *out);
/* The text, ntext, image, xml and (max) kinds, which may be of any size and can come "not provided" from
 * change tables. */
bool ms_type_is_large(const struct ms_column_type *column);
/* Characters a char kind may hold at most (bytes for binary); 0: up to 2 GB. */
uint32_t ms_type_length(const struct ms_column_type *column);

/* The default carrier, never NULL. */
const struct ms_carrier *ms_type_carrier(const struct ms_type *type);
/* The carrier of this PostgreSQL type, NULL if it is not offered. */
const struct ms_carrier *ms_type_offers(const struct ms_type *type, uint32_t oid);
/* atttypmod of the carrier for this column, -1 for none. */
int32_t ms_type_modifier(const struct ms_column_type *column, const struct ms_carrier *carrier);

/* The expression that reads the column so that `carrier` can be made of it: mostly the column itself.
 * `quoted` is the column as T-SQL has it, qualified if need be ([t].[Name]). Appended. */
void ms_type_select(const struct ms_column_type *column, const struct ms_carrier *carrier, const char *quoted,
                    struct buffer *out);
/* The same for a character column as varbinary(max) in UTF-16LE, for rows whose characters the client library
 * can't convert (lone surrogates); ms_value_decode knows it by the datum's type. Appended. */
void ms_type_select_raw(const char *quoted, struct buffer *out);
/* The type of a staging column for the way back: what the codec's bound values are of, and what converts to
 * the column without change on assignment. Appended: nvarchar(max) COLLATE DATABASE_DEFAULT, datetime2(7) for
 * any datetime2 …
 */
void ms_type_staging(const struct ms_column_type *column, const struct ms_carrier *carrier,
                     struct buffer *out);
/* What assigns a staged value to the column: the value itself or, say, geometry's parser around it. Appended.
 */
void ms_type_assign(const struct ms_column_type *column, const struct ms_carrier *carrier, const char *quoted,
                    struct buffer *out);
/* Appends a condition that is true of a staged value which the column would change without an error
 * (characters that its code page has not become '?'). False, nothing appended: there is no such value. */
bool ms_type_misfit(const struct ms_column_type *column, const char *quoted, struct buffer *out);

#endif
