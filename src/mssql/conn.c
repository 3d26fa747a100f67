/* SPDX-License-Identifier: PostgreSQL */
#include "mssql/conn.h"

#include <assert.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sybfront.h>
#include <sybdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mssql/session.h"
#include "mssql/shim.h"

/* How long a server may take to stop a command before the link is given up. */
enum { GRACE_SECONDS = 5 };

/* ------------------------------------------------------------------------------------------------ waiting */

/* db-lib asks once a second while it waits for the server. */
static int asked(void *db)
{
    struct ms_conn *self = (struct ms_conn *)(void *)dbgetuserdata(db);
    return self && (atomic_load(&self->canceled) || self->messages.attention);
}

/* INT_CANCEL ends the wait: the shim's handler hears of a time-out, first sends an attention and then, asked
 * again, gives the link up. */
static int answer(void *db)
{
    struct ms_conn *self = (struct ms_conn *)(void *)dbgetuserdata(db);
    if (!self->messages.attention)
        return INT_CANCEL;
    return ++self->grace >= GRACE_SECONDS ? INT_CANCEL : INT_CONTINUE;
}

void ms_conn_cancel(struct ms_conn *self)
{
    atomic_store(&self->canceled, true);
}

void ms_conn_abort(struct ms_conn *self)
{
    atomic_store(&self->canceled, true);
    if (self->socket >= 0)
        (void)shutdown(self->socket, SHUT_RDWR);
}

void ms_conn_resume(struct ms_conn *self)
{
    atomic_store(&self->canceled, false);
}

bool ms_conn_alive(const struct ms_conn *self)
{
    return self->db && !dbdead(self->db);
}

/* ------------------------------------------------------------------------------------------------- opening
 */

static bool set_login(LOGINREC *login, const struct ms_conn_options *o)
{
    const struct config_sqlserver *s = o->server;
    const char *database = o->database ? o->database : s->database;
    char name[128];
    snprintf(name, sizeof(name), "crossfade:%s:%s", o->pipeline, o->job);
    bool ok = dbsetlname(login, name, DBSETAPP) == SUCCEED &&
              dbsetlname(login, "UTF-8", DBSETCHARSET) == SUCCEED &&
              dbsetlname(login, database ? database : "", DBSETDBNAME) == SUCCEED &&
              dbsetlbool(login, o->bulk, DBSETBCP) == SUCCEED &&
              dbsetlbool(login, o->read_only, DBSETREADONLY) == SUCCEED;
    if (s->auth == SQLSERVER_AUTH_KERBEROS)
        return ok && dbsetlbool(login, 1, DBSETNETWORKAUTH) == SUCCEED &&
               (!s->spn || dbsetlname(login, s->spn, DBSETSERVERPRINCIPAL) == SUCCEED);
    return ok && dbsetlname(login, s->user, DBSETUSER) == SUCCEED &&
           dbsetlname(login, s->password, DBSETPWD) == SUCCEED;
}

static void describe(struct ms_conn *self, const struct ms_conn_options *o)
{
    const struct config_sqlserver *s = o->server;
    const char *database = o->database ? o->database : s->database;
    snprintf(self->endpoint, sizeof(self->endpoint), "%s", o->endpoint);
    if (s->server)
        snprintf(self->where, sizeof(self->where), "[%s]/%s", s->server, database ? database : "");
    else
        snprintf(self->where, sizeof(self->where), "%s:%d/%s", s->host, s->port ? s->port : 1433,
                 database ? database : "");
}

/* FreeTDS tells nothing but "failed" when a certificate, a ticket or encryption is refused. */
static bool refused_unsaid(struct ms_conn *self, const struct config_sqlserver *s, struct error *err)
{
    const char *hint = "is it a SQL Server, and does it take this client";
    if (s->auth != SQLSERVER_AUTH_SQL)
        hint = "see legacy.auth and legacy.spn, and klist for the ticket";
    else if (s->trust_server_certificate)
        hint = "does the server offer encryption (legacy.encrypt)";
    else if (s->encrypt != SQLSERVER_OFF)
        hint =
            "does it offer encryption, is its certificate signed by one of legacy.ca and for the host's name "
            "(legacy.encrypt, legacy.hostname)";
    return error_set_code(err, ERROR_RETRY, "20002", "%s: %s ended the link while logging in - %s",
                          self->endpoint, self->where, hint);
}

static bool open_failed(struct ms_conn *self, const struct config_sqlserver *s, int timeout_ms,
                        struct error *err)
{
    const struct ms_messages *m = &self->messages;
    char place[sizeof(self->where) + 64];
    if (!m->number && m->timeout)
        return error_set_code(err, ERROR_RETRY, "20003",
                              "%s: %s does not answer within connect_timeout (%d ms)", self->endpoint,
                              self->where, timeout_ms);
    if (!m->number && (m->client == SYBEINTF || m->client == SYBEUHST))
        return error_set_code(err, ERROR_RETRY, "20013", "%s: no address is known for the host of %s",
                              self->endpoint, self->where);
    if (!m->number && m->client == SYBEFCON && !m->os_error)
        return refused_unsaid(self, s, err);
    snprintf(place, sizeof(place), "%s: can't connect to %s", self->endpoint, self->where);
    return ms_error_from(err, place, m);
}

