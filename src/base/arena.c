/* SPDX-License-Identifier: PostgreSQL */
#include "base/arena.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { BLOCK_BYTES = 256 * 1024, KEEP_BLOCKS = 16 };

struct block {
    struct block *next;
    size_t size; /* usable bytes behind this header */
    size_t used;
    _Alignas(16) char data[];
};

struct arena {
    struct block *full;  /* newest first; the head is the one being filled */
    struct block *spare; /* empty blocks of the standard size */
    size_t spare_count;
    size_t held;
};

struct arena *arena_new(void)
{
    return mem_alloc(sizeof(struct arena));
}

static void free_chain(struct block *b)
{
    while (b) {
        struct block *next = b->next;
        free(b);
        b = next;
    }
}

void arena_free(struct arena *self)
{
    if (!self)
        return;
    free_chain(self->full);
    free_chain(self->spare);
    free(self);
}

static struct block *block_get(struct arena *self, size_t size)
{
    struct block *b = self->spare;
    if (size == BLOCK_BYTES && b) {
        self->spare = b->next;
        self->spare_count--;
    } else {
        b = mem_grow(NULL, 1, sizeof(struct block) + size);
    }
    b->size = size;
    b->used = 0;
    self->held += size;
    return b;
}

void *arena_alloc(struct arena *self, size_t size)
{
    assert(size <= SIZE_MAX - 64);
    size_t need = (size + 7) & ~(size_t)7;
    struct block *head = self->full;
    if (!head || head->size - head->used < need) {
        struct block *b = block_get(self, need > BLOCK_BYTES / 4 ? need : BLOCK_BYTES);
        /* A block of its own goes behind the head, whose room is still good. */
        if (head && b->size != BLOCK_BYTES) {
            b->next = head->next;
            head->next = b;
        } else {
            b->next = head;
            self->full = b;
        }
        head = b;
    }
    void *p = head->data + head->used;
    head->used += need;
    return p;
}

void *arena_copy(struct arena *self, const void *data, size_t size)
{
    void *p = arena_alloc(self, size);
    if (size)
        memcpy(p, data, size);
    return p;
}

char *arena_strdup(struct arena *self, const char *text)
{
    return arena_copy(self, text, strlen(text) + 1);
}

size_t arena_used(const struct arena *self)
{
    return self->held;
}

void arena_reset(struct arena *self)
{
    struct block *b = self->full;
    while (b) {
        struct block *next = b->next;
        if (b->size == BLOCK_BYTES && self->spare_count < KEEP_BLOCKS) {
            b->next = self->spare;
            self->spare = b;
            self->spare_count++;
        } else {
            free(b);
        }
        b = next;
    }
    self->full = NULL;
    self->held = 0;
}
