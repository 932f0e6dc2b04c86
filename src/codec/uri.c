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

/* Where the path ends, at "?" or the end of the text, when it holds nothing but plain bytes and no
 * slash before another or before a dot: then there is nothing to do. NULL of all others, and of some
 * canonical ones. */
static const char *end_of_plain_path(struct span text)
{
    const char *at = text.data, *end = text.data + text.size;
    unsigned after_slash = 0;
    for (;;) {
        bytes16 bytes = bytes16_load_upto(at, end);
        /* "-", ".", "/" and the digits stand in one row. */
        bytes16 plain =
            bytes16_letter(bytes) | bytes16_in_row(bytes, '9', 13) | (bytes16)(bytes == '_');
        unsigned n_plain = first_bit(~bytes16_bits(plain));

        unsigned slashes = bytes16_bits((bytes16)(bytes == '/'));
        unsigned slashes_and_dots = bytes16_bits((bytes16)((bytes | 1) == '/'));
        if ((slashes << 1 | after_slash) & slashes_and_dots & ((1u << n_plain) - 1))
            return NULL;
        after_slash = slashes >> 15;
        at += n_plain;
        if (n_plain < 16)
            return at == end || *at == '?' ? at : NULL;
    }
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

RARE static int normalise_path(struct span path, char *memory, size_t capacity,
                               struct span *ret_path, const char **ret_reason)
{
    struct output output = { .size = 0 };
    output.data = memory;
    if (path.size > capacity)
        return URI_FULL;
    const char *reason = normalise(path, &output);
    if (reason)
        return refuse(reason, ret_reason);
    struct span made = { output.data, output.size };
    *ret_path = span_equals(made, path) ? path : made;
    return URI_OK;
}

int uri_normalise(struct span path_and_query, char *memory, size_t capacity, struct span *ret_path,
                  struct span *ret_query, const char **ret_reason)
{
    bool has_path = path_and_query.size && path_and_query.data[0] == '/';
    const char *path_end = has_path ? end_of_plain_path(path_and_query) : NULL;
    struct span path, query = path_and_query;
    if (likely(path_end != NULL)) {
        size_t size = (size_t)(path_end - path_and_query.data);
        path = (struct span){ path_and_query.data, size };
        query =
            size == query.size ? SPAN_NULL : (struct span){ path_end + 1, query.size - size - 1 };
    } else {
        path = span_cut(&query, '?');
    }
    if (query.data && scan_target(query.data, query.data + query.size) != query.data + query.size)
        return refuse("the query holds a forbidden byte", ret_reason);
    if (!has_path)
        return refuse("the path does not start with a slash", ret_reason);
    if (!path_end) {
        int r = normalise_path(path, memory, capacity, &path, ret_reason);
        if (r)
            return r;
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
