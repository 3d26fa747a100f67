/* SPDX-License-Identifier: PostgreSQL */
#include "mssql/cdc_merge.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "mssql/cdc_lsn.h"

int cdc_key_compare(const struct cdc_key *a, const struct cdc_key *b)
{
    int order = cdc_lsn_compare(a->lsn, b->lsn);
    if (order == 0 && a->command_null != b->command_null)
        return a->command_null ? -1 : 1;
    if (order == 0 && !a->command_null)
        order = (a->command > b->command) - (a->command < b->command);
    if (order == 0)
        order = cdc_lsn_compare(a->seqval, b->seqval);
    return order ? order : (a->operation > b->operation) - (a->operation < b->operation);
}

bool cdc_key_is_pair(const struct cdc_key *old_row, const struct cdc_key *new_row)
{
    struct cdc_key expected = *old_row;
    expected.operation = CDC_UPDATE_NEW;
    return old_row->operation == CDC_UPDATE_OLD && cdc_key_compare(&expected, new_row) == 0;
}

void cdc_merge_free(struct cdc_merge *self)
{
    free(self->items);
    *self = (struct cdc_merge){0};
}

void cdc_merge_clear(struct cdc_merge *self)
{
    self->count = 0;
}

static bool before(const struct cdc_merge_item *a, const struct cdc_merge_item *b)
{
    int order = cdc_key_compare(&a->key, &b->key);
    return order ? order < 0 : a->stream < b->stream;
}

static void swap(struct cdc_merge_item *a, struct cdc_merge_item *b)
{
    struct cdc_merge_item t = *a;
    *a = *b;
    *b = t;
}

void cdc_merge_push(struct cdc_merge *self, uint32_t stream, const struct cdc_key *key)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? self->capacity * 2 : 16;
        self->items = mem_grow(self->items, self->capacity, sizeof(*self->items));
    }
    uint32_t at = self->count++;
    self->items[at] = (struct cdc_merge_item){.key = *key, .stream = stream};
    while (at > 0 && before(&self->items[at], &self->items[(at - 1) / 2])) {
        swap(&self->items[at], &self->items[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

const struct cdc_merge_item *cdc_merge_least(const struct cdc_merge *self)
{
    return self->count ? &self->items[0] : NULL;
}

void cdc_merge_pop(struct cdc_merge *self)
{
    assert(self->count > 0);
    self->items[0] = self->items[--self->count];
    for (uint32_t at = 0;;) {
        uint32_t least = at;
        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2 && child < self->count; child++) {
            if (before(&self->items[child], &self->items[least]))
                least = child;
        }
        if (least == at)
            return;
        swap(&self->items[at], &self->items[least]);
        at = least;
    }
}
