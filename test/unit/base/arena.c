/* SPDX-License-Identifier: Apache-2.0 */

#include "base/arena.h"

#include "check.h"

TEST(pieces_are_apart_aligned_and_zero)
{
    struct arena arena = { 0 };
    unsigned char *pieces[300];
    for (unsigned i = 0; i < 300; i++) {
        size_t size = i * 37 % 6000; /* some are larger than a block */
        pieces[i] = arena_alloc(&arena, size, 1);
        CHECK((uintptr_t)pieces[i] % 16 == 0);
        for (size_t at = 0; at < size; at++)
            CHECK_INT(pieces[i][at], 0);
        memset(pieces[i], (int)(i % 256), size);
    }
    for (unsigned i = 0; i < 300; i++) {
        for (size_t at = 0; at < i * 37 % 6000; at++)
            CHECK_INT(pieces[i][at], i % 256);
    }
    arena_fini(&arena);
    CHECK(!arena.blocks);
    arena_fini(&arena);
}

TEST(texts)
{
    struct arena arena = { 0 };
    char text[] = "abc";
    char *copy = arena_strdup(&arena, text);
    struct span span = arena_span_dup(&arena, (struct span){ text, 2 });
    struct span empty = arena_span_dup(&arena, SPAN_NULL);
    text[0] = 'x';
    CHECK_STR(copy, "abc");
    CHECK(span_is(span, "ab") && span.data[2] == 0);
    CHECK(empty.data && !empty.size && empty.data[0] == 0);
    CHECK_STR(arena_format(&arena, "%s-%05d", "a", 42), "a-00042");
    CHECK_INT(strlen(arena_format(&arena, "%9999d", 1)), 9999);
    CHECK_STR(arena_strdup(&arena, ""), "");
    long *numbers = arena_new_array(&arena, long, 3);
    CHECK_INT(numbers[2], 0);
    arena_fini(&arena);
}
