/* SPDX-License-Identifier: PostgreSQL
 *
 * Change data capture of a real server: schema crossfade and its markers, instances in the catalog, changes
 * as the capture job writes them, and what happens when capture is switched off. In a database of its own.
 */
#include "ms_live.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "mssql/catalog.h"
#include "mssql/cdc_source.h"
#include "mssql/history.h"
#include "mssql/marker.h"

enum { WAIT_MS = 60000 };

static struct config_sqlserver server;
static struct ms_conn conn;
static char database[40];
static struct ms_catalog catalog;
static struct table_set tables;

static struct position mark(void)
{
    char token[MARKER_TOKEN_SIZE];
    struct position p;
    struct error err;
    if (!marker_write(&conn, "p", token, &err) ||
        !marker_wait(&conn, "p", token, clock_ms() + WAIT_MS, NULL, &p, &err))
        fail_msg("%s", err.text);
    assert_int_equal(p.kind, POSITION_CDC);
    return p;
}

static void enable(const char *table, const char *instance)
{
    char sql[300];
    snprintf(sql, sizeof(sql),
             "EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'%s', @role_name = NULL,"
             " @capture_instance = N'%s', @supports_net_changes = 0",
             table, instance);
    ms_live_exec(&conn, sql);
}

static void read_catalog(void)
{
    struct error err;
    ms_catalog_free(&catalog);
    if (!ms_catalog_read(&conn, &catalog, &err))
        fail_msg("%s", err.text);
}

/* All columns, the primary key; each by its default carrier. */
static void carry(const char *name)
{
    read_catalog();
    const struct ms_catalog_table *source = ms_catalog_find(&catalog, "dbo", name);
    assert_non_null(source);
    struct table *t = table_new();
    t->from_schema = mem_strdup("dbo");
    t->from_name = mem_strdup(name);
    t->from = mem_strdup(name);
    t->columns = mem_alloc(source->column_count * sizeof(*t->columns));
    t->column_count = source->column_count;
    for (uint16_t i = 0; i < source->column_count; i++) {
        t->columns[i].source = mem_strdup(source->columns[i].name);
        t->columns[i].source_type.oid = ms_type_carrier(source->columns[i].type.type)->oid;
    }
    t->key = mem_alloc(sizeof(*t->key));
    t->key_count = 1;
    table_set_add(&tables, t);
}

static struct source *open_at(struct position start)
{
    struct cdc_source_options o = {.conn = ms_live_options(&server, "cdc"),
                                   .pipeline = "p",
                                   .start = start,
                                   .tables = &tables,
                                   .poll_interval_ms = 20};
    struct source *s = NULL;
    struct error err;
    o.conn.database = database;
    if (!cdc_source_open(&o, &s, &err))
        fail_msg("%s", err.text);
    return s;
}

static void put_value(struct buffer *out, const struct value *v)
{
    if (v->kind == VALUE_ABSENT)
        buffer_puts(out, "?");
    else if (v->kind == VALUE_NULL)
        buffer_puts(out, "-");
    else
        buffer_put(out, v->data, v->length);
}

static void put_row(struct buffer *out, const struct table *t, const struct value *row)
{
    for (uint16_t i = 0; row && i < t->column_count; i++) {
        if (i == 0 && row[0].kind == VALUE_BINARY)
            buffer_printf(out, "%d", row[0].data[3]);
        else if (i)
            put_value(out, &row[i]);
        buffer_puts(out, i + 1 < t->column_count ? "," : "");
    }
}

/* What comes up to `end`, as text: "[t0I(|1,a,large)]". */
static void check_events(struct source *s, struct position end, const char *expected)
{
    static const char ops[] = "IUDT";
    struct buffer out = {0};
    struct source_event e;
    struct error err;
    int64_t deadline = clock_ms() + WAIT_MS;
    for (;;) {
        if (!s->ops->next(s, clock_ms() + 100, &e, &err))
            fail_msg("%s", err.text);
        assert_true(clock_ms() < deadline);
        if (e.kind == SOURCE_NOTHING && position_compare(e.position, end) >= 0)
            break;
        if (e.kind == SOURCE_BEGIN)
            buffer_puts(&out, e.transaction.own ? "[own" : "[");
        if (e.kind == SOURCE_COMMIT) {
            buffer_puts(&out, "]");
            /* The server's clock is ours. */
            assert_in_range(clock_wall_us() - e.transaction.commit_time_us + 2000000, 0, 200000000);
        }
        if (e.kind == SOURCE_DRIFT)
            buffer_printf(&out, "{%s}", e.table->from);
        if (e.kind != SOURCE_CHANGE)
            continue;
        buffer_printf(&out, "%s%c(", e.change.table->from, ops[e.change.op]);
        put_row(&out, e.change.table, e.change.old);
        buffer_puts(&out, "|");
        put_row(&out, e.change.table, e.change.row);
        buffer_puts(&out, ")");
    }
    assert_string_equal(buffer_text(&out), expected);
    buffer_free(&out);
}

