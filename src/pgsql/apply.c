/* SPDX-License-Identifier: PostgreSQL
 *
 * The exchange of a batch:
 *
 *     BEGIN, or RELEASE of the piece before where a source transaction continues
 *     SAVEPOINT cf_piece          only where a source transaction comes in several batches
 *     crossfade.advance           compare-and-set: a fenced process fails here, before it writes anything; an
 *                                 incomplete batch "advances" from its position to the same position
 *     parked and quarantined changes, the steps of the plan
 *     COMMIT, and the log's positions
 *
 * Invariants. Nothing is committed unless every step touched the rows it should: sets raise by themselves;
 * where single changes have to be looked at (`must_look`) COMMIT is sent only after their answers. Whatever
 * fails for its data leads to replay_batch from the piece's start; whatever else fails ends the sink's life.
 */
#include "pgsql/apply.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/compact.h"
#include "pgsql/exact.h"
#include "pgsql/replay.h"
#include "pgsql/sift.h"
#include "pgsql/waiting.h"

enum { PIECE_BYTES = 1 << 20, PIECE_ROWS = 4000 };

struct apply {
    struct pg_sink *s;
    const struct batch *batch;
    unsigned char *fates; /* enum sift_fate, by change */
    struct net_plan plan;
    bool must_look;
};

/* --- parts of the exchange --- */

bool apply_send_commit(struct pg_sink *s, struct error *err)
{
    static const struct pipe_args none = {0};

    return pipe_execute(&s->pipe, "cf_commit", &none, TAG_COMMIT, err) &&
           pipe_execute(&s->pipe, "cf_wal", &none, TAG_CONTROL, err) && (pipe_keep(&s->pipe), true);
}

static uint64_t read_lsn(const char *text)
{
    struct position p;

    return position_parse(text, &p) ? p.low : 0;
}

void apply_read_log(struct pg_sink *s, struct sink_result *out)
{
    if (!s->pipe.kept || PQntuples(s->pipe.kept) != 1)
        return;
    out->flush_needed = read_lsn(PQgetvalue(s->pipe.kept, 0, 0));
    out->flushed = read_lsn(PQgetvalue(s->pipe.kept, 0, 1));
}

void apply_count_reread(struct pg_sink *s, apply_tag_table *table, const void *context,
                        struct sink_counts *counts)
{
    for (size_t i = 0; i < s->pipe.count; i++) {
        const struct pipe_entry *e = &s->pipe.entries[i];
        if (e->tag < TAG_COMMIT && (e->tag & TAG_REREAD) && e->rows > 0)
            counts[table(context, e->tag & ~(uint32_t)TAG_REREAD)->id].reread += (uint64_t)e->rows;
    }
}

static bool send_begin(struct apply *a, struct error *err)
{
    static const struct pipe_args none = {0};
    struct pg_sink *s = a->s;
    char to[POSITION_TEXT_SIZE];

    prepared_turn(&s->prepared);
    if (!pipe_begin(&s->pipe, err))
        return false;
    if (!s->in_transaction && (!prepared_trim(&s->prepared, &s->pipe, err) ||
                               !pipe_execute(&s->pipe, "cf_begin", &none, TAG_CONTROL, err)))
        return false;
    if (s->in_transaction && !pipe_sql(&s->pipe, "RELEASE SAVEPOINT cf_piece", 0, NULL, TAG_CONTROL, err))
        return false;
    if ((s->in_transaction || !a->batch->complete) &&
        !pipe_sql(&s->pipe, "SAVEPOINT cf_piece", 0, NULL, TAG_CONTROL, err))
        return false;
    if (a->batch->complete)
        return lane_send_advance(s, position_format(a->batch->end, to), a->batch->end_time_us, err);
    return s->in_transaction || lane_send_advance(s, s->applied_text, 0, err);
}

/* --- steps --- */

/* Is the number of rows it touches known? */
static bool is_expected(const struct net_step *step)
{
    return !table_converges(step->table) && step->op != NET_UPSERT && step->table->key_count > 0;
}

