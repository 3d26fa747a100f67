/* SPDX-License-Identifier: PostgreSQL
 *
 * Crossfade's own schema in the target: its SQL (src/state/schema.sql, built in) and its version.
 */
#ifndef STATE_SCHEMA_H
#define STATE_SCHEMA_H

#include "pgsql/conn.h"

enum { SCHEMA_VERSION = 1 };

/* The whole script, as `crossfade install --print` shows it. Idempotent. */
const char *schema_sql(void);
/* Runs it in one transaction under an advisory lock, unless it is already there in this version. A newer
 * version there is ERROR_FATAL. */
MUST_CHECK bool schema_install(struct pg_conn *target, struct error *err);
/* 0 if not installed. */
MUST_CHECK bool schema_version(struct pg_conn *target, int *version, struct error *err);

#endif
