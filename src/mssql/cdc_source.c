/* SPDX-License-Identifier: PostgreSQL
 *
 * From change tables to events. The argument why nothing is lost, doubled or out of order (DESIGN.md rule
 * 11):
 *
 *  1. A poll fixes `to`: the last of the transactions listed in cdc.lsn_time_mapping behind `end`, or what
 * capture has reached when there is none. Capture commits in commit order, the mapping's row with the
 * transaction's rows: everything up to `to` is there and nothing is added to it. Later polls begin behind it.
 *  2. Rows of (end, to] are read from the change tables themselves, in pages along (commit LSN, command id,
 * seqval, operation), which is their index; the functions hide the command id, and seqval alone is no order
 * (fact 15). k streams of pages are merged by the same tuple. No page depends on the size of a transaction;
 * memory is the page room and a change.
 *  3. Events are grouped by commit LSN: BEGIN, changes, COMMIT. `end` moves only with COMMIT or when the
 * range is used up; a reader that stops in between begins again at the last COMMIT (hazard 2).
 *  4. Clean-up moves the low watermarks first, then deletes (fact 16). The watermarks are read after the last
 * row that a COMMIT depends on and before it is handed out (watch): none of them past end+1 means that no row
 * behind `end` was deleted before we read (hazard 46). Each instance is judged alone (hazard 8); all zeros is
 * a missing right or a wrong name, never "no limit" (hazard 9). While nothing happens `end` follows what
 * capture has reached, so that clean-up of a quiet table can't look like lost history.
 *  5. Instances are known by their object id. One that vanishes takes the table's history along (hazard 13):
 * drift. A second one takes over where it begins (hazard 12), see cdc_stream.c. A change of definition shows
 * in cdc.ddl_history with its LSN: the catalog is read again, and what does not fit any more is drift before
 * the first event of that range.
 *  6. Computed and text/ntext/image columns never come from here; a large value whose mask bit is clear is
 * "not provided" (fact 19).
 *  7. A commit LSN that has a row of our pipeline in the captured progress table is our own (rule 7): its
 * other rows are not even read, BEGIN and COMMIT are handed out with `own`.
 *  8. A position beyond everything captured belongs to another history (hazard 50): fatal, never idle.
 */
#include "mssql/cdc_source.h"

#include <assert.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "mssql/cdc_instance.h"
#include "mssql/cdc_lsn.h"
#include "mssql/cdc_merge.h"
#include "mssql/cdc_poll.h"
#include "mssql/sql.h"

enum {
    FIRST_PAUSE_MS = 10, /* after the first empty poll; doubled up to poll_interval */
    MIN_ROOM = 64 * 1024,
    DEFAULT_MEMORY = 32 << 20
};

struct cdc_source {
    struct source base;
    struct cdc_source_options o;
    char *pipeline;
    struct ms_conn conn;
    struct cdc_instances instances;
    struct cdc_merge merge;
    struct cdc_bounds bounds;
    struct cdc_watch watch;
    struct arena *arena;    /* of the event in hand */
    struct buffer progress; /* change table of crossfade.progress; empty: there is none */
    struct buffer own;      /* sub-select that is true for our own LSNs */

    struct position end; /* everything up to here was handed out */
    struct position to;  /* of the range in hand */
    bool ranged;         /* there is one: (end, to] */
    bool open;           /* between BEGIN and COMMIT */
    uint32_t own_at;     /* next of bounds.own */
    struct transaction transaction;

    int64_t next_poll_ms, pause_ms;
    int cancel_fd;
    _Atomic bool canceled;
    _Atomic uint64_t max_high, max_low, received_high, received_low;
    _Atomic int64_t capture_lag_ms;
};

enum outcome { FAILED, NO_EVENT, EVENT };

static struct cdc_source *cast(struct source *base)
{
    return (struct cdc_source *)base;
}

static void show(_Atomic uint64_t *high, _Atomic uint64_t *low, struct position p)
{
    atomic_store_explicit(high, p.high, memory_order_relaxed);
    atomic_store_explicit(low, p.low, memory_order_relaxed);
}

static void move_end(struct cdc_source *self, struct position end)
{
    assert(cdc_lsn_compare(self->end, end) <= 0);
    self->end = end;
    show(&self->received_high, &self->received_low, end);
}

/* --- reading --- */

