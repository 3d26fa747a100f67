/* SPDX-License-Identifier: PostgreSQL
 *
 * One log line an event: to journald with fields, or to stderr as text or JSON. Safe from any thread.
 * Secrets never get here: connection strings are not logged, only their host, port and database.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

#include "base/error.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON, LOG_FORMAT_JOURNAL };

struct log;

/* Writes to stderr, or to journald when the format says so and the library is there. */
struct log *log_new(enum log_format format, enum log_level level, const char *pipeline);
void log_free(struct log *self);
void log_set_level(struct log *self, enum log_level level);

/* Optional fields of a line; zero-initialise and set what is known. */
struct log_fields {
    const char *table;
    const char *position;
};

void log_write(struct log *self, enum log_level level, const struct log_fields *fields, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

#define log_debug(log, ...)   log_write(log, LOG_LEVEL_DEBUG, NULL, __VA_ARGS__)
#define log_info(log, ...)    log_write(log, LOG_LEVEL_INFO, NULL, __VA_ARGS__)
#define log_warning(log, ...) log_write(log, LOG_LEVEL_WARNING, NULL, __VA_ARGS__)
#define log_error(log, ...)   log_write(log, LOG_LEVEL_ERROR, NULL, __VA_ARGS__)

#endif
