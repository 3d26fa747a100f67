/* SPDX-License-Identifier: PostgreSQL
 *
 * The legacy side of a pipeline, whichever engine it is: all that the programs want of it. One file a driver
 * (legacy_<engine>*.c) over src/<engine>, one list that names them (legacy.c), found by the config's
 * legacy.kind. An engine may take from the target what is its own there (its fingerprint, its intent), by
 * the connection it is given; everything else about the target is the caller's.
 *
 * Two kinds of connection: `struct legacy` answers questions (the runner's, a command's, the steward's: one
 * each), `struct legacy_copy` reads rows for one worker of the backfill. Each belongs to one thread; only
 * `cancel` may be called from others. After any failure but a refusal of its argument a connection is only
 * to be closed.
 *
 * Whatever an engine has not got is answered by ERROR_REFUSED "… not available in this version".
 */
#ifndef LEGACY_LEGACY_H
#define LEGACY_LEGACY_H

#include "base/arena.h"
#include "base/log.h"
#include "model/config.h"
#include "model/source.h"
#include "pgsql/copy.h"
#include "pgsql/pair.h"

struct legacy_options {
    const struct config *config;
    const char *job; /* names the session to the server: crossfade:<pipeline>:<job> */
    int connect_timeout_ms;
    int statement_timeout_ms; /* 0: none */
    int lock_timeout_ms;      /* 0: the engine's */
};

/* Where the pipeline's own notes are, and under which epoch they may be changed. */
struct legacy_notes {
    const struct config *config;
    struct log *log;
    struct pg_conn *target;
    int64_t epoch;
    const _Atomic bool *cancel; /* long waits end with ERROR_CANCELED */
};

/* What the source keeps for us. `before` keeps what the next call needs; zeroed the first time. */
struct legacy_retained {
    struct position at;     /* in: what we have confirmed; POSITION_NONE: nothing yet */
    struct position end;    /* where the source ends now */
    int64_t end_bytes;      /* that position as a byte count, for lag figures; -1: the source has none */
    int64_t bytes;          /* how much history is kept for us; -1 unknown */
    int64_t limit_seconds;  /* until it would be thrown away, at the present rate; -1: no limit */
    int64_t capture_lag_ms; /* how far the source's own capture job is behind its log; -1: it has none */
    struct {
        int64_t at_ms;
        int64_t end_bytes;
        double rate;
    } before;
};

/* Rows of a table as text that the target's types read. */
struct legacy_rows {
    struct arena *arena; /* holds what follows */
    size_t count;
    size_t *key;   /* [count]: which of the keys asked for, from 0 */
    char **values; /* [count * column_count] in the order of table->columns; NULL is NULL */
    size_t bytes;  /* of all values */
};

struct legacy;

/* Has this snapshot of a PostgreSQL source seen all that the stream has dealt out? */
struct snapshot;
typedef bool legacy_all_seen(void *context, const struct snapshot *snapshot);

/* What any connection can be asked. */
struct legacy_ops {
    void (*close)(struct legacy *self);
    /* From any thread, best effort: a statement under way ends with ERROR_CANCELED or ERROR_RETRY. */
    void (*cancel)(struct legacy *self);
    /* Ends what a stopped predecessor of this pipeline still holds there (hazard 40), and waits for it. */
    bool (*evict)(struct legacy *self, struct error *err);
    /* Where the source ends now: whatever a statement of ours has seen so far is before that, and a stream
     * reaches it though nothing more is written. May wait (a SQL Server's capture job has to get there). */
    bool (*end)(struct legacy *self, const struct legacy_notes *notes, struct position *out,
                struct error *err);
    /* How much history is kept for us, and how long still. Quick; figures only. */
    bool (*retained)(struct legacy *self, struct legacy_retained *io, struct error *err);
};

