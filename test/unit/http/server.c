/* SPDX-License-Identifier: Apache-2.0 */

#include "http/server.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/un.h>

#include "http/bench.h"

static void note_done(void *owner)
{
    struct bench *bench = owner;
    bench->n_done++;
}

TEST(draining_answers_what_was_asked_and_then_ends)
{
    struct bench *bench = bench_new(NULL);
    struct peer *idle = bench_connect(bench), *busy = bench_connect(bench);
    struct peer *just_sent = bench_connect(bench);
    peer_send(idle, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    peer_expect(idle, HELLO);
    peer_send(busy, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for_requests(bench, 2);

    peer_send(just_sent, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    http_drain(bench->server, note_done, bench);
    peer_expect_end(idle);
    peer_expect(just_sent,
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n" DATE "\r\nhello");
    peer_expect_end(just_sent);
    CHECK_INT(bench->n_done, 0);
    http_reply(bench->exchange, 200, NULL, 0, SPAN("hello"));
    peer_expect(busy,
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n" DATE "\r\nhello");
    peer_expect_end(busy);
    settle(bench->loop);
    CHECK_INT(bench->n_done, 1);
    peer_close(idle);
    peer_close(busy);
    peer_close(just_sent);
    bench_free(bench);
}

TEST(draining_serves_the_queue_and_refuses_what_comes_later)
{
    struct bench *bench = bench_new(NULL);
    struct peer *queued = bench_connect(bench), *silent = bench_connect(bench);
    peer_send(queued, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    http_drain(bench->server, note_done, bench);
    int late_fd = socket(bench->address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(connect(late_fd, &bench->address.any, bench->address.size), -1);
    CHECK_INT(errno, ECONNREFUSED);
    close(late_fd);
    peer_expect(queued,
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n" DATE "\r\nhello");
    peer_expect_end(queued);
    peer_expect_end(silent);
    settle(bench->loop);
    CHECK_INT(bench->n_done, 1);
    peer_close(queued);
    peer_close(silent);
    bench_free(bench);
}

TEST(draining_an_unused_server_is_done_at_once)
{
    struct bench *bench = bench_new(NULL);
    http_drain(bench->server, note_done, bench);
    settle(bench->loop);
    CHECK_INT(bench->n_done, 1);
    bench_free(bench);
}

TEST(connections_are_limited_in_all_and_per_address)
{
    struct http_settings settings = http_settings_default;
    settings.max_connections = 3;
    settings.max_per_address = 2;
    struct bench *bench = bench_new(&settings);
    struct peer *one = bench_connect(bench), *two = bench_connect(bench);
    settle(bench->loop);
    struct peer *three = bench_connect(bench);
    peer_expect_end(three);
    CHECK_INT(http_n_connections(bench->server), 2);
    peer_close(one);
    settle(bench->loop);
    struct peer *four = bench_connect(bench);
    peer_send(four, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    peer_expect(four, HELLO);
    peer_close(two);
    peer_close(three);
    peer_close(four);
    bench_free(bench);
}

TEST(without_descriptors_connections_are_refused_and_the_loop_does_not_spin)
{
    struct bench *bench = bench_new(NULL);
    struct peer *before = bench_connect(bench), *refused = bench_connect(bench);
    struct rlimit limit;
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    int next = dup(bench->listen_fd);
    close(next);
    limit.rlim_cur = (rlim_t)next + 1; /* room for one */
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);

    peer_send(before, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    peer_expect(before, HELLO);
    peer_expect_gone(refused);
    CHECK_INT(http_n_connections(bench->server), 1);
    peer_close(before); /* and the place is free again */
    settle(bench->loop);
    struct peer *after = bench_connect(bench);
    peer_close(refused);
    peer_send(after, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    peer_expect(after, HELLO);
    peer_close(after);
    bench_free(bench);
}

TEST(the_last_request_of_a_connection_says_so)
{
    struct http_settings settings = http_settings_default;
    settings.max_requests = 2;
    struct bench *bench = bench_new(&settings);
    struct peer *peer = bench_connect(bench);
    peer_send(peer, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    peer_expect(peer, HELLO);
    peer_send(peer, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    peer_expect(peer,
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n" DATE "\r\nhello");
    peer_expect_end(peer);
    peer_close(peer);
    bench_free(bench);
}

TEST(unix_sockets_serve_the_same)
{
    char folder[] = "/tmp/sarsen-server-XXXXXX", text[64];
    CHECK(mkdtemp(folder));
    snprintf(text, sizeof(text), "unix:%s/s", folder);
    struct bench *bench = bench_new(NULL);
    struct address address;
    int fd;
    CHECK_INT(address_parse(span_of(text), &address), 0);
    CHECK_INT(socket_listen(&address, false, &fd), 0);
    CHECK_INT(http_listen(bench->server, fd, 7), 0);

    struct peer *peer = peer_connect(bench->loop, &address);
    peer_send(peer, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    peer_expect(peer, HELLO);
    peer_send(peer, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for_requests(bench, 2);
    CHECK(address_is_loopback(bench->exchange->peer));
    peer_close(peer);
    settle(bench->loop);
    CHECK_INT(bench->n_aborts, 1);

    http_server_free(bench->server);
    bench->server = NULL;
    close(fd);
    unlink(text + 5);
    rmdir(folder);
    bench_free(bench);
}

TEST(freeing_a_server_aborts_what_is_under_way)
{
    struct bench *bench = bench_new(NULL);
    struct peer *peer = bench_connect(bench);
    peer_send(peer, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for_requests(bench, 1);
    bench->server = http_server_free(bench->server);
    CHECK_INT(bench->n_aborts, 1);
    peer_close(peer);
    bench_free(bench);
}
