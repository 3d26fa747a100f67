/* SPDX-License-Identifier: PostgreSQL
 *
 * What can be wrong with a session to either side before any table is looked at: the server's version, what
 * it is (a standby?), its encoding, and what stands between it and us. A transaction pooler hands our
 * settings, prepared statements and replication origins to others: refused. It is known by its giving one
 * server process to two of our sessions.
 */
#include "control/check_run.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "control/command.h"
#include "pgsql/sql.h"

enum { LEGACY_OLDEST = 100000, TARGET_OLDEST = 120000, NEWEST = 190000, CLOCK_SKEW_MS = 1000 };

static void check_version(struct check *self, struct check_side *side)
{
    const char *endpoint = side->conn.endpoint;
    bool legacy = side == &self->legacy;
    int version = side->conn.version, oldest = legacy ? LEGACY_OLDEST : TARGET_OLDEST;
    const char *text = PQparameterStatus(side->conn.pg, "server_version");
    if (version < oldest)
        check_say(self, PAIR_FAIL, "version", endpoint, NULL,
                  "PostgreSQL %s is too old - %d is the oldest that works", text, oldest / 10000);
    else if (version >= NEWEST)
        check_say(self, PAIR_WARN, "version", endpoint, NULL,
                  "PostgreSQL %s is newer than this program was tried with", text);
    else if (legacy)
        check_say(self, PAIR_OK, "version", endpoint, NULL, "PostgreSQL %s%s%s%s", text,
                  version < 140000 ? ", values are streamed as text (binary from 14)"
                                   : ", values are streamed in binary",
                  version < 130000
                      ? ", partitioned tables are carried partition by partition (from 13: whole)"
                      : "",
                  version < 110000 ? ", TRUNCATE is not streamed (from 11)" : "");
    else
        check_say(self, PAIR_OK, "version", endpoint, NULL, "PostgreSQL %s%s", text,
                  version < 140000 ? ", replication origins need a superuser (from 14: a grant)" : "");
}

static void check_standby(struct check *self, struct check_side *side)
{
    char answer[8];
    if (check_ask(self, side, "SELECT pg_is_in_recovery()", answer, sizeof(answer)) && *answer == 't')
        check_say(self, PAIR_FAIL, "standby", side->conn.endpoint, NULL,
                  "this is a standby - name the primary in the connection string (several hosts with "
                  "target_session_attrs=read-write follow a fail-over)");
}

static void check_encoding(struct check *self, struct check_side *side)
{
    const char *encoding = PQparameterStatus(side->conn.pg, "server_encoding");
    if (!encoding || strcmp(encoding, "UTF8") == 0)
        return;
    if (strcmp(encoding, "SQL_ASCII") == 0)
        check_say(
            self, PAIR_WARN, "sql_ascii", side->conn.endpoint, NULL,
            "the database's encoding is SQL_ASCII: nobody has ever checked its texts - what is not UTF-8 is "
            "refused and ends in quarantine");
    else
        check_say(self, side == &self->target ? PAIR_WARN : PAIR_OK, "encoding", side->conn.endpoint, NULL,
                  side == &self->target
                      ? "the database's encoding is %s - characters that it lacks are refused"
                      : "the database's encoding is %s, texts are converted to UTF-8",
                  encoding);
}

static void say_transaction_pooler(struct check *self, const struct check_side *side)
{
    check_say(
        self, PAIR_FAIL, "pooler", side->conn.endpoint, NULL,
        "a pooler in transaction mode stands between: two sessions of ours were given one server process - "
        "connect to the server itself");
}

/* Does a second session, while the first is idle, run in the first one's process? */
static bool shares_process(struct check *self, struct check_side *side, const char *pid)
{
    struct pg_conn other = {0};
    struct error err = {0};
    char second[32] = "";
    bool open = side == &self->legacy ? session_legacy(self->config, &other, &err)
                                      : session_target_bare(self->config, &other, &err);
    if (!open)
        return false;
    bool same =
        pg_query_one(&other, "SELECT pg_backend_pid()", 0, NULL, second, sizeof(second), NULL, &err) &&
        strcmp(second, pid) == 0;
    pg_conn_close(&other);
    return same;
}

