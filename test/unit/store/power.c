/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Power cuts. The system calls fsync and fdatasync are ours: each copies the file as it is then
 * into a second directory, which so holds what a disk that forgets all else would hold. A cut
 * opens a store from there, or from a mixture in which every sector that was not synced is, by
 * chance, the old or the new one.
 */

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/random.h>

#include "base/buf.h"
#include "base/hash.h"
#include "io/file.h"
#include "store/fixture.h"

#define SECTOR 512u

static struct {
    pthread_mutex_t lock;
    char live[80], synced[80];
    bool fails;
    unsigned fails_at; /* the so manieth call and all after it; 0: none does */
    unsigned n_calls, n_syncs;
} disk = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void copy_file(const char *from_dir, const char *to_dir, const char *name)
{
    int from = open(from_dir, O_RDONLY | O_DIRECTORY), to = open(to_dir, O_RDONLY | O_DIRECTORY);
    CLEANUP(buf_fini) struct buf bytes = { 0 };
    if (file_read(from, name, &bytes) == 0) {
        int fd = openat(to, name, O_WRONLY | O_CREAT | O_TRUNC, 0640);
        CHECK_INT(write(fd, bytes.data, bytes.size), bytes.size);
        close(fd);
    }
    close(from);
    close(to);
}

/* A name changes when its directory is synced. */
static void sync_names(void)
{
    char fresh[128], from[128], to[128];
    snprintf(fresh, sizeof(fresh), "%s/store.head.new", disk.live);
    snprintf(from, sizeof(from), "%s/store.head.new", disk.synced);
    snprintf(to, sizeof(to), "%s/store.head", disk.synced);
    if (access(fresh, F_OK) < 0)
        rename(from, to);
}

static int disk_sync(int fd)
{
    unsigned call = __atomic_add_fetch(&disk.n_calls, 1, __ATOMIC_SEQ_CST);
    if (disk.fails || (disk.fails_at && call >= disk.fails_at)) {
        errno = EIO;
        return -1;
    }
    char link[32], target[256] = "";
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    CHECK(readlink(link, target, sizeof(target) - 1) > 0);
    size_t size = strlen(disk.live);
    if (size == 0 || strncmp(target, disk.live, size) != 0)
        return 0;

    pthread_mutex_lock(&disk.lock);
    disk.n_syncs++;
    if (target[size] == '/' && !strchr(target + size + 1, '/'))
        copy_file(disk.live, disk.synced, target + size + 1);
    sync_names();
    pthread_mutex_unlock(&disk.lock);
    return 0;
}

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the header's are reserved */
__attribute__((visibility("default"))) int fsync(int fd)
{
    return disk_sync(fd);
}

__attribute__((visibility("default"))) int fdatasync(int fd)
{
    return disk_sync(fd);
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */

static void disk_init(struct fixture *f)
{
    snprintf(disk.synced, sizeof(disk.synced), "%s/synced", f->dir);
    CHECK_INT(mkdir(disk.synced, 0750), 0);
    snprintf(disk.live, sizeof(disk.live), "%s", f->path);
}

/* Each sector of `bytes` becomes, by chance, that of the live file. */
static void mix_file(const char *dir, const char *name)
{
    int dir_fd = open(dir, O_RDONLY | O_DIRECTORY), live_fd = open(disk.live, O_RDONLY);
    CLEANUP(buf_fini) struct buf live = { 0 };
    int fd = openat(dir_fd, name, O_WRONLY | O_CREAT, 0640);
    if (file_read(live_fd, name, &live) == 0) {
        for (size_t at = 0; at < live.size; at += SECTOR) {
            struct span sector = span_first(span_from(buf_span(&live), at), SECTOR);
            if (random() % 2)
                CHECK_INT(pwrite(fd, sector.data, sector.size, (off_t)at), sector.size);
        }
    }
    close(fd);
    close(dir_fd);
    close(live_fd);
}

/* What is on the disk when the power goes now. */
static void disk_cut(const char *dir, bool is_mixed)
{
    static const char *const names[] = { "store.db", "store.db-wal", "store.head", "ledger.db",
                                         "ledger.db-wal" };
    nftw(dir, fixture_remove, 8, FTW_DEPTH | FTW_PHYS);
    CHECK_INT(mkdir(dir, 0750), 0);
    pthread_mutex_lock(&disk.lock);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        copy_file(disk.synced, dir, names[i]);
        if (is_mixed)
            mix_file(dir, names[i]);
    }
    pthread_mutex_unlock(&disk.lock);
}

static void put_number(struct txn *txn, int64_t n, struct span filler)
{
    char key[16], value[24];
    snprintf(key, sizeof(key), "filler/%d", (int)(n % 7));
    snprintf(value, sizeof(value), "%lld", (long long)n);
    txn_put(txn, SPAN("last"), span_of(value));
    txn_put(txn, span_of(key), filler);
}

static void check_after_cut(const char *dir, int64_t acknowledged)
{
    struct fixture f = { .settings.path = dir, .loop = loop_new(clock_system()) };
    fixture_open(&f);
    CHECK(store_revision(f.store) >= acknowledged);
    char value[24];
    snprintf(value, sizeof(value), "%lld", (long long)store_revision(f.store));
    CHECK_STR(fixture_get(&f, "last"), value);
    fixture_close(&f);
    loop_free(f.loop);
}