static size_t room_left(const struct cdc_source *self)
{
    size_t held = 0;
    for (uint32_t i = 0; i < self->instances.set.count; i++) {
        const struct cdc_stream *s = self->instances.set.streams[i];
        held += s->at < s->count ? s->bytes : 0;
    }
    size_t memory = self->o.memory ? self->o.memory : DEFAULT_MEMORY;
    return held + MIN_ROOM < memory ? memory - held : MIN_ROOM;
}

/* A failed page is looked into: an instance that was dropped meanwhile is a drift, not a failure. */
static bool after_failure(struct cdc_source *self, struct cdc_stream *bad, struct error *err)
{
    struct error other;
    char text[800];
    if (bad) {
        snprintf(text, sizeof(text), "%.560s - mend the row, then crossfade recopy --table %.130s", err->text,
                 bad->table->from);
        cdc_instances_lose(&self->instances, bad->table, false, text);
        return true;
    }
    if (err->kind == ERROR_RETRY || err->kind == ERROR_CANCELED || err->kind == ERROR_FATAL ||
        !ms_conn_alive(&self->conn))
        return false;
    uint32_t before = self->instances.drift_count;
    if (!cdc_watch_read(&self->conn, self->end, self->to, &self->watch, &other))
        return false;
    if (!cdc_instances_judge(&self->instances, &self->watch, self->end, &other)) {
        *err = other;
        return false;
    }
    return self->instances.drift_count > before;
}

/* Every stream has a row or its end, and the history behind them is whole. */
static bool fill(struct cdc_source *self, struct error *err)
{
    bool hungry = false;
    for (uint32_t i = 0; i < self->instances.set.count; i++)
        hungry = hungry || cdc_stream_is_hungry(self->instances.set.streams[i]);
    if (!hungry)
        return true;
    bool *was = mem_alloc(self->instances.set.count);
    bool ok = true, watched = false;
    for (uint32_t i = 0; i < self->instances.set.count; i++)
        was[i] = cdc_stream_is_hungry(self->instances.set.streams[i]);
    while (ok && !watched) {
        struct cdc_stream *bad;
        const char *own = self->bounds.own_count ? buffer_text(&self->own) : NULL;
        ok = cdc_pages_read(&self->conn, &self->instances.set, self->end, self->to, own, room_left(self),
                            &self->watch, &watched, &bad, err) ||
             after_failure(self, bad, err);
    }
    for (uint32_t i = 0; i < self->instances.set.count && ok; i++) {
        struct cdc_stream *s = self->instances.set.streams[i];
        if (was[i] && s->at < s->count)
            cdc_merge_push(&self->merge, i, &s->rows[s->at].key);
    }
    free(was);
    return ok && cdc_instances_judge(&self->instances, &self->watch, self->end, err) &&
           cdc_instances_changed(&self->instances, &self->conn, &self->watch, self->end, err);
}

/* --- events --- */

static void emit_drift(struct cdc_source *self, struct source_event *out)
{
    const struct cdc_drift *d = &self->instances.drifts[self->instances.drift_at++];
    out->kind = SOURCE_DRIFT;
    out->table = d->table;
    out->recopy = true;
    snprintf(out->text, sizeof(out->text), "%s", d->text);
    if (self->instances.drift_at == self->instances.drift_count)
        self->instances.drift_at = self->instances.drift_count = 0;
}

static void emit_begin(struct cdc_source *self, struct position lsn, bool own, struct source_event *out)
{
    self->open = true;
    self->transaction = (struct transaction){
        .end = lsn, .commit = lsn, .commit_time_us = cdc_bounds_time(&self->bounds, lsn), .own = own};
    out->kind = SOURCE_BEGIN;
    out->transaction = self->transaction;
}

static void emit_commit(struct cdc_source *self, struct source_event *out)
{
    self->open = false;
    move_end(self, self->transaction.end);
    out->kind = SOURCE_COMMIT;
    out->transaction = self->transaction;
}

/* Of an old row only the key goes on; of a keyless table's all of it. */
static struct value *old_values(struct cdc_source *self, const struct table *t, struct value *row)
{
    if (t->key_count == 0)
        return row;
    struct value *key = arena_alloc(self->arena, t->column_count * sizeof(*key));
    memset(key, 0, t->column_count * sizeof(*key));
    for (uint16_t i = 0; i < t->key_count; i++)
        key[t->key[i]] = row[t->key[i]];
    return key;
}

