/* SPDX-License-Identifier: PostgreSQL
 *
 * A PostgreSQL legacy read by logical replication: one ordinary connection, and who asks what of which part.
 *
 * When a row may be read again. It must not be older than what the stream has applied already, or nothing
 * would ever bring the newer one: so the read has to see every transaction that was applied. That is not
 * given by positions: a commit is in the WAL, and may be streamed and applied, a moment before the source
 * shows it to new snapshots (the backend writes its commit record first and leaves the list of running
 * transactions last; seen: one stale row in some hundred runs on a busy machine). Hence:
 *
 * 1. no transaction that this stream has dealt out is still running for a snapshot of the source, and
 * 2. none of those that were running when this stream began is: what an earlier stream applied we don't know.
 *
 * What a snapshot sees later ones see too, so asking once before the reads is enough.
 */
#include "legacy/legacy_pgsql.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "legacy/legacy_pgsql_poll.h"
#include "legacy/legacy_sink.h"
#include "pgsql/logical_source.h"
#include "pgsql/snapshot.h"
#include "state/lease.h"

enum { STATUS_MS = 2000 };

void pgsql_close(struct legacy *base)
{
    pg_conn_close(&pgsql_of(base)->conn);
    free(base);
}

void pgsql_cancel(struct legacy *base)
{
    pg_conn_cancel(&pgsql_of(base)->conn);
}

bool pgsql_evict(struct legacy *base, struct error *err)
{
    return lease_terminate_others(&pgsql_of(base)->conn, pgsql_of(base)->config->pipeline, err);
}

static bool end(struct legacy *base, const struct legacy_notes *notes, struct position *out,
                struct error *err)
{
    (void)notes;
    return pgsql_end(&pgsql_of(base)->conn, out, err);
}

static const char *const look_sql =
    "SELECT pg_catalog.pg_wal_lsn_diff(w.lsn, '0/0')::pg_catalog.int8,"
    "       pg_catalog.pg_wal_lsn_diff(w.lsn, s.restart_lsn)::pg_catalog.int8,"
    "       %s"
    "  FROM (SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()"
    "               ELSE pg_catalog.pg_current_wal_lsn() END AS lsn) w"
    "  LEFT JOIN pg_catalog.pg_replication_slots s ON s.slot_name = $1";

/* The rate of WAL is smoothed over the calls. */
static void note_retained(struct legacy_retained *io, const PGresult *r)
{
    int64_t now = clock_ms();
    uint64_t at = strtoull(PQgetvalue(r, 0, 0), NULL, 10);
    io->end = position_lsn(at);
    io->end_bytes = (int64_t)at;
    io->bytes = strtoll(PQgetvalue(r, 0, 1), NULL, 10);
    io->capture_lag_ms = -1;
    if (io->before.end_bytes && now > io->before.at_ms) {
        double rate =
            (double)(io->end_bytes - io->before.end_bytes) * 1000 / (double)(now - io->before.at_ms);
        io->before.rate = io->before.rate * 0.8 + rate * 0.2;
    }
    io->before.at_ms = now;
    io->before.end_bytes = io->end_bytes;
    if (PQgetisnull(r, 0, 2) || io->before.rate < 1)
        io->limit_seconds = -1;
    else
        io->limit_seconds = (int64_t)((double)strtoll(PQgetvalue(r, 0, 2), NULL, 10) / io->before.rate);
}

static bool retained(struct legacy *base, struct legacy_retained *io, struct error *err)
{
    struct legacy_pgsql *self = pgsql_of(base);
    const char *slot = self->side.slot;
    char sql[1024];
    snprintf(sql, sizeof(sql), look_sql, self->conn.version >= 130000 ? "s.safe_wal_size" : "NULL");
    PGresult *r = pg_query(&self->conn, sql, 1, &slot, err);
    if (!r)
        return false;
    if (PQntuples(r) == 1)
        note_retained(io, r);
    PQclear(r);
    return true;
}

static struct pgsql_work work(struct legacy *base, const struct legacy_notes *notes)
{
    return (struct pgsql_work){.config = notes->config,
                               .side = &pgsql_of(base)->side,
                               .log = notes->log,
                               .source = &pgsql_of(base)->conn,
                               .target = notes->target,
                               .epoch = notes->epoch,
                               .cancel = notes->cancel};
}

/* A standby's slots are not its primary's: what is missing there is not lost. Logical decoding on one (16 and
 * later) is not used: its slot waits for the primary's next running-transactions record, its snapshots for
 * replay, and a fail-over would be two. */
