/* SPDX-License-Identifier: PostgreSQL */
#include "replicator/steward.h"

#include <assert.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "legacy/legacy_sink.h"
#include "pgsql/sql.h"

enum { LOOK_MS = 2000, REREAD_WISHES_MS = 5000 };

struct steward {
    struct steward_options o;
    pthread_t thread;
    int wake; /* eventfd */
    pthread_mutex_t mutex;
    bool stop;
    bool release;
    bool failed;
    struct error err;
    _Atomic unsigned wishes;

    /* its thread only */
    struct pg_conn target;
    struct legacy *legacy;
    struct legacy_retained retained;
    int64_t last_beat_ms;
    int64_t last_look_ms;
    int64_t last_wishes_ms;
    int64_t next_source_ms; /* when to try the source again */
};

static int timeout(const struct steward *self)
{
    int ttl = (int)self->o.lease.ttl_ms;
    return ttl < 4000 ? 1000 : ttl / 4;
}

static bool open_target(struct steward *self, struct error *err)
{
    int timeout_ms = timeout(self);
    struct pg_conn_options o = {.conninfo = self->o.config->target_conninfo,
                                .pipeline = self->o.config->pipeline,
                                .job = "steward",
                                .endpoint = "target",
                                .connect_timeout_ms = timeout_ms,
                                .statement_timeout_ms = timeout_ms};
    if (!pg_conn_open(&self->target, &o, err))
        return false;
    struct buffer sql = {0};
    char channel[64];
    snprintf(channel, sizeof(channel), "crossfade_%s", self->o.config->pipeline);
    buffer_puts(&sql, "LISTEN ");
    sql_ident(&sql, channel);
    bool ok = pg_exec(&self->target, buffer_text(&sql), err);
    buffer_free(&sql);
    self->wishes++;
    return ok;
}

static void fail(struct steward *self, const struct error *err)
{
    pthread_mutex_lock(&self->mutex);
    self->failed = true;
    self->err = *err;
    pthread_mutex_unlock(&self->mutex);
    self->o.changed(self->o.context);
}

/* One heartbeat, reconnecting when need be. False when it is over. */
static bool beat(struct steward *self)
{
    struct error err = {0};
    bool ok = self->target.pg || open_target(self, &err);
    ok = ok && lease_beat(&self->o.lease, &self->target, &err);
    self->o.stats->sink_ok = ok;
    if (ok) {
        self->last_beat_ms = clock_ms();
        return true;
    }
    pg_conn_close(&self->target);
    if (err.kind == ERROR_FENCED || err.kind == ERROR_FATAL ||
        clock_ms() - self->last_beat_ms > self->o.lease.ttl_ms) {
        error_prefix(&err, "the lease could not be renewed");
        fail(self, &err);
        return false;
    }
    return true;
}

static bool open_legacy(struct steward *self, struct error *err)
{
    int timeout_ms = timeout(self);
    struct legacy_options o = {.config = self->o.config,
                               .job = "steward",
                               .connect_timeout_ms = timeout_ms,
                               .statement_timeout_ms = timeout_ms};
    return config_is_reverse(self->o.config) ? legacy_back_open(&o, NULL, &self->legacy, err)
                                             : legacy_open(&o, &self->legacy, err);
}

static void note_source(struct steward *self)
{
    struct stats *stats = self->o.stats;
    stats_position_put(&stats->source_end, self->retained.end);
    stats->capture_lag_ms = self->retained.capture_lag_ms;
    stats->retained_wal_bytes = self->retained.bytes;
    stats->slot_limit_seconds = self->retained.limit_seconds;
}

