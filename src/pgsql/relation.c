/* SPDX-License-Identifier: PostgreSQL */
#include "pgsql/relation.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/mem.h"
#include "pgsql/sql.h"
#include "pgsql/type_name.h"

struct announced_type {
    uint32_t oid;
    char *name; /* quoted for SQL */
};

static struct slice oid_key(const uint32_t *oid)
{
    return (struct slice){(const char *)oid, sizeof(*oid)};
}

static void relation_free(struct relation *self)
{
    if (!self)
        return;
    for (uint16_t i = 0; i < self->extra_count; i++)
        free((char *)(uintptr_t)self->extra[i].name);
    free(self->extra);
    free(self->schema);
    free(self->name);
    free(self->column);
    free(self->extra_at);
    free(self->identity);
    free(self);
}

void relation_set_free(struct relation_set *self)
{
    struct map_entry *e;
    for (size_t at = 0; (e = map_next(&self->by_oid, &at));)
        relation_free(e->value);
    for (size_t at = 0; (e = map_next(&self->types, &at));) {
        struct announced_type *t = e->value;
        free(t->name);
        free(t);
    }
    map_free(&self->by_oid);
    map_free(&self->types);
    self->last = NULL;
}

struct relation *relation_set_get(struct relation_set *self, uint32_t oid)
{
    if (!self->last || self->last->oid != oid) {
        struct relation *found = map_get(&self->by_oid, oid_key(&oid));
        if (!found)
            return NULL;
        self->last = found;
    }
    return self->last;
}

void relation_set_announce_type(struct relation_set *self, const struct pgoutput_message *m)
{
    struct announced_type *t = map_get(&self->types, oid_key(&m->type_oid));
    struct buffer name = {0};
    if (!t) {
        t = mem_alloc(sizeof(*t));
        t->oid = m->type_oid;
        map_at(&self->types, oid_key(&t->oid))->value = t;
    }
    sql_qualified(&name, *m->schema ? m->schema : "pg_catalog", m->name);
    free(t->name);
    t->name = buffer_detach(&name);
}

/* --- what differs, for people --- */

/* Findings and the SQL that mends them, gathered column by column. */
struct drift {
    const struct relation_set *set;
    const struct table *table;
    struct buffer what;
    struct buffer sql;        /* on the target */
    struct buffer source_sql; /* on the source */
};

static void put_type(struct drift *d, struct buffer *out, uint32_t oid, int32_t modifier)
{
    const struct announced_type *t = map_get(&d->set->types, oid_key(&oid));
    if (t)
        buffer_puts(out, t->name);
    else if (!type_name(out, oid, modifier))
        buffer_printf(out, "type %u", oid);
}

static void put_separator(struct buffer *out)
{
    if (out->length)
        buffer_puts(out, "; ");
}

static void put_alter(struct drift *d)
{
    put_separator(&d->sql);
    buffer_puts(&d->sql, "ALTER TABLE ");
    sql_qualified(&d->sql, d->table->to_schema, d->table->to_name);
}

static void say_added(struct drift *d, const struct pgoutput_column *c)
{
    put_separator(&d->what);
    buffer_printf(&d->what, "column \"%s\" (", c->name);
    put_type(d, &d->what, c->type_oid, c->type_modifier);
    buffer_puts(&d->what, ") was added on the source, the target has no such column");
    put_alter(d);
    buffer_puts(&d->sql, " ADD COLUMN ");
    sql_ident(&d->sql, c->name);
    buffer_putc(&d->sql, ' ');
    put_type(d, &d->sql, c->type_oid, c->type_modifier);
}

static void say_dropped(struct drift *d, const struct column *c)
{
    put_separator(&d->what);
    buffer_printf(&d->what,
                  "column \"%s\" is not in the source's changes: it was dropped there, or not yet added "
                  "when they were made",
                  c->source);
    put_alter(d);
    buffer_puts(&d->sql, " DROP COLUMN ");
    sql_ident(&d->sql, c->sink);
}

static void say_renamed(struct drift *d, const struct column *from, const struct pgoutput_column *to)
{
    put_separator(&d->what);
    buffer_printf(&d->what, "column \"%s\" was renamed to \"%s\" on the source, it seems", from->source,
                  to->name);
    put_alter(d);
    buffer_puts(&d->sql, " RENAME COLUMN ");
    sql_ident(&d->sql, from->sink);
    buffer_puts(&d->sql, " TO ");
    sql_ident(&d->sql, to->name);
}

