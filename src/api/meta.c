/* SPDX-License-Identifier: Apache-2.0 */

#include "api/routes.h"

void route_health(struct api_call *call)
{
    static const char *const pressures[] = {
        [HTTP_PRESSURE_NONE] = "none",
        [HTTP_PRESSURE_NO_KEEP_ALIVE] = "no-keep-alive",
        [HTTP_PRESSURE_SHED] = "shed",
        [HTTP_PRESSURE_CLOSE_IDLE] = "close-idle",
    };
    bool is_read_only = store_is_read_only(call->rooms->store);
    struct gateway_load load = gateway_load(call->rooms->gateway);
    api_reply(call, is_read_only ? 503 : 200,
              json_pack("{s:s, s:s, s:I, s:o, s:s, s:i, s:i, s:i, s:i, s:I, s:I, s:o, s:s*}",
                        "status", is_read_only ? "read-only" : "ok", "version", SARSEN_VERSION,
                        "revision", (json_int_t)store_revision(call->rooms->store), "uptime",
                        api_json_duration(api_uptime(call->api) / NSEC_PER_SEC * NSEC_PER_SEC),
                        "pressure", pressures[load.pressure], "clients", (int)load.n_clients,
                        "upstreams", (int)load.n_upstreams, "failing", (int)load.n_failing,
                        "panics", (int)load.n_panics, "refused", (json_int_t)load.n_refused,
                        "unlogged", (json_int_t)load.n_unlogged, "sandbox", api_sandbox(call->api),
                        "tls_trouble", load.tls_trouble));
}

void route_openapi(struct api_call *call)
{
    api_reply_text(call, 200, "application/json", span_of(api_openapi));
}
