/* SPDX-License-Identifier: PostgreSQL
 *
 * Retry takes, besides the rows asked for, every row that shares a key with one of them, over any number of
 * key changes: those are the rows whose order matters to each other. What is refused again stays, with its
 * keys (DESIGN.md rule 9; retry.c).
 */
#include "pgsql/quarantine.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pgsql/retry.h"
#include "pgsql/sift.h"
#include "pgsql/sql.h"
#include "pgsql/stored.h"

static const char load_sql[] = "SELECT id, change FROM crossfade.quarantine "
                               "WHERE pipeline = $1 AND table_name = $2 ORDER BY id";

void quarantine_forget(struct lane_table *t)
{
    held_free(&t->held);
    t->quarantined = 0;
}

static bool load_table(struct pg_sink *s, struct lane_table *t, struct error *err)
{
    const char *values[] = {s->pipeline, t->table->from};
    struct stored stored;

    quarantine_forget(t);
    arena_reset(s->arena);
    if (!stored_read(s, t->table, load_sql, 2, values, &stored, err)) {
        if (err->kind != ERROR_TABLE)
            return false;
        lane_stop_table(s, t, err->text);
        error_clear(err);
        return true;
    }
    if (stored.batch.count > 0 && (t->table->key_count == 0 || !t->table->key_hashable))
        lane_stop_table(s, t,
                        "its quarantined changes can't be told apart: the table has no usable key any more");
    else
        for (size_t i = 0; i < stored.batch.count; i++)
            sift_add_keys(s, &stored.batch.changes[i]);
    t->quarantined = (int64_t)stored.batch.count;
    lane_mark(t);
    stored_free(&stored);
    return true;
}

bool quarantine_load(struct pg_sink *s, struct error *err)
{
    const char *values[] = {s->pipeline};
    PGresult *r = pg_query(
        &s->conn, "SELECT DISTINCT table_name FROM crossfade.quarantine WHERE pipeline = $1", 1, values, err);
    bool ok = r != NULL;

    for (uint32_t i = 0; i < s->tables->count; i++) {
        quarantine_forget(&s->lane_tables[i]);
        lane_mark(&s->lane_tables[i]);
    }
    for (int i = 0; ok && i < PQntuples(r); i++) {
        struct table *t = table_set_named(s->tables, PQgetvalue(r, i, 0));
        if (t && t->lane == s->lane)
            ok = load_table(s, lane_table(s, t), err);
    }
    PQclear(r);
    return ok;
}

/* --- retry --- */

static void ids_text(const int64_t *ids, size_t count, struct buffer *out)
{
    buffer_putc(out, '{');
    for (size_t i = 0; i < count; i++)
        buffer_printf(out, "%s%" PRId64, i ? "," : "", ids[i]);
    buffer_putc(out, '}');
}

static bool is_asked_for(int64_t id, const int64_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (ids[i] == id)
            return true;
    return false;
}

/* Leaves in `stored` what shares a key with an id asked for, directly or over others; the table's key set is
 * then that of the rest. */
static void choose(struct pg_sink *s, struct lane_table *t, struct stored *stored, const int64_t *ids,
                   size_t count)
{
    struct batch *b = &stored->batch;
    bool *chosen = arena_alloc(s->arena, b->count + 1);
    size_t before, now = 0, kept = 0;

    quarantine_forget(t);
    memset(chosen, 0, b->count);
    do { /* the set holds the chosen rows' keys until no row joins any more */
        before = now;
        for (size_t i = 0; i < b->count; i++) {
            if (chosen[i] || !(is_asked_for(stored->ids[i], ids, count) || sift_is_held(s, &b->changes[i])))
                continue;
            chosen[i] = true;
            sift_add_keys(s, &b->changes[i]);
            now++;
        }
    } while (now > before);
    quarantine_forget(t);
    for (size_t i = 0; i < b->count; i++)
        if (!chosen[i])
            sift_add_keys(s, &b->changes[i]);
    t->quarantined = (int64_t)(b->count - now);
    for (size_t i = 0; i < b->count; i++) {
        if (!chosen[i])
            continue;
        stored->ids[kept] = stored->ids[i];
        b->changes[kept++] = b->changes[i];
    }
    b->count = kept;
}

