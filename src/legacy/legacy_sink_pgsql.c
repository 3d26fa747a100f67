/* SPDX-License-Identifier: PostgreSQL
 *
 * A PostgreSQL as the sink of the reverse stream: the forward stream's own sink (pgsql/pg_sink.h), with the
 * schema crossfade in the legacy too. The lease is the target's; its row here is only the epoch's copy, by
 * which the lanes and everything else we write here are fenced. What is applied carries our origins, by which
 * the forward stream leaves it out.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "legacy/legacy_sink_driver.h"
#include "pgsql/pg_sink.h"
#include "pgsql/sql.h"
#include "state/schema.h"

static const char stream_name[] = "reverse";

struct sink_pgsql {
    struct legacy_sink base;
    struct pg_conn conn;
    const struct config *config;
};

static struct sink_pgsql *cast(struct legacy_sink *base)
{
    return (struct sink_pgsql *)base;
}

static void close_it(struct legacy_sink *base)
{
    pg_conn_close(&cast(base)->conn);
    free(base);
}

static void cancel(struct legacy_sink *base)
{
    pg_conn_cancel(&cast(base)->conn);
}

/* Whoever is fenced here has waited until the epoch's change was committed, or is waited for. */
static bool tell_epoch(struct sink_pgsql *self, int64_t epoch, struct error *err)
{
    char number[24], held[24];
    const char *params[] = {self->config->pipeline, number};
    snprintf(number, sizeof(number), "%" PRId64, epoch);
    if (!pg_exec(&self->conn, "BEGIN", err) ||
        !pg_exec_params(&self->conn, "SELECT pg_advisory_xact_lock(crossfade.fence_key($1))", 1, params,
                        err) ||
        !pg_query_one(&self->conn,
                      "WITH told AS (INSERT INTO crossfade.lease AS l (pipeline, holder, epoch, heartbeat)"
                      " VALUES ($1, 'the target holds the lease', $2::bigint, '-infinity')"
                      " ON CONFLICT (pipeline) DO UPDATE SET epoch = excluded.epoch"
                      " WHERE l.epoch <= excluded.epoch RETURNING 1) SELECT count(*) FROM told",
                      2, params, held, sizeof(held), NULL, err) ||
        !pg_exec(&self->conn, "COMMIT", err))
        return false;
    return held[0] == '1' ||
           error_set(err, ERROR_FENCED, "legacy: pipeline \"%s\" is run under a higher epoch than %s",
                     self->config->pipeline, number);
}

static bool install(struct legacy_sink *base, struct error *err)
{
    return schema_install(&cast(base)->conn, err) || error_prefix(err, "schema crossfade on the legacy side");
}

static bool prepare(struct legacy_sink *base, const struct legacy_notes *notes, struct error *err)
{
    struct sink_pgsql *self = cast(base);
    int version;
    if (self->config->legacy_capture != CAPTURE_LOGICAL)
        return error_set(
            err, ERROR_REFUSED,
            "the reverse direction needs legacy.capture \"logical\": nothing else would tell the "
            "forward stream what came from here");
    if (!schema_version(&self->conn, &version, err))
        return false;
    if (version == 0)
        log_info(notes->log, "making schema crossfade on the legacy side");
    return install(base, err) && tell_epoch(self, notes->epoch, err);
}

static bool pair(struct legacy_sink *base, const struct legacy_notes *notes, const struct pg_catalog *target,
                 int target_version, struct pairing *out, struct error *err)
{
    struct sink_pgsql *self = cast(base);
    struct pg_catalog legacy = {0};
    bool ok = pg_catalog_read(&self->conn, &legacy, err) &&
              pair_tables_back(notes->config, &legacy, self->conn.version, target, target_version, out, err);
    pg_catalog_free(&legacy);
    return ok;
}

static bool progress(struct legacy_sink *base, struct store_progress **out, int *count, struct error *err)
{
    return store_progress_get(&cast(base)->conn, cast(base)->config->pipeline, stream_name, out, count, err);
}

