/* SPDX-License-Identifier: PostgreSQL
 *
 * Where a stream stands, in the source's own terms. A position is always the end of a whole source
 * commit (or of a stretch of WAL that holds none of ours); it is stored as text and compared in order.
 * PostgreSQL: LSN, 64 bit (as pg_lsn writes it, `16/B374D848`). SQL Server: 10-byte LSN, `0x` and 20 hex
 * digits.
 */
#ifndef MODEL_POSITION_H
#define MODEL_POSITION_H

#include <stdbool.h>
#include <stdint.h>

enum position_kind { POSITION_NONE, POSITION_LSN, POSITION_CDC };

struct position {
    enum position_kind kind;
    uint16_t high; /* the first 2 of the 10 bytes of a SQL Server LSN; 0 otherwise */
    uint64_t low;
};

enum { POSITION_TEXT_SIZE = 24 };

struct position position_lsn(uint64_t lsn);

/* <0, 0, >0. Both of one kind, or POSITION_NONE, which is before everything. */
int position_compare(struct position a, struct position b);

/* Text as DESIGN.md section 9 pins it; "" for POSITION_NONE. Returns out. */
char *position_format(struct position p, char out[POSITION_TEXT_SIZE]);

/* False if the text is no position. "" gives POSITION_NONE. */
bool position_parse(const char *text, struct position *out);

#endif
