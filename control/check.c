/* SPDX-License-Identifier: PostgreSQL
 *
 * Runs the parts in order and prints what they found. Nothing here changes anything on any server.
 */
#include "control/check.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "control/check_run.h"
#include "control/command.h"
#include "legacy/legacy_pgsql_poll.h"
#include "model/capture.h"

static const char *const level_names[] = {"ok", "warn", "fail"};

bool check_ask(struct check *self, struct check_side *side, const char *sql, char *out, size_t size)
{
    struct error err = {0};
    if (pg_query_one(&side->conn, sql, 0, NULL, out, size, NULL, &err))
        return true;
    check_say(self, PAIR_WARN, "query_failed", side->conn.endpoint, NULL, "could not be looked at - %s",
              err.text);
    *out = '\0';
    return false;
}

PGresult *check_rows(struct check *self, struct check_side *side, const char *sql)
{
    struct error err = {0};
    PGresult *r = pg_query(&side->conn, sql, 0, NULL, &err);
    if (!r)
        check_say(self, PAIR_WARN, "query_failed", side->conn.endpoint, NULL, "could not be looked at - %s",
                  err.text);
    return r;
}

void check_unreachable(struct check *self, const char *endpoint, const struct error *err)
{
    self->unreachable = true;
    check_say(self, PAIR_FAIL, "unreachable", endpoint, NULL, "%s", err->text);
}

static bool read_role(struct check_side *side, struct error *err)
{
    PGresult *r = pg_query(&side->conn,
                           "SELECT current_user, rolsuper, rolbypassrls FROM pg_catalog.pg_roles"
                           " WHERE rolname = current_user",
                           0, NULL, err);
    if (!r)
        return false;
    if (PQntuples(r) == 1) {
        snprintf(side->role, sizeof(side->role), "%s", PQgetvalue(r, 0, 0));
        side->superuser = *PQgetvalue(r, 0, 1) == 't';
        side->bypass_rls = side->superuser || *PQgetvalue(r, 0, 2) == 't';
    }
    PQclear(r);
    return true;
}

static void open_side(struct check *self, struct check_side *side, bool legacy)
{
    struct error err = {0};
    side->open = legacy ? session_legacy(self->config, &side->conn, &err)
                        : session_target_bare(self->config, &side->conn, &err);
    if (!side->open) {
        check_unreachable(self, legacy ? "legacy" : "target", &err);
        return;
    }
    if (!read_role(side, &err) || !pg_catalog_read(&side->conn, &side->catalog, &err)) {
        check_unreachable(self, side->conn.endpoint, &err);
        pg_conn_close(&side->conn);
        side->open = false;
        return;
    }
    check_session(self, side);
}

void check_open_target(struct check *self)
{
    open_side(self, &self->target, false);
}

void check_adopt(struct check *self, struct pairing *found)
{
    for (uint32_t i = 0; i < found->finding_count; i++) {
        const struct pair_finding *f = &found->findings[i];
        check_say(self, f->level, f->code, f->object, f->sql, "%s", f->text);
    }
    self->pairing.tables = found->tables;
    self->pairing.binary = found->binary;
    self->pairing.lanes = found->lanes;
    found->tables = (struct table_set){0};
    pairing_free(found);
    self->paired = true;
    if (self->pairing.tables.count == 0)
        check_say(self, PAIR_FAIL, "no_tables", self->config->pipeline, NULL,
                  "there is no table that could be carried");
}

static bool pair(struct check *self, struct error *err)
{
    struct pairing found;
    if (!pair_tables(self->config, &self->legacy.catalog, self->legacy.conn.version, &self->target.catalog,
                     &found, err))
        return false;
    pgsql_poll_findings(self->config, &self->legacy.catalog, &found);
    check_adopt(self, &found);
    return true;
}

/* A legacy that is no PostgreSQL: a file an engine. */
static bool run_engine(struct check *self, bool data, struct error *err)
{
#ifdef HAVE_FREETDS
    if (self->config->legacy_kind == LEGACY_SQLSERVER) {
        if (!check_mssql(self, data, err))
            return false;
        if (self->target.open)
            check_target(self);
        check_redis(self);
        return true;
    }
#endif
    (void)data;
    return error_set(err, ERROR_REFUSED, "this kind of legacy is not available in this version");
}

