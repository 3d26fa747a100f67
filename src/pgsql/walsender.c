/* SPDX-License-Identifier: PostgreSQL
 *
 * The replication session over libpq's COPY BOTH mode, non-blocking.
 *
 * 1. The end of the stream is never good news: a walsender ends it only when it shuts down or fails.
 *    CopyDone is ERROR_RETRY, an ErrorResponse is sorted by its SQLSTATE, a lost link is ERROR_RETRY.
 * 2. A status says written = what was received and flushed = applied = what was confirmed. It starts with
 *    nothing confirmed, so a slot never moves before the sink said so in this very session.
 * 3. Status goes out when the server asks, when the interval has passed, or when the confirmed position
 *    moved and the last one is 100 ms old: a busy sink confirms thousands of times a second.
 * 4. Data that libpq holds is drained before anything is polled, so a loaded stream costs no system call
 *    a message but the reads themselves.
 * 5. A walsender writes every message by itself. A reader that waits in poll is woken for each of them, and
 *    the two sides then spend their time switching. So while messages come faster than HOT_PER_MS, the
 *    reader sleeps SETTLE_US before it looks again, and finds many. Slower streams are never delayed.
 */
#include "pgsql/walsender.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/mem.h"
#include "model/position.h"
#include "pgsql/pgoutput.h"
#include "pgsql/slot.h"
#include "pgsql/sql.h"

enum {
    CONFIRM_SPACING_MS = 100, /* between statuses that only tell a newer confirmed position */
    IDLE_SPACING_MS = 100,    /* between keepalives handed out: other databases' WAL makes many */
    TIMER_EVERY = 16,         /* messages between two looks at the clock while data flows */
    HOT_PER_MS = 25,          /* messages a millisecond from which on reads are gathered … */
    SETTLE_US = 250,          /* … for so long; the socket holds twice as many */
    TLS_READS = 3,            /* libpq may leave part of a TLS record unread, which poll can't see … */
    TLS_POLL_MS = 100         /* … so with TLS it is read more often and never polled for long */
};

struct walsender {
    struct pg_conn conn;
    char *slot;
    char *publication;
    char *insert_publication; /* NULL: none */
    bool binary;
    bool streaming;
    uint64_t start;
    int status_interval_ms;
    int cancel_fd;
    atomic_bool canceled;
    _Atomic uint64_t confirmed;
    _Atomic uint64_t server_end;
    uint64_t received;
    uint64_t keepalive;
    uint64_t confirmed_sent;
    int64_t status_sent_ms;
    int64_t idle_told_ms;
    bool status_wanted; /* the server asked for it */
    bool flush_pending; /* libpq holds bytes the socket did not take */
    bool reply_asked;   /* … since walsender_reply_asked */
    bool idle_untold;   /* a keepalive came since the last WALSENDER_IDLE */
    unsigned until_timer;
    unsigned window_messages; /* since window_us, for the rate */
    int64_t window_us;
    bool hot;
    char *copied;      /* the message handed out last, libpq's memory */
    char warning[300]; /* of the server: it leaves changes out */
};

static void say_lsn(uint64_t lsn, char out[POSITION_TEXT_SIZE])
{
    position_format(position_lsn(lsn), out);
}

/* The replication grammar's strings know '' and no escapes, unlike SQL's. */
static void replication_literal(struct buffer *out, const char *text)
{
    buffer_putc(out, '\'');
    for (const char *p = text; *p; p++) {
        if (*p == '\'')
            buffer_putc(out, '\'');
        buffer_putc(out, *p);
    }
    buffer_putc(out, '\'');
}

bool walsender_open(const struct walsender_options *options, struct walsender **out, struct error *err)
{
    struct walsender *self = mem_alloc(sizeof(*self));
    struct pg_conn_options conn = options->conn;
    *out = NULL;
    self->slot = mem_strdup(options->slot);
    self->publication = mem_strdup(options->publication);
    self->insert_publication = mem_strdup(options->insert_publication);
    self->start = self->received = self->keepalive = options->start;
    self->status_interval_ms = options->status_interval_ms > 0 ? options->status_interval_ms : 1000;
    atomic_init(&self->server_end, options->start);
    self->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (self->cancel_fd < 0) {
        error_set(err, ERROR_RETRY, "can't make an event descriptor - %s", strerror(errno));
        goto fail;
    }
    conn.replication = true;
    conn.apply = false;
    conn.statement_timeout_ms = 0; /* it would end the stream */
    if (!pg_conn_open(&self->conn, &conn, err))
        goto fail;
    self->binary = options->binary && self->conn.version >= 140000;
    if (!slot_check(&self->conn, self->slot, self->publication, self->insert_publication, self->start, err))
        goto fail;
    *out = self;
    return true;
fail:
    walsender_free(self);
    return false;
}

