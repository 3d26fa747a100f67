/* SPDX-License-Identifier: PostgreSQL
 *
 * What was there before deferring must be there after restoring, to the letter of its definition.
 */
#include "replicator/indexes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "live.h"

/* Every index and constraint of schema public, with what hangs on it, as one text. */
static char *definitions(struct live *l)
{
    return mem_strdup(live_ask(
        &l->sink, "SELECT string_agg(x, E'\\n' ORDER BY x) FROM ("
                  " SELECT concat_ws(' | ', pg_get_indexdef(i.indexrelid), i.indisprimary, i.indisreplident, "
                  "i.indisclustered,"
                  "   i.indisvalid, i.indimmediate, obj_description(i.indexrelid, 'pg_class'),"
                  "   (SELECT string_agg(a.attnum || ':' || a.attstattarget, ',') FROM pg_attribute a"
                  "     WHERE a.attrelid = i.indexrelid AND a.attstattarget > 0)) AS x"
                  "  FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE c.relnamespace = "
                  "'public'::regnamespace"
                  " UNION ALL"
                  " SELECT concat_ws(' | ', conrelid::regclass, conname, pg_get_constraintdef(oid), "
                  "convalidated, condeferrable,"
                  "   condeferred, obj_description(oid, 'pg_constraint'))"
                  "  FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype IN ('p', "
                  "'u', 'x', 'f')) q(x)"));
}

static void make_tables(struct live *l)
{
    live_source(l, "CREATE TABLE public.a (k int PRIMARY KEY, u text, v int, r int4range, d int);"
                   "CREATE TABLE public.\"b \"\"q\" (k int PRIMARY KEY, a int, self int);"
                   "CREATE TABLE public.p (k int PRIMARY KEY)");
    live_sink(
        l,
        "CREATE TABLE public.a (k int, u text NOT NULL, v int, r int4range, d int);"
        "CREATE UNIQUE INDEX a_key ON public.a (k) INCLUDE (v) WITH (fillfactor = 71);"
        "ALTER TABLE public.a ADD CONSTRAINT a_key PRIMARY KEY USING INDEX a_key;"
        "COMMENT ON CONSTRAINT a_key ON public.a IS 'the''key';"
        "ALTER TABLE public.a ADD CONSTRAINT a_u UNIQUE (u),"
        " ADD CONSTRAINT a_d UNIQUE (d) DEFERRABLE INITIALLY DEFERRED,"
        " ADD CONSTRAINT a_x EXCLUDE USING gist (r WITH &&);"
        "CREATE INDEX a_partial ON public.a (v) WHERE v > 5;"
        "CREATE INDEX \"a \"\"expr\" ON public.a ((v + 1), lower(u) text_pattern_ops DESC NULLS LAST);"
        "ALTER INDEX public.\"a \"\"expr\" ALTER COLUMN 1 SET STATISTICS 321;"
        "COMMENT ON INDEX public.a_partial IS 'part';"
        "ALTER TABLE public.a REPLICA IDENTITY USING INDEX a_u; CREATE INDEX a_c ON public.a (v, k); ALTER "
        "TABLE public.a CLUSTER ON a_c;"
        "CREATE TABLE public.\"b \"\"q\" (k int PRIMARY KEY, a int REFERENCES public.a (k) ON DELETE CASCADE,"
        " self int REFERENCES public.\"b \"\"q\" (k) DEFERRABLE INITIALLY DEFERRED);"
        "ALTER TABLE public.\"b \"\"q\" ADD CONSTRAINT b_loose FOREIGN KEY (a) REFERENCES public.a (k) NOT "
        "VALID;"
        "CREATE TABLE public.p (k int PRIMARY KEY);"
        "CREATE TABLE public.outsider (k int REFERENCES public.p (k));"
        "CREATE VIEW public.by_b AS SELECT k, a FROM public.\"b \"\"q\" GROUP BY k");
    live_pair(l);
}

static void defer_all(struct live *l)
{
    struct error err = {0};
    if (!indexes_defer(&l->sink, "demo", l->epoch, l->pairing.tables.tables, l->pairing.tables.count, &err))
        fail_msg("%s", err.text);
}

static void restore(struct live *l, enum indexes_phase phase)
{
    struct error err = {0};
    if (!indexes_restore(&l->config, l->log, l->epoch, phase, l->pairing.tables.tables,
                         l->pairing.tables.count, 2, &l->cancel, &err))
        fail_msg("%s", err.text);
}

