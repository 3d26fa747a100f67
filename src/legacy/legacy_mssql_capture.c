/* SPDX-License-Identifier: PostgreSQL
 *
 * What a stream from SQL Server stands on: captured tables, a marker table that is captured too, and the
 * fingerprint (rule 5), whose start is the first marker's commit LSN. It is stored after the marker was
 * captured and before any row is copied: transactions before the marker are seen by every later read, those
 * after it come in the stream. A crash before it is stored leaves nothing but a marker row.
 *
 * The fingerprint also names the change table each table was read from last. Where that is gone, capture was
 * switched off and on (hazard 13): the table's history has a hole and the table is copied anew. A second,
 * newer instance beside it is a hand-over.
 */
#include <cjson/cJSON.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "legacy/legacy_mssql.h"
#include "model/capture.h"
#include "mssql/history.h"
#include "mssql/marker.h"
#include "mssql/sql.h"
#include "pgsql/pair_names.h"
#include "state/store.h"

enum {
    CAPTURED_MS = 300000, /* how long a marker, or a new instance, may take to be captured */
    LOOK_MS = 500
};

static const char stream_name[] = "forward";

/* --- findings --- */

static enum capture_kind capture_of_table(const struct config *config, const struct table *t)
{
    for (int i = 0; i < config->table_count; i++) {
        if (pair_name_means(config->tables[i].from, t->from_schema, t->from_name))
            return config->tables[i].capture;
    }
    return config->legacy_capture;
}

static void enable_sql(const struct table *t, struct buffer *sql)
{
    buffer_puts(sql, "EXEC sys.sp_cdc_enable_table @source_schema = ");
    ms_sql_literal(sql, t->from_schema);
    buffer_puts(sql, ", @source_name = ");
    ms_sql_literal(sql, t->from_name);
    buffer_puts(sql, ", @role_name = NULL, @supports_net_changes = 0;");
}

static bool has_large(const struct ms_catalog_table *from)
{
    for (uint16_t i = 0; i < from->column_count; i++) {
        if (from->columns[i].type.type && ms_type_is_large(&from->columns[i].type))
            return true;
    }
    return false;
}

static void judge_capture(const struct table *t, const struct ms_catalog_table *from, struct pairing *out)
{
    struct buffer sql = {0};
    enable_sql(t, &sql);
    if (from->capture_count == 0)
        pairing_add(out, PAIR_FAIL, "not_captured", t->from, buffer_text(&sql),
                    "change data capture is not on for it - its changes would not come");
    for (uint16_t i = 0; i < from->capture_count; i++) {
        if (from->captures[i].denied)
            pairing_add(out, PAIR_WARN, "capture_denied", t->from, NULL,
                        "the lowest LSN of its capture instance is all zeros - the capture job has not come "
                        "to it yet, or the login may not read it: it has to be db_owner, or a member of the "
                        "instance's role");
    }
    if (t->key_count == 0 && has_large(from))
        pairing_add(out, PAIR_FAIL, "no_key_large", t->from, NULL,
                    "no key, and columns that change tables don't bring whole - its changes can't be told "
                    "apart: give it a unique index, or leave it out of `tables`");
    buffer_free(&sql);
}

/* The mask would be copied and compare equal for ever (hazard 52). */
static void judge_masks(const struct config *config, const struct table *t,
                        const struct ms_catalog_table *from, struct pairing *out)
{
    struct buffer names = {0}, sql = {0};
    for (uint16_t i = 0; i < t->column_count; i++) {
        const struct ms_catalog_column *c = ms_catalog_column(from, t->columns[i].source);
        if (c && c->masked)
            buffer_printf(&names, "%s%s", names.length ? ", " : "", c->name);
    }
    buffer_puts(&sql, "GRANT UNMASK TO ");
    ms_sql_ident(&sql, config->sqlserver.user ? config->sqlserver.user : "the login's user");
    buffer_puts(&sql, ";");
    if (names.length)
        pairing_add(out, PAIR_FAIL, "masked", t->from, buffer_text(&sql),
                    "%s: masked, and the login may not see what is behind - the mask itself would be copied, "
                    "it needs UNMASK",
                    buffer_text(&names));
    buffer_free(&names);
    buffer_free(&sql);
}

