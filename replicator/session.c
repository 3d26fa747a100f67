/* SPDX-License-Identifier: PostgreSQL */
#include "replicator/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "replicator/backfill.h"
#include "replicator/deadline.h"
#include "replicator/indexes.h"
#include "replicator/session_internal.h"

enum { LATER_MS = 100, WAIT_MS = 500 };

void session_wake(void *context)
{
    struct session *self = context;
    pthread_mutex_lock(&self->wake_mutex);
    self->woken = true;
    pthread_cond_signal(&self->wake_cond);
    pthread_mutex_unlock(&self->wake_mutex);
    self->o.changed(self->o.context);
}

/* A failed part ends long work of the runner's thread too. */
static void part_changed(void *context)
{
    struct session *self = context;
    struct error err;
    if (self->steward && !steward_ok(self->steward, &err))
        atomic_store(self->o.cancel, true);
    session_wake(self);
}

static bool parts_ok(struct session *self, struct error *err)
{
    if (!steward_ok(self->steward, err))
        return false;
    if (self->stream && stream_look(self->stream).failed) {
        stream_error(self->stream, err);
        return false;
    }
    if (atomic_load(self->o.cancel))
        return error_set(err, ERROR_CANCELED, "stopped");
    return true;
}

bool session_wait(struct session *self, int ms, struct error *err)
{
    pthread_mutex_lock(&self->wake_mutex);
    if (!self->woken)
        deadline_wait(&self->wake_cond, &self->wake_mutex, clock_ms() + ms);
    self->woken = false;
    pthread_mutex_unlock(&self->wake_mutex);
    return parts_ok(self, err);
}

static bool connect_legacy(struct session *self, struct error *err)
{
    const struct config *c = self->o.config;
    struct legacy_options o = {
        .config = c, .job = "runner", .connect_timeout_ms = (int)c->connect_timeout_ms};
    self->waits = &legacy_sink_target;
    if (!config_is_reverse(c))
        return legacy_open(&o, &self->legacy, err);
    if (!legacy_sink_open(&o, &self->sink, err))
        return false;
    self->waits = self->sink->ops->waits;
    o.job = "source";
    return legacy_back_open(&o, self->sink, &self->legacy, err);
}

static bool connect_target(struct session *self, const char *job, struct pg_conn *out, struct error *err)
{
    const struct config *c = self->o.config;
    struct pg_conn_options o = {.conninfo = c->target_conninfo,
                                .pipeline = c->pipeline,
                                .job = job,
                                .endpoint = "target",
                                .connect_timeout_ms = (int)c->connect_timeout_ms};
    return pg_conn_open(out, &o, err);
}

static void init_sync(struct session *self)
{
    pthread_mutex_init(&self->wake_mutex, NULL);
    pthread_mutex_init(&self->report_mutex, NULL);
    deadline_cond_init(&self->wake_cond);
}

bool session_open(const struct session_options *options, struct session **out, struct error *err)
{
    struct session *self = mem_alloc(sizeof(*self));
    self->o = *options;
    init_sync(self);
    *out = self;
    struct steward_options s = {.config = options->config,
                                .log = options->log,
                                .stats = options->stats,
                                .lease = options->lease,
                                .changed = part_changed,
                                .context = self};
    self->steward = steward_start(&s);
    if (!connect_legacy(self, err) || !connect_target(self, "runner", &self->target, err) ||
        !connect_target(self, "report", &self->report, err))
        return false;
    self->prepare = (struct prepare){.legacy = self->legacy,
                                     .sink = self->sink,
                                     .stream = self->sink ? "reverse" : "forward",
                                     .notes = {.config = options->config,
                                               .log = options->log,
                                               .target = &self->target,
                                               .epoch = options->lease.epoch,
                                               .cancel = options->cancel}};
    return true;
}

void session_close(struct session *self, bool drain, bool release)
{
    if (!self)
        return;
    session_stream_stop(self, drain);
    steward_free(self->steward, release);
    legacy_close(self->legacy);
    legacy_sink_close(self->sink);
    pg_conn_close(&self->target);
    pg_conn_close(&self->report);
    wish_list_free(&self->wishes);
    preparation_free(&self->p);
    pthread_cond_destroy(&self->wake_cond);
    pthread_mutex_destroy(&self->wake_mutex);
    pthread_mutex_destroy(&self->report_mutex);
    free(self);
}

