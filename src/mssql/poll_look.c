/* SPDX-License-Identifier: PostgreSQL
 *
 * What a round begins with: definitions that changed, histories that are gone, where the source stands, and
 * how far the round goes.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "mssql/poll_part.h"

enum { ROUND_ROWS = 20000 };

/* --- tables --- */

void ms_poll_tables_free(struct ms_poll *self)
{
    for (uint32_t i = 0; i < self->count; i++)
        ms_poll_table_free(&self->tables[i]);
    free(self->tables);
    self->tables = NULL;
    self->count = 0;
}

/* What was lost stays so; what was seen of a table's tracking too. */
static bool make_tables(struct ms_poll *self, struct error *err)
{
    struct ms_catalog catalog;
    uint32_t count = self->o.tables->count;
    if (!ms_catalog_read(&self->conn, &catalog, err))
        return false;
    struct ms_poll_table *made = mem_alloc((count + (size_t)1) * sizeof(*made));
    self->snapshot = catalog.database.snapshot_allowed;
    for (uint32_t i = 0; i < count; i++) {
        ms_poll_table_make(&catalog, &self->o, self->o.tables->tables[i], &made[i]);
        if (!self->tables)
            continue;
        made[i].begun = self->tables[i].begun;
        made[i].told = self->tables[i].told;
        made[i].nulls |= self->tables[i].nulls;
        made[i].begun_reading = self->tables[i].begun_reading;
        made[i].seen = self->tables[i].seen;
        self->tables[i].seen = (struct seen){0};
        if (self->tables[i].lost && !made[i].lost)
            ms_poll_table_lose(&made[i], "%s", self->tables[i].text);
    }
    ms_poll_tables_free(self);
    self->tables = made;
    self->count = count;
    ms_catalog_free(&catalog);
    return true;
}

static bool all_lost(const struct ms_poll *self)
{
    for (uint32_t i = 0; i < self->count; i++) {
        if (!self->tables[i].lost)
            return false;
    }
    return self->count > 0;
}

/* Definitions are looked at again when the server says that some table's changed. */
bool ms_poll_look_at_definitions(struct ms_poll *self, struct error *err)
{
    char now[64];
    if (!ms_query_one(&self->conn,
                      "SELECT CONVERT(nvarchar(30), MAX(t.modify_date), 126) FROM sys.tables AS t", now,
                      sizeof(now), NULL, err))
        return false;
    if (self->defined && strcmp(self->defined, now) == 0)
        return true;
    free(self->defined);
    self->defined = mem_strdup(now);
    return make_tables(self, err);
}

/* --- change tracking --- */

struct tracked {
    struct ms_poll *self;
    bool *seen;
};

/* Behind which version must this table's history be whole? */
uint64_t ms_poll_base(const struct ms_poll *self, const struct ms_poll_table *t)
{
    struct position copied = t->table->captured_from;
    return copied.kind == POSITION_VERSION && copied.low > self->from.low ? copied.low : self->from.low;
}

static void judge_tracked(struct ms_poll *self, struct ms_poll_table *t, struct ms_conn *conn)
{
    const char *name = t->table->from;
    int64_t least = ms_column(conn, 1).data ? ms_column_int(conn, 1) : -1;
    int64_t begun = ms_column_int(conn, 2);
    uint64_t base = ms_poll_base(self, t);
    if (t->begun < 0 && t->table->captured_from.kind == POSITION_VERSION)
        t->begun = (int64_t)t->table->captured_from.low;
    if (t->lost)
        return;
    if (least < 0)
        ms_poll_table_lose(t,
                           "the lowest valid version of %.130s can't be seen - GRANT VIEW CHANGE TRACKING ON "
                           "%.130s to the login, then crossfade recopy --table %.130s",
                           name, name, name);
    else if (begun > (t->begun < 0 ? (int64_t)base : t->begun))
        ms_poll_table_lose(
            t,
            "change tracking of %.130s began anew at version %" PRId64
            " (TRUNCATE TABLE, or it was switched off and on) - crossfade recopy --table %.130s",
            name, begun, name);
    else if ((uint64_t)least > base)
        ms_poll_table_lose(t,
                           "the history of %.130s is gone: changes are kept from version %" PRId64
                           " on, we stand at %" PRIu64
                           " - raise CHANGE_RETENTION, then crossfade recopy --table %.130s",
                           name, least, base, name);
    else if (t->begun < 0)
        t->begun = begun;
}

