/* SPDX-License-Identifier: Apache-2.0 */
#include "link.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "measure.h"

static SSL_CTX *context;
static BIO_METHOD *method;

static _Noreturn void fail_tls(const char *what)
{
    fprintf(stderr, "%s\n", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static int bio_write(BIO *bio, const char *bytes, int size)
{
    struct link *link = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t n = send(link->fd, bytes, (size_t)size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        BIO_set_retry_write(bio);
    return (int)n;
}

static int bio_read(BIO *bio, char *memory, int size)
{
    struct link *link = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (link->is_drained) {
        BIO_set_retry_read(bio);
        return -1;
    }
    ssize_t n = recv(link->fd, memory, (size_t)size, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        BIO_set_retry_read(bio);
    link->is_drained = n < size && n != 0;
    return (int)n;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static void set_up(void)
{
    static char groups[] = "X25519"; /* the macro wants no const */
    context = SSL_CTX_new(TLS_client_method());
    method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "link");
    if (!context || !method || !SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) ||
        !SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") ||
        !SSL_CTX_set1_groups_list(context, groups))
        fail_tls("no TLS");
    BIO_meth_set_write(method, bio_write);
    BIO_meth_set_read(method, bio_read);
    BIO_meth_set_ctrl(method, bio_control);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
}

static void start_tls(struct link *link)
{
    static char name[] = "shop.example"; /* as above */
    if (!context)
        set_up();
    link->tls = SSL_new(context);
    BIO *bio = BIO_new(method);
    if (!link->tls || !bio)
        fail_tls("SSL_new");
    BIO_set_data(bio, link);
    BIO_set_init(bio, 1);
    SSL_set_bio(link->tls, bio, bio);
    SSL_set_connect_state(link->tls);
    SSL_set_tlsext_host_name(link->tls, name);
}

void link_open(struct link *link, unsigned from, bool is_tls)
{
    *link = (struct link){ .fd = connect_from(from) };
    if (is_tls)
        start_tls(link);
}

void link_close(struct link *link)
{
    if (link->tls)
        SSL_free(link->tls);
    close(link->fd);
}

void link_wake(struct link *link)
{
    link->is_drained = false;
}

/* What SSL_read() or SSL_write() said, as a socket says it. */
static ssize_t translate(struct link *link, int n)
{
    if (n > 0)
        return n;
    int error = SSL_get_error(link->tls, n);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        errno = EAGAIN;
        return -1;
    }
    ERR_clear_error();
    errno = ECONNRESET;
    return error == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

ssize_t link_send(struct link *link, const void *bytes, size_t size)
{
    if (link->tls)
        return translate(link, SSL_write(link->tls, bytes, (int)size));
    return send(link->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Skipped bytes need not be copied to user space; TLS has to decrypt them all the same. */
ssize_t link_recv(struct link *link, void *memory, size_t size, bool is_skipped)
{
    if (link->tls)
        return translate(link, SSL_read(link->tls, memory, (int)size));
    if (link->is_drained) {
        errno = EAGAIN;
        return -1;
    }
    ssize_t n = recv(link->fd, memory, size, MSG_DONTWAIT | (is_skipped ? MSG_TRUNC : 0));
    link->is_drained = n > 0 && (size_t)n < size;
    return n;
}