static void set_old(struct cdc_source *self, struct change *c, struct value *row)
{
    c->old = old_values(self, c->table, row);
    c->old_kind = c->table->key_count ? OLD_KEY : OLD_FULL;
}

/* One row, or the two of an update, of the stream the merge gave. */
static enum outcome emit_change(struct cdc_source *self, struct cdc_stream *s, struct source_event *out)
{
    struct cdc_row *row = &s->rows[s->at++];
    struct change *c = &out->change;
    *c = (struct change){.table = s->table};
    switch ((enum cdc_operation)row->key.operation) {
    case CDC_DELETE:
        c->op = CHANGE_DELETE;
        set_old(self, c, row->values);
        break;
    case CDC_INSERT:
        c->op = CHANGE_INSERT;
        c->row = row->values;
        break;
    case CDC_UPDATE_OLD:
        if (s->at == s->count || !cdc_key_is_pair(&row->key, &s->rows[s->at].key))
            return NO_EVENT;
        c->op = CHANGE_UPDATE;
        c->row = s->rows[s->at++].values;
        set_old(self, c, row->values);
        if (s->table->key_count && !change_moves_key(c)) {
            c->old = NULL;
            c->old_kind = OLD_NONE;
        }
        break;
    case CDC_UPDATE_NEW:
        return NO_EVENT;
    }
    out->kind = SOURCE_CHANGE;
    return EVENT;
}

static enum outcome take_change(struct cdc_source *self, uint32_t stream, struct source_event *out)
{
    struct cdc_stream *s = self->instances.set.streams[stream];
    cdc_merge_pop(&self->merge);
    if (s->lost)
        return NO_EVENT;
    enum outcome o = emit_change(self, s, out);
    if (o == NO_EVENT) {
        char text[800];
        snprintf(text, sizeof(text), "half of an update in %.150s - crossfade recopy --table %.130s",
                 s->change_table, s->table->from);
        cdc_instances_lose(&self->instances, s->table, false, text);
        return NO_EVENT;
    }
    if (s->at < s->count)
        cdc_merge_push(&self->merge, stream, &s->rows[s->at].key);
    return o;
}

/* The next LSN of the range: of a row, or of a transaction of our own. */
static bool next_lsn(const struct cdc_source *self, const struct cdc_merge_item *item, struct position *out,
                     bool *own)
{
    *own = false;
    if (item)
        *out = item->key.lsn;
    if (self->own_at < self->bounds.own_count) {
        struct position p = self->bounds.own[self->own_at];
        if (cdc_lsn_compare(p, self->to) <= 0 && (!item || cdc_lsn_compare(p, *out) < 0)) {
            *out = p;
            *own = true;
        }
    }
    return item || *own;
}

/* The position goes out before anything of a later range is read. */
static enum outcome end_range(struct cdc_source *self, struct source_event *out)
{
    self->ranged = false;
    move_end(self, self->to);
    out->kind = SOURCE_NOTHING;
    out->position = self->end;
    return EVENT;
}

static enum outcome step(struct cdc_source *self, struct source_event *out, struct error *err)
{
    struct position lsn;
    bool own;
    if (!fill(self, err))
        return FAILED;
    if (self->instances.drift_at < self->instances.drift_count) {
        emit_drift(self, out);
        return EVENT;
    }
    const struct cdc_merge_item *item = cdc_merge_least(&self->merge);
    if (item && self->instances.set.streams[item->stream]->lost) {
        cdc_merge_pop(&self->merge);
        return NO_EVENT;
    }
    bool more = next_lsn(self, item, &lsn, &own);
    if (self->open && (!more || cdc_lsn_compare(lsn, self->transaction.end) != 0)) {
        emit_commit(self, out);
        return EVENT;
    }
    if (!more)
        return end_range(self, out);
    if (!self->open) {
        emit_begin(self, lsn, own, out);
        self->own_at += own;
        return EVENT;
    }
    return take_change(self, item->stream, out);
}

/* --- polling --- */

static void set_pause(struct cdc_source *self, bool found)
{
    int64_t longest = self->o.poll_interval_ms > 0 ? self->o.poll_interval_ms : FIRST_PAUSE_MS;
    self->pause_ms = found ? 0 : self->pause_ms ? self->pause_ms * 2 : FIRST_PAUSE_MS;
    if (self->pause_ms > longest)
        self->pause_ms = longest;
    self->next_poll_ms = clock_ms() + self->pause_ms;
}

