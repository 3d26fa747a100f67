/* SPDX-License-Identifier: PostgreSQL
 *
 * From decoded messages to events. One message at a time is in hand; it may give no event (Origin, Type, a
 * change of a transaction of ours), one, or several (a first change gives BEGIN and itself, a TRUNCATE one
 * change a table), and it stays in hand until all of its events are handed out.
 *
 * 1. BEGIN is handed out with the first change: only then it is known whether the transaction is our own
 *    (rule 7) and whether there is anything in it. An empty one moves the position and is not seen. Of an
 *    own one only BEGIN and COMMIT are seen, so that the position moves past it.
 * 2. A position is told only between transactions: the end of a commit, or a keepalive's end while none
 *    is open. The server sends in order, so everything before either has been handed out.
 * 3. Values are not copied: they point into libpq's message; arrays come from an arena that is reset with
 *    each message. Where the message has the table's columns in its order, its array is the row.
 * 4. A partition that is not known yet (made while streaming) is looked up over a session of its own,
 *    because the replication connection takes no SQL while it streams.
 */
#include "pgsql/logical_source.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/mem.h"
#include "pgsql/partition.h"
#include "pgsql/pgoutput.h"
#include "pgsql/relation.h"
#include "pgsql/walsender.h"

struct logical_source {
    struct source base;
    struct walsender *walsender;
    struct pg_conn_options conn; /* for look-ups; its strings are ours */
    char *origin_prefix;
    struct relation_set relations;
    struct partition_map partitions;
    struct arena *arena;
    struct pgoutput_message message;
    bool in_hand;         /* message has events left */
    bool open;            /* between Begin and Commit */
    bool begun;           /* BEGIN of the open transaction was handed out */
    uint32_t truncate_at; /* next of the message's truncated tables */
    uint32_t truncate_group;
    struct transaction transaction;
    uint64_t end; /* of the last commit handed out */
    _Atomic uint64_t received;
};

enum outcome { FAILED, NO_EVENT, EVENT };

static struct logical_source *cast(struct source *base)
{
    return (struct logical_source *)base;
}

/* The message is done with. */
static enum outcome done(struct logical_source *self, enum outcome outcome)
{
    self->in_hand = false;
    return outcome;
}

static enum outcome malformed(struct logical_source *self, struct error *err, const char *what)
{
    error_set(err, ERROR_RETRY, "%s: replication stream: %s", self->conn.endpoint, what);
    return FAILED;
}

static void set_received(struct logical_source *self, uint64_t lsn)
{
    if (lsn > atomic_load_explicit(&self->received, memory_order_relaxed))
        atomic_store_explicit(&self->received, lsn, memory_order_relaxed);
}

/* --- rows --- */

static bool fits_relation(const struct relation *r, const struct pgoutput_tuple *t)
{
    return t->count == r->column_count;
}

/* Columns outside the replica identity come as NULLs in an old key: they are not provided (hazard 15). */
static void keep_identity(const struct relation *r, struct pgoutput_tuple *t)
{
    for (uint16_t i = 0; i < t->count; i++) {
        if (!r->identity[i])
            t->values[i] = (struct value){.kind = VALUE_ABSENT};
    }
}

/* With the whole old row at hand an unchanged large value is known after all. */
static void fill_unchanged(struct pgoutput_tuple *row, const struct pgoutput_tuple *old)
{
    for (uint16_t i = 0; i < row->count; i++) {
        if (row->values[i].kind == VALUE_ABSENT)
            row->values[i] = old->values[i];
    }
}

static struct value *place(struct logical_source *self, const struct relation *r,
                           const struct pgoutput_tuple *t)
{
    if (r->straight)
        return t->values;
    uint16_t count = r->table->column_count;
    struct value *row = arena_alloc(self->arena, count * sizeof(*row));
    memset(row, 0, count * sizeof(*row));
    for (uint16_t i = 0; i < t->count; i++) {
        if (r->column[i] != RELATION_NOWHERE)
            row[r->column[i]] = t->values[i];
    }
    return row;
}

static const struct extra_column *place_extra(struct logical_source *self, const struct relation *r,
                                              const struct pgoutput_tuple *t)
{
    if (r->extra_count == 0)
        return NULL;
    struct extra_column *extra = arena_copy(self->arena, r->extra, r->extra_count * sizeof(*extra));
    for (uint16_t i = 0; i < t->count; i++) {
        if (r->extra_at[i] != RELATION_NOWHERE)
            extra[r->extra_at[i]].value = t->values[i];
    }
    return extra;
}

