/* SPDX-License-Identifier: Apache-2.0 */

#include "io/channel.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "io/file.h"

#define LISTEN_BACKLOG 8

/* A message that waits, with descriptors of its own. */
struct waiting {
    struct list link;
    size_t size;
    unsigned n_fds;
    int fds[CHANNEL_FDS_MAX];
    char bytes[];
};

union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(CHANNEL_FDS_MAX * sizeof(int))];
};

/* --- ends --- */

static int path_address(const char *path, struct sockaddr_un *ret_address)
{
    size_t size = strlen(path);
    *ret_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    if (size == 0 || size >= sizeof(ret_address->sun_path))
        return SOCKET_BAD_ADDRESS;
    memcpy(ret_address->sun_path, path, size);
    return 0;
}

static int channel_socket(void)
{
    return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static bool is_stale(const struct sockaddr_un *address)
{
    struct stat info;
    CLEANUP(fd_closep) int fd = channel_socket();
    return lstat(address->sun_path, &info) == 0 && S_ISSOCK(info.st_mode) && fd >= 0 &&
           connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
           errno == ECONNREFUSED;
}

static int bind_path(int fd, const struct sockaddr_un *address)
{
    const struct sockaddr *any = (const struct sockaddr *)address;
    /* The path gets the socket's mode without the umask's bits: never a wider one. */
    if (fchmod(fd, 0600) < 0)
        return -errno;
    if (bind(fd, any, sizeof(*address)) == 0)
        return 0;
    if (errno != EADDRINUSE || !is_stale(address))
        return -errno;
    if ((unlink(address->sun_path) < 0 && errno != ENOENT) || bind(fd, any, sizeof(*address)) < 0)
        return -errno;
    return 0;
}

int channel_listen(const char *path, int *ret_fd)
{
    struct sockaddr_un address;
    int r = path_address(path, &address);
    if (r)
        return r;
    CLEANUP(fd_closep) int fd = channel_socket();
    if (fd < 0)
        return err_origin(-errno);
    r = bind_path(fd, &address);
    if (r == -EADDRINUSE)
        return SOCKET_IN_USE;
    if (r)
        return err_origin(r);
    if (listen(fd, LISTEN_BACKLOG) < 0)
        return err_origin(-errno);
    *ret_fd = fd_steal(&fd);
    return 0;
}

int channel_accept(int listen_fd)
{
    CLEANUP(fd_closep) int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct ucred peer = { 0 };
    socklen_t size = sizeof(peer);
    if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ||
        (peer.uid != geteuid() && peer.uid != 0))
        return -1;
    return fd_steal(&fd);
}

void channel_init(struct channel *channel, int fd)
{
    channel->fd = fd;
    channel->is_gone = NULL;
    list_init(&channel->waiting);
}

int channel_connect(struct channel *channel, const char *path)
{
    struct sockaddr_un address;
    int r = path_address(path, &address);
    if (r)
        return CHANNEL_ABSENT;
    CLEANUP(fd_closep) int fd = channel_socket();
    if (fd < 0)
        return err_origin(-errno);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return errno == ENOENT || errno == ECONNREFUSED ? CHANNEL_ABSENT : err_origin(-errno);
    channel_init(channel, fd_steal(&fd));
    return 0;
}

void channel_close(struct channel *channel)
{
    if (channel->fd < 0)
        return;
    channel_stop(channel);
    if (channel->is_gone)
        *channel->is_gone = true;
    channel->is_gone = NULL;
    close(channel->fd);
    channel->fd = -1;
    for (struct list *link; (link = list_take_first(&channel->waiting));) {
        struct waiting *waiting = container_of(link, struct waiting, link);
        for (unsigned i = 0; i < waiting->n_fds; i++)
            close(waiting->fds[i]);
        free(waiting);
    }
}

/* --- receiving --- */

void channel_message_fini(struct channel_message *message)
{
    for (unsigned i = 0; i < message->n_fds; i++) {
        if (message->fds[i] >= 0)
            close(message->fds[i]);
    }
    message->n_fds = 0;
}

static void take_fds(struct msghdr *header, struct channel_message *message)
{
    for (struct cmsghdr *at = CMSG_FIRSTHDR(header); at; at = CMSG_NXTHDR(header, at)) {
        if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (at->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n && message->n_fds < CHANNEL_FDS_MAX; i++)
            memcpy(&message->fds[message->n_fds++], CMSG_DATA(at) + i * sizeof(int), sizeof(int));
    }
}

/* CHANNEL_LATE when there is none. A reset tells once that the other end closed without having read
 * all; what it had sent before is still there. A message that was cut is of a peer that breaks the rules; one
 * without its descriptors came to a process that can have no more. */
