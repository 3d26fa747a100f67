/* SPDX-License-Identifier: PostgreSQL */
#include "legacy/sweep.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "pgsql/key_order.h"
#include "pgsql/sql.h"

enum {
    PAGE_KEYS = 500,
    EVERY_POLLS = 30,    /* a table is swept so seldom, in poll_intervals */
    EVERY_MIN_MS = 1000, /* … and not more often than this */
    EVERY_TIMES = 20,    /* … and than so many times as it takes */
    KEPT_MAX = 2000000   /* missing rows that are kept until the table's end */
};

/* A key as the source is asked for it, and as the stream has it. */
struct missing {
    char **texts;
    struct value *values; /* key_count */
};

struct swept_table {
    struct table *table;
    struct table *image;
    int64_t next_ms;
    bool fresh; /* not swept since the source was opened */
};

struct sweep {
    struct polled_sweep base;
    struct sweep_options o;
    struct pg_conn target;
    struct swept_table *tables;
    uint32_t count;
    /* the table in hand */
    struct swept_table *now;
    int64_t begun_ms;
    char *path;    /* search_path that its key needs; NULL: none */
    char **last;   /* key of the last row read, as the sink's text; NULL: none yet */
    uint64_t rows; /* read */
    bool read;     /* to its end */
    struct arena *arena;
    struct missing *missing;
    size_t missing_count, missing_capacity, missing_at;
};

static struct sweep *cast(struct polled_sweep *base)
{
    return (struct sweep *)base;
}

struct table *sweep_key_image(const struct table *t)
{
    struct table *image = mem_alloc(sizeof(*image));
    *image = *t;
    image->columns = mem_alloc((t->key_count + (size_t)1) * sizeof(*image->columns));
    image->key = mem_alloc((t->key_count + (size_t)1) * sizeof(*image->key));
    image->column_count = t->key_count;
    for (uint16_t i = 0; i < t->key_count; i++) {
        image->columns[i] = t->columns[t->key[i]];
        image->key[i] = i;
    }
    return image;
}

void sweep_key_image_free(struct table *image)
{
    if (!image)
        return;
    free(image->columns);
    free(image->key);
    free(image);
}

uint64_t sweep_allowed(uint64_t rows, double max_deletes)
{
    if (max_deletes <= 0)
        return 0;
    double share = (double)rows * max_deletes;
    uint64_t whole = (uint64_t)share;
    uint64_t allowed = share > (double)whole ? whole + 1 : whole;
    return allowed ? allowed : 1;
}

/* --- a page of the sink's keys --- */

static void put_column(const struct column *c, struct buffer *sql)
{
    buffer_puts(sql, "t.");
    sql_ident(sql, c->sink);
}

static void put_columns(const struct table *t, struct buffer *sql)
{
    for (uint16_t i = 0; i < t->column_count; i++) {
        buffer_puts(sql, i ? ", " : "");
        put_column(&t->columns[i], sql);
    }
}

/* Rows behind the last one read, in the sink's own order. */
static void put_behind(const struct table *t, struct buffer *sql)
{
    buffer_puts(sql, " WHERE (");
    put_columns(t, sql);
    buffer_puts(sql, ") > (");
    for (uint16_t i = 0; i < t->column_count; i++)
        buffer_printf(sql, "%s$%u::%s", i ? ", " : "", i + 1u, t->columns[i].sink_type.name);
    buffer_puts(sql, ")");
}

/* The key as the sink's text, as the source's text, and, where that is another thing, as the stream has it.
 */
static void put_page(const struct sweep *self, struct buffer *sql)
{
    const struct table *t = self->now->image;
    int forms = self->o.binary ? 3 : 2;
    buffer_puts(sql, "SELECT 1");
    for (int form = 0; form < forms; form++) {
        for (uint16_t i = 0; i < t->column_count; i++) {
            buffer_puts(sql, ", ");
            put_column(&t->columns[i], sql);
            if (form > 0)
                buffer_printf(sql, "::%s", t->columns[i].source_type.name);
            buffer_puts(sql, form < 2 ? "::pg_catalog.text" : "");
        }
    }
    buffer_puts(sql, " FROM ");
    sql_qualified(sql, t->to_schema, t->to_name);
    buffer_puts(sql, " t");
    if (self->last)
        put_behind(t, sql);
    buffer_puts(sql, " ORDER BY ");
    put_columns(t, sql);
    buffer_printf(sql, " LIMIT %d", PAGE_KEYS);
}

