/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Prints how many instructions one version_resolve() takes over a snapshot of 1,000 services,
 * 10,000 builds with an instance each, 100,000 pinned customers and 8 rules.
 *
 * A forked child resolves between two stops, and this process counts its single steps: the same
 * number on every machine that has the same code, however busy it is. Each of the customers is
 * another one, and no choice is new, as on a worker that has run for a second.
 */

#include <sys/ptrace.h>
#include <sys/wait.h>

#include "fake/world.h"

#define N_SERVICES 1000u
#define N_BUILDS 10u
#define N_CUSTOMERS 100000u
#define N_RELEASES 8u
#define N_RULES 8u
#define N_RESOLVED 100u

static struct world world;

static const char *name(const char *before, unsigned number, const char *after)
{
    static char text[4][48];
    static unsigned next;
    char *memory = text[next++ % 4];
    snprintf(memory, sizeof(text[0]), "%s%u%s", before, number, after);
    return memory;
}

static void add_customer(unsigned number)
{
    static char tier[] = "tier", gold[] = "gold", silver[] = "silver";
    struct instance_meta attribute = { tier, number % 3 ? silver : gold };
    const char *id = name("customer-", number, "");
    DO(&world, customer_put(world.version, span_of(id), &attribute, 1, world.wall, &world.txn,
                            &world.problem));
    world_pin(&world, id, "shop", name("4.", number % N_RELEASES, ".0"));
}

/* Shares of 5 to 40 %, each of another service; every second one for a cohort only. */
static void add_rule(unsigned number)
{
    const struct cohort *gold =
        map_find_as(version_cohorts(world.version), SPAN("gold"), struct cohort, node);
    struct version_rule *rule =
        world_rule(&world, mem_strdup(name("rule-", number, "")), (number + 1) * 5 * 1000);
    rule_build(rule, mem_strdup(name("service-", number, "")), "1.9.0");
    if (number % 2)
        rule->cohort = gold->rule;
}

static void make_world(void)
{
    world_init(&world);
    for (unsigned i = 0; i < N_SERVICES; i++) {
        for (unsigned j = 0; j < N_BUILDS; j++)
            world_instance(&world, name("service-", i, ""), name("1.", j, ".0"));
    }
    for (unsigned i = 0; i < N_RELEASES; i++)
        world_publish(&world, "shop", name("4.", i, ".0"),
                      "service-0 1, service-9 1, service-99 1");
    for (unsigned i = 0; i < N_CUSTOMERS; i++)
        add_customer(i);
    DO(&world,
       cohort_put(world.version, SPAN("gold"), SPAN("tier == 'gold'"), &world.txn, &world.problem));
    for (unsigned i = 0; i < N_RULES; i++)
        add_rule(i);
    world_snapshot(&world);
    CHECK_INT(snapshot_n_services(world.snapshot), N_SERVICES);
    CHECK_INT(snapshot_n_builds(world.snapshot), N_SERVICES * N_BUILDS);
}

static struct span customers[N_RESOLVED];

static uint64_t resolve_all(void)
{
    uint64_t n_moved = 0;
    for (unsigned i = 0; i < N_RESOLVED; i++) {
        struct resolve_request request = { .customer = customers[i] };
        enum resolve_reason reason;
        n_moved += version_resolve(world.cache, &request, &reason, NULL)->n_builds > 0;
    }
    return n_moved;
}

_Noreturn static void be_counted(void)
{
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    raise(SIGSTOP);
    uint64_t n_moved = resolve_all();
    raise(SIGSTOP);
    _exit(n_moved == 0);
}

static int wait_for(pid_t child)
{
    int status;
    CHECK_INT(waitpid(child, &status, 0), child);
    return status;
}

static bool is_stopped(int status, int signal)
{
    return WIFSTOPPED(status) && WSTOPSIG(status) == signal;
}

/* Steps of the child from its first stop to its second. */
static uint64_t count_steps(pid_t child)
{
    CHECK(is_stopped(wait_for(child), SIGSTOP));
    uint64_t n = 0;
    int status;
    do {
        n++;
        CHECK_INT(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
        status = wait_for(child);
    } while (is_stopped(status, SIGTRAP));
    CHECK(is_stopped(status, SIGSTOP));
    CHECK_INT(ptrace(PTRACE_CONT, child, NULL, NULL), 0);
    CHECK_INT(wait_for(child), 0);
    return n;
}

TEST(a_customer_is_resolved_in_few_instructions)
{
    make_world();
    for (unsigned i = 0; i < N_RESOLVED; i++)
        customers[i] = span_of(mem_strdup(name("customer-", i * (N_CUSTOMERS / N_RESOLVED), "")));
    CHECK(resolve_all() > 0);

    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        be_counted();
    printf("# %" PRIu64 " instructions\n", count_steps(child) / N_RESOLVED);
    fflush(stdout);
    _exit(0); /* what was made for the test goes with the process */
}
