/* SPDX-License-Identifier: PostgreSQL */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

PRINTF_LIKE(4, 0)
static void set_text(struct error *err, enum error_kind kind, const char *code, const char *fmt, va_list ap)
{
    err->kind = kind;
    snprintf(err->code, sizeof(err->code), "%s", code ? code : "");
    vsnprintf(err->text, sizeof(err->text), fmt, ap);
}

bool error_set(struct error *err, enum error_kind kind, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set_text(err, kind, NULL, fmt, ap);
    va_end(ap);
    return false;
}

bool error_set_code(struct error *err, enum error_kind kind, const char *code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set_text(err, kind, code, fmt, ap);
    va_end(ap);
    return false;
}

bool error_prefix(struct error *err, const char *fmt, ...)
{
    char old[sizeof(err->text)];
    memcpy(old, err->text, sizeof(old));
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    size_t used = n < 0 ? 0 : (size_t)n;
    if (used < sizeof(err->text))
        snprintf(err->text + used, sizeof(err->text) - used, ": %s", old);
    return false;
}

void error_clear(struct error *err)
{
    err->kind = ERROR_NONE;
    err->code[0] = '\0';
    err->text[0] = '\0';
}

int error_exit_status(enum error_kind kind)
{
    switch (kind) {
    case ERROR_NONE:
    case ERROR_CANCELED:
        return 0;
    case ERROR_DATA:
    case ERROR_TABLE:
        return 1;
    case ERROR_CONFIG:
        return 2;
    case ERROR_RETRY:
    case ERROR_REFUSED:
        return 3;
    case ERROR_FENCED:
    case ERROR_FATAL:
        return 4;
    }
    return 4;
}

const char *error_kind_name(enum error_kind kind)
{
    static const char *const names[] = {"none",   "retry", "refused", "data",    "table",
                                        "fenced", "fatal", "config",  "canceled"};
    return names[kind];
}
