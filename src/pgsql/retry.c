/* SPDX-License-Identifier: PostgreSQL
 *
 * A story is what happens to one row: perhaps it is inserted, then it changes, also its key, perhaps it is
 * deleted. Folded it is one INSERT, UPDATE or DELETE from the key that the sink's row has now to the last
 * one.
 *
 * Why any order will do that works: all changes of the keys concerned are here or were applied before, so a
 * key belongs to at most one row of the sink, and the last words of all stories fit each other, as they did
 * in the source. A story whose key or unique value is still held by a row that another story will change
 * fails for now, and is tried again as long as others succeed. An INSERT never overwrites: where its key is
 * taken it waits.
 */
#include "pgsql/retry.h"

#include <assert.h>
#include <string.h>

#include "pgsql/exact.h"
#include "pgsql/replay.h"

struct story {
    struct change change; /* the last word */
    size_t first;         /* its first change */
    bool born;            /* begins with an INSERT */
    bool gone;            /* ends with a DELETE */
    bool done;
    struct error why;
};

struct retry {
    struct replay replay;
    const struct batch *batch;
    struct story *stories;
    size_t count;
    size_t *story_of; /* by change */
};

/* --- folding --- */

static struct slice key_slice(struct pg_sink *s, const struct table *t, const struct value *row)
{
    buffer_clear(&s->probe);
    change_key_bytes(t, row, &s->probe);
    return (struct slice){arena_copy(s->arena, s->probe.data, s->probe.length), s->probe.length};
}

static struct value *absent_row(struct pg_sink *s, const struct table *t)
{
    size_t size = (size_t)t->column_count * sizeof(struct value);

    return memset(arena_alloc(s->arena, size), 0, size);
}

static struct story *new_story(struct pg_sink *s, struct retry *r, size_t first)
{
    const struct change *c = &r->batch->changes[first];
    struct story *story = &r->stories[r->count++];

    *story = (struct story){.first = first, .born = c->op == CHANGE_INSERT};
    story->change = (struct change){.table = c->table, .row = absent_row(s, c->table)};
    if (story->born)
        return story;
    story->change.old_kind = OLD_KEY;
    story->change.old = absent_row(s, c->table);
    for (uint16_t k = 0; k < c->table->key_count; k++)
        story->change.old[c->table->key[k]] = change_key_row(c)[c->table->key[k]];
    return story;
}

static void fold_change(struct pg_sink *s, struct retry *r, struct map *live, size_t index)
{
    const struct change *c = &r->batch->changes[index];
    const struct value *row = exact_row(s, c);
    struct slice from = key_slice(s, c->table, change_key_row(c));
    struct story *story = c->op == CHANGE_INSERT ? NULL : map_get(live, from);

    assert(c->op != CHANGE_TRUNCATE);
    if (!story)
        story = new_story(s, r, index);
    r->story_of[index] = (size_t)(story - r->stories);
    map_remove(live, from);
    story->gone = c->op == CHANGE_DELETE;
    if (story->gone)
        return;
    for (uint16_t i = 0; i < c->table->column_count; i++)
        if (row[i].kind != VALUE_ABSENT)
            story->change.row[i] = row[i];
    map_at(live, key_slice(s, c->table, story->change.row))->value = story;
}

static void fold(struct pg_sink *s, struct retry *r)
{
    struct map live = {0};

    for (size_t i = 0; i < r->batch->count; i++)
        fold_change(s, r, &live, i);
    map_free(&live);
    for (size_t i = 0; i < r->count; i++) {
        struct story *story = &r->stories[i];
        story->done = story->born && story->gone;
        story->change.op = story->gone ? CHANGE_DELETE : story->born ? CHANGE_INSERT : CHANGE_UPDATE;
        if (story->gone)
            story->change.row = NULL;
    }
}

/* --- trying --- */

static bool attempt(struct retry *r, const struct change *c, int64_t *rows, struct error *why,
                    struct error *err)
{
    struct pg_sink *s = r->replay.s;

    if (!replay_open(&r->replay, err))
        return false;
    bool sent = exact_converges(c) ? exact_send_converge(s, c, 0, err) : exact_send(s, c, false, 0, err);
    if (!sent || !replay_close(&r->replay, err))
        return false;
    *why = s->pipe.failure.error;
    *rows = exact_converges(c) ? 1 : s->pipe.entries[s->pipe.count - 1].rows;
    return true;
}

/* The row to be changed is not there: a whole one is inserted, a partial one has to be read again. */
static bool try_missing(struct retry *r, struct story *story, int64_t *rows, struct error *err)
{
    struct pg_sink *s = r->replay.s;
    struct change insert = story->change;

    if (exact_is_whole(insert.table, insert.row)) {
        insert.op = CHANGE_INSERT;
        insert.old = NULL;
        insert.old_kind = OLD_NONE;
        return attempt(r, &insert, rows, &story->why, err);
    }
    *rows = 1;
    return replay_open(&r->replay, err) && exact_send_reread(s, insert.table, insert.old, false, 0, err) &&
           exact_send_reread(s, insert.table, insert.row, false, 0, err) && replay_close(&r->replay, err);
}

