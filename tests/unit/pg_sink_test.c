/* SPDX-License-Identifier: PostgreSQL
 *
 * The PostgreSQL sink against a live server: only where CROSSFADE_TEST_PG gives one, else skipped.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"
#include "sink_fixture.h"

#define ALL_T     "SELECT string_agg(t::text, ' ' ORDER BY t) FROM public.t"
#define ALL_BY_ID "SELECT string_agg(t::text, ' ' ORDER BY id) FROM public.t"

static const char t_ddl[] = "CREATE TABLE t (id int PRIMARY KEY, a text, b bigint)";

static void sets_apply_and_move_the_position(void **state)
{
    struct fixture *f = fixture_new(t_ddl);

    (void)state;
    assert_int_equal(f->position.kind, POSITION_NONE);
    fixture_begin(f);
    for (int i = 0; i < 100; i++) {
        char id[12];
        snprintf(id, sizeof(id), "%d", i);
        fixture_insert(f, "t", ROW(id, i % 3 ? "x" : NULL, "5"));
    }
    fixture_commit(f);
    fixture_apply(f);
    fixture_expect(f, "SELECT count(*), count(a), sum(b), sum(id) FROM public.t", "100,66,500,4950");
    fixture_begin(f);
    fixture_update(f, "t", NULL, ROW("1", NULL, ABSENT));
    fixture_update(f, "t", NULL, ROW("2", NULL, ABSENT));
    fixture_update(f, "t", NULL, ROW("0", "", "-7"));
    fixture_delete(f, "t", ROW("50", ABSENT, ABSENT));
    fixture_delete(f, "t", ROW("51", ABSENT, ABSENT));
    fixture_commit(f);
    fixture_apply(f);
    assert_false(f->result.replayed);
    fixture_expect(f, "SELECT string_agg(t::text, ' ' ORDER BY t) FROM public.t WHERE id < 3",
                   "(0,\"\",-7) (1,,5) (2,,5)");
    fixture_expect(f, "SELECT count(*) FROM public.t", "98");
    assert_int_equal(fixture_counts(f, "t").inserted, 100);
    assert_int_equal(fixture_counts(f, "t").updated, 3);
    assert_int_equal(fixture_counts(f, "t").deleted, 2);
    fixture_expect(f, "SELECT position, source_commit_time AT TIME ZONE 'UTC' FROM crossfade.progress",
                   "0/1020,2023-11-14 22:13:20");
    uint64_t lsn = f->lsn;
    fixture_open(f, 1);
    assert_int_equal(f->position.low, lsn);
    fixture_free(f);
}

static void text_values_and_mixed_kinds_apply(void **state)
{
    struct fixture *f =
        fixture_new("CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN pos AS int CHECK (value > 0);"
                    "CREATE TABLE t (id int PRIMARY KEY, m mood, p pos, n numeric(6,2), d timestamptz,"
                    " v varchar(3), c char(4), j json, arr int[], by bytea, r int4range)");
    const char *one[] = {"1",    "ok",   "3",          "12.50",      "2020-01-02 03:04:05+00",
                         "abc",  "xy  ", "{\"a\": 1}", "{1,NULL,3}", "\\x00ff",
                         "[1,5)"};
    const char *two[] = {"2", "sad", NULL, "0.10", NULL, "", "", NULL, "{}", "\\x", "empty"};

    (void)state;
    for (int pass = 0; pass < 2; pass++) {
        f->text = pass == 1;
        fixture_begin(f);
        fixture_insert(f, "t", one);
        fixture_insert(f, "t", two);
        fixture_commit(f);
        fixture_apply(f);
        assert_false(f->result.replayed);
        fixture_expect(f, ALL_BY_ID,
                       "(1,ok,3,12.50,\"2020-01-02 03:04:05+00\",abc,\"xy  \",\"{\"\"a\"\": "
                       "1}\",\"{1,NULL,3}\",\"\\\\x00ff\","
                       "\"[1,5)\") (2,sad,,0.10,,\"\",\"    \",,{},\"\\\\x\",empty)");
        fixture_begin(f);
        fixture_delete(f, "t", one);
        f->text = !f->text; /* one batch, keys of both kinds */
        fixture_delete(f, "t", two);
        fixture_commit(f);
        fixture_apply(f);
        fixture_expect(f, "SELECT count(*) FROM public.t", "0");
    }
    fixture_free(f);
}

static void too_long_a_value_is_quarantined_not_cut(void **state)
{
    struct fixture *f = fixture_new("CREATE TABLE t (id int PRIMARY KEY, v varchar(3))");

    (void)state;
    fixture_begin(f);
    fixture_insert(f, "t", ROW("1", "abcd"));
    fixture_insert(f, "t", ROW("2", "abc"));
    fixture_commit(f);
    fixture_apply(f);
    fixture_expect(f, ALL_T, "(2,abc)");
    fixture_expect(f, "SELECT table_name, op, sqlstate FROM crossfade.quarantine", "public.t,I,22001");
    fixture_free(f);
}

/* hazard 32 */
static void keys_swap_and_are_used_again(void **state)
{
    struct fixture *f = fixture_new(t_ddl);

    (void)state;
    fixture_exec(f, "INSERT INTO public.t VALUES (1, 'one', 1), (2, 'two', 2), (3, 'three', 3)");
    fixture_begin(f);
    fixture_update(f, "t", ROW("1", ABSENT, ABSENT), ROW("-1", "one", "1"));
    fixture_update(f, "t", ROW("2", ABSENT, ABSENT), ROW("1", "two", "2"));
    fixture_update(f, "t", ROW("-1", ABSENT, ABSENT), ROW("2", "one", "1"));
    fixture_delete(f, "t", ROW("3", ABSENT, ABSENT));
    fixture_insert(f, "t", ROW("3", "new", NULL));
    fixture_commit(f);
    fixture_apply(f);
    assert_string_equal(f->conflicts, "");
    fixture_expect(f, ALL_T, "(1,two,2) (2,one,1) (3,new,)");
    fixture_free(f);
}

static void a_key_change_carries_an_absent_large_value(void **state)
{
    struct fixture *f = fixture_new(t_ddl);

    (void)state;
    fixture_exec(f, "INSERT INTO public.t VALUES (1, 'large', 1)");
    fixture_begin(f);
    fixture_update(f, "t", ROW("1", ABSENT, ABSENT), ROW("9", ABSENT, "2"));
    fixture_update(f, "t", NULL, ROW("9", ABSENT, "3"));
    fixture_commit(f);
    fixture_apply(f);
    assert_string_equal(f->conflicts, "");
    fixture_expect(f, ALL_T, "(9,large,3)");
    fixture_free(f);
}

static void unique_values_swap_over_several_transactions(void **state)
{
    struct fixture *f = fixture_new("CREATE TABLE t (id int PRIMARY KEY, email text UNIQUE)");

    (void)state;
    fixture_exec(f, "INSERT INTO public.t VALUES (1, 'a'), (2, 'b')");
    fixture_begin(f);
    fixture_update(f, "t", NULL, ROW("1", "tmp"));
    fixture_update(f, "t", NULL, ROW("2", "a"));
    fixture_update(f, "t", NULL, ROW("1", "b"));
    fixture_commit(f);
    fixture_apply(f);
    fixture_expect(f, ALL_T, "(1,b) (2,a)");
    fixture_expect(f, "SELECT count(*) FROM crossfade.quarantine", "0");
    assert_string_equal(f->conflicts, "");
    fixture_free(f);
}

