/* SPDX-License-Identifier: PostgreSQL
 *
 * The lane's session: connecting, the origin, the claim on the progress row, what waits from earlier runs,
 * and the waiting changes' way back. A lane's work is in apply.c (sets), replay.c and mend.c (exact), sift.c
 * (what must not be applied), waiting.c (parked and quarantined rows), quarantine.c and stored.c (their
 * return).
 *
 * Invariants: `applied` is what the progress row says as committed; what is in memory about parked tables and
 * quarantined keys matches the tables in the sink whenever no transaction is open, or has a key too many.
 */
#include "pgsql/pg_sink.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "pgsql/apply.h"
#include "pgsql/lane.h"
#include "pgsql/quarantine.h"
#include "pgsql/stored.h"
#include "pgsql/waiting.h"

/* --- shared by the parts --- */

enum lane_blame lane_blame(const struct error *err)
{
    static const struct {
        const char *prefix;
        enum lane_blame blame;
    } blames[] = {
        {"CF001", LANE_BLAME_ROW},   {"22", LANE_BLAME_ROW},   {"23", LANE_BLAME_ROW},
        {"55000", LANE_BLAME_TABLE}, {"0A", LANE_BLAME_TABLE}, {"21", LANE_BLAME_TABLE},
        {"27", LANE_BLAME_TABLE},    {"38", LANE_BLAME_TABLE}, {"39", LANE_BLAME_TABLE},
        {"2F", LANE_BLAME_TABLE},    {"42", LANE_BLAME_TABLE}, {"44", LANE_BLAME_TABLE},
        {"54", LANE_BLAME_TABLE},    {"P0", LANE_BLAME_TABLE}, {"HV", LANE_BLAME_TABLE},
    };

    for (size_t i = 0; i < sizeof(blames) / sizeof(blames[0]); i++)
        if (strncmp(err->code, blames[i].prefix, strlen(blames[i].prefix)) == 0)
            return blames[i].blame;
    return LANE_BLAME_NONE;
}

bool lane_send_advance(struct pg_sink *s, const char *to, int64_t time_us, struct error *err)
{
    char lane[16], epoch[24], time[40];
    const char *values[] = {s->pipeline,
                            s->stream,
                            lane,
                            epoch,
                            s->applied_text,
                            to,
                            time_us ? clock_format(time_us, time, sizeof(time)) : NULL};
    static const int texts[7] = {0};
    struct pipe_args args = {values, texts, texts, 7};

    snprintf(lane, sizeof(lane), "%d", s->lane);
    snprintf(epoch, sizeof(epoch), "%" PRId64, s->epoch);
    return pipe_execute(&s->pipe, "cf_advance", &args, TAG_CONTROL, err);
}

void lane_mark(struct lane_table *t)
{
    t->care = t->parking || t->overflowed || t->has_snapshot || !held_is_empty(&t->held);
}

void lane_stop_table(struct pg_sink *s, struct lane_table *t, const char *reason)
{
    t->parking = true;
    t->care = true;
    if (!table_is_parked(t->table))
        t->table->state = TABLE_STOPPED;
    if (s->events.table_stopped)
        s->events.table_stopped(s->events.context, t->table, t->table->state, reason);
}

/* --- open --- */

/* *denied: the role may not. */
static bool origin_call(struct pg_sink *s, const char *sql, const char *name, char out[32], bool *is_null,
                        bool *denied, struct error *err)
{
    const char *values[] = {name};

    *denied = false;
    if (pg_query_one(&s->conn, sql, 1, values, out, 32, is_null, err))
        return true;
    *denied = strcmp(err->code, "42501") == 0;
    if (strcmp(err->code, "55006") == 0)
        error_prefix(err, "origin %s is still held by an earlier session", name);
    return false;
}

static bool set_origin(struct pg_sink *s, struct error *err)
{
    char name[64], id[32];
    bool is_null, denied;

    snprintf(name, sizeof(name), "crossfade_%s_%d", s->pipeline, s->lane);
    if (!origin_call(s, "SELECT pg_catalog.pg_replication_origin_oid($1)", name, id, &is_null, &denied, err))
        goto failed;
    if (is_null && !origin_call(s, "SELECT pg_catalog.pg_replication_origin_create($1)", name, id, &is_null,
                                &denied, err))
        goto failed;
    if (!origin_call(s, "SELECT pg_catalog.pg_replication_origin_session_setup($1)::text", name, id, &is_null,
                     &denied, err))
        goto failed;
    s->has_origin = true;
    return true;
failed:
    if (denied)
        error_clear(err);
    return denied;
}

