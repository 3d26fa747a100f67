/* SPDX-License-Identifier: PostgreSQL
 *
 * The capture thread. Invariants:
 *  1. A lane's batches carry its tables' changes in source order, and `end` of each only ever grows.
 *  2. `routed` is the end of the last whole transaction dealt out (or an idle position past it); a lane
 *     with nothing offered, nothing filling and nothing being applied has everything up to `routed`.
 *  3. What is confirmed to the source is the least durable progress row of all lanes, never `routed`:
 *     an idle lane's row is moved up first (rule 4), every ADVANCE_MS or ADVANCE_BYTES, and soon after
 *     a stream falls silent.
 *  4. In a meet no transaction is open, every lane is idle and every row stands at `routed`.
 */
#include "replicator/stream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "pgsql/snapshot.h"
#include "replicator/deadline.h"
#include "replicator/lane.h"
#include "replicator/stall.h"

/* How many of the transactions dealt out last are remembered, and how long: see stream_all_seen. */
enum { DEALT = 32768, DEALT_MS = 3600 * 1000 };

enum {
    NEXT_MS = 100, /* longest wait in the source, so that requests are seen */
    HURRY_MS = 5,  /* … while somebody waits for the end */
    /* Up to there lanes gather for a quarter of the time that is left: large batches are cheaper by the row,
     * but the last ones are what is waited for. */
    GATHER_MIN_MS = 10,
    GATHER_MAX_MS = 250,
    QUIET_MS = 200,     /* silent for so long: idle lanes' rows are moved up once */
    ADVANCE_MS = 10000, /* … and at least so often while only other databases write */
    ADVANCE_BYTES = 16 << 20,
    AWAITED_MS = 1000, /* a source that shuts down asks again and again */
    MEET_MS = 200,
    TICK_MS = 500,
    STALL_MS = 60000,
    LOOK_MS = 10 /* under load, the lanes are looked after this often */
};

/* What a lane has of the source transaction that is open. */
enum part {
    PART_NONE,
    PART_FILLING, /* changes in its filling batch */
    PART_OFFERED  /* a piece went ahead: its sink transaction waits for the rest */
};

/* A transaction and when it was dealt out; ms 0: none. */
struct dealt {
    uint32_t xid;
    int64_t ms;
};

struct stream {
    struct stream_options o;
    struct lane **lanes;
    unsigned char *part; /* per lane, enum part */
    pthread_t thread;
    pthread_mutex_t mutex; /* what follows */
    pthread_cond_t cond;
    /* Set under the mutex; capture looks at them without it, once for every event. */
    _Atomic bool stop;
    _Atomic bool drain;
    _Atomic bool want_meet;
    _Atomic bool hurry;
    bool met;
    bool failed;
    struct error err;
    struct position routed; /* capture alone sets these two, so it may read them without the mutex */
    struct position confirmed;
    struct position goal;     /* with hurry: the end */
    struct position foremost; /* constant: the row that was furthest at the start */

    struct dealt dealt[DEALT]; /* a ring of the transactions that were dealt out last */
    size_t dealt_at;

    /* capture thread only */
    struct transaction open;
    bool in_transaction;
    bool advanced_since_change; /* rows were moved up after the last change */
    int64_t now_ms;             /* about when the source gave its last event */
    int64_t last_event_ms;
    int64_t last_advance_ms;
    int64_t last_look_ms;
    int64_t next_ms;
    int64_t awaited_until_ms; /* the source waits for its position to be confirmed */
    int64_t backlog_from_ms;  /* when the way to the goal began, and where; 0: it has not */
    struct position backlog_from;
    struct stall stall;
};

/* The least durable row, confirmed to the source when it has grown. */
static void confirm(struct stream *self)
{
    struct position least = lane_look(self->lanes[0]).durable;
    for (int i = 1; i < self->o.lane_count; i++) {
        struct position p = lane_look(self->lanes[i]).durable;
        if (position_compare(p, least) < 0)
            least = p;
    }
    pthread_mutex_lock(&self->mutex);
    bool grown = position_compare(self->confirmed, least) < 0;
    if (grown)
        self->confirmed = least;
    pthread_mutex_unlock(&self->mutex);
    if (grown) {
        self->o.source->ops->confirm(self->o.source, least);
        stats_position_put(&self->o.stats->confirmed, least);
        if (atomic_load(&self->hurry))
            self->o.changed(self->o.context);
    }
}

