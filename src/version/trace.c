/* SPDX-License-Identifier: Apache-2.0 */

#include "version/trace.h"

#include <stdarg.h>
#include <stdio.h>

void trace_add(struct resolve_trace *trace, const char *rule, struct span subject,
               const char *format, ...)
{
    if (!trace || trace->n_steps == RESOLVE_TRACE_MAX)
        return;

    unsigned i = trace->n_steps++;
    if (trace->n_steps == RESOLVE_TRACE_MAX) {
        trace->steps[i].rule = rule;
        snprintf(trace->steps[i].subject, sizeof(trace->steps[i].subject), "%s", "");
        snprintf(trace->steps[i].text, sizeof(trace->steps[i].text),
                 "more was looked at than a trace of %u steps holds", RESOLVE_TRACE_MAX);
        return;
    }
    trace->steps[i].rule = rule;
    snprintf(trace->steps[i].subject, sizeof(trace->steps[i].subject), "%.*s", SPAN_ARG(subject));
    va_list args;
    va_start(args, format);
    vsnprintf(trace->steps[i].text, sizeof(trace->steps[i].text), format, args);
    va_end(args);
}
