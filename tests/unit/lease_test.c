/* SPDX-License-Identifier: PostgreSQL
 *
 * The lease on a real server: CROSSFADE_TEST_PG is a conninfo by which databases may be made; ours is
 * lease_test. Without it the test is skipped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "legacy/legacy_pgsql_fingerprint.h"
#include "state/lease.h"
#include "state/schema.h"
#include "state/store.h"
#include "state/wish.h"

static struct pg_conn session_in(const char *database, const char *pipeline, const char *job)
{
    char conninfo[1000];
    (void)snprintf(conninfo, sizeof(conninfo), "%s %s", getenv("CROSSFADE_TEST_PG"), database);
    struct pg_conn_options options = {.conninfo = conninfo,
                                      .pipeline = pipeline,
                                      .job = job,
                                      .endpoint = "target",
                                      .connect_timeout_ms = 5000,
                                      .lock_timeout_ms = 3000};
    struct pg_conn conn;
    struct error err = {0};
    if (!pg_conn_open(&conn, &options, &err))
        fail_msg("%s", err.text);
    return conn;
}

static struct pg_conn session(const char *pipeline, const char *job)
{
    return session_in("dbname=lease_test", pipeline, job);
}

static void run(struct pg_conn *conn, const char *sql)
{
    struct error err = {0};
    if (!pg_exec(conn, sql, &err))
        fail_msg("%s: %s", sql, err.text);
}

static enum error_kind refused(struct pg_conn *conn, const char *sql)
{
    struct error err = {0};
    return pg_exec(conn, sql, &err) ? ERROR_NONE : err.kind;
}

/* A new holder tries; its epoch, 0 if it did not get the lease. */
static int64_t take(struct lease *lease, struct pg_conn *conn, bool *changed)
{
    struct error err = {0};
    if (!lease_try(lease, conn, changed, &err))
        fail_msg("%s", err.text);
    return lease->epoch;
}

static void expire(struct pg_conn *conn, const char *pipeline)
{
    char sql[200];
    snprintf(sql, sizeof(sql),
             "UPDATE crossfade.lease SET heartbeat = now() - interval '1 h' WHERE pipeline = '%s'", pipeline);
    run(conn, sql);
}

static int setup(void **state)
{
    (void)state;
    struct pg_conn admin = session_in("", "setup", "control");
    struct error err = {0};
    run(&admin, "DROP DATABASE IF EXISTS lease_test");
    run(&admin, "CREATE DATABASE lease_test");
    pg_conn_close(&admin);
    struct pg_conn conn = session("setup", "control");
    if (!schema_install(&conn, &err))
        fail_msg("%s", err.text);
    pg_conn_close(&conn);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    struct pg_conn admin = session_in("", "setup", "control");
    run(&admin, "DROP DATABASE lease_test");
    pg_conn_close(&admin);
    return 0;
}

static void a_fresh_lease_is_not_taken(void **state)
{
    (void)state;
    struct pg_conn one = session("fresh", "standby"), two = session("fresh", "standby");
    struct lease a, b;
    bool changed;
    lease_init(&a, "fresh", 10000);
    lease_init(&b, "fresh", 10000);
    assert_string_not_equal(a.holder, b.holder);
    assert_int_equal(take(&a, &one, &changed), 1);
    assert_false(changed);
    assert_int_equal(take(&b, &two, &changed), 0);
    assert_int_equal(take(&a, &one, &changed), 1); /* again ours, the epoch stays */
    assert_false(changed);
    pg_conn_close(&one);
    pg_conn_close(&two);
}

static void looking_changes_nothing(void **state)
{
    (void)state;
    struct pg_conn conn = session("look", "standby");
    struct lease a, b;
    struct error err = {0};
    bool changed, is_free;
    lease_init(&a, "look", 10000);
    lease_init(&b, "look", 10000);
    assert_true(lease_look(&a, &conn, &is_free, &err));
    assert_true(is_free);
    assert_int_equal(take(&a, &conn, &changed), 1);
    assert_true(lease_look(&a, &conn, &is_free, &err));
    assert_true(is_free); /* ours */
    assert_true(lease_look(&b, &conn, &is_free, &err));
    assert_false(is_free);
    expire(&conn, "look");
    assert_true(lease_look(&b, &conn, &is_free, &err));
    assert_true(is_free);
    assert_true(lease_beat(&a, &conn, &err));
    assert_true(lease_look(&b, &conn, &is_free, &err));
    assert_false(is_free);
    run(&conn, "UPDATE crossfade.lease SET heartbeat = now() + interval '1 day' WHERE pipeline = 'look'");
    assert_true(lease_look(&b, &conn, &is_free, &err));
    assert_true(is_free);
    pg_conn_close(&conn);
}

