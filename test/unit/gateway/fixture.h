#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A whole gateway with real workers and real sockets. The test plays the clients and the services
 * and turns the control loop; what it waits for arrives by itself, or fails after PEER_PATIENCE.
 */

#include <poll.h>

#include "base/mem.h"
#include "fake/world.h"
#include "gateway/gateway.h"
#include "http/peer.h"

#define EDGE 0
#define INTERNAL 1

struct gate {
    struct world world;
    struct loop *loop;
    struct gateway_settings settings;
    struct gateway *gateway;
    struct peer *services[8];
    unsigned n_settled, n_boms, n_counted, n_done;
    char last_bom[512];
};

static inline void gate_on_bom(void *owner, struct span json)
{
    struct gate *gate = owner;
    gate->n_boms++;
    snprintf(gate->last_bom, sizeof(gate->last_bom), "%.*s", SPAN_ARG(json));
}

/* As the daemon does it; rows are counted by usage. */
static struct usage *gate_usage;
static inline void gate_on_usage(void *owner, struct usage_table *table)
{
    struct gate *gate = owner;
    struct ledger_rows *hours = NULL, *seen = NULL;
    gate->n_counted++;
    usage_merge(gate_usage, table, gate->world.wall, &hours, &seen);
    ledger_rows_free(hours);
    ledger_rows_free(seen);
}

static inline void gate_on_settled(void *owner)
{
    struct gate *gate = owner;
    gate->n_settled++;
}

static inline void gate_on_done(void *owner)
{
    struct gate *gate = owner;
    gate->n_done++;
}

#define AWAIT(gate, cond)                                                                          \
    do {                                                                                           \
        time_t until_ = time(NULL) + PEER_PATIENCE;                                                \
        while (!(cond)) {                                                                          \
            CHECK(time(NULL) < until_);                                                            \
            CHECK_INT(loop_turn((gate)->loop, NSEC_PER_MSEC), 0);                                  \
        }                                                                                          \
    } while (0)

static inline void gate_init(struct gate *gate)
{
    memset(gate, 0, sizeof(*gate));
    world_init(&gate->world);
    gate->loop = loop_new(clock_system());
    gate_usage = usage_new();
    gate->settings = (struct gateway_settings){
        .n_listeners = 2,
        .n_workers = 1,
        .client = http_settings_default,
        .upstream = http_pool_settings_default,
        .answer_timeout = 5 * NSEC_PER_SEC,
        .cookie_ttl = 3600 * NSEC_PER_SEC,
        .blobs = "/nonexistent",
    };
    for (unsigned i = 0; i < 2; i++)
        CHECK_INT(address_parse(SPAN("127.0.0.1:0"), &gate->settings.listeners[i].address), 0);
    gate->settings.listeners[INTERNAL].is_internal = true;
    gate->settings.client.max_per_address = 100;
}

static const struct cookie_keys gate_keys = { .keys = { { 1, 2, 3 } }, .n_keys = 1 };

static inline void gate_start(struct gate *gate)
{
    struct gateway_hooks hooks = { gate_on_bom, gate_on_usage, gate_on_settled, gate };
    struct problem problem = { 0 };
    CHECK_INT(
        gateway_start(gate->loop, &gate->settings, &gate_keys, &hooks, &gate->gateway, &problem),
        0);
}

/* Publishes what the world holds, and waits until the workers serve by it. */
static inline void gate_publish(struct gate *gate)
{
    unsigned before = gate->n_settled;
    gateway_publish(gate->gateway, gate->world.registry,
                    version_snapshot_new(gate->world.version, gate->world.registry,
                                         gate->world.rules, gate->world.n_rules, gate->world.wall));
    AWAIT(gate, gate->n_settled > before);
}

static inline void gate_fini(struct gate *gate)
{
    gateway_free(gate->gateway);
    world_fini(&gate->world);
    usage_free(gate_usage);
    loop_free(gate->loop);
}