static bool status_send(struct walsender *self, int64_t now, struct error *err);

struct pg_conn *walsender_conn(struct walsender *self)
{
    assert(!self->streaming);
    return &self->conn;
}

/* The confirmed position that the server has not heard of yet: without it the next session would begin with
 * transactions that are done, and the slot would hold their WAL until then. */
static void last_status(struct walsender *self)
{
    struct error err = {0};
    if (PQstatus(self->conn.pg) != CONNECTION_OK || atomic_load(&self->confirmed) <= self->confirmed_sent)
        return;
    if (!status_send(self, clock_ms(), &err))
        error_clear(&err); /* it is repeated by the next session */
}

void walsender_free(struct walsender *self)
{
    if (!self)
        return;
    if (self->streaming)
        last_status(self);
    if (self->copied)
        PQfreemem(self->copied);
    pg_conn_close(&self->conn);
    if (self->cancel_fd >= 0)
        close(self->cancel_fd);
    free(self->slot);
    free(self->publication);
    free(self->insert_publication);
    free(self);
}

/* --- what a failure means --- */

/* Of the errors a walsender ends with, which say that what we need will never come. */
static enum error_kind stream_error_kind(const char *state)
{
    static const char *const fatal[] = {
        "42704", /* the slot or the publication does not exist */
        "55000", /* the slot was invalidated */
        "58P01", /* the WAL segment has been removed */
    };
    for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++) {
        if (strcmp(state, fatal[i]) == 0)
            return ERROR_FATAL;
    }
    enum error_kind kind = pg_sqlstate_kind(state);
    /* No row of ours is to blame when the server can't decode: it refuses to go on. */
    return kind == ERROR_DATA ? ERROR_REFUSED : kind;
}

static bool stream_failed(struct walsender *self, const PGresult *r, struct error *err)
{
    pg_error_from(err, &self->conn, r);
    if (err->code[0])
        err->kind = stream_error_kind(err->code);
    if (err->kind == ERROR_FATAL) {
        struct error e = *err;
        error_set_code(err, ERROR_FATAL, e.code,
                       "%.1000s - slot \"%s\": if it can't be mended, crossfade recopy", e.text, self->slot);
    }
    return error_prefix(err, "replication stream");
}

/* From 18 on a publication that is not there is a warning, and its changes are left out without an error. */
static void take_notice(void *context, const PGresult *r)
{
    struct walsender *self = context;
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(r, PG_DIAG_MESSAGE_DETAIL);
    if (state && strcmp(state, "55000") == 0)
        snprintf(self->warning, sizeof(self->warning), "%s%s%s", text ? text : "warning 55000",
                 detail ? " - " : "", detail ? detail : "");
}

static bool changes_left_out(struct walsender *self, struct error *err)
{
    return error_set(
        err, ERROR_FATAL,
        "%s: replication stream: %s - the server leaves changes out, which would be lost - create "
        "publication \"%s\" again if it is gone, then crossfade recopy",
        self->conn.endpoint, self->warning, self->publication);
}

/* The server left COPY BOTH mode: an error, or a shutdown in good order. */
static bool stream_ended(struct walsender *self, struct error *err)
{
    PGresult *r = PQgetResult(self->conn.pg);
    ExecStatusType status = r ? PQresultStatus(r) : PGRES_FATAL_ERROR;
    if (r && status != PGRES_FATAL_ERROR) {
        error_set(err, ERROR_RETRY, "%s: replication stream: the server ended it - it is shutting down",
                  self->conn.endpoint);
    } else {
        stream_failed(self, r, err);
    }
    PQclear(r);
    return false;
}

