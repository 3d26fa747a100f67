/* SPDX-License-Identifier: PostgreSQL */
#include "replicator/lane.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "replicator/deadline.h"

enum owner { OWNER_CAPTURE, OWNER_OFFERED, OWNER_TAKEN };

/* How often durability is asked for while commits of ours are not yet on the sink's disk. */
enum { FLUSH_POLL_MS = 50, MAX_WAITING_FLUSH = 256 };

/* Under load: a batch of so many transactions says that the next ones are worth gathering, up to so many
 * changes, or so long after the batch before was taken. */
enum { LOADED_TRANSACTIONS = 32, GATHER_CHANGES = 20000, GATHER_MS = 50 };

/* A commit of ours that is not yet known to be durable. */
struct waiting_flush {
    struct position position;
    uint64_t needed;
};

struct lane {
    struct lane_options o;
    struct batch *slot[2];
    int filling;            /* capture's index into slot */
    bool offered_complete;  /* capture's: was the batch offered last at a boundary of transactions? */
    _Atomic int owner;      /* of slot[filling] */
    _Atomic size_t offered; /* changes in the batch offered last */
    /* Whole transactions that were offered are in the filling batch again, with the open one behind them:
     * they count as received, so the lane must count as busy. */
    _Atomic bool taken_back;
    _Atomic size_t
        wakes_at; /* the lane sleeps: who offers so many changes must signal; SIZE_MAX: it's awake */
    pthread_t thread;
    pthread_mutex_t mutex; /* everything below */
    pthread_cond_t cond;
    bool stop;
    bool drain;
    bool busy;
    bool settle;
    bool hurry;         /* somebody waits for the lane: nothing is gathered */
    int64_t backlog_ms; /* more is known to come: gather for so long; 0: it is not */
    int64_t gather_until_ms;
    struct lane_view view;
    struct error err;
    struct waiting_flush flushes[MAX_WAITING_FLUSH];
    int flush_count;
    struct sink_counts *counts; /* lane's thread only */
    int taking;                 /* the same: index of the batch that is taken next */
};

/* False when the deadline has passed. Mutex held. */
static bool wait_cond(struct lane *self, int64_t deadline_ms)
{
    return deadline_wait(&self->cond, &self->mutex, deadline_ms);
}

/* The offered batch, now the lane's, or NULL. */
static struct batch *take(struct lane *self)
{
    int expected = OWNER_OFFERED;
    if (!atomic_compare_exchange_strong(&self->owner, &expected, OWNER_TAKEN))
        return NULL;
    /* Capture flips `filling` as soon as it sees TAKEN, so that can't be read here; but it flips once for
     * each take, so the batches are taken in turn. */
    struct batch *batch = self->slot[self->taking];
    self->taking = 1 - self->taking;
    return batch;
}

static void add_counts(struct lane *self)
{
    struct stats *stats = self->o.stats;
    for (uint32_t i = 0; i < self->o.table_count; i++) {
        struct sink_counts *c = &self->counts[i];
        struct stats_table *t = &stats->tables[i];
        t->inserted += c->inserted;
        t->updated += c->updated;
        t->deleted += c->deleted;
        t->truncated += c->truncated;
        t->missing += c->missing;
        t->existing += c->existing;
        t->parked += c->parked;
        stats->reread += c->reread;
        t->quarantined += c->quarantined;
        *c = (struct sink_counts){0};
    }
}

/* Everything whose commit lies before `flushed` is durable. Mutex held. */
static void note_flushed(struct lane *self, uint64_t flushed)
{
    int done = 0;
    while (done < self->flush_count && self->flushes[done].needed <= flushed)
        self->view.durable = self->flushes[done++].position;
    self->flush_count -= done;
    for (int i = 0; i < self->flush_count && done; i++)
        self->flushes[i] = self->flushes[i + done];
}

static void note_applied(struct lane *self, const struct batch *batch, const struct sink_result *r)
{
    if (batch->complete && batch->end.kind != POSITION_NONE) {
        assert(position_compare(self->view.applied, batch->end) <= 0);
        self->view.applied = batch->end;
        if (batch->end_time_us)
            self->view.end_time_us = batch->end_time_us;
        if (self->flush_count == MAX_WAITING_FLUSH)
            self->flush_count--; /* a later commit stands for an earlier one */
        self->flushes[self->flush_count++] = (struct waiting_flush){batch->end, r->flush_needed};
    }
    note_flushed(self, r->flushed);
    assert(position_compare(self->view.durable, self->view.applied) <= 0);
}

static void fail(struct lane *self, const struct error *err)
{
    self->err = *err;
    self->view.failed = true;
}

