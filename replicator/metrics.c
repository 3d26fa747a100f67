/* SPDX-License-Identifier: PostgreSQL
 *
 * Prometheus text format 0.0.4. One table names the metrics; sample lines follow their HELP and TYPE.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "replicator/report.h"

enum metric {
    METRIC_UP,
    METRIC_LAG_BYTES,
    METRIC_LAG_SECONDS,
    METRIC_POSITION_BYTES,
    METRIC_ROWS_TOTAL,
    METRIC_BYTES_TOTAL,
    METRIC_BATCH_ROWS,
    METRIC_BATCH_SECONDS,
    METRIC_RETAINED_WAL_BYTES,
    METRIC_SLOT_LIMIT_SECONDS,
    METRIC_QUARANTINED,
    METRIC_PARKED_ROWS,
    METRIC_CONFLICTS_TOTAL,
    METRIC_ERRORS_TOTAL,
    METRIC_MEMORY_BYTES,
    METRICS
};

static const struct {
    const char *name;
    const char *type;
    const char *help;
} metrics[METRICS] = {
    [METRIC_UP] = {"up", "gauge", "1 while this process runs the pipeline, 0 while it stands by"},
    [METRIC_LAG_BYTES] = {"lag_bytes", "gauge", "WAL of the source that is not applied yet"},
    [METRIC_LAG_SECONDS] = {"lag_seconds", "gauge",
                            "age of the newest applied commit while there is more to apply"},
    [METRIC_POSITION_BYTES] = {"position_bytes", "gauge", "received, applied and confirmed position (op)"},
    [METRIC_ROWS_TOTAL] = {"rows_total", "counter",
                           "rows copied, inserted, updated, deleted, truncated (op)"},
    [METRIC_BYTES_TOTAL] = {"bytes_total", "counter", "bytes copied (op)"},
    [METRIC_BATCH_ROWS] = {"batch_rows", "histogram", "source changes in one applied batch"},
    [METRIC_BATCH_SECONDS] = {"batch_seconds", "histogram", "time to apply one batch"},
    [METRIC_RETAINED_WAL_BYTES] = {"retained_wal_bytes", "gauge", "WAL the source keeps for our slot"},
    [METRIC_SLOT_LIMIT_SECONDS] = {"slot_limit_seconds", "gauge",
                                   "time until the source would drop WAL we need, at its present rate"},
    [METRIC_QUARANTINED] = {"quarantined", "gauge", "changes in quarantine"},
    [METRIC_PARKED_ROWS] = {"parked_rows", "gauge", "changes parked"},
    [METRIC_CONFLICTS_TOTAL] = {"conflicts_total", "counter",
                                "rows missing or already there when applied (op)"},
    [METRIC_ERRORS_TOTAL] = {"errors_total", "counter", "failures by kind (op)"},
    [METRIC_MEMORY_BYTES] = {"memory_bytes", "gauge", "resident memory of this process"},
};

void report_metric_names(struct buffer *out)
{
    for (int m = 0; m < METRICS; m++)
        buffer_printf(out, "crossfade_%s %s %s\n", metrics[m].name, metrics[m].type, metrics[m].help);
}

static void head(struct buffer *out, enum metric m)
{
    buffer_printf(out, "# HELP crossfade_%s %s\n# TYPE crossfade_%s %s\n", metrics[m].name, metrics[m].help,
                  metrics[m].name, metrics[m].type);
}

/* Label values: backslash, quote and newline escaped. */
static void label(struct buffer *out, const char *name, const char *value)
{
    buffer_printf(out, "%s%s=\"", out->data[out->length - 1] == '{' ? "" : ",", name);
    for (const char *p = value; *p; p++) {
        if (*p == '\\' || *p == '"')
            buffer_putc(out, '\\');
        if (*p == '\n')
            buffer_puts(out, "\\n");
        else
            buffer_putc(out, *p);
    }
    buffer_putc(out, '"');
}

struct labels {
    const char *pipeline;
    const char *stream;
    const char *group;
    const char *table;
    const char *op;
};

static void open_sample(struct buffer *out, const char *name, const char *suffix, const struct labels *l)
{
    buffer_printf(out, "crossfade_%s%s{", name, suffix);
    label(out, "pipeline", l->pipeline);
    if (l->stream)
        label(out, "stream", l->stream);
    if (l->group)
        label(out, "group", l->group);
    if (l->table)
        label(out, "table", l->table);
    if (l->op)
        label(out, "op", l->op);
}

static void sample(struct buffer *out, enum metric m, const struct labels *l, double value)
{
    open_sample(out, metrics[m].name, "", l);
    if (isinf(value))
        buffer_puts(out, "} +Inf\n");
    else
        buffer_printf(out, "} %.17g\n", value);
}

static void histogram(struct buffer *out, enum metric m, const struct stats *stats,
                      const struct stats_histogram *h, const uint64_t *bounds, double scale)
{
    struct labels l = {.pipeline = stats->pipeline, .stream = stats_stream_name(stats)};
    uint64_t sum = 0;
    head(out, m);
    for (int i = 0; i < STATS_BUCKETS; i++) {
        sum += h->bucket[i];
        open_sample(out, metrics[m].name, "_bucket", &l);
        buffer_printf(out, ",le=\"%g\"} %" PRIu64 "\n", (double)bounds[i] * scale, sum);
    }
    open_sample(out, metrics[m].name, "_bucket", &l);
    buffer_printf(out, ",le=\"+Inf\"} %" PRIu64 "\n", (uint64_t)h->count);
    open_sample(out, metrics[m].name, "_sum", &l);
    buffer_printf(out, "} %.17g\n", (double)h->sum * scale);
    open_sample(out, metrics[m].name, "_count", &l);
    buffer_printf(out, "} %" PRIu64 "\n", (uint64_t)h->count);
}

