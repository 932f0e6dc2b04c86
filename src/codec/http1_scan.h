#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How the codecs look at many bytes at once: sixteen in a vector, with zeros behind the last ones.
 * Each scan returns the first byte that does not belong, or `end`.
 *
 * The vectors are the compilers' own type and need no instruction set beyond
 * what the target has anyway (SSE2, NEON).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"

/* Character classes, one bit each. */
#define CLASS_TOKEN (1u << 0)  /* RFC 9110 section 5.6.2, tchar */
#define CLASS_HOST (1u << 1)   /* letters, digits and "-._~": what we take in a host name */
#define CLASS_PCHAR (1u << 2)  /* RFC 3986 section 3.3 without "%" and ";" */
#define CLASS_COOKIE (1u << 3) /* RFC 6265 section 4.1.1, cookie-octet */
#define CLASS_PLAIN (1u << 4)  /* RFC 3986 section 2.3, unreserved */

extern const uint8_t codec_classes[256];

typedef uint8_t bytes16 __attribute__((vector_size(16)));
typedef int8_t signed16 __attribute__((vector_size(16)));
typedef uint64_t words2 __attribute__((vector_size(16)));

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first byte is the lowest");

static inline bool byte_is(char byte, uint8_t class)
{
    return (codec_classes[(uint8_t)byte] & class) != 0;
}

static inline bool byte_is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

static inline bytes16 bytes16_load(const char *at)
{
    bytes16 bytes;
    memcpy(&bytes, at, sizeof(bytes));
    return bytes;
}

/* Less than sixteen bytes, with zeros behind them. The words that are read overlap instead of
 * passing the end. */
static inline bytes16 bytes16_load_few(const char *at, size_t size)
{
    uint64_t low = 0, high = 0;
    if (size >= 8) {
        memcpy(&low, at, 8);
        memcpy(&high, at + size - 8, 8);
        high = high >> 1 >> (127 - 8 * size);
    } else if (size >= 4) {
        uint32_t first, last;
        memcpy(&first, at, 4);
        memcpy(&last, at + size - 4, 4);
        low = first | (uint64_t)last << 8 * (size - 4);
    } else if (size) {
        uint64_t first = (uint8_t)at[0], middle = (uint8_t)at[size / 2];
        uint64_t last = (uint8_t)at[size - 1];
        low = first | middle << 8 * (size / 2) | last << 8 * (size - 1);
    }
    words2 words = { low, high };
    return (bytes16)words;
}

static inline bytes16 bytes16_load_upto(const char *at, const char *end)
{
    size_t size = (size_t)(end - at);
    return likely(size >= 16) ? bytes16_load(at) : bytes16_load_few(at, size);
}

/* A comparison's result as bits, the first byte lowest. */
static inline unsigned bytes16_bits(bytes16 hits)
{
#ifdef __SSE2__
    typedef char chars16 __attribute__((vector_size(16)));
    return (unsigned)__builtin_ia32_pmovmskb128((chars16)hits);
#else
    /* One bit of each byte is kept, and the multiplication gathers a word's eight in its top. */
    const bytes16 places = { 1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128 };
    const uint64_t gather = 0x0101010101010101u;
    words2 words = (words2)(hits & places);
    return (unsigned)(words[0] * gather >> 56 | words[1] * gather >> 56 << 8);
#endif
}

/* With capitals made small, and no byte made a letter, digit, "-" or ":" that was none: to set bit 5
 * everywhere would turn CR into "-". */
static inline bytes16 bytes16_lower(bytes16 bytes)
{
    return bytes | ((bytes16)(bytes > 0x40) & 0x20);
}

/* Where the first bit stands; there is one. */
static inline unsigned first_bit(uint64_t bits)
{
    return (unsigned)__builtin_ctzll(bits);
}

/* The bytes of a row of `n` that ends with `last`: moved so that this is the highest of all signed
 * numbers. */
static inline bytes16 bytes16_in_row(bytes16 bytes, uint8_t last, uint8_t n)
{
    return (bytes16)((signed16)(bytes + (uint8_t)(0x7f - last)) > (int8_t)(0x7f - n));
}

static inline bytes16 bytes16_letter(bytes16 bytes)
{
    return bytes16_in_row(bytes | 0x20, 'z', 26);
}

/* Letters, digits and "-": what nearly all names are made of. */
static inline bytes16 bytes16_name(bytes16 bytes)
{
    return bytes16_letter(bytes) | bytes16_in_row(bytes, '9', 10) | (bytes16)(bytes == '-');
}

