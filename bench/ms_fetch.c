/* SPDX-License-Identifier: PostgreSQL
 *
 * The floor of bench/run's SQL Server points: a query's rows fetched by db-lib and looked at, nothing else.
 *
 *   FREETDSCONF=file MS_PASSWORD=… ms_fetch SECTION USER DATABASE QUERY
 *
 * prints rows, bytes of values, seconds of the clock from the query to the last row, CPU seconds of this
 * process.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sybdb.h>
#include <sybfront.h>
#include <time.h>

#include "config.h"

enum { PACKET_BYTES = 32767 };

static int on_error(DBPROCESS *db, int severity, int number, int os_number, char *text, char *os_text)
{
    (void)db;
    (void)severity;
    (void)os_number;
    (void)os_text;
    fprintf(stderr, "ms_fetch: %d %s\n", number, text);
    return INT_CANCEL;
}

static int on_message(DBPROCESS *db, DBINT number, int state, int severity, char *text, char *server,
                      char *procedure, int line)
{
    (void)db;
    (void)state;
    (void)server;
    (void)procedure;
    (void)line;
    if (severity > 10)
        fprintf(stderr, "ms_fetch: %ld %s\n", (long)number, text);
    return 0;
}

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static DBPROCESS *connect_to(char **argv)
{
    LOGINREC *login = dblogin();
    if (!login)
        return NULL;
    DBSETLUSER(login, argv[2]);
    DBSETLPWD(login, getenv("MS_PASSWORD"));
    DBSETLCHARSET(login, "UTF-8");
    DBSETLDBNAME(login, argv[3]);
    DBSETLPACKET(login, PACKET_BYTES);
    DBPROCESS *db = dbopen(login, argv[1]);
    dbloginfree(login);
    return db;
}

static int fetch(DBPROCESS *db, const char *query)
{
    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    if (dbcmd(db, query) == FAIL || dbsqlexec(db) == FAIL || dbresults(db) != SUCCEED)
        return 1;
    uint64_t rows = 0, bytes = 0;
    int columns = dbnumcols(db);
    STATUS status;
    while ((status = dbnextrow(db)) == REG_ROW) {
        rows++;
        for (int i = 1; i <= columns; i++)
            if (dbdata(db, i))
                bytes += (uint64_t)dbdatlen(db, i);
    }
    if (status != NO_MORE_ROWS)
        return 1;
    printf("%llu %llu %.3f %.3f\n", (unsigned long long)rows, (unsigned long long)bytes,
           seconds(CLOCK_MONOTONIC) - wall, seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 5 || !getenv("MS_PASSWORD")) {
        fprintf(stderr, "usage: FREETDSCONF=file MS_PASSWORD=word ms_fetch SECTION USER DATABASE QUERY\n");
        return 2;
    }
    if (dbinit() == FAIL)
        return 1;
    dberrhandle(on_error);
    dbmsghandle(on_message);
    DBPROCESS *db = connect_to(argv);
    int status = db ? fetch(db, argv[4]) : 1;
    if (db)
        dbclose(db);
    dbexit();
    return status;
}
