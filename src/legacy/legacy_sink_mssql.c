/* SPDX-License-Identifier: PostgreSQL
 *
 * A SQL Server as the sink of the reverse stream. Our schema there is the marker's with what a lane needs
 * (mssql/marker.h); its table of progress is captured, so that the forward stream knows what we have written
 * (rule 7). Only a legacy captured by cdc can be written to: no other capture would tell.
 *
 * Nothing is held here between two statements; a stopped predecessor's open transaction ends by itself or
 * with its link, and the lanes wait for its locks.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "legacy/legacy_mssql.h"
#include "legacy/legacy_sink_driver.h"
#include "legacy/mssql_bridge.h"
#include "mssql/marker.h"
#include "mssql/ms_sink.h"
#include "mssql/sql.h"

static const char stream_name[] = "reverse";

struct sink_mssql {
    struct legacy_sink base;
    struct ms_conn conn;
    const struct config *config;
    struct ms_catalog catalog; /* as read by `pair` last */
    struct mssql_zones zones;  /* of its tables; the lanes end before */
};

static struct sink_mssql *cast(struct legacy_sink *base)
{
    return (struct sink_mssql *)base;
}

static void close_it(struct legacy_sink *base)
{
    ms_conn_close(&cast(base)->conn);
    ms_catalog_free(&cast(base)->catalog);
    mssql_zones_free(&cast(base)->zones);
    free(base);
}

static void cancel(struct legacy_sink *base)
{
    ms_conn_cancel(&cast(base)->conn);
}

/* pipeline and stream, as the tables of ours have them. */
static void put_ours(const struct config *config, struct buffer *sql)
{
    buffer_puts(sql, "[pipeline] = ");
    ms_sql_literal(sql, config->pipeline);
    buffer_puts(sql, " AND [stream] = ");
    ms_sql_literal(sql, stream_name);
}

static bool install(struct legacy_sink *base, struct error *err)
{
    return marker_install(&cast(base)->conn, true, true, err);
}

static bool prepare(struct legacy_sink *base, const struct legacy_notes *notes, struct error *err)
{
    struct sink_mssql *self = cast(base);
    struct marker_state state;
    if (self->config->legacy_capture != CAPTURE_CDC)
        return error_set(
            err, ERROR_REFUSED,
            "the reverse direction needs legacy.capture \"cdc\": nothing else would tell the forward "
            "stream what came from here");
    if (!marker_look(&self->conn, &state, err))
        return false;
    if (state.progress && state.progress_captured)
        return true;
    log_info(notes->log, "making the captured table crossfade.progress on the legacy side");
    return install(base, err) && marker_look(&self->conn, &state, err) &&
           ((state.progress && state.progress_captured) ||
            error_set(err, ERROR_REFUSED,
                      "legacy: table crossfade.progress is not captured - let a db_owner run what `crossfade "
                      "install --print` prints"));
}

static void judge(const struct sink_mssql *self, struct pairing *out)
{
    for (uint32_t i = 0; i < out->tables.count; i++) {
        const struct table *t = out->tables.tables[i];
        struct error why;
        if (ms_sink_unfit(t, &self->catalog, &why))
            pairing_add(out, PAIR_FAIL, "not_written", t->from, NULL, "%s", why.text);
    }
}

static bool pair(struct legacy_sink *base, const struct legacy_notes *notes, const struct pg_catalog *target,
                 int target_version, struct pairing *out, struct error *err)
{
    struct sink_mssql *self = cast(base);
    ms_catalog_free(&self->catalog);
    if (!ms_catalog_read(&self->conn, &self->catalog, err) ||
        !mssql_bridge_pair_back(notes->config, &self->catalog, target, target_version, out, err))
        return false;
    mssql_policy_put_back(notes->config, &self->catalog, out);
    if (!mssql_zones_look(&self->zones, notes->config, notes->target, out, err) ||
        !mssql_zones_bind(&self->zones, notes->target, out, err)) {
        pairing_free(out);
        return false;
    }
    judge(self, out);
    return true;
}

/* --- the lanes' rows --- */

struct rows {
    struct store_progress *list;
    int count;
};

static bool take_row(void *context, struct ms_conn *conn, struct error *err)
{
    struct rows *rows = context;
    struct buffer text = {0};
    rows->list = mem_grow(rows->list, (size_t)rows->count + 1, sizeof(*rows->list));
    struct store_progress *p = &rows->list[rows->count++];
    *p = (struct store_progress){.lane = (int)ms_column_int(conn, 0), .epoch = ms_column_int(conn, 2)};
    (void)ms_column_text(conn, 1, &text);
    bool ok = position_parse(buffer_text(&text), &p->position) ||
              error_set(err, ERROR_FATAL,
                        "legacy: crossfade.progress holds \"%.80s\" for lane %d, which is no position",
                        buffer_text(&text), p->lane);
    buffer_free(&text);
    return ok;
}

