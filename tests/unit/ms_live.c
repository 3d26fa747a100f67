/* SPDX-License-Identifier: PostgreSQL */
#include "ms_live.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "mssql/shim.h"

struct config_sqlserver ms_live_need(void)
{
    struct config_sqlserver server = {.encrypt = SQLSERVER_REQUEST};
    struct error err;
    const char *text = getenv("CROSSFADE_TEST_SQLSERVER");
    static char master[] = "master";
    if (!text || !*text) {
        printf("1..0 # SKIP no CROSSFADE_TEST_SQLSERVER\n");
        exit(77);
    }
    char *rest = mem_strdup(text);
    server.host = strsep(&rest, ":");
    server.port = rest ? atoi(strsep(&rest, ":")) : 0;
    server.user = rest ? strsep(&rest, ":") : NULL;
    server.password = rest;
    server.database = master;
    if (!rest || !ms_shim_start(&err)) {
        printf("CROSSFADE_TEST_SQLSERVER is host:port:user:password, not \"%s\"\n", text);
        exit(99);
    }
    return server;
}

struct ms_conn_options ms_live_options(const struct config_sqlserver *server, const char *job)
{
    return (struct ms_conn_options){.server = server,
                                    .pipeline = "test",
                                    .job = job,
                                    .endpoint = "legacy",
                                    .connect_timeout_ms = 10000,
                                    .query_timeout_ms = 60000};
}

void ms_live_open(struct ms_conn *conn, const struct config_sqlserver *server, const char *job)
{
    struct ms_conn_options options = ms_live_options(server, job);
    struct error err;
    if (!ms_conn_open(conn, &options, &err))
        fail_msg("%s", err.text);
}

void ms_live_exec(struct ms_conn *conn, const char *sql)
{
    struct error err;
    if (!ms_exec(conn, sql, &err))
        fail_msg("%s\n%.400s", err.text, sql);
}

const char *ms_live_ask(struct ms_conn *conn, const char *sql)
{
    static char text[4096];
    struct error err;
    if (!ms_query_one(conn, sql, text, sizeof(text), NULL, &err))
        fail_msg("%s\n%.400s", err.text, sql);
    return text;
}
