/* SPDX-License-Identifier: PostgreSQL
 *
 * Invariants: outside begin/end the connection is blocking and not in pipeline mode, so pg_query and friends
 * can be used; `entries` lists what was sent since begin, in order; answers arrive in that order.
 */
#include "pgsql/pipe.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { PACE_BYTES = 128 * 1024, STATEMENT_BYTES = 64 };
enum { WAIT_MS = 500 }; /* how soon a cancel is noticed while the server is silent */

void pipe_init(struct pipe *self, struct pg_conn *conn)
{
    *self = (struct pipe){.conn = conn};
}

void pipe_free(struct pipe *self)
{
    PQclear(self->kept);
    free(self->entries);
    *self = (struct pipe){0};
}

void pipe_cancel(struct pipe *self)
{
    atomic_store(&self->canceled, true);
}

static bool link_failed(struct pipe *self, struct error *err)
{
    return pg_error_from(err, self->conn, NULL);
}

bool pipe_begin(struct pipe *self, struct error *err)
{
    PQclear(self->kept);
    self->kept = NULL;
    self->count = 0;
    self->answered = 0;
    self->queued = 0;
    self->failure = (struct pipe_failure){.tag = PIPE_NO_TAG};
    if (PQsetnonblocking(self->conn->pg, 1) != 0 || PQenterPipelineMode(self->conn->pg) != 1)
        return link_failed(self, err);
    return true;
}

static struct pipe_entry *add_entry(struct pipe *self, uint32_t tag)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? 2 * self->capacity : 64;
        self->entries = mem_grow(self->entries, self->capacity, sizeof(struct pipe_entry));
    }
    struct pipe_entry *e = &self->entries[self->count++];
    *e = (struct pipe_entry){.rows = -1, .tag = tag};
    return e;
}

bool pipe_prepare(struct pipe *self, const char *name, const char *sql, bool *known, uint32_t tag,
                  struct error *err)
{
    assert(!*known);
    if (PQsendPrepare(self->conn->pg, name, sql, 0, NULL) != 1)
        return link_failed(self, err);
    add_entry(self, tag)->prepared = known;
    return true;
}

static void add_execution(struct pipe *self, const struct pipe_args *args, uint32_t tag)
{
    add_entry(self, tag);
    self->queued += STATEMENT_BYTES;
    for (int i = 0; i < args->count; i++)
        self->queued += args->values[i] ? (size_t)args->lengths[i] + 4 : 4;
}

bool pipe_execute(struct pipe *self, const char *name, const struct pipe_args *args, uint32_t tag,
                  struct error *err)
{
    if (PQsendQueryPrepared(self->conn->pg, name, args->count, args->values, args->lengths, args->formats,
                            0) != 1)
        return link_failed(self, err);
    add_execution(self, args, tag);
    return true;
}

bool pipe_query(struct pipe *self, const char *sql, const struct pipe_args *args, uint32_t tag,
                struct error *err)
{
    if (PQsendQueryParams(self->conn->pg, sql, args->count, NULL, args->values, args->lengths, args->formats,
                          0) != 1)
        return link_failed(self, err);
    add_execution(self, args, tag);
    return true;
}

bool pipe_sql(struct pipe *self, const char *sql, int count, const char *const *values, uint32_t tag,
              struct error *err)
{
    if (PQsendQueryParams(self->conn->pg, sql, count, NULL, values, NULL, NULL, 0) != 1)
        return link_failed(self, err);
    add_entry(self, tag);
    return true;
}

void pipe_keep(struct pipe *self)
{
    assert(self->count > 0);
    self->entries[self->count - 1].keep = true;
}

