/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/service_answer.h"

#include "base/log.h"
#include "gateway/forward_headers.h"
#include "gateway/grpc.h"

/* What an identity service says of the customer; data NULL when it says nothing we may believe. */
static struct span named_customer(const struct request *request, const struct http_head *head)
{
    struct span customer = http_head_value(head, HTTP_SARSEN_CUSTOMER);
    const struct snapshot_service *service =
        snapshot_service_at(request->epoch->view->snapshot, request->service);
    if (!customer.data || !service->is_identity)
        return SPAN_NULL;
    if (customer.size && !customer_id_is_valid(customer)) {
        log_warn("gateway", "an identity service named a customer that is no valid id");
        return SPAN_NULL;
    }
    return customer;
}

/* Whether there is such a contract, and such a build of its service. */
static bool is_known(const struct version_snapshot *snapshot, struct span contract,
                     struct span build)
{
    struct span service;
    uint32_t major;
    if (!contract.size || !build.size || !contract_name_parse(contract, &service, &major))
        return false;
    uint32_t index = snapshot_service(snapshot, service);
    return index != NO_INDEX && snapshot_contract(snapshot, index, major) != NO_INDEX &&
           snapshot_build(snapshot, service, build) != NO_INDEX;
}

/* A service that forwarded to another brings back what answered in the end; both or none, for a
 * contract with another's build would be a lie, and nothing that we do not know ourselves. */
static void name_build(const struct request *request, const struct http_head *head,
                       struct http1_out *out)
{
    const struct version_snapshot *snapshot = request->epoch->view->snapshot;
    struct span contract = http_head_value(head, HTTP_SARSEN_CONTRACT);
    struct span build = http_head_value(head, HTTP_SARSEN_BUILD);
    if (!is_known(snapshot, contract, build)) {
        contract = snapshot_contract_at(snapshot, request->contract)->name;
        build = snapshot_build_at(snapshot, request->build)->version;
    }
    forward_answerer(bom_id(request->bom), contract, build, out);
}

/* The first lines in `out`, as they were put together for an earlier answer, or anew. */
static void put_answerer(const struct request *request, const struct http_head *head,
                         struct http1_out *out)
{
    struct memo *memo = head->by_name[HTTP_SARSEN_CONTRACT] ? NULL : request->memo;
    if (memo && memo->answerer_size && memo->answer_contract == request->contract &&
        memo->answer_build == request->build) {
        http1_put(out, (struct span){ memo->answerer, memo->answerer_size });
        return;
    }
    name_build(request, head, out);
    if (!memo || out->size > sizeof(memo->answerer))
        return;
    memcpy(memo->answerer, out->data, out->size);
    memo->answerer_size = (uint32_t)out->size;
    memo->answer_contract = request->contract;
    memo->answer_build = request->build;
}

/* Caches that serve many keep the answer: a cookie in it would make them one visitor. */
static bool is_for_everybody(const struct http_head *head)
{
    for (unsigned i = 0; i < head->n_fields; i++) {
        if (head->fields[i].id != HTTP_CACHE_CONTROL)
            continue;
        struct span list = head->fields[i].value;
        while (list.data) {
            struct span rest = span_trim(span_cut(&list, ','));
            struct span directive = span_trim(span_cut(&rest, '='));
            if (span_equals_nocase(directive, SPAN("public")) ||
                span_equals_nocase(directive, SPAN("immutable")) ||
                span_equals_nocase(directive, SPAN("s-maxage")))
                return true;
        }
    }
    return false;
}

static struct span cookie_for(struct request *request, const struct http_head *head,
                              struct set_cookie *memory)
{
    struct span customer = named_customer(request, head);
    bool is_new = !request->memo && request_identity(request)->source == IDENTITY_NEW_DEVICE;
    if (is_new && !customer.data && is_for_everybody(head))
        return SPAN_NULL;
    return request_cookie(request, false, customer, memory);
}

struct http1_out service_answer_lines(struct request *request, const struct http_head *head)
{
    struct set_cookie memory;
    struct worker *worker = request->worker;
    struct http1_out out = { .data = worker->lines, .capacity = sizeof(worker->lines) };
    struct forward_answer ours = { .rules = request->route ? &request->route->response : NULL };
    char type[GRPC_TYPE_MAX];
    if (unlikely(request->grpc.is_translated))
        ours.content_type = grpc_answer_type(request, head, type);
    if (likely(request->bom != NULL)) {
        put_answerer(request, head, &out);
        if (likely(request->grpc.kind != GRPC_PLAIN)) /* nobody keeps a cookie there */
            ours.set_cookie = cookie_for(request, head, &memory);
    }
    forward_response(head, &ours, &out);
    return out;
}
