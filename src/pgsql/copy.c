/* SPDX-License-Identifier: PostgreSQL
 *
 * The pump between two COPY streams. Neither side is ever waited for blindly: every wait is a poll of both
 * sockets with a short time-out, after which the gate is asked, so that a stop is noticed while a server
 * waits for a lock, and an error of one side is seen while the other is slow. The sink's output buffer holds
 * one piece at most: memory stays at a piece and a row. Rows are gathered into pieces because the sink pays
 * for each CopyData message, not only for its bytes.
 *
 * The end is a fact (hazard 30): CommandComplete of both sides with the same number of rows. Whatever else
 * happens, nothing is committed here.
 */
#include "pgsql/copy.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "pgsql/sql.h"

enum {
    PIECE_BYTES = 128 * 1024,
    TICK_MS = 100 /* how long a stop may go unnoticed */
};

struct copy_pump {
    struct pg_conn *source;
    struct pg_conn *sink;
    copy_gate *gate;
    void *context;
    struct copy_progress *progress;
    struct buffer piece;
};

void copy_key_bound(const struct table *table, const char *comparison, char *const *key, struct buffer *out)
{
    bool row = table->key_count > 1;
    buffer_puts(out, row ? "(" : "");
    for (uint16_t i = 0; i < table->key_count; i++) {
        buffer_puts(out, i ? ", t." : "t.");
        sql_ident(out, table->columns[table->key[i]].source);
    }
    buffer_printf(out, "%s %s %s", row ? ")" : "", comparison, row ? "(" : "");
    for (uint16_t i = 0; i < table->key_count; i++) {
        buffer_puts(out, i ? ", " : "");
        sql_literal(out, key[i]);
        buffer_printf(out, "::%s", table->columns[table->key[i]].source_type.name);
    }
    buffer_puts(out, row ? ")" : "");
}

void copy_out_sql(const struct table *table, const struct copy_range *range, bool binary, struct buffer *out)
{
    buffer_puts(out, "COPY (SELECT ");
    for (uint16_t i = 0; i < table->column_count; i++) {
        buffer_puts(out, i ? ", t." : "t.");
        sql_ident(out, table->columns[i].source);
    }
    buffer_puts(out, table->source_partitioned ? " FROM " : " FROM ONLY ");
    sql_qualified(out, table->from_schema, table->from_name);
    buffer_puts(out, " t");
    if (range && range->low) {
        buffer_puts(out, " WHERE ");
        copy_key_bound(table, ">", range->low, out);
    }
    if (range && range->high) {
        buffer_puts(out, range->low ? " AND " : " WHERE ");
        copy_key_bound(table, "<=", range->high, out);
    }
    buffer_printf(out, ") TO STDOUT%s", binary ? " (FORMAT binary)" : "");
}

void copy_in_columns(const struct table *table, bool binary, struct buffer *out)
{
    buffer_puts(out, " (");
    for (uint16_t i = 0; i < table->column_count; i++) {
        buffer_puts(out, i ? ", " : "");
        sql_ident(out, table->columns[i].sink);
    }
    buffer_printf(out, ") FROM STDIN%s", binary ? " (FORMAT binary)" : "");
}

static bool ask(struct copy_pump *p, size_t bytes, struct error *err)
{
    if (p->gate && !p->gate(p->context, bytes))
        return error_set(err, ERROR_CANCELED, "copy stopped");
    return true;
}

static bool failed(struct pg_conn *conn, const PGresult *result, struct error *err)
{
    return pg_error_from(err, conn, result);
}

/* Waits until `source` can be read, or `sink` read or (with want_write) written; either may be NULL. Takes in
 * what came. */
static bool wait_io(struct copy_pump *p, struct pg_conn *source, struct pg_conn *sink, bool want_write,
                    struct error *err)
{
    struct pollfd fds[2];
    struct pg_conn *conns[2];
    nfds_t n = 0;
    if (source) {
        conns[n] = source;
        fds[n++] = (struct pollfd){.fd = PQsocket(source->pg), .events = POLLIN};
    }
    if (sink) {
        conns[n] = sink;
        fds[n++] =
            (struct pollfd){.fd = PQsocket(sink->pg), .events = (short)(POLLIN | (want_write ? POLLOUT : 0))};
    }
    int ready = poll(fds, n, TICK_MS);
    if (ready < 0 && errno != EINTR)
        return error_set(err, ERROR_RETRY, "poll: %s", strerror(errno));
    if (ready <= 0)
        return ask(p, 0, err);
    for (nfds_t i = 0; i < n; i++) {
        if ((fds[i].revents & ~POLLOUT) && !PQconsumeInput(conns[i]->pg))
            return failed(conns[i], NULL, err);
    }
    return true;
}

