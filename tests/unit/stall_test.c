/* SPDX-License-Identifier: PostgreSQL
 *
 * Hazard 1: reading that advances while applying does not is told. The arithmetic with made-up times, and a
 * whole stream whose sink hangs: once with a little in flight, once with the lane full, when capture waits
 * for it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "replicator/stall.h"
#include "replicator/stream.h"

static void standing_still_is_told_once_a_limit(void **state)
{
    struct stall s = {0};
    (void)state;
    assert_false(stall_look(&s, position_lsn(10), position_lsn(20), 5000, 60000)); /* the first look */
    assert_false(stall_look(&s, position_lsn(10), position_lsn(30), 64999, 60000));
    assert_true(stall_look(&s, position_lsn(10), position_lsn(40), 65000, 60000));
    assert_false(stall_look(&s, position_lsn(10), position_lsn(40), 65001, 60000));
    assert_false(stall_look(&s, position_lsn(10), position_lsn(40), 124999, 60000));
    assert_true(stall_look(&s, position_lsn(10), position_lsn(40), 125000, 60000));
}

static void moving_or_having_nothing_to_do_is_no_stall(void **state)
{
    struct stall s = {0};
    (void)state;
    for (int64_t now = 0; now < 1000000; now += 30000) /* slow, but it moves */
        assert_false(stall_look(&s, position_lsn(1 + (uint64_t)now), position_lsn(9000000), now, 60000));
    for (int64_t now = 1000000; now < 2000000; now += 30000) /* idle */
        assert_false(stall_look(&s, position_lsn(9000000), position_lsn(9000000), now, 60000));
    /* The time of idling does not count. */
    assert_false(stall_look(&s, position_lsn(9000000), position_lsn(9000001), 2000001, 60000));
    assert_false(stall_look(&s, position_lsn(9000000), position_lsn(9000001), 2030000, 60000));
    assert_true(stall_look(&s, position_lsn(9000000), position_lsn(9000001), 2060000, 60000));
}

/* --- a source of one-row transactions, as many as it is allowed --- */

struct reader {
    struct source base;
    struct table *table;
    _Atomic uint64_t allowed;
    uint64_t number;
    int step;
    _Atomic bool canceled;
};

static struct transaction transaction(uint64_t number)
{
    return (struct transaction){.xid = (uint32_t)number + 1,
                                .commit = position_lsn(100 + number * 10),
                                .end = position_lsn(105 + number * 10),
                                .commit_time_us = clock_wall_us()};
}

static bool read_next(struct source *base, int64_t deadline_ms, struct source_event *out, struct error *err)
{
    static const uint64_t payload = 7;
    static struct value value = {.data = (const char *)&payload, .length = 8, .kind = VALUE_BINARY};
    struct reader *r = (struct reader *)base;
    *out = (struct source_event){.kind = SOURCE_NOTHING};
    if (r->canceled)
        return error_set(err, ERROR_CANCELED, "canceled");
    if (r->number >= r->allowed) {
        while (clock_ms() < deadline_ms && r->number >= r->allowed && !r->canceled)
            usleep(1000);
        return true;
    }
    static const enum source_event_kind kinds[] = {SOURCE_BEGIN, SOURCE_CHANGE, SOURCE_COMMIT};
    out->kind = kinds[r->step];
    out->transaction = transaction(r->number);
    out->change = (struct change){.table = r->table, .op = CHANGE_INSERT, .row = &value};
    r->number += r->step == 2;
    r->step = (r->step + 1) % 3;
    return true;
}

static void confirm(struct source *base, struct position p)
{
    (void)base;
    (void)p;
}

static bool tick(struct source *base, struct error *err)
{
    (void)base;
    (void)err;
    return true;
}

static void cancel_read(struct source *base)
{
    ((struct reader *)base)->canceled = true;
}

static void free_reader(struct source *base)
{
    (void)base;
}

static const struct source_ops reader_ops = {read_next, confirm, tick, cancel_read, free_reader};

/* --- a sink that hangs when told to --- */

struct hanging {
    struct sink base;
    struct position at;
    _Atomic bool hangs;
};

static bool apply(struct sink *base, const struct batch *batch, struct sink_counts *counts,
                  struct sink_result *out, struct error *err)
{
    struct hanging *h = (struct hanging *)base;
    (void)counts;
    (void)err;
    while (h->hangs)
        usleep(1000);
    if (batch->complete && batch->end.kind != POSITION_NONE)
        h->at = batch->end;
    *out = (struct sink_result){.applied = h->at, .flush_needed = 1, .flushed = 1};
    return true;
}

