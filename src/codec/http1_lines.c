/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/http1.h"
#include "codec/http1_scan.h"

bool http_is_small_token(struct span span)
{
    const char *at = span.data, *end = at + span.size;
    if (!span.size)
        return false;
    for (; at < end; at += 16) {
        bytes16 bytes = bytes16_load_upto(at, end);
        bytes16 plain = bytes16_in_row(bytes, 'z', 26) | bytes16_in_row(bytes, '9', 10) |
                        (bytes16)(bytes == '-');
        unsigned others = ~bytes16_bits(plain) & 0xffff;
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

bool http1_cut_line(struct span *lines, struct http1_line *ret_line)
{
    const char *name = lines->data, *end = name + lines->size;
    const char *colon = scan_token(name, end);
    if (colon == name || end - colon < 4 || memcmp(colon, ": ", 2) != 0)
        return false;
    const char *value = colon + 2;
    const char *cr = scan_value(value, end);
    if (end - cr < 2 || memcmp(cr, "\r\n", 2) != 0)
        return false;
    if (cr > value && (byte_is_blank(*value) || byte_is_blank(cr[-1])))
        return false;
    ret_line->name = (struct span){ name, (size_t)(colon - name) };
    ret_line->value = (struct span){ value, (size_t)(cr - value) };
    *lines = (struct span){ cr + 2, (size_t)(end - cr - 2) };
    return true;
}
