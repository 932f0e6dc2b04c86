/* SPDX-License-Identifier: Apache-2.0 */

#include "serve.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define N_EVENTS 256

_Noreturn void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int listen_on(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(address);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&address, size) || listen(fd, 4096))
        fail("listen");
    getsockname(fd, (struct sockaddr *)&address, &size);
    printf("port %u\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void watch(int epoll_fd, int fd, uint32_t events, void *mark)
{
    struct epoll_event event = { .events = events, .data.ptr = mark };
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event))
        fail("epoll_ctl");
}

static void accept_all(int epoll_fd, int listen_fd, const struct serve_ops *ops)
{
    int fd;
    while ((fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        watch(epoll_fd, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, ops->open(fd));
}

int serve(uint16_t port, const struct serve_ops *ops)
{
    static char listener, parent; /* only their addresses count */
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int listen_fd = listen_on(port);
    watch(epoll_fd, listen_fd, EPOLLIN, &listener);
    watch(epoll_fd, STDIN_FILENO, EPOLLIN, &parent);
    for (;;) {
        struct epoll_event events[N_EVENTS];
        int n = epoll_wait(epoll_fd, events, N_EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == &parent)
                return 0;
            if (events[i].data.ptr == &listener)
                accept_all(epoll_fd, listen_fd, ops);
            else
                ops->on_ready(events[i].data.ptr);
        }
    }
}
