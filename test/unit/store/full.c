/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A disk that takes no more: played by a limit on the size of files, and by a pwrite(2) of ours that
 * fails; and a real one, which is small.
 */

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "store/fixture.h"

static void disk_fill(bool is_full)
{
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit;
    CHECK_INT(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = is_full ? 1 : limit.rlim_max;
    CHECK_INT(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void wait_writable(struct fixture *f)
{
    while (store_is_read_only(f->store))
        fixture_turn(f);
}

TEST(a_full_disk_makes_the_store_read_only_until_there_is_room)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    CHECK_INT(fixture_put(&f, "a", "before"), 0);
    disk_fill(true);
    CHECK_INT(fixture_put(&f, "a", "refused"), STORE_READ_ONLY);
    CHECK(store_is_read_only(f.store));
    CHECK_INT(fixture_delete(&f, "a"), STORE_READ_ONLY);
    CHECK_STR(fixture_get(&f, "a"), "before");
    CHECK_INT(store_revision(f.store), 1);

    disk_fill(false);
    wait_writable(&f);
    CHECK_INT(fixture_put(&f, "b", "after"), 0);
    CHECK_INT(store_revision(f.store), 2);
    fixture_reopen(&f);
    CHECK_STR(fixture_get(&f, "a"), "before");
    CHECK_STR(fixture_get(&f, "b"), "after");
    fixture_fini(&f);
}

TEST(a_group_is_refused_as_a_whole)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    CHECK_INT(fixture_put(&f, "a", "before"), 0);
    disk_fill(true);
    struct fixture_write first, second, third;
    struct txn txn = { 0 };
    txn_put(&txn, SPAN("a"), SPAN("1"));
    fixture_submit(&f, &first, &txn);
    txn_expect(&txn, SPAN("a"), 77);
    fixture_submit(&f, &second, &txn); /* would conflict: judged against what is not there */
    txn_put(&txn, SPAN("b"), SPAN("1"));
    fixture_submit(&f, &third, &txn);
    CHECK_INT(fixture_wait(&f, &third), STORE_READ_ONLY);
    CHECK_INT(first.answer, STORE_READ_ONLY);
    CHECK_INT(second.answer, STORE_READ_ONLY);
    disk_fill(false);
    wait_writable(&f);
    CHECK_INT(fixture_put(&f, "c", "1"), 0);
    CHECK_INT(store_revision(f.store), 2);
    fixture_fini(&f);
}

TEST(a_store_on_a_full_disk_opens_for_reading)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    CHECK_INT(fixture_put(&f, "a", "1"), 0);
    fixture_close(&f);
    disk_fill(true);
    fixture_open(&f);
    CHECK_STR(fixture_get(&f, "a"), "1");
    CHECK_INT(fixture_put(&f, "a", "2"), STORE_READ_ONLY);
    disk_fill(false);
    wait_writable(&f);
    CHECK_INT(fixture_put(&f, "a", "3"), 0);
    fixture_fini(&f);
}

static const struct ledger_column columns[] = { { "name", LEDGER_KEY_TEXT },
                                                { "count", LEDGER_SUM } };
static const struct ledger_table counts = { "counts", columns, 2, false };

static struct ledger_rows *count_row(int64_t count)
{
    struct ledger_rows *rows = ledger_rows_new(&counts);
    ledger_rows_add(rows, (struct ledger_cell[]){ { .text = SPAN("a") }, { .number = count } });
    return rows;
}

struct waiter {
    struct ledger_write write;
    struct ledger_read read;
    int answer;
    int64_t sum;
};

static void on_written(struct ledger_write *write, int answer)
{
    container_of(write, struct waiter, write)->answer = answer;
}

static void on_rows(struct ledger_read *read, const struct ledger_cell *cells, size_t n_rows)
{
    struct waiter *self = container_of(read, struct waiter, read);
    self->sum = n_rows ? cells[1].number : 0;
}

static int write_and_wait(struct fixture *f, struct waiter *waiter, int64_t count)
{
    waiter->answer = -1;
    waiter->write.on_done = on_written;
    ledger_submit(f->store, &waiter->write, count_row(count));
    while (waiter->answer < 0)
        fixture_turn(f);
    return waiter->answer;
}

static int64_t read_sum(struct fixture *f, struct waiter *waiter)
{
    waiter->sum = -1;
    waiter->read.table = &counts;
    waiter->read.on_rows = on_rows;
    ledger_submit_read(f->store, &waiter->read);
    while (waiter->sum < 0)
        fixture_turn(f);
    return waiter->sum;
}

