/* SPDX-License-Identifier: PostgreSQL */
#include "pgsql/poll.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/seen.h"
#include "pgsql/sql.h"

enum { FETCH_ROWS = 1000, OID_DATE = 1082, OID_TIMESTAMP = 1114, OID_TIMESTAMPTZ = 1184 };
enum { OID_BOOL = 16, OID_INT8 = 20, OID_INT2 = 21, OID_INT4 = 23 };
enum { PART_WINDOW, PART_NULLS };

struct pg_poll_table {
    struct table *table;
    char *column; /* t."…": updated_at */
    bool zoned;
    char *soft; /* SQL that is true for a row that counts as deleted; NULL: none */
    int64_t overlap_us;
    bool begun_reading; /* timestamp: soft-deleted rows of any age have been read; snapshot: loaded */
    bool nulls;         /* NULLs are due */
    bool nulls_now;     /* … and are in this round */
    struct seen seen;
    bool lost, told;
    char text[800];
};

struct pg_poll {
    struct polled_reader base;
    struct pg_poll_options o;
    struct polled_time *times;
    struct pg_conn conn;
    struct pg_poll_table *tables;
    uint32_t count;
    char *columns; /* names of all columns of ours as seen last */
    /* the round */
    struct position from, to;
    int64_t zone_us; /* the server's local time less UTC */
    uint32_t at;
    bool transaction, cursor;
    PGresult *page;
    int row;
};

static struct pg_poll *cast(struct polled_reader *base)
{
    return (struct pg_poll *)base;
}

bool pg_poll_is_time(const struct pg_column *column)
{
    uint32_t oid = column->type.base_oid;
    return oid == OID_DATE || oid == OID_TIMESTAMP || oid == OID_TIMESTAMPTZ;
}

/* --- tables --- */

