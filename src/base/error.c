/* SPDX-License-Identifier: Apache-2.0 */

#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

int err_report_(int r, const char *step, const char *func, const char *file, int line)
{
    char where[192];
    snprintf(where, sizeof(where), "%s:%d %s", file, line, func);
    log_debug("fault", step, "at", where, "error", strerror(-r));
    return r;
}

void problem_set(struct problem *problem, const char *path, const char *format, ...)
{
    if (!problem)
        return;

    snprintf(problem->path, sizeof(problem->path), "%s", path);
    va_list args;
    va_start(args, format);
    vsnprintf(problem->text, sizeof(problem->text), format, args);
    va_end(args);
}
