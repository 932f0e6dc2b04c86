/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Which certificate a client gets is decided from the name it asks for, before anything else of its
 * hello is looked at. Were it decided later, the library would have taken up a session by then: one
 * made under another certificate, or under a listener that asks no client who it is. Sessions
 * are bound to a digest of listener, certificate and policy besides.
 */

#include "io/tls_contexts.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/proverr.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/mem.h"
#include "io/file.h"

#define CA_FILE_MAX ((size_t)16 * 1024 * 1024)
#define CIPHERS_1_3 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define CIPHERS_1_2 "ECDHE+AESGCM:ECDHE+CHACHA20"
#define GROUPS "X25519:P-256:P-384"
#define SIGNATURES                                                                                 \
    "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519:RSA-PSS+SHA256:RSA-PSS+SHA384:"                \
    "RSA-PSS+SHA512:RSA+SHA256:RSA+SHA384:RSA+SHA512"

struct name_node {
    struct map_node node;
    SSL_CTX *context;
};

int tls_refuse_file(struct problem *problem, const char *file, const char *why)
{
    problem_set(problem, "tls", "\"%.200s\" %s", file, why);
    return TLS_REFUSED;
}

/* NULL where the library's own words have to do. */
static const char *words_for(unsigned long code)
{
    static const char none[] = "nothing of that kind is in it, in PEM";
    static const char damaged[] = "its PEM is damaged";
    static const char locked[] = "it is locked with a password";
    int library = ERR_GET_LIB(code), reason = ERR_GET_REASON(code);
    if (library == ERR_LIB_OSSL_DECODER && reason == ERR_R_UNSUPPORTED)
        return none;
    if (library == ERR_LIB_PROV && reason == PROV_R_BAD_DECRYPT)
        return locked;
    if (library != ERR_LIB_PEM)
        return NULL;
    switch (reason) {
    case PEM_R_NO_START_LINE: return none;
    case PEM_R_BAD_BASE64_DECODE:
    case PEM_R_BAD_END_LINE:
    case PEM_R_SHORT_HEADER:
    case PEM_R_HEADER_TOO_LONG: return damaged;
    case PEM_R_BAD_PASSWORD_READ:
    case PEM_R_PROBLEMS_GETTING_PASSWORD:
    case PEM_R_BAD_DECRYPT: return locked;
    default: return NULL;
    }
}

/* What the library says first is nearest to the cause; what it says last names its own parts. */
static const char *take_reason(void)
{
    const char *words = NULL, *own = NULL;
    unsigned long code;
    while ((code = ERR_get_error())) {
        words = words ? words : words_for(code);
        own = own ? own : ERR_reason_error_string(code);
    }
    if (words)
        return words;
    return own ? own : "the library gives no reason";
}

int tls_refuse_content(struct problem *problem, const char *file, const char *what)
{
    char why[160];
    const char *reason = take_reason();
    struct stat status;
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        reason = strerror(errno);
    else if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode))
        reason = strerror(EISDIR);
    if (fd >= 0)
        close(fd);
    snprintf(why, sizeof(why), "%s: %s", what, reason);
    return tls_refuse_file(problem, file, why);
}

/* --- what the library is told --- */

/* Nobody sits at the terminal to be asked for a key's password. */
/* NOLINTNEXTLINE(readability-non-const-parameter): OpenSSL's */
static int no_password(char *to, int size, int is_writing, void *owner)
{
    (void)to;
    (void)size;
    (void)is_writing;
    (void)owner;
    return 0;
}

