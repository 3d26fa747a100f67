/* SPDX-License-Identifier: PostgreSQL
 *
 * A stream of changes, read by one thread. A driver embeds struct source first, has one static const
 * table of these functions and exports one constructor.
 */
#ifndef MODEL_SOURCE_H
#define MODEL_SOURCE_H

#include "base/error.h"
#include "model/change.h"

enum source_event_kind {
    SOURCE_NOTHING, /* deadline passed, or only keep-alives came: see `position` */
    SOURCE_BEGIN,
    SOURCE_CHANGE,
    SOURCE_COMMIT,
    SOURCE_DRIFT /* a table's definition no longer fits: `table`, `text`; comes before its first change */
};

struct source_event {
    enum source_event_kind kind;
    struct transaction transaction; /* BEGIN, COMMIT */
    struct change change;           /* CHANGE: values are valid until the next call */
    struct table *table;            /* DRIFT */
    bool recopy;    /* DRIFT: what happened can't be parked: only a new copy makes the table right again */
    char text[800]; /* DRIFT: what differs, and the ALTER TABLE that would mend it */
    /* NOTHING: everything up to here has been handed out and no transaction is open; else POSITION_NONE */
    struct position position;
    bool awaited; /* NOTHING: the source wants to hear that position confirmed soon: it shuts down */
};

struct source;

struct source_ops {
    /* Blocks until an event or the monotonic deadline. False: failed, the source is then only to be freed. */
    bool (*next)(struct source *self, int64_t deadline_ms, struct source_event *out, struct error *err);
    /* The sink has everything up to here, durably. Never moves backwards. Sent on a timer by next and tick.
     */
    void (*confirm)(struct source *self, struct position confirmed);
    /* Keeps the connection alive while the reader is held back; never blocks for long. */
    bool (*tick)(struct source *self, struct error *err);
    /* From any thread: a blocked next returns soon with ERROR_CANCELED. */
    void (*cancel)(struct source *self);
    void (*free)(struct source *self);
};

struct source {
    const struct source_ops *ops;
};

#endif
