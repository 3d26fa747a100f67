/* SPDX-License-Identifier: PostgreSQL
 *
 * The sink commits with synchronous_commit off: a chunk's rows and its row in crossfade.chunk become durable
 * together or not at all, so a crash of the target costs at most a few chunks, which are copied again. The
 * state row of the last table is committed with a flush, which covers everything before it.
 *
 * After any failure both connections are closed: what they were in the middle of must never commit.
 */
#include "replicator/copier.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pgsql/sql.h"
#include "pgsql/key_order.h"
#include "state/store.h"

enum {
    CHUNK_MIN_BYTES = 8 * 1024 * 1024,
    CHUNK_MAX_BYTES = 64 * 1024 * 1024,
    CHUNKS_A_WORKER = 4, /* at least, of the table: so that all workers end about together */
    LIMITED_SECONDS = 5  /* how long a chunk may take under a rate limit */
};

void copier_init(struct copier *self, const struct copier_options *options, struct crew_member *member)
{
    *self = (struct copier){.options = options, .member = member};
}

static void cancel_source(void *conn)
{
    struct legacy_copy *source = conn;
    source->ops->cancel(source);
}

static void close_source(struct copier *self)
{
    crew_hold(self->member, 0, NULL, NULL);
    legacy_copy_close(self->source);
    self->source = NULL;
}

void copier_close(struct copier *self)
{
    close_source(self);
    crew_close(self->member, 1, &self->sink);
    self->connected = false;
}

bool copier_connect(struct copier *self, struct error *err)
{
    const struct config *c = self->options->config;
    char job[24];
    if (self->connected)
        return true;
    snprintf(job, sizeof(job), "copy%d", crew_number(self->member));
    struct legacy_options legacy = {
        .config = c, .job = job, .connect_timeout_ms = (int)c->connect_timeout_ms};
    struct pg_conn_options target = {.conninfo = c->target_conninfo,
                                     .pipeline = c->pipeline,
                                     .job = job,
                                     .endpoint = "target",
                                     .apply = true,
                                     .connect_timeout_ms = (int)c->connect_timeout_ms};
    if (!legacy_copy_open(&legacy, &self->source, err))
        return false;
    crew_hold(self->member, 0, self->source, cancel_source);
    if (!crew_open(self->member, 1, &self->sink, &target, err)) {
        close_source(self);
        return false;
    }
    self->connected = true;
    return true;
}

/* What the server says about this table or its rows is the table's trouble; the rest is everybody's. */
static bool fail(struct copier *self, const struct table *table, struct error *err)
{
    if (self->connected)
        copier_close(self);
    if (err->kind == ERROR_DATA || err->kind == ERROR_REFUSED)
        err->kind = ERROR_TABLE;
    return error_prefix(err, "copying %s", table->from);
}

static struct chunk_size chunk_size(const struct copier_options *o, const struct table *table)
{
    int64_t limit = o->throttle->limit ? atomic_load(o->throttle->limit) : 0;
    int64_t workers = o->config->backfill_workers > 0 ? o->config->backfill_workers : 1;
    int64_t bytes = table->source_bytes / (workers * CHUNKS_A_WORKER);
    if (bytes > CHUNK_MAX_BYTES)
        bytes = CHUNK_MAX_BYTES;
    if (limit > 0 && bytes > limit * LIMITED_SECONDS / workers)
        bytes = limit * LIMITED_SECONDS / workers;
    else if (bytes < CHUNK_MIN_BYTES)
        bytes = CHUNK_MIN_BYTES;
    return (struct chunk_size){.bytes = bytes, .rows = o->config->backfill_chunk_rows};
}

bool copier_plan(struct copier *self, struct chunk_table *t, struct chunk *out, bool *found,
                 struct error *err)
{
    const struct copier_options *o = self->options;
    if (!copier_connect(self, err))
        return false;
    if (chunk_look(self->source, t, chunk_size(o, t->table), err) &&
        chunk_next(self->source, &self->sink, o->config->pipeline, o->epoch, t, out, found, err))
        return true;
    return fail(self, t->table, err);
}

/* What the pump's gate needs to know. */
struct passage {
    struct copier *copier;
    struct copy_progress progress;
    struct stats_table *shown;
    uint64_t rows, bytes; /* as shown already */
};

static bool stopping(const void *context)
{
    return crew_stopping(context);
}

static void show(struct passage *p)
{
    uint64_t rows = atomic_load(&p->progress.rows), bytes = atomic_load(&p->progress.bytes);
    atomic_fetch_add(&p->shown->rows_copied, rows - p->rows); /* wraps back where fewer came in the end */
    atomic_fetch_add(&p->shown->bytes_copied, bytes - p->bytes);
    p->rows = rows;
    p->bytes = bytes;
}

static bool gate(void *context, size_t bytes)
{
    struct passage *p = context;
    show(p);
    return throttle_take(p->copier->options->throttle, bytes, stopping, p->copier->member);
}

static void put_columns(const struct table *t, const char *alias, struct buffer *out)
{
    for (uint16_t i = 0; i < t->column_count; i++) {
        buffer_puts(out, i ? ", " : "");
        buffer_puts(out, alias);
        sql_ident(out, t->columns[i].sink);
    }
}

static void put_key_match(const struct table *t, struct buffer *out)
{
    for (uint16_t i = 0; i < t->key_count; i++) {
        const char *name = t->columns[t->key[i]].sink;
        buffer_puts(out, i ? " AND t." : "t.");
        sql_ident(out, name);
        buffer_puts(out, " = s.");
        sql_ident(out, name);
    }
}

static const char staging[] = "pg_temp.crossfade_staging";