static bool delete_ids(struct pg_sink *s, const int64_t *ids, size_t count, struct error *err)
{
    struct buffer list = {0};

    ids_text(ids, count, &list);
    const char *values[] = {s->pipeline, buffer_text(&list)};
    bool ok = pg_exec_params(
        &s->conn, "DELETE FROM crossfade.quarantine WHERE pipeline = $1 AND id = ANY ($2::bigint[])", 2,
        values, err);
    buffer_free(&list);
    return ok;
}

static bool note_why(struct pg_sink *s, int64_t id, const struct error *why, struct error *err)
{
    char text[24];
    const char *values[] = {s->pipeline, text, why->code, why->text};

    snprintf(text, sizeof(text), "%" PRId64, id);
    return pg_exec_params(
        &s->conn,
        "UPDATE crossfade.quarantine SET sqlstate = $3, message = $4 WHERE pipeline = $1 AND id = $2", 4,
        values, err);
}

/* Deletes what has gone in and says anew why the rest has not; keys of the rest are held again. */
static bool retry_done(struct pg_sink *s, struct lane_table *t, const struct stored *stored,
                       const struct retry_result *results, struct error *err)
{
    int64_t *gone = arena_alloc(s->arena, (stored->batch.count + 1) * sizeof(*gone));
    size_t count = 0;

    for (size_t i = 0; i < stored->batch.count; i++) {
        if (!results[i].refused) {
            gone[count++] = stored->ids[i];
            continue;
        }
        sift_add_keys(s, &stored->batch.changes[i]);
        t->quarantined++;
        if (results[i].why && !note_why(s, stored->ids[i], results[i].why, err))
            return false;
    }
    return delete_ids(s, gone, count, err);
}

static bool retry_table(struct pg_sink *s, struct lane_table *t, const int64_t *ids, size_t count,
                        struct error *err)
{
    const char *values[] = {s->pipeline, t->table->from};
    struct stored stored = {0};

    if (t->table->key_count == 0 || !t->table->key_hashable)
        return true; /* such rows are from another definition: the table has been stopped for it */
    if (!stored_begin(s, err))
        return false;
    if (!stored_read(s, t->table, load_sql, 2, values, &stored, err)) {
        if (err->kind != ERROR_TABLE)
            return false;
        stored_rollback(s);
        lane_stop_table(s, t, err->text);
        return true;
    }
    choose(s, t, &stored, ids, count);
    struct retry_result *results = arena_alloc(s->arena, (stored.batch.count + 1) * sizeof(*results));
    bool ok = retry_run(s, &stored, results, err) && retry_done(s, t, &stored, results, err) &&
              stored_commit(s, err);
    stored_free(&stored);
    lane_mark(t);
    return ok;
}

bool pg_sink_retry_quarantine(struct sink *sink, const int64_t *ids, size_t count, struct error *err)
{
    struct pg_sink *s = (struct pg_sink *)sink;
    struct buffer list = {0};

    ids_text(ids, count, &list);
    const char *values[] = {s->pipeline, buffer_text(&list)};
    PGresult *r = pg_query(&s->conn,
                           "SELECT DISTINCT table_name FROM crossfade.quarantine "
                           "WHERE pipeline = $1 AND id = ANY ($2::bigint[])",
                           2, values, err);
    bool ok = r != NULL;
    for (int i = 0; ok && i < PQntuples(r); i++) {
        struct table *t = table_set_named(s->tables, PQgetvalue(r, i, 0));
        if (t && t->lane == s->lane)
            ok = retry_table(s, lane_table(s, t), ids, count, err);
    }
    PQclear(r);
    buffer_free(&list);
    return ok;
}

bool pg_sink_skip_quarantine(struct sink *sink, const int64_t *ids, size_t count, struct error *err)
{
    struct pg_sink *s = (struct pg_sink *)sink;

    return stored_begin(s, err) && delete_ids(s, ids, count, err) && stored_commit(s, err) &&
           quarantine_load(s, err);
}
