/* SPDX-License-Identifier: PostgreSQL
 *
 * What a conflict leads to while streaming (all of them are counted and named):
 *   INSERT of a row that is there     -> the row is overwritten
 *   UPDATE of a row that is missing   -> inserted if the whole row came (overwriting what is under its new
 * key), else its key goes to the re-read list DELETE of a row that is missing   -> nothing A row that is
 * refused (SQLSTATE classes 22, 23) goes to quarantine, and a statement that can't work (missing table,
 * right, feature) stops its table.
 */
#include "pgsql/mend.h"

#include <assert.h>
#include <string.h>

#include "pgsql/exact.h"
#include "pgsql/sift.h"

/* One attempt's answer. */
struct answer {
    int64_t rows;
    struct error error; /* ERROR_NONE: it worked */
};

struct mend {
    struct replay *r;
    size_t index;
    const struct change *change;
    const struct value *row;
    uint64_t mask[LANE_MASK_WORDS];
};

/* Ends the exchange and reads the answer of its last statement. */
static bool close_attempt(struct mend *m, struct answer *out, struct error *err)
{
    struct pipe *p = &m->r->s->pipe;

    if (!replay_close(m->r, err))
        return false;
    *out = (struct answer){.error = p->failure.error};
    if (p->count > 0)
        out->rows = p->entries[p->count - 1].rows;
    return true;
}

static bool try_change(struct mend *m, struct answer *out, struct error *err)
{
    uint32_t tag = (uint32_t)m->index;
    struct pg_sink *s = m->r->s;

    if (!replay_open(m->r, err))
        return false;
    bool sent = exact_converges(m->change) ? exact_send_converge(s, m->change, tag, err)
                                           : exact_send(s, m->change, false, tag, err);
    return sent && close_attempt(m, out, err);
}

/* The row under the new row's key becomes the new row. */
static bool try_overwrite(struct mend *m, struct answer *out, struct error *err)
{
    const struct table *t = m->change->table;

    *out = (struct answer){.rows = 1};
    if (t->key_count == t->column_count)
        return true; /* nothing but the key */
    return replay_open(m->r, err) &&
           exact_send_net(m->r->s, t, NET_UPDATE, m->mask, m->row, m->row, false, (uint32_t)m->index, err) &&
           close_attempt(m, out, err);
}

static bool try_insert(struct mend *m, struct answer *out, struct error *err)
{
    struct change insert = *m->change;

    insert.op = CHANGE_INSERT;
    insert.old_kind = OLD_NONE;
    insert.old = NULL;
    insert.row =
        arena_copy(m->r->s->arena, m->row, (size_t)insert.table->column_count * sizeof(struct value));
    return replay_open(m->r, err) && exact_send(m->r->s, &insert, false, (uint32_t)m->index, err) &&
           close_attempt(m, out, err);
}

static bool try_reread(struct mend *m, struct answer *out, struct error *err)
{
    const struct change *c = m->change;
    struct pg_sink *s = m->r->s;
    uint32_t tag = (uint32_t)m->index;

    return replay_open(m->r, err) && exact_send_reread(s, c->table, change_key_row(c), false, tag, err) &&
           (!change_moves_key(c) || exact_send_reread(s, c->table, m->row, false, tag, err)) &&
           close_attempt(m, out, err);
}

/* Was an INSERT refused because of a row that is there? Then *out is the overwriting's answer. */
static bool overwrite_if_there(struct mend *m, struct answer *out, struct error *err)
{
    struct answer second;
    bool there = out->error.kind == ERROR_NONE ? out->rows == 0 : strcmp(out->error.code, "23505") == 0;

    if (!there || m->change->table->key_count == 0)
        return true;
    if (!try_overwrite(m, &second, err))
        return false;
    if (out->error.kind == ERROR_NONE || second.error.kind != ERROR_NONE || second.rows > 0)
        *out = second; /* else another unique value is in the way: the first answer stands */
    return true;
}

static void conflict(struct mend *m, const char *kind)
{
    const struct table *t = m->change->table;
    struct pg_sink *s = m->r->s;
    char key[300];

    if (!s->events.conflict)
        return;
    change_key_text(t, change_key_row(m->change), key, sizeof(key));
    s->events.conflict(s->events.context, t, kind, key);
}

