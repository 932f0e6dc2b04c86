/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/count.h"

/* What a page causes comes with the BOM it was served by. A job that names itself, or a caller from
 * outside, uses a contract on its own account, whatever release its customer would get. */
static const struct snapshot_release *release_of_page(struct request *request)
{
    const struct identity *identity = request_identity(request);
    if (!identity->bom.size && !(identity->has_cookie && identity->cookie.bom[0]))
        return NULL;
    return epoch_release_of(request->epoch, request->bom, request->contract);
}

static struct usage_place count_anew(struct request *request, const struct usage_sample *sample)
{
    const struct version_snapshot *snapshot = request->epoch->view->snapshot;
    const struct snapshot_release *release = release_of_page(request);
    const struct identity *identity = request_identity(request);
    struct usage_key key = {
        .contract = snapshot_contract_at(snapshot, request->contract)->name,
        .build = request->build == NO_INDEX ? SPAN_NULL
                                            : snapshot_build_at(snapshot, request->build)->version,
        .app = release ? release->app : SPAN_NULL,
        .release = release ? release->version : SPAN_NULL,
        .customer = identity->is_anonymous ? SPAN(USAGE_ANONYMOUS) : identity->customer,
    };
    if (request->is_internal)
        key.caller = http_head_value(request->exchange->head, HTTP_SARSEN_CALLER);
    return usage_count(request->worker->usage, &key, sample);
}

static void count_as(struct request *request, const struct usage_sample *sample)
{
    struct memo *memo = request->memo;
    if (memo && memo->contract == request->contract && memo->build == request->build &&
        usage_count_at(request->worker->usage, memo->place, sample))
        return;
    struct usage_place place = count_anew(request, sample);
    if (!memo)
        return;
    memo->contract = request->contract;
    memo->build = request->build;
    memo->place = place;
}

void count_request(struct request *request, bool is_error)
{
    if (request->contract == NO_INDEX)
        return;
    struct loop *loop = request->worker->loop;
    struct usage_sample sample = {
        .is_error = is_error,
        .is_again = request->is_counted,
        .duration = loop_now(loop) - request->started,
        .at = loop_wall(loop),
    };
    count_as(request, &sample);
    list_remove(&request->link);
}

void count_running(struct worker *worker)
{
    list_each (link, &worker->running) {
        struct request *request = container_of(link, struct request, link);
        struct usage_sample sample = { .is_again = request->is_counted,
                                       .at = loop_wall(worker->loop) };
        count_as(request, &sample);
        request->is_counted = true;
    }
}
