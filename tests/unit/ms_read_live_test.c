/* SPDX-License-Identifier: PostgreSQL
 *
 * Reading a SQL Server: its catalog, chunks of a table by keys of every kind, rows as COPY BINARY. In a
 * database of its own, which is dropped in the end.
 */
#include "ms_live.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "mssql/catalog.h"
#include "mssql/copy_out.h"

static struct config_sqlserver server;
static struct ms_conn conn;
static char database[40];
static struct ms_catalog catalog;

static void read_catalog(void)
{
    struct error err;
    ms_catalog_free(&catalog);
    if (!ms_catalog_read(&conn, &catalog, &err))
        fail_msg("%s", err.text);
}

static const struct ms_catalog_table *need_table(const char *name)
{
    read_catalog();
    const struct ms_catalog_table *t = ms_catalog_find(&catalog, "dbo", name);
    assert_non_null(t);
    return t;
}

/* --- catalog --- */

static void test_catalog_tells_columns_keys_and_indexes(void **state)
{
    (void)state;
    ms_live_exec(&conn,
                 "CREATE TABLE dbo.parent (a int NOT NULL, b nvarchar(20) NOT NULL, PRIMARY KEY (a, b))");
    ms_live_exec(
        &conn,
        "CREATE TABLE dbo.child (id bigint IDENTITY(5, 2) NOT NULL PRIMARY KEY, a int NULL, b nvarchar(20)"
        " NULL, price decimal(12, 3) NOT NULL DEFAULT (1.5), twice AS price * 2, long nvarchar(max) NULL,"
        " CONSTRAINT fk FOREIGN KEY (a, b) REFERENCES dbo.parent (a, b))");
    ms_live_exec(&conn, "CREATE UNIQUE INDEX by_price ON dbo.child (price, a) INCLUDE (b)");
    const struct ms_catalog_table *t = need_table("child");
    assert_int_equal(t->column_count, 6);
    const struct ms_catalog_column *id = ms_catalog_column(t, "id"), *price = ms_catalog_column(t, "price");
    assert_true(id->identity && !id->nullable);
    assert_string_equal(id->identity_seed, "5");
    assert_string_equal(id->identity_increment, "2");
    assert_int_equal(price->type.type->id, MS_DECIMAL);
    assert_int_equal(price->type.precision, 12);
    assert_int_equal(price->type.scale, 3);
    assert_non_null(price->default_text);
    assert_true(ms_catalog_column(t, "twice")->computed);
    assert_int_equal(ms_catalog_column(t, "long")->type.max_length, -1);
    assert_int_equal(ms_catalog_column(t, "b")->type.max_length, 40);
    assert_non_null(ms_catalog_column(t, "b")->type.collation);
    assert_true(t->can_select);
    const struct ms_index *primary = NULL, *by_price = NULL;
    for (uint16_t i = 0; i < t->index_count; i++) {
        if (t->indexes[i].primary)
            primary = &t->indexes[i];
        if (t->indexes[i].name && strncmp(t->indexes[i].name, "by_price", 8) == 0)
            by_price = &t->indexes[i];
    }
    assert_non_null(primary);
    assert_int_equal(primary->key_count, 1);
    assert_non_null(by_price);
    assert_true(by_price->unique);
    assert_int_equal(by_price->key_count, 2);
    assert_int_equal(by_price->columns[0].column, ms_catalog_column_at(t, "price"));
    assert_int_equal(catalog.foreign_key_count, 1);
    assert_int_equal(catalog.foreign_keys[0].child, t->object_id);
    assert_int_equal(catalog.foreign_keys[0].column_count, 2);
    ms_live_exec(&conn, "DROP TABLE dbo.child; DROP TABLE dbo.parent");
}

/* --- chunks --- */

static struct table *carried(const struct ms_catalog_table *source, const char *const *key,
                             uint16_t key_count)
{
    struct table *t = table_new();
    t->from_schema = mem_strdup(source->schema);
    t->from_name = mem_strdup(source->name);
    t->from = mem_strdup(source->name);
    t->columns = mem_alloc(source->column_count * sizeof(*t->columns));
    t->column_count = source->column_count;
    for (uint16_t i = 0; i < source->column_count; i++) {
        t->columns[i].source = mem_strdup(source->columns[i].name);
        t->columns[i].source_type.oid = ms_type_carrier(source->columns[i].type.type)->oid;
    }
    t->key = mem_alloc((key_count + (size_t)1) * sizeof(*t->key));
    for (t->key_count = 0; t->key_count < key_count; t->key_count++)
        t->key[t->key_count] = (uint16_t)ms_catalog_column_at(source, key[t->key_count]);
    return t;
}