static enum outcome emit_row(struct logical_source *self, struct source_event *out, struct error *err)
{
    struct pgoutput_message *m = &self->message;
    if (self->transaction.own)
        return done(self, NO_EVENT);
    const struct relation *r = relation_set_get(&self->relations, m->relation);
    if (!r)
        return malformed(self, err, "a change of a table that was not announced");
    bool has_row = m->kind != PGOUTPUT_DELETE;
    bool has_old = m->old_kind != OLD_NONE;
    if ((has_row && !fits_relation(r, &m->new_tuple)) || (has_old && !fits_relation(r, &m->old_tuple)))
        return malformed(self, err, "a row has another number of columns than its table");
    if (!r->table)
        return done(self, NO_EVENT);
    if (m->old_kind == OLD_KEY)
        keep_identity(r, &m->old_tuple);
    else if (has_row && has_old)
        fill_unchanged(&m->new_tuple, &m->old_tuple);

    struct change *c = &out->change;
    *c = (struct change){.table = r->table, .old_kind = m->old_kind};
    c->op = m->kind == PGOUTPUT_INSERT   ? CHANGE_INSERT
            : m->kind == PGOUTPUT_UPDATE ? CHANGE_UPDATE
                                         : CHANGE_DELETE;
    if (has_row) {
        c->row = place(self, r, &m->new_tuple);
        c->extra = place_extra(self, r, &m->new_tuple);
        c->extra_count = r->extra_count;
    }
    if (has_old)
        c->old = place(self, r, &m->old_tuple);
    out->kind = SOURCE_CHANGE;
    return done(self, EVENT);
}

/* --- truncate --- */

/* How many of the root's leaves does this TRUNCATE list, and is the relation at `at` the first of them? */
static uint32_t count_leaves(struct logical_source *self, const struct relation *of, uint32_t at, bool *first)
{
    const struct pgoutput_message *m = &self->message;
    uint32_t n = 0;
    *first = true;
    for (uint32_t i = 0; i < m->truncated_count; i++) {
        const struct relation *r = relation_set_get(&self->relations, m->truncated[i]);
        if (!r || !r->partition || r->table != of->table)
            continue;
        if (i < at)
            *first = false;
        n++;
    }
    return n;
}

/* A partition alone was emptied. The target's table may be cut differently: it can't be done there. */
static enum outcome emit_partition_truncated(const struct relation *r, struct source_event *out)
{
    out->kind = SOURCE_DRIFT;
    out->table = r->table;
    out->recopy = true;
    snprintf(
        out->text, sizeof(out->text),
        "partition \"%.60s\".\"%.60s\" of %.130s was truncated on the source, the target can't tell its rows "
        "apart - crossfade recopy --table %.130s",
        r->schema, r->name, r->table->from, r->table->from);
    return EVENT;
}

/* Several tables fill one table of the sink: are all of them emptied? */
static bool all_sharers_listed(struct logical_source *self, const struct table *table)
{
    const struct table_set *set = self->relations.tables;
    const struct pgoutput_message *m = &self->message;
    for (uint32_t i = 0; i < set->count; i++) {
        bool listed = set->tables[i]->sink_oid != table->sink_oid;
        for (uint32_t k = 0; k < m->truncated_count && !listed; k++) {
            const struct relation *r = relation_set_get(&self->relations, m->truncated[k]);
            listed = r && r->table == set->tables[i];
        }
        if (!listed)
            return false;
    }
    return true;
}

static enum outcome emit_truncated_table(struct logical_source *self, uint32_t at, struct source_event *out,
                                         struct error *err)
{
    const struct pgoutput_message *m = &self->message;
    const struct relation *r = relation_set_get(&self->relations, m->truncated[at]);
    if (!r)
        return malformed(self, err, "a TRUNCATE of a table that was not announced");
    if (!r->table)
        return NO_EVENT;
    if (r->partition) {
        const struct partition *p = partition_map_find(&self->partitions, r->oid);
        bool first;
        uint32_t listed = count_leaves(self, r, at, &first);
        if (!p || listed < p->leaves)
            return emit_partition_truncated(r, out);
        if (!first)
            return NO_EVENT;
    }
    if (r->table->sink_shared && !all_sharers_listed(self, r->table))
        return emit_partition_truncated(r, out);
    out->kind = SOURCE_CHANGE;
    out->change = (struct change){.table = r->table,
                                  .op = CHANGE_TRUNCATE,
                                  .truncate_restart = m->truncate_restart,
                                  .truncate_cascade = m->truncate_cascade,
                                  .truncate_group = self->truncate_group};
    return EVENT;
}

static enum outcome emit_truncate(struct logical_source *self, struct source_event *out, struct error *err)
{
    if (self->transaction.own)
        return done(self, NO_EVENT);
    if (self->truncate_at == 0 && ++self->truncate_group == 0)
        self->truncate_group = 1;
    while (self->truncate_at < self->message.truncated_count) {
        enum outcome o = emit_truncated_table(self, self->truncate_at++, out, err);
        if (o != NO_EVENT)
            return o;
    }
    return done(self, NO_EVENT);
}

