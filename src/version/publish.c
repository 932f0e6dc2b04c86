/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Commands on apps: files come first, then the manifest publishes the release, and from then on
 * neither can change. The manifest is judged whole, so that a page made from a published release
 * never names a file that is not there.
 */

#include "version/version.h"

#include <assert.h>
#include <stdio.h>

#include "version/record.h"
#include "version/state.h"

#define FILE_PATH_MAX 512u
#define ENTRY_NAME_MAX 256u
#define DIGEST_TEXT_MAX 128u

static struct span release_key(struct txn *txn, struct span app, struct span release)
{
    return version_key(txn, VERSION_PREFIX "release/%.*s/%.*s", SPAN_ARG(app), SPAN_ARG(release));
}

static struct span file_key(struct txn *txn, struct span app, struct span release, struct span path)
{
    return version_key(txn, VERSION_PREFIX "file/%.*s/%.*s/%.*s", SPAN_ARG(app), SPAN_ARG(release),
                       SPAN_ARG(path));
}

static struct span app_key(struct txn *txn, struct span app)
{
    return version_key(txn, VERSION_PREFIX "app/%.*s", SPAN_ARG(app));
}

void app_expect(const struct app *app, struct txn *txn)
{
    txn_expect(txn, app_key(txn, span_of(app->name)), app->mod_revision);
}

/* Checked before anything is looked up, since both names become parts of keys and URLs. */
static int release_name_check(const struct version *version, struct span app, struct span release,
                              struct problem *problem)
{
    struct semver semver;
    if (!service_name_is_valid(app)) {
        problem_set(problem, "app",
                    "is \"%.*s\"; lower-case letters, digits and \"-\" are accepted, a letter "
                    "first",
                    SPAN_ARG(span_first(app, 80)));
        return VERSION_INVALID;
    }
    if (release.size > SEMVER_TEXT_MAX || semver_parse(release, &semver)) {
        problem_set(problem, "release", "is \"%.*s\"; a version such as \"4.2.0\" is accepted",
                    SPAN_ARG(span_first(release, 80)));
        return VERSION_INVALID;
    }
    if (!app_find(version, app) && version_apps(version)->n_nodes >= APPS_MAX) {
        problem_set(problem, "app", "would be one more than the %u apps that are accepted",
                    APPS_MAX);
        return VERSION_REFUSED;
    }
    return 0;
}

/* The characters of RFC 3986 that stand in a path without being encoded, but for the apostrophe and
 * the ampersand, since paths are written into HTML, and for the semicolon, which the gateway
 * refuses: servers behind it would read a parameter. */
static bool path_has(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || (byte && strchr("-._~!$()*+,=:@/", byte));
}

static bool path_is_valid(struct span path)
{
    if (path.size == 0 || path.size > FILE_PATH_MAX)
        return false;
    for (size_t i = 0; i < path.size; i++) {
        if (!path_has(path.data[i]))
            return false;
    }
    struct span rest = path;
    while (rest.data) {
        struct span segment = span_cut(&rest, '/');
        if (span_is(segment, "") || span_is(segment, ".") || span_is(segment, ".."))
            return false;
    }
    return true;
}

static bool digest_is_hex(struct span text)
{
    if (text.size != 2 * (size_t)32)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (!((text.data[i] >= '0' && text.data[i] <= '9') ||
              (text.data[i] >= 'a' && text.data[i] <= 'f')))
            return false;
    }
    return true;
}

