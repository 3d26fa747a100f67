/* SPDX-License-Identifier: PostgreSQL */
#include "mssql/poll.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "mssql/poll_part.h"
#include "mssql/sql.h"

enum { ROUND_ROWS = 20000 };

struct ms_poll {
    struct polled_reader base;
    struct ms_poll_options o;
    struct ms_conn conn;
    struct ms_poll_table *tables;
    uint32_t count;
    bool snapshot; /* reads under SNAPSHOT isolation */
    struct polled_time *times;
    char *defined; /* when some table's definition changed last, by the server */
    struct buffer scratch;
    /* the round */
    struct position from, to;
    uint32_t at;      /* of tables */
    bool started;     /* its rows are being read */
    bool transaction; /* the reading one is open */
    int64_t zone_minutes;
};

static struct ms_poll *cast(struct polled_reader *base)
{
    return (struct ms_poll *)base;
}

/* --- tables --- */

static void free_tables(struct ms_poll *self)
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
    free_tables(self);
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
static bool look_at_definitions(struct ms_poll *self, struct error *err)
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
static uint64_t base_of(const struct ms_poll *self, const struct ms_poll_table *t)
{
    struct position copied = t->table->captured_from;
    return copied.kind == POSITION_VERSION && copied.low > self->from.low ? copied.low : self->from.low;
}

