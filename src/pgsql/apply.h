/* SPDX-License-Identifier: PostgreSQL
 *
 * One batch, set-based, in one exchange; and what it has in common with the exact replay.
 */
#ifndef PGSQL_APPLY_H
#define PGSQL_APPLY_H

#include "pgsql/lane.h"

/* As sink_ops.apply promises. */
MUST_CHECK bool apply_batch(struct pg_sink *s, const struct batch *batch, struct sink_counts *counts,
                            struct sink_result *out, struct error *err);

/* The same steps inside a transaction that the caller has opened, between two of its exchanges. *good false:
 * they did not go as expected and nothing of them happened. */
MUST_CHECK bool apply_inside(struct pg_sink *s, const struct batch *batch, unsigned char *fates, bool *good,
                             struct error *err);

/* Into the open exchange: the end of a complete batch's transaction, and the question where the log stands.
 */
MUST_CHECK bool apply_send_commit(struct pg_sink *s, struct error *err);
/* Reads that answer. */
void apply_read_log(struct pg_sink *s, struct sink_result *out);

/* Adds what the answers of reread statements say. tables: by the tag without TAG_REREAD. */
typedef const struct table *apply_tag_table(const void *context, uint32_t tag);
void apply_count_reread(struct pg_sink *s, apply_tag_table *table, const void *context,
                        struct sink_counts *counts);

#endif
