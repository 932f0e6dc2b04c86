/* SPDX-License-Identifier: Apache-2.0 */

#include "io/signals.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/error.h"

static void signals_fill(sigset_t *ret_set)
{
    static const int watched[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 };

    sigemptyset(ret_set);
    for (size_t i = 0; i < sizeof(watched) / sizeof(watched[0]); i++)
        sigaddset(ret_set, watched[i]);
}

static void signals_on_ready(struct watch *watch, uint32_t events)
{
    struct signals *signals = container_of(watch, struct signals, watch);
    (void)events;

    /* on_signal may close us, which sets the descriptor to -1. */
    struct signalfd_siginfo info;
    while (signals->fd >= 0 && read(signals->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        signals->on_signal(signals, (int)info.ssi_signo);
}

int signals_open(struct signals *signals, struct loop *loop)
{
    sigset_t set;
    signals_fill(&set);
    signal(SIGPIPE, SIG_IGN);
    int error = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (error)
        return err_origin(-error);

    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return err_origin(-errno);
    signals->watch.on_ready = signals_on_ready;
    int r = watch_add(&signals->watch, loop, fd, EPOLLIN);
    if (r) {
        close(fd);
        return err_trace(r);
    }
    signals->fd = fd;
    return 0;
}

void signals_close(struct signals *signals)
{
    if (signals->fd < 0)
        return;

    watch_remove(&signals->watch);
    close(signals->fd);
    signals->fd = -1;

    /* From here on a second SIGTERM ends a shutdown that hangs. */
    sigset_t set;
    signals_fill(&set);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