static bool set_path(struct sweep *self, const char *path, struct error *err)
{
    struct buffer sql = {0};
    buffer_printf(&sql, "SET search_path = %s", path ? path : "''");
    bool ok = pg_exec(&self->target, buffer_text(&sql), err);
    buffer_free(&sql);
    return ok;
}

/* All results in binary; a text's binary format is the text. */
static PGresult *read_page(struct sweep *self, struct error *err)
{
    struct buffer sql = {0};
    uint16_t n = self->now->image->column_count;
    PGresult *r = NULL;
    put_page(self, &sql);
    if (!self->path || set_path(self, self->path, err)) {
        r = PQexecParams(self->target.pg, buffer_text(&sql), self->last ? n : 0, NULL,
                         (const char *const *)self->last, NULL, NULL, 1);
        if (PQresultStatus(r) != PGRES_TUPLES_OK) {
            pg_error_from(err, &self->target, r);
            PQclear(r);
            r = NULL;
        }
    }
    buffer_free(&sql);
    if (r && self->path && !set_path(self, NULL, err)) {
        PQclear(r);
        r = NULL;
    }
    return r;
}

static char *copy_text(struct arena *arena, const PGresult *r, int row, int column)
{
    size_t length = (size_t)PQgetlength(r, row, column);
    char *text = arena_alloc(arena, length + 1);
    memcpy(text, PQgetvalue(r, row, column), length);
    text[length] = '\0';
    return text;
}

static char **texts_of(struct arena *arena, const PGresult *r, int row, int first, uint16_t n)
{
    char **texts = arena_alloc(arena, (n + (size_t)1) * sizeof(*texts));
    for (uint16_t i = 0; i < n; i++)
        texts[i] = copy_text(arena, r, row, first + i);
    return texts;
}

static void keep(struct sweep *self, const PGresult *r, int row)
{
    uint16_t n = self->now->image->column_count;
    if (self->missing_count == self->missing_capacity) {
        self->missing_capacity = self->missing_capacity ? self->missing_capacity * 2 : 64;
        self->missing = mem_grow(self->missing, self->missing_capacity, sizeof(*self->missing));
    }
    struct missing *m = &self->missing[self->missing_count++];
    m->texts = texts_of(self->arena, r, row, 1 + n, n);
    m->values = arena_alloc(self->arena, (n + (size_t)1) * sizeof(*m->values));
    for (uint16_t i = 0; i < n; i++) {
        int column = 1 + (self->o.binary ? 2 : 1) * n + i;
        m->values[i] = (struct value){.kind = self->o.binary ? VALUE_BINARY : VALUE_TEXT,
                                      .data = copy_text(self->arena, r, row, column),
                                      .length = (uint32_t)PQgetlength(r, row, column)};
    }
}

/* present[i]: the source has a row under keys[i]. */
static bool find(struct sweep *self, char *const *const *keys, size_t count, bool *present, struct error *err)
{
    struct legacy_rows rows = {0};
    memset(present, 0, count);
    if (!self->o.lookup->ops->find(self->o.lookup, &self->target, self->now->image, keys, count, &rows, err))
        return false;
    for (size_t i = 0; i < rows.count; i++)
        present[rows.key[i]] = true;
    legacy_rows_free(&rows);
    return true;
}

static bool look_up_page(struct sweep *self, const PGresult *r, struct arena *arena, struct error *err)
{
    int count = PQntuples(r);
    uint16_t n = self->now->image->column_count;
    char ***keys = arena_alloc(arena, ((size_t)count + 1) * sizeof(*keys));
    bool *present = arena_alloc(arena, (size_t)count + 1);
    for (int i = 0; i < count; i++)
        keys[i] = texts_of(arena, r, i, 1 + n, n);
    if (count > 0 && !find(self, (char *const *const *)keys, (size_t)count, present, err))
        return false;
    for (int i = 0; i < count; i++) {
        if (!present[i] && self->missing_count < KEPT_MAX)
            keep(self, r, i);
    }
    self->rows += (uint64_t)count;
    return true;
}

