/* SPDX-License-Identifier: Apache-2.0 */

/* A client of HTTP/2, its preface sent. The first byte says in what pieces the rest arrives and
 * whether it reads; a handler does what the path says. Every exchange that began ends once, and when
 * the client has gone nothing is left of it. */

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../unit/fake/clock.h"
#include "base/mem.h"
#include "http/server.h"
#include "property.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define N_LATER 128u

static struct fake_clock fake;
static struct loop *loop;
static struct http_server *server;
static unsigned n_begun, n_ended;
static struct http_exchange *later[N_LATER];

static void forget(struct http_exchange *exchange)
{
    for (unsigned i = 0; i < N_LATER; i++) {
        if (later[i] == exchange)
            later[i] = NULL;
    }
}

static void on_abort(struct http_exchange *exchange)
{
    n_ended++;
    forget(exchange);
}

static void echo(struct http_exchange *exchange, struct span bytes)
{
    http_send(exchange, bytes);
}

static void echo_end(struct http_exchange *exchange)
{
    n_ended++;
    http_put_trailers(exchange, SPAN("x-end: 1\r\n"));
    http_finish(exchange);
}

static void pause_each(struct http_exchange *exchange, struct span bytes)
{
    PROPERTY(bytes.size > 0);
    http_pause(exchange);
}

static void on_request(struct http_handler *handler, struct http_exchange *exchange)
{
    static const struct http_exchange_ops echoing = { echo, echo_end, NULL, on_abort, NULL };
    static const struct http_exchange_ops pausing = { pause_each, NULL, NULL, on_abort, NULL };
    static const struct http_message unknown = { .status = 200, .body = HTTP_SEND_UNKNOWN };
    struct span path = exchange->head->path_and_query;
    char what = path.size > 1 ? path.data[1] : 0;
    (void)handler;
    n_begun++;
    PROPERTY(exchange->head->is_http2 && http_is_token(exchange->head->method));
    exchange->ops = &echoing;
    if (what == 'e') {
        http_respond(exchange, &unknown);
    } else if (what == 'l' || what == 'p') {
        exchange->ops = &pausing;
        unsigned i = 0;
        while (i + 1 < N_LATER && later[i])
            i++;
        PROPERTY(!later[i]);
        later[i] = exchange;
    } else if (what == 'r') {
        n_ended++;
        http_reset(exchange, HTTP_RESET_CANCEL);
    } else {
        n_ended++;
        http_reply(exchange, 200, NULL, 0, SPAN("hello"));
    }
}

static void turn(void)
{
    PROPERTY(loop_turn(loop, 0) == 0);
}

/* What was held goes on, or is answered. */
static void go_on(void)
{
    for (unsigned i = 0; i < N_LATER; i++) {
        struct http_exchange *exchange = later[i];
        if (!exchange)
            continue;
        http_resume(exchange);
        if (exchange->head->path_and_query.data[1] == 'l') {
            later[i] = NULL;
            n_ended++;
            http_reply(exchange, 200, NULL, 0, SPAN("later"));
        }
    }
}

static void start(void)
{
    static struct http_handler handler = { .on_request = on_request };
    fake_clock_init(&fake);
    loop = loop_new(&fake.clock);
    server = http_server_new(loop, &handler, &http_settings_default);
}

static void drop_answers(int fd)
{
    char bytes[16384];
    while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
        continue;
}

static void send_pieces(int fd, struct span input, uint8_t way)
{
    size_t piece = way & 0x7f ? (size_t)(way & 0x7f) * 3 : input.size;
    while (input.size > 0) {
        size_t size = piece < input.size ? piece : input.size;
        if (send(fd, input.data, size, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)size)
            break;
        input = span_from(input, size);
        turn();
        go_on();
        if (!(way & 0x80))
            drop_answers(fd);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct address peer = { .size = sizeof(sa_family_t), .any.sa_family = AF_UNIX };
    struct span input = input_of(data, size);
    uint8_t way = cut_byte(&input);
    int fds[2];
    if (!server)
        start();
    PROPERTY(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
    http_admit(server, fds[0], &peer, 0, NULL);
    PROPERTY(send(fds[1], PREFACE, sizeof(PREFACE) - 1, MSG_NOSIGNAL) > 0);
    send_pieces(fds[1], input, way);
    for (int i = 0; i < 3; i++) {
        turn();
        go_on();
    }
    close(fds[1]);
    for (int i = 0; i < 20 && http_n_connections(server) > 0; i++) {
        turn();
        fake_clock_advance(&fake, NSEC_PER_SEC);
    }
    turn();
    PROPERTY(http_n_connections(server) == 0);
    PROPERTY(n_begun == n_ended);
    return 0;
}
