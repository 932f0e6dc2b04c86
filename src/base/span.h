#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Borrowed bytes: a pointer and a size, passed by value. A span owns nothing and ends with no
 * NUL; whoever makes one says how long its bytes stay.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
    const char *data;
    size_t size;
};

#define SPAN_NULL ((struct span){ NULL, 0 })
#define SPAN(literal) ((struct span){ "" literal, sizeof(literal) - 1 })

/* For printf: "%.*s", SPAN_ARG(span). */
#define SPAN_ARG(span) (int)(span).size, (span).data ? (span).data : ""

static inline struct span span_of(const char *text)
{
    return (struct span){ text, text ? strlen(text) : 0 };
}

static inline bool span_is_empty(struct span span)
{
    return span.size == 0;
}

static inline bool span_equals(struct span a, struct span b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool span_is(struct span span, const char *text)
{
    return span_equals(span, span_of(text));
}

/* Bytes outside A-Z stay as they are. */
static inline char ascii_lower(char byte)
{
    bool is_capital = byte >= 'A' && byte <= 'Z';
    return (char)(is_capital ? byte | 0x20 : byte);
}

/* By ascii_lower(). */
bool span_equals_nocase(struct span a, struct span b);

/* Ordered as by memcmp, the shorter first. */
int span_compare(struct span a, struct span b);

bool span_starts_with(struct span span, struct span prefix);
bool span_ends_with(struct span span, struct span suffix);

/* Position of the first `byte`, or span.size. */
size_t span_find(struct span span, char byte);

/* The bytes from `start` on; empty when there are none. */
static inline struct span span_from(struct span span, size_t start)
{
    return start >= span.size ? SPAN_NULL : (struct span){ span.data + start, span.size - start };
}

/* The first `size` bytes, or all. */
static inline struct span span_first(struct span span, size_t size)
{
    return (struct span){ span.data, size < span.size ? size : span.size };
}

/* Cuts the part before the first `separator` off `rest` and returns it; without a separator all
 * of it, and `rest` is empty with data NULL. Ends a loop: while (rest->data). */
struct span span_cut(struct span *rest, char separator);

/* Without leading and trailing spaces and tabs. */
struct span span_trim(struct span span);

/* A decimal number without sign or leading garbage, at most `max`. */
bool span_to_uint(struct span span, uint64_t max, uint64_t *ret_value);
