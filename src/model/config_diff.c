/* SPDX-License-Identifier: PostgreSQL
 *
 * What a SIGHUP would change. Options with a value of their own are compared by the option table; what is
 * made of several keys (connection strings, tables, groups) as a whole and without showing it.
 */
#include "model/config_internal.h"

#include <string.h>

static void compare_option(const struct option *o, const struct config *old, const struct config *new,
                           struct buffer *changed, struct buffer *ignored)
{
    struct buffer was = {0};
    struct buffer is = {0};
    config_format_option(o, old, &was);
    config_format_option(o, new, &is);
    if (strcmp(buffer_text(&was), buffer_text(&is)) != 0)
        buffer_printf(o->reloadable ? changed : ignored, "%s: %s -> %s\n", o->path, buffer_text(&was),
                      buffer_text(&is));
    buffer_free(&was);
    buffer_free(&is);
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static void put_list(struct buffer *out, char **list, int count)
{
    for (int i = 0; i < count; i++)
        buffer_printf(out, "%s\n", list[i]);
    buffer_putc(out, ';');
}

static void put_values(struct buffer *out, const struct config_values *v)
{
    buffer_printf(out, "%d %d %s\n", (int)v->bad_text, v->trim_blanks, v->time_zone ? v->time_zone : "");
}

static void print_tables(const struct config *c, struct buffer *out)
{
    buffer_puts(out, c->all_tables ? "all" : "");
    for (int i = 0; i < c->table_count; i++) {
        const struct config_table *t = &c->tables[i];
        buffer_printf(out, "%s\n%s\n%s\n%d %d %lld\n%s\n%s\n", t->from, t->to ? t->to : "",
                      t->group ? t->group : "", (int)t->existing, (int)t->capture, (long long)t->overlap_ms,
                      t->updated_at ? t->updated_at : "", t->soft_delete ? t->soft_delete : "");
        put_list(out, t->key, t->key_count);
        put_values(out, &t->values);
        for (int k = 0; k < t->column_count; k++) {
            buffer_printf(out, "%s\n", t->columns[k].name);
            put_values(out, &t->columns[k].values);
        }
    }
}

static void print_groups(const struct config *c, struct buffer *out)
{
    for (int i = 0; i < c->group_count; i++) {
        const struct config_group *g = &c->groups[i];
        buffer_printf(out, "%s\n%d\n%d\n", g->name, (int)g->direction, g->following_writable);
        put_list(out, g->tables, g->table_count);
    }
}

static void print_schemas(const struct config *c, struct buffer *out)
{
    for (int i = 0; i < c->schema_count; i++)
        buffer_printf(out, "%s\n%s\n", c->schemas[i].from, c->schemas[i].to);
}

void config_diff(const struct config *old, const struct config *new, struct buffer *changed,
                 struct buffer *ignored)
{
    static const struct {
        const char *name;
        void (*print)(const struct config *c, struct buffer *out);
    } parts[] = {{"tables", print_tables}, {"groups", print_groups}, {"schemas", print_schemas}};
    for (const struct option *o = config_options; o->path; o++) {
        if (o->offset != OPTION_NOWHERE && !strpbrk(o->path, "[*"))
            compare_option(o, old, new, changed, ignored);
    }
    if (!same_text(old->legacy_conninfo, new->legacy_conninfo))
        buffer_puts(ignored, "legacy.conninfo or legacy.password: changed\n");
    if (!same_text(old->sqlserver.password, new->sqlserver.password))
        buffer_puts(ignored, "legacy.password: changed\n");
    if (!same_text(old->target_conninfo, new->target_conninfo))
        buffer_puts(ignored, "target.conninfo or target.password: changed\n");
    if (!same_text(old->redis_password, new->redis_password))
        buffer_puts(ignored, "redis.password: changed\n");
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
        struct buffer was = {0};
        struct buffer is = {0};
        parts[i].print(old, &was);
        parts[i].print(new, &is);
        if (strcmp(buffer_text(&was), buffer_text(&is)) != 0)
            buffer_printf(ignored, "%s: changed\n", parts[i].name);
        buffer_free(&was);
        buffer_free(&is);
    }
}
