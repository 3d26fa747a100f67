/* SPDX-License-Identifier: PostgreSQL
 *
 * The SQL Server sink against a real server: every operation over keys of several kinds by sets and row by
 * row, conflicts, refused rows, fences, and what a cut link leaves behind. In a database of its own.
 *
 * Changes are written as "I:table:1,text": op, table, values; an UPDATE may have its old row before a |;
 * "-" is NULL, "?" not provided, "T:a b" one TRUNCATE of both.
 */
#include "ms_live.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sybfront.h>
#include <sybdb.h>
#include <unistd.h>

#include "base/mem.h"
#include "model/compact.h"
#include "mssql/catalog.h"
#include "mssql/marker.h"
#include "mssql/ms_sink.h"

static struct config_sqlserver server;
static struct ms_conn conn;
static char database[40];
static struct ms_catalog catalog;
static struct table_set tables;
static struct sink *sink;
static struct sink_counts counts[32];
static struct sink_result result;
static uint64_t lsn;
static int64_t epoch = 1;
static size_t set_rows, bulk_rows;
static bool has_bulk; /* the server takes FreeTDS's bulk copy */
static int64_t park_limit = 1 << 20, quarantine_limit = 100;
static char stopped[600], conflicts[600];

/* --- the tables --- */

static void read_catalog(void)
{
    struct error err;
    ms_catalog_free(&catalog);
    if (!ms_catalog_read(&conn, &catalog, &err))
        fail_msg("%s", err.text);
}

static uint32_t oid_of(const char *name, size_t length)
{
    static const struct {
        const char *name;
        uint32_t oid;
    } all[] = {{"int4", MS_OID_INT4},
               {"int8", MS_OID_INT8},
               {"text", MS_OID_TEXT},
               {"bool", MS_OID_BOOL},
               {"numeric", MS_OID_NUMERIC},
               {"timestamp", MS_OID_TIMESTAMP},
               {"uuid", MS_OID_UUID},
               {"bytea", MS_OID_BYTEA},
               {"float8", MS_OID_FLOAT8},
               {"xml", MS_OID_XML},
               {"timestamptz", MS_OID_TIMESTAMPTZ},
               {"date", MS_OID_DATE}};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (strlen(all[i].name) == length && memcmp(all[i].name, name, length) == 0)
            return all[i].oid;
    fail_msg("what is %s", name);
    return 0;
}

/* columns: "id int4, name text"; the first `keys` are the key. The table is made by `sql`. */
static struct table *carry(const char *name, const char *sql, const char *columns, int keys)
{
    struct table *t = table_new();
    ms_live_exec(&conn, sql);
    t->from_schema = mem_strdup("public");
    t->from_name = mem_strdup(name);
    t->from = mem_strdup(name);
    t->to_schema = mem_strdup("dbo");
    t->to_name = mem_strdup(name);
    t->to = mem_strdup(name);
    t->columns = mem_alloc(20 * sizeof(*t->columns));
    t->key = mem_alloc(4 * sizeof(*t->key));
    for (const char *p = columns; *p; t->column_count++) {
        struct column *c = &t->columns[t->column_count];
        size_t n = strcspn(p, " "), m = strcspn(p + n + 1, ",");
        c->source = mem_strndup(p, n);
        c->sink = mem_strndup(p, n);
        c->source_type.oid = c->source_type.base_oid = oid_of(p + n + 1, m);
        c->source_type.display = mem_strndup(p + n + 1, m);
        c->key = t->column_count < keys;
        c->key_bytewise = true;
        p += n + 1 + m;
        p += strspn(p, ", ");
    }
    for (int i = 0; i < keys; i++)
        t->key[t->key_count++] = (uint16_t)i;
    t->key_hashable = keys > 0;
    t->state = TABLE_STREAMING;
    table_set_add(&tables, t);
    return t;
}

static struct table *named(const char *name, size_t length)
{
    for (uint32_t i = 0; i < tables.count; i++)
        if (strlen(tables.tables[i]->to_name) == length &&
            memcmp(tables.tables[i]->to_name, name, length) == 0)
            return tables.tables[i];
    fail_msg("no table %s", name);
    return NULL;
}

/* --- the sink --- */

static void on_stopped(void *context, struct table *table, enum table_state state, const char *reason)
{
    (void)context;
    (void)state;
    snprintf(stopped, sizeof(stopped), "%s: %s", table->to_name, reason);
}

static void on_conflict(void *context, const struct table *table, const char *kind, const char *key)
{
    size_t n = strlen(conflicts);
    (void)context;
    snprintf(conflicts + n, sizeof(conflicts) - n, "%s %s %s;", table->to_name, kind, key);
}

static bool try_open(struct sink **out, struct error *err)
{
    struct ms_sink_options o = {.conn = ms_live_options(&server, "apply"),
                                .stream = "reverse",
                                .epoch = epoch,
                                .tables = &tables,
                                .catalog = &catalog,
                                .events = {NULL, on_stopped, on_conflict},
                                .park_limit = park_limit,
                                .quarantine_limit = quarantine_limit,
                                .set_rows = set_rows,
                                .bulk_rows = has_bulk ? bulk_rows : SIZE_MAX};
    struct position at;
    o.conn.pipeline = "p";
    o.conn.database = database;
    o.conn.lock_timeout_ms = 2000;
    read_catalog();
    if (!ms_sink_open(&o, out, &at, err))
        return false;
    lsn = at.kind == POSITION_LSN ? at.low : 0;
    return true;
}

static void reopen(void)
{
    struct error err;
    if (sink)
        sink->ops->free(sink);
    sink = NULL;
    if (!try_open(&sink, &err))
        fail_msg("%s", err.text);
}

