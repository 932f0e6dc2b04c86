#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * An arena: memory for one request, one command or one loaded document, freed at once.
 *
 *   struct arena arena = { 0 };   zero is a valid empty arena
 *
 * Owns:  its blocks. Threads: none of its own. Cost: allocation is a pointer bump.
 */

#include <stddef.h>

#include "base/compiler.h"
#include "base/span.h"

struct arena_block;

struct arena {
    struct arena_block *blocks; /* the newest first */
    size_t used, capacity;      /* of the newest */
};

void arena_fini(struct arena *arena);

/* Zeroed, aligned to 16. Never NULL. */
void *arena_alloc(struct arena *arena, size_t n, size_t size);
char *arena_strdup(struct arena *arena, const char *text);

/* A copy with a NUL behind it. */
struct span arena_span_dup(struct arena *arena, struct span span);
char *arena_format(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);

#define arena_new(arena, type) ((type *)arena_alloc((arena), 1, sizeof(type)))
#define arena_new_array(arena, type, n) ((type *)arena_alloc((arena), (n), sizeof(type)))
