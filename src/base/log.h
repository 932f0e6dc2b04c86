#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The program's own log: a constant message and key/value fields, one line a record, logfmt
 * (key=value, quoted and escaped where needed) or JSON lines on standard error.
 *
 *   log_warn("registry", "lease expired", "service", name, "instance", id);
 *
 * The sink never blocks its caller for long: a line is one write(2); what a full pipe refuses is
 * dropped and counted, and the next line that goes through says how many were lost.
 *
 * Threads: any. The level and format are set once, before threads start.
 */

#include <stdbool.h>

enum log_level {
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_INFO,
    LOG_LEVEL_WARN,
    LOG_LEVEL_ERROR,
};

void log_setup(enum log_level level, bool is_json);

/* Keys and values alternate; the list ends with NULL. A NULL value is written as empty. */
void log_write_(enum log_level level, const char *room, const char *message, ...)
    __attribute__((sentinel));

#define log_debug(room, ...) log_write_(LOG_LEVEL_DEBUG, (room), __VA_ARGS__, NULL)
#define log_info(room, ...) log_write_(LOG_LEVEL_INFO, (room), __VA_ARGS__, NULL)
#define log_warn(room, ...) log_write_(LOG_LEVEL_WARN, (room), __VA_ARGS__, NULL)
#define log_error(room, ...) log_write_(LOG_LEVEL_ERROR, (room), __VA_ARGS__, NULL)