static bool prepare_control(struct pg_sink *s, struct error *err)
{
    static const char *const statements[][2] = {
        {"cf_begin", "BEGIN"},
        {"cf_commit", "COMMIT"},
        {"cf_advance", "SELECT crossfade.advance($1::text, $2::text, $3::int4, $4::int8, $5::text, $6::text, "
                       "$7::timestamptz)"},
        {"cf_wal", "SELECT pg_catalog.pg_current_wal_insert_lsn(), pg_catalog.pg_current_wal_flush_lsn()"},
    };

    for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
        PGresult *r = PQprepare(s->conn.pg, statements[i][0], statements[i][1], 0, NULL);
        bool ok = PQresultStatus(r) == PGRES_COMMAND_OK;
        if (!ok)
            pg_error_from(err, &s->conn, r);
        PQclear(r);
        if (!ok)
            return false;
    }
    return true;
}

static bool claim(struct pg_sink *s, struct position *position, struct error *err)
{
    char lane[16], epoch[24], recovery[8];
    const char *values[] = {s->pipeline, s->stream, lane, epoch};

    if (!pg_query_one(&s->conn, "SELECT pg_catalog.pg_is_in_recovery()", 0, NULL, recovery, sizeof(recovery),
                      NULL, err))
        return false;
    if (recovery[0] != 'f')
        return error_set(err, ERROR_REFUSED,
                         "%s: %s is a standby and takes no writes - connect to its primary", s->conn.endpoint,
                         s->conn.where);
    snprintf(lane, sizeof(lane), "%d", s->lane);
    snprintf(epoch, sizeof(epoch), "%" PRId64, s->epoch);
    /* The owner takes the position for durable: a predecessor's last commits may not be on disk yet, and this
     * commit is behind them. */
    if (!pg_exec(&s->conn, "BEGIN; SET LOCAL synchronous_commit = on", err) ||
        !pg_query_one(&s->conn, "SELECT crossfade.claim_lane($1, $2, $3, $4)", 4, values, s->applied_text,
                      sizeof(s->applied_text), NULL, err) ||
        !pg_exec(&s->conn, "COMMIT", err))
        return false;
    if (!position_parse(s->applied_text, &s->applied))
        return error_set(err, ERROR_FATAL,
                         "%s: the progress row of lane %d holds \"%s\", which is no position",
                         s->conn.endpoint, s->lane, s->applied_text);
    *position = s->applied;
    return true;
}

static bool load_snapshot(struct lane_table *t, struct error *err)
{
    const struct table *table = t->table;

    snapshot_free(&t->snapshot);
    t->has_snapshot = table->key_count == 0 && table->state == TABLE_CATCHUP && table->copied_snapshot;
    t->copied_to = (struct position){.kind = POSITION_NONE};
    if (t->has_snapshot && !snapshot_parse(table->copied_snapshot, &t->snapshot) &&
        (!position_parse(table->copied_snapshot, &t->copied_to) || t->copied_to.kind == POSITION_NONE))
        return error_set(err, ERROR_FATAL, "%s: the stored snapshot \"%s\" of its copy can't be read",
                         table->from, table->copied_snapshot);
    lane_mark(t);
    return true;
}

static bool load_parked(struct pg_sink *s, struct error *err)
{
    const char *values[] = {s->pipeline};
    PGresult *r =
        pg_query(&s->conn,
                 "SELECT table_name, sum(octet_length(change)), count(*) FILTER (WHERE change = '') "
                 "FROM crossfade.parked WHERE pipeline = $1 GROUP BY 1",
                 1, values, err);

    for (int i = 0; r && i < PQntuples(r); i++) {
        struct table *table = table_set_named(s->tables, PQgetvalue(r, i, 0));
        if (!table || table->lane != s->lane)
            continue;
        struct lane_table *t = lane_table(s, table);
        t->parking = true;
        t->parked_bytes = strtoll(PQgetvalue(r, i, 1), NULL, 10);
        t->overflowed = PQgetvalue(r, i, 2)[0] != '0';
        lane_mark(t);
    }
    PQclear(r);
    return r != NULL;
}