void mssql_capture_findings(const struct config *config, const struct ms_catalog *catalog,
                            struct pairing *pairing)
{
    enum capture_kind kind = capture_of(config);
    for (uint32_t i = 0; i < pairing->tables.count; i++) {
        struct table *t = pairing->tables.tables[i];
        t->capture = capture_facts(kind)->name;
        if (capture_of_table(config, t) != kind)
            pairing_add(pairing, PAIR_FAIL, "capture_mixed", t->from, NULL,
                        "the tables of a pipeline have to be captured in one and the same way - several in "
                        "one pipeline are not available in this version: give it a pipeline of its own");
        const struct ms_catalog_table *from = ms_catalog_by_id(catalog, (int32_t)t->source_oid);
        if (from && !catalog->database.unmask)
            judge_masks(config, t, from, pairing);
    }
    for (uint32_t i = 0; i < pairing->unfit.count; i++)
        pairing->unfit.tables[i]->capture = capture_facts(kind)->name;
    if (kind != CAPTURE_CDC) {
        mssql_poll_findings(config, catalog, pairing);
        return;
    }
    if (!catalog->database.cdc)
        pairing_add(pairing, PAIR_FAIL, "cdc_disabled", catalog->database.name, "EXEC sys.sp_cdc_enable_db;",
                    "change data capture is not on for the database");
    for (uint32_t i = 0; i < pairing->tables.count; i++) {
        const struct table *t = pairing->tables.tables[i];
        const struct ms_catalog_table *from = ms_catalog_by_id(catalog, (int32_t)t->source_oid);
        if (catalog->database.cdc && from)
            judge_capture(t, from, pairing);
    }
}

/* --- the fingerprint --- */

struct print {
    struct history history;
    cJSON *json; /* as stored */
};

void mssql_add_facts(cJSON *json, const struct history *h)
{
    cJSON_AddStringToObject(json, "database", h->database);
    cJSON_AddStringToObject(json, "server", h->server);
    cJSON_AddStringToObject(json, "database_guid", h->database_guid);
    cJSON_AddStringToObject(json, "recovery_fork", h->recovery_fork);
    cJSON_AddStringToObject(json, "restored", h->restored);
    cJSON_AddStringToObject(json, "created", h->created);
}

static void take(const cJSON *json, const char *name, char *out, size_t size)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name));
    snprintf(out, size, "%s", text ? text : "");
}

/* *found false: none is stored. */
static bool read_print(const struct legacy_notes *notes, struct print *out, bool *found, struct error *err)
{
    char *text;
    *out = (struct print){0};
    if (!store_fingerprint_get(notes->target, notes->config->pipeline, stream_name, "sqlserver", &text, err))
        return false;
    *found = text != NULL;
    if (!text)
        return true;
    out->json = cJSON_Parse(text);
    struct history *h = &out->history;
    take(out->json, "database", h->database, sizeof(h->database));
    take(out->json, "database_guid", h->database_guid, sizeof(h->database_guid));
    take(out->json, "server", h->server, sizeof(h->server));
    take(out->json, "recovery_fork", h->recovery_fork, sizeof(h->recovery_fork));
    take(out->json, "restored", h->restored, sizeof(h->restored));
    take(out->json, "created", h->created, sizeof(h->created));
    bool ok = cJSON_IsObject(out->json);
    if (!ok)
        error_set(err, ERROR_FATAL, "the stored fingerprint of the source can't be understood: %.300s", text);
    free(text);
    return ok;
}

static bool put_print(const struct legacy_notes *notes, const cJSON *json, struct error *err)
{
    char *text = cJSON_PrintUnformatted(json);
    bool ok =
        store_fingerprint_put(notes->target, notes->config->pipeline, notes->epoch, stream_name, text, err);
    cJSON_free(text);
    return ok;
}

bool mssql_history(struct legacy_mssql *self, const struct legacy_notes *notes, bool *first,
                   struct error *err)
{
    struct print stored;
    struct history now;
    bool found = false;
    bool ok = read_print(notes, &stored, &found, err);
    *first = !found;
    ok = ok &&
         (!found || (history_read(&self->conn, &now, err) && history_compare(&stored.history, &now, err)));
    cJSON_Delete(stored.json);
    return ok;
}

/* --- instances --- */

/* The hindmost lane; where the stream goes on. */
static bool read_position(const struct legacy_notes *notes, struct position *out, struct error *err)
{
    struct store_progress *rows;
    int count;
    if (!store_progress_get(notes->target, notes->config->pipeline, stream_name, &rows, &count, err))
        return false;
    *out = (struct position){.kind = POSITION_NONE};
    for (int i = 0; i < count; i++) {
        if (i == 0 || position_compare(rows[i].position, *out) < 0)
            *out = rows[i].position;
    }
    free(rows);
    return true;
}

static bool still_there(const struct ms_catalog_table *from, const char *instance)
{
    long id = strtol(instance, NULL, 10);
    for (uint16_t i = 0; from && i < from->capture_count; i++) {
        if (from->captures[i].object_id == id)
            return true;
    }
    return false;
}

/* True if it is news. */
static bool put_text(cJSON *object, const char *name, const char *text)
{
    const char *was = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    if (was && strcmp(was, text) == 0)
        return false;
    cJSON_DeleteItemFromObjectCaseSensitive(object, name);
    cJSON_AddStringToObject(object, name, text);
    return true;
}

