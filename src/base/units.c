/* SPDX-License-Identifier: PostgreSQL */
#include "base/units.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct unit {
    const char *name;
    int64_t factor;
};

/* Largest first, the bare unit last. */
static const struct unit sizes[] = {{"TB", INT64_C(1) << 40},
                                    {"GB", INT64_C(1) << 30},
                                    {"MB", INT64_C(1) << 20},
                                    {"kB", INT64_C(1) << 10},
                                    {"B", 1},
                                    {NULL, 0}};
static const struct unit durations[] = {{"d", 86400000}, {"h", 3600000}, {"min", 60000},
                                        {"s", 1000},     {"ms", 1},      {NULL, 0}};

enum outcome { GOOD, NOT_A_NUMBER, BAD_UNIT, TOO_LARGE };

static enum outcome parse(const char *text, const struct unit *units, bool bare, int64_t *out)
{
    const char *p = text;
    int64_t n = 0;
    bool overflow = false;
    while (*p >= '0' && *p <= '9') {
        overflow |= __builtin_mul_overflow(n, 10, &n);
        overflow |= __builtin_add_overflow(n, *p++ - '0', &n);
    }
    if (p == text)
        return NOT_A_NUMBER;
    if (*p == '\0' && (bare || (n == 0 && !overflow))) {
        *out = n;
        return overflow ? TOO_LARGE : GOOD;
    }
    if (*p == ' ')
        p++;
    while (units->name && strcmp(units->name, p) != 0)
        units++;
    if (!units->name)
        return BAD_UNIT;
    overflow |= __builtin_mul_overflow(n, units->factor, out);
    return overflow ? TOO_LARGE : GOOD;
}

static bool explain(enum outcome outcome, const char *what, const char *allowed, struct error *err)
{
    switch (outcome) {
    case GOOD:
        return true;
    case NOT_A_NUMBER:
        return error_set(err, ERROR_CONFIG, "not a %s - allowed: %s", what, allowed);
    case BAD_UNIT:
        return error_set(err, ERROR_CONFIG, "a %s of unknown unit - allowed: %s", what, allowed);
    case TOO_LARGE:
        return error_set(err, ERROR_CONFIG, "a %s too large to count - allowed: %s", what, allowed);
    }
    return false;
}

bool units_parse_size(const char *text, int64_t *bytes, struct error *err)
{
    return explain(parse(text, sizes, true, bytes), "size",
                   "a whole number of bytes, or with kB, MB, GB or TB, as in \"64MB\"", err);
}

bool units_parse_duration(const char *text, int64_t *ms, struct error *err)
{
    return explain(parse(text, durations, false, ms), "duration",
                   "a whole number with ms, s, min, h or d, as in \"10s\"", err);
}

static char *format(int64_t n, const struct unit *units, char out[UNITS_TEXT_SIZE])
{
    assert(n >= 0);
    while (n % units->factor != 0)
        units++;
    snprintf(out, UNITS_TEXT_SIZE, "%" PRId64 "%s", n / units->factor, units->name);
    return out;
}

char *units_format_size(int64_t bytes, char out[UNITS_TEXT_SIZE])
{
    return bytes == 0 ? strcpy(out, "0") : format(bytes, sizes, out);
}

char *units_format_duration(int64_t ms, char out[UNITS_TEXT_SIZE])
{
    return ms == 0 ? strcpy(out, "0") : format(ms, durations, out);
}