bool pgsql_refuse_standby(struct pg_conn *conn, struct error *err)
{
    char answer[8];
    if (!pg_query_one(conn, "SELECT pg_catalog.pg_is_in_recovery()", 0, NULL, answer, sizeof(answer), NULL,
                      err))
        return false;
    return answer[0] == 'f' ||
           error_set(err, ERROR_REFUSED,
                     "%s: %s is a standby, changes are captured on the primary - name that in "
                     "%s.conninfo (several hosts with target_session_attrs=read-write follow a fail-over)",
                     conn->endpoint, conn->where, conn->endpoint);
}

static bool history(struct legacy *base, const struct legacy_notes *notes, bool *first, struct error *err)
{
    struct pgsql_work w = work(base, notes);
    return pgsql_refuse_standby(w.source, err) && pgsql_history(&w, first, err);
}

static bool pair(struct legacy *base, const struct legacy_notes *notes, struct pairing *out,
                 struct error *err)
{
    struct pg_conn *source = &pgsql_of(base)->conn;
    struct pg_catalog legacy = {0}, target = {0};
    bool ok = pg_catalog_read(source, &legacy, err) && pg_catalog_read(notes->target, &target, err) &&
              pair_tables(notes->config, &legacy, source->version, &target, out, err);
    if (ok)
        pgsql_poll_findings(notes->config, &legacy, out);
    pg_catalog_free(&legacy);
    pg_catalog_free(&target);
    return ok;
}

static bool capture(struct legacy *base, const struct legacy_notes *notes, const struct table_set *tables,
                    bool first, struct error *err)
{
    struct pgsql_work w = work(base, notes);
    uint32_t added;
    return pgsql_publication(&w, tables, false, &added, err) && (!first || pgsql_slot(&w, err));
}

static bool writers(struct legacy *base, const struct legacy_notes *notes, const struct table_set *tables,
                    struct error *err)
{
    struct pgsql_work w = work(base, notes);
    return pgsql_writers(&w, tables, err);
}

static bool source_snapshot(struct legacy_pgsql *self, struct snapshot *out, struct error *err)
{
    PGresult *r = pg_query(&self->conn, "SELECT pg_catalog.txid_current_snapshot()", 0, NULL, err);
    if (!r)
        return false;
    bool ok = snapshot_parse(PQgetvalue(r, 0, 0), out);
    if (!ok)
        error_set(err, ERROR_RETRY, "%s: \"%.100s\" is no snapshot", self->conn.endpoint,
                  PQgetvalue(r, 0, 0));
    PQclear(r);
    return ok;
}

static bool stream(struct legacy *base, const struct legacy_notes *notes, const struct table_set *tables,
                   bool binary, struct position start, struct source **out, struct error *err)
{
    struct legacy_pgsql *self = pgsql_of(base);
    const struct config *c = notes->config;
    char insert[80];
    char prefix[64];
    struct snapshot begun = {0};
    if (!source_snapshot(self, &begun, err))
        return false;
    self->begun_before = begun.xmax;
    snapshot_free(&begun);
    snprintf(prefix, sizeof(prefix), "crossfade_%s_", c->pipeline);
    struct logical_source_options o = {
        .conn = {.conninfo = self->side.conninfo,
                 .pipeline = c->pipeline,
                 .job = "capture",
                 .endpoint = self->side.endpoint,
                 .connect_timeout_ms = (int)c->connect_timeout_ms},
        .slot = self->side.slot,
        .publication = self->side.publication,
        .insert_publication = pgsql_insert_publication(&self->side, tables, insert, sizeof(insert)),
        .start = start,
        .binary = binary,
        .origin_prefix = prefix,
        .tables = tables,
        .status_interval_ms = STATUS_MS,
    };
    return logical_source_open(&o, out, err);
}

static bool settled(struct legacy *base, legacy_all_seen *all_seen, void *context, bool *out,
                    struct error *err)
{
    struct legacy_pgsql *self = pgsql_of(base);
    struct snapshot now = {0};
    if (!source_snapshot(self, &now, err))
        return false;
    *out = now.xmin >= self->begun_before && all_seen(context, &now);
    snapshot_free(&now);
    return true;
}

bool pgsql_fetch_rows(struct legacy *base, const struct legacy_notes *notes, const struct table *table,
                      char *const *const *keys, size_t count, struct legacy_rows *out, struct error *err)
{
    (void)notes;
    return pgsql_fetch(&pgsql_of(base)->conn, table, keys, count, out, err);
}

static const struct legacy_ops ops = {
    .close = pgsql_close, .cancel = pgsql_cancel, .evict = pgsql_evict, .end = end, .retained = retained};

static const struct legacy_session_ops session_ops = {.history = history,
                                                      .pair = pair,
                                                      .capture = capture,
                                                      .writers = writers,
                                                      .stream = stream,
                                                      .settled = settled,
                                                      .fetch = pgsql_fetch_rows};

bool pgsql_install(struct legacy *base, struct error *err)
{
    (void)base;
    (void)err;
    return true;
}

