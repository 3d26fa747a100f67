/* SPDX-License-Identifier: PostgreSQL
 *
 * A source that asks again and again, as a struct source: rounds of a reader (a driver's: what has changed
 * since a cursor) and, between them, the pieces of a sweep (which rows of the sink are gone at the source).
 *
 * A round leads from one cursor to the next and is one transaction here; the cursor moves when it is whole. A
 * piece of a sweep is a transaction that ends where we stand. Tables of such a source have net_changes set:
 * every change may come twice, none may be missing.
 */
#ifndef MODEL_POLLED_H
#define MODEL_POLLED_H

#include "base/arena.h"
#include "model/source.h"

struct polled_round {
    bool found;         /* there is a round to read; else all that was there at `to` is handed out */
    struct position to; /* where it leads: never before where we stand */
    bool more;          /* it was cut: go on at once */
    int64_t time_us;    /* by the source's clock, microseconds since 1970 UTC; 0 unknown */
    char warning[400];  /* something to be told once; empty: nothing */
};

enum polled_answer {
    POLLED_FAILED,
    POLLED_ROW,  /* `change` */
    POLLED_LOST, /* `table` can't go on, `text` says why; nothing more of it comes */
    POLLED_ASK,  /* rows of `table` are missing at the source, it seems: a sweep should look now */
    POLLED_END   /* all of the round has been read, and it is whole */
};

struct polled_item {
    struct change change; /* values in the arena, or valid until the next call */
    struct table *table;
    char text[800];
};

struct polled_reader;

struct polled_reader_ops {
    /* Where does the source stand? Nothing is left open where nothing was found. */
    bool (*look)(struct polled_reader *self, struct position from, struct polled_round *out,
                 struct error *err);
    enum polled_answer (*next)(struct polled_reader *self, struct arena *arena, struct polled_item *out,
                               struct error *err);
    /* A sweep of that table is over: what only it can find should be in the next round. May be NULL. */
    void (*swept)(struct polled_reader *self, const struct table *table);
    void (*cancel)(struct polled_reader *self); /* from any thread */
    void (*free)(struct polled_reader *self);
};

struct polled_reader {
    const struct polled_reader_ops *ops;
};

/* What a piece of a sweep found. */
struct polled_piece {
    struct change *gone; /* CHANGE_DELETE by key; checked at the source just now */
    size_t count;
    struct table *swept; /* that table is done, NULL: not yet */
    struct table *lost;  /* has to stop, for `text` */
    char text[800];
};

struct polled_sweep;

struct polled_sweep_ops {
    /* When is the next piece due? Monotonic ms; INT64_MAX: never. *urgent: before any round, as tables that
     * were just copied are not right before they were swept. */
    int64_t (*due)(const struct polled_sweep *self, bool *urgent);
    /* One piece: some hundred keys, so that nobody waits long. */
    bool (*piece)(struct polled_sweep *self, struct arena *arena, struct polled_piece *out,
                  struct error *err);
    void (*ask)(struct polled_sweep *self, const struct table *table); /* look at it now */
    void (*cancel)(struct polled_sweep *self);                         /* from any thread */
    void (*free)(struct polled_sweep *self);
};

struct polled_sweep {
    const struct polled_sweep_ops *ops;
};

/* What the config says of a table that is polled by time. */
struct polled_time {
    const char *updated_at;
    const char *soft_delete; /* NULL: none */
    int64_t overlap_us;
};

/* Tells `seen` what the sink has of a table. */
struct seen;
typedef bool polled_load(void *context, const struct table *table, struct seen *seen, struct error *err);

struct polled_options {
    struct polled_reader *reader; /* taken over, also on failure */
    struct polled_sweep *sweep;   /* the same; may be NULL */
    struct position start;
    int64_t poll_interval_ms; /* longest pause between two looks that find nothing */
    bool steady;              /* always that pause: a look is as dear as a round */
};

MUST_CHECK bool polled_source_open(const struct polled_options *options, struct source **out,
                                   struct error *err);

#endif