TEST(the_ledger_refuses_who_waits_and_keeps_what_nobody_waits_for)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    struct waiter waiter = { 0 };
    disk_fill(true);
    ledger_submit(f.store, NULL, count_row(5));
    CHECK_INT(write_and_wait(&f, &waiter, 100), STORE_READ_ONLY);
    CHECK_INT(write_and_wait(&f, &waiter, 100), STORE_READ_ONLY);
    disk_fill(false);
    CHECK_INT(write_and_wait(&f, &waiter, 1), 0);
    CHECK_INT(read_sum(&f, &waiter), 6);
    fixture_reopen(&f);
    CHECK_INT(read_sum(&f, &waiter), 6);
    fixture_fini(&f);
}

static void on_blob(void *owner, int answer, const struct blob *blob)
{
    CHECK(!blob);
    *(int *)owner = answer;
}

TEST(a_blob_the_disk_refuses_is_never_finished)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    struct blob_writer *writer;
    CHECK_INT(blob_create(f.store, &writer), 0);
    disk_fill(true);
    CHECK_INT(blob_append(writer, SPAN("more than one byte")), STORE_READ_ONLY);
    disk_fill(false);
    CHECK_INT(blob_append(writer, SPAN("the rest")), STORE_READ_ONLY);
    int answer = -1;
    blob_finish(writer, on_blob, &answer);
    while (answer < 0)
        fixture_turn(&f);
    CHECK_INT(answer, STORE_READ_ONLY);
    fixture_fini(&f);
}

/* --- other errors --- */

static struct {
    char path[80]; /* below which writes fail */
    int error;     /* 0: they do not */
    bool is_short; /* half of the bytes are written first */
} disk;

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the header's are reserved */
__attribute__((visibility("default"))) ssize_t pwrite64(int fd, const void *data, size_t size,
                                                        off64_t offset)
{
    char link[32], target[256] = "";
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    int error = __atomic_load_n(&disk.error, __ATOMIC_SEQ_CST);
    if (error && readlink(link, target, sizeof(target) - 1) > 0 &&
        strncmp(target, disk.path, strlen(disk.path)) == 0) {
        if (disk.is_short && size > 1)
            return syscall(SYS_pwrite64, fd, data, size / 2, offset);
        errno = error;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, data, size, offset);
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */

static void disk_fail(int error, bool is_short)
{
    disk.is_short = is_short;
    __atomic_store_n(&disk.error, error, __ATOMIC_SEQ_CST);
}

TEST(a_disk_that_fails_is_read_only_for_as_long_as_it_does)
{
    static const int errors[] = { ENOSPC, EDQUOT, EIO };
    struct fixture f;
    fixture_init(&f);
    snprintf(disk.path, sizeof(disk.path), "%s", f.path);
    fixture_open(&f);
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        char value[16];
        snprintf(value, sizeof(value), "%zu", i);
        CHECK_INT(fixture_put(&f, "a", value), 0);
        disk_fail(errors[i], false);
        CHECK_INT(fixture_put(&f, "a", "refused"), STORE_READ_ONLY);
        CHECK_STR(fixture_get(&f, "a"), value);
        disk_fail(0, false);
        wait_writable(&f);
    }
    CHECK_INT(store_revision(f.store), 3);
    CHECK_INT(fixture_put(&f, "b", "after"), 0);
    fixture_reopen(&f);
    CHECK_STR(fixture_get(&f, "a"), "2");
    CHECK_STR(fixture_get(&f, "b"), "after");
    fixture_fini(&f);
}

/* --- a real one --- */

TEST(a_small_disk_fills_up_and_is_used_again_when_there_is_room)
{
    struct fixture f;
    if (unshare(CLONE_NEWNS) || mount("", "/", NULL, MS_PRIVATE | MS_REC, NULL))
        check_skip("this machine lets us make no namespaces of mounts");
    fixture_init(&f);
    CHECK_INT(mkdir(f.path, 0750), 0);
    CHECK_INT(mount("tmpfs", f.path, "tmpfs", 0, "size=6m"), 0);
    fixture_open(&f);
    static char big[100000];
    int answer = 0, n = 0;
    for (; !answer && n < 200; n++) {
        char key[16];
        snprintf(key, sizeof(key), "big/%d", n);
        struct txn txn = { 0 };
        txn_put(&txn, span_of(key), (struct span){ big, sizeof(big) });
        answer = fixture_commit(&f, &txn);
        CHECK((store_find(f.store, span_of(key)) != NULL) == (answer == 0));
    }
    CHECK_INT(answer, STORE_READ_ONLY);
    int64_t revision = store_revision(f.store);
    CHECK_INT(revision, n - 1);
    fixture_reopen(&f); /* which it can, though it is full */
    CHECK_INT(store_revision(f.store), revision);

    CHECK_INT(mount("", f.path, NULL, MS_REMOUNT, "size=60m"), 0);
    wait_writable(&f);
    CHECK_INT(fixture_put(&f, "a", "after"), 0);
    fixture_reopen(&f);
    CHECK_STR(fixture_get(&f, "a"), "after");
    CHECK_INT(store_revision(f.store), revision + 1);
    fixture_close(&f);
    CHECK_INT(umount(f.path), 0);
    fixture_fini(&f);
}
