/* SPDX-License-Identifier: PostgreSQL
 *
 * What the commands of `crossfade` share: the table that describes them, their parsed options, and sessions
 * on the two sides. A command returns its exit status (DESIGN.md section 7); it tells failures on stderr.
 */
#ifndef CONTROL_COMMAND_H
#define CONTROL_COMMAND_H

#include <stdio.h>

#include "model/config.h"
#include "pgsql/conn.h"

enum { EXIT_GOOD = 0, EXIT_ANSWER_NO = 1, EXIT_USAGE = 2, EXIT_UNREACHABLE = 3, EXIT_PROTECTED = 4 };

struct options {
    const char *config_path;
    const char *group;
    const char *table;
    const char *section;
    bool data, json, watch, print, yes, discard;
};

struct context {
    const struct config *config;
    struct options options;
    char **args; /* behind the options */
    int arg_count;
    FILE *out;
};

enum { COMMAND_OPTIONS = 6 };

struct command {
    const char *name;
    const char *args;                     /* for the usage line */
    const char *help;                     /* one line */
    const char *options[COMMAND_OPTIONS]; /* long names, besides config and help */
    int min_args, max_args;
    int (*run)(const struct context *context);
};

int command_check(const struct context *context);
int command_schema(const struct context *context);
int command_install(const struct context *context);
int command_status(const struct context *context);
int command_pause(const struct context *context);
int command_resume(const struct context *context);
int command_recopy(const struct context *context);
int command_offsets(const struct context *context);
int command_quarantine(const struct context *context);
int command_finish(const struct context *context);

/* "crossfade: <text>" on stderr; the exit status that belongs to the error. */
int command_fail(const struct error *err);
/* The same for a usage error. */
int command_usage(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* Sessions of job "control". session_target demands that our schema is installed. */
MUST_CHECK bool session_legacy(const struct config *config, struct pg_conn *out, struct error *err);
MUST_CHECK bool session_target_bare(const struct config *config, struct pg_conn *out, struct error *err);
MUST_CHECK bool session_target(const struct config *config, struct pg_conn *out, struct error *err);

/* Who holds the lease: empty if nobody has a fresh one. `epoch` 0 if there never was one. */
MUST_CHECK bool session_holder(struct pg_conn *target, const struct config *config, char *holder, size_t size,
                               int64_t *epoch, struct error *err);

#endif
