/* SPDX-License-Identifier: PostgreSQL */
#include "legacy/legacy_pgsql_fingerprint.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "state/store.h"

/* The timeline that WAL is written on now: the control file's lags behind after a promotion. Simple protocol,
 * no parameters, so that it works over a replication session too. */
static const char source_sql[] =
    "SELECT system_identifier, pg_catalog.current_database(),"
    " CASE WHEN pg_catalog.pg_is_in_recovery() THEN"
    "  (SELECT lpad(to_hex(timeline_id), 8, '0') FROM pg_catalog.pg_control_checkpoint())"
    " ELSE pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8) END"
    " FROM pg_catalog.pg_control_system()";

bool pgsql_fingerprint_read(struct pg_conn *source, struct pgsql_fingerprint *out, struct error *err)
{
    *out = (struct pgsql_fingerprint){0};
    PGresult *r = PQexec(source->pg, source_sql);
    bool ok = PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) == 1;
    if (ok) {
        snprintf(out->system_id, sizeof(out->system_id), "%s", PQgetvalue(r, 0, 0));
        snprintf(out->database, sizeof(out->database), "%s", PQgetvalue(r, 0, 1));
        out->timeline = (unsigned)strtoul(PQgetvalue(r, 0, 2), NULL, 16);
    } else {
        (void)pg_error_from(err, source, r);
        (void)error_prefix(err, "reading the server's identity");
    }
    PQclear(r);
    return ok;
}

bool pgsql_fingerprint_put(struct pg_conn *target, const char *pipeline, int64_t epoch, const char *stream,
                           const struct pgsql_fingerprint *fp, struct error *err)
{
    char start[POSITION_TEXT_SIZE];
    cJSON *value = cJSON_CreateObject();
    cJSON_AddStringToObject(value, "system_id", fp->system_id);
    cJSON_AddStringToObject(value, "database", fp->database);
    cJSON_AddNumberToObject(value, "timeline", fp->timeline);
    cJSON_AddStringToObject(value, "slot", fp->slot);
    cJSON_AddStringToObject(value, "publication", fp->publication);
    cJSON_AddStringToObject(value, "slot_start", position_format(fp->slot_start, start));
    char *json = cJSON_PrintUnformatted(value);
    bool ok = store_fingerprint_put(target, pipeline, epoch, stream, json, err);
    cJSON_free(json);
    cJSON_Delete(value);
    return ok;
}

static void take_text(const cJSON *json, const char *key, char *out, size_t size)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, key));
    snprintf(out, size, "%s", text ? text : "");
}

static bool parse(const char *json, struct pgsql_fingerprint *out, struct error *err)
{
    char start[POSITION_TEXT_SIZE];
    cJSON *value = cJSON_Parse(json);
    const cJSON *timeline = cJSON_GetObjectItemCaseSensitive(value, "timeline");
    take_text(value, "system_id", out->system_id, sizeof(out->system_id));
    take_text(value, "database", out->database, sizeof(out->database));
    take_text(value, "slot", out->slot, sizeof(out->slot));
    take_text(value, "publication", out->publication, sizeof(out->publication));
    take_text(value, "slot_start", start, sizeof(start));
    bool ok = cJSON_IsNumber(timeline) && timeline->valuedouble >= 1 && timeline->valuedouble <= UINT32_MAX &&
              position_parse(start, &out->slot_start);
    if (ok)
        out->timeline = (unsigned)timeline->valuedouble;
    else
        error_set(err, ERROR_FATAL, "the stored fingerprint of the source can't be understood: %.300s", json);
    cJSON_Delete(value);
    return ok;
}

bool pgsql_fingerprint_get(struct pg_conn *target, const char *pipeline, const char *stream,
                           struct pgsql_fingerprint *out, bool *found, struct error *err)
{
    char *json;
    *out = (struct pgsql_fingerprint){0};
    if (!store_fingerprint_get(target, pipeline, stream, "postgresql", &json, err))
        return false;
    *found = json != NULL;
    bool ok = !json || parse(json, out, err);
    free(json);
    return ok;
}

