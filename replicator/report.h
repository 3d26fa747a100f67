/* SPDX-License-Identifier: PostgreSQL
 *
 * The replicator's figures as text: the status JSON (DESIGN.md section 9, the same shape that `crossfade
 * status
 * --json` prints) and Prometheus metrics. Reads stats, decides nothing.
 */
#ifndef REPLICATOR_REPORT_H
#define REPLICATOR_REPORT_H

#include "base/buffer.h"
#include "model/config.h"
#include "replicator/stats.h"

void report_status(const struct config *config, struct stats *stats, struct buffer *out);
void report_metrics(const struct config *config, struct stats *stats, struct buffer *out);

/* Every metric as "name type help", one a line: for the check that the man page lists each. */
void report_metric_names(struct buffer *out);

/* Where a group stands, from its tables: the state furthest from streaming; stopped and drift before all.
 * stats locked. */
enum table_state report_group_state(const struct stats *stats, const char *group);
/* The group `index` in order of first appearance, or NULL. stats locked. */
const char *report_group_name(const struct stats *stats, uint32_t index);

struct report_lag {
    bool known; /* the source counts in bytes */
    uint64_t bytes;
    int64_t ms;
};
struct report_lag report_lag(struct stats *stats);

#endif
