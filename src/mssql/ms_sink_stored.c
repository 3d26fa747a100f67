/* SPDX-License-Identifier: PostgreSQL
 *
 * The way back of what waits in the sink's crossfade.parked and crossfade.quarantine: read in the order in
 * which it was made, replayed exactly under the fence, and deleted in the same transaction. A slice that
 * stops its table again is rolled back whole: were its rest parked anew it would stand behind later changes.
 *
 * A retry takes, besides the rows asked for, every row that shares a key with one of them, over any number of
 * key changes: those are the rows whose order matters to each other. What is refused again is written anew.
 */
#include "mssql/ms_sink_part.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/parked.h"
#include "mssql/sql.h"

enum { SLICE_BYTES = 8 << 20 };

struct stored {
    struct ms_sink *s;
    struct table *table;
    struct batch batch;
    int64_t *ids;
    size_t capacity;
    size_t bytes;
};

/* --- reading --- */

static void grow(struct stored *f)
{
    struct batch *b = &f->batch;
    if (b->count < f->capacity)
        return;
    f->capacity = f->capacity ? 2 * f->capacity : 64;
    b->changes = mem_grow(b->changes, f->capacity, sizeof(*b->changes));
    b->transactions = mem_grow(b->transactions, f->capacity, sizeof(*b->transactions));
    f->ids = mem_grow(f->ids, f->capacity, sizeof(*f->ids));
}

static bool take(void *context, struct ms_conn *conn, struct error *err)
{
    struct stored *f = context;
    struct ms_datum d = ms_column(conn, 1);
    grow(f);
    size_t i = f->batch.count;
    struct slice bytes = {arena_copy(f->s->arena, d.data ? d.data : "", d.length), d.length};
    f->ids[i] = ms_column_int(conn, 0);
    if (!parked_decode(bytes, f->table, f->s->arena, &f->batch.changes[i], &f->batch.transactions[i], err))
        return false;
    f->batch.changes[i].transaction = (uint32_t)i;
    f->batch.count = f->batch.transaction_count = i + 1;
    f->bytes += d.length;
    return true;
}

static void stored_free(struct stored *f)
{
    free(f->batch.changes);
    free(f->batch.transactions);
    free(f->ids);
}

static void put_where(struct ms_sink *s, const struct table *t, struct buffer *sql)
{
    buffer_puts(sql, " WHERE [pipeline] = ");
    ms_sql_literal(sql, s->pipeline);
    if (t) {
        buffer_puts(sql, " AND [table_name] = ");
        ms_sql_literal(sql, t->from);
    }
}

/* max 0: all. Of parked ones a few MB at most: the running sum is the server's. */
static bool read_changes(struct stored *f, const char *table, const char *id, size_t max, struct error *err)
{
    struct ms_sink *s = f->s;
    struct buffer sql = {0};
    arena_reset(s->arena);
    ms_sink_wait_clear(s);
    f->batch.complete = true;
    if (max) {
        buffer_printf(
            &sql,
            "SELECT [q].[i], [q].[c] FROM (SELECT [p].[i] AS [i], [p].[c] AS [c], SUM([p].[b]) OVER "
            "(ORDER BY [p].[i] ROWS UNBOUNDED PRECEDING) - [p].[b] AS [b] FROM (SELECT TOP (%zu) [%s] AS "
            "[i], [change] AS [c], CONVERT(bigint, DATALENGTH([change])) AS [b] FROM [crossfade].[%s]",
            max, id, table);
        put_where(s, f->table, &sql);
        buffer_printf(&sql, " ORDER BY [%s]) AS [p]) AS [q] WHERE [q].[b] < %d ORDER BY [q].[i]", id,
                      SLICE_BYTES);
    } else {
        buffer_printf(&sql, "SELECT [%s], [change] FROM [crossfade].[%s]", id, table);
        put_where(s, f->table, &sql);
        buffer_printf(&sql, " ORDER BY [%s]", id);
    }
    bool ok = ms_query(&s->conn, buffer_text(&sql), take, f, err);
    buffer_free(&sql);
    return ok;
}

/* --- what waits from earlier runs --- */

