/* SPDX-License-Identifier: PostgreSQL
 *
 * Rows of a SQL Server legacy by their keys. They are read under locks, so that what is committed is seen,
 * and become text in the target: a temporary table of carriers is filled by COPY BINARY and read back, so
 * that PostgreSQL itself writes every value.
 *
 * SQL Server may find the row of another key: 'A' and 'a ' can be one. Where the key's text is not the one
 * asked for, the row is not that key's.
 */
#include <assert.h>
#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "legacy/legacy_mssql.h"
#include "mssql/copy_out.h"
#include "mssql/ms_sink_part.h"
#include "mssql/row.h"
#include "mssql/sql.h"
#include "pgsql/sql.h"

static const char rows_table[] = "crossfade_fetch";

void mssql_carrier_table(const struct table *table, const char *name, const char *lead, struct buffer *sql)
{
    buffer_printf(sql, "CREATE TEMP TABLE %s (%s", name, lead ? lead : "");
    for (uint16_t i = 0; i < table->column_count; i++)
        buffer_printf(sql, "%sc%u %s", i || lead ? ", " : "", i, table->columns[i].source_type.name);
    buffer_puts(sql, ") ON COMMIT DROP");
}

void mssql_carrier_value(const struct column *column, uint16_t i, struct buffer *sql)
{
    if (column->wire_cast)
        buffer_printf(sql, "c%u::%s", i, column->sink_type.name);
    else
        buffer_printf(sql, "c%u", i);
}

/* --- a key in T-SQL --- */

static bool is_characters(uint32_t oid)
{
    return oid == MS_OID_TEXT || oid == MS_OID_VARCHAR || oid == MS_OID_BPCHAR;
}

/* '\x0102' as 0x0102 in hex digits; only digits get through. */
static void put_bytes(const char *text, struct buffer *out)
{
    buffer_puts(out, "0x");
    if (strncmp(text, "\\x", 2) == 0)
        buffer_put(out, text + 2, strspn(text + 2, "0123456789abcdefABCDEF"));
}

/* A moment as the local time that the column has for it. */
static bool put_local(const struct ms_row_column *column, const char *text, struct buffer *out,
                      struct error *err)
{
    const struct value value = {text, (uint32_t)strlen(text), VALUE_TEXT};
    struct buffer bytes = {0};
    struct ms_bound bound;
    bool ok = ms_value_encode(&column->codec, &value, &bytes, &bound, err);
    if (ok) {
        buffer_puts(out, "CONVERT(");
        ms_type_declare(&column->type, out);
        buffer_puts(out, ", ");
        ms_sink_literal(&bound, buffer_text(&bytes), out);
        buffer_puts(out, ")");
    }
    buffer_free(&bytes);
    return ok || error_prefix(err, "column %s", column->name);
}

/* A value as PostgreSQL writes it, as a literal of the column's type. */
static void put_literal(const struct ms_row_column *column, const char *text, struct buffer *out)
{
    struct buffer type = {0}, plain = {0};
    int style = -1;
    uint32_t oid = column->codec.oid;
    if (is_characters(oid)) {
        ms_sql_literal(out, text);
        return;
    }
    ms_type_declare(&column->type, &type);
    buffer_puts(&plain, text);
    if (oid == MS_OID_BOOL) {
        buffer_clear(&plain);
        buffer_puts(&plain, *text == 't' ? "1" : "0");
    } else if (oid == MS_OID_BYTEA) {
        buffer_clear(&plain);
        put_bytes(text, &plain);
        style = 1;
    } else if (oid == MS_OID_DATE || oid == MS_OID_TIME || oid == MS_OID_TIMESTAMP ||
               oid == MS_OID_TIMESTAMPTZ) {
        style = 121;
        if (oid == MS_OID_TIMESTAMPTZ && plain.length > 3 && strchr("+-", plain.data[plain.length - 3]))
            buffer_puts(&plain, ":00");
    }
    ms_sql_convert_text(out, buffer_text(&type), (struct slice){plain.data, plain.length}, style);
    buffer_free(&type);
    buffer_free(&plain);
}

