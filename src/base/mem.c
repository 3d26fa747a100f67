/* SPDX-License-Identifier: PostgreSQL */
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *p)
{
    if (p == NULL) {
        fputs("crossfade: out of memory\n", stderr);
        abort();
    }
    return p;
}

void *mem_alloc(size_t size)
{
    return checked(calloc(1, size ? size : 1));
}

void *mem_grow(void *old, size_t count, size_t element_size)
{
    return checked(reallocarray(old, count ? count : 1, element_size));
}

char *mem_strdup(const char *text)
{
    return text ? checked(strdup(text)) : NULL;
}

char *mem_strndup(const char *data, size_t length)
{
    char *copy = mem_alloc(length + 1);
    if (length)
        memcpy(copy, data, length);
    return copy;
}
