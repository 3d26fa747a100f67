/* SPDX-License-Identifier: PostgreSQL
 *
 * The one place where T-SQL identifiers, literals and values are put into text. db-lib has no parameters that
 * serve us, so every value goes through here; QUOTED_IDENTIFIER is ON in all sessions of ours. All text is
 * UTF-8; a literal is N'…', so that no code page comes between.
 */
#ifndef MSSQL_SQL_H
#define MSSQL_SQL_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"

/* [name], a ] in it doubled. */
void ms_sql_ident(struct buffer *out, const char *name);
/* [schema].[name] */
void ms_sql_qualified(struct buffer *out, const char *schema, const char *name);
/* [prefix].[name] with a part in front: an alias ("t") or a database; the alias is quoted as well. */
void ms_sql_column(struct buffer *out, const char *alias, const char *name);
/* [a], [b], …; with an alias (may be NULL) [t].[a], … */
void ms_sql_columns(struct buffer *out, const char *alias, const char *const *names, size_t count);

/* N'text', quotes doubled. The slice form takes any bytes but NUL, which T-SQL text can't hold: the rest of a
 * text after one would be lost, so text with a NUL is written as CONVERT(nvarchar(max), 0x…) of its UTF-16LE.
 */
void ms_sql_literal(struct buffer *out, const char *text);
void ms_sql_literal_slice(struct buffer *out, struct slice text);
/* 0x and hex digits; 0x alone for no bytes. */
void ms_sql_hex(struct buffer *out, const void *data, size_t size);
/* CONVERT(binary(10), 0x…): a literal of a binary type whose comparison keeps the column's index usable.
 * `type` is T-SQL as written: "binary(10)", "varbinary(max)". */
void ms_sql_convert_hex(struct buffer *out, const char *type, const void *data, size_t size);
/* CONVERT(type, N'text', style); a negative style is left out. */
void ms_sql_convert_text(struct buffer *out, const char *type, struct slice text, int style);
void ms_sql_int(struct buffer *out, int64_t value);
/* 1, 2, 3; NULL for an empty list, so that IN (…) stays a statement and is true for nothing. */
void ms_sql_ints(struct buffer *out, const int64_t *values, size_t count);

#endif
