/* SPDX-License-Identifier: PostgreSQL
 *
 * A SQL Server legacy whose tables are polled: what its capture needs of them, where the stream begins, and
 * how its source is put together. The position is taken before the first row is copied, and stored with the
 * fingerprint (rule 5): whatever committed before it is seen by every later read, the rest comes in rounds.
 *
 * Of change tracking the fingerprint also keeps, a table, the version it began at when the copy did: a later
 * one means that the table's history was reset meanwhile.
 */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "legacy/legacy_mssql.h"
#include "legacy/sink_rows.h"
#include "legacy/sweep.h"
#include "model/capture.h"
#include "mssql/history.h"
#include "mssql/poll.h"
#include "mssql/sql.h"
#include "pgsql/pair_names.h"
#include "state/store.h"

static const char stream_name[] = "forward";

enum capture_kind mssql_capture_kind(const struct config *config)
{
    return capture_of(config);
}

bool mssql_is_polled(const struct config *config)
{
    return capture_of(config) != CAPTURE_CDC;
}

/* --- findings --- */

static void judge_tracked(const struct table *t, const struct ms_catalog_table *from, struct pairing *out)
{
    struct buffer sql = {0};
    buffer_puts(&sql, "ALTER TABLE ");
    ms_sql_qualified(&sql, t->from_schema, t->from_name);
    buffer_puts(&sql, " ENABLE CHANGE_TRACKING;");
    if (!from->change_tracking)
        pairing_add(out, PAIR_FAIL, "not_tracked", t->from, buffer_text(&sql),
                    "change tracking is not on for it - its changes would not come");
    else if (from->min_valid_version < 0)
        pairing_add(out, PAIR_FAIL, "tracking_denied", t->from, NULL,
                    "its lowest valid version can't be seen - GRANT VIEW CHANGE TRACKING to the login");
    if (t->key_count > 0 && !ms_poll_has_primary_key(from, t))
        pairing_add(out, PAIR_FAIL, "tracking_key", t->from, NULL,
                    "change tracking tells rows by the primary key, and its key here is another one");
    buffer_free(&sql);
}

static void judge_rowversion(const struct table *t, const struct ms_catalog_table *from, struct pairing *out)
{
    struct buffer sql = {0};
    const struct ms_catalog_column *c = ms_poll_rowversion(from);
    buffer_puts(&sql, c ? "CREATE INDEX [crossfade_rowversion] ON " : "ALTER TABLE ");
    ms_sql_qualified(&sql, t->from_schema, t->from_name);
    if (c) {
        buffer_puts(&sql, " (");
        ms_sql_ident(&sql, c->name);
    }
    buffer_puts(&sql, c ? ");" : " ADD [crossfade_version] rowversion;");
    if (!c)
        pairing_add(out, PAIR_FAIL, "no_rowversion", t->from, buffer_text(&sql),
                    "it has no column of type rowversion to capture its changes by");
    else if (!ms_poll_is_indexed(from, c))
        pairing_add(out, PAIR_WARN, "rowversion_index", t->from, buffer_text(&sql),
                    "no index begins with column %s: each poll reads the whole table", c->name);
    buffer_free(&sql);
}

static void put_index(const struct table *t, const struct ms_catalog_column *c, struct buffer *sql)
{
    buffer_puts(sql, "CREATE INDEX [crossfade_updated] ON ");
    ms_sql_qualified(sql, t->from_schema, t->from_name);
    buffer_puts(sql, " (");
    ms_sql_ident(sql, c->name);
    buffer_puts(sql, ");");
}

static void judge_time(const struct config_table *entry, const struct table *t,
                       const struct ms_catalog_table *from, struct pairing *out)
{
    struct buffer sql = {0};
    const struct ms_catalog_column *c =
        entry && entry->updated_at ? ms_catalog_column(from, entry->updated_at) : NULL;
    if (!c || !ms_poll_is_time(c))
        pairing_add(out, PAIR_FAIL, "no_updated_at", t->from, NULL,
                    "it has no column %s with a date and time (updated_at)",
                    entry && entry->updated_at ? entry->updated_at : "");
    if (c && !ms_poll_is_indexed(from, c)) {
        put_index(t, c, &sql);
        pairing_add(out, PAIR_WARN, "updated_at_index", t->from, buffer_text(&sql),
                    "no index begins with column %s: each poll reads the whole table", c->name);
    }
    if (entry && entry->soft_delete && !ms_catalog_column(from, entry->soft_delete))
        pairing_add(out, PAIR_FAIL, "no_soft_delete", t->from, NULL, "it has no column %s (soft_delete)",
                    entry->soft_delete);
    buffer_free(&sql);
}