/* For the figures only: that the source can't be asked is no failure here. */
static void look_at_source(struct steward *self, int64_t now)
{
    struct error err = {0};
    struct stats *stats = self->o.stats;
    if (!self->legacy) {
        if (now < self->next_source_ms)
            return;
        self->next_source_ms = now + 5000;
        if (!open_legacy(self, &err)) {
            stats->source_ok = false;
            return;
        }
    }
    self->retained.at = stats_position_get(&stats->confirmed);
    bool ok = self->legacy->ops->retained(self->legacy, &self->retained, &err);
    stats->source_ok = ok;
    if (ok) {
        note_source(self);
        return;
    }
    legacy_close(self->legacy);
    self->legacy = NULL;
}

/* Sleeps until something is to be done; takes notifications in. */
static void wait_for_work(struct steward *self, int64_t until_ms)
{
    struct pollfd p[2] = {{.fd = self->wake, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
    if (self->target.pg)
        p[1].fd = PQsocket(self->target.pg);
    int64_t left = until_ms - clock_ms();
    (void)poll(p, 2, left > 0 ? (int)left : 0);
    if (!self->target.pg)
        return;
    bool up = PQconsumeInput(self->target.pg) == 1;
    PGnotify *n;
    while (up && (n = PQnotifies(self->target.pg))) {
        PQfreemem(n);
        self->wishes++;
        self->o.changed(self->o.context);
    }
    if (!up) {
        /* An idle lane does not notice: it has nothing to say. */
        self->o.stats->sink_ok = false;
        pg_conn_close(&self->target);
    }
}

static bool stopping(struct steward *self)
{
    pthread_mutex_lock(&self->mutex);
    bool stop = self->stop;
    pthread_mutex_unlock(&self->mutex);
    return stop;
}

static void *steward_main(void *argument)
{
    struct steward *self = argument;
    int64_t interval = self->o.lease.ttl_ms / 4;
    int64_t next_beat = 0;
    self->last_beat_ms = clock_ms();
    while (!stopping(self)) {
        int64_t now = clock_ms();
        if (now >= next_beat) {
            if (!beat(self))
                break;
            /* Without a connection the next try comes sooner. */
            next_beat = now + (self->target.pg ? interval : interval / 4);
        }
        if (now - self->last_look_ms >= LOOK_MS) {
            look_at_source(self, now);
            self->last_look_ms = now;
            self->o.changed(self->o.context);
        }
        if (now - self->last_wishes_ms >= REREAD_WISHES_MS) {
            self->last_wishes_ms = now;
            self->wishes++;
        }
        int64_t next_look = self->last_look_ms + LOOK_MS;
        wait_for_work(self, next_beat < next_look ? next_beat : next_look);
    }
    struct error err = {0};
    if (self->release && self->target.pg)
        (void)!lease_release(&self->o.lease, &self->target, &err);
    pg_conn_close(&self->target);
    legacy_close(self->legacy);
    return NULL;
}

struct steward *steward_start(const struct steward_options *options)
{
    struct steward *self = mem_alloc(sizeof(*self));
    self->o = *options;
    self->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert(self->wake >= 0);
    pthread_mutex_init(&self->mutex, NULL);
    int rc = pthread_create(&self->thread, NULL, steward_main, self);
    assert(rc == 0);
    return self;
}

void steward_free(struct steward *self, bool release)
{
    if (!self)
        return;
    pthread_mutex_lock(&self->mutex);
    self->stop = true;
    self->release = release;
    pthread_mutex_unlock(&self->mutex);
    uint64_t one = 1;
    ssize_t n = write(self->wake, &one, sizeof(one));
    assert(n == sizeof(one));
    pthread_join(self->thread, NULL);
    close(self->wake);
    pthread_mutex_destroy(&self->mutex);
    free(self);
}

bool steward_ok(struct steward *self, struct error *err)
{
    pthread_mutex_lock(&self->mutex);
    bool ok = !self->failed;
    if (!ok)
        *err = self->err;
    pthread_mutex_unlock(&self->mutex);
    return ok;
}

unsigned steward_wishes(struct steward *self)
{
    return atomic_load(&self->wishes);
}
