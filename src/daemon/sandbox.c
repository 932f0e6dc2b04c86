/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Landlock, and what both parts have in common. The kernel's header of Debian 12 knows the first
 * two versions of the interface; the numbers of the later ones are fixed by the kernel as much as
 * those of system calls are, so they stand here.
 */

#include "daemon/sandbox.h"

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "daemon/sandbox_calls.h"
#include "io/file.h"

#define PATHS_MAX 256u
#define TURNS_MAX 4u

/* --- the kernel's interface, linux/landlock.h --- */

#define LANDLOCK_CREATE 444L /* the same on all architectures */
#define LANDLOCK_ADD_RULE 445L
#define LANDLOCK_RESTRICT_SELF 446L
#define LANDLOCK_ASK_VERSION (1u << 0)
#define LANDLOCK_RULE_BENEATH 1

#define FS_EXECUTE (1ull << 0)
#define FS_WRITE_FILE (1ull << 1)
#define FS_READ_FILE (1ull << 2)
#define FS_READ_DIR (1ull << 3)
#define FS_REMOVE_DIR (1ull << 4)
#define FS_REMOVE_FILE (1ull << 5)
#define FS_MAKE_ALL (0x7full << 6) /* character and block devices, directories, files, … */
#define FS_MAKE_DIR (1ull << 7)
#define FS_MAKE_FILE (1ull << 8)
#define FS_MAKE_SOCKET (1ull << 9)
#define FS_REFER (1ull << 13)     /* from version 2 on */
#define FS_TRUNCATE (1ull << 14)  /* 3 */
#define FS_IOCTL_DEV (1ull << 15) /* 5 */
#define SCOPE_SIGNAL (1ull << 1)  /* 6 */

#define FS_READ (FS_READ_FILE | FS_READ_DIR)
#define FS_WRITE                                                                                   \
    (FS_READ | FS_WRITE_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_FILE |       \
     FS_MAKE_SOCKET | FS_REFER | FS_TRUNCATE)
#define FS_OF_FILES (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)

struct landlock_ruleset {
    uint64_t fs, net, scoped;
};

struct landlock_beneath {
    uint64_t fs;
    int32_t fd;
} __attribute__((packed));

/* --- paths --- */

struct sandbox_path {
    char *path;
    enum sandbox_access access;
};

struct sandbox {
    struct sandbox_path paths[PATHS_MAX];
    unsigned n_paths;
    bool is_entered; /* the kernel holds us to the paths */
};

struct sandbox *sandbox_new(void)
{
    return mem_new(struct sandbox);
}

struct sandbox *sandbox_free(struct sandbox *sandbox)
{
    if (!sandbox)
        return NULL;

    for (unsigned i = 0; i < sandbox->n_paths; i++)
        free(sandbox->paths[i].path);
    free(sandbox);
    return NULL;
}

static bool is_known(const struct sandbox *sandbox, const char *real, enum sandbox_access access)
{
    for (unsigned i = 0; i < sandbox->n_paths; i++) {
        if (strcmp(sandbox->paths[i].path, real) == 0 && sandbox->paths[i].access >= access)
            return true;
    }
    return false;
}

void sandbox_add(struct sandbox *sandbox, const char *path, enum sandbox_access access)
{
    char *real = realpath(path, NULL);
    if (real && sandbox->n_paths < PATHS_MAX && !is_known(sandbox, real, access))
        sandbox->paths[sandbox->n_paths++] = (struct sandbox_path){ steal(real), access };
    free(real);
}

static bool is_link(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0 && S_ISLNK(status.st_mode);
}

/* Where the directory itself is a link that may be turned to another one, both are beside it. */
static void add_turns(struct sandbox *sandbox, char *directory)
{
    for (unsigned i = 0; i < TURNS_MAX && is_link(directory); i++) {
        directory = dirname(directory);
        sandbox_add(sandbox, directory, SANDBOX_READ);
    }
}

void sandbox_add_place_of(struct sandbox *sandbox, const char *path, enum sandbox_access access)
{
    CLEANUP(mem_freep) char *name = mem_strdup(path);
    char *directory = dirname(name);
    sandbox_add(sandbox, directory, access);
    if (access == SANDBOX_READ)
        add_turns(sandbox, directory);
    char *real = realpath(path, NULL);
    if (real)
        sandbox_add(sandbox, dirname(real), access);
    free(real);
}

