/* SPDX-License-Identifier: Apache-2.0 */

#include "check.h"
#include "fake/registry.h"
#include "registry/fold.h"

static struct fake_registry fake;

static struct instance_meta meta(const char *key, const char *value)
{
    return (struct instance_meta){ mem_strdup(key), mem_strdup(value) };
}

static void meta_free(struct instance_meta *entries, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        free(entries[i].key);
        free(entries[i].value);
    }
}

TEST(an_instance_announces_its_build_and_service)
{
    static const uint32_t majors[] = { 2, 3 };
    struct instance_meta entries[] = { meta("zone", "b"), meta("rack", "r1") };
    fake_registry_init(&fake);
    struct instance_spec spec = fake_instance("orders", "orders-1", "3.14.2");
    spec.build.provides = majors;
    spec.build.n_provides = 2;
    spec.meta = entries;
    spec.n_meta = 2;
    CHECK_INT(fake_instance_put(&fake, &spec), 0);
    meta_free(entries, 2);

    const struct instance *instance = fake_instance_find(&fake, "orders", "orders-1");
    CHECK_STR(instance->address, "10.0.0.7:8080");
    CHECK_STR(instance->protocol, "http");
    CHECK_STR(instance->build->version, "3.14.2");
    CHECK(build_provides(instance->build, 2) && build_provides(instance->build, 3));
    CHECK_INT(instance->build->n_ready, 1);
    CHECK_INT(instance->ttl, 10 * NSEC_PER_SEC);
    CHECK_INT(instance->n_meta, 2);
    CHECK_STR(instance->meta[0].key, "rack");
    CHECK_STR(instance->meta[1].value, "b");
    CHECK_INT(instance->registered, fake.clock.wall);
    CHECK_INT(instance->last_heartbeat, fake.clock.wall);
    CHECK(instance_is_ready(instance));
    CHECK(instance->service->is_known);
    CHECK(registry_is_sound(fake.registry));
    fake_registry_fini(&fake);
}

TEST(an_unversioned_instance_is_build_0_0_0_of_contract_0)
{
    fake_registry_init(&fake);
    fake_register(&fake, "orders", "a", "");
    const struct instance *instance = fake_instance_find(&fake, "orders", "a");
    CHECK_STR(instance->build->version, "0.0.0");
    CHECK(build_provides(instance->build, 0));
    fake_registry_fini(&fake);
}

TEST(bad_fields_are_answered_in_sentences)
{
    static const uint32_t twice[] = { 3, 3 };
    static char long_text[1024], a_key[] = "a key", empty[] = "", x[] = "x", one[] = "1";
    memset(long_text, 'x', sizeof(long_text) - 1);
    static const struct instance_meta spaced[] = { { a_key, one } },
                                      nameless[] = { { empty, one } },
                                      doubled[] = { { x, one }, { x, empty } },
                                      long_value[] = { { x, long_text } }, many[65];
    const struct instance_spec good = fake_instance("orders", "a", "3.14.2");
    struct {
        struct instance_spec spec;
        const char *path, *text;
    } rows[] = {
        { good, "id", "is \"a/b\"; 1 to 128 visible ASCII characters without \"/\" are accepted" },
        { good, "id", "is \"\"; 1 to 128 visible ASCII characters without \"/\" are accepted" },
        { good, "id", NULL },
        { good, "address",
          "is \"\"; an address such as 10.0.0.7:8080 or unix:/run/orders.sock of at most 255 "
          "visible ASCII characters is accepted" },
        { good, "address", NULL },
        { good, "address", NULL },
        { good, "build",
          "is \"latest\"; a semantic version such as 3.15.0 or 3.15.0-rc.1 of at most 128 "
          "characters is accepted" },
        { good, "provides[1]", "is orders@3, as provides[0] is; each contract is accepted once" },
        { good, "ttl",
          "is 0.500 s; from 1s to 1h is accepted, or 0 for an instance that stays until it is "
          "deregistered" },
        { good, "ttl",
          "is 3601.000 s; from 1s to 1h is accepted, or 0 for an instance that stays until it is "
          "deregistered" },
        { good, "protocol",
          "is \"HTTP/1\"; up to 16 lower-case letters, digits and \"+\", such as http, grpc or "
          "grpc+tls, are accepted" },
        { good, "meta.a key",
          "has a key of 5 characters; keys of 1 to 128 visible ASCII characters are accepted" },
        { good, "meta.",
          "has a key of 0 characters; keys of 1 to 128 visible ASCII characters are accepted" },
        { good, "meta.x", "is there twice; each key is accepted once" },
        { good, "meta.x", "has 1023 bytes; up to 512 are accepted" },
        { good, "meta", "has 65 entries; up to 64 are accepted" },
        { good, "service", NULL },
    };
    rows[0].spec.id = SPAN("a/b");
    rows[1].spec.id = SPAN_NULL;
    rows[2].spec.id = (struct span){ long_text, 129 };
    rows[3].spec.address = SPAN_NULL;
    rows[4].spec.address = (struct span){ long_text, 256 };
    rows[5].spec.address = SPAN("10.0.0.7:8080\r\nX: y");
    rows[6].spec.build.version = SPAN("latest");
    rows[7].spec.build.provides = twice;
    rows[7].spec.build.n_provides = 2;
    rows[8].spec.ttl = NSEC_PER_SEC / 2;
    rows[9].spec.ttl = 3601 * NSEC_PER_SEC;
    rows[10].spec.protocol = SPAN("HTTP/1");
    rows[11].spec.meta = spaced;
    rows[11].spec.n_meta = 1;
    rows[12].spec.meta = nameless;
    rows[12].spec.n_meta = 1;
    rows[13].spec.meta = doubled;
    rows[13].spec.n_meta = 2;
    rows[14].spec.meta = long_value;
    rows[14].spec.n_meta = 1;
    rows[15].spec.meta = many;
    rows[15].spec.n_meta = 65;
    rows[16].spec.service = SPAN("or ders");

    fake_registry_init(&fake);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CHECK_INT(fake_instance_put(&fake, &rows[i].spec), REGISTRY_INVALID);
        CHECK_STR(fake.problem.path, rows[i].path);
        if (rows[i].text)
            CHECK_STR(fake.problem.text, rows[i].text);
    }
    CHECK_INT(fake.store.revision, 0);
    fake_registry_fini(&fake);
}