static void apply(struct lane *self, struct batch *batch)
{
    struct sink_result r = {0};
    struct error err = {0};
    int64_t began = clock_us();
    bool ok = self->o.sink->ops->apply(self->o.sink, batch, self->counts, &r, &err);
    if (ok) {
        struct stats *stats = self->o.stats;
        stats->batches++;
        stats->transactions += batch->transaction_count;
        stats->replays += r.replayed;
        if (batch->count) {
            stats_observe(&stats->batch_us, stats_bounds_us, (uint64_t)(clock_us() - began));
            stats_observe(&stats->batch_rows, stats_bounds_rows, batch->count);
        }
        add_counts(self);
    }
    pthread_mutex_lock(&self->mutex);
    if (ok)
        note_applied(self, batch, &r);
    else
        fail(self, &err);
    batch_reset(batch);
    self->busy = false;
    pthread_cond_broadcast(&self->cond);
    pthread_mutex_unlock(&self->mutex);
    self->o.changed(self->o.context);
}

/* The sink's log is asked how far it is on disk. */
static void poll_flush(struct lane *self)
{
    uint64_t flushed = 0;
    struct error err = {0};
    pthread_mutex_lock(&self->mutex);
    bool force = self->settle;
    self->settle = false;
    pthread_mutex_unlock(&self->mutex);
    bool ok = self->o.sink->ops->flushed(self->o.sink, force, &flushed, &err);
    pthread_mutex_lock(&self->mutex);
    if (ok)
        note_flushed(self, flushed);
    else
        fail(self, &err);
    pthread_cond_broadcast(&self->cond);
    pthread_mutex_unlock(&self->mutex);
    self->o.changed(self->o.context);
}

/* Each batch has a price of its own (a round trip, a commit, a progress row), so while there is load a lane
 * that is free before much has come leaves it to gather. Mutex held. */
static bool gathers(const struct lane *self)
{
    return !self->hurry && !self->stop && clock_ms() < self->gather_until_ms;
}

/* Of a backlog there is always more, so a batch may grow, but not so far that capture has to wait. */
static size_t gather_changes(const struct lane *self)
{
    return self->backlog_ms ? self->o.batch_changes / 4 * 3 : GATHER_CHANGES;
}

static void note_taken(struct lane *self, const struct batch *batch)
{
    self->hurry = false;
    self->busy = true;
    bool loaded = batch->transaction_count >= LOADED_TRANSACTIONS;
    int64_t gather_ms = self->backlog_ms ? self->backlog_ms : loaded ? GATHER_MS : 0;
    self->gather_until_ms = gather_ms ? clock_ms() + gather_ms : 0;
    pthread_cond_broadcast(&self->cond);
}

/* Until when to sleep. Mutex held. */
static int64_t wake_ms(const struct lane *self, bool gather, int64_t poll_at)
{
    int64_t until = self->flush_count ? poll_at : clock_ms() + 1000;
    return gather && self->gather_until_ms < until ? self->gather_until_ms : until;
}

/* Sleeps until something is offered, durability should be asked for, or the end. */
static struct batch *next_batch(struct lane *self, bool *ask_flush)
{
    struct batch *batch = NULL;
    *ask_flush = false;
    pthread_mutex_lock(&self->mutex);
    int64_t poll_at = clock_ms() + FLUSH_POLL_MS;
    while (!self->view.failed && !(self->stop && !self->drain)) {
        bool gather = gathers(self);
        size_t enough = gather_changes(self);
        atomic_store(&self->wakes_at, gather ? enough : 0);
        if (!gather || atomic_load(&self->offered) >= enough)
            batch = take(self);
        if (batch || self->stop)
            break;
        if (!(self->settle && self->flush_count))
            wait_cond(self, wake_ms(self, gather, poll_at));
        if (self->flush_count && (self->settle || clock_ms() >= poll_at)) {
            *ask_flush = true;
            break;
        }
    }
    atomic_store(&self->wakes_at, SIZE_MAX);
    self->busy = false;
    if (batch)
        note_taken(self, batch);
    pthread_mutex_unlock(&self->mutex);
    return batch;
}

static void *lane_main(void *argument)
{
    struct lane *self = argument;
    bool ask_flush;
    for (;;) {
        struct batch *batch = next_batch(self, &ask_flush);
        if (batch)
            apply(self, batch);
        else if (ask_flush)
            poll_flush(self);
        else
            return NULL;
    }
}

struct lane *lane_start(const struct lane_options *options)
{
    struct lane *self = mem_alloc(sizeof(*self));
    self->o = *options;
    self->slot[0] = batch_new();
    self->slot[1] = batch_new();
    self->counts = mem_alloc(options->table_count * sizeof(*self->counts));
    self->view.applied = options->position;
    self->view.durable = options->position;
    atomic_init(&self->wakes_at, SIZE_MAX);
    pthread_mutex_init(&self->mutex, NULL);
    deadline_cond_init(&self->cond);
    int rc = pthread_create(&self->thread, NULL, lane_main, self);
    assert(rc == 0);
    return self;
}