static void close_all(void)
{
    if (sink)
        sink->ops->free(sink);
    sink = NULL;
    for (uint32_t i = 0; i < tables.count; i++) {
        char sql[200];
        snprintf(sql, sizeof(sql), "DROP TABLE [dbo].[%s]", tables.tables[tables.count - 1 - i]->to_name);
        ms_live_exec(&conn, sql);
    }
    table_set_free(&tables);
    tables = (struct table_set){0};
    ms_live_exec(&conn, "DELETE FROM crossfade.parked; DELETE FROM crossfade.quarantine");
    stopped[0] = conflicts[0] = '\0';
    park_limit = 1 << 20;
    quarantine_limit = 100;
}

/* --- changes --- */

static void parse_values(const char *text, size_t length, const struct table *t, struct value *out)
{
    memset(out, 0, t->column_count * sizeof(*out));
    for (uint16_t i = 0; i < t->column_count; i++) {
        size_t n = 0;
        while (n < length && text[n] != ',')
            n++;
        if (n == 1 && *text == '-')
            out[i].kind = VALUE_NULL;
        else if (!(n == 1 && *text == '?'))
            out[i] = (struct value){text, (uint32_t)n, VALUE_TEXT};
        if (n == length)
            return;
        text += n + 1;
        length -= n + 1;
    }
}

static void add_truncate(struct batch *b, const char *names)
{
    static uint32_t group;
    group++;
    while (*names) {
        size_t n = strcspn(names, " ");
        struct change c = {.table = named(names, n), .op = CHANGE_TRUNCATE, .truncate_group = group};
        batch_append(b, &c);
        names += n + strspn(names + n, " ");
    }
}

static void add(struct batch *b, const char *text)
{
    struct value row[20], old[20];
    if (*text == 'T') {
        add_truncate(b, text + 2);
        return;
    }
    const char *values = strchr(text + 2, ':');
    struct table *t = named(text + 2, (size_t)(values - text) - 2);
    struct change c = {.table = t};
    const char *split = strchr(++values, '|');
    c.op = *text == 'I' ? CHANGE_INSERT : *text == 'U' ? CHANGE_UPDATE : CHANGE_DELETE;
    if (split || c.op == CHANGE_DELETE) {
        parse_values(values, split ? (size_t)(split - values) : strlen(values), t, old);
        c.old = old;
        c.old_kind = t->key_count ? OLD_KEY : OLD_FULL;
    }
    if (c.op != CHANGE_DELETE) {
        parse_values(split ? split + 1 : values, strlen(split ? split + 1 : values), t, row);
        c.row = row;
    }
    batch_append(b, &c);
}

static struct position next_position(void)
{
    return position_lsn(lsn += 16);
}

/* One source transaction of these changes, up to NULL. */
static struct batch *transaction(const char *const *changes)
{
    struct batch *b = batch_new();
    struct transaction tx = {.xid = 7, .commit_time_us = 1700000000000000};
    tx.commit = position_lsn(lsn + 8);
    batch_begin(b, &tx);
    for (; *changes; changes++)
        add(b, *changes);
    tx.end = next_position();
    batch_commit(b, &tx);
    return b;
}

static bool apply_batch(struct batch *b, struct error *err)
{
    memset(counts, 0, sizeof(counts));
    bool ok = sink->ops->apply(sink, b, counts, &result, err);
    batch_free(b);
    return ok;
}

#define APPLY(...) apply((const char *const[]){__VA_ARGS__, NULL})
static void apply(const char *const *changes)
{
    struct error err;
    conflicts[0] = '\0';
    if (!apply_batch(transaction(changes), &err))
        fail_msg("%s: %s", err.code, err.text);
}

/* Skips where the server's own limits come out as an error of no SQL Server. */
static void skip_foreign(const struct error *err)
{
    if (err->kind == ERROR_NONE || strncmp(err->code, "3355709", 7) != 0)
        return;
    print_message("not on this server: %s\n", err->text);
    skip();
}

#define APPLY_HERE(...) apply_here((const char *const[]){__VA_ARGS__, NULL})
static void apply_here(const char *const *changes)
{
    struct error err = {0};
    if (apply_batch(transaction(changes), &err))
        return;
    skip_foreign(&err);
    fail_msg("%s", err.text);
}

static void smooth(void)
{
    if (result.replayed)
        fail_msg("it was replayed: %s", result.why_replayed.text);
}

static bool take_row(void *context, struct ms_conn *c, struct error *err)
{
    struct buffer *out = context;
    (void)err;
    for (int i = 0; i < c->columns; i++) {
        buffer_puts(out, i ? "," : out->length ? ";" : "");
        if (!ms_column_text(c, i, out))
            buffer_puts(out, "-");
    }
    return true;
}

static void expect(const char *sql, const char *rows)
{
    struct buffer out = {0};
    struct error err;
    if (!ms_query(&conn, sql, take_row, &out, &err))
        fail_msg("%s\n%s", err.text, sql);
    assert_string_equal(buffer_text(&out), rows);
    buffer_free(&out);
}

/* --- tests --- */

