/* SPDX-License-Identifier: PostgreSQL
 *
 * Invariants. A change is parked if and only if an earlier change of its table is parked or the table's state
 * says so: the order within a table is kept. Once a key is in a table's quarantined set every later change of
 * it, under the old or the new key, follows it there, and a key change takes the other key along (DESIGN.md
 * rule 9). The set may hold a key too many after a replay was begun anew; that delays a change, it never
 * reorders one.
 */
#include "pgsql/sift.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/parked.h"
#include "pgsql/waiting.h"

/* --- quarantined keys --- */

bool sift_is_held(struct pg_sink *s, const struct change *c)
{
    return held_has(&lane_table(s, c->table)->held, c);
}

void sift_add_keys(struct pg_sink *s, const struct change *c)
{
    struct lane_table *t = lane_table(s, c->table);

    held_add(&t->held, c);
    t->care = true;
}

/* --- fates --- */

static enum sift_fate park(struct pg_sink *s, struct lane_table *t, const struct batch *batch, size_t index)
{
    if (!t->overflowed) {
        waiting_park(s, batch, index);
        t->parking = true;
        if (t->parked_bytes > s->park_limit)
            waiting_overflow(s, t);
    }
    return SIFT_PARK;
}

static enum sift_fate hold(struct pg_sink *s, const struct batch *batch, size_t index,
                           const struct error *why)
{
    sift_add_keys(s, &batch->changes[index]);
    waiting_hold(s, batch, index, why);
    return SIFT_HOLD;
}

/* Of a keyless table: does its copy hold what this transaction did? */
static bool in_copy(const struct lane_table *t, const struct transaction *transaction)
{
    if (t->copied_to.kind != POSITION_NONE)
        return position_compare(transaction->commit, t->copied_to) <= 0;
    return snapshot_sees(&t->snapshot, transaction->xid);
}

/* The rows that wait in quarantine are gone at the source: nothing is left to be retried. */
static void truncated(struct pg_sink *s, struct lane_table *t)
{
    if (t->quarantined > 0)
        waiting_drop_held(s, t);
}

enum sift_fate sift_change(struct pg_sink *s, const struct batch *batch, size_t index)
{
    const struct change *c = &batch->changes[index];
    struct lane_table *t = lane_table(s, c->table);

    if (!t->care && !table_is_parked(t->table))
        return SIFT_APPLY;
    if (t->has_snapshot && t->table->state == TABLE_CATCHUP &&
        in_copy(t, &batch->transactions[c->transaction]))
        return SIFT_LEAVE;
    if (!t->draining && (t->parking || table_is_parked(t->table)))
        return park(s, t, batch, index);
    if (sift_is_held(s, c)) {
        if (t->quarantined < s->quarantine_limit)
            return hold(s, batch, index, NULL);
        struct error why;
        error_set(&why, ERROR_TABLE, "%s: more than quarantine_limit (%lld) changes wait in quarantine",
                  t->table->from, (long long)s->quarantine_limit);
        return sift_stop(s, batch, index, &why);
    }
    if (c->op == CHANGE_TRUNCATE)
        truncated(s, t);
    return SIFT_APPLY;
}

enum sift_fate sift_stop(struct pg_sink *s, const struct batch *batch, size_t index, const struct error *why)
{
    struct lane_table *t = lane_table(s, batch->changes[index].table);

    t->draining = false;
    lane_stop_table(s, t, why->text);
    return park(s, t, batch, index);
}

enum sift_fate sift_refuse(struct pg_sink *s, const struct batch *batch, size_t index,
                           const struct error *why)
{
    const struct change *c = &batch->changes[index];
    const struct table *t = c->table;
    char key[200];
    struct error stop;

    if (t->key_count > 0 && t->key_hashable && lane_table(s, t)->quarantined < s->quarantine_limit)
        return hold(s, batch, index, why);
    change_key_text(t, change_key_row(c), key, sizeof(key));
    error_set_code(&stop, ERROR_TABLE, why->code, "%s %s was refused and %s - %s", t->from, key,
                   t->key_count > 0 && t->key_hashable ? "quarantine_limit is reached"
                                                       : "has no key by which it could be set aside",
                   why->text);
    return sift_stop(s, batch, index, &stop);
}
