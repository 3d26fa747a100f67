/* SPDX-License-Identifier: PostgreSQL
 *
 * The server, the database and our connection to them: what decides whether, and how, it can be read. Each
 * kind of SQL Server that there is gets its line, the good ones too.
 */
#include "control/check_mssql.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "mssql/sql.h"

enum { NEWEST = 17, COMPATIBILITY = 130, STANDARD_FROM_BUILD = 4001, SKEW_MS = 1000 };

/* ALTER DATABASE [name] SET … */
static void alter_sql(const struct check_mssql *self, const char *what, struct buffer *out)
{
    buffer_puts(out, "ALTER DATABASE ");
    ms_sql_ident(out, self->catalog.database.name);
    buffer_printf(out, " SET %s;", what);
}

static void check_version(struct check_mssql *self)
{
    const struct ms_database *d = &self->catalog.database;
    if (self->conn.version > NEWEST)
        check_say(self->check, PAIR_WARN, "version", "legacy", NULL,
                  "SQL Server %s, %s, is newer than this program was tried with", self->conn.product,
                  self->server.edition);
    else
        check_say(self->check, PAIR_OK, "version", "legacy", NULL, "SQL Server %s, %s", self->conn.product,
                  self->server.edition);
    if (d->compatibility < COMPATIBILITY) {
        struct buffer sql = {0};
        alter_sql(self, "COMPATIBILITY_LEVEL = 130", &sql);
        check_say(self->check, PAIR_FAIL, "compatibility", d->name, buffer_text(&sql),
                  "the database's compatibility level is %d - 130 is the lowest that works; try the "
                  "application with it first",
                  d->compatibility);
        buffer_free(&sql);
    } else {
        check_say(self->check, PAIR_OK, "compatibility", d->name, NULL, "compatibility level %d",
                  d->compatibility);
    }
}

static void check_azure(struct check_mssql *self)
{
    const char *o = self->server.objective;
    bool small = strcasecmp(o, "Basic") == 0 || strcasecmp(o, "S0") == 0 || strcasecmp(o, "S1") == 0 ||
                 strcasecmp(o, "S2") == 0;
    if (small && check_mssql_uses_cdc(self))
        check_say(self->check, PAIR_FAIL, "edition", "legacy", NULL,
                  "Azure SQL Database of service objective %s has no change data capture - scale it to S3 or "
                  "a vCore objective",
                  o);
    else
        check_say(self->check, PAIR_OK, "edition", "legacy", NULL,
                  "Azure SQL Database %s: a scheduler of its own does the Agent's jobs (capture every 20 s, "
                  "clean-up every hour); only SQL logins work, an Entra token does not",
                  o);
}

/* Change data capture is Enterprise's, and Standard's from 2016 SP1; Express has no Agent to run it. */
static void check_edition(struct check_mssql *self)
{
    int major = 0, minor = 0, build = 0;
    bool cdc = check_mssql_uses_cdc(self);
    sscanf(self->conn.product, "%d.%d.%d", &major, &minor, &build);
    if (self->conn.edition == MS_EDITION_AZURE_DATABASE)
        check_azure(self);
    else if (self->conn.edition == MS_EDITION_EXPRESS && cdc)
        check_say(self->check, PAIR_FAIL, "edition", "legacy", NULL,
                  "%s has no SQL Server Agent, so nothing runs change data capture - capture by rowversion "
                  "or change_tracking instead",
                  self->server.edition);
    else if (self->conn.edition == MS_EDITION_STANDARD && cdc && major == 13 && build < STANDARD_FROM_BUILD)
        check_say(self->check, PAIR_FAIL, "edition", "legacy", NULL,
                  "%s has change data capture only from 2016 SP1 (13.0.4001)", self->server.edition);
    else
        check_say(self->check, PAIR_OK, "edition", "legacy", NULL, "%s has what the chosen capture needs",
                  self->server.edition);
}

