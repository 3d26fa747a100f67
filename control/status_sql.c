/* SPDX-License-Identifier: PostgreSQL */
#include "control/status_sql.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "control/command.h"
#include "control/redis.h"
#include "legacy/legacy_sink.h"
#include "state/store.h"
#include "state/wish.h"

/* "students" in the config is "public.students" to the replicator. */
static bool same_table(const char *written, const char *from)
{
    return strcmp(written, from) == 0 || (strncmp(from, "public.", 7) == 0 && strcmp(written, from + 7) == 0);
}

static const char *group_of(const struct config *config, const char *from)
{
    for (int i = 0; i < config->table_count; i++) {
        if (config->tables[i].group && same_table(config->tables[i].from, from))
            return config->tables[i].group;
    }
    for (int g = 0; g < config->group_count; g++) {
        for (int i = 0; i < config->groups[g].table_count; i++) {
            if (same_table(config->groups[g].tables[i], from))
                return config->groups[g].name;
        }
    }
    return "default";
}

static const char *target_of(const struct config *config, const char *from)
{
    for (int i = 0; i < config->table_count; i++) {
        if (config->tables[i].to && same_table(config->tables[i].from, from))
            return config->tables[i].to;
    }
    return NULL;
}

static const char tables_sql[] =
    "SELECT substr(s.object, 7), s.value ->> 'state', s.value ->> 'reason', coalesce(c.rows, 0), "
    "coalesce(q.n, 0),"
    " coalesce(p.n, 0) FROM crossfade.state s"
    " LEFT JOIN (SELECT table_name, sum(rows) AS rows FROM crossfade.chunk WHERE pipeline = $1 AND state = "
    "'done'"
    "  GROUP BY 1) c ON c.table_name = substr(s.object, 7)"
    " LEFT JOIN (SELECT table_name, count(*) AS n FROM crossfade.quarantine WHERE pipeline = $1 GROUP BY 1) q"
    "  ON q.table_name = substr(s.object, 7)"
    " LEFT JOIN (SELECT table_name, count(*) AS n FROM crossfade.parked WHERE pipeline = $1 GROUP BY 1) p"
    "  ON p.table_name = substr(s.object, 7)"
    " WHERE s.pipeline = $1 AND s.key = 'state' AND left(s.object, 6) = 'table:' ORDER BY 1";

static void add_text(cJSON *object, const char *name, const char *text)
{
    cJSON_AddItemToObject(object, name, text ? cJSON_CreateString(text) : cJSON_CreateNull());
}

static cJSON *find_group(cJSON *groups, const char *name)
{
    for (cJSON *g = groups->child; g; g = g->next) {
        if (strcmp(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(g, "name")), name) == 0)
            return g;
    }
    cJSON *g = cJSON_CreateObject();
    cJSON_AddStringToObject(g, "name", name);
    cJSON_AddStringToObject(g, "state", "streaming");
    cJSON_AddStringToObject(g, "live", "legacy");
    cJSON_AddBoolToObject(g, "frozen", false);
    cJSON_AddArrayToObject(g, "tables");
    cJSON_AddItemToArray(groups, g);
    return g;
}

/* The earlier in this list, the more it says about the whole group; as the replicator has it. */
static int gravity(const char *state)
{
    static const char *const order[] = {"stopped", "drift",  "init",     "backfill",
                                        "catchup", "paused", "streaming"};
    for (int i = 0; i < (int)(sizeof(order) / sizeof(order[0])); i++) {
        if (strcmp(order[i], state) == 0)
            return i;
    }
    return 0;
}

static void show_gravest(cJSON *group, const char *state)
{
    cJSON *shown = cJSON_GetObjectItemCaseSensitive(group, "state");
    if (gravity(state) < gravity(shown->valuestring))
        cJSON_ReplaceItemInObjectCaseSensitive(group, "state", cJSON_CreateString(state));
}

static void add_table(const struct config *config, cJSON *groups, const PGresult *r, int i)
{
    const char *from = PQgetvalue(r, i, 0);
    const char *to = target_of(config, from);
    cJSON *group = find_group(groups, group_of(config, from));
    cJSON *t = cJSON_CreateObject();
    cJSON_AddStringToObject(t, "from", from);
    cJSON_AddStringToObject(t, "to", to ? to : from);
    add_text(t, "capture", NULL);
    cJSON_AddStringToObject(t, "state", PQgetvalue(r, i, 1));
    cJSON_AddStringToObject(t, "reason", PQgetvalue(r, i, 2));
    cJSON_AddNumberToObject(t, "rows_copied", strtod(PQgetvalue(r, i, 3), NULL));
    add_text(t, "rows_total", NULL);
    add_text(t, "eta_s", NULL);
    add_text(t, "rate_rows_s", NULL);
    cJSON_AddNumberToObject(t, "quarantined", strtod(PQgetvalue(r, i, 4), NULL));
    cJSON_AddNumberToObject(t, "parked", strtod(PQgetvalue(r, i, 5), NULL));
    add_text(t, "conflicts", NULL);
    cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(group, "tables"), t);
    show_gravest(group, PQgetvalue(r, i, 1));
}

static bool add_groups(const struct config *config, struct pg_conn *target, cJSON *out, struct error *err)
{
    const char *params[] = {config->pipeline};
    cJSON *groups = cJSON_AddArrayToObject(out, "groups");
    PGresult *r = pg_query(target, tables_sql, 1, params, err);
    if (!r)
        return error_prefix(err, "reading the tables' states");
    for (int i = 0; i < PQntuples(r); i++)
        add_table(config, groups, r, i);
    PQclear(r);
    return true;
}

