/* SPDX-License-Identifier: PostgreSQL
 *
 * One db-lib connection of ours, every session setting pinned that could change what values look like or what
 * a statement does (hazard 47), and with failures told apart into kinds. One thread at a time uses a
 * connection; only ms_conn_cancel and ms_conn_abort may be called from another.
 *
 * A command is read to its end or cancelled before the next one starts: every function here leaves the
 * connection either ready or dead (ms_conn_alive), never with results pending, ms_query_start/…_stop apart.
 * An error of the server at any place of a command fails the command, also after rows have come: the end of
 * the rows is believed only if no error was heard (hazard 30).
 */
#ifndef MSSQL_CONN_H
#define MSSQL_CONN_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "model/config.h"
#include "mssql/datum.h"
#include "mssql/ms_error.h"

struct tds_dblib_dbprocess; /* DBPROCESS of sybdb.h */

struct ms_conn_options {
    const struct config_sqlserver *server;
    const char *pipeline;
    const char *job;      /* application name is crossfade:<pipeline>:<job> */
    const char *endpoint; /* "legacy": for messages */
    const char *database; /* NULL: the server's own of the config */
    int connect_timeout_ms;
    int query_timeout_ms; /* longest wait for the server's next bytes; 0: none. Seconds, rounded up */
    int lock_timeout_ms;  /* LOCK_TIMEOUT; 0: 10 s; -1: waits for ever */
    int64_t value_limit; /* UTF-8 bytes of a value that must still come whole; 0: the largest there is. Longer
                            ones are cut without a word: compare with DATALENGTH */
    bool bulk;           /* bcp is allowed on this connection */
    bool read_only;      /* ApplicationIntent=ReadOnly */
};

struct ms_conn {
    struct tds_dblib_dbprocess *db; /* NULL: closed */
    int version;                    /* major version: 13 is 2016, 14 2017, 15 2019, 16 2022 */
    int edition;      /* SERVERPROPERTY('EngineEdition'): 2 Standard, 3 Enterprise, 4 Express, 5 Azure SQL
                         Database, 8 Managed Instance */
    char product[32]; /* SERVERPROPERTY('ProductVersion'): 15.0.4153.1 */
    char endpoint[16];
    char where[300]; /* "host:port/database", for messages */
    char database[132];
    int spid;                    /* @@SPID */
    struct ms_messages messages; /* of the command that runs or ran last */
    bool damaged;    /* since it was last set to false: characters of a value were replaced or cut (fact 8) */
    bool in_results; /* between ms_query_start and the end */
    int64_t rows;    /* affected by the last statement that counts, -1: none */
    int columns;     /* of the present result set */
    int socket;      /* a duplicate, so that shutting it down can never hit another's descriptor; -1: none */
    int grace;       /* seconds since the attention was sent */
    _Atomic bool canceled;
};

/* Connects within connect_timeout_ms, pins the session, reads the pins back. ms_shim_start was called. Until
 * it returned, nobody may cancel; afterwards the struct must stay where it is. */
MUST_CHECK bool ms_conn_open(struct ms_conn *self, const struct ms_conn_options *options, struct error *err);
void ms_conn_close(struct ms_conn *self); /* closed or zeroed is fine */
/* False once the link is lost or was given up. Asks the library, not the server. */
bool ms_conn_alive(const struct ms_conn *self);

/* One batch, rows thrown away, read to the end. *rows (may be NULL): of the last statement that counts, or
 * -1. */
MUST_CHECK bool ms_exec(struct ms_conn *self, const char *sql, struct error *err);
MUST_CHECK bool ms_exec_count(struct ms_conn *self, const char *sql, int64_t *rows, struct error *err);

enum ms_next { MS_ROW, MS_END, MS_FAILED };

/* Sends one batch and goes to its first result set with columns; self->columns tells how many, 0: none came
 * and the batch is over. */
MUST_CHECK bool ms_query_start(struct ms_conn *self, const char *sql, struct error *err);
/* MS_END: the set is over (ms_query_next_set goes to the next). MS_FAILED: the batch is cancelled and err
 * filled. ERROR_CANCELED soon after ms_conn_cancel, at the latest with the next row or a second later. */
MUST_CHECK enum ms_next ms_query_next(struct ms_conn *self, struct error *err);
/* After MS_END: MS_ROW when there is another set with columns, MS_END when the whole batch is over and was
 * good. */
MUST_CHECK enum ms_next ms_query_next_set(struct ms_conn *self, struct error *err);
/* Gives up what is left, if anything is. */
void ms_query_stop(struct ms_conn *self);

/* Columns count from 0. */
struct ms_datum ms_column(struct ms_conn *self, int column);
const char *ms_column_name(struct ms_conn *self, int column);
int ms_column_type(struct ms_conn *self, int column);
/* The largest length of the column in bytes as the server declared it; -1 or 2147483647 for max types. */
int ms_column_size(struct ms_conn *self, int column);

/* The value of a column as text for catalogs and messages (not for rows): appended; false for NULL. Integers,
 * floats, bit, text, binary as 0x…, uniqueidentifier; other types by db-lib's conversion. */
bool ms_column_text(struct ms_conn *self, int column, struct buffer *out);
/* Integers of any width and bit; 0 for NULL. */
int64_t ms_column_int(struct ms_conn *self, int column);

/* Called for each row; returns false to stop with err set. */
typedef bool (*ms_row_fn)(void *context, struct ms_conn *self, struct error *err);
/* The rows of the first result set through `row`; the rest of the batch must succeed too. */
MUST_CHECK bool ms_query(struct ms_conn *self, const char *sql, ms_row_fn row, void *context,
                         struct error *err);
/* One value of exactly one row, as text; empty if NULL. *is_null may be NULL. ERROR_REFUSED for other counts.
 */
MUST_CHECK bool ms_query_one(struct ms_conn *self, const char *sql, char *out, size_t size, bool *is_null,
                             struct error *err);
/* The same as an integer; NULL is 0. */
MUST_CHECK bool ms_query_int(struct ms_conn *self, const char *sql, int64_t *out, struct error *err);

/* XACT_ABORT is ON: after an error the transaction is gone. BEGIN checks that none is open. */
MUST_CHECK bool ms_begin(struct ms_conn *self, struct error *err);
MUST_CHECK bool ms_commit(struct ms_conn *self, struct error *err);
/* If one is open. Failing to is told, and the connection then closed: it must not be used on. */
MUST_CHECK bool ms_rollback(struct ms_conn *self, struct error *err);

/* From any thread. cancel: the command that runs gets an attention within a second and ends with
 * ERROR_CANCELED, and so does every later one until ms_conn_resume. abort: the link is cut at once; the
 * connection is dead. */
void ms_conn_cancel(struct ms_conn *self);
void ms_conn_abort(struct ms_conn *self);
void ms_conn_resume(struct ms_conn *self); /* by the owner: forgets a cancel */

/* For bcp and others that call db-lib on self->db themselves: between the two, messages are collected; end is
 * false with err set if `ok` is false or an error was heard, and then cancels what is pending. */
void ms_conn_call(struct ms_conn *self);
MUST_CHECK bool ms_conn_called(struct ms_conn *self, bool ok, struct error *err);

#endif
