/* SPDX-License-Identifier: PostgreSQL */
#include "pgsql/slot.h"

#include <string.h>

#include "base/buffer.h"
#include "model/position.h"
#include "pgsql/sql.h"

struct expected {
    struct pg_conn *conn;
    const char *slot;
    const char *publication;
    const char *insert_publication;
    uint64_t start;
};

static void slot_sql(const struct expected *e, struct buffer *sql)
{
    int version = e->conn->version;
    buffer_puts(sql,
                "SELECT slot_type, plugin, database = pg_catalog.current_database(), database, active_pid, "
                "confirmed_flush_lsn, ");
    buffer_puts(sql, version >= 130000 ? "wal_status, " : "NULL, ");
    if (version >= 170000)
        buffer_puts(sql, "invalidation_reason");
    else if (version >= 160000)
        buffer_puts(sql, "CASE WHEN conflicting THEN 'conflict with recovery' END");
    else
        buffer_puts(sql, "NULL");
    buffer_puts(sql, ", EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubname = ");
    sql_literal(sql, e->publication);
    if (e->insert_publication) {
        buffer_puts(sql, ") AND EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubname = ");
        sql_literal(sql, e->insert_publication);
    }
    char start[POSITION_TEXT_SIZE];
    buffer_puts(sql, "), CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL "
                     "ELSE pg_catalog.pg_current_wal_flush_lsn() END < ");
    sql_literal(sql, position_format(position_lsn(e->start), start));
    buffer_puts(
        sql,
        "::pg_catalog.pg_lsn FROM (SELECT 1) one LEFT JOIN pg_catalog.pg_replication_slots ON slot_name = ");
    sql_literal(sql, e->slot);
}

enum slot_field {
    TYPE,
    PLUGIN,
    OUR_DATABASE,
    DATABASE,
    ACTIVE_PID,
    CONFIRMED,
    WAL_STATUS,
    REASON,
    PUBLICATION,
    BEHIND
};

static const char *field(const PGresult *r, enum slot_field f)
{
    return PQgetisnull(r, 0, (int)f) ? "" : PQgetvalue(r, 0, (int)f);
}

static bool check_kind(const struct expected *e, const PGresult *r, struct error *err)
{
    const char *at = e->conn->endpoint;
    const char *slot = e->slot;
    if (!*field(r, TYPE)) {
        return error_set(
            err, ERROR_FATAL,
            "%s: replication slot \"%s\" does not exist - it was dropped, or the server is not the one "
            "the copy was made from, and changes since are lost - crossfade recopy",
            at, slot);
    }
    if (strcmp(field(r, TYPE), "logical") != 0 || strcmp(field(r, PLUGIN), "pgoutput") != 0) {
        return error_set(
            err, ERROR_FATAL,
            "%s: replication slot \"%s\" is not ours - type %s, plugin \"%s\" instead of logical, "
            "pgoutput - name another slot in the config",
            at, slot, field(r, TYPE), field(r, PLUGIN));
    }
    if (strcmp(field(r, OUR_DATABASE), "t") != 0) {
        return error_set(
            err, ERROR_FATAL,
            "%s: replication slot \"%s\" belongs to database \"%s\" - connect to that one or name "
            "another slot in the config",
            at, slot, field(r, DATABASE));
    }
    return true;
}

static bool check_state(const struct expected *e, const PGresult *r, struct error *err)
{
    const char *at = e->conn->endpoint;
    const char *slot = e->slot;
    const char *reason = field(r, REASON);
    struct position confirmed;
    char start[POSITION_TEXT_SIZE];
    position_format(position_lsn(e->start), start);
    if (strcmp(field(r, WAL_STATUS), "lost") == 0 || *reason) {
        return error_set(
            err, ERROR_FATAL,
            "%s: replication slot \"%s\" is lost (%s) - the server has removed WAL that was not applied "
            "yet - crossfade recopy; raise max_slot_wal_keep_size before",
            at, slot, *reason ? reason : "wal_status lost");
    }
    if (!position_parse(field(r, CONFIRMED), &confirmed))
        return error_set(err, ERROR_RETRY, "%s: unreadable confirmed_flush_lsn \"%s\"", at,
                         field(r, CONFIRMED));
    if (position_compare(confirmed, position_lsn(e->start)) > 0) {
        return error_set(
            err, ERROR_FATAL,
            "%s: slot \"%s\" is confirmed at %s, but only %s is applied: the sink lost its tail - a "
            "restored or failed-over target - crossfade recopy",
            at, slot, field(r, CONFIRMED), start);
    }
    if (strcmp(field(r, BEHIND), "t") == 0) {
        return error_set(
            err, ERROR_FATAL,
            "%s: the server's WAL ends before %s, which is applied: the source lost its tail - a "
            "restored or failed-over source - crossfade recopy",
            at, start);
    }
    if (*field(r, ACTIVE_PID)) {
        return error_set_code(
            err, ERROR_RETRY, "55006",
            "%s: replication slot \"%s\" is in use by server process %s - another replicator runs "
            "this pipeline, or its session has not ended yet",
            at, slot, field(r, ACTIVE_PID));
    }
    if (strcmp(field(r, PUBLICATION), "t") != 0) {
        const char *second = e->insert_publication;
        return error_set(
            err, ERROR_FATAL,
            "%s: publication \"%s\"%s%s%s does not exist - changes made without it can't be decoded - if "
            "it was dropped: create it and crossfade recopy",
            at, e->publication, second ? " or \"" : "", second ? second : "", second ? "\"" : "");
    }
    return true;
}

bool slot_check(struct pg_conn *conn, const char *slot, const char *publication,
                const char *insert_publication, uint64_t start, struct error *err)
{
    struct expected e = {conn, slot, publication, insert_publication, start};
    struct buffer sql = {0};
    slot_sql(&e, &sql);
    PGresult *r = pg_query(conn, buffer_text(&sql), 0, NULL, err);
    buffer_free(&sql);
    if (!r)
        return false;
    bool ok = PQntuples(r) == 1;
    if (!ok)
        error_set(err, ERROR_RETRY, "%s: pg_replication_slots gave %d rows", conn->endpoint, PQntuples(r));
    ok = ok && check_kind(&e, r, err) && check_state(&e, r, err);
    PQclear(r);
    return ok;
}
