/* SPDX-License-Identifier: PostgreSQL */
#include "pgsql/conn.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "pgsql/sql.h"

/* A setting we depend on, from which server version it exists, and where it applies. */
struct pin {
    const char *name;
    const char *value;
    int since;
    int until; /* 0: still there */
    bool apply_only;
};

static const struct pin pins[] = {
    {"DateStyle", "ISO, YMD", 0, 0, false},
    {"IntervalStyle", "postgres", 0, 0, false},
    {"extra_float_digits", "3", 0, 0, false},
    {"TimeZone", "UTC", 0, 0, false},
    {"bytea_output", "hex", 0, 0, false},
    {"lc_monetary", "C", 0, 0, false},
    {"standard_conforming_strings", "on", 0, 0, false},
    {"quote_all_identifiers", "off", 0, 0, false},
    {"array_nulls", "on", 0, 0, false},
    {"xmloption", "content", 0, 0, false},
    {"search_path", "", 0, 0, false},
    {"row_security", "off", 0, 0, false},
    {"default_transaction_isolation", "read committed", 0, 0, false},
    {"default_transaction_read_only", "off", 0, 0, false},
    {"idle_in_transaction_session_timeout", "0", 0, 0, false},
    {"idle_session_timeout", "0", 140000, 0, false},
    {"transaction_timeout", "0", 170000, 0, false},
    {"jit", "off", 110000, 0, false},
    {"synchronous_commit", "off", 0, 0, true},
    /* Keyed set statements must stay index nested loops however small the table was when first planned. */
    {"plan_cache_mode", "force_generic_plan", 120000, 0, true},
    {"enable_seqscan", "off", 0, 0, true},
    {"enable_hashjoin", "off", 0, 0, true},
    {"enable_mergejoin", "off", 0, 0, true},
    {"enable_material", "off", 0, 0, true},
    {"enable_sort", "off", 0, 0, true},
    {"max_parallel_workers_per_gather", "0", 0, 0, true},
};

static bool pin_applies(const struct pin *pin, const struct pg_conn *conn, bool apply)
{
    return conn->version >= pin->since && (!pin->until || conn->version < pin->until) &&
           (apply || !pin->apply_only);
}

enum error_kind pg_sqlstate_kind(const char *s)
{
    static const struct {
        const char *prefix;
        enum error_kind kind;
    } kinds[] = {
        {"CF001", ERROR_DATA},  {"CF002", ERROR_FENCED}, {"CF003", ERROR_FATAL}, {"57P04", ERROR_FATAL},
        {"55P03", ERROR_RETRY}, {"55006", ERROR_RETRY},  {"22", ERROR_DATA},     {"23", ERROR_DATA},
        {"40", ERROR_RETRY},    {"53", ERROR_RETRY},     {"57", ERROR_RETRY},    {"58", ERROR_RETRY},
        {"08", ERROR_RETRY},    {"25006", ERROR_RETRY},  {"28", ERROR_REFUSED},  {"3D", ERROR_REFUSED},
        {"3F", ERROR_REFUSED},  {"42", ERROR_REFUSED},   {"0A", ERROR_REFUSED},  {"XX001", ERROR_FATAL},
        {"XX002", ERROR_FATAL},
    };
    if (!s || !*s)
        return ERROR_RETRY;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strncmp(s, kinds[i].prefix, strlen(kinds[i].prefix)) == 0)
            return kinds[i].kind;
    }
    return ERROR_REFUSED;
}

/* Appends one field of a server's message, with what is in front of it. */
static void add_field(struct buffer *out, const char *before, const char *text)
{
    if (!text || !*text)
        return;
    buffer_puts(out, before);
    for (const char *p = text; *p; p++)
        buffer_putc(out, *p == '\n' ? ' ' : *p);
}

static void trim(struct buffer *b)
{
    while (b->length && isspace((unsigned char)b->data[b->length - 1]))
        b->data[--b->length] = '\0';
}

