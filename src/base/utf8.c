/* SPDX-License-Identifier: PostgreSQL */
#include "base/utf8.h"

#include <stdbool.h>
#include <string.h>

static bool is_tail(unsigned char c)
{
    return (c & 0xC0) == 0x80;
}

size_t utf8_length(const char *data, size_t left)
{
    if (left == 0)
        return 0;
    unsigned char c[4] = {0};
    for (size_t i = 0; i < 4 && i < left; i++)
        c[i] = (unsigned char)data[i];
    if (c[0] < 0x80)
        return 1;
    if (c[0] >= 0xC2 && c[0] <= 0xDF)
        return is_tail(c[1]) ? 2 : 0;
    if (c[0] >= 0xE0 && c[0] <= 0xEF) {
        bool overlong = c[0] == 0xE0 && c[1] < 0xA0;
        bool surrogate = c[0] == 0xED && c[1] > 0x9F;
        return is_tail(c[1]) && is_tail(c[2]) && !overlong && !surrogate ? 3 : 0;
    }
    if (c[0] >= 0xF0 && c[0] <= 0xF4) {
        bool overlong = c[0] == 0xF0 && c[1] < 0x90;
        bool beyond = c[0] == 0xF4 && c[1] > 0x8F;
        return is_tail(c[1]) && is_tail(c[2]) && is_tail(c[3]) && !overlong && !beyond ? 4 : 0;
    }
    return 0;
}

void utf8_put_printable(struct buffer *out, const char *text)
{
    size_t left = strlen(text);
    while (left) {
        unsigned char c = (unsigned char)*text;
        size_t n = utf8_length(text, left);
        if (n == 0) {
            buffer_puts(out, "\xEF\xBF\xBD");
            n = 1;
        } else if (c == '\n' || c == '\t' || c == '\r') {
            buffer_puts(out, c == '\n' ? "\\n" : c == '\t' ? "\\t" : "\\r");
        } else if (c < 0x20 || c == 0x7F) {
            buffer_printf(out, "\\x%02x", c);
        } else if (c == 0xC2 && (unsigned char)text[1] < 0xA0) {
            buffer_printf(out, "\\u%04x", (unsigned char)text[1]);
        } else {
            buffer_put(out, text, n);
        }
        text += n;
        left -= n;
    }
}
