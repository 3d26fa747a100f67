/* SPDX-License-Identifier: PostgreSQL
 *
 * The operator's wishes (state/wish.h), carried out between two streams.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "replicator/backfill.h"
#include "replicator/session_internal.h"

bool session_wishes_read(struct session *self, struct error *err)
{
    struct wish_list list = {0};
    if (!wish_read(&self->target, self->o.config->pipeline, &list, err))
        return false;
    wish_list_free(&self->wishes);
    self->wishes = list;
    return true;
}

/* Can it be paused? One that waits for its copy too: resumed, it is copied. */
static bool works(const struct table *t)
{
    return t->state != TABLE_PAUSED && t->state != TABLE_DRIFT && t->state != TABLE_STOPPED;
}

static bool table_differs(const struct session *self, const struct table *t)
{
    bool paused = wish_paused(&self->wishes, t->group, t->from);
    return (paused && works(t)) || (!paused && t->state == TABLE_PAUSED) ||
           wish_is_true(&self->wishes, "table", t->from, "recopy") ||
           wish_is_true(&self->wishes, "table", t->from, "resume");
}

bool session_wishes_differ(const struct session *self)
{
    if (wish_is_true(&self->wishes, "pipeline", NULL, "paused") != self->paused)
        return true;
    if (self->paused)
        return false;
    if (wish_find(&self->wishes, "quarantine", "retry") || wish_find(&self->wishes, "quarantine", "skip"))
        return true;
    for (uint32_t i = 0; i < self->p.tables.count; i++) {
        if (table_differs(self, self->p.tables.tables[i]))
            return true;
    }
    return false;
}

static bool put_state(struct session *self, struct table *t, enum table_state state, const char *reason,
                      struct error *err)
{
    struct log_fields fields = {.table = t->from};
    log_write(self->o.log, LOG_LEVEL_INFO, &fields, "%s -> %s: %s", table_state_name(t->state),
              table_state_name(state), reason);
    t->state = state;
    free(self->p.reasons[t->id]);
    self->p.reasons[t->id] = NULL;
    return store_table_state_put(&self->target, self->o.config->pipeline, self->o.lease.epoch, t, reason,
                                 err);
}

static bool table_wish_done(struct session *self, const struct table *t, const char *key, struct error *err)
{
    struct buffer object = {0};
    buffer_printf(&object, "table:%s", t->from);
    const struct wish *w = wish_find(&self->wishes, buffer_text(&object), key);
    bool ok = !w || wish_done(&self->target, self->o.config->pipeline, self->o.lease.epoch, w, err);
    buffer_free(&object);
    return ok;
}

/* Was the whole table copied once? Then it may catch up; else the copy goes on. */
static bool was_copied(struct session *self, const struct table *t, bool *copied, struct error *err)
{
    char text[8];
    const char *params[] = {self->o.config->pipeline, t->from};
    if (!pg_query_one(&self->target,
                      "SELECT (count(*) FILTER (WHERE high IS NULL) > 0"
                      " AND count(*) FILTER (WHERE state = 'planned') = 0)::text"
                      " FROM crossfade.chunk WHERE pipeline = $1 AND table_name = $2",
                      2, params, text, sizeof(text), NULL, err))
        return false;
    *copied = strcmp(text, "true") == 0;
    return true;
}

static bool back_to_work(struct session *self, struct table *t, const char *why, struct error *err)
{
    bool copied;
    if (self->sink)
        return put_state(self, t, TABLE_STREAMING, why, err);
    return was_copied(self, t, &copied, err) &&
           put_state(self, t, copied ? TABLE_CATCHUP : TABLE_INIT, why, err);
}

static const char needs_recopy[] = "needs_recopy";

static char *object_of(const struct table *t)
{
    struct buffer object = {0};
    buffer_printf(&object, "table:%s", t->from);
    return buffer_detach(&object);
}

bool session_needs_recopy_put(struct session *self, struct pg_conn *target, const struct table *t, bool needs,
                              struct error *err)
{
    char *object = object_of(t);
    bool ok = store_put(target, self->o.config->pipeline, self->o.lease.epoch, object, needs_recopy,
                        needs ? "true" : "false", err);
    free(object);
    return ok;
}

static bool needs_recopy_get(struct session *self, const struct table *t, bool *needs, struct error *err)
{
    char *json = NULL;
    char *object = object_of(t);
    bool ok = store_get(&self->target, self->o.config->pipeline, object, needs_recopy, &json, err);
    *needs = json && strcmp(json, "true") == 0;
    free(object);
    free(json);
    return ok;
}

