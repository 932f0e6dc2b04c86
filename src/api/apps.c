/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Apps and their releases over HTTP: upload, publish, default.
 */

#include "api/routes.h"

static struct app *call_app(const struct api_call *call)
{
    return app_find(call->rooms->version, call->params[0]);
}

static struct release *call_release(const struct api_call *call)
{
    const struct app *app = call_app(call);
    return app ? release_find(app, call->params[1]) : NULL;
}

int64_t route_app_revision(struct api_call *call)
{
    const struct app *app = call_app(call);
    return app ? app->mod_revision : 0;
}

int64_t route_release_revision(struct api_call *call)
{
    const struct release *release = call_release(call);
    return release ? release->mod_revision : 0;
}

static json_t *requires_json(const struct release *release)
{
    json_t *requires = json_object();
    for (unsigned i = 0; i < release->n_requires; i++)
        json_object_set_new(requires, release->requires[i].service,
                            json_string(release->requires[i].range_text));
    return requires;
}

static json_t *release_json(const struct release *release)
{
    json_t *entries = json_array();
    for (unsigned i = 0; i < release->n_entries; i++) {
        json_array_append_new(entries,
                              json_pack("{s:s, s:s, s:s}", "name", release->entries[i].name, "path",
                                        release->entries[i].path, "integrity",
                                        release->entries[i].integrity));
    }
    json_t *styles = json_array();
    for (unsigned i = 0; i < release->n_styles; i++)
        json_array_append_new(styles, json_string(release->styles[i]));
    json_t *files = json_array();
    map_each (node, &release->files) {
        const struct release_file *file = container_of(node, struct release_file, node);
        json_array_append_new(files, json_pack("{s:s, s:s, s:I}", "path", file->path, "integrity",
                                               file->integrity, "size", (json_int_t)file->size));
    }
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:b, s:o, s:o, s:o, s:o, s:o}", "app", release->app->name, "release",
        release->version, "kind", release->kind ? release->kind : "", "title",
        release->title ? release->title : "", "published", release->is_published, "requires",
        requires_json(release), "entries", entries, "styles", styles, "files",
        api_sorted(files, "path"), "created", api_json_time(release->created));
}

static json_t *app_json(const struct app *app)
{
    json_t *releases = json_array();
    map_each (node, &app->releases) {
        const struct release *release = container_of(node, struct release, node);
        json_array_append_new(
            releases, json_pack("{s:s, s:b, s:o, s:o}", "release", release->version, "published",
                                release->is_published, "requires", requires_json(release),
                                "created", api_json_time(release->created)));
    }
    return json_pack("{s:s, s:s, s:o, s:o}", "app", app->name, "default",
                     app->default_release ? app->default_release : "", "releases",
                     api_sorted(releases, "release"), "created", api_json_time(app->created));
}

void route_apps_list(struct api_call *call)
{
    json_t *apps = json_array();
    map_each (node, version_apps(call->rooms->version))
        json_array_append_new(apps, app_json(container_of(node, struct app, node)));
    api_reply(call, 200, json_pack("{s:o}", "apps", api_sorted(apps, "app")));
}

void route_app_get(struct api_call *call)
{
    const struct app *app = call_app(call);
    if (app) {
        api_reply(call, 200, app_json(app));
        return;
    }
    struct problem problem = { 0 };
    problem_set(&problem, "app", "%.*s is not known", SPAN_ARG(call->params[0]));
    api_refuse(call, 404, &problem, NULL);
}

void route_release_get(struct api_call *call)
{
    const struct release *release = call_release(call);
    if (release) {
        api_reply(call, 200, release_json(release));
        return;
    }
    struct problem problem = { 0 };
    problem_set(&problem, "release", "%.*s of %.*s is not known", SPAN_ARG(call->params[1]),
                SPAN_ARG(call->params[0]));
    api_refuse(call, 404, &problem, NULL);
}

int route_app_default_write(struct api_call *call, struct txn *txn, struct problem *problem)
{
    return version_status(app_set_default(call->rooms->version, call->params[0],
                                          api_text(call->body, "release"), txn, problem));
}

/* --- publishing --- */

static int check_same(const json_t *body, const char *field, struct span path_value,
                      struct problem *problem)
{
    struct span value = api_text(body, field);
    if (!value.data || span_equals(value, path_value))
        return 0;
    problem_set(problem, field, "is \"%.*s\", but the path says \"%.*s\"", SPAN_ARG(value),
                SPAN_ARG(path_value));
    return 400;
}

static int check_count(const char *field, size_t n, size_t max, struct problem *problem)
{
    if (n <= max)
        return 0;
    problem_set(problem, field, "has %zu members; at most %zu are accepted", n, max);
    return 400;
}

static void read_manifest(json_t *body, struct release_spec *spec)
{
    const char *service;
    json_t *range;
    json_object_foreach(json_object_get(body, "requires"), service, range)
    {
        spec->requires[spec->n_requires].service = span_of(service);
        spec->requires[spec->n_requires++].range = span_of(json_string_value(range));
    }
    const json_t *entries = json_object_get(body, "entries");
    for (size_t i = 0; i < json_array_size(entries); i++) {
        const json_t *entry = json_array_get(entries, i);
        spec->entries[i].name = api_text(entry, "name");
        spec->entries[i].path = api_text(entry, "path");
        spec->entries[i].integrity = api_text(entry, "integrity");
    }
    spec->n_entries = (unsigned)json_array_size(entries);
    const json_t *styles = json_object_get(body, "styles");
    for (size_t i = 0; i < json_array_size(styles); i++)
        spec->styles[i] = span_of(json_string_value(json_array_get(styles, i)));
    spec->n_styles = (unsigned)json_array_size(styles);
}