static int file_spec_check(const struct file_spec *spec, struct problem *problem)
{
    if (!path_is_valid(spec->path)) {
        problem_set(
            problem, "path",
            "is \"%.*s\"; a relative path of at most %u letters, digits and -._~!$()*+,=:@/ "
            "is accepted, without empty, \".\" or \"..\" parts",
            SPAN_ARG(span_first(spec->path, 80)), FILE_PATH_MAX);
        return VERSION_INVALID;
    }
    if (!digest_is_hex(spec->sha256)) {
        problem_set(problem, "sha256", "is not 64 digits of lower-case hexadecimal");
        return VERSION_INVALID;
    }
    if (!spec->integrity.size || !version_text_is_plain(spec->integrity, DIGEST_TEXT_MAX)) {
        problem_set(problem, "integrity", "is no digest such as \"sha384-…\"");
        return VERSION_INVALID;
    }
    if (!version_text_is_plain(spec->content_type, DIGEST_TEXT_MAX)) {
        problem_set(problem, "content_type", "has control characters or more than %u bytes",
                    DIGEST_TEXT_MAX);
        return VERSION_INVALID;
    }
    return 0;
}

static const struct release_file *file_find(const struct release *release, struct span path)
{
    return release ? map_find_as(&release->files, path, struct release_file, node) : NULL;
}

/* Of a manifest that was checked. */
static const struct release_file *file_get(const struct release *release, struct span path)
{
    return container_of(map_find(&release->files, path), struct release_file, node);
}

int release_file_put(const struct version *version, const struct file_spec *spec, struct txn *txn,
                     struct problem *problem)
{
    int r = release_name_check(version, spec->app, spec->release, problem);
    if (!r)
        r = file_spec_check(spec, problem);
    if (r)
        return r;

    const struct app *app = app_find(version, spec->app);
    const struct release *release = app ? release_find(app, spec->release) : NULL;
    const struct release_file *file = file_find(release, spec->path);
    if (file && span_is(spec->sha256, file->sha256) &&
        span_is(spec->content_type, file->content_type))
        return 0;
    if (release && release->is_published) {
        problem_set(problem, "path",
                    "is \"%.*s\" of %.*s %.*s, which is published without it or with other bytes; "
                    "a new release is accepted",
                    SPAN_ARG(span_first(spec->path, 80)), SPAN_ARG(spec->app),
                    SPAN_ARG(spec->release));
        return VERSION_REFUSED;
    }
    if (release && !file && release->files.n_nodes >= RELEASE_FILES_MAX) {
        problem_set(problem, "path", "would be one more than the %u files that are accepted",
                    RELEASE_FILES_MAX);
        return VERSION_REFUSED;
    }

    struct span key = file_key(txn, spec->app, spec->release, spec->path);
    Version__FileRecord record;
    version__file_record__init(&record);
    record.sha256 = version_text(txn, spec->sha256);
    record.size = spec->size;
    record.integrity = version_text(txn, spec->integrity);
    record.content_type = version_text(txn, spec->content_type);
    txn_expect(txn, release_key(txn, spec->app, spec->release), 0);
    txn_expect(txn, key, file ? file->mod_revision : 0);
    version_record_put(txn, key, &record.base);
    return 0;
}

/* --- publishing --- */

static int requirement_check(const struct version *version, const struct release_spec *spec,
                             unsigned i, const char *path, struct problem *problem)
{
    struct span service = spec->requires[i].service, range_text = spec->requires[i].range;
    struct major_range range;
    if (!service_name_is_valid(service)) {
        problem_set(problem, path, "is no name of a service");
        return VERSION_INVALID;
    }
    if (range_text.size > DIGEST_TEXT_MAX || major_range_parse(range_text, &range)) {
        problem_set(problem, path, "is \"%.*s\"; majors such as \"3\" or \">=2 <4\" are accepted",
                    SPAN_ARG(span_first(range_text, 80)));
        return VERSION_INVALID;
    }
    for (unsigned j = 0; j < i; j++) {
        if (span_equals(spec->requires[j].service, service)) {
            problem_set(problem, path, "is there twice");
            return VERSION_INVALID;
        }
    }
    struct contract *offline = NULL;
    if (!contract_for(version, service, &range, &offline) && offline) {
        problem_set(problem, path, "is \"%.*s\", but %s is offline%s%s",
                    SPAN_ARG(span_first(range_text, 80)), offline->name,
                    offline->successor[0] ? "; its successor is " : "", offline->successor);
        return VERSION_REFUSED;
    }
    return 0;
}

