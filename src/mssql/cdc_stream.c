/* SPDX-License-Identifier: PostgreSQL */
#include "mssql/cdc_stream.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "mssql/cdc_lsn.h"
#include "mssql/cdc_mask.h"
#include "mssql/keyset.h"
#include "mssql/sql.h"

/* --- which instances --- */

struct making {
    const struct ms_catalog *catalog;
    const struct ms_value_policy *const *policies;
    int64_t value_limit;
    struct position position;
    struct cdc_stream_set *set;
    struct cdc_drift **drifts;
    uint32_t *drift_count;
};

static void add_drift(struct making *m, struct table *table, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void add_drift(struct making *m, struct table *table, const char *fmt, ...)
{
    *m->drifts = mem_grow(*m->drifts, *m->drift_count + 1, sizeof(**m->drifts));
    struct cdc_drift *d = &(*m->drifts)[(*m->drift_count)++];
    *d = (struct cdc_drift){.table = table};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(d->text, sizeof(d->text), fmt, ap);
    va_end(ap);
}

static void stream_free(struct cdc_stream *self)
{
    if (!self)
        return;
    ms_row_plan_free(&self->plan);
    arena_free(self->arena);
    free(self->instance);
    free(self->change_table);
    free(self->ordinals);
    free(self->rows);
    free(self);
}

/* True if every carried column is in the instance as rule 11 wants it. */
static bool find_ordinals(struct making *m, struct cdc_stream *s, const struct ms_catalog_table *source,
                          const struct ms_capture *capture)
{
    struct table *t = s->table;
    s->ordinals = mem_alloc((t->column_count + (size_t)1) * sizeof(*s->ordinals));
    for (uint16_t i = 0; i < t->column_count; i++) {
        const char *name = t->columns[i].source;
        int at = ms_catalog_column_at(source, name);
        for (uint16_t k = 0; k < capture->column_count; k++) {
            if (at >= 0 && capture->columns[k] == at && !capture->computed[k])
                s->ordinals[i] = (uint16_t)(k + 1);
        }
        const struct ms_row_column *c = &s->plan.columns[i];
        if (s->ordinals[i] == 0) {
            add_drift(m, t,
                      "column %.100s of %.130s is not captured by instance %.100s - make a second capture "
                      "instance with "
                      "sys.sp_cdc_enable_table, then crossfade recopy --table %.130s",
                      name, t->from, capture->name, t->from);
            return false;
        }
        if (strcmp(capture->column_names[s->ordinals[i] - 1], name) != 0) {
            add_drift(m, t,
                      "column %.100s of %.130s was called %.100s when instance %.100s was made - make a "
                      "second capture "
                      "instance with sys.sp_cdc_enable_table, then crossfade recopy --table %.130s",
                      name, t->from, capture->column_names[s->ordinals[i] - 1], capture->name, t->from);
            return false;
        }
        if (!c->type.type->cdc) {
            add_drift(
                m, t,
                "column %.100s of %.130s: change data capture does not carry %s - leave the column out, or "
                "change its type to one of the (max) types",
                name, t->from, c->type.type->name);
            return false;
        }
        if (c->large && t->key_count == 0) {
            add_drift(
                m, t,
                "%.130s has no key, and its column %.100s is large: change data capture does not bring the "
                "old value - give it a key, or capture it another way",
                t->from, name);
            return false;
        }
    }
    return true;
}

static bool add_stream(struct making *m, struct table *table, const struct ms_catalog_table *source,
                       const struct ms_capture *capture, struct position first, struct position limit)
{
    struct error err;
    struct cdc_stream *s = mem_alloc(sizeof(*s));
    struct buffer name = {0};
    s->table = table;
    s->source_id = source->object_id;
    s->object_id = capture->object_id;
    s->instance = mem_strdup(capture->name);
    ms_sql_qualified(&name, "cdc", capture->table);
    s->change_table = buffer_detach(&name);
    s->has_command_id = capture->has_command_id;
    s->first = first;
    s->limit = limit;
    s->arena = arena_new();
    if (table->key_count == 0 && table->copied_snapshot)
        (void)position_parse(table->copied_snapshot, &s->skip);
    const struct ms_value_policy *policies = m->policies ? m->policies[table->id] : NULL;
    bool ok = ms_row_plan_make(source, table, policies, m->value_limit, &s->plan, &err);
    if (!ok)
        add_drift(m, table, "%.500s - crossfade recopy --table %.130s once it fits", err.text, table->from);
    if (!ok || !find_ordinals(m, s, source, capture)) {
        stream_free(s);
        return false;
    }
    m->set->streams = mem_grow(m->set->streams, m->set->count + 1, sizeof(struct cdc_stream *));
    m->set->streams[m->set->count++] = s;
    return true;
}

/* Nobody dropped anything from the mapping by adding a column to the source (rule 8). */
static bool has_unknown_column(struct making *m, struct table *t, const struct ms_catalog_table *source)
{
    for (uint16_t i = 0; i < source->column_count; i++) {
        const char *name = source->columns[i].name;
        bool known = source->columns[i].computed || source->columns[i].column_set;
        for (uint16_t k = 0; k < t->column_count && !known; k++)
            known = strcmp(t->columns[k].source, name) == 0;
        for (uint16_t k = 0; k < t->ignored_count && !known; k++)
            known = strcmp(t->ignored[k], name) == 0;
        if (known)
            continue;
        add_drift(
            m, t,
            "column %.100s was added to %.130s - ALTER TABLE the target's table too, make a second capture "
            "instance with sys.sp_cdc_enable_table, then crossfade recopy --table %.130s",
            name, t->from, t->from);
        return true;
    }
    return false;
}

static void add_lost(struct making *m, struct table *table, const struct ms_capture *next)
{
    char at[POSITION_TEXT_SIZE], from[POSITION_TEXT_SIZE];
    if (next)
        add_drift(m, table,
                  "the history of %.130s from %s on is gone: capture instance %.100s begins at %s (clean-up "
                  "passed, or "
                  "capture was switched off and on) - crossfade recopy --table %.130s",
                  table->from, position_format(m->position, from), next->name,
                  position_format(next->start, at), table->from);
    else
        add_drift(m, table,
                  "%.130s has no capture instance any more - sys.sp_cdc_enable_table, then crossfade recopy "
                  "--table %.130s",
                  table->from, table->from);
    (*m->drifts)[*m->drift_count - 1].history = true;
}

/* The newest instance that reaches back to where we stand, and whatever newer one there is behind it. An
 * instance without a lowest LSN is not ours to read, or so new that the capture job has not come to it. */
static bool choose(struct making *m, struct table *table, const struct ms_catalog_table *source,
                   struct error *err)
{
    const struct ms_capture *base = NULL, *next = NULL, *denied = NULL;
    struct position need = cdc_lsn_next(m->position);
    for (uint16_t i = 0; i < source->capture_count; i++) {
        const struct ms_capture *c = &source->captures[i];
        if (c->denied)
            denied = c;
        else if (c->drop_pending)
            continue;
        else if (cdc_lsn_compare(c->start, need) <= 0 ||
                 (table->captured_from.kind != POSITION_NONE &&
                  cdc_lsn_compare(c->start, table->captured_from) <= 0))
            base = c; /* the later one wins: they come in the order of their start */
        else if (!next)
            next = c;
    }
    if (!base && denied)
        return error_set(
            err, ERROR_REFUSED,
            "the lowest LSN of capture instance %s is all zeros - the login may not read it, or capture has "
            "not begun - grant SELECT on %s and membership of the instance's gating role, start the capture "
            "job",
            denied->name, table->from);
    struct position none = {.kind = POSITION_NONE};
    if (!base)
        add_lost(m, table, next);
    else if (add_stream(m, table, source, base, cdc_lsn_compare(base->start, need) > 0 ? base->start : none,
                        next ? next->start : none) &&
             next)
        (void)!add_stream(m, table, source, next, next->start, none);
    return true;
}

static bool make_all(struct making *m, const struct table_set *tables, struct error *err)
{
    for (uint32_t i = 0; i < tables->count; i++) {
        struct table *t = tables->tables[i];
        const struct ms_catalog_table *source = ms_catalog_find(m->catalog, t->from_schema, t->from_name);
        if (!source)
            add_drift(m, t, "%.130s is not there any more", t->from);
        else if (!has_unknown_column(m, t, source) && !choose(m, t, source, err))
            return false;
    }
    return true;
}

bool cdc_streams_make(const struct ms_catalog *catalog, const struct table_set *tables,
                      const struct ms_value_policy *const *policies, int64_t value_limit,
                      struct position position, struct cdc_stream_set *out, struct cdc_drift **drifts,
                      uint32_t *drift_count, struct error *err)
{
    struct making m = {.catalog = catalog,
                       .policies = policies,
                       .value_limit = value_limit,
                       .position = position,
                       .set = out,
                       .drifts = drifts,
                       .drift_count = drift_count};
    *out = (struct cdc_stream_set){0};
    if (make_all(&m, tables, err))
        return true;
    cdc_streams_free(out);
    return false;
}

void cdc_streams_free(struct cdc_stream_set *self)
{
    for (uint32_t i = 0; i < self->count; i++)
        stream_free(self->streams[i]);
    free(self->streams);
    *self = (struct cdc_stream_set){0};
}

/* --- a range --- */

void cdc_stream_begin(struct cdc_stream *self, struct position from, struct position to)
{
    self->from = from;
    self->to = to;
    if (self->first.kind != POSITION_NONE && cdc_lsn_compare(self->from, self->first) < 0)
        self->from = cdc_lsn_before(self->first);
    if (self->skip.kind == POSITION_CDC && cdc_lsn_compare(self->from, self->skip) < 0)
        self->from = self->skip;
    if (self->limit.kind != POSITION_NONE && cdc_lsn_compare(self->to, self->limit) >= 0)
        self->to = cdc_lsn_before(self->limit);
    self->exhausted = self->lost || cdc_lsn_compare(self->from, self->to) >= 0;
    self->paged = false;
    self->count = self->at = 0;
    self->bytes = 0;
    arena_reset(self->arena);
}

bool cdc_stream_is_hungry(const struct cdc_stream *self)
{
    return !self->exhausted && self->at == self->count;
}

/* --- SQL --- */

static void put_key_columns(const struct cdc_stream *self, struct buffer *out)
{
    buffer_printf(out, "[t].[__$start_lsn], %s, [t].[__$seqval], [t].[__$operation]",
                  self->has_command_id ? "[t].[__$command_id]" : "CAST(NULL AS int)");
}

static void put_behind(const struct cdc_stream *self, struct buffer *out)
{
    struct ms_keyset_term terms[4] = {{.column = "[t].[__$start_lsn]", .value = "@from"}};
    uint16_t n = 1;
    if (self->paged && self->has_command_id)
        terms[n++] = (struct ms_keyset_term){.column = "[t].[__$command_id]",
                                             .value = self->last.command_null ? NULL : "@command"};
    if (self->paged) {
        terms[n++] = (struct ms_keyset_term){.column = "[t].[__$seqval]", .value = "@seqval"};
        terms[n++] = (struct ms_keyset_term){.column = "[t].[__$operation]", .value = "@operation"};
    }
    ms_keyset_expand(terms, n, true, out);
}

void cdc_stream_put_page(const struct cdc_stream *self, const char *own, struct buffer *out)
{
    buffer_printf(out, "SELECT TOP (%d) ", CDC_PAGE_ROWS);
    put_key_columns(self, out);
    buffer_puts(out, ", [t].[__$update_mask], ");
    ms_row_select(&self->plan, out);
    buffer_printf(out, " FROM %s AS [t] WHERE ", self->change_table);
    put_behind(self, out);
    buffer_puts(out, " AND [t].[__$start_lsn] <= @to");
    if (own)
        buffer_printf(out, " AND NOT EXISTS (%s)", own);
    buffer_puts(out, " ORDER BY [t].[__$start_lsn], ");
    buffer_puts(out, self->has_command_id ? "[t].[__$command_id], " : "");
    buffer_puts(out, "[t].[__$seqval], [t].[__$operation]");
}

void cdc_stream_put_values(const struct cdc_stream *self, struct buffer *out)
{
    buffer_puts(out, ", @from = ");
    cdc_lsn_put(out, self->paged ? self->last.lsn : self->from);
    buffer_puts(out, ", @to = ");
    cdc_lsn_put(out, self->to);
    if (!self->paged)
        return;
    buffer_printf(out, ", @command = %d, @seqval = ", self->last.command);
    cdc_lsn_put(out, self->last.seqval);
    buffer_printf(out, ", @operation = %d", self->last.operation);
}

/* --- rows --- */

enum { AT_LSN, AT_COMMAND, AT_SEQVAL, AT_OPERATION, AT_MASK, AT_VALUES };

static bool take_key(const struct cdc_stream *self, struct ms_conn *conn, struct cdc_key *out,
                     struct error *err)
{
    struct ms_datum lsn = ms_column(conn, AT_LSN), seqval = ms_column(conn, AT_SEQVAL);
    *out = (struct cdc_key){.lsn = cdc_lsn(lsn.data, lsn.length),
                            .seqval = cdc_lsn(seqval.data, seqval.length),
                            .command = (int32_t)ms_column_int(conn, AT_COMMAND),
                            .command_null = ms_column(conn, AT_COMMAND).data == NULL,
                            .operation = (uint8_t)ms_column_int(conn, AT_OPERATION)};
    if (out->lsn.kind != POSITION_CDC || out->seqval.kind != POSITION_CDC || out->operation < CDC_DELETE ||
        out->operation > CDC_UPDATE_NEW)
        return error_set(err, ERROR_FATAL, "change table %s has a row that is no change", self->change_table);
    if (self->paged && cdc_key_compare(&self->last, out) >= 0)
        return error_set(err, ERROR_FATAL, "change table %s came out of order", self->change_table);
    return true;
}

/* SQL Server writes NULL for a large value that it does not tell: in an old row always unless it was changed,
 * in a new row where the mask's bit is clear. That is not a NULL of the column (hazard 15). */
static void mark_absent(const struct cdc_stream *self, struct ms_conn *conn, struct cdc_row *row)
{
    if (row->key.operation != CDC_UPDATE_OLD && row->key.operation != CDC_UPDATE_NEW)
        return;
    struct ms_datum mask = ms_column(conn, AT_MASK);
    for (uint16_t i = 0; i < self->plan.count; i++) {
        if (self->plan.columns[i].large && !cdc_mask_has(mask.data, mask.length, self->ordinals[i]))
            row->values[i] = (struct value){.kind = VALUE_ABSENT};
    }
}

static bool take_row(struct cdc_stream *self, struct ms_conn *conn, struct buffer *scratch, struct error *err)
{
    struct cdc_row row = {0};
    if (!take_key(self, conn, &row.key, err))
        return false;
    bool old = row.key.operation == CDC_DELETE || row.key.operation == CDC_UPDATE_OLD;
    if (!(old ? ms_row_old_values : ms_row_values)(&self->plan, conn, AT_VALUES, scratch, self->arena,
                                                   &row.values, err))
        return false;
    mark_absent(self, conn, &row);
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? self->capacity * 2 : 64;
        self->rows = mem_grow(self->rows, self->capacity, sizeof(*self->rows));
    }
    self->rows[self->count++] = row;
    self->bytes += scratch->length + self->plan.count * sizeof(struct value) + sizeof(row);
    self->last = row.key;
    self->paged = true;
    return true;
}

bool cdc_stream_take(struct cdc_stream *self, struct ms_conn *conn, size_t room, struct buffer *scratch,
                     bool *stopped, struct error *err)
{
    assert(self->at == self->count);
    uint32_t seen = 0;
    enum ms_next next = MS_END;
    self->count = self->at = 0;
    self->bytes = 0;
    *stopped = false;
    arena_reset(self->arena);
    conn->damaged = false;
    while ((next = ms_query_next(conn, err)) == MS_ROW) {
        seen++;
        if (conn->damaged)
            return error_set(err, ERROR_DATA, "%s: characters that the client library can't convert",
                             self->table->from);
        if (!take_row(self, conn, scratch, err))
            return false;
        /* An update's two rows stay together. */
        if (self->bytes >= room && self->last.operation != CDC_UPDATE_OLD) {
            *stopped = true;
            return true;
        }
    }
    if (next == MS_FAILED)
        return false;
    self->exhausted = seen < CDC_PAGE_ROWS;
    if (!self->exhausted && self->last.operation == CDC_UPDATE_OLD) {
        self->count--;
        self->last = self->rows[self->count - 1].key;
    }
    return true;
}
