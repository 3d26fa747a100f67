/* SPDX-License-Identifier: PostgreSQL */
#include "mssql/cdc_instance.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "mssql/cdc_lsn.h"

bool cdc_instances_any_alive(const struct cdc_instances *self)
{
    for (uint32_t i = 0; i < self->set.count; i++) {
        if (!self->set.streams[i]->lost)
            return true;
    }
    return false;
}

void cdc_instances_lose(struct cdc_instances *self, struct table *table, bool history, const char *text)
{
    for (uint32_t i = 0; i < self->set.count; i++) {
        struct cdc_stream *s = self->set.streams[i];
        if (s->table == table)
            s->lost = s->exhausted = true;
    }
    if (!self->lost)
        self->lost = mem_alloc(self->tables->count + 1);
    if (self->lost[table->id])
        return;
    self->lost[table->id] = true;
    self->drifts = mem_grow(self->drifts, self->drift_count + 1, sizeof(*self->drifts));
    struct cdc_drift *d = &self->drifts[self->drift_count++];
    d->table = table;
    d->history = history;
    snprintf(d->text, sizeof(d->text), "%s", text);
}

static void remember(struct cdc_instances *self, const struct ms_catalog *catalog)
{
    self->known_count = 0;
    for (uint32_t i = 0; i < catalog->count; i++) {
        const struct ms_catalog_table *t = &catalog->tables[i];
        self->known =
            mem_grow(self->known, self->known_count + t->capture_count + (size_t)1, sizeof(*self->known));
        for (uint16_t k = 0; k < t->capture_count; k++)
            self->known[self->known_count++] = t->captures[k].object_id;
    }
}

/* The streams anew, from the catalog as it is now. Tables told as drift already are not told again. */
bool cdc_instances_read(struct cdc_instances *self, struct ms_conn *conn, struct position end,
                        struct error *err)
{
    struct ms_catalog catalog;
    struct cdc_stream_set set;
    struct cdc_drift *drifts = NULL;
    uint32_t count = 0;
    if (!ms_catalog_read(conn, &catalog, err))
        return false;
    if (!catalog.database.cdc)
        error_set(err, ERROR_FATAL,
                  "change data capture of database %s is switched off, its history is gone - "
                  "sys.sp_cdc_enable_db and "
                  "sys.sp_cdc_enable_table, then crossfade recopy",
                  catalog.database.name);
    bool ok = catalog.database.cdc && cdc_streams_make(&catalog, self->tables, self->policies,
                                                       self->value_limit, end, &set, &drifts, &count, err);
    remember(self, &catalog);
    ms_catalog_free(&catalog);
    if (!ok) {
        free(drifts);
        return false;
    }
    cdc_streams_free(&self->set);
    self->set = set;
    for (uint32_t i = 0; i < set.count; i++)
        set.streams[i]->lost = self->lost && self->lost[set.streams[i]->table->id];
    for (uint32_t i = 0; i < count; i++)
        cdc_instances_lose(self, drifts[i].table, drifts[i].history, drifts[i].text);
    free(drifts);
    self->reread = false;
    return true;
}

static const struct cdc_seen *find_seen(const struct cdc_watch *w, int32_t object_id)
{
    for (uint32_t i = 0; i < w->seen_count; i++) {
        if (w->seen[i].object_id == object_id)
            return &w->seen[i];
    }
    return NULL;
}

/* An instance that the catalog did not have yet, of a table that we read? */
static bool is_news(const struct cdc_instances *self, const struct cdc_seen *seen)
{
    for (uint32_t i = 0; i < self->known_count; i++) {
        if (self->known[i] == seen->object_id)
            return false;
    }
    for (uint32_t i = 0; i < self->set.count; i++) {
        if (self->set.streams[i]->source_id == seen->source_id)
            return true;
    }
    return false;
}

/* Is what this stream has still to give whole? */
static bool look_at(struct cdc_instances *self, struct cdc_stream *s, const struct cdc_watch *watch,
                    struct position end, struct error *err)
{
    char text[800], at[POSITION_TEXT_SIZE], from[POSITION_TEXT_SIZE];
    const struct cdc_seen *seen = find_seen(watch, s->object_id);
    struct position need = cdc_lsn_next(end);
    if (s->limit.kind != POSITION_NONE && cdc_lsn_compare(need, s->limit) >= 0)
        return true; /* used up; another instance goes on */
    if (s->first.kind != POSITION_NONE && cdc_lsn_compare(need, s->first) < 0)
        need = s->first;
    if (seen && cdc_lsn_is_zero(seen->least))
        return error_set(
            err, ERROR_REFUSED,
            "the lowest LSN of capture instance %s is all zeros - the login may not read it - grant SELECT "
            "on %s and membership of the instance's gating role",
            s->instance, s->table->from);
    if (seen && cdc_lsn_compare(seen->least, need) <= 0)
        return true;
    if (!seen)
        snprintf(text, sizeof(text),
                 "capture instance %.100s of %.130s is gone, and the changes it had with it - "
                 "sys.sp_cdc_enable_table, "
                 "then crossfade recopy --table %.130s",
                 s->instance, s->table->from, s->table->from);
    else
        snprintf(text, sizeof(text),
                 "the history of %.130s is gone: capture instance %.100s begins at %s now, we stand at %s - "
                 "raise the "
                 "retention with sys.sp_cdc_change_job, then crossfade recopy --table %.130s",
                 s->table->from, s->instance, position_format(seen->least, at), position_format(end, from),
                 s->table->from);
    cdc_instances_lose(self, s->table, true, text);
    return cdc_instances_any_alive(self) || error_set(err, ERROR_FATAL, "%s", text);
}

bool cdc_instances_judge(struct cdc_instances *self, const struct cdc_watch *watch, struct position end,
                         struct error *err)
{
    for (uint32_t i = 0; i < self->set.count; i++) {
        struct cdc_stream *s = self->set.streams[i];
        if (!s->lost && !look_at(self, s, watch, end, err))
            return false;
    }
    for (uint32_t i = 0; i < watch->seen_count; i++)
        self->reread = self->reread || is_news(self, &watch->seen[i]);
    return true;
}

/* Definitions changed in this range: what does not fit any more is told before the range's first event. */
bool cdc_instances_changed(struct cdc_instances *self, struct ms_conn *conn, struct cdc_watch *watch,
                           struct position end, struct error *err)
{
    struct ms_catalog catalog;
    struct cdc_stream_set set;
    struct cdc_drift *drifts = NULL;
    uint32_t count = 0;
    bool ours = false;
    for (uint32_t i = 0; i < watch->ddl_count; i++) {
        for (uint32_t k = 0; k < self->set.count; k++)
            ours = ours || self->set.streams[k]->source_id == watch->ddl[i].source_id;
    }
    watch->ddl_count = 0;
    if (!ours)
        return true;
    if (!ms_catalog_read(conn, &catalog, err))
        return false;
    bool ok = cdc_streams_make(&catalog, self->tables, self->policies, self->value_limit, end, &set, &drifts,
                               &count, err);
    ms_catalog_free(&catalog);
    if (!ok) {
        free(drifts);
        return false;
    }
    cdc_streams_free(&set);
    for (uint32_t i = 0; i < count; i++)
        cdc_instances_lose(self, drifts[i].table, drifts[i].history, drifts[i].text);
    free(drifts);
    self->reread = true;
    return true;
}

void cdc_instances_free(struct cdc_instances *self)
{
    cdc_streams_free(&self->set);
    free(self->drifts);
    free(self->known);
    free(self->lost);
    *self = (struct cdc_instances){0};
}
