/* SPDX-License-Identifier: PostgreSQL */
#include "legacy/legacy_pgsql_poll.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "legacy/legacy_pgsql.h"
#include "legacy/legacy_pgsql_fingerprint.h"
#include "legacy/sink_rows.h"
#include "legacy/sweep.h"
#include "model/capture.h"
#include "pgsql/pair_names.h"
#include "pgsql/poll.h"
#include "state/lease.h"

bool pgsql_is_polled(const struct config *config)
{
    return capture_of(config) != CAPTURE_LOGICAL;
}

static const struct config_table *entry_of(const struct config *config, const struct table *t)
{
    for (int i = 0; i < config->table_count; i++) {
        if (pair_name_means(config->tables[i].from, t->from_schema, t->from_name))
            return &config->tables[i];
    }
    return NULL;
}

/* --- findings --- */

static bool is_indexed(const struct pg_relation *r, const struct pg_column *c)
{
    for (uint16_t i = 0; i < r->index_count; i++) {
        const struct pg_index *x = &r->indexes[i];
        if (x->valid && !x->partial && x->column_count > 0 && x->columns[0] != UINT16_MAX &&
            &r->columns[x->columns[0]] == c)
            return true;
    }
    return false;
}

static void judge_time(const struct config_table *entry, const struct table *t, const struct pg_relation *r,
                       struct pairing *out)
{
    const struct pg_column *c = entry && r ? pg_relation_column(r, entry->updated_at) : NULL;
    if (!c || !pg_poll_is_time(c))
        pairing_add(out, PAIR_FAIL, "no_updated_at", t->from, NULL,
                    "it has no column %s with a date and time (updated_at)", entry ? entry->updated_at : "");
    else if (!is_indexed(r, c))
        pairing_add(out, PAIR_WARN, "updated_at_index", t->from, NULL,
                    "no index begins with column %s: each poll reads the whole table", c->name);
    if (entry && r && entry->soft_delete && !pg_relation_column(r, entry->soft_delete))
        pairing_add(out, PAIR_FAIL, "no_soft_delete", t->from, NULL, "it has no column %s (soft_delete)",
                    entry->soft_delete);
}

static void judge(const struct config *config, const struct table *t, const struct pg_relation *r,
                  struct pairing *out)
{
    const struct config_table *entry = entry_of(config, t);
    enum capture_kind kind = capture_of(config);
    if ((entry ? entry->capture : config->legacy_capture) != kind)
        pairing_add(out, PAIR_FAIL, "capture_mixed", t->from, NULL,
                    "the tables of a pipeline have to be captured in one and the same way - several in one "
                    "pipeline are not available in this version: give it a pipeline of its own");
    if (kind == CAPTURE_LOGICAL || (entry && entry->capture != kind))
        return;
    if (t->key_count == 0)
        pairing_add(out, PAIR_FAIL, "no_key_polled", t->from, NULL,
                    "no key: this capture finds rows by it - give it a primary key, or leave it out");
    if (t->sink_shared)
        pairing_add(out, PAIR_WARN, "shared_sink_polled", t->from, NULL,
                    "its target is shared with other tables, so that deleted rows can't be told by key");
    if (kind == CAPTURE_TIMESTAMP)
        judge_time(entry, t, r, out);
}

void pgsql_poll_findings(const struct config *config, const struct pg_catalog *source,
                         struct pairing *pairing)
{
    bool polled = pgsql_is_polled(config);
    for (uint32_t i = 0; i < pairing->tables.count; i++) {
        struct table *t = pairing->tables.tables[i];
        t->net_changes = polled;
        t->capture = capture_facts(capture_of(config))->name;
        judge(config, t, pg_catalog_by_oid(source, t->source_oid), pairing);
    }
    for (uint32_t i = 0; i < pairing->unfit.count; i++) {
        pairing->unfit.tables[i]->net_changes = polled;
        pairing->unfit.tables[i]->capture = capture_facts(capture_of(config))->name;
    }
}

/* --- struct legacy --- */

static bool end(struct legacy *base, const struct legacy_notes *notes, struct position *out,
                struct error *err)
{
    return capture_of(notes->config) == CAPTURE_SNAPSHOT ? sink_rows_poll_end(notes, out, err)
                                                         : pg_poll_position(&pgsql_of(base)->conn, out, err);
}

static bool retained(struct legacy *base, struct legacy_retained *io, struct error *err)
{
    *io = (struct legacy_retained){
        .at = io->at, .end = io->at, .end_bytes = -1, .bytes = -1, .limit_seconds = -1, .capture_lag_ms = -1};
    return capture_of(pgsql_of(base)->config) == CAPTURE_SNAPSHOT ||
           pg_poll_position(&pgsql_of(base)->conn, &io->end, err);
}

/* A newer timeline is the same database to whoever reads rows. */
static bool history(struct legacy *base, const struct legacy_notes *notes, bool *first, struct error *err)
{
    struct pgsql_fingerprint stored, now;
    bool found;
    if (!pgsql_refuse_standby(&pgsql_of(base)->conn, err) ||
        !pgsql_fingerprint_get(notes->target, notes->config->pipeline, "forward", &stored, &found, err))
        return false;
    *first = !found;
    return !found || (pgsql_fingerprint_read(&pgsql_of(base)->conn, &now, err) &&
                      pgsql_fingerprint_compare(&stored, &now, err));
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
    struct pgsql_fingerprint print;
    struct position start = position_cursor(POSITION_POLL, 0);
    (void)tables;
    if (!first)
        return true;
    if (capture_of(notes->config) == CAPTURE_TIMESTAMP &&
        !pg_poll_position(&pgsql_of(base)->conn, &start, err))
        return false;
    if (!pgsql_fingerprint_read(&pgsql_of(base)->conn, &print, err))
        return false;
    print.slot_start = start;
    return pgsql_fingerprint_put(notes->target, notes->config->pipeline, notes->epoch, "forward", &print,
                                 err);
}