static struct prepared_form set_form(const struct net_step *step, enum net_op op, bool expect,
                                     const uint64_t *text_mask)
{
    return (struct prepared_form){.table = step->table,
                                  .kind = PREPARED_NET,
                                  .op = (int)op,
                                  .set_based = true,
                                  .flag = expect,
                                  .mask = op == NET_DELETE ? NULL : step->mask,
                                  .text_mask = text_mask};
}

static bool send_set(struct apply *a, const struct net_step *step, const struct prepared_form *form,
                     size_t first, size_t count, uint32_t tag, struct error *err)
{
    struct pg_sink *s = a->s;
    struct prepared *p;

    if (!prepared_get(&s->prepared, &s->pipe, form, tag, &p, err))
        return false;
    params_set(&s->params, &p->statement, &step->rows[first], count);
    if (form->kind == PREPARED_REREAD) {
        params_add_text(&s->params, s->pipeline);
        params_add_text(&s->params, step->table->from);
        tag |= TAG_REREAD;
    }
    struct pipe_args args = params_args(&s->params);
    /* The arrays were built while the kernel took what was sent before; libpq never holds more than one set.
     */
    return pipe_pace(&s->pipe, err) && pipe_execute(&s->pipe, p->name, &args, tag, err);
}

static bool send_rows_as_set(struct apply *a, const struct net_step *step, size_t first, size_t count,
                             const uint64_t *text_mask, uint32_t tag, struct error *err)
{
    const struct table *t = step->table;
    bool converge = table_converges(t);
    struct prepared_form form = set_form(step, step->op, is_expected(step), text_mask);
    struct prepared_form before = form;

    if (step->op == NET_UPSERT && !t->sink_key_arbiter)
        before = set_form(step, NET_UPDATE, false, text_mask);
    else if (step->op == NET_UPDATE && converge)
        before = (struct prepared_form){
            .table = t, .kind = PREPARED_REREAD, .set_based = true, .flag = true, .text_mask = text_mask};
    else
        return send_set(a, step, &form, first, count, tag, err);
    return send_set(a, step, &before, first, count, tag, err) &&
           send_set(a, step, &form, first, count, tag, err);
}

static bool send_row(struct apply *a, const struct net_step *step, size_t at, uint32_t tag, struct error *err)
{
    struct pg_sink *s = a->s;
    const struct table *t = step->table;
    const struct net_row *r = &step->rows[at];
    bool converge = table_converges(t);

    if (step->op == NET_UPSERT && !t->sink_key_arbiter &&
        !exact_send_net(s, t, NET_UPDATE, step->mask, r->key, r->row, false, tag, err))
        return false;
    if (step->op == NET_UPDATE && converge && !exact_send_reread(s, t, r->key, true, tag, err))
        return false;
    return exact_send_net(s, t, step->op, step->mask, r->key, r->row, is_expected(step), tag, err);
}

static bool send_net(struct apply *a, const struct net_step *step, uint32_t tag, struct error *err)
{
    uint64_t text_mask[LANE_MASK_WORDS];
    const uint64_t *mask = step->op == NET_DELETE ? NULL : step->mask;

    for (size_t first = 0; first < step->count;) {
        bool text;
        size_t n = params_fit(step, first, PIECE_ROWS, PIECE_BYTES, text_mask, &text);
        const uint64_t *texts = text ? text_mask : NULL;
        if (n > 1 && statement_can_set(step->table, mask, texts)) {
            if (!send_rows_as_set(a, step, first, n, texts, tag, err))
                return false;
        } else {
            for (size_t i = 0; i < n; i++)
                if (!send_row(a, step, first + i, tag, err) || !pipe_pace(&a->s->pipe, err))
                    return false;
        }
        first += n;
    }
    return true;
}

