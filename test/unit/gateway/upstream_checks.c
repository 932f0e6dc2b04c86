/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/upstream_checks.h"

#include <sys/socket.h>

#include "base/mem.h"
#include "check.h"
#include "fake/clock.h"

#define N 4u

struct bench {
    struct fake_clock clock;
    struct loop *loop;
    struct upstream_checks *checks;
    struct address addresses[N];
    int fds[N];
    unsigned n_changes;
};

static void on_change(void *owner)
{
    ((struct bench *)owner)->n_changes++;
}

static void listen_at(struct bench *bench, unsigned i)
{
    CHECK_INT(socket_listen(&bench->addresses[i], false, &bench->fds[i]), 0);
    CHECK_INT(socket_address(bench->fds[i], &bench->addresses[i]), 0);
}

static void hang_up(struct bench *bench, unsigned i)
{
    close(bench->fds[i]);
    bench->fds[i] = -1;
}

static struct route_table *table_of(const struct bench *bench, unsigned interval)
{
    struct gateway_route route = { .prefix = "/a",
                                   .upstreams = bench->addresses,
                                   .n_upstreams = N };
    route.health = health_check_standard;
    route.health.kind = HEALTH_TCP;
    route.health.interval = interval * NSEC_PER_SEC;
    return route_table_new(&route, 1, NULL, NULL);
}

static void set(struct bench *bench, unsigned interval, unsigned panic_percent)
{
    struct route_table *table = table_of(bench, interval);
    struct upstream_checks_settings settings = { .panic_percent = panic_percent };
    upstream_checks_set(bench->checks, table, &settings);
    route_table_unref(table);
}

static struct bench *bench_new(void)
{
    struct bench *bench = mem_new(struct bench);
    fake_clock_init(&bench->clock);
    bench->loop = loop_new(&bench->clock.clock);
    bench->checks = upstream_checks_new(bench->loop, on_change, bench);
    for (unsigned i = 0; i < N; i++) {
        CHECK_INT(address_parse(SPAN("127.0.0.1:0"), &bench->addresses[i]), 0);
        listen_at(bench, i);
    }
    return bench;
}

static void bench_free(struct bench *bench)
{
    upstream_checks_free(bench->checks);
    for (unsigned i = 0; i < N; i++)
        close(bench->fds[i]);
    loop_free(bench->loop);
    free(bench);
}

/* One check of each, and what it comes to. */
static void go_on(struct bench *bench)
{
    fake_clock_advance(&bench->clock, 6 * NSEC_PER_SEC);
    for (int i = 0; i < 20; i++)
        CHECK_INT(loop_turn(bench->loop, NSEC_PER_MSEC), 0);
}

/* Who gets no requests, as "0101"; "all" without any. */
static const char *out(struct bench *bench)
{
    static char text[N + 1];
    bool *found = upstream_checks_out(bench->checks);
    for (unsigned i = 0; i < N && found; i++)
        text[i] = found[i] ? '1' : '0';
    const char *answer = found ? text : "all";
    free(found);
    return answer;
}

static enum gateway_target_state state(const struct bench *bench, unsigned i)
{
    return upstream_checks_target(bench->checks, 0, i).state;
}

TEST(who_fails_gets_nothing_until_it_passes)
{
    struct bench *bench = bench_new();
    set(bench, 5, 50);
    CHECK_INT(state(bench, 1), GATEWAY_TARGET_WAITING);
    CHECK_STR(out(bench), "all");
    hang_up(bench, 1);
    go_on(bench); /* the first result decides */
    CHECK_STR(out(bench), "0100");
    CHECK_INT(bench->n_changes, 1);
    CHECK_INT(state(bench, 1), GATEWAY_TARGET_FAILING);
    CHECK_STR(upstream_checks_target(bench->checks, 0, 1).why, "it cannot be reached");
    CHECK_INT(state(bench, 0), GATEWAY_TARGET_PASSING);
    listen_at(bench, 1);
    go_on(bench);
    CHECK_STR(out(bench), "all");
    CHECK_INT(bench->n_changes, 2);
    hang_up(bench, 2);
    go_on(bench);
    go_on(bench);
    CHECK_STR(out(bench), "all");
    go_on(bench);
    CHECK_STR(out(bench), "0010");
    bench_free(bench);
}

TEST(when_few_pass_all_are_used)
{
    struct bench *bench = bench_new();
    unsigned n_failing, n_panics;
    set(bench, 5, 50);
    hang_up(bench, 0);
    hang_up(bench, 1);
    go_on(bench);
    CHECK_STR(out(bench), "1100");
    hang_up(bench, 2);
    go_on(bench);
    go_on(bench);
    go_on(bench);
    CHECK_STR(out(bench), "all");
    CHECK(upstream_checks_upstream(bench->checks, 0).has_panic);
    upstream_checks_count(bench->checks, &n_failing, &n_panics);
    CHECK_INT(n_failing, 3);
    CHECK_INT(n_panics, 1);
    set(bench, 5, 0);
    CHECK_STR(out(bench), "1110");
    CHECK(!upstream_checks_upstream(bench->checks, 0).has_panic);
    bench_free(bench);
}

TEST(a_reload_that_asks_the_same_forgets_nothing)
{
    struct bench *bench = bench_new();
    set(bench, 5, 50);
    hang_up(bench, 3);
    go_on(bench);
    CHECK_STR(out(bench), "0001");
    set(bench, 5, 50);
    CHECK_STR(out(bench), "0001");
    set(bench, 4, 50); /* another check: nobody has been asked yet */
    CHECK_STR(out(bench), "all");
    CHECK_INT(state(bench, 3), GATEWAY_TARGET_WAITING);
    go_on(bench);
    CHECK_STR(out(bench), "0001");
    upstream_checks_stop(bench->checks);
    go_on(bench);
    CHECK_STR(out(bench), "0001");
    bench_free(bench);
}
