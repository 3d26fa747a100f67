/* SPDX-License-Identifier: PostgreSQL
 *
 * The plan of a stretch of changes. Each table collects its changes key by key in a segment until
 * something comes that has no net effect by key (a barrier): a key change, TRUNCATE, a table without a
 * usable key (whose new rows collect like those with one, for they touch nothing that is there). Then the
 * segment's sets are put out, then the barrier as it came.
 *
 * Why a segment's sets equal its changes (STREAMING). 1. Without key changes, each change touches the row of
 * one key and no other, so keys may be taken apart, and each key's changes keep their order in compact_merge.
 * 2. A key's history alternates between "is there" and "is not": the state tables of compact_merge.c are that
 * automaton. What does not fit it comes from a source or a sink that is not what we think: its changes go one
 * by one, and whoever applies them sees what fails. 3. An absent column has the value it had, so merging
 * takes, for each column, the last one provided. 4. Delete and insert of one key stay two rows, unless the
 * new row can be written over the old one and nothing tells (compact_sets.c); the sets run DELETE, UPDATE,
 * INSERT, so that values of secondary unique columns are free before they are taken; where this order fails,
 * the sink replays exactly.
 *
 * Why CONVERGE is right (rule 6). The sink holds, for each key, what some chunk saw at some time after the
 * stream's start, or nothing; the stream is applied from its start to past the last copy. Take one key and
 * the last change to it. 1. A delete, or a whole row, leaves exactly the source's state whatever was there:
 * the chunk's newer row is overwritten by older ones for a while, and at last by the newest. That is why
 * insert and delete must stay a delete (the chunk may have seen the row between them) and why delete and
 * insert may become one upsert. 2. A partial update sets what it brings. If the key has whole rows or deletes
 * before it in the stream, the row is the source's but for columns that later updates bring. If it has none,
 * every change to the key since the stream's start is a partial update, so the chunk saw the same row, and
 * has the columns that were never brought; if the row is missing there, the key goes on the re-read list. 3.
 * A key change is a delete of the old key and an insert of the new one. With the whole new row it is taken
 * so, and 1 holds for both keys. With less, the missing columns are under the old key, where the sink may by
 * now hold another row that a chunk read later: it goes out as NET_EXACT, its table's barrier, and the sink
 * puts both keys on the re-read list. 4. TRUNCATE leaves nothing; every row the source has later was inserted
 * later, in the stream.
 */
#include "model/compact.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "model/compact_part.h"

struct planner {
    const struct compact_options *options;
    struct arena *arena;
    const struct change *changes; /* the first one */
    size_t count;
    uint32_t *previous;
    struct compact_segment **segments; /* by table id, NULL or one that is used again and again */
    uint32_t segment_count;
    struct compact_segment **open; /* the open ones, in order of their beginning */
    size_t open_count, open_capacity;
    struct net_step *steps; /* malloc'ed while it grows */
    size_t step_count, step_capacity;
    struct buffer key;
};

static void step_put(struct planner *p, const struct net_step *step)
{
    if (p->step_count == p->step_capacity) {
        p->step_capacity = p->step_capacity ? p->step_capacity * 2 : 16;
        p->steps = mem_grow(p->steps, p->step_capacity, sizeof(*p->steps));
    }
    p->steps[p->step_count++] = *step;
}

static void step_exact(struct planner *p, const struct change *c)
{
    step_put(p, &(struct net_step){.table = c->table, .op = NET_EXACT, .exact = c});
}

/* --- putting segments out --- */

/* Order of sets inside a plan; UPSERT is CONVERGE's INSERT. */
static const uint8_t phase_of[] = {
    [NET_DELETE] = 0, [NET_UPDATE] = 1, [NET_INSERT] = 2, [NET_UPSERT] = 2, [NET_EXACT] = 3,
};
enum { PHASES = 4 };

