/* SPDX-License-Identifier: Apache-2.0 */

/* The first byte is where the rest is cut. Base64 and frames are the same however they are cut, what
 * is decoded is encoded back to the same text, and a message that is encoded is a legal value. */

#include "codec/grpc.h"

#include "codec/http1.h"
#include "property.h"

static void check_base64(struct span text, size_t cut)
{
    char *whole = malloc(text.size + 4), *parts = malloc(text.size + 4);
    char *back = malloc(BASE64_SIZE(text.size) + 4);
    struct base64_in once = { 0 }, twice = { 0 };
    size_t size = 0, first = 0, second = 0;
    PROPERTY(whole && parts && back);
    bool is_good = base64_decode(&once, text, whole, &size);
    bool is_good_too = base64_decode(&twice, span_first(text, cut), parts, &first) &&
                       base64_decode(&twice, span_from(text, cut), parts + first, &second);
    PROPERTY(is_good == is_good_too);
    if (is_good) {
        PROPERTY(size == first + second && memcmp(whole, parts, size) == 0);
        PROPERTY(base64_is_whole(&once) == base64_is_whole(&twice));
    }
    bool is_one_piece = is_good && base64_is_whole(&once) &&
                        span_find(text, '=') + 2 >= text.size; /* padding at its end, if any */
    if (is_one_piece) {
        size_t n = base64_encode((struct span){ whole, size }, back);
        PROPERTY(span_equals((struct span){ back, n }, text));
    }
    free(whole);
    free(parts);
    free(back);
}

static void check_frames(struct span bytes, size_t cut)
{
    struct grpc_frames once = { 0 }, twice = { 0 };
    grpc_frames_feed(&once, bytes);
    grpc_frames_feed(&twice, span_first(bytes, cut));
    grpc_frames_feed(&twice, span_from(bytes, cut));
    PROPERTY(once.left == twice.left && once.n_head == twice.n_head);
}

static void check_texts(struct span text)
{
    char *memory = malloc(3 * text.size + 1), formatted[GRPC_TIMEOUT_MAX];
    PROPERTY(memory);
    PROPERTY(http_is_field_value(grpc_message_encode(text, memory)));
    free(memory);
    nsec timeout, again;
    if (grpc_timeout_parse(text, &timeout)) {
        struct span written = grpc_timeout_format(timeout, formatted);
        PROPERTY(grpc_timeout_parse(written, &again) && again <= timeout);
    }
    PROPERTY(grpc_kind_of(text) == GRPC_NONE || grpc_codec_of(text).size <= text.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = input_of(data, size);
    size_t cut = cut_byte(&input);
    struct span copy = copy_of(input);
    if (cut > copy.size)
        cut = copy.size;
    check_base64(copy, cut);
    check_frames(copy, cut);
    check_texts(copy);
    free_copy(copy);
    return 0;
}
