/* SPDX-License-Identifier: PostgreSQL
 *
 * The 10-byte LSN of SQL Server, which is a POSITION_CDC. Pure.
 */
#ifndef MSSQL_CDC_LSN_H
#define MSSQL_CDC_LSN_H

#include "base/buffer.h"
#include "model/position.h"

enum { CDC_LSN_SIZE = 10 };

/* From binary(10) as the server sends it. No bytes (NULL, or another length) are POSITION_NONE. */
struct position cdc_lsn(const void *data, size_t length);
void cdc_lsn_bytes(struct position lsn, unsigned char out[CDC_LSN_SIZE]);
/* 0x and 20 digits: a literal of T-SQL. POSITION_NONE is all zeros. */
void cdc_lsn_put(struct buffer *out, struct position lsn);

/* All zeros, or none: the answer of fn_cdc_get_min_lsn to a wrong name or a missing right (hazard 9). */
bool cdc_lsn_is_zero(struct position lsn);
/* The next and the one before, as fn_cdc_increment_lsn and fn_cdc_decrement_lsn; neither passes an end. */
struct position cdc_lsn_next(struct position lsn);
struct position cdc_lsn_before(struct position lsn);
/* NONE compares as all zeros. */
int cdc_lsn_compare(struct position a, struct position b);

#endif