void session_cancel(struct session *self)
{
    atomic_store(self->o.cancel, true);
    if (self->legacy)
        self->legacy->ops->cancel(self->legacy);
    if (self->sink)
        self->sink->ops->cancel(self->sink);
    pg_conn_cancel(&self->target);
    session_wake(self);
}

void session_publish_waiting(struct session *self)
{
    for (uint32_t i = 0; i < self->p.tables.count; i++) {
        self->o.stats->tables[i].parked = (uint64_t)self->p.parked[i];
        self->o.stats->tables[i].quarantined = (uint64_t)self->p.quarantined[i];
    }
}

static void publish(struct session *self)
{
    stats_publish_tables(self->o.stats, &self->p.tables);
    for (uint32_t i = 0; i < self->p.tables.count; i++) {
        const struct table *t = self->p.tables.tables[i];
        stats_reason(self->o.stats, i, t->state, self->p.reasons[i] ? self->p.reasons[i] : "");
    }
    session_publish_waiting(self);
}

static bool read_goal(struct session *self, struct error *err)
{
    return self->legacy->ops->end(self->legacy, &self->prepare.notes, &self->goal, err);
}

bool session_prepare(struct session *self, struct error *err)
{
    const struct legacy_session_ops *legacy = self->legacy->session;
    const struct legacy_notes *notes = &self->prepare.notes;
    bool first;
    session_stream_stop(self, true);
    preparation_free(&self->p);
    /* The history before all else: in another database everything that follows would mislead. */
    if ((self->sink && !self->sink->ops->prepare(self->sink, notes, err)) ||
        !legacy->history(self->legacy, notes, &first, err) ||
        !prepare_tables(&self->prepare, first, &self->p, err) ||
        !legacy->capture(self->legacy, notes, &self->p.tables, first, err) ||
        !prepare_states(&self->prepare, &self->p, err) ||
        (self->sink && !prepare_equal(&self->prepare, &self->p, err)) ||
        !prepare_lanes(&self->prepare, &self->p, err))
        return false;
    if (!session_wishes_read(self, err) || !session_wishes_apply(self, err) ||
        !legacy->writers(self->legacy, notes, &self->p.tables, err))
        return false;
    publish(self);
    return self->goal.kind != POSITION_NONE || read_goal(self, err);
}

bool session_paused(const struct session *self)
{
    return self->paused;
}

bool session_any_stopped(const struct session *self)
{
    for (uint32_t i = 0; i < self->p.tables.count; i++) {
        enum table_state s = self->p.tables.tables[i]->state;
        if (s == TABLE_STOPPED || s == TABLE_DRIFT || s == TABLE_PAUSED)
            return true;
    }
    return false;
}

static enum session_next check_wishes(struct session *self, struct error *err)
{
    unsigned now = steward_wishes(self->steward);
    if (now == self->wishes_seen)
        return SESSION_ON;
    self->wishes_seen = now;
    if (!session_wishes_read(self, err))
        return SESSION_FAILED;
    return session_wishes_differ(self) ? SESSION_AGAIN : SESSION_ON;
}

/* The tables to copy; *others: is anything there that streams already? Tables whose copy is done, or that are
 * parked, can wait as the source's WAL does. */
static struct table **to_copy(struct session *self, uint32_t *count, bool *others)
{
    struct table **list = mem_alloc(self->p.tables.count * sizeof(struct table *));
    *count = 0;
    *others = false;
    for (uint32_t i = 0; i < self->p.tables.count; i++) {
        struct table *t = self->p.tables.tables[i];
        if (t->state == TABLE_STREAMING)
            *others = true;
        else if (t->state == TABLE_INIT || t->state == TABLE_BACKFILL)
            list[(*count)++] = t;
    }
    return list;
}

