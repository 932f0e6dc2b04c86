/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/hpack.h"

#include <nghttp2/nghttp2.h>

#include "check.h"

/* A block as "name: value" lines, or NULL when it is broken. In a block of memory of its exact size,
 * so that the sanitizer sees each byte too many. */
static const char *decode(struct hpack_decoder *decoder, struct span bytes)
{
    static char text[65536];
    char *copy = malloc(bytes.size ? bytes.size : 1);
    memcpy(copy, bytes.data, bytes.size);
    struct span block = { copy, bytes.size };
    struct hpack_field field;
    size_t size = 0;
    int answer;
    text[0] = 0;
    while ((answer = hpack_next(decoder, &block, &field)) == HPACK_FIELD)
        size += (size_t)snprintf(text + size, sizeof(text) - size, "%.*s: %.*s%s\n",
                                 SPAN_ARG(field.name), SPAN_ARG(field.value),
                                 field.is_never_indexed ? " (never)" : "");
    free(copy);
    return answer == HPACK_END ? text : NULL;
}

#define DECODES(decoder, block, want) CHECK_STR(decode(decoder, SPAN(block)), want)

TEST(examples_of_literals)
{
    struct hpack_decoder decoder;
    hpack_decoder_init(&decoder, 4096);
    DECODES(&decoder,
            "\x40\x0a"
            "custom-key"
            "\x0d"
            "custom-header",
            "custom-key: custom-header\n");
    CHECK_INT(decoder.table.size, 55);
    DECODES(&decoder, "\x04\x0c/sample/path", ":path: /sample/path\n");
    DECODES(&decoder, "\x10\x08password\x06secret", "password: secret (never)\n");
    DECODES(&decoder, "\x82", ":method: GET\n");
    DECODES(&decoder, "\xbe", "custom-key: custom-header\n");
    hpack_decoder_fini(&decoder);
}

