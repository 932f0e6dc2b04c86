/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The way of a request through a whole gateway; the test plays client and services.
 */

#include "gateway/proxy.h"

#include "fixture.h"

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

/* One service, one instance, one client; most tests need no more. */
struct way {
    struct gate gate;
    int service_fd;
    struct peer *client, *service;
};

static void way_init(struct way *way, unsigned listener)
{
    gate_init(&way->gate);
    way->service_fd = gate_service(&way->gate, "orders", "3.14.2", "orders-1");
    gate_start(&way->gate);
    gate_publish(&way->gate);
    way->client = gate_client(&way->gate, listener);
    way->service = NULL;
}

static void way_fini(struct way *way)
{
    if (way->service)
        peer_close(way->service);
    peer_close(way->client);
    close(way->service_fd);
    gate_fini(&way->gate);
}

/* What the service is sent for a GET. */
static const char *way_get(struct way *way, const char *target, const char *fields)
{
    peer_get(way->client, target, fields);
    if (!way->service)
        way->service = peer_accept(way->gate.loop, way->service_fd);
    return peer_head(way->service);
}

TEST(a_request_reaches_the_service_and_comes_back)
{
    struct way way;
    way_init(&way, EDGE);
    const char *head = way_get(&way, "/api/orders/a/b?c=d", "Accept: x\r\n");
    check_in(head, "GET /a/b?c=d HTTP/1.1\r\n");
    check_in(head, "\r\nhost: shop.test\r\n");
    check_in(head, "\r\naccept: x\r\n");
    check_in(head, "\r\nx-forwarded-for: 127.0.0.1\r\n");
    check_in(head, "\r\ntraceparent: 00-");
    peer_send(way.service, "HTTP/1.1 201 Created\r\nContent-Length: 2\r\nX-Own: 1\r\n\r\nhi");
    head = peer_head(way.client);
    check_in(head, "HTTP/1.1 201 Created\r\n");
    check_in(head, "\r\nx-own: 1\r\n");
    check_in(head, "\r\nsarsen-contract: orders@3\r\n");
    check_in(head, "\r\nsarsen-build: 3.14.2\r\n");
    check_in(head, "\r\nsarsen-bom: ");
    CHECK_STR(peer_body(way.client, head), "hi");
    way_fini(&way);
}

TEST(connections_are_kept_on_both_sides)
{
    struct way way;
    way_init(&way, EDGE);
    for (int i = 0; i < 5; i++) {
        way_get(&way, "/api/orders/", "");
        peer_send(way.service, OK);
        peer_body(way.client, peer_head(way.client));
    }
    way_fini(&way);
}

TEST(a_contract_can_be_asked_for)
{
    struct way way;
    way_init(&way, EDGE);
    check_in(way_get(&way, "/api/orders@3", ""), "GET / HTTP/1.1\r\n");
    peer_send(way.service, OK);
    peer_body(way.client, peer_head(way.client));
    check_in(way_get(&way, "/api/orders@3?a=%2F", ""), "GET /?a=%2F HTTP/1.1\r\n");
    way_fini(&way);
}

TEST(paths_arrive_in_their_one_form)
{
    static const char *const table[][2] = {
        { "/api/orders/a//b/../c", "GET /a/c HTTP/1.1" },
        { "/api/x/../orders/%61?q=%61", "GET /a?q=%61 HTTP/1.1" },
        { "/api/orders/%c3%bc", "GET /%C3%BC HTTP/1.1" },
    };
    struct way way;
    way_init(&way, EDGE);
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        check_in(way_get(&way, table[i][0], ""), table[i][1]);
        peer_send(way.service, OK);
        peer_body(way.client, peer_head(way.client));
    }
    way_fini(&way);
}

TEST(a_trusted_caller_names_service_and_customer)
{
    struct way way;
    way_init(&way, INTERNAL);
    const char *head = way_get(&way, "/graphql",
                               "Sarsen-Service: orders\r\nSarsen-Customer: acme\r\n"
                               "Sarsen-Caller: cron\r\nSarsen-Deadline: 4000\r\n");
    check_in(head, "GET /graphql HTTP/1.1\r\n");
    check_in(head, "sarsen.customer=acme");
    check_not_in(head, "sarsen-service");
    check_not_in(head, "sarsen-caller");
    check_in(head, "\r\nsarsen-deadline: ");
    way_fini(&way);
}