static bool gather(void *context, const char *data, size_t size, struct error *err)
{
    (void)err;
    buffer_put(context, data, size);
    return true;
}

/* Chunks of `rows` by the key: every row in exactly one, whatever the server's order is. */
static void check_chunks(const char *name, const char *const *key, uint16_t count, int64_t rows,
                         uint64_t total)
{
    const struct ms_catalog_table *source = need_table(name);
    struct table *t = carried(source, key, count);
    struct ms_copy copy;
    struct error err;
    char **low = NULL, **high = NULL;
    uint64_t sum = 0, chunks = 0;
    if (!ms_copy_open(&catalog, t, NULL, 0, &copy, &err))
        fail_msg("%s", err.text);
    assert_true(copy.key.supported && copy.key.indexed);
    do {
        uint64_t n = 0;
        struct buffer out = {0};
        if (!ms_keyset_border(&conn, &copy.key, low, rows, &high, &err) ||
            !ms_copy_run(&conn, &copy, low, high, gather, &out, NULL, &n, &err))
            fail_msg("%s", err.text);
        if (high)
            assert_int_equal(n, rows);
        sum += n;
        chunks++;
        free(low);
        low = high;
        buffer_free(&out);
    } while (high);
    assert_int_equal(sum, total);
    assert_int_equal(chunks, total / (uint64_t)rows + 1);
    ms_copy_close(&copy);
    table_free(t);
}

static const char numbers[] = " FROM (SELECT a.n + 7 * b.n + 49 * c.n AS n FROM dbo.digits AS a"
                              " CROSS JOIN dbo.digits AS b CROSS JOIN dbo.digits AS c) AS s";

/* Makes dbo.k with 343 rows whose key is made by `values` out of s.n. */
static void check_key(const char *declared, const char *key_text, const char *values)
{
    struct buffer sql = {0};
    const char *names[4];
    uint16_t count = 0;
    char *list = mem_strdup(key_text), *rest = list;
    for (char *name; (name = strsep(&rest, " ,"));) {
        if (*name && strcmp(name, "DESC") != 0)
            names[count++] = name;
    }
    ms_live_exec(&conn, "DROP TABLE IF EXISTS dbo.k");
    buffer_printf(&sql, "CREATE TABLE dbo.k (%s, note nvarchar(10) NULL, CONSTRAINT pk PRIMARY KEY (%s))",
                  declared, key_text);
    ms_live_exec(&conn, buffer_text(&sql));
    buffer_clear(&sql);
    buffer_printf(&sql, "INSERT INTO dbo.k SELECT %s, NULL%s", values, numbers);
    ms_live_exec(&conn, buffer_text(&sql));
    check_chunks("k", names, count, 50, 343);
    check_chunks("k", names, count, 1000, 343);
    ms_live_exec(&conn, "DROP TABLE dbo.k");
    buffer_free(&sql);
    free(list);
}

static void test_chunks_by_integers(void **state)
{
    (void)state;
    check_key("a int NOT NULL", "a", "n * 3 - 500");
    check_key("a smallint NOT NULL, b bigint NOT NULL", "a, b", "n % 5, n * 10000000000");
}

/* Hazard 18: GUIDs sort by their last six bytes there. */
static void test_chunks_by_guid(void **state)
{
    (void)state;
    check_key("a uniqueidentifier NOT NULL", "a", "NEWID()");
}

static void test_chunks_by_text_in_the_columns_collation(void **state)
{
    (void)state;
    check_key("a nvarchar(40) NOT NULL, b int NOT NULL", "a, b",
              "CASE n % 5 WHEN 0 THEN N'co-op' WHEN 1 THEN N'coop' WHEN 2 THEN N'Ä''x' WHEN 3 THEN N''"
              " ELSE N'z ' END, n");
    check_key("a varchar(40) NOT NULL, b int NOT NULL", "a, b",
              "CASE n % 5 WHEN 0 THEN 'co-op' WHEN 1 THEN 'coop' WHEN 2 THEN 'CO' WHEN 3 THEN '' ELSE 'z''' "
              "END, n");
}

static void test_chunks_by_text_outside_of_any_code_page(void **state)
{
    (void)state;
    check_key("a nvarchar(40) NOT NULL, b int NOT NULL", "a, b",
              "CASE n % 3 WHEN 0 THEN N'日本' WHEN 1 THEN N'😀' ELSE N'я' END, n");
}

