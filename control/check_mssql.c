/* SPDX-License-Identifier: PostgreSQL
 *
 * Runs the parts for a SQL Server legacy. To the parts that are asked about the target alone the legacy is
 * its catalog with carrier types (src/legacy/mssql_bridge.h).
 */
#include "control/check_mssql.h"

#include <stdlib.h>

#include "legacy/legacy_mssql.h"
#include "legacy/mssql_bridge.h"
#include "pgsql/pair_names.h"

bool check_mssql_failed(struct check_mssql *self, const char *object, const struct error *err)
{
    check_say(self->check, PAIR_WARN, "query_failed", object, NULL, "could not be looked at - %s", err->text);
    return false;
}

bool check_mssql_wants(const struct check_mssql *self, const struct ms_catalog_table *t)
{
    const struct config *c = self->check->config;
    for (int i = 0; !c->all_tables && i < c->table_count; i++) {
        if (pair_name_means(c->tables[i].from, t->schema, t->name))
            return true;
    }
    return c->all_tables;
}

enum capture_kind check_mssql_kind(const struct check_mssql *self, const struct ms_catalog_table *t)
{
    const struct config *c = self->check->config;
    for (int i = 0; i < c->table_count; i++) {
        if (pair_name_means(c->tables[i].from, t->schema, t->name))
            return c->tables[i].capture;
    }
    return c->legacy_capture;
}

bool check_mssql_uses_cdc(const struct check_mssql *self)
{
    for (uint32_t i = 0; i < self->catalog.count; i++) {
        const struct ms_catalog_table *t = &self->catalog.tables[i];
        if (check_mssql_wants(self, t) && check_mssql_kind(self, t) == CAPTURE_CDC)
            return true;
    }
    return self->catalog.count == 0;
}

char *check_mssql_name(const struct ms_catalog_table *t, const struct ms_catalog_column *c)
{
    struct buffer out = {0};
    buffer_printf(&out, "%s.%s%s%s", t->schema, t->name, c ? "." : "", c ? c->name : "");
    return buffer_detach(&out);
}

/* False: the config can't be understood. */
static bool pair(struct check_mssql *self, struct error *err)
{
    struct check *check = self->check;
    struct pairing found;
    mssql_bridge_catalog(&self->catalog, &check->target.catalog, &check->legacy.catalog);
    struct mssql_zones zones = {0};
    if (!mssql_bridge_pair(check->config, &self->catalog, &check->target.catalog, &found, err))
        return false;
    bool ok = mssql_zones_look(&zones, check->config, &check->target.conn, &found, err);
    mssql_zones_free(&zones);
    if (!ok) {
        pairing_free(&found);
        return false;
    }
    mssql_capture_findings(check->config, &self->catalog, &found);
    check_adopt(check, &found);
    return true;
}

static bool open_legacy(struct check_mssql *self)
{
    const struct config *c = self->check->config;
    struct legacy_options o = {.config = c, .job = "check", .connect_timeout_ms = (int)c->connect_timeout_ms};
    struct error err = {0};
    if (!mssql_connect(&o, &self->conn, &err)) {
        check_unreachable(self->check, "legacy", &err);
        return false;
    }
    if (!ms_catalog_read(&self->conn, &self->catalog, &err)) {
        check_unreachable(self->check, self->conn.where, &err);
        return false;
    }
    return true;
}

/* What only the legacy is asked for. */
static void look(struct check_mssql *self)
{
    struct error err = {0};
    if (!ms_estate_objects(&self->conn, &self->objects, &err))
        check_mssql_failed(self, "legacy", &err);
    check_mssql_server(self);
    check_mssql_capture(self);
    check_mssql_tables(self);
}

bool check_mssql(struct check *check, bool data, struct error *err)
{
    struct check_mssql self = {.check = check};
    bool ok = true, open = open_legacy(&self);
    check_open_target(check);
    bool both = open && check->target.open;
    if (both)
        ok = pair(&self, err);
    if (open && ok)
        look(&self);
    if (ok && both) {
        check_rights(check);
        check_apply(check);
        check_size(check);
    }
    if (ok && both && data) {
        check_mssql_data(&self);
        check_mssql_collisions(&self);
    }
    ms_conn_close(&self.conn);
    ms_catalog_free(&self.catalog);
    ms_estate_objects_free(&self.objects);
    return ok;
}