TEST(the_longest_that_is_accepted_is_accepted)
{
    static char text[256];
    memset(text, 'x', sizeof(text) - 1);
    fake_registry_init(&fake);
    struct instance_spec spec = fake_instance("orders", "a", "3.14.2");
    spec.id = (struct span){ text, INSTANCE_ID_MAX };
    spec.address = (struct span){ text, 255 };
    spec.ttl = 3600 * NSEC_PER_SEC;
    CHECK_INT(fake_instance_put(&fake, &spec), 0);
    CHECK_INT(service_find(fake.registry, SPAN("orders"))->instances.n_nodes, 1);
    fake_registry_fini(&fake);
}

TEST(an_instance_that_contradicts_its_build_is_refused)
{
    static const uint32_t majors[] = { 2, 3 };
    fake_registry_init(&fake);
    fake_register(&fake, "orders", "a", "3.14.2");
    struct instance_spec spec = fake_instance("orders", "b", "3.14.2");
    spec.build.provides = majors;
    spec.build.n_provides = 2;
    CHECK_INT(fake_instance_put(&fake, &spec), REGISTRY_REFUSED);
    CHECK_STR(fake.problem.path, "provides");
    CHECK(!fake_instance_find(&fake, "orders", "b"));
    fake_registry_fini(&fake);
}

TEST(another_build_under_the_same_id_replaces)
{
    fake_registry_init(&fake);
    fake_register(&fake, "orders", "a", "3.14.2");
    fake_register(&fake, "orders", "b", "3.14.2");
    struct instance *before = fake_instance_find(&fake, "orders", "a");
    fake_register(&fake, "orders", "a", "3.15.0");

    const struct instance *instance = fake_instance_find(&fake, "orders", "a");
    CHECK(instance == before);
    CHECK_STR(instance->build->version, "3.15.0");
    CHECK_INT(instance->build->n_ready, 1);
    CHECK_INT(fake_build_find(&fake, "orders", "3.14.2")->n_ready, 1);

    fake_register(&fake, "orders", "b", "3.15.0");
    CHECK_INT(fake_build_find(&fake, "orders", "3.14.2")->n_instances, 0);
    CHECK_INT(fake_build_find(&fake, "orders", "3.15.0")->n_ready, 2);
    CHECK(registry_is_sound(fake.registry));
    fake_registry_fini(&fake);
}

TEST(the_same_registration_again_puts_nothing_on_the_log)
{
    struct instance_meta one[] = { meta("zone", "b"), meta("rack", "r1") };
    struct instance_meta two[] = { meta("rack", "r1"), meta("zone", "b") };
    fake_registry_init(&fake);
    struct instance_spec spec = fake_instance("orders", "a", "3.14.2");
    spec.meta = one;
    spec.n_meta = 2;
    CHECK_INT(fake_instance_put(&fake, &spec), 0);
    int64_t revision = fake.store.revision;

    fake_clock_advance(&fake.clock, NSEC_PER_SEC);
    spec.meta = two;
    CHECK_INT(fake_instance_put(&fake, &spec), 0);
    CHECK_INT(fake.store.revision, revision);
    meta_free(one, 2);
    meta_free(two, 2);

    spec.n_meta = 0;
    CHECK_INT(fake_instance_put(&fake, &spec), 0);
    CHECK_INT(fake.store.revision, revision + 1);
    CHECK_INT(fake_instance_find(&fake, "orders", "a")->n_meta, 0);
    fake_registry_fini(&fake);
}

