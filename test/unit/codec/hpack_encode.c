/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/hpack.h"

#include <nghttp2/nghttp2.h>

#include "check.h"

static size_t put(struct hpack_encoder *encoder, struct span name, struct span value,
                  enum hpack_indexing how, char *block)
{
    char *begin = hpack_begin(encoder, block);
    char *end = hpack_put(encoder, begin, name, value, how);
    CHECK(begin - block <= (ptrdiff_t)HPACK_BEGIN_BOUND);
    CHECK((size_t)(end - begin) <= HPACK_FIELD_BOUND(name.size, value.size));
    return (size_t)(end - block);
}

#define PUTS(encoder, name, value, how, want)                                                      \
    do {                                                                                           \
        char block[512];                                                                           \
        size_t size = put(encoder, SPAN(name), SPAN(value), how, block);                           \
        CHECK(span_equals((struct span){ block, size }, SPAN(want)));                              \
    } while (0)

TEST(the_kinds_of_fields)
{
    struct hpack_encoder encoder;
    hpack_encoder_init(&encoder, 4096);
    PUTS(&encoder, ":method", "GET", HPACK_INDEXED, "\x82");
    PUTS(&encoder, ":status", "500", HPACK_INDEXED, "\x8e");
    PUTS(&encoder, "accept-encoding", "gzip, deflate", HPACK_INDEXED, "\x90");
    PUTS(&encoder, ":path", "/a", HPACK_INDEXED, "\x44\x02/a");
    PUTS(&encoder, ":path", "/a", HPACK_INDEXED, "\xbe");
    PUTS(&encoder, "x-y", "z", HPACK_INDEXED, "\x40\x03x-y\x01z");
    PUTS(&encoder, "x-y", "z", HPACK_INDEXED, "\xbe");
    PUTS(&encoder, ":path", "/a", HPACK_INDEXED, "\xbf");
    PUTS(&encoder, "x-y", "zz", HPACK_INDEXED, "\x7e\x02zz");
    PUTS(&encoder, "x-y", "z", HPACK_INDEXED, "\xbf");
    PUTS(&encoder, "x-y", "", HPACK_INDEXED, "\x7f\x00\x00");
    PUTS(&encoder, "x-y", "z", HPACK_LITERAL, "\x00\x03x-y\x01z");
    PUTS(&encoder, "cookie", "a=b", HPACK_NEVER,
         "\x1f\x11\x03"
         "a=b");
    PUTS(&encoder, ":method", "GET", HPACK_LITERAL, "\x02\x03GET");
    hpack_encoder_fini(&encoder);
}

TEST(a_field_that_is_too_large_stays_out)
{
    struct hpack_encoder encoder;
    char value[4096], block[5000];
    memset(value, 'x', sizeof(value));
    hpack_encoder_init(&encoder, 4096);
    put(&encoder, SPAN("a"), SPAN("b"), HPACK_INDEXED, block);
    put(&encoder, SPAN("large"), (struct span){ value, 3036 }, HPACK_INDEXED, block);
    CHECK_INT(block[0], 0);
    CHECK_INT(encoder.table.n, 1);
    put(&encoder, SPAN("large"), (struct span){ value, 3035 }, HPACK_INDEXED, block);
    CHECK_INT(block[0], 0x40);
    CHECK_INT(encoder.table.n, 2);
    hpack_encoder_fini(&encoder);
}

TEST(values_that_are_new_each_time_push_nothing_out)
{
    struct hpack_encoder encoder;
    char block[512], value[32];
    hpack_encoder_init(&encoder, 4096);
    put(&encoder, SPAN("content-type"), SPAN("application/grpc"), HPACK_INDEXED, block);
    for (int i = 0; i < 500; i++) {
        snprintf(value, sizeof(value), "%024d", i);
        put(&encoder, SPAN("traceparent"), span_of(value), HPACK_INDEXED, block);
    }
    CHECK(encoder.table.n_ever <= 40);
    CHECK_INT(put(&encoder, SPAN("content-type"), SPAN("application/grpc"), HPACK_INDEXED, block),
              1);
    /* Values that repeat get in by and by. */
    for (int i = 0; i < 100; i++) {
        snprintf(value, sizeof(value), "%024d", 1000 + i % 3);
        put(&encoder, SPAN("traceparent"), span_of(value), HPACK_INDEXED, block);
    }
    for (int i = 0; i < 3; i++) {
        snprintf(value, sizeof(value), "%024d", 1000 + i % 3);
        CHECK_INT(put(&encoder, SPAN("traceparent"), span_of(value), HPACK_INDEXED, block), 1);
    }
    hpack_encoder_fini(&encoder);
}

