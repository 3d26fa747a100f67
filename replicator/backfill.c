/* SPDX-License-Identifier: PostgreSQL
 *
 * The bulk copy, and why copy and stream meet exactly (DESIGN.md rule 6). Let S be the slot's start: a
 * transaction that committed before S is seen by every snapshot of ours, one that commits after S comes in
 * the stream, whole and in commit order. Once the last copy is done the stream is replayed from S over
 * whatever the copies have left. K is a key, and a chunk's range never changes once it is planned.
 *
 *  1. K untouched since S: the ranges follow each other without gap or overlap in the source server's own
 *     order, so exactly one chunk holds K, and its snapshot sees the row. Copied once.
 *  2. K touched after S, before or after its chunk was read: every change of K since S is replayed. Older
 * ones may undo for a moment what the copy saw of newer ones; the last decides. A DELETE leaves no row
 * whether there was one or not; an INSERT, and an UPDATE that brings every column, writes the whole row.
 *  3. An UPDATE that does not bring every column (unchanged large values) finds the row, then the columns it
 *     leaves out are as old or as new as the copy, and whatever changed them later comes later; or finds
 * none, then it can't build one: K goes on the re-read list.
 *  4. A key moved between two chunks read at different times is in both or in neither. Its change names both
 *     keys: the old one is deleted, the new one written whole; where it brings less than the whole row, the
 * row that is now under the old key may be another one, and the new key goes on the re-read list.
 *  5. K re-used by another row, or deleted between its chunk and the stream: 2, as all of it is about one K.
 *     Insert and delete in one batch compact to a delete, because the copy may have seen the row in between.
 *  6. TRUNCATE after S empties the copy too, but each row that lived on in the source was inserted after it,
 *     and comes.
 *  7. On the way two rows may hold one unique value for a moment. So secondary unique indexes, exclusion
 *     constraints and foreign keys exist only from the end of catchup (replicator/indexes.c). The key itself
 * is unique at every moment: within a chunk by its snapshot, between chunks by their ranges.
 *  8. The re-read list is read from the source, then the stream has to pass the WAL position read after that:
 *     by 2 each of those keys converges from there (replicator/reread.c).
 *  9. A keyless table is read whole under one snapshot, whose text is stored with it. A transaction after S
 * is in the copy if and only if that snapshot sees it, and then the stream leaves it out for this table.
 * Commit LSNs can't tell: a transaction becomes visible after its commit record is written.
 * 10. Subtransactions: a snapshot sees a transaction and its subtransactions together or not at all; its xip
 *     lists top-level xids, and the stream names its changes' top-level xid. Nothing else is compared.
 * 11. Wrap-around: the stored snapshot has 64-bit xids, the stream 32 bits of them. Both are of transactions
 *     that ran since S, so they lie within 2^31 of the snapshot, where those 32 bits decide.
 * 12. Interruption: a chunk is stored as planned before it is read, and as done in the transaction that holds
 *     its rows. So a planned chunk has no row in the target and is read again, in the same borders, under a
 *     later snapshot (1 and 2 don't care); a done one is never read again. A keyless table has one chunk.
 * 13. Whoever has lost the lease can't commit: chunk_done fences in the same transaction.
 *
 * Workers take the table that has most bytes left per worker on it, so the largest comes first and is shared.
 */
#include "replicator/backfill.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "replicator/chunk.h"
#include "replicator/copier.h"
#include "replicator/crew.h"
#include "replicator/deadline.h"
#include "replicator/existing.h"
#include "replicator/indexes.h"
#include "replicator/throttle.h"
#include "state/store.h"

enum { LOOK_MS = 200 };

/* One table's copy, seen by the workers. All under the mutex but `chunks`, which is the planning worker's. */
struct job {
    struct chunk_table chunks;
    bool planning;  /* a worker is asking for its next chunk */
    bool all_given; /* nothing more to hand out */
    bool ended;     /* copied, or stopped */
    int copying;    /* chunks under way */
    bool upsert;
};

struct backfill {
    const struct backfill_options *o;
    struct copier_options copier;
    struct throttle throttle;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct job *jobs;
    uint32_t count;
    int64_t begun_ms;
};

static void show_state(struct backfill *b, const struct table *t, const char *reason)
{
    stats_reason(b->o->stats, t->id, t->state, reason);
}

/* The table is out, the others go on. */
static bool stop_table(struct backfill *b, struct copier *c, struct table *t, const char *reason,
                       struct error *err)
{
    struct log_fields fields = {.table = t->from};
    t->state = TABLE_STOPPED;
    show_state(b, t, reason);
    log_write(b->o->log, LOG_LEVEL_ERROR, &fields, "stopped: %s", reason);
    return copier_put_state(c, t, reason, true, err);
}

static bool finish_table(struct backfill *b, struct copier *c, struct table *t, bool all, struct error *err)
{
    struct log_fields fields = {.table = t->from};
    const struct stats_table *s = &b->o->stats->tables[t->id];
    t->state = TABLE_CATCHUP;
    if (!copier_put_state(c, t, NULL, all, err)) {
        t->state = TABLE_BACKFILL;
        return false;
    }
    show_state(b, t, NULL);
    log_write(b->o->log, LOG_LEVEL_INFO, &fields, "copied %" PRIu64 " rows", atomic_load(&s->rows_copied));
    return true;
}

