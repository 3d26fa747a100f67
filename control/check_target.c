/* SPDX-License-Identifier: PostgreSQL
 *
 * May our role on the target do what apply needs besides writing tables: its own schema, replication origins,
 * session_replication_role, enough connections?
 */
#include "control/check_run.h"

#include <stdlib.h>
#include <string.h>

#include "control/command.h"
#include "pgsql/sql.h"
#include "state/schema.h"

enum { OWN_CONNECTIONS = 4, ORIGINS_GRANTABLE = 140000, PARAMETER_GRANTS = 150000, ORIGINS_SETTING = 180000 };

static bool yes(struct check *self, const char *sql)
{
    char answer[8];
    return check_ask(self, &self->target, sql, answer, sizeof(answer)) && *answer == 't';
}

static void to_role(const struct check *self, const char *before, const char *after, struct buffer *out)
{
    buffer_puts(out, before);
    sql_ident(out, self->target.role);
    buffer_puts(out, after);
}

static void check_schema(struct check *self)
{
    int version = 0;
    struct error err = {0};
    struct buffer sql = {0};
    to_role(self, "CREATE SCHEMA crossfade AUTHORIZATION ", "; -- then: crossfade install", &sql);
    if (!schema_version(&self->target.conn, &version, &err))
        check_say(self, PAIR_FAIL, "schema_crossfade", "target", NULL, "%s", err.text);
    else if (version > SCHEMA_VERSION)
        check_say(self, PAIR_FAIL, "schema_crossfade", "target", NULL,
                  "schema crossfade has version %d, this program knows %d - use the newer program", version,
                  SCHEMA_VERSION);
    else if (version == SCHEMA_VERSION)
        check_say(self, PAIR_OK, "schema_crossfade", "target", NULL, "installed, version %d", version);
    else if (yes(self, "SELECT CASE WHEN to_regnamespace('crossfade') IS NULL"
                       " THEN has_database_privilege(current_database(), 'CREATE')"
                       " ELSE has_schema_privilege('crossfade', 'CREATE, USAGE') END"))
        check_say(self, PAIR_OK, "schema_crossfade", "target", NULL,
                  "not installed yet, but it can be: crossfade install");
    else
        check_say(self, PAIR_FAIL, "schema_crossfade", "target", buffer_text(&sql),
                  "schema crossfade is not installed, and role %s may not create it", self->target.role);
    buffer_free(&sql);
}

/* The functions that origins need, as "name(args)" of those we may not call. */
static void check_origin_rights(struct check *self)
{
    PGresult *r = check_rows(
        self, &self->target,
        "SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace"
        " AND p.proname IN ('pg_replication_origin_create', 'pg_replication_origin_oid',"
        " 'pg_replication_origin_session_setup', 'pg_replication_origin_session_is_setup',"
        " 'pg_replication_origin_xact_setup') AND NOT has_function_privilege(p.oid, 'EXECUTE') ORDER BY 1");
    struct buffer sql = {0};
    for (int i = 0; r && i < PQntuples(r); i++) {
        buffer_printf(&sql, "%sGRANT EXECUTE ON FUNCTION pg_catalog.%s TO ", i ? " " : "",
                      PQgetvalue(r, i, 0));
        sql_ident(&sql, self->target.role);
        buffer_putc(&sql, ';');
    }
    if (self->target.superuser)
        buffer_clear(&sql);
    if (self->target.conn.version < ORIGINS_GRANTABLE && !self->target.superuser)
        check_say(self, PAIR_WARN, "origin", "target", NULL,
                  "replication origins are for superusers before PostgreSQL 14 - a stream the other way will "
                  "know our "
                  "transactions by their progress row");
    else if (sql.length)
        check_say(
            self, PAIR_WARN, "origin", "target", buffer_text(&sql),
            "role %s may not use replication origins - a stream the other way will know our transactions by "
            "their progress row",
            self->target.role);
    else if (r)
        check_say(self, PAIR_OK, "origin", "target", NULL,
                  "transactions are applied under origins of our own");
    buffer_free(&sql);
    PQclear(r);
}

