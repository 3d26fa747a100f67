/* SPDX-License-Identifier: PostgreSQL
 *
 * How changes come: the jobs of change data capture and how far they are, and each table's capture instances.
 * That capture is off altogether, and what the other kinds of capture need, is src/legacy's to say, for it
 * stops the replicator too.
 */
#include "control/check_mssql.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "mssql/sql.h"

/* A job writes an entry every 5 minutes when nothing happens. */
enum { IDLE_SECONDS = 660, POLLING_SECONDS = 1, DAY_MINUTES = 1440, RETENTION_DAYS = 3 };

/* --- jobs --- */

static void check_agent(struct check_mssql *self)
{
    struct error err = {0};
    char status[64] = "";
    if (self->conn.edition == MS_EDITION_AZURE_DATABASE || !self->server.view_state)
        return;
    if (!ms_estate_agent(&self->conn, status, sizeof(status), &err))
        check_mssql_failed(self, "legacy", &err);
    else if (*status && strcmp(status, "Running") != 0)
        check_say(self->check, PAIR_FAIL, "agent", "legacy", NULL,
                  "SQL Server Agent is %s: no change is captured, and the log grows - start the service, and "
                  "let it start by itself",
                  status);
    else if (*status)
        check_say(self->check, PAIR_OK, "agent", "legacy", NULL, "SQL Server Agent runs");
}

static void judge_capture_job(struct check_mssql *self, const struct ms_estate_jobs *j)
{
    if (!j->capture && !self->server.published)
        check_say(self->check, PAIR_FAIL, "capture_job", "legacy", "EXEC sys.sp_cdc_add_job N'capture';",
                  "there is no capture job, so no change is captured");
    else if (j->capture && !j->continuous)
        check_say(self->check, PAIR_WARN, "capture_job", "legacy",
                  "EXEC sys.sp_cdc_change_job @job_type = N'capture', @continuous = 1;",
                  "the capture job does not run continuously: changes come when it is scheduled");
    else if (j->capture)
        check_say(self->check, PAIR_OK, "capture_job", "legacy",
                  j->polling_seconds > POLLING_SECONDS
                      ? "EXEC sys.sp_cdc_change_job @job_type = N'capture', @pollinginterval = 1; EXEC "
                        "sys.sp_cdc_stop_job N'capture'; EXEC sys.sp_cdc_start_job N'capture';"
                      : NULL,
                  "capture looks every %" PRId64 " s for up to %" PRId64 " x %" PRId64
                  " transactions, so changes come that much later%s",
                  j->polling_seconds, j->maxtrans, j->maxscans,
                  j->polling_seconds > POLLING_SECONDS
                      ? "; the statement makes it 1 s, best before a cutover - raise @maxtrans where more is "
                        "written"
                      : "");
}

static void judge_retention(struct check_mssql *self, const struct ms_estate_jobs *j)
{
    int64_t days = j->retention_minutes / DAY_MINUTES, copy = check_copy_seconds(self->check) / 60;
    if (!j->cleanup)
        check_say(self->check, PAIR_WARN, "retention", "legacy", "EXEC sys.sp_cdc_add_job N'cleanup';",
                  "there is no clean-up job: change tables grow without end");
    else if (2 * copy > j->retention_minutes)
        check_say(self->check, PAIR_FAIL, "retention", "legacy",
                  "EXEC sys.sp_cdc_change_job @job_type = N'cleanup', @retention = 43200;",
                  "changes are kept for %" PRId64 " h, and the copy alone may take %" PRId64
                  " h: those that come meanwhile would be gone - the statement keeps them for 30 days",
                  j->retention_minutes / 60, copy / 60);
    else if (days < RETENTION_DAYS)
        check_say(self->check, PAIR_WARN, "retention", "legacy",
                  "EXEC sys.sp_cdc_change_job @job_type = N'cleanup', @retention = 10080;",
                  "changes are kept for %" PRId64
                  " h: a copy that takes longer, or a stream that stands still for so long, has to begin "
                  "anew - the statement makes it a week",
                  j->retention_minutes / 60);
    else
        check_say(self->check, PAIR_OK, "retention", "legacy", NULL,
                  "changes are kept for %" PRId64
                  " h; a stream that stands still for longer has to begin anew",
                  j->retention_minutes / 60);
}

