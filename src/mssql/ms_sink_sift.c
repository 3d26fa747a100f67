/* SPDX-License-Identifier: PostgreSQL
 *
 * Decides, change by change in source order, what is applied, what is parked behind earlier changes of a
 * stopped table, and what joins a quarantined key.
 *
 * Invariants. A change is parked if and only if an earlier change of its table is parked or the table's state
 * says so: the order within a table is kept. Once a key is in a table's quarantined set every later change of
 * it, under the old or the new key, follows it there, and a key change takes the other key along (DESIGN.md
 * rule 9). The set may hold a key too many after a replay was begun anew; that delays a change, it never
 * reorders one.
 */
#include "mssql/ms_sink_part.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* --- quarantined keys --- */

bool ms_sink_is_held(struct ms_sink *s, const struct change *c)
{
    return held_has(&ms_sink_lane(s, c->table)->held, c);
}

void ms_sink_add_keys(struct ms_sink *s, const struct change *c)
{
    struct ms_sink_table *t = ms_sink_lane(s, c->table);
    held_add(&t->held, c);
    t->care = true;
}

void ms_sink_forget_keys(struct ms_sink_table *t)
{
    held_free(&t->held);
    t->quarantined = 0;
}

void ms_sink_mark(struct ms_sink_table *t)
{
    t->care = t->parking || t->overflowed || !held_is_empty(&t->held) || !t->usable;
}

void ms_sink_stop_table(struct ms_sink *s, struct ms_sink_table *t, const char *reason)
{
    t->parking = true;
    t->care = true;
    if (!table_is_parked(t->table))
        t->table->state = TABLE_STOPPED;
    if (s->events.table_stopped)
        s->events.table_stopped(s->events.context, t->table, t->table->state, reason);
}

/* --- fates --- */

static enum ms_fate park(struct ms_sink *s, struct ms_sink_table *t, const struct batch *batch, size_t index)
{
    if (!t->overflowed) {
        ms_sink_park(s, batch, index);
        t->parking = true;
        t->care = true;
        if (t->parked_bytes > s->park_limit)
            ms_sink_overflow(s, t);
    }
    return MS_FATE_PARK;
}

static enum ms_fate hold(struct ms_sink *s, const struct batch *batch, size_t index, const struct error *why)
{
    ms_sink_add_keys(s, &batch->changes[index]);
    ms_sink_hold(s, batch, index, why);
    return MS_FATE_HOLD;
}

enum ms_fate ms_sink_sift(struct ms_sink *s, const struct batch *batch, size_t index)
{
    const struct change *c = &batch->changes[index];
    struct ms_sink_table *t = ms_sink_lane(s, c->table);
    struct error why;

    if (!t->care && t->table->state == TABLE_STREAMING)
        return MS_FATE_APPLY;
    if (!t->draining && (t->parking || table_is_parked(t->table)))
        return park(s, t, batch, index);
    if (t->table->state == TABLE_CATCHUP && !t->draining) {
        error_set(&why, ERROR_TABLE,
                  "%s: it is being copied, and a SQL Server takes only changes of tables that stream",
                  t->table->from);
        return ms_sink_stop(s, batch, index, &why);
    }
    if (ms_sink_is_held(s, c)) {
        if (t->quarantined < s->quarantine_limit)
            return hold(s, batch, index, NULL);
        error_set(&why, ERROR_TABLE, "%s: more than quarantine_limit (%lld) changes wait in quarantine",
                  t->table->from, (long long)s->quarantine_limit);
        return ms_sink_stop(s, batch, index, &why);
    }
    /* The rows that wait in quarantine are gone at the source: nothing is left to be retried. */
    if (c->op == CHANGE_TRUNCATE && t->quarantined > 0)
        ms_sink_drop_held(s, t);
    return MS_FATE_APPLY;
}

enum ms_fate ms_sink_stop(struct ms_sink *s, const struct batch *batch, size_t index, const struct error *why)
{
    struct ms_sink_table *t = ms_sink_lane(s, batch->changes[index].table);
    t->draining = false;
    ms_sink_stop_table(s, t, why->text);
    return park(s, t, batch, index);
}

enum ms_fate ms_sink_refuse(struct ms_sink *s, const struct batch *batch, size_t index,
                            const struct error *why)
{
    const struct change *c = &batch->changes[index];
    const struct table *t = c->table;
    char key[200];
    struct error stop;

    if (t->key_count > 0 && t->key_hashable && ms_sink_lane(s, t)->quarantined < s->quarantine_limit)
        return hold(s, batch, index, why);
    change_key_text(t, change_key_row(c), key, sizeof(key));
    error_set_code(&stop, ERROR_TABLE, why->code, "%s %s was refused and %s - %s", t->from, key,
                   t->key_count > 0 && t->key_hashable ? "quarantine_limit is reached"
                                                       : "has no key by which it could be set aside",
                   why->text);
    return ms_sink_stop(s, batch, index, &stop);
}