static bool progress(struct legacy_sink *base, struct store_progress **out, int *count, struct error *err)
{
    struct sink_mssql *self = cast(base);
    struct rows rows = {0};
    struct buffer sql = {0};
    buffer_puts(&sql, "SELECT [lane], [position], [epoch] FROM [crossfade].[progress] WHERE ");
    put_ours(self->config, &sql);
    buffer_puts(&sql, " ORDER BY [lane]");
    bool ok = ms_query(&self->conn, buffer_text(&sql), take_row, &rows, err);
    buffer_free(&sql);
    if (!ok) {
        free(rows.list);
        return false;
    }
    *out = rows.list;
    *count = rows.count;
    return true;
}

static void put_lane(const struct config *config, int64_t epoch, int lane, const char *position,
                     struct buffer *sql)
{
    buffer_puts(sql, "IF NOT EXISTS (SELECT 1 FROM [crossfade].[progress] WHERE ");
    put_ours(config, sql);
    buffer_printf(sql, " AND [lane] = %d)", lane);
    buffer_puts(sql,
                " INSERT INTO [crossfade].[progress] ([pipeline], [stream], [lane], [position], [epoch], "
                "[written_at]) VALUES (");
    ms_sql_literal(sql, config->pipeline);
    buffer_puts(sql, ", ");
    ms_sql_literal(sql, stream_name);
    buffer_printf(sql, ", %d, ", lane);
    ms_sql_literal(sql, position);
    buffer_printf(sql, ", %" PRId64 ", SYSUTCDATETIME());\n", epoch);
}

/* Fenced first: a process that was stopped must not deal the rows of its successor. */
static bool deal(struct legacy_sink *base, int64_t epoch, int lanes, struct position at, struct error *err)
{
    struct sink_mssql *self = cast(base);
    struct buffer sql = {0}, ours = {0};
    char position[POSITION_TEXT_SIZE];
    put_ours(self->config, &ours);
    buffer_printf(&sql,
                  "IF EXISTS (SELECT 1 FROM [crossfade].[progress] WITH (UPDLOCK, HOLDLOCK) WHERE %s AND "
                  "[epoch] > %" PRId64 ") THROW %d, N'the stream is held under a higher epoch: another "
                  "process runs this pipeline', 1;\n"
                  "UPDATE [crossfade].[progress] SET [epoch] = %" PRId64 " WHERE %s;\n",
                  buffer_text(&ours), epoch, MS_RAISED_FENCED, epoch, buffer_text(&ours));
    for (int i = 0; i < lanes; i++)
        put_lane(self->config, epoch, i, position_format(at, position), &sql);
    buffer_printf(&sql, "DELETE FROM [crossfade].[progress] WHERE %s AND [lane] >= %d;\n", buffer_text(&ours),
                  lanes);
    bool ok = ms_begin(&self->conn, err) && ms_exec(&self->conn, buffer_text(&sql), err) &&
              ms_commit(&self->conn, err);
    if (!ok) {
        struct error ignored;
        (void)!ms_rollback(&self->conn, &ignored);
    }
    buffer_free(&sql);
    buffer_free(&ours);
    return ok;
}

/* --- what waits --- */

struct counting {
    const struct table_set *tables;
    int64_t *parked, *quarantined;
};

static bool take_count(void *context, struct ms_conn *conn, struct error *err)
{
    struct counting *c = context;
    struct buffer name = {0};
    (void)err;
    (void)ms_column_text(conn, 0, &name);
    const struct table *t = table_set_named(c->tables, buffer_text(&name));
    if (t)
        (ms_column_int(conn, 2) ? c->parked : c->quarantined)[t->id] = ms_column_int(conn, 1);
    buffer_free(&name);
    return true;
}

static bool waiting(struct legacy_sink *base, const struct table_set *tables, int64_t *parked,
                    int64_t *quarantined, struct error *err)
{
    struct sink_mssql *self = cast(base);
    struct counting c = {.tables = tables, .parked = parked, .quarantined = quarantined};
    static const char *const names[] = {"quarantine", "parked"};
    bool ok = true;
    for (int i = 0; ok && i < 2; i++) {
        struct buffer sql = {0};
        buffer_printf(&sql,
                      "SELECT [table_name], COUNT_BIG(*), %d FROM [crossfade].[%s] WHERE [pipeline] = ", i,
                      names[i]);
        ms_sql_literal(&sql, self->config->pipeline);
        buffer_puts(&sql, " GROUP BY [table_name]");
        ok = ms_query(&self->conn, buffer_text(&sql), take_count, &c, err);
        buffer_free(&sql);
    }
    return ok;
}

static bool held(struct legacy_sink *base, int64_t *count, struct error *err)
{
    struct sink_mssql *self = cast(base);
    struct marker_state state;
    struct buffer sql = {0};
    *count = 0;
    if (!marker_look(&self->conn, &state, err))
        return false;
    if (!state.progress)
        return true;
    buffer_puts(&sql, "SELECT (SELECT COUNT_BIG(*) FROM [crossfade].[parked] WHERE [pipeline] = ");
    ms_sql_literal(&sql, self->config->pipeline);
    buffer_puts(&sql, ") + (SELECT COUNT_BIG(*) FROM [crossfade].[quarantine] WHERE [pipeline] = ");
    ms_sql_literal(&sql, self->config->pipeline);
    buffer_puts(&sql, ")");
    bool ok = ms_query_int(&self->conn, buffer_text(&sql), count, err);
    buffer_free(&sql);
    return ok;
}

