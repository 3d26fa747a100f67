/* SPDX-License-Identifier: PostgreSQL
 *
 * Everything by which a start decides where to go on, and the decision in words. The decision is pure; it
 * says what the replicator's own checks (prepare_slot, logical_source_open) would find.
 */
#ifndef CONTROL_OFFSETS_FACTS_H
#define CONTROL_OFFSETS_FACTS_H

#include "base/buffer.h"
#include "legacy/legacy_pgsql_fingerprint.h"
#include "state/store.h"

struct slot_facts {
    bool exists;
    bool active;
    bool lost;
    char plugin[64];
    struct position confirmed;
    struct position restart;
};

struct offsets_facts {
    bool reverse;     /* the stream: "reverse", from the target; else "forward" */
    char holder[160]; /* of a fresh lease; empty: none */
    int64_t epoch;
    struct store_progress *lanes;
    int lane_count;
    struct pgsql_fingerprint stored;
    bool has_stored;

    char source_error[400]; /* not empty: the source could not be asked, and what follows is unknown */
    struct position source_end;
    /* A source that is no PostgreSQL has no slot: its engine has said what contradicts, or nothing. */
    bool other_engine;
    char contradiction[400];
    struct position start; /* by the fingerprint */
    /* PostgreSQL's */
    struct pgsql_fingerprint now;
    struct slot_facts slot;
};

enum offsets_decision {
    OFFSETS_FIRST,   /* nothing stored: publication, slot, copy */
    OFFSETS_RESUME,  /* from the slowest lane's position */
    OFFSETS_STANDBY, /* as OFFSETS_RESUME, once the holder's lease has expired */
    OFFSETS_WAIT,    /* the source can't be reached: tries again */
    OFFSETS_REFUSE   /* exit 4 */
};

enum offsets_decision offsets_decide(const struct offsets_facts *facts, struct buffer *words);
const char *offsets_decision_name(enum offsets_decision decision);

/* Where the slowest lane stands; POSITION_NONE if there is none. */
struct position offsets_lowest(const struct offsets_facts *facts);

#endif