static bool stopping(struct stream *self)
{
    return atomic_load(&self->stop);
}

static bool stopping_now(struct stream *self)
{
    return atomic_load(&self->stop) && !atomic_load(&self->drain);
}

static bool lane_ok(struct lane *lane, struct error *err)
{
    if (!lane_look(lane).failed)
        return true;
    lane_error(lane, err);
    return false;
}

/* Where applying stands, and how old the newest applied commit is while there is more to apply. */
static void update_stats(struct stream *self)
{
    struct position applied = self->routed;
    int64_t oldest = 0;
    for (int i = 0; i < self->o.lane_count; i++) {
        struct lane_view v = lane_look(self->lanes[i]);
        if (!v.busy)
            continue;
        if (position_compare(v.applied, applied) < 0)
            applied = v.applied;
        if (v.end_time_us && (!oldest || v.end_time_us < oldest))
            oldest = v.end_time_us;
    }
    int64_t lag_ms = oldest ? (clock_wall_us() - oldest) / 1000 : 0;
    stats_position_put(&self->o.stats->applied, applied);
    atomic_store(&self->o.stats->lag_ms, lag_ms > 0 ? lag_ms : 0);
}

/* Reading that advances while applying does not (hazard 1). */
static void watch_for_stall(struct stream *self, int64_t now)
{
    struct position applied = stats_position_get(&self->o.stats->applied);
    int64_t limit_ms = self->o.stall_ms ? self->o.stall_ms : STALL_MS;
    if (!stall_look(&self->stall, applied, self->routed, now, limit_ms))
        return;
    char text[POSITION_TEXT_SIZE];
    struct log_fields fields = {.position = position_format(applied, text)};
    log_write(
        self->o.log, LOG_LEVEL_WARNING, &fields,
        "nothing has been applied for %lld s although more has been read - a long transaction, or a lock "
        "on the target? - see pg_locks there for application_name crossfade:%s:lane0 and on",
        (long long)limit_ms / 1000, self->o.config->pipeline);
}

/* Waits for a lane by `wait`, keeping the source alive. */
static bool wait_lane(struct stream *self, struct lane *lane, bool (*wait)(struct lane *, int64_t),
                      struct error *err)
{
    while (!wait(lane, clock_ms() + TICK_MS)) {
        if (stopping_now(self))
            return error_set(err, ERROR_CANCELED, "stopped");
        confirm(self);
        update_stats(self);
        watch_for_stall(self, clock_ms());
        if (!self->o.source->ops->tick(self->o.source, err))
            return false;
    }
    return lane_ok(lane, err);
}

/* What the lane's filling batch holds goes ahead as a piece of the open transaction. */
static void offer_piece(struct stream *self, int n)
{
    if (self->part[n] == PART_FILLING)
        self->part[n] = PART_OFFERED;
    lane_offer(self->lanes[n]);
}

/* TRUNCATE of several tables is one statement: it is not cut in two. */
static bool same_truncate(const struct batch *batch, const struct change *change)
{
    const struct change *last = batch->count ? &batch->changes[batch->count - 1] : NULL;
    return last && last->op == CHANGE_TRUNCATE && change->op == CHANGE_TRUNCATE &&
           last->truncate_group == change->truncate_group;
}

/* The lane's row is already past this transaction (lanes resume from their own positions). Where the source
 * knows its end from the first row on, that decides; else the commit record begins before every position past
 * it. A polled source finds deleted rows without its cursor moving; such changes may be applied twice. */
static bool lane_has(const struct stream *self, int n)
{
    const struct transaction *t = &self->open;
    if (t->end.kind != POSITION_NONE) {
        int order = position_compare(t->end, self->o.positions[n]);
        return order < 0 || (order == 0 && !position_is_cursor(t->end));
    }
    return position_compare(t->commit, self->o.positions[n]) < 0;
}