static void missing_and_existing_rows_are_conflicts_and_the_source_wins(void **state)
{
    struct fixture *f = fixture_new(t_ddl);

    (void)state;
    fixture_exec(f, "INSERT INTO public.t VALUES (1, 'sink', 1)");
    fixture_begin(f);
    fixture_insert(f, "t", ROW("1", "source", "2"));
    fixture_update(f, "t", NULL, ROW("2", "whole", "2"));
    fixture_update(f, "t", NULL, ROW("3", ABSENT, "2"));
    fixture_delete(f, "t", ROW("4", ABSENT, ABSENT));
    fixture_insert(f, "t", ROW("5", "new", "2"));
    fixture_commit(f);
    fixture_apply(f);
    assert_true(f->result.replayed);
    fixture_expect(f, ALL_T, "(1,source,2) (2,whole,2) (5,new,2)");
    assert_int_equal(fixture_counts(f, "t").existing, 1);
    assert_int_equal(fixture_counts(f, "t").missing, 3);
    assert_int_equal(fixture_counts(f, "t").reread, 1);
    fixture_expect(f, "SELECT table_name, key FROM crossfade.reread", "public.t,{3}");
    assert_non_null(strstr(f->conflicts, "existing t"));
    assert_non_null(strstr(f->conflicts, "missing t"));
    fixture_free(f);
}

static void a_batch_full_of_conflicts_comes_through(void **state)
{
    struct fixture *f = fixture_new(t_ddl);

    (void)state;
    fixture_exec(f,
                 "INSERT INTO public.t SELECT i, 'sink', i FROM generate_series(0, 1999) i WHERE i % 7 < 5");
    fixture_begin(f);
    for (int i = 0; i < 2000; i++) {
        char id[12];
        snprintf(id, sizeof(id), "%d", i);
        fixture_insert(f, "t", ROW(id, "source", "1"));
    }
    fixture_commit(f);
    fixture_apply(f);
    fixture_expect(f, "SELECT count(*), min(a), sum(b) FROM public.t", "2000,source,2000");
    assert_int_equal(fixture_counts(f, "t").existing, 1430);
    assert_int_equal(fixture_counts(f, "t").inserted, 2000);
    fixture_free(f);
}

static void a_refused_row_takes_its_key_and_joined_keys_along(void **state)
{
    struct fixture *f =
        fixture_new("CREATE TABLE t (id int PRIMARY KEY, b bigint CHECK (b < 100), u int UNIQUE)");
    int64_t id;

    (void)state;
    fixture_exec(f, "INSERT INTO public.t VALUES (7, 7, 7)");
    fixture_begin(f);
    fixture_insert(f, "t", ROW("1", "1", "1"));
    fixture_insert(f, "t", ROW("2", "200", "2"));
    fixture_update(f, "t", NULL, ROW("1", "2", "1"));
    fixture_commit(f);
    fixture_apply(f);
    fixture_expect(f, ALL_T, "(1,2,1) (7,7,7)");
    fixture_expect(f, "SELECT key_text, op, sqlstate FROM crossfade.quarantine ORDER BY id",
                   "{\"id\": 2},I,23514");
    fixture_open(f, 1); /* what is quarantined is remembered over a restart */
    fixture_begin(f);
    fixture_update(f, "t", NULL, ROW("2", "50", "2"));                     /* follows its key */
    fixture_update(f, "t", ROW("7", ABSENT, ABSENT), ROW("8", "7", "7"));  /* is free */
    fixture_update(f, "t", ROW("2", ABSENT, ABSENT), ROW("3", "50", "2")); /* key change joins 3 */
    fixture_insert(f, "t", ROW("2", "2", "22"));                           /* 2 again */
    fixture_update(f, "t", NULL, ROW("3", "151", "2"));
    fixture_insert(f, "t", ROW("4", "4", "4"));
    fixture_commit(f);
    fixture_apply(f);
    fixture_expect(f, ALL_T, "(1,2,1) (4,4,4) (8,7,7)");
    fixture_expect(f, "SELECT count(*), count(*) FILTER (WHERE sqlstate = '') FROM crossfade.quarantine",
                   "5,4");
    assert_int_equal(fixture_counts(f, "t").quarantined, 5);
    /* retry without a mend: the row's last word is refused; what came under its key later is not */
    id = 1;
    assert_true(pg_sink_retry_quarantine(f->sink, &id, 1, &f->err));
    fixture_expect(f, ALL_T, "(1,2,1) (2,2,22) (4,4,4) (8,7,7)");
    fixture_expect(f, "SELECT string_agg(id::text, ',' ORDER BY id) FROM crossfade.quarantine", "1,2,3,5");
    /* mended */
    fixture_exec(f, "ALTER TABLE public.t DROP CONSTRAINT t_b_check");
    id = 5;
    assert_true(pg_sink_retry_quarantine(f->sink, &id, 1, &f->err));
    fixture_expect(f, ALL_T, "(1,2,1) (2,2,22) (3,151,2) (4,4,4) (8,7,7)");
    fixture_expect(f, "SELECT count(*) FROM crossfade.quarantine", "0");
    fixture_begin(f);
    fixture_update(f, "t", NULL, ROW("2", "3", "23"));
    fixture_commit(f);
    fixture_apply(f);
    fixture_expect(f, "SELECT b FROM public.t WHERE id = 2", "3");
    fixture_free(f);
}

static void who_waits_for_a_quarantined_unique_value_waits_too(void **state)
{
    struct fixture *f =
        fixture_new("CREATE TABLE t (id int PRIMARY KEY, b int CHECK (b < 100), u text UNIQUE)");
    int64_t ids[] = {1, 2};

    (void)state;
    fixture_exec(f, "INSERT INTO public.t VALUES (1, 1, 'x')");
    fixture_begin(f);
    fixture_update(f, "t", NULL, ROW("1", "100", "y")); /* refused: 1 keeps 'x' */
    fixture_insert(f, "t", ROW("2", "2", "x"));         /* has to wait for it */
    fixture_insert(f, "t", ROW("3", "3", "z"));
    fixture_commit(f);
    fixture_apply(f);
    fixture_expect(f, ALL_T, "(1,1,x) (3,3,z)");
    fixture_expect(f, "SELECT sqlstate FROM crossfade.quarantine ORDER BY id", "23514;23505");
    fixture_exec(f, "ALTER TABLE public.t DROP CONSTRAINT t_b_check");
    assert_true(pg_sink_retry_quarantine(f->sink, ids, 2, &f->err));
    fixture_expect(f, ALL_T, "(1,100,y) (2,2,x) (3,3,z)");
    fixture_free(f);
}

/* What the target saw is told by a trigger there. */
static const char replace_ddl[] =
    "CREATE TABLE t (id int PRIMARY KEY, a text, u int UNIQUE, b int CHECK (b < 100));"
    "CREATE TABLE seen (n serial, op text, id int);"
    "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " INSERT INTO public.seen (op, id) VALUES (left(TG_OP, 1), coalesce(NEW.id, OLD.id)); RETURN NULL; END "
    "$$;"
    "CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION note();"
    "ALTER TABLE t ENABLE ALWAYS TRIGGER note";
#define SEEN "SELECT string_agg(op || id, ' ' ORDER BY id, n) FROM public.seen"

static struct fixture *replace_fixture(void)
{
    struct fixture *f = fixture_new(replace_ddl);
    fixture_exec(
        f, "INSERT INTO public.t SELECT i, 'old', i, i FROM generate_series(1, 5) i; TRUNCATE public.seen");
    fixture_begin(f);
    return f;
}

static void replace(struct fixture *f, const char *id, const char *a, const char *u, const char *b)
{
    fixture_delete(f, "t", ROW(id, ABSENT, ABSENT, ABSENT));
    fixture_insert(f, "t", ROW(id, a, u, b));
}

