/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The library reads no byte further than the record it is at, so what it has not taken when the
 * handshake is done begins with the client's first record under the keys of the traffic. Of ours it
 * has sealed the tickets by then, which were counted.
 *
 * A record that is not complete is kept and completed by itself, so a receive of many copies two at
 * most. One that was kept is opened in front of the others: that is why there is room for two
 * before what is received, and no record is ever opened over bytes that are to be opened yet.
 */

#include "io/tls_traffic.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "io/tls_contexts.h"
#include "io/tls_kernel.h"

#define EMPTY_RECORDS_MAX 32u /* one after another: they cost us, and say nothing */
#define WARNINGS_MAX 5u
#define KEY_UPDATE 24u
#define KEY_UPDATE_SIZE 5u

/* --- beginning --- */

static bool suite_of(const SSL *ssl, enum tls_suite *ret_suite)
{
    switch (SSL_CIPHER_get_id(SSL_get_current_cipher(ssl))) {
    case TLS1_3_CK_AES_128_GCM_SHA256: *ret_suite = TLS_AES_128_GCM; return true;
    case TLS1_3_CK_AES_256_GCM_SHA384: *ret_suite = TLS_AES_256_GCM; return true;
    case TLS1_3_CK_CHACHA20_POLY1305_SHA256: *ret_suite = TLS_CHACHA20_POLY1305; return true;
    default: return false;
    }
}

/* What is sealed already goes first, or it would be sealed again. */
static void give_to_kernel(struct tls_stream *stream)
{
    tls_stream_push(stream);
    if (stream->unsent.size > 0 || stream->is_gone || !tls_kernel_take(stream->fd, &stream->out))
        return;
    EVP_CIPHER_CTX_free(stream->out.cipher);
    stream->out.cipher = NULL;
    stream->is_kernels = true;
}

bool tls_traffic_begin(struct tls_stream *stream)
{
    enum tls_suite suite;
    SSL *ssl = stream->ssl;
    bool can = stream->is_server && SSL_version(ssl) == TLS1_3_VERSION && suite_of(ssl, &suite) &&
               stream->secrets.client.size && stream->secrets.server.size && !SSL_has_pending(ssl);
    if (can) {
        can = tls_keys_init(&stream->in, suite, &stream->secrets.client, false) &&
              tls_keys_init(&stream->out, suite, &stream->secrets.server, true);
        stream->out.number = stream->n_sealed;
        stream->out.n_left -= stream->n_sealed;
    }
    OPENSSL_cleanse(&stream->secrets, sizeof(stream->secrets));
    if (!can) {
        tls_traffic_end(stream);
        ERR_clear_error();
        return false;
    }
    SSL_free(ssl);
    stream->ssl = NULL;
    if (stream->contexts->sealing == TLS_SEALING_KERNEL)
        give_to_kernel(stream);
    return true;
}

void tls_traffic_end(struct tls_stream *stream)
{
    tls_keys_fini(&stream->in);
    tls_keys_fini(&stream->out);
    buf_fini(&stream->record);
    OPENSSL_cleanse(&stream->secrets, sizeof(stream->secrets));
}

/* --- sealing --- */

/* Where the next record is written to. */
static char *room_for(struct tls_stream *stream, size_t content_size)
{
    struct tls_scratch *scratch = stream->scratch;
    if (sizeof(scratch->bytes) - scratch->size < content_size + TLS_RECORD_EXTRA)
        tls_stream_push(stream);
    return scratch->bytes + scratch->size;
}

static void seal(struct tls_stream *stream, enum tls_content type, struct span content, char *to)
{
    size_t size = tls_record_seal(&stream->out, type, content, to);
    stream->scratch->size += size;
    if (likely(size > 0))
        return;
    stream->is_broken = true;
    stream->failure = tls_library_reason();
}

/* The kernel takes it now or never: behind what waits in the stream it has no place. */
static bool say_by_kernel(struct tls_stream *stream, enum tls_content type, struct span content)
{
    if (stream->out.n_left > 0)
        stream->out.n_left--;
    return stream->unsent.size == 0 && tls_kernel_say(stream->fd, type, content);
}

