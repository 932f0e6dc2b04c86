/* SPDX-License-Identifier: Apache-2.0 */

#include "base/span.h"

#include "base/compiler.h"

bool span_equals_nocase(struct span a, struct span b)
{
    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++) {
        if (ascii_lower(a.data[i]) != ascii_lower(b.data[i]))
            return false;
    }
    return true;
}

int span_compare(struct span a, struct span b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size ? memcmp(a.data, b.data, size) : 0;
    if (order)
        return order;
    return a.size < b.size ? -1 : a.size > b.size;
}

bool span_starts_with(struct span span, struct span prefix)
{
    return span.size >= prefix.size && span_equals(span_first(span, prefix.size), prefix);
}

bool span_ends_with(struct span span, struct span suffix)
{
    return span.size >= suffix.size &&
           span_equals(span_from(span, span.size - suffix.size), suffix);
}

size_t span_find(struct span span, char byte)
{
    const char *hit = span.size ? memchr(span.data, byte, span.size) : NULL;
    return hit ? (size_t)(hit - span.data) : span.size;
}

struct span span_cut(struct span *rest, char separator)
{
    size_t at = span_find(*rest, separator);
    struct span part = span_first(*rest, at);
    if (at == rest->size) {
        *rest = SPAN_NULL;
    } else {
        *rest = (struct span){ rest->data + at + 1, rest->size - at - 1 };
    }
    return part;
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

struct span span_trim(struct span span)
{
    while (span.size && is_blank(span.data[0])) {
        span.data++;
        span.size--;
    }
    while (span.size && is_blank(span.data[span.size - 1]))
        span.size--;
    return span;
}

bool span_to_uint(struct span span, uint64_t max, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (!span.size)
        return false;
    const char *end = span.data + span.size;
    const char *surely = span.size > 19 ? span.data + 19 : end; /* so many digits always fit */
    for (const char *at = span.data; at < end; at++) {
        unsigned digit = (unsigned)(unsigned char)*at - '0';
        /* Leading zeros may make it more of them. */
        if (digit > 9 || (unlikely(at >= surely) && value > (UINT64_MAX - digit) / 10))
            return false;
        value = value * 10 + digit;
    }
    if (value > max)
        return false;
    *ret_value = value;
    return true;
}
