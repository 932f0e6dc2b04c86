/* SPDX-License-Identifier: Apache-2.0 */

#include "check.h"
#include "codec/http1.h"

static enum http_name find_changed(struct span name, size_t at, char byte)
{
    char text[64];
    memcpy(text, name.data, name.size);
    text[at] = byte;
    return http_name_find((struct span){ text, name.size });
}

TEST(every_name_is_found_in_any_case)
{
    static const char *const texts[] = { "",
#define NAME_TEXT(id, text) text,
                                         HTTP_NAMES(NAME_TEXT)
#undef NAME_TEXT
    };
    for (enum http_name name = HTTP_OTHER + 1; name < HTTP_N_NAMES; name++) {
        char text[64];
        struct span span = span_of(texts[name]);
        CHECK_INT(http_name_find(span), name);
        CHECK(span_equals(http_name_text(name), span));
        for (size_t i = 0; i < span.size; i++) {
            bool is_letter = span.data[i] >= 'a' && span.data[i] <= 'z';
            text[i] = is_letter ? (char)(span.data[i] - 0x20) : span.data[i];
        }
        CHECK_INT(http_name_find((struct span){ text, span.size }), name);
    }
}

/* A byte changed, left out or added makes another name of it. */
TEST(names_like_ours_are_others)
{
    for (enum http_name name = HTTP_OTHER + 1; name < HTTP_N_NAMES; name++) {
        struct span span = http_name_text(name);
        char longer[64];
        memcpy(longer, span.data, span.size);
        longer[span.size] = 's';
        CHECK(http_name_find((struct span){ longer, span.size + 1 }) != name);
        CHECK(http_name_find(span_first(span, span.size - 1)) != name);
        for (size_t i = 0; i < span.size; i++) {
            for (unsigned byte = 0; byte < 256; byte++) {
                if ((byte | 0x20) == (unsigned)span.data[i] && byte >= 'A')
                    continue;
                if (byte != (unsigned)span.data[i])
                    CHECK(find_changed(span, i, (char)byte) != name);
            }
        }
    }
    CHECK_INT(http_name_find(SPAN_NULL), HTTP_OTHER);
    CHECK_INT(http_name_find(SPAN("x")), HTTP_OTHER);
}

TEST(tokens_and_values)
{
    static const char tchars[] =
        "!#$%&'*+-.^_`|~0123456789"
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    CHECK(http_is_token(span_of(tchars)));
    CHECK(!http_is_token(SPAN_NULL));
    for (unsigned byte = 0; byte < 256; byte++) {
        /* At each place of a text that is more than one vector long. */
        for (size_t at = 0; at < 40; at++) {
            char text[40];
            memset(text, 'x', sizeof(text));
            text[at] = (char)byte;
            struct span span = { text, sizeof(text) };
            CHECK_INT(http_is_token(span), byte && strchr(tchars, (int)byte) != NULL);
            bool is_blank = byte == ' ' || byte == '\t';
            bool is_value = is_blank ? at > 0 && at < 39 : byte >= 0x20 && byte != 0x7f;
            CHECK_INT(http_is_field_value(span), is_value);
        }
    }
    CHECK(http_is_field_value(SPAN_NULL));
    CHECK(http_is_field_value(SPAN("\xff")));
}

TEST(idempotent_methods)
{
    CHECK(http_is_idempotent(SPAN("GET")));
    CHECK(http_is_idempotent(SPAN("DELETE")));
    CHECK(!http_is_idempotent(SPAN("POST")));
    CHECK(!http_is_idempotent(SPAN("PATCH")));
    CHECK(!http_is_idempotent(SPAN("get")));
    CHECK(!http_is_idempotent(SPAN_NULL));
}
