/* SPDX-License-Identifier: PostgreSQL
 *
 * What the parts of the PostgreSQL sink share: the session, the lane's standing, and per table what must not
 * simply be applied. Only pg_sink.c, apply.c, exact.c, replay.c, sift.c, waiting.c and quarantine.c include
 * it.
 */
#ifndef PGSQL_LANE_H
#define PGSQL_LANE_H

#include "base/arena.h"
#include "model/held.h"
#include "pgsql/params.h"
#include "pgsql/pg_sink.h"
#include "pgsql/pipe.h"
#include "pgsql/prepared.h"
#include "pgsql/snapshot.h"

struct lane_table {
    struct table *table;
    bool care;         /* some change of it may have to be parked, quarantined or left out */
    bool parking;      /* changes of it wait in crossfade.parked: later ones go behind them */
    bool overflowed;   /* park_limit was passed: changes are dropped until the table is copied anew */
    bool purge_parked; /* with this transaction: the parked rows go, a tombstone comes */
    bool purge_held;   /* with this transaction: the quarantined rows go */
    bool draining;     /* the waiting changes are being applied: don't park */
    bool has_snapshot; /* keyless in catchup: leave out what the copy's snapshot saw */
    struct snapshot snapshot;
    struct position copied_to; /* in its place where a source has positions for that: commits up to there */
    int64_t parked_bytes;
    struct held held;    /* quarantined keys */
    int64_t quarantined; /* rows */
};

/* A change that goes to crossfade.parked or crossfade.quarantine with this transaction. */
struct waiting_entry {
    struct lane_table *table;
    size_t index;                 /* of the change, for messages */
    size_t change, change_length; /* into waiting.bytes */
    size_t key, key_length;       /* quarantine */
    char position[POSITION_TEXT_SIZE];
    char op;
    char sqlstate[8]; /* quarantine: empty: waits for an earlier one */
    char *key_text;   /* quarantine; malloc'ed */
    char *message;    /* quarantine; malloc'ed */
};

struct waiting_list {
    struct waiting_entry *entries;
    size_t count, capacity;
};

struct waiting {
    struct waiting_list parked;
    struct waiting_list held; /* quarantine */
    bool purge;               /* some table has purge_parked or purge_held */
    struct buffer bytes;
};

struct pg_sink {
    struct sink base;
    struct pg_conn conn;
    struct pipe pipe;
    struct prepared_set prepared;
    struct params params;
    struct arena *arena; /* of one apply */
    struct waiting waiting;
    struct buffer probe; /* key bytes */

    char *pipeline;
    char *stream;
    int lane;
    int64_t epoch;
    const struct table_set *tables;
    struct lane_table *lane_tables; /* by table id */
    struct sink_events events;
    int64_t park_limit;
    int64_t quarantine_limit;

    struct position applied; /* of the progress row, committed */
    char applied_text[POSITION_TEXT_SIZE];
    bool in_transaction; /* a source transaction is half applied, under the savepoint cf_piece */
    bool has_origin;
};

/* Tags of what belongs to no change. */
enum { TAG_CONTROL = UINT32_MAX, TAG_COMMIT = UINT32_MAX - 1, TAG_REREAD = 0x40000000 };

enum { LANE_MASK_WORDS = 1664 / 64 };

/* What a failed statement means, by SQLSTATE. */
enum lane_blame {
    LANE_BLAME_ROW,   /* classes 22 and 23: this row */
    LANE_BLAME_TABLE, /* this statement can't work: this table */
    LANE_BLAME_NONE   /* link, resources, deadlock, fence: the whole lane */
};
enum lane_blame lane_blame(const struct error *err);

static inline struct lane_table *lane_table(struct pg_sink *s, const struct table *table)
{
    return &s->lane_tables[table->id];
}

/* Sends crossfade.advance(from, to). */
MUST_CHECK bool lane_send_advance(struct pg_sink *s, const char *to, int64_t time_us, struct error *err);

/* From now on the changes of this table are parked; tells the owner. */
void lane_stop_table(struct pg_sink *s, struct lane_table *t, const char *reason);

/* Recomputes t->care. */
void lane_mark(struct lane_table *t);

#endif
