/* SPDX-License-Identifier: PostgreSQL
 *
 * What one poll of change data capture asks: how far capture has come and which transactions there are
 * (bounds), the pages of the streams, and whether the history is still whole (watch). Each is one round trip.
 *
 * Only for cdc_*.c and marker.c.
 */
#ifndef MSSQL_CDC_POLL_H
#define MSSQL_CDC_POLL_H

#include "mssql/cdc_stream.h"

struct cdc_commit {
    struct position lsn;
    int64_t time_us; /* microseconds since 1970 UTC, by the server's clock */
};

enum { CDC_COMMITS = 4000 }; /* transactions of one poll at most */

struct cdc_bounds {
    struct position max;        /* capture has come so far; NONE: never anywhere */
    int64_t max_age_ms;         /* how old that is by the server's clock */
    struct cdc_commit *commits; /* transactions with captured changes behind the position, in order */
    uint32_t count, capacity;
    struct position *own; /* those of them that are ours (rule 7) */
    uint32_t own_count, own_capacity;
};

void cdc_bounds_free(struct cdc_bounds *self);
/* `progress`: change table of our progress table, quoted, NULL if there is none (nothing is ours then). */
MUST_CHECK bool cdc_bounds_read(struct ms_conn *conn, struct position position, const char *progress,
                                const char *pipeline, struct cdc_bounds *io, struct error *err);
/* 0: not among them. */
int64_t cdc_bounds_time(const struct cdc_bounds *self, struct position lsn);

/* The capture instances as they are now, and definitions that changed. */
struct cdc_seen {
    int32_t object_id, source_id;
    struct position least; /* fn_cdc_get_min_lsn */
};

struct cdc_ddl {
    int32_t source_id;
    struct position lsn;
};

struct cdc_watch {
    struct cdc_seen *seen;
    uint32_t seen_count;
    struct cdc_ddl *ddl;
    uint32_t ddl_count;
};

void cdc_watch_free(struct cdc_watch *self);
MUST_CHECK bool cdc_watch_read(struct ms_conn *conn, struct position from, struct position to,
                               struct cdc_watch *out, struct error *err);

/* Reads a page of the hungry streams, as many as `room` bytes allow, and, when none is hungry any more, the
 * watch, which then was read after the last row (*watched). *bad: that stream's rows could not be read, err
 * says why, and the connection is ready again; NULL: err is everybody's. */
MUST_CHECK bool cdc_pages_read(struct ms_conn *conn, struct cdc_stream_set *set, struct position from,
                               struct position to, const char *own, size_t room, struct cdc_watch *watch,
                               bool *watched, struct cdc_stream **bad, struct error *err);

#endif
