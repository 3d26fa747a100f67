/* SPDX-License-Identifier: PostgreSQL
 *
 * A line is built under the log's mutex in its own buffer and leaves in one write(2), so that lines of
 * several threads or processes on one stderr don't mix. Whatever comes from outside (names, server
 * messages) can't break a line or a terminal: control characters are escaped, bytes that are no UTF-8
 * become U+FFFD.
 */
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "config.h"

#ifdef HAVE_SYSTEMD
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#endif

struct log {
    pthread_mutex_t mutex;
    enum log_format format;
    atomic_int level;
    char *pipeline; /* NULL: none */
    struct buffer message;
    struct buffer line;
};

static const char *const level_names[] = {"debug", "info", "warning", "error"};

struct log *log_new(enum log_format format, enum log_level level, const char *pipeline)
{
    struct log *self = mem_alloc(sizeof(*self));
    pthread_mutex_init(&self->mutex, NULL);
    /* The library drops messages silently where no journald listens. */
    if (format == LOG_FORMAT_JOURNAL && access("/run/systemd/journal/socket", F_OK) != 0)
        format = LOG_FORMAT_TEXT;
    self->format = format;
    atomic_init(&self->level, (int)level);
    self->pipeline = mem_strdup(pipeline);
    return self;
}

void log_free(struct log *self)
{
    if (!self)
        return;
    pthread_mutex_destroy(&self->mutex);
    buffer_free(&self->message);
    buffer_free(&self->line);
    free(self->pipeline);
    free(self);
}

void log_set_level(struct log *self, enum log_level level)
{
    atomic_store(&self->level, (int)level);
}

/* For inside the quotes of JSON. */
static void put_json(struct buffer *out, const char *text)
{
    size_t left = strlen(text);
    while (left) {
        unsigned char c = (unsigned char)*text;
        size_t n = utf8_length(text, left);
        if (n == 0) {
            buffer_puts(out, "\xEF\xBF\xBD");
            n = 1;
        } else if (c == '"' || c == '\\') {
            buffer_printf(out, "\\%c", c);
        } else if (c < 0x20 || c == 0x7F) {
            buffer_printf(out, "\\u%04x", c);
        } else if (c == 0xC2 && (unsigned char)text[1] < 0xA0) {
            buffer_printf(out, "\\u%04x", (unsigned char)text[1]);
        } else {
            buffer_put(out, text, n);
        }
        text += n;
        left -= n;
    }
}

static void put_member(struct buffer *out, const char *name, const char *value)
{
    if (!value)
        return;
    buffer_printf(out, "%s\"%s\":\"", out->length > 1 ? "," : "", name);
    put_json(out, value);
    buffer_putc(out, '"');
}

static void build_json(struct log *self, const char *ts, const char *level, const struct log_fields *fields)
{
    struct buffer *out = &self->line;
    buffer_putc(out, '{');
    put_member(out, "ts", ts);
    put_member(out, "level", level);
    put_member(out, "pipeline", self->pipeline);
    put_member(out, "table", fields->table);
    put_member(out, "position", fields->position);
    put_member(out, "msg", buffer_text(&self->message));
    buffer_puts(out, "}\n");
}

static void build_text(struct log *self, const char *ts, const char *level, const struct log_fields *fields)
{
    struct buffer *out = &self->line;
    const char *const words[] = {self->pipeline, fields->table, fields->position};
    buffer_printf(out, "%s %s", ts, level);
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        if (words[i]) {
            buffer_putc(out, ' ');
            utf8_put_printable(out, words[i]);
        }
    }
    buffer_puts(out, ": ");
    utf8_put_printable(out, buffer_text(&self->message));
    buffer_putc(out, '\n');
}

static void write_stderr(const struct buffer *line)
{
    const char *at = line->data;
    size_t left = line->length;
    while (left) {
        ssize_t n = write(STDERR_FILENO, at, left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* nobody to tell */
        at += n;
        left -= (size_t)n;
    }
}

#ifdef HAVE_SYSTEMD
static bool send_journal(struct log *self, enum log_level level, const struct log_fields *fields)
{
    static const int priorities[] = {7, 6, 4, 3};
    const char *const names[] = {"PIPELINE=", "TABLE=", "POSITION="};
    const char *const values[] = {self->pipeline, fields->table, fields->position};
    struct iovec iov[5];
    char *texts[5];
    int n = 0;
    struct buffer item = {0};
    buffer_puts(&item, "MESSAGE=");
    utf8_put_printable(&item, buffer_text(&self->message));
    texts[n++] = buffer_detach(&item);
    buffer_printf(&item, "PRIORITY=%d", priorities[level]);
    texts[n++] = buffer_detach(&item);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (!values[i])
            continue;
        buffer_puts(&item, names[i]);
        utf8_put_printable(&item, values[i]);
        texts[n++] = buffer_detach(&item);
    }
    for (int i = 0; i < n; i++)
        iov[i] = (struct iovec){texts[i], strlen(texts[i])};
    bool sent = sd_journal_sendv(iov, n) >= 0;
    for (int i = 0; i < n; i++)
        free(texts[i]);
    return sent;
}
#else
static bool send_journal(struct log *self, enum log_level level, const struct log_fields *fields)
{
    (void)self;
    (void)level;
    (void)fields;
    return false;
}
#endif

void log_write(struct log *self, enum log_level level, const struct log_fields *fields, const char *fmt, ...)
{
    static const struct log_fields none = {0};
    if ((int)level < atomic_load(&self->level))
        return;
    int saved_errno = errno;
    pthread_mutex_lock(&self->mutex);
    buffer_clear(&self->message);
    buffer_clear(&self->line);
    va_list ap;
    va_start(ap, fmt);
    buffer_vprintf(&self->message, fmt, ap);
    va_end(ap);
    fields = fields ? fields : &none;
    if (self->format != LOG_FORMAT_JOURNAL || !send_journal(self, level, fields)) {
        char ts[32];
        clock_format(clock_wall_us(), ts, sizeof(ts));
        if (self->format == LOG_FORMAT_JSON)
            build_json(self, ts, level_names[level], fields);
        else
            build_text(self, ts, level_names[level], fields);
        write_stderr(&self->line);
    }
    pthread_mutex_unlock(&self->mutex);
    errno = saved_errno;
}
