/* SPDX-License-Identifier: PostgreSQL
 *
 * Changes on their way to crossfade.parked and crossfade.quarantine in the sink: gathered while a batch is
 * applied, written in its transaction. Within a table they are in source order, and the tables' identity
 * columns keep that order. They go as constants: twice their size on the way, and only where something is
 * wrong.
 */
#include "mssql/ms_sink_part.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/parked.h"
#include "mssql/sql.h"

static struct ms_waiting *add(struct ms_sink *s, const struct batch *batch, size_t index)
{
    const struct change *c = &batch->changes[index];
    const struct transaction *tx = &batch->transactions[c->transaction];
    if (s->waiting_count == s->waiting_capacity) {
        s->waiting_capacity = s->waiting_capacity ? 2 * s->waiting_capacity : 64;
        s->waiting = mem_grow(s->waiting, s->waiting_capacity, sizeof(*s->waiting));
    }
    struct ms_waiting *w = &s->waiting[s->waiting_count++];
    *w = (struct ms_waiting){
        .table = ms_sink_lane(s, c->table), .op = "IUDT"[c->op], .change = s->waiting_bytes.length};
    position_format(tx->commit, w->position);
    parked_encode(c, tx, &s->waiting_bytes);
    w->length = s->waiting_bytes.length - w->change;
    return w;
}

void ms_sink_park(struct ms_sink *s, const struct batch *batch, size_t index)
{
    struct ms_waiting *w = add(s, batch, index);
    w->table->parked_bytes += (int64_t)w->length;
}

void ms_sink_hold(struct ms_sink *s, const struct batch *batch, size_t index, const struct error *why)
{
    const struct change *c = &batch->changes[index];
    struct ms_waiting *w = add(s, batch, index);
    char text[400];
    w->held = true;
    w->key = s->waiting_bytes.length;
    change_key_bytes(c->table, change_key_row(c), &s->waiting_bytes);
    w->key_length = s->waiting_bytes.length - w->key;
    w->key_text = mem_strdup(change_key_text(c->table, change_key_row(c), text, sizeof(text)));
    snprintf(w->code, sizeof(w->code), "%s", why ? (why->code[0] ? why->code : "22000") : "");
    w->message = mem_strdup(why ? why->text : "waits for an earlier change of the same key");
    w->table->quarantined++;
}

static void free_entry(struct ms_waiting *w)
{
    free(w->key_text);
    free(w->message);
}

static void drop(struct ms_sink *s, const struct ms_sink_table *t, bool held)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->waiting_count; i++) {
        if (s->waiting[i].table == t && s->waiting[i].held == held)
            free_entry(&s->waiting[i]);
        else
            s->waiting[kept++] = s->waiting[i];
    }
    s->waiting_count = kept;
}

void ms_sink_overflow(struct ms_sink *s, struct ms_sink_table *t)
{
    char reason[400];
    drop(s, t, false);
    t->overflowed = true;
    t->purge_parked = true;
    t->parked_bytes = 0;
    snprintf(reason, sizeof(reason),
             "park_limit (%lld bytes) reached: its changes are not kept any more - run crossfade recopy "
             "--table %s",
             (long long)s->park_limit, t->table->from);
    ms_sink_stop_table(s, t, reason);
}

void ms_sink_drop_held(struct ms_sink *s, struct ms_sink_table *t)
{
    drop(s, t, true);
    t->purge_held = true;
    ms_sink_forget_keys(t);
}

void ms_sink_wait_rewind(struct ms_sink *s, size_t count)
{
    while (s->waiting_count > count) {
        struct ms_waiting *w = &s->waiting[--s->waiting_count];
        if (w->held)
            w->table->quarantined--;
        else
            w->table->parked_bytes -= (int64_t)w->length;
        free_entry(w);
    }
}

void ms_sink_wait_clear(struct ms_sink *s)
{
    for (size_t i = 0; i < s->waiting_count; i++)
        free_entry(&s->waiting[i]);
    s->waiting_count = 0;
    buffer_clear(&s->waiting_bytes);
    for (uint32_t i = 0; i < s->tables->count; i++) {
        s->lane_tables[i].purge_parked = false;
        s->lane_tables[i].purge_held = false;
    }
}

/* --- writing --- */

static void put_names(struct ms_sink *s, const struct ms_sink_table *t, struct buffer *sql)
{
    ms_sql_literal(sql, s->pipeline);
    buffer_puts(sql, ", ");
    ms_sql_literal(sql, t->table->from);
}

static void put_delete(struct ms_sink *s, const struct ms_sink_table *t, const char *table)
{
    buffer_printf(&s->sql, "DELETE FROM [crossfade].[%s] WHERE [pipeline] = ", table);
    ms_sql_literal(&s->sql, s->pipeline);
    buffer_puts(&s->sql, " AND [table_name] = ");
    ms_sql_literal(&s->sql, t->table->from);
    buffer_puts(&s->sql, ";\n");
}

static void put_purge(struct ms_sink *s, const struct ms_sink_table *t)
{
    if (t->purge_parked) {
        put_delete(s, t, "parked");
        buffer_puts(&s->sql,
                    "INSERT INTO [crossfade].[parked] ([pipeline], [table_name], [position], [change]) "
                    "VALUES (");
        put_names(s, t, &s->sql);
        buffer_puts(&s->sql, ", ");
        ms_sql_literal(&s->sql, s->applied_text);
        buffer_puts(&s->sql, ", 0x);\n");
    }
    if (t->purge_held)
        put_delete(s, t, "quarantine");
}

static void put_entry(struct ms_sink *s, const struct ms_waiting *w)
{
    struct buffer *sql = &s->sql;
    const char op[2] = {w->op, 0};
    const char *bytes = s->waiting_bytes.data;
    buffer_puts(sql, w->held ? "INSERT INTO [crossfade].[quarantine] ([pipeline], [table_name], [position], "
                               "[change], [op], [key], [key_text], [code], [message]) VALUES ("
                             : "INSERT INTO [crossfade].[parked] ([pipeline], [table_name], [position], "
                               "[change]) VALUES (");
    put_names(s, w->table, sql);
    buffer_puts(sql, ", ");
    ms_sql_literal(sql, w->position);
    buffer_puts(sql, ", ");
    ms_sql_hex(sql, bytes + w->change, w->length);
    if (w->held) {
        buffer_puts(sql, ", ");
        ms_sql_literal(sql, op);
        buffer_puts(sql, ", ");
        ms_sql_hex(sql, bytes + w->key, w->key_length);
        const char *const texts[] = {w->key_text, w->code, w->message};
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
            buffer_puts(sql, ", ");
            ms_sql_literal(sql, texts[i]);
        }
    }
    buffer_puts(sql, ");\n");
}

void ms_sink_wait_put(struct ms_sink *s)
{
    for (uint32_t i = 0; i < s->tables->count; i++)
        put_purge(s, &s->lane_tables[i]);
    for (size_t i = 0; i < s->waiting_count; i++)
        put_entry(s, &s->waiting[i]);
}
