/* SPDX-License-Identifier: PostgreSQL
 *
 * A batch as its net effect. Sets of some size are staged first, outside the transaction where a source
 * transaction does not already hold one open; then the text of the transaction:
 *
 *     BEGIN TRANSACTION, or SAVE TRANSACTION cf_piece where a source transaction continues
 *     the compare-and-set of the progress row: a fenced process fails here, before it writes anything, and
 *     what follows is marked as ours from its first write on
 *     the steps of the plan, in foreign-key order: parents are inserted first, children deleted first
 *     parked and quarantined changes, COMMIT
 *
 * It is one batch as long as it is not too long to be one. Tables whose foreign keys form a ring have no such
 * order; what is refused for it (547) is replayed in the order in which the source could do it.
 *
 * Invariants. Nothing is committed unless every statement touched the rows it should. Whatever fails for its
 * data leads to the exact replay from the piece's start; whatever else fails ends the lane.
 */
#include "mssql/ms_sink_part.h"

#include <assert.h>
#include <string.h>

#include "model/compact.h"

enum { TEXT_BYTES = 256 * 1024, SET_ROWS = 8 };

struct apply {
    struct ms_sink *s;
    const struct batch *batch;
    unsigned char *fates; /* enum ms_fate, by change */
    struct net_plan plan;
    struct ms_stage **stages; /* by step; NULL: row by row */
    uint32_t *numbers;
    enum ms_rollback rollback;
    bool sent; /* a part of the transaction's text */
    struct ms_answer answer;
};

/* --- the text --- */

/* Long texts go in several batches of one transaction. *go false: there was trouble. */
static bool flush(struct apply *a, bool end, bool *go, struct error *err)
{
    if (!end && a->s->sql.length < TEXT_BYTES)
        return true;
    a->sent = true;
    if (!ms_sink_run(a->s, a->rollback, &a->answer, err))
        return false;
    *go = !a->answer.trouble;
    if (!end)
        ms_sink_batch(a->s, true);
    return true;
}

static void put_begin(struct apply *a)
{
    struct ms_sink *s = a->s;
    char to[POSITION_TEXT_SIZE];
    ms_sink_batch(s, s->in_transaction);
    ms_sink_tag(s, UINT16_MAX);
    if (s->in_transaction)
        buffer_puts(&s->sql, "SAVE TRANSACTION cf_piece;\n");
    if (a->batch->complete)
        ms_sink_put_advance(s, position_format(a->batch->end, to), a->batch->end_time_us);
    else if (!s->in_transaction)
        ms_sink_put_advance(s, s->applied_text, 0);
}

static bool put_row(struct apply *a, const struct net_step *step, size_t at, struct error *err)
{
    const struct ms_sink_table *t = ms_sink_lane(a->s, step->table);
    const struct net_row *r = &step->rows[at];
    switch ((unsigned)step->op) {
    case NET_DELETE:
        return ms_sink_put_delete(a->s, t, r->key, err);
    case NET_UPDATE:
        return ms_sink_put_update(a->s, t, r->key, r->row, err);
    default:
        assert(step->op == NET_INSERT);
        return ms_sink_put_insert(a->s, t, r->row, err);
    }
}

/* TRUNCATE lists are adjacent; children first, as DELETE stands in for it where a foreign key points. */
static void put_truncate(struct apply *a, size_t *at)
{
    uint32_t group = a->plan.steps[*at].exact->truncate_group;
    size_t end = *at + 1;
    int rank = 0;
    while (end < a->plan.count && a->plan.steps[end].exact &&
           a->plan.steps[end].exact->op == CHANGE_TRUNCATE &&
           a->plan.steps[end].exact->truncate_group == group)
        end++;
    for (size_t i = *at; i < end; i++)
        rank = a->plan.steps[i].table->rank > rank ? a->plan.steps[i].table->rank : rank;
    for (; rank >= 0; rank--)
        for (size_t i = *at; i < end; i++)
            if (a->plan.steps[i].table->rank == rank)
                ms_sink_put_truncate(a->s, ms_sink_lane(a->s, a->plan.steps[i].table));
    *at = end - 1;
}

static bool put_exact(struct apply *a, size_t *at, struct error *err)
{
    const struct change *c = a->plan.steps[*at].exact;
    if (c->op == CHANGE_TRUNCATE) {
        put_truncate(a, at);
        return true;
    }
    if (!ms_sink_is_possible(c))
        return error_set(err, ERROR_DATA, "an UPDATE or DELETE came without the whole old row");
    return ms_sink_put_change(a->s, c, err);
}

static bool put_step(struct apply *a, size_t *at, bool *go, struct error *err)
{
    const struct net_step *step = &a->plan.steps[*at];
    ms_sink_tag(a->s, (uint32_t)*at);
    if (step->op == NET_EXACT)
        return put_exact(a, at, err) && flush(a, false, go, err);
    if (a->stages[*at]) {
        ms_sink_stage_put(a->s, a->stages[*at], a->numbers[*at], step->count);
        return flush(a, false, go, err);
    }
    for (size_t i = 0; *go && i < step->count; i++)
        if (!put_row(a, step, i, err) || !flush(a, false, go, err))
            return false;
    return true;
}

