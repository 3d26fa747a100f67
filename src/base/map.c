/* SPDX-License-Identifier: PostgreSQL */
#include "base/map.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* wyhash-like mixing by 128-bit products: a few cycles for the short keys that rows have. */
static uint64_t mix(uint64_t a, uint64_t b)
{
    __uint128_t p = (__uint128_t)a * b;
    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

uint64_t map_hash(struct slice key)
{
    const uint64_t k0 = 0x9E3779B97F4A7C15u;
    const uint64_t k1 = 0xD1B54A32D192ED03u;
    uint64_t h = k0 ^ key.length;
    const char *p = key.data;
    size_t n = key.length;
    while (n > 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        h = mix(h ^ w, k1);
        p += 8;
        n -= 8;
    }
    uint64_t tail = 0;
    if (n)
        memcpy(&tail, p, n);
    h = mix(h ^ tail, k1);
    return mix(h, k0);
}

void map_free(struct map *self)
{
    free(self->entries);
    *self = (struct map){0};
}

void map_clear(struct map *self)
{
    if (self->capacity > 4096 && self->count < self->capacity / 16) {
        map_free(self);
        return;
    }
    if (self->capacity)
        memset(self->entries, 0, self->capacity * sizeof(*self->entries));
    self->count = 0;
}

static struct map_entry *probe(const struct map *self, struct slice key, uint64_t hash)
{
    size_t mask = self->capacity - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct map_entry *e = &self->entries[i];
        if (!e->key.data || (e->hash == hash && slice_equal(e->key, key)))
            return e;
    }
}

static void grow(struct map *self)
{
    struct map old = *self;
    self->capacity = old.capacity ? old.capacity * 2 : 64;
    self->entries = mem_alloc(self->capacity * sizeof(*self->entries));
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.entries[i].key.data)
            *probe(self, old.entries[i].key, old.entries[i].hash) = old.entries[i];
    }
    free(old.entries);
}

void *map_get(const struct map *self, struct slice key)
{
    if (!self->count)
        return NULL;
    struct map_entry *e = probe(self, key, map_hash(key));
    return e->key.data ? e->value : NULL;
}

struct map_entry *map_at(struct map *self, struct slice key)
{
    assert(key.data != NULL);
    if (self->count * 4 >= self->capacity * 3)
        grow(self);
    uint64_t hash = map_hash(key);
    struct map_entry *e = probe(self, key, hash);
    if (!e->key.data) {
        *e = (struct map_entry){.key = key, .hash = hash};
        self->count++;
    }
    return e;
}

bool map_remove(struct map *self, struct slice key)
{
    if (!self->count)
        return false;
    struct map_entry *hole = probe(self, key, map_hash(key));
    if (!hole->key.data)
        return false;
    size_t mask = self->capacity - 1;
    size_t i = (size_t)(hole - self->entries);
    for (size_t j = (i + 1) & mask; self->entries[j].key.data; j = (j + 1) & mask) {
        size_t home = self->entries[j].hash & mask;
        if (((j - home) & mask) >= ((j - i) & mask)) {
            self->entries[i] = self->entries[j];
            i = j;
        }
    }
    self->entries[i] = (struct map_entry){0};
    self->count--;
    return true;
}

struct map_entry *map_next(const struct map *self, size_t *at)
{
    while (*at < self->capacity) {
        struct map_entry *e = &self->entries[(*at)++];
        if (e->key.data)
            return e;
    }
    return NULL;
}
