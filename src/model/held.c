/* SPDX-License-Identifier: PostgreSQL */
#include "model/held.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void held_free(struct held *self)
{
    struct map_entry *e;
    for (size_t at = 0; (e = map_next(&self->keys, &at));)
        free(e->value);
    map_free(&self->keys);
    buffer_free(&self->probe);
    free(self->row);
    *self = (struct held){0};
}

bool held_is_empty(const struct held *self)
{
    return self->keys.count == 0;
}

static struct slice probe_old(struct held *self, const struct change *c)
{
    buffer_clear(&self->probe);
    change_key_bytes(c->table, change_key_row(c), &self->probe);
    return (struct slice){self->probe.data, self->probe.length};
}

/* The key that the row has after a change that brought an old row; length 0 if there is none. */
static struct slice probe_new(struct held *self, const struct change *c)
{
    size_t n = c->table->column_count;
    buffer_clear(&self->probe);
    if (!c->old || !c->row)
        return (struct slice){0};
    if (self->row_capacity < n) {
        self->row = mem_grow(self->row, n, sizeof(*self->row));
        self->row_capacity = n;
    }
    memcpy(self->row, c->row, n * sizeof(*self->row));
    for (uint16_t k = 0; k < c->table->key_count; k++) {
        uint16_t at = c->table->key[k];
        if (self->row[at].kind == VALUE_ABSENT) /* an unchanged large value */
            self->row[at] = c->old[at];
    }
    change_key_bytes(c->table, self->row, &self->probe);
    return (struct slice){self->probe.data, self->probe.length};
}

static bool has(const struct held *self, struct slice key)
{
    return key.length && map_get(&self->keys, key);
}

static void add(struct held *self, struct slice key)
{
    if (!key.length || has(self, key))
        return;
    char *copy = mem_alloc(key.length);
    memcpy(copy, key.data, key.length);
    map_at(&self->keys, (struct slice){copy, key.length})->value = copy;
}

bool held_has(struct held *self, const struct change *c)
{
    if (held_is_empty(self) || c->op == CHANGE_TRUNCATE)
        return false;
    return has(self, probe_old(self, c)) || has(self, probe_new(self, c));
}

void held_add(struct held *self, const struct change *c)
{
    add(self, probe_old(self, c));
    add(self, probe_new(self, c));
}
