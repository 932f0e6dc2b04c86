/* SPDX-License-Identifier: Apache-2.0 */

#include "io/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "check.h"

static int exit_status = -1;

static void note_exit(struct process *process, int wait_status)
{
    CHECK_INT(process->pid, 0);
    exit_status = wait_status;
}

static void wait_for_exit(struct loop *loop)
{
    while (exit_status < 0)
        CHECK_INT(loop_turn(loop, NSEC_NEVER), 0);
}

static int run_shell(const char *script, const char *const *env)
{
    struct loop *loop = loop_new(clock_system());
    struct process process = { .on_exit = note_exit };
    const char *argv[] = { "sh", "-c", script, NULL };
    exit_status = -1;
    CHECK_INT(process_start(&process, loop, argv, env), 0);
    wait_for_exit(loop);
    loop_free(loop);
    return exit_status;
}

TEST(one_that_outlives_us_keeps_a_descriptor)
{
    int ends[2];
    CHECK_INT(pipe2(ends, O_CLOEXEC), 0);
    char script[64];
    snprintf(script, sizeof(script), "echo $$ >&%d; exec cat >/dev/null </dev/zero", ends[1]);
    const char *const argv[] = { "sh", "-c", script, NULL };
    pid_t pid = 0;
    CHECK_INT(process_detach(argv, ends[1], &pid), 0);
    char text[32] = "";
    CHECK(read(ends[0], text, sizeof(text) - 1) > 0);
    CHECK_INT(atoi(text), pid);
    CHECK_INT(getsid(pid), pid);
    CHECK_INT(kill(pid, SIGKILL), 0);
    CHECK_INT(waitpid(pid, NULL, 0), pid);

    const char *const nothing[] = { "/nowhere/sarsen", NULL };
    CHECK_INT(process_detach(nothing, -1, &pid), PROCESS_NOT_FOUND);
    close(ends[0]);
    close(ends[1]);
}

TEST(the_end_of_a_child_arrives_with_its_status)
{
    int status = run_shell("exit 7", NULL);
    CHECK(WIFEXITED(status));
    CHECK_INT(WEXITSTATUS(status), 7);
}

TEST(the_environment_is_the_given_one_or_ours)
{
    static const char *const env[] = { "PATH=/bin:/usr/bin", "WORD=stone", NULL };
    CHECK_INT(run_shell("test \"$WORD\" = stone", env), 0);
    setenv("WORD", "slab", 1);
    CHECK_INT(run_shell("test \"$WORD\" = slab", NULL), 0);
}

TEST(a_missing_program_is_an_answer)
{
    struct loop *loop = loop_new(clock_system());
    struct process process = { .on_exit = note_exit };
    const char *argv[] = { "/no/such/program", NULL };
    CHECK_INT(process_start(&process, loop, argv, NULL), PROCESS_NOT_FOUND);
    CHECK_INT(process.pid, 0);
    const char *not_executable[] = { "/etc/passwd", NULL };
    CHECK_INT(process_start(&process, loop, not_executable, NULL), PROCESS_NOT_FOUND);
    CHECK_INT(waitpid(-1, NULL, WNOHANG), -1); /* nothing left to reap */
    loop_free(loop);
}

TEST(a_child_inherits_three_descriptors_and_default_signals)
{
    int spare = open("/dev/null", O_RDONLY); /* without O_CLOEXEC, as a careless library would */
    CHECK(spare > 2);
    signal(SIGTERM, SIG_IGN);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    /* ls holds one descriptor more: the directory it lists. */
    CHECK_INT(run_shell("test $(ls /proc/self/fd | wc -l) -le 4", NULL), 0);
    CHECK_INT(WTERMSIG(run_shell("kill -TERM $$; sleep 10", NULL)), SIGTERM);
    CHECK_INT(WTERMSIG(run_shell("kill -USR1 $$; sleep 10", NULL)), SIGUSR1);
    close(spare);
}

/* The child announces through a FIFO that its grandchild runs, and both hold its other end. */
TEST(a_signal_reaches_the_whole_group)
{
    char path[] = "/tmp/sarsen-process-XXXXXX";
    CHECK(mkdtemp(path));
    char fifo[64], script[160];
    snprintf(fifo, sizeof(fifo), "%s/fifo", path);
    snprintf(script, sizeof(script), "exec >%s; sleep 1000 & echo ready; wait", fifo);
    CHECK_INT(mkfifo(fifo, 0600), 0);

    struct loop *loop = loop_new(clock_system());
    struct process process = { .on_exit = note_exit };
    const char *argv[] = { "sh", "-c", script, NULL };
    CHECK_INT(process_start(&process, loop, argv, NULL), 0);
    int fd = open(fifo, O_RDONLY);
    char line[8];
    CHECK_INT(read(fd, line, sizeof(line)), 6);

    process_signal(&process, SIGTERM);
    wait_for_exit(loop);
    CHECK(WIFSIGNALED(exit_status));
    CHECK_INT(read(fd, line, sizeof(line)), 0); /* the end comes when the grandchild is gone too */
    process_signal(&process, SIGTERM);
    close(fd);
    unlink(fifo);
    rmdir(path);
    loop_free(loop);
}

TEST(process_kill_reaps_without_a_callback)
{
    struct loop *loop = loop_new(clock_system());
    struct process process = { .on_exit = note_exit };
    const char *argv[] = { "sleep", "1000", NULL };
    CHECK_INT(process_start(&process, loop, argv, NULL), 0);
    process_kill(&process);
    process_kill(&process);
    CHECK_INT(waitpid(-1, NULL, WNOHANG), -1);
    CHECK_INT(loop_turn(loop, 0), 0);
    CHECK_INT(exit_status, -1);
    loop_free(loop);
}
