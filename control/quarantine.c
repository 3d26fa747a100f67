/* SPDX-License-Identifier: PostgreSQL
 *
 * list and show read crossfade.quarantine; retry and skip are wishes that the replicator does, since only it
 * may write to the tables.
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "control/command.h"
#include "legacy/legacy_sink.h"
#include "model/parked.h"
#include "state/wish.h"

static const char *const columns[] = {"id", "table", "key", "op", "position", "sqlstate", "message", "at"};
enum { COLUMNS = sizeof(columns) / sizeof(columns[0]) };
#define COLUMN_SQL "id, table_name, key_text, op, position, sqlstate, message, at"

static cJSON *fields_json(const char *const fields[COLUMNS])
{
    cJSON *out = cJSON_CreateObject();
    for (int i = 0; i < COLUMNS; i++)
        cJSON_AddStringToObject(out, columns[i], fields[i]);
    return out;
}

static void row_fields(const PGresult *r, int row, const char *fields[COLUMNS])
{
    for (int i = 0; i < COLUMNS; i++)
        fields[i] = PQgetvalue(r, row, i);
}

static cJSON *row_json(const PGresult *r, int row)
{
    const char *fields[COLUMNS];
    row_fields(r, row, fields);
    return fields_json(fields);
}

static void print_json(cJSON *json, FILE *out)
{
    char *text = cJSON_Print(json);
    fprintf(out, "%s\n", text);
    cJSON_free(text);
}

struct listing {
    const struct context *context;
    cJSON *list;
    int count;
};

static void list_row(void *context, const char *const f[COLUMNS])
{
    struct listing *l = context;
    l->count++;
    if (l->context->options.json)
        cJSON_AddItemToArray(l->list, fields_json(f));
    else
        fprintf(l->context->out, "%s  %s %s %s  %s %s\n", f[0], f[1], f[3], f[2], f[5],
                *f[5] ? f[6] : "waits for an earlier row");
}

static bool list_target(struct listing *l, struct pg_conn *target, struct error *err)
{
    const char *params[] = {l->context->config->pipeline};
    PGresult *r =
        pg_query(target, "SELECT " COLUMN_SQL " FROM crossfade.quarantine WHERE pipeline = $1 ORDER BY id", 1,
                 params, err);
    for (int i = 0; r && i < PQntuples(r); i++) {
        const char *fields[COLUMNS];
        row_fields(r, i, fields);
        list_row(l, fields);
    }
    PQclear(r);
    return r != NULL;
}

/* In the reverse direction they are on the legacy side. */
static bool each_back(const struct config *config, legacy_sink_row *row, void *context, struct error *err)
{
    struct legacy_options o = {
        .config = config, .job = "control", .connect_timeout_ms = (int)config->connect_timeout_ms};
    struct legacy_sink *sink = NULL;
    bool ok = legacy_sink_open(&o, &sink, err) && sink->ops->quarantine(sink, row, context, err);
    legacy_sink_close(sink);
    return ok;
}

static int list(const struct context *context, struct pg_conn *target)
{
    struct error err = {0};
    struct listing l = {.context = context, .list = cJSON_CreateArray()};
    bool ok = config_is_reverse(context->config) ? each_back(context->config, list_row, &l, &err)
                                                 : list_target(&l, target, &err);
    if (ok && context->options.json)
        print_json(l.list, context->out);
    else if (ok && l.count == 0)
        fputs("nothing in quarantine\n", context->out);
    cJSON_Delete(l.list);
    return ok ? EXIT_GOOD : command_fail(&err);
}

/* A value for people: text as it is, binary as the target reads it where it knows the type's number, else
 * hex. */
