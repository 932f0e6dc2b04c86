#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The system calls that serving takes. All others end the process.
 *
 * Threads: call it with one thread; those that are started later inherit it.
 */

#include <stdbool.h>

#include "base/compiler.h"

/* False when the kernel takes no filter; then nothing has changed. */
bool sandbox_limit_calls(void) MUST_CHECK;

/* Whether a sanitizer is built in, which looks at its own process as a debugger does. */
bool sandbox_is_sanitized(void);
