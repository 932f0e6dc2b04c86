/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Sessions are kept to be resumed, each for one connection: a ticket that is used twice shows who
 * listens that the two belong together (RFC 8446 appendix C.4). They are found by the name that was
 * asked for, and the one that came last is taken first.
 */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "io/tls_contexts.h"

#define SESSIONS_MAX 64u

struct kept_session {
    SSL_SESSION *session;
    uint64_t name; /* a digest of it */
};

/* What changes of a client, whose users hold it as constant. */
struct client_state {
    atomic_uint n_refs;
    pthread_mutex_t lock; /* of all that follows */
    SSL_CTX *context;     /* NULL until it is needed */
    struct kept_session sessions[SESSIONS_MAX];
    unsigned n_sessions;
};

struct tls_client {
    bool is_unverified;
    enum tls_version min_version;
    char *server_name; /* NULL: the address's host */
    struct client_state *state;
};

/* --- sessions --- */

static uint64_t digest_of(const char *name)
{
    return hash_seeded(span_of(name));
}

static void keep_session(struct client_state *state, SSL_SESSION *session, uint64_t name)
{
    pthread_mutex_lock(&state->lock);
    SSL_SESSION *dropped = NULL;
    if (state->n_sessions == SESSIONS_MAX) {
        dropped = state->sessions[0].session;
        memmove(state->sessions, state->sessions + 1,
                (SESSIONS_MAX - 1) * sizeof(state->sessions[0]));
        state->n_sessions--;
    }
    state->sessions[state->n_sessions++] = (struct kept_session){ session, name };
    pthread_mutex_unlock(&state->lock);
    SSL_SESSION_free(dropped);
}

static SSL_SESSION *take_session(struct client_state *state, uint64_t name)
{
    SSL_SESSION *found = NULL;
    pthread_mutex_lock(&state->lock);
    for (unsigned i = state->n_sessions; i > 0 && !found; i--) {
        if (state->sessions[i - 1].name != name)
            continue;
        found = state->sessions[i - 1].session;
        memmove(&state->sessions[i - 1], &state->sessions[i],
                (state->n_sessions - i) * sizeof(state->sessions[0]));
        state->n_sessions--;
    }
    pthread_mutex_unlock(&state->lock);
    return found;
}

/* The name goes with the library's object, for tickets come at any time. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    const struct tls_stream *stream = SSL_get_app_data(ssl);
    if (!SSL_SESSION_is_resumable(session))
        return 0;
    keep_session(stream->client->state, session, stream->session_name);
    return 1; /* the reference is ours */
}

/* --- the client --- */

static int load(SSL_CTX *context, const struct tls_client_settings *settings,
                struct problem *problem)
{
    if (settings->is_unverified) {
        SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    } else {
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
        if (settings->ca && SSL_CTX_load_verify_file(context, settings->ca) != 1)
            return tls_refuse_content(problem, settings->ca, "cannot be read as certificates");
        if (!settings->ca)
            SSL_CTX_set_default_verify_paths(context);
    }
    if (!settings->certificate)
        return 0;
    if (SSL_CTX_use_certificate_chain_file(context, settings->certificate) != 1)
        return tls_refuse_content(problem, settings->certificate,
                                  "cannot be read as a certificate");
    if (SSL_CTX_use_PrivateKey_file(context, settings->key, SSL_FILETYPE_PEM) != 1)
        return tls_refuse_content(problem, settings->key, "cannot be read as its private key");
    if (SSL_CTX_check_private_key(context) != 1)
        return tls_refuse_content(problem, settings->key, "is not the key of the certificate");
    return 0;
}

/* Answers: TLS_REFUSED. */
static int make_context(const struct tls_client_settings *settings, SSL_CTX **ret_context,
                        struct problem *problem)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context)
        return tls_refuse_file(problem, "the library", tls_library_reason());
    tls_context_harden(context, settings->min_version);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, on_session);
    int r = load(context, settings, problem);
    ERR_clear_error();
    if (r)
        SSL_CTX_free(context);
    else
        *ret_context = context;
    return r;
}

/* The system's authorities are many. They are read when somebody is to be believed by them, which
 * may be never; files that are named are read at once, for they may be wrong. */
static bool can_wait(const struct tls_client_settings *settings)
{
    return !settings->ca && !settings->certificate;
}

static struct tls_client *client_new(bool is_unverified, enum tls_version min_version,
                                     const char *server_name)
{
    struct tls_client *client = mem_new(struct tls_client);
    client->state = mem_new(struct client_state);
    atomic_init(&client->state->n_refs, 1);
    pthread_mutex_init(&client->state->lock, NULL);
    client->is_unverified = is_unverified;
    client->min_version = min_version;
    client->server_name = server_name ? mem_strdup(server_name) : NULL;
    return client;
}

