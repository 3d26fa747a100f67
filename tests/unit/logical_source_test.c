/* SPDX-License-Identifier: PostgreSQL
 *
 * The logical source against a real server: CROSSFADE_TEST_PG is the conninfo of a superuser on a private
 * server with wal_level=logical, as keywords. Without it the test is skipped. It makes a database of its own;
 * each test has a schema, a publication and a slot; events are compared as text, see event_text().
 */
#include "pgsql/logical_source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/mem.h"
#include "pgsql/sql.h"
#include "pgsql/type_name.h"

enum { PATIENCE_MS = 20000 };

struct fixture {
    struct pg_conn sql;
    struct table_set tables;
    struct source *source;
    struct source_event event;
    struct position start;
    struct buffer text;
    bool binary;
    const char *origin_prefix;
    const char *insert_publication;
    const char *more; /* conninfo to append */
};

#define SLOT        "logical_source_test"
#define PUBLICATION "logical \"source\" 'test' \\"

static void must(bool ok, const struct error *err)
{
    if (!ok)
        fail_msg("%s", err->text);
}

static void run(struct fixture *f, const char *sql)
{
    struct error err = {0};
    must(pg_exec(&f->sql, sql, &err), &err);
}

static void one(struct fixture *f, const char *sql, char *out, size_t size)
{
    struct error err = {0};
    must(pg_query_one(&f->sql, sql, 0, NULL, out, size, NULL, &err), &err);
}

static void drop_all(struct fixture *f)
{
    run(f, "ALTER ROLE CURRENT_USER RESET extra_float_digits; ALTER ROLE CURRENT_USER RESET DateStyle");
    run(f, "DROP SCHEMA IF EXISTS ls CASCADE");
    run(f, "DROP PUBLICATION IF EXISTS \"logical \"\"source\"\" 'test' \\\"");
    run(f, "SELECT pg_catalog.pg_terminate_backend(active_pid) FROM pg_catalog.pg_replication_slots "
           "WHERE slot_name = '" SLOT "' AND active_pid IS NOT NULL");
    for (int i = 0; i < 500; i++) {
        char n[8];
        one(f,
            "SELECT count(*) FROM pg_catalog.pg_replication_slots WHERE active_pid IS NOT NULL AND slot_name "
            "= '" SLOT "'",
            n, sizeof(n));
        if (n[0] == '0')
            break;
        usleep(10000);
    }
    run(f, "SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM pg_catalog.pg_replication_slots "
           "WHERE slot_name = '" SLOT "'");
}

static const char *conninfo(const char *more)
{
    static char text[1000];
    snprintf(text, sizeof(text), "%s dbname=logical_source_test %s", getenv("CROSSFADE_TEST_PG"), more);
    return text;
}

static struct pg_conn_options conn_options(const char *info)
{
    return (struct pg_conn_options){.conninfo = info,
                                    .pipeline = "test",
                                    .job = "capture",
                                    .endpoint = "legacy",
                                    .connect_timeout_ms = 5000};
}

static int setup(void **state)
{
    struct fixture *f = mem_alloc(sizeof(*f));
    struct error err = {0};
    struct pg_conn_options o = conn_options(conninfo(""));
    must(pg_conn_open(&f->sql, &o, &err), &err);
    *state = f;
    drop_all(f);
    run(f, "CREATE SCHEMA ls");
    run(f, "SET search_path = ls");
    return 0;
}

static void stop(struct fixture *f)
{
    if (f->source)
        f->source->ops->free(f->source);
    f->source = NULL;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    stop(f);
    drop_all(f);
    table_set_free(&f->tables);
    pg_conn_close(&f->sql);
    buffer_free(&f->text);
    free(f);
    return 0;
}

/* The table as the server has it now, all columns carried, the primary key its key. */
static struct table *map_table(struct fixture *f, const char *name)
{
    struct error err = {0};
    const char *params[] = {name};
    char sql[800];
    snprintf(sql, sizeof(sql),
             "SELECT a.attname, a.atttypid, a.atttypmod, pg_catalog.format_type(a.atttypid, a.atttypmod),"
             " EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary"
             " AND a.attnum = ANY (i.indkey)), c.relreplident FROM pg_catalog.pg_class c"
             " JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid WHERE c.relname = $1"
             " AND c.relnamespace = 'ls'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped %s ORDER BY "
             "a.attnum",
             f->sql.version >= 120000 ? "AND a.attgenerated = ''" : "");
    PGresult *r = pg_query(&f->sql, sql, 1, params, &err);
    must(r != NULL, &err);
    struct table *t = table_new();
    t->from_schema = mem_strdup("ls");
    t->from_name = mem_strdup(name);
    t->to_schema = mem_strdup("public");
    t->to_name = mem_strdup(name);
    t->from = mem_strdup(name);
    t->to = mem_strdup(name);
    t->column_count = (uint16_t)PQntuples(r);
    t->columns = mem_alloc(t->column_count * sizeof(*t->columns));
    t->key = mem_alloc(t->column_count * sizeof(*t->key));
    assert_true(t->column_count > 0);
    for (uint16_t i = 0; i < t->column_count; i++) {
        struct column *c = &t->columns[i];
        c->source = mem_strdup(PQgetvalue(r, i, 0));
        c->sink = mem_strdup(PQgetvalue(r, i, 0));
        c->source_type.oid = (uint32_t)strtoul(PQgetvalue(r, i, 1), NULL, 10);
        c->source_type.modifier = atoi(PQgetvalue(r, i, 2));
        c->source_type.display = mem_strdup(PQgetvalue(r, i, 3));
        c->key = *PQgetvalue(r, i, 4) == 't';
        if (c->key)
            t->key[t->key_count++] = i;
    }
    char identity = *PQgetvalue(r, 0, 5);
    t->identity = identity == 'f'   ? IDENTITY_FULL
                  : identity == 'n' ? IDENTITY_NOTHING
                  : identity == 'i' ? IDENTITY_INDEX
                                    : IDENTITY_DEFAULT;
    PQclear(r);
    table_set_add(&f->tables, t);
    return t;
}

