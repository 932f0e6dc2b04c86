/* SPDX-License-Identifier: Apache-2.0 */

#include <signal.h>
#include <sys/resource.h>

#include "faces/consul/call.h"
#include "faces/consul/records.pb-c.h"
#include "store/fixture.h"

#define SESSION "0123abcd-0000-0000-0000-00000000000%u"
#define KEYS 600u /* more than one transaction takes of an etcd */

/* The face over a store, without its server's socket. */
struct face {
    struct fixture fixture;
    struct consul *consul;
    struct consul_rooms rooms;
    struct store_watch watch;
    bool is_settled;
};

static void on_events(struct store_watch *watch, const struct store_event *events, size_t n_events,
                      int64_t revision)
{
    struct face *face = container_of(watch, struct face, watch);
    (void)revision;
    for (size_t i = 0; i < n_events; i++)
        CHECK_INT(consul_apply(face->consul, &events[i]), 0);
}

static void face_init(struct face *face)
{
    memset(face, 0, sizeof(*face));
    fixture_init(&face->fixture);
    fixture_open(&face->fixture);
}

static const struct tls_client *no_tls(void *owner)
{
    (void)owner;
    return NULL;
}

static bool judges(void *owner)
{
    (void)owner;
    return true;
}

static void no_fence(void *owner, struct txn *txn)
{
    (void)owner;
    (void)txn;
}

static void face_start(struct face *face)
{
    static const char *const networks = "";
    const struct consul_settings settings = {
        .token = "t",
        .node = "here",
        .datacenter = "dc1",
        .is_settled = &face->is_settled,
        .health_networks = &networks,
        .upstream_tls = no_tls,
        .fence = no_fence,
        .on_judge = judges,
    };
    face->rooms = (struct consul_rooms){ .store = face->fixture.store,
                                         .registry = registry_new(),
                                         .version = version_new(),
                                         .auth = auth_new() };
    face->consul = consul_new(face->fixture.loop, &face->rooms, &settings);
    face->watch = (struct store_watch){ .prefix = SPAN(CONSUL_PREFIX), .on_events = on_events };
    CHECK_INT(store_watch_start(face->fixture.store, &face->watch, 1), 0);
}

static void face_fini(struct face *face)
{
    store_watch_stop(&face->watch);
    face->consul = consul_free(face->consul);
    registry_free(face->rooms.registry);
    version_free(face->rooms.version);
    auth_free((struct auth *)(uintptr_t)face->rooms.auth);
    fixture_fini(&face->fixture);
}

static void put_held_key(struct txn *txn, unsigned number, unsigned session)
{
    Consul__KvRecord record;
    consul__kv_record__init(&record);
    record.session = arena_format(&txn->arena, SESSION, session);
    record.lock_index = 1;
    txn_put(txn, span_of(arena_format(&txn->arena, CONSUL_PREFIX "kv/held/%04u", number)),
            txn_pack(txn, &record.base));
}

static bool is_held(struct face *face, unsigned number)
{
    char key[64];
    snprintf(key, sizeof(key), CONSUL_PREFIX "kv/held/%04u", number);
    const struct store_entry *entry = store_find(face->fixture.store, span_of(key));
    CHECK(entry != NULL);
    Consul__KvRecord *record =
        consul__kv_record__unpack(NULL, entry->value.size, (const uint8_t *)entry->value.data);
    bool is_held = record->session[0] != '\0';
    consul__kv_record__free_unpacked(record, NULL);
    return is_held;
}

static void disk_fill(bool is_full)
{
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit;
    CHECK_INT(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = is_full ? 1 : limit.rlim_max;
    CHECK_INT(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

TEST(keys_of_a_session_that_is_gone_are_given_back_when_the_disk_has_room_again)
{
    struct face face;
    struct txn txn = { 0 };
    face_init(&face);
    for (unsigned i = 0; i < KEYS; i++)
        put_held_key(&txn, i, i % 3);
    CHECK_INT(fixture_commit(&face.fixture, &txn), 0);
    disk_fill(true);
    face_start(&face);
    while (!store_is_read_only(face.fixture.store))
        fixture_turn(&face.fixture);
    CHECK(is_held(&face, 0) && is_held(&face, KEYS - 1));

    disk_fill(false);
    for (unsigned turns = 0; is_held(&face, KEYS - 1) && turns < 100000; turns++)
        fixture_turn(&face.fixture);
    for (unsigned i = 0; i < KEYS; i++)
        CHECK(!is_held(&face, i));
    face_fini(&face);
}
