/* SPDX-License-Identifier: Apache-2.0 */

/* Any bytes become a string that another reader of JSON takes, and that is the same text wherever
 * the bytes were text. */

#include "codec/json.h"

#include <jansson.h>

#include "base/utf8.h"
#include "property.h"

static bool is_utf8(struct span text)
{
    struct utf8 utf8 = { 0 };
    for (size_t i = 0; i < text.size; i++) {
        if (!utf8_take(&utf8, (uint8_t)text.data[i]))
            return false;
    }
    return !utf8.n_left;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = copy_of(input_of(data, size));
    struct buf buf = { .limit = 0 };
    struct json_out out = { .buf = &buf };
    json_open(&out, '{');
    json_key(&out, SPAN("text"));
    json_text(&out, input);
    json_key(&out, SPAN("list"));
    json_open(&out, '[');
    for (size_t i = 0; i < size && i < 4; i++)
        json_int(&out, (int8_t)input.data[i]);
    json_close(&out, ']');
    json_close(&out, '}');

    json_error_t error;
    json_t *read = json_loadb(buf.data, buf.size, JSON_ALLOW_NUL, &error);
    PROPERTY(read);
    json_t *text = json_object_get(read, "text");
    struct span got = { json_string_value(text), json_string_length(text) };
    PROPERTY(!is_utf8(input) || span_equals(got, input));
    PROPERTY(is_utf8(got));
    PROPERTY(json_array_size(json_object_get(read, "list")) == (size < 4 ? size : 4));
    json_decref(read);
    buf_fini(&buf);
    free_copy(input);
    return 0;
}
