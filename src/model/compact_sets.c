/* SPDX-License-Identifier: PostgreSQL
 *
 * From keys to sets: rows of one operation and one column set, in key order. Nearly always every column is
 * there and a segment has at most one set an operation.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "model/compact_part.h"

struct grouping {
    struct compact_segment *segment;
    struct net_step *sets; /* malloc'ed while it grows */
    size_t count, capacity;
    uint32_t full[NET_UPSERT + 1]; /* 1 + index of the set with every column */
    struct map partial;            /* op and mask -> 1 + index */
    uint64_t *mask;                /* scratch: op, then the words */
    size_t words;
    bool in_place; /* a row deleted and inserted again may be updated instead */
};

static struct net_step *set_add(struct grouping *g, enum net_op op, const uint64_t *mask)
{
    if (g->count == g->capacity) {
        g->capacity = g->capacity ? g->capacity * 2 : 8;
        g->sets = mem_grow(g->sets, g->capacity, sizeof(*g->sets));
    }
    struct net_step *set = &g->sets[g->count++];
    *set = (struct net_step){.table = g->segment->table, .op = op, .mask = mask};
    return set;
}

static void mask_of(const struct value *row, uint16_t count, uint64_t *mask, size_t words)
{
    memset(mask, 0, words * sizeof(*mask));
    for (uint16_t i = 0; i < count; i++) {
        if (!row || row[i].kind != VALUE_ABSENT)
            mask[i / 64] |= UINT64_C(1) << (i % 64);
    }
}

static struct net_step *full_set(struct grouping *g, enum net_op op)
{
    if (g->full[op])
        return &g->sets[g->full[op] - 1];
    uint64_t *mask = NULL;
    if (op != NET_DELETE) {
        mask = arena_alloc(g->segment->arena, g->words * sizeof(*mask));
        mask_of(NULL, g->segment->table->column_count, mask, g->words);
    }
    struct net_step *set = set_add(g, op, mask);
    g->full[op] = (uint32_t)g->count;
    return set;
}

static struct net_step *set_for(struct grouping *g, enum net_op op, const struct compact_key *key)
{
    if (op == NET_DELETE || key->full)
        return full_set(g, op);
    g->mask[0] = op;
    mask_of(key->row, g->segment->table->column_count, g->mask + 1, g->words);
    size_t size = (g->words + 1) * sizeof(*g->mask);
    uintptr_t at = (uintptr_t)map_get(&g->partial, (struct slice){(const char *)g->mask, size});
    if (at)
        return &g->sets[at - 1];
    uint64_t *copy = arena_copy(g->segment->arena, g->mask, size);
    struct net_step *set = set_add(g, op, copy + 1);
    map_at(&g->partial, (struct slice){(const char *)copy, size})->value = (void *)(uintptr_t)g->count;
    return set;
}

struct ops {
    uint8_t count;
    uint8_t op[2];
};

static const struct ops state_ops[COMPACT_STATES] = {
    [COMPACT_INSERT] = {1, {NET_INSERT}}, [COMPACT_UPDATE] = {1, {NET_UPDATE}},
    [COMPACT_DELETE] = {1, {NET_DELETE}}, [COMPACT_REPLACE] = {2, {NET_DELETE, NET_INSERT}},
    [COMPACT_UPSERT] = {1, {NET_UPSERT}}, [COMPACT_LOST] = {2, {NET_DELETE, NET_UPDATE}},
};

/* One statement for a row instead of two, where nothing tells the new row from the old one updated: no column
 * that would get its default back, none that UPDATE can't set, and a key that is the same in every byte. */
static bool can_replace_in_place(const struct table *t)
{
    if (t->sink_extra_columns)
        return false;
    for (uint16_t i = 0; i < t->column_count; i++) {
        const struct column *c = &t->columns[i];
        if (c->sink_identity_always || (c->key && !c->key_bytewise))
            return false;
    }
    return true;
}

static const struct ops *ops_of(const struct grouping *g, const struct compact_key *key)
{
    bool update = key->state == COMPACT_REPLACE && key->full && g->in_place;
    return &state_ops[update ? COMPACT_UPDATE : key->state];
}

static void put_row(struct net_step *set, enum net_op op, const struct compact_key *key)
{
    set->rows[set->count++] =
        (struct net_row){.key = key->key, .row = op == NET_DELETE ? NULL : key->row, .last = key->last};
}

/* Twice over the keys: how large is each set (in the order they lie in memory), then fill it (sorted). */
enum { AHEAD = 12 };

static void distribute(struct grouping *g, const struct compact_item *items, size_t count, bool fill)
{
    for (size_t i = 0; i < count; i++) {
        if (fill && i + AHEAD < count)
            __builtin_prefetch(items[i + AHEAD].key);
        const struct compact_key *key = items[i].key;
        const struct ops *ops = ops_of(g, key);
        for (uint8_t o = 0; o < ops->count; o++) {
            struct net_step *set = set_for(g, ops->op[o], key);
            if (fill)
                put_row(set, ops->op[o], key);
            else
                set->count++;
        }
    }
}

static void rows_alloc(struct grouping *g)
{
    for (size_t i = 0; i < g->count; i++) {
        struct net_step *set = &g->sets[i];
        set->rows = arena_alloc(g->segment->arena, set->count * sizeof(*set->rows));
        set->count = 0;
    }
}

/* The changes of a key that no compaction fits, in source order. */
static void exact_key(struct grouping *g, const struct compact_key *key)
{
    size_t first = g->count;
    for (uint32_t at = key->chain; at; at = g->segment->previous[at - 1])
        set_add(g, NET_EXACT, NULL)->exact = &g->segment->changes[at - 1];
    for (size_t a = first, b = g->count - 1; a < b; a++, b--) {
        struct net_step swap = g->sets[a];
        g->sets[a] = g->sets[b];
        g->sets[b] = swap;
    }
}

/* Rows without a key have nothing to be sorted by. */
static void put_appended(struct grouping *g)
{
    const struct compact_segment *s = g->segment;
    if (s->appended_count == 0)
        return;
    struct net_step *set = full_set(g, NET_INSERT);
    set->rows = arena_alloc(s->arena, s->appended_count * sizeof(*set->rows));
    for (uint32_t i = 0; i < s->appended_count; i++)
        set->rows[set->count++] =
            (struct net_row){.key = s->appended[i]->row, .row = s->appended[i]->row, .last = s->appended[i]};
}

void compact_sets(struct compact_segment *self)
{
    struct grouping g = {.segment = self,
                         .words = (self->table->column_count + 63u) / 64,
                         .in_place = can_replace_in_place(self->table)};
    g.mask = mem_grow(NULL, g.words + 1, sizeof(*g.mask));
    struct compact_item *items = mem_grow(NULL, self->count, sizeof(*items));
    for (uint32_t i = 0; i < self->count; i++)
        items[i].key = compact_key_at(self, i);
    distribute(&g, items, self->count, false);
    rows_alloc(&g);
    compact_sort(items, self->count);
    distribute(&g, items, self->count, true);
    for (uint32_t i = 0; i < self->count; i++) {
        if (items[i].key->state == COMPACT_EXACT)
            exact_key(&g, items[i].key);
    }
    put_appended(&g);
    self->sets = arena_copy(self->arena, g.sets, g.count * sizeof(*g.sets));
    self->set_count = (uint32_t)g.count;
    free(items);
    free(g.mask);
    free(g.sets);
    map_free(&g.partial);
}
