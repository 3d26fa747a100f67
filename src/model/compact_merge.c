/* SPDX-License-Identifier: PostgreSQL
 *
 * What one more change makes of a key. Two tables say it all; compact.c argues why they are right.
 */
#include "model/compact_part.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"

/* [state][op]; ops INSERT, UPDATE, DELETE. */
static const uint8_t streaming[COMPACT_STATES][3] = {
    [COMPACT_NEW] = {COMPACT_INSERT, COMPACT_UPDATE, COMPACT_DELETE},
    [COMPACT_INSERT] = {COMPACT_EXACT, COMPACT_INSERT, COMPACT_GONE},
    [COMPACT_UPDATE] = {COMPACT_EXACT, COMPACT_UPDATE, COMPACT_DELETE},
    [COMPACT_DELETE] = {COMPACT_REPLACE, COMPACT_EXACT, COMPACT_EXACT},
    [COMPACT_REPLACE] = {COMPACT_EXACT, COMPACT_REPLACE, COMPACT_DELETE},
    [COMPACT_GONE] = {COMPACT_INSERT, COMPACT_EXACT, COMPACT_EXACT},
    [COMPACT_EXACT] = {COMPACT_EXACT, COMPACT_EXACT, COMPACT_EXACT},
};

/* UPDATE and LOST become UPSERT as soon as the row is full. */
static const uint8_t converge[COMPACT_STATES][3] = {
    [COMPACT_NEW] = {COMPACT_UPSERT, COMPACT_UPDATE, COMPACT_DELETE},
    [COMPACT_UPDATE] = {COMPACT_UPSERT, COMPACT_UPDATE, COMPACT_DELETE},
    [COMPACT_UPSERT] = {COMPACT_UPSERT, COMPACT_UPSERT, COMPACT_DELETE},
    [COMPACT_DELETE] = {COMPACT_UPSERT, COMPACT_LOST, COMPACT_DELETE},
    [COMPACT_LOST] = {COMPACT_UPSERT, COMPACT_LOST, COMPACT_DELETE},
};

enum { KEEP_SLOTS = 128 };

static void slots_grow(struct compact_segment *self)
{
    uint32_t old_count = self->slot_count;
    assert(old_count <= UINT32_MAX / 8);
    struct compact_slot *old = self->slots;
    self->slot_count = old_count ? old_count * 4 : 32; /* putting them in again costs more than the memory */
    self->slots = mem_alloc(self->slot_count * sizeof(*self->slots));
    uint32_t mask = self->slot_count - 1;
    for (uint32_t i = 0; i < old_count; i++) {
        if (!old[i].key)
            continue;
        uint32_t at = old[i].hash & mask;
        while (self->slots[at].key)
            at = (at + 1) & mask;
        self->slots[at] = old[i];
    }
    free(old);
}

static void block_need(struct compact_segment *self, unsigned block)
{
    if (!self->blocks[block])
        self->blocks[block] =
            mem_grow(NULL, (size_t)COMPACT_FIRST_BLOCK << block, sizeof(struct compact_key));
}

static struct compact_key *key_new(struct compact_segment *self, struct slice bytes)
{
    uint32_t group = self->count / COMPACT_FIRST_BLOCK + 1;
    if (self->count % COMPACT_FIRST_BLOCK == 0 && (group & (group - 1)) == 0)
        block_need(self, (unsigned)__builtin_ctz(group));
    struct compact_key *key = compact_key_at(self, self->count++);
    *key = (struct compact_key){.bytes = arena_copy(self->arena, bytes.data, bytes.length),
                                .length = (uint32_t)bytes.length};
    return key;
}

