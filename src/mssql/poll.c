/* SPDX-License-Identifier: PostgreSQL */
#include "mssql/poll.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "mssql/poll_part.h"

static struct ms_poll *cast(struct polled_reader *base)
{
    return (struct ms_poll *)base;
}

/* --- rows --- */

static bool start_table(struct ms_poll *self, struct ms_poll_table *t, struct error *err)
{
    struct buffer sql = {0};
    struct position from = self->from;
    if (self->o.capture == CAPTURE_CHANGE_TRACKING)
        from.low = ms_poll_base(self, t);
    t->nulls_now = t->nulls;
    seen_begin(&t->seen);
    ms_poll_put_rows(t, self->o.capture, from, self->to, self->zone_minutes, &sql);
    bool ok = ms_query_start(&self->conn, buffer_text(&sql), err);
    buffer_free(&sql);
    self->started = ok;
    self->conn.damaged = false;
    return ok;
}

static void make_delete(const struct ms_poll_table *t, const struct value *key, bool whole,
                        struct arena *arena, struct change *out)
{
    out->op = CHANGE_DELETE;
    out->row = NULL;
    out->old_kind = OLD_KEY;
    out->old = arena_alloc(arena, t->table->column_count * sizeof(*out->old));
    memset(out->old, 0, t->table->column_count * sizeof(*out->old));
    for (uint16_t i = 0; i < t->table->key_count; i++)
        out->old[t->table->key[i]] = key[whole ? t->table->key[i] : i];
}

static bool take_tracked_row(struct ms_poll *self, const struct ms_poll_table *t, struct arena *arena,
                             struct change *out, struct error *err)
{
    struct value *key;
    if (ms_column_int(&self->conn, 0) != 0)
        return ms_row_values(&t->plan, &self->conn, 1 + t->keys.width, &self->scratch, arena, &out->row, err);
    if (!ms_row_values(&t->keys, &self->conn, 1, &self->scratch, arena, &key, err))
        return false;
    make_delete(t, key, false, arena, out);
    return true;
}

enum { PART_WINDOW, PART_NULLS };

/* *news false: it is as it was. */
static bool take_row(struct ms_poll *self, struct ms_poll_table *t, struct arena *arena, struct change *out,
                     bool *news, struct error *err)
{
    bool timed = self->o.capture == CAPTURE_TIMESTAMP;
    *out = (struct change){.table = t->table, .op = CHANGE_UPDATE};
    *news = true;
    if (self->conn.damaged)
        return error_set(err, ERROR_DATA, "%s: characters that the client library can't convert",
                         t->table->from);
    if (self->o.capture == CAPTURE_CHANGE_TRACKING)
        return take_tracked_row(self, t, arena, out, err);
    if (!ms_row_values(&t->plan, &self->conn, timed ? 2 : 0, &self->scratch, arena, &out->row, err))
        return false;
    bool gone = timed && ms_column_int(&self->conn, 0) != 0;
    unsigned part = timed && ms_column_int(&self->conn, 1) != 0 ? PART_NULLS : PART_WINDOW;
    if (self->o.capture != CAPTURE_ROWVERSION)
        *news = seen_is_news(&t->seen, t->table, out->row, gone, part);
    if (gone)
        make_delete(t, out->row, true, arena, out);
    return true;
}

/* Its rows are all read. *ask: some that were there are not. */
static void end_table(struct ms_poll *self, struct ms_poll_table *t, bool *ask)
{
    *ask = seen_end(&t->seen, PART_WINDOW) > 0 && self->o.capture == CAPTURE_SNAPSHOT;
    if (t->nulls_now)
        (void)seen_end(&t->seen, PART_NULLS);
    t->nulls = t->nulls && !t->nulls_now;
    t->begun_reading = true;
    self->at++;
}

/* What this table alone is to blame for: it stops, the others go on. Its failed statement has taken the
 * transaction along. */
static bool blame(struct ms_poll *self, struct ms_poll_table *t, struct error *err)
{
    struct error other;
    ms_query_stop(&self->conn);
    if ((err->kind != ERROR_DATA && err->kind != ERROR_TABLE && err->kind != ERROR_REFUSED) ||
        !ms_conn_alive(&self->conn))
        return false;
    ms_poll_table_lose(t, "%.560s - then crossfade recopy --table %.130s", err->text, t->table->from);
    if (!ms_rollback(&self->conn, &other) || !ms_poll_begin(self, &other)) {
        *err = other;
        return false;
    }
    return true;
}

