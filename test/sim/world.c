/* SPDX-License-Identifier: Apache-2.0 */

#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "loop.h"

struct world world;

static uint64_t chance_state;

void world_begin(uint64_t seed, bool is_traced)
{
    world = (struct world){ .seed = seed, .now = 3600 * SECOND, .is_traced = is_traced };
    chance_state = seed;
}

void world_end(void)
{
    heap_fini(&world.events);
    arena_fini(&world.arena);
}

/* --- chance --- */

/* splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014). */
uint64_t chance_number(void)
{
    uint64_t z = chance_state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

unsigned chance_below(unsigned n)
{
    return (unsigned)(chance_number() % n);
}

bool chance(unsigned per_mille)
{
    return chance_below(1000) < per_mille;
}

nsec chance_time(nsec from, nsec to)
{
    return from + chance_number() % (to - from + 1);
}

nsec chance_delay(void)
{
    if (chance(20))
        return chance_time(5 * MSEC, 300 * MSEC);
    return chance_time(50000, 2 * MSEC);
}

/* --- what is due --- */

void world_at(struct world_event *event, nsec at)
{
    heap_set(&world.events, &event->node, at > world.now ? at : world.now);
}

void world_cancel(struct world_event *event)
{
    heap_remove(&world.events, &event->node);
}

bool world_step(nsec until)
{
    struct heap_node *first = heap_first(&world.events);
    nsec event_at = first ? first->at : NSEC_NEVER, loop_at;
    struct loop *loop = loops_next(&loop_at);
    nsec at = earlier(event_at, loop_at);
    if (at > until || at == NSEC_NEVER) {
        world.now = until > world.now && until != NSEC_NEVER ? until : world.now;
        return false;
    }

    world.now = at > world.now ? at : world.now;
    if (loop_at < event_at) {
        loop_take_turn(loop);
    } else {
        struct world_event *event = container_of(first, struct world_event, node);
        world_cancel(event);
        event->on_due(event);
    }
    return true;
}

/* --- what is told --- */

void trace(const char *format, ...)
{
    if (!world.is_traced)
        return;
    va_list args;
    va_start(args, format);
    nsec since = world.now - 3600 * SECOND;
    printf("%3u.%06u ", (unsigned)(since / SECOND), (unsigned)(since % SECOND / 1000));
    vprintf(format, args);
    putchar('\n');
    va_end(args);
}

void world_fail(const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    trace("FAILED: %s", text);
    printf("seed %llu failed: %s\n", (unsigned long long)world.seed, text);
    fflush(stdout);
    _exit(1);
}
