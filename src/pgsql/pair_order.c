/* SPDX-License-Identifier: PostgreSQL
 *
 * Tables that a foreign key joins, on either side, or that share a sink table, go to one lane, for a lane
 * keeps the source's order and two lanes don't. The parts that remain are dealt largest first to the lane
 * that has least.
 */
#include "pgsql/pair_order.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/map.h"
#include "base/mem.h"

enum { AUTOMATIC_LANES = 4 };

struct edge {
    uint32_t child, parent; /* table ids */
};

struct order {
    struct table_set *tables;
    struct edge *edges;
    size_t count;
    uint32_t *part; /* union-find */
};

static uint32_t part_of(struct order *self, uint32_t id)
{
    while (self->part[id] != id) {
        self->part[id] = self->part[self->part[id]];
        id = self->part[id];
    }
    return id;
}

static void join(struct order *self, uint32_t a, uint32_t b)
{
    a = part_of(self, a);
    b = part_of(self, b);
    self->part[a > b ? a : b] = a > b ? b : a;
}

/* The tables by their relation's oid on one side. Several may share a sink. */
static void index_tables(struct order *self, struct map *by_oid, bool sink)
{
    for (uint32_t i = 0; i < self->tables->count; i++) {
        struct table *t = self->tables->tables[i];
        const uint32_t *oid = sink ? &t->sink_oid : &t->source_oid;
        struct map_entry *e = map_at(by_oid, (struct slice){(const char *)oid, sizeof(*oid)});
        if (e->value)
            join(self, ((struct table *)e->value)->id, i);
        else
            e->value = t;
    }
}

/* A partition's foreign key is its root's. */
static struct table *table_at(const struct pg_catalog *catalog, const struct map *by_oid, uint32_t oid)
{
    for (int depth = 0; oid && depth < 100; depth++) {
        struct table *t = map_get(by_oid, (struct slice){(const char *)&oid, sizeof(oid)});
        if (t)
            return t;
        const struct pg_relation *rel = pg_catalog_by_oid(catalog, oid);
        oid = rel ? rel->parent : 0;
    }
    return NULL;
}

static void add_side(struct order *self, const struct pg_catalog *catalog, bool sink)
{
    struct map by_oid = {0};
    index_tables(self, &by_oid, sink);
    self->edges = mem_grow(self->edges, self->count + catalog->foreign_key_count + 1, sizeof(*self->edges));
    for (uint32_t i = 0; i < catalog->foreign_key_count; i++) {
        const struct pg_foreign_key *fk = &catalog->foreign_keys[i];
        struct table *child = table_at(catalog, &by_oid, fk->child);
        struct table *parent = table_at(catalog, &by_oid, fk->parent);
        if (!child || !parent || child == parent)
            continue;
        self->edges[self->count++] = (struct edge){child->id, parent->id};
        join(self, child->id, parent->id);
    }
    map_free(&by_oid);
}

/* Longest way up to a table without parents. Cycles end after as many rounds as there are tables, which no
 * rank exceeds otherwise. */
static void rank(struct order *self)
{
    bool moved = true;
    for (uint32_t round = 0; moved && round < self->tables->count; round++) {
        moved = false;
        for (size_t i = 0; i < self->count; i++) {
            struct table *child = self->tables->tables[self->edges[i].child];
            const struct table *parent = self->tables->tables[self->edges[i].parent];
            if (child->rank <= parent->rank && parent->rank < (int)self->tables->count) {
                child->rank = parent->rank + 1;
                moved = true;
            }
        }
    }
}

struct part {
    uint32_t id;
    int64_t bytes;
};

static int larger_first(const void *a, const void *b)
{
    const struct part *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return (x->id > y->id) - (x->id < y->id);
}

static int lane_count(int wanted, int parts)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    int lanes = wanted > 0 ? wanted : AUTOMATIC_LANES;
    if (wanted <= 0 && cpus > 0 && cpus < lanes)
        lanes = (int)cpus;
    if (lanes > parts)
        lanes = parts;
    return lanes > 0 ? lanes : 1;
}

static int deal(struct order *self, int wanted)
{
    uint32_t n = self->tables->count;
    struct part *parts = mem_alloc(sizeof(*parts) * (size_t)(n + 1));
    uint32_t *slot = mem_alloc(sizeof(*slot) * (size_t)(n + 1));
    int count = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t id = part_of(self, i); /* the smallest id of its part: always seen first */
        if (id == i) {
            slot[i] = (uint32_t)count;
            parts[count++] = (struct part){.id = i};
        }
        parts[slot[id]].bytes += self->tables->tables[i]->source_bytes + 1;
    }
    qsort(parts, (size_t)count, sizeof(*parts), larger_first);
    int lanes = lane_count(wanted, count);
    int64_t *load = mem_alloc(sizeof(*load) * (size_t)lanes);
    for (int i = 0; i < count; i++) {
        int least = 0;
        for (int lane = 1; lane < lanes; lane++)
            least = load[lane] < load[least] ? lane : least;
        load[least] += parts[i].bytes;
        slot[parts[i].id] = (uint32_t)least; /* from here on: the part's lane */
    }
    for (uint32_t i = 0; i < n; i++)
        self->tables->tables[i]->lane = (int)slot[part_of(self, i)];
    free(load);
    free(slot);
    free(parts);
    return lanes;
}

int pair_order(const struct pair_sides *sides, struct table_set *tables, int lanes)
{
    struct order self = {.tables = tables};
    self.part = mem_alloc(sizeof(*self.part) * (size_t)(tables->count + 1));
    for (uint32_t i = 0; i < tables->count; i++)
        self.part[i] = i;
    add_side(&self, sides->source, false);
    add_side(&self, sides->sink, true);
    rank(&self);
    int used = deal(&self, lanes);
    free(self.part);
    free(self.edges);
    return used;
}
