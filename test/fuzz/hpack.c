/* SPDX-License-Identifier: Apache-2.0 */

/* Blocks, each behind two bytes of its size, for one connection. Where nghttp2 and we can both read
 * one, we read the same; what is read is encoded again, as lines where it can be, and both read
 * that. */

#include "codec/hpack.h"

#include <nghttp2/nghttp2.h>

#include "base/buf.h"
#include "codec/http1.h"
#include "property.h"

#define OUT_MAX ((size_t)1 << 20)

/* One way to the fields and back again. */
struct ends {
    struct hpack_decoder decoder, again;
    struct hpack_encoder encoder;
    nghttp2_hd_inflater *theirs, *theirs_again;
};

/* False when it is broken, or when there is nothing more. */
static bool their_next(nghttp2_hd_inflater *inflater, struct span *block, nghttp2_nv *ret_field)
{
    for (;;) {
        int flags = 0;
        ssize_t n = nghttp2_hd_inflate_hd2(inflater, ret_field, &flags,
                                           (const uint8_t *)block->data, block->size, 1);
        if (n < 0)
            return false;
        *block = span_from(*block, (size_t)n);
        if (flags & NGHTTP2_HD_INFLATE_EMIT)
            return true;
        if (flags & NGHTTP2_HD_INFLATE_FINAL || !block->size)
            return false;
    }
}

static bool is_same(const struct hpack_field *ours, const nghttp2_nv *theirs)
{
    return span_equals(ours->name, (struct span){ (const char *)theirs->name, theirs->namelen }) &&
           span_equals(ours->value, (struct span){ (const char *)theirs->value, theirs->valuelen });
}

static void note(struct buf *buf, const struct hpack_field *field)
{
    buf_printf(buf, "%zu %zu %d ", field->name.size, field->value.size, field->is_never_indexed);
    buf_put(buf, field->name);
    buf_put(buf, field->value);
}

/* What was encoded is read by both as the fields that were in the first block. */
static void check_encoded(struct ends *ends, struct span encoded, const struct buf *noted)
{
    struct span copy = copy_of(encoded), ours = copy, theirs = copy;
    struct hpack_field field;
    struct buf buf = { .limit = 0 };
    nghttp2_nv nv;
    int answer;
    while ((answer = hpack_next(&ends->again, &ours, &field)) == HPACK_FIELD) {
        PROPERTY(their_next(ends->theirs_again, &theirs, &nv));
        PROPERTY(is_same(&field, &nv));
        note(&buf, &field);
    }
    PROPERTY(answer == HPACK_END && !their_next(ends->theirs_again, &theirs, &nv));
    PROPERTY(span_equals(buf_span(&buf), buf_span(noted)));
    nghttp2_hd_inflate_end_headers(ends->theirs_again);
    buf_fini(&buf);
    free_copy(copy);
}

/* As a line, where it can be one; what is found says the same. `after` is the last that was found. */
static char *put_field(struct hpack_encoder *encoder, char *at, const struct hpack_field *field,
                       struct hpack_line *after)
{
    struct span name = field->name, value = field->value;
    if (field->is_never_indexed)
        return hpack_put(encoder, at, name, value, HPACK_NEVER);
    if (!http_is_small_token(name) || !http_is_field_value(value))
        return hpack_put(encoder, at, name, value, HPACK_INDEXED);
    struct buf text = { .limit = 0 };
    buf_put(&text, name);
    buf_puts(&text, ": ");
    buf_put(&text, value);
    buf_puts(&text, "\r\n");
    struct span copy = copy_of(buf_span(&text));
    struct hpack_line line = { .name = name, .value = value, .slot = HPACK_NO_SLOT };
    bool is_found = hpack_guess_line(encoder, after->is_found ? after : NULL, copy, &line) ||
                    hpack_find_line(encoder, copy, &line);
    PROPERTY(is_found == line.is_found);
    PROPERTY(span_equals(line.name, name) && span_equals(line.value, value));
    at = hpack_put_line(encoder, at, &line);
    if (is_found)
        *after = line;
    free_copy(copy);
    buf_fini(&text);
    return at;
}

/* False when the block is broken. */
static bool check_block(struct ends *ends, struct span block)
{
    struct span ours = block, theirs = block;
    struct hpack_field field;
    struct hpack_line after = { .is_found = false };
    struct buf noted = { .limit = 0 };
    nghttp2_nv nv;
    char *memory = malloc(OUT_MAX), *at = hpack_begin(&ends->encoder, memory);
    int answer;
    PROPERTY(memory);
    while ((answer = hpack_next(&ends->decoder, &ours, &field)) == HPACK_FIELD) {
        PROPERTY(their_next(ends->theirs, &theirs, &nv));
        PROPERTY(is_same(&field, &nv));
        PROPERTY(field.static_name == hpack_static_find(field.name));
        hpack_know(&ends->decoder, 1);
        size_t bound = HPACK_FIELD_BOUND(field.name.size, field.value.size);
        if ((size_t)(at - memory) + bound > OUT_MAX)
            continue;
        at = put_field(&ends->encoder, at, &field, &after);
        note(&noted, &field);
    }
    if (answer == HPACK_END) {
        PROPERTY(ends->decoder.table.capacity <= 2 * HPACK_TABLE_SIZE_FIRST);
        nghttp2_hd_inflate_end_headers(ends->theirs);
        check_encoded(ends, (struct span){ memory, (size_t)(at - memory) }, &noted);
    }
    buf_fini(&noted);
    free(memory);
    return answer == HPACK_END;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = input_of(data, size);
    struct ends ends;
    bool is_good = true;
    hpack_decoder_init(&ends.decoder, HPACK_TABLE_SIZE_FIRST);
    hpack_decoder_init(&ends.again, HPACK_TABLE_SIZE_FIRST);
    hpack_encoder_init(&ends.encoder, size % 3 ? HPACK_TABLE_SIZE_FIRST : 200);
    PROPERTY(!nghttp2_hd_inflate_new(&ends.theirs));
    PROPERTY(!nghttp2_hd_inflate_new(&ends.theirs_again));
    while (is_good && input.size) {
        size_t n = cut_byte(&input);
        n = n << 8 | cut_byte(&input);
        struct span copy = copy_of(span_first(input, n));
        input = span_from(input, n);
        is_good = check_block(&ends, copy);
        free_copy(copy);
    }
    nghttp2_hd_inflate_del(ends.theirs);
    nghttp2_hd_inflate_del(ends.theirs_again);
    hpack_decoder_fini(&ends.decoder);
    hpack_decoder_fini(&ends.again);
    hpack_encoder_fini(&ends.encoder);
    return 0;
}