bool walsender_start(struct walsender *self, struct error *err)
{
    struct buffer sql = {0};
    struct buffer names = {0};
    char start[POSITION_TEXT_SIZE];
    say_lsn(self->start, start);
    sql_ident(&names, self->publication);
    if (self->insert_publication) {
        buffer_putc(&names, ',');
        sql_ident(&names, self->insert_publication);
    }
    buffer_puts(&sql, "START_REPLICATION SLOT ");
    sql_ident(&sql, self->slot);
    buffer_printf(&sql, " LOGICAL %s (proto_version '%d', publication_names ", start,
                  self->conn.version >= 140000 ? 2 : 1);
    replication_literal(&sql, buffer_text(&names));
    buffer_puts(&sql, self->binary ? ", binary 'true')" : ")");
    PGresult *r = PQexec(self->conn.pg, buffer_text(&sql));
    bool ok = PQresultStatus(r) == PGRES_COPY_BOTH;
    if (!ok)
        stream_failed(self, r, err);
    PQclear(r);
    buffer_free(&names);
    buffer_free(&sql);
    if (ok && PQsetnonblocking(self->conn.pg, 1) != 0)
        ok = pg_error_from(err, &self->conn, NULL);
    if (ok)
        PQsetNoticeReceiver(self->conn.pg, take_notice, self);
    self->streaming = ok;
    self->status_sent_ms = clock_ms();
    return ok;
}

/* --- status --- */

/* Milliseconds until a status is due, 0 if it is now. */
static int64_t status_wait_ms(const struct walsender *self, int64_t now)
{
    if (self->status_wanted)
        return 0;
    bool news = atomic_load_explicit(&self->confirmed, memory_order_acquire) > self->confirmed_sent;
    int64_t interval = self->status_interval_ms;
    if (news && interval > CONFIRM_SPACING_MS)
        interval = CONFIRM_SPACING_MS;
    int64_t due = self->status_sent_ms + interval;
    return due > now ? due - now : 0;
}

static bool flush(struct walsender *self, struct error *err)
{
    int n = PQflush(self->conn.pg);
    if (n < 0)
        return stream_failed(self, NULL, err);
    self->flush_pending = n > 0;
    return true;
}

static bool status_send(struct walsender *self, int64_t now, struct error *err)
{
    char message[PGOUTPUT_STATUS_SIZE];
    uint64_t confirmed = atomic_load_explicit(&self->confirmed, memory_order_acquire);
    uint64_t written = self->received > confirmed ? self->received : confirmed;
    assert(confirmed >= self->confirmed_sent);
    pgoutput_status_encode(written, confirmed, confirmed, clock_wall_us(), false, message);
    int n = PQputCopyData(self->conn.pg, message, sizeof(message));
    if (n < 0)
        return stream_failed(self, NULL, err);
    if (n > 0) {
        self->status_sent_ms = now;
        self->confirmed_sent = confirmed;
        self->status_wanted = false;
    }
    return flush(self, err);
}

bool walsender_tick(struct walsender *self, struct error *err)
{
    int64_t now = clock_ms();
    assert(self->streaming);
    if (self->flush_pending) {
        if (!flush(self, err))
            return false;
        if (self->flush_pending)
            return true; /* nothing is queued behind what the socket does not take */
    }
    return status_wait_ms(self, now) > 0 || status_send(self, now, err);
}

void walsender_confirm(struct walsender *self, uint64_t lsn)
{
    uint64_t old = atomic_load_explicit(&self->confirmed, memory_order_relaxed);
    while (lsn > old && !atomic_compare_exchange_weak_explicit(&self->confirmed, &old, lsn,
                                                               memory_order_release, memory_order_relaxed))
        ;
}

void walsender_cancel(struct walsender *self)
{
    uint64_t one = 1;
    atomic_store(&self->canceled, true);
    ssize_t n = write(self->cancel_fd, &one, sizeof(one));
    (void)n; /* full means that it is readable already */
}

/* --- reading --- */

static void saw_server_end(struct walsender *self, uint64_t lsn)
{
    if (lsn > atomic_load_explicit(&self->server_end, memory_order_relaxed))
        atomic_store_explicit(&self->server_end, lsn, memory_order_relaxed);
}

/* True when *body is for the caller; false when the message was only for us, or on failure (err set). */
static bool take_message(struct walsender *self, int length, struct slice *body, struct error *err)
{
    struct pgoutput_envelope e;
    if (!pgoutput_envelope_decode((struct slice){self->copied, (size_t)length}, &e, err))
        return error_prefix(err, "%s", self->conn.endpoint);
    saw_server_end(self, e.end);
    if (e.kind == 'w') {
        if (e.start > self->received)
            self->received = e.start;
        *body = e.body;
        return true;
    }
    if (e.end > self->received)
        self->received = e.end;
    if (e.end > self->keepalive)
        self->keepalive = e.end;
    self->status_wanted = self->status_wanted || e.reply;
    self->reply_asked = self->reply_asked || e.reply;
    self->idle_untold = true;
    return false;
}