static void check_pooler(struct check *self, struct check_side *side)
{
    char pid[32], again[32], told[32];
    if (!check_ask(self, side, "SELECT pg_backend_pid()", pid, sizeof(pid)))
        return;
    snprintf(told, sizeof(told), "%d", PQbackendPID(side->conn.pg));
    if (shares_process(self, side, pid) ||
        (check_ask(self, side, "SELECT pg_backend_pid()", again, sizeof(again)) && strcmp(again, pid) != 0))
        say_transaction_pooler(self, side);
    else if (strcmp(told, pid) != 0)
        check_say(self, PAIR_WARN, "pooler", side->conn.endpoint, NULL,
                  "a pooler stands between (in session mode, it seems) - cancelling may not get through it; "
                  "connect "
                  "to the server itself if you can");
}

void check_session(struct check *self, struct check_side *side)
{
    check_version(self, side);
    check_standby(self, side);
    check_encoding(self, side);
    check_pooler(self, side);
}

static bool clock_of(struct check *self, struct check_side *side, int64_t *skew_ms)
{
    char answer[40];
    int64_t before = clock_wall_us();
    if (!check_ask(self, side, "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8", answer,
                   sizeof(answer)))
        return false;
    int64_t after = clock_wall_us();
    *skew_ms = (strtoll(answer, NULL, 10) - (before + after) / 2) / 1000;
    return true;
}

static void check_clocks(struct check *self)
{
    int64_t legacy, target;
    if (!clock_of(self, &self->legacy, &legacy) || !clock_of(self, &self->target, &target))
        return;
    bool much = llabs(legacy) > CLOCK_SKEW_MS || llabs(target) > CLOCK_SKEW_MS;
    check_say(self, PAIR_OK, "clock", self->config->pipeline, NULL,
              "the legacy's clock differs from ours by %" PRId64 " ms, the target's by %" PRId64
              " ms - nothing is decided by it%s",
              legacy, target, much ? ", but lag_ms will show it" : "");
}

static void check_same_database(struct check *self)
{
    /* Two servers may be copies of one data directory; they have not been started at the same microsecond. */
    static const char sql[] =
        "SELECT concat_ws(' ', system_identifier, pg_postmaster_start_time(), current_database())"
        " FROM pg_control_system()";
    char legacy[200], target[200];
    struct error err = {0};
    if (!pg_query_one(&self->legacy.conn, sql, 0, NULL, legacy, sizeof(legacy), NULL, &err) ||
        !pg_query_one(&self->target.conn, sql, 0, NULL, target, sizeof(target), NULL, &err))
        return; /* a provider may keep it to itself */
    if (strcmp(legacy, target) == 0)
        check_say(self, PAIR_FAIL, "same_database", self->config->pipeline, NULL,
                  "legacy and target are one and the same database");
}

static void check_extensions(struct check *self)
{
    PGresult *theirs = check_rows(self, &self->legacy, "SELECT extname FROM pg_extension ORDER BY extname");
    PGresult *ours = check_rows(self, &self->target, "SELECT extname FROM pg_extension");
    for (int i = 0; theirs && ours && i < PQntuples(theirs); i++) {
        const char *name = PQgetvalue(theirs, i, 0);
        bool found = false;
        for (int j = 0; j < PQntuples(ours); j++)
            found |= strcmp(PQgetvalue(ours, j, 0), name) == 0;
        if (found)
            continue;
        struct buffer sql = {0};
        buffer_puts(&sql, "CREATE EXTENSION ");
        sql_ident(&sql, name);
        buffer_putc(&sql, ';');
        check_say(self, PAIR_WARN, "extension_missing", name, buffer_text(&sql),
                  "the legacy database has this extension, the target has not - its types and functions are "
                  "missing "
                  "there");
        buffer_free(&sql);
    }
    PQclear(theirs);
    PQclear(ours);
}

void check_both(struct check *self)
{
    check_same_database(self);
    check_extensions(self);
    check_clocks(self);
}
