/* SPDX-License-Identifier: Apache-2.0 */

/* The first byte chooses the limits. Splits change no verdict; what is accepted survives being
 * written and parsed again, and a strict reader finds it clean. */

#include "head.h"

static int parse(struct span bytes, const struct http1_limits *limits, struct http_head *ret_head,
                 struct http1_error *ret_error)
{
    struct span copy = copy_of(bytes);
    int r = http1_parse_request(copy, limits, ret_head, ret_error);
    free_copy(copy);
    return r;
}

static void check_splits(struct span input, const struct http1_limits *limits, int verdict,
                         size_t head_size, const struct http1_error *error)
{
    static struct http_head head;
    struct http1_error part_error;
    size_t step = input.size / 256 + 1;
    for (size_t size = 0; size < input.size; size += step) {
        int r = parse(span_first(input, size), limits, &head, &part_error);
        if (r == HTTP1_BAD)
            PROPERTY(verdict == HTTP1_BAD && part_error.text == error->text &&
                     part_error.status == error->status);
        if (r == HTTP1_OK)
            PROPERTY(verdict == HTTP1_OK && size >= head_size && head.size == head_size);
    }
}

static void check_accepted(const struct http_head *head, struct span input)
{
    static char memory[1 << 20];
    static struct http_head again;
    const struct http1_limits wide = { .head = sizeof(memory), .line = sizeof(memory) };
    struct http1_out out = { .data = memory, .capacity = sizeof(memory) };
    struct http1_error error;

    check_fields(head, input);
    PROPERTY(head->framing != HTTP_BODY_UNTIL_CLOSE);
    for (const char *at = input.data; at < input.data + head->size; at++)
        PROPERTY((uint8_t)*at >= 0x20 || *at == '\t' || *at == '\r' || *at == '\n');

    /* What HTTP/1.0 may leave out, 1.1 must have. */
    if (head->minor_version == 0)
        return;
    http1_put_request_line(&out, head->method, head->target);
    put_fields(&out, head);
    struct span written = { out.data, out.size };
    PROPERTY(http1_parse_request(written, &wide, &again, &error) == HTTP1_OK);
    PROPERTY(again.size == written.size);
    check_same(head, &again);
    PROPERTY(head->is_keep_alive == again.is_keep_alive);
    PROPERTY(head->expects_continue == again.expects_continue);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http_head head;
    struct http1_error error;
    struct span input = input_of(data, size);
    uint8_t choice = cut_byte(&input);
    struct http1_limits limits = { .head = 1 << 20, .line = 1 << 20 };
    if (choice & 1)
        limits = (struct http1_limits){ .head = 64u + choice, .line = 16u + choice / 2u };

    int verdict = http1_parse_request(input, &limits, &head, &error);
    check_splits(input, &limits, verdict, head.size, &error);
    if (verdict == HTTP1_OK)
        check_accepted(&head, input);
    return 0;
}
