/* SPDX-License-Identifier: PostgreSQL
 *
 * Why nothing is lost: a cursor is handed out only behind a round that was read to its end (`end` moves with
 * COMMIT, or with a round that had no row). Why no row is deleted that lives: what a sweep found was looked
 * up at the source in the same call of next() that begins its transaction, and no round is read before its
 * last DELETE is handed out; a row that was born meanwhile comes in a later round, behind the DELETE.
 */
#include "model/polled.h"

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

enum { FIRST_PAUSE_MS = 10 };

struct polled_source {
    struct source base;
    struct polled_options o;
    struct arena *arena; /* of the event in hand */
    struct arena *kept;  /* of the change or the piece that waits for its BEGIN */
    struct position end; /* everything up to here was handed out */
    struct polled_round round;
    bool reading; /* a round is open at the reader */
    bool open;    /* between BEGIN and COMMIT */
    bool news;    /* the round in hand had something */
    struct transaction transaction;
    struct polled_item item; /* its change waits */
    bool waits;
    struct polled_piece piece;
    bool sweeping; /* `piece` is being handed out */
    size_t piece_at;
    char warned[400];
    int64_t next_poll_ms, pause_ms;
    int cancel_fd;
    _Atomic bool canceled;
};

enum outcome { FAILED, NO_EVENT, EVENT };

static struct polled_source *cast(struct source *base)
{
    return (struct polled_source *)base;
}

static enum outcome emit_begin(struct polled_source *self, struct position end, struct source_event *out)
{
    self->transaction =
        (struct transaction){.end = end, .commit = end, .commit_time_us = self->round.time_us};
    self->open = true;
    out->kind = SOURCE_BEGIN;
    out->transaction = self->transaction;
    return EVENT;
}

static enum outcome emit_commit(struct polled_source *self, struct source_event *out)
{
    self->open = false;
    self->end = self->transaction.end;
    out->kind = SOURCE_COMMIT;
    out->transaction = self->transaction;
    return EVENT;
}

static enum outcome emit_nothing(struct polled_source *self, struct source_event *out)
{
    out->kind = SOURCE_NOTHING;
    out->position = self->end;
    return EVENT;
}

static enum outcome emit_change(const struct change *change, struct source_event *out)
{
    out->kind = SOURCE_CHANGE;
    out->change = *change;
    return EVENT;
}

static enum outcome emit_lost(struct table *table, const char *text, struct source_event *out)
{
    out->kind = SOURCE_DRIFT;
    out->table = table;
    out->recopy = true;
    snprintf(out->text, sizeof(out->text), "%s", text);
    return EVENT;
}

/* --- a round --- */

static void set_pause(struct polled_source *self, bool busy)
{
    int64_t longest = self->o.poll_interval_ms > 0 ? self->o.poll_interval_ms : FIRST_PAUSE_MS;
    if (self->o.steady)
        self->pause_ms = longest;
    else
        self->pause_ms = busy ? 0 : self->pause_ms ? self->pause_ms * 2 : FIRST_PAUSE_MS;
    if (self->pause_ms > longest)
        self->pause_ms = longest;
    self->next_poll_ms = clock_ms() + self->pause_ms;
}

static enum outcome end_round(struct polled_source *self, struct source_event *out)
{
    self->reading = false;
    if (!self->o.steady)
        set_pause(self, self->news || self->round.more);
    if (self->open)
        return emit_commit(self, out);
    self->end = self->round.to;
    return emit_nothing(self, out);
}

static enum outcome read_round(struct polled_source *self, struct source_event *out, struct error *err)
{
    if (self->waits) {
        self->waits = false;
        return emit_change(&self->item.change, out);
    }
    arena_reset(self->open ? self->arena : self->kept);
    switch (
        self->o.reader->ops->next(self->o.reader, self->open ? self->arena : self->kept, &self->item, err)) {
    case POLLED_ROW:
        self->news = true;
        if (self->open)
            return emit_change(&self->item.change, out);
        self->waits = true;
        return emit_begin(self, self->round.to, out);
    case POLLED_LOST:
        return emit_lost(self->item.table, self->item.text, out);
    case POLLED_ASK:
        if (self->o.sweep)
            self->o.sweep->ops->ask(self->o.sweep, self->item.table);
        return NO_EVENT;
    case POLLED_END:
        return end_round(self, out);
    case POLLED_FAILED:
        break;
    }
    return FAILED;
}

static bool is_news(struct polled_source *self)
{
    bool news = self->round.warning[0] && strcmp(self->warned, self->round.warning) != 0;
    memcpy(self->warned, self->round.warning, sizeof(self->warned));
    return news;
}

static enum outcome look(struct polled_source *self, struct source_event *out, struct error *err)
{
    self->round = (struct polled_round){.to = self->end};
    if (!self->o.reader->ops->look(self->o.reader, self->end, &self->round, err))
        return FAILED;
    assert(position_compare(self->end, self->round.to) <= 0);
    self->reading = self->round.found;
    self->news = false;
    if (self->reading && self->o.steady)
        set_pause(self, false);
    if (!self->reading) {
        set_pause(self, false);
        self->end = self->round.to;
    }
    if (is_news(self)) {
        out->kind = SOURCE_DRIFT;
        out->table = NULL;
        snprintf(out->text, sizeof(out->text), "%s", self->warned);
        return EVENT;
    }
    return self->reading ? NO_EVENT : emit_nothing(self, out);
}

