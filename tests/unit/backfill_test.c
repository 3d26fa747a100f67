/* SPDX-License-Identifier: PostgreSQL
 *
 * The copy against a real server: borders of chunks for keys of many kinds, restarts, rows that are there.
 */
#include "replicator/backfill.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "live.h"
#include "pgsql/snapshot.h"
#include "pgsql/sql.h"

static bool run_all(struct live *l, struct error *err)
{
    struct backfill_options o = {.config = &l->config,
                                 .log = l->log,
                                 .stats = l->stats,
                                 .epoch = l->epoch,
                                 .tables = l->pairing.tables.tables,
                                 .table_count = l->pairing.tables.count,
                                 .rate_limit = &l->rate_limit,
                                 .cancel = &l->cancel};
    return backfill_run(&o, err);
}

static void must_run(struct live *l)
{
    struct error err = {0};
    if (!run_all(l, &err))
        fail_msg("%s", err.text);
}

static void assert_state(struct live *l, const char *from, enum table_state state)
{
    char sql[200];
    assert_int_equal(live_table(l, from)->state, state);
    assert_int_equal(atomic_load(&l->stats->tables[live_table(l, from)->id].state), state);
    snprintf(sql, sizeof(sql),
             "SELECT value ->> 'state' FROM crossfade.state WHERE object = 'table:%s' AND key = 'state'",
             from);
    assert_string_equal(live_ask(&l->sink, sql), table_state_name(state));
}

static void assert_chunks(struct live *l, const char *from, const char *expected)
{
    char sql[300];
    snprintf(sql, sizeof(sql),
             "SELECT count(*) || '/' || count(*) FILTER (WHERE state = 'done') || '/' || sum(rows)"
             " FROM crossfade.chunk WHERE table_name = '%s'",
             from);
    assert_string_equal(live_ask(&l->sink, sql), expected);
}