/* One statement, and so one result set, a key. */
static bool put_select(const struct ms_catalog_table *from, const struct ms_row_plan *plan, char *const *key,
                       struct buffer *sql, struct error *err)
{
    const struct table *t = plan->table;
    buffer_puts(sql, "SELECT ");
    ms_row_select(plan, sql);
    buffer_puts(sql, " FROM ");
    ms_sql_qualified(sql, from->schema, from->name);
    buffer_puts(sql, from->memory_optimized ? " AS [t] WITH (SNAPSHOT)" : " AS [t] WITH (READCOMMITTEDLOCK)");
    for (uint16_t i = 0; i < t->key_count; i++) {
        const struct ms_row_column *column = &plan->columns[t->key[i]];
        buffer_puts(sql, i ? " AND " : " WHERE ");
        ms_sql_column(sql, "t", column->name);
        buffer_puts(sql, " = ");
        if (!column->codec.policy.zone)
            put_literal(column, key[i], sql);
        else if (!put_local(column, key[i], sql, err))
            return error_prefix(err, "%s", t->from);
    }
    buffer_puts(sql, ";\n");
    return true;
}

/* --- from the one side to the other --- */

struct fetch {
    struct legacy_mssql *self;
    const struct table *table;
    struct ms_row_plan plan;
    const char *sql;
    size_t count;       /* keys asked for */
    struct buffer data; /* COPY BINARY */
    uint64_t rows;
};

/* The row as a tuple of COPY BINARY with the number of its key in front. */
static bool put_row(struct fetch *f, size_t key, struct buffer *tuple, struct buffer *out, struct error *err)
{
    buffer_clear(tuple);
    if (!ms_row_copy(&f->plan, &f->self->conn, 0, tuple, err))
        return false;
    uint16_t fields = htobe16((uint16_t)(f->table->column_count + 1));
    uint32_t length = htobe32(8);
    uint64_t number = htobe64((uint64_t)key);
    buffer_put(out, (const char *)&fields, sizeof(fields));
    buffer_put(out, (const char *)&length, sizeof(length));
    buffer_put(out, (const char *)&number, sizeof(number));
    buffer_put(out, tuple->data + sizeof(fields), tuple->length - sizeof(fields));
    return true;
}

static bool read_rows(struct fetch *f, struct buffer *tuple, struct error *err)
{
    struct ms_conn *conn = &f->self->conn;
    size_t key = 0;
    enum ms_next next = MS_ROW;
    if (!ms_query_start(conn, f->sql, err))
        return false;
    while (next == MS_ROW) {
        while ((next = ms_query_next(conn, err)) == MS_ROW) {
            if (!put_row(f, key, tuple, &f->data, err)) {
                ms_query_stop(conn);
                return false;
            }
            f->rows++;
        }
        if (next == MS_FAILED)
            return false;
        key++;
        next = ms_query_next_set(conn, err);
    }
    if (next == MS_FAILED)
        return false;
    return key == f->count ||
           error_set(err, ERROR_RETRY, "%s: %zu answers came to %zu questions", conn->where, key, f->count);
}

/* All that COPY is to take, before the target is touched: a value that can't be carried harms nobody. */
static bool read_all(struct fetch *f, struct error *err)
{
    struct buffer tuple = {0};
    ms_copy_header(&f->data);
    bool ok = read_rows(f, &tuple, err);
    ms_copy_trailer(&f->data);
    buffer_free(&tuple);
    return ok;
}

static bool fill(void *context, struct copy_pump *pump, uint64_t *rows, struct error *err)
{
    struct fetch *f = context;
    *rows = f->rows;
    return copy_put(pump, f->data.data, f->data.length, err);
}