/* Planned as a set: this session's settings are for keyed statements. */
static const char as_a_set[] = "SET LOCAL enable_seqscan = on; SET LOCAL enable_hashjoin = on;"
                               "SET LOCAL enable_mergejoin = on; SET LOCAL enable_sort = on";

static bool make_staging(struct copier *self, const struct table *t, struct error *err)
{
    struct buffer sql = {0};
    buffer_printf(&sql, "CREATE TEMP TABLE crossfade_staging ON COMMIT DROP AS SELECT ");
    put_columns(t, "", &sql);
    buffer_puts(&sql, " FROM ");
    sql_qualified(&sql, t->to_schema, t->to_name);
    buffer_puts(&sql, " WITH NO DATA");
    bool ok = pg_exec(&self->sink, buffer_text(&sql), err);
    buffer_free(&sql);
    return ok;
}

/* GENERATED ALWAYS columns can't be set; a key column needn't be. */
static bool put_merge_update(const struct table *t, struct buffer *sql)
{
    const char *lead = " t SET ";
    buffer_puts(sql, "UPDATE ");
    sql_qualified(sql, t->to_schema, t->to_name);
    bool any = false;
    for (uint16_t i = 0; i < t->column_count; i++) {
        const struct column *c = &t->columns[i];
        if (c->sink_identity_always || (c->key && c->key_bytewise))
            continue;
        buffer_puts(sql, lead);
        sql_ident(sql, c->sink);
        buffer_puts(sql, " = s.");
        sql_ident(sql, c->sink);
        lead = ", ";
        any = true;
    }
    buffer_printf(sql, " FROM %s s WHERE ", staging);
    put_key_match(t, sql);
    return any;
}

static void put_merge_insert(const struct table *t, struct buffer *sql)
{
    buffer_puts(sql, "INSERT INTO ");
    sql_qualified(sql, t->to_schema, t->to_name);
    buffer_puts(sql, " (");
    put_columns(t, "", sql);
    buffer_puts(sql, ") OVERRIDING SYSTEM VALUE SELECT ");
    put_columns(t, "s.", sql);
    buffer_printf(sql, " FROM %s s WHERE NOT EXISTS (SELECT 1 FROM ", staging);
    sql_qualified(sql, t->to_schema, t->to_name);
    buffer_puts(sql, " t WHERE ");
    put_key_match(t, sql);
    buffer_puts(sql, ")");
}

/* Update, then insert what is not there: needs no index to say what a conflict is (it may be deferred). */
static bool merge_staging(struct copier *self, const struct table *t, struct error *err)
{
    struct buffer sql = {0};
    char *path = NULL;
    bool ok = key_order_path(&self->sink, t, true, &path, err) && pg_exec(&self->sink, as_a_set, err);
    if (ok && path) {
        buffer_printf(&sql, "SET LOCAL search_path = %s", path);
        ok = pg_exec(&self->sink, buffer_text(&sql), err);
        buffer_clear(&sql);
    }
    if (ok && put_merge_update(t, &sql))
        ok = pg_exec(&self->sink, "ANALYZE pg_temp.crossfade_staging", err) &&
             pg_exec(&self->sink, buffer_text(&sql), err);
    buffer_clear(&sql);
    put_merge_insert(t, &sql);
    ok = ok && pg_exec(&self->sink, buffer_text(&sql), err);
    free(path);
    buffer_free(&sql);
    return ok;
}

static bool copy(struct copier *self, struct table *table, const struct chunk *chunk, bool upsert,
                 struct passage *passage, struct error *err)
{
    const struct copier_options *o = self->options;
    struct buffer into = {0};
    if (upsert)
        buffer_puts(&into, staging);
    else
        sql_qualified(&into, table->to_schema, table->to_name);
    struct legacy_pour io = {.range = {.low = chunk->low, .high = chunk->high},
                             .sink = &self->sink,
                             .into = buffer_text(&into),
                             .gate = gate,
                             .context = passage,
                             .progress = &passage->progress};
    bool ok = pg_exec(&self->sink, "BEGIN", err) && (!upsert || make_staging(self, table, err)) &&
              self->source->ops->pour(self->source, table, &io, err) &&
              (!upsert || merge_staging(self, table, err)) &&
              chunk_done(&self->sink, o->config->pipeline, o->epoch, table, chunk, io.rows,
                         atomic_load(&passage->progress.bytes), io.snapshot, err) &&
              pg_exec(&self->sink, "COMMIT", err);
    if (ok && io.snapshot) {
        free(table->copied_snapshot);
        table->copied_snapshot = io.snapshot;
        io.snapshot = NULL;
    }
    free(io.snapshot);
    buffer_free(&into);
    return ok;
}

bool copier_copy(struct copier *self, const struct chunk_table *t, const struct chunk *chunk, bool upsert,
                 struct error *err)
{
    struct passage passage = {.copier = self, .shown = &self->options->stats->tables[t->table->id]};
    if (!copier_connect(self, err))
        return false;
    bool ok = copy(self, t->table, chunk, upsert && t->table->key_count > 0, &passage, err);
    if (!ok) {
        atomic_store(&passage.progress.rows, 0);
        atomic_store(&passage.progress.bytes, 0);
    }
    show(&passage);
    return ok || fail(self, t->table, err);
}

bool copier_put_state(struct copier *self, const struct table *table, const char *reason, bool flush,
                      struct error *err)
{
    const struct copier_options *o = self->options;
    if (!copier_connect(self, err))
        return false;
    if (pg_exec(&self->sink, flush ? "BEGIN; SET LOCAL synchronous_commit = on" : "BEGIN", err) &&
        store_table_state_put(&self->sink, o->config->pipeline, o->epoch, table, reason, err) &&
        pg_exec(&self->sink, "COMMIT", err))
        return true;
    copier_close(self);
    return false;
}
