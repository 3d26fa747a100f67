/* SPDX-License-Identifier: PostgreSQL
 *
 * The captures of a PostgreSQL that poll its tables, as a reader of a polled source (model/polled.h):
 * timestamp and snapshot, for servers whose WAL can't be had. Values are text.
 *
 * A round reads all tables under one snapshot. Timestamp: its position is the server's clock before that
 * snapshot was taken; rows whose updated_at is not older than `overlap` behind the round before, of those
 * only what differs from what was seen there last; rows with a NULL there come after each sweep. A column
 * without a zone may hold UTC or the server's local time, so the earlier of the two counts. Snapshot: each
 * table whole, of which only what differs is handed out; the position counts the rounds.
 */
#ifndef PGSQL_POLL_H
#define PGSQL_POLL_H

#include "model/config.h"
#include "model/polled.h"
#include "pgsql/catalog.h"
#include "pgsql/conn.h"

struct pg_poll_options {
    struct pg_conn_options conn; /* its strings outlive the reader */
    enum capture_kind capture;
    const struct table_set *tables;  /* constant; outlives the reader */
    const struct polled_time *times; /* by table id; timestamp only. Copied, but for its strings */
    polled_load *load;               /* snapshot only */
    void *load_context;
};

MUST_CHECK bool pg_poll_open(const struct pg_poll_options *options, struct polled_reader **out,
                             struct error *err);

/* Timestamp: where the source stands now. */
MUST_CHECK bool pg_poll_position(struct pg_conn *conn, struct position *out, struct error *err);

bool pg_poll_is_time(const struct pg_column *column); /* may be updated_at */

#endif