const struct config_table *mssql_table_entry(const struct config *config, const struct table *t)
{
    for (int i = 0; i < config->table_count; i++) {
        if (pair_name_means(config->tables[i].from, t->from_schema, t->from_name))
            return &config->tables[i];
    }
    return NULL;
}

static void judge(const struct config *config, const struct table *t, const struct ms_catalog_table *from,
                  struct pairing *out)
{
    enum capture_kind capture = capture_of(config);
    if (t->key_count == 0)
        pairing_add(out, PAIR_FAIL, "no_key_polled", t->from, NULL,
                    "no key: this capture finds rows by it - give it a primary key, or leave it out");
    if (t->sink_shared)
        pairing_add(out, PAIR_WARN, "shared_sink_polled", t->from, NULL,
                    "its target is shared with other tables, so that deleted rows can't be told by key");
    if (!from)
        return;
    if (capture == CAPTURE_CHANGE_TRACKING)
        judge_tracked(t, from, out);
    else if (capture == CAPTURE_ROWVERSION)
        judge_rowversion(t, from, out);
    else if (capture == CAPTURE_TIMESTAMP)
        judge_time(mssql_table_entry(config, t), t, from, out);
}

void mssql_poll_findings(const struct config *config, const struct ms_catalog *catalog,
                         struct pairing *pairing)
{
    enum capture_kind capture = capture_of(config);
    if (capture == CAPTURE_CHANGE_TRACKING && !catalog->database.change_tracking)
        pairing_add(
            pairing, PAIR_FAIL, "tracking_disabled", catalog->database.name,
            "ALTER DATABASE CURRENT SET CHANGE_TRACKING = ON (CHANGE_RETENTION = 7 DAYS, AUTO_CLEANUP "
            "= ON);",
            "change tracking is not on for the database");
    if (!catalog->database.snapshot_allowed && capture == CAPTURE_CHANGE_TRACKING)
        pairing_add(pairing, PAIR_WARN, "tracking_consistency", catalog->database.name,
                    "ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION ON;",
                    "the database does not allow SNAPSHOT isolation: while it is written to, tables may "
                    "disagree with one another until the next poll");
    for (uint32_t i = 0; i < pairing->tables.count; i++) {
        struct table *t = pairing->tables.tables[i];
        judge(config, t, ms_catalog_by_id(catalog, (int32_t)t->source_oid), pairing);
    }
    for (uint32_t i = 0; i < pairing->tables.count; i++)
        pairing->tables.tables[i]->net_changes = true;
    for (uint32_t i = 0; i < pairing->unfit.count; i++)
        pairing->unfit.tables[i]->net_changes = true;
}

/* --- the fingerprint --- */

static bool read_print(const struct legacy_notes *notes, cJSON **out, struct error *err)
{
    char *text;
    *out = NULL;
    if (!store_fingerprint_get(notes->target, notes->config->pipeline, stream_name, "sqlserver", &text, err))
        return false;
    *out = text ? cJSON_Parse(text) : NULL;
    free(text);
    return true;
}

static bool put_print(const struct legacy_notes *notes, const cJSON *json, struct error *err)
{
    char *text = cJSON_PrintUnformatted(json);
    bool ok =
        store_fingerprint_put(notes->target, notes->config->pipeline, notes->epoch, stream_name, text, err);
    cJSON_free(text);
    return ok;
}

bool mssql_poll_end(struct legacy_mssql *self, const struct legacy_notes *notes, struct position *out,
                    struct error *err)
{
    enum capture_kind capture = capture_of(self->config);
    return capture == CAPTURE_SNAPSHOT ? sink_rows_poll_end(notes, out, err)
                                       : ms_poll_position(&self->conn, capture, out, err);
}

