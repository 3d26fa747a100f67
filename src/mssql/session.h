/* SPDX-License-Identifier: PostgreSQL
 *
 * The settings of a session: set in one batch, read back in another, so that nothing between us and the
 * server can lose them. DB-Library logins start with ANSI_WARNINGS off, and then over-long values are cut and
 * the statement succeeds (hazard 47).
 */
#ifndef MSSQL_SESSION_H
#define MSSQL_SESSION_H

#include "mssql/conn.h"

/* Also fills version, edition, product, database and spid. ERROR_REFUSED for servers before 2016. */
MUST_CHECK bool ms_session_pin(struct ms_conn *self, const struct ms_conn_options *options,
                               struct error *err);

#endif