/* Milliseconds that may be slept now; 0 if something is to be told or done at once. */
static int wait_ms(const struct walsender *self, int64_t deadline_ms, int64_t now)
{
    int64_t until = deadline_ms - now;
    int64_t status = status_wait_ms(self, now);
    if (status < until && !self->flush_pending)
        until = status;
    if (self->idle_untold && self->idle_told_ms + IDLE_SPACING_MS - now < until)
        until = self->idle_told_ms + IDLE_SPACING_MS - now;
    if (PQsslInUse(self->conn.pg) && until > TLS_POLL_MS)
        until = TLS_POLL_MS;
    if (until > INT_MAX)
        return INT_MAX;
    return until > 0 ? (int)until : 0;
}

static bool wait_input(struct walsender *self, int timeout_ms, struct error *err)
{
    struct pollfd fds[2] = {
        {.fd = PQsocket(self->conn.pg), .events = POLLIN},
        {.fd = self->cancel_fd, .events = POLLIN},
    };
    if (self->flush_pending)
        fds[0].events |= POLLOUT;
    int n = poll(fds, 2, timeout_ms);
    if (n < 0 && errno != EINTR)
        return error_set(err, ERROR_RETRY, "%s: can't wait for the server - %s", self->conn.endpoint,
                         strerror(errno));
    return true;
}

static bool read_input(struct walsender *self, struct error *err)
{
    if (PQconsumeInput(self->conn.pg))
        return true;
    return stream_failed(self, NULL, err);
}

/* Due when nothing is buffered: the keepalive that the caller has not heard of, or the deadline. */
static bool idle_due(struct walsender *self, int64_t deadline_ms, int64_t now)
{
    bool keepalive = self->idle_untold && now >= self->idle_told_ms + IDLE_SPACING_MS;
    if (!keepalive && now < deadline_ms)
        return false;
    self->idle_untold = false;
    self->idle_told_ms = now;
    return true;
}

static bool timer(struct walsender *self, struct error *err)
{
    if (atomic_load_explicit(&self->canceled, memory_order_relaxed))
        return error_set(err, ERROR_CANCELED, "%s: replication stream: canceled", self->conn.endpoint);
    if (self->until_timer-- > 0 && !self->status_wanted)
        return true;
    self->until_timer = TIMER_EVERY;
    return walsender_tick(self, err);
}

/* Nothing is left to read. If there was much a moment ago, lets some gather. */
static void settle(struct walsender *self)
{
    int64_t now = clock_us();
    int64_t elapsed = now - self->window_us;
    if (elapsed >= 1000) {
        self->hot = (int64_t)self->window_messages * 1000 > elapsed * HOT_PER_MS;
        self->window_messages = 0;
        self->window_us = now;
    }
    if (self->hot)
        usleep(SETTLE_US);
}

enum walsender_event walsender_next(struct walsender *self, int64_t deadline_ms, struct slice *body,
                                    struct error *err)
{
    int reads = PQsslInUse(self->conn.pg) ? TLS_READS : 1;
    int reads_left = reads;
    assert(self->streaming);
    for (;;) {
        if (!timer(self, err))
            return WALSENDER_FAILED;
        if (self->copied)
            PQfreemem(self->copied);
        self->copied = NULL;
        int n = PQgetCopyData(self->conn.pg, &self->copied, 1);
        if (self->warning[0]) {
            changes_left_out(self, err);
            return WALSENDER_FAILED;
        }
        if (n > 0) {
            self->window_messages++;
            error_clear(err);
            if (take_message(self, n, body, err))
                return WALSENDER_DATA;
            if (err->kind != ERROR_NONE)
                return WALSENDER_FAILED;
            continue;
        }
        if (n < 0) {
            n == -1 ? stream_ended(self, err) : stream_failed(self, NULL, err);
            return WALSENDER_FAILED;
        }
        if (reads_left-- > 0) {
            settle(self);
            if (!read_input(self, err))
                return WALSENDER_FAILED;
            continue;
        }
        int64_t now = clock_ms();
        if (idle_due(self, deadline_ms, now))
            return WALSENDER_IDLE;
        self->until_timer = 0;
        if (!wait_input(self, wait_ms(self, deadline_ms, now), err))
            return WALSENDER_FAILED;
        reads_left = reads;
    }
}

uint64_t walsender_server_end(const struct walsender *self)
{
    return atomic_load_explicit(&self->server_end, memory_order_relaxed);
}

uint64_t walsender_keepalive(const struct walsender *self)
{
    return self->keepalive;
}

bool walsender_reply_asked(struct walsender *self)
{
    bool asked = self->reply_asked;
    self->reply_asked = false;
    return asked;
}
