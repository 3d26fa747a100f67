/* SPDX-License-Identifier: PostgreSQL
 *
 * How fast the SQL Server sink applies: rows inserted, updated and deleted by batches, into a table of 15
 * mixed columns of a database of its own; and single-row transactions. For the reverse direction's figures by
 * hand:
 *
 *   ms_apply HOST:PORT:USER:PASSWORD ROWS [SET_ROWS [BULK_ROWS]]
 *
 * The table and its rows stay for `freebcp` to be measured beside it: the program prints how.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "mssql/marker.h"
#include "mssql/ms_sink.h"
#include "mssql/shim.h"

static const char create[] = "IF OBJECT_ID(N'dbo.bench', N'U') IS NOT NULL DROP TABLE dbo.bench; CREATE "
                             "TABLE dbo.bench (id int NOT NULL PRIMARY "
                             "KEY, a int NULL, b bigint NULL, c nvarchar(40) NULL, d nvarchar(100) NULL, e "
                             "varchar(20) NULL, f decimal(18, 4) NULL, "
                             "g float NULL, h bit NULL, i datetime2(3) NULL, j date NULL, k uniqueidentifier "
                             "NULL, l nvarchar(20) NULL, m int NULL, n "
                             "smallint NULL); CREATE INDEX bench_a ON dbo.bench (a)";
static const struct {
    const char *name;
    uint32_t oid;
} columns[] = {{"id", MS_OID_INT4}, {"a", MS_OID_INT4},      {"b", MS_OID_INT8},    {"c", MS_OID_TEXT},
               {"d", MS_OID_TEXT},  {"e", MS_OID_TEXT},      {"f", MS_OID_NUMERIC}, {"g", MS_OID_FLOAT8},
               {"h", MS_OID_BOOL},  {"i", MS_OID_TIMESTAMP}, {"j", MS_OID_DATE},    {"k", MS_OID_UUID},
               {"l", MS_OID_TEXT},  {"m", MS_OID_INT4},      {"n", MS_OID_INT2}};
enum { COLUMNS = sizeof(columns) / sizeof(columns[0]) };

static struct table *make_table(void)
{
    struct table *t = table_new();
    t->from = mem_strdup("public.bench");
    t->from_schema = mem_strdup("public");
    t->from_name = mem_strdup("bench");
    t->to = mem_strdup("dbo.bench");
    t->to_schema = mem_strdup("dbo");
    t->to_name = mem_strdup("bench");
    t->columns = mem_alloc(COLUMNS * sizeof(*t->columns));
    t->column_count = COLUMNS;
    for (int i = 0; i < COLUMNS; i++) {
        t->columns[i].source = mem_strdup(columns[i].name);
        t->columns[i].sink = mem_strdup(columns[i].name);
        t->columns[i].source_type.oid = t->columns[i].source_type.base_oid = columns[i].oid;
        t->columns[i].key_bytewise = true;
    }
    t->columns[0].key = true;
    t->key = mem_alloc(sizeof(*t->key));
    t->key_count = 1;
    t->key_hashable = true;
    t->state = TABLE_STREAMING;
    return t;
}

static void add(struct batch *b, struct table *t, enum change_op op, int id, int round)
{
    char text[COLUMNS][120];
    struct value row[COLUMNS];
    const char *const fixed[] = {"2024-02-29 12:34:56.789", "2024-02-29"};
    snprintf(text[0], 120, "%d", id);
    snprintf(text[1], 120, "%d", id % 1000 + round);
    snprintf(text[2], 120, "%lld", 5000000000LL + id);
    snprintf(text[3], 120, "name of the row %d", id + round);
    snprintf(text[4], 120, "a somewhat longer text that says little about %d", id);
    snprintf(text[5], 120, "code%d", id % 100);
    snprintf(text[6], 120, "%d.2500", id);
    snprintf(text[7], 120, "%d.5", id);
    snprintf(text[8], 120, "%s", id % 2 ? "t" : "f");
    snprintf(text[9], 120, "%s", fixed[0]);
    snprintf(text[10], 120, "%s", fixed[1]);
    snprintf(text[11], 120, "00112233-4455-6677-8899-%012d", id);
    snprintf(text[12], 120, "tag %d", id % 7);
    snprintf(text[13], 120, "%d", round);
    snprintf(text[14], 120, "%d", id % 30000);
    for (int i = 0; i < COLUMNS; i++)
        row[i] = (struct value){text[i], (uint32_t)strlen(text[i]), VALUE_TEXT};
    struct change c = {.table = t, .op = op};
    if (op == CHANGE_DELETE) {
        for (int i = 1; i < COLUMNS; i++)
            row[i] = (struct value){0};
        c.old = row;
        c.old_kind = OLD_KEY;
    } else {
        c.row = row;
    }
    batch_append(b, &c);
}

static void die(const struct error *err)
{
    fprintf(stderr, "ms_apply: %s\n", err->text);
    exit(1);
}

/* `size` rows a transaction. */
static void run(struct sink *sink, struct table *t, enum change_op op, int rows, int size, int round)
{
    static uint64_t lsn = 16;
    static const char *const names[] = {"insert", "update", "delete"};
    struct batch *b = batch_new();
    struct sink_counts counts;
    struct sink_result result;
    struct error err;
    int64_t spent = 0;
    int replayed = 0;
    for (int at = 0; at < rows; at += size) {
        struct transaction tx = {
            .xid = 1, .end = position_lsn(lsn += 16), .commit_time_us = 1700000000000000};
        batch_reset(b);
        batch_begin(b, &tx);
        for (int i = at; i < at + size && i < rows; i++)
            add(b, t, op, i, round);
        batch_commit(b, &tx);
        int64_t start = clock_us();
        if (!sink->ops->apply(sink, b, &counts, &result, &err))
            die(&err);
        spent += clock_us() - start;
        replayed += result.replayed;
    }
    printf("%s %d rows, %d a transaction: %.3f s, %.0f rows/s, %.2f ms a transaction%s\n", names[op], rows,
           size, (double)spent / 1e6, rows * 1e6 / (double)spent,
           (double)spent / 1e3 / ((rows + size - 1) / size), replayed ? " (replayed!)" : "");
    batch_free(b);
}