static int requires_check(const struct version *version, const struct release_spec *spec,
                          struct problem *problem)
{
    for (unsigned i = 0; i < spec->n_requires; i++) {
        char path[96];
        snprintf(path, sizeof(path), "requires.%.*s",
                 SPAN_ARG(span_first(spec->requires[i].service, 70)));
        int r = requirement_check(version, spec, i, path, problem);
        if (r)
            return r;
    }
    return 0;
}

static int file_missing(const struct release_spec *spec, const char *where, struct span path,
                        struct problem *problem)
{
    problem_set(problem, where, "is \"%.*s\", which was not sent as a file of %.*s %.*s",
                SPAN_ARG(span_first(path, 120)), SPAN_ARG(spec->app), SPAN_ARG(spec->release));
    return VERSION_REFUSED;
}

/* The integrity kept is always that of the bytes we hold; one in the manifest only has to agree. */
static int entry_check(const struct release_spec *spec, const struct release *release, unsigned i,
                       struct problem *problem)
{
    char where[40];
    snprintf(where, sizeof(where), "entries[%u].name", i);
    struct span name = spec->entries[i].name;
    if (!name.size || !version_text_is_plain(name, ENTRY_NAME_MAX)) {
        problem_set(problem, where, "is \"%.*s\"; a name of at most %u characters is accepted",
                    SPAN_ARG(span_first(name, 80)), ENTRY_NAME_MAX);
        return VERSION_INVALID;
    }
    for (unsigned j = 0; j < i; j++) {
        if (span_equals(spec->entries[j].name, name)) {
            problem_set(problem, where, "is \"%.*s\" as is that of entries[%u]",
                        SPAN_ARG(span_first(name, 80)), j);
            return VERSION_INVALID;
        }
    }

    const struct release_file *file = file_find(release, spec->entries[i].path);
    snprintf(where, sizeof(where), "entries[%u].path", i);
    if (!file)
        return file_missing(spec, where, spec->entries[i].path, problem);
    snprintf(where, sizeof(where), "entries[%u].integrity", i);
    if (spec->entries[i].integrity.size && !span_is(spec->entries[i].integrity, file->integrity)) {
        problem_set(problem, where, "is \"%.*s\", but that of the file sent is \"%s\"",
                    SPAN_ARG(span_first(spec->entries[i].integrity, 80)), file->integrity);
        return VERSION_REFUSED;
    }
    return 0;
}

/* The one kind there is may be left out. */
static struct span manifest_kind(const struct release_spec *spec)
{
    return spec->kind.size ? spec->kind : SPAN("importmap");
}

static int manifest_check(const struct version *version, const struct release_spec *spec,
                          const struct release *release, struct problem *problem)
{
    if (!span_equals(manifest_kind(spec), SPAN("importmap"))) {
        problem_set(problem, "kind", "is \"%.*s\"; importmap is accepted",
                    SPAN_ARG(span_first(spec->kind, 80)));
        return VERSION_INVALID;
    }
    if (!version_text_is_plain(spec->title, VERSION_TEXT_MAX)) {
        problem_set(problem, "title", "has control characters or more than %u bytes",
                    VERSION_TEXT_MAX);
        return VERSION_INVALID;
    }
    if (!spec->n_entries) {
        problem_set(problem, "entries", "is empty; the first entry is what the page starts");
        return VERSION_INVALID;
    }
    for (unsigned i = 0; i < spec->n_entries; i++) {
        int r = entry_check(spec, release, i, problem);
        if (r)
            return r;
    }
    for (unsigned i = 0; i < spec->n_styles; i++) {
        char where[40];
        snprintf(where, sizeof(where), "styles[%u]", i);
        if (!file_find(release, spec->styles[i]))
            return file_missing(spec, where, spec->styles[i], problem);
    }
    return requires_check(version, spec, problem);
}

/* Whether the manifest says what the published one said. The order counts: the first entry is
 * started, and styles override each other. That of requirements does not. */
