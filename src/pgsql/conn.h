/* SPDX-License-Identifier: PostgreSQL
 *
 * One libpq connection of ours, with every session setting pinned that could change what values look like
 * or what a statement does (hazards 42, 43), and with failures told apart into kinds.
 * One thread at a time uses a connection; only pg_conn_cancel may be called from another.
 */
#ifndef PGSQL_CONN_H
#define PGSQL_CONN_H

#include <libpq-fe.h>

#include "base/error.h"
#include "base/slice.h"

struct pg_conn_options {
    const char *conninfo; /* from the config, secrets resolved; never logged */
    const char *pipeline;
    const char *job;      /* application_name is crossfade:<pipeline>:<job> */
    const char *endpoint; /* "legacy" or "target": for messages */
    bool replication;     /* a walsender session (replication=database) */
    bool apply;           /* session_replication_role=replica where allowed, synchronous_commit=off,
                             plan_cache_mode and join methods pinned for keyed set statements */
    int connect_timeout_ms;
    int statement_timeout_ms; /* 0: none */
    int lock_timeout_ms;      /* 0: none */
};

struct pg_conn {
    PGconn *pg;
    PGcancel *cancel; /* of this session; pg_conn_cancel may use it from any thread */
    int version;      /* PQserverVersion: 150018 */
    char endpoint[16];
    char where[200];   /* "legacy db host:port/db": for messages */
    bool replica_role; /* session_replication_role is replica */
};

/* Connects (never longer than connect_timeout_ms), pins the session and reads the pins back. Timeouts on
 * the socket: TCP keepalives and tcp_user_timeout are set, so that a dead peer is noticed. */
MUST_CHECK bool pg_conn_open(struct pg_conn *self, const struct pg_conn_options *options, struct error *err);
void pg_conn_close(struct pg_conn *self); /* closed or zeroed is fine */

/* One statement with text parameters and text results. `expect` is PGRES_TUPLES_OK or PGRES_COMMAND_OK.
 * NULL (with err set) when it fails; else the caller's to PQclear. */
MUST_CHECK PGresult *pg_query(struct pg_conn *self, const char *sql, int nparams, const char *const *params,
                              struct error *err);
/* No result wanted. */
MUST_CHECK bool pg_exec(struct pg_conn *self, const char *sql, struct error *err);
MUST_CHECK bool pg_exec_params(struct pg_conn *self, const char *sql, int nparams, const char *const *params,
                               struct error *err);
/* One value of one row, copied into out; empty if NULL. *is_null may be NULL. */
MUST_CHECK bool pg_query_one(struct pg_conn *self, const char *sql, int nparams, const char *const *params,
                             char *out, size_t size, bool *is_null, struct error *err);

/* Turns a failed result (or, with result NULL, the connection's own failure) into err. */
bool pg_error_from(struct error *err, struct pg_conn *self, const PGresult *result);
/* SQLSTATE to kind: class 22/23 and CF001 DATA; CF002 FENCED; CF003 FATAL; 40, 53, 55P03, 57, 58, 08 RETRY
 * (57P04 database dropped: FATAL); 42501, 28, 3D, 42 REFUSED; link lost RETRY. */
enum error_kind pg_sqlstate_kind(const char *sqlstate);

/* True if no transaction is open and the link is up. */
bool pg_conn_idle(const struct pg_conn *self);

/* From any thread, best effort. Returns when the server has taken the request: a dead machine is waited for
 * as long as the TCP time-outs allow (30 s), a server process that is stopped for as long as it is. */
void pg_conn_cancel(struct pg_conn *self);

#endif
