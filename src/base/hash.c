/* SPDX-License-Identifier: Apache-2.0 */

#include "base/hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

/* Most of what is hashed is short, and a call through the library costs as much as its hash. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/mem.h"

static uint64_t table_seed;

__attribute__((constructor)) static void draw_table_seed(void)
{
    hash_random(&table_seed, sizeof(table_seed));
}

uint64_t hash_xxh3(struct span bytes)
{
    return XXH3_64bits(bytes.data ? bytes.data : "", bytes.size);
}

uint64_t hash_seeded(struct span bytes)
{
    return XXH3_64bits_withSeed(bytes.data ? bytes.data : "", bytes.size, table_seed);
}

/* libcrypto fails here only without memory. */
static void must(bool is_done)
{
    if (!is_done)
        mem_exhausted(0);
}

void hash_sha1(struct span bytes, uint8_t ret_digest[SHA1_SIZE])
{
    must(EVP_Digest(bytes.data, bytes.size, ret_digest, NULL, EVP_sha1(), NULL));
}

void hash_sha256(struct span bytes, uint8_t ret_digest[SHA256_SIZE])
{
    must(EVP_Digest(bytes.data, bytes.size, ret_digest, NULL, EVP_sha256(), NULL));
}

void hash_hmac_sha256(struct span key, struct span bytes, uint8_t ret_digest[SHA256_SIZE])
{
    must(HMAC(EVP_sha256(), key.data, (int)key.size, (const unsigned char *)bytes.data, bytes.size,
              ret_digest, NULL));
}

bool hash_equals(struct span a, struct span b)
{
    return a.size == b.size && (a.size == 0 || CRYPTO_memcmp(a.data, b.data, a.size) == 0);
}

struct hash_stream {
    EVP_MD_CTX *context;
};

struct hash_stream *hash_stream_new(enum hash_kind kind)
{
    struct hash_stream *stream = mem_new(struct hash_stream);
    stream->context = EVP_MD_CTX_new();
    must(stream->context);
    must(EVP_DigestInit_ex(stream->context, kind == HASH_SHA256 ? EVP_sha256() : EVP_sha384(),
                           NULL));
    return stream;
}

struct hash_stream *hash_stream_free(struct hash_stream *stream)
{
    if (!stream)
        return NULL;

    EVP_MD_CTX_free(stream->context);
    free(stream);
    return NULL;
}

void hash_stream_add(struct hash_stream *stream, struct span bytes)
{
    must(EVP_DigestUpdate(stream->context, bytes.data, bytes.size));
}

size_t hash_stream_finish(struct hash_stream *stream, uint8_t ret_digest[64])
{
    unsigned size = 0;
    must(EVP_DigestFinal_ex(stream->context, ret_digest, &size));
    return size;
}

size_t hash_hex(const uint8_t *bytes, size_t size, char *ret_text)
{
    size_t at = 0;
    for (; at + 8 <= size; at += 8)
        hash_hex_8(bytes + at, ret_text + 2 * at);
    char *to = ret_text + 2 * at;
    for (; at < size; at++) {
        *to++ = "0123456789abcdef"[bytes[at] >> 4];
        *to++ = "0123456789abcdef"[bytes[at] & 15];
    }
    *to = '\0';
    return 2 * size;
}

void hash_uuid(const uint8_t bytes[16], char ret_text[UUID_SIZE + 1])
{
    char hex[2 * 16 + 1];
    hash_hex(bytes, 16, hex);
    snprintf(ret_text, UUID_SIZE + 1, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
             hex + 20);
}

size_t hash_base32(const uint8_t *bytes, size_t size, char *ret_text)
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
    size_t length = 0;
    uint32_t window = 0;
    unsigned n_bits = 0;
    for (size_t i = 0; i < size; i++) {
        window = window << 8 | bytes[i];
        for (n_bits += 8; n_bits >= 5; n_bits -= 5)
            ret_text[length++] = digits[window >> (n_bits - 5) & 31];
    }
    if (n_bits)
        ret_text[length++] = digits[window << (5 - n_bits) & 31];
    ret_text[length] = '\0';
    return length;
}

size_t hash_base64(const uint8_t *bytes, size_t size, char *ret_text)
{
    return (size_t)EVP_EncodeBlock((unsigned char *)ret_text, bytes, (int)size);
}

void hash_random(void *ret_bytes, size_t size)
{
    /* Blocks only before the kernel's pool is ready, and is never short for 256 bytes or less. */
    char *at = ret_bytes;
    while (size) {
        size_t step = size < 256 ? size : 256;
        if (getrandom(at, step, 0) != (ssize_t)step) {
            perror("sarsen: getrandom");
            abort();
        }
        at += step;
        size -= step;
    }
}