/* Until the socket can be read, or written if `write`, or somebody cancels. */
static bool wait_socket(struct pipe *self, bool write, struct error *err)
{
    struct pollfd p = {.fd = PQsocket(self->conn->pg), .events = (short)(POLLIN | (write ? POLLOUT : 0))};

    for (;;) {
        int n = poll(&p, 1, WAIT_MS);
        if (n > 0)
            break;
        if (n < 0 && errno != EINTR)
            return error_set(err, ERROR_RETRY, "%s: poll: %s", self->conn->endpoint, strerror(errno));
        if (atomic_load(&self->canceled))
            return error_set(err, ERROR_CANCELED, "%s: canceled while waiting for the server",
                             self->conn->endpoint);
    }
    if ((p.revents & (POLLIN | POLLERR | POLLHUP)) && PQconsumeInput(self->conn->pg) != 1)
        return link_failed(self, err);
    return true;
}

bool pipe_flush(struct pipe *self, struct error *err)
{
    for (;;) {
        int left = PQflush(self->conn->pg);
        if (left < 0)
            return link_failed(self, err);
        if (left == 0)
            break;
        if (!wait_socket(self, true, err))
            return false;
    }
    self->queued = 0;
    return true;
}

bool pipe_pace(struct pipe *self, struct error *err)
{
    return self->queued < PACE_BYTES || pipe_flush(self, err);
}

static void copy_field(char out[64], const PGresult *r, int field)
{
    const char *text = PQresultErrorField(r, field);

    snprintf(out, 64, "%s", text ? text : "");
}

static void take_failure(struct pipe *self, const struct pipe_entry *e, const PGresult *r)
{
    struct pipe_failure *f = &self->failure;

    pg_error_from(&f->error, self->conn, r);
    f->tag = e->tag;
    copy_field(f->schema, r, PG_DIAG_SCHEMA_NAME);
    copy_field(f->table, r, PG_DIAG_TABLE_NAME);
    copy_field(f->constraint, r, PG_DIAG_CONSTRAINT_NAME);
}

static void take_answer(struct pipe *self, struct pipe_entry *e, PGresult *r)
{
    ExecStatusType status = PQresultStatus(r);

    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        const char *rows = PQcmdTuples(r);
        e->rows = *rows ? strtoll(rows, NULL, 10) : -1;
        if (e->prepared)
            *e->prepared = true;
        if (e->keep) {
            PQclear(self->kept);
            self->kept = r;
            return;
        }
    } else if (status != PGRES_PIPELINE_ABORTED && self->failure.error.kind == ERROR_NONE) {
        take_failure(self, e, r);
    }
    PQclear(r);
}

/* The next result, or NULL where libpq ends one statement's results. */
static bool next_result(struct pipe *self, PGresult **out, struct error *err)
{
    while (PQisBusy(self->conn->pg)) {
        int left = PQflush(self->conn->pg);
        if (left < 0)
            return link_failed(self, err);
        if (!wait_socket(self, left > 0, err))
            return false;
    }
    *out = PQgetResult(self->conn->pg);
    if (PQstatus(self->conn->pg) == CONNECTION_OK)
        return true;
    if (*out)
        pg_error_from(err, self->conn, *out);
    else
        link_failed(self, err);
    if (err->kind != ERROR_FATAL)
        err->kind = ERROR_RETRY;
    PQclear(*out);
    return false;
}

static bool read_answers(struct pipe *self, struct error *err)
{
    for (;;) {
        PGresult *r = NULL;
        if (!next_result(self, &r, err))
            return false;
        if (!r) {
            self->answered++;
            if (self->answered > self->count)
                return error_set(err, ERROR_RETRY, "%s: the server's answers do not match what was sent",
                                 self->conn->endpoint);
            continue;
        }
        if (PQresultStatus(r) == PGRES_PIPELINE_SYNC) {
            PQclear(r);
            return true;
        }
        assert(self->answered < self->count);
        take_answer(self, &self->entries[self->answered], r);
    }
}

bool pipe_end(struct pipe *self, struct error *err)
{
    if (PQpipelineSync(self->conn->pg) != 1)
        return link_failed(self, err);
    if (!read_answers(self, err))
        return false;
    assert(self->answered == self->count);
    if (PQexitPipelineMode(self->conn->pg) != 1 || PQsetnonblocking(self->conn->pg, 0) != 0)
        return link_failed(self, err);
    return true;
}
