/* SPDX-License-Identifier: PostgreSQL
 *
 * Who runs a pipeline (DESIGN.md rule 3): one row in the target with holder, epoch and a heartbeat by the
 * target's clock. Redis and the hosts' clocks have no say.
 */
#ifndef STATE_LEASE_H
#define STATE_LEASE_H

#include <stdint.h>

#include "pgsql/conn.h"

struct lease {
    char pipeline[32];
    char holder[160]; /* host:pid:random, unique for one process */
    int64_t ttl_ms;
    int64_t epoch;    /* 0: not held */
};

void lease_init(struct lease *self, const char *pipeline, int64_t ttl_ms);
/* Tries once. self->epoch > 0 on return if we hold it. *changed_hands: it was somebody else's before. Where
 * a predecessor's lease has expired, its backends on the target are terminated before the epoch is raised. */
MUST_CHECK bool lease_try(struct lease *self, struct pg_conn *target, bool *changed_hands, struct error *err);
/* ERROR_FENCED when lost. */
MUST_CHECK bool lease_beat(struct lease *self, struct pg_conn *target, struct error *err);
MUST_CHECK bool lease_release(struct lease *self, struct pg_conn *target, struct error *err);

/* Ends every session of this pipeline on that server (by application_name crossfade:<pipeline>:…, same role)
 * but our own `keep` pids, and waits until they are gone (at most 2 s). Walsenders on the source too (hazard 40). */
MUST_CHECK bool lease_terminate_others(struct pg_conn *conn, const char *pipeline, struct error *err);

#endif