TEST(a_trusted_caller_names_each_once)
{
    struct way way;
    way_init(&way, INTERNAL);
    peer_get(way.client, "/api/orders/", "Sarsen-Customer: acme\r\nsarsen-customer: globex\r\n");
    const char *head = peer_head(way.client);
    check_in(head, "HTTP/1.1 400 ");
    check_in(peer_body(way.client, head), "Sarsen-Customer is given several times");
    peer_get(way.client, "/x", "Sarsen-Service: orders\r\nA: b\r\nSarsen-Service: orders\r\n");
    head = peer_head(way.client);
    check_in(head, "HTTP/1.1 400 ");
    check_in(peer_body(way.client, head), "Sarsen-Service is given several times");
    way_get(&way, "/api/orders/", "Sarsen-Customer: acme\r\nSarsen-Service: orders\r\n");
    /* On the edge they say nothing, however often. */
    struct peer *stranger = gate_client(&way.gate, EDGE);
    peer_get(stranger, "/x", "Sarsen-Customer: acme\r\nSarsen-Customer: globex\r\n");
    check_in(peer_head(stranger), "HTTP/1.1 404 ");
    peer_close(stranger);
    way_fini(&way);
}

TEST(an_edge_client_names_nothing)
{
    struct way way;
    way_init(&way, EDGE);
    peer_get(way.client, "/graphql", "Sarsen-Service: orders\r\n");
    const char *head = peer_head(way.client);
    check_in(head, "HTTP/1.1 404 ");
    peer_body(way.client, head);
    head = way_get(&way, "/api/orders/",
                   "Sarsen-Customer: acme\r\n"
                   "baggage: sarsen.customer=acme,sarsen.bom=x,own=1\r\n");
    check_not_in(head, "acme");
    check_in(head, "baggage: own=1,");
    check_in(head, "sarsen.customer=~");
    way_fini(&way);
}

TEST(a_visitor_is_known_again_and_a_login_sticks)
{
    struct way way;
    gate_init(&way.gate);
    way.service = NULL;
    way.service_fd = gate_service(&way.gate, "orders", "3.14.2", "orders-1");
    struct service_spec identity = { .name = SPAN("orders"), .identity = { true, true } };
    struct world *world = &way.gate.world;
    DO(world, service_put(world->registry, &identity, world->wall, &world->txn, &world->problem));
    gate_start(&way.gate);
    gate_publish(&way.gate);
    way.client = gate_client(&way.gate, EDGE);

    way_get(&way, "/api/orders/", "");
    peer_send(way.service, OK);
    const char *head = peer_head(way.client);
    char visitor[1024], customer[1024];
    strcpy(visitor, cookie_field(head));
    peer_body(way.client, head);

    check_not_in(way_get(&way, "/api/orders/", visitor), "sarsen=");
    peer_send(way.service,
              "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSarsen-Customer: acme\r\n\r\nhi");
    head = peer_head(way.client);
    check_not_in(head, "sarsen-customer");
    check_in(head, "; Path=/; Max-Age=3600; ");
    check_in(head, "HttpOnly; SameSite=Lax");
    strcpy(customer, cookie_field(head));
    peer_body(way.client, head);

    check_in(way_get(&way, "/api/orders/", customer), "sarsen.customer=acme");
    peer_send(way.service, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSarsen-Customer:\r\n\r\nhi");
    head = peer_head(way.client);
    strcpy(customer, cookie_field(head));
    peer_body(way.client, head);

    /* Logged out: the same device as before. */
    head = way_get(&way, "/api/orders/", customer);
    check_in(head, "sarsen.customer=~");
    char device[17] = { 0 };
    memcpy(device, strstr(head, "sarsen.customer=~") + 17, 16);
    peer_send(way.service, OK);
    head = peer_head(way.client);
    check_not_in(head, "set-cookie");
    peer_body(way.client, head);
    check_in(way_get(&way, "/api/orders/", visitor), device);
    way_fini(&way);
}

TEST(an_inner_answer_is_named_when_we_know_it)
{
    static const struct {
        const char *fields, *contract, *build;
    } table[] = {
        { "Sarsen-Contract: cart@2\r\nSarsen-Build: 2.1.0\r\n", "cart@2", "2.1.0" },
        { "Sarsen-Contract: cart@7\r\nSarsen-Build: 2.1.0\r\n", "orders@3", "3.14.2" },
        { "Sarsen-Contract: cart@2\r\nSarsen-Build: 9.9.9\r\n", "orders@3", "3.14.2" },
        { "Sarsen-Contract: cart@2\r\nSarsen-Build: 3.14.2\r\n", "orders@3", "3.14.2" },
        { "Sarsen-Contract: none@2\r\nSarsen-Build: 2.1.0\r\n", "orders@3", "3.14.2" },
        { "Sarsen-Contract: cart\r\nSarsen-Build: 2.1.0\r\n", "orders@3", "3.14.2" },
        { "Sarsen-Contract: @\r\nSarsen-Build: 2.1.0\r\n", "orders@3", "3.14.2" },
        { "Sarsen-Contract: cart@2\r\n", "orders@3", "3.14.2" },
        { "Sarsen-Build: 2.1.0\r\n", "orders@3", "3.14.2" },
    };
    struct way way;
    way_init(&way, EDGE);
    world_instance(&way.gate.world, "cart", "2.1.0");
    gate_publish(&way.gate);
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        char text[256];
        way_get(&way, "/api/orders/", "");
        snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n%sContent-Length: 2\r\n\r\nhi",
                 table[i].fields);
        peer_send(way.service, text);
        const char *head = peer_head(way.client);
        snprintf(text, sizeof(text), "\r\nSarsen-Contract: %s\r\n", table[i].contract);
        check_in(head, text);
        snprintf(text, sizeof(text), "\r\nSarsen-Build: %s\r\n", table[i].build);
        check_in(head, text);
        peer_body(way.client, head);
    }
    way_fini(&way);
}

