/* SPDX-License-Identifier: PostgreSQL
 *
 * What is valid UTF-8, for input that must be and output that must stay so.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stddef.h>

#include "base/buffer.h"

/* Bytes of the character at `data` (1 to 4), 0 if there is none that is valid: overlong forms, surrogates,
 * code points past U+10FFFF and sequences cut off at `left` are not. */
size_t utf8_length(const char *data, size_t left);

/* Text from outside for a line that people read: control characters (those of C1 too, which terminals obey)
 * as \n, \r, \t, \xNN or \u00NN, bytes that are no UTF-8 as U+FFFD. Appended. */
void utf8_put_printable(struct buffer *out, const char *text);

#endif