/* Hazard 18: the server orders, bounds travel untouched. */
static void keys_of_many_kinds_in_chunks(void **state)
{
    static const struct {
        const char *name, *columns, *rows;
    } kinds[] = {
        {"k_int", "k int PRIMARY KEY", "g - 50"},
        {"k_two", "a int, b text, PRIMARY KEY (a, b)", "g / 7, 'x''y\\z\"' || g"},
        {"k_order", "b text, a int, PRIMARY KEY (a, b)", "chr(65 + g % 26), g / 26"},
        {"k_uuid", "k uuid PRIMARY KEY", "md5(g::text)::uuid"},
        {"k_text", "k text COLLATE \"C.utf8\" PRIMARY KEY",
         "(ARRAY['a','A','é','Z','''','\\','{','\"','NULL',' '])[1 + g % 10] || g"},
        {"k_time", "k timestamptz PRIMARY KEY", "'4713-01-01 BC'::timestamptz + g * '10 years'::interval"},
        {"k_date", "k date PRIMARY KEY",
         "'infinity'::date WHERE g = 1 UNION ALL SELECT '-infinity' WHERE g = 1"
         " UNION ALL SELECT '2000-01-01'::date + g"},
        {"k_num", "k numeric PRIMARY KEY", "g::numeric / 3 WHERE g <> 7 UNION ALL SELECT 'NaN' WHERE g = 7"},
        {"k_float", "k float8 PRIMARY KEY", "sqrt(g)"},
        {"k_bytes", "k bytea PRIMARY KEY", "decode(md5(g::text), 'hex')"},
        {"k_char", "k char(9) PRIMARY KEY", "'c' || g"},
        {"k_bit", "k bit(10) PRIMARY KEY", "g::bit(10)"},
        {"k_inet", "k inet PRIMARY KEY", "('10.0.0.0'::inet + g)"},
        {"k_bool", "k bool, n int, PRIMARY KEY (k, n)", "g % 2 = 0, g"},
        {"k_interval", "k interval PRIMARY KEY", "g * '1 day 1 second'::interval"},
        {"k_array", "k int[] PRIMARY KEY", "ARRAY[g % 5, g]"},
        {"k_range", "k int4range PRIMARY KEY", "int4range(g, g + 3)"},
        {"k_json", "k jsonb PRIMARY KEY", "jsonb_build_object('a''\"', g)"},
        {"\"K \"\"q\"\".x\"", "\"sel\"\"ect\" int PRIMARY KEY, \"a.b\" text", "g, 'v' || g"},
    };
    (void)state;
    struct live *l = live_open("kinds");
    char sql[800];
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        snprintf(sql, sizeof(sql), "CREATE TABLE public.%s (%s)", kinds[i].name, kinds[i].columns);
        live_both(l, sql);
        snprintf(sql, sizeof(sql),
                 "INSERT INTO public.%s SELECT x.* FROM generate_series(1, 100) g, LATERAL (SELECT %s) x",
                 kinds[i].name, kinds[i].rows);
        live_source(l, sql);
    }
    live_both(
        l, "CREATE TYPE public.mood AS ENUM ('sad', 'ok', 'happy'); CREATE DOMAIN public.code AS varchar(20);"
           "CREATE TABLE public.k_enum (m public.mood, n int, PRIMARY KEY (m, n));"
           "CREATE TABLE public.k_domain (k public.code PRIMARY KEY)");
    live_source(l, "INSERT INTO public.k_enum SELECT (ARRAY['happy', 'sad', 'ok'])[1 + g % 3]::public.mood, g"
                   " FROM generate_series(1, 100) g;"
                   "INSERT INTO public.k_domain SELECT 'd' || g FROM generate_series(1, 100) g");
    l->config.backfill_chunk_rows = 7;
    live_pair(l);
    must_run(l);
    for (uint32_t i = 0; i < l->pairing.tables.count; i++) {
        struct table *t = l->pairing.tables.tables[i];
        struct buffer name = {0};
        sql_qualified(&name, t->from_schema, t->from_name);
        live_assert_equal(l, buffer_text(&name));
        buffer_free(&name);
        assert_int_equal(t->state, TABLE_CATCHUP);
    }
    assert_int_equal(l->pairing.tables.count, 21);
    assert_chunks(l, "public.k_int", "15/15/100");
    assert_chunks(l, "public.k_enum", "15/15/100");
    assert_state(l, "public.k_int", TABLE_CATCHUP);
    struct stats_table *s = &l->stats->tables[live_table(l, "public.k_int")->id];
    assert_int_equal(atomic_load(&s->rows_copied), 100);
    assert_true(atomic_load(&s->bytes_copied) > 0);
    live_close(l);
}

/* A type's own order, outside pg_catalog, must be the one that chunks are cut by. */
static void keys_of_an_extension_type(void **state)
{
    (void)state;
    struct live *l = live_open("ext");
    if (strcmp(live_ask(&l->source, "SELECT count(*) FROM pg_available_extensions WHERE name = 'citext'"),
               "1")) {
        print_message("no citext in this server\n");
        live_close(l);
        return;
    }
    live_both(l, "CREATE SCHEMA \"ex t\"; CREATE EXTENSION citext SCHEMA \"ex t\";"
                 "CREATE TABLE public.c (k \"ex t\".citext PRIMARY KEY, v int)");
    live_source(l, "INSERT INTO public.c SELECT chr((CASE g % 2 WHEN 0 THEN 65 ELSE 97 END) + g % 26) || g, g"
                   " FROM generate_series(1, 100) g");
    l->config.backfill_chunk_rows = 7;
    live_pair(l);
    must_run(l);
    live_assert_equal(l, "public.c");
    assert_chunks(l, "public.c", "15/15/100");
    live_close(l);
}