static void round_of_operations(void)
{
    carry("k1",
          "CREATE TABLE dbo.k1 (id int NOT NULL PRIMARY KEY, name nvarchar(20) NULL, big nvarchar(max) NULL)",
          "id int4, name text, big text", 1);
    carry("k2",
          "CREATE TABLE dbo.k2 (a varchar(10) COLLATE Latin1_General_CI_AS NOT NULL, b uniqueidentifier NOT "
          "NULL, "
          "n decimal(10, 2) NULL, w datetime2(3) NULL, CONSTRAINT k2pk PRIMARY KEY (a, b))",
          "a text, b uuid, n numeric, w timestamp", 2);
    reopen();
    APPLY("I:k1:1,one,x", "I:k1:2,it's,-", "I:k1:3,\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x98\x80,y", "I:k1:4,,z",
          "I:k2:a,00112233-4455-6677-8899-aabbccddeeff,-1.25,2024-02-29 12:34:56.789",
          "I:k2:b,00112233-4455-6677-8899-aabbccddeeff,-,-");
    smooth();
    expect("SELECT id, name, big FROM dbo.k1 ORDER BY id",
           "1,one,x;2,it's,-;3,\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x98\x80,y;4,,z");
    expect("SELECT a, n, CONVERT(nvarchar(30), w, 121) FROM dbo.k2 ORDER BY a",
           "a,-1.25,2024-02-29 12:34:56.789;b,-,-");
    assert_int_equal(counts[0].inserted, 4);
    /* Unchanged large values stay; a NULL is a NULL. */
    APPLY("U:k1:1,-,?", "U:k1:3,three,?", "D:k1:2", "U:k2:a,00112233-4455-6677-8899-aabbccddeeff,7,?",
          "D:k2:b,00112233-4455-6677-8899-aabbccddeeff");
    smooth();
    expect("SELECT id, name, big FROM dbo.k1 ORDER BY id", "1,-,x;3,three,y;4,,z");
    expect("SELECT a, n, CONVERT(nvarchar(30), w, 121) FROM dbo.k2", "a,7.00,2024-02-29 12:34:56.789");
    /* A key changes, two keys are swapped over a third. */
    APPLY("U:k1:4|9,?,?", "U:k1:1|100,one,?", "U:k1:3|1,three,?", "U:k1:100|3,one,?");
    smooth();
    expect("SELECT id, name, big FROM dbo.k1 ORDER BY id", "1,three,y;3,one,x;9,,z");
    APPLY("D:k1:9", "I:k1:9,again,-", "U:k1:9,more,-");
    smooth();
    expect("SELECT name FROM dbo.k1 WHERE id = 9", "more");
    APPLY("T:k1");
    expect("SELECT COUNT(*) FROM dbo.k1", "0");
    assert_int_equal(counts[0].truncated, 1);
}

static void test_every_operation_row_by_row(void **state)
{
    (void)state;
    set_rows = 1000;
    round_of_operations();
}

static void test_every_operation_by_lists(void **state)
{
    (void)state;
    set_rows = 1;
    bulk_rows = SIZE_MAX;
    round_of_operations();
}

static void test_every_operation_by_bulk_copy(void **state)
{
    (void)state;
    if (!has_bulk)
        skip();
    set_rows = bulk_rows = 1;
    round_of_operations();
    bulk_rows = 0;
    set_rows = 0;
}

#define TYPED_ROW                                                                                            \
    ",t,-32768,1.5,-12.3456,2024-02-29,2000-01-01 00:00:00.003,2024-02-29 "                                  \
    "09:30:00.5+00,\\x00ff,ab,<a/>,long"

static void test_types_both_ways(void **state)
{
    (void)state;
    const char *sql =
        "CREATE TABLE dbo.ty (id bigint NOT NULL PRIMARY KEY, b bit NULL, s smallint NULL, f float NULL, "
        "m money NULL, d date NULL, dt datetime NULL, o datetimeoffset(3) NULL, v varbinary(10) NULL, "
        "c char(4) NULL, x xml NULL, t ntext NULL)";
    carry(
        "ty", sql,
        "id int8, b bool, s int4, f float8, m numeric, d date, dt timestamp, o timestamptz, v bytea, c text, "
        "x text, t text",
        1);
    set_rows = 1;
    reopen();
    APPLY("I:ty:1" TYPED_ROW, "I:ty:5,-,-,-,-,-,-,-,-,-,-,-");
    smooth();
    set_rows = 1000;
    reopen();
    APPLY("I:ty:-2" TYPED_ROW, "I:ty:6,-,-,-,-,-,-,-,-,-,-,-");
    smooth();
    expect("SELECT id, b, s, f, m, CONVERT(nvarchar(10), d, 23), CONVERT(nvarchar(30), dt, 121), v, c, "
           "CONVERT(nvarchar(max), x), CONVERT(nvarchar(max), t) FROM dbo.ty WHERE id < 3 ORDER BY id",
           "-2,1,-32768,1.5,-12.3456,2024-02-29,2000-01-01 00:00:00.003,0x00FF,ab  ,<a/>,long;"
           "1,1,-32768,1.5,-12.3456,2024-02-29,2000-01-01 00:00:00.003,0x00FF,ab  ,<a/>,long");
    expect("SELECT COUNT(DISTINCT o) FROM dbo.ty WHERE o IS NOT NULL", "1");
    expect("SELECT COUNT(*) FROM dbo.ty WHERE b IS NULL AND s IS NULL AND m IS NULL AND dt IS NULL AND v IS "
           "NULL AND x IS "
           "NULL AND t IS NULL",
           "2");
}

