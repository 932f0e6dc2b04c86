#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A store in a directory of its own, and calls that turn the loop until the answer is there.
 */

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "check.h"
#include "store/store.h"

struct fixture {
    char dir[64], path[80];
    struct loop *loop;
    struct store *store;
    struct store_settings settings;
    struct problem problem;
};

static inline void fixture_init(struct fixture *fixture)
{
    *fixture = (struct fixture){ 0 };
    /* In memory where there is such a place: what a sync costs is the machine's, not under test. */
    snprintf(fixture->dir, sizeof(fixture->dir), "%s/sarsen-store-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    CHECK(mkdtemp(fixture->dir));
    snprintf(fixture->path, sizeof(fixture->path), "%s/data", fixture->dir);
    fixture->settings.path = fixture->path;
    fixture->loop = loop_new(clock_system());
}

static inline int fixture_try_open(struct fixture *fixture)
{
    return store_open(fixture->loop, &fixture->settings, &fixture->store, &fixture->problem);
}

static inline void fixture_open(struct fixture *fixture)
{
    int r = fixture_try_open(fixture);
    if (r)
        printf("# %s %s\n", fixture->problem.path, fixture->problem.text);
    CHECK_INT(r, 0);
}

static inline void fixture_close(struct fixture *fixture)
{
    fixture->store = store_close(fixture->store);
}

static inline void fixture_reopen(struct fixture *fixture)
{
    fixture_close(fixture);
    fixture_open(fixture);
}

static inline int fixture_remove(const char *path, const struct stat *info, int kind,
                                 struct FTW *walk)
{
    (void)info;
    (void)kind;
    (void)walk;
    return remove(path);
}

static inline void fixture_fini(struct fixture *fixture)
{
    fixture_close(fixture);
    loop_free(fixture->loop);
    nftw(fixture->dir, fixture_remove, 8, FTW_DEPTH | FTW_PHYS);
}

static inline void fixture_turn(struct fixture *fixture)
{
    CHECK_INT(loop_turn(fixture->loop, NSEC_PER_SEC), 0);
}

/* --- one write after the other --- */

struct fixture_write {
    struct store_write write;
    int answer; /* -1 until it is there */
    int64_t revision;
};

static inline void fixture_on_done(struct store_write *write, int answer, int64_t revision)
{
    struct fixture_write *self = container_of(write, struct fixture_write, write);
    self->answer = answer;
    self->revision = revision;
}

static inline void fixture_submit(struct fixture *fixture, struct fixture_write *write,
                                  struct txn *txn)
{
    *write = (struct fixture_write){ .write.on_done = fixture_on_done, .answer = -1 };
    store_submit(fixture->store, &write->write, txn);
}

static inline int fixture_wait(struct fixture *fixture, struct fixture_write *write)
{
    while (write->answer < 0)
        fixture_turn(fixture);
    return write->answer;
}

static inline int fixture_commit(struct fixture *fixture, struct txn *txn)
{
    struct fixture_write write;
    fixture_submit(fixture, &write, txn);
    return fixture_wait(fixture, &write);
}

static inline int fixture_put(struct fixture *fixture, const char *key, const char *value)
{
    struct txn txn = { 0 };
    txn_put(&txn, span_of(key), span_of(value));
    return fixture_commit(fixture, &txn);
}

static inline int fixture_delete(struct fixture *fixture, const char *key)
{
    struct txn txn = { 0 };
    txn_delete(&txn, span_of(key));
    return fixture_commit(fixture, &txn);
}

/* The value as text, "(absent)" without one; good until the next call. */
static inline const char *fixture_get(struct fixture *fixture, const char *key)
{
    static char text[256];
    const struct store_entry *entry = store_find(fixture->store, span_of(key));
    snprintf(text, sizeof(text), "%.*s", SPAN_ARG(entry ? entry->value : SPAN("(absent)")));
    return text;
}
