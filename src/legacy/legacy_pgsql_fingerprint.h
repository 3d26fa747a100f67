/* SPDX-License-Identifier: PostgreSQL
 *
 * By what a PostgreSQL source and our place in it are known again (DESIGN.md rule 5): stored once the slot
 * exists, compared at each start, before anything is read. Comparing is pure.
 */
#ifndef LEGACY_LEGACY_PGSQL_FINGERPRINT_H
#define LEGACY_LEGACY_PGSQL_FINGERPRINT_H

#include "model/position.h"
#include "pgsql/conn.h"

struct pgsql_fingerprint {
    char system_id[24];
    char database[64];
    unsigned timeline;
    char slot[64];
    char publication[64];
    struct position slot_start; /* consistent point the slot was made at */
};
MUST_CHECK bool pgsql_fingerprint_read(struct pg_conn *source, struct pgsql_fingerprint *out,
                                       struct error *err); /* ids only */
/* As the stored fingerprint of a stream (state/store.h). */
MUST_CHECK bool pgsql_fingerprint_put(struct pg_conn *target, const char *pipeline, int64_t epoch,
                                      const char *stream, const struct pgsql_fingerprint *fp,
                                      struct error *err);
/* *found false if none is stored. ERROR_FATAL if it is of another engine. */
MUST_CHECK bool pgsql_fingerprint_get(struct pg_conn *target, const char *pipeline, const char *stream,
                                      struct pgsql_fingerprint *out, bool *found, struct error *err);
/* ERROR_FATAL, naming what was lost and the repair, if `now` can't be the same history as `stored`. Empty
 * names and POSITION_NONE on either side are not compared. A newer timeline is accepted here: the caller goes
 * on with pgsql_fingerprint_check_timeline then. */
MUST_CHECK bool pgsql_fingerprint_compare(const struct pgsql_fingerprint *stored,
                                          const struct pgsql_fingerprint *now, struct error *err);
/* Did the source leave timeline `stored` at or after `at`, where we stand? `history` is what TIMELINE_HISTORY
 * of the current timeline tells. ERROR_FATAL if not, or if `stored` is not among its ancestors. */
MUST_CHECK bool pgsql_fingerprint_timeline_ok(const char *history, unsigned stored, struct position at,
                                              struct error *err);
/* The same, asked over a replication session (pg_conn_options.replication). Nothing to ask if they are equal.
 */
MUST_CHECK bool pgsql_fingerprint_check_timeline(struct pg_conn *walsender,
                                                 const struct pgsql_fingerprint *stored,
                                                 const struct pgsql_fingerprint *now, struct position at,
                                                 struct error *err);

#endif