static void test_identity_and_computed_columns(void **state)
{
    (void)state;
    struct error err;
    bool rowversion = ms_exec(&conn, "CREATE TABLE #rv (v rowversion)", &err);
    carry("ident",
          rowversion
              ? "CREATE TABLE dbo.ident (id int IDENTITY(1, 1) NOT NULL PRIMARY KEY, a int NULL, twice AS a "
                "* 2, v rowversion, extra nvarchar(10) NULL)"
              : "CREATE TABLE dbo.ident (id int IDENTITY(1, 1) NOT NULL PRIMARY KEY, a int NULL, twice AS a "
                "* 2, extra nvarchar(10) NULL)",
          "id int4, a int4, twice int4", 1);
    for (set_rows = 1; set_rows < 1001; set_rows += 999) {
        ms_live_exec(&conn, "DELETE FROM dbo.ident");
        reopen();
        APPLY("I:ident:7,1,2", "I:ident:40,2,4");
        smooth();
        ms_live_exec(&conn, "UPDATE dbo.ident SET extra = N'kept'");
        APPLY("U:ident:7,5,10");
        smooth();
        /* The key is an identity: the row is written anew, with what only the sink knows. */
        APPLY("U:ident:40|41,?,?");
        smooth();
        expect("SELECT id, a, twice, extra FROM dbo.ident ORDER BY id", "7,5,10,kept;41,2,4,kept");
    }
}

static void test_rows_without_a_key_are_matched_with_multiplicity(void **state)
{
    (void)state;
    carry("nokey", "CREATE TABLE dbo.nokey (a nvarchar(10) COLLATE Latin1_General_CI_AS NULL, n int NULL)",
          "a text, n int4", 0);
    reopen();
    APPLY("I:nokey:x,1", "I:nokey:x,1", "I:nokey:x,1", "I:nokey:X,1", "I:nokey:-,-", "I:nokey:y,2");
    smooth();
    APPLY("D:nokey:x,1", "U:nokey:x,1|z,9", "U:nokey:-,-|q,-");
    smooth();
    expect("SELECT a, n FROM dbo.nokey ORDER BY a COLLATE Latin1_General_BIN2", "X,1;q,-;x,1;y,2;z,9");
    /* The last one is gone for somebody: a conflict. */
    ms_live_exec(&conn, "DELETE FROM dbo.nokey WHERE a = N'y'");
    APPLY("D:nokey:y,2");
    assert_true(result.replayed);
    assert_int_equal(counts[0].missing, 1);
}

static void test_foreign_keys_give_the_order(void **state)
{
    (void)state;
    carry("parent", "CREATE TABLE dbo.parent (id int NOT NULL PRIMARY KEY)", "id int4", 1);
    carry("child",
          "CREATE TABLE dbo.child (id int NOT NULL PRIMARY KEY, p int NULL REFERENCES dbo.parent (id))",
          "id int4, p int4", 1);
    for (set_rows = 1; set_rows < 1001; set_rows += 999) {
        reopen();
        assert_true(tables.tables[1]->rank > tables.tables[0]->rank);
        APPLY("I:parent:1", "I:child:1,1", "I:parent:2", "I:child:2,2");
        smooth();
        APPLY("D:child:2", "D:parent:2", "I:parent:3", "U:child:1,3");
        smooth();
        /* Deletes come first in a set: a parent that its child leaves at the same time needs the source's
         * order. */
        APPLY("I:parent:4", "U:child:1,4", "D:parent:1", "D:parent:3");
        assert_true(result.replayed);
        expect("SELECT c.id, p.id FROM dbo.child AS c JOIN dbo.parent AS p ON p.id = c.p", "1,4");
        APPLY("T:parent child");
        smooth();
        expect("SELECT COUNT(*) FROM dbo.parent", "0");
    }
}

static void test_conflicts_are_mended_counted_and_named(void **state)
{
    (void)state;
    carry("c1",
          "CREATE TABLE dbo.c1 (id int NOT NULL PRIMARY KEY, a nvarchar(10) NULL, big nvarchar(max) NULL)",
          "id int4, a text, big text", 1);
    for (set_rows = 1; set_rows < 1001; set_rows += 999) {
        ms_live_exec(&conn, "DELETE FROM dbo.c1; INSERT INTO dbo.c1 (id, a) VALUES (1, N'there')");
        reopen();
        APPLY("I:c1:5,five,-", "I:c1:1,one,-", "U:c1:2,two,b", "D:c1:3", "I:c1:6,six,-");
        assert_true(result.replayed);
        assert_int_equal(counts[0].existing, 1);
        assert_int_equal(counts[0].missing, 2);
        assert_int_equal(counts[0].inserted, 3);
        assert_string_equal(
            conflicts, "c1 existing {\"id\": \"1\"};c1 missing {\"id\": \"2\"};c1 missing {\"id\": \"3\"};");
        expect("SELECT id, a FROM dbo.c1 ORDER BY id", "1,one;2,two;5,five;6,six");
        /* Too little to build the missing row: it waits, and is not lost. */
        APPLY("U:c1:77,seven,?", "I:c1:8,eight,-");
        assert_int_equal(counts[0].quarantined, 1);
        expect("SELECT code, op FROM crossfade.quarantine", "51001,U");
        expect("SELECT COUNT(*) FROM dbo.c1 WHERE id = 8", "1");
        ms_live_exec(&conn, "DELETE FROM crossfade.quarantine");
    }
}

