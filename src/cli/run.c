/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `sarsen register … -- COMMAND`: a service that knows nothing of Sarsen, kept registered for as
 * long as it runs.
 *
 *   register ──► start it ──► heartbeats ──SIGTERM──► drain ──► SIGTERM to it ──► it ends ──► deregister
 *
 * It is registered before it is started, since what is refused then costs nothing; it gets no request
 * until its check passes. Signals are waited for and never interrupt a call, so there is one thing
 * at a time.
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/command.h"
#include "codec/timefmt.h"

#define RETRY_AFTER NSEC_PER_SEC /* where nobody answers */
#define NOT_STARTED 127

struct run {
    struct command *command;
    const char *service, *id;
    const char *path, *body;
    nsec pause; /* between heartbeats: two that are lost in a row are not yet an absence */
    nsec grace; /* from the drain to the signal */
    pid_t child;
    bool is_registered, is_ending;
};

/* What is of no consequence for the service is told once, until it is well again. */
static bool register_it(struct run *run)
{
    bool was_registered = run->is_registered;
    int r = sarsen_call(run->command->client, "PUT", run->path, run->body, NULL);
    run->is_registered = r == 0;
    if (r && was_registered)
        command_fail(run->command, r);
    return r == 0 || r == SARSEN_ECONNECT;
}

/* What ends is not registered any more, neither again nor for the first time. */
static bool beat(struct run *run)
{
    if (!run->is_registered)
        return run->is_ending || (register_it(run) && run->is_registered);
    int r = sarsen_heartbeat(run->command->client, run->service, run->id);
    if (r != SARSEN_EREFUSED || sarsen_status(run->command->client) != 404)
        return r == 0;
    return run->is_ending || register_it(run);
}

/* --- the child --- */

/* In a group of its own, so that a terminal's ^C comes to us alone. It does not outlive us. */
static void become(char **program, const sigset_t *mask, pid_t parent)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(NOT_STARTED);
    sigprocmask(SIG_SETMASK, mask, NULL);
    execvp(program[0], program);
    fprintf(stderr, "sarsen: %s cannot be started: %s\n", program[0], strerror(errno));
    _exit(NOT_STARTED);
}

/* Whether it has ended, with its exit status as shells have it. */
static bool has_ended(pid_t child, int *ret_status)
{
    int status;
    if (waitpid(child, &status, WNOHANG) != child)
        return false;
    *ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return true;
}

/* The next signal, or 0 when there was none for so long. */
static int wait_for(const sigset_t *signals, nsec time)
{
    const struct timespec wait = { .tv_sec = (time_t)(time / NSEC_PER_SEC),
                                   .tv_nsec = (long)(time % NSEC_PER_SEC) };
    int signal = sigtimedwait(signals, NULL, &wait);
    return signal > 0 ? signal : 0;
}

/* When the drain is answered nobody sends it new requests. Those that it has get some time, unless
 * we are asked again; then it is told. */
static void end(struct run *run, int signal, const sigset_t *signals)
{
    bool is_first = !run->is_ending;
    run->is_ending = true;
    if (is_first && sarsen_drain(run->command->client, run->service, run->id) == 0) {
        fprintf(stderr, "sarsen: %s of %s drains\n", run->id, run->service);
        wait_for(signals, run->grace);
    }
    kill(run->child, signal);
}

static int keep(struct run *run, const sigset_t *signals)
{
    nsec pause = run->pause;
    int status;
    for (;;) {
        int signal = wait_for(signals, pause);
        if (has_ended(run->child, &status))
            break;
        if (signal == SIGHUP)
            kill(run->child, signal);
        else if (signal && signal != SIGCHLD)
            end(run, signal, signals);
        bool is_well = beat(run);
        pause = is_well || run->pause < RETRY_AFTER ? run->pause : RETRY_AFTER;
    }
    if (sarsen_deregister(run->command->client, run->service, run->id) == 0)
        fprintf(stderr, "sarsen: %s of %s is gone\n", run->id, run->service);
    return status;
}

static int start(struct run *run)
{
    sigset_t signals, before;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &signals, &before);
    pid_t parent = getpid();
    run->child = fork();
    if (run->child == 0)
        become(run->command->program, &before, parent);
    if (run->child < 0) {
        fprintf(stderr, "sarsen: no process can be started: %s\n", strerror(errno));
        return CLI_FAILED;
    }
    return keep(run, &signals);
}

static bool read_time(const char *option, const char *text, nsec *ret_time)
{
    if (!duration_parse(span_of(text), ret_time) && *ret_time >= NSEC_PER_MSEC)
        return true;
    fprintf(stderr, "sarsen: --%s is \"%s\"; a duration such as 10s is accepted\n", option, text);
    return false;
}

int command_run(struct command *command, const char *path, struct buf *body)
{
    CLEANUP(mem_freep) char *text = buf_take_text(body);
    struct run run = { .command = command,
                       .service = command->operands[0],
                       .id = command->operands[1],
                       .path = path,
                       .body = text,
                       .is_registered = true };
    if (!read_time("ttl", command->options.ttl ? command->options.ttl : "10s", &run.pause) ||
        !read_time("grace", command->options.grace ? command->options.grace : "1s", &run.grace))
        return CLI_USAGE;
    run.pause /= 3;
    if (!register_it(&run))
        return CLI_FAILED;
    if (run.is_registered)
        fprintf(stderr, "sarsen: %s of %s is registered at %s\n", run.id, run.service,
                command->operands[2]);
    return start(&run);
}
