/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The published releases of a snapshot, and who can be served them.
 */

#include "version/snapshot.h"

#include <stdio.h>

#include "base/mem.h"
#include "codec/timefmt.h"
#include "version/state.h"

static void release_add_needs(struct snapshot_base *base, struct known_release *known,
                              const struct release *release)
{
    known->needs = arena_new_array(&base->arena, struct snapshot_need, release->n_requires);
    known->n_needs = release->n_requires;
    for (unsigned i = 0; i < release->n_requires; i++) {
        const struct requirement *requirement = &release->requires[i];
        known->needs[i] = (struct snapshot_need){
            .service_name = arena_strdup(&base->arena, requirement->service),
            .range_text = arena_strdup(&base->arena, requirement->range_text),
            .number = base->n_needs++,
            .range = requirement->range,
        };
    }
}

/* Pages may go on loading files of any release, so all of them come along. */
static void release_add_files(struct snapshot_base *base, struct known_release *known,
                              const struct release *release)
{
    map_init(&known->files);
    map_each (node, &release->files) {
        const struct release_file *file = container_of(node, struct release_file, node);
        struct release_file *copy = arena_new(&base->arena, struct release_file);
        copy->path = arena_strdup(&base->arena, file->path);
        copy->sha256 = arena_strdup(&base->arena, file->sha256);
        copy->integrity = arena_strdup(&base->arena, file->integrity);
        copy->content_type = arena_strdup(&base->arena, file->content_type);
        copy->size = file->size;
        copy->mod_revision = file->mod_revision;
        map_add(&known->files, &copy->node, span_of(copy->path));
    }
}

static void release_add(struct snapshot_base *base, struct known_app *app,
                        const struct release *release)
{
    struct known_release *known = arena_new(&base->arena, struct known_release);
    struct release_entry *entries =
        arena_new_array(&base->arena, struct release_entry, release->n_entries);
    for (unsigned i = 0; i < release->n_entries; i++) {
        entries[i].name = arena_strdup(&base->arena, release->entries[i].name);
        entries[i].path = arena_strdup(&base->arena, release->entries[i].path);
        entries[i].integrity = arena_strdup(&base->arena, release->entries[i].integrity);
    }
    char **styles = arena_new_array(&base->arena, char *, release->n_styles);
    for (unsigned i = 0; i < release->n_styles; i++)
        styles[i] = arena_strdup(&base->arena, release->styles[i]);

    known->release = (struct snapshot_release){
        .app = app->name,
        .version = span_of(arena_strdup(&base->arena, release->version)),
        .kind = span_of(arena_strdup(&base->arena, release->kind)),
        .title = span_of(arena_strdup(&base->arena, release->title)),
        .entries = entries,
        .n_entries = release->n_entries,
        .styles = styles,
        .n_styles = release->n_styles,
    };
    known->release.import_map = import_map_format(&base->arena, &known->release);
    release_add_needs(base, known, release);
    release_add_files(base, known, release);
    map_add(&app->releases, &known->node, known->release.version);
}

/* The order decides which of two apps that exclude each other steps back, so it must be the same
 * in every process. */
