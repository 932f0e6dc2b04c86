/* SPDX-License-Identifier: Apache-2.0 */

/*
 * kill -9 at random moments. A child writes and says which writes were acknowledged; after its
 * end the store must have all of these, and whatever else it has must be the next ones in order.
 */

#include <poll.h>
#include <signal.h>
#include <sys/random.h>

#include "store/fixture.h"

enum {
    N_ROUNDS = 40,
    N_SLOTS = 100,
    N_IN_FLIGHT = 16
};

static const struct ledger_column columns[] = { { "number", LEDGER_KEY_INT } };
static const struct ledger_table audit = { "audit", columns, 1, true };

/* What the child says: the newest revision, and the newest audit row, that it was told of. */
struct told {
    int64_t revision, audited;
};

struct child {
    struct fixture *fixture;
    int told_fd;
    struct told told;
    int64_t next;
};

struct child_write {
    struct store_write write;
    struct child *child;
};

struct child_audit {
    struct ledger_write write;
    struct child *child;
    int64_t number;
};

static void child_tell(const struct child *child)
{
    struct told told = child->told;
    CHECK_INT(write(child->told_fd, &told, sizeof(told)), sizeof(told));
}

static void child_on_audited(struct ledger_write *write, int answer)
{
    struct child_audit *self = container_of(write, struct child_audit, write);
    CHECK_INT(answer, 0);
    self->child->told.audited = self->number;
    child_tell(self->child);
    free(self);
}

static void child_audit(struct child *child, int64_t number)
{
    struct ledger_rows *rows = ledger_rows_new(&audit);
    ledger_rows_add(rows, &(struct ledger_cell){ .number = number });
    struct child_audit *self = mem_new(struct child_audit);
    self->write.on_done = child_on_audited;
    self->child = child;
    self->number = number;
    ledger_submit(child->fixture->store, &self->write, rows);
}

static void child_submit(struct child_write *self);

static void child_on_done(struct store_write *write, int answer, int64_t revision)
{
    struct child_write *self = container_of(write, struct child_write, write);
    CHECK_INT(answer, 0);
    self->child->told.revision = revision;
    child_tell(self->child);
    if (revision % 10 == 0)
        child_audit(self->child, revision);
    child_submit(self);
}

/* Write n makes revision n: it puts n under "last" and into one of the slots. */
static void child_submit(struct child_write *self)
{
    char key[16], value[24];
    int64_t n = self->child->next++;
    snprintf(key, sizeof(key), "slot/%03d", (int)(n % N_SLOTS));
    snprintf(value, sizeof(value), "%lld", (long long)n);
    struct txn txn = { 0 };
    txn_put(&txn, SPAN("last"), span_of(value));
    txn_put(&txn, span_of(key), span_of(value));
    self->write.on_done = child_on_done;
    store_submit(self->child->fixture->store, &self->write, &txn);
}

_Noreturn static void child_run(struct fixture *f, int told_fd)
{
    fixture_open(f);
    struct child child = { .fixture = f, .told_fd = told_fd };
    child.told.revision = store_revision(f->store);
    child.next = child.told.revision + 1;
    struct child_write writes[N_IN_FLIGHT];
    for (int i = 0; i < N_IN_FLIGHT; i++) {
        writes[i].child = &child;
        child_submit(&writes[i]);
    }
    IGNORE(loop_run(f->loop), "the parent ends it");
    _exit(1);
}

/* Lets the child go on for up to `msec`, kills it, and returns the last thing it said. */
static struct told run_and_kill(struct fixture *f, struct told told, int msec)
{
    int fds[2];
    CHECK_INT(pipe(fds), 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        child_run(f, fds[1]);
    close(fds[1]);

    struct pollfd ready = { .fd = fds[0], .events = POLLIN };
    nsec end = clock_now(clock_system()) + (nsec)msec * NSEC_PER_MSEC;
    bool is_killed = false;
    struct told heard;
    for (;;) {
        nsec now = clock_now(clock_system());
        if (!is_killed && now >= end) {
            kill(pid, SIGKILL);
            is_killed = true;
        }
        if (!is_killed && poll(&ready, 1, (int)((end - now) / NSEC_PER_MSEC) + 1) == 0)
            continue;
        ssize_t n = read(fds[0], &heard, sizeof(heard)); /* whole: one write each */
        if (n == 0)
            break;
        CHECK_INT(n, sizeof(heard));
        told.revision = heard.revision;
        if (heard.audited)
            told.audited = heard.audited;
    }
    close(fds[0]);
    int status;
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return told;
}

struct audit_reading {
    struct ledger_read read;
    int64_t newest;
    bool is_done;
};

static void on_audit_rows(struct ledger_read *read, const struct ledger_cell *cells, size_t n_rows)
{
    struct audit_reading *self = container_of(read, struct audit_reading, read);
    for (size_t i = 0; i < n_rows; i++)
        self->newest = cells[i].number;
    self->is_done = true;
}

static void check_survived(struct fixture *f, struct told told)
{
    fixture_open(f);
    int64_t revision = store_revision(f->store);
    CHECK(revision >= told.revision);
    for (int64_t n = revision; n > 0 && n > revision - N_SLOTS; n--) {
        char key[16], value[24];
        snprintf(key, sizeof(key), "slot/%03d", (int)(n % N_SLOTS));
        snprintf(value, sizeof(value), "%lld", (long long)n);
        CHECK_STR(fixture_get(f, key), value);
        if (n == revision)
            CHECK_STR(fixture_get(f, "last"), value);
    }
    struct audit_reading reading = { .read = { .table = &audit, .limit = 1 } };
    reading.read.on_rows = on_audit_rows;
    ledger_submit_read(f->store, &reading.read);
    while (!reading.is_done)
        fixture_turn(f);
    CHECK(reading.newest >= told.audited);
    fixture_close(f);
}

TEST(every_acknowledged_write_survives_kill_9)
{
    struct fixture f;
    alarm(100); /* many stores are opened */
    fixture_init(&f);
    f.settings.keep_revisions = 300; /* compacts, too */
    unsigned seed;
    CHECK_INT(getrandom(&seed, sizeof(seed), 0), sizeof(seed));
    printf("# seed %u\n", seed);
    srandom(seed);

    struct told told = { 0 };
    for (int round = 0; round < N_ROUNDS; round++) {
        told = run_and_kill(&f, told, (int)(random() % 160)); /* some while it opens */
        check_survived(&f, told);
    }
    printf("# %lld writes acknowledged\n", (long long)told.revision);
    CHECK(told.revision > N_ROUNDS);
    fixture_fini(&f);
}
