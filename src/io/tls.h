#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * TLS 1.2 and 1.3 by OpenSSL 3, between bytes that were received and bytes that are to be used.
 *
 *   tls_server, tls_client   who we are and whom we believe: certificates, keys, authorities
 *   tls_stream               one connection's TLS
 *
 * The library never sees the socket. What was received is handed in, a receive at a time, and what
 * it writes is gathered and leaves in one system call, so TLS costs as many of them as plain text.
 * What the socket does not take is kept, and a stream at rest holds no buffer.
 *
 * A server's certificates are read again by tls_server_refresh() when their files have changed: new
 * handshakes get the new ones, connections that stand keep what they have. What cannot be used is
 * refused, and the old ones go on. Tickets are sealed with keys of the process, and each is good
 * only for the listener, the certificate and the policy it was given under.
 *
 * Owns:     a stream its library objects and what waits for the socket; not the socket. A server and
 *           a client copy their settings.
 * Borrows:  a stream its scratch memory, which its loop's streams share.
 * Threads:  a stream belongs to one; tls_server_refresh() and tls_server_take() to the control loop,
 *           while other threads accept. References of clients are counted atomically.
 * Cost:     a handshake locks the server's current certificates once; records take no lock of ours.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/error.h"
#include "base/span.h"

/* --- whom a connection is with --- */

#define TLS_NAMES_MAX 32u /* of a certificate; more of them are not told */

enum tls_name_kind {
    TLS_NAME_DNS,
    TLS_NAME_URI, /* SPIFFE ids are of this kind */
};

struct tls_name {
    enum tls_name_kind kind;
    struct span text;
};

/* Valid as long as the stream. */
struct tls_peer {
    struct span server_name;      /* that the client asked for, in small letters; empty: none */
    struct span alpn;             /* "h2", "http/1.1", or empty */
    bool is_verified;             /* the other side gave a certificate, and it holds */
    const struct tls_name *names; /* of that certificate; never its common name */
    unsigned n_names;
    const char *version, *cipher;
};

/* --- servers --- */

enum tls_version {
    TLS_1_2,
    TLS_1_3,
};

enum tls_client_auth {
    TLS_CLIENT_OFF,
    TLS_CLIENT_OPTIONAL, /* a certificate that is given must hold */
    TLS_CLIENT_REQUIRED,
};

enum tls_sealing {
    TLS_SEALING_OWN,
    TLS_SEALING_KERNEL, /* by the kernel where it can, which spares files a copy */
};

struct tls_pair {
    const char *certificate, *key; /* PEM files; the certificate's has its chain behind it */
};

struct tls_server_settings {
    const struct tls_pair *pairs; /* the first serves where no name fits */
    unsigned n_pairs;
    enum tls_version min_version;
    enum tls_client_auth client_auth;
    const char *client_ca;  /* a PEM file; needed where clients are asked */
    const char *client_crl; /* a PEM file of what its authorities have revoked; NULL: nothing */
    bool is_http1_only;     /* of what ALPN may choose */
    enum tls_sealing sealing;
};

enum tls_answer {
    TLS_OK,
    TLS_REFUSED, /* the problem tells what cannot be used, and why */
    TLS_SAME,    /* no file has changed */
};

struct tls_server;
struct tls_tickets;

/* Keys of session tickets: each seals for 12 hours, and opens for 12 more. */
struct tls_tickets *tls_tickets_new(struct clock *clock);
struct tls_tickets *tls_tickets_ref(struct tls_tickets *tickets);
struct tls_tickets *tls_tickets_unref(struct tls_tickets *tickets);

/* Reads all files. `name` tells listeners apart: it goes into what tickets are bound to. Answers:
 * TLS_REFUSED. */
int tls_server_new(const char *name, const struct tls_server_settings *settings,
                   struct tls_tickets *tickets, struct tls_server **ret_server,
                   struct problem *problem) MUST_CHECK;

/* When no stream is accepted from it any more; those that were stay. */
struct tls_server *tls_server_free(struct tls_server *server);

/* Looks at the files, and where they have changed reads them and serves by them. A pair that
 * cannot be used, has expired or is not yet valid is refused, and all stays as it was. Answers:
 * TLS_SAME, TLS_REFUSED; the latter once for each change. */
int tls_server_refresh(struct tls_server *server, unix_msec now, struct problem *problem)
    MUST_CHECK;

/* Serves by what `other` was made of, from now on, and frees that. */
void tls_server_take(struct tls_server *server, struct tls_server *other);

/* What the last refresh refused; NULL when what is in the files serves. */
const char *tls_server_trouble(const struct tls_server *server);

