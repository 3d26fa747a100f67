/* SPDX-License-Identifier: PostgreSQL */
#include "mssql/value_zone.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/mem.h"

/* 400 Gregorian years: 146097 days, after which days of the week and so all rules of time zones repeat. */
static const int64_t cycle_us = INT64_C(146097) * 86400 * 1000000;
/* The query's last day, 2450-01-01, since 2000-01-01. */
static const int64_t table_end_us = INT64_C(164360) * 86400 * 1000000;

/* Days, then the hours of days in which the offset changes, then minutes, then seconds. `o` is local time
 * less UTC at `t`, local in one half, UTC in the other. */
#define STEP(from, to, span, each)                                                                           \
    to " AS (SELECT z, g AS t, " OFFSET_AT(                                                                  \
        "g") " AS o FROM " from ", generate_series(t - interval '" span "', t, interval '" each              \
             "') g WHERE o IS DISTINCT FROM before), " to                                                    \
             "_b AS (SELECT *, lag(o) OVER (PARTITION BY z ORDER BY t) AS before FROM " to ")"
#define OFFSET_AT(t)                                                                                         \
    "(CASE WHEN z THEN extract(epoch FROM ((" t " AT TIME ZONE 'UTC') AT TIME ZONE $1) - " t ")"             \
    " ELSE extract(epoch FROM " t " - ((" t " AT TIME ZONE $1) AT TIME ZONE 'UTC')) END)::int4"

const char ms_zone_query[] = "WITH d AS (SELECT z, t, " OFFSET_AT(
    "t") " AS o FROM (VALUES (false), (true)) AS h(z),"
         " generate_series(timestamp '1800-01-01', timestamp '2450-01-01', interval '1 day') AS t),"
         " d_b AS (SELECT *, lag(o) OVER (PARTITION BY z ORDER BY t) AS before FROM d), " STEP(
             "d_b", "h", "1 day",
             "1 hour") ", " STEP("h_b", "m", "1 hour",
                                 "1 minute") ", " STEP("m_b", "s", "1 minute",
                                                       "1 second") " SELECT z, (extract(epoch FROM t - "
                                                                   "timestamp '2000-01-01') * "
                                                                   "1000000)::int8, o FROM s_b"
                                                                   " WHERE o IS DISTINCT FROM before ORDER "
                                                                   "BY z, t";

static void add(struct ms_zone_step **steps, uint32_t *count, struct ms_zone_step step)
{
    assert(*count == 0 || (*steps)[*count - 1].from_us < step.from_us);
    if ((*count & (*count - 1)) == 0)
        *steps = mem_grow(*steps, *count ? (size_t)*count * 2 : 1, sizeof(step));
    (*steps)[(*count)++] = step;
}

void ms_zone_add(struct ms_zone *self, bool is_utc, int64_t from_us, int32_t offset_s)
{
    struct ms_zone_step step = {.from_us = from_us, .offset_s = offset_s};
    if (is_utc)
        add(&self->utc, &self->utc_count, step);
    else
        add(&self->local, &self->local_count, step);
}

void ms_zone_free(struct ms_zone *self)
{
    free(self->local);
    free(self->utc);
    *self = (struct ms_zone){0};
}

static int64_t offset_us(const struct ms_zone_step *steps, uint32_t count, int64_t at)
{
    while (at >= table_end_us)
        at -= cycle_us;
    uint32_t low = 0;
    uint32_t high = count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (steps[middle].from_us <= at)
            low = middle;
        else
            high = middle;
    }
    return count ? (int64_t)steps[low].offset_s * 1000000 : 0;
}

int64_t ms_zone_to_utc(const struct ms_zone *self, int64_t local_us)
{
    return local_us - offset_us(self->local, self->local_count, local_us);
}

int64_t ms_zone_to_local(const struct ms_zone *self, int64_t utc_us)
{
    return utc_us + offset_us(self->utc, self->utc_count, utc_us);
}
