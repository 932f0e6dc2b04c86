/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The gateway's life: views, usage, reload, stop; and what it answers by itself.
 */

#include "gateway/gateway.h"

#include "fixture.h"

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

static void check_answer(struct gate *gate, const char *target, const char *status,
                         const char *part)
{
    struct peer *client = gate_client(gate, EDGE);
    peer_get(client, target, "");
    const char *head = peer_head(client);
    check_in(head, status);
    check_in(peer_body(client, head), part);
    peer_close(client);
}

TEST(before_the_first_view_clients_wait)
{
    struct gate gate;
    gate_init(&gate);
    gate_start(&gate);
    struct peer *client = gate_client(&gate, EDGE);
    peer_get(client, "/nowhere", "");
    peer_expect_nothing(client);
    gate_publish(&gate);
    check_in(peer_head(client), "404");
    peer_close(client);
    gate_fini(&gate);
}

TEST(what_cannot_be_passed_on_is_explained)
{
    struct gate gate;
    gate_init(&gate);
    world_instance(&gate.world, "orders", "2.9.0");
    world_instance(&gate.world, "orders", "3.14.2");
    world_instance(&gate.world, "orders", "3.15.0");
    world_stop(&gate.world, "orders", "3.14.2");
    struct service_spec empty = { .name = SPAN("empty") };
    struct world *world = &gate.world;
    DO(world, service_put(world->registry, &empty, world->wall, &world->txn, &world->problem));
    DO(world, service_set_default(world->version, SPAN("orders"), 3, &world->txn, &world->problem));
    world_offline(&gate.world, "orders", 2);
    static const struct gateway_route routes[] = { { .path = "/later", .service = "later" } };
    gate.settings.routes = routes;
    gate.settings.n_routes = 1;
    gate_start(&gate);
    gate_publish(&gate);

    check_answer(&gate, "/", "404", "no route leads from this path");
    check_answer(&gate, "/apple", "404", "no route");
    check_answer(&gate, "/api/nope/", "404", "no service \\\"nope\\\" has registered");
    check_answer(&gate, "/api/orders@7/", "404", "orders@7");
    check_answer(&gate, "/api/orders@x/", "404", "major");
    check_answer(&gate, "/api/empty/", "503", "no contract yet");
    check_answer(&gate, "/later", "503", "later");
    check_answer(&gate, "/api/orders@2/", "410 Gone", "\"successor\":\"orders@3\"");
    check_answer(&gate, "/api/orders/", "503", "orders 3.15.0 waits");
    check_answer(&gate, "/api/orders/", "503", "\"waiting\":[\"3.15.0\"]");
    check_answer(&gate, "/api/a%2fb", "400", "escaped slash");
    check_answer(&gate, "/.sarsen/x", "404", "nothing");
    check_answer(&gate, "/apps/shop/", "404", "no app");
    gate_fini(&gate);
}

