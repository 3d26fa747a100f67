/* SPDX-License-Identifier: PostgreSQL
 *
 * What the files of compaction share: the keys of one segment (the changes of one table between two
 * barriers), what has become of each, and how they turn into sets. Only for compact*.c.
 */
#ifndef MODEL_COMPACT_PART_H
#define MODEL_COMPACT_PART_H

#include "base/buffer.h"
#include "model/compact.h"

/* What the changes so far make of a key. */
enum compact_state {
    COMPACT_NEW,    /* nothing yet */
    COMPACT_INSERT, /* STREAMING */
    COMPACT_UPDATE,
    COMPACT_DELETE,
    COMPACT_REPLACE, /* STREAMING: delete, then insert */
    COMPACT_GONE,    /* STREAMING: inserted and deleted, nothing to do */
    COMPACT_UPSERT,  /* CONVERGE: the whole row is known */
    COMPACT_LOST,    /* CONVERGE: delete, then an update that brings less than the row */
    COMPACT_EXACT,   /* STREAMING: no table can have had this history; the changes go as they came */
    COMPACT_STATES
};

struct compact_key {
    const char *bytes; /* canonical */
    uint32_t length;
    uint32_t chain; /* STREAMING: 1 + index of its last change in what is compacted; `previous` leads back */
    const struct value *key;
    const struct value *row;
    const struct change *last;
    uint8_t state;
    bool full;  /* `row` has every column */
    bool owned; /* `row` is ours to write to */
};

/* Keys lie in blocks of 16, 32, 64, … : a segment of one key is small, and no key ever moves. */
enum { COMPACT_FIRST_BLOCK = 16, COMPACT_BLOCKS = 27 };

struct compact_slot {
    uint32_t hash;
    uint32_t key; /* index + 1, 0 empty */
};

struct compact_segment {
    struct table *table;
    bool converge;
    bool open;
    struct arena *arena;
    const uint32_t *previous; /* for each change, 1 + index of the one before it with the same key, or 0 */
    const struct change *changes;
    struct compact_key *blocks[COMPACT_BLOCKS];
    uint32_t count;
    struct compact_slot *slots;
    uint32_t slot_count;            /* a power of two, or 0 */
    const struct change **appended; /* rows of a keyless table, in source order */
    uint32_t appended_count, appended_capacity;
    struct net_step *sets; /* made by compact_sets */
    uint32_t set_count;
};

static inline struct compact_key *compact_key_at(const struct compact_segment *self, uint32_t i)
{
    unsigned block = 31u - (unsigned)__builtin_clz(i / COMPACT_FIRST_BLOCK + 1);
    return &self->blocks[block][i - (((uint32_t)COMPACT_FIRST_BLOCK << block) - COMPACT_FIRST_BLOCK)];
}

/* The key of these canonical bytes, new ones in state COMPACT_NEW. */
struct compact_key *compact_segment_key(struct compact_segment *self, struct slice bytes);
/* A keyless table's new row. */
void compact_append(struct compact_segment *self, const struct change *c);
/* No keys; keeps what a small segment needs, so that many barriers cost no memory. */
void compact_segment_clear(struct compact_segment *self);
void compact_segment_free(struct compact_segment *self); /* mem_alloc'ed; NULL is fine */

/* The new row of a change, what it lacks taken from a full old row. *full: every column is there. */
const struct value *compact_row(const struct change *c, struct arena *arena, bool *full);
/* One more thing happens to the key: `op` with `row` (NULL for CHANGE_DELETE). */
void compact_merge(struct compact_segment *self, struct compact_key *key, enum change_op op,
                   const struct change *c, const struct value *row, bool full);

/* An item to sort: `prefix` is the first 8 bytes of the key's data. */
struct compact_item {
    uint64_t prefix;
    struct compact_key *key;
};

/* By the data bytes of the key's columns, one behind the other; then by all its bytes. */
void compact_sort(struct compact_item *items, size_t count);

/* Groups the keys into sets, each sorted, and single steps for what has to go exact. */
void compact_sets(struct compact_segment *self);

#endif
