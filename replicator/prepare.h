/* SPDX-License-Identifier: PostgreSQL
 *
 * Everything that must stand before a stream may run: paired tables with their stored states, publication,
 * slot, fingerprint, and the lanes' progress rows. Each step may be repeated after a crash between any two.
 */
#ifndef REPLICATOR_PREPARE_H
#define REPLICATOR_PREPARE_H

#include "base/log.h"
#include "model/config.h"
#include "pgsql/conn.h"
#include "pgsql/pair.h"
#include "state/store.h"

struct prepare {
    const struct config *config;
    struct log *log;
    struct pg_conn *source;
    struct pg_conn *target;
    int64_t epoch;
    const _Atomic bool *cancel; /* long waits end with ERROR_CANCELED */
};

struct preparation {
    struct table_set tables;
    bool binary;
    bool first; /* nothing of this pipeline was there before */
    int lane_count;
    char **unfit;          /* per table id: what does not fit (any more), or NULL */
    char **reasons;        /* per table id: why it is stopped, or NULL */
    int64_t *parked;       /* per table id: changes that wait */
    int64_t *quarantined;  /* per table id */
    unsigned char *forget; /* per table id: it is copied anew, what waits of it is void */
};

/* Is it still the source, and the history, that we know (rule 5)? ERROR_FATAL when it is not. Before all
 * else: in another database everything that follows would mislead. */
MUST_CHECK bool prepare_history(const struct prepare *self, struct error *err);
/* Pairs the two catalogs. At the first start any FAIL finding refuses (ERROR_REFUSED, all of them in the
 * text, `crossfade check` for the rest); later a table that no longer fits goes to TABLE_DRIFT with the
 * finding as its reason, and is kept. */
MUST_CHECK bool prepare_tables(const struct prepare *self, struct preparation *out, struct error *err);
/* Publication(s), made or completed where we may. */
MUST_CHECK bool prepare_publication(const struct prepare *self, const struct preparation *p,
                                    struct error *err);
/* Slot and fingerprint, made at the first start. */
MUST_CHECK bool prepare_slot(const struct prepare *self, struct preparation *p, struct error *err);
/* Deals tables to lanes: anew when all rows stand at one position, else as stored. Makes the progress rows.
 */
MUST_CHECK bool prepare_lanes(const struct prepare *self, struct preparation *p, struct error *err);
/* Stored states and parked changes into `tables`. */
MUST_CHECK bool prepare_states(const struct prepare *self, struct preparation *p, struct error *err);
/* Before the first copy of a table: waits out every transaction that may have written to it and is not shown
 * to new snapshots yet. Beside an existing slot that is whoever wrote before the table was published (hazard
 * 6). A new slot has waited for older writers, but not for those that wrote their commit record while it was
 * being made and wait for a synchronous standby: too early for the stream, too late for the copy. */
MUST_CHECK bool prepare_writers(const struct prepare *self, const struct preparation *p, struct error *err);

/* Counts what is parked and in quarantine anew. */
MUST_CHECK bool prepare_waiting(const struct prepare *self, struct preparation *p, struct error *err);

void preparation_free(struct preparation *self);

/* Where the source's WAL ends now: whatever a statement of ours has seen is before that. The insert position
 * counts, not the flushed one, as transactions that commit asynchronously are seen before they are written.
 * Rounded down so that a stream reaches it though nothing more is written. */
MUST_CHECK bool prepare_source_end(struct pg_conn *source, struct position *out, struct error *err);

/* The publication of tables without a replica identity into out; NULL if there is none. Returns out. */
const char *prepare_insert_publication(const struct config *config, const struct table_set *tables, char *out,
                                       size_t size);

#endif
