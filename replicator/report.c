/* SPDX-License-Identifier: PostgreSQL */
#include "replicator/report.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "config.h"

/* The earlier in this list, the more it says about the whole group. */
static const enum table_state gravity[] = {TABLE_STOPPED, TABLE_DRIFT,  TABLE_INIT,     TABLE_BACKFILL,
                                           TABLE_CATCHUP, TABLE_PAUSED, TABLE_STREAMING};

enum table_state report_group_state(const struct stats *stats, const char *group)
{
    for (size_t g = 0; g < sizeof(gravity) / sizeof(gravity[0]); g++) {
        for (uint32_t i = 0; i < stats->table_count; i++) {
            if (strcmp(stats->tables[i].group, group) == 0 && stats->tables[i].state == (int)gravity[g])
                return gravity[g];
        }
    }
    return TABLE_INIT;
}

static bool first_of_group(const struct stats *stats, uint32_t at)
{
    for (uint32_t i = 0; i < at; i++) {
        if (strcmp(stats->tables[i].group, stats->tables[at].group) == 0)
            return false;
    }
    return true;
}

const char *report_group_name(const struct stats *stats, uint32_t index)
{
    for (uint32_t i = 0; i < stats->table_count; i++) {
        if (first_of_group(stats, i) && index-- == 0)
            return stats->tables[i].group;
    }
    return NULL;
}

static struct position later(struct position a, struct position b)
{
    return position_compare(a, b) > 0 ? a : b;
}

struct report_lag report_lag(struct stats *stats)
{
    struct position end = later(stats_position_get(&stats->source_end), stats_position_get(&stats->received));
    uint64_t bytes = 0;
    struct position applied = stats_position_get(&stats->applied);
    bool known = applied.kind == POSITION_NONE || position_distance(applied, end, &bytes);
    return (struct report_lag){.known = known, .bytes = bytes, .ms = stats->lag_ms};
}

static void add_u64(cJSON *object, const char *name, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRIu64, value);
    cJSON_AddStringToObject(object, name, text);
}

static void add_position(cJSON *object, const char *name, struct stats_position *p)
{
    char text[POSITION_TEXT_SIZE];
    cJSON_AddStringToObject(object, name, position_format(stats_position_get(p), text));
}

static cJSON *stream_json(struct stats *stats)
{
    struct report_lag lag = report_lag(stats);
    cJSON *s = cJSON_CreateObject();
    cJSON_AddStringToObject(s, "name", stats_stream_name(stats));
    cJSON_AddStringToObject(s, "direction", stats_stream_name(stats));
    add_position(s, "received", &stats->received);
    add_position(s, "applied", &stats->applied);
    add_position(s, "confirmed", &stats->confirmed);
    if (lag.known)
        add_u64(s, "lag_bytes", lag.bytes);
    else
        cJSON_AddNullToObject(s, "lag_bytes");
    cJSON_AddNumberToObject(s, "lag_ms", (double)lag.ms);
    if (stats->capture_lag_ms >= 0)
        cJSON_AddNumberToObject(s, "capture_lag_ms", (double)stats->capture_lag_ms);
    if (stats->retained_wal_bytes >= 0)
        add_u64(s, "retained_wal_bytes", (uint64_t)stats->retained_wal_bytes);
    else
        cJSON_AddNullToObject(s, "retained_wal_bytes");
    if (stats->slot_limit_seconds < 0)
        cJSON_AddNullToObject(s, "slot_limit_s");
    else
        cJSON_AddNumberToObject(s, "slot_limit_s", (double)stats->slot_limit_seconds);
    return s;
}

static cJSON *table_json(const struct stats_table *t)
{
    cJSON *o = cJSON_CreateObject();
    int64_t total = t->rows_total;
    uint64_t copied = t->rows_copied;
    int64_t rate = t->rate_rows_s;
    cJSON_AddStringToObject(o, "from", t->from);
    cJSON_AddStringToObject(o, "to", t->to);
    if (t->capture)
        cJSON_AddStringToObject(o, "capture", t->capture);
    else
        cJSON_AddNullToObject(o, "capture");
    cJSON_AddStringToObject(o, "state", table_state_name((enum table_state)t->state));
    cJSON_AddStringToObject(o, "reason", t->reason);
    cJSON_AddNumberToObject(o, "rows_copied", (double)(copied));
    cJSON_AddNumberToObject(o, "rows_total", (double)(total < 0 ? copied : (uint64_t)total));
    if (t->state == TABLE_BACKFILL && rate > 0 && total > (int64_t)copied)
        cJSON_AddNumberToObject(o, "eta_s", (double)((total - (int64_t)copied) / rate));
    else
        cJSON_AddNullToObject(o, "eta_s");
    cJSON_AddNumberToObject(o, "rate_rows_s", (double)rate);
    cJSON_AddNumberToObject(o, "quarantined", (double)(t->quarantined));
    cJSON_AddNumberToObject(o, "parked", (double)(t->parked));
    cJSON_AddNumberToObject(o, "conflicts", (double)(t->missing + t->existing));
    if (t->conflict_sample[0])
        cJSON_AddStringToObject(o, "conflict_sample", t->conflict_sample);
    return o;
}

static cJSON *group_json(const struct stats *stats, const char *name)
{
    cJSON *g = cJSON_CreateObject();
    cJSON_AddStringToObject(g, "name", name);
    cJSON_AddStringToObject(g, "state", table_state_name(report_group_state(stats, name)));
    cJSON_AddStringToObject(g, "live", stats->reverse ? "target" : "legacy");
    cJSON_AddBoolToObject(g, "frozen", false);
    cJSON *tables = cJSON_AddArrayToObject(g, "tables");
    for (uint32_t i = 0; i < stats->table_count; i++) {
        if (strcmp(stats->tables[i].group, name) == 0)
            cJSON_AddItemToArray(tables, table_json(&stats->tables[i]));
    }
    return g;
}

void report_status(const struct config *config, struct stats *stats, struct buffer *out)
{
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "version", PACKAGE_VERSION);
    cJSON_AddStringToObject(root, "pipeline", config->pipeline);
    cJSON_AddStringToObject(root, "role", stats->role == STATS_ACTIVE ? "active" : "standby");
    cJSON_AddStringToObject(root, "phase", stats_phase_name((enum stats_phase)stats->phase));
    cJSON_AddBoolToObject(root, "paused", stats->paused);
    cJSON_AddBoolToObject(root, "degraded", config->redis_url && !stats->redis_ok);
    add_u64(root, "epoch", (uint64_t)stats->epoch);
    cJSON_AddItemToArray(cJSON_AddArrayToObject(root, "streams"), stream_json(stats));
    cJSON *groups = cJSON_AddArrayToObject(root, "groups");
    stats_lock(stats);
    const char *name;
    for (uint32_t i = 0; (name = report_group_name(stats, i)); i++)
        cJSON_AddItemToArray(groups, group_json(stats, name));
    cJSON_AddStringToObject(root, "last_error", stats->last_error);
    stats_unlock(stats);
    cJSON_AddNullToObject(root, "last_reconcile");
    char *text = cJSON_Print(root);
    buffer_puts(out, text);
    buffer_putc(out, '\n');
    cJSON_free(text);
    cJSON_Delete(root);
}
