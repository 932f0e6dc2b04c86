/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Apps, their releases and the files of releases, as their records say. An app without a record
 * exists while it has releases, a release without one while it has files.
 */

#include "version/version.h"

#include "base/mem.h"
#include "version/record.h"
#include "version/state.h"

static void file_free(struct release *release, struct release_file *file)
{
    map_remove(&release->files, &file->node);
    free(file->path);
    free(file->sha256);
    free(file->integrity);
    free(file->content_type);
    free(file);
}

/* Forgets what the manifest said; the files stay. */
static void release_clear(struct release *release)
{
    for (unsigned i = 0; i < release->n_requires; i++) {
        free(release->requires[i].service);
        free(release->requires[i].range_text);
    }
    for (unsigned i = 0; i < release->n_entries; i++) {
        free(release->entries[i].name);
        free(release->entries[i].path);
        free(release->entries[i].integrity);
    }
    for (unsigned i = 0; i < release->n_styles; i++)
        free(release->styles[i]);
    free(release->requires);
    free(release->entries);
    free(release->styles);
    release->requires = NULL;
    release->entries = NULL;
    release->styles = NULL;
    release->n_requires = release->n_entries = release->n_styles = 0;
    release->is_published = false;
    release->mod_revision = 0;
}

static void release_free(struct release *release)
{
    release_clear(release);
    map_each (node, &release->files)
        file_free(release, container_of(node, struct release_file, node));
    map_fini(&release->files);
    map_remove(&release->app->releases, &release->node);
    free(release->version);
    free(release->kind);
    free(release->title);
    free(release);
}

static void app_free(struct version *version, struct app *app)
{
    map_each (node, &app->releases)
        release_free(container_of(node, struct release, node));
    map_fini(&app->releases);
    map_remove(&version->apps, &app->node);
    free(app->name);
    free(app->default_release);
    free(app);
}

void apps_fini(struct version *version)
{
    map_each (node, &version->apps)
        app_free(version, container_of(node, struct app, node));
    map_fini(&version->apps);
}

static struct app *app_make(struct version *version, struct span name)
{
    struct app *app = app_find(version, name);
    if (app)
        return app;

    app = mem_new(struct app);
    app->name = mem_span_dup(name);
    app->default_release = mem_strdup("");
    map_init(&app->releases);
    map_add(&version->apps, &app->node, span_of(app->name));
    return app;
}

static struct release *release_make(struct version *version, struct span app_name, struct span name)
{
    struct app *app = app_make(version, app_name);
    struct release *release = release_find(app, name);
    if (release)
        return release;

    release = mem_new(struct release);
    release->app = app;
    release->version = mem_span_dup(name);
    release->kind = mem_strdup("");
    release->title = mem_strdup("");
    map_init(&release->files);
    map_add(&app->releases, &release->node, span_of(release->version));
    return release;
}

/* Drops what has neither a record nor anything below it. */
static void app_tidy(struct version *version, struct app *app)
{
    if (!app->mod_revision && !app->releases.n_nodes)
        app_free(version, app);
}

static void release_tidy(struct version *version, struct release *release)
{
    struct app *app = release->app;
    if (!release->mod_revision && !release->files.n_nodes)
        release_free(release);
    app_tidy(version, app);
}

struct app *app_find(const struct version *version, struct span name)
{
    return map_find_as(&version->apps, name, struct app, node);
}

struct release *release_find(const struct app *app, struct span release)
{
    return map_find_as(&app->releases, release, struct release, node);
}

int app_apply(struct version *version, struct span name, const struct store_event *event)
{
    if (event->kind == TXN_DELETE) {
        struct app *app = app_find(version, name);
        if (app) {
            version_text_set(&app->default_release, "");
            app->mod_revision = 0;
            app_tidy(version, app);
        }
        return 0;
    }

    CLEANUP(version_record_freep) ProtobufCMessage *message = NULL;
    int r = version_record_decode(event, &version__app_record__descriptor, &message);
    if (r)
        return err_trace(r);

    const Version__AppRecord *record = (const Version__AppRecord *)message;
    struct app *app = app_make(version, name);
    app->created = record->created;
    app->mod_revision = event->entry.mod_revision;
    version_text_set(&app->default_release, record->default_release);
    return 0;
}