static int64_t bytes_left(const struct backfill *b, const struct job *job)
{
    const struct table *t = job->chunks.table;
    int64_t left = t->source_bytes - (int64_t)atomic_load(&b->o->stats->tables[t->id].bytes_copied);
    return left > 0 ? left : 1;
}

/* Under the mutex. *wait: nothing now, but a plan under way may bring something. */
static struct job *choose(struct backfill *b, bool *wait)
{
    struct job *best = NULL;
    int64_t most = 0;
    *wait = false;
    for (uint32_t i = 0; i < b->count; i++) {
        struct job *job = &b->jobs[i];
        if (job->ended || job->all_given)
            continue;
        if (job->planning) {
            *wait = true;
            continue;
        }
        int64_t share = bytes_left(b, job) / (job->copying + 1);
        if (!best || share > most) {
            best = job;
            most = share;
        }
    }
    return best;
}

/* A table to plan the next chunk of; NULL when there is nothing left to begin. */
static struct job *take(struct backfill *b, struct crew_member *member)
{
    struct job *job = NULL;
    bool wait = true;
    pthread_mutex_lock(&b->mutex);
    while (!crew_stopping(member) && !(job = choose(b, &wait)) && wait) {
        /* with a deadline only to look at `stopping` from time to time */
        deadline_wait(&b->changed, &b->mutex, clock_ms() + LOOK_MS);
    }
    if (job)
        job->planning = true;
    pthread_mutex_unlock(&b->mutex);
    return job;
}

/* Ends a step of a job: true if that was the last one and the caller has to finish the table; *all: no other
 * table is left. */
static bool give_back(struct backfill *b, struct job *job, bool was_planning, bool found, bool *all)
{
    pthread_mutex_lock(&b->mutex);
    if (was_planning) {
        job->planning = false;
        job->all_given = !found || (job->chunks.exhausted && job->chunks.redo_count == 0);
        job->copying += found;
    } else {
        job->copying--;
    }
    bool last = !job->ended && job->all_given && !job->planning && job->copying == 0;
    job->ended = job->ended || last;
    *all = true;
    for (uint32_t i = 0; i < b->count; i++)
        *all = *all && b->jobs[i].ended;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->mutex);
    return last;
}

/* An error of this table's own ends its job; any other everybody's. */
static bool fail(struct backfill *b, struct copier *c, struct job *job, struct error *err)
{
    struct error why = *err;
    pthread_mutex_lock(&b->mutex);
    bool first = !job->ended;
    job->planning = false;
    job->ended = true;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->mutex);
    if (why.kind != ERROR_TABLE)
        return false;
    return !first || stop_table(b, c, job->chunks.table, why.text, err);
}

static bool serve(struct backfill *b, struct copier *c, struct job *job, struct error *err)
{
    struct chunk chunk;
    bool found, all;
    if (!copier_plan(c, &job->chunks, &chunk, &found, err))
        return fail(b, c, job, err);
    bool last = give_back(b, job, true, found, &all);
    if (found) {
        bool ok = copier_copy(c, &job->chunks, &chunk, job->upsert, err);
        chunk_free(&chunk);
        if (!ok)
            return fail(b, c, job, err);
        last = give_back(b, job, false, false, &all);
    }
    return !last || finish_table(b, c, job->chunks.table, all, err);
}

static bool work(void *context, struct crew_member *member, struct error *err)
{
    struct backfill *b = context;
    struct copier c;
    struct job *job;
    bool ok = true;
    copier_init(&c, &b->copier, member);
    while (ok && (job = take(b, member)))
        ok = serve(b, &c, job, err);
    copier_close(&c);
    return ok;
}

/* What was there before, as status shows it. */
static void show_loaded(struct backfill *b, const struct chunk_table *t)
{
    struct stats_table *s = &b->o->stats->tables[t->table->id];
    atomic_store(&s->rows_total, t->table->source_rows);
    atomic_store(&s->rows_copied, t->rows_done);
    atomic_store(&s->bytes_copied, t->bytes_done);
}

static bool begin_table(struct backfill *b, struct copier *c, struct job *job, const char *reason,
                        struct error *err)
{
    struct table *t = job->chunks.table;
    if (job->chunks.rekeyed)
        reason = "its key has changed since the copy began - copy it anew with crossfade recopy";
    if (reason) {
        job->ended = true;
        return stop_table(b, c, t, reason, err);
    }
    if (t->state != TABLE_BACKFILL) {
        t->state = TABLE_BACKFILL;
        if (!copier_put_state(c, t, NULL, false, err))
            return false;
    }
    show_state(b, t, NULL);
    return true;
}

/* Only for tables that are going to be copied: a refused one keeps what it has. */
static bool defer_indexes(struct backfill *b, struct copier *c, struct error *err)
{
    struct table **list = mem_alloc((b->count + 1) * sizeof(struct table *));
    uint32_t count = 0;
    for (uint32_t i = 0; i < b->count; i++)
        if (!b->jobs[i].ended)
            list[count++] = b->jobs[i].chunks.table;
    bool ok = b->o->config->backfill_indexes != INDEXES_DEFER ||
              indexes_defer(&c->sink, b->o->config->pipeline, b->o->epoch, list, count, err);
    free(list);
    return ok;
}