/* --- relations --- */

/* The leaf's root, asking the server when the leaf is new. */
static bool find_root(struct logical_source *self, uint32_t oid, const struct partition **out,
                      struct error *err)
{
    struct pg_conn conn;
    *out = partition_map_find(&self->partitions, oid);
    if (*out)
        return true;
    if (!pg_conn_open(&conn, &self->conn, err))
        return error_prefix(err, "looking up a new table");
    bool ok = partition_map_read(&self->partitions, &conn, err);
    pg_conn_close(&conn);
    *out = partition_map_find(&self->partitions, oid);
    return ok;
}

static enum outcome emit_relation(struct logical_source *self, struct source_event *out, struct error *err)
{
    const struct pgoutput_message *m = &self->message;
    const struct relation *before = relation_set_get(&self->relations, m->relation);
    const struct partition *p = NULL;
    struct relation *r;
    bool known_skipped = before && !before->table && strcmp(before->name, m->name) == 0;
    bool mapped = table_set_find(self->relations.tables, m->schema, m->name) != NULL;
    if (!mapped && !known_skipped && !find_root(self, m->relation, &p, err))
        return FAILED;
    bool news =
        relation_set_announce(&self->relations, m, p ? p->root_schema : NULL, p ? p->root_name : NULL, &r);
    self->in_hand = false;
    if (!news)
        return NO_EVENT;
    out->kind = SOURCE_DRIFT;
    out->table = r->table;
    out->recopy = false;
    memcpy(out->text, r->drift, sizeof(r->drift));
    return EVENT;
}

/* --- transactions --- */

static enum outcome take_begin(struct logical_source *self, struct error *err)
{
    const struct pgoutput_message *m = &self->message;
    if (self->open)
        return malformed(self, err, "a transaction begins inside another");
    self->open = true;
    self->begun = false;
    self->transaction = (struct transaction){
        .xid = m->xid, .commit = position_lsn(m->final_lsn), .commit_time_us = m->commit_time_us};
    return done(self, NO_EVENT);
}

/* crossfade_<pipeline>_<lane>: a pipeline "a" must not take the origin of "a_b" for its own. */
static bool is_own_origin(const struct logical_source *self, const char *origin)
{
    size_t n = self->origin_prefix ? strlen(self->origin_prefix) : 0;
    return n > 0 && strncmp(origin, self->origin_prefix, n) == 0 && origin[n] && !strchr(origin + n, '_');
}

static enum outcome take_origin(struct logical_source *self, struct error *err)
{
    if (!self->open)
        return malformed(self, err, "an origin outside a transaction");
    if (!self->begun)
        self->transaction.own = is_own_origin(self, self->message.origin);
    return done(self, NO_EVENT);
}

static enum outcome emit_begin(struct logical_source *self, struct source_event *out)
{
    self->begun = true;
    out->kind = SOURCE_BEGIN;
    out->transaction = self->transaction;
    return EVENT;
}

/* Servers before 15 send what is left of transactions that have nothing for us: only the position moves. */
static enum outcome take_empty(struct logical_source *self)
{
    self->open = false;
    self->end = self->message.end_lsn;
    set_received(self, self->end);
    return done(self, NO_EVENT);
}

static enum outcome emit_commit(struct logical_source *self, struct source_event *out)
{
    self->transaction.end = position_lsn(self->message.end_lsn);
    self->transaction.commit_time_us = self->message.commit_time_us;
    self->open = false;
    self->end = self->message.end_lsn;
    set_received(self, self->end);
    out->kind = SOURCE_COMMIT;
    out->transaction = self->transaction;
    return done(self, EVENT);
}

/* The next event of the message in hand. */
static enum outcome emit(struct logical_source *self, struct source_event *out, struct error *err)
{
    switch (self->message.kind) {
    case PGOUTPUT_BEGIN:
        return take_begin(self, err);
    case PGOUTPUT_ORIGIN:
        return take_origin(self, err);
    case PGOUTPUT_TYPE:
        relation_set_announce_type(&self->relations, &self->message);
        return done(self, NO_EVENT);
    case PGOUTPUT_MESSAGE:
        return done(self, NO_EVENT);
    case PGOUTPUT_RELATION:
        return emit_relation(self, out, err);
    case PGOUTPUT_COMMIT:
    case PGOUTPUT_INSERT:
    case PGOUTPUT_UPDATE:
    case PGOUTPUT_DELETE:
    case PGOUTPUT_TRUNCATE:
        break;
    }
    if (!self->open)
        return malformed(self, err, "a change outside a transaction");
    if (!self->begun)
        return self->message.kind == PGOUTPUT_COMMIT ? take_empty(self) : emit_begin(self, out);
    if (self->message.kind == PGOUTPUT_COMMIT)
        return emit_commit(self, out);
    if (self->message.kind == PGOUTPUT_TRUNCATE)
        return emit_truncate(self, out, err);
    return emit_row(self, out, err);
}