static void partitioned_inherited_and_keyless(void **state)
{
    (void)state;
    struct live *l = live_open("shapes");
    live_both(l, "CREATE TABLE public.p (k int PRIMARY KEY, v text) PARTITION BY RANGE (k);"
                 "CREATE TABLE public.p1 PARTITION OF public.p FOR VALUES FROM (0) TO (40);"
                 "CREATE TABLE public.p2 PARTITION OF public.p FOR VALUES FROM (40) TO (1000);"
                 "CREATE TABLE public.parent (k int PRIMARY KEY);"
                 "CREATE TABLE public.child (PRIMARY KEY (k)) INHERITS (public.parent);"
                 "CREATE TABLE public.bare (v int); ALTER TABLE public.bare REPLICA IDENTITY FULL");
    live_source(l, "INSERT INTO public.p SELECT g, g FROM generate_series(1, 100) g;"
                   "INSERT INTO public.parent SELECT generate_series(1, 10);"
                   "INSERT INTO public.child SELECT generate_series(1, 20);"
                   "INSERT INTO public.bare SELECT g % 3 FROM generate_series(1, 100) g");
    l->config.backfill_chunk_rows = 9;
    live_pair(l);
    must_run(l);
    live_assert_equal(l, "public.p");
    live_assert_equal(l, "ONLY public.parent");
    live_assert_equal(l, "public.child");
    live_assert_equal(l, "public.bare");
    assert_chunks(l, "public.p", "12/12/100");
    assert_chunks(l, "public.bare", "1/1/100");
    struct table *bare = live_table(l, "public.bare");
    assert_non_null(bare->copied_snapshot);
    assert_string_equal(
        live_ask(&l->sink, "SELECT snapshot FROM crossfade.chunk WHERE table_name = 'public.bare'"),
        bare->copied_snapshot);
    live_pair(l); /* another start: nothing is copied, the snapshot comes from the chunk row */
    must_run(l);
    assert_non_null(live_table(l, "public.bare")->copied_snapshot);
    live_assert_equal(l, "public.bare");
    live_close(l);
}

/* Hazard 37: what the copy of a keyless table holds is what its snapshot sees, savepoints and all. */
static void a_keyless_copy_holds_what_its_snapshot_sees(void **state)
{
    (void)state;
    struct live *l = live_open("snapshot");
    struct pg_conn open = {0};
    struct error err = {0};
    struct snapshot seen = {0};
    struct pg_conn_options o = {
        .conninfo = l->source_conninfo, .pipeline = "demo", .job = "x", .endpoint = "x"};
    live_both(l, "CREATE TABLE public.bare (v text); ALTER TABLE public.bare REPLICA IDENTITY FULL");
    assert_true(pg_conn_open(&open, &o, &err));
    assert_true(pg_exec(&open,
                        "BEGIN; INSERT INTO public.bare VALUES ('open'); SAVEPOINT a;"
                        "INSERT INTO public.bare VALUES ('open, below a savepoint'); SAVEPOINT b",
                        &err));
    uint32_t open_xid = (uint32_t)strtoull(live_ask(&open, "SELECT txid_current()"), NULL, 10);
    live_source(l,
                "BEGIN; INSERT INTO public.bare VALUES ('done'); SAVEPOINT a; INSERT INTO public.bare VALUES"
                " ('done, below a savepoint')");
    uint32_t done_xid = (uint32_t)strtoull(live_ask(&l->source, "SELECT txid_current()"), NULL, 10);
    live_source(l, "COMMIT");
    live_pair(l);
    must_run(l);
    assert_true(pg_exec(&open, "COMMIT", &err));
    pg_conn_close(&open);
    uint32_t late_xid = (uint32_t)strtoull(live_ask(&l->source, "SELECT txid_current()"), NULL, 10);
    assert_string_equal(live_ask(&l->sink, "SELECT string_agg(v, '; ' ORDER BY v) FROM public.bare"),
                        "done; done, below a savepoint");
    assert_true(snapshot_parse(live_table(l, "public.bare")->copied_snapshot, &seen));
    assert_true(snapshot_sees(&seen, done_xid));
    assert_false(snapshot_sees(&seen, open_xid));
    assert_false(snapshot_sees(&seen, late_xid));
    snapshot_free(&seen);
    live_close(l);
}

