/* SPDX-License-Identifier: PostgreSQL */
#include "replicator/chunk.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "pgsql/sql.h"

enum {
    DEFAULT_ROW_BYTES = 100,
    MIN_CHUNK_ROWS = 1000,
    /* A heap in another order than its key is read as a whole for each chunk: so few of those. */
    MAX_SCATTERED_CHUNKS = 16
};

static const double WELL_ORDERED = 0.8;

void chunk_free(struct chunk *self)
{
    free(self->low);
    free(self->high);
    *self = (struct chunk){0};
}

void chunk_table_free(struct chunk_table *self)
{
    for (size_t i = 0; i < self->redo_count; i++)
        chunk_free(&self->redo[i]);
    free(self->redo);
    free(self->next_low);
    *self = (struct chunk_table){0};
}

/* False if the stored bound does not fit the key. */
static bool parse_bound(const PGresult *r, int row, int column, const struct table *table, char ***out)
{
    *out = NULL;
    if (PQgetisnull(r, row, column))
        return true;
    int n = sql_array_parse(PQgetvalue(r, row, column), out);
    if (n == table->key_count)
        return true;
    if (n >= 0)
        free(*out);
    *out = NULL;
    return false;
}

enum { COL_TABLE, COL_SEQ, COL_LOW, COL_HIGH, COL_STATE, COL_ROWS, COL_BYTES, COL_SNAPSHOT };

static void load_row(const PGresult *r, int row, struct chunk_table *t)
{
    struct chunk c = {.seq = (int32_t)strtol(PQgetvalue(r, row, COL_SEQ), NULL, 10)};
    free(t->next_low);
    t->next_low = NULL;
    if (!parse_bound(r, row, COL_LOW, t->table, &c.low) ||
        !parse_bound(r, row, COL_HIGH, t->table, &c.high) ||
        !parse_bound(r, row, COL_HIGH, t->table, &t->next_low))
        t->rekeyed = true;
    t->started = true;
    t->next_seq = c.seq + 1;
    t->exhausted = c.high == NULL;
    if (strcmp(PQgetvalue(r, row, COL_STATE), "planned") == 0) {
        t->redo = mem_grow(t->redo, t->redo_count + 1, sizeof(*t->redo));
        t->redo[t->redo_count++] = c;
        return;
    }
    t->rows_done += strtoull(PQgetvalue(r, row, COL_ROWS), NULL, 10);
    t->bytes_done += strtoull(PQgetvalue(r, row, COL_BYTES), NULL, 10);
    if (!PQgetisnull(r, row, COL_SNAPSHOT)) {
        free(t->table->copied_snapshot);
        t->table->copied_snapshot = mem_strdup(PQgetvalue(r, row, COL_SNAPSHOT));
    }
    chunk_free(&c);
}

bool chunk_load(struct pg_conn *target, const char *pipeline, struct chunk_table *tables, uint32_t count,
                struct error *err)
{
    const char *params[] = {pipeline};
    PGresult *r = pg_query(target,
                           "SELECT table_name, seq, low, high, state, rows, bytes, snapshot"
                           "  FROM crossfade.chunk WHERE pipeline = $1 ORDER BY table_name, seq",
                           1, params, err);
    if (!r)
        return error_prefix(err, "reading the chunks");
    struct map by_name = {0};
    for (uint32_t i = 0; i < count; i++) {
        tables[i].next_seq = 1;
        map_at(&by_name, slice_of(tables[i].table->from))->value = &tables[i];
    }
    for (int row = 0; row < PQntuples(r); row++) {
        struct chunk_table *t = map_get(&by_name, slice_of(PQgetvalue(r, row, COL_TABLE)));
        if (t)
            load_row(r, row, t);
    }
    map_free(&by_name);
    PQclear(r);
    return true;
}

