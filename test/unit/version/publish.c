/* SPDX-License-Identifier: Apache-2.0 */

#include "check.h"

#include "fake/world.h"

static const struct release *release(struct world *world, const char *app, const char *version)
{
    const struct app *owner = app_find(world->version, span_of(app));
    const struct release *found = owner ? release_find(owner, span_of(version)) : NULL;
    CHECK(found);
    return found;
}

static struct file_spec file_spec(const char *path)
{
    return (struct file_spec){
        .app = SPAN("shop"),
        .release = SPAN("4.2.0"),
        .path = span_of(path),
        .sha256 = SPAN("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
        .integrity = SPAN("sha384-abc"),
        .content_type = SPAN("text/javascript"),
        .size = 3,
    };
}

TEST(the_first_release_of_an_app_becomes_its_default)
{
    struct world world;
    world_init(&world);
    world_publish(&world, "shop", "4.1.0", "orders 2");
    world_publish(&world, "shop", "4.2.0", "orders 3, catalog >=1 <3");
    CHECK_STR(app_find(world.version, SPAN("shop"))->default_release, "4.1.0");

    const struct release *second = release(&world, "shop", "4.2.0");
    CHECK(second->is_published);
    CHECK_INT(second->n_requires, 2);
    CHECK_STR(second->requires[1].service, "catalog");
    CHECK_STR(second->requires[1].range_text, ">=1 <3");
    CHECK(major_range_has(&second->requires[1].range, 2));
    CHECK(!major_range_has(&second->requires[1].range, 3));
    CHECK_STR(second->entries[0].integrity, "sha384-abc");
    world_fini(&world);
}

TEST(a_release_with_files_only_is_not_published)
{
    struct world world;
    world_init(&world);
    world_file(&world, "shop", "4.2.0", "assets/main-3f2a.js");
    CHECK(!release(&world, "shop", "4.2.0")->is_published);
    CHECK_INT(release(&world, "shop", "4.2.0")->files.n_nodes, 1);
    REFUSED(&world,
            app_set_default(world.version, SPAN("shop"), SPAN("4.2.0"), &world.txn, &world.problem),
            VERSION_REFUSED);
    world_fini(&world);
}

TEST(bad_files_are_refused_with_their_field)
{
    static const struct {
        const char *app, *release, *path, *sha256, *integrity, *type, *field;
    } cases[] = {
        { "Shop", NULL, NULL, NULL, NULL, NULL, "app" },
        { "", NULL, NULL, NULL, NULL, NULL, "app" },
        { NULL, "4.2", NULL, NULL, NULL, NULL, "release" },
        { NULL, "4.2.0/x", NULL, NULL, NULL, NULL, "release" },
        { NULL, NULL, "", NULL, NULL, NULL, "path" },
        { NULL, NULL, "/main.js", NULL, NULL, NULL, "path" },
        { NULL, NULL, "a//b.js", NULL, NULL, NULL, "path" },
        { NULL, NULL, "a/../b.js", NULL, NULL, NULL, "path" },
        { NULL, NULL, "./b.js", NULL, NULL, NULL, "path" },
        { NULL, NULL, "a/", NULL, NULL, NULL, "path" },
        { NULL, NULL, "a b.js", NULL, NULL, NULL, "path" },
        { NULL, NULL, "a%2fb.js", NULL, NULL, NULL, "path" },
        { NULL, NULL, "a;b.js", NULL, NULL, NULL, "path" },
        { NULL, NULL, "<b>.js", NULL, NULL, NULL, "path" },
        { NULL, NULL, NULL, "0123", NULL, NULL, "sha256" },
        { NULL, NULL, NULL, NULL, "", NULL, "integrity" },
        { NULL, NULL, NULL, NULL, NULL, "text/html\r\nX: y", "content_type" },
    };
    struct world world;
    world_init(&world);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct file_spec file = file_spec(cases[i].path ? cases[i].path : "main.js");
        if (cases[i].app)
            file.app = span_of(cases[i].app);
        if (cases[i].release)
            file.release = span_of(cases[i].release);
        if (cases[i].sha256)
            file.sha256 = span_of(cases[i].sha256);
        if (cases[i].integrity)
            file.integrity = span_of(cases[i].integrity);
        if (cases[i].type)
            file.content_type = span_of(cases[i].type);
        REFUSED(&world, release_file_put(world.version, &file, &world.txn, &world.problem),
                VERSION_INVALID);
        CHECK_STR(world.problem.path, cases[i].field);
    }
    world_fini(&world);
}

