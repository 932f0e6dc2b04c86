/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A ticket is the client's to keep and ours to open again, so whoever has the key can read what was
 * said in every connection that was resumed with it. That is why no key serves long, and none is
 * ever written down: a process that starts has new ones, and clients shake hands in full.
 */

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "io/tls_stream.h"

#define KEY_TIME (NSEC_PER_SEC * 12 * 3600)
#define NAME_SIZE 16u
#define SECRET_SIZE 32u

struct ticket_key {
    unsigned char name[NAME_SIZE], seal[SECRET_SIZE], proof[SECRET_SIZE];
    nsec since;
    bool is_valid;
};

struct tls_tickets {
    atomic_uint n_refs;
    struct clock *clock;
    pthread_mutex_t lock;
    struct ticket_key keys[2]; /* the first seals, both open */
    EVP_CIPHER *cipher;
};

struct tls_tickets *tls_tickets_new(struct clock *clock)
{
    struct tls_tickets *tickets = mem_new(struct tls_tickets);
    atomic_init(&tickets->n_refs, 1);
    tickets->clock = clock;
    tickets->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    pthread_mutex_init(&tickets->lock, NULL);
    return tickets;
}

struct tls_tickets *tls_tickets_ref(struct tls_tickets *tickets)
{
    atomic_fetch_add(&tickets->n_refs, 1);
    return tickets;
}

struct tls_tickets *tls_tickets_unref(struct tls_tickets *tickets)
{
    if (!tickets || atomic_fetch_sub(&tickets->n_refs, 1) > 1)
        return NULL;
    EVP_CIPHER_free(tickets->cipher);
    pthread_mutex_destroy(&tickets->lock);
    OPENSSL_cleanse(tickets->keys, sizeof(tickets->keys));
    free(tickets);
    return NULL;
}

/* Throws away what is too old, and makes a key where none may seal any more. */
static void turn_keys(struct tls_tickets *tickets)
{
    nsec now = clock_now(tickets->clock);
    struct ticket_key *first = &tickets->keys[0], *second = &tickets->keys[1];
    if (second->is_valid && now - second->since >= 2 * KEY_TIME)
        OPENSSL_cleanse(second, sizeof(*second));
    if (first->is_valid && now - first->since < KEY_TIME)
        return;
    if (first->is_valid && now - first->since < 2 * KEY_TIME)
        *second = *first;
    hash_random(first, offsetof(struct ticket_key, since));
    first->since = now;
    first->is_valid = true;
}

/* The key of that name, or the one that seals where there is no name; false when it is gone. */
static bool find_key(struct tls_tickets *tickets, const unsigned char *name,
                     struct ticket_key *ret_key, bool *ret_is_first)
{
    bool found = false;
    pthread_mutex_lock(&tickets->lock);
    turn_keys(tickets);
    for (unsigned i = 0; i < 2 && !found; i++) {
        const struct ticket_key *key = &tickets->keys[i];
        found = key->is_valid && (!name || memcmp(key->name, name, NAME_SIZE) == 0);
        if (!found)
            continue;
        *ret_key = *key;
        *ret_is_first = i == 0;
    }
    pthread_mutex_unlock(&tickets->lock);
    return found;
}

static bool set_proof(EVP_MAC_CTX *mac, struct ticket_key *key)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->proof, SECRET_SIZE),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* The answers are the library's: -1 an error, 0 no such key, 1 done, 2 done and make a new one. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int seals)
{
    struct tls_tickets *tickets = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    struct ticket_key key;
    bool is_first = false;
    if (!find_key(tickets, seals ? NULL : name, &key, &is_first))
        return 0;
    if (seals) {
        memcpy(name, key.name, NAME_SIZE);
        hash_random(iv, 16);
    }
    bool is_done = EVP_CipherInit_ex(cipher, tickets->cipher, NULL, key.seal, iv, seals) == 1 &&
                   set_proof(mac, &key);
    OPENSSL_cleanse(&key, sizeof(key));
    if (!is_done)
        return -1;
    return seals || is_first ? 1 : 2;
}

/* Each session that is resumed gets a new ticket: without this, a client whose certificate has
 * expired meanwhile would be believed for ever. */
static SSL_TICKET_RETURN on_opened(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
                                   size_t name_size, SSL_TICKET_STATUS status, void *owner)
{
    (void)ssl, (void)name, (void)name_size, (void)owner;
    bool is_open = status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW;
    if (!is_open || tls_session_has_expired(session))
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

void tls_tickets_serve(struct tls_tickets *tickets, SSL_CTX *context)
{
    SSL_CTX_set_session_ticket_cb(context, NULL, on_opened, NULL);
    SSL_CTX_set_app_data(context, tickets);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket);
}