/* How this table is cut, looked up once: the physical size is a fact, the number of rows an estimate. */
bool chunk_look(struct legacy_copy *source, struct chunk_table *self, struct chunk_size size,
                struct error *err)
{
    const struct table *t = self->table;
    struct legacy_key key;
    if (self->known)
        return true;
    int64_t bytes = t->source_bytes, rows = t->source_rows;
    self->known = true;
    self->whole = t->key_count == 0 || (size.rows == 0 && bytes >= 0 && bytes <= size.bytes);
    /* A table that was being cut goes on being cut, whatever size it has now. */
    if (t->key_count == 0 || (self->whole && !self->next_low && !self->redo_count))
        return true;
    if (!source->ops->look(source, t, &key, err))
        return false;
    self->whole = !self->next_low && !key.indexed;
    int64_t row_bytes = rows > 0 && bytes > 0 ? bytes / rows + 1 : DEFAULT_ROW_BYTES;
    int64_t chunk_bytes = size.bytes;
    if (key.order < WELL_ORDERED && chunk_bytes < bytes / MAX_SCATTERED_CHUNKS)
        chunk_bytes = bytes / MAX_SCATTERED_CHUNKS;
    self->chunk_rows = size.rows > 0 ? size.rows : chunk_bytes / row_bytes;
    if (size.rows == 0 && self->chunk_rows < MIN_CHUNK_ROWS)
        self->chunk_rows = MIN_CHUNK_ROWS;
    return true;
}

static char *bound_text(char *const *bound, uint16_t count)
{
    struct buffer text = {0};
    if (!bound)
        return NULL;
    sql_array(&text, (const char *const *)bound, count);
    return buffer_detach(&text);
}

static bool store_planned(struct pg_conn *target, const char *pipeline, int64_t epoch,
                          const struct table *table, const struct chunk *chunk, struct error *err)
{
    char seq[16], number[24];
    char *low = bound_text(chunk->low, table->key_count), *high = bound_text(chunk->high, table->key_count);
    snprintf(seq, sizeof(seq), "%" PRId32, chunk->seq);
    snprintf(number, sizeof(number), "%" PRId64, epoch);
    const char *params[] = {pipeline, number, table->from, seq, low, high};
    bool ok =
        pg_exec_params(target,
                       "WITH fenced AS MATERIALIZED (SELECT crossfade.fence($1, $2::int8))"
                       " INSERT INTO crossfade.chunk (pipeline, table_name, seq, low, high, state, epoch)"
                       " SELECT $1, $3, $4::int4, $5::text[], $6::text[], 'planned', $2::int8 FROM fenced",
                       6, params, err);
    free(low);
    free(high);
    return ok || error_prefix(err, "planning a chunk of %s", table->from);
}

bool chunk_next(struct legacy_copy *source, struct pg_conn *target, const char *pipeline, int64_t epoch,
                struct chunk_table *self, struct chunk *out, bool *found, struct error *err)
{
    *found = false;
    assert(self->known);
    if (self->redo_count) {
        *out = self->redo[--self->redo_count];
        *found = true;
        return true;
    }
    if (self->exhausted)
        return true;
    struct chunk next = {.seq = self->next_seq, .low = self->next_low};
    if (!self->whole &&
        !source->ops->border(source, self->table, self->next_low, self->chunk_rows, &next.high, err))
        return false;
    if (!store_planned(target, pipeline, epoch, self->table, &next, err)) {
        free(next.high);
        return false;
    }
    self->next_seq++;
    self->exhausted = next.high == NULL;
    self->next_low = NULL;
    if (next.high) {
        char *text = bound_text(next.high, self->table->key_count);
        int n = sql_array_parse(text, &self->next_low);
        assert(n == self->table->key_count);
        free(text);
    }
    *out = next;
    *found = true;
    return true;
}

bool chunk_done(struct pg_conn *target, const char *pipeline, int64_t epoch, const struct table *table,
                const struct chunk *chunk, uint64_t rows, uint64_t bytes, const char *snapshot,
                struct error *err)
{
    char seq[16], number[24], rows_text[24], bytes_text[24];
    snprintf(seq, sizeof(seq), "%" PRId32, chunk->seq);
    snprintf(number, sizeof(number), "%" PRId64, epoch);
    snprintf(rows_text, sizeof(rows_text), "%" PRIu64, rows);
    snprintf(bytes_text, sizeof(bytes_text), "%" PRIu64, bytes);
    const char *params[] = {pipeline, table->from, seq, number, rows_text, bytes_text, snapshot};
    return pg_exec_params(target, "SELECT crossfade.chunk_done($1, $2, $3, $4, $5, $6, $7)", 7, params, err);
}
