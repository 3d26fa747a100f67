/* SPDX-License-Identifier: PostgreSQL
 *
 * The order of change rows, within one change table and across several (hazard 10): commit LSN, command id,
 * seqval, operation. It is the order of SQL Server's own index on a change table, so that a page, the next
 * page and the merge agree. A command id of NULL (rows from before sp_cdc_vupgrade) is before every other, as
 * the server sorts it; such a transaction has none but NULLs, so it is ordered by seqval. Pure.
 */
#ifndef MSSQL_CDC_MERGE_H
#define MSSQL_CDC_MERGE_H

#include <stdbool.h>
#include <stdint.h>

#include "model/position.h"

enum cdc_operation { CDC_DELETE = 1, CDC_INSERT = 2, CDC_UPDATE_OLD = 3, CDC_UPDATE_NEW = 4 };

struct cdc_key {
    struct position lsn;
    struct position seqval; /* binary(10) too */
    int32_t command;
    bool command_null;
    uint8_t operation; /* enum cdc_operation */
};

int cdc_key_compare(const struct cdc_key *a, const struct cdc_key *b);
/* Op 3 and the op 4 that belongs to it. */
bool cdc_key_is_pair(const struct cdc_key *old_row, const struct cdc_key *new_row);

/* k streams, each in order, each with a present key; the least first. Ties, which no server makes, go to the
 * stream with the lower number. */
struct cdc_merge {
    struct cdc_merge_item {
        struct cdc_key key;
        uint32_t stream;
    } * items; /* a heap */
    uint32_t count, capacity;
};

void cdc_merge_free(struct cdc_merge *self);
void cdc_merge_clear(struct cdc_merge *self);
void cdc_merge_push(struct cdc_merge *self, uint32_t stream, const struct cdc_key *key);
/* The least; NULL: nothing left. Valid until the next call. */
const struct cdc_merge_item *cdc_merge_least(const struct cdc_merge *self);
void cdc_merge_pop(struct cdc_merge *self);

#endif
