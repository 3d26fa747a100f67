/* SPDX-License-Identifier: PostgreSQL
 *
 * Everything that must stand before a stream may run: the known history, paired tables with their stored
 * states, what changes are captured by, and the lanes' progress rows. What the legacy side does of it is
 * src/legacy's. Each step may be repeated after a crash between any two.
 */
#ifndef REPLICATOR_PREPARE_H
#define REPLICATOR_PREPARE_H

#include "legacy/legacy_sink.h"
#include "state/store.h"

struct prepare {
    struct legacy_notes notes;
    struct legacy *legacy;    /* what is read: in the reverse direction the target */
    struct legacy_sink *sink; /* the reverse direction's; NULL: the target is written to */
    const char *stream;       /* "forward", "reverse" */
};

struct preparation {
    struct table_set tables;
    bool binary;
    bool first; /* nothing of this pipeline was there before */
    int lane_count;
    char **unfit;          /* per table id: what does not fit (any more), or NULL */
    char **reasons;        /* per table id: why it is stopped, or NULL */
    int64_t *parked;       /* per table id: changes that wait */
    int64_t *quarantined;  /* per table id */
    unsigned char *forget; /* per table id: it is copied anew, what waits of it is void */
};

/* Once the history is known (legacy.h): `first` is its word. Pairs the two catalogs. At the first start any
 * FAIL finding refuses (ERROR_REFUSED, all of them in the text, `crossfade check` for the rest); later a
 * table that no longer fits goes to TABLE_DRIFT with the finding as its reason, and is kept. */
MUST_CHECK bool prepare_tables(const struct prepare *self, bool first, struct preparation *out,
                               struct error *err);
/* Deals tables to lanes: anew when all rows stand at one position, else as stored. Makes the progress rows.
 */
MUST_CHECK bool prepare_lanes(const struct prepare *self, struct preparation *p, struct error *err);
/* Stored states and parked changes into `tables`. */
MUST_CHECK bool prepare_states(const struct prepare *self, struct preparation *p, struct error *err);
/* The reverse direction, in which nothing is copied: both sides are taken as equal where it begins. Tables
 * that never were in the pipeline stream at once; ERROR_REFUSED while a copy of the forward direction is not
 * finished. After prepare_states. */
MUST_CHECK bool prepare_equal(const struct prepare *self, struct preparation *p, struct error *err);
/* Counts what is parked and in quarantine anew. */
MUST_CHECK bool prepare_waiting(const struct prepare *self, struct preparation *p, struct error *err);

void preparation_free(struct preparation *self);

#endif
