/* SPDX-License-Identifier: PostgreSQL */
#include "replicator/runner.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "legacy/legacy.h"
#include "replicator/deadline.h"
#include "replicator/machine.h"
#include "replicator/session.h"
#include "state/lease.h"
#include "state/schema.h"

enum { BACKOFF_FIRST_MS = 200, BACKOFF_MAX_MS = 15000, STANDBY_POLL_MS = 250, GOOD_RUN_MS = 5000 };

struct runner {
    struct runner_options o;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool stop;
    bool ended;
    _Atomic int exit_status;
    struct session *session; /* mutex: for cancelling only */

    _Atomic int64_t rate_limit;
    _Atomic bool cancel;

    /* its thread only */
    enum stats_phase phase;
    struct pg_conn target;
    struct lease lease;
    struct error err;
    int64_t backoff_ms;
    int64_t failing_since_ms;
    int64_t told_epoch;
    char last_told[sizeof(((struct error *)NULL)->text)];
};

static bool stopping(struct runner *self)
{
    pthread_mutex_lock(&self->mutex);
    bool stop = self->stop;
    pthread_mutex_unlock(&self->mutex);
    return stop;
}

/* Sleeps, unless the end is wanted. */
static void pause_ms(struct runner *self, int64_t ms)
{
    int64_t until = clock_ms() + ms;
    pthread_mutex_lock(&self->mutex);
    while (!self->stop && clock_ms() < until)
        deadline_wait(&self->cond, &self->mutex, until);
    pthread_mutex_unlock(&self->mutex);
}

static void set_session(struct runner *self, struct session *session)
{
    pthread_mutex_lock(&self->mutex);
    self->session = session;
    pthread_mutex_unlock(&self->mutex);
}

/* What self->err means for the machine. One place logs it, once while it stays the same. */
static enum machine_event failed(struct runner *self)
{
    const struct error *err = &self->err;
    if (stopping(self) || err->kind == ERROR_CANCELED)
        return stopping(self) ? EVENT_END : EVENT_LOST;
    stats_error(self->o.stats, err);
    if (strcmp(err->text, self->last_told) != 0) {
        log_write(self->o.log, err->kind == ERROR_FATAL ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING, NULL, "%s",
                  err->text);
        memcpy(self->last_told, err->text, sizeof(self->last_told));
    }
    if (err->kind == ERROR_FATAL)
        return EVENT_UNSAFE;
    return err->kind == ERROR_FENCED ? EVENT_FENCED : EVENT_LOST;
}

static enum machine_event phase_connect(struct runner *self)
{
    const struct config *c = self->o.config;
    struct pg_conn_options o = {.conninfo = c->target_conninfo,
                                .pipeline = c->pipeline,
                                .job = "standby",
                                .endpoint = "target",
                                .connect_timeout_ms = (int)c->connect_timeout_ms};
    pg_conn_close(&self->target);
    if (!pg_conn_open(&self->target, &o, &self->err))
        return failed(self);
    if (!schema_install(&self->target, &self->err))
        return failed(self);
    return EVENT_OK;
}

static bool open_legacy(struct runner *self, struct legacy **legacy)
{
    const struct config *c = self->o.config;
    struct legacy_options o = {
        .config = c, .job = "standby", .connect_timeout_ms = (int)c->connect_timeout_ms};
    return legacy_open(&o, legacy, &self->err);
}

/* A one-shot run does not stand by for ever. Only after lease_ttl it is known that the other process lives.
 */
static enum machine_event give_up_lease(struct runner *self)
{
    log_error(
        self->o.log,
        "another process runs this pipeline and keeps its lease - see crossfade status, or wait for that "
        "one");
    self->exit_status = 3;
    return EVENT_END;
}

/* Waits until the lease is free to take. */
static enum machine_event wait_for_lease(struct runner *self)
{
    const struct config *c = self->o.config;
    bool vacant = false;
    int64_t patience =
        c->connect_timeout_ms > c->lease_ttl_ms ? c->connect_timeout_ms : c->lease_ttl_ms + STANDBY_POLL_MS;
    int64_t deadline = clock_ms() + patience;
    for (;;) {
        if (!lease_look(&self->lease, &self->target, &vacant, &self->err))
            return failed(self);
        if (vacant)
            return EVENT_OK;
        if (self->o.until_caught_up && clock_ms() >= deadline)
            return give_up_lease(self);
        if (self->o.stats->role != STATS_STANDBY)
            log_info(self->o.log, "another process runs this pipeline: standing by");
        self->o.stats->role = STATS_STANDBY;
        self->o.changed(self->o.context);
        pause_ms(self, STANDBY_POLL_MS);
        if (stopping(self))
            return EVENT_END;
    }
}

