/* SPDX-License-Identifier: PostgreSQL
 *
 * Where a stream stands, in the source's own terms. A position is always the end of a whole source
 * commit (or of a stretch of WAL that holds none of ours); it is stored as text and compared in order.
 * PostgreSQL: LSN, 64 bit (as pg_lsn writes it, `16/B374D848`). SQL Server: 10-byte LSN, `0x` and 20 hex
 * digits. Polled sources have a cursor, as JSON: `{"version": 123}` (change tracking), `{"rowversion": 2001}`
 * (everything below it is read), `{"time": 1700000000000000}` (microseconds since 1970, UTC),
 * `{"poll": 7}` (the number of a comparison of whole tables).
 */
#ifndef MODEL_POSITION_H
#define MODEL_POSITION_H

#include <stdbool.h>
#include <stdint.h>

/* Stored as numbers in parked changes: only ever added to. */
enum position_kind {
    POSITION_NONE,
    POSITION_LSN,
    POSITION_CDC,
    POSITION_VERSION,
    POSITION_ROWVERSION,
    POSITION_TIME,
    POSITION_POLL,
    POSITION_KINDS
};

struct position {
    enum position_kind kind;
    uint16_t high; /* the first 2 of the 10 bytes of a SQL Server LSN; 0 otherwise */
    uint64_t low;
};

enum { POSITION_TEXT_SIZE = 48 };

struct position position_lsn(uint64_t lsn);
/* From the 10 bytes of a SQL Server LSN, and back. */
struct position position_cdc(const unsigned char lsn[10]);
void position_cdc_bytes(struct position p, unsigned char out[10]);
/* A polled cursor of that kind. */
struct position position_cursor(enum position_kind kind, uint64_t value);

/* Of a polled source: several transactions may end at the same one, and applying one again does no harm. */
static inline bool position_is_cursor(struct position p)
{
    return p.kind >= POSITION_VERSION;
}

/* How many bytes of the source's log lie between the two, 0 if `to` is not after `from`. False (unknown)
 * where the source does not count in bytes, or a position is not there. */
bool position_distance(struct position from, struct position to, uint64_t *bytes);

/* <0, 0, >0. Both of one kind, or POSITION_NONE, which is before everything. */
int position_compare(struct position a, struct position b);

/* Text as DESIGN.md section 9 pins it; "" for POSITION_NONE. Returns out. */
char *position_format(struct position p, char out[POSITION_TEXT_SIZE]);

/* False if the text is no position. "" gives POSITION_NONE. */
bool position_parse(const char *text, struct position *out);

#endif
