/* SPDX-License-Identifier: PostgreSQL */
#include "legacy/sink_rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "legacy/legacy.h"
#include "model/seen.h"
#include "pgsql/sql.h"
#include "state/store.h"

enum { FETCH_ROWS = 1000 };

static void put_cursor(const struct table *t, bool binary, struct buffer *sql)
{
    buffer_puts(sql, "DECLARE crossfade_seen NO SCROLL CURSOR FOR SELECT 1");
    for (uint16_t i = 0; i < t->column_count; i++) {
        buffer_puts(sql, ", t.");
        sql_ident(sql, t->columns[i].sink);
        buffer_printf(sql, "::%s%s", t->columns[i].source_type.name, binary ? "" : "::pg_catalog.text");
    }
    buffer_puts(sql, " FROM ");
    sql_qualified(sql, t->to_schema, t->to_name);
    buffer_puts(sql, " t");
}

static void take(const struct table *t, const PGresult *r, bool binary, struct value *row, struct seen *seen)
{
    for (int n = 0; n < PQntuples(r); n++) {
        for (uint16_t i = 0; i < t->column_count; i++) {
            bool null = PQgetisnull(r, n, i + 1);
            row[i] = (struct value){.kind = null     ? VALUE_NULL
                                            : binary ? VALUE_BINARY
                                                     : VALUE_TEXT,
                                    .data = null ? NULL : PQgetvalue(r, n, i + 1),
                                    .length = null ? 0 : (uint32_t)PQgetlength(r, n, i + 1)};
        }
        (void)seen_is_news(seen, t, row, false, 0);
    }
}

static bool fetch_all(struct pg_conn *target, const struct table *t, bool binary, struct seen *seen,
                      struct error *err)
{
    struct value *row = mem_alloc((t->column_count + (size_t)1) * sizeof(*row));
    char sql[80];
    int count = 1;
    bool ok = true;
    snprintf(sql, sizeof(sql), "FETCH %d FROM crossfade_seen", FETCH_ROWS);
    while (ok && count > 0) {
        PGresult *r = PQexecParams(target->pg, sql, 0, NULL, NULL, NULL, NULL, binary ? 1 : 0);
        ok = PQresultStatus(r) == PGRES_TUPLES_OK || pg_error_from(err, target, r);
        count = ok ? PQntuples(r) : 0;
        if (ok)
            take(t, r, binary, row, seen);
        PQclear(r);
    }
    free(row);
    return ok;
}

static bool load(void *context, const struct table *table, bool binary, struct seen *seen, struct error *err)
{
    const struct config *c = context;
    struct pg_conn_options o = {.conninfo = c->target_conninfo,
                                .pipeline = c->pipeline,
                                .job = "compare",
                                .endpoint = "target",
                                .connect_timeout_ms = (int)c->connect_timeout_ms};
    struct pg_conn target;
    struct buffer sql = {0};
    put_cursor(table, binary, &sql);
    bool ok = pg_conn_open(&target, &o, err);
    if (ok)
        ok = pg_exec(&target, "BEGIN READ ONLY", err) && pg_exec(&target, buffer_text(&sql), err) &&
             fetch_all(&target, table, binary, seen, err) && pg_exec(&target, "COMMIT", err);
    pg_conn_close(&target);
    buffer_free(&sql);
    return ok;
}

bool sink_rows_load_binary(void *context, const struct table *table, struct seen *seen, struct error *err)
{
    return load(context, table, true, seen, err);
}

bool sink_rows_load_text(void *context, const struct table *table, struct seen *seen, struct error *err)
{
    return load(context, table, false, seen, err);
}

bool sink_rows_poll_end(const struct legacy_notes *notes, struct position *out, struct error *err)
{
    struct store_progress *rows = NULL;
    int count = 0;
    *out = position_cursor(POSITION_POLL, 2);
    if (!store_progress_get(notes->target, notes->config->pipeline, "forward", &rows, &count, err))
        return false;
    for (int i = 0; i < count; i++) {
        if (rows[i].position.kind == POSITION_POLL && rows[i].position.low + 2 > out->low)
            out->low = rows[i].position.low + 2;
    }
    free(rows);
    return true;
}