static bool copy_tables(struct session *self, struct table **list, uint32_t count, struct error *err)
{
    const struct config *c = self->o.config;
    int64_t epoch = self->o.lease.epoch;
    struct backfill_options o = {.config = c,
                                 .log = self->o.log,
                                 .stats = self->o.stats,
                                 .epoch = epoch,
                                 .tables = list,
                                 .table_count = count,
                                 .rate_limit = self->o.rate_limit,
                                 .cancel = self->o.cancel};
    if (!backfill_run(&o, err))
        return false;
    if (!indexes_restore(c, self->o.log, epoch, INDEXES_KEYS, list, count, c->backfill_workers,
                         self->o.cancel, err))
        return false;
    return read_goal(self, err);
}

/* Capture may have stopped a table while its image was copied: what the copy has stored as its state is not
 * so.
 */
static bool keep_stopped(struct session *self, struct table *image, struct error *err)
{
    struct table *t = self->p.tables.tables[image->id];
    char reason[200];
    if (t->state != TABLE_STOPPED && t->state != TABLE_DRIFT)
        return true;
    snprintf(reason, sizeof(reason), "it was stopped while it was copied - crossfade recopy --table %.130s",
             t->from);
    return session_needs_recopy_put(self, &self->target, t, true, err) &&
           store_table_state_put(&self->target, self->o.config->pipeline, self->o.lease.epoch, t, reason,
                                 err);
}

/* Copying beside a running stream works on images of the tables: their changes stay parked until all is
 * copied. */
static bool copy_beside(struct session *self, struct table **list, uint32_t count, struct error *err)
{
    struct table *images = mem_alloc(count * sizeof(*images));
    for (uint32_t i = 0; i < count; i++) {
        images[i] = *list[i];
        images[i].copied_snapshot = NULL;
        list[i] = &images[i];
    }
    bool ok = copy_tables(self, list, count, err);
    for (uint32_t i = 0; i < count; i++) {
        ok = ok && keep_stopped(self, &images[i], err);
        free(images[i].copied_snapshot);
    }
    free(images);
    return ok;
}

/* A crash between the copy and the keys' indexes: catching up without them would read whole tables for each
 * change. */
static enum session_next restore_keys(struct session *self, struct error *err)
{
    const struct config *c = self->o.config;
    bool pending;
    if (self->keys_restored || self->sink)
        return SESSION_ON;
    self->keys_restored = true;
    if (!indexes_pending(&self->target, c->pipeline, &pending, err))
        return SESSION_FAILED;
    if (!pending)
        return SESSION_ON;
    bool ok = indexes_restore(c, self->o.log, self->o.lease.epoch, INDEXES_KEYS, self->p.tables.tables,
                              self->p.tables.count, c->backfill_workers, self->o.cancel, err);
    return ok ? SESSION_AGAIN : SESSION_FAILED;
}

enum session_next session_backfill(struct session *self, struct error *err)
{
    uint32_t count;
    bool others;
    struct table **list = to_copy(self, &count, &others);
    enum session_next next = SESSION_AGAIN;
    if (count) {
        bool ok = !others || session_stream_start(self, err);
        ok = ok && (others ? copy_beside(self, list, count, err) : copy_tables(self, list, count, err));
        next = ok ? SESSION_AGAIN : SESSION_FAILED;
        struct error why;
        if (!ok && err->kind == ERROR_CANCELED && !parts_ok(self, &why))
            *err = why;
        self->keys_restored = ok;
    } else {
        next = restore_keys(self, err);
    }
    free(list);
    return next;
}

static bool any_in(const struct session *self, enum table_state state)
{
    for (uint32_t i = 0; i < self->p.tables.count; i++) {
        if (self->p.tables.tables[i]->state == state)
            return true;
    }
    return false;
}

/* Until the stream has applied everything up to there, or something else is to be done. */
static enum session_next pass(struct session *self, struct position goal, struct error *err)
{
    for (;;) {
        enum session_next next = check_wishes(self, err);
        if (next != SESSION_ON)
            return next;
        if (position_compare(stream_look(self->stream).applied, goal) >= 0)
            return SESSION_ON;
        if (!session_wait(self, WAIT_MS, err))
            return SESSION_FAILED;
    }
}

