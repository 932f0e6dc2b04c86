#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * UTF-8 checked byte by byte (Unicode 15, table 3-7): overlong forms, surrogates and what lies
 * beyond U+10FFFF are refused at the first byte that shows it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct utf8 {
    uint8_t n_left;    /* bytes that must still follow; 0 between characters */
    uint8_t low, high; /* bounds of the next of them */
};

/* Takes one byte; false when it cannot stand here, and the state is between characters again. */
static inline bool utf8_take(struct utf8 *utf8, uint8_t byte)
{
    if (utf8->n_left) {
        bool is_valid = byte >= utf8->low && byte <= utf8->high;
        *utf8 = (struct utf8){ is_valid ? (uint8_t)(utf8->n_left - 1) : 0, 0x80, 0xbf };
        return is_valid;
    }
    if (byte < 0x80)
        return true;
    if (byte < 0xc2 || byte > 0xf4)
        return false;

    uint8_t n_left = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
    uint8_t low = byte == 0xe0 ? 0xa0 : byte == 0xf0 ? 0x90 : 0x80;
    uint8_t high = byte == 0xed ? 0x9f : byte == 0xf4 ? 0x8f : 0xbf;
    *utf8 = (struct utf8){ n_left, low, high };
    return true;
}

/* Bytes of the first character of a text that ends with NUL; 0 when that is no character. */
static inline size_t utf8_size(const char *text)
{
    struct utf8 utf8 = { 0 };
    size_t size = 0;
    do {
        if (!utf8_take(&utf8, (uint8_t)text[size]))
            return 0;
        size++;
    } while (utf8.n_left);
    return size;
}
