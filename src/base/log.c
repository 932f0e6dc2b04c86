/* SPDX-License-Identifier: Apache-2.0 */

#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define LOG_LINE_MAX 2048u

static enum log_level log_level = LOG_LEVEL_INFO;
static bool log_is_json;
static atomic_ulong log_dropped;

static const char *const level_names[] = { "debug", "info", "warn", "error" };

/* One line under construction; a field that does not fit whole is cut at the end of the line. */
struct line {
    char text[LOG_LINE_MAX];
    size_t size;
};

static void line_byte(struct line *line, char byte)
{
    if (line->size < sizeof(line->text) - 4)
        line->text[line->size++] = byte;
}

static void line_text(struct line *line, const char *text)
{
    while (*text)
        line_byte(line, *text++);
}

/* The escapes are JSON's (RFC 8259 section 7), which logfmt readers accept as well. */
static void line_quoted(struct line *line, const char *text)
{
    line_byte(line, '"');
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\') {
            line_byte(line, '\\');
            line_byte(line, *text);
        } else if (byte < 0x20 || byte == 0x7f) {
            char escape[8];
            snprintf(escape, sizeof(escape), "\\u%04x", byte);
            line_text(line, escape);
        } else {
            line_byte(line, *text);
        }
    }
    line_byte(line, '"');
}

static bool is_plain(const char *text)
{
    if (!*text)
        return false;
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte <= ' ' || byte == '"' || byte == '=' || byte == '\\' || byte >= 0x7f)
            return false;
    }
    return true;
}

static void line_field(struct line *line, const char *key, const char *value)
{
    if (line->size)
        line_byte(line, log_is_json ? ',' : ' ');
    if (log_is_json) {
        line_quoted(line, key);
        line_byte(line, ':');
        line_quoted(line, value);
    } else {
        line_text(line, key);
        line_byte(line, '=');
        if (is_plain(value))
            line_text(line, value);
        else
            line_quoted(line, value);
    }
}

static void line_send(struct line *line)
{
    if (log_is_json)
        line->text[line->size++] = '}';
    line->text[line->size++] = '\n';
    if (write(STDERR_FILENO, line->text, line->size) != (ssize_t)line->size)
        atomic_fetch_add(&log_dropped, 1);
}

void log_setup(enum log_level level, bool is_json)
{
    log_level = level;
    log_is_json = is_json;
}

void log_write_(enum log_level level, const char *room, const char *message, ...)
{
    if (level < log_level)
        return;

    struct line line = { .size = 0 };
    unix_msec wall = clock_wall(clock_system());
    time_t seconds = (time_t)(wall / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    char when[48];
    size_t n = strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(when + n, sizeof(when) - n, ".%03dZ", (int)(wall % 1000));

    line_field(&line, "time", when);
    line_field(&line, "level", level_names[level]);
    line_field(&line, "room", room);
    line_field(&line, "msg", message);

    va_list args;
    va_start(args, message);
    for (const char *key; (key = va_arg(args, const char *));) {
        const char *value = va_arg(args, const char *);
        line_field(&line, key, value ? value : "");
    }
    va_end(args);

    unsigned long dropped = atomic_exchange(&log_dropped, 0);
    if (dropped) {
        char count[24];
        snprintf(count, sizeof(count), "%lu", dropped);
        line_field(&line, "dropped_before", count);
    }
    if (log_is_json) {
        memmove(line.text + 1, line.text, line.size);
        line.text[0] = '{';
        line.size++;
    }
    line_send(&line);
}
