#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Allocation in the daemon.
 *
 * These never return NULL: when the system has no memory left the daemon says so and aborts, and
 * its supervisor starts it again from the store. Sizes that come from outside are held to a limit
 * before they get here, and passing that limit is an ordinary answer.
 */

#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/span.h"

_Noreturn void mem_exhausted(size_t size);

/* n zeroed elements of `size` bytes. */
void *mem_zalloc(size_t n, size_t size);

/* Changes the size; the new part is not zeroed. */
void *mem_resize(void *ptr, size_t n, size_t size);

char *mem_strdup(const char *text);

/* The span's bytes with a NUL behind them. */
char *mem_span_dup(struct span span);

char *mem_format(const char *format, ...) PRINTF_LIKE(1, 2);

static inline void mem_freep(void *p)
{
    free(*(void **)p);
}

#define mem_new(type) ((type *)mem_zalloc(1, sizeof(type)))
#define mem_new_array(type, n) ((type *)mem_zalloc((n), sizeof(type)))

/* Makes room for one more element of a growing array: capacity doubles. */
#define mem_grow(array, n, capacity)                                                               \
    do {                                                                                           \
        if ((n) == (capacity)) {                                                                   \
            (capacity) = (capacity) ? (capacity)*2 : 8;                                            \
            (array) = mem_resize((array), (capacity), sizeof(*(array)));                           \
        }                                                                                          \
    } while (0)