TEST(files_are_replaced_until_the_release_is_published_and_never_after)
{
    struct world world;
    world_init(&world);
    struct file_spec file = file_spec("main.js");
    DO(&world, release_file_put(world.version, &file, &world.txn, &world.problem));
    CHECK_INT(release_file_put(world.version, &file, &world.txn, &world.problem), 0);
    CHECK_INT(world.txn.n_ops, 0);
    file.sha256 = SPAN("ffff456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    DO(&world, release_file_put(world.version, &file, &world.txn, &world.problem));

    struct release_spec *spec = mem_new(struct release_spec);
    world_manifest(spec, "shop", "4.2.0", "");
    DO(&world, release_publish(world.version, spec, world.wall, &world.txn, &world.problem));
    free(spec);
    CHECK_INT(release_file_put(world.version, &file, &world.txn, &world.problem), 0);
    CHECK_INT(world.txn.n_ops, 0);
    file.sha256 = SPAN("0000456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    REFUSED(&world, release_file_put(world.version, &file, &world.txn, &world.problem),
            VERSION_REFUSED);
    struct file_spec other = file_spec("other.js");
    REFUSED(&world, release_file_put(world.version, &other, &world.txn, &world.problem),
            VERSION_REFUSED);
    world_fini(&world);
}

TEST(a_file_that_comes_while_its_release_is_published_is_refused_by_the_store)
{
    struct world world;
    world_init(&world);
    world_file(&world, "shop", "4.2.0", "main.js");
    struct file_spec file = file_spec("late.js");
    struct txn late = { 0 };
    CHECK_INT(release_file_put(world.version, &file, &late, &world.problem), 0);
    world_publish(&world, "shop", "4.2.0", "");
    CHECK_INT(fake_commit(&world.store, &late), STORE_CONFLICT);
    txn_fini(&late);
    world_fini(&world);
}

static void bad_kind(struct release_spec *spec)
{
    spec->kind = SPAN("mf");
}

static void no_entries(struct release_spec *spec)
{
    spec->n_entries = 0;
}

static void absent_file(struct release_spec *spec)
{
    spec->entries[0].path = SPAN("absent.js");
}

static void other_integrity(struct release_spec *spec)
{
    spec->entries[0].integrity = SPAN("sha384-other");
}

static void twin_names(struct release_spec *spec)
{
    spec->entries[spec->n_entries++] = spec->entries[0];
}

static void absent_style(struct release_spec *spec)
{
    spec->styles[spec->n_styles++] = SPAN("page.css");
}

static void bad_range(struct release_spec *spec)
{
    spec->requires[0].service = SPAN("orders");
    spec->requires[0].range = SPAN("three");
    spec->n_requires = 1;
}

static void twin_needs(struct release_spec *spec)
{
    bad_range(spec);
    spec->requires[0].range = SPAN("3");
    spec->requires[spec->n_requires++] = spec->requires[0];
}

static void bad_service(struct release_spec *spec)
{
    bad_range(spec);
    spec->requires[0].service = SPAN("Orders");
}

static void bad_title(struct release_spec *spec)
{
    spec->title = SPAN("a\x01");
}

TEST(a_manifest_is_checked_whole)
{
    static const struct {
        void (*spoil)(struct release_spec *spec);
        int answer;
        const char *path;
    } cases[] = {
        { bad_kind, VERSION_INVALID, "kind" },
        { no_entries, VERSION_INVALID, "entries" },
        { absent_file, VERSION_REFUSED, "entries[0].path" },
        { other_integrity, VERSION_REFUSED, "entries[0].integrity" },
        { twin_names, VERSION_INVALID, "entries[1].name" },
        { absent_style, VERSION_REFUSED, "styles[0]" },
        { bad_range, VERSION_INVALID, "requires.orders" },
        { twin_needs, VERSION_INVALID, "requires.orders" },
        { bad_service, VERSION_INVALID, "requires.Orders" },
        { bad_title, VERSION_INVALID, "title" },
    };
    struct world world;
    world_init(&world);
    world_file(&world, "shop", "4.2.0", "main.js");
    struct release_spec *spec = mem_new(struct release_spec);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        world_manifest(spec, "shop", "4.2.0", "");
        cases[i].spoil(spec);
        REFUSED(&world, release_publish(world.version, spec, 0, &world.txn, &world.problem),
                cases[i].answer);
        CHECK_STR(world.problem.path, cases[i].path);
    }
    free(spec);
    CHECK(!release(&world, "shop", "4.2.0")->is_published);
    world_fini(&world);
}