static cJSON *member(cJSON *json, const char *name)
{
    cJSON *found = cJSON_GetObjectItemCaseSensitive(json, name);
    return found ? found : cJSON_AddObjectToObject(json, name);
}

static bool check_instance(const struct legacy_notes *notes, const struct table *t,
                           const struct ms_catalog_table *from, struct position at, cJSON *instances,
                           bool *changed, struct error *err)
{
    const char *was = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(instances, t->from));
    char *now = from ? history_instance(from, at) : NULL;
    bool ok = true;
    /* One that took over and reaches back to where we stand has all that is needed (hazard 12). */
    if (was && !now && !still_there(from, was))
        ok = legacy_note_hole(notes, t, "change data capture was switched off for it", err);
    *changed |= now && put_text(instances, t->from, now);
    free(now);
    return ok;
}

static bool check_instances(struct legacy_mssql *self, const struct legacy_notes *notes,
                            const struct table_set *tables, struct position at, cJSON *json, bool *changed,
                            struct error *err)
{
    cJSON *instances = member(json, "instances");
    bool ok = true;
    for (uint32_t i = 0; i < tables->count && ok; i++) {
        const struct table *t = tables->tables[i];
        ok = check_instance(notes, t, ms_catalog_by_id(&self->catalog, (int32_t)t->source_oid), at, instances,
                            changed, err);
    }
    return ok;
}

/* --- the start --- */

/* The marker table, made where we may. */
static bool prepare_marker(struct legacy_mssql *self, const struct legacy_notes *notes, struct error *err)
{
    struct marker_state state;
    if (!marker_look(&self->conn, &state, err))
        return false;
    if (!state.cdc)
        return error_set(err, ERROR_REFUSED,
                         "legacy: change data capture is not on for the database - let a sysadmin run EXEC "
                         "sys.sp_cdc_enable_db there");
    if (state.table && state.captured)
        return true;
    log_info(notes->log, "making the captured table crossfade.marker on the legacy side");
    return marker_install(&self->conn, true, false, err) && marker_look(&self->conn, &state, err) &&
           ((state.table && state.captured) ||
            error_set(err, ERROR_REFUSED,
                      "legacy: table crossfade.marker is not captured - let a db_owner run what `crossfade "
                      "install --print` prints"));
}

bool mssql_mark(struct legacy_mssql *self, const struct legacy_notes *notes, struct position *out,
                struct error *err)
{
    char token[MARKER_TOKEN_SIZE];
    return marker_write(&self->conn, notes->config->pipeline, token, err) &&
           marker_wait(&self->conn, notes->config->pipeline, token, clock_ms() + CAPTURED_MS, notes->cancel,
                       out, err);
}

static bool begin(struct legacy_mssql *self, const struct legacy_notes *notes, const struct table_set *tables,
                  struct error *err)
{
    struct position start;
    struct history now;
    char text[POSITION_TEXT_SIZE];
    bool changed = false;
    if (!prepare_marker(self, notes, err))
        return false;
    log_info(notes->log, "waiting for a marker to be captured on the legacy side");
    if (!mssql_mark(self, notes, &start, err) || !history_read(&self->conn, &now, err))
        return false;
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "engine", "sqlserver");
    cJSON_AddStringToObject(json, "start", position_format(start, text));
    mssql_add_facts(json, &now);
    bool ok = check_instances(self, notes, tables, start, json, &changed, err) && put_print(notes, json, err);
    cJSON_Delete(json);
    return ok;
}

/* Later starts: tables that came or were captured anew. */
static bool go_on(struct legacy_mssql *self, const struct legacy_notes *notes, const struct table_set *tables,
                  struct error *err)
{
    struct print stored;
    struct position at;
    bool found = false, changed = false;
    bool ok = read_print(notes, &stored, &found, err) &&
              (found || error_set(err, ERROR_RETRY, "the fingerprint of the source was taken away")) &&
              (self->catalog.database.cdc ||
               error_set(err, ERROR_FATAL,
                         "change data capture of database %s is switched off, its history is gone - "
                         "sys.sp_cdc_enable_db, `crossfade install`, sys.sp_cdc_enable_table, then crossfade "
                         "recopy of each table",
                         self->catalog.database.name)) &&
              prepare_marker(self, notes, err) && read_position(notes, &at, err) &&
              check_instances(self, notes, tables, at, stored.json, &changed, err) &&
              (!changed || put_print(notes, stored.json, err));
    cJSON_Delete(stored.json);
    return ok;
}

bool mssql_capture(struct legacy_mssql *self, const struct legacy_notes *notes,
                   const struct table_set *tables, bool first, struct error *err)
{
    return first ? begin(self, notes, tables, err) : go_on(self, notes, tables, err);
}

