/* SPDX-License-Identifier: PostgreSQL
 *
 * A lane under a capture thread that is as fast as it can be: every transaction arrives once, in order,
 * whole, and nothing of a batch changes once the lane has it. The sink here only looks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "replicator/lane.h"

struct watcher {
    struct sink base;
    uint64_t next; /* the transaction that must come next */
    uint64_t pieces;
    bool wrong;
    bool in_transaction;
    unsigned seed;
    struct position at;
    bool lazy;     /* nothing is durable until that is forced */
    size_t forced; /* how often it was */
    bool slow_start;
    size_t batches;
};

/* Looks twice, with a pause between: a batch that is still being written to shows. */
static bool watch(struct sink *base, const struct batch *batch, struct sink_counts *counts,
                  struct sink_result *out, struct error *err)
{
    struct watcher *w = (struct watcher *)base;
    size_t count = batch->count;
    size_t transactions = batch->transaction_count;
    struct position end = batch->end;
    (void)counts;
    (void)err;
    if (batch->continues != w->in_transaction)
        w->wrong = true;
    for (size_t i = 0; i < count; i++) {
        const struct change *c = &batch->changes[i];
        uint64_t number = batch->transactions[c->transaction].xid;
        if (c->row[0].length != 8 || *(const uint64_t *)(const void *)c->row[0].data != w->next ||
            number > w->next)
            w->wrong = true;
        w->next++;
    }
    if (w->slow_start && w->batches == 0) {
        struct timespec pause = {.tv_nsec = 5000000};
        nanosleep(&pause, NULL);
    }
    if (rand_r(&w->seed) % 4 == 0) {
        struct timespec pause = {.tv_nsec = rand_r(&w->seed) % 50000};
        nanosleep(&pause, NULL);
    }
    if (batch->count != count || batch->transaction_count != transactions ||
        position_compare(batch->end, end) != 0)
        w->wrong = true;
    w->in_transaction = !batch->complete;
    w->pieces += !batch->complete;
    if (batch->complete)
        w->at = batch->end;
    w->batches++;
    *out = (struct sink_result){.applied = w->at, .flush_needed = 1, .flushed = w->lazy ? 0 : 1};
    return true;
}

static bool flushed(struct sink *base, bool force, uint64_t *out, struct error *err)
{
    struct watcher *w = (struct watcher *)base;
    (void)err;
    w->forced += force;
    *out = force || !w->lazy;
    return true;
}

static void cancel(struct sink *base)
{
    (void)base;
}

static const struct sink_ops ops = {.apply = watch, .flushed = flushed, .cancel = cancel, .free = cancel};

static void nothing(void *context)
{
    (void)context;
}

static struct lane *start(struct watcher *w, struct stats *stats, size_t memory)
{
    w->base.ops = &ops;
    struct lane_options o = {.sink = &w->base,
                             .position = position_lsn(1),
                             .stats = stats,
                             .table_count = 0,
                             .batch_memory = memory,
                             .batch_changes = 500,
                             .changed = nothing};
    return lane_start(&o);
}

static void fill(struct batch *batch, struct table *table, uint64_t number)
{
    struct value value = {.data = (const char *)&number, .length = sizeof(number), .kind = VALUE_BINARY};
    struct change c = {.table = table, .op = CHANGE_INSERT, .row = &value};
    batch_append(batch, &c);
}

static struct table *one_column(void)
{
    struct table *t = table_new();
    t->columns = mem_alloc(sizeof(struct column));
    t->column_count = 1;
    return t;
}