static bool beyond(const struct cdc_source *self, struct error *err)
{
    char at[POSITION_TEXT_SIZE], max[POSITION_TEXT_SIZE];
    return error_set(
        err, ERROR_FATAL,
        "the position %s lies beyond all that database %s has captured (%s) - it was restored, or failed "
        "over with loss - crossfade recopy",
        position_format(self->end, at), self->conn.database,
        self->bounds.max.kind == POSITION_NONE ? "nothing" : position_format(self->bounds.max, max));
}

static void begin_range(struct cdc_source *self)
{
    self->to = self->bounds.count ? self->bounds.commits[self->bounds.count - 1].lsn : self->bounds.max;
    self->own_at = 0;
    self->ranged = true;
    cdc_merge_clear(&self->merge);
    for (uint32_t i = 0; i < self->instances.set.count; i++)
        cdc_stream_begin(self->instances.set.streams[i], self->end, self->to);
}

/* Nothing but dummy entries in between: history is looked after all the same, then the position moves. */
static bool skip_empty(struct cdc_source *self, struct error *err)
{
    for (uint32_t i = 0; i < self->instances.set.count; i++)
        self->instances.set.streams[i]->exhausted = true;
    return cdc_watch_read(&self->conn, self->end, self->to, &self->watch, err) &&
           cdc_instances_judge(&self->instances, &self->watch, self->end, err) &&
           cdc_instances_changed(&self->instances, &self->conn, &self->watch, self->end, err);
}

static bool poll_once(struct cdc_source *self, struct error *err)
{
    if (self->instances.reread && !cdc_instances_read(&self->instances, &self->conn, self->end, err))
        return false;
    if (!cdc_bounds_read(&self->conn, self->end, self->progress.length ? buffer_text(&self->progress) : NULL,
                         self->pipeline, &self->bounds, err))
        return false;
    if (cdc_lsn_compare(self->bounds.max, self->end) < 0)
        return beyond(self, err);
    show(&self->max_high, &self->max_low, self->bounds.max);
    atomic_store_explicit(&self->capture_lag_ms, self->bounds.max_age_ms, memory_order_relaxed);
    bool found = self->bounds.count > 0;
    set_pause(self, found);
    if (found || cdc_lsn_compare(self->bounds.max, self->end) > 0)
        begin_range(self);
    return found || !self->ranged || skip_empty(self, err);
}

/* Until then or a cancel. */
static void rest(struct cdc_source *self, int64_t until_ms)
{
    struct pollfd p = {.fd = self->cancel_fd, .events = POLLIN};
    int64_t left = until_ms - clock_ms();
    if (left > 0)
        (void)poll(&p, 1, left > 1000 ? 1000 : (int)left);
}

static bool cdc_source_next(struct source *base, int64_t deadline_ms, struct source_event *out,
                            struct error *err)
{
    struct cdc_source *self = cast(base);
    enum outcome o = NO_EVENT;
    out->position = (struct position){.kind = POSITION_NONE};
    out->awaited = false;
    arena_reset(self->arena);
    while (o == NO_EVENT) {
        if (atomic_load(&self->canceled))
            return error_set(err, ERROR_CANCELED, "reading changes was stopped");
        if (self->instances.drift_at < self->instances.drift_count && !self->open) {
            emit_drift(self, out);
            return true;
        }
        if (self->ranged) {
            o = step(self, out, err);
            continue;
        }
        int64_t now = clock_ms();
        if (now >= self->next_poll_ms) {
            o = poll_once(self, err) ? NO_EVENT : FAILED;
        } else if (now >= deadline_ms) {
            out->kind = SOURCE_NOTHING;
            out->position = self->end;
            o = EVENT;
        } else {
            rest(self, deadline_ms < self->next_poll_ms ? deadline_ms : self->next_poll_ms);
        }
    }
    return o != FAILED;
}

/* --- the rest of struct source --- */

/* What is kept on the source does not depend on us: retention does (fact 22). */
static void cdc_source_confirm(struct source *base, struct position confirmed)
{
    (void)base;
    assert(confirmed.kind != POSITION_LSN);
}

static bool cdc_source_tick(struct source *base, struct error *err)
{
    (void)base;
    (void)err;
    return true;
}

static void cdc_source_cancel(struct source *base)
{
    struct cdc_source *self = cast(base);
    uint64_t one = 1;
    atomic_store(&self->canceled, true);
    ms_conn_cancel(&self->conn);
    if (write(self->cancel_fd, &one, sizeof(one)) < 0)
        return; /* full: it is awake anyway */
}

