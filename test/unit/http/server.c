/* SPDX-License-Identifier: Apache-2.0 */

#include "http/server.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/un.h>

#include <malloc.h>
#include <sys/resource.h>

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

static struct http_server *heir_server; /* what the process that goes on has */

static void take_over(void *owner, int fd, const struct address *peer, unsigned number)
{
    struct bench *bench = owner;
    CHECK_INT(peer->any.sa_family, AF_INET);
    CHECK_INT(number, 7);
    http_admit(heir_server, fd, peer, number, NULL);
    bench->n_done += 100;
}

/* Who is between two requests goes on where the heir is, on the same connection. */
TEST(leaving_sends_nobody_away_between_two_requests)
{
    struct bench *bench = bench_new(NULL);
    struct http_heir heir = { take_over, bench };
    heir_server = http_server_new(bench->loop, &bench->handler, &http_settings_default);
    struct peer *idle = bench_connect(bench), *busy = bench_connect(bench);
    struct peer *half = bench_connect(bench), *streaming = bench_connect(bench);
    peer_send(idle, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    peer_expect(idle, HELLO);
    peer_send(half, "GET /hello HTTP/1.1\r\nHo");
    peer_send(streaming, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na");
    peer_expect(streaming,
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n" DATE "\r\n1\r\na\r\n");
    peer_send(busy, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for_requests(bench, 3);

    int same_fd = dup(bench->listen_fd); /* one loop watches a descriptor once */
    CHECK_INT(http_listen(heir_server, same_fd, 7, NULL), 0);
    http_leave(bench->server, &heir, note_done, bench);
    settle(bench->loop);
    CHECK_INT(bench->n_done, 100);
    peer_send(idle, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    peer_expect(idle, HELLO);
    peer_send(half, "st: a\r\n\r\n");
    peer_expect(half,
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n" DATE "\r\nhello");
    peer_expect_end(half);
    peer_close(half);
    http_reply(bench->exchange, 200, NULL, 0, SPAN("hello"));
    peer_expect(busy,
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n" DATE "\r\nhello");
    peer_expect_end(busy);

    /* This one's answer had not said that it is the last. */
    settle(bench->loop);
    CHECK_INT(http_n_connections(bench->server), 1);
    peer_send(streaming, "b");
    peer_expect(streaming, "1\r\nb\r\n0\r\n\r\n");
    settle(bench->loop);
    CHECK_INT(bench->n_done, 201);
    peer_send(streaming, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    peer_expect(streaming, HELLO);
    CHECK_INT(http_n_connections(heir_server), 2);
    peer_close(idle);
    peer_close(busy);
    peer_close(streaming);
    http_server_free(heir_server);
    close(same_fd);
    bench_free(bench);
}

TEST(leaving_loses_no_connection_that_is_being_made)
{
    struct bench *bench = bench_new(NULL);
    struct http_heir heir = { take_over, bench };
    heir_server = http_server_new(bench->loop, &bench->handler, &http_settings_default);
    struct peer *queued = bench_connect(bench);
    http_leave(bench->server, &heir, note_done, bench);
    struct peer *later = bench_connect(bench);
    CHECK_INT(http_listen(heir_server, bench->listen_fd, 7, NULL), 0);
    settle(bench->loop);
    CHECK_INT(bench->n_done, 101);
    CHECK_INT(http_n_connections(heir_server), 2);
    peer_send(queued, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    peer_send(later, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    peer_expect(queued, HELLO);
    peer_expect(later, HELLO);
    peer_close(queued);
    peer_close(later);
    http_server_free(heir_server);
    bench_free(bench);
}

TEST(leaving_without_an_heir_ends_idle_connections_and_leaves_the_socket)
{
    struct bench *bench = bench_new(NULL);
    struct peer *idle = bench_connect(bench);
    settle(bench->loop);
    http_leave(bench->server, NULL, note_done, bench);
    peer_expect_end(idle);
    settle(bench->loop);
    CHECK_INT(bench->n_done, 1);
    struct peer *later = bench_connect(bench); /* waits for whoever accepts next */
    peer_expect_nothing(later);
    peer_close(idle);
    peer_close(later);
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

TEST(a_body_above_its_limit_is_refused)
{
    static const char refused[] =
        "HTTP/1.1 413 Content Too Large\r\ncontent-type: text/plain\r\ncontent-length: 30\r\n"
        "connection: close\r\n" DATE "\r\nthe request body is too large\n";
    static const struct {
        const char *head, *body;
        unsigned n_requests, n_aborts;
    } table[] = {
        { "Content-Length: 5", "", 0, 0 },
        { "Content-Length: 5\r\nExpect: 100-continue", "", 0, 0 },
        { "Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n", 1, 1 },
        { "Transfer-Encoding: chunked", "3\r\nhel\r\n2\r\nlo\r\n", 1, 1 },
    };
    struct http_settings settings = http_settings_default;
    settings.max_body = 4;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct bench *bench = bench_new(&settings);
        struct peer *peer = bench_connect(bench);
        char head[128];
        snprintf(head, sizeof(head), "POST /later HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n",
                 table[i].head);
        peer_send(peer, head);
        peer_send(peer, table[i].body);
        peer_expect(peer, refused);
        CHECK_INT(bench->n_requests, table[i].n_requests);
        CHECK_INT(bench->n_aborts, table[i].n_aborts);
        peer_close(peer);
        bench_free(bench);
    }
}

TEST(under_pressure_connections_end_and_requests_are_shed)
{
    struct bench *bench = bench_new(NULL);
    struct peer *kept = bench_connect(bench), *fresh = bench_connect(bench);
    peer_send(kept, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    peer_expect(kept, HELLO);
    http_server_set_pressure(bench->server, HTTP_PRESSURE_NO_KEEP_ALIVE);
    peer_send(fresh, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    peer_expect(fresh,
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n" DATE "\r\nhello");
    peer_expect_end(fresh);
    peer_close(fresh);

    http_server_set_pressure(bench->server, HTTP_PRESSURE_SHED);
    fresh = bench_connect(bench);
    peer_send(fresh, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    peer_expect(fresh,
                "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\n"
                "retry-after: 1\r\ncontent-length: 31\r\nconnection: close\r\n" DATE
                "\r\nthe gateway is short of memory\n");
    peer_expect_end(fresh);
    peer_close(fresh);

    peer_expect_nothing(kept);
    fresh = bench_connect(bench); /* half a request is none */
    peer_send(fresh, "GET /hello HTTP/1.1\r\n");
    settle(bench->loop);
    http_server_set_pressure(bench->server, HTTP_PRESSURE_CLOSE_IDLE);
    peer_expect_end(kept);
    http_server_set_pressure(bench->server, HTTP_PRESSURE_NONE);
    peer_send(fresh, "Host: a\r\n\r\n");
    peer_expect(fresh, HELLO);
    peer_close(fresh);
    peer_close(kept);
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
    CHECK_INT(http_listen(bench->server, fd, 7, NULL), 0);

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

#if defined(__SANITIZE_ADDRESS__) || defined(__clang__)
/* Of the sanitizer's allocator, whose header is not installed everywhere. */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));
#endif

static size_t heap_size(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__clang__)
    if (__sanitizer_get_current_allocated_bytes)
        return __sanitizer_get_current_allocated_bytes();
    return mallinfo2().uordblks;
#else
    return mallinfo2().uordblks;
#endif
}

#define N_IDLE 2000
#define N_FIRST 300 /* after which the pools have their size */

/* Of a connection between requests a struct remains, and its place among the timers. */
TEST(an_idle_connection_takes_at_most_320_bytes)
{
    static int fds[N_IDLE];
    struct rlimit limit = { 3 * N_IDLE, 3 * N_IDLE };
    IGNORE(setrlimit(RLIMIT_NOFILE, &limit), "the loop below says so");
    struct bench *bench = bench_new(NULL);
    size_t before = 0;
    for (int i = 0; i < N_IDLE; i++) {
        if (i == N_FIRST)
            before = heap_size();
        struct peer *other = bench_connect(bench);
        peer_send(other, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
        peer_expect(other, HELLO);
        fds[i] = other->fd;
        free(other);
    }
    CHECK_INT(http_n_connections(bench->server), N_IDLE);
    size_t each = (heap_size() - before) / (N_IDLE - N_FIRST);
    printf("# %zu bytes\n", each);
    CHECK(each <= 320);

    for (int i = 0; i < N_IDLE; i++)
        close(fds[i]);
    while (http_n_connections(bench->server) > 0)
        CHECK_INT(loop_turn(bench->loop, NSEC_PER_MSEC), 0);
    settle(bench->loop);
    /* Of those that are gone nothing remains but what the table of timers grew to. */
    CHECK(heap_size() < before + 100000);
    bench_free(bench);
}