/* One before the bound: the stream has a way to go, and sweeps what was copied on it. */
static bool read_start(struct legacy_mssql *self, struct position *out, struct error *err)
{
    enum capture_kind capture = capture_of(self->config);
    *out = position_cursor(POSITION_POLL, 0);
    if (capture != CAPTURE_SNAPSHOT && !ms_poll_position(&self->conn, capture, out, err))
        return false;
    if (out->kind == POSITION_ROWVERSION && out->low > 0)
        out->low--;
    return true;
}

bool mssql_poll_capture(struct legacy_mssql *self, const struct legacy_notes *notes, bool first,
                        struct error *err)
{
    struct position start;
    struct history now;
    char text[POSITION_TEXT_SIZE];
    if (!first)
        return true;
    if (!read_start(self, &start, err) || !history_read(&self->conn, &now, err))
        return false;
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "engine", "sqlserver");
    cJSON_AddStringToObject(json, "start", position_format(start, text));
    mssql_add_facts(json, &now);
    bool ok = put_print(notes, json, err);
    cJSON_Delete(json);
    return ok;
}

struct begins {
    const struct table_set *tables;
    bool *begins; /* by table id */
    cJSON *json;  /* of the fingerprint: "begins" */
};

static bool take_begin(void *context, struct ms_conn *conn, struct error *err)
{
    struct begins *b = context;
    (void)err;
    for (uint32_t i = 0; i < b->tables->count; i++) {
        const struct table *t = b->tables->tables[i];
        char text[POSITION_TEXT_SIZE];
        if (!b->begins[i] || (int64_t)(int32_t)t->source_oid != ms_column_int(conn, 0))
            continue;
        position_format(position_cursor(POSITION_VERSION, (uint64_t)ms_column_int(conn, 1)), text);
        cJSON_DeleteItemFromObjectCaseSensitive(b->json, t->from);
        cJSON_AddStringToObject(b->json, t->from, text);
    }
    return true;
}

bool mssql_poll_begin_copies(struct legacy_mssql *self, const struct legacy_notes *notes,
                             const struct table_set *tables, struct error *err)
{
    cJSON *print;
    if (capture_of(self->config) != CAPTURE_CHANGE_TRACKING)
        return true;
    if (!read_print(notes, &print, err) || !print)
        return print != NULL;
    struct begins b = {.tables = tables,
                       .begins = mem_alloc(tables->count + (size_t)1),
                       .json = cJSON_GetObjectItemCaseSensitive(print, "begins")};
    bool ok = true;
    if (!b.json)
        b.json = cJSON_AddObjectToObject(print, "begins");
    for (uint32_t i = 0; i < tables->count && ok; i++)
        ok = mssql_is_to_begin(notes, tables->tables[i], &b.begins[i], err);
    ok = ok &&
         ms_query(&self->conn, "SELECT t.object_id, t.begin_version FROM sys.change_tracking_tables AS t",
                  take_begin, &b, err) &&
         put_print(notes, print, err);
    free(b.begins);
    cJSON_Delete(print);
    return ok;
}

static bool find_begins(const struct legacy_notes *notes, const struct table_set *tables, struct error *err)
{
    cJSON *print;
    if (!read_print(notes, &print, err))
        return false;
    const cJSON *begins = cJSON_GetObjectItemCaseSensitive(print, "begins");
    for (uint32_t i = 0; i < tables->count; i++) {
        struct table *t = tables->tables[i];
        const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(begins, t->from));
        if (!text || !position_parse(text, &t->captured_from))
            t->captured_from = (struct position){.kind = POSITION_NONE};
    }
    cJSON_Delete(print);
    return true;
}

/* --- the sweep's look-ups --- */

struct lookup {
    struct sweep_lookup base;
    struct legacy_mssql legacy; /* a connection and a catalog of its own */
};

static bool lookup_find(struct sweep_lookup *base, struct pg_conn *target, const struct table *keys_only,
                        char *const *const *keys, size_t count, struct legacy_rows *out, struct error *err)
{
    struct lookup *self = (struct lookup *)base;
    struct legacy_notes notes = {.config = self->legacy.config, .target = target};
    return mssql_fetch(&self->legacy, &notes, keys_only, keys, count, out, err);
}

