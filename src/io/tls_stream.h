#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the files of TLS share; private to io/tls*.c.
 *
 * tls_stream.c   bytes in and out of one connection: by the library, or once it is done by
 * tls_traffic.c  what follows a server's handshake in TLS 1.3
 * tls_record.c   one record
 * tls_schedule.c where its keys come from
 * tls_peer.c     what is told of the other side
 * tls_server.c   a listener's certificates, and their exchange while it runs
 * tls_contexts.c what they are to the library: which certificate, which protocol
 * tls_tickets.c  keys of session tickets
 * tls_client.c   whom a client believes
 */

#include <openssl/ssl.h>

#include "base/buf.h"
#include "io/tls.h"
#include "io/tls_record.h"

#define TLS_SERVER_NAME_MAX 255u
#define TLS_SCRATCH_SIZE (256u * 1024 + 8192) /* what is sent at once, sealed */
#define TLS_KEY_UPDATES_MAX 128u              /* each makes new keys and asks for an answer */
#define TLS_KEY_UPDATES_TEXT "keys are updated over and over"

struct tls_scratch {
    size_t size;
    char bytes[TLS_SCRATCH_SIZE];
};

struct tls_stream {
    SSL *ssl;          /* NULL once tls_traffic.c does its work */
    struct span input; /* what was received and the library has not taken yet */
    struct buf unsent; /* records that wait for the socket */
    struct tls_scratch *scratch;
    int fd;
    bool is_server, is_established, has_end, has_closed, is_broken, is_gone;
    bool is_kernels;  /* the kernel seals: `out` has no cipher, what is unsent is plain */
    bool is_plain;    /* not TLS at all */
    bool is_held;     /* what is unsent need not be sent yet */
    bool owes_update; /* of our keys, in answer to the other side's */
    uint8_t n_message, message[5]; /* of the handshake, that came in part */
    unsigned n_key_updates;
    unsigned n_idle_records; /* that came one after another and brought nothing */
    const char *failure;
    struct tls_secrets secrets;      /* until the handshake is done */
    unsigned n_sealed;               /* by the library, under the keys that `out` begins with */
    struct tls_keys in, out;         /* of tls_traffic.c */
    struct buf record;               /* one that is not complete yet; likewise */
    struct tls_contexts *contexts;   /* of a server: what the handshake is led by */
    const struct tls_client *client; /* of a client, likewise */
    uint64_t session_name;           /* of a client: what its sessions are found by */
    struct tls_peer peer;
    char *memory; /* of what the peer points to; NULL: none */
};

/* tls_stream.c: sends what the scratch holds, behind what waits. */
void tls_stream_push(struct tls_stream *stream);

/* tls_peer.c: fills stream->peer once the handshake is done. */
void tls_peer_read(struct tls_stream *stream);

/* tls_contexts.c: what holds for servers and clients. */
void tls_context_harden(SSL_CTX *context, enum tls_version min_version);

/* Whether the other side's certificate has. None is shown where a session is resumed. */
bool tls_session_has_expired(SSL_SESSION *session);

/* Why the library refused, and what else it may have noted is forgotten. Static text. */
const char *tls_library_reason(void);

struct tls_stream *tls_stream_new(int fd, struct tls_scratch *scratch);

/* Gives it a library object, which it takes; NULL breaks it. */
void tls_stream_attach(struct tls_stream *stream, SSL *ssl);

/* tls_server.c: the same for a server, whose clients have to say something first; a connection that
 * is only opened costs no more than one in plain text. False where it broke. */
bool tls_server_begin(struct tls_stream *stream);

/* tls_tickets.c */
void tls_tickets_serve(struct tls_tickets *tickets, SSL_CTX *context);
