/* SPDX-License-Identifier: PostgreSQL
 *
 * The lease is taken, renewed and given back by functions in the target (schema.sql), each in a transaction
 * of its own, so that nothing of it depends on how fast or how well this process runs. A process that is
 * stopped between two statements holds no lock on the lease's row.
 */
#include "state/lease.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"

enum { TERMINATE_WAIT_MS = 2000, TERMINATE_POLL_US = 10000 };

static uint64_t random_number(void)
{
    uint64_t n;
    if (getrandom(&n, sizeof(n), 0) != (ssize_t)sizeof(n))
        n = (uint64_t)clock_wall_us(); /* host and pid tell processes apart already, but for a reused pid */
    return n;
}

void lease_init(struct lease *self, const char *pipeline, int64_t ttl_ms)
{
    char host[100];
    *self = (struct lease){.ttl_ms = ttl_ms};
    if (gethostname(host, sizeof(host)) != 0)
        snprintf(host, sizeof(host), "unknown");
    host[sizeof(host) - 1] = '\0';
    snprintf(self->pipeline, sizeof(self->pipeline), "%s", pipeline);
    snprintf(self->holder, sizeof(self->holder), "%s:%ld:%016" PRIx64, host, (long)getpid(), random_number());
}

bool lease_try(struct lease *self, struct pg_conn *target, bool *changed_hands, struct error *err)
{
    char ttl[40];
    snprintf(ttl, sizeof(ttl), "%" PRId64 " milliseconds", self->ttl_ms);
    const char *params[] = {self->pipeline, self->holder, ttl};
    self->epoch = 0;
    *changed_hands = false;
    PGresult *r = pg_query(
        target, "SELECT held_epoch, changed_hands FROM crossfade.lease_take($1, $2, $3::pg_catalog.interval)",
        3, params, err);
    if (!r)
        return error_prefix(err, "taking the lease of pipeline \"%s\"", self->pipeline);
    self->epoch = strtoll(PQgetvalue(r, 0, 0), NULL, 10);
    *changed_hands = PQgetvalue(r, 0, 1)[0] == 't';
    PQclear(r);
    return true;
}

bool lease_look(const struct lease *self, struct pg_conn *target, bool *free, struct error *err)
{
    char ttl[40], taken[8];
    snprintf(ttl, sizeof(ttl), "%" PRId64 " milliseconds", self->ttl_ms);
    const char *params[] = {self->pipeline, self->holder, ttl};
    /* A heartbeat from the future is for lease_take to judge. */
    if (!pg_query_one(target,
                      "SELECT EXISTS (SELECT FROM crossfade.lease WHERE pipeline = $1 AND holder <> $2"
                      " AND heartbeat BETWEEN clock_timestamp() - $3::interval AND clock_timestamp())",
                      3, params, taken, sizeof(taken), NULL, err))
        return error_prefix(err, "looking at the lease of pipeline \"%s\"", self->pipeline);
    *free = taken[0] != 't';
    return true;
}

/* $1, $2, $3 of the functions that only the holder may call. */
static bool call_held(const struct lease *self, struct pg_conn *target, const char *sql, struct error *err)
{
    char epoch[24];
    snprintf(epoch, sizeof(epoch), "%" PRId64, self->epoch);
    const char *params[] = {self->pipeline, self->holder, epoch};
    return pg_exec_params(target, sql, 3, params, err);
}

bool lease_beat(struct lease *self, struct pg_conn *target, struct error *err)
{
    if (call_held(self, target, "SELECT crossfade.lease_beat($1, $2, $3)", err))
        return true;
    if (err->kind == ERROR_FENCED)
        self->epoch = 0;
    return error_prefix(err, "renewing the lease");
}

bool lease_release(struct lease *self, struct pg_conn *target, struct error *err)
{
    if (self->epoch == 0)
        return true;
    if (!call_held(self, target, "SELECT crossfade.lease_release($1, $2, $3)", err))
        return error_prefix(err, "giving the lease back");
    self->epoch = 0;
    return true;
}

/* The same choice as crossfade.terminate_others, for servers that have no schema of ours. */
static const char terminate_sql[] =
    "SELECT count(pg_catalog.pg_terminate_backend(pid)) FROM pg_catalog.pg_stat_activity"
    " WHERE pg_catalog.split_part(application_name, ':', 1) = 'crossfade'"
    " AND pg_catalog.split_part(application_name, ':', 2) = $1"
    " AND pg_catalog.split_part(application_name, ':', 3) NOT IN ('standby', 'control', 'check', "
    "'reconciler')"
    " AND usename = session_user AND pid <> pg_catalog.pg_backend_pid()";

bool lease_terminate_others(struct pg_conn *conn, const char *pipeline, struct error *err)
{
    const char *params[] = {pipeline};
    int64_t deadline = clock_ms() + TERMINATE_WAIT_MS;
    for (;;) {
        char left[24];
        if (!pg_query_one(conn, terminate_sql, 1, params, left, sizeof(left), NULL, err))
            return error_prefix(err, "ending earlier sessions of pipeline \"%s\"", pipeline);
        if (strcmp(left, "0") == 0)
            return true;
        if (clock_ms() > deadline)
            return error_set(
                err, ERROR_RETRY,
                "%s: %s earlier sessions of this pipeline do not end - end those with application_name "
                "crossfade:%s:… by hand",
                conn->endpoint, left, pipeline);
        usleep(TERMINATE_POLL_US);
    }
}
