/* SPDX-License-Identifier: PostgreSQL */
#include "mssql/history.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "mssql/cdc_lsn.h"

static void take(struct ms_conn *conn, int column, char *out, size_t size)
{
    struct buffer text = {0};
    bool there = ms_column_text(conn, column, &text);
    snprintf(out, size, "%s", there ? buffer_text(&text) : "");
    buffer_free(&text);
}

static bool take_database(void *context, struct ms_conn *conn, struct error *err)
{
    struct history *h = context;
    (void)err;
    take(conn, 0, h->database, sizeof(h->database));
    take(conn, 1, h->created, sizeof(h->created));
    take(conn, 2, h->server, sizeof(h->server));
    return true;
}

static bool take_ids(void *context, struct ms_conn *conn, struct error *err)
{
    struct history *h = context;
    (void)err;
    take(conn, 0, h->database_guid, sizeof(h->database_guid));
    take(conn, 1, h->recovery_fork, sizeof(h->recovery_fork));
    return true;
}

static bool take_restored(void *context, struct ms_conn *conn, struct error *err)
{
    struct history *h = context;
    (void)err;
    take(conn, 0, h->restored, sizeof(h->restored));
    return true;
}

/* Facts that this server or this login has not are left out; a lost link is a failure. */
static bool optional(struct ms_conn *conn, const char *sql, ms_row_fn row, struct history *out,
                     struct error *err)
{
    return ms_query(conn, sql, row, out, err) ||
           (err->kind != ERROR_RETRY && err->kind != ERROR_CANCELED && ms_conn_alive(conn));
}

bool history_read(struct ms_conn *conn, struct history *out, struct error *err)
{
    static const char database[] = "SELECT d.name, CONVERT(nvarchar(30), d.create_date, 126), @@SERVERNAME"
                                   " FROM sys.databases AS d WHERE d.database_id = DB_ID()";
    static const char ids[] =
        "SELECT CONVERT(nvarchar(36), r.database_guid), CONVERT(nvarchar(36), r.recovery_fork_guid)"
        " FROM sys.database_recovery_status AS r WHERE r.database_id = DB_ID()";
    static const char restored[] =
        "SELECT TOP (1) CONVERT(nvarchar(30), h.restore_date, 126) FROM msdb.dbo.restorehistory AS h"
        " WHERE h.destination_database_name = DB_NAME() ORDER BY h.restore_date DESC";
    *out = (struct history){0};
    return ms_query(conn, database, take_database, out, err) && optional(conn, ids, take_ids, out, err) &&
           optional(conn, restored, take_restored, out, err);
}

static bool differ(const char *a, const char *b)
{
    return *a && *b && strcmp(a, b) != 0;
}

bool history_compare(const struct history *stored, const struct history *now, struct error *err)
{
    bool same_server = *stored->server && strcmp(stored->server, now->server) == 0;
    const char *what = NULL;
    if (differ(stored->database_guid, now->database_guid))
        what = "another database (database_guid)";
    else if (differ(stored->recovery_fork, now->recovery_fork))
        what = "another branch of it after a restore or a fail-over with loss (recovery_fork_guid)";
    else if (same_server && differ(stored->restored, now->restored))
        what = "restored since (msdb.dbo.restorehistory)";
    else if (same_server && differ(stored->created, now->created))
        what = "made anew since (create_date)";
    if (!what)
        return true;
    return error_set(
        err, ERROR_FATAL,
        "database %s is not the one we know, it is %s - its LSNs say nothing about what was applied - "
        "crossfade recopy",
        now->database, what);
}

char *history_instance(const struct ms_catalog_table *table, struct position position)
{
    const struct ms_capture *best = NULL;
    struct position need = cdc_lsn_next(position);
    struct buffer text = {0};
    for (uint16_t i = 0; i < table->capture_count; i++) {
        const struct ms_capture *c = &table->captures[i];
        if (!c->denied && !c->drop_pending && cdc_lsn_compare(c->start, need) <= 0)
            best = c;
    }
    if (!best)
        return NULL;
    buffer_printf(&text, "%d %s", best->object_id, best->created);
    return buffer_detach(&text);
}
