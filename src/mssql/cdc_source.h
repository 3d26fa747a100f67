/* SPDX-License-Identifier: PostgreSQL
 *
 * Change data capture of a SQL Server database as a struct source (model/source.h): one session, all tables
 * of a set, whole commit LSNs in their order. A position is a commit LSN; `start` is what marker_wait gave,
 * or what the sink has stored.
 *
 * SOURCE_DRIFT always has recopy set, and after it nothing more of that table is handed out: what has been
 * missed can't be parked. ERROR_FATAL: the history of every table is gone, or the position lies beyond what
 * the database has captured (a restore). ERROR_REFUSED: a right is missing.
 */
#ifndef MSSQL_CDC_SOURCE_H
#define MSSQL_CDC_SOURCE_H

#include "model/source.h"
#include "mssql/conn.h"
#include "mssql/value.h"

struct cdc_source_options {
    struct ms_conn_options conn;    /* its strings and server outlive the source */
    const char *pipeline;           /* copied */
    struct position start;          /* POSITION_CDC: resume behind it */
    const struct table_set *tables; /* all captured by cdc; constant; outlives the source */
    /* By table id, one a column; may be NULL, so may each. Outlive the source. */
    const struct ms_value_policy *const *policies;
    int64_t value_limit;      /* 0: none */
    int64_t poll_interval_ms; /* longest pause between polls when there is nothing */
    size_t memory;            /* for pages, one change more; 0: 32 MB */
};

/* Connects, reads the catalog, checks where we stand. */
MUST_CHECK bool cdc_source_open(const struct cdc_source_options *options, struct source **out,
                                struct error *err);

/* For figures; any thread. max: capture has come so far. capture_lag_ms: how old that is by the server's
 * clock, less nothing: an idle database looks up to 5 minutes late, as its capture job says so seldom that
 * there is nothing; -1 before the first poll. */
void cdc_source_progress(const struct source *self, struct position *max, struct position *received,
                         int64_t *capture_lag_ms);

#endif