/* Takes the lease, once the source is known to be there: of two processes that can't reach it none should
 * take over from the other. What a stopped predecessor still holds on the source is ended (hazard 40). */
static enum machine_event phase_standby(struct runner *self)
{
    bool changed_hands = false;
    struct legacy *legacy;
    enum machine_event event = wait_for_lease(self);
    if (event != EVENT_OK)
        return event;
    if (!open_legacy(self, &legacy))
        return failed(self);
    bool ok = lease_try(&self->lease, &self->target, &changed_hands, &self->err);
    bool held = ok && self->lease.epoch > 0;
    ok = ok && (!held || legacy->ops->evict(legacy, &self->err));
    legacy_close(legacy);
    if (!ok)
        return failed(self);
    if (!held)
        return EVENT_AGAIN;
    self->o.stats->epoch = self->lease.epoch;
    self->o.stats->role = STATS_ACTIVE;
    bool news = changed_hands || self->told_epoch != self->lease.epoch;
    self->told_epoch = self->lease.epoch;
    log_write(self->o.log, news ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG, NULL, "%s pipeline %s under epoch %lld",
              changed_hands ? "taking over" : "running", self->o.config->pipeline,
              (long long)self->lease.epoch);
    return EVENT_OK;
}

static void end_session(struct runner *self, bool drain, bool release)
{
    struct session *session = self->session;
    set_session(self, NULL);
    session_close(session, drain, release);
}

static bool begin_session(struct runner *self)
{
    struct session *session = NULL;
    atomic_store(&self->cancel, false);
    struct session_options o = {.config = self->o.config,
                                .log = self->o.log,
                                .stats = self->o.stats,
                                .lease = self->lease,
                                .rate_limit = &self->rate_limit,
                                .cancel = &self->cancel,
                                .changed = self->o.changed,
                                .context = self->o.context};
    bool ok = session_open(&o, &session, &self->err);
    set_session(self, session);
    if (stopping(self))
        atomic_store(&self->cancel, true);
    return ok;
}

static enum machine_event phase_prepare(struct runner *self)
{
    if (!self->session && !begin_session(self))
        return failed(self);
    if (!session_prepare(self->session, &self->err))
        return failed(self);
    self->failing_since_ms = 0;
    if (!session_paused(self->session))
        return EVENT_OK;
    if (self->o.until_caught_up) {
        log_warning(self->o.log, "the pipeline is paused: it will not catch up - see crossfade resume");
        self->exit_status = 1;
        return EVENT_END;
    }
    enum session_next next = session_idle(self->session, &self->err);
    return next == SESSION_FAILED ? failed(self) : EVENT_AGAIN;
}

static enum machine_event next_event(struct runner *self, enum session_next next)
{
    switch (next) {
    case SESSION_ON:
        return EVENT_OK;
    case SESSION_AGAIN:
        return EVENT_AGAIN;
    case SESSION_DONE:
        self->exit_status = session_any_stopped(self->session) ? 1 : 0;
        return EVENT_END;
    case SESSION_FAILED:
        break;
    }
    return failed(self);
}

static enum machine_event phase_streaming(struct runner *self)
{
    int64_t began = clock_ms();
    self->last_told[0] = '\0';
    enum session_next next = session_follow(self->session, self->o.until_caught_up, &self->err);
    if (clock_ms() - began > GOOD_RUN_MS)
        self->backoff_ms = 0;
    return next_event(self, next);
}