static void every_transaction_once_and_in_order(void **state)
{
    enum { TRANSACTIONS = 300000 };
    struct watcher w = {.seed = 7};
    struct stats *stats = stats_new("test");
    struct table *table = one_column();
    struct lane *lane = start(&w, stats, 1 << 20);
    unsigned seed = 11;
    (void)state;
    for (uint64_t i = 0; i < TRANSACTIONS; i++) {
        struct transaction t = {
            .xid = (uint32_t)i, .commit = position_lsn(2 + i * 2), .end = position_lsn(3 + i * 2)};
        struct batch *batch = lane_filling(lane);
        batch_begin(batch, &t);
        fill(batch, table, i);
        batch_commit(lane_filling(lane), &t);
        bool full = lane_full(lane);
        lane_offer(lane);
        while (full && !lane_wait_taken(lane, clock_ms() + 1000))
            continue;
        if (rand_r(&seed) % 1000 == 0) {
            batch_advance(lane_filling(lane), t.end);
            lane_offer(lane);
        }
    }
    assert_true(lane_wait_idle(lane, clock_ms() + 20000));
    assert_int_equal(lane_look(lane).applied.low, 3 + (TRANSACTIONS - 1) * 2);
    assert_int_equal(lane_look(lane).durable.low, lane_look(lane).applied.low);
    lane_free(lane, true);
    assert_false(w.wrong);
    assert_int_equal(w.next, TRANSACTIONS);
    table_free(table);
    stats_free(stats);
}

/* One transaction far beyond a batch's share comes in pieces, of which only the last moves the position. */
static void a_large_transaction_comes_in_pieces(void **state)
{
    enum { CHANGES = 200000 };
    struct watcher w = {.seed = 3, .at = {.kind = POSITION_NONE}};
    struct stats *stats = stats_new("test");
    struct table *table = one_column();
    struct lane *lane = start(&w, stats, 64 * 1024);
    struct transaction t = {.xid = 0, .commit = position_lsn(10), .end = position_lsn(20)};
    bool begun = false;
    (void)state;
    for (uint64_t i = 0; i < CHANGES; i++) {
        struct batch *batch = lane_filling(lane);
        if (begun && lane_full(lane)) {
            lane_offer(lane);
            while (!lane_wait_taken(lane, clock_ms() + 1000))
                continue;
            batch = lane_filling(lane);
            begun = false;
        }
        if (!begun)
            batch_begin(batch, &t);
        begun = true;
        fill(batch, table, i);
    }
    batch_commit(lane_filling(lane), &t);
    lane_offer(lane);
    assert_true(lane_wait_idle(lane, clock_ms() + 20000));
    assert_int_equal(lane_look(lane).applied.low, 20);
    lane_free(lane, true);
    assert_false(w.wrong);
    assert_int_equal(w.next, CHANGES);
    assert_true(w.pieces > 10);
    table_free(table);
    stats_free(stats);
}

static void add(struct lane *lane, struct table *table, uint64_t number)
{
    struct transaction t = {
        .xid = (uint32_t)number, .commit = position_lsn(2 + number * 2), .end = position_lsn(3 + number * 2)};
    struct batch *batch = lane_filling(lane);
    batch_begin(batch, &t);
    fill(batch, table, number);
    batch_commit(lane_filling(lane), &t);
    lane_offer(lane);
}

/* What somebody waits for is made durable; once. */
static void settling_makes_it_durable(void **state)
{
    struct watcher w = {.seed = 5, .lazy = true};
    struct stats *stats = stats_new("test");
    struct table *table = one_column();
    struct lane *lane = start(&w, stats, 1 << 20);
    (void)state;
    for (uint64_t i = 0; i < 20; i++) {
        add(lane, table, i);
        assert_true(lane_wait_idle(lane, clock_ms() + 20000));
        assert_true(lane_look(lane).durable.low < lane_look(lane).applied.low);
        lane_settle(lane);
        for (int64_t until = clock_ms() + 20000; clock_ms() < until;)
            if (lane_look(lane).durable.low == lane_look(lane).applied.low)
                break;
        assert_int_equal(lane_look(lane).durable.low, 3 + i * 2);
        lane_settle(lane); /* nothing is left to do */
    }
    lane_free(lane, true);
    assert_false(w.wrong);
    assert_int_equal(w.forced, 20);
    table_free(table);
    stats_free(stats);
}

