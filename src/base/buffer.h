/* SPDX-License-Identifier: PostgreSQL
 *
 * A growing run of bytes, always followed by a NUL that does not count, so that text built here can be
 * passed on as a C string. Zero-initialise to start; buffer_free to end.
 */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct buffer {
    char *data; /* NULL until the first byte; use buffer_text() for a C string */
    size_t length;
    size_t capacity;
};

void buffer_free(struct buffer *self);
void buffer_clear(struct buffer *self);             /* keeps the memory */
const char *buffer_text(const struct buffer *self); /* never NULL */
char *buffer_detach(struct buffer *self); /* the text, now the caller's to free(); the buffer is empty */

/* `size` more bytes at the end, not yet written. */
char *buffer_extend(struct buffer *self, size_t size);
void buffer_put(struct buffer *self, const void *data, size_t size);
void buffer_puts(struct buffer *self, const char *text);
void buffer_putc(struct buffer *self, char c);
void buffer_printf(struct buffer *self, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buffer_vprintf(struct buffer *self, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);

/* Big-endian integers, as PostgreSQL's protocol and binary formats have them. */
void buffer_put_u8(struct buffer *self, uint8_t v);
void buffer_put_u16(struct buffer *self, uint16_t v);
void buffer_put_u32(struct buffer *self, uint32_t v);
void buffer_put_u64(struct buffer *self, uint64_t v);

#endif
