/* SPDX-License-Identifier: PostgreSQL
 *
 * Takes a pipeline away: replication slot and publications on the legacy side, replication origins and our
 * rows in the target, the mirror in Redis. It holds the lease meanwhile, so no replicator can be at work, and
 * a stopped one that wakes up finds a higher epoch. For that the lease's row stays, and so does the audit.
 *
 * Order: what makes the source keep WAL goes first, our rows last; interrupted, it is run again. Rows are not
 * deleted while indexes of the target wait in saved_ddl: their DDL is nowhere else.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/command.h"
#include "control/redis.h"
#include "pgsql/sql.h"
#include "state/lease.h"
#include "state/schema.h"

struct finish {
    const struct context *context;
    struct pg_conn source;
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
    if (!count_rows(self, "saved_ddl", &ddl, err) || !count_rows(self, "parked", &parked, err) ||
        !count_rows(self, "quarantine", &quarantined, err))
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
    return true;
}

static bool confirmed(const struct context *context)
{
    char answer[16];
    if (context->options.yes)
        return true;
    if (!isatty(STDIN_FILENO))
        return false;
    fprintf(
        context->out,
        "drop slot %s, publication %s and all state of pipeline %s? A new start copies everything. [yes/no] ",
        context->config->legacy_slot, context->config->legacy_publication, context->config->pipeline);
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

static bool drop_slot(struct finish *self, struct error *err)
{
    const char *slot = self->context->config->legacy_slot;
    char state[16];
    /* Only one that this pipeline has made: the name may be somebody else's. */
    const char *params[] = {self->context->config->pipeline};
    if (!pg_query_one(
            &self->target,
            "SELECT EXISTS (SELECT FROM crossfade.state WHERE pipeline = $1 AND object = 'stream:forward'"
            " AND key IN ('slot_intent', 'fingerprint'))",
            1, params, state, sizeof(state), NULL, err))
        return false;
    if (state[0] != 't') {
        fprintf(self->context->out, "slot %s: not made by this pipeline, left alone\n", slot);
        return true;
    }
    if (!lease_terminate_others(&self->source, self->context->config->pipeline, err) ||
        !pg_query_one(&self->source,
                      "SELECT count(pg_drop_replication_slot(slot_name)) FROM pg_catalog.pg_replication_slots"
                      " WHERE slot_name = $1 AND database = current_database()",
                      1, &slot, state, sizeof(state), NULL, err))
        return error_prefix(err, "dropping slot %s", slot);
    fprintf(self->context->out, "slot %s: %s\n", slot, state[0] == '0' ? "was not there" : "dropped");
    return true;
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

static bool drop_publications(struct finish *self, struct error *err)
{
    static const char *const tails[] = {"", "_insert"};
    bool ok = true;
    for (size_t i = 0; ok && i < sizeof(tails) / sizeof(tails[0]); i++) {
        struct buffer name = {0}, sql = {0};
        char there[8];
        buffer_printf(&name, "%s%s", self->context->config->legacy_publication, tails[i]);
        const char *params[] = {buffer_text(&name)};
        ok = pg_query_one(&self->source,
                          "SELECT EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubname = $1)", 1,
                          params, there, sizeof(there), NULL, err);
        buffer_puts(&sql, "DROP PUBLICATION ");
        sql_ident(&sql, buffer_text(&name));
        if (ok && there[0] == 't')
            ok = run_or_print(self, &self->source, buffer_text(&sql), err);
        buffer_free(&name);
        buffer_free(&sql);
    }
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

static bool finish_steps(struct finish *self, struct error *err)
{
    char why[200];
    if (!take_lease(self, err) || !nothing_is_lost(self, err) || !drop_slot(self, err) ||
        !drop_publications(self, err) || !drop_origins(self, err) || !delete_rows(self, err))
        return false;
    if (self->context->config->redis_url && !redis_clear(self->context->config, why, sizeof(why)))
        fprintf(self->context->out, "mirror in Redis: left as it is - %s\n", why);
    return true;
}

int command_finish(const struct context *context)
{
    struct finish self = {.context = context};
    struct error err = {0}, second;
    if (context->config->legacy_kind != LEGACY_POSTGRESQL)
        return command_usage("finish knows PostgreSQL as the legacy only, in this version");
    if (!confirmed(context))
        return command_usage("nothing done - give --yes, or answer yes");
    bool ok = session_target(context->config, &self.target, &err) &&
              session_legacy(context->config, &self.source, &err);
    ok = ok && finish_steps(&self, &err);
    int status = !ok ? command_fail(&err) : self.undone ? EXIT_ANSWER_NO : EXIT_GOOD;
    if (!ok && self.target.pg && PQtransactionStatus(self.target.pg) != PQTRANS_IDLE &&
        !pg_exec(&self.target, "ROLLBACK", &second))
        self.lease.epoch = 0; /* the link is gone; the lease runs out by itself */
    if (self.lease.epoch > 0 && !lease_release(&self.lease, &self.target, &second))
        status = command_fail(&second);
    pg_conn_close(&self.source);
    pg_conn_close(&self.target);
    return status;
}
