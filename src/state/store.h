/* SPDX-License-Identifier: PostgreSQL
 *
 * The rows of crossfade.state, wish, chunk, saved_ddl, progress, read and written over a target connection.
 * Writes are fenced by epoch.
 */
#ifndef STATE_STORE_H
#define STATE_STORE_H

#include "model/position.h"
#include "model/table.h"
#include "pgsql/conn.h"

/* One state row; json is a JSON value as text. */
MUST_CHECK bool store_put(struct pg_conn *target, const char *pipeline, int64_t epoch, const char *object,
                          const char *key, const char *json, struct error *err);
/* *json is malloc'ed, NULL if there is no such row. */
MUST_CHECK bool store_get(struct pg_conn *target, const char *pipeline, const char *object, const char *key,
                          char **json, struct error *err);

/* object "table:<from>", key "state": {"state": "streaming", "reason": "…"} */
MUST_CHECK bool store_table_state_put(struct pg_conn *target, const char *pipeline, int64_t epoch,
                                      const struct table *table, const char *reason, struct error *err);
/* Sets table->state of every table that has a row; others stay as they are. reasons[id] (malloc'ed) where
 * given. */
MUST_CHECK bool store_table_states_get(struct pg_conn *target, const char *pipeline, struct table_set *tables,
                                       char **reasons, struct error *err);

struct store_progress {
    int lane;
    struct position position;
    int64_t epoch;
    int64_t source_commit_time_us; /* 1970 UTC, 0 unknown */
};
/* All lanes of a stream, by lane; *out malloc'ed. */
MUST_CHECK bool store_progress_get(struct pg_conn *target, const char *pipeline, const char *stream,
                                   struct store_progress **out, int *count, struct error *err);

/* The fingerprint of rule 5, as a state row of "stream:<stream>". */
struct fingerprint {
    char system_id[24];
    char database[64];
    unsigned timeline;
    char slot[64];
    char publication[64];
    struct position slot_start; /* consistent point the slot was made at */
};
MUST_CHECK bool fingerprint_read_source(struct pg_conn *source, struct fingerprint *out,
                                        struct error *err); /* ids only */
MUST_CHECK bool fingerprint_put(struct pg_conn *target, const char *pipeline, int64_t epoch,
                                const char *stream, const struct fingerprint *fp, struct error *err);
/* *found false if none is stored. */
MUST_CHECK bool fingerprint_get(struct pg_conn *target, const char *pipeline, const char *stream,
                                struct fingerprint *out, bool *found, struct error *err);
/* ERROR_FATAL, naming what was lost and the repair, if `now` can't be the same history as `stored`. Empty
 * names and POSITION_NONE on either side are not compared. A newer timeline is accepted here: the caller goes
 * on with fingerprint_check_timeline then. */
MUST_CHECK bool fingerprint_compare(const struct fingerprint *stored, const struct fingerprint *now,
                                    struct error *err);
/* Did the source leave timeline `stored` at or after `at`, where we stand? `history` is what TIMELINE_HISTORY
 * of the current timeline tells. ERROR_FATAL if not, or if `stored` is not among its ancestors. */
MUST_CHECK bool fingerprint_timeline_ok(const char *history, unsigned stored, struct position at,
                                        struct error *err);
/* The same, asked over a replication session (pg_conn_options.replication). Nothing to ask if they are equal.
 */
MUST_CHECK bool fingerprint_check_timeline(struct pg_conn *walsender, const struct fingerprint *stored,
                                           const struct fingerprint *now, struct position at,
                                           struct error *err);

#endif