/* Hazard 29: planned is not done, and done is never done twice. */
static void restart_after_a_crash_redoes_what_was_planned(void **state)
{
    (void)state;
    struct live *l = live_open("crash");
    live_both(l, "CREATE TABLE public.t (k int PRIMARY KEY, v text)");
    live_source(l, "INSERT INTO public.t SELECT g, 'v' || g FROM generate_series(1, 100) g");
    /* As a crash leaves it: 1 and 3 done, 2 planned, 4 never planned. */
    live_sink(
        l,
        "INSERT INTO crossfade.chunk (pipeline, table_name, seq, low, high, state, rows, bytes, epoch) VALUES"
        " ('demo', 'public.t', 1, NULL, '{10}', 'done', 10, 100, 1),"
        " ('demo', 'public.t', 2, '{10}', '{30}', 'planned', 0, 0, 1),"
        " ('demo', 'public.t', 3, '{30}', '{40}', 'done', 10, 100, 1);"
        "INSERT INTO public.t SELECT g, 'v' || g FROM generate_series(1, 10) g;"
        "INSERT INTO public.t SELECT g, 'v' || g FROM generate_series(31, 40) g");
    l->config.backfill_chunk_rows = 50;
    live_pair(l);
    must_run(l);
    live_assert_equal(l, "public.t");
    assert_chunks(l, "public.t", "5/5/100");
    assert_int_equal(atomic_load(&l->stats->tables[0].rows_copied), 100);
    live_close(l);
}

static void rows_that_are_there(void **state)
{
    (void)state;
    struct live *l = live_open("existing");
    struct error err = {0};
    live_both(l, "CREATE TABLE public.a (k int PRIMARY KEY, v text);"
                 "CREATE TABLE public.b (k int PRIMARY KEY, a int REFERENCES public.a (k));"
                 "CREATE TABLE public.bare (v int); ALTER TABLE public.bare REPLICA IDENTITY FULL");
    live_source(l, "INSERT INTO public.a SELECT g, 'new' FROM generate_series(1, 50) g;"
                   "INSERT INTO public.b SELECT g, g FROM generate_series(1, 50) g;"
                   "INSERT INTO public.bare SELECT generate_series(1, 50)");
    live_sink(l, "INSERT INTO public.a VALUES (5, 'old'), (99, 'mine'); INSERT INTO public.b VALUES (7, 5)");
    live_pair(l);
    must_run(l); /* refuse is the default: the others are copied */
    assert_state(l, "public.a", TABLE_STOPPED);
    assert_state(l, "public.b", TABLE_STOPPED);
    assert_state(l, "public.bare", TABLE_CATCHUP);
    assert_non_null(strstr(l->stats->tables[live_table(l, "public.a")->id].reason, "\"existing\""));
    assert_string_equal(live_ask(&l->sink, "SELECT count(*) FROM public.a"), "2");
    /* What is refused keeps its indexes; what is copied has them deferred. */
    assert_string_equal(
        live_ask(&l->sink, "SELECT count(*) FROM pg_index WHERE indrelid = 'public.a'::regclass"), "1");

    l->config.backfill_existing = EXISTING_UPSERT;
    l->config.backfill_chunk_rows = 20;
    live_pair(l);
    must_run(l);
    assert_string_equal(live_ask(&l->sink, "SELECT count(*) || v FROM public.a WHERE k <> 99 GROUP BY v"),
                        "50new");
    assert_string_equal(live_ask(&l->sink, "SELECT v FROM public.a WHERE k = 99"), "mine");
    live_assert_equal(l, "public.b");

    const char *from[] = {"public.a", "public.b", "public.bare"};
    for (int i = 0; i < 3; i++)
        if (!backfill_forget(&l->sink, "demo", l->epoch, live_table(l, from[i]), &err) && i == 1)
            fail_msg("%s", err.text);
    live_sink(l, "DELETE FROM crossfade.chunk; INSERT INTO public.a VALUES (98, 'x') ON CONFLICT DO NOTHING");
    l->config.backfill_existing = EXISTING_TRUNCATE;
    live_pair(l);
    must_run(l);
    live_assert_equal(l, "public.a");
    live_assert_equal(l, "public.b");
    live_assert_equal(l, "public.bare");
    assert_state(l, "public.a", TABLE_CATCHUP);
    live_close(l);
}