static void lookup_cancel(struct sweep_lookup *base)
{
    ms_conn_cancel(&((struct lookup *)base)->legacy.conn);
}

static void lookup_free(struct sweep_lookup *base)
{
    struct lookup *self = (struct lookup *)base;
    ms_conn_close(&self->legacy.conn);
    ms_catalog_free(&self->legacy.catalog);
    free(self);
}

static const struct sweep_lookup_ops lookup_ops = {
    .find = lookup_find, .cancel = lookup_cancel, .free = lookup_free};

static bool open_sweep(const struct config *config, const struct table_set *tables, struct polled_sweep **out,
                       struct error *err)
{
    struct lookup *lookup = mem_alloc(sizeof(*lookup));
    struct legacy_options o = {
        .config = config, .job = "sweep", .connect_timeout_ms = (int)config->connect_timeout_ms};
    lookup->base.ops = &lookup_ops;
    lookup->legacy.config = config;
    if (!mssql_connect(&o, &lookup->legacy.conn, err) ||
        !ms_catalog_read(&lookup->legacy.conn, &lookup->legacy.catalog, err)) {
        lookup_free(&lookup->base);
        return false;
    }
    struct sweep_options s = {
        .config = config, .tables = tables, .lookup = &lookup->base, .binary = true, .scheduled = true};
    return sweep_open(&s, out, err);
}

/* --- the source --- */

static struct polled_time *make_times(const struct config *c, const struct table_set *tables)
{
    struct polled_time *times = mem_alloc((tables->count + (size_t)1) * sizeof(*times));
    for (uint32_t i = 0; i < tables->count; i++) {
        const struct config_table *entry = mssql_table_entry(c, tables->tables[i]);
        if (entry)
            times[i] = (struct polled_time){.updated_at = entry->updated_at,
                                            .soft_delete = entry->soft_delete,
                                            .overlap_us = entry->overlap_ms * 1000};
    }
    return times;
}

static bool open_reader(const struct config *c, const struct table_set *tables, struct polled_reader **out,
                        struct error *err)
{
    struct polled_time *times = make_times(c, tables);
    struct ms_poll_options o = {.conn = {.server = &c->sqlserver,
                                         .pipeline = c->pipeline,
                                         .job = "capture",
                                         .endpoint = "legacy",
                                         .connect_timeout_ms = (int)c->connect_timeout_ms,
                                         .value_limit = c->value_limit},
                                .capture = capture_of(c),
                                .tables = tables,
                                .times = times,
                                .load = sink_rows_load_binary,
                                .load_context = (void *)(uintptr_t)c,
                                .value_limit = c->value_limit};
    bool ok = ms_poll_open(&o, out, err);
    free(times);
    return ok;
}

static bool fits(enum capture_kind capture, struct position start, struct error *err)
{
    static const enum position_kind kinds[] = {[CAPTURE_CHANGE_TRACKING] = POSITION_VERSION,
                                               [CAPTURE_ROWVERSION] = POSITION_ROWVERSION,
                                               [CAPTURE_TIMESTAMP] = POSITION_TIME,
                                               [CAPTURE_SNAPSHOT] = POSITION_POLL};
    return start.kind == kinds[capture] ||
           error_set(err, ERROR_FATAL,
                     "the stored position is not one of this capture - put the old legacy.capture back, or "
                     "`crossfade finish` and start over");
}

bool mssql_poll_stream(const struct legacy_notes *notes, const struct table_set *tables,
                       struct position start, struct source **out, struct error *err)
{
    const struct config *c = notes->config;
    struct polled_options o = {.start = start,
                               .poll_interval_ms = c->stream_poll_interval_ms,
                               .steady = capture_of(c) == CAPTURE_SNAPSHOT};
    if (!fits(capture_of(c), start, err) || !find_begins(notes, tables, err) ||
        !open_reader(c, tables, &o.reader, err))
        return false;
    if (capture_of(c) != CAPTURE_CHANGE_TRACKING && !open_sweep(c, tables, &o.sweep, err)) {
        o.reader->ops->free(o.reader);
        return false;
    }
    return polled_source_open(&o, out, err);
}