TEST(every_acknowledged_write_survives_a_power_cut)
{
    struct fixture f;
    alarm(100); /* many stores are opened */
    fixture_init(&f);
    disk_init(&f);
    f.settings.keep_revisions = 20;
    fixture_open(&f);
    unsigned seed;
    CHECK_INT(getrandom(&seed, sizeof(seed), 0), sizeof(seed));
    printf("# seed %u\n", seed);
    srandom(seed);

    /* About 100 pages of log a write, so that checkpoints come often. */
    static char filler[200000];
    hash_random(filler, sizeof(filler));
    static struct fixture_write writes[3 * 30];
    char dir[128];
    snprintf(dir, sizeof(dir), "%s/cut", f.dir);
    for (int n = 1; n <= 3 * 30; n += 3) {
        for (int i = 0; i < 3; i++) {
            struct txn txn = { 0 };
            size_t size = (size_t)random() % sizeof(filler);
            put_number(&txn, n + i, (struct span){ filler, size });
            fixture_submit(&f, &writes[n + i - 1], &txn);
        }
        CHECK_INT(fixture_wait(&f, &writes[n - 1]), 0); /* two more may be on their way */
        int64_t acknowledged = store_revision(f.store);
        disk_cut(dir, n % 2);
        check_after_cut(dir, acknowledged);
    }
    fixture_fini(&f);
}

TEST(an_acknowledged_write_costs_two_syncs)
{
    struct fixture f;
    fixture_init(&f);
    disk_init(&f);
    fixture_open(&f);
    CHECK_INT(fixture_put(&f, "a", "1"), 0);
    unsigned before = disk.n_syncs;
    CHECK_INT(fixture_put(&f, "a", "2"), 0);
    CHECK_INT(disk.n_syncs - before, 2); /* the log and the head */
    fixture_fini(&f);
}

TEST(a_failed_sync_ends_the_process_before_anyone_is_told)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    CHECK_INT(fixture_put(&f, "a", "1"), 0);
    fixture_close(&f);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        fixture_open(&f);
        disk.fails = true;
        fixture_put(&f, "a", "2");
        _exit(1); /* told */
    }
    int status;
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK(WIFSIGNALED(status));
    CHECK_INT(WTERMSIG(status), SIGABRT);
    fixture_fini(&f);
}

/* --- each sync in its turn --- */

enum {
    HAS_CLOSED = 3, /* and has been told of no failure */
    NOT_OPENED = 4,
    N_ROUNDS_OF_SYNCS = 6
};

static const struct ledger_column columns[] = { { "number", LEDGER_KEY_INT } };
static const struct ledger_table audit = { "audit", columns, 1, true };

struct auditor {
    struct ledger_write write;
    int answer;
};

static void on_audited(struct ledger_write *write, int answer)
{
    container_of(write, struct auditor, write)->answer = answer;
}

static void audit_number(struct fixture *f, int64_t n)
{
    struct auditor auditor = { .write.on_done = on_audited, .answer = -1 };
    struct ledger_rows *rows = ledger_rows_new(&audit);
    ledger_rows_add(rows, &(struct ledger_cell){ .number = n });
    ledger_submit(f->store, &auditor.write, rows);
    while (auditor.answer < 0)
        fixture_turn(f);
}

/* Tells each revision that was acknowledged, on `told_fd`. */
_Noreturn static void write_until_a_sync_fails(struct fixture *f, int told_fd)
{
    static char filler[200000];
    signal(SIGABRT, SIG_DFL);
    IGNORE(!freopen("/dev/null", "w", stderr), "each failure is logged");
    hash_random(filler, sizeof(filler));
    if (fixture_try_open(f))
        _exit(NOT_OPENED);
    for (int64_t n = 1; n <= N_ROUNDS_OF_SYNCS; n++) {
        struct txn txn = { 0 };
        put_number(&txn, n, (struct span){ filler, sizeof(filler) });
        CHECK_INT(fixture_commit(f, &txn), 0);
        CHECK_INT(write(told_fd, &n, sizeof(n)), sizeof(n));
        if (n % 3 == 0)
            audit_number(f, n);
    }
    fixture_close(f);
    _exit(disk.n_calls >= disk.fails_at ? HAS_CLOSED : 0);
}

/* True while there is such a sync. */
static bool fail_sync(unsigned at)
{
    struct fixture f;
    fixture_init(&f);
    disk_init(&f);
    f.settings.keep_revisions = 5;
    disk.fails_at = at;
    disk.n_calls = 0;
    int fds[2], status;
    CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        write_until_a_sync_fails(&f, fds[1]);
    close(fds[1]);
    int64_t told = 0, next;
    while (read(fds[0], &next, sizeof(next)) == sizeof(next))
        told = next;
    close(fds[0]);
    CHECK_INT(waitpid(pid, &status, 0), pid);
    bool has_aborted = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
    if (!has_aborted)
        CHECK(WIFEXITED(status) &&
              (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == NOT_OPENED ||
               (WEXITSTATUS(status) == HAS_CLOSED && told == N_ROUNDS_OF_SYNCS)));
    disk.fails_at = 0;
    if (told) {
        char dir[128];
        snprintf(dir, sizeof(dir), "%s/cut", f.dir);
        disk_cut(dir, at % 2);
        check_after_cut(dir, told);
    }
    nftw(f.dir, fixture_remove, 8, FTW_DEPTH | FTW_PHYS);
    loop_free(f.loop);
    return has_aborted || WEXITSTATUS(status) != 0;
}

TEST(whichever_sync_fails_what_was_told_is_there_and_no_more_is_told)
{
    unsigned at = 1;
    alarm(100);
    while (fail_sync(at))
        at++;
    printf("# %u syncs\n", at - 1);
    CHECK(at > 2 * N_ROUNDS_OF_SYNCS);
}