/* The next result of `conn`, or NULL when the statement is over; false if the wait failed. */
static bool next_result(struct copy_pump *p, struct pg_conn *conn, PGresult **out, struct error *err)
{
    int unsent = 0;
    while ((unsent = PQflush(conn->pg)) > 0 || PQisBusy(conn->pg))
        if (!wait_io(p, NULL, conn, unsent > 0, err))
            return false;
    if (unsent < 0 && PQstatus(conn->pg) == CONNECTION_BAD)
        return failed(conn, NULL, err);
    *out = PQgetResult(conn->pg);
    return true;
}

/* Sends the COPY and waits for the server's consent. */
static bool start(struct copy_pump *p, struct pg_conn *conn, const char *sql, ExecStatusType wanted,
                  struct error *err)
{
    if (!PQsendQuery(conn->pg, sql))
        return failed(conn, NULL, err);
    PGresult *result = NULL;
    if (!next_result(p, conn, &result, err))
        return false;
    bool ok = PQresultStatus(result) == wanted;
    if (!ok)
        failed(conn, result, err);
    PQclear(result);
    return ok;
}

/* The server's last word on a COPY: its command tag's row count. */
static bool finish(struct copy_pump *p, struct pg_conn *conn, uint64_t *rows, struct error *err)
{
    PGresult *result = NULL;
    if (!next_result(p, conn, &result, err))
        return false;
    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        failed(conn, result, err);
        PQclear(result);
        return false;
    }
    const char *tuples = PQcmdTuples(result);
    char *end = NULL;
    *rows = strtoull(tuples, &end, 10);
    bool counted = end != tuples && *end == '\0';
    PQclear(result);
    if (!counted)
        return error_set(err, ERROR_RETRY, "%s: COPY ended without a row count", conn->where);
    while (next_result(p, conn, &result, err)) {
        if (!result)
            return true;
        PQclear(result);
    }
    return false;
}

/* The sink said something while we were sending: find out what it was. */
static bool sink_spoke(struct copy_pump *p, struct error *err)
{
    PGresult *result = PQgetResult(p->sink->pg);
    failed(p->sink, result, err);
    PQclear(result);
    return false;
}

/* Hands bytes to the sink and waits until they have left. */
static bool send_bytes(struct copy_pump *p, const char *data, size_t size, struct error *err)
{
    if (!PQconsumeInput(p->sink->pg))
        return failed(p->sink, NULL, err);
    int put = PQputCopyData(p->sink->pg, data, (int)size);
    if (put < 0)
        return sink_spoke(p, err);
    if (put == 0)
        return error_set(err, ERROR_RETRY, "no memory for a piece of %zu bytes", size);
    for (;;) {
        int left = PQflush(p->sink->pg);
        if (left < 0)
            return sink_spoke(p, err);
        if (left == 0)
            break;
        if (!wait_io(p, NULL, p->sink, true, err))
            return false;
    }
    atomic_fetch_add_explicit(&p->progress->bytes, size, memory_order_relaxed);
    return ask(p, size, err);
}

static bool send_piece(struct copy_pump *p, struct error *err)
{
    bool ok = p->piece.length == 0 || send_bytes(p, p->piece.data, p->piece.length, err);
    buffer_clear(&p->piece);
    return ok;
}

/* Gathers one message; one as large as a piece goes as it is. */
static bool take(struct copy_pump *p, const char *data, size_t size, bool binary, struct error *err)
{
    if (p->piece.length + size > PIECE_BYTES && !send_piece(p, err))
        return false;
    if (size >= PIECE_BYTES) {
        if (!send_bytes(p, data, size, err))
            return false;
    } else {
        buffer_put(&p->piece, data, size);
    }
    if (!binary || size != 2) /* the trailer of the binary format is no row */
        atomic_fetch_add_explicit(&p->progress->rows, 1, memory_order_relaxed);
    return true;
}

