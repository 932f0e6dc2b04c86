/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static char inside[] = "/tmp/sandbox-in.XXXXXX", outside[] = "/tmp/sandbox-out.XXXXXX";

/* What a child in the sandbox does; its exit status or, negative, the signal that ended it. */
static int in_sandbox(int (*run)(const struct sandbox *sandbox, struct sandbox_report report))
{
    CHECK(mkdtemp(inside));
    CHECK(mkdtemp(outside));
    pid_t pid = fork();
    if (pid == 0) {
        struct sandbox *sandbox = sandbox_new();
        struct sandbox_report report;
        struct problem problem = { 0 };
        sandbox_add_system(sandbox);
        sandbox_add(sandbox, inside, SANDBOX_WRITE);
        int r = sandbox_enter(sandbox, SANDBOX_AUTO, &report, &problem);
        _exit(r ? 99 : run(sandbox, report));
    }
    int status = 0;
    CHECK_INT(waitpid(pid, &status, 0), pid);
    rmdir(inside);
    rmdir(outside);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* 77: this kernel lacks what the case is about. */
#define LACKING 77

static int try_execve(const struct sandbox *sandbox, struct sandbox_report report)
{
    (void)sandbox;
    static char name[] = "/bin/true";
    char *const argv[] = { name, NULL }, *const envp[] = { NULL };
    if (!report.has_seccomp)
        return LACKING;
    execve(name, argv, envp);
    return 1;
}

TEST(executing_a_program_ends_the_process)
{
    int status = in_sandbox(try_execve);
    if (status != LACKING)
        CHECK_INT(status, -SIGSYS);
}

static int try_mount(const struct sandbox *sandbox, struct sandbox_report report)
{
    (void)sandbox;
    if (!report.has_seccomp)
        return LACKING;
    syscall(SYS_mount, "none", "/", "tmpfs", 0, NULL);
    return 1;
}

TEST(a_call_that_serving_does_not_take_ends_it)
{
    int status = in_sandbox(try_mount);
    if (status != LACKING)
        CHECK_INT(status, -SIGSYS);
}

static int try_newer_calls(const struct sandbox *sandbox, struct sandbox_report report)
{
    (void)sandbox;
    if (!report.has_seccomp)
        return LACKING;
    return syscall(435, NULL, 0) == -1 && errno == ENOSYS ? 0 : 1;
}

TEST(a_call_that_libraries_only_try_is_absent)
{
    int status = in_sandbox(try_newer_calls);
    if (status != LACKING)
        CHECK_INT(status, 0);
}

static bool can_make(const char *directory)
{
    char path[64];
    snprintf(path, sizeof(path), "%s/file", directory);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    close(fd);
    unlink(path);
    return true;
}

static int try_files(const struct sandbox *sandbox, struct sandbox_report report)
{
    if (!report.landlock)
        return LACKING;
    int hosts = open("/etc/hosts", O_RDONLY | O_CLOEXEC);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    int shadowed = open("/var", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (hosts < 0 || null < 0 || shadowed >= 0 || open("/etc/hosts", O_RDWR | O_CLOEXEC) >= 0)
        return 1;
    if (!can_make(inside) || can_make(outside))
        return 2;
    char path[64];
    snprintf(path, sizeof(path), "%s/new", outside);
    return sandbox_allows(sandbox, inside, SANDBOX_WRITE) &&
                   sandbox_allows(sandbox, "/etc/hosts", SANDBOX_READ) &&
                   !sandbox_allows(sandbox, "/etc/hosts", SANDBOX_WRITE) &&
                   !sandbox_allows(sandbox, outside, SANDBOX_READ) &&
                   !sandbox_allows(sandbox, path, SANDBOX_WRITE)
               ? 0
               : 3;
}

TEST(files_that_were_not_named_cannot_be_opened)
{
    int status = in_sandbox(try_files);
    if (status != LACKING)
        CHECK_INT(status, 0);
}

TEST(without_a_sandbox_everything_is_allowed)
{
    struct sandbox *sandbox = sandbox_new();
    struct sandbox_report report;
    struct problem problem = { 0 };
    CHECK(sandbox_allows(NULL, "/var/log/x", SANDBOX_WRITE));
    CHECK_INT(sandbox_enter(sandbox, SANDBOX_OFF, &report, &problem), 0);
    CHECK(!report.has_seccomp && !report.landlock);
    CHECK(sandbox_allows(sandbox, "/var/log/x", SANDBOX_WRITE));
    sandbox_free(sandbox);
}
