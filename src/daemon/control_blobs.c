/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Blobs that no file record names: their upload was refused late, or never finished. They go at the
 * start, before anything is written.
 */

#include <stdio.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "daemon/control_state.h"

static bool is_blob_kept(void *owner, struct span sha256)
{
    const struct map *kept = owner;
    return map_find(kept, sha256);
}

static void keep_files(const struct release *release, struct map *kept, struct arena *arena)
{
    map_each (node, &release->files) {
        struct span sha256 = span_of(container_of(node, struct release_file, node)->sha256);
        if (!map_find(kept, sha256))
            map_add(kept, arena_new(arena, struct map_node), sha256);
    }
}

/* The releases that name these files are known to an etcd, which is not asked now. */
static bool is_of_an_etcd(const struct control *control)
{
    CLEANUP(mem_freep) char *path = mem_format("%s/%s", control->settings->data, STORE_ETCD_FILE);
    if (store_writer_id(control->rooms.store)[0] || access(path, F_OK) < 0)
        return false;
    log_warn("daemon",
             "this directory was used with store.etcd and is not now: what is in the etcd "
             "is not known here, and files that its releases name are left",
             "data", control->settings->data);
    return true;
}

void control_sweep_blobs(struct control *control)
{
    struct map kept;
    struct arena arena = { 0 };
    if (control->has_unread || is_of_an_etcd(control))
        return;
    map_init(&kept);
    map_each (node, version_apps(control->rooms.version)) {
        map_each (below, &container_of(node, struct app, node)->releases)
            keep_files(container_of(below, struct release, node), &kept, &arena);
    }
    size_t n_removed = blob_sweep(control->rooms.store, is_blob_kept, &kept);
    if (n_removed) {
        char count[24];
        snprintf(count, sizeof(count), "%zu", n_removed);
        log_info("daemon", "files that no release names were removed", "count", count);
    }
    map_fini(&kept);
    arena_fini(&arena);
}