static bool on_change(struct stream *self, const struct change *change, struct error *err)
{
    int n = change->table->lane;
    struct lane *lane = self->lanes[n];
    if (lane_has(self, n))
        return true;
    struct batch *batch = lane_filling(lane);
    if (self->part[n] == PART_FILLING && lane_full(lane) && !same_truncate(batch, change)) {
        offer_piece(self, n);
        if (!wait_lane(self, lane, lane_wait_taken, err))
            return false;
        batch = lane_filling(lane);
    }
    if (self->part[n] != PART_FILLING)
        batch_begin(batch, &self->open);
    self->part[n] = PART_FILLING;
    batch_append(batch, change);
    return true;
}

static bool commit_lane(struct stream *self, int n, const struct transaction *transaction, struct error *err)
{
    struct lane *lane = self->lanes[n];
    struct batch *batch = lane_filling(lane);
    if (self->part[n] == PART_OFFERED)
        batch_begin(batch, &self->open);
    self->part[n] = PART_NONE;
    batch_commit(batch, transaction);
    bool full = lane_full(lane);
    lane_offer(lane);
    return !full || wait_lane(self, lane, lane_wait_taken, err);
}

static void set_routed(struct stream *self, struct position p)
{
    assert(position_compare(self->routed, p) <= 0);
    pthread_mutex_lock(&self->mutex);
    self->routed = p;
    pthread_mutex_unlock(&self->mutex);
    stats_position_put(&self->o.stats->received, p);
}

static bool on_commit(struct stream *self, const struct transaction *transaction, struct error *err)
{
    self->in_transaction = false;
    self->advanced_since_change = false;
    self->dealt[self->dealt_at++ % DEALT] = (struct dealt){transaction->xid, self->now_ms};
    for (int i = 0; i < self->o.lane_count; i++) {
        if (self->part[i] != PART_NONE && !commit_lane(self, i, transaction, err))
            return false;
    }
    if (position_compare(self->routed, transaction->end) < 0)
        set_routed(self, transaction->end);
    return true;
}

/* Moves every row that lags behind `routed` up to it. */
static void advance_rows(struct stream *self)
{
    assert(!self->in_transaction);
    for (int i = 0; i < self->o.lane_count; i++) {
        struct lane *lane = self->lanes[i];
        struct batch *batch = lane_filling(lane);
        struct position at = batch->end.kind != POSITION_NONE ? batch->end : lane_look(lane).applied;
        if (position_compare(at, self->routed) < 0)
            batch_advance(batch, self->routed);
        lane_offer(lane);
    }
    self->last_advance_ms = clock_ms();
    self->advanced_since_change = true;
}

/* What they have applied is to be durable; that of a busy one would have to be flushed once more. */
static void settle_lanes(struct stream *self)
{
    for (int i = 0; i < self->o.lane_count; i++) {
        lane_hurry(self->lanes[i]);
        if (!lane_look(self->lanes[i]).busy)
            lane_settle(self->lanes[i]);
    }
}

/* How long lanes should gather on the way to the goal. */
static int64_t backlog_gather_ms(struct stream *self, struct position goal, int64_t now)
{
    uint64_t done, left;
    if (!self->backlog_from_ms) {
        self->backlog_from_ms = now;
        self->backlog_from = self->routed;
    }
    if (!position_distance(self->backlog_from, self->routed, &done) || done == 0 ||
        !position_distance(self->routed, goal, &left))
        return GATHER_MIN_MS;
    double left_ms = (double)left / (double)done * (double)(now - self->backlog_from_ms);
    if (left_ms / 4 >= GATHER_MAX_MS)
        return GATHER_MAX_MS;
    return left_ms / 4 <= GATHER_MIN_MS ? GATHER_MIN_MS : (int64_t)left_ms / 4;
}

/* The source waits for its position, or somebody for the end: until that is read the lanes need not be quick,
 * then all there is must be. */
