/* SPDX-License-Identifier: PostgreSQL */
#include "mssql/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* LANGUAGE comes first: it sets DATEFORMAT and DATEFIRST. */
static const char settings[] = "SET LANGUAGE us_english; SET DATEFORMAT ymd; SET DATEFIRST 7; "
                               "SET ANSI_NULLS ON; SET ANSI_PADDING ON; SET ANSI_WARNINGS ON; "
                               "SET ARITHABORT ON; SET CONCAT_NULL_YIELDS_NULL ON; SET QUOTED_IDENTIFIER ON; "
                               "SET ANSI_NULL_DFLT_ON ON; SET NUMERIC_ROUNDABORT OFF; "
                               "SET IMPLICIT_TRANSACTIONS OFF; SET CURSOR_CLOSE_ON_COMMIT OFF; "
                               "SET NOCOUNT OFF; SET ROWCOUNT 0; SET XACT_ABORT ON; "
                               "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; SET DEADLOCK_PRIORITY LOW; ";

/* One row; what is expected of each column stands in `checks`, in the same order. Everybody may see his own
 * row of sys.dm_exec_sessions. */
static const char question[] =
    "SELECT CONVERT(int, SESSIONPROPERTY(N'ANSI_NULLS')), CONVERT(int, SESSIONPROPERTY(N'ANSI_PADDING')), "
    "CONVERT(int, SESSIONPROPERTY(N'ANSI_WARNINGS')), CONVERT(int, SESSIONPROPERTY(N'ARITHABORT')), "
    "CONVERT(int, SESSIONPROPERTY(N'CONCAT_NULL_YIELDS_NULL')), "
    "CONVERT(int, SESSIONPROPERTY(N'QUOTED_IDENTIFIER')), "
    "CONVERT(int, SESSIONPROPERTY(N'NUMERIC_ROUNDABORT')), "
    "@@OPTIONS & 16384, @@OPTIONS & 1024, @@OPTIONS & 512, @@OPTIONS & 4, @@OPTIONS & 2, "
    "s.date_format, CONVERT(int, s.date_first), CONVERT(int, s.deadlock_priority), "
    "CONVERT(int, s.transaction_isolation_level), @@LOCK_TIMEOUT, @@TEXTSIZE, "
    "@@LANGUAGE, "
    "DB_NAME(), CONVERT(int, @@SPID), CONVERT(nvarchar(32), SERVERPROPERTY(N'ProductVersion')), "
    "CONVERT(int, SERVERPROPERTY(N'EngineEdition')) "
    "FROM sys.dm_exec_sessions AS s WHERE s.session_id = @@SPID";

static const struct {
    const char *name;
    const char *value; /* NULL: depends on the options */
} checks[] = {
    {"ANSI_NULLS", "1"},
    {"ANSI_PADDING", "1"},
    {"ANSI_WARNINGS", "1"},
    {"ARITHABORT", "1"},
    {"CONCAT_NULL_YIELDS_NULL", "1"},
    {"QUOTED_IDENTIFIER", "1"},
    {"NUMERIC_ROUNDABORT", "0"},
    {"XACT_ABORT", "16384"},
    {"ANSI_NULL_DFLT_ON", "1024"},
    {"NOCOUNT", "0"},
    {"CURSOR_CLOSE_ON_COMMIT", "0"},
    {"IMPLICIT_TRANSACTIONS", "0"},
    {"DATEFORMAT", "ymd"},
    {"DATEFIRST", "7"},
    {"DEADLOCK_PRIORITY", "-5"},
    {"TRANSACTION ISOLATION LEVEL", "2"},
    {"LOCK_TIMEOUT", NULL},
    {"TEXTSIZE", NULL},
    {"LANGUAGE", "us_english"},
};

enum { CHECKS = sizeof(checks) / sizeof(checks[0]), LOCK_TIMEOUT_CHECK = 16, TEXTSIZE_CHECK = 17 };

