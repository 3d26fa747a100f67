/* SPDX-License-Identifier: PostgreSQL */
#include "model/position.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct position position_lsn(uint64_t lsn)
{
    return (struct position){.kind = POSITION_LSN, .low = lsn};
}

struct position position_cdc(const unsigned char lsn[10])
{
    struct position p = {.kind = POSITION_CDC, .high = (uint16_t)(lsn[0] << 8 | lsn[1])};
    for (int i = 2; i < 10; i++)
        p.low = p.low << 8 | lsn[i];
    return p;
}

void position_cdc_bytes(struct position p, unsigned char out[10])
{
    assert(p.kind == POSITION_CDC);
    out[0] = (unsigned char)(p.high >> 8);
    out[1] = (unsigned char)p.high;
    for (int i = 0; i < 8; i++)
        out[2 + i] = (unsigned char)(p.low >> (56 - 8 * i));
}

struct position position_cursor(enum position_kind kind, uint64_t value)
{
    assert(kind >= POSITION_VERSION && kind < POSITION_KINDS);
    return (struct position){.kind = kind, .low = value};
}

bool position_distance(struct position from, struct position to, uint64_t *bytes)
{
    *bytes = 0;
    if (from.kind != POSITION_LSN || to.kind != POSITION_LSN)
        return false;
    if (to.low > from.low)
        *bytes = to.low - from.low;
    return true;
}

/* The member that holds a polled cursor. */
static const char *const cursor_names[POSITION_KINDS] = {[POSITION_VERSION] = "version",
                                                         [POSITION_ROWVERSION] = "rowversion",
                                                         [POSITION_TIME] = "time",
                                                         [POSITION_POLL] = "poll"};

int position_compare(struct position a, struct position b)
{
    if (a.kind == POSITION_NONE || b.kind == POSITION_NONE)
        return (a.kind != POSITION_NONE) - (b.kind != POSITION_NONE);
    assert(a.kind == b.kind);
    if (a.high != b.high)
        return a.high < b.high ? -1 : 1;
    return (a.low > b.low) - (a.low < b.low);
}

char *position_format(struct position p, char out[POSITION_TEXT_SIZE])
{
    switch (p.kind) {
    case POSITION_NONE:
        out[0] = '\0';
        break;
    case POSITION_LSN:
        snprintf(out, POSITION_TEXT_SIZE, "%X/%X", (unsigned)(p.low >> 32), (unsigned)p.low);
        break;
    case POSITION_CDC:
        snprintf(out, POSITION_TEXT_SIZE, "0x%04X%016" PRIX64, (unsigned)p.high, p.low);
        break;
    case POSITION_VERSION:
    case POSITION_ROWVERSION:
    case POSITION_TIME:
    case POSITION_POLL:
        snprintf(out, POSITION_TEXT_SIZE, "{\"%s\": %" PRIu64 "}", cursor_names[p.kind], p.low);
        break;
    case POSITION_KINDS:
        assert(false);
    }
    return out;
}

static bool parse_hex(const char *text, size_t max_digits, char end, uint64_t *out, const char **rest)
{
    size_t n = strspn(text, "0123456789abcdefABCDEF");
    if (n == 0 || n > max_digits || text[n] != end)
        return false;
    *out = strtoull(text, NULL, 16);
    *rest = text + n;
    return true;
}

/* {"name": 123}, with or without blanks: jsonb writes them in its own way. Read here, not by cJSON, whose
 * numbers are doubles. */
static bool parse_cursor(const char *text, struct position *out)
{
    char name[16];
    char digits[24];
    char end[2];
    if (sscanf(text, " { \"%15[a-z]\" : %20[0-9] %1[}]", name, digits, end) != 3)
        return false;
    const char *rest = strchr(text, '}') + 1;
    if (rest[strspn(rest, " ")] || strlen(digits) > 20 ||
        (strlen(digits) == 20 && strcmp(digits, "18446744073709551615") > 0))
        return false;
    for (int kind = POSITION_VERSION; kind < POSITION_KINDS; kind++) {
        if (strcmp(cursor_names[kind], name) != 0)
            continue;
        *out = position_cursor((enum position_kind)kind, strtoull(digits, NULL, 10));
        return true;
    }
    return false;
}

bool position_parse(const char *text, struct position *out)
{
    uint64_t high;
    uint64_t low;
    const char *rest;
    *out = (struct position){.kind = POSITION_NONE};
    if (!*text)
        return true;
    if (*text == '{')
        return parse_cursor(text, out);
    if (strncmp(text, "0x", 2) == 0) {
        if (strlen(text) != 22)
            return false;
        char head[5] = {text[2], text[3], text[4], text[5], '\0'};
        if (!parse_hex(head, 4, '\0', &high, &rest) || !parse_hex(text + 6, 16, '\0', &low, &rest))
            return false;
        *out = (struct position){.kind = POSITION_CDC, .high = (uint16_t)high, .low = low};
        return true;
    }
    if (!parse_hex(text, 8, '/', &high, &rest) || !parse_hex(rest + 1, 8, '\0', &low, &rest))
        return false;
    *out = position_lsn(high << 32 | low);
    return true;
}
