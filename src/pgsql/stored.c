/* SPDX-License-Identifier: PostgreSQL
 *
 * A slice that stops its table again is rolled back whole: were its rest parked anew it would stand behind
 * later changes.
 */
#include "pgsql/stored.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/parked.h"
#include "pgsql/replay.h"
#include "pgsql/sift.h"
#include "pgsql/waiting.h"

static int64_t read_int8(const char *data)
{
    uint64_t v;

    memcpy(&v, data, 8);
    return (int64_t)__builtin_bswap64(v);
}

static bool decode_all(struct pg_sink *s, struct table *table, struct stored *out, struct error *err)
{
    size_t n = out->batch.count;
    struct batch *b = &out->batch;

    b->changes = arena_alloc(s->arena, (n + 1) * sizeof(*b->changes));
    b->transactions = arena_alloc(s->arena, (n + 1) * sizeof(*b->transactions));
    out->ids = arena_alloc(s->arena, (n + 1) * sizeof(*out->ids));
    for (size_t i = 0; i < n; i++) {
        int row = (int)i;
        struct slice bytes = {PQgetvalue(out->result, row, 1), (size_t)PQgetlength(out->result, row, 1)};
        out->ids[i] = read_int8(PQgetvalue(out->result, row, 0));
        if (!parked_decode(bytes, table, s->arena, &b->changes[i], &b->transactions[i], err))
            return false;
        b->changes[i].transaction = (uint32_t)i;
    }
    return true;
}

bool stored_read(struct pg_sink *s, struct table *table, const char *sql, int count,
                 const char *const *values, struct stored *out, struct error *err)
{
    *out = (struct stored){.result = PQexecParams(s->conn.pg, sql, count, NULL, values, NULL, NULL, 1)};
    if (PQresultStatus(out->result) != PGRES_TUPLES_OK) {
        pg_error_from(err, &s->conn, out->result);
        stored_free(out);
        return false;
    }
    out->batch.count = (size_t)PQntuples(out->result);
    out->batch.transaction_count = out->batch.count;
    out->batch.complete = true;
    if (decode_all(s, table, out, err))
        return true;
    stored_free(out);
    return false;
}

void stored_free(struct stored *self)
{
    PQclear(self->result);
    *self = (struct stored){0};
}

bool stored_begin(struct pg_sink *s, struct error *err)
{
    assert(!s->in_transaction);
    arena_reset(s->arena);
    waiting_clear(s);
    if (!pipe_begin(&s->pipe, err) || !pipe_sql(&s->pipe, "BEGIN", 0, NULL, TAG_CONTROL, err) ||
        !lane_send_advance(s, s->applied_text, 0, err) || !pipe_end(&s->pipe, err))
        return false;
    if (s->pipe.failure.error.kind == ERROR_NONE)
        return true;
    *err = s->pipe.failure.error;
    return false;
}

bool stored_apply(struct pg_sink *s, struct lane_table *t, const struct stored *stored, struct error *err)
{
    unsigned char *fates = arena_alloc(s->arena, stored->batch.count + 1);
    struct sink_counts *counts = mem_alloc((s->tables->count + 1) * sizeof(*counts));

    t->draining = true;
    /* The net effect first: it is quicker, and a value that only an intermediate state had can't be in the
     * way of what other keys have now. */
    bool good = false;
    bool ok = apply_inside(s, &stored->batch, fates, &good, err) &&
              (good || replay_changes(s, &stored->batch, fates, counts, err));
    bool stopped = !t->draining;
    t->draining = false;
    free(counts);
    if (!ok)
        return false;
    if (stopped) {
        *err = (struct error){.kind = ERROR_TABLE}; /* the owner has been told why */
        return false;
    }
    if (!pipe_begin(&s->pipe, err) || !waiting_send(s, err) || !pipe_end(&s->pipe, err))
        return false;
    if (s->pipe.failure.error.kind == ERROR_NONE)
        return true;
    *err = s->pipe.failure.error;
    return false;
}

bool stored_commit(struct pg_sink *s, struct error *err)
{
    if (!pg_exec(&s->conn, "COMMIT", err))
        return false;
    waiting_clear(s);
    return true;
}

void stored_rollback(struct pg_sink *s)
{
    struct error ignored;

    waiting_rewind(s, (struct waiting_mark){0, 0});
    waiting_clear(s);
    if (PQtransactionStatus(s->conn.pg) != PQTRANS_IDLE)
        (void)!pg_exec(&s->conn, "ROLLBACK", &ignored);
}

void stored_stopped(struct pg_sink *s, struct lane_table *t, struct error *err)
{
    t->parking = true;
    lane_mark(t);
    if (err->text[0])
        lane_stop_table(s, t, err->text);
    error_clear(err);
}
