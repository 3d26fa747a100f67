/* SPDX-License-Identifier: PostgreSQL
 *
 * How much there is to copy and how long that may take.
 */
#include "control/check_run.h"

#include <inttypes.h>
#include <stdio.h>

/* Bytes a second of one copy worker on common hardware, indexes not counted: the estimate's only assumption.
 */
enum { SLOW_RATE = 15 * 1024 * 1024, FAST_RATE = 60 * 1024 * 1024 };

static void duration(int64_t seconds, char *out, size_t size)
{
    if (seconds < 120)
        snprintf(out, size, "%" PRId64 " s", seconds < 1 ? 1 : seconds);
    else if (seconds < 7200)
        snprintf(out, size, "%" PRId64 " min", seconds / 60);
    else
        snprintf(out, size, "%" PRId64 " h", seconds / 3600);
}

int64_t check_copy_seconds(const struct check *self)
{
    int64_t bytes = 0, workers = self->config->backfill_workers > 0 ? self->config->backfill_workers : 1;
    int64_t rate = SLOW_RATE * workers, limit = self->config->backfill_rate_limit;
    for (uint32_t i = 0; i < self->pairing.tables.count; i++)
        bytes += self->pairing.tables.tables[i]->source_bytes > 0
                     ? self->pairing.tables.tables[i]->source_bytes
                     : 0;
    return bytes / (limit > 0 && limit < rate ? limit : rate);
}

void check_size(struct check *self)
{
    int64_t bytes = 0, rows = 0;
    bool unknown = false;
    char fast[32], slow[32];
    for (uint32_t i = 0; i < self->pairing.tables.count; i++) {
        const struct table *t = self->pairing.tables.tables[i];
        bytes += t->source_bytes;
        unknown |= t->source_rows < 0 && t->source_bytes > 0;
        rows += t->source_rows > 0 ? t->source_rows : 0;
    }
    int64_t workers = self->config->backfill_workers > 0 ? self->config->backfill_workers : 1;
    int64_t limit = self->config->backfill_rate_limit;
    int64_t high = FAST_RATE * workers, low = SLOW_RATE * workers;
    if (limit > 0) {
        high = limit < high ? limit : high;
        low = limit < low ? limit : low;
    }
    duration(bytes / high, fast, sizeof(fast));
    duration(bytes / low, slow, sizeof(slow));
    check_say(self, PAIR_OK, "size", self->config->pipeline, NULL,
              "%u tables, %" PRId64 " MB, about %" PRId64
              " rows%s: the copy takes between %s and %s by rule of thumb, and "
              "the indexes after it - %s, %d lane(s)",
              self->pairing.tables.count, bytes / (1024 * 1024), rows,
              unknown ? " (some tables were never analysed)" : "", fast, slow,
              self->pairing.binary ? "streamed in binary" : "streamed as text", self->pairing.lanes);
}