static struct logical_source_options options(struct fixture *f)
{
    return (struct logical_source_options){
        .conn = conn_options(conninfo(f->more ? f->more : "")),
        .slot = SLOT,
        .publication = PUBLICATION,
        .insert_publication = f->insert_publication,
        .start = f->start,
        .binary = f->binary,
        .origin_prefix = f->origin_prefix ? f->origin_prefix : "crossfade_test_",
        .tables = &f->tables,
        .status_interval_ms = 200,
    };
}

static void publish(struct fixture *f, const char *what)
{
    char sql[400];
    char lsn[32];
    snprintf(sql, sizeof(sql), "CREATE PUBLICATION \"logical \"\"source\"\" 'test' \\\" FOR %s", what);
    run(f, sql);
    one(f, "SELECT lsn FROM pg_catalog.pg_create_logical_replication_slot('" SLOT "', 'pgoutput')", lsn,
        sizeof(lsn));
    assert_true(position_parse(lsn, &f->start));
}

/* The server may take a moment to notice that the session before has gone: as the replicator would, try
 * again. */
static bool open_source(struct fixture *f, struct error *err)
{
    struct logical_source_options o = options(f);
    for (int i = 0; i < 500; i++) {
        struct timespec pause = {.tv_nsec = 20000000};
        *err = (struct error){0};
        if (logical_source_open(&o, &f->source, err))
            return true;
        if (err->kind != ERROR_RETRY || !strstr(err->text, "is in use by"))
            return false;
        nanosleep(&pause, NULL);
    }
    return false;
}

static void start(struct fixture *f)
{
    struct error err;
    bool ok = open_source(f, &err);
    must(ok, &err);
}

static void refused(struct fixture *f, enum error_kind kind, const char *why)
{
    struct error err = {0};
    struct logical_source_options o = options(f);
    bool in_use = strstr(why, "in use") != NULL;
    bool ok = in_use ? logical_source_open(&o, &f->source, &err) : open_source(f, &err);
    assert_false(ok);
    assert_null(f->source);
    if (err.kind != kind || !strstr(err.text, why))
        fail_msg("%s \"%s\" is not %s \"%s\"", error_kind_name(err.kind), err.text, error_kind_name(kind),
                 why);
}

/* --- events as text --- */

static void put_one(struct buffer *b, const struct value *v)
{
    switch (v->kind) {
    case VALUE_ABSENT:
        buffer_putc(b, '-');
        break;
    case VALUE_NULL:
        buffer_puts(b, "NULL");
        break;
    case VALUE_TEXT:
        if (v->length > 40)
            buffer_printf(b, "[%u]", v->length);
        else
            buffer_put(b, v->data, v->length);
        break;
    case VALUE_BINARY:
        buffer_putc(b, '#');
        for (uint32_t i = 0; i < v->length && i < 20; i++)
            buffer_printf(b, "%02x", (unsigned char)v->data[i]);
        break;
    }
}

static void put_row(struct buffer *b, const struct table *t, const struct value *row)
{
    buffer_putc(b, '(');
    for (uint16_t i = 0; i < t->column_count; i++) {
        if (i)
            buffer_putc(b, ' ');
        put_one(b, &row[i]);
    }
    buffer_putc(b, ')');
}

static void put_change(struct buffer *b, const struct change *c)
{
    static const char *const ops[] = {"insert", "update", "delete", "truncate"};
    static const char *const olds[] = {"", " key", " full"};
    buffer_printf(b, "%s %s", ops[c->op], c->table->from_name);
    if (c->op == CHANGE_TRUNCATE) {
        buffer_printf(b, " %u%s%s", c->truncate_group, c->truncate_restart ? " restart" : "",
                      c->truncate_cascade ? " cascade" : "");
        assert_true(!c->row && !c->old && !c->extra_count);
    }
    if (c->row) {
        buffer_putc(b, ' ');
        put_row(b, c->table, c->row);
    }
    for (uint16_t i = 0; i < c->extra_count; i++) {
        buffer_printf(b, " +%s:%u=", c->extra[i].name, c->extra[i].type_oid);
        put_one(b, &c->extra[i].value);
    }
    buffer_puts(b, olds[c->old_kind]);
    assert_int_equal(c->old != NULL, c->old_kind != OLD_NONE);
    if (c->old) {
        buffer_putc(b, ' ');
        put_row(b, c->table, c->old);
    }
}

static const char *event_text(struct fixture *f)
{
    const struct source_event *e = &f->event;
    buffer_clear(&f->text);
    switch (e->kind) {
    case SOURCE_NOTHING:
        buffer_puts(&f->text, "nothing");
        break;
    case SOURCE_BEGIN:
        buffer_puts(&f->text, e->transaction.own ? "begin own" : "begin");
        break;
    case SOURCE_COMMIT:
        buffer_puts(&f->text, e->transaction.own ? "commit own" : "commit");
        break;
    case SOURCE_DRIFT:
        buffer_printf(&f->text, "drift %s: %s", e->table ? e->table->from_name : "?", e->text);
        break;
    case SOURCE_CHANGE:
        put_change(&f->text, &e->change);
        break;
    }
    return buffer_text(&f->text);
}

/* The next event but NOTHING. */
static const char *next_event(struct fixture *f)
{
    struct error err = {0};
    int64_t deadline = clock_ms() + PATIENCE_MS;
    do {
        must(f->source->ops->next(f->source, deadline, &f->event, &err), &err);
        if (clock_ms() > deadline)
            fail_msg("no event came");
    } while (f->event.kind == SOURCE_NOTHING);
    return event_text(f);
}

/* What a transaction's changes are, between its BEGIN and COMMIT. */
static void expect(struct fixture *f, ...)
{
    va_list ap;
    va_start(ap, f);
    assert_string_equal(next_event(f), "begin");
    assert_int_equal(f->event.transaction.end.kind, POSITION_NONE);
    struct position commit = f->event.transaction.commit;
    const char *want;
    while ((want = va_arg(ap, const char *)))
        assert_string_equal(next_event(f), want);
    va_end(ap);
    assert_string_equal(next_event(f), "commit");
    assert_int_equal(position_compare(commit, f->event.transaction.commit), 0);
    assert_true(position_compare(f->event.transaction.end, commit) > 0);
    f->start = f->event.transaction.end;
}

