/* SPDX-License-Identifier: PostgreSQL
 *
 * One exchange of a libpq pipeline: statements are queued and sent while answers are read, so that neither
 * side can wait for the other with both buffers full; at its end every answer has been seen. The first
 * failure of a statement is kept with its tag (the server skips what follows it); a lost link fails the call.
 *
 *     pipe_begin -> pipe_prepare / pipe_execute / pipe_sql … -> pipe_end
 */
#ifndef PGSQL_PIPE_H
#define PGSQL_PIPE_H

#include <stdatomic.h>
#include <stdint.h>

#include "pgsql/conn.h"

/* Tags are the caller's: which change or step a statement belongs to. */
enum { PIPE_NO_TAG = UINT32_MAX };

struct pipe_entry {
    int64_t rows;   /* the answer's row count; -1 without one */
    bool *prepared; /* set once this PREPARE is known to have worked; NULL: an execution */
    uint32_t tag;
    bool keep;
};

struct pipe_failure {
    struct error error; /* ERROR_NONE: none failed */
    uint32_t tag;
    char schema[64], table[64], constraint[64]; /* as the server names them; may be empty */
};

struct pipe {
    struct pg_conn *conn;
    _Atomic bool canceled; /* set by pipe_cancel from any thread */
    struct pipe_entry *entries;
    size_t count, capacity;
    size_t answered;
    size_t queued; /* bytes of parameters since the last flush */
    struct pipe_failure failure;
    PGresult
        *kept; /* the answer of the last entry sent with keep; freed by the next pipe_begin or pipe_free */
};

void pipe_init(struct pipe *self, struct pg_conn *conn);
void pipe_free(struct pipe *self);

MUST_CHECK bool pipe_begin(struct pipe *self, struct error *err);
MUST_CHECK bool pipe_prepare(struct pipe *self, const char *name, const char *sql, bool *known, uint32_t tag,
                             struct error *err);

/* Arguments of one execution, all of them in binary format unless formats says 0. */
struct pipe_args {
    const char *const *values;
    const int *lengths;
    const int *formats;
    int count;
};
MUST_CHECK bool pipe_execute(struct pipe *self, const char *name, const struct pipe_args *args, uint32_t tag,
                             struct error *err);
/* The same for a statement that is not worth preparing. */
MUST_CHECK bool pipe_query(struct pipe *self, const char *sql, const struct pipe_args *args, uint32_t tag,
                           struct error *err);
/* And with text parameters. */
MUST_CHECK bool pipe_sql(struct pipe *self, const char *sql, int count, const char *const *values,
                         uint32_t tag, struct error *err);

/* The answer of what was queued last is to be kept. */
void pipe_keep(struct pipe *self);

/* Waits until all that was queued is with the kernel, reading answers meanwhile: bounds libpq's buffer. */
MUST_CHECK bool pipe_flush(struct pipe *self, struct error *err);

/* The same, but only if much is queued: for between statements of one exchange. */
MUST_CHECK bool pipe_pace(struct pipe *self, struct error *err);

/* Sync, and all answers. True if the link is whole: look at failure.error.kind then. */
MUST_CHECK bool pipe_end(struct pipe *self, struct error *err);

void pipe_cancel(
    struct pipe *self); /* from any thread: a waiting call ends with ERROR_CANCELED in a second */

#endif
