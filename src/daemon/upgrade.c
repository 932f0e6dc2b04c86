/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/file.h"
#include "io/notify.h"
#include "io/process.h"

#define EXIT_FAILED 1
#define EXIT_USAGE 2
#define WAIT_SECONDS 120u
#define WAIT_MAX 3600u
#define END_SECONDS 10u /* for what was asked to end */

static const char *const usage =
    "usage: sarsen upgrade -c FILE [--wait SECONDS]\n"
    "\n"
    "Starts this program in the background as `sarsen server -c FILE --takeover` and waits until it\n"
    "serves. No connection is refused and no request is lost: the process that served before\n"
    "drains and ends. When the new one fails, that one goes on, and the exit status is 1.\n"
    "What keeps it from serving is told here; its log goes on where that of the old one goes.\n"
    "\n"
    "  -c FILE           the config file of the new process\n"
    "  --wait SECONDS    how long that may take; 120\n";

enum outcome {
    SERVES,
    ENDED,
    LATE,
};

/* The new process writes a byte when it serves; its end closes the pipe. */
static enum outcome wait_for(int fd, uint64_t seconds)
{
    struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
    int n;
    do {
        n = poll(&poll_fd, 1, (int)(seconds * 1000));
    } while (n < 0 && errno == EINTR);
    char byte;
    if (n <= 0)
        return LATE;
    return read(fd, &byte, 1) == 1 ? SERVES : ENDED;
}

/* What does not end when it is asked to, because it is stopped for example, is ended. */
static void end(int fd, pid_t pid)
{
    kill(pid, SIGTERM);
    if (wait_for(fd, END_SECONDS) == LATE)
        kill(pid, SIGKILL);
}

static int tell(enum outcome outcome, int fd, pid_t pid)
{
    int status;
    switch (outcome) {
    case SERVES:
        /* Of the service manager's own command this is believed, whoever it believes besides. */
        notify_send("MAINPID=%d\nREADY=1", (int)pid);
        printf("process %d serves now\n", (int)pid);
        return 0;
    case LATE:
        end(fd, pid);
        fprintf(stderr, "sarsen: the new process was not ready in time, and was ended\n");
        break;
    case ENDED: fprintf(stderr, "sarsen: the new process ended before it was ready\n"); break;
    }
    if (waitpid(pid, &status, 0) == pid && WIFSIGNALED(status))
        fprintf(stderr, "sarsen: it was ended by signal %d\n", WTERMSIG(status));
    fprintf(stderr, "sarsen: the process that served before goes on, if there was one\n");
    return EXIT_FAILED;
}

/* Nor may the new process keep a pipe open that this command reads from. */
static void close_input(void)
{
    CLEANUP(fd_closep) int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (nothing >= 0)
        dup2(nothing, STDIN_FILENO);
}

static int upgrade(const char *config, uint64_t seconds)
{
    char program[PATH_MAX], ready_fd[16];
    ssize_t size = readlink("/proc/self/exe", program, sizeof(program) - 1);
    int ends[2];
    if (size <= 0 || pipe2(ends, O_CLOEXEC) < 0) {
        fprintf(stderr, "sarsen: it cannot be started: %s\n", strerror(errno));
        return EXIT_FAILED;
    }
    program[size] = '\0';
    close_input();
    snprintf(ready_fd, sizeof(ready_fd), "%d", ends[1]);
    const char *const argv[] = { program,      "server",     "-c",     config,
                                 "--takeover", "--ready-fd", ready_fd, NULL };
    pid_t pid = 0;
    int r = process_detach(argv, ends[1], &pid);
    close(ends[1]);
    CLEANUP(fd_closep) int fd = ends[0];
    if (r) {
        fprintf(stderr, "sarsen: %s cannot be started\n", program);
        return EXIT_FAILED;
    }
    return tell(wait_for(fd, seconds), fd, pid);
}

int upgrade_main(int argc, char **argv)
{
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' },
        { "wait", required_argument, NULL, 'w' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    const char *config = NULL;
    uint64_t seconds = WAIT_SECONDS;
    bool is_wrong = false;
    int option;
    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        switch (option) {
        case 'c': config = optarg; break;
        case 'w': is_wrong = !span_to_uint(span_of(optarg), WAIT_MAX, &seconds); break;
        case 'h': fputs(usage, stdout); return 0;
        default: is_wrong = true; break;
        }
    }
    if (!config || is_wrong || optind < argc) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    return upgrade(config, seconds);
}
