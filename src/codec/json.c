/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/json.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/utf8.h"
#include "codec/http1.h"

static const struct span replacement = SPAN("\xef\xbf\xbd"); /* U+FFFD */

static void put_byte(struct json_out *out, char byte)
{
    buf_put(out->buf, (struct span){ &byte, 1 });
}

static void start_value(struct json_out *out)
{
    if (out->needs_comma)
        put_byte(out, ',');
    out->needs_comma = true;
}

void json_open(struct json_out *out, char bracket)
{
    start_value(out);
    put_byte(out, bracket);
    out->needs_comma = false;
}

void json_close(struct json_out *out, char bracket)
{
    put_byte(out, bracket);
    out->needs_comma = true;
}

/* The shortest escapes and small letters, as RFC 8785 section 3.2.2.2 fixes them. */
static void put_escape(struct json_out *out, uint8_t byte)
{
    static const char letters[0x20] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r',
    };
    char text[8] = { '\\', (char)byte };
    if (byte < 0x20 && letters[byte]) {
        text[1] = letters[byte];
    } else if (byte < 0x20) {
        snprintf(text, sizeof(text), "\\u%04x", byte);
    }
    buf_puts(out->buf, text);
}

static void put_bytes(struct json_out *out, const char *start, const char *end)
{
    if (end > start)
        buf_put(out->buf, (struct span){ start, (size_t)(end - start) });
}

/* Runs of bytes that stay as they are go out together. A character that breaks off becomes one
 * U+FFFD, and the byte it broke off at is looked at afresh (Unicode section 3.9, maximal parts). */
static void put_string(struct json_out *out, struct span text)
{
    struct utf8 utf8 = { 0 };
    if (!text.data)
        text = SPAN("");
    const char *end = text.data + text.size, *run = text.data, *character = text.data;

    put_byte(out, '"');
    for (const char *at = text.data; at < end;) {
        uint8_t byte = (uint8_t)*at;
        bool is_inside = utf8.n_left > 0;
        if (!is_inside)
            character = at;
        if (!utf8_take(&utf8, byte)) {
            put_bytes(out, run, character);
            buf_put(out->buf, replacement);
            at += !is_inside;
            run = at;
            continue;
        }
        at++;
        if (byte < 0x20 || byte == '"' || byte == '\\') {
            put_bytes(out, run, at - 1);
            put_escape(out, byte);
            run = at;
        }
    }
    put_bytes(out, run, utf8.n_left ? character : end);
    if (utf8.n_left)
        buf_put(out->buf, replacement);
    put_byte(out, '"');
}

void json_key(struct json_out *out, struct span key)
{
    start_value(out);
    put_string(out, key);
    put_byte(out, ':');
    out->needs_comma = false;
}

void json_text(struct json_out *out, struct span text)
{
    start_value(out);
    put_string(out, text);
}

void json_uint(struct json_out *out, uint64_t value)
{
    start_value(out);
    buf_printf(out->buf, "%" PRIu64, value);
}

void json_int(struct json_out *out, int64_t value)
{
    start_value(out);
    buf_printf(out->buf, "%" PRId64, value);
}

void json_bool(struct json_out *out, bool value)
{
    start_value(out);
    buf_puts(out->buf, value ? "true" : "false");
}

void json_none(struct json_out *out)
{
    start_value(out);
    buf_puts(out->buf, "null");
}

void json_problem_open(struct json_out *out, unsigned status, struct span detail)
{
    json_open(out, '{');
    json_key(out, SPAN("type"));
    json_text(out, SPAN("about:blank"));
    json_key(out, SPAN("title"));
    json_text(out, span_of(http_status_reason(status)));
    json_key(out, SPAN("status"));
    json_uint(out, status);
    if (detail.size) {
        json_key(out, SPAN("detail"));
        json_text(out, detail);
    }
}