static bool load_tables(struct pg_sink *s, struct error *err)
{
    s->lane_tables = mem_alloc((s->tables->count + 1) * sizeof(*s->lane_tables));
    for (uint32_t i = 0; i < s->tables->count; i++)
        s->lane_tables[i].table = s->tables->tables[i];
    for (uint32_t i = 0; i < s->tables->count; i++)
        if (!load_snapshot(&s->lane_tables[i], err))
            return false;
    return load_parked(s, err) && quarantine_load(s, err);
}

/* --- operations --- */

static bool sink_apply(struct sink *self, const struct batch *batch, struct sink_counts *counts,
                       struct sink_result *out, struct error *err)
{
    struct pg_sink *s = (struct pg_sink *)self;

    if (apply_batch(s, batch, counts, out, err))
        return true;
    if (atomic_load(&s->pipe.canceled))
        err->kind = ERROR_CANCELED;
    return false;
}

/* A commit that waits for the disk takes all before it there. It must write something, or it does not wait:
 * the row stays where it is. */
static bool force_flush(struct pg_sink *s, struct error *err)
{
    static const struct pipe_args none = {0};

    if (!pipe_begin(&s->pipe, err) || !pipe_execute(&s->pipe, "cf_begin", &none, TAG_CONTROL, err) ||
        !pipe_sql(&s->pipe, "SET LOCAL synchronous_commit = local", 0, NULL, TAG_CONTROL, err) ||
        !lane_send_advance(s, s->applied_text, 0, err) ||
        !pipe_execute(&s->pipe, "cf_commit", &none, TAG_CONTROL, err) || !pipe_end(&s->pipe, err))
        return false;
    if (s->pipe.failure.error.kind == ERROR_NONE)
        return true;
    *err = s->pipe.failure.error;
    return false;
}

static bool sink_flushed(struct sink *self, bool force, uint64_t *out, struct error *err)
{
    struct pg_sink *s = (struct pg_sink *)self;
    char text[32];
    struct position p;

    if (force && !s->in_transaction && !force_flush(s, err))
        return false;

    if (!pg_query_one(&s->conn, "SELECT pg_catalog.pg_current_wal_flush_lsn()", 0, NULL, text, sizeof(text),
                      NULL, err))
        return false;
    *out = position_parse(text, &p) ? p.low : 0;
    return true;
}

static void sink_cancel(struct sink *self)
{
    struct pg_sink *s = (struct pg_sink *)self;

    pipe_cancel(&s->pipe);
    pg_conn_cancel(&s->conn);
}

static void sink_free(struct sink *self)
{
    struct pg_sink *s = (struct pg_sink *)self;

    if (!s)
        return;
    pg_conn_close(&s->conn);
    pipe_free(&s->pipe);
    prepared_free(&s->prepared);
    params_free(&s->params);
    waiting_free(&s->waiting);
    buffer_free(&s->probe);
    arena_free(s->arena);
    for (uint32_t i = 0; s->lane_tables && i < s->tables->count; i++) {
        quarantine_forget(&s->lane_tables[i]);
        snapshot_free(&s->lane_tables[i].snapshot);
    }
    free(s->lane_tables);
    free(s->pipeline);
    free(s->stream);
    free(s);
}

static const struct sink_ops pg_sink_ops = {sink_apply, sink_flushed, sink_cancel, sink_free};

bool pg_sink_open(const struct pg_sink_options *options, struct sink **out, struct position *position,
                  struct error *err)
{
    struct pg_sink *s = mem_alloc(sizeof(*s));
    struct pg_conn_options conn = options->conn;

    conn.apply = true;
    s->base.ops = &pg_sink_ops;
    s->pipeline = mem_strdup(conn.pipeline);
    s->stream = mem_strdup(options->stream);
    s->lane = options->lane;
    s->epoch = options->epoch;
    s->tables = options->tables;
    s->events = options->events;
    s->park_limit = options->park_limit;
    s->quarantine_limit = options->quarantine_limit;
    s->arena = arena_new();
    pipe_init(&s->pipe, &s->conn);
    if (!pg_conn_open(&s->conn, &conn, err) || !claim(s, position, err) || !set_origin(s, err) ||
        !prepare_control(s, err) || !load_tables(s, err)) {
        sink_free(&s->base);
        return false;
    }
    *out = &s->base;
    return true;
}