TEST(methods_that_are_nobody_s_to_forward)
{
    struct gate gate;
    gate_init(&gate);
    gate_start(&gate);
    gate_publish(&gate);
    struct peer *client = gate_client(&gate, EDGE);
    peer_send(client, "TRACE / HTTP/1.1\r\nHost: x\r\n\r\n");
    const char *head = peer_head(client);
    check_in(head, "HTTP/1.1 405 ");
    check_in(head, "allow: GET");
    peer_send(client, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n");
    check_in(peer_head(client), "HTTP/1.1 204 ");
    peer_send(client, "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n");
    check_in(peer_head(client), "HTTP/1.1 501 ");
    peer_close(client);
    gate_fini(&gate);
}

/* Sends n requests of a customer by the internal listener and answers them. */
static void use(struct gate *gate, int service_fd, int n)
{
    struct peer *client = gate_client(gate, INTERNAL);
    struct peer *service = NULL;
    for (int i = 0; i < n; i++) {
        peer_get(client, "/api/orders/", "Sarsen-Customer: acme\r\nSarsen-Caller: cron\r\n");
        if (!service)
            service = peer_accept(gate->loop, service_fd);
        peer_head(service);
        peer_send(service, i == 0 ? "HTTP/1.1 500 X\r\nContent-Length: 2\r\n\r\nno" : OK);
        peer_body(client, peer_head(client));
    }
    peer_close(client);
    peer_close(service);
}

TEST(every_use_is_counted_and_collected)
{
    struct gate gate;
    gate_init(&gate);
    int fd = gate_service(&gate, "orders", "3.14.2", "orders-1");
    world_publish(&gate.world, "shop", "4.2.0", "orders 3");
    gate_start(&gate);
    gate_publish(&gate);
    use(&gate, fd, 3);
    gateway_collect_usage(gate.gateway, gate_on_done, &gate);
    gateway_collect_usage(gate.gateway, gate_on_done, &gate);
    AWAIT(&gate, gate.n_done == 2);
    CHECK_INT(gate.n_counted, 1);

    struct usage_filter all = { 0 };
    struct usage_report report = usage_report(gate_usage, &all);
    CHECK_INT(report.n_rows, 1);
    CHECK_STR(report.rows[0].contract, "orders@3");
    CHECK_STR(report.rows[0].build, "3.14.2");
    CHECK_STR(report.rows[0].app, ""); /* no page has caused it */
    CHECK_STR(report.rows[0].release, "");
    CHECK_STR(report.rows[0].customer, "acme");
    CHECK_STR(report.rows[0].caller, "cron");
    CHECK_INT(report.rows[0].n, 3);
    CHECK_INT(report.rows[0].errors, 1);
    usage_report_free(&report);

    /* Emptied, the table goes round; nothing is counted twice. */
    use(&gate, fd, 1);
    gateway_collect_usage(gate.gateway, gate_on_done, &gate);
    AWAIT(&gate, gate.n_done == 3);
    report = usage_report(gate_usage, &all);
    CHECK_INT(report.rows[0].n, 4);
    usage_report_free(&report);
    close(fd);
    gate_fini(&gate);
}

/* The only row there is; its strings are the usage's. */
static struct usage_seen only_row(struct gate *gate)
{
    unsigned before = gate->n_done;
    gateway_collect_usage(gate->gateway, gate_on_done, gate);
    AWAIT(gate, gate->n_done > before);
    struct usage_report report = usage_report(gate_usage, &(struct usage_filter){ 0 });
    CHECK_INT(report.n_rows, 1);
    struct usage_seen row = report.rows[0];
    usage_report_free(&report);
    return row;
}

TEST(a_request_under_way_is_in_use_at_each_collection)
{
    struct gate gate;
    gate_init(&gate);
    int fd = gate_service(&gate, "orders", "3.14.2", "orders-1");
    gate_start(&gate);
    gate_publish(&gate);
    struct peer *client = gate_client(&gate, INTERNAL);
    peer_get(client, "/api/orders/", "Sarsen-Customer: acme\r\nSarsen-Caller: cron\r\n");
    struct peer *service = peer_accept(gate.loop, fd);
    peer_head(service);
    struct usage_seen first = only_row(&gate);
    CHECK_INT(first.n, 1);
    CHECK_STR(first.caller, "cron");

    struct usage_seen row = only_row(&gate);
    AWAIT(&gate, (row = only_row(&gate)).last > first.last);
    CHECK_INT(row.n, 1);
    peer_send(service, "HTTP/1.1 500 X\r\nContent-Length: 2\r\n\r\nno");
    peer_body(client, peer_head(client));
    AWAIT(&gate, (row = only_row(&gate)).errors == 1);
    CHECK_INT(row.n, 1);
    CHECK(row.total_duration > 0);

    /* Over, it is used no more. */
    settle(gate.loop);
    unix_msec last = only_row(&gate).last;
    settle(gate.loop);
    CHECK_INT(only_row(&gate).last, last);
    peer_close(client);
    peer_close(service);
    close(fd);
    gate_fini(&gate);
}

TEST(a_new_bom_goes_up_once)
{
    struct gate gate;
    gate_init(&gate);
    int fd = gate_service(&gate, "orders", "3.14.2", "orders-1");
    gate_start(&gate);
    gate_publish(&gate);
    use(&gate, fd, 3);
    AWAIT(&gate, gate.n_boms > 0);
    settle(gate.loop);
    CHECK_INT(gate.n_boms, 1);
    CHECK_STR(gate.last_bom, "{\"builds\":{},\"contracts\":{},\"releases\":{}}");
    close(fd);
    gate_fini(&gate);
}

TEST(a_request_keeps_the_view_it_began_with)
{
    struct gate gate;
    gate_init(&gate);
    int fd = gate_service(&gate, "orders", "3.14.2", "orders-1");
    gate_start(&gate);
    gate_publish(&gate);
    struct peer *client = gate_client(&gate, EDGE);
    peer_get(client, "/api/orders/", "");
    struct peer *service = peer_accept(gate.loop, fd);
    peer_head(service);
    /* The instance goes, and then the contract: what is under way ends well. */
    world_stop(&gate.world, "orders", "3.14.2");
    for (int i = 0; i < 5; i++)
        gate_publish(&gate);
    check_answer(&gate, "/api/orders/", "503", "no ready instance");
    peer_send(service, OK);
    check_in(peer_head(client), "HTTP/1.1 200 ");
    peer_close(client);
    peer_close(service);
    close(fd);
    gate_fini(&gate);
}

TEST(an_instance_that_drains_gets_no_new_request)
{
    struct gate gate;
    gate_init(&gate);
    int fd = gate_service(&gate, "orders", "3.14.2", "orders-1");
    gate_start(&gate);
    gate_publish(&gate);
    struct world *world = &gate.world;
    DO(world, instance_drain(world->registry, SPAN("orders"), SPAN("orders-1"), &world->txn));
    gate_publish(&gate);
    check_answer(&gate, "/api/orders/", "503", "no ready instance");
    close(fd);
    gate_fini(&gate);
}

TEST(builds_that_share_are_all_used)
{
    struct gate gate;
    gate_init(&gate);
    int fds[2] = { gate_service(&gate, "orders", "3.14.2", "orders-1"),
                   gate_service(&gate, "orders", "3.15.0", "orders-2") };
    struct service_spec shares = { .name = SPAN("orders"), .shares_builds = { true, true } };
    struct world *world = &gate.world;
    DO(world, service_put(world->registry, &shares, world->wall, &world->txn, &world->problem));
    gate_start(&gate);
    gate_publish(&gate);
    struct peer *client = gate_client(&gate, INTERNAL);
    unsigned n_each[2] = { 0 };
    for (int i = 0; i < 4; i++) {
        peer_get(client, "/api/orders/", "");
        unsigned at = first_asked(fds);
        struct peer *service = peer_accept(gate.loop, fds[at]);
        peer_head(service);
        peer_send(service, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi");
        const char *head = peer_head(client);
        check_in(head, at ? "sarsen-build: 3.15.0" : "sarsen-build: 3.14.2");
        peer_body(client, head);
        peer_close(service);
        n_each[at]++;
    }
    CHECK_INT(n_each[0], 2);
    CHECK_INT(n_each[1], 2);
    peer_close(client);
    close(fds[0]);
    close(fds[1]);
    gate_fini(&gate);
}

TEST(a_reload_changes_routes_and_keeps_listeners)
{
    struct gate gate;
    gate_init(&gate);
    gate.settings.n_workers = 2;
    gate_start(&gate);
    gate_publish(&gate);
    struct peer *kept = gate_client(&gate, EDGE);
    peer_get(kept, "/x", "");
    peer_body(kept, peer_head(kept));
    struct address edge = *gateway_listener_address(gate.gateway, EDGE);

    struct gateway_settings next = gate.settings;
    static const struct gateway_route routes[] = { { .path = "/x", .service = "later" } };
    next.routes = routes;
    next.n_routes = 1;
    next.n_listeners = 1;
    unsigned before = gate.n_settled;
    struct problem problem = { 0 };
    struct address internal = *gateway_listener_address(gate.gateway, INTERNAL);
    CHECK_INT(gateway_reload(gate.gateway, &next, &problem), 0);
    AWAIT(&gate, gate.n_settled > before);
    CHECK(address_equals(&edge, gateway_listener_address(gate.gateway, EDGE)));
    peer_get(kept, "/x", "");
    check_in(peer_head(kept), "HTTP/1.1 503 ");
    peer_close(kept);

    /* The listener that was taken away is closed when the workers have let go of it. */
    AWAIT(&gate, ({
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        int r = connect(fd, &internal.any, internal.size);
        close(fd);
        r != 0;
    }));
    gate_fini(&gate);
}

TEST(a_reload_changes_limits_of_listeners_that_stay)
{
    struct gate gate;
    gate_init(&gate);
    gate_start(&gate);
    gate_publish(&gate);
    struct peer *kept = gate_client(&gate, EDGE);
    peer_get(kept, "/x", "");
    peer_body(kept, peer_head(kept));

    struct gateway_settings next = gate.settings;
    next.client.max_per_address = 1;
    unsigned before = gate.n_settled;
    struct problem problem = { 0 };
    CHECK_INT(gateway_reload(gate.gateway, &next, &problem), 0);
    AWAIT(&gate, gate.n_settled > before);
    struct peer *second = gate_client(&gate, EDGE);
    peer_expect_gone(second);
    peer_close(second);
    struct peer *trusted[2];
    for (unsigned i = 0; i < 2; i++) {
        trusted[i] = gate_client(&gate, INTERNAL);
        peer_get(trusted[i], "/x", "");
        peer_body(trusted[i], peer_head(trusted[i]));
    }

    /* What stands idle feels a shorter timeout at once. */
    next.client.idle_timeout = NSEC_PER_MSEC;
    CHECK_INT(gateway_reload(gate.gateway, &next, &problem), 0);
    peer_expect_gone(kept);
    for (unsigned i = 0; i < 2; i++) {
        peer_expect_gone(trusted[i]);
        peer_close(trusted[i]);
    }
    peer_close(kept);
    gate_fini(&gate);
}

TEST(a_reload_changes_how_long_connecting_may_take)
{
    struct gate gate;
    gate_init(&gate);
    gate.settings.upstream.connect_timeout = 3600 * NSEC_PER_SEC;
    int fd = gate_service(&gate, "orders", "3.14.2", "orders-1");
    gate_start(&gate);
    gate_publish(&gate);
    /* A listener whose queue is full leaves the next connection without an answer. */
    CHECK_INT(listen(fd, 0), 0);
    struct address address;
    CHECK_INT(socket_address(fd, &address), 0);
    struct peer *fill = peer_connect(gate.loop, &address);

    struct gateway_settings next = gate.settings;
    next.upstream.connect_timeout = 10 * NSEC_PER_MSEC;
    unsigned before = gate.n_settled;
    struct problem problem = { 0 };
    CHECK_INT(gateway_reload(gate.gateway, &next, &problem), 0);
    AWAIT(&gate, gate.n_settled > before);
    nsec began = loop_now(gate.loop);
    check_answer(&gate, "/api/orders/", "HTTP/1.1 504 ", "in time");
    CHECK(loop_now(gate.loop) - began < gate.settings.answer_timeout);
    peer_close(fill);
    close(fd);
    gate_fini(&gate);
}

TEST(an_address_in_use_is_refused_and_changes_nothing)
{
    struct gate gate;
    gate_init(&gate);
    struct address taken;
    int fd = listen_on_loopback(&taken);
    gate_start(&gate);
    gate_publish(&gate);
    struct gateway_settings next = gate.settings;
    next.listeners[2].address = taken;
    next.n_listeners = 3;
    struct problem problem = { 0 };
    CHECK_INT(gateway_reload(gate.gateway, &next, &problem), GATEWAY_LISTEN);
    check_in(problem.text, "is in use by another process");
    CHECK_STR(problem.path, "gateway.edge");
    check_answer(&gate, "/x", "404", "no route");

    struct gateway *second = NULL;
    struct gateway_hooks hooks = { gate_on_bom, gate_on_usage, gate_on_settled, &gate };
    next.listeners[0].address = taken;
    CHECK_INT(gateway_start(gate.loop, &next, &gate_keys, &hooks, &second, &problem),
              GATEWAY_LISTEN);
    close(fd);
    gate_fini(&gate);
}

TEST(a_second_gateway_does_not_share_the_address)
{
    struct gate gate;
    gate_init(&gate);
    gate_start(&gate);
    struct gateway_settings next = gate.settings;
    next.listeners[0].address = *gateway_listener_address(gate.gateway, EDGE);
    struct gateway *second = NULL;
    struct gateway_hooks hooks = { gate_on_bom, gate_on_usage, gate_on_settled, &gate };
    struct problem problem = { 0 };
    CHECK_INT(gateway_start(gate.loop, &next, &gate_keys, &hooks, &second, &problem),
              GATEWAY_LISTEN);
    gate_fini(&gate);
}

TEST(stopping_lets_requests_finish)
{
    struct gate gate;
    gate_init(&gate);
    gate.settings.n_workers = 2;
    int fd = gate_service(&gate, "orders", "3.14.2", "orders-1");
    gate_start(&gate);
    gate_publish(&gate);
    struct peer *client = gate_client(&gate, INTERNAL);
    peer_get(client, "/api/orders/", "Sarsen-Customer: acme\r\n");
    struct peer *service = peer_accept(gate.loop, fd);
    peer_head(service);
    gateway_stop(gate.gateway, 5 * NSEC_PER_SEC, gate_on_done, &gate);
    settle(gate.loop);
    CHECK_INT(gate.n_done, 0);
    peer_send(service, OK);
    check_in(peer_head(client), "HTTP/1.1 200 ");
    AWAIT(&gate, gate.n_done == 1);
    CHECK_INT(gate.n_counted, 1); /* the last table came with the end */
    peer_close(client);
    peer_close(service);
    close(fd);
    gate_fini(&gate);
}

TEST(stopping_ends_after_its_grace)
{
    struct gate gate;
    gate_init(&gate);
    int fd = gate_service(&gate, "orders", "3.14.2", "orders-1");
    gate_start(&gate);
    gate_publish(&gate);
    struct peer *client = gate_client(&gate, INTERNAL);
    peer_get(client, "/api/orders/", "");
    struct peer *service = peer_accept(gate.loop, fd);
    peer_head(service);
    gateway_stop(gate.gateway, 10 * NSEC_PER_MSEC, gate_on_done, &gate);
    AWAIT(&gate, gate.n_done == 1);
    peer_expect_gone(client);
    peer_close(client);
    peer_close(service);
    close(fd);
    gate_fini(&gate);
}

TEST(freeing_needs_no_stop)
{
    struct gate gate;
    gate_init(&gate);
    gate.settings.n_workers = 3;
    int fd = gate_service(&gate, "orders", "3.14.2", "orders-1");
    gate_start(&gate);
    gate_publish(&gate);
    struct peer *client = gate_client(&gate, INTERNAL);
    peer_get(client, "/api/orders/", "");
    struct peer *service = peer_accept(gate.loop, fd);
    peer_head(service);
    gateway_collect_usage(gate.gateway, gate_on_done, &gate);
    gateway_publish(gate.gateway, gate.world.registry,
                    version_snapshot_new(gate.world.version, gate.world.registry, NULL, 0, 0));
    gate_fini(&gate);
    peer_close(client);
    peer_close(service);
    close(fd);
}

TEST(a_unix_socket_serves_all_workers)
{
    struct gate gate;
    gate_init(&gate);
    gate.settings.n_workers = 2;
    char text[64];
    snprintf(text, sizeof(text), "unix:/tmp/sarsen-test-%d.sock", (int)getpid());
    CHECK_INT(address_parse(span_of(text), &gate.settings.listeners[INTERNAL].address), 0);
    gate_start(&gate);
    gate_publish(&gate);
    for (int i = 0; i < 4; i++) {
        struct peer *client = gate_client(&gate, INTERNAL);
        peer_get(client, "/x", "");
        check_in(peer_head(client), "HTTP/1.1 404 ");
        peer_close(client);
    }
    gate_fini(&gate);
    CHECK(access(text + 5, F_OK) != 0);
}

static void check_serves(struct gate *gate)
{
    struct peer *client = gate_client(gate, INTERNAL);
    peer_get(client, "/x", "");
    check_in(peer_head(client), "HTTP/1.1 404 ");
    peer_close(client);
}

TEST(a_path_that_another_listens_on_is_left_alone)
{
    struct gate gate;
    gate_init(&gate);
    char text[64];
    snprintf(text, sizeof(text), "unix:/tmp/sarsen-taken-%d.sock", (int)getpid());
    CHECK_INT(address_parse(span_of(text), &gate.settings.listeners[INTERNAL].address), 0);
    gate_start(&gate);
    gate_publish(&gate);

    struct gateway *second = NULL;
    struct gateway_hooks hooks = { gate_on_bom, gate_on_usage, gate_on_settled, &gate };
    struct problem problem = { 0 };
    CHECK_INT(gateway_start(gate.loop, &gate.settings, &gate_keys, &hooks, &second, &problem),
              GATEWAY_LISTEN);
    check_in(problem.text, "is in use by another process");
    check_serves(&gate);

    /* So is a reload that asks for the path a second time. */
    struct gateway_settings next = gate.settings;
    next.listeners[2].address = next.listeners[INTERNAL].address;
    next.n_listeners = 3;
    CHECK_INT(gateway_reload(gate.gateway, &next, &problem), GATEWAY_LISTEN);
    check_serves(&gate);
    gate_fini(&gate);
    CHECK(access(text + 5, F_OK) != 0);
}

TEST(a_path_that_was_taken_over_is_left_to_its_new_owner)
{
    struct gate gate;
    gate_init(&gate);
    char text[64];
    snprintf(text, sizeof(text), "unix:/tmp/sarsen-over-%d.sock", (int)getpid());
    CHECK_INT(address_parse(span_of(text), &gate.settings.listeners[INTERNAL].address), 0);
    gate_start(&gate);
    gate_publish(&gate);
    CHECK_INT(unlink(text + 5), 0);
    int fd = -1;
    CHECK_INT(socket_listen(&gate.settings.listeners[INTERNAL].address, false, &fd), 0);
    gate_fini(&gate);
    CHECK(access(text + 5, F_OK) == 0);
    close(fd);
    CHECK_INT(unlink(text + 5), 0);
}
