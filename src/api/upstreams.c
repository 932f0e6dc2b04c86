/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Static upstreams, which the config file says and no service stands behind.
 */

#include "api/routes.h"
#include "gateway/gateway.h"

static json_t *target_json(const struct gateway_target *target)
{
    static const char *const states[] = {
        [GATEWAY_TARGET_UNCHECKED] = "unchecked",
        [GATEWAY_TARGET_WAITING] = "waiting",
        [GATEWAY_TARGET_PASSING] = "passing",
        [GATEWAY_TARGET_FAILING] = "failing",
    };
    char address[ADDRESS_TEXT_MAX];
    address_format(target->address, address);
    json_t *json = json_pack("{s:s, s:s}", "address", address, "state", states[target->state]);
    if (target->state == GATEWAY_TARGET_UNCHECKED)
        return json;
    json_object_set_new(json, "since", api_json_time(target->since));
    if (target->why[0])
        json_object_set_new(json, "reason", json_string(target->why));
    return json;
}

void route_upstreams(struct api_call *call)
{
    const struct gateway *gateway = call->rooms->gateway;
    json_t *upstreams = json_array();
    for (unsigned i = 0; i < gateway_n_upstreams(gateway); i++) {
        struct gateway_upstream upstream = gateway_upstream(gateway, i);
        json_t *targets = json_array();
        for (unsigned k = 0; k < upstream.n_targets; k++) {
            struct gateway_target target = gateway_target(gateway, i, k);
            json_array_append_new(targets, target_json(&target));
        }
        json_array_append_new(upstreams, json_pack("{s:o, s:o, s:b, s:o}", "route",
                                                   api_json_span(upstream.route), "health",
                                                   api_json_health(upstream.health), "panic",
                                                   upstream.has_panic, "addresses", targets));
    }
    api_reply(call, 200, json_pack("{s:o}", "upstreams", upstreams));
}
