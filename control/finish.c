/* SPDX-License-Identifier: PostgreSQL
 *
 * Takes a pipeline away: replication slot and publications on the legacy side, replication origins and our
 * rows in the target, the mirror in Redis. It holds the lease meanwhile, so no replicator can be at work, and
 * a stopped one that wakes up finds a higher epoch. For that the lease's row stays, and so does the audit.
 *
 * Order: what makes the source keep WAL goes first, our rows last; interrupted, it is run again. Rows are not
 * deleted while indexes of the target wait in saved_ddl: their DDL is nowhere else.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/command.h"
#include "control/redis.h"
#include "legacy/legacy_sink.h"
#include "pgsql/sql.h"
#include "state/lease.h"
#include "state/schema.h"

enum { STATEMENT_TIMEOUT_MS = 60000, LOCK_TIMEOUT_MS = 10000 };

struct finish {
    const struct context *context;
    struct legacy *legacy;
    struct legacy *back;      /* the target, as the reverse direction's source; NULL: that never ran */
    struct legacy_sink *sink; /* … and its sink */
    struct pg_conn target;
    struct lease lease;
    int undone; /* steps that somebody else has to do */
};

static bool count_rows(struct finish *self, const char *table, long *out, struct error *err)
{
    struct buffer sql = {0};
    char text[24];
    const char *params[] = {self->context->config->pipeline};
    buffer_puts(&sql, "SELECT count(*) FROM ");
    sql_qualified(&sql, "crossfade", table);
    buffer_puts(&sql, " WHERE pipeline = $1");
    bool ok = pg_query_one(&self->target, buffer_text(&sql), 1, params, text, sizeof(text), NULL, err);
    *out = ok ? strtol(text, NULL, 10) : 0;
    buffer_free(&sql);
    return ok;
}

static bool nothing_is_lost(struct finish *self, struct error *err)
{
    long ddl, parked, quarantined;
    int64_t held = 0;
    if (!count_rows(self, "saved_ddl", &ddl, err) || !count_rows(self, "parked", &parked, err) ||
        !count_rows(self, "quarantine", &quarantined, err) ||
        (self->sink && !self->sink->ops->held(self->sink, &held, err)))
        return false;
    if (ddl > 0)
        return error_set(err, ERROR_DATA,
                         "%ld indexes or constraints of target tables are still to be made again - run the "
                         "replicator until "
                         "it streams, or make them from crossfade.saved_ddl by hand and delete those rows",
                         ddl);
    if (parked + quarantined > 0 && !self->context->options.discard)
        return error_set(err, ERROR_DATA,
                         "%ld parked and %ld quarantined changes are not in the target's tables - resume or "
                         "retry them, or "
                         "give --discard to lose them",
                         parked, quarantined);
    if (held > 0 && !self->context->options.discard)
        return error_set(err, ERROR_DATA,
                         "%" PRId64 " parked or quarantined changes of the reverse direction are not in the "
                         "legacy's tables - resume or retry them, or give --discard to lose them",
                         held);
    return true;
}

static bool confirmed(const struct context *context)
{
    const struct config *c = context->config;
    char answer[16];
    if (context->options.yes)
        return true;
    if (!isatty(STDIN_FILENO))
        return false;
    if (c->legacy_kind == LEGACY_POSTGRESQL)
        fprintf(context->out, "drop slot %s, publication %s and", c->legacy_slot, c->legacy_publication);
    else
        fprintf(context->out, "drop what is this pipeline's on the legacy side and");
    fprintf(context->out, " all state of pipeline %s? A new start copies everything. [yes/no] ", c->pipeline);
    fflush(context->out);
    return fgets(answer, sizeof(answer), stdin) && strcmp(answer, "yes\n") == 0;
}

static bool take_lease(struct finish *self, struct error *err)
{
    bool changed;
    lease_init(&self->lease, self->context->config->pipeline, self->context->config->lease_ttl_ms);
    if (!lease_try(&self->lease, &self->target, &changed, err))
        return false;
    if (self->lease.epoch > 0)
        return true;
    return error_set(err, ERROR_DATA,
                     "a replicator is running this pipeline - stop it first (systemctl stop "
                     "crossfade-replicator@%s)",
                     self->context->config->pipeline);
}

/* Runs it; where the right is missing, prints it for somebody who has it. */
static bool run_or_print(struct finish *self, struct pg_conn *conn, const char *sql, struct error *err)
{
    if (pg_exec(conn, sql, err)) {
        fprintf(self->context->out, "%s: done\n", sql);
        return true;
    }
    if (strcmp(err->code, "42501") != 0)
        return false;
    fprintf(self->context->out, "%s: not allowed here - to be run on the %s side by its owner\n", sql,
            conn->endpoint);
    self->undone++;
    return true;
}

