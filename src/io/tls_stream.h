#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the files of TLS share; private to io/tls*.c.
 *
 * tls_stream.c   bytes in and out of one connection
 * tls_peer.c     what is told of the other side
 * tls_server.c   a listener's certificates, and their exchange while it runs
 * tls_contexts.c what they are to the library: which certificate, which protocol
 * tls_tickets.c  keys of session tickets
 * tls_client.c   whom a client believes
 */

#include <openssl/ssl.h>

#include "base/buf.h"
#include "io/tls.h"

#define TLS_SERVER_NAME_MAX 255u

struct tls_stream {
    SSL *ssl;
    struct span input; /* what was received and the library has not taken yet */
    struct buf unsent; /* records that wait for the socket */
    struct tls_scratch *scratch;
    int fd;
    bool is_server, is_established, has_end, has_closed, is_broken, is_gone;
    unsigned n_key_updates;
    const char *failure;
    struct tls_contexts *contexts;   /* of a server: what the handshake is led by */
    const struct tls_client *client; /* of a client, likewise */
    uint64_t session_name;           /* of a client: what its sessions are found by */
    struct tls_peer peer;
    char *memory; /* of what the peer points to; NULL: none */
};

/* tls_peer.c: fills stream->peer once the handshake is done. */
void tls_peer_read(struct tls_stream *stream);

/* tls_contexts.c: what holds for servers and clients. */
void tls_context_harden(SSL_CTX *context, enum tls_version min_version);

/* Whether the other side's certificate has. None is shown where a session is resumed. */
bool tls_session_has_expired(SSL_SESSION *session);

/* Why the library refused, and what else it may have noted is forgotten. Static text. */
const char *tls_library_reason(void);

/* A stream over a library object, which it takes; NULL makes one that is broken. */
struct tls_stream *tls_stream_new(SSL *ssl, int fd, struct tls_scratch *scratch);

/* tls_tickets.c */
void tls_tickets_serve(struct tls_tickets *tickets, SSL_CTX *context);
