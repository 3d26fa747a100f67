/* SPDX-License-Identifier: PostgreSQL */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "control/command.h"
#include "control/offsets_facts.h"
#include "control/redis.h"
#include "legacy/legacy_sink.h"

static bool read_target(struct pg_conn *target, const struct config *config, struct offsets_facts *out,
                        struct error *err)
{
    if (!session_holder(target, config, out->holder, sizeof(out->holder), &out->epoch, err))
        return false;
    if (out->reverse)
        return pgsql_fingerprint_get(target, config->pipeline, "reverse", &out->stored, &out->has_stored,
                                     err);
    if (!store_progress_get(target, config->pipeline, "forward", &out->lanes, &out->lane_count, err))
        return false;
    out->other_engine = config->legacy_kind != LEGACY_POSTGRESQL;
    if (out->other_engine)
        return store_fingerprint_start(target, config->pipeline, "forward", &out->start, err);
    return pgsql_fingerprint_get(target, config->pipeline, "forward", &out->stored, &out->has_stored, err);
}

/* The reverse direction's rows are the legacy's; before the first start there may be no table of them. */
static bool read_sink(const struct config *config, struct offsets_facts *out, struct error *err)
{
    struct legacy_options o = {
        .config = config, .job = "control", .connect_timeout_ms = (int)config->connect_timeout_ms};
    struct legacy_sink *sink = NULL;
    bool ok = legacy_sink_open(&o, &sink, err) &&
              (!out->has_stored || sink->ops->progress(sink, &out->lanes, &out->lane_count, err));
    legacy_sink_close(sink);
    return ok;
}

static bool read_slot(struct pg_conn *source, const char *name, struct offsets_facts *out, struct error *err)
{
    /* One statement, so that the end of WAL is not before what the slot has confirmed. */
    PGresult *r =
        pg_query(source,
                 source->version >= 130000
                     ? "SELECT active, wal_status = 'lost', plugin, confirmed_flush_lsn, restart_lsn"
                       " FROM pg_catalog.pg_replication_slots WHERE slot_name = $1"
                     : "SELECT active, false, plugin, confirmed_flush_lsn, restart_lsn"
                       " FROM pg_catalog.pg_replication_slots WHERE slot_name = $1",
                 1, &name, err);
    if (!r)
        return false;
    struct slot_facts *slot = &out->slot;
    slot->exists = PQntuples(r) == 1;
    bool ok = true;
    if (slot->exists) {
        slot->active = PQgetvalue(r, 0, 0)[0] == 't';
        slot->lost = PQgetvalue(r, 0, 1)[0] == 't';
        snprintf(slot->plugin, sizeof(slot->plugin), "%s", PQgetvalue(r, 0, 2));
        ok = (position_parse(PQgetvalue(r, 0, 3), &slot->confirmed) &&
              position_parse(PQgetvalue(r, 0, 4), &slot->restart)) ||
             error_set(err, ERROR_REFUSED, "the slot's positions can't be understood");
    }
    PQclear(r);
    return ok;
}

static bool read_source(const struct config *config, struct offsets_facts *out, struct error *err)
{
    struct pg_conn source = {0};
    char end[32];
    const char *slot = out->reverse ? config->target_slot : config->legacy_slot;
    if (!(out->reverse ? session_target_bare(config, &source, err) : session_legacy(config, &source, err)))
        return false;
    bool ok = pgsql_fingerprint_read(&source, &out->now, err) && read_slot(&source, slot, out, err) &&
              pg_query_one(&source,
                           "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()"
                           " ELSE pg_current_wal_insert_lsn() END",
                           0, NULL, end, sizeof(end), NULL, err) &&
              (position_parse(end, &out->source_end) ||
               error_set(err, ERROR_REFUSED, "the end of WAL can't be understood"));
    snprintf(out->now.slot, sizeof(out->now.slot), "%s", slot);
    snprintf(out->now.publication, sizeof(out->now.publication), "%s",
             out->reverse ? config->target_publication : config->legacy_publication);
    pg_conn_close(&source);
    return ok;
}