/* --- tests --- */

static void test_install_twice_and_look(void **state)
{
    (void)state;
    struct marker_state m;
    struct error err;
    if (!marker_install(&conn, true, true, &err) || !marker_look(&conn, &m, &err))
        fail_msg("%s", err.text);
    assert_true(m.cdc && m.table && m.captured && m.progress && m.progress_captured);
}

/* Hazard 11: the capture job is asynchronous. */
static void test_marker_is_captured_after_what_came_before(void **state)
{
    (void)state;
    struct position a = mark(), b = mark(), max;
    struct error err;
    assert_true(position_compare(a, b) < 0);
    assert_true(marker_max(&conn, &max, &err));
    assert_true(position_compare(b, max) <= 0);
}

static void test_a_marker_that_never_comes(void **state)
{
    (void)state;
    struct position p;
    struct error err;
    assert_false(
        marker_wait(&conn, "p", "6F9619FF-8B86-D011-B42D-00C04FC964FF", clock_ms() + 200, NULL, &p, &err));
    assert_int_equal(err.kind, ERROR_RETRY);
    assert_non_null(strstr(err.text, "sp_cdc_start_job"));
}

static void test_instances_in_the_catalog(void **state)
{
    (void)state;
    read_catalog();
    assert_true(catalog.database.cdc);
    const struct ms_catalog_table *t = ms_catalog_find(&catalog, "dbo", "t0");
    assert_int_equal(t->capture_count, 1);
    assert_string_equal(t->captures[0].name, "i0");
    assert_int_equal(t->captures[0].column_count, 3);
    assert_int_equal(t->captures[0].columns[2], 2);
    assert_true(t->captures[0].has_command_id);
    assert_null(ms_catalog_find(&catalog, "crossfade", "marker"));
    char *identity = history_instance(t, mark());
    assert_non_null(identity);
    free(identity);
}

static void test_changes_in_order(void **state)
{
    (void)state;
    struct position start = mark();
    ms_live_exec(&conn, "INSERT INTO dbo.t0 (id, v, big) VALUES (1, N'a', N'x')");
    ms_live_exec(&conn, "BEGIN TRANSACTION");
    ms_live_exec(&conn, "INSERT INTO dbo.t1 (id, v, big) VALUES (7, NULL, N'y')");
    ms_live_exec(&conn, "UPDATE dbo.t0 SET v = N'b' WHERE id = 1");
    ms_live_exec(&conn, "INSERT INTO dbo.t0 (id, v, big) VALUES (2, N'c', NULL)");
    ms_live_exec(&conn, "DELETE FROM dbo.t1 WHERE id = 7");
    ms_live_exec(&conn, "COMMIT TRANSACTION");
    ms_live_exec(&conn, "BEGIN TRANSACTION");
    ms_live_exec(&conn, "UPDATE dbo.t0 SET v = N'gone'");
    ms_live_exec(&conn, "ROLLBACK TRANSACTION");
    ms_live_exec(&conn, "UPDATE dbo.t0 SET big = N'z' WHERE id = 1");
    ms_live_exec(&conn, "UPDATE dbo.t0 SET big = NULL WHERE id = 1");
    ms_live_exec(&conn, "DELETE FROM dbo.t0 WHERE id = 2");
    ms_live_exec(&conn, "DELETE FROM dbo.t0 WHERE id = 1");
    struct position end = mark();
    struct source *s = open_at(start);
    check_events(s, end,
                 "[t0I(|1,a,x)][t1I(|7,-,y)t0U(|1,b,?)t0I(|2,c,-)t1D(7,?,?|)][t0U(|1,b,z)][t0U(|1,b,-)]"
                 "[t0D(2,?,?|)][t0D(1,?,?|)]");
    ms_live_exec(&conn, "INSERT INTO dbo.t1 (id, v, big) VALUES (8, N'later', N'')");
    check_events(s, mark(), "[t1I(|8,later,)]");
    s->ops->free(s);
}

