/* SPDX-License-Identifier: PostgreSQL
 *
 * Filling a batch. One change costs one piece of arena: its value arrays and behind them their bytes, so
 * that what is read together lies together.
 */
#include "model/batch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

/* Arrays larger than this are given back by a reset: one huge batch must not hold memory for ever. */
enum { KEEP_BYTES = 4 * 1024 * 1024 };

struct batch *batch_new(void)
{
    struct batch *self = mem_alloc(sizeof(*self));
    self->arena = arena_new();
    self->complete = true;
    return self;
}

void batch_free(struct batch *self)
{
    if (!self)
        return;
    arena_free(self->arena);
    free(self->changes);
    free(self->transactions);
    free(self);
}

static void *shrink(void *array, size_t *capacity, size_t element)
{
    if (*capacity * element <= KEEP_BYTES)
        return array;
    free(array);
    *capacity = 0;
    return NULL;
}

void batch_reset(struct batch *self)
{
    struct batch empty = {.arena = self->arena, .complete = true};
    arena_reset(self->arena);
    empty.capacity = self->capacity;
    empty.changes = shrink(self->changes, &empty.capacity, sizeof(*empty.changes));
    empty.transaction_capacity = self->transaction_capacity;
    empty.transactions = shrink(self->transactions, &empty.transaction_capacity, sizeof(*empty.transactions));
    *self = empty;
}

void batch_begin(struct batch *self, const struct transaction *transaction)
{
    assert(self->complete);
    assert(self->transaction_count < UINT32_MAX);
    if (self->transaction_count == self->transaction_capacity) {
        self->transaction_capacity = self->transaction_capacity ? self->transaction_capacity * 2 : 64;
        self->transactions =
            mem_grow(self->transactions, self->transaction_capacity, sizeof(*self->transactions));
    }
    self->transactions[self->transaction_count++] = *transaction;
    self->complete = false;
}

static size_t row_bytes(const struct value *row, uint16_t count)
{
    size_t bytes = 0;
    for (uint16_t i = 0; row && i < count; i++)
        bytes += row[i].length;
    return bytes;
}

/* Copies one row to *at; its bytes to *bytes. Both move on. */
static struct value *copy_row(const struct value *row, uint16_t count, struct value **at, char **bytes)
{
    if (!row)
        return NULL;
    struct value *copy = *at;
    *at += count;
    for (uint16_t i = 0; i < count; i++) {
        copy[i] = row[i];
        if (row[i].kind < VALUE_TEXT) {
            copy[i].data = NULL;
            copy[i].length = 0;
            continue;
        }
        copy[i].data = *bytes;
        if (row[i].length)
            memcpy(*bytes, row[i].data, row[i].length);
        *bytes += row[i].length;
    }
    return copy;
}

/* Only drifted tables have them: no need to be quick. */
static const struct extra_column *copy_extra(struct arena *arena, const struct extra_column *extra,
                                             uint16_t count, size_t *bytes)
{
    struct extra_column *copy = arena_copy(arena, extra, count * sizeof(*extra));
    for (uint16_t i = 0; i < count; i++) {
        copy[i].name = arena_strdup(arena, extra[i].name);
        if (extra[i].value.data)
            copy[i].value.data = arena_copy(arena, extra[i].value.data, extra[i].value.length);
        *bytes += extra[i].value.length;
    }
    return copy;
}

void batch_append(struct batch *self, const struct change *change)
{
    assert(!self->complete && self->transaction_count > 0);
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? self->capacity * 2 : 256;
        self->changes = mem_grow(self->changes, self->capacity, sizeof(*self->changes));
    }
    if (self->count == 0)
        self->first_us = clock_us();

    uint16_t columns = change->table->column_count;
    size_t values = (change->row ? columns : 0u) + (change->old ? columns : 0u);
    size_t bytes = row_bytes(change->row, columns) + row_bytes(change->old, columns);
    struct value *at = arena_alloc(self->arena, values * sizeof(*at) + bytes);
    char *data = (char *)(at + values);

    struct change *copy = &self->changes[self->count++];
    *copy = *change;
    copy->transaction = (uint32_t)self->transaction_count - 1;
    copy->row = copy_row(change->row, columns, &at, &data);
    copy->old = copy_row(change->old, columns, &at, &data);
    if (change->extra_count)
        copy->extra = copy_extra(self->arena, change->extra, change->extra_count, &bytes);
    self->bytes += bytes;
}

void batch_commit(struct batch *self, const struct transaction *transaction)
{
    assert(!self->complete && self->transaction_count > 0);
    assert(position_compare(self->end, transaction->end) <= 0);
    self->transactions[self->transaction_count - 1] = *transaction;
    self->end = transaction->end;
    self->end_time_us = transaction->commit_time_us;
    self->complete = true;
}

void batch_advance(struct batch *self, struct position end)
{
    assert(self->complete);
    if (position_compare(self->end, end) < 0)
        self->end = end;
}

size_t batch_memory(const struct batch *self)
{
    return arena_used(self->arena) + self->capacity * sizeof(*self->changes) +
           self->transaction_capacity * sizeof(*self->transactions);
}