static void say_retyped(struct drift *d, const struct column *from, const struct pgoutput_column *to)
{
    put_separator(&d->what);
    buffer_printf(&d->what, "column \"%s\" is now ", from->source);
    put_type(d, &d->what, to->type_oid, to->type_modifier);
    buffer_printf(&d->what, " on the source, it was %s", from->source_type.display);
    put_alter(d);
    buffer_puts(&d->sql, " ALTER COLUMN ");
    sql_ident(&d->sql, from->sink);
    buffer_puts(&d->sql, " TYPE ");
    put_type(d, &d->sql, to->type_oid, to->type_modifier);
}

static void say_identity_lost(struct drift *d, const struct relation *r, const struct column *c)
{
    put_separator(&d->what);
    buffer_printf(&d->what, "key column \"%s\" is no longer part of the source's replica identity",
                  c->source);
    if (d->source_sql.length)
        return;
    buffer_puts(&d->source_sql, "ALTER TABLE ");
    sql_qualified(&d->source_sql, r->schema, r->name);
    buffer_puts(&d->source_sql, " REPLICA IDENTITY DEFAULT (or FULL)");
}

/* Cuts at a character's border. */
static void put_cut(char *out, size_t size, const char *text)
{
    size_t n = strlen(text);
    if (n >= size) {
        n = size - 1 - 3;
        while (n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80)
            n--;
        snprintf(out, size, "%.*s...", (int)n, text);
    } else {
        memcpy(out, text, n + 1);
    }
}

static void drift_write(struct drift *d, struct relation *r)
{
    char what[380];
    char sql[330];
    if (d->source_sql.length) {
        put_separator(&d->sql);
        buffer_printf(&d->sql, "on the source: %s", buffer_text(&d->source_sql));
    }
    put_cut(what, sizeof(what), buffer_text(&d->what));
    put_cut(sql, sizeof(sql), buffer_text(&d->sql));
    if (d->what.length)
        snprintf(r->drift, sizeof(r->drift), "%s - %s - then crossfade resume", what, sql);
    buffer_free(&d->what);
    buffer_free(&d->sql);
    buffer_free(&d->source_sql);
}

/* --- matching columns --- */

static uint16_t find_column(const struct table *t, const char *name)
{
    for (uint16_t i = 0; i < t->column_count; i++) {
        if (strcmp(t->columns[i].source, name) == 0)
            return i;
    }
    return RELATION_NOWHERE;
}

static bool is_ignored(const struct table *t, const char *name)
{
    for (uint16_t i = 0; i < t->ignored_count; i++) {
        if (strcmp(t->ignored[i], name) == 0)
            return true;
    }
    return false;
}

static bool same_type(const struct column *a, const struct pgoutput_column *b)
{
    return a->source_type.oid == b->type_oid && a->source_type.modifier == b->type_modifier;
}

static void add_extra(struct relation *r, uint16_t at, const struct pgoutput_column *c)
{
    r->extra = mem_grow(r->extra, (size_t)r->extra_count + 1, sizeof(*r->extra));
    r->extra[r->extra_count] = (struct extra_column){.name = mem_strdup(c->name), .type_oid = c->type_oid};
    r->extra_at[at] = r->extra_count++;
}

/* Gives every message column its place. Columns in the table's order are found at the first look. */
static void match_columns(struct relation *r, const struct pgoutput_message *m, uint16_t *message_column)
{
    const struct table *t = r->table;
    uint16_t guess = 0;
    r->straight = m->column_count == t->column_count;
    for (uint16_t i = 0; i < m->column_count; i++) {
        const struct pgoutput_column *c = &m->columns[i];
        uint16_t at = RELATION_NOWHERE;
        if (guess < t->column_count && strcmp(t->columns[guess].source, c->name) == 0)
            at = guess;
        else
            at = find_column(t, c->name);
        r->identity[i] = c->key;
        r->extra_at[i] = RELATION_NOWHERE;
        r->column[i] = at;
        if (at == RELATION_NOWHERE) {
            if (!is_ignored(t, c->name))
                add_extra(r, i, c);
        } else {
            guess = (uint16_t)(at + 1);
            message_column[at] = i;
            if (t->columns[at].source_type.oid != c->type_oid) {
                add_extra(r, i, c);
                if (!t->columns[at].key)
                    r->column[i] = RELATION_NOWHERE;
            }
        }
        r->straight = r->straight && r->column[i] == i && r->extra_at[i] == RELATION_NOWHERE;
    }
}

