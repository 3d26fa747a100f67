/* SPDX-License-Identifier: PostgreSQL
 *
 * The captures of a SQL Server that poll its tables, as readers of a polled source (model/polled.h). What a
 * row is now comes as a CHANGE_UPDATE with every column, what is gone as a CHANGE_DELETE by key.
 *
 * Change tracking: net changes behind a version. The round's version is read first, inside the reading
 * transaction; under SNAPSHOT isolation a round is one state of the database, else tables may disagree until
 * the next one. The lowest valid versions are looked at before and, the transaction over, after reading: a
 * table whose history was thrown away (retention) or reset (TRUNCATE) is lost; all of them are ERROR_FATAL.
 *
 * Rowversion: rows with last <= rowversion < bound. The bound, MIN_ACTIVE_ROWVERSION(), is a statement of its
 * own before the reading transaction (hazard 49): whatever got a lower number has ended by then, so the reads
 * see it; what is open keeps the bound down. Deleted rows are for the sweep.
 *
 * Timestamp: rows whose column updated_at is not older than `overlap` behind the round before, by the
 * server's clock alone; of those only what differs from what was seen there last. Rows with a NULL there come
 * after each sweep. The position is UTC; a column without a zone may hold UTC or the server's local time, so
 * the earlier of the two counts.
 *
 * Snapshot: each table whole, of which only what differs from what was seen last (at the start: from what the
 * sink has) is handed out. The position counts the rounds.
 */
#ifndef MSSQL_POLL_H
#define MSSQL_POLL_H

#include "model/polled.h"
#include "mssql/catalog.h"
#include "mssql/conn.h"

struct ms_poll_options {
    struct ms_conn_options conn; /* its strings and server outlive the reader */
    enum capture_kind capture;
    const struct table_set *tables; /* constant; outlives the reader */
    int64_t value_limit;
    const struct polled_time *times; /* by table id; timestamp only. Copied, but for its strings */
    polled_load *load;               /* snapshot only */
    void *load_context;
    int64_t round_rows; /* a round is cut where a table has more; 0: 20,000. Rowversion only */
};

/* Connects, reads the catalog. A table that can't be read comes as lost with the first round. */
MUST_CHECK bool ms_poll_open(const struct ms_poll_options *options, struct polled_reader **out,
                             struct error *err);

/* Where the source stands now: what a statement of ours has seen so far is before that. Not for snapshot. */
MUST_CHECK bool ms_poll_position(struct ms_conn *conn, enum capture_kind capture, struct position *out,
                                 struct error *err);

/* The column of type rowversion; NULL: it has none. */
const struct ms_catalog_column *ms_poll_rowversion(const struct ms_catalog_table *table);
bool ms_poll_is_time(const struct ms_catalog_column *column); /* may be updated_at */
/* Has it a usable index that begins with that column? */
bool ms_poll_is_indexed(const struct ms_catalog_table *table, const struct ms_catalog_column *column);
/* Is the table's key, as paired, the primary key? */
bool ms_poll_has_primary_key(const struct ms_catalog_table *source, const struct table *table);

#endif