TEST(a_published_release_is_immutable)
{
    struct world world;
    world_init(&world);
    world_publish(&world, "shop", "4.2.0", "orders 3, catalog 1");
    struct release_spec *spec = mem_new(struct release_spec);
    world_manifest(spec, "shop", "4.2.0", "catalog 1, orders 3");
    CHECK_INT(release_publish(world.version, spec, 0, &world.txn, &world.problem), 0);
    CHECK_INT(world.txn.n_ops, 0);
    world_manifest(spec, "shop", "4.2.0", "orders 3");
    REFUSED(&world, release_publish(world.version, spec, 0, &world.txn, &world.problem),
            VERSION_REFUSED);
    world_manifest(spec, "shop", "4.2.0", "orders 3, catalog 2");
    REFUSED(&world, release_publish(world.version, spec, 0, &world.txn, &world.problem),
            VERSION_REFUSED);
    free(spec);
    world_fini(&world);
}

TEST(a_release_that_only_an_offline_contract_could_serve_is_refused)
{
    struct world world;
    world_init(&world);
    world_instance(&world, "orders", "2.9.0");
    world_instance(&world, "orders", "3.14.2");
    world_offline(&world, "orders", 2);
    world_file(&world, "shop", "4.0.0", "main.js");
    struct release_spec *spec = mem_new(struct release_spec);
    world_manifest(spec, "shop", "4.0.0", "orders 2");
    REFUSED(&world, release_publish(world.version, spec, 0, &world.txn, &world.problem),
            VERSION_REFUSED);
    CHECK(strstr(world.problem.text, "orders@3"));
    world_manifest(spec, "shop", "4.0.0", "orders 2 || 3");
    DO(&world, release_publish(world.version, spec, 0, &world.txn, &world.problem));
    free(spec);
    world_fini(&world);
}

TEST(a_default_must_be_a_release_that_can_be_served)
{
    struct world world;
    world_init(&world);
    world_instance(&world, "orders", "2.9.0");
    world_instance(&world, "orders", "3.14.2");
    world_publish(&world, "shop", "4.1.0", "orders 2");
    world_publish(&world, "shop", "4.2.0", "orders 3");
    world_publish(&world, "shop", "4.3.0", "orders 3, search 1");
    const struct {
        const char *app, *release;
        int answer;
    } cases[] = {
        { "shop", "4.2.0", VERSION_OK },
        { "shop", "4.3.0", VERSION_REFUSED }, /* no build provides search@1 */
        { "shop", "9.9.9", VERSION_NOT_FOUND },
        { "admin", "1.0.0", VERSION_NOT_FOUND },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CHECK_INT(app_set_default(world.version, span_of(cases[i].app), span_of(cases[i].release),
                                  &world.txn, &world.problem),
                  cases[i].answer);
        if (cases[i].answer)
            txn_clear(&world.txn);
        else
            CHECK_INT(fake_commit(&world.store, &world.txn), 0);
    }
    CHECK_STR(app_find(world.version, SPAN("shop"))->default_release, "4.2.0");

    world_offline(&world, "orders", 2);
    REFUSED(&world,
            app_set_default(world.version, SPAN("shop"), SPAN("4.1.0"), &world.txn, &world.problem),
            VERSION_REFUSED);
    CHECK(strstr(world.problem.text, "orders@2"));
    CHECK(strstr(world.problem.text, "orders@3"));
    world_fini(&world);
}

TEST(a_default_loses_against_the_contract_going_offline)
{
    struct world world;
    world_init(&world);
    world_instance(&world, "orders", "2.9.0");
    world_instance(&world, "orders", "3.14.2");
    world_publish(&world, "shop", "4.2.0", "orders 3");
    world_publish(&world, "shop", "4.1.0", "orders 2");
    struct txn late = { 0 };
    CHECK_INT(app_set_default(world.version, SPAN("shop"), SPAN("4.1.0"), &late, &world.problem),
              0);
    world_offline(&world, "orders", 2);
    CHECK_INT(fake_commit(&world.store, &late), STORE_CONFLICT);
    txn_fini(&late);
    world_fini(&world);
}
