/* SPDX-License-Identifier: PostgreSQL
 *
 * The offsets of one time zone, for naive date-times that go into timestamptz and come back. We keep no time
 * zone database: the target is asked once (ms_zone_query, run by the bridge that has both connections), so
 * that copy and stream give exactly what `AT TIME ZONE` would give there, in gaps and overlaps too.
 * Years after the table are read 400 years earlier, as PostgreSQL does.
 */
#ifndef MSSQL_VALUE_ZONE_H
#define MSSQL_VALUE_ZONE_H

#include <stdbool.h>
#include <stdint.h>

struct ms_zone_step {
    int64_t from_us;  /* microseconds since 2000-01-01 */
    int32_t offset_s; /* seconds east of UTC from there on */
};

struct ms_zone {
    struct ms_zone_step *local; /* by local time, ascending */
    struct ms_zone_step *utc;   /* by UTC */
    uint32_t local_count;
    uint32_t utc_count;
};

/* For the target (PostgreSQL), $1 = the zone's name: rows (is_utc bool, from_us int8, offset_s int4) in
 * order. An unknown name fails there with 22023. */
extern const char ms_zone_query[];

void ms_zone_add(struct ms_zone *self, bool is_utc, int64_t from_us, int32_t offset_s); /* in order */
void ms_zone_free(struct ms_zone *self);                                                /* its contents */

/* Microseconds since 2000-01-01, local to UTC and back. Without steps, both are the same. */
int64_t ms_zone_to_utc(const struct ms_zone *self, int64_t local_us);
int64_t ms_zone_to_local(const struct ms_zone *self, int64_t utc_us);

#endif
