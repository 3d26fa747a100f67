/* SPDX-License-Identifier: PostgreSQL
 *
 * The capture instances that a source reads, known by the object ids of their change tables, and whether what
 * they still have to give is whole. Each is judged alone (hazard 8); a table whose history is gone, or that
 * does not fit its mapping any more, is lost: told once as drift, and not read on.
 *
 * Only for cdc_*.c.
 */
#ifndef MSSQL_CDC_INSTANCE_H
#define MSSQL_CDC_INSTANCE_H

#include "mssql/cdc_poll.h"

struct cdc_instances {
    const struct table_set *tables; /* these three as in struct cdc_source_options */
    const struct ms_value_policy *const *policies;
    int64_t value_limit;
    struct cdc_stream_set set;
    struct cdc_drift *drifts; /* to be told; from drift_at on */
    uint32_t drift_count, drift_at;
    bool *lost;     /* by table id: told, nothing more is handed out */
    int32_t *known; /* object ids of all instances, as the catalog had them */
    uint32_t known_count;
    bool reread; /* instances or definitions changed: read them anew between ranges */
};

/* The streams anew, from the catalog as it is now, for changes behind `end`. No range may be in hand. */
MUST_CHECK bool cdc_instances_read(struct cdc_instances *self, struct ms_conn *conn, struct position end,
                                   struct error *err);
void cdc_instances_free(struct cdc_instances *self);

/* Is everything behind `end` still there, by what the watch saw? ERROR_FATAL when the last table's history is
 * gone, ERROR_REFUSED for a lowest LSN of zeros (hazard 9). */
MUST_CHECK bool cdc_instances_judge(struct cdc_instances *self, const struct cdc_watch *watch,
                                    struct position end, struct error *err);
/* Definitions changed in this range: what does not fit any more is lost before the range's first event. */
MUST_CHECK bool cdc_instances_changed(struct cdc_instances *self, struct ms_conn *conn,
                                      struct cdc_watch *watch, struct position end, struct error *err);
void cdc_instances_lose(struct cdc_instances *self, struct table *table, bool history, const char *text);
bool cdc_instances_any_alive(const struct cdc_instances *self);

#endif
