/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Escapes are decoded before dot-segments are looked for, or "%2e%2e" would get past; each segment
 * goes through both before the next one starts, so one pass and no second buffer do it.
 */

#include "codec/uri.h"

#include "base/utf8.h"
#include "codec/escape.h"
#include "codec/http1_scan.h"

static int refuse(const char *reason, const char **ret_reason)
{
    *ret_reason = reason;
    return URI_BAD;
}

/* Whether the path holds nothing but plain bytes, and no slash before another or before a dot:
 * then there is nothing to do. May say no to a canonical path, never yes to another. */
static bool is_plainly_canonical(struct span path)
{
    const char *at = path.data, *end = path.data + path.size;
    unsigned after_slash = 0;
    for (const char *blocks = blocks_end(at, end); at < blocks; at += 16) {
        bytes16 bytes = bytes16_load(at);
        unsigned slashes = bytes16_bits((bytes16)(bytes == '/'));
        unsigned dots = bytes16_bits((bytes16)(bytes == '.'));
        unsigned lines = bytes16_bits((bytes16)(bytes == '_'));
        unsigned names = bytes16_in_name(bytes);
        if ((names | slashes | dots | lines) != 0xffff)
            return false;
        if ((slashes << 1 | after_slash) & (slashes | dots))
            return false;
        after_slash = slashes >> 15;
    }
    for (; at < end; at++) {
        bool is_slash = *at == '/';
        if (!is_slash && !byte_is(*at, CLASS_PCHAR))
            return false;
        if (after_slash && (is_slash || *at == '.'))
            return false;
        after_slash = is_slash;
    }
    return true;
}

struct output {
    char *data;
    size_t size;
};

/* A byte that stood there as an escape. */
static const char *put_escaped(struct output *output, uint8_t byte, struct utf8 *utf8)
{
    if (!utf8_take(utf8, byte))
        return "the path holds escapes that are no UTF-8";
    if (byte == '/' || byte == '\\')
        return "the path holds an escaped slash or backslash";
    if (byte < 0x20 || byte == 0x7f)
        return "the path holds an escaped control byte";
    if (byte_is((char)byte, CLASS_PLAIN)) {
        output->data[output->size++] = (char)byte;
    } else {
        escape_write(byte, output->data + output->size);
        output->size += 3;
    }
    return NULL;
}

static const char *put_segment(struct output *output, struct span segment)
{
    struct utf8 utf8 = { 0 };
    for (size_t i = 0; i < segment.size; i++) {
        char byte = segment.data[i];
        if (byte == '%') {
            int value = escape_read(segment, i);
            if (value < 0)
                return "the path holds a malformed escape";
            const char *reason = put_escaped(output, (uint8_t)value, &utf8);
            if (reason)
                return reason;
            i += 2;
            continue;
        }
        if (byte == ';')
            return "the path holds a parameter";
        if (!byte_is(byte, CLASS_PCHAR))
            return "the path holds a forbidden byte";
        if (utf8.n_left)
            break;
        output->data[output->size++] = byte;
    }
    return utf8.n_left ? "the path holds escapes that are no UTF-8" : NULL;
}

/* Ends the segment that starts at `start` and is the last of the output. */
static const char *end_segment(struct output *output, size_t start, bool is_last)
{
    struct span segment = { output->data + start, output->size - start };
    if (!segment.size || span_equals(segment, SPAN("."))) {
        output->size = start;
    } else if (span_equals(segment, SPAN(".."))) {
        if (start == 1)
            return "the path leaves the root";
        output->size = start - 1;
        while (output->data[output->size - 1] != '/')
            output->size--;
    } else if (!is_last) {
        output->data[output->size++] = '/';
    }
    return NULL;
}

static const char *normalise(struct span path, struct output *output)
{
    struct span rest = span_from(path, 1);
    output->data[output->size++] = '/';
    while (rest.data) {
        size_t start = output->size;
        const char *reason = put_segment(output, span_cut(&rest, '/'));
        if (!reason)
            reason = end_segment(output, start, !rest.data);
        if (reason)
            return reason;
    }
    return NULL;
}

int uri_normalise(struct span path_and_query, char *memory, size_t capacity, struct span *ret_path,
                  struct span *ret_query, const char **ret_reason)
{
    struct span query = path_and_query;
    struct span path = span_cut(&query, '?');
    if (query.data && scan_target(query.data, query.data + query.size) != query.data + query.size)
        return refuse("the query holds a forbidden byte", ret_reason);
    if (!path.size || path.data[0] != '/')
        return refuse("the path does not start with a slash", ret_reason);

    if (!is_plainly_canonical(path)) {
        struct output output = { .size = 0 };
        output.data = memory;
        if (path.size > capacity)
            return URI_FULL;
        const char *reason = normalise(path, &output);
        if (reason)
            return refuse(reason, ret_reason);
        struct span made = { output.data, output.size };
        if (!span_equals(made, path))
            path = made;
    }
    *ret_path = path;
    *ret_query = query;
    return URI_OK;
}

int uri_decode(struct span text, char *memory, struct span *ret_decoded)
{
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        int byte = (uint8_t)text.data[i];
        if (byte == '%') {
            byte = escape_read(text, i);
            i += 2;
        }
        if (byte <= 0)
            return URI_BAD;
        memory[size++] = (char)byte;
    }
    *ret_decoded = (struct span){ memory, size };
    return URI_OK;
}

struct span uri_query_value(struct span query, struct span name)
{
    while (query.data) {
        struct span value = span_cut(&query, '&');
        struct span key = span_cut(&value, '=');
        if (span_equals(key, name))
            return value.data ? value : (struct span){ "", 0 };
    }
    return SPAN_NULL;
}