static void check_login(struct check_mssql *self)
{
    static const char *const ways[] = {"a SQL Server login", "Kerberos", "NTLM"};
    const struct config *c = self->check->config;
    check_say(self->check, PAIR_OK, "login", "legacy", NULL,
              "logged in as %s by %s%s%s - Entra tokens are not available", self->server.login,
              ways[c->sqlserver.auth], *self->server.auth ? ", the server says " : "", self->server.auth);
    if (c->sqlserver.auth == SQLSERVER_AUTH_KERBEROS && *self->server.auth &&
        strcasecmp(self->server.auth, "KERBEROS") != 0)
        check_say(self->check, PAIR_WARN, "login", "legacy", NULL,
                  "Kerberos was asked for, the server says %s - look at legacy.spn", self->server.auth);
}

static void check_encryption(struct check_mssql *self)
{
    const struct config_sqlserver *c = &self->check->config->sqlserver;
    struct error err = {0};
    bool encrypted = false, known = self->server.view_state;
    if (known && !ms_estate_encrypted(&self->conn, &encrypted, &err))
        known = check_mssql_failed(self, "legacy", &err);
    if (c->encrypt == SQLSERVER_OFF || (known && !encrypted))
        check_say(self->check, PAIR_WARN, "encryption", "legacy", NULL,
                  "the connection is not encrypted%s - set legacy.encrypt to \"require\"",
                  c->encrypt == SQLSERVER_OFF ? ", the password neither" : "");
    else if (c->encrypt == SQLSERVER_REQUEST)
        check_say(self->check, PAIR_WARN, "encryption", "legacy", NULL,
                  "encryption is only requested, so that who stands between can do without - set "
                  "legacy.encrypt to \"require\"");
    else if (c->trust_server_certificate)
        check_say(self->check, PAIR_WARN, "encryption", "legacy", NULL,
                  "encrypted, but to whoever answers: legacy.trust_server_certificate is on");
    else
        check_say(self->check, PAIR_OK, "encryption", "legacy", NULL,
                  "encrypted, the certificate is verified%s", c->hostname ? " and is for that host" : "");
}

static void check_availability(struct check_mssql *self)
{
    const struct ms_database *d = &self->catalog.database;
    if (!self->server.writable && self->server.in_group)
        check_say(self->check, PAIR_FAIL, "availability_group", d->name, NULL,
                  "this is a readable secondary - connect to the listener: markers are written, and only the "
                  "primary has the newest rows");
    else if (d->read_only || !self->server.writable)
        check_say(self->check, PAIR_FAIL, "read_only", d->name, NULL,
                  "the database is read-only - markers have to be written there");
    else if (self->server.in_group)
        check_say(self->check, PAIR_OK, "availability_group", d->name, NULL,
                  "the database is of an availability group - connect to its listener; capture goes only as "
                  "far as the slowest secondary has got, and each replica needs the cdc jobs "
                  "(sys.sp_cdc_add_job there after a failover)");
    if (self->server.published)
        check_say(self->check, PAIR_OK, "transactional_replication", d->name, NULL,
                  "the database is published: its Log Reader Agent fills the change tables, there is no "
                  "capture job, and how late changes come is that agent's setting");
}

static void check_log(struct check_mssql *self)
{
    const struct ms_database *d = &self->catalog.database;
    const char *wait = d->log_reuse_wait && *d->log_reuse_wait ? d->log_reuse_wait : "NOTHING";
    if (strcmp(wait, "REPLICATION") == 0)
        check_say(self->check, PAIR_WARN, "log_reuse", d->name, "EXEC sys.sp_cdc_start_job N'capture';",
                  "the log can't be truncated because capture has not read it yet - if that stays, the job "
                  "does not keep up or does not run, and the log grows");
    else if (strcmp(wait, "AVAILABILITY_REPLICA") == 0)
        check_say(self->check, PAIR_WARN, "log_reuse", d->name, NULL,
                  "the log waits for a secondary, and so does capture");
    else
        check_say(self->check, PAIR_OK, "log_reuse", d->name, NULL, "the log waits for %s, not for capture",
                  wait);
}

