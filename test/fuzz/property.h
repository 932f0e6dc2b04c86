#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What every fuzz target shares: the entry point libFuzzer calls, and PROPERTY(), which holds for
 * every input or is a finding.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/span.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PROPERTY(cond)                                                                             \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: the property does not hold: %s\n", __FILE__, __LINE__, #cond); \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static inline struct span input_of(const uint8_t *data, size_t size)
{
    return (struct span){ (const char *)data, size };
}

/* Cuts the first byte off, which steers the target; 0 when there is none. */
static inline uint8_t cut_byte(struct span *input)
{
    if (!input->size)
        return 0;
    uint8_t byte = (uint8_t)*input->data++;
    input->size--;
    return byte;
}

/* A copy in a block of exactly its size, so that the sanitizer sees each byte read too many. */
static inline struct span copy_of(struct span bytes)
{
    char *copy = malloc(bytes.size ? bytes.size : 1);
    if (!copy)
        abort();
    if (bytes.size)
        memcpy(copy, bytes.data, bytes.size);
    return (struct span){ copy, bytes.size };
}

/* `bytes` came from copy_of(). */
static inline void free_copy(struct span bytes)
{
    free((void *)(uintptr_t)bytes.data);
}
