/* SPDX-License-Identifier: PostgreSQL
 *
 * The machine of polled sources over a reader and a sweep that a test scripts, and what is remembered of
 * rows.
 */
#include "model/polled.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "legacy/sweep.h"
#include "model/seen.h"

/* --- a scripted reader --- */

struct script {
    struct polled_reader base;
    struct table *table;
    struct value row[1];
    uint64_t at;      /* where the source stands */
    int rows;         /* of the next round */
    int left;         /* of the round in hand */
    bool lose;        /* the round ends with the table lost */
    bool fail;        /* the round breaks off */
    int looks, swept; /* counted */
};

static bool script_look(struct polled_reader *base, struct position from, struct polled_round *out,
                        struct error *err)
{
    struct script *s = (struct script *)base;
    (void)err;
    s->looks++;
    out->found = s->at > from.low;
    out->to = position_cursor(POSITION_VERSION, s->at);
    s->left = out->found ? s->rows : 0;
    return true;
}

static enum polled_answer script_next(struct polled_reader *base, struct arena *arena,
                                      struct polled_item *out, struct error *err)
{
    struct script *s = (struct script *)base;
    (void)arena;
    if (s->left > 0) {
        s->left--;
        out->change = (struct change){.table = s->table, .op = CHANGE_UPDATE, .row = s->row};
        return POLLED_ROW;
    }
    if (s->fail) {
        error_set(err, ERROR_RETRY, "broken off");
        return POLLED_FAILED;
    }
    if (s->lose) {
        s->lose = false;
        out->table = s->table;
        snprintf(out->text, sizeof(out->text), "lost");
        return POLLED_LOST;
    }
    return POLLED_END;
}

static void script_swept(struct polled_reader *base, const struct table *table)
{
    (void)table;
    ((struct script *)base)->swept++;
}

static void script_cancel(struct polled_reader *base)
{
    (void)base;
}

static void script_free(struct polled_reader *base)
{
    free(base);
}

static const struct polled_reader_ops script_ops = {.look = script_look,
                                                    .next = script_next,
                                                    .swept = script_swept,
                                                    .cancel = script_cancel,
                                                    .free = script_free};

/* --- a scripted sweep --- */

struct broom {
    struct polled_sweep base;
    struct table *table;
    struct value key[1];
    struct change gone[2];
    size_t count;
    bool urgent, done;
};

static int64_t broom_due(const struct polled_sweep *base, bool *urgent)
{
    const struct broom *b = (const struct broom *)base;
    *urgent = b->urgent && !b->done;
    return b->done ? INT64_MAX : 0;
}

static bool broom_piece(struct polled_sweep *base, struct arena *arena, struct polled_piece *out,
                        struct error *err)
{
    struct broom *b = (struct broom *)base;
    (void)arena;
    (void)err;
    for (size_t i = 0; i < b->count; i++)
        b->gone[i] =
            (struct change){.table = b->table, .op = CHANGE_DELETE, .old_kind = OLD_KEY, .old = b->key};
    out->gone = b->gone;
    out->count = b->count;
    out->swept = b->table;
    b->done = true;
    return true;
}

static void broom_ask(struct polled_sweep *base, const struct table *table)
{
    (void)base;
    (void)table;
}

static void broom_cancel(struct polled_sweep *base)
{
    (void)base;
}

static void broom_free(struct polled_sweep *base)
{
    free(base);
}

static const struct polled_sweep_ops broom_ops = {
    .due = broom_due, .piece = broom_piece, .ask = broom_ask, .cancel = broom_cancel, .free = broom_free};

/* --- */

struct fixture {
    struct table *table;
    struct script *script;
    struct broom *broom;
    struct source *source;
};