/* Where the source stands and what its slot has confirmed; nothing if it can't be asked. */
static void ask_source(const struct config *config, struct position *end, struct position *confirmed)
{
    struct pg_conn source = {0};
    struct error err = {0};
    bool back = config_is_reverse(config);
    const char *params[] = {back ? config->target_slot : config->legacy_slot};
    if (!(back ? session_target_bare(config, &source, &err) : session_legacy(config, &source, &err)))
        return;
    PGresult *r = pg_query(&source,
                           "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()"
                           " ELSE pg_current_wal_insert_lsn() END, (SELECT confirmed_flush_lsn"
                           " FROM pg_catalog.pg_replication_slots WHERE slot_name = $1)",
                           1, params, &err);
    if (r && (!position_parse(PQgetvalue(r, 0, 0), end) || !position_parse(PQgetvalue(r, 0, 1), confirmed)))
        *end = *confirmed = (struct position){0};
    PQclear(r);
    pg_conn_close(&source);
}

static void add_position(cJSON *object, const char *name, struct position p)
{
    char text[POSITION_TEXT_SIZE];
    cJSON_AddStringToObject(object, name, position_format(p, text));
}

/* The reverse direction's are the legacy's, and nobody's where that can't be asked. */
static bool read_lanes(const struct config *config, struct pg_conn *target, struct store_progress **lanes,
                       int *count, struct error *err)
{
    struct legacy_options o = {
        .config = config, .job = "control", .connect_timeout_ms = (int)config->connect_timeout_ms};
    struct legacy_sink *sink = NULL;
    struct error ignored;
    if (!config_is_reverse(config))
        return store_progress_get(target, config->pipeline, "forward", lanes, count, err);
    *lanes = NULL;
    *count = 0;
    if (legacy_sink_open(&o, &sink, &ignored))
        (void)!sink->ops->progress(sink, lanes, count, &ignored);
    legacy_sink_close(sink);
    return true;
}

static bool add_streams(const struct config *config, struct pg_conn *target, cJSON *out, struct error *err)
{
    struct store_progress *lanes;
    struct position applied = {0}, end = {0}, confirmed = {0};
    char lag[24];
    uint64_t behind;
    int count;
    const char *name = config_is_reverse(config) ? "reverse" : "forward";
    if (!read_lanes(config, target, &lanes, &count, err))
        return false;
    for (int i = 0; i < count; i++) {
        if (i == 0 || position_compare(lanes[i].position, applied) < 0)
            applied = lanes[i].position;
    }
    free(lanes);
    if (config->legacy_kind == LEGACY_POSTGRESQL || config_is_reverse(config))
        ask_source(config, &end, &confirmed);
    else
        confirmed = applied; /* nothing is confirmed to such a source: what is applied counts */
    cJSON *streams = cJSON_AddArrayToObject(out, "streams");
    cJSON *stream = cJSON_CreateObject();
    cJSON_AddStringToObject(stream, "name", name);
    cJSON_AddStringToObject(stream, "direction", name);
    cJSON_AddStringToObject(stream, "received", "");
    add_position(stream, "applied", applied);
    add_position(stream, "confirmed", confirmed);
    bool known = position_distance(applied, end, &behind);
    snprintf(lag, sizeof(lag), "%" PRIu64, behind);
    add_text(stream, "lag_bytes", known ? lag : NULL);
    add_text(stream, "lag_ms", NULL);
    cJSON_AddItemToArray(streams, stream);
    return true;
}

static bool add_head(const struct config *config, struct pg_conn *target, cJSON *out, struct error *err)
{
    char holder[160], epoch_text[24];
    int64_t epoch;
    if (!session_holder(target, config, holder, sizeof(holder), &epoch, err))
        return false;
    snprintf(epoch_text, sizeof(epoch_text), "%" PRId64, epoch);
    cJSON_AddStringToObject(out, "version", PACKAGE_VERSION);
    cJSON_AddStringToObject(out, "pipeline", config->pipeline);
    add_text(out, "role", *holder ? "active" : NULL);
    add_text(out, "phase", NULL);
    struct wish_list wishes = {0};
    if (!wish_read(target, config->pipeline, &wishes, err))
        return false;
    cJSON_AddBoolToObject(out, "paused", wish_is_true(&wishes, "pipeline", NULL, "paused"));
    wish_list_free(&wishes);
    cJSON *redis = redis_mirror(config);
    bool reachable = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(redis, "reachable"));
    cJSON_AddBoolToObject(out, "degraded", config->redis_url && !reachable);
    cJSON_Delete(redis);
    cJSON_AddStringToObject(out, "epoch", epoch_text);
    return true;
}

bool status_sql(const struct config *config, cJSON **out, struct error *err)
{
    struct pg_conn target = {0};
    if (!session_target(config, &target, err))
        return false;
    *out = cJSON_CreateObject();
    bool ok = add_head(config, &target, *out, err) && add_streams(config, &target, *out, err) &&
              add_groups(config, &target, *out, err);
    add_text(*out, "last_reconcile", NULL);
    pg_conn_close(&target);
    if (!ok)
        cJSON_Delete(*out);
    return ok;
}
