/* SPDX-License-Identifier: PostgreSQL
 *
 * A table owns every text and array it points to; a table_set owns its tables.
 */
#include "model/table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const struct {
    enum table_state state;
    const char *name;
} state_names[] = {
    {TABLE_INIT, "init"},           {TABLE_BACKFILL, "backfill"}, {TABLE_CATCHUP, "catchup"},
    {TABLE_STREAMING, "streaming"}, {TABLE_DRIFT, "drift"},       {TABLE_STOPPED, "stopped"},
    {TABLE_PAUSED, "paused"},
};

enum { STATE_COUNT = sizeof(state_names) / sizeof(state_names[0]) };

struct table *table_new(void)
{
    struct table *self = mem_alloc(sizeof(*self));
    self->source_rows = -1;
    return self;
}

static void type_free(struct type *type)
{
    free(type->name);
    free(type->display);
}

void table_free(struct table *self)
{
    if (!self)
        return;
    for (uint16_t i = 0; i < self->column_count; i++) {
        struct column *c = &self->columns[i];
        free(c->source);
        free(c->sink);
        type_free(&c->source_type);
        type_free(&c->sink_type);
    }
    free(self->columns);
    for (uint16_t i = 0; i < self->ignored_count; i++)
        free(self->ignored[i]);
    free(self->ignored);
    free(self->key);
    free(self->from_schema);
    free(self->from_name);
    free(self->to_schema);
    free(self->to_name);
    free(self->from);
    free(self->to);
    free(self->group);
    free(self->copied_snapshot);
    free(self);
}

void table_set_add(struct table_set *self, struct table *table)
{
    assert(self->count < UINT32_MAX);
    self->tables = mem_grow(self->tables, (size_t)self->count + 1, sizeof(*self->tables));
    table->id = self->count;
    self->tables[self->count++] = table;
}

void table_set_free(struct table_set *self)
{
    for (uint32_t i = 0; i < self->count; i++)
        table_free(self->tables[i]);
    free(self->tables);
    *self = (struct table_set){0};
}

struct table *table_set_find(const struct table_set *self, const char *from_schema, const char *from_name)
{
    for (uint32_t i = 0; i < self->count; i++) {
        struct table *t = self->tables[i];
        if (strcmp(t->from_name, from_name) == 0 && strcmp(t->from_schema, from_schema) == 0)
            return t;
    }
    return NULL;
}

struct table *table_set_named(const struct table_set *self, const char *from)
{
    for (uint32_t i = 0; i < self->count; i++) {
        if (strcmp(self->tables[i]->from, from) == 0)
            return self->tables[i];
    }
    return NULL;
}

const char *table_state_name(enum table_state state)
{
    for (int i = 0; i < STATE_COUNT; i++) {
        if (state_names[i].state == state)
            return state_names[i].name;
    }
    return "unknown";
}

bool table_state_parse(const char *name, enum table_state *out)
{
    for (int i = 0; i < STATE_COUNT; i++) {
        if (strcmp(state_names[i].name, name) == 0) {
            *out = state_names[i].state;
            return true;
        }
    }
    return false;
}

/* Only two states let a change through to the table. While it waits for its copy (a table copied anew
 * beside a running stream) its changes are parked as well. */
bool table_is_parked(const struct table *self)
{
    return self->state != TABLE_CATCHUP && self->state != TABLE_STREAMING;
}
