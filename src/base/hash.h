#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Hashing and the text forms of digests.
 *
 * hash_xxh3() is stable over processes and versions: assignments to rollouts depend on it.
 * hash_seeded() differs per process and is for tables only. SHA-1 and SHA-256 are FIPS 180-4, HMAC RFC 2104,
 * base32 the lower-case alphabet of RFC 4648 section 6 without padding.
 *
 * Threads: any; hash_seeded() draws its seed before main().
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/span.h"

#define SHA1_SIZE 20u
#define SHA256_SIZE 32u

uint64_t hash_xxh3(struct span bytes);
uint64_t hash_seeded(struct span bytes);

/* Where a protocol demands it; it protects nothing. */
void hash_sha1(struct span bytes, uint8_t ret_digest[SHA1_SIZE]);

void hash_sha256(struct span bytes, uint8_t ret_digest[SHA256_SIZE]);
void hash_hmac_sha256(struct span key, struct span bytes, uint8_t ret_digest[SHA256_SIZE]);

/* Compares in time that depends on the sizes only. */
bool hash_equals(struct span a, struct span b);

/* SHA-256 or SHA-384 over bytes that come in pieces. */
struct hash_stream;

enum hash_kind {
    HASH_SHA256,
    HASH_SHA384,
};

struct hash_stream *hash_stream_new(enum hash_kind kind);
struct hash_stream *hash_stream_free(struct hash_stream *stream);
void hash_stream_add(struct hash_stream *stream, struct span bytes);

/* Writes the digest (at most 64 bytes) and returns its size; the stream can only be freed after. */
size_t hash_stream_finish(struct hash_stream *stream, uint8_t ret_digest[64]);

/* Each writes its text with a NUL and returns its length. The room needed: 2n+1 for hex,
 * ceil(8n/5)+1 for base32, 4*ceil(n/3)+1 for base64 (RFC 4648 section 4, padded). */
size_t hash_hex(const uint8_t *bytes, size_t size, char *ret_text);
size_t hash_base32(const uint8_t *bytes, size_t size, char *ret_text);
size_t hash_base64(const uint8_t *bytes, size_t size, char *ret_text);

/* 16 bytes as a UUID is written (RFC 9562), "0c3e…-…", with a NUL. */
#define UUID_SIZE 36u
void hash_uuid(const uint8_t bytes[16], char ret_text[UUID_SIZE + 1]);

/* The 16 digits of eight bytes, without a NUL, all at once: the halves of each byte beside each other,
 * and then what each half reads as. */
static inline void hash_hex_8(const uint8_t bytes[8], char ret_text[16])
{
    typedef uint8_t bytes16 __attribute__((vector_size(16)));
    typedef uint64_t words2 __attribute__((vector_size(16)));
    const uint64_t half = 0x0f0f0f0f0f0f0f0f;
    uint64_t all;
    memcpy(&all, bytes, 8);
    bytes16 high = (bytes16)(words2){ all >> 4 & half }, low = (bytes16)(words2){ all & half };
    bytes16 halves =
        __builtin_shufflevector(high, low, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    bytes16 text = halves + '0' + ((bytes16)(halves > 9) & ('a' - '9' - 1));
    memcpy(ret_text, &text, sizeof(text));
}

/* Unpredictable bytes from the kernel; for keys, tokens and ids. */
void hash_random(void *ret_bytes, size_t size);
