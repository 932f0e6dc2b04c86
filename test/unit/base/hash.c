/* SPDX-License-Identifier: Apache-2.0 */

#include "base/hash.h"

#include "check.h"

static const char *hex(const uint8_t *bytes, size_t size)
{
    static char text[2 * 64 + 1];
    CHECK_INT(hash_hex(bytes, size, text), 2 * size);
    return text;
}

/* From xxHash's own test vectors: assignments to rollouts must not move when the library does. */
TEST(xxh3_is_stable)
{
    CHECK(hash_xxh3(SPAN_NULL) == 0x2d06800538d394c2u);
    CHECK(hash_xxh3(SPAN("")) == 0x2d06800538d394c2u);
    CHECK(hash_xxh3(SPAN("acme")) == hash_xxh3(SPAN("acme")));
    CHECK(hash_xxh3(SPAN("acme")) != hash_xxh3(SPAN("acmf")));
}

TEST(seeded_differs_per_process_only)
{
    CHECK(hash_seeded(SPAN("a")) == hash_seeded(SPAN("a")));
    CHECK(hash_seeded(SPAN("a")) != hash_seeded(SPAN("b")));
    CHECK(hash_seeded(SPAN("acme")) != hash_xxh3(SPAN("acme")));
}

/* FIPS 180-4 examples and RFC 4231 cases 2 and 6. */
TEST(sha256_and_hmac)
{
    uint8_t digest[SHA256_SIZE];
    hash_sha256(SPAN("abc"), digest);
    CHECK_STR(hex(digest, sizeof(digest)),
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    hash_sha256(SPAN_NULL, digest);
    CHECK_STR(hex(digest, sizeof(digest)),
              "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    hash_hmac_sha256(SPAN("Jefe"), SPAN("what do ya want for nothing?"), digest);
    CHECK_STR(hex(digest, sizeof(digest)),
              "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    char key[131];
    memset(key, 0xaa, sizeof(key));
    hash_hmac_sha256((struct span){ key, sizeof(key) },
                     SPAN("Test Using Larger Than Block-Size Key - Hash Key First"), digest);
    CHECK_STR(hex(digest, sizeof(digest)),
              "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(streams)
{
    uint8_t digest[64];
    struct hash_stream *stream = hash_stream_new(HASH_SHA256);
    hash_stream_add(stream, SPAN("a"));
    hash_stream_add(stream, SPAN_NULL);
    hash_stream_add(stream, SPAN("bc"));
    CHECK_INT(hash_stream_finish(stream, digest), 32);
    CHECK_STR(hex(digest, 32), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(!hash_stream_free(stream));

    stream = hash_stream_new(HASH_SHA384);
    hash_stream_add(stream, SPAN("abc"));
    CHECK_INT(hash_stream_finish(stream, digest), 48);
    CHECK_STR(hex(digest, 48),
              "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
              "8086072ba1e7cc2358baeca134c825a7");
    hash_stream_free(stream);
    CHECK(!hash_stream_free(NULL));
}

/* RFC 4648 section 10: the beginnings of one word. */
TEST(text_forms)
{
    static const uint8_t word[] = { 'f', 'o', 'o', 'b', 'a', 'r' };
    static const struct {
        const char *base32, *base64;
    } rows[] = {
        { "", "" },
        { "my", "Zg==" },
        { "mzxq", "Zm8=" },
        { "mzxw6", "Zm9v" },
        { "mzxw6yq", "Zm9vYg==" },
        { "mzxw6ytb", "Zm9vYmE=" },
        { "mzxw6ytboi", "Zm9vYmFy" },
    };
    for (size_t size = 0; size < sizeof(rows) / sizeof(rows[0]); size++) {
        char short_text[32];
        CHECK_INT(hash_base32(word, size, short_text), strlen(rows[size].base32));
        CHECK_STR(short_text, rows[size].base32);
        CHECK_INT(hash_base64(word, size, short_text), strlen(rows[size].base64));
        CHECK_STR(short_text, rows[size].base64);
    }
    uint8_t all[10];
    char text[17];
    memset(all, 0xff, sizeof(all));
    CHECK_INT(hash_base32(all, sizeof(all), text), 16);
    CHECK_STR(text, "7777777777777777");

    char uuid[UUID_SIZE + 1];
    uint8_t ordered[16];
    for (uint8_t i = 0; i < sizeof(ordered); i++)
        ordered[i] = (uint8_t)(i << 4 | i);
    hash_uuid(ordered, uuid);
    CHECK_STR(uuid, "00112233-4455-6677-8899-aabbccddeeff");
}

TEST(equality)
{
    CHECK(hash_equals(SPAN("abc"), SPAN("abc")));
    CHECK(!hash_equals(SPAN("abc"), SPAN("abd")));
    CHECK(!hash_equals(SPAN("abc"), SPAN("ab")));
    CHECK(hash_equals(SPAN_NULL, SPAN("")));
}

TEST(randomness)
{
    uint8_t a[300] = { 0 }, b[300] = { 0 };
    hash_random(a, sizeof(a));
    hash_random(b, sizeof(b));
    CHECK(memcmp(a, b, sizeof(a)) != 0);
    /* Also behind the first 256 bytes, which the kernel gives at once. */
    CHECK(memcmp(a + 256, b + 256, sizeof(a) - 256) != 0);
}
