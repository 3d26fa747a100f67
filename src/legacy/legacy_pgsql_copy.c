/* SPDX-License-Identifier: PostgreSQL
 *
 * One worker's reading of a PostgreSQL legacy: borders by the key's index, COPY into COPY. Each chunk is its
 * own short snapshot; a keyless table's copy is one transaction whose snapshot is handed over.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "legacy/legacy_pgsql.h"
#include "pgsql/key_order.h"
#include "pgsql/sql.h"

enum { SNAPSHOT_SIZE = 256 * 1024 };

struct pgsql_copy {
    struct legacy_copy base;
    struct pg_conn conn;
    char *path;   /* search_path as set; NULL: empty */
    char **paths; /* by table id: what compares the table's key; "" unknown yet, NULL: none is needed */
    uint32_t path_count;
};

static struct pgsql_copy *cast(struct legacy_copy *base)
{
    return (struct pgsql_copy *)base;
}

static void close_it(struct legacy_copy *base)
{
    struct pgsql_copy *self = cast(base);
    pg_conn_close(&self->conn);
    for (uint32_t i = 0; i < self->path_count; i++)
        free(self->paths[i]);
    free(self->paths);
    free(self->path);
    free(self);
}

static void cancel(struct legacy_copy *base)
{
    pg_conn_cancel(&cast(base)->conn);
}

/* The search_path for this table's key, looked up once. */
static bool find_path(struct pgsql_copy *self, const struct table *t, const char **out, struct error *err)
{
    if (t->id >= self->path_count) {
        self->paths = mem_grow(self->paths, t->id + 1, sizeof(*self->paths));
        while (self->path_count <= t->id)
            self->paths[self->path_count++] = mem_strdup("");
    }
    char **path = &self->paths[t->id];
    if (*path && !**path) {
        char *found = NULL;
        if (!key_order_path(&self->conn, t, false, &found, err))
            return false;
        free(*path);
        *path = found;
    }
    *out = *path;
    return true;
}

static bool set_path(struct pgsql_copy *self, const struct table *t, struct error *err)
{
    const char *want;
    if (!find_path(self, t, &want, err))
        return false;
    if (want == self->path || (want && self->path && strcmp(want, self->path) == 0))
        return true;
    struct buffer sql = {0};
    buffer_printf(&sql, "SET search_path = %s", want ? want : "''");
    bool ok = pg_exec(&self->conn, buffer_text(&sql), err);
    buffer_free(&sql);
    free(self->path);
    self->path = ok ? mem_strdup(want) : NULL;
    return ok;
}

static bool look(struct legacy_copy *base, const struct table *table, struct legacy_key *out,
                 struct error *err)
{
    struct key_order order;
    if (!key_order_read(&cast(base)->conn, table, &order, err))
        return false;
    *out = (struct legacy_key){.indexed = order.indexed, .order = order.correlation};
    return true;
}

static void put_border(const struct table *t, char *const *low, int64_t rows, struct buffer *sql)
{
    struct buffer keys = {0};
    for (uint16_t i = 0; i < t->key_count; i++) {
        buffer_puts(&keys, i ? ", t." : "t.");
        sql_ident(&keys, t->columns[t->key[i]].source);
    }
    buffer_printf(sql, "SELECT %s FROM %s", buffer_text(&keys), t->source_partitioned ? "" : "ONLY ");
    sql_qualified(sql, t->from_schema, t->from_name);
    buffer_puts(sql, " t");
    if (low) {
        buffer_puts(sql, " WHERE ");
        copy_key_bound(t, ">", low, sql);
    }
    buffer_printf(sql, " ORDER BY %s OFFSET %" PRId64 " LIMIT 1", buffer_text(&keys), rows - 1);
    buffer_free(&keys);
}

static bool border(struct legacy_copy *base, const struct table *t, char *const *low, int64_t rows,
                   char ***high, struct error *err)
{
    struct pgsql_copy *self = cast(base);
    struct buffer sql = {0};
    *high = NULL;
    if (!set_path(self, t, err))
        return false;
    put_border(t, low, rows, &sql);
    PGresult *r = pg_query(&self->conn, buffer_text(&sql), 0, NULL, err);
    buffer_free(&sql);
    if (!r)
        return false;
    if (PQntuples(r) == 1) {
        const char **items = mem_alloc((size_t)t->key_count * sizeof(*items));
        struct buffer text = {0};
        for (int i = 0; i < t->key_count; i++)
            items[i] = PQgetvalue(r, 0, i);
        sql_array(&text, items, t->key_count);
        int n = sql_array_parse(buffer_text(&text), high);
        assert(n == t->key_count);
        buffer_free(&text);
        free(items);
    }
    PQclear(r);
    return true;
}

/* A keyless table's reading transaction, and the snapshot it sees. */
static bool begin_keyless(struct pgsql_copy *self, char **snapshot, struct error *err)
{
    const char *sql = self->conn.version >= 130000 ? "SELECT pg_catalog.pg_current_snapshot()::text"
                                                   : "SELECT pg_catalog.txid_current_snapshot()::text";
    char *text = mem_alloc(SNAPSHOT_SIZE);
    bool ok = pg_exec(&self->conn, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err) &&
              pg_query_one(&self->conn, sql, 0, NULL, text, SNAPSHOT_SIZE, NULL, err);
    if (ok && strlen(text) + 1 == SNAPSHOT_SIZE)
        ok = error_set(err, ERROR_RETRY, "too many open transactions for a snapshot's text");
    *snapshot = ok ? mem_strdup(text) : NULL;
    free(text);
    return ok;
}

static bool pour(struct legacy_copy *base, const struct table *table, struct legacy_pour *io,
                 struct error *err)
{
    struct pgsql_copy *self = cast(base);
    bool keyless = table->key_count == 0;
    struct buffer sql = {0}, in_sql = {0};
    io->snapshot = NULL;
    copy_out_sql(table, &io->range, table->copy_binary, &sql);
    buffer_printf(&in_sql, "COPY %s", io->into);
    copy_in_columns(table, table->copy_binary, &in_sql);
    bool ok = set_path(self, table, err) && (!keyless || begin_keyless(self, &io->snapshot, err)) &&
              copy_run(&self->conn, buffer_text(&sql), io->sink, buffer_text(&in_sql), io->gate, io->context,
                       io->progress, &io->rows, err) &&
              (!keyless || pg_exec(&self->conn, "COMMIT", err));
    buffer_free(&sql);
    buffer_free(&in_sql);
    if (!ok) {
        free(io->snapshot);
        io->snapshot = NULL;
    }
    return ok;
}

static const struct legacy_copy_ops ops = {
    .close = close_it, .cancel = cancel, .look = look, .border = border, .pour = pour};

bool pgsql_copy_open(const struct legacy_options *options, struct legacy_copy **out, struct error *err)
{
    struct pgsql_copy *self = mem_alloc(sizeof(*self));
    struct pg_conn_options o = {.conninfo = options->config->legacy_conninfo,
                                .pipeline = options->config->pipeline,
                                .job = options->job,
                                .endpoint = "legacy",
                                .connect_timeout_ms = options->connect_timeout_ms,
                                .statement_timeout_ms = options->statement_timeout_ms};
    self->base.ops = &ops;
    if (!pg_conn_open(&self->conn, &o, err)) {
        free(self);
        return false;
    }
    *out = &self->base;
    return true;
}
