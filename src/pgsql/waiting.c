/* SPDX-License-Identifier: PostgreSQL
 *
 * Rows are written by unnest of arrays in pieces of bounded size. Within a table both lists are in source
 * order, and the tables' identity columns keep that order.
 */
#include "pgsql/waiting.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/parked.h"

enum { OID_BYTEA = 17, OID_TEXT = 25, PIECE_BYTES = 1 << 20, PIECE_ROWS = 5000 };

static struct waiting_entry *add_entry(struct waiting_list *list)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : 64;
        list->entries = mem_grow(list->entries, list->capacity, sizeof(struct waiting_entry));
    }
    struct waiting_entry *e = &list->entries[list->count++];
    *e = (struct waiting_entry){0};
    return e;
}

static void fill(struct pg_sink *s, struct waiting_entry *e, const struct batch *batch, size_t index)
{
    const struct change *c = &batch->changes[index];
    const struct transaction *tx = &batch->transactions[c->transaction];
    struct buffer *bytes = &s->waiting.bytes;

    e->table = lane_table(s, c->table);
    e->index = index;
    e->op = "IUDT"[c->op];
    position_format(tx->commit, e->position);
    e->change = bytes->length;
    parked_encode(c, tx, bytes);
    e->change_length = bytes->length - e->change;
}

void waiting_park(struct pg_sink *s, const struct batch *batch, size_t index)
{
    struct waiting_entry *e = add_entry(&s->waiting.parked);

    fill(s, e, batch, index);
    e->table->parked_bytes += (int64_t)e->change_length;
}

void waiting_hold(struct pg_sink *s, const struct batch *batch, size_t index, const struct error *why)
{
    const struct change *c = &batch->changes[index];
    struct waiting_entry *e = add_entry(&s->waiting.held);
    struct buffer *bytes = &s->waiting.bytes;
    char text[400];

    fill(s, e, batch, index);
    e->key = bytes->length;
    change_key_bytes(c->table, change_key_row(c), bytes);
    e->key_length = bytes->length - e->key;
    e->key_text = mem_strdup(change_key_text(c->table, change_key_row(c), text, sizeof(text)));
    snprintf(e->sqlstate, sizeof(e->sqlstate), "%s", why ? why->code : "");
    e->message = mem_strdup(why ? why->text : "waits for an earlier change of the same key");
    e->table->quarantined++;
}

static void drop_entries(struct waiting_list *list, const struct lane_table *t)
{
    size_t kept = 0;

    for (size_t i = 0; i < list->count; i++) {
        struct waiting_entry *e = &list->entries[i];
        if (e->table == t) {
            free(e->key_text);
            free(e->message);
        } else {
            list->entries[kept++] = *e;
        }
    }
    list->count = kept;
}

void waiting_overflow(struct pg_sink *s, struct lane_table *t)
{
    char reason[400];

    drop_entries(&s->waiting.parked, t);
    t->overflowed = true;
    t->purge_parked = true;
    s->waiting.purge = true;
    t->parked_bytes = 0;
    snprintf(reason, sizeof(reason),
             "park_limit (%lld bytes) reached: its changes are not kept any more - run crossfade recopy "
             "--table %s",
             (long long)s->park_limit, t->table->from);
    lane_stop_table(s, t, reason);
}

void waiting_drop_held(struct pg_sink *s, struct lane_table *t)
{
    drop_entries(&s->waiting.held, t);
    t->purge_held = true;
    s->waiting.purge = true;
    t->quarantined = 0;
    held_free(&t->held);
}

struct waiting_mark waiting_mark(const struct pg_sink *s)
{
    return (struct waiting_mark){s->waiting.parked.count, s->waiting.held.count};
}

void waiting_rewind(struct pg_sink *s, struct waiting_mark mark)
{
    struct waiting *w = &s->waiting;

    while (w->parked.count > mark.parked) {
        const struct waiting_entry *e = &w->parked.entries[--w->parked.count];
        e->table->parked_bytes -= (int64_t)e->change_length;
    }
    while (w->held.count > mark.held) {
        struct waiting_entry *e = &w->held.entries[--w->held.count];
        e->table->quarantined--;
        free(e->key_text);
        free(e->message);
    }
}

void waiting_clear(struct pg_sink *s)
{
    struct waiting *w = &s->waiting;

    for (size_t i = 0; i < w->held.count; i++) {
        free(w->held.entries[i].key_text);
        free(w->held.entries[i].message);
    }
    w->parked.count = 0;
    w->held.count = 0;
    buffer_clear(&w->bytes);
    for (uint32_t i = 0; w->purge && i < s->tables->count; i++) {
        s->lane_tables[i].purge_parked = false;
        s->lane_tables[i].purge_held = false;
    }
    w->purge = false;
}

void waiting_free(struct waiting *self)
{
    for (size_t i = 0; i < self->held.count; i++) {
        free(self->held.entries[i].key_text);
        free(self->held.entries[i].message);
    }
    free(self->parked.entries);
    free(self->held.entries);
    buffer_free(&self->bytes);
}