static void a_row_that_comes_again_is_updated_in_place(void **state)
{
    struct fixture *f = replace_fixture();
    (void)state;
    replace(f, "1", "new", "1", NULL);
    replace(f, "2", "large", "2", "2");
    fixture_update(f, "t", NULL, ROW("2", ABSENT, "22", "3")); /* an unchanged large value */
    fixture_update(f, "t", NULL, ROW("3", "3", "3", "3"));
    fixture_delete(f, "t", ROW("3", ABSENT, ABSENT, ABSENT));
    fixture_insert(f, "t", ROW("3", NULL, "3", "4"));
    replace(f, "4", "gone", "4", "4");
    fixture_delete(f, "t", ROW("4", ABSENT, ABSENT, ABSENT));
    fixture_commit(f);
    fixture_apply(f);
    fixture_expect(f, ALL_T, "(1,new,1,) (2,large,22,3) (3,,3,4) (5,old,5,5)");
    fixture_expect(f, SEEN, "U1 U2 U3 D4");
    assert_false(f->result.replayed);
    assert_string_equal(f->conflicts, "");
    assert_int_equal(fixture_counts(f, "t").deleted, 5); /* the source's changes are counted, not ours */
    fixture_free(f);
}

/* Rows that come again with each other's unique values: no order of one statement allows it, exact replay
 * does. */
static void rows_that_come_again_may_swap_unique_values(void **state)
{
    struct fixture *f = replace_fixture();
    (void)state;
    fixture_delete(f, "t", ROW("1", ABSENT, ABSENT, ABSENT));
    fixture_delete(f, "t", ROW("2", ABSENT, ABSENT, ABSENT));
    fixture_insert(f, "t", ROW("1", "a", "2", "1"));
    fixture_insert(f, "t", ROW("2", "b", "1", "2"));
    fixture_commit(f);
    fixture_apply(f);
    fixture_expect(f, ALL_T, "(1,a,2,1) (2,b,1,2) (3,old,3,3) (4,old,4,4) (5,old,5,5)");
    fixture_expect(f, "SELECT count(*) FROM crossfade.quarantine", "0");
    assert_string_equal(f->conflicts, "");
    fixture_free(f);
}

/* The row was not there after all: a conflict is counted, and it is there. */
static void a_row_that_comes_again_and_was_missing_is_a_conflict(void **state)
{
    struct fixture *f = replace_fixture();
    (void)state;
    replace(f, "9", "new", "9", "9");
    replace(f, "5", "new", "5", "5");
    fixture_commit(f);
    fixture_apply(f);
    assert_true(f->result.replayed);
    fixture_expect(f, "SELECT string_agg(t::text, ' ' ORDER BY t) FROM public.t WHERE id > 4",
                   "(5,new,5,5) (9,new,9,9)");
    assert_int_equal(fixture_counts(f, "t").missing, 1);
    fixture_free(f);
}

/* The new row is refused: the old one is gone, as on the source; what follows under its key waits with it. */
static void a_row_that_comes_again_and_is_refused_is_quarantined(void **state)
{
    struct fixture *f = replace_fixture();
    int64_t id = 1;
    (void)state;
    replace(f, "1", "bad", "1", "100");
    replace(f, "2", "good", "2", "2");
    fixture_update(f, "t", NULL, ROW("1", ABSENT, "11", "101"));
    fixture_commit(f);
    fixture_apply(f);
    fixture_expect(f, ALL_T, "(2,good,2,2) (3,old,3,3) (4,old,4,4) (5,old,5,5)");
    fixture_expect(f, "SELECT key_text, op, sqlstate FROM crossfade.quarantine ORDER BY id",
                   "{\"id\": 1},I,23514;{\"id\": 1},U,");
    fixture_begin(f);
    replace(f, "1", "bad again", "1", "102");
    fixture_commit(f);
    fixture_apply(f);
    fixture_expect(f, "SELECT count(*) FROM crossfade.quarantine", "4");
    fixture_exec(f, "ALTER TABLE public.t DROP CONSTRAINT t_b_check");
    assert_true(pg_sink_retry_quarantine(f->sink, &id, 1, &f->err));
    fixture_expect(f, ALL_T, "(1,\"bad again\",1,102) (2,good,2,2) (3,old,3,3) (4,old,4,4) (5,old,5,5)");
    fixture_expect(f, "SELECT count(*) FROM crossfade.quarantine", "0");
    fixture_free(f);
}

static void skip_gives_the_key_free(void **state)
{
    struct fixture *f = fixture_new("CREATE TABLE t (id int PRIMARY KEY, b int CHECK (b < 100))");
    int64_t id = 1;

    (void)state;
    fixture_begin(f);
    fixture_insert(f, "t", ROW("1", "100"));
    fixture_commit(f);
    fixture_apply(f);
    assert_true(pg_sink_skip_quarantine(f->sink, &id, 1, &f->err));
    fixture_begin(f);
    fixture_insert(f, "t", ROW("1", "10"));
    fixture_commit(f);
    fixture_apply(f);
    fixture_expect(f, ALL_T, "(1,10)");
    fixture_expect(f, "SELECT count(*) FROM crossfade.quarantine", "0");
    fixture_free(f);
}

static void over_quarantine_limit_the_table_stops_and_parks(void **state)
{
    struct fixture *f = fixture_new("CREATE TABLE t (id int PRIMARY KEY, b int CHECK (b < 100));"
                                    "CREATE TABLE u (id int PRIMARY KEY)");
    bool empty;

    (void)state;
    f->options.quarantine_limit = 2;
    fixture_open(f, 1);
    fixture_begin(f);
    for (int i = 1; i <= 4; i++) {
        char id[4];
        snprintf(id, sizeof(id), "%d", i);
        fixture_insert(f, "t", ROW(id, i == 4 ? "4" : "100"));
        fixture_insert(f, "u", ROW(id));
    }
    fixture_commit(f);
    fixture_apply(f);
    assert_non_null(strstr(f->stopped, "quarantine_limit"));
    assert_int_equal(fixture_table(f, "t")->state, TABLE_STOPPED);
    fixture_expect(f, "SELECT count(*) FROM public.t", "0");
    fixture_expect(f, "SELECT count(*) FROM public.u", "4");
    fixture_expect(f, "SELECT count(*) FROM crossfade.quarantine", "2");
    fixture_expect(f, "SELECT count(*) FROM crossfade.parked", "2");
    fixture_exec(f, "ALTER TABLE public.t DROP CONSTRAINT t_b_check");
    fixture_table(f, "t")->state = TABLE_STREAMING;
    assert_true(pg_sink_drain_parked(f->sink, fixture_table(f, "t"), 100, &empty, &f->err));
    assert_true(empty);
    fixture_expect(f, ALL_T, "(3,100) (4,4)");
    fixture_free(f);
}

