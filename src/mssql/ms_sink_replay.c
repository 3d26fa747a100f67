/* SPDX-License-Identifier: PostgreSQL
 *
 * The exact replay: every change in source order, many in one T-SQL batch, each behind SAVE TRANSACTION
 * cf_change. A change that fails is rolled back alone, what stood before it in the batch has happened, and it
 * is mended by itself; the batch goes on behind it. So a batch full of conflicts costs a few round trips a
 * conflict and never repeats what went well.
 *
 * Why XACT_ABORT OFF here. With it ON any error dooms the transaction and a savepoint is of no use; the
 * transaction would have to be repeated for every refused row. With it OFF the errors that refuse a row
 * (2601, 2627, 547, 515, 8152, 2628, 8115, our THROWs) end their statement only. But some errors doom the
 * transaction all the same: conversions, XML and spatial parsers, whatever a trigger raises. After one of
 * those the change is remembered as refused and the transaction is begun anew without it. In a source
 * transaction that comes in pieces the earlier ones are gone with it: the table is stopped then and the whole
 * is applied again by its owner.
 *
 * What a conflict leads to (all are counted and named): INSERT of a row that is there overwrites it; UPDATE
 * of a row that is missing inserts it if the whole row came, else it is quarantined, as nobody reads rows
 * again for this direction; DELETE of a missing row is nothing.
 */
#include "mssql/ms_sink_part.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { GROUP_CHANGES = 500, GROUP_BYTES = 256 * 1024 };

static void put_savepoint(struct ms_sink *s)
{
    buffer_puts(&s->sql, "SAVE TRANSACTION cf_change;\n");
}

static void conflict(struct ms_replay *r, const struct change *c, const char *kind)
{
    struct sink_events *e = &r->s->events;
    char key[300];
    if (!e->conflict)
        return;
    change_key_text(c->table, change_key_row(c), key, sizeof(key));
    e->conflict(e->context, c->table, kind, key);
}

/* --- one change alone --- */

static void set_aside(struct ms_replay *r, size_t i, const struct error *why)
{
    enum ms_fate fate = ms_sink_blame(why) == MS_BLAME_ROW ? ms_sink_refuse(r->s, r->batch, i, why)
                                                           : ms_sink_stop(r->s, r->batch, i, why);
    r->fates[i] = (unsigned char)fate;
    if (fate == MS_FATE_HOLD && why != r->bad[i]) /* should all begin anew, it is still known why */
        r->bad[i] = arena_copy(r->s->arena, why, sizeof(*why));
}

/* The transaction is gone with this change. */
static void remember(struct ms_replay *r, size_t i, const struct error *why)
{
    r->bad[i] = arena_copy(r->s->arena, why, sizeof(*why));
    r->again = true;
}

/* Runs what was put. What could not be put is an answer too. */
static bool run_alone(struct ms_replay *r, size_t i, bool put, struct ms_answer *out, struct error *err)
{
    if (!put) {
        *out = (struct ms_answer){.trouble = true, .at = (uint32_t)i, .error = *err};
        bool ours = err->kind == ERROR_DATA;
        error_clear(err);
        if (!ours)
            *err = out->error;
        return ours;
    }
    if (!ms_sink_run(r->s, MS_ROLLBACK_CHANGE, out, err))
        return false;
    const struct ms_sink_table *t = ms_sink_lane(r->s, r->batch->changes[i].table);
    if (out->trouble && t->identity >= 0)
        r->s->identity_left = t;
    if (out->trouble && out->gone)
        remember(r, i, &out->error);
    return true;
}

static void open_alone(struct ms_replay *r, size_t i)
{
    ms_sink_batch(r->s, true);
    ms_sink_tag(r->s, (uint32_t)i);
    put_savepoint(r->s);
}

static bool is_duplicate(const struct ms_answer *a)
{
    return strcmp(a->error.code, "2627") == 0 || strcmp(a->error.code, "2601") == 0;
}