/* RFC 7541 appendix C.3 and C.4. */
TEST(examples_of_requests)
{
    static const struct span rows[2][3] = {
        { SPAN("\x82\x86\x84\x41\x0fwww.example.com"), SPAN("\x82\x86\x84\xbe\x58\x08no-cache"),
          SPAN("\x82\x87\x85\xbf\x40\x0a"
               "custom-key"
               "\x0c"
               "custom-value") },
        { SPAN("\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"),
          SPAN("\x82\x86\x84\xbe\x58\x86\xa8\xeb\x10\x64\x9c\xbf"),
          SPAN("\x82\x87\x85\xbf\x40\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x89\x25\xa8\x49\xe9\x5b\xb8"
               "\xe8\xb4\xbf") },
    };
    for (size_t i = 0; i < 2; i++) {
        struct hpack_decoder decoder;
        hpack_decoder_init(&decoder, 4096);
        CHECK_STR(decode(&decoder, rows[i][0]),
                  ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\n");
        CHECK_INT(decoder.table.size, 57);
        CHECK_STR(decode(&decoder, rows[i][1]),
                  ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\n"
                  "cache-control: no-cache\n");
        CHECK_INT(decoder.table.size, 110);
        CHECK_STR(decode(&decoder, rows[i][2]),
                  ":method: GET\n:scheme: https\n:path: /index.html\n"
                  ":authority: www.example.com\ncustom-key: custom-value\n");
        CHECK_INT(decoder.table.size, 164);
        hpack_decoder_fini(&decoder);
    }
}

#define C5_SECOND                                                                                  \
    ":status: 307\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT\n"                  \
    "location: https://www.example.com\n"
#define C5_THIRD                                                                                   \
    ":status: 200\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:22 GMT\n"                  \
    "location: https://www.example.com\ncontent-encoding: gzip\n"                                  \
    "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1\n"

/* C.5 and C.6: a table of 256 bytes, from which entries go. */
TEST(examples_of_responses)
{
    static const struct span rows[2][3] = {
        { SPAN("\x3f\xe1\x01\x48\x03\x33\x30\x32\x58\x07private\x61\x1dMon, 21 Oct 2013 20:13:21 GMT"
               "\x6e\x17https://www.example.com"),
          SPAN("\x48\x03\x33\x30\x37\xc1\xc0\xbf"),
          SPAN("\x88\xc1\x61\x1dMon, 21 Oct 2013 20:13:22 GMT\xc0\x5a\x04gzip\x77\x38"
               "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1") },
        { SPAN("\x3f\xe1\x01\x48\x82\x64\x02\x58\x85\xae\xc3\x77\x1a\x4b\x61\x96\xd0\x7a\xbe\x94"
               "\x10\x54\xd4\x44\xa8\x20\x05\x95\x04\x0b\x81\x66\xe0\x82\xa6\x2d\x1b\xff\x6e\x91"
               "\x9d\x29\xad\x17\x18\x63\xc7\x8f\x0b\x97\xc8\xe9\xae\x82\xae\x43\xd3"),
          SPAN("\x48\x83\x64\x0e\xff\xc1\xc0\xbf"),
          SPAN("\x88\xc1\x61\x96\xd0\x7a\xbe\x94\x10\x54\xd4\x44\xa8\x20\x05\x95\x04\x0b\x81\x66"
               "\xe0\x84\xa6\x2d\x1b\xff\xc0\x5a\x83\x9b\xd9\xab\x77\xad\x94\xe7\x82\x1d\xd7\xf2"
               "\xe6\xc7\xb3\x35\xdf\xdf\xcd\x5b\x39\x60\xd5\xaf\x27\x08\x7f\x36\x72\xc1\xab\x27"
               "\x0f\xb5\x29\x1f\x95\x87\x31\x60\x65\xc0\x03\xed\x4e\xe5\xb1\x06\x3d\x50\x07") },
    };
    for (size_t i = 0; i < 2; i++) {
        struct hpack_decoder decoder;
        hpack_decoder_init(&decoder, 4096);
        CHECK_STR(decode(&decoder, rows[i][0]),
                  ":status: 302\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT\n"
                  "location: https://www.example.com\n");
        CHECK_INT(decoder.table.size, 222);
        CHECK_STR(decode(&decoder, rows[i][1]), C5_SECOND);
        CHECK_INT(decoder.table.size, 222);
        CHECK_STR(decode(&decoder, rows[i][2]), C5_THIRD);
        CHECK_INT(decoder.table.size, 215);
        CHECK_INT(decoder.table.n, 3);
        hpack_decoder_fini(&decoder);
    }
}

TEST(what_is_broken)
{
    static const struct {
        const char *why;
        struct span block;
    } rows[] = {
        { "index 0", SPAN("\x80") },
        { "an index that is not in the table", SPAN("\xbe") },
        { "a name's index that is not", SPAN("\x7e\x01x") },
        { "likewise, not indexed", SPAN("\x0f\x2f\x01x") },
        { "a number that does not end", SPAN("\xff\x80\x80\x80\x80") },
        { "a number that overflows", SPAN("\xff\xff\xff\xff\xff\x7f") },
        { "a number that is too long", SPAN("\xff\x80\x80\x80\x80\x80\x01") },
        { "no name", SPAN("\x40") },
        { "half a name", SPAN("\x40\x03xx") },
        { "no value", SPAN("\x40\x01x") },
        { "half a value", SPAN("\x40\x01x\x02y") },
        { "a name of 4 GiB", SPAN("\x40\x7f\x80\xff\xff\xff\x0fx") },
        { "bad padding", SPAN("\x40\x01x\x81\x1e") },
        { "EOS", SPAN("\x40\x01x\x84\xff\xff\xff\xff") },
        { "EOS in a name", SPAN("\x00\x84\xff\xff\xff\xff\x01x") },
        { "a size above ours", SPAN("\x3f\xe2\x1f") },
        { "a size update inside", SPAN("\x82\x20") },
        { "three size updates", SPAN("\x20\x20\x20") },
        { "a reference to what the update drops", SPAN("\x20\xbe") },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct hpack_decoder decoder;
        hpack_decoder_init(&decoder, 4096);
        if (i == sizeof(rows) / sizeof(rows[0]) - 1)
            DECODES(&decoder, "\x40\x01x\x01y", "x: y\n");
        CHECK_STR(decode(&decoder, rows[i].block) ? rows[i].why : NULL, NULL);
        hpack_decoder_fini(&decoder);
    }
}

TEST(size_updates_at_the_beginning)
{
    struct hpack_decoder decoder;
    hpack_decoder_init(&decoder, 4096);
    DECODES(&decoder, "\x40\x01x\x01y", "x: y\n");
    DECODES(&decoder, "\x20\x3f\xe1\x1f\x82", ":method: GET\n");
    CHECK_INT(decoder.table.n, 0);
    CHECK_INT(decoder.table.max_size, 4096);
    DECODES(&decoder, "\x20", "");
    DECODES(&decoder, "\x40\x01x\x01y", "x: y\n");
    CHECK_INT(decoder.table.n, 0);
    DECODES(&decoder, "", "");
    hpack_decoder_fini(&decoder);
}

/* The entry whose name is referred to goes when the new one comes. */
TEST(a_name_outlives_its_entry)
{
    struct hpack_decoder decoder;
    hpack_decoder_init(&decoder, 4096);
    DECODES(&decoder, "\x3f\x21\x40\x0aname-of-it\x05value", "name-of-it: value\n");
    CHECK_INT(decoder.table.max_size, 64);
    for (int i = 0; i < 500; i++)
        DECODES(&decoder, "\x7e\x06value2", "name-of-it: value2\n");
    CHECK_INT(decoder.table.n, 1);
    DECODES(&decoder,
            "\x7e\x20"
            "01234567890123456789012345678901",
            "name-of-it: 01234567890123456789012345678901\n");
    CHECK_INT(decoder.table.n, 0);
    hpack_decoder_fini(&decoder);
}

TEST(what_is_known_comes_back_with_the_entry)
{
    struct hpack_decoder decoder;
    struct hpack_field field;
    struct span block =
        SPAN("\x40\x01x\x01y\x82\x00\x01x\x01z\xbe\xbe\x82\x83\x44\x02/a\x0f\x01\x02/b");
    hpack_decoder_init(&decoder, 4096);
    static const struct {
        const char *value;
        uint8_t known, static_name, told;
    } rows[] = {
        { "y", 0, 0, 0 },    { "GET", 0, 2, 4 }, { "z", 0, 0, 5 },
        { "y", 0, 0, 6 },    { "y", 6, 0, 7 },   { "GET", 4, 2, 0 },
        { "POST", 0, 2, 0 }, { "/a", 0, 4, 8 },  { "/b", 0, 16, 9 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CHECK_INT(hpack_next(&decoder, &block, &field), HPACK_FIELD);
        CHECK(span_is(field.value, rows[i].value));
        CHECK_INT(field.known, rows[i].known);
        CHECK_INT(field.static_name, rows[i].static_name);
        if (rows[i].told)
            hpack_know(&decoder, rows[i].told);
    }
    CHECK_INT(hpack_next(&decoder, &block, &field), HPACK_END);
    hpack_know(&decoder, 1);
    block = SPAN("\xbf\xbe");
    CHECK_INT(hpack_next(&decoder, &block, &field), HPACK_FIELD);
    CHECK_INT(field.known, 7);
    CHECK_INT(hpack_next(&decoder, &block, &field), HPACK_FIELD);
    CHECK_INT(field.known, 8);
    CHECK_INT(field.static_name, 4);
    hpack_decoder_fini(&decoder);
}

TEST(a_static_name_is_known_however_it_was_written)
{
    struct hpack_decoder decoder;
    struct hpack_field field;
    struct span block =
        SPAN("\x40\x05:path\x01/\x00\x05:path\x01/\x00\x85\xb9\x58\xd3\x3f\xff\x01/\xbe\x85");
    hpack_decoder_init(&decoder, 4096);
    CHECK_INT(hpack_next(&decoder, &block, &field), HPACK_FIELD);
    CHECK_INT(field.static_name, 4);
    CHECK_INT(hpack_next(&decoder, &block, &field), HPACK_FIELD);
    CHECK_INT(field.static_name, 4);
    hpack_decoder_fini(&decoder);
}

/* --- what nghttp2 encodes --- */

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Fields of which some come back often, of all sizes. */
static size_t make_fields(uint64_t *state, char *memory, struct span (*fields)[2])
{
    size_t n = random_next(state) % 12;
    for (size_t i = 0; i < n; i++) {
        uint64_t what = random_next(state), seed = what % 40 ? what % 60 : what;
        size_t name_size = 1 + seed % 31, value_size = seed % 50;
        if (seed % 50 == 49)
            value_size = (what >> 32) % 3000;
        if (seed % 3 == 0) {
            struct span name = hpack_static[1 + seed % HPACK_N_STATIC].name;
            memcpy(memory, name.data, name.size);
            name_size = name.size;
        } else {
            memset(memory, (int)('a' + seed % 26), name_size);
        }
        fields[i][0] = (struct span){ memory, name_size };
        memory += name_size;
        for (size_t at = 0; at < value_size; at++)
            memory[at] = (char)(seed % 7 ? ' ' + (seed + at) % 90 : random_next(&seed));
        fields[i][1] = (struct span){ memory, value_size };
        memory += value_size;
    }
    return n;
}

TEST(what_nghttp2_encodes)
{
    uint64_t state = 88172645463325252u;
    char *memory = malloc(65536);
    uint8_t *block = malloc(65536);
    nghttp2_hd_deflater *deflater;
    struct hpack_decoder decoder;
    CHECK_INT(nghttp2_hd_deflate_new(&deflater, 4096), 0);
    hpack_decoder_init(&decoder, 4096);
    for (unsigned round = 0; round < 4000; round++) {
        struct span fields[12][2];
        nghttp2_nv nv[12];
        size_t n = make_fields(&state, memory, fields);
        for (size_t i = 0; i < n; i++)
            nv[i] = (nghttp2_nv){ (uint8_t *)(uintptr_t)fields[i][0].data,
                                  (uint8_t *)(uintptr_t)fields[i][1].data, fields[i][0].size,
                                  fields[i][1].size,
                                  random_next(&state) % 5 ? 0 : NGHTTP2_NV_FLAG_NO_INDEX };
        if (round % 50 == 49)
            nghttp2_hd_deflate_change_table_size(deflater, random_next(&state) % 4097);
        if (round % 100 == 99)
            nghttp2_hd_deflate_change_table_size(deflater, random_next(&state) % 4097);
        ssize_t size = nghttp2_hd_deflate_hd(deflater, block, 65536, nv, n);
        CHECK(size >= 0);
        struct span rest = { (const char *)block, (size_t)size };
        struct hpack_field field;
        for (size_t i = 0; i < n; i++) {
            CHECK_INT(hpack_next(&decoder, &rest, &field), HPACK_FIELD);
            CHECK(span_equals(field.name, fields[i][0]));
            CHECK(span_equals(field.value, fields[i][1]));
            bool is_secret = span_is(field.name, "authorization") || span_is(field.name, "cookie");
            CHECK(field.is_never_indexed == (nv[i].flags != 0) || is_secret);
            CHECK_INT(field.static_name, hpack_static_find(field.name));
        }
        CHECK_INT(hpack_next(&decoder, &rest, &field), HPACK_END);
        CHECK_INT(decoder.table.size, nghttp2_hd_deflate_get_dynamic_table_size(deflater));
        CHECK(decoder.table.capacity <= 8192);
    }
    nghttp2_hd_deflate_del(deflater);
    hpack_decoder_fini(&decoder);
    free(memory);
    free(block);
}