/* Hazard 27. */
static void test_own_transactions_are_marked(void **state)
{
    (void)state;
    struct position start = mark();
    ms_live_exec(&conn, "BEGIN TRANSACTION");
    ms_live_exec(&conn, "INSERT INTO dbo.t1 (id, v, big) VALUES (20, N'ours', NULL)");
    ms_live_exec(
        &conn,
        "INSERT INTO crossfade.progress (pipeline, stream, lane, position, epoch, written_at) VALUES (N'p',"
        " N'reverse', 0, N'0/1', 1, SYSUTCDATETIME())");
    ms_live_exec(&conn, "COMMIT TRANSACTION");
    ms_live_exec(&conn, "BEGIN TRANSACTION");
    ms_live_exec(&conn, "INSERT INTO dbo.t1 (id, v, big) VALUES (21, N'another pipeline', NULL)");
    ms_live_exec(
        &conn,
        "INSERT INTO crossfade.progress (pipeline, stream, lane, position, epoch, written_at) VALUES (N'q',"
        " N'reverse', 0, N'0/1', 1, SYSUTCDATETIME())");
    ms_live_exec(&conn, "COMMIT TRANSACTION");
    struct source *s = open_at(start);
    check_events(s, mark(), "[own][t1I(|21,another pipeline,-)]");
    s->ops->free(s);
}

static void test_second_instance_takes_over(void **state)
{
    (void)state;
    struct source *s = open_at(mark());
    enable("t1", "i1_b");
    ms_live_exec(&conn, "INSERT INTO dbo.t1 (id, v, big) VALUES (30, N'both', NULL)");
    check_events(s, mark(), "[t1I(|30,both,-)]");
    ms_live_exec(&conn, "EXEC sys.sp_cdc_disable_table @source_schema = N'dbo', @source_name = N't1',"
                        " @capture_instance = N'i1'");
    ms_live_exec(&conn, "INSERT INTO dbo.t1 (id, v, big) VALUES (31, N'new', NULL)");
    check_events(s, mark(), "[t1I(|31,new,-)]");
    s->ops->free(s);
}

/* Hazard 13: a deploy tool switched CDC off and on. */
static void test_capture_switched_off_and_on(void **state)
{
    (void)state;
    struct source *s = open_at(mark());
    ms_live_exec(&conn, "EXEC sys.sp_cdc_disable_table @source_schema = N'dbo', @source_name = N't0',"
                        " @capture_instance = N'i0'");
    ms_live_exec(&conn, "INSERT INTO dbo.t0 (id, v, big) VALUES (40, N'unseen', NULL)");
    enable("t0", "i0");
    ms_live_exec(&conn, "INSERT INTO dbo.t0 (id, v, big) VALUES (41, N'seen', NULL)");
    ms_live_exec(&conn, "INSERT INTO dbo.t1 (id, v, big) VALUES (42, N'goes on', NULL)");
    check_events(s, mark(), "{t0}[t1I(|42,goes on,-)]");
    s->ops->free(s);
}

/* Hazard 34, and rule 8: a column that appears in the source is not silently left out. */
static void test_added_column(void **state)
{
    (void)state;
    struct source *s = open_at(mark());
    ms_live_exec(&conn, "ALTER TABLE dbo.t1 ADD added int NULL");
    ms_live_exec(&conn, "INSERT INTO dbo.t1 (id, v, big, added) VALUES (50, N'x', NULL, 1)");
    check_events(s, mark(), "{t1}");
    s->ops->free(s);
}

