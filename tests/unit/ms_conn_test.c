/* SPDX-License-Identifier: PostgreSQL
 *
 * A connection to a SQL Server: its settings, what becomes of errors, and every way it can end.
 */
#include "ms_live.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

static struct config_sqlserver server;

/* -------- a link that can be cut or fall silent */

struct proxy {
    int listener, client, upstream, port;
    _Atomic int mode; /* 0 passes on, 1 swallows the server's answers, 2 ends */
    pthread_t thread;
};

static int connect_server(void)
{
    struct addrinfo *found = NULL, hints = {.ai_socktype = SOCK_STREAM};
    char port[16];
    snprintf(port, sizeof(port), "%d", server.port);
    assert_int_equal(getaddrinfo(server.host, port, &hints, &found), 0);
    int fd = socket(found->ai_family, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, found->ai_addr, found->ai_addrlen), 0);
    freeaddrinfo(found);
    return fd;
}

static bool pass(int from, int to, bool swallow)
{
    char piece[65536];
    ssize_t n = recv(from, piece, sizeof(piece), 0);
    return n > 0 && (swallow || send(to, piece, (size_t)n, MSG_NOSIGNAL) == n);
}

static void *run_proxy(void *context)
{
    struct proxy *self = context;
    self->client = accept(self->listener, NULL, NULL);
    self->upstream = connect_server();
    for (;;) {
        struct pollfd fds[2] = {{.fd = self->client, .events = POLLIN},
                                {.fd = self->upstream, .events = POLLIN}};
        int ready = poll(fds, 2, 20);
        if (atomic_load(&self->mode) == 2)
            break;
        if (ready > 0 && fds[0].revents && !pass(self->client, self->upstream, false))
            break;
        if (ready > 0 && fds[1].revents && !pass(self->upstream, self->client, atomic_load(&self->mode) == 1))
            break;
    }
    close(self->client);
    close(self->upstream);
    return NULL;
}

static int listen_somewhere(int *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(fd, 5), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &size), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static void open_through(struct proxy *self, struct ms_conn *conn, int query_timeout_ms)
{
    static char localhost[] = "127.0.0.1";
    struct config_sqlserver through = server;
    struct ms_conn_options options = ms_live_options(&through, "proxy");
    struct error err;
    memset(self, 0, sizeof(*self));
    self->listener = listen_somewhere(&self->port);
    assert_int_equal(pthread_create(&self->thread, NULL, run_proxy, self), 0);
    through.host = localhost;
    through.port = self->port;
    options.query_timeout_ms = query_timeout_ms;
    if (!ms_conn_open(conn, &options, &err))
        fail_msg("%s", err.text);
}

static void close_through(struct proxy *self, struct ms_conn *conn)
{
    ms_conn_close(conn);
    atomic_store(&self->mode, 2);
    pthread_join(self->thread, NULL);
    close(self->listener);
}

/* -------- opening */

static void a_connection_knows_where_it_is(void **state)
{
    (void)state;
    struct ms_conn c;
    ms_live_open(&c, &server, "where");
    assert_true(c.version >= 13);
    assert_true(c.spid > 0);
    assert_true(c.edition > 0);
    assert_string_equal(c.database, "master");
    assert_true(ms_conn_alive(&c));
    assert_string_equal(ms_live_ask(&c, "SELECT APP_NAME()"), "crossfade:test:where");
    print_message("%s\n", ms_live_ask(&c, "SELECT @@VERSION"));
    ms_conn_close(&c);
    assert_false(ms_conn_alive(&c));
    ms_conn_close(&c);
}

static void hazard_47_over_long_values_are_refused_not_cut(void **state)
{
    (void)state;
    struct ms_conn c;
    struct error err;
    ms_live_open(&c, &server, "long");
    ms_live_exec(&c, "CREATE TABLE #long (v varchar(3) NOT NULL)");
    assert_false(ms_exec(&c, "INSERT INTO #long (v) VALUES ('abcd')", &err));
    assert_int_equal(err.kind, ERROR_DATA);
    assert_true(strcmp(err.code, "2628") == 0 || strcmp(err.code, "8152") == 0);
    assert_string_equal(ms_live_ask(&c, "SELECT COUNT(*) FROM #long"), "0");
    ms_live_exec(&c, "INSERT INTO #long (v) VALUES ('abc')");
    assert_string_equal(ms_live_ask(&c, "SELECT COUNT(*) FROM #long"), "1");
    ms_conn_close(&c);
}