static bool take_parked(void *context, struct ms_conn *conn, struct error *err)
{
    struct ms_sink *s = context;
    struct buffer name = {0};
    (void)err;
    (void)ms_column_text(conn, 0, &name);
    const struct table *table = table_set_named(s->tables, buffer_text(&name));
    buffer_free(&name);
    if (!table || table->lane != s->lane)
        return true;
    struct ms_sink_table *t = ms_sink_lane(s, table);
    t->parking = true;
    t->parked_bytes = ms_column_int(conn, 1);
    t->overflowed = ms_column_int(conn, 2) != 0;
    ms_sink_mark(t);
    return true;
}

static bool load_held(struct ms_sink *s, struct ms_sink_table *t, struct error *err)
{
    struct stored f = {.s = s, .table = t->table};
    bool ok = read_changes(&f, "quarantine", "id", 0, err);
    ms_sink_forget_keys(t);
    if (!ok && err->kind == ERROR_TABLE) {
        ms_sink_stop_table(s, t, err->text);
        error_clear(err);
        ok = true;
    } else if (ok && f.batch.count > 0 && (t->table->key_count == 0 || !t->table->key_hashable)) {
        ms_sink_stop_table(
            s, t, "its quarantined changes can't be told apart: the table has no usable key any more");
    } else {
        for (size_t i = 0; ok && i < f.batch.count; i++)
            ms_sink_add_keys(s, &f.batch.changes[i]);
        t->quarantined = (int64_t)f.batch.count;
    }
    ms_sink_mark(t);
    stored_free(&f);
    return ok;
}

struct names {
    struct ms_sink *s;
    bool *has; /* by table id */
};

static bool take_name(void *context, struct ms_conn *conn, struct error *err)
{
    struct names *n = context;
    struct buffer name = {0};
    (void)err;
    (void)ms_column_text(conn, 0, &name);
    const struct table *t = table_set_named(n->s->tables, buffer_text(&name));
    if (t && t->lane == n->s->lane)
        n->has[t->id] = true;
    buffer_free(&name);
    return true;
}

/* The lane's tables that have such rows. *has malloc'ed. */
static bool tables_with(struct ms_sink *s, const int64_t *ids, size_t count, bool **has, struct error *err)
{
    struct buffer sql = {0};
    struct names n = {.s = s, .has = mem_alloc(s->tables->count + 1)};
    buffer_puts(&sql, "SELECT DISTINCT [table_name] FROM [crossfade].[quarantine]");
    put_where(s, NULL, &sql);
    if (ids) {
        buffer_puts(&sql, " AND [id] IN (");
        ms_sql_ints(&sql, ids, count);
        buffer_putc(&sql, ')');
    }
    bool ok = ms_query(&s->conn, buffer_text(&sql), take_name, &n, err);
    buffer_free(&sql);
    *has = n.has;
    return ok;
}

static bool load_quarantine(struct ms_sink *s, struct error *err)
{
    bool *has;
    bool ok = tables_with(s, NULL, 0, &has, err);
    for (uint32_t i = 0; ok && i < s->tables->count; i++) {
        ms_sink_forget_keys(&s->lane_tables[i]);
        ms_sink_mark(&s->lane_tables[i]);
        if (has[i])
            ok = load_held(s, &s->lane_tables[i], err);
    }
    free(has);
    return ok;
}

bool ms_sink_load_waiting(struct ms_sink *s, struct error *err)
{
    struct buffer sql = {0};
    buffer_puts(&sql, "SELECT [table_name], SUM(CONVERT(bigint, DATALENGTH([change]))), SUM(CASE WHEN "
                      "DATALENGTH([change]) = 0 THEN 1 ELSE 0 END) FROM [crossfade].[parked]");
    put_where(s, NULL, &sql);
    buffer_puts(&sql, " GROUP BY [table_name]");
    bool ok = ms_query(&s->conn, buffer_text(&sql), take_parked, s, err);
    buffer_free(&sql);
    return ok && load_quarantine(s, err);
}

/* --- transactions of our own --- */

static void put_delete(struct ms_sink *s, const char *table, const struct table *t)
{
    buffer_printf(&s->sql, "DELETE FROM [crossfade].[%s]", table);
    put_where(s, t, &s->sql);
}

static bool run_all(struct ms_sink *s, struct error *err)
{
    struct ms_answer a;
    if (!ms_sink_run(s, MS_ROLLBACK_ALL, &a, err))
        return false;
    if (a.trouble)
        return error_set_code(err, ERROR_REFUSED, a.error.code, "%s", a.error.text);
    return true;
}

