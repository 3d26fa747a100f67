/* SPDX-License-Identifier: PostgreSQL
 *
 * Quarantined changes of one table, tried again: each row's story is folded into its last word, so that a
 * value that only an intermediate state had can't be in the way of what other rows have by now.
 */
#ifndef PGSQL_RETRY_H
#define PGSQL_RETRY_H

#include "pgsql/stored.h"

struct retry_result {
    bool refused;      /* the change's story was refused and stays */
    struct error *why; /* at the first change of a refused story; in the arena */
};

/* Inside the caller's transaction. `stored`: all changes that share a key with one another, in source order;
 * results has one element a change, filled. */
MUST_CHECK bool retry_run(struct pg_sink *s, const struct stored *stored, struct retry_result *results,
                          struct error *err);

#endif