static void remember_last(struct sweep *self, const PGresult *r)
{
    uint16_t n = self->now->image->column_count;
    for (uint16_t i = 0; self->last && i < n; i++)
        free(self->last[i]);
    free(self->last);
    self->last = mem_alloc((n + (size_t)1) * sizeof(*self->last));
    for (uint16_t i = 0; i < n; i++) {
        int row = PQntuples(r) - 1;
        size_t length = (size_t)PQgetlength(r, row, 1 + i);
        self->last[i] = mem_alloc(length + 1);
        memcpy(self->last[i], PQgetvalue(r, row, 1 + i), length);
    }
}

static bool page(struct sweep *self, struct arena *arena, struct error *err)
{
    PGresult *r = read_page(self, err);
    if (!r)
        return error_prefix(err, "reading the keys of %s", self->now->table->to);
    bool ok = look_up_page(self, r, arena, err);
    self->read = PQntuples(r) < PAGE_KEYS;
    if (ok && !self->read)
        remember_last(self, r);
    PQclear(r);
    return ok;
}

/* --- a table --- */

static void end_table(struct sweep *self, struct polled_piece *out)
{
    int64_t now = clock_ms();
    int64_t every = self->o.config->stream_poll_interval_ms * EVERY_POLLS;
    int64_t took = (now - self->begun_ms) * EVERY_TIMES;
    every = every < EVERY_MIN_MS ? EVERY_MIN_MS : every;
    self->now->next_ms = self->o.scheduled ? now + (every > took ? every : took) : INT64_MAX;
    self->now->fresh = false;
    if (!out->lost)
        out->swept = self->now->table;
    for (uint16_t i = 0; self->last && i < self->now->image->column_count; i++)
        free(self->last[i]);
    free(self->last);
    free(self->path);
    self->last = NULL;
    self->path = NULL;
    self->now = NULL;
}

static bool begin_table(struct sweep *self, struct swept_table *t, struct error *err)
{
    self->now = t;
    self->begun_ms = clock_ms();
    self->rows = 0;
    self->read = false;
    self->missing_count = self->missing_at = 0;
    arena_reset(self->arena);
    return key_order_path(&self->target, t->table, true, &self->path, err);
}

static bool is_ours(const struct swept_table *t)
{
    return t->image && (t->table->state == TABLE_CATCHUP || t->table->state == TABLE_STREAMING);
}

static bool too_many(struct sweep *self, struct polled_piece *out)
{
    const char *name = self->now->table->from;
    uint64_t allowed = sweep_allowed(self->rows, self->o.config->max_deletes);
    if (self->missing_count <= allowed && self->missing_count < KEPT_MAX)
        return false;
    out->lost = self->now->table;
    snprintf(out->text, sizeof(out->text),
             "%zu of %" PRIu64
             " rows of %.130s are not at the source any more, max_deletes (%g) allows %" PRIu64
             " - nothing of it was deleted: if that is right, crossfade recopy --table %.130s",
             self->missing_count, self->rows, name, self->o.config->max_deletes, allowed, name);
    return true;
}

static struct change delete_of(const struct table *t, const struct missing *m, struct arena *arena)
{
    struct change c = {.op = CHANGE_DELETE, .old_kind = OLD_KEY};
    c.old = arena_alloc(arena, t->column_count * sizeof(*c.old));
    memset(c.old, 0, t->column_count * sizeof(*c.old));
    for (uint16_t i = 0; i < t->key_count; i++)
        c.old[t->key[i]] = m->values[i];
    return c;
}

/* The next candidates, once more: a row may have been born since. */
static bool confirm_some(struct sweep *self, struct arena *arena, struct polled_piece *out, struct error *err)
{
    struct table *t = self->now->table;
    size_t count = self->missing_count - self->missing_at;
    bool present[PAGE_KEYS];
    char *const *keys[PAGE_KEYS];
    if (count > PAGE_KEYS)
        count = PAGE_KEYS;
    for (size_t i = 0; i < count; i++)
        keys[i] = self->missing[self->missing_at + i].texts;
    if (count > 0 && !find(self, keys, count, present, err))
        return false;
    out->gone = arena_alloc(arena, (count + 1) * sizeof(*out->gone));
    for (size_t i = 0; i < count; i++) {
        if (present[i])
            continue;
        out->gone[out->count] = delete_of(t, &self->missing[self->missing_at + i], arena);
        out->gone[out->count++].table = t;
    }
    self->missing_at += count;
    return true;
}

