/* SPDX-License-Identifier: PostgreSQL
 *
 * Allocation that does not fail: out of memory aborts the process, which resumes from its position.
 * Sizes that come from outside are checked by the caller before they get here.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t size);                                 /* zeroed */
void *mem_grow(void *old, size_t count, size_t element_size); /* realloc; overflow checked */
char *mem_strdup(const char *text);                           /* NULL in, NULL out */
char *mem_strndup(const char *data, size_t length);

#endif