static int app_by_name(const void *a, const void *b)
{
    const struct app *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

void snapshot_base_add_apps(struct snapshot_base *base, const struct version *version)
{
    CLEANUP(mem_freep)
    const struct app **sorted = mem_new_array(const struct app *, version->apps.n_nodes);
    unsigned n = 0;
    map_each (node, &version->apps)
        sorted[n++] = container_of(node, struct app, node);
    qsort(sorted, n, sizeof(const struct app *), app_by_name);

    base->apps = arena_new_array(&base->arena, struct known_app, n);
    base->n_apps = n;
    for (unsigned i = 0; i < n; i++) {
        struct known_app *app = &base->apps[i];
        app->name = span_of(arena_strdup(&base->arena, sorted[i]->name));
        map_init(&app->releases);
        map_add(&base->apps_by_name, &app->node, app->name);
        map_each (node, &sorted[i]->releases) {
            const struct release *release = container_of(node, struct release, node);
            if (release->is_published)
                release_add(base, app, release);
        }
        app->default_release = map_find_as(&app->releases, span_of(sorted[i]->default_release),
                                           struct known_release, node);
    }
}

void snapshot_base_free_apps(struct snapshot_base *base)
{
    for (unsigned i = 0; i < base->n_apps; i++) {
        map_each (node, &base->apps[i].releases)
            map_fini(&container_of(node, struct known_release, node)->files);
        map_fini(&base->apps[i].releases);
    }
}

uint32_t base_app(const struct snapshot_base *base, struct span name)
{
    const struct known_app *app = map_find_as(&base->apps_by_name, name, struct known_app, node);
    return app ? (uint32_t)(app - base->apps) : NO_INDEX;
}

const struct known_release *base_release(const struct snapshot_base *base, struct span app,
                                         struct span release)
{
    const struct known_app *known = map_find_as(&base->apps_by_name, app, struct known_app, node);
    return known ? map_find_as(&known->releases, release, struct known_release, node) : NULL;
}

void snapshot_add_needs(struct version_snapshot *snapshot)
{
    const struct snapshot_base *base = snapshot->base;
    snapshot->need_services = arena_new_array(&snapshot->arena, uint32_t, base->n_needs);
    for (unsigned i = 0; i < base->n_apps; i++) {
        map_each (node, &base->apps[i].releases) {
            const struct known_release *known = container_of(node, struct known_release, node);
            for (unsigned j = 0; j < known->n_needs; j++)
                snapshot->need_services[known->needs[j].number] =
                    snapshot_service(snapshot, span_of(known->needs[j].service_name));
        }
    }
}

const struct known_release *snapshot_release_known(const struct version_snapshot *snapshot,
                                                   struct span app, struct span release)
{
    return base_release(snapshot->base, app, release);
}

const struct snapshot_release *snapshot_release(const struct version_snapshot *snapshot,
                                                struct span app, struct span release)
{
    const struct known_release *known = snapshot_release_known(snapshot, app, release);
    return known ? &known->release : NULL;
}

const struct release_file *snapshot_file(const struct version_snapshot *snapshot, struct span app,
                                         struct span release, struct span path)
{
    const struct known_release *known = snapshot_release_known(snapshot, app, release);
    return known ? map_find_as(&known->files, path, struct release_file, node) : NULL;
}

bool release_resolves_to(const struct version_snapshot *snapshot,
                         const struct snapshot_release *release, uint32_t contract)
{
    const struct known_release *known = known_release_of(release);
    for (unsigned i = 0; i < known->n_needs; i++) {
        if (need_service(snapshot, &known->needs[i]) == snapshot->contracts[contract].service)
            return snapshot_need_contract(snapshot, &known->needs[i]) == contract;
    }
    return false;
}

static void each_pinned(const struct known_customer *customer,
                        void (*each)(void *owner, const struct snapshot_release *release,
                                     struct span customer, const char *why),
                        void *owner)
{
    for (unsigned i = 0; i < customer->n_pins; i++) {
        char why[CUSTOMER_ID_MAX + 64], expires[TIME_TEXT_MAX] = "";
        if (customer->pins[i].expires)
            time_format(customer->pins[i].expires, expires);
        snprintf(why, sizeof(why), "pinned for %.*s%s%s", SPAN_ARG(customer->node.key),
                 expires[0] ? " until " : ", without expiry", expires);
        each(owner, &customer->pins[i].release->release, customer->node.key, why);
    }
}

void snapshot_each_assignable(const struct version_snapshot *snapshot,
                              void (*each)(void *owner, const struct snapshot_release *release,
                                           struct span customer, const char *why),
                              void *owner)
{
    char why[128];
    for (unsigned i = 0; i < snapshot->base->n_apps; i++) {
        const struct known_app *app = &snapshot->base->apps[i];
        snprintf(why, sizeof(why), "the default of %.*s", SPAN_ARG(app->name));
        if (app->default_release)
            each(owner, &app->default_release->release, SPAN_NULL, why);
    }
    for (unsigned i = 0; i < snapshot->n_rules; i++) {
        const struct known_rule *rule = &snapshot->rules[i];
        /* Rules of one rollout stand together and move the same. */
        if (i > 0 && strcmp(rule->rollout, snapshot->rules[i - 1].rollout) == 0)
            continue;
        snprintf(why, sizeof(why), "moved to by rollout %s", rule->rollout);
        for (unsigned j = 0; j < rule->n_releases; j++)
            each(owner, &rule->releases[j]->release, SPAN_NULL, why);
    }
    map_each (node, &snapshot->base->customers)
        each_pinned(container_of(node, struct known_customer, node), each, owner);
}