static enum polled_answer next_row(struct ms_poll *self, struct ms_poll_table *t, struct arena *arena,
                                   struct polled_item *out, struct error *err)
{
    enum ms_next next = MS_FAILED;
    bool news = false, ask;
    if (self->started || start_table(self, t, err))
        next = ms_query_next(&self->conn, err);
    while (next == MS_ROW && take_row(self, t, arena, &out->change, &news, err)) {
        if (news)
            return POLLED_ROW;
        arena_reset(arena);
        next = ms_query_next(&self->conn, err);
    }
    if (next == MS_END)
        next = ms_query_next_set(&self->conn, err);
    self->started = false;
    if (next != MS_END)
        return blame(self, t, err) ? POLLED_END : POLLED_FAILED;
    end_table(self, t, &ask);
    out->table = t->table;
    return ask ? POLLED_ASK : POLLED_END;
}

static bool tell_lost(struct ms_poll *self, struct polled_item *out)
{
    for (uint32_t i = 0; i < self->count; i++) {
        struct ms_poll_table *t = &self->tables[i];
        if (!t->lost || t->told)
            continue;
        t->told = true;
        out->table = t->table;
        snprintf(out->text, sizeof(out->text), "%s", t->text);
        return true;
    }
    return false;
}

static enum polled_answer ms_poll_next(struct polled_reader *base, struct arena *arena,
                                       struct polled_item *out, struct error *err)
{
    struct ms_poll *self = cast(base);
    if (!self->started && tell_lost(self, out))
        return POLLED_LOST;
    while (self->at < self->count && self->transaction) {
        struct ms_poll_table *t = &self->tables[self->at];
        if (t->lost) {
            self->at++;
            continue;
        }
        enum polled_answer answer = next_row(self, t, arena, out, err);
        if (answer != POLLED_END)
            return answer;
        if (t->lost && tell_lost(self, out))
            return POLLED_LOST;
    }
    bool read = self->transaction;
    if (!ms_poll_end(self, err))
        return POLLED_FAILED;
    /* What was cleaned up while we read (hazard 46). */
    if (read && self->o.capture == CAPTURE_CHANGE_TRACKING && !ms_poll_look_at_history(self, err))
        return POLLED_FAILED;
    return tell_lost(self, out) ? POLLED_LOST : POLLED_END;
}

static void ms_poll_swept(struct polled_reader *base, const struct table *table)
{
    struct ms_poll *self = cast(base);
    for (uint32_t i = 0; i < self->count; i++)
        self->tables[i].nulls |= self->tables[i].table == table;
}

static void ms_poll_cancel(struct polled_reader *base)
{
    ms_conn_cancel(&cast(base)->conn);
}

static void ms_poll_free(struct polled_reader *base)
{
    struct ms_poll *self = cast(base);
    ms_conn_close(&self->conn);
    ms_poll_tables_free(self);
    free(self->defined);
    free(self->times);
    buffer_free(&self->scratch);
    free(self);
}

static const struct polled_reader_ops ms_poll_ops = {.look = ms_poll_look,
                                                     .next = ms_poll_next,
                                                     .swept = ms_poll_swept,
                                                     .cancel = ms_poll_cancel,
                                                     .free = ms_poll_free};

/* The bound of a secondary says nothing of the primary's open transactions. */
static bool refuse_secondary(struct ms_poll *self, struct error *err)
{
    char answer[32];
    if (self->o.capture != CAPTURE_ROWVERSION)
        return true;
    return ms_query_one(&self->conn,
                        "SELECT CONVERT(nvarchar(30), DATABASEPROPERTYEX(DB_NAME(), N'Updateability'))",
                        answer, sizeof(answer), NULL, err) &&
           (strcmp(answer, "READ_ONLY") != 0 ||
            error_set(err, ERROR_REFUSED,
                      "legacy: database %s can't be written here - MIN_ACTIVE_ROWVERSION() is only right on "
                      "the primary: name that, or the listener, in legacy.host",
                      self->conn.database));
}

bool ms_poll_open(const struct ms_poll_options *options, struct polled_reader **out, struct error *err)
{
    assert(ms_poll_kind(options->capture) != POSITION_NONE);
    struct ms_poll *self = mem_alloc(sizeof(*self));
    self->base.ops = &ms_poll_ops;
    self->o = *options;
    self->times = mem_alloc((options->tables->count + (size_t)1) * sizeof(*self->times));
    for (uint32_t i = 0; options->times && i < options->tables->count; i++)
        self->times[i] = options->times[i];
    self->o.times = self->times;
    *out = NULL;
    if (!ms_conn_open(&self->conn, &self->o.conn, err) || !refuse_secondary(self, err) ||
        !ms_poll_look_at_definitions(self, err)) {
        ms_poll_free(&self->base);
        return false;
    }
    *out = &self->base;
    return true;
}