/* Capped exponential back-off with jitter. A one-shot run gives up after connect_timeout. */
static enum machine_event phase_backoff(struct runner *self)
{
    int64_t now = clock_ms();
    if (!self->failing_since_ms)
        self->failing_since_ms = now;
    if (self->o.until_caught_up && (self->err.kind == ERROR_REFUSED || self->err.kind == ERROR_CONFIG ||
                                    now - self->failing_since_ms >= self->o.config->connect_timeout_ms)) {
        self->exit_status = error_exit_status(self->err.kind);
        return EVENT_END;
    }
    self->backoff_ms = self->backoff_ms ? self->backoff_ms * 2 : BACKOFF_FIRST_MS;
    if (self->backoff_ms > BACKOFF_MAX_MS)
        self->backoff_ms = BACKOFF_MAX_MS;
    unsigned seed = (unsigned)clock_us();
    pause_ms(self, self->backoff_ms / 2 + rand_r(&seed) % (self->backoff_ms / 2 + 1));
    return stopping(self) ? EVENT_END : EVENT_OK;
}

static enum machine_event run_phase(struct runner *self)
{
    switch (self->phase) {
    case PHASE_CONNECT:
        return phase_connect(self);
    case PHASE_STANDBY:
        return phase_standby(self);
    case PHASE_PREPARE:
        return phase_prepare(self);
    case PHASE_BACKFILL:
        return next_event(self, session_backfill(self->session, &self->err));
    case PHASE_CATCHUP:
        return next_event(self, session_catch_up(self->session, &self->err));
    case PHASE_FINISH:
        return next_event(self, session_finish(self->session, &self->err));
    case PHASE_STREAMING:
        return phase_streaming(self);
    case PHASE_BACKOFF:
        return phase_backoff(self);
    case PHASE_STOPPED:
        break;
    }
    return EVENT_END;
}

/* The one function that moves. Leaving the active phases ends the session: `drain` only where nothing is
 * wrong. */
static void move(struct runner *self, enum machine_event event)
{
    const struct machine_transition *t = machine_next(self->phase, event);
    assert(t != NULL);
    if (event >= EVENT_LOST && self->session)
        end_session(self, event == EVENT_END, event == EVENT_END || event == EVENT_UNSAFE);
    if (event == EVENT_UNSAFE)
        self->exit_status = 4;
    if (event == EVENT_FENCED)
        pause_ms(self, STANDBY_POLL_MS);
    log_debug(self->o.log, "%s -> %s: %s", stats_phase_name(self->phase), stats_phase_name(t->to), t->why);
    self->phase = t->to;
    self->o.stats->phase = t->to;
    self->o.changed(self->o.context);
}

static void *runner_main(void *argument)
{
    struct runner *self = argument;
    while (self->phase != PHASE_STOPPED)
        move(self, stopping(self) ? EVENT_END : run_phase(self));
    pg_conn_close(&self->target);
    pthread_mutex_lock(&self->mutex);
    self->ended = true;
    pthread_mutex_unlock(&self->mutex);
    self->o.changed(self->o.context);
    return NULL;
}

struct runner *runner_start(const struct runner_options *options)
{
    struct runner *self = mem_alloc(sizeof(*self));
    self->o = *options;
    self->phase = PHASE_CONNECT;
    lease_init(&self->lease, options->config->pipeline, options->config->lease_ttl_ms);
    atomic_store(&self->rate_limit, options->config->backfill_rate_limit);
    pthread_mutex_init(&self->mutex, NULL);
    deadline_cond_init(&self->cond);
    int rc = pthread_create(&self->thread, NULL, runner_main, self);
    assert(rc == 0);
    return self;
}

void runner_stop(struct runner *self)
{
    pthread_mutex_lock(&self->mutex);
    self->stop = true;
    pthread_cond_broadcast(&self->cond);
    if (self->session)
        session_cancel(self->session);
    pthread_mutex_unlock(&self->mutex);
}

bool runner_ended(struct runner *self, int *exit_status)
{
    pthread_mutex_lock(&self->mutex);
    bool ended = self->ended;
    *exit_status = self->exit_status;
    pthread_mutex_unlock(&self->mutex);
    return ended;
}

void runner_free(struct runner *self)
{
    if (!self)
        return;
    pthread_join(self->thread, NULL);
    pthread_cond_destroy(&self->cond);
    pthread_mutex_destroy(&self->mutex);
    free(self);
}

void runner_set_rate_limit(struct runner *self, int64_t bytes_per_s)
{
    atomic_store(&self->rate_limit, bytes_per_s);
}
