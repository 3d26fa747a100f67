/* SPDX-License-Identifier: PostgreSQL
 *
 * When the re-read list may be worked off: in a meet, and once a read of the legacy side is sure to see every
 * transaction that was applied (legacy.h, settled). While it does not hold the list waits and the stream goes
 * on.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
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

static bool all_seen(void *context, const struct snapshot *snapshot)
{
    struct session *self = context;
    return stream_all_seen(self->stream, snapshot);
}

/* The moment between a commit's record and its being seen is short; old writers are not waited for here. */
static bool settle(struct session *self, bool *settled, struct error *err)
{
    *settled = false;
    for (int i = 0; i < SETTLE_TRIES && !*settled; i++) {
        struct timespec pause = {.tv_nsec = SETTLE_MS * 1000000};
        if (i)
            nanosleep(&pause, NULL);
        if (!self->legacy->session->settled(self->legacy, all_seen, self, settled, err))
            return false;
    }
    return true;
}

static bool list_empty(struct session *self, bool *empty, struct error *err)
{
    char text[8];
    const char *pipeline = self->o.config->pipeline;
    if (!pg_query_one(self->sink ? self->sink->pg : &self->target,
                      "SELECT NOT EXISTS (SELECT FROM crossfade.reread WHERE pipeline = $1)", 1, &pipeline,
                      text, sizeof(text), NULL, err))
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
                 "a row that has to be read again from the %s side is refused - %.300s - mend it, then "
                 "crossfade resume",
                 self->sink ? "target" : "legacy", refusals[i]);
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
    struct legacy_notes notes = self->prepare.notes;
    if (self->sink)
        notes.target = self->sink->pg; /* the list is the sink's, and its rows are written */
    bool ok = reread_run(self->legacy, &notes, &self->p.tables, refusals, count, past, err) &&
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
        log_info(self->o.log, "%llu row(s) read again from the %s side", (unsigned long long)count,
                 self->sink ? "target" : "legacy");
    return true;
}