static void a_paused_table_parks_in_order_and_drains_in_slices(void **state)
{
    struct fixture *f =
        fixture_new("CREATE TABLE t (id int PRIMARY KEY, a text); CREATE TABLE u (id int PRIMARY KEY)");
    bool empty = false;
    int slices = 0;

    (void)state;
    fixture_table(f, "t")->state = TABLE_PAUSED;
    for (int tx = 0; tx < 3; tx++) {
        fixture_begin(f);
        for (int i = 0; i < 10; i++) {
            char id[8];
            snprintf(id, sizeof(id), "%d", i);
            if (tx == 0)
                fixture_insert(f, "t", ROW(id, "first"));
            else if (tx == 1)
                fixture_update(f, "t", NULL, ROW(id, "second"));
            else if (i % 2)
                fixture_delete(f, "t", ROW(id, ABSENT));
        }
        char id[8];
        snprintf(id, sizeof(id), "%d", tx);
        fixture_insert(f, "u", ROW(id));
        fixture_commit(f);
    }
    fixture_apply(f);
    fixture_expect(f, "SELECT count(*) FROM public.t", "0");
    fixture_expect(f, "SELECT count(*) FROM public.u", "3");
    fixture_expect(f, "SELECT count(*) FROM crossfade.parked", "25");
    assert_int_equal(fixture_counts(f, "t").parked, 25);
    fixture_open(f, 1);
    fixture_table(f, "t")->state = TABLE_STREAMING; /* not drained yet: newer changes still go behind */
    fixture_begin(f);
    fixture_update(f, "t", NULL, ROW("0", "third"));
    fixture_commit(f);
    fixture_apply(f);
    fixture_expect(f, "SELECT count(*) FROM crossfade.parked", "26");
    for (; !empty && slices < 10; slices++)
        assert_true(pg_sink_drain_parked(f->sink, fixture_table(f, "t"), 10, &empty, &f->err));
    assert_int_equal(slices, 3);
    assert_string_equal(f->conflicts, "");
    fixture_expect(f, ALL_T, "(0,third) (2,second) (4,second) (6,second) (8,second)");
    fixture_begin(f);
    fixture_insert(f, "t", ROW("1", "fourth"));
    fixture_commit(f);
    fixture_apply(f);
    fixture_expect(f, "SELECT count(*) FROM crossfade.parked", "0");
    fixture_expect(f, "SELECT a FROM public.t WHERE id = 1", "fourth");
    fixture_free(f);
}

static void past_park_limit_only_a_recopy_helps(void **state)
{
    struct fixture *f = fixture_new("CREATE TABLE t (id int PRIMARY KEY, a text)");
    bool empty;

    (void)state;
    f->options.park_limit = 500;
    fixture_open(f, 1);
    fixture_table(f, "t")->state = TABLE_DRIFT;
    for (int i = 0; i < 20; i++) {
        char id[8];
        snprintf(id, sizeof(id), "%d", i);
        fixture_begin(f);
        fixture_insert(f, "t", ROW(id, "some text"));
        fixture_commit(f);
        fixture_apply(f);
    }
    assert_non_null(strstr(f->stopped, "park_limit"));
    fixture_expect(f, "SELECT count(*), sum(octet_length(change)) FROM crossfade.parked", "1,0");
    fixture_open(f, 1);
    fixture_table(f, "t")->state = TABLE_STREAMING;
    f->stopped[0] = '\0';
    assert_true(pg_sink_drain_parked(f->sink, fixture_table(f, "t"), 10, &empty, &f->err));
    assert_false(empty);
    assert_non_null(strstr(f->stopped, "recopy"));
    assert_true(pg_sink_forget_parked(f->sink, fixture_table(f, "t"), &f->err));
    fixture_table(f, "t")->state = TABLE_STREAMING;
    fixture_begin(f);
    fixture_insert(f, "t", ROW("1", "again"));
    fixture_commit(f);
    fixture_apply(f);
    fixture_expect(f, ALL_T, "(1,again)");
    fixture_free(f);
}

/* hazard 33 */
static void a_truncate_is_one_statement(void **state)
{
    struct fixture *f =
        fixture_new("CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int "
                    "REFERENCES p); INSERT INTO p VALUES (1); INSERT INTO c VALUES (1, 1)");

    (void)state;
    fixture_begin(f);
    fixture_insert(f, "p", ROW("2"));
    fixture_truncate(f, (const char *const[]){"p", "c", NULL});
    fixture_insert(f, "p", ROW("3"));
    fixture_commit(f);
    fixture_apply(f);
    fixture_expect(
        f, "SELECT (SELECT string_agg(id::text, ',') FROM public.p), (SELECT count(*) FROM public.c)", "3,0");
    assert_string_equal(f->stopped, "");
    fixture_free(f);
}

static void a_refused_truncate_stops_its_table_and_shows_the_statement(void **state)
{
    struct fixture *f =
        fixture_new("CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int "
                    "REFERENCES p); CREATE TABLE t (id int PRIMARY KEY); INSERT INTO p VALUES (1)");

    (void)state;
    fixture_begin(f);
    fixture_insert(f, "t", ROW("1"));
    fixture_truncate(f, (const char *const[]){"p", NULL});
    fixture_insert(f, "p", ROW("2"));
    fixture_insert(f, "t", ROW("2"));
    fixture_commit(f);
    fixture_apply(f);
    assert_non_null(strstr(f->stopped, "TRUNCATE public.p was refused"));
    fixture_expect(f, "SELECT string_agg(id::text, ',') FROM public.p", "1");
    fixture_expect(f, ALL_T, "(1) (2)");
    fixture_expect(f, "SELECT count(*) FROM crossfade.parked", "2");
    fixture_free(f);
}

/* hazards 16, 17 */
static void a_transaction_in_pieces_is_one_in_the_sink(void **state)
{
    struct fixture *f = fixture_new("CREATE TABLE t (id int PRIMARY KEY, b int CHECK (b < 100))");

    (void)state;
    fixture_begin(f);
    for (int i = 0; i < 30; i++) {
        char id[8];
        snprintf(id, sizeof(id), "%d", i);
        fixture_insert(f, "t", ROW(id, i == 17 ? "100" : "1"));
        if (i % 10 == 9) {
            fixture_apply_piece(f);
            fixture_expect(f, "SELECT count(*) FROM public.t", "0");
            assert_int_equal(f->result.applied.kind, POSITION_NONE);
        }
    }
    fixture_update(f, "t", NULL, ROW("3", "2"));
    fixture_commit(f);
    fixture_apply(f);
    fixture_expect(f, "SELECT count(*), sum(b) FROM public.t", "29,30");
    fixture_expect(f, "SELECT count(*) FROM crossfade.quarantine", "1");
    /* cut in the middle: nothing of it is there */
    fixture_begin(f);
    fixture_insert(f, "t", ROW("1000", "1"));
    fixture_apply_piece(f);
    struct position before = position_lsn(f->lsn);
    fixture_open(f, 1);
    assert_int_equal(position_compare(f->position, before), 0);
    fixture_expect(f, "SELECT count(*) FROM public.t", "29");
    fixture_free(f);
}

/* hazard 39 */
static void a_fenced_process_writes_nothing(void **state)
{
    struct fixture *f = fixture_new("CREATE TABLE t (id int PRIMARY KEY)");

    (void)state;
    fixture_begin(f);
    fixture_insert(f, "t", ROW("1"));
    fixture_commit(f);
    fixture_apply(f);
    for (int piece = 0; piece < 2; piece++) {
        fixture_exec(
            f, "UPDATE crossfade.lease SET epoch = epoch + 1; SELECT crossfade.claim_lane('unit', 'forward', "
               "0, epoch) FROM crossfade.lease");
        fixture_begin(f);
        fixture_insert(f, "t", ROW("2"));
        fixture_insert(f, "t", ROW("3"));
        if (piece)
            f->batch->complete = false;
        else
            fixture_commit(f);
        assert_false(fixture_try(f));
        assert_int_equal(f->err.kind, ERROR_FENCED);
        batch_reset(f->batch);
        fixture_expect(f, "SELECT count(*) FROM public.t", "1");
        fixture_open(f, 2 + piece);
    }
    struct sink *other;
    struct position p;
    f->options.epoch = 2;
    assert_false(pg_sink_open(&f->options, &other, &p, &f->err));
    assert_int_equal(f->err.kind, ERROR_FENCED);
    fixture_free(f);
}