/* Replays what was read, in a transaction that is left open. *stopped: the table did, and all is rolled back.
 */
static bool replay(struct stored *f, bool *stopped, struct error *err)
{
    struct ms_sink *s = f->s;
    struct ms_sink_table *t = ms_sink_lane(s, f->table);
    /* Only the fence: it goes from where it is to where it is. */
    struct batch *b = &f->batch;
    struct ms_replay r = {
        .s = s, .batch = b, .counts = mem_alloc((s->tables->count + 1) * sizeof(*r.counts))};
    r.fates = arena_alloc(s->arena, b->count + 1);
    r.bad = arena_alloc(s->arena, (b->count + 1) * sizeof(struct error *));
    memset(r.bad, 0, (b->count + 1) * sizeof(struct error *));
    b->end = s->applied;
    t->draining = true;
    bool ok;
    do {
        ms_sink_wait_rewind(s, 0);
        ok = ms_sink_replay_begin(s, b, err) && ms_sink_replay_changes(&r, err);
    } while (ok && r.again && t->draining);
    *stopped = !t->draining;
    t->draining = false;
    free(r.counts);
    if (ok && *stopped) {
        ms_sink_wait_rewind(s, 0);
        ms_sink_wait_clear(s);
        return ms_rollback(&s->conn, err);
    }
    if (ok) {
        ms_sink_batch(s, true);
        ms_sink_wait_put(s);
    }
    return ok;
}

static bool end(struct ms_sink *s, struct error *err)
{
    buffer_puts(&s->sql, ";\nCOMMIT TRANSACTION;\n");
    if (!run_all(s, err))
        return false;
    ms_sink_wait_clear(s);
    return true;
}

/* --- parked --- */

static bool is_empty(struct ms_sink *s, const struct table *t, bool *empty, struct error *err)
{
    struct buffer sql = {0};
    int64_t n = 0;
    buffer_puts(&sql, "SELECT COUNT(*) FROM [crossfade].[parked]");
    put_where(s, t, &sql);
    bool ok = ms_query_int(&s->conn, buffer_text(&sql), &n, err);
    *empty = n == 0;
    buffer_free(&sql);
    return ok;
}

static bool drain(struct stored *f, struct ms_sink_table *t, bool *empty, struct error *err)
{
    struct ms_sink *s = f->s;
    bool stopped;
    if (f->batch.count == 0) {
        *empty = true;
        return true;
    }
    if (!replay(f, &stopped, err))
        return false;
    if (stopped)
        return true;
    put_delete(s, "parked", t->table);
    buffer_printf(&s->sql, " AND [seq] <= %" PRId64, f->ids[f->batch.count - 1]);
    return end(s, err) && is_empty(s, t->table, empty, err);
}

bool ms_sink_drain_parked(struct sink *sink, struct table *table, size_t max_rows, bool *empty,
                          struct error *err)
{
    struct ms_sink *s = (struct ms_sink *)sink;
    struct ms_sink_table *t = ms_sink_lane(s, table);
    struct stored f = {.s = s, .table = table};
    *empty = false;
    assert(!s->in_transaction);
    if (t->overflowed || !t->usable) {
        ms_sink_stop_table(s, t,
                           t->overflowed ? "its changes were not kept beyond park_limit"
                                         : "its columns can't be written as they are mapped");
        return true;
    }
    bool ok = read_changes(&f, "parked", "seq", max_rows, err);
    if (!ok && err->kind == ERROR_TABLE) {
        ms_sink_stop_table(s, t, err->text);
        error_clear(err);
        ok = true;
    } else if (ok) {
        ok = drain(&f, t, empty, err);
    }
    if (ok && *empty) {
        t->parked_bytes = 0;
        t->parking = false;
    } else if (ok) {
        t->parking = true;
    }
    ms_sink_mark(t);
    stored_free(&f);
    return ok;
}