static bool try_story(struct retry *r, struct story *story, struct error *err)
{
    int64_t rows;

    if (!attempt(r, &story->change, &rows, &story->why, err))
        return false;
    if (story->why.kind == ERROR_NONE && rows == 0 && story->change.op == CHANGE_UPDATE &&
        !try_missing(r, story, &rows, err))
        return false;
    if (story->why.kind == ERROR_NONE && rows == 0 && story->change.op != CHANGE_DELETE)
        error_set_code(&story->why, ERROR_DATA, "23505", "a row with this key is there");
    story->done = story->why.kind == ERROR_NONE;
    return true;
}

static bool try_while_some_succeed(struct retry *r, size_t *open, struct error *err)
{
    bool progress;

    do {
        progress = false;
        *open = 0;
        for (size_t i = 0; i < r->count; i++) {
            struct story *story = &r->stories[i];
            if (story->done)
                continue;
            if (!try_story(r, story, err))
                return false;
            progress |= story->done;
            *open += !story->done;
        }
    } while (progress && *open > 0);
    return true;
}

static bool end_group(struct retry *r, struct error *err)
{
    struct replay *replay = &r->replay;
    bool had = replay->has_group, failed = replay->failed;

    replay->has_group = false;
    replay->failed = false;
    return !had || pg_exec(&replay->s->conn,
                           failed ? "ROLLBACK TO SAVEPOINT cf_group; RELEASE SAVEPOINT cf_group"
                                  : "RELEASE SAVEPOINT cf_group",
                           err);
}

/* --- rows that hold each other's unique values --- */

/* Sets to NULL, where that may be, what the story will set anyway. */
static bool clear_row(struct retry *r, const struct story *story, struct error *err)
{
    const struct change *c = &story->change;
    const struct table *t = c->table;
    uint64_t mask[LANE_MASK_WORDS] = {0};
    struct value *nulls = absent_row(r->replay.s, t);
    bool any = false;

    for (uint16_t i = 0; i < t->column_count; i++) {
        nulls[i].kind = VALUE_NULL;
        if (t->columns[i].key || t->columns[i].not_null || c->row[i].kind == VALUE_ABSENT)
            continue;
        mask[i / 64] |= UINT64_C(1) << (i % 64);
        any = true;
    }
    return !any || exact_send_net(r->replay.s, t, NET_UPDATE, mask, c->old, nulls, false, 0, err);
}

static bool clear_open(struct retry *r, struct error *err)
{
    if (!replay_open(&r->replay, err))
        return false;
    for (size_t i = 0; i < r->count; i++) {
        const struct story *story = &r->stories[i];
        if (!story->done && story->change.op == CHANGE_UPDATE && !clear_row(r, story, err))
            return false;
    }
    return replay_close(&r->replay, err);
}

/* All of the open stories together, or none of them. */
static bool break_cycle(struct retry *r, struct error *err)
{
    struct pg_sink *s = r->replay.s;
    struct story *before = arena_copy(s->arena, r->stories, r->count * sizeof(*before));
    size_t open = 1;

    if (!pg_exec(&s->conn, "SAVEPOINT cf_cycle", err) || !clear_open(r, err))
        return false;
    if (!r->replay.failed && !try_while_some_succeed(r, &open, err))
        return false;
    if (open == 0)
        return end_group(r, err) && pg_exec(&s->conn, "RELEASE SAVEPOINT cf_cycle", err);
    memcpy(r->stories, before, r->count * sizeof(*before));
    r->replay.has_group = false; /* it goes with the rollback */
    r->replay.failed = false;
    return pg_exec(&s->conn, "ROLLBACK TO SAVEPOINT cf_cycle; RELEASE SAVEPOINT cf_cycle", err);
}

static bool try_all(struct retry *r, struct error *err)
{
    size_t open, cycle = 0;

    if (!try_while_some_succeed(r, &open, err) || !end_group(r, err))
        return false;
    for (size_t i = 0; i < r->count; i++)
        cycle += !r->stories[i].done && strcmp(r->stories[i].why.code, "23505") == 0;
    return cycle < 2 || break_cycle(r, err);
}

bool retry_run(struct pg_sink *s, const struct stored *stored, struct retry_result *results,
               struct error *err)
{
    size_t n = stored->batch.count;
    struct retry r = {.replay = {.s = s, .batch = &stored->batch}, .batch = &stored->batch};

    r.stories = arena_alloc(s->arena, (n + 1) * sizeof(*r.stories));
    r.story_of = arena_alloc(s->arena, (n + 1) * sizeof(*r.story_of));
    fold(s, &r);
    if (!try_all(&r, err))
        return false;
    for (size_t i = 0; i < n; i++) {
        struct story *story = &r.stories[r.story_of[i]];
        results[i] = (struct retry_result){.refused = !story->done};
        if (!story->done && story->first == i)
            results[i].why = &story->why;
    }
    return true;
}