static bool take_tracked(void *context, struct ms_conn *conn, struct error *err)
{
    struct tracked *k = context;
    int64_t id = ms_column_int(conn, 0);
    (void)err;
    for (uint32_t i = 0; i < k->self->count; i++) {
        if (k->self->tables[i].object_id != id)
            continue;
        k->seen[i] = true;
        judge_tracked(k->self, &k->self->tables[i], conn);
    }
    return true;
}

/* Is the history of each table whole behind where we stand? Not inside a SNAPSHOT transaction. */
bool ms_poll_look_at_history(struct ms_poll *self, struct error *err)
{
    struct tracked k = {.self = self, .seen = mem_alloc(self->count + (size_t)1)};
    bool ok = ms_query(&self->conn,
                       "SELECT t.object_id, CHANGE_TRACKING_MIN_VALID_VERSION(t.object_id), t.begin_version"
                       " FROM sys.change_tracking_tables AS t",
                       take_tracked, &k, err);
    for (uint32_t i = 0; i < self->count && ok; i++) {
        struct ms_poll_table *t = &self->tables[i];
        if (!k.seen[i] && !t->lost)
            ms_poll_table_lose(
                t,
                "change tracking is off for %.130s, its changes are missing - ALTER TABLE … ENABLE "
                "CHANGE_TRACKING, then crossfade recopy --table %.130s",
                t->table->from, t->table->from);
    }
    free(k.seen);
    if (ok && self->o.capture == CAPTURE_CHANGE_TRACKING && all_lost(self))
        return error_set(err, ERROR_FATAL, "%s", self->tables[0].text);
    return ok;
}

/* --- where the source stands --- */

struct standing {
    bool tracked; /* change tracking is on */
    uint64_t at;
    uint64_t used; /* rowversion: the last number given out */
    int64_t time_us;
    int64_t zone_minutes;
};

static bool take_standing(void *context, struct ms_conn *conn, struct error *err)
{
    struct standing *s = context;
    (void)err;
    s->tracked = ms_column(conn, 0).data != NULL;
    s->at = (uint64_t)ms_column_int(conn, 0);
    s->used = (uint64_t)ms_column_int(conn, 1);
    s->time_us = ms_column_int(conn, 2);
    s->zone_minutes = ms_column_int(conn, 3);
    return true;
}

static bool read_standing(struct ms_conn *conn, enum capture_kind capture, struct standing *out,
                          struct error *err)
{
    static const char *const at[] = {
        [CAPTURE_CHANGE_TRACKING] = "CHANGE_TRACKING_CURRENT_VERSION(), CONVERT(bigint, 0)",
        [CAPTURE_ROWVERSION] = "CONVERT(bigint, MIN_ACTIVE_ROWVERSION()), CONVERT(bigint, @@DBTS)",
        [CAPTURE_TIMESTAMP] = "DATEDIFF_BIG(microsecond, '19700101', SYSUTCDATETIME()), CONVERT(bigint, 0)",
        [CAPTURE_SNAPSHOT] = "CONVERT(bigint, 0), CONVERT(bigint, 0)"};
    struct buffer sql = {0};
    buffer_printf(&sql,
                  "SELECT %s, DATEDIFF_BIG(microsecond, '19700101', SYSUTCDATETIME()),"
                  " DATEPART(TZOFFSET, SYSDATETIMEOFFSET())",
                  at[capture]);
    *out = (struct standing){0};
    bool ok = ms_query(conn, buffer_text(&sql), take_standing, out, err);
    buffer_free(&sql);
    if (!ok)
        return false;
    return out->tracked ||
           error_set(err, ERROR_FATAL,
                     "change tracking of database %s is off, its history is gone - ALTER DATABASE … SET "
                     "CHANGE_TRACKING = ON, then crossfade recopy",
                     conn->database);
}