static int drain(const char *service, const char *id)
{
    return fake_registry_end(
        &fake, instance_drain(fake.registry, span_of(service), span_of(id), &fake.txn));
}

TEST(a_draining_instance_takes_no_new_requests)
{
    fake_registry_init(&fake);
    CHECK_INT(drain("orders", "a"), REGISTRY_NOT_FOUND);
    fake_register(&fake, "orders", "a", "3.14.2");
    CHECK_INT(drain("orders", "b"), REGISTRY_NOT_FOUND);
    CHECK_INT(drain("orders", "a"), 0);

    const struct instance *instance = fake_instance_find(&fake, "orders", "a");
    CHECK(!instance_is_ready(instance));
    CHECK_INT(instance->build->n_ready, 0);
    CHECK_INT(instance->build->n_instances, 1);
    int64_t revision = fake.store.revision;
    CHECK_INT(drain("orders", "a"), 0);
    CHECK_INT(fake.store.revision, revision);
    CHECK(registry_is_sound(fake.registry));
    fake_registry_fini(&fake);
}

TEST(the_word_of_a_protocol_says_how_it_is_spoken_to)
{
    static const struct {
        const char *word;
        struct protocol protocol;
    } rows[] = {
        { "http", { .is_known = true } },
        { "https", { .is_known = true, .is_tls = true } },
        { "http+tls", { .is_known = true, .is_tls = true } },
        { "http2", { .is_known = true, .is_http2 = true } },
        { "http2+tls", { .is_known = true, .is_http2 = true, .is_tls = true } },
        { "grpc", { .is_known = true, .is_http2 = true } },
        { "grpc+tls", { .is_known = true, .is_http2 = true, .is_tls = true } },
        { "https+tls", { 0 } },
        { "thrift", { 0 } },
        { "+tls", { 0 } },
        { "", { 0 } },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct protocol protocol = protocol_parse(span_of(rows[i].word));
        CHECK_INT(protocol.is_known, rows[i].protocol.is_known);
        CHECK_INT(protocol.is_http2, rows[i].protocol.is_http2);
        CHECK_INT(protocol.is_tls, rows[i].protocol.is_tls);
    }
}

TEST(an_instance_of_another_protocol_is_listed_and_takes_no_requests)
{
    fake_registry_init(&fake);
    struct instance_spec spec = fake_instance("orders", "a", "3.14.2");
    spec.protocol = SPAN("thrift");
    CHECK_INT(fake_instance_put(&fake, &spec), 0);
    const struct instance *instance = fake_instance_find(&fake, "orders", "a");
    CHECK(!instance_is_ready(instance));
    CHECK_INT(instance->build->n_ready, 0);
    spec.protocol = SPAN("grpc");
    CHECK_INT(fake_instance_put(&fake, &spec), 0);
    instance = fake_instance_find(&fake, "orders", "a");
    CHECK(instance_is_ready(instance));
    CHECK_INT(instance->build->n_ready, 1);
    CHECK(registry_is_sound(fake.registry));
    fake_registry_fini(&fake);
}

TEST(registering_the_same_copy_again_does_not_undo_a_drain)
{
    fake_registry_init(&fake);
    struct instance_spec spec = fake_instance("orders", "a", "3.14.2");
    CHECK_INT(fake_instance_put(&fake, &spec), 0);
    CHECK_INT(drain("orders", "a"), 0);
    int64_t revision = fake.store.revision;
    CHECK_INT(fake_instance_put(&fake, &spec), 0);
    CHECK_INT(fake.store.revision, revision);

    spec.ttl = 20 * NSEC_PER_SEC; /* it knows itself better, and is still the same copy */
    CHECK_INT(fake_instance_put(&fake, &spec), 0);
    const struct instance *instance = fake_instance_find(&fake, "orders", "a");
    CHECK_INT(instance->ttl, spec.ttl);
    CHECK(!instance_is_ready(instance));
    CHECK_INT(instance->build->n_ready, 0);
    CHECK(registry_is_sound(fake.registry));
    fake_registry_fini(&fake);
}

