/* SPDX-License-Identifier: Apache-2.0 */

#include "io/tls_record.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <pthread.h>
#include <string.h>

static EVP_CIPHER *ciphers[TLS_CHACHA20_POLY1305 + 1];

/* Once: looking a cipher up by its name costs as much as a small record. */
static void fetch_all(void)
{
    ciphers[TLS_AES_128_GCM] = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
    ciphers[TLS_AES_256_GCM] = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    ciphers[TLS_CHACHA20_POLY1305] = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
}

static const EVP_CIPHER *cipher_of(enum tls_suite suite)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fetch_all);
    return ciphers[suite];
}

/* --- keys --- */

static bool load(struct tls_keys *keys)
{
    const EVP_CIPHER *cipher = cipher_of(keys->suite);
    uint8_t key[32];
    size_t size = keys->suite == TLS_AES_128_GCM ? 16 : 32;
    keys->number = 0;
    keys->n_left = TLS_RECORDS_PER_KEY;
    tls_expand_label(&keys->secret, "iv", keys->iv, sizeof(keys->iv));
    if (!keys->cipher)
        return true;
    tls_expand_label(&keys->secret, "key", key, size);
    bool is_done =
        cipher && EVP_CipherInit_ex(keys->cipher, cipher, NULL, key, NULL, keys->seals) == 1;
    OPENSSL_cleanse(key, sizeof(key));
    return is_done;
}

bool tls_keys_init(struct tls_keys *keys, enum tls_suite suite, const struct tls_secret *secret,
                   bool seals)
{
    keys->suite = suite;
    keys->seals = seals;
    keys->secret = *secret;
    keys->cipher = EVP_CIPHER_CTX_new();
    return keys->cipher && load(keys);
}

void tls_keys_fini(struct tls_keys *keys)
{
    EVP_CIPHER_CTX_free(keys->cipher); /* which wipes its part */
    OPENSSL_cleanse(keys, sizeof(*keys));
}

bool tls_keys_update(struct tls_keys *keys)
{
    struct tls_secret next = { .size = keys->secret.size };
    tls_expand_label(&keys->secret, "traffic upd", next.bytes, next.size);
    keys->secret = next;
    OPENSSL_cleanse(&next, sizeof(next));
    return load(keys);
}

/* --- records --- */

/* Begins a record: its nonce (RFC 8446 section 5.3), and its head, which is proved with it. */
static bool begin(struct tls_keys *keys, const char *head)
{
    uint8_t nonce[sizeof(keys->iv)];
    int n;
    memcpy(nonce, keys->iv, sizeof(nonce));
    for (unsigned i = 0; i < 8; i++)
        nonce[sizeof(nonce) - 1 - i] ^= (uint8_t)(keys->number >> (8 * i));
    keys->number++;
    if (keys->n_left > 0)
        keys->n_left--;
    return EVP_CipherInit_ex(keys->cipher, NULL, NULL, NULL, nonce, -1) == 1 &&
           EVP_CipherUpdate(keys->cipher, NULL, &n, (const uint8_t *)head, TLS_RECORD_HEAD) == 1;
}

size_t tls_record_seal(struct tls_keys *keys, enum tls_content type, struct span content, char *to)
{
    size_t size = content.size + 1, sealed = size + TLS_RECORD_TAG;
    uint8_t *at = (uint8_t *)to + TLS_RECORD_HEAD;
    bool is_in_place = content.data == to + TLS_RECORD_HEAD;
    uint8_t last = (uint8_t)type;
    int n = 0, n_last = 0, n_none;
    assert(content.size <= TLS_CONTENT_MAX);
    to[0] = TLS_APPLICATION_DATA;
    to[1] = to[2] = 3;
    to[3] = (char)(sealed >> 8);
    to[4] = (char)sealed;
    bool is_done = begin(keys, to);
    if (is_in_place) {
        at[content.size] = last;
        is_done = is_done && EVP_EncryptUpdate(keys->cipher, at, &n, at, (int)size) == 1;
    } else {
        is_done = is_done &&
                  EVP_EncryptUpdate(keys->cipher, at, &n, (const uint8_t *)content.data,
                                    (int)content.size) == 1 &&
                  EVP_EncryptUpdate(keys->cipher, at + n, &n_last, &last, 1) == 1;
    }
    is_done =
        is_done && (size_t)n + (size_t)n_last == size &&
        EVP_EncryptFinal_ex(keys->cipher, at + size, &n_none) == 1 &&
        EVP_CIPHER_CTX_ctrl(keys->cipher, EVP_CTRL_AEAD_GET_TAG, TLS_RECORD_TAG, at + size) == 1;
    return is_done ? TLS_RECORD_HEAD + sealed : 0;
}

size_t tls_record_size(const char head[TLS_RECORD_HEAD], enum tls_alert *ret_alert)
{
    size_t size = (size_t)(uint8_t)head[3] << 8 | (uint8_t)head[4];
    if (head[0] != TLS_APPLICATION_DATA)
        *ret_alert = TLS_UNEXPECTED_MESSAGE; /* nothing goes unprotected any more */
    else if (size > TLS_SEALED_MAX)
        *ret_alert = TLS_RECORD_OVERFLOW;
    else if (size < TLS_RECORD_TAG + 1)
        *ret_alert = TLS_BAD_RECORD_MAC;
    else
        return TLS_RECORD_HEAD + size;
    return 0;
}

static bool decrypt(struct tls_keys *keys, struct span record, uint8_t *to, size_t size)
{
    int n = 0, n_none;
    uint8_t tag[TLS_RECORD_TAG];
    const uint8_t *from = (const uint8_t *)record.data + TLS_RECORD_HEAD;
    memcpy(tag, from + size, sizeof(tag));
    bool is_done =
        begin(keys, record.data) && EVP_DecryptUpdate(keys->cipher, to, &n, from, (int)size) == 1 &&
        (size_t)n == size &&
        EVP_CIPHER_CTX_ctrl(keys->cipher, EVP_CTRL_AEAD_SET_TAG, sizeof(tag), tag) == 1 &&
        EVP_DecryptFinal_ex(keys->cipher, to + size, &n_none) == 1;
    if (!is_done) {
        OPENSSL_cleanse(to, size); /* nobody shall use what is not proved */
        ERR_clear_error();
    }
    return is_done;
}

enum tls_alert tls_record_open(struct tls_keys *keys, struct span record, char *to,
                               struct span *ret_content, enum tls_content *ret_type)
{
    size_t size = record.size - TLS_RECORD_HEAD - TLS_RECORD_TAG;
    if (!decrypt(keys, record, (uint8_t *)to, size))
        return TLS_BAD_RECORD_MAC;
    if (size > TLS_CONTENT_MAX + 1)
        return TLS_RECORD_OVERFLOW;
    while (size > 0 && to[size - 1] == 0)
        size--;
    if (size == 0)
        return TLS_UNEXPECTED_MESSAGE; /* padding and no type */
    *ret_type = (enum tls_content)(uint8_t)to[size - 1];
    *ret_content = (struct span){ to, size - 1 };
    return TLS_CLOSE_NOTIFY;
}
