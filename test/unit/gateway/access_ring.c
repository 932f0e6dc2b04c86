/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/access_ring.h"

#include "check.h"

static struct span line_of(char byte, size_t size)
{
    static char line[64];
    memset(line, byte, size);
    return (struct span){ line, size };
}

/* All that can be read, given back to the writer. */
static const char *read_all(struct access_ring *ring)
{
    static char text[128];
    struct span parts[2];
    size_t size = access_ring_peek(ring, parts);
    CHECK_INT(parts[0].size + parts[1].size, size);
    snprintf(text, sizeof(text), "%.*s%.*s", SPAN_ARG(parts[0]), SPAN_ARG(parts[1]));
    access_ring_consume(ring, size);
    return text;
}

TEST(what_is_put_is_read_when_it_is_published)
{
    struct access_ring ring = { 0 };
    access_ring_init(&ring, 16);
    access_ring_put(&ring, line_of('a', 3));
    access_ring_put(&ring, line_of('b', 2));
    CHECK_INT(access_ring_unpublished(&ring), 5);
    CHECK_STR(read_all(&ring), "");
    access_ring_publish(&ring);
    CHECK_INT(access_ring_unpublished(&ring), 0);
    CHECK_STR(read_all(&ring), "aaabb");
    CHECK_STR(read_all(&ring), "");
    access_ring_fini(&ring);
}

TEST(lines_go_over_the_end)
{
    struct access_ring ring = { 0 };
    access_ring_init(&ring, 16);
    for (unsigned i = 0; i < 100; i++) {
        access_ring_put(&ring, line_of((char)('a' + i % 26), 5));
        access_ring_publish(&ring);
        char want[8];
        snprintf(want, sizeof(want), "%.*s", SPAN_ARG(line_of((char)('a' + i % 26), 5)));
        CHECK_STR(read_all(&ring), want);
    }
    CHECK_INT(ring.n_dropped, 0);
    access_ring_fini(&ring);
}

TEST(a_line_without_room_is_dropped_whole)
{
    struct access_ring ring = { 0 };
    access_ring_init(&ring, 16);
    access_ring_put(&ring, line_of('a', 10));
    access_ring_put(&ring, line_of('b', 7));
    access_ring_put(&ring, line_of('c', 6));
    access_ring_put(&ring, line_of('d', 1));
    access_ring_publish(&ring);
    CHECK_INT(ring.n_dropped, 2);
    CHECK_STR(read_all(&ring), "aaaaaaaaaacccccc");
    access_ring_put(&ring, line_of('e', 16));
    access_ring_publish(&ring);
    CHECK_STR(read_all(&ring), "eeeeeeeeeeeeeeee");
    CHECK_INT(ring.n_dropped, 2);
    access_ring_fini(&ring);
}

/* The writer must not go by what it knew long ago, or it would wake the reader for every line. */
TEST(half_full_is_what_the_reader_left)
{
    struct access_ring ring = { 0 };
    access_ring_init(&ring, 16);
    for (unsigned i = 0; i < 20; i++) {
        access_ring_put(&ring, line_of('a', 8));
        CHECK(!access_ring_is_half_full(&ring));
        access_ring_put(&ring, line_of('b', 1));
        CHECK(access_ring_is_half_full(&ring));
        access_ring_publish(&ring);
        read_all(&ring);
        CHECK(!access_ring_is_half_full(&ring));
    }
    access_ring_fini(&ring);
}
