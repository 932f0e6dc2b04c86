/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/pressure.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>

#include "base/log.h"
#include "daemon/resources.h"

#define LOOK_EVERY (250 * NSEC_PER_MSEC)
#define TRIM_EVERY (2 * NSEC_PER_SEC)
#define TELL_EVERY (10 * NSEC_PER_SEC)
#define HYSTERESIS 5u

static const unsigned marks[] = { 80, 90, 95 }; /* percent, of the levels above none */

static const char *const level_texts[] = {
    [HTTP_PRESSURE_NONE] = "connections are kept",
    [HTTP_PRESSURE_NO_KEEP_ALIVE] = "connections are not kept",
    [HTTP_PRESSURE_SHED] = "new requests get 503",
    [HTTP_PRESSURE_CLOSE_IDLE] = "new requests get 503, idle connections are closed",
};

enum http_pressure pressure_level(enum http_pressure before, uint64_t used, uint64_t limit)
{
    uint64_t percent = used / (limit / 100 + 1);
    enum http_pressure level = HTTP_PRESSURE_NONE;
    for (unsigned i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
        unsigned mark = before > i ? marks[i] - HYSTERESIS : marks[i];
        if (percent >= mark)
            level = (enum http_pressure)(i + 1);
    }
    return level;
}

static void tell_level(const struct pressure *pressure, uint64_t used)
{
    char used_text[24], limit_text[24];
    snprintf(used_text, sizeof(used_text), "%" PRIu64 "MiB", used >> 20);
    snprintf(limit_text, sizeof(limit_text), "%" PRIu64 "MiB", pressure->limit >> 20);
    if (pressure->level) {
        log_warn("daemon", "memory is short", "used", used_text, "limit", limit_text, "so",
                 level_texts[pressure->level]);
    } else {
        log_info("daemon", "memory is not short any more", "used", used_text, "limit", limit_text,
                 "so", level_texts[pressure->level]);
    }
}

static void look_at_memory(struct pressure *pressure)
{
    uint64_t used = resources_resident();
    nsec now = loop_now(pressure->loop);
    if (!used)
        return; /* there was no descriptor to look with */

    enum http_pressure level = pressure_level(pressure->level, used, pressure->limit);
    if (level && now >= pressure->trimmed_at + TRIM_EVERY) {
        pressure->trimmed_at = now;
        malloc_trim(0);
    }
    bool is_new = level != pressure->level;
    pressure->level = level;
    if (is_new)
        tell_level(pressure, used);
    /* More connections may have become idle. */
    if (is_new || level == HTTP_PRESSURE_CLOSE_IDLE)
        gateway_set_pressure(pressure->gateway, level);
}

static void look_at_refusals(struct pressure *pressure)
{
    struct gateway_load load = gateway_load(pressure->gateway);
    nsec now = loop_now(pressure->loop);
    if (load.n_refused == pressure->n_refused || now < pressure->told_at + TELL_EVERY)
        return;
    char count[24];
    snprintf(count, sizeof(count), "%" PRIu64, load.n_refused - pressure->n_refused);
    pressure->n_refused = load.n_refused;
    pressure->told_at = now;
    log_warn("gateway", "clients were refused: they, or one address, have too many connections",
             "count", count);
}

static void on_due(struct timer *timer)
{
    struct pressure *pressure = container_of(timer, struct pressure, timer);
    look_at_memory(pressure);
    look_at_refusals(pressure);
    timer_start(timer, pressure->loop, loop_now(pressure->loop) + LOOK_EVERY);
}

void pressure_start(struct pressure *pressure, struct loop *loop, struct gateway *gateway,
                    uint64_t limit)
{
    pressure->loop = loop;
    pressure->gateway = gateway;
    pressure->timer.on_due = on_due;
    pressure_set_limit(pressure, limit);
    timer_start(&pressure->timer, loop, loop_now(loop) + LOOK_EVERY);
}

void pressure_set_limit(struct pressure *pressure, uint64_t limit)
{
    pressure->limit = limit ? limit : resources_memory();
}

void pressure_stop(struct pressure *pressure)
{
    timer_stop(&pressure->timer);
}