static double resident_bytes(void)
{
    double pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f) {
        if (fscanf(f, "%*s %lf", &pages) != 1)
            pages = 0;
        fclose(f);
    }
    return pages * (double)sysconf(_SC_PAGESIZE);
}

/* No sample where the source does not count in bytes. */
static void position_sample(struct buffer *out, const struct labels *stream, const char *op,
                            struct stats_position *at)
{
    struct labels l = *stream;
    struct position p = stats_position_get(at);
    l.op = op;
    if (p.kind == POSITION_LSN || p.kind == POSITION_NONE)
        sample(out, METRIC_POSITION_BYTES, &l, (double)p.low);
}

static void pipeline_metrics(const char *pipeline, struct stats *stats, struct buffer *out)
{
    struct labels p = {.pipeline = pipeline};
    struct labels s = {.pipeline = pipeline, .stream = stats_stream_name(stats)};
    struct report_lag lag = report_lag(stats);
    head(out, METRIC_UP);
    sample(out, METRIC_UP, &p, stats->role == STATS_ACTIVE);
    head(out, METRIC_LAG_BYTES);
    if (lag.known)
        sample(out, METRIC_LAG_BYTES, &s, (double)lag.bytes);
    head(out, METRIC_LAG_SECONDS);
    sample(out, METRIC_LAG_SECONDS, &s, (double)lag.ms / 1000);
    head(out, METRIC_POSITION_BYTES);
    position_sample(out, &s, "received", &stats->received);
    position_sample(out, &s, "applied", &stats->applied);
    position_sample(out, &s, "confirmed", &stats->confirmed);
    head(out, METRIC_RETAINED_WAL_BYTES);
    if (stats->retained_wal_bytes >= 0)
        sample(out, METRIC_RETAINED_WAL_BYTES, &s, (double)stats->retained_wal_bytes);
    head(out, METRIC_SLOT_LIMIT_SECONDS);
    sample(out, METRIC_SLOT_LIMIT_SECONDS, &s,
           stats->slot_limit_seconds >= 0 ? (double)stats->slot_limit_seconds : (double)INFINITY);
    head(out, METRIC_ERRORS_TOTAL);
    for (int k = ERROR_RETRY; k <= ERROR_CANCELED; k++) {
        p.op = error_kind_name((enum error_kind)k);
        sample(out, METRIC_ERRORS_TOTAL, &p, (double)stats->errors[k]);
    }
    p.op = NULL;
    head(out, METRIC_MEMORY_BYTES);
    sample(out, METRIC_MEMORY_BYTES, &p, resident_bytes());
}

/* One sample for one table; called for every table and metric in turn, so that a metric's lines stay
 * together. */
static void table_sample(struct buffer *out, enum metric m, const char *pipeline, const struct stats_table *t)
{
    struct labels l = {.pipeline = pipeline, .group = t->group, .table = t->from};
    const struct {
        enum metric metric;
        const char *op;
        uint64_t value;
    } lines[] = {
        {METRIC_ROWS_TOTAL, "copy", t->rows_copied},     {METRIC_ROWS_TOTAL, "insert", t->inserted},
        {METRIC_ROWS_TOTAL, "update", t->updated},       {METRIC_ROWS_TOTAL, "delete", t->deleted},
        {METRIC_ROWS_TOTAL, "truncate", t->truncated},   {METRIC_BYTES_TOTAL, "copy", t->bytes_copied},
        {METRIC_QUARANTINED, NULL, t->quarantined},      {METRIC_PARKED_ROWS, NULL, t->parked},
        {METRIC_CONFLICTS_TOTAL, "missing", t->missing}, {METRIC_CONFLICTS_TOTAL, "existing", t->existing},
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        l.op = lines[i].op;
        if (lines[i].metric == m)
            sample(out, m, &l, (double)lines[i].value);
    }
}

void report_metrics(const struct config *config, struct stats *stats, struct buffer *out)
{
    static const enum metric by_table[] = {METRIC_ROWS_TOTAL, METRIC_BYTES_TOTAL, METRIC_QUARANTINED,
                                           METRIC_PARKED_ROWS, METRIC_CONFLICTS_TOTAL};
    pipeline_metrics(config->pipeline, stats, out);
    histogram(out, METRIC_BATCH_ROWS, stats, &stats->batch_rows, stats_bounds_rows, 1);
    histogram(out, METRIC_BATCH_SECONDS, stats, &stats->batch_us, stats_bounds_us, 1e-6);
    stats_lock(stats);
    for (size_t m = 0; m < sizeof(by_table) / sizeof(by_table[0]); m++) {
        head(out, by_table[m]);
        for (uint32_t i = 0; i < stats->table_count; i++)
            table_sample(out, by_table[m], config->pipeline, &stats->tables[i]);
    }
    stats_unlock(stats);
}