static bool same(const char *what, const char *stored, const char *now, const char *repair, struct error *err)
{
    if (!*stored || !*now || strcmp(stored, now) == 0)
        return true;
    return error_set(err, ERROR_FATAL, "the source's %s is \"%s\", this pipeline began with \"%s\" - %s",
                     what, now, stored, repair);
}

bool pgsql_fingerprint_compare(const struct pgsql_fingerprint *stored, const struct pgsql_fingerprint *now,
                               struct error *err)
{
    static const char other_server[] = "it is another server, or it was made anew: changes since are not in "
                                       "our slot - connect to the right one, or "
                                       "`crossfade finish` and start over";
    static const char other_name[] = "put the old name back, or `crossfade finish` and start over";
    char was[POSITION_TEXT_SIZE], is[POSITION_TEXT_SIZE];
    if (!same("system identifier", stored->system_id, now->system_id, other_server, err) ||
        !same("database", stored->database, now->database, other_server, err) ||
        !same("slot", stored->slot, now->slot, other_name, err) ||
        !same("publication", stored->publication, now->publication, other_name, err))
        return false;
    if (now->timeline && now->timeline < stored->timeline)
        return error_set(
            err, ERROR_FATAL,
            "the source is on timeline %u, this pipeline has read timeline %u - it was restored from before "
            "what we have applied - `crossfade finish` and start over",
            now->timeline, stored->timeline);
    if (stored->slot_start.kind != POSITION_NONE && now->slot_start.kind != POSITION_NONE &&
        position_compare(stored->slot_start, now->slot_start) != 0)
        return error_set(
            err, ERROR_FATAL,
            "slot \"%s\" began at %s, the one this pipeline reads began at %s - it was dropped and made "
            "again, changes in between are lost - `crossfade recopy` every table",
            now->slot, position_format(now->slot_start, is), position_format(stored->slot_start, was));
    return true;
}

bool pgsql_fingerprint_timeline_ok(const char *history, unsigned stored, struct position at,
                                   struct error *err)
{
    char text[POSITION_TEXT_SIZE];
    for (const char *line = history; line && *line;
         line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
        unsigned timeline, high, low;
        /* "1\t0/3000000\tno recovery target specified"; empty lines and # comments don't match */
        if (sscanf(line, "%u %X/%X", &timeline, &high, &low) != 3 || timeline != stored)
            continue;
        struct position left = position_lsn((uint64_t)high << 32 | low);
        if (position_compare(left, at) >= 0)
            return true;
        char left_text[POSITION_TEXT_SIZE];
        return error_set(
            err, ERROR_FATAL,
            "the source was failed over at %s, which is before %s where this pipeline stands - what was "
            "applied after it no longer exists there - `crossfade recopy` every table",
            position_format(left, left_text), position_format(at, text));
    }
    return error_set(err, ERROR_FATAL,
                     "the source's history does not contain timeline %u, where this pipeline stands at %s - "
                     "`crossfade recopy` every table",
                     stored, position_format(at, text));
}

bool pgsql_fingerprint_check_timeline(struct pg_conn *walsender, const struct pgsql_fingerprint *stored,
                                      const struct pgsql_fingerprint *now, struct position at,
                                      struct error *err)
{
    char sql[48];
    if (now->timeline == stored->timeline)
        return true;
    snprintf(sql, sizeof(sql), "TIMELINE_HISTORY %u", now->timeline);
    PGresult *r = PQexec(walsender->pg, sql);
    bool ok = PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) == 1 && PQnfields(r) >= 2;
    if (!ok) {
        (void)pg_error_from(err, walsender, r);
        (void)error_prefix(err, "reading the history of timeline %u", now->timeline);
    } else {
        ok = pgsql_fingerprint_timeline_ok(PQgetvalue(r, 0, 1), stored->timeline, at, err);
    }
    PQclear(r);
    return ok;
}