/* NOLINTNEXTLINE(readability-non-const-parameter): the kernel writes to it */
static int receive(int fd, char *bytes, struct channel_message *ret_message)
{
    union control control;
    struct iovec piece = { bytes, CHANNEL_MESSAGE_MAX };
    struct msghdr header = { .msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control) };
    ssize_t size;
    do {
        size = recvmsg(fd, &header, MSG_CMSG_CLOEXEC);
    } while (size < 0 && (errno == EINTR || errno == ECONNRESET));
    if (size < 0)
        return errno == EAGAIN ? CHANNEL_LATE : CHANNEL_ENDED;
    struct channel_message message = { .bytes = { bytes, (size_t)size } };
    take_fds(&header, &message);
    if (size == 0 || (header.msg_flags & MSG_TRUNC)) {
        channel_message_fini(&message);
        return CHANNEL_ENDED;
    }
    *ret_message = message;
    return 0;
}

int channel_wait(struct channel *channel, nsec patience, char *bytes,
                 struct channel_message *ret_message)
{
    struct pollfd poll_fd = { .fd = channel->fd, .events = POLLIN };
    int n;
    do {
        n = poll(&poll_fd, 1, (int)(patience / NSEC_PER_MSEC));
    } while (n < 0 && errno == EINTR);
    if (n <= 0)
        return CHANNEL_LATE;
    return receive(channel->fd, bytes, ret_message);
}

/* --- sending --- */

/* False when the kernel takes no more now; what cannot be sent for another reason is gone. */
static bool send_now(int fd, struct span bytes, const int *fds, unsigned n_fds)
{
    union control control = { 0 };
    union { /* which is only read */
        const char *from;
        char *to;
    } data = { bytes.data };
    struct iovec piece = { data.to, bytes.size };
    struct msghdr header = { .msg_iov = &piece, .msg_iovlen = 1 };
    if (n_fds) {
        header.msg_control = &control;
        header.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
        assert(rights);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(rights), fds, n_fds * sizeof(int));
    }
    ssize_t size;
    do {
        size = sendmsg(fd, &header, MSG_NOSIGNAL);
    } while (size < 0 && errno == EINTR);
    return size >= 0 || (errno != EAGAIN && errno != ENOBUFS && errno != ETOOMANYREFS);
}

/* Calls on_sent, which may free the channel. */
static void flush(struct channel *channel)
{
    bool had_any = !channel_is_sent(channel);
    while (!channel_is_sent(channel)) {
        struct waiting *waiting = container_of(channel->waiting.next, struct waiting, link);
        struct span bytes = { waiting->bytes, waiting->size };
        if (!send_now(channel->fd, bytes, waiting->fds, waiting->n_fds))
            return;
        list_remove(&waiting->link);
        for (unsigned i = 0; i < waiting->n_fds; i++)
            close(waiting->fds[i]);
        free(waiting);
    }
    if (had_any && channel->on_sent)
        channel->on_sent(channel);
}

void channel_send(struct channel *channel, struct span bytes, const int *fds, unsigned n_fds)
{
    if (channel->fd < 0)
        return;
    if (channel_is_sent(channel) && send_now(channel->fd, bytes, fds, n_fds))
        return;
    struct waiting *waiting = mem_zalloc(1, sizeof(*waiting) + bytes.size);
    waiting->size = bytes.size;
    memcpy(waiting->bytes, bytes.data, bytes.size);
    for (unsigned i = 0; i < n_fds; i++) {
        int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
        if (fd >= 0)
            waiting->fds[waiting->n_fds++] = fd;
    }
    list_add_last(&channel->waiting, &waiting->link);
}

/* --- on the loop --- */

/* Until nothing is there, the channel ends, or a callback closes or stops it. Answers: those of
 * receive(); 0 when it was closed or stopped. */
static int tell_messages(struct channel *channel, const bool *is_gone)
{
    CLEANUP(mem_freep) char *bytes = mem_resize(NULL, 1, CHANNEL_MESSAGE_MAX);
    while (!*is_gone && channel->watch.loop) {
        struct channel_message message;
        int r = receive(channel->fd, bytes, &message);
        if (r)
            return r;
        channel->on_message(channel, &message);
        channel_message_fini(&message);
    }
    return 0;
}

/* Once it was closed its memory may be somebody else's, so what tells of that is here. */
static void on_ready(struct watch *watch, uint32_t events)
{
    struct channel *channel = container_of(watch, struct channel, watch);
    bool is_gone = false;
    channel->is_gone = &is_gone;
    if (events & EPOLLOUT)
        flush(channel);
    int r = tell_messages(channel, &is_gone);
    if (is_gone)
        return;
    channel->is_gone = NULL;
    if (r == CHANNEL_ENDED) {
        channel_stop(channel);
        channel->on_end(channel);
    }
}

int channel_start(struct channel *channel, struct loop *loop)
{
    channel->watch.on_ready = on_ready;
    return err_trace(
        watch_add(&channel->watch, loop, channel->fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP));
}

void channel_stop(struct channel *channel)
{
    watch_remove(&channel->watch);
}