/* --- writing --- */

static const char park_sql[] =
    "INSERT INTO crossfade.parked (pipeline, table_name, position, change) "
    "SELECT $4::text, u.t, u.p, u.c FROM unnest($1::text[], $2::text[], $3::bytea[]) "
    "WITH ORDINALITY AS u (t, p, c, n) ORDER BY u.n";

static const char hold_sql[] = "INSERT INTO crossfade.quarantine (pipeline, table_name, position, change, "
                               "op, key, key_text, sqlstate, message) "
                               "SELECT $9::text, u.t, u.p, u.c, u.o, u.k, u.kt, u.s, u.m "
                               "FROM unnest($1::text[], $2::text[], $3::bytea[], $4::text[], $5::bytea[], "
                               "$6::text[], $7::text[], $8::text[]) "
                               "WITH ORDINALITY AS u (t, p, c, o, k, kt, s, m, n) ORDER BY u.n";

static struct value text_value(const char *text)
{
    return (struct value){text, (uint32_t)strlen(text), VALUE_BINARY};
}

/* One row of the arrays, in the order of the parameters. */
static void row_values(const struct waiting *w, const struct waiting_entry *e, bool held, struct value out[8])
{
    out[0] = text_value(e->table->table->from);
    out[1] = text_value(e->position);
    out[2] = (struct value){w->bytes.data + e->change, (uint32_t)e->change_length, VALUE_BINARY};
    if (!held)
        return;
    out[3] = (struct value){&e->op, 1, VALUE_BINARY};
    out[4] = (struct value){w->bytes.data + e->key, (uint32_t)e->key_length, VALUE_BINARY};
    out[5] = text_value(e->key_text);
    out[6] = text_value(e->sqlstate);
    out[7] = text_value(e->message);
}

/* Entries [first, first + count) as one statement. */
static bool send_piece(struct pg_sink *s, const struct waiting_list *list, bool held, size_t first,
                       size_t count, struct error *err)
{
    static struct statement_param params[8] = {
        {0, false, OID_TEXT},  {1, false, OID_TEXT}, {2, false, OID_BYTEA}, {3, false, OID_TEXT},
        {4, false, OID_BYTEA}, {5, false, OID_TEXT}, {6, false, OID_TEXT},  {7, false, OID_TEXT}};
    struct statement st = {.params = params, .param_count = held ? 8 : 3, .set_based = true};
    struct net_row *rows = mem_grow(NULL, count, sizeof(*rows));
    struct value *values = mem_grow(NULL, 8 * count, sizeof(*values));

    for (size_t i = 0; i < count; i++) {
        row_values(&s->waiting, &list->entries[first + i], held, &values[8 * i]);
        rows[i] = (struct net_row){.row = &values[8 * i]};
    }
    params_set(&s->params, &st, rows, count);
    params_add_text(&s->params, s->pipeline);
    free(rows);
    free(values);
    struct pipe_args args = params_args(&s->params);
    return pipe_pace(&s->pipe, err) &&
           pipe_query(&s->pipe, held ? hold_sql : park_sql, &args, TAG_CONTROL, err);
}

static bool send_list(struct pg_sink *s, const struct waiting_list *list, bool held, struct error *err)
{
    for (size_t first = 0; first < list->count;) {
        size_t count = 0, bytes = 0;
        while (first + count < list->count && count < PIECE_ROWS && (count == 0 || bytes < PIECE_BYTES)) {
            bytes += list->entries[first + count].change_length;
            count++;
        }
        if (!send_piece(s, list, held, first, count, err))
            return false;
        first += count;
    }
    return true;
}

static bool send_purge(struct pg_sink *s, const struct lane_table *t, struct error *err)
{
    const char *values[] = {s->pipeline, t->table->from, s->applied_text};

    if (t->purge_parked &&
        (!pipe_sql(&s->pipe, "DELETE FROM crossfade.parked WHERE pipeline = $1 AND table_name = $2", 2,
                   values, TAG_CONTROL, err) ||
         !pipe_sql(
             &s->pipe,
             "INSERT INTO crossfade.parked (pipeline, table_name, position, change) VALUES ($1, $2, $3, '')",
             3, values, TAG_CONTROL, err)))
        return false;
    return !t->purge_held ||
           pipe_sql(&s->pipe, "DELETE FROM crossfade.quarantine WHERE pipeline = $1 AND table_name = $2", 2,
                    values, TAG_CONTROL, err);
}

bool waiting_send(struct pg_sink *s, struct error *err)
{
    for (uint32_t i = 0; s->waiting.purge && i < s->tables->count; i++) {
        const struct lane_table *t = &s->lane_tables[i];
        if ((t->purge_parked || t->purge_held) && !send_purge(s, t, err))
            return false;
    }
    return send_list(s, &s->waiting.parked, false, err) && send_list(s, &s->waiting.held, true, err);
}
