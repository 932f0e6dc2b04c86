#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How the codecs look at many bytes at once: sixteen in a vector while there are sixteen, one by
 * one after. Each scan returns the first byte that does not belong, or `end`.
 *
 * Private to codec. The vectors are the compilers' own type and need no instruction set beyond
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

/* Position of the first byte that a comparison found true, 16 without one. */
static inline unsigned bytes16_first(bytes16 hits)
{
    words2 words = (words2)hits;
    if (words[0])
        return (unsigned)__builtin_ctzll(words[0]) / 8;
    return words[1] ? 8 + (unsigned)__builtin_ctzll(words[1]) / 8 : 16;
}

/* Over the bytes of one class, by the table. */
static inline const char *scan_class(const char *at, const char *end, uint8_t class)
{
    while (at < end && byte_is(*at, class))
        at++;
    return at;
}

/* Over a token. Nearly all are letters, digits and "-", which are cheap to test in a vector; the
 * rest of tchar is left to the table. */
static inline const char *scan_token(const char *at, const char *end)
{
    while (end - at >= 16) {
        bytes16 bytes = bytes16_load(at);
        bytes16 letters = (bytes16)((bytes | 0x20) - 'a' < 26);
        bytes16 others = (bytes16)(bytes - '0' < 10) | (bytes16)(bytes == '-');
        unsigned n = bytes16_first(~(letters | others));
        at += n;
        if (n < 16)
            break;
    }
    return scan_class(at, end, CLASS_TOKEN);
}

/* Over what a field value may hold: HTAB, SP, VCHAR and obs-text (RFC 9110 section 5.5). */
static inline const char *scan_value(const char *at, const char *end)
{
    for (; end - at >= 16; at += 16) {
        bytes16 bytes = bytes16_load(at);
        bytes16 controls = (bytes16)(bytes < 0x20) & (bytes16)(bytes != '\t');
        unsigned n = bytes16_first(controls | (bytes16)(bytes == 0x7f));
        if (n < 16)
            return at + n;
    }
    while (at < end && ((uint8_t)*at >= 0x20 || *at == '\t') && *at != 0x7f)
        at++;
    return at;
}

/* Over visible ASCII without "#", which no request target has (RFC 9112 section 3.2). */
static inline const char *scan_target(const char *at, const char *end)
{
    for (; end - at >= 16; at += 16) {
        bytes16 bytes = bytes16_load(at);
        unsigned n = bytes16_first((bytes16)(bytes - 0x21 > 0x5d) | (bytes16)(bytes == '#'));
        if (n < 16)
            return at + n;
    }
    while (at<end && * at> 0x20 && *at < 0x7f && *at != '#')
        at++;
    return at;
}
