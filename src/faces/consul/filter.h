#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ?filter= of the catalog, in the language that Consul has for it (hashicorp/go-bexpr):
 *
 *   Service.Meta.zone == eu and "v2" in Service.Tags and not Service.Port is empty
 *
 * Operators: ==, !=, in, not in, contains, not contains, is empty, is not empty; and, or, not,
 * parentheses. Selectors are those of a health or a catalog entry: Node.Node, Service.ID,
 * Service.Service, Service.Address, Service.Port, Service.Tags, Service.Meta.KEY, and as flat
 * names ServiceID, ServiceName, ServiceAddress, ServicePort, ServiceTags, ServiceMeta.KEY, Node,
 * Datacenter.
 *
 * Of the agent's services they go without "Service.": ID, Service, Address, Port, Tags, Meta.KEY; of
 * checks they are CheckID, Name, Status, Output, Notes, Type, ServiceID, ServiceName, ServiceTags.
 *
 * Owns:     nothing; a filter lives in its arena. Borrows: the text.
 */

#include "faces/consul/render.h"

struct consul_filter;

enum filter_answer {
    FILTER_OK,
    FILTER_BAD, /* the problem says where */
};

int consul_filter_parse(struct arena *arena, struct span text, struct consul_filter **ret_filter,
                        struct problem *problem) MUST_CHECK;

bool consul_filter_matches(const struct consul_filter *filter, const struct consul *consul,
                           const struct consul_entry *entry);

/* Of a call's "filter", NULL without one. False: the call is refused, and gone. */
bool consul_filter_read(struct consul_call *call, struct consul_filter **ret_filter);

/* The same of a service that registered here, and of one of its checks. Without a filter all do. */
bool consul_filter_has_service(const struct consul_filter *filter, const struct consul *consul,
                               const struct consul_service *service);
bool consul_filter_has_check(const struct consul_filter *filter, const struct consul *consul,
                             const struct consul_check *check);
