/* SPDX-License-Identifier: Apache-2.0 */

#include "http/shake.h"

#include <string.h>

#include "http/stream.h"

/* The host of an address, without port and brackets. */
static void host_of(const struct address *address, char ret_host[ADDRESS_TEXT_MAX])
{
    char text[ADDRESS_TEXT_MAX];
    address_format(address, text);
    struct span host = span_of(text);
    while (host.size > 0 && host.data[host.size - 1] != ':')
        host.size--;
    if (host.size > 0)
        host.size--;
    if (host.size > 1 && host.data[0] == '[')
        host = (struct span){ host.data + 1, host.size - 2 };
    if (address->any.sa_family == AF_UNIX)
        host = SPAN("localhost");
    memcpy(ret_host, host.data, host.size);
    ret_host[host.size] = '\0';
}

void shake_begin(struct inlet *inlet, struct http_pool *pool, const struct http_upstream *upstream,
                 int fd, enum tls_alpn alpn)
{
    char host[ADDRESS_TEXT_MAX];
    host_of(&upstream->address, host);
    if (!pool->tls)
        pool->tls = tls_scratch_new();
    inlet->tls = tls_stream_connect(upstream->tls, host, alpn, fd, pool->tls);
    tls_stream_start(inlet->tls);
}

int shake_on(struct inlet *inlet, struct http_pool *pool, int fd)
{
    struct span bytes;
    if (!tls_stream_flush(inlet->tls))
        return SHAKE_FAILED;
    switch (inlet_receive(inlet, fd, pool->hot, INLET_RECEIVE_SIZE, &pool->spares, &bytes)) {
    case INLET_BYTES: inlet_settle(inlet, &pool->spares, bytes, 0); break;
    case INLET_END:
    case INLET_GONE: return SHAKE_FAILED;
    default: break;
    }
    return tls_stream_is_established(inlet->tls) ? SHAKE_DONE : SHAKE_MORE;
}

const char *shake_failure(const struct inlet *inlet)
{
    const char *failure = tls_stream_failure(inlet->tls);
    return failure ? failure : "it ended the connection";
}
