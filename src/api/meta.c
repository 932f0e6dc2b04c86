/* SPDX-License-Identifier: Apache-2.0 */

#include "api/routes.h"

void route_health(struct api_call *call)
{
    bool is_read_only = store_is_read_only(call->rooms->store);
    api_reply(call, is_read_only ? 503 : 200,
              json_pack("{s:s, s:s, s:I, s:o}", "status", is_read_only ? "read-only" : "ok",
                        "version", SARSEN_VERSION, "revision",
                        (json_int_t)store_revision(call->rooms->store), "uptime",
                        api_json_duration(api_uptime(call->api) / NSEC_PER_SEC * NSEC_PER_SEC)));
}

void route_openapi(struct api_call *call)
{
    api_reply_text(call, 200, "application/json", span_of(api_openapi));
}