int main(int argc, char **argv)
{
    struct config_sqlserver server = {.encrypt = SQLSERVER_REQUEST};
    struct table_set tables = {0};
    struct ms_catalog catalog;
    struct ms_conn conn;
    struct error err;
    struct position at;
    struct sink *sink;
    if (argc < 3)
        return 2;
    char *rest = mem_strdup(argv[1]), database[] = "master";
    server.host = strsep(&rest, ":");
    server.port = atoi(strsep(&rest, ":"));
    server.user = strsep(&rest, ":");
    server.password = rest;
    server.database = database;
    int rows = atoi(argv[2]);
    struct ms_sink_options o = {
        .conn = {.server = &server, .pipeline = "bench", .job = "apply", .endpoint = "legacy"},
        .stream = "reverse",
        .epoch = clock_wall_us(),
        .tables = &tables,
        .catalog = &catalog,
        .park_limit = 1 << 20,
        .quarantine_limit = 100,
        .set_rows = argc > 3 ? (size_t)atoi(argv[3]) : 0,
        .bulk_rows = argc > 4 ? (size_t)atoi(argv[4]) : 0};
    if (!ms_shim_start(&err) || !ms_conn_open(&conn, &o.conn, &err) ||
        !ms_exec(&conn, "IF DB_ID(N'cf_bench') IS NULL CREATE DATABASE cf_bench", &err) ||
        !ms_exec(&conn, "USE cf_bench", &err) || !marker_install(&conn, false, true, &err) ||
        !ms_exec(&conn, create, &err) || !ms_exec(&conn, "DELETE FROM crossfade.progress", &err) ||
        !ms_catalog_read(&conn, &catalog, &err))
        die(&err);
    o.conn.database = "cf_bench";
    table_set_add(&tables, make_table());
    if (!ms_sink_open(&o, &sink, &at, &err))
        die(&err);
    struct table *t = tables.tables[0];
    static const int sizes[] = {1, 4, 8, 16, 32, 64, 128};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        run(sink, t, CHANGE_INSERT, 20 * sizes[i], sizes[i], 0);
        run(sink, t, CHANGE_UPDATE, 20 * sizes[i], sizes[i], 1);
        run(sink, t, CHANGE_DELETE, 20 * sizes[i], sizes[i], 0);
    }
    run(sink, t, CHANGE_INSERT, rows, 20000, 0);
    run(sink, t, CHANGE_UPDATE, rows, 20000, 1);
    run(sink, t, CHANGE_DELETE, rows, 20000, 0);
    run(sink, t, CHANGE_INSERT, rows, 20000, 2);
    printf("freebcp cf_bench.dbo.bench out rows.txt -c -S %s:%d -U %s -P …; then in, into an empty copy\n",
           server.host, server.port, server.user);
    sink->ops->free(sink);
    ms_catalog_free(&catalog);
    table_set_free(&tables);
    ms_conn_close(&conn);
    return 0;
}
