/* SPDX-License-Identifier: PostgreSQL
 *
 * A SQL Server legacy, read by change data capture unless legacy_mssql_poll.c polls it. A position is a
 * commit LSN. What a slot does elsewhere, a marker does here: a row of ours, committed and then waited for in
 * the change tables, says which LSN is behind everything that was committed before (mssql/marker.h). Nothing
 * is held on the server between two statements, so there is nobody of a stopped predecessor's to end.
 */
#include "legacy/legacy_mssql.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "legacy/mssql_bridge.h"
#include "model/capture.h"
#include "mssql/cdc_lsn.h"
#include "mssql/cdc_source.h"
#include "mssql/marker.h"
#include "mssql/poll.h"
#include "mssql/shim.h"
#include "mssql/sql.h"

enum { SOURCE_MEMORY_PART = 8 }; /* of memory_limit, for pages of change tables */

static struct legacy_mssql *cast(struct legacy *base)
{
    return (struct legacy_mssql *)base;
}

static void close_it(struct legacy *base)
{
    ms_conn_close(&cast(base)->conn);
    ms_catalog_free(&cast(base)->catalog);
    mssql_zones_free(&cast(base)->zones);
    free(base);
}

static void cancel(struct legacy *base)
{
    ms_conn_cancel(&cast(base)->conn);
}

static bool evict(struct legacy *base, struct error *err)
{
    (void)base;
    (void)err;
    return true;
}

static bool end(struct legacy *base, const struct legacy_notes *notes, struct position *out,
                struct error *err)
{
    struct legacy_mssql *self = cast(base);
    return mssql_is_polled(self->config) ? mssql_poll_end(self, notes, out, err)
                                         : mssql_mark(self, notes, out, err);
}

/* How long change tables are kept; needs a right that not everybody has, so it is no failure not to know. */
static bool ask_retention(struct legacy_mssql *self, struct error *err)
{
    if (self->retention_minutes != 0)
        return true;
    bool ok = ms_query_int(&self->conn,
                           "SELECT MAX(j.retention) FROM msdb.dbo.cdc_jobs AS j"
                           " WHERE j.database_id = DB_ID() AND j.job_type = N'cleanup'",
                           &self->retention_minutes, err);
    if (!ok && err->kind == ERROR_REFUSED && ms_conn_alive(&self->conn))
        ok = true;
    if (self->retention_minutes <= 0)
        self->retention_minutes = -1;
    return ok;
}

struct age {
    int64_t at_s, newest_ms;
    struct position max;
};

static bool take_age(void *context, struct ms_conn *conn, struct error *err)
{
    struct age *age = context;
    struct ms_datum max = ms_column(conn, 0);
    (void)err;
    age->max = cdc_lsn(max.data, max.length);
    age->newest_ms = ms_column(conn, 1).data ? ms_column_int(conn, 1) : -1;
    age->at_s = ms_column(conn, 2).data ? ms_column_int(conn, 2) : -1;
    return true;
}

static bool retained(struct legacy *base, struct legacy_retained *io, struct error *err)
{
    struct legacy_mssql *self = cast(base);
    struct buffer sql = {0};
    struct age age = {.at_s = -1};
    if (mssql_is_polled(self->config)) {
        *io = (struct legacy_retained){
            .at = io->at, .end_bytes = -1, .bytes = -1, .limit_seconds = -1, .capture_lag_ms = -1};
        io->end = io->at;
        return capture_of(self->config) == CAPTURE_SNAPSHOT ||
               ms_poll_position(&self->conn, capture_of(self->config), &io->end, err);
    }
    buffer_puts(
        &sql,
        "SELECT sys.fn_cdc_get_max_lsn(), (SELECT DATEDIFF_BIG(millisecond, MAX(m.tran_end_time),"
        " SYSDATETIME()) FROM cdc.lsn_time_mapping AS m), (SELECT DATEDIFF_BIG(second, MAX(m.tran_end_time),"
        " SYSDATETIME()) FROM cdc.lsn_time_mapping AS m WHERE m.start_lsn <= ");
    cdc_lsn_put(&sql, io->at);
    buffer_puts(&sql, ")");
    bool ok = ask_retention(self, err) && ms_query(&self->conn, buffer_text(&sql), take_age, &age, err);
    buffer_free(&sql);
    if (!ok)
        return false;
    *io = (struct legacy_retained){.at = io->at,
                                   .end = age.max,
                                   .end_bytes = -1,
                                   .bytes = -1,
                                   .limit_seconds = -1,
                                   .capture_lag_ms = age.newest_ms};
    if (self->retention_minutes > 0 && age.at_s >= 0) {
        int64_t left = self->retention_minutes * 60 - age.at_s;
        io->limit_seconds = left > 0 ? left : 0;
    }
    return true;
}

static bool history(struct legacy *base, const struct legacy_notes *notes, bool *first, struct error *err)
{
    return mssql_history(cast(base), notes, first, err);
}

static bool pair(struct legacy *base, const struct legacy_notes *notes, struct pairing *out,
                 struct error *err)
{
    struct legacy_mssql *self = cast(base);
    struct pg_catalog target = {0};
    ms_catalog_free(&self->catalog);
    bool ok = ms_catalog_read(&self->conn, &self->catalog, err) &&
              pg_catalog_read(notes->target, &target, err) &&
              mssql_bridge_pair(notes->config, &self->catalog, &target, out, err);
    pg_catalog_free(&target);
    if (ok && (!mssql_zones_look(&self->zones, notes->config, notes->target, out, err) ||
               !mssql_zones_bind(&self->zones, notes->target, out, err))) {
        pairing_free(out);
        return false;
    }
    if (ok)
        mssql_capture_findings(notes->config, &self->catalog, out);
    return ok;
}

