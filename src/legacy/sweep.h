/* SPDX-License-Identifier: PostgreSQL
 *
 * The sweep of a polled source (model/polled.h): deletes that its capture does not tell, found by key. The
 * sink's keys are read first, then looked up at the source; what is missing there is kept until the table is
 * read to its end, looked up once more, and deleted (hazard 48). More than max_deletes of a table's rows
 * missing looks like a mistake rather than like deletes: the table stops, and nothing of it is deleted.
 *
 * Each piece is a page of keys and a transaction of its own on either side. Tables without a key, and those
 * that share their sink with others, are left alone.
 */
#ifndef LEGACY_SWEEP_H
#define LEGACY_SWEEP_H

#include "legacy/legacy.h"
#include "model/polled.h"

struct sweep_lookup;

/* The rows under these keys, as legacy_session_ops.fetch, of a table that has the key's columns alone. */
struct sweep_lookup_ops {
    bool (*find)(struct sweep_lookup *self, struct pg_conn *target, const struct table *keys_only,
                 char *const *const *keys, size_t count, struct legacy_rows *out, struct error *err);
    void (*cancel)(struct sweep_lookup *self); /* from any thread */
    void (*free)(struct sweep_lookup *self);
};

struct sweep_lookup {
    const struct sweep_lookup_ops *ops;
};

struct sweep_options {
    const struct config *config;
    const struct table_set *tables; /* outlives the sweep */
    struct sweep_lookup *lookup;    /* taken over, also on failure */
    bool binary;    /* keys as the stream has them: the source type's binary format, else its text */
    bool scheduled; /* now and again; else at the start, and when asked */
};

MUST_CHECK bool sweep_open(const struct sweep_options *options, struct polled_sweep **out, struct error *err);

/* A copy of the table with the key's columns alone, in the key's order. Its columns are borrowed. */
struct table *sweep_key_image(const struct table *table);
void sweep_key_image_free(struct table *image);

/* How many of so many rows may be gone: one at least, unless max_deletes is 0. */
uint64_t sweep_allowed(uint64_t rows, double max_deletes);

#endif