/* Whatever commits late is in the window, or in the next comparison. */
static bool writers(struct legacy *base, const struct legacy_notes *notes, const struct table_set *tables,
                    struct error *err)
{
    (void)base;
    (void)notes;
    (void)tables;
    (void)err;
    return true;
}

/* What was handed out was committed before it was read. */
static bool settled(struct legacy *base, legacy_all_seen *all_seen, void *context, bool *out,
                    struct error *err)
{
    (void)base;
    (void)all_seen;
    (void)context;
    (void)err;
    *out = true;
    return true;
}

static bool drop(struct legacy *base, const struct legacy_notes *notes, struct buffer *said, int *undone,
                 struct error *err)
{
    (void)base;
    (void)notes;
    (void)undone;
    (void)err;
    buffer_puts(said, "legacy: nothing of ours is there\n");
    return true;
}

/* --- the sweep's look-ups --- */

struct lookup {
    struct sweep_lookup base;
    struct pg_conn conn;
};

static bool lookup_find(struct sweep_lookup *base, struct pg_conn *target, const struct table *keys_only,
                        char *const *const *keys, size_t count, struct legacy_rows *out, struct error *err)
{
    (void)target;
    return pgsql_fetch(&((struct lookup *)base)->conn, keys_only, keys, count, out, err);
}

static void lookup_cancel(struct sweep_lookup *base)
{
    pg_conn_cancel(&((struct lookup *)base)->conn);
}

static void lookup_free(struct sweep_lookup *base)
{
    pg_conn_close(&((struct lookup *)base)->conn);
    free(base);
}

static const struct sweep_lookup_ops lookup_ops = {
    .find = lookup_find, .cancel = lookup_cancel, .free = lookup_free};

static struct pg_conn_options conn_options(const struct config *c, const char *job)
{
    return (struct pg_conn_options){.conninfo = c->legacy_conninfo,
                                    .pipeline = c->pipeline,
                                    .job = job,
                                    .endpoint = "legacy",
                                    .connect_timeout_ms = (int)c->connect_timeout_ms};
}

static bool open_sweep(const struct config *config, const struct table_set *tables, struct polled_sweep **out,
                       struct error *err)
{
    struct lookup *lookup = mem_alloc(sizeof(*lookup));
    struct pg_conn_options o = conn_options(config, "sweep");
    lookup->base.ops = &lookup_ops;
    if (!pg_conn_open(&lookup->conn, &o, err)) {
        free(lookup);
        return false;
    }
    struct sweep_options s = {.config = config, .tables = tables, .lookup = &lookup->base, .scheduled = true};
    return sweep_open(&s, out, err);
}

/* --- the source --- */

static bool open_reader(const struct config *c, const struct table_set *tables, struct polled_reader **out,
                        struct error *err)
{
    struct polled_time *times = mem_alloc((tables->count + (size_t)1) * sizeof(*times));
    for (uint32_t i = 0; i < tables->count; i++) {
        const struct config_table *entry = entry_of(c, tables->tables[i]);
        if (entry)
            times[i] = (struct polled_time){.updated_at = entry->updated_at,
                                            .soft_delete = entry->soft_delete,
                                            .overlap_us = entry->overlap_ms * 1000};
    }
    struct pg_poll_options o = {.conn = conn_options(c, "capture"),
                                .capture = capture_of(c),
                                .tables = tables,
                                .times = times,
                                .load = sink_rows_load_text,
                                .load_context = (void *)(uintptr_t)c};
    bool ok = pg_poll_open(&o, out, err);
    free(times);
    return ok;
}

static bool stream(struct legacy *base, const struct legacy_notes *notes, const struct table_set *tables,
                   bool binary, struct position start, struct source **out, struct error *err)
{
    const struct config *c = notes->config;
    (void)base;
    (void)binary;
    bool timed = capture_of(c) == CAPTURE_TIMESTAMP;
    struct polled_options o = {
        .start = start, .poll_interval_ms = c->stream_poll_interval_ms, .steady = !timed};
    if (start.kind != (timed ? POSITION_TIME : POSITION_POLL))
        return error_set(err, ERROR_FATAL,
                         "the stored position is not one of this capture - put the old legacy.capture back, "
                         "or `crossfade finish` and start over");
    if (!open_reader(c, tables, &o.reader, err))
        return false;
    if (!open_sweep(c, tables, &o.sweep, err)) {
        o.reader->ops->free(o.reader);
        return false;
    }
    return polled_source_open(&o, out, err);
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

static const struct legacy_control_ops control_ops = {.install = pgsql_install, .drop = drop};

bool pgsql_poll_open(const struct legacy_options *options, struct legacy **out, struct error *err)
{
    static const struct legacy base = {.ops = &ops, .session = &session_ops, .control = &control_ops};
    struct pgsql_side side = {
        .endpoint = "legacy", .conninfo = options->config->legacy_conninfo, .stream = "forward"};
    return pgsql_open(options, &side, &base, out, err);
}
