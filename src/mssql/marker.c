/* SPDX-License-Identifier: PostgreSQL */
#include "mssql/marker.h"

#include <assert.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "mssql/cdc_lsn.h"
#include "mssql/sql.h"

enum { LOOK_MS = 100 };

/* --- the script --- */

static const char create_schema[] =
    "IF SCHEMA_ID(N'crossfade') IS NULL EXEC (N'CREATE SCHEMA [crossfade] AUTHORIZATION [dbo]')";

/* Token last: the key keeps one row a pipeline and purpose small. */
static const char create_marker[] =
    "IF OBJECT_ID(N'crossfade.marker', N'U') IS NULL\n"
    "CREATE TABLE [crossfade].[marker] (\n"
    "    [pipeline] nvarchar(31) COLLATE Latin1_General_BIN2 NOT NULL PRIMARY KEY CLUSTERED,\n"
    "    [token] uniqueidentifier NOT NULL,\n"
    "    [written_at] datetime2(3) NOT NULL\n"
    ")";

static const char create_progress[] = "IF OBJECT_ID(N'crossfade.progress', N'U') IS NULL\n"
                                      "CREATE TABLE [crossfade].[progress] (\n"
                                      "    [pipeline] nvarchar(31) COLLATE Latin1_General_BIN2 NOT NULL,\n"
                                      "    [stream] nvarchar(31) COLLATE Latin1_General_BIN2 NOT NULL,\n"
                                      "    [lane] int NOT NULL,\n"
                                      "    [position] nvarchar(64) COLLATE Latin1_General_BIN2 NOT NULL,\n"
                                      "    [source_commit_time] datetime2(6) NULL,\n"
                                      "    [epoch] bigint NOT NULL,\n"
                                      "    [written_at] datetime2(3) NOT NULL,\n"
                                      "    PRIMARY KEY CLUSTERED ([pipeline], [stream], [lane])\n"
                                      ")";

/* What waits in the reverse direction (DESIGN.md rules 8 and 9): it lives where it would have been written.
 */
static const char create_parked[] = "IF OBJECT_ID(N'crossfade.parked', N'U') IS NULL\n"
                                    "CREATE TABLE [crossfade].[parked] (\n"
                                    "    [seq] bigint IDENTITY(1,1) NOT NULL,\n"
                                    "    [pipeline] nvarchar(31) COLLATE Latin1_General_BIN2 NOT NULL,\n"
                                    "    [table_name] nvarchar(300) COLLATE Latin1_General_BIN2 NOT NULL,\n"
                                    "    [position] nvarchar(64) COLLATE Latin1_General_BIN2 NOT NULL,\n"
                                    "    [change] varbinary(max) NOT NULL,\n"
                                    "    PRIMARY KEY CLUSTERED ([pipeline], [table_name], [seq])\n"
                                    ")";

static const char create_quarantine[] =
    "IF OBJECT_ID(N'crossfade.quarantine', N'U') IS NULL\n"
    "CREATE TABLE [crossfade].[quarantine] (\n"
    "    [id] bigint IDENTITY(1,1) NOT NULL,\n"
    "    [pipeline] nvarchar(31) COLLATE Latin1_General_BIN2 NOT NULL,\n"
    "    [table_name] nvarchar(300) COLLATE Latin1_General_BIN2 NOT NULL,\n"
    "    [key] varbinary(max) NOT NULL,\n"
    "    [key_text] nvarchar(max) NOT NULL,\n"
    "    [position] nvarchar(64) COLLATE Latin1_General_BIN2 NOT NULL,\n"
    "    [op] nchar(1) NOT NULL,\n"
    "    [change] varbinary(max) NOT NULL,\n"
    "    [code] nvarchar(8) NOT NULL,\n"
    "    [message] nvarchar(max) NOT NULL,\n"
    "    [at] datetime2(3) NOT NULL DEFAULT SYSUTCDATETIME(),\n"
    "    PRIMARY KEY CLUSTERED ([pipeline], [table_name], [id])\n"
    ")";

static const char enable_database[] = "IF NOT EXISTS (SELECT 1 FROM sys.databases AS d WHERE d.database_id = "
                                      "DB_ID() AND d.is_cdc_enabled = 1)\n"
                                      "EXEC sys.sp_cdc_enable_db";

static void put_enable_table(const char *name, struct buffer *out)
{
    buffer_printf(out,
                  "IF NOT EXISTS (SELECT 1 FROM cdc.change_tables AS c"
                  " WHERE c.source_object_id = OBJECT_ID(N'crossfade.%s'))\n"
                  "EXEC sys.sp_cdc_enable_table @source_schema = N'crossfade', @source_name = N'%s',"
                  " @role_name = NULL, @capture_instance = N'crossfade_%s', @supports_net_changes = 0",
                  name, name, name);
}

