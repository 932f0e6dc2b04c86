/* SPDX-License-Identifier: Apache-2.0 */
#include "fanout.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define BEGIN_AT_ONCE 64u

static uint64_t is_once, n_begun;

static struct {
    const struct fanout_ops *ops;
    uint64_t group, since, n_awaited;
    bool is_under_way, is_answered;
} fanout;

const struct number_option fanout_options[] = {
    { "--once", &is_once },
    { NULL, NULL },
};

void fanout_init(const struct fanout_ops *ops)
{
    fanout.ops = ops;
    options.warm = options.n_connections;
    if (is_once)
        options.count = options.n_connections;
    if (!is_once && !options.changes) {
        fprintf(stderr, "watch: --changes or --once 1 is needed\n");
        exit(2);
    }
}

static uint64_t group_size(uint64_t group)
{
    uint64_t n = options.n_connections, n_groups = options.n_requests;
    return n / n_groups + (group < n % n_groups);
}

static void begin_change(uint64_t due)
{
    uint64_t number = run.n_started++;
    fanout.group = number % options.n_requests;
    fanout.n_awaited = group_size(fanout.group);
    fanout.since = due;
    fanout.is_under_way = true;
    fanout.is_answered = false;
    fanout.ops->change(number % options.n_changes);
}

static void begin_listening(uint64_t time)
{
    if (!run.n_started)
        fanout.since = time;
    run.n_started = options.n_connections;
}

uint64_t fanout_start(uint64_t time)
{
    uint64_t later = time + NSEC / 10;
    while (!run.is_sampling && !run_is_over(time) && run.n_started - run.n_done < BEGIN_AT_ONCE) {
        run.n_started++;
        fanout.ops->watch(n_begun++);
    }
    if (!run.is_sampling || run_is_over(time) || fanout.is_under_way)
        return later;
    if (is_once) {
        begin_listening(time);
        return later;
    }
    uint64_t due = run_due(time);
    if (due > time)
        return due;
    begin_change(due);
    return later;
}

void fanout_watches(void)
{
    run_done(0, NULL);
}

static void end_if_done(void)
{
    if (fanout.n_awaited || !fanout.is_answered)
        return;
    fanout.is_under_way = false;
    run_done(fanout.since, NULL);
}

void fanout_heard(uint64_t watcher)
{
    if (is_once && run.is_sampling) {
        run_done(fanout.since, NULL);
        return;
    }
    if (!fanout.n_awaited || watcher % options.n_requests != fanout.group) {
        run_error("a watcher heard of a change that was not made");
        return;
    }
    fanout.n_awaited--;
    end_if_done();
}

void fanout_answered(void)
{
    fanout.is_answered = true;
    end_if_done();
}
