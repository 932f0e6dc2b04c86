/* SPDX-License-Identifier: Apache-2.0 */

/* The first byte seeds the splits. However the bytes are split, body and verdict are the same; and
 * any bytes framed as chunks come out again. */

#include "base/buf.h"
#include "codec/http1.h"
#include "property.h"

struct result {
    struct buf body, trailers;
    size_t used;
    int answer;
};

/* Pieces of 1 to `max_step` bytes, by a sequence that the seed starts. */
static void decode(struct span input, size_t max_step, unsigned seed, struct result *ret_result)
{
    struct http1_chunked chunked = { 0 };
    struct result result = { .answer = HTTP1_CHUNK_MORE };
    while (result.used < input.size && result.answer == HTTP1_CHUNK_MORE) {
        seed = seed * 1103515245 + 12345;
        struct span piece =
            copy_of(span_first(span_from(input, result.used), seed / 65536 % max_step + 1));
        struct span rest = piece, data;
        while ((result.answer = http1_chunked_decode(&chunked, &rest, &data)) == HTTP1_CHUNK_DATA ||
               result.answer == HTTP1_CHUNK_TRAILER)
            buf_put(result.answer == HTTP1_CHUNK_DATA ? &result.body : &result.trailers, data);
        result.used += piece.size - rest.size;
        PROPERTY(result.answer != HTTP1_CHUNK_MORE || !rest.size);
        free_copy(piece);
    }
    *ret_result = result;
}

/* What is handed out as trailers was held to the rules already: only there may be too many. */
static void check_trailers(struct span trailers)
{
    static const struct http1_limits limits = { .head = 65536, .line = 65536 };
    static struct http_head head;
    struct http1_error error;
    if (!trailers.size)
        return;
    int r = http1_parse_trailers(trailers, &limits, &head, &error);
    PROPERTY(r == HTTP1_OK || (r == HTTP1_BAD && error.status == 431));
    PROPERTY(r != HTTP1_OK || head.size == trailers.size);
}

static void result_fini(struct result *result)
{
    buf_fini(&result->body);
    buf_fini(&result->trailers);
}

static void check_round_trip(struct span body, unsigned seed)
{
    struct buf framed = { .limit = 0 };
    for (size_t at = 0; at < body.size;) {
        char memory[32];
        struct http1_out head = { .data = memory, .capacity = sizeof(memory) };
        seed = seed * 1103515245 + 12345;
        struct span chunk = span_first(span_from(body, at), seed / 65536 % 40 + 1);
        http1_put_chunk_head(&head, chunk.size);
        buf_put(&framed, (struct span){ head.data, head.size });
        buf_put(&framed, chunk);
        buf_puts(&framed, "\r\n");
        at += chunk.size;
    }
    buf_puts(&framed, "0\r\n\r\n");
    struct result result;
    decode(buf_span(&framed), 50, seed, &result);
    PROPERTY(result.answer == HTTP1_CHUNK_END && result.used == framed.size);
    PROPERTY(span_equals(buf_span(&result.body), body));
    PROPERTY(!result.trailers.size);
    result_fini(&result);
    buf_fini(&framed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = input_of(data, size);
    unsigned seed = cut_byte(&input);
    struct result whole, bytes, pieces;
    decode(input, input.size ? input.size : 1, seed, &whole);
    decode(input, 1, seed, &bytes);
    decode(input, 7, seed, &pieces);
    PROPERTY(whole.answer == bytes.answer && whole.answer == pieces.answer);
    PROPERTY(whole.used == bytes.used && whole.used == pieces.used);
    PROPERTY(span_equals(buf_span(&whole.body), buf_span(&bytes.body)));
    PROPERTY(span_equals(buf_span(&whole.body), buf_span(&pieces.body)));
    PROPERTY(span_equals(buf_span(&whole.trailers), buf_span(&bytes.trailers)));
    PROPERTY(span_equals(buf_span(&whole.trailers), buf_span(&pieces.trailers)));
    PROPERTY(whole.body.size + whole.trailers.size <= input.size);
    if (whole.answer == HTTP1_CHUNK_END)
        check_trailers(buf_span(&whole.trailers));
    result_fini(&whole);
    result_fini(&bytes);
    result_fini(&pieces);
    check_round_trip(input, seed);
    return 0;
}
