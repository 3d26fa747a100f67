/* SPDX-License-Identifier: PostgreSQL
 *
 * A few threads with connections of their own that work off one task together. The caller's thread waits for
 * them and is the only one that watches the cancel flag: it then interrupts whatever statement a member is
 * in, again and again until all have ended. The first failure stops the others and is the crew's.
 */
#ifndef REPLICATOR_CREW_H
#define REPLICATOR_CREW_H

#include <stdatomic.h>

#include "base/error.h"
#include "pgsql/conn.h"

struct crew;
struct crew_member;

typedef bool crew_work(void *context, struct crew_member *member, struct error *err);

/* Runs `work` in `count` threads and returns when all have ended. ERROR_CANCELED if *cancel was set, else the
 * first member's error. */
MUST_CHECK bool crew_run(int count, crew_work *work, void *context, _Atomic bool *cancel, struct error *err);

/* --- in a member's thread --- */
int crew_number(const struct crew_member *self);    /* from 0 */
bool crew_stopping(const struct crew_member *self); /* end soon: cancelled, or another one failed */
/* A connection that may be interrupted from outside by `cancel`, until NULL is given: before it is closed.
 * slot: 0 or 1. */
void crew_hold(struct crew_member *self, int slot, void *conn, void (*cancel)(void *conn));
/* The same for a PostgreSQL connection, opened / closed. */
MUST_CHECK bool crew_open(struct crew_member *self, int slot, struct pg_conn *conn,
                          const struct pg_conn_options *options, struct error *err);
void crew_close(struct crew_member *self, int slot, struct pg_conn *conn);

#endif