/* --- tables that are not streaming yet --- */

/* The instance that a copy begun now goes with: the newest that may be read. */
static const struct ms_capture *newest(const struct ms_catalog_table *from)
{
    const struct ms_capture *found = NULL;
    for (uint16_t i = 0; from && i < from->capture_count; i++) {
        if (!from->captures[i].denied && !from->captures[i].drop_pending)
            found = &from->captures[i];
    }
    return found;
}

static bool all_begun(const struct legacy_mssql *self, const struct table_set *tables)
{
    for (uint32_t i = 0; i < tables->count; i++) {
        const struct table *t = tables->tables[i];
        const struct ms_catalog_table *from = ms_catalog_by_id(&self->catalog, (int32_t)t->source_oid);
        if (t->state == TABLE_INIT && from && from->capture_count > 0 && !newest(from))
            return false;
    }
    return true;
}

/* A new instance has no lowest LSN until the capture job has come to it. */
static bool wait_for_begins(struct legacy_mssql *self, const struct legacy_notes *notes,
                            const struct table_set *tables, struct error *err)
{
    int64_t deadline = clock_ms() + CAPTURED_MS;
    while (!all_begun(self, tables)) {
        struct timespec pause = {.tv_nsec = LOOK_MS * 1000000};
        if (atomic_load(notes->cancel))
            return error_set(err, ERROR_CANCELED, "stopped");
        if (clock_ms() > deadline)
            return error_set(err, ERROR_RETRY,
                             "legacy: a capture instance has no lowest LSN - does the capture job run, and "
                             "may the login read schema cdc?");
        nanosleep(&pause, NULL);
        ms_catalog_free(&self->catalog);
        if (!ms_catalog_read(&self->conn, &self->catalog, err))
            return false;
    }
    return true;
}

/* Is its copy still to begin? One that is copied anew as asked has nothing of the old copy left. */
bool mssql_is_to_begin(const struct legacy_notes *notes, const struct table *t, bool *out, struct error *err)
{
    const char *params[] = {notes->config->pipeline, t->from};
    char answer[8];
    *out = t->state == TABLE_INIT;
    if (t->state != TABLE_BACKFILL)
        return true;
    if (!pg_query_one(
            notes->target,
            "SELECT NOT EXISTS (SELECT FROM crossfade.chunk WHERE pipeline = $1 AND table_name = $2)", 2,
            params, answer, sizeof(answer), NULL, err))
        return false;
    *out = *answer == 't';
    return true;
}

/* Enabling a table for capture takes its schema lock, so whoever had written to it before has ended: what the
 * instance does not have, the copy sees. Where it begins is stored; clean-up moves that later. */
bool mssql_begin_copies(struct legacy_mssql *self, const struct legacy_notes *notes,
                        const struct table_set *tables, struct error *err)
{
    struct print stored;
    bool found = false, changed = false;
    if (!wait_for_begins(self, notes, tables, err) || !read_print(notes, &stored, &found, err))
        return false;
    bool ok = true;
    for (uint32_t i = 0; i < tables->count && found && ok; i++) {
        const struct table *t = tables->tables[i];
        const struct ms_capture *c = newest(ms_catalog_by_id(&self->catalog, (int32_t)t->source_oid));
        bool begins = false;
        char start[POSITION_TEXT_SIZE];
        struct buffer name = {0};
        ok = mssql_is_to_begin(notes, t, &begins, err);
        if (!c || !begins)
            continue;
        buffer_printf(&name, "%d %s", c->object_id, c->created);
        changed |= put_text(member(stored.json, "instances"), t->from, buffer_text(&name));
        changed |= put_text(member(stored.json, "begins"), t->from, position_format(c->start, start));
        buffer_free(&name);
    }
    ok = ok && (!changed || put_print(notes, stored.json, err));
    cJSON_Delete(stored.json);
    return ok;
}

bool mssql_find_begins(const struct legacy_notes *notes, const struct table_set *tables, struct error *err)
{
    struct print stored;
    bool found = false;
    if (!read_print(notes, &stored, &found, err))
        return false;
    const cJSON *begins = cJSON_GetObjectItemCaseSensitive(stored.json, "begins");
    for (uint32_t i = 0; i < tables->count; i++) {
        struct table *t = tables->tables[i];
        const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(begins, t->from));
        bool copying = t->state == TABLE_INIT || t->state == TABLE_BACKFILL || t->state == TABLE_CATCHUP;
        t->captured_from = (struct position){.kind = POSITION_NONE};
        if (copying && text && !position_parse(text, &t->captured_from))
            t->captured_from = (struct position){.kind = POSITION_NONE};
    }
    cJSON_Delete(stored.json);
    return true;
}