static void put_value(struct pg_conn *target, const struct type *type, const struct value *v,
                      struct buffer *out)
{
    const char *data = v->data;
    int length = (int)v->length, binary = 1;
    Oid oid = type->oid;
    if (v->kind == VALUE_TEXT) {
        buffer_put(out, v->data, v->length);
        return;
    }
    PGresult *r = NULL;
    if (type->oid < 16384) /* types that every server has alike */
        r = PQexecParams(target->pg, "SELECT pg_catalog.format('%s', $1)", 1, &oid, &data, &length, &binary,
                         0);
    if (PQresultStatus(r) == PGRES_TUPLES_OK) {
        buffer_puts(out, PQgetvalue(r, 0, 0));
    } else {
        buffer_puts(out, "\\x");
        for (uint32_t i = 0; i < v->length; i++)
            buffer_printf(out, "%02x", (unsigned char)v->data[i]);
    }
    PQclear(r);
}

static cJSON *values_json(struct pg_conn *target, const struct table *table, const struct value *row)
{
    cJSON *out = cJSON_CreateObject();
    for (uint16_t i = 0; row && i < table->column_count; i++) {
        struct buffer text = {0};
        if (row[i].kind == VALUE_NULL)
            cJSON_AddNullToObject(out, table->columns[i].source);
        else if (row[i].kind != VALUE_ABSENT) {
            put_value(target, &table->columns[i].source_type, &row[i], &text);
            cJSON_AddStringToObject(out, table->columns[i].source, buffer_text(&text));
        }
        buffer_free(&text);
    }
    return out;
}

/* Adds "old" and "new" to the row. */
static bool add_change(struct pg_conn *target, const PGresult *r, cJSON *json, struct error *err)
{
    struct arena *arena = arena_new();
    struct table table = {.from = PQgetvalue(r, 0, 1)};
    struct change change;
    struct transaction transaction;
    size_t length;
    unsigned char *bytes = PQunescapeBytea((const unsigned char *)PQgetvalue(r, 0, COLUMNS), &length);
    struct slice data = {(const char *)bytes, length};
    bool ok = bytes && parked_columns(data, arena, &table, err) &&
              parked_decode(data, &table, arena, &change, &transaction, err);
    if (ok) {
        cJSON_AddItemToObject(json, "old",
                              change.old ? values_json(target, &table, change.old) : cJSON_CreateNull());
        cJSON_AddItemToObject(json, "new",
                              change.row ? values_json(target, &table, change.row) : cJSON_CreateNull());
    }
    PQfreemem(bytes);
    arena_free(arena);
    return ok;
}

static void print_values(const cJSON *json, const char *name, FILE *out)
{
    const cJSON *row = cJSON_GetObjectItemCaseSensitive(json, name);
    if (cJSON_IsObject(row))
        fprintf(out, "%s row\n", name);
    for (const cJSON *v = row ? row->child : NULL; v; v = v->next)
        fprintf(out, "  %s = %s\n", v->string, cJSON_IsNull(v) ? "NULL" : v->valuestring);
}

static void print_row(cJSON *json, const struct context *context)
{
    if (context->options.json) {
        print_json(json, context->out);
        return;
    }
    for (int i = 0; i < COLUMNS; i++)
        fprintf(context->out, "%-9s %s\n", columns[i],
                cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, columns[i])));
    print_values(json, "old", context->out);
    print_values(json, "new", context->out);
}

static int show(const struct context *context, struct pg_conn *target)
{
    struct error err = {0};
    if (config_is_reverse(context->config))
        return command_usage("quarantine show is not available in the reverse direction in this version - "
                             "`crossfade quarantine list` has the refusals");
    const char *params[] = {context->config->pipeline, context->args[1]};
    PGresult *r = pg_query(
        target, "SELECT " COLUMN_SQL ", change FROM crossfade.quarantine WHERE pipeline = $1 AND id = $2", 2,
        params, &err);
    if (!r)
        return command_fail(&err);
    int status = EXIT_GOOD;
    if (PQntuples(r) == 0) {
        fprintf(stderr, "crossfade: nothing with id %s is in quarantine\n", context->args[1]);
        status = EXIT_ANSWER_NO;
    } else {
        cJSON *json = row_json(r, 0);
        bool ok = add_change(target, r, json, &err);
        print_row(json, context);
        if (!ok)
            status = command_fail(&err);
        cJSON_Delete(json);
    }
    PQclear(r);
    return status;
}

