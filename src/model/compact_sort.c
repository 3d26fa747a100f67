/* SPDX-License-Identifier: PostgreSQL
 *
 * The order of rows in a set. It depends on key bytes alone, so that all lanes and processes lock rows in the
 * same order, and for integers it is their own order, so that neighbours in the sink's index come one after
 * the other. Large runs go by radix, eight bytes at a time; small ones by comparison, with the same result.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/compact_part.h"

enum { PART_HEADER = 5, SMALL = 48 };

/* Bytes [8 * depth, 8 * depth + 8) of the key's data, zero behind its end; *more: there are further ones.
 * Canonical key bytes are, for each column, a kind, a length of 4 bytes and the data. */
static uint64_t chunk_at(const struct compact_key *key, uint32_t depth, bool *more)
{
    const char *p = key->bytes;
    const char *end = p + key->length;
    unsigned char bytes[8] = {0};
    size_t skip = (size_t)depth * 8;
    size_t have = 0;
    *more = false;
    while (p < end) {
        uint32_t length;
        memcpy(&length, p + 1, sizeof(length));
        const char *data = p + PART_HEADER;
        p = data + length;
        size_t from = skip < length ? skip : length;
        skip -= from;
        size_t take = length - from < 8 - have ? length - from : 8 - have;
        memcpy(bytes + have, data + from, take);
        have += take;
        if (take < length - from)
            *more = true;
    }
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | bytes[i];
    return v;
}

static int compare_from(const struct compact_key *a, const struct compact_key *b, uint32_t depth)
{
    bool more_a = true, more_b = true;
    for (uint32_t d = depth; more_a || more_b; d++) {
        uint64_t x = chunk_at(a, d, &more_a);
        uint64_t y = chunk_at(b, d, &more_b);
        if (x != y)
            return x < y ? -1 : 1;
    }
    int order = memcmp(a->bytes, b->bytes, a->length < b->length ? a->length : b->length);
    if (order == 0 && a->length != b->length)
        order = a->length < b->length ? -1 : 1;
    return order;
}

static int compare_items(const void *x, const void *y)
{
    const struct compact_item *a = x;
    const struct compact_item *b = y;
    if (a->prefix != b->prefix)
        return a->prefix < b->prefix ? -1 : 1;
    return compare_from(a->key, b->key, 0);
}

static bool is_sorted(const struct compact_item *items, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (items[i].prefix < items[i - 1].prefix)
            return false;
    }
    return true;
}

/* Least significant byte first; bytes that are the same everywhere cost nothing. */
static void radix(struct compact_item *items, struct compact_item *scratch, size_t count)
{
    size_t(*histogram)[256] = mem_alloc(8 * sizeof(*histogram));
    for (size_t i = 0; i < count; i++) {
        for (int b = 0; b < 8; b++)
            histogram[b][items[i].prefix >> (8 * b) & 0xFF]++;
    }
    struct compact_item *from = items, *to = scratch;
    for (int b = 0; b < 8; b++) {
        size_t *h = histogram[b];
        if (h[items[0].prefix >> (8 * b) & 0xFF] == count)
            continue;
        size_t sum = 0;
        for (int v = 0; v < 256; v++) {
            size_t n = h[v];
            h[v] = sum;
            sum += n;
        }
        for (size_t i = 0; i < count; i++)
            to[h[from[i].prefix >> (8 * b) & 0xFF]++] = from[i];
        struct compact_item *swap = from;
        from = to;
        to = swap;
    }
    if (from != items)
        memcpy(items, from, count * sizeof(*items));
    free(histogram);
}

static void sort_level(struct compact_item *items, struct compact_item *scratch, size_t count,
                       uint32_t depth);

/* A run of equal chunks, to be ordered by what follows. */
static void sort_run(struct compact_item *items, struct compact_item *scratch, size_t count, uint32_t depth)
{
    bool any = false;
    for (size_t i = 0; count > SMALL && i < count; i++) {
        bool more;
        items[i].prefix = chunk_at(items[i].key, depth, &more);
        /* Another level only where it brings something: else the whole key decides. */
        any = any || items[i].prefix != items[0].prefix || more;
    }
    if (any)
        sort_level(items, scratch, count, depth);
    else
        qsort(items, count, sizeof(*items), compare_items);
}

static void sort_level(struct compact_item *items, struct compact_item *scratch, size_t count, uint32_t depth)
{
    if (!is_sorted(items, count))
        radix(items, scratch, count);
    for (size_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && items[end].prefix == items[i].prefix; end++)
            ;
        if (end - i > 1)
            sort_run(items + i, scratch, end - i, depth + 1);
    }
}

void compact_sort(struct compact_item *items, size_t count)
{
    bool more;
    for (size_t i = 0; i < count; i++)
        items[i].prefix = chunk_at(items[i].key, 0, &more);
    if (count <= SMALL) {
        qsort(items, count, sizeof(*items), compare_items);
        return;
    }
    struct compact_item *scratch = mem_grow(NULL, count, sizeof(*scratch));
    sort_level(items, scratch, count, 0);
    free(scratch);
}
