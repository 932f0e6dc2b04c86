/* SPDX-License-Identifier: Apache-2.0 */

#include "store/head.h"

#include <fcntl.h>

#include "check.h"

struct place {
    char dir[64];
    int fd;
};

static struct place place_make(void)
{
    struct place place = { "/tmp/sarsen-head-XXXXXX", -1 };
    CHECK(mkdtemp(place.dir));
    place.fd = open(place.dir, O_RDONLY | O_DIRECTORY);
    return place;
}

static void place_remove(struct place *place)
{
    unlinkat(place->fd, "head", 0);
    close(place->fd);
    rmdir(place->dir);
}

static void flip(struct place *place, off_t at)
{
    int fd = openat(place->fd, "head", O_RDWR);
    char byte;
    CHECK_INT(pread(fd, &byte, 1, at), 1);
    byte ^= 0x10;
    CHECK_INT(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

TEST(the_newest_head_is_read_back)
{
    struct place place = place_make();
    struct head head = { .id = "0123456789abcde" }, back = { 0 };
    CHECK_INT(head_open(&back, place.fd, "head"), HEAD_ABSENT);
    CHECK_INT(head_create(&head, place.fd, "head"), 0);
    for (int64_t revision = 0; revision < 5; revision++) {
        CHECK_INT(head_open(&back, place.fd, "head"), 0);
        CHECK_INT(back.revision, revision);
        CHECK_INT(back.chain, (uint32_t)revision * 7);
        CHECK_STR((const char *)back.id, "0123456789abcde");
        head_close(&back);
        CHECK_INT(head_write(&head, revision + 1, ((uint32_t)revision + 1) * 7), 0);
    }
    head_close(&head);
    place_remove(&place);
}

TEST(a_torn_write_leaves_the_head_before)
{
    struct place place = place_make();
    struct head head = { 0 }, back = { 0 };
    CHECK_INT(head_create(&head, place.fd, "head"), 0);
    CHECK_INT(head_write(&head, 10, 1), 0); /* at 4096 */
    CHECK_INT(head_write(&head, 20, 2), 0); /* at 0 */
    head_close(&head);
    for (off_t at = 0; at < 48; at++) {
        flip(&place, at);
        CHECK_INT(head_open(&back, place.fd, "head"), 0);
        CHECK_INT(back.revision, 10);
        head_close(&back);
        flip(&place, at);
    }
    CHECK_INT(head_open(&back, place.fd, "head"), 0);
    CHECK_INT(back.revision, 20);
    head_close(&back);
    place_remove(&place);
}

TEST(two_bad_slots_are_bad)
{
    struct place place = place_make();
    struct head head = { 0 }, back = { 0 };
    CHECK_INT(head_create(&head, place.fd, "head"), 0);
    CHECK_INT(head_write(&head, 10, 1), 0);
    head_close(&head);
    flip(&place, 5);
    flip(&place, 4096 + 40);
    CHECK_INT(head_open(&back, place.fd, "head"), HEAD_BAD);
    head_close(&back);
    place_remove(&place);
}
