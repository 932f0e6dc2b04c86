/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A blob is written as blobs/new-<random>, then synced and renamed to the name its bytes give it,
 * so nobody ever opens half of one. What a crash leaves under the first name is removed at the
 * next open.
 */

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/mem.h"
#include "io/file.h"
#include "store/state.h"

#define BLOB_DIR_MODE 0750
#define BLOB_FILE_MODE 0640
#define BLOB_FRESH "new-"

struct blob_writer {
    struct job job;
    int dir_fd, fd;
    char fresh[sizeof(BLOB_FRESH) + 16];
    struct hash_stream *sha256, *sha384;
    struct blob blob;
    struct store *store;
    blob_fn on_done;
    void *owner;
    int answer;
};

int blobs_open(struct store *store)
{
    int r = dir_make(store->dir_fd, "blobs", BLOB_DIR_MODE);
    if (r)
        return err_trace(r);
    store->blobs_fd = openat(store->dir_fd, "blobs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->blobs_fd < 0)
        return err_origin(-errno);
    int list_fd = openat(store->blobs_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (list_fd < 0)
        return err_origin(-errno);
    DIR *dir = fdopendir(list_fd);
    if (!dir)
        mem_exhausted(0);

    const struct dirent *entry;
    while ((entry = readdir(dir))) {
        if (strncmp(entry->d_name, BLOB_FRESH, strlen(BLOB_FRESH)) == 0)
            unlinkat(store->blobs_fd, entry->d_name, 0);
    }
    closedir(dir);
    return 0;
}

int blob_create(struct store *store, struct blob_writer **ret_writer)
{
    uint8_t random[8];
    char text[2 * sizeof(random) + 1];
    hash_random(random, sizeof(random));
    hash_hex(random, sizeof(random), text);

    struct blob_writer *writer = mem_new(struct blob_writer);
    snprintf(writer->fresh, sizeof(writer->fresh), BLOB_FRESH "%s", text);
    writer->store = store;
    writer->dir_fd = store->blobs_fd;
    writer->fd = openat(writer->dir_fd, writer->fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                        BLOB_FILE_MODE);
    if (writer->fd < 0) {
        free(writer);
        return STORE_READ_ONLY;
    }
    writer->sha256 = hash_stream_new(HASH_SHA256);
    writer->sha384 = hash_stream_new(HASH_SHA384);
    *ret_writer = writer;
    return 0;
}

int blob_append(struct blob_writer *writer, struct span bytes)
{
    if (writer->answer)
        return writer->answer; /* it has a hole */
    hash_stream_add(writer->sha256, bytes);
    hash_stream_add(writer->sha384, bytes);
    writer->blob.size += bytes.size;
    while (bytes.size) {
        ssize_t size = write(writer->fd, bytes.data, bytes.size);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0) {
            writer->answer = STORE_READ_ONLY;
            return STORE_READ_ONLY;
        }
        bytes = span_from(bytes, (size_t)size);
    }
    return 0;
}

struct blob_writer *blob_free(struct blob_writer *writer)
{
    if (!writer)
        return NULL;

    if (writer->fresh[0])
        unlinkat(writer->dir_fd, writer->fresh, 0);
    fd_closep(&writer->fd);
    hash_stream_free(writer->sha256);
    hash_stream_free(writer->sha384);
    free(writer);
    return NULL;
}

/* Renames to ab/cdef… and syncs both directories: the blob's and the one that holds that. */
static int blob_place(struct blob_writer *writer)
{
    char dir[3], path[sizeof(writer->blob.sha256) + 1];
    snprintf(dir, sizeof(dir), "%.2s", writer->blob.sha256);
    snprintf(path, sizeof(path), "%s/%s", dir, writer->blob.sha256 + 2);
    int r = dir_make(writer->dir_fd, dir, BLOB_DIR_MODE);
    if (r)
        return err_trace(r);
    CLEANUP(fd_closep)
    int fd = openat(writer->dir_fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || renameat(writer->dir_fd, writer->fresh, writer->dir_fd, path) < 0)
        return err_origin(-errno);

    writer->fresh[0] = '\0';
    if (fsync(fd) < 0 || fsync(writer->dir_fd) < 0)
        return err_origin(-errno);
    return 0;
}

static void blob_on_run(struct job *job, struct writer *thread)
{
    struct blob_writer *writer = container_of(job, struct blob_writer, job);
    /* A failed fsync is no end here: nothing was promised yet, and the file is dropped. */
    if (!writer->answer && fsync(writer->fd) < 0)
        writer->answer = STORE_READ_ONLY;
    if (!writer->answer && blob_place(writer))
        writer->answer = STORE_READ_ONLY;
    writer_return(thread, job);
}

static void blob_on_done(struct job *job, struct store *store)
{
    (void)store;
    struct blob_writer *writer = container_of(job, struct blob_writer, job);
    bool is_placed = !writer->fresh[0];
    int answer = is_placed ? writer->answer : STORE_READ_ONLY;
    writer->on_done(writer->owner, answer, answer ? NULL : &writer->blob);
    blob_free(writer);
}

const struct blob *blob_seal(struct blob_writer *writer)
{
    uint8_t digest[64];
    if (writer->blob.sha256[0])
        return &writer->blob;
    hash_hex(digest, hash_stream_finish(writer->sha256, digest), writer->blob.sha256);
    size_t prefix = strlen("sha384-");
    memcpy(writer->blob.integrity, "sha384-", prefix);
    hash_base64(digest, hash_stream_finish(writer->sha384, digest),
                writer->blob.integrity + prefix);
    return &writer->blob;
}

void blob_finish(struct blob_writer *writer, blob_fn on_done, void *owner)
{
    blob_seal(writer);
    writer->job.on_run = blob_on_run;
    writer->job.on_done = blob_on_done;
    writer->on_done = on_done;
    writer->owner = owner;
    store_post(writer->store, &writer->job);
}

int blob_open(const struct store *store, struct span sha256, uint64_t *ret_size)
{
    char path[sizeof(((struct blob *)0)->sha256) + 1];
    struct stat status;
    if (sha256.size != sizeof(((struct blob *)0)->sha256) - 1)
        return -1;
    for (size_t i = 0; i < sha256.size; i++) {
        char c = sha256.data[i];
        if ((c < '0' || c > '9') && (c < 'a' || c > 'f'))
            return -1;
    }
    snprintf(path, sizeof(path), "%.2s/%.*s", sha256.data, SPAN_ARG(span_from(sha256, 2)));
    CLEANUP(fd_closep) int fd = openat(store->blobs_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
        return -1;
    *ret_size = (uint64_t)status.st_size;
    return fd_steal(&fd);
}

/* --- sweeping --- */

static DIR *dir_open(int dir_fd, const char *name)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir && fd >= 0)
        mem_exhausted(0);
    return dir;
}

size_t blob_sweep(struct store *store, bool (*is_kept)(void *owner, struct span sha256),
                  void *owner)
{
    size_t n_removed = 0;
    DIR *all = dir_open(store->blobs_fd, ".");
    for (const struct dirent *prefix; all && (prefix = readdir(all));) {
        DIR *some = strlen(prefix->d_name) == 2 && prefix->d_name[0] != '.'
                        ? dir_open(store->blobs_fd, prefix->d_name)
                        : NULL;
        for (const struct dirent *entry; some && (entry = readdir(some));) {
            char sha256[sizeof(((struct blob *)0)->sha256)];
            int size = snprintf(sha256, sizeof(sha256), "%s%s", prefix->d_name, entry->d_name);
            if (size == (int)sizeof(sha256) - 1 && !is_kept(owner, span_of(sha256)))
                n_removed += unlinkat(dirfd(some), entry->d_name, 0) == 0;
        }
        if (some)
            closedir(some);
    }
    if (all)
        closedir(all);
    return n_removed;
}
