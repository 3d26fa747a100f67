/* SPDX-License-Identifier: PostgreSQL
 *
 * In slices: up to 1,000 keys of one table, fewer where rows are large (those that come here mostly are:
 * their large values were not brought), are read from the source in one statement, and written to the target
 * in one fenced transaction that also takes them off the list. A key without a row at the source is deleted.
 * All values travel as text. Nothing here needs an order: each key is brought to what the source held at one
 * moment, and the stream passes that moment afterwards.
 */
#include "replicator/reread.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pgsql/sql.h"
#include "pgsql/statement.h"
#include "pgsql/key_order.h"

enum { SLICE_FIRST = 8, SLICE_MAX = 1000, SLICE_BYTES = 4 << 20 };

struct slice_of_keys {
    PGresult *listed; /* column 0: the key as text[] */
    int count;
    char ***keys; /* [count], each key_count texts in one block */
    bool *found;
    struct legacy_rows rows; /* from the source */
};

struct reread {
    struct legacy *legacy;
    const struct legacy_notes *notes;
    struct pg_conn *target;
    const char *pipeline;
    char epoch[24];
    const struct table *table;
    size_t slice;  /* how many keys are read next */
    char *after;   /* the last key that was refused, as text[]: the list goes on behind it */
    char *refusal; /* why; the first of the table's */
};

static void free_slice(struct slice_of_keys *s)
{
    for (int i = 0; i < s->count; i++)
        free(s->keys[i]);
    free(s->keys);
    free(s->found);
    PQclear(s->listed);
    legacy_rows_free(&s->rows);
    *s = (struct slice_of_keys){0};
}

/* The next keys on the table's list. */
static bool read_list(struct reread *r, struct slice_of_keys *s, struct error *err)
{
    char limit[16];
    snprintf(limit, sizeof(limit), "%zu", r->slice);
    const char *params[] = {r->pipeline, r->table->from, limit, r->after};
    s->listed = pg_query(r->target,
                         "SELECT key FROM crossfade.reread WHERE pipeline = $1 AND table_name = $2"
                         " AND ($4::text[] IS NULL OR key > $4::text[]) ORDER BY key LIMIT $3::int8",
                         4, params, err);
    if (!s->listed)
        return false;
    int n = PQntuples(s->listed);
    s->keys = mem_alloc((size_t)(n + 1) * sizeof(*s->keys));
    s->found = mem_alloc((size_t)n + 1);
    for (; s->count < n; s->count++) {
        int parts = sql_array_parse(PQgetvalue(s->listed, s->count, 0), &s->keys[s->count]);
        if (parts == r->table->key_count)
            continue;
        if (parts >= 0)
            free(s->keys[s->count]);
        return error_set(err, ERROR_TABLE, "the key of %s has changed - copy it anew with crossfade recopy",
                         r->table->from);
    }
    return true;
}

/* One array parameter: the i-th key column of the keys without a row at the source. */
static char *missing_keys(const struct slice_of_keys *s, uint16_t i)
{
    const char **items = mem_alloc((size_t)(s->count + 1) * sizeof(*items));
    struct buffer text = {0};
    size_t n = 0;
    for (int k = 0; k < s->count; k++)
        if (!s->found[k])
            items[n++] = s->keys[k][i];
    sql_array(&text, items, n);
    free(items);
    return buffer_detach(&text);
}

static char *row_column(const struct slice_of_keys *s, const struct table *t, uint16_t column)
{
    size_t n = s->rows.count;
    const char **items = mem_alloc((n + 1) * sizeof(*items));
    struct buffer text = {0};
    for (size_t row = 0; row < n; row++)
        items[row] = s->rows.values[row * t->column_count + column];
    sql_array(&text, items, n);
    free(items);
    return buffer_detach(&text);
}

static bool read_rows(struct reread *r, struct slice_of_keys *s, struct error *err)
{
    if (!r->legacy->session->fetch(r->legacy, r->notes, r->table, (char *const *const *)s->keys,
                                   (size_t)s->count, &s->rows, err))
        return false;
    for (size_t row = 0; row < s->rows.count; row++) {
        assert(s->rows.key[row] < (size_t)s->count);
        s->found[s->rows.key[row]] = true;
    }
    return true;
}