TEST(what_caches_give_to_everybody_makes_no_visitor)
{
    static const struct {
        const char *value;
        bool gets_cookie;
    } table[] = {
        { "public, max-age=60", false },
        { "max-age=60,Immutable", false },
        { "s-maxage = 60", false },
        { "private", true },
        { "max-age=60", true },
        { "no-cache=\"publicity\"", true },
        { ", ,", true },
    };
    struct way way;
    way_init(&way, EDGE);
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        char text[256];
        way_get(&way, "/api/orders/", "");
        snprintf(text, sizeof(text),
                 "HTTP/1.1 200 OK\r\nCache-Control: %s\r\nContent-Length: 2\r\n\r\nhi",
                 table[i].value);
        peer_send(way.service, text);
        const char *head = peer_head(way.client);
        check_part(head, "set-cookie: sarsen=", table[i].gets_cookie);
        peer_body(way.client, head);
    }
    way_fini(&way);
}

TEST(a_client_of_http_1_0_names_no_host)
{
    struct way way;
    way_init(&way, EDGE);
    peer_send(way.client, "GET /api/orders/a HTTP/1.0\r\n\r\n");
    way.service = peer_accept(way.gate.loop, way.service_fd);
    const char *head = peer_head(way.service);
    check_in(head, "GET /a HTTP/1.1\r\n");
    check_not_in(head, "x-forwarded-host");
    peer_send(way.service, OK);
    head = peer_head(way.client);
    check_in(head, " 200 OK");
    CHECK_STR(peer_body(way.client, head), "hi");
    static const char *const own[] = {
        "GET / HTTP/1.0\r\n\r\n",           "GET /apps/shop HTTP/1.0\r\n\r\n",
        "GET /apps/shop/ HTTP/1.0\r\n\r\n", "GET /.sarsen/resolve HTTP/1.0\r\n\r\n",
        "OPTIONS * HTTP/1.0\r\n\r\n",       "GET /api/none/ HTTP/1.0\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        struct peer *client = gate_client(&way.gate, EDGE);
        peer_send(client, own[i]);
        check_in(peer_head(client), "HTTP/1.");
        peer_close(client);
    }
    way_fini(&way);
}

TEST(only_an_identity_service_names_customers)
{
    struct way way;
    way_init(&way, INTERNAL);
    way_get(&way, "/api/orders/", "");
    peer_send(way.service,
              "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSarsen-Customer: acme\r\n\r\nhi");
    const char *head = peer_head(way.client);
    check_not_in(head, "acme");
    check_not_in(head, "set-cookie");
    way_fini(&way);
}

