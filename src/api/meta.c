/* SPDX-License-Identifier: Apache-2.0 */

#include "api/routes.h"

#define FAILING_MAX 20u /* instances that are told of; the list of each service has them all */

static json_t *failing_instances(const struct registry *registry)
{
    json_t *list = json_array();
    map_each (node, registry_services(registry)) {
        const struct service *service = container_of(node, struct service, node);
        map_each (below, &service->instances) {
            const struct instance *instance = container_of(below, struct instance, node);
            if (!instance_is_critical(instance) || json_array_size(list) == FAILING_MAX)
                continue;
            json_array_append_new(list,
                                  json_pack("{s:s, s:s, s:s}", "service", service->name, "id",
                                            instance->id, "reason", instance_trouble(instance)));
        }
    }
    return list;
}

static json_t *panic_builds(const struct registry *registry)
{
    json_t *list = json_array();
    map_each (node, registry_services(registry)) {
        const struct service *service = container_of(node, struct service, node);
        map_each (below, &service->builds) {
            const struct build *build = container_of(below, struct build, node);
            if (!build_has_panic(build) || json_array_size(list) == FAILING_MAX)
                continue;
            json_array_append_new(list,
                                  json_pack("{s:s, s:s, s:i, s:i}", "service", service->name,
                                            "build", build->version, "ready", (int)build->n_ready,
                                            "instances", (int)build_n_served(build)));
        }
    }
    return list;
}

/* What clients of HTTP/2 did that is bounded, and what became of them. */
static json_t *http2_json(const struct http2_counts *counts)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "resets",
                     (json_int_t)counts->offences[HTTP2_RESET], "own_resets",
                     (json_int_t)counts->offences[HTTP2_OWN_RESET], "glitches",
                     (json_int_t)counts->offences[HTTP2_GLITCH], "calmed",
                     (json_int_t)counts->n_calmed, "broken", (json_int_t)counts->n_broken);
}

void route_health(struct api_call *call)
{
    static const char *const pressures[] = {
        [HTTP_PRESSURE_NONE] = "none",
        [HTTP_PRESSURE_NO_KEEP_ALIVE] = "no-keep-alive",
        [HTTP_PRESSURE_SHED] = "shed",
        [HTTP_PRESSURE_CLOSE_IDLE] = "close-idle",
    };
    bool is_read_only = store_is_read_only(call->rooms->store);
    const char *trouble = store_trouble(call->rooms->store);
    struct gateway_load load = gateway_load(call->rooms->gateway);
    api_reply(
        call, is_read_only ? 503 : 200,
        json_pack(
            "{s:s, s:s, s:I, s:o, s:s, s:i, s:i, s:i, s:i, s:I, s:I, s:o, s:o, s:o, s:o, s:s*, s:i, s:s*}",
            "status", is_read_only ? "read-only" : "ok", "version", SARSEN_VERSION, "revision",
            (json_int_t)store_revision(call->rooms->store), "uptime",
            api_json_duration(api_uptime(call->api) / NSEC_PER_SEC * NSEC_PER_SEC), "pressure",
            pressures[load.pressure], "clients", (int)load.n_clients, "upstreams",
            (int)load.n_upstreams, "failing", (int)load.n_failing, "panics", (int)load.n_panics,
            "refused", (json_int_t)load.n_refused, "unlogged", (json_int_t)load.n_unlogged,
            "sandbox", api_sandbox(call->api), "http2", http2_json(&load.http2),
            "failing_instances", failing_instances(call->rooms->registry), "panic_builds",
            panic_builds(call->rooms->registry), "tls_trouble", load.tls_trouble, "files_to_come",
            (int)call->rooms->n_files_to_come, "trouble", trouble[0] ? trouble : NULL));
}

void route_openapi(struct api_call *call)
{
    api_reply_text(call, 200, "application/json", span_of(api_openapi));
}
