/* SPDX-License-Identifier: Apache-2.0 */

#include "registry/fold.h"

struct span service_key(struct arena *arena, struct span service)
{
    return span_of(arena_format(arena, REGISTRY_PREFIX "service/%.*s", SPAN_ARG(service)));
}

struct span build_key(struct arena *arena, struct span service, struct span version)
{
    return span_of(arena_format(arena, REGISTRY_PREFIX "build/%.*s/%.*s", SPAN_ARG(service),
                                SPAN_ARG(version)));
}

struct span instance_key(struct arena *arena, struct span service, struct span id)
{
    return span_of(
        arena_format(arena, REGISTRY_PREFIX "instance/%.*s/%.*s", SPAN_ARG(service), SPAN_ARG(id)));
}

char *record_text(struct arena *arena, struct span text)
{
    return arena_format(arena, "%.*s", SPAN_ARG(text));
}

bool text_is_visible(struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] <= ' ' || text.data[i] > '~')
            return false;
    }
    return true;
}
