/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The provider implements one thing, the derivation that the library calls TLS13-KDF, and is asked
 * first by contexts that prefer its name. All else is the default provider's. It has no state: the
 * library brings everything with each call.
 *
 * The hashes are used by their old names, which take neither memory nor a lookup. By the new ones a
 * value costs more for finding the hash than for hashing, and that is what this file is for.
 */

#define OPENSSL_SUPPRESS_DEPRECATED

#include "io/tls_schedule.h"

#include <assert.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <string.h>

#include "base/span.h"

#define BLOCK_MAX SHA512_CBLOCK
#define LABEL_MAX 255u
#define INFO_MAX (2u + 1 + LABEL_MAX + 1 + TLS_SECRET_MAX + 1) /* and the number of the block */

/* --- HMAC (RFC 2104) --- */

union hash {
    SHA256_CTX sha256;
    SHA512_CTX sha384;
};

static void hash_two(size_t hash_size, struct span first, struct span second, uint8_t *ret_digest)
{
    union hash hash;
    if (hash_size == SHA256_DIGEST_LENGTH) {
        SHA256_Init(&hash.sha256);
        SHA256_Update(&hash.sha256, first.data, first.size);
        SHA256_Update(&hash.sha256, second.data, second.size);
        SHA256_Final(ret_digest, &hash.sha256);
    } else {
        SHA384_Init(&hash.sha384);
        SHA384_Update(&hash.sha384, first.data, first.size);
        SHA384_Update(&hash.sha384, second.data, second.size);
        SHA384_Final(ret_digest, &hash.sha384);
    }
    OPENSSL_cleanse(&hash, sizeof(hash));
}

