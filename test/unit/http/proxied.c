/* SPDX-License-Identifier: Apache-2.0 */

/* Connections that begin with a header of the PROXY protocol. */

#include <arpa/inet.h>

#include "http/bench.h"

#define HEADER "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc6\x33\x64\x01\x9c\x40\x01\xbb"
#define LOCAL "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"
#define GET_HELLO "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"

struct balanced {
    struct bench *bench;
    struct address address;
    int fd;
};

static struct balanced balanced_new(const struct http_settings *settings)
{
    static const struct http_listen_options options = { .has_proxy_header = true };
    struct balanced balanced = { .bench = bench_new(settings) };
    balanced.fd = listen_on_loopback(&balanced.address);
    CHECK_INT(http_listen(balanced.bench->server, balanced.fd, 7, &options), 0);
    return balanced;
}

static void balanced_free(struct balanced *balanced)
{
    bench_free(balanced->bench);
    close(balanced->fd);
}

static struct peer *balanced_connect(struct balanced *balanced)
{
    return peer_connect(balanced->bench->loop, &balanced->address);
}

static void check_peer(const struct bench *bench, const char *want, unsigned port)
{
    char text[INET_ADDRSTRLEN];
    struct sockaddr_in v4;
    CHECK_INT(bench->exchange->peer->size, sizeof(v4));
    memcpy(&v4, &bench->exchange->peer->storage, sizeof(v4));
    CHECK_STR(inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text)), want);
    if (port)
        CHECK_INT(ntohs(v4.sin_port), port);
}

TEST(the_peer_is_the_one_that_is_told_of)
{
    struct balanced balanced = balanced_new(NULL);
    struct peer *peer = balanced_connect(&balanced);
    peer_send_span(peer, SPAN(HEADER "GET /later HTTP/1.1\r\nHost: a\r\n\r\n"));
    wait_for_requests(balanced.bench, 1);
    check_peer(balanced.bench, "192.0.2.7", 40000);
    http_reply(balanced.bench->exchange, 200, NULL, 0, SPAN("hello"));
    peer_expect(peer, HELLO);
    peer_send(peer, GET_HELLO); /* the header comes once */
    peer_expect(peer, HELLO);
    peer_close(peer);
    balanced_free(&balanced);
}

TEST(a_check_of_the_balancer_comes_from_itself)
{
    struct balanced balanced = balanced_new(NULL);
    struct peer *peer = balanced_connect(&balanced);
    peer_send_span(peer, SPAN(LOCAL "GET /later HTTP/1.1\r\nHost: a\r\n\r\n"));
    wait_for_requests(balanced.bench, 1);
    check_peer(balanced.bench, "127.0.0.1", 0);
    peer_close(peer);
    balanced_free(&balanced);
}

TEST(byte_by_byte)
{
    static const struct span all = SPAN(HEADER GET_HELLO);
    struct balanced balanced = balanced_new(NULL);
    struct peer *peer = balanced_connect(&balanced);
    for (size_t i = 0; i < all.size; i++) {
        CHECK_INT(http_n_connections(balanced.bench->server), i ? 1 : 0);
        peer_send_span(peer, span_first(span_from(all, i), 1));
        settle(balanced.bench->loop);
    }
    peer_expect(peer, HELLO);
    peer_close(peer);
    balanced_free(&balanced);
}

TEST(who_begins_otherwise_is_closed)
{
    static const struct span starts[] = {
        SPAN(GET_HELLO),
        SPAN("PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n" GET_HELLO),
        SPAN("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x05\xc0\0\x02\x07\xc6" GET_HELLO),
    };
    struct balanced balanced = balanced_new(NULL);
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        struct peer *peer = balanced_connect(&balanced);
        peer_send_span(peer, starts[i]);
        peer_expect_gone(peer);
        peer_close(peer);
    }
    CHECK_INT(balanced.bench->n_requests, 0);
    CHECK_INT(http_n_connections(balanced.bench->server), 0);
    balanced_free(&balanced);
}

TEST(a_header_has_the_time_of_a_head)
{
    struct balanced balanced = balanced_new(NULL);
    struct peer *peer = balanced_connect(&balanced);
    peer_send_span(peer, span_first(SPAN(HEADER), 20));
    settle(balanced.bench->loop);
    advance(balanced.bench, 9 * NSEC_PER_SEC);
    peer_expect_nothing(peer);
    advance(balanced.bench, 2 * NSEC_PER_SEC);
    peer_expect_end(peer);
    peer_close(peer);
    balanced_free(&balanced);
}

/* The limit for one address is the client's, not the balancer's. */
TEST(clients_are_counted_not_their_balancer)
{
    struct http_settings settings = http_settings_default;
    settings.max_per_address = 1;
    struct balanced balanced = balanced_new(&settings);
    struct peer *peers[3];
    for (unsigned i = 0; i < 3; i++) {
        char header[] = HEADER GET_HELLO;
        header[19] = (char)(i < 2 ? i : 1); /* the last byte of the address */
        peers[i] = balanced_connect(&balanced);
        peer_send_span(peers[i], (struct span){ header, sizeof(header) - 1 });
        if (i < 2)
            peer_expect(peers[i], HELLO);
    }
    peer_expect_gone(peers[2]);
    for (unsigned i = 0; i < 3; i++)
        peer_close(peers[i]);
    balanced_free(&balanced);
}

TEST(draining_waits_for_who_is_about_to_ask)
{
    struct balanced balanced = balanced_new(NULL);
    struct peer *peer = balanced_connect(&balanced);
    peer_send_span(peer, span_first(SPAN(HEADER), 20));
    settle(balanced.bench->loop);
    http_drain(balanced.bench->server, NULL, NULL);
    settle(balanced.bench->loop);
    peer_send_span(peer, span_from(SPAN(HEADER GET_HELLO), 20));
    peer_expect(peer,
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n" DATE "\r\nhello");
    peer_expect_end(peer);
    peer_close(peer);
    balanced_free(&balanced);
}