static void check_jobs(struct check_mssql *self)
{
    struct ms_estate_jobs jobs;
    struct error err = {0};
    if (self->conn.edition == MS_EDITION_AZURE_DATABASE)
        return;
    if (!ms_estate_jobs(&self->conn, &jobs, &err)) {
        check_say(self->check, PAIR_WARN, "capture_job", "legacy",
                  "USE msdb; GRANT SELECT ON dbo.cdc_jobs TO [the login's user];",
                  "the jobs' settings can't be seen, so neither delay nor retention is known - %s", err.text);
        return;
    }
    judge_capture_job(self, &jobs);
    judge_retention(self, &jobs);
}

static void check_progress(struct check_mssql *self)
{
    struct ms_estate_capture c;
    struct error err = {0};
    if (!ms_estate_capture(&self->conn, &c, &err)) {
        check_mssql_failed(self, "cdc.lsn_time_mapping", &err);
        return;
    }
    if (self->catalog.database.view_state && !ms_estate_capture_errors(&self->conn, &c, &err))
        check_mssql_failed(self, "sys.dm_cdc_errors", &err);
    if (c.age_seconds > IDLE_SECONDS)
        check_say(self->check, PAIR_FAIL, "capture_delay", "legacy", "EXEC sys.sp_cdc_start_job N'capture';",
                  "capture is %" PRId64
                  " s behind the clock, and it notes the time every 5 minutes even when "
                  "nothing happens: it does not run, or can't keep up",
                  c.age_seconds);
    else if (c.age_seconds < 0)
        check_say(self->check, PAIR_WARN, "capture_delay", "legacy", "EXEC sys.sp_cdc_start_job N'capture';",
                  "capture has not got anywhere yet - it starts with the first captured table");
    else
        check_say(self->check, PAIR_OK, "capture_delay", "legacy", NULL, "capture was here %" PRId64 " s ago",
                  c.age_seconds);
    if (c.error != 0)
        check_say(self->check, PAIR_WARN, "capture_errors", "legacy", NULL,
                  "the log scan failed %" PRId64 " min ago with error %" PRId64 ": %s", c.error_minutes,
                  c.error, c.message);
}

/* --- instances --- */

static void enable_sql(const struct ms_catalog_table *t, const char *instance, bool no_switch,
                       struct buffer *sql)
{
    buffer_puts(sql, "EXEC sys.sp_cdc_enable_table @source_schema = ");
    ms_sql_literal(sql, t->schema);
    buffer_puts(sql, ", @source_name = ");
    ms_sql_literal(sql, t->name);
    buffer_puts(sql, ", @role_name = NULL, @supports_net_changes = 0");
    if (instance) {
        buffer_puts(sql, ", @capture_instance = ");
        ms_sql_literal(sql, instance);
    }
    buffer_puts(sql, no_switch ? ", @allow_partition_switch = 0;" : ";");
}

static void disable_sql(const struct ms_catalog_table *t, const struct ms_capture *c, struct buffer *sql)
{
    buffer_puts(sql, "EXEC sys.sp_cdc_disable_table @source_schema = ");
    ms_sql_literal(sql, t->schema);
    buffer_puts(sql, ", @source_name = ");
    ms_sql_literal(sql, t->name);
    buffer_puts(sql, ", @capture_instance = ");
    ms_sql_literal(sql, c->name);
    buffer_puts(sql, "; ");
}

/* By the time of its making: one that the capture job has not met yet has no LSN to go by. */
static const struct ms_capture *newest(const struct ms_catalog_table *t)
{
    const struct ms_capture *found = &t->captures[0];
    for (uint16_t i = 1; i < t->capture_count; i++) {
        const struct ms_capture *x = &t->captures[i];
        if (x->created && found->created && strcmp(x->created, found->created) > 0)
            found = x;
    }
    return found;
}