static void put_phase(struct planner *p, const struct compact_segment *s, int phase)
{
    for (uint32_t i = 0; i < s->set_count; i++) {
        if (phase_of[s->sets[i].op] == phase)
            step_put(p, &s->sets[i]);
    }
}

static void segment_close(struct compact_segment *s)
{
    compact_sets(s);
    compact_segment_clear(s);
    s->open = false;
}

static int compare_segments(const void *a, const void *b)
{
    const struct compact_segment *const *x = a;
    const struct compact_segment *const *y = b;
    const struct table *s = (*x)->table, *t = (*y)->table;
    if (s->rank != t->rank)
        return s->rank < t->rank ? -1 : 1;
    return s->id < t->id ? -1 : s->id > t->id;
}

/* Everything that is open, in an order that foreign keys allow. */
static void flush_all(struct planner *p)
{
    for (size_t i = 0; i < p->open_count; i++)
        segment_close(p->open[i]);
    if (p->open_count > 1)
        qsort(p->open, p->open_count, sizeof(*p->open), compare_segments);
    if (p->options->dependency_order) {
        for (size_t i = p->open_count; i-- > 0;)
            put_phase(p, p->open[i], 0);
        /* Table by table: a child's update may point to a parent that is inserted here. */
        for (size_t i = 0; i < p->open_count; i++) {
            for (int phase = 1; phase < PHASES - 1; phase++)
                put_phase(p, p->open[i], phase);
        }
        for (size_t i = 0; i < p->open_count; i++)
            put_phase(p, p->open[i], PHASES - 1);
    } else {
        for (size_t i = 0; i < p->open_count; i++) {
            for (int phase = 0; phase < PHASES; phase++)
                put_phase(p, p->open[i], phase);
        }
    }
    p->open_count = 0;
}

/* What must be out before a barrier of this table. With foreign keys, all: later sets of other tables could
 * otherwise be needed by what comes before the barrier. */
static void flush_table(struct planner *p, const struct table *t)
{
    struct compact_segment *s = t->id < p->segment_count ? p->segments[t->id] : NULL;
    if (p->options->dependency_order) {
        flush_all(p);
        return;
    }
    if (!s || !s->open)
        return;
    segment_close(s);
    for (int phase = 0; phase < PHASES; phase++)
        put_phase(p, s, phase);
    size_t at = 0;
    while (p->open[at] != s)
        at++;
    p->open[at] = p->open[--p->open_count];
}

/* --- collecting --- */

static struct compact_segment *segment_open(struct planner *p, struct table *t)
{
    if (t->id >= p->segment_count) {
        uint32_t n = t->id + 1 > p->segment_count * 2 ? t->id + 1 : p->segment_count * 2;
        p->segments = mem_grow(p->segments, n, sizeof(struct compact_segment *));
        for (uint32_t i = p->segment_count; i < n; i++)
            p->segments[i] = NULL;
        p->segment_count = n;
    }
    struct compact_segment *s = p->segments[t->id];
    if (s && s->open)
        return s;
    if (!s)
        s = p->segments[t->id] = mem_alloc(sizeof(*s));
    if (p->open_count == p->open_capacity) {
        p->open_capacity = p->open_capacity ? p->open_capacity * 2 : 16;
        p->open = mem_grow(p->open, p->open_capacity, sizeof(struct compact_segment *));
    }
    s->table = t;
    s->converge = table_converges(t);
    s->open = true;
    s->arena = p->arena;
    s->previous = p->previous;
    s->changes = p->changes;
    s->set_count = 0;
    p->open[p->open_count++] = s;
    return s;
}

static struct compact_key *key_for(struct planner *p, struct compact_segment *s, const struct value *row)
{
    buffer_clear(&p->key);
    change_key_bytes(s->table, row, &p->key);
    return compact_segment_key(s, (struct slice){p->key.data, p->key.length});
}

