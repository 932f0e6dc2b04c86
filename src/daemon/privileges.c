/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/sandbox_calls.h"

#define OPEN_DIRECTORIES 16
#define ENTRY_MAX 16384u /* a group may have many members */
#define CAPABILITIES_MAX 64ul

/* --- finding --- */

static int find_user(const char *name, struct privileges *found, struct problem *problem)
{
    char text[ENTRY_MAX];
    struct passwd entry, *user = NULL;
    if (getpwnam_r(name, &entry, text, sizeof(text), &user) || !user ||
        strlen(user->pw_name) >= sizeof(found->user)) {
        problem_set(problem, "user", "is \"%s\", and there is no such user", name);
        return PRIVILEGES_REFUSED;
    }
    snprintf(found->user, sizeof(found->user), "%s", user->pw_name);
    found->uid = user->pw_uid;
    found->gid = user->pw_gid;
    return 0;
}

static int find_group(const char *name, struct privileges *found, struct problem *problem)
{
    char text[ENTRY_MAX];
    struct group entry, *group = NULL;
    if (getgrnam_r(name, &entry, text, sizeof(text), &group) || !group) {
        problem_set(problem, "group", "is \"%s\", and there is no such group", name);
        return PRIVILEGES_REFUSED;
    }
    found->gid = group->gr_gid;
    return 0;
}

int privileges_find(const char *user, const char *group, struct privileges *ret_privileges,
                    struct problem *problem)
{
    struct privileges found = { .uid = geteuid(), .gid = getegid() };
    if (!*user && *group) {
        problem_set(problem, "group", "is \"%s\", and there is no user; name one, too", group);
        return PRIVILEGES_REFUSED;
    }
    int r = *user ? find_user(user, &found, problem) : 0;
    if (!r && *group)
        r = find_group(group, &found, problem);
    if (r)
        return r;
    found.is_set = found.uid != geteuid() || found.gid != getegid();
    if (found.is_set && geteuid() != 0) {
        problem_set(problem, "user", "is \"%s\", whom only root can become", user);
        return PRIVILEGES_REFUSED;
    }
    *ret_privileges = found;
    return 0;
}

/* --- the data directory --- */

/* nftw() passes nothing on. */
static struct {
    uid_t uid;
    gid_t gid;
    dev_t device;
} taker;

static int hand_entry_over(const char *path, const struct stat *status, int kind, struct FTW *at)
{
    (void)kind;
    (void)at;
    if (status->st_dev != taker.device || status->st_uid != 0)
        return 0;
    /* What has a second name elsewhere may be somebody's bait. */
    if (S_ISREG(status->st_mode) && status->st_nlink > 1)
        return 0;
    return lchown(path, taker.uid, taker.gid) ? -1 : 0;
}

int privileges_hand_over(const struct privileges *privileges, const char *data,
                         struct problem *problem)
{
    struct stat status;
    if (!privileges->is_set)
        return 0;
    if (lstat(data, &status) || (status.st_uid != 0 && status.st_uid != privileges->uid)) {
        problem_set(problem, "data", "%s belongs to another user than %s", data, privileges->user);
        return PRIVILEGES_REFUSED;
    }
    if (!S_ISDIR(status.st_mode)) {
        problem_set(problem, "data",
                    "%s is a link or no directory; as root only a directory is "
                    "accepted",
                    data);
        return PRIVILEGES_REFUSED;
    }
    if (status.st_uid == privileges->uid)
        return 0;
    taker.uid = privileges->uid;
    taker.gid = privileges->gid;
    taker.device = status.st_dev;
    /* A directory goes after what is in it: until then the taker can turn no path to elsewhere. */
    if (nftw(data, hand_entry_over, OPEN_DIRECTORIES, FTW_PHYS | FTW_MOUNT | FTW_DEPTH)) {
        problem_set(problem, "data", "%s cannot be handed over to %s: %s", data, privileges->user,
                    strerror(errno));
        return PRIVILEGES_REFUSED;
    }
    return 0;
}

/* --- becoming --- */

static int drop_capabilities(void)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { { 0 } };
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return syscall(SYS_capset, &header, none) ? err_origin(-errno) : 0;
}

/* So that nothing that is executed could have one; this takes a capability itself. */
static void drop_bounding_set(void)
{
    for (unsigned long number = 0; number < CAPABILITIES_MAX; number++)
        prctl(PR_CAPBSET_DROP, number, 0, 0, 0);
}

static int become(const struct privileges *privileges)
{
    drop_bounding_set();
    if (initgroups(privileges->user, privileges->gid) ||
        setresgid(privileges->gid, privileges->gid, privileges->gid) ||
        setresuid(privileges->uid, privileges->uid, privileges->uid))
        return err_origin(-errno);
    /* Nothing of this may be half done. */
    if (privileges->uid != 0 && setresuid(0, 0, 0) == 0)
        return err_origin(-EPERM);
    return 0;
}

int privileges_drop(const struct privileges *privileges)
{
    int r = privileges->is_set ? become(privileges) : 0;
    if (!r && geteuid() != 0)
        r = drop_capabilities();
    if (r)
        return r;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? err_origin(-errno) : 0;
}

void privileges_hide_memory(void)
{
    const struct rlimit none = { 0 };
    setrlimit(RLIMIT_CORE, &none);
    /* Leaks are sought as a debugger does it. */
    prctl(PR_SET_DUMPABLE, sandbox_is_sanitized() ? 1 : 0, 0, 0, 0);
}