void lane_free(struct lane *self, bool drain)
{
    if (!self)
        return;
    pthread_mutex_lock(&self->mutex);
    self->stop = true;
    self->drain = drain;
    pthread_cond_broadcast(&self->cond);
    pthread_mutex_unlock(&self->mutex);
    if (!drain)
        self->o.sink->ops->cancel(self->o.sink);
    pthread_join(self->thread, NULL);
    self->o.sink->ops->free(self->o.sink);
    batch_free(self->slot[0]);
    batch_free(self->slot[1]);
    pthread_cond_destroy(&self->cond);
    pthread_mutex_destroy(&self->mutex);
    free(self->counts);
    free(self);
}

struct batch *lane_filling(struct lane *self)
{
    int owner = OWNER_OFFERED;
    /* What is capture's stays so until capture offers it: the usual case, once for every change. */
    if (atomic_load_explicit(&self->owner, memory_order_relaxed) == OWNER_CAPTURE)
        return self->slot[self->filling];
    bool before = atomic_exchange(&self->taken_back, true);
    if (atomic_compare_exchange_strong(&self->owner, &owner, OWNER_CAPTURE))
        return self->slot[self->filling];
    atomic_store(&self->taken_back, before && owner == OWNER_CAPTURE);
    if (owner == OWNER_TAKEN) {
        /* The lane reset the other one before it took this one. */
        self->filling = 1 - self->filling;
        self->slot[self->filling]->continues = !self->offered_complete;
        atomic_store(&self->owner, OWNER_CAPTURE);
    }
    return self->slot[self->filling];
}

void lane_offer(struct lane *self)
{
    if (atomic_load(&self->owner) != OWNER_CAPTURE)
        return;
    struct batch *b = self->slot[self->filling];
    if (b->count == 0 && b->end.kind == POSITION_NONE)
        return;
    size_t count = b->count;
    self->offered_complete = b->complete;
    atomic_store(&self->offered, count);
    atomic_store(&self->owner, OWNER_OFFERED); /* from here on it may be the lane's */
    atomic_store(&self->taken_back, false);
    if (count >= atomic_load(&self->wakes_at)) {
        pthread_mutex_lock(&self->mutex);
        pthread_cond_broadcast(&self->cond);
        pthread_mutex_unlock(&self->mutex);
    }
}

bool lane_full(const struct lane *self)
{
    if (atomic_load(&self->owner) == OWNER_TAKEN)
        return false;
    const struct batch *b = self->slot[self->filling];
    return b->count >= self->o.batch_changes || batch_memory(b) >= self->o.batch_memory;
}

/* What is offered is to be taken now. Mutex held. */
static void take_now(struct lane *self)
{
    if (self->hurry || atomic_load(&self->owner) != OWNER_OFFERED)
        return;
    self->hurry = true;
    pthread_cond_broadcast(&self->cond);
}

bool lane_wait_taken(struct lane *self, int64_t deadline_ms)
{
    bool taken = true;
    pthread_mutex_lock(&self->mutex);
    take_now(self);
    while (atomic_load(&self->owner) == OWNER_OFFERED && !self->view.failed) {
        if (!wait_cond(self, deadline_ms)) {
            taken = atomic_load(&self->owner) != OWNER_OFFERED;
            break;
        }
    }
    pthread_mutex_unlock(&self->mutex);
    return taken;
}

/* Mutex held. */
static bool is_busy(const struct lane *self)
{
    return self->busy || atomic_load(&self->owner) == OWNER_OFFERED || atomic_load(&self->taken_back);
}

void lane_settle(struct lane *self)
{
    pthread_mutex_lock(&self->mutex);
    if (self->flush_count && !self->settle) {
        self->settle = true;
        pthread_cond_broadcast(&self->cond);
    }
    pthread_mutex_unlock(&self->mutex);
}

void lane_backlog(struct lane *self, int64_t gather_ms)
{
    pthread_mutex_lock(&self->mutex);
    self->backlog_ms = gather_ms;
    pthread_mutex_unlock(&self->mutex);
}

void lane_hurry(struct lane *self)
{
    pthread_mutex_lock(&self->mutex);
    if (self->gather_until_ms)
        pthread_cond_broadcast(&self->cond); /* it says anew what it wants to be woken for */
    self->backlog_ms = 0;
    self->gather_until_ms = 0;
    pthread_mutex_unlock(&self->mutex);
}

bool lane_wait_idle(struct lane *self, int64_t deadline_ms)
{
    bool idle = true;
    pthread_mutex_lock(&self->mutex);
    take_now(self);
    while (is_busy(self) && !self->view.failed) {
        if (!wait_cond(self, deadline_ms)) {
            idle = !is_busy(self);
            break;
        }
    }
    pthread_mutex_unlock(&self->mutex);
    return idle;
}

struct lane_view lane_look(struct lane *self)
{
    pthread_mutex_lock(&self->mutex);
    struct lane_view view = self->view;
    view.busy = is_busy(self);
    pthread_mutex_unlock(&self->mutex);
    return view;
}

void lane_error(struct lane *self, struct error *err)
{
    pthread_mutex_lock(&self->mutex);
    *err = self->err;
    pthread_mutex_unlock(&self->mutex);
}

struct sink *lane_sink(struct lane *self)
{
    return self->o.sink;
}