static void a_table_that_cannot_be_copied_stops_alone(void **state)
{
    (void)state;
    struct live *l = live_open("stops");
    live_both(
        l,
        "CREATE TABLE public.good (k int PRIMARY KEY); CREATE TABLE public.bad (k int PRIMARY KEY, v text)");
    live_source(l, "INSERT INTO public.good SELECT generate_series(1, 100);"
                   "INSERT INTO public.bad SELECT g, 'v' || g FROM generate_series(1, 100) g");
    live_sink(l, "ALTER TABLE public.bad ADD CHECK (v <> 'v77')");
    l->config.backfill_chunk_rows = 10;
    live_pair(l);
    must_run(l);
    assert_state(l, "public.bad", TABLE_STOPPED);
    assert_state(l, "public.good", TABLE_CATCHUP);
    live_assert_equal(l, "public.good");
    const char *reason = l->stats->tables[live_table(l, "public.bad")->id].reason;
    assert_non_null(strstr(reason, "check constraint"));
    assert_non_null(strstr(reason, "COPY bad, line"));
    /* The rows that were refused are not in, and mending it lets the copy go on. */
    live_sink(l, "ALTER TABLE public.bad DROP CONSTRAINT bad_v_check");
    live_pair(l);
    must_run(l);
    live_assert_equal(l, "public.bad");
    live_close(l);
}

static void *raise_flag(void *arg)
{
    struct timespec t = {0, 300000000};
    nanosleep(&t, NULL);
    atomic_store((_Atomic bool *)arg, true);
    return NULL;
}

static void cancel_within(struct live *l, const char *why)
{
    struct error err = {0};
    pthread_t thread;
    atomic_store(&l->cancel, false);
    pthread_create(&thread, NULL, raise_flag, &l->cancel);
    int64_t begun = clock_ms();
    assert_false(run_all(l, &err));
    pthread_join(thread, NULL);
    if (err.kind != ERROR_CANCELED)
        fail_msg("%s: %s", why, err.text);
    if (clock_ms() - begun > 1300)
        fail_msg("%s: canceled after %d ms", why, (int)(clock_ms() - begun - 300));
    atomic_store(&l->cancel, false);
}

static void cancel_is_heard_wherever_it_waits(void **state)
{
    (void)state;
    struct live *l = live_open("cancel");
    struct pg_conn other = {0};
    struct error err = {0};
    struct pg_conn_options o = {
        .conninfo = l->source_conninfo, .pipeline = "demo", .job = "x", .endpoint = "x"};
    live_both(l, "CREATE TABLE public.t (k int PRIMARY KEY, v text)");
    live_source(l, "INSERT INTO public.t SELECT g, repeat('x', 1000) FROM generate_series(1, 20000) g");
    live_pair(l);
    l->config.backfill_chunk_rows = 1000;

    atomic_store(&l->rate_limit, 1000);
    cancel_within(l, "rate limit");
    atomic_store(&l->rate_limit, 0);

    assert_true(pg_conn_open(&other, &o, &err));
    assert_true(pg_exec(&other, "BEGIN; LOCK TABLE public.t", &err));
    cancel_within(l, "lock on the source");
    pg_conn_close(&other);

    o.conninfo = l->sink_conninfo;
    assert_true(pg_conn_open(&other, &o, &err));
    assert_true(pg_exec(&other, "BEGIN; LOCK TABLE public.t", &err));
    cancel_within(l, "lock on the target");
    pg_conn_close(&other);

    must_run(l);
    live_assert_equal(l, "public.t");
    live_close(l);
}

static void *lift_limit(void *arg)
{
    struct timespec t = {0, 500000000};
    nanosleep(&t, NULL);
    atomic_store((_Atomic int64_t *)arg, 0);
    return NULL;
}

