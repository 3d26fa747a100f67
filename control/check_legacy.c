/* SPDX-License-Identifier: PostgreSQL
 *
 * Can the legacy database be decoded and streamed from, and how long does it wait for us?
 */
#include "control/check_run.h"

#include <stdlib.h>
#include <string.h>

#include "pgsql/sql.h"

enum { SENDER_TIMEOUT_MS = 10000 };

static void check_wal_level(struct check *self)
{
    char level[40];
    if (!check_ask(self, &self->legacy, "SHOW wal_level", level, sizeof(level)))
        return;
    if (strcmp(level, "logical") == 0)
        check_say(self, PAIR_OK, "wal_level", "legacy", NULL, "wal_level is logical");
    else
        check_say(
            self, PAIR_FAIL, "wal_level", "legacy", "ALTER SYSTEM SET wal_level = 'logical'; -- then restart",
            "wal_level is %s - changes can't be decoded from that; it takes a restart of the server", level);
}

static void check_replication_right(struct check *self)
{
    char answer[8];
    struct buffer sql = {0};
    if (!check_ask(self, &self->legacy,
                   "SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user", answer,
                   sizeof(answer)))
        return;
    buffer_puts(&sql, "ALTER ROLE ");
    sql_ident(&sql, self->legacy.role);
    buffer_puts(&sql, " REPLICATION;");
    if (*answer != 't')
        check_say(self, PAIR_FAIL, "right_replication", "legacy", buffer_text(&sql),
                  "role %s may not make a replication slot or stream", self->legacy.role);
    buffer_free(&sql);
}

/* The slot of ours, if it is there. */
struct slot {
    bool exists;
    bool usable; /* pgoutput, of this database */
    bool active;
    bool lost;
    char plugin[64];
    char database[64];
    char holder[96]; /* application_name, as far as we may see it */
};

static bool read_slot(struct check *self, struct slot *out)
{
    struct buffer sql = {0};
    *out = (struct slot){0};
    buffer_printf(&sql,
                  "SELECT s.plugin, coalesce(s.database, ''), s.active, %s, coalesce(a.application_name, ''),"
                  " coalesce(s.database = current_database(), false)"
                  " FROM pg_replication_slots s LEFT JOIN pg_stat_activity a ON a.pid = s.active_pid"
                  " WHERE s.slot_name = ",
                  self->legacy.conn.version >= 130000 ? "coalesce(s.wal_status = 'lost', false)" : "false");
    sql_literal(&sql, self->config->legacy_slot);
    PGresult *r = check_rows(self, &self->legacy, buffer_text(&sql));
    buffer_free(&sql);
    if (!r)
        return false;
    if (PQntuples(r) == 1) {
        out->exists = true;
        snprintf(out->plugin, sizeof(out->plugin), "%s", PQgetvalue(r, 0, 0));
        snprintf(out->database, sizeof(out->database), "%s", PQgetvalue(r, 0, 1));
        out->active = *PQgetvalue(r, 0, 2) == 't';
        out->lost = *PQgetvalue(r, 0, 3) == 't';
        snprintf(out->holder, sizeof(out->holder), "%s", PQgetvalue(r, 0, 4));
        out->usable = strcmp(out->plugin, "pgoutput") == 0 && *PQgetvalue(r, 0, 5) == 't';
    }
    PQclear(r);
    return true;
}

/* Has this pipeline ever made its slot? Asked of the target, where the intent is written first. */
static bool slot_is_ours(struct check *self)
{
    char answer[8] = "";
    struct error err = {0};
    const char *pipeline = self->config->pipeline;
    if (!self->target.open)
        return true; /* can't tell */
    return pg_query_one(&self->target.conn, "SELECT to_regclass('crossfade.state') IS NOT NULL", 0, NULL,
                        answer, sizeof(answer), NULL, &err) &&
           *answer == 't' &&
           pg_query_one(&self->target.conn,
                        "SELECT EXISTS (SELECT FROM crossfade.state WHERE pipeline = $1"
                        " AND object LIKE 'stream:%')",
                        1, &pipeline, answer, sizeof(answer), NULL, &err) &&
           *answer == 't';
}