/* Runs one set statement; its parameters are whole columns. */
static bool run_net(struct reread *r, const struct slice_of_keys *s, enum net_op op, struct error *err)
{
    const struct table *t = r->table;
    size_t words = (t->column_count + 63u) / 64u;
    uint64_t *all = mem_alloc((words + 1) * sizeof(*all));
    memset(all, 0xff, words * sizeof(*all));
    if (t->column_count % 64)
        all[words - 1] = (UINT64_C(1) << (t->column_count % 64)) - 1;
    struct statement st = {0};
    statement_net(t, op, all, all, true, false, &st);
    char **params = mem_alloc((size_t)(st.param_count + 1) * sizeof(*params));
    for (uint16_t p = 0; p < st.param_count; p++) {
        uint16_t column = st.params[p].column, k = 0;
        while (k < t->key_count && t->key[k] != column)
            k++;
        assert(op != NET_DELETE || k < t->key_count);
        params[p] = op == NET_DELETE ? missing_keys(s, k) : row_column(s, t, column);
    }
    bool ok =
        pg_exec_params(r->target, buffer_text(&st.sql), st.param_count, (const char *const *)params, err);
    for (uint16_t p = 0; p < st.param_count; p++)
        free(params[p]);
    free(params);
    statement_free(&st);
    free(all);
    return ok;
}

static bool take_off_list(struct reread *r, const struct slice_of_keys *s, struct error *err)
{
    const char **items = mem_alloc((size_t)(s->count + 1) * sizeof(*items));
    struct buffer text = {0};
    for (int i = 0; i < s->count; i++)
        items[i] = PQgetvalue(s->listed, i, 0);
    sql_array(&text, items, (size_t)s->count);
    free(items);
    const char *params[] = {r->pipeline, r->table->from, buffer_text(&text)};
    bool ok = pg_exec_params(r->target,
                             "DELETE FROM crossfade.reread r USING unnest($3::text[]) u(key)"
                             " WHERE r.pipeline = $1 AND r.table_name = $2 AND r.key = u.key::text[]",
                             3, params, err);
    buffer_free(&text);
    return ok;
}

static bool write_slice(struct reread *r, const struct slice_of_keys *s, struct error *err)
{
    const char *fence[] = {r->pipeline, r->epoch};
    bool some = s->rows.count > 0, missing = false;
    for (int i = 0; i < s->count; i++)
        missing = missing || !s->found[i];
    /* Without an arbiter an UPSERT only inserts what is not there: what is there is updated first. */
    bool update = some && !r->table->sink_key_arbiter;
    return (!missing || run_net(r, s, NET_DELETE, err)) && (!update || run_net(r, s, NET_UPDATE, err)) &&
           (!some || run_net(r, s, NET_UPSERT, err)) && take_off_list(r, s, err) &&
           pg_exec_params(r->target, "SELECT crossfade.fence($1, $2)", 2, fence, err);
}

static bool set_path(struct pg_conn *target, const char *path, struct error *err)
{
    struct buffer sql = {0};
    buffer_printf(&sql, "SET LOCAL search_path = %s", path);
    bool ok = pg_exec(target, buffer_text(&sql), err);
    buffer_free(&sql);
    return ok;
}

/* The next slice is twice as long, or as much shorter as this one was too large. */
static void size_next(struct reread *r, const struct slice_of_keys *s)
{
    size_t bytes = s->rows.bytes;
    size_t fits = bytes > 0 ? r->slice * SLICE_BYTES / bytes : SLICE_MAX;
    r->slice = fits < 2 * r->slice ? fits : 2 * r->slice;
    r->slice = r->slice < 1 ? 1 : r->slice > SLICE_MAX ? SLICE_MAX : r->slice;
}

static bool do_slice(struct reread *r, const char *sink_path, struct slice_of_keys *s, struct error *err)
{
    struct error ignored;
    if (!read_rows(r, s, err) || !pg_exec(r->target, "BEGIN", err))
        return false;
    bool ok = (!sink_path || set_path(r->target, sink_path, err)) && write_slice(r, s, err) &&
              pg_exec(r->target, "COMMIT", err);
    bool back = ok || pg_exec(r->target, "ROLLBACK", &ignored);
    (void)back; /* a lost link has rolled back by itself */
    return ok;
}