static void emit_nothing(struct logical_source *self, struct source_event *out)
{
    uint64_t keepalive = walsender_keepalive(self->walsender);
    out->kind = SOURCE_NOTHING;
    out->position = (struct position){.kind = POSITION_NONE};
    if (self->open)
        return;
    if (keepalive > self->end)
        self->end = keepalive;
    set_received(self, self->end);
    out->position = position_lsn(self->end);
    out->awaited = walsender_reply_asked(self->walsender);
}

static bool take_message(struct logical_source *self, struct slice body, struct error *err)
{
    arena_reset(self->arena);
    if (!pgoutput_decode(body, self->arena, &self->message, err))
        return error_prefix(err, "%s", self->conn.endpoint);
    self->in_hand = true;
    self->truncate_at = 0;
    return true;
}

static bool logical_source_next(struct source *base, int64_t deadline_ms, struct source_event *out,
                                struct error *err)
{
    struct logical_source *self = cast(base);
    for (;;) {
        if (self->in_hand) {
            enum outcome o = emit(self, out, err);
            if (o != NO_EVENT)
                return o == EVENT;
            continue;
        }
        struct slice body;
        switch (walsender_next(self->walsender, deadline_ms, &body, err)) {
        case WALSENDER_FAILED:
            return false;
        case WALSENDER_DATA:
            if (!take_message(self, body, err))
                return false;
            break;
        case WALSENDER_IDLE:
            if (self->open && clock_ms() < deadline_ms)
                break;
            emit_nothing(self, out);
            return true;
        }
    }
}

static void logical_source_confirm(struct source *base, struct position confirmed)
{
    assert(confirmed.kind != POSITION_CDC);
    if (confirmed.kind == POSITION_LSN)
        walsender_confirm(cast(base)->walsender, confirmed.low);
}

static bool logical_source_tick(struct source *base, struct error *err)
{
    return walsender_tick(cast(base)->walsender, err);
}

static void logical_source_cancel(struct source *base)
{
    walsender_cancel(cast(base)->walsender);
}

static void free_text(const char *text)
{
    free((char *)(uintptr_t)text);
}

static void logical_source_free(struct source *base)
{
    if (!base)
        return;
    struct logical_source *self = cast(base);
    walsender_free(self->walsender);
    relation_set_free(&self->relations);
    partition_map_free(&self->partitions);
    arena_free(self->arena);
    free_text(self->conn.conninfo);
    free_text(self->conn.pipeline);
    free_text(self->conn.job);
    free_text(self->conn.endpoint);
    free(self->origin_prefix);
    free(self);
}

static const struct source_ops logical_source_ops = {
    .next = logical_source_next,
    .confirm = logical_source_confirm,
    .tick = logical_source_tick,
    .cancel = logical_source_cancel,
    .free = logical_source_free,
};

static struct logical_source *source_new(const struct logical_source_options *options)
{
    struct logical_source *self = mem_alloc(sizeof(*self));
    self->base.ops = &logical_source_ops;
    self->conn = options->conn;
    self->conn.conninfo = mem_strdup(options->conn.conninfo);
    self->conn.pipeline = mem_strdup(options->conn.pipeline);
    self->conn.job = mem_strdup(options->conn.job);
    self->conn.endpoint = mem_strdup(options->conn.endpoint);
    self->conn.replication = false;
    self->conn.apply = false;
    self->origin_prefix = mem_strdup(options->origin_prefix);
    self->relations.tables = options->tables;
    self->arena = arena_new();
    self->end = options->start.low;
    atomic_init(&self->received, options->start.low);
    return self;
}

bool logical_source_open(const struct logical_source_options *options, struct source **out, struct error *err)
{
    assert(options->start.kind == POSITION_LSN);
    struct logical_source *self = source_new(options);
    struct walsender_options w = {
        .conn = options->conn,
        .slot = options->slot,
        .publication = options->publication,
        .insert_publication = options->insert_publication,
        .start = options->start.low,
        .binary = options->binary,
        .status_interval_ms = options->status_interval_ms,
    };
    *out = NULL;
    if (!walsender_open(&w, &self->walsender, err) ||
        !partition_map_read(&self->partitions, walsender_conn(self->walsender), err) ||
        !walsender_start(self->walsender, err)) {
        logical_source_free(&self->base);
        return false;
    }
    *out = &self->base;
    return true;
}

void logical_source_progress(const struct source *base, uint64_t *server_end, uint64_t *received)
{
    const struct logical_source *self = (const struct logical_source *)base;
    *server_end = walsender_server_end(self->walsender);
    *received = atomic_load_explicit(&self->received, memory_order_relaxed);
}