static void test_refused_rows_go_to_quarantine_with_what_follows(void **state)
{
    (void)state;
    struct error err;
    carry("q1",
          "CREATE TABLE dbo.q1 (id int NOT NULL PRIMARY KEY, u int NULL UNIQUE, short nvarchar(3) NULL CHECK "
          "(short "
          "<> N'bad'))",
          "id int4, u int4, short text", 1);
    reopen();
    APPLY("I:q1:1,10,a", "I:q1:2,20,b");
    APPLY("I:q1:3,10,c", "I:q1:4,40,bad", "I:q1:5,50,far too long", "U:q1:3,10,d", "I:q1:6,60,f",
          "U:q1:4|7,40,bad");
    assert_true(result.replayed);
    assert_int_equal(counts[0].quarantined, 5);
    expect("SELECT id, u, short FROM dbo.q1 ORDER BY id", "1,10,a;2,20,b;6,60,f");
    expect("SELECT op, key_text, CASE WHEN code = N'' THEN N'waits' ELSE N'refused' END FROM "
           "crossfade.quarantine ORDER BY id",
           "I,{\"id\": \"3\"},refused;I,{\"id\": \"4\"},refused;I,{\"id\": \"5\"},refused;"
           "U,{\"id\": \"3\"},waits;U,{\"id\": \"4\"},waits");
    /* Known again after a restart; under its new key too. */
    reopen();
    APPLY("U:q1:7,70,g", "U:q1:6,61,h");
    assert_int_equal(counts[0].quarantined, 1);
    expect("SELECT u FROM dbo.q1 WHERE id = 6", "61");
    /* What was in the way is gone: the rows go in, in order, with all that share their keys. */
    APPLY("U:q1:1,11,a");
    ms_live_exec(&conn, "ALTER TABLE dbo.q1 ALTER COLUMN short nvarchar(20)");
    int64_t first = strtoll(ms_live_ask(&conn, "SELECT MIN(id) FROM crossfade.quarantine"), NULL, 10);
    if (!ms_sink_retry_quarantine(sink, &first, 1, &err))
        fail_msg("%s", err.text);
    expect("SELECT id, u, short FROM dbo.q1 WHERE id = 3", "3,10,d");
    expect("SELECT COUNT(*) FROM crossfade.quarantine", "4");
    /* Still refused: it stays, all of its story. */
    int64_t bad = strtoll(ms_live_ask(&conn, "SELECT MIN(id) FROM crossfade.quarantine"), NULL, 10);
    if (!ms_sink_retry_quarantine(sink, &bad, 1, &err))
        fail_msg("%s", err.text);
    expect("SELECT COUNT(*) FROM crossfade.quarantine", "4");
    /* Given up: the keys are free. */
    int64_t all[16];
    size_t n = 0;
    for (int64_t id = 0; id < 16; id++)
        all[n++] = bad + id;
    if (!ms_sink_skip_quarantine(sink, all, n, &err))
        fail_msg("%s", err.text);
    expect("SELECT COUNT(*) FROM crossfade.quarantine", "0");
    APPLY("I:q1:4,44,ok", "I:q1:5,55,ok");
    smooth();
}

static void test_a_stopped_table_parks_its_changes_in_order(void **state)
{
    (void)state;
    struct error err;
    bool empty = false;
    struct table *t =
        carry("s1", "CREATE TABLE dbo.s1 (a int NULL, b nvarchar(5) NULL)", "a int4, b text", 0);
    carry("s2", "CREATE TABLE dbo.s2 (a int NOT NULL PRIMARY KEY)", "a int4", 1);
    reopen();
    /* Without a key a refused row can't be set aside: the table stops, the others go on. */
    APPLY("I:s1:1,ok", "I:s1:2,far too long", "I:s2:1", "I:s1:3,ok");
    assert_non_null(strstr(stopped, "s1"));
    assert_int_equal(t->state, TABLE_STOPPED);
    assert_int_equal(counts[0].parked, 2);
    expect("SELECT a FROM dbo.s1", "1");
    expect("SELECT a FROM dbo.s2", "1");
    APPLY("D:s1:1,ok", "I:s2:2");
    expect("SELECT COUNT(*) FROM crossfade.parked", "3");
    reopen();
    ms_live_exec(&conn, "ALTER TABLE dbo.s1 ALTER COLUMN b nvarchar(20)");
    reopen();
    t->state = TABLE_STREAMING;
    stopped[0] = '\0';
    for (int i = 0; i < 5 && !empty; i++)
        if (!ms_sink_drain_parked(sink, t, 2, &empty, &err))
            fail_msg("%s", err.text);
    assert_true(empty);
    assert_string_equal(stopped, "");
    expect("SELECT a, b FROM dbo.s1 ORDER BY a", "2,far too long;3,ok");
    APPLY("I:s1:4,four");
    smooth();
    expect("SELECT COUNT(*) FROM dbo.s1", "3");
}

static void test_beyond_the_limit_nothing_is_kept_and_it_is_said(void **state)
{
    (void)state;
    struct error err;
    bool empty;
    struct table *t = carry("s3", "CREATE TABLE dbo.s3 (a int NOT NULL PRIMARY KEY)", "a int4", 1);
    park_limit = 100;
    reopen();
    t->state = TABLE_STOPPED;
    APPLY("I:s3:1");
    expect("SELECT COUNT(*) FROM crossfade.parked", "1");
    APPLY("I:s3:2", "I:s3:3", "I:s3:4", "I:s3:5", "I:s3:6");
    assert_non_null(strstr(stopped, "park_limit"));
    expect("SELECT DATALENGTH(change) FROM crossfade.parked", "0");
    reopen();
    APPLY("I:s3:7");
    expect("SELECT COUNT(*) FROM crossfade.parked", "1");
    assert_true(ms_sink_drain_parked(sink, t, 10, &empty, &err));
    assert_false(empty);
    assert_true(ms_sink_forget_parked(sink, t, &err));
    expect("SELECT COUNT(*) FROM crossfade.parked", "0");
}

static void test_a_zombie_writes_nothing(void **state)
{
    (void)state;
    struct error err;
    struct sink *newer;
    carry("z1", "CREATE TABLE dbo.z1 (id int NOT NULL PRIMARY KEY)", "id int4", 1);
    reopen();
    APPLY("I:z1:1");
    epoch = 2;
    if (!try_open(&newer, &err))
        fail_msg("%s", err.text);
    struct batch *b = transaction((const char *const[]){"I:z1:2", NULL});
    assert_false(apply_batch(b, &err));
    assert_int_equal(err.kind, ERROR_FENCED);
    expect("SELECT COUNT(*) FROM dbo.z1", "1");
    sink->ops->free(sink);
    sink = newer;
    APPLY("I:z1:3");
    epoch = 1;
    struct sink *late = NULL;
    assert_false(try_open(&late, &err));
    assert_int_equal(err.kind, ERROR_FENCED);
    assert_null(late);
    epoch = 3;
}

