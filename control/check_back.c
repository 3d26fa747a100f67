/* SPDX-License-Identifier: PostgreSQL
 *
 * The reverse direction: can the target be decoded and streamed from, does every table fit the way back, and
 * may we write what we have to on the legacy side?
 */
#include "control/check_run.h"

#include <string.h>

#include "legacy/legacy_sink.h"
#include "pgsql/sql.h"

static void wal_level(struct check *self)
{
    char level[40];
    if (!check_ask(self, &self->target, "SHOW wal_level", level, sizeof(level)))
        return;
    if (strcmp(level, "logical") == 0)
        check_say(self, PAIR_OK, "wal_level", "target", NULL, "wal_level is logical");
    else
        check_say(
            self, PAIR_FAIL, "wal_level", "target", "ALTER SYSTEM SET wal_level = 'logical'; -- then restart",
            "wal_level is %s - changes can't be decoded from that; it takes a restart of the server", level);
}

static void replication_right(struct check *self)
{
    char answer[8];
    struct buffer sql = {0};
    if (!check_ask(self, &self->target,
                   "SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user", answer,
                   sizeof(answer)))
        return;
    buffer_puts(&sql, "ALTER ROLE ");
    sql_ident(&sql, self->target.role);
    buffer_puts(&sql, " REPLICATION;");
    if (*answer != 't')
        check_say(self, PAIR_FAIL, "right_replication", "target", buffer_text(&sql),
                  "role %s may not make a replication slot or stream", self->target.role);
    buffer_free(&sql);
}

static void walsender(struct check *self)
{
    struct pg_conn_options options = {.conninfo = self->config->target_conninfo,
                                      .pipeline = self->config->pipeline,
                                      .job = "check",
                                      .endpoint = "target",
                                      .replication = true,
                                      .connect_timeout_ms = (int)self->config->connect_timeout_ms};
    struct pg_conn conn = {0};
    struct error err = {0};
    if (!pg_conn_open(&conn, &options, &err)) {
        check_say(self, PAIR_FAIL, "replication_connect", "target", NULL,
                  "a replication connection is refused - %s", err.text);
        return;
    }
    pg_conn_close(&conn);
    check_say(self, PAIR_OK, "replication_connect", "target", NULL, "a replication connection can be made");
}

static void rights(struct check *self, struct legacy_sink *sink)
{
    struct buffer grants = {0};
    struct error err = {0};
    if (!sink->ops->rights(sink, &self->pairing.tables, &grants, &err))
        check_say(self, PAIR_WARN, "query_failed", "legacy", NULL, "could not be looked at - %s", err.text);
    else if (grants.length)
        check_say(self, PAIR_FAIL, "right_back", "legacy", buffer_text(&grants),
                  "the legacy's login may not write what the way back needs");
    else
        check_say(self, PAIR_OK, "right_back", "legacy", NULL, "the tables can be written to");
    buffer_free(&grants);
}

static bool pair_back(struct check *self, struct legacy_sink *sink, struct error *err)
{
    struct legacy_notes notes = {.config = self->config, .target = &self->target.conn};
    struct pairing found;
    if (!sink->ops->pair(sink, &notes, &self->target.catalog, self->target.conn.version, &found, err)) {
        check_unreachable(self, "legacy", err);
        return err->kind != ERROR_CONFIG;
    }
    check_adopt(self, &found);
    rights(self, sink);
    return true;
}

bool check_back(struct check *self, struct error *err)
{
    struct legacy_options o = {
        .config = self->config, .job = "check", .connect_timeout_ms = (int)self->config->connect_timeout_ms};
    struct legacy_sink *sink = NULL;
    bool ok = true;
    check_open_target(self);
    if (!legacy_sink_open(&o, &sink, err))
        check_unreachable(self, "legacy", err);
    if (self->target.open) {
        wal_level(self);
        replication_right(self);
        walsender(self);
        check_target(self);
        ok = !sink || pair_back(self, sink, err);
    }
    legacy_sink_close(sink);
    check_redis(self);
    return ok;
}
