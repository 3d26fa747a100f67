/* SPDX-License-Identifier: PostgreSQL
 *
 * COPY from one PostgreSQL to another: the source's COPY TO STDOUT poured into the sink's COPY FROM STDIN,
 * BINARY where all carried types agree, else text. Completion is a positive fact: the source's command tag
 * and the sink's must both arrive and agree on the row count (hazard 30). A source that is no PostgreSQL
 * fills the sink's COPY itself.
 */
#ifndef PGSQL_COPY_H
#define PGSQL_COPY_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/buffer.h"
#include "model/table.h"
#include "pgsql/conn.h"

struct copy_range { /* rows with low < key <= high, in the source's order; NULL: open; text values, one per
                       key column */
    char *const *low;
    char *const *high;
};

/* COPY (SELECT … ) TO STDOUT for a table; range may be NULL (whole table). A plain table is read alone
 * (ONLY), a partitioned one through its root. */
void copy_out_sql(const struct table *table, const struct copy_range *range, bool binary, struct buffer *out);
/* The part of COPY … FROM STDIN after the relation. */
void copy_in_columns(const struct table *table, bool binary, struct buffer *out);
/* (t."k1", t."k2") > ('…'::type, …): the source's key against a bound. `comparison` is the operator. */
void copy_key_bound(const struct table *table, const char *comparison, char *const *key, struct buffer *out);

struct copy_progress {
    _Atomic uint64_t rows; /* counted as they pass, where the format tells; corrected at the end */
    _Atomic uint64_t bytes;
};

/* Asked after every piece, and with 0 bytes about ten times a second while a server is waited for: may block
 * to keep the rate, returns false to stop (ERROR_CANCELED). */
typedef bool copy_gate(void *context, size_t bytes);

/* The sink is in a transaction of the caller's, the source in one too or not (one COPY is one snapshot). On
 * false both connections are only to be closed: a cancel request may be under way to either. */
MUST_CHECK bool copy_run(struct pg_conn *source, const char *out_sql, struct pg_conn *sink,
                         const char *in_sql, copy_gate *gate, void *context, struct copy_progress *progress,
                         uint64_t *rows, struct error *err);

/* --- a COPY that is filled by hand --- */

struct copy_pump;
/* Puts the whole stream (with `copy_put`) and tells how many rows it was by its own server's word. */
typedef bool copy_fill(void *context, struct copy_pump *pump, uint64_t *rows, struct error *err);

/* As copy_run, with `fill` in place of a source. */
MUST_CHECK bool copy_fill_run(struct pg_conn *sink, const char *in_sql, copy_fill *fill, void *fill_context,
                              copy_gate *gate, void *context, struct copy_progress *progress, uint64_t *rows,
                              struct error *err);
/* A piece of some size: each is a message. Returns when it has left, the gate's answer included. */
MUST_CHECK bool copy_put(struct copy_pump *pump, const char *data, size_t size, struct error *err);

#endif
