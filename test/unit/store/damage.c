/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Whatever happens to the files, a store opens with everything that was acknowledged or not at
 * all.
 */

#include <sqlite3.h>

#include "base/buf.h"
#include "io/file.h"
#include "store/fixture.h"

enum {
    N_KEYS = 40,
    N_WRITES = 60
};

static const char *const file_names[] = { "store.db", "store.db-wal", "store.head", "ledger.db",
                                          "ledger.db-wal" };
enum {
    N_FILES = sizeof(file_names) / sizeof(*file_names)
};

/* A store's files as bytes, so that each case starts from the same. */
struct image {
    struct buf bytes[N_FILES];
    bool exists[N_FILES];
};

static void image_take(struct image *image, struct fixture *f)
{
    int dir_fd = open(f->path, O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < N_FILES; i++) {
        image->bytes[i] = (struct buf){ 0 };
        image->exists[i] = file_read(dir_fd, file_names[i], &image->bytes[i]) == 0;
    }
    close(dir_fd);
}

static void image_restore(const struct image *image, struct fixture *f)
{
    int dir_fd = open(f->path, O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < N_FILES; i++) {
        unlinkat(dir_fd, file_names[i], 0);
        if (!image->exists[i])
            continue;
        int fd = openat(dir_fd, file_names[i], O_WRONLY | O_CREAT, 0640);
        CHECK_INT(write(fd, image->bytes[i].data, image->bytes[i].size), image->bytes[i].size);
        close(fd);
    }
    close(dir_fd);
}

static void image_fini(struct image *image)
{
    for (int i = 0; i < N_FILES; i++)
        buf_fini(&image->bytes[i]);
}

/* 60 writes over 40 keys, the first 20 of which then have version 2, and two deletes. */
static void fill(struct fixture *f)
{
    for (int i = 0; i < N_WRITES; i++) {
        char key[16], value[64];
        snprintf(key, sizeof(key), "key/%03d", i % N_KEYS);
        snprintf(value, sizeof(value), "the value of write %d, long enough to fill pages", i);
        CHECK_INT(fixture_put(f, key, value), 0);
    }
    CHECK_INT(fixture_delete(f, "key/000"), 0);
    CHECK_INT(fixture_delete(f, "key/039"), 0);
}

static void check_filled(struct fixture *f)
{
    CHECK_INT(store_revision(f->store), N_WRITES + 2);
    const struct store_entry *entries[N_KEYS];
    CHECK_INT(store_range(f->store, SPAN_NULL, SPAN_NULL, entries, N_KEYS), N_KEYS - 2);
    for (int i = 1; i < N_KEYS - 1; i++) {
        int last = i < N_WRITES - N_KEYS ? i + N_KEYS : i;
        char key[16], value[64];
        snprintf(key, sizeof(key), "key/%03d", i);
        snprintf(value, sizeof(value), "the value of write %d, long enough to fill pages", last);
        CHECK_STR(fixture_get(f, key), value);
        CHECK_INT(store_find(f->store, span_of(key))->mod_revision, last + 1);
    }
}

/* Opens; returns whether it refused, which it must do with a sentence. */
static bool refuses(struct fixture *f)
{
    f->problem = (struct problem){ 0 };
    int r = fixture_try_open(f);
    if (r == 0) {
        check_filled(f);
        fixture_close(f);
        return false;
    }
    if (r != STORE_CORRUPT)
        printf("# %d: %s %s\n", r, f->problem.path, f->problem.text);
    CHECK_INT(r, STORE_CORRUPT);
    CHECK(f->problem.path[0] && f->problem.text[0]);
    CHECK(!f->store);
    return true;
}

/* Flips one bit at each of the places and counts how often that was noticed. */
static int count_refusals(struct fixture *f, struct image *image, int file, size_t step)
{
    int n = 0;
    for (size_t at = 0; at < image->bytes[file].size; at += at < 100 ? 1 : step) {
        char whole = image->bytes[file].data[at];
        image->bytes[file].data[at] = (char)(whole ^ (char)(1u << at % 8));
        image_restore(image, f);
        n += refuses(f);
        image->bytes[file].data[at] = whole;
    }
    return n;
}