static void test_chunks_by_numbers(void **state)
{
    (void)state;
    check_key("a decimal(20, 4) NOT NULL", "a", "n * 1.0001 - 100");
    check_key("a float NOT NULL", "a", "CONVERT(float, n) / 3 - 50");
    check_key("a money NOT NULL", "a", "n * 0.0001 - 0.01");
}

static void test_chunks_by_time(void **state)
{
    (void)state;
    check_key("a datetime NOT NULL", "a",
              "DATEADD(millisecond, n * 7, CONVERT(datetime, '2026-01-01T00:00:00'))");
    check_key("a datetime2(7) NOT NULL", "a",
              "DATEADD(second, n * 777, CONVERT(datetime2(7), '0990-01-01T00:00:00'))");
    check_key("a date NOT NULL", "a", "DATEADD(day, n, CONVERT(date, '1999-12-01'))");
}

static void test_chunks_by_binary(void **state)
{
    (void)state;
    check_key("a varbinary(8) NOT NULL", "a", "CONVERT(varbinary(8), CONVERT(int, n * 65537))");
}

static void test_chunks_of_a_descending_key(void **state)
{
    (void)state;
    check_key("a int NOT NULL, b int NOT NULL", "a DESC, b", "n % 9, n");
}

/* --- rows --- */

static uint32_t u32(const char *at)
{
    uint32_t v;
    memcpy(&v, at, 4);
    return be32toh(v);
}

static void copy_whole(const char *name, int64_t value_limit, struct buffer *out, uint64_t *rows, bool good)
{
    const char *const key[] = {"id"};
    const struct ms_catalog_table *source = need_table(name);
    struct table *t = carried(source, key, 1);
    struct ms_copy copy;
    struct error err = {0};
    _Atomic uint64_t passed = 0;
    if (!ms_copy_open(&catalog, t, NULL, value_limit, &copy, &err))
        fail_msg("%s", err.text);
    bool ok = ms_copy_run(&conn, &copy, NULL, NULL, gather, out, &passed, rows, &err);
    if (ok != good)
        fail_msg("%s", ok ? "it was not refused" : err.text);
    if (!ok) {
        assert_int_equal(err.kind, ERROR_TABLE);
        assert_non_null(strstr(err.text, "id = 1"));
        assert_true(ms_conn_alive(&conn));
        assert_string_equal(ms_live_ask(&conn, "SELECT @@TRANCOUNT"), "0");
    } else {
        assert_int_equal(passed, *rows);
    }
    ms_copy_close(&copy);
    table_free(t);
}

static void test_rows_are_tuples_of_copy_binary(void **state)
{
    (void)state;
    struct buffer out = {0};
    uint64_t rows = 0;
    ms_live_exec(&conn, "DROP TABLE IF EXISTS dbo.r");
    ms_live_exec(&conn,
                 "CREATE TABLE dbo.r (id int NOT NULL PRIMARY KEY, t nvarchar(10) NULL, m nvarchar(max) NULL,"
                 " v varchar(10) NULL)");
    ms_live_exec(&conn, "INSERT INTO dbo.r VALUES (1, N'ä😀', N'', NULL)");
    copy_whole("r", 100, &out, &rows, true);
    assert_int_equal(rows, 1);
    const char *at = out.data + 19;
    static const char tuple[] = "\0\4"
                                "\0\0\0\4\0\0\0\1"
                                "\0\0\0\6\xc3\xa4\xf0\x9f\x98\x80"
                                "\0\0\0\0"
                                "\xff\xff\xff\xff"
                                "\xff\xff";
    assert_int_equal(out.length, 19 + sizeof(tuple) - 1);
    assert_memory_equal(at, tuple, sizeof(tuple) - 1);
    assert_int_equal(u32(at + 2), 4);
    buffer_free(&out);
    ms_live_exec(&conn, "DROP TABLE dbo.r");
}

/* Fact 8: half a surrogate pair becomes '?', or is cut, in the client library; here it is refused by name. */
static void test_half_a_surrogate_pair_is_refused(void **state)
{
    (void)state;
    struct buffer out = {0};
    uint64_t rows;
    ms_live_exec(&conn, "DROP TABLE IF EXISTS dbo.r");
    ms_live_exec(&conn, "CREATE TABLE dbo.r (id int NOT NULL PRIMARY KEY, t nvarchar(10) NULL)");
    struct error err;
    if (!ms_exec(&conn, "INSERT INTO dbo.r VALUES (1, N'a' + NCHAR(55357))", &err) ||
        strcmp(ms_live_ask(&conn, "SELECT CONVERT(varchar(20), CONVERT(varbinary(8), t), 1) FROM dbo.r"),
               "0x61003DD8") != 0)
        print_message("this server can't hold half a pair\n");
    else
        copy_whole("r", 0, &out, &rows, false);
    buffer_free(&out);
    ms_live_exec(&conn, "DROP TABLE dbo.r");
}

