/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Connections of a load balancer that speaks the PROXY protocol, before they are admitted: the
 * header in front says who the client is, and limits are the client's, not the balancer's.
 *
 * What is asked of the kernel ends exactly with the header, so that nothing has to be handed on,
 * and what follows (a request, a TLS handshake) begins like on any other connection. A connection
 * that begins otherwise is closed without a word, as the protocol demands.
 */

#include <errno.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/mem.h"
#include "codec/proxy_header.h"
#include "http/connection.h"

struct proxied {
    struct watch watch;
    struct timer timer;
    struct list link;
    struct http_server *server;
    struct http_listen_options options;
    struct address peer;
    unsigned listener;
    size_t size, wanted;
    char bytes[PROXY_HEADER_MAX];
};

static void proxied_free(struct proxied *proxied)
{
    watch_remove(&proxied->watch);
    timer_stop(&proxied->timer);
    list_remove(&proxied->link);
    free(proxied);
}

static void proxied_close(struct proxied *proxied)
{
    struct http_server *server = proxied->server;
    close(proxied->watch.fd);
    proxied_free(proxied);
    http_census_drop_client(server->census, 0);
    http_server_forget_connection(server);
}

static struct address client_of(const struct proxied *proxied, const struct proxy_header *header)
{
    struct address client = { 0 };
    switch (header->family) {
    case PROXY_NOBODY: return proxied->peer;
    case PROXY_UNIX:
        client.any.sa_family = AF_UNIX;
        client.size = sizeof(client.any.sa_family);
        break;
    case PROXY_IPV4: {
        struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(header->source_port) };
        memcpy(&v4.sin_addr, header->source.data, sizeof(v4.sin_addr));
        memcpy(&client.storage, &v4, sizeof(v4));
        client.size = sizeof(v4);
        break;
    }
    case PROXY_IPV6: {
        struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
                                   .sin6_port = htons(header->source_port) };
        memcpy(&v6.sin6_addr, header->source.data, sizeof(v6.sin6_addr));
        memcpy(&client.storage, &v6, sizeof(v6));
        client.size = sizeof(v6);
        break;
    }
    }
    return client;
}

/* It becomes a connection like any other. */
static void proxied_admit(struct proxied *proxied, const struct proxy_header *header)
{
    struct http_server *server = proxied->server;
    struct address client = client_of(proxied, header);
    struct http_listen_options options = proxied->options;
    int fd = proxied->watch.fd;
    unsigned listener = proxied->listener;
    proxied_free(proxied);
    http_census_drop_client(server->census, 0);
    http_server_admit(server, fd, &client, listener, &options);
    http_server_forget_connection(server);
}

/* True when there is more to read at once. */
static bool proxied_receive(struct proxied *proxied)
{
    ssize_t n = socket_receive(proxied->watch.fd, proxied->bytes + proxied->size,
                               proxied->wanted - proxied->size);
    if (n < 0 && errno == EINTR)
        return true;
    if (n < 0 && errno == EAGAIN)
        return false;
    if (n > 0)
        proxied->size += (size_t)n;
    struct span bytes = { proxied->bytes, proxied->size };
    bool is_bad = n <= 0;
    if (!is_bad && proxied->size == PROXY_HEADER_START)
        is_bad = proxy_header_size(bytes, &proxied->wanted) != PROXY_OK;
    if (!is_bad && proxied->size < proxied->wanted)
        return true;

    struct proxy_header header;
    if (is_bad || proxy_header_decode(bytes, &header))
        proxied_close(proxied);
    else
        proxied_admit(proxied, &header);
    return false;
}

static void proxied_on_ready(struct watch *watch, uint32_t events)
{
    (void)events;
    struct proxied *proxied = container_of(watch, struct proxied, watch);
    while (proxied_receive(proxied))
        continue;
}

static void proxied_on_due(struct timer *timer)
{
    proxied_close(container_of(timer, struct proxied, timer));
}

void http_server_expect_header(struct http_server *server, int fd, const struct address *peer,
                               unsigned listener, const struct http_listen_options *options)
{
    uint32_t key;
    if (!http_census_take_client(server->census, peer, server->settings.max_connections, 0, &key)) {
        close(fd);
        return;
    }
    struct proxied *proxied = mem_new(struct proxied);
    proxied->server = server;
    proxied->options = *options;
    proxied->peer = *peer;
    proxied->listener = listener;
    proxied->wanted = PROXY_HEADER_START;
    proxied->watch.on_ready = proxied_on_ready;
    proxied->timer.on_due = proxied_on_due;
    list_add_last(&server->proxied, &proxied->link);
    server->n_connections++;
    timer_start(&proxied->timer, server->loop,
                loop_now(server->loop) + server->settings.head_timeout);
    proxied->watch.fd = fd;
    if (watch_add(&proxied->watch, server->loop, fd, EPOLLIN | EPOLLRDHUP)) {
        proxied_close(proxied);
        return;
    }
    while (proxied_receive(proxied))
        continue;
}

void http_server_close_expected(struct http_server *server)
{
    while (!list_is_empty(&server->proxied))
        proxied_close(container_of(server->proxied.next, struct proxied, link));
}
