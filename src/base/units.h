/* SPDX-License-Identifier: PostgreSQL
 *
 * Sizes and durations as people write them: "64MB" (powers of 1024; plain digits are bytes), "10s".
 * Whole numbers only, one unit, a blank between is fine.
 */
#ifndef BASE_UNITS_H
#define BASE_UNITS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { UNITS_TEXT_SIZE = 32 };

/* Bytes. Units: B kB MB GB TB. ERROR_CONFIG with what is allowed when it is none, or past 2^63. */
MUST_CHECK bool units_parse_size(const char *text, int64_t *bytes, struct error *err);
/* Milliseconds. Units: ms s min h d; only "0" goes without. */
MUST_CHECK bool units_parse_duration(const char *text, int64_t *ms, struct error *err);

/* The shortest exact form, such that parsing gives the number back. Returns out. `n` is not negative. */
char *units_format_size(int64_t bytes, char out[UNITS_TEXT_SIZE]);
char *units_format_duration(int64_t ms, char out[UNITS_TEXT_SIZE]);

#endif
