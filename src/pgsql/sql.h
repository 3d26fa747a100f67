/* SPDX-License-Identifier: PostgreSQL
 *
 * The one place where PostgreSQL identifiers and literals are quoted. Values go as parameters; a literal is
 * built only where the protocol takes no parameters (replication commands, COPY, DDL).
 */
#ifndef PGSQL_SQL_H
#define PGSQL_SQL_H

#include "base/buffer.h"

/* "name", always quoted, inner quotes doubled. UTF-8 in, standard_conforming. */
void sql_ident(struct buffer *out, const char *name);
/* "schema"."name" */
void sql_qualified(struct buffer *out, const char *schema, const char *name);
/* 'text' or E'text' when it holds a backslash. */
void sql_literal(struct buffer *out, const char *text);
/* A text[] literal's text ({"a","b",NULL}) to be passed as one parameter; items may be NULL. */
void sql_array(struct buffer *out, const char *const *items, size_t count);
/* Reads a text[] in its text output back. Returns the number of items, or -1 if malformed; *items is one
 * malloc'ed block of pointers and text (NULL items are NULL), free() it. */
int sql_array_parse(const char *text, char ***items);

#endif
