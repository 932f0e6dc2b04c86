/* SPDX-License-Identifier: Apache-2.0 */

#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

_Noreturn void mem_exhausted(size_t size)
{
    fprintf(stderr, "sarsen: out of memory, asked for %zu bytes\n", size);
    abort();
}

void *mem_zalloc(size_t n, size_t size)
{
    void *ptr = calloc(n ? n : 1, size);
    if (!ptr)
        mem_exhausted(n * size);
    return ptr;
}

void *mem_resize(void *ptr, size_t n, size_t size)
{
    void *moved = reallocarray(ptr, n ? n : 1, size);
    if (!moved)
        mem_exhausted(n * size);
    return moved;
}

char *mem_strdup(const char *text)
{
    return mem_span_dup(span_of(text));
}

char *mem_span_dup(struct span span)
{
    char *copy = mem_zalloc(span.size + 1, 1);
    if (span.size)
        memcpy(copy, span.data, span.size);
    return copy;
}

char *mem_format(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int size = vasprintf(&text, format, args);
    va_end(args);
    if (size < 0)
        mem_exhausted(0);
    return text;
}