static void put_grants(const char *login, struct buffer *out)
{
    buffer_puts(out, "GRANT SELECT, INSERT, UPDATE, DELETE ON SCHEMA::[crossfade] TO ");
    ms_sql_ident(out, login);
    buffer_puts(out, ";\nGRANT SELECT ON SCHEMA::[cdc] TO ");
    ms_sql_ident(out, login);
    buffer_puts(out, ";\nGRANT VIEW DATABASE STATE TO ");
    ms_sql_ident(out, login);
}

typedef bool on_batch(void *context, const char *sql, struct error *err);

/* Each a batch of its own: a later one may name what an earlier one made. */
static bool each_batch(bool cdc, bool progress, const char *login, on_batch *take, void *context,
                       struct error *err)
{
    struct buffer sql = {0};
    bool ok = take(context, create_schema, err) && take(context, create_marker, err) &&
              (!progress || (take(context, create_progress, err) && take(context, create_parked, err) &&
                             take(context, create_quarantine, err))) &&
              (!cdc || take(context, enable_database, err));
    const char *const names[] = {"marker", "progress"};
    for (int i = 0; ok && cdc && i < 1 + progress; i++) {
        buffer_clear(&sql);
        put_enable_table(names[i], &sql);
        ok = take(context, buffer_text(&sql), err);
    }
    if (ok && login) {
        buffer_clear(&sql);
        put_grants(login, &sql);
        ok = take(context, buffer_text(&sql), err);
    }
    buffer_free(&sql);
    return ok;
}

static bool print_batch(void *context, const char *sql, struct error *err)
{
    (void)err;
    buffer_printf(context, "%s;\nGO\n", sql);
    return true;
}

void marker_script(bool cdc, bool progress, const char *login, struct buffer *out)
{
    struct error err;
    bool ok = each_batch(cdc, progress, login, print_batch, out, &err);
    assert(ok);
    (void)ok;
}

static bool run_batch(void *context, const char *sql, struct error *err)
{
    return ms_exec(context, sql, err);
}

bool marker_install(struct ms_conn *conn, bool cdc, bool progress, struct error *err)
{
    return each_batch(cdc, progress, NULL, run_batch, conn, err) ||
           error_prefix(err, "installing schema crossfade (crossfade install --print shows the script)");
}

/* --- looking --- */

static bool take_state(void *context, struct ms_conn *conn, struct error *err)
{
    struct marker_state *s = context;
    (void)err;
    s->cdc = ms_column_int(conn, 0) != 0;
    s->table = ms_column_int(conn, 1) != 0;
    s->progress = ms_column_int(conn, 2) != 0;
    return true;
}

static bool take_captured(void *context, struct ms_conn *conn, struct error *err)
{
    struct marker_state *s = context;
    (void)err;
    s->captured = ms_column_int(conn, 0) != 0;
    s->progress_captured = ms_column_int(conn, 1) != 0;
    return true;
}

bool marker_look(struct ms_conn *conn, struct marker_state *out, struct error *err)
{
    struct position max;
    *out = (struct marker_state){0};
    if (!ms_query(conn,
                  "SELECT d.is_cdc_enabled, CASE WHEN OBJECT_ID(N'crossfade.marker', N'U') IS NULL THEN 0 "
                  "ELSE 1 END,"
                  " CASE WHEN OBJECT_ID(N'crossfade.progress', N'U') IS NULL THEN 0 ELSE 1 END"
                  " FROM sys.databases AS d WHERE d.database_id = DB_ID()",
                  take_state, out, err))
        return false;
    if (!out->cdc)
        return true;
    if (!ms_query(
            conn,
            "SELECT SUM(CASE WHEN c.source_object_id = OBJECT_ID(N'crossfade.marker') THEN 1 ELSE 0 END),"
            " SUM(CASE WHEN c.source_object_id = OBJECT_ID(N'crossfade.progress') THEN 1 ELSE 0 END)"
            " FROM cdc.change_tables AS c",
            take_captured, out, err) ||
        !marker_max(conn, &max, err))
        return false;
    out->is_running = max.kind != POSITION_NONE;
    return true;
}

static bool take_lsn(void *context, struct ms_conn *conn, struct error *err)
{
    struct ms_datum d = ms_column(conn, 0);
    (void)err;
    *(struct position *)context = cdc_lsn(d.data, d.length);
    return true;
}

