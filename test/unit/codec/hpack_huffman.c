/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/hpack_huffman.h"

#include <nghttp2/nghttp2.h>

#include "check.h"

/* In a block of its exact size, so that the sanitizer sees each byte too many. */
static int decode(struct span text, char *ret_bytes, size_t *ret_size)
{
    char *copy = malloc(text.size + 1), *out = malloc(HPACK_HUFFMAN_BOUND(text.size) + 1);
    memcpy(copy + 1, text.data, text.size);
    char *end = hpack_huffman_decode((struct span){ copy + 1, text.size }, out);
    if (end) {
        *ret_size = (size_t)(end - out);
        CHECK(*ret_size <= HPACK_HUFFMAN_BOUND(text.size));
        memcpy(ret_bytes, out, *ret_size);
    }
    free(copy);
    free(out);
    return end != NULL;
}

static void check_decodes(struct span coded, struct span want)
{
    char bytes[4096];
    size_t size = 0;
    CHECK(decode(coded, bytes, &size));
    CHECK(span_equals((struct span){ bytes, size }, want));
}

/* What nghttp2 makes of a value, without the head of the literal. It codes what gets shorter by it. */
static size_t code(nghttp2_hd_deflater *deflater, const char *bytes, size_t size,
                   uint8_t *ret_coded)
{
    uint8_t block[512], copy[256], name[] = "x";
    memcpy(copy, bytes, size);
    nghttp2_nv field = { name, copy, 1, size, NGHTTP2_NV_FLAG_NO_INDEX };
    ssize_t n = nghttp2_hd_deflate_hd(deflater, block, sizeof(block), &field, 1);
    CHECK(n > 4 && block[1] == 1 && block[2] == 'x');
    CHECK(block[3] & 0x80 && block[3] != 0xff);
    memcpy(ret_coded, block + 4, (size_t)n - 4);
    return (size_t)n - 4;
}

TEST(the_examples_of_the_rfc)
{
    check_decodes(SPAN("\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"),
                  SPAN("www.example.com"));
    check_decodes(SPAN("\xa8\xeb\x10\x64\x9c\xbf"), SPAN("no-cache"));
    check_decodes(SPAN("\x64\x02"), SPAN("302"));
    check_decodes(SPAN("\xd0\x7a\xbe\x94\x10\x54\xd4\x44\xa8\x20\x05\x95\x04\x0b\x81\x66\xe0\x82"
                       "\xa6\x2d\x1b\xff"),
                  SPAN("Mon, 21 Oct 2013 20:13:21 GMT"));
    check_decodes(SPAN(""), SPAN(""));
}

TEST(each_pair_of_bytes_is_what_was_coded)
{
    nghttp2_hd_deflater *deflater;
    CHECK_INT(nghttp2_hd_deflate_new(&deflater, 4096), 0);
    for (unsigned first = 0; first < 256; first++) {
        for (unsigned second = 0; second < 256; second += first % 16 == 0 ? 1 : 5) {
            char text[48];
            uint8_t coded[256];
            memset(text, 'a', sizeof(text));
            text[first % 7] = (char)first;
            text[first % 7 + 1] = (char)second;
            text[47] = (char)second;
            size_t size = code(deflater, text, sizeof(text), coded);
            check_decodes((struct span){ (const char *)coded, size },
                          (struct span){ text, sizeof(text) });
        }
    }
    nghttp2_hd_deflate_del(deflater);
}

TEST(what_is_cut_off_is_shorter_or_refused)
{
    nghttp2_hd_deflater *deflater;
    CHECK_INT(nghttp2_hd_deflate_new(&deflater, 4096), 0);
    static const char text[] = "application/grpc+proto; \x01\xff{}\\ charset=utf-8, aaaaaaaaaaaaaa";
    char bytes[256];
    uint8_t coded[256];
    size_t size = code(deflater, text, sizeof(text) - 1, coded), n_refused = 0;
    for (size_t i = 0; i < size; i++) {
        size_t n = 0;
        if (decode((struct span){ (const char *)coded, i }, bytes, &n))
            CHECK(n < sizeof(text) - 1 && memcmp(bytes, text, n) == 0);
        else
            n_refused++;
    }
    CHECK(n_refused > size / 2);
    nghttp2_hd_deflate_del(deflater);
}

TEST(bad_endings)
{
    static const struct span bad[] = {
        SPAN("\xff"),                 /* eight bits of padding */
        SPAN("\xff\xff\xff"),         /* the beginning of a long one */
        SPAN("\xf1\xff"),             /* likewise, and something before */
        SPAN("\x18\x00"),             /* "a00" and a bit of padding that is 0 */
        SPAN("\x1e"),                 /* padding that is not the beginning of EOS */
        SPAN("\xff\xff\xff\xff"),     /* EOS and padding */
        SPAN("\xff\xff\xff\xfc\x1f"), /* EOS and "a" */
        SPAN("\xff\xff\xff\xf0"),     /* a byte of thirty bits, and padding likewise */
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char bytes[64];
        size_t size;
        bool is_good = decode(bad[i], bytes, &size);
        if (is_good)
            printf("# row %zu\n", i);
        CHECK(!is_good);
    }
    check_decodes(SPAN("\x1f"), SPAN("a"));
    check_decodes(SPAN("\xff\xff\xff\xf3"), SPAN("\n"));
}