static int setup(void **state)
{
    struct fixture *f = mem_alloc(sizeof(*f));
    struct error err;
    f->table = table_new();
    f->table->column_count = 1;
    f->table->columns = mem_alloc(sizeof(*f->table->columns));
    f->script = mem_alloc(sizeof(*f->script));
    f->script->base.ops = &script_ops;
    f->script->table = f->table;
    f->broom = mem_alloc(sizeof(*f->broom));
    f->broom->base.ops = &broom_ops;
    f->broom->table = f->table;
    f->broom->done = true;
    struct polled_options o = {.reader = &f->script->base,
                               .sweep = &f->broom->base,
                               .start = position_cursor(POSITION_VERSION, 5),
                               .poll_interval_ms = 20};
    assert_true(polled_source_open(&o, &f->source, &err));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    f->source->ops->free(f->source);
    table_free(f->table);
    free(f);
    return 0;
}

static void expect(struct fixture *f, enum source_event_kind kind, struct source_event *out)
{
    struct error err;
    assert_true(f->source->ops->next(f->source, clock_ms() + 5000, out, &err));
    assert_int_equal(out->kind, kind);
}

static void a_round_is_one_transaction_and_moves_the_cursor_at_its_end(void **state)
{
    struct fixture *f = *state;
    struct source_event e;
    f->script->at = 9;
    f->script->rows = 2;
    expect(f, SOURCE_BEGIN, &e);
    assert_int_equal(e.transaction.end.low, 9);
    expect(f, SOURCE_CHANGE, &e);
    expect(f, SOURCE_CHANGE, &e);
    assert_ptr_equal(e.change.row, f->script->row);
    expect(f, SOURCE_COMMIT, &e);
    assert_int_equal(e.transaction.end.low, 9);
    expect(f, SOURCE_NOTHING, &e);
    assert_int_equal(e.position.low, 9);
}

static void a_round_without_rows_moves_the_cursor_alone(void **state)
{
    struct fixture *f = *state;
    struct source_event e;
    f->script->at = 7;
    expect(f, SOURCE_NOTHING, &e);
    assert_int_equal(e.position.low, 7);
}

static void a_round_that_breaks_off_has_no_commit(void **state)
{
    struct fixture *f = *state;
    struct source_event e;
    struct error err;
    f->script->at = 9;
    f->script->rows = 1;
    f->script->fail = true;
    expect(f, SOURCE_BEGIN, &e);
    expect(f, SOURCE_CHANGE, &e);
    assert_false(f->source->ops->next(f->source, clock_ms() + 5000, &e, &err));
    assert_int_equal(err.kind, ERROR_RETRY);
}

static void a_lost_table_is_told_before_the_commit(void **state)
{
    struct fixture *f = *state;
    struct source_event e;
    f->script->at = 9;
    f->script->rows = 1;
    f->script->lose = true;
    expect(f, SOURCE_BEGIN, &e);
    expect(f, SOURCE_CHANGE, &e);
    expect(f, SOURCE_DRIFT, &e);
    assert_true(e.recopy);
    assert_ptr_equal(e.table, f->table);
    expect(f, SOURCE_COMMIT, &e);
}

static void a_sweep_ends_where_we_stand_and_nothing_is_polled_meanwhile(void **state)
{
    struct fixture *f = *state;
    struct source_event e;
    f->broom->done = false;
    f->broom->urgent = true;
    f->broom->count = 2;
    f->script->at = 9;
    f->script->rows = 1;
    expect(f, SOURCE_BEGIN, &e);
    assert_int_equal(e.transaction.end.low, 5);
    expect(f, SOURCE_CHANGE, &e);
    assert_int_equal(e.change.op, CHANGE_DELETE);
    expect(f, SOURCE_CHANGE, &e);
    expect(f, SOURCE_COMMIT, &e);
    assert_int_equal(e.transaction.end.low, 5);
    assert_int_equal(f->script->looks, 0);
    assert_int_equal(f->script->swept, 1);
    expect(f, SOURCE_BEGIN, &e);
    assert_int_equal(e.transaction.end.low, 9);
}

static void pauses_grow_while_there_is_nothing(void **state)
{
    struct fixture *f = *state;
    struct source_event e;
    struct error err;
    int64_t until = clock_ms() + 300;
    f->script->at = 5;
    while (clock_ms() < until)
        assert_true(f->source->ops->next(f->source, until, &e, &err));
    assert_in_range(f->script->looks, 3, 40); /* 10, 20, 20, … ms */
}

