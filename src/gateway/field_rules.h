#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a route changes of a message's head: which lines do not go on, and which are added.
 *
 * Compiled once, so that a request pays one bit test for each field of a well-known name, a
 * comparison with the few others that are named, and one copy for all lines that are added.
 *
 * Owns:     nothing; what it points at lies in the arena it was compiled into.
 * Threads:  any.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "codec/http1.h"
#include "gateway/settings.h"
#include "http/message.h"

struct field_rules {
    uint64_t known;           /* 1 << id of each well-known name that does not go on */
    const struct span *names; /* the others */
    unsigned n_names;
    /* What is added, as fields and in wire form. */
    const struct http_out_field *fields;
    unsigned n_fields;
    struct span lines;
};

/* The settings are valid: names are tokens, values are legal. */
void field_rules_compile(const struct gateway_field_rules *settings, struct arena *arena,
                         struct field_rules *ret_rules);

/* Whether the rules take out a field of a name that is not well known. */
bool field_rules_name(const struct field_rules *rules, struct span name);

static inline bool field_rules_take_out(const struct field_rules *rules,
                                        const struct http_field *field)
{
    if (field->id != HTTP_OTHER)
        return rules->known >> field->id & 1;
    return rules->n_names && field_rules_name(rules, field->name);
}
