/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/app_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/answers.h"
#include "gateway/request_log.h"

#define LOOK_EVERY (50 * NSEC_PER_MSEC)
#define ETAG_SIZE 66u

/* Opens the bytes of a file: blobs/ab/cdef… by its SHA-256. */
static int open_blob(const struct view *view, const struct release_file *file)
{
    CLEANUP(buf_fini) struct buf path = { .limit = 4096 };
    buf_printf(&path, "%s/%.2s/%s%c", view->blobs, file->sha256, file->sha256 + 2, 0);
    if (path.is_full)
        return -ENAMETOOLONG;
    int fd = open(path.data, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    struct stat status;
    if (fstat(fd, &status) || !S_ISREG(status.st_mode) || (uint64_t)status.st_size != file->size) {
        close(fd);
        return -EIO;
    }
    return fd;
}

/* Without a descriptor it is what the client has already. */
static void answer(struct request *request, const struct release_file *file, int fd)
{
    char memory[ETAG_SIZE + 1];
    int size = snprintf(memory, sizeof(memory), "\"%s\"", file->sha256);
    struct answer answer = { .status = fd < 0 ? 304 : 200, .is_public = true };
    answer_put(&answer, SPAN("Cache-Control"), SPAN("public, max-age=31536000, immutable"));
    answer_put(&answer, SPAN("ETag"), (struct span){ memory, (size_t)size });
    if (fd < 0) {
        request_answer(request, &answer, SPAN_NULL);
        return;
    }
    answer_put(&answer, SPAN("Content-Type"), span_of(file->content_type));
    answer_put(&answer, SPAN("X-Content-Type-Options"), SPAN("nosniff"));
    request_answer_file(request, &answer, fd, file->size);
}

static bool is_known(const struct request *request, const struct release_file *file)
{
    char memory[ETAG_SIZE + 1];
    int size = snprintf(memory, sizeof(memory), "\"%s\"", file->sha256);
    return request_has_etag(request, (struct span){ memory, (size_t)size });
}

/* --- one that is on its way --- */

static void stop_waiting(struct request *request)
{
    timer_stop(&request->total);
    request->worker->n_file_waiters--;
}

static void on_look(struct timer *timer)
{
    struct request *request = container_of(timer, struct request, total);
    nsec now = loop_now(request->worker->loop);
    int fd = open_blob(request->epoch->view, request->file);
    if (fd < 0 && now < request->deadline) {
        timer_start(timer, request->worker->loop, now + LOOK_EVERY);
        return;
    }
    stop_waiting(request);
    if (fd < 0)
        answer_file_to_come(request);
    else
        answer(request, request->file, fd);
}

static void on_abort(struct http_exchange *exchange)
{
    struct request *request = exchange->owner;
    stop_waiting(request);
    request_log_abort(request);
    request_over(request);
}

static void wait_for_file(struct request *request, const struct release_file *file)
{
    static const struct http_exchange_ops ops = { .on_abort = on_abort };
    nsec now = loop_now(request->worker->loop);
    if (request->worker->n_file_waiters == FILE_WAITERS_MAX) {
        answer_file_to_come(request);
        return;
    }
    request->worker->n_file_waiters++;
    request->file = file;
    request->deadline = now + request->epoch->view->limits.file_patience;
    request->exchange->owner = request;
    request->exchange->ops = &ops;
    request->total.on_due = on_look;
    timer_start(&request->total, request->worker->loop, now + LOOK_EVERY);
}

void app_file_answer(struct request *request, const struct release_file *file)
{
    if (is_known(request, file)) {
        answer(request, file, -1);
        return;
    }
    int fd = open_blob(request->epoch->view, file);
    if (fd >= 0)
        answer(request, file, fd);
    else if (request->epoch->view->limits.file_patience)
        wait_for_file(request, file);
    else
        answer_problem(request, 500, "the bytes of this file are missing on this machine");
}
