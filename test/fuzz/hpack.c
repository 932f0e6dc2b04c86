/* SPDX-License-Identifier: Apache-2.0 */

/* Blocks, each behind two bytes of its size, for one connection. Where nghttp2 and we can both read
 * one, we read the same; what is read is encoded again, and both read that. */

#include "codec/hpack.h"

#include <nghttp2/nghttp2.h>

#include "base/buf.h"
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

/* False when the block is broken. */
static bool check_block(struct ends *ends, struct span block)
{
    struct span ours = block, theirs = block;
    struct hpack_field field;
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
        at = hpack_put(&ends->encoder, at, field.name, field.value,
                       field.is_never_indexed ? HPACK_NEVER : HPACK_INDEXED);
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