/* Is it one table's trouble, or everybody's? */
static bool is_own(const struct error *err)
{
    return err->kind == ERROR_DATA || err->kind == ERROR_TABLE || err->kind == ERROR_REFUSED;
}

/* A refused slice is tried again key by key; a refused key is left where it is. */
static void refused(struct reread *r, const struct slice_of_keys *s, const struct error *why)
{
    r->slice = 1;
    if (s->count > 1)
        return;
    free(r->after);
    r->after = mem_strdup(PQgetvalue(s->listed, 0, 0));
    if (!r->refusal)
        r->refusal = mem_strdup(why->text);
}

/* *listed: how many keys it was about, *done: how many are off the list now. */
static bool run_slice(struct reread *r, const char *sink_path, int *listed, uint64_t *done, struct error *err)
{
    struct slice_of_keys s = {0};
    bool ok = read_list(r, &s, err);
    if (!ok && is_own(err)) {
        r->refusal = r->refusal ? r->refusal : mem_strdup(err->text);
        free_slice(&s);
        ok = true;
    }
    *listed = s.count;
    if (ok && s.count) {
        ok = do_slice(r, sink_path, &s, err);
        if (ok) {
            *done += (uint64_t)s.count;
            size_next(r, &s);
        } else if (is_own(err)) {
            refused(r, &s, err);
            ok = true;
        }
    }
    free_slice(&s);
    return ok;
}

static bool run_table(struct reread *r, uint64_t *count, struct error *err)
{
    char *sink_path = NULL;
    int n = 0;
    r->slice = SLICE_FIRST;
    bool ok = key_order_path(r->target, r->table, true, &sink_path, err);
    while (ok && (ok = run_slice(r, sink_path, &n, count, err)) && n > 0)
        continue;
    free(sink_path);
    free(r->after);
    r->after = NULL;
    return ok || error_prefix(err, "re-reading %s", r->table->from);
}

/* What a table's refusal means to the caller. */
static bool hand_over(struct reread *r, char **refusals, bool *any, struct error *err)
{
    if (!r->refusal)
        return true;
    *any = true;
    if (refusals) {
        free(refusals[r->table->id]);
        refusals[r->table->id] = r->refusal;
    } else {
        error_set(err, ERROR_TABLE, "re-reading %s: %s", r->table->from, r->refusal);
        free(r->refusal);
    }
    r->refusal = NULL;
    return refusals != NULL;
}

/* Triggers and foreign keys of the target must not act on rows that the source has finished already. Where
 * the role may not switch them off the lanes can't either, and check has said so. */
static bool set_role(struct pg_conn *target, const char *role, struct error *err)
{
    struct buffer sql = {0};
    buffer_printf(&sql, "SET session_replication_role = %s", role);
    bool ok =
        target->replica_role || pg_exec(target, buffer_text(&sql), err) || strcmp(err->code, "42501") == 0;
    buffer_free(&sql);
    return ok;
}

bool reread_run(struct legacy *legacy, const struct legacy_notes *notes, const struct table_set *tables,
                char **refusals, uint64_t *count, struct position *past, struct error *err)
{
    struct pg_conn *target = notes->target;
    struct reread r = {
        .legacy = legacy, .notes = notes, .target = target, .pipeline = notes->config->pipeline};
    const char *params[] = {r.pipeline};
    snprintf(r.epoch, sizeof(r.epoch), "%" PRId64, notes->epoch);
    *count = 0;
    PGresult *listed =
        pg_query(target, "SELECT DISTINCT table_name FROM crossfade.reread WHERE pipeline = $1 ORDER BY 1", 1,
                 params, err);
    if (!listed)
        return false;
    bool refused_some = false;
    bool any = PQntuples(listed) > 0, ok = !any || set_role(target, "replica", err);
    for (int i = 0; i < PQntuples(listed) && ok; i++) {
        r.table = table_set_named(tables, PQgetvalue(listed, i, 0));
        if (r.table && r.table->key_count && !table_is_parked(r.table))
            ok = run_table(&r, count, err) && hand_over(&r, refusals, &refused_some, err);
        free(r.refusal);
        r.refusal = NULL;
    }
    PQclear(listed);
    ok = ok && (!any || set_role(target, "DEFAULT", err));
    return ok && ((*count == 0 && !refused_some) || legacy->ops->end(legacy, notes, past, err));
}
