/* SPDX-License-Identifier: PostgreSQL
 *
 * Memory of one batch: taken in order, given back all at once. The owner of a batch watches
 * arena_used() against its share of memory_limit and ends the batch before the next piece; a single
 * allocation larger than a block gets a block of its own, so one large row always fits.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *self); /* NULL is fine */

/* Not zeroed, aligned to 8 bytes. Never NULL. Valid until arena_reset. */
void *arena_alloc(struct arena *self, size_t size);
void *arena_copy(struct arena *self, const void *data, size_t size);
char *arena_strdup(struct arena *self, const char *text);

/* Bytes held from the system for live allocations, block ends included. */
size_t arena_used(const struct arena *self);

/* Everything taken is gone. Keeps a few standard blocks for the next batch, gives large ones back. */
void arena_reset(struct arena *self);

#endif