/* Hazard 16. Two rows an update: pages end in between. */
static void test_large_transaction(void **state)
{
    (void)state;
    struct position start = mark();
    struct source_event e;
    struct error err;
    int inserts = 0, updates = 0, commits = 0;
    ms_live_exec(&conn, "CREATE TABLE dbo.digits (n int NOT NULL)");
    ms_live_exec(&conn, "INSERT INTO dbo.digits (n) VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)");
    ms_live_exec(&conn, "BEGIN TRANSACTION");
    ms_live_exec(&conn,
                 "INSERT INTO dbo.t0 (id, v, big) SELECT 1000 + a.n + 10 * b.n + 100 * c.n, N'a', N'b' FROM"
                 " dbo.digits AS a CROSS JOIN dbo.digits AS b CROSS JOIN dbo.digits AS c");
    ms_live_exec(&conn, "UPDATE dbo.t0 SET v = N'c' WHERE id >= 1000");
    ms_live_exec(&conn, "COMMIT TRANSACTION");
    struct position end = mark();
    struct source *s = open_at(start);
    do {
        if (!s->ops->next(s, clock_ms() + 100, &e, &err))
            fail_msg("%s", err.text);
        commits += e.kind == SOURCE_COMMIT;
        if (e.kind != SOURCE_CHANGE)
            continue;
        assert_int_equal(e.change.op, inserts < 1000 ? CHANGE_INSERT : CHANGE_UPDATE);
        inserts += e.change.op == CHANGE_INSERT;
        updates += e.change.op == CHANGE_UPDATE;
        assert_int_equal(e.change.row[2].kind, e.change.op == CHANGE_UPDATE ? VALUE_ABSENT : VALUE_BINARY);
    } while (e.kind != SOURCE_NOTHING || position_compare(e.position, end) < 0);
    assert_int_equal(inserts, 1000);
    assert_int_equal(updates, 1000);
    assert_int_equal(commits, 1);
    s->ops->free(s);
    ms_live_exec(&conn, "DELETE FROM dbo.t0 WHERE id >= 1000");
}

/* Hazards 14 and 15: which of 40 columns were changed, large ones at both ends of each byte. */
static void test_masks_of_40_columns(void **state)
{
    (void)state;
    struct position start = mark();
    ms_live_exec(&conn,
                 "INSERT INTO dbo.t2 (id, c8, c9, c16, c17, c40) VALUES (1, N'a', N'b', N'c', N'd', N'e')");
    ms_live_exec(&conn, "UPDATE dbo.t2 SET c9 = N'B' WHERE id = 1");
    ms_live_exec(&conn, "UPDATE dbo.t2 SET c8 = N'A', c40 = NULL WHERE id = 1");
    ms_live_exec(&conn, "UPDATE dbo.t2 SET c2 = N'x', c16 = N'C', c17 = N'D' WHERE id = 1");
    struct position end = mark();
    struct source *s = open_at(start);
    check_events(s, end,
                 "[t2I(|1,-,-,-,-,-,-,a,b,-,-,-,-,-,-,c,d,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,e)]"
                 "[t2U(|1,-,-,-,-,-,-,?,B,-,-,-,-,-,-,?,?,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,?)]"
                 "[t2U(|1,-,-,-,-,-,-,A,?,-,-,-,-,-,-,?,?,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-)]"
                 "[t2U(|1,x,-,-,-,-,-,?,?,-,-,-,-,-,-,C,D,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,?)]");
    s->ops->free(s);
}

static void clean_up(const char *instance, struct position low)
{
    char sql[300], at[POSITION_TEXT_SIZE];
    snprintf(sql, sizeof(sql),
             "EXEC sys.sp_cdc_cleanup_change_table @capture_instance = N'%s', @low_water_mark = %s, "
             "@threshold = 5000",
             instance, position_format(low, at));
    ms_live_exec(&conn, sql);
}

/* Retention passed: one table's history gone is that table's end, that of all is fatal. */
static void test_clean_up_passes_where_we_stand(void **state)
{
    (void)state;
    struct error err;
    struct source *s = NULL;
    struct cdc_source_options o = {
        .conn = ms_live_options(&server, "cdc"), .pipeline = "p", .tables = &tables};
    o.conn.database = database;
    o.start = mark();
    ms_live_exec(&conn, "INSERT INTO dbo.t0 (id, v, big) VALUES (60, N'a', NULL)");
    ms_live_exec(&conn, "INSERT INTO dbo.t2 (id, c2) VALUES (60, N'a')");
    struct position end = mark();
    clean_up("i0", end);
    s = open_at(o.start);
    check_events(
        s, end,
        "{t0}[t2I(|60,a,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-,-)]");
    s->ops->free(s);
    clean_up("i1", end);
    clean_up("i2", end);
    assert_false(cdc_source_open(&o, &s, &err));
    assert_int_equal(err.kind, ERROR_FATAL);
    assert_non_null(strstr(err.text, "crossfade recopy --table"));
    s = open_at(end);
    s->ops->free(s);
}

