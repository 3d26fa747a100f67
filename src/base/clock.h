/* SPDX-License-Identifier: PostgreSQL
 *
 * Time. Deadlines and intervals use the monotonic clock only; the wall clock is for people to read
 * and for lag, never for a decision (hazard 35).
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t clock_ms(void); /* monotonic */
int64_t clock_us(void); /* monotonic */
int64_t
clock_coarse_ms(void);       /* the same clock as clock_ms, up to a tick (10 ms at most) behind, and cheap */
int64_t clock_wall_us(void); /* microseconds since 1970-01-01 UTC */

/* Microseconds between 1970-01-01 and 2000-01-01, where PostgreSQL's timestamps begin. */
#define CLOCK_PG_EPOCH_US INT64_C(946684800000000)

/* "2026-11-20T13:21:46.123Z" into out (at least 32 bytes). Returns out. */
char *clock_format(int64_t wall_us, char *out, size_t size);

#endif
