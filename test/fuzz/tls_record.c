/* SPDX-License-Identifier: Apache-2.0 */

/* What a client says behind its handshake: records that are sealed rightly, with any inside, or
 * bytes as they are. Whole and in two pieces the same comes of it, and one that broke stays so. */

#include "io/tls_record.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "io/tls_traffic.h"
#include "property.h"

#define INPUT_MAX 65536u

static const struct tls_secret secret = { .size = 32, .bytes = "as good as any other" };
static struct tls_scratch *scratch;
static int gone = -1; /* a socket that takes nothing */

static void begin(void)
{
    int fds[2];
    if (scratch)
        return;
    scratch = tls_scratch_new();
    PROPERTY(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    close(fds[1]);
    gone = fds[0];
}

/* Each piece is a kind, a length and as many bytes: a record's inside, or what is no record. */
static void compose(struct span input, struct buf *to)
{
    static char record[TLS_CONTENT_MAX + TLS_RECORD_EXTRA];
    struct tls_keys keys = { 0 };
    PROPERTY(tls_keys_init(&keys, TLS_AES_128_GCM, &secret, true));
    while (input.size > 0 && to->size < INPUT_MAX) {
        uint8_t kind = cut_byte(&input);
        size_t size = cut_byte(&input) * (kind & 0x80 ? 64u : 1u);
        struct span piece = span_first(input, size);
        input = span_from(input, piece.size);
        if (kind & 0x40) {
            buf_put(to, piece);
            continue;
        }
        size = tls_record_seal(&keys, (enum tls_content)(kind & 0x1f), piece, record);
        buf_put(to, (struct span){ record, size });
        if ((kind & 0x1f) == TLS_HANDSHAKE && piece.size == 5 && piece.data[0] == 24)
            PROPERTY(tls_keys_update(&keys));
    }
    tls_keys_fini(&keys);
}

struct outcome {
    enum tls_input last;
    size_t size;
    const char *failure;
    char bytes[INPUT_MAX + TLS_CONTENT_MAX];
};

static void open_in_two(struct span all, size_t split, struct outcome *outcome)
{
    static char hot[TLS_RECORD_ROOM + INPUT_MAX + 2 * TLS_CONTENT_MAX];
    struct tls_stream *stream = mem_new(struct tls_stream);
    const struct span pieces[] = { span_first(all, split), span_from(all, split) };
    stream->fd = gone;
    stream->scratch = scratch;
    stream->is_server = stream->is_established = true;
    PROPERTY(tls_keys_init(&stream->in, TLS_AES_128_GCM, &secret, false));
    PROPERTY(tls_keys_init(&stream->out, TLS_AES_128_GCM, &secret, true));
    outcome->size = 0;
    for (unsigned i = 0; i < 2; i++) {
        size_t n;
        if (pieces[i].size > 0)
            memcpy(hot + TLS_RECORD_ROOM, pieces[i].data, pieces[i].size);
        outcome->last = tls_stream_open(
            stream, (struct span){ hot + TLS_RECORD_ROOM, pieces[i].size }, hot, sizeof(hot), &n);
        PROPERTY(outcome->size + n <= all.size);
        memcpy(outcome->bytes + outcome->size, hot, n);
        outcome->size += n;
        PROPERTY((outcome->last == TLS_INPUT_BYTES) == (n > 0) || outcome->last >= TLS_INPUT_END);
    }
    outcome->failure = tls_stream_failure(stream);
    PROPERTY((outcome->last == TLS_INPUT_BROKEN) == (outcome->failure != NULL));
    PROPERTY(stream->record.size <= TLS_RECORD_HEAD + TLS_SEALED_MAX);
    tls_stream_free(stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct outcome whole, cut;
    struct span input = input_of(data, size);
    struct buf records = { 0 };
    begin();
    uint8_t at = cut_byte(&input);
    compose(input, &records);
    if (records.size < INPUT_MAX + TLS_CONTENT_MAX) {
        open_in_two(buf_span(&records), 0, &whole);
        open_in_two(buf_span(&records), at * records.size / 256, &cut);
        PROPERTY(whole.size == cut.size && memcmp(whole.bytes, cut.bytes, cut.size) == 0);
        PROPERTY(whole.failure == cut.failure);
        PROPERTY((whole.last >= TLS_INPUT_END) == (cut.last >= TLS_INPUT_END));
    }
    buf_fini(&records);
    return 0;
}