/* --- a sweep --- */

static enum outcome begin_piece(struct polled_source *self, struct source_event *out, struct error *err)
{
    arena_reset(self->kept);
    self->piece = (struct polled_piece){0};
    if (!self->o.sweep->ops->piece(self->o.sweep, self->kept, &self->piece, err))
        return FAILED;
    if (self->piece.swept && self->o.reader->ops->swept)
        self->o.reader->ops->swept(self->o.reader, self->piece.swept);
    if (self->piece.lost)
        return emit_lost(self->piece.lost, self->piece.text, out);
    if (self->piece.count == 0)
        return NO_EVENT;
    self->sweeping = true;
    self->piece_at = 0;
    return emit_begin(self, self->end, out);
}

static enum outcome hand_out_piece(struct polled_source *self, struct source_event *out)
{
    if (self->piece_at < self->piece.count)
        return emit_change(&self->piece.gone[self->piece_at++], out);
    self->sweeping = false;
    return emit_commit(self, out);
}

/* --- struct source --- */

static void rest(struct polled_source *self, int64_t until_ms)
{
    struct pollfd p = {.fd = self->cancel_fd, .events = POLLIN};
    int64_t left = until_ms - clock_ms();
    if (left > 0)
        (void)poll(&p, 1, left > 1000 ? 1000 : (int)left);
}

static enum outcome step(struct polled_source *self, int64_t deadline_ms, struct source_event *out,
                         struct error *err)
{
    bool urgent = false;
    int64_t now = clock_ms();
    if (self->sweeping)
        return hand_out_piece(self, out);
    if (self->reading)
        return read_round(self, out, err);
    int64_t sweep_ms = self->o.sweep ? self->o.sweep->ops->due(self->o.sweep, &urgent) : INT64_MAX;
    if (now >= self->next_poll_ms && !urgent)
        return look(self, out, err);
    if (now >= sweep_ms || urgent) {
        enum outcome o = begin_piece(self, out, err);
        return o == NO_EVENT && now >= deadline_ms ? emit_nothing(self, out) : o;
    }
    if (now >= deadline_ms)
        return emit_nothing(self, out);
    int64_t until = deadline_ms < self->next_poll_ms ? deadline_ms : self->next_poll_ms;
    rest(self, until < sweep_ms ? until : sweep_ms);
    return NO_EVENT;
}

static bool polled_source_next(struct source *base, int64_t deadline_ms, struct source_event *out,
                               struct error *err)
{
    struct polled_source *self = cast(base);
    enum outcome o = NO_EVENT;
    out->position = (struct position){.kind = POSITION_NONE};
    out->awaited = false;
    while (o == NO_EVENT) {
        if (atomic_load(&self->canceled))
            return error_set(err, ERROR_CANCELED, "reading changes was stopped");
        o = step(self, deadline_ms, out, err);
    }
    return o != FAILED;
}

/* What the source keeps does not depend on us. */
static void polled_source_confirm(struct source *base, struct position confirmed)
{
    (void)base;
    (void)confirmed;
}

static bool polled_source_tick(struct source *base, struct error *err)
{
    (void)base;
    (void)err;
    return true;
}

static void polled_source_cancel(struct source *base)
{
    struct polled_source *self = cast(base);
    uint64_t one = 1;
    atomic_store(&self->canceled, true);
    self->o.reader->ops->cancel(self->o.reader);
    if (self->o.sweep)
        self->o.sweep->ops->cancel(self->o.sweep);
    if (write(self->cancel_fd, &one, sizeof(one)) < 0)
        return; /* full: it is awake anyway */
}

static void polled_source_free(struct source *base)
{
    if (!base)
        return;
    struct polled_source *self = cast(base);
    self->o.reader->ops->free(self->o.reader);
    if (self->o.sweep)
        self->o.sweep->ops->free(self->o.sweep);
    arena_free(self->arena);
    arena_free(self->kept);
    if (self->cancel_fd >= 0)
        close(self->cancel_fd);
    free(self);
}

static const struct source_ops polled_source_ops = {
    .next = polled_source_next,
    .confirm = polled_source_confirm,
    .tick = polled_source_tick,
    .cancel = polled_source_cancel,
    .free = polled_source_free,
};

bool polled_source_open(const struct polled_options *options, struct source **out, struct error *err)
{
    assert(position_is_cursor(options->start));
    struct polled_source *self = mem_alloc(sizeof(*self));
    self->base.ops = &polled_source_ops;
    self->o = *options;
    self->end = options->start;
    self->arena = arena_new();
    self->kept = arena_new();
    self->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    *out = NULL;
    if (self->cancel_fd < 0) {
        polled_source_free(&self->base);
        return error_set(err, ERROR_RETRY, "no file descriptor left");
    }
    *out = &self->base;
    return true;
}
