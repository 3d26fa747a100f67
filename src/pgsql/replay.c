/* SPDX-License-Identifier: PostgreSQL
 *
 * Groups of changes run under the savepoint cf_group. When a group meets trouble at a change, it is rolled
 * back, the changes before it run again, and that one is mended alone, answer by answer (mend.c); groups grow
 * while all goes well and shrink to one change where it does not, so a batch full of conflicts costs a few
 * round trips a change and never the square of their number.
 *
 * Invariants: changes take effect in source order; the fate of a change is decided when everything before it
 * has taken effect; the position moves in the same transaction, and a fenced process fails before it writes.
 */
#include "pgsql/replay.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "pgsql/exact.h"
#include "pgsql/mend.h"
#include "pgsql/sift.h"
#include "pgsql/waiting.h"

enum { GROUP_START = 64, GROUP_MAX = 1024 };

/* --- groups --- */

bool replay_open(struct replay *r, struct error *err)
{
    struct pg_sink *s = r->s;
    const char *sql = r->failed ? "ROLLBACK TO SAVEPOINT cf_group" : "RELEASE SAVEPOINT cf_group";

    prepared_turn(&s->prepared);
    if (!pipe_begin(&s->pipe, err))
        return false;
    if (r->has_group && !pipe_sql(&s->pipe, sql, 0, NULL, TAG_CONTROL, err))
        return false;
    if (!(r->has_group && r->failed) && !pipe_sql(&s->pipe, "SAVEPOINT cf_group", 0, NULL, TAG_CONTROL, err))
        return false;
    r->has_group = true;
    r->failed = false;
    return true;
}

bool replay_close(struct replay *r, struct error *err)
{
    const struct pipe_failure *f = &r->s->pipe.failure;

    if (!pipe_end(&r->s->pipe, err))
        return false;
    if (f->error.kind == ERROR_NONE)
        return true;
    r->failed = true;
    if (f->tag != TAG_CONTROL && lane_blame(&f->error) != LANE_BLAME_NONE)
        return true;
    *err = f->error;
    return false;
}

/* The changes from `first` on that are one TRUNCATE. */
static size_t truncate_length(const struct batch *batch, size_t first)
{
    size_t n = 1;

    while (first + n < batch->count && batch->changes[first + n].op == CHANGE_TRUNCATE &&
           batch->changes[first + n].truncate_group == batch->changes[first].truncate_group)
        n++;
    return n;
}

size_t replay_send_truncate(struct replay *r, size_t first, bool *ok, struct error *err)
{
    const struct batch *b = r->batch;
    size_t length = truncate_length(b, first);
    const struct table **tables = arena_alloc(r->s->arena, length * sizeof(*tables));
    uint32_t count = 0;

    for (size_t i = first; i < first + length; i++) {
        r->fates[i] = (unsigned char)sift_change(r->s, b, i);
        if (r->fates[i] == SIFT_APPLY)
            tables[count++] = b->changes[i].table;
    }
    *ok = count == 0 ||
          exact_send_truncate(r->s, tables, count, b->changes[first].truncate_restart, (uint32_t)first, err);
    return length;
}

/* Queues the change at *at and moves *at behind it. *stop: it can't be sent in a group. */
static bool send_change(struct replay *r, size_t *at, bool *stop, struct error *err)
{
    size_t i = *at;
    const struct change *c = &r->batch->changes[i];
    bool ok = true;

    if (c->op == CHANGE_TRUNCATE) {
        *at += replay_send_truncate(r, i, &ok, err);
        return ok;
    }
    if (!exact_is_possible(c)) {
        *stop = true;
        return true;
    }
    r->fates[i] = (unsigned char)sift_change(r->s, r->batch, i);
    ++*at;
    if (r->fates[i] != SIFT_APPLY)
        return true;
    return exact_converges(c) ? exact_send_converge(r->s, c, (uint32_t)i, err)
                              : exact_send(r->s, c, false, (uint32_t)i, err);
}

/* The first change whose row was not as expected, or that failed; SIZE_MAX. */
static size_t find_trouble(const struct replay *r)
{
    const struct pipe *p = &r->s->pipe;
    size_t failed = p->failure.error.kind != ERROR_NONE ? (p->failure.tag & ~(uint32_t)TAG_REREAD) : SIZE_MAX;

    for (size_t i = 0; i < p->count; i++) {
        const struct pipe_entry *e = &p->entries[i];
        if (e->prepared || e->tag >= TAG_REREAD || e->rows != 0 ||
            exact_converges(&r->batch->changes[e->tag]))
            continue;
        return e->tag < failed ? e->tag : failed;
    }
    return failed;
}

static const struct table *change_table(const void *context, uint32_t tag)
{
    return ((const struct replay *)context)->batch->changes[tag].table;
}

/* Runs [first, first + size) or somewhat less or more, up to *next. *trouble: SIZE_MAX, or where; then
 * nothing of it has happened. */
static bool run_group(struct replay *r, size_t first, size_t size, size_t *next, size_t *trouble,
                      struct error *err)
{
    struct waiting_mark mark = waiting_mark(r->s);
    bool stop = false;