/* All ids must be there, or nothing is wished. */
struct wanted_id {
    const char *id;
    bool found;
};

static void look_for_id(void *context, const char *const fields[COLUMNS])
{
    struct wanted_id *w = context;
    w->found |= strcmp(fields[0], w->id) == 0;
}

static bool ids_exist_back(const struct context *context, struct error *err)
{
    for (int i = 1; i < context->arg_count; i++) {
        struct wanted_id w = {.id = context->args[i]};
        if (!each_back(context->config, look_for_id, &w, err))
            return false;
        if (!w.found)
            return error_set(err, ERROR_DATA,
                             "nothing with id %s is in quarantine - see `crossfade quarantine list`", w.id);
    }
    return true;
}

static bool ids_exist(const struct context *context, struct pg_conn *target, struct error *err)
{
    if (config_is_reverse(context->config))
        return ids_exist_back(context, err);
    for (int i = 1; i < context->arg_count; i++) {
        const char *params[] = {context->config->pipeline, context->args[i]};
        char found[8];
        if (!pg_query_one(target,
                          "SELECT EXISTS (SELECT FROM crossfade.quarantine WHERE pipeline = $1 AND id = $2)",
                          2, params, found, sizeof(found), NULL, err))
            return false;
        if (found[0] != 't')
            return error_set(err, ERROR_DATA,
                             "nothing with id %s is in quarantine - see `crossfade quarantine list`",
                             context->args[i]);
    }
    return true;
}

static int wish(const struct context *context, struct pg_conn *target, const char *verb)
{
    struct error err = {0};
    cJSON *ids = cJSON_CreateArray();
    for (int i = 1; i < context->arg_count; i++)
        cJSON_AddItemToArray(ids, cJSON_CreateString(context->args[i]));
    char *json = cJSON_PrintUnformatted(ids);
    bool ok = ids_exist(context, target, &err) &&
              wish_put(target, context->config->pipeline, "quarantine", verb, json, &err);
    if (ok)
        fprintf(context->out, "%d to %s\n", context->arg_count - 1, verb);
    cJSON_free(json);
    cJSON_Delete(ids);
    return ok ? EXIT_GOOD : command_fail(&err);
}

static bool is_id(const char *text)
{
    char *end;
    errno = 0;
    return *text >= '1' && *text <= '9' && strtoll(text, &end, 10) > 0 && errno == 0 && *end == '\0';
}

int command_quarantine(const struct context *context)
{
    const char *verb = context->args[0];
    bool is_list = strcmp(verb, "list") == 0, is_show = strcmp(verb, "show") == 0;
    if (!is_list && !is_show && strcmp(verb, "retry") != 0 && strcmp(verb, "skip") != 0)
        return command_usage("\"%s\" is none of list, show, retry, skip", verb);
    if ((is_list && context->arg_count != 1) || (is_show && context->arg_count != 2) ||
        (!is_list && context->arg_count < 2))
        return command_usage("quarantine %s takes %s", verb, is_list ? "no id" : is_show ? "one id" : "ids");
    for (int i = 1; i < context->arg_count; i++) {
        if (!is_id(context->args[i]))
            return command_usage("\"%s\" is no id - `crossfade quarantine list` shows them",
                                 context->args[i]);
    }
    struct pg_conn target = {0};
    struct error err = {0};
    if (!session_target(context->config, &target, &err))
        return command_fail(&err);
    int status = is_list   ? list(context, &target)
                 : is_show ? show(context, &target)
                           : wish(context, &target, verb);
    pg_conn_close(&target);
    return status;
}
