#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How the writers take room and fill it. Private to codec.
 */

#include <string.h>

#include "base/compiler.h"
#include "codec/http1.h"

/* Room for `size` bytes, or NULL. Once something was left out nothing may follow it. */
static inline char *out_reserve(struct http1_out *out, size_t size)
{
    if (unlikely(out->is_full || size > out->capacity - out->size)) {
        out->is_full = true;
        return NULL;
    }
    char *at = out->data + out->size;
    out->size += size;
    return at;
}

/* Copies and returns what is behind it. */
static inline char *out_copy(char *at, struct span bytes)
{
    if (bytes.size)
        memcpy(at, bytes.data, bytes.size);
    return at + bytes.size;
}