static void wrong_logins_are_refused(void **state)
{
    (void)state;
    static char wrong[] = "wrong-password", nosuch[] = "nosuch_database";
    struct config_sqlserver s = server;
    struct ms_conn_options options = ms_live_options(&s, "wrong");
    struct ms_conn c;
    struct error err;
    s.password = wrong;
    assert_false(ms_conn_open(&c, &options, &err));
    assert_int_equal(err.kind, ERROR_REFUSED);
    assert_string_equal(err.code, "18456");
    assert_null(strstr(err.text, wrong));
    s = server;
    s.database = nosuch;
    assert_false(ms_conn_open(&c, &options, &err));
    assert_int_equal(err.kind, ERROR_REFUSED);
    assert_string_equal(err.code, "4060");
}

static void nobody_there_is_retried(void **state)
{
    (void)state;
    static char localhost[] = "127.0.0.1", unknown[] = "no-such-host.invalid";
    struct config_sqlserver s = server;
    struct ms_conn_options options = ms_live_options(&s, "nobody");
    struct ms_conn c;
    struct error err;
    int fd = listen_somewhere(&s.port);
    s.host = localhost;
    options.connect_timeout_ms = 1000;
    int64_t before = clock_ms();
    assert_false(ms_conn_open(&c, &options, &err)); /* it listens and says nothing */
    assert_int_equal(err.kind, ERROR_RETRY);
    assert_true(clock_ms() - before < 6000);
    close(fd);
    assert_false(ms_conn_open(&c, &options, &err));
    assert_int_equal(err.kind, ERROR_RETRY);
    s.host = unknown;
    assert_false(ms_conn_open(&c, &options, &err));
    assert_int_equal(err.kind, ERROR_RETRY);
    assert_non_null(strstr(err.text, "no address"));
}

static void a_server_of_freetds_conf_is_found(void **state)
{
    (void)state;
    static char name[] = "Old Server";
    struct config_sqlserver s = server;
    struct ms_conn c;
    s.host = NULL;
    s.port = 0;
    s.server = name;
    ms_live_open(&c, &s, "named");
    assert_string_equal(c.where, "[Old Server]/master");
    ms_conn_close(&c);
}

/* CROSSFADE_TEST_SQLSERVER_CA: the file whose CA signed the certificate of the server, which is for the name
 * that the tests connect to. */
static void certificates_are_verified(void **state)
{
    (void)state;
    static char system_ca[] = "/etc/ssl/certs/ca-certificates.crt", loopback[] = "127.0.0.1",
                localhost[] = "localhost";
    struct config_sqlserver s = server;
    struct ms_conn_options options = ms_live_options(&s, "tls");
    struct ms_conn c;
    struct error err;
    char *ca = getenv("CROSSFADE_TEST_SQLSERVER_CA");
    if (!ca)
        skip();
    s.encrypt = SQLSERVER_REQUIRE;
    s.hostname = true;
    s.ca = ca;
    if (!ms_conn_open(&c, &options, &err))
        fail_msg("%s", err.text);
    ms_conn_close(&c);
    s.ca = NULL;
    assert_false(ms_conn_open(&c, &options, &err));
    assert_int_equal(err.kind, ERROR_RETRY);
    assert_non_null(strstr(err.text, "legacy.encrypt"));
    s.ca = system_ca;
    assert_false(ms_conn_open(&c, &options, &err));
    s.ca = ca;
    s.host = strcmp(server.host, localhost) == 0 ? loopback : localhost;
    assert_false(ms_conn_open(&c, &options, &err)); /* not the name of the certificate */
    s.hostname = false;
    assert_true(ms_conn_open(&c, &options, &err));
    ms_conn_close(&c);
    s.ca = NULL;
    s.trust_server_certificate = true;
    assert_true(ms_conn_open(&c, &options, &err));
    ms_conn_close(&c);
}

/* -------- commands */

static void values_are_told_apart(void **state)
{
    (void)state;
    struct ms_conn c;
    struct error err;
    ms_live_open(&c, &server, "values");
    assert_true(ms_query_start(
        &c,
        "SELECT 7 AS a, N'' AS b, CONVERT(nvarchar(5), NULL) AS c, N'\xC3\xA9\xF0\x9F\x98\x80' AS d, "
        "CONVERT(binary(3), 0x0A0B0C) AS e, CONVERT(bigint, -5) AS f",
        &err));
    assert_int_equal(c.columns, 6);
    assert_string_equal(ms_column_name(&c, 3), "d");
    assert_int_equal(ms_query_next(&c, &err), MS_ROW);
    assert_int_equal(ms_column_int(&c, 0), 7);
    assert_non_null(ms_column(&c, 1).data);
    assert_int_equal(ms_column(&c, 1).length, 0);
    assert_null(ms_column(&c, 2).data);
    assert_int_equal(ms_column_int(&c, 5), -5);
    struct buffer text = {0};
    assert_true(ms_column_text(&c, 3, &text));
    assert_string_equal(buffer_text(&text), "\xC3\xA9\xF0\x9F\x98\x80");
    buffer_clear(&text);
    assert_true(ms_column_text(&c, 4, &text));
    assert_string_equal(buffer_text(&text), "0x0A0B0C");
    assert_false(ms_column_text(&c, 2, &text));
    buffer_free(&text);
    assert_int_equal(ms_query_next(&c, &err), MS_END);
    assert_int_equal(ms_query_next_set(&c, &err), MS_END);
    assert_int_equal(ms_query_next(&c, &err), MS_END);
    ms_conn_close(&c);
}