static bool near_end(struct stream *self, int64_t now)
{
    bool awaited = now < self->awaited_until_ms;
    bool hurry = atomic_load(&self->hurry);
    self->next_ms = hurry || awaited ? HURRY_MS : NEXT_MS;
    if (awaited || !hurry)
        return awaited;
    pthread_mutex_lock(&self->mutex);
    struct position goal = self->goal;
    pthread_mutex_unlock(&self->mutex);
    if (position_compare(self->routed, goal) >= 0)
        return true;
    int64_t gather_ms = backlog_gather_ms(self, goal, now);
    for (int i = 0; i < self->o.lane_count; i++)
        lane_backlog(self->lanes[i], gather_ms);
    return false;
}

static void maybe_advance(struct stream *self, int64_t now)
{
    if (self->in_transaction || self->routed.kind == POSITION_NONE)
        return;
    bool hurry = near_end(self, now) && position_compare(self->confirmed, self->routed) < 0;
    bool quiet = !self->advanced_since_change && (hurry || now - self->last_event_ms >= QUIET_MS);
    bool due = now - self->last_advance_ms >= ADVANCE_MS;
    uint64_t behind;
    bool far = position_distance(self->confirmed, self->routed, &behind) && behind >= ADVANCE_BYTES &&
               now - self->last_advance_ms >= QUIET_MS;
    bool hurry_due = hurry && now - self->last_advance_ms >= QUIET_MS / 4;
    if (quiet || due || far || hurry_due)
        advance_rows(self);
    if (hurry)
        settle_lanes(self);
}

/* A table whose definition no longer fits: what came before is applied, what comes after is parked. */
static bool on_drift(struct stream *self, const struct source_event *e, struct error *err)
{
    if (!e->table) {
        log_warning(self->o.log, "%s", e->text);
        return true;
    }
    struct lane *lane = self->lanes[e->table->lane];
    enum table_state state = e->recopy ? TABLE_STOPPED : TABLE_DRIFT;
    if (table_is_parked(e->table) && !e->recopy)
        return true;
    /* An open transaction's piece goes first: the state must change between two changes, not under the lane.
     */
    offer_piece(self, e->table->lane);
    if (!wait_lane(self, lane, lane_wait_idle, err))
        return false;
    e->table->state = state;
    stats_reason(self->o.stats, e->table->id, state, e->text);
    return self->o.table_stopped(self->o.context, e->table, e->recopy, e->text, err);
}

static bool handle(struct stream *self, const struct source_event *e, struct error *err)
{
    if (e->kind != SOURCE_NOTHING)
        self->last_event_ms = self->now_ms;
    switch (e->kind) {
    case SOURCE_NOTHING:
        if (e->awaited)
            self->awaited_until_ms = clock_ms() + AWAITED_MS;
        if (e->position.kind != POSITION_NONE && position_compare(self->routed, e->position) < 0) {
            assert(!self->in_transaction);
            set_routed(self, e->position);
            self->o.changed(self->o.context);
        }
        return true;
    case SOURCE_BEGIN:
        assert(!self->in_transaction);
        self->open = e->transaction;
        self->in_transaction = true;
        return true;
    case SOURCE_CHANGE:
        return on_change(self, &e->change, err);
    case SOURCE_COMMIT:
        return on_commit(self, &e->transaction, err);
    case SOURCE_DRIFT:
        return on_drift(self, e, err);
    }
    return true;
}

/* Holds the stream at a boundary until released (invariant 4). */
static bool meet(struct stream *self, struct error *err)
{
    advance_rows(self);
    for (int i = 0; i < self->o.lane_count; i++) {
        if (!wait_lane(self, self->lanes[i], lane_wait_idle, err))
            return false;
        struct position at = lane_look(self->lanes[i]).applied;
        assert(self->routed.kind == POSITION_NONE || position_compare(at, self->routed) == 0);
    }
    pthread_mutex_lock(&self->mutex);
    self->met = true;
    pthread_mutex_unlock(&self->mutex);
    self->o.changed(self->o.context);
    bool ok = true;
    pthread_mutex_lock(&self->mutex);
    while (ok && self->want_meet && !self->stop) {
        deadline_wait(&self->cond, &self->mutex, clock_ms() + MEET_MS);
        pthread_mutex_unlock(&self->mutex);
        confirm(self);
        ok = self->o.source->ops->tick(self->o.source, err);
        pthread_mutex_lock(&self->mutex);
    }
    self->met = false;
    pthread_mutex_unlock(&self->mutex);
    return ok;
}