/* Any other engine: whether it is the history that we know is its own to say. */
static bool ask_engine(struct pg_conn *target, const struct config *config, struct offsets_facts *out,
                       struct error *err)
{
    struct legacy_options o = {
        .config = config, .job = "control", .connect_timeout_ms = (int)config->connect_timeout_ms};
    struct legacy_notes notes = {.config = config, .target = target};
    struct legacy_retained retained = {.at = offsets_lowest(out)};
    struct legacy *legacy = NULL;
    bool first = true;
    if (!legacy_open(&o, &legacy, err))
        return false;
    bool ok = legacy->session->history(legacy, &notes, &first, err);
    if (!ok && err->kind == ERROR_FATAL) {
        snprintf(out->contradiction, sizeof(out->contradiction), "%.399s", err->text);
        first = false;
        ok = true;
    }
    out->has_stored = !first;
    ok = ok && legacy->ops->retained(legacy, &retained, err);
    out->source_end = retained.end;
    legacy_close(legacy);
    return ok;
}

static void add_position(cJSON *object, const char *name, struct position p)
{
    char text[POSITION_TEXT_SIZE];
    cJSON_AddItemToObject(object, name,
                          p.kind == POSITION_NONE ? cJSON_CreateNull()
                                                  : cJSON_CreateString(position_format(p, text)));
}

static void add_int64(cJSON *object, const char *name, int64_t n)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRId64, n);
    cJSON_AddStringToObject(object, name, text);
}

static cJSON *sink_json(const struct offsets_facts *f)
{
    cJSON *lanes = cJSON_CreateArray();
    for (int i = 0; i < f->lane_count; i++) {
        const struct store_progress *lane = &f->lanes[i];
        cJSON *row = cJSON_CreateObject();
        char time[40];
        cJSON_AddStringToObject(row, "stream", f->reverse ? "reverse" : "forward");
        cJSON_AddNumberToObject(row, "lane", lane->lane);
        add_position(row, "position", lane->position);
        add_int64(row, "epoch", lane->epoch);
        cJSON_AddItemToObject(
            row, "source_commit_time",
            lane->source_commit_time_us
                ? cJSON_CreateString(clock_format(lane->source_commit_time_us, time, sizeof(time)))
                : cJSON_CreateNull());
        cJSON_AddItemToArray(lanes, row);
    }
    return lanes;
}

static cJSON *slot_json(const struct config *config, const struct offsets_facts *f)
{
    cJSON *slot = cJSON_CreateObject();
    if (f->other_engine)
        cJSON_AddNullToObject(slot, "name");
    else
        cJSON_AddStringToObject(slot, "name", f->reverse ? config->target_slot : config->legacy_slot);
    cJSON_AddItemToObject(slot, "error",
                          f->source_error[0] ? cJSON_CreateString(f->source_error) : cJSON_CreateNull());
    cJSON_AddBoolToObject(slot, "exists", f->slot.exists);
    cJSON_AddBoolToObject(slot, "active", f->slot.active);
    cJSON_AddBoolToObject(slot, "lost", f->slot.lost);
    add_position(slot, "confirmed", f->slot.confirmed);
    add_position(slot, "restart", f->slot.restart);
    add_position(slot, "source_end", f->source_end);
    return slot;
}

static cJSON *offsets_json(const struct config *config, const struct offsets_facts *f,
                           enum offsets_decision decision, const char *words)
{
    cJSON *out = cJSON_CreateObject();
    cJSON_AddStringToObject(out, "pipeline", config->pipeline);
    cJSON_AddItemToObject(out, "holder", f->holder[0] ? cJSON_CreateString(f->holder) : cJSON_CreateNull());
    add_int64(out, "epoch", f->epoch);
    cJSON_AddItemToObject(out, "sink", sink_json(f));
    cJSON_AddItemToObject(out, "slot", slot_json(config, f));
    cJSON_AddItemToObject(out, "redis", redis_mirror(config));
    cJSON *decided = cJSON_AddObjectToObject(out, "decision");
    cJSON_AddStringToObject(decided, "action", offsets_decision_name(decision));
    cJSON_AddStringToObject(decided, "text", words);
    return out;
}

