/* SPDX-License-Identifier: PostgreSQL
 *
 * Sub-transactions need no care: the snapshot lists top-level ids only, and so does the stream's Begin.
 */
#include "pgsql/snapshot.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* One id and what follows it; moves *at behind `stop`. */
static bool read_id(const char **at, uint64_t *out)
{
    char *end;

    if (**at < '0' || **at > '9')
        return false;
    errno = 0;
    *out = strtoull(*at, &end, 10);
    if (errno != 0)
        return false;
    *at = end;
    return true;
}

static bool read_char(const char **at, char c)
{
    if (**at != c)
        return false;
    (*at)++;
    return true;
}

static bool read_list(const char **at, struct snapshot *out)
{
    size_t capacity = 1;

    for (const char *p = *at; *p; p++)
        capacity += *p == ',';
    out->xip = mem_grow(NULL, capacity, sizeof(uint64_t));
    while (**at) {
        uint64_t id;
        if ((out->count > 0 && !read_char(at, ',')) || !read_id(at, &id))
            return false;
        if (id < out->xmin || id >= out->xmax || (out->count > 0 && id <= out->xip[out->count - 1]))
            return false;
        assert(out->count < capacity);
        out->xip[out->count++] = id;
    }
    return true;
}

bool snapshot_parse(const char *text, struct snapshot *out)
{
    const char *at = text;

    *out = (struct snapshot){0};
    if (read_id(&at, &out->xmin) && read_char(&at, ':') && read_id(&at, &out->xmax) && read_char(&at, ':') &&
        out->xmin > 0 && out->xmin <= out->xmax && read_list(&at, out))
        return true;
    snapshot_free(out);
    return false;
}

void snapshot_free(struct snapshot *self)
{
    free(self->xip);
    *self = (struct snapshot){0};
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

bool snapshot_sees(const struct snapshot *self, uint32_t xid)
{
    /* The 64-bit id nearest to xmax that ends in these 32 bits. */
    int32_t distance = (int32_t)(xid - (uint32_t)self->xmax);

    if (distance >= 0)
        return false;
    uint64_t back = (uint64_t)(-(int64_t)distance);
    if (back > self->xmax)
        return false; /* before the first transaction: can't be */
    uint64_t full = self->xmax - back;
    if (full < self->xmin)
        return true;
    return self->count == 0 || !bsearch(&full, self->xip, self->count, sizeof(full), compare_ids);
}
