/* SPDX-License-Identifier: Apache-2.0 */

#include "io/file.h"

#include <fcntl.h>

#include "check.h"

/* A directory of the test's own, removed with the names given to close_folder(). */
static char folder[] = "/tmp/sarsen-file-XXXXXX";

static int open_folder(void)
{
    CHECK(mkdtemp(folder));
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(fd >= 0);
    return fd;
}

static void close_folder(int fd, const char *name)
{
    unlinkat(fd, name, 0);
    close(fd);
    CHECK_INT(rmdir(folder), 0); /* fails when anything else was left behind */
}

TEST(what_is_written_is_read_back_with_its_mode)
{
    int dir = open_folder();
    CHECK_INT(file_write(dir, "token", SPAN("one"), 0600), 0);
    CHECK_INT(file_write(dir, "token", SPAN("second\0text"), 0640), 0);

    CLEANUP(buf_fini) struct buf bytes = { .limit = 64 };
    CHECK_INT(file_read(dir, "token", &bytes), 0);
    CHECK(span_equals(buf_span(&bytes), SPAN("second\0text")));
    struct stat info;
    CHECK_INT(fstatat(dir, "token", &info, 0), 0);
    CHECK_INT(info.st_mode & 07777, 0640);
    close_folder(dir, "token");
}

TEST(absent_and_too_large_are_answers)
{
    int dir = open_folder();
    CLEANUP(buf_fini) struct buf bytes = { .limit = 4 };
    CHECK_INT(file_read(dir, "none", &bytes), FILE_ABSENT);
    CHECK_INT(file_write(dir, "five", SPAN("12345"), 0600), 0);
    CHECK_INT(file_read(dir, "five", &bytes), FILE_TOO_LARGE);
    close_folder(dir, "five");
}

TEST(a_failed_write_keeps_the_old_file_and_leaves_nothing)
{
    int dir = open_folder();
    CHECK_INT(mkdirat(dir, "name", 0700), 0);
    CHECK_INT(mkdirat(dir, "name/full", 0700), 0);
    CHECK(file_write(dir, "name", SPAN("x"), 0600) < 0);
    CHECK_INT(unlinkat(dir, "name/full", AT_REMOVEDIR), 0);
    CHECK_INT(unlinkat(dir, "name", AT_REMOVEDIR), 0);
    close_folder(dir, "name.new");
}

TEST(a_left_over_link_is_not_followed)
{
    int dir = open_folder();
    CHECK_INT(file_write(dir, "victim", SPAN("safe"), 0600), 0);
    CHECK_INT(symlinkat("victim", dir, "name.new"), 0);
    CHECK_INT(file_write(dir, "name", SPAN("x"), 0600), 0);

    CLEANUP(buf_fini) struct buf bytes = { .limit = 64 };
    CHECK_INT(file_read(dir, "victim", &bytes), 0);
    CHECK(span_equals(buf_span(&bytes), SPAN("safe")));
    CHECK_INT(unlinkat(dir, "victim", 0), 0);
    close_folder(dir, "name");
}

TEST(a_directory_is_made_once_and_a_file_is_not_taken_for_one)
{
    int dir = open_folder();
    CHECK_INT(dir_make(dir, "data", 0750), 0);
    CHECK_INT(dir_make(dir, "data", 0750), 0);
    CHECK_INT(file_write(dir, "data/file", SPAN("x"), 0600), 0);
    CHECK(dir_make(dir, "data/file", 0750) < 0);
    CHECK_INT(unlinkat(dir, "data/file", 0), 0);
    CHECK_INT(unlinkat(dir, "data", AT_REMOVEDIR), 0);
    close_folder(dir, "data");
}
