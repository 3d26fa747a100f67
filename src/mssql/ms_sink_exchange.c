/* SPDX-License-Identifier: PostgreSQL
 *
 * One T-SQL batch and its answer. Everything runs under TRY; CATCH rolls back what is to be rolled back and
 * answers with one row: what was being worked on, the error's number, severity, state and text, and whether
 * the transaction is still there. So a failure is an answer, and only what no CATCH can hold (the link, an
 * attention, severities from 20 on) ends the lane.
 *
 * XACT_ABORT is ON where a failure ends the whole transaction anyway. It is OFF where a savepoint has to
 * survive: with it ON any error dooms the transaction and no savepoint can be rolled back to.
 */
#include "mssql/ms_sink_part.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "mssql/sql.h"

enum ms_blame ms_sink_blame(const struct error *err)
{
    switch ((unsigned)err->kind) {
    case ERROR_DATA:
        return MS_BLAME_ROW;
    case ERROR_REFUSED:
    case ERROR_TABLE:
        return MS_BLAME_TABLE;
    default:
        return MS_BLAME_NONE;
    }
}

void ms_sink_batch(struct ms_sink *s, bool open)
{
    buffer_clear(&s->sql);
    buffer_puts(&s->sql, "DECLARE @cf int = 0;\nBEGIN TRY\n");
    if (open) /* were it gone, each statement would commit by itself */
        buffer_printf(&s->sql, "IF @@TRANCOUNT <> 1 THROW %d, N'the transaction is gone', %d;\n",
                      MS_RAISED_FATAL, MS_THROW_GONE);
    else
        buffer_puts(&s->sql, "BEGIN TRANSACTION;\n");
    if (s->identity_left) /* servers put it back when sp_executesql ends; not all that speak T-SQL do */
        buffer_printf(&s->sql, "SET IDENTITY_INSERT %s OFF;\n", s->identity_left->name);
    s->identity_left = NULL;
}

void ms_sink_tag(struct ms_sink *s, uint32_t tag)
{
    buffer_printf(&s->sql, "SET @cf = %" PRIu32 ";\n", tag);
}

/* 1970 to datetime2(6), in UTC. */
static void put_time(int64_t us, struct buffer *out)
{
    struct ms_datetimeall all = {.time_prec = 7, .has_time = 1, .has_date = 1};
    int64_t days = us / INT64_C(86400000000);
    int64_t rest = us % INT64_C(86400000000);
    if (rest < 0) {
        rest += INT64_C(86400000000);
        days--;
    }
    all.date = (int32_t)(days + 25567);
    all.time = (uint64_t)rest * 10;
    struct ms_bound bound = {.length = sizeof(all), .type = MS_WIRE_DATETIME2};
    ms_sink_literal(&bound, (const char *)&all, out);
}

void ms_sink_put_advance(struct ms_sink *s, const char *to, int64_t time_us)
{
    struct buffer *sql = &s->sql;
    buffer_puts(sql,
                "EXEC sys.sp_executesql N'UPDATE [crossfade].[progress] SET [position] = @to, "
                "[source_commit_time] = COALESCE(@time, [source_commit_time]), "
                "[written_at] = SYSUTCDATETIME() WHERE [pipeline] = @pipeline AND [stream] = @stream AND "
                "[lane] = @lane AND [epoch] = @epoch AND [position] = @from; IF @@ROWCOUNT <> 1 ");
    buffer_printf(sql,
                  "THROW %d, N''the lane is not where this process left it under its epoch: another process "
                  "runs this pipeline'', 1', ",
                  MS_RAISED_FENCED);
    buffer_puts(sql, "N'@to nvarchar(64), @time datetime2(6), @pipeline nvarchar(31), @stream nvarchar(31), "
                     "@lane int, @epoch bigint, @from nvarchar(64)', @to = ");
    ms_sql_literal(sql, to);
    buffer_puts(sql, ", @time = ");
    if (time_us)
        put_time(time_us, sql);
    else
        buffer_puts(sql, "NULL");
    buffer_puts(sql, ", @pipeline = ");
    ms_sql_literal(sql, s->pipeline);
    buffer_puts(sql, ", @stream = ");
    ms_sql_literal(sql, s->stream);
    buffer_printf(sql, ", @lane = %d, @epoch = %" PRId64 ", @from = ", s->lane, s->epoch);
    ms_sql_literal(sql, s->applied_text);
    buffer_puts(sql, ";\n");
}

static void put_end(struct ms_sink *s, enum ms_rollback rollback)
{
    static const char *const savepoints[] = {
        [MS_ROLLBACK_PIECE] = "cf_piece", [MS_ROLLBACK_CHANGE] = "cf_change"};
    buffer_puts(&s->sql, "END TRY\nBEGIN CATCH\nDECLARE @number int = ERROR_NUMBER(), @severity int = "
                         "ERROR_SEVERITY(), @state int = ERROR_STATE(), @text nvarchar(2000) = "
                         "ERROR_MESSAGE();\n");
    if (rollback != MS_ROLLBACK_ALL)
        buffer_printf(&s->sql, "IF XACT_STATE() = 1 ROLLBACK TRANSACTION %s ELSE ", savepoints[rollback]);
    buffer_puts(&s->sql, "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION;\n"
                         "SELECT @cf, @number, @severity, @state, @text, @@TRANCOUNT;\nEND CATCH");
}

static bool take_trouble(void *context, struct ms_conn *conn, struct error *err)
{
    struct ms_answer *a = context;
    struct buffer text = {0};
    char code[12];
    (void)err;
    a->trouble = true;
    a->at = (uint32_t)ms_column_int(conn, 0);
    int number = (int)ms_column_int(conn, 1);
    a->state = (int)ms_column_int(conn, 3);
    a->gone = ms_column_int(conn, 5) == 0;
    (void)ms_column_text(conn, 4, &text);
    while (text.length && (text.data[text.length - 1] == '.' || text.data[text.length - 1] == ' '))
        text.length--;
    snprintf(code, sizeof(code), "%d", number);
    error_set_code(&a->error, ms_error_kind(number, (int)ms_column_int(conn, 2)), code, "%s: %.*s (error %d)",
                   conn->endpoint, (int)text.length, buffer_text(&text), number);
    buffer_free(&text);
    if (number == MS_RAISED_FATAL && a->state == MS_THROW_GONE)
        a->error.kind = ERROR_RETRY;
    return true;
}

/* Only our own THROW says what kind of trouble it is by its state. */
static bool is_ours(const struct error *e)
{
    return strcmp(e->code, "51001") == 0;
}

bool ms_sink_run(struct ms_sink *s, enum ms_rollback rollback, struct ms_answer *out, struct error *err)
{
    struct buffer whole = {0};
    *out = (struct ms_answer){0};
    put_end(s, rollback);
    buffer_printf(&whole, "SET XACT_ABORT %s;\n", rollback == MS_ROLLBACK_ALL ? "ON" : "OFF");
    buffer_put(&whole, s->sql.data, s->sql.length);
    bool ok = ms_query(&s->conn, buffer_text(&whole), take_trouble, out, err);
    buffer_free(&whole);
    buffer_clear(&s->sql);
    if (!ok) {
        /* Nothing that a row is to blame for comes past CATCH: not as data's fault, then. */
        if (err->kind == ERROR_DATA || err->kind == ERROR_TABLE)
            err->kind = ERROR_REFUSED;
        return false;
    }
    if (!out->trouble)
        return true;
    if (!is_ours(&out->error))
        out->state = 0;
    if (ms_sink_blame(&out->error) != MS_BLAME_NONE)
        return true;
    *err = out->error;
    return false;
}