static void a_released_lease_is_taken_at_once(void **state)
{
    (void)state;
    struct pg_conn conn = session("released", "standby");
    struct lease a, b;
    struct error err = {0};
    bool changed;
    lease_init(&a, "released", 60000);
    lease_init(&b, "released", 60000);
    assert_int_equal(take(&a, &conn, &changed), 1);
    assert_true(lease_release(&a, &conn, &err));
    assert_int_equal(a.epoch, 0);
    assert_int_equal(take(&b, &conn, &changed), 2);
    assert_true(changed);
    assert_true(lease_release(&a, &conn, &err)); /* not ours: changes nothing */
    assert_int_equal(take(&a, &conn, &changed), 0);
    pg_conn_close(&conn);
}

/* Hazard 40: the predecessor is stopped in a transaction that holds its progress row and a fenced write. */
static void take_over_ends_the_predecessors_transactions(void **state)
{
    (void)state;
    struct pg_conn lane = session("zombie", "lane0"), copy = session("zombie", "copy1");
    struct pg_conn control = session("zombie", "control"), other = session("zombie2", "lane0");
    struct pg_conn old = session("zombie", "standby"), newcomer = session("zombie", "standby");
    struct lease a, b;
    struct error err = {0};
    bool changed;
    lease_init(&a, "zombie", 1000);
    lease_init(&b, "zombie", 1000);
    run(&old, "INSERT INTO crossfade.lease VALUES ('zombie', 'gone:1:0', 1, now())");
    (void)snprintf(a.holder, sizeof(a.holder), "gone:1:0");
    a.epoch = 1;
    run(&lane, "SELECT crossfade.claim_lane('zombie', 'forward', 0, 1)");
    run(&lane, "BEGIN");
    run(&lane, "SELECT crossfade.advance('zombie', 'forward', 0, 1, '', '0/10', now())");
    run(&copy, "BEGIN");
    run(&copy, "SELECT crossfade.fence('zombie', 1)");
    assert_int_equal(take(&b, &newcomer, &changed), 0);
    expire(&control, "zombie");

    int64_t before = clock_ms();
    assert_int_equal(take(&b, &newcomer, &changed), 2);
    assert_true(changed);
    assert_true(clock_ms() - before < 1000);
    char position[32];
    assert_true(pg_query_one(&newcomer, "SELECT crossfade.claim_lane('zombie', 'forward', 0, 2)", 0, NULL,
                             position, sizeof(position), NULL, &err));
    assert_string_equal(position, ""); /* what was not committed is gone */
    assert_int_equal(refused(&lane, "COMMIT"), ERROR_RETRY);
    assert_int_equal(refused(&copy, "COMMIT"), ERROR_RETRY);
    run(&control, "SELECT 1");
    run(&other, "SELECT 1"); /* a pipeline whose name only begins like ours */

    /* The zombie wakes up and connects anew. */
    struct pg_conn again = session("zombie", "lane0");
    assert_false(lease_beat(&a, &old, &err));
    assert_int_equal(err.kind, ERROR_FENCED);
    assert_int_equal(a.epoch, 0);
    assert_int_equal(refused(&again, "SELECT crossfade.claim_lane('zombie', 'forward', 0, 1)"), ERROR_FENCED);
    assert_int_equal(refused(&again, "SELECT crossfade.advance('zombie', 'forward', 0, 1, '', '0/10', NULL)"),
                     ERROR_FENCED);
    assert_int_equal(refused(&again, "SELECT crossfade.fence('zombie', 1)"), ERROR_FENCED);
    assert_false(store_put(&again, "zombie", 1, "pipeline", "x", "1", &err));
    assert_int_equal(err.kind, ERROR_FENCED);
    assert_true(store_put(&again, "zombie", 2, "pipeline", "x", "1", &err));
    pg_conn_close(&again);
    pg_conn_close(&lane);
    pg_conn_close(&copy);
    pg_conn_close(&control);
    pg_conn_close(&other);
    pg_conn_close(&old);
    pg_conn_close(&newcomer);
}

static void send_take(struct pg_conn *conn, const char *holder)
{
    char sql[200];
    snprintf(sql, sizeof(sql), "SELECT held_epoch FROM crossfade.lease_take('race', '%s', '1 s')", holder);
    assert_int_equal(PQsendQuery(conn->pg, sql), 1);
}