static void seal_message(struct tls_stream *stream, enum tls_content type, const void *bytes,
                         size_t size)
{
    if (unlikely(stream->is_kernels)) {
        if (!say_by_kernel(stream, type, (struct span){ bytes, size }) && type == TLS_HANDSHAKE) {
            stream->is_broken = true;
            stream->failure = "the kernel takes no message";
        }
        return;
    }
    char *to = room_for(stream, size);
    memcpy(to + TLS_RECORD_HEAD, bytes, size);
    seal(stream, type, (struct span){ to + TLS_RECORD_HEAD, size }, to);
}

/* Asks for no update in return, so two that do this do not go on for ever. */
static void update_own_keys(struct tls_stream *stream)
{
    static const uint8_t message[KEY_UPDATE_SIZE] = { KEY_UPDATE, 0, 0, 1, 0 };
    seal_message(stream, TLS_HANDSHAKE, message, sizeof(message));
    if (stream->is_broken)
        return;
    if (tls_keys_update(&stream->out) &&
        (!stream->is_kernels || tls_kernel_take(stream->fd, &stream->out)))
        return;
    stream->is_broken = true;
    stream->failure = stream->is_kernels ? "the kernel takes no new keys" : tls_library_reason();
}

static void count_records(struct tls_keys *keys, size_t size)
{
    size_t n = size / TLS_CONTENT_MAX + 1;
    keys->n_left = keys->n_left > n ? keys->n_left - (uint32_t)n : 0;
}

#define PARTS_MAX 8u

/* What the kernel takes of the parts; the rest waits as it is. */
static void send_by_kernel(struct tls_stream *stream, const struct span *parts, unsigned n_parts)
{
    struct iovec iov[PARTS_MAX];
    size_t sent = 0;
    assert(n_parts <= PARTS_MAX);
    if (unlikely(stream->out.n_left == 0))
        update_own_keys(stream);
    if (stream->is_broken)
        return;
    for (unsigned i = 0; i < n_parts; i++) {
        union {
            const char *from;
            void *to;
        } base = { parts[i].data };
        iov[i] = (struct iovec){ base.to, parts[i].size };
        count_records(&stream->out, parts[i].size);
    }
    if (stream->unsent.size == 0) {
        struct msghdr message = { .msg_iov = iov, .msg_iovlen = n_parts };
        ssize_t n;
        do {
            n = sendmsg(stream->fd, &message, MSG_NOSIGNAL);
        } while (n < 0 && errno == EINTR);
        stream->is_gone = n < 0 && errno != EAGAIN;
        sent = n > 0 ? (size_t)n : 0;
    }
    for (unsigned i = 0; i < n_parts && !stream->is_gone; i++) {
        size_t from_this = sent < parts[i].size ? sent : parts[i].size;
        struct span rest = span_from(parts[i], from_this);
        sent -= from_this;
        if (rest.size > 0)
            buf_put(&stream->unsent, rest);
    }
}

bool tls_stream_takes_files(const struct tls_stream *stream)
{
    return stream->is_kernels;
}

void tls_stream_note_file(struct tls_stream *stream, size_t size)
{
    count_records(&stream->out, size);
}

/* What is left to send. */
struct rest {
    const struct span *parts;
    unsigned n_parts;
    struct span first; /* of the parts: what is left of it */
};

static void skip_empty(struct rest *rest)
{
    while (rest->first.size == 0 && rest->n_parts > 1) {
        rest->parts++;
        rest->n_parts--;
        rest->first = rest->parts[0];
    }
}

/* The next record's content: a full one from where it lies, small parts put together in place. */
static struct span next_content(struct rest *rest, char *place)
{
    struct span content = { place, 0 };
    if (rest->first.size >= TLS_CONTENT_MAX) {
        content = span_first(rest->first, TLS_CONTENT_MAX);
        rest->first = span_from(rest->first, TLS_CONTENT_MAX);
        skip_empty(rest);
        return content;
    }
    while (rest->first.size > 0 && content.size < TLS_CONTENT_MAX) {
        struct span piece = span_first(rest->first, TLS_CONTENT_MAX - content.size);
        memcpy(place + content.size, piece.data, piece.size);
        content.size += piece.size;
        rest->first = span_from(rest->first, piece.size);
        skip_empty(rest);
    }
    return content;
}