/* A drift of that table (or NULL) whose text holds each of the words. */
static void expect_drift(struct fixture *f, const char *table, ...)
{
    va_list ap;
    const char *text = next_event(f);
    if (f->event.kind == SOURCE_BEGIN)
        text = next_event(f);
    assert_int_equal(f->event.kind, SOURCE_DRIFT);
    assert_int_equal(table != NULL, f->event.table != NULL);
    if (table)
        assert_string_equal(f->event.table->from_name, table);
    va_start(ap, table);
    const char *word;
    while ((word = va_arg(ap, const char *))) {
        if (!strstr(text, word))
            fail_msg("\"%s\" lacks \"%s\"", text, word);
    }
    va_end(ap);
}

static void expect_failure(struct fixture *f, enum error_kind kind, const char *why)
{
    struct error err = {0};
    int64_t deadline = clock_ms() + PATIENCE_MS;
    while (f->source->ops->next(f->source, deadline, &f->event, &err)) {
        if (clock_ms() > deadline)
            fail_msg("it did not fail");
    }
    if (err.kind != kind || !strstr(err.text, why))
        fail_msg("%s \"%s\" is not %s \"%s\"", error_kind_name(err.kind), err.text, error_kind_name(kind),
                 why);
    stop(f);
}

/* --- rows --- */

static void changes_as_text(void **state)
{
    struct fixture *f = *state;
    run(f, "CREATE TABLE \"T.\"\"1\" (id int PRIMARY KEY, \"na.me\" varchar(20), at timestamptz, f float8, "
           "iv interval)");
    publish(f, "ALL TABLES");
    map_table(f, "T.\"1");
    run(f, "ALTER ROLE CURRENT_USER SET DateStyle = 'German'");
    run(f, "INSERT INTO \"T.\"\"1\" VALUES (1, 'Zoë', '2020-02-29 12:00:00.5+00', 0.5::float8, '1 mon "
           "2 days'), (2, NULL, NULL, NULL, NULL)");
    run(f, "UPDATE \"T.\"\"1\" SET \"na.me\" = '' WHERE id = 1");
    run(f, "UPDATE \"T.\"\"1\" SET id = 3 WHERE id = 2");
    run(f, "DELETE FROM \"T.\"\"1\" WHERE id = 3");
    start(f);
    expect(f, "insert T.\"1 (1 Zoë 2020-02-29 12:00:00.5+00 0.5 1 mon 2 days)",
           "insert T.\"1 (2 NULL NULL NULL NULL)", NULL);
    expect(f, "update T.\"1 (1  2020-02-29 12:00:00.5+00 0.5 1 mon 2 days)", NULL);
    expect(f, "update T.\"1 (3 NULL NULL NULL NULL) key (2 - - - -)", NULL);
    expect(f, "delete T.\"1 key (3 - - - -)", NULL);
}

/* Hazard 43. */
static void floats_have_all_their_digits(void **state)
{
    struct fixture *f = *state;
    run(f, "CREATE TABLE t (id int PRIMARY KEY, f float8)");
    publish(f, "ALL TABLES");
    map_table(f, "t");
    run(f, "ALTER ROLE CURRENT_USER SET extra_float_digits = 0");
    run(f, "INSERT INTO t VALUES (1, 0.1::float8 + 0.2::float8)");
    start(f);
    expect(f,
           f->sql.version < 120000 ? "insert t (1 0.300000000000000044)" : "insert t (1 0.30000000000000004)",
           NULL);
}

static void changes_in_binary(void **state)
{
    struct fixture *f = *state;
    run(f, "CREATE TYPE mood AS ENUM ('ok')");
    run(f, "CREATE TABLE t (id int PRIMARY KEY, name text, raw bytea, m mood)");
    publish(f, "ALL TABLES");
    map_table(f, "t");
    run(f, "INSERT INTO t VALUES (258, 'ab', '\\x00ff', 'ok')");
    f->binary = true;
    start(f);
    if (f->sql.version >= 140000)
        expect(f, "insert t (#00000102 #6162 #00ff #6f6b)", NULL);
    else
        expect(f, "insert t (258 ab \\x00ff ok)", NULL);
}

static void columns_in_another_order_and_left_out(void **state)
{
    struct fixture *f = *state;
    run(f, "CREATE TABLE t (gone int, id int PRIMARY KEY, secret text, name text)");
    if (f->sql.version >= 120000)
        run(f, "ALTER TABLE t ADD twice int GENERATED ALWAYS AS (id * 2) STORED");
    run(f, "ALTER TABLE t DROP COLUMN gone");
    publish(f, "ALL TABLES");
    struct table *t = map_table(f, "t");
    struct column id = t->columns[0]; /* carried as (name, id); secret is left out */
    t->ignored = mem_alloc(sizeof(char *));
    t->ignored[t->ignored_count++] = t->columns[1].source;
    free(t->columns[1].sink);
    free(t->columns[1].source_type.display);
    t->columns[0] = t->columns[2];
    t->columns[1] = id;
    t->column_count = 2;
    t->key[0] = 1;
    run(f, "INSERT INTO t (id, secret, name) VALUES (1, 's', 'n')");
    run(f, "UPDATE t SET id = 2");
    start(f);
    expect(f, "insert t (n 1)", NULL);
    expect(f, "update t (n 2) key (- 1)", NULL);
}

static void unchanged_large_values_are_absent(void **state)
{
    struct fixture *f = *state;
    run(f, "CREATE TABLE t (id int PRIMARY KEY, n int, big text)");
    run(f, "ALTER TABLE t ALTER big SET STORAGE EXTERNAL");
    publish(f, "ALL TABLES");
    map_table(f, "t");
    run(f, "INSERT INTO t VALUES (1, 1, repeat('x', 9000))");
    run(f, "UPDATE t SET n = 2");
    run(f, "UPDATE t SET id = 2");
    run(f, "UPDATE t SET big = NULL");
    start(f);
    expect(f, "insert t (1 1 [9000])", NULL);
    expect(f, "update t (1 2 -)", NULL);
    expect(f, "update t (2 2 -) key (1 - -)", NULL);
    expect(f, "update t (2 2 NULL)", NULL);
}