static void refuse(struct mend *m, const struct error *why)
{
    struct replay *r = m->r;
    enum sift_fate fate = lane_blame(why) == LANE_BLAME_ROW ? sift_refuse(r->s, r->batch, m->index, why)
                                                            : sift_stop(r->s, r->batch, m->index, why);

    r->fates[m->index] = (unsigned char)fate;
}

/* INSERT: the answer was an error or no row. */
static bool mend_insert(struct mend *m, struct answer *a, struct error *err)
{

    if (!overwrite_if_there(m, a, err))
        return false;
    if (a->error.kind == ERROR_NONE) {
        m->r->counts[m->change->table->id].existing++;
        conflict(m, "existing");
    }
    return true;
}

/* UPDATE that found no row. */
static bool mend_update(struct mend *m, struct answer *a, struct error *err)
{
    struct sink_counts *n = &m->r->counts[m->change->table->id];

    if (exact_is_whole(m->change->table, m->row)) {
        if (!try_insert(m, a, err) || !overwrite_if_there(m, a, err))
            return false;
    } else if (m->change->table->key_count > 0) {
        if (!try_reread(m, a, err))
            return false;
        n->reread += a->error.kind == ERROR_NONE;
    }
    if (a->error.kind == ERROR_NONE) {
        n->missing++;
        conflict(m, "missing");
    }
    return true;
}

static bool mend_row(struct mend *m, bool *smooth, struct error *err)
{
    struct answer a;
    const struct change *c = m->change;

    if (!try_change(m, &a, err))
        return false;
    *smooth = a.error.kind == ERROR_NONE && (a.rows > 0 || exact_converges(c));
    if (*smooth)
        return true;
    bool mended = true;
    if (c->op == CHANGE_INSERT && !exact_converges(c)) {
        mended = mend_insert(m, &a, err);
    } else if (c->op == CHANGE_UPDATE && a.error.kind == ERROR_NONE) {
        mended = mend_update(m, &a, err);
    } else if (c->op == CHANGE_DELETE && a.error.kind == ERROR_NONE) {
        m->r->counts[c->table->id].missing++;
        conflict(m, "missing");
    }
    if (mended && a.error.kind != ERROR_NONE)
        refuse(m, &a.error);
    return mended;
}

/* A refused TRUNCATE stops every table that it names: it is one statement or none. */
static bool mend_truncate(struct replay *r, size_t index, size_t *next, struct error *err)
{
    bool ok;
    struct error why;

    if (!replay_open(r, err))
        return false;
    size_t length = replay_send_truncate(r, index, &ok, err);
    if (!ok || !replay_close(r, err))
        return false;
    *next = index + length;
    if (r->s->pipe.failure.error.kind == ERROR_NONE)
        return true;
    why = r->s->pipe.failure.error;
    struct buffer names = {0};
    for (size_t i = index; i < *next; i++) {
        buffer_puts(&names, i > index ? ", " : "");
        buffer_puts(&names, r->batch->changes[i].table->to);
    }
    error_prefix(&why, "TRUNCATE %.400s was refused", buffer_text(&names));
    buffer_free(&names);
    for (size_t i = index; i < *next; i++)
        if (r->fates[i] == SIFT_APPLY)
            r->fates[i] = (unsigned char)sift_stop(r->s, r->batch, i, &why);
    return true;
}

bool mend_change(struct replay *r, size_t index, size_t *next, bool *smooth, struct error *err)
{
    const struct change *c = &r->batch->changes[index];
    struct mend m = {.r = r, .index = index, .change = c};
    struct error why;

    *smooth = false;
    if (c->op == CHANGE_TRUNCATE)
        return mend_truncate(r, index, next, err);
    *next = index + 1;
    r->fates[index] = (unsigned char)sift_change(r->s, r->batch, index);
    if (r->fates[index] != SIFT_APPLY) {
        *smooth = true;
        return true;
    }
    if (!exact_is_possible(c)) {
        error_set(&why, ERROR_TABLE,
                  "%s: an UPDATE or DELETE came without the whole old row - ALTER TABLE %s REPLICA IDENTITY "
                  "FULL on "
                  "the source, then recopy",
                  c->table->from, c->table->from);
        r->fates[index] = (unsigned char)sift_stop(r->s, r->batch, index, &why);
        return true;
    }
    m.row = exact_row(r->s, c);
    if (m.row)
        exact_mask(c->table, m.row, m.mask);
    return mend_row(&m, smooth, err);
}