static inline unsigned bytes16_in_name(bytes16 bytes)
{
    return bytes16_bits(bytes16_name(bytes));
}

/* Over the bytes of one class, by the table. */
static inline const char *scan_class(const char *at, const char *end, uint8_t class)
{
    while (at < end && byte_is(*at, class))
        at++;
    return at;
}

/* Over a token; by the table from the first byte on that is rare in one. */
static inline const char *scan_token(const char *at, const char *end)
{
    for (; at < end; at += 16) {
        unsigned others = ~bytes16_in_name(bytes16_load_upto(at, end)) & 0xffff;
        if (others)
            return scan_class(at + first_bit(others), end, CLASS_TOKEN);
    }
    return end;
}

/* Over what a field value may hold: HTAB, SP, VCHAR and obs-text (RFC 9110 section 5.5). */
static inline const char *scan_value(const char *at, const char *end)
{
    while (at < end) {
        bytes16 bytes = bytes16_load_upto(at, end);
        unsigned controls = bytes16_bits((bytes16)(bytes < 0x20) | (bytes16)(bytes == 0x7f));
        if (!controls) {
            at += 16;
            continue;
        }
        at += first_bit(controls);
        if (at == end || *at != '\t')
            return at;
        at++;
    }
    return end;
}

/* Where in a block of 64 bytes something stands that no plain text holds: one bit for each byte,
 * the first lowest. Whatever may end a field value is among it. */
static inline uint64_t bytes64_stops(const char *at)
{
    uint64_t others = 0;
    for (size_t i = 0; i < 4; i++) {
        /* As signed numbers, controls and bytes beyond ASCII are below 0x20, and to add one makes
         * DEL, the last of ASCII, the lowest of them all. */
        signed16 bytes = (signed16)(bytes16_load(at + 16 * i) + 1);
        others |= (uint64_t)bytes16_bits((bytes16)(bytes > 0x20)) << 16 * i;
    }
    return ~others;
}

/* Finds stops block by block, so that short lines share the work. */
struct stops {
    const char *end, *last_block; /* of the input; the block ends where it ends */
    const char *block;
    uint64_t bits; /* of `block` */
};

/* Less than 64 bytes make one block; NULs, which are stops, fill it up. */
uint64_t stops_of_few(const char *at, size_t size);

static inline void stops_load(struct stops *stops, const char *at)
{
    stops->block = at < stops->last_block ? at : stops->last_block;
    stops->bits = bytes64_stops(stops->block);
}

static inline void stops_init(struct stops *stops, const char *start, const char *end)
{
    stops->end = end;
    stops->block = stops->last_block = start;
    if (unlikely(end - start < 64)) {
        stops->bits = stops_of_few(start, (size_t)(end - start));
        return;
    }
    stops->last_block = end - 64;
    stops->bits = bytes64_stops(start);
}

/* The first stop at or behind `at`, or the end. From call to call, `at` never moves back. */
static inline const char *stops_next(struct stops *stops, const char *at)
{
    for (;;) {
        size_t offset = (size_t)(at - stops->block);
        uint64_t bits = offset < 64 ? stops->bits >> offset : 0;
        if (likely(bits))
            return at + first_bit(bits);
        if (offset < 64)
            at = stops->block + 64;
        if (at >= stops->end)
            return stops->end;
        stops_load(stops, at);
    }
}

/* What host names are made of, nearly always. */
static inline unsigned bytes16_in_host(bytes16 bytes)
{
    return bytes16_bits(bytes16_name(bytes) | (bytes16)(bytes == '.'));
}

/* Over what we take in a host name. */
static inline const char *scan_host(const char *at, const char *end)
{
    for (; at < end; at += 16) {
        unsigned others = ~bytes16_in_host(bytes16_load_upto(at, end)) & 0xffff;
        if (others)
            return scan_class(at + first_bit(others), end, CLASS_HOST);
    }
    return end;
}

/* Over visible ASCII without "#", which no request target has (RFC 9112 section 3.2). */
static inline const char *scan_target(const char *at, const char *end)
{
    for (; at < end; at += 16) {
        bytes16 bytes = bytes16_load_upto(at, end);
        bytes16 visible = (bytes16)((signed16)(bytes + 1) > 0x21); /* without DEL */
        unsigned others = ~bytes16_bits(visible & (bytes16)(bytes != '#')) & 0xffff;
        if (others)
            return at + first_bit(others);
    }
    return end;
}