static void release_fill(struct release *release, const Version__ReleaseRecord *record)
{
    release->requires = mem_new_array(struct requirement, record->n_requires);
    for (size_t i = 0; i < record->n_requires; i++) {
        release->requires[i].service = mem_strdup(record->requires[i] -> service);
        release->requires[i].range_text = mem_strdup(record->requires[i] -> range);
        release->n_requires++;
    }
    release->entries = mem_new_array(struct release_entry, record->n_entries);
    for (size_t i = 0; i < record->n_entries; i++) {
        release->entries[i].name = mem_strdup(record->entries[i]->name);
        release->entries[i].path = mem_strdup(record->entries[i]->path);
        release->entries[i].integrity = mem_strdup(record->entries[i]->integrity);
        release->n_entries++;
    }
    release->styles = mem_new_array(char *, record->n_styles);
    for (size_t i = 0; i < record->n_styles; i++)
        release->styles[release->n_styles++] = mem_strdup(record->styles[i]);
    version_text_set(&release->kind, record->kind);
    version_text_set(&release->title, record->title);
    release->created = record->created;
}

/* A range was checked when the release was published: one that does not parse is a fault. */
int release_apply(struct version *version, struct span name, const struct store_event *event)
{
    struct span release_name = name;
    struct span app_name = span_cut(&release_name, '/');
    if (event->kind == TXN_DELETE) {
        struct app *app = app_find(version, app_name);
        struct release *release = app ? release_find(app, release_name) : NULL;
        if (release) {
            release_clear(release);
            release_tidy(version, release);
        }
        return 0;
    }

    CLEANUP(version_record_freep) ProtobufCMessage *message = NULL;
    int r = version_record_decode(event, &version__release_record__descriptor, &message);
    if (r)
        return err_trace(r);

    struct release *release = release_make(version, app_name, release_name);
    release_clear(release);
    release_fill(release, (const Version__ReleaseRecord *)message);
    release->mod_revision = event->entry.mod_revision;
    for (unsigned i = 0; i < release->n_requires; i++) {
        struct requirement *requirement = &release->requires[i];
        if (major_range_parse(span_of(requirement->range_text), &requirement->range))
            return err_origin(-EBADMSG);
    }
    release->is_published = true;
    return 0;
}

int release_file_apply(struct version *version, struct span name, const struct store_event *event)
{
    struct span path = name;
    struct span app_name = span_cut(&path, '/');
    struct span release_name = span_cut(&path, '/');
    if (event->kind == TXN_DELETE) {
        struct app *app = app_find(version, app_name);
        struct release *release = app ? release_find(app, release_name) : NULL;
        struct release_file *file =
            release ? map_find_as(&release->files, path, struct release_file, node) : NULL;
        if (file) {
            file_free(release, file);
            release_tidy(version, release);
        }
        return 0;
    }

    CLEANUP(version_record_freep) ProtobufCMessage *message = NULL;
    int r = version_record_decode(event, &version__file_record__descriptor, &message);
    if (r)
        return err_trace(r);

    const Version__FileRecord *record = (const Version__FileRecord *)message;
    struct release *release = release_make(version, app_name, release_name);
    struct release_file *file = map_find_as(&release->files, path, struct release_file, node);
    if (!file) {
        file = mem_new(struct release_file);
        file->path = mem_span_dup(path);
        map_add(&release->files, &file->node, span_of(file->path));
    }
    version_text_set(&file->sha256, record->sha256);
    version_text_set(&file->integrity, record->integrity);
    version_text_set(&file->content_type, record->content_type);
    file->size = record->size;
    file->mod_revision = event->entry.mod_revision;
    return 0;
}
