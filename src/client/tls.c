/* SPDX-License-Identifier: Apache-2.0 */

/*
 * OpenSSL's own BIO of a socket writes with write(2), which raises SIGPIPE in the host program; ours
 * sends with MSG_NOSIGNAL. The queue of errors is the thread's and so the host's, too: it is left
 * empty.
 */

#include "client/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "client/client.h"

struct tls {
    const struct client_memory *memory;
    SSL_CTX *context;
    BIO_METHOD *method;
    SSL *ssl; /* NULL: not connected */
    bool is_shaken;
    int fd;
};

/* --- the socket --- */

static bool is_for_later(int error)
{
    return error == EAGAIN || error == EINTR;
}

static int bio_write(BIO *bio, const char *data, int size)
{
    const struct tls *tls = BIO_get_data(bio);
    ssize_t n = send(tls->fd, data, (size_t)size, MSG_NOSIGNAL);
    BIO_clear_retry_flags(bio);
    if (n < 0 && is_for_later(errno))
        BIO_set_retry_write(bio);
    return (int)n;
}

static int bio_read(BIO *bio, char *memory, int size)
{
    const struct tls *tls = BIO_get_data(bio);
    ssize_t n = recv(tls->fd, memory, (size_t)size, 0);
    BIO_clear_retry_flags(bio);
    if (n < 0 && is_for_later(errno))
        BIO_set_retry_read(bio);
    return (int)n;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *bio_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sarsen");
    if (method && BIO_meth_set_write(method, bio_write) && BIO_meth_set_read(method, bio_read) &&
        BIO_meth_set_ctrl(method, bio_control))
        return method;
    BIO_meth_free(method);
    return NULL;
}

/* --- whom to trust --- */

static int refuse(struct sarsen_client *client, const char *what, const char *why)
{
    snprintf(client->problem, sizeof(client->problem), "%s: %s", what, why);
    ERR_clear_error();
    return SARSEN_ETLS;
}

static const char *last_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    return reason ? reason : "it says no more";
}

/* Also a certificate that is no CA's may be trusted by being named. */
static int set_trust(struct sarsen_client *client, SSL_CTX *context)
{
    X509_STORE_set_flags(SSL_CTX_get_cert_store(context), X509_V_FLAG_PARTIAL_CHAIN);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (!client->ca)
        return SSL_CTX_set_default_verify_paths(context) == 1 ? 0 : SARSEN_ENOMEM;
    if (SSL_CTX_load_verify_file(context, client->ca) == 1)
        return 0;
    char what[300];
    snprintf(what, sizeof(what), "the CA file %.250s cannot be read", client->ca);
    return refuse(client, what, last_reason());
}

static int tls_new(struct sarsen_client *client, struct tls **ret_tls)
{
    struct tls *tls = client_alloc(client->memory, sizeof(*tls));
    if (!tls)
        return SARSEN_ENOMEM;
    tls->memory = client->memory;
    tls->method = bio_method();
    tls->context = SSL_CTX_new(TLS_client_method());
    int r = SARSEN_ENOMEM;
    if (tls->method && tls->context &&
        SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION) == 1) {
        SSL_CTX_set_mode(tls->context,
                         SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        r = set_trust(client, tls->context);
    }
    if (r)
        tls_free(tls);
    else
        *ret_tls = tls;
    return r;
}

/* --- connecting --- */

static bool is_ip(const char *host)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

static bool set_name(SSL *ssl, const char *host)
{
    if (is_ip(host))
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): the macro takes it so, and does not change it */
    void *text = (void *)(uintptr_t)host;
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, text) == 1;
}

static bool open_session(struct tls *tls, const struct sarsen_client *client)
{
    static const unsigned char http1[] = "\x08http/1.1";
    tls->fd = client->fd;
    tls->is_shaken = false;
    tls->ssl = SSL_new(tls->context);
    BIO *bio = tls->ssl ? BIO_new(tls->method) : NULL;
    if (!bio)
        return false;
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio);
    SSL_set_connect_state(tls->ssl);
    return SSL_set_alpn_protos(tls->ssl, http1, sizeof(http1) - 1) == 0 &&
           set_name(tls->ssl, client->host);
}

/* What must come before the call that gave `n` can go on; 0 when it never will. */
static tls_events events_of(const struct tls *tls, int n)
{
    int error = SSL_get_error(tls->ssl, n);
    if (error == SSL_ERROR_WANT_READ)
        return POLLIN;
    return error == SSL_ERROR_WANT_WRITE ? POLLOUT : 0;
}

/* A connection that breaks has left no reason. */
static int tell_failure(struct sarsen_client *client)
{
    long trust = SSL_get_verify_result(client->tls->ssl);
    char what[300];
    snprintf(what, sizeof(what), "the certificate of %.200s is not trusted", client->authority);
    if (trust != X509_V_OK)
        return refuse(client, what, X509_verify_cert_error_string(trust));
    if (!ERR_peek_last_error())
        return SARSEN_EBROKEN;
    snprintf(what, sizeof(what), "no TLS with %.200s", client->authority);
    return refuse(client, what, last_reason());
}

int tls_shake(struct sarsen_client *client, tls_events *ret_events)
{
    ERR_clear_error();
    int r = client->tls ? 0 : tls_new(client, &client->tls);
    if (r)
        return r;
    struct tls *tls = client->tls;
    if (!tls->ssl && !open_session(tls, client)) {
        ERR_clear_error();
        return SARSEN_ENOMEM;
    }
    int n = SSL_do_handshake(tls->ssl);
    tls->is_shaken = n == 1;
    if (tls->is_shaken)
        return 1;
    *ret_events = events_of(tls, n);
    return *ret_events ? 0 : tell_failure(client);
}

/* --- sending and receiving --- */

static int at_most(size_t size)
{
    return size < INT32_MAX ? (int)size : INT32_MAX;
}

ssize_t tls_send(struct tls *tls, const void *data, size_t size, tls_events *ret_events)
{
    ERR_clear_error();
    int n = SSL_write(tls->ssl, data, at_most(size));
    if (n > 0)
        return n;
    *ret_events = events_of(tls, n);
    tls->is_shaken = *ret_events; /* after a failure there is no goodbye */
    ERR_clear_error();
    return -1;
}

ssize_t tls_recv(struct tls *tls, void *memory, size_t size, tls_events *ret_events)
{
    ERR_clear_error();
    int n = SSL_read(tls->ssl, memory, at_most(size));
    if (n > 0)
        return n;
    if (SSL_get_error(tls->ssl, n) == SSL_ERROR_ZERO_RETURN)
        return 0;
    *ret_events = events_of(tls, n);
    tls->is_shaken = *ret_events;
    ERR_clear_error();
    return -1;
}

/* Tickets come after the handshake, and are taken in here. */
int tls_is_stale(struct tls *tls)
{
    char byte;
    ERR_clear_error();
    int n = SSL_peek(tls->ssl, &byte, 1);
    int is_stale = n > 0 || events_of(tls, n) == 0;
    tls->is_shaken = tls->is_shaken && (n > 0 || !is_stale);
    ERR_clear_error();
    return is_stale;
}

void tls_close(struct tls *tls)
{
    if (!tls || !tls->ssl)
        return;
    if (tls->is_shaken)
        SSL_shutdown(tls->ssl);
    SSL_free(tls->ssl);
    tls->ssl = NULL;
    ERR_clear_error();
}

void tls_free(struct tls *tls)
{
    if (!tls)
        return;
    tls_close(tls);
    SSL_CTX_free(tls->context);
    BIO_meth_free(tls->method);
    client_release(tls->memory, tls);
}
