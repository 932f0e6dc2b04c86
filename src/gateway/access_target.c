/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/access_target.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "codec/timefmt.h"
#include "io/file.h"

#define LOG_PRIORITY "<134>" /* local0 (16) and informational (6): 16 * 8 + 6 */
#define LOG_NAME "sarsen"
#define HEADER_MAX 384u
#define WRITE_MAX ((size_t)1024 * 1024) /* at once, so that a stop is noticed in between */

struct access_target {
    enum gateway_access_kind kind;
    int fd;
    bool is_ours;     /* to be closed */
    bool is_waited;   /* writing may block, so it is asked before and given a little */
    bool has_failed;  /* at the last attempt, of a syslog socket */
    unsigned n_tries; /* of the line at hand */
    struct address address;
    int64_t second; /* that the header was made for */
    char header[HEADER_MAX];
    size_t header_size;
};

/* --- opening --- */

static int refuse(const struct gateway_access *settings, const char *why, struct problem *problem)
{
    problem_set(problem, "gateway.access_log", "is \"%.200s\", which %s",
                settings->path ? settings->path : "stdout", why);
    return ACCESS_TARGET_REFUSED;
}

static const char *reason_of(int error)
{
    switch (error) {
    case ELOOP: return "is a symbolic link; a file or a FIFO is accepted";
    case ENOENT:
    case ENOTDIR: return "lies in a directory that is not there";
    case EISDIR: return "is a directory; a file or a FIFO is accepted";
    case EACCES:
    case EPERM: return "this user may not write to";
    case EROFS: return "lies on a file system that is mounted read-only";
    default: return "cannot be opened";
    }
}

/* Without O_NONBLOCK a FIFO that nobody reads would stop us here. With it and O_WRONLY there is no
 * opening it before its reader comes, so it is opened for both: lines wait in it, and a reader may
 * go and come again. */
static int open_file(const char *path)
{
    const int flags = O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
    int fd = open(path, O_WRONLY | flags, 0640);
    struct stat status;
    bool is_fifo = fd < 0 ? errno == ENXIO : fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode);
    if (!is_fifo)
        return fd;
    fd_closep(&fd);
    return open(path, O_RDWR | flags, 0640);
}

static int target_open_file(struct access_target *target, const struct gateway_access *settings,
                            struct problem *problem)
{
    struct stat status;
    target->fd = open_file(settings->path);
    target->is_ours = true;
    if (target->fd < 0)
        return refuse(settings, reason_of(errno), problem);
    if (fstat(target->fd, &status) == 0 && S_ISBLK(status.st_mode))
        return refuse(settings, "is a disk; a file or a FIFO is accepted", problem);
    return 0;
}

/* Standard output is shared with others, who did not ask for O_NONBLOCK. A pipe or a terminal is
 * opened again, for flags of our own; where that is not possible, it is polled before writing. A
 * file is used as it is, for its position is shared as well. */
static int target_open_stdout(struct access_target *target, const struct gateway_access *settings,
                              struct problem *problem)
{
    struct stat status;
    target->fd = STDOUT_FILENO;
    if (fstat(STDOUT_FILENO, &status))
        return refuse(settings, "is closed", problem);
    if (S_ISREG(status.st_mode))
        return 0;
    int fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    target->is_waited = fd < 0;
    target->is_ours = fd >= 0;
    if (fd >= 0)
        target->fd = fd;
    return 0;
}

static void target_connect(struct access_target *target)
{
    int fd = socket(target->address.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, &target->address.any, target->address.size)) {
        int error = errno;
        close(fd);
        errno = error;
        fd = -1;
    }
    target->fd = fd;
}

int access_target_open(const struct gateway_access *settings, struct access_target **ret_target,
                       struct problem *problem)
{
    CLEANUP(access_target_closep) struct access_target *target = mem_new(struct access_target);
    int r = 0;
    target->kind = settings->kind;
    target->fd = -1;
    switch (settings->kind) {
    case ACCESS_FILE: r = target_open_file(target, settings, problem); break;
    case ACCESS_STDOUT: r = target_open_stdout(target, settings, problem); break;
    case ACCESS_SYSLOG:
        target->address = settings->address;
        target->is_ours = true;
        target_connect(target);
        break;
    case ACCESS_OFF: break;
    }
    if (r)
        return r;
    *ret_target = steal(target);
    return 0;
}

struct access_target *access_target_close(struct access_target *target)
{
    if (!target)
        return NULL;
    if (target->is_ours)
        fd_closep(&target->fd);
    free(target);
    return NULL;
}

int access_target_fd(const struct access_target *target)
{
    return target->fd;
}

/* --- writing --- */

static enum access_written outcome(ssize_t n)
{
    if (n >= 0)
        return ACCESS_WRITTEN;
    if (errno == EINTR)
        return ACCESS_WRITTEN; /* of nothing, and so again */
    return errno == EAGAIN ? ACCESS_BLOCKED : ACCESS_FAILED;
}