static const char *text_of(const cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    return text && *text ? text : "-";
}

static void print_sink(const cJSON *json, FILE *out)
{
    const cJSON *lanes = cJSON_GetObjectItemCaseSensitive(json, "sink");
    fprintf(out, "target   epoch %s, held by %s\n", text_of(json, "epoch"), text_of(json, "holder"));
    for (const cJSON *lane = lanes->child; lane; lane = lane->next)
        fprintf(out, "         %s lane %d at %s (epoch %s, source commit %s)\n", text_of(lane, "stream"),
                (int)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(lane, "lane")),
                text_of(lane, "position"), text_of(lane, "epoch"), text_of(lane, "source_commit_time"));
    if (!lanes->child)
        fputs("         no progress rows\n", out);
}

static void print_slot(const cJSON *slot, FILE *out)
{
    const char *error = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(slot, "error"));
    if (error)
        fprintf(out, "%-8s %s: unknown - %s\n",
                cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(slot, "name")) ? "source" : "slot",
                text_of(slot, "name"), error);
    else if (cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(slot, "name")))
        fprintf(out, "source   captured up to %s\n", text_of(slot, "source_end"));
    else if (cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(slot, "exists")))
        fprintf(out, "slot     %s does not exist; end of WAL %s\n", text_of(slot, "name"),
                text_of(slot, "source_end"));
    else
        fprintf(out, "slot     %s (%s): confirmed %s, restart %s; end of WAL %s\n", text_of(slot, "name"),
                cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(slot, "lost"))     ? "lost"
                : cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(slot, "active")) ? "active"
                                                                                 : "not active",
                text_of(slot, "confirmed"), text_of(slot, "restart"), text_of(slot, "source_end"));
}

static void print_redis(const cJSON *redis, FILE *out)
{
    const char *error = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(redis, "error"));
    const cJSON *offsets = cJSON_GetObjectItemCaseSensitive(redis, "offsets");
    if (error)
        fprintf(out, "redis    %s\n", error);
    else
        fprintf(out, "redis    epoch %s (a mirror: nothing is decided from it)\n", text_of(redis, "epoch"));
    for (const cJSON *field = offsets->child; field; field = field->next)
        fprintf(out, "         %s %s\n", field->string, field->valuestring);
}

static void print_offsets(cJSON *json, bool as_json, FILE *out)
{
    if (as_json) {
        char *text = cJSON_Print(json);
        fprintf(out, "%s\n", text);
        cJSON_free(text);
        return;
    }
    print_sink(json, out);
    print_slot(cJSON_GetObjectItemCaseSensitive(json, "slot"), out);
    print_redis(cJSON_GetObjectItemCaseSensitive(json, "redis"), out);
    fprintf(out, "a start would %s\n", text_of(cJSON_GetObjectItemCaseSensitive(json, "decision"), "text"));
}

int command_offsets(const struct context *context)
{
    struct pg_conn target = {0};
    struct offsets_facts facts = {.reverse = config_is_reverse(context->config)};
    struct buffer words = {0};
    struct error err = {0};
    if (!session_target(context->config, &target, &err))
        return command_fail(&err);
    if (!read_target(&target, context->config, &facts, &err)) {
        pg_conn_close(&target);
        return command_fail(&err);
    }
    bool asked = facts.other_engine ? ask_engine(&target, context->config, &facts, &err)
                                    : (!facts.reverse || read_sink(context->config, &facts, &err)) &&
                                          read_source(context->config, &facts, &err);
    if (!asked)
        snprintf(facts.source_error, sizeof(facts.source_error), "%.399s", err.text);
    pg_conn_close(&target);
    enum offsets_decision decision = offsets_decide(&facts, &words);
    cJSON *json = offsets_json(context->config, &facts, decision, buffer_text(&words));
    print_offsets(json, context->options.json, context->out);
    cJSON_Delete(json);
    buffer_free(&words);
    free(facts.lanes);
    return decision == OFFSETS_REFUSE ? EXIT_PROTECTED
           : decision == OFFSETS_WAIT ? EXIT_UNREACHABLE
                                      : EXIT_GOOD;
}
