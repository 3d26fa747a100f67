/* SPDX-License-Identifier: PostgreSQL */
#include "base/buffer.h"

#include <assert.h>
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void buffer_free(struct buffer *self)
{
    free(self->data);
    *self = (struct buffer){0};
}

void buffer_clear(struct buffer *self)
{
    self->length = 0;
    if (self->data)
        self->data[0] = '\0';
}

const char *buffer_text(const struct buffer *self)
{
    return self->data ? self->data : "";
}

char *buffer_detach(struct buffer *self)
{
    char *text = self->data ? self->data : mem_strdup("");
    *self = (struct buffer){0};
    return text;
}

char *buffer_extend(struct buffer *self, size_t size)
{
    size_t need = self->length + size + 1;
    assert(need > size);
    if (need > self->capacity) {
        size_t cap = self->capacity < 64 ? 64 : self->capacity;
        while (cap < need)
            cap += cap / 2;
        self->data = mem_grow(self->data, cap, 1);
        self->capacity = cap;
    }
    char *at = self->data + self->length;
    self->length += size;
    self->data[self->length] = '\0';
    return at;
}

void buffer_put(struct buffer *self, const void *data, size_t size)
{
    char *at = buffer_extend(self, size);
    if (size)
        memcpy(at, data, size);
}

void buffer_puts(struct buffer *self, const char *text)
{
    buffer_put(self, text, strlen(text));
}

void buffer_putc(struct buffer *self, char c)
{
    *buffer_extend(self, 1) = c;
}

void buffer_vprintf(struct buffer *self, const char *fmt, va_list ap)
{
    va_list copy;
    va_copy(copy, ap);
    int n = vsnprintf(NULL, 0, fmt, copy);
    va_end(copy);
    assert(n >= 0);
    char *at = buffer_extend(self, (size_t)n);
    vsnprintf(at, (size_t)n + 1, fmt, ap);
}

void buffer_printf(struct buffer *self, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buffer_vprintf(self, fmt, ap);
    va_end(ap);
}

void buffer_put_u8(struct buffer *self, uint8_t v)
{
    buffer_put(self, &v, sizeof(v));
}

void buffer_put_u16(struct buffer *self, uint16_t v)
{
    v = htobe16(v);
    buffer_put(self, &v, sizeof(v));
}

void buffer_put_u32(struct buffer *self, uint32_t v)
{
    v = htobe32(v);
    buffer_put(self, &v, sizeof(v));
}

void buffer_put_u64(struct buffer *self, uint64_t v)
{
    v = htobe64(v);
    buffer_put(self, &v, sizeof(v));
}