static void cancel_ends_a_wait(void **state)
{
    struct fixture *f = *state;
    struct source_event e;
    struct error err;
    f->source->ops->cancel(f->source);
    assert_false(f->source->ops->next(f->source, clock_ms() + 5000, &e, &err));
    assert_int_equal(err.kind, ERROR_CANCELED);
}

/* --- seen --- */

static struct table *keyed(void)
{
    struct table *t = table_new();
    t->column_count = 2;
    t->columns = mem_alloc(2 * sizeof(*t->columns));
    t->columns[0].key = true;
    t->columns[0].key_bytewise = true;
    t->key = mem_alloc(sizeof(*t->key));
    t->key_count = 1;
    t->key_hashable = true;
    return t;
}

static bool look(struct seen *seen, const struct table *t, const char *key, const char *value, bool gone,
                 unsigned part)
{
    struct value row[2] = {{key, (uint32_t)strlen(key), VALUE_TEXT},
                           {value, value ? (uint32_t)strlen(value) : 0, value ? VALUE_TEXT : VALUE_NULL}};
    return seen_is_news(seen, t, row, gone, part);
}

static void only_what_differs_is_news(void **state)
{
    struct seen seen = {0};
    struct table *t = keyed();
    (void)state;
    seen_begin(&seen);
    assert_true(look(&seen, t, "1", "a", false, 0));
    assert_true(look(&seen, t, "2", NULL, false, 0));
    assert_false(look(&seen, t, "1", "a", false, 0));
    assert_true(look(&seen, t, "1", "b", false, 0));
    assert_true(look(&seen, t, "2", "", false, 0)); /* an empty text is not NULL */
    assert_true(look(&seen, t, "1", "b", true, 0)); /* now it counts as deleted */
    assert_false(look(&seen, t, "1", "c", true, 0));
    assert_true(look(&seen, t, "1", "c", false, 0));
    seen_free(&seen);
    table_free(t);
}

static void what_a_pass_did_not_see_is_forgotten_by_parts(void **state)
{
    struct seen seen = {0};
    struct table *t = keyed();
    (void)state;
    seen_begin(&seen);
    (void)look(&seen, t, "1", "a", false, 0);
    (void)look(&seen, t, "2", "a", false, 0);
    (void)look(&seen, t, "3", "a", false, 1);
    assert_int_equal(seen_end(&seen, 0), 0);
    seen_begin(&seen);
    assert_false(look(&seen, t, "1", "a", false, 0));
    assert_int_equal(seen_end(&seen, 0), 1);
    assert_false(look(&seen, t, "3", "a", false, 1));
    assert_true(look(&seen, t, "2", "a", false, 0));
    seen_free(&seen);
    table_free(t);
}

static void one_row_may_always_be_deleted(void **state)
{
    (void)state;
    assert_int_equal(sweep_allowed(0, 0.01), 1);
    assert_int_equal(sweep_allowed(40, 0.01), 1);
    assert_int_equal(sweep_allowed(101, 0.01), 2);
    assert_int_equal(sweep_allowed(1000, 0.01), 10);
    assert_int_equal(sweep_allowed(1000, 0), 0);
}

int main(void)
{
#define POLLED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        POLLED(a_round_is_one_transaction_and_moves_the_cursor_at_its_end),
        POLLED(a_round_without_rows_moves_the_cursor_alone),
        POLLED(a_round_that_breaks_off_has_no_commit),
        POLLED(a_lost_table_is_told_before_the_commit),
        POLLED(a_sweep_ends_where_we_stand_and_nothing_is_polled_meanwhile),
        POLLED(pauses_grow_while_there_is_nothing),
        POLLED(cancel_ends_a_wait),
        cmocka_unit_test(only_what_differs_is_news),
        cmocka_unit_test(what_a_pass_did_not_see_is_forgotten_by_parts),
        cmocka_unit_test(one_row_may_always_be_deleted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
