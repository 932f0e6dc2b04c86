#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Percent-encoding (RFC 3986 section 2.1), one escape at a time.
 */

#include "base/span.h"

/* 0 to 15, or -1. */
static inline int hex_digit(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    char lower = (char)(byte | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The byte that the three characters at `at` stand for; -1 when they are no escape. */
static inline int escape_read(struct span text, size_t at)
{
    if (text.size - at < 3 || text.data[at] != '%')
        return -1;
    int high = hex_digit(text.data[at + 1]), low = hex_digit(text.data[at + 2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* Writes three characters, with capitals as RFC 3986 section 6.2.2.1 wants them. */
static inline void escape_write(uint8_t byte, char *ret_text)
{
    ret_text[0] = '%';
    ret_text[1] = "0123456789ABCDEF"[byte >> 4];
    ret_text[2] = "0123456789ABCDEF"[byte & 15];
}
