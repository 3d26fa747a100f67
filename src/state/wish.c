/* SPDX-License-Identifier: PostgreSQL */
#include "state/wish.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/mem.h"

bool wish_read(struct pg_conn *target, const char *pipeline, struct wish_list *out, struct error *err)
{
    const char *params[] = {pipeline};
    *out = (struct wish_list){0};
    PGresult *r = pg_query(target,
                           "SELECT object, key, value, who, at FROM crossfade.wish WHERE pipeline = $1"
                           " ORDER BY at, object, key",
                           1, params, err);
    if (!r)
        return error_prefix(err, "reading the operator's wishes");
    out->count = PQntuples(r);
    out->wishes = mem_alloc(sizeof(*out->wishes) * (size_t)(out->count + 1));
    for (int i = 0; i < out->count; i++)
        out->wishes[i] = (struct wish){
            .object = mem_strdup(PQgetvalue(r, i, 0)),
            .key = mem_strdup(PQgetvalue(r, i, 1)),
            .value = mem_strdup(PQgetvalue(r, i, 2)),
            .who = mem_strdup(PQgetvalue(r, i, 3)),
            .at = mem_strdup(PQgetvalue(r, i, 4)),
        };
    PQclear(r);
    return true;
}

void wish_list_free(struct wish_list *self)
{
    for (int i = 0; i < self->count; i++) {
        free(self->wishes[i].object);
        free(self->wishes[i].key);
        free(self->wishes[i].value);
        free(self->wishes[i].who);
        free(self->wishes[i].at);
    }
    free(self->wishes);
    *self = (struct wish_list){0};
}

const struct wish *wish_find(const struct wish_list *self, const char *object, const char *key)
{
    for (int i = 0; i < self->count; i++) {
        if (strcmp(self->wishes[i].object, object) == 0 && strcmp(self->wishes[i].key, key) == 0)
            return &self->wishes[i];
    }
    return NULL;
}

bool wish_done(struct pg_conn *target, const char *pipeline, int64_t epoch, const struct wish *wish,
               struct error *err)
{
    char number[24];
    snprintf(number, sizeof(number), "%" PRId64, epoch);
    const char *params[] = {pipeline, wish->object, wish->key, wish->at, number};
    /* Asked for by the DELETE, so that it is not left out; it raises before any row is touched. */
    if (!pg_exec_params(target,
                        "WITH fenced AS MATERIALIZED (SELECT crossfade.fence($1, $5::int8))"
                        " DELETE FROM crossfade.wish WHERE pipeline = $1 AND object = $2 AND key = $3"
                        " AND at = $4::timestamptz AND EXISTS (SELECT FROM fenced)",
                        5, params, err))
        return error_prefix(err, "deleting wish %s of %s", wish->key, wish->object);
    return true;
}

bool wish_put(struct pg_conn *target, const char *pipeline, const char *object, const char *key,
              const char *json, struct error *err)
{
    const char *params[] = {pipeline, object, key, json};
    if (!pg_exec_params(target, "SELECT crossfade.wish_put($1, $2, $3, $4::jsonb)", 4, params, err))
        return error_prefix(err, "storing wish %s of %s", key, object);
    return true;
}

bool wish_is_true(const struct wish_list *self, const char *kind, const char *name, const char *key)
{
    struct buffer object = {0};
    buffer_puts(&object, kind);
    if (name) {
        buffer_putc(&object, ':');
        buffer_puts(&object, name);
    }
    const struct wish *wish = wish_find(self, buffer_text(&object), key);
    buffer_free(&object);
    return wish && strcmp(wish->value, "true") == 0;
}

bool wish_paused(const struct wish_list *self, const char *group, const char *from)
{
    return wish_is_true(self, "pipeline", NULL, "paused") ||
           (group && wish_is_true(self, "group", group, "paused")) ||
           wish_is_true(self, "table", from, "paused");
}

static bool one_id(const cJSON *item, int64_t *out)
{
    char *end;
    if (cJSON_IsNumber(item)) {
        *out = (int64_t)item->valuedouble;
        return item->valuedouble >= 1 && item->valuedouble < 9e15;
    }
    if (!cJSON_IsString(item) || item->valuestring[0] < '1' || item->valuestring[0] > '9')
        return false;
    errno = 0;
    *out = strtoll(item->valuestring, &end, 10);
    return errno == 0 && *end == '\0';
}

int wish_ids(const struct wish *wish, int64_t **ids)
{
    cJSON *list = cJSON_Parse(wish->value);
    int count = 0;
    *ids = mem_alloc(sizeof(**ids) * (size_t)(cJSON_GetArraySize(list) + 1));
    for (const cJSON *item = cJSON_IsArray(list) ? list->child : NULL; item; item = item->next) {
        if (one_id(item, &(*ids)[count]))
            count++;
    }
    cJSON_Delete(list);
    return count;
}