/* When the first of its certificates does. */
unix_msec tls_server_expires(const struct tls_server *server);

/* --- clients --- */

struct tls_client_settings {
    bool is_unverified;            /* whoever answers is believed */
    const char *ca;                /* a PEM file; NULL: the system's authorities */
    const char *server_name;       /* asked for and verified; NULL: the address's host */
    const char *certificate, *key; /* PEM files; NULL: none */
    enum tls_version min_version;
};

struct tls_client;

/* Answers: TLS_REFUSED. */
int tls_client_new(const struct tls_client_settings *settings, struct tls_client **ret_client,
                   struct problem *problem) MUST_CHECK;

/* One that believes whom `base` does, and shows it the same certificate, but asks for this name;
 * with `is_unverified` it believes anybody. NULL: the name that `base` asks for. Never fails. */
const struct tls_client *tls_client_vary(const struct tls_client *base, const char *server_name,
                                         bool is_unverified) MUST_CHECK;

/* The one it asks for; NULL: the address's host. */
const char *tls_client_name(const struct tls_client *client);

const struct tls_client *tls_client_ref(const struct tls_client *client);
const struct tls_client *tls_client_unref(const struct tls_client *client);

/* --- streams --- */

/* Where in the hot buffer a receive goes: a record that was begun earlier is opened in front of it,
 * and the next one must not reach into itself. */
#define TLS_RECORD_ROOM 34816u

struct tls_scratch;
struct tls_scratch *tls_scratch_new(void);
struct tls_scratch *tls_scratch_free(struct tls_scratch *scratch);

enum tls_input {
    TLS_INPUT_BYTES,   /* there are some */
    TLS_INPUT_NOTHING, /* not yet */
    TLS_INPUT_END,     /* the other side said that it sends no more */
    TLS_INPUT_BROKEN,  /* see tls_stream_failure() */
};

struct tls_stream;

struct tls_stream *tls_stream_accept(struct tls_server *server, int fd,
                                     struct tls_scratch *scratch);
enum tls_alpn {
    TLS_ALPN_NONE, /* nothing is asked for */
    TLS_ALPN_HTTP1,
    TLS_ALPN_HTTP2,
    TLS_ALPN_BOTH, /* what the server likes better */
};

/* `host` is that of the address, without its port. */
struct tls_stream *tls_stream_connect(const struct tls_client *client, const char *host,
                                      enum tls_alpn alpn, int fd, struct tls_scratch *scratch);
struct tls_stream *tls_stream_free(struct tls_stream *stream);

/* Begins a client's handshake; a server's begins with its first bytes. */
void tls_stream_start(struct tls_stream *stream);

/* Takes all of `records`, writes what they hold to `to`, and sends what has to be answered. `to` may
 * be TLS_RECORD_ROOM before `records` in the same memory. With TLS_INPUT_END and TLS_INPUT_BROKEN
 * there may be bytes too. */
enum tls_input tls_stream_open(struct tls_stream *stream, struct span records, char *to,
                               size_t capacity, size_t *ret_size);

/* The socket has ended. That is an end where we serve, and breaks off where we are the client:
 * there the other side has to say it. */
enum tls_input tls_stream_end(const struct tls_stream *stream);

/* Seals and sends the parts, or keeps what the socket does not take. Answers false when the other
 * side takes nothing any more. */
bool tls_stream_send(struct tls_stream *stream, const struct span *parts, unsigned n_parts);

/* Sends what waits; the same answer. */
bool tls_stream_flush(struct tls_stream *stream);

/* Bytes that wait for the socket. */
size_t tls_stream_unsent(const struct tls_stream *stream);

/* Says that nothing follows, as far as the socket takes it. Idempotent. */
void tls_stream_close(struct tls_stream *stream);

bool tls_stream_is_established(const struct tls_stream *stream);

/* Nothing that is received is opened any more: it has ended, or it broke. */
bool tls_stream_is_over(const struct tls_stream *stream);

/* It broke because its first byte is a request's in plain text. Nothing was sent. */
bool tls_stream_is_plain(const struct tls_stream *stream);

/* The kernel seals: with nothing that waits, a file can be sent by its descriptor, and
 * tls_stream_note_file() is told how much of it was. */
bool tls_stream_takes_files(const struct tls_stream *stream);
void tls_stream_note_file(struct tls_stream *stream, size_t size);

/* The kernel was to seal for a listener, and has no TLS. */
bool tls_kernel_is_missing(void);

/* NULL until it is established. */
const struct tls_peer *tls_stream_peer(const struct tls_stream *stream);

/* Why it broke, in a few words; NULL when it did not. */
const char *tls_stream_failure(const struct tls_stream *stream);