static void lose(struct pg_poll_table *t, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void lose(struct pg_poll_table *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    t->lost = true;
    vsnprintf(t->text, sizeof(t->text), fmt, ap);
    va_end(ap);
}

static void free_table(struct pg_poll_table *t)
{
    seen_free(&t->seen);
    free(t->column);
    free(t->soft);
}

static char *column_sql(const char *name)
{
    struct buffer sql = {0};
    buffer_puts(&sql, "t.");
    sql_ident(&sql, name);
    return buffer_detach(&sql);
}

/* A flag is true where it is true, or not 0; a time, or whatever else, where there is one. */
static void find_soft(struct pg_poll_table *t, const struct pg_relation *r, const char *name)
{
    const struct pg_column *c = pg_relation_column(r, name);
    struct buffer sql = {0};
    if (!c) {
        lose(t, "%.130s has no column %.100s (soft_delete)", t->table->from, name);
        return;
    }
    uint32_t oid = c->type.base_oid;
    char *column = column_sql(name);
    if (oid == OID_BOOL)
        buffer_printf(&sql, "%s IS TRUE", column);
    else if (oid == OID_INT2 || oid == OID_INT4 || oid == OID_INT8)
        buffer_printf(&sql, "COALESCE(%s, 0) <> 0", column);
    else
        buffer_printf(&sql, "%s IS NOT NULL", column);
    free(column);
    t->soft = buffer_detach(&sql);
}

static void find_time(struct pg_poll_table *t, const struct pg_relation *r, const struct polled_time *time)
{
    const struct pg_column *c = time->updated_at ? pg_relation_column(r, time->updated_at) : NULL;
    if (!c || !pg_poll_is_time(c)) {
        lose(t, "%.130s has no column %.100s with a time (updated_at)", t->table->from,
             time->updated_at ? time->updated_at : "");
        return;
    }
    t->column = column_sql(time->updated_at);
    t->zoned = c->type.base_oid == OID_TIMESTAMPTZ;
    t->overlap_us = time->overlap_us;
    t->nulls = true;
    if (time->soft_delete)
        find_soft(t, r, time->soft_delete);
}

/* Nobody dropped anything from the mapping by adding a column to the source (rule 8). */
static const char *unknown_column(const struct table *t, const struct pg_relation *r)
{
    for (uint16_t i = 0; i < r->column_count; i++) {
        bool known = r->columns[i].generated != '\0';
        for (uint16_t k = 0; k < t->column_count && !known; k++)
            known = strcmp(t->columns[k].source, r->columns[i].name) == 0;
        for (uint16_t k = 0; k < t->ignored_count && !known; k++)
            known = strcmp(t->ignored[k], r->columns[i].name) == 0;
        if (!known)
            return r->columns[i].name;
    }
    return NULL;
}

static const char *missing_column(const struct table *t, const struct pg_relation *r)
{
    for (uint16_t i = 0; i < t->column_count; i++) {
        const struct pg_column *c = pg_relation_column(r, t->columns[i].source);
        if (!c || c->type.oid != t->columns[i].source_type.oid)
            return t->columns[i].source;
    }
    return NULL;
}

static void make_table(struct pg_poll *self, const struct pg_catalog *catalog, struct table *table,
                       struct pg_poll_table *out)
{
    const struct pg_relation *r = pg_catalog_find(catalog, table->from_schema, table->from_name);
    const char *name;
    *out = (struct pg_poll_table){.table = table};
    if (!r)
        lose(out, "%.130s is not there any more", table->from);
    else if (table->key_count == 0)
        lose(out, "%.130s has no key: this capture finds rows by it", table->from);
    else if ((name = unknown_column(table, r)))
        lose(out,
             "column %.100s was added to %.130s - ALTER TABLE the target's table too, then crossfade recopy "
             "--table %.130s",
             name, table->from, table->from);
    else if ((name = missing_column(table, r)))
        lose(out,
             "column %.100s of %.130s was dropped or has another type - crossfade recopy --table %.130s once "
             "it fits",
             name, table->from, table->from);
    else if (self->o.capture == CAPTURE_TIMESTAMP)
        find_time(out, r, &self->times[table->id]);
}

static void free_tables(struct pg_poll *self)
{
    for (uint32_t i = 0; i < self->count; i++)
        free_table(&self->tables[i]);
    free(self->tables);
    self->tables = NULL;
}

static bool make_tables(struct pg_poll *self, struct error *err)
{
    struct pg_catalog catalog = {0};
    uint32_t count = self->o.tables->count;
    if (!pg_catalog_read(&self->conn, &catalog, err)) {
        pg_catalog_free(&catalog);
        return false;
    }
    struct pg_poll_table *made = mem_alloc((count + (size_t)1) * sizeof(*made));
    for (uint32_t i = 0; i < count; i++) {
        make_table(self, &catalog, self->o.tables->tables[i], &made[i]);
        if (!self->tables)
            continue;
        struct pg_poll_table *was = &self->tables[i];
        made[i].told = was->told;
        made[i].nulls |= was->nulls;
        made[i].begun_reading = was->begun_reading;
        made[i].seen = was->seen;
        was->seen = (struct seen){0};
        if (was->lost && !made[i].lost)
            lose(&made[i], "%s", was->text);
    }
    free_tables(self);
    self->tables = made;
    self->count = count;
    pg_catalog_free(&catalog);
    return true;
}

/* The catalog is read again when some column of ours has come, gone, or changed. */
static bool look_at_definitions(struct pg_poll *self, struct error *err)
{
    static const char sql[] =
        "SELECT pg_catalog.md5(pg_catalog.string_agg(pg_catalog.concat_ws(' ', a.attrelid, a.attnum, "
        "a.attname,"
        " a.atttypid, a.atttypmod), ' ' ORDER BY a.attrelid, a.attnum)) FROM pg_catalog.pg_attribute a"
        " WHERE a.attrelid = ANY ($1::pg_catalog.oid[]) AND a.attnum > 0 AND NOT a.attisdropped";
    struct buffer oids = {0};
    char now[64];
    for (uint32_t i = 0; i < self->o.tables->count; i++)
        buffer_printf(&oids, "%s%u", i ? "," : "{", self->o.tables->tables[i]->source_oid);
    buffer_puts(&oids, self->o.tables->count ? "}" : "{}");
    const char *params[] = {buffer_text(&oids)};
    bool ok = pg_query_one(&self->conn, sql, 1, params, now, sizeof(now), NULL, err);
    buffer_free(&oids);
    if (!ok)
        return false;
    if (self->columns && strcmp(self->columns, now) == 0)
        return true;
    free(self->columns);
    self->columns = mem_strdup(now);
    return make_tables(self, err);
}

/* --- where the source stands --- */

/* Before our own session set its zone, it had the server's. */
static bool read_clock(struct pg_conn *conn, int64_t *now_us, int64_t *zone_us, struct error *err)
{
    static const char sql[] =
        "SELECT (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::pg_catalog.int8,"
        " (extract(epoch FROM (pg_catalog.now() AT TIME ZONE s.reset_val) - (pg_catalog.now() AT TIME ZONE "
        "'UTC'))"
        "  * 1000000)::pg_catalog.int8 FROM pg_catalog.pg_settings s WHERE s.name = 'TimeZone'";
    PGresult *r = pg_query(conn, sql, 0, NULL, err);
    if (!r)
        return false;
    bool ok = PQntuples(r) == 1;
    *now_us = ok ? strtoll(PQgetvalue(r, 0, 0), NULL, 10) : 0;
    *zone_us = ok ? strtoll(PQgetvalue(r, 0, 1), NULL, 10) : 0;
    PQclear(r);
    return ok || error_set(err, ERROR_RETRY, "%s tells no time", conn->where);
}

bool pg_poll_position(struct pg_conn *conn, struct position *out, struct error *err)
{
    int64_t now_us, zone_us;
    if (!read_clock(conn, &now_us, &zone_us, err))
        return false;
    *out = position_cursor(POSITION_TIME, (uint64_t)now_us);
    return true;
}

/* --- a round --- */

static bool begin(struct pg_poll *self, struct error *err)
{
    self->transaction = pg_exec(&self->conn, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err);
    return self->transaction;
}

static bool load_seen(struct pg_poll *self, struct error *err)
{
    for (uint32_t i = 0; i < self->count; i++) {
        struct pg_poll_table *t = &self->tables[i];
        if (t->lost || t->begun_reading)
            continue;
        seen_begin(&t->seen);
        if (!self->o.load(self->o.load_context, t->table, &t->seen, err))
            return error_prefix(err, "%s", t->table->to);
        t->begun_reading = true;
    }
    return true;
}

static bool pg_poll_look(struct polled_reader *base, struct position from, struct polled_round *out,
                         struct error *err)
{
    struct pg_poll *self = cast(base);
    bool timed = self->o.capture == CAPTURE_TIMESTAMP;
    self->from = self->to = from;
    self->at = 0;
    self->cursor = false;
    if (!look_at_definitions(self, err) || !read_clock(&self->conn, &out->time_us, &self->zone_us, err) ||
        (!timed && !load_seen(self, err)))
        return error_prefix(err, "polling the legacy side");
    if (!timed)
        self->to = position_cursor(POSITION_POLL, from.low + 1);
    else if ((uint64_t)out->time_us > from.low)
        self->to = position_cursor(POSITION_TIME, (uint64_t)out->time_us);
    out->to = self->to;
    out->found = true;
    return begin(self, err);
}

/* The earliest time that a row changed after `from` may bear, but for late clocks. */
static void put_low(const struct pg_poll *self, const struct pg_poll_table *t, struct buffer *sql)
{
    int64_t us = (int64_t)self->from.low - t->overlap_us;
    if (!t->zoned && self->zone_us < 0)
        us += self->zone_us;
    buffer_printf(
        sql, "'1970-01-01 00:00:00%s'::pg_catalog.%s + %" PRId64 " * '1 microsecond'::pg_catalog.interval",
        t->zoned ? "+00" : "", t->zoned ? "timestamptz" : "timestamp", us < 0 ? 0 : us);
}

/* Does it count as deleted, has it no time, the row. */
static void put_rows(const struct pg_poll *self, const struct pg_poll_table *t, struct buffer *sql)
{
    const struct table *table = t->table;
    bool timed = self->o.capture == CAPTURE_TIMESTAMP;
    buffer_puts(sql, "DECLARE crossfade_poll NO SCROLL CURSOR FOR SELECT ");
    buffer_puts(sql, t->soft ? t->soft : "false");
    buffer_puts(sql, ", ");
    if (timed)
        buffer_printf(sql, "%s IS NULL", t->column);
    else
        buffer_puts(sql, "false");
    for (uint16_t i = 0; i < table->column_count; i++) {
        buffer_puts(sql, ", t.");
        sql_ident(sql, table->columns[i].source);
    }
    buffer_puts(sql, table->source_partitioned ? " FROM " : " FROM ONLY ");
    sql_qualified(sql, table->from_schema, table->from_name);
    buffer_puts(sql, " t");
    if (!timed)
        return;
    buffer_printf(sql, " WHERE %s >= ", t->column);
    put_low(self, t, sql);
    if (t->nulls_now)
        buffer_printf(sql, " OR %s IS NULL", t->column);
    if (t->soft && !t->begun_reading)
        buffer_printf(sql, " OR %s", t->soft);
}

static bool start_table(struct pg_poll *self, struct pg_poll_table *t, struct error *err)
{
    struct buffer sql = {0};
    t->nulls_now = t->nulls;
    seen_begin(&t->seen);
    put_rows(self, t, &sql);
    self->cursor = pg_exec(&self->conn, buffer_text(&sql), err);
    buffer_free(&sql);
    return self->cursor;
}

static bool fetch(struct pg_poll *self, struct error *err)
{
    char sql[64];
    snprintf(sql, sizeof(sql), "FETCH %d FROM crossfade_poll", FETCH_ROWS);
    PQclear(self->page);
    self->page = pg_query(&self->conn, sql, 0, NULL, err);
    self->row = 0;
    return self->page != NULL;
}

static void take_change(const struct pg_poll *self, struct pg_poll_table *t, struct arena *arena,
                        struct change *out, bool *news)
{
    const struct table *table = t->table;
    const PGresult *r = self->page;
    *out = (struct change){.table = t->table, .op = CHANGE_UPDATE};
    out->row = arena_alloc(arena, (table->column_count + (size_t)1) * sizeof(*out->row));
    for (uint16_t i = 0; i < table->column_count; i++) {
        bool null = PQgetisnull(r, self->row, i + 2);
        out->row[i] = (struct value){.kind = null ? VALUE_NULL : VALUE_TEXT,
                                     .data = null ? NULL : PQgetvalue(r, self->row, i + 2),
                                     .length = null ? 0 : (uint32_t)PQgetlength(r, self->row, i + 2)};
    }
    bool gone = *PQgetvalue(r, self->row, 0) == 't';
    bool none = *PQgetvalue(r, self->row, 1) == 't';
    *news = seen_is_news(&t->seen, table, out->row, gone, none ? PART_NULLS : PART_WINDOW);
    if (!gone)
        return;
    struct value *key = arena_alloc(arena, (table->column_count + (size_t)1) * sizeof(*key));
    memset(key, 0, table->column_count * sizeof(*key));
    for (uint16_t i = 0; i < table->key_count; i++)
        key[table->key[i]] = out->row[table->key[i]];
    out->op = CHANGE_DELETE;
    out->row = NULL;
    out->old = key;
    out->old_kind = OLD_KEY;
}

/* Its rows are all read. True: some that were there are not. */
static bool end_table(struct pg_poll *self, struct pg_poll_table *t)
{
    bool ask = seen_end(&t->seen, PART_WINDOW) > 0 && self->o.capture == CAPTURE_SNAPSHOT;
    if (t->nulls_now)
        (void)seen_end(&t->seen, PART_NULLS);
    t->nulls = t->nulls && !t->nulls_now;
    t->begun_reading = true;
    self->cursor = false;
    self->at++;
    PQclear(self->page);
    self->page = NULL;
    return ask;
}

/* What this table alone is to blame for: it stops, the others go on. */
static bool blame(struct pg_poll *self, struct pg_poll_table *t, struct error *err)
{
    struct error other;
    self->cursor = false;
    PQclear(self->page);
    self->page = NULL;
    if (err->kind != ERROR_DATA && err->kind != ERROR_TABLE && err->kind != ERROR_REFUSED)
        return false;
    lose(t, "%.560s - then crossfade recopy --table %.130s", err->text, t->table->from);
    if (!pg_exec(&self->conn, "ROLLBACK", &other) || !begin(self, &other)) {
        *err = other;
        return false;
    }
    return true;
}

static enum polled_answer next_row(struct pg_poll *self, struct pg_poll_table *t, struct arena *arena,
                                   struct polled_item *out, struct error *err)
{
    bool news = false;
    bool ok = self->cursor || start_table(self, t, err);
    while (ok && !news) {
        if (!self->page || self->row == PQntuples(self->page)) {
            ok = fetch(self, err);
            if (ok && PQntuples(self->page) == 0)
                break;
            continue;
        }
        arena_reset(arena);
        take_change(self, t, arena, &out->change, &news);
        self->row++;
    }
    if (!ok)
        return blame(self, t, err) ? POLLED_END : POLLED_FAILED;
    if (news)
        return POLLED_ROW;
    out->table = t->table;
    bool ask = end_table(self, t);
    if (!pg_exec(&self->conn, "CLOSE crossfade_poll", err))
        return POLLED_FAILED;
    return ask ? POLLED_ASK : POLLED_END;
}

static bool tell_lost(struct pg_poll *self, struct polled_item *out)
{
    for (uint32_t i = 0; i < self->count; i++) {
        struct pg_poll_table *t = &self->tables[i];
        if (!t->lost || t->told)
            continue;
        t->told = true;
        out->table = t->table;
        snprintf(out->text, sizeof(out->text), "%s", t->text);
        return true;
    }
    return false;
}

static enum polled_answer pg_poll_next(struct polled_reader *base, struct arena *arena,
                                       struct polled_item *out, struct error *err)
{
    struct pg_poll *self = cast(base);
    if (!self->cursor && tell_lost(self, out))
        return POLLED_LOST;
    while (self->at < self->count) {
        struct pg_poll_table *t = &self->tables[self->at];
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
    bool was = self->transaction;
    self->transaction = false;
    if (was && !pg_exec(&self->conn, "COMMIT", err))
        return POLLED_FAILED;
    return tell_lost(self, out) ? POLLED_LOST : POLLED_END;
}

static void pg_poll_swept(struct polled_reader *base, const struct table *table)
{
    struct pg_poll *self = cast(base);
    for (uint32_t i = 0; i < self->count; i++)
        self->tables[i].nulls |= self->tables[i].table == table;
}

static void pg_poll_cancel(struct polled_reader *base)
{
    pg_conn_cancel(&cast(base)->conn);
}

static void pg_poll_free(struct polled_reader *base)
{
    struct pg_poll *self = cast(base);
    PQclear(self->page);
    pg_conn_close(&self->conn);
    free_tables(self);
    free(self->columns);
    free(self->times);
    free(self);
}

static const struct polled_reader_ops pg_poll_ops = {.look = pg_poll_look,
                                                     .next = pg_poll_next,
                                                     .swept = pg_poll_swept,
                                                     .cancel = pg_poll_cancel,
                                                     .free = pg_poll_free};

bool pg_poll_open(const struct pg_poll_options *options, struct polled_reader **out, struct error *err)
{
    assert(options->capture == CAPTURE_TIMESTAMP || options->capture == CAPTURE_SNAPSHOT);
    struct pg_poll *self = mem_alloc(sizeof(*self));
    self->base.ops = &pg_poll_ops;
    self->o = *options;
    self->times = mem_alloc((options->tables->count + (size_t)1) * sizeof(*self->times));
    for (uint32_t i = 0; options->times && i < options->tables->count; i++)
        self->times[i] = options->times[i];
    *out = NULL;
    if (!pg_conn_open(&self->conn, &self->o.conn, err) || !look_at_definitions(self, err)) {
        pg_poll_free(&self->base);
        return false;
    }
    *out = &self->base;
    return true;
}
