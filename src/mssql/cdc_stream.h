/* SPDX-License-Identifier: PostgreSQL
 *
 * One capture instance of one mapped table, read in pages along its key (cdc_merge.h), and the set of them
 * that a source reads. A stream has the table's changes from `first` up to before `limit`: where a table has
 * a second, newer instance, the older one ends where that one begins (hazard 12).
 *
 * Only for cdc_*.c.
 */
#ifndef MSSQL_CDC_STREAM_H
#define MSSQL_CDC_STREAM_H

#include "base/arena.h"
#include "mssql/cdc_merge.h"
#include "mssql/row.h"

struct cdc_row {
    struct cdc_key key;
    struct value *values; /* table->column_count; large ones that were not changed are VALUE_ABSENT already */
};

struct cdc_stream {
    struct table *table;
    int32_t source_id; /* object id of the source table */
    int32_t object_id; /* of the change table */
    char *instance;
    char *change_table; /* [cdc].[…_CT] */
    bool has_command_id;
    struct position first; /* inclusive; NONE: from wherever we stand */
    struct position limit; /* exclusive; NONE: no end */
    struct position skip;  /* changes up to here are in the table's copy (keyless tables); NONE: none */
    bool lost;             /* told as drift: nothing more is read of it */
    struct ms_row_plan plan;
    uint16_t *ordinals; /* a table column: its ordinal in the instance */

    /* The range that is read now. */
    struct position from, to; /* from < lsn <= to */
    bool exhausted;           /* everything of the range is in `rows` or was handed out */
    bool paged;               /* `last` is the last row taken: go on behind it */
    struct cdc_key last;
    struct arena *arena; /* of `rows` */
    struct cdc_row *rows;
    uint32_t count, capacity, at;
    size_t bytes;
};

struct cdc_stream_set {
    struct cdc_stream **streams;
    uint32_t count;
};

/* What is wrong with a table, to be told as SOURCE_DRIFT. */
struct cdc_drift {
    struct table *table;
    bool history; /* what is wrong is that changes are gone */
    char text[800];
};

/* The streams that bring every change of these tables after `position`. A table that can't be followed from
 * there gets a drift instead (appended, *drifts is mem_grow'n) and no stream. policies: by table id, each one
 * a column; may be NULL, so may each. */
MUST_CHECK bool cdc_streams_make(const struct ms_catalog *catalog, const struct table_set *tables,
                                 const struct ms_value_policy *const *policies, int64_t value_limit,
                                 struct position position, struct cdc_stream_set *out,
                                 struct cdc_drift **drifts, uint32_t *drift_count, struct error *err);
void cdc_streams_free(struct cdc_stream_set *self);

/* from < lsn <= to, cut to what this stream has; nothing read yet. */
void cdc_stream_begin(struct cdc_stream *self, struct position from, struct position to);
/* It has neither a row nor its end: it must be read before the merge can go on. */
bool cdc_stream_is_hungry(const struct cdc_stream *self);

/* One SELECT of the next page, with the variables @from, @to and, for a later page, @command, @seqval,
 * @operation. `own`: T-SQL that is true for LSNs to be left out, or NULL. */
enum { CDC_PAGE_ROWS = 1000 };
void cdc_stream_put_page(const struct cdc_stream *self, const char *own, struct buffer *out);
/* The values for those variables: ", @from = 0x…, …". */
void cdc_stream_put_values(const struct cdc_stream *self, struct buffer *out);

/* Takes the rows of the present result set until it ends or `room` bytes are held (at least one change).
 * *stopped: the room was used up, the set is not read to its end. */
MUST_CHECK bool cdc_stream_take(struct cdc_stream *self, struct ms_conn *conn, size_t room,
                                struct buffer *scratch, bool *stopped, struct error *err);

#endif