static void identity_full_brings_all_and_fills_unchanged_values(void **state)
{
    struct fixture *f = *state;
    run(f, "CREATE TABLE t (id int PRIMARY KEY, n int, big text)");
    run(f, "CREATE TABLE keyless (n int, big text)");
    run(f, "ALTER TABLE t REPLICA IDENTITY FULL, ALTER big SET STORAGE EXTERNAL");
    run(f, "ALTER TABLE keyless REPLICA IDENTITY FULL, ALTER big SET STORAGE EXTERNAL");
    publish(f, "ALL TABLES");
    map_table(f, "t");
    map_table(f, "keyless");
    run(f, "INSERT INTO t VALUES (1, NULL, repeat('x', 9000)); INSERT INTO keyless VALUES (1, repeat('x', "
           "9000))");
    run(f, "UPDATE t SET n = 2; UPDATE keyless SET n = 2; DELETE FROM t; DELETE FROM keyless");
    start(f);
    expect(f, "insert t (1 NULL [9000])", "insert keyless (1 [9000])", NULL);
    expect(f, "update t (1 2 [9000]) full (1 NULL [9000])", "update keyless (2 [9000]) full (1 [9000])",
           "delete t full (1 2 [9000])", "delete keyless full (2 [9000])", NULL);
}

static void identity_nothing_and_keyless_stream_inserts(void **state)
{
    struct fixture *f = *state;
    run(f, "CREATE TABLE t (id int PRIMARY KEY)");
    run(f, "ALTER TABLE t REPLICA IDENTITY NOTHING");
    run(f, "CREATE TABLE keyless (n int)");
    publish(f, "ALL TABLES");
    map_table(f, "t");
    map_table(f, "keyless");
    run(f, "INSERT INTO t VALUES (1)");
    run(f, "INSERT INTO keyless VALUES (1)");
    start(f);
    expect(f, "insert t (1)", NULL);
    expect(f, "insert keyless (1)", NULL);
}

/* Hazard 36. */
static void a_second_publication_for_inserts_of_keyless_tables(void **state)
{
    struct fixture *f = *state;
    run(f, "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE keyless (n int)");
    run(f, "DROP PUBLICATION IF EXISTS ls_insert; CREATE PUBLICATION ls_insert FOR TABLE keyless WITH "
           "(publish = 'insert')");
    f->insert_publication = "ls_insert";
    publish(f, "TABLE t");
    map_table(f, "t");
    map_table(f, "keyless");
    run(f, "INSERT INTO t VALUES (1); INSERT INTO keyless VALUES (1); UPDATE keyless SET n = 2");
    start(f);
    expect(f, "insert t (1)", "insert keyless (1)", NULL);
    stop(f);
    run(f, "DROP PUBLICATION ls_insert");
    refused(f, ERROR_FATAL, "or \"ls_insert\" does not exist");
}

static void a_row_of_100_mb(void **state)
{
    struct fixture *f = *state;
    run(f, "CREATE TABLE t (id int PRIMARY KEY, big text)");
    publish(f, "ALL TABLES");
    map_table(f, "t");
    run(f, "INSERT INTO t VALUES (1, repeat('0123456789', 10 * 1024 * 1024))");
    start(f);
    expect(f, "insert t (1 [104857600])", NULL);
}

static void a_table_of_1600_columns(void **state)
{
    struct fixture *f = *state;
    struct buffer sql = {0};
    buffer_puts(&sql, "CREATE TABLE t (c0 int PRIMARY KEY");
    for (int i = 1; i < 1600; i++)
        buffer_printf(&sql, ", c%d int", i);
    buffer_puts(&sql, ")");
    run(f, buffer_text(&sql));
    buffer_free(&sql);
    publish(f, "ALL TABLES");
    map_table(f, "t");
    run(f, "INSERT INTO t (c0, c1599) VALUES (1, 7)");
    start(f);
    assert_string_equal(next_event(f), "begin");
    next_event(f);
    assert_int_equal(f->event.kind, SOURCE_CHANGE);
    assert_int_equal(f->event.change.row[1598].kind, VALUE_NULL);
    assert_int_equal(f->event.change.row[1599].kind, VALUE_TEXT);
}

/* --- truncate, partitions --- */

static void truncate_of_several_tables_is_one_group(void **state)
{
    struct fixture *f = *state;
    if (f->sql.version < 110000)
        skip(); /* no TRUNCATE in the stream, no keys of partitioned tables */
    run(f, "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); CREATE TABLE c (id int "
           "PRIMARY KEY)");
    publish(f, "TABLE a, b, c");
    map_table(f, "a");
    map_table(f, "b");
    map_table(f, "c");
    run(f, "TRUNCATE a, b RESTART IDENTITY");
    run(f, "TRUNCATE c, a CASCADE");
    start(f);
    expect(f, "truncate a 1 restart", "truncate b 1 restart", NULL);
    expect(f, "truncate c 2 cascade", "truncate a 2 cascade", NULL);
}

static void make_partitions(struct fixture *f)
{
    run(f, "CREATE TABLE p (id int, name text, PRIMARY KEY (id)) PARTITION BY RANGE (id)");
    run(f, "CREATE TABLE p1 (name text, id int NOT NULL, PRIMARY KEY (id))"); /* in another order */
    run(f, "ALTER TABLE p ATTACH PARTITION p1 FOR VALUES FROM (0) TO (10)");
    run(f, "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (100) PARTITION BY RANGE (id)");
    run(f, "CREATE TABLE p21 PARTITION OF p2 FOR VALUES FROM (10) TO (20)");
}