bool ms_sink_forget_parked(struct sink *sink, struct table *table, struct error *err)
{
    struct ms_sink *s = (struct ms_sink *)sink;
    struct ms_sink_table *t = ms_sink_lane(s, table);
    assert(!s->in_transaction);
    ms_sink_batch(s, false);
    ms_sink_put_advance(s, s->applied_text, 0);
    put_delete(s, "parked", table);
    buffer_puts(&s->sql, ";\n");
    put_delete(s, "quarantine", table);
    if (!end(s, err))
        return false;
    t->parking = !t->usable;
    t->overflowed = false;
    t->parked_bytes = 0;
    ms_sink_forget_keys(t);
    ms_sink_mark(t);
    return true;
}

/* --- quarantine --- */

static bool is_asked_for(int64_t id, const int64_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (ids[i] == id)
            return true;
    return false;
}

/* Leaves in `f` what shares a key with an id asked for, directly or over others; the table's key set is then
 * that of the rest. */
static void choose(struct stored *f, const int64_t *ids, size_t count)
{
    struct ms_sink *s = f->s;
    struct ms_sink_table *t = ms_sink_lane(s, f->table);
    struct batch *b = &f->batch;
    bool *chosen = arena_alloc(s->arena, b->count + 1);
    size_t before, now = 0, kept = 0;
    memset(chosen, 0, b->count);
    ms_sink_forget_keys(t);
    do { /* the set holds the chosen rows' keys until no row joins any more */
        before = now;
        for (size_t i = 0; i < b->count; i++) {
            if (chosen[i] || !(is_asked_for(f->ids[i], ids, count) || ms_sink_is_held(s, &b->changes[i])))
                continue;
            chosen[i] = true;
            ms_sink_add_keys(s, &b->changes[i]);
            now++;
        }
    } while (now > before);
    ms_sink_forget_keys(t);
    for (size_t i = 0; i < b->count; i++)
        if (!chosen[i])
            ms_sink_add_keys(s, &b->changes[i]);
    t->quarantined = (int64_t)(b->count - now);
    for (size_t i = 0; i < b->count; i++) {
        if (!chosen[i])
            continue;
        f->ids[kept] = f->ids[i];
        b->changes[kept++] = b->changes[i];
    }
    b->count = kept;
}

static bool retry_table(struct ms_sink *s, struct ms_sink_table *t, const int64_t *ids, size_t count,
                        struct error *err)
{
    struct stored f = {.s = s, .table = t->table};
    bool stopped = false;
    if (t->table->key_count == 0 || !t->table->key_hashable || !t->usable)
        return true; /* such rows are from another definition: the table has been stopped for it */
    bool ok = read_changes(&f, "quarantine", "id", 0, err);
    if (!ok && err->kind == ERROR_TABLE) {
        ms_sink_stop_table(s, t, err->text);
        error_clear(err);
        ok = true;
    } else if (ok) {
        choose(&f, ids, count);
        /* Rows of this table that wait are applied although it may be parked: they are older. */
        ok = f.batch.count == 0 || replay(&f, &stopped, err);
        if (ok && stopped)
            ok = load_held(s, t, err);
        else if (ok && f.batch.count > 0) {
            put_delete(s, "quarantine", t->table);
            buffer_puts(&s->sql, " AND [id] IN (");
            ms_sql_ints(&s->sql, f.ids, f.batch.count);
            buffer_putc(&s->sql, ')');
            ok = end(s, err);
        }
    }
    ms_sink_mark(t);
    stored_free(&f);
    return ok;
}

bool ms_sink_retry_quarantine(struct sink *sink, const int64_t *ids, size_t count, struct error *err)
{
    struct ms_sink *s = (struct ms_sink *)sink;
    bool *has;
    assert(!s->in_transaction);
    bool ok = tables_with(s, ids, count, &has, err);
    for (uint32_t i = 0; ok && i < s->tables->count; i++)
        if (has[i])
            ok = retry_table(s, &s->lane_tables[i], ids, count, err);
    free(has);
    return ok;
}

bool ms_sink_skip_quarantine(struct sink *sink, const int64_t *ids, size_t count, struct error *err)
{
    struct ms_sink *s = (struct ms_sink *)sink;
    assert(!s->in_transaction);
    ms_sink_batch(s, false);
    ms_sink_put_advance(s, s->applied_text, 0);
    put_delete(s, "quarantine", NULL);
    buffer_puts(&s->sql, " AND [id] IN (");
    ms_sql_ints(&s->sql, ids, count);
    buffer_putc(&s->sql, ')');
    return end(s, err) && load_quarantine(s, err);
}