static bool deal(struct legacy_sink *base, int64_t epoch, int lanes, struct position at, struct error *err)
{
    struct pg_conn *conn = &cast(base)->conn;
    char count[16], number[24], position[POSITION_TEXT_SIZE];
    const char *params[] = {cast(base)->config->pipeline, count, position_format(at, position), number,
                            stream_name};
    const char *fence[] = {cast(base)->config->pipeline, number};
    const char *rest[] = {cast(base)->config->pipeline, count, stream_name};
    snprintf(count, sizeof(count), "%d", lanes);
    snprintf(number, sizeof(number), "%" PRId64, epoch);
    bool ok = pg_exec(conn, "BEGIN", err) &&
              pg_exec_params(conn, "SELECT crossfade.fence($1, $2::bigint)", 2, fence, err) &&
              pg_exec_params(conn,
                             "INSERT INTO crossfade.progress (pipeline, stream, lane, position, epoch)"
                             " SELECT $1, $5, n, $3, $4::bigint FROM generate_series(0, $2::integer - 1) n"
                             " ON CONFLICT DO NOTHING",
                             5, params, err) &&
              pg_exec_params(conn,
                             "DELETE FROM crossfade.progress WHERE pipeline = $1 AND stream = $3"
                             " AND lane >= $2::integer",
                             3, rest, err) &&
              pg_exec(conn, "COMMIT", err);
    if (!ok) {
        struct error ignored;
        (void)!pg_exec(conn, "ROLLBACK", &ignored);
    }
    return ok;
}

static bool waiting(struct legacy_sink *base, const struct table_set *tables, int64_t *parked,
                    int64_t *quarantined, struct error *err)
{
    const char *pipeline = cast(base)->config->pipeline;
    PGresult *r = pg_query(&cast(base)->conn,
                           "SELECT table_name, count(*), true FROM crossfade.parked WHERE pipeline = $1"
                           " GROUP BY 1 UNION ALL"
                           " SELECT table_name, count(*), false FROM crossfade.quarantine WHERE pipeline = $1"
                           " GROUP BY 1",
                           1, &pipeline, err);
    if (!r)
        return false;
    for (int i = 0; i < PQntuples(r); i++) {
        const struct table *t = table_set_named(tables, PQgetvalue(r, i, 0));
        bool is_parked = PQgetvalue(r, i, 2)[0] == 't';
        if (t)
            (is_parked ? parked : quarantined)[t->id] = strtoll(PQgetvalue(r, i, 1), NULL, 10);
    }
    PQclear(r);
    return true;
}

static bool held(struct legacy_sink *base, int64_t *count, struct error *err)
{
    struct pg_conn *conn = &cast(base)->conn;
    const char *pipeline = cast(base)->config->pipeline;
    char text[24] = "0";
    int version;
    bool ok =
        schema_version(conn, &version, err) &&
        (version == 0 || pg_query_one(conn,
                                      "SELECT (SELECT count(*) FROM crossfade.parked WHERE pipeline = $1) +"
                                      " (SELECT count(*) FROM crossfade.quarantine WHERE pipeline = $1)",
                                      1, &pipeline, text, sizeof(text), NULL, err));
    *count = strtoll(text, NULL, 10);
    return ok;
}

static bool quarantine(struct legacy_sink *base, legacy_sink_row *row, void *context, struct error *err)
{
    const char *pipeline = cast(base)->config->pipeline;
    PGresult *r = pg_query(&cast(base)->conn,
                           "SELECT id, table_name, key_text, op, position, sqlstate, message, at"
                           " FROM crossfade.quarantine WHERE pipeline = $1 ORDER BY id",
                           1, &pipeline, err);
    if (!r)
        return false;
    for (int i = 0; i < PQntuples(r); i++) {
        const char *fields[LEGACY_SINK_FIELDS];
        for (int c = 0; c < LEGACY_SINK_FIELDS; c++)
            fields[c] = PQgetvalue(r, i, c);
        row(context, fields);
    }
    PQclear(r);
    return true;
}

