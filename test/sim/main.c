/* SPDX-License-Identifier: Apache-2.0 */

/*
 * sarsen-sim --seed N           one run, with its trace
 * sarsen-sim --seeds A..B       many, each in a process of its own; the seed of one that fails
 */

#include <ftw.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "copies.h"
#include "disk.h"
#include "etcd.h"
#include "faults.h"
#include "process.h"
#include "truth.h"
#include "world.h"

#define CALM (60 * SECOND)
#define SETTLE (15 * SECOND)
#define BASE_EVERY 7 /* of so many worlds with an etcd, one begins with a store that was copied */

struct totals {
    uint64_t n_steps, n_checks, n_merges, n_done, n_conflicts, n_refused, n_starts;
};

static char disks[96];
static struct totals totals, *all_totals; /* of this run; of all, shared with the parent */

/* --- one run --- */

static void run_until(nsec until)
{
    while (world_step(until)) {
        processes_check();
        totals.n_steps++;
    }
}

static bool is_settled(void)
{
    for (unsigned i = 0; i < processes.n; i++) {
        const struct process *process = &processes.all[i];
        if (!process_is_up(process) || !list_is_empty(&process->deeds) ||
            store_is_read_only(process->store) ||
            (processes.has_etcd &&
             store_revision(process->store) != etcd_keys.base + etcd_keys.revision))
            return false;
    }
    return copies_are_settled();
}

static void count_up(uint64_t *total, uint64_t n)
{
    __atomic_add_fetch(total, n, __ATOMIC_RELAXED);
}

static void add_totals(void)
{
    count_up(&all_totals->n_steps, totals.n_steps);
    count_up(&all_totals->n_checks, truth.n_checks);
    count_up(&all_totals->n_merges, truth.n_merges);
    for (unsigned i = 0; i < processes.n; i++) {
        count_up(&all_totals->n_done, processes.all[i].n_done);
        count_up(&all_totals->n_conflicts, processes.all[i].n_conflicts);
        count_up(&all_totals->n_refused, processes.all[i].n_refused);
        count_up(&all_totals->n_starts, processes.all[i].n_opened);
    }
}

/* SQLite asks for random bytes once in a process, and this is another run. */
static int random_bytes(sqlite3_vfs *vfs, int n, char *bytes)
{
    (void)vfs;
    for (int i = 0; i < n; i++)
        bytes[i] = (char)chance_number();
    return n;
}

static void run_seed(uint64_t seed, bool is_traced)
{
    world_begin(seed, is_traced);
    sqlite3_vfs_find(NULL)->xRandomness = random_bytes;
    sqlite3_test_control(SQLITE_TESTCTRL_PRNG_RESET);
    bool has_etcd = chance(650);
    etcd_keys_begin(chance(500) ? 1 : 3);
    members_begin(etcd_keys.n_members);
    net_begin();
    truth_begin();
    processes_begin(has_etcd ? 1 + chance_below(PROCESSES_MAX) : 1, has_etcd);
    trace("%u processes, %s", processes.n, has_etcd ? "etcd" : "embedded");
    if (has_etcd && seed % BASE_EVERY == 0)
        etcd_keys_set_base(1 + (int64_t)(seed / BASE_EVERY % 1000));
    copies_begin();
    faults_begin();

    run_until(world.now + chance_time(8 * SECOND, 40 * SECOND));
    faults_end();
    run_until(world.now + CALM);
    for (nsec end = world.now + SETTLE; !is_settled() && world.now < end;)
        run_until(world.now + 100 * MSEC);
    processes_check_settled();
    copies_check_settled();
    add_totals();

    processes_end();
    truth_end();
    etcd_keys_end();
    net_end();
    world_end();
}

/* --- many --- */

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info, (void)kind, (void)where;
    return remove(path);
}

/* In memory, where the machine has such a place: nothing of it is to last. */
static void disks_make(void)
{
    const char *where = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : getenv("TMPDIR");
    snprintf(disks, sizeof(disks), "%.64s/sarsen-sim-XXXXXX", where ? where : "/tmp");
    if (!mkdtemp(disks)) {
        perror(disks);
        exit(2);
    }
    disks_begin(disks);
}

static void disks_remove(void)
{
    nftw(disks, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* One of the children that run side by side. */
struct child {
    pid_t pid; /* 0: none */
    uint64_t seed;
};

static void child_start(struct child *child, unsigned slot, uint64_t seed)
{
    fflush(stdout);
    child->seed = seed;
    child->pid = fork();
    if (child->pid != 0)
        return;
    char path[128];
    snprintf(path, sizeof(path), "%s/%u", disks, slot);
    disks_begin(path);
    run_seed(seed, false);
    exit(0);
}

/* Waits for any. False when it failed, which it has told unless it died of a signal. */
static bool child_wait(struct child *children, struct child **ret_child)
{
    int status = 0;
    pid_t pid = wait(&status);
    *ret_child = children[0].pid == pid ? &children[0] : &children[1];
    (*ret_child)->pid = 0;
    unsigned long long seed = (*ret_child)->seed;
    if (WIFSIGNALED(status))
        printf("seed %llu failed: signal %d\n", seed, WTERMSIG(status));
    if (status)
        printf("its trace: sarsen-sim --seed %llu\n", seed);
    return status == 0;
}

static int run_seeds(uint64_t first, uint64_t last)
{
    struct child children[2] = { 0 }, *free_one = &children[0];
    bool all_passed = true;
    unsigned n_running = 0;
    for (uint64_t seed = first; seed <= last && all_passed; seed++) {
        if (n_running == 2) {
            all_passed = child_wait(children, &free_one);
            n_running--;
            if (!all_passed)
                break;
        } else {
            free_one = &children[n_running];
        }
        child_start(free_one, (unsigned)(free_one - children), seed);
        n_running++;
    }
    for (; n_running > 0; n_running--)
        all_passed = child_wait(children, &free_one) && all_passed;
    if (!all_passed)
        return 1;
    printf(
        "%llu seeds: %llu steps, %llu starts, %llu writes done, %llu conflicts, %llu refused, "
        "%llu comparisons, %llu merged\n",
        (unsigned long long)(last - first + 1), (unsigned long long)all_totals->n_steps,
        (unsigned long long)all_totals->n_starts, (unsigned long long)all_totals->n_done,
        (unsigned long long)all_totals->n_conflicts, (unsigned long long)all_totals->n_refused,
        (unsigned long long)all_totals->n_checks, (unsigned long long)all_totals->n_merges);
    return 0;
}

static int usage(void)
{
    fputs("usage: sarsen-sim --seed N | --seeds A..B\n", stderr);
    return 2;
}

int main(int n_args, char **args)
{
    uint64_t first = 0, last = 0;
    bool is_one = n_args == 3 && strcmp(args[1], "--seed") == 0;
    struct span text = span_of(n_args == 3 ? args[2] : "");
    struct span from = span_cut(&text, '.');
    if (!is_one && (n_args != 3 || strcmp(args[1], "--seeds") != 0))
        return usage();
    if (!span_to_uint(from, UINT64_MAX, &first) ||
        (!is_one && !span_to_uint(span_from(text, 1), UINT64_MAX, &last)))
        return usage();

    log_setup(LOG_LEVEL_ERROR, false);
    all_totals =
        mmap(NULL, sizeof(*all_totals), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    setvbuf(stdout, NULL, _IOLBF, 0);
    disks_make();
    int status = 0;
    if (is_one)
        run_seed(first, true);
    else
        status = run_seeds(first, last);
    disks_remove();
    return status;
}
