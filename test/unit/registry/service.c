/* SPDX-License-Identifier: Apache-2.0 */

#include "check.h"
#include "fake/registry.h"
#include "registry/fold.h"

static struct fake_registry fake;

TEST(names_are_lower_case_words)
{
    static const struct {
        const char *name;
        bool is_valid;
    } rows[] = {
        { "orders", true },
        { "o", true },
        { "orders-2", true },
        { "a-", true },
        { "", false },
        { "Orders", false },
        { "2orders", false },
        { "-a", false },
        { "orders@3", false },
        { "or/ders", false },
        { "or.ders", false },
        { "or ders", false },
        { "or_ders", false },
        { "\xc3\xb6", false },
        { "a23456789-123456789-123456789-123456789-123456789-123456789-123", true },
        { "a23456789-123456789-123456789-123456789-123456789-123456789-1234", false },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (service_name_is_valid(span_of(rows[i].name)) != rows[i].is_valid)
            check_fail(__FILE__, __LINE__, rows[i].name, "is judged wrongly");
    }
    CHECK(!service_name_is_valid((struct span){ "a\0b", 3 }));
}

TEST(a_bad_name_is_answered_in_a_sentence)
{
    fake_registry_init(&fake);
    CHECK_INT(fake_service_put(&fake, "Orders"), REGISTRY_INVALID);
    CHECK_STR(fake.problem.path, "service");
    CHECK_STR(fake.problem.text,
              "is \"Orders\"; a lower-case letter and then up to 62 letters, "
              "digits and hyphens are accepted");
    fake_registry_fini(&fake);
}

TEST(settings_change_one_by_one_and_stay)
{
    fake_registry_init(&fake);
    struct service_spec spec = { .name = SPAN("storefront"), .identity = { true, true } };
    CHECK_INT(fake_registry_end(&fake, service_put(fake.registry, &spec, 5, &fake.txn, NULL)), 0);

    struct service_spec other = { .name = SPAN("storefront"), .auto_start = { true, true } };
    CHECK_INT(fake_registry_end(&fake, service_put(fake.registry, &other, 9, &fake.txn, NULL)), 0);
    const struct service *service = service_find(fake.registry, SPAN("storefront"));
    CHECK(service->is_known && service->is_identity && service->auto_starts);
    CHECK(!service->shares_builds && !service->promotes_when_baseline_gone);
    CHECK_INT(service->created, 5);

    spec.identity.value = false;
    CHECK_INT(fake_registry_end(&fake, service_put(fake.registry, &spec, 9, &fake.txn, NULL)), 0);
    CHECK(!service->is_identity && service->auto_starts);
    fake_registry_fini(&fake);
}

TEST(the_same_again_changes_nothing)
{
    fake_registry_init(&fake);
    CHECK_INT(fake_service_put(&fake, "orders"), 0);
    int64_t revision = fake.store.revision;
    CHECK_INT(fake_service_put(&fake, "orders"), 0);
    CHECK_INT(fake.store.revision, revision);
    fake_registry_fini(&fake);
}

TEST(one_transaction_may_register_and_then_change_a_service)
{
    fake_registry_init(&fake);
    struct instance_spec instance = fake_instance("orders", "a", "3.14.2");
    struct service_spec spec = { .name = SPAN("orders"), .identity = { true, true } };
    CHECK_INT(instance_put(fake.registry, &instance, 5, &fake.txn, NULL), 0);
    CHECK_INT(service_put(fake.registry, &spec, 6, &fake.txn, NULL), 0);
    CHECK_INT(fake_commit(&fake.store, &fake.txn), 0);
    CHECK(service_find(fake.registry, SPAN("orders"))->is_identity);
    CHECK_INT(service_find(fake.registry, SPAN("orders"))->created, 5);

    /* And the other way round: the registration must not undo the change. */
    spec.identity.value = false;
    struct instance_spec other = fake_instance("orders", "b", "3.15.0");
    CHECK_INT(service_put(fake.registry, &spec, 6, &fake.txn, NULL), 0);
    CHECK_INT(instance_put(fake.registry, &other, 7, &fake.txn, NULL), 0);
    CHECK_INT(fake_commit(&fake.store, &fake.txn), 0);
    CHECK(!service_find(fake.registry, SPAN("orders"))->is_identity);
    fake_registry_fini(&fake);
}

TEST(of_two_that_create_it_one_is_decided_again)
{
    CLEANUP(txn_fini) struct txn late = { 0 };
    fake_registry_init(&fake);
    struct service_spec spec = { .name = SPAN("orders"), .auto_start = { true, true } };
    CHECK_INT(service_put(fake.registry, &spec, 5, &late, NULL), 0);
    CHECK_INT(fake_service_put(&fake, "orders"), 0);

    CHECK_INT(fake_commit(&fake.store, &late), STORE_CONFLICT);
    CHECK(!service_find(fake.registry, SPAN("orders"))->auto_starts);
    CHECK_INT(service_put(fake.registry, &spec, 5, &late, NULL), 0);
    CHECK_INT(fake_commit(&fake.store, &late), 0);
    CHECK(service_find(fake.registry, SPAN("orders"))->auto_starts);
    fake_registry_fini(&fake);
}

