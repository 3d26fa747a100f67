/* SPDX-License-Identifier: PostgreSQL */
#include "replicator/reread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "live.h"

static bool run(struct live *l, uint64_t *count, struct position *past, struct error *err)
{
    struct legacy_notes notes = {
        .config = &l->config, .log = l->log, .target = &l->sink, .epoch = l->epoch, .cancel = &l->cancel};
    struct legacy_options o = {.config = &l->config, .job = "reread", .connect_timeout_ms = 10000};
    struct legacy *legacy;
    bool ok = legacy_open(&o, &legacy, err) &&
              reread_run(legacy, &notes, &l->pairing.tables, NULL, count, past, err);
    legacy_close(legacy);
    return ok;
}

static uint64_t reread(struct live *l, struct position *past)
{
    struct error err = {0};
    uint64_t count = 0;
    if (!run(l, &count, past, &err))
        fail_msg("%s", err.text);
    return count;
}

static void pair_streaming(struct live *l)
{
    live_pair(l);
    for (uint32_t i = 0; i < l->pairing.tables.count; i++)
        l->pairing.tables.tables[i]->state = TABLE_CATCHUP;
}

static void listed_keys_become_what_the_source_holds(void **state)
{
    (void)state;
    struct live *l = live_open("reread");
    struct position past = {0};
    live_both(l, "CREATE TABLE public.t (a int, b text, v text, n numeric, arr int[], by bytea, c char(5),"
                 " id int GENERATED ALWAYS AS IDENTITY, PRIMARY KEY (b, a));"
                 "CREATE TABLE public.n (k numeric PRIMARY KEY, v text)");
    live_source(l, "INSERT INTO public.t (a, b, v, n, arr, by, c) SELECT g, 'k''\\\"{' || g, repeat('x', g % "
                   "100), g / 3.0, ARRAY[g, NULL, 2],"
                   " decode(md5(g::text), 'hex'), 'c' FROM generate_series(1, 2500) g;"
                   "INSERT INTO public.n VALUES (1.00, NULL), (2, 'b')");
    /* 1..1000 missing, 1001..2500 stale, 2501..2600 gone at the source */
    live_sink(
        l,
        "INSERT INTO public.t OVERRIDING SYSTEM VALUE SELECT g, 'k''\\\"{' || g, 'stale', NULL, NULL, NULL,"
        " NULL, g FROM generate_series(1001, 2600) g; INSERT INTO public.n VALUES (1.0, 'stale'), (3, "
        "'gone');"
        "INSERT INTO crossfade.reread SELECT 'demo', 'public.t', ARRAY['k''\\\"{' || g, g::text]"
        "  FROM generate_series(1, 2600) g;"
        "INSERT INTO crossfade.reread VALUES ('demo', 'public.n', '{1.0}'), ('demo', 'public.n', '{2}'),"
        " ('demo', 'public.n', '{3}'), ('other', 'public.n', '{1}')");
    pair_streaming(l);
    assert_int_equal(reread(l, &past), 2603);
    live_assert_equal(l, "public.t");
    live_assert_equal(l, "public.n");
    assert_string_equal(live_ask(&l->sink, "SELECT string_agg(pipeline, ',') FROM crossfade.reread"),
                        "other");
    assert_string_equal(live_ask(&l->sink, "SHOW session_replication_role"), "origin");
    char sql[200], text[POSITION_TEXT_SIZE];
    snprintf(sql, sizeof(sql), "SELECT '%s' <= pg_current_wal_insert_lsn() AND '%s' > '0/0'::pg_lsn",
             position_format(past, text), text);
    assert_string_equal(live_ask(&l->source, sql), "t");
    past = (struct position){0};
    assert_int_equal(reread(l, &past), 0);
    assert_int_equal(past.kind, POSITION_NONE);
    live_close(l);
}

/* The key's index may be deferrable, which no ON CONFLICT takes; triggers must not fire. */
static void without_an_arbiter_and_with_triggers(void **state)
{
    (void)state;
    struct live *l = live_open("reread2");
    struct position past = {0};
    live_source(l, "CREATE TABLE public.t (k int PRIMARY KEY, v text)");
    live_sink(l, "CREATE TABLE public.t (k int PRIMARY KEY DEFERRABLE, v text)");
    live_source(l, "INSERT INTO public.t VALUES (1, 'a'), (2, 'b')");
    live_sink(
        l, "INSERT INTO public.t VALUES (2, 'old'), (3, 'gone');"
           "CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS"
           " $$BEGIN NEW.v := 'trigger'; RETURN NEW; END$$;"
           "CREATE TRIGGER tr BEFORE INSERT OR UPDATE ON public.t FOR EACH ROW EXECUTE FUNCTION public.f();"
           "INSERT INTO crossfade.reread VALUES ('demo', 'public.t', '{1}'), ('demo', 'public.t', '{2}'),"
           " ('demo', 'public.t', '{3}')");
    pair_streaming(l);
    assert_false(live_table(l, "public.t")->sink_key_arbiter);
    assert_int_equal(reread(l, &past), 3);
    live_assert_equal(l, "public.t");
    live_close(l);
}

static void a_lost_lease_fences_it(void **state)
{
    (void)state;
    struct live *l = live_open("reread3");
    struct position past = {0};
    struct error err = {0};
    uint64_t count;
    live_both(l, "CREATE TABLE public.t (k int PRIMARY KEY)");
    live_source(l, "INSERT INTO public.t VALUES (1)");
    live_sink(l, "INSERT INTO crossfade.reread VALUES ('demo', 'public.t', '{1}'); UPDATE crossfade.lease "
                 "SET epoch = 9");
    pair_streaming(l);
    assert_false(run(l, &count, &past, &err));
    assert_int_equal(err.kind, ERROR_FENCED);
    assert_string_equal(live_ask(&l->sink, "SELECT count(*) FROM public.t"), "0");
    assert_string_equal(live_ask(&l->sink, "SELECT count(*) FROM crossfade.reread"), "1");
    live_close(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listed_keys_become_what_the_source_holds),
        cmocka_unit_test(without_an_arbiter_and_with_triggers),
        cmocka_unit_test(a_lost_lease_fences_it),
    };
    live_need();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