bool marker_max(struct ms_conn *conn, struct position *out, struct error *err)
{
    *out = (struct position){.kind = POSITION_NONE};
    return ms_query(conn, "SELECT sys.fn_cdc_get_max_lsn()", take_lsn, out, err);
}

/* --- markers --- */

static void put_write_sql(const char *pipeline, const char *token, struct buffer *out)
{
    struct buffer name = {0}, id = {0};
    ms_sql_literal(&name, pipeline);
    ms_sql_literal(&id, token);
    buffer_printf(out,
                  "UPDATE [crossfade].[marker] WITH (UPDLOCK, HOLDLOCK) SET [token] = %s, [written_at] = "
                  "SYSUTCDATETIME() WHERE [pipeline] = %s;"
                  " IF @@ROWCOUNT = 0 INSERT INTO [crossfade].[marker] ([pipeline], [token], [written_at])"
                  " VALUES (%s, %s, SYSUTCDATETIME())",
                  buffer_text(&id), buffer_text(&name), buffer_text(&name), buffer_text(&id));
    buffer_free(&name);
    buffer_free(&id);
}

bool marker_write(struct ms_conn *conn, const char *pipeline, char token[MARKER_TOKEN_SIZE],
                  struct error *err)
{
    struct buffer sql = {0};
    if (!ms_query_one(conn, "SELECT CONVERT(nvarchar(36), NEWID())", token, MARKER_TOKEN_SIZE, NULL, err))
        return false;
    put_write_sql(pipeline, token, &sql);
    bool ok = ms_begin(conn, err) && ms_exec(conn, buffer_text(&sql), err) && ms_commit(conn, err);
    buffer_free(&sql);
    return ok || error_prefix(err, "writing a marker into crossfade.marker");
}

static bool change_table(struct ms_conn *conn, struct buffer *out, struct error *err)
{
    char table[300];
    if (!ms_query_one(conn,
                      "SELECT MAX(OBJECT_NAME(c.object_id)) FROM cdc.change_tables AS c"
                      " WHERE c.source_object_id = OBJECT_ID(N'crossfade.marker')",
                      table, sizeof(table), NULL, err))
        return false;
    if (!table[0])
        return error_set(
            err, ERROR_REFUSED,
            "crossfade.marker is not captured - crossfade install --print shows what is missing");
    ms_sql_qualified(out, "cdc", table);
    return true;
}

static bool late(struct ms_conn *conn, struct error *err)
{
    int64_t age_ms = 0;
    struct error other;
    const char *sql = "SELECT TOP (1) DATEDIFF_BIG(millisecond, m.tran_end_time, SYSDATETIME())"
                      " FROM cdc.lsn_time_mapping AS m ORDER BY m.start_lsn DESC";
    if (!ms_query_int(conn, sql, &age_ms, &other))
        return error_set(
            err, ERROR_RETRY,
            "the marker was not captured in time - is the capture job running? - sys.sp_cdc_start_job");
    return error_set(
        err, ERROR_RETRY,
        "the marker was not captured in time, capture has come as far as %lld s ago - is the capture job "
        "running? - sys.sp_cdc_start_job",
        (long long)age_ms / 1000);
}

bool marker_wait(struct ms_conn *conn, const char *pipeline, const char *token, int64_t deadline_ms,
                 const _Atomic bool *cancel, struct position *out, struct error *err)
{
    struct buffer sql = {0}, table = {0};
    *out = (struct position){.kind = POSITION_NONE};
    bool ok = change_table(conn, &table, err);
    buffer_printf(&sql, "SELECT TOP (1) [x].[__$start_lsn] FROM %s AS [x] WHERE [x].[pipeline] = ",
                  buffer_text(&table));
    ms_sql_literal(&sql, pipeline);
    buffer_puts(&sql, " AND [x].[token] = ");
    ms_sql_literal(&sql, token);
    buffer_puts(&sql, " AND [x].[__$operation] IN (2, 4)");
    while (ok) {
        ok = ms_query(conn, buffer_text(&sql), take_lsn, out, err);
        if (!ok || out->kind != POSITION_NONE)
            break;
        if (cancel && atomic_load(cancel))
            ok = error_set(err, ERROR_CANCELED, "waiting for a marker was stopped");
        else if (clock_ms() >= deadline_ms)
            ok = late(conn, err);
        else
            (void)poll(NULL, 0, LOOK_MS);
    }
    buffer_free(&sql);
    buffer_free(&table);
    return ok;
}