static bool manifest_is_same(const struct release_spec *spec, const struct release *release)
{
    if (spec->n_requires != release->n_requires || spec->n_entries != release->n_entries ||
        spec->n_styles != release->n_styles || !span_is(manifest_kind(spec), release->kind) ||
        !span_is(spec->title, release->title))
        return false;

    for (unsigned i = 0; i < spec->n_requires; i++) {
        unsigned at = 0;
        while (at < release->n_requires &&
               !span_is(spec->requires[i].service, release->requires[at].service))
            at++;
        if (at == release->n_requires ||
            !span_is(spec->requires[i].range, release->requires[at].range_text))
            return false;
    }
    for (unsigned i = 0; i < spec->n_entries; i++) {
        const struct release_entry *entry = &release->entries[i];
        if (!span_is(spec->entries[i].name, entry->name) ||
            !span_is(spec->entries[i].path, entry->path))
            return false;
        if (spec->entries[i].integrity.size &&
            !span_is(spec->entries[i].integrity, entry->integrity))
            return false;
    }
    for (unsigned i = 0; i < spec->n_styles; i++) {
        if (!span_is(spec->styles[i], release->styles[i]))
            return false;
    }
    return true;
}

static void manifest_encode(const struct release_spec *spec, const struct release *release,
                            unix_msec wall, struct txn *txn)
{
    Version__ReleaseRecord record;
    version__release_record__init(&record);
    record.created = wall;
    record.kind = version_text(txn, manifest_kind(spec));
    record.title = version_text(txn, spec->title);

    record.n_requires = spec->n_requires;
    record.requires = arena_new_array(&txn->arena, Version__Requirement *, spec->n_requires);
    for (unsigned i = 0; i < spec->n_requires; i++) {
        record.requires[i] = arena_new(&txn->arena, Version__Requirement);
        version__requirement__init(record.requires[i]);
        record.requires[i] -> service = version_text(txn, spec->requires[i].service);
        record.requires[i] -> range = version_text(txn, spec->requires[i].range);
    }
    record.n_entries = spec->n_entries;
    record.entries = arena_new_array(&txn->arena, Version__Entry *, spec->n_entries);
    for (unsigned i = 0; i < spec->n_entries; i++) {
        const struct release_file *file = file_get(release, spec->entries[i].path);
        record.entries[i] = arena_new(&txn->arena, Version__Entry);
        version__entry__init(record.entries[i]);
        record.entries[i]->name = version_text(txn, spec->entries[i].name);
        record.entries[i]->path = version_text(txn, spec->entries[i].path);
        record.entries[i]->integrity = file->integrity;
        txn_expect(txn, file_key(txn, spec->app, spec->release, spec->entries[i].path),
                   file->mod_revision);
    }
    record.n_styles = spec->n_styles;
    record.styles = arena_new_array(&txn->arena, char *, spec->n_styles);
    for (unsigned i = 0; i < spec->n_styles; i++) {
        const struct release_file *file = file_get(release, spec->styles[i]);
        record.styles[i] = version_text(txn, spec->styles[i]);
        txn_expect(txn, file_key(txn, spec->app, spec->release, spec->styles[i]),
                   file->mod_revision);
    }

    struct span key = release_key(txn, spec->app, spec->release);
    txn_expect(txn, key, 0);
    version_record_put(txn, key, &record.base);
}

/* Rests on the app as it was: of two first releases one becomes the default. */
static void app_put_default(const struct app *app, struct span name, struct span release,
                            unix_msec wall, struct txn *txn)
{
    struct span key = app_key(txn, name);
    Version__AppRecord record;
    version__app_record__init(&record);
    record.created = app && app->mod_revision ? app->created : wall;
    record.default_release = version_text(txn, release);
    txn_expect(txn, key, app ? app->mod_revision : 0);
    version_record_put(txn, key, &record.base);
}

