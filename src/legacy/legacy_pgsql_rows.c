/* SPDX-License-Identifier: PostgreSQL
 *
 * Rows of a PostgreSQL legacy by their keys: one statement, keys and values as text.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "legacy/legacy_pgsql.h"
#include "pgsql/key_order.h"
#include "pgsql/sql.h"

/* One array parameter: the i-th key column of every key. */
static char *key_column(char *const *const *keys, size_t count, uint16_t i)
{
    const char **items = mem_alloc((count + 1) * sizeof(*items));
    struct buffer text = {0};
    for (size_t k = 0; k < count; k++)
        items[k] = keys[k][i];
    sql_array(&text, items, count);
    free(items);
    return buffer_detach(&text);
}

static void put_query(const struct table *t, struct buffer *sql)
{
    buffer_puts(sql, "SELECT k.n");
    for (uint16_t i = 0; i < t->column_count; i++) {
        buffer_puts(sql, ", t.");
        sql_ident(sql, t->columns[i].source);
    }
    buffer_puts(sql, t->source_partitioned ? " FROM " : " FROM ONLY ");
    sql_qualified(sql, t->from_schema, t->from_name);
    buffer_puts(sql, " t JOIN unnest(");
    for (uint16_t i = 0; i < t->key_count; i++)
        buffer_printf(sql, "%s$%u::text[]", i ? ", " : "", i + 1u);
    buffer_puts(sql, ") WITH ORDINALITY k(");
    for (uint16_t i = 0; i < t->key_count; i++)
        buffer_printf(sql, "k%u, ", i + 1u);
    buffer_puts(sql, "n) ON ");
    for (uint16_t i = 0; i < t->key_count; i++) {
        const struct column *c = &t->columns[t->key[i]];
        buffer_puts(sql, i ? " AND t." : "t.");
        sql_ident(sql, c->source);
        buffer_printf(sql, " = k.k%u::%s", i + 1u, c->source_type.name);
    }
}

static void take_rows(const PGresult *r, const struct table *t, size_t asked, struct legacy_rows *out)
{
    size_t rows = (size_t)PQntuples(r);
    legacy_rows_init(out, rows, t->column_count);
    for (size_t row = 0; row < rows; row++) {
        long n = strtol(PQgetvalue(r, (int)row, 0), NULL, 10);
        assert(n >= 1 && (size_t)n <= asked);
        out->key[row] = (size_t)n - 1;
        for (int c = 0; c < t->column_count; c++) {
            char **value = &out->values[row * t->column_count + (size_t)c];
            bool null = PQgetisnull(r, (int)row, c + 1);
            *value = null ? NULL : arena_strdup(out->arena, PQgetvalue(r, (int)row, c + 1));
            out->bytes += (size_t)PQgetlength(r, (int)row, c + 1);
        }
    }
}

static bool set_path(struct pg_conn *source, const char *path, struct error *err)
{
    struct buffer sql = {0};
    buffer_printf(&sql, "SET search_path = %s", path ? path : "''");
    bool ok = pg_exec(source, buffer_text(&sql), err);
    buffer_free(&sql);
    return ok;
}

bool pgsql_fetch(struct pg_conn *source, const struct table *table, char *const *const *keys, size_t count,
                 struct legacy_rows *out, struct error *err)
{
    struct buffer sql = {0};
    char *path = NULL;
    char **params = mem_alloc(((size_t)table->key_count + 1) * sizeof(*params));
    PGresult *r = NULL;
    bool ok = key_order_path(source, table, false, &path, err) && (!path || set_path(source, path, err));
    for (uint16_t i = 0; i < table->key_count; i++)
        params[i] = key_column(keys, count, i);
    put_query(table, &sql);
    if (ok)
        r = pg_query(source, buffer_text(&sql), table->key_count, (const char *const *)params, err);
    for (uint16_t i = 0; i < table->key_count; i++)
        free(params[i]);
    free(params);
    buffer_free(&sql);
    ok = r && (!path || set_path(source, NULL, err));
    if (ok)
        take_rows(r, table, count, out);
    free(path);
    PQclear(r);
    return ok;
}