static void judge_tracked(struct ms_poll *self, struct ms_poll_table *t, struct ms_conn *conn)
{
    const char *name = t->table->from;
    int64_t least = ms_column(conn, 1).data ? ms_column_int(conn, 1) : -1;
    int64_t begun = ms_column_int(conn, 2);
    uint64_t base = base_of(self, t);
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
static bool look_at_history(struct ms_poll *self, struct error *err)
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

static enum position_kind position_of(enum capture_kind capture)
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
    *out = position_cursor(position_of(capture), s.at);
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

static bool begin_transaction(struct ms_poll *self, struct error *err)
{
    self->transaction = true;
    return ms_exec(&self->conn,
                   self->snapshot ? "SET TRANSACTION ISOLATION LEVEL SNAPSHOT"
                                  : "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
                   err) &&
           ms_begin(&self->conn, err);
}

static bool end_transaction(struct ms_poll *self, struct error *err)
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
    if (!look_at_history(self, err) || !read_standing(&self->conn, self->o.capture, &s, err) ||
        !check_position(self, self->from, s.at, err))
        return false;
    out->time_us = s.time_us;
    if (s.at == self->from.low)
        return true;
    if (!begin_transaction(self, err) || !read_standing(&self->conn, self->o.capture, &s, err))
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
    if (!cut_round(self, &out->more, err) || !begin_transaction(self, err))
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
    return begin_transaction(self, err);
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
    return begin_transaction(self, err);
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

static bool ms_poll_look(struct polled_reader *base, struct position from, struct polled_round *out,
                         struct error *err)
{
    struct ms_poll *self = cast(base);
    self->from = self->to = from;
    self->at = 0;
    self->started = false;
    if (!look_at_definitions(self, err) || !look_by_kind(self, out, err))
        return error_prefix(err, "polling the legacy side");
    out->found = out->found || untold(self);
    out->to = self->to;
    return true;
}

/* --- rows --- */

static bool start_table(struct ms_poll *self, struct ms_poll_table *t, struct error *err)
{
    struct buffer sql = {0};
    struct position from = self->from;
    if (self->o.capture == CAPTURE_CHANGE_TRACKING)
        from.low = base_of(self, t);
    t->nulls_now = t->nulls;
    seen_begin(&t->seen);
    ms_poll_put_rows(t, self->o.capture, from, self->to, self->zone_minutes, &sql);
    bool ok = ms_query_start(&self->conn, buffer_text(&sql), err);
    buffer_free(&sql);
    self->started = ok;
    self->conn.damaged = false;
    return ok;
}

static void make_delete(const struct ms_poll_table *t, const struct value *key, bool whole,
                        struct arena *arena, struct change *out)
{
    out->op = CHANGE_DELETE;
    out->row = NULL;
    out->old_kind = OLD_KEY;
    out->old = arena_alloc(arena, t->table->column_count * sizeof(*out->old));
    memset(out->old, 0, t->table->column_count * sizeof(*out->old));
    for (uint16_t i = 0; i < t->table->key_count; i++)
        out->old[t->table->key[i]] = key[whole ? t->table->key[i] : i];
}

static bool take_tracked_row(struct ms_poll *self, const struct ms_poll_table *t, struct arena *arena,
                             struct change *out, struct error *err)
{
    struct value *key;
    if (ms_column_int(&self->conn, 0) != 0)
        return ms_row_values(&t->plan, &self->conn, 1 + t->keys.width, &self->scratch, arena, &out->row, err);
    if (!ms_row_values(&t->keys, &self->conn, 1, &self->scratch, arena, &key, err))
        return false;
    make_delete(t, key, false, arena, out);
    return true;
}

enum { PART_WINDOW, PART_NULLS };

/* *news false: it is as it was. */
static bool take_row(struct ms_poll *self, struct ms_poll_table *t, struct arena *arena, struct change *out,
                     bool *news, struct error *err)
{
    bool timed = self->o.capture == CAPTURE_TIMESTAMP;
    *out = (struct change){.table = t->table, .op = CHANGE_UPDATE};
    *news = true;
    if (self->conn.damaged)
        return error_set(err, ERROR_DATA, "%s: characters that the client library can't convert",
                         t->table->from);
    if (self->o.capture == CAPTURE_CHANGE_TRACKING)
        return take_tracked_row(self, t, arena, out, err);
    if (!ms_row_values(&t->plan, &self->conn, timed ? 2 : 0, &self->scratch, arena, &out->row, err))
        return false;
    bool gone = timed && ms_column_int(&self->conn, 0) != 0;
    unsigned part = timed && ms_column_int(&self->conn, 1) != 0 ? PART_NULLS : PART_WINDOW;
    if (self->o.capture != CAPTURE_ROWVERSION)
        *news = seen_is_news(&t->seen, t->table, out->row, gone, part);
    if (gone)
        make_delete(t, out->row, true, arena, out);
    return true;
}

/* Its rows are all read. *ask: some that were there are not. */
static void end_table(struct ms_poll *self, struct ms_poll_table *t, bool *ask)
{
    *ask = seen_end(&t->seen, PART_WINDOW) > 0 && self->o.capture == CAPTURE_SNAPSHOT;
    if (t->nulls_now)
        (void)seen_end(&t->seen, PART_NULLS);
    t->nulls = t->nulls && !t->nulls_now;
    t->begun_reading = true;
    self->at++;
}

/* What this table alone is to blame for: it stops, the others go on. Its failed statement has taken the
 * transaction along. */
static bool blame(struct ms_poll *self, struct ms_poll_table *t, struct error *err)
{
    struct error other;
    ms_query_stop(&self->conn);
    if ((err->kind != ERROR_DATA && err->kind != ERROR_TABLE && err->kind != ERROR_REFUSED) ||
        !ms_conn_alive(&self->conn))
        return false;
    ms_poll_table_lose(t, "%.560s - then crossfade recopy --table %.130s", err->text, t->table->from);
    if (!ms_rollback(&self->conn, &other) || !begin_transaction(self, &other)) {
        *err = other;
        return false;
    }
    return true;
}

static enum polled_answer next_row(struct ms_poll *self, struct ms_poll_table *t, struct arena *arena,
                                   struct polled_item *out, struct error *err)
{
    enum ms_next next = MS_FAILED;
    bool news = false, ask;
    if (self->started || start_table(self, t, err))
        next = ms_query_next(&self->conn, err);
    while (next == MS_ROW && take_row(self, t, arena, &out->change, &news, err)) {
        if (news)
            return POLLED_ROW;
        arena_reset(arena);
        next = ms_query_next(&self->conn, err);
    }
    if (next == MS_END)
        next = ms_query_next_set(&self->conn, err);
    self->started = false;
    if (next != MS_END)
        return blame(self, t, err) ? POLLED_END : POLLED_FAILED;
    end_table(self, t, &ask);
    out->table = t->table;
    return ask ? POLLED_ASK : POLLED_END;
}

static bool tell_lost(struct ms_poll *self, struct polled_item *out)
{
    for (uint32_t i = 0; i < self->count; i++) {
        struct ms_poll_table *t = &self->tables[i];
        if (!t->lost || t->told)
            continue;
        t->told = true;
        out->table = t->table;
        snprintf(out->text, sizeof(out->text), "%s", t->text);
        return true;
    }
    return false;
}

static enum polled_answer ms_poll_next(struct polled_reader *base, struct arena *arena,
                                       struct polled_item *out, struct error *err)
{
    struct ms_poll *self = cast(base);
    if (!self->started && tell_lost(self, out))
        return POLLED_LOST;
    while (self->at < self->count && self->transaction) {
        struct ms_poll_table *t = &self->tables[self->at];
        if (t->lost) {
            self->at++;
            continue;
        }
        enum polled_answer answer = next_row(self, t, arena, out, err);
        if (answer != POLLED_END)
            return answer;
        if (t->lost && tell_lost(self, out))
            return POLLED_LOST;
    }
    bool read = self->transaction;
    if (!end_transaction(self, err))
        return POLLED_FAILED;
    /* What was cleaned up while we read (hazard 46). */
    if (read && self->o.capture == CAPTURE_CHANGE_TRACKING && !look_at_history(self, err))
        return POLLED_FAILED;
    return tell_lost(self, out) ? POLLED_LOST : POLLED_END;
}

static void ms_poll_swept(struct polled_reader *base, const struct table *table)
{
    struct ms_poll *self = cast(base);
    for (uint32_t i = 0; i < self->count; i++)
        self->tables[i].nulls |= self->tables[i].table == table;
}

static void ms_poll_cancel(struct polled_reader *base)
{
    ms_conn_cancel(&cast(base)->conn);
}

static void ms_poll_free(struct polled_reader *base)
{
    struct ms_poll *self = cast(base);
    ms_conn_close(&self->conn);
    free_tables(self);
    free(self->defined);
    free(self->times);
    buffer_free(&self->scratch);
    free(self);
}

static const struct polled_reader_ops ms_poll_ops = {.look = ms_poll_look,
                                                     .next = ms_poll_next,
                                                     .swept = ms_poll_swept,
                                                     .cancel = ms_poll_cancel,
                                                     .free = ms_poll_free};

/* The bound of a secondary says nothing of the primary's open transactions. */
static bool refuse_secondary(struct ms_poll *self, struct error *err)
{
    char answer[32];
    if (self->o.capture != CAPTURE_ROWVERSION)
        return true;
    return ms_query_one(&self->conn,
                        "SELECT CONVERT(nvarchar(30), DATABASEPROPERTYEX(DB_NAME(), N'Updateability'))",
                        answer, sizeof(answer), NULL, err) &&
           (strcmp(answer, "READ_ONLY") != 0 ||
            error_set(err, ERROR_REFUSED,
                      "legacy: database %s can't be written here - MIN_ACTIVE_ROWVERSION() is only right on "
                      "the primary: name that, or the listener, in legacy.host",
                      self->conn.database));
}

bool ms_poll_open(const struct ms_poll_options *options, struct polled_reader **out, struct error *err)
{
    assert(position_of(options->capture) != POSITION_NONE);
    struct ms_poll *self = mem_alloc(sizeof(*self));
    self->base.ops = &ms_poll_ops;
    self->o = *options;
    self->times = mem_alloc((options->tables->count + (size_t)1) * sizeof(*self->times));
    for (uint32_t i = 0; options->times && i < options->tables->count; i++)
        self->times[i] = options->times[i];
    self->o.times = self->times;
    *out = NULL;
    if (!ms_conn_open(&self->conn, &self->o.conn, err) || !refuse_secondary(self, err) ||
        !look_at_definitions(self, err)) {
        ms_poll_free(&self->base);
        return false;
    }
    *out = &self->base;
    return true;
}