void tls_traffic_send(struct tls_stream *stream, const struct span *parts, unsigned n_parts)
{
    if (n_parts == 0)
        return;
    if (unlikely(stream->is_kernels)) {
        send_by_kernel(stream, parts, n_parts);
        return;
    }
    struct rest rest = { parts, n_parts, parts[0] };
    skip_empty(&rest);
    while (rest.first.size > 0 && !stream->is_broken && !stream->is_gone) {
        if (unlikely(stream->out.n_left == 0))
            update_own_keys(stream);
        char *to = room_for(stream, TLS_CONTENT_MAX);
        seal(stream, TLS_APPLICATION_DATA, next_content(&rest, to + TLS_RECORD_HEAD), to);
    }
}

void tls_traffic_close(struct tls_stream *stream)
{
    static const uint8_t message[] = { SSL3_AL_WARNING, TLS_CLOSE_NOTIFY };
    seal_message(stream, TLS_ALERT, message, sizeof(message));
}

/* --- opening --- */

static const char *text_of(enum tls_alert alert)
{
    switch (alert) {
    case TLS_UNEXPECTED_MESSAGE: return "an unexpected message";
    case TLS_BAD_RECORD_MAC: return "decryption failed or bad record mac";
    case TLS_RECORD_OVERFLOW: return "a record is too long";
    case TLS_ILLEGAL_PARAMETER: return "an illegal parameter in a message";
    case TLS_DECODE_ERROR: return "a message that cannot be decoded";
    case TLS_CLOSE_NOTIFY:
    case TLS_INTERNAL_ERROR:
    case TLS_USER_CANCELED: break;
    }
    return "an error of the library";
}

static enum tls_input fail(struct tls_stream *stream, enum tls_alert alert)
{
    const uint8_t message[] = { SSL3_AL_FATAL, (uint8_t)alert };
    seal_message(stream, TLS_ALERT, message, sizeof(message));
    stream->is_broken = true;
    stream->failure = text_of(alert);
    return TLS_INPUT_BROKEN;
}

static enum tls_input use_alert(struct tls_stream *stream, struct span content)
{
    if (content.size != 2)
        return fail(stream, TLS_DECODE_ERROR);
    uint8_t number = (uint8_t)content.data[1];
    if (number == TLS_CLOSE_NOTIFY) {
        stream->has_end = true;
        return TLS_INPUT_END;
    }
    if (number == TLS_USER_CANCELED && ++stream->n_idle_records <= WARNINGS_MAX)
        return TLS_INPUT_NOTHING; /* close_notify follows it */
    if (number == TLS_USER_CANCELED)
        return fail(stream, TLS_UNEXPECTED_MESSAGE);
    stream->is_broken = true;
    stream->failure = SSL_alert_desc_string_long(number);
    return TLS_INPUT_BROKEN;
}

static enum tls_input use_key_update(struct tls_stream *stream)
{
    if (stream->message[KEY_UPDATE_SIZE - 1] > 1)
        return fail(stream, TLS_ILLEGAL_PARAMETER);
    if (!tls_keys_update(&stream->in))
        return fail(stream, TLS_INTERNAL_ERROR);
    if (stream->message[KEY_UPDATE_SIZE - 1] == 1)
        stream->owes_update = true;
    if (++stream->n_key_updates <= TLS_KEY_UPDATES_MAX)
        return TLS_INPUT_NOTHING;
    stream->is_broken = true;
    stream->failure = TLS_KEY_UPDATES_TEXT;
    return TLS_INPUT_BROKEN;
}

