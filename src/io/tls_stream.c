/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The library reads and writes through a BIO of ours. Reading takes from the bytes that are being
 * opened, so it never waits; writing gathers in memory that all streams of a loop share, and what
 * was gathered leaves at the end of each call. Only what the socket does not take is copied into
 * memory of the stream.
 */

#include "io/tls_stream.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "io/socket.h"
#include "io/tls_contexts.h"
#include "io/tls_traffic.h"

#define HELD_MAX 4096u /* of a ticket, and of what leaves together with it */

struct tls_scratch *tls_scratch_new(void)
{
    /* Not cleared: what is never written to costs nothing. */
    struct tls_scratch *scratch = mem_resize(NULL, 1, sizeof(*scratch));
    scratch->size = 0;
    return scratch;
}

struct tls_scratch *tls_scratch_free(struct tls_scratch *scratch)
{
    free(scratch);
    return NULL;
}

const char *tls_library_reason(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    ERR_clear_error();
    return reason ? reason : "the library gives no reason";
}

/* --- out --- */

/* What the kernel took; 0 also when the other side is gone. */
static size_t send_some(struct tls_stream *stream, struct span bytes)
{
    ssize_t n;
    do {
        n = socket_send(stream->fd, bytes.data, bytes.size);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN)
        stream->is_gone = true;
    return n > 0 ? (size_t)n : 0;
}

bool tls_stream_flush(struct tls_stream *stream)
{
    stream->is_held = false;
    if (stream->unsent.size > 0 && !stream->is_gone) {
        buf_consume(&stream->unsent, send_some(stream, buf_span(&stream->unsent)));
        if (stream->unsent.size == 0)
            buf_fini(&stream->unsent);
    }
    return !stream->is_gone;
}

void tls_stream_push(struct tls_stream *stream)
{
    struct tls_scratch *scratch = stream->scratch;
    struct span bytes = { scratch->bytes, scratch->size };
    scratch->size = 0;
    if (bytes.size == 0 || stream->is_gone)
        return;
    if (unlikely(stream->is_held)) {
        bool is_small = bytes.size <= HELD_MAX;
        if (is_small)
            buf_put(&stream->unsent, bytes);
        tls_stream_flush(stream);
        if (is_small)
            return;
    }
    if (stream->unsent.size == 0)
        bytes = span_from(bytes, send_some(stream, bytes));
    if (bytes.size > 0 && !stream->is_gone)
        buf_put(&stream->unsent, bytes);
}

/* A ticket has time. Where the request came with the end of the handshake it leaves with the answer,
 * which saves a system call and a packet; nobody waits for it meanwhile. */
static void hold_ticket(struct tls_stream *stream)
{
    struct tls_scratch *scratch = stream->scratch;
    if (scratch->size == 0 || scratch->size > HELD_MAX || stream->unsent.size > 0)
        return;
    buf_put(&stream->unsent, (struct span){ scratch->bytes, scratch->size });
    scratch->size = 0;
    stream->is_held = true;
}

size_t tls_stream_unsent(const struct tls_stream *stream)
{
    return stream->is_held ? 0 : stream->unsent.size;
}

/* --- the library's side --- */

static int bio_write(BIO *bio, const char *bytes, int size)
{
    struct tls_stream *stream = BIO_get_data(bio);
    struct tls_scratch *scratch = stream->scratch;
    struct span rest = { bytes, size > 0 ? (size_t)size : 0 };
    while (rest.size > 0) {
        if (scratch->size == sizeof(scratch->bytes))
            tls_stream_push(stream);
        struct span part = span_first(rest, sizeof(scratch->bytes) - scratch->size);
        memcpy(scratch->bytes + scratch->size, part.data, part.size);
        scratch->size += part.size;
        rest = span_from(rest, part.size);
    }
    return size;
}

