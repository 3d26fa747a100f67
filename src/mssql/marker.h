/* SPDX-License-Identifier: PostgreSQL
 *
 * Our schema `crossfade` on a SQL Server, and markers in it. The capture job is asynchronous: "the newest
 * LSN" read at the start of a backfill is old (hazard 11). A marker is a row of ours, committed and then
 * waited for in its change table: what any later read sees of older transactions lies before it, and every
 * transaction that commits after it comes in the stream.
 *
 * Order for a start: marker_look (install what is missing, or print it for the DBA), marker_write,
 * marker_wait; the position it gives is stored before the first row is copied.
 */
#ifndef MSSQL_MARKER_H
#define MSSQL_MARKER_H

#include <stdatomic.h>

#include "model/position.h"
#include "mssql/conn.h"

/* The T-SQL script, batch by batch, separated by lines GO; runs again without harm. `cdc`: with capture of
 * the database (needs sysadmin) and of our tables (db_owner). `progress`: with what the reverse direction
 * needs. `login`: a database user that is granted what the replicator needs; NULL: no grants. */
void marker_script(bool cdc, bool progress, const char *login, struct buffer *out);
/* Runs it. ERROR_REFUSED with the server's words when the login may not: print the script then. */
MUST_CHECK bool marker_install(struct ms_conn *conn, bool cdc, bool progress, struct error *err);

struct marker_state {
    bool table;    /* crossfade.marker is there */
    bool captured; /* and captured */
    bool progress, progress_captured;
    bool cdc;        /* the database is */
    bool is_running; /* the capture job has come anywhere yet */
};
MUST_CHECK bool marker_look(struct ms_conn *conn, struct marker_state *out, struct error *err);

enum { MARKER_TOKEN_SIZE = 40 };

/* Commits a marker. The token is the server's, a new uniqueidentifier. */
MUST_CHECK bool marker_write(struct ms_conn *conn, const char *pipeline, char token[MARKER_TOKEN_SIZE],
                             struct error *err);
/* Waits until it is captured: *out is the LSN of its commit. ERROR_RETRY at the deadline (clock_ms), saying
 * how far the capture job is behind; ERROR_CANCELED when *cancel (may be NULL) becomes true. */
MUST_CHECK bool marker_wait(struct ms_conn *conn, const char *pipeline, const char *token,
                            int64_t deadline_ms, const _Atomic bool *cancel, struct position *out,
                            struct error *err);
/* Where capture stands now; NONE: nowhere yet. */
MUST_CHECK bool marker_max(struct ms_conn *conn, struct position *out, struct error *err);

#endif