static void test_a_batch_is_applied_once(void **state)
{
    (void)state;
    struct error err;
    carry("o1", "CREATE TABLE dbo.o1 (id int NOT NULL PRIMARY KEY)", "id int4", 1);
    reopen();
    uint64_t before = lsn;
    APPLY("I:o1:1");
    assert_int_equal(result.flushed, result.flush_needed);
    /* The same again by one that has not heard of it: the row's position has moved. */
    struct sink *other;
    if (!try_open(&other, &err))
        fail_msg("%s", err.text);
    assert_int_equal(lsn, before + 16);
    struct batch *b = transaction((const char *const[]){"I:o1:2", NULL});
    memset(counts, 0, sizeof(counts));
    assert_true(sink->ops->apply(sink, b, counts, &result, &err));
    assert_false(other->ops->apply(other, b, counts, &result, &err));
    assert_int_equal(err.kind, ERROR_FENCED);
    batch_free(b);
    other->ops->free(other);
    expect("SELECT COUNT(*) FROM dbo.o1", "2");
    expect("SELECT CONVERT(nvarchar(19), source_commit_time, 121) FROM crossfade.progress WHERE lane = 0",
           "2023-11-14 22:13:20");
}

/* A piece of a source transaction: complete only at its end. */
static void piece(const char *const *changes, bool continues, bool complete)
{
    struct error err;
    struct batch *b = batch_new();
    struct transaction tx = {.xid = 9, .commit_time_us = 1700000000000000};
    tx.commit = position_lsn(lsn + 8);
    batch_begin(b, &tx);
    for (; *changes; changes++)
        add(b, *changes);
    b->continues = continues;
    if (complete) {
        tx.end = next_position();
        batch_commit(b, &tx);
    }
    b->complete = complete;
    if (!apply_batch(b, &err))
        fail_msg("%s", err.text);
}
#define PIECE(continues, complete, ...) piece((const char *const[]){__VA_ARGS__, NULL}, continues, complete)

static void test_a_transaction_in_pieces_is_one(void **state)
{
    (void)state;
    carry("p1", "CREATE TABLE dbo.p1 (id int NOT NULL PRIMARY KEY, a nvarchar(5) NULL)", "id int4, a text",
          1);
    for (set_rows = 1; set_rows < 1001; set_rows += 999) {
        ms_live_exec(&conn, "DELETE FROM dbo.p1; INSERT INTO dbo.p1 VALUES (3, N'there')");
        reopen();
        PIECE(false, false, "I:p1:1,a", "I:p1:2,b");
        smooth();
        /* Conflicts and a refused row in the middle: the pieces before and after stay. */
        PIECE(true, false, "I:p1:3,c", "I:p1:4,far too long", "I:p1:5,e");
        assert_true(result.replayed);
        assert_int_equal(counts[0].existing, 1);
        assert_int_equal(counts[0].quarantined, 1);
        PIECE(true, true, "U:p1:1,z", "D:p1:2");
        smooth();
        expect("SELECT id, a FROM dbo.p1 ORDER BY id", "1,z;3,c;5,e");
        /* The link is cut between two pieces: nothing of it was. */
        PIECE(false, false, "D:p1:1", "I:p1:8,h");
        PIECE(true, false, "D:p1:3");
        reopen();
        expect("SELECT id, a FROM dbo.p1 ORDER BY id", "1,z;3,c;5,e");
        expect("SELECT COUNT(*) FROM crossfade.quarantine", "1");
        ms_live_exec(&conn, "DELETE FROM crossfade.quarantine");
    }
}

/* A conversion that fails (245) dooms the transaction, whatever XACT_ABORT says. */
static void test_a_row_that_dooms_the_transaction_is_set_aside(void **state)
{
    (void)state;
    struct error err;
    carry(
        "x1",
        "CREATE TABLE dbo.x1 (id int NOT NULL PRIMARY KEY, x nvarchar(10) NULL CHECK (CONVERT(int, x) > 0))",
        "id int4, x text", 1);
    carry("x2", "CREATE TABLE dbo.x2 (id int NOT NULL PRIMARY KEY)", "id int4", 1);
    ms_live_exec(&conn, "INSERT INTO dbo.x2 VALUES (1)");
    reopen();
    APPLY_HERE("I:x1:1,11", "I:x2:1", "I:x1:2,bad", "I:x1:3,12", "I:x1:4,worse", "U:x1:2,13", "I:x2:2");
    assert_true(result.replayed);
    assert_int_equal(counts[0].quarantined, 3);
    assert_int_equal(counts[0].inserted, 2);
    assert_int_equal(counts[1].existing, 1);
    expect("SELECT id FROM dbo.x1 ORDER BY id", "1;3");
    expect("SELECT COUNT(*) FROM dbo.x2", "2");
    expect("SELECT op, CASE WHEN code = N'' THEN N'waits' ELSE N'refused' END FROM crossfade.quarantine "
           "ORDER BY id",
           "I,refused;I,refused;U,waits");
    /* In the middle of pieces the earlier ones go with it: or else nothing is lost, or the table stops and
     * all is to be applied again. */
    ms_live_exec(&conn, "DELETE FROM crossfade.quarantine");
    reopen();
    PIECE(false, false, "I:x1:5,11", "I:x2:5");
    struct batch *b = transaction((const char *const[]){"I:x1:6,bad", "I:x2:6", NULL});
    b->continues = true;
    if (apply_batch(b, &err)) {
        expect("SELECT COUNT(*) FROM crossfade.quarantine", "1");
        expect("SELECT COUNT(*) FROM dbo.x2", "4");
    } else {
        assert_int_equal(err.kind, ERROR_RETRY);
        assert_non_null(strstr(stopped, "x1"));
        reopen();
        expect("SELECT COUNT(*) FROM dbo.x2", "2");
        APPLY("I:x1:5,11", "I:x2:5", "I:x1:6,bad", "I:x2:6");
        expect("SELECT COUNT(*) FROM dbo.x2", "4");
        expect("SELECT COUNT(*) FROM crossfade.parked", "2");
    }
}