static void partitions_published_as_leaves_are_their_root(void **state)
{
    struct fixture *f = *state;
    if (f->sql.version < 110000)
        skip(); /* no TRUNCATE in the stream, no keys of partitioned tables */
    make_partitions(f);
    publish(f, "ALL TABLES");
    map_table(f, "p");
    run(f, "INSERT INTO p VALUES (1, 'a'), (11, 'b')");
    run(f, "UPDATE p SET id = 2 WHERE id = 1");
    run(f, "UPDATE p SET id = 12 WHERE id = 2");
    start(f);
    expect(f, "insert p (1 a)", "insert p (11 b)", NULL);
    expect(f, "update p (2 a) key (1 -)", NULL);
    expect(f, "delete p key (2 -)", "insert p (12 a)", NULL);
    /* made while streaming */
    run(f, "CREATE TABLE p22 PARTITION OF p2 FOR VALUES FROM (20) TO (30)");
    run(f, "INSERT INTO p VALUES (21, 'new')");
    expect(f, "insert p (21 new)", NULL);
    run(f, "TRUNCATE p");
    expect(f, "truncate p 1", NULL);
}

static void truncate_of_one_partition_is_not_done_to_the_root(void **state)
{
    struct fixture *f = *state;
    if (f->sql.version < 110000)
        skip(); /* no TRUNCATE in the stream, no keys of partitioned tables */
    make_partitions(f);
    publish(f, "ALL TABLES");
    map_table(f, "p");
    run(f, "TRUNCATE p1");
    start(f);
    expect_drift(f, "p", "\"ls\".\"p1\"", "crossfade recopy --table p", NULL);
    assert_string_equal(next_event(f), "commit");
}

static void partitions_published_by_their_root(void **state)
{
    struct fixture *f = *state;
    if (f->sql.version < 130000)
        skip();
    make_partitions(f);
    publish(f, "ALL TABLES WITH (publish_via_partition_root = true)");
    map_table(f, "p");
    run(f, "INSERT INTO p VALUES (1, 'a'), (11, 'b')");
    run(f, "TRUNCATE p");
    start(f);
    expect(f, "insert p (1 a)", "insert p (11 b)", NULL);
    expect(f, "truncate p 1", NULL);
}

/* --- drift (hazard 34) --- */

static void make_drift(struct fixture *f)
{
    run(f, "CREATE TABLE t (id int PRIMARY KEY, name varchar(20), n int)");
    run(f, "CREATE TABLE other (id int PRIMARY KEY)");
    publish(f, "ALL TABLES");
    map_table(f, "t");
    map_table(f, "other");
    run(f, "INSERT INTO t VALUES (1, 'a', 1)");
    start(f);
    expect(f, "insert t (1 a 1)", NULL);
}

static void drift_column_added(void **state)
{
    struct fixture *f = *state;
    make_drift(f);
    run(f, "ALTER TABLE t ADD COLUMN \"x y\" numeric(10,2)");
    run(f, "INSERT INTO t VALUES (2, 'b', 2, 3.50)");
    run(f, "UPDATE t SET \"x y\" = 4 WHERE id = 1");
    run(f, "INSERT INTO other VALUES (1)");
    expect_drift(f, "t", "column \"x y\" (numeric(10,2)) was added",
                 "ALTER TABLE \"public\".\"t\" ADD COLUMN \"x y\" numeric(10,2)", "crossfade resume", NULL);
    expect(f, "insert t (2 b 2) +x y:1700=3.50", NULL);
    expect(f, "update t (1 a 1) +x y:1700=4.00", NULL);
    expect(f, "insert other (1)", NULL);
}

static void drift_column_dropped(void **state)
{
    struct fixture *f = *state;
    make_drift(f);
    run(f, "ALTER TABLE t DROP COLUMN name");
    run(f, "INSERT INTO t VALUES (2, 2)");
    expect_drift(f, "t", "column \"name\"", "DROP COLUMN \"name\"", NULL);
    expect(f, "insert t (2 - 2)", NULL);
}

static void drift_column_renamed(void **state)
{
    struct fixture *f = *state;
    make_drift(f);
    run(f, "ALTER TABLE t RENAME COLUMN name TO nom");
    run(f, "INSERT INTO t VALUES (2, 'b', 2)");
    expect_drift(f, "t", "renamed to \"nom\"", "RENAME COLUMN \"name\" TO \"nom\"", NULL);
    expect(f, "insert t (2 - 2) +nom:1043=b", NULL);
}

static void drift_column_retyped(void **state)
{
    struct fixture *f = *state;
    make_drift(f);
    run(f, "CREATE TYPE \"Mood\" AS ENUM ('b')");
    run(f, "ALTER TABLE t ALTER n TYPE bigint, ALTER id TYPE bigint");
    run(f, "INSERT INTO t VALUES (2, 'b', 5000000000)");
    run(f, "ALTER TABLE t ALTER name TYPE varchar(30)");
    run(f, "INSERT INTO t VALUES (3, 'c', 3)");
    expect_drift(f, "t", "column \"n\" is now bigint on the source, it was integer",
                 "ALTER COLUMN \"n\" TYPE bigint", "ALTER COLUMN \"id\" TYPE bigint", NULL);
    expect(f, "insert t (2 b -) +id:20=2 +n:20=5000000000", NULL);
    expect_drift(f, "t", "character varying(30)", "it was character varying(20)", NULL);
    expect(f, "insert t (3 c -) +id:20=3 +n:20=3", NULL);
}

static void drift_to_a_type_of_ones_own(void **state)
{
    struct fixture *f = *state;
    make_drift(f);
    run(f, "CREATE TYPE \"Mood\" AS ENUM ('b')");
    run(f, "ALTER TABLE t ADD m \"Mood\"");
    run(f, "INSERT INTO t VALUES (2, 'b', 2, 'b')");
    expect_drift(f, "t", "ADD COLUMN \"m\" \"ls\".\"Mood\"", NULL);
}

static void drift_key_lost(void **state)
{
    struct fixture *f = *state;
    make_drift(f);
    run(f, "ALTER TABLE t DROP CONSTRAINT t_pkey");
    run(f, "INSERT INTO t VALUES (2, 'b', 2)");
    expect_drift(f, "t", "key column \"id\"", "REPLICA IDENTITY", NULL);
}