static void sets_and_counts_come_in_order(void **state)
{
    (void)state;
    struct ms_conn c;
    struct error err;
    int64_t n = 0;
    ms_live_open(&c, &server, "sets");
    ms_live_exec(&c, "CREATE TABLE #n (i int NOT NULL)");
    assert_true(ms_exec_count(&c, "INSERT INTO #n (i) VALUES (1), (2), (3)", &n, &err));
    assert_int_equal(n, 3);
    assert_true(ms_exec_count(&c, "DELETE FROM #n WHERE i > 5", &n, &err));
    assert_int_equal(n, 0);
    assert_true(
        ms_query_start(&c,
                       "UPDATE #n SET i = i + 1; SELECT i FROM #n ORDER BY i; SELECT i FROM #n WHERE i = 9; "
                       "SELECT COUNT(*) FROM #n",
                       &err));
    for (int i = 2; i <= 4; i++) {
        assert_int_equal(ms_query_next(&c, &err), MS_ROW);
        assert_int_equal(ms_column_int(&c, 0), i);
    }
    assert_int_equal(ms_query_next(&c, &err), MS_END);
    assert_int_equal(ms_query_next_set(&c, &err), MS_ROW);
    assert_int_equal(ms_query_next(&c, &err), MS_END); /* an empty set is a set */
    assert_int_equal(ms_query_next_set(&c, &err), MS_ROW);
    assert_int_equal(ms_query_next(&c, &err), MS_ROW);
    assert_int_equal(ms_column_int(&c, 0), 3);
    assert_int_equal(ms_query_next(&c, &err), MS_END);
    assert_int_equal(ms_query_next_set(&c, &err), MS_END);
    assert_true(ms_query_int(&c, "SELECT COUNT(*) FROM #n", &n, &err));
    assert_int_equal(n, 3);
    assert_true(ms_query_start(&c, "SELECT i FROM #n", &err));
    ms_query_stop(&c);
    assert_true(ms_query_int(&c, "SELECT COUNT(*) FROM #n", &n, &err)); /* and goes on */
    char out[20];
    assert_false(ms_query_one(&c, "SELECT i FROM #n", out, sizeof(out), NULL, &err));
    assert_int_equal(err.kind, ERROR_REFUSED);
    assert_false(ms_query_one(&c, "SELECT i FROM #n WHERE i = 0", out, sizeof(out), NULL, &err));
    assert_int_equal(err.kind, ERROR_REFUSED);
    ms_conn_close(&c);
}

static bool count_row(void *context, struct ms_conn *conn, struct error *err)
{
    int *rows = context;
    (void)conn;
    (void)err;
    ++*rows;
    return true;
}

static void hazard_30_an_error_behind_rows_is_no_end(void **state)
{
    (void)state;
    struct ms_conn c;
    struct error err;
    int rows = 0;
    ms_live_open(&c, &server, "behind");
    assert_false(ms_query(&c, "SELECT 1 AS a; SELECT 1 / 0 AS b", count_row, &rows, &err));
    assert_int_equal(rows, 1);
    assert_int_equal(err.kind, ERROR_DATA);
    assert_string_equal(err.code, "8134");
    assert_false(ms_exec(&c, "SELECT 1 AS a; SELECT 1 / 0 AS b; SELECT 2 AS c", &err));
    assert_string_equal(err.code, "8134");
    assert_false(ms_exec(&c, "SELECT nosuch FROM sys.objects", &err));
    assert_int_equal(err.kind, ERROR_REFUSED);
    assert_false(ms_exec(&c, "SELECT 1 FROM dbo.nosuch_table", &err));
    assert_string_equal(err.code, "208");
    assert_string_equal(ms_live_ask(&c, "SELECT 5"), "5");
    ms_conn_close(&c);
}