    if (!replay_open(r, err))
        return false;
    for (*next = first; *next < r->batch->count && *next < first + size && !stop;) {
        if (!send_change(r, next, &stop, err))
            return false;
        if (!pipe_pace(&r->s->pipe, err))
            return false;
    }
    if (!replay_close(r, err))
        return false;
    *trouble = find_trouble(r);
    if (*trouble == SIZE_MAX && stop && *next == first)
        *trouble = first;
    if (*trouble == SIZE_MAX) {
        apply_count_reread(r->s, change_table, r, r->counts);
    } else {
        r->failed = true;
        waiting_rewind(r->s, mark);
    }
    return true;
}

static bool end_groups(struct replay *r, struct error *err)
{
    if (!r->has_group)
        return true;
    return (!r->failed || pg_exec(&r->s->conn, "ROLLBACK TO SAVEPOINT cf_group", err)) &&
           pg_exec(&r->s->conn, "RELEASE SAVEPOINT cf_group", err);
}

bool replay_changes(struct pg_sink *s, const struct batch *batch, unsigned char *fates,
                    struct sink_counts *counts, struct error *err)
{
    struct replay r = {.s = s, .batch = batch, .fates = fates, .counts = counts};
    size_t size = GROUP_START, bad = SIZE_MAX;

    for (size_t i = 0; i < batch->count;) {
        size_t next, trouble = i;
        bool smooth = false;
        if (i != bad && size > 1 &&
            !run_group(&r, i, bad > i && bad - i < size ? bad - i : size, &next, &trouble, err))
            return false;
        if (trouble == SIZE_MAX) {
            i = next;
            size = size < GROUP_MAX ? 2 * size : size;
        } else if (trouble > i) {
            bad = trouble;
        } else {
            if (!mend_change(&r, i, &next, &smooth, err))
                return false;
            i = next;
            size = smooth ? 2 * size : size > 8 ? size / 4 : 1;
            bad = SIZE_MAX;
        }
    }
    return end_groups(&r, err);
}

/* --- the whole batch --- */

static bool begin_again(struct pg_sink *s, const struct batch *batch, struct error *err)
{
    char to[POSITION_TEXT_SIZE];
    bool sent;

    prepared_turn(&s->prepared);
    if (!pipe_begin(&s->pipe, err))
        return false;
    if (s->in_transaction)
        sent = pipe_sql(&s->pipe, "ROLLBACK TO SAVEPOINT cf_piece", 0, NULL, TAG_CONTROL, err);
    else
        sent = pipe_sql(&s->pipe, "ROLLBACK", 0, NULL, TAG_CONTROL, err) &&
               pipe_sql(&s->pipe, "BEGIN", 0, NULL, TAG_CONTROL, err) &&
               (batch->complete || pipe_sql(&s->pipe, "SAVEPOINT cf_piece", 0, NULL, TAG_CONTROL, err));
    if (sent && batch->complete)
        sent = lane_send_advance(s, position_format(batch->end, to), batch->end_time_us, err);
    else if (sent && !s->in_transaction)
        sent = lane_send_advance(s, s->applied_text, 0, err);
    if (!sent || !pipe_end(&s->pipe, err))
        return false;
    if (s->pipe.failure.error.kind == ERROR_NONE)
        return true;
    *err = s->pipe.failure.error;
    return false;
}

/* COMMIT was refused (a deferred constraint): the table that the server names stops. */
static bool stop_refused(struct pg_sink *s, struct error *err)
{
    const struct pipe_failure *f = &s->pipe.failure;
    char reason[600];

    for (uint32_t i = 0; i < s->tables->count; i++) {
        struct lane_table *t = &s->lane_tables[i];
        if (strcmp(t->table->to_name, f->table) != 0 || strcmp(t->table->to_schema, f->schema) != 0 ||
            t->parking || table_is_parked(t->table))
            continue;
        snprintf(reason, sizeof(reason), "COMMIT was refused - %.500s", f->error.text);
        lane_stop_table(s, t, reason);
        return true;
    }
    return error_set_code(err, ERROR_FATAL, f->error.code,
                          "a source transaction is refused at its end and no table of ours is named - %.800s",
                          f->error.text);
}

/* *again: a table was stopped at COMMIT. */
static bool finish(struct pg_sink *s, const struct batch *batch, bool *again, struct sink_result *out,
                   struct error *err)
{
    const struct pipe_failure *f = &s->pipe.failure;

    *again = false;
    prepared_turn(&s->prepared);
    if (!pipe_begin(&s->pipe, err) || !waiting_send(s, err) ||
        (batch->complete && !apply_send_commit(s, err)) || !pipe_end(&s->pipe, err))
        return false;
    if (f->error.kind == ERROR_NONE) {
        apply_read_log(s, out);
        return true;
    }
    if (f->tag != TAG_COMMIT || lane_blame(&f->error) == LANE_BLAME_NONE) {
        *err = f->error;
        return false;
    }
    if (!stop_refused(s, err))
        return false;
    if (s->in_transaction) /* the pieces before are gone as well */
        return error_set_code(err, ERROR_RETRY, f->error.code, "%s", f->error.text);
    *again = true;
    return true;
}

bool replay_batch(struct pg_sink *s, const struct batch *batch, unsigned char *fates,
                  struct sink_counts *counts, struct sink_result *out, struct error *err)
{
    bool again;

    do {
        waiting_rewind(s, (struct waiting_mark){0, 0});
        if (!begin_again(s, batch, err) || !replay_changes(s, batch, fates, counts, err) ||
            !finish(s, batch, &again, out, err))
            return false;
    } while (again);
    return true;
}