static void drift_that_goes_away_is_told_once(void **state)
{
    struct fixture *f = *state;
    make_drift(f);
    run(f, "ALTER TABLE t ADD COLUMN x int");
    run(f, "INSERT INTO t VALUES (2, 'b', 2, 3)");
    run(f, "COMMENT ON TABLE t IS 'the relation is announced again'; ALTER TABLE t SET (fillfactor = 90)");
    run(f, "INSERT INTO t VALUES (3, 'b', 2, 3)");
    run(f, "ALTER TABLE t DROP COLUMN x");
    run(f, "INSERT INTO t VALUES (4, 'b', 2)");
    expect_drift(f, "t", "column \"x\"", NULL);
    expect(f, "insert t (2 b 2) +x:23=3", NULL);
    expect(f, "insert t (3 b 2) +x:23=3", NULL);
    expect(f, "insert t (4 b 2)", NULL);
}

static void a_table_outside_the_pipeline_is_told_once_and_skipped(void **state)
{
    struct fixture *f = *state;
    make_drift(f);
    run(f, "CREATE TABLE fresh (id int PRIMARY KEY)");
    run(f, "INSERT INTO fresh VALUES (1); INSERT INTO t VALUES (2, 'b', 2)");
    run(f, "ANALYZE fresh");
    run(f, "INSERT INTO fresh VALUES (2); INSERT INTO t VALUES (3, 'b', 2)");
    run(f, f->sql.version >= 110000 ? "TRUNCATE fresh, other" : "INSERT INTO other VALUES (1)");
    expect_drift(f, NULL, "ls.fresh", "tables", NULL);
    expect(f, "insert t (2 b 2)", NULL);
    expect(f, "insert t (3 b 2)", NULL);
    expect(f, f->sql.version >= 110000 ? "truncate other 1" : "insert other (1)", NULL);
}

/* What a drift says of a type must be what the target would understand. */
static void type_names_are_those_of_format_type(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    struct buffer name = {0};
    int known = 0;
    run(f, "CREATE TABLE t (a numeric(10,2), b varchar(7), c char(3), d timestamp(3), e timestamptz(0), f "
           "time(2), "
           "g timetz(6), h bit(5), i varbit(8), j numeric(4,0)[], k varchar(9)[], l timestamptz(3)[])");
    if (f->sql.version >= 150000)
        run(f, "ALTER TABLE t ADD m numeric(5,-2)");
    PGresult *r =
        pg_query(&f->sql,
                 "SELECT oid, -1, pg_catalog.format_type(oid, -1) FROM pg_catalog.pg_type WHERE oid < 10000"
                 " UNION ALL SELECT atttypid, atttypmod, pg_catalog.format_type(atttypid, atttypmod)"
                 " FROM pg_catalog.pg_attribute WHERE attrelid = 'ls.t'::regclass AND attnum > 0",
                 0, NULL, &err);
    must(r != NULL, &err);
    for (int i = 0; i < PQntuples(r); i++) {
        buffer_clear(&name);
        if (!type_name(&name, (uint32_t)strtoul(PQgetvalue(r, i, 0), NULL, 10), atoi(PQgetvalue(r, i, 1))))
            continue;
        assert_string_equal(buffer_text(&name), PQgetvalue(r, i, 2));
        known++;
    }
    assert_true(known > 100);
    PQclear(r);
    buffer_free(&name);
}

/* --- loops (hazard 27), positions --- */

static void with_origin(struct fixture *f, const char *origin, const char *sql)
{
    char text[300];
    snprintf(text, sizeof(text),
             "SELECT pg_catalog.pg_replication_origin_create('%s') WHERE "
             "pg_catalog.pg_replication_origin_oid('%s') IS NULL",
             origin, origin);
    run(f, text);
    snprintf(text, sizeof(text), "SELECT pg_catalog.pg_replication_origin_session_setup('%s')", origin);
    run(f, text);
    run(f, sql);
    run(f, "SELECT pg_catalog.pg_replication_origin_session_reset()");
    snprintf(text, sizeof(text), "SELECT pg_catalog.pg_replication_origin_drop('%s')", origin);
    run(f, text);
}

static void own_transactions_are_dropped_and_those_of_others_kept(void **state)
{
    struct fixture *f = *state;
    run(f, "CREATE TABLE t (id int PRIMARY KEY)");
    publish(f, "ALL TABLES");
    map_table(f, "t");
    start(f);
    with_origin(f, "crossfade_test_0", "INSERT INTO t VALUES (1)");
    assert_string_equal(next_event(f), "begin own");
    assert_string_equal(next_event(f), "commit own");
    assert_true(position_compare(f->event.transaction.end, f->start) > 0);
    with_origin(f, "crossfade_test_0", "UPDATE t SET id = 4");
    assert_string_equal(next_event(f), "begin own");
    assert_string_equal(next_event(f), "commit own");
    with_origin(f, "crossfade_test_b_0", "INSERT INTO t VALUES (2)"); /* of pipeline "test_b" */
    expect(f, "insert t (2)", NULL);
    with_origin(f, "someone_else", "INSERT INTO t VALUES (3)");
    expect(f, "insert t (3)", NULL);
}

static void a_session_resumes_at_the_end_of_a_commit(void **state)
{
    struct fixture *f = *state;
    run(f, "CREATE TABLE t (id int PRIMARY KEY)");
    publish(f, "ALL TABLES");
    map_table(f, "t");
    run(f, "INSERT INTO t VALUES (1)");
    run(f, "INSERT INTO t VALUES (2)");
    start(f);
    expect(f, "insert t (1)", NULL);
    uint64_t server_end;
    uint64_t received;
    logical_source_progress(f->source, &server_end, &received);
    assert_int_equal(received, f->start.low);
    assert_true(server_end >= received);
    stop(f);
    start(f);
    expect(f, "insert t (2)", NULL);
}

static struct position slot_position(struct fixture *f)
{
    char lsn[32];
    struct position p;
    one(f, "SELECT confirmed_flush_lsn FROM pg_catalog.pg_replication_slots WHERE slot_name = '" SLOT "'",
        lsn, sizeof(lsn));
    assert_true(position_parse(lsn, &p));
    return p;
}

