/* SPDX-License-Identifier: PostgreSQL
 *
 * What each way of capturing changes promises and what it can't see: the one table (DESIGN.md rule 12) that
 * crossfade-capture(7), `crossfade check` and status show.
 */
#ifndef MODEL_CAPTURE_H
#define MODEL_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>

#include "model/config.h"

struct capture_facts {
    const char *name;       /* as the config writes it */
    const char *legacies;   /* which kinds of legacy have it */
    const char *consistent; /* does a whole transaction arrive at once? */
    const char *order;      /* of changes */
    const char *deletes;
    const char *truncate;
    const char *large; /* unchanged large values */
    const char *keyless;
    const char *marking; /* how our own writes are told, so that they don't come back */
    bool reverse;        /* may it read the side that we write to? */
    const char *blind;   /* what it can't see */
};

/* Of a kind; never NULL. */
const struct capture_facts *capture_facts(enum capture_kind kind);
enum { CAPTURE_KINDS = CAPTURE_ROWVERSION + 1 };

/* Of the pipeline: its tables have to be captured in one and the same way, in this version. */
enum capture_kind capture_of(const struct config *config);
/* A table that is not, as the config writes it; NULL: none. */
const char *capture_mixed(const struct config *config);

/* What the manual says of each, in mdoc. */
struct buffer;
void capture_describe(struct buffer *out);
/* One line for `check`. */
void capture_say(enum capture_kind kind, struct buffer *out);

#endif