TEST(a_flipped_bit_in_the_database_is_noticed_or_harmless)
{
    struct fixture f;
    alarm(100); /* many stores are opened */
    fixture_init(&f);
    fixture_open(&f);
    fill(&f);
    fixture_close(&f);
    struct image image;
    image_take(&image, &f);
    CHECK(!image.exists[1]); /* a closed store has no log */
    CHECK(image.bytes[0].size > 16384);
    CHECK(count_refusals(&f, &image, 0, 211) > 50);
    image_restore(&image, &f);
    CHECK(!refuses(&f));
    image_fini(&image);
    fixture_fini(&f);
}

TEST(a_flipped_bit_in_the_log_is_noticed_or_harmless)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    fill(&f);
    struct image image;
    image_take(&image, &f); /* as kill -9 would leave it */
    fixture_close(&f);
    CHECK(image.bytes[1].size > 100000);
    CHECK(count_refusals(&f, &image, 1, 4999) > 50);
    image_restore(&image, &f);
    CHECK(!refuses(&f));
    image_fini(&image);
    fixture_fini(&f);
}

/* One slot is enough, and each is whole in itself. */
TEST(a_flipped_bit_in_the_head_is_noticed_or_harmless)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    fill(&f);
    fixture_close(&f);
    struct image image;
    image_take(&image, &f);
    CHECK(image.bytes[2].size >= 4096 + 48);
    int n_refused = 0;
    for (size_t at = 0; at < 4096 + 48; at += at == 47 ? 4096 - 47 : 1) {
        for (int bit = 0; bit < 8; bit += 3) {
            char whole = image.bytes[2].data[at];
            image.bytes[2].data[at] = (char)(whole ^ (char)(1u << bit));
            image_restore(&image, &f);
            n_refused += refuses(&f);
            image.bytes[2].data[at] = whole;
        }
    }
    CHECK_INT(n_refused, 0);
    memset(image.bytes[2].data, 'x', image.bytes[2].size);
    image_restore(&image, &f);
    CHECK(refuses(&f));
    image_fini(&image);
    fixture_fini(&f);
}

TEST(a_log_cut_anywhere_is_noticed)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    fill(&f);
    struct image image;
    image_take(&image, &f);
    fixture_close(&f);
    size_t whole = image.bytes[1].size;
    for (size_t size = 0; size < whole; size += 7001) {
        image.bytes[1].size = size;
        image_restore(&image, &f);
        CHECK(refuses(&f));
    }
    image.bytes[1].size = whole - 1;
    image_restore(&image, &f);
    CHECK(refuses(&f));
    image.bytes[1].size = whole;
    image_fini(&image);
    fixture_fini(&f);
}

TEST(garbage_behind_the_log_is_what_a_torn_write_leaves)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    fill(&f);
    struct image image;
    image_take(&image, &f);
    fixture_close(&f);
    for (int i = 0; i < 1000; i++)
        buf_puts(&image.bytes[1], "torn write ");
    image_restore(&image, &f);
    CHECK(!refuses(&f));
    image_fini(&image);
    fixture_fini(&f);
}

TEST(a_database_that_lost_its_end_is_refused_with_both_revisions)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    CHECK_INT(fixture_put(&f, "a", "1"), 0);
    struct image before, after;
    image_take(&before, &f);
    fill(&f);
    fixture_close(&f);
    image_take(&after, &f);

    struct image mixed = before;
    mixed.bytes[2] = after.bytes[2];
    image_restore(&mixed, &f);
    CHECK_INT(fixture_try_open(&f), STORE_CORRUPT);
    CHECK(strstr(f.problem.path, "store.db"));
    CHECK(strstr(f.problem.text, "ends at revision 1, but revision 63 was acknowledged"));
    CHECK(strstr(f.problem.text, "restore"));

    /* The other way round is a crash between the commit and the head file. */
    mixed = after;
    mixed.bytes[2] = before.bytes[2];
    image_restore(&mixed, &f);
    fixture_open(&f);
    CHECK_INT(store_revision(f.store), 63);
    fixture_close(&f);
    image_fini(&before);
    image_take(&before, &f); /* the head has caught up */
    mixed = before;
    mixed.exists[0] = false;
    image_restore(&mixed, &f);
    CHECK_INT(fixture_try_open(&f), STORE_CORRUPT);
    image_fini(&before);
    image_fini(&after);
    fixture_fini(&f);
}

