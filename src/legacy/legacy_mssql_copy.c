/* SPDX-License-Identifier: PostgreSQL
 *
 * One worker's reading of a SQL Server legacy: rows go from db-lib straight into COPY BINARY of the sink.
 * Where some sink column is of another type than its carrier, they are poured into a temporary table of
 * carriers first, and cast by one INSERT.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "legacy/legacy_mssql.h"
#include "mssql/copy_out.h"
#include "mssql/marker.h"
#include "pgsql/sql.h"

enum { CAPTURED_MS = 300000 }; /* how long a marker may take to be captured */

struct mssql_copy {
    struct legacy_copy base;
    struct ms_conn conn;
    const struct config *config;
    struct ms_catalog catalog;
    struct ms_copy plan; /* of `table`, the one that was worked on last */
    const struct table *table;
};

static struct mssql_copy *cast(struct legacy_copy *base)
{
    return (struct mssql_copy *)base;
}

static void forget_plan(struct mssql_copy *self)
{
    ms_copy_close(&self->plan);
    self->plan = (struct ms_copy){0};
    self->table = NULL;
}

static void close_it(struct legacy_copy *base)
{
    struct mssql_copy *self = cast(base);
    forget_plan(self);
    ms_catalog_free(&self->catalog);
    ms_conn_close(&self->conn);
    free(self);
}

static void cancel(struct legacy_copy *base)
{
    ms_conn_cancel(&cast(base)->conn);
}

static bool plan(struct mssql_copy *self, const struct table *table, struct error *err)
{
    if (self->table == table)
        return true;
    forget_plan(self);
    if (!ms_copy_open(&self->catalog, table, NULL, self->config->value_limit, &self->plan, err)) {
        forget_plan(self);
        return false;
    }
    self->table = table;
    return true;
}

static bool look(struct legacy_copy *base, const struct table *table, struct legacy_key *out,
                 struct error *err)
{
    struct mssql_copy *self = cast(base);
    if (!plan(self, table, err))
        return false;
    const struct ms_keyset *key = &self->plan.key;
    *out = (struct legacy_key){.indexed = key->supported && key->indexed, .order = key->clustered ? 1 : 0};
    return true;
}

static bool border(struct legacy_copy *base, const struct table *table, char *const *low, int64_t rows,
                   char ***high, struct error *err)
{
    struct mssql_copy *self = cast(base);
    *high = NULL;
    return plan(self, table, err) && ms_keyset_border(&self->conn, &self->plan.key, low, rows, high, err);
}

struct filling {
    struct mssql_copy *self;
    struct legacy_pour *io;
    struct copy_pump *pump;
};

static bool put(void *context, const char *data, size_t size, struct error *err)
{
    struct filling *f = context;
    return copy_put(f->pump, data, size, err);
}

static bool fill(void *context, struct copy_pump *pump, uint64_t *rows, struct error *err)
{
    struct filling *f = context;
    f->pump = pump;
    return ms_copy_run(&f->self->conn, &f->self->plan, f->io->range.low, f->io->range.high, put, f,
                       &f->io->progress->rows, rows, err);
}

/* --- tables without a key: the boundary has to be exact, see mssql/copy_out.h --- */

/* What the copy holds, and where the rows come from. */
struct keyless {
    struct mssql_copy *self;
    struct legacy_pour *io;
    struct copy_pump *pump;
    struct ms_conn lock, marker;
    struct ms_conn *reader;
};

static bool put_keyless(void *context, const char *data, size_t size, struct error *err)
{
    struct keyless *k = context;
    return copy_put(k->pump, data, size, err);
}

static bool fill_keyless(void *context, struct copy_pump *pump, uint64_t *rows, struct error *err)
{
    struct keyless *k = context;
    k->pump = pump;
    return ms_copy_rows(k->reader, &k->self->plan, NULL, NULL, put_keyless, k, &k->io->progress->rows, rows,
                        err);
}

/* The lock is short where a snapshot can be taken under it, else it lasts as long as the copy. */
static bool begin_keyless(struct keyless *k, char token[MARKER_TOKEN_SIZE], struct error *err)
{
    const struct mssql_copy *self = k->self;
    const struct legacy_options o = {
        .config = self->config, .job = "copy", .connect_timeout_ms = (int)self->config->connect_timeout_ms};
    if (!mssql_connect(&o, &k->lock, err) || !mssql_connect(&o, &k->marker, err) ||
        !ms_copy_lock(&k->lock, &self->plan, err) ||
        !marker_write(&k->marker, self->config->pipeline, token, err))
        return false;
    k->reader = &k->lock;
    if (!self->plan.snapshot)
        return true;
    k->reader = &k->self->conn;
    return ms_copy_begin(k->reader, &self->plan, err) && ms_copy_unlock(&k->lock, err);
}