static bool same_key(const struct table *t, const PGresult *r, int row, char *const *key)
{
    for (uint16_t i = 0; i < t->key_count; i++) {
        uint16_t column = t->key[i];
        if (is_characters(t->columns[column].source_type.oid) &&
            strcmp(PQgetvalue(r, row, column + 1), key[i]) != 0)
            return false;
    }
    return true;
}

static void take_rows(const PGresult *r, const struct table *t, char *const *const *keys, size_t count,
                      struct legacy_rows *out)
{
    legacy_rows_init(out, (size_t)PQntuples(r), t->column_count);
    out->count = 0;
    for (int row = 0; row < PQntuples(r); row++) {
        size_t key = strtoull(PQgetvalue(r, row, 0), NULL, 10);
        assert(key < count);
        if (!same_key(t, r, row, keys[key]))
            continue;
        out->key[out->count] = key;
        for (int c = 0; c < t->column_count; c++) {
            char **value = &out->values[out->count * t->column_count + (size_t)c];
            bool null = PQgetisnull(r, row, c + 1);
            *value = null ? NULL : arena_strdup(out->arena, PQgetvalue(r, row, c + 1));
            out->bytes += (size_t)PQgetlength(r, row, c + 1);
        }
        out->count++;
    }
}

static PGresult *read_back(struct pg_conn *target, const struct table *t, struct error *err)
{
    struct buffer sql = {0};
    buffer_puts(&sql, "SELECT n");
    for (uint16_t i = 0; i < t->column_count; i++) {
        buffer_puts(&sql, ", (");
        mssql_carrier_value(&t->columns[i], i, &sql);
        buffer_puts(&sql, ")::text");
    }
    buffer_printf(&sql, " FROM pg_temp.%s ORDER BY n", rows_table);
    PGresult *r = pg_query(target, buffer_text(&sql), 0, NULL, err);
    buffer_free(&sql);
    return r;
}

static PGresult *carry(struct fetch *f, struct pg_conn *target, struct error *err)
{
    struct buffer sql = {0}, in_sql = {0};
    struct copy_progress progress = {0};
    uint64_t rows;
    PGresult *r = NULL;
    mssql_carrier_table(f->table, rows_table, "n int8", &sql);
    buffer_printf(&in_sql, "COPY pg_temp.%s FROM STDIN (FORMAT binary)", rows_table);
    if (pg_exec(target, "BEGIN", err) && pg_exec(target, buffer_text(&sql), err) &&
        copy_fill_run(target, buffer_text(&in_sql), fill, f, NULL, NULL, &progress, &rows, err))
        r = read_back(target, f->table, err);
    if (r && !pg_exec(target, "COMMIT", err)) {
        PQclear(r);
        r = NULL;
    }
    struct error ignored;
    if (!r && PQtransactionStatus(target->pg) == PQTRANS_INERROR)
        (void)!pg_exec(target, "ROLLBACK", &ignored);
    buffer_free(&sql);
    buffer_free(&in_sql);
    return r;
}

bool mssql_fetch(struct legacy_mssql *self, const struct legacy_notes *notes, const struct table *table,
                 char *const *const *keys, size_t count, struct legacy_rows *out, struct error *err)
{
    struct fetch f = {.self = self, .table = table, .count = count};
    const struct ms_catalog_table *from = ms_catalog_by_id(&self->catalog, (int32_t)table->source_oid);
    struct buffer sql = {0};
    *out = (struct legacy_rows){0};
    if (!from)
        return error_set(err, ERROR_TABLE, "%s is not there any more", table->from);
    bool ok = ms_row_plan_make(from, table, NULL, notes->config->value_limit, &f.plan, err);
    for (size_t i = 0; i < count && ok; i++)
        ok = put_select(from, &f.plan, keys[i], &sql, err);
    f.sql = buffer_text(&sql);
    PGresult *r = ok && read_all(&f, err) ? carry(&f, notes->target, err) : NULL;
    if (r)
        take_rows(r, table, keys, count, out);
    PQclear(r);
    ms_row_plan_free(&f.plan);
    buffer_free(&f.data);
    buffer_free(&sql);
    return r != NULL;
}
