/* SPDX-License-Identifier: PostgreSQL
 *
 * What the readers of poll.h are made of: the tables, and the SQL of each kind. Only for poll*.c.
 */
#ifndef MSSQL_POLL_PART_H
#define MSSQL_POLL_PART_H

#include "model/seen.h"
#include "mssql/poll.h"
#include "mssql/row.h"

struct ms_poll_table {
    struct table *table;
    int32_t object_id;
    char *from; /* [schema].[table] */
    bool memory_optimized;
    struct ms_row_plan plan;
    struct ms_row_plan keys; /* of the key's columns alone, in the key's order */
    struct table *key_image; /* what `keys` was made of */
    char *column;            /* [t].[…]: of type rowversion, or updated_at */
    char *column_type;       /* timestamp: as T-SQL declares it */
    bool zoned;              /* … it has a zone */
    char *soft;              /* timestamp: T-SQL that is true for a row that counts as deleted; NULL: none */
    int64_t overlap_us;
    bool begun_reading; /* timestamp: soft-deleted rows of any age have been read; snapshot: loaded */
    bool nulls;         /* timestamp: NULLs are due */
    bool nulls_now;     /* … and are in this round */
    struct seen seen;
    int64_t begun; /* change tracking: begin_version as seen first; -1: not yet */
    bool lost;
    bool told;
    char text[800]; /* lost: why */
};

/* From the catalog; what does not fit makes it lost. */
void ms_poll_table_make(const struct ms_catalog *catalog, const struct ms_poll_options *options,
                        struct table *table, struct ms_poll_table *out);
void ms_poll_table_free(struct ms_poll_table *self);
void ms_poll_table_lose(struct ms_poll_table *self, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The round's rows of a table. Change tracking: is the row there, the key, the row. Timestamp: does it count
 * as deleted, has it no time, the row. Else the row. zone_minutes: the server's clock east of UTC. */
void ms_poll_put_rows(const struct ms_poll_table *t, enum capture_kind capture, struct position from,
                      struct position to, int64_t zone_minutes, struct buffer *sql);
/* Rowversion: the number of the row that is `rows` rows behind `from`, if there are so many. */
void ms_poll_put_cut(const struct ms_poll_table *t, struct position from, struct position to, int64_t rows,
                     struct buffer *sql);

/* The reader. */
struct ms_poll {
    struct polled_reader base;
    struct ms_poll_options o;
    struct ms_conn conn;
    struct ms_poll_table *tables;
    uint32_t count;
    bool snapshot; /* reads under SNAPSHOT isolation */
    struct polled_time *times;
    char *defined; /* when some table's definition changed last, by the server */
    struct buffer scratch;
    /* the round */
    struct position from, to;
    uint32_t at;      /* of tables */
    bool started;     /* its rows are being read */
    bool transaction; /* the reading one is open */
    int64_t zone_minutes;
};

/* poll_look.c */
void ms_poll_tables_free(struct ms_poll *self);
MUST_CHECK bool ms_poll_look_at_definitions(struct ms_poll *self, struct error *err);
/* Is the history of each table whole behind where we stand? Not inside a SNAPSHOT transaction. */
MUST_CHECK bool ms_poll_look_at_history(struct ms_poll *self, struct error *err);
/* Behind which version must this table's history be whole? */
uint64_t ms_poll_base(const struct ms_poll *self, const struct ms_poll_table *t);
enum position_kind ms_poll_kind(enum capture_kind capture);
MUST_CHECK bool ms_poll_look(struct polled_reader *base, struct position from, struct polled_round *out,
                             struct error *err);
/* The reading transaction. */
MUST_CHECK bool ms_poll_begin(struct ms_poll *self, struct error *err);
MUST_CHECK bool ms_poll_end(struct ms_poll *self, struct error *err);

#endif
