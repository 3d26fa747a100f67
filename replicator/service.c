/* SPDX-License-Identifier: PostgreSQL */
#include "replicator/service.h"

#include <assert.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "replicator/http.h"
#include "replicator/notify.h"
#include "replicator/redis_mirror.h"
#include "replicator/report.h"
#include "replicator/runner.h"

enum {
    TICK_MS = 1000,
    MIRROR_MS = 200,     /* at most so often */
    STOP_LIMIT_MS = 4500 /* after that we go without draining: nothing is lost by it */
};

struct service {
    struct service_options o;
    struct event_base *base;
    struct stats *stats;
    struct runner *runner;
    struct http *http;
    struct redis_mirror *mirror;
    struct event *signals[3];
    struct event *tick;
    struct event *mirror_timer;
    struct event *wake_event;
    struct event *stop_limit;
    struct event *watchdog;
    int wake;
    _Atomic bool woken;
    bool stopping;
    int exit_status;
    int64_t last_tick_ms;
    uint64_t *last_rows; /* per table, for rates */
    uint32_t last_count;
};

/* Any thread. One write a turn of the loop is enough. */
static void wake(void *context)
{
    struct service *self = context;
    if (atomic_exchange(&self->woken, true))
        return;
    uint64_t one = 1;
    ssize_t n = write(self->wake, &one, sizeof(one));
    (void)n;
}

static struct timeval ms(int64_t value)
{
    return (struct timeval){.tv_sec = value / 1000, .tv_usec = value % 1000 * 1000};
}

static void on_wake(evutil_socket_t fd, short what, void *context)
{
    struct service *self = context;
    uint64_t count;
    (void)what;
    ssize_t n = read(fd, &count, sizeof(count));
    (void)n;
    atomic_store(&self->woken, false);
    if (runner_ended(self->runner, &self->exit_status)) {
        event_base_loopbreak(self->base);
        return;
    }
    if (!evtimer_pending(self->mirror_timer, NULL)) {
        struct timeval tv = ms(MIRROR_MS);
        evtimer_add(self->mirror_timer, &tv);
    }
}

static void on_mirror(evutil_socket_t fd, short what, void *context)
{
    struct service *self = context;
    (void)fd;
    (void)what;
    redis_mirror_update(self->mirror);
}

static uint64_t rows_done(const struct stats_table *t)
{
    return t->rows_copied + t->inserted + t->updated + t->deleted;
}

/* Rows a second, smoothed over a few seconds. */
static void update_rates(struct service *self)
{
    int64_t now = clock_ms();
    int64_t passed = now - self->last_tick_ms;
    self->last_tick_ms = now;
    stats_lock(self->stats);
    if (self->last_count != self->stats->table_count) {
        self->last_count = self->stats->table_count;
        self->last_rows = mem_grow(self->last_rows, self->last_count, sizeof(*self->last_rows));
        for (uint32_t i = 0; i < self->last_count; i++)
            self->last_rows[i] = rows_done(&self->stats->tables[i]);
    }
    for (uint32_t i = 0; i < self->last_count && passed > 0; i++) {
        struct stats_table *t = &self->stats->tables[i];
        uint64_t rows = rows_done(t);
        int64_t rate = rows >= self->last_rows[i] ? (int64_t)(rows - self->last_rows[i]) * 1000 / passed : 0;
        t->rate_rows_s = (t->rate_rows_s * 2 + rate) / 3;
        self->last_rows[i] = rows;
    }
    stats_unlock(self->stats);
}

static void tell_status(struct service *self)
{
    struct stats *s = self->stats;
    struct report_lag lag = report_lag(s);
    char text[200];
    snprintf(text, sizeof(text), "%s: %s%s, lag %llu bytes, %lld ms",
             stats_role_name((enum stats_role)s->role), s->paused ? "paused, " : "",
             stats_phase_name((enum stats_phase)s->phase), (unsigned long long)lag.bytes, (long long)lag.ms);
    notify_status(text);
}

static void on_tick(evutil_socket_t fd, short what, void *context)
{
    struct service *self = context;
    (void)fd;
    (void)what;
    update_rates(self);
    tell_status(self);
    redis_mirror_update(self->mirror);
}

static void on_watchdog(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    (void)context;
    notify_alive();
}

static void on_stop_limit(evutil_socket_t fd, short what, void *context)
{
    struct service *self = context;
    (void)fd;
    (void)what;
    log_warning(self->o.log,
                "draining takes too long: ending without it, the next start goes on from the last commit");
    _exit(0);
}

static void on_hard_limit(int number)
{
    (void)number;
    _exit(0);
}

/* Ends the process also where this thread itself is held up: a frozen server answers not even a request to
 * cancel. */
static void set_hard_limit(void)
{
    struct sigaction action = {.sa_handler = on_hard_limit};
    struct itimerval limit = {.it_value = ms(STOP_LIMIT_MS + 200)};
    (void)sigaction(SIGALRM, &action, NULL);
    (void)setitimer(ITIMER_REAL, &limit, NULL);
}