int tls_client_new(const struct tls_client_settings *settings, struct tls_client **ret_client,
                   struct problem *problem)
{
    struct tls_client *client =
        client_new(settings->is_unverified, settings->min_version, settings->server_name);
    int r = 0;
    if (!can_wait(settings))
        r = make_context(settings, &client->state->context, problem);
    if (r) {
        tls_client_unref(client);
        return r;
    }
    *ret_client = client;
    return 0;
}

/* NULL where the library cannot make one. */
static SSL_CTX *context_of(const struct tls_client *client)
{
    struct client_state *state = client->state;
    pthread_mutex_lock(&state->lock);
    if (!state->context) {
        const struct tls_client_settings settings = { .is_unverified = client->is_unverified,
                                                      .min_version = client->min_version };
        if (make_context(&settings, &state->context, NULL))
            state->context = NULL;
    }
    SSL_CTX *context = state->context;
    pthread_mutex_unlock(&state->lock);
    return context;
}

const struct tls_client *tls_client_vary(const struct tls_client *base, const char *server_name,
                                         bool is_unverified)
{
    SSL_CTX *context = context_of(base);
    struct tls_client *client = client_new(base->is_unverified || is_unverified, base->min_version,
                                           server_name ? server_name : base->server_name);
    if (context && SSL_CTX_up_ref(context) == 1)
        client->state->context = context;
    return client;
}

const char *tls_client_name(const struct tls_client *client)
{
    return client->server_name;
}

const struct tls_client *tls_client_ref(const struct tls_client *client)
{
    if (client)
        atomic_fetch_add(&client->state->n_refs, 1);
    return client;
}

const struct tls_client *tls_client_unref(const struct tls_client *client)
{
    if (!client || atomic_fetch_sub(&client->state->n_refs, 1) > 1)
        return NULL;
    struct client_state *state = client->state;
    for (unsigned i = 0; i < state->n_sessions; i++)
        SSL_SESSION_free(state->sessions[i].session);
    SSL_CTX_free(state->context);
    pthread_mutex_destroy(&state->lock);
    free(state);
    free(client->server_name);
    union {
        const struct tls_client *from;
        void *to;
    } last = { client }; /* nobody else looks at it any more */
    free(last.to);
    return NULL;
}

/* --- its streams --- */

static bool is_ip(const char *name)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

/* An address is not asked for (RFC 6066 section 3), and verified as one. */
static bool set_name(SSL *ssl, const char *name)
{
    SSL_set_hostflags(ssl,
                      X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (is_ip(name))
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): the macro takes it so, and does not change it */
    void *text = (void *)(uintptr_t)name;
    return SSL_set_tlsext_host_name(ssl, text) == 1 && SSL_set1_host(ssl, name) == 1;
}

static void set_alpn(SSL *ssl, enum tls_alpn alpn)
{
    static const unsigned char both[] = "\x02h2\x08http/1.1";
    switch (alpn) {
    case TLS_ALPN_NONE: break;
    case TLS_ALPN_HTTP1: SSL_set_alpn_protos(ssl, both + 3, 9); break;
    case TLS_ALPN_HTTP2: SSL_set_alpn_protos(ssl, both, 3); break;
    case TLS_ALPN_BOTH: SSL_set_alpn_protos(ssl, both, 12); break;
    }
}

struct tls_stream *tls_stream_connect(const struct tls_client *client, const char *host,
                                      enum tls_alpn alpn, int fd, struct tls_scratch *scratch)
{
    const char *name = client->server_name ? client->server_name : host;
    SSL_CTX *context = context_of(client);
    SSL *ssl = context ? SSL_new(context) : NULL;
    if (ssl && !set_name(ssl, name)) {
        SSL_free(ssl);
        ssl = NULL;
    }
    if (ssl) {
        SSL_set_connect_state(ssl);
        set_alpn(ssl, alpn);
        if (client->is_unverified) /* where the context is shared with one who verifies */
            SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
    }
    struct tls_stream *stream = tls_stream_new(fd, scratch);
    tls_stream_attach(stream, ssl);
    stream->client = tls_client_ref(client);
    stream->session_name = digest_of(name);
    SSL_SESSION *session = ssl ? take_session(client->state, stream->session_name) : NULL;
    if (session && (client->is_unverified || !tls_session_has_expired(session)))
        SSL_set_session(ssl, session);
    SSL_SESSION_free(session);
    return stream;
}
