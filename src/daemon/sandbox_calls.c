/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The filter is a list of what is allowed. Calls whose arguments do not matter, which are all on
 * the path of a request, cost nothing to speak of: the kernel remembers for them that the filter
 * lets them pass. Names that an architecture lacks are left out, so the list serves all.
 *
 * What newer C libraries try first, and do without where it is missing, is answered with ENOSYS:
 * a filter must not end a process because the library under it was upgraded.
 */

#include "daemon/sandbox_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED true
#elif defined(__has_feature)
#define IS_SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define IS_SANITIZED false
#endif

static const char *const allowed[] = {
    /* what a request takes */
    "read", "write", "readv", "writev", "recvfrom", "sendto", "recvmsg", "sendmsg", "recvmmsg",
    "sendmmsg", "accept", "accept4", "connect", "bind", "listen", "shutdown", "socketpair",
    "getsockname", "getpeername", "getsockopt", "setsockopt", "close", "close_range", "splice",
    "tee", "vmsplice", "sendfile", "pipe", "pipe2", "epoll_create1", "epoll_ctl", "epoll_wait",
    "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select", "pselect6", "eventfd2", "signalfd4",
    "timerfd_create", "timerfd_settime", "timerfd_gettime", "timer_create", "timer_settime",
    "timer_delete", "memfd_create",
    /* files */
    "open", "openat", "creat", "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2",
    "lseek", "stat", "lstat", "fstat", "newfstatat", "fstatat64", "statx", "statfs", "fstatfs",
    "access", "faccessat", "faccessat2", "readlink", "readlinkat", "getcwd", "getdents64",
    "ftruncate", "truncate", "fallocate", "fadvise64", "fsync", "fdatasync", "sync_file_range",
    "rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat", "mkdir", "mkdirat",
    "rmdir", "chmod", "fchmod", "fchmodat", "chown", "fchown", "fchownat", "lchown", "utimensat",
    "umask", "flock", "fcntl", "dup", "dup2", "dup3", "copy_file_range", "inotify_init1",
    "inotify_add_watch", "inotify_rm_watch",
    /* memory, threads, time */
    "brk", "munmap", "mremap", "madvise", "mincore", "msync", "membarrier", "futex",
    "set_robust_list", "get_robust_list", "rseq", "set_tid_address", "sched_yield",
    "sched_getaffinity", "sched_setaffinity", "sched_getparam", "sched_getscheduler", "getcpu",
    "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time",
    "getitimer", "restart_syscall", "exit", "exit_group",
    /* signals and what a process is */
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait", "rt_sigpending",
    "rt_sigsuspend", "sigaltstack", "sigreturn", "getpid", "getppid", "gettid", "getuid", "geteuid",
    "getgid", "getegid", "getresuid", "getresgid", "getgroups", "getpgrp", "getpgid", "getsid",
    "getrandom", "getrlimit", "setrlimit", "prlimit64", "getrusage", "times", "sysinfo", "uname",
    "arch_prctl", "riscv_hwprobe"
};

static const char *const absent[] = { "clone3", "openat2", "futex_waitv", "pidfd_open",
                                      "process_madvise" };

/* Newer than the library's names: map_shadow_stack, futex_wake to futex_requeue, mseal, getxattrat
 * and what came with it. The numbers are the same on all architectures. */
static const int absent_numbers[] = { 453, 454, 455, 456, 462, 464, 466, 467, 468, 469 };

/* How the sanitizers look at their own process: at its end leaks are sought by a copy of it. */
static const char *const of_sanitizers[] = {
    "clone",    "fork",     "vfork", "wait4",  "ptrace", "process_vm_readv",
    "getdents", "kill",     "tkill", "tgkill", "prctl",  "personality",
    "mmap",     "mprotect", "ioctl", "socket", "alarm",  "setitimer",
    "pause"
};

static int allow_names(scmp_filter_ctx filter, const char *const *names, size_t n_names,
                       uint32_t action)
{
    int r = 0;
    for (size_t i = 0; !r && i < n_names; i++) {
        int number = seccomp_syscall_resolve_name(names[i]);
        if (number >= 0)
            r = seccomp_rule_add(filter, action, number, 0);
    }
    return r;
}

static int allow_values(scmp_filter_ctx filter, int number, unsigned argument,
                        const uint64_t *values, size_t n_values)
{
    int r = 0;
    for (size_t i = 0; !r && i < n_values; i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 1,
                             SCMP_CMP(argument, SCMP_CMP_EQ, values[i]));
    return r;
}

/* Threads and no processes; signals to ourselves; sockets of the families that are served; memory
 * that is no code. */
static int allow_by_argument(scmp_filter_ctx filter)
{
    static const uint64_t families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK };
    static const uint64_t ioctls[] = { FIONREAD, FIONBIO, TIOCOUTQ, TCGETS, TIOCGWINSZ, 0x894b };
    static const uint64_t prctls[] = { PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE, PR_SET_VMA };
    const uint64_t self = (uint64_t)getpid();

    int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    if (!r)
        r = allow_values(filter, SCMP_SYS(socket), 0, families,
                         sizeof(families) / sizeof(*families));
    if (!r)
        r = allow_values(filter, SCMP_SYS(ioctl), 1, ioctls, sizeof(ioctls) / sizeof(*ioctls));
    if (!r)
        r = allow_values(filter, SCMP_SYS(prctl), 0, prctls, sizeof(prctls) / sizeof(*prctls));
    if (!r)
        r = allow_values(filter, SCMP_SYS(tgkill), 0, &self, 1);
    if (!r)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (!r)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    return r;
}

/* Code that is loaded late is refused and not punished: a resolver's plug-in may be tried. */
static int refuse_code(scmp_filter_ctx filter)
{
    int r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(mmap), 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
    return r ? r
             : seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(mprotect), 1,
                                SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
}

static int fill(scmp_filter_ctx filter)
{
    int r = allow_names(filter, allowed, sizeof(allowed) / sizeof(*allowed), SCMP_ACT_ALLOW);
    if (!r)
        r = allow_names(filter, absent, sizeof(absent) / sizeof(*absent), SCMP_ACT_ERRNO(ENOSYS));
    for (size_t i = 0; !r && i < sizeof(absent_numbers) / sizeof(*absent_numbers); i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), absent_numbers[i], 0);
    if (r)
        return r;
    if (IS_SANITIZED)
        return allow_names(filter, of_sanitizers, sizeof(of_sanitizers) / sizeof(*of_sanitizers),
                           SCMP_ACT_ALLOW);
    r = allow_by_argument(filter);
    return r ? r : refuse_code(filter);
}

bool sandbox_limit_calls(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (!filter)
        return false;
    /* Nobody's code runs in here but ours: the guard against its speculation, which old kernels put
     * on all who have a filter, would only cost. */
    bool is_on = !seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1) &&
                 !seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2) && !fill(filter) &&
                 !seccomp_load(filter);
    seccomp_release(filter);
    return is_on;
}

bool sandbox_is_sanitized(void)
{
    return IS_SANITIZED;
}