static void cdc_source_free(struct source *base)
{
    if (!base)
        return;
    struct cdc_source *self = cast(base);
    ms_conn_close(&self->conn);
    cdc_instances_free(&self->instances);
    cdc_merge_free(&self->merge);
    cdc_bounds_free(&self->bounds);
    cdc_watch_free(&self->watch);
    arena_free(self->arena);
    buffer_free(&self->progress);
    buffer_free(&self->own);
    free(self->pipeline);
    if (self->cancel_fd >= 0)
        close(self->cancel_fd);
    free(self);
}

static const struct source_ops cdc_source_ops = {
    .next = cdc_source_next,
    .confirm = cdc_source_confirm,
    .tick = cdc_source_tick,
    .cancel = cdc_source_cancel,
    .free = cdc_source_free,
};

/* Is our own progress table captured? Then it marks what we wrote ourselves. */
static bool find_progress(struct cdc_source *self, struct error *err)
{
    char table[300];
    bool is_null;
    if (!ms_query_one(&self->conn,
                      "SELECT MAX(OBJECT_NAME(c.object_id)) FROM cdc.change_tables AS c"
                      " WHERE c.source_object_id = OBJECT_ID(N'crossfade.progress')",
                      table, sizeof(table), &is_null, err))
        return false;
    if (is_null || !table[0])
        return true;
    ms_sql_qualified(&self->progress, "cdc", table);
    buffer_printf(
        &self->own,
        "SELECT 1 FROM %s AS [x] WHERE [x].[__$start_lsn] = [t].[__$start_lsn] AND [x].[pipeline] = ",
        buffer_text(&self->progress));
    ms_sql_literal(&self->own, self->pipeline);
    return true;
}

static bool open_all(struct cdc_source *self, struct error *err)
{
    if (self->cancel_fd < 0)
        return error_set(err, ERROR_RETRY, "no file descriptor left");
    if (!ms_conn_open(&self->conn, &self->o.conn, err) ||
        !cdc_instances_read(&self->instances, &self->conn, self->end, err) || !find_progress(self, err))
        return false;
    bool history = self->instances.drift_count > 0 && !cdc_instances_any_alive(&self->instances);
    for (uint32_t i = 0; i < self->instances.drift_count; i++)
        history = history && self->instances.drifts[i].history;
    uint32_t more = self->instances.drift_count - 1;
    if (history && more > 0)
        return error_set(err, ERROR_FATAL, "%s - and so of %u more table(s)", self->instances.drifts[0].text,
                         more);
    if (history)
        return error_set(err, ERROR_FATAL, "%s", self->instances.drifts[0].text);
    return poll_once(self, err);
}

bool cdc_source_open(const struct cdc_source_options *options, struct source **out, struct error *err)
{
    assert(options->start.kind == POSITION_CDC);
    struct cdc_source *self = mem_alloc(sizeof(*self));
    self->base.ops = &cdc_source_ops;
    self->o = *options;
    self->pipeline = mem_strdup(options->pipeline);
    self->o.pipeline = self->pipeline;
    self->end = options->start;
    self->instances = (struct cdc_instances){
        .tables = options->tables, .policies = options->policies, .value_limit = options->value_limit};
    self->arena = arena_new();
    self->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    atomic_init(&self->capture_lag_ms, -1);
    show(&self->received_high, &self->received_low, options->start);
    *out = NULL;
    if (!open_all(self, err)) {
        cdc_source_free(&self->base);
        return false;
    }
    *out = &self->base;
    return true;
}

void cdc_source_progress(const struct source *base, struct position *max, struct position *received,
                         int64_t *capture_lag_ms)
{
    const struct cdc_source *self = (const struct cdc_source *)base;
    *max = (struct position){.kind = POSITION_CDC,
                             .high = (uint16_t)atomic_load_explicit(&self->max_high, memory_order_relaxed),
                             .low = atomic_load_explicit(&self->max_low, memory_order_relaxed)};
    *received =
        (struct position){.kind = POSITION_CDC,
                          .high = (uint16_t)atomic_load_explicit(&self->received_high, memory_order_relaxed),
                          .low = atomic_load_explicit(&self->received_low, memory_order_relaxed)};
    *capture_lag_ms = atomic_load_explicit(&self->capture_lag_ms, memory_order_relaxed);
}
