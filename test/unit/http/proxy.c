/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Server and client together, as a gateway uses them: a front server whose handler passes each
 * request on through a pool to an echoing server, all on one loop, with back-pressure both ways.
 * Clients send bodies of random size and framing in random pieces and read at random times.
 */

#include "base/buf.h"
#include "http/client.h"
#include "http/peer.h"
#include "http/server.h"

#define N_CLIENTS 4
#define N_REQUESTS 40
#define MAX_BODY 400000u
#define KEPT_MAX (HTTP_SEND_MARK + 2 * 65536u) /* what one more receive may add to the mark */

static unsigned random_state = 12345;

static size_t random_below(size_t n)
{
    random_state = random_state * 1103515245u + 12345u;
    return (random_state >> 8) % n;
}

struct proxy {
    struct http_handler front, back;
    struct loop *loop;
    struct http_pool *pool;
    struct address upstream;
    size_t max_kept;
};

struct passage {
    struct http_call call;
    struct http_exchange *exchange;
    struct proxy *proxy;
};

static void note_kept(struct proxy *proxy, size_t kept)
{
    if (kept > proxy->max_kept)
        proxy->max_kept = kept;
}

static enum http_body_kind kind_of(const struct http_head *head)
{
    switch (head->framing) {
    case HTTP_BODY_NONE: return HTTP_SEND_NONE;
    case HTTP_BODY_LENGTH: return HTTP_SEND_LENGTH;
    case HTTP_BODY_CHUNKED:
    case HTTP_BODY_UNTIL_CLOSE: break;
    }
    return HTTP_SEND_UNKNOWN;
}

/* From the upstream to the client. */
static void passage_on_response(struct http_call *call, const struct http_head *head)
{
    struct passage *passage = container_of(call, struct passage, call);
    struct http_message response = { .status = head->status,
                                     .body = kind_of(head),
                                     .content_length = head->content_length };
    http_respond(passage->exchange, &response);
}

static void passage_on_body(struct http_call *call, struct span bytes)
{
    struct passage *passage = container_of(call, struct passage, call);
    http_send(passage->exchange, bytes);
    note_kept(passage->proxy, http_unsent(passage->exchange));
    if (http_unsent(passage->exchange) > HTTP_SEND_MARK)
        http_call_pause(call);
}

static void passage_on_end(struct http_call *call)
{
    struct passage *passage = container_of(call, struct passage, call);
    http_finish(passage->exchange);
    free(passage);
}

static void passage_on_fault(struct http_call *call, enum http_fault fault)
{
    (void)call;
    CHECK_INT(fault, -1);
}

static void passage_on_call_drained(struct http_call *call)
{
    http_resume(container_of(call, struct passage, call)->exchange);
}

static const struct http_call_ops call_ops = { passage_on_response, passage_on_body, passage_on_end,
                                               passage_on_fault, passage_on_call_drained };

/* From the client to the upstream. */
static void front_on_body(struct http_exchange *exchange, struct span bytes)
{
    struct passage *passage = exchange->owner;
    http_call_send(&passage->call, bytes);
    note_kept(passage->proxy, http_call_unsent(&passage->call));
    if (http_call_unsent(&passage->call) > HTTP_SEND_MARK)
        http_pause(exchange);
}

static void front_on_body_end(struct http_exchange *exchange)
{
    struct passage *passage = exchange->owner;
    http_call_finish(&passage->call);
}

static void front_on_drained(struct http_exchange *exchange)
{
    struct passage *passage = exchange->owner;
    http_call_resume(&passage->call);
}

static void front_on_abort(struct http_exchange *exchange)
{
    struct passage *passage = exchange->owner;
    http_call_cancel(&passage->call);
    free(passage);
}

static const struct http_exchange_ops front_ops = { front_on_body, front_on_body_end,
                                                    front_on_drained, front_on_abort };