/* --- struct polled_sweep --- */

static int64_t sweep_due(const struct polled_sweep *base, bool *urgent)
{
    const struct sweep *self = (const struct sweep *)base;
    int64_t least = INT64_MAX;
    *urgent = false;
    for (uint32_t i = 0; i < self->count; i++) {
        const struct swept_table *t = &self->tables[i];
        if (!is_ours(t))
            continue;
        *urgent |= t->fresh && t->table->state == TABLE_CATCHUP;
        least = t->next_ms < least ? t->next_ms : least;
    }
    return self->now ? 0 : least;
}

static struct swept_table *choose(struct sweep *self)
{
    struct swept_table *best = NULL;
    for (uint32_t i = 0; i < self->count; i++) {
        struct swept_table *t = &self->tables[i];
        if (!is_ours(t))
            continue;
        if (t->fresh && t->table->state == TABLE_CATCHUP)
            return t;
        if (!best || t->next_ms < best->next_ms)
            best = t;
    }
    return best;
}

static bool sweep_piece(struct polled_sweep *base, struct arena *arena, struct polled_piece *out,
                        struct error *err)
{
    struct sweep *self = cast(base);
    struct swept_table *t = self->now ? self->now : choose(self);
    if (!t || (!self->now && !begin_table(self, t, err)))
        return t == NULL;
    if (!self->read) {
        if (!page(self, arena, err))
            return false;
        if (!self->read)
            return true;
    }
    if (!is_ours(t) || (self->missing_at == 0 && too_many(self, out))) {
        end_table(self, out);
        return true;
    }
    if (!confirm_some(self, arena, out, err))
        return false;
    if (self->missing_at == self->missing_count)
        end_table(self, out);
    return true;
}

static void sweep_ask(struct polled_sweep *base, const struct table *table)
{
    struct sweep *self = cast(base);
    for (uint32_t i = 0; i < self->count; i++) {
        if (self->tables[i].table == table)
            self->tables[i].next_ms = 0;
    }
}

static void sweep_cancel(struct polled_sweep *base)
{
    struct sweep *self = cast(base);
    self->o.lookup->ops->cancel(self->o.lookup);
    pg_conn_cancel(&self->target);
}

static void sweep_free(struct polled_sweep *base)
{
    struct sweep *self = cast(base);
    struct polled_piece ignored = {0};
    if (self->now)
        end_table(self, &ignored);
    for (uint32_t i = 0; i < self->count; i++)
        sweep_key_image_free(self->tables[i].image);
    free(self->tables);
    free(self->missing);
    arena_free(self->arena);
    pg_conn_close(&self->target);
    self->o.lookup->ops->free(self->o.lookup);
    free(self);
}

static const struct polled_sweep_ops sweep_ops = {
    .due = sweep_due, .piece = sweep_piece, .ask = sweep_ask, .cancel = sweep_cancel, .free = sweep_free};

bool sweep_open(const struct sweep_options *options, struct polled_sweep **out, struct error *err)
{
    struct sweep *self = mem_alloc(sizeof(*self));
    const struct config *c = options->config;
    struct pg_conn_options o = {.conninfo = c->target_conninfo,
                                .pipeline = c->pipeline,
                                .job = "sweep",
                                .endpoint = "target",
                                .connect_timeout_ms = (int)c->connect_timeout_ms};
    self->base.ops = &sweep_ops;
    self->o = *options;
    self->arena = arena_new();
    self->count = options->tables->count;
    self->tables = mem_alloc((self->count + (size_t)1) * sizeof(*self->tables));
    int64_t first = clock_ms();
    if (options->scheduled)
        first += c->stream_poll_interval_ms * EVERY_POLLS;
    for (uint32_t i = 0; i < self->count; i++) {
        struct table *t = options->tables->tables[i];
        bool swept = t->key_count > 0 && !t->sink_shared;
        self->tables[i] = (struct swept_table){
            .table = t, .image = swept ? sweep_key_image(t) : NULL, .next_ms = first, .fresh = true};
    }
    *out = NULL;
    if (!pg_conn_open(&self->target, &o, err)) {
        sweep_free(&self->base);
        return false;
    }
    *out = &self->base;
    return true;
}
