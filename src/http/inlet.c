/* SPDX-License-Identifier: Apache-2.0 */

#include "http/inlet.h"

#include <errno.h>
#include <sys/socket.h>

int inlet_receive(struct inlet *inlet, int fd, char *hot, size_t size, struct spares *spares,
                  struct span *ret_bytes)
{
    ssize_t n;
    do {
        n = recv(fd, hot, size, 0);
    } while (n < 0 && errno == EINTR);

    /* Less than asked for means that the socket is empty and the next byte is an event, unless the
     * end of the stream came with the event we are in: that one will not be told again. */
    if (n < (ssize_t)size && (n <= 0 || !inlet->is_ending))
        inlet->is_readable = false;
    if (n < 0)
        return errno == EAGAIN ? INLET_NOTHING : INLET_GONE;
    if (n == 0)
        return INLET_END;

    *ret_bytes = (struct span){ hot, (size_t)n };
    if (unlikely(fifo_size(&inlet->kept) > 0)) {
        fifo_append(&inlet->kept, spares, *ret_bytes);
        *ret_bytes = fifo_span(&inlet->kept);
    }
    return INLET_BYTES;
}

void inlet_settle(struct inlet *inlet, struct spares *spares, struct span bytes, size_t used)
{
    if (unlikely(fifo_size(&inlet->kept) > 0))
        fifo_consume(&inlet->kept, spares, used);
    else if (unlikely(used < bytes.size))
        fifo_append(&inlet->kept, spares, span_from(bytes, used));
}
