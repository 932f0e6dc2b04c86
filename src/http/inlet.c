/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Records are received behind the place where their contents go: what was kept of an earlier one is
 * opened in front of them, and nothing is opened over what is not read yet.
 *
 * A receive may bring no byte of the peer's (half a record, a handshake, a ticket), so it goes on
 * until there is one or the socket is empty. Where the end lies behind bytes it is told by the next
 * receive, for which the inlet stays readable.
 */

#include "http/inlet.h"

#include "io/tls.h"

#define RECORDS_MAX (INLET_HOT_SIZE - TLS_RECORD_ROOM)

/* What the socket's end means. */
static int end_of(const struct inlet *inlet, ssize_t n)
{
    if (n < 0)
        return INLET_GONE;
    return tls_stream_end(inlet->tls) == TLS_INPUT_END ? INLET_END : INLET_GONE;
}

static int use(struct inlet *inlet, struct spares *spares, struct span bytes,
               struct span *ret_bytes)
{
    *ret_bytes = bytes;
    if (fifo_size(&inlet->kept) > 0) {
        fifo_append(&inlet->kept, spares, bytes);
        *ret_bytes = fifo_span(&inlet->kept);
    }
    return INLET_BYTES;
}

static ssize_t receive(int fd, char *at, size_t max)
{
    ssize_t n;
    do {
        n = socket_receive(fd, at, max);
    } while (n < 0 && errno == EINTR);
    return n;
}

int inlet_receive_tls(struct inlet *inlet, int fd, char *hot, size_t size, struct spares *spares,
                      struct span *ret_bytes)
{
    char *at = hot + TLS_RECORD_ROOM;
    size_t max = size < RECORDS_MAX ? size : RECORDS_MAX;
    while (inlet->is_readable) {
        size_t n_open = 0;
        ssize_t n = 0;
        if (!tls_stream_is_over(inlet->tls))
            n = receive(fd, at, max);
        if (n < (ssize_t)max && (n <= 0 || !inlet->is_ending))
            inlet->is_readable = false;
        if (n < 0 && errno == EAGAIN)
            return INLET_NOTHING;
        if (n <= 0)
            return end_of(inlet, n);
        enum tls_input input = tls_stream_open(inlet->tls, (struct span){ at, (size_t)n }, hot,
                                               INLET_HOT_SIZE, &n_open);
        if (input >= TLS_INPUT_END)
            inlet->is_readable = true; /* to come here once more */
        if (n_open > 0)
            return use(inlet, spares, (struct span){ hot, n_open }, ret_bytes);
    }
    return INLET_NOTHING;
}