static void rate_limit_holds_and_may_change(void **state)
{
    (void)state;
    struct live *l = live_open("rate");
    struct error err = {0};
    pthread_t thread;
    live_both(l, "CREATE TABLE public.t (k int PRIMARY KEY, v text)");
    live_source(l, "INSERT INTO public.t SELECT g, repeat('x', 1000) FROM generate_series(1, 2000) g");
    live_pair(l);
    atomic_store(&l->rate_limit, 2000000); /* about 2 MB: one second */
    int64_t begun = clock_ms();
    must_run(l);
    assert_in_range(clock_ms() - begun, 700, 5000);
    live_assert_equal(l, "public.t");
    assert_true(backfill_forget(&l->sink, "demo", l->epoch, live_table(l, "public.t"), &err));
    assert_string_equal(live_ask(&l->sink, "SELECT count(*) FROM public.t"), "0");
    atomic_store(&l->rate_limit, 1000); /* half an hour, unless the change is heard */
    pthread_create(&thread, NULL, lift_limit, &l->rate_limit);
    begun = clock_ms();
    must_run(l);
    pthread_join(thread, NULL);
    assert_in_range(clock_ms() - begun, 400, 5000);
    live_assert_equal(l, "public.t");
    live_close(l);
}

static void a_lost_lease_fences_the_copy(void **state)
{
    (void)state;
    struct live *l = live_open("fence");
    struct error err = {0};
    live_both(l, "CREATE TABLE public.t (k int PRIMARY KEY)");
    live_source(l, "INSERT INTO public.t SELECT generate_series(1, 100)");
    live_pair(l);
    live_sink(l, "UPDATE crossfade.lease SET epoch = 2");
    assert_false(run_all(l, &err));
    assert_int_equal(err.kind, ERROR_FENCED);
    assert_string_equal(live_ask(&l->sink, "SELECT count(*) FROM public.t"), "0");
    live_close(l);
}

/* Hazard 42. */
static void row_security_fails_the_copy_and_never_thins_it(void **state)
{
    (void)state;
    struct live *l = live_open("rls");
    live_both(l, "CREATE TABLE public.t (k int PRIMARY KEY)");
    live_source(l, "INSERT INTO public.t SELECT generate_series(1, 10);"
                   "ALTER TABLE public.t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"
                   "CREATE POLICY p ON public.t USING (k <= 3);"
                   "DROP ROLE IF EXISTS cf_test_reader; CREATE ROLE cf_test_reader LOGIN;"
                   "GRANT SELECT ON public.t TO cf_test_reader");
    live_pair(l);
    char *full = l->config.legacy_conninfo;
    char reader[600];
    snprintf(reader, sizeof(reader), "%s user=cf_test_reader", full);
    l->config.legacy_conninfo = reader;
    must_run(l);
    assert_state(l, "public.t", TABLE_STOPPED);
    assert_non_null(strstr(l->stats->tables[0].reason, "row-level security"));
    assert_string_equal(live_ask(&l->sink, "SELECT count(*) FROM public.t"), "0");
    l->config.legacy_conninfo = full;
    live_source(l, "DROP OWNED BY cf_test_reader; DROP ROLE cf_test_reader");
    live_close(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_many_kinds_in_chunks),
        cmocka_unit_test(keys_of_an_extension_type),
        cmocka_unit_test(partitioned_inherited_and_keyless),
        cmocka_unit_test(a_keyless_copy_holds_what_its_snapshot_sees),
        cmocka_unit_test(restart_after_a_crash_redoes_what_was_planned),
        cmocka_unit_test(rows_that_are_there),
        cmocka_unit_test(a_table_that_cannot_be_copied_stops_alone),
        cmocka_unit_test(cancel_is_heard_wherever_it_waits),
        cmocka_unit_test(rate_limit_holds_and_may_change),
        cmocka_unit_test(a_lost_lease_fences_the_copy),
        cmocka_unit_test(row_security_fails_the_copy_and_never_thins_it),
    };
    live_need();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