/* A peer that is gone without a word is noticed; a child of ours does not inherit the link. */
static void set_socket(struct ms_conn *self)
{
    const struct {
        int level, name, value;
    } options[] = {{SOL_SOCKET, SO_KEEPALIVE, 1},
                   {IPPROTO_TCP, TCP_KEEPIDLE, 10},
                   {IPPROTO_TCP, TCP_KEEPINTVL, 5},
                   {IPPROTO_TCP, TCP_KEEPCNT, 3},
                   {IPPROTO_TCP, TCP_USER_TIMEOUT, 30000}};
    int fd = dbiordesc(self->db);
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    self->socket = fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

static bool connect_login(struct ms_conn *self, const struct ms_conn_options *o, struct error *err)
{
    char section[MS_SECTION_SIZE];
    int timeout_ms = o->connect_timeout_ms > 0 ? o->connect_timeout_ms : 10000;
    if (!ms_shim_section(o->server, timeout_ms, section, err))
        return false;
    struct ms_messages *before = ms_shim_listen(&self->messages);
    LOGINREC *login = dblogin();
    bool ok = login && set_login(login, o);
    if (ok)
        self->db = dbopen(login, section);
    if (login)
        dbloginfree(login);
    ms_shim_listen(before);
    if (!ok)
        return error_set(err, ERROR_CONFIG,
                         "%s: the name, password, database or spn is too long - FreeTDS takes 128 bytes",
                         self->endpoint);
    return self->db || open_failed(self, o->server, timeout_ms, err);
}

bool ms_conn_open(struct ms_conn *self, const struct ms_conn_options *o, struct error *err)
{
    assert(ms_shim_started());
    memset(self, 0, sizeof(*self));
    self->socket = -1;
    self->rows = -1;
    describe(self, o);
    if (!connect_login(self, o, err))
        return false;
    dbsetuserdata(self->db, (BYTE *)self);
    dbsetinterrupt(self->db, asked, answer);
    set_socket(self);
    if (o->query_timeout_ms > 0) {
        char seconds[16];
        snprintf(seconds, sizeof(seconds), "%d", (o->query_timeout_ms + 999) / 1000);
        (void)dbsetopt(self->db, DBSETTIME, seconds, -1);
    }
    if (!ms_session_pin(self, o, err)) {
        ms_conn_close(self);
        return false;
    }
    return true;
}

void ms_conn_close(struct ms_conn *self)
{
    if (self->db) {
        struct ms_messages *before = ms_shim_listen(NULL);
        dbclose(self->db);
        ms_shim_listen(before);
        if (self->socket >= 0)
            (void)close(self->socket);
    }
    self->db = NULL;
    self->socket = -1;
    self->in_results = false;
}

/* ------------------------------------------------------------------------------------------------ commands
 */

void ms_conn_call(struct ms_conn *self)
{
    ms_messages_clear(&self->messages);
    self->messages.command = true;
    self->grace = 0;
    (void)ms_shim_listen(&self->messages);
}

/* What this thread heard so far goes on to be heard: between the calls of one command. */
static void listen_again(struct ms_conn *self)
{
    (void)ms_shim_listen(&self->messages);
}

static void listen_no_more(struct ms_conn *self)
{
    self->damaged = self->damaged || self->messages.damaged;
    self->messages.damaged = false;
    (void)ms_shim_listen(NULL);
}

/* Tells the server to stop and reads to its answer; a server that gives none in time loses the link. */
static void drain(struct ms_conn *self)
{
    self->grace = 0;
    self->messages.attention = true;
    if (ms_conn_alive(self))
        (void)dbcancel(self->db);
    listen_no_more(self);
}

/* Everything pending is thrown away; err tells why the command failed. Always false. */
static bool give_up(struct ms_conn *self, struct error *err)
{
    struct ms_messages heard = self->messages;
    bool canceled = atomic_load(&self->canceled);
    self->in_results = false;
    drain(self);
    self->messages = heard;
    if (canceled)
        return error_set(err, ERROR_CANCELED, "%s: canceled", self->endpoint);
    ms_error_from(err, self->endpoint, &heard);
    if (!ms_conn_alive(self) && err->kind != ERROR_FATAL)
        err->kind = ERROR_RETRY;
    return false;
}

bool ms_conn_called(struct ms_conn *self, bool ok, struct error *err)
{
    if (!ok || ms_messages_failed(&self->messages) || atomic_load(&self->canceled))
        return give_up(self, err);
    listen_no_more(self);
    return true;
}

/* The next result set; only SUCCEED goes on, as FAIL comes for ever on a dead link (hazard 53). */
static enum ms_next next_set(struct ms_conn *self)
{
    for (;;) {
        RETCODE rc = dbresults(self->db);
        if (rc == NO_MORE_RESULTS)
            return ms_messages_failed(&self->messages) ? MS_FAILED : MS_END;
        if (rc != SUCCEED || ms_messages_failed(&self->messages) || atomic_load(&self->canceled))
            return MS_FAILED;
        self->columns = dbnumcols(self->db);
        if (self->columns > 0)
            return MS_ROW;
        if (dbiscount(self->db))
            self->rows = dbcount(self->db);
    }
}

static enum ms_next next_row(struct ms_conn *self)
{
    STATUS status = dbnextrow(self->db);
    if (ms_messages_failed(&self->messages) || atomic_load(&self->canceled))
        return MS_FAILED;
    if (status == REG_ROW)
        return MS_ROW;
    if (status != NO_MORE_ROWS || dbdead(self->db))
        return MS_FAILED;
    if (dbiscount(self->db))
        self->rows = dbcount(self->db);
    return MS_END;
}

static bool send_batch(struct ms_conn *self, const char *sql, struct error *err)
{
    assert(!self->in_results);
    self->rows = -1;
    self->columns = 0;
    if (atomic_load(&self->canceled))
        return error_set(err, ERROR_CANCELED, "%s: canceled", self->endpoint);
    if (!ms_conn_alive(self))
        return error_set(err, ERROR_RETRY, "%s: the connection is lost", self->endpoint);
    ms_conn_call(self);
    dbfreebuf(self->db);
    bool ok = dbcmd(self->db, sql) == SUCCEED && dbsqlexec(self->db) == SUCCEED;
    return (ok && !ms_messages_failed(&self->messages)) || give_up(self, err);
}

bool ms_query_start(struct ms_conn *self, const char *sql, struct error *err)
{
    if (!send_batch(self, sql, err))
        return false;
    enum ms_next next = next_set(self);
    if (next == MS_FAILED)
        return give_up(self, err);
    self->in_results = next == MS_ROW;
    if (next == MS_END)
        self->columns = 0;
    listen_no_more(self);
    return true;
}

enum ms_next ms_query_next(struct ms_conn *self, struct error *err)
{
    if (!self->in_results)
        return MS_END;
    listen_again(self);
    enum ms_next next = next_row(self);
    if (next == MS_FAILED)
        (void)give_up(self, err);
    else
        listen_no_more(self);
    return next;
}

enum ms_next ms_query_next_set(struct ms_conn *self, struct error *err)
{
    if (!self->in_results)
        return MS_END;
    listen_again(self);
    enum ms_next next = next_set(self);
    if (next == MS_FAILED) {
        (void)give_up(self, err);
        return next;
    }
    self->in_results = next == MS_ROW;
    if (next == MS_END)
        self->columns = 0;
    listen_no_more(self);
    return next;
}

void ms_query_stop(struct ms_conn *self)
{
    if (!self->in_results)
        return;
    self->in_results = false;
    if (!ms_conn_alive(self))
        return;
    ms_conn_call(self);
    drain(self);
}

bool ms_exec_count(struct ms_conn *self, const char *sql, int64_t *rows, struct error *err)
{
    if (!send_batch(self, sql, err))
        return false;
    for (;;) {
        enum ms_next next = next_set(self);
        if (next == MS_END)
            break;
        while (next == MS_ROW)
            next = next_row(self);
        if (next == MS_FAILED)
            return give_up(self, err);
    }
    listen_no_more(self);
    self->columns = 0;
    if (rows)
        *rows = self->rows;
    return true;
}

bool ms_exec(struct ms_conn *self, const char *sql, struct error *err)
{
    return ms_exec_count(self, sql, NULL, err);
}

bool ms_query(struct ms_conn *self, const char *sql, ms_row_fn row, void *context, struct error *err)
{
    if (!ms_query_start(self, sql, err))
        return false;
    enum ms_next next = MS_END;
    while ((next = ms_query_next(self, err)) == MS_ROW) {
        if (!row(context, self, err)) {
            ms_query_stop(self);
            return false;
        }
    }
    while (next == MS_END && self->in_results) {
        next = ms_query_next_set(self, err);
        while (next == MS_ROW)
            next = ms_query_next(self, err);
    }
    return next == MS_END;
}

/* ------------------------------------------------------------------------------------------- transactions */

bool ms_begin(struct ms_conn *self, struct error *err)
{
    return ms_exec(self, "BEGIN TRANSACTION", err);
}

bool ms_commit(struct ms_conn *self, struct error *err)
{
    return ms_exec(self, "COMMIT TRANSACTION", err);
}

bool ms_rollback(struct ms_conn *self, struct error *err)
{
    ms_query_stop(self);
    if (ms_exec(self, "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION", err))
        return true;
    ms_conn_close(self);
    return false;
}
