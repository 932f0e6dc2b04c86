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

#define HTTP1_NAME_SIZES 20u /* no name of ours is longer than 19 */
#define HTTP1_NAME_LINE 32u

/* The case of a letter is lost in the remainder. */
#define NAME_SLOT(size, first, last) ((size)*32u + ((unsigned)(first)*2 + (unsigned)(last)) % 32)

extern const uint8_t http1_name_slots[HTTP1_NAME_SIZES * 32];

/* Each name in small letters with the colon behind it, padded with NUL. */
extern const char http1_name_lines[HTTP_N_NAMES][HTTP1_NAME_LINE];

/* Names of fields that are for the next hop only. */
extern const bool http1_hop_by_hop[HTTP_N_NAMES];

/* Whether we act on fields of that name. */
static inline bool http1_is_acted_on(enum http_name name)
{
    return name != HTTP_OTHER && name < HTTP_ACCEPT;
}

/* The name it may be; `size` is 1 to 19. */
static inline enum http_name http1_name_guess(const char *name, size_t size)
{
    uint8_t first = (uint8_t)name[0], last = (uint8_t)name[size - 1];
    return (enum http_name)http1_name_slots[NAME_SLOT(size, first, last)];
}

/* The id of a name that is known to be a token, so it is not empty. */
enum http_name http1_name_of_token(struct span token);

/* Whether the value is, in any case, the keyword `lower`: small letters, digits and "-" only. The
 * value is a legal one. */
bool http1_value_is(struct span value, struct span lower);
