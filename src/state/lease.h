/* SPDX-License-Identifier: PostgreSQL
 *
 * Who runs a pipeline (DESIGN.md rule 3): one row in the target with holder, epoch and a heartbeat by the
 * target's clock. Redis and the hosts' clocks have no say.
 *
 * The session that tries for the lease has the job "standby"; every session that writes has another job and
 * is opened after the lease was obtained. Sessions of the jobs standby, control, check and reconciler are
 * never ended.
 */
#ifndef STATE_LEASE_H
#define STATE_LEASE_H

#include <stdint.h>

#include "pgsql/conn.h"

struct lease {
    char pipeline[32];
    char holder[160]; /* host:pid:random, unique for one process */
    int64_t ttl_ms;
    int64_t epoch; /* 0: not held */
};

void lease_init(struct lease *self, const char *pipeline, int64_t ttl_ms);
/* Tries once, without waiting for a holder whose lease is fresh. self->epoch > 0 on return if we hold it (0
 * also when it fails). *changed_hands: it was somebody else's before. Before the epoch is raised, and also
 * when we get back what is ours already, every other session of the pipeline on the target is ended: call it
 * where this process has no session there that is still of use but this one. May take 4 s. */
MUST_CHECK bool lease_try(struct lease *self, struct pg_conn *target, bool *changed_hands, struct error *err);
/* *free false: somebody else holds a fresh one, lease_try would not get it. Changes nothing. A newcomer asks
 * this first and then whether it can reach the source at all: of two that can't, none should take over from
 * the other. */
MUST_CHECK bool lease_look(const struct lease *self, struct pg_conn *target, bool *free, struct error *err);
/* ERROR_FENCED when lost; self->epoch is 0 then. Other failures leave it as it is: the lease may still be
 * ours. */
MUST_CHECK bool lease_beat(struct lease *self, struct pg_conn *target, struct error *err);
/* Nothing if not held. A standby may take over at once. */
MUST_CHECK bool lease_release(struct lease *self, struct pg_conn *target, struct error *err);

/* Ends every session of this pipeline on that server (by application_name crossfade:<pipeline>:…, same role)
 * but this one, and waits until they are gone (at most 2 s, then ERROR_RETRY). Walsenders too: on the source
 * a stopped predecessor's walsender holds the slot (hazard 40). */
MUST_CHECK bool lease_terminate_others(struct pg_conn *conn, const char *pipeline, struct error *err);

#endif