bool pg_error_from(struct error *err, struct pg_conn *self, const PGresult *result)
{
    struct buffer text = {0};
    const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    buffer_printf(&text, "%s: ", self->endpoint);
    if (state) {
        add_field(&text, "", PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
        add_field(&text, " - ", PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL));
        add_field(&text, " - ", PQresultErrorField(result, PG_DIAG_MESSAGE_HINT));
        if (strncmp(state, "22", 2) == 0 || strncmp(state, "23", 2) == 0)
            add_field(&text, " - ", PQresultErrorField(result, PG_DIAG_CONTEXT));
    } else {
        const char *message = PQerrorMessage(self->pg);
        add_field(&text, "", *message ? message : "the connection was lost");
    }
    trim(&text);
    enum error_kind kind = pg_sqlstate_kind(state);
    if (kind != ERROR_FATAL && PQstatus(self->pg) == CONNECTION_BAD)
        kind = ERROR_RETRY;
    error_set_code(err, kind, state, "%s", buffer_text(&text));
    buffer_free(&text);
    return false;
}

/* While connecting libpq tells the SQLSTATE only inside the verbose text: "FATAL:  28P01: password …". */
static bool connect_failed(struct pg_conn *self, struct error *err)
{
    struct buffer text = {0};
    const char *message = PQerrorMessage(self->pg);
    char state[6] = "";
    const char *end = strstr(message, "\nLOCATION:");
    for (const char *p = strstr(message, ":  "); p; p = strstr(p + 1, ":  ")) {
        if (strspn(p + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 && p[8] == ':')
            snprintf(state, sizeof(state), "%.5s", p + 3);
    }
    for (const char *p = message; *p && p != end; p++)
        buffer_putc(&text, *p == '\n' ? ' ' : *p);
    trim(&text);
    error_set_code(err, pg_sqlstate_kind(state), state, "%s: can't connect to %s - %s", self->endpoint,
                   self->where, buffer_text(&text));
    buffer_free(&text);
    return false;
}

static bool wait_connected(struct pg_conn *self, int timeout_ms, struct error *err)
{
    int64_t deadline = clock_ms() + timeout_ms;
    PostgresPollingStatusType want = PGRES_POLLING_WRITING;
    while (want != PGRES_POLLING_OK) {
        struct pollfd p = {.fd = PQsocket(self->pg),
                           .events = want == PGRES_POLLING_READING ? POLLIN : POLLOUT};
        int64_t left = deadline - clock_ms();
        int n = left > 0 ? poll(&p, 1, (int)left) : 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            return error_set(err, ERROR_RETRY, "%s: %s does not answer within connect_timeout (%d ms)",
                             self->endpoint, self->where, timeout_ms);
        want = PQconnectPoll(self->pg);
        if (want == PGRES_POLLING_FAILED)
            return connect_failed(self, err);
    }
    return true;
}

/* "host:port/database" without anything secret. */
static void describe(struct pg_conn *self)
{
    const char *host = PQhost(self->pg);
    const char *port = PQport(self->pg);
    const char *db = PQdb(self->pg);
    snprintf(self->where, sizeof(self->where), "%s:%s/%s", host ? host : "", port ? port : "", db ? db : "");
}

static PGconn *connect_start(const struct pg_conn_options *o, char *name, size_t name_size)
{
    const char *keys[12];
    const char *values[12];
    int n = 0;
    snprintf(name, name_size, "crossfade:%s:%s", o->pipeline, o->job);
#define PARAM(key, value) (keys[n] = (key), values[n] = (value), n++)
    PARAM("dbname", o->conninfo);
    PARAM("application_name", name);
    PARAM("client_encoding", "UTF8");
    PARAM("keepalives", "1");
    PARAM("keepalives_idle", "10");
    PARAM("keepalives_interval", "5");
    PARAM("keepalives_count", "3");
    PARAM("tcp_user_timeout", "30000");
    if (o->replication)
        PARAM("replication", "database");
#undef PARAM
    keys[n] = NULL;
    values[n] = NULL;
    return PQconnectStartParams(keys, values, 1);
}

static void append_setting(struct buffer *sql, const char *name, const char *value)
{
    buffer_puts(sql, "SET ");
    buffer_puts(sql, name);
    buffer_puts(sql, " = ");
    sql_literal(sql, value);
    buffer_puts(sql, ";");
}

static void append_timeout(struct buffer *sql, const char *name, int ms)
{
    char value[16];
    snprintf(value, sizeof(value), "%d", ms);
    append_setting(sql, name, value);
}

static bool set_pins(struct pg_conn *self, const struct pg_conn_options *o, struct error *err)
{
    struct buffer sql = {0};
    for (size_t i = 0; i < sizeof(pins) / sizeof(pins[0]); i++) {
        if (pin_applies(&pins[i], self, o->apply))
            append_setting(&sql, pins[i].name, pins[i].value);
    }
    append_timeout(&sql, "statement_timeout", o->statement_timeout_ms);
    append_timeout(&sql, "lock_timeout", o->lock_timeout_ms);
    bool ok = pg_exec(self, buffer_text(&sql), err);
    buffer_free(&sql);
    return ok;
}

/* A pooler between us and the server may answer a SET and forget it: what was pinned must be there. */
static bool read_pins_back(struct pg_conn *self, bool apply, struct error *err)
{
    struct buffer sql = {0};
    const struct pin *asked[sizeof(pins) / sizeof(pins[0])];
    int n = 0;
    for (size_t i = 0; i < sizeof(pins) / sizeof(pins[0]); i++) {
        if (!pin_applies(&pins[i], self, apply))
            continue;
        buffer_puts(&sql, n ? ", pg_catalog.current_setting(" : "SELECT pg_catalog.current_setting(");
        sql_literal(&sql, pins[i].name);
        buffer_puts(&sql, ")");
        asked[n++] = &pins[i];
    }
    PGresult *r = pg_query(self, buffer_text(&sql), 0, NULL, err);
    buffer_free(&sql);
    if (!r)
        return false;
    bool ok = true;
    for (int i = 0; i < n && ok; i++) {
        const char *now = PQgetvalue(r, 0, i);
        bool empty_path = strcmp(asked[i]->name, "search_path") == 0 && strcmp(now, "\"\"") == 0;
        if (strcmp(now, asked[i]->value) != 0 && !empty_path)
            ok = error_set(
                err, ERROR_REFUSED,
                "%s: setting %s is \"%s\" after it was set to \"%s\" - a connection pooler in transaction "
                "mode forgets settings - connect to the server itself",
                self->endpoint, asked[i]->name, now, asked[i]->value);
    }
    PQclear(r);
    return ok;
}

/* Superusers may set it, others when granted (15+) or by ALTER ROLE … SET; else triggers and foreign keys
 * fire. */
static bool set_replica_role(struct pg_conn *self, struct error *err)
{
    char value[32];
    PGresult *r = PQexec(self->pg, "SET session_replication_role = 'replica'");
    bool denied = PQresultStatus(r) != PGRES_COMMAND_OK;
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    bool expected = state && strcmp(state, "42501") == 0;
    if (denied && !expected)
        pg_error_from(err, self, r);
    PQclear(r);
    if (denied && !expected)
        return false;
    if (!pg_query_one(self, "SELECT pg_catalog.current_setting('session_replication_role')", 0, NULL, value,
                      sizeof(value), NULL, err))
        return false;
    self->replica_role = strcmp(value, "replica") == 0;
    return true;
}

static void ignore_notice(void *context, const PGresult *result)
{
    (void)context;
    (void)result;
}

bool pg_conn_open(struct pg_conn *self, const struct pg_conn_options *o, struct error *err)
{
    char name[128];
    *self = (struct pg_conn){0};
    snprintf(self->endpoint, sizeof(self->endpoint), "%s", o->endpoint);
    if (!o->conninfo) /* libpq would take its defaults for an address */
        return error_set(err, ERROR_REFUSED, "%s: is no PostgreSQL, and this needs one", self->endpoint);
    self->pg = connect_start(o, name, sizeof(name));
    if (!self->pg)
        return error_set(err, ERROR_RETRY, "%s: out of memory while connecting", self->endpoint);
    describe(self);
    if (PQstatus(self->pg) == CONNECTION_BAD) {
        connect_failed(self, err);
        goto close;
    }
    PQsetErrorVerbosity(self->pg, PQERRORS_VERBOSE);
    PQsetNoticeReceiver(self->pg, ignore_notice, NULL);
    if (!wait_connected(self, o->connect_timeout_ms > 0 ? o->connect_timeout_ms : 10000, err))
        goto close;
    PQsetErrorVerbosity(self->pg, PQERRORS_DEFAULT);
    describe(self);
    self->version = PQserverVersion(self->pg);
    self->cancel = PQgetCancel(self->pg);
    if (!set_pins(self, o, err) || !read_pins_back(self, o->apply, err))
        goto close;
    if (o->apply && !set_replica_role(self, err))
        goto close;
    return true;
close:
    pg_conn_close(self);
    return false;
}

void pg_conn_close(struct pg_conn *self)
{
    if (self->cancel)
        PQfreeCancel(self->cancel);
    if (self->pg)
        PQfinish(self->pg);
    self->cancel = NULL;
    self->pg = NULL;
}

PGresult *pg_query(struct pg_conn *self, const char *sql, int nparams, const char *const *params,
                   struct error *err)
{
    /* A walsender session speaks the simple protocol only. */
    PGresult *r =
        nparams ? PQexecParams(self->pg, sql, nparams, NULL, params, NULL, NULL, 0) : PQexec(self->pg, sql);
    if (PQresultStatus(r) == PGRES_TUPLES_OK)
        return r;
    if (PQresultStatus(r) == PGRES_COMMAND_OK)
        error_set(err, ERROR_REFUSED, "%s: a query returned no rows where rows belong: %.200s",
                  self->endpoint, sql);
    else
        pg_error_from(err, self, r);
    PQclear(r);
    return NULL;
}

static bool command_done(struct pg_conn *self, PGresult *r, struct error *err)
{
    ExecStatusType status = PQresultStatus(r);
    bool ok = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
    if (!ok)
        pg_error_from(err, self, r);
    PQclear(r);
    return ok;
}

bool pg_exec(struct pg_conn *self, const char *sql, struct error *err)
{
    return command_done(self, PQexec(self->pg, sql), err);
}

bool pg_exec_params(struct pg_conn *self, const char *sql, int nparams, const char *const *params,
                    struct error *err)
{
    return command_done(self, PQexecParams(self->pg, sql, nparams, NULL, params, NULL, NULL, 0), err);
}

bool pg_query_one(struct pg_conn *self, const char *sql, int nparams, const char *const *params, char *out,
                  size_t size, bool *is_null, struct error *err)
{
    PGresult *r = pg_query(self, sql, nparams, params, err);
    if (!r)
        return false;
    bool ok = PQntuples(r) == 1 && PQnfields(r) >= 1;
    if (!ok) {
        error_set(err, ERROR_REFUSED, "%s: %d rows where one belongs: %.200s", self->endpoint, PQntuples(r),
                  sql);
    } else {
        bool null = PQgetisnull(r, 0, 0);
        snprintf(out, size, "%s", null ? "" : PQgetvalue(r, 0, 0));
        if (is_null)
            *is_null = null;
    }
    PQclear(r);
    return ok;
}

bool pg_conn_idle(const struct pg_conn *self)
{
    return self->pg && PQstatus(self->pg) == CONNECTION_OK && PQtransactionStatus(self->pg) == PQTRANS_IDLE;
}

void pg_conn_cancel(struct pg_conn *self)
{
    char text[256];
    if (self->cancel)
        (void)PQcancel(self->cancel, text, sizeof(text));
}