/* --- the batch --- */

static bool stage_all(struct apply *a, struct error *err)
{
    struct ms_sink *s = a->s;
    bool any = false;
    ms_sink_stage_reset(s);
    a->stages = arena_alloc(s->arena, (a->plan.count + 1) * sizeof(struct ms_stage *));
    a->numbers = arena_alloc(s->arena, (a->plan.count + 1) * sizeof(*a->numbers));
    for (size_t i = 0; i < a->plan.count; i++) {
        const struct net_step *step = &a->plan.steps[i];
        a->stages[i] = NULL;
        if (step->op != NET_EXACT && step->count >= (s->set_rows ? s->set_rows : SET_ROWS))
            any |= ms_sink_stage_add(s, step, &a->stages[i], &a->numbers[i]);
    }
    return !any || ms_sink_stage_load(s, err);
}

/* True: *good, or the transaction (the piece) is rolled back and `answer` tells why. */
static bool try_sets(struct apply *a, bool *good, struct error *err)
{
    struct ms_sink *s = a->s;
    bool go = true;
    bool ok = stage_all(a, err);
    if (ok) {
        put_begin(a);
        for (size_t i = 0; ok && go && i < a->plan.count; i++)
            ok = put_step(a, &i, &go, err);
    }
    if (ok && go) {
        ms_sink_tag(s, UINT16_MAX);
        ms_sink_wait_put(s);
        if (a->batch->complete)
            buffer_puts(&s->sql, "COMMIT TRANSACTION;\n");
        ok = flush(a, true, &go, err);
    }
    *good = ok && go;
    if (ok)
        return true;
    if (err->kind != ERROR_DATA)
        return false;
    /* A value can't be written. What has been sent is taken back. */
    a->answer = (struct ms_answer){.trouble = true, .error = *err};
    error_clear(err);
    if (s->in_transaction) /* the savepoint is this piece's only once it was sent */
        return !a->sent || ms_exec(&s->conn, "ROLLBACK TRANSACTION cf_piece", err);
    return ms_rollback(&s->conn, err);
}

static void count_changes(const struct apply *a, struct sink_counts *counts)
{
    for (size_t i = 0; i < a->batch->count; i++) {
        const struct change *c = &a->batch->changes[i];
        struct sink_counts *n = &counts[c->table->id];
        switch ((enum ms_fate)a->fates[i]) {
        case MS_FATE_APPLY:
            n->inserted += c->op == CHANGE_INSERT;
            n->updated += c->op == CHANGE_UPDATE;
            n->deleted += c->op == CHANGE_DELETE;
            n->truncated += c->op == CHANGE_TRUNCATE;
            break;
        case MS_FATE_PARK:
            n->parked++;
            break;
        case MS_FATE_HOLD:
            n->quarantined++;
            break;
        }
    }
}

/* The transaction that the earlier pieces are in is gone: the same again would end the same, so the table is
 * stopped before the whole is applied again. */
static bool lost_pieces(struct apply *a, struct error *err)
{
    const struct ms_answer *w = &a->answer;
    if (w->at < a->plan.count)
        ms_sink_stop_table(a->s, ms_sink_lane(a->s, a->plan.steps[w->at].table), w->error.text);
    return error_set_code(err, ERROR_RETRY, w->error.code,
                          "a source transaction in pieces was ended by one of its changes - %.800s",
                          w->error.text);
}

bool ms_sink_apply(struct ms_sink *s, const struct batch *batch, struct sink_counts *counts,
                   struct sink_result *out, struct error *err)
{
    struct apply a = {.s = s, .batch = batch};
    struct compact_options options = {.dependency_order = true};
    bool good;

    assert(batch->continues == s->in_transaction);
    *out = (struct sink_result){.applied = s->applied};
    arena_reset(s->arena);
    ms_sink_wait_clear(s);
    a.rollback = s->in_transaction ? MS_ROLLBACK_PIECE : MS_ROLLBACK_ALL;
    a.fates = arena_alloc(s->arena, batch->count + 1);
    for (size_t i = 0; i < batch->count; i++)
        a.fates[i] = (unsigned char)ms_sink_sift(s, batch, i);
    a.plan = compact(batch, 0, batch->count, a.fates, &options, s->arena);
    if (!try_sets(&a, &good, err))
        return false;
    if (!good) {
        out->replayed = true;
        out->why_replayed = a.answer.error;
        if (s->in_transaction && a.answer.gone)
            return lost_pieces(&a, err);
        if (!ms_sink_replay(s, batch, a.fates, counts, err))
            return false;
    }
    count_changes(&a, counts);
    ms_sink_wait_clear(s);
    s->in_transaction = !batch->complete;
    if (batch->complete) {
        s->applied = batch->end;
        position_format(batch->end, s->applied_text);
        out->applied = batch->end;
        s->commits++;
    }
    out->flush_needed = out->flushed = s->commits;
    return true;
}
