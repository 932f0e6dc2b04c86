/* SPDX-License-Identifier: Apache-2.0 */

#include "http/relay_copy.h"

#include <assert.h>

void http_relay_copy_start(struct http_exchange *exchange, struct http_call *call)
{
    assert(call->stream && !call->relay_to && !exchange->relay_from);
    call->relay_to = exchange;
    exchange->relay_from = call;
}

static bool is_copied(const struct http_call *call)
{
    return call->relay_to != NULL;
}

void http_relay_copy(struct http_call *call, struct span bytes)
{
    struct http_exchange *to = call->relay_to;
    http_send(to, bytes);
    if (is_copied(call) && http_unsent(to) > HTTP_SEND_MARK)
        http_call_pause(call);
}

void http_relay_copy_end_exchange(struct http_exchange *exchange)
{
    struct http_call *call = exchange->relay_from;
    if (!call)
        return;
    http_relay_copy_end_call(call);
    http_call_pause(call);
}
