/* SPDX-License-Identifier: PostgreSQL
 *
 * The pipeline's machine as a table: which phase follows which, and why. It does nothing; runner.c runs the
 * phases, asks here where each of their ends leads, and goes there.
 */
#ifndef REPLICATOR_MACHINE_H
#define REPLICATOR_MACHINE_H

#include "replicator/stats.h"

/* What a phase ended with. */
enum machine_event {
    EVENT_OK,     /* it did its part */
    EVENT_AGAIN,  /* tables change state: prepare anew */
    EVENT_LOST,   /* something that can pass */
    EVENT_FENCED, /* somebody else runs the pipeline */
    EVENT_UNSAFE, /* going on would damage data */
    EVENT_END     /* asked to stop, or caught up as asked */
};

struct machine_transition {
    enum stats_phase from; /* not told for an event that leads to the same place from everywhere */
    enum machine_event event;
    enum stats_phase to;
    const char *why;
};

/* NULL: that phase can't end so. */
const struct machine_transition *machine_next(enum stats_phase from, enum machine_event event);

#endif