static enum access_written write_stream(struct access_target *target, const struct span parts[2],
                                        size_t *ret_size)
{
    size_t most = target->is_waited ? PIPE_BUF : WRITE_MAX;
    struct pollfd polled = { .fd = target->fd, .events = POLLOUT };
    if (target->is_waited && poll(&polled, 1, 0) == 0)
        return ACCESS_BLOCKED;
    struct span first = span_first(parts[0], most);
    struct span second = span_first(parts[1], most - first.size);
    struct iovec vectors[2];
    memcpy(&vectors[0].iov_base, &first.data, sizeof(first.data));
    memcpy(&vectors[1].iov_base, &second.data, sizeof(second.data));
    vectors[0].iov_len = first.size;
    vectors[1].iov_len = second.size;
    ssize_t n = writev(target->fd, vectors, second.size ? 2 : 1);
    if (n > 0)
        *ret_size = (size_t)n;
    if (n != 0)
        return outcome(n);
    errno = EIO;
    return ACCESS_FAILED;
}

static void make_header(struct access_target *target, unix_msec wall)
{
    if (target->second == wall / 1000)
        return;
    target->second = wall / 1000;
    int size;
    if (target->address.any.sa_family == AF_UNIX) {
        static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
        time_t second = (time_t)target->second;
        struct tm local;
        localtime_r(&second, &local);
        size =
            snprintf(target->header, HEADER_MAX,
                     LOG_PRIORITY "%s %2d %02d:%02d:%02d " LOG_NAME "[%d]: ", months[local.tm_mon],
                     local.tm_mday, local.tm_hour, local.tm_min, local.tm_sec, (int)getpid());
    } else {
        char host[256] = "", time[TIME_TEXT_MAX];
        if (gethostname(host, sizeof(host) - 1) || !host[0])
            snprintf(host, sizeof(host), "-");
        time_format(target->second * 1000, time);
        size =
            snprintf(target->header, HEADER_MAX, LOG_PRIORITY "1 %s %s " LOG_NAME " %d access - ",
                     time, host, (int)getpid());
    }
    target->header_size = (size_t)size;
}

/* The first line of the parts, without its newline, behind a header. */
static size_t make_datagram(struct access_target *target, const struct span parts[2],
                            struct iovec ret_vectors[3])
{
    struct span first = span_first(parts[0], span_find(parts[0], '\n'));
    bool is_whole = first.size < parts[0].size;
    struct span second = is_whole ? SPAN_NULL : span_first(parts[1], span_find(parts[1], '\n'));
    ret_vectors[0] = (struct iovec){ target->header, target->header_size };
    memcpy(&ret_vectors[1].iov_base, &first.data, sizeof(first.data));
    memcpy(&ret_vectors[2].iov_base, &second.data, sizeof(second.data));
    ret_vectors[1].iov_len = first.size;
    ret_vectors[2].iov_len = second.size;
    return first.size + second.size + 1;
}

/* A datagram is refused for what became of an earlier one, too (UDP), or because the daemon was
 * started anew: a second try over a new socket tells. */
static enum access_written write_syslog(struct access_target *target, const struct span parts[2],
                                        unix_msec wall, size_t *ret_size)
{
    if (target->fd < 0 || target->has_failed) {
        fd_closep(&target->fd);
        target_connect(target);
        if (target->fd < 0)
            return ACCESS_FAILED;
        target->has_failed = false;
    }
    make_header(target, wall);
    struct iovec vectors[3];
    size_t size = make_datagram(target, parts, vectors);
    struct msghdr message = { .msg_iov = vectors, .msg_iovlen = 3 };
    ssize_t n = sendmsg(target->fd, &message, MSG_NOSIGNAL);
    if (n < 0 && errno == EMSGSIZE) {
        *ret_size = size;
        return ACCESS_TOO_BIG;
    }
    if (n >= 0) {
        *ret_size = size;
        target->n_tries = 0;
        return ACCESS_WRITTEN;
    }
    /* The kernel has no room for it now, and says nothing about when it will. */
    if (errno == ENOBUFS)
        return ACCESS_FAILED;
    if (errno == EINTR || errno == EAGAIN)
        return outcome(n);
    target->has_failed = true;
    if (target->n_tries++ == 0)
        return ACCESS_WRITTEN; /* of nothing, and so again */
    target->n_tries = 0;
    return ACCESS_FAILED;
}

enum access_written access_target_write(struct access_target *target, const struct span parts[2],
                                        unix_msec wall, size_t *ret_size)
{
    *ret_size = 0;
    return target->kind == ACCESS_SYSLOG ? write_syslog(target, parts, wall, ret_size)
                                         : write_stream(target, parts, ret_size);
}
