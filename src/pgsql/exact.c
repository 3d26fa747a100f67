/* SPDX-License-Identifier: PostgreSQL
 *
 * Convergence of one change, whatever the sink has: a whole new row overwrites what is under its key (the old
 * key's row goes first if the key may have moved); a partial one changes what is there and puts the key on
 * the re-read list where nothing is; a key change that brings less than the whole row puts both keys there,
 * because the row now under the old key may be another one; a deleted row is deleted.
 */
#include "pgsql/exact.h"

#include <assert.h>
#include <string.h>

bool exact_is_whole(const struct table *table, const struct value *row)
{
    for (uint16_t i = 0; i < table->column_count; i++)
        if (row[i].kind == VALUE_ABSENT)
            return false;
    return true;
}

const struct value *exact_row(struct pg_sink *s, const struct change *c)
{
    uint16_t n = c->table->column_count;

    if (!c->row || !c->old || exact_is_whole(c->table, c->row))
        return c->row;
    struct value *row = arena_copy(s->arena, c->row, (size_t)n * sizeof(*row));
    for (uint16_t i = 0; i < n; i++) {
        bool has_old = c->old_kind == OLD_FULL || c->table->columns[i].key;
        if (row[i].kind == VALUE_ABSENT && has_old)
            row[i] = c->old[i];
    }
    return row;
}

void exact_mask(const struct table *table, const struct value *row, uint64_t mask[LANE_MASK_WORDS])
{
    memset(mask, 0, ((size_t)table->column_count + 63) / 64 * sizeof(mask[0]));
    for (uint16_t i = 0; i < table->column_count; i++)
        if (row[i].kind != VALUE_ABSENT)
            mask[i / 64] |= UINT64_C(1) << (i % 64);
}

bool exact_converges(const struct change *c)
{
    return table_converges(c->table) && c->table->key_count > 0;
}

bool exact_is_possible(const struct change *c)
{
    if (c->op == CHANGE_INSERT || c->op == CHANGE_TRUNCATE || c->table->key_count > 0)
        return true;
    return c->old_kind == OLD_FULL && exact_is_whole(c->table, c->old);
}

static bool execute(struct pg_sink *s, const struct prepared_form *form, const struct value *key,
                    const struct value *row, const struct table *reread, uint32_t tag, struct error *err)
{
    struct prepared *p;

    if (!prepared_get(&s->prepared, &s->pipe, form, tag, &p, err))
        return false;
    params_row(&s->params, &p->statement, key, row);
    if (reread) {
        params_add_text(&s->params, s->pipeline);
        params_add_text(&s->params, reread->from);
    }
    struct pipe_args args = params_args(&s->params);
    return pipe_execute(&s->pipe, p->name, &args, tag, err);
}

bool exact_send_net(struct pg_sink *s, const struct table *table, enum net_op op, const uint64_t *mask,
                    const struct value *key, const struct value *row, bool expect, uint32_t tag,
                    struct error *err)
{
    struct prepared_form form = {.table = table,
                                 .kind = PREPARED_NET,
                                 .op = (int)op,
                                 .flag = expect,
                                 .mask = op == NET_DELETE ? NULL : mask};

    return execute(s, &form, key, row, NULL, tag, err);
}

bool exact_send_reread(struct pg_sink *s, const struct table *table, const struct value *key,
                       bool only_missing, uint32_t tag, struct error *err)
{
    struct prepared_form form = {.table = table, .kind = PREPARED_REREAD, .flag = only_missing};

    return execute(s, &form, key, key, table, tag | TAG_REREAD, err);
}

bool exact_send_truncate(struct pg_sink *s, const struct table *const *tables, uint32_t count, bool restart,
                         uint32_t tag, struct error *err)
{
    struct buffer sql = {0};

    statement_truncate(tables, count, restart, &sql);
    bool ok = pipe_sql(&s->pipe, buffer_text(&sql), 0, NULL, tag, err);
    buffer_free(&sql);
    return ok;
}

bool exact_send(struct pg_sink *s, const struct change *c, bool checked, uint32_t tag, struct error *err)
{
    const struct table *t = c->table;
    uint64_t mask[LANE_MASK_WORDS];
    const struct value *row = exact_row(s, c);

    assert(c->op != CHANGE_TRUNCATE && exact_is_possible(c));
    if (row)
        exact_mask(t, row, mask);
    if (c->op == CHANGE_INSERT && t->key_count > 0 && t->sink_key_arbiter)
        return exact_send_net(s, t, NET_INSERT, mask, row, row, checked, tag, err);
    struct prepared_form form = {.table = t,
                                 .kind = PREPARED_EXACT,
                                 .op = (int)c->op,
                                 .flag = t->key_count == 0,
                                 .mask = row ? mask : NULL};
    return execute(s, &form, change_key_row(c), row, NULL, tag, err);
}

/* --- catchup --- */

static bool send_upsert(struct pg_sink *s, const struct table *t, const struct value *row, uint32_t tag,
                        struct error *err)
{
    uint64_t mask[LANE_MASK_WORDS];

    exact_mask(t, row, mask);
    return (t->sink_key_arbiter || exact_send_net(s, t, NET_UPDATE, mask, row, row, false, tag, err)) &&
           exact_send_net(s, t, NET_UPSERT, mask, row, row, false, tag, err);
}

static bool send_partial(struct pg_sink *s, const struct change *c, const struct value *row, uint32_t tag,
                         struct error *err)
{
    const struct table *t = c->table;
    uint64_t mask[LANE_MASK_WORDS];

    if (change_moves_key(c))
        return exact_send_reread(s, t, c->old, false, tag, err) &&
               exact_send_reread(s, t, row, false, tag, err);
    exact_mask(t, row, mask);
    return exact_send_reread(s, t, change_key_row(c), true, tag, err) &&
           exact_send_net(s, t, NET_UPDATE, mask, change_key_row(c), row, false, tag, err);
}

bool exact_send_converge(struct pg_sink *s, const struct change *c, uint32_t tag, struct error *err)
{
    const struct table *t = c->table;
    const struct value *row = exact_row(s, c);

    assert(c->op != CHANGE_TRUNCATE && t->key_count > 0);
    if (c->op == CHANGE_DELETE)
        return exact_send_net(s, t, NET_DELETE, NULL, change_key_row(c), NULL, false, tag, err);
    if (!exact_is_whole(t, row))
        return send_partial(s, c, row, tag, err);
    bool moves = change_moves_key(c);
    return (!moves || exact_send_net(s, t, NET_DELETE, NULL, c->old, NULL, false, tag, err)) &&
           send_upsert(s, t, row, tag, err);
}
