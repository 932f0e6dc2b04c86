#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ?filter=, in the language that Consul has for it (hashicorp/go-bexpr), over what is about to be
 * answered: an element of a list or of a map is written as JSON, and taken back when the filter
 * does not have it. So every field that is shown can be asked for, under the name it is shown by.
 *
 *   Service.Meta.zone == eu and "v2" in Service.Tags and not Checks.Status == critical
 *
 * Operators: ==, !=, in, not in, contains, not contains, is empty, is not empty, matches, not
 * matches; and, or, not, parentheses. A selector is a path, "Meta.zone" or Meta["zone"]; of a list
 * of objects any may fit. Expressions are codec/pattern.h's. Their work is bounded: when one match comes
 * to its limit, or all of a call have taken 50 ms, the call is refused, as it cannot be answered right.
 *
 * Owns:     nothing; a filter lives in its arena, and borrows the text.
 * Threads:  a filter is used by one at a time. Cost: the element is parsed.
 */

#include "base/arena.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/error.h"
#include "codec/json.h"

struct consul_call;
struct consul_filter;

enum filter_answer {
    FILTER_OK,
    FILTER_BAD, /* the problem says where */
};

/* `clock` says how long expressions have taken. */
int consul_filter_parse(struct arena *arena, struct span text, struct clock *clock,
                        struct consul_filter **ret_filter, struct problem *problem) MUST_CHECK;

/* Of a call's "filter", NULL without one, which has everything. False: the call is refused, and
 * gone. */
bool consul_filter_read(struct consul_call *call, struct consul_filter **ret_filter);

/* Whether its expressions were too much work; then it has nothing more, and consul_reply_json()
 * refuses the call. `filter` may be NULL. */
bool consul_filter_gave_up(const struct consul_filter *filter);

/* Whether it has an object, as JSON. */
bool consul_filter_has(const struct consul_filter *filter, struct span json);

/* Where an element begins that may be taken back. */
struct filter_mark {
    size_t size, value; /* value: where the object begins, behind the key of a member */
    bool needed_comma;
};

struct filter_mark consul_filter_begin(const struct json_out *out);
struct filter_mark consul_filter_begin_member(struct json_out *out, struct span key);
/* Whether it stays. */
bool consul_filter_end(const struct consul_filter *filter, struct json_out *out,
                       struct filter_mark mark);