static int result_number(struct pg_conn *conn)
{
    PGresult *r = PQgetResult(conn->pg);
    if (PQresultStatus(r) != PGRES_TUPLES_OK)
        fail_msg("%s", PQerrorMessage(conn->pg));
    int n = atoi(PQgetvalue(r, 0, 0));
    PQclear(r);
    assert_null(PQgetResult(conn->pg));
    return n;
}

static void of_two_newcomers_one_takes_over_once(void **state)
{
    (void)state;
    struct pg_conn one = session("race", "standby"), two = session("race", "standby");
    run(&one, "INSERT INTO crossfade.lease VALUES ('race', 'old', 7, now() - interval '1 h')");
    for (int round = 0; round < 20; round++) {
        struct pg_conn lane = session("race", "lane0"); /* makes the take-over last a moment */
        run(&lane, "BEGIN");
        send_take(&one, "one");
        send_take(&two, "two");
        int a = result_number(&one), b = result_number(&two);
        assert_int_equal(a > b ? a : b, 8 + round);
        assert_int_equal(a > b ? b : a, 0);
        pg_conn_close(&lane);
        run(&one,
            "UPDATE crossfade.lease SET holder = 'old', heartbeat = '-infinity' WHERE pipeline = 'race'");
    }
    pg_conn_close(&one);
    pg_conn_close(&two);
}

/* Hazard 35. */
static void a_clock_set_back_delays_but_does_not_lock_out(void **state)
{
    (void)state;
    struct pg_conn conn = session("clock", "standby");
    struct lease a;
    bool changed;
    lease_init(&a, "clock", 100);
    run(&conn, "INSERT INTO crossfade.lease VALUES ('clock', 'old', 1, now() + interval '1 day')");
    assert_int_equal(take(&a, &conn, &changed), 0); /* it may be alive: it gets the whole ttl */
    int64_t deadline = clock_ms() + 3000;
    while (take(&a, &conn, &changed) == 0 && clock_ms() < deadline)
        (void)poll(NULL, 0, 20);
    assert_int_equal(a.epoch, 2);
    assert_true(changed);
    pg_conn_close(&conn);
}

