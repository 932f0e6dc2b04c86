#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Short strings compared and copied without a call: those of HPACK are mostly shorter than what
 * memcmp() and memcpy() do before they begin. Words overlap instead of passing the end. Private to
 * codec.
 */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"
#include "base/span.h"

static inline uint64_t hpack_load_8(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return word;
}

static inline uint64_t hpack_load_4(const char *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof(word));
    return word;
}

/* All of less than eight bytes. */
static inline uint64_t hpack_load_few(const char *at, size_t size)
{
    if (size >= 4)
        return hpack_load_4(at) << 32 | hpack_load_4(at + size - 4);
    if (!size)
        return 0;
    return (uint64_t)(uint8_t)at[0] << 16 | (uint64_t)(uint8_t)at[size / 2] << 8 |
           (uint8_t)at[size - 1];
}

typedef uint64_t hpack_words2 __attribute__((vector_size(16)));

static inline hpack_words2 hpack_load_16(const char *at)
{
    hpack_words2 words;
    memcpy(&words, at, sizeof(words));
    return words;
}

/* Both of that size. */
static inline bool hpack_are_equal(const char *a, const char *b, size_t size)
{
    if (size < 8)
        return hpack_load_few(a, size) == hpack_load_few(b, size);
    if (size <= 16) {
        uint64_t first = hpack_load_8(a) ^ hpack_load_8(b);
        return !(first | (hpack_load_8(a + size - 8) ^ hpack_load_8(b + size - 8)));
    }
    hpack_words2 differences = hpack_load_16(a + size - 16) ^ hpack_load_16(b + size - 16);
    for (size_t at = 0; at + 16 < size; at += 16)
        differences |= hpack_load_16(a + at) ^ hpack_load_16(b + at);
    return !(differences[0] | differences[1]);
}

/* Returns the end of the copy. */
static inline char *hpack_copy(char *to, struct span from)
{
    const char *data = from.data;
    size_t size = from.size;
    if (size >= 16 && size <= 64) {
        hpack_words2 last = hpack_load_16(data + size - 16);
        for (size_t at = 0; at + 16 < size; at += 16) {
            hpack_words2 words = hpack_load_16(data + at);
            memcpy(to + at, &words, 16);
        }
        memcpy(to + size - 16, &last, 16);
    } else if (size > 64) {
        memcpy(to, data, size);
    } else if (size >= 8) {
        uint64_t first = hpack_load_8(data), last = hpack_load_8(data + size - 8);
        memcpy(to, &first, 8);
        memcpy(to + size - 8, &last, 8);
    } else if (size >= 4) {
        uint32_t first, last;
        memcpy(&first, data, 4);
        memcpy(&last, data + size - 4, 4);
        memcpy(to, &first, 4);
        memcpy(to + size - 4, &last, 4);
    } else if (size) {
        char first = data[0], middle = data[size / 2], last = data[size - 1];
        to[0] = first;
        to[size / 2] = middle;
        to[size - 1] = last;
    }
    return to + size;
}
