/* SPDX-License-Identifier: PostgreSQL
 *
 * Absent columns are always such that did not change; keys move, swap and come back; values are static texts.
 */
#include "tests/unit/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"

/* --- random numbers --- */

uint32_t random_pick(struct random *r, uint32_t n)
{
    r->state ^= r->state << 13;
    r->state ^= r->state >> 7;
    r->state ^= r->state << 17;
    return (uint32_t)(r->state >> 33) % n;
}

bool random_chance(struct random *r, uint32_t percent)
{
    return random_pick(r, 100) < percent;
}

uint64_t random_seed(void)
{
    const char *env = getenv("CROSSFADE_TEST_SEED");
    uint64_t seed = env ? strtoull(env, NULL, 10) : (uint64_t)clock_us();
    print_message("CROSSFADE_TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed ? seed : 1;
}

struct random random_history(uint64_t seed, int history)
{
    struct random r = {seed * 0x9E3779B97F4A7C15u + (uint64_t)history * 0xD1B54A32D192ED03u + 1};
    for (int i = 0; i < 4; i++)
        random_pick(&r, 2);
    return r;
}

/* --- tables --- */

static void world_table(struct world *w, int t, int columns, int key_count, int k0, int k1)
{
    struct table *table = &w->tables[t];
    static char name[] = "column";
    *table = (struct table){.id = (uint32_t)t,
                            .columns = w->columns[t],
                            .column_count = (uint16_t)columns,
                            .key = w->keys[t],
                            .key_count = (uint16_t)key_count,
                            .key_hashable = key_count > 0,
                            .sink_key_arbiter = true,
                            .state = TABLE_STREAMING};
    for (int i = 0; i < columns; i++)
        w->columns[t][i] = (struct column){.source = name, .sink = name};
    w->keys[t][0] = (uint16_t)k0;
    w->keys[t][1] = (uint16_t)k1;
    for (int i = 0; i < key_count; i++) {
        w->columns[t][w->keys[t][i]].key = true;
        w->columns[t][w->keys[t][i]].key_bytewise = true;
    }
}

void world_start(struct world *w)
{
    memset(w, 0, sizeof(*w));
    world_table(w, 0, 4, 1, 0, 0);
    world_table(w, 1, 5, 2, 3, 1);
    w->columns[1][3].key_numeric = true;
    w->columns[1][3].key_bytewise = false;
    world_table(w, KEYLESS, 2, 0, 0, 0);
    w->tables[KEYLESS].identity = IDENTITY_FULL;
    world_table(w, UNHASHABLE, 3, 1, 1, 0);
    w->tables[UNHASHABLE].key_hashable = false;
    world_table(w, 4, 3, 1, 0, 0);
    w->tables[4].identity = IDENTITY_FULL;
}

/* --- values: all are static --- */

static const char *const small_text[] = {"0", "1", "2", "3", "4", "5"};
static const char *const numeric_text[3][3] = {
    {"1", "1.0", "1.00"}, {"20", "20.0", "20.000"}, {"-0.5", "-0.50", "-0.500"}};
static const char binary_text[KEYS][4] = {{0, 0, 0, 1}, {0, 0, 0, 2},     {0, 0, 1, 0},
                                          {1, 0, 0, 0}, {-1, -1, -1, -1}, {0, 1, 0, 0}};

static struct value text_value(const char *text)
{
    return (struct value){text, (uint32_t)strlen(text), VALUE_TEXT};
}

/* Key number 0..KEYS-1 of a table into a row; numerics with any scale. */
static void put_key(struct random *r, int t, uint32_t key, struct value *row)
{
    if (t == 1) {
        row[3] = text_value(numeric_text[key / 2][random_pick(r, 3)]);
        row[1] = text_value(key % 2 ? "a longer text key" : "");
    } else if (t == UNHASHABLE) {
        row[1] = text_value(small_text[key]);
    } else if (t == 4) {
        row[0] = (struct value){binary_text[key], 4, VALUE_BINARY};
    } else {
        row[0] = text_value(small_text[key]);
    }
}

static struct value some_value(struct random *r)
{
    if (random_chance(r, 15))
        return (struct value){NULL, 0, VALUE_NULL};
    return text_value(small_text[random_pick(r, 6)]);
}

static bool value_equal(const struct value *a, const struct value *b)
{
    return a->kind == b->kind && a->length == b->length &&
           (!a->length || !memcmp(a->data, b->data, a->length));
}

/* --- the naive store --- */

static bool numeric_equal(const struct value *a, const struct value *b)
{
    char x[16], y[16];
    snprintf(x, sizeof(x), "%.*s", (int)a->length, a->data);
    snprintf(y, sizeof(y), "%.*s", (int)b->length, b->data);
    return strtod(x, NULL) == strtod(y, NULL);
}

bool store_key_equal(const struct table *t, const struct value *a, const struct value *b)
{
    for (uint16_t i = 0; i < t->key_count; i++) {
        uint16_t at = t->key[i];
        if (t->columns[at].key_numeric ? !numeric_equal(&a[at], &b[at]) : !value_equal(&a[at], &b[at]))
            return false;
    }
    return true;
}

static bool row_equal(const struct table *t, const struct value *a, const struct value *b)
{
    for (uint16_t i = 0; i < t->column_count; i++) {
        if (!value_equal(&a[i], &b[i]))
            return false;
    }
    return true;
}

int store_find(const struct store *s, const struct table *t, const struct value *key)
{
    for (int i = 0; i < s->count[t->id]; i++) {
        const struct value *row = s->rows[t->id][i].v;
        if (t->key_count ? store_key_equal(t, row, key) : row_equal(t, row, key))
            return i;
    }
    return -1;
}

void store_overlay(struct store *s, const struct table *t, int at, const struct value *row)
{
    for (uint16_t i = 0; i < t->column_count; i++) {
        if (row[i].kind != VALUE_ABSENT)
            s->rows[t->id][at].v[i] = row[i];
    }
}

void store_add(struct store *s, const struct table *t, const struct value *row)
{
    int at = s->count[t->id]++;
    assert_true(at < ROWS);
    memcpy(s->rows[t->id][at].v, row, t->column_count * sizeof(*row));
}

void store_remove(struct store *s, const struct table *t, int at)
{
    s->rows[t->id][at] = s->rows[t->id][--s->count[t->id]];
}

/* As they say, strictly. */
bool store_change(struct store *s, const struct change *c)
{
    const struct table *t = c->table;
    if (c->op == CHANGE_TRUNCATE) {
        s->count[t->id] = 0;
        return true;
    }
    int at = store_find(s, t, change_key_row(c));
    if (c->op == CHANGE_INSERT) {
        if (at >= 0 && t->key_count)
            return false;
        store_add(s, t, c->row);
        return true;
    }
    if (at < 0)
        return false;
    if (c->op == CHANGE_DELETE)
        store_remove(s, t, at);
    else
        store_overlay(s, t, at, c->row);
    return true;
}

static bool store_has(const struct store *s, const struct table *t, const struct value *row, int *times)
{
    *times = 0;
    for (int i = 0; i < s->count[t->id]; i++)
        *times += row_equal(t, s->rows[t->id][i].v, row);
    return *times > 0;
}

bool store_equal(const struct store *a, const struct store *b, const struct world *w)
{
    for (int t = 0; t < TABLES; t++) {
        if (a->count[t] != b->count[t])
            return false;
        for (int i = 0; i < a->count[t]; i++) {
            int x, y;
            store_has(a, &w->tables[t], a->rows[t][i].v, &x);
            if (!store_has(b, &w->tables[t], a->rows[t][i].v, &y) || x != y)
                return false;
        }
    }
    return true;
}

/* --- random histories --- */

static void history_add(struct history *h, struct store *now, const struct change *c)
{
    assert_true(store_change(now, c));
    batch_append(h->batch, c);
    h->states[h->batch->count] = *now;
}

static void add_insert(struct random *r, struct history *h, struct store *now, struct table *t, uint32_t key)
{
    struct value row[COLUMNS] = {{0}};
    for (uint16_t i = 0; i < t->column_count; i++)
        row[i] = some_value(r);
    if (t->key_count)
        put_key(r, (int)t->id, key, row);
    history_add(h, now, &(struct change){.table = t, .op = CHANGE_INSERT, .row = row});
}

/* A new version of a row; what did not change may be absent. */
static void new_version(struct random *r, const struct table *t, const struct value *old, struct value *row)
{
    bool partial = random_chance(r, 40);
    for (uint16_t i = 0; i < t->column_count; i++) {
        row[i] = old[i];
        if (t->columns[i].key)
            continue;
        if (random_chance(r, 50))
            row[i] = some_value(r);
        else if (partial && random_chance(r, 60))
            row[i] = (struct value){NULL, 0, VALUE_ABSENT};
    }
}

static void old_key(struct random *r, const struct table *t, const struct value *now, struct value *old,
                    enum old_row *kind)
{
    bool full = t->identity == IDENTITY_FULL || random_chance(r, 5);
    *kind = full ? OLD_FULL : OLD_KEY;
    for (uint16_t i = 0; i < t->column_count; i++)
        old[i] = full || t->columns[i].key ? now[i] : (struct value){NULL, 0, VALUE_ABSENT};
}

static void add_update(struct random *r, struct history *h, struct store *now, struct table *t, int at,
                       int key)
{
    struct value row[COLUMNS], old[COLUMNS];
    struct change c = {.table = t, .op = CHANGE_UPDATE, .row = row};
    const struct value *was = now->rows[t->id][at].v;
    new_version(r, t, was, row);
    if (key >= 0)
        put_key(r, (int)t->id, (uint32_t)key, row);
    if (key >= 0 || t->identity == IDENTITY_FULL || random_chance(r, 5)) {
        old_key(r, t, was, old, &c.old_kind);
        c.old = old;
    }
    history_add(h, now, &c);
}

static void add_delete(struct random *r, struct history *h, struct store *now, struct table *t, int at)
{
    struct value old[COLUMNS];
    struct change c = {.table = t, .op = CHANGE_DELETE, .old = old};
    old_key(r, t, now->rows[t->id][at].v, old, &c.old_kind);
    history_add(h, now, &c);
}

/* The key `key` is there? Its row number, or -1. */
int store_row_of(struct random *r, const struct store *now, const struct table *t, uint32_t key)
{
    struct value row[COLUMNS] = {{0}};
    put_key(r, (int)t->id, key, row);
    return store_find(now, t, row);
}

static int free_key(struct random *r, const struct store *now, const struct table *t)
{
    for (int tries = 0; tries < 8; tries++) {
        uint32_t key = random_pick(r, KEYS);
        if (store_row_of(r, now, t, key) < 0)
            return (int)key;
    }
    return -1;
}

static void add_swap(struct random *r, struct history *h, struct store *now, struct table *t)
{
    uint32_t a = random_pick(r, KEYS), b = random_pick(r, KEYS);
    int c = free_key(r, now, t);
    if (a == b || c < 0 || store_row_of(r, now, t, a) < 0 || store_row_of(r, now, t, b) < 0)
        return;
    add_update(r, h, now, t, store_row_of(r, now, t, a), c);
    add_update(r, h, now, t, store_row_of(r, now, t, b), (int)a);
    add_update(r, h, now, t, store_row_of(r, now, t, (uint32_t)c), (int)b);
}

static void add_truncate(struct random *r, struct history *h, struct store *now, struct world *w, int tables)
{
    h->group++;
    for (int t = 0; t < tables; t++) {
        if (t == 0 || random_chance(r, 40))
            history_add(
                h, now,
                &(struct change){.table = &w->tables[t], .op = CHANGE_TRUNCATE, .truncate_group = h->group});
    }
}

static void add_keyed(struct random *r, struct history *h, struct store *now, struct table *t)
{
    uint32_t key = random_pick(r, KEYS);
    int at = store_row_of(r, now, t, key);
    uint32_t what = random_pick(r, 100);
    if (at < 0) {
        if (what < 60)
            add_insert(r, h, now, t, key);
    } else if (what < 50) {
        add_update(r, h, now, t, at, -1);
    } else if (what < 75) {
        add_delete(r, h, now, t, at);
    } else if (what < 90) {
        int to = random_chance(r, 10) ? (int)key : free_key(r, now, t);
        if (to >= 0)
            add_update(r, h, now, t, at, to);
    } else {
        add_swap(r, h, now, t);
    }
}

static void add_keyless(struct random *r, struct history *h, struct store *now, struct table *t)
{
    int count = now->count[t->id];
    uint32_t what = random_pick(r, 3);
    if (count == 0 || (what == 0 && count < ROWS / 2))
        add_insert(r, h, now, t, 0);
    else if (what == 1)
        add_update(r, h, now, t, (int)random_pick(r, (uint32_t)count), -1);
    else
        add_delete(r, h, now, t, (int)random_pick(r, (uint32_t)count));
}

static void history_start(struct random *r, struct history *h, struct world *w, bool keyless)
{
    static const struct transaction begin = {.xid = 1};
    batch_reset(h->batch);
    batch_begin(h->batch, &begin);
    memset(h->states, 0, sizeof(h->states[0]));
    struct store *first = &h->states[0];
    for (int t = 0; t < TABLES; t++) {
        for (uint32_t key = 0; key < KEYS && (t != KEYLESS || keyless); key++) {
            struct value row[COLUMNS] = {{0}};
            for (uint16_t i = 0; i < w->tables[t].column_count; i++)
                row[i] = some_value(r);
            if (t != KEYLESS)
                put_key(r, t, key, row);
            if (random_chance(r, 50))
                store_add(first, &w->tables[t], row);
        }
    }
}

void history_make(struct random *r, struct history *h, struct world *w, bool keyless)
{
    history_start(r, h, w, keyless);
    struct store now = h->states[0];
    size_t length = 3 + random_pick(r, STEPS - 8);
    uint32_t moving = random_chance(r, 50) ? TABLES : 1 + random_pick(r, TABLES);
    while (h->batch->count < length) {
        int t = (int)random_pick(r, moving);
        if (random_chance(r, 2))
            add_truncate(r, h, &now, w, keyless ? TABLES : 2);
        else if (t != KEYLESS)
            add_keyed(r, h, &now, &w->tables[t]);
        else if (keyless)
            add_keyless(r, h, &now, &w->tables[t]);
        else
            add_keyed(r, h, &now, &w->tables[0]);
    }
}

struct history *history_new(void)
{
    struct history *h = mem_alloc(sizeof(*h));
    h->batch = batch_new();
    return h;
}

void history_free(struct history *h)
{
    batch_free(h->batch);
    free(h);
}