/* What is said comes out though a later step fails. */
static bool drop_legacy(struct finish *self, struct error *err)
{
    struct buffer said = {0};
    struct legacy_notes notes = {
        .config = self->context->config, .target = &self->target, .epoch = self->lease.epoch};
    bool ok = self->legacy->control->drop(self->legacy, &notes, &said, &self->undone, err) &&
              (!self->back || self->back->control->drop(self->back, &notes, &said, &self->undone, err)) &&
              (!self->sink || self->sink->ops->drop(self->sink, &said, err));
    fputs(buffer_text(&said), self->context->out);
    buffer_free(&said);
    return ok;
}

static bool drop_origins(struct finish *self, struct error *err)
{
    const char *params[] = {self->context->config->pipeline};
    PGresult *r = pg_query(&self->target,
                           "SELECT roname FROM pg_catalog.pg_replication_origin"
                           " WHERE regexp_replace(roname, '_[0-9]+$', '') = 'crossfade_' || $1"
                           " AND roname ~ '_[0-9]+$'",
                           1, params, err);
    if (!r && strcmp(err->code, "42501") == 0)
        return true; /* a role that may not even look has made none */
    if (!r)
        return false;
    bool ok = true;
    for (int i = 0; ok && i < PQntuples(r); i++) {
        struct buffer sql = {0};
        buffer_puts(&sql, "SELECT pg_catalog.pg_replication_origin_drop(");
        sql_literal(&sql, PQgetvalue(r, i, 0));
        buffer_puts(&sql, ")");
        ok = run_or_print(self, &self->target, buffer_text(&sql), err);
        buffer_free(&sql);
    }
    PQclear(r);
    return ok;
}

static bool delete_rows(struct finish *self, struct error *err)
{
    static const char *const tables[] = {"progress", "chunk", "parked", "quarantine",
                                         "reread",   "state", "wish"};
    const char *params[] = {self->context->config->pipeline};
    bool ok = pg_exec(&self->target, "BEGIN", err);
    for (size_t i = 0; ok && i < sizeof(tables) / sizeof(tables[0]); i++) {
        struct buffer sql = {0};
        buffer_puts(&sql, "DELETE FROM ");
        sql_qualified(&sql, "crossfade", tables[i]);
        buffer_puts(&sql, " WHERE pipeline = $1");
        ok = pg_exec_params(&self->target, buffer_text(&sql), 1, params, err);
        buffer_free(&sql);
    }
    ok = ok &&
         pg_exec_params(&self->target, "INSERT INTO crossfade.audit (pipeline, what) VALUES ($1, 'finish')",
                        1, params, err) &&
         pg_exec(&self->target, "COMMIT", err);
    if (ok)
        fprintf(self->context->out, "state in the target: deleted\n");
    return ok;
}

/* Did the pipeline ever stream back, or was it about to? Then that is taken away too, whatever the config
 * says now. */
static bool open_back(struct finish *self, const struct legacy_options *options, struct error *err)
{
    char ran[8];
    const char *params[] = {self->context->config->pipeline};
    if (!pg_query_one(&self->target,
                      "SELECT EXISTS (SELECT FROM crossfade.state WHERE pipeline = $1"
                      " AND object = 'stream:reverse')",
                      1, params, ran, sizeof(ran), NULL, err))
        return false;
    if (ran[0] != 't' && !config_is_reverse(self->context->config))
        return true;
    return legacy_sink_open(options, &self->sink, err) && legacy_back_open(options, NULL, &self->back, err);
}

static bool finish_steps(struct finish *self, struct error *err)
{
    char why[200];
    if (!take_lease(self, err) || !nothing_is_lost(self, err) || !drop_legacy(self, err) ||
        !drop_origins(self, err) || !delete_rows(self, err))
        return false;
    if (self->context->config->redis_url && !redis_clear(self->context->config, why, sizeof(why)))
        fprintf(self->context->out, "mirror in Redis: left as it is - %s\n", why);
    return true;
}

int command_finish(const struct context *context)
{
    struct finish self = {.context = context};
    struct error err = {0}, second;
    struct legacy_options o = {.config = context->config,
                               .job = "control",
                               .connect_timeout_ms = (int)context->config->connect_timeout_ms,
                               .statement_timeout_ms = STATEMENT_TIMEOUT_MS,
                               .lock_timeout_ms = LOCK_TIMEOUT_MS};
    if (!confirmed(context))
        return command_usage("nothing done - give --yes, or answer yes");
    bool ok = session_target(context->config, &self.target, &err) && legacy_open(&o, &self.legacy, &err) &&
              open_back(&self, &o, &err);
    ok = ok && finish_steps(&self, &err);
    int status = !ok ? command_fail(&err) : self.undone ? EXIT_ANSWER_NO : EXIT_GOOD;
    if (!ok && self.target.pg && PQtransactionStatus(self.target.pg) != PQTRANS_IDLE &&
        !pg_exec(&self.target, "ROLLBACK", &second))
        self.lease.epoch = 0; /* the link is gone; the lease runs out by itself */
    if (self.lease.epoch > 0 && !lease_release(&self.lease, &self.target, &second))
        status = command_fail(&second);
    legacy_close(self.legacy);
    legacy_close(self.back);
    legacy_sink_close(self.sink);
    pg_conn_close(&self.target);
    return status;
}
