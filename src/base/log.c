/* SPDX-License-Identifier: Apache-2.0 */

#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"

#define LOG_LINE_MAX 2048u

static enum log_level log_level = LOG_LEVEL_INFO;
static bool log_is_json;
static atomic_ulong log_dropped;

static const char *const level_names[] = { "debug", "info", "warn", "error" };

/* The bytes kept for what ends a line: the quote of a value, two braces, the newline. */
#define LOG_LINE_END 4u

/* One line under construction. What does not fit is cut between two characters, and no field
 * follows it: quotes are always closed, so that every line can be read by machines. */
struct line {
    char text[LOG_LINE_MAX];
    size_t size;
    bool is_cut;
};

/* Bytes that may still come; a closing quote may have taken one of those kept. */
static size_t line_room(const struct line *line)
{
    const size_t end = sizeof(line->text) - LOG_LINE_END;
    return line->size < end ? end - line->size : 0;
}

static void line_bytes(struct line *line, const char *bytes, size_t size)
{
    if (line->is_cut || size > line_room(line)) {
        line->is_cut = true;
        return;
    }
    memcpy(line->text + line->size, bytes, size);
    line->size += size;
}

static void line_text(struct line *line, const char *text)
{
    line_bytes(line, text, strlen(text));
}

/* One character, of which `size` bytes are there; 0 for a byte that is none. The escapes are
 * JSON's (RFC 8259 section 7), which logfmt readers accept as well. */
static void line_character(struct line *line, const char *text, size_t size)
{
    unsigned char byte = (unsigned char)*text;
    char escape[8] = { '\\', *text };
    if (size == 0) {
        line_text(line, "\\ufffd");
    } else if (byte == '"' || byte == '\\') {
        line_bytes(line, escape, 2);
    } else if (byte < 0x20 || byte == 0x7f) {
        line_bytes(line, escape, (size_t)snprintf(escape, sizeof(escape), "\\u%04x", byte));
    } else {
        line_bytes(line, text, size);
    }
}

static void line_quoted(struct line *line, const char *text)
{
    line_bytes(line, "\"", 1);
    while (*text && !line->is_cut) {
        size_t size = utf8_size(text);
        line_character(line, text, size);
        text += size ? size : 1;
    }
    line->text[line->size++] = '"'; /* within LOG_LINE_END */
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

static void line_value(struct line *line, const char *value)
{
    if (!log_is_json && is_plain(value)) {
        for (; *value && !line->is_cut; value++)
            line_bytes(line, value, 1);
    } else {
        line_quoted(line, value);
    }
}

static void line_field(struct line *line, const char *key, const char *value)
{
    /* The key is the program's own: plain, and only worth having with some of its value. */
    size_t needed = strlen(key) + sizeof(",\"\":\"x");
    if (line->is_cut || needed > line_room(line)) {
        line->is_cut = true;
        return;
    }
    if (line->size)
        line_bytes(line, log_is_json ? "," : " ", 1);
    if (log_is_json) {
        line_quoted(line, key);
        line_bytes(line, ":", 1);
    } else {
        line_text(line, key);
        line_bytes(line, "=", 1);
    }
    line_value(line, value);
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
    /* Early in the line: what is cut from it must not be the count. */
    unsigned long dropped = atomic_exchange(&log_dropped, 0);
    if (dropped) {
        char count[24];
        snprintf(count, sizeof(count), "%lu", dropped);
        line_field(&line, "dropped_before", count);
    }
    line_field(&line, "msg", message);

    va_list args;
    va_start(args, message);
    for (const char *key; (key = va_arg(args, const char *));) {
        const char *value = va_arg(args, const char *);
        line_field(&line, key, value ? value : "");
    }
    va_end(args);

    if (log_is_json) {
        memmove(line.text + 1, line.text, line.size);
        line.text[0] = '{';
        line.size++;
    }
    line_send(&line);
}