static bool is_count(const struct ms_answer *a)
{
    return a->state == MS_THROW_COUNT;
}

/* The row under the new row's key becomes the new row. *out stays the first answer where another unique value
 * is in the way. */
static bool overwrite(struct ms_replay *r, size_t i, const struct value *row, struct ms_answer *out,
                      struct error *err)
{
    const struct ms_sink_table *t = ms_sink_lane(r->s, r->batch->changes[i].table);
    struct ms_answer second;
    if (t->table->key_count == 0)
        return true;
    open_alone(r, i);
    if (!run_alone(r, i, ms_sink_put_update(r->s, t, row, row, err), &second, err))
        return false;
    if (!second.trouble || !is_count(&second))
        *out = second;
    return true;
}

static bool mend_missing(struct ms_replay *r, size_t i, struct ms_answer *a, struct error *err)
{
    const struct change *c = &r->batch->changes[i];
    const struct ms_sink_table *t = ms_sink_lane(r->s, c->table);
    const struct value *row = ms_sink_row(r->s, c);

    if (t->identity >= 0 && !t->table->columns[t->identity].key && t->table->key_count) {
        /* Perhaps it is there, and only its identity column is another. */
        open_alone(r, i);
        if (!run_alone(r, i, ms_sink_put_rewrite(r->s, t, change_key_row(c), row, err), a, err))
            return false;
        if (r->again || !a->trouble || !is_count(a))
            return true;
    }
    if (!ms_sink_is_whole(c->table, row)) {
        error_set_code(&a->error, ERROR_DATA, "51001",
                       "the row is missing in the sink, and the change brings too little to build it");
        conflict(r, c, "missing");
        return true;
    }
    open_alone(r, i);
    if (!run_alone(r, i, ms_sink_put_insert(r->s, t, row, err), a, err))
        return false;
    if (!r->again && a->trouble && is_duplicate(a) && !overwrite(r, i, row, a, err))
        return false;
    if (!r->again && !a->trouble) {
        r->counts[c->table->id].missing++;
        conflict(r, c, "missing");
    }
    return true;
}

/* `a` is what it answered when it came as it is. */
static bool mend(struct ms_replay *r, size_t i, struct ms_answer *a, struct error *err)
{
    const struct change *c = &r->batch->changes[i];
    struct sink_counts *n = &r->counts[c->table->id];

    if (c->op == CHANGE_INSERT && is_duplicate(a)) {
        if (!overwrite(r, i, c->row, a, err))
            return false;
        if (!r->again && !a->trouble) {
            n->existing++;
            conflict(r, c, "existing");
        }
    } else if (c->op == CHANGE_UPDATE && is_count(a)) {
        if (!mend_missing(r, i, a, err))
            return false;
    } else if (c->op == CHANGE_DELETE && is_count(a)) {
        a->trouble = false;
        n->missing++;
        conflict(r, c, "missing");
    }
    if (!r->again && a->trouble)
        set_aside(r, i, &a->error);
    return true;
}

/* --- TRUNCATE --- */

static size_t truncate_length(const struct batch *b, size_t first)
{
    size_t n = 1;
    while (first + n < b->count && b->changes[first + n].op == CHANGE_TRUNCATE &&
           b->changes[first + n].truncate_group == b->changes[first].truncate_group)
        n++;
    return n;
}

