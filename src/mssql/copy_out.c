/* SPDX-License-Identifier: PostgreSQL */
#include "mssql/copy_out.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "mssql/sql.h"

enum { PIECE_BYTES = 128 * 1024 };

bool ms_copy_open(const struct ms_catalog *catalog, const struct table *table,
                  const struct ms_value_policy *policies, int64_t value_limit, struct ms_copy *out,
                  struct error *err)
{
    *out = (struct ms_copy){0};
    const struct ms_catalog_table *source = ms_catalog_find(catalog, table->from_schema, table->from_name);
    if (!source)
        return error_set(err, ERROR_TABLE, "%s is not there any more", table->from);
    struct buffer from = {0};
    ms_sql_qualified(&from, source->schema, source->name);
    out->from = buffer_detach(&from);
    out->memory_optimized = source->memory_optimized;
    out->snapshot = catalog->database.snapshot_allowed && !source->memory_optimized;
    const char **key = mem_alloc((table->key_count + (size_t)1) * sizeof(*key));
    for (uint16_t i = 0; i < table->key_count; i++)
        key[i] = table->columns[table->key[i]].source;
    ms_keyset_make(source, key, table->key_count, &out->key);
    free(key);
    return ms_row_plan_make(source, table, policies, value_limit, &out->plan, err);
}

void ms_copy_close(struct ms_copy *self)
{
    ms_row_plan_free(&self->plan);
    ms_keyset_free(&self->key);
    free(self->from);
    *self = (struct ms_copy){0};
}

/* --- transactions --- */

static bool begin(struct ms_conn *conn, const struct ms_copy *self, struct error *err)
{
    return ms_exec(conn,
                   self->snapshot ? "SET TRANSACTION ISOLATION LEVEL SNAPSHOT"
                                  : "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
                   err) &&
           ms_begin(conn, err);
}

/* A SNAPSHOT transaction sees what is committed when it reads first. */
bool ms_copy_begin(struct ms_conn *conn, const struct ms_copy *self, struct error *err)
{
    struct buffer sql = {0};
    buffer_printf(&sql, "SELECT TOP (1) 1 FROM %s%s", self->from,
                  self->memory_optimized ? " WITH (SNAPSHOT)" : "");
    bool ok = begin(conn, self, err) && ms_exec(conn, buffer_text(&sql), err);
    buffer_free(&sql);
    return ok || error_prefix(err, "%s", self->plan.table->from);
}

bool ms_copy_end(struct ms_conn *conn, struct error *err)
{
    return ms_commit(conn, err);
}

bool ms_copy_lock(struct ms_conn *conn, const struct ms_copy *self, struct error *err)
{
    struct buffer sql = {0};
    buffer_printf(&sql, "SELECT TOP (1) 1 FROM %s WITH (TABLOCK, HOLDLOCK)", self->from);
    bool ok = ms_exec(conn, "SET TRANSACTION ISOLATION LEVEL READ COMMITTED", err) && ms_begin(conn, err) &&
              ms_exec(conn, buffer_text(&sql), err);
    buffer_free(&sql);
    return ok || error_prefix(err, "locking %s for a moment", self->plan.table->from);
}

bool ms_copy_unlock(struct ms_conn *conn, struct error *err)
{
    return ms_commit(conn, err);
}

/* --- rows --- */

void ms_copy_header(struct buffer *out)
{
    static const char signature[] = {'P', 'G', 'C', 'O', 'P', 'Y', '\n', '\377', '\r', '\n', '\0'};
    buffer_put(out, signature, sizeof(signature));
    buffer_put_u32(out, 0); /* flags */
    buffer_put_u32(out, 0); /* no extension */
}

void ms_copy_trailer(struct buffer *out)
{
    buffer_put_u16(out, UINT16_MAX);
}

static void put_sql(const struct ms_copy *self, char *const *low, char *const *high, struct buffer *out)
{
    buffer_puts(out, "SELECT ");
    ms_row_select(&self->plan, out);
    buffer_printf(out, " FROM %s AS [t]%s", self->from, self->memory_optimized ? " WITH (SNAPSHOT)" : "");
    ms_keyset_where(&self->key, low, high, out);
}

struct pour {
    struct ms_conn *conn;
    const struct ms_copy *copy;
    ms_copy_put *put;
    void *context;
    _Atomic uint64_t *passed;
    struct buffer piece;
    uint64_t rows, told;
};

static bool hand_over(struct pour *p, struct error *err)
{
    if (p->passed)
        atomic_fetch_add(p->passed, p->rows - p->told);
    p->told = p->rows;
    bool ok = p->put(p->context, buffer_text(&p->piece), p->piece.length, err);
    buffer_clear(&p->piece);
    return ok;
}

static bool take_rows(struct pour *p, struct error *err)
{
    enum ms_next next;
    while ((next = ms_query_next(p->conn, err)) == MS_ROW) {
        if (p->conn->damaged)
            return error_set(err, ERROR_DATA, "%s: characters that the client library can't convert",
                             p->copy->plan.table->from);
        if (!ms_row_copy(&p->copy->plan, p->conn, 0, &p->piece, err))
            return false;
        p->rows++;
        if (p->piece.length >= PIECE_BYTES && !hand_over(p, err))
            return false;
    }
    if (next == MS_END)
        next = ms_query_next_set(p->conn, err);
    return next == MS_END;
}

bool ms_copy_rows(struct ms_conn *conn, const struct ms_copy *self, char *const *low, char *const *high,
                  ms_copy_put *put, void *context, _Atomic uint64_t *passed, uint64_t *rows,
                  struct error *err)
{
    struct pour p = {.conn = conn, .copy = self, .put = put, .context = context, .passed = passed};
    struct buffer sql = {0};
    put_sql(self, low, high, &sql);
    ms_copy_header(&p.piece);
    conn->damaged = false;
    bool ok = ms_query_start(conn, buffer_text(&sql), err) && take_rows(&p, err);
    if (ok) {
        ms_copy_trailer(&p.piece);
        ok = hand_over(&p, err);
    }
    ms_query_stop(conn);
    if (!ok && err->kind == ERROR_DATA)
        err->kind = ERROR_TABLE;
    *rows = p.rows;
    buffer_free(&p.piece);
    buffer_free(&sql);
    return ok;
}

bool ms_copy_run(struct ms_conn *conn, const struct ms_copy *self, char *const *low, char *const *high,
                 ms_copy_put *put, void *context, _Atomic uint64_t *passed, uint64_t *rows, struct error *err)
{
    struct error other;
    if (begin(conn, self, err) && ms_copy_rows(conn, self, low, high, put, context, passed, rows, err) &&
        ms_copy_end(conn, err))
        return true;
    (void)!ms_rollback(conn, &other); /* it closes the connection where that fails */
    return false;
}
