#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Field names as numbers, for the parser. Private to codec.
 *
 * Size, first and last byte of a name lead to the only one of ours that it can be; whether it is
 * that one takes one comparison.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "codec/http1.h"

#define HTTP1_NAME_SLOTS 128u
#define HTTP1_NAME_LINE 24u

#define NAME_SLOT(size, first, last)                                                               \
    (((unsigned)(size)*21 + (unsigned)(first)*9 + (unsigned)(last)) % HTTP1_NAME_SLOTS)

extern const uint8_t http1_name_slots[HTTP1_NAME_SLOTS];

/* Each name in small letters with the colon behind it, padded with NUL. */
extern const char http1_name_lines[HTTP_N_NAMES][HTTP1_NAME_LINE];

/* The name it may be; `size` is not 0. */
static inline enum http_name http1_name_guess(const char *name, size_t size)
{
    unsigned first = (uint8_t)name[0] | 0x20u, last = (uint8_t)name[size - 1] | 0x20u;
    return (enum http_name)http1_name_slots[NAME_SLOT(size, first, last)];
}

/* The id of a name that is known to be a token, so it is not empty. */
enum http_name http1_name_of_token(struct span token);

/* Whether the value is, in any case, the keyword `lower`: small letters, digits and "-" only. The
 * value is a legal one. */
bool http1_value_is(struct span value, struct span lower);