/* What the capture promises, and what it can't see. */
static void check_capture(struct check *self)
{
    struct buffer text = {0};
    capture_say(capture_of(self->config), &text);
    check_say(self, PAIR_OK, "capture", "legacy", NULL, "%s", buffer_text(&text));
    buffer_free(&text);
}

static bool run(struct check *self, bool data, struct error *err)
{
    if (config_is_reverse(self->config))
        return check_back(self, err);
    check_capture(self);
    if (self->config->legacy_kind != LEGACY_POSTGRESQL)
        return run_engine(self, data, err);
    open_side(self, &self->legacy, true);
    open_side(self, &self->target, false);
    if (self->legacy.open) {
        if (!pgsql_is_polled(self->config))
            check_legacy(self);
        check_legacy_data(self);
    }
    bool both = self->legacy.open && self->target.open;
    if (both && !pair(self, err))
        return false;
    if (self->target.open)
        check_target(self);
    if (both) {
        check_both(self);
        if (!pgsql_is_polled(self->config))
            check_publication(self);
        check_rights(self);
        check_apply(self);
        check_size(self);
        if (data)
            check_data(self);
    }
    check_redis(self);
    return true;
}

static void print_json(const struct check *self, FILE *out)
{
    cJSON *root = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(root, "findings");
    for (uint32_t i = 0; i < self->pairing.finding_count; i++) {
        const struct pair_finding *f = &self->pairing.findings[i];
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "level", level_names[f->level]);
        cJSON_AddStringToObject(item, "code", f->code);
        cJSON_AddStringToObject(item, "object", f->object);
        cJSON_AddStringToObject(item, "text", f->text);
        if (f->sql)
            cJSON_AddStringToObject(item, "sql", f->sql);
        else
            cJSON_AddNullToObject(item, "sql");
        cJSON_AddItemToArray(list, item);
    }
    char *text = cJSON_Print(root);
    fprintf(out, "%s\n", text ? text : "{}");
    cJSON_free(text);
    cJSON_Delete(root);
}

/* Fails last, so that they are on the screen when it ends. */
static void print_table(const struct check *self, FILE *out)
{
    static const enum pair_level order[] = {PAIR_OK, PAIR_WARN, PAIR_FAIL};
    unsigned counts[3] = {0};
    for (size_t l = 0; l < 3; l++) {
        for (uint32_t i = 0; i < self->pairing.finding_count; i++) {
            const struct pair_finding *f = &self->pairing.findings[i];
            if (f->level != order[l])
                continue;
            counts[f->level]++;
            fprintf(out, "%-4s  %-20s  %s: %s%s%s\n", level_names[f->level], f->code, f->object, f->text,
                    f->sql ? "  --> " : "", f->sql ? f->sql : "");
        }
    }
    fprintf(out, "%u ok, %u to mind, %u to mend first\n", counts[PAIR_OK], counts[PAIR_WARN],
            counts[PAIR_FAIL]);
}

static int exit_status(const struct check *self)
{
    if (self->unreachable)
        return EXIT_UNREACHABLE;
    for (uint32_t i = 0; i < self->pairing.finding_count; i++) {
        if (self->pairing.findings[i].level == PAIR_FAIL)
            return EXIT_ANSWER_NO;
    }
    return EXIT_GOOD;
}

int check_command(const struct config *config, bool data, bool json, FILE *out)
{
    struct check self = {.config = config, .pairing = {.lanes = 1}};
    struct error err = {0};
    int status;
    if (!run(&self, data, &err)) {
        status = command_fail(&err);
    } else {
        (json ? print_json : print_table)(&self, out);
        status = exit_status(&self);
    }
    pg_catalog_free(&self.legacy.catalog);
    pg_catalog_free(&self.target.catalog);
    if (self.legacy.open)
        pg_conn_close(&self.legacy.conn);
    if (self.target.open)
        pg_conn_close(&self.target.conn);
    pairing_free(&self.pairing);
    return status;
}