/* Loads what is done, and decides about rows that are there already. In a crew of one, so that a TRUNCATE
 * that waits for a lock can be interrupted. */
static bool prepare(void *context, struct crew_member *member, struct error *err)
{
    struct backfill *b = context;
    const struct config *config = b->o->config;
    struct copier c;
    struct chunk_table *tables = mem_alloc((b->count + 1) * sizeof(*tables));
    char **reasons = mem_alloc((b->count + 1) * sizeof(*reasons));
    copier_init(&c, &b->copier, member);
    for (uint32_t i = 0; i < b->count; i++)
        tables[i].table = b->o->tables[i];
    bool ok = copier_connect(&c, err) && chunk_load(&c.sink, config->pipeline, tables, b->count, err) &&
              existing_settle(&c.sink, config, b->o->epoch, tables, b->count, reasons, err);
    for (uint32_t i = 0; i < b->count; i++) {
        struct job *job = &b->jobs[i];
        job->chunks = tables[i];
        job->upsert = existing_rule(config, tables[i].table) == EXISTING_UPSERT;
        show_loaded(b, &job->chunks);
        ok = ok && begin_table(b, &c, job, reasons[i], err);
        free(reasons[i]);
    }
    ok = ok && defer_indexes(b, &c, err);
    free(reasons);
    free(tables);
    copier_close(&c);
    return ok;
}

static void log_end(const struct backfill *b)
{
    uint64_t rows = 0, bytes = 0;
    uint32_t stopped = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        const struct table *t = b->jobs[i].chunks.table;
        const struct stats_table *s = &b->o->stats->tables[t->id];
        rows += atomic_load(&s->rows_copied);
        bytes += atomic_load(&s->bytes_copied);
        stopped += t->state == TABLE_STOPPED;
    }
    log_info(b->o->log,
             "backfill done: %" PRIu32 " tables (%" PRIu32 " stopped), %" PRIu64 " rows, %" PRIu64
             " MB, %.1f s",
             b->count, stopped, rows, bytes >> 20, (double)(clock_ms() - b->begun_ms) / 1000.0);
}

bool backfill_run(const struct backfill_options *o, struct error *err)
{
    struct backfill b = {.o = o, .count = o->table_count, .begun_ms = clock_ms()};
    int workers = o->config->backfill_workers > 0 ? o->config->backfill_workers : 1;
    if (o->table_count == 0)
        return true;
    b.jobs = mem_alloc(b.count * sizeof(*b.jobs));
    throttle_init(&b.throttle, o->rate_limit);
    pthread_mutex_init(&b.mutex, NULL);
    deadline_cond_init(&b.changed);
    b.copier = (struct copier_options){
        .config = o->config, .stats = o->stats, .throttle = &b.throttle, .epoch = o->epoch};
    bool ok = crew_run(1, prepare, &b, o->cancel, err) && crew_run(workers, work, &b, o->cancel, err);
    if (ok)
        log_end(&b);
    for (uint32_t i = 0; i < b.count; i++)
        chunk_table_free(&b.jobs[i].chunks);
    free(b.jobs);
    pthread_cond_destroy(&b.changed);
    pthread_mutex_destroy(&b.mutex);
    throttle_destroy(&b.throttle);
    return ok;
}

static bool forget(struct pg_conn *target, const char *pipeline, int64_t epoch, const struct table *table,
                   struct error *err)
{
    char number[24];
    snprintf(number, sizeof(number), "%" PRId64, epoch);
    const char *params[] = {pipeline, table->from};
    const char *fence[] = {pipeline, number};
    return pg_exec(target, "BEGIN", err) && existing_empty(target, table, err) &&
           pg_exec_params(target, "DELETE FROM crossfade.chunk WHERE pipeline = $1 AND table_name = $2", 2,
                          params, err) &&
           pg_exec_params(target, "DELETE FROM crossfade.reread WHERE pipeline = $1 AND table_name = $2", 2,
                          params, err) &&
           pg_exec_params(target, "DELETE FROM crossfade.parked WHERE pipeline = $1 AND table_name = $2", 2,
                          params, err) &&
           pg_exec_params(target, "DELETE FROM crossfade.quarantine WHERE pipeline = $1 AND table_name = $2",
                          2, params, err) &&
           pg_exec_params(target, "SELECT crossfade.fence($1, $2)", 2, fence, err) &&
           pg_exec(target, "COMMIT", err);
}

bool backfill_forget(struct pg_conn *target, const char *pipeline, int64_t epoch, const struct table *table,
                     struct error *err)
{
    struct error ignored;
    if (forget(target, pipeline, epoch, table, err))
        return true;
    bool back = pg_exec(target, "ROLLBACK", &ignored);
    (void)back; /* a lost link has rolled back by itself */
    return error_prefix(err, "forgetting the copy of %s", table->from);
}