static bool resume(struct session *self, struct table *t, struct error *err)
{
    bool needs = false;
    struct log_fields fields = {.table = t->from};
    bool stopped = t->state == TABLE_DRIFT || t->state == TABLE_STOPPED;
    if (!needs_recopy_get(self, t, &needs, err))
        return false;
    if (needs)
        log_write(self->o.log, LOG_LEVEL_WARNING, &fields,
                  "can't be resumed: what happened to it was not parked - crossfade recopy --table %s",
                  t->from);
    if (stopped && !needs && !back_to_work(self, t, "resumed, as asked", err))
        return false;
    return table_wish_done(self, t, "resume", err);
}

/* One that was out of the publication may have writers from before it came back: as INIT it waits for them
 * (prepare_writers). */
static bool begin_anew(struct session *self, struct table *t, struct error *err)
{
    bool needs = false;
    if (!backfill_forget(&self->target, self->o.config->pipeline, self->o.lease.epoch, t, err) ||
        !needs_recopy_get(self, t, &needs, err) ||
        !put_state(self, t, needs ? TABLE_INIT : TABLE_BACKFILL, "copied anew, as asked", err) ||
        !session_needs_recopy_put(self, &self->target, t, false, err))
        return false;
    self->p.forget[t->id] = 1;
    return true;
}

/* What shares its sink table is emptied with it, so it is copied anew too. */
static bool recopy(struct session *self, struct table *t, struct error *err)
{
    if (self->sink)
        return error_set(
            err, ERROR_REFUSED,
            "a table is copied from the legacy side only, and the pipeline's direction is reverse");
    for (uint32_t i = 0; i < self->p.tables.count; i++) {
        struct table *u = self->p.tables.tables[i];
        bool shares = t->sink_shared && u->sink_oid == t->sink_oid;
        if ((u == t || shares) && !begin_anew(self, u, err))
            return false;
    }
    self->goal = (struct position){.kind = POSITION_NONE};
    return table_wish_done(self, t, "recopy", err);
}

/* The target does not let the table be emptied: it goes on as it is, and the others with it. */
static bool recopy_refused(struct session *self, struct table *t, struct error *err)
{
    struct error why = *err;
    struct log_fields fields = {.table = t->from};
    if (why.kind != ERROR_REFUSED && why.kind != ERROR_DATA && why.kind != ERROR_TABLE)
        return false;
    error_prefix(&why, "recopy was refused");
    log_write(self->o.log, LOG_LEVEL_WARNING, &fields, "%s", why.text);
    if (!put_state(self, t, t->state, why.text, err))
        return false;
    self->p.reasons[t->id] = mem_strdup(why.text);
    return table_wish_done(self, t, "recopy", err);
}

static bool apply_table(struct session *self, struct table *t, struct error *err)
{
    bool paused = wish_paused(&self->wishes, t->group, t->from);
    if (wish_is_true(&self->wishes, "table", t->from, "recopy") && !recopy(self, t, err) &&
        !recopy_refused(self, t, err))
        return false;
    if (wish_is_true(&self->wishes, "table", t->from, "resume") && !resume(self, t, err))
        return false;
    if (paused && works(t))
        return put_state(self, t, TABLE_PAUSED, "paused, as asked", err);
    if (!paused && t->state == TABLE_PAUSED)
        return back_to_work(self, t, "no longer paused", err);
    return true;
}

bool session_wishes_apply(struct session *self, struct error *err)
{
    self->paused = wish_is_true(&self->wishes, "pipeline", NULL, "paused");
    self->o.stats->paused = self->paused;
    for (uint32_t i = 0; i < self->p.tables.count && !self->paused; i++) {
        if (!apply_table(self, self->p.tables.tables[i], err))
            return false;
    }
    return true;
}

/* What waited of tables that are copied anew is older than the copy. */
static bool forget_waiting(struct session *self, struct sink **sinks, struct error *err)
{
    for (uint32_t i = 0; i < self->p.tables.count; i++) {
        struct table *t = self->p.tables.tables[i];
        if (self->p.forget[i] && !self->waits->forget(sinks[t->lane], t, err))
            return false;
        self->p.forget[i] = 0;
    }
    return true;
}

bool session_wishes_sinks(struct session *self, struct sink **sinks, struct error *err)
{
    static const char *const keys[] = {"retry", "skip"};
    if (!forget_waiting(self, sinks, err))
        return false;
    for (int k = 0; k < 2; k++) {
        const struct wish *w = wish_find(&self->wishes, "quarantine", keys[k]);
        if (!w)
            continue;
        int64_t *ids = NULL;
        int count = wish_ids(w, &ids);
        bool ok = true;
        for (int lane = 0; lane < self->p.lane_count && ok && count > 0; lane++)
            ok = k == 0 ? self->waits->retry(sinks[lane], ids, (size_t)count, err)
                        : self->waits->skip(sinks[lane], ids, (size_t)count, err);
        free(ids);
        if (!ok || !wish_done(&self->target, self->o.config->pipeline, self->o.lease.epoch, w, err))
            return false;
    }
    return true;
}
