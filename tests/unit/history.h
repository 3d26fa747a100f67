/* SPDX-License-Identifier: PostgreSQL
 *
 * Random histories of a small source, and a naive store that executes changes one by one: what compaction is
 * tested against.
 */
#ifndef TESTS_HISTORY_H
#define TESTS_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "model/batch.h"

enum { COLUMNS = 5, TABLES = 5, KEYS = 6, ROWS = 64, STEPS = 60, KEYLESS = 2, UNHASHABLE = 3 };

struct random {
    uint64_t state;
};

/* Tables: 0 one key; 1 a key of numeric and text, in another order than the columns; 2 keyless; 3 a key that
 * can't be hashed; 4 a key in binary, identity full. */
struct world {
    struct table tables[TABLES];
    struct column columns[TABLES][COLUMNS];
    uint16_t keys[TABLES][2];
};

struct row {
    struct value v[COLUMNS];
};

struct store {
    struct row rows[TABLES][ROWS];
    int count[TABLES];
};

struct history {
    struct batch *batch;
    struct store states[STEPS + 16]; /* after so many changes */
    uint32_t group;
};

/* 0 … n-1 */
uint32_t random_pick(struct random *r, uint32_t n);
bool random_chance(struct random *r, uint32_t percent);
/* CROSSFADE_TEST_SEED, or a new one; printed. */
uint64_t random_seed(void);
/* The numbers of one history of a seed. */
struct random random_history(uint64_t seed, int history);
/* All tables STREAMING. */
void world_start(struct world *w);
bool store_key_equal(const struct table *t, const struct value *a, const struct value *b);
/* The row of that key (keyless: an equal row), or -1. */
int store_find(const struct store *s, const struct table *t, const struct value *key);
/* Sets what `row` provides. */
void store_overlay(struct store *s, const struct table *t, int at, const struct value *row);
void store_add(struct store *s, const struct table *t, const struct value *row);
void store_remove(struct store *s, const struct table *t, int at);
/* One change, strictly: false if its row is missing, or already there. */
bool store_change(struct store *s, const struct change *c);
/* The same rows, as often, in any order. */
bool store_equal(const struct store *a, const struct store *b, const struct world *w);
/* The row of key number 0 … KEYS-1, or -1. */
int store_row_of(struct random *r, const struct store *now, const struct table *t, uint32_t key);
/* A new history in h->batch, and each state of the source in h->states. Without `keyless` that table is idle.
 */
void history_make(struct random *r, struct history *h, struct world *w, bool keyless);
struct history *history_new(void);
void history_free(struct history *h);

#endif