/* A refused one stops every table that it names: it is one statement or none. */
static bool truncate(struct ms_replay *r, size_t first, size_t *next, struct error *err)
{
    const struct batch *b = r->batch;
    struct ms_answer a;
    int rank = 0;
    *next = first + truncate_length(b, first);
    ms_sink_batch(r->s, true);
    ms_sink_tag(r->s, (uint32_t)first);
    put_savepoint(r->s);
    for (size_t i = first; i < *next; i++) {
        r->fates[i] = (unsigned char)ms_sink_sift(r->s, b, i);
        rank = b->changes[i].table->rank > rank ? b->changes[i].table->rank : rank;
    }
    for (; rank >= 0; rank--)
        for (size_t i = first; i < *next; i++)
            if (r->fates[i] == MS_FATE_APPLY && b->changes[i].table->rank == rank)
                ms_sink_put_truncate(r->s, ms_sink_lane(r->s, b->changes[i].table));
    struct error *known = r->bad[first];
    if (known) {
        a = (struct ms_answer){.trouble = true, .error = *known};
    } else if (!run_alone(r, first, true, &a, err)) {
        return false;
    }
    for (size_t i = first; a.trouble && !r->again && i < *next; i++) {
        struct error why = a.error;
        error_prefix(&why, "TRUNCATE of %.200s and %zu more was refused", b->changes[first].table->to,
                     *next - first - 1);
        if (r->fates[i] == MS_FATE_APPLY)
            r->fates[i] = (unsigned char)ms_sink_stop(r->s, b, i, &why);
    }
    return true;
}

/* --- groups --- */

struct group {
    size_t next;     /* behind the last change in the text */
    size_t *marks;   /* waiting_count before each change */
    bool unsendable; /* change `next` can't be written: `why` */
    struct error why;
};

/* Puts changes from `first` on; stops before what has to be looked at alone. */
static void put_group(struct ms_replay *r, size_t first, struct group *g)
{
    struct ms_sink *s = r->s;
    *g = (struct group){.next = first};
    g->marks = arena_alloc(s->arena, GROUP_CHANGES * sizeof(*g->marks));
    ms_sink_batch(s, true);
    ms_sink_tag(s, (uint32_t)first);
    put_savepoint(s);
    while (g->next < r->batch->count && g->next - first < GROUP_CHANGES && s->sql.length < GROUP_BYTES) {
        size_t i = g->next;
        const struct change *c = &r->batch->changes[i];
        if (c->op == CHANGE_TRUNCATE)
            return;
        g->marks[i - first] = s->waiting_count;
        r->fates[i] = (unsigned char)ms_sink_sift(s, r->batch, i);
        if (r->fates[i] == MS_FATE_HOLD && r->bad[i]) {
            ms_sink_wait_rewind(s, g->marks[i - first]);
            ms_sink_hold(s, r->batch, i, r->bad[i]);
        }
        if (r->fates[i] == MS_FATE_APPLY) {
            size_t before = s->sql.length;
            g->unsendable = true;
            if (r->bad[i]) {
                g->why = *r->bad[i];
                return;
            }
            if (!ms_sink_is_possible(c)) {
                error_set(&g->why, ERROR_TABLE,
                          "%s: an UPDATE or DELETE came without the whole old row - ALTER TABLE %s REPLICA "
                          "IDENTITY FULL on the source",
                          c->table->from, c->table->from);
                return;
            }
            ms_sink_tag(s, (uint32_t)i);
            put_savepoint(s);
            if (!ms_sink_put_change(s, c, &g->why)) {
                s->sql.length = before;
                s->sql.data[before] = '\0';
                return;
            }
            g->unsendable = false;
        }
        g->next++;
    }
}

/* Runs a group from *at on and moves *at behind what is done with. */
static bool run_group(struct ms_replay *r, size_t *at, struct error *err)
{
    struct ms_sink *s = r->s;
    struct ms_answer a;
    struct group g;
    size_t first = *at;
    put_group(r, first, &g);
    if (g.next > first && !ms_sink_run(s, MS_ROLLBACK_CHANGE, &a, err))
        return false;
    if (g.next == first)
        a = (struct ms_answer){0};
    if (a.trouble) {
        size_t bad = a.at;
        const struct ms_sink_table *t = ms_sink_lane(s, r->batch->changes[bad].table);
        s->identity_left = t->identity >= 0 ? t : NULL;
        size_t mark = bad + 1 < g.next || (bad + 1 == g.next && g.unsendable) ? g.marks[bad + 1 - first]
                                                                              : s->waiting_count;
        ms_sink_wait_rewind(s, mark);
        *at = bad + 1;
        if (a.gone) {
            remember(r, bad, &a.error);
            return true;
        }
        return mend(r, bad, &a, err);
    }
    *at = g.next;
    if (g.unsendable) {
        set_aside(r, g.next, &g.why);
        *at = g.next + 1;
    }
    return true;
}