void sandbox_add_system(struct sandbox *sandbox)
{
    static const char *const read[] = {
        "/etc",
        "/usr/share/zoneinfo",
        "/usr/lib",
        "/lib",
        "/lib64",
        "/usr/share/ca-certificates",
        "/usr/local/share/ca-certificates",
        "/proc/self",
        "/proc/meminfo",
        "/proc/stat",
        "/proc/sys/net/core",
        "/sys/fs/cgroup",
        "/sys/devices/system/cpu",
        "/dev/urandom",
    };
    for (size_t i = 0; i < sizeof(read) / sizeof(read[0]); i++)
        sandbox_add(sandbox, read[i], SANDBOX_READ);
    /* Often links to what the network's configuration writes anew below /run. */
    sandbox_add_place_of(sandbox, "/etc/resolv.conf", SANDBOX_READ);
    sandbox_add_place_of(sandbox, "/etc/hosts", SANDBOX_READ);
    sandbox_add(sandbox, "/dev/null", SANDBOX_WRITE);
}

static bool is_below(const char *path, const char *place)
{
    size_t size = strlen(place);
    if (strcmp(place, "/") == 0)
        return true;
    return strncmp(path, place, size) == 0 && (path[size] == '/' || path[size] == '\0');
}

/* A file that is still to be made is where its directory is. */
static char *real_place(const char *path)
{
    char *real = realpath(path, NULL);
    if (real)
        return real;
    CLEANUP(mem_freep) char *name = mem_strdup(path);
    return realpath(dirname(name), NULL);
}

bool sandbox_allows(const struct sandbox *sandbox, const char *path, enum sandbox_access access)
{
    if (!sandbox || !sandbox->is_entered)
        return true;
    char *real = real_place(path);
    bool is_allowed = !real;
    for (unsigned i = 0; real && i < sandbox->n_paths; i++) {
        const struct sandbox_path *place = &sandbox->paths[i];
        if (is_below(real, place->path) && place->access >= access)
            is_allowed = true;
    }
    free(real);
    return is_allowed;
}

/* --- Landlock --- */

static uint64_t rights_of_version(int version)
{
    uint64_t rights =
        FS_EXECUTE | FS_WRITE_FILE | FS_READ | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_ALL;
    if (version >= 2)
        rights |= FS_REFER;
    if (version >= 3)
        rights |= FS_TRUNCATE;
    if (version >= 5)
        rights |= FS_IOCTL_DEV;
    return rights;
}

static void add_rule(int ruleset, const struct sandbox_path *path, uint64_t handled)
{
    CLEANUP(fd_closep) int fd = open(path->path, O_PATH | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status))
        return;
    uint64_t rights = (path->access == SANDBOX_WRITE ? FS_WRITE : FS_READ) & handled;
    if (!S_ISDIR(status.st_mode))
        rights &= FS_OF_FILES;
    struct landlock_beneath beneath = { .fs = rights, .fd = fd };
    IGNORE((int)syscall(LANDLOCK_ADD_RULE, ruleset, LANDLOCK_RULE_BENEATH, &beneath, 0),
           "what is left out stays forbidden");
}

/* The version that is in force from now on, 0 when the kernel has none. */
static int enter_landlock(const struct sandbox *sandbox)
{
    int version = (int)syscall(LANDLOCK_CREATE, NULL, 0, LANDLOCK_ASK_VERSION);
    if (version <= 0)
        return 0;
    struct landlock_ruleset handled = { .fs = rights_of_version(version) };
    size_t size = offsetof(struct landlock_ruleset, net);
    if (version >= 6) {
        handled.scoped = SCOPE_SIGNAL;
        size = sizeof(handled);
    }
    CLEANUP(fd_closep) int ruleset = (int)syscall(LANDLOCK_CREATE, &handled, size, 0);
    if (ruleset < 0)
        return 0;
    for (unsigned i = 0; i < sandbox->n_paths; i++)
        add_rule(ruleset, &sandbox->paths[i], handled.fs);
    return syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0) ? 0 : version;
}

/* --- both --- */

static int refuse(const char *what, struct problem *problem)
{
    problem_set(problem, "sandbox", "is \"on\", and this kernel has no %s; \"auto\" goes without",
                what);
    return SANDBOX_REFUSED;
}

int sandbox_enter(struct sandbox *sandbox, enum sandbox_mode mode,
                  struct sandbox_report *ret_report, struct problem *problem)
{
    struct sandbox_report report = { 0 };
    *ret_report = report;
    if (mode == SANDBOX_OFF)
        return 0;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return err_origin(-errno);
    report.landlock = enter_landlock(sandbox);
    sandbox->is_entered = report.landlock > 0;
    if (!report.landlock && mode == SANDBOX_ON)
        return refuse("Landlock", problem);
    report.has_seccomp = sandbox_limit_calls();
    if (!report.has_seccomp && mode == SANDBOX_ON)
        return refuse("seccomp", problem);
    *ret_report = report;
    return 0;
}
