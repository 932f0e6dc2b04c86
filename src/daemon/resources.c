/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/resources.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/file.h"

#define RESERVE 64u

/* --- descriptors --- */

void resources_raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

void resources_share_descriptors(struct gateway_settings *gateway)
{
    struct rlimit limit;
    uint64_t all = UINT_MAX;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < all)
        all = limit.rlim_cur;
    uint64_t kept = RESERVE + all / 16;
    uint64_t rest = all > 2 * kept ? all - kept : all / 2;
    unsigned clients = (unsigned)(rest * 11 / 20), upstreams = (unsigned)(rest * 9 / 20);
    if (!gateway->client.max_connections || gateway->client.max_connections > clients)
        gateway->client.max_connections = clients;
    gateway->upstream.max_in_all = upstreams ? upstreams : 1;
}

/* --- memory --- */

/* The number at the start of a file, or UINT64_MAX: "max" is what an unlimited cgroup says. */
static uint64_t read_number(const char *path)
{
    char text[32];
    CLEANUP(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof(text));
    uint64_t number;
    if (size <= 0)
        return UINT64_MAX;
    struct span line = { text, (size_t)size };
    return span_to_uint(span_first(line, span_find(line, '\n')), UINT64_MAX, &number) ? number
                                                                                      : UINT64_MAX;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Of a cgroup and all above it: the smallest limit counts. */
static uint64_t limit_of_groups(const char *root, struct span group, const char *file)
{
    uint64_t limit = UINT64_MAX;
    for (;;) {
        CLEANUP(mem_freep)
        char *path = mem_format("%s%.*s/%s", root, SPAN_ARG(group), file);
        limit = smaller(limit, read_number(path));
        while (group.size && group.data[group.size - 1] != '/')
            group.size--;
        if (!group.size)
            return limit;
        group.size--;
    }
}

/* A line is "0::/group" in the unified hierarchy, "4:memory:/group" in the one before. */
static uint64_t cgroup_limit(void)
{
    CLEANUP(buf_fini) struct buf lines = { .limit = 65536 };
    uint64_t limit = UINT64_MAX;
    if (file_read(AT_FDCWD, "/proc/self/cgroup", &lines))
        return limit;
    struct span rest = buf_span(&lines);
    while (rest.size) {
        struct span group = span_cut(&rest, '\n');
        struct span number = span_cut(&group, ':'), controllers = span_cut(&group, ':');
        if (span_is(number, "0") && !controllers.size)
            limit = smaller(limit, limit_of_groups("/sys/fs/cgroup", group, "memory.max"));
        else if (span_is(controllers, "memory"))
            limit = smaller(
                limit, limit_of_groups("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes"));
    }
    return limit;
}

uint64_t resources_memory(void)
{
    uint64_t machine = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    return smaller(machine / 10 * 8, cgroup_limit());
}

/* The second number of statm counts pages. */
uint64_t resources_resident(void)
{
    char text[128];
    CLEANUP(fd_closep) int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof(text));
    uint64_t pages;
    struct span rest = { text, size < 0 ? 0 : (size_t)size };
    span_cut(&rest, ' ');
    if (!span_to_uint(span_cut(&rest, ' '), UINT64_MAX, &pages))
        return 0;
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}
