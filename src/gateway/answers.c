/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/answers.h"

#include <stdio.h>

#include "base/buf.h"
#include "codec/json.h"
#include "gateway/grpc.h"

/* Opens a problem whose detail is already text; the caller adds members and calls finish(). */
struct problem_answer {
    struct answer answer;
    struct span detail;
    struct buf body;
    struct json_out json;
};

static void begin(struct problem_answer *problem, unsigned status, struct span detail)
{
    problem->answer = (struct answer){ .status = status };
    problem->detail = detail;
    problem->body = (struct buf){ 0 };
    problem->json = (struct json_out){ .buf = &problem->body };
    json_problem_open(&problem->json, status, detail);
    answer_put(&problem->answer, SPAN("Content-Type"), SPAN("application/problem+json"));
    answer_put(&problem->answer, SPAN("Cache-Control"), SPAN("no-store"));
}

static void member(struct problem_answer *problem, struct span key, struct span value)
{
    json_key(&problem->json, key);
    json_text(&problem->json, value);
}

static void finish(struct problem_answer *problem, struct request *request)
{
    json_close(&problem->json, '}');
    if (unlikely(request->grpc.kind != GRPC_NONE))
        grpc_answer_problem(request, problem->answer.status, problem->detail);
    else
        request_answer(request, &problem->answer, buf_span(&problem->body));
    buf_fini(&problem->body);
}

static const struct version_snapshot *snapshot_of(const struct request *request)
{
    return request->epoch->view->snapshot;
}

static struct span service_name(const struct request *request)
{
    return snapshot_service_at(snapshot_of(request), request->service)->name;
}

static struct span contract_name(const struct request *request)
{
    return snapshot_contract_at(snapshot_of(request), request->contract)->name;
}

static struct span build_version(const struct request *request)
{
    if (request->build == NO_INDEX)
        return SPAN_NULL;
    return snapshot_build_at(snapshot_of(request), request->build)->version;
}

void answer_problem(struct request *request, unsigned status, const char *detail)
{
    request->fault = "refused";
    request->fault_text = detail;
    struct problem_answer problem;
    begin(&problem, status, span_of(detail));
    finish(&problem, request);
}

void answer_no_service(struct request *request, struct span service)
{
    request->fault = "no_service";
    CLEANUP(buf_fini) struct buf text = { .limit = 512 };
    buf_printf(&text, "no service \"%.*s\" has registered", SPAN_ARG(span_first(service, 64)));
    struct problem_answer problem;
    begin(&problem, 404, buf_span(&text));
    member(&problem, SPAN("service"), service);
    finish(&problem, request);
}

void answer_route_without_service(struct request *request, struct span service)
{
    request->fault = "no_service";
    CLEANUP(buf_fini) struct buf text = { .limit = 512 };
    buf_printf(&text, "a route leads to the service \"%.*s\", which has not registered yet",
               SPAN_ARG(span_first(service, 64)));
    struct problem_answer problem;
    begin(&problem, 503, buf_span(&text));
    member(&problem, SPAN("service"), service);
    finish(&problem, request);
}

void answer_no_contract(struct request *request, uint32_t major)
{
    request->fault = "no_contract";
    CLEANUP(buf_fini) struct buf text = { .limit = 512 };
    buf_printf(&text, "no build of %.*s provides the contract %.*s@%u",
               SPAN_ARG(service_name(request)), SPAN_ARG(service_name(request)), major);
    struct problem_answer problem;
    begin(&problem, 404, buf_span(&text));
    member(&problem, SPAN("service"), service_name(request));
    finish(&problem, request);
}

void answer_no_default(struct request *request)
{
    request->fault = "no_contract";
    CLEANUP(buf_fini) struct buf text = { .limit = 512 };
    buf_printf(&text, "%.*s has no contract yet: no build of it has registered",
               SPAN_ARG(service_name(request)));
    struct problem_answer problem;
    begin(&problem, 503, buf_span(&text));
    member(&problem, SPAN("service"), service_name(request));
    finish(&problem, request);
}

void answer_offline(struct request *request)
{
    request->fault = "offline";
    const struct snapshot_contract *contract =
        snapshot_contract_at(snapshot_of(request), request->contract);
    CLEANUP(buf_fini) struct buf text = { .limit = 512 };
    CLEANUP(buf_fini) struct buf link = { .limit = 512 };
    buf_printf(&text, "%.*s was taken offline", SPAN_ARG(contract->name));
    if (contract->successor.size) {
        buf_printf(&text, "; its successor is %.*s", SPAN_ARG(contract->successor));
        buf_printf(&link, "</api/%.*s/>; rel=\"successor-version\"", SPAN_ARG(contract->successor));
    }
    struct problem_answer problem;
    begin(&problem, 410, buf_span(&text));
    member(&problem, SPAN("contract"), contract->name);
    if (contract->successor.size) {
        member(&problem, SPAN("successor"), contract->successor);
        answer_put(&problem.answer, SPAN("Link"), buf_span(&link));
    }
    finish(&problem, request);
}