struct compact_key *compact_segment_key(struct compact_segment *self, struct slice bytes)
{
    if ((uint64_t)self->count * 4 >= (uint64_t)self->slot_count * 3)
        slots_grow(self);
    uint32_t hash = (uint32_t)(map_hash(bytes) >> 32);
    uint32_t mask = self->slot_count - 1;
    for (uint32_t at = hash & mask;; at = (at + 1) & mask) {
        struct compact_slot *slot = &self->slots[at];
        if (!slot->key) {
            struct compact_key *key = key_new(self, bytes);
            *slot = (struct compact_slot){hash, self->count};
            return key;
        }
        if (slot->hash != hash)
            continue;
        struct compact_key *key = compact_key_at(self, slot->key - 1);
        if (slice_equal((struct slice){key->bytes, key->length}, bytes))
            return key;
    }
}

void compact_append(struct compact_segment *self, const struct change *c)
{
    if (self->appended_count == self->appended_capacity) {
        self->appended_capacity = self->appended_capacity ? self->appended_capacity * 2 : 64;
        self->appended = mem_grow(self->appended, self->appended_capacity, sizeof(struct change *));
    }
    self->appended[self->appended_count++] = c;
}

void compact_segment_clear(struct compact_segment *self)
{
    free(self->appended);
    self->appended = NULL;
    self->appended_count = self->appended_capacity = 0;
    for (int i = 1; i < COMPACT_BLOCKS; i++) {
        free(self->blocks[i]);
        self->blocks[i] = NULL;
    }
    self->count = 0;
    if (self->slot_count > KEEP_SLOTS) {
        free(self->slots);
        self->slots = NULL;
        self->slot_count = 0;
    } else if (self->slots) {
        memset(self->slots, 0, self->slot_count * sizeof(*self->slots));
    }
}

void compact_segment_free(struct compact_segment *self)
{
    if (!self)
        return;
    compact_segment_clear(self);
    free(self->blocks[0]);
    free(self->slots);
    free(self);
}

static bool is_full(const struct value *row, uint16_t count)
{
    for (uint16_t i = 0; i < count; i++) {
        if (row[i].kind == VALUE_ABSENT)
            return false;
    }
    return true;
}

const struct value *compact_row(const struct change *c, struct arena *arena, bool *full)
{
    uint16_t count = c->table->column_count;
    *full = is_full(c->row, count);
    if (*full || !c->old || c->old_kind != OLD_FULL)
        return c->row;
    struct value *row = arena_copy(arena, c->row, count * sizeof(*row));
    for (uint16_t i = 0; i < count; i++) {
        if (row[i].kind == VALUE_ABSENT)
            row[i] = c->old[i];
    }
    *full = is_full(row, count);
    return row;
}

/* Lays what `row` provides over what the key has. */
static void overlay(struct compact_segment *self, struct compact_key *key, const struct value *row)
{
    uint16_t count = self->table->column_count;
    if (!key->owned) {
        key->row = arena_copy(self->arena, key->row, count * sizeof(*row));
        key->owned = true;
    }
    struct value *own = (struct value *)(uintptr_t)key->row;
    for (uint16_t i = 0; i < count; i++) {
        if (row[i].kind != VALUE_ABSENT)
            own[i] = row[i];
    }
    key->full = key->full || is_full(own, count);
}

static bool has_row(enum compact_state state)
{
    return state == COMPACT_INSERT || state == COMPACT_UPDATE || state == COMPACT_REPLACE ||
           state == COMPACT_UPSERT || state == COMPACT_LOST;
}

void compact_merge(struct compact_segment *self, struct compact_key *key, enum change_op op,
                   const struct change *c, const struct value *row, bool full)
{
    enum compact_state before = key->state;
    assert(op != CHANGE_TRUNCATE);
    key->state = self->converge ? converge[before][op] : streaming[before][op];
    assert(key->state != COMPACT_NEW);
    if (before == COMPACT_NEW)
        key->key = op == CHANGE_DELETE || op == CHANGE_UPDATE ? change_key_row(c) : row;
    key->last = c;
    if (!row)
        return;
    if (op == CHANGE_UPDATE && !full && has_row(before)) {
        overlay(self, key, row);
    } else {
        key->row = row;
        key->full = full;
        key->owned = false;
    }
    if (key->full && (key->state == COMPACT_LOST || (key->state == COMPACT_UPDATE && self->converge)))
        key->state = COMPACT_UPSERT;
}
