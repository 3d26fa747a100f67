/* SPDX-License-Identifier: PostgreSQL
 *
 * JSON with comments, read strictly, and where in the text each value stands. cJSON builds the tree; it
 * keeps no positions, takes NUL bytes, bad UTF-8 and other liberties, so a scanner of our own goes over
 * the text first: it refuses what is not JSON with line and column, and notes where each value begins.
 *
 * Invariant: in a tree made here `valueint` of every item is its offset in the text (of the key where it
 * has one); numbers are read from `valuedouble` only.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <cjson/cJSON.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

enum { JSON_MAX_BYTES = 1024 * 1024, JSON_MAX_DEPTH = 32 };

struct json {
    char *text; /* the text with its comments blanked out */
    size_t length;
    cJSON *root;
    uint32_t *line_starts; /* offsets, ascending */
    int line_count;
};

struct json_place {
    int line;   /* from 1; 0: the text as a whole */
    int column; /* from 1, in characters */
};

/* Comments are // to the end of the line and slash-star to star-slash. Refused (ERROR_CONFIG; where = the
 * place): more than JSON_MAX_BYTES, NUL bytes, invalid UTF-8, deep nesting, anything after the value,
 * text that ends too early, numbers of more than 60 characters. Duplicate keys are told by json_duplicates.
 */
MUST_CHECK bool json_parse(const char *text, size_t length, struct json *out, struct json_place *where,
                           struct error *err);
void json_free(struct json *self); /* zeroed is fine */

struct json_place json_locate(const struct json *self, const cJSON *item);
int json_line(const struct json *self, const cJSON *item); /* the line alone, cheap */

/* "tables[2].from", keys quoted where they need it; the root is empty. Appended. */
void json_path(const struct json *self, const cJSON *item, struct buffer *out);

/* Calls back for every member whose key came before in the same object. Such a tree must not be used:
 * which one counts would be a guess. */
void json_duplicates(const struct json *self, void (*report)(void *context, const cJSON *again),
                     void *context);

/* The member of that very name, or NULL. */
const cJSON *json_member(const cJSON *object, const char *name);

/* "a string", "an object", … for messages. */
const char *json_kind(const cJSON *item);

#endif