static bool run_keyless(struct keyless *k, const char *in_sql, struct error *err)
{
    struct legacy_pour *io = k->io;
    const struct mssql_copy *self = k->self;
    char token[MARKER_TOKEN_SIZE], text[POSITION_TEXT_SIZE];
    struct position marked;
    bool ok =
        begin_keyless(k, token, err) &&
        copy_fill_run(io->sink, in_sql, fill_keyless, k, io->gate, io->context, io->progress, &io->rows,
                      err) &&
        ms_copy_end(k->reader, err) &&
        marker_wait(&k->marker, self->config->pipeline, token, clock_ms() + CAPTURED_MS, NULL, &marked, err);
    ms_conn_close(&k->lock);
    ms_conn_close(&k->marker);
    if (ok)
        io->snapshot = mem_strdup(position_format(marked, text));
    return ok;
}

/* --- */

static bool run(struct mssql_copy *self, struct legacy_pour *io, const char *in_sql, struct error *err)
{
    struct filling f = {.self = self, .io = io};
    struct keyless k = {.self = self, .io = io};
    if (self->table->key_count == 0)
        return run_keyless(&k, in_sql, err);
    return copy_fill_run(io->sink, in_sql, fill, &f, io->gate, io->context, io->progress, &io->rows, err);
}

static void put_cast_insert(const struct table *t, const char *into, struct buffer *sql)
{
    buffer_printf(sql, "INSERT INTO %s (", into);
    for (uint16_t i = 0; i < t->column_count; i++) {
        buffer_puts(sql, i ? ", " : "");
        sql_ident(sql, t->columns[i].sink);
    }
    buffer_puts(sql, ") OVERRIDING SYSTEM VALUE SELECT ");
    for (uint16_t i = 0; i < t->column_count; i++) {
        buffer_puts(sql, i ? ", " : "");
        mssql_carrier_value(&t->columns[i], i, sql);
    }
    buffer_puts(sql, " FROM pg_temp.crossfade_carrier");
}

static bool pour_cast(struct mssql_copy *self, const struct table *table, struct legacy_pour *io,
                      struct error *err)
{
    struct buffer sql = {0};
    mssql_carrier_table(table, "crossfade_carrier", NULL, &sql);
    bool ok = pg_exec(io->sink, buffer_text(&sql), err) &&
              run(self, io, "COPY pg_temp.crossfade_carrier FROM STDIN (FORMAT binary)", err);
    buffer_clear(&sql);
    put_cast_insert(table, io->into, &sql);
    ok = ok && pg_exec(io->sink, buffer_text(&sql), err);
    buffer_free(&sql);
    return ok;
}

static bool pour_straight(struct mssql_copy *self, const struct table *table, struct legacy_pour *io,
                          struct error *err)
{
    struct buffer sql = {0};
    buffer_printf(&sql, "COPY %s", io->into);
    copy_in_columns(table, true, &sql);
    bool ok = run(self, io, buffer_text(&sql), err);
    buffer_free(&sql);
    return ok;
}

static bool pour(struct legacy_copy *base, const struct table *table, struct legacy_pour *io,
                 struct error *err)
{
    struct mssql_copy *self = cast(base);
    io->snapshot = NULL;
    if (!plan(self, table, err))
        return false;
    return table->copy_binary ? pour_straight(self, table, io, err) : pour_cast(self, table, io, err);
}

static const struct legacy_copy_ops ops = {
    .close = close_it, .cancel = cancel, .look = look, .border = border, .pour = pour};

bool mssql_copy_open(const struct legacy_options *options, struct legacy_copy **out, struct error *err)
{
    struct mssql_copy *self = mem_alloc(sizeof(*self));
    self->base.ops = &ops;
    self->config = options->config;
    if (!mssql_connect(options, &self->conn, err) || !ms_catalog_read(&self->conn, &self->catalog, err)) {
        close_it(&self->base);
        return false;
    }
    *out = &self->base;
    return true;
}
