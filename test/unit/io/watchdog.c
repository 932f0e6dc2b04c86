/* SPDX-License-Identifier: Apache-2.0 */

#include "io/watchdog.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

TEST(it_ends_a_process_that_is_stopped)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct watchdog watchdog = { 0 };
        watchdog_start(&watchdog, 3600 * NSEC_PER_SEC);
        watchdog_start(&watchdog, 50 * NSEC_PER_MSEC);
        raise(SIGSTOP);
        _exit(0);
    }
    int status = 0;
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK(WIFSIGNALED(status));
    CHECK_INT(WTERMSIG(status), SIGKILL);
}

TEST(once_it_is_stopped_nothing_happens)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct watchdog watchdog = { 0 };
        watchdog_stop(&watchdog);
        watchdog_start(&watchdog, 50 * NSEC_PER_MSEC);
        watchdog_stop(&watchdog);
        watchdog_stop(&watchdog);
        usleep(200000);
        _exit(3);
    }
    int status = 0;
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status));
    CHECK_INT(WEXITSTATUS(status), 3);
}