/* Builds that could serve the contract and get no customer: they wait for their gray release. */
static void put_waiting(struct problem_answer *problem, const struct request *request)
{
    const struct endpoints *endpoints = request->epoch->view->endpoints;
    const struct endpoint_group *group = &endpoints->provider_groups[request->contract];
    json_key(&problem->json, SPAN("waiting"));
    json_open(&problem->json, '[');
    for (uint32_t i = 0; i < group->n; i++) {
        uint32_t build = endpoints->providers[group->first + i];
        if (build != request->build)
            json_text(&problem->json, snapshot_build_at(snapshot_of(request), build)->version);
    }
    json_close(&problem->json, ']');
}

static void describe_waiting(struct buf *text, const struct request *request)
{
    const struct endpoints *endpoints = request->epoch->view->endpoints;
    const struct endpoint_group *group = &endpoints->provider_groups[request->contract];
    for (uint32_t i = 0; i < group->n; i++) {
        uint32_t build = endpoints->providers[group->first + i];
        if (build == request->build)
            continue;
        buf_printf(text, "; %.*s %.*s waits: start its gray release or promote it",
                   SPAN_ARG(service_name(request)),
                   SPAN_ARG(snapshot_build_at(snapshot_of(request), build)->version));
    }
}

void answer_unavailable(struct request *request)
{
    request->fault = "no_instance";
    CLEANUP(buf_fini) struct buf text = { .limit = 2048 };
    struct span build = build_version(request);
    if (build.size) {
        buf_printf(&text, "%.*s is served by %.*s %.*s, which has no ready instance",
                   SPAN_ARG(contract_name(request)), SPAN_ARG(service_name(request)),
                   SPAN_ARG(build));
    } else {
        buf_printf(&text, "%.*s has no ready instance", SPAN_ARG(contract_name(request)));
    }
    describe_waiting(&text, request);

    struct problem_answer problem;
    begin(&problem, 503, buf_span(&text));
    member(&problem, SPAN("service"), service_name(request));
    member(&problem, SPAN("contract"), contract_name(request));
    if (build.size)
        member(&problem, SPAN("build"), build);
    put_waiting(&problem, request);
    answer_put(&problem.answer, SPAN("Retry-After"), SPAN("1"));
    finish(&problem, request);
}

void answer_file_to_come(struct request *request)
{
    struct problem_answer problem;
    begin(&problem, 503, SPAN("this file has not come from the member that has it yet"));
    answer_put(&problem.answer, SPAN("Retry-After"), SPAN("1"));
    finish(&problem, request);
}

/* A static upstream has nothing but an address. */
static void answer_upstream_fault(struct request *request, unsigned status, const char *what)
{
    CLEANUP(buf_fini) struct buf text = { .limit = 512 };
    char address[ADDRESS_TEXT_MAX];
    address_format(&request->endpoints[request->endpoint].address, address);
    buf_printf(&text, "the upstream %s %s", address, what);
    struct problem_answer problem;
    begin(&problem, status, buf_span(&text));
    member(&problem, SPAN("upstream"), span_of(address));
    if (status == 503)
        answer_put(&problem.answer, SPAN("Retry-After"), SPAN("1"));
    finish(&problem, request);
}

/* The service, contract and build that were asked, for faults of the way to them. */
static void answer_fault(struct request *request, unsigned status, const char *what)
{
    if (request->service == NO_INDEX) {
        answer_upstream_fault(request, status, what);
        return;
    }
    CLEANUP(buf_fini) struct buf text = { .limit = 512 };
    buf_printf(&text, "%.*s %.*s %s", SPAN_ARG(service_name(request)),
               SPAN_ARG(build_version(request)), what);
    struct problem_answer problem;
    begin(&problem, status, buf_span(&text));
    member(&problem, SPAN("service"), service_name(request));
    member(&problem, SPAN("contract"), contract_name(request));
    member(&problem, SPAN("build"), build_version(request));
    if (status == 503)
        answer_put(&problem.answer, SPAN("Retry-After"), SPAN("1"));
    finish(&problem, request);
}

void answer_unreachable(struct request *request, bool is_busy)
{
    const char *what = is_busy ? "has no free connection on any instance"
                               : "cannot be reached: every instance refused the connection";
    if (request->service == NO_INDEX)
        what = is_busy ? "has no free connection" : "refused the connection";
    if (request->service == NO_INDEX && !is_busy && request->n_endpoints > 1)
        what = "refused the connection, as all others of the route did";
    if (!request->fault)
        request->fault = "connect"; /* nobody was asked: all refused a moment ago */
    answer_fault(request, 503, what);
}

void answer_bad_gateway(struct request *request, const char *detail)
{
    answer_fault(request, 502, detail);
}

void answer_no_tls(struct request *request, const char *why)
{
    char detail[160];
    snprintf(detail, sizeof(detail), "could not be spoken to over TLS: %s", why ? why : "it ended");
    answer_fault(request, 502, detail);
}

void answer_timeout(struct request *request)
{
    if (!request->fault)
        request->fault = "timeout"; /* before anybody was asked */
    answer_fault(request, 504, "did not answer in time");
}

void answer_method(struct request *request, const char *allow, const char *detail)
{
    request->fault = "refused";
    struct problem_answer problem;
    begin(&problem, 405, span_of(detail));
    answer_put(&problem.answer, SPAN("Allow"), span_of(allow));
    finish(&problem, request);
}

void answer_read_only(struct request *request)
{
    answer_method(request, "GET, HEAD", "only GET and HEAD are answered here");
}
