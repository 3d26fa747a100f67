/* SPDX-License-Identifier: PostgreSQL
 *
 * A name may itself hold dots and quotes, so a written name is first compared with what the relation is
 * called in full, and only then taken apart.
 */
#include "pgsql/pair_names.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pgsql/sql.h"

const char *pair_schema(const struct config *config, const char *schema)
{
    for (int i = 0; i < config->schema_count; i++) {
        if (strcmp(config->schemas[i].from, schema) == 0)
            return config->schemas[i].to;
    }
    return schema;
}

/* StudentID -> student_id, HTTPServer2Name -> http_server2_name, "Grade Level" -> grade_level. Bytes beyond
 * ASCII stay as they are. */
static char *snake_case(const char *name)
{
    struct buffer out = {0};
    for (const char *p = name; *p; p++) {
        unsigned char c = (unsigned char)*p, before = p > name ? (unsigned char)p[-1] : 0;
        if (isupper(c)) {
            bool word =
                islower(before) || isdigit(before) || (isupper(before) && islower((unsigned char)p[1]));
            if (word && out.length && out.data[out.length - 1] != '_')
                buffer_putc(&out, '_');
            buffer_putc(&out, (char)tolower(c));
        } else if (c < 128 && !isalnum(c)) {
            if (out.length == 0 || out.data[out.length - 1] != '_')
                buffer_putc(&out, '_');
        } else {
            buffer_putc(&out, (char)c);
        }
    }
    return buffer_detach(&out);
}

char *pair_name(const struct config *config, const char *name)
{
    return config->names == NAMES_SNAKE_CASE ? snake_case(name) : mem_strdup(name);
}

/* One part up to a dot or the end, quotes taken off. Returns what follows the dot, or NULL. */
static const char *take_part(const char *at, char **out)
{
    struct buffer part = {0};
    if (*at == '"') {
        for (at++; *at && !(at[0] == '"' && at[1] != '"'); at++) {
            if (*at == '"')
                at++;
            buffer_putc(&part, *at);
        }
        if (*at)
            at++;
    } else {
        for (; *at && *at != '.'; at++)
            buffer_putc(&part, *at);
    }
    *out = part.length ? buffer_detach(&part) : mem_strdup("");
    buffer_free(&part);
    return *at == '.' ? at + 1 : NULL;
}

void pair_name_split(const char *written, char **schema, char **name)
{
    char *first;
    *schema = NULL;
    const char *rest = take_part(written, &first);
    if (!rest) {
        *name = first;
        return;
    }
    *schema = first;
    if (*rest == '"')
        take_part(rest, name);
    else
        *name = mem_strdup(rest);
}

static bool equals_joined(const char *written, const char *schema, const char *name)
{
    size_t length = strlen(schema);
    return strncmp(written, schema, length) == 0 && written[length] == '.' &&
           strcmp(written + length + 1, name) == 0;
}

bool pair_name_means(const char *written, const char *schema, const char *name)
{
    if (strcmp(written, name) == 0 || equals_joined(written, schema, name))
        return true;
    if (!strchr(written, '"'))
        return false;
    char *s, *n;
    pair_name_split(written, &s, &n);
    bool means = strcmp(n, name) == 0 && (!s || strcmp(s, schema) == 0);
    free(s);
    free(n);
    return means;
}