static void check_origin_slots(struct check *self)
{
    char limit[16], used[16];
    bool own = self->target.conn.version >= ORIGINS_SETTING;
    const char *name = own ? "max_active_replication_origins" : "max_replication_slots";
    if (!check_ask(self, &self->target,
                   own ? "SHOW max_active_replication_origins" : "SHOW max_replication_slots", limit,
                   sizeof(limit)) ||
        !check_ask(self, &self->target, "SELECT count(*) FROM pg_replication_origin", used, sizeof(used)))
        return;
    if (atoi(used) + self->pairing.lanes > atoi(limit))
        check_say(self, PAIR_WARN, "origin_slots", "target",
                  "ALTER SYSTEM SET max_replication_slots = '20'; -- then restart",
                  "%s is %s, %s origins exist and %d lanes want one each", name, limit, used,
                  self->pairing.lanes);
}

/* Triggers and foreign keys of the target must not act a second time on what they have done at the source. */
static void check_replica_role(struct check *self)
{
    int version = self->target.conn.version;
    struct buffer sql = {0};
    bool may = self->target.superuser ||
               yes(self, version >= PARAMETER_GRANTS
                             ? "SELECT has_parameter_privilege('session_replication_role', 'SET')"
                               " OR current_setting('session_replication_role') = 'replica'"
                             : "SELECT current_setting('session_replication_role') = 'replica'");
    if (version >= PARAMETER_GRANTS)
        to_role(self, "GRANT SET ON PARAMETER session_replication_role TO ", ";", &sql);
    else
        to_role(self, "ALTER ROLE ", " SET session_replication_role = 'replica';", &sql);
    self->target.conn.replica_role = may;
    if (may)
        check_say(self, PAIR_OK, "replica_role", "target", NULL,
                  "applies as session_replication_role = replica: triggers and foreign keys do not fire");
    else
        check_say(
            self, PAIR_WARN, "replica_role", "target", buffer_text(&sql),
            "role %s may not set session_replication_role: the target's triggers fire on what we apply, and "
            "foreign keys force an order",
            self->target.role);
    buffer_free(&sql);
}

static void check_connections(struct check *self, struct check_side *side, int wanted)
{
    char answer[16];
    if (check_ask(self, side,
                  "SELECT current_setting('max_connections')::int - "
                  "current_setting('superuser_reserved_connections')::int"
                  " - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')",
                  answer, sizeof(answer)) &&
        atoi(answer) < wanted)
        check_say(self, PAIR_WARN, "connections", side->conn.endpoint,
                  "ALTER SYSTEM SET max_connections = '200'; -- then restart",
                  "%s connections are free, up to %d are used - raise max_connections, or use fewer "
                  "backfill.workers",
                  answer, wanted);
    if (check_ask(self, side,
                  "SELECT CASE WHEN rolconnlimit < 0 THEN 1000000 ELSE rolconnlimit END FROM pg_roles"
                  " WHERE rolname = current_user",
                  answer, sizeof(answer)) &&
        atoi(answer) < wanted)
        check_say(self, PAIR_WARN, "connections", side->conn.endpoint, NULL,
                  "role %s may have %s connections, up to %d are used - ALTER ROLE … CONNECTION LIMIT",
                  side->role, answer, wanted);
}

/* Time-outs that role, database or server give are overruled in every session of ours. */
static void check_timeouts(struct check *self, struct check_side *side)
{
    PGresult *r = check_rows(self, side,
                             "SELECT name, reset_val || coalesce(unit, '') FROM pg_settings WHERE name IN"
                             " ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout',"
                             " 'idle_session_timeout', 'transaction_timeout') AND source NOT IN ('default')"
                             " AND reset_val <> '0' ORDER BY name");
    for (int i = 0; r && i < PQntuples(r); i++)
        check_say(self, PAIR_OK, "timeout", side->conn.endpoint, NULL,
                  "%s is %s - our sessions set their own", PQgetvalue(r, i, 0), PQgetvalue(r, i, 1));
    PQclear(r);
}

void check_target(struct check *self)
{
    check_schema(self);
    check_origin_rights(self);
    check_origin_slots(self);
    check_replica_role(self);
    check_connections(self, &self->target,
                      self->config->backfill_workers + self->pairing.lanes + OWN_CONNECTIONS);
    check_timeouts(self, &self->target);
    if (self->legacy.open) {
        check_connections(self, &self->legacy, self->config->backfill_workers + OWN_CONNECTIONS);
        check_timeouts(self, &self->legacy);
    }
}