/* A column gone and one of the same type come, both alone in that: most likely a rename. */
static bool find_rename(const struct relation *r, const struct pgoutput_message *m,
                        const uint16_t *message_column, uint16_t *gone, uint16_t *come)
{
    const struct table *t = r->table;
    *gone = *come = RELATION_NOWHERE;
    for (uint16_t i = 0; i < t->column_count; i++) {
        if (message_column[i] != RELATION_NOWHERE)
            continue;
        if (*gone != RELATION_NOWHERE)
            return false;
        *gone = i;
    }
    for (uint16_t i = 0; i < m->column_count; i++) {
        if (r->extra_at[i] == RELATION_NOWHERE || find_column(t, m->columns[i].name) != RELATION_NOWHERE)
            continue;
        if (*come != RELATION_NOWHERE)
            return false;
        *come = i;
    }
    return *gone != RELATION_NOWHERE && *come != RELATION_NOWHERE &&
           same_type(&t->columns[*gone], &m->columns[*come]);
}

static void find_drift(const struct relation_set *set, struct relation *r, const struct pgoutput_message *m,
                       const uint16_t *message_column)
{
    const struct table *t = r->table;
    struct drift d = {.set = set, .table = t};
    uint16_t gone;
    uint16_t come;
    bool renamed = find_rename(r, m, message_column, &gone, &come);
    if (renamed)
        say_renamed(&d, &t->columns[gone], &m->columns[come]);
    for (uint16_t i = 0; i < m->column_count; i++) {
        bool extra = r->extra_at[i] != RELATION_NOWHERE;
        if (extra && find_column(t, m->columns[i].name) == RELATION_NOWHERE && !(renamed && i == come))
            say_added(&d, &m->columns[i]);
    }
    for (uint16_t i = 0; i < t->column_count; i++) {
        uint16_t at = message_column[i];
        if (at == RELATION_NOWHERE) {
            if (!(renamed && i == gone))
                say_dropped(&d, &t->columns[i]);
            continue;
        }
        if (!same_type(&t->columns[i], &m->columns[at]))
            say_retyped(&d, &t->columns[i], &m->columns[at]);
        if (t->columns[i].key && !r->identity[at] && t->identity != IDENTITY_NOTHING)
            say_identity_lost(&d, r, &t->columns[i]);
    }
    drift_write(&d, r);
}

static void fit(const struct relation_set *set, struct relation *r, const struct pgoutput_message *m)
{
    uint16_t *message_column = mem_grow(NULL, (size_t)r->table->column_count + 1, sizeof(*message_column));
    for (uint16_t i = 0; i < r->table->column_count; i++)
        message_column[i] = RELATION_NOWHERE;
    match_columns(r, m, message_column);
    find_drift(set, r, m, message_column);
    free(message_column);
}

static void say_not_mapped(struct relation *r)
{
    char name[280];
    snprintf(name, sizeof(name), "%s.%s", r->schema, r->name);
    snprintf(
        r->drift, sizeof(r->drift),
        "%s is in the publication, but not one of this pipeline's tables - its changes are skipped - add it "
        "to \"tables\" and restart, or take it out of the publication",
        name);
}

bool relation_set_announce(struct relation_set *self, const struct pgoutput_message *m,
                           const char *root_schema, const char *root_name, struct relation **out)
{
    const char *schema = *m->schema ? m->schema : "pg_catalog";
    struct relation *r = mem_alloc(sizeof(*r));
    r->oid = m->relation;
    r->schema = mem_strdup(schema);
    r->name = mem_strdup(m->name);
    r->table = table_set_find(self->tables, schema, m->name);
    if (!r->table && root_name) {
        r->table = table_set_find(self->tables, root_schema, root_name);
        r->partition = r->table != NULL;
    }
    r->column_count = m->column_count;
    r->column = mem_grow(NULL, (size_t)m->column_count + 1, sizeof(*r->column));
    r->extra_at = mem_grow(NULL, (size_t)m->column_count + 1, sizeof(*r->extra_at));
    r->identity = mem_grow(NULL, (size_t)m->column_count + 1, sizeof(*r->identity));
    if (r->table)
        fit(self, r, m);
    else
        say_not_mapped(r);

    struct relation *before = map_get(&self->by_oid, oid_key(&r->oid));
    bool news = r->drift[0] && !(before && strcmp(before->drift, r->drift) == 0);
    if (before)
        map_remove(&self->by_oid, oid_key(&r->oid));
    map_at(&self->by_oid, oid_key(&r->oid))->value = r;
    relation_free(before);
    self->last = r;
    *out = r;
    return news;
}
