/* SPDX-License-Identifier: Apache-2.0 */

/* A canonical path is its own canonical form, holds none of what is refused, and decodes to what
 * the path it was made from decodes to. */

#include "codec/uri.h"

#include "property.h"

static bool has(struct span text, const char *part)
{
    return memmem(text.data, text.size, part, strlen(part)) != NULL;
}

static void check_canonical(struct span path)
{
    static const char *const parts[] = { "//",  "/./", "/../", "\\",  "#",   "?",   ";",   " ",
                                         "%00", "%2f", "%2F",  "%5c", "%5C", "%2e", "%2E", "%7E" };
    PROPERTY(path.size && path.data[0] == '/');
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        PROPERTY(!has(path, parts[i]));
    PROPERTY(!span_ends_with(path, SPAN("/.")) && !span_ends_with(path, SPAN("/..")));
    for (size_t i = 0; i < path.size; i++) {
        PROPERTY(path.data[i] > 0x20 && path.data[i] < 0x7f);
        if (path.data[i] == '%')
            PROPERTY(path.size - i >= 3 && (path.data[i + 1] < 'a' && path.data[i + 2] < 'a'));
    }
}

/* With no dot-segments and no double slashes in it, a path keeps what it means. */
static void check_meaning(struct span raw, struct span path)
{
    if (has(raw, "/.") || has(raw, "//") || has(raw, "%2e") || has(raw, "%2E"))
        return;
    char *a = malloc(raw.size + 1), *b = malloc(path.size + 1);
    struct span before, after;
    PROPERTY(uri_decode(raw, a, &before) == URI_OK && uri_decode(path, b, &after) == URI_OK);
    PROPERTY(span_equals(before, after));
    free(a);
    free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = copy_of(input_of(data, size)), path, query, again, decoded;
    char *memory = malloc(size + 1), *second = malloc(size + 1);
    const char *reason = NULL;

    int r = uri_normalise(input, memory, size, &path, &query, &reason);
    PROPERTY(r == URI_OK || (r == URI_BAD && reason));
    if (r == URI_OK) {
        struct span rest = input;
        struct span raw = span_cut(&rest, '?');
        check_canonical(path);
        check_meaning(raw, path);
        PROPERTY(path.size <= raw.size && span_equals(query, rest));
        PROPERTY(uri_normalise(path, second, size, &again, &query, &reason) == URI_OK);
        PROPERTY(again.data == path.data && again.size == path.size && !query.data);
    }
    if (uri_decode(input, memory, &decoded) == URI_OK)
        PROPERTY(decoded.size <= size && !memchr(memory, 0, decoded.size));
    struct span value = uri_query_value(input, SPAN("a"));
    PROPERTY(!value.size || memmem(input.data, input.size, value.data, value.size));
    free(memory);
    free(second);
    free_copy(input);
    return 0;
}
