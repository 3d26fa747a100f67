/* SPDX-License-Identifier: PostgreSQL
 *
 * What the operator wants, as rows of crossfade.wish: written by `crossfade`, announced by NOTIFY on channel
 * crossfade_<pipeline> (payload "<object> <key>"), read by the replicator whenever it is told and at each
 * start.
 *
 *   object                                  key        value         stays
 *   pipeline | group:<group> | table:<from> paused     true | false  yes
 *   table:<from>                            recopy     true          deleted when the copy is planned
 *   table:<from>                            resume     true          deleted when it has left drift, stopped
 *   quarantine                              retry      ["1", "2"]    deleted when done:
 * crossfade.quarantine.id quarantine                              skip       ["3"]         deleted when done
 *
 * A table is paused if any of the pipeline, its group and itself is. Lists grow while they wait: one that has
 * grown is not deleted by wish_done, and comes again with ids that are done already; those are no error.
 */
#ifndef STATE_WISH_H
#define STATE_WISH_H

#include <stdint.h>

#include "pgsql/conn.h"

struct wish {
    char *object;
    char *key;
    char *value; /* JSON */
    char *who;
    char *at; /* which version of the wish this is; compared only for equality */
};

struct wish_list {
    struct wish *wishes;
    int count;
};

/* All of a pipeline, the oldest first. Zero or free the list before. */
MUST_CHECK bool wish_read(struct pg_conn *target, const char *pipeline, struct wish_list *out,
                          struct error *err);
void wish_list_free(struct wish_list *self); /* zeroes it */
const struct wish *wish_find(const struct wish_list *self, const char *object,
                             const char *key); /* NULL if none */
/* Done: deletes it, unless it has been wished anew since it was read. Fenced: ERROR_FENCED under an epoch
 * that has passed, so that a process that wakes up does not take a wish from its successor. */
MUST_CHECK bool wish_done(struct pg_conn *target, const char *pipeline, int64_t epoch,
                          const struct wish *wish, struct error *err);
/* Control side. */
MUST_CHECK bool wish_put(struct pg_conn *target, const char *pipeline, const char *object, const char *key,
                         const char *json, struct error *err);

/* Is there such a wish, and is its value true? For objects with a name, `name` follows the colon: ("table",
 * "public.t"). NULL for none. */
bool wish_is_true(const struct wish_list *self, const char *kind, const char *name, const char *key);
/* By the rule above. */
bool wish_paused(const struct wish_list *self, const char *group, const char *from);
/* The ids of a list, malloc'ed; items that are no id are left out. Returns how many. */
int wish_ids(const struct wish *wish, int64_t **ids);

#endif