/* Hazard 5: an idle or filtered stream must not hold WAL. */
static void idle_positions_advance_and_the_slot_follows_only_confirm(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    char lsn[32];
    struct position wal;
    run(f, "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE elsewhere (id int)");
    publish(f, "TABLE t");
    map_table(f, "t");
    struct position first = slot_position(f);
    start(f);
    run(f, "INSERT INTO elsewhere SELECT generate_series(1, 1000)");
    one(f, "SELECT pg_catalog.pg_current_wal_lsn()", lsn, sizeof(lsn));
    assert_true(position_parse(lsn, &wal));
    int64_t patience = clock_ms() + PATIENCE_MS;
    struct position idle = {0};
    while (position_compare(idle, wal) < 0) {
        must(f->source->ops->next(f->source, clock_ms() + 300, &f->event, &err), &err);
        if (f->event.kind == SOURCE_NOTHING)
            idle = f->event.position;
        assert_true(clock_ms() < patience);
        assert_int_equal(position_compare(slot_position(f), first), 0);
    }
    f->source->ops->confirm(f->source, idle);
    f->source->ops->confirm(f->source, f->start); /* lower: ignored */
    while (position_compare(slot_position(f), idle) != 0) {
        must(f->source->ops->next(f->source, clock_ms() + 50, &f->event, &err), &err);
        assert_true(clock_ms() < patience);
    }
}

static void no_position_inside_a_transaction(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    bool inside = false;
    int nothings = 0;
    run(f, "CREATE TABLE t (id int PRIMARY KEY, filler text)");
    publish(f, "TABLE t");
    map_table(f, "t");
    run(f, "INSERT INTO t SELECT i, repeat('x', 900) FROM generate_series(1, 100000) i");
    start(f);
    do { /* faster than the server sends */
        must(f->source->ops->next(f->source, clock_ms() - 1, &f->event, &err), &err);
        inside = inside || f->event.kind == SOURCE_BEGIN;
        if (f->event.kind == SOURCE_NOTHING && inside) {
            assert_int_equal(f->event.position.kind, POSITION_NONE);
            nothings++;
        }
    } while (f->event.kind != SOURCE_COMMIT);
    assert_true(nothings > 0);
}

static void a_deadline_is_kept(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    run(f, "CREATE TABLE t (id int PRIMARY KEY)");
    publish(f, "TABLE t");
    start(f);
    for (int i = 0; i < 3; i++) {
        int64_t deadline = clock_ms() + 150;
        do {
            must(f->source->ops->next(f->source, deadline, &f->event, &err), &err);
            assert_int_equal(f->event.kind, SOURCE_NOTHING);
        } while (clock_ms() < deadline);
        assert_true(clock_ms() < deadline + 1000);
    }
}

/* --- links and slots --- */

static void *cancel_soon(void *arg)
{
    struct source *source = arg;
    usleep(100000);
    source->ops->cancel(source);
    return NULL;
}

static void cancel_from_another_thread(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    pthread_t thread;
    run(f, "CREATE TABLE t (id int PRIMARY KEY)");
    publish(f, "TABLE t");
    start(f);
    int64_t begin = clock_ms();
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, f->source), 0);
    while (f->source->ops->next(f->source, begin + PATIENCE_MS, &f->event, &err))
        ;
    pthread_join(thread, NULL);
    assert_int_equal(err.kind, ERROR_CANCELED);
    assert_true(clock_ms() - begin < 2000);
}

static void tick_keeps_a_held_back_reader_alive(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    if (f->sql.version < 120000)
        skip(); /* the time-out is not a session\'s to set */
    run(f, "CREATE TABLE t (id int PRIMARY KEY, big text)");
    publish(f, "TABLE t");
    map_table(f, "t");
    run(f, "INSERT INTO t SELECT i, repeat(md5(i::text), 30) FROM generate_series(1, 20000) i");
    f->more = "options='-c wal_sender_timeout=1s'";
    start(f);
    assert_string_equal(next_event(f), "begin");
    int64_t until = clock_ms() + 3000;
    while (clock_ms() < until) {
        must(f->source->ops->tick(f->source, &err), &err);
        usleep(20000);
    }
    for (int i = 1; i <= 20000; i++) {
        must(f->source->ops->next(f->source, clock_ms() + PATIENCE_MS, &f->event, &err), &err);
        i -= f->event.kind == SOURCE_NOTHING;
    }
    assert_string_equal(next_event(f), "commit");
}

static void a_lost_link_is_to_be_retried(void **state)
{
    struct fixture *f = *state;
    run(f, "CREATE TABLE t (id int PRIMARY KEY)");
    publish(f, "TABLE t");
    start(f);
    run(f, "SELECT pg_catalog.pg_terminate_backend(active_pid) FROM pg_catalog.pg_replication_slots WHERE "
           "slot_name = '" SLOT "'");
    expect_failure(f, ERROR_RETRY, "legacy");
}

static void a_publication_dropped_while_streaming_is_fatal(void **state)
{
    struct fixture *f = *state;
    run(f, "CREATE TABLE t (id int PRIMARY KEY)");
    publish(f, "TABLE t");
    map_table(f, "t");
    start(f);
    run(f, "DROP PUBLICATION \"logical \"\"source\"\" 'test' \\\"");
    run(f, "INSERT INTO t VALUES (1)");
    expect_failure(f, ERROR_FATAL,
                   f->sql.version >= 180000 ? "the server leaves changes out" : "does not exist");
}

/* Hazard 3. */
static void a_slot_that_is_gone_is_fatal(void **state)
{
    struct fixture *f = *state;
    publish(f, "ALL TABLES");
    run(f, "SELECT pg_catalog.pg_drop_replication_slot('" SLOT "')");
    refused(f, ERROR_FATAL, "does not exist");
}

