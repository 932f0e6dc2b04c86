/* SPDX-License-Identifier: Apache-2.0 */

#include "base/mem.h"

#include "check.h"

TEST(allocation)
{
    int *numbers = mem_new_array(int, 100);
    for (int i = 0; i < 100; i++)
        CHECK_INT(numbers[i], 0);
    numbers = mem_resize(numbers, 200, sizeof(int));
    numbers[199] = 1;
    free(numbers);
    void *nothing = mem_zalloc(0, 8);
    CHECK(nothing);
    nothing = mem_resize(nothing, 0, 8);
    CHECK(nothing);
    free(nothing);
}

TEST(texts)
{
    CLEANUP(mem_freep) char *copy = mem_strdup("abc");
    CLEANUP(mem_freep) char *part = mem_span_dup((struct span){ "abc", 2 });
    CLEANUP(mem_freep) char *none = mem_span_dup(SPAN_NULL);
    CLEANUP(mem_freep) char *made = mem_format("%s-%d", "a", 42);
    CHECK_STR(copy, "abc");
    CHECK_STR(part, "ab");
    CHECK_STR(none, "");
    CHECK_STR(made, "a-42");
}

TEST(growing)
{
    size_t n = 0, capacity = 0;
    int *numbers = NULL;
    for (int i = 0; i < 1000; i++) {
        mem_grow(numbers, n, capacity);
        numbers[n++] = i;
    }
    CHECK(capacity >= 1000 && capacity < 4000);
    for (int i = 0; i < 1000; i++)
        CHECK_INT(numbers[i], i);
    free(numbers);
}

TEST(steal_leaves_null)
{
    CLEANUP(mem_freep) char *text = mem_strdup("abc");
    char *taken = steal(text);
    CHECK(!text);
    CHECK_STR(taken, "abc");
    free(taken);
}

/* A request that cannot be met ends the process, also where the product overflows. */
TEST(exhaustion_aborts)
{
    for (int i = 0; i < 2; i++) {
        pid_t child = fork();
        if (child == 0) {
            IGNORE(!freopen("/dev/null", "w", stderr), "the message is not looked at");
            if (i == 0)
                mem_exhausted(1);
            volatile size_t many = SIZE_MAX / 2;
            free(mem_resize(NULL, many, 4));
            _exit(0);
        }
        int status;
        CHECK_INT(waitpid(child, &status, 0), child);
        CHECK(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
    }
}