static void front_on_request(struct http_handler *handler, struct http_exchange *exchange)
{
    static const struct http_out_field host = { SPAN("host"), SPAN("up") };
    struct proxy *proxy = container_of(handler, struct proxy, front);
    struct passage *passage = mem_new(struct passage);
    passage->exchange = exchange;
    passage->proxy = proxy;
    passage->call.ops = &call_ops;
    exchange->owner = passage;
    exchange->ops = &front_ops;

    struct http_message request = { .method = exchange->head->method,
                                    .target = exchange->head->path_and_query,
                                    .fields = &host,
                                    .n_fields = 1,
                                    .body = kind_of(exchange->head),
                                    .content_length = exchange->head->content_length };
    http_call_start(proxy->pool, &passage->call, &proxy->upstream, &request, NSEC_NEVER);
}

/* The echoing server. */
static void back_on_body(struct http_exchange *exchange, struct span bytes)
{
    struct proxy *proxy = exchange->owner;
    http_send(exchange, bytes);
    note_kept(proxy, http_unsent(exchange));
    if (http_unsent(exchange) > HTTP_SEND_MARK)
        http_pause(exchange);
}

static void back_on_body_end(struct http_exchange *exchange)
{
    http_finish(exchange);
}

static void back_on_drained(struct http_exchange *exchange)
{
    http_resume(exchange);
}

static const struct http_exchange_ops back_ops = { back_on_body, back_on_body_end, back_on_drained,
                                                   NULL };

static void back_on_request(struct http_handler *handler, struct http_exchange *exchange)
{
    exchange->owner = container_of(handler, struct proxy, back);
    exchange->ops = &back_ops;
    struct http_message response = { .status = 200,
                                     .body = kind_of(exchange->head),
                                     .content_length = exchange->head->content_length };
    http_respond(exchange, &response);
    if (exchange->head->framing == HTTP_BODY_NONE || exchange->head->content_length == 0) {
        if (exchange->head->framing != HTTP_BODY_CHUNKED)
            http_finish(exchange);
    }
}

/* One client: the request as bytes, how much of it is sent, and what came back. */
struct client {
    struct peer *peer;
    struct buf request, body, answer;
    size_t n_sent;
    unsigned n_done;
    bool is_chunked;
};

static void client_make_request(struct client *client)
{
    size_t size = random_below(4) == 0 ? random_below(20) : random_below(MAX_BODY);
    buf_clear(&client->request);
    buf_clear(&client->body);
    client->n_sent = 0;
    client->is_chunked = random_below(2);
    for (size_t i = 0; i < size; i++) {
        char byte = (char)('a' + random_below(26));
        buf_put(&client->body, (struct span){ &byte, 1 });
    }

    buf_puts(&client->request, "POST /echo HTTP/1.1\r\nHost: a\r\n");
    if (!client->is_chunked) {
        buf_printf(&client->request, "Content-Length: %zu\r\n\r\n", size);
        buf_put(&client->request, buf_span(&client->body));
        return;
    }
    buf_puts(&client->request, "Transfer-Encoding: chunked\r\n\r\n");
    for (struct span rest = buf_span(&client->body); rest.size > 0;) {
        struct span chunk = span_first(rest, 1 + random_below(60000));
        buf_printf(&client->request, "%zx\r\n", chunk.size);
        buf_put(&client->request, chunk);
        buf_puts(&client->request, "\r\n");
        rest = span_from(rest, chunk.size);
    }
    buf_puts(&client->request, "0\r\n\r\n");
}

static void client_send(struct client *client)
{
    struct span rest = span_from(buf_span(&client->request), client->n_sent);
    if (rest.size == 0 || random_below(3) == 0)
        return;
    rest = span_first(rest, 1 + random_below(random_below(2) ? 100 : 100000));
    ssize_t n = send(client->peer->fd, rest.data, rest.size, MSG_NOSIGNAL);
    CHECK(n > 0 || errno == EAGAIN);
    client->n_sent += n > 0 ? (size_t)n : 0;
}

/* Whether the whole body is there; what is there is compared with what was sent. */
static bool is_chunked_body(struct span rest, struct span want)
{
    struct http1_chunked chunked = { 0 };
    struct span data;
    int r;
    while ((r = http1_chunked_decode(&chunked, &rest, &data)) == HTTP1_CHUNK_DATA) {
        CHECK(span_equals(data, span_first(want, data.size)));
        want = span_from(want, data.size);
    }
    CHECK(r != HTTP1_CHUNK_BAD);
    if (r == HTTP1_CHUNK_END)
        CHECK_INT(rest.size + want.size, 0);
    return r == HTTP1_CHUNK_END;
}