static bool open_lane(struct legacy_sink *base, const struct legacy_sink_lane *lane, struct sink **out,
                      struct position *position, struct error *err)
{
    const struct config *c = cast(base)->config;
    char job[16];
    snprintf(job, sizeof(job), "lane%d", lane->lane);
    struct pg_sink_options o = {.conn = {.conninfo = c->legacy_conninfo,
                                         .pipeline = c->pipeline,
                                         .job = job,
                                         .endpoint = "legacy",
                                         .connect_timeout_ms = (int)c->connect_timeout_ms},
                                .stream = stream_name,
                                .lane = lane->lane,
                                .epoch = lane->epoch,
                                .tables = lane->tables,
                                .events = lane->events,
                                .park_limit = c->park_limit,
                                .quarantine_limit = c->quarantine_limit};
    if (!pg_sink_open(&o, out, position, err))
        return false;
    if (pg_sink_has_origin(*out))
        return true;
    (*out)->ops->free(*out);
    *out = NULL;
    return error_set(err, ERROR_REFUSED,
                     "legacy: the role may not use replication origins, by which the forward stream knows "
                     "what came from here - conf/roles-target.sql, run there, grants them");
}

static bool rights(struct legacy_sink *base, const struct table_set *tables, struct buffer *out,
                   struct error *err)
{
    struct sink_pgsql *self = cast(base);
    bool ok = true;
    for (uint32_t i = 0; ok && i < tables->count; i++) {
        const struct table *t = tables->tables[i];
        struct buffer name = {0};
        char may[8];
        sql_qualified(&name, t->to_schema, t->to_name);
        const char *params[] = {buffer_text(&name)};
        ok = pg_query_one(&self->conn,
                          "SELECT has_table_privilege($1, 'SELECT') AND has_table_privilege($1, 'INSERT') AND"
                          " has_table_privilege($1, 'UPDATE') AND has_table_privilege($1, 'DELETE')",
                          1, params, may, sizeof(may), NULL, err);
        if (ok && may[0] == 'f')
            buffer_printf(out, "GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON %s TO CURRENT_USER;\n",
                          buffer_text(&name));
        buffer_free(&name);
    }
    return ok;
}

static bool drop(struct legacy_sink *base, struct buffer *said, struct error *err)
{
    struct sink_pgsql *self = cast(base);
    const char *pipeline = self->config->pipeline;
    int version;
    if (!schema_version(&self->conn, &version, err))
        return false;
    if (version == 0)
        return true;
    static const char *const tables[] = {"progress", "parked", "quarantine", "reread", "lease"};
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        struct buffer sql = {0};
        buffer_puts(&sql, "DELETE FROM ");
        sql_qualified(&sql, "crossfade", tables[i]);
        buffer_puts(&sql, " WHERE pipeline = $1");
        bool ok = pg_exec_params(&self->conn, buffer_text(&sql), 1, &pipeline, err);
        buffer_free(&sql);
        if (!ok)
            return false;
    }
    buffer_puts(said, "this pipeline's rows of schema crossfade on the legacy side: deleted\n");
    return true;
}

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
                                           .waits = &legacy_sink_target};

static bool open_it(const struct legacy_options *options, struct legacy_sink **out, struct error *err)
{
    struct sink_pgsql *self = mem_alloc(sizeof(*self));
    struct pg_conn_options o = {.conninfo = options->config->legacy_conninfo,
                                .pipeline = options->config->pipeline,
                                .job = options->job,
                                .endpoint = "legacy",
                                .connect_timeout_ms = options->connect_timeout_ms,
                                .statement_timeout_ms = options->statement_timeout_ms,
                                .lock_timeout_ms = options->lock_timeout_ms};
    self->base = (struct legacy_sink){.ops = &ops, .pg = &self->conn};
    self->config = options->config;
    if (!pg_conn_open(&self->conn, &o, err)) {
        free(self);
        return false;
    }
    *out = &self->base;
    return true;
}

static void script(const struct config *config, struct buffer *out)
{
    (void)config;
    buffer_printf(out, "BEGIN;\n%s\nCOMMIT;\n", schema_sql());
}

const struct legacy_sink_driver legacy_sink_pgsql = {.open = open_it, .script = script};
