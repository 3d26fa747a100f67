/* SPDX-License-Identifier: PostgreSQL
 *
 * pause, resume and recopy: they write down what the operator wants (state/wish.h) and return; the replicator
 * does it when it is told, or at its next start.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/mem.h"
#include "control/command.h"
#include "state/wish.h"

static bool known_group(const struct config *config, const char *name)
{
    if (config->group_count == 0)
        return strcmp(name, "default") == 0;
    for (int i = 0; i < config->group_count; i++) {
        if (strcmp(config->groups[i].name, name) == 0)
            return true;
    }
    return strcmp(name, "default") == 0;
}

/* The table's full name as the replicator knows it, malloc'ed; "t" stands for "public.t". Before the first
 * start no table is known, and the name is taken as written. */
static bool full_name(struct pg_conn *target, const struct config *config, const char *name, char **out,
                      struct error *err)
{
    const char *params[] = {config->pipeline, name};
    PGresult *r =
        pg_query(target,
                 "SELECT substr(object, 7), object IN ('table:' || $2, 'table:public.' || $2)"
                 " FROM crossfade.state WHERE pipeline = $1 AND key = 'state' AND left(object, 6) = 'table:'"
                 " ORDER BY 2 DESC, object = 'table:' || $2 DESC LIMIT 1",
                 2, params, err);
    if (!r)
        return error_prefix(err, "looking for table %s", name);
    bool any = PQntuples(r) == 1;
    bool found = any && PQgetvalue(r, 0, 1)[0] == 't';
    if (found)
        *out = mem_strdup(PQgetvalue(r, 0, 0));
    else if (!any) {
        struct buffer b = {0};
        buffer_printf(&b, "%s%s", strchr(name, '.') ? "" : "public.", name);
        *out = buffer_detach(&b);
    }
    PQclear(r);
    if (any && !found)
        return error_set(err, ERROR_CONFIG,
                         "table \"%s\" is not in this pipeline - `crossfade status` lists its tables", name);
    return true;
}

/* What the options point at: "pipeline", "group:g" or "table:t", malloc'ed. */
static bool object_of(struct pg_conn *target, const struct context *context, char **object, struct error *err)
{
    const struct options *o = &context->options;
    struct buffer b = {0};
    char *name = NULL;
    if (o->group && o->table)
        return error_set(err, ERROR_CONFIG, "give --group or --table, not both");
    if (o->group && !known_group(context->config, o->group))
        return error_set(err, ERROR_CONFIG, "there is no group \"%s\" in %s", o->group, o->config_path);
    if (o->table && !full_name(target, context->config, o->table, &name, err))
        return false;
    if (name)
        buffer_printf(&b, "table:%s", name);
    else if (o->group)
        buffer_printf(&b, "group:%s", o->group);
    else
        buffer_puts(&b, "pipeline");
    free(name);
    *object = buffer_detach(&b);
    return true;
}

static bool told(struct pg_conn *target, const struct context *context, const char *object, const char *what,
                 struct error *err)
{
    char holder[160];
    int64_t epoch;
    if (!session_holder(target, context->config, holder, sizeof(holder), &epoch, err))
        return false;
    const char *name = strchr(object, ':');
    fprintf(context->out, "%s: %s%s\n", name ? name + 1 : context->config->pipeline, what,
            *holder ? "" : " (no replicator runs now; it is read at the next start)");
    return true;
}

/* Says what stays paused although something wider was resumed. */
static bool warn_of_others(struct pg_conn *target, const struct context *context, struct error *err)
{
    struct wish_list list = {0};
    if (!wish_read(target, context->config->pipeline, &list, err))
        return false;
    for (int i = 0; i < list.count; i++) {
        if (strcmp(list.wishes[i].key, "paused") == 0 && strcmp(list.wishes[i].value, "true") == 0)
            fprintf(context->out, "still paused: %s, by %s at %s\n", list.wishes[i].object,
                    list.wishes[i].who, list.wishes[i].at);
    }
    wish_list_free(&list);
    return true;
}

enum wanted { WANT_PAUSE, WANT_RESUME, WANT_RECOPY };

static bool put(struct pg_conn *target, const struct context *context, enum wanted wanted, const char *object,
                struct error *err)
{
    const char *pipeline = context->config->pipeline;
    if (wanted == WANT_RECOPY)
        return wish_put(target, pipeline, object, "recopy", "true", err) &&
               told(target, context, object, "to be copied again", err);
    if (wanted == WANT_PAUSE)
        return wish_put(target, pipeline, object, "paused", "true", err) &&
               told(target, context, object, "to be paused", err);
    if (strncmp(object, "table:", 6) == 0 && !wish_put(target, pipeline, object, "resume", "true", err))
        return false;
    return wish_put(target, pipeline, object, "paused", "false", err) &&
           told(target, context, object, "to be resumed", err) && warn_of_others(target, context, err);
}

static int run(const struct context *context, enum wanted wanted)
{
    struct pg_conn target = {0};
    struct error err = {0};
    char *object = NULL;
    if (!session_target(context->config, &target, &err))
        return command_fail(&err);
    bool ok = object_of(&target, context, &object, &err) && put(&target, context, wanted, object, &err);
    int status = ok ? EXIT_GOOD : command_fail(&err);
    free(object);
    pg_conn_close(&target);
    return status;
}

int command_pause(const struct context *context)
{
    return run(context, WANT_PAUSE);
}

int command_resume(const struct context *context)
{
    return run(context, WANT_RESUME);
}

int command_recopy(const struct context *context)
{
    if (!context->options.table)
        return command_usage("which table? give --table TABLE");
    return run(context, WANT_RECOPY);
}
