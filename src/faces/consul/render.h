#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * JSON as Consul writes it, private to the face. Lists are never null, and maps neither, for some
 * clients do not look.
 *
 * Threads: the control loop.
 */

#include "codec/json.h"
#include "faces/consul/filter.h"
#include "faces/consul/service.h"

/* A member of an object. */
static inline void put_text(struct json_out *out, const char *name, struct span text)
{
    json_key(out, span_of(name));
    json_text(out, text);
}

/* An instance as the catalog shows it: with what it registered here, or as the registry knows it. */
struct consul_entry {
    const struct instance *instance;
    const struct consul_service *service; /* NULL: it registered elsewhere */
};

/* Of what registered here; without an instance where that was taken away by other means. */
struct consul_entry consul_entry_of(const struct consul *consul,
                                    const struct consul_service *service);

/* What it registered as, in 16 digits: another where it is another. */
void consul_hash_service(const struct consul_entry *entry, char ret_hash[17]);

/* What the instances of a service are, those that were registered under another name left out.
 * Calls on_entry for each, in order of appearance. */
void consul_each_entry(struct consul_call *call, struct span name,
                       void (*on_entry)(void *owner, const struct consul_entry *entry),
                       void *owner);

/* The name that a service goes by here. */
struct span consul_entry_name(const struct consul_entry *entry);
enum check_status consul_entry_status(const struct consul *consul,
                                      const struct consul_entry *entry);
bool consul_entry_has_tag(const struct consul_entry *entry, struct span tag);
size_t consul_entry_n_tags(const struct consul_entry *entry);

/* NULL: this one, when nobody told of it. */
void consul_render_node(struct json_out *out, const struct consul *consul,
                        const struct consul_service *node);
void consul_render_entry(struct json_out *out, const struct consul *consul,
                         const struct consul_entry *entry); /* of health/service */
void consul_render_flat(struct json_out *out, const struct consul *consul,
                        const struct consul_entry *entry); /* of catalog/service */
/* Those of its checks that the filter has, each an element. */
void consul_render_checks(struct json_out *out, const struct consul *consul,
                          const struct consul_entry *entry, const struct consul_filter *filter);
void consul_render_agent_service(struct json_out *out, const struct consul *consul,
                                 const struct consul_service *service);
void consul_render_check(struct json_out *out, const struct consul *consul,
                         const struct consul_check *check);
void consul_render_node_check(struct json_out *out, const struct consul *consul);
