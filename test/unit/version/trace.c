/* SPDX-License-Identifier: Apache-2.0 */

#include "version/trace.h"

#include "check.h"

TEST(without_a_trace_nothing_is_told)
{
    trace_add(NULL, "pin", SPAN("shop"), "never %s", "seen");
}

TEST(a_step_keeps_what_fits)
{
    static struct resolve_trace trace;
    char longest[512];
    memset(longest, 'x', sizeof(longest));
    trace_add(&trace, "pin", (struct span){ longest, sizeof(longest) }, "%.*s", 512, longest);
    CHECK_INT(trace.n_steps, 1);
    CHECK_STR(trace.steps[0].rule, "pin");
    CHECK_INT(strlen(trace.steps[0].subject), sizeof(trace.steps[0].subject) - 1);
    CHECK_INT(strlen(trace.steps[0].text), sizeof(trace.steps[0].text) - 1);
}

TEST(a_full_trace_says_so)
{
    static struct resolve_trace trace;
    for (unsigned i = 0; i < RESOLVE_TRACE_MAX + 5; i++)
        trace_add(&trace, "rollout", SPAN("r"), "step %u", i);
    CHECK_INT(trace.n_steps, RESOLVE_TRACE_MAX);
    CHECK_STR(trace.steps[RESOLVE_TRACE_MAX - 2].text, "step 126");
    CHECK(strstr(trace.steps[RESOLVE_TRACE_MAX - 1].text, "more was looked at"));
}