/* A message may come in pieces. New keys begin with a record, so nothing may follow in this one. */
static enum tls_input use_handshake(struct tls_stream *stream, struct span content)
{
    static const uint8_t head[] = { KEY_UPDATE, 0, 0, 1 };
    size_t n = stream->n_message;
    if (content.size == 0 || content.size > sizeof(stream->message) - n)
        return fail(stream, TLS_UNEXPECTED_MESSAGE);
    memcpy(stream->message + n, content.data, content.size);
    n += content.size;
    if (stream->message[0] != KEY_UPDATE)
        return fail(stream, TLS_UNEXPECTED_MESSAGE);
    if (memcmp(stream->message, head, n < sizeof(head) ? n : sizeof(head)) != 0)
        return fail(stream, TLS_DECODE_ERROR);
    stream->n_message = n == KEY_UPDATE_SIZE ? 0 : (uint8_t)n;
    return n == KEY_UPDATE_SIZE ? use_key_update(stream) : TLS_INPUT_NOTHING;
}

/* Opens one record to the end of what `to` holds. */
static enum tls_input use_record(struct tls_stream *stream, struct span record, char *to,
                                 size_t *size)
{
    struct span content;
    enum tls_content type;
    enum tls_alert alert = tls_record_open(&stream->in, record, to + *size, &content, &type);
    if (unlikely(alert))
        return fail(stream, alert);
    if (likely(type == TLS_APPLICATION_DATA) && likely(content.size > 0) &&
        likely(stream->n_message == 0)) {
        *size += content.size;
        stream->n_idle_records = 0;
        return TLS_INPUT_NOTHING;
    }
    if (stream->n_message > 0 && type != TLS_HANDSHAKE)
        return fail(stream, TLS_UNEXPECTED_MESSAGE);
    switch (type) {
    case TLS_ALERT: return use_alert(stream, content);
    case TLS_HANDSHAKE: return use_handshake(stream, content);
    case TLS_APPLICATION_DATA:
        if (++stream->n_idle_records <= EMPTY_RECORDS_MAX)
            return TLS_INPUT_NOTHING;
        break;
    case TLS_CHANGE_CIPHER_SPEC: break;
    }
    return fail(stream, TLS_UNEXPECTED_MESSAGE);
}

/* Keeps up to `size` bytes of a record that was begun. */
static void keep(struct tls_stream *stream, struct span *from, size_t size)
{
    if (stream->record.size >= size)
        return;
    struct span piece = span_first(*from, size - stream->record.size);
    buf_put(&stream->record, piece);
    *from = span_from(*from, piece.size);
}

/* The next whole record, which may be the one that is kept; false when it is not complete, or not
 * one (then there is an alert). */
static bool next_record(struct tls_stream *stream, struct span *from, struct span *ret_record,
                        enum tls_alert *ret_alert)
{
    struct span at = *from;
    if (unlikely(stream->record.size > 0)) {
        keep(stream, from, TLS_RECORD_HEAD);
        at = buf_span(&stream->record);
    }
    size_t size =
        at.size < TLS_RECORD_HEAD ? TLS_RECORD_HEAD + 1 : tls_record_size(at.data, ret_alert);
    if (size == 0)
        return false;
    if (stream->record.size == 0 && at.size >= size) {
        *ret_record = span_first(at, size);
        *from = span_from(at, size);
        return true;
    }
    keep(stream, from, size);
    *ret_record = buf_span(&stream->record);
    return stream->record.size == size;
}

enum tls_input tls_traffic_open(struct tls_stream *stream, struct span records, char *to,
                                size_t capacity, size_t *ret_size)
{
    enum tls_input answer = TLS_INPUT_NOTHING;
    enum tls_alert alert = TLS_CLOSE_NOTIFY;
    struct span record;
    while (answer == TLS_INPUT_NOTHING && next_record(stream, &records, &record, &alert)) {
        assert(capacity - *ret_size >= record.size);
        answer = use_record(stream, record, to, ret_size);
        if (stream->record.size > 0)
            buf_fini(&stream->record);
    }
    (void)capacity;
    if (alert)
        answer = fail(stream, alert);
    if (unlikely(stream->owes_update) && !stream->is_broken)
        update_own_keys(stream); /* one for all that asked */
    stream->owes_update = false;
    return answer;
}