/* The key is no longer than a block: secrets are digests, or come out of a key exchange. */
static bool hmac(size_t hash_size, struct span key, struct span bytes, uint8_t *ret_digest)
{
    size_t block_size = hash_size == SHA256_DIGEST_LENGTH ? SHA256_CBLOCK : SHA512_CBLOCK;
    char pad[BLOCK_MAX];
    if (key.size > block_size)
        return false;
    memset(pad, 0x36, block_size);
    for (size_t i = 0; i < key.size; i++)
        pad[i] = (char)(pad[i] ^ key.data[i]);
    struct span block = { pad, block_size };
    hash_two(hash_size, block, bytes, ret_digest);
    for (size_t i = 0; i < block_size; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    hash_two(hash_size, block, (struct span){ (const char *)ret_digest, hash_size }, ret_digest);
    OPENSSL_cleanse(pad, sizeof(pad));
    return true;
}

/* --- HKDF (RFC 5869) --- */

struct expansion {
    struct span secret;
    struct span prefix, label; /* "tls13 ", and what it is for */
    struct span context;       /* empty, or a digest */
};

static size_t put(uint8_t *to, size_t at, struct span bytes)
{
    if (bytes.size > 0)
        memcpy(to + at, bytes.data, bytes.size);
    return at + bytes.size;
}

/* HKDF-Expand-Label; nothing here is longer than a digest, so there is one block. */
static bool expand(size_t hash_size, const struct expansion *by, uint8_t *ret_bytes, size_t size)
{
    uint8_t info[INFO_MAX], digest[TLS_SECRET_MAX];
    size_t label_size = by->prefix.size + by->label.size, n = 0;
    if (size > hash_size || label_size > LABEL_MAX || by->context.size > TLS_SECRET_MAX)
        return false;
    info[n++] = 0;
    info[n++] = (uint8_t)size;
    info[n++] = (uint8_t)label_size;
    n = put(info, n, by->prefix);
    n = put(info, n, by->label);
    info[n++] = (uint8_t)by->context.size;
    n = put(info, n, by->context);
    info[n++] = 1;
    if (!hmac(hash_size, by->secret, (struct span){ (const char *)info, n }, digest))
        return false;
    memcpy(ret_bytes, digest, size);
    OPENSSL_cleanse(digest, sizeof(digest));
    return true;
}

void tls_expand_label(const struct tls_secret *secret, const char *label, uint8_t *ret_bytes,
                      size_t size)
{
    const struct expansion by = {
        .secret = { (const char *)secret->bytes, secret->size },
        .prefix = SPAN("tls13 "),
        .label = span_of(label),
    };
    bool is_done = expand(secret->size, &by, ret_bytes, size);
    assert(is_done);
    (void)is_done;
}

/* From one stage of the schedule to the next: `salt` is the stage before, none at the first. */
static bool extract(size_t hash_size, struct expansion *by, struct span salt, struct span input,
                    uint8_t *ret_bytes)
{
    static const char zeros[TLS_SECRET_MAX];
    uint8_t empty[TLS_SECRET_MAX], derived[TLS_SECRET_MAX];
    if (input.size == 0)
        input = (struct span){ zeros, hash_size };
    if (salt.size == 0)
        return hmac(hash_size, (struct span){ zeros, hash_size }, input, ret_bytes);
    hash_two(hash_size, SPAN_NULL, SPAN_NULL, empty);
    by->secret = salt;
    by->context = (struct span){ (const char *)empty, hash_size };
    bool is_done =
        expand(hash_size, by, derived, hash_size) &&
        hmac(hash_size, (struct span){ (const char *)derived, hash_size }, input, ret_bytes);
    OPENSSL_cleanse(derived, sizeof(derived));
    return is_done;
}

/* --- what is watched for --- */

/* The library says to whom a value belongs in no other way than by who asked for it. */
static _Thread_local struct tls_secrets *watching;

void tls_schedule_watch(struct tls_secrets *secrets)
{
    watching = secrets;
}

static void note(struct span label, const uint8_t *bytes, size_t size)
{
    struct tls_secret *secret = NULL;
    if (span_is(label, "c ap traffic"))
        secret = &watching->client;
    else if (span_is(label, "s ap traffic"))
        secret = &watching->server;
    if (!secret || size > sizeof(secret->bytes))
        return;
    secret->size = size;
    memcpy(secret->bytes, bytes, size);
}

/* --- the provider --- */

static struct span bytes_of(const OSSL_PARAM *param)
{
    bool has_any = param->data_type == OSSL_PARAM_OCTET_STRING && param->data;
    return has_any ? (struct span){ param->data, param->data_size } : SPAN_NULL;
}

/* By name and size, as the library writes it and as people do. */
static size_t hash_size_of(const OSSL_PARAM *param)
{
    const char *name = NULL;
    if (!OSSL_PARAM_get_utf8_string_ptr(param, &name))
        return 0;
    struct span text = span_of(name);
    if (span_is(text, "SHA2-256") || span_is(text, "SHA256"))
        return SHA256_DIGEST_LENGTH;
    return span_is(text, "SHA2-384") || span_is(text, "SHA384") ? SHA384_DIGEST_LENGTH : 0;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): OpenSSL's */
static int derive(void *owner, unsigned char *to, size_t size, const OSSL_PARAM params[])
{
    struct expansion by = { 0 };
    struct span key = SPAN_NULL, salt = SPAN_NULL;
    size_t hash_size = 0;
    int mode = -1;
    (void)owner;
    for (const OSSL_PARAM *param = params; param && param->key; param++) {
        struct span name = span_of(param->key);
        if (span_is(name, OSSL_KDF_PARAM_MODE))
            (void)OSSL_PARAM_get_int(param, &mode);
        else if (span_is(name, OSSL_KDF_PARAM_DIGEST))
            hash_size = hash_size_of(param);
        else if (span_is(name, OSSL_KDF_PARAM_KEY))
            key = bytes_of(param);
        else if (span_is(name, OSSL_KDF_PARAM_SALT))
            salt = bytes_of(param);
        else if (span_is(name, OSSL_KDF_PARAM_PREFIX))
            by.prefix = bytes_of(param);
        else if (span_is(name, OSSL_KDF_PARAM_LABEL))
            by.label = bytes_of(param);
        else if (span_is(name, OSSL_KDF_PARAM_DATA))
            by.context = bytes_of(param);
    }
    if (hash_size == 0)
        return 0;
    if (mode == EVP_KDF_HKDF_MODE_EXTRACT_ONLY)
        return size == hash_size && extract(hash_size, &by, salt, key, to);
    by.secret = key;
    if (mode != EVP_KDF_HKDF_MODE_EXPAND_ONLY || !expand(hash_size, &by, to, size))
        return 0;
    if (watching)
        note(by.label, to, size);
    return 1;
}

static void *context_new(void *owner)
{
    return owner; /* anything but NULL */
}

static void context_leave(void *context)
{
    (void)context;
}

static const OSSL_ALGORITHM *query(void *owner, int operation, int *ret_is_passing)
{
    static const OSSL_DISPATCH functions[] = {
        { OSSL_FUNC_KDF_NEWCTX, (void (*)(void))context_new },
        { OSSL_FUNC_KDF_FREECTX, (void (*)(void))context_leave },
        { OSSL_FUNC_KDF_RESET, (void (*)(void))context_leave },
        { OSSL_FUNC_KDF_DERIVE, (void (*)(void))derive },
        { 0, NULL },
    };
    static const OSSL_ALGORITHM algorithms[] = {
        { OSSL_KDF_NAME_TLS1_3_KDF, "provider=sarsen", functions, "the key schedule" },
        { NULL, NULL, NULL, NULL },
    };
    (void)owner;
    *ret_is_passing = 0;
    return operation == OSSL_OP_KDF ? algorithms : NULL;
}

static int provide(const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *offered,
                   const OSSL_DISPATCH **ret_functions, void **ret_owner)
{
    static const OSSL_DISPATCH functions[] = {
        { OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query },
        { 0, NULL },
    };
    static char owner;
    (void)core;
    (void)offered;
    *ret_functions = functions;
    *ret_owner = &owner;
    return 1;
}

static OSSL_PROVIDER *provider; /* for as long as the process lives */

/* Whoever has the library use others than the default provider (FIPS) has a reason for it. To ask
 * for that one is also what has it loaded, for it is there unasked only until another is. */
static void load(void)
{
    if (OSSL_PROVIDER_available(NULL, "default") == 1 &&
        OSSL_PROVIDER_available(NULL, "fips") != 1 &&
        OSSL_PROVIDER_add_builtin(NULL, "sarsen", provide) == 1)
        provider = OSSL_PROVIDER_try_load(NULL, "sarsen", 1);
}

const char *tls_schedule_properties(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return provider ? "?provider=sarsen" : NULL;
}
