/* SPDX-License-Identifier: Apache-2.0 */

#include "store/fixture.h"

struct finishing {
    int answer;
    struct blob blob;
};

static void on_finished(void *owner, int answer, const struct blob *blob)
{
    struct finishing *self = owner;
    self->answer = answer;
    CHECK_INT(!blob, answer != 0);
    if (blob)
        self->blob = *blob;
}

static struct finishing finish(struct fixture *f, struct blob_writer *writer)
{
    struct finishing finishing = { .answer = -1 };
    blob_finish(writer, on_finished, &finishing);
    CHECK_INT(finishing.answer, -1);
    while (finishing.answer < 0)
        fixture_turn(f);
    return finishing;
}

static size_t count_files(struct fixture *f, const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", f->path, name);
    DIR *dir = opendir(path);
    CHECK(dir);
    size_t n = 0;
    const struct dirent *entry;
    while ((entry = readdir(dir)))
        n += entry->d_name[0] != '.';
    closedir(dir);
    return n;
}

TEST(a_blob_lies_under_the_hash_of_its_bytes)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    struct blob_writer *writer;
    CHECK_INT(blob_create(f.store, &writer), 0);
    CHECK_INT(blob_append(writer, SPAN("a")), 0);
    CHECK_INT(blob_append(writer, SPAN("")), 0);
    CHECK_INT(blob_append(writer, SPAN("bc")), 0);
    struct finishing finishing = finish(&f, writer);
    CHECK_INT(finishing.answer, 0);
    CHECK_INT(finishing.blob.size, 3);
    /* FIPS 180-4's own example. */
    CHECK_STR(finishing.blob.sha256,
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK_STR(finishing.blob.integrity,
              "sha384-ywB1P0WjXou1oD1pmsZQBycsMqsO3tFjGotgWkP/W+2AhgcroefMI1i67KE0yCWn");

    char path[256], bytes[8] = { 0 };
    snprintf(path, sizeof(path), "%s/blobs/ba/%s", f.path, finishing.blob.sha256 + 2);
    int fd = open(path, O_RDONLY);
    CHECK_INT(read(fd, bytes, sizeof(bytes)), 3);
    CHECK_STR(bytes, "abc");
    struct stat info;
    CHECK_INT(fstat(fd, &info), 0);
    CHECK_INT(info.st_mode & 0777 & ~0640, 0);
    close(fd);
    CHECK_INT(count_files(&f, "blobs"), 1);
    fixture_fini(&f);
}

TEST(the_same_bytes_make_one_blob)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    for (int i = 0; i < 2; i++) {
        struct blob_writer *writer;
        CHECK_INT(blob_create(f.store, &writer), 0);
        CHECK_INT(blob_append(writer, SPAN("abc")), 0);
        CHECK_INT(finish(&f, writer).answer, 0);
    }
    CHECK_INT(count_files(&f, "blobs/ba"), 1);
    CHECK_INT(count_files(&f, "blobs"), 1);
    fixture_fini(&f);
}

TEST(an_empty_blob_is_a_blob)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    struct blob_writer *writer;
    CHECK_INT(blob_create(f.store, &writer), 0);
    struct finishing finishing = finish(&f, writer);
    CHECK_INT(finishing.answer, 0);
    CHECK_INT(finishing.blob.size, 0);
    CHECK_STR(finishing.blob.sha256,
              "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    fixture_fini(&f);
}

TEST(a_dropped_blob_leaves_nothing)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    struct blob_writer *writer;
    CHECK_INT(blob_create(f.store, &writer), 0);
    CHECK_INT(blob_append(writer, SPAN("abc")), 0);
    CHECK_INT(count_files(&f, "blobs"), 1);
    CHECK(!blob_free(writer));
    CHECK(!blob_free(NULL));
    CHECK_INT(count_files(&f, "blobs"), 0);
    fixture_fini(&f);
}

TEST(what_a_crash_left_goes_at_the_next_open)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    fixture_close(&f);
    char path[128];
    snprintf(path, sizeof(path), "%s/blobs/new-0123456789abcdef", f.path);
    close(open(path, O_WRONLY | O_CREAT, 0640));
    CHECK_INT(count_files(&f, "blobs"), 1);
    fixture_open(&f);
    CHECK_INT(count_files(&f, "blobs"), 0);
    fixture_fini(&f);
}