void tls_context_harden(SSL_CTX *context, enum tls_version min_version)
{
    bool is_1_3 = min_version == TLS_1_3;
    SSL_CTX_set_security_level(context, 2);
    SSL_CTX_set_min_proto_version(context, is_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_ciphersuites(context, CIPHERS_1_3);
    SSL_CTX_set_cipher_list(context, CIPHERS_1_2);
    static char groups[] = GROUPS, signatures[] = SIGNATURES; /* the macros want no const */
    SSL_CTX_set1_groups_list(context, groups);
    SSL_CTX_set1_sigalgs_list(context, signatures);
    SSL_CTX_set_default_passwd_cb(context, no_password);
    ERR_clear_error();
}

bool tls_session_has_expired(SSL_SESSION *session)
{
    const X509 *shown = SSL_SESSION_get0_peer(session);
    return shown && X509_cmp_current_time(X509_get0_notAfter(shown)) <= 0;
}

/* What a client asks for in its hello (RFC 6066 section 3): one name, of one kind. */
static struct span asked_name(SSL *ssl)
{
    const unsigned char *bytes = NULL;
    size_t size = 0;
    if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &bytes, &size) || size < 5)
        return SPAN_NULL;
    size_t list_size = (size_t)bytes[0] << 8 | bytes[1],
           name_size = (size_t)bytes[3] << 8 | bytes[4];
    bool is_one =
        list_size == size - 2 && bytes[2] == TLSEXT_NAMETYPE_host_name && name_size == size - 5;
    return is_one ? (struct span){ (const char *)bytes + 5, name_size } : SPAN_NULL;
}

static SSL_CTX *context_named(const struct tls_contexts *contexts, struct span name)
{
    struct name_node *found = map_find_as(&contexts->names, name, struct name_node, node);
    return found ? found->context : NULL;
}

/* The one for this name, or the first. */
static SSL_CTX *context_for(const struct tls_contexts *contexts, struct span asked)
{
    char memory[TLS_SERVER_NAME_MAX + 1];
    if (asked.size == 0 || asked.size > TLS_SERVER_NAME_MAX)
        return contexts->contexts[0];
    for (size_t i = 0; i < asked.size; i++) {
        char letter = asked.data[i];
        memory[i] = (char)(letter >= 'A' && letter <= 'Z' ? letter + 'a' - 'A' : letter);
    }
    struct span name = { memory, asked.size };
    SSL_CTX *context = context_named(contexts, name);
    size_t dot = span_find(name, '.');
    if (!context && dot > 0 && dot < name.size) {
        memory[dot - 1] = '*';
        context = context_named(contexts, span_from(name, dot - 1));
    }
    return context ? context : contexts->contexts[0];
}

/* NOLINTNEXTLINE(readability-non-const-parameter): OpenSSL's */
static int on_hello(SSL *ssl, int *alert, void *owner)
{
    const struct tls_contexts *contexts = owner;
    (void)alert;
    SSL_CTX *context = context_for(contexts, asked_name(ssl));
    if (context != SSL_get_SSL_CTX(ssl) && !SSL_set_SSL_CTX(ssl, context))
        return SSL_CLIENT_HELLO_ERROR;
    return SSL_CLIENT_HELLO_SUCCESS;
}

/* A protocol that is none of ours is refused: its client would take our answers for something else
 * (RFC 7301 section 3.2). */
