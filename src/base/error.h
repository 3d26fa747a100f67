/* SPDX-License-Identifier: PostgreSQL
 *
 * What went wrong, for whoever has to decide. The function that detects a failure fills the caller's
 * struct; functions on the way up may prefix; one owner logs it once and acts on the kind. Fixed size,
 * no allocation, so an error can always be told, out of memory included.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdbool.h>
#include <stddef.h>

#define MUST_CHECK             __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/* The kind says what the owner must decide. Exit statuses of one-shot commands are in brackets. */
enum error_kind {
    ERROR_NONE = 0,
    ERROR_RETRY,   /* link lost, server away or restarting, deadlock, time-out: the same again later [3] */
    ERROR_REFUSED, /* the server is there and says no: password, right, missing object, setting [3] */
    ERROR_DATA,    /* this row or this statement: SQLSTATE classes 22 and 23, a short row count [1] */
    ERROR_TABLE,   /* this table cannot go on as it is (drift, refused TRUNCATE); others can [1] */
    ERROR_FENCED,  /* a higher epoch runs the pipeline: become standby, write nothing [4] */
    ERROR_FATAL,   /* going on would lose or damage data: slot gone, fingerprint, retention passed [4] */
    ERROR_CONFIG,  /* usage or configuration [2] */
    ERROR_CANCELED /* somebody asked us to stop */
};

struct error {
    enum error_kind kind;
    char code[8];    /* SQLSTATE of the server, or empty */
    char text[1200]; /* "primary - detail - hint": lower case, no full stop, names what the user can do */
};

/* Sets kind and text and returns false, so that a detector can write `return error_set(err, …)`. */
bool error_set(struct error *err, enum error_kind kind, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The same with a SQLSTATE. `code` may be NULL. */
bool error_set_code(struct error *err, enum error_kind kind, const char *code, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* Puts "<text>: " in front; kind and code stay. Returns false. */
bool error_prefix(struct error *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

void error_clear(struct error *err);

/* The exit status of DESIGN.md section 7 that a one-shot command ends with after such an error. */
int error_exit_status(enum error_kind kind);

/* "retry", "refused", … for logs and metrics. */
const char *error_kind_name(enum error_kind kind);

#endif