static void a_long_fenced_transaction_does_not_stop_the_heartbeat(void **state)
{
    (void)state;
    struct pg_conn conn = session("long", "standby");
    struct lease a;
    struct error err = {0};
    bool changed;
    lease_init(&a, "long", 10000);
    assert_int_equal(take(&a, &conn, &changed), 1);
    struct pg_conn index = session("long", "index");
    run(&index, "BEGIN");
    run(&index, "SELECT crossfade.fence('long', 1)");
    run(&conn, "SET lock_timeout = '500ms'");
    assert_true(lease_beat(&a, &conn, &err));
    run(&index, "COMMIT");
    run(&index, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    assert_int_equal(refused(&index, "SELECT crossfade.fence('long', 1)"), ERROR_FATAL);
    pg_conn_close(&index);
    pg_conn_close(&conn);
}

static void earlier_sessions_end_where_there_is_no_schema_of_ours(void **state)
{
    (void)state;
    struct pg_conn conn = session("ends", "lease"), lane = session("ends", "lane0"),
                   control = session("ends", "control");
    struct error err = {0};
    assert_true(lease_terminate_others(&conn, "ends", &err));
    assert_int_equal(refused(&lane, "SELECT 1"), ERROR_RETRY);
    run(&conn, "SELECT 1");
    run(&control, "SELECT 1");
    pg_conn_close(&conn);
    pg_conn_close(&lane);
    pg_conn_close(&control);
}

static void a_newer_schema_is_refused_and_the_same_is_left_alone(void **state)
{
    (void)state;
    struct pg_conn conn = session("schema", "control");
    struct error err = {0};
    int version;
    assert_true(schema_install(&conn, &err));
    assert_true(schema_version(&conn, &version, &err));
    assert_int_equal(version, SCHEMA_VERSION);
    run(&conn, schema_sql()); /* idempotent */
    run(&conn, "INSERT INTO crossfade.version VALUES (99)");
    assert_false(schema_install(&conn, &err));
    assert_int_equal(err.kind, ERROR_FATAL);
    run(&conn, "DELETE FROM crossfade.version WHERE version = 99");
    pg_conn_close(&conn);
}

static void a_wish_that_has_grown_is_not_done(void **state)
{
    (void)state;
    struct pg_conn conn = session("wish", "control");
    struct wish_list list = {0};
    struct error err = {0};
    int64_t *ids;
    run(&conn, "INSERT INTO crossfade.lease VALUES ('wish', 'x', 3, now())");
    assert_true(wish_put(&conn, "wish", "quarantine", "retry", "[\"1\"]", &err));
    assert_true(wish_read(&conn, "wish", &list, &err));
    assert_true(wish_put(&conn, "wish", "quarantine", "retry", "[\"2\"]", &err));
    assert_true(wish_done(&conn, "wish", 3, wish_find(&list, "quarantine", "retry"), &err));
    wish_list_free(&list);
    assert_true(wish_read(&conn, "wish", &list, &err));
    assert_int_equal(list.count, 1);
    assert_int_equal(wish_ids(&list.wishes[0], &ids), 2);
    assert_int_equal(ids[1], 2);
    free(ids);
    /* A process that wakes up under an old epoch takes no wish from its successor. */
    assert_false(wish_done(&conn, "wish", 2, &list.wishes[0], &err));
    assert_int_equal(err.kind, ERROR_FENCED);
    wish_list_free(&list);
    assert_true(wish_read(&conn, "wish", &list, &err));
    assert_int_equal(list.count, 1);
    assert_true(wish_done(&conn, "wish", 3, &list.wishes[0], &err));
    wish_list_free(&list);
    assert_true(wish_read(&conn, "wish", &list, &err));
    assert_int_equal(list.count, 0);
    wish_list_free(&list);
    pg_conn_close(&conn);
}

static void what_is_stored_comes_back(void **state)
{
    (void)state;
    struct pg_conn conn = session("store", "control");
    struct error err = {0};
    struct pgsql_fingerprint now, back;
    bool found;
    char *json;
    struct store_progress *rows;
    int count;
    run(&conn, "INSERT INTO crossfade.lease VALUES ('store', 'x', 3, now())");
    assert_true(pgsql_fingerprint_get(&conn, "store", "forward", &back, &found, &err));
    assert_false(found);
    if (!pgsql_fingerprint_read(&conn, &now, &err))
        fail_msg("%s", err.text);
    assert_int_equal(now.timeline, 1);
    assert_true(strlen(now.system_id) > 10);
    snprintf(now.slot, sizeof(now.slot), "crossfade_store");
    now.slot_start = position_lsn(0x16B3748);
    assert_true(pgsql_fingerprint_put(&conn, "store", 3, "forward", &now, &err));
    assert_true(pgsql_fingerprint_get(&conn, "store", "forward", &back, &found, &err));
    assert_true(found);
    assert_true(pgsql_fingerprint_compare(&back, &now, &err));
    assert_string_equal(back.slot, "crossfade_store");
    assert_int_equal(position_compare(back.slot_start, now.slot_start), 0);
    assert_true(store_get(&conn, "store", "pipeline", "nothing", &json, &err));
    assert_null(json);
    run(&conn, "SELECT crossfade.claim_lane('store', 'forward', 1, 3)");
    run(&conn, "SELECT crossfade.advance('store', 'forward', 1, 3, '', '0/16B3748', '2026-01-02 "
               "03:04:05.678901+00')");
    assert_true(store_progress_get(&conn, "store", "forward", &rows, &count, &err));
    assert_int_equal(count, 1);
    assert_int_equal(rows[0].lane, 1);
    assert_int_equal(position_compare(rows[0].position, position_lsn(0x16B3748)), 0);
    assert_true(rows[0].source_commit_time_us == INT64_C(1767323045678901));
    free(rows);
    pg_conn_close(&conn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fresh_lease_is_not_taken),
        cmocka_unit_test(looking_changes_nothing),
        cmocka_unit_test(a_released_lease_is_taken_at_once),
        cmocka_unit_test(take_over_ends_the_predecessors_transactions),
        cmocka_unit_test(of_two_newcomers_one_takes_over_once),
        cmocka_unit_test(a_clock_set_back_delays_but_does_not_lock_out),
        cmocka_unit_test(a_long_fenced_transaction_does_not_stop_the_heartbeat),
        cmocka_unit_test(earlier_sessions_end_where_there_is_no_schema_of_ours),
        cmocka_unit_test(a_newer_schema_is_refused_and_the_same_is_left_alone),
        cmocka_unit_test(a_wish_that_has_grown_is_not_done),
        cmocka_unit_test(what_is_stored_comes_back),
    };
    if (!getenv("CROSSFADE_TEST_PG")) {
        puts("CROSSFADE_TEST_PG is not set");
        return 77;
    }
    return cmocka_run_group_tests(tests, setup, teardown);
}
