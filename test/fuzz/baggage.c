/* SPDX-License-Identifier: Apache-2.0 */

/* The input is a baggage field, or several at each newline. What we write is a legal value, holds
 * our members once, theirs byte for byte, and is read back as we meant it. */

#include "codec/baggage.h"

#include "base/buf.h"
#include "property.h"

static const struct http1_limits limits = { .head = 1 << 20, .line = 1 << 20 };

static bool parse(struct span input, struct buf *buf, struct http_head *ret_head)
{
    struct http1_error error;
    buf_clear(buf);
    buf_puts(buf, "GET / HTTP/1.1\r\nHost: h\r\n");
    while (input.data) {
        buf_puts(buf, "baggage: ");
        buf_put(buf, span_cut(&input, '\n'));
        buf_puts(buf, "\r\n");
    }
    buf_puts(buf, "\r\n");
    return http1_parse_request(buf_span(buf), &limits, ret_head, &error) == HTTP1_OK;
}

static void check_write(const struct http_head *head, const struct baggage *ours)
{
    static char memory[64 * 1024];
    static struct http_head again;
    struct buf buf = { .limit = 0 };
    struct http1_out out = { .data = memory, .capacity = sizeof(memory) };
    baggage_put(&out, head, ours);
    PROPERTY(!out.is_full && out.size <= BAGGAGE_MAX_BYTES);

    struct span written = { out.data, out.size };
    PROPERTY(http_is_field_value(written));
    PROPERTY(parse(written, &buf, &again));
    struct baggage read;
    baggage_read(&again, &read);
    PROPERTY(span_equals(read.bom, ours->bom) && span_equals(read.customer, ours->customer) &&
             span_equals(read.lane, ours->lane));

    /* Each member that is not ours stands in the input as it is. */
    while (written.size) {
        struct span member = span_cut(&written, ',');
        bool is_ours = span_equals_nocase(span_first(member, 7), SPAN("sarsen."));
        bool is_found = false;
        for (unsigned i = 0; i < head->n_fields && !is_found && !is_ours; i++) {
            struct span value = head->fields[i].value;
            is_found = value.size && memmem(value.data, value.size, member.data, member.size);
        }
        PROPERTY(is_ours || is_found);
    }
    buf_fini(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http_head head;
    struct span input = input_of(data, size);
    struct buf buf = { .limit = 0 };
    if (size < 16384 && parse(input, &buf, &head)) {
        struct baggage read, none = { .bom = SPAN_NULL };
        baggage_read(&head, &read);
        check_write(&head, &read);
        check_write(&head, &none);
        struct span value = http_head_value(&head, HTTP_BAGGAGE);
        if (traceparent_is_valid(value))
            PROPERTY(value.size >= TRACEPARENT_SIZE);
    }
    buf_fini(&buf);
    return 0;
}