static bool meet_wanted(struct stream *self)
{
    /* Lanes that resumed ahead of the others are met where the foremost stands. */
    return atomic_load(&self->want_meet) && position_compare(self->routed, self->foremost) >= 0;
}

static bool look_after_lanes(struct stream *self, int64_t now, struct error *err)
{
    confirm(self);
    update_stats(self);
    watch_for_stall(self, now);
    maybe_advance(self, now);
    for (int i = 0; i < self->o.lane_count; i++) {
        if (!lane_ok(self->lanes[i], err))
            return false;
    }
    return true;
}

/* One pass of the loop: one event of the source. */
static bool capture_step(struct stream *self, struct error *err)
{
    struct source_event e;
    if (!self->in_transaction && meet_wanted(self) && !meet(self, err))
        return false;
    if (!self->o.source->ops->next(self->o.source, self->now_ms + self->next_ms, &e, err))
        return false;
    /* While data flows a look at the clock for each event would cost more than all else that is done here. */
    int64_t now = self->now_ms = e.kind == SOURCE_NOTHING ? clock_ms() : clock_coarse_ms();
    if (!handle(self, &e, err))
        return false;
    if (e.kind != SOURCE_NOTHING && now - self->last_look_ms < LOOK_MS)
        return true;
    self->last_look_ms = now;
    return look_after_lanes(self, now, err);
}

/* After the last event: whole transactions that were read are applied, durable and confirmed. */
static void drain(struct stream *self)
{
    struct error err = {0};
    int64_t deadline = clock_ms() + 3000;
    if (self->in_transaction || self->routed.kind == POSITION_NONE)
        return;
    advance_rows(self);
    for (int i = 0; i < self->o.lane_count; i++) {
        while (!lane_wait_idle(self->lanes[i], clock_ms() + 50) && clock_ms() < deadline)
            continue;
    }
    settle_lanes(self);
    while (clock_ms() < deadline && position_compare(self->confirmed, self->routed) < 0) {
        confirm(self);
        struct timespec pause = {.tv_nsec = 20000000};
        nanosleep(&pause, NULL);
    }
    (void)!self->o.source->ops->tick(self->o.source, &err);
}

static void *capture_main(void *argument)
{
    struct stream *self = argument;
    struct error err = {0};
    bool ok = true;
    while (ok && !stopping(self))
        ok = capture_step(self, &err);
    pthread_mutex_lock(&self->mutex);
    bool wanted = self->stop;
    bool drains = self->drain;
    pthread_mutex_unlock(&self->mutex);
    if (wanted && drains && (ok || err.kind == ERROR_CANCELED))
        drain(self);
    pthread_mutex_lock(&self->mutex);
    if (!wanted) {
        self->failed = true;
        self->err = err;
    }
    pthread_mutex_unlock(&self->mutex);
    self->o.changed(self->o.context);
    return NULL;
}

static size_t batch_share(const struct stream_options *o)
{
    /* Two batches a lane, and the sink's parameters beside the one being applied. */
    size_t share = (size_t)o->config->memory_limit / ((size_t)o->lane_count * 4 + 2);
    return share < (1 << 20) ? 1 << 20 : share;
}

/* The source resumes from the hindmost row. */
static void find_start(struct stream *self)
{
    self->routed = self->o.positions[0];
    for (int i = 0; i < self->o.lane_count; i++) {
        if (position_compare(self->o.positions[i], self->routed) < 0)
            self->routed = self->o.positions[i];
        if (position_compare(self->o.positions[i], self->foremost) > 0)
            self->foremost = self->o.positions[i];
    }
}

