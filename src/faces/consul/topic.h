#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What blocking queries wait for: a key, all keys with a prefix, and other things by name. A change
 * of something finds those who wait for it by one look-up for each length of a prefix in use.
 *
 * Owns:     topics, which exist as long as somebody waits. Borrows: the waiting.
 * Threads:  the control loop.
 * Cost:     wait, leave O(1); change O(lengths of prefixes in use).
 */

#include "base/list.h"
#include "base/map.h"

enum topic_kind {
    TOPIC_KEY,
    TOPIC_PREFIX,
    TOPIC_SESSIONS,
    TOPIC_SERVICE, /* by the registry's name */
    TOPIC_CATALOG, /* any of them */
    TOPIC_NODES,
};

#define TOPIC_PREFIX_MAX 1024u

struct topic {
    struct map_node node; /* by kind and name */
    struct list waits;
    struct list changed_link;
    char *key;
    size_t prefix_size; /* of TOPIC_PREFIX */
    bool is_prefix;
};

/* Embedded in who waits; zeroed and with its link initialised it waits for nothing. */
struct topic_wait {
    struct list link;
    struct topic *topic; /* NULL: it does not wait */
};

struct topics {
    struct map map;
    struct list changed;
    unsigned n_prefixes[TOPIC_PREFIX_MAX + 1]; /* topics of each size */
    size_t longest;
};

void topics_init(struct topics *topics);
void topics_fini(struct topics *topics); /* nobody waits any more */

void topic_wait(struct topics *topics, struct topic_wait *wait, enum topic_kind kind,
                struct span name);
void topic_leave(struct topics *topics, struct topic_wait *wait);

/* A key changed: its topic and those of its prefixes are noted. */
void topics_key_changed(struct topics *topics, struct span key);
void topics_changed(struct topics *topics, enum topic_kind kind, struct span name);

/* Takes those who wait for something that changed, all at once; each link is in the list, and
 * waits for nothing any more. */
void topics_take_changed(struct topics *topics, struct list *ret_waits);