bool ms_sink_replay_changes(struct ms_replay *r, struct error *err)
{
    r->again = false;
    for (size_t i = 0; i < r->batch->count && !r->again;) {
        bool ok =
            r->batch->changes[i].op == CHANGE_TRUNCATE ? truncate(r, i, &i, err) : run_group(r, &i, err);
        if (!ok)
            return false;
    }
    return true;
}

/* --- the whole batch --- */

bool ms_sink_replay_begin(struct ms_sink *s, const struct batch *batch, struct error *err)
{
    struct ms_answer a;
    char to[POSITION_TEXT_SIZE];
    ms_sink_batch(s, s->in_transaction);
    if (batch->complete)
        ms_sink_put_advance(s, position_format(batch->end, to), batch->end_time_us);
    else if (!s->in_transaction)
        ms_sink_put_advance(s, s->applied_text, 0);
    for (uint32_t i = 0; i < s->tables->count; i++)
        if (s->lane_tables[i].usable && s->lane_tables[i].identity >= 0 &&
            s->tables->tables[i]->lane == s->lane)
            buffer_printf(&s->sql, "SET IDENTITY_INSERT %s OFF;\n", s->lane_tables[i].name);
    if (!ms_sink_run(s, MS_ROLLBACK_ALL, &a, err))
        return false;
    if (!a.trouble)
        return true;
    *err = a.error;
    return false;
}

static bool finish(struct ms_sink *s, const struct batch *batch, struct error *err)
{
    struct ms_answer a;
    ms_sink_batch(s, true);
    ms_sink_wait_put(s);
    if (batch->complete)
        buffer_puts(&s->sql, "COMMIT TRANSACTION;\n");
    if (!ms_sink_run(s, MS_ROLLBACK_ALL, &a, err))
        return false;
    if (a.trouble)
        return error_set_code(err, ERROR_FATAL, a.error.code, "the end of a transaction was refused - %.800s",
                              a.error.text);
    return true;
}

bool ms_sink_replay(struct ms_sink *s, const struct batch *batch, unsigned char *fates,
                    struct sink_counts *counts, struct error *err)
{
    struct ms_replay r = {.s = s, .batch = batch, .fates = fates, .counts = counts};
    size_t size = (s->tables->count + 1) * sizeof(*counts);
    struct sink_counts *before = mem_alloc(size);
    bool ok;

    memcpy(before, counts, s->tables->count * sizeof(*counts));
    r.bad = arena_alloc(s->arena, (batch->count + 1) * sizeof(struct error *));
    memset(r.bad, 0, (batch->count + 1) * sizeof(struct error *));
    do {
        ms_sink_wait_rewind(s, 0);
        memcpy(counts, before, s->tables->count * sizeof(*counts));
        ok = ms_sink_replay_begin(s, batch, err) && ms_sink_replay_changes(&r, err);
        if (ok && r.again && s->in_transaction)
            break;
    } while (ok && r.again);
    free(before);
    if (!ok || !r.again)
        return ok && finish(s, batch, err);
    for (size_t i = 0; i < batch->count; i++)
        if (r.bad[i])
            ms_sink_stop_table(s, ms_sink_lane(s, batch->changes[i].table), r.bad[i]->text);
    return error_set(err, ERROR_RETRY, "a source transaction in pieces was ended by one of its changes");
}