static void identities_and_arrays_apply_as_sets(void **state)
{
    struct fixture *f = fixture_new(
        "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, arr int[][], ta text[])");

    (void)state;
    fixture_begin(f);
    fixture_insert(f, "t", ROW("10", "{{1,2},{3,4}}", "{a,NULL,\"b c\"}"));
    fixture_insert(f, "t", ROW("11", "{}", NULL));
    fixture_commit(f);
    fixture_apply(f);
    assert_false(f->result.replayed);
    fixture_begin(f);
    fixture_update(f, "t", NULL, ROW("10", "{9}", "{}"));
    fixture_update(f, "t", NULL, ROW("11", NULL, "{q}"));
    fixture_commit(f);
    fixture_apply(f);
    assert_false(f->result.replayed);
    fixture_expect(f, ALL_T, "(10,{9},{}) (11,,{q})");
    fixture_free(f);
}

static void partitioned_tables_apply(void **state)
{
    struct fixture *f = fixture_new(
        "CREATE TABLE p (id int, k int, a text, PRIMARY KEY (id, k)) PARTITION BY LIST (k);"
        "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2)");

    (void)state;
    if (f->admin.version < 130000) { /* such a table can't be paired with itself: no source publishes it */
        fixture_free(f);
        skip();
    }
    fixture_begin(f);
    fixture_insert(f, "p", ROW("1", "1", "x"));
    fixture_insert(f, "p", ROW("2", "2", "y"));
    fixture_insert(f, "p", ROW("3", "2", "z"));
    fixture_commit(f);
    fixture_apply(f);
    assert_false(f->result.replayed);
    fixture_begin(f);
    fixture_update(f, "p", ROW("1", "1", ABSENT), ROW("1", "2", "moved"));
    fixture_update(f, "p", NULL, ROW("2", "2", "yy"));
    fixture_delete(f, "p", ROW("3", "2", ABSENT));
    fixture_commit(f);
    fixture_apply(f);
    fixture_expect(f, "SELECT string_agg(p::text, ' ' ORDER BY p) FROM public.p", "(1,2,moved) (2,2,yy)");
    assert_string_equal(f->conflicts, "");
    assert_string_equal(f->stopped, "");
    fixture_free(f);
}

static void a_deferrable_key_has_its_form(void **state)
{
    struct fixture *f = fixture_new("CREATE TABLE t (id int PRIMARY KEY, a text)");

    (void)state;
    fixture_exec(
        f, "ALTER TABLE public.t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (id) DEFERRABLE INITIALLY DEFERRED");
    fixture_table(f, "t")->sink_key_arbiter = false;
    fixture_exec(f, "INSERT INTO public.t VALUES (1, 'one'), (2, 'two')");
    fixture_begin(f);
    fixture_update(f, "t", ROW("1", ABSENT), ROW("2", "one"));
    fixture_update(f, "t", ROW("2", ABSENT), ROW("1", "two"));
    fixture_insert(f, "t", ROW("3", "three"));
    fixture_insert(f, "t", ROW("4", "four"));
    fixture_commit(f);
    fixture_apply(f);
    fixture_expect(f, "SELECT count(*) FROM public.t", "4");
    fixture_table(f, "t")->state = TABLE_CATCHUP;
    fixture_begin(f);
    fixture_insert(f, "t", ROW("3", "again"));
    fixture_insert(f, "t", ROW("5", "five"));
    fixture_commit(f);
    fixture_apply(f);
    fixture_expect(f, "SELECT string_agg(t::text, ' ' ORDER BY t) FROM public.t WHERE id > 2",
                   "(3,again) (4,four) (5,five)");
    fixture_free(f);
}

static void catchup_converges_and_lists_what_it_cant_build(void **state)
{
    struct fixture *f = fixture_new(t_ddl);

    (void)state;
    fixture_table(f, "t")->state = TABLE_CATCHUP;
    fixture_exec(f, "INSERT INTO public.t VALUES (1, 'copied', 1), (2, 'copied', 2), (4, 'copied', 4)");
    fixture_begin(f);
    fixture_insert(f, "t", ROW("1", "one", "1"));
    fixture_insert(f, "t", ROW("3", "three", "3"));
    fixture_update(f, "t", NULL, ROW("2", ABSENT, "22"));
    fixture_update(f, "t", NULL, ROW("9", ABSENT, "99"));
    fixture_update(f, "t", NULL, ROW("10", ABSENT, "99"));
    fixture_update(f, "t", ROW("4", ABSENT, ABSENT), ROW("5", ABSENT, "5"));
    fixture_update(f, "t", ROW("6", ABSENT, ABSENT), ROW("7", "seven", "7"));
    fixture_delete(f, "t", ROW("8", ABSENT, ABSENT));
    fixture_commit(f);
    fixture_apply(f);
    assert_false(f->result.replayed);
    fixture_expect(f, "SELECT string_agg(t::text, ' ' ORDER BY t) FROM public.t WHERE id NOT IN (4, 5)",
                   "(1,one,1) (2,copied,22) (3,three,3) (7,seven,7)");
    fixture_expect(f, "SELECT key FROM crossfade.reread ORDER BY key[1]::int", "{4};{5};{9};{10}");
    assert_string_equal(f->conflicts, "");
    assert_int_equal(fixture_counts(f, "t").reread, 4);
    fixture_free(f);
}

/* hazard 37 */
static void a_keyless_table_skips_what_its_snapshot_saw(void **state)
{
    struct fixture *f = fixture_new("CREATE TABLE t (a int, b text); ALTER TABLE t REPLICA IDENTITY FULL;");
    struct table *t = fixture_table(f, "t");
    char snapshot[64];

    (void)state;
    assert_int_equal(t->key_count, 0);
    t->state = TABLE_CATCHUP;
    uint64_t xid = f->lsn / 16;
    snprintf(snapshot, sizeof(snapshot), "%llu:%llu:%llu", (unsigned long long)xid + 1,
             (unsigned long long)xid + 3, (unsigned long long)xid + 1);
    t->copied_snapshot = strdup(snapshot);
    fixture_open(f, 1);
    for (int i = 0; i < 4; i++) { /* xid: seen; running then; seen; later */
        char text[8];
        snprintf(text, sizeof(text), "%d", i);
        fixture_begin(f);
        fixture_insert(f, "t", ROW(text, "x"));
        fixture_commit(f);
    }
    fixture_apply(f);
    fixture_expect(f, ALL_T, "(1,x) (3,x)");
    fixture_free(f);
}

static void keyless_rows_keep_their_multiplicity(void **state)
{
    struct fixture *f =
        fixture_new("CREATE TABLE t (a int, b text); ALTER TABLE t REPLICA IDENTITY FULL;"
                    "INSERT INTO t VALUES (1, 'x'), (1, 'x'), (1, 'x'), (2, NULL), (2, NULL)");

    (void)state;
    fixture_begin(f);
    fixture_delete(f, "t", ROW("1", "x"));
    fixture_update(f, "t", ROW("1", "x"), ROW("1", "y"));
    fixture_delete(f, "t", ROW("2", NULL));
    fixture_insert(f, "t", ROW("1", "y"));
    fixture_commit(f);
    fixture_apply(f);
    assert_false(f->result.replayed);
    fixture_expect(f, ALL_T, "(1,x) (1,y) (1,y) (2,)");
    fixture_begin(f);
    fixture_delete(f, "t", ROW("5", "nowhere"));
    fixture_insert(f, "t", ROW("6", "z"));
    fixture_commit(f);
    fixture_apply(f);
    assert_true(f->result.replayed);
    assert_int_equal(fixture_counts(f, "t").missing, 1);
    fixture_expect(f, "SELECT count(*) FROM public.t", "5");
    fixture_free(f);
}

