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
#include "pgsql/conn.h"
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
    struct pg_conn source;
    int64_t last_beat_ms;
    int64_t last_look_ms;
    int64_t last_wishes_ms;
    int64_t next_source_ms; /* when to try the source again */
    uint64_t last_end;
    double wal_rate; /* bytes/s, smoothed */
};

static struct pg_conn_options conn_options(const struct steward *self, bool source)
{
    const struct config *c = self->o.config;
    int ttl = (int)self->o.lease.ttl_ms;
    return (struct pg_conn_options){.conninfo = source ? c->legacy_conninfo : c->target_conninfo,
                                    .pipeline = c->pipeline,
                                    .job = "steward",
                                    .endpoint = source ? "legacy" : "target",
                                    .connect_timeout_ms = ttl < 4000 ? 1000 : ttl / 4,
                                    .statement_timeout_ms = ttl < 4000 ? 1000 : ttl / 4};
}

static bool open_target(struct steward *self, struct error *err)
{
    struct pg_conn_options o = conn_options(self, false);
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

static const char *const look_sql =
    "SELECT pg_catalog.pg_wal_lsn_diff(w.lsn, '0/0')::pg_catalog.int8,"
    "       pg_catalog.pg_wal_lsn_diff(w.lsn, s.restart_lsn)::pg_catalog.int8,"
    "       %s"
    "  FROM (SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()"
    "               ELSE pg_catalog.pg_current_wal_lsn() END AS lsn) w"
    "  LEFT JOIN pg_catalog.pg_replication_slots s ON s.slot_name = $1";

static void note_source(struct steward *self, const PGresult *r, int64_t now)
{
    struct stats *stats = self->o.stats;
    uint64_t end = strtoull(PQgetvalue(r, 0, 0), NULL, 10);
    stats->source_end = end;
    stats->retained_wal_bytes = strtoll(PQgetvalue(r, 0, 1), NULL, 10);
    if (self->last_end && now > self->last_look_ms) {
        double rate = (double)(end - self->last_end) * 1000 / (double)(now - self->last_look_ms);
        self->wal_rate = self->wal_rate * 0.8 + rate * 0.2;
    }
    self->last_end = end;
    if (PQgetisnull(r, 0, 2) || self->wal_rate < 1)
        stats->slot_limit_seconds = -1;
    else
        stats->slot_limit_seconds =
            (int64_t)((double)strtoll(PQgetvalue(r, 0, 2), NULL, 10) / self->wal_rate);
}

/* For the figures only: that the source can't be asked is no failure here. */
static void look_at_source(struct steward *self, int64_t now)
{
    struct error err = {0};
    struct stats *stats = self->o.stats;
    if (!self->source.pg) {
        struct pg_conn_options o = conn_options(self, true);
        if (now < self->next_source_ms)
            return;
        self->next_source_ms = now + 5000;
        if (!pg_conn_open(&self->source, &o, &err)) {
            stats->source_ok = false;
            return;
        }
    }
    char sql[1024];
    const char *slot = self->o.config->legacy_slot;
    snprintf(sql, sizeof(sql), look_sql, self->source.version >= 130000 ? "s.safe_wal_size" : "NULL");
    PGresult *r = pg_query(&self->source, sql, 1, &slot, &err);
    stats->source_ok = r != NULL;
    if (r && PQntuples(r) == 1)
        note_source(self, r, now);
    if (!r)
        pg_conn_close(&self->source);
    PQclear(r);
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
    pg_conn_close(&self->source);
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