static void check_isolation(struct check_mssql *self)
{
    const struct ms_database *d = &self->catalog.database;
    struct buffer sql = {0};
    alter_sql(self, "ALLOW_SNAPSHOT_ISOLATION ON", &sql);
    if (d->snapshot_allowed)
        check_say(self->check, PAIR_OK, "snapshot_isolation", d->name, NULL,
                  "rows are copied under SNAPSHOT: nobody waits for us - the version store of tempdb keeps "
                  "what is changed while a chunk is read (READ_COMMITTED_SNAPSHOT is %s)",
                  d->read_committed_snapshot ? "ON" : "OFF");
    else
        check_say(self->check, PAIR_WARN, "snapshot_isolation", d->name, buffer_text(&sql),
                  "SNAPSHOT isolation is not allowed: rows are copied under READ COMMITTED, which is as good "
                  "but %s - allowing it costs 14 bytes a changed row and the version store in tempdb",
                  d->read_committed_snapshot ? "reads a table without a key under one lock"
                                             : "waits for writers and lets them wait");
    buffer_free(&sql);
}

static void check_database(struct check_mssql *self)
{
    const struct ms_database *d = &self->catalog.database;
    const char *collation = d->collation ? d->collation : "?";
    bool cs, as, binary, utf8;
    ms_catalog_collation(collation, &cs, &as, &binary, &utf8);
    check_say(self->check, PAIR_OK, "catalog_collation", d->name, NULL, "%s: names in the config %s",
              collation,
              cs ? "must be written as the catalog has them" : "are matched as the catalog writes them");
    if (d->encrypted)
        check_say(self->check, PAIR_OK, "tde", d->name, NULL,
                  "the files are encrypted (TDE): nothing to do, what we read is plain - encrypt the "
                  "target's disk too");
}

/* On schema cdc: a capture instance that can be read is known by its min LSN (capture_denied), the mapping of
 * LSNs to times by this. */
static void check_rights_there(struct check_mssql *self)
{
    const struct ms_database *d = &self->catalog.database;
    struct buffer user = {0}, sql = {0};
    ms_sql_ident(&user, self->server.login);
    if (!self->server.view_definition) {
        buffer_printf(&sql, "GRANT VIEW DEFINITION TO %s;", buffer_text(&user));
        check_say(self->check, PAIR_WARN, "right_view_definition", d->name, buffer_text(&sql),
                  "the login may not see all definitions: a security policy that hides rows from us would go "
                  "unnoticed, and `crossfade schema` lacks defaults and checks");
        buffer_clear(&sql);
    }
    if (!d->view_state) {
        buffer_printf(&sql, "GRANT VIEW DATABASE STATE TO %s;", buffer_text(&user));
        check_say(self->check, PAIR_WARN, "right_view_state", d->name, buffer_text(&sql),
                  "the login may not see how capture is doing (VIEW DATABASE STATE)");
        buffer_clear(&sql);
    }
    if (d->cdc && !self->server.cdc_select) {
        buffer_printf(&sql, "GRANT SELECT ON SCHEMA::[cdc] TO %s;", buffer_text(&user));
        check_say(self->check, PAIR_FAIL, "right_missing", "schema cdc", buffer_text(&sql),
                  "login %s may not SELECT from schema cdc, where the changes are", self->server.login);
    }
    buffer_free(&user);
    buffer_free(&sql);
}

static void check_clock(struct check_mssql *self)
{
    struct error err = {0};
    int64_t theirs, before = clock_wall_us();
    if (!ms_estate_clock(&self->conn, &theirs, &err)) {
        check_mssql_failed(self, "legacy", &err);
        return;
    }
    int64_t skew = (theirs - (before + clock_wall_us()) / 2) / 1000;
    check_say(self->check, PAIR_OK, "clock", self->check->config->pipeline, NULL,
              "the legacy's clock differs from ours by %" PRId64 " ms and is %d min east of UTC - nothing is "
              "decided by it%s",
              skew, self->catalog.database.zone_minutes,
              llabs(skew) > SKEW_MS ? ", but lag_ms will show it" : "");
}

void check_mssql_server(struct check_mssql *self)
{
    struct error err = {0};
    if (!ms_estate_server(&self->conn, &self->server, &err))
        check_mssql_failed(self, "legacy", &err);
    check_version(self);
    check_edition(self);
    check_login(self);
    check_encryption(self);
    check_availability(self);
    check_log(self);
    check_isolation(self);
    check_database(self);
    check_rights_there(self);
    check_clock(self);
}
