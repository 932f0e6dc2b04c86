#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Numbers as little-endian bytes: what this room writes is read on any machine.
 *
 * A reader takes numbers and bytes off the front of a span; after one that was not there it is
 * `is_short`, gives zeros, and the caller asks once at the end.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

static inline void bytes_set(char *to, uint64_t number, size_t size)
{
    for (size_t i = 0; i < size; i++)
        to[i] = (char)(number >> (8 * i));
}

static inline void bytes_put(struct buf *buf, uint64_t number, size_t size)
{
    char text[8];
    bytes_set(text, number, size);
    buf_put(buf, (struct span){ text, size });
}

struct bytes_reader {
    struct span rest;
    bool is_short;
};

static inline struct span bytes_take(struct bytes_reader *reader, size_t size)
{
    if (reader->rest.size < size) {
        reader->is_short = true;
        return SPAN_NULL;
    }
    struct span taken = span_first(reader->rest, size);
    reader->rest = (struct span){ reader->rest.data + size, reader->rest.size - size };
    return taken;
}

static inline uint64_t bytes_take_number(struct bytes_reader *reader, size_t size)
{
    struct span taken = bytes_take(reader, size);
    uint64_t number = 0;
    for (size_t i = 0; i < taken.size; i++)
        number |= (uint64_t)(uint8_t)taken.data[i] << (8 * i);
    return number;
}
