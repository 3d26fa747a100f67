/* SPDX-License-Identifier: PostgreSQL
 *
 * Crossfade's own schema in the target: its SQL (src/state/schema.sql, built in) and its version.
 */
#ifndef STATE_SCHEMA_H
#define STATE_SCHEMA_H

#include "base/buffer.h"
#include "pgsql/conn.h"

enum { SCHEMA_VERSION = 1 };

/* The whole script, as `crossfade install --print` shows it. Idempotent. */
const char *schema_sql(void);
/* What the replicator's role needs of it when somebody else (a DBA) installs it. */
void schema_grants(struct buffer *out, const char *role);
/* Runs it in one transaction under an advisory lock, unless it is already there in this version; so a role
 * without the right to create schemas may call it once a DBA has installed. A newer version there is
 * ERROR_FATAL. */
MUST_CHECK bool schema_install(struct pg_conn *target, struct error *err);
/* 0 if not installed. */
MUST_CHECK bool schema_version(struct pg_conn *target, int *version, struct error *err);

#endif
