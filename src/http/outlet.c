/* SPDX-License-Identifier: Apache-2.0 */

#include "http/outlet.h"

#include <assert.h>
#include <errno.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "io/socket.h"

#define FILE_PIECE 65536u        /* of a file that is read to be sealed */
#define SENDFILE_SIZE (1u << 30) /* the kernel takes what the socket has room for */

/* struct iovec serves both directions and so has no const. */
static struct iovec part(struct span bytes)
{
    union {
        const void *from;
        void *to;
    } base = { bytes.data };
    return (struct iovec){ base.to, bytes.size };
}

/* What the kernel took, 0 when it would block; negative when the peer is gone. */
static ssize_t taken(ssize_t n)
{
    return n < 0 && errno == EAGAIN ? 0 : n;
}

static ssize_t send_one(int fd, struct span bytes)
{
    ssize_t n;
    do {
        n = socket_send(fd, bytes.data, bytes.size);
    } while (unlikely(n < 0) && errno == EINTR);
    return taken(n);
}

static ssize_t send_parts(int fd, struct span first, struct span second, struct span third)
{
    struct iovec iov[3] = { part(first), part(second), part(third) };
    struct msghdr message = { .msg_iov = iov, .msg_iovlen = 3 };
    ssize_t n;
    do {
        n = sendmsg(fd, &message, MSG_NOSIGNAL);
    } while (unlikely(n < 0) && errno == EINTR);
    return taken(n);
}

static int flush_kept(struct outlet *outlet, int fd, struct spares *spares)
{
    size_t size = fifo_size(&outlet->kept);
    ssize_t n = send_one(fd, fifo_span(&outlet->kept));
    if (unlikely(n < 0))
        return OUTLET_GONE;
    outlet->is_blocked = (size_t)n < size;
    fifo_consume(&outlet->kept, spares, (size_t)n);
    return 0;
}

/* By reference behind what waits: what is large is not copied, unless it has to stay. */
static int send_large(struct outlet *outlet, int fd, struct spares *spares, struct span bytes,
                      struct span tail)
{
    size_t n_kept = fifo_size(&outlet->kept), n_all = n_kept + bytes.size + tail.size;
    ssize_t n = n_kept + tail.size == 0 ? send_one(fd, bytes)
                                        : send_parts(fd, fifo_span(&outlet->kept), bytes, tail);
    if (n < 0)
        return OUTLET_GONE;
    size_t sent = (size_t)n;
    outlet->is_blocked = sent < n_all;

    size_t from_kept = sent < n_kept ? sent : n_kept;
    if (n_kept > 0)
        fifo_consume(&outlet->kept, spares, from_kept);
    sent -= from_kept;
    outlet_put(outlet, spares, span_from(bytes, sent));
    outlet_put(outlet, spares, span_from(tail, sent > bytes.size ? sent - bytes.size : 0));
    return 0;
}

/* --- over TLS --- */

static RARE int send_tls(struct outlet *outlet, struct spares *spares, struct span bytes,
                         struct span tail)
{
    struct span parts[3] = { fifo_span(&outlet->kept), bytes, tail };
    bool is_sent = tls_stream_send(outlet->tls, parts, 3);
    fifo_clear(&outlet->kept, spares);
    outlet->is_blocked = tls_stream_unsent(outlet->tls) > 0;
    return is_sent ? 0 : OUTLET_GONE;
}

static void outlet_close_file(struct outlet *outlet);

/* A piece at a time, through memory of the spares. */
static int flush_file_tls(struct outlet *outlet, struct spares *spares)
{
    struct fifo piece = { 0 };
    int answer = 0;
    while (outlet->file_left > 0 && !outlet->is_blocked && !answer) {
        size_t size = outlet->file_left < FILE_PIECE ? (size_t)outlet->file_left : FILE_PIECE;
        char *at = fifo_reserve(&piece, spares, size);
        ssize_t n = pread(outlet->file_fd, at, size, (off_t)outlet->file_offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            answer = OUTLET_SHORT;
            break;
        }
        outlet->file_offset += (uint64_t)n;
        outlet->file_left -= (uint64_t)n;
        answer = send_tls(outlet, spares, (struct span){ at, (size_t)n }, SPAN_NULL);
    }
    fifo_clear(&piece, spares);
    if (!answer && outlet->file_left == 0)
        outlet_close_file(outlet);
    return answer;
}

static int outlet_flush_file(struct outlet *outlet, int fd);

static RARE int flush_tls(struct outlet *outlet, int fd, struct spares *spares)
{
    if (!tls_stream_flush(outlet->tls))
        return OUTLET_GONE;
    outlet->is_blocked = tls_stream_unsent(outlet->tls) > 0;
    if (!outlet->is_blocked && fifo_size(&outlet->kept) > 0) {
        int r = send_tls(outlet, spares, SPAN_NULL, SPAN_NULL);
        if (r)
            return r;
    }
    if (!outlet->has_file || outlet->is_blocked)
        return 0;
    if (!tls_stream_takes_files(outlet->tls))
        return flush_file_tls(outlet, spares);
    uint64_t left = outlet->file_left;
    int r = outlet_flush_file(outlet, fd);
    tls_stream_note_file(outlet->tls, (size_t)(left - outlet->file_left));
    return r;
}

/* --- in plain text, and in general --- */

int outlet_send(struct outlet *outlet, int fd, struct spares *spares, struct span bytes,
                struct span tail)
{
    assert(!outlet->has_file);
    if (unlikely(outlet->is_special) && !outlet->is_blocked)
        return send_tls(outlet, spares, bytes, tail);
    if (!outlet->is_blocked && bytes.size >= OUTLET_LARGE)
        return send_large(outlet, fd, spares, bytes, tail);
    outlet_put(outlet, spares, bytes);
    outlet_put(outlet, spares, tail);
    return outlet_flush(outlet, fd, spares);
}

void outlet_put_file(struct outlet *outlet, int file_fd, uint64_t offset, uint64_t size)
{
    assert(!outlet->has_file);
    outlet->has_file = outlet->is_special = true;
    outlet->file_fd = file_fd;
    outlet->file_offset = offset;
    outlet->file_left = size;
}

static void outlet_close_file(struct outlet *outlet)
{
    if (outlet->has_file)
        close(outlet->file_fd);
    outlet->has_file = false;
    outlet->is_special = outlet->tls != NULL;
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

static RARE int flush_special(struct outlet *outlet, int fd, struct spares *spares)
{
    if (outlet->tls)
        return flush_tls(outlet, fd, spares);
    int r = fifo_size(&outlet->kept) > 0 ? flush_kept(outlet, fd, spares) : 0;
    return r || outlet->is_blocked ? r : outlet_flush_file(outlet, fd);
}

int outlet_flush(struct outlet *outlet, int fd, struct spares *spares)
{
    if (outlet->is_blocked)
        return 0;
    if (unlikely(outlet->is_special))
        return flush_special(outlet, fd, spares);
    return fifo_size(&outlet->kept) > 0 ? flush_kept(outlet, fd, spares) : 0;
}

void outlet_fini(struct outlet *outlet, struct spares *spares)
{
    fifo_clear(&outlet->kept, spares);
    if (unlikely(outlet->is_special))
        outlet_close_file(outlet);
}