static bool flushed(struct sink *base, bool force, uint64_t *out, struct error *err)
{
    (void)base;
    (void)force;
    (void)err;
    *out = 1;
    return true;
}

static void let_go(struct sink *base)
{
    ((struct hanging *)base)->hangs = false;
}

static const struct sink_ops hanging_ops = {apply, flushed, let_go, let_go};

/* --- */

static void nothing(void *context)
{
    (void)context;
}

struct rig {
    struct reader reader;
    struct hanging sink;
    struct config config;
    struct table_set tables;
    struct log *log;
    struct stats *stats;
    struct stream *stream;
    FILE *capture;
    int saved;
};

static void rig_start(struct rig *g, int64_t stall_ms)
{
    static struct sink *sinks[1];
    static struct position start[1];
    g->capture = tmpfile();
    g->saved = dup(STDERR_FILENO);
    assert_true(g->capture && dup2(fileno(g->capture), STDERR_FILENO) >= 0);
    g->log = log_new(LOG_FORMAT_TEXT, LOG_LEVEL_INFO, "p");
    g->stats = stats_new("p");
    g->reader.base.ops = &reader_ops;
    g->reader.table = table_new();
    g->reader.table->columns = mem_alloc(sizeof(struct column));
    g->reader.table->column_count = 1;
    g->sink.base.ops = &hanging_ops;
    g->sink.at = start[0] = position_lsn(100);
    sinks[0] = &g->sink.base;
    static char name[] = "p";
    g->config.pipeline = name;
    g->config.memory_limit = 64 << 20;
    g->config.stream_batch_changes = 5;
    struct stream_options o = {.config = &g->config,
                               .log = g->log,
                               .stats = g->stats,
                               .source = &g->reader.base,
                               .sinks = sinks,
                               .positions = start,
                               .lane_count = 1,
                               .tables = &g->tables,
                               .stall_ms = stall_ms,
                               .changed = nothing};
    g->stream = stream_start(&o);
}

/* How often the warning was written so far. */
static int warnings(struct rig *g)
{
    static char text[1 << 16];
    size_t n = 0;
    ssize_t got;
    while (n + 1 < sizeof(text) &&
           (got = pread(fileno(g->capture), text + n, sizeof(text) - 1 - n, (off_t)n)) > 0)
        n += (size_t)got;
    text[n] = '\0';
    int count = 0;
    for (const char *p = text; (p = strstr(p, "nothing has been applied for")); p++)
        count++;
    return count;
}

static bool warned(struct rig *g, int want)
{
    for (int64_t until = clock_ms() + 20000; clock_ms() < until; usleep(5000))
        if (warnings(g) >= want)
            return true;
    return false;
}

static void rig_end(struct rig *g)
{
    g->sink.hangs = false;
    stream_free(g->stream, false);
    dup2(g->saved, STDERR_FILENO);
    close(g->saved);
    fclose(g->capture);
    table_free(g->reader.table);
    stats_free(g->stats);
    log_free(g->log);
}

static void a_hanging_sink_is_told(void **state)
{
    static struct rig g;
    g = (struct rig){0};
    (void)state;
    g.reader.allowed = 3;
    rig_start(&g, 300);
    for (int64_t until = clock_ms() + 20000; clock_ms() < until && stream_look(g.stream).confirmed.low < 125;)
        usleep(1000);
    assert_int_equal(stream_look(g.stream).confirmed.low, 125);
    usleep(700000); /* idle for longer than the limit */
    assert_int_equal(warnings(&g), 0);
    g.sink.hangs = true;
    g.reader.allowed = 4;
    assert_true(warned(&g, 2));
    assert_int_equal(stats_position_get(&g.stats->applied).low, 125);
    rig_end(&g);
}

/* The lane takes no more: capture waits for it and looks at nothing else. */
static void a_hanging_sink_is_told_while_capture_waits(void **state)
{
    static struct rig g;
    g = (struct rig){0};
    (void)state;
    g.sink.hangs = true;
    g.reader.allowed = 1000;
    rig_start(&g, 300);
    assert_true(warned(&g, 2));
    assert_true(stats_position_get(&g.stats->received).low > 130);
    assert_int_equal(stats_position_get(&g.stats->applied).low, 100);
    assert_true(g.reader.number < 20); /* it does wait */
    rig_end(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(standing_still_is_told_once_a_limit),
        cmocka_unit_test(moving_or_having_nothing_to_do_is_no_stall),
        cmocka_unit_test(a_hanging_sink_is_told),
        cmocka_unit_test(a_hanging_sink_is_told_while_capture_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