/* The TRUNCATE that begins at plan step *at; moves *at to its last one. */
static bool send_truncate(struct apply *a, size_t *at, struct error *err)
{
    const struct change *c = a->plan.steps[*at].exact;
    uint32_t tag = (uint32_t)*at;
    size_t count = 1;

    while (*at + count < a->plan.count) {
        const struct change *next = a->plan.steps[*at + count].exact;
        if (!next || next->op != CHANGE_TRUNCATE || next->truncate_group != c->truncate_group)
            break;
        count++;
    }
    const struct table **tables = arena_alloc(a->s->arena, count * sizeof(*tables));
    for (size_t i = 0; i < count; i++)
        tables[i] = a->plan.steps[*at + i].table;
    *at += count - 1;
    return exact_send_truncate(a->s, tables, (uint32_t)count, c->truncate_restart, tag, err);
}

static bool send_exact(struct apply *a, size_t *at, struct error *err)
{
    const struct change *c = a->plan.steps[*at].exact;
    uint32_t tag = (uint32_t)*at;

    if (c->op == CHANGE_TRUNCATE)
        return send_truncate(a, at, err);
    if (exact_converges(c))
        return exact_send_converge(a->s, c, tag, err);
    if (!exact_is_possible(c)) {
        a->must_look = true; /* the replay says why and stops the table: its answer is missing */
        return true;
    }
    a->must_look |= c->op != CHANGE_INSERT;
    return exact_send(a->s, c, true, tag, err);
}

static bool send_steps(struct apply *a, struct error *err)
{
    for (size_t i = 0; i < a->plan.count; i++) {
        const struct net_step *step = &a->plan.steps[i];
        if (step->op == NET_EXACT ? !send_exact(a, &i, err) : !send_net(a, step, (uint32_t)i, err))
            return false;
        if (!pipe_pace(&a->s->pipe, err))
            return false;
    }
    return true;
}

/* --- answers --- */

/* Did each single UPDATE and DELETE find its row? */
static bool all_found(const struct apply *a)
{
    const struct pipe *pipe = &a->s->pipe;
    size_t expected = 0, found = 0;

    for (size_t i = 0; i < a->plan.count; i++) {
        const struct change *c = a->plan.steps[i].exact;
        expected += c && (c->op == CHANGE_UPDATE || c->op == CHANGE_DELETE) && !exact_converges(c);
    }
    for (size_t i = 0; i < pipe->count; i++) {
        const struct pipe_entry *e = &pipe->entries[i];
        if (e->prepared || e->tag >= TAG_REREAD)
            continue;
        const struct change *c = a->plan.steps[e->tag].exact;
        found +=
            c && (c->op == CHANGE_UPDATE || c->op == CHANGE_DELETE) && !exact_converges(c) && e->rows == 1;
    }
    return found == expected;
}

static const struct table *step_table(const void *context, uint32_t tag)
{
    return ((const struct apply *)context)->plan.steps[tag].table;
}

static void count_changes(const struct apply *a, struct sink_counts *counts)
{
    for (size_t i = 0; i < a->batch->count; i++) {
        const struct change *c = &a->batch->changes[i];
        struct sink_counts *n = &counts[c->table->id];
        switch ((enum sift_fate)a->fates[i]) {
        case SIFT_APPLY:
            n->inserted += c->op == CHANGE_INSERT;
            n->updated += c->op == CHANGE_UPDATE;
            n->deleted += c->op == CHANGE_DELETE;
            n->truncated += c->op == CHANGE_TRUNCATE;
            break;
        case SIFT_PARK:
            n->parked++;
            break;
        case SIFT_HOLD:
            n->quarantined++;
            break;
        case SIFT_LEAVE:
            break;
        }
    }
}

/* --- the batch --- */

static void sift_all(struct apply *a)
{
    const struct batch *b = a->batch;

    for (size_t i = 0; i < b->count; i++)
        a->fates[i] = (unsigned char)sift_change(a->s, b, i);
}

static bool send_all(struct apply *a, struct error *err)
{
    struct pg_sink *s = a->s;
    bool commit;

    if (!send_begin(a, err) || !waiting_send(s, err) || !send_steps(a, err))
        return false;
    commit = a->batch->complete && !a->must_look;
    return (!commit || apply_send_commit(s, err)) && pipe_end(&s->pipe, err);
}