/* Hazard 41. */
static void a_slot_ahead_of_the_sink_is_fatal(void **state)
{
    struct fixture *f = *state;
    run(f, "CREATE TABLE t (id int PRIMARY KEY)");
    publish(f, "ALL TABLES");
    map_table(f, "t");
    struct position before = f->start;
    run(f, "INSERT INTO t VALUES (1)");
    start(f);
    expect(f, "insert t (1)", NULL);
    struct error err = {0};
    int64_t patience = clock_ms() + PATIENCE_MS;
    f->source->ops->confirm(f->source, f->start);
    while (position_compare(slot_position(f), f->start) != 0) {
        must(f->source->ops->next(f->source, clock_ms() + 50, &f->event, &err), &err);
        assert_true(clock_ms() < patience);
    }
    stop(f);
    f->start = before;
    refused(f, ERROR_FATAL, "the sink lost its tail");
}

static void a_source_behind_the_sink_is_fatal(void **state)
{
    struct fixture *f = *state;
    publish(f, "ALL TABLES");
    f->start.low += UINT64_C(1) << 40;
    refused(f, ERROR_FATAL, "the source lost its tail");
}

static void a_slot_in_use_is_to_be_retried(void **state)
{
    struct fixture *f = *state;
    publish(f, "ALL TABLES");
    start(f);
    struct source *first = f->source;
    refused(f, ERROR_RETRY, "in use by server process");
    f->source = first;
}

static void a_slot_of_another_plugin_is_fatal(void **state)
{
    struct fixture *f = *state;
    publish(f, "ALL TABLES");
    run(f, "SELECT pg_catalog.pg_drop_replication_slot('" SLOT "')");
    run(f, "SELECT pg_catalog.pg_create_physical_replication_slot('" SLOT "')");
    refused(f, ERROR_FATAL, "is not ours");
}

static void a_missing_publication_is_fatal(void **state)
{
    struct fixture *f = *state;
    publish(f, "ALL TABLES");
    run(f, "DROP PUBLICATION \"logical \"\"source\"\" 'test' \\\"");
    refused(f, ERROR_FATAL, "does not exist");
}

static void a_slot_whose_wal_is_gone_is_fatal(void **state)
{
    struct fixture *f = *state;
    char status[20];
    if (f->sql.version < 130000)
        skip();
    publish(f, "ALL TABLES");
    run(f, "ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'");
    run(f, "SELECT pg_catalog.pg_reload_conf()");
    int64_t patience = clock_ms() + PATIENCE_MS;
    do {
        run(f, "CREATE TABLE IF NOT EXISTS filler (x int)");
        run(f, "INSERT INTO filler VALUES (1)");
        run(f, "SELECT pg_catalog.pg_switch_wal()");
        run(f, "CHECKPOINT");
        one(f, "SELECT wal_status FROM pg_catalog.pg_replication_slots WHERE slot_name = '" SLOT "'", status,
            sizeof(status));
        assert_true(clock_ms() < patience);
    } while (strcmp(status, "lost") != 0);
    run(f, "ALTER SYSTEM RESET max_slot_wal_keep_size");
    run(f, "SELECT pg_catalog.pg_reload_conf()");
    refused(f, ERROR_FATAL, "is lost");
}

static int on_server(const char *sql)
{
    struct pg_conn conn;
    struct error err = {0};
    struct pg_conn_options o = conn_options(getenv("CROSSFADE_TEST_PG"));
    bool ok = pg_conn_open(&conn, &o, &err) && pg_exec(&conn, sql, &err);
    if (!ok)
        fprintf(stderr, "%s\n", err.text);
    pg_conn_close(&conn);
    return ok ? 0 : -1;
}

static int create_database(void **state)
{
    (void)state;
    if (on_server(
            "SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM pg_catalog.pg_replication_slots "
            "WHERE slot_name = '" SLOT "'") != 0 ||
        on_server("DROP DATABASE IF EXISTS logical_source_test") != 0)
        return -1;
    return on_server("CREATE DATABASE logical_source_test TEMPLATE template0 ENCODING 'UTF8'");
}

static int drop_database(void **state)
{
    (void)state;
    return on_server("DROP DATABASE logical_source_test");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    if (!getenv("CROSSFADE_TEST_PG")) {
        fprintf(stderr, "skipped: CROSSFADE_TEST_PG is not set\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        TEST(changes_as_text),
        TEST(floats_have_all_their_digits),
        TEST(changes_in_binary),
        TEST(columns_in_another_order_and_left_out),
        TEST(unchanged_large_values_are_absent),
        TEST(identity_full_brings_all_and_fills_unchanged_values),
        TEST(identity_nothing_and_keyless_stream_inserts),
        TEST(a_second_publication_for_inserts_of_keyless_tables),
        TEST(a_row_of_100_mb),
        TEST(a_table_of_1600_columns),
        TEST(truncate_of_several_tables_is_one_group),
        TEST(partitions_published_as_leaves_are_their_root),
        TEST(truncate_of_one_partition_is_not_done_to_the_root),
        TEST(partitions_published_by_their_root),
        TEST(drift_column_added),
        TEST(drift_column_dropped),
        TEST(drift_column_renamed),
        TEST(drift_column_retyped),
        TEST(drift_to_a_type_of_ones_own),
        TEST(drift_key_lost),
        TEST(drift_that_goes_away_is_told_once),
        TEST(a_table_outside_the_pipeline_is_told_once_and_skipped),
        TEST(type_names_are_those_of_format_type),
        TEST(own_transactions_are_dropped_and_those_of_others_kept),
        TEST(a_session_resumes_at_the_end_of_a_commit),
        TEST(idle_positions_advance_and_the_slot_follows_only_confirm),
        TEST(no_position_inside_a_transaction),
        TEST(a_deadline_is_kept),
        TEST(cancel_from_another_thread),
        TEST(tick_keeps_a_held_back_reader_alive),
        TEST(a_lost_link_is_to_be_retried),
        TEST(a_publication_dropped_while_streaming_is_fatal),
        TEST(a_slot_that_is_gone_is_fatal),
        TEST(a_slot_ahead_of_the_sink_is_fatal),
        TEST(a_source_behind_the_sink_is_fatal),
        TEST(a_slot_in_use_is_to_be_retried),
        TEST(a_slot_of_another_plugin_is_fatal),
        TEST(a_missing_publication_is_fatal),
        TEST(a_slot_whose_wal_is_gone_is_fatal),
    };
    return cmocka_run_group_tests(tests, create_database, drop_database);
}