/* Registers an instance that the test plays; returns its listening socket. */
static inline int gate_service(struct gate *gate, const char *service, const char *version,
                               const char *id)
{
    struct address address;
    int fd = listen_on_loopback(&address);
    char text[ADDRESS_TEXT_MAX];
    address_format(&address, text);
    struct instance_spec spec = {
        .service = span_of(service),
        .id = span_of(id),
        .address = span_of(text),
        .protocol = SPAN("http"),
        .build = { .service = span_of(service), .version = span_of(version) },
    };
    struct world *world = &gate->world;
    CHECK_INT(instance_put(world->registry, &spec, world->wall, &world->txn, &world->problem), 0);
    version_observe_build(world->version, &spec.build, world->wall, &world->txn);
    CHECK_INT(fake_commit(&world->store, &world->txn), 0);
    return fd;
}

/* Which of two listening sockets is connected to first. */
static inline unsigned first_asked(const int fds[2])
{
    struct pollfd polled[2] = { { fds[0], POLLIN, 0 }, { fds[1], POLLIN, 0 } };
    CHECK(poll(polled, 2, PEER_PATIENCE * 1000) == 1);
    return polled[0].revents ? 0 : 1;
}

static inline struct peer *gate_client(struct gate *gate, unsigned listener)
{
    return peer_connect(gate->loop, gateway_listener_address(gate->gateway, listener));
}

/* The next head the peer receives, with its empty line. */
static inline const char *peer_head(struct peer *peer)
{
    static char head[65536];
    time_t until = time(NULL) + PEER_PATIENCE;
    char *end = NULL;
    while (!(end = memmem(peer->got, peer->n_got, "\r\n\r\n", 4))) {
        int r = peer_receive(peer);
        if (!memmem(peer->got, peer->n_got, "\r\n\r\n", 4))
            CHECK(r == 1 && time(NULL) < until);
        CHECK_INT(loop_turn(peer->loop, NSEC_PER_MSEC), 0);
    }
    size_t size = (size_t)(end - peer->got) + 4;
    memcpy(head, peer->got, size);
    head[size] = '\0';
    peer_drop(peer, size);
    return head;
}

static inline void check_part(const char *text, const char *part, bool is_wanted)
{
    if ((strcasestr(text, part) != NULL) == is_wanted)
        return;
    printf("# %s ", is_wanted ? "missing:" : "unwanted:");
    puts(part);
    puts(text);
    check_fail(__FILE__, __LINE__, "the text", "differs");
}

static inline void check_in(const char *text, const char *part)
{
    check_part(text, part, true);
}

static inline void check_not_in(const char *text, const char *part)
{
    check_part(text, part, false);
}

/* Takes a body of the length that the head names; returns it as text. */
static inline const char *peer_body(struct peer *peer, const char *head)
{
    static char body[65536];
    const char *at = strcasestr(head, "content-length: ");
    CHECK(at != NULL);
    size_t size = strtoul(at + 16, NULL, 10);
    time_t until = time(NULL) + PEER_PATIENCE;
    while (peer->n_got < size) {
        CHECK(peer_receive(peer) == 1 || peer->n_got >= size);
        CHECK(time(NULL) < until);
        CHECK_INT(loop_turn(peer->loop, NSEC_PER_MSEC), 0);
    }
    CHECK(size < sizeof(body));
    memcpy(body, peer->got, size);
    body[size] = '\0';
    peer_drop(peer, size);
    return body;
}

/* A GET without a body, with more fields. */
static inline void peer_get(struct peer *peer, const char *target, const char *fields)
{
    char text[4096];
    snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: shop.test\r\n%s\r\n", target, fields);
    peer_send(peer, text);
}

/* The value of a cookie named sarsen that a head sets, as a Cookie field. */
static inline const char *cookie_field(const char *head)
{
    static char field[1024];
    const char *at = strcasestr(head, "set-cookie: sarsen=");
    CHECK(at != NULL);
    size_t size = strcspn(at + 12, ";");
    snprintf(field, sizeof(field), "Cookie: %.*s\r\n", (int)size, at + 12);
    return field;
}
