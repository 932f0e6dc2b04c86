/* SPDX-License-Identifier: Apache-2.0 */

#include "io/signals.h"

#include <signal.h>
#include <sys/socket.h>

#include "check.h"

static int last_signal;

static void note_signal(struct signals *signals, int number)
{
    (void)signals;
    last_signal = number;
}

static void close_on_signal(struct signals *signals, int number)
{
    last_signal = number;
    signals_close(signals);
}

TEST(each_watched_signal_is_an_event_of_the_loop)
{
    struct loop *loop = loop_new(clock_system());
    struct signals signals = { .on_signal = note_signal };
    CHECK_INT(signals_open(&signals, loop), 0);

    static const int watched[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 };
    for (size_t i = 0; i < sizeof(watched) / sizeof(watched[0]); i++) {
        CHECK_INT(kill(getpid(), watched[i]), 0);
        CHECK_INT(loop_turn(loop, NSEC_NEVER), 0);
        CHECK_INT(last_signal, watched[i]);
    }
    signals_close(&signals);
    signals_close(&signals);
    loop_free(loop);
}

TEST(they_may_be_closed_by_their_own_event)
{
    struct loop *loop = loop_new(clock_system());
    struct signals signals = { .on_signal = close_on_signal };
    CHECK_INT(signals_open(&signals, loop), 0);
    CHECK_INT(kill(getpid(), SIGTERM), 0);
    CHECK_INT(loop_turn(loop, NSEC_NEVER), 0);
    CHECK_INT(last_signal, SIGTERM);
    loop_free(loop);
}

TEST(a_write_to_a_closed_pipe_is_an_error_and_no_death)
{
    struct loop *loop = loop_new(clock_system());
    struct signals signals = { .on_signal = note_signal };
    CHECK_INT(signals_open(&signals, loop), 0);
    int ends[2];
    CHECK_INT(pipe(ends), 0);
    close(ends[0]);
    CHECK_INT(write(ends[1], "x", 1), -1);
    close(ends[1]);
    signals_close(&signals);
    loop_free(loop);
}