enum position_kind ms_poll_kind(enum capture_kind capture)
{
    switch (capture) {
    case CAPTURE_CHANGE_TRACKING:
        return POSITION_VERSION;
    case CAPTURE_ROWVERSION:
        return POSITION_ROWVERSION;
    case CAPTURE_TIMESTAMP:
        return POSITION_TIME;
    case CAPTURE_SNAPSHOT:
        return POSITION_POLL;
    case CAPTURE_LOGICAL:
    case CAPTURE_CDC:
        break;
    }
    return POSITION_NONE;
}

bool ms_poll_position(struct ms_conn *conn, enum capture_kind capture, struct position *out,
                      struct error *err)
{
    struct standing s;
    if (!read_standing(conn, capture, &s, err))
        return false;
    *out = position_cursor(ms_poll_kind(capture), s.at);
    return true;
}

static bool check_position(struct ms_poll *self, struct position from, uint64_t at, struct error *err)
{
    char text[POSITION_TEXT_SIZE];
    return at >= from.low || error_set(err, ERROR_FATAL,
                                       "the position %s lies beyond where database %s is (%" PRIu64
                                       ") - it was restored, or failed over with loss - crossfade recopy",
                                       position_format(from, text), self->conn.database, at);
}

/* Who keeps the bound down, where the login may know. */
static void find_holder(struct ms_poll *self, const struct standing *s, char *out, size_t size)
{
    static const char sql[] =
        "SELECT TOP (1) CONVERT(nvarchar(11), x.session_id)"
        " FROM sys.dm_tran_database_transactions AS d"
        " JOIN sys.dm_tran_session_transactions AS x ON x.transaction_id = d.transaction_id"
        " WHERE d.database_id = DB_ID() AND d.database_transaction_begin_time IS NOT NULL"
        " ORDER BY d.database_transaction_begin_time";
    struct error ignored;
    char session[16] = "";
    if (s->used < s->at)
        return;
    (void)!ms_query_one(&self->conn, sql, session, sizeof(session), NULL, &ignored);
    snprintf(out, size,
             "rows from rowversion %" PRIu64
             " on wait for a transaction that is open since%s%s - they come when it ends",
             s->at, session[0] ? ": session " : "", session);
}

/* --- a round --- */

struct cut {
    bool found;
    uint64_t at;
};

static bool take_cut(void *context, struct ms_conn *conn, struct error *err)
{
    struct cut *cut = context;
    (void)err;
    cut->found = true;
    cut->at = (uint64_t)ms_column_int(conn, 0);
    return true;
}

/* So that no round holds more than so many rows of a table. */
static bool cut_round(struct ms_poll *self, bool *more, struct error *err)
{
    int64_t rows = self->o.round_rows > 0 ? self->o.round_rows : ROUND_ROWS;
    for (uint32_t i = 0; i < self->count; i++) {
        struct buffer sql = {0};
        struct cut cut = {0};
        if (self->tables[i].lost)
            continue;
        ms_poll_put_cut(&self->tables[i], self->from, self->to, rows, &sql);
        bool ok = ms_query(&self->conn, buffer_text(&sql), take_cut, &cut, err);
        buffer_free(&sql);
        if (!ok)
            return error_prefix(err, "%s", self->tables[i].table->from);
        if (cut.found && cut.at < self->to.low) {
            self->to.low = cut.at;
            *more = true;
        }
    }
    return true;
}

bool ms_poll_begin(struct ms_poll *self, struct error *err)
{
    self->transaction = true;
    return ms_exec(&self->conn,
                   self->snapshot ? "SET TRANSACTION ISOLATION LEVEL SNAPSHOT"
                                  : "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
                   err) &&
           ms_begin(&self->conn, err);
}