static void check_slot(struct check *self, const struct slot *slot)
{
    const char *name = self->config->legacy_slot;
    struct buffer drop = {0}, ours = {0};
    buffer_puts(&drop, "SELECT pg_drop_replication_slot(");
    sql_literal(&drop, name);
    buffer_puts(&drop, ");");
    buffer_printf(&ours, "crossfade:%s:", self->config->pipeline);
    if (!slot->usable)
        check_say(self, PAIR_FAIL, "slot_taken", name, buffer_text(&drop),
                  "a slot of this name exists for another use (plugin %s, database %s) - name another in "
                  "legacy.slot, or drop it if nobody needs it",
                  *slot->plugin ? slot->plugin : "none, physical", *slot->database ? slot->database : "none");
    else if (slot->lost)
        check_say(self, PAIR_FAIL, "slot_lost", name, buffer_text(&drop),
                  "the server has thrown away WAL that the slot needed - the tables have to be copied again");
    else if (!slot_is_ours(self))
        check_say(self, PAIR_FAIL, "slot_taken", name, buffer_text(&drop),
                  "the slot exists already and this pipeline did not make it - name another in legacy.slot, "
                  "or drop "
                  "it if nobody needs it");
    else if (slot->active && strncmp(slot->holder, buffer_text(&ours), ours.length) != 0)
        check_say(self, PAIR_FAIL, "slot_taken", name, NULL, "the slot is in use by another program%s%s",
                  *slot->holder ? ": " : "", slot->holder);
    else
        check_say(self, PAIR_OK, "slot", name, NULL,
                  slot->active ? "in use by this pipeline" : "there, not in use");
    buffer_free(&drop);
    buffer_free(&ours);
}

static void check_slots(struct check *self)
{
    char limit[16], used[16];
    struct slot slot;
    if (!read_slot(self, &slot))
        return;
    if (slot.exists) {
        check_slot(self, &slot);
        return;
    }
    if (!check_ask(self, &self->legacy, "SHOW max_replication_slots", limit, sizeof(limit)) ||
        !check_ask(self, &self->legacy, "SELECT count(*) FROM pg_replication_slots", used, sizeof(used)))
        return;
    if (atoi(used) >= atoi(limit))
        check_say(
            self, PAIR_FAIL, "no_free_slot", "legacy",
            "ALTER SYSTEM SET max_replication_slots = '10'; -- more than are in use, then restart",
            "all %s replication slots are in use - raise max_replication_slots (a restart), or drop one that "
            "nobody needs",
            limit);
    else
        check_say(self, PAIR_OK, "slots", "legacy", NULL, "%s of %s replication slots are in use", used,
                  limit);
}

static void check_senders(struct check *self)
{
    char limit[16], used[16], timeout[16];
    if (!check_ask(self, &self->legacy, "SHOW max_wal_senders", limit, sizeof(limit)) ||
        !check_ask(self, &self->legacy, "SELECT count(*) FROM pg_stat_replication", used, sizeof(used)) ||
        !check_ask(self, &self->legacy, "SELECT setting FROM pg_settings WHERE name = 'wal_sender_timeout'",
                   timeout, sizeof(timeout)))
        return;
    if (atoi(used) >= atoi(limit))
        check_say(self, PAIR_FAIL, "no_free_sender", "legacy",
                  "ALTER SYSTEM SET max_wal_senders = '10'; -- more than are in use, then restart",
                  "all %s WAL senders are in use - raise max_wal_senders (a restart)", limit);
    else
        check_say(self, PAIR_OK, "senders", "legacy", NULL, "%s of %s WAL senders are in use", used, limit);
    if (atoi(timeout) > 0 && atoi(timeout) < SENDER_TIMEOUT_MS)
        check_say(self, PAIR_WARN, "wal_sender_timeout", "legacy",
                  "ALTER SYSTEM SET wal_sender_timeout = '60s'; SELECT pg_reload_conf();",
                  "the server cuts off who is silent for %s ms - a short stall breaks the stream", timeout);
}