/* New rows without a key go as one set; one that is refused stops the table, as there is no key to hold. */
static void keyless_rows_go_together(void **state)
{
    struct fixture *f = fixture_new("CREATE TABLE t (a int, b text CHECK (b <> 'bad'))");

    (void)state;
    fixture_begin(f);
    for (int i = 0; i < 5; i++)
        fixture_insert(f, "t", ROW("1", i % 2 ? "x" : NULL));
    fixture_insert(f, "t", ROW(NULL, "y"));
    fixture_commit(f);
    fixture_apply(f);
    assert_false(f->result.replayed);
    assert_int_equal(fixture_counts(f, "t").inserted, 6);
    fixture_expect(f, ALL_T, "(1,x) (1,x) (1,) (1,) (1,) (,y)");
    fixture_begin(f);
    fixture_insert(f, "t", ROW("2", "x"));
    fixture_insert(f, "t", ROW("3", "bad"));
    fixture_insert(f, "t", ROW("4", "x"));
    fixture_commit(f);
    fixture_apply(f);
    assert_true(f->result.replayed);
    fixture_expect(f, "SELECT string_agg(t::text, ' ' ORDER BY t) FROM public.t WHERE a > 1", "(2,x)");
    assert_non_null(strstr(f->stopped, "public.t"));
    fixture_expect(f, "SELECT count(*) FROM crossfade.parked", "2");
    fixture_free(f);
}

static void a_dropped_table_stops_alone(void **state)
{
    struct fixture *f =
        fixture_new("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE gone (id int PRIMARY KEY)");

    (void)state;
    fixture_exec(f, "DROP TABLE public.gone");
    fixture_begin(f);
    fixture_insert(f, "t", ROW("1"));
    fixture_insert(f, "gone", ROW("1"));
    fixture_insert(f, "t", ROW("2"));
    fixture_commit(f);
    fixture_apply(f);
    fixture_expect(f, ALL_T, "(1) (2)");
    assert_non_null(strstr(f->stopped, "gone"));
    fixture_expect(f, "SELECT table_name FROM crossfade.parked", "public.gone");
    fixture_free(f);
}

static void wide_tables_apply(void **state)
{
    struct buffer ddl = {0};
    const char *row[1600];
    char id[8];

    (void)state;
    buffer_puts(&ddl, "CREATE TABLE t (id int PRIMARY KEY");
    for (int i = 1; i < 1600; i++)
        buffer_printf(&ddl, ", c%d bool", i);
    buffer_puts(&ddl, ")");
    struct fixture *f = fixture_new(buffer_text(&ddl));
    buffer_free(&ddl);
    row[0] = id;
    for (int i = 1; i < 1600; i++)
        row[i] = i % 3 ? "t" : NULL;
    for (int op = 0; op < 2; op++) {
        fixture_begin(f);
        for (int i = 0; i < 20; i++) {
            snprintf(id, sizeof(id), "%d", i);
            row[1599] = op ? "f" : "t";
            if (op)
                fixture_update(f, "t", NULL, row);
            else
                fixture_insert(f, "t", row);
        }
        fixture_commit(f);
        fixture_apply(f);
        assert_false(f->result.replayed);
    }
    fixture_expect(f, "SELECT count(*), count(c3), count(c4), count(*) FILTER (WHERE c1599) FROM public.t",
                   "20,0,20,0");
    fixture_free(f);
}

static void deadlocks_and_ends_of_session_are_to_be_tried_again(void **state)
{
    struct fixture *f = fixture_new("CREATE TABLE t (id int PRIMARY KEY)");

    (void)state;
    fixture_exec(f, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = "
                    "'crossfade:unit:lane0' "
                    "AND pid <> pg_backend_pid()");
    fixture_begin(f);
    fixture_insert(f, "t", ROW("1"));
    fixture_commit(f);
    assert_false(fixture_try(f));
    assert_int_equal(f->err.kind, ERROR_RETRY);
    batch_reset(f->batch);
    fixture_open(f, 1);
    assert_int_equal(f->position.kind, POSITION_NONE);
    assert_true(pg_sink_has_origin(f->sink));
    fixture_free(f);
}

/* --- random histories: the sink ends as a table on which the same changes were made one by one --- */

static unsigned next_random(unsigned *seed)
{
    *seed = *seed * 1664525U + 1013904223U;
    return *seed >> 8;
}

struct history {
    struct fixture *f;
    unsigned seed;
    char id[8], to[8], a[8], u[8];
};

/* True if it is a change that the source could have made. */
static PRINTF_LIKE(2, 3) bool on_the_model(struct history *h, const char *fmt, ...)
{
    char sql[300];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(sql, sizeof(sql), fmt, ap);
    va_end(ap);
    PGresult *r = PQexec(h->f->admin.pg, sql);
    bool done = PQresultStatus(r) == PGRES_COMMAND_OK && strcmp(PQcmdTuples(r), "1") == 0;
    PQclear(r);
    return done;
}

static void one_change(struct history *h)
{
    struct fixture *f = h->f;
    unsigned what = next_random(&h->seed) % 10;

    snprintf(h->id, sizeof(h->id), "%u", next_random(&h->seed) % 12);
    snprintf(h->to, sizeof(h->to), "%u", next_random(&h->seed) % 12);
    snprintf(h->a, sizeof(h->a), "%u", next_random(&h->seed) % 100);
    snprintf(h->u, sizeof(h->u), "%u", next_random(&h->seed) % 14);
    const char *u = what % 2 ? h->u : NULL;
    if (what < 3) {
        if (on_the_model(h, "INSERT INTO model VALUES (%s, '%s', %s)", h->id, h->a, u ? u : "NULL"))
            fixture_insert(f, "t", ROW(h->id, h->a, u));
    } else if (what < 5) {
        if (on_the_model(h, "UPDATE model SET a = '%s', u = %s WHERE id = %s", h->a, u ? u : "NULL", h->id))
            fixture_update(f, "t", NULL, ROW(h->id, h->a, u));
    } else if (what < 7) {
        if (on_the_model(h, "UPDATE model SET u = %s WHERE id = %s", u ? u : "NULL", h->id))
            fixture_update(f, "t", NULL, ROW(h->id, ABSENT, u));
    } else if (what < 8) {
        if (strcmp(h->id, h->to) != 0 &&
            on_the_model(h, "UPDATE model SET id = %s, u = %s WHERE id = %s", h->to, u ? u : "NULL", h->id))
            fixture_update(f, "t", ROW(h->id, ABSENT, ABSENT), ROW(h->to, ABSENT, u));
    } else if (on_the_model(h, "DELETE FROM model WHERE id = %s", h->id)) {
        fixture_delete(f, "t", ROW(h->id, ABSENT, ABSENT));
    }
}

/* A few transactions in one batch, or one that goes on in the next. */
static void one_batch(struct history *h)
{
    unsigned transactions = 1 + next_random(&h->seed) % 5;

    for (unsigned i = 0; i < transactions; i++) {
        if (!h->f->batch->continues || i > 0)
            fixture_begin(h->f);
        for (unsigned n = next_random(&h->seed) % 8; n > 0; n--)
            one_change(h);
        if (i == 0 && transactions == 1 && next_random(&h->seed) % 2) {
            fixture_apply_piece(h->f);
            return;
        }
        fixture_commit(h->f);
    }
    fixture_apply(h->f);
}