static int on_alpn(SSL *ssl, const unsigned char **ret_chosen, unsigned char *ret_size,
                   const unsigned char *offered, unsigned offered_size, void *owner)
{
    static const unsigned char ours[] = "\x02h2\x08http/1.1";
    const struct tls_contexts *contexts = owner;
    unsigned skipped = contexts->is_http1_only ? 3 : 0;
    unsigned char *chosen = NULL;
    (void)ssl;
    int r = SSL_select_next_proto(&chosen, ret_size, ours + skipped,
                                  (unsigned)sizeof(ours) - 1 - skipped, offered, offered_size);
    *ret_chosen = chosen;
    return r == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* --- building --- */

struct tls_contexts *tls_contexts_ref(struct tls_contexts *contexts)
{
    atomic_fetch_add(&contexts->n_refs, 1);
    return contexts;
}

struct tls_contexts *tls_contexts_unref(struct tls_contexts *contexts)
{
    if (!contexts || atomic_fetch_sub(&contexts->n_refs, 1) > 1)
        return NULL;
    for (unsigned i = 0; i < contexts->n; i++)
        SSL_CTX_free(contexts->contexts[i]);
    map_fini(&contexts->names);
    tls_tickets_unref(contexts->tickets);
    struct arena arena = contexts->arena;
    arena_fini(&arena);
    free(contexts);
    return NULL;
}
DEFINE_CLEANUP(struct tls_contexts *, tls_contexts_unref);

static void add_name(struct tls_contexts *contexts, struct span name, SSL_CTX *context)
{
    if (name.size == 0 || name.size > TLS_SERVER_NAME_MAX)
        return;
    char *text = arena_alloc(&contexts->arena, 1, name.size);
    for (size_t i = 0; i < name.size; i++) {
        char letter = name.data[i];
        text[i] = (char)(letter >= 'A' && letter <= 'Z' ? letter + 'a' - 'A' : letter);
    }
    struct span key = { text, name.size };
    if (map_find(&contexts->names, key))
        return; /* of two certificates for one name the first serves */
    struct name_node *node = arena_alloc(&contexts->arena, 1, sizeof(*node));
    node->context = context;
    map_add(&contexts->names, &node->node, key);
}

static void add_names(struct tls_contexts *contexts, SSL_CTX *context)
{
    X509 *certificate = SSL_CTX_get0_certificate(context);
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_DNS)
            continue;
        const ASN1_STRING *text = name->d.dNSName;
        add_name(contexts,
                 (struct span){ (const char *)ASN1_STRING_get0_data(text),
                                (size_t)ASN1_STRING_length(text) },
                 context);
    }
    GENERAL_NAMES_free(names);
}

static unix_msec milliseconds_of(const ASN1_TIME *time)
{
    struct tm parts = { 0 };
    return ASN1_TIME_to_tm(time, &parts) == 1 ? (unix_msec)timegm(&parts) * 1000 : 0;
}

static int check_time(struct tls_contexts *contexts, SSL_CTX *context, const char *file,
                      unix_msec now, struct problem *problem)
{
    const X509 *certificate = SSL_CTX_get0_certificate(context);
    unix_msec from = milliseconds_of(X509_get0_notBefore(certificate));
    unix_msec until = milliseconds_of(X509_get0_notAfter(certificate));
    if (now && until <= now)
        return tls_refuse_file(problem, file, "is a certificate that has expired");
    if (now && from > now)
        return tls_refuse_file(problem, file, "is a certificate that is not valid yet");
    if (!contexts->expires || until < contexts->expires)
        contexts->expires = until;
    return 0;
}

static int load_pair(SSL_CTX *context, const struct tls_pair *pair, struct problem *problem)
{
    if (SSL_CTX_use_certificate_chain_file(context, pair->certificate) != 1)
        return tls_refuse_content(problem, pair->certificate, "cannot be read as a certificate");
    if (SSL_CTX_use_PrivateKey_file(context, pair->key, SSL_FILETYPE_PEM) != 1) {
        unsigned long code = ERR_peek_last_error();
        if (ERR_GET_REASON(code) != X509_R_KEY_VALUES_MISMATCH &&
            ERR_GET_REASON(code) != X509_R_KEY_TYPE_MISMATCH)
            return tls_refuse_content(problem, pair->key, "cannot be read as a private key");
        ERR_clear_error();
        return tls_refuse_file(problem, pair->key, "is not the key of the certificate");
    }
    /* A key of another kind than the certificate's is taken, and the certificate forgotten. */
    if (SSL_CTX_check_private_key(context) != 1) {
        ERR_clear_error();
        return tls_refuse_file(problem, pair->key, "is not the key of the certificate");
    }
    return 0;
}

/* Each authority of a chain must have its list: one that nobody has is no proof. */
static int load_revoked(SSL_CTX *context, const char *file, struct problem *problem)
{
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    X509_LOOKUP *lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
    if (!lookup || X509_load_crl_file(lookup, file, X509_FILETYPE_PEM) < 1)
        return tls_refuse_content(problem, file, "cannot be read as lists of what is revoked");
    X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    return 0;
}

