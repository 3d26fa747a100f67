/* SPDX-License-Identifier: PostgreSQL */
#include "replicator/machine.h"

#include <stddef.h>

static const struct machine_transition transitions[] = {
    {PHASE_CONNECT, EVENT_OK, PHASE_STANDBY, "the target is there"},
    {PHASE_STANDBY, EVENT_OK, PHASE_PREPARE, "the lease is ours"},
    {PHASE_STANDBY, EVENT_AGAIN, PHASE_STANDBY, "another process was quicker"},
    {PHASE_PREPARE, EVENT_OK, PHASE_BACKFILL, "tables, publication and slot stand"},
    {PHASE_PREPARE, EVENT_AGAIN, PHASE_PREPARE, "a wish came"},
    {PHASE_BACKFILL, EVENT_OK, PHASE_CATCHUP, "nothing is left to copy"},
    {PHASE_BACKFILL, EVENT_AGAIN, PHASE_PREPARE, "copied: what stands now?"},
    {PHASE_CATCHUP, EVENT_OK, PHASE_FINISH, "the stream has passed the copies"},
    {PHASE_CATCHUP, EVENT_AGAIN, PHASE_PREPARE, "tables change state"},
    {PHASE_FINISH, EVENT_OK, PHASE_STREAMING, "indexes and constraints are back"},
    {PHASE_STREAMING, EVENT_AGAIN, PHASE_PREPARE, "tables change state"},
    {PHASE_BACKOFF, EVENT_OK, PHASE_CONNECT, "trying again"},
};

/* Where these lead is the same from every phase. */
static const struct machine_transition from_any[] = {
    {PHASE_STOPPED, EVENT_LOST, PHASE_BACKOFF, "a failure that can pass"},
    {PHASE_STOPPED, EVENT_FENCED, PHASE_CONNECT, "another process runs the pipeline"},
    {PHASE_STOPPED, EVENT_UNSAFE, PHASE_STOPPED, "stopped to protect data"},
    {PHASE_STOPPED, EVENT_END, PHASE_STOPPED, "the end"},
};

const struct machine_transition *machine_next(enum stats_phase from, enum machine_event event)
{
    for (size_t i = 0; i < sizeof(from_any) / sizeof(from_any[0]); i++) {
        if (from_any[i].event == event)
            return &from_any[i];
    }
    for (size_t i = 0; i < sizeof(transitions) / sizeof(transitions[0]); i++) {
        if (transitions[i].from == from && transitions[i].event == event)
            return &transitions[i];
    }
    return NULL;
}
