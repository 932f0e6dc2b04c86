/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Accepting until the queue is empty, a batch at a time. Without descriptors left, the queue would
 * stay full and the client wait for ever; so one descriptor is held in reserve, given up to accept
 * the next connection, and taken back by closing that one at once. An edge-triggered listener
 * tells of a queue once, so where even that fails a timer looks again.
 */

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "http/connection.h"

#define ACCEPT_BATCH 64
#define QUEUE_MAX 4096u /* of connections that nobody has accepted; what listen() is given */
#define ACCEPT_RETRY (100 * NSEC_PER_MSEC)

struct listener {
    struct watch watch;
    struct task task;
    struct timer retry;
    struct list link;
    struct http_server *server;
    unsigned number;
    struct http_listen_options options;
};

/* False when there was no reserve to give up. */
static bool listener_shed(struct listener *listener)
{
    struct http_server *server = listener->server;
    if (server->reserve_fd < 0)
        server->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (server->reserve_fd < 0)
        return false;

    close(server->reserve_fd);
    int fd = accept4(listener->watch.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    server->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return fd >= 0;
}

/* Whether to go on after accept4() failed. What is wrong with one connection is no reason to stop
 * (accept(2) passes on pending network errors). */
static bool listener_survives(struct listener *listener, int error)
{
    switch (error) {
    case EAGAIN:
    case EBADF:
    case EINVAL:
    case ENOTSOCK: return false;
    case EMFILE:
    case ENFILE:
        if (listener_shed(listener))
            return true;
        break;
    case ENOBUFS:
    case ENOMEM: break;
    default: return true;
    }
    struct loop *loop = listener->server->loop;
    timer_start(&listener->retry, loop, loop_now(loop) + ACCEPT_RETRY);
    return false;
}

static void welcome(struct http_server *server, int fd, const struct address *peer,
                    unsigned listener, const struct http_listen_options *options)
{
    if (unlikely(options->has_proxy_header))
        http_server_expect_header(server, fd, peer, listener, options);
    else
        http_server_admit(server, fd, peer, listener, options);
}

static void listener_accept(struct listener *listener)
{
    struct http_server *server = listener->server;
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        struct address peer;
        peer.size = sizeof(peer.storage);
        int fd = accept4(listener->watch.fd, &peer.any, &peer.size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            welcome(server, fd, &peer, listener->number, &listener->options);
        else if (!listener_survives(listener, errno))
            return;
        if (server->is_draining) /* a handler called http_drain(), and the listener is freed */
            return;
    }
    task_defer(&listener->task, server->loop);
}

static void listener_on_ready(struct watch *watch, uint32_t events)
{
    (void)events;
    listener_accept(container_of(watch, struct listener, watch));
}

static void listener_on_run(struct task *task)
{
    listener_accept(container_of(task, struct listener, task));
}

static void listener_on_due(struct timer *timer)
{
    listener_accept(container_of(timer, struct listener, retry));
}

int http_listen(struct http_server *server, int listen_fd, unsigned number,
                const struct http_listen_options *options)
{
    struct listener *listener = mem_new(struct listener);
    listener->server = server;
    listener->number = number;
    if (options)
        listener->options = *options;
    listener->watch.on_ready = listener_on_ready;
    listener->task.on_run = listener_on_run;
    listener->retry.on_due = listener_on_due;
    list_init(&listener->task.link);
    list_init(&listener->link);

    /* Exclusive: of several loops that share a unix listener one is woken. */
    int r = watch_add(&listener->watch, server->loop, listen_fd, EPOLLIN | EPOLLEXCLUSIVE);
    if (r) {
        free(listener);
        return err_trace(r);
    }
    list_add_last(&server->listeners, &listener->link);
    return 0;
}

static void listener_free(struct listener *listener)
{
    watch_remove(&listener->watch);
    task_cancel(&listener->task);
    timer_stop(&listener->retry);
    free(listener);
}

/* The watch goes first: of those who share a socket only one is woken for a connection, and what
 * this one was woken for it takes. */
void http_server_end_listeners(struct http_server *server, bool is_shared)
{
    for (struct list *link; (link = list_take_first(&server->listeners));) {
        struct listener *listener = container_of(link, struct listener, link);
        int listen_fd = listener->watch.fd;
        unsigned number = listener->number;
        struct http_listen_options options = listener->options;
        listener_free(listener);
        for (unsigned i = 0; i < QUEUE_MAX; i++) {
            struct address peer;
            peer.size = sizeof(peer.storage);
            int fd = accept4(listen_fd, &peer.any, &peer.size, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd < 0)
                break;
            welcome(server, fd, &peer, number, &options);
        }
        if (!is_shared)
            shutdown(listen_fd, SHUT_RDWR);
    }
}

void http_server_close_listeners(struct http_server *server)
{
    for (struct list *link; (link = list_take_first(&server->listeners));)
        listener_free(container_of(link, struct listener, link));
}