/* Of requirements that were checked. One that no contract meets yet waits for a build. */
static void requires_expect(const struct version *version, const struct release_spec *spec,
                            bool is_default, struct txn *txn)
{
    for (unsigned i = 0; i < spec->n_requires; i++) {
        struct major_range range;
        struct contract *offline = NULL;
        if (major_range_parse(spec->requires[i].range, &range))
            continue;
        const struct contract *contract =
            contract_for(version, spec->requires[i].service, &range, &offline);
        if (!contract)
            continue;
        if (is_default)
            contract_hold(contract, txn); /* from now on it serves everybody */
        else
            contract_expect(contract, txn);
    }
}

int release_publish(const struct version *version, const struct release_spec *spec, unix_msec wall,
                    struct txn *txn, struct problem *problem)
{
    int r = release_name_check(version, spec->app, spec->release, problem);
    if (r)
        return r;

    const struct app *app = app_find(version, spec->app);
    const struct release *release = app ? release_find(app, spec->release) : NULL;
    if (release && release->is_published) {
        if (manifest_is_same(spec, release))
            return 0;
        problem_set(problem, "release",
                    "is %.*s %.*s, which is published with another manifest; a new version is "
                    "accepted",
                    SPAN_ARG(spec->app), SPAN_ARG(spec->release));
        return VERSION_REFUSED;
    }
    r = manifest_check(version, spec, release, problem);
    if (r)
        return r;

    manifest_encode(spec, release, wall, txn);
    bool is_default = !app || !app->default_release[0];
    requires_expect(version, spec, is_default, txn);
    if (is_default)
        app_put_default(app, spec->app, spec->release, wall, txn);
    return 0;
}

/* --- choosing --- */

/* Holds the contract that would serve it: when that goes offline meanwhile, the store refuses. */
static int requirement_hold(const struct version *version, const struct release *release,
                            const struct requirement *requirement, struct txn *txn,
                            struct problem *problem)
{
    struct contract *offline = NULL;
    const struct contract *contract =
        contract_for(version, span_of(requirement->service), &requirement->range, &offline);
    if (contract) {
        contract_hold(contract, txn);
        return 0;
    }

    if (offline) {
        problem_set(problem, "release", "is %s %s, which requires %s, and that is offline%s%s",
                    release->app->name, release->version, offline->name,
                    offline->successor[0] ? "; its successor is " : "", offline->successor);
    } else {
        problem_set(
            problem, "release", "is %s %s, which requires %s %s, and no build provides that yet",
            release->app->name, release->version, requirement->service, requirement->range_text);
    }
    return VERSION_REFUSED;
}

int release_hold(const struct version *version, struct span app, struct span release,
                 struct txn *txn, struct problem *problem)
{
    const struct app *owner = app_find(version, app);
    const struct release *found = owner ? release_find(owner, release) : NULL;
    if (!found) {
        problem_set(problem, owner ? "release" : "app", "is %.*s %.*s, which does not exist",
                    SPAN_ARG(span_first(app, 80)), SPAN_ARG(span_first(release, 80)));
        return VERSION_NOT_FOUND;
    }
    if (!found->is_published) {
        problem_set(problem, "release",
                    "is %s %s, which is not published: its manifest was not sent yet", owner->name,
                    found->version);
        return VERSION_REFUSED;
    }
    txn_expect(txn, release_key(txn, app, release), found->mod_revision);
    for (unsigned i = 0; i < found->n_requires; i++) {
        int r = requirement_hold(version, found, &found->requires[i], txn, problem);
        if (r)
            return r;
    }
    return 0;
}

int app_set_default(const struct version *version, struct span app, struct span release,
                    struct txn *txn, struct problem *problem)
{
    const struct app *owner = app_find(version, app);
    if (owner && release.size && span_is(release, owner->default_release))
        return 0;
    int r = release_hold(version, app, release, txn, problem);
    if (r)
        return r;
    assert(owner); /* it has the release that is held */
    app_put_default(owner, app, release, owner->created, txn);
    return 0;
}
