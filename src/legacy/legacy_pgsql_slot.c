/* SPDX-License-Identifier: PostgreSQL
 *
 * Slot and fingerprint (rule 5). The slot comes into being between two rows in the target: first the intent
 * ("about to make slot X"), after it the fingerprint with its starting point. A crash between them leaves an
 * intent without a fingerprint: nothing can have been copied yet, so that slot is ours to drop and make
 * again. A slot of that name without an intent is somebody else's and refused. A fingerprint without its slot
 * means that the history we stand in is gone: exit 4.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "legacy/legacy_pgsql.h"
#include "legacy/legacy_pgsql_fingerprint.h"
#include "legacy/legacy_sink.h"
#include "state/store.h"

static void stream_object(const struct pgsql_work *self, char out[64])
{
    snprintf(out, 64, "stream:%s", self->side->stream);
}

struct slot_facts {
    bool exists;
    bool active;
    bool lost;
    char pid[16];
};

static bool read_slot(const struct pgsql_work *self, struct slot_facts *out, struct error *err)
{
    const char *name = self->side->slot;
    *out = (struct slot_facts){0};
    PGresult *r =
        pg_query(self->source,
                 self->source->version >= 130000
                     ? "SELECT active, active_pid, wal_status = 'lost', plugin, database ="
                       " pg_catalog.current_database() FROM pg_catalog.pg_replication_slots"
                       " WHERE slot_name = $1"
                     : "SELECT active, active_pid, false, plugin, database = pg_catalog.current_database()"
                       " FROM pg_catalog.pg_replication_slots WHERE slot_name = $1",
                 1, &name, err);
    if (!r)
        return false;
    bool ok = true;
    if (PQntuples(r) == 1) {
        out->exists = true;
        out->active = strcmp(PQgetvalue(r, 0, 0), "t") == 0;
        out->lost = strcmp(PQgetvalue(r, 0, 2), "t") == 0;
        snprintf(out->pid, sizeof(out->pid), "%s", PQgetvalue(r, 0, 1));
        if (strcmp(PQgetvalue(r, 0, 3), "pgoutput") != 0 || strcmp(PQgetvalue(r, 0, 4), "t") != 0)
            ok = error_set(
                err, ERROR_REFUSED,
                "%s: slot \"%s\" belongs to another use (plugin %s, or another database) - name a free "
                "one in %s.slot",
                self->side->endpoint, name, PQgetvalue(r, 0, 3), self->side->endpoint);
    }
    PQclear(r);
    return ok;
}

static bool drop_slot(const struct pgsql_work *self, struct error *err)
{
    const char *name = self->side->slot;
    return pg_exec_params(self->source, "SELECT pg_catalog.pg_drop_replication_slot($1)", 1, &name, err);
}

/* Creating a slot waits for every transaction that writes at that moment. */
static bool make_slot(const struct pgsql_work *self, struct position *start, struct error *err)
{
    const char *name = self->side->slot;
    char lsn[POSITION_TEXT_SIZE + 1];
    log_info(self->log, "making slot %s (waits for transactions that are open on the %s side)", name,
             self->side->endpoint);
    if (!pg_query_one(self->source,
                      "SELECT lsn FROM pg_catalog.pg_create_logical_replication_slot($1, 'pgoutput')", 1,
                      &name, lsn, sizeof(lsn), NULL, err)) {
        if (strcmp(err->code, "53400") == 0)
            error_set_code(
                err, ERROR_REFUSED, "53400",
                "%s: all replication slots are in use - raise max_replication_slots, or drop one that "
                "is not needed",
                self->side->endpoint);
        else if (strcmp(err->code, "55000") == 0)
            err->kind = ERROR_REFUSED; /* wal_level */
        return false;
    }
    return position_parse(lsn, start) ||
           error_set(err, ERROR_FATAL, "%s: slot position \"%s\" makes no sense", self->side->endpoint, lsn);
}

static bool first_slot(const struct pgsql_work *self, struct pgsql_fingerprint *now, struct error *err)
{
    const struct config *c = self->config;
    struct slot_facts slot;
    char *intent = NULL;
    char object[64];
    stream_object(self, object);
    if (!read_slot(self, &slot, err) ||
        !store_get(self->target, c->pipeline, object, "slot_intent", &intent, err))
        return false;
    bool ours = intent != NULL;
    free(intent);
    if (slot.exists && !ours)
        return error_set(
            err, ERROR_REFUSED,
            "%s: slot \"%s\" exists already and pipeline \"%s\" did not make it%s%s - drop it with "
            "SELECT pg_drop_replication_slot('%s') if nobody needs it, or name another in %s.slot",
            self->side->endpoint, self->side->slot, c->pipeline, slot.active ? " - in use by process " : "",
            slot.pid, self->side->slot, self->side->endpoint);
    if (slot.exists && !drop_slot(self, err))
        return false;
    if (!store_put(self->target, c->pipeline, self->epoch, object, "slot_intent", "true", err) ||
        !make_slot(self, &now->slot_start, err))
        return false;
    return pgsql_fingerprint_put(self->target, c->pipeline, self->epoch, self->side->stream, now, err);
}

