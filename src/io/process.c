/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fork() and exec() with a pipe between them: it closes by itself when exec() succeeds, and brings
 * the errno when it does not, so process_start() knows the outcome when it returns. The end of the
 * child is an event of its pidfd; until we reap it, its number belongs to nobody else, so signals
 * cannot hit a stranger.
 */

#include "io/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "io/file.h"

static void child_reset_signals(void)
{
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL); /* fails for SIGKILL and SIGSTOP, which have no other */
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Between fork() and exec() only async-signal-safe calls: other threads may hold any lock. */
_Noreturn static void child_become(char *const *argv, char *const *env, int report_fd, int keep_fd)
{
    child_reset_signals();
    close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
    if (keep_fd >= 0)
        fcntl(keep_fd, F_SETFD, 0);
    execvpe(argv[0], argv, env);

    int error = errno;
    ssize_t n = write(report_fd, &error, sizeof(error));
    (void)n; /* without a report the parent takes the exec for done and sees us exit with 127 */
    _exit(127);
}

_Noreturn static void child_exec(char *const *argv, char *const *env, int report_fd, pid_t parent)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it died before we asked to be told */
        _exit(127);
    child_become(argv, env, report_fd, -1);
}

static void process_on_ready(struct watch *watch, uint32_t events)
{
    struct process *process = container_of(watch, struct process, watch);
    (void)events;

    int status = 0;
    pid_t pid = waitpid(process->pid, &status, WNOHANG);
    if (pid == 0 || (pid < 0 && errno == EINTR))
        return;
    watch_remove(&process->watch);
    close(process->pidfd);
    process->pid = 0;
    process->on_exit(process, status);
}

static void process_reap(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

/* The errno of a failed exec(), or 0. */
static int child_exec_error(int report_fd)
{
    int error = 0;
    ssize_t n;
    do {
        n = read(report_fd, &error, sizeof(error));
    } while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof(error) ? error : 0;
}

static int process_watch(struct process *process, struct loop *loop, pid_t pid)
{
    CLEANUP(fd_closep) int pidfd = pidfd_open(pid, 0);
    if (pidfd < 0)
        return err_origin(-errno);

    process->watch.on_ready = process_on_ready;
    int r = watch_add(&process->watch, loop, pidfd, EPOLLIN);
    if (r)
        return err_trace(r);
    process->pid = pid;
    process->pidfd = fd_steal(&pidfd);
    return 0;
}

static bool is_not_found(int error)
{
    return error == ENOENT || error == EACCES || error == ENOTDIR || error == ENOEXEC ||
           error == ELOOP;
}

int process_start(struct process *process, struct loop *loop, const char *const *argv,
                  const char *const *env)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_origin(-errno);
    CLEANUP(fd_closep) int read_end = ends[0];
    CLEANUP(fd_closep) int write_end = ends[1];

    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0)
        return err_origin(-errno);
    if (pid == 0) {
        /* execve() takes them without const for historical reasons and changes nothing. */
        union {
            const char *const *from;
            char *const *to;
        } args = { argv }, vars = { env };
        child_exec(args.to, env ? vars.to : environ, write_end, parent);
    }
    setpgid(pid, pid); /* both sides, so that neither depends on who runs first */
    close(fd_steal(&write_end));

    int error = child_exec_error(read_end);
    if (error) {
        process_reap(pid);
        return is_not_found(error) ? PROCESS_NOT_FOUND : err_origin(-error);
    }
    int r = process_watch(process, loop, pid);
    if (r) {
        kill(-pid, SIGKILL);
        process_reap(pid);
        return err_trace(r);
    }
    return 0;
}

int process_detach(const char *const *argv, int keep_fd, pid_t *ret_pid)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_origin(-errno);
    CLEANUP(fd_closep) int read_end = ends[0];
    CLEANUP(fd_closep) int write_end = ends[1];
    pid_t pid = fork();
    if (pid < 0)
        return err_origin(-errno);
    if (pid == 0) {
        union {
            const char *const *from;
            char *const *to;
        } args = { argv };
        setsid();
        child_become(args.to, environ, write_end, keep_fd);
    }
    close(fd_steal(&write_end));
    int error = child_exec_error(read_end);
    if (error) {
        process_reap(pid);
        return is_not_found(error) ? PROCESS_NOT_FOUND : err_origin(-error);
    }
    *ret_pid = pid;
    return 0;
}

void process_signal(struct process *process, int signal)
{
    if (process->pid > 0)
        kill(-process->pid, signal);
}

void process_kill(struct process *process)
{
    if (process->pid <= 0)
        return;

    kill(-process->pid, SIGKILL);
    watch_remove(&process->watch);
    process_reap(process->pid);
    close(process->pidfd);
    process->pid = 0;
}
