/* SPDX-License-Identifier: PostgreSQL
 *
 * Making and ending the session's stream: lanes' sinks first (they know the positions), then what waits for
 * tables that are no longer parked, then the source from the hindmost position.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "replicator/session_internal.h"

enum { DRAIN_ROWS = 5000 };

static bool report(struct session *self, const struct table *table, const char *reason, struct error *err)
{
    struct log_fields fields = {.table = table->from};
    log_write(self->o.log, LOG_LEVEL_WARNING, &fields, "%s: %s", table_state_name(table->state), reason);
    pthread_mutex_lock(&self->report_mutex);
    bool ok = store_table_state_put(&self->report, self->o.config->pipeline, self->o.lease.epoch, table,
                                    reason, err);
    pthread_mutex_unlock(&self->report_mutex);
    return ok;
}

/* Capture saw a definition that no longer fits, or something that can't be parked. */
static bool capture_stopped(void *context, struct table *table, bool recopy, const char *reason,
                            struct error *err)
{
    struct session *self = context;
    bool ok = true;
    if (recopy) {
        pthread_mutex_lock(&self->report_mutex);
        ok = session_needs_recopy_put(self, &self->report, table, true, err);
        pthread_mutex_unlock(&self->report_mutex);
    }
    return ok && report(self, table, reason, err);
}

/* A lane refused a table. That its changes are parked is in the sink's transaction; the reason is for people,
 * and if it can't be stored now the table is found parked at the next start all the same. */
static void lane_stopped(void *context, struct table *table, enum table_state state, const char *reason)
{
    struct session *self = context;
    struct error err = {0};
    stats_reason(self->o.stats, table->id, state, reason);
    if (!report(self, table, reason, &err))
        log_warning(self->o.log, "the state of %s could not be stored: %s", table->from, err.text);
    session_wake(self);
}

static void lane_conflict(void *context, const struct table *table, const char *kind, const char *key_text)
{
    struct session *self = context;
    char sample[STATS_REASON_SIZE];
    snprintf(sample, sizeof(sample), "%s: %s", kind, key_text);
    stats_conflict(self->o.stats, table->id, sample);
}

static bool open_sink(struct session *self, int lane, struct sink **out, struct position *position,
                      struct error *err)
{
    const struct config *c = self->o.config;
    struct sink_events events = {.context = self, .table_stopped = lane_stopped, .conflict = lane_conflict};
    char job[16];
    if (self->sink) {
        struct legacy_sink_lane l = {
            .lane = lane, .epoch = self->o.lease.epoch, .tables = &self->p.tables, .events = events};
        return self->sink->ops->open(self->sink, &l, out, position, err);
    }
    snprintf(job, sizeof(job), "lane%d", lane);
    struct pg_sink_options o = {
        .conn = {.conninfo = c->target_conninfo,
                 .pipeline = c->pipeline,
                 .job = job,
                 .endpoint = "target",
                 .connect_timeout_ms = (int)c->connect_timeout_ms},
        .stream = "forward",
        .lane = lane,
        .epoch = self->o.lease.epoch,
        .tables = &self->p.tables,
        .events = events,
        .park_limit = c->park_limit,
        .quarantine_limit = c->quarantine_limit,
    };
    return pg_sink_open(&o, out, position, err);
}

static bool open_lane(struct session *self, int lane, struct sink **out, struct position *position,
                      struct error *err)
{
    if (!open_sink(self, lane, out, position, err))
        return false;
    return position->kind != POSITION_NONE ||
           error_set(err, ERROR_FATAL, "lane %d has no progress row: it was removed from crossfade.progress",
                     lane);
}

/* What was parked while a table was stopped, in order, before anything newer. */
static bool drain_parked(struct session *self, struct sink **sinks, struct error *err)
{
    for (uint32_t i = 0; i < self->p.tables.count; i++) {
        struct table *t = self->p.tables.tables[i];
        bool empty = !self->p.parked[i] || table_is_parked(t);
        while (!empty && !table_is_parked(t)) {
            if (atomic_load(self->o.cancel))
                return error_set(err, ERROR_CANCELED, "stopped");
            if (!self->waits->drain(sinks[t->lane], t, DRAIN_ROWS, &empty, err))
                return false;
        }
    }
    return true;
}

static bool open_source(struct session *self, const struct position *positions, struct source **out,
                        struct error *err)
{
    struct position start = positions[0];
    for (int i = 1; i < self->p.lane_count; i++) {
        if (position_compare(positions[i], start) < 0)
            start = positions[i];
    }
    return self->legacy->session->stream(self->legacy, &self->prepare.notes, &self->p.tables, self->p.binary,
                                         start, out, err);
}

bool session_stream_start(struct session *self, struct error *err)
{
    if (self->stream)
        return true;
    int lanes = self->p.lane_count;
    struct sink **sinks = mem_alloc((size_t)lanes * sizeof(struct sink *));
    struct position *positions = mem_alloc((size_t)lanes * sizeof(*positions));
    struct source *source = NULL;
    bool ok = true;
    for (int i = 0; i < lanes && ok; i++)
        ok = open_lane(self, i, &sinks[i], &positions[i], err);
    ok = ok && session_wishes_sinks(self, sinks, err) && drain_parked(self, sinks, err) &&
         prepare_waiting(&self->prepare, &self->p, err) && open_source(self, positions, &source, err);
    if (ok) {
        session_publish_waiting(self);
        struct stream_options o = {.config = self->o.config,
                                   .log = self->o.log,
                                   .stats = self->o.stats,
                                   .source = source,
                                   .sinks = sinks,
                                   .positions = positions,
                                   .lane_count = lanes,
                                   .tables = &self->p.tables,
                                   .table_stopped = capture_stopped,
                                   .changed = session_wake,
                                   .context = self};
        self->stream = stream_start(&o);
    }
    for (int i = 0; i < lanes && !ok; i++) {
        if (sinks[i])
            sinks[i]->ops->free(sinks[i]);
    }
    free(sinks);
    free(positions);
    return ok;
}

void session_stream_stop(struct session *self, bool drain)
{
    stream_free(self->stream, drain);
    self->stream = NULL;
    self->looked_at_reread = false;
}