static int bio_read(BIO *bio, char *to, int size)
{
    struct tls_stream *stream = BIO_get_data(bio);
    struct span part = span_first(stream->input, size > 0 ? (size_t)size : 0);
    if (part.size == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(to, part.data, part.size);
    stream->input = span_from(stream->input, part.size);
    return (int)part.size;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *bio_method(void)
{
    /* Made once and kept: it is a table of functions. */
    static _Atomic(BIO_METHOD *) method;
    BIO_METHOD *made = atomic_load(&method), *none = NULL;
    if (made)
        return made;
    made = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "stream");
    BIO_meth_set_write(made, bio_write);
    BIO_meth_set_read(made, bio_read);
    BIO_meth_set_ctrl(made, bio_control);
    if (atomic_compare_exchange_strong(&method, &none, made))
        return made;
    BIO_meth_free(made);
    return none;
}

/* Who asks for new keys over and over has us make them. What is sealed once the keys of the traffic
 * are there has used their first numbers: tickets. */
/* NOLINTNEXTLINE(readability-function-size): OpenSSL's */
static void on_message(int is_sent, int version, int kind, const void *bytes, size_t size, SSL *ssl,
                       void *owner)
{
    (void)version;
    (void)ssl;
    struct tls_stream *stream = owner;
    if (is_sent && kind == SSL3_RT_HEADER && stream->secrets.server.size > 0)
        stream->n_sealed++;
    if (!is_sent && kind == SSL3_RT_HANDSHAKE && size > 0 &&
        *(const uint8_t *)bytes == SSL3_MT_KEY_UPDATE)
        stream->n_key_updates++;
}

struct tls_stream *tls_stream_new(int fd, struct tls_scratch *scratch)
{
    struct tls_stream *stream = mem_new(struct tls_stream);
    stream->fd = fd;
    stream->scratch = scratch;
    return stream;
}

void tls_stream_attach(struct tls_stream *stream, SSL *ssl)
{
    BIO *bio = ssl ? BIO_new(bio_method()) : NULL;
    stream->ssl = ssl;
    if (!bio) {
        stream->is_broken = true;
        stream->failure = tls_library_reason();
        return;
    }
    SSL_set_app_data(ssl, stream);
    BIO_set_data(bio, stream);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_msg_callback(ssl, on_message);
    SSL_set_msg_callback_arg(ssl, stream);
}

struct tls_stream *tls_stream_free(struct tls_stream *stream)
{
    if (!stream)
        return NULL;
    SSL_free(stream->ssl);
    ERR_clear_error();
    tls_traffic_end(stream);
    tls_contexts_unref(stream->contexts);
    tls_client_unref(stream->client);
    buf_fini(&stream->unsent);
    free(stream->memory);
    free(stream);
    return NULL;
}

/* --- in --- */

static const char *name_failure(const struct tls_stream *stream)
{
    long verdict = SSL_get_verify_result(stream->ssl);
    const char *reason = tls_library_reason();
    return verdict == X509_V_OK ? reason : X509_verify_cert_error_string(verdict);
}

/* What is to be made of a call that did not do what it should. */
static enum tls_input judge(struct tls_stream *stream, int result)
{
    switch (SSL_get_error(stream->ssl, result)) {
    case SSL_ERROR_NONE:
    case SSL_ERROR_WANT_READ: return TLS_INPUT_NOTHING;
    case SSL_ERROR_ZERO_RETURN: stream->has_end = true; return TLS_INPUT_END;
    default: break;
    }
    stream->is_broken = true;
    stream->failure = name_failure(stream);
    return TLS_INPUT_BROKEN;
}

static enum tls_input shake(struct tls_stream *stream)
{
    tls_schedule_watch(stream->is_server ? &stream->secrets : NULL);
    int result = SSL_do_handshake(stream->ssl);
    tls_schedule_watch(NULL);
    if (result != 1)
        return judge(stream, result);
    stream->is_established = true;
    tls_peer_read(stream);
    if (tls_traffic_begin(stream))
        stream->contexts = tls_contexts_unref(stream->contexts);
    return TLS_INPUT_BYTES;
}

/* All that the input holds, record by record. */
static enum tls_input read_records(struct tls_stream *stream, char *to, size_t capacity,
                                   size_t *ret_size)
{
    while (stream->input.size > 0) {
        size_t n = 0;
        int result = SSL_read_ex(stream->ssl, to + *ret_size, capacity - *ret_size, &n);
        *ret_size += n;
        if (unlikely(stream->n_key_updates > TLS_KEY_UPDATES_MAX)) {
            stream->is_broken = true;
            stream->failure = TLS_KEY_UPDATES_TEXT;
            return TLS_INPUT_BROKEN;
        }
        if (result != 1)
            return judge(stream, result);
    }
    return TLS_INPUT_NOTHING;
}

/* A server's first bytes. A record of TLS begins with no letter, and each method does. */
static bool begin(struct tls_stream *stream)
{
    bool is_letter =
        stream->input.size > 0 && stream->input.data[0] >= 'A' && stream->input.data[0] <= 'Z';
    if (!is_letter)
        return tls_server_begin(stream);
    stream->is_broken = stream->is_plain = true;
    stream->failure = "a request in plain text";
    return false;
}

enum tls_input tls_stream_open(struct tls_stream *stream, struct span records, char *to,
                               size_t capacity, size_t *ret_size)
{
    enum tls_input answer = TLS_INPUT_BYTES;
    bool is_shaking = !stream->is_established;
    *ret_size = 0;
    if (stream->is_broken)
        return TLS_INPUT_BROKEN;
    if (stream->has_end)
        return TLS_INPUT_END;
    stream->input = records;
    if (unlikely(is_shaking))
        answer = stream->ssl || begin(stream) ? shake(stream) : TLS_INPUT_BROKEN;
    if (answer == TLS_INPUT_BYTES && likely(!stream->ssl))
        answer = tls_traffic_open(stream, stream->input, to, capacity, ret_size);
    else if (answer == TLS_INPUT_BYTES)
        answer = read_records(stream, to, capacity, ret_size);
    stream->input = SPAN_NULL;
    if (unlikely(is_shaking) && *ret_size > 0 && stream->is_server)
        hold_ticket(stream);
    tls_stream_push(stream);
    return answer == TLS_INPUT_NOTHING && *ret_size > 0 ? TLS_INPUT_BYTES : answer;
}

enum tls_input tls_stream_end(const struct tls_stream *stream)
{
    bool is_end = !stream->is_broken && (stream->is_server || stream->has_end);
    return is_end ? TLS_INPUT_END : TLS_INPUT_BROKEN;
}

void tls_stream_start(struct tls_stream *stream)
{
    if (!stream->is_established && !stream->is_broken)
        (void)shake(stream);
    tls_stream_push(stream);
}

/* --- what is sent --- */

static void send_by_library(struct tls_stream *stream, const struct span *parts, unsigned n_parts)
{
    for (unsigned i = 0; i < n_parts && !stream->is_broken && !stream->is_gone; i++) {
        size_t n = 0;
        if (parts[i].size == 0)
            continue;
        int result = SSL_write_ex(stream->ssl, parts[i].data, parts[i].size, &n);
        if (result == 1)
            continue;
        stream->is_broken = true; /* the BIO takes everything, so nothing else is left */
        stream->failure = tls_library_reason();
    }
}

bool tls_stream_send(struct tls_stream *stream, const struct span *parts, unsigned n_parts)
{
    assert(stream->is_established);
    if (likely(!stream->ssl))
        tls_traffic_send(stream, parts, n_parts);
    else
        send_by_library(stream, parts, n_parts);
    tls_stream_push(stream);
    return !stream->is_broken && !stream->is_gone;
}

void tls_stream_close(struct tls_stream *stream)
{
    if (stream->has_closed || !stream->is_established || stream->is_broken || stream->is_gone)
        return;
    stream->has_closed = true;
    if (!stream->ssl)
        tls_traffic_close(stream);
    else if (SSL_shutdown(stream->ssl) < 0)
        ERR_clear_error();
    tls_stream_push(stream);
}

bool tls_stream_is_established(const struct tls_stream *stream)
{
    return stream->is_established;
}

bool tls_stream_is_over(const struct tls_stream *stream)
{
    return stream->is_broken || stream->has_end;
}

bool tls_stream_is_plain(const struct tls_stream *stream)
{
    return stream->is_plain;
}

const struct tls_peer *tls_stream_peer(const struct tls_stream *stream)
{
    return stream->is_established ? &stream->peer : NULL;
}

const char *tls_stream_failure(const struct tls_stream *stream)
{
    return stream->failure;
}
