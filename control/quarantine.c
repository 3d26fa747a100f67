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
#include "model/parked.h"
#include "state/wish.h"

static const char *const columns[] = {"id", "table", "key", "op", "position", "sqlstate", "message", "at"};
enum { COLUMNS = sizeof(columns) / sizeof(columns[0]) };
#define COLUMN_SQL "id, table_name, key_text, op, position, sqlstate, message, at"

static cJSON *row_json(const PGresult *r, int row)
{
    cJSON *out = cJSON_CreateObject();
    for (int i = 0; i < COLUMNS; i++)
        cJSON_AddStringToObject(out, columns[i], PQgetvalue(r, row, i));
    return out;
}

static void print_json(cJSON *json, FILE *out)
{
    char *text = cJSON_Print(json);
    fprintf(out, "%s\n", text);
    cJSON_free(text);
}

static void print_list(const PGresult *r, const struct context *context)
{
    cJSON *list = cJSON_CreateArray();
    for (int i = 0; i < PQntuples(r); i++) {
        if (context->options.json)
            cJSON_AddItemToArray(list, row_json(r, i));
        else
            fprintf(context->out, "%s  %s %s %s  %s %s\n", PQgetvalue(r, i, 0), PQgetvalue(r, i, 1),
                    PQgetvalue(r, i, 3), PQgetvalue(r, i, 2), PQgetvalue(r, i, 5),
                    *PQgetvalue(r, i, 5) ? PQgetvalue(r, i, 6) : "waits for an earlier row");
    }
    if (context->options.json)
        print_json(list, context->out);
    else if (PQntuples(r) == 0)
        fputs("nothing in quarantine\n", context->out);
    cJSON_Delete(list);
}

static int list(const struct context *context, struct pg_conn *target)
{
    struct error err = {0};
    const char *params[] = {context->config->pipeline};
    PGresult *r =
        pg_query(target, "SELECT " COLUMN_SQL " FROM crossfade.quarantine WHERE pipeline = $1 ORDER BY id", 1,
                 params, &err);
    if (!r)
        return command_fail(&err);
    print_list(r, context);
    PQclear(r);
    return EXIT_GOOD;
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
static bool ids_exist(const struct context *context, struct pg_conn *target, struct error *err)
{
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
