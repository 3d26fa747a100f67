/* SPDX-License-Identifier: PostgreSQL
 *
 * One replication session: START_REPLICATION on a logical slot after everything was checked that would
 * make it lose data, messages read without ever missing a deadline, standby status sent on a timer.
 * One thread reads; walsender_confirm, walsender_cancel and the two positions are safe from any thread.
 */
#ifndef PGSQL_WALSENDER_H
#define PGSQL_WALSENDER_H

#include <stdint.h>

#include "base/slice.h"
#include "pgsql/conn.h"

struct walsender;

struct walsender_options {
    struct pg_conn_options conn;
    const char *slot;
    const char *publication;
    const char *insert_publication; /* a second one, for tables without a replica identity; NULL: none */
    uint64_t start;
    bool binary;
    int status_interval_ms;
};

/* Connects and checks the slot: ERROR_FATAL if it is gone, lost, of another kind or database, or confirmed
 * beyond `start`; ERROR_RETRY if another session holds it. Nothing is streamed yet: until walsender_start
 * the connection takes plain SQL (simple protocol, no parameters). */
MUST_CHECK bool walsender_open(const struct walsender_options *options, struct walsender **out,
                               struct error *err);
struct pg_conn *walsender_conn(struct walsender *self);
MUST_CHECK bool walsender_start(struct walsender *self, struct error *err);
void walsender_free(struct walsender *self); /* NULL is fine */

enum walsender_event {
    WALSENDER_FAILED,
    WALSENDER_DATA, /* *body is a message of the output plugin, valid until the next call */
    WALSENDER_IDLE  /* the deadline passed, or all that came is read and a keepalive was among it */
};
MUST_CHECK enum walsender_event walsender_next(struct walsender *self, int64_t deadline_ms,
                                               struct slice *body, struct error *err);

/* Sends a standby status if one is due. Never waits, never reads more than libpq must to write. */
MUST_CHECK bool walsender_tick(struct walsender *self, struct error *err);

/* Everything up to here is durable in the sink. Lower values than before are ignored. */
void walsender_confirm(struct walsender *self, uint64_t lsn);
/* A walsender_next that waits, or the next one, fails with ERROR_CANCELED. */
void walsender_cancel(struct walsender *self);

/* End of WAL as the server last told. */
uint64_t walsender_server_end(const struct walsender *self);
/* Has the server asked for a reply since this was asked last? It does when it shuts down: it waits until what
 * it has sent is confirmed. By the reading thread. */
bool walsender_reply_asked(struct walsender *self);
/* The server has read its WAL up to here and sent what there was for us. */
uint64_t walsender_keepalive(const struct walsender *self);

#endif
