/* SPDX-License-Identifier: Apache-2.0 */

#include "base/error.h"

#include <fcntl.h>

#include "base/log.h"
#include "check.h"

static int born(void)
{
    return err_origin(-EIO);
}

static int passed(void)
{
    return err_trace(born());
}

TEST(codes_pass_unchanged)
{
    int saved = dup(STDERR_FILENO), sink = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(sink, STDERR_FILENO);
    int fault = passed(), folded_answer = err_fold(3), folded_fault = err_fold(-EIO);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(sink);
    CHECK_INT(fault, -EIO);
    CHECK_INT(folded_answer, -ENOTRECOVERABLE);
    CHECK_INT(folded_fault, -EIO);
    CHECK_INT(err_trace(0), 0);
    CHECK_INT(err_trace(2), 2); /* an answer of the same module */
    CHECK_INT(err_fold(0), 0);
}

TEST(a_fault_says_where)
{
    int ends[2], saved = dup(STDERR_FILENO);
    CHECK_INT(pipe2(ends, O_CLOEXEC), 0);
    dup2(ends[1], STDERR_FILENO);
    log_setup(LOG_LEVEL_DEBUG, false);
    CHECK_INT(passed(), -EIO);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[1]);
    char text[4096] = "";
    size_t size = 0;
    for (ssize_t n; (n = read(ends[0], text + size, sizeof(text) - 1 - size)) > 0;)
        size += (size_t)n;
    close(ends[0]);
    CHECK(strstr(text, "born"));
    CHECK(strstr(text, "passed"));
    CHECK(strstr(text, "error.c"));
}

TEST(problems)
{
    struct problem problem = { .line = 7 };
    problem_set(&problem, "a.b[2]", "is %d; a number from %d to %d is accepted", 7, 0, 5);
    CHECK_STR(problem.path, "a.b[2]");
    CHECK_STR(problem.text, "is 7; a number from 0 to 5 is accepted");
    CHECK_INT(problem.line, 7);

    char longer[1000];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = 0;
    problem_set(&problem, longer, "%s", longer);
    CHECK_INT(strlen(problem.path), sizeof(problem.path) - 1);
    CHECK_INT(strlen(problem.text), sizeof(problem.text) - 1);
    problem_set(NULL, "a", "b");
}
