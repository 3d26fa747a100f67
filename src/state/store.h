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

/* The fingerprint of rule 5, as a state row of "stream:<stream>": a JSON object that the source's engine
 * makes and compares. Its "engine" names that ("sqlserver"; absent: "postgresql"), "start" (a PostgreSQL's
 * "slot_start") where the stream begins. */
MUST_CHECK bool store_fingerprint_put(struct pg_conn *target, const char *pipeline, int64_t epoch,
                                      const char *stream, const char *json, struct error *err);
/* *json malloc'ed, NULL if none is stored. ERROR_FATAL if it is of another engine than this one (NULL: any).
 */
MUST_CHECK bool store_fingerprint_get(struct pg_conn *target, const char *pipeline, const char *stream,
                                      const char *engine, char **json, struct error *err);
/* Where the stream begins, by its fingerprint; POSITION_NONE if none is stored. */
MUST_CHECK bool store_fingerprint_start(struct pg_conn *target, const char *pipeline, const char *stream,
                                        struct position *out, struct error *err);

#endif
