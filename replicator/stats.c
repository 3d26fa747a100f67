/* SPDX-License-Identifier: PostgreSQL
 *
 * Counters only: no decision is taken from here, so relaxed reads by the main thread are good enough.
 * The tables' array is replaced whole, under the mutex; whoever keeps a pointer into it is a worker thread,
 * and none of those runs while it is replaced.
 */
#include "replicator/stats.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/mem.h"

const uint64_t stats_bounds_us[STATS_BUCKETS] = {100,   250,   500,    1000,   2500,    5000,    10000,
                                                 25000, 50000, 100000, 250000, 1000000, 5000000, 30000000};
const uint64_t stats_bounds_rows[STATS_BUCKETS] = {1,    3,     10,    30,     100,    300,     1000,
                                                   3000, 10000, 30000, 100000, 300000, 1000000, 10000000};

const char *stats_stream_name(const struct stats *self)
{
    return self->reverse ? "reverse" : "forward";
}

struct stats *stats_new(const char *pipeline)
{
    struct stats *self = mem_alloc(sizeof(*self));
    int rc = pthread_mutex_init(&self->mutex, NULL);
    assert(rc == 0);
    snprintf(self->pipeline, sizeof(self->pipeline), "%s", pipeline);
    atomic_store(&self->role, STATS_STARTING);
    atomic_store(&self->phase, PHASE_CONNECT);
    atomic_store(&self->slot_limit_seconds, -1);
    atomic_store(&self->capture_lag_ms, -1);
    return self;
}

/* Who sees a new part sees the odd turn that was written before it. */
void stats_position_put(struct stats_position *self, struct position p)
{
    uint32_t turn = atomic_load_explicit(&self->turn, memory_order_relaxed);
    atomic_store_explicit(&self->turn, turn + 1, memory_order_release);
    atomic_store_explicit(&self->head, (uint32_t)p.kind << 16 | p.high, memory_order_release);
    atomic_store_explicit(&self->low, p.low, memory_order_release);
    atomic_store_explicit(&self->turn, turn + 2, memory_order_release);
}

struct position stats_position_get(struct stats_position *self)
{
    for (;;) {
        uint32_t turn = atomic_load_explicit(&self->turn, memory_order_acquire);
        uint32_t head = atomic_load_explicit(&self->head, memory_order_acquire);
        uint64_t low = atomic_load_explicit(&self->low, memory_order_acquire);
        if (turn % 2 == 0 && atomic_load_explicit(&self->turn, memory_order_acquire) == turn)
            return (struct position){
                .kind = (enum position_kind)(head >> 16), .high = (uint16_t)head, .low = low};
    }
}

static void free_tables(struct stats_table *tables, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        free(tables[i].from);
        free(tables[i].to);
        free(tables[i].group);
    }
    free(tables);
}

void stats_free(struct stats *self)
{
    if (!self)
        return;
    free_tables(self->tables, self->table_count);
    pthread_mutex_destroy(&self->mutex);
    free(self);
}

void stats_lock(struct stats *self)
{
    int rc = pthread_mutex_lock(&self->mutex);
    assert(rc == 0);
}

void stats_unlock(struct stats *self)
{
    int rc = pthread_mutex_unlock(&self->mutex);
    assert(rc == 0);
}

/* Tables mostly keep their order from one start to the next: look in the same place first. */
static const struct stats_table *find(const struct stats *self, const char *from, uint32_t guess)
{
    if (guess < self->table_count && strcmp(self->tables[guess].from, from) == 0)
        return &self->tables[guess];
    for (uint32_t i = 0; i < self->table_count; i++)
        if (strcmp(self->tables[i].from, from) == 0)
            return &self->tables[i];
    return NULL;
}

/* In the reverse direction the target's. */
static char *source_name(const struct table *table)
{
    struct buffer out = {0};
    buffer_printf(&out, "%s.%s", table->from_schema, table->from_name);
    return buffer_detach(&out);
}

static void fill_table(struct stats_table *out, const struct table *table, const struct stats_table *before,
                       bool reverse)
{
    if (before)
        *out = *before;
    out->from = mem_strdup(table->from);
    out->to = reverse ? source_name(table) : mem_strdup(table->to);
    out->group = mem_strdup(table->group ? table->group : "default");
    out->capture = table->capture;
    atomic_store(&out->state, (int)table->state);
    atomic_store(&out->rows_total, table->source_rows);
    atomic_store(&out->rate_rows_s, 0);
}

void stats_publish_tables(struct stats *self, const struct table_set *tables)
{
    struct stats_table *fresh = mem_alloc((tables->count + 1) * sizeof(*fresh));
    stats_lock(self);
    for (uint32_t i = 0; i < tables->count; i++)
        fill_table(&fresh[i], tables->tables[i], find(self, tables->tables[i]->from, i), self->reverse);
    struct stats_table *old = self->tables;
    uint32_t old_count = self->table_count;
    self->tables = fresh;
    self->table_count = tables->count;
    stats_unlock(self);
    free_tables(old, old_count);
}

void stats_reason(struct stats *self, uint32_t table_id, enum table_state state, const char *reason)
{
    stats_lock(self);
    if (table_id < self->table_count) {
        struct stats_table *t = &self->tables[table_id];
        atomic_store(&t->state, (int)state);
        snprintf(t->reason, sizeof(t->reason), "%s", reason ? reason : "");
    }
    stats_unlock(self);
}

void stats_conflict(struct stats *self, uint32_t table_id, const char *sample)
{
    stats_lock(self);
    if (table_id < self->table_count) {
        struct stats_table *t = &self->tables[table_id];
        snprintf(t->conflict_sample, sizeof(t->conflict_sample), "%s", sample);
    }
    stats_unlock(self);
}

void stats_error(struct stats *self, const struct error *err)
{
    assert(err->kind >= ERROR_NONE && err->kind <= ERROR_CANCELED);
    atomic_fetch_add(&self->errors[err->kind], 1);
    stats_lock(self);
    snprintf(self->last_error, sizeof(self->last_error), "%s", err->text);
    stats_unlock(self);
}

void stats_observe(struct stats_histogram *h, const uint64_t bounds[STATS_BUCKETS], uint64_t value)
{
    for (int i = 0; i < STATS_BUCKETS; i++) {
        if (value <= bounds[i]) {
            atomic_fetch_add_explicit(&h->bucket[i], 1, memory_order_relaxed);
            break;
        }
    }
    atomic_fetch_add_explicit(&h->count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->sum, value, memory_order_relaxed);
}

const char *stats_role_name(enum stats_role role)
{
    static const char *const names[] = {"starting", "standby", "active", "stopping"};
    return names[role];
}

const char *stats_phase_name(enum stats_phase phase)
{
    static const char *const names[] = {"connect", "standby",   "prepare", "backfill", "catchup",
                                        "finish",  "streaming", "backoff", "stopped"};
    return names[phase];
}
