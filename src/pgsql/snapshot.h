/* SPDX-License-Identifier: PostgreSQL
 *
 * A pg_snapshot (xmin:xmax:xip,…) and the question which committed transactions it sees. A keyless table is
 * copied under one snapshot; the stream leaves out, for it, the transactions that the snapshot sees
 * (DESIGN.md rule 6). Pure.
 */
#ifndef PGSQL_SNAPSHOT_H
#define PGSQL_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct snapshot {
    uint64_t xmin, xmax; /* 64-bit transaction ids, epoch included */
    uint64_t *xip;       /* sorted */
    size_t count;
};

/* False if the text is no snapshot. What it takes is freed by snapshot_free. */
bool snapshot_parse(const char *text, struct snapshot *out);
void snapshot_free(struct snapshot *self); /* zeroed is fine */

/* Does it see the changes of this committed top-level transaction? `xid` is the 32-bit id of the stream; it
 * lies within 2^31 of the snapshot, as every transaction that both can meet does. */
bool snapshot_sees(const struct snapshot *self, uint32_t xid);

#endif