TEST(bodies_flow_both_ways_in_pieces)
{
    struct way way;
    way_init(&way, EDGE);
    peer_send(way.client,
              "POST /api/orders/ HTTP/1.1\r\nHost: x\r\n"
              "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    way.service = peer_accept(way.gate.loop, way.service_fd);
    check_in(peer_head(way.service), "transfer-encoding: chunked");
    peer_expect(way.service, "3\r\nabc\r\n");
    /* The answer may begin before the request has ended. */
    peer_send(way.service, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
    check_in(peer_head(way.client), "transfer-encoding: chunked");
    peer_expect(way.client, "1\r\nx\r\n");
    peer_send(way.client, "2\r\nde\r\n0\r\n\r\n");
    peer_expect(way.service, "2\r\nde\r\n0\r\n\r\n");
    peer_send(way.service, "0\r\n\r\n");
    peer_expect(way.client, "0\r\n\r\n");
    way_fini(&way);
}

TEST(a_slow_client_holds_the_service_back)
{
    struct way way;
    way_init(&way, EDGE);
    way_get(&way, "/api/orders/", "");
    peer_send(way.service, "HTTP/1.1 200 OK\r\nContent-Length: 268435456\r\n\r\n");
    check_in(peer_head(way.client), "268435456");
    /* The client reads nothing: what the service can send ends at what the kernel and the bounded
     * buffers between take. */
    static char piece[65536];
    size_t sent = 0;
    for (int n_quiet = 0; n_quiet < 50;) {
        ssize_t n = send(way.service->fd, piece, sizeof(piece), MSG_NOSIGNAL | MSG_DONTWAIT);
        n_quiet = n > 0 ? 0 : n_quiet + 1;
        sent += n > 0 ? (size_t)n : 0;
        CHECK_INT(loop_turn(way.gate.loop, NSEC_PER_MSEC), 0);
    }
    CHECK(sent < 128u * 1024 * 1024);
    way_fini(&way);
}

TEST(a_slow_service_holds_the_client_back)
{
    struct way way;
    way_init(&way, EDGE);
    peer_send(way.client,
              "PUT /api/orders/ HTTP/1.1\r\nHost: x\r\n"
              "Content-Length: 268435456\r\n\r\n");
    static char piece[65536];
    CHECK_INT(send(way.client->fd, piece, sizeof(piece), MSG_NOSIGNAL), sizeof(piece));
    way.service = peer_accept(way.gate.loop, way.service_fd);
    peer_head(way.service);
    size_t sent = sizeof(piece);
    for (int n_quiet = 0; n_quiet < 50;) {
        ssize_t n = send(way.client->fd, piece, sizeof(piece), MSG_NOSIGNAL | MSG_DONTWAIT);
        n_quiet = n > 0 ? 0 : n_quiet + 1;
        sent += n > 0 ? (size_t)n : 0;
        CHECK_INT(loop_turn(way.gate.loop, NSEC_PER_MSEC), 0);
    }
    CHECK(sent < 128u * 1024 * 1024);
    way_fini(&way);
}

TEST(an_instance_that_refuses_is_passed_over)
{
    struct way way;
    gate_init(&way.gate);
    way.service = NULL;
    int refusing = gate_service(&way.gate, "orders", "3.14.2", "orders-0");
    way.service_fd = gate_service(&way.gate, "orders", "3.14.2", "orders-1");
    close(refusing);
    gate_start(&way.gate);
    gate_publish(&way.gate);
    way.client = gate_client(&way.gate, EDGE);
    for (int i = 0; i < 4; i++) {
        /* A body, and a method that must not be repeated: nothing was sent, so it may be. */
        peer_send(way.client,
                  "POST /api/orders/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
        if (!way.service)
            way.service = peer_accept(way.gate.loop, way.service_fd);
        check_in(peer_head(way.service), "POST / HTTP/1.1");
        peer_expect(way.service, "hello");
        peer_send(way.service, OK);
        peer_body(way.client, peer_head(way.client));
    }
    way_fini(&way);
}

TEST(when_every_instance_refuses_it_is_said)
{
    struct way way;
    way_init(&way, EDGE);
    close(way.service_fd);
    peer_get(way.client, "/api/orders/", "");
    const char *head = peer_head(way.client);
    check_in(head, "HTTP/1.1 503 ");
    check_in(head, "application/problem+json");
    check_in(peer_body(way.client, head), "every instance refused");
    /* The refusal a moment ago does not shut the service out. */
    peer_get(way.client, "/api/orders/", "");
    check_in(peer_head(way.client), "HTTP/1.1 503 ");
    way.service_fd = -1;
    way_fini(&way);
}

TEST(a_get_is_sent_again_when_its_connection_breaks)
{
    struct way way;
    gate_init(&way.gate);
    way.service = NULL;
    int other = gate_service(&way.gate, "orders", "3.14.2", "orders-0");
    way.service_fd = gate_service(&way.gate, "orders", "3.14.2", "orders-1");
    gate_start(&way.gate);
    gate_publish(&way.gate);
    way.client = gate_client(&way.gate, EDGE);
    peer_get(way.client, "/api/orders/", "");
    /* Whichever is asked first hangs up; the other one answers. */
    int fds[2] = { other, way.service_fd };
    unsigned first = first_asked(fds);
    struct peer *broken = peer_accept(way.gate.loop, fds[first]);
    peer_head(broken);
    peer_close(broken);
    way.service = peer_accept(way.gate.loop, fds[!first]);
    peer_head(way.service);
    peer_send(way.service, OK);
    check_in(peer_head(way.client), "HTTP/1.1 200 ");
    close(other);
    way_fini(&way);
}

TEST(a_post_is_not_sent_twice)
{
    struct way way;
    way_init(&way, EDGE);
    peer_send(way.client, "POST /api/orders/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na");
    struct peer *broken = peer_accept(way.gate.loop, way.service_fd);
    peer_head(broken);
    peer_close(broken);
    const char *head = peer_head(way.client);
    check_in(head, "HTTP/1.1 502 ");
    check_in(peer_body(way.client, head), "closed the connection before it had answered");
    way_fini(&way);
}

TEST(a_kept_connection_that_was_closed_costs_nothing)
{
    struct way way;
    way_init(&way, EDGE);
    for (int i = 0; i < 3; i++) {
        way_get(&way, "/api/orders/", "");
        peer_send(way.service, OK);
        peer_body(way.client, peer_head(way.client));
        peer_close(way.service);
        way.service = NULL;
    }
    way_fini(&way);
}

TEST(an_answer_that_breaks_off_is_seen_to)
{
    struct way way;
    way_init(&way, EDGE);
    way_get(&way, "/api/orders/", "");
    peer_send(way.service, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    peer_head(way.client);
    peer_close(way.service);
    way.service = NULL;
    peer_expect(way.client, "half");
    peer_expect_gone(way.client);
    way_fini(&way);
}

TEST(an_answer_that_is_no_http_is_a_502)
{
    struct way way;
    way_init(&way, EDGE);
    way_get(&way, "/api/orders/", "");
    peer_send(way.service, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n");
    check_in(peer_head(way.client), "HTTP/1.1 502 ");
    way_fini(&way);
}

TEST(a_deadline_of_the_caller_is_kept)
{
    struct way way;
    way_init(&way, INTERNAL);
    way_get(&way, "/api/orders/", "Sarsen-Deadline: 50\r\n");
    const char *head = peer_head(way.client);
    check_in(head, "HTTP/1.1 504 ");
    peer_body(way.client, head);
    peer_get(way.client, "/api/orders/", "Sarsen-Deadline: 0\r\n");
    check_in(peer_head(way.client), "HTTP/1.1 504 ");
    way_fini(&way);
}

TEST(a_head_request_tells_the_length_and_sends_nothing)
{
    struct way way;
    way_init(&way, EDGE);
    peer_send(way.client, "HEAD /api/orders/ HTTP/1.1\r\nHost: x\r\n\r\n");
    way.service = peer_accept(way.gate.loop, way.service_fd);
    check_in(peer_head(way.service), "HEAD / HTTP/1.1");
    peer_send(way.service, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n");
    check_in(peer_head(way.client), "content-length: 7\r\n");
    way_get(&way, "/api/orders/next", "");
    way_fini(&way);
}

TEST(a_client_that_leaves_ends_the_call)
{
    struct way way;
    way_init(&way, EDGE);
    way_get(&way, "/api/orders/", "");
    /* A reset: a mere end of what it sends could be a client that still waits for the answer. */
    struct linger reset = { .l_onoff = 1, .l_linger = 0 };
    CHECK_INT(setsockopt(way.client->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
    peer_close(way.client);
    peer_expect_gone(way.service);
    way.client = gate_client(&way.gate, EDGE);
    way_fini(&way);
}

TEST(pipelined_requests_are_answered_in_order)
{
    struct way way;
    way_init(&way, EDGE);
    peer_send(way.client,
              "GET /api/orders/1 HTTP/1.1\r\nHost: x\r\n\r\n"
              "GET /api/nope/ HTTP/1.1\r\nHost: x\r\n\r\n"
              "GET /api/orders/2 HTTP/1.1\r\nHost: x\r\n\r\n");
    way.service = peer_accept(way.gate.loop, way.service_fd);
    check_in(peer_head(way.service), "GET /1 ");
    peer_send(way.service, OK);
    peer_body(way.client, peer_head(way.client));
    const char *head = peer_head(way.client);
    check_in(head, "HTTP/1.1 404 ");
    peer_body(way.client, head);
    check_in(peer_head(way.service), "GET /2 ");
    way_fini(&way);
}