static bool is_whole_answer(const struct client *client)
{
    static const struct http1_limits limits = { .head = 65536, .line = 8192 };
    struct http_head head;
    struct http1_error error;
    struct span rest = buf_span(&client->answer), want = buf_span(&client->body);
    int r = http1_parse_response(rest, SPAN("POST"), &limits, &head, &error);
    CHECK(r != HTTP1_BAD);
    if (r == HTTP1_MORE)
        return false;

    rest = span_from(rest, head.size);
    CHECK_INT(head.framing, client->is_chunked ? HTTP_BODY_CHUNKED : HTTP_BODY_LENGTH);
    if (client->is_chunked)
        return is_chunked_body(rest, want);
    CHECK_INT(head.content_length, want.size);
    CHECK(span_equals(rest, span_first(want, rest.size)));
    return rest.size == want.size;
}

static bool client_receive(struct client *client)
{
    if (random_below(50) == 0) { /* a slow reader */
        CHECK_INT(peer_receive(client->peer), 1);
        buf_put(&client->answer, (struct span){ client->peer->got, client->peer->n_got });
        client->peer->n_got = 0;
    }
    return is_whole_answer(client);
}

static bool client_step(struct client *client)
{
    if (client->n_done == N_REQUESTS)
        return true;
    client_send(client);
    if (client_receive(client)) {
        buf_clear(&client->answer);
        if (++client->n_done < N_REQUESTS)
            client_make_request(client);
    }
    return false;
}

/* Small kernel buffers, which accepted connections inherit, so that it is we who have to keep. */
static void make_narrow(int listen_fd)
{
    int size = 8192;
    CHECK_INT(setsockopt(listen_fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
}

TEST(bodies_of_all_kinds_pass_through_unchanged_and_memory_stays_bounded)
{
    struct proxy proxy = { .front.on_request = front_on_request,
                           .back.on_request = back_on_request };
    proxy.loop = loop_new(clock_system());
    proxy.pool = http_pool_new(proxy.loop, &http_pool_settings_default);
    struct http_server *front = http_server_new(proxy.loop, &proxy.front, &http_settings_default);
    struct http_server *back = http_server_new(proxy.loop, &proxy.back, &http_settings_default);
    struct address address;
    int front_fd = listen_on_loopback(&address), back_fd = listen_on_loopback(&proxy.upstream);
    make_narrow(front_fd);
    make_narrow(back_fd);
    CHECK_INT(http_listen(front, front_fd, 0, NULL), 0);
    CHECK_INT(http_listen(back, back_fd, 0, NULL), 0);

    struct client clients[N_CLIENTS] = { 0 };
    for (size_t i = 0; i < N_CLIENTS; i++) {
        clients[i].peer = peer_connect(proxy.loop, &address);
        client_make_request(&clients[i]);
    }
    time_t until = time(NULL) + 15;
    for (size_t n_done = 0; n_done < N_CLIENTS;) {
        CHECK(time(NULL) < until);
        n_done = 0;
        for (size_t i = 0; i < N_CLIENTS; i++)
            n_done += client_step(&clients[i]);
        CHECK_INT(loop_turn(proxy.loop, 0), 0);
    }
    CHECK(proxy.max_kept > HTTP_SEND_MARK); /* or back-pressure was not tried */
    CHECK(proxy.max_kept <= KEPT_MAX);
    CHECK_INT(http_n_connections(back), N_CLIENTS);

    for (size_t i = 0; i < N_CLIENTS; i++) {
        peer_close(clients[i].peer);
        buf_fini(&clients[i].request);
        buf_fini(&clients[i].body);
        buf_fini(&clients[i].answer);
    }
    http_server_free(front);
    http_pool_free(proxy.pool);
    http_server_free(back);
    loop_free(proxy.loop);
    close(front_fd);
    close(back_fd);
}