TEST(a_missing_or_foreign_head_file_is_refused)
{
    struct fixture f, other;
    fixture_init(&f);
    fixture_open(&f);
    fill(&f);
    fixture_close(&f);
    fixture_init(&other);
    fixture_open(&other);
    fill(&other);
    fixture_close(&other);

    struct image image, foreign;
    image_take(&image, &f);
    image_take(&foreign, &other);
    struct image mixed = image;
    mixed.exists[2] = false;
    image_restore(&mixed, &f);
    CHECK(refuses(&f));
    CHECK(strstr(f.problem.path, "store.head"));
    CHECK(strstr(f.problem.text, "is missing"));

    mixed = image;
    mixed.bytes[2] = foreign.bytes[2];
    image_restore(&mixed, &f);
    CHECK(refuses(&f));
    CHECK(strstr(f.problem.text, "another store.db"));
    image_fini(&image);
    image_fini(&foreign);
    fixture_fini(&f);
    fixture_fini(&other);
}

/* Changes that leave the file sound for SQLite. */
static void meddle(struct fixture *f, const char *statement)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/store.db", f->path);
    sqlite3 *db;
    CHECK_INT(sqlite3_open(path, &db), SQLITE_OK);
    CHECK_INT(sqlite3_exec(db, statement, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

TEST(changes_made_behind_our_back_are_noticed)
{
    static const char *const statements[] = {
        "DELETE FROM entry WHERE key = CAST('key/007' AS BLOB)",
        "UPDATE entry SET value = CAST('forged' AS BLOB) WHERE key = CAST('key/007' AS BLOB)",
        "UPDATE entry SET version = version + 1 WHERE key = CAST('key/007' AS BLOB)",
        "UPDATE entry SET key = CAST('key/zzz' AS BLOB) WHERE key = CAST('key/007' AS BLOB)",
        "INSERT INTO entry VALUES(CAST('new' AS BLOB), x'00', 1, 1, 1, 1)",
        "DELETE FROM revision WHERE id = 1",
        "DELETE FROM revision WHERE id = 30",
        "DELETE FROM revision WHERE id = (SELECT max(id) FROM revision)",
        "DELETE FROM revision",
        "DELETE FROM revision; DELETE FROM entry",
        "UPDATE revision SET record = zeroblob(40) WHERE id = 30",
        "UPDATE revision SET chain = chain + 1 WHERE id = 62",
        "UPDATE meta SET value = 5 WHERE name = 'compacted'",
        "UPDATE meta SET value = 62 WHERE name = 'compacted'; DELETE FROM revision",
        "UPDATE meta SET value = randomblob(16) WHERE name = 'id'",
        "DELETE FROM meta WHERE name = 'id'",
        "DROP TABLE entry",
        "PRAGMA user_version = 2",
    };
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    fill(&f);
    fixture_close(&f);
    struct image image;
    image_take(&image, &f);
    for (size_t i = 0; i < sizeof(statements) / sizeof(*statements); i++) {
        image_restore(&image, &f);
        meddle(&f, statements[i]);
        if (!refuses(&f))
            printf("# not noticed: %s\n", statements[i]);
        image_restore(&image, &f);
        meddle(&f, statements[i]);
        CHECK(refuses(&f));
    }
    image_fini(&image);
    fixture_fini(&f);
}

TEST(a_file_that_is_missing_or_empty_is_refused)
{
    static const struct {
        const char *name;
        bool is_removed;
    } cases[] = {
        { "store.db", true }, { "store.db", false }, { "ledger.db", true }, { "ledger.db", false }
    };
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    fixture_close(&f);
    struct image image;
    image_take(&image, &f);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        image_restore(&image, &f);
        char path[128];
        snprintf(path, sizeof(path), "%s/%s", f.path, cases[i].name);
        CHECK_INT(cases[i].is_removed ? unlink(path) : truncate(path, 0), 0);
        CHECK_INT(fixture_try_open(&f), STORE_CORRUPT);
        CHECK_STR(f.problem.path, path);
        CHECK(strstr(f.problem.text, "is missing or empty"));
    }
    image_fini(&image);
    fixture_fini(&f);
}

TEST(a_file_that_is_no_database_is_refused)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    fixture_close(&f);
    static const char *const names[] = { "store.db", "ledger.db" };
    struct image image;
    image_take(&image, &f);
    for (size_t i = 0; i < 2; i++) {
        image_restore(&image, &f);
        int dir_fd = open(f.path, O_RDONLY | O_DIRECTORY);
        CHECK_INT(file_write(dir_fd, names[i], SPAN("this is no database at all"), 0640), 0);
        close(dir_fd);
        CHECK_INT(fixture_try_open(&f), STORE_CORRUPT);
        CHECK(strstr(f.problem.path, names[i]));
    }
    image_fini(&image);
    fixture_fini(&f);
}