/* Many small transactions, from a source that is slower than the lane: it commits them together. */
static void a_loaded_lane_gathers(void **state)
{
    enum { TRANSACTIONS = 20000 };
    struct watcher w = {.seed = 9, .slow_start = true};
    struct stats *stats = stats_new("test");
    struct table *table = one_column();
    struct lane *lane = start(&w, stats, 1 << 20);
    int64_t began = clock_ms();
    (void)state;
    for (uint64_t i = 0; i < TRANSACTIONS; i++) {
        add(lane, table, i);
        for (int64_t until = clock_us() + 5; clock_us() < until;)
            continue;
    }
    assert_true(lane_wait_idle(lane, clock_ms() + 20000));
    assert_int_equal(lane_look(lane).applied.low, 3 + (TRANSACTIONS - 1) * 2);
    lane_free(lane, true);
    assert_false(w.wrong);
    assert_int_equal(w.next, TRANSACTIONS);
    /* The second one has what came in 5 ms; then one each 50 ms. */
    assert_true((int64_t)w.batches < TRANSACTIONS / 4 + (clock_ms() - began) / 30 + 3);
    table_free(table);
    stats_free(stats);
}

static bool applied_by(struct lane *lane, uint64_t lsn, int64_t deadline_ms)
{
    while (lane_look(lane).applied.low < lsn) {
        if (clock_ms() > deadline_ms)
            return false;
        sched_yield();
    }
    return true;
}

/* On the way to an end that somebody waits for: few transactions gather, too, until nothing more comes. */
static void a_backlog_gathers_until_hurried(void **state)
{
    struct watcher w = {.seed = 11};
    struct stats *stats = stats_new("test");
    struct table *table = one_column();
    struct lane *lane = start(&w, stats, 1 << 20);
    (void)state;
    lane_backlog(lane, 600000);
    add(lane, table, 0);
    assert_true(applied_by(lane, 3, clock_ms() + 20000));
    add(lane, table, 1);
    assert_false(applied_by(lane, 5, clock_ms() + 100));
    assert_true(lane_look(lane).busy);
    lane_hurry(lane);
    assert_true(applied_by(lane, 5, clock_ms() + 20000));
    add(lane, table, 2); /* and no more */
    assert_true(applied_by(lane, 7, clock_ms() + 20000));
    lane_free(lane, true);
    assert_false(w.wrong);
    assert_int_equal(w.next, 3);
    table_free(table);
    stats_free(stats);
}

/* What was offered and is taken back, for the next transaction to go behind it, is not applied: the lane is
 * not idle. */
static void a_batch_taken_back_keeps_the_lane_busy(void **state)
{
    struct watcher w = {.seed = 5, .slow_start = true};
    struct stats *stats = stats_new("test");
    struct table *table = one_column();
    struct lane *lane = start(&w, stats, 1 << 20);
    (void)state;
    for (uint64_t i = 0; i < 2; i++) {
        struct transaction t = {
            .xid = (uint32_t)i, .commit = position_lsn(2 + i * 2), .end = position_lsn(3 + i * 2)};
        batch_begin(lane_filling(lane), &t);
        fill(lane_filling(lane), table, i);
        batch_commit(lane_filling(lane), &t);
        lane_offer(lane);
        if (i == 0)
            assert_true(lane_wait_taken(lane, clock_ms() + 5000));
    }
    bool taken_back = lane_filling(lane)->count > 0; /* else the lane was quicker */
    assert_true(!taken_back || lane_look(lane).busy);
    lane_offer(lane);
    assert_true(lane_wait_idle(lane, clock_ms() + 5000));
    assert_int_equal(lane_look(lane).applied.low, 5);
    lane_free(lane, true);
    table_free(table);
    stats_free(stats);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_transaction_once_and_in_order),
        cmocka_unit_test(a_large_transaction_comes_in_pieces),
        cmocka_unit_test(a_batch_taken_back_keeps_the_lane_busy),
        cmocka_unit_test(settling_makes_it_durable),
        cmocka_unit_test(a_loaded_lane_gathers),
        cmocka_unit_test(a_backlog_gathers_until_hurried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