/* Hazard 31. */
static void test_value_over_the_limit_is_refused_not_cut(void **state)
{
    (void)state;
    struct buffer out = {0};
    uint64_t rows = 0;
    ms_live_exec(&conn, "DROP TABLE IF EXISTS dbo.r");
    ms_live_exec(&conn, "CREATE TABLE dbo.r (id int NOT NULL PRIMARY KEY, m nvarchar(max) NULL)");
    ms_live_exec(&conn, "INSERT INTO dbo.r VALUES (1, REPLICATE(CONVERT(nvarchar(max), N'x'), 5000))");
    copy_whole("r", 4000, &out, &rows, false);
    buffer_clear(&out);
    copy_whole("r", 20000, &out, &rows, true);
    assert_int_equal(out.length, 19 + 2 + 8 + 4 + 5000 + 2);
    buffer_free(&out);
    ms_live_exec(&conn, "DROP TABLE dbo.r");
}

static void test_locked_table_copied_under_one_view(void **state)
{
    (void)state;
    const char *const key[] = {"id"};
    struct buffer out = {0};
    struct ms_copy copy;
    struct error err;
    uint64_t rows = 0;
    ms_live_exec(&conn, "DROP TABLE IF EXISTS dbo.r");
    ms_live_exec(&conn, "CREATE TABLE dbo.r (id int NOT NULL PRIMARY KEY)");
    ms_live_exec(&conn, "INSERT INTO dbo.r VALUES (1), (2)");
    struct table *t = carried(need_table("r"), key, 0);
    if (!ms_copy_open(&catalog, t, NULL, 0, &copy, &err) || !ms_copy_lock(&conn, &copy, &err) ||
        !ms_copy_rows(&conn, &copy, NULL, NULL, gather, &out, NULL, &rows, &err) ||
        !ms_copy_unlock(&conn, &err))
        fail_msg("%s", err.text);
    assert_int_equal(rows, 2);
    ms_copy_close(&copy);
    table_free(t);
    buffer_free(&out);
    ms_live_exec(&conn, "DROP TABLE dbo.r");
}

static int setup(void **state)
{
    (void)state;
    char sql[120];
    struct ms_conn_options options = ms_live_options(&server, "read_test");
    struct error err;
    ms_live_open(&conn, &server, "read_test");
    snprintf(database, sizeof(database), "cf_read_%d", (int)getpid());
    snprintf(sql, sizeof(sql), "CREATE DATABASE %s", database);
    ms_live_exec(&conn, sql);
    ms_conn_close(&conn);
    options.database = database;
    if (!ms_conn_open(&conn, &options, &err))
        fail_msg("%s", err.text);
    ms_live_exec(&conn, "CREATE TABLE dbo.digits (n int NOT NULL)");
    ms_live_exec(&conn, "INSERT INTO dbo.digits (n) VALUES (0), (1), (2), (3), (4), (5), (6)");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char sql[120];
    ms_catalog_free(&catalog);
    ms_conn_close(&conn);
    ms_live_open(&conn, &server, "read_test");
    snprintf(sql, sizeof(sql), "DROP DATABASE %s", database);
    ms_live_exec(&conn, sql);
    ms_conn_close(&conn);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_catalog_tells_columns_keys_and_indexes),
        cmocka_unit_test(test_chunks_by_integers),
        cmocka_unit_test(test_chunks_by_guid),
        cmocka_unit_test(test_chunks_by_text_in_the_columns_collation),
        cmocka_unit_test(test_chunks_by_text_outside_of_any_code_page),
        cmocka_unit_test(test_chunks_by_numbers),
        cmocka_unit_test(test_chunks_by_time),
        cmocka_unit_test(test_chunks_by_binary),
        cmocka_unit_test(test_chunks_of_a_descending_key),
        cmocka_unit_test(test_rows_are_tuples_of_copy_binary),
        cmocka_unit_test(test_half_a_surrogate_pair_is_refused),
        cmocka_unit_test(test_value_over_the_limit_is_refused_not_cut),
        cmocka_unit_test(test_locked_table_copied_under_one_view),
    };
    server = ms_live_need();
    return cmocka_run_group_tests(tests, setup, teardown);
}