static bool pending(struct live *l)
{
    struct error err = {0};
    bool out;
    assert_true(indexes_pending(&l->sink, "demo", &out, &err));
    return out;
}

static void definitions_survive_to_the_letter(void **state)
{
    (void)state;
    struct live *l = live_open("indexes");
    make_tables(l);
    char *before = definitions(l);
    defer_all(l);
    assert_true(pending(l));
    /* p's key is needed by a table outside, b's by a view: they stay; a's is gone, as is everything
     * secondary. */
    assert_string_equal(live_ask(&l->sink,
                                 "SELECT string_agg(c.relname, ',' ORDER BY c.relname) FROM pg_index i"
                                 " JOIN pg_class c ON c.oid = i.indexrelid"
                                 " WHERE c.relnamespace = 'public'::regnamespace"),
                        "b \"q_pkey,p_pkey");
    assert_string_equal(
        live_ask(&l->sink, "SELECT string_agg(conname, ',') FROM pg_constraint WHERE contype = 'f'"),
        "outsider_k_fkey");
    assert_string_equal(live_ask(&l->sink, "SELECT count(*) || ' ' || count(*) FILTER (WHERE position = 0)"
                                           " FROM crossfade.saved_ddl"),
                        "16 2");
    defer_all(l); /* again, as after a crash: nothing more, nothing lost */
    live_sink(
        l,
        "INSERT INTO public.a SELECT g, 'u' || g, g, int4range(g, g + 1), g FROM generate_series(1, 100) g;"
        "INSERT INTO public.\"b \"\"q\" SELECT g, g, g FROM generate_series(1, 100) g");
    restore(l, INDEXES_KEYS);
    assert_string_equal(live_ask(&l->sink,
                                 "SELECT string_agg(conname, ',' ORDER BY conname) FROM pg_constraint"
                                 " WHERE conrelid = 'public.a'::regclass"),
                        "a_key");
    assert_true(pending(l));
    for (uint32_t i = 0; i < l->pairing.tables.count; i++)
        l->pairing.tables.tables[i]->state = TABLE_CATCHUP;
    restore(l, INDEXES_ALL);
    assert_false(pending(l));
    char *after = definitions(l);
    assert_string_equal(before, after);
    assert_string_equal(live_ask(&l->sink, "SELECT reltuples FROM pg_class WHERE oid = 'public.a'::regclass"),
                        "100");
    free(before);
    free(after);
    live_close(l);
}

/* Between the drop and the making there is always the saved row. */
static void a_crash_in_between_loses_nothing(void **state)
{
    (void)state;
    struct live *l = live_open("indexes2");
    struct error err = {0};
    make_tables(l);
    char *before = definitions(l);
    /* Every index build fails half-way: the drop of a's third object is refused by an event trigger that
     * raises. */
    live_sink(l,
              "CREATE FUNCTION public.boom() RETURNS event_trigger LANGUAGE plpgsql AS $$"
              "BEGIN IF EXISTS (SELECT 1 FROM pg_event_trigger_dropped_objects() WHERE object_name = 'a_u')"
              " THEN RAISE EXCEPTION 'boom' USING ERRCODE = '57P01'; END IF; END$$;"
              "CREATE EVENT TRIGGER boom ON sql_drop EXECUTE FUNCTION public.boom()");
    assert_false(
        indexes_defer(&l->sink, "demo", l->epoch, l->pairing.tables.tables, l->pairing.tables.count, &err));
    assert_int_equal(err.kind, ERROR_RETRY);
    live_sink(l, "DROP EVENT TRIGGER boom");
    restore(l, INDEXES_ALL);
    char *after = definitions(l);
    assert_string_equal(before, after);
    free(after);

    /* Killed after ADD … NOT VALID: the row says what is left. */
    defer_all(l);
    restore(l, INDEXES_KEYS);
    live_sink(l, "CREATE FUNCTION public.bang() RETURNS event_trigger LANGUAGE plpgsql AS $$"
                 "BEGIN IF current_query() LIKE '%VALIDATE CONSTRAINT%' THEN"
                 " RAISE EXCEPTION 'bang' USING ERRCODE = '57P01'; END IF; END$$;"
                 "CREATE EVENT TRIGGER bang ON ddl_command_start EXECUTE FUNCTION public.bang()");
    assert_false(indexes_restore(&l->config, l->log, l->epoch, INDEXES_ALL, l->pairing.tables.tables,
                                 l->pairing.tables.count, 2, &l->cancel, &err));
    assert_int_equal(err.kind, ERROR_RETRY);
    assert_true(pending(l));
    live_sink(l, "DROP EVENT TRIGGER bang");
    restore(l, INDEXES_ALL);
    assert_false(pending(l));
    after = definitions(l);
    assert_string_equal(before, after);
    free(after);
    free(before);
    live_close(l);
}

