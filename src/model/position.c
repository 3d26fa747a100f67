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

bool position_parse(const char *text, struct position *out)
{
    uint64_t high;
    uint64_t low;
    const char *rest;
    *out = (struct position){.kind = POSITION_NONE};
    if (!*text)
        return true;
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