struct stream *stream_start(const struct stream_options *options)
{
    struct stream *self = mem_alloc(sizeof(*self));
    self->o = *options;
    self->o.positions = mem_grow(NULL, (size_t)options->lane_count, sizeof(*self->o.positions));
    memcpy(self->o.positions, options->positions, (size_t)options->lane_count * sizeof(*self->o.positions));
    self->lanes = mem_alloc((size_t)options->lane_count * sizeof(*self->lanes));
    self->part = mem_alloc((size_t)options->lane_count);
    find_start(self);
    self->now_ms = self->last_event_ms = self->last_advance_ms = clock_coarse_ms();
    self->next_ms = NEXT_MS;
    pthread_mutex_init(&self->mutex, NULL);
    deadline_cond_init(&self->cond);
    for (int i = 0; i < options->lane_count; i++) {
        struct lane_options l = {.number = i,
                                 .sink = options->sinks[i],
                                 .position = options->positions[i],
                                 .stats = options->stats,
                                 .table_count = options->tables->count,
                                 .batch_memory = batch_share(options),
                                 .batch_changes = (size_t)options->config->stream_batch_changes,
                                 .changed = options->changed,
                                 .context = options->context};
        self->lanes[i] = lane_start(&l);
    }
    int rc = pthread_create(&self->thread, NULL, capture_main, self);
    assert(rc == 0);
    return self;
}

void stream_free(struct stream *self, bool drains)
{
    if (!self)
        return;
    pthread_mutex_lock(&self->mutex);
    self->stop = true;
    self->drain = drains;
    pthread_cond_broadcast(&self->cond);
    pthread_mutex_unlock(&self->mutex);
    self->o.source->ops->cancel(self->o.source);
    pthread_join(self->thread, NULL);
    for (int i = 0; i < self->o.lane_count; i++)
        lane_free(self->lanes[i], false);
    self->o.source->ops->free(self->o.source);
    pthread_cond_destroy(&self->cond);
    pthread_mutex_destroy(&self->mutex);
    free(self->lanes);
    free(self->o.positions);
    free(self->part);
    free(self);
}

struct stream_view stream_look(struct stream *self)
{
    pthread_mutex_lock(&self->mutex);
    struct stream_view v = {
        .received = self->routed, .confirmed = self->confirmed, .failed = self->failed, .met = self->met};
    pthread_mutex_unlock(&self->mutex);
    v.applied = v.received;
    for (int i = 0; i < self->o.lane_count; i++) {
        struct lane_view l = lane_look(self->lanes[i]);
        if (l.busy && position_compare(l.applied, v.applied) < 0)
            v.applied = l.applied;
    }
    return v;
}

void stream_error(struct stream *self, struct error *err)
{
    pthread_mutex_lock(&self->mutex);
    *err = self->err;
    pthread_mutex_unlock(&self->mutex);
}

void stream_meet(struct stream *self)
{
    pthread_mutex_lock(&self->mutex);
    self->want_meet = true;
    pthread_mutex_unlock(&self->mutex);
}

void stream_release(struct stream *self)
{
    pthread_mutex_lock(&self->mutex);
    self->want_meet = false;
    pthread_cond_broadcast(&self->cond);
    pthread_mutex_unlock(&self->mutex);
}

void stream_hurry(struct stream *self, struct position goal)
{
    pthread_mutex_lock(&self->mutex);
    self->goal = goal;
    self->hurry = true;
    pthread_mutex_unlock(&self->mutex);
}

bool stream_all_seen(struct stream *self, const struct snapshot *snapshot)
{
    int64_t oldest = clock_ms() - DEALT_MS;
    assert(self->met);
    for (size_t i = 0; i < DEALT; i++) {
        const struct dealt *d = &self->dealt[i];
        if (d->ms && d->ms > oldest && !snapshot_sees(snapshot, d->xid))
            return false;
    }
    return true;
}

struct sink *stream_sink(struct stream *self, int lane)
{
    assert(self->met);
    return lane_sink(self->lanes[lane]);
}
