/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/static.h"

#include "gateway/grpc.h"
#include "gateway/route.h"

#define FIELDS_MAX (2u * GATEWAY_FIELDS_MAX + 1)

/* A redirect's target: what stands for the prefix, the rest of the path, the query. What is put
 * together here is canonical in both parts, so no client can bring anything into the head. */
static struct span location_of(struct request *request, uint32_t route)
{
    const struct route_action *action = request->route;
    struct route_path path = route_path(request->epoch->view->routes, route, request->path);
    struct span rest = span_from(request->path, path.cut);
    struct buf *memory = &request->target_memory;
    buf_put(memory, rest.size ? path.put : action->to);
    buf_put(memory, rest);
    if (request->query.data) {
        buf_put(memory, SPAN("?"));
        buf_put(memory, request->query);
    }
    return buf_span(memory);
}

void static_answer(struct request *request, uint32_t route)
{
    const struct route_action *action = request->route;
    const struct field_rules *rules = &action->response;
    if (unlikely(request->grpc.kind != GRPC_NONE) && action->status >= 300) {
        grpc_answer_problem(request, action->status,
                            action->kind == ROUTE_ANSWER ? action->body : SPAN("is elsewhere"));
        return;
    }
    struct http_out_field fields[FIELDS_MAX];
    unsigned n = 0;
    /* A field that the rules set or remove is theirs, as it is in what an upstream answers. */
    if (action->kind == ROUTE_REDIRECT && !(rules->known >> HTTP_LOCATION & 1))
        fields[n++] = (struct http_out_field){ SPAN("Location"), location_of(request, route) };
    if (action->type.size && !(rules->known >> HTTP_CONTENT_TYPE & 1))
        fields[n++] = (struct http_out_field){ SPAN("Content-Type"), action->type };
    for (unsigned i = 0; i < rules->n_fields && n < FIELDS_MAX; i++)
        fields[n++] = rules->fields[i];
    request_reply(request, action->status, fields, n, action->body);
}