TEST(another_copy_under_the_id_of_a_draining_one_takes_requests)
{
    static const char *const addresses[] = { "127.0.0.1:4444", NULL };
    static const char *const builds[] = { "3.14.2", "3.15.0" };
    for (int i = 0; i < 2; i++) {
        fake_registry_init(&fake);
        struct instance_spec spec = fake_instance("orders", "a", "3.14.2");
        CHECK_INT(fake_instance_put(&fake, &spec), 0);
        CHECK_INT(drain("orders", "a"), 0);

        spec.build.version = span_of(builds[i]);
        if (addresses[i])
            spec.address = span_of(addresses[i]);
        CHECK_INT(fake_instance_put(&fake, &spec), 0);
        const struct instance *instance = fake_instance_find(&fake, "orders", "a");
        CHECK(instance_is_ready(instance));
        CHECK_INT(instance->build->n_ready, 1);
        CHECK(registry_is_sound(fake.registry));
        fake_registry_fini(&fake);
    }
}

TEST(a_drain_is_no_sign_of_life)
{
    fake_registry_init(&fake);
    fake_register(&fake, "orders", "a", "3.14.2");
    nsec deadline = registry_next_deadline(fake.registry);
    fake_clock_advance(&fake.clock, 5 * NSEC_PER_SEC);
    CHECK_INT(drain("orders", "a"), 0);
    CHECK_INT(registry_next_deadline(fake.registry), deadline);
    fake_registry_fini(&fake);
}

TEST(the_build_stays_when_its_last_instance_goes)
{
    fake_registry_init(&fake);
    CHECK_INT(instance_delete(fake.registry, SPAN("orders"), SPAN("a"), &fake.txn),
              REGISTRY_NOT_FOUND);
    fake_register(&fake, "orders", "a", "3.14.2");
    CHECK_INT(fake_registry_end(
                  &fake, instance_delete(fake.registry, SPAN("orders"), SPAN("a"), &fake.txn)),
              0);
    CHECK(!fake_instance_find(&fake, "orders", "a"));
    CHECK_INT(fake_build_find(&fake, "orders", "3.14.2")->n_instances, 0);
    CHECK_INT(instance_delete(fake.registry, SPAN("orders"), SPAN("a"), &fake.txn),
              REGISTRY_NOT_FOUND);
    CHECK(registry_is_sound(fake.registry));
    fake_registry_fini(&fake);
}

TEST(a_lost_race_does_not_undo_what_won)
{
    CLEANUP(txn_fini) struct txn late = { 0 };
    fake_registry_init(&fake);
    fake_register(&fake, "orders", "a", "3.14.2");

    /* Draining what is replaced meanwhile would put the old address back. */
    CHECK_INT(instance_drain(fake.registry, SPAN("orders"), SPAN("a"), &late), 0);
    struct instance_spec spec = fake_instance("orders", "a", "3.14.2");
    spec.address = SPAN("10.0.0.8:8080");
    fake_clock_advance(&fake.clock, NSEC_PER_SEC);
    CHECK_INT(fake_instance_put(&fake, &spec), 0);
    CHECK_INT(fake_commit(&fake.store, &late), STORE_CONFLICT);
    CHECK_INT(instance_drain(fake.registry, SPAN("orders"), SPAN("a"), &late), 0);
    CHECK_INT(fake_commit(&fake.store, &late), 0);
    CHECK_STR(fake_instance_find(&fake, "orders", "a")->address, "10.0.0.8:8080");
    CHECK(fake_instance_find(&fake, "orders", "a")->is_draining);

    /* Deleting what was registered anew meanwhile would take a living one away. */
    CHECK_INT(instance_delete(fake.registry, SPAN("orders"), SPAN("a"), &late), 0);
    spec.address = SPAN("10.0.0.9:8080");
    CHECK_INT(fake_instance_put(&fake, &spec), 0);
    CHECK_INT(fake_commit(&fake.store, &late), STORE_CONFLICT);
    fake_registry_fini(&fake);
}

TEST(the_limit_is_an_answer)
{
    fake_registry_init(&fake);
    char id[32];
    for (unsigned i = 0; i < SERVICE_INSTANCES_MAX; i++) {
        snprintf(id, sizeof(id), "i%u", i);
        fake_register(&fake, "orders", id, "3.14.2");
    }
    struct instance_spec spec = fake_instance("orders", "one-more", "3.14.2");
    CHECK_INT(fake_instance_put(&fake, &spec), REGISTRY_FULL);
    CHECK_STR(fake.problem.text, "would be one more than the 10000 instances a service has");
    fake_register(&fake, "orders", "i0", "3.15.0");
    fake_register(&fake, "catalog", "a", "1.0.0");
    fake_registry_fini(&fake);
}