static int load_authorities(SSL_CTX *context, const struct tls_server_settings *settings,
                            struct problem *problem)
{
    if (settings->client_auth == TLS_CLIENT_OFF)
        return 0;
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(settings->client_ca);
    if (!names || SSL_CTX_load_verify_file(context, settings->client_ca) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return tls_refuse_content(problem, settings->client_ca, "cannot be read as certificates");
    }
    SSL_CTX_set_client_CA_list(context, names);
    int mode = SSL_VERIFY_PEER;
    if (settings->client_auth == TLS_CLIENT_REQUIRED)
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_verify(context, mode, NULL);
    return settings->client_crl ? load_revoked(context, settings->client_crl, problem) : 0;
}

/* Appends what is in the file. */
static int bind_file(struct buf *bound, const char *file, struct problem *problem)
{
    CLEANUP(buf_fini) struct buf bytes = { .limit = CA_FILE_MAX };
    uint8_t digest[SHA256_SIZE];
    if (file_read(AT_FDCWD, file, &bytes))
        return tls_refuse_file(problem, file, "cannot be read");
    hash_sha256(buf_span(&bytes), digest);
    buf_put(bound, (struct span){ (const char *)digest, sizeof(digest) });
    return 0;
}

/* What a session is bound to. */
static int bind_sessions(SSL_CTX *context, const char *name, const struct tls_pair *pair,
                         const struct tls_server_settings *settings, struct problem *problem)
{
    CLEANUP(buf_fini) struct buf bound = { 0 };
    uint8_t digest[SHA256_SIZE];
    int r = 0;
    if (settings->client_auth != TLS_CLIENT_OFF)
        r = bind_file(&bound, settings->client_ca, problem);
    if (!r && settings->client_crl)
        r = bind_file(&bound, settings->client_crl, problem);
    if (r)
        return r;
    buf_printf(&bound, "|%s|%s|%d", name, pair->certificate, (int)settings->client_auth);
    hash_sha256(buf_span(&bound), digest);
    SSL_CTX_set_session_id_context(context, digest, sizeof(digest));
    return 0;
}

static int add_pair(struct tls_contexts *contexts, const char *name, const struct tls_pair *pair,
                    const struct tls_server_settings *settings, struct problem *problem)
{
    SSL_CTX *context = SSL_CTX_new_ex(NULL, tls_schedule_properties(), TLS_server_method());
    if (!context)
        return tls_refuse_content(problem, pair->certificate, "cannot be served");
    contexts->contexts[contexts->n++] = context;
    tls_context_harden(context, settings->min_version);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context, 1);
    SSL_CTX_set_mode(context, SSL_MODE_NO_AUTO_CHAIN); /* the chain is what is in the file */
    SSL_CTX_set_client_hello_cb(context, on_hello, contexts);
    SSL_CTX_set_alpn_select_cb(context, on_alpn, contexts);
    tls_tickets_serve(contexts->tickets, context);
    int r = load_pair(context, pair, problem);
    if (!r)
        r = load_authorities(context, settings, problem);
    if (!r)
        r = bind_sessions(context, name, pair, settings, problem);
    return r;
}

int tls_contexts_new(const char *name, const struct tls_server_settings *settings,
                     struct tls_tickets *tickets, unix_msec now, struct tls_contexts **ret_contexts,
                     struct problem *problem)
{
    CLEANUP(tls_contexts_unrefp) struct tls_contexts *contexts = mem_new(struct tls_contexts);
    atomic_init(&contexts->n_refs, 1);
    map_init(&contexts->names);
    contexts->tickets = tls_tickets_ref(tickets);
    contexts->is_http1_only = settings->is_http1_only;
    contexts->sealing = settings->sealing;
    contexts->contexts = arena_new_array(&contexts->arena, SSL_CTX *, settings->n_pairs);
    for (unsigned i = 0; i < settings->n_pairs; i++) {
        const struct tls_pair *pair = &settings->pairs[i];
        int r = add_pair(contexts, name, pair, settings, problem);
        if (!r)
            r = check_time(contexts, contexts->contexts[i], pair->certificate, now, problem);
        if (r)
            return r;
        add_names(contexts, contexts->contexts[i]);
    }
    *ret_contexts = steal(contexts);
    return 0;
}
