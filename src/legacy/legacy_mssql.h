/* SPDX-License-Identifier: PostgreSQL
 *
 * What the SQL Server legacy's own files share.
 */
#ifndef LEGACY_LEGACY_MSSQL_H
#define LEGACY_LEGACY_MSSQL_H

#include "legacy/legacy_driver.h"
#include "legacy/mssql_policy.h"
#include "mssql/catalog.h"
#include "mssql/conn.h"

struct legacy_mssql {
    struct legacy base;
    struct ms_conn conn;
    const struct config *config;
    struct ms_catalog catalog; /* as read by `pair` last */
    struct mssql_zones zones;  /* of the tables that were paired: they outlive its copies and streams */
    int64_t retention_minutes; /* of change tables: 0 not asked yet, -1 unknown */
};

/* Connects for a job. */
MUST_CHECK bool mssql_connect(const struct legacy_options *options, struct ms_conn *out, struct error *err);

/* legacy_mssql_capture.c */
/* What keeps a table, or all of them, from being streamed: findings. */
void mssql_capture_findings(const struct config *config, const struct ms_catalog *catalog,
                            struct pairing *pairing);
MUST_CHECK bool mssql_history(struct legacy_mssql *self, const struct legacy_notes *notes, bool *first,
                              struct error *err);
/* At the first start: the marker's LSN as the start, and the fingerprint. */
MUST_CHECK bool mssql_capture(struct legacy_mssql *self, const struct legacy_notes *notes,
                              const struct table_set *tables, bool first, struct error *err);
/* Before copies: which instance, and from where on it has the changes of tables in TABLE_INIT, is stored. */
MUST_CHECK bool mssql_begin_copies(struct legacy_mssql *self, const struct legacy_notes *notes,
                                   const struct table_set *tables, struct error *err);
/* Sets captured_from of tables that are not streaming yet. */
MUST_CHECK bool mssql_find_begins(const struct legacy_notes *notes, const struct table_set *tables,
                                  struct error *err);
/* A marker committed now, once it is captured: whatever we have seen before is before that. */
MUST_CHECK bool mssql_mark(struct legacy_mssql *self, const struct legacy_notes *notes, struct position *out,
                           struct error *err);

/* Is its copy still to begin? One that is copied anew as asked has nothing of the old copy left. */
MUST_CHECK bool mssql_is_to_begin(const struct legacy_notes *notes, const struct table *t, bool *out,
                                  struct error *err);
/* For a fingerprint. */
struct history;
struct cJSON;
void mssql_add_facts(struct cJSON *json, const struct history *history);

/* legacy_mssql_poll.c */
enum capture_kind mssql_capture_kind(const struct config *config); /* of all tables of the pipeline */
bool mssql_is_polled(const struct config *config);                 /* not by cdc */
/* Findings; and the tables are marked as such whose changes converge. */
void mssql_poll_findings(const struct config *config, const struct ms_catalog *catalog,
                         struct pairing *pairing);
/* At the first start: the fingerprint, with the position that the stream begins at. */
MUST_CHECK bool mssql_poll_capture(struct legacy_mssql *self, const struct legacy_notes *notes, bool first,
                                   struct error *err);
/* Before copies: where tracking of tables in TABLE_INIT began is stored. */
MUST_CHECK bool mssql_poll_begin_copies(struct legacy_mssql *self, const struct legacy_notes *notes,
                                        const struct table_set *tables, struct error *err);
/* The entry of `tables` that names it; NULL: none. */
const struct config_table *mssql_table_entry(const struct config *config, const struct table *t);
/* Where the source ends now. */
MUST_CHECK bool mssql_poll_end(struct legacy_mssql *self, const struct legacy_notes *notes,
                               struct position *out, struct error *err);
MUST_CHECK bool mssql_poll_stream(const struct legacy_notes *notes, const struct table_set *tables,
                                  struct position start, struct source **out, struct error *err);

/* legacy_mssql_rows.c */
MUST_CHECK bool mssql_fetch(struct legacy_mssql *self, const struct legacy_notes *notes,
                            const struct table *table, char *const *const *keys, size_t count,
                            struct legacy_rows *out, struct error *err);
/* CREATE TEMP TABLE with a column c<i> of its carrier's type for each carried column, dropped at the
 * transaction's end. `lead` (may be NULL) stands before them. */
void mssql_carrier_table(const struct table *table, const char *name, const char *lead, struct buffer *sql);
/* c<i> as a value of the sink column. */
void mssql_carrier_value(const struct column *column, uint16_t i, struct buffer *sql);

/* legacy_mssql_copy.c */
MUST_CHECK bool mssql_copy_open(const struct legacy_options *options, struct legacy_copy **out,
                                struct error *err);

#endif