static bool check_timeline(const struct pgsql_work *self, const struct pgsql_fingerprint *stored,
                           const struct pgsql_fingerprint *now, struct error *err)
{
    struct pg_conn walsender;
    struct pg_conn_options o = {.conninfo = self->side->conninfo,
                                .pipeline = self->config->pipeline,
                                .job = "timeline",
                                .endpoint = self->side->endpoint,
                                .replication = true,
                                .connect_timeout_ms = (int)self->config->connect_timeout_ms};
    struct store_progress *rows = NULL;
    int count = 0;
    bool read = self->side->sink ? self->side->sink->ops->progress(self->side->sink, &rows, &count, err)
                                 : store_progress_get(self->target, self->config->pipeline,
                                                      self->side->stream, &rows, &count, err);
    if (!read)
        return false;
    struct position at = {.kind = POSITION_NONE};
    for (int i = 0; i < count; i++) {
        if (position_compare(rows[i].position, at) > 0)
            at = rows[i].position;
    }
    free(rows);
    if (!pg_conn_open(&walsender, &o, err))
        return false;
    bool ok = pgsql_fingerprint_check_timeline(&walsender, stored, now, at, err);
    pg_conn_close(&walsender);
    return ok;
}

/* What the source is now, with the names we use there. */
static bool read_now(const struct pgsql_work *self, struct pgsql_fingerprint *now, struct error *err)
{
    if (!pgsql_fingerprint_read(self->source, now, err))
        return false;
    snprintf(now->slot, sizeof(now->slot), "%s", self->side->slot);
    snprintf(now->publication, sizeof(now->publication), "%s", self->side->publication);
    return true;
}

bool pgsql_history(const struct pgsql_work *self, bool *first, struct error *err)
{
    const struct config *c = self->config;
    struct pgsql_fingerprint now;
    struct pgsql_fingerprint stored;
    struct slot_facts slot;
    bool found;
    if (!pgsql_fingerprint_get(self->target, c->pipeline, self->side->stream, &stored, &found, err))
        return false;
    *first = !found;
    if (!found)
        return true;
    if (!read_now(self, &now, err) || !pgsql_fingerprint_compare(&stored, &now, err) ||
        !read_slot(self, &slot, err))
        return false;
    if (!slot.exists || slot.lost)
        return error_set(
            err, ERROR_FATAL,
            "%s: slot \"%s\" %s: changes after the last applied position can't be read any more - "
            "nothing was applied wrongly - `crossfade finish` and a new start copy everything again",
            self->side->endpoint, self->side->slot,
            slot.exists ? "has lost WAL it needs (max_slot_wal_keep_size)" : "is gone");
    if (stored.timeline == now.timeline)
        return true;
    now.slot_start = stored.slot_start;
    return check_timeline(self, &stored, &now, err) &&
           pgsql_fingerprint_put(self->target, c->pipeline, self->epoch, self->side->stream, &now, err);
}

bool pgsql_slot(const struct pgsql_work *self, struct error *err)
{
    struct pgsql_fingerprint now;
    return read_now(self, &now, err) && first_slot(self, &now, err);
}

bool pgsql_end(struct pg_conn *source, struct position *out, struct error *err)
{
    enum { PAGE_HEADER_MAX = 40 };
    PGresult *r =
        pg_query(source,
                 "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()"
                 " ELSE pg_catalog.pg_current_wal_insert_lsn() END,"
                 " pg_catalog.current_setting('wal_block_size')",
                 0, NULL, err);
    if (!r)
        return false;
    uint64_t block = strtoull(PQgetvalue(r, 0, 1), NULL, 10);
    bool ok = position_parse(PQgetvalue(r, 0, 0), out) && out->kind != POSITION_NONE && block > 0;
    if (!ok)
        error_set(err, ERROR_RETRY, "%s: end of WAL \"%s\" makes no sense", source->endpoint,
                  PQgetvalue(r, 0, 0));
    PQclear(r);
    /* Right behind a page's header nothing has been written yet: an idle server never sends up to there. */
    if (ok && out->low % block <= PAGE_HEADER_MAX)
        out->low -= out->low % block;
    return ok;
}