static bool drop(struct legacy *base, const struct legacy_notes *notes, struct buffer *said, int *undone,
                 struct error *err)
{
    return pgsql_drop(&pgsql_of(base)->conn, &pgsql_of(base)->side, notes, said, undone, err);
}

static const struct legacy_control_ops control_ops = {.install = pgsql_install, .drop = drop};

bool pgsql_open(const struct legacy_options *options, const struct pgsql_side *side,
                const struct legacy *base, struct legacy **out, struct error *err)
{
    struct legacy_pgsql *self = mem_alloc(sizeof(*self));
    struct pg_conn_options o = {.conninfo = side->conninfo,
                                .pipeline = options->config->pipeline,
                                .job = options->job,
                                .endpoint = side->endpoint,
                                .connect_timeout_ms = options->connect_timeout_ms,
                                .statement_timeout_ms = options->statement_timeout_ms,
                                .lock_timeout_ms = options->lock_timeout_ms};
    self->base = *base;
    self->config = options->config;
    self->side = *side;
    if (!pg_conn_open(&self->conn, &o, err)) {
        free(self);
        return false;
    }
    *out = &self->base;
    return true;
}

static bool open_it(const struct legacy_options *options, struct legacy **out, struct error *err)
{
    static const struct legacy base = {.ops = &ops, .session = &session_ops, .control = &control_ops};
    const struct config *c = options->config;
    if (pgsql_is_polled(c))
        return pgsql_poll_open(options, out, err);
    struct pgsql_side side = {.endpoint = "legacy",
                              .conninfo = c->legacy_conninfo,
                              .slot = c->legacy_slot,
                              .publication = c->legacy_publication,
                              .stream = "forward"};
    return pgsql_open(options, &side, &base, out, err);
}

const struct legacy_driver legacy_pgsql = {.open = open_it, .copy_open = pgsql_copy_open};

/* --- the target as the source --- */

static bool pair_back(struct legacy *base, const struct legacy_notes *notes, struct pairing *out,
                      struct error *err)
{
    struct legacy_pgsql *self = pgsql_of(base);
    struct pg_catalog target = {0};
    bool ok = pg_catalog_read(&self->conn, &target, err) &&
              self->side.sink->ops->pair(self->side.sink, notes, &target, self->conn.version, out, err);
    pg_catalog_free(&target);
    return ok;
}

/* Without an origin the target's log does not tell what the forward stream has written. */
static bool origins_known(struct legacy_pgsql *self, const struct legacy_notes *notes, struct error *err)
{
    char text[8];
    const char *pipeline = notes->config->pipeline;
    if (!pg_query_one(&self->conn,
                      "SELECT EXISTS (SELECT FROM crossfade.state WHERE pipeline = $1"
                      " AND object = 'stream:forward' AND key = 'fingerprint') AND NOT"
                      " pg_catalog.has_function_privilege("
                      "'pg_catalog.pg_replication_origin_session_setup(text)', 'EXECUTE')",
                      1, &pipeline, text, sizeof(text), NULL, err))
        return false;
    return text[0] == 'f' ||
           error_set(err, ERROR_REFUSED,
                     "target: the role may not use replication origins, by which a stream back knows what "
                     "the forward stream has written - conf/roles-target.sql grants them");
}

/* What is made while a table is written to: a new slot has waited for the writers of that moment. */
static bool capture_back(struct legacy *base, const struct legacy_notes *notes,
                         const struct table_set *tables, bool first, struct error *err)
{
    struct pgsql_work w = work(base, notes);
    uint32_t added;
    if (!origins_known(pgsql_of(base), notes, err) || !pgsql_publication(&w, tables, first, &added, err))
        return false;
    if (first)
        return pgsql_slot(&w, err);
    return added == 0 || pgsql_wait_out_writers(&w, err);
}

/* Nothing is copied. */
static bool writers_back(struct legacy *base, const struct legacy_notes *notes,
                         const struct table_set *tables, struct error *err)
{
    (void)base;
    (void)notes;
    (void)tables;
    (void)err;
    return true;
}

static const struct legacy_session_ops back_ops = {.history = history,
                                                   .pair = pair_back,
                                                   .capture = capture_back,
                                                   .writers = writers_back,
                                                   .stream = stream,
                                                   .settled = settled,
                                                   .fetch = pgsql_fetch_rows};

bool legacy_back_open(const struct legacy_options *options, struct legacy_sink *sink, struct legacy **out,
                      struct error *err)
{
    static const struct legacy base = {.ops = &ops, .session = &back_ops, .control = &control_ops};
    const struct config *c = options->config;
    struct pgsql_side side = {.endpoint = "target",
                              .conninfo = c->target_conninfo,
                              .slot = c->target_slot,
                              .publication = c->target_publication,
                              .stream = "reverse",
                              .sink = sink};
    *out = NULL;
    return pgsql_open(options, &side, &base, out, err);
}