TEST(the_limit_is_an_answer)
{
    fake_registry_init(&fake);
    for (unsigned i = 0; i < REGISTRY_SERVICES_MAX; i++) {
        char name[32];
        snprintf(name, sizeof(name), "s%u", i);
        CHECK_INT(fake_service_put(&fake, name), 0);
    }
    CHECK_INT(fake_service_put(&fake, "one-more"), REGISTRY_FULL);
    CHECK_STR(fake.problem.text, "would be one more than the 10000 services a registry holds");
    struct instance_spec spec = fake_instance("one-more", "a", "1.0.0");
    CHECK_INT(fake_instance_put(&fake, &spec), REGISTRY_FULL);
    CHECK_INT(fake_service_put(&fake, "s0"), 0);
    fake_registry_fini(&fake);
}

static int delete_service(const char *name)
{
    fake.problem = (struct problem){ 0 };
    return fake_registry_end(
        &fake, service_delete(fake.registry, span_of(name), &fake.txn, &fake.problem));
}

static void deregister(const char *service, const char *id)
{
    CHECK_INT(fake_registry_end(
                  &fake, instance_delete(fake.registry, span_of(service), span_of(id), &fake.txn)),
              0);
}

TEST(a_service_goes_with_its_builds_when_it_has_no_instances)
{
    fake_registry_init(&fake);
    CHECK_INT(delete_service("orders"), REGISTRY_NOT_FOUND);

    fake_register(&fake, "orders", "a", "3.14.2");
    CHECK_INT(delete_service("orders"), REGISTRY_REFUSED);
    CHECK_STR(fake.problem.text, "orders has 1 instance (a): deregister it first");
    fake_register(&fake, "orders", "b", "3.15.0");
    CHECK_INT(delete_service("orders"), REGISTRY_REFUSED);
    CHECK_STR(fake.problem.text, "orders has 2 instances (a, …): deregister them first");

    deregister("orders", "a");
    deregister("orders", "b");
    CHECK_INT(service_find(fake.registry, SPAN("orders"))->builds.n_nodes, 2);
    CHECK_INT(delete_service("orders"), 0);
    CHECK(!service_find(fake.registry, SPAN("orders")));
    CHECK_INT(fake.store.entries.n_nodes, 0);
    fake_registry_fini(&fake);
}

TEST(a_service_of_many_builds_goes_in_several_calls)
{
    fake_registry_init(&fake);
    for (unsigned i = 0; i < 600; i++) {
        char version[32];
        snprintf(version, sizeof(version), "1.%u.0", i);
        struct build_spec build = { .service = SPAN("orders"), .version = span_of(version) };
        CHECK_INT(fake_build_put(&fake, &build), 0);
    }
    CHECK_INT(delete_service("orders"), 0);
    CHECK_INT(service_find(fake.registry, SPAN("orders"))->builds.n_nodes, 88);
    CHECK_INT(delete_service("orders"), 0);
    CHECK(!service_find(fake.registry, SPAN("orders")));
    fake_registry_fini(&fake);
}

/* Each case registers something between the decision to delete and its commit. */
TEST(a_deletion_loses_against_what_it_did_not_see)
{
    CLEANUP(txn_fini) struct txn late = { 0 };
    fake_registry_init(&fake);
    CHECK_INT(fake_service_put(&fake, "orders"), 0);

    CHECK_INT(service_delete(fake.registry, SPAN("orders"), &late, NULL), 0);
    fake_register(&fake, "orders", "a", "3.14.2");
    CHECK_INT(fake_commit(&fake.store, &late), STORE_CONFLICT);

    deregister("orders", "a");
    CHECK_INT(service_delete(fake.registry, SPAN("orders"), &late, NULL), 0);
    fake_register(&fake, "orders", "a", "3.14.2"); /* of a build that is known */
    CHECK_INT(fake_commit(&fake.store, &late), STORE_CONFLICT);

    deregister("orders", "a");
    CHECK_INT(service_delete(fake.registry, SPAN("orders"), &late, NULL), 0);
    struct build_spec build = { .service = SPAN("orders"), .version = SPAN("3.15.0") };
    CHECK_INT(fake_build_put(&fake, &build), 0);
    CHECK_INT(fake_commit(&fake.store, &late), STORE_CONFLICT);
    fake_registry_fini(&fake);
}

/* The registration was decided while there was company, which then left. */
TEST(a_registration_that_saw_company_loses_when_the_company_left)
{
    CLEANUP(txn_fini) struct txn late = { 0 };
    fake_registry_init(&fake);
    fake_register(&fake, "orders", "a", "3.14.2");
    struct instance_spec spec = fake_instance("orders", "b", "3.14.2");
    CHECK_INT(instance_put(fake.registry, &spec, 5, &late, NULL), 0);

    deregister("orders", "a");
    CHECK_INT(fake_commit(&fake.store, &late), STORE_CONFLICT);
    CHECK_INT(instance_put(fake.registry, &spec, 5, &late, NULL), 0);
    CHECK_INT(fake_commit(&fake.store, &late), 0);

    CHECK_INT(instance_put(fake.registry, &spec, 6, &late, NULL), 0);
    txn_clear(&late);
    deregister("orders", "b");
    CHECK_INT(instance_put(fake.registry, &spec, 6, &late, NULL), 0);
    CHECK_INT(delete_service("orders"), 0);
    CHECK_INT(fake_commit(&fake.store, &late), STORE_CONFLICT);
    fake_registry_fini(&fake);
}