static enum session_next catch_up(struct session *self, struct error *err)
{
    struct position past = self->goal;
    for (;;) {
        enum session_reread result;
        enum session_next next = pass(self, past, err);
        if (next != SESSION_ON)
            return next;
        if (!session_reread(self, &result, &past, err))
            return SESSION_FAILED;
        if (result == SESSION_REREAD_EMPTY)
            return SESSION_ON;
        stream_release(self->stream);
        if (result == SESSION_REREAD_LATER && !session_wait(self, LATER_MS, err))
            return SESSION_FAILED;
    }
}

/* While streaming: a change that brought too little for a row that was missing in the sink put its key there.
 */
static bool reread_if_any(struct session *self, struct error *err)
{
    enum session_reread result;
    struct position past = self->reread_past;
    if (self->sink && !self->sink->pg)
        return true;
    if (self->looked_at_reread && self->reread_seen == self->o.stats->reread && !self->reread_refusals)
        return true;
    if (self->reread_refusals && position_compare(stream_look(self->stream).applied, self->reread_past) < 0)
        return true;
    if (!session_reread(self, &result, &past, err))
        return false;
    stream_release(self->stream);
    self->reread_past = past;
    if (result == SESSION_REREAD_DONE && position_compare(self->goal, past) < 0)
        self->goal = past;
    return true;
}

enum session_next session_catch_up(struct session *self, struct error *err)
{
    bool pending;
    if (!session_stream_start(self, err))
        return SESSION_FAILED;
    if (self->sink)
        return SESSION_ON;
    if (!indexes_pending(&self->target, self->o.config->pipeline, &pending, err))
        return SESSION_FAILED;
    if (!any_in(self, TABLE_CATCHUP) && !pending)
        return SESSION_ON;
    return catch_up(self, err);
}

/* With the state goes the snapshot of a keyless table's copy: xids come round again, and it must not be asked
 * then. */
static bool store_streaming(struct session *self, const struct table *t, struct error *err)
{
    const char *params[] = {self->o.config->pipeline, t->from};
    return pg_exec(&self->target, "BEGIN", err) &&
           store_table_state_put(&self->target, self->o.config->pipeline, self->o.lease.epoch, t, NULL,
                                 err) &&
           pg_exec_params(&self->target,
                          "UPDATE crossfade.chunk SET snapshot = NULL WHERE pipeline = $1 AND table_name = $2"
                          " AND snapshot IS NOT NULL",
                          2, params, err) &&
           pg_exec(&self->target, "COMMIT", err);
}

static bool finish_tables(struct session *self, struct error *err)
{
    for (uint32_t i = 0; i < self->p.tables.count; i++) {
        struct table *t = self->p.tables.tables[i];
        if (t->state != TABLE_CATCHUP)
            continue;
        t->state = TABLE_STREAMING;
        free(t->copied_snapshot);
        t->copied_snapshot = NULL;
        if (!store_streaming(self, t, err))
            return false;
        stats_reason(self->o.stats, t->id, TABLE_STREAMING, "");
    }
    return true;
}

enum session_next session_finish(struct session *self, struct error *err)
{
    const struct config *c = self->o.config;
    if (!stream_look(self->stream).met)
        return SESSION_ON;
    if (!indexes_restore(c, self->o.log, self->o.lease.epoch, INDEXES_ALL, self->p.tables.tables,
                         self->p.tables.count, c->backfill_workers, self->o.cancel, err) ||
        !finish_tables(self, err))
        return SESSION_FAILED;
    stream_release(self->stream);
    return SESSION_ON;
}

enum session_next session_follow(struct session *self, bool until_end, struct error *err)
{
    for (;;) {
        if (until_end)
            stream_hurry(self->stream, self->goal);
        enum session_next next = check_wishes(self, err);
        if (next != SESSION_ON)
            return next;
        if (!reread_if_any(self, err))
            return SESSION_FAILED;
        if (until_end && position_compare(stream_look(self->stream).confirmed, self->goal) >= 0)
            return SESSION_DONE;
        if (!session_wait(self, until_end ? 20 : WAIT_MS, err))
            return SESSION_FAILED;
    }
}

enum session_next session_idle(struct session *self, struct error *err)
{
    session_stream_stop(self, true);
    for (;;) {
        enum session_next next = check_wishes(self, err);
        if (next != SESSION_ON)
            return next;
        if (!session_wait(self, WAIT_MS, err))
            return SESSION_FAILED;
    }
}
