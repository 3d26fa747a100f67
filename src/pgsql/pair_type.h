/* SPDX-License-Identifier: PostgreSQL
 *
 * Can a column of this type on the source be kept in a column of that type on the sink, and how does its
 * value travel? Part of pairing.
 */
#ifndef PGSQL_PAIR_TYPE_H
#define PGSQL_PAIR_TYPE_H

#include "base/buffer.h"
#include "model/config.h"
#include "pgsql/catalog.h"

enum pair_fit {
    PAIR_FIT,   /* every value of the source is kept as it is */
    PAIR_RISKY, /* some value may be refused or change: said as a warning */
    PAIR_UNFIT  /* no way from one to the other */
};

struct pair_type {
    enum pair_fit fit;
    bool same_binary;   /* the binary format is the same on both sides */
    bool stream_binary; /* a binary value can be sent as it is, or cast with the result that its text would
                           give */
    const char *code;   /* of the finding; NULL where it fits */
    struct buffer why;
    struct buffer sql; /* what mends it, if anything of one line does */
};

/* What pairing knows of both sides. */
struct pair_sides {
    const struct config *config;
    const struct pg_catalog *source;
    const struct pg_catalog *sink;
    int source_version;
};

void pair_type_judge(const struct pair_sides *sides, const struct type *source, const struct type *sink,
                     struct pair_type *out);
void pair_type_free(struct pair_type *self);

/* True if a value is kept or refused, but never changed. */
bool pair_type_refuses_only(const struct pair_type *self);

/* Key columns: equal values of the type have equal bytes in the wire format. `modifier` is the base type's.
 */
bool pair_type_bytewise(const struct pg_type_info *base, int32_t modifier, bool deterministic);

#endif
