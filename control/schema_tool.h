/* SPDX-License-Identifier: PostgreSQL
 *
 * pg_dump and pg_restore as programs that we run: which ones, whether they are new enough, and how they get
 * the password: by their environment, never on the command line.
 */
#ifndef CONTROL_SCHEMA_TOOL_H
#define CONTROL_SCHEMA_TOOL_H

#include "base/error.h"

struct schema_tool {
    char *dump;
    char *restore;
    char *conninfo; /* without the password */
    char **env;
};

/* $PG_DUMP, else pg_dump by PATH; pg_restore from the same place. One older than the server's major version
 * is refused (ERROR_CONFIG). */
MUST_CHECK bool schema_tool_find(const char *conninfo, int server_version, struct schema_tool *out,
                                 struct error *err);
void schema_tool_free(struct schema_tool *self);

/* Runs it, its output into the file descriptor (-1: ours), its errors to ours. False unless it exits with 0.
 */
MUST_CHECK bool schema_tool_run(const char *const *argv, char *const *env, int output, struct error *err);

#endif
