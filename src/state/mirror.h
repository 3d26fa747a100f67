/* SPDX-License-Identifier: PostgreSQL
 *
 * What is mirrored in Redis, and its encoding as one command (DESIGN.md section 9). Pure: who sends it is not
 * our business. Nothing is ever decided from the mirror.
 *
 *   crossfade:<pipeline>:epoch    string: the epoch of whoever wrote last
 *   crossfade:<pipeline>:offsets  hash: <stream>.received|applied|confirmed|lag_bytes|lag_ms
 *   crossfade:<pipeline>:state    hash: pipeline, group:<group>, table:<from> -> state
 *   crossfade:<pipeline>:flags    hash: <group>.live|frozen|epoch
 *   crossfade:<pipeline>:events   channel: one line for each field of state and flags that has changed;
 *                                 a field of state that is no more has no value in it
 *
 * The command is a script: it writes nothing and returns 0 if a higher epoch has written already (a process
 * that was stopped and wakes up), else writes all and returns 1. Another type at one of our keys is an error
 * reply (WRONGTYPE).
 */
#ifndef STATE_MIRROR_H
#define STATE_MIRROR_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "model/position.h"

enum mirror_part { MIRROR_OFFSETS, MIRROR_STATE, MIRROR_FLAGS, MIRROR_PARTS };

struct mirror_hash {
    char **items; /* field, value, field, value … */
    size_t count; /* of items */
    size_t capacity;
};

struct mirror {
    char pipeline[32];
    int64_t epoch;
    /* State has every group and table: what else is in its hash has left the pipeline and is removed. Flags
     * keep their last value, by which applications route. */
    bool whole;
    struct mirror_hash parts[MIRROR_PARTS];
};

/* Starts empty; mirror_free ends. */
void mirror_init(struct mirror *self, const char *pipeline, int64_t epoch);
void mirror_free(struct mirror *self);
void mirror_set(struct mirror *self, enum mirror_part part, const char *field, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

struct mirror_offsets {
    struct position received, applied, confirmed;
    int64_t lag_bytes; /* -1: unknown, "" in Redis */
    int64_t lag_ms;
};
void mirror_set_offsets(struct mirror *self, const char *stream, const struct mirror_offsets *offsets);

/* For redisCommandArgv and its kin. */
struct mirror_command {
    int argc;
    char **argv;
    size_t *lengths;
};
void mirror_encode(const struct mirror *self, struct mirror_command *out);
void mirror_command_free(struct mirror_command *self);

/* "crossfade:<pipeline>:<name>" into out. Returns out. */
char *mirror_key(const char *pipeline, const char *name, char out[64]);

#endif
