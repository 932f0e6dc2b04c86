/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/http1.h"
#include "codec/http1_scan.h"

/* Which bytes are small letters, digits or "-". */
static inline unsigned small_bits(bytes16 bytes)
{
    return bytes16_bits(bytes16_in_row(bytes, 'z', 26) | bytes16_in_row(bytes, '9', 10) |
                        (bytes16)(bytes == '-'));
}

bool http_is_small_token(struct span span)
{
    const char *at = span.data, *end = at + span.size;
    if (!span.size)
        return false;
    for (; at < end; at += 16) {
        unsigned others = ~small_bits(bytes16_load_upto(at, end)) & 0xffff;
        if (!others)
            continue;
        for (at += first_bit(others); at < end; at++) {
            if (!byte_is(*at, CLASS_TOKEN) || (*at >= 'A' && *at <= 'Z'))
                return false;
        }
        return true;
    }
    return true;
}

bool http_is_target(struct span span)
{
    const char *end = span.data + span.size;
    return span.size && scan_target(span.data, end) == end;
}

/* The name in a line's first bytes, when its colon is there. 0 when it is not, or there is no name. */
static inline size_t short_name(const char *name, const char *end, bool *ret_is_small)
{
    if (unlikely(end - name < 16))
        return 0;
    bytes16 bytes = bytes16_load(name);
    unsigned colons = bytes16_bits((bytes16)(bytes == ':'));
    if (unlikely(!colons))
        return 0;
    unsigned size = first_bit(colons);
    *ret_is_small = first_bit(~small_bits(bytes)) == size;
    return *ret_is_small || first_bit(~bytes16_in_name(bytes)) == size ? size : 0;
}

bool http1_cut_line(struct span *lines, struct http1_line *ret_line)
{
    const char *name = lines->data, *end = name + lines->size;
    size_t size = short_name(name, end, &ret_line->is_small);
    if (unlikely(!size)) {
        size = (size_t)(scan_token(name, end) - name);
        ret_line->is_small = http_is_small_token((struct span){ name, size });
    }
    const char *colon = name + size;
    if (size == 0 || end - colon < 4 || memcmp(colon, ": ", 2) != 0)
        return false;
    const char *value = colon + 2;
    const char *cr = scan_value(value, end);
    if (end - cr < 2 || memcmp(cr, "\r\n", 2) != 0)
        return false;
    if (cr > value && (byte_is_blank(*value) || byte_is_blank(cr[-1])))
        return false;
    ret_line->name = (struct span){ name, size };
    ret_line->value = (struct span){ value, (size_t)(cr - value) };
    *lines = (struct span){ cr + 2, (size_t)(end - cr - 2) };
    return true;
}
