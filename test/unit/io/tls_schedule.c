/* SPDX-License-Identifier: Apache-2.0 */

#include "io/tls_schedule.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <string.h>

#include "check.h"

/* RFC 8448 section 3. */
static const struct tls_secret client = {
    .size = 32,
    .bytes = { 0x9e, 0x40, 0x64, 0x6c, 0xe7, 0x9a, 0x7f, 0x9d, 0xc0, 0x5a, 0xf8,
               0x88, 0x9b, 0xce, 0x65, 0x52, 0x87, 0x5a, 0xfa, 0x0b, 0x06, 0xdf,
               0x00, 0x87, 0xf7, 0x92, 0xeb, 0xb7, 0xc1, 0x75, 0x04, 0xa5 },
};

TEST(a_label_expands_as_in_the_rfc)
{
    static const uint8_t key[] = { 0x17, 0x42, 0x2d, 0xda, 0x59, 0x6e, 0xd5, 0xd9,
                                   0xac, 0xd8, 0x90, 0xe3, 0xc6, 0x3f, 0x50, 0x51 };
    static const uint8_t iv[] = { 0x5b, 0x78, 0x92, 0x3d, 0xee, 0x08,
                                  0x57, 0x90, 0x33, 0xe5, 0x23, 0xd9 };
    uint8_t got[16];
    tls_expand_label(&client, "key", got, 16);
    CHECK(memcmp(got, key, 16) == 0);
    tls_expand_label(&client, "iv", got, 12);
    CHECK(memcmp(got, iv, 12) == 0);
}

/* One derivation, by the provider that `properties` choose. */
struct derivation {
    const char *hash, *label;
    int mode;
    size_t key_size, salt_size, context_size, size;
};

static bool derive(const struct derivation *by, const char *properties, uint8_t *to)
{
    static uint8_t key[64], salt[64], context[64];
    OSSL_PARAM params[8], *at = params;
    char hash[16], prefix[] = "tls13 ", label[300];
    int mode = by->mode;
    for (size_t i = 0; i < sizeof(key); i++) {
        key[i] = (uint8_t)(i * 7 + 1);
        salt[i] = (uint8_t)(i * 5 + 2);
        context[i] = (uint8_t)(i * 3 + 3);
    }
    snprintf(hash, sizeof(hash), "%s", by->hash);
    snprintf(label, sizeof(label), "%s", by->label);
    *at++ = OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode);
    *at++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, hash, 0);
    if (by->key_size)
        *at++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, key, by->key_size);
    if (by->salt_size)
        *at++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, salt, by->salt_size);
    *at++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PREFIX, prefix, 6);
    *at++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_LABEL, label, strlen(label));
    if (by->context_size)
        *at++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_DATA, context, by->context_size);
    *at = OSSL_PARAM_construct_end();
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "TLS13-KDF", properties);
    EVP_KDF_CTX *kdf_context = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    bool is_done = kdf_context && EVP_KDF_derive(kdf_context, to, by->size, params) == 1;
    EVP_KDF_CTX_free(kdf_context);
    EVP_KDF_free(kdf);
    return is_done;
}

TEST(the_provider_derives_what_the_librarys_own_does)
{
    static const int extracts = EVP_KDF_HKDF_MODE_EXTRACT_ONLY;
    static const int expands = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
    const struct derivation all[] = {
        { "SHA2-256", "derived", extracts, 0, 0, 0, 32 },
        { "SHA2-256", "derived", extracts, 32, 32, 0, 32 },
        { "SHA2-256", "derived", extracts, 0, 32, 0, 32 },
        { "SHA2-256", "c ap traffic", expands, 32, 0, 32, 32 },
        { "SHA2-256", "key", expands, 32, 0, 0, 16 },
        { "SHA2-256", "resumption", expands, 32, 0, 8, 32 },
        { "SHA2-384", "derived", extracts, 0, 0, 0, 48 },
        { "SHA2-384", "derived", extracts, 56, 48, 0, 48 },
        { "SHA2-384", "derived", extracts, 0, 48, 0, 48 },
        { "SHA2-384", "s ap traffic", expands, 48, 0, 48, 48 },
        { "SHA384", "finished", expands, 48, 0, 0, 48 },
        { "SHA256", "iv", expands, 32, 0, 0, 12 },
    };
    CHECK(tls_schedule_properties());
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        uint8_t ours[64] = { 0 }, theirs[64] = { 0 };
        CHECK(derive(&all[i], "provider=sarsen", ours));
        CHECK(derive(&all[i], "provider=default", theirs));
        CHECK(memcmp(ours, theirs, sizeof(ours)) == 0);
    }
}

TEST(what_it_cannot_derive_is_refused)
{
    static const int expands = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
    char long_label[261];
    memset(long_label, 'a', 260);
    long_label[260] = '\0';
    const struct derivation all[] = {
        { "SHA1", "key", expands, 20, 0, 0, 16 },
        { "SHA2-256", "key", expands, 32, 0, 0, 33 },
        { "SHA2-256", "key", expands, 32, 0, 64, 16 },
        { "SHA2-256", "key", 0, 32, 0, 0, 16 },
        { "SHA2-256", long_label, expands, 32, 0, 0, 16 },
        { "SHA2-256", "derived", EVP_KDF_HKDF_MODE_EXTRACT_ONLY, 32, 32, 0, 31 },
    };
    CHECK(tls_schedule_properties());
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        uint8_t none[64];
        CHECK(!derive(&all[i], "provider=sarsen", none));
    }
}

TEST(traffic_secrets_are_seen_by_who_watches_and_nothing_else_is)
{
    const struct derivation theirs = {
        "SHA2-256", "c ap traffic", EVP_KDF_HKDF_MODE_EXPAND_ONLY, 32, 0, 32, 32
    };
    const struct derivation other = {
        "SHA2-256", "exp master", EVP_KDF_HKDF_MODE_EXPAND_ONLY, 32, 0, 32, 32
    };
    struct tls_secrets secrets = { 0 };
    uint8_t bytes[64];
    CHECK(tls_schedule_properties());
    tls_schedule_watch(&secrets);
    CHECK(derive(&other, "provider=sarsen", bytes));
    CHECK(secrets.client.size == 0 && secrets.server.size == 0);
    CHECK(derive(&theirs, "provider=sarsen", bytes));
    CHECK(secrets.client.size == 32 && memcmp(secrets.client.bytes, bytes, 32) == 0);
    tls_schedule_watch(NULL);
    secrets = (struct tls_secrets){ 0 };
    CHECK(derive(&theirs, "provider=sarsen", bytes));
    CHECK(secrets.client.size == 0);
}