/* A second instance beside the first is a hand-over without a gap; two is all that a table may have. */
static void replace_sql(const struct ms_catalog_table *t, bool no_switch, struct buffer *sql)
{
    struct buffer name = {0};
    for (uint16_t i = 0; t->capture_count >= 2 && i < t->capture_count; i++) {
        if (&t->captures[i] != newest(t))
            disable_sql(t, &t->captures[i], sql);
    }
    buffer_printf(&name, "%.80s_%zu", newest(t)->name, (size_t)t->capture_count + 1);
    enable_sql(t, buffer_text(&name), no_switch, sql);
    buffer_free(&name);
}

static bool captures(const struct ms_capture *x, uint16_t column)
{
    for (uint16_t i = 0; i < x->column_count; i++) {
        if (x->columns[i] == column)
            return true;
    }
    return false;
}

static void check_complete(struct check_mssql *self, const struct ms_catalog_table *t, const char *name)
{
    const struct ms_capture *x = newest(t);
    struct buffer missing = {0}, sql = {0};
    for (uint16_t i = 0; i < t->column_count; i++) {
        if (!captures(x, i) && !t->columns[i].computed && !t->columns[i].column_set)
            buffer_printf(&missing, "%s%s", missing.length ? ", " : "", t->columns[i].name);
    }
    if (missing.length) {
        replace_sql(t, false, &sql);
        check_say(self->check, PAIR_FAIL, "capture_incomplete", name, buffer_text(&sql),
                  "capture instance %s leaves out %s - the statement makes a second one, which the stream "
                  "changes over to",
                  x->name, buffer_text(&missing));
    }
    buffer_free(&missing);
    buffer_free(&sql);
}

static void check_instance(struct check_mssql *self, const struct ms_catalog_table *t,
                           const struct ms_capture *x, const char *name)
{
    struct buffer sql = {0};
    if (!x->has_command_id)
        check_say(self->check, PAIR_FAIL, "command_id_missing", name, "EXEC sys.sp_cdc_vupgrade;",
                  "the change table %s is of an older version and lacks __$command_id, without which changes "
                  "of one transaction have no sure order",
                  x->table ? x->table : x->name);
    if (x->drop_pending)
        check_say(self->check, PAIR_WARN, "capture_dropped", name, NULL,
                  "capture instance %s is about to go with its dropped table", x->name);
    if (x->partition_switch && ms_estate_is_partitioned(&self->objects, t->object_id)) {
        disable_sql(t, x, &sql);
        enable_sql(t, x->name, true, &sql);
        check_say(self->check, PAIR_FAIL, "partition_switch", name, buffer_text(&sql),
                  "ALTER TABLE … SWITCH is allowed on it, and moves rows without a change that is captured - "
                  "the statement forbids it (and begins the table's history anew: run it before the copy)");
    }
    buffer_free(&sql);
}

static void check_cdc_table(struct check_mssql *self, const struct ms_catalog_table *t, const char *name)
{
    if (t->capture_count == 0)
        return;
    for (uint16_t i = 0; i < t->capture_count; i++)
        check_instance(self, t, &t->captures[i], name);
    check_complete(self, t, name);
    if (t->capture_count > 1)
        check_say(self->check, PAIR_OK, "two_instances", name, NULL,
                  "has two capture instances, %s and %s: the newer one is read as soon as it reaches back "
                  "far enough",
                  t->captures[0].name, t->captures[1].name);
}

void check_mssql_capture(struct check_mssql *self)
{
    if (self->catalog.database.cdc && check_mssql_uses_cdc(self)) {
        check_agent(self);
        check_jobs(self);
        check_progress(self);
    }
    for (uint32_t i = 0; i < self->catalog.count; i++) {
        const struct ms_catalog_table *t = &self->catalog.tables[i];
        if (!check_mssql_wants(self, t))
            continue;
        char *name = check_mssql_name(t, NULL);
        if (check_mssql_kind(self, t) == CAPTURE_CDC)
            check_cdc_table(self, t, name);
        free(name);
    }
}
