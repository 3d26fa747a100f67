/* SPDX-License-Identifier: PostgreSQL */
#include "pgsql/sql.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void sql_ident(struct buffer *out, const char *name)
{
    buffer_putc(out, '"');
    for (const char *p = name; *p; p++) {
        if (*p == '"')
            buffer_putc(out, '"');
        buffer_putc(out, *p);
    }
    buffer_putc(out, '"');
}

void sql_qualified(struct buffer *out, const char *schema, const char *name)
{
    sql_ident(out, schema);
    buffer_putc(out, '.');
    sql_ident(out, name);
}

void sql_literal(struct buffer *out, const char *text)
{
    if (strchr(text, '\\'))
        buffer_putc(out, 'E');
    buffer_putc(out, '\'');
    for (const char *p = text; *p; p++) {
        if (*p == '\'' || *p == '\\')
            buffer_putc(out, *p);
        buffer_putc(out, *p);
    }
    buffer_putc(out, '\'');
}

void sql_array(struct buffer *out, const char *const *items, size_t count)
{
    buffer_putc(out, '{');
    for (size_t i = 0; i < count; i++) {
        if (i)
            buffer_putc(out, ',');
        if (!items[i]) {
            buffer_puts(out, "NULL");
            continue;
        }
        buffer_putc(out, '"');
        for (const char *p = items[i]; *p; p++) {
            if (*p == '"' || *p == '\\')
                buffer_putc(out, '\\');
            buffer_putc(out, *p);
        }
        buffer_putc(out, '"');
    }
    buffer_putc(out, '}');
}

/* One item at *p into *to (NUL-terminated); leaves *p behind it. False if malformed. */
static bool parse_item(const char **p, char **to, bool *is_null)
{
    const char *s = *p;
    char *t = *to;
    bool quoted = *s == '"';
    if (quoted)
        s++;
    while (*s && (quoted ? *s != '"' : *s != ',' && *s != '}')) {
        if (*s == '\\')
            s++;
        if (!*s || (!quoted && (*s == '{' || *s == '"')))
            return false;
        *t++ = *s++;
    }
    if (quoted) {
        if (*s != '"')
            return false;
        s++;
    }
    *t = '\0';
    *is_null = !quoted && strcmp(*to, "NULL") == 0;
    if (!quoted && t == *to)
        return false;
    *to = t + 1;
    *p = s;
    return true;
}

int sql_array_parse(const char *text, char ***items)
{
    size_t length = strlen(text);
    /* Every item needs at least one byte of text and is followed by a comma or the brace. */
    size_t room = length / 2 + 1;
    char **list = mem_alloc(room * sizeof(*list) + length + 2);
    char *to = (char *)(list + room);
    const char *p = text;
    int count = 0;
    *items = list;
    if (*p++ != '{')
        goto malformed;
    if (strcmp(p, "}") == 0)
        return 0;
    for (;;) {
        char *start = to;
        bool is_null;
        if (!parse_item(&p, &to, &is_null))
            goto malformed;
        list[count++] = is_null ? NULL : start;
        if (*p == '}' && p[1] == '\0')
            return count;
        if (*p++ != ',')
            goto malformed;
    }
malformed:
    free(list);
    *items = NULL;
    return -1;
}