static void random_histories_end_as_the_model(void **state)
{
    const char *given = getenv("CROSSFADE_TEST_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    struct fixture *f = fixture_new("CREATE TABLE t (id int PRIMARY KEY, a text, u int UNIQUE)");
    struct history h = {.f = f, .seed = seed};

    (void)state;
    print_message("CROSSFADE_TEST_SEED=%u\n", seed);
    fixture_exec(f, "CREATE TABLE public.model (LIKE public.t INCLUDING ALL)");
    for (int i = 0; i < 400; i++) {
        one_batch(&h);
        if (f->batch->continues)
            continue;
        fixture_expect(f, "SELECT count(*) FROM (TABLE public.t EXCEPT TABLE public.model) x", "0");
        fixture_expect(f, "SELECT (SELECT count(*) FROM public.t) = (SELECT count(*) FROM public.model)",
                       "t");
    }
    assert_string_equal(f->conflicts, "");
    assert_string_equal(f->stopped, "");
    fixture_expect(f, "SELECT count(*) FROM crossfade.quarantine", "0");
    fixture_free(f);
}

/* Rule 6: three chunks read at different moments of a history, then the whole history replayed. */
static void one_catchup(struct fixture *f, unsigned *seed)
{
    struct history h = {.f = f, .seed = *seed};
    struct batch *batches[12];
    struct batch *own = f->batch;
    unsigned copied_at[3];

    fixture_exec(f, "TRUNCATE public.t, crossfade.reread");
    for (int k = 0; k < 3; k++)
        copied_at[k] = next_random(&h.seed) % 12;
    for (unsigned b = 0; b < 12; b++) {
        f->batch = batches[b] = batch_new();
        for (int k = 0; k < 3; k++) {
            char sql[200];
            snprintf(sql, sizeof(sql), "INSERT INTO public.t SELECT * FROM public.model WHERE id %% 3 = %d",
                     k);
            if (copied_at[k] == b)
                fixture_exec(f, sql);
        }
        for (unsigned transactions = 1 + next_random(&h.seed) % 3; transactions > 0; transactions--) {
            fixture_begin(f);
            for (unsigned n = next_random(&h.seed) % 6; n > 0; n--)
                one_change(&h);
            fixture_commit(f);
        }
    }
    for (unsigned b = 0; b < 12; b++) {
        f->batch = batches[b];
        fixture_apply(f);
        batch_free(batches[b]);
    }
    f->batch = own;
    fixture_exec(f, "DELETE FROM public.t WHERE id IN (SELECT key[1]::int FROM crossfade.reread);"
                    "INSERT INTO public.t SELECT * FROM public.model WHERE id IN (SELECT key[1]::int FROM "
                    "crossfade.reread)");
    fixture_expect(f, "SELECT count(*) FROM (TABLE public.t EXCEPT TABLE public.model) x", "0");
    fixture_expect(f, "SELECT (SELECT count(*) FROM public.t) = (SELECT count(*) FROM public.model)", "t");
    *seed = h.seed;
}

/* hazard 38 */
static void catchup_converges_whatever_the_copy_saw(void **state)
{
    const char *given = getenv("CROSSFADE_TEST_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    struct fixture *f = fixture_new("CREATE TABLE t (id int PRIMARY KEY, a text, u int)");

    (void)state;
    print_message("CROSSFADE_TEST_SEED=%u\n", seed);
    fixture_exec(f, "CREATE TABLE public.model (LIKE public.t INCLUDING ALL)");
    fixture_table(f, "t")->state = TABLE_CATCHUP;
    for (int i = 0; i < 60; i++) {
        fixture_table(f, "t")->sink_key_arbiter = i % 4 != 0; /* both forms of the upsert */
        fixture_open(f, 1);
        one_catchup(f, &seed);
    }
    assert_string_equal(f->conflicts, "");
    fixture_free(f);
}

static void retry_all(struct fixture *f)
{
    int64_t ids[1000];
    PGresult *r = PQexec(f->admin.pg, "SELECT id FROM crossfade.quarantine ORDER BY id");
    int n = PQntuples(r);

    assert_in_range(n, 0, 1000);
    for (int i = 0; i < n; i++)
        ids[i] = strtoll(PQgetvalue(r, i, 0), NULL, 10);
    PQclear(r);
    assert_true(pg_sink_retry_quarantine(f->sink, ids, (size_t)n, &f->err));
}

/* Rows are refused for a while; once they can be written and are retried, nothing is missing. */
static void quarantine_loses_nothing(void **state)
{
    const char *given = getenv("CROSSFADE_TEST_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    struct fixture *f = fixture_new("CREATE TABLE t (id int PRIMARY KEY, a text, u int UNIQUE)");
    struct history h = {.f = f, .seed = seed};

    (void)state;
    print_message("CROSSFADE_TEST_SEED=%u\n", seed);
    fixture_exec(f, "CREATE TABLE public.model (LIKE public.t INCLUDING ALL)");
    for (int round = 0; round < 30; round++) {
        fixture_exec(f, "ALTER TABLE public.t ADD CHECK (a::int < 85) NOT VALID");
        for (int i = 0; i < 6; i++)
            one_batch(&h);
        if (f->batch->continues) {
            fixture_commit(f);
            fixture_apply(f);
        }
        fixture_exec(f, "ALTER TABLE public.t DROP CONSTRAINT t_a_check");
        if (round % 3 == 0)
            fixture_open(f, 1);
        retry_all(f);
        fixture_expect(f, "SELECT count(*) FROM crossfade.quarantine", "0");
        fixture_expect(f, "SELECT count(*) FROM (TABLE public.t EXCEPT TABLE public.model) x", "0");
        fixture_expect(f, "SELECT (SELECT count(*) FROM public.t) = (SELECT count(*) FROM public.model)",
                       "t");
    }
    fixture_free(f);
}

static void a_refusal_at_commit_stops_the_table_it_names(void **state)
{
    struct fixture *f =
        fixture_new("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY);"
                    "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no' "
                    "USING ERRCODE = '23514',"
                    " SCHEMA = 'public', TABLE = 'u'; END $$; CREATE CONSTRAINT TRIGGER no AFTER INSERT ON u "
                    "DEFERRABLE INITIALLY "
                    "DEFERRED FOR EACH ROW EXECUTE FUNCTION no(); ALTER TABLE u ENABLE ALWAYS TRIGGER no");

    (void)state;
    fixture_begin(f);
    fixture_insert(f, "t", ROW("1"));
    fixture_insert(f, "u", ROW("1"));
    fixture_insert(f, "t", ROW("2"));
    fixture_commit(f);
    fixture_apply(f);
    fixture_expect(f, ALL_T, "(1) (2)");
    assert_non_null(strstr(f->stopped, "u: COMMIT was refused"));
    fixture_expect(f, "SELECT table_name FROM crossfade.parked", "public.u");
    fixture_free(f);
}

static void a_role_without_rights_on_origins_applies_too(void **state)
{
    struct fixture *f = fixture_new("CREATE TABLE t (id int PRIMARY KEY, p int REFERENCES t)");
    const char *superuser = f->options.conn.conninfo;
    char conninfo[600];

    (void)state;
    fixture_exec(
        f, "DO $$ BEGIN CREATE ROLE crossfade_unit LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
           "GRANT USAGE ON SCHEMA public, crossfade TO crossfade_unit;"
           "GRANT ALL ON ALL TABLES IN SCHEMA public, crossfade TO crossfade_unit");
    snprintf(conninfo, sizeof(conninfo), "%s user=crossfade_unit", superuser);
    f->options.conn.conninfo = conninfo;
    fixture_open(f, 1);
    assert_false(pg_sink_has_origin(f->sink));
    fixture_begin(f); /* foreign keys fire: a child before its parent is refused, and set aside */
    fixture_insert(f, "t", ROW("1", NULL));
    fixture_insert(f, "t", ROW("2", "1"));
    fixture_insert(f, "t", ROW("3", "9"));
    fixture_commit(f);
    fixture_apply(f);
    fixture_expect(f, ALL_T, "(1,) (2,1)");
    fixture_expect(f, "SELECT sqlstate FROM crossfade.quarantine", "23503");
    f->options.conn.conninfo = superuser;
    fixture_open(f, 1);
    fixture_exec(f, "DROP OWNED BY crossfade_unit; DROP ROLE crossfade_unit");
    fixture_free(f);
}

static void *cancel_later(void *sink)
{
    const struct timespec pause = {.tv_nsec = 200000000};

    nanosleep(&pause, NULL);
    ((struct sink *)sink)->ops->cancel(sink);
    return NULL;
}

static void cancel_ends_a_wait_for_a_lock(void **state)
{
    struct fixture *f = fixture_new("CREATE TABLE t (id int PRIMARY KEY)");
    pthread_t thread;
    int64_t start = clock_ms();

    (void)state;
    fixture_exec(f, "BEGIN; LOCK TABLE public.t");
    fixture_begin(f);
    fixture_insert(f, "t", ROW("1"));
    fixture_commit(f);
    assert_int_equal(pthread_create(&thread, NULL, cancel_later, f->sink), 0);
    assert_false(fixture_try(f));
    assert_int_equal(f->err.kind, ERROR_CANCELED);
    assert_true(clock_ms() - start < 5000);
    pthread_join(thread, NULL);
    fixture_exec(f, "ROLLBACK");
    fixture_expect(f, "SELECT count(*) FROM public.t", "0");
    fixture_free(f);
}

static void rows_larger_than_a_piece_apply(void **state)
{
    struct fixture *f = fixture_new("CREATE TABLE t (id int PRIMARY KEY, a text)");
    size_t size = 20 << 20;
    char *large = malloc(size + 1);

    (void)state;
    memset(large, 'x', size);
    large[size] = '\0';
    fixture_begin(f);
    fixture_insert(f, "t", ROW("1", "small"));
    fixture_insert(f, "t", ROW("2", large));
    fixture_insert(f, "t", ROW("3", large));
    fixture_insert(f, "t", ROW("4", "small"));
    fixture_commit(f);
    fixture_apply(f);
    assert_false(f->result.replayed);
    fixture_expect(f, "SELECT id, length(a) FROM public.t ORDER BY id", "1,5;2,20971520;3,20971520;4,5");
    free(large);
    fixture_free(f);
}

struct killer {
    struct pg_conn conn;
    unsigned seed;
    _Atomic bool stop;
};

static void *kill_now_and_then(void *context)
{
    struct killer *k = context;
    struct error err;

    while (!atomic_load(&k->stop)) {
        const struct timespec pause = {.tv_nsec = 1000000 * (2 + next_random(&k->seed) % 40)};
        nanosleep(&pause, NULL);
        (void)!pg_exec(&k->conn,
                       "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = "
                       "'crossfade:unit:lane0'",
                       &err);
    }
    return NULL;
}

/* hazard 17: a COMMIT whose answer was lost is seen in the position. */
static void a_cut_link_neither_loses_nor_doubles(void **state)
{
    struct fixture *f = fixture_new("CREATE TABLE t (a int, b text); ALTER TABLE t REPLICA IDENTITY FULL");
    struct killer k = {.seed = (unsigned)time(NULL)};
    struct pg_conn_options o = f->options.conn;
    pthread_t thread;
    int cuts = 0, batches = 0;
    char expected[16];

    (void)state;
    o.job = "killer";
    assert_true(pg_conn_open(&k.conn, &o, &f->err));
    assert_int_equal(pthread_create(&thread, NULL, kill_now_and_then, &k), 0);
    for (; cuts < 5 && batches < 50000; batches++) {
        fixture_begin(f);
        for (int n = 0; n < 20; n++)
            fixture_insert(f, "t", ROW("1", "x"));
        fixture_commit(f);
        while (!fixture_try(f)) {
            assert_int_equal(f->err.kind, ERROR_RETRY);
            cuts++;
            fixture_open(f, 1);
            if (position_compare(f->position, f->batch->end) >= 0)
                break;
        }
        batch_reset(f->batch);
    }
    atomic_store(&k.stop, true);
    pthread_join(thread, NULL);
    pg_conn_close(&k.conn);
    assert_true(cuts >= 5); /* the last batch may have met two */
    snprintf(expected, sizeof(expected), "%d", 20 * batches);
    fixture_expect(f, "SELECT count(*) FROM public.t", expected);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_apply_and_move_the_position),
        cmocka_unit_test(text_values_and_mixed_kinds_apply),
        cmocka_unit_test(too_long_a_value_is_quarantined_not_cut),
        cmocka_unit_test(keys_swap_and_are_used_again),
        cmocka_unit_test(a_key_change_carries_an_absent_large_value),
        cmocka_unit_test(unique_values_swap_over_several_transactions),
        cmocka_unit_test(missing_and_existing_rows_are_conflicts_and_the_source_wins),
        cmocka_unit_test(a_batch_full_of_conflicts_comes_through),
        cmocka_unit_test(a_refused_row_takes_its_key_and_joined_keys_along),
        cmocka_unit_test(who_waits_for_a_quarantined_unique_value_waits_too),
        cmocka_unit_test(a_row_that_comes_again_is_updated_in_place),
        cmocka_unit_test(rows_that_come_again_may_swap_unique_values),
        cmocka_unit_test(a_row_that_comes_again_and_was_missing_is_a_conflict),
        cmocka_unit_test(a_row_that_comes_again_and_is_refused_is_quarantined),
        cmocka_unit_test(skip_gives_the_key_free),
        cmocka_unit_test(over_quarantine_limit_the_table_stops_and_parks),
        cmocka_unit_test(a_paused_table_parks_in_order_and_drains_in_slices),
        cmocka_unit_test(past_park_limit_only_a_recopy_helps),
        cmocka_unit_test(a_truncate_is_one_statement),
        cmocka_unit_test(a_refused_truncate_stops_its_table_and_shows_the_statement),
        cmocka_unit_test(a_transaction_in_pieces_is_one_in_the_sink),
        cmocka_unit_test(a_fenced_process_writes_nothing),
        cmocka_unit_test(identities_and_arrays_apply_as_sets),
        cmocka_unit_test(partitioned_tables_apply),
        cmocka_unit_test(a_deferrable_key_has_its_form),
        cmocka_unit_test(catchup_converges_and_lists_what_it_cant_build),
        cmocka_unit_test(a_keyless_table_skips_what_its_snapshot_saw),
        cmocka_unit_test(keyless_rows_keep_their_multiplicity),
        cmocka_unit_test(keyless_rows_go_together),
        cmocka_unit_test(a_dropped_table_stops_alone),
        cmocka_unit_test(wide_tables_apply),
        cmocka_unit_test(random_histories_end_as_the_model),
        cmocka_unit_test(catchup_converges_whatever_the_copy_saw),
        cmocka_unit_test(quarantine_loses_nothing),
        cmocka_unit_test(a_refusal_at_commit_stops_the_table_it_names),
        cmocka_unit_test(a_role_without_rights_on_origins_applies_too),
        cmocka_unit_test(cancel_ends_a_wait_for_a_lock),
        cmocka_unit_test(rows_larger_than_a_piece_apply),
        cmocka_unit_test(a_cut_link_neither_loses_nor_doubles),
        cmocka_unit_test(deadlocks_and_ends_of_session_are_to_be_tried_again),
    };
    if (!getenv("CROSSFADE_TEST_PG"))
        return 77; /* skipped */
    if (getenv("CROSSFADE_TEST_FILTER"))
        cmocka_set_test_filter(getenv("CROSSFADE_TEST_FILTER"));
    return cmocka_run_group_tests_name("pg_sink", tests, NULL, NULL);
}
