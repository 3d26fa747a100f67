/* SPDX-License-Identifier: PostgreSQL
 *
 * What a SQL Server or db-lib says, and what it means for whoever must decide. Pure: fed by the shim's
 * handlers, asked by conn.c. One table holds all numbers (SQLSERVER.md fact 5).
 */
#ifndef MSSQL_MS_ERROR_H
#define MSSQL_MS_ERROR_H

#include "base/error.h"

/* What T-SQL of ours says with THROW, as CF001 to CF003 are in PostgreSQL. */
enum { MS_RAISED_DATA = 51001, MS_RAISED_FENCED = 51002, MS_RAISED_FATAL = 51003 };

/* The first significant message of one command: the server's if there is one, else db-lib's own. */
struct ms_messages {
    int number; /* of the server; 0: none */
    int severity;
    int state;
    int line;
    char procedure[130];
    char text[800];
    int client; /* db-lib's number, 0: none */
    int os_error;
    char client_text[300];
    int later; /* of the server: a second error that ended more than the first did (link, deadlock), or 0 */
    bool damaged;   /* characters were replaced or cut while converting to UTF-8 (2400 to 2404) */
    bool timeout;   /* db-lib waited longer than allowed */
    bool attention; /* the server was told to stop the command */
    bool command;   /* it is a command, not a login, so there is something to stop */
};

void ms_messages_clear(struct ms_messages *self);
/* One message of the server. Information (severity up to 10) and noise (3621 and the like) change nothing. */
void ms_messages_add_server(struct ms_messages *self, int number, int state, int severity, int line,
                            const char *procedure, const char *text);
/* One of db-lib. 20018 ("check messages from the server") changes nothing. */
void ms_messages_add_client(struct ms_messages *self, int number, int os_error, const char *text);
/* True if the command failed. */
bool ms_messages_failed(const struct ms_messages *self);

/* Kind of a server's error number, of its severity if the number is unknown: 19 and up RETRY when the link is
 * gone with it (20 and up end the session), else REFUSED. */
enum error_kind ms_error_kind(int number, int severity);
/* Kind of a db-lib error number. */
enum error_kind ms_client_kind(int number);
/* Fills err from the messages: "<endpoint>: <text> - <procedure> line N (error N)". Code: the number. Returns
 * false. */
bool ms_error_from(struct error *err, const char *endpoint, const struct ms_messages *messages);

#endif
