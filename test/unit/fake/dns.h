#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A name server on a loopback port, on the loop of the one who asks it. What it says is the test's:
 * on_question fills a reply, or leaves it empty and so stays silent.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "check.h"
#include "io/loop.h"

#define FAKE_DNS_A 1u
#define FAKE_DNS_CNAME 5u
#define FAKE_DNS_AAAA 28u
#define FAKE_DNS_SLICE 1000u /* of a TCP answer in one turn */

struct fake_dns_reply {
    uint8_t bytes[65536];
    size_t size;
};

struct fake_dns {
    struct loop *loop;
    struct watch udp, listener, stream;
    struct task slice;
    unsigned port, n_udp, n_tcp;
    uint8_t received[2048];
    size_t n_received, n_sent;
    void (*on_question)(struct fake_dns *dns, const char *name, unsigned type, bool is_tcp);
    struct fake_dns_reply reply;
};

static inline void fake_dns_put16(struct fake_dns_reply *reply, unsigned value)
{
    reply->bytes[reply->size++] = (uint8_t)(value >> 8);
    reply->bytes[reply->size++] = (uint8_t)value;
}

/* One more record; `owner` is where in the reply its name stands, 12 being the name that was asked. */
static inline void fake_dns_add(struct fake_dns *dns, unsigned owner, unsigned type, int ttl,
                                const void *data, size_t size)
{
    struct fake_dns_reply *reply = &dns->reply;
    fake_dns_put16(reply, 0xc000u | owner);
    fake_dns_put16(reply, type);
    fake_dns_put16(reply, 1);
    fake_dns_put16(reply, (unsigned)ttl >> 16);
    fake_dns_put16(reply, (unsigned)ttl & 0xffff);
    fake_dns_put16(reply, (unsigned)size);
    memcpy(reply->bytes + reply->size, data, size);
    reply->size += size;
    unsigned n = (unsigned)reply->bytes[6] << 8 | reply->bytes[7];
    reply->bytes[6] = (uint8_t)((n + 1) >> 8);
    reply->bytes[7] = (uint8_t)(n + 1);
}

static inline void fake_dns_add_text(struct fake_dns *dns, unsigned owner, int ttl,
                                     const char *address)
{
    uint8_t bytes[16];
    bool is_v4 = inet_pton(AF_INET, address, bytes) == 1;
    CHECK(is_v4 || inet_pton(AF_INET6, address, bytes) == 1);
    fake_dns_add(dns, owner, is_v4 ? FAKE_DNS_A : FAKE_DNS_AAAA, ttl, bytes, is_v4 ? 4 : 16);
}

/* The question again, with an answer's flags and no record. */
static inline void fake_dns_answer(struct fake_dns *dns, const uint8_t *query, size_t size,
                                   bool is_tcp)
{
    char name[256] = "";
    size_t at = 12;
    while (at < size && query[at] && at + query[at] + 1 < size) {
        snprintf(name + strlen(name), sizeof(name) - strlen(name), "%s%.*s", at > 12 ? "." : "",
                 query[at], (const char *)query + at + 1);
        at += query[at] + 1u;
    }
    CHECK(at + 5 <= size);
    unsigned type = (unsigned)query[at + 1] << 8 | query[at + 2];
    dns->reply.size = at + 5;
    memcpy(dns->reply.bytes, query, dns->reply.size);
    dns->reply.bytes[2] = 0x81;
    dns->reply.bytes[3] = 0x80;
    memset(dns->reply.bytes + 6, 0, 6);
    dns->reply.bytes[5] = 1;
    dns->on_question(dns, name, type, is_tcp);
}

static inline void fake_dns_on_udp(struct watch *watch, uint32_t events)
{
    struct fake_dns *dns = container_of(watch, struct fake_dns, udp);
    (void)events;
    uint8_t query[512];
    struct sockaddr_in peer;
    socklen_t size = sizeof(peer);
    ssize_t n;
    while ((n = recvfrom(watch->fd, query, sizeof(query), MSG_DONTWAIT, (struct sockaddr *)&peer,
                         &size)) > 12) {
        dns->n_udp++;
        fake_dns_answer(dns, query, (size_t)n, false);
        if (dns->reply.size)
            CHECK(sendto(watch->fd, dns->reply.bytes, dns->reply.size, 0, (struct sockaddr *)&peer,
                         size) > 0);
    }
}