static void test_a_lock_that_is_not_given_is_tried_again_later(void **state)
{
    (void)state;
    struct error err;
    carry("l1", "CREATE TABLE dbo.l1 (id int NOT NULL PRIMARY KEY, a int NULL)", "id int4, a int4", 1);
    ms_live_exec(&conn, "INSERT INTO dbo.l1 VALUES (1, 1)");
    reopen();
    ms_live_exec(&conn, "BEGIN TRANSACTION; UPDATE dbo.l1 SET a = 2 WHERE id = 1");
    struct batch *b = transaction((const char *const[]){"I:l1:2,2", "U:l1:1,9", NULL});
    bool ok = apply_batch(b, &err);
    ms_live_exec(&conn, "ROLLBACK TRANSACTION");
    assert_false(ok);
    skip_foreign(&err);
    assert_int_equal(err.kind, ERROR_RETRY);
    reopen();
    expect("SELECT id, a FROM dbo.l1", "1,1");
    APPLY("I:l1:2,2", "U:l1:1,9");
    smooth();
    expect("SELECT COUNT(*) FROM crossfade.quarantine", "0");
}

static void test_many_rows_by_sets(void **state)
{
    (void)state;
    struct error err;
    enum { ROWS = 3000 };
    carry("m1",
          "CREATE TABLE dbo.m1 (id int NOT NULL PRIMARY KEY, a nvarchar(20) NULL, n decimal(18, 4) NULL)",
          "id int4, a text, n numeric", 1);
    reopen();
    struct batch *b = batch_new();
    for (int round = 0; round < 3; round++) {
        struct transaction tx = {.xid = 1};
        batch_reset(b);
        batch_begin(b, &tx);
        for (int i = 0; i < ROWS; i++) {
            char text[80];
            if (round == 2)
                snprintf(text, sizeof(text), "D:m1:%d", i);
            else
                snprintf(text, sizeof(text), "%c:m1:%d,row %d,%d.25", round ? 'U' : 'I', i, i + round, i);
            add(b, text);
        }
        tx.end = next_position();
        batch_commit(b, &tx);
        if (!sink->ops->apply(sink, b, counts, &result, &err))
            fail_msg("%s", err.text);
        smooth();
        expect("SELECT COUNT(*), MIN(id), MAX(id) FROM dbo.m1", round < 2 ? "3000,0,2999" : "0,-,-");
        if (round == 1)
            expect("SELECT a, n FROM dbo.m1 WHERE id = 17", "row 18,17.2500");
    }
    batch_free(b);
}

static void test_a_table_that_does_not_fit_stops_alone(void **state)
{
    (void)state;
    carry("fit", "CREATE TABLE dbo.fit (id int NOT NULL PRIMARY KEY)", "id int4", 1);
    struct table *t = carry("unfit", "CREATE TABLE dbo.unfit (id int NOT NULL PRIMARY KEY, u int NULL)",
                            "id int4, u uuid", 1);
    struct error why;
    reopen();
    assert_non_null(strstr(stopped, "unfit: "));
    assert_true(ms_sink_unfit(t, &catalog, &why));
    assert_false(ms_sink_unfit(tables.tables[0], &catalog, &why));
    APPLY("I:fit:1", "I:unfit:1,00112233-4455-6677-8899-aabbccddeeff");
    smooth();
    expect("SELECT COUNT(*) FROM dbo.fit", "1");
    assert_int_equal(counts[1].parked, 1);
}

/* Every transaction of ours has the progress row in it, under one commit LSN (DESIGN.md rule 7). */
static void test_the_captured_progress_row_marks_the_transaction(void **state)
{
    (void)state;
    struct error err;
    int64_t captured = 0;
    if (!marker_install(&conn, true, true, &err)) {
        print_message("not on this server: %s\n", err.text);
        skip();
    }
    carry("cap", "CREATE TABLE dbo.cap (id int NOT NULL PRIMARY KEY, a int NULL)", "id int4, a int4", 1);
    ms_live_exec(
        &conn,
        "EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'cap', @role_name = NULL, "
        "@capture_instance = N'dbo_cap', @supports_net_changes = 0");
    reopen();
    APPLY("I:cap:1,1", "I:cap:2,2");
    smooth();
    APPLY("I:cap:2,3", "U:cap:1,9"); /* replayed */
    APPLY("T:cap");                  /* refused for a captured table (4711): its rows are deleted */
    expect("SELECT COUNT(*) FROM dbo.cap", "0");
    for (int i = 0; i < 600 && captured < 4; i++) {
        if (!ms_query_int(&conn, "SELECT COUNT(*) FROM cdc.crossfade_progress_CT WHERE [__$operation] = 4",
                          &captured, &err))
            fail_msg("%s", err.text);
        (void)usleep(100000);
    }
    /* Insert 2, mend 2 (pairs), delete 2. */
    expect("SELECT COUNT(*) FROM cdc.dbo_cap_CT AS c WHERE NOT EXISTS (SELECT 1 FROM "
           "cdc.crossfade_progress_CT AS p WHERE "
           "p.[__$start_lsn] = c.[__$start_lsn])",
           "0");
    expect("SELECT COUNT(*), COUNT(DISTINCT c.[__$start_lsn]) FROM cdc.dbo_cap_CT AS c", "8,3");
}