static bool capture(struct legacy *base, const struct legacy_notes *notes, const struct table_set *tables,
                    bool first, struct error *err)
{
    return mssql_is_polled(notes->config) ? mssql_poll_capture(cast(base), notes, first, err)
                                          : mssql_capture(cast(base), notes, tables, first, err);
}

static bool writers(struct legacy *base, const struct legacy_notes *notes, const struct table_set *tables,
                    struct error *err)
{
    return mssql_is_polled(notes->config) ? mssql_poll_begin_copies(cast(base), notes, tables, err)
                                          : mssql_begin_copies(cast(base), notes, tables, err);
}

static bool stream(struct legacy *base, const struct legacy_notes *notes, const struct table_set *tables,
                   bool binary, struct position start, struct source **out, struct error *err)
{
    const struct config *c = notes->config;
    (void)base;
    (void)binary;
    if (mssql_is_polled(c))
        return mssql_poll_stream(notes, tables, start, out, err);
    if (start.kind != POSITION_CDC)
        return error_set(err, ERROR_FATAL,
                         "the stored position is not one of change data capture - put the old "
                         "legacy.capture back, or `crossfade finish` and start over");
    struct cdc_source_options o = {.conn = {.server = &c->sqlserver,
                                            .pipeline = c->pipeline,
                                            .job = "capture",
                                            .endpoint = "legacy",
                                            .connect_timeout_ms = (int)c->connect_timeout_ms,
                                            .value_limit = c->value_limit},
                                   .pipeline = c->pipeline,
                                   .start = start,
                                   .tables = tables,
                                   .value_limit = c->value_limit,
                                   .poll_interval_ms = c->stream_poll_interval_ms,
                                   .memory = (size_t)c->memory_limit / SOURCE_MEMORY_PART};
    return mssql_find_begins(notes, tables, err) && cdc_source_open(&o, out, err);
}

/* Rows are read again under locks: what is committed is seen, whatever the database's isolation. */
static bool settled(struct legacy *base, legacy_all_seen *all_seen, void *context, bool *out,
                    struct error *err)
{
    (void)base;
    (void)all_seen;
    (void)context;
    (void)err;
    *out = true;
    return true;
}

static bool fetch(struct legacy *base, const struct legacy_notes *notes, const struct table *table,
                  char *const *const *keys, size_t count, struct legacy_rows *out, struct error *err)
{
    return mssql_fetch(cast(base), notes, table, keys, count, out, err);
}

static const struct legacy_ops ops = {
    .close = close_it, .cancel = cancel, .evict = evict, .end = end, .retained = retained};

static const struct legacy_session_ops session_ops = {.history = history,
                                                      .pair = pair,
                                                      .capture = capture,
                                                      .writers = writers,
                                                      .stream = stream,
                                                      .settled = settled,
                                                      .fetch = fetch};

static bool install(struct legacy *base, struct error *err)
{
    return mssql_is_polled(cast(base)->config) || marker_install(&cast(base)->conn, true, false, err);
}

static void install_script(const struct config *config, struct buffer *out)
{
    if (!mssql_is_polled(config))
        marker_script(true, false, config->sqlserver.user, out);
}

/* The marker's table is shared with other pipelines of the database; it stays. */
static bool drop(struct legacy *base, const struct legacy_notes *notes, struct buffer *said, int *undone,
                 struct error *err)
{
    struct legacy_mssql *self = cast(base);
    struct marker_state state;
    struct buffer sql = {0};
    (void)undone;
    if (mssql_is_polled(self->config)) {
        buffer_puts(said, "legacy: nothing of ours is there\n");
        return true;
    }
    if (!marker_look(&self->conn, &state, err))
        return false;
    if (!state.table) {
        buffer_puts(said, "table crossfade.marker: was not there\n");
        return true;
    }
    buffer_puts(&sql, "DELETE FROM [crossfade].[marker] WHERE [pipeline] = ");
    ms_sql_literal(&sql, notes->config->pipeline);
    bool ok = ms_exec(&self->conn, buffer_text(&sql), err);
    buffer_free(&sql);
    if (ok)
        buffer_puts(said, "this pipeline's row of crossfade.marker: deleted; the table, and change data "
                          "capture, stay - a DBA may take them away when no pipeline uses them\n");
    return ok;
}

static const struct legacy_control_ops control_ops = {.install = install, .drop = drop};

bool mssql_connect(const struct legacy_options *options, struct ms_conn *out, struct error *err)
{
    const struct config *c = options->config;
    struct ms_conn_options o = {.server = &c->sqlserver,
                                .pipeline = c->pipeline,
                                .job = options->job,
                                .endpoint = "legacy",
                                .connect_timeout_ms = options->connect_timeout_ms,
                                .query_timeout_ms = options->statement_timeout_ms,
                                .lock_timeout_ms = options->lock_timeout_ms,
                                .value_limit = c->value_limit};
    return ms_conn_open(out, &o, err);
}

static bool open_it(const struct legacy_options *options, struct legacy **out, struct error *err)
{
    struct legacy_mssql *self = mem_alloc(sizeof(*self));
    self->base = (struct legacy){.ops = &ops, .session = &session_ops, .control = &control_ops};
    self->config = options->config;
    if (!mssql_connect(options, &self->conn, err)) {
        free(self);
        return false;
    }
    *out = &self->base;
    return true;
}

const struct legacy_driver legacy_mssql = {
    .start = ms_shim_start, .install_script = install_script, .open = open_it, .copy_open = mssql_copy_open};
