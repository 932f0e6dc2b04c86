#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What operators say of registrations that do not say it themselves: which version an instance has,
 * and which protocol it speaks.
 *
 *   service: "pay*", from: id, match: '.*-v(\d+)\.(\d+)-.*', version: $1.$2
 *
 * A rule holds for a registration when its service fits and its expression matches all of what it is
 * `from`; of tags, of one. The first that holds and says something counts; for the version, the
 * first whose text is one. Rules that override come before what a registration says, others behind.
 *
 * Owns:     nothing. Borrows: everything; a set of rules lives in the settings' arena.
 * Threads:  the control loop, which alone may match by them.
 * Cost:     each rule at most what a match of codec/pattern.h may be, for a tag each.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/span.h"
#include "codec/pattern.h"
#include "codec/semver.h"

#define CONSUL_RULES_MAX 256u

struct consul_pair {
    struct span key, value;
};

/* What a registration says, as far as it may tell a version or a protocol. */
struct consul_saying {
    struct span name, service; /* as it registered, and as the registry has it */
    struct span id, address;   /* "10.0.0.1:8080" */
    const struct span *tags;
    size_t n_tags;
    const struct consul_pair *meta;
    size_t n_meta;
};

enum consul_source {
    FROM_ID,
    FROM_NAME,
    FROM_ADDRESS,
    FROM_TAG,
    FROM_META,
};

struct consul_rule {
    const char *service; /* a name in which "*" is any text; NULL: every service */
    enum consul_source from;
    const char *key;       /* of FROM_META */
    struct pattern *match; /* NULL: it holds for all of the service */
    const char *version;   /* a form of the pattern's groups, or a version; NULL: it says none */
    const char *protocol;  /* NULL: it says none */
    bool overrides;
};

struct consul_rules {
    const struct consul_rule *rules;
    size_t n;
};

/* Appends a text that rules share with no others. */
void consul_rules_write(const struct consul_rules *rules, struct buf *text);

/* Of the rules that override, or of the others. Writes "3.1.0" to `ret_text` and returns its size, 0
 * for none. */
size_t consul_rules_version(const struct consul_rules *rules, bool overrides,
                            const struct consul_saying *saying, char ret_text[SEMVER_TEXT_MAX]);

/* SPAN_NULL for none. */
struct span consul_rules_protocol(const struct consul_rules *rules, bool overrides,
                                  const struct consul_saying *saying);
