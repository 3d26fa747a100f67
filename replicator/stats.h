/* SPDX-License-Identifier: PostgreSQL
 *
 * What the replicator knows about itself, for HTTP, metrics, Redis and `crossfade status`: counters that the
 * working threads raise and the main thread reads. Plain numbers are atomics and may be read at any
 * moment; texts are under the mutex, by the functions below. Nothing is decided from here.
 */
#ifndef REPLICATOR_STATS_H
#define REPLICATOR_STATS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "model/position.h"
#include "model/table.h"

enum { STATS_REASON_SIZE = 512 };

/* Upper bounds in seconds / rows of the histograms' buckets are in stats.c. */
enum { STATS_BUCKETS = 14 };

/* bucket[i] counts values above bounds[i-1] up to bounds[i] (not cumulative); what is above the last bound is
 * only in count. */
struct stats_histogram {
    _Atomic uint64_t bucket[STATS_BUCKETS];
    _Atomic uint64_t count;
    _Atomic uint64_t sum; /* microseconds or rows */
};

/* A position that one thread writes and others read whole at any moment: `turn` is odd while it is written.
 */
struct stats_position {
    _Atomic uint32_t turn;
    _Atomic uint32_t head; /* kind and high */
    _Atomic uint64_t low;
};

struct stats_table {
    /* constant once published */
    char *from; /* the legacy's */
    char *to;   /* the target's */
    char *group;
    const char *capture; /* static; NULL: not known */
    /* live */
    _Atomic int state;          /* enum table_state */
    _Atomic int64_t rows_total; /* estimate for the backfill, -1 unknown */
    _Atomic uint64_t rows_copied;
    _Atomic uint64_t bytes_copied;
    _Atomic uint64_t inserted, updated, deleted, truncated;
    _Atomic uint64_t bytes_applied;
    _Atomic uint64_t missing, existing;      /* conflicts */
    _Atomic uint64_t parked, quarantined;    /* rows waiting now */
    _Atomic int64_t rate_rows_s;             /* recent copy or apply rate; kept by the main thread */
    char reason[STATS_REASON_SIZE];          /* mutex */
    char conflict_sample[STATS_REASON_SIZE]; /* mutex: last conflict, "missing: {"id": 5} at 0/123" */
};

enum stats_role { STATS_STARTING, STATS_STANDBY, STATS_ACTIVE, STATS_STOPPING };

/* Where the pipeline's machine (machine.h) stands; replicator/runner.c owns it. */
enum stats_phase {
    PHASE_CONNECT,
    PHASE_STANDBY,
    PHASE_PREPARE,
    PHASE_BACKFILL,
    PHASE_CATCHUP,
    PHASE_FINISH,
    PHASE_STREAMING,
    PHASE_BACKOFF,
    PHASE_STOPPED
};

struct stats {
    pthread_mutex_t mutex;
    char pipeline[32];
    bool reverse; /* the direction; set once, before any thread */

    _Atomic int role;  /* enum stats_role */
    _Atomic int phase; /* enum stats_phase */
    _Atomic int64_t epoch;
    _Atomic bool paused;
    _Atomic bool redis_ok; /* false: degraded */
    _Atomic bool source_ok, sink_ok;
    struct stats_position received, applied, confirmed; /* of the stream; the capture thread's */
    struct stats_position source_end;                   /* the source's end when last asked; the steward's */
    _Atomic int64_t lag_ms; /* commit-to-applied of the newest applied transaction, 0 when caught up */
    _Atomic int64_t retained_wal_bytes;          /* -1: unknown */
    _Atomic int64_t slot_limit_seconds;          /* -1: no limit */
    _Atomic int64_t capture_lag_ms;              /* the source's own capture job's; -1: there is none */
    _Atomic uint64_t errors[ERROR_CANCELED + 1]; /* by enum error_kind */
    _Atomic uint64_t transactions, batches, replays;
    _Atomic uint64_t reread; /* keys put on the re-read list by this process */
    struct stats_histogram batch_rows;
    struct stats_histogram batch_us;
    char last_error[1300]; /* mutex */

    /* Published by stats_publish_tables under the mutex, once the pairing is known; replaced only whole. */
    struct stats_table *tables;
    uint32_t table_count;
};

struct stats *stats_new(const char *pipeline);
void stats_free(struct stats *self);

/* Makes one stats_table per table, keeping counters of tables that were there before (by `from`). Called
 * while no worker thread of the runner is running. The main thread reads tables only between
 * stats_lock/unlock. */
void stats_publish_tables(struct stats *self, const struct table_set *tables);
void stats_lock(struct stats *self);
void stats_unlock(struct stats *self);

void stats_position_put(struct stats_position *self, struct position p);
struct position stats_position_get(struct stats_position *self);

void stats_reason(struct stats *self, uint32_t table_id, enum table_state state, const char *reason);
void stats_conflict(struct stats *self, uint32_t table_id, const char *sample);
/* Counts it by kind and keeps its text as last_error. */
void stats_error(struct stats *self, const struct error *err);

void stats_observe(struct stats_histogram *h, const uint64_t bounds[STATS_BUCKETS], uint64_t value);
extern const uint64_t stats_bounds_us[STATS_BUCKETS];
extern const uint64_t stats_bounds_rows[STATS_BUCKETS];

/* The stream's name and direction: "forward" or "reverse". */
const char *stats_stream_name(const struct stats *self);
const char *stats_role_name(enum stats_role role);
const char *stats_phase_name(enum stats_phase phase);

#endif
