/* SPDX-License-Identifier: Apache-2.0 */

#include "check.h"
#include "fake/registry.h"
#include "registry/fold.h"

static struct fake_registry fake;

TEST(a_build_provides_its_major_unless_it_says_more)
{
    static const uint32_t majors[] = { 3, 2 };
    fake_registry_init(&fake);
    struct build_spec plain = { .service = SPAN("orders"), .version = SPAN("3.14.2") };
    struct build_spec both = { .service = SPAN("orders"),
                               .version = SPAN("3.15.0"),
                               .digest = SPAN("sha256:9f86"),
                               .provides = majors,
                               .n_provides = 2 };
    CHECK_INT(fake_build_put(&fake, &plain), 0);
    CHECK_INT(fake_build_put(&fake, &both), 0);

    const struct build *build = fake_build_find(&fake, "orders", "3.14.2");
    CHECK_INT(build->n_provides, 1);
    CHECK_INT(build->provides[0], 3);
    CHECK_INT(build->created, fake.clock.wall);
    CHECK_INT(build->n_ready, 0);
    build = fake_build_find(&fake, "orders", "3.15.0");
    CHECK_INT(build->n_provides, 2);
    CHECK_INT(build->provides[0], 2);
    CHECK_INT(build->provides[1], 3);
    CHECK_STR(build->digest, "sha256:9f86");
    CHECK(service_find(fake.registry, SPAN("orders"))->is_known);
    CHECK(registry_is_sound(fake.registry));
    fake_registry_fini(&fake);
}

TEST(the_same_again_changes_nothing)
{
    static const uint32_t majors[] = { 2, 3 }, turned[] = { 3, 2 };
    fake_registry_init(&fake);
    struct build_spec spec = {
        .service = SPAN("orders"), .version = SPAN("3.15.0"), .provides = majors, .n_provides = 2
    };
    CHECK_INT(fake_build_put(&fake, &spec), 0);
    int64_t revision = fake.store.revision;
    spec.provides = turned;
    CHECK_INT(fake_build_put(&fake, &spec), 0);
    CHECK_INT(fake.store.revision, revision);
    fake_registry_fini(&fake);
}

TEST(a_build_does_not_change)
{
    static const uint32_t majors[] = { 2, 3 };
    fake_registry_init(&fake);
    struct build_spec spec = { .service = SPAN("orders"),
                               .version = SPAN("3.15.0"),
                               .digest = SPAN("sha256:9f86") };
    CHECK_INT(fake_build_put(&fake, &spec), 0);

    spec.provides = majors;
    spec.n_provides = 2;
    CHECK_INT(fake_build_put(&fake, &spec), REGISTRY_REFUSED);
    CHECK_STR(fake.problem.path, "provides");
    CHECK_STR(fake.problem.text,
              "is orders@2, orders@3, but build orders@3.15.0 provides orders@3; a build does not "
              "change, a new version may");

    spec.n_provides = 0;
    spec.digest = SPAN("sha256:60303");
    CHECK_INT(fake_build_put(&fake, &spec), REGISTRY_REFUSED);
    CHECK_STR(fake.problem.path, "digest");
    CHECK_STR(fake.problem.text,
              "is \"sha256:60303\", but build orders@3.15.0 has "
              "\"sha256:9f86\"; a build does not change, a new version may");

    spec.digest = SPAN("");
    CHECK_INT(fake_build_put(&fake, &spec), 0);
    CHECK_STR(fake_build_find(&fake, "orders", "3.15.0")->digest, "sha256:9f86");
    fake_registry_fini(&fake);
}

TEST(a_digest_may_be_told_later)
{
    fake_registry_init(&fake);
    struct build_spec spec = { .service = SPAN("orders"), .version = SPAN("3.15.0") };
    CHECK_INT(fake_build_put(&fake, &spec), 0);
    spec.digest = SPAN("sha256:9f86");
    CHECK_INT(fake_build_put(&fake, &spec), 0);
    CHECK_STR(fake_build_find(&fake, "orders", "3.15.0")->digest, "sha256:9f86");
    fake_registry_fini(&fake);
}

TEST(bad_fields_are_answered_in_sentences)
{
    static const uint32_t twice[] = { 3, 2, 3 }, many[17] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 };
    static const struct {
        struct build_spec spec;
        const char *path, *text;
    } rows[] = {
        { { .service = SPAN("orders"), .version = SPAN("three") },
          "version",
          "is \"three\"; a semantic version such as 3.15.0 or 3.15.0-rc.1 of at most 128 "
          "characters is accepted" },
        { { .service = SPAN("orders"), .version = SPAN("") },
          "version",
          "is \"\"; a semantic version such as 3.15.0 or 3.15.0-rc.1 of at most 128 characters "
          "is accepted" },
        { { .service = SPAN("orders"), .version = SPAN("3.0.0"), .digest = SPAN("a b") },
          "digest",
          "is \"a b\"; up to 160 visible ASCII characters such as \"sha256:9f86…\" are accepted" },
        { { .service = SPAN("orders"),
            .version = SPAN("3.0.0"),
            .provides = twice,
            .n_provides = 3 },
          "provides[2]",
          "is orders@3, as provides[0] is; each contract is accepted once" },
        { { .service = SPAN("orders"),
            .version = SPAN("3.0.0"),
            .provides = many,
            .n_provides = 17 },
          "provides",
          "names 17 contracts; up to 16 are accepted" },
        { { .service = SPAN("Orders"), .version = SPAN("3.0.0") },
          "service",
          "is \"Orders\"; a lower-case letter and then up to 62 letters, digits and hyphens are "
          "accepted" },
    };
    fake_registry_init(&fake);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CHECK_INT(fake_build_put(&fake, &rows[i].spec), REGISTRY_INVALID);
        CHECK_STR(fake.problem.path, rows[i].path);
        CHECK_STR(fake.problem.text, rows[i].text);
    }
    CHECK_INT(fake.store.revision, 0);
    fake_registry_fini(&fake);
}