static inline void fake_dns_hang_up(struct fake_dns *dns)
{
    int fd = dns->stream.fd;
    if (!dns->stream.loop)
        return;
    task_cancel(&dns->slice);
    watch_remove(&dns->stream);
    dns->stream.loop = NULL;
    close(fd);
}

/* Answers the first query that has come whole, when nothing is on its way. */
static inline void fake_dns_serve_stream(struct fake_dns *dns)
{
    size_t size = (size_t)dns->received[0] << 8 | dns->received[1];
    if (!list_is_empty(&dns->slice.link) || dns->n_received < 2 || dns->n_received < size + 2)
        return;
    dns->n_tcp++;
    fake_dns_answer(dns, dns->received + 2, size, true);
    dns->n_received -= size + 2;
    memmove(dns->received, dns->received + 2 + size, dns->n_received);
    if (!dns->reply.size)
        return;
    memmove(dns->reply.bytes + 2, dns->reply.bytes, dns->reply.size);
    dns->reply.bytes[0] = (uint8_t)(dns->reply.size >> 8);
    dns->reply.bytes[1] = (uint8_t)dns->reply.size;
    dns->reply.size += 2;
    dns->n_sent = 0;
    task_defer(&dns->slice, dns->loop);
}

static inline void fake_dns_on_slice(struct task *task)
{
    struct fake_dns *dns = container_of(task, struct fake_dns, slice);
    size_t left = dns->reply.size - dns->n_sent;
    size_t size = left < FAKE_DNS_SLICE ? left : FAKE_DNS_SLICE;
    ssize_t n = send(dns->stream.fd, dns->reply.bytes + dns->n_sent, size, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN)
        return;
    dns->n_sent += n < 0 ? 0 : (size_t)n;
    if (dns->n_sent < dns->reply.size)
        task_defer(task, dns->loop);
    else
        fake_dns_serve_stream(dns);
}

static inline void fake_dns_on_stream(struct watch *watch, uint32_t events)
{
    struct fake_dns *dns = container_of(watch, struct fake_dns, stream);
    (void)events;
    ssize_t n = recv(watch->fd, dns->received + dns->n_received,
                     sizeof(dns->received) - dns->n_received, MSG_DONTWAIT);
    if (n == 0)
        fake_dns_hang_up(dns);
    if (n <= 0)
        return;
    dns->n_received += (size_t)n;
    fake_dns_serve_stream(dns);
}

static inline void fake_dns_on_connection(struct watch *watch, uint32_t events)
{
    struct fake_dns *dns = container_of(watch, struct fake_dns, listener);
    (void)events;
    int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    fake_dns_hang_up(dns);
    dns->n_received = 0;
    dns->stream = (struct watch){ .on_ready = fake_dns_on_stream };
    CHECK_INT(watch_add(&dns->stream, dns->loop, fd, EPOLLIN), 0);
}

static inline void fake_dns_start(struct fake_dns *dns, struct loop *loop)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(address);
    int udp = -1, tcp = -1;
    dns->loop = loop;
    /* A port that is free for UDP may be taken for TCP. */
    do {
        close(udp);
        close(tcp);
        address.sin_port = 0;
        udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        CHECK_INT(bind(udp, (struct sockaddr *)&address, size), 0);
        CHECK_INT(getsockname(udp, (struct sockaddr *)&address, &size), 0);
    } while (bind(tcp, (struct sockaddr *)&address, size) < 0);
    CHECK_INT(listen(tcp, 8), 0);
    dns->port = ntohs(address.sin_port);
    dns->udp.on_ready = fake_dns_on_udp;
    dns->listener.on_ready = fake_dns_on_connection;
    dns->slice.on_run = fake_dns_on_slice;
    list_init(&dns->slice.link);
    CHECK_INT(watch_add(&dns->udp, loop, udp, EPOLLIN), 0);
    CHECK_INT(watch_add(&dns->listener, loop, tcp, EPOLLIN), 0);
}

static inline void fake_dns_stop(struct fake_dns *dns)
{
    int udp = dns->udp.fd, tcp = dns->listener.fd;
    fake_dns_hang_up(dns);
    watch_remove(&dns->udp);
    watch_remove(&dns->listener);
    close(udp);
    close(tcp);
}