/* The connection that streams is another kind, which pg_hba.conf or a pooler may refuse. */
static void check_walsender(struct check *self)
{
    struct pg_conn_options options = {.conninfo = self->config->legacy_conninfo,
                                      .pipeline = self->config->pipeline,
                                      .job = "check",
                                      .endpoint = "legacy",
                                      .replication = true,
                                      .connect_timeout_ms = (int)self->config->connect_timeout_ms};
    struct pg_conn walsender = {0};
    struct error err = {0};
    if (!pg_conn_open(&walsender, &options, &err)) {
        check_say(self, PAIR_FAIL, "replication_connect", "legacy", NULL,
                  "a replication connection is refused - %s", err.text);
        return;
    }
    pg_conn_close(&walsender);
    check_say(self, PAIR_OK, "replication_connect", "legacy", NULL, "a replication connection can be made");
}

/* How much WAL the server keeps for us while we are away, and for how long. */
static void check_retention(struct check *self)
{
    char limit[32] = "-1", idle[32] = "0";
    int version = self->legacy.conn.version;
    if (version < 130000) {
        check_say(self, PAIR_OK, "max_slot_wal_keep_size", "legacy", NULL,
                  "WAL waits for us without limit - watch the disk while the replicator is away");
        return;
    }
    if (!check_ask(self, &self->legacy, "SHOW max_slot_wal_keep_size", limit, sizeof(limit)))
        return;
    if (strcmp(limit, "-1") == 0)
        check_say(self, PAIR_OK, "max_slot_wal_keep_size", "legacy", NULL,
                  "WAL waits for us without limit - watch the disk while the replicator is away");
    else
        check_say(
            self, PAIR_WARN, "max_slot_wal_keep_size", "legacy",
            "ALTER SYSTEM SET max_slot_wal_keep_size = '-1'; SELECT pg_reload_conf();",
            "the server keeps %s of WAL for us at most - the copy, and any time the replicator is away, must "
            "end before that much is written, or everything is copied again",
            limit);
    if (version >= 180000 &&
        check_ask(self, &self->legacy, "SHOW idle_replication_slot_timeout", idle, sizeof(idle)) &&
        strcmp(idle, "0") != 0)
        check_say(self, PAIR_WARN, "idle_replication_slot_timeout", "legacy",
                  "ALTER SYSTEM SET idle_replication_slot_timeout = 0; SELECT pg_reload_conf();",
                  "a slot that nobody reads for %s is given up - a longer stop means copying again", idle);
}

void check_legacy(struct check *self)
{
    check_wal_level(self);
    check_replication_right(self);
    check_slots(self);
    check_senders(self);
    check_walsender(self);
    check_retention(self);
}

void check_legacy_data(struct check *self)
{
    char count[24];
    if (check_ask(self, &self->legacy, "SELECT count(*) FROM pg_largeobject_metadata", count,
                  sizeof(count)) &&
        strcmp(count, "0") != 0)
        check_say(self, PAIR_WARN, "large_objects", "legacy", NULL,
                  "%s large objects are not carried: logical replication does not know them", count);
    if (check_ask(self, &self->legacy,
                  "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                  " WHERE c.relkind = 'S' AND n.nspname !~ '^pg_' AND n.nspname <> 'crossfade'",
                  count, sizeof(count)) &&
        strcmp(count, "0") != 0)
        check_say(
            self, PAIR_WARN, "sequences", "legacy", NULL,
            "%s sequences (identity columns' included) are not streamed - set the target's before anybody "
            "else writes there",
            count);
}
