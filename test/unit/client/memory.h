#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Memory that runs out at the n-th request, for the client and for jansson alike.
 */

#include <jansson.h>

#include "client/client.h"

struct scarce {
    struct client_memory memory;
    unsigned n_left; /* requests that still succeed */
    unsigned n_held;
};

static inline void *scarce_resize(void *owner, void *block, size_t size)
{
    struct scarce *scarce = owner;
    if (!size) {
        scarce->n_held--;
        free(block);
        return NULL;
    }
    if (!scarce->n_left)
        return NULL;
    scarce->n_left--;
    scarce->n_held += !block;
    return realloc(block, size);
}

static inline void scarce_init(struct scarce *scarce, unsigned n_left)
{
    *scarce = (struct scarce){ .memory = { scarce_resize, scarce }, .n_left = n_left };
}

/* jansson takes functions without an owner; a case is a process, so one count is enough. */
static unsigned json_n_left;

static inline void *json_malloc_scarce(size_t size)
{
    if (!json_n_left)
        return NULL;
    json_n_left--;
    return malloc(size);
}
