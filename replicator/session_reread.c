/* SPDX-License-Identifier: PostgreSQL
 *
 * When the re-read list may be worked off. A row that is read again must not be older than what the stream
 * has applied already, or nothing would ever bring the newer one: so the read has to see every transaction
 * that was applied. That is not given by positions: a commit is in the WAL, and may be streamed and applied
 * here, a moment before the source shows it to new snapshots (the backend writes its commit record first and
 * leaves the list of running transactions last; seen: one stale row in some hundred runs on a busy machine).
 * Hence, in a meet:
 *
 * 1. no transaction that this stream has dealt out is still running for a snapshot of the source, and
 * 2. none of those that were running when this stream began is: what an earlier stream applied we don't know.
 *
 * What a snapshot sees later ones see too, so asking once before the reads is enough. While it does not hold
 * the list waits and the stream goes on.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "pgsql/snapshot.h"
#include "replicator/reread.h"
#include "replicator/session_internal.h"

enum { MEET_MS = 500, SETTLE_TRIES = 50, SETTLE_MS = 2, REREAD_TRIES = 3 };

static bool meet(struct session *self, struct error *err)
{
    stream_meet(self->stream);
    while (!stream_look(self->stream).met) {
        if (!session_wait(self, MEET_MS, err))
            return false;
    }
    return true;
}

bool session_source_snapshot(struct session *self, struct snapshot *out, struct error *err)
{
    PGresult *r = pg_query(&self->source, "SELECT pg_catalog.txid_current_snapshot()", 0, NULL, err);
    if (!r)
        return false;
    bool ok = snapshot_parse(PQgetvalue(r, 0, 0), out);
    if (!ok)
        error_set(err, ERROR_RETRY, "legacy: \"%.100s\" is no snapshot", PQgetvalue(r, 0, 0));
    PQclear(r);
    return ok;
}

static bool look_settled(struct session *self, bool *settled, struct error *err)
{
    struct snapshot now = {0};
    if (!session_source_snapshot(self, &now, err))
        return false;
    *settled = now.xmin >= self->begun_before && stream_all_seen(self->stream, &now);
    snapshot_free(&now);
    return true;
}

/* The moment between a commit's record and its being seen is short; old writers are not waited for here. */
static bool settle(struct session *self, bool *settled, struct error *err)
{
    *settled = false;
    for (int i = 0; i < SETTLE_TRIES && !*settled; i++) {
        struct timespec pause = {.tv_nsec = SETTLE_MS * 1000000};
        if (i)
            nanosleep(&pause, NULL);
        if (!look_settled(self, settled, err))
            return false;
    }
    return true;
}

static bool list_empty(struct session *self, bool *empty, struct error *err)
{
    char text[8];
    const char *pipeline = self->o.config->pipeline;
    if (!pg_query_one(&self->target, "SELECT NOT EXISTS (SELECT FROM crossfade.reread WHERE pipeline = $1)",
                      1, &pipeline, text, sizeof(text), NULL, err))
        return false;
    *empty = text[0] == 't';
    return true;
}

/* A row may only be too new for the rows around it, which the stream has yet to bring: another two times are
 * tried when the stream has passed what was read. Then its table stops. */
static bool judge_refusals(struct session *self, char **refusals, uint64_t *count, struct error *err)
{
    bool wait = false;
    for (uint32_t i = 0; i < self->p.tables.count; i++) {
        struct table *t = self->p.tables.tables[i];
        char reason[STATS_REASON_SIZE];
        struct log_fields fields = {.table = t->from};
        if (!refusals[i])
            continue;
        if (self->reread_refusals < REREAD_TRIES - 1) {
            wait = true;
            continue;
        }
        t->state = TABLE_STOPPED;
        snprintf(reason, sizeof(reason),
                 "a row that has to be read again from the legacy side is refused - %.300s - mend it, then "
                 "crossfade resume",
                 refusals[i]);
        log_write(self->o.log, LOG_LEVEL_WARNING, &fields, "stopped: %s", reason);
        stats_reason(self->o.stats, t->id, TABLE_STOPPED, reason);
        if (!store_table_state_put(&self->target, self->o.config->pipeline, self->o.lease.epoch, t, reason,
                                   err))
            return false;
    }
    self->reread_refusals = wait ? self->reread_refusals + 1 : 0;
    *count += wait;
    return true;
}

static bool work_off(struct session *self, uint64_t *count, struct position *past, struct error *err)
{
    char **refusals = mem_alloc((self->p.tables.count + 1) * sizeof(*refusals));
    bool ok = reread_run(&self->source, &self->target, self->o.config->pipeline, self->o.lease.epoch,
                         &self->p.tables, refusals, count, past, err) &&
              judge_refusals(self, refusals, count, err);
    for (uint32_t i = 0; i < self->p.tables.count; i++)
        free(refusals[i]);
    free(refusals);
    return ok;
}

bool session_reread(struct session *self, enum session_reread *result, struct position *past,
                    struct error *err)
{
    uint64_t seen = self->o.stats->reread;
    uint64_t count = 0;
    bool empty;
    bool settled = true;
    if (!meet(self, err) || !list_empty(self, &empty, err))
        return false;
    if (!empty && !settle(self, &settled, err))
        return false;
    if (!settled) {
        *result = SESSION_REREAD_LATER;
        return true;
    }
    if (!empty && !work_off(self, &count, past, err))
        return false;
    self->looked_at_reread = true;
    self->reread_seen = seen;
    *result = count ? SESSION_REREAD_DONE : SESSION_REREAD_EMPTY;
    if (count)
        log_info(self->o.log, "%llu row(s) read again from the legacy side", (unsigned long long)count);
    return true;
}
