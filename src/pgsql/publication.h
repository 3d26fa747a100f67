/* SPDX-License-Identifier: PostgreSQL
 *
 * What a publication on the source holds, asked the same way before the stream and by `crossfade check`.
 */
#ifndef PGSQL_PUBLICATION_H
#define PGSQL_PUBLICATION_H

#include "base/buffer.h"

/* Appends the query for (schema, name) of all that the publication holds on a server of that version. A
 * partitioned table is among it only if it is there itself, with all leaves it has and will ever have: that
 * some of its leaves are listed by name is not enough. Those are there, too. */
void publication_tables_sql(struct buffer *out, int version, const char *publication);

#endif