struct listing {
    legacy_sink_row *row;
    void *context;
};

static bool take_held(void *context, struct ms_conn *conn, struct error *err)
{
    const struct listing *l = context;
    struct buffer texts[LEGACY_SINK_FIELDS] = {0};
    const char *fields[LEGACY_SINK_FIELDS];
    (void)err;
    for (int i = 0; i < LEGACY_SINK_FIELDS; i++) {
        (void)ms_column_text(conn, i, &texts[i]);
        fields[i] = buffer_text(&texts[i]);
    }
    l->row(l->context, fields);
    for (int i = 0; i < LEGACY_SINK_FIELDS; i++)
        buffer_free(&texts[i]);
    return true;
}

static bool quarantine(struct legacy_sink *base, legacy_sink_row *row, void *context, struct error *err)
{
    struct sink_mssql *self = cast(base);
    struct listing l = {.row = row, .context = context};
    struct buffer sql = {0};
    buffer_puts(&sql, "SELECT [id], [table_name], [key_text], [op], [position], [code], [message],"
                      " CONVERT(nvarchar(30), [at], 126) FROM [crossfade].[quarantine] WHERE [pipeline] = ");
    ms_sql_literal(&sql, self->config->pipeline);
    buffer_puts(&sql, " ORDER BY [id]");
    bool ok = ms_query(&self->conn, buffer_text(&sql), take_held, &l, err);
    buffer_free(&sql);
    return ok;
}

/* --- lanes --- */

static bool open_lane(struct legacy_sink *base, const struct legacy_sink_lane *lane, struct sink **out,
                      struct position *position, struct error *err)
{
    struct sink_mssql *self = cast(base);
    const struct config *c = self->config;
    char job[16];
    snprintf(job, sizeof(job), "lane%d", lane->lane);
    struct ms_sink_options o = {.conn = {.server = &c->sqlserver,
                                         .pipeline = c->pipeline,
                                         .job = job,
                                         .endpoint = "legacy",
                                         .connect_timeout_ms = (int)c->connect_timeout_ms,
                                         .value_limit = c->value_limit},
                                .stream = stream_name,
                                .lane = lane->lane,
                                .epoch = lane->epoch,
                                .tables = lane->tables,
                                .catalog = &self->catalog,
                                .events = lane->events,
                                .park_limit = c->park_limit,
                                .quarantine_limit = c->quarantine_limit};
    return ms_sink_open(&o, out, position, err);
}

static bool rights(struct legacy_sink *base, const struct table_set *tables, struct buffer *out,
                   struct error *err)
{
    struct sink_mssql *self = cast(base);
    const char *user = self->config->sqlserver.user;
    return ms_sink_rights(&self->conn, tables, &self->catalog, user ? user : "the replicator's user", out,
                          err);
}

/* --- the operator's --- */

static bool drop(struct legacy_sink *base, struct buffer *said, struct error *err)
{
    static const char *const tables[] = {"progress", "parked", "quarantine"};
    struct sink_mssql *self = cast(base);
    bool ok = true;
    for (size_t i = 0; ok && i < sizeof(tables) / sizeof(tables[0]); i++) {
        struct buffer sql = {0};
        buffer_printf(&sql,
                      "IF OBJECT_ID(N'crossfade.%s', N'U') IS NOT NULL DELETE FROM [crossfade].[%s] WHERE "
                      "[pipeline] = ",
                      tables[i], tables[i]);
        ms_sql_literal(&sql, self->config->pipeline);
        ok = ms_exec(&self->conn, buffer_text(&sql), err);
        buffer_free(&sql);
    }
    if (ok)
        buffer_puts(said, "this pipeline's rows of crossfade.progress on the legacy side: deleted\n");
    return ok;
}

static const struct legacy_sink_waits waits = {.drain = ms_sink_drain_parked,
                                               .forget = ms_sink_forget_parked,
                                               .retry = ms_sink_retry_quarantine,
                                               .skip = ms_sink_skip_quarantine};

static const struct legacy_sink_ops ops = {.close = close_it,
                                           .cancel = cancel,
                                           .install = install,
                                           .prepare = prepare,
                                           .pair = pair,
                                           .progress = progress,
                                           .deal = deal,
                                           .waiting = waiting,
                                           .held = held,
                                           .quarantine = quarantine,
                                           .open = open_lane,
                                           .rights = rights,
                                           .drop = drop,
                                           .waits = &waits};

static bool open_it(const struct legacy_options *options, struct legacy_sink **out, struct error *err)
{
    struct sink_mssql *self = mem_alloc(sizeof(*self));
    self->base.ops = &ops;
    self->config = options->config;
    if (!mssql_connect(options, &self->conn, err)) {
        free(self);
        return false;
    }
    *out = &self->base;
    return true;
}

static void script(const struct config *config, struct buffer *out)
{
    marker_script(true, true, config->sqlserver.user, out);
}

const struct legacy_sink_driver legacy_sink_mssql = {.open = open_it, .script = script};