/* Both saw no build; the second would have overwritten what the first announced. */
TEST(a_lost_race_is_decided_again_and_then_refused)
{
    static const uint32_t majors[] = { 2, 3 };
    CLEANUP(txn_fini) struct txn late = { 0 };
    fake_registry_init(&fake);
    struct build_spec mine = { .service = SPAN("orders"), .version = SPAN("3.15.0") };
    struct build_spec theirs = mine;
    theirs.provides = majors;
    theirs.n_provides = 2;

    CHECK_INT(build_put(fake.registry, &mine, 5, &late, NULL), 0);
    CHECK_INT(fake_build_put(&fake, &theirs), 0);
    CHECK_INT(fake_commit(&fake.store, &late), STORE_CONFLICT);
    CHECK_INT(build_put(fake.registry, &mine, 5, &late, NULL), REGISTRY_REFUSED);
    fake_registry_fini(&fake);
}

TEST(a_later_step_sees_what_the_transaction_announced)
{
    static const uint32_t majors[] = { 2, 3 };
    fake_registry_init(&fake);
    struct build_spec spec = {
        .service = SPAN("orders"), .version = SPAN("3.15.0"), .provides = majors, .n_provides = 2
    };
    struct problem problem = { 0 };
    CHECK_INT(build_put(fake.registry, &spec, 5, &fake.txn, &problem), 0);
    spec.digest = SPAN("sha256:9f86");
    CHECK_INT(build_put(fake.registry, &spec, 5, &fake.txn, &problem), 0);
    spec.n_provides = 0;
    CHECK_INT(build_put(fake.registry, &spec, 5, &fake.txn, &problem), REGISTRY_REFUSED);
    CHECK_INT(fake_commit(&fake.store, &fake.txn), 0);
    CHECK_INT(fake_build_find(&fake, "orders", "3.15.0")->n_provides, 2);
    CHECK_STR(fake_build_find(&fake, "orders", "3.15.0")->digest, "sha256:9f86");
    fake_registry_fini(&fake);
}

TEST(the_limit_is_an_answer)
{
    fake_registry_init(&fake);
    struct build_spec spec = { .service = SPAN("orders") };
    char version[32];
    for (unsigned i = 0; i < SERVICE_BUILDS_MAX; i++) {
        snprintf(version, sizeof(version), "1.%u.0", i);
        spec.version = span_of(version);
        CHECK_INT(fake_build_put(&fake, &spec), 0);
    }
    CHECK_INT(fake_build_put(&fake, &spec), 0);
    spec.version = SPAN("2.0.0");
    CHECK_INT(fake_build_put(&fake, &spec), REGISTRY_FULL);
    CHECK_STR(fake.problem.text, "would be one more than the 10000 builds a service has");
    fake_registry_fini(&fake);
}

static int put_grpc(const char *service, const char *id, const struct span *names, unsigned n)
{
    struct instance_spec spec = fake_instance(service, id, "1.0.0");
    spec.build.grpc_services = names;
    spec.build.n_grpc_services = n;
    return fake_instance_put(&fake, &spec);
}

TEST(grpc_services_are_added_to_a_build)
{
    static const struct span first[] = { { "shop.v1.Orders", 14 }, { "shop.v1.Cart", 12 } };
    static const struct span health[] = { { "grpc.health.v1.Health", 21 }, { "Bare", 4 } };
    fake_registry_init(&fake);
    CHECK_INT(put_grpc("orders", "a", first, 1), 0);
    CHECK_INT(put_grpc("orders", "b", first, 2), 0);
    CHECK_INT(put_grpc("orders", "c", health, 2), 0);
    int64_t revision = fake.store.revision;
    CHECK_INT(put_grpc("orders", "a", first, 1), 0);
    CHECK_INT(fake.store.revision, revision);
    const struct build *build =
        build_find(service_find(fake.registry, SPAN("orders")), SPAN("1.0.0"));
    CHECK_INT(build->n_grpc_services, 3);
    CHECK_STR(build->grpc_services[0], "Bare");
    CHECK_STR(build->grpc_services[2], "shop.v1.Orders");
    CHECK(build_names_grpc(build, SPAN("shop.v1.Cart")));
    CHECK(!build_names_grpc(build, SPAN("shop.v1")));
    fake_registry_fini(&fake);
}

TEST(a_grpc_service_has_one_owner)
{
    static const struct span name[] = { { "shop.v1.Orders", 14 } };
    fake_registry_init(&fake);
    CHECK_INT(put_grpc("orders", "a", name, 1), 0);
    CHECK_INT(put_grpc("cart", "b", name, 1), REGISTRY_REFUSED);
    CHECK_STR(fake.problem.path, "grpc_services[0]");
    CHECK_INT(fake_registry_end(
                  &fake, instance_delete(fake.registry, SPAN("orders"), SPAN("a"), &fake.txn)),
              0);
    CHECK_INT(put_grpc("cart", "b", name, 1), 0);
    CHECK_INT(put_grpc("orders", "a", name, 1), REGISTRY_REFUSED);
    CHECK(registry_is_sound(fake.registry));
    fake_registry_fini(&fake);
}

TEST(a_grpc_service_is_called_by_its_full_name)
{
    static const char *const bad[] = { "", ".a", "a.", "a..b", "1a", "a.1", "a/b", "a b", "a-b" };
    fake_registry_init(&fake);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct span name = span_of(bad[i]);
        CHECK_INT(put_grpc("orders", "a", &name, 1), REGISTRY_INVALID);
    }
    fake_registry_fini(&fake);
}