int route_release_write(struct api_call *call, struct txn *txn, struct problem *problem)
{
    const json_t *body = call->body;
    int status = check_same(body, "app", call->params[0], problem);
    if (!status)
        status = check_same(body, "release", call->params[1], problem);
    if (!status)
        status = check_count("requires", json_object_size(json_object_get(body, "requires")),
                             RELEASE_REQUIRES_MAX, problem);
    if (!status)
        status = check_count("entries", json_array_size(json_object_get(body, "entries")),
                             RELEASE_ENTRIES_MAX, problem);
    if (!status)
        status = check_count("styles", json_array_size(json_object_get(body, "styles")),
                             RELEASE_ENTRIES_MAX, problem);
    if (status)
        return status;

    struct release_spec *spec = arena_new(&call->arena, struct release_spec);
    spec->app = call->params[0];
    spec->release = call->params[1];
    spec->kind = api_text(body, "kind").data ? api_text(body, "kind") : SPAN("importmap");
    spec->title = api_text(body, "title");
    read_manifest(call->body, spec);

    const struct release *release = call_release(call);
    call->is_created = !release || !release->is_published;
    return version_status(
        release_publish(call->rooms->version, spec, loop_wall(call->loop), txn, problem));
}

/* --- files --- */

static void on_blob_done(void *owner, int answer, const struct blob *blob)
{
    struct api_call *call = owner;
    call->is_busy = false;
    if (!call->exchange) {
        api_call_end(call);
    } else if (answer) {
        api_refuse_text(call, 503, "the disk takes no more");
    } else {
        call->blob_done = *blob;
        api_write(call);
    }
}

/* What the write will say to the file; false when the call is answered, and gone. */
static bool is_file_welcome(struct api_call *call)
{
    struct txn txn = { 0 };
    struct problem problem = { 0 };
    int status = route_file_write(call, &txn, &problem);
    txn_fini(&txn);
    if (status)
        api_refuse(call, (unsigned)status, &problem, NULL);
    return !status;
}

/* A file that would be refused, or is only tried, is not kept. */
void route_file_first(struct api_call *call)
{
    call->blob_done = *blob_seal(call->blob);
    if (!is_file_welcome(call))
        return;
    if (call->is_dry_run) {
        call->blob = blob_free(call->blob);
        api_write(call);
        return;
    }
    struct blob_writer *writer = steal(call->blob);
    call->is_busy = true;
    blob_finish(writer, on_blob_done, call);
}

/* By the name's ending; what browsers need to accept a module or a stylesheet. */
static struct span content_type_of(struct span path)
{
    static const struct {
        const char *ending, *type;
    } types[] = {
        { ".js", "text/javascript" },
        { ".mjs", "text/javascript" },
        { ".css", "text/css" },
        { ".html", "text/html; charset=utf-8" },
        { ".json", "application/json" },
        { ".map", "application/json" },
        { ".svg", "image/svg+xml" },
        { ".png", "image/png" },
        { ".jpg", "image/jpeg" },
        { ".jpeg", "image/jpeg" },
        { ".gif", "image/gif" },
        { ".webp", "image/webp" },
        { ".ico", "image/x-icon" },
        { ".woff2", "font/woff2" },
        { ".woff", "font/woff" },
        { ".wasm", "application/wasm" },
        { ".txt", "text/plain; charset=utf-8" },
    };
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (span_ends_with(path, span_of(types[i].ending)))
            return span_of(types[i].type);
    }
    return SPAN("application/octet-stream");
}

int route_file_write(struct api_call *call, struct txn *txn, struct problem *problem)
{
    struct file_spec spec = {
        .app = call->params[0],
        .release = call->params[1],
        .path = call->params[2],
        .sha256 = span_of(call->blob_done.sha256),
        .integrity = span_of(call->blob_done.integrity),
        .content_type = content_type_of(call->params[2]),
        .size = call->blob_done.size,
    };
    const struct release *release = call_release(call);
    call->is_created = !release || !map_find(&release->files, spec.path);
    return version_status(release_file_put(call->rooms->version, &spec, txn, problem));
}

void route_file_get(struct api_call *call)
{
    api_reply(call, 200,
              json_pack("{s:o, s:s, s:s, s:I}", "path", api_json_span(call->params[2]), "sha256",
                        call->blob_done.sha256, "integrity", call->blob_done.integrity, "size",
                        (json_int_t)call->blob_done.size));
}

/* --- their bytes --- */

void route_blob_get(struct api_call *call)
{
    uint64_t size;
    int fd = blob_open(call->rooms->store, call->params[0], &size);
    if (fd >= 0) {
        api_reply_file(call, fd, size);
        return;
    }
    struct problem problem = { 0 };
    problem_set(&problem, "sha256",
                "is not the SHA-256, in 64 lower-case hex digits, of a file here");
    api_refuse(call, 404, &problem, NULL);
}