static void test_fingerprint(void **state)
{
    (void)state;
    struct history a, b;
    struct error err;
    if (!history_read(&conn, &a, &err))
        fail_msg("%s", err.text);
    assert_string_equal(a.database, database);
    b = a;
    assert_true(history_compare(&a, &b, &err));
    snprintf(b.recovery_fork, sizeof(b.recovery_fork), "another");
    if (*a.recovery_fork) {
        assert_false(history_compare(&a, &b, &err));
        assert_int_equal(err.kind, ERROR_FATAL);
    }
    b = a;
    snprintf(b.created, sizeof(b.created), "another");
    assert_false(history_compare(&a, &b, &err));
    /* After a fail-over to another replica. */
    snprintf(b.server, sizeof(b.server), "another");
    assert_true(history_compare(&a, &b, &err));
}

/* t2: id and c2 to c40, large ones among them. */
static void make_wide(void)
{
    struct buffer sql = {0};
    buffer_puts(&sql, "CREATE TABLE dbo.t2 (id int NOT NULL PRIMARY KEY");
    for (int i = 2; i <= 40; i++) {
        bool large = i == 8 || i == 9 || i == 16 || i == 17 || i == 40;
        buffer_printf(&sql, ", c%d nvarchar(%s) NULL", i, large ? "max" : "10");
    }
    buffer_puts(&sql, ")");
    ms_live_exec(&conn, buffer_text(&sql));
    buffer_free(&sql);
    enable("t2", "i2");
    carry("t2");
}

static int setup(void **state)
{
    (void)state;
    char sql[120];
    struct error err;
    struct ms_conn_options options = ms_live_options(&server, "cdc_test");
    ms_live_open(&conn, &server, "cdc_test");
    snprintf(database, sizeof(database), "cf_cdc_%d", (int)getpid());
    snprintf(sql, sizeof(sql), "CREATE DATABASE %s", database);
    ms_live_exec(&conn, sql);
    ms_conn_close(&conn);
    options.database = database;
    if (!ms_conn_open(&conn, &options, &err))
        fail_msg("%s", err.text);
    if (!marker_install(&conn, true, true, &err))
        fail_msg("%s", err.text);
    ms_live_exec(&conn, "EXEC sys.sp_cdc_change_job @job_type = N'capture', @pollinginterval = 1");
    ms_live_exec(&conn, "EXEC sys.sp_cdc_stop_job @job_type = N'capture'");
    ms_live_exec(&conn, "EXEC sys.sp_cdc_start_job @job_type = N'capture'");
    for (int i = 0; i < 2; i++) {
        char name[12], instance[12];
        snprintf(name, sizeof(name), "t%d", i);
        snprintf(instance, sizeof(instance), "i%d", i);
        snprintf(sql, sizeof(sql),
                 "CREATE TABLE dbo.%s (id int NOT NULL PRIMARY KEY, v nvarchar(20) NULL, big"
                 " nvarchar(max) NULL)",
                 name);
        ms_live_exec(&conn, sql);
        enable(name, instance);
        carry(name);
    }
    make_wide();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char sql[120];
    ms_catalog_free(&catalog);
    table_set_free(&tables);
    ms_live_exec(&conn, "EXEC sys.sp_cdc_disable_db");
    ms_conn_close(&conn);
    ms_live_open(&conn, &server, "cdc_test");
    snprintf(sql, sizeof(sql), "DROP DATABASE %s", database);
    ms_live_exec(&conn, sql);
    ms_conn_close(&conn);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_install_twice_and_look),
        cmocka_unit_test(test_marker_is_captured_after_what_came_before),
        cmocka_unit_test(test_a_marker_that_never_comes),
        cmocka_unit_test(test_instances_in_the_catalog),
        cmocka_unit_test(test_changes_in_order),
        cmocka_unit_test(test_own_transactions_are_marked),
        cmocka_unit_test(test_large_transaction),
        cmocka_unit_test(test_masks_of_40_columns),
        cmocka_unit_test(test_clean_up_passes_where_we_stand),
        cmocka_unit_test(test_second_instance_takes_over),
        cmocka_unit_test(test_capture_switched_off_and_on),
        cmocka_unit_test(test_added_column),
        cmocka_unit_test(test_fingerprint),
    };
    server = ms_live_need();
    return cmocka_run_group_tests(tests, setup, teardown);
}
