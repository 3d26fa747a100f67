/* SPDX-License-Identifier: PostgreSQL
 *
 * A hash map from bytes to a pointer, with open addressing. Keys are not copied: they live as long as
 * the map does (in the batch's arena, or in the value that the entry points to).
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct map_entry {
    struct slice key; /* data == NULL: empty */
    uint64_t hash;
    void *value;
};

struct map {
    struct map_entry *entries;
    size_t capacity; /* a power of two, or 0 */
    size_t count;
};

void map_free(struct map *self);  /* zeroes it; values are the caller's */
void map_clear(struct map *self); /* keeps the memory unless it is large and nearly empty */

/* The value, or NULL. */
void *map_get(const struct map *self, struct slice key);

/* The entry of that key, made with value NULL if it was not there. Valid until the next call. */
struct map_entry *map_at(struct map *self, struct slice key);

/* True if there was one. */
bool map_remove(struct map *self, struct slice key);

/* Walks: start with *at = 0, ends with NULL. The map must not change meanwhile. */
struct map_entry *map_next(const struct map *self, size_t *at);

uint64_t map_hash(struct slice key);

#endif