static void transactions_end_as_told(void **state)
{
    (void)state;
    struct ms_conn c;
    struct error err;
    ms_live_open(&c, &server, "transaction");
    ms_live_exec(&c, "CREATE TABLE #t (i int NOT NULL PRIMARY KEY)");
    assert_true(ms_begin(&c, &err));
    ms_live_exec(&c, "INSERT INTO #t (i) VALUES (1)");
    assert_true(ms_rollback(&c, &err));
    assert_true(ms_rollback(&c, &err));
    assert_string_equal(ms_live_ask(&c, "SELECT COUNT(*) FROM #t"), "0");
    assert_true(ms_begin(&c, &err));
    ms_live_exec(&c, "INSERT INTO #t (i) VALUES (1)");
    assert_true(ms_commit(&c, &err));
    assert_true(ms_begin(&c, &err));
    assert_false(ms_exec(&c, "INSERT INTO #t (i) VALUES (1)", &err)); /* XACT_ABORT */
    assert_string_equal(err.code, "2627");
    assert_string_equal(ms_live_ask(&c, "SELECT @@TRANCOUNT"), "0");
    assert_false(ms_commit(&c, &err));
    ms_conn_close(&c);
}

/* -------- ends of waiting */

static const char many_rows[] = "SELECT i, t FROM #many";
enum { MANY = 65536 };

/* 26 MB: more than any buffer between us and the server. */
static void make_many(struct ms_conn *conn)
{
    ms_live_exec(conn, "CREATE TABLE #many (i int NOT NULL, t nvarchar(200) NOT NULL)");
    ms_live_exec(conn, "INSERT INTO #many (i, t) VALUES (1, REPLICATE(N'x', 200))");
    for (int i = 1; i < MANY; i *= 2)
        ms_live_exec(conn, "INSERT INTO #many (i, t) SELECT i, t FROM #many");
}

struct later {
    struct ms_conn *conn;
    void (*act)(struct ms_conn *conn);
};

static void *act_later(void *context)
{
    struct later *self = context;
    usleep(300000);
    self->act(self->conn);
    return NULL;
}

static void cancel_ends_a_statement_and_keeps_the_link(void **state)
{
    (void)state;
    struct ms_conn c;
    struct error err;
    pthread_t thread;
    ms_live_open(&c, &server, "cancel");
    struct later later = {&c, ms_conn_cancel};
    assert_int_equal(pthread_create(&thread, NULL, act_later, &later), 0);
    int64_t before = clock_ms();
    assert_false(ms_exec(&c, "WAITFOR DELAY '00:00:30'", &err));
    pthread_join(thread, NULL);
    assert_int_equal(err.kind, ERROR_CANCELED);
    assert_true(clock_ms() - before < 5000);
    assert_false(ms_exec(&c, "SELECT 1", &err));
    assert_int_equal(err.kind, ERROR_CANCELED);
    assert_true(ms_conn_alive(&c));
    ms_conn_resume(&c);
    assert_string_equal(ms_live_ask(&c, "SELECT 6"), "6");
    ms_conn_close(&c);
}

static void abort_cuts_the_link_at_once(void **state)
{
    (void)state;
    struct ms_conn c;
    struct error err;
    pthread_t thread;
    ms_live_open(&c, &server, "abort");
    struct later later = {&c, ms_conn_abort};
    assert_int_equal(pthread_create(&thread, NULL, act_later, &later), 0);
    int64_t before = clock_ms();
    assert_false(ms_exec(&c, "WAITFOR DELAY '00:00:30'", &err));
    pthread_join(thread, NULL);
    assert_int_equal(err.kind, ERROR_CANCELED);
    assert_true(clock_ms() - before < 3000);
    assert_false(ms_conn_alive(&c));
    ms_conn_resume(&c);
    assert_false(ms_exec(&c, "SELECT 1", &err));
    assert_int_equal(err.kind, ERROR_RETRY);
    ms_conn_close(&c);
}

static void cancel_ends_the_rows_too(void **state)
{
    (void)state;
    struct ms_conn c;
    struct error err;
    ms_live_open(&c, &server, "rows");
    make_many(&c);
    assert_true(ms_query_start(&c, many_rows, &err));
    assert_int_equal(ms_query_next(&c, &err), MS_ROW);
    ms_conn_cancel(&c);
    assert_int_equal(ms_query_next(&c, &err), MS_FAILED);
    assert_int_equal(err.kind, ERROR_CANCELED);
    ms_conn_resume(&c);
    assert_true(ms_conn_alive(&c));
    assert_true(ms_query_start(&c, many_rows, &err));
    assert_int_equal(ms_query_next(&c, &err), MS_ROW);
    ms_query_stop(&c);
    assert_string_equal(ms_live_ask(&c, "SELECT 8"), "8");
    ms_conn_close(&c);
}