static void what_the_data_refuses_stays_saved(void **state)
{
    (void)state;
    struct live *l = live_open("indexes3");
    make_tables(l);
    defer_all(l);
    live_sink(l, "INSERT INTO public.a VALUES (1, 'same', 1), (2, 'same', 2);"
                 "INSERT INTO public.\"b \"\"q\" VALUES (1, 77, NULL)");
    restore(l, INDEXES_ALL);
    assert_true(pending(l));
    assert_string_equal(
        live_ask(&l->sink, "SELECT string_agg(name, ',' ORDER BY name) FROM crossfade.saved_ddl"),
        "a_u,a_u,b \"q_a_fkey");
    assert_int_equal(live_table(l, "public.a")->state, TABLE_INIT);
    live_sink(l, "DELETE FROM public.a WHERE k = 2; UPDATE public.\"b \"\"q\" SET a = 1");
    restore(l, INDEXES_ALL);
    assert_false(pending(l));

    /* A key's index that the data refuses stops the table. */
    defer_all(l);
    live_sink(l, "INSERT INTO public.a VALUES (1, 'other', 1)");
    restore(l, INDEXES_KEYS);
    assert_int_equal(live_table(l, "public.a")->state, TABLE_STOPPED);
    assert_non_null(strstr(live_ask(&l->sink, "SELECT value ->> 'reason' FROM crossfade.state"
                                              " WHERE object = 'table:public.a' AND key = 'state'"),
                           "could not create unique index"));
    live_close(l);
}

static void tables_of_others_partitions_and_fences(void **state)
{
    (void)state;
    struct live *l = live_open("indexes4");
    struct error err = {0};
    live_both(l, "CREATE TABLE public.p (k int PRIMARY KEY) PARTITION BY RANGE (k);"
                 "CREATE TABLE public.p1 PARTITION OF public.p FOR VALUES FROM (0) TO (9);"
                 "CREATE TABLE public.t (k int PRIMARY KEY)");
    live_pair(l);
    live_sink(l,
              "DROP ROLE IF EXISTS cf_test_owner, cf_test_other; CREATE ROLE cf_test_owner; CREATE ROLE "
              "cf_test_other;"
              "ALTER TABLE public.t OWNER TO cf_test_owner; GRANT USAGE ON SCHEMA crossfade TO cf_test_other;"
              "SET SESSION AUTHORIZATION cf_test_other");
    defer_all(l);
    live_sink(l, "RESET SESSION AUTHORIZATION");
    assert_false(pending(l));
    live_sink(l, "UPDATE crossfade.lease SET epoch = 9");
    assert_false(
        indexes_defer(&l->sink, "demo", l->epoch, l->pairing.tables.tables, l->pairing.tables.count, &err));
    assert_int_equal(err.kind, ERROR_FENCED);
    assert_false(pending(l));
    assert_string_equal(
        live_ask(&l->sink, "SELECT count(*) FROM pg_index WHERE indrelid = 'public.t'::regclass"), "1");
    live_sink(l, "UPDATE crossfade.lease SET epoch = 1");
    defer_all(l);
    assert_string_equal(live_ask(&l->sink, "SELECT string_agg(name, ',') FROM crossfade.saved_ddl"),
                        "t_pkey,t_pkey");
    live_sink(l, "REASSIGN OWNED BY cf_test_owner TO CURRENT_USER; DROP OWNED BY cf_test_other;"
                 "DROP ROLE cf_test_owner, cf_test_other");
    live_close(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(definitions_survive_to_the_letter),
        cmocka_unit_test(a_crash_in_between_loses_nothing),
        cmocka_unit_test(what_the_data_refuses_stays_saved),
        cmocka_unit_test(tables_of_others_partitions_and_fences),
    };
    live_need();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