static int lock_timeout_of(const struct ms_conn_options *o)
{
    return o->lock_timeout_ms == 0 ? 10000 : o->lock_timeout_ms < 0 ? -1 : o->lock_timeout_ms;
}

/* TEXTSIZE counts the server's bytes: UTF-16 takes two where UTF-8 takes one, so twice the limit and one
 * character more cuts nothing that is allowed. Even, so that no character is cut into halves. What is longer
 * comes cut without a word: whoever selects max columns asks for DATALENGTH beside them. */
static int text_size_of(const struct ms_conn_options *o)
{
    const int64_t most = 2147483647;
    int64_t size = o->value_limit > 0 && o->value_limit < most / 2 - 1 ? 2 * o->value_limit + 2 : most;
    return (int)size;
}

static bool check_one(struct ms_conn *self, int i, const char *expected, struct error *err)
{
    struct buffer now = {0};
    (void)ms_column_text(self, i, &now);
    bool ok = strcmp(buffer_text(&now), expected) == 0;
    if (!ok)
        error_set(
            err, ERROR_REFUSED,
            "%s: setting %s is \"%s\" after it was set, where \"%s\" belongs - something between us and the "
            "server forgets settings - connect to the server itself",
            self->endpoint, checks[i].name, buffer_text(&now), expected);
    buffer_free(&now);
    return ok;
}

static void copy_column(struct ms_conn *self, int column, char *out, size_t size)
{
    struct buffer text = {0};
    (void)ms_column_text(self, column, &text);
    snprintf(out, size, "%s", buffer_text(&text));
    buffer_free(&text);
}

/* Azure's services say 12 for ever and have what the newest server has. */
static bool is_azure(int edition)
{
    return edition == 5 || edition == 8 || edition == 9 || edition == 11;
}

static bool read_back(struct ms_conn *self, const struct ms_conn_options *o, struct error *err)
{
    char number[16];
    for (int i = 0; i < CHECKS; i++) {
        const char *expected = checks[i].value;
        if (i == LOCK_TIMEOUT_CHECK || i == TEXTSIZE_CHECK) {
            snprintf(number, sizeof(number), "%d",
                     i == LOCK_TIMEOUT_CHECK ? lock_timeout_of(o) : text_size_of(o));
            expected = number;
        }
        if (expected && !check_one(self, i, expected, err))
            return false;
    }
    copy_column(self, CHECKS, self->database, sizeof(self->database));
    self->spid = (int)ms_column_int(self, CHECKS + 1);
    copy_column(self, CHECKS + 2, self->product, sizeof(self->product));
    self->edition = (int)ms_column_int(self, CHECKS + 3);
    self->version = atoi(self->product);
    if (is_azure(self->edition) && self->version < 16)
        self->version = 16;
    if (self->version < 13)
        return error_set(err, ERROR_REFUSED,
                         "%s: SQL Server %s is too old - 2016 (13.0) and later are supported", self->endpoint,
                         self->product);
    return true;
}

bool ms_session_pin(struct ms_conn *self, const struct ms_conn_options *o, struct error *err)
{
    struct buffer sql = {0};
    buffer_puts(&sql, settings);
    buffer_printf(&sql, "SET LOCK_TIMEOUT %d; SET TEXTSIZE %d", lock_timeout_of(o), text_size_of(o));
    bool ok = ms_exec(self, buffer_text(&sql), err) && ms_query_start(self, question, err);
    buffer_free(&sql);
    if (!ok)
        return false;
    enum ms_next next = ms_query_next(self, err);
    if (next == MS_FAILED)
        return false;
    if (next == MS_END)
        error_set(err, ERROR_REFUSED, "%s: sys.dm_exec_sessions does not show our own session",
                  self->endpoint);
    ok = next == MS_ROW && read_back(self, o, err);
    ms_query_stop(self);
    return ok;
}