TEST(what_the_peer_allows)
{
    struct hpack_encoder encoder;
    hpack_encoder_init(&encoder, 4096);
    PUTS(&encoder, "x", "y", HPACK_INDEXED, "\x40\x01x\x01y");
    hpack_encoder_allow(&encoder, 65536);
    PUTS(&encoder, "x", "y", HPACK_INDEXED, "\xbe");
    hpack_encoder_allow(&encoder, 0);
    PUTS(&encoder, "x", "y", HPACK_INDEXED, "\x20\x00\x01x\x01y");
    PUTS(&encoder, "x", "y", HPACK_INDEXED, "\x00\x01x\x01y");
    hpack_encoder_allow(&encoder, 100);
    PUTS(&encoder, "x", "y", HPACK_INDEXED, "\x3f\x45\x40\x01x\x01y");
    PUTS(&encoder, "x", "y", HPACK_INDEXED, "\xbe");
    hpack_encoder_allow(&encoder, 10);
    hpack_encoder_allow(&encoder, 20);
    hpack_encoder_allow(&encoder, 4096);
    PUTS(&encoder, "x", "y", HPACK_INDEXED, "\x2a\x3f\xe1\x1f\x40\x01x\x01y");
    PUTS(&encoder, "x", "y", HPACK_INDEXED, "\xbe");
    hpack_encoder_fini(&encoder);

    hpack_encoder_init(&encoder, 0);
    PUTS(&encoder, "x", "y", HPACK_INDEXED, "\x20\x00\x01x\x01y");
    hpack_encoder_allow(&encoder, 100);
    PUTS(&encoder, "x", "y", HPACK_INDEXED, "\x00\x01x\x01y");
    hpack_encoder_fini(&encoder);
}

/* --- what nghttp2 makes of it --- */

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static size_t make_name(uint64_t seed, char *memory)
{
    if (seed % 3 == 0) {
        struct span name = hpack_static[1 + seed % HPACK_N_STATIC].name;
        memcpy(memory, name.data, name.size);
        return name.size;
    }
    size_t size = 1 + seed % 31;
    for (size_t at = 0; at < size; at++)
        memory[at] = (char)('a' + (seed * at + at) % 26);
    return size;
}

static size_t make_value(uint64_t seed, char *memory)
{
    size_t size = seed % 50 == 49 ? (seed >> 32) % 4000 : seed % 50;
    for (size_t at = 0; at < size; at++)
        memory[at] = (char)(' ' + (seed + at * (seed >> 8)) % 90);
    return size;
}

static void check_inflated(nghttp2_hd_inflater *inflater, struct span *rest, struct span name,
                           struct span value, enum hpack_indexing how)
{
    nghttp2_nv nv;
    int flags = 0;
    ssize_t n =
        nghttp2_hd_inflate_hd2(inflater, &nv, &flags, (const uint8_t *)rest->data, rest->size, 1);
    CHECK(n > 0 && flags & NGHTTP2_HD_INFLATE_EMIT);
    CHECK(span_equals((struct span){ (const char *)nv.name, nv.namelen }, name));
    CHECK(span_equals((struct span){ (const char *)nv.value, nv.valuelen }, value));
    CHECK_INT(nv.flags & NGHTTP2_NV_FLAG_NO_INDEX ? 1 : 0, how == HPACK_NEVER);
    *rest = span_from(*rest, (size_t)n);
}

TEST(what_nghttp2_decodes)
{
    uint64_t state = 88172645463325252u, n_bytes = 0, n_coded = 0;
    char *block = malloc(65536);
    nghttp2_hd_inflater *inflater;
    struct hpack_encoder encoder;
    CHECK_INT(nghttp2_hd_inflate_new(&inflater), 0);
    hpack_encoder_init(&encoder, 4096);
    for (unsigned round = 0; round < 4000; round++) {
        uint64_t first = state;
        size_t n = 1 + random_next(&state) % 12;
        unsigned n_changes = round % 50 == 49 ? 1 + random_next(&state) % 3 : 0;
        for (; n_changes; n_changes--) {
            size_t size = random_next(&state) % 5000;
            hpack_encoder_allow(&encoder, (uint32_t)size);
            CHECK_INT(nghttp2_hd_inflate_change_table_size(inflater, size), 0);
        }
        char *end = hpack_begin(&encoder, block);
        for (int pass = 0; pass < 2; pass++) {
            struct span rest = { block, (size_t)(end - block) };
            uint64_t again = first;
            for (size_t i = 0; i < n; i++) {
                char name[64], value[4096];
                uint64_t seed = random_next(&again);
                if (seed % 40)
                    seed %= 90;
                struct span name_span = { name, make_name(seed, name) };
                struct span value_span = { value, make_value(seed + seed / 60, value) };
                enum hpack_indexing how =
                    seed % 7 == 6 ? (enum hpack_indexing)(seed / 7 % 3) : HPACK_INDEXED;
                if (pass)
                    check_inflated(inflater, &rest, name_span, value_span, how);
                else
                    end = hpack_put(&encoder, end, name_span, value_span, how);
                n_bytes += pass ? name_span.size + value_span.size : 0;
            }
            CHECK(!pass || rest.size == 0);
        }
        n_coded += (size_t)(end - block);
        CHECK_INT(nghttp2_hd_inflate_end_headers(inflater), 0);
        CHECK_INT(encoder.table.size, nghttp2_hd_inflate_get_dynamic_table_size(inflater));
    }
    CHECK(n_coded < n_bytes / 2);
    nghttp2_hd_inflate_del(inflater);
    hpack_encoder_fini(&encoder);
    free(block);
}