static bool pour(struct copy_pump *p, bool binary, struct error *err)
{
    for (;;) {
        char *data = NULL;
        int n = PQgetCopyData(p->source->pg, &data, 1);
        if (n > 0) {
            bool ok = take(p, data, (size_t)n, binary, err);
            PQfreemem(data);
            if (!ok)
                return false;
            continue;
        }
        if (n == -1)
            break;
        if (n < -1)
            return failed(p->source, NULL, err);
        if (!wait_io(p, p->source, p->sink, false, err))
            return false;
    }
    return send_piece(p, err);
}

/* The connections are closed next; their servers should not first finish what nobody waits for. */
static void abandon(struct copy_pump *p)
{
    if (p->source && PQtransactionStatus(p->source->pg) == PQTRANS_ACTIVE)
        pg_conn_cancel(p->source);
    if (PQtransactionStatus(p->sink->pg) == PQTRANS_ACTIVE)
        pg_conn_cancel(p->sink);
}

/* The sink's end; it must have stored what was sent. */
static bool end_sink(struct copy_pump *p, const char *source, uint64_t sent, struct error *err)
{
    uint64_t stored = 0;
    if (PQputCopyEnd(p->sink->pg, NULL) < 0)
        return sink_spoke(p, err);
    if (!finish(p, p->sink, &stored, err))
        return false;
    return sent == stored ||
           error_set(err, ERROR_FATAL,
                     "%s sent %llu rows and %s stored %llu - a rule or trigger there removes rows of a copy",
                     source, (unsigned long long)sent, p->sink->where, (unsigned long long)stored);
}

static bool run(struct copy_pump *p, const char *out_sql, const char *in_sql, uint64_t *rows,
                struct error *err)
{
    uint64_t sent = 0;
    if (!start(p, p->sink, in_sql, PGRES_COPY_IN, err) || !start(p, p->source, out_sql, PGRES_COPY_OUT, err))
        return false;
    bool binary = strstr(in_sql, "FORMAT binary") != NULL;
    if (!pour(p, binary, err) || !finish(p, p->source, &sent, err))
        return false;
    *rows = sent;
    return end_sink(p, p->source->where, sent, err);
}

/* Between `begin` and `end` the sink's writes don't block. */
static bool begin(struct copy_pump *p, struct error *err)
{
    return PQsetnonblocking(p->sink->pg, 1) == 0 || failed(p->sink, NULL, err);
}

static bool end(struct copy_pump *p, bool ok, uint64_t rows_before, uint64_t rows, struct error *err)
{
    if (ok) {
        atomic_store(&p->progress->rows, rows_before + rows);
        ok = PQsetnonblocking(p->sink->pg, 0) == 0 || failed(p->sink, NULL, err);
    } else {
        abandon(p);
    }
    buffer_free(&p->piece);
    return ok;
}

bool copy_run(struct pg_conn *source, const char *out_sql, struct pg_conn *sink, const char *in_sql,
              copy_gate *gate, void *context, struct copy_progress *progress, uint64_t *rows,
              struct error *err)
{
    struct copy_pump p = {
        .source = source, .sink = sink, .gate = gate, .context = context, .progress = progress};
    uint64_t rows_before = atomic_load(&progress->rows);
    if (!begin(&p, err))
        return false;
    bool ok = run(&p, out_sql, in_sql, rows, err);
    return end(&p, ok, rows_before, *rows, err);
}

bool copy_put(struct copy_pump *pump, const char *data, size_t size, struct error *err)
{
    return send_bytes(pump, data, size, err);
}

bool copy_fill_run(struct pg_conn *sink, const char *in_sql, copy_fill *fill, void *fill_context,
                   copy_gate *gate, void *context, struct copy_progress *progress, uint64_t *rows,
                   struct error *err)
{
    struct copy_pump p = {.sink = sink, .gate = gate, .context = context, .progress = progress};
    uint64_t rows_before = atomic_load(&progress->rows);
    *rows = 0;
    if (!begin(&p, err))
        return false;
    bool ok = start(&p, sink, in_sql, PGRES_COPY_IN, err) && fill(fill_context, &p, rows, err) &&
              end_sink(&p, "the source", *rows, err);
    return end(&p, ok, rows_before, *rows, err);
}
