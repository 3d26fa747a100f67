/* SPDX-License-Identifier: PostgreSQL
 *
 * By what a SQL Server database and our place in its history are known again (DESIGN.md rule 5): the
 * database's and its recovery fork's ids, which change with a restore, and the change table of each captured
 * table, which changes when capture is switched off and on (hazards 13, 50). The caller stores it as text and
 * compares at each start, before anything is read.
 */
#ifndef MSSQL_HISTORY_H
#define MSSQL_HISTORY_H

#include "mssql/catalog.h"

struct history {
    char server[132]; /* @@SERVERNAME: the two facts below are one replica's, the ids the database's */
    char database[132];
    char database_guid[40]; /* of the database; "" where the server does not tell (Azure SQL Database) */
    char recovery_fork[40];
    char restored[32]; /* time of the last restore that msdb knows; "" for none or no right to see */
    char created[32];  /* sys.databases.create_date: a restore under another name makes it anew */
};

MUST_CHECK bool history_read(struct ms_conn *conn, struct history *out, struct error *err);
/* Is it the same database, on the same branch of its life? ERROR_FATAL says what differs and the repair. A
 * fact that one of the two does not know is not compared. */
MUST_CHECK bool history_compare(const struct history *stored, const struct history *now, struct error *err);

/* "<object id> <create date>" of the instance that the table is read through from `position` on, NULL if
 * there is none (malloc'ed). Two instances of one table: the newer one that reaches back. */
char *history_instance(const struct ms_catalog_table *table, struct position position);

#endif