static void on_stop(evutil_socket_t fd, short what, void *context)
{
    struct service *self = context;
    struct timeval tv = ms(STOP_LIMIT_MS);
    (void)what;
    if (self->stopping)
        return;
    self->stopping = true;
    log_info(self->o.log, "%s: draining", fd == SIGTERM ? "SIGTERM" : "SIGINT");
    notify_stopping();
    evtimer_add(self->stop_limit, &tv);
    set_hard_limit();
    runner_stop(self->runner);
}

static void log_lines(struct service *self, enum log_level level, const char *before, struct buffer *lines)
{
    char *save = NULL;
    char *text = buffer_detach(lines);
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        log_write(self->o.log, level, NULL, "%s%s", before, line);
    free(text);
}

static void on_reload(evutil_socket_t fd, short what, void *context)
{
    struct service *self = context;
    struct config *fresh = NULL;
    struct buffer problems = {0};
    struct buffer changed = {0};
    struct buffer ignored = {0};
    struct error err = {0};
    (void)fd;
    (void)what;
    notify_reloading();
    if (config_read(self->o.config->path, &fresh, &problems, &err)) {
        config_diff(self->o.config, fresh, &changed, &ignored);
        runner_set_rate_limit(self->runner, fresh->backfill_rate_limit);
        log_set_level(self->o.log, fresh->log_level);
        log_info(self->o.log, "SIGHUP: configuration read again%s",
                 changed.length ? "" : ", nothing to change");
        log_lines(self, LOG_LEVEL_INFO, "reloaded: ", &changed);
        log_lines(self, LOG_LEVEL_WARNING, "needs a restart: ", &ignored);
        config_free(fresh);
    } else {
        log_write(self->o.log, LOG_LEVEL_ERROR, NULL,
                  "SIGHUP: the configuration is not valid, the old one stays");
        log_lines(self, LOG_LEVEL_ERROR, "", &problems);
    }
    buffer_free(&problems);
    notify_ready();
}

static void add_signal(struct service *self, int index, int number, event_callback_fn handler)
{
    self->signals[index] = evsignal_new(self->base, number, handler, self);
    event_add(self->signals[index], NULL);
}

static void start_events(struct service *self)
{
    struct timeval second = ms(TICK_MS);
    self->base = event_base_new();
    assert(self->base);
    self->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert(self->wake >= 0);
    self->wake_event = event_new(self->base, self->wake, EV_READ | EV_PERSIST, on_wake, self);
    event_add(self->wake_event, NULL);
    self->tick = event_new(self->base, -1, EV_PERSIST, on_tick, self);
    event_add(self->tick, &second);
    self->mirror_timer = evtimer_new(self->base, on_mirror, self);
    self->stop_limit = evtimer_new(self->base, on_stop_limit, self);
    add_signal(self, 0, SIGTERM, on_stop);
    add_signal(self, 1, SIGINT, on_stop);
    add_signal(self, 2, SIGHUP, on_reload);
    int64_t interval = notify_interval_ms();
    if (interval > 0) {
        struct timeval tv = ms(interval);
        self->watchdog = event_new(self->base, -1, EV_PERSIST, on_watchdog, self);
        event_add(self->watchdog, &tv);
    }
}

static void start_parts(struct service *self)
{
    struct error err = {0};
    const struct config *c = self->o.config;
    struct http_options h = {.base = self->base, .config = c, .stats = self->stats};
    struct redis_mirror_options m = {
        .base = self->base, .config = c, .log = self->o.log, .stats = self->stats};
    struct runner_options r = {.config = c,
                               .log = self->o.log,
                               .stats = self->stats,
                               .until_caught_up = self->o.until_caught_up,
                               .changed = wake,
                               .context = self};
    if (c->http_listen && !http_start(&h, &self->http, &err))
        log_warning(self->o.log, "%s", err.text);
    self->mirror = redis_mirror_start(&m);
    self->last_tick_ms = clock_ms();
    self->runner = runner_start(&r);
}

static void end(struct service *self)
{
    runner_free(self->runner);
    redis_mirror_free(self->mirror);
    http_free(self->http);
    for (int i = 0; i < 3; i++)
        event_free(self->signals[i]);
    event_free(self->tick);
    event_free(self->mirror_timer);
    event_free(self->stop_limit);
    event_free(self->wake_event);
    if (self->watchdog)
        event_free(self->watchdog);
    event_base_free(self->base);
    close(self->wake);
    stats_free(self->stats);
    free(self->last_rows);
}

int service_run(const struct service_options *options)
{
    struct service *self = mem_alloc(sizeof(*self));
    self->o = *options;
    self->stats = stats_new(options->config->pipeline);
    self->stats->reverse = config_is_reverse(options->config);
    signal(SIGPIPE, SIG_IGN);
    start_events(self);
    start_parts(self);
    notify_ready();
    event_base_dispatch(self->base);
    int status = self->exit_status;
    end(self);
    free(self);
    return status;
}
