/* SPDX-License-Identifier: Apache-2.0 */

/*
 * In a cluster: which files of releases are to be had from other members, and the secret by which
 * members know each other. It is a key that the first of them makes.
 */

#include "base/hash.h"
#include "base/log.h"
#include "base/map.h"
#include "daemon/control_state.h"
#include "daemon/files.h"

#define FILE_PREFIX VERSION_PREFIX "file/"
#define OWNER_PREFIX REGISTRY_PREFIX "owner/"

/* --- the secret --- */

static void take_secret(struct control *control)
{
    const struct store_entry *entry = store_find(control->rooms.store, SPAN(MEMBER_SECRET_KEY));
    struct span secret = entry ? entry->value : SPAN("");
    api_set_member_secret(control->api, secret);
    files_set_secret(control->files, secret);
}

static int build_secret(struct store_command *command, struct txn *txn)
{
    const struct control *control = container_of(command, struct control, secret_command);
    uint8_t random[API_MEMBER_SECRET_SIZE];
    if (!control->files || store_find(control->rooms.store, SPAN(MEMBER_SECRET_KEY)))
        return 1;
    hash_random(random, sizeof(random));
    txn_expect(txn, SPAN(MEMBER_SECRET_KEY), 0);
    txn_put(txn, SPAN(MEMBER_SECRET_KEY), (struct span){ (const char *)random, sizeof(random) });
    return 0;
}

static void on_secret(struct store_command *command, int answer, bool is_store_answer,
                      int64_t revision)
{
    (void)revision;
    struct control *control = container_of(command, struct control, secret_command);
    control->is_making_secret = false;
    if (answer && is_store_answer) {
        log_warn("cluster",
                 "the secret of the members could not be written; files of releases "
                 "are not exchanged before");
    }
}

static void make_secret(struct control *control)
{
    if (control->is_making_secret)
        return;
    control->is_making_secret = true;
    control->secret_command.build = build_secret;
    control->secret_command.on_done = on_secret;
    store_run(control->rooms.store, &control->secret_command);
}

/* --- files --- */

static void want_files(struct control *control, const struct release *release)
{
    map_each (node, &release->files)
        files_want(control->files, container_of(node, struct release_file, node));
}

static void name_files(void *owner, struct files_names *names)
{
    const struct control *control = owner;
    map_each (node, version_apps(control->rooms.version)) {
        const struct app *app = container_of(node, struct app, node);
        map_each (below, &app->releases) {
            const struct release *release = container_of(below, struct release, node);
            map_each (file, &release->files)
                files_name(names, container_of(file, struct release_file, node));
        }
    }
}

/* version/file/shop/4.2.0/main.js, which the room has applied */
static void want_file(struct control *control, struct span key)
{
    struct span path = span_from(key, strlen(FILE_PREFIX));
    struct span app_name = span_cut(&path, '/'), version = span_cut(&path, '/');
    const struct app *app = app_find(control->rooms.version, app_name);
    const struct release *release = app ? release_find(app, version) : NULL;
    struct map_node *node = release ? map_find(&release->files, path) : NULL;
    if (node)
        files_want(control->files, container_of(node, struct release_file, node));
}

/* Whoever is there may have what is missing; and who could not write at first, as our own key shows,
 * can now. */
static void members_changed(struct control *control)
{
    files_members_changed(control->files);
    if (!store_find(control->rooms.store, SPAN(MEMBER_SECRET_KEY)))
        make_secret(control);
}

void control_start_files(struct control *control)
{
    if (control->files || !store_writer_id(control->rooms.store)[0])
        return;
    control->files = files_new(control->loop, control->rooms.store, control->rooms.registry,
                               &control->rooms.n_files_to_come);
    files_set_names(control->files, name_files, control);
    make_secret(control);
    take_secret(control);
    map_each (node, version_apps(control->rooms.version)) {
        map_each (below, &container_of(node, struct app, node)->releases)
            want_files(control, container_of(below, struct release, node));
    }
}

void control_stop_files(struct control *control)
{
    control->files = files_free(control->files);
}

void control_tell_files(struct control *control, const struct store_event *event)
{
    struct span key = event->entry.key;
    if (!control->files)
        return;
    bool is_file = span_starts_with(key, SPAN(FILE_PREFIX));
    if (is_file && (event->kind != TXN_PUT || event->entry.version > 1))
        files_unname(control->files);
    if (is_file && event->kind == TXN_PUT)
        want_file(control, key);
    else if (span_starts_with(key, SPAN(OWNER_PREFIX)))
        members_changed(control);
    else if (span_is(key, MEMBER_SECRET_KEY))
        take_secret(control);
}
