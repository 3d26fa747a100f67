/* SPDX-License-Identifier: PostgreSQL
 *
 * The SQL Server that CROSSFADE_TEST_SQLSERVER (host:port:user:password) names, for tests of what only a
 * server can answer. Without the variable such a test skips (status 77).
 */
#ifndef TESTS_MS_LIVE_H
#define TESTS_MS_LIVE_H

#include "mssql/conn.h"

/* Exits with 77 when there is no server to use; else starts the shim. The strings live as long as the
 * process. */
struct config_sqlserver ms_live_need(void);
struct ms_conn_options ms_live_options(const struct config_sqlserver *server, const char *job);
void ms_live_open(struct ms_conn *conn, const struct config_sqlserver *server, const char *job);
/* Runs T-SQL, which must succeed. */
void ms_live_exec(struct ms_conn *conn, const char *sql);
/* One value as text; "" for NULL. Overwritten by the next call. */
const char *ms_live_ask(struct ms_conn *conn, const char *sql);

#endif