static void test_rights_are_listed(void **state)
{
    (void)state;
    struct buffer out = {0};
    struct error err;
    carry("r1", "CREATE TABLE dbo.r1 (id int IDENTITY(1, 1) NOT NULL PRIMARY KEY)", "id int4", 1);
    read_catalog();
    if (!ms_sink_rights(&conn, &tables, &catalog, "app]user", &out, &err))
        fail_msg("%s", err.text);
    assert_string_equal(buffer_text(&out), "");
    for (uint32_t i = 0; i < catalog.count; i++)
        catalog.tables[i].can_update = catalog.tables[i].can_alter = false;
    if (!ms_sink_rights(&conn, &tables, &catalog, "app]user", &out, &err))
        fail_msg("%s", err.text);
    assert_string_equal(buffer_text(&out), "GRANT UPDATE, ALTER ON [dbo].[r1] TO [app]]user];\n");
    buffer_free(&out);
}

/* --- */

/* A test that failed leaves nothing to the next. */
static int after(void **state)
{
    (void)state;
    set_rows = bulk_rows = 0;
    close_all();
    return 0;
}

/* Not every server that speaks TDS understands the end of FreeTDS's bulk data. */
static void try_bulk(void)
{
    struct ms_conn other;
    struct ms_conn_options o = ms_live_options(&server, "bulk");
    struct error err;
    DBINT number = 7;
    o.bulk = true;
    if (!ms_conn_open(&other, &o, &err))
        fail_msg("%s", err.text);
    ms_live_exec(&other, "CREATE TABLE #b (a int NULL)");
    ms_conn_call(&other);
    bool ok = bcp_init(other.db, "#b", NULL, NULL, DB_IN) == SUCCEED &&
              bcp_bind(other.db, (BYTE *)&number, 0, -1, NULL, 0, SYBINT4, 1) == SUCCEED &&
              bcp_sendrow(other.db) == SUCCEED && bcp_done(other.db) == 1;
    has_bulk = ms_conn_called(&other, ok, &err);
    ms_conn_close(&other);
    print_message("bulk copy %s\n", has_bulk ? "works" : "does not work here");
}

static int setup(void **state)
{
    char sql[200];
    struct error err;
    (void)state;
    ms_live_open(&conn, &server, "setup");
    snprintf(database, sizeof(database), "cf_sink_%d", (int)getpid());
    snprintf(sql, sizeof(sql), "IF DB_ID(N'%s') IS NOT NULL DROP DATABASE %s", database, database);
    ms_live_exec(&conn, sql);
    snprintf(sql, sizeof(sql), "CREATE DATABASE %s", database);
    ms_live_exec(&conn, sql);
    snprintf(sql, sizeof(sql), "USE %s", database);
    ms_live_exec(&conn, sql);
    if (!marker_install(&conn, false, true, &err))
        fail_msg("%s", err.text);
    try_bulk();
    return 0;
}

static int teardown(void **state)
{
    char sql[200];
    struct error ignored;
    (void)state;
    if (sink)
        sink->ops->free(sink);
    ms_catalog_free(&catalog);
    table_set_free(&tables);
    ms_live_exec(&conn, "USE master");
    snprintf(sql, sizeof(sql), "DROP DATABASE %s", database);
    (void)!ms_exec(&conn, sql, &ignored);
    ms_conn_close(&conn);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_every_operation_row_by_row, after),
        cmocka_unit_test_teardown(test_every_operation_by_lists, after),
        cmocka_unit_test_teardown(test_every_operation_by_bulk_copy, after),
        cmocka_unit_test_teardown(test_types_both_ways, after),
        cmocka_unit_test_teardown(test_identity_and_computed_columns, after),
        cmocka_unit_test_teardown(test_rows_without_a_key_are_matched_with_multiplicity, after),
        cmocka_unit_test_teardown(test_foreign_keys_give_the_order, after),
        cmocka_unit_test_teardown(test_conflicts_are_mended_counted_and_named, after),
        cmocka_unit_test_teardown(test_refused_rows_go_to_quarantine_with_what_follows, after),
        cmocka_unit_test_teardown(test_a_stopped_table_parks_its_changes_in_order, after),
        cmocka_unit_test_teardown(test_beyond_the_limit_nothing_is_kept_and_it_is_said, after),
        cmocka_unit_test_teardown(test_a_zombie_writes_nothing, after),
        cmocka_unit_test_teardown(test_a_batch_is_applied_once, after),
        cmocka_unit_test_teardown(test_a_transaction_in_pieces_is_one, after),
        cmocka_unit_test_teardown(test_a_row_that_dooms_the_transaction_is_set_aside, after),
        cmocka_unit_test_teardown(test_a_lock_that_is_not_given_is_tried_again_later, after),
        cmocka_unit_test_teardown(test_many_rows_by_sets, after),
        cmocka_unit_test_teardown(test_a_table_that_does_not_fit_stops_alone, after),
        cmocka_unit_test_teardown(test_rights_are_listed, after),
        cmocka_unit_test_teardown(test_the_captured_progress_row_marks_the_transaction, after),
    };
    server = ms_live_need();
    cmocka_set_test_filter(getenv("CROSSFADE_TEST_FILTER"));
    return cmocka_run_group_tests(tests, setup, teardown);
}
