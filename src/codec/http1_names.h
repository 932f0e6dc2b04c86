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

/* The case of a letter is lost in the remainder. */
#define NAME_SLOT(size, first, last) ((size)*32u + ((unsigned)(first)*2 + (unsigned)(last)) % 32)

struct http1_known {
    char line[24]; /* the name in small letters with the colon behind it, and NULs */
    uint8_t id;
    bool is_hop_by_hop; /* the field is for the next hop only */
};

/* Free slots are HTTP_OTHER, and so is the first: there is no name of no bytes. */
extern const struct http1_known http1_known_names[HTTP1_NAME_SIZES * 32];

/* Whether we act on fields of that name. */
static inline bool http1_is_acted_on(enum http_name name)
{
    return name != HTTP_OTHER && name < HTTP_ACCEPT;
}

/* The name it may be; `size` is 1 to 19. */
static inline const struct http1_known *http1_name_guess(const char *name, size_t size)
{
    uint8_t first = (uint8_t)name[0], last = (uint8_t)name[size - 1];
    return &http1_known_names[NAME_SLOT(size, first, last)];
}

/* A name that is known to be a token, so it is not empty. */
const struct http1_known *http1_name_of_token(struct span token);

/* Whether the value is, in any case, the keyword `lower`: small letters, digits and "-" only. The
 * value is a legal one. */
bool http1_value_is(struct span value, struct span lower);