bool pg_sink_has_origin(const struct sink *sink)
{
    return ((const struct pg_sink *)sink)->has_origin;
}

/* --- the way back of parked changes --- */

static const char drain_sql[] =
    "SELECT seq, change FROM (SELECT seq, change, sum(octet_length(change)) OVER (ORDER BY seq) AS bytes "
    "FROM (SELECT seq, change FROM crossfade.parked WHERE pipeline = $1 AND table_name = $2 "
    "ORDER BY seq LIMIT $3::bigint) p) q WHERE bytes - octet_length(change) < 8388608 ORDER BY seq";

/* Deletes what was applied. *empty: nothing is left. */
static bool drain_done(struct pg_sink *s, struct lane_table *t, int64_t last, bool *empty, struct error *err)
{
    char seq[24], answer[8];
    const char *values[] = {s->pipeline, t->table->from, seq};

    snprintf(seq, sizeof(seq), "%" PRId64, last);
    if (!pg_exec_params(&s->conn,
                        "DELETE FROM crossfade.parked WHERE pipeline = $1 AND table_name = $2 AND seq <= $3",
                        3, values, err) ||
        !pg_query_one(
            &s->conn,
            "SELECT NOT EXISTS (SELECT FROM crossfade.parked WHERE pipeline = $1 AND table_name = $2)", 2,
            values, answer, sizeof(answer), NULL, err))
        return false;
    *empty = answer[0] == 't';
    return true;
}

static bool drain_slice(struct pg_sink *s, struct lane_table *t, size_t max_rows, int64_t *bytes, bool *empty,
                        struct error *err)
{
    char limit[24];
    const char *values[] = {s->pipeline, t->table->from, limit};
    struct stored stored;

    snprintf(limit, sizeof(limit), "%zu", max_rows);
    if (!stored_begin(s, err) || !stored_read(s, t->table, drain_sql, 3, values, &stored, err))
        return false;
    int64_t last = stored.batch.count > 0 ? stored.ids[stored.batch.count - 1] : 0;
    *bytes = 0;
    for (int i = 0; i < PQntuples(stored.result); i++)
        *bytes += PQgetlength(stored.result, i, 1);
    bool ok = stored_apply(s, t, &stored, err) && drain_done(s, t, last, empty, err) && stored_commit(s, err);
    stored_free(&stored);
    return ok;
}

bool pg_sink_drain_parked(struct sink *sink, struct table *table, size_t max_rows, bool *empty,
                          struct error *err)
{
    struct pg_sink *s = (struct pg_sink *)sink;
    struct lane_table *t = lane_table(s, table);
    int64_t bytes;
    char reason[300];

    *empty = false;
    if (t->overflowed) {
        snprintf(reason, sizeof(reason),
                 "its changes were not kept beyond park_limit - run crossfade recopy --table %s",
                 table->from);
        lane_stop_table(s, t, reason);
        return true;
    }
    if (!load_snapshot(t, err))
        return false;
    if (drain_slice(s, t, max_rows, &bytes, empty, err)) {
        t->parked_bytes = *empty ? 0 : t->parked_bytes - bytes;
        t->parking = !*empty;
        lane_mark(t);
        return true;
    }
    if (err->kind != ERROR_TABLE)
        return false;
    stored_rollback(s);
    stored_stopped(s, t, err);
    return true;
}

bool pg_sink_forget_parked(struct sink *sink, struct table *table, struct error *err)
{
    struct pg_sink *s = (struct pg_sink *)sink;
    struct lane_table *t = lane_table(s, table);
    const char *values[] = {s->pipeline, table->from};

    if (!stored_begin(s, err) ||
        !pg_exec_params(&s->conn, "DELETE FROM crossfade.parked WHERE pipeline = $1 AND table_name = $2", 2,
                        values, err) ||
        !pg_exec_params(&s->conn, "DELETE FROM crossfade.quarantine WHERE pipeline = $1 AND table_name = $2",
                        2, values, err) ||
        !stored_commit(s, err))
        return false;
    t->parking = false;
    t->overflowed = false;
    t->parked_bytes = 0;
    quarantine_forget(t);
    return load_snapshot(t, err);
}
