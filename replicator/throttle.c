/* SPDX-License-Identifier: PostgreSQL */
#include "replicator/throttle.h"

#include <time.h>

#include "base/clock.h"

enum { LOOK_MS = 50 };

/* What may pass at once after a pause: a tenth of a second's worth. */
static const double BURST_SECONDS = 0.1;

void throttle_init(struct throttle *self, _Atomic int64_t *limit)
{
    *self = (struct throttle){.limit = limit, .filled_us = clock_us()};
    pthread_mutex_init(&self->mutex, NULL);
}

void throttle_destroy(struct throttle *self)
{
    pthread_mutex_destroy(&self->mutex);
}

/* Fills up, takes, and says for how long the bucket stays below empty. */
static int64_t draw(struct throttle *self, double bytes)
{
    int64_t limit = self->limit ? atomic_load(self->limit) : 0;
    int64_t wait_us = 0;
    pthread_mutex_lock(&self->mutex);
    int64_t now = clock_us();
    if (limit <= 0) {
        self->tokens = 0;
    } else {
        double rate = (double)limit;
        self->tokens += (double)(now - self->filled_us) / 1e6 * rate;
        if (self->tokens > rate * BURST_SECONDS)
            self->tokens = rate * BURST_SECONDS;
        self->tokens -= bytes;
        if (self->tokens < 0)
            wait_us = (int64_t)(-self->tokens / rate * 1e6) + 1;
    }
    self->filled_us = now;
    pthread_mutex_unlock(&self->mutex);
    return wait_us;
}

bool throttle_take(struct throttle *self, size_t bytes, bool (*stopping)(const void *context),
                   const void *context)
{
    int64_t wait_us = draw(self, (double)bytes);
    while (wait_us > 0) {
        if (stopping(context))
            return false;
        if (wait_us > LOOK_MS * 1000)
            wait_us = LOOK_MS * 1000;
        struct timespec t = {.tv_sec = 0, .tv_nsec = (long)wait_us * 1000L};
        nanosleep(&t, NULL);
        wait_us = draw(self, 0);
    }
    return !stopping(context);
}
