/* SPDX-License-Identifier: Apache-2.0 */

/*
 * All that is told of the other side lies in one piece of memory: first the list of its names, then
 * the texts. A connection without a name asked for and without a certificate has none.
 */

#include <openssl/x509v3.h>
#include <string.h>

#include "base/mem.h"
#include "io/tls_stream.h"

static bool is_told(const GENERAL_NAME *name)
{
    return name->type == GEN_DNS || name->type == GEN_URI;
}

static struct span text_of(const GENERAL_NAME *name)
{
    const ASN1_STRING *text = name->d.ia5;
    return (struct span){ (const char *)ASN1_STRING_get0_data(text),
                          (size_t)ASN1_STRING_length(text) };
}

/* A name with a byte in it that is not printed is meant to be read as another one. */
static bool is_printable(struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] <= ' ' || text.data[i] > '~')
            return false;
    }
    return text.size > 0;
}

static struct span keep(char **at, struct span text)
{
    char *start = *at;
    if (text.size)
        memcpy(start, text.data, text.size);
    *at += text.size;
    return (struct span){ start, text.size };
}

/* Whether the other side gave a certificate, and it holds. */
static bool is_verified(const SSL *ssl)
{
    return SSL_get0_peer_certificate(ssl) && (SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) &&
           SSL_get_verify_result(ssl) == X509_V_OK;
}

static GENERAL_NAMES *names_of(const SSL *ssl)
{
    return X509_get_ext_d2i(SSL_get0_peer_certificate(ssl), NID_subject_alt_name, NULL, NULL);
}

void tls_peer_read(struct tls_stream *stream)
{
    SSL *ssl = stream->ssl;
    struct tls_peer *peer = &stream->peer;
    const unsigned char *alpn = NULL;
    unsigned alpn_size = 0;
    SSL_get0_alpn_selected(ssl, &alpn, &alpn_size);
    struct span asked = span_of(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
    peer->version = SSL_get_version(ssl);
    peer->cipher = SSL_get_cipher_name(ssl);
    peer->is_verified = is_verified(ssl);

    GENERAL_NAMES *names = peer->is_verified ? names_of(ssl) : NULL;
    size_t size = asked.size + alpn_size;
    unsigned n = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (!is_told(name) || !is_printable(text_of(name)) || n == TLS_NAMES_MAX)
            continue;
        n++;
        size += text_of(name).size;
    }
    if (size == 0) {
        GENERAL_NAMES_free(names);
        return;
    }
    struct tls_name *list = mem_zalloc(1, n * sizeof(*list) + size);
    char *at = (char *)(list + n);
    stream->memory = (char *)list;
    peer->alpn = keep(&at, (struct span){ (const char *)alpn, alpn_size });
    peer->server_name = keep(&at, asked);
    for (size_t i = 0; i < asked.size; i++) {
        char *letter = at - asked.size + i;
        if (*letter >= 'A' && *letter <= 'Z')
            *letter = (char)(*letter + 'a' - 'A');
    }
    peer->names = list;
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && peer->n_names < n; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (!is_told(name) || !is_printable(text_of(name)))
            continue;
        list[peer->n_names++] =
            (struct tls_name){ name->type == GEN_URI ? TLS_NAME_URI : TLS_NAME_DNS,
                               keep(&at, text_of(name)) };
    }
    GENERAL_NAMES_free(names);
}
