/* SPDX-License-Identifier: Apache-2.0 */

/* The first byte chooses the method that is answered. As for requests; and a response never has
 * two ways to end. */

#include "head.h"

static const struct http1_limits limits = { .head = 1 << 20, .line = 1 << 20 };

static void check_splits(struct span input, struct span method, int verdict, size_t head_size)
{
    static struct http_head head;
    struct http1_error error;
    size_t step = input.size / 256 + 1;
    for (size_t size = 0; size < input.size; size += step) {
        struct span part = copy_of(span_first(input, size));
        int r = http1_parse_response(part, method, &limits, &head, &error);
        free_copy(part);
        PROPERTY(r == HTTP1_MORE || r == verdict);
        if (r == HTTP1_OK)
            PROPERTY(size >= head_size && head.size == head_size);
    }
}

static void check_accepted(const struct http_head *head, struct span method, struct span input)
{
    static char memory[1 << 20];
    static struct http_head again;
    struct http1_out out = { .data = memory, .capacity = sizeof(memory) };
    struct http1_error error;

    check_fields(head, input);
    PROPERTY(head->status >= 100 && head->status <= 599);
    PROPERTY(is_inside(head->reason, input));
    if (head->framing == HTTP_BODY_UNTIL_CLOSE)
        PROPERTY(!head->is_keep_alive);
    if (head->status < 200 || head->status == 204 || head->status == 304)
        PROPERTY(head->framing == HTTP_BODY_NONE);
    bool has_both = head->by_name[HTTP_CONTENT_LENGTH] && head->by_name[HTTP_TRANSFER_ENCODING];
    PROPERTY(!has_both);

    http1_put_status_line(&out, head->status);
    put_fields(&out, head);
    struct span written = { out.data, out.size };
    PROPERTY(http1_parse_response(written, method, &limits, &again, &error) == HTTP1_OK);
    check_same(head, &again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct span methods[] = { SPAN("GET"), SPAN("HEAD"), SPAN("POST"),
                                           SPAN("CONNECT") };
    static struct http_head head;
    struct http1_error error;
    struct span input = input_of(data, size);
    struct span method = methods[cut_byte(&input) % 4];

    int verdict = http1_parse_response(input, method, &limits, &head, &error);
    if (verdict == HTTP1_BAD)
        PROPERTY(error.status == 502 && error.text);
    check_splits(input, method, verdict, head.size);
    if (verdict == HTTP1_OK)
        check_accepted(&head, method, input);
    return 0;
}
