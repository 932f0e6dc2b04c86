/* SPDX-License-Identifier: Apache-2.0 */

/* What a client says first, whole and in two pieces: the same becomes of it, no stream is
 * established by it, and one that broke stays so. */

#include <stdlib.h>

#include "../unit/fake/certificate.h"
#include "io/tls.h"
#include "property.h"

static struct tls_server *server;
static struct tls_scratch *scratch;

static void begin(void)
{
    struct certificate certificate;
    if (server)
        return;
    PROPERTY(certificate_make(&certificate, "DNS:a.example,DNS:*.b.example"));
    const struct tls_pair pair = { certificate.file, certificate.key };
    const struct tls_server_settings settings = { .pairs = &pair, .n_pairs = 1 };
    struct tls_tickets *tickets = tls_tickets_new(clock_system());
    PROPERTY(tls_server_new("fuzz", &settings, tickets, &server, NULL) == 0);
    tls_tickets_unref(tickets);
    certificate_remove(&certificate);
    scratch = tls_scratch_new();
}

static enum tls_input open_in_two(const uint8_t *data, size_t size, size_t split)
{
    static char to[TLS_RECORD_ROOM + 65536];
    size_t n = 0;
    struct span all = { (const char *)data, size };
    struct tls_stream *stream = tls_stream_accept(server, -1, scratch);
    enum tls_input input = TLS_INPUT_NOTHING;
    if (split > 0)
        input = tls_stream_open(stream, span_first(all, split), to, sizeof(to), &n);
    PROPERTY(n == 0);
    if (input == TLS_INPUT_NOTHING)
        input = tls_stream_open(stream, span_from(all, split), to, sizeof(to), &n);
    PROPERTY(n == 0 && !tls_stream_is_established(stream) && !tls_stream_peer(stream));
    PROPERTY((input == TLS_INPUT_BROKEN) == (tls_stream_failure(stream) != NULL));
    if (input == TLS_INPUT_BROKEN)
        PROPERTY(tls_stream_open(stream, all, to, sizeof(to), &n) == TLS_INPUT_BROKEN);
    tls_stream_free(stream);
    return input;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    begin();
    if (size < 2)
        return 0;
    size_t split = data[0] * (size - 1) / 256;
    enum tls_input whole = open_in_two(data + 1, size - 1, 0);
    PROPERTY(whole == open_in_two(data + 1, size - 1, split));
    return 0;
}
