/* SPDX-License-Identifier: Apache-2.0 */

#include "http/inlet.h"

#include <errno.h>
#include <sys/socket.h>

#define KEPT_RECEIVE_SIZE 16384u

int inlet_receive(struct inlet *inlet, int fd, char *hot, size_t size, struct spares *spares,
                  struct span *ret_bytes)
{
    bool is_hot = fifo_size(&inlet->kept) == 0;
    size_t room = is_hot || size < KEPT_RECEIVE_SIZE ? size : KEPT_RECEIVE_SIZE;
    char *at = is_hot ? hot : fifo_reserve(&inlet->kept, spares, room);

    ssize_t n;
    do {
        n = recv(fd, at, room, 0);
    } while (n < 0 && errno == EINTR);

    /* Less than asked for means that the socket is empty and the next byte is an event, unless the
     * end of the stream came with the event we are in: that one will not be told again. */
    if (n < (ssize_t)room && (n <= 0 || !inlet->is_ending))
        inlet->is_readable = false;
    if (n < 0)
        return errno == EAGAIN ? INLET_NOTHING : INLET_GONE;
    if (n == 0)
        return INLET_END;

    if (!is_hot)
        fifo_grow(&inlet->kept, (size_t)n);
    *ret_bytes = is_hot ? (struct span){ hot, (size_t)n } : fifo_span(&inlet->kept);
    return INLET_BYTES;
}

void inlet_settle(struct inlet *inlet, struct spares *spares, struct span bytes, size_t used)
{
    if (fifo_size(&inlet->kept) > 0)
        fifo_consume(&inlet->kept, spares, used);
    else
        fifo_append(&inlet->kept, spares, span_from(bytes, used));
}
