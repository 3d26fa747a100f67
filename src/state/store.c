/* SPDX-License-Identifier: PostgreSQL
 *
 * Plain statements over crossfade.state and crossfade.progress. Writing goes through crossfade.state_put,
 * which is fenced; nothing here decides.
 */
#include "state/store.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/mem.h"

bool store_put(struct pg_conn *target, const char *pipeline, int64_t epoch, const char *object,
               const char *key, const char *json, struct error *err)
{
    char number[24];
    snprintf(number, sizeof(number), "%" PRId64, epoch);
    const char *params[] = {pipeline, number, object, key, json};
    if (!pg_exec_params(target, "SELECT crossfade.state_put($1, $2, $3, $4, $5)", 5, params, err))
        return error_prefix(err, "storing %s of %s", key, object);
    return true;
}

bool store_get(struct pg_conn *target, const char *pipeline, const char *object, const char *key, char **json,
               struct error *err)
{
    const char *params[] = {pipeline, object, key};
    *json = NULL;
    PGresult *r =
        pg_query(target, "SELECT value FROM crossfade.state WHERE pipeline = $1 AND object = $2 AND key = $3",
                 3, params, err);
    if (!r)
        return error_prefix(err, "reading %s of %s", key, object);
    if (PQntuples(r) == 1)
        *json = mem_strdup(PQgetvalue(r, 0, 0));
    PQclear(r);
    return true;
}

bool store_table_state_put(struct pg_conn *target, const char *pipeline, int64_t epoch,
                           const struct table *table, const char *reason, struct error *err)
{
    struct buffer object = {0};
    buffer_printf(&object, "table:%s", table->from);
    cJSON *value = cJSON_CreateObject();
    cJSON_AddStringToObject(value, "state", table_state_name(table->state));
    if (reason && *reason)
        cJSON_AddStringToObject(value, "reason", reason);
    char *json = cJSON_PrintUnformatted(value);
    bool ok = store_put(target, pipeline, epoch, buffer_text(&object), "state", json, err);
    cJSON_free(json);
    cJSON_Delete(value);
    buffer_free(&object);
    return ok;
}

bool store_table_states_get(struct pg_conn *target, const char *pipeline, struct table_set *tables,
                            char **reasons, struct error *err)
{
    const char *params[] = {pipeline};
    PGresult *r =
        pg_query(target,
                 "SELECT substr(object, 7), value ->> 'state', value ->> 'reason' FROM crossfade.state"
                 " WHERE pipeline = $1 AND key = 'state' AND left(object, 6) = 'table:'",
                 1, params, err);
    if (!r)
        return error_prefix(err, "reading the tables' states");
    bool ok = true;
    for (int i = 0; i < PQntuples(r) && ok; i++) {
        struct table *table = table_set_named(tables, PQgetvalue(r, i, 0));
        if (!table)
            continue; /* no longer in the config */
        ok = table_state_parse(PQgetvalue(r, i, 1), &table->state);
        if (!ok)
            error_set(err, ERROR_FATAL,
                      "crossfade.state holds \"%s\" as the state of %s, which this program does not know",
                      PQgetvalue(r, i, 1), table->from);
        else if (reasons && !PQgetisnull(r, i, 2)) {
            free(reasons[table->id]);
            reasons[table->id] = mem_strdup(PQgetvalue(r, i, 2));
        }
    }
    PQclear(r);
    return ok;
}

static bool progress_row(const PGresult *r, int row, struct store_progress *out, struct error *err)
{
    out->lane = atoi(PQgetvalue(r, row, 0));
    out->epoch = strtoll(PQgetvalue(r, row, 2), NULL, 10);
    out->source_commit_time_us = strtoll(PQgetvalue(r, row, 3), NULL, 10);
    if (position_parse(PQgetvalue(r, row, 1), &out->position))
        return true;
    return error_set(err, ERROR_FATAL, "crossfade.progress holds \"%s\" for lane %d, which is no position",
                     PQgetvalue(r, row, 1), out->lane);
}

bool store_progress_get(struct pg_conn *target, const char *pipeline, const char *stream,
                        struct store_progress **out, int *count, struct error *err)
{
    const char *params[] = {pipeline, stream};
    *out = NULL;
    *count = 0;
    PGresult *r = pg_query(target,
                           "SELECT lane, position, epoch,"
                           " coalesce((extract(epoch FROM source_commit_time) * 1000000)::int8, 0)"
                           " FROM crossfade.progress WHERE pipeline = $1 AND stream = $2 ORDER BY lane",
                           2, params, err);
    if (!r)
        return error_prefix(err, "reading the progress of stream %s", stream);
    int n = PQntuples(r);
    struct store_progress *rows = mem_alloc(sizeof(*rows) * (size_t)(n + 1));
    bool ok = true;
    for (int i = 0; i < n && ok; i++)
        ok = progress_row(r, i, &rows[i], err);
    PQclear(r);
    if (!ok) {
        free(rows);
        return false;
    }
    *out = rows;
    *count = n;
    return true;
}

static void stream_object(const char *stream, char *out, size_t size)
{
    snprintf(out, size, "stream:%s", stream);
}

bool store_fingerprint_put(struct pg_conn *target, const char *pipeline, int64_t epoch, const char *stream,
                           const char *json, struct error *err)
{
    char object[64];
    stream_object(stream, object, sizeof(object));
    return store_put(target, pipeline, epoch, object, "fingerprint", json, err);
}

bool store_fingerprint_get(struct pg_conn *target, const char *pipeline, const char *stream,
                           const char *engine, char **json, struct error *err)
{
    char object[64];
    stream_object(stream, object, sizeof(object));
    if (!store_get(target, pipeline, object, "fingerprint", json, err))
        return false;
    if (!*json || !engine)
        return true;
    cJSON *value = cJSON_Parse(*json);
    const char *named = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(value, "engine"));
    const char *stored = named ? named : "postgresql";
    bool ok = strcmp(stored, engine) == 0;
    if (!ok) {
        error_set(err, ERROR_FATAL,
                  "pipeline \"%s\" began with a legacy of kind \"%.40s\", the config says \"%s\" - put the "
                  "old one back, or `crossfade finish` and start over",
                  pipeline, stored, engine);
        free(*json);
        *json = NULL;
    }
    cJSON_Delete(value);
    return ok;
}

bool store_fingerprint_start(struct pg_conn *target, const char *pipeline, const char *stream,
                             struct position *out, struct error *err)
{
    char *json;
    *out = (struct position){.kind = POSITION_NONE};
    if (!store_fingerprint_get(target, pipeline, stream, NULL, &json, err))
        return false;
    if (!json)
        return true;
    cJSON *value = cJSON_Parse(json);
    const cJSON *start = cJSON_GetObjectItemCaseSensitive(value, "start");
    if (!start)
        start = cJSON_GetObjectItemCaseSensitive(value, "slot_start");
    const char *text = cJSON_GetStringValue(start);
    bool ok = text && position_parse(text, out);
    if (!ok)
        error_set(err, ERROR_FATAL, "the stored fingerprint of the source can't be understood: %.300s", json);
    cJSON_Delete(value);
    free(json);
    return ok;
}