/* A whole new row of a table without a key: it touches no other row, so many may go together. */
static bool is_append(const struct change *c)
{
    if (c->op != CHANGE_INSERT || c->table->key_count > 0 || c->table->column_count == 0)
        return false;
    for (uint16_t i = 0; i < c->table->column_count; i++) {
        if (c->row[i].kind == VALUE_ABSENT)
            return false;
    }
    return true;
}

static bool has_key(const struct table *t, const struct value *row)
{
    for (uint16_t i = 0; i < t->key_count; i++) {
        if (row[t->key[i]].kind < VALUE_TEXT)
            return false;
    }
    return true;
}

static bool is_barrier(const struct change *c)
{
    const struct table *t = c->table;
    return c->op == CHANGE_TRUNCATE || t->key_count == 0 || !t->key_hashable ||
           !has_key(t, change_key_row(c));
}

/* A TRUNCATE of several tables is one statement: its steps stay together. Returns how many changes it is. */
static size_t take_truncate(struct planner *p, size_t i, const unsigned char *skip)
{
    uint32_t group = p->changes[i].truncate_group;
    size_t end = i + 1;
    while (group && end < p->count && p->changes[end].op == CHANGE_TRUNCATE &&
           p->changes[end].truncate_group == group)
        end++;
    for (size_t k = i; k < end; k++) {
        if (!skip || !skip[k])
            flush_table(p, p->changes[k].table);
    }
    for (size_t k = i; k < end; k++) {
        if (!skip || !skip[k])
            step_exact(p, &p->changes[k]);
    }
    return end - i;
}

static void take_move(struct planner *p, const struct change *c)
{
    bool full;
    const struct value *row = compact_row(c, p->arena, &full);
    if (!table_converges(c->table) || !full) {
        flush_table(p, c->table);
        step_exact(p, c);
        return;
    }
    struct compact_segment *s = segment_open(p, c->table);
    compact_merge(s, key_for(p, s, c->old), CHANGE_DELETE, c, NULL, false);
    compact_merge(s, key_for(p, s, row), CHANGE_INSERT, c, row, true);
}

static void take_keyed(struct planner *p, size_t i)
{
    const struct change *c = &p->changes[i];
    struct compact_segment *s = segment_open(p, c->table);
    struct compact_key *key = key_for(p, s, change_key_row(c));
    p->previous[i] = key->chain;
    key->chain = (uint32_t)i + 1;
    bool full = false;
    const struct value *row = c->op == CHANGE_DELETE ? NULL : compact_row(c, p->arena, &full);
    compact_merge(s, key, c->op, c, row, full);
}

struct net_plan compact(const struct batch *batch, size_t first, size_t count, const unsigned char *skip,
                        const struct compact_options *options, struct arena *arena)
{
    assert(first + count <= batch->count && count < UINT32_MAX);
    struct planner p = {
        .options = options, .arena = arena, .changes = batch->changes + first, .count = count};
    p.previous = arena_alloc(arena, count * sizeof(*p.previous));
    for (size_t i = 0; i < count;) {
        const struct change *c = &p.changes[i];
        if (skip && skip[i]) {
            i++;
            continue;
        }
        if (c->op == CHANGE_TRUNCATE) {
            i += take_truncate(&p, i, skip);
            continue;
        }
        if (is_append(c)) {
            compact_append(segment_open(&p, c->table), c);
        } else if (is_barrier(c)) {
            flush_table(&p, c->table);
            step_exact(&p, c);
        } else if (change_moves_key(c)) {
            take_move(&p, c);
        } else {
            take_keyed(&p, i);
        }
        i++;
    }
    flush_all(&p);
    struct net_plan plan = {arena_copy(arena, p.steps, p.step_count * sizeof(*p.steps)), p.step_count};
    for (uint32_t i = 0; i < p.segment_count; i++)
        compact_segment_free(p.segments[i]);
    free(p.segments);
    free(p.steps);
    free(p.open);
    buffer_free(&p.key);
    return plan;
}