bool ms_poll_end(struct ms_poll *self, struct error *err)
{
    bool was = self->transaction;
    self->transaction = false;
    return !was ||
           (ms_commit(&self->conn, err) &&
            (!self->snapshot || ms_exec(&self->conn, "SET TRANSACTION ISOLATION LEVEL READ COMMITTED", err)));
}

static bool look_tracked(struct ms_poll *self, struct polled_round *out, struct error *err)
{
    struct standing s;
    if (!ms_poll_look_at_history(self, err) || !read_standing(&self->conn, self->o.capture, &s, err) ||
        !check_position(self, self->from, s.at, err))
        return false;
    out->time_us = s.time_us;
    if (s.at == self->from.low)
        return true;
    if (!ms_poll_begin(self, err) || !read_standing(&self->conn, self->o.capture, &s, err))
        return false;
    self->to = position_cursor(POSITION_VERSION, s.at);
    out->found = true;
    return true;
}

static bool look_rowversion(struct ms_poll *self, struct polled_round *out, struct error *err)
{
    struct standing s;
    if (!read_standing(&self->conn, self->o.capture, &s, err) || !check_position(self, self->from, s.at, err))
        return false;
    out->time_us = s.time_us;
    find_holder(self, &s, out->warning, sizeof(out->warning));
    if (s.at == self->from.low)
        return true;
    self->to = position_cursor(POSITION_ROWVERSION, s.at);
    if (!cut_round(self, &out->more, err) || !ms_poll_begin(self, err))
        return false;
    out->found = true;
    return true;
}

/* The clock may be set back a little; the window reaches further than that. */
static bool look_timed(struct ms_poll *self, struct polled_round *out, struct error *err)
{
    struct standing s;
    if (!read_standing(&self->conn, self->o.capture, &s, err))
        return false;
    out->time_us = s.time_us;
    self->zone_minutes = s.zone_minutes;
    if (s.at > self->from.low)
        self->to = position_cursor(POSITION_TIME, s.at);
    out->found = true;
    return ms_poll_begin(self, err);
}

static bool look_whole(struct ms_poll *self, struct polled_round *out, struct error *err)
{
    struct standing s;
    if (!read_standing(&self->conn, self->o.capture, &s, err))
        return false;
    out->time_us = s.time_us;
    for (uint32_t i = 0; i < self->count; i++) {
        struct ms_poll_table *t = &self->tables[i];
        if (t->lost || t->begun_reading)
            continue;
        seen_begin(&t->seen);
        if (!self->o.load(self->o.load_context, t->table, &t->seen, err))
            return error_prefix(err, "%s", t->table->to);
        t->begun_reading = true;
    }
    self->to = position_cursor(POSITION_POLL, self->from.low + 1);
    out->found = true;
    return ms_poll_begin(self, err);
}

static bool look_by_kind(struct ms_poll *self, struct polled_round *out, struct error *err)
{
    switch (self->o.capture) {
    case CAPTURE_CHANGE_TRACKING:
        return look_tracked(self, out, err);
    case CAPTURE_ROWVERSION:
        return look_rowversion(self, out, err);
    case CAPTURE_TIMESTAMP:
        return look_timed(self, out, err);
    case CAPTURE_SNAPSHOT:
        return look_whole(self, out, err);
    case CAPTURE_LOGICAL:
    case CAPTURE_CDC:
        break;
    }
    return false;
}

static bool untold(const struct ms_poll *self)
{
    for (uint32_t i = 0; i < self->count; i++) {
        if (self->tables[i].lost && !self->tables[i].told)
            return true;
    }
    return false;
}

bool ms_poll_look(struct polled_reader *base, struct position from, struct polled_round *out,
                  struct error *err)
{
    struct ms_poll *self = (struct ms_poll *)base;
    self->from = self->to = from;
    self->at = 0;
    self->started = false;
    if (!ms_poll_look_at_definitions(self, err) || !look_by_kind(self, out, err))
        return error_prefix(err, "polling the legacy side");
    out->found = out->found || untold(self);
    out->to = self->to;
    return true;
}
