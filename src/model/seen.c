/* SPDX-License-Identifier: PostgreSQL */
#include "model/seen.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct seen_row {
    uint64_t hash[2];
    uint32_t pass;
    unsigned part;
    char key[];
};

void seen_free(struct seen *self)
{
    size_t at = 0;
    for (struct map_entry *e; (e = map_next(&self->rows, &at));)
        free(e->value);
    map_free(&self->rows);
    buffer_free(&self->key);
    buffer_free(&self->text);
    *self = (struct seen){0};
}

void seen_begin(struct seen *self)
{
    self->pass++;
}

/* FNV-1a beside the map's own hash: both would have to agree by chance. */
static uint64_t second_hash(const char *data, size_t length)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < length; i++)
        h = (h ^ (unsigned char)data[i]) * UINT64_C(1099511628211);
    return h;
}

static void put_row(const struct table *t, const struct value *row, bool gone, struct buffer *out)
{
    buffer_clear(out);
    buffer_putc(out, gone ? 1 : 0);
    for (uint16_t i = 0; i < t->column_count && !gone; i++) {
        buffer_putc(out, (char)row[i].kind);
        buffer_put_u32(out, row[i].length);
        if (row[i].length)
            buffer_put(out, row[i].data, row[i].length);
    }
}

/* Where equal keys may differ in their bytes a row may be news once too often, never once too few. */
static void put_key(const struct table *t, const struct value *row, struct buffer *out)
{
    buffer_clear(out);
    if (t->key_hashable) {
        change_key_bytes(t, row, out);
        return;
    }
    for (uint16_t i = 0; i < t->key_count; i++) {
        const struct value *v = &row[t->key[i]];
        buffer_put_u32(out, v->length);
        if (v->length)
            buffer_put(out, v->data, v->length);
    }
}

static struct seen_row *find(struct seen *self, bool *is_new)
{
    struct seen_row *found = map_get(&self->rows, (struct slice){self->key.data, self->key.length});
    *is_new = !found;
    if (found)
        return found;
    found = mem_alloc(sizeof(*found) + self->key.length);
    memcpy(found->key, self->key.data, self->key.length);
    map_at(&self->rows, (struct slice){found->key, self->key.length})->value = found;
    return found;
}

bool seen_is_news(struct seen *self, const struct table *table, const struct value *row, bool gone,
                  unsigned part)
{
    bool news;
    put_key(table, row, &self->key);
    put_row(table, row, gone, &self->text);
    uint64_t first = map_hash((struct slice){self->text.data, self->text.length});
    uint64_t second = second_hash(self->text.data, self->text.length);
    struct seen_row *r = find(self, &news);
    news = news || r->hash[0] != first || r->hash[1] != second;
    r->hash[0] = first;
    r->hash[1] = second;
    r->pass = self->pass;
    r->part = part;
    return news;
}

size_t seen_end(struct seen *self, unsigned part)
{
    size_t at = 0, count = 0;
    struct seen_row **old = NULL;
    struct slice *keys = NULL;
    for (struct map_entry *e; (e = map_next(&self->rows, &at));) {
        struct seen_row *r = e->value;
        if (r->pass == self->pass || r->part != part)
            continue;
        old = mem_grow(old, count + 1, sizeof(struct seen_row *));
        keys = mem_grow(keys, count + 1, sizeof(*keys));
        keys[count] = e->key;
        old[count++] = r;
    }
    for (size_t i = 0; i < count; i++) {
        map_remove(&self->rows, keys[i]);
        free(old[i]);
    }
    free(old);
    free(keys);
    return count;
}
