/* SPDX-License-Identifier: Apache-2.0 */

#include "http/outlet.h"

#include <assert.h>
#include <errno.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define SENDFILE_SIZE (1u << 30) /* the kernel takes what the socket has room for */

/* What sendmsg() took, 0 when it would block; negative when the peer is gone. */
static ssize_t send_parts(int fd, struct span parts[3])
{
    struct iovec iov[3];
    size_t n_iov = 0;
    for (size_t i = 0; i < 3; i++) {
        if (parts[i].size == 0)
            continue;
        /* struct iovec serves both directions and so has no const. */
        union {
            const void *from;
            void *to;
        } base = { parts[i].data };
        iov[n_iov++] = (struct iovec){ base.to, parts[i].size };
    }
    struct msghdr message = { .msg_iov = iov, .msg_iovlen = n_iov };
    ssize_t n;
    do {
        n = n_iov == 1 ? send(fd, iov[0].iov_base, iov[0].iov_len, MSG_NOSIGNAL)
                       : sendmsg(fd, &message, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n < 0 && errno == EAGAIN ? 0 : n;
}

int outlet_send(struct outlet *outlet, int fd, struct spares *spares, struct span bytes,
                struct span tail)
{
    size_t n_kept = fifo_size(&outlet->kept), n_all = n_kept + bytes.size + tail.size;
    size_t sent = 0;
    assert(!outlet->has_file || n_all == n_kept);
    if (n_all == 0)
        return 0;
    if (!outlet->is_blocked) {
        struct span parts[3] = { n_kept ? fifo_span(&outlet->kept) : SPAN_NULL, bytes, tail };
        ssize_t n = send_parts(fd, parts);
        if (n < 0)
            return OUTLET_GONE;
        sent = (size_t)n;
        outlet->is_blocked = sent < n_all;
    }

    size_t from_kept = sent < n_kept ? sent : n_kept;
    if (n_kept > 0)
        fifo_consume(&outlet->kept, spares, from_kept);
    sent -= from_kept;
    outlet_put(outlet, spares, span_from(bytes, sent));
    outlet_put(outlet, spares, span_from(tail, sent > bytes.size ? sent - bytes.size : 0));
    return 0;
}

void outlet_put_file(struct outlet *outlet, int file_fd, uint64_t offset, uint64_t size)
{
    assert(!outlet->has_file);
    outlet->has_file = true;
    outlet->file_fd = file_fd;
    outlet->file_offset = offset;
    outlet->file_left = size;
}

static void outlet_close_file(struct outlet *outlet)
{
    if (outlet->has_file)
        close(outlet->file_fd);
    outlet->has_file = false;
}

static int outlet_flush_file(struct outlet *outlet, int fd)
{
    while (outlet->file_left > 0) {
        size_t size = outlet->file_left < SENDFILE_SIZE ? (size_t)outlet->file_left : SENDFILE_SIZE;
        off_t offset = (off_t)outlet->file_offset;
        ssize_t n = sendfile(fd, outlet->file_fd, &offset, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            outlet->is_blocked = true;
            return 0;
        }
        if (n <= 0)
            return n == 0 ? OUTLET_SHORT : OUTLET_GONE;
        outlet->file_offset += (uint64_t)n;
        outlet->file_left -= (uint64_t)n;
    }
    outlet_close_file(outlet);
    return 0;
}

int outlet_flush(struct outlet *outlet, int fd, struct spares *spares)
{
    if (outlet->is_blocked)
        return 0;
    int r = outlet_send(outlet, fd, spares, SPAN_NULL, SPAN_NULL);
    if (r)
        return r;
    if (!outlet->has_file || outlet->is_blocked)
        return 0;
    return outlet_flush_file(outlet, fd);
}

void outlet_fini(struct outlet *outlet, struct spares *spares)
{
    fifo_consume(&outlet->kept, spares, fifo_size(&outlet->kept));
    outlet_close_file(outlet);
}