/* What the session asks, in this order: history, pair, capture, writers, stream; fetch when settled. */
struct legacy_session_ops {
    /* Is it still the source, and the history, that we know (rule 5)? ERROR_FATAL when it is not, naming what
     * was lost and the repair. True where nothing is stored yet. *first: nothing of this pipeline was there
     * before. */
    bool (*history)(struct legacy *self, const struct legacy_notes *notes, bool *first, struct error *err);
    /* Reads both catalogs and pairs them. What does not fit is a finding, not a failure. */
    bool (*pair)(struct legacy *self, const struct legacy_notes *notes, struct pairing *out,
                 struct error *err);
    /* Makes or completes what changes are captured by, where we may (publication and slot; capture instances
     * and marker), and at the first start stores the fingerprint with the position that the stream begins at
     * (store_fingerprint_put), before any row is copied: a transaction that commits after it comes in the
     * stream, any before is seen by every later read. A table that was captured before and is not any more
     * gets `needs_recopy`. May be repeated after a crash anywhere. */
    bool (*capture)(struct legacy *self, const struct legacy_notes *notes, const struct table_set *tables,
                    bool first, struct error *err);
    /* Before the first copy of a table: waits out every transaction that may have written to it and would be
     * in neither copy nor stream (hazard 6). */
    bool (*writers)(struct legacy *self, const struct legacy_notes *notes, const struct table_set *tables,
                    struct error *err);
    /* Opens the stream of all tables, from `start` on, over a connection of its own. `tables` is constant and
     * outlives it. ERROR_FATAL if the history from there is not whole any more (rule 4). */
    bool (*stream)(struct legacy *self, const struct legacy_notes *notes, const struct table_set *tables,
                   bool binary, struct position start, struct source **out, struct error *err);
    /* Would a read of ours now see every transaction that this stream has dealt out and earlier ones have
     * applied? A row that is read again must not be older than what the stream has applied already. Asked
     * while the lanes meet; where it does not hold the caller asks again a little later. */
    bool (*settled)(struct legacy *self, legacy_all_seen *all_seen, void *context, bool *settled,
                    struct error *err);
    /* The rows under these keys as committed now: keys[i] are table->key_count texts, in the key's order, as
     * the stream's values read as text. A key without a row is left out. The target has no transaction open;
     * the engine may use one. Closed with legacy_rows_free. */
    bool (*fetch)(struct legacy *self, const struct legacy_notes *notes, const struct table *table,
                  char *const *const *keys, size_t count, struct legacy_rows *out, struct error *err);
};

/* What the operator's commands ask. */
struct legacy_control_ops {
    /* Makes what has to be there before the first start, and is not yet. */
    bool (*install)(struct legacy *self, struct error *err);
    /* Drops what this pipeline has made there; what makes the source keep history goes first. A line a step
     * is appended to `said`; *undone counts those that somebody with more rights has to do, with the SQL
     * said. */
    bool (*drop)(struct legacy *self, const struct legacy_notes *notes, struct buffer *said, int *undone,
                 struct error *err);
};

struct legacy {
    const struct legacy_ops *ops;
    const struct legacy_session_ops *session;
    const struct legacy_control_ops *control;
};

/* --- one worker's reading --- */

struct legacy_copy;

/* How a key's order lies in the table. */
struct legacy_key {
    bool indexed; /* an index gives ORDER BY of the key: a chunk can begin where the one before ended */
    double order; /* 0 to 1: how far the rows lie in the key's order; 1 if unknown */
};

/* A chunk on its way into the target. */
struct legacy_pour {
    struct copy_range range; /* low < key <= high, in the source's order; the texts bounds came as */
    struct pg_conn *sink;    /* in a transaction of the caller's */
    const char *into;        /* the relation to fill, quoted; it has the columns of table->columns */
    copy_gate *gate;         /* keeps the rate; false: stop */
    void *context;
    struct copy_progress *progress;
    uint64_t rows;  /* out: the same number by both sides' word (hazard 30) */
    char *snapshot; /* out, keyless tables: what says which transactions the copy holds; malloc'ed */
};

struct legacy_copy_ops {
    void (*close)(struct legacy_copy *self);
    /* As that of legacy_ops. */
    void (*cancel)(struct legacy_copy *self);
    /* Can it be cut by its key, and how well? Asked once a table that has one. */
    bool (*look)(struct legacy_copy *self, const struct table *table, struct legacy_key *out,
                 struct error *err);
    /* The key of the `rows`th row after `low` (NULL: from the first) in the server's own order: the upper
     * border of the next chunk. *high, malloc'ed as sql_array_parse does, is table->key_count texts that are
     * only ever carried back here and to `pour`, untouched (hazard 18); NULL if the table ends before. */
    bool (*border)(struct legacy_copy *self, const struct table *table, char *const *low, int64_t rows,
                   char ***high, struct error *err);
    /* Reads the range and pours it into the sink's COPY. Every committed row is seen once as of some moment
     * after `capture`; a keyless table's all under one snapshot. On false both connections are only to be
     * closed. */
    bool (*pour)(struct legacy_copy *self, const struct table *table, struct legacy_pour *io,
                 struct error *err);
};

struct legacy_copy {
    const struct legacy_copy_ops *ops;
};

/* --- */

/* What the engine's library needs done once a process, before any thread and any other call. */
MUST_CHECK bool legacy_start(const struct config *config, struct error *err);

/* The script of what `install` makes, for somebody else to run; nothing where there is none. No server is
 * asked. */
void legacy_install_script(const struct config *config, struct buffer *out);

MUST_CHECK bool legacy_open(const struct legacy_options *options, struct legacy **out, struct error *err);
void legacy_close(struct legacy *self); /* NULL is fine */

MUST_CHECK bool legacy_copy_open(const struct legacy_options *options, struct legacy_copy **out,
                                 struct error *err);
void legacy_copy_close(struct legacy_copy *self); /* NULL is fine */

/* Rows with room for `count` of `column_count` values. */
void legacy_rows_init(struct legacy_rows *self, size_t count, uint16_t column_count);
void legacy_rows_free(struct legacy_rows *self); /* zeroed is fine */

#endif