static void a_time_out_ends_a_statement_and_keeps_the_link(void **state)
{
    (void)state;
    struct ms_conn_options options = ms_live_options(&server, "timeout");
    struct ms_conn c;
    struct error err;
    options.query_timeout_ms = 1000;
    if (!ms_conn_open(&c, &options, &err))
        fail_msg("%s", err.text);
    int64_t before = clock_ms();
    assert_false(ms_exec(&c, "WAITFOR DELAY '00:00:30'", &err));
    assert_int_equal(err.kind, ERROR_RETRY);
    assert_string_equal(err.code, "20003");
    assert_true(clock_ms() - before < 5000);
    assert_true(ms_conn_alive(&c));
    assert_string_equal(ms_live_ask(&c, "SELECT 7"), "7");
    ms_conn_close(&c);
}

static void a_silent_server_is_given_up(void **state)
{
    (void)state;
    struct proxy proxy;
    struct ms_conn c;
    struct error err;
    open_through(&proxy, &c, 1000);
    atomic_store(&proxy.mode, 1);
    int64_t before = clock_ms();
    assert_false(ms_exec(&c, "SELECT 1", &err));
    assert_int_equal(err.kind, ERROR_RETRY);
    assert_true(clock_ms() - before < 12000);
    assert_false(ms_conn_alive(&c));
    close_through(&proxy, &c);
}

static void hazard_53_a_dead_link_ends_every_loop(void **state)
{
    (void)state;
    struct proxy proxy;
    struct ms_conn c;
    struct error err;
    open_through(&proxy, &c, 30000);
    make_many(&c);
    assert_true(ms_query_start(&c, many_rows, &err));
    assert_int_equal(ms_query_next(&c, &err), MS_ROW);
    atomic_store(&proxy.mode, 2);
    enum ms_next next = MS_ROW;
    int rows = 0;
    while ((next = ms_query_next(&c, &err)) == MS_ROW)
        rows++;
    assert_int_equal(next, MS_FAILED);
    assert_true(rows < MANY - 1);
    assert_int_equal(err.kind, ERROR_RETRY);
    assert_false(ms_conn_alive(&c));
    assert_int_equal(ms_query_next(&c, &err), MS_END); /* nothing is open any more */
    assert_int_equal(ms_query_next_set(&c, &err), MS_END);
    assert_false(ms_exec(&c, "SELECT 1", &err));
    assert_int_equal(err.kind, ERROR_RETRY);
    assert_false(ms_rollback(&c, &err));
    close_through(&proxy, &c);
}

/* A file of the user's, for the shim to find. */
static char *user_file(void)
{
    static char path[] = "/tmp/ms-conn-test.XXXXXX";
    char host[200] = "";
    int port = 0;
    const char *text = getenv("CROSSFADE_TEST_SQLSERVER");
    int fd = text && sscanf(text, "%199[^:]:%d", host, &port) == 2 ? mkstemp(path) : -1;
    if (fd >= 0) {
        dprintf(fd, "[global]\n\ttds version = 4.2\n[Old Server]\n\thost = %s\n\tport = %d\n", host, port);
        close(fd);
        setenv("FREETDSCONF", path, 1);
    }
    return fd >= 0 ? path : NULL;
}

int main(void)
{
    char *file = user_file();
    server = ms_live_need();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_knows_where_it_is),
        cmocka_unit_test(hazard_47_over_long_values_are_refused_not_cut),
        cmocka_unit_test(wrong_logins_are_refused),
        cmocka_unit_test(nobody_there_is_retried),
        cmocka_unit_test(a_server_of_freetds_conf_is_found),
        cmocka_unit_test(certificates_are_verified),
        cmocka_unit_test(values_are_told_apart),
        cmocka_unit_test(sets_and_counts_come_in_order),
        cmocka_unit_test(hazard_30_an_error_behind_rows_is_no_end),
        cmocka_unit_test(transactions_end_as_told),
        cmocka_unit_test(cancel_ends_a_statement_and_keeps_the_link),
        cmocka_unit_test(cancel_ends_the_rows_too),
        cmocka_unit_test(abort_cuts_the_link_at_once),
        cmocka_unit_test(a_time_out_ends_a_statement_and_keeps_the_link),
        cmocka_unit_test(a_silent_server_is_given_up),
        cmocka_unit_test(hazard_53_a_dead_link_ends_every_loop),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (file)
        unlink(file);
    return failed;
}
