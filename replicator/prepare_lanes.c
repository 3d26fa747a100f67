/* SPDX-License-Identifier: PostgreSQL
 *
 * Which lane carries which table. A lane's progress row says how far *its* tables are, so a table may move to
 * another lane only while all rows stand at one position. The assignment is stored ("pipeline", "lanes":
 * {"public.t": 0, …}) in the transaction that makes the rows; in the reverse direction ("stream:reverse"),
 * where the rows are in another database, before it: they are dealt anew until all is done.
 */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "replicator/prepare.h"

static int lanes_of(const struct table_set *tables)
{
    int most = 0;
    for (uint32_t i = 0; i < tables->count; i++) {
        if (tables->tables[i]->lane > most)
            most = tables->tables[i]->lane;
    }
    return most + 1;
}

static bool rows_agree(const struct store_progress *rows, int count)
{
    for (int i = 1; i < count; i++) {
        if (position_compare(rows[i].position, rows[0].position) != 0)
            return false;
    }
    return true;
}

static const char *lanes_object(const struct prepare *self)
{
    return self->sink ? "stream:reverse" : "pipeline";
}

/* Tables that were dealt before keep their lane; new ones go where the pairing put them, within the lanes
 * there are. */
static bool keep_stored(const struct prepare *self, struct preparation *p, int count, struct error *err)
{
    char *json = NULL;
    if (!store_get(self->notes.target, self->notes.config->pipeline, lanes_object(self), "lanes", &json, err))
        return false;
    cJSON *lanes = json ? cJSON_Parse(json) : NULL;
    free(json);
    for (uint32_t i = 0; i < p->tables.count; i++) {
        struct table *t = p->tables.tables[i];
        const cJSON *lane = cJSON_GetObjectItemCaseSensitive(lanes, t->from);
        t->lane = cJSON_IsNumber(lane) && lane->valueint < count ? lane->valueint : t->lane % count;
    }
    cJSON_Delete(lanes);
    p->lane_count = count;
    return true;
}

static char *lanes_json(const struct table_set *tables)
{
    cJSON *lanes = cJSON_CreateObject();
    for (uint32_t i = 0; i < tables->count; i++)
        cJSON_AddNumberToObject(lanes, tables->tables[i]->from, tables->tables[i]->lane);
    char *json = cJSON_PrintUnformatted(lanes);
    cJSON_Delete(lanes);
    return json;
}

static bool deal_there(const struct prepare *self, struct preparation *p, struct position at,
                       struct error *err)
{
    char *json = lanes_json(&p->tables);
    p->lane_count = lanes_of(&p->tables);
    bool ok = store_put(self->notes.target, self->notes.config->pipeline, self->notes.epoch,
                        lanes_object(self), "lanes", json, err) &&
              self->sink->ops->deal(self->sink, self->notes.epoch, p->lane_count, at, err);
    cJSON_free(json);
    return ok;
}

/* One transaction: assignment, a row for every lane, none beyond. */
static bool deal_anew(const struct prepare *self, struct preparation *p, struct position at,
                      struct error *err)
{
    char position[POSITION_TEXT_SIZE];
    char count[16];
    char epoch[24];
    char *json = lanes_json(&p->tables);
    p->lane_count = lanes_of(&p->tables);
    snprintf(count, sizeof(count), "%d", p->lane_count);
    snprintf(epoch, sizeof(epoch), "%lld", (long long)self->notes.epoch);
    const char *params[] = {self->notes.config->pipeline, count, position_format(at, position), epoch};
    bool ok =
        pg_exec(self->notes.target, "BEGIN", err) &&
        store_put(self->notes.target, self->notes.config->pipeline, self->notes.epoch, "pipeline", "lanes",
                  json, err) &&
        pg_exec_params(self->notes.target,
                       "INSERT INTO crossfade.progress (pipeline, stream, lane, position, epoch)"
                       " SELECT $1, 'forward', n, $3, $4::bigint FROM generate_series(0, $2::integer - 1) n"
                       " ON CONFLICT DO NOTHING",
                       4, params, err) &&
        pg_exec_params(self->notes.target,
                       "DELETE FROM crossfade.progress WHERE pipeline = $1 AND stream = 'forward'"
                       " AND lane >= $2::integer",
                       2, params, err) &&
        pg_exec(self->notes.target, "COMMIT", err);
    if (!ok) {
        struct error ignored;
        (void)!pg_exec(self->notes.target, "ROLLBACK", &ignored);
    }
    cJSON_free(json);
    return ok;
}

static bool read_rows(const struct prepare *self, struct store_progress **rows, int *count, struct error *err)
{
    if (self->sink)
        return self->sink->ops->progress(self->sink, rows, count, err);
    return store_progress_get(self->notes.target, self->notes.config->pipeline, self->stream, rows, count,
                              err);
}

bool prepare_lanes(const struct prepare *self, struct preparation *p, struct error *err)
{
    struct store_progress *rows = NULL;
    struct position start;
    int count = 0;
    if (!read_rows(self, &rows, &count, err))
        return false;
    bool ok =
        store_fingerprint_start(self->notes.target, self->notes.config->pipeline, self->stream, &start, err);
    if (!ok)
        free(rows);
    if (!ok)
        return false;
    if (count > 0 && !rows_agree(rows, count))
        ok = keep_stored(self, p, count, err);
    else if (self->sink)
        ok = deal_there(self, p, count > 0 ? rows[0].position : start, err);
    else
        ok = deal_anew(self, p, count > 0 ? rows[0].position : start, err);
    free(rows);
    return ok;
}