/* The set-based form, up to and with COMMIT. *good false: replay it. */
static bool try_sets(struct apply *a, struct sink_counts *counts, struct sink_result *out, bool *good,
                     struct error *err)
{
    struct pg_sink *s = a->s;
    const struct pipe_failure *f = &s->pipe.failure;

    *good = false;
    if (!send_all(a, err))
        return false;
    if (f->error.kind == ERROR_NONE && a->must_look && !all_found(a)) {
        error_set_code(&out->why_replayed, ERROR_DATA, "CF001", "a row to be changed was not there");
        return true;
    }
    if (f->error.kind == ERROR_NONE) {
        apply_count_reread(s, step_table, a, counts);
        if (a->must_look && a->batch->complete &&
            !(pipe_begin(&s->pipe, err) && apply_send_commit(s, err) && pipe_end(&s->pipe, err)))
            return false;
    }
    if (f->error.kind == ERROR_NONE) {
        *good = true;
        return true;
    }
    bool ours = f->tag == TAG_CONTROL || lane_blame(&f->error) == LANE_BLAME_NONE;
    *(ours ? err : &out->why_replayed) = f->error;
    return !ours;
}

static bool end_inside(struct apply *a, struct waiting_mark mark, bool good, struct error *err)
{
    if (good)
        return pg_exec(&a->s->conn, "RELEASE SAVEPOINT cf_sets", err);
    waiting_rewind(a->s, mark);
    return pg_exec(&a->s->conn, "ROLLBACK TO SAVEPOINT cf_sets; RELEASE SAVEPOINT cf_sets", err);
}

bool apply_inside(struct pg_sink *s, const struct batch *batch, unsigned char *fates, bool *good,
                  struct error *err)
{
    struct apply a = {.s = s, .batch = batch, .fates = fates};
    struct compact_options options = {.dependency_order = !s->conn.replica_role};
    struct waiting_mark mark = waiting_mark(s);
    const struct pipe_failure *f = &s->pipe.failure;

    sift_all(&a);
    a.plan = compact(batch, 0, batch->count, fates, &options, s->arena);
    prepared_turn(&s->prepared);
    if (!pipe_begin(&s->pipe, err) || !pipe_sql(&s->pipe, "SAVEPOINT cf_sets", 0, NULL, TAG_CONTROL, err) ||
        !send_steps(&a, err) || !pipe_end(&s->pipe, err))
        return false;
    if (f->error.kind != ERROR_NONE && (f->tag == TAG_CONTROL || lane_blame(&f->error) == LANE_BLAME_NONE)) {
        *err = f->error;
        return false;
    }
    *good = f->error.kind == ERROR_NONE && (!a.must_look || all_found(&a));
    return end_inside(&a, mark, *good, err);
}

bool apply_batch(struct pg_sink *s, const struct batch *batch, struct sink_counts *counts,
                 struct sink_result *out, struct error *err)
{
    struct apply a = {.s = s, .batch = batch};
    struct compact_options options = {.dependency_order = !s->conn.replica_role};
    bool good;

    assert(batch->continues == s->in_transaction);
    *out = (struct sink_result){.applied = s->applied};
    arena_reset(s->arena);
    waiting_clear(s);
    a.fates = arena_alloc(s->arena, batch->count + 1);
    sift_all(&a);
    a.plan = compact(batch, 0, batch->count, a.fates, &options, s->arena);
    if (!try_sets(&a, counts, out, &good, err))
        return false;
    if (good) {
        apply_read_log(s, out);
    } else {
        out->replayed = true;
        if (!replay_batch(s, batch, a.fates, counts, out, err))
            return false;
    }
    count_changes(&a, counts);
    waiting_clear(s);
    s->in_transaction = !batch->complete;
    if (batch->complete) {
        s->applied = batch->end;
        position_format(batch->end, s->applied_text);
        out->applied = batch->end;
    }
    return true;
}
